/* mqtt_session.h - one MQTT connection from its first byte to its last: what may follow what, who waits for whom.
 *
 * It takes packets from the codec, asks the topic file what they mean, hands messages and subscriptions to the core,
 * and answers in order once the core says they are kept.  It is not the device session, which outlives connections and
 * belongs to the core, and it does no I/O.
 *
 * Twin reads, reported properties and method answers are topics of the contract that nothing serves yet: at QoS 1 they
 * are acknowledged, as their senders wait for that, and nothing answers them.  Subscriptions are kept, nothing is
 * delivered.
 *
 * Small when idle: the partial packet, the queue of answers and the output are allocated when needed; while a
 * connection is busy they stay, and the tick after it fell silent frees them.
 */
#ifndef GATEHOUSE_MQTT_SESSION_H
#define GATEHOUSE_MQTT_SESSION_H

#include <gatehouse/core.h>

#include "src/base/buf.h"
#include "transports/mqtt/mqtt_answers.h"

struct mqtt_identity;
struct mqtt_will;

/* To be read by the session's own file, but for out and why. */
struct mqtt_session {
	gh_worker *worker;
	gh_wire *wire;
	gh_link *link;                  /* from gh_link_open until the end */
	struct mqtt_identity *identity; /* as long as link */
	struct mqtt_will *will;         /* NULL = none, or no longer to be published */
	const char *why;                /* set: it ends, or has ended, for this reason */
	uint64_t now_ms;                /* of the last engine call */
	uint64_t heard_ms;              /* last bytes of the client; its first moment before it is open */
	uint64_t armed_ms;              /* the deadline tick last returned; may be early, never late.  0 = not known */
	struct mqtt_answers answers;
	struct buf in; /* the front of a packet that is not whole yet */
	struct buf out;
	uint32_t keepalive_ms;
	uint8_t phase;
	bool held;        /* the last input was not taken whole: silence is ours, not the client's */
	bool blocked;     /* the core had no room; it will call writable */
	bool subscribing; /* a change of subscriptions is not settled yet */
	bool session_clean;
};

void mqtt_session_init(struct mqtt_session *s, gh_worker *worker, gh_wire *wire, uint64_t now_ms);
void mqtt_session_done(struct mqtt_session *s); /* at any moment; publishes the will of a session that had not ended */

/* As the functions of gh_engine_ops. */
size_t mqtt_session_input(struct mqtt_session *s, gh_bytes bytes, uint64_t now_ms);
void mqtt_session_input_end(struct mqtt_session *s, uint64_t now_ms);
void mqtt_session_output_done(struct mqtt_session *s, size_t len);
uint64_t mqtt_session_tick(struct mqtt_session *s, uint64_t now_ms);
bool mqtt_session_is_ended(const struct mqtt_session *s);
void mqtt_session_drain(struct mqtt_session *s, uint64_t now_ms);

#endif
