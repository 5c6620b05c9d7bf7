/* registry_batch.h - one transaction of the registry: what it has read holds when it is written, or it is not written.
 *
 * Every batch takes numbers from one counter in the store, and moves it with its writes under the version it saw before
 * its first read.  So writers, in whatever process, are in one order: none acts on what another has changed since, and
 * rules that span records (modules of a device, count of policies) hold without locks.  Readers pay nothing.
 */
#ifndef GATEHOUSE_CORE_REGISTRY_BATCH_H
#define GATEHOUSE_CORE_REGISTRY_BATCH_H

#include "src/base/map.h"
#include "src/core/registry.h"

struct registry_batch {
	const struct registry *registry;
	uint64_t wall_ms;
	uint64_t number; /* the last one given */
	uint64_t number_version;
	struct map pending; /* struct batch_entry by family and key */
	struct batch_entry *first;
	struct batch_entry **end;
	size_t count;
	size_t bytes;
};

/* Takes the time and the counter.  After GH_OK the caller owes registry_batch_done. */
gh_status registry_batch_begin(struct registry_batch *b, const struct registry *registry, gh_error *ret_err);
void registry_batch_done(struct registry_batch *b);

/* Grows, is never given twice, and is the time as .NET ticks where the clock allows. */
uint64_t registry_batch_number(struct registry_batch *b);

/* A new reference; what this batch puts is seen.  GH_NOT_FOUND. */
gh_status registry_batch_get(struct registry_batch *b, enum gh_family family, gh_bytes key, json_t **ret_document,
	uint64_t *ret_version, gh_error *ret_err);
/* Keys that begin with prefix, in the store and in this batch (which must remove none of them). */
gh_status registry_batch_count(
	struct registry_batch *b, enum gh_family family, gh_bytes prefix, size_t *ret_count, gh_error *ret_err);

/* A key is written once per batch.  version_expected as in gatehouse/store.h. */
gh_status registry_batch_put(struct registry_batch *b, enum gh_family family, gh_bytes key, const json_t *document,
	uint64_t version_expected, gh_error *ret_err);
gh_status registry_batch_remove(
	struct registry_batch *b, enum gh_family family, gh_bytes key, uint64_t version_expected, gh_error *ret_err);
/* Removes all keys that begin with prefix. */
gh_status registry_batch_remove_all(
	struct registry_batch *b, enum gh_family family, gh_bytes prefix, gh_error *ret_err);

/* Nothing to write is GH_OK.  GH_CONFLICT: another writer came first; begin anew. */
gh_status registry_batch_commit(struct registry_batch *b, gh_error *ret_err);

/* begin, change, commit; again from the start while other writers come first, registry_tries_max times. */
typedef gh_status registry_change(struct registry_batch *b, void *context, gh_error *ret_err);
gh_status registry_batch_run(
	const struct registry *registry, registry_change *change, void *context, gh_error *ret_err);

#endif
