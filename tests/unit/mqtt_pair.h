/* mqtt_pair.h - an MQTT engine and the client at its other end, joined in memory; the clock is a number.
 *
 * Drives the engine as a connection does: bytes not taken are kept and offered again only when the engine woke the
 * wire.  An engine that wakes without end, or takes bytes after it ended, trips an assert.
 */
#ifndef GATEHOUSE_TESTS_MQTT_PAIR_H
#define GATEHOUSE_TESTS_MQTT_PAIR_H

#include "src/base/buf.h"
#include "tests/unit/core_double.h"

struct mqtt_pair {
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
};

void mqtt_pair_init(struct mqtt_pair *p, gh_worker *worker);
void mqtt_pair_done(struct mqtt_pair *p);

/* Bytes in a small language: hex pairs, 'text' in quotes, blanks ignored. */
void mqtt_bytes(struct buf *out, const char *text);
/* A packet: first byte, remaining length, body in that language. */
void mqtt_packet(struct buf *out, uint8_t first, const char *body);

/* The client sends; then everything runs until nothing is left to do. */
void mqtt_pair_send(struct mqtt_pair *p, gh_bytes bytes);
void mqtt_pair_packet(struct mqtt_pair *p, uint8_t first, const char *body);
void mqtt_pair_run(struct mqtt_pair *p);  /* after a callback of the core: acts only when the engine woke the wire */
void mqtt_pair_turn(struct mqtt_pair *p); /* for a reason of the wire's own: it became writable */
void mqtt_pair_hang_up(struct mqtt_pair *p);
/* Moves the clock on; deadlines on the way fire at their time. */
void mqtt_pair_wait(struct mqtt_pair *p, uint64_t ms);

/* Whether the client got exactly these bytes since the last call. */
bool mqtt_pair_got(struct mqtt_pair *p, const char *text);

/* CONNECT flags and client id "dev1" with a user name that fits; will parts, when flagged, in the small language. */
void mqtt_pair_connect(struct mqtt_pair *p, uint8_t flags, uint16_t keepalive_s, const char *will);
/* The same as bytes: client id and user name as given. */
void mqtt_connect_bytes(struct buf *out, uint8_t flags, uint16_t keepalive_s, const char *client_id, const char *will,
	const char *user_name);

#endif
