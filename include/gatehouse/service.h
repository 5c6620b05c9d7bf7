/* gatehouse/service.h - what a transport may ask of the hub on behalf of a back end: identity registry, statistics, queries.
 *
 * A service client proves nothing about itself but that it holds a key of a shared access policy.  A transport first
 * asks whether the token allows what is wanted (at once, on its thread), then hands the request over; the answer comes
 * later, because writing an identity waits for the disk.
 *
 * Threads: every call and every callback on the worker's loop thread.  `done` never comes from inside a call.
 */
#ifndef GATEHOUSE_SERVICE_H
#define GATEHOUSE_SERVICE_H

#include <gatehouse/core.h>

/* What a policy may allow (service contract 1.1).  Bits; the numbers are not stored. */
enum gh_right {
	GH_RIGHT_REGISTRY_READ = 1 << 0,
	GH_RIGHT_REGISTRY_WRITE = 1 << 1,
	GH_RIGHT_SERVICE_CONNECT = 1 << 2,
	GH_RIGHT_DEVICE_CONNECT = 1 << 3,
};

enum { GH_RESOURCE_SEGMENTS_MAX = 6 };

/* Everything is borrowed for the call. */
typedef struct gh_service_claim {
	const char *transport; /* static, for the log */
	gh_bytes token;        /* SAS token; empty = none */
	unsigned rights;       /* GH_RIGHT_*: all of them are needed; 0 = whoever holds a key of a policy */
	bool text_keys;        /* where its sr begins with sb:// or amqps://, the text of a key may be the key */
	/* What is asked for, below the host, decoded: "devices", "d1".  The token's sr must be a prefix by whole segments. */
	gh_bytes segments[GH_RESOURCE_SEGMENTS_MAX];
	size_t segment_count;
	gh_bytes client_info; /* user agent text, for the log */
	gh_peer peer;
} gh_service_claim;

/* GH_OK; GH_UNAUTHORIZED (logged and counted as a refusal); GH_UNAVAILABLE: the policy could not be looked up. */
gh_status gh_service_authorize(gh_worker *worker, const gh_service_claim *claim, gh_error *ret_err);

/* Service contract 2.3, 2.5, 2.6, 3.8. */
typedef enum gh_service_op {
	GH_SERVICE_IDENTITY_GET, /* of a module when module_id is given; so are the next two */
	GH_SERVICE_IDENTITY_PUT,
	GH_SERVICE_IDENTITY_DELETE,
	GH_SERVICE_DEVICE_LIST,
	GH_SERVICE_MODULE_LIST,
	GH_SERVICE_BULK,
	GH_SERVICE_QUERY,
	GH_SERVICE_DEVICE_STATISTICS,
	GH_SERVICE_CONNECTION_STATISTICS,
	GH_SERVICE_OP_COUNT
} gh_service_op;

/* Copied by gh_service_call. */
typedef struct gh_service_request {
	gh_service_op op;
	gh_bytes device_id; /* decoded */
	gh_bytes module_id;
	bool has_etag;
	gh_bytes etag;         /* If-Match as it was sent: quoted or not, or a star */
	gh_bytes body;         /* JSON */
	uint64_t count_max;    /* identities in one answer; 0 = the default */
	gh_bytes continuation; /* of an earlier answer; empty = from the start */
} gh_service_request;

/* Borrowed for the call of done. */
typedef struct gh_service_answer {
	gh_status status;      /* GH_OK, or why not: then only err is set, but for a bulk request */
	gh_error err;          /* its code and status give the error's name and number (src/wire/hub_error.h) */
	gh_bytes body;         /* JSON; a bulk request of which a part failed has one beside GH_INVALID */
	const char *etag;      /* of the identity, without quotes; "" = none */
	gh_bytes continuation; /* there is more: ask again with it; empty = that was all */
	const char *item_type; /* of a query: "Twin"; "" = none */
} gh_service_answer;

typedef struct gh_call gh_call;
typedef void gh_service_done(void *context, const gh_service_answer *answer);

/* GH_OK: *ret_call is under way, done follows once.  GH_AGAIN: service_calls_max are under way already.  GH_UNAVAILABLE:
 * this program serves no registry.  GH_NO_MEMORY. */
gh_status gh_service_call(
	gh_worker *worker, const gh_service_request *request, gh_service_done *done, void *context, gh_call **ret_call);
/* done does not come any more; a change that was asked for is made all the same.  Accepts NULL. */
void gh_call_cancel(gh_call *call);

#endif
