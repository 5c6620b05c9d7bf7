/* tail.h - reads what the back end holds, partition by partition, as one stream ordered by enqueued time.
 *
 * A tail_port is the back end as seen by the one thread that reads; any number of tails share it.  Nothing blocks: a
 * tail is asked for its next record and says what to wait for when it has none.  Order across partitions is by enqueued
 * time among what is stored at that moment; within a partition it is the order of offsets, always.
 */
#ifndef GATEHOUSE_ADMIN_TAIL_H
#define GATEHOUSE_ADMIN_TAIL_H

#include <gatehouse/backend.h>

#include <jansson.h>

enum { TAIL_POLL_MS = 50 };

struct tail_port;

/* Borrows the back end until free.  NULL when it gives no port. */
struct tail_port *tail_port_new(const gh_backend_ops *ops, gh_backend *backend);
/* All tails were freed before.  Waits for reads still under way; accepts NULL. */
void tail_port_free(struct tail_port *port);
int tail_port_fd(struct tail_port *port); /* readable = call reap, then ask the tails again */
void tail_port_reap(struct tail_port *port);

enum tail_from { TAIL_EARLIEST, TAIL_LATEST, TAIL_OFFSET };

struct tail_options {
	enum tail_from from;
	uint64_t offset;   /* TAIL_OFFSET: in each partition read */
	int64_t partition; /* -1 = all */
	uint64_t count;    /* 0 = no bound */
	bool follow;       /* false: ends at what is the end of the log now */
};

extern const char *const tail_members[]; /* what a request may have, NULL-terminated */

/* From a request {"from":"earliest"|"latest"|"17","partition":0,"count":10,"follow":true}; all may be absent. */
gh_status tail_options_read(const json_t *request, struct tail_options *ret_options, gh_error *ret_err);
json_t *tail_options_write(const struct tail_options *options); /* the request for the admin socket */

struct tail;

/* Borrows the port until free. */
gh_status tail_new(
	struct tail_port *port, const struct tail_options *options, struct tail **ret_tail, gh_error *ret_err);
void tail_free(struct tail *tail); /* accepts NULL */

enum tail_step {
	TAIL_RECORD, /* *ret_record is the next; the caller owns its message */
	TAIL_BUSY,   /* reads are under way: ask again after a reap */
	TAIL_QUIET,  /* nothing new: ask again after TAIL_POLL_MS */
	TAIL_END,    /* the count, or the end of the log, was reached */
	TAIL_FAILED,
};
enum tail_step tail_next(struct tail *tail, gh_fetched *ret_record, gh_error *ret_err);

/* {"partition","offset","sequenceNumber","enqueuedTime","body","bodyEncoding","properties","systemProperties"}; NULL
 * without memory. */
json_t *tail_json(const gh_fetched *record);

#endif
