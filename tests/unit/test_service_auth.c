/* What a back end may, by its token: one worker over the memory engines, policies as the registry stores them.
 *
 * Tests named service_NN prove, without a connection, what statement NN of the service contract asks of the core.
 */
#include "tests/suite.h"

#include "src/backends/memory.h"
#include "src/base/limits.h"
#include "src/base/text.h"
#include "src/core/core.h"
#include "src/core/link.h"
#include "src/core/registry.h"

#include <gatehouse/service.h>

#include <stdio.h>

SUITE(service_auth);

#define KEY_1 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_2 "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
#define KEY_P "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8="
enum { WALL_S = 1800000000, HOUR_S = 3600, NOW_MS = 5000 };
enum { READ = GH_RIGHT_REGISTRY_READ, WRITE = GH_RIGHT_REGISTRY_WRITE, SERVICE = GH_RIGHT_SERVICE_CONNECT };

/* ---- a hub of one worker ---- */

static void hub_post(gh_host *host, gh_task *task)
{
	(void)host, (void)task;
	cr_assert_fail("an authorization posts nothing");
}

static void hub_host_random(gh_host *host, void *bytes, size_t len)
{
	(void)host;
	memset(bytes, 4, len);
}

static const gh_host_ops hub_host_ops = {hub_post, hub_host_random};

static void hub_random(void *bytes, size_t len)
{
	memset(bytes, 9, len);
}

static uint64_t hub_wall_ms(void)
{
	return WALL_S * 1000ull;
}

struct hub {
	gh_limits limits;
	gh_store *store;
	gh_backend *backend;
	struct registry registry;
	gh_host host;
	struct core *core;
	gh_worker *worker;
	gh_error error;
	char lines[8192]; /* what was logged */
	int line_count;
	struct log log;
};

static void hub_line(void *context, const char *line, size_t len)
{
	struct hub *hub = context;
	size_t at = strlen(hub->lines);
	hub->line_count++;
	snprintf(hub->lines + at, sizeof hub->lines - at, "%.*s", (int)len, line);
}

static void hub_policy(struct hub *hub, const char *name, const char *primary)
{
	gh_error err = {0};
	json_t *document, *made;
	cr_assert_eq(registry_policy_get(&hub->registry, name, &document, &err), GH_OK, "%s", err.text);
	json_object_set_new(document, "primaryKey", json_string(primary));
	json_object_set_new(document, "secondaryKey", json_string(KEY_2));
	cr_assert_eq(registry_policy_update(&hub->registry, document, &made, &err), GH_OK, "%s", err.text);
	json_decref(document);
	json_decref(made);
}

static struct hub *hub_new(struct authenticate_switches switches)
{
	static const char *const hosts[] = {"hub.example.net", "localhost", NULL};
	static const char *const policies[] = {"iothubowner", "service", "device", "registryRead", "registryReadWrite"};
	struct hub *hub = calloc(1, sizeof *hub);
	limits_defaults(&hub->limits);
	gh_store_config store = {.directory = "", .limits = &hub->limits};
	cr_assert_eq(memory_store.open(&store, &hub->store, &hub->error), GH_OK, "%s", hub->error.text);
	gh_backend_config backend = {.level = GH_MEMORY, .partitions = 1, .limits = &hub->limits};
	cr_assert_eq(memory_queue.open(&backend, &hub->backend, &hub->error), GH_OK, "%s", hub->error.text);
	hub->registry = (struct registry){hub->store, &hub->limits, hub_random, hub_wall_ms};
	cr_assert_eq(registry_ensure_policies(&hub->registry, &hub->error), GH_OK, "%s", hub->error.text);
	for (size_t i = 0; i < sizeof policies / sizeof *policies; i++)
		hub_policy(hub, policies[i], KEY_1);
	hub->log = (struct log){LOG_INFO, NULL, hub_line, hub};
	struct core_config config = {
		.limits = &hub->limits,
		.hosts = hosts,
		.disabled_status = GH_DISABLED,
		.switches = switches,
		.store = hub->store,
		.backend_ops = &memory_queue,
		.backend = hub->backend,
		.log = &hub->log,
	};
	hub->core = core_new(&config, (uint64_t[2]){1, 2});
	hub->host = (gh_host){&hub_host_ops};
	hub->worker = core_worker_new(hub->core, &hub->host, NOW_MS, WALL_S * 1000ull);
	cr_assert(hub->worker != NULL);
	return hub;
}

static void hub_free(struct hub *hub)
{
	core_worker_free(hub->worker);
	core_free(hub->core);
	memory_queue.close(hub->backend);
	memory_store.close(hub->store);
	free(hub);
}

static gh_status hub_ask(struct hub *hub, const char *token, unsigned rights, const char *path)
{
	gh_service_claim claim = {
		.transport = "test",
		.token = text_of(token),
		.rights = rights,
		.client_info = text_of("sdk/1.0"),
		.peer = {.address = "192.0.2.7"},
	};
	gh_bytes rest = text_of(path);
	while (rest.len > 0)
		text_cut(rest, '/', &claim.segments[claim.segment_count++], &rest);
	hub->error = (gh_error){.code = "none"};
	return gh_service_authorize(hub->worker, &claim, &hub->error);
}

static void hub_refuses(struct hub *hub, const char *token, unsigned rights, const char *path, const char *code)
{
	cr_assert_eq(hub_ask(hub, token, rights, path), GH_UNAUTHORIZED, "%s: %s", code, token);
	cr_assert_str_eq(hub->error.code, code, "%s", token);
}

static uint64_t hub_refusals(struct hub *hub)
{
	struct core_counts counts;
	core_counts(hub->core, &counts);
	return counts.refused;
}

static const char *make(char token[1024], const char *resource, const char *base64, const char *policy)
{
	struct sas_key key;
	cr_assert(sas_key_decode(text_of(base64), &key));
	cr_assert(sas_create(resource, &key, policy, WALL_S + HOUR_S, token, 1024) > 0);
	return token;
}

/* ---- tests ---- */

/* Vectors 1 and 3 of service contract 1.3. */
#define V1                                                                                                             \
	"SharedAccessSignature sr=localhost&sig=e6iLfZzUWxvhzSHTYlcH03zdObjI7MbEkKAayoSWXCA%3D&se=1900000000&skn=service"
#define V3                                                                                                                \
	"SharedAccessSignature sr=sb%3A%2F%2Flocalhost%3A5671%2Fhub1%2FConsumerGroups%2F%24Default%2FPartitions%2F0&sig=" \
	"s8sZy3GTqv2JADNi1cX8j20WJM4ztywAloCVQQw%2FGvk%3D&se=1900000000&skn=service"

Test(service_auth, service_01_without_a_token_nothing_is_allowed)
{
	struct hub *hub = hub_new((struct authenticate_switches){0});
	hub_refuses(hub, "", SERVICE, "twins/d1", "token_missing");
	cr_assert_eq(hub_refusals(hub), 1);
	hub_free(hub);
}

Test(service_auth, service_02_a_token_made_with_a_policys_key_is_good)
{
	struct hub *hub = hub_new((struct authenticate_switches){0});
	cr_assert_eq(hub_ask(hub, V1, SERVICE, "twins/d1"), GH_OK, "%s", hub->error.code);
	cr_assert(hub->line_count == 0 && hub_refusals(hub) == 0, "nothing is said of it");
	hub_free(hub);
}

Test(service_auth, service_04_a_new_primary_key_ends_the_tokens_of_the_old_one)
{
	struct hub *hub = hub_new((struct authenticate_switches){0});
	char token[1024];
	hub_policy(hub, "service", KEY_P);
	hub_refuses(hub, V1, SERVICE, "twins/d1", "token_signature");
	cr_assert_eq(hub_ask(hub, make(token, "localhost", KEY_2, "service"), SERVICE, "twins/d1"), GH_OK);
	cr_assert_eq(hub_ask(hub, make(token, "localhost", KEY_P, "service"), SERVICE, "twins/d1"), GH_OK);
	hub_free(hub);
}

Test(service_auth, service_05_each_policy_a_hub_begins_with_allows_what_it_should)
{
	static const struct {
		const char *policy;
		bool get, put, twin;
	} rows[] = {
		{"iothubowner", true, true, true},
		{"service", false, false, true},
		{"device", false, false, false},
		{"registryRead", true, false, false},
		{"registryReadWrite", true, true, false},
	};
	struct hub *hub = hub_new((struct authenticate_switches){0});
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char token[1024];
		make(token, "hub.example.net", KEY_1, rows[i].policy);
		cr_assert_eq(hub_ask(hub, token, READ, "devices/d1") == GH_OK, rows[i].get, "%s", rows[i].policy);
		cr_assert_eq(hub_ask(hub, token, WRITE, "devices/d1") == GH_OK, rows[i].put, "%s", rows[i].policy);
		cr_assert_eq(hub_ask(hub, token, SERVICE, "twins/d1") == GH_OK, rows[i].twin, "%s", rows[i].policy);
	}
	hub_free(hub);
}

Test(service_auth, service_06_a_device_in_the_scope_is_the_only_one_it_opens)
{
	struct hub *hub = hub_new((struct authenticate_switches){0});
	char token[1024];
	make(token, "hub.example.net/devices/a", KEY_1, "registryRead");
	cr_assert_eq(hub_ask(hub, token, READ, "devices/a"), GH_OK);
	cr_assert_eq(hub_ask(hub, token, READ, "devices/a/modules"), GH_OK);
	hub_refuses(hub, token, READ, "devices/ab", "token_scope");
	hub_refuses(hub, token, READ, "devices", "token_scope");
	hub_refuses(hub, token, READ, "statistics/devices", "token_scope");
	hub_free(hub);
}

Test(service_auth, service_11_a_key_read_as_text_opens_no_request)
{
	struct hub *hub = hub_new((struct authenticate_switches){0});
	hub_refuses(hub, V3, SERVICE, "hub1/ConsumerGroups/$Default/Partitions/0", "token_signature");
	hub_free(hub);
}

Test(service_auth, a_devices_own_key_is_good_for_nothing_here)
{
	struct hub *hub = hub_new((struct authenticate_switches){0});
	char token[1024];
	json_t *made, *document = json_pack("{s:s, s:{s:{s:s, s:s}}}", "deviceId", "d1", "authentication",
			      "symmetricKey", "primaryKey", KEY_P, "secondaryKey", KEY_2);
	cr_assert_eq(registry_device_create(&hub->registry, document, &made, &hub->error), GH_OK);
	json_decref(document);
	json_decref(made);
	hub_refuses(
		hub, make(token, "hub.example.net/devices/d1", KEY_P, ""), READ, "devices/d1", "token_policy_missing");
	hub_refuses(hub, make(token, "hub.example.net/devices/d1", KEY_P, "d1"), READ, "devices/d1",
		"token_policy_unknown");
	hub_free(hub);
}

Test(service_auth, policy_tokens_switched_off_are_switched_off_here_too)
{
	struct hub *hub = hub_new((struct authenticate_switches){.policy_sas_off = true});
	hub_refuses(hub, V1, SERVICE, "twins/d1", "sas_switched_off");
	hub_free(hub);
	hub = hub_new((struct authenticate_switches){.device_sas_off = true, .module_sas_off = true});
	cr_assert_eq(hub_ask(hub, V1, SERVICE, "twins/d1"), GH_OK);
	hub_free(hub);
}

static gh_status unreadable_get(gh_store *store, enum gh_family family, gh_bytes key, gh_store_value *ret_value)
{
	(void)store, (void)family, (void)key, (void)ret_value;
	return GH_IO;
}

Test(service_auth, a_policy_that_cannot_be_read_is_no_verdict)
{
	struct hub *hub = hub_new((struct authenticate_switches){0});
	const gh_store_ops *readable = hub->store->ops;
	gh_store_ops unreadable = *readable;
	unreadable.get = unreadable_get;
	hub->store->ops = &unreadable;
	cr_assert_eq(hub_ask(hub, V1, SERVICE, "twins/d1"), GH_UNAVAILABLE);
	cr_assert_str_eq(hub->error.code, "policy_unreadable");
	hub->store->ops = readable;
	cr_assert_eq(hub_ask(hub, V1, SERVICE, "twins/d1"), GH_OK);
	hub_free(hub);
}

Test(service_auth, a_refusal_says_what_was_asked_and_by_whom_and_no_secret)
{
	struct hub *hub = hub_new((struct authenticate_switches){0});
	char token[1024];
	make(token, "hub.example.net", KEY_P, "service");
	gh_service_claim claim = {
		.transport = "test", .token = text_of(token), .rights = SERVICE, .client_info = text_of("a\nb")};
	claim.segments[claim.segment_count++] = text_of("twins");
	claim.segments[claim.segment_count++] = text_of("d\n1");
	cr_assert_eq(gh_service_authorize(hub->worker, &claim, NULL), GH_UNAUTHORIZED);
	cr_assert(
		strstr(hub->lines,
			"refused transport=test resource=\"twins/d\\x0a1\" peer= client=\"a\\x0ab\" status=unauthorized "
			"code=token_signature reason=\"neither key gives this signature\" skipped=0\n"),
		"%s", hub->lines);
	cr_assert_not(strstr(hub->lines, "sig="), "%s", hub->lines);
	hub->lines[0] = '\0';
	hub_refuses(hub, V1, READ, "devices", "token_policy_right");
	cr_assert(strstr(hub->lines, "peer=192.0.2.7 client=\"sdk/1.0\""), "%s", hub->lines);
	hub_free(hub);
}

Test(service_auth, a_path_too_long_for_a_line_is_cut)
{
	struct hub *hub = hub_new((struct authenticate_switches){0});
	char path[1200];
	memset(path, 'p', sizeof path);
	for (int i = 1; i < 6; i++)
		path[i * 199] = '/';
	path[sizeof path - 1] = '\0';
	hub_refuses(hub, V1, READ, path, "token_policy_right");
	cr_assert(strstr(hub->lines, "ppp...\" peer="), "%s", hub->lines);
	hub_free(hub);
}

Test(service_auth, refusals_share_the_lines_that_links_have)
{
	struct hub *hub = hub_new((struct authenticate_switches){0});
	gh_link_request request = {.transport = "test", .device_id = text_of("nobody")};
	gh_error err = {.status = GH_UNAUTHORIZED, .code = "identity_unknown"};
	uint64_t half = hub->limits.refusal_lines_max / 2;
	for (uint64_t i = 0; i < half; i++)
		gh_link_refused(hub->worker, &request, &err);
	for (int i = 0; i < 500; i++)
		hub_refuses(hub, "", READ, "devices", "token_missing");
	cr_assert_eq(hub->line_count, (int)hub->limits.refusal_lines_max);
	cr_assert_eq(hub_refusals(hub), half + 500, "every one is counted");
	hub_free(hub);
}
