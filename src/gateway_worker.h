/* gateway_worker.h - one thread of the running gateway: a loop, the core's worker on it, its listeners.
 *
 * Everything a worker owns is touched by its thread alone between start and join.
 */
#ifndef GATEHOUSE_GATEWAY_WORKER_H
#define GATEHOUSE_GATEWAY_WORKER_H

#include "src/core/core.h"
#include "src/io/listener.h"

struct gateway_worker;

/* `groups` is NULL-terminated; borrowed until free. */
gh_status gateway_worker_new(struct core *core, struct listener_group *const *groups, const gh_limits *limits,
	struct gateway_worker **ret_worker, gh_error *ret_err);
gh_status gateway_worker_start(struct gateway_worker *worker, gh_error *ret_err);

/* Stop accepting, finish what was accepted, at most drain_ms_max, then end the thread.  Called once, by the thread that
 * joins; no-op when it never ran. */
void gateway_worker_drain(struct gateway_worker *worker);
/* Waits for the end of a drained thread; no-op when it never ran. */
void gateway_worker_join(struct gateway_worker *worker);
/* Joined, and nobody posts any more: does here what other threads posted since its own ended. */
void gateway_worker_settle(struct gateway_worker *worker);
void gateway_worker_free(struct gateway_worker *worker); /* settled; accepts NULL */

#endif
