/* tail_json.c - one stored record as the JSON object people and scripts read. */
#include "src/admin/tail.h"

#include "src/base/take.h"
#include "src/base/text.h"

#include <inttypes.h>

static json_t *tail_json_body(gh_bytes body, const char **ret_encoding)
{
	if (text_is_utf8(body)) {
		*ret_encoding = "utf-8";
		return json_stringn_nocheck(body.len ? (const char *)body.data : "", body.len);
	}
	*ret_encoding = "base64";
	char *text GH_CLEANUP(take_free) = malloc(TEXT_BASE64_SIZE(body.len));
	if (!text)
		return NULL;
	text_base64_encode(body.data, body.len, text);
	return json_stringn_nocheck(text, TEXT_BASE64_SIZE(body.len) - 1);
}

static bool tail_json_properties(const gh_message *message, json_t *application, json_t *system)
{
	gh_cursor cursor = {0};
	gh_property property;
	while (gh_message_next(message, &cursor, &property)) {
		/* Names and values are UTF-8: the draft took nothing else. */
		json_t *value = json_stringn_nocheck(
			property.value.len ? (const char *)property.value.data : "", property.value.len);
		if (json_object_setn_new_nocheck(property.id == GH_PROP_APPLICATION ? application : system,
			    (const char *)property.name.data, property.name.len, value) != 0)
			return false;
	}
	return true;
}

json_t *tail_json(const gh_fetched *record)
{
	const char *encoding = "";
	char time[TEXT_TIME_SIZE], offset[24];
	text_time(gh_message_enqueued_ms(record->message), time);
	snprintf(offset, sizeof offset, "%" PRIu64, record->offset);
	json_t *body = tail_json_body(gh_message_body(record->message), &encoding);
	json_t *application = json_object(), *system = json_object();
	/* json_pack drops what it was given when any part is NULL. */
	json_t *object =
		json_pack("{s:I, s:s, s:I, s:s, s:o, s:s, s:O, s:O}", "partition", (json_int_t)record->partition,
			"offset", offset, "sequenceNumber", (json_int_t)record->offset, "enqueuedTime", time, "body",
			body, "bodyEncoding", encoding, "properties", application, "systemProperties", system);
	if (object && !tail_json_properties(record->message, application, system)) {
		json_decref(object);
		object = NULL;
	}
	json_decref(application);
	json_decref(system);
	return object;
}
