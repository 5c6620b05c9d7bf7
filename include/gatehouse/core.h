/* gatehouse/core.h - what a transport may ask of the core, and what the core asks back.
 *
 * A gh_worker is the core as seen from one loop thread; an engine is made with one and calls nothing else.  A gh_link is
 * one identity attached over one connection.  The engine owns the order of packets; the core owns who may speak, what
 * a message is stamped with, where it goes and when it is durable.
 *
 * Threads: every call and every callback on the worker's loop thread.  Callbacks never come from inside a call of the
 * same link, so an engine needs no re-entrance.
 * Time: now_ms is the steady clock of gatehouse/transport.h; wall time is the worker's own matter.
 */
#ifndef GATEHOUSE_CORE_H
#define GATEHOUSE_CORE_H

#include <gatehouse/limits.h>
#include <gatehouse/message.h>
#include <gatehouse/transport.h>

typedef struct gh_worker gh_worker;
typedef struct gh_link gh_link;

const gh_limits *gh_worker_limits(const gh_worker *worker);
/* Where the worker's lines go (src/base/log.h); NULL = nowhere. */
struct log;
const struct log *gh_worker_log(const gh_worker *worker);

/* Wall clock of this loop turn, milliseconds since 1970-01-01T00:00:00Z: for Date fields and texts, never for deadlines. */
uint64_t gh_worker_wall_ms(const gh_worker *worker);
/* Is this a host name of the hub?  With or without :port, in any case; an empty one says nothing and is. */
bool gh_worker_knows_host(const gh_worker *worker, gh_bytes host);
/* Cryptographically strong. */
void gh_worker_random(gh_worker *worker, void *ret_bytes, size_t len);

/* Memory for a request that is not whole yet or waits for room, counted over all connections of the worker
 * (http_receiving_bytes_max).  False: there is no room; refuse the request.  What was reserved is released by whoever holds
 * it, in any portions. */
bool gh_worker_reserve(gh_worker *worker, size_t bytes);
void gh_worker_release(gh_worker *worker, size_t bytes);

/* The worker's one draft, emptied.  Borrowed until the next call of this function: fill it and submit it. */
gh_draft *gh_worker_draft(gh_worker *worker);

/* Subscriptions of a device session (device contract 4.7). */
enum gh_subscription {
	GH_SUB_C2D,
	GH_SUB_METHODS,
	GH_SUB_TWIN_RESULTS,
	GH_SUB_TWIN_DESIRED,
	GH_SUB_INPUTS,
	GH_SUB_COUNT
};

#define GH_QOS_NONE 0xff

typedef struct gh_link_ops {
	/* After gh_link_open said GH_AGAIN, once.  Not GH_OK: the link is closed and gone. */
	void (*opened)(void *context, gh_status status, bool session_present);
	/* Once for each message taken by gh_link_submit and each change taken by gh_link_subscribe, unless the link was
	 * closed before.  Only GH_OK may be acknowledged to the device. */
	void (*settled)(void *context, void *cookie, gh_status status);
	/* After gh_link_submit said GH_AGAIN: there is room again. */
	void (*writable)(void *context);
	/* The core wants this link gone: GH_TAKEN_OVER; GH_GONE = its token ended; GH_UNAUTHORIZED or GH_DISABLED = what
	 * it was opened with no longer holds.  In the first two cases the engine may still submit its will.  It calls
	 * gh_link_close, then or later, and ends. */
	void (*revoked)(void *context, gh_status why);
} gh_link_ops;

/* Everything is borrowed for the call. */
typedef struct gh_link_request {
	const char *transport; /* static: "mqtt" */
	gh_bytes host;         /* host name the client spoke to, with or without :port; empty = it named none */
	gh_bytes device_id;
	gh_bytes module_id; /* empty = a device */
	gh_bytes token;     /* SAS token; empty = none */
	gh_bytes model_id;
	gh_bytes client_info; /* user agent text, for the log */
	gh_peer peer;
	bool session_clean; /* forget stored subscriptions and keep none */
	bool sessionless;   /* reads, keeps and forgets no stored session, never waits: HTTP, AMQP */
	bool unseen;        /* is nobody's presence: HTTP */
	bool displaces;     /* an older link of this identity over the same transport is closed */
} gh_link_request;

/* Authenticates and attaches.
 * GH_OK: *ret_link is open.  GH_AGAIN: *ret_link waits; ops->opened follows.  Anything else: no link, the refusal has
 * been logged, *ret_err says why (for the log, not for the device).
 * The older link of the same identity is closed first, and everything it submitted is settled before this one opens. */
gh_status gh_link_open(gh_worker *worker, const gh_link_request *request, const gh_link_ops *ops, void *context,
	uint64_t now_ms, gh_link **ret_link, bool *ret_session_present, gh_error *ret_err);

/* A transport refuses before it asks the core: logged and counted as a refusal of gh_link_open is. */
void gh_link_refused(gh_worker *worker, const gh_link_request *request, const gh_error *err);

/* Detaches, also a link whose opened is still awaited (it does not come then); accepts NULL.  Messages already submitted
 * are still stored, but nobody is told. */
void gh_link_close(gh_link *link);

/* Stamps, freezes and hands over the draft; the caller may reuse it at once.
 * GH_OK: taken, ops->settled follows with cookie.  GH_AGAIN: no room now; keep the packet, stop reading,
 * ops->writable follows.  Other: refused for good, nothing follows. */
gh_status gh_link_submit(gh_link *link, const gh_draft *draft, void *cookie, uint64_t now_ms);

/* Records changed subscriptions: qos[kind] is 0, 1 or GH_QOS_NONE.  GH_OK: done.  GH_AGAIN: ops->settled follows with
 * cookie once they are durable (a session that is kept).  Other: refused. */
gh_status gh_link_subscribe(gh_link *link, const uint8_t qos[GH_SUB_COUNT], void *cookie);

/* Present subscriptions of the link, also those found with the session. */
const uint8_t *gh_link_subscriptions(const gh_link *link);

#endif
