/* mqtt_answers.h - the answers a connection owes, in the order of the packets that asked for them.
 *
 * One queue for PUBACK, SUBACK and UNSUBACK: an entry goes in when its packet was handed on, is settled whenever the
 * core says so, and comes out only when everything before it has.  A QoS 0 publish has an entry too, without an answer:
 * it counts against the limit and the deadline like any other.
 *
 * Entries are named by a running number, so that the ring may move while the core holds one.  An empty ring costs
 * nothing once mqtt_answers_shrink was called.
 */
#ifndef GATEHOUSE_MQTT_ANSWERS_H
#define GATEHOUSE_MQTT_ANSWERS_H

#include <stdbool.h>
#include <stdint.h>

struct buf;

enum mqtt_answer_kind { MQTT_ANSWER_NONE, MQTT_ANSWER_PUBACK, MQTT_ANSWER_SUBACK, MQTT_ANSWER_UNSUBACK };

struct mqtt_answer {
	uint64_t since_ms;
	uint8_t *packet; /* MQTT_ANSWER_SUBACK: the whole packet, owned */
	uint16_t packet_len;
	uint16_t packet_id;
	uint8_t kind;
	bool settled;
};

struct mqtt_answers {
	struct mqtt_answer *ring;
	uint32_t first; /* number of the oldest entry */
	uint32_t count;
	uint32_t cap; /* power of two, 0 = nothing allocated */
};

void mqtt_answers_done(struct mqtt_answers *a);   /* frees; usable again, numbers go on */
void mqtt_answers_shrink(struct mqtt_answers *a); /* frees the ring when it is empty */
/* Makes room for one more; false without memory. */
bool mqtt_answers_reserve(struct mqtt_answers *a);
/* The number the next entry will have. */
uint32_t mqtt_answers_next(const struct mqtt_answers *a);
/* Room must have been reserved.  Takes answer.packet. */
void mqtt_answers_push(struct mqtt_answers *a, struct mqtt_answer answer);
/* Marks entry `number` (of those in the queue) as settled; returns what it answers. */
enum mqtt_answer_kind mqtt_answers_settle(struct mqtt_answers *a, uint32_t number);
/* Writes every answer whose turn has come. */
void mqtt_answers_write(struct mqtt_answers *a, struct buf *out);
/* When the oldest entry went in; the queue must not be empty. */
uint64_t mqtt_answers_since(const struct mqtt_answers *a);

#endif
