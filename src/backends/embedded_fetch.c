#include "src/backends/embedded_fetch.h"

#include "src/backends/embedded_index.h"

#include <stdlib.h>

/* A read walks at most so many index records after its first record: a quiet partition beside busy ones must not
 * keep the others' reads waiting. */
enum { FETCH_WALK_MAX = 4096, FETCH_RECORDS_MAX = 16384 };

struct fetch {
	const struct reader_request *request;
	struct embedded_db *db;
	uint64_t next; /* offset wanted */
	uint64_t end;  /* synced */
	size_t bytes;
	gh_fetched *records;
	size_t count;
	size_t cap;
};

static gh_status fetch_keep(struct fetch *f, uint64_t offset, gh_bytes record)
{
	if (f->count == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 64;
		gh_fetched *records = realloc(f->records, cap * sizeof *records);
		if (!records)
			return GH_NO_MEMORY;
		f->records = records;
		f->cap = cap;
	}
	gh_message *message;
	gh_status status = gh_message_decode(record, &message);
	if (status != GH_OK)
		return status == GH_NO_MEMORY ? status : GH_IO;
	f->records[f->count++] = (gh_fetched){f->request->partition, offset, message};
	f->bytes += record.len;
	f->next = offset + 1;
	return GH_OK;
}

static bool fetch_full(const struct fetch *f)
{
	return f->count > 0 && (f->bytes >= f->request->bytes_max || f->count >= FETCH_RECORDS_MAX);
}

static gh_status fetch_chunk(struct fetch *f, uint64_t commit, const struct chunk_place *place)
{
	uint8_t key[8];
	embedded_db_commit_key(commit, key);
	rocksdb_pinnableslice_t *slice;
	gh_bytes chunk;
	gh_status status = embedded_db_get(f->db, DB_CHUNKS, (gh_bytes){key, sizeof key}, &slice, &chunk);
	if (status != GH_OK)
		return GH_IO; /* the index promised it */
	struct chunk_reader r;
	uint64_t offset;
	gh_bytes record;
	if (!chunk_open(chunk, f->request->partition, &r) || r.offset != place->next || r.left != place->count)
		status = GH_IO;
	while (status == GH_OK && !fetch_full(f) && f->next < f->end && chunk_next(&r, &offset, &record))
		if (offset >= f->next && offset < f->end)
			status = fetch_keep(f, offset, record);
	if (status == GH_OK && r.records.failed)
		status = GH_IO;
	rocksdb_pinnableslice_destroy(slice);
	return status;
}

/* Where to begin: where the last read of this partition ended, else by search. */
static gh_status fetch_start(struct fetch *f, rocksdb_iterator_t *it, const struct embedded_log *log,
	const struct reader_hint *hint, uint64_t *ret_commit)
{
	uint64_t floor = atomic_load(&log->commit_floor);
	if (hint->commit >= floor && hint->offset == f->next) {
		*ret_commit = hint->commit;
		return GH_OK;
	}
	struct index_goal goal = {f->request->partition, f->next};
	gh_status status = embedded_index_search(it, &goal, floor, atomic_load(&log->commit_last), ret_commit);
	return status == GH_NOT_FOUND ? GH_IO : status;
}

static gh_status fetch_walk(
	struct fetch *f, rocksdb_iterator_t *it, const struct embedded_log *log, struct reader_hint *hint)
{
	uint64_t commit;
	struct chunk_index index;
	gh_status status = fetch_start(f, it, log, hint, &commit);
	if (status == GH_OK)
		status = embedded_index_seek(it, commit, &commit, &index);
	for (unsigned walked = 0; status == GH_OK; walked++) {
		const struct chunk_place *place = &index.places[f->request->partition];
		if (f->request->partition < index.partitions && place->count && place->next + place->count > f->next)
			status = fetch_chunk(f, commit, place);
		if (status != GH_OK)
			break;
		*hint = (struct reader_hint){f->next, commit};
		if (fetch_full(f) || f->next >= f->end || (f->count > 0 && walked >= FETCH_WALK_MAX))
			return GH_OK;
		status = embedded_index_next(it, &commit, &index);
	}
	/* The ends said there is more. */
	return status == GH_NOT_FOUND ? GH_IO : status;
}

static gh_status fetch_open(struct fetch *f, struct embedded_log *log, struct reader_hint *hint)
{
	gh_status status = GH_UNAVAILABLE;
	pthread_rwlock_rdlock(&f->db->lock);
	if (f->db->rocks) {
		rocksdb_iterator_t *it =
			rocksdb_create_iterator_cf(f->db->rocks, f->db->read, f->db->families[DB_INDEX]);
		status = fetch_walk(f, it, log, hint);
		rocksdb_iter_destroy(it);
	}
	pthread_rwlock_unlock(&f->db->lock);
	return status;
}

void embedded_fetch(struct embedded_db *db, struct embedded_log *log, const struct reader_request *request,
	struct reader_hint *hint, gh_completion *ret)
{
	uint32_t p = request->partition;
	struct fetch f = {.request = request, .db = db, .next = request->from, .end = atomic_load(&log->ends[p])};
	gh_status status = GH_OK;
	if (f.next >= atomic_load(&log->floors[p]) && f.next < f.end)
		status = fetch_open(&f, log, hint);
	/* Retention may have passed while we read. */
	uint64_t floor = atomic_load(&log->floors[p]);
	if (request->from < floor)
		status = GH_GONE;
	if (status != GH_OK) {
		gh_fetched_free(f.records, f.count);
		f.records = NULL;
		f.count = 0;
		*hint = (struct reader_hint){0};
	}
	ret->status = status;
	ret->offset = status == GH_OK ? f.next : status == GH_GONE ? floor : request->from;
	ret->records = f.records;
	ret->count = f.count;
}
