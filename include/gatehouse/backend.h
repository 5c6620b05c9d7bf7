/* gatehouse/backend.h - the seam to a durable queue.  Reads like a manual page: this is all an engine must keep.
 *
 * The promise: a device is told "accepted" only after the completion of its record with status GH_OK.  Any other
 * status means unknown or refused, and nothing is acknowledged.
 *
 * Threads: open, close, drain, health and level may be called from any one thread, and may block.  A gh_port belongs to
 * the thread that called attach; submit, reap, room, fetch, bounds and detach are called there only and never block.
 * Engines may start threads, but those never call gateway code: they push to the port's ring and write its eventfd once
 * per change from empty to non-empty.
 *
 * Order: records of one device submitted on one port are stored in that order.  Offsets of a partition start at 0 and
 * only grow; gaps are allowed, reuse is not.
 *
 * Exactly one completion appears for each record taken, also at close (GH_UNKNOWN).
 */
#ifndef GATEHOUSE_BACKEND_H
#define GATEHOUSE_BACKEND_H

#include <gatehouse/message.h>

typedef struct gh_backend gh_backend;
typedef struct gh_port gh_port;
struct gh_store;

/* What "stored" means, weakest first; names: memory, fsync, quorum, quorum-fsync. */
enum gh_durability { GH_MEMORY, GH_FSYNC, GH_QUORUM, GH_QUORUM_FSYNC };

const char *gh_durability_name(enum gh_durability level);

typedef struct gh_record {
	gh_message *message; /* the port takes its own reference */
	void *cookie;        /* handed back, never looked at */
} gh_record;

/* One stored record, as a reader sees it. */
typedef struct gh_fetched {
	uint32_t partition;
	uint64_t offset;
	gh_message *message; /* a reference the reader owns */
} gh_fetched;

enum gh_completion_kind { GH_APPENDED, GH_FETCHED };

typedef struct gh_completion {
	void *cookie;
	gh_status status;
	enum gh_completion_kind kind;
	uint64_t
		offset; /* GH_APPENDED: where it went.  GH_FETCHED: the next offset to ask for (the floor on GH_GONE) */
	gh_fetched *records; /* GH_FETCHED: array the reader frees with gh_fetched_free; NULL when count is 0 */
	size_t count;
} gh_completion;

/* Drops the messages of `count` records and the array; accepts NULL. */
void gh_fetched_free(gh_fetched *records, size_t count);

enum gh_health_state { GH_READY, GH_DEGRADED, GH_READ_ONLY, GH_FAILED };

typedef struct gh_health {
	enum gh_health_state state;
	char text[GH_ERROR_TEXT_MAX]; /* why, when not GH_READY */
	uint64_t stored_bytes;        /* on disk, as far as known */
	uint64_t inflight_bytes;      /* taken, not completed */
	uint64_t commits;             /* since open */
	uint64_t records;             /* since open */
} gh_health;

const char *gh_health_state_name(enum gh_health_state state);

typedef struct gh_backend_config {
	const char *directory; /* embedded: where; borrowed for open */
	struct gh_store
		*store; /* embedded: the embedded store in whose database the queue lives; borrowed until close */
	enum gh_durability level; /* required; open refuses when it cannot keep it */
	uint32_t partitions; /* 1..32; fixed at creation; 0 = default for a new queue, whatever it has for an old one */
	const gh_limits
		*limits; /* retention_*, disk_reserve_*, inflight_*, commit_*, fetches_*; borrowed until close */
} gh_backend_config;

typedef struct gh_backend_ops {
	const char *name;

	gh_status (*open)(const gh_backend_config *config, gh_backend **ret_backend, gh_error *ret_err);
	enum gh_durability (*level)(const gh_backend *backend);
	uint32_t (*partitions)(const gh_backend *backend);

	/* One port per loop thread.  NULL without memory.  All ports are detached before close. */
	gh_port *(*attach)(gh_backend *backend);
	void (*detach)(gh_port *port); /* after it, records still in flight complete nowhere; call when reap gave all */

	/* Readable = completions wait, or there is room again after a refusal.  Borrowed: the engine reads and closes it. */
	int (*fd)(gh_port *port);

	/* Takes up to n records for durable storage, in order, and returns how many (0..n).  The port takes its own
	 * reference on each message taken, dropped after the completion was reaped.  Every record taken completes exactly
	 * once, through reap, never from inside submit.  Fewer than n = full: fd becomes readable when there is room. */
	size_t (*submit)(gh_port *port, const gh_record *records, size_t n);

	/* Moves up to max results to ret_completions and returns how many; 0 = nothing waits and fd is quiet again. */
	size_t (*reap)(gh_port *port, gh_completion *ret_completions, size_t max);

	/* Bytes still welcome: the credit of this port.  0 = stop reading devices. */
	size_t (*room)(gh_port *port);

	/* Reads stored (synced) records of a partition from offset `from`, at least one if there is any, at most about
	 * bytes_max; completes as GH_FETCHED with cookie.  At the end of the log it completes with count 0.  Below the
	 * floor: GH_GONE with the floor as offset.  GH_AGAIN: too many reads under way. */
	gh_status (*fetch)(gh_port *port, uint32_t partition, uint64_t from, size_t bytes_max, void *cookie);

	/* First offset kept and the one after the last synced. */
	gh_status (*bounds)(gh_port *port, uint32_t partition, uint64_t *ret_floor, uint64_t *ret_end);

	void (*health)(gh_backend *backend, gh_health *ret_health);

	/* Waits until all that was taken is durable, at most deadline_ms milliseconds from now. */
	gh_status (*drain)(gh_backend *backend, uint64_t deadline_ms);
	void (*close)(gh_backend *backend); /* accepts NULL */
} gh_backend_ops;

#endif
