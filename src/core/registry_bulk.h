/* registry_bulk.h - many changes of the registry in one request (service contract 2.6).
 *
 * Records stand for themselves: each is its own transaction, in the order given, and none undoes another.  That costs a
 * commit a record, a hundred waits for the disk at worst; the caller may wait for them.
 */
#ifndef GATEHOUSE_CORE_REGISTRY_BULK_H
#define GATEHOUSE_CORE_REGISTRY_BULK_H

#include "src/core/registry.h"

struct registry_bulk {
	const struct registry *registry;
	/* A device or one of its modules is not, or may not be, what it was.  Not for creations. */
	void (*changed)(void *context, gh_bytes device_id);
	void *context;
};

/* GH_OK: all succeeded, *ret_result is the result object, a new reference.  GH_INVALID with the code "bulk_failed": some
 * did not, and *ret_result says which.  Otherwise no record was looked at, or the result is lost (GH_NO_MEMORY), and
 * *ret_result is not written: GH_INVALID with "registry_bulk_max": none, or too many records. */
gh_status registry_bulk_run(
	const struct registry_bulk *bulk, const json_t *records, json_t **ret_result, gh_error *ret_err);

#endif
