#include "src/core/registry_service.h"

#include "src/base/take.h"
#include "src/base/text.h"
#include "src/core/registry_bulk.h"
#include "src/core/registry_document.h"
#include "src/core/registry_query.h"

#include <assert.h>
#include <stdio.h>

enum { QUERY_ROWS_DEFAULT = 100, ETAG_BYTES_MAX = 256 };

/* The identity of the path, as texts; ids that no identity can have do not get here. */
struct ids {
	char device[REGISTRY_ID_BYTES_MAX + 1];
	char module[REGISTRY_ID_BYTES_MAX + 1]; /* "" = the device */
};

static void json_release(json_t **value)
{
	json_decref(*value);
}

static void query_release(struct query **query)
{
	query_free(*query);
}

static gh_status service_no_memory(gh_error *err)
{
	return gh_fail(err, GH_NO_MEMORY, "no_memory", "no memory for an answer of the registry");
}

/* ---- what was asked ---- */

static void service_copy_id(gh_bytes id, char ret_text[REGISTRY_ID_BYTES_MAX + 1])
{
	assert(id.len <= REGISTRY_ID_BYTES_MAX);
	if (id.len > 0)
		memcpy(ret_text, id.data, id.len);
	ret_text[id.len] = '\0';
}

static gh_status service_read_ids(const gh_service_request *request, struct ids *ret_ids, gh_error *ret_err)
{
	if (!registry_id_allowed(request->device_id))
		return gh_fail(ret_err, GH_NOT_FOUND, "device_not_found", "no device can have that id");
	if (request->module_id.len > 0 && !registry_id_allowed(request->module_id))
		return gh_fail(ret_err, GH_NOT_FOUND, "module_not_found", "no module can have that id");
	service_copy_id(request->device_id, ret_ids->device);
	service_copy_id(request->module_id, ret_ids->module);
	return GH_OK;
}

/* NULL when none was given.  One that does not fit in the room is no etag of ours. */
static const char *service_read_etag(const gh_service_request *request, char room[ETAG_BYTES_MAX + 1])
{
	gh_bytes etag = request->etag;
	if (!request->has_etag)
		return NULL;
	if (etag.len > ETAG_BYTES_MAX)
		etag.len = 0;
	if (etag.len > 0)
		memcpy(room, etag.data, etag.len);
	room[etag.len] = '\0';
	return room;
}

static gh_status service_read_body(
	const gh_service_request *request, json_type type, const char *what, json_t **ret_body, gh_error *ret_err)
{
	json_error_t why = {.line = 0};
	json_t *body = json_loadb((const char *)request->body.data, request->body.len, JSON_REJECT_DUPLICATES, &why);
	if (!body)
		return gh_fail(ret_err, GH_MALFORMED, "body_json", "the body is not JSON, at line %d, column %d",
			why.line, why.column);
	if (json_typeof(body) != type) {
		json_decref(body);
		return gh_fail(ret_err, GH_MALFORMED, "body_form", "the body is not %s", what);
	}
	*ret_body = body;
	return GH_OK;
}

/* `count` of the request, within what one answer holds. */
static uint64_t service_count(const struct registry_service *s, const gh_service_request *request, uint64_t absent)
{
	uint64_t count = request->count_max > 0 ? request->count_max : absent;
	return count < s->registry->limits->registry_page_max ? count : s->registry->limits->registry_page_max;
}

/* ---- what is answered ---- */

/* Takes json, NULL = there was no memory for it. */
static gh_status service_answer(struct registry_answer *answer, json_t *json)
{
	answer->body = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (!answer->body)
		return service_no_memory(&answer->err);
	answer->body_len = strlen(answer->body);
	return GH_OK;
}

static gh_status service_answer_identity(
	const struct registry_service *s, const json_t *document, struct registry_answer *answer)
{
	const char *etag = json_string_value(json_object_get(document, "etag"));
	snprintf(answer->etag, sizeof answer->etag, "%s", etag ? etag : "");
	return service_answer(answer, registry_view_identity(document, &s->presence));
}

/* GH_UNKNOWN: it may have been stored, and a credential that may be gone is looked at again. */
static void service_tell_changed(const struct registry_service *s, gh_status status, const char *device_id)
{
	if (status == GH_OK || status == GH_UNKNOWN)
		s->changed(s->context, text_of(device_id));
}

/* ---- one identity ---- */

static gh_status service_identity_get(
	const struct registry_service *s, const gh_service_request *request, struct registry_answer *answer)
{
	struct ids ids;
	GH_CLEANUP(json_release) json_t *document = NULL;
	gh_status status = service_read_ids(request, &ids, &answer->err);
	if (status == GH_OK)
		status = registry_device_get(s->registry, ids.device, ids.module, &document, &answer->err);
	return status == GH_OK ? service_answer_identity(s, document, answer) : status;
}

/* The document and the path must speak of the same identity. */
static gh_status service_read_document(const gh_service_request *request, json_t **ret_document, gh_error *ret_err)
{
	GH_CLEANUP(json_release) json_t *document = NULL;
	gh_bytes device_id, module_id;
	gh_status status = service_read_body(request, JSON_OBJECT, "a JSON object", &document, ret_err);
	if (status == GH_OK)
		status = registry_document_ids(document, &device_id, &module_id, ret_err);
	if (status != GH_OK)
		return status;
	if (!text_equal(device_id, request->device_id) || !text_equal(module_id, request->module_id))
		return gh_fail(ret_err, GH_INVALID, "id_mismatch",
			"deviceId and moduleId of the document are not those of the path");
	*ret_document = GH_TAKE(document);
	return GH_OK;
}

static gh_status service_identity_put(
	const struct registry_service *s, const gh_service_request *request, struct registry_answer *answer)
{
	char room[ETAG_BYTES_MAX + 1];
	const char *etag = service_read_etag(request, room);
	GH_CLEANUP(json_release) json_t *given = NULL;
	GH_CLEANUP(json_release) json_t *made = NULL;
	gh_status status = service_read_document(request, &given, &answer->err);
	if (status != GH_OK)
		return status;
	status = registry_device_update(s->registry, given, etag, &made, &answer->err);
	if (etag)
		service_tell_changed(s, status, json_string_value(json_object_get(given, "deviceId")));
	return status == GH_OK ? service_answer_identity(s, made, answer) : status;
}

static gh_status service_identity_delete(
	const struct registry_service *s, const gh_service_request *request, struct registry_answer *answer)
{
	struct ids ids;
	char room[ETAG_BYTES_MAX + 1];
	const char *etag = service_read_etag(request, room);
	gh_status status = service_read_ids(request, &ids, &answer->err);
	if (status != GH_OK)
		return status;
	status = registry_device_delete(s->registry, ids.device, ids.module, etag, &answer->err);
	service_tell_changed(s, status, ids.device);
	return status;
}

/* ---- many identities ---- */

struct list {
	const struct registry_presence *presence;
	json_t *views;
	uint64_t max;
};

static enum registry_page_step service_list_visit(void *context, const json_t *document)
{
	struct list *list = context;
	if (json_array_size(list->views) == list->max)
		return REGISTRY_PAGE_FULL;
	int failed = json_array_append_new(list->views, registry_view_identity(document, list->presence));
	return failed ? REGISTRY_PAGE_NO_MEMORY : REGISTRY_PAGE_NEXT;
}

static gh_status service_device_list(
	const struct registry_service *s, const gh_service_request *request, struct registry_answer *answer)
{
	GH_CLEANUP(json_release) json_t *views = json_array();
	struct list list = {&s->presence, views, service_count(s, request, UINT64_MAX)};
	struct registry_page page = {.visit = service_list_visit, .context = &list};
	gh_status status = registry_page_resume(&page, request->continuation, &answer->err);
	if (status == GH_OK)
		status = registry_page_walk(s->registry, &page, &answer->err);
	if (status != GH_OK)
		return status;
	registry_page_token(&page, answer->continuation);
	return service_answer(answer, GH_TAKE(views));
}

/* All of them: modules_per_device_max held when they were made. */
static gh_status service_module_list(
	const struct registry_service *s, const gh_service_request *request, struct registry_answer *answer)
{
	struct ids ids;
	size_t i;
	json_t *document;
	GH_CLEANUP(json_release) json_t *documents = NULL;
	gh_status status = service_read_ids(request, &ids, &answer->err);
	if (status == GH_OK)
		status = registry_device_list(s->registry, ids.device, "", SIZE_MAX, &documents, &answer->err);
	if (status != GH_OK)
		return status;
	json_array_foreach(documents, i, document)
	{
		if (json_array_set_new(documents, i, registry_view_identity(document, &s->presence)) != 0)
			return service_no_memory(&answer->err);
	}
	return service_answer(answer, GH_TAKE(documents));
}

static gh_status service_bulk(
	const struct registry_service *s, const gh_service_request *request, struct registry_answer *answer)
{
	struct registry_bulk bulk = {s->registry, s->changed, s->context};
	GH_CLEANUP(json_release) json_t *records = NULL;
	json_t *result = NULL;
	gh_status status = service_read_body(request, JSON_ARRAY, "a JSON array", &records, &answer->err);
	if (status == GH_OK)
		status = registry_bulk_run(&bulk, records, &result, &answer->err);
	if (!result)
		return status;
	gh_status answered = service_answer(answer, result);
	return answered == GH_OK ? status : answered;
}

/* ---- queries ---- */

static gh_status service_read_query(const struct registry_service *s, const gh_service_request *request,
	struct query **ret_query, gh_error *ret_err)
{
	GH_CLEANUP(json_release) json_t *body = NULL;
	gh_status status = service_read_body(request, JSON_OBJECT, "a JSON object", &body, ret_err);
	if (status != GH_OK)
		return status;
	const json_t *text = json_object_get(body, "query");
	if (!json_is_string(text))
		return gh_fail(ret_err, GH_MALFORMED, "body_form", "the body has no text called query");
	return query_parse(text_of(json_string_value(text)), s->registry->limits, ret_query, ret_err);
}

static gh_status service_query(
	const struct registry_service *s, const gh_service_request *request, struct registry_answer *answer)
{
	GH_CLEANUP(query_release) struct query *query = NULL;
	json_t *rows;
	gh_status status = service_read_query(s, request, &query, &answer->err);
	struct registry_query q = {
		.registry = s->registry,
		.presence = &s->presence,
		.query = query,
		.rows_max = service_count(s, request, QUERY_ROWS_DEFAULT),
	};
	if (status == GH_OK)
		status = registry_page_resume(&q.page, request->continuation, &answer->err);
	if (status == GH_OK)
		status = registry_query_page(&q, &rows, &answer->err);
	if (status != GH_OK)
		return status;
	registry_page_token(&q.page, answer->continuation);
	answer->item_type = query->kind == QUERY_TWINS ? "Twin" : "Raw";
	return service_answer(answer, rows);
}

/* ---- statistics ---- */

struct statistics {
	json_int_t total;
	json_int_t enabled;
};

static enum registry_page_step service_statistics_visit(void *context, const json_t *document)
{
	struct statistics *statistics = context;
	const char *status = json_string_value(json_object_get(document, "status"));
	statistics->total++;
	statistics->enabled += status && strcmp(status, "enabled") == 0;
	return REGISTRY_PAGE_NEXT;
}

/* One walk over all devices. */
static gh_status service_device_statistics(
	const struct registry_service *s, const gh_service_request *request, struct registry_answer *answer)
{
	(void)request;
	struct statistics statistics = {0};
	struct registry_page page = {.visit = service_statistics_visit, .context = &statistics};
	gh_status status = registry_page_walk(s->registry, &page, &answer->err);
	if (status != GH_OK)
		return status;
	return service_answer(
		answer, json_pack("{s:I, s:I, s:I}", "totalDeviceCount", statistics.total, "enabledDeviceCount",
				statistics.enabled, "disabledDeviceCount", statistics.total - statistics.enabled));
}

static gh_status service_connection_statistics(
	const struct registry_service *s, const gh_service_request *request, struct registry_answer *answer)
{
	(void)request;
	json_int_t connected = (json_int_t)s->presence.connected_devices(s->presence.context);
	return service_answer(answer, json_pack("{s:I}", "connectedDeviceCount", connected));
}

/* ---- the table ---- */

static gh_status (*const service_table[GH_SERVICE_OP_COUNT])(
	const struct registry_service *s, const gh_service_request *request, struct registry_answer *answer) = {
	[GH_SERVICE_IDENTITY_GET] = service_identity_get,
	[GH_SERVICE_IDENTITY_PUT] = service_identity_put,
	[GH_SERVICE_IDENTITY_DELETE] = service_identity_delete,
	[GH_SERVICE_DEVICE_LIST] = service_device_list,
	[GH_SERVICE_MODULE_LIST] = service_module_list,
	[GH_SERVICE_BULK] = service_bulk,
	[GH_SERVICE_QUERY] = service_query,
	[GH_SERVICE_DEVICE_STATISTICS] = service_device_statistics,
	[GH_SERVICE_CONNECTION_STATISTICS] = service_connection_statistics,
};

void registry_serve(
	const struct registry_service *s, const gh_service_request *request, struct registry_answer *ret_answer)
{
	assert((unsigned)request->op < GH_SERVICE_OP_COUNT);
	*ret_answer = (struct registry_answer){.item_type = ""};
	ret_answer->status = service_table[request->op](s, request, ret_answer);
}

void registry_answer_done(struct registry_answer *answer)
{
	free(answer->body);
	*answer = (struct registry_answer){.item_type = ""};
}
