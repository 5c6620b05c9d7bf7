/* message.c - drafts, messages and their stored form (docs/formats.md, "message record").
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
#include "src/base/take.h"
#include "src/base/text.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { RECORD_VERSION = 1, HEAD_BYTES = 28, ID_BYTES = 1, VARINT_BYTES_MAX = 5 };

/* ---- names ---- */

static const struct {
	const char *name;
	enum gh_property_setter by;
} property_table[GH_PROP_COUNT] = {
#define X(id, number, name, by) [number] = {name, by},
	GH_PROPERTIES(X)
#undef X
};

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

/* Application properties the hub makes of draft flags. */
static const struct {
	unsigned flag;
	const char *name;
	const char *value;
} flag_table[] = {
	{GH_DRAFT_RETAIN, "mqtt-retain", "true"},
	{GH_DRAFT_DUP, "mqtt-dup", "true"},
	{GH_DRAFT_WILL, "iothub-MessageType", "Will"},
};
enum { FLAG_COUNT = sizeof flag_table / sizeof *flag_table };

const char *gh_property_name(gh_property_id id)
{
	return id > 0 && id < GH_PROP_COUNT ? property_table[id].name : NULL;
}

bool gh_name_is_reserved(gh_bytes name)
{
	for (size_t i = 1; i < GH_PROP_COUNT; i++)
		if (property_table[i].by == GH_BY_HUB && text_equal_nocase(name, text_of(property_table[i].name)))
			return true;
	for (size_t i = 0; i < FLAG_COUNT; i++)
		if (text_equal_nocase(name, text_of(flag_table[i].name)))
			return true;
	return text_starts_nocase(name, "iothub-connection-");
}

/* ---- draft ---- */

struct draft_entry {
	uint32_t at; /* of the encoded property in gh_draft.properties */
	uint32_t len;
	uint32_t counted; /* what it adds to the counted size */
	uint32_t name_at; /* application properties: where the name stands */
	uint32_t name_len;
	uint8_t id;
	bool replaced;
};

struct gh_draft {
	const gh_limits *limits;
	struct buf properties; /* encoded, in order of arrival */
	struct draft_entry *entries;
	size_t entry_count;
	size_t entry_cap;
	size_t live_count;
	size_t live_bytes;
	size_t counted; /* body included */
	gh_bytes body;
	unsigned flags;
};

gh_draft *gh_draft_new(const gh_limits *limits)
{
	gh_draft *draft = calloc(1, sizeof *draft);
	if (draft)
		draft->limits = limits;
	return draft;
}

void gh_draft_free(gh_draft *draft)
{
	if (!draft)
		return;
	buf_done(&draft->properties);
	free(draft->entries);
	free(draft);
}

void gh_draft_reset(gh_draft *draft)
{
	buf_clear(&draft->properties);
	draft->entry_count = draft->live_count = draft->live_bytes = draft->counted = 0;
	draft->body = (gh_bytes){NULL, 0};
	draft->flags = 0;
}

static void draft_put_varint(struct buf *b, size_t value)
{
	while (value >= 0x80) {
		buf_put_u8(b, (uint8_t)(value | 0x80));
		value >>= 7;
	}
	buf_put_u8(b, (uint8_t)value);
}

static void draft_put_property(struct buf *b, gh_property_id id, gh_bytes name, gh_bytes value)
{
	buf_put_u8(b, (uint8_t)id);
	if (id == GH_PROP_APPLICATION) {
		draft_put_varint(b, name.len);
		buf_append(b, name.data, name.len);
	}
	draft_put_varint(b, value.len);
	buf_append(b, value.data, value.len);
}

static void draft_drop(gh_draft *draft, struct draft_entry *entry)
{
	entry->replaced = true;
	draft->live_count--;
	draft->live_bytes -= entry->len;
	draft->counted -= entry->counted;
}

/* The earlier property of the same name, NULL when there is none. */
static struct draft_entry *draft_find(gh_draft *draft, gh_property_id id, gh_bytes name)
{
	for (size_t i = 0; i < draft->entry_count; i++) {
		struct draft_entry *entry = &draft->entries[i];
		if (entry->replaced || entry->id != id || entry->name_len != name.len)
			continue;
		if (text_equal_nocase((gh_bytes){draft->properties.data + entry->name_at, entry->name_len}, name))
			return entry;
	}
	return NULL;
}

static bool draft_entries_grow(gh_draft *draft)
{
	if (draft->entry_count < draft->entry_cap)
		return true;
	size_t cap = draft->entry_cap ? draft->entry_cap * 2 : 16;
	struct draft_entry *entries = realloc(draft->entries, cap * sizeof *entries);
	if (!entries)
		return false;
	draft->entries = entries;
	draft->entry_cap = cap;
	return true;
}

static gh_status draft_put(gh_draft *draft, gh_property_id id, gh_bytes name, gh_bytes value, gh_error *ret_err)
{
	if (!text_is_utf8(name) || !text_is_utf8(value))
		return gh_fail(ret_err, GH_INVALID, "property_not_utf8", "a property is not UTF-8");
	struct draft_entry *earlier = draft_find(draft, id, name);
	size_t counted = name.len + value.len, freed = earlier ? earlier->counted : 0;
	if (draft->counted - freed + counted > draft->limits->message_bytes_max)
		return gh_fail(ret_err, GH_TOO_LARGE, "message_too_large", "counted size passes message_bytes_max");
	/* Replaced entries count too: a sender that repeats a name without end is bounded like any other. */
	if (draft->entry_count >= draft->limits->message_properties_max)
		return gh_fail(ret_err, GH_TOO_LARGE, "too_many_properties", "more than message_properties_max");
	if (!draft_entries_grow(draft))
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for a property");

	size_t at = draft->properties.len;
	draft_put_property(&draft->properties, id, name, value);
	if (draft->properties.failed) {
		draft->properties.failed = false;
		draft->properties.len = at;
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for a property");
	}
	if (earlier)
		draft_drop(draft, earlier);
	size_t len = draft->properties.len - at;
	size_t value_head = 1;
	for (size_t rest = value.len; rest >= 0x80; rest >>= 7)
		value_head++;
	draft->entries[draft->entry_count++] = (struct draft_entry){
		.at = (uint32_t)at,
		.len = (uint32_t)len,
		.counted = (uint32_t)counted,
		.name_at = (uint32_t)(at + len - value.len - value_head - name.len),
		.name_len = (uint32_t)name.len,
		.id = (uint8_t)id,
	};
	draft->live_count++;
	draft->live_bytes += len;
	draft->counted += counted;
	return GH_OK;
}

/* Device contract 7.2. */
static bool message_id_allowed(gh_bytes id)
{
	for (size_t i = 0; i < id.len; i++) {
		uint8_t c = id.data[i], lower = (uint8_t)(c | 0x20);
		if ((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9'))
			continue;
		if (c == '\0' || !strchr("-:.+%_#*?!(),=@;$'", c))
			return false;
	}
	return true;
}

gh_status gh_draft_set(gh_draft *draft, gh_property_id id, gh_bytes value, gh_error *ret_err)
{
	assert(id > 0 && id < GH_PROP_COUNT && property_table[id].by == GH_BY_CLIENT);
	if (value.len == 0) {
		struct draft_entry *earlier = draft_find(draft, id, value);
		if (earlier)
			draft_drop(draft, earlier);
		return GH_OK;
	}
	bool is_id = id == GH_PROP_MESSAGE_ID || id == GH_PROP_CORRELATION_ID;
	if (is_id && value.len > draft->limits->message_id_bytes_max)
		return gh_fail(ret_err, GH_INVALID, "id_too_long", "%s is longer than message_id_bytes_max",
			property_table[id].name);
	if (id == GH_PROP_MESSAGE_ID && !message_id_allowed(value))
		return gh_fail(
			ret_err, GH_INVALID, "message_id_characters", "message-id holds a character not allowed");
	return draft_put(draft, id, (gh_bytes){NULL, 0}, value, ret_err);
}

gh_status gh_draft_add(gh_draft *draft, gh_bytes name, gh_bytes value, gh_error *ret_err)
{
	if (name.len == 0)
		return gh_fail(ret_err, GH_INVALID, "property_no_name", "a property has no name");
	if (gh_name_is_reserved(name))
		return GH_OK;
	return draft_put(draft, GH_PROP_APPLICATION, name, value, ret_err);
}

gh_status gh_draft_body(gh_draft *draft, gh_bytes body, gh_error *ret_err)
{
	if (draft->counted - draft->body.len + body.len > draft->limits->message_bytes_max)
		return gh_fail(ret_err, GH_TOO_LARGE, "message_too_large", "counted size passes message_bytes_max");
	draft->counted += body.len - draft->body.len;
	draft->body = body;
	return GH_OK;
}

void gh_draft_flag(gh_draft *draft, unsigned flags)
{
	draft->flags |= flags;
}

/* ---- message ---- */

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
		id == GH_PROP_APPLICATION ? reader_take(r, message_read_varint(r)) : text_of(property_table[id].name);
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
	*ret = (gh_property){id, text_of(property_table[id].name), text_of(text)};
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
	while (cursor->step < STEP_FLAGS + FLAG_COUNT) {
		unsigned i = cursor->step++ - STEP_FLAGS;
		if (head.flags & flag_table[i].flag) {
			*ret_property = (gh_property){
				GH_PROP_APPLICATION, text_of(flag_table[i].name), text_of(flag_table[i].value)};
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
