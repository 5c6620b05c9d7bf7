/* mqtt_pair.h - what an engine_pair needs to speak MQTT. */
#ifndef GATEHOUSE_TESTS_MQTT_PAIR_H
#define GATEHOUSE_TESTS_MQTT_PAIR_H

#include "tests/unit/engine_pair.h"

void mqtt_pair_init(struct engine_pair *p, gh_worker *worker);

/* Bytes in a small language: hex pairs, 'text' in quotes, blanks ignored. */
void mqtt_bytes(struct buf *out, const char *text);
/* A packet: first byte, remaining length, body in that language. */
void mqtt_packet(struct buf *out, uint8_t first, const char *body);

void mqtt_pair_packet(struct engine_pair *p, uint8_t first, const char *body);

/* Whether the client got exactly these bytes since the last call. */
bool mqtt_pair_got(struct engine_pair *p, const char *text);

/* CONNECT flags and client id "dev1" with a user name that fits; will parts, when flagged, in the small language. */
void mqtt_pair_connect(struct engine_pair *p, uint8_t flags, uint16_t keepalive_s, const char *will);
/* The same as bytes: client id and user name as given. */
void mqtt_connect_bytes(struct buf *out, uint8_t flags, uint16_t keepalive_s, const char *client_id, const char *will,
	const char *user_name);

#endif
