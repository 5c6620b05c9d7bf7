/* conn.h - one accepted stream <-> one engine: moves bytes between the socket, TLS and the engine, and keeps deadlines.
 *
 * It knows nothing of what the bytes mean.  An idle connection owns no buffer: what arrives and what leaves passes through
 * the conn_env, which all connections of one listener on one worker share.
 * Threads: everything on the loop's thread.
 */
#ifndef GATEHOUSE_IO_CONN_H
#define GATEHOUSE_IO_CONN_H

#include <gatehouse/transport.h>

#include "src/base/log.h"
#include "src/io/descriptors.h"
#include "src/io/loop.h"
#include "src/io/socket.h"
#include "src/base/throttle.h"
#include "src/io/tls_conn.h"
#include "src/io/web.h"

struct conn;

struct conn_env {
	struct loop *loop;
	struct gh_worker *worker;
	const char *name;                      /* the listener's, for the log */
	const gh_transport *const *transports; /* told apart as alpn.h has it */
	const gh_limits *limits;
	const struct log *log;
	struct descriptors *descriptors; /* what is left for connections; NULL = not counted */
	/* For streams that become WebSockets; NULL, both = none does here. */
	struct web *web;
	const struct web_rules *web_rules;
	/* A connection of this client is gone. */
	void (*gone)(struct conn_env *env, const struct socket_client *client);

	/* the rest is conn.c's */
	struct tls_io io;
	uint8_t *cipher;
	uint8_t *plain;
	struct conn *first;
	size_t count;
	struct throttle failures;
};

/* The fields above the line are set by the caller.  False without memory; conn_env_done is right then, too. */
bool conn_env_init(struct conn_env *env);
void conn_env_done(struct conn_env *env); /* no connection is left */

/* Takes fd.  False without memory: fd is closed, `gone` is not called. */
bool conn_open(struct conn_env *env, int fd, const struct socket_address *address, struct tls_context *tls);
/* Asks every engine to end in good order; cuts those whose handshake is not over. */
void conn_drain_all(struct conn_env *env, uint64_t now_ms);
void conn_cut_all(struct conn_env *env, uint64_t now_ms);

#endif
