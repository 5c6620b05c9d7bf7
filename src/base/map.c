#include "src/base/map.h"

#include "src/base/text.h"

#include <assert.h>
#include <stdlib.h>

static inline uint64_t map_rotate(uint64_t v, int bits)
{
	return v << bits | v >> (64 - bits);
}

static inline void map_sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = map_rotate(v[1], 13) ^ v[0];
	v[0] = map_rotate(v[0], 32);
	v[2] += v[3];
	v[3] = map_rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = map_rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = map_rotate(v[1], 17) ^ v[2];
	v[2] = map_rotate(v[2], 32);
}

uint64_t map_hash(const uint64_t seed[2], gh_bytes key)
{
	uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du, seed[0] ^ 0x6c7967656e657261u,
		seed[1] ^ 0x7465646279746573u};
	size_t i = 0;
	for (; i + 8 <= key.len; i += 8) {
		uint64_t word;
		memcpy(&word, key.data + i, 8);
		v[3] ^= word;
		map_sip_round(v);
		v[0] ^= word;
	}
	uint64_t last = (uint64_t)key.len << 56;
	for (size_t k = 0; i + k < key.len; k++)
		last |= (uint64_t)key.data[i + k] << (8 * k);
	v[3] ^= last;
	map_sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int round = 0; round < 3; round++)
		map_sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *m, gh_bytes (*key_of)(const struct map_node *node), const uint64_t seed[2])
{
	*m = (struct map){.key_of = key_of, .seed = {seed[0], seed[1]}};
}

void map_done(struct map *m)
{
	free(m->slots);
	m->slots = NULL;
	m->slot_count = m->count = 0;
}

struct map_node *map_find(const struct map *m, gh_bytes key)
{
	if (m->slot_count == 0)
		return NULL;
	uint64_t hash = map_hash(m->seed, key);
	for (struct map_node *node = m->slots[hash & (m->slot_count - 1)]; node; node = node->next)
		if (node->hash == hash && text_equal(m->key_of(node), key))
			return node;
	return NULL;
}

static bool map_grow(struct map *m)
{
	size_t slot_count = m->slot_count ? m->slot_count * 2 : 16;
	struct map_node **slots = calloc(slot_count, sizeof *slots);
	if (!slots)
		return m->slot_count != 0; /* a fuller table still works */
	for (size_t i = 0; i < m->slot_count; i++) {
		struct map_node *next;
		for (struct map_node *node = m->slots[i]; node; node = next) {
			next = node->next;
			node->next = slots[node->hash & (slot_count - 1)];
			slots[node->hash & (slot_count - 1)] = node;
		}
	}
	free(m->slots);
	m->slots = slots;
	m->slot_count = slot_count;
	return true;
}

bool map_insert(struct map *m, struct map_node *node)
{
	if (m->count >= m->slot_count && !map_grow(m))
		return false;
	node->hash = map_hash(m->seed, m->key_of(node));
	struct map_node **slot = &m->slots[node->hash & (m->slot_count - 1)];
	node->next = *slot;
	*slot = node;
	m->count++;
	return true;
}

void map_remove(struct map *m, struct map_node *node)
{
	assert(m->slot_count > 0);
	struct map_node **at = &m->slots[node->hash & (m->slot_count - 1)];
	while (*at && *at != node)
		at = &(*at)->next;
	assert(*at == node);
	*at = node->next;
	node->next = NULL;
	m->count--;
}
