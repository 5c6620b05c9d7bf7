/* link.h - one identity attached over one connection, and what the links of one worker share.
 *
 * The functions of gatehouse/core.h that take a gh_link are here; core.c drives a worker's links from its descriptors
 * and its clock through the functions below.
 *
 *   WAITING   the seat is taken, or stored subscriptions are being erased: opened follows
 *   OPEN      submits and subscribes
 *   REVOKED   the core asked for the end; a will may still be submitted where the credential holds
 *   CLOSED    the engine is gone; records in flight are still counted, then the seat is given back
 */
#ifndef GATEHOUSE_CORE_LINK_H
#define GATEHOUSE_CORE_LINK_H

#include <gatehouse/core.h>
#include <gatehouse/host.h>

#include "src/base/heap.h"
#include "src/base/log.h"
#include "src/base/throttle.h"
#include "src/core/authenticate.h"
#include "src/core/outbox.h"
#include "src/core/presence.h"
#include "src/core/session.h"

struct link_counts {
	atomic_uint_fast64_t links, opened, refused, displaced, accepted, rejected;
};

struct link_list {
	gh_link *first;
	gh_link *last; /* of held only */
};

struct link_store_wait;
struct service;

/* The core as one loop thread sees it. */
struct gh_worker {
	const gh_limits *limits;
	const struct authenticate_rules *rules;
	struct session_table *sessions;
	struct presence *presence;
	gh_store *store;
	const struct log *log;
	gh_host *host;
	gh_store_port *store_port;
	struct service *service;
	size_t calls; /* of service clients under way */
	struct outbox outbox;
	gh_draft *draft;
	uint64_t receiving; /* bytes reserved for requests that are not whole yet or wait for room */
	uint64_t now_ms;
	uint64_t wall_ms;
	struct heap token_ends; /* by wall clock */
	struct heap waits;      /* by steady clock */
	struct link_list links; /* not closed */
	struct link_list held;  /* told GH_AGAIN by submit, first come first; each place is a counted reference */
	gh_link *sweep;         /* next link a running sweep looks at; NULL = none runs */
	bool sweep_again;       /* policies changed, or a check could not be made: another sweep is to follow */
	size_t unfreed;         /* links that exist, closed ones with records in flight too */
	struct link_store_wait *store_waiting; /* store writes not completed yet */
	struct throttle refusals;              /* lines about them */
	struct link_counts counts;
};

/* Counts a refusal.  True when a line about it may be written: *ret_skipped had none since the last. */
bool link_refusal(gh_worker *worker, uint64_t *ret_skipped);

/* Settles for outbox_reap: context is the worker. */
void link_settled(void *worker, void *link, void *cookie, gh_status status);
/* Takes what the store completed. */
void link_store_reap(gh_worker *worker);
/* At the end: what the store has not completed is not waited for any more. */
void link_store_forget(gh_worker *worker);
/* Tells links that were held back, while there is room. */
void link_resume_held(gh_worker *worker);
/* Token ends and waits that are due. */
void link_tick(gh_worker *worker, uint64_t now_ms);
/* Re-checks the links of one device, or, in slices of `count`, those a sweep has left; starts one that is due. */
void link_check_device(gh_worker *worker, gh_bytes device_id);
void link_sweep_some(gh_worker *worker, size_t count);
/* At the end: closes every link that is left; those with tasks on their way still live until those ran. */
void link_close_all(gh_worker *worker);

#endif
