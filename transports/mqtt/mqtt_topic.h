/* mqtt_topic.h - the names a device spells over MQTT, and what they mean: user name, topics, filters, property names.
 *
 * Ids are literal everywhere: never percent-decoded, never a pattern; a `+` or `#` inside one is a character like any
 * other (device contract 2.1).  Fixed segments are compared exactly, case included.  Nothing here keeps state or knows
 * of packets.
 */
#ifndef GATEHOUSE_MQTT_TOPIC_H
#define GATEHOUSE_MQTT_TOPIC_H

#include <gatehouse/core.h>
#include <gatehouse/message.h>

enum { MQTT_ID_BYTES_MAX = 128 }; /* device contract 2.1 */

/* Who speaks on a connection: the device id, then the module id, empty for a device. */
struct mqtt_identity {
	uint8_t device_len;
	uint8_t module_len;
	uint8_t ids[];
};

/* Copies; ids of at most MQTT_ID_BYTES_MAX bytes.  NULL without memory; freed with free(). */
struct mqtt_identity *mqtt_identity_new(gh_bytes device_id, gh_bytes module_id);

/* What CONNECT says of the client.  Borrowed from the user name, but for the last two, which live in the scratch. */
struct mqtt_user {
	gh_bytes host;
	gh_bytes device_id;
	gh_bytes module_id;
	gh_bytes model_id;
	gh_bytes client_info;
};

/* Device contract 4.2.  The client id tells whether the third segment is a module.  scratch holds user_name.len bytes.
 * GH_INVALID: bad form, or an id out of bounds.  GH_UNAUTHORIZED: the client id is not the identity of the user name. */
gh_status mqtt_topic_user(
	gh_bytes user_name, gh_bytes client_id, uint8_t *scratch, struct mqtt_user *ret_user, gh_error *ret_err);

enum mqtt_topic {
	MQTT_TOPIC_TELEMETRY, /* the identity's own, with a property bag */
	MQTT_TOPIC_REQUEST,   /* twin reads, reported properties, method answers */
	MQTT_TOPIC_OTHER,     /* anything else, another identity's among it */
};

/* Device contract 4.8.  *ret_bag (trimmed, borrowed) is written for telemetry only. */
enum mqtt_topic mqtt_topic_of(const struct mqtt_identity *identity, gh_bytes topic, gh_bytes *ret_bag);

/* Decodes the bag into the draft.  GH_INVALID, GH_TOO_LARGE: as gh_draft_set and gh_draft_add. */
gh_status mqtt_topic_properties(gh_bytes bag, gh_draft *draft, gh_error *ret_err);

/* Makes an empty draft the telemetry of a bag, a body (borrowed as gh_draft_body does) and gh_draft_flags. */
gh_status mqtt_topic_draft(gh_bytes bag, gh_bytes body, unsigned flags, gh_draft *draft);

enum mqtt_filter {
	MQTT_FILTER_KNOWN,
	MQTT_FILTER_SILENT, /* granted, and nothing ever comes */
	MQTT_FILTER_UNKNOWN,
	MQTT_FILTER_FOREIGN,   /* names another identity */
	MQTT_FILTER_MALFORMED, /* breaks the grammar of wildcards [MQTT-4.7.1-2] [MQTT-4.7.1-3] */
};

/* Device contract 4.7.  *ret_kind is written for MQTT_FILTER_KNOWN only. */
enum mqtt_filter mqtt_topic_filter(
	const struct mqtt_identity *identity, gh_bytes filter, enum gh_subscription *ret_kind);

#endif
