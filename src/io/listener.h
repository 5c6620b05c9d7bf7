/* listener.h - accepts on one address for one worker; the ALPN name says which of its transports' engines is put on top.
 *
 * The sockets of all workers share the port through SO_REUSEPORT; because a second program could share it silently as
 * well, listener_probe binds without that option first.
 */
#ifndef GATEHOUSE_IO_LISTENER_H
#define GATEHOUSE_IO_LISTENER_H

#include <gatehouse/core.h>
#include <gatehouse/transport.h>

#include "src/base/log.h"
#include "src/io/descriptors.h"
#include "src/io/loop.h"
#include "src/io/tls.h"
#include "src/io/web.h"

/* One listening address, shared by all workers: counts connections over all of them. */
struct listener_group;

struct listener_config {
	const char *name;    /* "mqtt": its key in the configuration, its option --mqtt-port; not copied */
	const char *address; /* "127.0.0.1", "::", "0.0.0.0" */
	uint16_t port;       /* 0 = pick a free one */
	const gh_transport *const *transports; /* as alpn.h has it; the TLS context answers with their names */
	struct descriptors *descriptors;       /* what is left for connections; NULL = not counted */
	const struct web_rules *web_rules;     /* what streams may become as WebSockets; NULL = none here */
	const gh_limits *limits;
	const struct log *log;
};

/* Probes the port and reserves it.  The error says which address and port, and what to do when it may not be bound. */
gh_status listener_group_new(const struct listener_config *config, struct tls_context *tls,
	struct listener_group **ret_group, gh_error *ret_err);
uint16_t listener_group_port(const struct listener_group *group);
/* New connections use the new context from now on; any thread. */
void listener_group_set_tls(struct listener_group *group, struct tls_context *tls);
void listener_group_free(struct listener_group *group);                  /* accepts NULL; no listener is left */
uint64_t listener_group_connections(const struct listener_group *group); /* any thread */

/* Whether its listeners need the worker's web. */
bool listener_group_takes_websockets(const struct listener_group *group);

struct listener;
/* One per worker, on its thread or before it runs.  Borrows web, which may be NULL where no WebSockets are taken. */
gh_status listener_new(struct listener_group *group, struct loop *loop, gh_worker *worker, struct web *web,
	struct listener **ret_listener, gh_error *ret_err);
/* Stops accepting, asks each connection to drain; they end by themselves or at cut. */
void listener_drain(struct listener *listener, uint64_t now_ms);
size_t listener_connections(const struct listener *listener);
/* Cuts what is left and frees. */
void listener_free(struct listener *listener);

#endif
