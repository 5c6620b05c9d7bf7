/* The registry as service clients ask for it: requests in, JSON out. */
#include "tests/suite.h"
#include "tests/unit/test_store_double.h"

#include "src/base/limits.h"
#include "src/base/text.h"
#include "src/core/registry_service.h"
#include "src/wire/hub_error.h"

#include <stdio.h>

SUITE(registry_service);

#define K1 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define K2 "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
#define KEYS "\"symmetricKey\":{\"primaryKey\":\"" K1 "\",\"secondaryKey\":\"" K2 "\"}"

static struct store_double store;
static gh_limits limits;
static struct registry registry;
static struct registry_service service;
static struct registry_answer answer; /* the latest one */
static uint64_t now_ms;
static uint8_t dice;
static char changes[1024];           /* ids that were told, each with a blank behind it */
static const char *connected_ids[4]; /* "d" or "d/m" */
static uint64_t connected_since_ms;

static void test_random(void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)bytes)[i] = (uint8_t)(dice += 37);
}

static uint64_t test_wall_ms(void)
{
	return now_ms;
}

static bool test_connected(void *context, gh_bytes device_id, gh_bytes module_id, uint64_t *ret_since_ms)
{
	cr_assert_eq(context, &connected_since_ms);
	char id[300];
	snprintf(id, sizeof id, "%.*s%s%.*s", (int)device_id.len, (const char *)device_id.data,
		module_id.len ? "/" : "", (int)module_id.len, module_id.len ? (const char *)module_id.data : "");
	for (size_t i = 0; i < 4; i++)
		if (connected_ids[i] && strcmp(id, connected_ids[i]) == 0) {
			*ret_since_ms = connected_since_ms;
			return true;
		}
	return false;
}

static uint64_t test_connected_devices(void *context)
{
	cr_assert_eq(context, &connected_since_ms);
	return 7;
}

static void test_changed(void *context, gh_bytes device_id)
{
	cr_assert_eq(context, changes);
	size_t len = strlen(changes);
	snprintf(changes + len, sizeof changes - len, "%.*s ", (int)device_id.len, (const char *)device_id.data);
}

/* 2026-01-01T00:00:00Z */
#define START_MS UINT64_C(1767225600000)

static void setup(void)
{
	store_double_init(&store);
	limits_defaults(&limits);
	now_ms = START_MS;
	registry = (struct registry){&store.base, &limits, test_random, test_wall_ms};
	service = (struct registry_service){
		.registry = &registry,
		.presence = {&connected_since_ms, test_connected, test_connected_devices},
		.changed = test_changed,
		.context = changes,
	};
	changes[0] = '\0';
	memset(connected_ids, 0, sizeof connected_ids);
}

static void teardown(void)
{
	registry_answer_done(&answer);
	store_double_done(&store);
}

#define SERVICE_TEST(name) Test(registry_service, name, .init = setup, .fini = teardown)

/* ---- shorthands ---- */

static gh_status serve(const gh_service_request *request)
{
	registry_answer_done(&answer);
	registry_serve(&service, request, &answer);
	if (answer.status != GH_OK)
		cr_assert_eq(answer.err.status, answer.status, "the error says the same");
	cr_assert_eq(answer.body ? strlen(answer.body) : 0, answer.body_len);
	return answer.status;
}

/* etag: NULL = no If-Match.  "d/m" is a module. */
static gh_status ask(gh_service_op op, const char *id, const char *etag, const char *body)
{
	gh_service_request request = {.op = op, .has_etag = etag != NULL, .etag = text_of(etag), .body = text_of(body)};
	text_cut(text_of(id), '/', &request.device_id, &request.module_id);
	return serve(&request);
}

static gh_status put(const char *id, const char *etag, const char *body)
{
	return ask(GH_SERVICE_IDENTITY_PUT, id, etag, body);
}

static gh_status page(gh_service_op op, const char *body, uint64_t count_max, const char *continuation)
{
	gh_service_request request = {
		.op = op,
		.body = text_of(body),
		.count_max = count_max,
		.continuation = text_of(continuation),
	};
	return serve(&request);
}

static gh_status query(const char *text, uint64_t count_max, const char *continuation)
{
	char body[512];
	snprintf(body, sizeof body, "{\"query\":\"%s\"}", text);
	return page(GH_SERVICE_QUERY, body, count_max, continuation);
}

static void make(const char *id)
{
	char body[512];
	gh_bytes device, module;
	text_cut(text_of(id), '/', &device, &module);
	if (module.len > 0)
		snprintf(body, sizeof body, "{\"deviceId\":\"%.*s\",\"moduleId\":\"%s\"}", (int)device.len,
			(const char *)device.data, (const char *)module.data);
	else
		snprintf(body, sizeof body, "{\"deviceId\":\"%s\"}", id);
	cr_assert_eq(put(id, NULL, body), GH_OK, "%s: %s", id, answer.err.text);
}

static bool exists(const char *id)
{
	return ask(GH_SERVICE_IDENTITY_GET, id, NULL, NULL) == GH_OK;
}

/* The body of the latest answer; owned by the caller. */
static json_t *answered(void)
{
	json_t *body = json_loads(answer.body ? answer.body : "", 0, NULL);
	cr_assert(body != NULL, "%s is JSON; %s", answer.body, answer.err.text);
	return body;
}

/* One text of it at a path of up to three names, copied. */
static const char *at(const char *a, const char *b, const char *c)
{
	static char room[512];
	json_t *body = answered();
	const json_t *value = json_object_get(body, a);
	value = b ? json_object_get(value, b) : value;
	value = c ? json_object_get(value, c) : value;
	snprintf(room, sizeof room, "%s",
		json_is_string(value) ? json_string_value(value)
		: json_is_null(value) ? "null"
				      : "absent");
	json_decref(body);
	return room;
}

/* The deviceIds (or whatever the member is called) of an array, each with a blank behind it. */
static const char *all_of(const char *member)
{
	static char room[1024];
	json_t *body = answered();
	size_t i;
	const json_t *row;
	room[0] = '\0';
	cr_assert(json_is_array(body));
	json_array_foreach(body, i, row)
	{
		const char *text = json_string_value(json_object_get(row, member));
		size_t len = strlen(room);
		snprintf(room + len, sizeof room - len, "%s ", text ? text : "-");
	}
	json_decref(body);
	return room;
}

static const char *error_name(void)
{
	return hub_error_of(answer.status, answer.err.code)->name;
}

/* ---- one identity ---- */

SERVICE_TEST(a_new_device_is_answered_with_keys_and_all_that_clients_read)
{
	cr_assert_eq(put("dev1", NULL,
			     "{\"deviceId\":\"dev1\",\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"\","
			     "\"secondaryKey\":\"\"}}}"),
		GH_OK, "%s", answer.err.text);
	static const struct {
		const char *path[3];
		const char *value;
	} rows[] = {
		{{"deviceId"}, "dev1"},
		{{"generationId"}, "639028224000000000"},
		{{"status"}, "enabled"},
		{{"statusReason"}, "null"},
		{{"statusUpdatedTime"}, "0001-01-01T00:00:00Z"},
		{{"connectionState"}, "Disconnected"},
		{{"connectionStateUpdatedTime"}, "0001-01-01T00:00:00Z"},
		{{"lastActivityTime"}, "0001-01-01T00:00:00Z"},
		{{"authentication", "type"}, "sas"},
		{{"authentication", "x509Thumbprint", "primaryThumbprint"}, "null"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		cr_assert_str_eq(
			at(rows[i].path[0], rows[i].path[1], rows[i].path[2]), rows[i].value, "%s", rows[i].path[0]);
	cr_assert_str_eq(at("etag", NULL, NULL), answer.etag);
	cr_assert(answer.etag[0] != '\0');
	cr_assert_eq(strlen(at("authentication", "symmetricKey", "primaryKey")), 44, "32 bytes");
	cr_assert_eq(strlen(at("authentication", "symmetricKey", "secondaryKey")), 44);
	json_t *made = answered();
	cr_assert_eq(json_integer_value(json_object_get(made, "cloudToDeviceMessageCount")), 0);
	cr_assert(json_is_false(json_object_get(json_object_get(made, "capabilities"), "iotEdge")));
	cr_assert_eq(ask(GH_SERVICE_IDENTITY_GET, "dev1", NULL, NULL), GH_OK);
	json_t *read = answered();
	cr_assert(json_equal(made, read), "what is read is what was answered");
	cr_assert_str_eq(answer.item_type, "");
	cr_assert_str_eq(answer.continuation, "");
	json_decref(made);
	json_decref(read);
}

SERVICE_TEST(who_is_connected_is_told_and_no_stored_member_is_lost)
{
	put("dev1", NULL,
		"{\"deviceId\":\"dev1\",\"status\":\"disabled\",\"statusReason\":\"lost\",\"deviceScope\":\"s://1\"}");
	make("dev1/m");
	connected_ids[0] = "dev1";
	connected_ids[1] = "dev1/m";
	connected_since_ms = START_MS + 1500;
	const char *const ids[] = {"dev1", "dev1/m"};
	for (size_t i = 0; i < 2; i++) {
		const char *name;
		json_t *stored, *value;
		gh_bytes key = text_of(ids[i]);
		const struct double_entry *entry = double_at(&store, GH_FAMILY_IDENTITIES, key);
		cr_assert_eq(ask(GH_SERVICE_IDENTITY_GET, ids[i], NULL, NULL), GH_OK);
		cr_assert_str_eq(at("connectionState", NULL, NULL), "Connected", "%s", ids[i]);
		cr_assert_str_eq(at("connectionStateUpdatedTime", NULL, NULL), "2026-01-01T00:00:01.500Z");
		stored = json_loadb((const char *)entry->data, entry->len, 0, NULL);
		json_t *view = answered();
		json_object_foreach(stored, name, value)
			cr_assert(json_equal(json_object_get(view, name), value), "%s of %s", name, ids[i]);
		json_decref(stored);
		json_decref(view);
	}
	cr_assert_str_eq(at("managedBy", NULL, NULL), "null");
	cr_assert_str_eq(at("status", NULL, NULL), "absent", "a module has no status of its own");
}

SERVICE_TEST(preconditions_decide_as_the_table_says)
{
	/* service contract 2.4, each row for a device and for a module */
	enum { NONE, STAR, QUOTED_STAR, ETAG, QUOTED_ETAG, OTHER, QUOTED_OTHER, EMPTY };
	static const struct {
		gh_service_op op;
		int etag;
		bool present;
		gh_status status;
		const char *device_error;
		const char *module_error;
	} rows[] = {
		{GH_SERVICE_IDENTITY_PUT, NONE, false, GH_OK, NULL, NULL},
		{GH_SERVICE_IDENTITY_PUT, NONE, true, GH_EXISTS, "DeviceAlreadyExists", "ModuleAlreadyExistsOnDevice"},
		{GH_SERVICE_IDENTITY_PUT, STAR, false, GH_NOT_FOUND, "DeviceNotFound", "ModuleNotFound"},
		{GH_SERVICE_IDENTITY_PUT, QUOTED_STAR, false, GH_NOT_FOUND, "DeviceNotFound", "ModuleNotFound"},
		{GH_SERVICE_IDENTITY_PUT, STAR, true, GH_OK, NULL, NULL},
		{GH_SERVICE_IDENTITY_PUT, QUOTED_STAR, true, GH_OK, NULL, NULL},
		{GH_SERVICE_IDENTITY_PUT, OTHER, false, GH_NOT_FOUND, "DeviceNotFound", "ModuleNotFound"},
		{GH_SERVICE_IDENTITY_PUT, ETAG, true, GH_OK, NULL, NULL},
		{GH_SERVICE_IDENTITY_PUT, QUOTED_ETAG, true, GH_OK, NULL, NULL},
		{GH_SERVICE_IDENTITY_PUT, OTHER, true, GH_CONFLICT, "PreconditionFailed", "PreconditionFailed"},
		{GH_SERVICE_IDENTITY_PUT, QUOTED_OTHER, true, GH_CONFLICT, "PreconditionFailed", "PreconditionFailed"},
		{GH_SERVICE_IDENTITY_PUT, EMPTY, true, GH_CONFLICT, "PreconditionFailed", "PreconditionFailed"},
		{GH_SERVICE_IDENTITY_DELETE, NONE, false, GH_NOT_FOUND, "DeviceNotFound", "ModuleNotFound"},
		{GH_SERVICE_IDENTITY_DELETE, NONE, true, GH_CONFLICT, "PreconditionFailed", "PreconditionFailed"},
		{GH_SERVICE_IDENTITY_DELETE, STAR, false, GH_NOT_FOUND, "DeviceNotFound", "ModuleNotFound"},
		{GH_SERVICE_IDENTITY_DELETE, STAR, true, GH_OK, NULL, NULL},
		{GH_SERVICE_IDENTITY_DELETE, QUOTED_STAR, true, GH_OK, NULL, NULL},
		{GH_SERVICE_IDENTITY_DELETE, OTHER, false, GH_NOT_FOUND, "DeviceNotFound", "ModuleNotFound"},
		{GH_SERVICE_IDENTITY_DELETE, ETAG, true, GH_OK, NULL, NULL},
		{GH_SERVICE_IDENTITY_DELETE, QUOTED_ETAG, true, GH_OK, NULL, NULL},
		{GH_SERVICE_IDENTITY_DELETE, QUOTED_OTHER, true, GH_CONFLICT, "PreconditionFailed",
			"PreconditionFailed"},
	};
	make("dev");
	for (size_t i = 0; i < 2 * (sizeof rows / sizeof *rows); i++) {
		const char *id = i % 2 ? "dev/mod" : "alone";
		size_t row = i / 2;
		char etag[160] = "", quoted[170];
		ask(GH_SERVICE_IDENTITY_DELETE, id, "*", NULL);
		if (rows[row].present) {
			make(id);
			snprintf(etag, sizeof etag, "%s", answer.etag);
		}
		snprintf(quoted, sizeof quoted, "\"%s\"", etag);
		const char *const given[] = {NULL, "*", "\"*\"", etag, quoted, "MA==", "\"MA==\"", ""};
		gh_status status = ask(rows[row].op, id, given[rows[row].etag],
			i % 2 ? "{\"deviceId\":\"dev\",\"moduleId\":\"mod\"}" : "{\"deviceId\":\"alone\"}");
		cr_assert_eq(status, rows[row].status, "row %zu of %s: %s", row, id, answer.err.text);
		const char *name = i % 2 ? rows[row].module_error : rows[row].device_error;
		if (name)
			cr_assert_str_eq(error_name(), name, "row %zu of %s", row, id);
		if (rows[row].etag == NONE && status == GH_CONFLICT)
			cr_assert(text_starts(text_of(answer.err.text), "Etag missing"), "%s", answer.err.text);
		if (rows[row].op == GH_SERVICE_IDENTITY_DELETE)
			cr_assert(!answer.body && answer.etag[0] == '\0', "a deletion has nothing to tell");
		cr_assert_eq(exists(id),
			rows[row].op == GH_SERVICE_IDENTITY_PUT ? status == GH_OK || rows[row].present
								: status != GH_OK && rows[row].present,
			"row %zu of %s", row, id);
	}
}

SERVICE_TEST(an_etag_that_is_none_of_ours_matches_nothing)
{
	make("dev");
	char huge[2000];
	memset(huge, 'A', sizeof huge - 1);
	huge[sizeof huge - 1] = '\0';
	cr_assert_eq(put("dev", huge, "{\"deviceId\":\"dev\"}"), GH_CONFLICT);
	cr_assert_eq(ask(GH_SERVICE_IDENTITY_DELETE, "dev", huge, NULL), GH_CONFLICT);
	gh_service_request request = {
		.op = GH_SERVICE_IDENTITY_DELETE,
		.device_id = text_of("dev"),
		.has_etag = true,
		.etag = {(const uint8_t *)"\0*", 2},
	};
	cr_assert_eq(serve(&request), GH_CONFLICT);
}

SERVICE_TEST(document_and_path_speak_of_the_same_identity)
{
	static const struct {
		const char *id;
		const char *body;
		gh_status status;
		const char *error;
	} rows[] = {
		{"dev", "", GH_MALFORMED, "IotHubFormatError"},
		{"dev", "{\"deviceId\":\"dev\"", GH_MALFORMED, "IotHubFormatError"},
		{"dev", "{\"deviceId\":\"dev\",\"deviceId\":\"dev\"}", GH_MALFORMED, "IotHubFormatError"},
		{"dev", "[]", GH_MALFORMED, "IotHubFormatError"},
		{"dev", "\"dev\"", GH_MALFORMED, "IotHubFormatError"},
		{"dev", "{\"deviceId\":\"d\\u0000\"}", GH_MALFORMED, "IotHubFormatError"},
		{"dev", "{}", GH_INVALID, "ArgumentInvalid"},
		{"dev", "{\"deviceId\":null}", GH_INVALID, "ArgumentInvalid"},
		{"dev", "{\"deviceId\":\"other\"}", GH_INVALID, "ArgumentInvalid"},
		{"dev", "{\"deviceId\":\"DEV\"}", GH_INVALID, "ArgumentInvalid"},
		{"dev", "{\"deviceId\":\"dev\",\"moduleId\":\"m\"}", GH_INVALID, "ArgumentInvalid"},
		{"dev", "{\"deviceId\":\"dev\",\"status\":\"off\"}", GH_INVALID, "ArgumentInvalid"},
		{"a b", "{\"deviceId\":\"a b\"}", GH_INVALID, "ArgumentInvalid"},
		{"dev/m", "{\"deviceId\":\"dev\"}", GH_INVALID, "ArgumentInvalid"},
		{"dev/m", "{\"moduleId\":\"m\"}", GH_INVALID, "ArgumentInvalid"},
		{"dev/m", "{\"deviceId\":\"dev\",\"moduleId\":\"n\"}", GH_INVALID, "ArgumentInvalid"},
		{"dev/m", "{\"deviceId\":\"other\",\"moduleId\":\"m\"}", GH_INVALID, "ArgumentInvalid"},
		{"dev/$edgeHub", "{\"deviceId\":\"dev\",\"moduleId\":\"$edgeHub\"}", GH_INVALID, "ArgumentInvalid"},
		{"dev/m", "{\"deviceId\":\"dev\",\"moduleId\":\"m\"}", GH_NOT_FOUND, "DeviceNotFound"},
		{"dev", "{\"deviceId\":\"dev\",\"moduleId\":null,\"unknown\":[1]}", GH_OK, NULL},
		{"dev/m", "{\"deviceId\":\"dev\",\"moduleId\":\"m\",\"authentication\":{\"type\":\"none\"}}", GH_OK,
			NULL},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cr_assert_eq(
			put(rows[i].id, NULL, rows[i].body), rows[i].status, "%s: %s", rows[i].body, answer.err.text);
		if (rows[i].error) {
			cr_assert_str_eq(error_name(), rows[i].error, "%s", rows[i].body);
			cr_assert(!answer.body && store.count == 0, "%s: nothing was written", rows[i].body);
		}
	}
	cr_assert_str_eq(at("authentication", "type", NULL), "sas", "none is sas for a module");
}

SERVICE_TEST(ids_of_special_characters_come_back_as_they_are)
{
	const char *const ids[] = {"#", "a%2Fb", "?x=1", "a+b", "$device", "o'hara", "-.+%_#*?!(),=@$':;", "%41"};
	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
		make(ids[i]);
		cr_assert_str_eq(at("deviceId", NULL, NULL), ids[i]);
		cr_assert(exists(ids[i]));
		cr_assert_str_eq(at("deviceId", NULL, NULL), ids[i]);
		cr_assert_eq(ask(GH_SERVICE_MODULE_LIST, ids[i], NULL, NULL), GH_OK, "%s", ids[i]);
		cr_assert_eq(ask(GH_SERVICE_IDENTITY_DELETE, ids[i], "\"*\"", NULL), GH_OK, "%s", ids[i]);
		cr_assert(!exists(ids[i]));
	}
}

SERVICE_TEST(an_id_no_identity_can_have_is_not_found)
{
	make("dev");
	char longest[140];
	memset(longest, 'x', sizeof longest);
	const gh_bytes ids[] = {{(uint8_t *)longest, 129}, {(const uint8_t *)"dev\0", 4}, {NULL, 0}, text_of("a b")};
	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
		static const gh_service_op ops[] = {
			GH_SERVICE_IDENTITY_GET, GH_SERVICE_IDENTITY_DELETE, GH_SERVICE_MODULE_LIST};
		for (size_t k = 0; k < 3; k++) {
			gh_service_request request = {
				.op = ops[k], .device_id = ids[i], .has_etag = true, .etag = text_of("*")};
			cr_assert_eq(serve(&request), GH_NOT_FOUND, "id %zu, op %zu", i, k);
			cr_assert_str_eq(error_name(), "DeviceNotFound");
			if (ids[i].len == 0)
				continue;
			request = (gh_service_request){.op = ops[k], .device_id = text_of("dev"), .module_id = ids[i]};
			cr_assert_eq(serve(&request), GH_NOT_FOUND, "module id %zu, op %zu", i, k);
			cr_assert_str_eq(error_name(), "ModuleNotFound");
		}
	}
}

SERVICE_TEST(delete_and_create_again_gives_a_new_generation)
{
	char first[64];
	make("dev");
	snprintf(first, sizeof first, "%s", at("generationId", NULL, NULL));
	ask(GH_SERVICE_IDENTITY_DELETE, "dev", "*", NULL);
	cr_assert(!exists("dev"));
	make("dev");
	cr_assert_str_neq(at("generationId", NULL, NULL), first);
}

SERVICE_TEST(deleting_a_device_deletes_its_modules)
{
	make("dev");
	make("dev/a");
	make("dev/b");
	cr_assert_eq(ask(GH_SERVICE_IDENTITY_DELETE, "dev", "*", NULL), GH_OK);
	cr_assert(!exists("dev/a"));
	cr_assert_str_eq(error_name(), "ModuleNotFound");
	make("dev");
	cr_assert_eq(ask(GH_SERVICE_MODULE_LIST, "dev", NULL, NULL), GH_OK);
	cr_assert_str_eq(answer.body, "[]");
}

SERVICE_TEST(one_module_too_many_is_told_by_its_number)
{
	limits.modules_per_device_max = 1;
	make("dev");
	make("dev/a");
	cr_assert_eq(put("dev/b", NULL, "{\"deviceId\":\"dev\",\"moduleId\":\"b\"}"), GH_QUOTA);
	cr_assert_eq(hub_error_of(answer.status, answer.err.code)->number, 413003);
}

/* ---- who is told ---- */

SERVICE_TEST(updates_and_deletions_are_told_creations_and_refusals_are_not)
{
	make("dev");
	make("dev/m");
	put("dev", NULL, "{\"deviceId\":\"dev\"}");
	put("dev", "wrong", "{\"deviceId\":\"dev\"}");
	put("none", "*", "{\"deviceId\":\"none\"}");
	ask(GH_SERVICE_IDENTITY_DELETE, "dev", NULL, NULL);
	ask(GH_SERVICE_IDENTITY_DELETE, "none", "*", NULL);
	exists("dev");
	cr_assert_str_eq(changes, "");
	put("dev", "*", "{\"deviceId\":\"dev\",\"status\":\"disabled\"}");
	cr_assert_str_eq(changes, "dev ");
	put("dev/m", "*", "{\"deviceId\":\"dev\",\"moduleId\":\"m\"}");
	cr_assert_str_eq(changes, "dev dev ");
	ask(GH_SERVICE_IDENTITY_DELETE, "dev/m", "*", NULL);
	ask(GH_SERVICE_IDENTITY_DELETE, "dev", "*", NULL);
	cr_assert_str_eq(changes, "dev dev dev dev ");
}

SERVICE_TEST(what_may_have_been_stored_is_told_too)
{
	make("dev");
	store.fail_next = GH_UNKNOWN;
	cr_assert_eq(put("dev", "*", "{\"deviceId\":\"dev\"}"), GH_UNKNOWN);
	cr_assert_str_eq(changes, "dev ");
	store.fail_next = GH_UNKNOWN;
	cr_assert_eq(ask(GH_SERVICE_IDENTITY_DELETE, "dev", "*", NULL), GH_UNKNOWN);
	cr_assert_str_eq(changes, "dev dev ");
	store.fail_next = GH_UNKNOWN;
	cr_assert_eq(page(GH_SERVICE_BULK, "[{\"id\":\"dev\",\"importMode\":\"delete\"}]", 0, ""), GH_INVALID);
	cr_assert_str_eq(changes, "dev dev dev ");
	store.fail_next = GH_NO_SPACE;
	cr_assert_eq(put("dev", "*", "{\"deviceId\":\"dev\"}"), GH_NO_SPACE);
	store.fail_next = GH_UNKNOWN;
	cr_assert_eq(put("new", NULL, "{\"deviceId\":\"new\"}"), GH_UNKNOWN);
	cr_assert_str_eq(changes, "dev dev dev ", "nothing was stored; nobody is connected as what is new");
}

/* ---- lists and statistics ---- */

SERVICE_TEST(a_list_holds_at_most_registry_page_max_devices_and_says_where_to_go_on)
{
	const char *const ids[] = {"b", "a", "a!", "a0", "c", "a/n", "a/m", "a!/x"};
	cr_assert_eq(page(GH_SERVICE_DEVICE_LIST, NULL, 0, ""), GH_OK);
	cr_assert_str_eq(answer.body, "[]");
	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
		make(ids[i]);
	cr_assert_eq(page(GH_SERVICE_DEVICE_LIST, NULL, 0, ""), GH_OK);
	cr_assert_str_eq(all_of("deviceId"), "a a! a0 b c ");
	cr_assert_str_eq(
		all_of("connectionState"), "Disconnected Disconnected Disconnected Disconnected Disconnected ");
	cr_assert_str_eq(answer.continuation, "");
	cr_assert_eq(page(GH_SERVICE_DEVICE_LIST, NULL, 5, ""), GH_OK);
	cr_assert_str_eq(answer.continuation, "", "the page is full, but that was all");
	cr_assert_eq(page(GH_SERVICE_DEVICE_LIST, NULL, 2, ""), GH_OK);
	cr_assert_str_eq(all_of("deviceId"), "a a! ");
	char token[REGISTRY_PAGE_TOKEN_SIZE];
	snprintf(token, sizeof token, "%s", answer.continuation);
	ask(GH_SERVICE_IDENTITY_DELETE, "a!", "*", NULL);
	cr_assert_eq(page(GH_SERVICE_DEVICE_LIST, NULL, 2, token), GH_OK);
	cr_assert_str_eq(all_of("deviceId"), "a0 b ", "also when the last one is gone");
	limits.registry_page_max = 3;
	cr_assert_eq(page(GH_SERVICE_DEVICE_LIST, NULL, 1000, ""), GH_OK);
	cr_assert_str_eq(all_of("deviceId"), "a a0 b ");
	cr_assert_eq(page(GH_SERVICE_DEVICE_LIST, NULL, 0, ""), GH_OK);
	cr_assert_str_eq(all_of("deviceId"), "a a0 b ");
}

SERVICE_TEST(modules_are_listed_with_their_own_state)
{
	make("dev");
	make("dev/b");
	make("dev/a");
	make("dev1");
	make("dev1/c");
	connected_ids[0] = "dev/b";
	limits.registry_page_max = 1;
	cr_assert_eq(ask(GH_SERVICE_MODULE_LIST, "dev", NULL, NULL), GH_OK);
	cr_assert_str_eq(all_of("moduleId"), "a b ");
	cr_assert_str_eq(all_of("connectionState"), "Disconnected Connected ");
	cr_assert_str_eq(answer.continuation, "");
	cr_assert_eq(ask(GH_SERVICE_MODULE_LIST, "none", NULL, NULL), GH_NOT_FOUND);
	cr_assert_str_eq(error_name(), "DeviceNotFound");
}

SERVICE_TEST(statistics_count_devices_and_not_modules)
{
	cr_assert_eq(ask(GH_SERVICE_DEVICE_STATISTICS, "", NULL, NULL), GH_OK);
	cr_assert_str_eq(answer.body, "{\"totalDeviceCount\":0,\"enabledDeviceCount\":0,\"disabledDeviceCount\":0}");
	make("a");
	make("b");
	make("b/m");
	put("c", NULL, "{\"deviceId\":\"c\",\"status\":\"disabled\"}");
	cr_assert_eq(ask(GH_SERVICE_DEVICE_STATISTICS, "", NULL, NULL), GH_OK);
	cr_assert_str_eq(answer.body, "{\"totalDeviceCount\":3,\"enabledDeviceCount\":2,\"disabledDeviceCount\":1}");
	cr_assert_eq(ask(GH_SERVICE_CONNECTION_STATISTICS, "", NULL, NULL), GH_OK);
	cr_assert_str_eq(answer.body, "{\"connectedDeviceCount\":7}");
}

/* ---- bulk ---- */

static gh_status bulk(const char *body)
{
	return page(GH_SERVICE_BULK, body, 0, "");
}

#define OK_RESULT "{\"isSuccessful\":true,\"errors\":[],\"warnings\":[]}"

SERVICE_TEST(bulk_creates_all_and_tells_of_those_that_could_not_be)
{
	cr_assert_eq(bulk("[{\"id\":\"a\",\"importMode\":\"create\"},{\"id\":\"b\",\"importMode\":\"create\","
			  "\"status\":\"disabled\",\"authentication\":{" KEYS "}}]"),
		GH_OK, "%s", answer.body);
	cr_assert_str_eq(answer.body, OK_RESULT);
	cr_assert(exists("a") && exists("b"));
	cr_assert_str_eq(at("authentication", "symmetricKey", "primaryKey"), K1);
	cr_assert_str_eq(at("status", NULL, NULL), "disabled");
	cr_assert_eq(bulk("[{\"id\":\"a\",\"importMode\":\"create\"},{\"id\":\"c\",\"importMode\":\"create\"}]"),
		GH_INVALID);
	cr_assert_str_eq(error_name(), "BulkRegistryOperationFailure");
	cr_assert_str_eq(answer.body,
		"{\"isSuccessful\":false,\"errors\":[{\"deviceId\":\"a\",\"errorCode\":\"DeviceAlreadyExists\","
		"\"errorStatus\":\"device a already exists\",\"operation\":\"create\"}],\"warnings\":[]}");
	cr_assert(exists("c"), "the other is created");
	cr_assert_str_eq(changes, "");
}

SERVICE_TEST(bulk_takes_one_to_registry_bulk_max_records)
{
	char body[8192] = "[";
	for (int i = 0; i < 101; i++)
		sprintf(body + strlen(body), "%s{\"id\":\"d%d\"}", i ? "," : "", i);
	strcat(body, "]");
	cr_assert_eq(bulk(body), GH_INVALID);
	cr_assert_str_eq(answer.err.code, "registry_bulk_max");
	cr_assert_str_eq(error_name(), "ArgumentInvalid");
	cr_assert(!answer.body && store.count == 0, "no record was looked at");
	strcpy(strrchr(body, ','), "]");
	cr_assert_eq(bulk(body), GH_OK, "%s", answer.err.text);
	cr_assert(exists("d99"));
	cr_assert_eq(bulk("[]"), GH_INVALID);
	cr_assert_str_eq(answer.err.code, "registry_bulk_max");
	const char *const malformed[] = {
		"", "{}", "{\"id\":\"a\"}", "null", "[{\"id\":\"a\"}", "[{\"id\":\"a\",\"id\":\"b\"}]"};
	for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
		cr_assert_eq(bulk(malformed[i]), GH_MALFORMED, "%s", malformed[i]);
		cr_assert_str_eq(error_name(), "IotHubFormatError");
	}
}

/* One record against a device "dev" and its module "dev/m"; @ stands for the etag of the device. */
SERVICE_TEST(bulk_modes_do_what_their_names_say)
{
	static const struct {
		const char *record;
		const char *error; /* NULL = it succeeds */
		const char *changes;
	} rows[] = {
		{"{\"id\":\"new\"}", NULL, ""},
		{"{\"id\":\"dev\"}", NULL, "dev "},
		{"{\"id\":\"dev\",\"importMode\":null}", NULL, "dev "},
		{"{\"id\":\"new\",\"importMode\":\"createOrUpdate\"}", NULL, ""},
		{"{\"id\":\"dev\",\"importMode\":\"CREATEORUPDATE\",\"etag\":\"wrong\"}", NULL, "dev "},
		{"{\"id\":\"new\",\"importMode\":\"createOrUpdateIfMatchETag\",\"etag\":\"wrong\"}", NULL, ""},
		{"{\"id\":\"dev\",\"importMode\":\"createOrUpdateIfMatchETag\",\"etag\":\"@\"}", NULL, "dev "},
		{"{\"id\":\"dev\",\"importMode\":\"createOrUpdateIfMatchETag\",\"etag\":\"wrong\"}",
			"PreconditionFailed", ""},
		{"{\"id\":\"new\",\"importMode\":\"Create\"}", NULL, ""},
		{"{\"id\":\"dev\",\"importMode\":\"create\"}", "DeviceAlreadyExists", ""},
		{"{\"id\":\"dev\",\"importMode\":\"Update\",\"etag\":\"wrong\"}", NULL, "dev "},
		{"{\"id\":\"new\",\"importMode\":\"update\"}", "DeviceNotFound", ""},
		{"{\"id\":\"dev\",\"importMode\":\"UpdateIfMatchETag\",\"etag\":\"@\"}", NULL, "dev "},
		{"{\"id\":\"dev\",\"importMode\":\"UpdateIfMatchETag\",\"eTag\":\"@\"}", NULL, "dev "},
		{"{\"id\":\"dev\",\"importMode\":\"UpdateIfMatchETag\",\"etag\":null,\"eTag\":\"\\\"@\\\"\"}", NULL,
			"dev "},
		{"{\"id\":\"dev\",\"importMode\":\"updateIfMatchETag\",\"etag\":\"wrong\"}", "PreconditionFailed", ""},
		{"{\"id\":\"dev\",\"importMode\":\"updateIfMatchETag\"}", "PreconditionFailed", ""},
		{"{\"id\":\"new\",\"importMode\":\"updateIfMatchETag\",\"etag\":\"@\"}", "DeviceNotFound", ""},
		{"{\"id\":\"dev\",\"importMode\":\"Delete\"}", NULL, "dev "},
		{"{\"id\":\"new\",\"importMode\":\"delete\"}", "DeviceNotFound", ""},
		{"{\"id\":\"a b\",\"importMode\":\"delete\"}", "DeviceNotFound", ""},
		{"{\"id\":\"dev\",\"importMode\":\"DeleteIfMatchETag\",\"etag\":\"@\"}", NULL, "dev "},
		{"{\"id\":\"dev\",\"importMode\":\"deleteIfMatchETag\",\"etag\":\"wrong\"}", "PreconditionFailed", ""},
		{"{\"id\":\"dev\",\"importMode\":\"updateTwin\",\"tags\":{\"a\":1}}", "NotImplemented", ""},
		{"{\"id\":\"dev\",\"importMode\":\"updateTwinIfMatchETag\"}", "NotImplemented", ""},
		{"{\"id\":\"dev\",\"moduleId\":\"new\"}", NULL, ""},
		{"{\"id\":\"dev\",\"moduleId\":\"m\"}", NULL, "dev "},
		{"{\"id\":\"dev\",\"moduleId\":\"m\",\"importMode\":\"create\"}", "ModuleAlreadyExistsOnDevice", ""},
		{"{\"id\":\"dev\",\"moduleId\":\"new\",\"importMode\":\"update\"}", "ModuleNotFound", ""},
		{"{\"id\":\"new\",\"moduleId\":\"m\",\"importMode\":\"create\"}", "DeviceNotFound", ""},
		{"{\"id\":\"dev\",\"moduleId\":\"m\",\"importMode\":\"delete\"}", NULL, "dev "},
		{"{\"id\":\"dev\",\"moduleId\":\"$edgeHub\",\"importMode\":\"create\"}", "ArgumentInvalid", ""},
		{"{\"id\":\"dev\",\"importMode\":\"replace\"}", "ArgumentInvalid", ""},
		{"{\"id\":\"dev\",\"importMode\":1}", "ArgumentInvalid", ""},
		{"{\"id\":\"dev\",\"etag\":1}", "ArgumentInvalid", ""},
		{"{\"id\":\"a b\"}", "ArgumentInvalid", ""},
		{"{\"id\":7}", "ArgumentInvalid", ""},
		{"{\"deviceId\":\"dev\"}", "ArgumentInvalid", ""},
		{"{\"id\":\"new\",\"deviceId\":\"dev\"}", NULL, ""},
		{"{\"id\":\"new\",\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"" K1 "\"}}}",
			"ArgumentInvalid", ""},
		{"\"dev\"", "IotHubFormatError", ""},
		{"[]", "IotHubFormatError", ""},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		ask(GH_SERVICE_IDENTITY_DELETE, "new", "*", NULL);
		ask(GH_SERVICE_IDENTITY_DELETE, "dev", "*", NULL);
		make("dev");
		make("dev/m");
		cr_assert(exists("dev"));
		char body[1024];
		const char *hole = strchr(rows[i].record, '@');
		size_t before = hole ? (size_t)(hole - rows[i].record) : 0;
		snprintf(body, sizeof body, "[%.*s%s%s]", (int)before, rows[i].record, hole ? answer.etag : "",
			hole ? hole + 1 : rows[i].record);
		changes[0] = '\0';
		cr_assert_eq(bulk(body), rows[i].error ? GH_INVALID : GH_OK, "%s: %s", body, answer.body);
		cr_assert_str_eq(changes, rows[i].changes, "%s", body);
		json_t *result = answered();
		const json_t *row = json_array_get(json_object_get(result, "errors"), 0);
		const char *error = json_string_value(json_object_get(row, "errorCode"));
		cr_assert_str_eq(error ? error : "none", rows[i].error ? rows[i].error : "none", "%s", body);
		cr_assert_eq(json_is_true(json_object_get(result, "isSuccessful")), rows[i].error == NULL);
		if (row)
			cr_assert(json_string_length(json_object_get(row, "errorStatus")) > 0, "%s", body);
		json_decref(result);
	}
}

SERVICE_TEST(bulk_records_stand_for_themselves_in_the_order_given)
{
	make("dev");
	cr_assert_eq(bulk("[{\"id\":\"dev\",\"importMode\":\"delete\"},"
			  "{\"id\":\"dev\",\"importMode\":\"update\"},"
			  "{\"id\":\"dev\",\"importMode\":\"create\",\"statusReason\":\"again\"},"
			  "{\"id\":\"dev\",\"moduleId\":\"m\",\"importMode\":\"create\",\"managedBy\":\"me\"},"
			  "{\"id\":\"dev\",\"moduleId\":\"m\",\"importMode\":\"create\"}]"),
		GH_INVALID);
	cr_assert_str_eq(answer.body,
		"{\"isSuccessful\":false,\"errors\":[{\"deviceId\":\"dev\",\"errorCode\":\"DeviceNotFound\","
		"\"errorStatus\":\"there is no such device\",\"operation\":\"update\"},{\"deviceId\":\"dev\","
		"\"errorCode\":\"ModuleAlreadyExistsOnDevice\",\"errorStatus\":\"module m of device dev already "
		"exists\",\"moduleId\":\"m\",\"operation\":\"create\"}],\"warnings\":[]}");
	cr_assert(exists("dev/m"));
	cr_assert_str_eq(at("managedBy", NULL, NULL), "me");
	cr_assert_str_eq(changes, "dev ");
}

SERVICE_TEST(bulk_warns_of_a_twin_that_nobody_keeps)
{
	cr_assert_eq(
		bulk("[{\"id\":\"a\",\"tags\":{\"x\":1}},{\"id\":\"b\",\"properties\":{\"desired\":{\"x\":1}}},"
		     "{\"id\":\"c\",\"tags\":{},\"properties\":{\"desired\":{}}},{\"id\":\"a\",\"importMode\":\"delete\","
		     "\"tags\":{\"x\":1}}]"),
		GH_OK, "%s", answer.body);
	json_t *result = answered();
	const json_t *warnings = json_object_get(result, "warnings");
	cr_assert_eq(json_array_size(warnings), 2);
	cr_assert_str_eq(json_string_value(json_object_get(json_array_get(warnings, 1), "deviceId")), "b");
	cr_assert_str_eq(json_string_value(json_object_get(json_array_get(warnings, 1), "warningCode")),
		"DeviceRegisteredWithoutTwin");
	cr_assert(json_string_length(json_object_get(json_array_get(warnings, 1), "warningStatus")) > 0);
	json_decref(result);
}

SERVICE_TEST(bulk_goes_on_behind_a_record_that_the_store_did_not_take)
{
	store.fail_next = GH_NO_SPACE;
	cr_assert_eq(bulk("[{\"id\":\"a\"},{\"id\":\"b\"}]"), GH_INVALID);
	json_t *result = answered();
	const json_t *errors = json_object_get(result, "errors");
	cr_assert_eq(json_array_size(errors), 1);
	cr_assert_str_eq(
		json_string_value(json_object_get(json_array_get(errors, 0), "errorCode")), "ServiceUnavailable");
	json_decref(result);
	cr_assert(exists("b") && !exists("a"));
}

/* ---- queries ---- */

static void make_three(void)
{
	put("d1", NULL, "{\"deviceId\":\"d1\",\"capabilities\":{\"iotEdge\":true}}");
	put("d2", NULL, "{\"deviceId\":\"d2\",\"status\":\"disabled\",\"statusReason\":\"broken\"}");
	put("d3", NULL, "{\"deviceId\":\"d3\",\"authentication\":{\"type\":\"certificateAuthority\"}}");
	make("d1/m");
	connected_ids[0] = "d3";
}

SERVICE_TEST(a_star_query_answers_with_twins)
{
	put("d1", NULL, "{\"deviceId\":\"d1\",\"authentication\":{" KEYS "}}");
	char etag[160];
	snprintf(etag, sizeof etag, "%s", answer.etag);
	cr_assert_eq(query("SELECT * FROM devices", 0, ""), GH_OK, "%s", answer.err.text);
	cr_assert_str_eq(answer.item_type, "Twin");
	cr_assert_str_eq(answer.continuation, "");
	cr_assert_str_eq(answer.etag, "");
	json_t *rows = answered();
	json_t *expected = json_loads(
		"{\"deviceId\":\"d1\",\"etag\":\"AAAAAAAAAAE=\",\"status\":\"enabled\",\"statusReason\":null,"
		"\"statusUpdateTime\":\"0001-01-01T00:00:00Z\",\"connectionState\":\"Disconnected\","
		"\"lastActivityTime\":\"0001-01-01T00:00:00Z\",\"cloudToDeviceMessageCount\":0,"
		"\"authenticationType\":\"sas\",\"x509Thumbprint\":{\"primaryThumbprint\":null,"
		"\"secondaryThumbprint\":null},\"modelId\":\"\",\"version\":2,\"tags\":{},\"properties\":{\"desired\":"
		"{\"$metadata\":{\"$lastUpdated\":\"0001-01-01T00:00:00Z\"},\"$version\":1},\"reported\":"
		"{\"$metadata\":{\"$lastUpdated\":\"0001-01-01T00:00:00Z\"},\"$version\":1}},"
		"\"capabilities\":{\"iotEdge\":false}}",
		0, NULL);
	json_object_set_new(expected, "deviceEtag", json_string(etag));
	cr_assert_eq(json_array_size(rows), 1);
	cr_assert(json_equal(json_array_get(rows, 0), expected), "%s", answer.body);
	cr_assert(strstr(answer.body, K1) == NULL, "a twin has no keys");
	json_decref(expected);
	json_decref(rows);
}

SERVICE_TEST(a_query_selects_by_what_the_twin_says)
{
	make_three();
	static const struct {
		const char *where;
		const char *ids;
	} rows[] = {
		{"", "d1 d2 d3 "},
		{"WHERE deviceId = 'd2'", "d2 "},
		{"WHERE deviceId IN ['d3', 'd1', 'd9']", "d1 d3 "},
		{"WHERE status = 'enabled'", "d1 d3 "},
		{"WHERE connectionState = 'Connected'", "d3 "},
		{"WHERE capabilities.iotEdge = true", "d1 "},
		{"WHERE devices.statusReason = 'broken'", "d2 "},
		{"WHERE authenticationType = 'certificateAuthority'", "d3 "},
		{"WHERE tags.a.b = 'x' AND NOT IS_DEFINED(properties.reported.y)", ""},
		{"WHERE NOT IS_DEFINED(tags.a.b) AND NOT IS_DEFINED(properties.reported.y)", "d1 d2 d3 "},
		{"WHERE properties.desired.$version = 1 AND version = 2", "d1 d2 d3 "},
		{"WHERE IS_DEFINED(authentication)", ""},
		{"WHERE deviceId > 'd1' AND NOT (status != 'enabled')", "d3 "},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[256];
		snprintf(text, sizeof text, "SELECT * FROM devices %s", rows[i].where);
		cr_assert_eq(query(text, 0, ""), GH_OK, "%s: %s", text, answer.err.text);
		cr_assert_str_eq(all_of("deviceId"), rows[i].ids, "%s", text);
	}
}

SERVICE_TEST(pages_of_a_query_lose_nothing_and_the_last_one_says_so)
{
	make_three();
	char token[REGISTRY_PAGE_TOKEN_SIZE] = "";
	const char *const pages[] = {"d1 ", "d2 ", "d3 "};
	for (size_t i = 0; i < 3; i++) {
		cr_assert_eq(query("SELECT * FROM devices", 1, token), GH_OK);
		cr_assert_str_eq(all_of("deviceId"), pages[i]);
		cr_assert_eq(answer.continuation[0] == '\0', i == 2, "page %zu", i);
		snprintf(token, sizeof token, "%s", answer.continuation);
	}
	cr_assert_eq(query("SELECT * FROM devices", 3, ""), GH_OK);
	cr_assert_str_eq(answer.continuation, "", "exactly full");
	cr_assert_eq(query("SELECT * FROM devices WHERE deviceId = 'd1'", 1, ""), GH_OK);
	cr_assert_str_eq(answer.continuation, "", "full, and nothing behind it matches");
	cr_assert_eq(query("SELECT * FROM devices WHERE deviceId != 'd2'", 1, ""), GH_OK);
	snprintf(token, sizeof token, "%s", answer.continuation);
	cr_assert_eq(query("SELECT * FROM devices WHERE deviceId != 'd2'", 1, token), GH_OK);
	cr_assert_str_eq(all_of("deviceId"), "d3 ");
	cr_assert_str_eq(answer.continuation, "");
}

SERVICE_TEST(a_page_that_looked_at_enough_devices_is_short_and_says_where_to_go_on)
{
	limits.query_scan_max = 2;
	make_three();
	put("d4", NULL, "{\"deviceId\":\"d4\",\"status\":\"disabled\"}");
	char token[REGISTRY_PAGE_TOKEN_SIZE];
	cr_assert_eq(query("SELECT deviceId FROM devices WHERE deviceId >= 'd3'", 0, ""), GH_OK);
	cr_assert_str_eq(answer.body, "[]");
	snprintf(token, sizeof token, "%s", answer.continuation);
	cr_assert_eq(query("SELECT deviceId FROM devices WHERE deviceId >= 'd3'", 0, token), GH_OK);
	cr_assert_str_eq(all_of("deviceId"), "d3 d4 ");
	cr_assert_str_eq(answer.continuation, "", "no device is left, so there is no page");
	cr_assert_eq(query("SELECT COUNT() AS n FROM devices", 0, ""), GH_OK);
	cr_assert_str_eq(answer.body, "[{\"n\":4}]", "a count looks at all");
}

SERVICE_TEST(a_page_holds_100_rows_unless_told_and_registry_page_max_at_most)
{
	for (int i = 0; i < 120; i++) {
		char id[16];
		snprintf(id, sizeof id, "d%03d", i);
		make(id);
	}
	static const struct {
		uint64_t asked;
		uint64_t page_max;
		size_t rows;
	} rows[] = {{0, 1000, 100}, {110, 1000, 110}, {1000, 1000, 120}, {UINT64_MAX, 1000, 120}, {110, 50, 50},
		{0, 50, 50}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		limits.registry_page_max = rows[i].page_max;
		cr_assert_eq(query("SELECT deviceId FROM devices", rows[i].asked, ""), GH_OK);
		json_t *body = answered();
		cr_assert_eq(json_array_size(body), rows[i].rows, "row %zu", i);
		cr_assert_eq(answer.continuation[0] != '\0', rows[i].rows < 120, "row %zu", i);
		json_decref(body);
	}
}

SERVICE_TEST(columns_and_counts_are_raw)
{
	make_three();
	cr_assert_eq(query("SELECT deviceId, capabilities.iotEdge AS edge FROM devices", 2, ""), GH_OK);
	cr_assert_str_eq(answer.item_type, "Raw");
	cr_assert_str_eq(answer.body, "[{\"deviceId\":\"d1\",\"edge\":true},{\"deviceId\":\"d2\",\"edge\":false}]");
	cr_assert_eq(query("SELECT COUNT() AS n FROM devices", 0, ""), GH_OK);
	cr_assert_str_eq(answer.item_type, "Raw");
	cr_assert_str_eq(answer.body, "[{\"n\":3}]");
	cr_assert_str_eq(answer.continuation, "");
	cr_assert_eq(query("SELECT COUNT() AS n FROM devices WHERE status = 'disabled'", 1, ""), GH_OK);
	cr_assert_str_eq(answer.body, "[{\"n\":1}]");
}

SERVICE_TEST(a_bad_query_or_continuation_is_refused)
{
	static const struct {
		const char *body;
		const char *continuation;
		gh_status status;
		const char *code;
	} rows[] = {
		{"", "", GH_MALFORMED, "body_json"},
		{"[]", "", GH_MALFORMED, "body_form"},
		{"{}", "", GH_MALFORMED, "body_form"},
		{"{\"query\":7}", "", GH_MALFORMED, "body_form"},
		{"{\"query\":\"\"}", "", GH_INVALID, "query_syntax"},
		{"{\"query\":\"SELECT * FROM devices WHERE\"}", "", GH_INVALID, "query_syntax"},
		{"{\"query\":\"SELECT * FROM devices.jobs\"}", "", GH_INVALID, "query_unserved"},
		{"{\"query\":\"SELECT * FROM devices\"}", "!", GH_INVALID, "continuation"},
		{"{\"query\":\"SELECT * FROM devices\"}", "ZDE", GH_INVALID, "continuation"},
		{"{\"query\":\"SELECT * FROM devices\"}", "ZC8x", GH_INVALID, "continuation"}, /* d/1 */
		{"{\"query\":\"SELECT * FROM devices\"}", "AAAA", GH_INVALID, "continuation"},
		{"{\"query\":\"SELECT * FROM devices\"}", "ZDE=", GH_OK, ""},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cr_assert_eq(page(GH_SERVICE_QUERY, rows[i].body, 0, rows[i].continuation), rows[i].status, "%s %s: %s",
			rows[i].body, rows[i].continuation, answer.err.text);
		if (rows[i].status != GH_OK)
			cr_assert_str_eq(answer.err.code, rows[i].code, "%s", rows[i].body);
	}
	char huge[1001];
	memset(huge, 'Z', 1000);
	huge[1000] = '\0';
	cr_assert_eq(page(GH_SERVICE_DEVICE_LIST, NULL, 0, huge), GH_INVALID);
	huge[REGISTRY_PAGE_TOKEN_SIZE - 1] = '\0';
	cr_assert_eq(page(GH_SERVICE_DEVICE_LIST, NULL, 0, huge), GH_INVALID, "129 bytes are no id");
}

SERVICE_TEST(a_device_id_of_128_characters_is_a_place_to_go_on_from)
{
	char id[129], body[200];
	memset(id, 'x', 128);
	id[128] = '\0';
	snprintf(body, sizeof body, "{\"deviceId\":\"%s\"}", id);
	cr_assert_eq(put(id, NULL, body), GH_OK);
	make("y");
	cr_assert_eq(query("SELECT * FROM devices", 1, ""), GH_OK);
	char token[REGISTRY_PAGE_TOKEN_SIZE];
	snprintf(token, sizeof token, "%s", answer.continuation);
	cr_assert_eq(query("SELECT * FROM devices", 1, token), GH_OK);
	cr_assert_str_eq(all_of("deviceId"), "y ");
}

/* ---- the store ---- */

SERVICE_TEST(what_the_store_says_is_what_every_request_says)
{
	make("dev");
	store.fail_read = GH_IO;
	for (int op = 0; op < GH_SERVICE_OP_COUNT; op++) {
		static const char *const bodies[GH_SERVICE_OP_COUNT] = {
			[GH_SERVICE_IDENTITY_PUT] = "{\"deviceId\":\"dev\"}",
			[GH_SERVICE_QUERY] = "{\"query\":\"SELECT * FROM devices\"}",
			[GH_SERVICE_BULK] = "[{\"id\":\"dev\"}]",
		};
		gh_status status = ask((gh_service_op)op, "dev", "*", bodies[op]);
		if (op == GH_SERVICE_CONNECTION_STATISTICS)
			cr_assert_eq(status, GH_OK, "asks no store");
		else
			cr_assert_eq(status, op == GH_SERVICE_BULK ? GH_INVALID : GH_IO, "op %d", op);
		cr_assert_eq(answer.body != NULL, status == GH_OK || op == GH_SERVICE_BULK, "op %d", op);
	}
	cr_assert_str_eq(changes, "");
}

SERVICE_TEST(a_damaged_record_is_told_and_not_left_out)
{
	make("a");
	gh_store_write write = {GH_FAMILY_IDENTITIES, text_of("b"), text_of("{"), false, GH_VERSION_ANY};
	double_commit(&store.base, &write, 1, NULL);
	static const gh_service_op ops[] = {
		GH_SERVICE_IDENTITY_GET, GH_SERVICE_DEVICE_LIST, GH_SERVICE_QUERY, GH_SERVICE_DEVICE_STATISTICS};
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
		cr_assert_eq(
			ask(ops[i], "b", NULL, "{\"query\":\"SELECT * FROM devices\"}"), GH_INTERNAL, "op %d", ops[i]);
		cr_assert_str_eq(error_name(), "ServerError");
	}
}

/* ---- memory ---- */

static size_t allocations_left;

static void *failing_malloc(size_t len)
{
	if (allocations_left == 0)
		return NULL;
	allocations_left--;
	return malloc(len);
}

SERVICE_TEST(a_request_without_memory_for_any_part_of_it_is_refused_whole)
{
	static const struct {
		gh_service_op op;
		const char *id;
		const char *etag;
		const char *body;
	} rows[] = {
		{GH_SERVICE_IDENTITY_GET, "d1", NULL, NULL},
		{GH_SERVICE_IDENTITY_PUT, "new", NULL, "{\"deviceId\":\"new\",\"deviceScope\":\"s\"}"},
		{GH_SERVICE_IDENTITY_PUT, "d1", "*",
			"{\"deviceId\":\"d1\",\"capabilities\":{\"iotEdge\":true},\"parentScopes\":[\"p\"]}"},
		{GH_SERVICE_IDENTITY_DELETE, "d2", "*", NULL},
		{GH_SERVICE_DEVICE_LIST, "", NULL, NULL},
		{GH_SERVICE_MODULE_LIST, "d1", NULL, NULL},
		{GH_SERVICE_BULK, "", NULL,
			"[{\"id\":\"b\",\"tags\":{\"a\":1}},{\"id\":\"d1\",\"importMode\":\"create\"}]"},
		{GH_SERVICE_QUERY, "", NULL,
			"{\"query\":\"SELECT deviceId AS a, tags FROM devices WHERE NOT (a.b IN ['x', 1] OR "
			"IS_DEFINED(c)) AND devices.d <= 'q' OR 1 = 1\"}"},
		{GH_SERVICE_QUERY, "", NULL, "{\"query\":\"SELECT COUNT() AS n FROM devices\"}"},
		{GH_SERVICE_DEVICE_STATISTICS, "", NULL, NULL},
		{GH_SERVICE_CONNECTION_STATISTICS, "", NULL, NULL},
	};
	json_set_alloc_funcs(failing_malloc, free);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		bool whole = false;
		for (size_t n = 0; !whole; n++) {
			cr_assert_lt(n, 10000, "row %zu never succeeds", i);
			allocations_left = SIZE_MAX;
			ask(GH_SERVICE_IDENTITY_DELETE, "new", "*", NULL);
			ask(GH_SERVICE_IDENTITY_DELETE, "b", "*", NULL);
			ask(GH_SERVICE_IDENTITY_DELETE, "d1", "*", NULL);
			ask(GH_SERVICE_IDENTITY_DELETE, "d2", "*", NULL);
			make("d1");
			make("d1/m");
			make("d2");
			allocations_left = n;
			gh_status status = ask(rows[i].op, rows[i].id, rows[i].etag, rows[i].body);
			whole = allocations_left > 0;
			allocations_left = SIZE_MAX;
			if (status != GH_OK && rows[i].op != GH_SERVICE_BULK)
				cr_assert(!answer.body && answer.err.code, "row %zu, %zu allocations", i, n);
			else if (rows[i].op != GH_SERVICE_IDENTITY_DELETE && status == GH_OK)
				json_decref(answered());
			if (whole)
				cr_assert_eq(status, rows[i].op == GH_SERVICE_BULK ? GH_INVALID : GH_OK, "row %zu: %s",
					i, answer.err.text);
		}
	}
}
