#include "tests/unit/core_double.h"

#include "src/base/limits.h"
#include "src/base/text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

void core_double_init(gh_worker *worker)
{
	memset(worker, 0, sizeof *worker);
	limits_defaults(&worker->limits);
	worker->draft = gh_draft_new(&worker->limits);
	assert(worker->draft);
}

void core_double_done(gh_worker *worker)
{
	assert(worker->reserved == 0);
	for (size_t i = 0; i < worker->call_count; i++) {
		assert(worker->calls[i]->cancelled || worker->calls[i]->answered);
		free(worker->calls[i]);
	}
	for (size_t i = 0; i < worker->record_count; i++)
		gh_message_unref(worker->records[i].message);
	gh_draft_free(worker->draft);
	while (worker->links) {
		gh_link *link = worker->links;
		assert(link->closed);
		worker->links = link->next;
		free(link);
	}
}

const struct log *gh_worker_log(const gh_worker *worker)
{
	return worker->log;
}

void gh_link_refused(gh_worker *worker, const gh_link_request *request, const gh_error *err)
{
	(void)request;
	assert(err->code);
	worker->refused++;
}

const gh_limits *gh_worker_limits(const gh_worker *worker)
{
	return &worker->limits;
}

bool gh_worker_knows_host(const gh_worker *worker, gh_bytes host)
{
	return !worker->host || text_equal_nocase(host, text_of(worker->host));
}

uint64_t gh_worker_wall_ms(const gh_worker *worker)
{
	return worker->wall_ms;
}

void gh_worker_random(gh_worker *worker, void *ret_bytes, size_t len)
{
	(void)worker;
	memset(ret_bytes, 0xa5, len);
}

bool gh_worker_reserve(gh_worker *worker, size_t bytes)
{
	if (bytes > worker->limits.http_receiving_bytes_max - worker->reserved)
		return false;
	worker->reserved += bytes;
	return true;
}

void gh_worker_release(gh_worker *worker, size_t bytes)
{
	assert(bytes <= worker->reserved);
	worker->reserved -= bytes;
}

gh_draft *gh_worker_draft(gh_worker *worker)
{
	gh_draft_reset(worker->draft);
	return worker->draft;
}

static void double_text(char *room, size_t size, gh_bytes text)
{
	snprintf(room, size, "%.*s", (int)text.len, text.len ? (const char *)text.data : "");
}

static void double_remember(struct core_double_request *seen, const gh_link_request *request)
{
	double_text(seen->host, sizeof seen->host, request->host);
	double_text(seen->device_id, sizeof seen->device_id, request->device_id);
	double_text(seen->module_id, sizeof seen->module_id, request->module_id);
	double_text(seen->token, sizeof seen->token, request->token);
	double_text(seen->model_id, sizeof seen->model_id, request->model_id);
	double_text(seen->client_info, sizeof seen->client_info, request->client_info);
	double_text(seen->address, sizeof seen->address, text_of(request->peer.address));
	seen->session_clean = request->session_clean;
	seen->sessionless = request->sessionless;
	seen->unseen = request->unseen;
	seen->displaces = request->displaces;
}

gh_status gh_link_open(gh_worker *worker, const gh_link_request *request, const gh_link_ops *ops, void *context,
	uint64_t now_ms, gh_link **ret_link, bool *ret_session_present, gh_error *ret_err)
{
	(void)now_ms;
	assert(strcmp(request->transport, "mqtt") == 0 || strcmp(request->transport, "https") == 0 ||
		strcmp(request->transport, "amqp") == 0);
	worker->open_count++;
	double_remember(&worker->request, request);
	if (worker->open_status != GH_OK && worker->open_status != GH_AGAIN)
		return gh_fail(ret_err, worker->open_status, "double", "as the test said");
	gh_link *link = calloc(1, sizeof *link);
	assert(link);
	link->worker = worker;
	link->ops = ops;
	link->context = context;
	link->next = worker->links;
	link->opening = worker->open_status == GH_AGAIN;
	double_text(link->device_id, sizeof link->device_id, request->device_id);
	double_text(link->module_id, sizeof link->module_id, request->module_id);
	memset(link->subscriptions, GH_QOS_NONE, sizeof link->subscriptions);
	worker->links = link;
	*ret_link = link;
	if (!link->opening)
		*ret_session_present = worker->session_present;
	return worker->open_status;
}

void gh_link_close(gh_link *link)
{
	if (!link)
		return;
	assert(!link->closed && !link->calling);
	link->closed = true;
}

gh_status gh_link_submit(gh_link *link, const gh_draft *draft, void *cookie, uint64_t now_ms)
{
	gh_worker *worker = link->worker;
	assert(!link->closed && !link->opening && !link->calling);
	worker->submit_count++;
	if (worker->submit_status != GH_OK)
		return worker->submit_status;
	assert(worker->record_count < sizeof worker->records / sizeof *worker->records);
	gh_stamps stamps = {
		.device_id = text_of(link->device_id),
		.module_id = text_of(link->module_id),
		.generation_id = text_of("1"),
		.auth_method = GH_AUTH_DEVICE_SAS,
		.source = GH_SOURCE_TELEMETRY,
		.enqueued_ms = now_ms,
	};
	gh_message *message = gh_message_freeze(draft, &stamps);
	assert(message);
	worker->records[worker->record_count++] = (struct core_double_record){message, link, cookie, false};
	if (worker->submit_room > 0 && --worker->submit_room == 0)
		worker->submit_status = GH_AGAIN;
	return GH_OK;
}

gh_status gh_link_subscribe(gh_link *link, const uint8_t qos[GH_SUB_COUNT], void *cookie)
{
	gh_worker *worker = link->worker;
	assert(!link->closed && !link->opening && !link->calling && !link->revoking && !link->subscribing);
	worker->subscribe_count++;
	if (worker->subscribe_status != GH_OK && worker->subscribe_status != GH_AGAIN)
		return worker->subscribe_status;
	memcpy(link->subscriptions, qos, GH_SUB_COUNT);
	link->subscribing = worker->subscribe_status == GH_AGAIN;
	link->subscribe_cookie = cookie;
	return worker->subscribe_status;
}

const uint8_t *gh_link_subscriptions(const gh_link *link)
{
	assert(!link->closed && !link->opening);
	return link->subscriptions;
}

/* ---- service ---- */

gh_status gh_service_authorize(gh_worker *worker, const gh_service_claim *claim, gh_error *ret_err)
{
	size_t len = 0;
	worker->authorize_count++;
	worker->rights_asked = claim->rights;
	worker->resource[0] = '\0';
	for (size_t i = 0; i < claim->segment_count; i++)
		len += (size_t)snprintf(worker->resource + len, sizeof worker->resource - len, "/%.*s",
			(int)claim->segments[i].len, (const char *)claim->segments[i].data);
	double_text(worker->service_token, sizeof worker->service_token, claim->token);
	return worker->authorize_status == GH_OK
		       ? GH_OK
		       : gh_fail(ret_err, worker->authorize_status, "double", "as the test said");
}

gh_status gh_service_call(
	gh_worker *worker, const gh_service_request *request, gh_service_done *done, void *context, gh_call **ret_call)
{
	if (worker->call_status != GH_OK)
		return worker->call_status;
	gh_call *call = calloc(1, sizeof *call);
	assert(call && worker->call_count < sizeof worker->calls / sizeof *worker->calls);
	*call = (gh_call){.worker = worker,
		.done = done,
		.context = context,
		.op = request->op,
		.has_etag = request->has_etag,
		.count_max = request->count_max};
	double_text(call->device_id, sizeof call->device_id, request->device_id);
	double_text(call->module_id, sizeof call->module_id, request->module_id);
	double_text(call->etag, sizeof call->etag, request->etag);
	double_text(call->body, sizeof call->body, request->body);
	double_text(call->continuation, sizeof call->continuation, request->continuation);
	worker->calls[worker->call_count++] = call;
	*ret_call = call;
	return GH_OK;
}

void gh_call_cancel(gh_call *call)
{
	if (!call)
		return;
	assert(!call->cancelled && !call->answered);
	call->cancelled = true;
}

void core_double_answer(gh_worker *worker, size_t index, const gh_service_answer *answer)
{
	assert(index < worker->call_count);
	gh_call *call = worker->calls[index];
	if (call->cancelled)
		return;
	assert(!call->answered);
	call->answered = true;
	call->done(call->context, answer);
}

/* ---- callbacks ---- */

void core_double_opened(gh_link *link, gh_status status, bool session_present)
{
	if (link->closed)
		return;
	link->opening = false;
	link->closed = status != GH_OK;
	link->calling = true;
	link->ops->opened(link->context, status, session_present);
	link->calling = false;
}

void core_double_settle(gh_worker *worker, size_t index, gh_status status)
{
	assert(index < worker->record_count);
	struct core_double_record *record = &worker->records[index];
	assert(!record->settled);
	record->settled = true;
	if (record->link->closed)
		return;
	record->link->calling = true;
	record->link->ops->settled(record->link->context, record->cookie, status);
	record->link->calling = false;
}

void core_double_settle_all(gh_worker *worker, gh_status status)
{
	for (size_t i = 0; i < worker->record_count; i++)
		if (!worker->records[i].settled)
			core_double_settle(worker, i, status);
}

void core_double_subscribed(gh_link *link, gh_status status)
{
	if (link->closed || !link->subscribing)
		return;
	link->subscribing = false;
	link->calling = true;
	link->ops->settled(link->context, link->subscribe_cookie, status);
	link->calling = false;
}

void core_double_writable(gh_link *link)
{
	link->worker->submit_status = GH_OK;
	if (link->closed)
		return;
	link->calling = true;
	link->ops->writable(link->context);
	link->calling = false;
}

void core_double_revoke(gh_link *link, gh_status why)
{
	if (link->closed)
		return;
	link->revoking = true;
	link->ops->revoked(link->context, why);
}

size_t core_double_links_open(const gh_worker *worker)
{
	size_t count = 0;
	for (const gh_link *link = worker->links; link; link = link->next)
		count += !link->closed;
	return count;
}
