/* bell.h - an eventfd that is written once per change from quiet to rung, however much arrives in between.
 *
 * Any thread rings; only the owner's thread quiets.  After bell_quiet the owner looks once more at what the bell stands
 * for, so that a ring between its last look and the quieting is never lost.
 */
#ifndef GATEHOUSE_BACKENDS_BELL_H
#define GATEHOUSE_BACKENDS_BELL_H

#include <stdatomic.h>
#include <stdbool.h>

struct bell {
	int fd;
	atomic_bool rung;
};

bool bell_init(struct bell *b); /* false when the system gives no descriptor */
void bell_done(struct bell *b);
void bell_ring(struct bell *b);
void bell_quiet(struct bell *b);

#endif
