/* embedded_index.h - finds a place in the log by searching the index records on disk.
 *
 * Keys are commit numbers, and both what stands before a commit (a partition's offset) and its time only grow with
 * them, so a binary search over numbers with one small seek per step finds any place (docs/decisions/0002).
 * Callers hold the database's lock for reading and give an iterator over DB_INDEX.
 */
#ifndef GATEHOUSE_BACKENDS_EMBEDDED_INDEX_H
#define GATEHOUSE_BACKENDS_EMBEDDED_INDEX_H

#include "src/backends/embedded_db.h"

/* The first record at or after `commit`.  GH_NOT_FOUND past the end; GH_IO: unreadable or malformed. */
gh_status embedded_index_seek(
	rocksdb_iterator_t *it, uint64_t commit, uint64_t *ret_commit, struct chunk_index *ret_index);
/* The one after it. */
gh_status embedded_index_next(rocksdb_iterator_t *it, uint64_t *ret_commit, struct chunk_index *ret_index);

/* What must stand before the place sought. */
struct index_goal {
	uint32_t partition; /* CHUNK_PARTITIONS_MAX: search by time */
	uint64_t value;     /* an offset, or milliseconds */
};

/* The last commit in first..last whose partition begins at or before the offset (or whose time is before the time).
 * Any commit of the range may be missing.  GH_NOT_FOUND: none is. */
gh_status embedded_index_search(
	rocksdb_iterator_t *it, const struct index_goal *goal, uint64_t first, uint64_t last, uint64_t *ret_commit);

#endif
