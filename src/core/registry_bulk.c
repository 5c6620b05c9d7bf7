#include "src/core/registry_bulk.h"

#include "src/base/log.h"
#include "src/base/take.h"
#include "src/base/text.h"
#include "src/wire/hub_error.h"

#include <inttypes.h>

struct record {
	const json_t *given;
	const struct mode *mode; /* NULL until it is known */
	const char *device_id;
	const char *module_id; /* NULL = a device */
	const char *etag;      /* a star where the mode compares none */
	json_t *document;      /* what the registry takes: deviceId in the place of id */
};

struct result {
	json_t *errors;
	json_t *warnings;
};

static void json_release(json_t **value)
{
	json_decref(*value);
}

static gh_status bulk_no_memory(gh_error *err)
{
	return gh_fail(err, GH_NO_MEMORY, "no_memory", "no memory for a bulk request");
}

/* ---- what a record may ask for; *ret_created: what did not exist, so that nobody is connected as it ---- */

typedef gh_status bulk_act(
	const struct registry *r, const struct record *record, json_t **made, bool *ret_created, gh_error *ret_err);

static gh_status bulk_create(
	const struct registry *r, const struct record *record, json_t **made, bool *ret_created, gh_error *ret_err)
{
	*ret_created = true;
	return registry_device_create(r, record->document, made, ret_err);
}

static gh_status bulk_update(
	const struct registry *r, const struct record *record, json_t **made, bool *ret_created, gh_error *ret_err)
{
	(void)ret_created;
	return registry_device_update(r, record->document, record->etag, made, ret_err);
}

static gh_status bulk_put(
	const struct registry *r, const struct record *record, json_t **made, bool *ret_created, gh_error *ret_err)
{
	return registry_device_put(r, record->document, record->etag, made, ret_created, ret_err);
}

static gh_status bulk_delete(
	const struct registry *r, const struct record *record, json_t **made, bool *ret_created, gh_error *ret_err)
{
	(void)made;
	(void)ret_created;
	return registry_device_delete(r, record->device_id, record->module_id, record->etag, ret_err);
}

static gh_status bulk_twin(
	const struct registry *r, const struct record *record, json_t **made, bool *ret_created, gh_error *ret_err)
{
	(void)r;
	(void)record;
	(void)made;
	(void)ret_created;
	return gh_fail(ret_err, GH_UNAVAILABLE, "not_built", "this hub does not keep twins, so none can be updated");
}

static const struct mode {
	const char *name;
	bool if_match;
	bool makes_twin;
	bulk_act *act;
} mode_table[] = {
	{"createOrUpdate", false, true, bulk_put},
	{"createOrUpdateIfMatchETag", true, true, bulk_put},
	{"create", false, true, bulk_create},
	{"update", false, true, bulk_update},
	{"updateIfMatchETag", true, true, bulk_update},
	{"delete", false, false, bulk_delete},
	{"deleteIfMatchETag", true, false, bulk_delete},
	{"updateTwin", false, false, bulk_twin},
	{"updateTwinIfMatchETag", true, false, bulk_twin},
};

#define MODE_DEFAULT "createOrUpdate"

/* ---- reading a record ---- */

/* NULL when absent or null. */
static gh_status bulk_read_text(const json_t *record, const char *name, const char **ret_text, gh_error *ret_err)
{
	const json_t *value = json_object_get(record, name);
	if (value && !json_is_null(value) && !json_is_string(value))
		return gh_fail(ret_err, GH_INVALID, "record_field", "%s is not a string", name);
	*ret_text = json_string_value(value);
	return GH_OK;
}

static gh_status bulk_read_mode(struct record *record, gh_error *ret_err)
{
	const char *name;
	gh_status status = bulk_read_text(record->given, "importMode", &name, ret_err);
	if (status != GH_OK)
		return status;
	for (size_t i = 0; i < sizeof mode_table / sizeof *mode_table; i++)
		if (text_equal_nocase(text_of(name ? name : MODE_DEFAULT), text_of(mode_table[i].name))) {
			record->mode = &mode_table[i];
			return GH_OK;
		}
	return gh_fail(ret_err, GH_INVALID, "import_mode", "importMode %s is not known", LOG_TEXT(text_of(name)));
}

/* Clients spell it etag, the contract eTag.  Without one where one is compared, nothing matches. */
static gh_status bulk_read_etag(struct record *record, gh_error *ret_err)
{
	const char *etag = NULL, *eTag = NULL;
	gh_status status = bulk_read_text(record->given, "etag", &etag, ret_err);
	if (status == GH_OK)
		status = bulk_read_text(record->given, "eTag", &eTag, ret_err);
	if (!record->mode->if_match)
		record->etag = "*";
	else
		record->etag = etag ? etag : eTag ? eTag : "";
	return status;
}

static gh_status bulk_read(struct record *record, gh_error *ret_err)
{
	if (!json_is_object(record->given))
		return gh_fail(ret_err, GH_MALFORMED, "record_form", "the record is not a JSON object");
	gh_status status = bulk_read_text(record->given, "id", &record->device_id, ret_err);
	if (status == GH_OK && !record->device_id)
		status = gh_fail(ret_err, GH_INVALID, "id_missing", "the record has no id");
	if (status == GH_OK)
		status = bulk_read_text(record->given, "moduleId", &record->module_id, ret_err);
	if (status == GH_OK)
		status = bulk_read_mode(record, ret_err);
	if (status == GH_OK)
		status = bulk_read_etag(record, ret_err);
	if (status != GH_OK)
		return status;
	record->document = json_object();
	if (json_object_update(record->document, (json_t *)record->given) != 0 ||
		json_object_set_new(record->document, "deviceId", json_string(record->device_id)) != 0)
		return bulk_no_memory(ret_err);
	return GH_OK;
}

/* ---- telling ---- */

/* A text of an error may quote what was sent, cut anywhere: only UTF-8 is JSON. */
static json_t *bulk_text(const gh_error *err)
{
	gh_bytes plain = text_of(err->text);
	return json_string(text_is_utf8(plain) ? err->text : LOG_TEXT(plain));
}

static bool bulk_tell_error(const struct result *result, const struct record *record, const gh_error *err)
{
	const char *device_id = json_string_value(json_object_get(record->given, "id"));
	const char *module_id = json_string_value(json_object_get(record->given, "moduleId"));
	json_t *row = json_pack("{s:s, s:s, s:o, s:s*, s:s*}", "deviceId", device_id ? device_id : "", "errorCode",
		hub_error_of(err->status, err->code)->name, "errorStatus", bulk_text(err), "moduleId", module_id,
		"operation", record->mode ? record->mode->name : NULL);
	return json_array_append_new(result->errors, row) == 0;
}

static bool bulk_brings_twin(const struct record *record)
{
	const json_t *desired = json_object_get(json_object_get(record->given, "properties"), "desired");
	return json_object_size(json_object_get(record->given, "tags")) > 0 || json_object_size(desired) > 0;
}

static bool bulk_tell_warning(const struct result *result, const struct record *record)
{
	json_t *row = json_pack("{s:s, s:s, s:s}", "deviceId", record->device_id, "warningCode",
		"DeviceRegisteredWithoutTwin", "warningStatus",
		"this hub does not keep twins: tags and desired properties are dropped");
	return json_array_append_new(result->warnings, row) == 0;
}

/* ---- running ---- */

static gh_status bulk_act_on(const struct registry_bulk *bulk, const struct record *record, gh_error *ret_err)
{
	GH_CLEANUP(json_release) json_t *made = NULL;
	bool created = false;
	gh_status status = record->mode->act(bulk->registry, record, &made, &created, ret_err);
	if (!created && (status == GH_OK || status == GH_UNKNOWN))
		bulk->changed(bulk->context, text_of(record->device_id));
	return status;
}

/* False without memory for what there is to tell. */
static bool bulk_run_one(const struct registry_bulk *bulk, const struct result *result, const json_t *given)
{
	struct record record = {.given = given};
	gh_error err = {.status = GH_INTERNAL};
	gh_status status = bulk_read(&record, &err);
	if (status == GH_OK)
		status = bulk_act_on(bulk, &record, &err);
	bool told = true;
	if (status != GH_OK)
		told = bulk_tell_error(result, &record, &err);
	else if (record.mode->makes_twin && bulk_brings_twin(&record))
		told = bulk_tell_warning(result, &record);
	json_decref(record.document);
	return told;
}

static gh_status bulk_finish(const struct result *result, json_t **ret_result, gh_error *ret_err)
{
	size_t failed = json_array_size(result->errors);
	json_t *object = json_pack(
		"{s:b, s:O, s:O}", "isSuccessful", failed == 0, "errors", result->errors, "warnings", result->warnings);
	if (!object)
		return bulk_no_memory(ret_err);
	*ret_result = object;
	return failed == 0 ? GH_OK
			   : gh_fail(ret_err, GH_INVALID, "bulk_failed", "%zu records of the request failed", failed);
}

gh_status registry_bulk_run(
	const struct registry_bulk *bulk, const json_t *records, json_t **ret_result, gh_error *ret_err)
{
	size_t count = json_array_size(records), i;
	uint64_t max = bulk->registry->limits->registry_bulk_max;
	const json_t *given;
	if (count == 0 || count > max)
		return gh_fail(ret_err, GH_INVALID, "registry_bulk_max",
			"a bulk request has 1 to %" PRIu64 " records, this one %zu", max, count);
	GH_CLEANUP(json_release) json_t *errors = json_array();
	GH_CLEANUP(json_release) json_t *warnings = json_array();
	struct result result = {errors, warnings};
	bool told = errors && warnings;
	json_array_foreach(records, i, given)
	{
		if (!told)
			return bulk_no_memory(ret_err);
		told = bulk_run_one(bulk, &result, given);
	}
	return told ? bulk_finish(&result, ret_result, ret_err) : bulk_no_memory(ret_err);
}
