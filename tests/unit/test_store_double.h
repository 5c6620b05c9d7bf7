/* test_store_double.h - a store in a sorted array, for tests of what stands above one.
 *
 * It keeps the contract of gatehouse/store.h for get, scan and commit: versions grow and never repeat, a transaction is
 * whole or not at all.  Tests may let the next commit fail, or another writer come first.  One thread, no port.
 */
#ifndef GATEHOUSE_TESTS_TEST_STORE_DOUBLE_H
#define GATEHOUSE_TESTS_TEST_STORE_DOUBLE_H

#include <gatehouse/store.h>

#include <stdlib.h>
#include <string.h>

struct double_entry {
	enum gh_family family;
	uint64_t version;
	size_t key_len;
	size_t len;
	uint8_t *key;
	uint8_t *data;
};

struct store_double {
	gh_store base;
	struct double_entry *entries; /* by family, then key */
	size_t count;
	size_t cap;
	uint64_t version;
	size_t commits;      /* that were applied */
	size_t writes_most;  /* in one of them */
	gh_status fail_next; /* the next commit gives this and writes nothing */
	gh_status fail_read; /* every get and scan, while set */
	/* Called before each commit while set: "another writer". */
	void (*before_commit)(struct store_double *store, void *context);
	void *context;
};

/* The program has its own; this one serves programs linked without it. */
__attribute__((weak)) void gh_store_value_done(gh_store_value *value)
{
	free(value->data);
	*value = (gh_store_value){.data = NULL};
}

static inline int double_compare(const struct double_entry *entry, enum gh_family family, gh_bytes key)
{
	if (entry->family != family)
		return entry->family < family ? -1 : 1;
	size_t n = entry->key_len < key.len ? entry->key_len : key.len;
	int order = n ? memcmp(entry->key, key.data, n) : 0;
	return order ? order : (entry->key_len > key.len) - (entry->key_len < key.len);
}

/* The first entry not before family and key. */
static inline size_t double_find(const struct store_double *s, enum gh_family family, gh_bytes key)
{
	size_t low = 0, high = s->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (double_compare(&s->entries[middle], family, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static inline struct double_entry *double_at(struct store_double *s, enum gh_family family, gh_bytes key)
{
	size_t i = double_find(s, family, key);
	return i < s->count && double_compare(&s->entries[i], family, key) == 0 ? &s->entries[i] : NULL;
}

static inline uint8_t *double_copy(gh_bytes bytes)
{
	uint8_t *copy = malloc(bytes.len ? bytes.len : 1); /* its own allocation, so that a sanitizer sees the end */
	if (!copy)
		abort();
	if (bytes.len)
		memcpy(copy, bytes.data, bytes.len);
	return copy;
}

static inline gh_status double_get(gh_store *store, enum gh_family family, gh_bytes key, gh_store_value *ret_value)
{
	struct store_double *s = (struct store_double *)store;
	struct double_entry *entry = double_at(s, family, key);
	if (s->fail_read != GH_OK)
		return s->fail_read;
	if (!entry)
		return GH_NOT_FOUND;
	*ret_value = (gh_store_value){entry->version, double_copy((gh_bytes){entry->data, entry->len}), entry->len};
	return GH_OK;
}

static inline gh_status double_scan(
	gh_store *store, enum gh_family family, gh_bytes from, gh_store_visit *visit, void *context)
{
	struct store_double *s = (struct store_double *)store;
	if (s->fail_read != GH_OK)
		return s->fail_read;
	for (size_t i = double_find(s, family, from); i < s->count && s->entries[i].family == family; i++) {
		const struct double_entry *entry = &s->entries[i];
		if (!visit(context, (gh_bytes){entry->key, entry->key_len}, entry->version,
			    (gh_bytes){entry->data, entry->len}))
			break;
	}
	return GH_OK;
}

static inline void double_remove(struct store_double *s, struct double_entry *entry)
{
	free(entry->key);
	free(entry->data);
	size_t i = (size_t)(entry - s->entries);
	memmove(entry, entry + 1, (--s->count - i) * sizeof *entry);
}

static inline void double_put(struct store_double *s, const gh_store_write *write)
{
	struct double_entry *entry = double_at(s, write->family, write->key);
	if (entry) {
		free(entry->data);
	} else {
		if (s->count == s->cap) {
			s->cap = s->cap ? 2 * s->cap : 64;
			s->entries = realloc(s->entries, s->cap * sizeof *s->entries);
			if (!s->entries)
				abort();
		}
		size_t i = double_find(s, write->family, write->key);
		entry = &s->entries[i];
		memmove(entry + 1, entry, (s->count++ - i) * sizeof *entry);
		*entry = (struct double_entry){
			.family = write->family, .key = double_copy(write->key), .key_len = write->key.len};
	}
	entry->data = double_copy(write->value);
	entry->len = write->value.len;
	entry->version = ++s->version;
}

static inline bool double_expected(struct store_double *s, const gh_store_write *write)
{
	const struct double_entry *entry = double_at(s, write->family, write->key);
	return write->version_expected == GH_VERSION_ANY ||
	       write->version_expected == (entry ? entry->version : GH_VERSION_NONE);
}

static inline gh_status double_commit(gh_store *store, const gh_store_write *writes, size_t n, gh_error *ret_err)
{
	struct store_double *s = (struct store_double *)store;
	if (s->before_commit)
		s->before_commit(s, s->context);
	gh_status status = s->fail_next;
	s->fail_next = GH_OK;
	for (size_t i = 0; i < n && status == GH_OK; i++)
		if (!double_expected(s, &writes[i]))
			status = GH_CONFLICT;
	if (status != GH_OK)
		return gh_fail(ret_err, status, "double", "the store double says %s", gh_status_name(status));
	for (size_t i = 0; i < n; i++) {
		struct double_entry *entry = double_at(s, writes[i].family, writes[i].key);
		if (!writes[i].remove)
			double_put(s, &writes[i]);
		else if (entry)
			double_remove(s, entry);
	}
	s->commits++;
	s->writes_most = n > s->writes_most ? n : s->writes_most;
	return GH_OK;
}

static const gh_store_ops store_double_ops = {
	.name = "double", .get = double_get, .scan = double_scan, .commit = double_commit};

static inline void store_double_init(struct store_double *s)
{
	*s = (struct store_double){.base = {.ops = &store_double_ops}};
}

static inline void store_double_done(struct store_double *s)
{
	while (s->count > 0)
		double_remove(s, &s->entries[s->count - 1]);
	free(s->entries);
	s->entries = NULL;
	s->cap = 0;
}

#endif
