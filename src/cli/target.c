#include "src/cli/target.h"

#include "src/admin/admin_socket.h"
#include "src/base/limits.h"
#include "src/base/take.h"
#include "src/base/text.h"
#include "src/builtin.h"
#include "src/cli/cli.h"
#include "src/place.h"
#include "src/io/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TARGET_READ_BYTES = 65536, TARGET_LINE_BYTES_MAX = 1 << 28 };

/* ---- where ---- */

static gh_status target_find_config(struct target *target, const char *file, gh_error *ret_err)
{
	struct config_problems problems = {0};
	target->config = config_load(file, &problems);
	if (!target->config) {
		config_problems_print(&problems, file, stderr);
		return gh_fail(ret_err, GH_INVALID, "config", "the configuration %s cannot be used", file);
	}
	target->limits = target->config->limits;
	target->directory = strdup(target->config->data_dir);
	target->manage.hosts = (const char *const *)target->config->hosts;
	return target->directory ? GH_OK : gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
}

static gh_status target_find(struct target *target, const struct target_where *where, gh_error *ret_err)
{
	if (where->directory && where->config_file)
		return gh_fail(ret_err, GH_INVALID, "usage", "--dir and -c exclude each other");
	if (where->config_file)
		return target_find_config(target, where->config_file, ret_err);
	target->directory = where->directory ? strdup(where->directory) : place_default();
	if (!target->directory)
		return gh_fail(ret_err, GH_INVALID, "usage", "no data folder is known; give --dir DIR or -c FILE");
	if (hub_names_load(target->directory, &target->names) == GH_OK)
		target->manage.hosts = target->names.hosts;
	return GH_OK;
}

/* ---- a stopped gateway ---- */

static gh_status target_open_store(struct target *target, enum target_use use, gh_error *ret_err)
{
	gh_store_config config = {
		.directory = target->directory, .limits = &target->limits, .must_exist = use != TARGET_WRITE};
	gh_status status = builtin.store->open(&config, &target->store, ret_err);
	if (status == GH_NOT_FOUND)
		return gh_fail(ret_err, GH_NOT_FOUND, "no_hub", "there is no hub in %s", target->directory);
	if (status != GH_OK)
		return status;
	const char *said = builtin.recovery(target->store);
	if (*said)
		fprintf(stderr, "gatehouse: %s\n", said);
	target->manage.registry = (struct registry){target->store, &target->limits, loop_random_bytes, loop_wall_ms};
	return GH_OK;
}

gh_status target_open(struct target *target, const struct target_where *where, enum target_use use, gh_error *ret_err)
{
	*target = (struct target){.fd = -1};
	signal(SIGPIPE, SIG_IGN); /* a reader who leaves must not keep a store from being closed */
	limits_defaults(&target->limits);
	buf_init(&target->input, TARGET_LINE_BYTES_MAX);
	gh_status status = target_find(target, where, ret_err);
	if (status == GH_OK)
		status = admin_socket_connect(target->directory, &target->fd, ret_err);
	if (status == GH_NOT_FOUND && use != TARGET_RUNNING)
		status = target_open_store(target, use, ret_err);
	return status;
}

void target_close(struct target *target)
{
	if (target->fd >= 0)
		close(target->fd);
	if (target->store)
		builtin.store->close(target->store);
	buf_done(&target->input);
	config_free(target->config);
	free(target->directory);
}

/* ---- the socket ---- */

static gh_status target_lost(gh_error *ret_err)
{
	return gh_fail(ret_err, GH_UNAVAILABLE, "connection_lost", "the gateway closed the connection");
}

gh_status target_send(struct target *target, const json_t *request, gh_error *ret_err)
{
	char *text GH_CLEANUP(take_free) = json_dumps(request, JSON_COMPACT);
	if (!text)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
	size_t len = strlen(text), sent = 0;
	text[len++] = '\n'; /* in place of the NUL */
	while (sent < len) {
		ssize_t n = send(target->fd, text + sent, len - sent, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			break; /* the gateway may have said why before it closed */
		if (n > 0)
			sent += (size_t)n;
	}
	return GH_OK;
}

gh_status target_line(struct target *target, bool block, gh_bytes *ret_line, gh_error *ret_err)
{
	struct buf *input = &target->input;
	buf_drop(input, target->taken);
	target->taken = 0;
	size_t searched = 0;
	for (;;) {
		const uint8_t *end =
			input->len > searched ? memchr(input->data + searched, '\n', input->len - searched) : NULL;
		if (end) {
			*ret_line = (gh_bytes){input->data, (size_t)(end - input->data)};
			target->taken = ret_line->len + 1;
			return GH_OK;
		}
		searched = input->len;
		if (!buf_reserve(input, TARGET_READ_BYTES))
			return gh_fail(ret_err, GH_TOO_LARGE, "answer_too_long", "the answer is too long");
		ssize_t n = recv(target->fd, input->data + input->len, TARGET_READ_BYTES, block ? 0 : MSG_DONTWAIT);
		if (n < 0 && !block && errno == EAGAIN)
			return GH_AGAIN;
		if (n == 0 || (n < 0 && errno != EINTR))
			return target_lost(ret_err);
		if (n > 0)
			input->len += (size_t)n;
	}
}

gh_status target_result(const json_t *response, json_t **ret_result, gh_error *ret_err)
{
	const json_t *error = json_object_get(response, "error");
	if (json_is_true(json_object_get(response, "ok"))) {
		*ret_result = json_incref(json_object_get(response, "result"));
		return GH_OK;
	}
	const char *name = json_string_value(json_object_get(error, "status"));
	const char *text = json_string_value(json_object_get(error, "text"));
	gh_status status = GH_INTERNAL;
	for (int i = 0; name && i < GH_STATUS_COUNT; i++)
		if (strcmp(gh_status_name((gh_status)i), name) == 0)
			status = (gh_status)i;
	if (status == GH_OK)
		status = GH_INTERNAL;
	return gh_fail(ret_err, status, "refused", "%s", text ? text : "the answer is not understood");
}

static gh_status target_call_socket(
	struct target *target, const json_t *request, json_t **ret_response, gh_error *ret_err)
{
	gh_bytes line;
	gh_status status = target_send(target, request, ret_err);
	if (status == GH_OK)
		status = target_line(target, true, &line, ret_err);
	if (status != GH_OK)
		return status;
	json_error_t fault;
	*ret_response = json_loadb((const char *)line.data, line.len, JSON_ALLOW_NUL, &fault);
	return *ret_response ? GH_OK
			     : gh_fail(ret_err, GH_INTERNAL, "answer", "the answer is not JSON: %s", fault.text);
}

gh_status target_call(struct target *target, json_t *request, json_t **ret_result, gh_error *ret_err)
{
	json_t *response = NULL;
	gh_status status = GH_OK;
	if (!request)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
	if (target->fd >= 0)
		status = target_call_socket(target, request, &response, ret_err);
	else
		manage_call(&target->manage, request, &response);
	json_decref(request);
	if (status == GH_OK)
		status = target_result(response, ret_result, ret_err);
	json_decref(response);
	return status;
}

json_t *target_request(const char *op, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	json_t *members = json_vpack_ex(NULL, 0, format, args);
	va_end(args);
	json_t *request = members ? json_pack("{s:i, s:s}", "version", MANAGE_VERSION, "op", op) : NULL;
	if (request)
		json_object_update(request, members);
	json_decref(members);
	return request;
}

/* ---- what all print ---- */

int target_failed(const struct options *options, const gh_error *err)
{
	const char *argument = options->secret ? NULL : options->argument[0];
	fprintf(stderr, "gatehouse %s: %s%s%s\n", options->command, argument ? argument : "", argument ? ": " : "",
		err->text);
	return CLI_FAILED;
}

void target_print_json(const json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
}

void target_new_key(char ret_text[45])
{
	uint8_t key[32];
	loop_random_bytes(key, sizeof key);
	text_base64_encode(key, sizeof key, ret_text);
}
