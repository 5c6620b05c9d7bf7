/* bell.h - an eventfd that is written once per change from quiet to rung, however much arrives in between.
 *
 * Any thread rings; only the owner's thread quiets.  A ring that falls into the quieting is not lost: the bell is then
 * rung again, at worst once too often.
 */
#ifndef GATEHOUSE_BACKENDS_BELL_H
#define GATEHOUSE_BACKENDS_BELL_H

#include <stdatomic.h>
#include <stdbool.h>

struct bell {
	int fd;
	atomic_bool rung;
	atomic_uint rings; /* ever; tells bell_quiet whether one came meanwhile */
};

bool bell_init(struct bell *b); /* false when the system gives no descriptor */
void bell_done(struct bell *b);
void bell_ring(struct bell *b);
void bell_quiet(struct bell *b);

#endif
