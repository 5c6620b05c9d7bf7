/* amqp_pair.h - an AMQP engine joined in memory to a client that is Proton itself, over the core double; the clock is a
 * number.  What the client is told is kept in a few words. */
#ifndef GATEHOUSE_TESTS_AMQP_PAIR_H
#define GATEHOUSE_TESTS_AMQP_PAIR_H

#include "tests/unit/engine_pair.h"

#include <proton/connection.h>
#include <proton/connection_driver.h>
#include <proton/delivery.h>
#include <proton/link.h>
#include <proton/sasl.h>
#include <proton/session.h>
#include <proton/terminus.h>
#include <proton/transport.h>

struct amqp_pair {
	struct engine_pair engine;
	pn_connection_driver_t client;
	char words
		[4096]; /* of the client's events: "open begin attach detach:amqp:not-found", one blank between them */
	pn_link_t *requests, *replies;
	bool deaf;  /* the client does not hear */
	bool batch; /* the deliveries it begins are batches: Proton knows no message-format but 0 */
};

/* SASL: the mechanism the client insists on; NULL = it speaks none.  password may be NULL. */
struct amqp_pair_login {
	const char *mechanism, *user, *password, *host;
	uint32_t frame_max, idle_ms;
	bool certificate;
};

/* Makes both ends and lets them speak until nothing is left to say. */
void amqp_pair_init(struct amqp_pair *p, gh_worker *worker, const struct amqp_pair_login *login);
void amqp_pair_done(struct amqp_pair *p);
void amqp_pair_run(struct amqp_pair *p);
/* Moves the clock on for both, whose deadlines fire at their time. */
void amqp_pair_wait(struct amqp_pair *p, uint64_t ms);
/* Whether these are the words since the last call. */
bool amqp_pair_heard(struct amqp_pair *p, const char *words);

pn_session_t *amqp_pair_begin(struct amqp_pair *p);
/* Opened, not yet heard of. */
pn_link_t *amqp_pair_sender(pn_session_t *session, const char *name, const char *address);
pn_link_t *amqp_pair_receiver(pn_session_t *session, const char *name, const char *address);

/* Sends bytes as one delivery that is unsettled and whole. */
pn_delivery_t *amqp_pair_send(pn_link_t *link, gh_bytes bytes);
/* The same, text as in amqp_bytes.h. */
pn_delivery_t *amqp_pair_send_text(pn_link_t *link, const char *text);

/* Both links of CBS, in a session of their own. */
void amqp_pair_cbs(struct amqp_pair *p);
/* put-token; the status code of the reply, 0 when none came. */
int amqp_pair_put_token(struct amqp_pair *p, const char *name, const char *token);
/* The next reply as bytes, in room; empty when none came. */
gh_bytes amqp_pair_reply(struct amqp_pair *p, uint8_t *room, size_t size);
/* The status code in an encoded reply, 0 when there is none. */
int amqp_pair_status_code(gh_bytes reply);

/* A proven "dev1" and its link for events, with credit. */
pn_link_t *amqp_pair_events(struct amqp_pair *p);

/* What became of a delivery: "accepted", "rejected:amqp:...", "released", or "" while nothing did. */
const char *amqp_pair_outcome(pn_delivery_t *delivery, char *room, size_t size);

#endif
