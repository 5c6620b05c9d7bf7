/* draft.c - drafts: properties gathered in the stored form, the last of a name, within the limits.
 *
 * A property is encoded when it comes (docs/formats.md, "message record"), so that freezing copies runs.  One that is
 * replaced stays in the buffer until the reset, and counts against the number of properties.
 */
#include "src/wire/draft.h"

#include "src/base/text.h"
#include "src/wire/property.h"

#include <assert.h>
#include <stdlib.h>

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
	/* Replaced entries count too: a sender that repeats a name without end is bounded like any other. */
	if (draft->entry_count >= draft->limits->message_properties_max)
		return gh_fail(ret_err, GH_TOO_LARGE, "too_many_properties", "more than message_properties_max");
	if (!draft_entries_grow(draft))
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for a property");
	struct draft_entry *earlier = draft_find(draft, id, name); /* growing has moved them */
	size_t counted = name.len + value.len, freed = earlier ? earlier->counted : 0;
	if (draft->counted - freed + counted > draft->limits->message_bytes_max)
		return gh_fail(ret_err, GH_TOO_LARGE, "message_too_large", "counted size passes message_bytes_max");

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
	assert(id > 0 && id < GH_PROP_COUNT && !property_by_hub(id));
	if (value.len == 0) {
		struct draft_entry *earlier = draft_find(draft, id, value);
		if (earlier)
			draft_drop(draft, earlier);
		return GH_OK;
	}
	bool is_id = id == GH_PROP_MESSAGE_ID || id == GH_PROP_CORRELATION_ID;
	if (is_id && value.len > draft->limits->message_id_bytes_max)
		return gh_fail(ret_err, GH_INVALID, "id_too_long", "%s is longer than message_id_bytes_max",
			gh_property_name(id));
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

size_t gh_draft_size(const gh_draft *draft)
{
	return draft->counted;
}

void gh_draft_flag(gh_draft *draft, unsigned flags)
{
	draft->flags |= flags;
}
