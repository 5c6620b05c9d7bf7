/* The floor's record, under "floor" in the default family, after the version every value has:
 *
 *   first commit kept u64 | partitions u16 | partitions x first offset kept u64
 */
#include "src/backends/embedded_retention.h"

#include "src/backends/embedded_index.h"
#include "src/base/text.h"

#include <stdlib.h>

static const char retention_key[] = "floor";
enum { RETENTION_BYTES_MAX = 10 + 8 * CHUNK_PARTITIONS_MAX };

gh_status embedded_retention_load(struct embedded_db *db, struct embedded_log *log, gh_error *ret_err)
{
	atomic_store(&log->commit_floor, 1);
	rocksdb_pinnableslice_t *slice;
	gh_bytes value;
	gh_status status = embedded_db_get(db, DB_HUB, text_of(retention_key), &slice, &value);
	if (status == GH_NOT_FOUND)
		return GH_OK;
	if (status != GH_OK)
		return gh_fail(ret_err, GH_IO, "floor_unreadable", "%s: the floor's record cannot be read", db->path);
	struct reader r = reader_of(value);
	reader_u64(&r);
	uint64_t commit = reader_u64(&r);
	uint32_t partitions = reader_u16(&r);
	if (partitions != log->partitions || reader_left(&r) != 8 * (size_t)partitions)
		r.failed = true;
	for (uint32_t p = 0; p < partitions && !r.failed; p++)
		atomic_store(&log->floors[p], reader_u64(&r));
	atomic_store(&log->commit_floor, commit);
	rocksdb_pinnableslice_destroy(slice);
	if (r.failed)
		return gh_fail(ret_err, GH_IO, "floor_unreadable", "%s: the floor's record is malformed", db->path);
	return GH_OK;
}

/* ---- where the floor should be ---- */

static gh_status retention_by_age(
	struct embedded_writer *w, struct embedded_log *log, rocksdb_iterator_t *it, uint64_t wall_ms, uint64_t *floor)
{
	uint64_t age_ms = w->limits->retention_ms_max, last;
	if (wall_ms <= age_ms)
		return GH_OK;
	struct index_goal goal = {CHUNK_PARTITIONS_MAX, wall_ms - age_ms};
	gh_status status = embedded_index_search(it, &goal, *floor, atomic_load(&log->commit_last), &last);
	if (status == GH_OK)
		*floor = last + 1;
	return status == GH_NOT_FOUND ? GH_OK : status;
}

struct retention_file {
	uint64_t last; /* commit */
	uint64_t bytes;
};

static int retention_file_compare(const void *a, const void *b)
{
	uint64_t x = ((const struct retention_file *)a)->last, y = ((const struct retention_file *)b)->last;
	return (x > y) - (x < y);
}

/* Lists the files of chunks that can be dropped as they are (not on level 0); *ret_total counts all of the log. */
static struct retention_file *retention_files(rocksdb_t *rocks, size_t *ret_count, uint64_t *ret_total)
{
	const rocksdb_livefiles_t *live = rocksdb_livefiles(rocks);
	int n = rocksdb_livefiles_count(live);
	struct retention_file *files = calloc((size_t)n + 1, sizeof *files);
	*ret_count = *ret_total = 0;
	for (int i = 0; files && i < n; i++) {
		const char *family = rocksdb_livefiles_column_family_name(live, i);
		bool chunks = strcmp(family, "chunks") == 0;
		if (!chunks && strcmp(family, "index") != 0)
			continue;
		*ret_total += rocksdb_livefiles_size(live, i);
		size_t len;
		const char *key = rocksdb_livefiles_largestkey(live, i, &len);
		if (chunks && rocksdb_livefiles_level(live, i) > 0)
			files[(*ret_count)++] = (struct retention_file){
				embedded_db_commit_of(key, len), rocksdb_livefiles_size(live, i)};
	}
	rocksdb_livefiles_destroy(live);
	return files;
}

static gh_status retention_by_size(struct embedded_writer *w, uint64_t *floor)
{
	uint64_t bytes_max = w->limits->retention_bytes_max, total;
	if (bytes_max == 0)
		return GH_OK;
	size_t count;
	struct retention_file *files = retention_files(w->db->rocks, &count, &total);
	if (!files)
		return GH_NO_MEMORY;
	qsort(files, count, sizeof *files, retention_file_compare);
	for (size_t i = 0; i < count && total > bytes_max; i++) {
		total -= files[i].bytes;
		if (files[i].last >= *floor)
			*floor = files[i].last + 1;
	}
	free(files);
	return GH_OK;
}

/* ---- moving it ---- */

static gh_status retention_commit(struct embedded_writer *w, const struct chunk_index *index, uint64_t floor)
{
	struct buf value;
	uint8_t room[RETENTION_BYTES_MAX];
	value = (struct buf){.data = room, .cap = sizeof room, .cap_max = sizeof room};
	buf_put_u64(&value, floor);
	buf_put_u16(&value, (uint16_t)index->partitions);
	for (uint32_t p = 0; p < index->partitions; p++)
		buf_put_u64(&value, index->places[p].next);
	gh_store_write write = {
		.family = (enum gh_family)DB_HUB,
		.key = text_of(retention_key),
		.value = buf_bytes(&value),
		.version_expected = GH_VERSION_ANY,
	};
	struct txn txn = {.writes = &write, .count = 1};
	return embedded_writer_commit(w, &txn);
}

static void retention_drop(struct embedded_db *db, uint64_t floor)
{
	uint8_t first[8], last[8];
	embedded_db_commit_key(0, first);
	embedded_db_commit_key(floor - 1, last);
	static const int families[] = {DB_CHUNKS, DB_INDEX};
	for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
		char *fault = NULL;
		rocksdb_delete_file_in_range_cf(db->rocks, db->families[families[i]], (const char *)first, sizeof first,
			(const char *)last, sizeof last, &fault);
		rocksdb_free(fault); /* what was not dropped now is dropped by the next pass */
	}
}

/* Under the database's lock: the new floor and the record that stands there; GH_NOT_FOUND: no reason to move. */
static gh_status retention_decide(struct embedded_writer *w, struct embedded_log *log, uint64_t wall_ms,
	uint64_t *ret_floor, struct chunk_index *ret_index)
{
	struct embedded_db *db = w->db;
	uint64_t now = atomic_load(&log->commit_floor), floor = now, last = atomic_load(&log->commit_last), found;
	if (!db->rocks || last == 0)
		return GH_NOT_FOUND;
	rocksdb_iterator_t *it = rocksdb_create_iterator_cf(db->rocks, db->read, db->families[DB_INDEX]);
	gh_status status = retention_by_age(w, log, it, wall_ms, &floor);
	if (status == GH_OK)
		status = retention_by_size(w, &floor);
	if (floor > last)
		floor = last;
	if (status == GH_OK && floor == now)
		status = GH_NOT_FOUND;
	if (status == GH_OK)
		status = embedded_index_seek(it, floor, &found, ret_index);
	if (status == GH_OK && ret_index->partitions != log->partitions)
		status = GH_NOT_FOUND; /* from before the queue was made */
	rocksdb_iter_destroy(it);
	*ret_floor = floor;
	return status;
}

gh_status embedded_retention_run(struct embedded_writer *w, struct embedded_log *log, uint64_t wall_ms)
{
	uint64_t floor;
	struct chunk_index index;
	pthread_rwlock_rdlock(&w->db->lock);
	gh_status status = retention_decide(w, log, wall_ms, &floor, &index);
	pthread_rwlock_unlock(&w->db->lock);
	if (status == GH_OK)
		status = retention_commit(w, &index, floor);
	if (status == GH_OK) {
		for (uint32_t p = 0; p < log->partitions; p++)
			atomic_store(&log->floors[p], index.places[p].next);
		atomic_store(&log->commit_floor, floor);
	}
	/* Even when it did not move: files may have left level 0 since. */
	pthread_rwlock_rdlock(&w->db->lock);
	if (w->db->rocks && atomic_load(&log->commit_floor) > 1)
		retention_drop(w->db, atomic_load(&log->commit_floor));
	pthread_rwlock_unlock(&w->db->lock);
	return status == GH_NOT_FOUND ? GH_OK : status;
}
