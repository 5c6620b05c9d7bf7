/* core.h - the core as its owner (main, admin, tests) sees it: made once, one worker per loop thread.
 *
 * gatehouse/core.h is what transports see.
 */
#ifndef GATEHOUSE_CORE_CORE_H
#define GATEHOUSE_CORE_CORE_H

#include <gatehouse/backend.h>
#include <gatehouse/core.h>
#include <gatehouse/host.h>
#include <gatehouse/store.h>

#include "src/base/log.h"
#include "src/core/authenticate.h"

struct core;

struct core_config {
	const gh_limits *limits;
	const char *const *hosts;  /* NULL-terminated: host name and aliases clients may name */
	gh_status disabled_status; /* what a disabled identity is refused with: GH_DISABLED or GH_UNAUTHORIZED */
	struct authenticate_switches switches;
	gh_store *store;
	const gh_backend_ops *backend_ops;
	gh_backend *backend;
	const struct log *log;
	/* Registry calls of service clients: the thread they may block, and what they ask there.  NULL = none are served. */
	gh_host *service_host;
	const struct registry *registry;
};

/* Borrows everything in config until core_free.  NULL without memory. */
struct core *core_new(const struct core_config *config, const uint64_t seed[2]);
void core_free(struct core *core); /* all workers freed before; accepts NULL */

/* One per loop thread, made and freed on that thread or while it does not run. */
gh_worker *core_worker_new(struct core *core, gh_host *host, uint64_t now_ms, uint64_t wall_ms);
/* Stopping: close the links that are left, run the loop until idle (nothing in flight, no task on its way), free. */
void core_worker_close_links(gh_worker *worker);
bool core_worker_idle(gh_worker *worker);
void core_worker_free(gh_worker *worker); /* accepts NULL; what is in flight still is told nobody */

/* Descriptors the loop watches for reading; the matching function is called when one is readable. */
int core_worker_backend_fd(gh_worker *worker);
int core_worker_store_fd(gh_worker *worker);
void core_worker_backend_ready(gh_worker *worker, uint64_t now_ms);
void core_worker_store_ready(gh_worker *worker, uint64_t now_ms);

/* At the start of each loop turn: the time.  At its end: hands the turn's records to the back end in one batch. */
void core_worker_turn_begin(gh_worker *worker, uint64_t now_ms, uint64_t wall_ms);
void core_worker_turn_end(gh_worker *worker, uint64_t now_ms);

/* About ten times a second: token ends, waits, a slice of the links to check again. */
void core_worker_tick(gh_worker *worker, uint64_t now_ms);

/* Any thread: a device or one of its modules was changed, or (empty id) a policy was: every worker checks the links
 * concerned again, those of a device at once, all of them in slices at its ticks.  GH_NO_MEMORY: not everybody was told;
 * that is logged. */
gh_status core_credentials_changed(struct core *core, gh_bytes device_id);

/* Any thread.  Is the identity connected (service contract 2.7)?  Then *ret_since_ms is the wall time since when it is
 * without a break.  An unseen link is nobody's presence.  module_id: empty = the device itself. */
bool core_presence(struct core *core, gh_bytes device_id, gh_bytes module_id, uint64_t *ret_since_ms);
uint64_t core_presence_devices(struct core *core); /* connected now; modules do not count */

/* Counters for health and metrics; any thread. */
struct core_counts {
	uint64_t links; /* open now */
	uint64_t opened;
	uint64_t refused;
	uint64_t displaced;
	uint64_t accepted; /* messages settled with GH_OK */
	uint64_t rejected; /* messages refused or settled otherwise */
};
void core_counts(struct core *core, struct core_counts *ret_counts);
#endif
