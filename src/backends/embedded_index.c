#include "src/backends/embedded_index.h"

static gh_status index_current(rocksdb_iterator_t *it, uint64_t *ret_commit, struct chunk_index *ret_index)
{
	if (!rocksdb_iter_valid(it)) {
		char *fault = NULL;
		rocksdb_iter_get_error(it, &fault);
		gh_status status = fault ? GH_IO : GH_NOT_FOUND;
		rocksdb_free(fault);
		return status;
	}
	size_t key_len, len;
	const char *key = rocksdb_iter_key(it, &key_len), *value = rocksdb_iter_value(it, &len);
	*ret_commit = embedded_db_commit_of(key, key_len);
	return *ret_commit && chunk_index_decode((gh_bytes){(const uint8_t *)value, len}, ret_index) ? GH_OK : GH_IO;
}

gh_status embedded_index_seek(
	rocksdb_iterator_t *it, uint64_t commit, uint64_t *ret_commit, struct chunk_index *ret_index)
{
	uint8_t key[8];
	embedded_db_commit_key(commit, key);
	rocksdb_iter_seek(it, (const char *)key, sizeof key);
	return index_current(it, ret_commit, ret_index);
}

gh_status embedded_index_next(rocksdb_iterator_t *it, uint64_t *ret_commit, struct chunk_index *ret_index)
{
	rocksdb_iter_next(it);
	return index_current(it, ret_commit, ret_index);
}

static bool index_before(const struct chunk_index *index, const struct index_goal *goal)
{
	if (goal->partition == CHUNK_PARTITIONS_MAX)
		return index->time_ms < goal->value;
	/* A commit from before the queue was made: its partitions begin at 0. */
	return goal->partition >= index->partitions || index->places[goal->partition].next <= goal->value;
}

gh_status embedded_index_search(
	rocksdb_iterator_t *it, const struct index_goal *goal, uint64_t first, uint64_t last, uint64_t *ret_commit)
{
	uint64_t found = 0;
	while (first <= last) {
		uint64_t middle = first + (last - first) / 2, commit = 0;
		struct chunk_index index;
		gh_status status = embedded_index_seek(it, middle, &commit, &index);
		if (status != GH_OK && status != GH_NOT_FOUND)
			return status;
		if (status == GH_OK && commit <= last && index_before(&index, goal)) {
			found = commit;
			first = commit + 1;
		} else
			last = middle - 1; /* middle > 0: first is at least 1 */
	}
	*ret_commit = found;
	return found ? GH_OK : GH_NOT_FOUND;
}
