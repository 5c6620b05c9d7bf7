/* memory_store.c - keyed state in one sorted array per family, under one lock. */
#include "src/backends/memory.h"
#include "src/backends/txn.h"
#include "src/base/text.h"

#include <assert.h>
#include <stdlib.h>

enum { MEMORY_OPEN_MAX = 1024 };

struct memory_entry {
	uint64_t version;
	gh_bytes key; /* key and value in one allocation, which key.data begins */
	gh_bytes value;
};

struct memory_family {
	struct memory_entry *entries; /* by key */
	size_t count;
	size_t cap;
};

struct memory_store {
	gh_store store;
	pthread_mutex_t lock;
	uint64_t version; /* the last one given */
	struct memory_family families[GH_FAMILY_COUNT];
};

struct gh_store_port {
	struct txn_port *port;
	struct memory_store *owner;
};

static struct memory_store *memory_store_of(gh_store *store)
{
	return (struct memory_store *)store;
}

static gh_status memory_store_open(const gh_store_config *config, gh_store **ret_store, gh_error *ret_err)
{
	(void)config;
	struct memory_store *s = calloc(1, sizeof *s);
	if (!s)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
	s->store.ops = &memory_store;
	pthread_mutex_init(&s->lock, NULL);
	*ret_store = &s->store;
	return GH_OK;
}

static void memory_store_close(gh_store *store)
{
	if (!store)
		return;
	struct memory_store *s = memory_store_of(store);
	for (int f = 0; f < GH_FAMILY_COUNT; f++) {
		for (size_t i = 0; i < s->families[f].count; i++)
			free((void *)s->families[f].entries[i].key.data);
		free(s->families[f].entries);
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static int memory_compare(gh_bytes a, gh_bytes b)
{
	size_t shorter = a.len < b.len ? a.len : b.len;
	int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
	return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* The first entry at or after the key. */
static size_t memory_seek(const struct memory_family *family, gh_bytes key)
{
	size_t low = 0, high = family->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (memory_compare(family->entries[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct memory_entry *memory_find(const struct memory_family *family, gh_bytes key)
{
	size_t at = memory_seek(family, key);
	return at < family->count && text_equal(family->entries[at].key, key) ? &family->entries[at] : NULL;
}

/* Key and value in one block. */
static bool memory_copy(gh_bytes key, gh_bytes value, struct memory_entry *ret_entry)
{
	uint8_t *block = malloc(key.len + value.len + 1);
	if (!block)
		return false;
	if (key.len)
		memcpy(block, key.data, key.len);
	if (value.len)
		memcpy(block + key.len, value.data, value.len);
	ret_entry->key = (gh_bytes){block, key.len};
	ret_entry->value = (gh_bytes){block + key.len, value.len};
	return true;
}

static gh_status memory_store_get(gh_store *store, enum gh_family family, gh_bytes key, gh_store_value *ret_value)
{
	assert(family < GH_FAMILY_COUNT);
	struct memory_store *s = memory_store_of(store);
	gh_status status = GH_NOT_FOUND;
	pthread_mutex_lock(&s->lock);
	const struct memory_entry *entry = memory_find(&s->families[family], key);
	if (entry) {
		uint8_t *data = malloc(entry->value.len ? entry->value.len : 1);
		status = data ? GH_OK : GH_NO_MEMORY;
		if (data) {
			memcpy(data, entry->value.data, entry->value.len);
			*ret_value = (gh_store_value){entry->version, data, entry->value.len};
		}
	}
	pthread_mutex_unlock(&s->lock);
	return status;
}

/* Visits a copy, so that the visitor may call the store. */
static gh_status memory_store_scan(
	gh_store *store, enum gh_family family, gh_bytes from, gh_store_visit *visit, void *context)
{
	assert(family < GH_FAMILY_COUNT);
	struct memory_store *s = memory_store_of(store);
	pthread_mutex_lock(&s->lock);
	const struct memory_family *f = &s->families[family];
	size_t first = memory_seek(f, from), count = f->count - first, copied = 0;
	struct memory_entry *copies = calloc(count + 1, sizeof *copies);
	for (; copies && copied < count; copied++) {
		copies[copied].version = f->entries[first + copied].version;
		if (!memory_copy(f->entries[first + copied].key, f->entries[first + copied].value, &copies[copied]))
			break;
	}
	pthread_mutex_unlock(&s->lock);
	gh_status status = copied == count && copies ? GH_OK : GH_NO_MEMORY;
	bool more = status == GH_OK;
	for (size_t i = 0; i < copied; i++) {
		more = more && visit(context, copies[i].key, copies[i].version, copies[i].value);
		free((void *)copies[i].key.data);
	}
	free(copies);
	return status;
}

/* ---- writing ---- */

static bool memory_family_reserve(struct memory_family *family, size_t n)
{
	if (n <= family->cap - family->count)
		return true;
	size_t cap = (family->count + n) * 2;
	struct memory_entry *entries = realloc(family->entries, cap * sizeof *entries);
	if (!entries)
		return false;
	family->entries = entries;
	family->cap = cap;
	return true;
}

/* Cannot fail: the entry was copied and its room reserved before. */
static void memory_apply(struct memory_family *family, const gh_store_write *write, const struct memory_entry *entry)
{
	size_t at = memory_seek(family, write->key);
	bool found = at < family->count && text_equal(family->entries[at].key, write->key);
	if (found)
		free((void *)family->entries[at].key.data);
	if (found && write->remove) {
		family->count--;
		memmove(&family->entries[at], &family->entries[at + 1], (family->count - at) * sizeof *entry);
	} else if (!write->remove) {
		if (!found) {
			memmove(&family->entries[at + 1], &family->entries[at], (family->count - at) * sizeof *entry);
			family->count++;
		}
		family->entries[at] = *entry;
	}
}

static gh_status memory_check(const struct memory_store *s, const gh_store_write *writes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert(writes[i].family < GH_FAMILY_COUNT);
		const struct memory_entry *entry = memory_find(&s->families[writes[i].family], writes[i].key);
		if (writes[i].version_expected != GH_VERSION_ANY &&
			writes[i].version_expected != (entry ? entry->version : GH_VERSION_NONE))
			return GH_CONFLICT;
	}
	return GH_OK;
}

static gh_status memory_transact(struct memory_store *s, const gh_store_write *writes, size_t n)
{
	struct memory_entry *entries = calloc(n + 1, sizeof *entries);
	if (!entries)
		return GH_NO_MEMORY;
	pthread_mutex_lock(&s->lock);
	gh_status status = memory_check(s, writes, n);
	size_t copied = 0;
	for (; status == GH_OK && copied < n; copied++) {
		entries[copied].version = s->version + 1;
		if (!memory_family_reserve(&s->families[writes[copied].family], n) ||
			(!writes[copied].remove &&
				!memory_copy(writes[copied].key, writes[copied].value, &entries[copied])))
			status = GH_NO_MEMORY;
	}
	for (size_t i = 0; i < copied; i++)
		if (status == GH_OK)
			memory_apply(&s->families[writes[i].family], &writes[i], &entries[i]);
		else
			free((void *)entries[i].key.data);
	if (status == GH_OK)
		s->version++;
	pthread_mutex_unlock(&s->lock);
	free(entries);
	return status;
}

static gh_status memory_store_commit(gh_store *store, const gh_store_write *writes, size_t n, gh_error *ret_err)
{
	gh_status status = memory_transact(memory_store_of(store), writes, n);
	return status == GH_OK ? GH_OK
			       : gh_fail(ret_err, status, "store_commit", "not written: %s", gh_status_name(status));
}

static gh_store_port *memory_store_attach(gh_store *store)
{
	gh_store_port *port = calloc(1, sizeof *port);
	if (!port)
		return NULL;
	port->owner = memory_store_of(store);
	port->port = txn_port_new(MEMORY_OPEN_MAX);
	if (port->port)
		return port;
	free(port);
	return NULL;
}

static void memory_store_detach(gh_store_port *port)
{
	txn_port_detach(port->port);
	free(port);
}

static int memory_store_fd(gh_store_port *port)
{
	return port->port->bell.fd;
}

static gh_status memory_store_submit(gh_store_port *port, const gh_store_write *writes, size_t n, void *cookie)
{
	if (!txn_port_open(port->port))
		return GH_AGAIN;
	struct txn *txn = txn_copy(writes, n);
	if (!txn) {
		txn_port_unopen(port->port);
		return GH_NO_MEMORY;
	}
	txn->cookie = cookie;
	txn->port = port->port;
	txn_port_finish(txn, memory_transact(port->owner, txn->writes, n));
	return GH_OK;
}

static size_t memory_store_reap(gh_store_port *port, gh_store_completion *ret_completions, size_t max)
{
	return txn_port_reap(port->port, ret_completions, max);
}

const gh_store_ops memory_store = {
	.name = "memory",
	.open = memory_store_open,
	.close = memory_store_close,
	.get = memory_store_get,
	.scan = memory_store_scan,
	.commit = memory_store_commit,
	.attach = memory_store_attach,
	.detach = memory_store_detach,
	.fd = memory_store_fd,
	.submit = memory_store_submit,
	.reap = memory_store_reap,
};
