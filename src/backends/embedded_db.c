#include "src/backends/embedded_db.h"

#include "src/base/take.h"
#include "src/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Names are part of the stored form.  The default family, which every database has, holds what is about the whole. */
static const char *const db_names[DB_FAMILY_COUNT] = {
	[GH_FAMILY_META] = "meta",
	[GH_FAMILY_IDENTITIES] = "identities",
	[GH_FAMILY_POLICIES] = "policies",
	[GH_FAMILY_SESSIONS] = "sessions",
	[DB_HUB] = "default",
	[DB_CHUNKS] = "chunks",
	[DB_INDEX] = "index",
};

static const char db_format_key[] = "format";

void embedded_db_commit_key(uint64_t commit, uint8_t ret_key[8])
{
	for (unsigned i = 0; i < 8; i++)
		ret_key[i] = (uint8_t)(commit >> (56 - 8 * i));
}

uint64_t embedded_db_commit_of(const char *key, size_t len)
{
	struct reader r = reader_of((gh_bytes){(const uint8_t *)key, len});
	return len == 8 ? reader_u64(&r) : 0;
}

/* ---- options ---- */

static rocksdb_options_t *db_options(bool may_create)
{
	enum { MIB = 1024 * 1024 };
	rocksdb_options_t *o = rocksdb_options_create();
	rocksdb_options_set_create_if_missing(o, may_create);
	rocksdb_options_set_create_missing_column_families(o, 1);
	rocksdb_options_set_paranoid_checks(o, 1);
	rocksdb_options_set_wal_recovery_mode(o, rocksdb_point_in_time_recovery);
	/* Keys of the log only ascend: level compaction moves its files instead of rewriting them.  FIFO would delete
	 * acknowledged data at its size cap, and keeps everything on level 0, where retention cannot drop files. */
	rocksdb_options_set_compaction_style(o, rocksdb_level_compaction);
	rocksdb_options_set_compression(o, rocksdb_no_compression);
	/* Small memtables: short flushes, a short log to replay.  The bound over all families is higher than the one of
	 * a family, so that the chunks are flushed by their own size; at the same bound the index, always the older one,
	 * would be flushed in small files each time.  The log's size brings its turn.  Arena blocks are charged against them before they are
	 * touched; at the default 1 MiB each family would eat an eighth of the budget with its first byte. */
	rocksdb_options_set_write_buffer_size(o, 8 * MIB);
	rocksdb_options_set_db_write_buffer_size(o, 16 * MIB);
	rocksdb_options_set_arena_block_size(o, 64 * 1024);
	rocksdb_options_set_max_write_buffer_number(o, 4);
	rocksdb_options_set_max_total_wal_size(o, 24 * MIB);
	rocksdb_options_set_bytes_per_sync(o, MIB);
	rocksdb_options_set_max_background_jobs(o, 2);
	rocksdb_options_set_allow_concurrent_memtable_write(o, 0);
	rocksdb_options_set_enable_write_thread_adaptive_yield(o, 0);
	/* Opening: no statistics, no crowd of threads, few descriptors. */
	rocksdb_options_set_max_open_files(o, 256);
	rocksdb_options_set_max_file_opening_threads(o, 1);
	rocksdb_options_set_skip_stats_update_on_db_open(o, 1);
	rocksdb_options_set_table_cache_numshardbits(o, 2);
	rocksdb_options_set_max_manifest_file_size(o, 4 * MIB);
	/* Its own log tells only what is wrong; recovery reads it (db_bytes_dropped). */
	rocksdb_options_set_info_log_level(o, 2);
	rocksdb_options_set_keep_log_file_num(o, 2);
	rocksdb_options_set_max_log_file_size(o, MIB);
	rocksdb_options_set_stats_dump_period_sec(o, 0);
	rocksdb_options_set_stats_persist_period_sec(o, 0);
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
	rocksdb_cache_t *cache = rocksdb_cache_create_lru(4 * MIB);
	rocksdb_block_based_options_set_block_cache(table, cache);
	rocksdb_options_set_block_based_table_factory(o, table);
	rocksdb_block_based_options_destroy(table);
	rocksdb_cache_destroy(cache);
	return o;
}

/* ---- reading and writing ---- */

gh_status embedded_db_write(struct embedded_db *db, rocksdb_writebatch_t *batch, gh_error *ret_err)
{
	char *fault = NULL;
	rocksdb_write(db->rocks, db->write, batch, &fault);
	if (!fault)
		return GH_OK;
	bool full = strstr(fault, "No space left") || strstr(fault, "NoSpace");
	gh_status status =
		gh_fail(ret_err, full ? GH_NO_SPACE : GH_UNKNOWN, full ? "disk_full" : "write_failed", "%s", fault);
	rocksdb_free(fault);
	return status;
}

gh_status embedded_db_get(
	struct embedded_db *db, int family, gh_bytes key, rocksdb_pinnableslice_t **ret_slice, gh_bytes *ret_value)
{
	char *fault = NULL;
	rocksdb_pinnableslice_t *slice = rocksdb_get_pinned_cf(
		db->rocks, db->read, db->families[family], (const char *)key.data, key.len, &fault);
	if (fault) {
		rocksdb_free(fault);
		return GH_IO;
	}
	if (!slice)
		return GH_NOT_FOUND;
	const char *data = rocksdb_pinnableslice_value(slice, &ret_value->len);
	ret_value->data = (const uint8_t *)data;
	*ret_slice = slice;
	return GH_OK;
}

/* ---- opening ---- */

/* A new name is durable once its directory was synced; without it a power cut may take all that lies below. */
static bool db_sync_parent(const char *path)
{
	char parent[4096];
	snprintf(parent, sizeof parent, "%s", path);
	char *slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent] = '\0';
	int fd = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool synced = fd >= 0 && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	return synced;
}

static gh_status db_make_directory(const char *path, gh_error *ret_err)
{
	if (mkdir(path, 0700) == 0 && db_sync_parent(path))
		return GH_OK;
	struct stat st;
	int cause = errno;
	if (cause == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return GH_OK;
	return gh_fail(ret_err, GH_IO, "directory_create", "%s: %s", path, strerror(cause));
}

/* Like mkdir -p, with 0700 for what is new. */
static gh_status db_make_path(const char *path, gh_error *ret_err)
{
	char part[4096];
	if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part || part[0] == '\0')
		return gh_fail(ret_err, GH_INVALID, "directory_name", "the directory's name is empty or too long");
	for (char *slash = part + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		gh_status status = db_make_directory(part, ret_err);
		if (status != GH_OK)
			return status;
	}
	return db_make_directory(path, ret_err);
}

static bool db_exists(const char *path)
{
	char current[4096];
	struct stat st;
	return snprintf(current, sizeof current, "%s/CURRENT", path) < (int)sizeof current && stat(current, &st) == 0;
}

/* A family this program does not know was made by a newer one: opening without it is refused by RocksDB in words that
 * help nobody. */
static gh_status db_check_families(struct embedded_db *db, gh_error *ret_err)
{
	char *fault = NULL;
	size_t count;
	char **names = rocksdb_list_column_families(db->options, db->path, &count, &fault);
	if (fault) {
		gh_fail(ret_err, GH_IO, "store_unreadable", "%s: %s", db->path, fault);
		rocksdb_free(fault);
		return GH_IO;
	}
	gh_status status = GH_OK;
	for (size_t i = 0; i < count && status == GH_OK; i++) {
		bool known = false;
		for (int f = 0; f < DB_FAMILY_COUNT; f++)
			known |= strcmp(names[i], db_names[f]) == 0;
		if (!known)
			status = gh_fail(ret_err, GH_INVALID, "format_newer",
				"%s holds the unknown family \"%s\": use a newer gatehouse", db->directory, names[i]);
	}
	rocksdb_list_column_families_destroy(names, count);
	return status;
}

static gh_status db_open_rocks(struct embedded_db *db, gh_error *ret_err)
{
	const rocksdb_options_t *options[DB_FAMILY_COUNT];
	for (int f = 0; f < DB_FAMILY_COUNT; f++)
		options[f] = db->options;
	char *fault = NULL;
	db->rocks = rocksdb_open_column_families(
		db->options, db->path, DB_FAMILY_COUNT, db_names, options, db->families, &fault);
	if (!fault)
		return GH_OK;
	db->rocks = NULL;
	gh_fail(ret_err, GH_IO, "store_open", "%s: %s", db->path, fault);
	rocksdb_free(fault);
	return GH_IO;
}

static void db_close_rocks(struct embedded_db *db)
{
	if (!db->rocks)
		return;
	for (int f = 0; f < DB_FAMILY_COUNT; f++)
		rocksdb_column_family_handle_destroy(db->families[f]);
	rocksdb_close(db->rocks);
	db->rocks = NULL;
}

static gh_status db_write_format(struct embedded_db *db, gh_error *ret_err)
{
	const uint8_t value[DB_VERSION_BYTES + 4] = {[DB_VERSION_BYTES + 3] = EMBEDDED_DB_FORMAT};
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
	rocksdb_writebatch_put_cf(batch, db->families[DB_HUB], db_format_key, sizeof db_format_key - 1,
		(const char *)value, sizeof value);
	gh_status status = embedded_db_write(db, batch, ret_err);
	rocksdb_writebatch_destroy(batch);
	return status;
}

/* *ret_missing: a database nobody finished making. */
static gh_status db_check_format(struct embedded_db *db, bool *ret_missing, gh_error *ret_err)
{
	rocksdb_pinnableslice_t *slice;
	gh_bytes value;
	gh_status status = embedded_db_get(db, DB_HUB, text_of(db_format_key), &slice, &value);
	*ret_missing = status == GH_NOT_FOUND;
	if (status == GH_NOT_FOUND)
		return GH_OK;
	if (status != GH_OK)
		return gh_fail(ret_err, GH_IO, "format_unreadable", "%s: the format version cannot be read", db->path);
	struct reader r = reader_of(value);
	reader_u64(&r);
	uint32_t format = reader_u32(&r);
	if (r.failed || format == 0)
		status = gh_fail(ret_err, GH_IO, "format_unreadable", "%s: the format version is malformed", db->path);
	else if (format > EMBEDDED_DB_FORMAT)
		status = gh_fail(ret_err, GH_INVALID, "format_newer",
			"%s has format version %u, this program knows up to %d: use a newer gatehouse", db->directory,
			format, EMBEDDED_DB_FORMAT);
	rocksdb_pinnableslice_destroy(slice);
	return status;
}

/* The last index record tells the last commit and all ends, so opening costs the same whatever the log holds. */
static gh_status db_read_last(struct embedded_db *db, gh_error *ret_err)
{
	rocksdb_iterator_t *it = rocksdb_create_iterator_cf(db->rocks, db->read, db->families[DB_INDEX]);
	rocksdb_iter_seek_to_last(it);
	char *fault = NULL;
	rocksdb_iter_get_error(it, &fault);
	bool good = !fault;
	db->commit = 0;
	db->last = (struct chunk_index){0};
	if (good && rocksdb_iter_valid(it)) {
		size_t key_len, len;
		const char *key = rocksdb_iter_key(it, &key_len), *value = rocksdb_iter_value(it, &len);
		db->commit = embedded_db_commit_of(key, key_len);
		good = db->commit > 0 && chunk_index_decode((gh_bytes){(const uint8_t *)value, len}, &db->last);
	}
	if (!good)
		gh_fail(ret_err, GH_IO, "index_unreadable", "%s: the last index record is unreadable: %s", db->path,
			fault ? fault : "malformed");
	rocksdb_free(fault);
	rocksdb_iter_destroy(it);
	return good ? GH_OK : GH_IO;
}

/* What RocksDB's log of this opening says it cut off. */
static uint64_t db_bytes_dropped(const struct embedded_db *db)
{
	char path[4200], line[1024];
	snprintf(path, sizeof path, "%s/LOG", db->path);
	FILE *log = fopen(path, "re");
	uint64_t total = 0;
	while (log && fgets(line, sizeof line, log)) {
		static const char words[] = "dropping ";
		const char *at = strstr(line, words);
		if (at && strstr(at, " bytes"))
			total += strtoull(at + sizeof words - 1, NULL, 10);
	}
	if (log)
		fclose(log);
	return total;
}

/* Going on after a loss must not use a number twice: readers may have seen the lost offsets, writers the lost versions.
 * An empty commit under the last acknowledged number leaps over all that can have been used. */
static gh_status db_leap(struct embedded_db *db, uint64_t marked, gh_error *ret_err)
{
	for (uint32_t p = 0; p < db->last.partitions; p++) {
		struct chunk_place *place = &db->last.places[p];
		*place = (struct chunk_place){
			.next = place->next + place->count + (marked - db->commit) * db->records_max};
	}
	uint8_t key[8], value[CHUNK_INDEX_BYTES_MAX];
	embedded_db_commit_key(marked, key);
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
	rocksdb_writebatch_put_cf(batch, db->families[DB_INDEX], (const char *)key, sizeof key, (const char *)value,
		chunk_index_encode(&db->last, value));
	gh_status status = embedded_db_write(db, batch, ret_err);
	rocksdb_writebatch_destroy(batch);
	if (status == GH_OK)
		db->commit = marked;
	return status;
}

static gh_status db_check_mark(struct embedded_db *db, gh_error *ret_err)
{
	uint64_t marked = mark_commit(&db->mark);
	if (marked <= db->commit)
		return GH_OK;
	unsigned long long missing = marked - db->commit, found = db->commit;
	if (!db->accept_loss)
		return gh_fail(ret_err, GH_IO, "acknowledged_data_missing",
			"%s: %llu acknowledged commits are missing after commit %llu; restore a copy, or go on without them "
			"(accept loss)",
			db->directory, missing, found);
	snprintf(db->recovery, sizeof db->recovery,
		"went on without %llu acknowledged commits missing after commit %llu", missing, found);
	return db_leap(db, marked, ret_err);
}

static void db_describe_recovery(struct embedded_db *db)
{
	if (mark_clean(&db->mark) || db->recovery[0])
		return;
	unsigned long long dropped = db_bytes_dropped(db), commit = db->commit;
	int n = snprintf(db->recovery, sizeof db->recovery, "not closed cleanly: recovered to commit %llu", commit);
	if (dropped)
		snprintf(db->recovery + n, sizeof db->recovery - (size_t)n,
			", cut %llu bytes never acknowledged off the end of the log", dropped);
}

static gh_status db_recover(struct embedded_db *db, gh_error *ret_err)
{
	bool unmade = false;
	gh_status status = db_open_rocks(db, ret_err);
	if (status == GH_OK)
		status = db_check_format(db, &unmade, ret_err);
	if (status == GH_OK)
		status = db_read_last(db, ret_err);
	if (status == GH_OK && unmade && db->commit > 0)
		status = gh_fail(ret_err, GH_IO, "format_unreadable", "%s: the format version is missing", db->path);
	if (status == GH_OK)
		status = db_check_mark(db, ret_err);
	if (status == GH_OK && unmade)
		status = db_write_format(db, ret_err);
	return status;
}

static gh_status db_open_mark(struct embedded_db *db, bool existed, bool must_exist, gh_error *ret_err)
{
	bool may_create = !must_exist && (!existed || db->accept_loss);
	gh_status status = mark_open(&db->mark, db->directory, may_create, EMBEDDED_DB_FORMAT, ret_err);
	if (status == GH_NOT_FOUND && existed)
		return gh_fail(ret_err, GH_IO, "mark_missing",
			"%s/mark is missing: whether acknowledged data is missing too cannot be told; restore it, or go on "
			"(accept loss)",
			db->directory);
	if (status == GH_OK && db->mark.fresh && existed)
		snprintf(db->recovery, sizeof db->recovery, "went on without the mark file: losses cannot be told");
	return status;
}

static gh_status db_open_all(struct embedded_db *db, const gh_store_config *config, gh_error *ret_err)
{
	bool existed = db_exists(db->path);
	if (!existed && config->must_exist)
		return gh_fail(ret_err, GH_NOT_FOUND, "no_store", "%s holds no store", db->directory);
	gh_status status = existed ? GH_OK : db_make_path(db->path, ret_err);
	if (status == GH_OK)
		status = db_open_mark(db, existed, config->must_exist, ret_err);
	if (status == GH_OK && existed)
		status = db_check_families(db, ret_err);
	if (status == GH_OK)
		status = db_recover(db, ret_err);
	if (status != GH_OK)
		return status;
	db_describe_recovery(db);
	mark_set_commit(&db->mark, db->commit);
	mark_set_clean(&db->mark, false);
	return GH_OK;
}

gh_status embedded_db_open(struct embedded_db *db, const gh_store_config *config, gh_error *ret_err)
{
	*db = (struct embedded_db){.mark.fd = -1, .accept_loss = config->accept_loss};
	db->records_max = config->limits->commit_records_max;
	pthread_rwlock_init(&db->lock, NULL);
	db->options = db_options(!config->must_exist);
	db->read = rocksdb_readoptions_create();
	rocksdb_readoptions_set_verify_checksums(db->read, 1);
	db->write = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(db->write, 1);
	gh_status status = GH_NO_MEMORY;
	size_t size = strlen(config->directory) + sizeof "/db";
	db->directory = strdup(config->directory);
	db->path = malloc(size);
	if (db->directory && db->path && snprintf(db->path, size, "%s/db", config->directory) > 0)
		status = db_open_all(db, config, ret_err);
	else
		gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
	if (status != GH_OK)
		embedded_db_close(db, false);
	return status;
}

void embedded_db_close(struct embedded_db *db, bool clean)
{
	db_close_rocks(db);
	if (db->mark.page && clean)
		mark_set_clean(&db->mark, true);
	mark_close(&db->mark);
	rocksdb_writeoptions_destroy(db->write);
	rocksdb_readoptions_destroy(db->read);
	rocksdb_options_destroy(db->options);
	pthread_rwlock_destroy(&db->lock);
	free(db->path);
	free(db->directory);
	db->path = db->directory = NULL;
}

gh_status embedded_db_reopen(struct embedded_db *db, gh_error *ret_err)
{
	if (pthread_rwlock_trywrlock(&db->lock))
		return GH_AGAIN;
	db_close_rocks(db);
	gh_status status = db_recover(db, ret_err);
	if (status != GH_OK)
		db_close_rocks(db);
	pthread_rwlock_unlock(&db->lock);
	return status;
}
