/* embedded.h - durable queue and keyed state on this machine, in one RocksDB database under one directory.
 *
 * The queue lives in the store's database: gh_backend_config.store is the open embedded store, and closing goes in the
 * reverse order.
 */
#ifndef GATEHOUSE_BACKENDS_EMBEDDED_H
#define GATEHOUSE_BACKENDS_EMBEDDED_H

#include <gatehouse/backend.h>
#include <gatehouse/limits.h>
#include <gatehouse/store.h>

extern const gh_store_ops embedded_store;
extern const gh_backend_ops embedded_queue;

/* Filled by open: what recovery found.  Borrowed; "" when there was nothing to say. */
const char *embedded_store_recovery(const gh_store *store);

/* Runs retention now, as of wall_ms; it also runs by itself once a minute.  May block; any thread but a loop's. */
gh_status embedded_queue_retain(gh_backend *backend, uint64_t wall_ms);

#endif
