/* ring.h - one port's records on their way to the engine and back, and the reads that were answered.
 *
 * One bounded array of slots serves both ways, because an engine behind it completes in the order of submission:
 *
 *     reaped <= completed <= taken <= submitted <= reaped + capacity
 *
 * The loop thread owns `submitted` and `reaped`, the engine `taken` and `completed`; nothing is allocated or locked per
 * record.  Answers to reads are few (gh_limits.fetches_max) and go through a small locked array.
 */
#ifndef GATEHOUSE_BACKENDS_RING_H
#define GATEHOUSE_BACKENDS_RING_H

#include "src/backends/bell.h"

#include <gatehouse/backend.h>

#include <pthread.h>

struct ring_slot {
	gh_message *message;
	void *cookie;
	uint64_t offset;
	gh_status status;
};

struct ring {
	struct ring_slot *slots;
	uint64_t capacity; /* power of two */
	_Atomic uint64_t submitted;
	uint64_t taken;
	_Atomic uint64_t completed;
	uint64_t reaped;
	struct bell bell;
	pthread_mutex_t fetch_lock;
	gh_completion *fetched; /* answered reads, oldest first */
	size_t fetched_count;
	size_t fetch_cap;
	size_t fetch_open;           /* asked, not reaped; the loop thread's */
	_Atomic size_t fetched_hint; /* = fetched_count, to be looked at without the lock */
};

enum { RING_SLOTS = 8192 };

bool ring_init(struct ring *r, size_t capacity, size_t fetch_cap);
void ring_done(struct ring *r); /* drops the messages still held and the reads nobody reaped */

/* ---- the loop thread ---- */

size_t ring_free(const struct ring *r); /* slots to submit into */
/* Fills the next slot and takes a reference; there must be a free one.  The engine sees it after ring_publish. */
void ring_put(struct ring *r, size_t index, const gh_record *record);
void ring_publish(struct ring *r, size_t count);
/* Moves results out, drops the messages, quiets the bell when nothing is left.  *ret_bytes: encoded bytes released. */
size_t ring_reap(struct ring *r, gh_completion *ret_completions, size_t max, size_t *ret_bytes);
/* Reserves room for the answer of a read; false when fetch_cap are open. */
bool ring_fetch_open(struct ring *r);

/* ---- the engine ---- */

size_t ring_waiting(const struct ring *r);   /* submitted, not taken */
struct ring_slot *ring_take(struct ring *r); /* the next one; there must be one */
/* The oldest `count` taken ones are done (their slots say how). */
void ring_complete(struct ring *r, size_t count);
bool ring_idle(const struct ring *r); /* nothing between submit and completion */
void ring_fetched(struct ring *r, const gh_completion *completion);

#endif
