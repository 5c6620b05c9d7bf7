/* memory_queue.c - the queue in memory: an array of messages per partition, under one lock.
 *
 * No thread: what is submitted is complete by the time submit returns, unless the queue is held; the results wait in
 * the port's ring as with any engine.  Credit and order are those of the contract.
 */
#include "src/backends/memory.h"
#include "src/backends/ring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum { MEMORY_PARTITIONS_DEFAULT = 4, MEMORY_PARTITIONS_MAX = 32 };

struct memory_partition {
	gh_message **messages;
	size_t count;
	size_t cap;
};

struct gh_port {
	struct ring ring;
	gh_backend *queue; /* NULL once it was closed */
	gh_port *next;
	bool refused;
};

struct gh_backend {
	const gh_limits *limits;
	pthread_mutex_t lock;
	pthread_cond_t finished;
	uint32_t partition_count;
	struct memory_partition partitions[MEMORY_PARTITIONS_MAX];
	gh_port *ports;
	size_t inflight;
	bool full; /* over the high mark, not yet under the low one */
	bool held;
	bool closed_room;
	uint64_t records;
};

static gh_status memory_queue_open(const gh_backend_config *config, gh_backend **ret_backend, gh_error *ret_err)
{
	if (config->level > GH_MEMORY)
		return gh_fail(ret_err, GH_INVALID, "level_not_kept", "the memory queue keeps level memory, not %s",
			gh_durability_name(config->level));
	if (config->partitions > MEMORY_PARTITIONS_MAX)
		return gh_fail(ret_err, GH_INVALID, "partitions", "at most %d partitions", MEMORY_PARTITIONS_MAX);
	gh_backend *q = calloc(1, sizeof *q);
	if (!q)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
	q->limits = config->limits;
	q->partition_count = config->partitions ? config->partitions : MEMORY_PARTITIONS_DEFAULT;
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&q->finished, &monotonic);
	pthread_condattr_destroy(&monotonic);
	*ret_backend = q;
	return GH_OK;
}

/* ---- under the lock ---- */

static gh_status memory_store_message(gh_backend *q, gh_message *message, uint64_t *ret_offset)
{
	uint32_t p = gh_partition_of(gh_message_partition_key(message), q->partition_count);
	struct memory_partition *partition = &q->partitions[p];
	if (partition->count == partition->cap) {
		size_t cap = partition->cap ? partition->cap * 2 : 64;
		gh_message **messages = realloc(partition->messages, cap * sizeof *messages);
		if (!messages)
			return GH_NO_MEMORY;
		partition->messages = messages;
		partition->cap = cap;
	}
	*ret_offset = partition->count;
	partition->messages[partition->count++] = gh_message_ref(message);
	q->records++;
	return GH_OK;
}

static void memory_complete(gh_backend *q, gh_port *port, gh_status status)
{
	size_t n = ring_waiting(&port->ring);
	for (size_t i = 0; i < n; i++) {
		struct ring_slot *slot = ring_take(&port->ring);
		slot->status = status == GH_OK ? memory_store_message(q, slot->message, &slot->offset) : status;
	}
	ring_complete(&port->ring, n);
	pthread_cond_broadcast(&q->finished);
}

static bool memory_has_room(const gh_backend *q)
{
	return !q->full && !q->closed_room;
}

static void memory_wake(gh_backend *q)
{
	for (gh_port *port = q->ports; port; port = port->next) {
		if (port->refused)
			bell_ring(&port->ring.bell);
		port->refused = false;
	}
}

static void memory_credit(gh_backend *q, size_t bytes)
{
	q->inflight -= bytes;
	if (q->full && q->inflight <= q->limits->inflight_bytes_max / 2)
		q->full = false;
	if (memory_has_room(q))
		memory_wake(q);
}

/* ---- the port ---- */

static gh_port *memory_queue_attach(gh_backend *q)
{
	gh_port *port = calloc(1, sizeof *port);
	if (!port)
		return NULL;
	if (!ring_init(&port->ring, RING_SLOTS, q->limits->fetches_max)) {
		free(port);
		return NULL;
	}
	port->queue = q;
	pthread_mutex_lock(&q->lock);
	port->next = q->ports;
	q->ports = port;
	pthread_mutex_unlock(&q->lock);
	return port;
}

static void memory_queue_detach(gh_port *port)
{
	gh_backend *q = port->queue;
	if (q) {
		pthread_mutex_lock(&q->lock);
		gh_port **at = &q->ports;
		while (*at != port)
			at = &(*at)->next;
		*at = port->next;
		size_t bytes = 0;
		for (uint64_t i = port->ring.reaped; i < atomic_load(&port->ring.submitted); i++)
			bytes += gh_message_encoded(port->ring.slots[i & (port->ring.capacity - 1)].message).len;
		memory_credit(q, bytes);
		pthread_cond_broadcast(&q->finished);
		pthread_mutex_unlock(&q->lock);
	}
	ring_done(&port->ring);
	free(port);
}

static int memory_queue_fd(gh_port *port)
{
	return port->ring.bell.fd;
}

static size_t memory_queue_submit(gh_port *port, const gh_record *records, size_t n)
{
	gh_backend *q = port->queue;
	if (!q)
		return 0;
	pthread_mutex_lock(&q->lock);
	size_t max = q->closed_room ? 0 : ring_free(&port->ring), taken = 0;
	for (; taken < n && taken < max; taken++) {
		size_t len = gh_message_encoded(records[taken].message).len;
		if (q->inflight > 0 && q->inflight + len > q->limits->inflight_bytes_max) {
			q->full = true;
			break;
		}
		q->inflight += len;
		ring_put(&port->ring, taken, &records[taken]);
	}
	ring_publish(&port->ring, taken);
	if (q->inflight >= q->limits->inflight_bytes_max - q->limits->inflight_bytes_max / 4)
		q->full = true;
	if (taken < n)
		port->refused = true;
	if (!q->held)
		memory_complete(q, port, GH_OK);
	pthread_mutex_unlock(&q->lock);
	return taken;
}

static size_t memory_queue_reap(gh_port *port, gh_completion *ret_completions, size_t max)
{
	size_t bytes, n = ring_reap(&port->ring, ret_completions, max, &bytes);
	gh_backend *q = port->queue;
	if (q && n > 0) {
		pthread_mutex_lock(&q->lock);
		memory_credit(q, bytes);
		pthread_mutex_unlock(&q->lock);
	}
	return n;
}

static size_t memory_queue_room(gh_port *port)
{
	gh_backend *q = port->queue;
	if (!q)
		return 0;
	pthread_mutex_lock(&q->lock);
	size_t high = q->limits->inflight_bytes_max - q->limits->inflight_bytes_max / 4, room = 0;
	if (memory_has_room(q) && q->inflight < high && ring_free(&port->ring) > 0)
		room = high - q->inflight;
	else
		port->refused = true;
	pthread_mutex_unlock(&q->lock);
	return room;
}

static void memory_read(gh_backend *q, uint32_t p, size_t bytes_max, gh_completion *ret)
{
	const struct memory_partition *partition = &q->partitions[p];
	size_t bytes = 0, count = 0;
	while (ret->offset + count < partition->count && (count == 0 || bytes < bytes_max))
		bytes += gh_message_encoded(partition->messages[ret->offset + count++]).len;
	if (count == 0)
		return;
	ret->records = calloc(count, sizeof *ret->records);
	if (!ret->records) {
		ret->status = GH_NO_MEMORY;
		return;
	}
	for (; ret->count < count; ret->count++, ret->offset++)
		ret->records[ret->count] =
			(gh_fetched){p, ret->offset, gh_message_ref(partition->messages[ret->offset])};
}

static gh_status memory_queue_fetch(gh_port *port, uint32_t partition, uint64_t from, size_t bytes_max, void *cookie)
{
	gh_backend *q = port->queue;
	if (!q)
		return GH_UNAVAILABLE;
	if (partition >= q->partition_count)
		return GH_INVALID;
	if (!ring_fetch_open(&port->ring))
		return GH_AGAIN;
	gh_completion completion = {.kind = GH_FETCHED, .cookie = cookie, .offset = from};
	pthread_mutex_lock(&q->lock);
	memory_read(q, partition, bytes_max, &completion);
	pthread_mutex_unlock(&q->lock);
	ring_fetched(&port->ring, &completion);
	return GH_OK;
}

static gh_status memory_queue_bounds(gh_port *port, uint32_t partition, uint64_t *ret_floor, uint64_t *ret_end)
{
	gh_backend *q = port->queue;
	if (!q)
		return GH_UNAVAILABLE;
	if (partition >= q->partition_count)
		return GH_INVALID;
	pthread_mutex_lock(&q->lock);
	*ret_floor = 0;
	*ret_end = q->partitions[partition].count;
	pthread_mutex_unlock(&q->lock);
	return GH_OK;
}

/* ---- the whole ---- */

static enum gh_durability memory_queue_level(const gh_backend *q)
{
	(void)q;
	return GH_MEMORY;
}

static uint32_t memory_queue_partitions(const gh_backend *q)
{
	return q->partition_count;
}

static void memory_queue_health(gh_backend *q, gh_health *ret_health)
{
	pthread_mutex_lock(&q->lock);
	*ret_health = (gh_health){
		.state = GH_READY,
		.inflight_bytes = q->inflight,
		.records = q->records,
		.commits = q->records,
	};
	pthread_mutex_unlock(&q->lock);
}

static bool memory_idle(const gh_backend *q)
{
	for (const gh_port *port = q->ports; port; port = port->next)
		if (!ring_idle(&port->ring))
			return false;
	return true;
}

static gh_status memory_queue_drain(gh_backend *q, uint64_t deadline_ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	uint64_t ns = (uint64_t)until.tv_nsec + deadline_ms * 1000000;
	until.tv_sec += (time_t)(ns / 1000000000);
	until.tv_nsec = (long)(ns % 1000000000);
	gh_status status = GH_OK;
	pthread_mutex_lock(&q->lock);
	while (status == GH_OK && !memory_idle(q))
		if (pthread_cond_timedwait(&q->finished, &q->lock, &until) == ETIMEDOUT)
			status = GH_AGAIN;
	pthread_mutex_unlock(&q->lock);
	return status;
}

static void memory_queue_close(gh_backend *q)
{
	if (!q)
		return;
	for (gh_port *port = q->ports; port; port = port->next) {
		memory_complete(q, port, GH_UNKNOWN);
		port->queue = NULL;
	}
	for (uint32_t p = 0; p < q->partition_count; p++) {
		for (size_t i = 0; i < q->partitions[p].count; i++)
			gh_message_unref(q->partitions[p].messages[i]);
		free(q->partitions[p].messages);
	}
	pthread_cond_destroy(&q->finished);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

/* ---- what tests turn ---- */

void memory_queue_hold(gh_backend *q)
{
	pthread_mutex_lock(&q->lock);
	q->held = true;
	pthread_mutex_unlock(&q->lock);
}

void memory_queue_release(gh_backend *q, gh_status status)
{
	pthread_mutex_lock(&q->lock);
	q->held = false;
	for (gh_port *port = q->ports; port; port = port->next)
		memory_complete(q, port, status);
	pthread_mutex_unlock(&q->lock);
}

void memory_queue_set_room(gh_backend *q, bool room)
{
	pthread_mutex_lock(&q->lock);
	q->closed_room = !room;
	if (memory_has_room(q))
		memory_wake(q);
	pthread_mutex_unlock(&q->lock);
}

const gh_backend_ops memory_queue = {
	.name = "memory",
	.open = memory_queue_open,
	.level = memory_queue_level,
	.partitions = memory_queue_partitions,
	.attach = memory_queue_attach,
	.detach = memory_queue_detach,
	.fd = memory_queue_fd,
	.submit = memory_queue_submit,
	.reap = memory_queue_reap,
	.room = memory_queue_room,
	.fetch = memory_queue_fetch,
	.bounds = memory_queue_bounds,
	.health = memory_queue_health,
	.drain = memory_queue_drain,
	.close = memory_queue_close,
};
