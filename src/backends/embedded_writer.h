/* embedded_writer.h - the one thread that writes: group commits of records and transactions.
 *
 * Each round takes all that waits (up to commit_records_max / commit_bytes_max), puts it into one batch - the records
 * as one chunk, the transactions whose conditions hold, and one index record -, writes it with one sync, stores the
 * mark, and completes.  Commits are numbered without gaps; each has an index record, so the last one tells where the log
 * ends.  The version of a value is its commit's number * 65536 + the transaction's place in the commit: it grows and never
 * repeats.
 *
 * Faults: "no space" fails the batch, closes the database and opens it again as soon as the disk has its reserve.  Any
 * other fault of a write leaves the batch in doubt (GH_UNKNOWN) and the engine read-only until a restart: a sync that
 * failed once is not tried again and believed.
 */
#ifndef GATEHOUSE_BACKENDS_EMBEDDED_WRITER_H
#define GATEHOUSE_BACKENDS_EMBEDDED_WRITER_H

#include "src/backends/embedded_log.h"
#include "src/backends/pace.h"
#include "src/backends/reserve.h"
#include "src/backends/txn.h"

/* WRITER_FULL: the database waits for room to be opened again.  WRITER_FAILED: until a restart. */
enum writer_state { WRITER_GOOD, WRITER_FULL, WRITER_FAILED };

struct embedded_writer {
	struct embedded_db *db;
	const gh_limits *limits;
	const struct embedded_seams *seams;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;     /* work came, or stop */
	pthread_cond_t finished; /* a round ended */
	atomic_bool asleep;
	bool stop;
	bool busy; /* in a round */
	bool held; /* no round begins: somebody joins or leaves */
	struct txn_list waiting;
	atomic_size_t waiting_count;
	struct embedded_log *log; /* NULL while no queue is open */
	_Atomic(enum writer_state) state;
	atomic_bool reserve_reached;
	char fault[GH_ERROR_TEXT_MAX - 40]; /* why not good; under lock */
	_Atomic uint64_t commits;           /* since open */

	/* the thread's alone, but for joining a queue between two rounds */
	uint64_t commit; /* number of the last one */
	struct chunk_index index;
	struct pace pace;
	struct reserve reserve;
	rocksdb_writebatch_t *batch;
};

gh_status embedded_writer_start(struct embedded_writer *w, struct embedded_db *db, const gh_limits *limits,
	const struct embedded_seams *seams, gh_error *ret_err);
/* Finishes what waits, then ends the thread. */
void embedded_writer_stop(struct embedded_writer *w);

/* Between two rounds: from now on the log's records are written / no longer. */
void embedded_writer_join(struct embedded_writer *w, struct embedded_log *log);
void embedded_writer_leave(struct embedded_writer *w);
uint32_t embedded_writer_partitions(struct embedded_writer *w); /* of the queue in this database; 0 = none yet */

/* Any thread: something was published to a ring. */
void embedded_writer_wake(struct embedded_writer *w);
/* Any thread but the writer's.  Blocks until durable or refused; txn is the caller's. */
gh_status embedded_writer_commit(struct embedded_writer *w, struct txn *txn);
/* Any thread; the writer owns txn until it goes to txn_port_finish. */
void embedded_writer_submit(struct embedded_writer *w, struct txn *txn);
/* Waits until nothing is under way; GH_AGAIN when it takes longer. */
gh_status embedded_writer_drain(struct embedded_writer *w, uint64_t deadline_ms);
void embedded_writer_health(struct embedded_writer *w, gh_health *ret_health);

#endif
