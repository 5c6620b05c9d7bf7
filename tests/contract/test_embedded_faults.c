/* Crashes, power cuts and failing disks: nothing acknowledged is lost, nothing in doubt is acknowledged. */
#include "tests/suite.h"

#include "src/backends/embedded_store.h"
#include "tests/contract/engine.h"
#include "tests/faults/powercut.h"
#include "tests/faults/run.h"

#include <stdatomic.h>
#include <sys/stat.h>

SUITE(faults);

static uint64_t acks[RUN_NUMBERS_MAX], offsets[RUN_NUMBERS_MAX];

/* How many acknowledged letters are not where they were said to be. */
static size_t faults_lost(struct engine *e)
{
	memset(offsets, 0, sizeof offsets);
	engine_read_all(e, offsets, RUN_NUMBERS_MAX);
	size_t lost = 0;
	for (unsigned long i = 0; i < RUN_NUMBERS_MAX; i++)
		lost += acks[i] && acks[i] != offsets[i];
	return lost;
}

Test(faults, after_kill_9_every_acknowledged_record_is_there)
{
	struct engine e;
	engine_init(&e);
	for (unsigned round = 0; round < 4; round++) {
		struct run run = {
			.directory = e.directory,
			.first = round * 20000,
			.count = 20000,
			.batch = 1 + round * 100,
			.kill_after = 200 + round * 700,
		};
		cr_assert(run_victim(&run, acks) && run.acks >= run.kill_after, "round %u: %s", round, run.complaint);
		cr_assert(run.exit_code == -1);
		engine_start(&e);
		cr_assert(faults_lost(&e) == 0, "round %u", round);
		engine_stop(&e);
	}
	engine_close(&e);
}

/* ---- power cuts ---- */

struct cut {
	char real[96], shadow[96], result[96], base[64];
};

/* Writes until it is killed and leaves what a disk would hold. */
static void faults_cut(struct cut *c, const char *mode, bool strict, unsigned seed)
{
	engine_directory(c->base);
	snprintf(c->real, sizeof c->real, "%s/real", c->base);
	snprintf(c->shadow, sizeof c->shadow, "%s/shadow", c->base);
	snprintf(c->result, sizeof c->result, "%s/result", c->base);
	cr_assert(mkdir(c->real, 0700) == 0 && mkdir(c->shadow, 0700) == 0);
	memset(acks, 0, sizeof acks);
	struct run run = {
		.directory = c->real,
		.shadow = c->shadow,
		.mode = mode,
		.count = 40000,
		.batch = 100,
		.kill_after = 3000 + seed * 7000,
	};
	cr_assert(run_victim(&run, acks) && run.acks >= run.kill_after,
		"%lu acks, %lu naks (%s), exit %d, health %s; %s", (unsigned long)run.acks, (unsigned long)run.naks,
		run.nak_status, run.exit_code, run.health, run.complaint);
	struct powercut cut = {c->real, c->shadow, c->result, strict, seed};
	cr_assert(powercut_make(&cut));
}

static void faults_survives(bool strict, unsigned seed)
{
	struct cut c;
	struct engine e;
	faults_cut(&c, NULL, strict, seed);
	engine_init(&e);
	rmdir(e.directory);
	cr_assert(rename(c.result, e.directory) == 0);
	engine_start(&e);
	cr_assert(faults_lost(&e) == 0);
	engine_store_letters(&e, 0, 100);
	engine_close(&e);
	engine_remove(c.base);
}

Test(faults, a_power_cut_that_keeps_only_what_was_synced_loses_nothing_acknowledged)
{
	faults_survives(false, 0);
}

Test(faults, a_power_cut_that_keeps_unsynced_sectors_at_random_loses_nothing_acknowledged)
{
	faults_survives(false, 1);
	faults_survives(false, 3);
}

Test(faults, a_power_cut_that_keeps_only_synced_names_loses_nothing_acknowledged)
{
	faults_survives(true, 0);
	faults_survives(true, 2);
}

Test(faults, the_power_cut_model_does_lose_what_an_engine_without_syncs_acknowledged)
{
	struct cut c;
	struct engine e;
	faults_cut(&c, "nosync", false, 0);
	engine_init(&e);
	rmdir(e.directory);
	cr_assert(rename(c.result, e.directory) == 0);
	gh_error err = {0};
	gh_store_config config = {.directory = e.directory, .limits = &e.limits, .accept_loss = true};
	cr_assert(embedded_store.open(&config, &e.store, &err) == GH_OK, "%s", err.text);
	gh_backend_config queue = {.store = e.store, .level = GH_FSYNC, .limits = &e.limits};
	cr_assert(embedded_queue.open(&queue, &e.queue, &err) == GH_OK, "%s", err.text);
	e.partitions = embedded_queue.partitions(e.queue);
	e.port = embedded_queue.attach(e.queue);
	cr_assert(faults_lost(&e) > 0, "otherwise the tests above prove nothing");
	engine_close(&e);
	engine_remove(c.base);
}

/* ---- a disk that refuses ---- */

static void faults_restart(struct engine *e)
{
	engine_start(e);
	cr_assert(faults_lost(e) == 0);
	engine_close(e);
}

Test(faults, a_sync_that_fails_once_ends_acknowledging_until_a_restart)
{
	struct engine e;
	engine_init(&e);
	struct run run = {
		.directory = e.directory,
		.faults = "fdatasync/.log:EIO:20:1,fsync/.log:EIO:20:1",
		.count = 5000,
		.batch = 50,
	};
	cr_assert(run_victim(&run, acks) && run.exit_code == 0, "%s", run.complaint);
	cr_assert(run.acks > 0 && run.naks == 50, "%zu and %zu", run.acks, run.naks);
	cr_assert_str_eq(run.nak_status, "unknown");
	cr_assert(run.acks_after_nak == 0);
	cr_assert(strncmp(run.health, "read_only ", 10) == 0 && strstr(run.health, "restart"), "%s", run.health);
	faults_restart(&e);
}

Test(faults, a_write_that_fails_is_not_acknowledged)
{
	struct engine e;
	engine_init(&e);
	struct run run = {.directory = e.directory, .faults = "write/.log:EIO:30:1", .count = 5000, .batch = 50};
	cr_assert(run_victim(&run, acks) && run.exit_code == 0, "%s", run.complaint);
	cr_assert(run.acks > 0 && run.naks == 50 && run.acks_after_nak == 0);
	faults_restart(&e);
}

Test(faults, a_full_disk_refuses_and_goes_on_by_itself_when_there_is_space)
{
	struct engine e;
	engine_init(&e);
	struct run run = {
		.directory = e.directory,
		.faults = "write/.log:ENOSPC:30:3,statvfs:ENOSPC:3:3",
		.count = 5000,
		.batch = 50,
	};
	cr_assert(run_victim(&run, acks) && run.exit_code == 0, "%s", run.complaint);
	cr_assert(run.naks > 0 && run.acks_after_nak > 0, "%zu and %zu: %s", run.naks, run.acks_after_nak, run.health);
	cr_assert_str_eq(run.nak_status, "no_space");
	cr_assert(strncmp(run.health, "ready", 5) == 0, "%s", run.health);
	faults_restart(&e);
}

Test(faults, a_short_write_is_completed)
{
	struct engine e;
	engine_init(&e);
	struct run run = {.directory = e.directory, .faults = "write/.log:SHORT:5:20", .count = 1000, .batch = 50};
	cr_assert(run_victim(&run, acks) && run.acks == 1000 && run.naks == 0);
	faults_restart(&e);
}

Test(faults, a_table_that_cannot_be_created_ends_in_read_only_not_in_loss)
{
	struct engine e;
	engine_init(&e);
	struct run run = {
		.directory = e.directory, .faults = "open/.sst:EACCES:1:100000", .count = 60000, .batch = 500};
	cr_assert(run_victim(&run, acks) && run.exit_code == 0, "%s", run.complaint);
	cr_assert(run.acks > 0 && run.naks > 0 && run.acks_after_nak == 0, "%zu %zu", run.acks, run.naks);
	cr_assert(strncmp(run.health, "read_only ", 10) == 0, "%s", run.health);
	faults_restart(&e);
}

Test(faults, a_stalled_disk_stops_the_intake_at_the_credit_and_loses_nothing)
{
	struct engine e;
	engine_init(&e);
	struct run run = {
		.directory = e.directory,
		.faults = "fdatasync/.log:STALL:10:3",
		.mode = "tiny",
		.count = 4000,
		.batch = 1000,
	};
	cr_assert(run_victim(&run, acks) && run.exit_code == 0, "%s", run.complaint);
	cr_assert(run.acks == 4000 && run.naks == 0);
	faults_restart(&e);
}

Test(faults, an_open_that_fails_half_way_says_why_and_the_next_one_succeeds)
{
	static const char *const rows[] = {
		"rename/CURRENT:EIO:1:1",
		"open/.log:EACCES:1:1",
		"fsync/db:EIO:1:1",
		"write/.dbtmp:ENOSPC:1:1",
		"pwrite/mark:EIO:1:1",
		"fsync/mark:EIO:1:1",
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct engine e;
		engine_init(&e);
		struct run run = {.directory = e.directory, .faults = rows[i], .count = 10, .batch = 10};
		cr_assert(run_victim(&run, acks));
		cr_assert(run.exit_code == 1 && run.acks == 0 && run.complaint[0], "%s: %d %s", rows[i], run.exit_code,
			run.complaint);
		struct run again = {.directory = e.directory, .count = 10, .batch = 10};
		cr_assert(run_victim(&again, acks) && again.acks == 10, "%s: %s", rows[i], again.complaint);
		faults_restart(&e);
	}
}

/* ---- the reserve, with a disk of our own ---- */

struct disk {
	_Atomic uint64_t free_bytes;
	_Atomic uint64_t now_us;
};

static uint64_t disk_mono_us(void *context)
{
	/* Each look is a quarter of a second later, so that every round checks the disk. */
	return atomic_fetch_add(&((struct disk *)context)->now_us, 250000);
}

static uint64_t disk_wall_ms(void *context)
{
	(void)context;
	return 1700000000000;
}

static bool disk_free_bytes(void *context, const char *directory, uint64_t *ret_bytes)
{
	(void)directory;
	*ret_bytes = atomic_load(&((struct disk *)context)->free_bytes);
	return true;
}

static void disk_start(struct engine *e, const struct embedded_seams *seams)
{
	gh_error err = {0};
	engine_init(e);
	e->limits.disk_reserve_bytes_min = 1000000;
	gh_store_config config = {.directory = e->directory, .limits = &e->limits};
	cr_assert(embedded_store_open_with(&config, seams, &e->store, &err) == GH_OK, "%s", err.text);
	gh_backend_config queue = {.store = e->store, .level = GH_FSYNC, .limits = &e->limits};
	cr_assert(embedded_queue.open(&queue, &e->queue, &err) == GH_OK, "%s", err.text);
	e->port = embedded_queue.attach(e->queue);
}

static void disk_resumes(struct engine *e)
{
	gh_completion none;
	while (embedded_queue.room(e->port) == 0) {
		cr_assert(engine_readable(embedded_queue.fd(e->port)), "the descriptor tells");
		cr_assert(embedded_queue.reap(e->port, &none, 1) == 0);
	}
	gh_health health;
	embedded_queue.health(e->queue, &health);
	cr_assert(health.state == GH_READY);
}

Test(faults, a_start_at_the_disk_reserve_takes_nothing_and_it_resumes_by_itself)
{
	struct engine e;
	struct disk disk = {.free_bytes = 999999};
	struct embedded_seams seams = {disk_mono_us, disk_wall_ms, disk_free_bytes, &disk, false};
	gh_health health;
	disk_start(&e, &seams);
	cr_assert(embedded_queue.room(e.port) == 0 && engine_submit(e.port, 0, 1) == 0);
	embedded_queue.health(e.queue, &health);
	cr_assert(health.state == GH_READ_ONLY && strstr(health.text, "disk reserve reached"), "%s", health.text);
	atomic_store(&disk.free_bytes, 1000000);
	disk_resumes(&e);
	engine_store_letters(&e, 0, 10);
	engine_close(&e);
}

Test(faults, at_the_disk_reserve_nothing_more_is_taken_and_it_resumes_by_itself)
{
	struct engine e;
	struct disk disk = {.free_bytes = 2000000};
	struct embedded_seams seams = {disk_mono_us, disk_wall_ms, disk_free_bytes, &disk, false};
	disk_start(&e, &seams);
	engine_store_letters(&e, 0, 10);
	atomic_store(&disk.free_bytes, 999999);
	engine_store_letters(&e, 10, 1); /* what was taken before is still stored */
	cr_assert(embedded_queue.room(e.port) == 0 && engine_submit(e.port, 11, 1) == 0);
	gh_health health;
	embedded_queue.health(e.queue, &health);
	cr_assert(health.state == GH_READ_ONLY && strstr(health.text, "disk reserve reached"), "%s", health.text);
	atomic_store(&disk.free_bytes, 1000000);
	disk_resumes(&e);
	engine_store_letters(&e, 11, 10);
	engine_close(&e);
}
