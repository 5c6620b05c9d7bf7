#include "src/core/presence.h"

#include "src/base/take.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* One per identity that is there: 30 bytes and its key. */
struct presence_entry {
	struct map_node node;
	uint64_t since_ms;
	uint32_t links;
	uint16_t key_len;
	uint8_t key[];
};

static struct presence_entry *presence_entry_of(struct map_node *node)
{
	return GH_CONTAINER(node, struct presence_entry, node);
}

static gh_bytes presence_key(const struct map_node *node)
{
	const struct presence_entry *entry = GH_CONTAINER(node, struct presence_entry, node);
	return (gh_bytes){entry->key, entry->key_len};
}

void presence_init(struct presence *p, const uint64_t seed[2])
{
	p->seed[0] = seed[0];
	p->seed[1] = seed[1];
	for (int i = 0; i < PRESENCE_STRIPES; i++) {
		pthread_mutex_init(&p->stripes[i].lock, NULL);
		map_init(&p->stripes[i].entries, presence_key, seed);
	}
	atomic_init(&p->devices, 0);
}

void presence_done(struct presence *p)
{
	assert(atomic_load(&p->devices) == 0);
	for (int i = 0; i < PRESENCE_STRIPES; i++) {
		assert(p->stripes[i].entries.count == 0);
		map_done(&p->stripes[i].entries);
		pthread_mutex_destroy(&p->stripes[i].lock);
	}
}

/* The stripe comes from other bits of the hash than the slot inside it. */
static struct map *presence_lock(struct presence *p, gh_bytes key, pthread_mutex_t **ret_lock)
{
	size_t stripe = (map_hash(p->seed, key) >> 56) % PRESENCE_STRIPES;
	*ret_lock = &p->stripes[stripe].lock;
	pthread_mutex_lock(*ret_lock);
	return &p->stripes[stripe].entries;
}

static bool presence_is_device(gh_bytes key)
{
	return !memchr(key.data, '/', key.len);
}

static struct presence_entry *presence_entry_new(gh_bytes key, uint64_t wall_ms)
{
	assert(key.len > 0 && key.len <= UINT16_MAX);
	struct presence_entry *entry = malloc(offsetof(struct presence_entry, key) + key.len);
	if (!entry)
		return NULL;
	entry->since_ms = wall_ms;
	entry->links = 0;
	entry->key_len = (uint16_t)key.len;
	memcpy(entry->key, key.data, key.len);
	return entry;
}

/* With the stripe locked.  NULL without memory. */
static struct presence_entry *presence_enter(struct map *entries, gh_bytes key, uint64_t wall_ms)
{
	struct map_node *node = map_find(entries, key);
	if (node)
		return presence_entry_of(node);
	struct presence_entry *entry = presence_entry_new(key, wall_ms);
	if (!entry || !map_insert(entries, &entry->node)) {
		free(entry);
		return NULL;
	}
	return entry;
}

bool presence_add(struct presence *p, gh_bytes key, uint64_t wall_ms)
{
	pthread_mutex_t *lock;
	struct map *entries = presence_lock(p, key, &lock);
	struct presence_entry *entry = presence_enter(entries, key, wall_ms);
	if (entry && entry->links++ == 0 && presence_is_device(key))
		atomic_fetch_add(&p->devices, 1);
	pthread_mutex_unlock(lock);
	return entry;
}

void presence_remove(struct presence *p, gh_bytes key)
{
	pthread_mutex_t *lock;
	struct map *entries = presence_lock(p, key, &lock);
	struct map_node *node = map_find(entries, key);
	assert(node);
	struct presence_entry *entry = presence_entry_of(node);
	assert(entry->links > 0);
	if (--entry->links == 0) {
		if (presence_is_device(key))
			atomic_fetch_sub(&p->devices, 1);
		map_remove(entries, node);
		free(entry);
	}
	pthread_mutex_unlock(lock);
}

bool presence_get(struct presence *p, gh_bytes key, uint64_t *ret_since_ms)
{
	pthread_mutex_t *lock;
	struct map *entries = presence_lock(p, key, &lock);
	struct map_node *node = map_find(entries, key);
	if (node)
		*ret_since_ms = presence_entry_of(node)->since_ms;
	pthread_mutex_unlock(lock);
	return node;
}

uint64_t presence_devices(const struct presence *p)
{
	return atomic_load(&p->devices);
}
