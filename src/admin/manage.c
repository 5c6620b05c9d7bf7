#include "src/admin/manage.h"

#include "src/admin/explain.h"
#include "src/base/log.h"
#include "src/base/text.h"
#include "src/nearest.h"

enum { MANAGE_MEMBERS_MAX = 4 };

/* ---- requests and responses ---- */

json_t *manage_ok(json_t *result)
{
	return result ? json_pack("{s:i, s:b, s:o}", "version", MANAGE_VERSION, "ok", true, "result", result) : NULL;
}

/* The text may quote what was sent, cut anywhere: only UTF-8 is JSON. */
json_t *manage_refusal(const gh_error *err)
{
	gh_bytes plain = text_of(err->text);
	const char *text = text_is_utf8(plain) ? err->text : LOG_TEXT(plain);
	return json_pack("{s:i, s:b, s:{s:s, s:s, s:s}}", "version", MANAGE_VERSION, "ok", false, "error", "status",
		gh_status_name(err->status), "code", err->code ? err->code : "", "text", text);
}

gh_status manage_request_op(const json_t *request, const char **ret_op, gh_error *ret_err)
{
	if (!json_is_object(request))
		return gh_fail(ret_err, GH_MALFORMED, "request_form", "a request is a JSON object");
	const json_t *version = json_object_get(request, "version");
	if (!json_is_integer(version) || json_integer_value(version) != MANAGE_VERSION)
		return gh_fail(ret_err, GH_INVALID, "request_version", "version must be %d", MANAGE_VERSION);
	const char *op = json_string_value(json_object_get(request, "op"));
	if (!op)
		return gh_fail(ret_err, GH_INVALID, "request_op", "op must be a text");
	*ret_op = op;
	return GH_OK;
}

static bool manage_is_member(const char *const *members, const char *name)
{
	for (; *members; members++)
		if (strcmp(*members, name) == 0)
			return true;
	return false;
}

gh_status manage_request_members(const json_t *request, const char *const *members, gh_error *ret_err)
{
	static const char *const always[] = {"version", "op", NULL};
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)request, name, value)
	{
		if (manage_is_member(always, name) || manage_is_member(members, name))
			continue;
		struct nearest nearest = {.word = text_of(name)};
		for (const char *const *member = members; *member; member++)
			nearest_consider(&nearest, *member);
		if (!nearest.best)
			return gh_fail(
				ret_err, GH_INVALID, "request_member", "unknown member %s", LOG_TEXT(text_of(name)));
		return gh_fail(ret_err, GH_INVALID, "request_member",
			"unknown member %s; the nearest known one is \"%s\"", LOG_TEXT(text_of(name)), nearest.best);
	}
	return GH_OK;
}

/* A text member; absent or null gives NULL unless it is required. */
static gh_status manage_text(
	const json_t *request, const char *name, bool required, const char **ret_text, gh_error *ret_err)
{
	const json_t *value = json_object_get(request, name);
	if (value && !json_is_null(value) && !json_is_string(value))
		return gh_fail(ret_err, GH_INVALID, "request_member", "%s must be a text", name);
	*ret_text = json_string_value(value);
	if (required && !*ret_text)
		return gh_fail(ret_err, GH_INVALID, "request_member", "%s is missing", name);
	return GH_OK;
}

static gh_status manage_object(const json_t *request, const char *name, const json_t **ret_object, gh_error *ret_err)
{
	*ret_object = json_object_get(request, name);
	if (!json_is_object(*ret_object))
		return gh_fail(ret_err, GH_INVALID, "request_member", "%s must be an object", name);
	return GH_OK;
}

static gh_status manage_number(const json_t *request, const char *name, json_int_t absent, json_int_t min,
	json_int_t max, json_int_t *ret_number, gh_error *ret_err)
{
	const json_t *value = json_object_get(request, name);
	*ret_number = value ? json_integer_value(value) : absent;
	if (value && (!json_is_integer(value) || *ret_number < min || *ret_number > max))
		return gh_fail(ret_err, GH_INVALID, "request_member", "%s must be a number from %lld to %lld", name,
			(long long)min, (long long)max);
	return GH_OK;
}

static gh_status manage_memory(gh_error *ret_err)
{
	return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
}

static gh_status manage_result(json_t *result, json_t **ret_result, gh_error *ret_err)
{
	*ret_result = result;
	return result ? GH_OK : manage_memory(ret_err);
}

/* ---- devices ---- */

/* {"primary","secondary"}, each null when there is no such key or the host name is not known. */
static json_t *manage_connection_strings(const struct manage *m, const json_t *document)
{
	static const char *const slots[][2] = {{"primary", "primaryKey"}, {"secondary", "secondaryKey"}};
	const json_t *keys = json_object_get(json_object_get(document, "authentication"), "symmetricKey");
	const char *device_id = json_string_value(json_object_get(document, "deviceId"));
	const char *module_id = json_string_value(json_object_get(document, "moduleId"));
	json_t *strings = json_object();
	for (size_t i = 0; strings && i < 2; i++) {
		const char *key = json_string_value(json_object_get(keys, slots[i][1]));
		json_t *string = json_null();
		if (key && *key && device_id && m->hosts && m->hosts[0])
			string = json_sprintf("HostName=%s;DeviceId=%s%s%s;SharedAccessKey=%s", m->hosts[0], device_id,
				module_id ? ";ModuleId=" : "", module_id ? module_id : "", key);
		json_object_set_new(strings, slots[i][0], string);
	}
	return strings;
}

static gh_status manage_device_result(const struct manage *m, json_t *document, json_t **ret_result, gh_error *ret_err)
{
	json_t *strings = manage_connection_strings(m, document);
	return manage_result(
		json_pack("{s:o, s:o}", "document", document, "connectionStrings", strings), ret_result, ret_err);
}

static gh_status manage_device_create(
	const struct manage *m, const json_t *request, json_t **ret_result, gh_error *ret_err)
{
	const json_t *document;
	json_t *made;
	gh_status status = manage_object(request, "document", &document, ret_err);
	if (status == GH_OK)
		status = registry_device_create(&m->registry, document, &made, ret_err);
	return status == GH_OK ? manage_device_result(m, made, ret_result, ret_err) : status;
}

static gh_status manage_device_update(
	const struct manage *m, const json_t *request, json_t **ret_result, gh_error *ret_err)
{
	const json_t *document;
	const char *etag;
	json_t *made;
	gh_status status = manage_object(request, "document", &document, ret_err);
	if (status == GH_OK)
		status = manage_text(request, "etag", true, &etag, ret_err);
	if (status == GH_OK)
		status = registry_device_update(&m->registry, document, etag, &made, ret_err);
	return status == GH_OK ? manage_device_result(m, made, ret_result, ret_err) : status;
}

static gh_status manage_device_names(
	const json_t *request, const char **ret_device_id, const char **ret_module_id, gh_error *ret_err)
{
	gh_status status = manage_text(request, "deviceId", true, ret_device_id, ret_err);
	return status == GH_OK ? manage_text(request, "moduleId", false, ret_module_id, ret_err) : status;
}

static gh_status manage_device_show(
	const struct manage *m, const json_t *request, json_t **ret_result, gh_error *ret_err)
{
	const char *device_id, *module_id;
	json_t *document;
	gh_status status = manage_device_names(request, &device_id, &module_id, ret_err);
	if (status == GH_OK)
		status = registry_device_get(&m->registry, device_id, module_id, &document, ret_err);
	return status == GH_OK ? manage_device_result(m, document, ret_result, ret_err) : status;
}

static gh_status manage_device_delete(
	const struct manage *m, const json_t *request, json_t **ret_result, gh_error *ret_err)
{
	const char *device_id, *module_id, *etag;
	gh_status status = manage_device_names(request, &device_id, &module_id, ret_err);
	if (status == GH_OK)
		status = manage_text(request, "etag", true, &etag, ret_err);
	if (status == GH_OK)
		status = registry_device_delete(&m->registry, device_id, module_id, etag, ret_err);
	return status == GH_OK ? manage_result(json_object(), ret_result, ret_err) : status;
}

/* The id to go on after, or null at the end.  Borrows from the page. */
static const char *manage_page_next(const json_t *page, const char *id, size_t max)
{
	size_t count = json_array_size(page);
	return count < max ? NULL : json_string_value(json_object_get(json_array_get(page, count - 1), id));
}

static gh_status manage_page(const json_t *request, const char **ret_after, size_t *ret_max, gh_error *ret_err)
{
	json_int_t max;
	gh_status status = manage_text(request, "after", false, ret_after, ret_err);
	if (status == GH_OK)
		status = manage_number(request, "max", MANAGE_PAGE_MAX, 1, MANAGE_PAGE_MAX, &max, ret_err);
	if (status != GH_OK)
		return status;
	if (!*ret_after)
		*ret_after = "";
	*ret_max = (size_t)max;
	return GH_OK;
}

static gh_status manage_device_list(
	const struct manage *m, const json_t *request, json_t **ret_result, gh_error *ret_err)
{
	const char *device_id, *after;
	size_t max;
	json_t *page;
	gh_status status = manage_text(request, "deviceId", false, &device_id, ret_err);
	if (status == GH_OK)
		status = manage_page(request, &after, &max, ret_err);
	if (status == GH_OK)
		status = registry_device_list(&m->registry, device_id, after, max, &page, ret_err);
	if (status != GH_OK)
		return status;
	const char *next = manage_page_next(page, device_id ? "moduleId" : "deviceId", max);
	return manage_result(json_pack("{s:s?, s:o}", "next", next, "documents", page), ret_result, ret_err);
}

/* Appends the modules of one device. */
static gh_status manage_export_modules(
	const struct manage *m, const char *device_id, json_t *documents, gh_error *ret_err)
{
	const char *after = "";
	json_t *page = NULL;
	do {
		json_t *next_page;
		gh_status status =
			registry_device_list(&m->registry, device_id, after, MANAGE_PAGE_MAX, &next_page, ret_err);
		json_decref(page);
		if (status != GH_OK)
			return status;
		page = next_page;
		json_array_extend(documents, page);
		after = manage_page_next(page, "moduleId", MANAGE_PAGE_MAX);
	} while (after);
	json_decref(page);
	return GH_OK;
}

/* As device.list, with each device's modules after it. */
static gh_status manage_device_export(
	const struct manage *m, const json_t *request, json_t **ret_result, gh_error *ret_err)
{
	const char *after;
	size_t max, index;
	json_t *page, *device;
	gh_status status = manage_page(request, &after, &max, ret_err);
	if (status == GH_OK)
		status = registry_device_list(&m->registry, NULL, after, max, &page, ret_err);
	if (status != GH_OK)
		return status;
	json_t *documents = json_array();
	json_array_foreach(page, index, device)
	{
		json_array_append(documents, device);
		const char *device_id = json_string_value(json_object_get(device, "deviceId"));
		status = manage_export_modules(m, device_id, documents, ret_err);
		if (status != GH_OK)
			break;
	}
	if (status == GH_OK)
		status = manage_result(json_pack("{s:s?, s:O}", "next", manage_page_next(page, "deviceId", max),
					       "documents", documents),
			ret_result, ret_err);
	json_decref(documents);
	json_decref(page);
	return status;
}

/* The registry counts lines from 1; those of a request begin at `first`. */
static json_t *manage_import_failure(json_int_t first, const gh_error *err)
{
	gh_bytes number, text = text_of(err->text);
	uint64_t line;
	if (!text_starts(text, "line ") || !text_cut((gh_bytes){text.data + 5, text.len - 5}, ':', &number, &text) ||
		!text_u64(number, &line))
		return json_string(err->text);
	return json_sprintf("line %llu:%s", (unsigned long long)first + line - 1, (const char *)text.data);
}

static gh_status manage_import_lines(struct registry_import *import, const json_t *lines, gh_error *ret_err)
{
	size_t index;
	json_t *line;
	json_array_foreach(lines, index, line)
	{
		gh_bytes text = {(const uint8_t *)json_string_value(line), json_string_length(line)};
		gh_status status = registry_import_line(import, text, ret_err);
		if (status != GH_OK)
			return status;
	}
	return GH_OK;
}

/* What was written before the first bad line stays, so the count is told in any case: {"count","failure":null|text}. */
static gh_status manage_device_import(
	const struct manage *m, const json_t *request, json_t **ret_result, gh_error *ret_err)
{
	const json_t *lines = json_object_get(request, "lines");
	json_t *line;
	json_int_t first;
	size_t index, count = 0;
	gh_status status = manage_number(request, "firstLine", 1, 1, INT64_MAX / 2, &first, ret_err);
	if (status != GH_OK)
		return status;
	if (!json_is_array(lines))
		return gh_fail(ret_err, GH_INVALID, "request_member", "lines must be a list");
	json_array_foreach(lines, index, line) if (!json_is_string(line)) return gh_fail(
		ret_err, GH_INVALID, "request_member", "lines must be texts");
	struct registry_import *import = registry_import_new(&m->registry);
	if (!import)
		return manage_memory(ret_err);
	gh_error err;
	manage_import_lines(import, lines, &err); /* finish tells the same */
	status = registry_import_finish(import, &count, &err);
	registry_import_free(import);
	json_t *failure = status == GH_OK ? json_null() : manage_import_failure(first, &err);
	return manage_result(
		json_pack("{s:I, s:o}", "count", (json_int_t)count, "failure", failure), ret_result, ret_err);
}

/* ---- policies ---- */

static gh_status manage_policy_create(
	const struct manage *m, const json_t *request, json_t **ret_result, gh_error *ret_err)
{
	const json_t *document;
	gh_status status = manage_object(request, "document", &document, ret_err);
	return status == GH_OK ? registry_policy_create(&m->registry, document, ret_result, ret_err) : status;
}

static gh_status manage_policy_update(
	const struct manage *m, const json_t *request, json_t **ret_result, gh_error *ret_err)
{
	const json_t *document;
	gh_status status = manage_object(request, "document", &document, ret_err);
	return status == GH_OK ? registry_policy_update(&m->registry, document, ret_result, ret_err) : status;
}

static gh_status manage_policy_show(
	const struct manage *m, const json_t *request, json_t **ret_result, gh_error *ret_err)
{
	const char *name;
	gh_status status = manage_text(request, "name", true, &name, ret_err);
	return status == GH_OK ? registry_policy_get(&m->registry, name, ret_result, ret_err) : status;
}

static gh_status manage_policy_delete(
	const struct manage *m, const json_t *request, json_t **ret_result, gh_error *ret_err)
{
	const char *name;
	gh_status status = manage_text(request, "name", true, &name, ret_err);
	if (status == GH_OK)
		status = registry_policy_delete(&m->registry, name, ret_err);
	return status == GH_OK ? manage_result(json_object(), ret_result, ret_err) : status;
}

static gh_status manage_policy_list(
	const struct manage *m, const json_t *request, json_t **ret_result, gh_error *ret_err)
{
	(void)request;
	return registry_policy_list(&m->registry, ret_result, ret_err);
}

/* ---- the rest ---- */

static gh_status manage_token_explain(
	const struct manage *m, const json_t *request, json_t **ret_result, gh_error *ret_err)
{
	struct explain_question question = {.store = m->registry.store,
		.limits = m->registry.limits,
		.hosts = m->hosts,
		.wall_ms = m->registry.wall_ms()};
	gh_status status = manage_text(request, "token", true, &question.token, ret_err);
	if (status == GH_OK)
		status = manage_text(request, "deviceId", false, &question.device_id, ret_err);
	if (status == GH_OK)
		status = manage_text(request, "moduleId", false, &question.module_id, ret_err);
	return status == GH_OK ? manage_result(explain_token(&question), ret_result, ret_err) : status;
}

static gh_status manage_health(const struct manage *m, const json_t *request, json_t **ret_result, gh_error *ret_err)
{
	(void)request;
	if (!m->gateway)
		return gh_fail(ret_err, GH_UNAVAILABLE, "not_running", "no gateway runs here");
	struct manage_state state = {0};
	m->gateway->state(m->gateway->context, &state);
	const struct core_counts *counts = &state.counts;
	json_t *backend = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "state",
		gh_health_state_name(state.backend.state), "text", state.backend.text, "storedBytes",
		(json_int_t)state.backend.stored_bytes, "inflightBytes", (json_int_t)state.backend.inflight_bytes,
		"commits", (json_int_t)state.backend.commits, "records", (json_int_t)state.backend.records);
	json_t *links = json_pack("{s:I, s:I, s:I, s:I}", "open", (json_int_t)counts->links, "opened",
		(json_int_t)counts->opened, "refused", (json_int_t)counts->refused, "displaced",
		(json_int_t)counts->displaced);
	json_t *messages = json_pack(
		"{s:I, s:I}", "accepted", (json_int_t)counts->accepted, "rejected", (json_int_t)counts->rejected);
	return manage_result(
		json_pack("{s:b, s:s?, s:o, s:o, s:o}", "ready", state.ready, "hostName", m->hosts ? m->hosts[0] : NULL,
			"backend", backend, "links", links, "messages", messages),
		ret_result, ret_err);
}

/* ---- the table ---- */

/* What an op does to those who are connected: something added changes nothing for them. */
enum manage_effect { MANAGE_READS, MANAGE_ADDS, MANAGE_CHANGES_DEVICE, MANAGE_CHANGES_POLICIES };

static const struct manage_op {
	const char *name;
	gh_status (*call)(const struct manage *m, const json_t *request, json_t **ret_result, gh_error *ret_err);
	const char *members[MANAGE_MEMBERS_MAX];
	enum manage_effect effect;
} manage_ops[] = {
	{"device.create", manage_device_create, {"document"}, MANAGE_ADDS},
	{"device.show", manage_device_show, {"deviceId", "moduleId"}, MANAGE_READS},
	{"device.list", manage_device_list, {"deviceId", "after", "max"}, MANAGE_READS},
	{"device.update", manage_device_update, {"document", "etag"}, MANAGE_CHANGES_DEVICE},
	{"device.delete", manage_device_delete, {"deviceId", "moduleId", "etag"}, MANAGE_CHANGES_DEVICE},
	{"device.import", manage_device_import, {"lines", "firstLine"}, MANAGE_ADDS},
	{"device.export", manage_device_export, {"after", "max"}, MANAGE_READS},
	{"policy.create", manage_policy_create, {"document"}, MANAGE_ADDS},
	{"policy.show", manage_policy_show, {"name"}, MANAGE_READS},
	{"policy.list", manage_policy_list, {NULL}, MANAGE_READS},
	{"policy.update", manage_policy_update, {"document"}, MANAGE_CHANGES_POLICIES},
	{"policy.delete", manage_policy_delete, {"name"}, MANAGE_CHANGES_POLICIES},
	{"token.explain", manage_token_explain, {"token", "deviceId", "moduleId"}, MANAGE_READS},
	{"health", manage_health, {NULL}, MANAGE_READS},
};

static gh_status manage_find(const char *name, const struct manage_op **ret_op, gh_error *ret_err)
{
	struct nearest nearest = {.word = text_of(name)};
	for (size_t i = 0; i < sizeof manage_ops / sizeof *manage_ops; i++) {
		if (strcmp(manage_ops[i].name, name) == 0) {
			*ret_op = &manage_ops[i];
			return GH_OK;
		}
		nearest_consider(&nearest, manage_ops[i].name);
	}
	return gh_fail(ret_err, GH_INVALID, "request_op", "unknown op %s; the nearest known one is \"%s\"",
		LOG_TEXT(text_of(name)), nearest.best);
}

/* Who is connected may have to go. */
static void manage_tell(const struct manage *m, enum manage_effect effect, const json_t *request)
{
	const json_t *id = json_object_get(request, "deviceId");
	if (!id)
		id = json_object_get(json_object_get(request, "document"), "deviceId");
	if (effect == MANAGE_CHANGES_DEVICE)
		m->gateway->changed(m->gateway->context, text_of(json_string_value(id)));
	else if (effect == MANAGE_CHANGES_POLICIES)
		m->gateway->changed(m->gateway->context, (gh_bytes){NULL, 0});
}

void manage_call(const struct manage *m, const json_t *request, json_t **ret_response)
{
	const char *name;
	const struct manage_op *op = NULL;
	json_t *result = NULL;
	gh_error err = {.status = GH_OK};
	gh_status status = manage_request_op(request, &name, &err);
	if (status == GH_OK)
		status = manage_find(name, &op, &err);
	if (status == GH_OK)
		status = manage_request_members(request, op->members, &err);
	if (status == GH_OK) {
		status = op->call(m, request, &result, &err);
		if (status == GH_OK && m->gateway)
			manage_tell(m, op->effect, request);
	}
	*ret_response = status == GH_OK ? manage_ok(result) : manage_refusal(&err);
}
