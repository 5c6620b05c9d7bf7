/* presence.h - which identities are connected now, and since when (service contract 2.7).
 *
 * Counts links per identity: a device is there from its first link until its last one left, over whatever transports.
 * A key is "d", or "d/m" for a module ('/' is no character of an id).  Shared by all workers and lock-striped; nothing is
 * called while a stripe is locked.
 */
#ifndef GATEHOUSE_CORE_PRESENCE_H
#define GATEHOUSE_CORE_PRESENCE_H

#include "src/base/map.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { PRESENCE_STRIPES = 64 };

struct presence {
	struct {
		pthread_mutex_t lock;
		struct map entries;
	} stripes[PRESENCE_STRIPES];
	uint64_t seed[2];
	atomic_uint_fast64_t devices;
};

void presence_init(struct presence *p, const uint64_t seed[2]);
void presence_done(struct presence *p); /* nobody is there any more */

/* One link more.  False without memory: then it is not counted, and must not be removed. */
bool presence_add(struct presence *p, gh_bytes key, uint64_t wall_ms);
/* One of the links that were added is gone. */
void presence_remove(struct presence *p, gh_bytes key);

/* Is it there?  Then *ret_since_ms is the wall time of the first of the links it has had without a break. */
bool presence_get(struct presence *p, gh_bytes key, uint64_t *ret_since_ms);
/* How many devices are there; modules do not count. */
uint64_t presence_devices(const struct presence *p);

#endif
