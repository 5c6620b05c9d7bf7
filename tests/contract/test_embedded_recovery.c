/* What the embedded engine promises beyond the contract: restarts, damage, formats. */
#include "tests/suite.h"

#include "src/backends/embedded_store.h"
#include "tests/contract/damage.h"
#include "tests/contract/engine.h"
#include "tests/faults/run.h"

SUITE(recovery);

static gh_status recovery_try(struct engine *e, bool accept_loss, gh_error *ret_err)
{
	gh_store_config config = {.directory = e->directory, .limits = &e->limits, .accept_loss = accept_loss};
	return embedded_store.open(&config, &e->store, ret_err);
}

static void recovery_start_queue(struct engine *e)
{
	gh_error err = {0};
	gh_backend_config config = {.store = e->store, .level = GH_FSYNC, .limits = &e->limits};
	cr_assert(embedded_queue.open(&config, &e->queue, &err) == GH_OK, "%s", err.text);
	e->partitions = embedded_queue.partitions(e->queue);
	e->port = embedded_queue.attach(e->queue);
}

Test(recovery, a_restart_keeps_records_offsets_and_state)
{
	struct engine e;
	engine_open(&e);
	static uint64_t offsets[2000];
	gh_store_write write = {GH_FAMILY_META, text_of("k"), text_of("v"), false, GH_VERSION_NONE};
	cr_assert(embedded_store.commit(e.store, &write, 1, NULL) == GH_OK);
	for (unsigned long round = 0; round < 4; round++) {
		engine_store_letters(&e, round * 500, 500);
		engine_stop(&e);
		engine_start(&e);
		cr_assert_str_eq(embedded_store_recovery(e.store), "", "a clean stop leaves nothing to say");
	}
	cr_assert(engine_read_all(&e, offsets, 2000) == 2000);
	gh_store_value value;
	cr_assert(embedded_store.get(e.store, GH_FAMILY_META, text_of("k"), &value) == GH_OK);
	gh_store_value_done(&value);
	engine_close(&e);
}

Test(recovery, versions_grow_across_a_restart)
{
	struct engine e;
	engine_open(&e);
	uint64_t last = 0;
	for (int i = 0; i < 5; i++) {
		gh_store_write write = {
			GH_FAMILY_META, text_of("k"), text_of("v"), false, last ? last : GH_VERSION_NONE};
		cr_assert(embedded_store.commit(e.store, &write, 1, NULL) == GH_OK);
		gh_store_value value;
		cr_assert(embedded_store.get(e.store, GH_FAMILY_META, text_of("k"), &value) == GH_OK);
		cr_assert(value.version > last);
		last = value.version;
		gh_store_value_done(&value);
		engine_stop(&e);
		engine_start(&e);
	}
	engine_close(&e);
}

Test(recovery, the_number_of_partitions_is_fixed_at_creation)
{
	struct engine e;
	engine_init(&e);
	e.partitions = 7;
	engine_start(&e);
	engine_stop(&e);
	gh_error err = {0};
	cr_assert(recovery_try(&e, false, &err) == GH_OK);
	gh_backend_config config = {.store = e.store, .level = GH_FSYNC, .partitions = 8, .limits = &e.limits};
	cr_assert(embedded_queue.open(&config, &e.queue, &err) == GH_INVALID);
	cr_assert_str_eq(err.code, "partitions_fixed");
	recovery_start_queue(&e);
	cr_assert(e.partitions == 7);
	engine_close(&e);
}

Test(recovery, a_second_open_is_refused_with_a_line_that_names_the_directory)
{
	struct engine e;
	engine_open(&e);
	gh_error err = {0};
	gh_store *other = NULL;
	gh_store_config config = {.directory = e.directory, .limits = &e.limits};
	cr_assert(embedded_store.open(&config, &other, &err) == GH_CONFLICT && other == NULL);
	cr_assert_str_eq(err.code, "store_locked");
	cr_assert(strstr(err.text, e.directory) != NULL);
	engine_store_letters(&e, 0, 10);
	engine_close(&e);
}

Test(recovery, nothing_is_created_when_the_store_must_exist)
{
	struct engine e;
	engine_init(&e);
	gh_error err = {0};
	gh_store_config config = {.directory = e.directory, .limits = &e.limits, .must_exist = true};
	cr_assert(embedded_store.open(&config, &e.store, &err) == GH_NOT_FOUND);
	cr_assert(rmdir(e.directory) == 0, "the directory is still empty");
}

Test(recovery, others_can_read_neither_directory_nor_mark)
{
	struct engine e;
	engine_init(&e);
	char below[80], path[100];
	snprintf(below, sizeof below, "%s/a/b", e.directory);
	gh_error err = {0};
	gh_store_config config = {.directory = below, .limits = &e.limits};
	mode_t before = umask(0);
	cr_assert(embedded_store.open(&config, &e.store, &err) == GH_OK, "%s", err.text);
	umask(before);
	static const struct {
		const char *name;
		mode_t mode;
	} rows[] = {{"", 0700}, {"/mark", 0600}, {"/db", 0700}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct stat st;
		snprintf(path, sizeof path, "%s%s", below, rows[i].name);
		cr_assert(stat(path, &st) == 0 && (st.st_mode & 0777) == rows[i].mode, "%s", path);
	}
	engine_close(&e);
}

/* ---- the mark ---- */

/* As if the last `count` acknowledged commits had vanished. */
static uint64_t recovery_raise_mark(struct engine *e, uint64_t count)
{
	struct mark mark;
	cr_assert(mark_open(&mark, e->directory, false, EMBEDDED_DB_FORMAT, NULL) == GH_OK);
	uint64_t commit = mark_commit(&mark);
	mark_set_commit(&mark, commit + count);
	mark_close(&mark);
	return commit;
}

Test(recovery, missing_acknowledged_commits_are_counted_and_refused)
{
	struct engine e;
	engine_open(&e);
	engine_store_letters(&e, 0, 100);
	engine_stop(&e);
	recovery_raise_mark(&e, 7);
	gh_error err = {0};
	cr_assert(recovery_try(&e, false, &err) == GH_IO);
	cr_assert_str_eq(err.code, "acknowledged_data_missing");
	cr_assert(strstr(err.text, " 7 acknowledged commits") != NULL, "%s", err.text);
	cr_assert(recovery_try(&e, false, &err) == GH_IO, "asking again does not help");
	engine_close(&e);
}

Test(recovery, after_an_accepted_loss_no_offset_and_no_version_is_used_twice)
{
	struct engine e;
	engine_open(&e);
	engine_store_letters(&e, 0, 100);
	uint32_t p = letter_partition(0, e.partitions);
	uint64_t floor, end, after;
	embedded_queue.bounds(e.port, p, &floor, &end);
	engine_stop(&e);
	uint64_t commit = recovery_raise_mark(&e, 3);
	gh_error err = {0};
	cr_assert(recovery_try(&e, true, &err) == GH_OK, "%s", err.text);
	cr_assert(strstr(embedded_store_recovery(e.store), "3 acknowledged commits") != NULL);
	recovery_start_queue(&e);
	embedded_queue.bounds(e.port, p, &floor, &after);
	cr_assert(after >= end + 3, "the lost commits held at least one record each");
	gh_store_write write = {GH_FAMILY_META, text_of("k"), text_of("v"), false, GH_VERSION_NONE};
	gh_store_value value;
	cr_assert(embedded_store.commit(e.store, &write, 1, NULL) == GH_OK);
	cr_assert(embedded_store.get(e.store, GH_FAMILY_META, text_of("k"), &value) == GH_OK);
	cr_assert(value.version >> 16 > commit + 3);
	gh_store_value_done(&value);
	engine_store_letters(&e, 100, 100);
	static uint64_t offsets[200];
	cr_assert(engine_read_all(&e, offsets, 200) == 200, "readers step over the gap");
	engine_stop(&e);
	cr_assert(recovery_try(&e, false, &err) == GH_OK, "the loss was accepted once and for all: %s", err.text);
	engine_close(&e);
}

Test(recovery, a_missing_mark_is_refused_unless_loss_is_accepted)
{
	struct engine e;
	engine_open(&e);
	engine_store_letters(&e, 0, 10);
	engine_stop(&e);
	char path[100];
	snprintf(path, sizeof path, "%s/mark", e.directory);
	cr_assert(unlink(path) == 0);
	gh_error err = {0};
	cr_assert(recovery_try(&e, false, &err) == GH_IO);
	cr_assert_str_eq(err.code, "mark_missing");
	cr_assert(recovery_try(&e, true, &err) == GH_OK);
	cr_assert(strstr(embedded_store_recovery(e.store), "without the mark") != NULL);
	engine_close(&e);
}

Test(recovery, a_database_that_vanished_is_not_replaced_by_an_empty_one)
{
	struct engine e;
	engine_open(&e);
	engine_store_letters(&e, 0, 10);
	engine_stop(&e);
	char path[100];
	snprintf(path, sizeof path, "%s/db", e.directory);
	engine_remove(path);
	gh_error err = {0};
	cr_assert(recovery_try(&e, false, &err) == GH_IO);
	cr_assert_str_eq(err.code, "acknowledged_data_missing");
	engine_close(&e);
}

/* ---- damage ---- */

static void recovery_kill(struct engine *e, struct run *run, uint64_t *acks)
{
	engine_init(e);
	*run = (struct run){.directory = e->directory, .count = 5000, .batch = 20, .kill_after = 500};
	cr_assert(run_victim(run, acks) && run->acks >= 500, "%s", run->complaint);
}

Test(recovery, a_torn_tail_is_cut_off_and_reported_and_nothing_acknowledged_is_lost)
{
	struct engine e;
	struct run run;
	static uint64_t acks[RUN_NUMBERS_MAX], offsets[RUN_NUMBERS_MAX];
	recovery_kill(&e, &run, acks);
	char wal[600], start[24];
	cr_assert(damage_find(e.directory, ".log", wal) > (off_t)sizeof start);
	FILE *file = fopen(wal, "rb");
	cr_assert(file && fread(start, 1, sizeof start, file) == sizeof start);
	fclose(file);
	damage_append(wal, start, sizeof start); /* a record's begin without its end */
	engine_start(&e);
	const char *recovery = embedded_store_recovery(e.store);
	cr_assert(strstr(recovery, "not closed cleanly: recovered to commit ") != NULL, "%s", recovery);
	cr_assert(strstr(recovery, "cut ") != NULL, "%s", recovery);
	engine_read_all(&e, offsets, RUN_NUMBERS_MAX);
	for (unsigned long i = 0; i < RUN_NUMBERS_MAX; i++)
		cr_assert(!acks[i] || acks[i] == offsets[i], "letter %lu", i);
	engine_close(&e);
}

Test(recovery, a_flipped_bit_in_the_middle_of_the_write_ahead_log_is_not_taken_for_its_end)
{
	struct engine e;
	struct run run;
	static uint64_t acks[RUN_NUMBERS_MAX];
	recovery_kill(&e, &run, acks);
	char wal[600];
	off_t size = damage_find(e.directory, ".log", wal);
	damage_flip(wal, size / 2);
	gh_error err = {0};
	cr_assert(recovery_try(&e, false, &err) == GH_IO);
	cr_assert_str_eq(err.code, "acknowledged_data_missing", "%s", err.text);
	engine_close(&e);
}

Test(recovery, a_flipped_bit_in_a_table_is_answered_with_an_error_never_with_its_content)
{
	struct engine e;
	engine_open(&e);
	engine_store_letters(&e, 0, 3000);
	engine_stop(&e);
	engine_start(&e); /* recovery turns the log into tables */
	engine_stop(&e);
	char table[600];
	off_t size = damage_find(e.directory, ".sst", table);
	for (off_t at = size / 4; at < size * 3 / 4; at += size / 8)
		damage_flip(table, at);
	engine_start(&e);
	size_t damaged = 0;
	for (uint32_t p = 0; p < e.partitions; p++) {
		uint64_t floor, end;
		embedded_queue.bounds(e.port, p, &floor, &end);
		for (uint64_t from = floor; from < end;) {
			gh_completion c = engine_fetch(&e, p, from, 2000);
			cr_assert(c.status == GH_OK || c.status == GH_IO);
			cr_assert((c.status == GH_IO) == (c.count == 0));
			for (size_t i = 0; i < c.count; i++) {
				unsigned long number;
				cr_assert(letter_read(c.records[i].message, &number));
			}
			damaged += c.status == GH_IO;
			from = c.status == GH_OK ? c.offset : from + 50;
			gh_fetched_free(c.records, c.count);
		}
	}
	cr_assert(damaged > 0, "the damage was met");
	engine_close(&e);
}

/* ---- formats ---- */

Test(recovery, a_newer_format_in_the_mark_is_refused_with_one_line)
{
	struct engine e;
	engine_open(&e);
	engine_stop(&e);
	char path[100];
	snprintf(path, sizeof path, "%s/mark", e.directory);
	FILE *file = fopen(path, "r+b");
	cr_assert(file && fseek(file, 11, SEEK_SET) == 0 && fputc(EMBEDDED_DB_FORMAT + 1, file) != EOF);
	fclose(file);
	gh_error err = {0};
	cr_assert(recovery_try(&e, true, &err) == GH_INVALID);
	cr_assert_str_eq(err.code, "format_newer");
	cr_assert(strchr(err.text, '\n') == NULL && strstr(err.text, "version 2") != NULL, "%s", err.text);
	engine_close(&e);
}

static void recovery_write_raw(struct engine *e, const char *key, const void *value, size_t len)
{
	struct embedded_db db;
	gh_error err = {0};
	gh_store_config config = {.directory = e->directory, .limits = &e->limits};
	cr_assert(embedded_db_open(&db, &config, &err) == GH_OK, "%s", err.text);
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
	rocksdb_writebatch_put_cf(batch, db.families[DB_HUB], key, strlen(key), value, len);
	cr_assert(embedded_db_write(&db, batch, &err) == GH_OK);
	rocksdb_writebatch_destroy(batch);
	embedded_db_close(&db, true);
}

Test(recovery, a_newer_format_in_the_database_is_refused_with_one_line)
{
	struct engine e;
	engine_open(&e);
	engine_stop(&e);
	static const uint8_t newer[12] = {[11] = EMBEDDED_DB_FORMAT + 1};
	recovery_write_raw(&e, "format", newer, sizeof newer);
	gh_error err = {0};
	cr_assert(recovery_try(&e, false, &err) == GH_INVALID);
	cr_assert_str_eq(err.code, "format_newer", "%s", err.text);
	engine_close(&e);
}

Test(recovery, a_family_of_a_newer_version_is_refused_with_one_line)
{
	struct engine e;
	engine_open(&e);
	engine_stop(&e);
	struct embedded_db db;
	gh_error err = {0};
	gh_store_config config = {.directory = e.directory, .limits = &e.limits};
	cr_assert(embedded_db_open(&db, &config, &err) == GH_OK);
	char *fault = NULL;
	rocksdb_column_family_handle_destroy(rocksdb_create_column_family(db.rocks, db.options, "twins9", &fault));
	cr_assert(fault == NULL);
	embedded_db_close(&db, true);
	cr_assert(recovery_try(&e, false, &err) == GH_INVALID);
	cr_assert_str_eq(err.code, "format_newer", "%s", err.text);
	cr_assert(strstr(err.text, "twins9") != NULL);
	engine_close(&e);
}

Test(recovery, the_sample_directory_of_format_1_still_opens_and_reads)
{
	struct engine e;
	engine_init(&e);
	damage_copy(TESTS_DIR "/vectors/store-v1", e.directory);
	engine_start(&e);
	cr_assert(e.partitions == 4);
	static uint64_t offsets[500];
	cr_assert(engine_read_all(&e, offsets, 500) == 500, "500 letters, as make_store.c wrote them");
	for (unsigned long i = 0; i < 500; i++)
		cr_assert(offsets[i] > 0);
	for (int family = 0; family < GH_FAMILY_COUNT; family++) {
		gh_store_value value;
		char want[32];
		snprintf(want, sizeof want, "value in family %d", family);
		cr_assert(embedded_store.get(e.store, (enum gh_family)family, text_of("sample"), &value) == GH_OK);
		cr_assert(text_equal((gh_bytes){value.data, value.len}, text_of(want)) && value.version > 0);
		gh_store_value_done(&value);
	}
	engine_store_letters(&e, 0, 10);
	engine_close(&e);
}
