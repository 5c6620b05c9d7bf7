/* amqp_message.h - encoded AMQP 1.0 messages (AMQP 3.2) and what they mean here: telemetry, batches, requests.
 *
 * An encoded message is the whole payload of one delivery.  Everything read is borrowed from it; nothing is copied but
 * into the draft.  Frames, links and settlement are not known here.
 *
 * Faults: GH_MALFORMED when the bytes are no message (code amqp_value, amqp_section, amqp_body, amqp_batch), GH_INVALID
 * when a field has a type it cannot have (amqp_field); a draft adds its own.
 */
#ifndef GATEHOUSE_WIRE_AMQP_MESSAGE_H
#define GATEHOUSE_WIRE_AMQP_MESSAGE_H

#include "src/base/buf.h"

/* In the order in which they may come (AMQP 3.2).  The first six and the footer at most once. */
enum amqp_section {
	AMQP_HEADER,
	AMQP_DELIVERY_ANNOTATIONS,
	AMQP_MESSAGE_ANNOTATIONS,
	AMQP_PROPERTIES,
	AMQP_APPLICATION_PROPERTIES,
	AMQP_BODY_DATA,     /* none or more */
	AMQP_BODY_SEQUENCE, /* none or more */
	AMQP_BODY_VALUE,
	AMQP_FOOTER,
	AMQP_SECTION_COUNT
};

/* A section is its descriptor and its value; of data and of sequences it is the whole run.  Empty = absent. */
struct amqp_message {
	gh_bytes sections[AMQP_SECTION_COUNT];
	size_t data_count;
	size_t data_bytes; /* what they hold together */
};

/* Walks all sections.  The body is of one kind or missing.  What lies inside a section is not looked at. */
gh_status amqp_message_sections(gh_bytes encoded, struct amqp_message *ret_message, gh_error *ret_err);

/* What the next data section holds.  Start with rest = sections[AMQP_BODY_DATA]; false at the end. */
bool amqp_message_data_next(gh_bytes *rest, gh_bytes *ret_data);

/* ---- telemetry (device contract 5.6) ---- */

struct amqp_sender {
	gh_bytes device_id;
	gh_bytes module_id; /* empty = a device */
};

/* Fills an empty draft.  One data section is borrowed by the draft; several are joined in `joined` (cleared first), which
 * the draft then borrows instead.  A body that is no data is GH_MALFORMED.  The draft may be half filled on an error. */
gh_status amqp_message_draft(
	gh_bytes encoded, const struct amqp_sender *sender, struct buf *joined, gh_draft *draft, gh_error *ret_err);

/* ---- batches (device contract 5.7) ---- */

/* Of a delivery whose message-format says so: each data section is an encoded message, but never again a batch. */
#define AMQP_BATCH_FORMAT 0x80013700u

/* Reads the outer message; its data_count is the number of messages, at least 1. */
gh_status amqp_message_batch(gh_bytes encoded, struct amqp_message *ret_outer, gh_error *ret_err);

/* The next message, for amqp_message_draft.  Start with rest = sections[AMQP_BODY_DATA]; false at the end. */
bool amqp_message_batch_next(gh_bytes *rest, gh_bytes *ret_encoded);

/* ---- requests and their replies (device contract 5.3) ---- */

/* All borrowed, empty when absent or of another type: what a request needs is for whoever serves it to say, in a reply. */
struct amqp_request {
	gh_bytes message_id; /* an encoded value, for the reply */
	gh_bytes reply_to;
	gh_bytes operation;
	gh_bytes type;
	gh_bytes name;
	gh_bytes body; /* of a string, or of the one data section */
};

gh_status amqp_request_read(gh_bytes encoded, struct amqp_request *ret_request, gh_error *ret_err);

/* Appends an encoded message; correlation_id is the request's message_id as it was. */
void amqp_reply_put(struct buf *b, gh_bytes correlation_id, int32_t status_code, gh_bytes status_description);

#endif
