/* mqtt_codec.h - MQTT 3.1.1 packets of a client as structs, and the few packets a server answers with.
 *
 * Pull style over borrowed bytes: nothing is copied, kept or allocated.  Strict in what one packet may look like
 * (flags, lengths, strings, ids); what may follow what is the session's business, what a topic means the topic file's.
 *
 * One rule of the standard is deliberately not kept here: a topic name may hold `+` and `#` [MQTT-3.3.2-2], because
 * device ids and raw property values may (device contract 2.1, 4.8).  For the same reason the shape of a filter is not
 * judged here.  The topic file decides both, where it knows which segment is an id.
 */
#ifndef GATEHOUSE_MQTT_CODEC_H
#define GATEHOUSE_MQTT_CODEC_H

#include <gatehouse/limits.h>

#include "src/base/buf.h"

enum mqtt_type {
	MQTT_CONNECT = 1,
	MQTT_CONNACK,
	MQTT_PUBLISH,
	MQTT_PUBACK,
	MQTT_PUBREC,
	MQTT_PUBREL,
	MQTT_PUBCOMP,
	MQTT_SUBSCRIBE,
	MQTT_SUBACK,
	MQTT_UNSUBSCRIBE,
	MQTT_UNSUBACK,
	MQTT_PINGREQ,
	MQTT_PINGRESP,
	MQTT_DISCONNECT,
	MQTT_TYPE_COUNT = 16
};

enum { MQTT_LEVEL = 4, MQTT_LEVEL_5 = 5 };

enum mqtt_connack {
	MQTT_CONNACK_ACCEPTED = 0,
	MQTT_CONNACK_LEVEL = 1,
	MQTT_CONNACK_UNAVAILABLE = 3,
	MQTT_CONNACK_REFUSED = 5,
};

enum { MQTT_SUBACK_FAILURE = 0x80 };

struct mqtt_connect {
	uint8_t level; /* not MQTT_LEVEL: nothing below was read */
	bool session_clean;
	bool will;
	bool will_retain;
	uint8_t will_qos;
	bool has_user_name;
	bool has_password;
	uint16_t keepalive_s;
	gh_bytes client_id;
	gh_bytes will_topic;
	gh_bytes will_body;
	gh_bytes user_name;
	gh_bytes password;
};

struct mqtt_publish {
	gh_bytes topic;
	gh_bytes body;
};

/* All bytes are borrowed from what was parsed. */
struct mqtt_packet {
	enum mqtt_type type;
	uint16_t packet_id; /* 0 = the packet has none */
	uint8_t qos;        /* PUBLISH: 0 to 2 */
	bool dup;
	bool retain;
	union {
		struct mqtt_connect connect;
		struct mqtt_publish publish;
		gh_bytes filters; /* SUBSCRIBE, UNSUBSCRIBE: walked with mqtt_codec_filter */
	};
};

/* How long the packet at the front is.
 * GH_OK: *ret_len bytes, head included; they need not be there yet.  GH_AGAIN: more bytes are needed to know.
 * GH_MALFORMED, GH_TOO_LARGE: as soon as the first bytes show it. */
gh_status mqtt_codec_length(gh_bytes bytes, const gh_limits *limits, size_t *ret_len);

/* Takes the packet at the front.  GH_OK: *ret_packet, and *ret_used bytes belong to it.  GH_AGAIN: it is not whole yet.
 * GH_MALFORMED: not a packet a client may send.  GH_TOO_LARGE: over a limit.  Nothing is written but on GH_OK. */
gh_status mqtt_codec_next(gh_bytes bytes, const gh_limits *limits, struct mqtt_packet *ret_packet, size_t *ret_used);

/* Takes the next filter off *filters, which came with a packet of that type.  *ret_qos is 0 for UNSUBSCRIBE.  False at
 * the end. */
bool mqtt_codec_filter(enum mqtt_type type, gh_bytes *filters, gh_bytes *ret_filter, uint8_t *ret_qos);

void mqtt_codec_put_connack(struct buf *out, enum mqtt_connack code, bool session_present);
/* A refusal a level 5 client can read: reason 0x84, unsupported protocol version. */
void mqtt_codec_put_connack_5(struct buf *out);
void mqtt_codec_put_puback(struct buf *out, uint16_t packet_id);
void mqtt_codec_put_suback(struct buf *out, uint16_t packet_id, gh_bytes codes);
void mqtt_codec_put_unsuback(struct buf *out, uint16_t packet_id);
void mqtt_codec_put_pingresp(struct buf *out);

#endif
