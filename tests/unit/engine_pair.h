/* engine_pair.h - an engine and the client at its other end, joined in memory; the clock is a number.
 *
 * Drives the engine as a connection does: bytes not taken are kept and offered again only when the engine woke the
 * wire.  An engine that wakes without end, or takes bytes after it ended, trips an assert; so does one that asks for an
 * upgrade when it may not, or does not end with one.
 */
#ifndef GATEHOUSE_TESTS_ENGINE_PAIR_H
#define GATEHOUSE_TESTS_ENGINE_PAIR_H

#include "src/base/buf.h"
#include "tests/unit/core_double.h"

struct engine_pair {
	gh_wire wire;
	gh_worker *worker; /* borrowed */
	gh_engine *engine;
	struct buf held; /* sent by the client, not taken yet */
	struct buf got;  /* what the client received */
	uint64_t now_ms;
	uint64_t deadline_ms;
	size_t wake_count;
	bool woken;
	bool reading; /* the client takes what the engine has to say */
	bool finished;
	bool certificate; /* the client showed one */
	bool offering; /* inside the engine's input */
	/* The WebSocket upgrade.  After it nothing is offered to the engine any more: `held` is what it left untaken. */
	const char *subprotocol;  /* the one there is, in any case; NULL = none: GH_NOT_FOUND */
	gh_status upgrade_status; /* what is answered for that one */
	bool upgraded;
	size_t upgrade_count;                       /* times the engine asked */
	char upgrade_asked[400];                    /* for these sub-protocols, with blanks between them; cut to fit */
	char upgrade_key[100], upgrade_origin[100]; /* the last time */
};

/* NULL when the transport makes no engine. */
gh_engine *engine_pair_try(struct engine_pair *p, gh_worker *worker, const gh_transport *transport);
void engine_pair_init(struct engine_pair *p, gh_worker *worker, const gh_transport *transport);
void engine_pair_done(struct engine_pair *p);

/* The client sends; then everything runs until nothing is left to do. */
void engine_pair_send(struct engine_pair *p, gh_bytes bytes);
void engine_pair_run(struct engine_pair *p); /* after a callback of the core: acts only when the engine woke the wire */
void engine_pair_turn(struct engine_pair *p); /* for a reason of the wire's own: it became writable */
void engine_pair_hang_up(struct engine_pair *p);
/* Moves the clock on; deadlines on the way fire at their time. */
void engine_pair_wait(struct engine_pair *p, uint64_t ms);

#endif
