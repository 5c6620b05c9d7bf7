/* amqp_places.h - the sessions a peer has begun and the links it has attached, by the numbers it gave them.  Proton keeps
 * them too, but takes a number twice and lets a receiver transfer; then it holds a link nobody frees, or frees it twice.
 *
 * Sorted, so a session is followed by its links; a connection without any holds no memory.
 */
#ifndef GATEHOUSE_AMQP_PLACES_H
#define GATEHOUSE_AMQP_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Proton takes greater handles for negative numbers, which mean something else to it. */
#define AMQP_PLACES_HANDLE_MAX 0x7ffffffeu

struct amqp_place {
	uint64_t key;
	bool sends;   /* the link: the peer is its sender */
	bool partial; /* a delivery was begun and has not ended */
};

struct amqp_places {
	struct amqp_place *at;
	size_t count, room;
	size_t partial_count;
};

void amqp_places_done(struct amqp_places *p);

static inline uint64_t amqp_places_session(uint16_t channel)
{
	return (uint64_t)channel << 32;
}

static inline uint64_t amqp_places_link(uint16_t channel, uint32_t handle)
{
	return amqp_places_session(channel) + handle + 1;
}

/* NULL when there is none; borrowed until the next change. */
struct amqp_place *amqp_places_find(const struct amqp_places *p, uint64_t key);
/* It must not be there.  False without memory. */
bool amqp_places_add(struct amqp_places *p, uint64_t key, bool sends);
void amqp_places_remove(struct amqp_places *p, uint64_t key);
/* With all its links. */
void amqp_places_remove_session(struct amqp_places *p, uint16_t channel);
void amqp_places_set_partial(struct amqp_places *p, struct amqp_place *place, bool partial);

#endif
