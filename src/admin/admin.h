/* admin.h - the admin socket of a running gateway: DIR/admin.sock, one JSON object a line each way.
 *
 * Mode 0600, peers of another user are refused.  Runs on the control loop, which may block for a store commit; it never
 * blocks a connection's worker.  What a request means is manage.h; this is who may ask, framing and streams.
 */
#ifndef GATEHOUSE_ADMIN_ADMIN_H
#define GATEHOUSE_ADMIN_ADMIN_H

#include <gatehouse/backend.h>

#include "src/base/log.h"
#include "src/core/core.h"
#include "src/core/registry.h"
#include "src/io/loop.h"

struct admin;

/* Everything is borrowed until admin_free. */
struct admin_config {
	const char *directory;
	struct loop *loop;
	const gh_limits *limits;
	const struct log *log;
	const struct registry *registry;
	struct core *core; /* told of changed credentials; asked for counts */
	const gh_backend_ops *backend_ops;
	gh_backend *backend;
	const char *const *hosts; /* NULL-terminated, the hub's own name first */
};

/* GH_EXISTS when another gateway answers on the socket; GH_IO names the path and the reason. */
gh_status admin_new(const struct admin_config *config, struct admin **ret_admin, gh_error *ret_err);
void admin_free(struct admin *admin); /* accepts NULL; removes the socket */

#endif
