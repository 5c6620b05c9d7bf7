/* admin_server.h - the admin socket of a running gateway, on the main thread's loop, never on one that serves devices.
 *
 * Access is the file's mode and the peer's user id; there is nothing else to prove.  Commits block this loop.
 */
#ifndef GATEHOUSE_ADMIN_ADMIN_SERVER_H
#define GATEHOUSE_ADMIN_ADMIN_SERVER_H

#include "src/admin/manage.h"
#include "src/base/log.h"
#include "src/io/loop.h"

struct admin_server;

/* All borrowed until the server is freed. */
struct admin_server_config {
	const char *directory; /* the socket is DIR/admin.sock */
	struct loop *loop;
	const struct manage *manage;
	const gh_backend_ops *backend_ops; /* NULL: tail is refused with tail_hint */
	gh_backend *backend;
	const char *tail_hint;   /* static: which consumer reads this back end */
	const gh_limits *limits; /* admin_* */
	const struct log *log;
};

gh_status admin_server_new(
	const struct admin_server_config *config, struct admin_server **ret_server, gh_error *ret_err);
/* Cuts clients, removes the socket; accepts NULL.  Before the back end is closed. */
void admin_server_free(struct admin_server *server);

#endif
