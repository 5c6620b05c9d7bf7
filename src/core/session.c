#include "src/core/session.h"

#include "src/base/take.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct session {
	struct map_node node;
	struct session_seat *holder;
	struct session_seat *waiter;
	uint16_t key_len;
	uint8_t key[];
};

static gh_bytes session_key(const struct map_node *node)
{
	const struct session *s = GH_CONTAINER(node, struct session, node);
	return (gh_bytes){s->key, s->key_len};
}

void session_table_init(struct session_table *table, const uint64_t seed[2])
{
	table->seed[0] = seed[0];
	table->seed[1] = seed[1];
	for (int i = 0; i < SESSION_STRIPES; i++) {
		pthread_mutex_init(&table->stripes[i].lock, NULL);
		map_init(&table->stripes[i].sessions, session_key, seed);
	}
}

void session_table_done(struct session_table *table)
{
	for (int i = 0; i < SESSION_STRIPES; i++) {
		assert(table->stripes[i].sessions.count == 0);
		map_done(&table->stripes[i].sessions);
		pthread_mutex_destroy(&table->stripes[i].lock);
	}
}

/* With the stripe locked.  A holder may be told again before it heard the first time: one event, one count. */
static void session_tell(struct session_seat *seat, unsigned event)
{
	atomic_fetch_add(seat->refs, 1);
	unsigned before = atomic_fetch_or(&seat->events, event);
	if (before == 0)
		seat->host->ops->post(seat->host, &seat->task);
	if (before & event) {
		/* Never the last: the owner keeps its own until it has left, and to leave it needs the stripe. */
		unsigned refs = atomic_fetch_sub(seat->refs, 1);
		assert(refs > 1);
		(void)refs;
	}
}

unsigned session_events(struct session_seat *seat)
{
	return atomic_exchange(&seat->events, 0);
}

static struct session *session_new(gh_bytes key)
{
	struct session *s = calloc(1, sizeof *s + key.len);
	if (!s)
		return NULL;
	assert(key.len <= UINT16_MAX);
	s->key_len = (uint16_t)key.len;
	memcpy(s->key, key.data, key.len);
	return s;
}

/* With the stripe locked. */
static gh_status session_take_locked(struct map *sessions, struct session_seat *seat, gh_bytes key)
{
	struct map_node *node = map_find(sessions, key);
	if (node) {
		struct session *s = GH_CONTAINER(node, struct session, node);
		if (s->waiter) {
			s->waiter->session = NULL;
			session_tell(s->waiter, SESSION_LOST);
		} else {
			session_tell(s->holder, SESSION_LOST);
		}
		s->waiter = seat;
		seat->session = s;
		return GH_AGAIN;
	}
	struct session *s = session_new(key);
	if (!s || !map_insert(sessions, &s->node)) {
		free(s);
		return GH_NO_MEMORY;
	}
	s->holder = seat;
	seat->session = s;
	return GH_OK;
}

gh_status session_take(struct session_table *table, struct session_seat *seat, gh_bytes key)
{
	/* The stripe comes from other bits of the hash than the slot inside it. */
	seat->stripe = (uint8_t)(map_hash(table->seed, key) >> 56) % SESSION_STRIPES;
	pthread_mutex_lock(&table->stripes[seat->stripe].lock);
	gh_status status = session_take_locked(&table->stripes[seat->stripe].sessions, seat, key);
	pthread_mutex_unlock(&table->stripes[seat->stripe].lock);
	return status;
}

void session_leave(struct session_table *table, struct session_seat *seat)
{
	struct map *sessions = &table->stripes[seat->stripe].sessions;
	pthread_mutex_lock(&table->stripes[seat->stripe].lock);
	struct session *s = seat->session;
	seat->session = NULL;
	if (s && s->waiter == seat) {
		s->waiter = NULL;
	} else if (s) {
		assert(s->holder == seat);
		s->holder = s->waiter;
		s->waiter = NULL;
		if (s->holder) {
			session_tell(s->holder, SESSION_GRANTED);
		} else {
			map_remove(sessions, &s->node);
			free(s);
		}
	}
	pthread_mutex_unlock(&table->stripes[seat->stripe].lock);
}
