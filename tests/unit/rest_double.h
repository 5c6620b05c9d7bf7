/* rest_double.h - the requests and answers of transports/https/rest.h as an HTTP engine sees them: every step is a switch
 * of the test.
 *
 * It defines the functions of rest.h itself, so a program that links it does not pull in the real ones.  It holds engines
 * to the contract: an assert fires when a request changes while it is needed, when a step comes out of order or an
 * exchange is not ended, or when an engine calls from inside a callback.
 */
#ifndef GATEHOUSE_TESTS_REST_DOUBLE_H
#define GATEHOUSE_TESTS_REST_DOUBLE_H

#include "src/base/buf.h"
#include "transports/https/rest.h"

enum { REST_DOUBLE_REQUESTS_MAX = 256 };

/* What a request said, as text; cut to fit. */
struct rest_double_request {
	char method[32], target[128], host[128], token[128];
	size_t field_count;
	struct rest_exchange *exchange; /* NULL = ended */
	struct buf body;                /* of the last rest_run */
	size_t runs;
	uint64_t begun_ms;
};

struct rest_double {
	/* switches */
	enum rest_step begin; /* REST_BODY, REST_UPGRADE or REST_ANSWERED */
	enum rest_step run;   /* REST_WAIT, REST_BLOCKED or REST_ANSWERED */
	uint64_t body_max;
	uint64_t wait_ms_max;      /* rest_tick answers with 503 what waits longer; 0 = never */
	struct rest_answer answer; /* for REST_ANSWERED; what it points at must last */
	/* what was seen */
	struct rest_conn *conn;                                        /* the last one made */
	struct rest_double_request requests[REST_DOUBLE_REQUESTS_MAX]; /* the first ones that were begun */
	size_t begin_count;
	size_t run_count;
	size_t refuse_count;
	size_t conn_count; /* made and not done */
	size_t alive;      /* exchanges begun or refused and not ended */
	size_t alive_max;
	const char *refused_code; /* of the last refusal */
	bool calling;             /* inside a callback */
};

extern struct rest_double rest_double;

void rest_double_init(void);
void rest_double_done(void); /* asserts that everything was ended */

/* The callbacks.  An answer's body is copied. */
void rest_double_answered(struct rest_exchange *x, uint16_t status, gh_bytes body);
void rest_double_writable(void); /* for the first that is blocked; does nothing when there is none */
/* The n-th, oldest first, of those that wait or are blocked; NULL = there are fewer. */
struct rest_exchange *rest_double_waiting(size_t n);

#endif
