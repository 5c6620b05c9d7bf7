#include "src/backends/ring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

bool ring_init(struct ring *r, size_t capacity, size_t fetch_cap)
{
	assert(capacity && (capacity & (capacity - 1)) == 0);
	*r = (struct ring){.capacity = capacity, .fetch_cap = fetch_cap, .bell.fd = -1};
	pthread_mutex_init(&r->fetch_lock, NULL);
	r->slots = calloc(capacity, sizeof *r->slots);
	r->fetched = calloc(fetch_cap, sizeof *r->fetched);
	if (r->slots && r->fetched && bell_init(&r->bell))
		return true;
	ring_done(r);
	return false;
}

static struct ring_slot *ring_slot_at(const struct ring *r, uint64_t index)
{
	return &r->slots[index & (r->capacity - 1)];
}

void ring_done(struct ring *r)
{
	for (uint64_t i = r->reaped; i < atomic_load(&r->submitted); i++)
		gh_message_unref(ring_slot_at(r, i)->message);
	for (size_t i = 0; i < r->fetched_count; i++)
		gh_fetched_free(r->fetched[i].records, r->fetched[i].count);
	free(r->slots);
	free(r->fetched);
	bell_done(&r->bell);
	pthread_mutex_destroy(&r->fetch_lock);
}

size_t ring_free(const struct ring *r)
{
	return r->capacity - (atomic_load_explicit(&r->submitted, memory_order_relaxed) - r->reaped);
}

void ring_put(struct ring *r, size_t index, const gh_record *record)
{
	assert(index < ring_free(r));
	*ring_slot_at(r, atomic_load_explicit(&r->submitted, memory_order_relaxed) + index) = (struct ring_slot){
		.message = gh_message_ref(record->message),
		.cookie = record->cookie,
	};
}

void ring_publish(struct ring *r, size_t count)
{
	assert(count <= ring_free(r));
	/* Sequentially consistent on purpose: the submitter next looks whether the engine sleeps. */
	atomic_fetch_add(&r->submitted, count);
}

size_t ring_waiting(const struct ring *r)
{
	return atomic_load(&r->submitted) - r->taken;
}

struct ring_slot *ring_take(struct ring *r)
{
	assert(ring_waiting(r) > 0);
	return ring_slot_at(r, r->taken++);
}

void ring_complete(struct ring *r, size_t count)
{
	if (count == 0)
		return;
	assert(atomic_load(&r->completed) + count <= r->taken);
	atomic_fetch_add(&r->completed, count);
	bell_ring(&r->bell);
}

bool ring_idle(const struct ring *r)
{
	return atomic_load(&r->submitted) == atomic_load(&r->completed);
}

bool ring_fetch_open(struct ring *r)
{
	if (r->fetch_open == r->fetch_cap)
		return false;
	r->fetch_open++;
	return true;
}

void ring_fetched(struct ring *r, const gh_completion *completion)
{
	pthread_mutex_lock(&r->fetch_lock);
	assert(r->fetched_count < r->fetch_cap);
	r->fetched[r->fetched_count++] = *completion;
	atomic_store(&r->fetched_hint, r->fetched_count);
	pthread_mutex_unlock(&r->fetch_lock);
	bell_ring(&r->bell);
}

static size_t ring_reap_fetched(struct ring *r, gh_completion *ret, size_t max)
{
	if (atomic_load(&r->fetched_hint) == 0 || max == 0)
		return 0;
	pthread_mutex_lock(&r->fetch_lock);
	size_t n = r->fetched_count < max ? r->fetched_count : max;
	memcpy(ret, r->fetched, n * sizeof *ret);
	r->fetched_count -= n;
	memmove(r->fetched, r->fetched + n, r->fetched_count * sizeof *r->fetched);
	atomic_store(&r->fetched_hint, r->fetched_count);
	pthread_mutex_unlock(&r->fetch_lock);
	r->fetch_open -= n;
	return n;
}

static size_t ring_reap_once(struct ring *r, gh_completion *ret, size_t max, size_t *bytes)
{
	size_t n = ring_reap_fetched(r, ret, max);
	uint64_t completed = atomic_load(&r->completed);
	for (; n < max && r->reaped < completed; r->reaped++) {
		struct ring_slot *slot = ring_slot_at(r, r->reaped);
		ret[n++] = (gh_completion){
			.cookie = slot->cookie,
			.status = slot->status,
			.kind = GH_APPENDED,
			.offset = slot->offset,
		};
		*bytes += gh_message_encoded(slot->message).len;
		gh_message_unref(slot->message);
		slot->message = NULL;
	}
	return n;
}

size_t ring_reap(struct ring *r, gh_completion *ret_completions, size_t max, size_t *ret_bytes)
{
	*ret_bytes = 0;
	size_t n = ring_reap_once(r, ret_completions, max, ret_bytes);
	if (n == max)
		return n;
	bell_quiet(&r->bell);
	n += ring_reap_once(r, ret_completions + n, max - n, ret_bytes);
	if (r->reaped < atomic_load(&r->completed) || atomic_load(&r->fetched_hint))
		bell_ring(&r->bell);
	return n;
}
