/* embedded_store.c - gh_store_ops over the database and its writer. */
#include "src/backends/embedded_store.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>

enum { STORE_OPEN_MAX = 1024, STORE_WRITES_MAX = 65536 };

struct gh_store_port {
	struct txn_port *port;
	struct embedded_store *owner;
};

gh_status embedded_store_open_with(
	const gh_store_config *config, const struct embedded_seams *seams, gh_store **ret_store, gh_error *ret_err)
{
	struct embedded_store *s = calloc(1, sizeof *s);
	if (!s)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
	s->store.ops = &embedded_store;
	s->seams = *seams;
	/* Threads inherit the mask: signals are for the program's own. */
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	gh_status status = embedded_db_open(&s->db, config, ret_err);
	if (status == GH_OK) {
		status = embedded_writer_start(&s->writer, &s->db, config->limits, &s->seams, ret_err);
		if (status != GH_OK)
			embedded_db_close(&s->db, false);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (status != GH_OK) {
		free(s);
		return status;
	}
	*ret_store = &s->store;
	return GH_OK;
}

static gh_status store_open(const gh_store_config *config, gh_store **ret_store, gh_error *ret_err)
{
	return embedded_store_open_with(config, &embedded_seams_system, ret_store, ret_err);
}

static void store_close(gh_store *store)
{
	if (!store)
		return;
	struct embedded_store *s = embedded_store_of(store);
	bool clean = atomic_load(&s->writer.state) == WRITER_GOOD;
	embedded_writer_stop(&s->writer);
	embedded_db_close(&s->db, clean && atomic_load(&s->writer.state) == WRITER_GOOD);
	free(s);
}

const char *embedded_store_recovery(const gh_store *store)
{
	return ((const struct embedded_store *)store)->db.recovery;
}

static gh_status store_get(gh_store *store, enum gh_family family, gh_bytes key, gh_store_value *ret_value)
{
	assert(family < GH_FAMILY_COUNT);
	struct embedded_db *db = &embedded_store_of(store)->db;
	rocksdb_pinnableslice_t *slice = NULL;
	gh_bytes stored = {NULL, 0};
	pthread_rwlock_rdlock(&db->lock);
	gh_status status = db->rocks ? embedded_db_get(db, (int)family, key, &slice, &stored) : GH_UNAVAILABLE;
	if (status == GH_OK) {
		struct reader r = reader_of(stored);
		gh_store_value value = {.version = reader_u64(&r), .len = r.failed ? 0 : reader_left(&r)};
		value.data = malloc(value.len ? value.len : 1);
		if (r.failed)
			status = GH_IO;
		else if (!value.data)
			status = GH_NO_MEMORY;
		if (status == GH_OK) {
			memcpy(value.data, r.at, value.len);
			*ret_value = value;
		} else
			free(value.data);
		rocksdb_pinnableslice_destroy(slice);
	}
	pthread_rwlock_unlock(&db->lock);
	return status;
}

static gh_status store_scan_rocks(
	struct embedded_db *db, enum gh_family family, gh_bytes from, gh_store_visit *visit, void *context)
{
	rocksdb_iterator_t *it = rocksdb_create_iterator_cf(db->rocks, db->read, db->families[family]);
	bool more = true, malformed = false;
	rocksdb_iter_seek(it, (const char *)from.data, from.len);
	for (; more && rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
		size_t key_len, len;
		const char *key = rocksdb_iter_key(it, &key_len), *value = rocksdb_iter_value(it, &len);
		struct reader r = reader_of((gh_bytes){(const uint8_t *)value, len});
		uint64_t version = reader_u64(&r);
		malformed = r.failed;
		more = !malformed && visit(context, (gh_bytes){(const uint8_t *)key, key_len}, version,
					     (gh_bytes){r.at, reader_left(&r)});
	}
	char *fault = NULL;
	rocksdb_iter_get_error(it, &fault);
	gh_status status = fault || malformed ? GH_IO : GH_OK;
	rocksdb_free(fault);
	rocksdb_iter_destroy(it);
	return status;
}

static gh_status store_scan(gh_store *store, enum gh_family family, gh_bytes from, gh_store_visit *visit, void *context)
{
	assert(family < GH_FAMILY_COUNT);
	struct embedded_db *db = &embedded_store_of(store)->db;
	pthread_rwlock_rdlock(&db->lock);
	gh_status status = db->rocks ? store_scan_rocks(db, family, from, visit, context) : GH_UNAVAILABLE;
	pthread_rwlock_unlock(&db->lock);
	return status;
}

/* ---- writing ---- */

static gh_status store_check(const gh_store_write *writes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert(writes[i].family < GH_FAMILY_COUNT);
	return n <= STORE_WRITES_MAX ? GH_OK : GH_TOO_LARGE;
}

static const char *store_reason(gh_status status)
{
	switch (status) {
	case GH_CONFLICT:
		return "it was changed meanwhile";
	case GH_TOO_LARGE:
		return "too many writes in one transaction";
	case GH_NO_SPACE:
		return "no space left on the disk";
	case GH_UNKNOWN:
		return "the disk did not confirm it; it may or may not have been stored";
	case GH_UNAVAILABLE:
		return "the store takes no writes since one failed; restart needed";
	default:
		return "the store could not write it";
	}
}

static gh_status store_commit(gh_store *store, const gh_store_write *writes, size_t n, gh_error *ret_err)
{
	struct txn txn = {.writes = writes, .count = n};
	gh_status status = store_check(writes, n);
	if (status == GH_OK)
		status = embedded_writer_commit(&embedded_store_of(store)->writer, &txn);
	return status == GH_OK ? GH_OK : gh_fail(ret_err, status, "store_commit", "%s", store_reason(status));
}

static gh_store_port *store_attach(gh_store *store)
{
	gh_store_port *port = calloc(1, sizeof *port);
	if (!port)
		return NULL;
	port->owner = embedded_store_of(store);
	port->port = txn_port_new(STORE_OPEN_MAX);
	if (port->port)
		return port;
	free(port);
	return NULL;
}

static void store_detach(gh_store_port *port)
{
	txn_port_detach(port->port);
	free(port);
}

static int store_fd(gh_store_port *port)
{
	return port->port->bell.fd;
}

static gh_status store_submit(gh_store_port *port, const gh_store_write *writes, size_t n, void *cookie)
{
	gh_status status = store_check(writes, n);
	if (status != GH_OK)
		return status;
	if (!txn_port_open(port->port))
		return GH_AGAIN;
	struct txn *txn = txn_copy(writes, n);
	if (!txn) {
		txn_port_unopen(port->port);
		return GH_NO_MEMORY;
	}
	txn->cookie = cookie;
	txn->port = port->port;
	embedded_writer_submit(&port->owner->writer, txn);
	return GH_OK;
}

static size_t store_reap(gh_store_port *port, gh_store_completion *ret_completions, size_t max)
{
	return txn_port_reap(port->port, ret_completions, max);
}

const gh_store_ops embedded_store = {
	.name = "embedded",
	.open = store_open,
	.close = store_close,
	.get = store_get,
	.scan = store_scan,
	.commit = store_commit,
	.attach = store_attach,
	.detach = store_detach,
	.fd = store_fd,
	.submit = store_submit,
	.reap = store_reap,
};
