/* memory.h - queue and store in memory: the test double, with the same contract but for durability.
 *
 * memory_queue completes nothing by itself while it is held: tests decide when and how.
 */
#ifndef GATEHOUSE_BACKENDS_MEMORY_H
#define GATEHOUSE_BACKENDS_MEMORY_H

#include <gatehouse/backend.h>
#include <gatehouse/store.h>

extern const gh_store_ops memory_store;
extern const gh_backend_ops memory_queue;

/* Held: records are taken but complete only at memory_queue_release, all with `status`; that also ends the hold. */
void memory_queue_hold(gh_backend *backend);
void memory_queue_release(gh_backend *backend, gh_status status);
/* Takes nothing more (room 0) until set back to true. */
void memory_queue_set_room(gh_backend *backend, bool room);

#endif
