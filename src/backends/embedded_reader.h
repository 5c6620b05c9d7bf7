/* embedded_reader.h - the thread that answers reads of the queue, and once a minute lets retention run.
 *
 * Reads go neither on a loop thread (a disk may be slow) nor on the writer (a reader must not slow it down).  Only
 * what is synced is shown: reads end at the log's ends, which the writer moves after the sync.
 */
#ifndef GATEHOUSE_BACKENDS_EMBEDDED_READER_H
#define GATEHOUSE_BACKENDS_EMBEDDED_READER_H

#include "src/backends/embedded_retention.h"

enum { READER_RETENTION_MS = 60000 };

struct reader_request {
	gh_port *port;
	void *cookie;
	uint32_t partition;
	uint64_t from;
	size_t bytes_max;
};

/* Where a partition's last read ended: a reader at the tail goes on there without a search. */
struct reader_hint {
	uint64_t offset;
	uint64_t commit;
};

struct embedded_reader {
	struct embedded_db *db;
	struct embedded_log *log;
	struct embedded_writer *writer;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_cond_t finished;
	bool stop;
	const gh_port *serving;
	struct reader_request *requests; /* a circle of request_cap */
	size_t request_cap;
	size_t request_first;
	size_t request_count;
	pthread_mutex_t retention_lock;
	struct reader_hint hints[CHUNK_PARTITIONS_MAX]; /* the thread's alone */
};

gh_status embedded_reader_start(
	struct embedded_reader *r, struct embedded_writer *writer, struct embedded_log *log, gh_error *ret_err);
/* Reads not answered yet complete with GH_UNAVAILABLE. */
void embedded_reader_stop(struct embedded_reader *r);
/* The port's thread.  GH_AGAIN: too many are under way. */
gh_status embedded_reader_ask(struct embedded_reader *r, const struct reader_request *request);
/* The port's thread: forgets its reads; afterwards the reader does not know the port any more. */
void embedded_reader_forget(struct embedded_reader *r, const gh_port *port);
gh_status embedded_reader_retain(struct embedded_reader *r, uint64_t wall_ms);

#endif
