/* outbox.h - one worker's road to the back end: gathers a turn's records, hands them over, remembers who waits.
 *
 * Knows no link: an owner is a pointer that comes back with the result.  What was accepted into the outbox is never
 * dropped: records the port did not take stay at the front, in order.
 */
#ifndef GATEHOUSE_CORE_OUTBOX_H
#define GATEHOUSE_CORE_OUTBOX_H

#include <gatehouse/backend.h>

enum { OUTBOX_RECORDS = 256, OUTBOX_REAP = 64 };

struct outbox_pending {
	struct outbox_pending *next; /* while free */
	void *owner;                 /* NULL while free */
	void *cookie;
};

struct outbox_slab;

struct outbox {
	const gh_backend_ops *ops;
	gh_port *port;
	gh_record records[OUTBOX_RECORDS];
	size_t count;
	size_t room; /* bytes the port said are welcome, less what was put in since */
	struct outbox_pending *free;
	struct outbox_slab *slabs;
	uint64_t unsettled;
};

/* False when the back end gives no port. */
bool outbox_init(struct outbox *o, const gh_backend_ops *ops, gh_backend *backend);

typedef void outbox_settled(void *context, void *owner, void *cookie, gh_status status);
/* Records not settled are with the port or lost: each owner hears GH_UNKNOWN. */
void outbox_done(struct outbox *o, outbox_settled *settled, void *context);

/* True when a record of `bytes` may be put in now. */
bool outbox_has_room(struct outbox *o, size_t bytes);
/* Takes its own reference.  False without memory. */
bool outbox_put(struct outbox *o, gh_message *message, void *owner, void *cookie);
/* Hands over what was gathered. */
void outbox_flush(struct outbox *o);

/* All results that wait; then what had to stay is offered again. */
void outbox_reap(struct outbox *o, outbox_settled *settled, void *context);

#endif
