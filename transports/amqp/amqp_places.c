#include "transports/amqp/amqp_places.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES_ROOM_FIRST = 8 };

void amqp_places_done(struct amqp_places *p)
{
	free(p->at);
	*p = (struct amqp_places){.at = NULL};
}

/* Where the first is that is not before the key. */
static size_t places_lower(const struct amqp_places *p, uint64_t key)
{
	size_t low = 0, high = p->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (p->at[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct amqp_place *amqp_places_find(const struct amqp_places *p, uint64_t key)
{
	size_t i = places_lower(p, key);
	return i < p->count && p->at[i].key == key ? &p->at[i] : NULL;
}

static bool places_grow(struct amqp_places *p)
{
	if (p->count < p->room)
		return true;
	size_t room = p->room ? 2 * p->room : PLACES_ROOM_FIRST;
	struct amqp_place *at = realloc(p->at, room * sizeof *at);
	if (!at)
		return false;
	p->at = at;
	p->room = room;
	return true;
}

bool amqp_places_add(struct amqp_places *p, uint64_t key, bool sends)
{
	if (!places_grow(p))
		return false;
	size_t i = places_lower(p, key);
	assert(i == p->count || p->at[i].key != key);
	memmove(p->at + i + 1, p->at + i, (p->count - i) * sizeof *p->at);
	p->at[i] = (struct amqp_place){.key = key, .sends = sends};
	p->count++;
	return true;
}

static void places_remove(struct amqp_places *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		amqp_places_set_partial(p, &p->at[i], false);
	memmove(p->at + from, p->at + to, (p->count - to) * sizeof *p->at);
	p->count -= to - from;
	if (p->count == 0)
		amqp_places_done(p);
}

void amqp_places_remove(struct amqp_places *p, uint64_t key)
{
	size_t i = places_lower(p, key);
	if (i < p->count && p->at[i].key == key)
		places_remove(p, i, i + 1);
}

void amqp_places_remove_session(struct amqp_places *p, uint16_t channel)
{
	size_t from = places_lower(p, amqp_places_session(channel));
	size_t to = places_lower(p, amqp_places_session(channel) + ((uint64_t)1 << 32));
	if (from < to)
		places_remove(p, from, to);
}

void amqp_places_set_partial(struct amqp_places *p, struct amqp_place *place, bool partial)
{
	p->partial_count += (size_t)partial - (size_t)place->partial;
	place->partial = partial;
}
