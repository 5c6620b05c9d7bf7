/* amqp_message.c - sections in order, then one table per section that means something to us. */
#include "src/wire/amqp_message.h"

#include "src/base/text.h"
#include "src/wire/amqp_value.h"
#include "src/wire/events_path.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* ---- sections ---- */

static const struct {
	uint64_t code;
	const char *name;
	enum amqp_type type;
	bool many;
} message_sections[AMQP_SECTION_COUNT] = {
	[AMQP_HEADER] = {0x70, "amqp:header:list", AMQP_LIST, false},                               /* 3.2.1 */
	[AMQP_DELIVERY_ANNOTATIONS] = {0x71, "amqp:delivery-annotations:map", AMQP_MAP, false},     /* 3.2.2 */
	[AMQP_MESSAGE_ANNOTATIONS] = {0x72, "amqp:message-annotations:map", AMQP_MAP, false},       /* 3.2.3 */
	[AMQP_PROPERTIES] = {0x73, "amqp:properties:list", AMQP_LIST, false},                       /* 3.2.4 */
	[AMQP_APPLICATION_PROPERTIES] = {0x74, "amqp:application-properties:map", AMQP_MAP, false}, /* 3.2.5 */
	[AMQP_BODY_DATA] = {0x75, "amqp:data:binary", AMQP_BINARY, true},                           /* 3.2.6 */
	[AMQP_BODY_SEQUENCE] = {0x76, "amqp:amqp-sequence:list", AMQP_LIST, true},                  /* 3.2.7 */
	[AMQP_BODY_VALUE] = {0x77, "amqp:amqp-value:*", AMQP_NULL /* any */, false},                /* 3.2.8 */
	[AMQP_FOOTER] = {0x78, "amqp:footer:map", AMQP_MAP, false},                                 /* 3.2.9 */
};

static gh_status message_cut(gh_error *ret_err)
{
	return gh_fail(ret_err, GH_MALFORMED, "amqp_value", "a value is cut or of no known form");
}

/* AMQP_SECTION_COUNT when it is none. */
static enum amqp_section section_of(const struct amqp_value *value)
{
	const struct amqp_descriptor *d = &value->descriptor;
	for (size_t i = 0; d->depth && i < AMQP_SECTION_COUNT; i++)
		if (d->name.data ? text_equal(d->name, text_of(message_sections[i].name))
				 : d->code == message_sections[i].code)
			return (enum amqp_section)i;
	return AMQP_SECTION_COUNT;
}

static bool section_is_body(enum amqp_section section)
{
	return section >= AMQP_BODY_DATA && section <= AMQP_BODY_VALUE;
}

/* May it come behind `last` (AMQP_SECTION_COUNT = nothing yet)?  The three kinds of a body exclude each other. */
static bool section_may_follow(enum amqp_section section, enum amqp_section last)
{
	if (last == AMQP_SECTION_COUNT || (section_is_body(last) && section == AMQP_FOOTER))
		return true;
	if (section == last)
		return message_sections[section].many;
	return section > last && !section_is_body(last);
}

/* Only the body of one value may be described once more. */
static bool section_fits(enum amqp_section section, const struct amqp_value *value)
{
	return section == AMQP_BODY_VALUE ||
	       (message_sections[section].type == value->type && value->descriptor.depth == 1);
}

static gh_status section_take(
	const struct amqp_value *value, enum amqp_section *last, struct amqp_message *message, gh_error *ret_err)
{
	enum amqp_section section = section_of(value);
	if (section == AMQP_SECTION_COUNT)
		return gh_fail(ret_err, GH_MALFORMED, "amqp_section", "a section is none of a message");
	if (!section_fits(section, value))
		return gh_fail(ret_err, GH_MALFORMED, "amqp_section", "%s holds something else",
			message_sections[section].name);
	if (!section_may_follow(section, *last))
		return gh_fail(ret_err, GH_MALFORMED, "amqp_section", "%s stands where it may not",
			message_sections[section].name);
	gh_bytes *span = &message->sections[section];
	*span = (gh_bytes){span->len ? span->data : value->encoded.data, span->len + value->encoded.len};
	if (section == AMQP_BODY_DATA) {
		message->data_count++;
		message->data_bytes += value->bytes.len;
	}
	*last = section;
	return GH_OK;
}

gh_status amqp_message_sections(gh_bytes encoded, struct amqp_message *ret_message, gh_error *ret_err)
{
	struct amqp_message message = {.data_count = 0};
	enum amqp_section last = AMQP_SECTION_COUNT;
	struct reader r = reader_of(encoded);
	while (reader_left(&r) > 0) {
		struct amqp_value value;
		if (!amqp_value_read(&r, &value))
			return message_cut(ret_err);
		gh_status status = section_take(&value, &last, &message, ret_err);
		if (status != GH_OK)
			return status;
	}
	*ret_message = message;
	return GH_OK;
}

/* The value of a section that section_take accepted. */
static struct amqp_value section_value(gh_bytes section)
{
	struct reader r = reader_of(section);
	struct amqp_value value;
	bool whole = amqp_value_read(&r, &value);
	assert(whole);
	return value;
}

/* Its items; none when it is absent. */
static struct amqp_items section_items(const struct amqp_message *message, enum amqp_section section)
{
	gh_bytes span = message->sections[section];
	return span.len ? section_value(span).items : (struct amqp_items){.left = 0};
}

bool amqp_message_data_next(gh_bytes *rest, gh_bytes *ret_data)
{
	if (rest->len == 0)
		return false;
	struct amqp_value value = section_value(*rest);
	*ret_data = value.bytes;
	*rest = (gh_bytes){rest->data + value.encoded.len, rest->len - value.encoded.len};
	return true;
}

/* ---- values as text ---- */

enum { MESSAGE_TEXT_MAX = 40 }; /* a uuid is the longest that is not borrowed */

static gh_bytes text_of_uuid(const uint8_t uuid[16], char *room)
{
	static const uint8_t groups[] = {4, 2, 2, 2, 6};
	char *out = room;
	for (size_t i = 0; i < sizeof groups; i++) {
		text_hex_encode(uuid, groups[i], out);
		uuid += groups[i];
		out += 2 * groups[i];
		*out++ = '-';
	}
	return (gh_bytes){(const uint8_t *)room, (size_t)(out - room) - 1};
}

/* Empty for a moment that has no such text: before 1970 or after 9999. */
static gh_bytes text_of_timestamp(int64_t wall_ms, char *room)
{
	if (wall_ms < 0 || wall_ms > 253402300799999)
		return (gh_bytes){NULL, 0};
	text_time((uint64_t)wall_ms, room);
	return text_of(room);
}

/* Borrows from the value, or from room; empty for a type that has no text here. */
static gh_bytes message_text(const struct amqp_value *value, char room[MESSAGE_TEXT_MAX])
{
	switch (value->type) {
	case AMQP_STRING:
	case AMQP_SYMBOL:
	case AMQP_BINARY:
		return value->bytes;
	case AMQP_UUID:
		return text_of_uuid(value->bytes.data, room);
	case AMQP_TIMESTAMP:
		return text_of_timestamp(value->integer, room);
	case AMQP_ULONG:
		snprintf(room, MESSAGE_TEXT_MAX, "%" PRIu64, value->number);
		return text_of(room);
	default:
		return (gh_bytes){NULL, 0};
	}
}

/* ---- the properties section ---- */

#define MESSAGE_ID_TYPES (AMQP_STRING | AMQP_ULONG | AMQP_UUID | AMQP_BINARY)

enum { FIELD_MESSAGE_ID = 0, FIELD_REPLY_TO = 4 };

/* By place in the list.  Types none: the field means nothing here. */
static const struct message_field {
	const char *name;
	gh_property_id id;
	uint32_t types;
} message_fields[] = {
	{"message-id", GH_PROP_MESSAGE_ID, MESSAGE_ID_TYPES},
	{"user-id", GH_PROP_USER_ID, AMQP_BINARY | AMQP_STRING},
	{"to", GH_PROP_TO, AMQP_STRING},
	{"subject", GH_PROP_APPLICATION, 0},
	{"reply-to", GH_PROP_APPLICATION, 0},
	{"correlation-id", GH_PROP_CORRELATION_ID, MESSAGE_ID_TYPES},
	{"content-type", GH_PROP_CONTENT_TYPE, AMQP_SYMBOL | AMQP_STRING},
	{"content-encoding", GH_PROP_CONTENT_ENCODING, AMQP_SYMBOL | AMQP_STRING},
	{"absolute-expiry-time", GH_PROP_EXPIRY_TIME, AMQP_TIMESTAMP},
	{"creation-time", GH_PROP_CREATION_TIME, AMQP_TIMESTAMP},
};

static gh_status field_check(const struct message_field *field, const struct amqp_value *value, gh_error *ret_err)
{
	if (value->type & field->types)
		return GH_OK;
	return gh_fail(ret_err, GH_INVALID, "amqp_field", "%s has a type it cannot have", field->name);
}

static gh_status draft_field(const struct message_field *field, const struct amqp_value *value,
	const struct amqp_sender *sender, gh_draft *draft, gh_error *ret_err)
{
	char room[MESSAGE_TEXT_MAX];
	if (field->types == 0 || value->type == AMQP_NULL)
		return GH_OK;
	gh_status status = field_check(field, value, ret_err);
	if (status != GH_OK)
		return status;
	gh_bytes text = message_text(value, room);
	if (field->id == GH_PROP_TO && events_path_is_own(text, sender->device_id, sender->module_id))
		return GH_OK;
	return gh_draft_set(draft, field->id, text, ret_err);
}

static gh_status draft_properties(
	struct amqp_items items, const struct amqp_sender *sender, gh_draft *draft, gh_error *ret_err)
{
	struct amqp_value value;
	for (size_t i = 0; amqp_value_next(&items, &value); i++) {
		if (i >= sizeof message_fields / sizeof *message_fields)
			continue;
		gh_status status = draft_field(&message_fields[i], &value, sender, draft, ret_err);
		if (status != GH_OK)
			return status;
	}
	return items.bytes.failed ? message_cut(ret_err) : GH_OK;
}

/* ---- the two maps ---- */

/* The next pair of a map whose keys are text; false at the end and on a fault. */
static bool map_next(struct amqp_items *items, gh_bytes *ret_name, struct amqp_value *ret_value)
{
	struct amqp_value key, value;
	if (!amqp_value_next(items, &key) || !amqp_value_next(items, &value))
		return false;
	bool text = key.type & (AMQP_STRING | AMQP_SYMBOL);
	*ret_name = text ? key.bytes : (gh_bytes){NULL, 0};
	*ret_value = value;
	return true;
}

struct message_name {
	const char *name;
	gh_property_id id;
};

static const struct message_name annotation_names[] = {
	{"iothub-interface-id", GH_PROP_INTERFACE_ID},
	{"dt-subject", GH_PROP_COMPONENT},
	{"Diagnostic-Id", GH_PROP_DIAGNOSTIC_ID},
	{"Correlation-Context", GH_PROP_CORRELATION_CONTEXT},
};

static const struct message_name application_names[] = {
	{"iothub-creation-time-utc", GH_PROP_CREATION_TIME},
	{"iothub-ack", GH_PROP_ACK},
	{"iothub-message-schema", GH_PROP_MESSAGE_SCHEMA},
	{"iothub-operation", GH_PROP_OPERATION},
	{"iothub-outputname", GH_PROP_OUTPUT_NAME},
};

#define NAME_FIND(table, name) name_find(table, sizeof(table) / sizeof *(table), name)

/* GH_PROP_APPLICATION when it is none of the table's. */
static gh_property_id name_find(const struct message_name *table, size_t count, gh_bytes name)
{
	for (size_t i = 0; i < count; i++)
		if (text_equal_nocase(name, text_of(table[i].name)))
			return table[i].id;
	return GH_PROP_APPLICATION;
}

/* Annotations that are not ours belong to whoever put them there. */
static gh_status draft_annotations(struct amqp_items items, gh_draft *draft, gh_error *ret_err)
{
	struct amqp_value value;
	gh_bytes name;
	while (map_next(&items, &name, &value)) {
		gh_property_id id = NAME_FIND(annotation_names, name);
		if (id == GH_PROP_APPLICATION || !(value.type & (AMQP_STRING | AMQP_SYMBOL)))
			continue;
		gh_status status = gh_draft_set(draft, id, value.bytes, ret_err);
		if (status != GH_OK)
			return status;
	}
	return items.bytes.failed ? message_cut(ret_err) : GH_OK;
}

/* A value of another type is dropped, null is empty (device contract 7.2). */
static gh_status draft_application(gh_bytes name, const struct amqp_value *value, gh_draft *draft, gh_error *ret_err)
{
	if (!(value->type & (AMQP_STRING | AMQP_NULL)))
		return GH_OK;
	gh_bytes text = value->type == AMQP_STRING ? value->bytes : (gh_bytes){NULL, 0};
	gh_property_id id = NAME_FIND(application_names, name);
	return id == GH_PROP_APPLICATION ? gh_draft_add(draft, name, text, ret_err)
					 : gh_draft_set(draft, id, text, ret_err);
}

static gh_status draft_application_properties(struct amqp_items items, gh_draft *draft, gh_error *ret_err)
{
	struct amqp_value value;
	gh_bytes name;
	while (map_next(&items, &name, &value)) {
		gh_status status = draft_application(name, &value, draft, ret_err);
		if (status != GH_OK)
			return status;
	}
	return items.bytes.failed ? message_cut(ret_err) : GH_OK;
}

/* ---- the body ---- */

static gh_status body_join(
	const struct amqp_message *message, struct buf *joined, gh_bytes *ret_body, gh_error *ret_err)
{
	gh_bytes rest = message->sections[AMQP_BODY_DATA], data = {NULL, 0};
	buf_clear(joined);
	if (message->data_count > 1) {
		buf_reserve(joined, message->data_bytes);
		while (amqp_message_data_next(&rest, &data))
			buf_append(joined, data.data, data.len);
		data = buf_bytes(joined);
	} else {
		amqp_message_data_next(&rest, &data);
	}
	if (joined->failed)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory to join the sections of a body");
	*ret_body = data;
	return GH_OK;
}

static gh_status draft_body(const struct amqp_message *message, struct buf *joined, gh_draft *draft, gh_error *ret_err)
{
	gh_bytes body;
	if (message->sections[AMQP_BODY_VALUE].len || message->sections[AMQP_BODY_SEQUENCE].len)
		return gh_fail(ret_err, GH_MALFORMED, "amqp_body", "the body is not of data sections");
	gh_status status = body_join(message, joined, &body, ret_err);
	return status == GH_OK ? gh_draft_body(draft, body, ret_err) : status;
}

gh_status amqp_message_draft(
	gh_bytes encoded, const struct amqp_sender *sender, struct buf *joined, gh_draft *draft, gh_error *ret_err)
{
	struct amqp_message message;
	gh_status status = amqp_message_sections(encoded, &message, ret_err);
	if (status == GH_OK)
		status = draft_annotations(section_items(&message, AMQP_MESSAGE_ANNOTATIONS), draft, ret_err);
	if (status == GH_OK)
		status = draft_properties(section_items(&message, AMQP_PROPERTIES), sender, draft, ret_err);
	if (status == GH_OK)
		status = draft_application_properties(
			section_items(&message, AMQP_APPLICATION_PROPERTIES), draft, ret_err);
	return status == GH_OK ? draft_body(&message, joined, draft, ret_err) : status;
}

/* ---- batches ---- */

gh_status amqp_message_batch(gh_bytes encoded, struct amqp_message *ret_outer, gh_error *ret_err)
{
	struct amqp_message outer;
	gh_status status = amqp_message_sections(encoded, &outer, ret_err);
	if (status != GH_OK)
		return status;
	if (outer.data_count == 0)
		return gh_fail(ret_err, GH_MALFORMED, "amqp_batch", "a batch is at least one data section");
	*ret_outer = outer;
	return GH_OK;
}

bool amqp_message_batch_next(gh_bytes *rest, gh_bytes *ret_encoded)
{
	return amqp_message_data_next(rest, ret_encoded);
}

/* ---- requests ---- */

static gh_status request_properties(struct amqp_items items, struct amqp_request *request, gh_error *ret_err)
{
	struct amqp_value value;
	for (size_t i = 0; amqp_value_next(&items, &value); i++) {
		if (i == FIELD_REPLY_TO && value.type == AMQP_STRING)
			request->reply_to = value.bytes;
		if (i != FIELD_MESSAGE_ID || value.type == AMQP_NULL)
			continue;
		gh_status status = field_check(&message_fields[FIELD_MESSAGE_ID], &value, ret_err);
		if (status != GH_OK)
			return status;
		request->message_id = value.encoded;
	}
	return items.bytes.failed ? message_cut(ret_err) : GH_OK;
}

static gh_status request_application_properties(
	struct amqp_items items, struct amqp_request *request, gh_error *ret_err)
{
	const struct {
		const char *name;
		gh_bytes *place;
	} table[] = {{"operation", &request->operation}, {"type", &request->type}, {"name", &request->name}};
	struct amqp_value value;
	gh_bytes name;
	while (map_next(&items, &name, &value))
		for (size_t i = 0; i < sizeof table / sizeof *table; i++)
			if (value.type == AMQP_STRING && text_equal(name, text_of(table[i].name)))
				*table[i].place = value.bytes;
	return items.bytes.failed ? message_cut(ret_err) : GH_OK;
}

static gh_bytes request_body(const struct amqp_message *message)
{
	gh_bytes rest = message->sections[AMQP_BODY_DATA], body = {NULL, 0};
	if (message->data_count == 1)
		amqp_message_data_next(&rest, &body);
	if (message->sections[AMQP_BODY_VALUE].len) {
		struct amqp_value value = section_value(message->sections[AMQP_BODY_VALUE]);
		body = value.type == AMQP_STRING ? value.bytes : body;
	}
	return body;
}

gh_status amqp_request_read(gh_bytes encoded, struct amqp_request *ret_request, gh_error *ret_err)
{
	struct amqp_message message;
	struct amqp_request request = {.body = {NULL, 0}};
	gh_status status = amqp_message_sections(encoded, &message, ret_err);
	if (status == GH_OK)
		status = request_properties(section_items(&message, AMQP_PROPERTIES), &request, ret_err);
	if (status == GH_OK)
		status = request_application_properties(
			section_items(&message, AMQP_APPLICATION_PROPERTIES), &request, ret_err);
	if (status != GH_OK)
		return status;
	request.body = request_body(&message);
	*ret_request = request;
	return GH_OK;
}

/* ---- replies ---- */

enum { REPLY_FIELDS_BEFORE_CORRELATION = 5 }; /* message-id, user-id, to, subject, reply-to */

static void reply_put_properties(struct buf *b, gh_bytes correlation_id)
{
	if (correlation_id.len == 0)
		return;
	amqp_value_put_descriptor(b, message_sections[AMQP_PROPERTIES].code);
	size_t list = amqp_value_open(b);
	for (size_t i = 0; i < REPLY_FIELDS_BEFORE_CORRELATION; i++)
		amqp_value_put_null(b);
	buf_append(b, correlation_id.data, correlation_id.len);
	amqp_value_close_list(b, list, REPLY_FIELDS_BEFORE_CORRELATION + 1);
}

void amqp_reply_put(struct buf *b, gh_bytes correlation_id, int32_t status_code, gh_bytes status_description)
{
	reply_put_properties(b, correlation_id);
	amqp_value_put_descriptor(b, message_sections[AMQP_APPLICATION_PROPERTIES].code);
	size_t map = amqp_value_open(b);
	amqp_value_put_string(b, text_of("status-code"));
	amqp_value_put_int(b, status_code);
	amqp_value_put_string(b, text_of("status-description"));
	amqp_value_put_string(b, status_description);
	amqp_value_close_map(b, map, 4);
	amqp_value_put_descriptor(b, message_sections[AMQP_BODY_VALUE].code);
	amqp_value_put_null(b);
}
