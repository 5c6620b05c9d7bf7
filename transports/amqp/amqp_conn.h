/* amqp_conn.h - what the files of one AMQP connection share.  Proton keeps frames, sessions, links and deliveries; here stands
 * who may speak on them, what they mean, and who waits for whom.
 *
 *   amqp.c          the engine: bytes to frames to Proton, its events to those below, deadlines
 *   amqp_sasl.c     the mechanisms
 *   amqp_node.c     links: what an address is, whether it may be attached, refusals
 *   amqp_cbs.c      put-token: requests in, replies out
 *   amqp_events.c   telemetry: deliveries in, dispositions out, credit
 *   amqp_peer.c     the identities that have proven themselves on this connection
 *   amqp_error.c    conditions
 */
#ifndef GATEHOUSE_AMQP_CONN_H
#define GATEHOUSE_AMQP_CONN_H

#include <gatehouse/core.h>

#include <proton/connection.h>
#include <proton/connection_driver.h>
#include <proton/delivery.h>
#include <proton/disposition.h>
#include <proton/link.h>
#include <proton/session.h>
#include <proton/terminus.h>
#include <proton/transport.h>

#include "src/base/buf.h"
#include "transports/amqp/amqp_frames.h"

struct amqp_peer;
struct amqp_grant;
struct amqp_node;
struct amqp_events_ticket;

struct amqp_conn {
	gh_engine engine;
	gh_worker *worker;
	gh_wire *wire;
	pn_connection_driver_t driver;
	struct amqp_frames frames;
	struct amqp_frame frame; /* what Proton is being given */
	struct amqp_peer *peers; /* identities, newest first */
	size_t peer_count;
	struct amqp_grant *grants; /* tokens for more than one identity */
	size_t grant_count;
	struct amqp_node *nodes; /* links that are served */
	size_t node_count;
	struct amqp_events_ticket
		*tickets;          /* deliveries that are not settled yet, and those nobody waits for any more */
	struct amqp_node *blocked; /* those whose message waits for room, first come first */
	size_t partial_bytes;      /* of deliveries that are under way, all links together */
	const char *why;           /* set: it ends, or has ended, for this reason */
	gh_bytes refusal;          /* what is said to who speaks another protocol, instead of all else */
	uint32_t reply_tag;
	uint64_t now_ms;
	uint64_t since_ms; /* nobody has proven who it is since then */
	bool input_over;
	bool held; /* input was not taken whole */
	bool room; /* there may be room again */
	bool draining;
	bool sweeping; /* a peer or one of its links is to be closed */
};

static inline const gh_limits *amqp_limits(const struct amqp_conn *c)
{
	return gh_worker_limits(c->worker);
}

/* Sessions and links, of which refused ones count until they are detached. */
static inline size_t amqp_places_limit(const gh_limits *limits)
{
	return limits->amqp_sessions_max + 2 * limits->amqp_links_max;
}

static inline void amqp_wake(struct amqp_conn *c)
{
	c->wire->ops->wake(c->wire);
}

#endif
