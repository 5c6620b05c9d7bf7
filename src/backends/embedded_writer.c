#include "src/backends/embedded_writer.h"

#include "src/backends/embedded_batch.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t writer_now_us(const struct embedded_writer *w)
{
	return w->seams->mono_us(w->seams->context);
}

static struct timespec writer_after(uint64_t us)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	uint64_t ns = (uint64_t)at.tv_nsec + us * 1000;
	at.tv_sec += (time_t)(ns / 1000000000);
	at.tv_nsec = (long)(ns % 1000000000);
	return at;
}

static size_t writer_waiting(struct embedded_writer *w)
{
	return atomic_load(&w->waiting_count) + (w->log ? embedded_log_waiting(w->log) : 0);
}

/* ---- one commit ---- */

static void writer_fault(struct embedded_writer *w, enum writer_state state, const gh_error *err)
{
	pthread_mutex_lock(&w->lock);
	atomic_store(&w->state, state);
	snprintf(w->fault, sizeof w->fault, "%.*s", (int)sizeof w->fault - 1, err->text);
	pthread_mutex_unlock(&w->lock);
	if (w->log)
		embedded_log_stop(w->log, true);
}

static void writer_put_index(struct embedded_writer *w, uint64_t commit)
{
	uint64_t wall_ms = w->seams->wall_ms(w->seams->context);
	/* Never back: retention finds its place by time, and a clock that jumped back must not make old data look new
	 * nor new data old. */
	if (wall_ms > w->index.time_ms)
		w->index.time_ms = wall_ms;
	uint8_t key[8], value[CHUNK_INDEX_BYTES_MAX];
	embedded_db_commit_key(commit, key);
	rocksdb_writebatch_put_cf(w->batch, w->db->families[DB_INDEX], (const char *)key, sizeof key,
		(const char *)value, chunk_index_encode(&w->index, value));
}

static gh_status writer_write(struct embedded_writer *w, uint64_t commit, gh_error *err)
{
	gh_status status = GH_OK;
	if (w->log)
		status = embedded_log_put(w->log, w->db, w->batch, commit);
	if (status != GH_OK)
		return status;
	writer_put_index(w, commit);
	status = embedded_db_write(w->db, w->batch, err);
	if (status == GH_OK) {
		mark_set_commit(&w->db->mark, commit);
		w->commit = commit;
		atomic_fetch_add(&w->commits, 1);
	} else
		writer_fault(w, status == GH_NO_SPACE ? WRITER_FULL : WRITER_FAILED, err);
	return status;
}

static void writer_complete_txns(struct embedded_writer *w, struct txn_list *txns, gh_status status)
{
	for (struct txn *txn; (txn = txn_list_take(txns));) {
		gh_status own = txn->status == GH_OK ? status : txn->status;
		if (txn->port) {
			txn_port_finish(txn, own);
			continue;
		}
		pthread_mutex_lock(&w->lock);
		txn->status = own;
		txn->done = true; /* its owner may be gone after the unlock */
		pthread_cond_broadcast(&w->finished);
		pthread_mutex_unlock(&w->lock);
	}
}

static struct txn *writer_next_txn(struct embedded_writer *w)
{
	pthread_mutex_lock(&w->lock);
	struct txn *txn = txn_list_take(&w->waiting);
	if (txn)
		atomic_fetch_sub(&w->waiting_count, 1);
	pthread_mutex_unlock(&w->lock);
	return txn;
}

/* While the database is closed or not to be trusted: everything that waits is told so. */
static void writer_refuse(struct embedded_writer *w)
{
	gh_status status = atomic_load(&w->state) == WRITER_FULL ? GH_NO_SPACE : GH_UNAVAILABLE;
	struct txn_list txns = {0};
	for (struct txn *txn; (txn = writer_next_txn(w));) {
		txn->status = GH_OK;
		txn_list_put(&txns, txn);
	}
	writer_complete_txns(w, &txns, status);
	if (!w->log)
		return;
	embedded_log_take(w->log);
	embedded_log_complete(w->log, status, 0);
}

static void writer_round(struct embedded_writer *w)
{
	if (atomic_load(&w->state) != WRITER_GOOD) {
		writer_refuse(w);
		return;
	}
	struct embedded_batch b;
	uint64_t commit = w->commit + 1;
	rocksdb_writebatch_clear(w->batch);
	embedded_batch_init(&b, w->db, w->batch, commit);
	for (struct txn *txn; !embedded_batch_full(&b) && (txn = writer_next_txn(w));)
		embedded_batch_add(&b, txn);
	size_t records = w->log ? embedded_log_take(w->log) : 0;
	bool any = records > 0;
	for (const struct txn *txn = b.txns.first; txn && !any; txn = txn->next)
		any = txn->status == GH_OK;
	gh_error err = {0};
	gh_status status = any ? writer_write(w, commit, &err) : GH_OK;
	pace_committed(&w->pace, records + b.txn_count, writer_waiting(w), writer_now_us(w));
	if (w->log)
		embedded_log_complete(w->log, status, any ? commit : w->commit);
	writer_complete_txns(w, &b.txns, status);
	embedded_batch_done(&b);
}

/* ---- the thread ---- */

static void writer_check_disk(struct embedded_writer *w)
{
	bool reached = reserve_reached(&w->reserve);
	if (atomic_load(&w->state) == WRITER_FULL && !reached) {
		gh_error err = {0};
		gh_status status = embedded_db_reopen(w->db, &err);
		if (status == GH_OK) {
			/* What failed for want of space may have been recovered: go on after it. */
			w->commit = w->db->commit;
			chunk_index_follow(&w->index, &w->db->last);
			mark_set_commit(&w->db->mark, w->commit);
			if (w->log)
				embedded_log_start(w->log, w->commit, &w->index);
			atomic_store(&w->state, WRITER_GOOD);
		} else if (status != GH_AGAIN)
			writer_fault(w, strcmp(err.code, "store_open") == 0 ? WRITER_FULL : WRITER_FAILED, &err);
	}
	atomic_store(&w->reserve_reached, reached);
	if (w->log)
		embedded_log_stop(w->log, reached || atomic_load(&w->state) != WRITER_GOOD);
}

/* Under the lock.  Sleeps until there is work; wakes on its own only while the disk has to be watched. */
static void writer_sleep(struct embedded_writer *w)
{
	atomic_store(&w->asleep, true);
	/* After the flag: whoever publishes now sees it. */
	if (writer_waiting(w) == 0 && !w->stop) {
		bool watch = atomic_load(&w->reserve_reached) || atomic_load(&w->state) == WRITER_FULL;
		struct timespec until = writer_after(RESERVE_CHECK_US);
		if (watch)
			pthread_cond_timedwait(&w->wake, &w->lock, &until);
		else
			pthread_cond_wait(&w->wake, &w->lock);
	}
	atomic_store(&w->asleep, false);
}

static void writer_gather(struct embedded_writer *w)
{
	if (atomic_load(&w->waiting_count) > 0)
		return; /* somebody blocks on a transaction */
	for (uint64_t us; (us = pace_wait_us(&w->pace, writer_waiting(w), writer_now_us(w))) > 0;) {
		struct timespec step = {.tv_nsec = (long)us * 1000};
		nanosleep(&step, NULL);
	}
}

static void *writer_main(void *context)
{
	struct embedded_writer *w = context;
	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (w->held)
			pthread_cond_wait(&w->finished, &w->lock);
		size_t waiting = writer_waiting(w);
		if (waiting == 0 && w->stop)
			break;
		if (waiting == 0)
			writer_sleep(w);
		if (w->held)
			continue;
		w->busy = true;
		pthread_mutex_unlock(&w->lock);
		writer_check_disk(w);
		if (writer_waiting(w) > 0) {
			writer_gather(w);
			writer_round(w);
		}
		pthread_mutex_lock(&w->lock);
		w->busy = false;
		pthread_cond_broadcast(&w->finished);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

gh_status embedded_writer_start(struct embedded_writer *w, struct embedded_db *db, const gh_limits *limits,
	const struct embedded_seams *seams, gh_error *ret_err)
{
	*w = (struct embedded_writer){.db = db, .limits = limits, .seams = seams, .commit = db->commit};
	chunk_index_follow(&w->index, &db->last);
	pace_init(&w->pace, limits->commit_delay_us_max);
	reserve_init(&w->reserve, seams, db->directory, limits->disk_reserve_bytes_min);
	if (seams->without_sync)
		rocksdb_writeoptions_set_sync(db->write, 0);
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &monotonic);
	pthread_cond_init(&w->finished, &monotonic);
	pthread_condattr_destroy(&monotonic);
	w->batch = rocksdb_writebatch_create();
	int fault = pthread_create(&w->thread, NULL, writer_main, w);
	if (fault == 0)
		return GH_OK;
	rocksdb_writebatch_destroy(w->batch);
	return gh_fail(ret_err, GH_IO, "thread_create", "the writer thread: %s", strerror(fault));
}

void embedded_writer_stop(struct embedded_writer *w)
{
	assert(!w->log);
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	rocksdb_writebatch_destroy(w->batch);
	pthread_cond_destroy(&w->wake);
	pthread_cond_destroy(&w->finished);
	pthread_mutex_destroy(&w->lock);
}

/* Takes the lock between two rounds. */
static void writer_hold(struct embedded_writer *w)
{
	pthread_mutex_lock(&w->lock);
	assert(!w->held);
	w->held = true; /* otherwise a busy writer might start the next round before we get the lock */
	while (w->busy)
		pthread_cond_wait(&w->finished, &w->lock);
}

static void writer_unhold(struct embedded_writer *w)
{
	w->held = false;
	pthread_cond_broadcast(&w->finished);
	pthread_mutex_unlock(&w->lock);
}

void embedded_writer_join(struct embedded_writer *w, struct embedded_log *log)
{
	writer_hold(w);
	assert(!w->log && (w->index.partitions == 0 || w->index.partitions == log->partitions));
	w->index.partitions = log->partitions;
	w->log = log;
	embedded_log_start(log, w->commit, &w->index);
	writer_check_disk(w);          /* before the first record could be taken */
	pthread_cond_signal(&w->wake); /* from now on the writer may have a disk to watch */
	writer_unhold(w);
}

void embedded_writer_leave(struct embedded_writer *w)
{
	writer_hold(w);
	w->log = NULL;
	writer_unhold(w);
}

uint32_t embedded_writer_partitions(struct embedded_writer *w)
{
	writer_hold(w);
	uint32_t partitions = w->index.partitions;
	writer_unhold(w);
	return partitions;
}

void embedded_writer_wake(struct embedded_writer *w)
{
	if (!atomic_load(&w->asleep))
		return;
	pthread_mutex_lock(&w->lock);
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

static void writer_put(struct embedded_writer *w, struct txn *txn)
{
	txn->done = false;
	txn_list_put(&w->waiting, txn);
	atomic_fetch_add(&w->waiting_count, 1);
	pthread_cond_signal(&w->wake);
}

gh_status embedded_writer_commit(struct embedded_writer *w, struct txn *txn)
{
	pthread_mutex_lock(&w->lock);
	writer_put(w, txn);
	while (!txn->done)
		pthread_cond_wait(&w->finished, &w->lock);
	pthread_mutex_unlock(&w->lock);
	return txn->status;
}

void embedded_writer_submit(struct embedded_writer *w, struct txn *txn)
{
	pthread_mutex_lock(&w->lock);
	writer_put(w, txn);
	pthread_mutex_unlock(&w->lock);
}

gh_status embedded_writer_drain(struct embedded_writer *w, uint64_t deadline_ms)
{
	struct timespec until = writer_after(deadline_ms * 1000);
	gh_status status = GH_OK;
	pthread_mutex_lock(&w->lock);
	while (status == GH_OK &&
		(w->busy || atomic_load(&w->waiting_count) > 0 || (w->log && !embedded_log_idle(w->log))))
		if (pthread_cond_timedwait(&w->finished, &w->lock, &until) == ETIMEDOUT)
			status = GH_AGAIN;
	pthread_mutex_unlock(&w->lock);
	return status;
}

void embedded_writer_health(struct embedded_writer *w, gh_health *ret_health)
{
	pthread_mutex_lock(&w->lock);
	enum writer_state state = atomic_load(&w->state);
	if (state != WRITER_GOOD) {
		ret_health->state = GH_READ_ONLY;
		snprintf(ret_health->text, sizeof ret_health->text, "%s: %s",
			state == WRITER_FULL ? "no space, waiting for some" : "write failed, restart needed", w->fault);
	} else if (atomic_load(&w->reserve_reached)) {
		ret_health->state = GH_READ_ONLY;
		snprintf(ret_health->text, sizeof ret_health->text, "disk reserve reached: less than %llu bytes free",
			(unsigned long long)w->limits->disk_reserve_bytes_min);
	}
	ret_health->commits = atomic_load(&w->commits);
	pthread_mutex_unlock(&w->lock);
}
