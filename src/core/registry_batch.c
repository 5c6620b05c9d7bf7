#include "src/core/registry_batch.h"

#include "src/base/take.h"
#include "src/base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct batch_entry {
	struct map_node node;
	struct batch_entry *next;
	enum gh_family family;
	bool remove;
	uint64_t version_expected;
	char *value; /* JSON; NULL for a removal */
	size_t value_len;
	size_t key_len; /* of the key in the store */
	uint8_t name[]; /* family, then the key */
};

#define NUMBER_KEY "registry.number"
#define TICKS_TO_1970_MS UINT64_C(62135596800000)
enum { TICKS_PER_MS = 10000, NUMBER_TEXT_SIZE = 21 };

static gh_bytes batch_name_of(const struct map_node *node)
{
	const struct batch_entry *entry = GH_CONTAINER(node, struct batch_entry, node);
	return (gh_bytes){entry->name, entry->key_len + 1};
}

static gh_bytes batch_key_of(const struct batch_entry *entry)
{
	return (gh_bytes){entry->name + 1, entry->key_len};
}

static bool batch_has_prefix(gh_bytes key, gh_bytes prefix)
{
	return key.len >= prefix.len && (prefix.len == 0 || memcmp(key.data, prefix.data, prefix.len) == 0);
}

static gh_status batch_no_memory(gh_error *err)
{
	return gh_fail(err, GH_NO_MEMORY, "no_memory", "no memory for a change of the registry");
}

static gh_status batch_read_failed(gh_error *err, gh_status status)
{
	return gh_fail(err, status, "store_read", "the store cannot be read (%s)", gh_status_name(status));
}

/* ---- life ---- */

static gh_status batch_read_number(struct registry_batch *b, gh_error *ret_err)
{
	gh_store *store = b->registry->store;
	gh_store_value value;
	gh_status status = store->ops->get(store, GH_FAMILY_META, text_of(NUMBER_KEY), &value);
	if (status == GH_NOT_FOUND)
		return GH_OK; /* a new store: number 0, version GH_VERSION_NONE */
	if (status != GH_OK)
		return batch_read_failed(ret_err, status);
	bool good = text_u64((gh_bytes){value.data, value.len}, &b->number);
	b->number_version = value.version;
	gh_store_value_done(&value);
	return good ? GH_OK : gh_fail(ret_err, GH_INTERNAL, "registry_number", "the registry's counter is damaged");
}

gh_status registry_batch_begin(struct registry_batch *b, const struct registry *registry, gh_error *ret_err)
{
	uint64_t seed[2];
	registry->random(seed, sizeof seed);
	*b = (struct registry_batch){.registry = registry, .wall_ms = registry->wall_ms()};
	b->end = &b->first;
	map_init(&b->pending, batch_name_of, seed);
	return batch_read_number(b, ret_err);
}

void registry_batch_done(struct registry_batch *b)
{
	while (b->first) {
		struct batch_entry *entry = b->first;
		b->first = entry->next;
		free(entry->value);
		free(entry);
	}
	map_done(&b->pending);
}

uint64_t registry_batch_number(struct registry_batch *b)
{
	uint64_t ticks = (TICKS_TO_1970_MS + b->wall_ms) * TICKS_PER_MS;
	b->number = ticks > b->number ? ticks : b->number + 1;
	return b->number;
}

/* ---- reading ---- */

static struct batch_entry *batch_find(const struct registry_batch *b, enum gh_family family, gh_bytes key)
{
	uint8_t name[1 + SAS_POLICY_BYTES_MAX + REGISTRY_ID_BYTES_MAX];
	if (key.len > sizeof name - 1)
		return NULL;
	name[0] = (uint8_t)family;
	memcpy(name + 1, key.data, key.len);
	struct map_node *node = map_find(&b->pending, (gh_bytes){name, key.len + 1});
	return node ? GH_CONTAINER(node, struct batch_entry, node) : NULL;
}

static gh_status batch_parse(const void *data, size_t len, json_t **ret_document, gh_error *ret_err)
{
	json_t *document = json_loadb(data, len, 0, NULL);
	if (!document)
		return gh_fail(ret_err, GH_INTERNAL, "registry_record", "a stored document of the registry is damaged");
	*ret_document = document;
	return GH_OK;
}

gh_status registry_batch_get(struct registry_batch *b, enum gh_family family, gh_bytes key, json_t **ret_document,
	uint64_t *ret_version, gh_error *ret_err)
{
	const struct batch_entry *entry = batch_find(b, family, key);
	if (entry) {
		assert(!entry->remove);
		*ret_version = GH_VERSION_ANY;
		return batch_parse(entry->value, entry->value_len, ret_document, ret_err);
	}
	gh_store *store = b->registry->store;
	gh_store_value value;
	gh_status status = store->ops->get(store, family, key, &value);
	if (status != GH_OK)
		return status == GH_NOT_FOUND ? status : batch_read_failed(ret_err, status);
	*ret_version = value.version;
	status = batch_parse(value.data, value.len, ret_document, ret_err);
	gh_store_value_done(&value);
	return status;
}

struct batch_walk {
	struct registry_batch *batch;
	enum gh_family family;
	gh_bytes prefix;
	size_t count;
	gh_status status;
	gh_error *err;
};

static bool batch_count_visit(void *context, gh_bytes key, uint64_t version, gh_bytes value)
{
	struct batch_walk *walk = context;
	(void)version;
	(void)value;
	if (!batch_has_prefix(key, walk->prefix))
		return false;
	walk->count++;
	return true;
}

gh_status registry_batch_count(
	struct registry_batch *b, enum gh_family family, gh_bytes prefix, size_t *ret_count, gh_error *ret_err)
{
	gh_store *store = b->registry->store;
	struct batch_walk walk = {.prefix = prefix};
	gh_status status = store->ops->scan(store, family, prefix, batch_count_visit, &walk);
	if (status != GH_OK)
		return batch_read_failed(ret_err, status);
	for (const struct batch_entry *entry = b->first; entry; entry = entry->next)
		if (entry->family == family && entry->version_expected == GH_VERSION_NONE &&
			batch_has_prefix(batch_key_of(entry), prefix))
			walk.count++;
	*ret_count = walk.count;
	return GH_OK;
}

/* ---- writing ---- */

/* Takes value. */
static gh_status batch_add(struct registry_batch *b, enum gh_family family, gh_bytes key, uint64_t version_expected,
	char *value, gh_error *ret_err)
{
	struct batch_entry *entry = calloc(1, sizeof *entry + 1 + key.len);
	if (!entry) {
		free(value);
		return batch_no_memory(ret_err);
	}
	entry->family = family;
	entry->remove = value == NULL;
	entry->version_expected = version_expected;
	entry->value = value;
	entry->value_len = value ? strlen(value) : 0;
	entry->key_len = key.len;
	entry->name[0] = (uint8_t)family;
	memcpy(entry->name + 1, key.data, key.len);
	assert(!map_find(&b->pending, batch_name_of(&entry->node)));
	if (!map_insert(&b->pending, &entry->node)) {
		free(value);
		free(entry);
		return batch_no_memory(ret_err);
	}
	*b->end = entry;
	b->end = &entry->next;
	b->count++;
	b->bytes += key.len + entry->value_len;
	return GH_OK;
}

gh_status registry_batch_put(struct registry_batch *b, enum gh_family family, gh_bytes key, const json_t *document,
	uint64_t version_expected, gh_error *ret_err)
{
	char *text = json_dumps(document, JSON_COMPACT);
	return text ? batch_add(b, family, key, version_expected, text, ret_err) : batch_no_memory(ret_err);
}

gh_status registry_batch_remove(
	struct registry_batch *b, enum gh_family family, gh_bytes key, uint64_t version_expected, gh_error *ret_err)
{
	return batch_add(b, family, key, version_expected, NULL, ret_err);
}

static bool batch_remove_visit(void *context, gh_bytes key, uint64_t version, gh_bytes value)
{
	struct batch_walk *walk = context;
	(void)version;
	(void)value;
	if (!batch_has_prefix(key, walk->prefix))
		return false;
	walk->status = registry_batch_remove(walk->batch, walk->family, key, GH_VERSION_ANY, walk->err);
	return walk->status == GH_OK;
}

gh_status registry_batch_remove_all(struct registry_batch *b, enum gh_family family, gh_bytes prefix, gh_error *ret_err)
{
	gh_store *store = b->registry->store;
	struct batch_walk walk = {.batch = b, .family = family, .prefix = prefix, .status = GH_OK, .err = ret_err};
	gh_status status = store->ops->scan(store, family, prefix, batch_remove_visit, &walk);
	return status != GH_OK ? batch_read_failed(ret_err, status) : walk.status;
}

gh_status registry_batch_commit(struct registry_batch *b, gh_error *ret_err)
{
	if (b->count == 0)
		return GH_OK;
	GH_CLEANUP(take_free) gh_store_write *writes = calloc(b->count + 1, sizeof *writes);
	if (!writes)
		return batch_no_memory(ret_err);
	char number[NUMBER_TEXT_SIZE];
	snprintf(number, sizeof number, "%" PRIu64, registry_batch_number(b));
	writes[0] = (gh_store_write){
		.family = GH_FAMILY_META,
		.key = text_of(NUMBER_KEY),
		.value = text_of(number),
		.version_expected = b->number_version,
	};
	size_t n = 1;
	for (const struct batch_entry *entry = b->first; entry; entry = entry->next)
		writes[n++] = (gh_store_write){
			.family = entry->family,
			.key = batch_key_of(entry),
			.value = {(const uint8_t *)entry->value, entry->value_len},
			.remove = entry->remove,
			.version_expected = entry->version_expected,
		};
	assert(n == b->count + 1);
	gh_store *store = b->registry->store;
	return store->ops->commit(store, writes, n, ret_err);
}

gh_status registry_batch_run(const struct registry *registry, registry_change *change, void *context, gh_error *ret_err)
{
	for (uint64_t tries = registry->limits->registry_tries_max; tries > 0; tries--) {
		struct registry_batch batch;
		gh_status status = registry_batch_begin(&batch, registry, ret_err);
		if (status == GH_OK)
			status = change(&batch, context, ret_err);
		bool decided = status != GH_OK; /* a conflict that the change itself found is an answer */
		if (!decided)
			status = registry_batch_commit(&batch, ret_err);
		registry_batch_done(&batch);
		if (decided || status != GH_CONFLICT)
			return status;
	}
	return gh_fail(ret_err, GH_CONFLICT, "registry_busy", "other changes of the registry kept coming first");
}
