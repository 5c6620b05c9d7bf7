/* embedded_queue.c - gh_backend_ops over the log, the writer of the store it lives in, and a reader. */
#include "src/backends/embedded_reader.h"
#include "src/backends/embedded_store.h"

#include <signal.h>
#include <stdlib.h>

enum { QUEUE_PARTITIONS_DEFAULT = 4 };

struct gh_backend {
	struct embedded_store *store;
	gh_store *own_store; /* opened here because none was given */
	struct embedded_log log;
	struct embedded_reader reader;
};

static struct gh_backend *queue_of(gh_port *port)
{
	return port->log ? (struct gh_backend *)((char *)port->log - offsetof(struct gh_backend, log)) : NULL;
}

static gh_status queue_check(const gh_backend_config *config, gh_error *ret_err)
{
	if (config->level > GH_FSYNC)
		return gh_fail(ret_err, GH_INVALID, "level_not_kept",
			"the embedded queue keeps level fsync, not %s: one machine is one failure domain",
			gh_durability_name(config->level));
	if (config->partitions > CHUNK_PARTITIONS_MAX)
		return gh_fail(ret_err, GH_INVALID, "partitions", "at most %d partitions, not %u", CHUNK_PARTITIONS_MAX,
			config->partitions);
	return GH_OK;
}

/* The number in the database, or for a new queue the one asked for, committed before anything else. */
static gh_status queue_partitions(struct embedded_writer *w, const gh_backend_config *config, uint32_t *ret_partitions,
	bool *ret_new, gh_error *ret_err)
{
	uint32_t have = embedded_writer_partitions(w), asked = config->partitions;
	*ret_new = have == 0;
	*ret_partitions = have ? have : asked ? asked : QUEUE_PARTITIONS_DEFAULT;
	if (have && asked && asked != have)
		return gh_fail(ret_err, GH_INVALID, "partitions_fixed",
			"the queue was made with %u partitions and keeps them; %u were asked for", have, asked);
	return GH_OK;
}

static gh_status queue_start(struct gh_backend *q, const gh_backend_config *config, gh_error *ret_err)
{
	struct embedded_writer *w = &q->store->writer;
	uint32_t partitions;
	bool made;
	gh_status status = queue_partitions(w, config, &partitions, &made, ret_err);
	if (status != GH_OK)
		return status;
	if (!embedded_log_init(&q->log, config->limits, partitions)) {
		embedded_log_done(&q->log);
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
	}
	status = embedded_retention_load(&q->store->db, &q->log, ret_err);
	if (status == GH_OK) {
		embedded_writer_join(w, &q->log);
		struct txn empty = {0};
		if (made && (status = embedded_writer_commit(w, &empty)) != GH_OK)
			gh_fail(ret_err, status, "queue_create", "the new queue could not be written");
		if (status == GH_OK)
			status = embedded_reader_start(&q->reader, w, &q->log, ret_err);
		if (status != GH_OK)
			embedded_writer_leave(w);
	}
	if (status != GH_OK)
		embedded_log_done(&q->log);
	return status;
}

static gh_status queue_find_store(struct gh_backend *q, const gh_backend_config *config, gh_error *ret_err)
{
	if (!config->store) {
		gh_store_config own = {.directory = config->directory, .limits = config->limits};
		gh_status status = embedded_store.open(&own, &q->own_store, ret_err);
		q->store = status == GH_OK ? embedded_store_of(q->own_store) : NULL;
		return status;
	}
	if (config->store->ops != &embedded_store)
		return gh_fail(
			ret_err, GH_INVALID, "store_kind", "the embedded queue lives in the embedded store only");
	q->store = embedded_store_of(config->store);
	return GH_OK;
}

static gh_status queue_open(const gh_backend_config *config, gh_backend **ret_backend, gh_error *ret_err)
{
	gh_status status = queue_check(config, ret_err);
	if (status != GH_OK)
		return status;
	struct gh_backend *q = calloc(1, sizeof *q);
	if (!q)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	status = queue_find_store(q, config, ret_err);
	if (status == GH_OK)
		status = queue_start(q, config, ret_err);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (status == GH_OK) {
		*ret_backend = q;
		return GH_OK;
	}
	embedded_store.close(q->own_store);
	free(q);
	return status;
}

static void queue_close(gh_backend *q)
{
	if (!q)
		return;
	embedded_reader_stop(&q->reader);
	embedded_writer_leave(&q->store->writer);
	embedded_log_cut(&q->log);
	embedded_log_done(&q->log);
	embedded_store.close(q->own_store);
	free(q);
}

static enum gh_durability queue_level(const gh_backend *q)
{
	(void)q;
	return GH_FSYNC;
}

static uint32_t queue_partition_count(const gh_backend *q)
{
	return q->log.partitions;
}

static gh_port *queue_attach(gh_backend *q)
{
	return embedded_log_attach(&q->log);
}

static void queue_detach(gh_port *port)
{
	struct gh_backend *q = queue_of(port);
	if (q)
		embedded_reader_forget(&q->reader, port);
	embedded_log_detach(port);
}

static int queue_fd(gh_port *port)
{
	return port->ring.bell.fd;
}

static size_t queue_submit(gh_port *port, const gh_record *records, size_t n)
{
	size_t taken = embedded_log_submit(port, records, n);
	if (taken > 0)
		embedded_writer_wake(&queue_of(port)->store->writer);
	return taken;
}

static gh_status queue_fetch(gh_port *port, uint32_t partition, uint64_t from, size_t bytes_max, void *cookie)
{
	struct gh_backend *q = queue_of(port);
	if (!q)
		return GH_UNAVAILABLE;
	if (partition >= q->log.partitions)
		return GH_INVALID;
	struct reader_request request = {
		.port = port,
		.cookie = cookie,
		.partition = partition,
		.from = from,
		.bytes_max = bytes_max,
	};
	return embedded_reader_ask(&q->reader, &request);
}

static gh_status queue_bounds(gh_port *port, uint32_t partition, uint64_t *ret_floor, uint64_t *ret_end)
{
	struct embedded_log *log = port->log;
	if (!log)
		return GH_UNAVAILABLE;
	if (partition >= log->partitions)
		return GH_INVALID;
	*ret_floor = atomic_load(&log->floors[partition]);
	*ret_end = atomic_load(&log->ends[partition]);
	return GH_OK;
}

static void queue_health(gh_backend *q, gh_health *ret_health)
{
	struct embedded_db *db = &q->store->db;
	*ret_health = (gh_health){.state = GH_READY};
	embedded_writer_health(&q->store->writer, ret_health);
	ret_health->inflight_bytes = atomic_load(&q->log.inflight);
	ret_health->records = atomic_load(&q->log.records);
	pthread_rwlock_rdlock(&db->lock);
	static const int families[] = {DB_CHUNKS, DB_INDEX};
	for (size_t i = 0; db->rocks && i < sizeof families / sizeof *families; i++) {
		static const char *const properties[] = {
			"rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables"};
		for (size_t k = 0; k < sizeof properties / sizeof *properties; k++) {
			uint64_t bytes = 0;
			rocksdb_property_int_cf(db->rocks, db->families[families[i]], properties[k], &bytes);
			ret_health->stored_bytes += bytes;
		}
	}
	pthread_rwlock_unlock(&db->lock);
}

static gh_status queue_drain(gh_backend *q, uint64_t deadline_ms)
{
	return embedded_writer_drain(&q->store->writer, deadline_ms);
}

gh_status embedded_queue_retain(gh_backend *q, uint64_t wall_ms)
{
	return embedded_reader_retain(&q->reader, wall_ms);
}

const gh_backend_ops embedded_queue = {
	.name = "embedded",
	.open = queue_open,
	.level = queue_level,
	.partitions = queue_partition_count,
	.attach = queue_attach,
	.detach = queue_detach,
	.fd = queue_fd,
	.submit = queue_submit,
	.reap = embedded_log_reap,
	.room = embedded_log_room,
	.fetch = queue_fetch,
	.bounds = queue_bounds,
	.health = queue_health,
	.drain = queue_drain,
	.close = queue_close,
};
