#include "transports/https/rest_message.h"

#include "src/base/take.h"
#include "src/base/text.h"

#include <inttypes.h>
#include <jansson.h>

/* ---- names ---- */

static gh_status message_set(gh_draft *draft, gh_property_id id, gh_bytes value, gh_bytes device_id, gh_error *ret_err)
{
	(void)device_id;
	return gh_draft_set(draft, id, value, ret_err);
}

/* Where the telemetry of this device goes is no property of the message: clients repeat the path here. */
static gh_status message_set_to(
	gh_draft *draft, gh_property_id id, gh_bytes value, gh_bytes device_id, gh_error *ret_err)
{
	static const char prefix[] = "/devices/", suffix[] = "/messages/events";
	size_t around = sizeof prefix + sizeof suffix - 2;
	uint8_t decoded[512];
	if (value.len <= sizeof decoded) {
		gh_bytes to = {decoded, text_percent_decode(value, decoded, NULL)};
		if (to.len == around + device_id.len && text_starts_nocase(to, prefix) &&
			text_equal((gh_bytes){to.data + sizeof prefix - 1, device_id.len}, device_id) &&
			text_equal_nocase((gh_bytes){to.data + sizeof prefix - 1 + device_id.len, sizeof suffix - 1},
				text_of(suffix)))
			return GH_OK;
	}
	return gh_draft_set(draft, id, value, ret_err);
}

/* ISO 8601 as far as its shape: some clients write a date for people here, which is ignored. */
static bool message_is_time(gh_bytes text)
{
	static const char shape[] = "0000-00-00T00:00:00";
	if (text.len < sizeof shape - 1)
		return false;
	for (size_t i = 0; i < sizeof shape - 1; i++) {
		bool digit = text.data[i] >= '0' && text.data[i] <= '9';
		if (shape[i] == '0' ? !digit : text.data[i] != shape[i])
			return false;
	}
	return true;
}

static gh_status message_set_time(
	gh_draft *draft, gh_property_id id, gh_bytes value, gh_bytes device_id, gh_error *ret_err)
{
	(void)device_id;
	return message_is_time(value) ? gh_draft_set(draft, id, value, ret_err) : GH_OK;
}

static const struct message_name {
	const char *name;
	gh_property_id id;
	gh_status (*set)(gh_draft *draft, gh_property_id id, gh_bytes value, gh_bytes device_id, gh_error *ret_err);
} message_names[] = {
	{"iothub-to", GH_PROP_TO, message_set_to},
	{"iothub-messageid", GH_PROP_MESSAGE_ID, message_set},
	{"iothub-correlationid", GH_PROP_CORRELATION_ID, message_set},
	{"iothub-userid", GH_PROP_USER_ID, message_set},
	{"iothub-contenttype", GH_PROP_CONTENT_TYPE, message_set},
	{"iothub-contentencoding", GH_PROP_CONTENT_ENCODING, message_set},
	{"iothub-expiry", GH_PROP_EXPIRY_TIME, message_set_time},
	{"iothub-ack", GH_PROP_ACK, message_set},
	{"iothub-creationtimeutc", GH_PROP_CREATION_TIME, message_set},
	{"iothub-messageschema", GH_PROP_MESSAGE_SCHEMA, message_set},
	{"iothub-interface-id", GH_PROP_INTERFACE_ID, message_set},
	{"iothub-operation", GH_PROP_OPERATION, message_set},
	{"dt-subject", GH_PROP_COMPONENT, message_set},
};

static const struct message_name *message_name_find(gh_bytes name)
{
	for (size_t i = 0; i < sizeof message_names / sizeof *message_names; i++)
		if (text_equal_nocase(name, text_of(message_names[i].name)))
			return &message_names[i];
	return NULL;
}

static const char message_app[] = "iothub-app-";

/* *ret_known: the name means something. */
static gh_status message_property(
	gh_bytes name, gh_bytes value, gh_bytes device_id, gh_draft *draft, bool *ret_known, gh_error *ret_err)
{
	size_t app_len = sizeof message_app - 1;
	*ret_known = true;
	if (text_starts_nocase(name, message_app))
		return gh_draft_add(draft, (gh_bytes){name.data + app_len, name.len - app_len}, value, ret_err);
	const struct message_name *known = message_name_find(name);
	*ret_known = known != NULL;
	return known ? known->set(draft, known->id, value, device_id, ret_err) : GH_OK;
}

gh_status rest_message_fields(
	const struct rest_request *request, gh_bytes device_id, gh_draft *draft, gh_error *ret_err)
{
	for (size_t i = 0; i < request->field_count; i++) {
		const struct rest_field *field = &request->fields[i];
		uint8_t first = field->name.len ? field->name.data[0] | 0x20 : 0;
		bool known;
		if (first != 'i' && first != 'd')
			continue;
		gh_status status = message_property(field->name, field->value, device_id, draft, &known, ret_err);
		if (status != GH_OK)
			return status;
	}
	return GH_OK;
}

/* ---- batches ---- */

struct rest_batch {
	json_t *items;
	struct {
		uint8_t *data;
		size_t cap;
	} body; /* what was decoded of the item filled last */
};

static void batch_release(struct rest_batch **batch)
{
	rest_message_batch_free(*batch);
}

gh_status rest_message_batch_new(
	gh_bytes body, const gh_limits *limits, struct rest_batch **ret_batch, gh_error *ret_err)
{
	struct rest_batch *batch GH_CLEANUP(batch_release) = calloc(1, sizeof *batch);
	if (!batch)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for a batch");
	json_error_t fault = {.text = ""};
	batch->items = json_loadb((const char *)body.data, body.len, 0, &fault);
	if (!batch->items)
		return gh_fail(ret_err, GH_MALFORMED, "batch_form", "the batch is not JSON: line %d, column %d: %s",
			fault.line, fault.column, fault.text);
	if (!json_is_array(batch->items) || json_array_size(batch->items) == 0)
		return gh_fail(ret_err, GH_MALFORMED, "batch_form", "a batch is a JSON array of at least one message");
	if (json_array_size(batch->items) > limits->http_batch_max)
		return gh_fail(ret_err, GH_TOO_LARGE, "batch_count", "the batch has %zu messages, allowed are %" PRIu64,
			json_array_size(batch->items), limits->http_batch_max);
	*ret_batch = GH_TAKE(batch);
	return GH_OK;
}

void rest_message_batch_free(struct rest_batch *batch)
{
	if (!batch)
		return;
	json_decref(batch->items);
	free(batch->body.data);
	free(batch);
}

size_t rest_message_batch_count(const struct rest_batch *batch)
{
	return json_array_size(batch->items);
}

static gh_status batch_decode(struct rest_batch *batch, gh_bytes text, gh_bytes *ret_body, gh_error *ret_err)
{
	size_t cap = text.len / 4 * 3 + 1, len;
	if (cap > batch->body.cap) {
		uint8_t *data = realloc(batch->body.data, cap);
		if (!data)
			return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for a batch");
		batch->body.data = data;
		batch->body.cap = cap;
	}
	if (!text_base64_decode(text, batch->body.data, &len))
		return gh_fail(ret_err, GH_INVALID, "batch_body", "body is not base64");
	*ret_body = (gh_bytes){batch->body.data, len};
	return GH_OK;
}

static gh_bytes batch_text(const json_t *string)
{
	return (gh_bytes){(const uint8_t *)json_string_value(string), json_string_length(string)};
}

/* Absent is empty; base64 unless the item says that it is plain text. */
static gh_status batch_body(struct rest_batch *batch, const json_t *item, gh_bytes *ret_body, gh_error *ret_err)
{
	const json_t *body = json_object_get(item, "body"), *encoded = json_object_get(item, "base64Encoded");
	*ret_body = (gh_bytes){NULL, 0};
	if (encoded && !json_is_boolean(encoded) && !json_is_null(encoded))
		return gh_fail(ret_err, GH_INVALID, "batch_body", "base64Encoded is not true or false");
	if (!body || json_is_null(body))
		return GH_OK;
	if (!json_is_string(body))
		return gh_fail(ret_err, GH_INVALID, "batch_body", "body is not a string");
	if (!json_is_false(encoded) && json_string_length(body) > 0)
		return batch_decode(batch, batch_text(body), ret_body, ret_err);
	*ret_body = batch_text(body);
	return GH_OK;
}

/* A name that is none of the header's is kept as a property of the application: nothing a device sends is dropped. */
static gh_status batch_property(
	const char *name, const json_t *value, gh_bytes device_id, gh_draft *draft, gh_error *ret_err)
{
	bool known;
	if (json_is_null(value))
		return GH_OK;
	if (!json_is_string(value))
		return gh_fail(ret_err, GH_INVALID, "batch_property", "a property is not a string");
	gh_status status = message_property(text_of(name), batch_text(value), device_id, draft, &known, ret_err);
	return known ? status : gh_draft_add(draft, text_of(name), batch_text(value), ret_err);
}

static gh_status batch_properties(const json_t *item, gh_bytes device_id, gh_draft *draft, gh_error *ret_err)
{
	json_t *properties = json_object_get(item, "properties"), *value;
	const char *name;
	if (properties && !json_is_object(properties) && !json_is_null(properties))
		return gh_fail(ret_err, GH_INVALID, "batch_property", "properties is not an object");
	json_object_foreach(properties, name, value)
	{
		gh_status status = batch_property(name, value, device_id, draft, ret_err);
		if (status != GH_OK)
			return status;
	}
	return GH_OK;
}

static gh_status batch_item(
	struct rest_batch *batch, const json_t *item, gh_bytes device_id, gh_draft *draft, gh_error *ret_err)
{
	gh_bytes body;
	if (!json_is_object(item))
		return gh_fail(ret_err, GH_MALFORMED, "batch_form", "it is not a JSON object");
	gh_status status = batch_properties(item, device_id, draft, ret_err);
	if (status == GH_OK)
		status = batch_body(batch, item, &body, ret_err);
	return status == GH_OK ? gh_draft_body(draft, body, ret_err) : status;
}

gh_status rest_message_batch_fill(
	struct rest_batch *batch, size_t index, gh_bytes device_id, gh_draft *draft, gh_error *ret_err)
{
	gh_error err = {0};
	gh_status status = batch_item(batch, json_array_get(batch->items, index), device_id, draft, &err);
	return status == GH_OK
		       ? GH_OK
		       : gh_fail(ret_err, status, err.code, "message %zu of the batch: %s", index + 1, err.text);
}
