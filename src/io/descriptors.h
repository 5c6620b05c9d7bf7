/* descriptors.h - how many descriptors connections may hold, all listeners and workers together; any thread.
 *
 * A connection takes one, a WebSocket two more for the pair that libwebsockets wants (web.h).  Connections are refused
 * before the system is out of them, so that the store, the admin socket and the log never are.
 */
#ifndef GATEHOUSE_IO_DESCRIPTORS_H
#define GATEHOUSE_IO_DESCRIPTORS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { DESCRIPTORS_PER_STREAM = 1, DESCRIPTORS_PER_PAIR = 2 };

struct descriptors {
	atomic_uint_fast64_t used;
	uint64_t max;
};

void descriptors_init(struct descriptors *d, uint64_t max);
bool descriptors_take(struct descriptors *d, uint64_t count); /* NULL = as many as one likes; the same below */
void descriptors_give(struct descriptors *d, uint64_t count);

/* Sets the process's limit to `wanted` and `reserved`, as far as the system allows.  Not to all there are: libraries size
 * tables by that limit.  Returns how many of the wanted there will be. */
uint64_t descriptors_ask(uint64_t wanted, uint64_t reserved);
/* What descriptors_ask sets under a hard limit, and what it then returns. */
uint64_t descriptors_limit(uint64_t wanted, uint64_t reserved, uint64_t hard);
uint64_t descriptors_granted(uint64_t limit, uint64_t reserved);

#endif
