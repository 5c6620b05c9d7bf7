/* amqp_peer.h - who has proven who it is on one connection: identities by a token of their own, and tokens that are good for
 * more than one (device contract 5.3, 5.5).
 *
 * A renewed token opens a new link to the core and the old one is kept until all it submitted is settled, so a renewal loses no
 * acknowledgement; one that fails changes nothing.
 */
#ifndef GATEHOUSE_AMQP_PEER_H
#define GATEHOUSE_AMQP_PEER_H

#include "transports/amqp/amqp_address.h"
#include "transports/amqp/amqp_conn.h"

/* Something submitted; whoever owns it hears once. */
struct amqp_ticket {
	void (*settled)(struct amqp_ticket *ticket, gh_status status);
};

/* One link to the core: one credential of one peer. */
struct amqp_credential {
	struct amqp_credential *next; /* older */
	struct amqp_peer *peer;
	gh_link *link;
	size_t inflight;
	gh_status revoked; /* GH_OK = it holds */
};

struct amqp_peer {
	struct amqp_conn *conn;
	struct amqp_peer *next, *prev;
	struct amqp_credential *credentials; /* the newest speaks */
	bool lost;                           /* it may not speak any more */
	bool granted;                        /* by a token for more than one */
	uint8_t device_len, module_len;
	char text[];
};

static inline struct amqp_identity amqp_peer_identity(const struct amqp_peer *peer)
{
	const uint8_t *text = (const uint8_t *)peer->text;
	return (struct amqp_identity){{text, peer->device_len}, {text + peer->device_len, peer->module_len}};
}

/* The token is checked for that identity now, and from then on it speaks.  host: the OPEN's, empty before it. */
gh_status amqp_peer_prove(struct amqp_conn *c, const struct amqp_identity *identity, gh_bytes token, gh_error *ret_err);
/* A token that is no identity's own, good for the resource below the host ("/hub/ConsumerGroups/..."; empty = all of it);
 * `name` says which one it replaces. */
gh_status amqp_peer_grant(struct amqp_conn *c, gh_bytes name, gh_bytes resource, gh_bytes token, gh_error *ret_err);
/* Who of these readings may speak; a token for more than one is tried for those that have none. */
gh_status amqp_peer_admit(
	struct amqp_conn *c, const struct amqp_readings *readings, struct amqp_peer **ret_peer, gh_error *ret_err);

/* As gh_link_submit. */
gh_status amqp_peer_submit(struct amqp_peer *peer, const gh_draft *draft, struct amqp_ticket *ticket);

/* Forgets tokens for more than one identity that are good no more. */
void amqp_peer_recheck(struct amqp_conn *c);
/* Closes what is no longer needed; `lost` hears of each peer that may no longer speak, before it is freed. */
void amqp_peer_sweep(struct amqp_conn *c, void (*lost)(struct amqp_peer *peer, gh_status why));
void amqp_peer_free_all(struct amqp_conn *c);

#endif
