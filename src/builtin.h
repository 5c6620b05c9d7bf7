/* builtin.h - the transports and back ends this program is built with.  builtin.c is the one file that names them. */
#ifndef GATEHOUSE_BUILTIN_H
#define GATEHOUSE_BUILTIN_H

#include <gatehouse/backend.h>
#include <gatehouse/store.h>
#include <gatehouse/transport.h>

struct web;
struct web_rules;

struct builtin {
	const gh_store_ops *store;
	const gh_backend_ops *backend;
	/* The transports of each kind of listener: NULL-terminated, the first for who selects no ALPN name, later ones
	 * preferred to earlier ones by those who do. */
	const gh_transport *const *mqtt;
	const gh_transport *const *amqp;
	const gh_transport *const *https;
	/* Those a stream may become as a WebSocket, on the https listener; and what makes them one. */
	const gh_transport *const *websocket;
	gh_status (*websocket_new)(const struct web_rules *rules, struct web *web, struct gh_worker *worker,
		gh_wire *wire, const gh_upgrade *upgrade, uint64_t now_ms, gh_engine **ret_engine);
	/* What recovery found when the store was opened, "" = nothing; borrowed from the store. */
	const char *(*recovery)(const gh_store *store);
};

extern const struct builtin builtin;

#endif
