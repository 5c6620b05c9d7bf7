/* session.h - device sessions: one seat per identity and transport; who sits, who waits, how the seat changes hands.
 *
 * The table is shared by all workers and lock-striped.  It calls nothing while a lock is held but gh_host post, which
 * only queues.  A seat lives inside its owner (a link); what happens to it arrives as a task on the owner's thread:
 *
 *   holder A          table               waiter B
 *      |   <- LOST (closes, settles) -       |
 *      |   session_leave ---------------->   |   GRANTED: B may open
 *
 * A newer waiter takes the place of an older one, which gets LOST at once.
 */
#ifndef GATEHOUSE_CORE_SESSION_H
#define GATEHOUSE_CORE_SESSION_H

#include <gatehouse/host.h>

#include "src/base/map.h"

#include <pthread.h>
#include <stdatomic.h>

enum { SESSION_STRIPES = 64 };

struct session_table {
	struct {
		pthread_mutex_t lock;
		struct map sessions;
	} stripes[SESSION_STRIPES];
	uint64_t seed[2];
};

enum { SESSION_GRANTED = 1, SESSION_LOST = 2 };

struct session;

/* The owner sets host, task.run and refs; the table owns the rest.  Each event holds one count of *refs until the task
 * ran; the task calls session_events to learn which came, and gives the counts back. */
struct session_seat {
	gh_task task;
	gh_host *host;
	atomic_uint *refs;
	struct session *session; /* NULL = not seated; guarded by the stripe */
	atomic_uint events;
	uint8_t stripe;
};

void session_table_init(struct session_table *table, const uint64_t seed[2]);
void session_table_done(struct session_table *table); /* no seat is taken */

/* GH_OK: seated.  GH_AGAIN: waits; the holder gets LOST, this seat GRANTED once the holder left.  GH_NO_MEMORY. */
gh_status session_take(struct session_table *table, struct session_seat *seat, gh_bytes key);

/* Gives the seat, or the place in the queue, back.  No-op when it has none. */
void session_leave(struct session_table *table, struct session_seat *seat);

/* In the task: which events came since last asked (SESSION_*). */
unsigned session_events(struct session_seat *seat);

#endif
