/* target.h - the hub a sub-command speaks of: the running gateway through its admin socket, or the store of a stopped
 * one, opened here.  Requests are the same for both (src/admin/manage.h).
 */
#ifndef GATEHOUSE_CLI_TARGET_H
#define GATEHOUSE_CLI_TARGET_H

#include "src/admin/hub_names.h"
#include "src/admin/manage.h"
#include "src/admin/tail.h"
#include "src/base/buf.h"
#include "src/cli/options.h"
#include "src/config.h"

struct target_where {
	const char *directory;   /* --dir */
	const char *config_file; /* -c */
};

/* The two rows every sub-command on a hub has. */
#define TARGET_ROWS(where)                                                                                             \
	{.name = "--dir",                                                                                              \
		.text = &(where).directory,                                                                            \
		.value = "DIR",                                                                                        \
		.help = "the hub's data folder; default $GATEHOUSE_DIR, $XDG_STATE_HOME/gatehouse or "                 \
			"~/.local/state/gatehouse"},                                                                   \
	{                                                                                                              \
		.name = "-c", .text = &(where).config_file, .value = "FILE",                                           \
		.help = "the hub's configuration, instead of --dir"                                                    \
	}

enum target_use {
	TARGET_RUNNING, /* only a running gateway */
	TARGET_READ,    /* or the store, which must exist */
	TARGET_WRITE,   /* or the store, made when it does not exist */
};

struct target {
	char *directory;
	struct config *config; /* with -c, else NULL */
	gh_limits limits;
	struct hub_names names;
	struct manage manage;
	int fd;           /* the gateway's socket, or -1 */
	struct buf input; /* from it; the first `taken` bytes are the line given last */
	size_t taken;
	gh_store *store; /* opened here, or NULL */
};

/* Whatever it returns, target_close ends it.  GH_NOT_FOUND: nothing there. */
gh_status target_open(struct target *target, const struct target_where *where, enum target_use use, gh_error *ret_err);
void target_close(struct target *target);

/* Takes the request (NULL = no memory).  Returns a new reference to the result. */
gh_status target_call(struct target *target, json_t *request, json_t **ret_result, gh_error *ret_err);
/* A request {"version","op", then as json_pack says}. */
json_t *target_request(const char *op, const char *format, ...);

/* The two halves, for answers of many lines.  target_line borrows until the next call; GH_AGAIN (only when !block):
 * no whole line yet. */
gh_status target_send(struct target *target, const json_t *request, gh_error *ret_err);
gh_status target_line(struct target *target, bool block, gh_bytes *ret_line, gh_error *ret_err);
/* Takes the response apart. */
gh_status target_result(const json_t *response, json_t **ret_result, gh_error *ret_err);

/* Prints "gatehouse COMMAND: ARGUMENT: sentence" on stderr and returns the exit code 1. */
int target_failed(const struct options *options, const gh_error *err);
/* Prints the object as one line, or indented for people. */
void target_print_json(const json_t *json);
/* 32 fresh bytes as base64. */
void target_new_key(char ret_text[45]);

#endif
