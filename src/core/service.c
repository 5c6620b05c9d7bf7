#include "src/core/service.h"

#include "src/base/take.h"
#include "src/core/link.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct gh_call {
	gh_task task;
	gh_worker *worker;
	gh_service_done *done;
	void *context;
	atomic_bool cancelled; /* set on the worker's thread */
	gh_service_request request;
	struct registry_answer answer;
	uint8_t bytes[]; /* what the request points at */
};

/* ---- making one ---- */

static gh_bytes call_copy(gh_bytes bytes, uint8_t **room)
{
	gh_bytes copy = {*room, bytes.len};
	if (bytes.len)
		memcpy(*room, bytes.data, bytes.len);
	*room += bytes.len;
	return copy;
}

static gh_call *call_new(const gh_service_request *request)
{
	size_t len = request->device_id.len + request->module_id.len + request->etag.len + request->body.len +
		     request->continuation.len;
	gh_call *call = malloc(sizeof *call + len);
	if (!call)
		return NULL;
	uint8_t *room = call->bytes;
	*call = (gh_call){.request = *request};
	call->request.device_id = call_copy(request->device_id, &room);
	call->request.module_id = call_copy(request->module_id, &room);
	call->request.etag = call_copy(request->etag, &room);
	call->request.body = call_copy(request->body, &room);
	call->request.continuation = call_copy(request->continuation, &room);
	assert(room == call->bytes + len);
	return call;
}

/* ---- its way ---- */

/* Back on the worker's thread. */
static void call_back(gh_task *task, uint64_t now_ms)
{
	(void)now_ms;
	gh_call *call = GH_CONTAINER(task, gh_call, task);
	const struct registry_answer *got = &call->answer;
	gh_service_answer answer = {
		.status = got->status,
		.err = got->err,
		.body = {(const uint8_t *)got->body, got->body_len},
		.etag = got->etag,
		.continuation = {(const uint8_t *)got->continuation, strlen(got->continuation)},
		.item_type = got->item_type ? got->item_type : "",
	};
	call->worker->calls--;
	atomic_fetch_sub(&call->worker->service->calls, 1);
	if (!atomic_load_explicit(&call->cancelled, memory_order_relaxed))
		call->done(call->context, &answer);
	registry_answer_done(&call->answer);
	free(call);
}

/* Nobody would hear what it tells, and it does nothing else: those who gave up must not keep the thread from those who
 * did not.  A change is made all the same. */
static bool call_is_pointless(const gh_call *call)
{
	static const bool changes[GH_SERVICE_OP_COUNT] = {
		[GH_SERVICE_IDENTITY_PUT] = true,
		[GH_SERVICE_IDENTITY_DELETE] = true,
		[GH_SERVICE_BULK] = true,
	};
	return atomic_load_explicit(&call->cancelled, memory_order_relaxed) && !changes[call->request.op];
}

/* On the thread that may wait. */
static void call_serve(gh_task *task, uint64_t now_ms)
{
	(void)now_ms;
	gh_call *call = GH_CONTAINER(task, gh_call, task);
	gh_host *host = call->worker->host;
	if (!call_is_pointless(call))
		registry_serve(&call->worker->service->registry, &call->request, &call->answer);
	call->task.run = call_back;
	host->ops->post(host, &call->task);
}

gh_status gh_service_call(
	gh_worker *worker, const gh_service_request *request, gh_service_done *done, void *context, gh_call **ret_call)
{
	struct service *service = worker->service;
	if (!service->host)
		return GH_UNAVAILABLE;
	if (atomic_fetch_add(&service->calls, 1) >= worker->limits->service_calls_max) {
		atomic_fetch_sub(&service->calls, 1);
		return GH_AGAIN;
	}
	gh_call *call = call_new(request);
	if (!call) {
		atomic_fetch_sub(&service->calls, 1);
		return GH_NO_MEMORY;
	}
	call->worker = worker;
	call->done = done;
	call->context = context;
	call->task.run = call_serve;
	worker->calls++;
	*ret_call = call;
	service->host->ops->post(service->host, &call->task);
	return GH_OK;
}

void gh_call_cancel(gh_call *call)
{
	if (call)
		atomic_store_explicit(&call->cancelled, true, memory_order_relaxed);
}
