#include "src/backends/embedded_log.h"

#include <assert.h>
#include <stdlib.h>

bool embedded_log_init(struct embedded_log *log, const gh_limits *limits, uint32_t partitions)
{
	assert(partitions > 0 && partitions <= CHUNK_PARTITIONS_MAX);
	*log = (struct embedded_log){.limits = limits, .partitions = partitions};
	pthread_mutex_init(&log->lock, NULL);
	chunk_builder_init(&log->builder);
	log->items = calloc(limits->commit_records_max, sizeof *log->items);
	return log->items != NULL;
}

void embedded_log_done(struct embedded_log *log)
{
	assert(!log->ports);
	chunk_builder_done(&log->builder);
	free(log->items);
	pthread_mutex_destroy(&log->lock);
}

void embedded_log_start(struct embedded_log *log, uint64_t commit, struct chunk_index *index)
{
	assert(index->partitions == log->partitions);
	log->index = index;
	for (uint32_t p = 0; p < log->partitions; p++)
		atomic_store(&log->ends[p], index->places[p].next);
	atomic_store(&log->commit_last, commit);
}

/* ---- loop threads ---- */

struct gh_port *embedded_log_attach(struct embedded_log *log)
{
	struct gh_port *port = calloc(1, sizeof *port);
	if (!port)
		return NULL;
	if (!ring_init(&port->ring, RING_SLOTS, log->limits->fetches_max)) {
		free(port);
		return NULL;
	}
	port->log = log;
	pthread_mutex_lock(&log->lock);
	port->next = log->ports;
	log->ports = port;
	pthread_mutex_unlock(&log->lock);
	return port;
}

static void log_port_free(struct gh_port *port)
{
	ring_done(&port->ring);
	free(port);
}

static void log_unlink(struct embedded_log *log, struct gh_port *port)
{
	struct gh_port **at = &log->ports;
	while (*at != port)
		at = &(*at)->next;
	*at = port->next;
}

/* What a port holds of the credit when it goes: everything not reaped. */
static size_t log_port_bytes(const struct gh_port *port)
{
	const struct ring *r = &port->ring;
	size_t bytes = 0;
	for (uint64_t i = r->reaped; i < atomic_load(&r->submitted); i++)
		bytes += gh_message_encoded(r->slots[i & (r->capacity - 1)].message).len;
	return bytes;
}

static void log_credit(struct embedded_log *log, size_t bytes)
{
	size_t left = atomic_fetch_sub(&log->inflight, bytes) - bytes;
	if (left <= log->limits->inflight_bytes_max / 2 && atomic_exchange(&log->full, false))
		embedded_log_wake(log);
}

void embedded_log_detach(struct gh_port *port)
{
	struct embedded_log *log = port->log;
	if (!log) {
		log_port_free(port);
		return;
	}
	pthread_mutex_lock(&log->lock);
	bool idle = ring_idle(&port->ring) && port->taken == 0;
	size_t bytes = idle ? log_port_bytes(port) : 0;
	port->orphan = true;
	if (idle)
		log_unlink(log, port);
	pthread_mutex_unlock(&log->lock);
	if (!idle)
		return;
	log_port_free(port);
	log_credit(log, bytes);
}

static bool log_has_room(const struct embedded_log *log)
{
	return !atomic_load(&log->full) && !atomic_load(&log->stopped);
}

size_t embedded_log_submit(struct gh_port *port, const gh_record *records, size_t n)
{
	struct embedded_log *log = port->log;
	if (!log)
		return 0;
	size_t max = atomic_load(&log->stopped) ? 0 : ring_free(&port->ring), taken = 0, bytes = 0;
	size_t before = atomic_load(&log->inflight), limit = log->limits->inflight_bytes_max;
	for (; taken < n && taken < max; taken++) {
		size_t len = gh_message_encoded(records[taken].message).len;
		/* A single record larger than all credit is still taken when nothing else is there. */
		if (before + bytes > 0 && before + bytes + len > limit)
			break;
		bytes += len;
		ring_put(&port->ring, taken, &records[taken]);
	}
	size_t after = atomic_fetch_add(&log->inflight, bytes) + bytes;
	ring_publish(&port->ring, taken);
	if (after >= limit - limit / 4 || (taken < n && taken < max))
		atomic_store(&log->full, true);
	if (taken < n)
		atomic_store(&port->refused, true);
	/* The last of the others may have been reaped meanwhile, and nobody would ring any more. */
	if (atomic_load(&log->full) && atomic_load(&log->inflight) <= limit / 2)
		log_credit(log, 0);
	return taken;
}

size_t embedded_log_reap(struct gh_port *port, gh_completion *ret_completions, size_t max)
{
	size_t bytes, n = ring_reap(&port->ring, ret_completions, max, &bytes);
	struct embedded_log *log = port->log;
	if (!log)
		return n;
	if (bytes > 0)
		log_credit(log, bytes);
	/* Refused for want of slots, not of credit: there are some now. */
	if (n > 0 && atomic_load(&port->refused) && log_has_room(log) && atomic_exchange(&port->refused, false))
		bell_ring(&port->ring.bell);
	return n;
}

size_t embedded_log_room(struct gh_port *port)
{
	struct embedded_log *log = port->log;
	if (!log)
		return 0;
	size_t high = log->limits->inflight_bytes_max - log->limits->inflight_bytes_max / 4;
	size_t inflight = atomic_load(&log->inflight);
	if (log_has_room(log) && inflight < high && ring_free(&port->ring) > 0)
		return high - inflight;
	atomic_store(&port->refused, true);
	/* Room may have come between the look and the flag. */
	if (log_has_room(log) && atomic_load(&log->inflight) < high && ring_free(&port->ring) > 0) {
		atomic_store(&port->refused, false);
		return 1;
	}
	return 0;
}

void embedded_log_wake(struct embedded_log *log)
{
	pthread_mutex_lock(&log->lock);
	for (struct gh_port *port = log->ports; port; port = port->next)
		if (!port->orphan && atomic_exchange(&port->refused, false))
			bell_ring(&port->ring.bell);
	pthread_mutex_unlock(&log->lock);
}

void embedded_log_stop(struct embedded_log *log, bool stopped)
{
	if (atomic_exchange(&log->stopped, stopped) && !stopped)
		embedded_log_wake(log);
}

/* ---- the writer ---- */

size_t embedded_log_waiting(struct embedded_log *log)
{
	size_t n = 0;
	pthread_mutex_lock(&log->lock);
	for (struct gh_port *port = log->ports; port; port = port->next)
		n += ring_waiting(&port->ring);
	pthread_mutex_unlock(&log->lock);
	return n;
}

bool embedded_log_idle(struct embedded_log *log)
{
	bool idle = true;
	pthread_mutex_lock(&log->lock);
	for (struct gh_port *port = log->ports; port && idle; port = port->next)
		idle = ring_idle(&port->ring);
	pthread_mutex_unlock(&log->lock);
	return idle;
}

static bool log_take_port(struct embedded_log *log, struct gh_port *port, size_t *bytes)
{
	for (size_t waiting = ring_waiting(&port->ring); waiting > 0; waiting--) {
		struct ring_slot *slot = &port->ring.slots[port->ring.taken & (port->ring.capacity - 1)];
		size_t len = gh_message_encoded(slot->message).len;
		if (log->item_count == log->limits->commit_records_max ||
			(*bytes > 0 && *bytes + len > log->limits->commit_bytes_max))
			return false;
		*bytes += len;
		uint32_t key = gh_message_partition_key(slot->message);
		log->items[log->item_count++] =
			(struct log_item){ring_take(&port->ring), gh_partition_of(key, log->partitions)};
		port->taken++;
	}
	return true;
}

size_t embedded_log_take(struct embedded_log *log)
{
	log->item_count = 0;
	size_t bytes = 0;
	pthread_mutex_lock(&log->lock);
	struct gh_port *port = log->ports;
	while (port && log_take_port(log, port, &bytes))
		port = port->next;
	/* Cut short by a limit: that port goes first next time, so that a busy one cannot starve the others. */
	if (port && port != log->ports) {
		struct gh_port *last = port;
		while (last->next)
			last = last->next;
		struct gh_port *first = log->ports, **before = &log->ports;
		while (*before != port)
			before = &(*before)->next;
		*before = NULL;
		last->next = first;
		log->ports = port;
	}
	pthread_mutex_unlock(&log->lock);
	return log->item_count;
}

gh_status embedded_log_put(
	struct embedded_log *log, struct embedded_db *db, rocksdb_writebatch_t *batch, uint64_t commit)
{
	chunk_begin(&log->builder);
	for (size_t i = 0; i < log->item_count; i++)
		chunk_count(
			&log->builder, log->items[i].partition, gh_message_encoded(log->items[i].slot->message).len);
	if (!chunk_layout(&log->builder, log->index))
		return GH_NO_MEMORY;
	if (log->item_count == 0)
		return GH_OK;
	for (size_t i = 0; i < log->item_count; i++) {
		struct log_item *item = &log->items[i];
		item->slot->offset =
			chunk_place_record(&log->builder, item->partition, gh_message_encoded(item->slot->message));
	}
	uint8_t key[8];
	embedded_db_commit_key(commit, key);
	rocksdb_writebatch_put_cf(batch, db->families[DB_CHUNKS], (const char *)key, sizeof key,
		(const char *)log->builder.bytes.data, log->builder.bytes.len);
	return GH_OK;
}

static void log_publish(struct embedded_log *log, uint64_t commit)
{
	for (uint32_t p = 0; p < log->partitions; p++) {
		struct chunk_place *place = &log->index->places[p];
		if (place->count == 0)
			continue;
		*place = (struct chunk_place){.next = place->next + place->count};
		atomic_store(&log->ends[p], place->next);
	}
	atomic_store(&log->commit_last, commit);
	atomic_fetch_add(&log->records, log->item_count);
}

/* Under the lock: gives back what was taken, and unlinks orphans that are through into *ret_orphans. */
static void log_complete_ports(struct embedded_log *log, struct gh_port **ret_orphans)
{
	for (struct gh_port **at = &log->ports, *port; (port = *at);) {
		ring_complete(&port->ring, port->taken);
		port->taken = 0;
		if (!port->orphan || !ring_idle(&port->ring)) {
			at = &port->next;
			continue;
		}
		*at = port->next;
		port->next = *ret_orphans;
		*ret_orphans = port;
	}
}

void embedded_log_complete(struct embedded_log *log, gh_status status, uint64_t commit)
{
	if (status == GH_OK)
		log_publish(log, commit);
	for (size_t i = 0; i < log->item_count; i++)
		log->items[i].slot->status = status;
	log->item_count = 0;
	struct gh_port *orphans = NULL;
	pthread_mutex_lock(&log->lock);
	log_complete_ports(log, &orphans);
	pthread_mutex_unlock(&log->lock);
	while (orphans) {
		struct gh_port *port = orphans;
		orphans = port->next;
		size_t bytes = log_port_bytes(port);
		log_port_free(port);
		log_credit(log, bytes);
	}
}

void embedded_log_cut(struct embedded_log *log)
{
	pthread_mutex_lock(&log->lock);
	while (log->ports) {
		struct gh_port *port = log->ports;
		log->ports = port->next;
		size_t count = ring_waiting(&port->ring);
		for (size_t i = 0; i < count; i++)
			ring_take(&port->ring)->status = GH_UNKNOWN;
		port->log = NULL;
		if (port->orphan)
			log_port_free(port);
		else
			ring_complete(&port->ring, count);
	}
	pthread_mutex_unlock(&log->lock);
}
