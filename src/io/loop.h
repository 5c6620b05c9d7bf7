/* loop.h - one event loop, one thread: descriptors, deadlines, tasks from other threads.  libuv underneath.
 *
 * Threads: loop_host()'s post and loop_stop may be called from anywhere; everything else on the loop's thread, or
 * before loop_run.  No message and no device is known here.
 */
#ifndef GATEHOUSE_IO_LOOP_H
#define GATEHOUSE_IO_LOOP_H

#include <gatehouse/host.h>

#include "src/base/heap.h"

#include <stdbool.h>

struct loop;

/* NULL when the system refuses. */
struct loop *loop_new(void);
/* With another steady clock: tests move time instead of waiting for it. */
struct loop *loop_new_with_clock(uint64_t (*clock_ms)(void *context), void *context);
void loop_free(struct loop *loop); /* all watches and timers of others removed before; accepts NULL */

/* Runs until loop_stop; returns with nothing of the loop pending but what is still watched: tasks posted before the
 * stop have run.  May be run again: what others posted since then waits for that, and must not be left when it is freed. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop); /* any thread, also from a signal handler */
/* Does what is ready now, without waiting: for tests that drive both ends from one thread. */
void loop_turn(struct loop *loop);

gh_host *loop_host(struct loop *loop);

/* For a library that is a guest on it (web.c): its handles are gone again before loop_free. */
struct uv_loop_s *loop_uv(struct loop *loop);

/* What the host's random gives, for what is made before there is a loop; any thread. */
void loop_random_bytes(void *ret_bytes, size_t len);

/* Steady milliseconds, read once per turn; wall milliseconds, read when asked. */
uint64_t loop_now_ms(struct loop *loop);
uint64_t loop_wall_ms(void);

/* Called at the start and the end of each turn that did something. */
struct loop_turn_ops {
	void (*begin)(void *context, uint64_t now_ms, uint64_t wall_ms);
	void (*end)(void *context, uint64_t now_ms);
};
void loop_set_turn(struct loop *loop, const struct loop_turn_ops *ops, void *context);

/* ---- descriptors ---- */

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

typedef void loop_fd_ready(void *context, int events, uint64_t now_ms);

struct loop_fd; /* opaque: one watched descriptor */
/* NULL without memory.  The descriptor stays the caller's; stop watching before closing it. */
struct loop_fd *loop_watch(struct loop *loop, int fd, int events, loop_fd_ready *ready, void *context);
void loop_watch_set(struct loop_fd *watch, int events); /* 0 = none */
void loop_unwatch(struct loop_fd *watch);               /* accepts NULL; ready is not called again */

/* ---- deadlines ---- */

struct loop_timer {
	struct heap_node node;
	void (*fire)(struct loop_timer *timer, uint64_t now_ms);
	struct loop_timer *starved; /* the next of those the heap had no memory for */
};
/* Arms or moves; 0 disarms.  A timer is disarmed when it fires.  Without memory it fires at the next turn. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t at_ms);

/* ---- work at the end of this turn ---- */

/* Runs before turn_end of this turn, once however often it is asked for.  A job may ask for itself again: it then runs
 * after the others; one that always does is carried over to the next turn, so that descriptors get theirs. */
struct loop_job {
	struct loop_job *next;
	bool queued;
	void (*run)(struct loop_job *job, uint64_t now_ms);
};
void loop_defer(struct loop *loop, struct loop_job *job);
void loop_defer_cancel(struct loop *loop, struct loop_job *job);

#endif
