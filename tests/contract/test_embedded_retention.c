/* Retention: by age and by size, whole files, never what is still wanted. */
#include "tests/suite.h"

#include "src/backends/embedded_store.h"
#include "tests/contract/engine.h"

#include <stdatomic.h>

SUITE(retention);

enum { RETENTION_DAY_MS = 86400000 };
static _Atomic uint64_t retention_wall_ms;

static uint64_t retention_mono(void *context)
{
	return embedded_seams_system.mono_us(context);
}

static uint64_t retention_wall(void *context)
{
	(void)context;
	return atomic_load(&retention_wall_ms);
}

static bool retention_free(void *context, const char *directory, uint64_t *ret_bytes)
{
	return embedded_seams_system.free_bytes(context, directory, ret_bytes);
}

static void retention_start(struct engine *e)
{
	struct embedded_seams seams = {retention_mono, retention_wall, retention_free, NULL, false};
	gh_error err = {0};
	gh_store_config config = {.directory = e->directory, .limits = &e->limits};
	cr_assert(embedded_store_open_with(&config, &seams, &e->store, &err) == GH_OK, "%s", err.text);
	gh_backend_config queue = {.store = e->store, .level = GH_FSYNC, .limits = &e->limits};
	cr_assert(embedded_queue.open(&queue, &e->queue, &err) == GH_OK, "%s", err.text);
	e->partitions = embedded_queue.partitions(e->queue);
	e->port = embedded_queue.attach(e->queue);
}

/* Ten days, a hundred letters a day; each day ends in a restart, which makes a table of it. */
static void retention_fill(struct engine *e)
{
	engine_init(e);
	atomic_store(&retention_wall_ms, 1700000000000);
	for (unsigned long day = 0; day < 10; day++) {
		retention_start(e);
		engine_store_letters(e, day * 100, 100);
		engine_stop(e);
		atomic_fetch_add(&retention_wall_ms, RETENTION_DAY_MS);
	}
	retention_start(e);
}

static uint64_t retention_stored(struct engine *e)
{
	gh_health health;
	embedded_queue.health(e->queue, &health);
	return health.stored_bytes;
}

Test(retention, days_older_than_the_limit_are_gone_and_a_read_is_told_the_floor)
{
	struct engine e;
	retention_fill(&e);
	uint32_t p = letter_partition(0, e.partitions);
	uint64_t floor, end;
	cr_assert(embedded_queue_retain(e.queue, atomic_load(&retention_wall_ms)) == GH_OK);
	embedded_queue.bounds(e.port, p, &floor, &end);
	cr_assert(floor > 0 && floor < end);
	gh_completion c = engine_fetch(&e, p, 0, 1000);
	cr_assert(c.status == GH_GONE && c.offset == floor && c.count == 0);
	c = engine_fetch(&e, p, floor - 1, 1000);
	cr_assert(c.status == GH_GONE);
	static uint64_t offsets[1000];
	size_t kept = engine_read_all(&e, offsets, 1000);
	cr_assert(kept == 700, "7 days are kept, not %zu letters", kept);
	for (unsigned long i = 0; i < 1000; i++)
		cr_assert((offsets[i] > 0) == (i >= 300), "letter %lu", i);
	engine_stop(&e);
	retention_start(&e);
	uint64_t floor_after;
	embedded_queue.bounds(e.port, p, &floor_after, &end);
	cr_assert(floor_after == floor, "the floor outlives a restart");
	engine_close(&e);
}

Test(retention, files_below_the_floor_leave_the_disk)
{
	struct engine e;
	retention_fill(&e);
	uint64_t before = retention_stored(&e);
	/* Compaction moves tables off level 0 in its own time; each pass drops what it may. */
	uint64_t now = atomic_load(&retention_wall_ms);
	for (int pass = 0; pass < 1000 && retention_stored(&e) > before * 9 / 10; pass++) {
		cr_assert(embedded_queue_retain(e.queue, now + 6 * (uint64_t)RETENTION_DAY_MS) == GH_OK);
		poll(NULL, 0, 10);
	}
	cr_assert(retention_stored(&e) < before * 9 / 10, "%llu of %llu are left",
		(unsigned long long)retention_stored(&e), (unsigned long long)before);
	static uint64_t offsets[1000];
	cr_assert(engine_read_all(&e, offsets, 1000) == 100, "what is kept can be read");
	engine_close(&e);
}

Test(retention, a_clock_that_jumped_back_keeps_everything)
{
	struct engine e;
	retention_fill(&e);
	atomic_fetch_sub(&retention_wall_ms, 20 * (uint64_t)RETENTION_DAY_MS);
	engine_store_letters(&e, 1000, 100);
	cr_assert(embedded_queue_retain(e.queue, atomic_load(&retention_wall_ms)) == GH_OK);
	static uint64_t offsets[1100];
	cr_assert(engine_read_all(&e, offsets, 1100) == 1100);
	/* When the clock is right again, what was written meanwhile counts as written before the jump, not as older. */
	cr_assert(embedded_queue_retain(e.queue, 1700000000000 + 15 * (uint64_t)RETENTION_DAY_MS) == GH_OK);
	memset(offsets, 0, sizeof offsets);
	engine_read_all(&e, offsets, 1100);
	cr_assert(offsets[1000] > 0 && offsets[1099] > 0);
	engine_close(&e);
}

Test(retention, the_last_commit_is_kept_however_old)
{
	struct engine e;
	retention_fill(&e);
	cr_assert(embedded_queue_retain(e.queue, 1700000000000 + 1000 * (uint64_t)RETENTION_DAY_MS) == GH_OK);
	engine_stop(&e);
	retention_start(&e);
	uint64_t floor, end;
	uint32_t p = letter_partition(0, e.partitions);
	embedded_queue.bounds(e.port, p, &floor, &end);
	cr_assert(end > 0, "where offsets go on is still known");
	engine_store_letters(&e, 1000, 16);
	gh_completion c = engine_fetch(&e, p, end, 1000);
	cr_assert(c.status == GH_OK && c.count > 0 && c.records[0].offset == end);
	gh_fetched_free(c.records, c.count);
	engine_close(&e);
}

Test(retention, beyond_the_size_the_oldest_files_go_first)
{
	struct engine e;
	retention_fill(&e);
	embedded_queue.detach(e.port);
	e.port = NULL;
	embedded_queue.close(e.queue);
	e.limits.retention_bytes_max = 150000;
	gh_error err = {0};
	gh_backend_config queue = {.store = e.store, .level = GH_FSYNC, .limits = &e.limits};
	cr_assert(embedded_queue.open(&queue, &e.queue, &err) == GH_OK, "%s", err.text);
	e.port = embedded_queue.attach(e.queue);
	uint64_t floor = 0, end;
	uint32_t p = letter_partition(0, e.partitions);
	cr_assert(retention_stored(&e) > 150000);
	for (int pass = 0; pass < 1000 && floor == 0; pass++) {
		cr_assert(embedded_queue_retain(e.queue, 1700000000000) == GH_OK);
		embedded_queue.bounds(e.port, p, &floor, &end);
		poll(NULL, 0, 10);
	}
	cr_assert(floor > 0 && floor < end);
	static uint64_t offsets[1000];
	engine_read_all(&e, offsets, 1000);
	cr_assert(offsets[999] > 0 && offsets[0] == 0, "the newest is kept, the oldest is not");
	engine_close(&e);
}
