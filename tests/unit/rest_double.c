#include "tests/unit/rest_double.h"

#include "src/base/text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct rest_double rest_double;

/* What the double knows of one exchange. */
struct rest_text {
	struct rest_double_request *seen; /* NULL = beyond those that are remembered */
	struct buf body;                  /* of the answer */
	uint64_t request_sum, body_sum;
	bool ran;
};

void rest_double_init(void)
{
	rest_double = (struct rest_double){
		.begin = REST_BODY, .run = REST_ANSWERED, .body_max = 262144, .answer = {.status = 204}};
}

void rest_double_done(void)
{
	assert(rest_double.alive == 0 && rest_double.conn_count == 0);
	for (size_t i = 0; i < REST_DOUBLE_REQUESTS_MAX; i++)
		buf_done(&rest_double.requests[i].body);
}

/* ---- connections ---- */

void rest_conn_init(struct rest_conn *conn, gh_worker *worker, gh_wire *wire, const struct rest_ops *ops)
{
	*conn = (struct rest_conn){.worker = worker, .wire = wire, .transport = "https", .ops = ops};
	rest_double.conn = conn;
	rest_double.conn_count++;
}

void rest_conn_done(struct rest_conn *conn)
{
	assert(!rest_double.calling && !conn->waiting && rest_double.conn_count > 0);
	rest_double.conn_count--;
	rest_double.conn = NULL;
}

/* ---- the line of those that wait ---- */

static bool double_waits(enum rest_step step)
{
	return step == REST_WAIT || step == REST_BLOCKED;
}

static enum rest_step double_set(struct rest_exchange *x, enum rest_step step, uint64_t now_ms)
{
	struct rest_conn *conn = x->conn;
	bool waited = double_waits(x->step), waits = double_waits(step);
	if (waited && !waits) {
		*(x->prev ? &x->prev->next : &conn->waiting) = x->next;
		*(x->next ? &x->next->prev : &conn->waiting_last) = x->prev;
		x->next = x->prev = NULL;
	} else if (waits && !waited) {
		x->since_ms = now_ms;
		x->prev = conn->waiting_last;
		*(x->prev ? &x->prev->next : &conn->waiting) = x;
		conn->waiting_last = x;
	}
	return x->step = step;
}

struct rest_exchange *rest_double_waiting(size_t n)
{
	struct rest_exchange *x = rest_double.conn ? rest_double.conn->waiting : NULL;
	for (; x && n > 0; n--)
		x = x->next;
	return x;
}

/* ---- exchanges ---- */

static uint64_t double_sum_bytes(uint64_t sum, gh_bytes bytes)
{
	sum = (sum ^ (uintptr_t)bytes.data ^ bytes.len) * 1099511628211u;
	for (size_t i = 0; i < bytes.len; i++)
		sum = (sum ^ bytes.data[i]) * 1099511628211u;
	return sum;
}

/* Over all bytes of the request, and where they lie. */
static uint64_t double_sum(const struct rest_request *request)
{
	uint64_t sum = double_sum_bytes(double_sum_bytes(1, request->method), request->target);
	for (size_t i = 0; i < request->field_count; i++)
		sum = double_sum_bytes(double_sum_bytes(sum, request->fields[i].name), request->fields[i].value);
	return sum;
}

static void double_text(char *room, size_t size, gh_bytes text)
{
	snprintf(room, size, "%.*s", (int)text.len, text.len ? (const char *)text.data : "");
}

static struct rest_double_request *double_remember(struct rest_exchange *x, const struct rest_request *request)
{
	if (rest_double.begin_count >= REST_DOUBLE_REQUESTS_MAX)
		return NULL;
	struct rest_double_request *seen = &rest_double.requests[rest_double.begin_count];
	seen->exchange = x;
	seen->field_count = request->field_count;
	double_text(seen->method, sizeof seen->method, request->method);
	double_text(seen->target, sizeof seen->target, request->target);
	for (size_t i = 0; i < request->field_count; i++) {
		if (text_equal_nocase(request->fields[i].name, text_of("host")))
			double_text(seen->host, sizeof seen->host, request->fields[i].value);
		if (text_equal_nocase(request->fields[i].name, text_of("authorization")))
			double_text(seen->token, sizeof seen->token, request->fields[i].value);
	}
	return seen;
}

static void double_new(struct rest_exchange *x, struct rest_conn *conn)
{
	static const struct rest_exchange zeroed;
	assert(memcmp(x, &zeroed, sizeof zeroed) == 0);
	x->conn = conn;
	x->texts = calloc(1, sizeof *x->texts);
	assert(x->texts);
	rest_double.alive++;
	if (rest_double.alive > rest_double.alive_max)
		rest_double.alive_max = rest_double.alive;
}

static enum rest_step double_answer(struct rest_exchange *x)
{
	x->answer = rest_double.answer;
	return double_set(x, REST_ANSWERED, 0);
}

enum rest_step rest_begin(
	struct rest_exchange *x, struct rest_conn *conn, const struct rest_request *request, uint64_t now_ms)
{
	assert(!rest_double.calling && request->method.len > 0 && request->target.len > 0);
	double_new(x, conn);
	x->texts->seen = double_remember(x, request);
	if (x->texts->seen)
		x->texts->seen->begun_ms = now_ms;
	x->texts->request_sum = double_sum(request);
	rest_double.begin_count++;
	x->body_max = rest_double.body_max;
	return rest_double.begin == REST_ANSWERED ? double_answer(x) : double_set(x, rest_double.begin, now_ms);
}

enum rest_step rest_run(struct rest_exchange *x, const struct rest_request *request, gh_bytes body, uint64_t now_ms)
{
	struct rest_text *text = x->texts;
	assert(!rest_double.calling && (x->step == REST_BODY || x->step == REST_BLOCKED));
	assert(double_sum(request) == text->request_sum && body.len <= x->body_max);
	uint64_t sum = 1;
	for (size_t i = 0; i < body.len; i++)
		sum = (sum ^ body.data[i]) * 1099511628211u;
	assert(!text->ran || sum == text->body_sum);
	text->body_sum = sum;
	text->ran = true;
	rest_double.run_count++;
	if (text->seen) {
		text->seen->runs++;
		buf_clear(&text->seen->body);
		buf_append(&text->seen->body, body.data, body.len);
	}
	return rest_double.run == REST_ANSWERED ? double_answer(x) : double_set(x, rest_double.run, now_ms);
}

static uint16_t double_status(gh_status status)
{
	switch (status) {
	case GH_TOO_LARGE:
		return 413;
	case GH_UNAVAILABLE:
	case GH_NO_MEMORY:
		return 503;
	default:
		return 400;
	}
}

enum rest_step rest_refuse(struct rest_exchange *x, struct rest_conn *conn, uint16_t http, gh_status status,
	const char *code, const char *text)
{
	assert(!rest_double.calling && x->step != REST_ANSWERED && status != GH_OK && text[0]);
	if (!x->conn)
		double_new(x, conn);
	rest_double.refuse_count++;
	rest_double.refused_code = code;
	x->answer = (struct rest_answer){.status = http ? http : double_status(status), .body = text_of(code)};
	return double_set(x, REST_ANSWERED, 0);
}

const struct rest_answer *rest_answer(const struct rest_exchange *x)
{
	assert(!rest_double.calling && x->step == REST_ANSWERED);
	return &x->answer;
}

void rest_end(struct rest_exchange *x)
{
	assert(!rest_double.calling);
	if (!x->conn)
		return;
	double_set(x, REST_ANSWERED, 0);
	if (x->texts->seen)
		x->texts->seen->exchange = NULL;
	buf_done(&x->texts->body);
	free(x->texts);
	x->texts = NULL;
	x->conn = NULL;
	rest_double.alive--;
}

/* ---- what a test, or time, makes happen ---- */

static void double_tell(struct rest_exchange *x, void (*what)(struct rest_exchange *))
{
	rest_double.calling = true;
	what(x);
	rest_double.calling = false;
}

void rest_double_answered(struct rest_exchange *x, uint16_t status, gh_bytes body)
{
	assert(double_waits(x->step));
	buf_append(&x->texts->body, body.data, body.len);
	x->answer = (struct rest_answer){.status = status, .body = buf_bytes(&x->texts->body)};
	double_set(x, REST_ANSWERED, 0);
	double_tell(x, x->conn->ops->answered);
}

void rest_double_writable(void)
{
	struct rest_exchange *x = rest_double_waiting(0);
	while (x && x->step != REST_BLOCKED)
		x = x->next;
	if (x)
		double_tell(x, x->conn->ops->writable);
}

uint64_t rest_tick(struct rest_conn *conn, uint64_t now_ms)
{
	uint64_t max = rest_double.wait_ms_max;
	assert(!rest_double.calling);
	if (max == 0)
		return 0;
	while (conn->waiting && conn->waiting->since_ms + max <= now_ms)
		rest_double_answered(conn->waiting, 503, text_of("not_stored"));
	return conn->waiting ? conn->waiting->since_ms + max : 0;
}
