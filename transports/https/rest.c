#include "transports/https/rest.h"

#include "src/base/take.h"
#include "src/base/text.h"
#include "transports/https/rest_link.h"
#include "transports/https/rest_message.h"
#include "transports/https/rest_route.h"
#include "transports/https/rest_text.h"

#include <assert.h>

/* ---- connections ---- */

void rest_conn_init(struct rest_conn *conn, gh_worker *worker, gh_wire *wire, const struct rest_ops *ops)
{
	*conn = (struct rest_conn){.worker = worker, .wire = wire, .transport = "https", .ops = ops};
}

void rest_conn_done(struct rest_conn *conn)
{
	assert(!conn->waiting);
	rest_link_close_all(conn);
}

/* ---- the line of those that wait, oldest first ---- */

static bool rest_waits(const struct rest_exchange *x)
{
	return x->step == REST_WAIT || x->step == REST_BLOCKED;
}

static void rest_line_leave(struct rest_exchange *x)
{
	struct rest_conn *conn = x->conn;
	if (!rest_waits(x))
		return;
	*(x->prev ? &x->prev->next : &conn->waiting) = x->next;
	*(x->next ? &x->next->prev : &conn->waiting_last) = x->prev;
	x->next = x->prev = NULL;
}

static void rest_line_join(struct rest_exchange *x)
{
	struct rest_conn *conn = x->conn;
	x->prev = conn->waiting_last;
	*(x->prev ? &x->prev->next : &conn->waiting) = x;
	conn->waiting_last = x;
}

/* The one place where a step changes.  Who goes from blocked to waiting keeps its place: its time began then. */
static enum rest_step rest_set(struct rest_exchange *x, enum rest_step step, uint64_t now_ms)
{
	bool waited = rest_waits(x), waits = step == REST_WAIT || step == REST_BLOCKED;
	if (waited && !waits)
		rest_line_leave(x);
	x->step = step;
	if (waits && !waited) {
		x->since_ms = now_ms;
		rest_line_join(x);
	}
	return step;
}

/* ---- answers ---- */

/* The exchange gives back what it held to be answered. */
static void rest_settle(struct rest_exchange *x)
{
	rest_link_forget(x);
	rest_message_batch_free(GH_TAKE(x->batch));
	gh_call_cancel(GH_TAKE(x->call));
	if (x->link)
		rest_link_release(GH_TAKE(x->link));
	rest_set(x, REST_ANSWERED, 0);
}

static enum rest_step rest_refused(struct rest_exchange *x, const gh_error *err)
{
	rest_settle(x);
	rest_text_refusal(x, 0, err->status, err->code, err->text, "");
	return x->step;
}

enum rest_step rest_refuse(struct rest_exchange *x, struct rest_conn *conn, uint16_t http, gh_status status,
	const char *code, const char *text)
{
	assert(x->step != REST_ANSWERED);
	x->conn = conn;
	rest_settle(x);
	rest_text_refusal(x, http, status, code, text, "");
	return x->step;
}

const struct rest_answer *rest_answer(const struct rest_exchange *x)
{
	assert(x->step == REST_ANSWERED);
	return &x->answer;
}

void rest_end(struct rest_exchange *x)
{
	if (!x->conn)
		return;
	rest_settle(x);
	rest_text_free(GH_TAKE(x->texts));
}

/* ---- the head ---- */

static gh_bytes rest_field_find(const struct rest_request *request, const char *name)
{
	gh_bytes wanted = text_of(name);
	for (size_t i = 0; i < request->field_count; i++)
		if (request->fields[i].name.len == wanted.len && text_equal_nocase(request->fields[i].name, wanted))
			return request->fields[i].value;
	return (gh_bytes){NULL, 0};
}

static enum rest_step rest_begin_send(
	struct rest_exchange *x, const struct rest_request *request, const struct rest_path *path, uint64_t now_ms)
{
	gh_error err = {0};
	struct rest_claim claim = {
		.device_id = path->ids[0],
		.token = rest_field_find(request, "authorization"),
		.client_info = rest_field_find(request, "user-agent"),
	};
	uint64_t token_max = gh_worker_limits(x->conn->worker)->token_bytes_max;
	if (claim.device_id.len > REST_ID_BYTES_MAX || claim.token.len > token_max || claim.token.len > UINT16_MAX) {
		gh_fail(&err, GH_UNAUTHORIZED, "claim_too_long", "the device id or the token is too long");
		claim.device_id.len = 0;
		rest_link_refused(x->conn, &claim, &err);
		return rest_refused(x, &err);
	}
	if (rest_link_hold(x->conn, &claim, now_ms, &x->link, &err) != GH_OK)
		return rest_refused(x, &err);
	x->body_max = gh_worker_limits(x->conn->worker)->message_bytes_max;
	return rest_set(x, REST_BODY, now_ms);
}

/* The versions there were; what they differ in, nobody asks for here (service contract 2.1). */
static bool rest_version_known(gh_bytes version)
{
	static const char *const versions[] = {"2018-06-30", "2019-07-01-preview", "2019-10-01", "2020-03-01",
		"2020-03-13", "2020-05-31-preview", "2020-09-30", "2021-04-12"};
	for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
		if (text_equal_nocase(version, text_of(versions[i])))
			return true;
	return false;
}

static enum rest_step rest_begin_service(
	struct rest_exchange *x, const struct rest_request *request, const struct rest_path *path, uint64_t now_ms)
{
	gh_error err = {0};
	gh_bytes version;
	gh_service_claim claim = {
		.transport = x->conn->transport,
		.token = rest_field_find(request, "authorization"),
		.rights = x->route->rights,
		.segment_count = path->count - (x->route->flags & REST_OF_ALL ? 1 : 0),
		.client_info = rest_field_find(request, "user-agent"),
		.peer = x->conn->wire->ops->peer(x->conn->wire),
	};
	assert(path->count <= GH_RESOURCE_SEGMENTS_MAX);
	memcpy(claim.segments, path->segments, path->count * sizeof *claim.segments);
	if (gh_service_authorize(x->conn->worker, &claim, &err) != GH_OK)
		return rest_refused(x, &err);
	if (!rest_route_parameter(path, "api-version", &version) || !rest_version_known(version)) {
		gh_fail(&err, GH_INVALID, "api_version", "api-version is missing or none of this hub's");
		return rest_refused(x, &err);
	}
	x->body_max = gh_worker_limits(x->conn->worker)->http_service_body_bytes_max;
	return rest_set(x, REST_BODY, now_ms);
}

static enum rest_step rest_begin_not_built(
	struct rest_exchange *x, const struct rest_request *request, const struct rest_path *path, uint64_t now_ms)
{
	(void)request, (void)path, (void)now_ms;
	gh_error err;
	gh_fail(&err, GH_UNAVAILABLE, "not_built",
		"This part of the contract is not served by this version of Gatehouse.");
	return rest_refused(x, &err);
}

/* What a handshake has to be depends on the version of HTTP; that is the engine's matter. */
static enum rest_step rest_begin_websocket(
	struct rest_exchange *x, const struct rest_request *request, const struct rest_path *path, uint64_t now_ms)
{
	if (!x->conn->wire->ops->upgrade)
		return rest_begin_not_built(x, request, path, now_ms);
	return rest_set(x, REST_UPGRADE, now_ms);
}

enum rest_step rest_begin(
	struct rest_exchange *x, struct rest_conn *conn, const struct rest_request *request, uint64_t now_ms)
{
	static enum rest_step (*const begin[])(struct rest_exchange * x, const struct rest_request *request,
		const struct rest_path *path, uint64_t now_ms) = {
		[REST_SEND] = rest_begin_send,
		[REST_SERVICE] = rest_begin_service,
		[REST_WEBSOCKET] = rest_begin_websocket,
		[REST_NOT_BUILT] = rest_begin_not_built,
	};
	struct rest_path path;
	char allow[REST_ALLOW_BYTES];
	gh_error err = {0};
	x->conn = conn;
	if (rest_route_find(request->method, request->target, &path, &x->route, allow, &err) == GH_OK)
		return begin[x->route->kind](x, request, &path, now_ms);
	rest_settle(x);
	rest_text_refusal(x, 0, err.status, err.code, err.text, allow);
	return x->step;
}

/* ---- telemetry ---- */

static bool rest_is_batch(const struct rest_request *request)
{
	gh_bytes type, parameters;
	text_cut(rest_field_find(request, "content-type"), ';', &type, &parameters);
	while (type.len && type.data[type.len - 1] == ' ')
		type.len--;
	return text_equal_nocase(type, text_of(REST_MESSAGE_BATCH_TYPE));
}

static gh_bytes rest_device(const struct rest_exchange *x)
{
	return (gh_bytes){(const uint8_t *)x->link->text, x->link->device_len};
}

static gh_status rest_send_one(
	struct rest_exchange *x, const struct rest_request *request, gh_bytes body, uint64_t now_ms, gh_error *ret_err)
{
	gh_draft *draft = gh_worker_draft(x->conn->worker);
	gh_status status = rest_message_fields(request, rest_device(x), draft, ret_err);
	if (status == GH_OK)
		status = gh_draft_body(draft, body, ret_err);
	if (status != GH_OK)
		return status;
	status = rest_link_submit(x, draft, now_ms);
	return status == GH_OK || status == GH_AGAIN
		       ? status
		       : gh_fail(ret_err, status, "message_refused", "the message was refused");
}

/* All are looked at before the first is handed over: a batch with a fault in it stores nothing. */
static gh_status rest_batch_check(struct rest_exchange *x, gh_bytes body, gh_error *ret_err)
{
	gh_worker *worker = x->conn->worker;
	gh_status status = rest_message_batch_new(body, gh_worker_limits(worker), &x->batch, ret_err);
	for (size_t i = 0; status == GH_OK && i < rest_message_batch_count(x->batch); i++)
		status = rest_message_batch_fill(x->batch, i, rest_device(x), gh_worker_draft(worker), ret_err);
	return status;
}

static gh_status rest_send_batch(struct rest_exchange *x, gh_bytes body, uint64_t now_ms, gh_error *ret_err)
{
	gh_worker *worker = x->conn->worker;
	if (!x->batch) {
		gh_status status = rest_batch_check(x, body, ret_err);
		if (status != GH_OK)
			return status;
	}
	while (x->batch_next < rest_message_batch_count(x->batch)) {
		gh_draft *draft = gh_worker_draft(worker);
		gh_status status = rest_message_batch_fill(x->batch, x->batch_next, rest_device(x), draft, ret_err);
		if (status != GH_OK)
			return status;
		status = rest_link_submit(x, draft, now_ms);
		if (status == GH_AGAIN)
			return status;
		if (status != GH_OK)
			return gh_fail(ret_err, status, "message_refused", "the batch was refused half-way");
		x->batch_next++;
	}
	rest_message_batch_free(GH_TAKE(x->batch)); /* many times as large as its text; what is stored are copies */
	return GH_OK;
}

void rest_exchange_settled(struct rest_exchange *x, gh_status status)
{
	gh_error err;
	if (status == GH_OK) {
		rest_settle(x);
		rest_text_done(x);
	} else {
		gh_fail(&err, status, "not_stored", "The message could not be stored now.");
		rest_refused(x, &err);
	}
	x->conn->ops->answered(x);
}

void rest_exchange_writable(struct rest_conn *conn)
{
	for (struct rest_exchange *x = conn->waiting; x; x = x->next)
		if (x->step == REST_BLOCKED) {
			conn->ops->writable(x);
			return;
		}
}

static enum rest_step rest_run_send(
	struct rest_exchange *x, const struct rest_request *request, gh_bytes body, uint64_t now_ms)
{
	gh_error err = {0};
	gh_status status = x->batch || rest_is_batch(request) ? rest_send_batch(x, body, now_ms, &err)
							      : rest_send_one(x, request, body, now_ms, &err);
	if (status == GH_AGAIN)
		return rest_set(x, REST_BLOCKED, now_ms);
	if (status != GH_OK)
		return rest_refused(x, &err);
	if (!rest_link_submitted(x))
		return rest_set(x, REST_WAIT, now_ms);
	/* A batch that waited for room half-way: what was settled meanwhile was all of it. */
	status = x->send->worst;
	if (status != GH_OK) {
		gh_fail(&err, status, "not_stored", "The messages could not be stored now.");
		return rest_refused(x, &err);
	}
	rest_settle(x);
	rest_text_done(x);
	return x->step;
}

/* ---- service ---- */

static void rest_service_done(void *context, const gh_service_answer *answer)
{
	struct rest_exchange *x = context;
	x->call = NULL;
	rest_settle(x);
	rest_text_service(x, answer, x->route->flags & REST_EMPTY_OK);
	x->conn->ops->answered(x);
}

/* Absent or empty is 0, the default. */
static gh_status rest_page_size(gh_bytes text, uint64_t *ret_size, gh_error *ret_err)
{
	*ret_size = 0;
	if (text.len == 0 || (text_u64(text, ret_size) && *ret_size > 0))
		return GH_OK;
	return gh_fail(ret_err, GH_INVALID, "page_size", "the page size is not a whole number of at least 1");
}

static gh_status rest_service_request(struct rest_exchange *x, const struct rest_request *request,
	const struct rest_path *path, gh_service_request *ret_request, gh_error *ret_err)
{
	gh_bytes size = {NULL, 0};
	gh_bytes etag = rest_field_find(request, "if-match");
	*ret_request = (gh_service_request){
		.op = x->route->op,
		.device_id = path->ids[0],
		.module_id = path->ids[1],
		.has_etag = etag.len > 0,
		.etag = etag,
	};
	if (x->route->flags & REST_PAGES) {
		size = rest_field_find(request, "x-ms-max-item-count");
		ret_request->continuation = rest_field_find(request, "x-ms-continuation");
	}
	if (x->route->flags & REST_SETS_TOP)
		rest_route_parameter(path, "top", &size);
	return rest_page_size(size, &ret_request->count_max, ret_err);
}

static enum rest_step rest_run_service(
	struct rest_exchange *x, const struct rest_request *request, gh_bytes body, uint64_t now_ms)
{
	struct rest_path path;
	const struct rest_route *route;
	char allow[REST_ALLOW_BYTES];
	gh_service_request service;
	gh_error err = {0};
	gh_status status = rest_route_find(request->method, request->target, &path, &route, allow, &err);
	assert(status == GH_OK && route == x->route); /* the request is what it was */
	status = rest_service_request(x, request, &path, &service, &err);
	if (status != GH_OK)
		return rest_refused(x, &err);
	service.body = body;
	status = gh_service_call(x->conn->worker, &service, rest_service_done, x, &x->call);
	if (status == GH_OK)
		return rest_set(x, REST_WAIT, now_ms);
	gh_fail(&err, status, "service_busy", "Too many requests are being served. Try again.");
	return rest_refused(x, &err);
}

enum rest_step rest_run(struct rest_exchange *x, const struct rest_request *request, gh_bytes body, uint64_t now_ms)
{
	assert(x->step == REST_BODY || x->step == REST_BLOCKED);
	return (x->route->kind == REST_SEND ? rest_run_send : rest_run_service)(x, request, body, now_ms);
}

/* ---- time ---- */

uint64_t rest_tick(struct rest_conn *conn, uint64_t now_ms)
{
	uint64_t max = gh_worker_limits(conn->worker)->record_ms_max;
	rest_link_sweep(conn);
	while (conn->waiting && conn->waiting->since_ms + max <= now_ms) {
		struct rest_exchange *x = conn->waiting;
		gh_error err;
		gh_fail(&err, GH_UNKNOWN, "not_stored",
			"The request was not served in time. It may still have an effect.");
		rest_refused(x, &err);
		conn->ops->answered(x);
	}
	return conn->waiting ? conn->waiting->since_ms + max : 0;
}
