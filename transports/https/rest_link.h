/* rest_link.h - the identities one HTTP connection stays authenticated for, and what was submitted through them.
 *
 * Checking a token and reading an identity costs more than storing a small message, and a client sends the same token
 * with each request.  So the link it opened is kept, and found again by exactly the same device and token; the core
 * revokes it when the token ends or the identity or key is changed, and then it is found no more.
 */
#ifndef GATEHOUSE_HTTPS_REST_LINK_H
#define GATEHOUSE_HTTPS_REST_LINK_H

#include "transports/https/rest.h"

/* What one exchange submitted: as many records as messages, one answer. */
struct rest_send {
	struct rest_send *next, *prev;  /* in link->sends */
	struct rest_exchange *exchange; /* NULL = ended, nobody waits */
	struct rest_link *link;
	uint32_t waiting; /* records not settled */
	bool whole;       /* all of them were submitted */
	gh_status worst;
};

struct rest_link {
	struct rest_link *next, *prev; /* in conn->links, also when revoked */
	struct rest_conn *conn;
	gh_link *link;
	struct rest_send *sends;
	uint32_t users; /* exchanges that hold it */
	bool revoked;
	uint8_t device_len;
	uint16_t token_len;
	char text[]; /* device id, token */
};

struct rest_claim {
	gh_bytes device_id; /* decoded */
	gh_bytes token;     /* empty = none */
	gh_bytes client_info;
};

/* GH_OK: *ret_link is held until rest_link_release.  Else the refusal of gh_link_open, logged. */
gh_status rest_link_hold(struct rest_conn *conn, const struct rest_claim *claim, uint64_t now_ms,
	struct rest_link **ret_link, gh_error *ret_err);
/* A claim that is refused before the core is asked: logged and counted as one it refused. */
void rest_link_refused(struct rest_conn *conn, const struct rest_claim *claim, const gh_error *err);
void rest_link_release(struct rest_link *link);
/* From an engine call: closes those that were revoked and are done with. */
void rest_link_sweep(struct rest_conn *conn);
/* Closes all; no exchange holds any. */
void rest_link_close_all(struct rest_conn *conn);

/* One more message of the exchange, from the worker's draft.  GH_OK; GH_AGAIN: rest_exchange_writable follows; else
 * refused.  The exchange's send is made when it has none. */
gh_status rest_link_submit(struct rest_exchange *x, const gh_draft *draft, uint64_t now_ms);
/* That was the last one.  True: everything is settled already. */
bool rest_link_submitted(struct rest_exchange *x);
/* The exchange does not wait any more. */
void rest_link_forget(struct rest_exchange *x);

/* ---- what rest.c does when told ---- */

void rest_exchange_settled(struct rest_exchange *x, gh_status status);
void rest_exchange_writable(struct rest_conn *conn);

#endif
