/* chunk.h - the stored form of one group commit: a chunk of records and its index record (docs/formats.md).
 *
 * Knows bytes only: no database, no message, no protocol.  What is read back is checked as if a stranger had written it.
 */
#ifndef GATEHOUSE_BACKENDS_CHUNK_H
#define GATEHOUSE_BACKENDS_CHUNK_H

#include "src/base/buf.h"

enum { CHUNK_PARTITIONS_MAX = 32 };

/* ---- index record: one per commit, whether or not the commit holds a chunk ---- */

struct chunk_place {
	uint64_t next;     /* offset the partition's next record had before this commit */
	uint32_t position; /* in the chunk, of the partition's first record; 0 when count is 0 */
	uint32_t count;
};

struct chunk_index {
	uint64_t time_ms;    /* never less than in the commit before */
	uint32_t partitions; /* 0 while no queue was made yet */
	struct chunk_place places[CHUNK_PARTITIONS_MAX];
};

enum { CHUNK_INDEX_BYTES_MAX = 12 + 16 * CHUNK_PARTITIONS_MAX };

size_t chunk_index_encode(const struct chunk_index *index, uint8_t ret_bytes[CHUNK_INDEX_BYTES_MAX]);
/* False when the bytes are not one whole record. */
bool chunk_index_decode(gh_bytes bytes, struct chunk_index *ret_index);

/* What the commit after `last` starts from: its ends become `next`, nothing counted. */
void chunk_index_follow(struct chunk_index *index, const struct chunk_index *last);

/* ---- building: count every record, lay out once, then place every record in the same order ---- */

struct chunk_builder {
	struct buf bytes;
	uint32_t counts[CHUNK_PARTITIONS_MAX];
	uint32_t sizes[CHUNK_PARTITIONS_MAX];
	uint32_t at[CHUNK_PARTITIONS_MAX];      /* where the partition's next record goes */
	uint64_t offsets[CHUNK_PARTITIONS_MAX]; /* and the offset it gets */
};

void chunk_builder_init(struct chunk_builder *b);
void chunk_builder_done(struct chunk_builder *b);
void chunk_begin(struct chunk_builder *b); /* keeps the memory */
void chunk_count(struct chunk_builder *b, uint32_t partition, size_t len);
/* Reserves the bytes and fills `index` (places; next offsets are read from it).  False without memory. */
bool chunk_layout(struct chunk_builder *b, struct chunk_index *index);
/* Returns the record's offset. */
uint64_t chunk_place_record(struct chunk_builder *b, uint32_t partition, gh_bytes record);

/* ---- reading ---- */

struct chunk_reader {
	struct reader records; /* of one partition */
	uint64_t offset;       /* of the next one */
	uint32_t left;
};

/* Finds the group of a partition.  False: malformed, or the partition is not in it. */
bool chunk_open(gh_bytes chunk, uint32_t partition, struct chunk_reader *ret_reader);
/* False at the end; ret->records.failed then tells whether it was a proper one. */
bool chunk_next(struct chunk_reader *reader, uint64_t *ret_offset, gh_bytes *ret_record);

#endif
