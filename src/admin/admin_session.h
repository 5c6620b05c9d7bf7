/* admin_session.h - one client of the admin socket, without the socket: bytes in, bytes out.
 *
 * Requests are lines, answered in order; a "tail" answers with one line per message, {"version":1,"record":{...}}, and
 * a last one as for any request.  What is wrong with one line is told and the next one is read; only a line that is
 * too long ends the session, since its end is not known.
 */
#ifndef GATEHOUSE_ADMIN_ADMIN_SESSION_H
#define GATEHOUSE_ADMIN_ADMIN_SESSION_H

#include "src/admin/manage.h"
#include "src/admin/tail.h"

struct admin_session;

/* All borrowed until the session is freed. */
struct admin_session_config {
	const struct manage *manage;
	struct tail_port *tail_port; /* NULL: tail is refused with tail_hint */
	const char *tail_hint;
	const gh_limits *limits;
};

struct admin_session *admin_session_new(const struct admin_session_config *config);
void admin_session_free(struct admin_session *session); /* accepts NULL */

/* How many bytes are welcome now. */
size_t admin_session_room(const struct admin_session *session);
/* len <= room. */
void admin_session_input(struct admin_session *session, const void *data, size_t len);

enum admin_step {
	ADMIN_INPUT, /* nothing to do before there is more input */
	ADMIN_FULL,  /* go on once output left */
	ADMIN_BUSY,  /* go on after tail_port_reap */
	ADMIN_QUIET, /* go on after TAIL_POLL_MS */
	ADMIN_ENDED, /* send what is left, then close */
};
/* Does what can be done, up to a bounded amount of output.  May block for a commit. */
enum admin_step admin_session_step(struct admin_session *session);

gh_bytes admin_session_output(const struct admin_session *session); /* valid until the next call */
void admin_session_output_done(struct admin_session *session, size_t len);

#endif
