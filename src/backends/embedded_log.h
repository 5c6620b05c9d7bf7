/* embedded_log.h - the queue's side of a group commit: ports, credit, partitions, ends and floor.
 *
 * Between the loop threads (submit, reap) and the writer (embedded_writer.h), which calls log_take, log_put and
 * log_complete in turn.  Knows no thread of its own and does not write; what it stores goes into the batch it is given.
 *
 * Credit: `inflight` counts encoded bytes from submit to reap.  From 75 % of inflight_bytes_max on there is no room, and
 * none again before 50 %; submit itself takes up to 100 %, for what the loops have already read.
 */
#ifndef GATEHOUSE_BACKENDS_EMBEDDED_LOG_H
#define GATEHOUSE_BACKENDS_EMBEDDED_LOG_H

#include "src/backends/embedded_db.h"
#include "src/backends/ring.h"

struct embedded_log;

struct gh_port {
	struct ring ring;
	struct embedded_log *log; /* NULL once the queue was closed */
	struct gh_port *next;
	uint32_t taken;      /* into the commit under way */
	bool orphan;         /* detached with records in flight */
	atomic_bool refused; /* ring when there is room */
};

struct log_item {
	struct ring_slot *slot;
	uint32_t partition;
};

struct embedded_log {
	const gh_limits *limits;
	uint32_t partitions;
	pthread_mutex_t lock; /* ports and their flags */
	struct gh_port *ports;
	atomic_size_t inflight;
	atomic_bool full;    /* over the high mark, not yet under the low one */
	atomic_bool stopped; /* disk reserve or a fault: nothing is taken */

	_Atomic uint64_t ends[CHUNK_PARTITIONS_MAX]; /* synced */
	_Atomic uint64_t floors[CHUNK_PARTITIONS_MAX];
	_Atomic uint64_t commit_last;  /* synced */
	_Atomic uint64_t commit_floor; /* first commit kept */
	_Atomic uint64_t records;      /* since open */

	/* the writer's alone */
	struct chunk_builder builder;
	struct chunk_index *index; /* the writer's; between commits, `next` are the offsets to give */
	struct log_item *items;
	size_t item_count;
};

bool embedded_log_init(struct embedded_log *log, const gh_limits *limits, uint32_t partitions);
void embedded_log_done(struct embedded_log *log); /* all ports are gone or cut loose */
/* Ends stand as the writer's index says, after `commit`. */
void embedded_log_start(struct embedded_log *log, uint64_t commit, struct chunk_index *index);

/* ---- loop threads ---- */

struct gh_port *embedded_log_attach(struct embedded_log *log);
/* Frees the port now, or once the writer is done with it. */
void embedded_log_detach(struct gh_port *port);
size_t embedded_log_submit(struct gh_port *port, const gh_record *records, size_t n);
size_t embedded_log_reap(struct gh_port *port, gh_completion *ret_completions, size_t max);
size_t embedded_log_room(struct gh_port *port);

/* ---- the writer ---- */

size_t embedded_log_waiting(struct embedded_log *log); /* records, all ports */
bool embedded_log_idle(struct embedded_log *log);      /* nothing waits and nothing is under way */
/* Takes what waits, up to the commit limits, and returns how many records. */
size_t embedded_log_take(struct embedded_log *log);
/* Adds the chunk of what was taken, if any, and completes `index` for this commit.  GH_NO_MEMORY: nothing was added. */
gh_status embedded_log_put(
	struct embedded_log *log, struct embedded_db *db, rocksdb_writebatch_t *batch, uint64_t commit);
/* The commit ended so: moves the ends, completes the records taken, frees ports nobody wants. */
void embedded_log_complete(struct embedded_log *log, gh_status status, uint64_t commit);
/* Closing: completes what was never taken, and cuts the ports loose from the log. */
void embedded_log_cut(struct embedded_log *log);
/* Rings every port that was refused. */
void embedded_log_wake(struct embedded_log *log);
void embedded_log_stop(struct embedded_log *log, bool stopped);

#endif
