/* message.c - messages and their stored form (docs/formats.md, "message record").
 *
 * A message IS its encoded form plus a reference count, in one allocation: what a transport builds is what a back end
 * writes.  What only the hub says (who, when, how proven) stands as numbers in the record's head and is turned into
 * properties when somebody reads, so no client property can stand in its place.
 *
 *   head      version u8 = 1 | flags u8 | auth method u8 | source u8 | partition key u32 | enqueued ms u64
 *             | property count u16 | zero u16 | properties length u32 | body length u32
 *   property  id u8 | name length varint, name (only for id 0) | value length varint | value
 *   body
 *
 * Integers are big-endian; a varint is little-endian base 128, at most five bytes.
 */
#include <gatehouse/message.h>

#include "src/base/buf.h"
#include "src/base/text.h"
#include "src/wire/draft.h"
#include "src/wire/property.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { RECORD_VERSION = 1, HEAD_BYTES = 28, ID_BYTES = 1, VARINT_BYTES_MAX = 5 };

static const char *const auth_method_json[GH_AUTH_METHOD_COUNT] = {
#define X(id, number, json) [number] = json,
	GH_AUTH_METHODS(X)
#undef X
};

static const char *const source_text[GH_SOURCE_COUNT] = {
#define X(id, number, text) [number] = text,
	GH_SOURCES(X)
#undef X
};

struct gh_message {
	atomic_uint refs;
	uint32_t len;
	uint8_t record[];
};

static gh_message *message_alloc(size_t len)
{
	if (len > UINT32_MAX)
		return NULL;
	gh_message *message = malloc(sizeof *message + len);
	if (!message)
		return NULL;
	atomic_init(&message->refs, 1);
	message->len = (uint32_t)len;
	return message;
}

/* Writes into memory known to be large enough. */
struct message_writer {
	uint8_t *at;
};

static void message_put(struct message_writer *w, const void *data, size_t n)
{
	if (n == 0)
		return;
	memcpy(w->at, data, n);
	w->at += n;
}

static void message_put_uint(struct message_writer *w, uint64_t value, unsigned bytes)
{
	for (unsigned i = bytes; i > 0; i--)
		*w->at++ = (uint8_t)(value >> (8 * (i - 1)));
}

static size_t message_varint_size(size_t value)
{
	size_t n = 1;
	for (; value >= 0x80; value >>= 7)
		n++;
	return n;
}

/* What the hub says as text stands in front of the client's properties, the device id first. */
struct message_stamp {
	gh_property_id id;
	gh_bytes value;
};

static size_t message_stamp_size(gh_bytes value)
{
	return value.len ? ID_BYTES + message_varint_size(value.len) + value.len : 0;
}

static void message_put_stamp(struct message_writer *w, const struct message_stamp *stamp)
{
	if (stamp->value.len == 0)
		return;
	*w->at++ = (uint8_t)stamp->id;
	size_t rest = stamp->value.len;
	for (; rest >= 0x80; rest >>= 7)
		*w->at++ = (uint8_t)(rest | 0x80);
	*w->at++ = (uint8_t)rest;
	message_put(w, stamp->value.data, stamp->value.len);
}

static void message_put_entries(struct message_writer *w, const gh_draft *draft, bool application)
{
	for (size_t i = 0; i < draft->entry_count; i++) {
		const struct draft_entry *entry = &draft->entries[i];
		if (!entry->replaced && (entry->id == GH_PROP_APPLICATION) == application)
			message_put(w, draft->properties.data + entry->at, entry->len);
	}
}

gh_message *gh_message_freeze(const gh_draft *draft, const gh_stamps *stamps)
{
	assert(stamps->device_id.len > 0);
	const struct message_stamp texts[] = {
		{GH_PROP_CONNECTION_DEVICE_ID, stamps->device_id},
		{GH_PROP_CONNECTION_MODULE_ID, stamps->module_id},
		{GH_PROP_AUTH_GENERATION_ID, stamps->generation_id},
		{GH_PROP_MODEL_ID, stamps->model_id},
	};
	size_t properties_len = draft->live_bytes, count = draft->live_count;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		properties_len += message_stamp_size(texts[i].value);
		count += texts[i].value.len > 0;
	}
	gh_message *message = message_alloc(HEAD_BYTES + properties_len + draft->body.len);
	if (!message)
		return NULL;
	struct message_writer w = {message->record};
	message_put_uint(&w, RECORD_VERSION, 1);
	message_put_uint(&w, draft->flags, 1);
	message_put_uint(&w, stamps->auth_method, 1);
	message_put_uint(&w, stamps->source, 1);
	message_put_uint(&w, stamps->partition_key, 4);
	message_put_uint(&w, stamps->enqueued_ms, 8);
	message_put_uint(&w, count, 2);
	message_put_uint(&w, 0, 2);
	message_put_uint(&w, properties_len, 4);
	message_put_uint(&w, draft->body.len, 4);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		message_put_stamp(&w, &texts[i]);
	message_put_entries(&w, draft, false);
	message_put_entries(&w, draft, true);
	message_put(&w, draft->body.data, draft->body.len);
	assert(w.at == message->record + message->len);
	return message;
}

struct message_head {
	uint8_t version;
	uint8_t flags;
	uint8_t auth_method;
	uint8_t source;
	uint32_t partition_key;
	uint64_t enqueued_ms;
	uint16_t property_count;
	uint32_t properties_len;
	uint32_t body_len;
};

static struct message_head message_head_of(struct reader *r)
{
	struct message_head head = {
		.version = reader_u8(r),
		.flags = reader_u8(r),
		.auth_method = reader_u8(r),
		.source = reader_u8(r),
		.partition_key = reader_u32(r),
		.enqueued_ms = reader_u64(r),
		.property_count = reader_u16(r),
	};
	reader_u16(r);
	head.properties_len = reader_u32(r);
	head.body_len = reader_u32(r);
	return head;
}

static size_t message_read_varint(struct reader *r)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < VARINT_BYTES_MAX; i++) {
		uint8_t byte = reader_u8(r);
		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (!(byte & 0x80))
			return (size_t)value;
	}
	r->failed = true;
	return 0;
}

static bool message_read_property(struct reader *r, gh_property *ret_property)
{
	uint8_t id = reader_u8(r);
	if (r->failed || id >= GH_PROP_COUNT)
		return false;
	ret_property->id = (gh_property_id)id;
	ret_property->name =
		id == GH_PROP_APPLICATION ? reader_take(r, message_read_varint(r)) : text_of(gh_property_name(id));
	ret_property->value = reader_take(r, message_read_varint(r));
	return !r->failed;
}

/* The stored form is ours, but disks are not: everything the accessors rely on is checked here, once. */
static bool message_is_whole(gh_bytes encoded)
{
	struct reader r = reader_of(encoded);
	struct message_head head = message_head_of(&r);
	if (r.failed || head.version != RECORD_VERSION || head.auth_method >= GH_AUTH_METHOD_COUNT ||
		head.source == 0 || head.source >= GH_SOURCE_COUNT)
		return false;
	if ((uint64_t)head.properties_len + head.body_len != reader_left(&r))
		return false;
	struct reader properties = {r.at, r.at + head.properties_len, false};
	for (unsigned i = 0; i < head.property_count; i++) {
		gh_property property;
		if (!message_read_property(&properties, &property))
			return false;
		if (i == 0 && (property.id != GH_PROP_CONNECTION_DEVICE_ID || property.value.len == 0))
			return false;
	}
	return head.property_count > 0 && reader_left(&properties) == 0;
}

gh_status gh_message_decode(gh_bytes encoded, gh_message **ret_message)
{
	if (!message_is_whole(encoded))
		return GH_MALFORMED;
	gh_message *message = message_alloc(encoded.len);
	if (!message)
		return GH_NO_MEMORY;
	memcpy(message->record, encoded.data, encoded.len);
	*ret_message = message;
	return GH_OK;
}

gh_bytes gh_message_encoded(const gh_message *message)
{
	return (gh_bytes){message->record, message->len};
}

gh_message *gh_message_ref(gh_message *message)
{
	atomic_fetch_add_explicit(&message->refs, 1, memory_order_relaxed);
	return message;
}

void gh_message_unref(gh_message *message)
{
	if (!message)
		return;
	unsigned before = atomic_fetch_sub_explicit(&message->refs, 1, memory_order_acq_rel);
	assert(before > 0);
	if (before == 1)
		free(message);
}

static struct message_head message_head(const gh_message *message, struct reader *ret_rest)
{
	*ret_rest = reader_of(gh_message_encoded(message));
	return message_head_of(ret_rest);
}

gh_bytes gh_message_body(const gh_message *message)
{
	struct reader r;
	struct message_head head = message_head(message, &r);
	return (gh_bytes){r.at + head.properties_len, head.body_len};
}

uint64_t gh_message_enqueued_ms(const gh_message *message)
{
	struct reader r;
	return message_head(message, &r).enqueued_ms;
}

uint32_t gh_message_partition_key(const gh_message *message)
{
	const uint8_t *at = message->record + 4;
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

gh_bytes gh_message_device_id(const gh_message *message)
{
	struct reader r;
	message_head(message, &r);
	gh_property property;
	bool found = message_read_property(&r, &property);
	assert(found && property.id == GH_PROP_CONNECTION_DEVICE_ID);
	return property.value;
}

/* The steps of a walk: stored system properties, those made of the head, stored application properties, flags. */
enum { STEP_STORED, STEP_AUTH, STEP_ENQUEUED, STEP_SOURCE, STEP_APPLICATION, STEP_FLAGS };

static bool message_yield(gh_property *ret, gh_property_id id, const char *text)
{
	*ret = (gh_property){id, text_of(gh_property_name(id)), text_of(text)};
	return true;
}

static bool message_next_stored(const gh_message *message, gh_cursor *cursor, bool application, gh_property *ret)
{
	struct reader r;
	struct message_head head = message_head(message, &r);
	struct reader rest = {r.at + cursor->at, r.at + head.properties_len, false};
	if (rest.at == rest.end || (rest.at[0] == GH_PROP_APPLICATION) != application)
		return false;
	bool found = message_read_property(&rest, ret);
	assert(found);
	cursor->at = (size_t)(rest.at - r.at);
	return true;
}

bool gh_message_next(const gh_message *message, gh_cursor *cursor, gh_property *ret_property)
{
	struct reader r;
	struct message_head head = message_head(message, &r);
	if (cursor->step == STEP_STORED) {
		if (message_next_stored(message, cursor, false, ret_property))
			return true;
		cursor->step = STEP_AUTH;
	}
	if (cursor->step == STEP_AUTH) {
		cursor->step = STEP_ENQUEUED;
		if (head.auth_method != GH_AUTH_NONE)
			return message_yield(ret_property, GH_PROP_AUTH_METHOD, auth_method_json[head.auth_method]);
	}
	if (cursor->step == STEP_ENQUEUED) {
		cursor->step = STEP_SOURCE;
		text_time(head.enqueued_ms, cursor->time);
		return message_yield(ret_property, GH_PROP_ENQUEUED_TIME, cursor->time);
	}
	if (cursor->step == STEP_SOURCE) {
		cursor->step = STEP_APPLICATION;
		return message_yield(ret_property, GH_PROP_MESSAGE_SOURCE, source_text[head.source]);
	}
	if (cursor->step == STEP_APPLICATION) {
		if (message_next_stored(message, cursor, true, ret_property))
			return true;
		cursor->step = STEP_FLAGS;
	}
	while (cursor->step < STEP_FLAGS + PROPERTY_FLAGS) {
		unsigned i = cursor->step++ - STEP_FLAGS;
		if (head.flags & property_flags[i].flag) {
			*ret_property = (gh_property){
				GH_PROP_APPLICATION, text_of(property_flags[i].name), text_of(property_flags[i].value)};
			return true;
		}
	}
	return false;
}

bool gh_message_get(const gh_message *message, gh_property_id id, gh_cursor *cursor, gh_bytes *ret_value)
{
	gh_property property;
	*cursor = (gh_cursor){0};
	while (gh_message_next(message, cursor, &property))
		if (property.id == id) {
			*ret_value = property.value;
			return true;
		}
	return false;
}
