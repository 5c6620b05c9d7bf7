/* map.h - a hash table of byte keys; nodes live inside their owners and own their keys.
 *
 * The hash is seeded per map, so that a peer who chooses names cannot choose collisions.  Not locked.
 */
#ifndef GATEHOUSE_BASE_MAP_H
#define GATEHOUSE_BASE_MAP_H

#include <gatehouse/message.h>

struct map_node {
	struct map_node *next;
	uint64_t hash;
};

struct map {
	struct map_node **slots;
	size_t slot_count; /* power of two, 0 before the first insert */
	size_t count;
	uint64_t seed[2];
	gh_bytes (*key_of)(const struct map_node *node);
};

void map_init(struct map *m, gh_bytes (*key_of)(const struct map_node *node), const uint64_t seed[2]);
void map_done(struct map *m); /* frees the table, not the nodes */

/* SipHash-1-3 of the key under the map's seed. */
uint64_t map_hash(const uint64_t seed[2], gh_bytes key);

struct map_node *map_find(const struct map *m, gh_bytes key);
/* The key must not be in the map.  False without memory. */
bool map_insert(struct map *m, struct map_node *node);
void map_remove(struct map *m, struct map_node *node); /* must be in the map */

#endif
