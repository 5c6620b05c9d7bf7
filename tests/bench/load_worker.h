/* load_worker.h - one thread of the load client: an epoll loop over its share of the connections.
 *
 * Three steps, so that a caller can measure the middle one alone: load_worker_open (all connections up),
 * load_worker_run (what the mode asks for), load_worker_leave.  A fault that the mode does not allow ends the process
 * with a message: a load client that limps on measures nothing.
 */
#ifndef GATEHOUSE_TESTS_BENCH_LOAD_WORKER_H
#define GATEHOUSE_TESTS_BENCH_LOAD_WORKER_H

#include "tests/bench/load_conn.h"

#include <stdatomic.h>

struct load_worker {
	const struct load_options *options;
	atomic_bool *stop; /* set when nothing new shall be sent */
	unsigned index;
	struct load_conn *conns;
	unsigned conn_count;
	int epoll;
	bool running;
	unsigned connected, unopened;
	uint64_t budget; /* messages or handshakes still to begin */
	uint64_t sent, acked, handshakes, vanished, reconnects;
	uint64_t start_us, last_us, deadline_us, retry_us;
	double due_us, interval_us; /* pacing; interval 0 = as fast as the window allows */
	unsigned next_paced;
	struct load_stats acks, connects;
	struct buf log;
};

bool load_worker_init(struct load_worker *w, const struct load_options *options, unsigned index, atomic_bool *stop);
void load_worker_open(struct load_worker *w);
void load_worker_run(struct load_worker *w);
unsigned load_worker_alive(const struct load_worker *w);
void load_worker_leave(struct load_worker *w);
void load_worker_done(struct load_worker *w);

uint64_t load_now_us(void);

#endif
