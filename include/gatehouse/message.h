/* gatehouse/message.h - the one common message: body, system properties, application properties.
 *
 * Every transport turns what it received into a gh_draft; the core stamps what only the hub may say (GH_BY_HUB below)
 * and freezes the draft into a gh_message, which is immutable, reference counted and knows nothing of packets, frames
 * or the spelling of topics.  Back ends keep its encoded form (docs/formats.md, "message record") as it is.
 *
 * Threads: a gh_draft belongs to one thread.  A gh_message may be shared; ref/unref are atomic, all reads are const.
 * Units: times are milliseconds since 1970-01-01T00:00:00Z unless the name says otherwise; sizes are bytes.
 */
#ifndef GATEHOUSE_MESSAGE_H
#define GATEHOUSE_MESSAGE_H

#include <gatehouse/error.h>
#include <gatehouse/limits.h>

#include <stddef.h>
#include <stdint.h>

/* A borrowed run of bytes; `data` may be NULL only when len is 0. */
typedef struct gh_bytes {
	const uint8_t *data;
	size_t len;
} gh_bytes;

/* System properties: X(enum, back-end name, who may set it).  The numbers are part of the stored form: append only. */
#define GH_PROPERTIES(X)                                                                                               \
	X(GH_PROP_MESSAGE_ID, 1, "message-id", GH_BY_CLIENT)                                                           \
	X(GH_PROP_CORRELATION_ID, 2, "correlation-id", GH_BY_CLIENT)                                                   \
	X(GH_PROP_USER_ID, 3, "user-id", GH_BY_CLIENT)                                                                 \
	X(GH_PROP_TO, 4, "to", GH_BY_CLIENT)                                                                           \
	X(GH_PROP_CONTENT_TYPE, 5, "content-type", GH_BY_CLIENT)                                                       \
	X(GH_PROP_CONTENT_ENCODING, 6, "content-encoding", GH_BY_CLIENT)                                               \
	X(GH_PROP_EXPIRY_TIME, 7, "absolute-expiry-time", GH_BY_CLIENT)                                                \
	X(GH_PROP_CREATION_TIME, 8, "iothub-creation-time-utc", GH_BY_CLIENT)                                          \
	X(GH_PROP_ACK, 9, "iothub-ack", GH_BY_CLIENT)                                                                  \
	X(GH_PROP_MESSAGE_SCHEMA, 10, "iothub-message-schema", GH_BY_CLIENT)                                           \
	X(GH_PROP_OPERATION, 11, "iothub-operation", GH_BY_CLIENT)                                                     \
	X(GH_PROP_OUTPUT_NAME, 12, "iothub-outputname", GH_BY_CLIENT)                                                  \
	X(GH_PROP_INTERFACE_ID, 13, "iothub-interface-id", GH_BY_CLIENT)                                               \
	X(GH_PROP_COMPONENT, 14, "dt-subject", GH_BY_CLIENT)                                                           \
	X(GH_PROP_DIAGNOSTIC_ID, 15, "Diagnostic-Id", GH_BY_CLIENT)                                                    \
	X(GH_PROP_CORRELATION_CONTEXT, 16, "Correlation-Context", GH_BY_CLIENT)                                        \
	X(GH_PROP_MODEL_ID, 17, "dt-dataschema", GH_BY_HUB)                                                            \
	X(GH_PROP_CONNECTION_DEVICE_ID, 18, "iothub-connection-device-id", GH_BY_HUB)                                  \
	X(GH_PROP_CONNECTION_MODULE_ID, 19, "iothub-connection-module-id", GH_BY_HUB)                                  \
	X(GH_PROP_AUTH_GENERATION_ID, 20, "iothub-connection-auth-generation-id", GH_BY_HUB)                           \
	X(GH_PROP_AUTH_METHOD, 21, "iothub-connection-auth-method", GH_BY_HUB)                                         \
	X(GH_PROP_ENQUEUED_TIME, 22, "iothub-enqueuedtime", GH_BY_HUB) /* RFC 3339 text */                             \
	X(GH_PROP_MESSAGE_SOURCE, 23, "iothub-message-source", GH_BY_HUB)

/* X(enum, stored number, JSON text): how the connection proved who it was (device contract 7.4).  Append only. */
#define GH_AUTH_METHODS(X)                                                                                             \
	X(GH_AUTH_NONE, 0, "")                                                                                         \
	X(GH_AUTH_DEVICE_SAS, 1,                                                                                       \
		"{\"scope\":\"device\",\"type\":\"sas\",\"issuer\":\"iothub\",\"acceptingIpFilterRule\":null}")        \
	X(GH_AUTH_MODULE_SAS, 2,                                                                                       \
		"{\"scope\":\"module\",\"type\":\"sas\",\"issuer\":\"iothub\",\"acceptingIpFilterRule\":null}")        \
	X(GH_AUTH_POLICY_SAS, 3,                                                                                       \
		"{\"scope\":\"hub\",\"type\":\"sas\",\"issuer\":\"iothub\",\"acceptingIpFilterRule\":null}")

typedef enum gh_auth_method {
#define X(id, number, json) id = number,
	GH_AUTH_METHODS(X)
#undef X
		GH_AUTH_METHOD_COUNT
} gh_auth_method;

/* X(enum, stored number, text): what made the message.  Append only. */
#define GH_SOURCES(X) X(GH_SOURCE_TELEMETRY, 1, "Telemetry")

typedef enum gh_source {
#define X(id, number, text) id = number,
	GH_SOURCES(X)
#undef X
		GH_SOURCE_COUNT
} gh_source;

enum gh_property_setter { GH_BY_CLIENT, GH_BY_HUB };

typedef enum gh_property_id {
	GH_PROP_APPLICATION = 0, /* not a system property: carries its own name */
#define X(id, number, name, by) id = number,
	GH_PROPERTIES(X)
#undef X
		GH_PROP_COUNT
} gh_property_id;

/* Back-end name of a system property; borrowed, static; NULL for GH_PROP_APPLICATION or an unknown number. */
const char *gh_property_name(gh_property_id id);

typedef struct gh_property {
	gh_property_id id; /* GH_PROP_APPLICATION: see name */
	gh_bytes name;     /* UTF-8; the back-end name for a system property */
	gh_bytes value;    /* UTF-8 */
} gh_property;

/* ---- draft: what a transport fills ---- */

/* Facts the transport saw on the wire and the hub reports as application properties (a client cannot forge those). */
enum gh_draft_flags {
	GH_DRAFT_RETAIN = 1 << 0, /* -> mqtt-retain=true */
	GH_DRAFT_DUP = 1 << 1,    /* -> mqtt-dup=true */
	GH_DRAFT_WILL = 1 << 2,   /* -> iothub-MessageType=Will */
};

typedef struct gh_draft gh_draft;

/* Returns an empty draft, or NULL without memory.  Meant to be kept and reused: gh_draft_reset empties it. */
gh_draft *gh_draft_new(const gh_limits *limits); /* borrowed until free: message_*_max */
void gh_draft_free(gh_draft *draft);             /* accepts NULL */
void gh_draft_reset(gh_draft *draft);

/* Sets a system property a client may set (asserts GH_BY_CLIENT); set twice, the last wins; empty = absent.  Copies.
 * GH_TOO_LARGE: over the draft's limits; GH_INVALID: not UTF-8 or, for message-id, a character or length not allowed.
 * The draft stays usable after an error. */
gh_status gh_draft_set(gh_draft *draft, gh_property_id id, gh_bytes value, gh_error *ret_err);

/* Adds an application property.  Names compare without case (ASCII); repeated, the last wins.  A name only the hub may
 * use (gh_name_is_reserved) is dropped without an error.  Empty names are GH_INVALID.  Errors as gh_draft_set. */
gh_status gh_draft_add(gh_draft *draft, gh_bytes name, gh_bytes value, gh_error *ret_err);

/* Borrows body until the draft is frozen or reset.  GH_TOO_LARGE: the counted size (body + values + names of
 * application properties) passes the limit. */
gh_status gh_draft_body(gh_draft *draft, gh_bytes body, gh_error *ret_err);
void gh_draft_flag(gh_draft *draft, unsigned flags); /* adds to those set */
/* The counted size so far. */
size_t gh_draft_size(const gh_draft *draft);

/* Would a back end take this application property name for something the hub itself said? */
bool gh_name_is_reserved(gh_bytes name);

/* ---- message ---- */

typedef struct gh_message gh_message;

/* What the hub says of a message; borrowed for the call, empty = absent. */
typedef struct gh_stamps {
	gh_bytes device_id;     /* required */
	gh_bytes module_id;     /* modules only */
	gh_bytes generation_id; /* required */
	gh_bytes model_id;
	gh_auth_method auth_method;
	gh_source source;
	uint64_t enqueued_ms;
	uint32_t partition_key; /* gh_partition_hash of the device id */
} gh_stamps;

/* Freezes draft + stamps into one allocation and returns it with one reference; NULL without memory.  Resets nothing:
 * the caller resets the draft. */
gh_message *gh_message_freeze(const gh_draft *draft, const gh_stamps *stamps);

/* Rebuilds a message from its encoded form (copies).  GH_MALFORMED when the bytes are not one whole record. */
gh_status gh_message_decode(gh_bytes encoded, gh_message **ret_message);

/* The encoded form (docs/formats.md); valid while a reference is held. */
gh_bytes gh_message_encoded(const gh_message *message);

gh_message *gh_message_ref(gh_message *message);
void gh_message_unref(gh_message *message); /* accepts NULL */

gh_bytes gh_message_body(const gh_message *message);
uint64_t gh_message_enqueued_ms(const gh_message *message);
uint32_t gh_message_partition_key(const gh_message *message);
gh_bytes gh_message_device_id(const gh_message *message);

/* Walks all properties, system ones first.  Start with a zeroed cursor; false at the end.  What is yielded is valid as
 * long as both message and cursor. */
typedef struct gh_cursor {
	size_t at;
	unsigned step;
	char time[32]; /* where the text of the enqueued time is made */
} gh_cursor;

bool gh_message_next(const gh_message *message, gh_cursor *cursor, gh_property *ret_property);
/* One system property; false when absent.  The cursor is scratch. */
bool gh_message_get(const gh_message *message, gh_property_id id, gh_cursor *cursor, gh_bytes *ret_value);

/* The published Event Hubs key hash: Jenkins lookup3 over the id, b XOR c, low 16 bits; the partition is
 * |(int16_t)hash % partitions| (service contract 4.7). */
uint32_t gh_partition_hash(gh_bytes device_id);
uint32_t gh_partition_of(uint32_t partition_key, uint32_t partitions);

#endif
