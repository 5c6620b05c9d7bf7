/* Tokens of back ends: the published vectors, and the rules of service contract 1.3.
 *
 * Tests named service_NN prove, without a connection, what statement NN of the service contract asks of the token.
 */
#include "tests/suite.h"
#include "tests/vectors/sas_vectors.h"

#include "src/base/limits.h"
#include "src/base/text.h"
#include "src/core/sas.h"

#include <stdio.h>

SUITE(sas_service);

static const char *const hosts[] = {"hub.example.net", "gateway.local", "localhost", "hub1.example.test", NULL};

/* A path as the resource a back end asks for. */
static struct sas_resource resource_of(const char *path)
{
	struct sas_resource resource = {.hosts = hosts};
	gh_bytes rest = text_of(path);
	while (rest.len > 0)
		text_cut(rest, '/', &resource.segments[resource.segment_count++], &rest);
	return resource;
}

static struct sas_key key_of(const char *base64)
{
	struct sas_key key = {.len = 0};
	cr_assert(base64[0] == '\0' || sas_key_decode(text_of(base64), &key), "%s is a key", base64);
	return key;
}

enum { READ = GH_RIGHT_REGISTRY_READ, WRITE = GH_RIGHT_REGISTRY_WRITE, SERVICE = GH_RIGHT_SERVICE_CONNECT };

static gh_status find_policy(void *context, gh_bytes name, struct sas_policy *ret_policy)
{
	static const struct {
		const char *name;
		unsigned rights;
		const char *primary, *secondary;
	} rows[] = {
		{"iothubowner", READ | WRITE | SERVICE | GH_RIGHT_DEVICE_CONNECT, SAS_VECTOR_K1, SAS_VECTOR_K2},
		{"service", SERVICE, SAS_VECTOR_K1, SAS_VECTOR_K2},
		{"device", GH_RIGHT_DEVICE_CONNECT, SAS_VECTOR_K1, SAS_VECTOR_K2},
		{"registryRead", READ, SAS_VECTOR_K1, SAS_VECTOR_K2},
		{"registryReadWrite", READ | WRITE, SAS_VECTOR_K1, SAS_VECTOR_K2},
		{"regenerated", SERVICE, SAS_VECTOR_KP, SAS_VECTOR_K2},
		{"keyless", SERVICE, "", ""},
	};
	(void)context;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (!text_equal_nocase(name, text_of(rows[i].name)))
			continue;
		*ret_policy = (struct sas_policy){
			.rights = rows[i].rights, .keys = {key_of(rows[i].primary), key_of(rows[i].secondary)}};
		snprintf(ret_policy->name, sizeof ret_policy->name, "%s", rows[i].name);
		return GH_OK;
	}
	return text_equal(name, text_of("unreadable")) ? GH_IO : GH_NOT_FOUND;
}

struct bench {
	gh_limits limits;
	struct sas_service_check check;
	struct sas_verdict verdict;
	gh_error error;
};

static void bench_init(struct bench *b, const char *path, unsigned rights)
{
	*b = (struct bench){.error = {.code = "none"}};
	limits_defaults(&b->limits);
	b->check = (struct sas_service_check){
		.now_s = SAS_VECTOR_NOW_S,
		.limits = &b->limits,
		.resource = resource_of(path),
		.rights = rights,
		.find_policy = find_policy,
	};
}

static gh_status bench_verify(struct bench *b, const char *token)
{
	b->check.text = text_of(token);
	return sas_verify_service(&b->check, &b->verdict, &b->error);
}

static void bench_refuses(struct bench *b, const char *token, const char *code)
{
	cr_assert_eq(bench_verify(b, token), GH_UNAUTHORIZED, "%.200s", token);
	cr_assert_str_eq(b->error.code, code, "%.200s", token);
	cr_assert_eq(b->error.status, GH_UNAUTHORIZED);
}

/* A token for `resource`, encoded, made by `base64`'s key. */
static const char *make(char token[4096], const char *resource, const char *base64, const char *policy, uint64_t se)
{
	struct sas_key key = key_of(base64);
	cr_assert(sas_create(resource, &key, policy, se, token, 4096) > 0);
	return token;
}

/* ---- the published vectors: K1 is the policy's key ---- */

#define WORD "SharedAccessSignature "
#define TAIL "&se=1900000000&skn=service"
#define PARTITION "hub1/ConsumerGroups/$Default/Partitions/0"
#define PARTITION_SR "sr=sb%3A%2F%2Flocalhost%3A5671%2Fhub1%2FConsumerGroups%2F%24Default%2FPartitions%2F0"
#define V1 WORD "sr=localhost&sig=e6iLfZzUWxvhzSHTYlcH03zdObjI7MbEkKAayoSWXCA%3D" TAIL
#define V2 WORD "sr=hub1.example.test&sig=VydlrI85Qq8%2BQ%2FZqQ11YOGtBVJkJhwQVQhIDpGBG5GQ%3D" TAIL
#define V3 WORD PARTITION_SR "&sig=s8sZy3GTqv2JADNi1cX8j20WJM4ztywAloCVQQw%2FGvk%3D" TAIL
#define V4 WORD PARTITION_SR "&sig=7IjThzRd1q5Ha0TWnCT5xWcYNu%2FRA%2F9RQwGP%2ByoUdtQ%3D" TAIL

Test(sas_service, service_02_service_11_the_published_vectors_verify_by_the_reading_they_were_made_with)
{
	static const struct {
		const char *name, *token, *path;
		bool decoded, text; /* good with the reading of decoded keys alone, and with both */
	} rows[] = {
		{"localhost", V1, "devices/d1", true, true},
		{"hub1.example.test", V2, "devices/d1", true, true},
		{"a partition, keyed with the text", V3, PARTITION, false, true},
		{"a partition, keyed with the bytes", V4, PARTITION, true, true},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct bench b;
		bench_init(&b, rows[i].path, SERVICE);
		cr_assert_eq(bench_verify(&b, rows[i].token) == GH_OK, rows[i].decoded, "%s: %s", rows[i].name,
			b.error.code);
		cr_assert(rows[i].decoded || strcmp(b.error.code, "token_signature") == 0, "%s", rows[i].name);
		b.check.text_keys = true;
		cr_assert_eq(
			bench_verify(&b, rows[i].token) == GH_OK, rows[i].text, "%s: %s", rows[i].name, b.error.code);
		cr_assert(b.verdict.method == GH_AUTH_POLICY_SAS && b.verdict.slot == SAS_PRIMARY, "%s", rows[i].name);
		cr_assert_str_eq(b.verdict.policy, "service", "%s", rows[i].name);
		cr_assert_eq(b.verdict.expires_s, 1900000000, "%s", rows[i].name);
		cr_assert(
			b.verdict.key.len == 32 && b.verdict.key.bytes[31] == 31, "%s: the decoded key", rows[i].name);
	}
}

Test(sas_service, service_02_one_changed_character_of_the_signature_is_refused)
{
	struct bench b;
	bench_init(&b, "devices/d1", SERVICE);
	b.check.text_keys = true;
	bench_refuses(
		&b, WORD "sr=localhost&sig=A6iLfZzUWxvhzSHTYlcH03zdObjI7MbEkKAayoSWXCA%3D" TAIL, "token_signature");
	bench_refuses(
		&b, WORD PARTITION_SR "&sig=A8sZy3GTqv2JADNi1cX8j20WJM4ztywAloCVQQw%2FGvk%3D" TAIL, "token_signature");
}

/* ---- keys ---- */

/* Keyed with the text of a key; what sas_create takes is bytes, so the text goes in as they. */
static const char *make_by_text(char token[4096], const char *resource, const char *base64)
{
	struct sas_key key = {.len = strlen(base64)};
	cr_assert_leq(key.len, sizeof key.bytes);
	memcpy(key.bytes, base64, key.len);
	cr_assert(sas_create(resource, &key, "service", 1900000000, token, 4096) > 0);
	return token;
}

Test(sas_service, service_11_the_text_of_a_key_signs_for_sb_and_amqps_only)
{
	static const struct {
		const char *resource;
		const char *key;
		enum sas_key_slot slot; /* SAS_NO_KEY = refused */
	} rows[] = {
		{"sb://localhost/hub1", SAS_VECTOR_K1, SAS_PRIMARY},
		{"sb://localhost/hub1", SAS_VECTOR_K2, SAS_SECONDARY},
		{"sb://localhost/hub1", SAS_VECTOR_KP, SAS_NO_KEY},
		{"SB://localhost:5671/hub1", SAS_VECTOR_K1, SAS_PRIMARY},
		{"amqps://localhost/hub1", SAS_VECTOR_K1, SAS_PRIMARY},
		{"https://localhost/hub1", SAS_VECTOR_K1, SAS_NO_KEY},
		{"localhost/hub1", SAS_VECTOR_K1, SAS_NO_KEY},
		{"localhost/sb://", SAS_VECTOR_K1, SAS_NO_KEY},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct bench b;
		char token[4096];
		bench_init(&b, "hub1/$management", SERVICE);
		make_by_text(token, rows[i].resource, rows[i].key);
		bench_refuses(&b, token, "token_signature");
		b.check.text_keys = true;
		if (rows[i].slot == SAS_NO_KEY) {
			bench_refuses(&b, token, "token_signature");
			continue;
		}
		cr_assert_eq(bench_verify(&b, token), GH_OK, "row %zu: %s", i, b.error.code);
		cr_assert_eq(b.verdict.slot, rows[i].slot, "row %zu", i);
	}
}

Test(sas_service, amqp_scopes_are_known_raw_and_encoded)
{
	static const struct {
		const char *sr;
		bool amqp;
	} rows[] = {
		{"sb://h", true},
		{"SB://", true},
		{"sb%3A%2F%2Fh", true},
		{"sb%3a%2f%2fh", true},
		{"amqps://h", true},
		{"%61%6d%71%70%73%3a%2f%2fh", true},
		{"amqp://h", false},
		{"https://h", false},
		{"sb:/", false},
		{"sb%3A%2", false},
		{"sb%253A%252F%252Fh", false},
		{"h/sb://", false},
		{"", false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		cr_assert_eq(sas_scope_is_amqp(text_of(rows[i].sr)), rows[i].amqp, "%s", rows[i].sr);
}

Test(sas_service, service_04_a_secondary_key_is_as_good_and_outlives_a_new_primary_one)
{
	struct bench b;
	char token[4096];
	bench_init(&b, "devices", SERVICE);
	cr_assert_eq(bench_verify(&b, make(token, "localhost", SAS_VECTOR_K2, "service", 1900000000)), GH_OK);
	cr_assert_eq(b.verdict.slot, SAS_SECONDARY);
	bench_refuses(&b, make(token, "localhost", SAS_VECTOR_K1, "regenerated", 1900000000), "token_signature");
	cr_assert_eq(bench_verify(&b, make(token, "localhost", SAS_VECTOR_K2, "regenerated", 1900000000)), GH_OK);
	cr_assert_eq(bench_verify(&b, make(token, "localhost", SAS_VECTOR_KP, "regenerated", 1900000000)), GH_OK);
}

Test(sas_service, a_policy_without_keys_opens_nothing_by_either_reading)
{
	struct bench b;
	char token[4096];
	bench_init(&b, "hub1", SERVICE);
	b.check.text_keys = true;
	bench_refuses(&b, make(token, "sb://localhost/hub1", SAS_VECTOR_K1, "keyless", 1900000000), "token_signature");
	/* the HMAC of this text under a key of no bytes */
	bench_refuses(&b,
		WORD
		"sr=sb://localhost/hub1&sig=JMlPxI1CfiU%2BxZ0Fq8QNz8lurCHI3D%2Bkpw4cBTyURrk%3D&se=1900000000&skn=keyless",
		"token_signature");
}

/* ---- time, names, rights ---- */

Test(sas_service, service_03_a_token_ends_with_the_second_before_se)
{
	static const struct {
		int64_t past;
		bool good;
	} rows[] = {{-86400, true}, {-1, true}, {0, false}, {1, false}, {299, false}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct bench b;
		bench_init(&b, "devices", SERVICE);
		b.check.now_s = (uint64_t)(INT64_C(1900000000) + rows[i].past);
		cr_assert_eq(bench_verify(&b, V1) == GH_OK, rows[i].good, "%d s past se", (int)rows[i].past);
		cr_assert(
			rows[i].good || strcmp(b.error.code, "token_expired") == 0, "%d s past se", (int)rows[i].past);
	}
}

Test(sas_service, an_se_of_0_has_passed_and_one_beyond_the_year_9999_never_does)
{
	struct bench b;
	char token[4096];
	bench_init(&b, "devices", SERVICE);
	b.check.now_s = 0;
	bench_refuses(&b, make(token, "localhost", SAS_VECTOR_K1, "service", 0), "token_expired");
	b.check.now_s = UINT64_C(253402300800);
	cr_assert_eq(bench_verify(&b, make(token, "localhost", SAS_VECTOR_K1, "service", SAS_NEVER)), GH_OK);
	cr_assert_eq(b.verdict.expires_s, SAS_NEVER);
}

Test(sas_service, service_03_what_is_refused_and_why)
{
	static const struct {
		const char *what, *resource, *key, *policy, *code;
	} rows[] = {
		{"another host", "other.example.net", SAS_VECTOR_K1, "service", "token_scope"},
		{"another resource", "localhost/twins", SAS_VECTOR_K1, "service", "token_scope"},
		{"no policy, although the key is one's", "localhost", SAS_VECTOR_K1, "", "token_policy_missing"},
		{"a policy nobody knows", "localhost", SAS_VECTOR_K1, "nosuch", "token_policy_unknown"},
		{"a device's id for a policy", "localhost/devices/d1", SAS_VECTOR_K1, "d1", "token_policy_unknown"},
		{"a foreign key", "localhost", SAS_VECTOR_KW, "service", "token_signature"},
		{"a policy without the right", "localhost", SAS_VECTOR_K1, "device", "token_policy_right"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct bench b;
		char token[4096];
		bench_init(&b, "devices/d1", SERVICE);
		make(token, rows[i].resource, rows[i].key, rows[i].policy, 1900000000);
		cr_assert_eq(bench_verify(&b, token), GH_UNAUTHORIZED, "%s", rows[i].what);
		cr_assert_str_eq(b.error.code, rows[i].code, "%s", rows[i].what);
	}
}

Test(sas_service, what_is_no_token_is_refused_as_a_devices_is)
{
	struct bench b;
	bench_init(&b, "devices", SERVICE);
	bench_refuses(&b, "", "token_form");
	bench_refuses(&b, "Bearer abc", "token_form");
	bench_refuses(&b, WORD "sr=localhost&se=1900000000", "token_field_missing");
	bench_refuses(&b, V1 "&skn=service", "token_field_repeated");
	bench_refuses(&b, WORD "sr=localhost&sig=x&se=1900000000&skn=service", "token_signature_form");
	b.limits.token_bytes_max = strlen(V1) - 1;
	bench_refuses(&b, V1, "token_too_long");
}

Test(sas_service, a_policy_that_cannot_be_looked_up_is_no_verdict)
{
	struct bench b;
	char token[4096];
	bench_init(&b, "devices", SERVICE);
	make(token, "localhost", SAS_VECTOR_K1, "unreadable", 1900000000);
	cr_assert_eq(bench_verify(&b, token), GH_UNAVAILABLE);
	cr_assert_str_eq(b.error.code, "policy_unreadable");
}

Test(sas_service, policy_names_compare_without_case)
{
	struct bench b;
	char token[4096];
	bench_init(&b, "devices", READ);
	cr_assert_eq(bench_verify(&b, make(token, "localhost", SAS_VECTOR_K1, "REGISTRYREAD", 1900000000)), GH_OK);
	cr_assert_str_eq(b.verdict.policy, "registryRead");
}

Test(sas_service, service_05_a_policy_must_have_all_the_rights_that_are_asked_for)
{
	static const struct {
		const char *policy;
		bool read, write, service, read_write, all;
	} rows[] = {
		{"iothubowner", true, true, true, true, true},
		{"service", false, false, true, false, false},
		{"device", false, false, false, false, false},
		{"registryRead", true, false, false, false, false},
		{"registryReadWrite", true, true, false, true, false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct {
			unsigned rights;
			bool good;
		} asks[] = {{READ, rows[i].read}, {WRITE, rows[i].write}, {SERVICE, rows[i].service},
			{READ | WRITE, rows[i].read_write}, {READ | WRITE | SERVICE, rows[i].all}};
		char token[4096];
		make(token, "localhost", SAS_VECTOR_K1, rows[i].policy, 1900000000);
		for (size_t k = 0; k < sizeof asks / sizeof *asks; k++) {
			struct bench b;
			bench_init(&b, "devices/d1", asks[k].rights);
			cr_assert_eq(bench_verify(&b, token) == GH_OK, asks[k].good, "%s for %x", rows[i].policy,
				asks[k].rights);
			cr_assert(asks[k].good || strcmp(b.error.code, "token_policy_right") == 0, "%s for %x",
				rows[i].policy, asks[k].rights);
		}
	}
}

Test(sas_service, service_06_a_token_for_one_device_is_good_for_that_device)
{
	struct bench b;
	char token[4096];
	make(token, "localhost/devices/a", SAS_VECTOR_K1, "iothubowner", 1900000000);
	bench_init(&b, "devices/a", READ);
	cr_assert_eq(bench_verify(&b, token), GH_OK, "%s", b.error.code);
	bench_init(&b, "devices/ab", READ);
	bench_refuses(&b, token, "token_scope");
	bench_init(&b, "devices", READ);
	bench_refuses(&b, token, "token_scope");
}

Test(sas_service, service_07_both_spellings_of_a_resource_verify_when_signed_as_sent)
{
	/* the same key and resource; only what was signed differs */
	static const char *const tokens[] = {
		WORD "sr=localhost%2Fdevices%2Fd1&sig=BfEakTtrTCJps48fmCkb5p4rDB9Mk92Gw3S7lFnWhYA%3D" TAIL,
		WORD "sr=localhost/devices/d1&sig=nfRKQopWoYgP6JR7qhMLtBFw36bPr3AZSOmC1u5K2mk%3D" TAIL,
	};
	for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
		struct bench b;
		bench_init(&b, "devices/d1", SERVICE);
		cr_assert_eq(bench_verify(&b, tokens[i]), GH_OK, "%s: %s", tokens[i], b.error.code);
	}
	struct bench b;
	bench_init(&b, "devices/d1", SERVICE);
	bench_refuses(&b, WORD "sr=localhost%2Fdevices%2Fd1&sig=nfRKQopWoYgP6JR7qhMLtBFw36bPr3AZSOmC1u5K2mk%3D" TAIL,
		"token_signature");
	bench_refuses(&b, WORD "sr=localhost/devices/d1&sig=BfEakTtrTCJps48fmCkb5p4rDB9Mk92Gw3S7lFnWhYA%3D" TAIL,
		"token_signature");
}

/* ---- scope ---- */

Test(sas_service, service_06_a_back_ends_scope_covers_by_whole_segments_in_every_spelling)
{
	static const struct {
		const char *sr;
		const char *path;
		bool covers;
	} rows[] = {
		{"hub.example.net", "", true},
		{"hub.example.net", "devices", true},
		{"hub.example.net", "hub1/ConsumerGroups/$Default/Partitions/0", true},
		{"hub.example.net/", "twins/a/modules/m/methods", true},
		{"HUB.example.NET", "statistics/devices", true},
		{"gateway.local", "devices", true},
		{"other.example.net", "devices", false},
		{"hub.example.net.evil.org", "devices", false},
		{"devices", "devices", false},
		{"hub.example.net/devices", "", false},
		{"hub.example.net/devices", "devices", true},
		{"hub.example.net/devices", "devices/a", true},
		{"hub.example.net/devices", "twins/a", false},
		{"hub.example.net/devices/a", "devices/a", true},
		{"hub.example.net%2Fdevices%2Fa", "devices/a", true},
		{"hub.example.net/devices/a/", "devices/a", true},
		{"hub.example.net/devices/a", "devices/ab", false},
		{"hub.example.net/devices/ab", "devices/a", false},
		{"hub.example.net/devices/a", "devices", false},
		{"hub.example.net/devices/a", "devices/a/modules/m", true},
		{"hub.example.net/devices/a", "devices/a/modules", true},
		{"hub.example.net/devices/a", "twins/a", false},
		{"hub.example.net/devices/a", "statistics/devices", false},
		{"hub.example.net/devices/a/modules/m", "devices/a/modules/mm", false},
		{"hub.example.net/devices/A", "devices/a", false},
		{"hub.example.net/DEVICES/a", "devices/a", true},
		{"hub.example.net/Twins/a/Methods", "twins/a/methods", true},
		{"hub.example.net/twins/A/methods", "twins/a/methods", false},
		/* what is a name and what a word goes by the place */
		{"hub.example.net/devices/MODULES", "devices/modules", false},
		{"hub.example.net/devices/devices/Modules/modules", "devices/devices/modules/modules", true},
		{"hub.example.net/devices/devices/modules/MODULES", "devices/devices/modules/modules", false},
		{"hub.example.net/statistics/DEVICES", "statistics/devices", true},
		/* what is neither is compared as it stands */
		{"hub.example.net/hub1", "hub1/ConsumerGroups/$Default", true},
		{"hub.example.net/HUB1", "hub1/ConsumerGroups/$Default", false},
		{"hub.example.net/hub1/consumergroups/$Default/partitions/0",
			"hub1/ConsumerGroups/$Default/Partitions/0", true},
		{"hub.example.net/hub1/ConsumerGroups/$default", "hub1/ConsumerGroups/$Default/Partitions/0", false},
		{"hub.example.net/hub1/ConsumerGroups/$Default/Partitions/1",
			"hub1/ConsumerGroups/$Default/Partitions/10", false},
		{"hub.example.net/hub1/$management", "hub1/$management", true},
		{"hub.example.net/hub1/$management", "hub1", false},
		{"hub.example.net/messages/events", "messages/events/$management", true},
		{"hub.example.net/messages/eventsx", "messages/events", false},
		{"hub.example.net/messages/servicebound/feedback", "messages/servicebound/feedback", true},
		{"hub.example.net/messages/devicebound", "messages/devicebound", true},
		/* in front of the host, and behind it */
		{"sb://hub.example.net/hub1", "hub1", true},
		{"sb://hub.example.net:5671/hub1/", "hub1/$management", true},
		{"sb%3A%2F%2Fhub.example.net%3A5671%2Fhub1%2FConsumerGroups%2F%24Default%2FPartitions%2F0",
			"hub1/ConsumerGroups/$Default/Partitions/0", true},
		{"amqps://hub.example.net/devices", "devices", true},
		{"https://hub.example.net/devices", "devices", true},
		{"https%3A%2F%2Fhub.example.net%3A443%2Fdevices%2Fa", "devices/a", true},
		{"http://hub.example.net/devices", "devices", false},
		{"sb://sb://hub.example.net", "devices", false},
		{"hub.example.net:x/devices", "devices", false},
		/* ids raw, encoded and encoded twice */
		{"hub.example.net/devices/a#%b", "devices/a#%b", true},
		{"hub.example.net/devices/a%23%25b", "devices/a#%b", true},
		{"hub.example.net%2Fdevices%2Fa%2523%2525b", "devices/a#%b", true},
		{"hub.example.net/devices/a%2Fmodules%2Fm", "devices/a/modules/m", true},
		/* the old tool's tail, only where no name may be meant */
		{"hub.example.net/devices/a/api-version=1", "devices/a", true},
		{"hub.example.net/api-version=1", "devices", true},
		{"hub.example.net/devices/api-version=1", "devices", false},
		{"hub.example.net/devices/api-version=1", "devices/a", false},
		{"hub.example.net/hub1/ConsumerGroups/api-version=1", "hub1/ConsumerGroups/$Default", false},
		{"hub.example.net/messages/api-version=1", "messages/events", false},
		{"hub.example.net/a/b/c/d/e/f/api-version=1", "a/b/c/d/e/f", false},
		/* nothing that is no path */
		{"", "devices", false},
		{"/", "devices", false},
		{"sb://", "devices", false},
		{"hub.example.net//devices", "devices", false},
		{"hub.example.net/devices//", "devices/", false},
		{"hub.example.net/devices", "devices//modules", false},
		{"hub.example.net/a/b/c/d/e/f/g", "a/b/c/d/e/f", false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct sas_resource resource = resource_of(rows[i].path);
		cr_assert_eq(sas_scope_covers(text_of(rows[i].sr), &resource, SAS_SCOPE_SERVICE), rows[i].covers,
			"%s for %s", rows[i].sr, rows[i].path);
	}
}
