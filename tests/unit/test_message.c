/* The common message: what a draft takes, what the hub stamps, what is stored. */
#include "tests/suite.h"

#include <gatehouse/message.h>

#include "src/base/limits.h"
#include "src/base/text.h"

#include <stdio.h>
#include <stdlib.h>

SUITE(message);

static gh_limits limits;

static gh_draft *message_draft(void)
{
	limits_defaults(&limits);
	gh_draft *draft = gh_draft_new(&limits);
	cr_assert(draft != NULL);
	return draft;
}

static gh_message *message_frozen(const gh_draft *draft)
{
	gh_stamps stamps = {
		.device_id = text_of("dev1"),
		.generation_id = text_of("638000000000000000"),
		.auth_method = GH_AUTH_DEVICE_SAS,
		.source = GH_SOURCE_TELEMETRY,
		.enqueued_ms = 1700000000123,
		.partition_key = gh_partition_hash(text_of("dev1")),
	};
	gh_message *message = gh_message_freeze(draft, &stamps);
	cr_assert(message != NULL);
	return message;
}

static void message_says(const gh_message *message, gh_property_id id, const char *value)
{
	gh_cursor cursor;
	gh_bytes found;
	cr_assert(gh_message_get(message, id, &cursor, &found), "%s is there", gh_property_name(id));
	cr_assert(text_equal(found, text_of(value)), "%s is %s", gh_property_name(id), value);
}

/* How often an application property of that name (without case) stands in the message, and its last value. */
static int message_counts(const gh_message *message, const char *name, gh_bytes *ret_value)
{
	gh_cursor cursor = {0};
	gh_property property;
	int count = 0;
	while (gh_message_next(message, &cursor, &property))
		if (property.id == GH_PROP_APPLICATION && text_equal_nocase(property.name, text_of(name))) {
			count++;
			*ret_value = property.value;
		}
	return count;
}

Test(message, carries_body_properties_and_stamps_and_survives_its_stored_form)
{
	gh_draft *draft = message_draft();
	cr_assert_eq(gh_draft_add(draft, text_of("color"), text_of("red one"), NULL), GH_OK);
	cr_assert_eq(gh_draft_set(draft, GH_PROP_MESSAGE_ID, text_of("m-1"), NULL), GH_OK);
	cr_assert_eq(gh_draft_body(draft, text_of("hello"), NULL), GH_OK);
	gh_draft_flag(draft, GH_DRAFT_RETAIN);
	gh_message *message = message_frozen(draft), *copy;
	cr_assert_eq(gh_message_decode(gh_message_encoded(message), &copy), GH_OK);
	gh_message_unref(message);
	gh_draft_free(draft);

	gh_bytes value;
	cr_assert(text_equal(gh_message_body(copy), text_of("hello")));
	cr_assert(text_equal(gh_message_device_id(copy), text_of("dev1")));
	cr_assert_eq(gh_partition_of(gh_message_partition_key(copy), 4), 3);
	message_says(copy, GH_PROP_MESSAGE_ID, "m-1");
	message_says(copy, GH_PROP_CONNECTION_DEVICE_ID, "dev1");
	message_says(copy, GH_PROP_ENQUEUED_TIME, "2023-11-14T22:13:20.123Z");
	message_says(copy, GH_PROP_MESSAGE_SOURCE, "Telemetry");
	message_says(copy, GH_PROP_AUTH_METHOD,
		"{\"scope\":\"device\",\"type\":\"sas\",\"issuer\":\"iothub\",\"acceptingIpFilterRule\":null}");
	cr_assert_eq(message_counts(copy, "color", &value), 1);
	cr_assert(text_equal(value, text_of("red one")));
	cr_assert_eq(message_counts(copy, "mqtt-retain", &value), 1);
	gh_message_unref(copy);
}

Test(message, must_76_stamps_cannot_be_forged)
{
	const char *forged[] = {"iothub-connection-device-id", "IOTHUB-Connection-Module-Id",
		"iothub-connection-auth-method", "iothub-connection-auth-generation-id", "iothub-connection-anything",
		"iothub-enqueuedtime", "iothub-message-source", "dt-dataschema", "mqtt-retain", "MQTT-DUP",
		"iothub-messagetype"};
	gh_draft *draft = message_draft();
	for (size_t i = 0; i < sizeof forged / sizeof *forged; i++)
		cr_assert_eq(gh_draft_add(draft, text_of(forged[i]), text_of("evil"), NULL), GH_OK);
	gh_message *message = message_frozen(draft);
	gh_bytes value;
	for (size_t i = 0; i < sizeof forged / sizeof *forged; i++)
		cr_assert_eq(message_counts(message, forged[i], &value), 0, "%s", forged[i]);
	message_says(message, GH_PROP_CONNECTION_DEVICE_ID, "dev1");
	gh_message_unref(message);
	gh_draft_free(draft);
}

Test(message, repeated_names_keep_the_last_without_regard_to_case)
{
	gh_draft *draft = message_draft();
	gh_draft_add(draft, text_of("Temp"), text_of("1"), NULL);
	gh_draft_add(draft, text_of("other"), text_of("x"), NULL);
	gh_draft_add(draft, text_of("temp"), text_of("22"), NULL);
	gh_draft_set(draft, GH_PROP_CONTENT_TYPE, text_of("a/b"), NULL);
	gh_draft_set(draft, GH_PROP_CONTENT_TYPE, text_of("c/d"), NULL);
	gh_draft_set(draft, GH_PROP_USER_ID, text_of("u"), NULL);
	gh_draft_set(draft, GH_PROP_USER_ID, text_of(""), NULL);
	gh_message *message = message_frozen(draft);
	gh_bytes value;
	gh_cursor cursor;
	cr_assert_eq(message_counts(message, "temp", &value), 1);
	cr_assert(text_equal(value, text_of("22")));
	message_says(message, GH_PROP_CONTENT_TYPE, "c/d");
	cr_assert(!gh_message_get(message, GH_PROP_USER_ID, &cursor, &value), "an empty value is none");
	gh_message_unref(message);
	gh_draft_free(draft);
}

/* Also where the draft has just grown: it keeps a table of what it has. */
Test(message, a_name_may_be_repeated_behind_any_number_of_others)
{
	for (unsigned others = 0; others < 80; others++) {
		gh_draft *draft = message_draft();
		gh_bytes value;
		cr_assert_eq(gh_draft_add(draft, text_of("again"), text_of("1"), NULL), GH_OK);
		for (unsigned i = 0; i < others; i++) {
			char name[16];
			snprintf(name, sizeof name, "other%u", i);
			cr_assert_eq(gh_draft_add(draft, text_of(name), text_of("x"), NULL), GH_OK);
		}
		cr_assert_eq(gh_draft_add(draft, text_of("again"), text_of("2"), NULL), GH_OK);
		gh_message *message = message_frozen(draft);
		cr_assert_eq(message_counts(message, "again", &value), 1, "behind %u", others);
		cr_assert(text_equal(value, text_of("2")), "behind %u", others);
		gh_message_unref(message);
		gh_draft_free(draft);
	}
}

Test(message, limits_are_kept)
{
	gh_draft *draft = message_draft();
	uint8_t *body = calloc(1, 262145);
	gh_error err;
	cr_assert_eq(gh_draft_body(draft, (gh_bytes){body, 262145}, &err), GH_TOO_LARGE);
	cr_assert_eq(gh_draft_body(draft, (gh_bytes){body, 262144}, &err), GH_OK);
	cr_assert_eq(gh_draft_add(draft, text_of("a"), text_of(""), &err), GH_TOO_LARGE, "a name counts");
	gh_draft_reset(draft);
	for (int i = 0; i < 256; i++) {
		char name[16];
		snprintf(name, sizeof name, "p%d", i);
		cr_assert_eq(gh_draft_add(draft, text_of(name), text_of("v"), &err), GH_OK, "%d", i);
	}
	cr_assert_eq(gh_draft_add(draft, text_of("one more"), text_of("v"), &err), GH_TOO_LARGE);
	gh_draft_reset(draft);
	char id[130];
	memset(id, 'i', sizeof id);
	cr_assert_eq(gh_draft_set(draft, GH_PROP_MESSAGE_ID, (gh_bytes){(uint8_t *)id, 129}, &err), GH_INVALID);
	cr_assert_eq(gh_draft_set(draft, GH_PROP_MESSAGE_ID, (gh_bytes){(uint8_t *)id, 128}, &err), GH_OK);
	cr_assert_eq(gh_draft_set(draft, GH_PROP_MESSAGE_ID, text_of("a/b"), &err), GH_INVALID);
	cr_assert_eq(gh_draft_add(draft, text_of("n"), text_of("\xff"), &err), GH_INVALID);
	cr_assert_eq(gh_draft_add(draft, text_of(""), text_of("v"), &err), GH_INVALID);
	free(body);
	gh_draft_free(draft);
}

Test(message, a_damaged_record_is_refused_at_every_cut_and_flip)
{
	gh_draft *draft = message_draft();
	gh_draft_add(draft, text_of("k"), text_of("v"), NULL);
	gh_draft_body(draft, text_of("body"), NULL);
	gh_message *message = message_frozen(draft), *copy;
	gh_bytes whole = gh_message_encoded(message);
	for (size_t n = 0; n < whole.len; n++)
		cr_assert_eq(gh_message_decode((gh_bytes){whole.data, n}, &copy), GH_MALFORMED, "cut at %zu", n);
	uint8_t *bytes = malloc(whole.len);
	for (size_t i = 0; i < whole.len * 8; i++) { /* flips in text go unseen here; the walk must stay inside */
		memcpy(bytes, whole.data, whole.len);
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		if (gh_message_decode((gh_bytes){bytes, whole.len}, &copy) != GH_OK)
			continue;
		gh_cursor cursor = {0};
		gh_property property;
		size_t seen = 0;
		while (gh_message_next(copy, &cursor, &property))
			seen += property.value.len;
		cr_assert(seen < 1000);
		gh_message_unref(copy);
	}
	free(bytes);
	gh_message_unref(message);
	gh_draft_free(draft);
}

struct partition_row {
	char id[32];
	int hash;
	unsigned of[4]; /* N = 2, 4, 8, 32 */
};

ParameterizedTestParameters(message, partition_is_the_published_hash)
{
	static struct partition_row rows[] = {
		{"", 0, {0, 0, 0, 0}},
		{"a", -16220, {0, 0, 4, 28}},
		{"dev1", 16863, {1, 3, 7, 31}},
		{"dev-001", -7326, {0, 2, 6, 30}},
		{"0123456789ab", -17054, {0, 2, 6, 30}},
		{"0123456789abc", -4167, {1, 3, 7, 7}},
		{"LogicAppTestDevice", -15032, {0, 0, 0, 24}},
		{"abcdefghijklmnopqrstuvwxyz", -13397, {1, 1, 5, 21}},
	};
	return cr_make_param_array(struct partition_row, rows, sizeof rows / sizeof *rows);
}

ParameterizedTest(struct partition_row *row, message, partition_is_the_published_hash)
{
	static const uint32_t counts[4] = {2, 4, 8, 32};
	uint32_t hash = gh_partition_hash(text_of(row->id));
	cr_assert_eq((int16_t)hash, row->hash, "%s", row->id);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(gh_partition_of(hash, counts[i]), row->of[i], "%s of %u", row->id, counts[i]);
}
