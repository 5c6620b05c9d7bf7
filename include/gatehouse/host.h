/* gatehouse/host.h - what the program lends to code that does no I/O: another thread's attention, dice, a log line.
 *
 * A gh_host is one loop thread as seen by the core and by engines.  Time is not here: it is a parameter everywhere.
 */
#ifndef GATEHOUSE_HOST_H
#define GATEHOUSE_HOST_H

#include <gatehouse/error.h>

#include <stddef.h>
#include <stdint.h>

typedef struct gh_host gh_host;

/* Embedded in whatever wants to cross threads.  Owned by the caller until run is called; run may free it. */
typedef struct gh_task gh_task;
struct gh_task {
	gh_task *next;
	void (*run)(gh_task *task, uint64_t now_ms);
};

typedef struct gh_host_ops {
	/* Any thread.  Runs the task on the host's thread, tasks of one poster in order; many tasks, one wake-up. */
	void (*post)(gh_host *host, gh_task *task);
	/* The host's thread.  Cryptographically strong; never fails. */
	void (*random)(gh_host *host, void *ret_bytes, size_t len);
} gh_host_ops;

struct gh_host {
	const gh_host_ops *ops;
};

#endif
