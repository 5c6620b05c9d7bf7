/* manage_call: each request good and bad, against the store double. */
#include "tests/unit/admin_fixture.h"

SUITE(manage);

static struct fixture f;

/* A request that must succeed; returns its result, to be dropped. */
static json_t *good(const char *request)
{
	json_t *response = fixture_call(&f, request);
	cr_assert(json_is_true(json_object_get(response, "ok")), "%s: %s", request,
		fixture_text(response, "error", "text"));
	json_t *result = json_incref(json_object_get(response, "result"));
	json_decref(response);
	return result;
}

#define R(rest) "{\"version\":1,\"op\":" rest "}"
#define CREATE(document) R("\"device.create\",\"document\":" document)

static const struct {
	const char *name, *request, *status, *text;
} bad_rows[] = {
	{"not an object", "[1]", "malformed", "a request is a JSON object"},
	{"a text", "\"device.list\"", "malformed", "a request is a JSON object"},
	{"no version", "{\"op\":\"device.list\"}", "invalid", "version must be 1"},
	{"a later version", "{\"version\":2,\"op\":\"device.list\"}", "invalid", "version must be 1"},
	{"version as text", "{\"version\":\"1\",\"op\":\"device.list\"}", "invalid", "version must be 1"},
	{"version as fraction", "{\"version\":1.0,\"op\":\"device.list\"}", "invalid", "version must be 1"},
	{"no op", "{\"version\":1}", "invalid", "op must be a text"},
	{"op as number", R("7"), "invalid", "op must be a text"},
	{"unknown op", R("\"device.lits\""), "invalid", "the nearest known one is \"device.list\""},
	{"unknown member", R("\"device.show\",\"devceId\":\"a\""), "invalid", "the nearest known one is \"deviceId\""},
	{"member where there is none", R("\"health\",\"a\":1"), "invalid", "unknown member \"a\""},
	{"no document", R("\"device.create\""), "invalid", "document must be an object"},
	{"document as text", CREATE("\"dev1\""), "invalid", "document must be an object"},
	{"document without id", CREATE("{}"), "invalid", "deviceId"},
	{"id with a slash", CREATE("{\"deviceId\":\"a/b\"}"), "invalid", "deviceId"},
	{"one key only",
		CREATE("{\"deviceId\":\"a\",\"authentication\":{\"symmetricKey\":{\"primaryKey\":"
		       "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"}}}"),
		"invalid", ""},
	{"show without id", R("\"device.show\""), "invalid", "deviceId is missing"},
	{"show with a number", R("\"device.show\",\"deviceId\":4"), "invalid", "deviceId must be a text"},
	{"show nobody", R("\"device.show\",\"deviceId\":\"nobody\""), "not_found", ""},
	{"delete without etag", R("\"device.delete\",\"deviceId\":\"dev1\""), "invalid", "etag is missing"},
	{"delete with a stale etag", R("\"device.delete\",\"deviceId\":\"dev1\",\"etag\":\"AAAA\""), "conflict", ""},
	{"delete nobody", R("\"device.delete\",\"deviceId\":\"nobody\",\"etag\":\"*\""), "not_found", ""},
	{"update nobody", R("\"device.update\",\"etag\":\"*\",\"document\":{\"deviceId\":\"nobody\"}"), "not_found",
		""},
	{"update without etag", R("\"device.update\",\"document\":{\"deviceId\":\"dev1\"}"), "invalid",
		"etag is missing"},
	{"create twice", CREATE("{\"deviceId\":\"dev1\"}"), "exists", ""},
	{"list, page 0", R("\"device.list\",\"max\":0"), "invalid", "max must be a number from 1 to 1000"},
	{"list, page -1", R("\"device.list\",\"max\":-1"), "invalid", "max must be a number"},
	{"list, page 1001", R("\"device.list\",\"max\":1001"), "invalid", "max must be a number"},
	{"list, page as text", R("\"device.list\",\"max\":\"1\""), "invalid", "max must be a number"},
	{"list of an unknown device", R("\"device.list\",\"deviceId\":\"nobody\""), "not_found", ""},
	{"import without lines", R("\"device.import\""), "invalid", "lines must be a list"},
	{"import of a number", R("\"device.import\",\"lines\":[\"{}\",7]"), "invalid", "lines must be texts"},
	{"import from line 0", R("\"device.import\",\"lines\":[],\"firstLine\":0"), "invalid", "firstLine must be"},
	{"policy without name", R("\"policy.show\""), "invalid", "name is missing"},
	{"policy nobody has", R("\"policy.show\",\"name\":\"nobody\""), "not_found", ""},
	{"policy with an unknown right", R("\"policy.create\",\"document\":{\"name\":\"p\",\"rights\":[\"Fly\"]}"),
		"invalid", ""},
	{"explain without token", R("\"token.explain\""), "invalid", "token is missing"},
};

Test(manage, bad_requests_are_refused_and_change_nothing)
{
	fixture_init(&f, 1);
	json_decref(good(CREATE("{\"deviceId\":\"dev1\"}")));
	json_t *before = good(R("\"device.export\""));
	for (size_t i = 0; i < sizeof bad_rows / sizeof *bad_rows; i++) {
		json_t *response = fixture_call(&f, bad_rows[i].request);
		cr_assert(json_is_false(json_object_get(response, "ok")), "%s", bad_rows[i].name);
		cr_assert_str_eq(fixture_text(response, "error", "status"), bad_rows[i].status, "%s: %s",
			bad_rows[i].name, fixture_text(response, "error", "text"));
		cr_assert(strstr(fixture_text(response, "error", "text"), bad_rows[i].text), "%s: %s", bad_rows[i].name,
			fixture_text(response, "error", "text"));
		json_decref(response);
	}
	json_t *after = good(R("\"device.export\""));
	cr_assert(json_equal(before, after));
	json_decref(before);
	json_decref(after);
	fixture_done(&f);
}

Test(manage, device_is_created_shown_updated_and_deleted)
{
	fixture_init(&f, 1);
	json_t *made = good(CREATE("{\"deviceId\":\"dev1\",\"authentication\":{\"symmetricKey\":{\"primaryKey\":"
				   "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\",\"secondaryKey\":"
				   "\"ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=\"}}}"));
	cr_assert_str_eq(fixture_text(made, "document", "status"), "enabled");
	cr_assert_str_eq(fixture_text(made, "connectionStrings", "primary"),
		"HostName=hub.example.net;DeviceId=dev1;SharedAccessKey=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
	cr_assert_str_eq(fixture_text(made, "connectionStrings", "secondary"),
		"HostName=hub.example.net;DeviceId=dev1;SharedAccessKey=ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=");
	cr_assert_eq(f.changes, 0, "nobody is connected as what is new");

	json_t *shown = good(R("\"device.show\",\"deviceId\":\"dev1\""));
	cr_assert(json_equal(made, shown));
	cr_assert_eq(f.changes, 0, "looking is no change");
	json_t *document = json_object_get(shown, "document");
	json_object_set_new(document, "status", json_string("disabled"));
	json_t *request = json_pack("{s:i, s:s, s:s, s:O}", "version", 1, "op", "device.update", "etag",
		json_string_value(json_object_get(document, "etag")), "document", document);
	char *text = json_dumps(request, 0);
	json_t *updated = good(text);
	cr_assert_str_eq(fixture_text(updated, "document", "status"), "disabled");
	cr_assert(
		json_equal(json_object_get(updated, "connectionStrings"), json_object_get(made, "connectionStrings")));
	cr_assert(f.changes == 1 && f.changed_device);

	json_t *response = fixture_call(&f, text);
	cr_assert_str_eq(fixture_text(response, "error", "status"), "conflict", "the etag is stale now");
	json_decref(response);
	free(text);
	json_decref(good(R("\"device.delete\",\"deviceId\":\"dev1\",\"etag\":\"*\"")));
	response = fixture_call(&f, R("\"device.show\",\"deviceId\":\"dev1\""));
	cr_assert_str_eq(fixture_text(response, "error", "status"), "not_found");
	json_decref(response);
	json_decref(request);
	json_decref(updated);
	json_decref(shown);
	json_decref(made);
	fixture_done(&f);
}

Test(manage, connection_strings_of_modules_name_the_module_and_need_a_host)
{
	fixture_init(&f, 1);
	json_decref(good(CREATE("{\"deviceId\":\"d\"}")));
	json_t *made = good(CREATE("{\"deviceId\":\"d\",\"moduleId\":\"m\"}"));
	cr_assert(
		strstr(fixture_text(made, "connectionStrings", "primary"), ";DeviceId=d;ModuleId=m;SharedAccessKey="));
	json_decref(made);
	f.manage.hosts = NULL;
	made = good(R("\"device.show\",\"deviceId\":\"d\""));
	cr_assert(json_is_null(json_object_get(json_object_get(made, "connectionStrings"), "primary")));
	json_decref(made);
	fixture_done(&f);
}

Test(manage, pages_cover_everything_once)
{
	fixture_init(&f, 1);
	for (int i = 0; i < 7; i++) {
		char request[200];
		snprintf(request, sizeof request, CREATE("{\"deviceId\":\"dev%d\"}"), i);
		json_decref(good(request));
	}
	json_decref(good(CREATE("{\"deviceId\":\"dev3\",\"moduleId\":\"m\"}")));
	static const struct {
		const char *op;
		size_t total;
	} rows[] = {{"device.list", 7}, {"device.export", 8}};
	for (size_t row = 0; row < 2; row++) {
		char after[20] = "";
		size_t total = 0, pages = 0;
		bool more = true;
		while (more) {
			char request[200];
			snprintf(request, sizeof request, R("\"%s\",\"max\":3,\"after\":\"%s\""), rows[row].op, after);
			json_t *page = good(request);
			const char *next = json_string_value(json_object_get(page, "next"));
			total += json_array_size(json_object_get(page, "documents"));
			more = next != NULL;
			snprintf(after, sizeof after, "%s", next ? next : "");
			pages++;
			json_decref(page);
		}
		cr_assert_eq(total, rows[row].total, "%s: %zu", rows[row].op, total);
		cr_assert_eq(pages, 3, "%s: %zu pages", rows[row].op, pages);
	}
	fixture_done(&f);
}

Test(manage, import_counts_and_names_the_line_of_the_file)
{
	fixture_init(&f, 1);
	json_t *result = good(R(
		"\"device.import\",\"lines\":[\"{\\\"deviceId\\\":\\\"a\\\"}\",\"\",\"{\\\"deviceId\\\":\\\"b\\\"}\"]"));
	cr_assert_eq(json_integer_value(json_object_get(result, "count")), 2);
	cr_assert(json_is_null(json_object_get(result, "failure")));
	json_decref(result);
	result = good(R(
		"\"device.import\",\"firstLine\":1001,\"lines\":[\"{\\\"deviceId\\\":\\\"c\\\"}\",\"{bad\",\"{\\\"deviceId\\\":\\\"d\\\"}\"]"));
	cr_assert_eq(json_integer_value(json_object_get(result, "count")), 1, "the line before the bad one");
	const char *failure = json_string_value(json_object_get(result, "failure"));
	cr_assert(failure && strncmp(failure, "line 1002: ", 11) == 0, "%s", failure);
	cr_assert_eq(f.changes, 0, "nobody is connected as what is new");
	json_decref(result);
	result = good(R("\"device.list\""));
	cr_assert_eq(json_array_size(json_object_get(result, "documents")), 3);
	json_decref(result);
	fixture_done(&f);
}

Test(manage, policies_are_created_shown_listed_updated_and_deleted)
{
	fixture_init(&f, 1);
	json_t *made = good(R("\"policy.create\",\"document\":{\"name\":\"tokens\",\"rights\":[\"DeviceConnect\"]}"));
	cr_assert(json_string_length(json_object_get(made, "primaryKey")) > 0);
	json_t *shown = good(R("\"policy.show\",\"name\":\"TOKENS\""));
	cr_assert(json_equal(made, shown), "names are found without case");
	json_t *all = good(R("\"policy.list\""));
	cr_assert_eq(json_array_size(all), 1);
	json_decref(good(R("\"policy.update\",\"document\":{\"name\":\"tokens\",\"rights\":[\"ServiceConnect\"]}")));
	cr_assert(f.changes == 1 && !f.changed_device, "of all who use policies");
	json_decref(good(R("\"policy.delete\",\"name\":\"tokens\"")));
	cr_assert_eq(f.changes, 2);
	json_decref(made);
	json_decref(shown);
	json_decref(all);
	fixture_done(&f);
}

Test(manage, health_needs_a_gateway)
{
	fixture_init(&f, 1);
	json_t *result = good(R("\"health\""));
	cr_assert(json_is_true(json_object_get(result, "ready")));
	cr_assert_str_eq(json_string_value(json_object_get(result, "hostName")), "hub.example.net");
	cr_assert_str_eq(fixture_text(result, "backend", "state"), gh_health_state_name(GH_READY));
	cr_assert_eq(json_integer_value(json_object_get(json_object_get(result, "messages"), "accepted")), 7);
	json_decref(result);
	f.manage.gateway = NULL;
	json_t *response = fixture_call(&f, R("\"health\""));
	cr_assert_str_eq(fixture_text(response, "error", "status"), "unavailable");
	json_decref(response);
	fixture_done(&f);
}

/* ---- token.explain ---- */

#define K1 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KP "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8="
#define P1                                                                                                             \
	"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=LqyUzl68kGRXzLQZq5VO0sfwYobzjE17x0k9%2F7ghShY%3D&se=4102444800"
#define P10                                                                                                            \
	"SharedAccessSignature sig=6%2FyEAEIhUA7hBN2plx4w%2BCdClrhXIK9kdlAn1bKPKJA%3D&se=4102444800&skn=device&sr=hub.example.net%2Fdevices"
#define N3                                                                                                             \
	"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=00FsOAX7EJt%2F4OMWll3RxAztx6pAFuIebScG8x%2FYcZg%3D&se=1700000000"
#define N8                                                                                                             \
	"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=AqyUzl68kGRXzLQZq5VO0sfwYobzjE17x0k9%2F7ghShY%3D&se=4102444800"
#define N10                                                                                                            \
	"SharedAccessSignature sr=other.example.net%2Fdevices%2Fdev1&sig=tPl7nNc19FYqjhfG0Rp1JYlYAM9IZX4DGrHvOTYNR54%3D&se=4102444800"

static const struct {
	const char *name, *token, *device, *code, *device_found;
} token_rows[] = {
	{"the device its scope names", P1, NULL, "ok", "dev1"},
	{"the device given", P1, "dev1", "ok", "dev1"},
	{"another device", P1, "dev2", "token_signature", "dev2"},
	{"a device nobody knows", P1, "nobody", "identity_unknown", "nobody"},
	{"a disabled device", P1, "off", "identity_disabled", "off"},
	{"a policy for all devices", P10, NULL, "ok", NULL},
	{"a policy for one of them", P10, "dev2", "ok", "dev2"},
	{"expired", N3, NULL, "token_expired", "dev1"},
	{"wrong signature", N8, NULL, "token_signature", "dev1"},
	{"another hub", N10, NULL, "token_scope", "dev1"},
	{"no signature", "SharedAccessSignature sr=a&se=1", NULL, "token_field_missing", NULL},
	{"another scheme", "Bearer abc", NULL, "token_form", NULL},
};

Test(manage, token_explain_tells_the_verdict_and_its_rule)
{
	fixture_init(&f, 1);
	json_decref(good(CREATE("{\"deviceId\":\"dev1\",\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"" K1
				"\",\"secondaryKey\":\"" K1 "\"}}}")));
	json_decref(good(CREATE("{\"deviceId\":\"dev2\"}")));
	json_decref(good(CREATE("{\"deviceId\":\"off\",\"status\":\"disabled\"}")));
	json_decref(good(R(
		"\"policy.create\",\"document\":{\"name\":\"device\",\"rights\":[\"DeviceConnect\"],\"primaryKey\":\"" KP
		"\",\"secondaryKey\":\"" KP "\"}")));
	for (size_t i = 0; i < sizeof token_rows / sizeof *token_rows; i++) {
		json_t *request = json_pack("{s:i, s:s, s:s, s:s?}", "version", 1, "op", "token.explain", "token",
			       token_rows[i].token, "deviceId", token_rows[i].device),
		       *response;
		manage_call(&f.manage, request, &response);
		const json_t *answer = json_object_get(response, "result");
		const char *code = json_string_value(json_object_get(answer, "code"));
		cr_assert(code && strcmp(code, token_rows[i].code) == 0, "%s: %s", token_rows[i].name, code);
		cr_assert_eq(json_is_true(json_object_get(answer, "accepted")), strcmp(code, "ok") == 0, "%s",
			token_rows[i].name);
		cr_assert_eq(json_object_get(answer, "rule") != NULL, strcmp(code, "ok") != 0,
			"%s: a refusal names its rule", token_rows[i].name);
		const char *device = json_string_value(json_object_get(answer, "deviceId"));
		cr_assert(token_rows[i].device_found ? device && strcmp(device, token_rows[i].device_found) == 0
						     : !device,
			"%s: %s", token_rows[i].name, device);
		char *text = json_dumps(answer, 0);
		cr_assert_not(strstr(text, "LqyUzl68"), "%s: the signature is not repeated", token_rows[i].name);
		free(text);
		json_decref(request);
		json_decref(response);
	}
	cr_assert_eq(f.changes, 0, "explaining is no change");
	fixture_done(&f);
}

static const struct {
	const char *name, *resource, *key, *policy, *code;
	bool listed; /* in the notes: what RegistryRead and ServiceConnect are for */
	const char *verdict;
} back_end_rows[] = {
	{"whole hub", "hub.example.net", K1, "backend", "token_policy_right", true, "is accepted with it"},
	{"one device", "hub.example.net/devices/dev1", K1, "backend", "token_policy_right", true,
		"is accepted with it"},
	{"an entity", "sb://hub.example.net/hub1", K1, "backend", "token_policy_right", true, "is accepted with it"},
	{"another hub", "other.example.net", K1, "backend", "token_policy_right", true, "refused with it too: sr"},
	{"wrong key", "hub.example.net", KP, "backend", "token_policy_right", true, "refused with it too: neither"},
	{"for devices", "hub.example.net", KP, "device", "ok", false, NULL},
	{"unknown", "hub.example.net", KP, "nosuch", "token_policy_unknown", false, NULL},
};

Test(manage, token_explain_says_what_a_policy_without_device_connect_is_good_for)
{
	fixture_init(&f, 1);
	json_decref(good(CREATE("{\"deviceId\":\"dev1\"}")));
	json_decref(good(R(
		"\"policy.create\",\"document\":{\"name\":\"backend\",\"rights\":[\"ServiceConnect\",\"RegistryRead\"],"
		"\"primaryKey\":\"" K1 "\",\"secondaryKey\":\"" K1 "\"}")));
	json_decref(good(R(
		"\"policy.create\",\"document\":{\"name\":\"device\",\"rights\":[\"DeviceConnect\"],\"primaryKey\":\"" KP
		"\",\"secondaryKey\":\"" KP "\"}")));
	for (size_t i = 0; i < sizeof back_end_rows / sizeof *back_end_rows; i++) {
		const char *name = back_end_rows[i].name;
		char token[1024];
		struct sas_key key;
		cr_assert(sas_key_decode(text_of(back_end_rows[i].key), &key));
		cr_assert(sas_create(back_end_rows[i].resource, &key, back_end_rows[i].policy, 4102444800, token,
				  sizeof token) > 0);
		json_t *request = json_pack("{s:i, s:s, s:s}", "version", 1, "op", "token.explain", "token", token),
		       *response;
		manage_call(&f.manage, request, &response);
		const json_t *answer = json_object_get(response, "result");
		cr_assert_str_eq(json_string_value(json_object_get(answer, "code")), back_end_rows[i].code, "%s", name);
		char *notes = json_dumps(json_object_get(answer, "notes"), 0);
		cr_assert_eq(strstr(notes, "the policy has RegistryRead, which is for reading") != NULL,
			back_end_rows[i].listed, "%s: %s", name, notes);
		cr_assert_eq(strstr(notes, "the policy has ServiceConnect, which is for twins") != NULL,
			back_end_rows[i].listed, "%s: %s", name, notes);
		cr_assert_not(strstr(notes, "RegistryWrite"), "%s: %s", name, notes);
		cr_assert_eq(
			strstr(notes, "a back end") != NULL, back_end_rows[i].verdict != NULL, "%s: %s", name, notes);
		cr_assert(!back_end_rows[i].verdict || strstr(notes, back_end_rows[i].verdict), "%s: %s", name, notes);
		free(notes);
		json_decref(request);
		json_decref(response);
	}
	fixture_done(&f);
}
