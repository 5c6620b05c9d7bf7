/* manage.h - management requests: one JSON object in, one out.  The same function serves the admin socket of a running
 * gateway and the command line on the store of a stopped one.
 *
 * Request:  {"version":1,"op":"device.create", ...the op's members}     unknown members are refused
 * Response: {"version":1,"ok":true,"result":...}
 *           {"version":1,"ok":false,"error":{"status":"exists","code":"...","text":"..."}}
 * The ops and their members are the table in manage.c and docs there.  Everything may block for a commit: never on a
 * loop that serves devices.  It is not an HTTP API and promises nothing to other programs beyond the version number.
 */
#ifndef GATEHOUSE_ADMIN_MANAGE_H
#define GATEHOUSE_ADMIN_MANAGE_H

#include <gatehouse/backend.h>

#include "src/core/core.h"
#include "src/core/registry.h"

#include <jansson.h>

enum { MANAGE_VERSION = 1, MANAGE_PAGE_MAX = 1000 };

/* What only a running gateway can tell. */
struct manage_state {
	bool ready; /* accepts devices and stores what they send */
	gh_health backend;
	struct core_counts counts;
};

struct manage_gateway {
	void *context;
	void (*state)(void *context, struct manage_state *ret_state);
	/* A device (with its modules) was changed, or, with an empty id, a policy. */
	void (*changed)(void *context, gh_bytes device_id);
};

/* All borrowed. */
struct manage {
	struct registry registry;
	const char *const *hosts;             /* NULL-terminated, the host name first; NULL = not known here */
	const struct manage_gateway *gateway; /* NULL: no gateway runs over this store */
};

/* Never fails but without memory, when *ret_response is NULL; refusals are responses. */
void manage_call(const struct manage *m, const json_t *request, json_t **ret_response);

/* Returns a new response, NULL without memory; manage_ok takes result (NULL = out of memory). */
json_t *manage_ok(json_t *result);
json_t *manage_refusal(const gh_error *err);

/* Checks version and that op is a text, which is borrowed from the request.  `members` (NULL-terminated) are those
 * allowed beside version and op; NULL = do not look. */
gh_status manage_request_op(const json_t *request, const char **ret_op, gh_error *ret_err);
gh_status manage_request_members(const json_t *request, const char *const *members, gh_error *ret_err);

#endif
