/* What a header field or a member of a batch means to a message. */
#include "tests/suite.h"

#include "src/base/limits.h"
#include "src/base/text.h"
#include "transports/https/rest_message.h"

#include <stdio.h>
#include <stdlib.h>

static gh_limits limits;
static gh_draft *draft;

static void message_begin(void)
{
	limits_defaults(&limits);
	draft = gh_draft_new(&limits);
	cr_assert(draft);
}

static void message_end(void)
{
	gh_draft_free(draft);
	suite_leak_check();
}

TestSuite(rest_message, .init = message_begin, .fini = message_end, .timeout = 60);

/* The message's properties as "name=value;name=value" and its body, system properties first. */
static const char *message_told(char *room, size_t size)
{
	gh_stamps stamps = {.device_id = text_of("dev1"), .generation_id = text_of("1"), .source = GH_SOURCE_TELEMETRY};
	gh_message *message = gh_message_freeze(draft, &stamps);
	gh_cursor cursor = {0};
	gh_property p;
	size_t len = 0;
	room[0] = '\0';
	while (gh_message_next(message, &cursor, &p))
		if (p.id == GH_PROP_APPLICATION || p.id <= GH_PROP_CORRELATION_CONTEXT)
			len += (size_t)snprintf(room + len, size - len, "%.*s=%.*s;", (int)p.name.len,
				(const char *)p.name.data, (int)p.value.len, (const char *)p.value.data);
	gh_bytes body = gh_message_body(message);
	snprintf(room + len, size - len, "|%.*s", (int)body.len, body.len ? (const char *)body.data : "");
	gh_message_unref(message);
	return room;
}

static const struct {
	const char *name, *value, *told;
} fields[] = {
	{"IoTHub-MessageId", "mid-1", "message-id=mid-1;|"},
	{"iothub-correlationid", "cid 1", "correlation-id=cid 1;|"},
	{"iothub-userid", "u", "user-id=u;|"},
	{"iothub-contenttype", "application/json", "content-type=application/json;|"},
	{"iothub-contentencoding", "utf-8", "content-encoding=utf-8;|"},
	{"iothub-creationtimeutc", "2026-11-24T10:00:00Z", "iothub-creation-time-utc=2026-11-24T10:00:00Z;|"},
	{"iothub-messageschema", "s", "iothub-message-schema=s;|"},
	{"iothub-interface-id", "urn:x", "iothub-interface-id=urn:x;|"},
	{"iothub-operation", "d2c", "iothub-operation=d2c;|"},
	{"iothub-ack", "full", "iothub-ack=full;|"},
	{"dt-subject", "thermostat", "dt-subject=thermostat;|"},
	{"iothub-expiry", "2026-11-24T10:00:00Z", "absolute-expiry-time=2026-11-24T10:00:00Z;|"},
	{"iothub-expiry", "Tue Nov 24 2026 10:00:00 GMT+0000", "|"},
	{"iothub-expiry", "2026-11-24", "|"},
	{"iothub-expiry", "2026\r11\r24T10:00:00Z", "|"},
	{"iothub-to", "/devices/dev1/messages/events", "|"},
	{"iothub-to", "/Devices/dev%31/messages/Events", "|"},
	{"iothub-to", "/devices/DEV1/messages/events", "to=/devices/DEV1/messages/events;|"},
	{"iothub-to", "somewhere", "to=somewhere;|"},
	{"iothub-app-Plain", "x/y&z=1", "Plain=x/y&z=1;|"},
	{"IOTHUB-APP-a b", "1", "a b=1;|"},
	{"iothub-app-iothub-connection-device-id", "forged", "|"},
	{"iothub-connection-device-id", "forged", "|"},
	{"iothub-enqueuedtime", "forged", "|"},
	{"Content-Type", "text/plain", "|"},
	{"Host", "localhost", "|"},
	{"iothub-unknown", "x", "|"},
	{"", "x", "|"},
};

Test(rest_message, every_field_of_the_contract_reaches_its_property_and_no_stamp_can_be_forged)
{
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		struct rest_field field = {text_of(fields[i].name), text_of(fields[i].value)};
		struct rest_request request = {.fields = &field, .field_count = 1};
		char room[1000];
		gh_error err;
		gh_draft_reset(draft);
		cr_assert(rest_message_fields(&request, text_of("dev1"), draft, &err) == GH_OK, "%s", fields[i].name);
		cr_assert_str_eq(message_told(room, sizeof room), fields[i].told, "%s: %s: %s", fields[i].name,
			fields[i].value, room);
	}
}

static const struct {
	const char *name, *value;
	gh_status status;
} faults[] = {
	{"iothub-messageid", "a b", GH_INVALID},
	{"iothub-app-x", "\xff", GH_INVALID},
	{"iothub-app-", "nameless", GH_INVALID},
};

Test(rest_message, a_field_that_cannot_be_a_property_is_refused)
{
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		struct rest_field field = {text_of(faults[i].name), text_of(faults[i].value)};
		struct rest_request request = {.fields = &field, .field_count = 1};
		gh_error err;
		gh_draft_reset(draft);
		cr_assert(rest_message_fields(&request, text_of("dev1"), draft, &err) == faults[i].status, "%s",
			faults[i].name);
	}
}

static gh_status batch_tell(const char *json, size_t *ret_count, char *room, size_t size, gh_error *err)
{
	struct rest_batch *batch;
	gh_status status = rest_message_batch_new(text_of(json), &limits, &batch, err);
	size_t len = 0;
	room[0] = '\0';
	*ret_count = 0;
	if (status != GH_OK)
		return status;
	for (size_t i = 0; status == GH_OK && i < rest_message_batch_count(batch); i++) {
		gh_draft_reset(draft);
		status = rest_message_batch_fill(batch, i, text_of("dev1"), draft, err);
		if (status == GH_OK)
			len += strlen(message_told(room + len, size - len));
		*ret_count += status == GH_OK;
	}
	rest_message_batch_free(batch);
	return status;
}

static const struct {
	const char *json;
	gh_status status;
	const char *told; /* of each message, one behind the other; or a part of the error's text */
} batches[] = {
	{"[{\"body\":\"YjE=\",\"properties\":{\"iothub-app-n\":\"1\"}}]", GH_OK, "n=1;|b1"},
	{"[{\"body\":\"YjE=\"},{\"body\":\"YjI=\",\"base64Encoded\":true}]", GH_OK, "|b1|b2"},
	{"[{\"body\":\"plain\",\"base64Encoded\":false}]", GH_OK, "|plain"},
	{"[{\"body\":\"\"}]", GH_OK, "|"},
	{"[{}]", GH_OK, "|"},
	{"[{\"body\":null,\"properties\":null,\"base64Encoded\":null}]", GH_OK, "|"},
	{"[{\"body\":\"YjE=\",\"properties\":{\"IoTHub-MessageId\":\"m1\",\"dt-subject\":\"t\",\"other\":\"x\",\"gone\":null}}]",
		GH_OK, "message-id=m1;dt-subject=t;other=x;|b1"},
	{"[{\"body\":\"YjE=\",\"properties\":{\"iothub-connection-device-id\":\"forged\"}}]", GH_OK, "|b1"},
	{"[{\"body\":\"YjE=\",\"properties\":{\"iothub-to\":\"/devices/dev1/messages/events\"}}]", GH_OK, "|b1"},
	{"", GH_MALFORMED, "not JSON"},
	{"[", GH_MALFORMED, "not JSON"},
	{"[{\"body\":\"a\"b\"}]", GH_MALFORMED, "not JSON"},
	{"{}", GH_MALFORMED, "array"},
	{"[]", GH_MALFORMED, "at least one"},
	{"[1]", GH_MALFORMED, "message 1 of the batch"},
	{"[{},{\"body\":\"YjE\"}]", GH_INVALID, "message 2 of the batch: body is not base64"},
	{"[{\"body\":1}]", GH_INVALID, "body is not a string"},
	{"[{\"body\":\"\",\"base64Encoded\":\"yes\"}]", GH_INVALID, "base64Encoded"},
	{"[{\"properties\":[]}]", GH_INVALID, "properties is not an object"},
	{"[{\"properties\":{\"iothub-app-n\":1}}]", GH_INVALID, "a property is not a string"},
	{"[{\"properties\":{\"iothub-messageid\":\"a b\"}}]", GH_INVALID, "message 1"},
};

Test(rest_message, a_batch_is_its_messages_or_a_refusal_that_names_the_bad_one)
{
	for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
		char room[1000];
		size_t count;
		gh_error err = {0};
		gh_status status = batch_tell(batches[i].json, &count, room, sizeof room, &err);
		cr_assert(status == batches[i].status, "%s: %s: %s", batches[i].json, gh_status_name(status), err.text);
		if (status == GH_OK)
			cr_assert_str_eq(room, batches[i].told, "%s: %s", batches[i].json, room);
		else
			cr_assert(strstr(err.text, batches[i].told), "%s: %s", batches[i].json, err.text);
	}
}

Test(rest_message, a_batch_has_at_most_http_batch_max_messages)
{
	limits.http_batch_max = 2;
	char room[100];
	size_t count;
	gh_error err;
	cr_assert(batch_tell("[{},{}]", &count, room, sizeof room, &err) == GH_OK && count == 2);
	cr_assert(batch_tell("[{},{},{}]", &count, room, sizeof room, &err) == GH_TOO_LARGE);
}
