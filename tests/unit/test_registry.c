/* The registry: documents and their rules, preconditions, concurrent writers, imports, policies. */
#include "tests/suite.h"
#include "tests/unit/test_store_double.h"

#include "src/base/limits.h"
#include "src/base/text.h"
#include "src/core/registry.h"

#include <stdio.h>

SUITE(registry);

#define K1 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define K2 "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
#define KEYS "\"symmetricKey\":{\"primaryKey\":\"" K1 "\",\"secondaryKey\":\"" K2 "\"}"

static struct store_double store;
static gh_limits limits;
static struct registry registry;
static gh_error error;
static uint64_t now_ms;
static uint8_t dice;

static void test_random(void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)bytes)[i] = (uint8_t)(dice += 37);
}

static uint64_t test_wall_ms(void)
{
	return now_ms;
}

/* 2026-01-01T00:00:00Z */
#define START_MS UINT64_C(1767225600000)
#define START_TICKS "639028224000000000"

static void setup(void)
{
	store_double_init(&store);
	limits_defaults(&limits);
	now_ms = START_MS;
	registry = (struct registry){&store.base, &limits, test_random, test_wall_ms};
	error = (gh_error){.code = "none"};
}

static void teardown(void)
{
	store_double_done(&store);
}

#define REGISTRY_TEST(name) Test(registry, name, .init = setup, .fini = teardown)

/* ---- shorthands ---- */

static json_t *parse(const char *text)
{
	json_t *document = json_loads(text, 0, NULL);
	cr_assert(document != NULL, "%s is JSON", text);
	return document;
}

static gh_status create(const char *text)
{
	json_t *given = parse(text), *made = NULL;
	gh_status status = registry_device_create(&registry, given, &made, &error);
	json_decref(given);
	json_decref(made);
	return status;
}

static gh_status update(const char *text, const char *etag)
{
	json_t *given = parse(text), *made = NULL;
	gh_status status = registry_device_update(&registry, given, etag, &made, &error);
	json_decref(given);
	json_decref(made);
	return status;
}

static gh_status drop(const char *device_id, const char *module_id, const char *etag)
{
	return registry_device_delete(&registry, device_id, module_id, etag, &error);
}

static json_t *get(const char *device_id, const char *module_id)
{
	json_t *document = NULL;
	cr_assert_eq(registry_device_get(&registry, device_id, module_id, &document, &error), GH_OK, "%s/%s: %s",
		device_id, module_id, error.text);
	return document;
}

static bool exists(const char *device_id, const char *module_id)
{
	json_t *document = NULL;
	gh_status status = registry_device_get(&registry, device_id, module_id, &document, &error);
	json_decref(document);
	return status == GH_OK;
}

/* A copy of a text at a path of up to three names. */
static const char *at(const json_t *document, const char *a, const char *b, const char *c)
{
	const json_t *value = json_object_get(document, a);
	value = b ? json_object_get(value, b) : value;
	value = c ? json_object_get(value, c) : value;
	return json_is_string(value) ? json_string_value(value) : json_is_null(value) ? "null" : "absent";
}

/* One text of a stored identity, copied. */
static const char *stored(
	char room[512], const char *device_id, const char *module_id, const char *a, const char *b, const char *c)
{
	json_t *document = get(device_id, module_id);
	snprintf(room, 512, "%s", at(document, a, b, c));
	json_decref(document);
	return room;
}

static void put_session(const char *key)
{
	gh_store_write write = {GH_FAMILY_SESSIONS, text_of(key), text_of("{}"), false, GH_VERSION_ANY};
	cr_assert_eq(double_commit(&store.base, &write, 1, NULL), GH_OK);
}

static bool has_session(const char *key)
{
	return double_at(&store, GH_FAMILY_SESSIONS, text_of(key)) != NULL;
}

static struct identity read_identity(const char *device_id, const char *module_id)
{
	struct identity identity;
	cr_assert_eq(identity_read(&store.base, text_of(device_id), text_of(module_id), &identity), GH_OK, "%s/%s",
		device_id, module_id);
	return identity;
}

/* ---- documents ---- */

REGISTRY_TEST(a_device_with_nothing_but_an_id_gets_keys_and_defaults)
{
	json_t *given = parse("{\"deviceId\":\"dev1\"}"), *made;
	cr_assert_eq(registry_device_create(&registry, given, &made, &error), GH_OK);
	json_decref(given);
	cr_assert_str_eq(at(made, "deviceId", NULL, NULL), "dev1");
	cr_assert_str_eq(at(made, "generationId", NULL, NULL), START_TICKS);
	cr_assert_str_eq(at(made, "etag", NULL, NULL), "NjM5MDI4MjI0MDAwMDAwMDAw");
	cr_assert_str_eq(at(made, "status", NULL, NULL), "enabled");
	cr_assert_str_eq(at(made, "statusReason", NULL, NULL), "null");
	cr_assert_str_eq(at(made, "statusUpdatedTime", NULL, NULL), "0001-01-01T00:00:00Z");
	cr_assert_str_eq(at(made, "authentication", "type", NULL), "sas");
	cr_assert_str_eq(at(made, "authentication", "x509Thumbprint", "primaryThumbprint"), "null");
	cr_assert(json_is_false(json_object_get(json_object_get(made, "capabilities"), "iotEdge")));
	const char *primary = at(made, "authentication", "symmetricKey", "primaryKey");
	const char *secondary = at(made, "authentication", "symmetricKey", "secondaryKey");
	struct sas_key key;
	cr_assert(sas_key_decode(text_of(primary), &key) && key.len == 32);
	cr_assert(sas_key_decode(text_of(secondary), &key) && key.len == 32);
	cr_assert_str_neq(primary, secondary);
	json_t *again = get("dev1", NULL);
	cr_assert(json_equal(made, again), "what is returned is what is stored");
	json_decref(again);
	json_decref(made);
}

REGISTRY_TEST(given_fields_are_kept_hub_fields_and_unknown_ones_are_ignored)
{
	cr_assert_eq(create("{\"deviceId\":\"dev1\",\"status\":\"Disabled\",\"statusReason\":\"lost\",\"etag\":\"x\","
			    "\"generationId\":\"1\",\"connectionState\":\"Connected\",\"novel\":{\"a\":[1]},"
			    "\"capabilities\":{\"iotEdge\":true},\"authentication\":{\"type\":\"sas\"," KEYS "}}"),
		GH_OK, "%s", error.text);
	json_t *document = get("dev1", "");
	cr_assert_str_eq(at(document, "status", NULL, NULL), "disabled");
	cr_assert_str_eq(at(document, "statusReason", NULL, NULL), "lost");
	cr_assert_str_eq(at(document, "generationId", NULL, NULL), START_TICKS);
	cr_assert_str_neq(at(document, "etag", NULL, NULL), "x");
	cr_assert_str_eq(at(document, "authentication", "symmetricKey", "primaryKey"), K1);
	cr_assert_str_eq(at(document, "authentication", "symmetricKey", "secondaryKey"), K2);
	cr_assert(json_is_true(json_object_get(json_object_get(document, "capabilities"), "iotEdge")));
	cr_assert(!json_object_get(document, "novel") && !json_object_get(document, "connectionState"));
	json_decref(document);
}

#define HEX20 "0123456789abcdefABCD0123456789abcdef0123"
#define HEX32 HEX20 "456789ABCDEF0123456789ab"
#define HEX20_COLONS "01:23:45:67:89:ab:cd:ef:AB:CD:01:23:45:67:89:ab:cd:ef:01:23"
#define A20 "AAAAAAAAAAAAAAAAAAAA"
#define B64_64 A20 A20 A20 A20 "AAAAAA=="
#define B64_65 A20 A20 A20 A20 "AAAAAAA="
#define AUTH(text) "{\"deviceId\":\"d\",\"authentication\":{" text "}}"

REGISTRY_TEST(every_field_is_taken_or_refused_by_name)
{
	static const struct {
		const char *document;
		gh_status status;
		const char *code;
	} rows[] = {
		{"[]", GH_INVALID, "document_form"},
		{"{}", GH_INVALID, "id_missing"},
		{"{\"deviceId\":null}", GH_INVALID, "id_missing"},
		{"{\"deviceId\":7}", GH_INVALID, "document_field"},
		{"{\"deviceId\":\"\"}", GH_INVALID, "id_form"},
		{"{\"deviceId\":\"a/b\"}", GH_INVALID, "id_form"},
		{"{\"deviceId\":\"a b\"}", GH_INVALID, "id_form"},
		{"{\"deviceId\":\"d\\u00e9\"}", GH_INVALID, "id_form"},
		{"{\"deviceId\":\"d\",\"status\":\"off\"}", GH_INVALID, "status_form"},
		{"{\"deviceId\":\"d\",\"status\":true}", GH_INVALID, "document_field"},
		{"{\"deviceId\":\"d\",\"statusReason\":1}", GH_INVALID, "document_field"},
		{"{\"deviceId\":\"d\",\"capabilities\":[]}", GH_INVALID, "document_field"},
		{"{\"deviceId\":\"d\",\"capabilities\":{\"iotEdge\":\"yes\"}}", GH_INVALID, "document_field"},
		{"{\"deviceId\":\"d\",\"authentication\":\"sas\"}", GH_INVALID, "document_field"},
		{AUTH("\"type\":\"none\""), GH_INVALID, "authentication_type"},
		{AUTH("\"type\":\"tpm\""), GH_INVALID, "authentication_type"},
		{AUTH("\"symmetricKey\":7"), GH_INVALID, "document_field"},
		{AUTH("\"symmetricKey\":{\"primaryKey\":\"" K1 "\"}"), GH_INVALID, "key_pair"},
		{AUTH("\"symmetricKey\":{\"primaryKey\":\"\",\"secondaryKey\":\"" K1 "\"}"), GH_INVALID, "key_pair"},
		{AUTH("\"symmetricKey\":{\"primaryKey\":\"AAECAwQFBgcICQoLDA0O\",\"secondaryKey\":\"" K1 "\"}"),
			GH_INVALID, "key_form"},
		{AUTH("\"symmetricKey\":{\"primaryKey\":\"" K1 "\",\"secondaryKey\":\"not base64\"}"), GH_INVALID,
			"key_form"},
		{AUTH("\"symmetricKey\":{\"primaryKey\":\"AAECAwQFBgcICQoLDA0ODw==\",\"secondaryKey\":\"" K1 "\"}"),
			GH_OK, ""},
		{AUTH("\"symmetricKey\":{\"primaryKey\":\"" B64_65 "\",\"secondaryKey\":\"" K1 "\"}"), GH_INVALID,
			"key_form"},
		{AUTH("\"symmetricKey\":{\"primaryKey\":\"" B64_64 "\",\"secondaryKey\":\"" K1 "\"}"), GH_OK, ""},
		{AUTH("\"symmetricKey\":{\"primaryKey\":\"\",\"secondaryKey\":\"\"}"), GH_OK, ""},
		{AUTH("\"symmetricKey\":{\"primaryKey\":null,\"secondaryKey\":null}"), GH_OK, ""},
		{AUTH("\"symmetricKey\":null"), GH_OK, ""},
		{AUTH("\"type\":\"selfSigned\""), GH_OK, ""},
		{AUTH("\"type\":\"selfSigned\",\"x509Thumbprint\":{\"primaryThumbprint\":\"" HEX20 "\"}"), GH_OK, ""},
		{AUTH("\"type\":\"selfSigned\",\"x509Thumbprint\":{\"secondaryThumbprint\":\"" HEX32 "\"}"), GH_OK, ""},
		{AUTH("\"type\":\"selfSigned\",\"x509Thumbprint\":{\"primaryThumbprint\":\"" HEX20 "00\"}"), GH_INVALID,
			"thumbprint_form"},
		{AUTH("\"type\":\"selfSigned\",\"x509Thumbprint\":{\"primaryThumbprint\":\"01:23\"}"), GH_INVALID,
			"thumbprint_form"},
		{AUTH("\"type\":\"selfSigned\",\"x509Thumbprint\":{\"primaryThumbprint\":\"" HEX20_COLONS "\"}"),
			GH_INVALID, "thumbprint_form"},
		{AUTH("\"type\":\"certificateAuthority\""), GH_OK, ""},
		{"{\"deviceId\":\"d\",\"deviceScope\":[]}", GH_INVALID, "document_field"},
		{"{\"deviceId\":\"d\",\"capabilities\":{\"iotEdge\":true},\"parentScopes\":\"s\"}", GH_INVALID,
			"document_field"},
		{"{\"deviceId\":\"d\",\"capabilities\":{\"iotEdge\":true},\"parentScopes\":[1]}", GH_INVALID,
			"document_field"},
		{"{\"deviceId\":\"a-b.c+d%e_f#g*h?i!j(k),l=m@n$o'p:q;r\"}", GH_OK, ""},
		{"{\"deviceId\":\"$device\"}", GH_OK, ""},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cr_assert_eq(create(rows[i].document), rows[i].status, "%s: %s", rows[i].document, error.text);
		if (rows[i].status != GH_OK)
			cr_assert_str_eq(error.code, rows[i].code, "%s", rows[i].document);
		else if (exists("d", NULL))
			cr_assert_eq(drop("d", NULL, "*"), GH_OK);
	}
}

REGISTRY_TEST(keys_and_thumbprints_are_stored_byte_for_byte)
{
	char room[512];
	create(AUTH("\"symmetricKey\":{\"primaryKey\":\"" B64_64 "\",\"secondaryKey\":\"" K2 "\"}"));
	cr_assert_str_eq(stored(room, "d", "", "authentication", "symmetricKey", "primaryKey"), B64_64);
	cr_assert_str_eq(stored(room, "d", "", "authentication", "symmetricKey", "secondaryKey"), K2);
	update(AUTH("\"type\":\"selfSigned\",\"x509Thumbprint\":{\"primaryThumbprint\":\"" HEX32 "\"}"), "*");
	cr_assert_str_eq(stored(room, "d", "", "authentication", "x509Thumbprint", "primaryThumbprint"), HEX32);
}

#define EDGE "\"capabilities\":{\"iotEdge\":true}"

static const char *scopes(char room[512], const char *device_id)
{
	json_t *document = get(device_id, NULL);
	const json_t *parents = json_object_get(document, "parentScopes");
	char *text = parents ? json_dumps(parents, JSON_COMPACT) : NULL;
	snprintf(room, 512, "%s %s", at(document, "deviceScope", NULL, NULL), text ? text : "absent");
	free(text);
	json_decref(document);
	return room;
}

REGISTRY_TEST(an_edge_device_keeps_its_scope_and_leaves_carry_the_one_they_were_given)
{
	char room[512];
	create("{\"deviceId\":\"plain\",\"deviceScope\":null,\"parentScopes\":[\"ignored\"]}");
	cr_assert_str_eq(scopes(room, "plain"), "absent absent");
	create("{\"deviceId\":\"edge\"," EDGE ",\"parentScopes\":[\"above\"]}");
	cr_assert_str_eq(scopes(room, "edge"), "ms-azure-iot-edge://edge-639028224000000002 [\"above\"]");
	update("{\"deviceId\":\"edge\"," EDGE ",\"deviceScope\":\"other\"}", "*");
	cr_assert_str_eq(
		scopes(room, "edge"), "ms-azure-iot-edge://edge-639028224000000002 absent", "its leaves would lose it");
	create("{\"deviceId\":\"moved\"," EDGE ",\"deviceScope\":\"ms-azure-iot-edge://moved-1\"}");
	cr_assert_str_eq(scopes(room, "moved"), "ms-azure-iot-edge://moved-1 absent", "taken over from another hub");
	create("{\"deviceId\":\"leaf\",\"deviceScope\":\"ms-azure-iot-edge://edge-1\"}");
	cr_assert_str_eq(scopes(room, "leaf"), "ms-azure-iot-edge://edge-1 [\"ms-azure-iot-edge://edge-1\"]");
	update("{\"deviceId\":\"leaf\"," EDGE "}", "*");
	cr_assert_eq(strncmp(scopes(room, "leaf"), "ms-azure-iot-edge://leaf-", 25), 0, "%s", room);
}

REGISTRY_TEST(ids_are_1_to_128_of_the_allowed_characters)
{
	char id[130];
	memset(id, 'x', sizeof id);
	cr_assert(registry_id_allowed((gh_bytes){(uint8_t *)id, 128}));
	cr_assert(!registry_id_allowed((gh_bytes){(uint8_t *)id, 129}));
	cr_assert(!registry_id_allowed((gh_bytes){NULL, 0}));
	const char *allowed = "ABCXYZabcxyz0189-.+%_#*?!(),=@$':;";
	for (int c = 0; c < 256; c++) {
		uint8_t byte = (uint8_t)c;
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		bool expected = letter || (c != 0 && strchr(allowed, c) != NULL);
		cr_assert_eq(registry_id_allowed((gh_bytes){&byte, 1}), expected, "byte %d", c);
	}
}

REGISTRY_TEST(a_status_reason_counts_characters_not_bytes)
{
	char document[1024] = "{\"deviceId\":\"d\",\"statusReason\":\"";
	for (int i = 0; i < 128; i++)
		strcat(document, "\xc3\xa9");
	char *end = document + strlen(document);
	strcpy(end, "\"}");
	cr_assert_eq(create(document), GH_OK, "%s", error.text);
	strcpy(end, "e\"}");
	cr_assert_eq(update(document, "*"), GH_INVALID);
}

/* ---- what the device side reads ---- */

REGISTRY_TEST(identity_read_gives_keys_generation_and_status)
{
	create("{\"deviceId\":\"dev1\",\"authentication\":{" KEYS "}}");
	struct identity identity = read_identity("dev1", "");
	cr_assert(identity.enabled);
	cr_assert_eq(identity.auth, IDENTITY_SAS);
	cr_assert_eq(identity.keys.primary.len, 32);
	cr_assert_eq(identity.keys.primary.bytes[31], 0x1f);
	cr_assert_eq(identity.keys.secondary.bytes[0], 0x20);
	cr_assert_str_eq(identity.generation_id, START_TICKS);
	cr_assert_str_eq(identity.thumbprints[0], "");
}

REGISTRY_TEST(identity_read_gives_thumbprints_in_lower_case_and_no_keys)
{
	create(AUTH("\"type\":\"selfSigned\",\"x509Thumbprint\":{\"primaryThumbprint\":\"" HEX20
		    "\",\"secondaryThumbprint\":\"" HEX32 "\"}," KEYS));
	struct identity identity = read_identity("d", "");
	cr_assert_eq(identity.auth, IDENTITY_SELF_SIGNED);
	cr_assert_str_eq(identity.thumbprints[0], "0123456789abcdefabcd0123456789abcdef0123");
	cr_assert_eq(strlen(identity.thumbprints[1]), 64);
	cr_assert_eq(identity.keys.primary.len + identity.keys.secondary.len, 0);
	char room[512];
	cr_assert_str_eq(stored(room, "d", "", "authentication", "symmetricKey", "primaryKey"), "null");
	update(AUTH("\"type\":\"certificateAuthority\""), "*");
	cr_assert_eq(read_identity("d", "").auth, IDENTITY_CA);
}

REGISTRY_TEST(must_30_a_disabled_device_disables_its_modules)
{
	create("{\"deviceId\":\"dev1\"}");
	create("{\"deviceId\":\"dev1\",\"moduleId\":\"mod-A\"}");
	cr_assert(read_identity("dev1", "mod-A").enabled);
	update("{\"deviceId\":\"dev1\",\"status\":\"disabled\"}", "*");
	cr_assert(!read_identity("dev1", "mod-A").enabled);
	cr_assert(!read_identity("dev1", "").enabled);
}

REGISTRY_TEST(must_23_ids_that_differ_in_case_are_different_devices)
{
	create("{\"deviceId\":\"dev1\"}");
	struct identity identity;
	cr_assert_eq(identity_read(&store.base, text_of("DEV1"), text_of(""), &identity), GH_NOT_FOUND);
	cr_assert_eq(create("{\"deviceId\":\"DEV1\"}"), GH_OK);
	cr_assert_str_neq(read_identity("DEV1", "").generation_id, read_identity("dev1", "").generation_id);
}

REGISTRY_TEST(an_id_never_reaches_another_identitys_record)
{
	create("{\"deviceId\":\"dev1\"}");
	create("{\"deviceId\":\"dev1\",\"moduleId\":\"mod-A\"}");
	static const struct {
		const char *device;
		const char *module;
	} rows[] = {{"dev1/mod-A", ""}, {"dev1/", "mod-A"}, {"", ""}, {"", "mod-A"}, {"dev1", "mod"}, {"dev", ""},
		{"dev1", "mod-A/"}, {"dev2", "mod-A"}, {"dev1\n", ""}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct identity identity;
		cr_assert_eq(identity_read(&store.base, text_of(rows[i].device), text_of(rows[i].module), &identity),
			GH_NOT_FOUND, "row %zu", i);
		cr_assert(!exists(rows[i].device, rows[i].module), "row %zu", i);
		cr_assert_eq(drop(rows[i].device, rows[i].module, "*"), GH_NOT_FOUND, "row %zu", i);
	}
	struct identity identity;
	cr_assert_eq(identity_read(&store.base, (gh_bytes){(const uint8_t *)"dev1\0x", 6}, text_of(""), &identity),
		GH_NOT_FOUND);
}

REGISTRY_TEST(a_module_whose_device_is_gone_is_not_found)
{
	gh_store_write write = {GH_FAMILY_IDENTITIES, text_of("dev1/mod-A"),
		text_of("{\"deviceId\":\"dev1\",\"moduleId\":\"mod-A\",\"generationId\":\"1\",\"authentication\":{"
			"\"type\":"
			"\"certificateAuthority\"}}"),
		false, GH_VERSION_ANY};
	double_commit(&store.base, &write, 1, NULL);
	struct identity identity;
	cr_assert_eq(identity_read(&store.base, text_of("dev1"), text_of("mod-A"), &identity), GH_NOT_FOUND);
}

REGISTRY_TEST(a_damaged_document_opens_nothing)
{
	static const char *const rows[] = {
		"",
		"{",
		"[]",
		"{\"deviceId\":\"d\"}",
		"{\"status\":\"enabled\",\"authentication\":{\"type\":\"sas\"," KEYS "}}",
		"{\"generationId\":\"\",\"status\":\"enabled\",\"authentication\":{\"type\":\"sas\"," KEYS "}}",
		"{\"generationId\":\"1\",\"authentication\":{\"type\":\"sas\"," KEYS "}}",
		"{\"generationId\":\"1\",\"status\":\"Enabled\",\"authentication\":{\"type\":\"sas\"," KEYS "}}",
		"{\"generationId\":\"1\",\"status\":\"enabled\",\"authentication\":{" KEYS "}}",
		"{\"generationId\":\"1\",\"status\":\"enabled\",\"authentication\":{\"type\":\"sas\"}}",
		"{\"generationId\":\"1\",\"status\":\"enabled\",\"authentication\":{\"type\":\"none\"," KEYS "}}",
		("{\"generationId\":\"1\",\"status\":\"enabled\",\"authentication\":{\"type\":\"selfSigned\","
		 "\"x509Thumbprint\":{\"primaryThumbprint\":\"0123\"}}}"),
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct identity identity;
		cr_assert_eq(identity_parse(text_of(rows[i]), &identity), GH_INTERNAL, "%s", rows[i]);
	}
}

REGISTRY_TEST(a_store_that_cannot_be_read_is_not_an_absent_identity)
{
	create("{\"deviceId\":\"dev1\"}");
	registry_ensure_policies(&registry, NULL);
	store.fail_read = GH_IO;
	struct identity identity;
	struct sas_policy policy;
	json_t *document;
	cr_assert_eq(identity_read(&store.base, text_of("dev1"), text_of(""), &identity), GH_IO);
	cr_assert_eq(policy_read(&store.base, text_of("device"), &policy), GH_IO, "not to be taken for its absence");
	cr_assert_eq(create("{\"deviceId\":\"dev2\"}"), GH_IO);
	cr_assert_eq(drop("dev1", NULL, "*"), GH_IO);
	cr_assert_eq(registry_device_get(&registry, "dev1", NULL, &document, &error), GH_IO);
	cr_assert_eq(registry_device_list(&registry, NULL, "", 10, &document, &error), GH_IO);
	cr_assert_eq(registry_policy_list(&registry, &document, &error), GH_IO);
	cr_assert_eq(registry_ensure_policies(&registry, &error), GH_IO);
}

/* ---- preconditions (service contract 2.4) ---- */

REGISTRY_TEST(preconditions_decide_as_the_table_says)
{
	cr_assert_eq(update("{\"deviceId\":\"dev1\"}", "*"), GH_NOT_FOUND);
	cr_assert_eq(update("{\"deviceId\":\"dev1\"}", "\"abc\""), GH_NOT_FOUND);
	cr_assert_eq(drop("dev1", NULL, NULL), GH_NOT_FOUND);
	cr_assert_eq(drop("dev1", NULL, "*"), GH_NOT_FOUND);
	cr_assert_eq(update("{\"deviceId\":\"dev1\"}", NULL), GH_OK, "without If-Match it is a creation");
	cr_assert_eq(update("{\"deviceId\":\"dev1\"}", NULL), GH_EXISTS);
	cr_assert_eq(create("{\"deviceId\":\"dev1\"}"), GH_EXISTS);
	cr_assert_str_eq(error.code, "device_exists");
	cr_assert_eq(update("{\"deviceId\":\"dev1\"}", "abc"), GH_CONFLICT);
	cr_assert_str_eq(error.code, "etag_mismatch");
	cr_assert_eq(update("{\"deviceId\":\"dev1\"}", "\"*\""), GH_OK);
	char etag[512], quoted[520];
	cr_assert_eq(update("{\"deviceId\":\"dev1\"}", stored(etag, "dev1", "", "etag", NULL, NULL)), GH_OK);
	cr_assert_eq(update("{\"deviceId\":\"dev1\"}", etag), GH_CONFLICT, "an etag is good for one write");
	snprintf(quoted, sizeof quoted, "\"%s\"", stored(etag, "dev1", "", "etag", NULL, NULL));
	cr_assert_eq(update("{\"deviceId\":\"dev1\"}", quoted), GH_OK);
	cr_assert_eq(drop("dev1", NULL, NULL), GH_CONFLICT);
	cr_assert_str_eq(error.code, "etag_missing");
	cr_assert_eq(strncmp(error.text, "Etag missing", 12), 0, "%s", error.text);
	cr_assert_eq(drop("dev1", NULL, quoted), GH_CONFLICT);
	cr_assert_eq(drop("dev1", NULL, ""), GH_CONFLICT);
	cr_assert_eq(drop("dev1", NULL, stored(etag, "dev1", "", "etag", NULL, NULL)), GH_OK);
	cr_assert(!exists("dev1", NULL));
}

static gh_status put(const char *text, const char *etag, bool *ret_created)
{
	json_t *given = parse(text), *made = NULL;
	gh_status status = registry_device_put(&registry, given, etag, &made, ret_created, &error);
	json_decref(given);
	json_decref(made);
	return status;
}

REGISTRY_TEST(put_creates_what_is_absent_and_updates_what_is_present_under_its_etag)
{
	bool created = false;
	char etag[512];
	cr_assert_eq(put("{\"deviceId\":\"d\"}", "wrong", &created), GH_OK, "absent: there is no etag to compare");
	cr_assert(created);
	cr_assert_eq(put("{\"deviceId\":\"d\"}", "wrong", &created), GH_CONFLICT);
	cr_assert_eq(put("{\"deviceId\":\"d\",\"statusReason\":\"a\"}", "*", &created), GH_OK);
	cr_assert(!created);
	cr_assert_eq(put("{\"deviceId\":\"d\"}", stored(etag, "d", "", "etag", NULL, NULL), &created), GH_OK);
	cr_assert_eq(put("{\"deviceId\":\"x\",\"moduleId\":\"m\"}", "*", &created), GH_NOT_FOUND);
	cr_assert_str_eq(error.code, "device_not_found");
	cr_assert_eq(put("{\"deviceId\":\"d\",\"moduleId\":\"m\"}", "*", &created), GH_OK);
	cr_assert(created && exists("d", "m"));
}

REGISTRY_TEST(an_update_keeps_the_generation_moves_the_etag_and_mints_keys_that_are_not_given)
{
	create("{\"deviceId\":\"dev1\",\"authentication\":{" KEYS "}}");
	char before[512], after[512];
	stored(before, "dev1", "", "etag", NULL, NULL);
	now_ms += 5000;
	cr_assert_eq(update("{\"deviceId\":\"dev1\",\"authentication\":{" KEYS "}}", "*"), GH_OK);
	cr_assert_str_neq(stored(after, "dev1", "", "etag", NULL, NULL), before);
	cr_assert_str_eq(stored(after, "dev1", "", "generationId", NULL, NULL), START_TICKS);
	cr_assert_str_eq(stored(after, "dev1", "", "authentication", "symmetricKey", "primaryKey"), K1);
	update("{\"deviceId\":\"dev1\"}", "*");
	cr_assert_str_neq(stored(after, "dev1", "", "authentication", "symmetricKey", "primaryKey"), K1);
}

REGISTRY_TEST(the_status_time_moves_only_with_the_status)
{
	char time[512];
	create("{\"deviceId\":\"dev1\"}");
	now_ms += 1000;
	update("{\"deviceId\":\"dev1\"}", "*");
	cr_assert_str_eq(stored(time, "dev1", "", "statusUpdatedTime", NULL, NULL), "0001-01-01T00:00:00Z");
	update("{\"deviceId\":\"dev1\",\"status\":\"disabled\"}", "*");
	cr_assert_str_eq(stored(time, "dev1", "", "statusUpdatedTime", NULL, NULL), "2026-01-01T00:00:01.000Z");
	now_ms += 1000;
	update("{\"deviceId\":\"dev1\",\"status\":\"disabled\",\"statusReason\":\"still\"}", "*");
	cr_assert_str_eq(stored(time, "dev1", "", "statusUpdatedTime", NULL, NULL), "2026-01-01T00:00:01.000Z");
}

REGISTRY_TEST(generations_and_etags_never_repeat_even_when_the_clock_stands_or_goes_back)
{
	char first[512], second[512], etag[512];
	create("{\"deviceId\":\"dev1\"}");
	stored(first, "dev1", "", "generationId", NULL, NULL);
	stored(etag, "dev1", "", "etag", NULL, NULL);
	drop("dev1", NULL, "*");
	now_ms -= 3600000;
	create("{\"deviceId\":\"dev1\"}");
	cr_assert_str_neq(stored(second, "dev1", "", "generationId", NULL, NULL), first);
	cr_assert(strcmp(second, first) > 0 && strlen(second) == 18);
	cr_assert_eq(update("{\"deviceId\":\"dev1\"}", etag), GH_CONFLICT, "the old identity's etag opens nothing");
}

/* ---- modules, and what goes with a device ---- */

REGISTRY_TEST(a_module_needs_its_device_and_an_id_of_its_own)
{
	cr_assert_eq(create("{\"deviceId\":\"dev1\",\"moduleId\":\"mod-A\"}"), GH_NOT_FOUND);
	cr_assert_str_eq(error.code, "device_not_found");
	create("{\"deviceId\":\"dev1\"}");
	cr_assert_eq(create("{\"deviceId\":\"dev1\",\"moduleId\":\"$edgeAgent\"}"), GH_INVALID);
	cr_assert_eq(create("{\"deviceId\":\"dev1\",\"moduleId\":\"a/b\"}"), GH_INVALID);
	cr_assert_eq(create("{\"deviceId\":\"dev1\",\"moduleId\":\"mod-A\",\"managedBy\":\"me\",\"authentication\":"
			    "{\"type\":\"none\"}}"),
		GH_OK, "%s", error.text);
	cr_assert_eq(create("{\"deviceId\":\"dev1\",\"moduleId\":\"mod-A\"}"), GH_EXISTS);
	cr_assert_str_eq(error.code, "module_exists");
	json_t *module = get("dev1", "mod-A");
	cr_assert_str_eq(at(module, "moduleId", NULL, NULL), "mod-A");
	cr_assert_str_eq(at(module, "deviceId", NULL, NULL), "dev1");
	cr_assert_str_eq(at(module, "managedBy", NULL, NULL), "me");
	cr_assert_str_eq(at(module, "authentication", "type", NULL), "sas");
	cr_assert_str_eq(at(module, "status", NULL, NULL), "absent");
	json_decref(module);
	cr_assert_eq(update("{\"deviceId\":\"dev1\",\"moduleId\":\"mod-A\"}", "*"), GH_OK);
	cr_assert_eq(update("{\"deviceId\":\"dev1\",\"moduleId\":\"mod-B\"}", "*"), GH_NOT_FOUND);
	cr_assert_str_eq(error.code, "module_not_found");
}

REGISTRY_TEST(a_device_has_at_most_modules_per_device_max)
{
	limits.modules_per_device_max = 3;
	create("{\"deviceId\":\"dev1\"}");
	create("{\"deviceId\":\"dev1-b\"}");
	for (int i = 0; i < 4; i++) {
		char text[128];
		snprintf(text, sizeof text, "{\"deviceId\":\"dev1\",\"moduleId\":\"m%d\"}", i);
		cr_assert_eq(create(text), i < 3 ? GH_OK : GH_QUOTA, "module %d: %s", i, error.text);
	}
	cr_assert_str_eq(error.code, "modules_per_device_max");
	cr_assert_eq(create("{\"deviceId\":\"dev1-b\",\"moduleId\":\"m\"}"), GH_OK);
}

REGISTRY_TEST(deleting_a_device_takes_its_modules_and_sessions_in_one_transaction)
{
	create("{\"deviceId\":\"dev1\"}");
	create("{\"deviceId\":\"dev1\",\"moduleId\":\"a\"}");
	create("{\"deviceId\":\"dev1\",\"moduleId\":\"b\"}");
	create("{\"deviceId\":\"dev1!\"}");
	create("{\"deviceId\":\"dev10\"}");
	create("{\"deviceId\":\"dev10\",\"moduleId\":\"a\"}");
	const char *const sessions[] = {"dev1", "dev1/a", "dev1/gone", "dev10", "dev10/a", "dev1!"};
	for (size_t i = 0; i < 6; i++)
		put_session(sessions[i]);
	size_t commits = store.commits;
	cr_assert_eq(drop("dev1", NULL, "*"), GH_OK, "%s", error.text);
	cr_assert_eq(store.commits, commits + 1);
	cr_assert(!exists("dev1", NULL) && !exists("dev1", "a") && !exists("dev1", "b"));
	cr_assert(exists("dev1!", NULL) && exists("dev10", NULL) && exists("dev10", "a"));
	for (size_t i = 0; i < 6; i++)
		cr_assert_eq(has_session(sessions[i]), i >= 3, "%s", sessions[i]);
}

REGISTRY_TEST(deleting_a_module_leaves_its_device_and_sisters)
{
	create("{\"deviceId\":\"dev1\"}");
	create("{\"deviceId\":\"dev1\",\"moduleId\":\"a\"}");
	create("{\"deviceId\":\"dev1\",\"moduleId\":\"ab\"}");
	put_session("dev1");
	put_session("dev1/a");
	put_session("dev1/ab");
	cr_assert_eq(drop("dev1", "a", "*"), GH_OK);
	cr_assert(exists("dev1", NULL) && !exists("dev1", "a") && exists("dev1", "ab"));
	cr_assert(has_session("dev1") && !has_session("dev1/a") && has_session("dev1/ab"));
}

/* ---- listing ---- */

static void list_is(const char *device_id, const char *after, size_t max, const char *expected)
{
	json_t *documents;
	char found[256] = "";
	cr_assert_eq(
		registry_device_list(&registry, device_id, after, max, &documents, &error), GH_OK, "%s", error.text);
	for (size_t i = 0; i < json_array_size(documents); i++) {
		const json_t *document = json_array_get(documents, i);
		strcat(found, at(document, device_id ? "moduleId" : "deviceId", NULL, NULL));
		strcat(found, " ");
	}
	json_decref(documents);
	cr_assert_str_eq(found, expected, "list of %s after \"%s\", at most %zu", device_id, after, max);
}

REGISTRY_TEST(lists_go_on_after_an_id_and_leave_modules_out)
{
	list_is(NULL, "", 10, "");
	const char *const ids[] = {"b", "a", "a!", "a0", "c"};
	for (size_t i = 0; i < 5; i++) {
		char text[128];
		snprintf(text, sizeof text, "{\"deviceId\":\"%s\"}", ids[i]);
		create(text);
	}
	create("{\"deviceId\":\"a\",\"moduleId\":\"n\"}");
	create("{\"deviceId\":\"a\",\"moduleId\":\"m\"}");
	create("{\"deviceId\":\"a!\",\"moduleId\":\"x\"}");
	list_is(NULL, "", 10, "a a! a0 b c ");
	list_is(NULL, NULL, 2, "a a! ");
	list_is(NULL, "a!", 2, "a0 b ");
	list_is(NULL, "a", 10, "a! a0 b c ");
	list_is(NULL, "aa", 10, "b c ");
	list_is(NULL, "c", 10, "");
	list_is("a", "", 10, "m n ");
	list_is("a", "m", 10, "n ");
	list_is("a", NULL, 1, "m ");
	list_is("b", "", 10, "");
	json_t *documents;
	cr_assert_eq(registry_device_list(&registry, "nosuch", "", 10, &documents, &error), GH_NOT_FOUND);
	cr_assert_eq(registry_device_list(&registry, "a", "x/y", 10, &documents, &error), GH_INVALID);
}

/* ---- other writers ---- */

struct rival {
	int times;
	const char *text;
	gh_status (*act)(const char *text);
};

static gh_status rival_drops(const char *text)
{
	return drop(text, NULL, "*");
}

static gh_status rival_updates(const char *text)
{
	return update(text, "*");
}

static void rival_first(struct store_double *s, void *context)
{
	struct rival *rival = context;
	if (rival->times == 0)
		return;
	rival->times--;
	s->before_commit = NULL;
	rival->act(rival->text);
	s->before_commit = rival_first;
}

REGISTRY_TEST(a_concurrent_update_is_not_lost)
{
	create("{\"deviceId\":\"dev1\"}");
	char etag[512], reason[512];
	stored(etag, "dev1", "", "etag", NULL, NULL);
	struct rival rival = {1, "{\"deviceId\":\"dev1\",\"statusReason\":\"rival\"}", rival_updates};
	store.before_commit = rival_first;
	store.context = &rival;
	cr_assert_eq(update("{\"deviceId\":\"dev1\",\"statusReason\":\"mine\"}", etag), GH_CONFLICT);
	cr_assert_str_eq(stored(reason, "dev1", "", "statusReason", NULL, NULL), "rival");
	rival.times = 1;
	cr_assert_eq(
		update("{\"deviceId\":\"dev1\",\"statusReason\":\"mine\"}", "*"), GH_OK, "a star asks for no etag");
	cr_assert_str_eq(stored(reason, "dev1", "", "statusReason", NULL, NULL), "mine");
}

REGISTRY_TEST(a_module_is_not_created_on_a_device_deleted_meanwhile)
{
	create("{\"deviceId\":\"dev1\"}");
	struct rival rival = {1, "dev1", rival_drops};
	store.before_commit = rival_first;
	store.context = &rival;
	cr_assert_eq(create("{\"deviceId\":\"dev1\",\"moduleId\":\"m\"}"), GH_NOT_FOUND);
	cr_assert(double_at(&store, GH_FAMILY_IDENTITIES, text_of("dev1/m")) == NULL);
}

REGISTRY_TEST(two_writers_cannot_pass_the_module_limit_together)
{
	limits.modules_per_device_max = 1;
	create("{\"deviceId\":\"dev1\"}");
	struct rival rival = {1, "{\"deviceId\":\"dev1\",\"moduleId\":\"rival\"}", create};
	store.before_commit = rival_first;
	store.context = &rival;
	cr_assert_eq(create("{\"deviceId\":\"dev1\",\"moduleId\":\"mine\"}"), GH_QUOTA);
	cr_assert(exists("dev1", "rival") && !exists("dev1", "mine"));
}

REGISTRY_TEST(a_device_created_meanwhile_exists)
{
	struct rival rival = {1, "{\"deviceId\":\"dev1\",\"statusReason\":\"rival\"}", create};
	store.before_commit = rival_first;
	store.context = &rival;
	cr_assert_eq(create("{\"deviceId\":\"dev1\"}"), GH_EXISTS);
	char reason[512];
	cr_assert_str_eq(stored(reason, "dev1", "", "statusReason", NULL, NULL), "rival");
}

REGISTRY_TEST(put_updates_what_another_created_meanwhile)
{
	struct rival rival = {1, "{\"deviceId\":\"dev1\",\"statusReason\":\"rival\"}", create};
	store.before_commit = rival_first;
	store.context = &rival;
	bool created = true;
	cr_assert_eq(put("{\"deviceId\":\"dev1\",\"statusReason\":\"mine\"}", "*", &created), GH_OK);
	cr_assert(!created);
	char reason[512];
	cr_assert_str_eq(stored(reason, "dev1", "", "statusReason", NULL, NULL), "mine");
}

REGISTRY_TEST(a_writer_that_never_comes_first_gives_up_after_registry_tries_max)
{
	create("{\"deviceId\":\"dev1\"}");
	struct rival rival = {1000, "{\"deviceId\":\"dev1\"}", rival_updates};
	store.before_commit = rival_first;
	store.context = &rival;
	cr_assert_eq(update("{\"deviceId\":\"dev1\"}", "*"), GH_CONFLICT);
	cr_assert_str_eq(error.code, "registry_busy");
	cr_assert_eq(rival.times, 1000 - (int)limits.registry_tries_max);
}

REGISTRY_TEST(what_the_store_does_not_take_is_told_and_not_there)
{
	const gh_status failures[] = {GH_IO, GH_NO_SPACE, GH_UNKNOWN, GH_UNAVAILABLE};
	for (size_t i = 0; i < 4; i++) {
		store.fail_next = failures[i];
		cr_assert_eq(create("{\"deviceId\":\"dev1\"}"), failures[i]);
		cr_assert(!exists("dev1", NULL));
	}
	cr_assert_eq(create("{\"deviceId\":\"dev1\"}"), GH_OK);
	store.fail_next = GH_IO;
	cr_assert_eq(drop("dev1", NULL, "*"), GH_IO);
	cr_assert(exists("dev1", NULL));
}

/* ---- import ---- */

static gh_status feed(struct registry_import *import, const char *line)
{
	return registry_import_line(import, text_of(line), &error);
}

REGISTRY_TEST(import_writes_5000_identities_in_10_transactions)
{
	struct registry_import *import = registry_import_new(&registry);
	for (int i = 0; i < 5000; i++) {
		char line[256];
		if (i % 5 == 4)
			snprintf(line, sizeof line, "{\"deviceId\":\"dev%d\",\"moduleId\":\"m\"}\r\n", i - 4);
		else
			snprintf(line, sizeof line, "{\"deviceId\":\"dev%d\",\"authentication\":{" KEYS "}}", i);
		cr_assert_eq(feed(import, line), GH_OK, "%s", error.text);
	}
	size_t count = 0;
	cr_assert_eq(registry_import_finish(import, &count, &error), GH_OK);
	registry_import_free(import);
	cr_assert_eq(count, 5000);
	cr_assert_eq(store.commits, 10);
	cr_assert_eq(store.writes_most, 501, "500 identities and the counter");
	cr_assert_eq(read_identity("dev4998", "").keys.primary.len, 32);
	cr_assert(read_identity("dev4995", "m").enabled);
	json_t *all;
	cr_assert_eq(registry_device_list(&registry, NULL, "", 10000, &all, NULL), GH_OK);
	cr_assert_eq(json_array_size(all), 4000);
	json_decref(all);
}

REGISTRY_TEST(import_stops_at_a_bad_line_names_it_and_keeps_the_lines_before)
{
	static const struct {
		const char *line;
		gh_status status;
		const char *text;
	} rows[] = {
		{"{\"deviceId\":", GH_INVALID, "line 4: not a JSON object: "},
		{"7", GH_INVALID, "line 4: "},
		{"{\"deviceId\":\"a b\"}", GH_INVALID, "line 4: deviceId \"a b\" is not"},
		{"{\"deviceId\":\"x\",\"deviceId\":\"y\"}", GH_INVALID, "line 4: not a JSON object: duplicate"},
		{"{\"deviceId\":\"old\"}", GH_EXISTS, "line 4: device old already exists"},
		{"{\"deviceId\":\"new1\"}", GH_EXISTS, "line 4: device new1 already exists"},
		{"{\"deviceId\":\"new1\",\"moduleId\":\"m\"}", GH_EXISTS,
			"line 4: module m of device new1 already exists"},
		{"{\"deviceId\":\"nosuch\",\"moduleId\":\"m\"}", GH_NOT_FOUND, "line 4: device nosuch does not exist"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		create("{\"deviceId\":\"old\"}");
		struct registry_import *import = registry_import_new(&registry);
		cr_assert_eq(feed(import, "{\"deviceId\":\"new1\"}"), GH_OK);
		cr_assert_eq(feed(import, " \t\n"), GH_OK, "a blank line is skipped, and counted");
		cr_assert_eq(feed(import, "{\"deviceId\":\"new1\",\"moduleId\":\"m\"}"), GH_OK);
		cr_assert_eq(feed(import, rows[i].line), rows[i].status, "%s", rows[i].line);
		cr_assert_eq(strncmp(error.text, rows[i].text, strlen(rows[i].text)), 0, "%s gives %s", rows[i].line,
			error.text);
		cr_assert_eq(feed(import, "{\"deviceId\":\"new2\"}"), rows[i].status, "nothing is taken behind it");
		size_t count = 0;
		cr_assert_eq(registry_import_finish(import, &count, &error), rows[i].status);
		cr_assert_eq(count, 2);
		registry_import_free(import);
		cr_assert(exists("new1", "m") && !exists("new2", NULL));
		cr_assert_eq(drop("new1", NULL, "*"), GH_OK);
	}
}

REGISTRY_TEST(import_refuses_a_line_that_is_too_long)
{
	limits.device_import_line_bytes_max = 1024;
	char line[1100];
	memset(line, ' ', sizeof line);
	memcpy(line, "{\"deviceId\":\"d\"", 15);
	line[1023] = '}';
	struct registry_import *import = registry_import_new(&registry);
	cr_assert_eq(registry_import_line(import, (gh_bytes){(uint8_t *)line, 1024}, &error), GH_OK, "%s", error.text);
	line[1023] = ' ';
	line[1024] = '}';
	cr_assert_eq(registry_import_line(import, (gh_bytes){(uint8_t *)line, 1025}, &error), GH_TOO_LARGE);
	registry_import_free(import);
}

REGISTRY_TEST(import_counts_waiting_modules_toward_the_limit)
{
	limits.modules_per_device_max = 2;
	create("{\"deviceId\":\"d\"}");
	create("{\"deviceId\":\"d\",\"moduleId\":\"stored\"}");
	struct registry_import *import = registry_import_new(&registry);
	cr_assert_eq(feed(import, "{\"deviceId\":\"d\",\"moduleId\":\"waiting\"}"), GH_OK);
	cr_assert_eq(feed(import, "{\"deviceId\":\"d\",\"moduleId\":\"third\"}"), GH_QUOTA);
	registry_import_free(import);
}

REGISTRY_TEST(import_survives_another_writer_and_finds_what_that_one_took)
{
	struct registry_import *import = registry_import_new(&registry);
	struct rival rival = {2, "{\"deviceId\":\"rival\"}", create};
	store.before_commit = rival_first;
	store.context = &rival;
	size_t count = 0;
	feed(import, "{\"deviceId\":\"a\"}");
	feed(import, "{\"deviceId\":\"b\"}");
	cr_assert_eq(registry_import_finish(import, &count, &error), GH_OK, "%s", error.text);
	cr_assert_eq(count, 2);
	registry_import_free(import);
	cr_assert(exists("a", NULL) && exists("b", NULL) && exists("rival", NULL));

	import = registry_import_new(&registry);
	rival = (struct rival){1, "{\"deviceId\":\"d\"}", create};
	feed(import, "{\"deviceId\":\"c\"}");
	feed(import, "{\"deviceId\":\"d\"}");
	feed(import, "{\"deviceId\":\"e\"}");
	cr_assert_eq(registry_import_finish(import, &count, &error), GH_EXISTS);
	cr_assert_str_eq(error.text, "line 2: device d already exists");
	cr_assert_eq(count, 1);
	registry_import_free(import);
	cr_assert(exists("c", NULL) && !exists("e", NULL));
}

REGISTRY_TEST(import_tells_how_far_it_came_when_the_store_fails)
{
	limits.device_import_batch_max = 2;
	struct registry_import *import = registry_import_new(&registry);
	feed(import, "{\"deviceId\":\"a\"}");
	feed(import, "{\"deviceId\":\"b\"}");
	store.fail_next = GH_NO_SPACE;
	feed(import, "{\"deviceId\":\"c\"}");
	cr_assert_eq(feed(import, "{\"deviceId\":\"d\"}"), GH_NO_SPACE);
	cr_assert_str_eq(error.text, "after 2 identities: the store double says no_space");
	size_t count = 0;
	cr_assert_eq(registry_import_finish(import, &count, NULL), GH_NO_SPACE);
	cr_assert_eq(count, 2);
	registry_import_free(import);
	registry_import_free(NULL);
}

/* ---- policies ---- */

static gh_status policy(
	gh_status (*act)(const struct registry *, const json_t *, json_t **, gh_error *), const char *text)
{
	json_t *given = parse(text), *made = NULL;
	gh_status status = act(&registry, given, &made, &error);
	json_decref(given);
	json_decref(made);
	return status;
}

static struct sas_policy read_policy(const char *name)
{
	struct sas_policy found;
	cr_assert_eq(policy_read(&store.base, text_of(name), &found), GH_OK, "%s", name);
	return found;
}

REGISTRY_TEST(a_hub_begins_with_five_policies_and_keeps_those_it_has)
{
	cr_assert_eq(registry_ensure_policies(&registry, &error), GH_OK);
	cr_assert_eq(store.commits, 1);
	static const struct {
		const char *name;
		const char *rights;
		unsigned bits;
	} rows[] = {
		{"device", "[\"DeviceConnect\"]", GH_RIGHT_DEVICE_CONNECT},
		{"iothubowner", "[\"RegistryRead\",\"RegistryWrite\",\"ServiceConnect\",\"DeviceConnect\"]",
			GH_RIGHT_REGISTRY_READ | GH_RIGHT_REGISTRY_WRITE | GH_RIGHT_SERVICE_CONNECT |
				GH_RIGHT_DEVICE_CONNECT},
		{"registryRead", "[\"RegistryRead\"]", GH_RIGHT_REGISTRY_READ},
		{"registryReadWrite", "[\"RegistryRead\",\"RegistryWrite\"]",
			GH_RIGHT_REGISTRY_READ | GH_RIGHT_REGISTRY_WRITE},
		{"service", "[\"ServiceConnect\"]", GH_RIGHT_SERVICE_CONNECT},
	};
	json_t *all, *again;
	cr_assert_eq(registry_policy_list(&registry, &all, &error), GH_OK);
	cr_assert_eq(json_array_size(all), 5);
	for (size_t i = 0; i < 5; i++) {
		const json_t *document = json_array_get(all, i);
		json_t *rights = parse(rows[i].rights);
		cr_assert_str_eq(at(document, "name", NULL, NULL), rows[i].name);
		cr_assert(json_equal(json_object_get(document, "rights"), rights), "%s", rows[i].name);
		json_decref(rights);
		struct sas_policy found = read_policy(rows[i].name);
		cr_assert_eq(found.rights, rows[i].bits, "%s", rows[i].name);
		cr_assert_str_eq(found.name, rows[i].name);
		cr_assert(found.keys.primary.len == 32 && found.keys.secondary.len == 32);
	}
	cr_assert_eq(registry_policy_delete(&registry, "SERVICE", &error), GH_OK);
	cr_assert_eq(registry_ensure_policies(&registry, &error), GH_OK);
	cr_assert_eq(registry_policy_list(&registry, &again, &error), GH_OK);
	cr_assert_eq(json_array_size(again), 5);
	for (size_t i = 0; i < 4; i++)
		cr_assert(json_equal(json_array_get(all, i), json_array_get(again, i)), "%s keeps its keys",
			rows[i].name);
	cr_assert(!json_equal(json_array_get(all, 4), json_array_get(again, 4)), "the deleted one has new keys");
	json_decref(all);
	json_decref(again);
	size_t commits = store.commits;
	cr_assert_eq(registry_ensure_policies(&registry, &error), GH_OK);
	cr_assert_eq(store.commits, commits, "nothing missing, nothing written");
}

REGISTRY_TEST(policies_live_under_names_without_case)
{
	cr_assert_eq(policy(registry_policy_create,
			     "{\"name\":\"Tokens-1\",\"rights\":[\"deviceconnect\"],\"primaryKey\":\"" K1
			     "\",\"secondaryKey\":\"" K2 "\"}"),
		GH_OK, "%s", error.text);
	cr_assert_eq(
		policy(registry_policy_create, "{\"name\":\"tokens-1\",\"rights\":[\"DeviceConnect\"]}"), GH_EXISTS);
	struct sas_policy found = read_policy("TOKENS-1");
	cr_assert_str_eq(found.name, "Tokens-1");
	cr_assert(found.rights == GH_RIGHT_DEVICE_CONNECT && found.keys.secondary.bytes[0] == 0x20);
	cr_assert_eq(policy(registry_policy_update, "{\"name\":\"TOKENS-1\",\"rights\":[\"ServiceConnect\"]}"), GH_OK);
	found = read_policy("tokens-1");
	cr_assert(found.rights == GH_RIGHT_SERVICE_CONNECT && found.keys.secondary.bytes[0] != 0x20,
		"keys that are not given are new");
	json_t *document;
	cr_assert_eq(registry_policy_get(&registry, "tokens-1", &document, &error), GH_OK);
	cr_assert_str_eq(at(document, "name", NULL, NULL), "TOKENS-1");
	json_decref(document);
	cr_assert_eq(registry_policy_delete(&registry, "tOKENS-1", &error), GH_OK);
	cr_assert_eq(registry_policy_delete(&registry, "tokens-1", &error), GH_NOT_FOUND);
	cr_assert_eq(registry_policy_get(&registry, "tokens-1", &document, &error), GH_NOT_FOUND);
	cr_assert_eq(policy(registry_policy_update, "{\"name\":\"tokens-1\",\"rights\":[\"ServiceConnect\"]}"),
		GH_NOT_FOUND);
	cr_assert_eq(policy_read(&store.base, text_of("tokens-1"), &found), GH_NOT_FOUND);
}

REGISTRY_TEST(a_policys_fields_are_taken_or_refused)
{
	static const struct {
		const char *document;
		const char *code;
	} rows[] = {
		{"[]", "document_form"},
		{"{\"rights\":[\"DeviceConnect\"]}", "policy_name"},
		{"{\"name\":\"\",\"rights\":[\"DeviceConnect\"]}", "policy_name"},
		{"{\"name\":\"a b\",\"rights\":[\"DeviceConnect\"]}", "policy_name"},
		{"{\"name\":\"a/b\",\"rights\":[\"DeviceConnect\"]}", "policy_name"},
		{"{\"name\":1,\"rights\":[\"DeviceConnect\"]}", "document_field"},
		{"{\"name\":\"p\"}", "rights_missing"},
		{"{\"name\":\"p\",\"rights\":[]}", "rights_missing"},
		{"{\"name\":\"p\",\"rights\":\"DeviceConnect\"}", "rights_missing"},
		{"{\"name\":\"p\",\"rights\":[\"Everything\"]}", "right_unknown"},
		{"{\"name\":\"p\",\"rights\":[\"DeviceConnect\",7]}", "right_unknown"},
		{"{\"name\":\"p\",\"rights\":[\"DeviceConnect\"],\"primaryKey\":\"" K1 "\"}", "key_pair"},
		{"{\"name\":\"p\",\"rights\":[\"DeviceConnect\"],\"primaryKey\":\"AA==\",\"secondaryKey\":\"" K1 "\"}",
			"key_form"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cr_assert_eq(policy(registry_policy_create, rows[i].document), GH_INVALID, "%s", rows[i].document);
		cr_assert_str_eq(error.code, rows[i].code, "%s", rows[i].document);
	}
	char longest[400] = "{\"rights\":[\"DeviceConnect\"],\"name\":\"";
	size_t n = strlen(longest);
	memset(longest + n, 'p', 257);
	strcpy(longest + n + 257, "\"}");
	cr_assert_eq(policy(registry_policy_create, longest), GH_INVALID);
	strcpy(longest + n + 256, "\"}");
	cr_assert_eq(policy(registry_policy_create, longest), GH_OK, "%s", error.text);
}

REGISTRY_TEST(there_are_at_most_policies_max_policies)
{
	limits.policies_max = 6;
	registry_ensure_policies(&registry, NULL);
	cr_assert_eq(policy(registry_policy_create, "{\"name\":\"six\",\"rights\":[\"DeviceConnect\"]}"), GH_OK);
	cr_assert_eq(policy(registry_policy_create, "{\"name\":\"seven\",\"rights\":[\"DeviceConnect\"]}"), GH_QUOTA);
	cr_assert_eq(policy(registry_policy_update, "{\"name\":\"six\",\"rights\":[\"ServiceConnect\"]}"), GH_OK);
	registry_policy_delete(&registry, "device", NULL);
	cr_assert_eq(policy(registry_policy_create, "{\"name\":\"seven\",\"rights\":[\"DeviceConnect\"]}"), GH_OK);
	cr_assert_eq(registry_ensure_policies(&registry, &error), GH_OK, "a full hub still starts");
}

REGISTRY_TEST(a_name_no_policy_can_have_is_simply_unknown)
{
	registry_ensure_policies(&registry, NULL);
	struct sas_policy found;
	char name[300];
	memset(name, 'p', sizeof name);
	cr_assert_eq(policy_read(&store.base, (gh_bytes){(uint8_t *)name, 257}, &found), GH_NOT_FOUND);
	cr_assert_eq(policy_read(&store.base, (gh_bytes){(const uint8_t *)"device\0", 7}, &found), GH_NOT_FOUND);
	cr_assert_eq(policy_read(&store.base, (gh_bytes){NULL, 0}, &found), GH_NOT_FOUND);
	cr_assert_eq(policy_read(&store.base, text_of("DEVICE"), &found), GH_OK);
}
