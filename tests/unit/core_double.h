/* core_double.h - the core as a transport sees it, in memory and obedient: every answer is a switch of the test.
 *
 * It defines the functions of gatehouse/core.h itself, so a program that links it does not pull in the real ones.
 * It holds engines to the contract: an assert fires when one calls the core from inside a callback that does not allow
 * it, or uses a link that is closed.
 */
#ifndef GATEHOUSE_TESTS_CORE_DOUBLE_H
#define GATEHOUSE_TESTS_CORE_DOUBLE_H

#include <gatehouse/service.h>

struct core_double_record {
	gh_message *message;
	gh_link *link;
	void *cookie;
	bool settled;
};

struct gh_link {
	gh_worker *worker;
	const gh_link_ops *ops;
	void *context;
	gh_link *next;
	char device_id[300];
	char module_id[300];
	uint8_t subscriptions[GH_SUB_COUNT];
	void *subscribe_cookie;
	bool subscribing;
	bool opening;
	bool closed;
	bool revoking;
	bool calling; /* inside opened, settled or writable */
};

struct gh_call {
	gh_worker *worker;
	gh_service_done *done;
	void *context;
	gh_service_op op;
	char device_id[300], module_id[300], etag[300], body[4096], continuation[300];
	bool has_etag;
	uint64_t count_max;
	bool cancelled;
	bool answered;
};

/* What a request said, as text; cut to fit. */
struct core_double_request {
	char host[300], device_id[300], module_id[300], token[300], model_id[300], client_info[300], address[64];
	bool session_clean, sessionless, unseen, displaces;
};

struct gh_worker {
	gh_limits limits;
	gh_draft *draft;
	uint64_t wall_ms;
	const struct log *log; /* NULL = nowhere */
	size_t reserved;       /* by gh_worker_reserve; at the end 0 */
	gh_link *links;        /* newest first; kept until the end, closed or not */
	/* switches */
	const char *host; /* the one there is; NULL = every one */
	gh_status open_status;
	bool session_present;
	gh_status submit_status;
	size_t submit_room; /* 0 = no matter; else so many are taken, then submit_status becomes GH_AGAIN */
	gh_status subscribe_status;
	gh_status authorize_status;
	gh_status call_status;
	/* what was seen */
	unsigned rights_asked;
	char resource[600]; /* of the last gh_service_authorize: "/devices/d1" */
	char service_token[300];
	size_t authorize_count;
	gh_call *calls[256]; /* freed at the end */
	size_t call_count;
	struct core_double_request request;
	size_t open_count;
	size_t refused;      /* gh_link_refused */
	size_t submit_count; /* also the refused ones */
	size_t subscribe_count;
	struct core_double_record records[4096];
	size_t record_count;
};

void core_double_init(gh_worker *worker);
void core_double_done(gh_worker *worker); /* asserts that every link was closed */

/* The callbacks.  Each does nothing when the link is closed. */
void core_double_opened(gh_link *link, gh_status status, bool session_present);
void core_double_settle(gh_worker *worker, size_t index, gh_status status);
void core_double_settle_all(gh_worker *worker, gh_status status);
void core_double_subscribed(gh_link *link, gh_status status);
void core_double_writable(gh_link *link); /* and submit_status is GH_OK again */
void core_double_revoke(gh_link *link, gh_status why);

/* The answer of a call; does nothing when it was cancelled. */
void core_double_answer(gh_worker *worker, size_t index, const gh_service_answer *answer);

size_t core_double_links_open(const gh_worker *worker);

#endif
