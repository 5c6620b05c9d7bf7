/*   index   version u8 = 1 | zero u8 | partitions u16 | time u64 | partitions x { next u64 | position u32 | count u32 }
 *   chunk   version u8 = 1 | zero u8 | groups u16 | record count u32
 *           | groups x { partition u16 | zero u16 | position u32 | first offset u64 | count u32 | bytes u32 }
 *           | records, those of a group side by side: length u32 | bytes
 *
 * Integers are big-endian.  No checksum of its own: the database keeps one per block and per log record and checks it
 * on every read, and a second one would cost more per message than copying it.
 */
#include "src/backends/chunk.h"

#include <assert.h>

enum { INDEX_VERSION = 1, CHUNK_VERSION = 1, CHUNK_HEAD_BYTES = 8, GROUP_BYTES = 24, LENGTH_BYTES = 4 };

static uint8_t *chunk_put(uint8_t *at, uint64_t value, unsigned bytes)
{
	for (unsigned i = bytes; i > 0; i--)
		*at++ = (uint8_t)(value >> (8 * (i - 1)));
	return at;
}

size_t chunk_index_encode(const struct chunk_index *index, uint8_t ret_bytes[CHUNK_INDEX_BYTES_MAX])
{
	assert(index->partitions <= CHUNK_PARTITIONS_MAX);
	uint8_t *at = chunk_put(ret_bytes, INDEX_VERSION, 1);
	at = chunk_put(at, 0, 1);
	at = chunk_put(at, index->partitions, 2);
	at = chunk_put(at, index->time_ms, 8);
	for (uint32_t p = 0; p < index->partitions; p++) {
		at = chunk_put(at, index->places[p].next, 8);
		at = chunk_put(at, index->places[p].position, 4);
		at = chunk_put(at, index->places[p].count, 4);
	}
	return (size_t)(at - ret_bytes);
}

bool chunk_index_decode(gh_bytes bytes, struct chunk_index *ret_index)
{
	struct reader r = reader_of(bytes);
	struct chunk_index index;
	if (reader_u8(&r) != INDEX_VERSION || reader_u8(&r) != 0)
		return false;
	index.partitions = reader_u16(&r);
	index.time_ms = reader_u64(&r);
	if (r.failed || index.partitions > CHUNK_PARTITIONS_MAX)
		return false;
	for (uint32_t p = 0; p < index.partitions; p++) {
		struct chunk_place *place = &index.places[p];
		place->next = reader_u64(&r);
		place->position = reader_u32(&r);
		place->count = reader_u32(&r);
		if (place->next > UINT64_MAX - place->count || (place->count == 0) != (place->position == 0))
			return false;
	}
	if (r.failed || reader_left(&r) > 0)
		return false;
	memcpy(ret_index, &index, offsetof(struct chunk_index, places) + index.partitions * sizeof *index.places);
	return true;
}

void chunk_index_follow(struct chunk_index *index, const struct chunk_index *last)
{
	*index = (struct chunk_index){.time_ms = last->time_ms, .partitions = last->partitions};
	for (uint32_t p = 0; p < last->partitions; p++)
		index->places[p].next = last->places[p].next + last->places[p].count;
}

/* ---- building ---- */

void chunk_builder_init(struct chunk_builder *b)
{
	*b = (struct chunk_builder){0};
	buf_init(&b->bytes, 0);
}

void chunk_builder_done(struct chunk_builder *b)
{
	buf_done(&b->bytes);
}

void chunk_begin(struct chunk_builder *b)
{
	buf_clear(&b->bytes);
	memset(b->counts, 0, sizeof b->counts);
	memset(b->sizes, 0, sizeof b->sizes);
}

void chunk_count(struct chunk_builder *b, uint32_t partition, size_t len)
{
	assert(partition < CHUNK_PARTITIONS_MAX && len <= UINT32_MAX - LENGTH_BYTES - b->sizes[partition]);
	b->counts[partition]++;
	b->sizes[partition] += (uint32_t)(LENGTH_BYTES + len);
}

bool chunk_layout(struct chunk_builder *b, struct chunk_index *index)
{
	uint32_t groups = 0, records = 0;
	uint64_t size = CHUNK_HEAD_BYTES;
	for (uint32_t p = 0; p < index->partitions; p++) {
		groups += b->counts[p] > 0;
		records += b->counts[p];
		size += b->sizes[p] + (b->counts[p] ? GROUP_BYTES : 0);
	}
	if (size > UINT32_MAX || !buf_reserve(&b->bytes, size))
		return false;
	b->bytes.len = size;
	uint8_t *at = chunk_put(b->bytes.data, CHUNK_VERSION, 1);
	at = chunk_put(at, 0, 1);
	at = chunk_put(at, groups, 2);
	at = chunk_put(at, records, 4);
	uint32_t position = CHUNK_HEAD_BYTES + groups * GROUP_BYTES;
	for (uint32_t p = 0; p < index->partitions; p++) {
		struct chunk_place *place = &index->places[p];
		place->count = b->counts[p];
		place->position = place->count ? position : 0;
		if (place->count == 0)
			continue;
		at = chunk_put(at, p, 2);
		at = chunk_put(at, 0, 2);
		at = chunk_put(at, position, 4);
		at = chunk_put(at, place->next, 8);
		at = chunk_put(at, place->count, 4);
		at = chunk_put(at, b->sizes[p], 4);
		b->at[p] = position;
		b->offsets[p] = place->next;
		position += b->sizes[p];
	}
	return true;
}

uint64_t chunk_place_record(struct chunk_builder *b, uint32_t partition, gh_bytes record)
{
	assert(b->counts[partition] > 0 && b->at[partition] + LENGTH_BYTES + record.len <= b->bytes.len);
	uint8_t *at = chunk_put(b->bytes.data + b->at[partition], record.len, LENGTH_BYTES);
	memcpy(at, record.data, record.len);
	b->at[partition] += (uint32_t)(LENGTH_BYTES + record.len);
	return b->offsets[partition]++;
}

/* ---- reading ---- */

bool chunk_open(gh_bytes chunk, uint32_t partition, struct chunk_reader *ret_reader)
{
	struct reader r = reader_of(chunk);
	if (reader_u8(&r) != CHUNK_VERSION || reader_u8(&r) != 0)
		return false;
	uint32_t groups = reader_u16(&r);
	reader_u32(&r);
	if (groups > CHUNK_PARTITIONS_MAX)
		return false;
	for (uint32_t i = 0; i < groups; i++) {
		uint32_t found = reader_u16(&r), zero = reader_u16(&r), position = reader_u32(&r);
		uint64_t first = reader_u64(&r);
		uint32_t count = reader_u32(&r), bytes = reader_u32(&r);
		if (r.failed || zero != 0)
			return false;
		if (found != partition)
			continue;
		if (position > chunk.len || bytes > chunk.len - position || first > UINT64_MAX - count)
			return false;
		*ret_reader = (struct chunk_reader){
			.records = reader_of((gh_bytes){chunk.data + position, bytes}),
			.offset = first,
			.left = count,
		};
		return true;
	}
	return false;
}

bool chunk_next(struct chunk_reader *reader, uint64_t *ret_offset, gh_bytes *ret_record)
{
	if (reader->left == 0) {
		reader->records.failed |= reader_left(&reader->records) > 0;
		return false;
	}
	gh_bytes record = reader_take(&reader->records, reader_u32(&reader->records));
	if (reader->records.failed)
		return false;
	reader->left--;
	*ret_offset = reader->offset++;
	*ret_record = record;
	return true;
}
