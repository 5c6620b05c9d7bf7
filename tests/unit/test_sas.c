/* Tokens: the published vectors, and every rule of device contract 3.4 and 3.5 that they leave open. */
#include "tests/suite.h"
#include "tests/vectors/sas_vectors.h"

#include "src/base/limits.h"
#include "src/base/text.h"
#include "src/core/sas.h"

#include <stdio.h>
#include <stdlib.h>

SUITE(sas);

static const char *const hosts[] = {SAS_VECTOR_HOST, "gateway.local", NULL};

static struct sas_key key_of(const char *base64)
{
	struct sas_key key = {.len = 0};
	cr_assert(sas_key_decode(text_of(base64), &key), "%s is a key", base64);
	return key;
}

/* The policies of the vectors, and two that try to stand in the way of an identity's own key. */
static gh_status find_policy(void *context, gh_bytes name, struct sas_policy *ret_policy)
{
	static const struct {
		const char *name;
		const char *key;
		unsigned rights;
	} rows[] = {
		{"device", SAS_VECTOR_KP, GH_RIGHT_DEVICE_CONNECT},
		{"service", SAS_VECTOR_KW, GH_RIGHT_SERVICE_CONNECT},
		{"namesake", SAS_VECTOR_KP, GH_RIGHT_DEVICE_CONNECT},
		{"powerless", SAS_VECTOR_KP, 0},
	};
	(void)context;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (!text_equal_nocase(name, text_of(rows[i].name)))
			continue;
		*ret_policy = (struct sas_policy){.rights = rows[i].rights};
		snprintf(ret_policy->name, sizeof ret_policy->name, "%s", rows[i].name);
		ret_policy->keys.primary = key_of(rows[i].key);
		return GH_OK;
	}
	return text_equal(name, text_of("unreadable")) ? GH_IO : GH_NOT_FOUND;
}

struct bench {
	gh_limits limits;
	struct sas_key_pair keys;
	struct sas_check check;
	struct sas_verdict verdict;
	gh_error error;
};

static void bench_init(struct bench *b, const char *device_id, const char *module_id)
{
	*b = (struct bench){.error = {.code = "none"}};
	limits_defaults(&b->limits);
	b->keys.primary = key_of(SAS_VECTOR_K1);
	if (module_id[0] == '\0')
		b->keys.secondary = key_of(SAS_VECTOR_K2);
	b->check = (struct sas_check){
		.now_s = SAS_VECTOR_NOW_S,
		.limits = &b->limits,
		.hosts = hosts,
		.device_id = text_of(device_id),
		.module_id = text_of(module_id),
		.identity_keys = &b->keys,
		.find_policy = find_policy,
	};
}

static gh_status bench_verify(struct bench *b, const char *token)
{
	b->check.text = text_of(token);
	return sas_verify(&b->check, &b->verdict, &b->error);
}

/* Refused, and for this reason alone. */
static void bench_refuses(struct bench *b, const char *token, const char *code)
{
	cr_assert_eq(bench_verify(b, token), GH_UNAUTHORIZED, "%.200s", token);
	cr_assert_str_eq(b->error.code, code, "%.200s", token);
	cr_assert_eq(b->error.status, GH_UNAUTHORIZED);
}

static const struct sas_vector *vector(const char *name)
{
	for (size_t i = 0; i < SAS_VECTOR_COUNT; i++)
		if (strcmp(sas_vectors[i].name, name) == 0)
			return &sas_vectors[i];
	cr_assert_fail("no vector %s", name);
	return NULL;
}

/* ---- the published vectors ---- */

static void vector_holds(const char *name)
{
	const struct sas_vector *v = vector(name);
	struct bench b;
	bench_init(&b, v->device_id, v->module_id);
	if (v->code) {
		bench_refuses(&b, v->token, v->code);
		return;
	}
	cr_assert_eq(bench_verify(&b, v->token), GH_OK, "%s %s: %s", v->name, v->what, b.error.code);
	gh_auth_method identity = v->module_id[0] ? GH_AUTH_MODULE_SAS : GH_AUTH_DEVICE_SAS;
	cr_assert_eq(b.verdict.method, v->policy[0] ? GH_AUTH_POLICY_SAS : identity, "%s", v->name);
	cr_assert_str_eq(b.verdict.policy, v->policy, "%s", v->name);
	cr_assert_eq(b.verdict.slot, strcmp(name, "P11") == 0 ? SAS_SECONDARY : SAS_PRIMARY, "%s", v->name);
	cr_assert_eq(b.verdict.expires_s, strcmp(name, "P17") == 0 ? SAS_NEVER : UINT64_C(4102444800), "%s", v->name);
}

#define VECTOR(name, title)                                                                                            \
	Test(sas, title)                                                                                               \
	{                                                                                                              \
		vector_holds(#name);                                                                                   \
	}

VECTOR(P1, must_10_p1_node_form)
VECTOR(P2, must_10_p2_c_form_with_a_raw_sr)
VECTOR(P3, must_10_p3_lower_case_hex_in_sr)
VECTOR(P4, must_10_p4_node_form_of_the_special_id)
VECTOR(P5, must_10_p5_python_form_of_the_special_id)
VECTOR(P6, must_10_p6_csharp_form_of_the_special_id)
VECTOR(P7, must_10_p7_java_form_of_the_special_id)
VECTOR(P8, must_10_p8_module_key)
VECTOR(P9, must_10_p9_fields_in_another_order)
VECTOR(P10, must_10_p10_policy_over_all_devices)
VECTOR(P11, must_10_p11_secondary_key)
VECTOR(P12, must_10_p12_skn_is_the_device_id)
VECTOR(P13, must_10_p13_empty_skn)
VECTOR(P14, must_10_p14_policy_over_the_whole_hub)
VECTOR(P15, must_10_p15_host_in_mixed_case)
VECTOR(P16, must_10_p16_token_service)
VECTOR(P17, must_10_p17_se_that_means_never)
VECTOR(P18, must_10_p18_c_form_of_the_special_id)
VECTOR(P19, must_10_p19_policy_token_of_device_scope_used_by_its_module)
VECTOR(P20, must_10_p20_lower_cased_uri)
VECTOR(N1, must_11_n1_scope_of_another_device)
VECTOR(N2, must_11_n2_text_prefix_is_no_segment_prefix)
VECTOR(N3, must_11_n3_expired)
VECTOR(N4, must_11_n4_foreign_key)
VECTOR(N5, must_11_n5_signed_over_the_decoded_sr)
VECTOR(N6, must_11_n6_hex_of_sr_changed_after_signing)
VECTOR(N7, must_11_n7_se_raised_after_signing)
VECTOR(N8, must_11_n8_signature_changed)
VECTOR(N9, must_11_n9_se_given_twice)
VECTOR(N10, must_11_n10_other_host)
VECTOR(N11, must_11_n11_keyed_with_the_base64_text)
VECTOR(N12, must_11_n12_policy_without_device_connect)
VECTOR(N13, must_11_n13_negative_se)
VECTOR(N14, must_11_n14_se_in_hex)
VECTOR(N15, must_11_n15_module_scope_presented_by_the_device)
VECTOR(N16, must_11_n16_unknown_policy)
VECTOR(N17, must_11_n17_identity_key_over_the_whole_hub)
VECTOR(N18, must_11_n18_half_a_segment)
VECTOR(N19, must_11_n19_policy_token_for_another_case_of_the_id)

Test(sas, the_table_of_vectors_is_whole)
{
	for (int i = 1; i <= 20; i++) {
		char name[16];
		snprintf(name, sizeof name, "P%d", i);
		cr_assert(!vector(name)->code);
		snprintf(name, sizeof name, "N%d", i < 20 ? i : 1);
		cr_assert(vector(name)->code);
	}
	cr_assert_eq(SAS_VECTOR_COUNT, 39);
}

/* The promises the vectors stand for, by the number of the promise. */
static void vectors_hold(const char *const *names)
{
	for (; *names; names++)
		vector_holds(*names);
}

Test(sas, must_12_the_signature_is_checked_over_sr_and_se_as_received)
{
	vectors_hold((const char *const[]){"P2", "P3", "N6", "N7", NULL});
}

Test(sas, must_13_fields_come_in_any_order_but_once)
{
	vectors_hold((const char *const[]){"P9", "P10", "N9", NULL});
}

Test(sas, must_19_host_case_never_matters_and_id_case_only_for_policy_keys)
{
	vectors_hold((const char *const[]){"P15", "P20", "N19", NULL});
}

/* ---- form ---- */

#define P1_SR "sr=hub.example.net%2Fdevices%2Fdev1"
#define P1_SIG "sig=LqyUzl68kGRXzLQZq5VO0sfwYobzjE17x0k9%2F7ghShY%3D"
#define P1_SE "se=4102444800"
#define WORD "SharedAccessSignature "

Test(sas, must_11_further_negatives_of_form_are_refused)
{
	static const struct {
		const char *what;
		const char *token;
		const char *code;
	} rows[] = {
		{"a: a second blank inside", WORD P1_SR " &" P1_SIG "&" P1_SE, "token_form"},
		{"a: two blanks behind the word", WORD " " P1_SR "&" P1_SIG "&" P1_SE, "token_form"},
		{"a: a blank at the end", WORD P1_SR "&" P1_SIG "&" P1_SE " ", "token_form"},
		{"a: a blank in front", " " WORD P1_SR "&" P1_SIG "&" P1_SE, "token_form"},
		{"b: the word in lower case", "sharedaccesssignature " P1_SR "&" P1_SIG "&" P1_SE, "token_form"},
		{"another word", "Bearer " P1_SR "&" P1_SIG "&" P1_SE, "token_form"},
		{"no word", P1_SR "&" P1_SIG "&" P1_SE, "token_form"},
		{"the word alone", "SharedAccessSignature", "token_form"},
		{"the word and a blank", WORD, "token_form"},
		{"c: no sig", WORD P1_SR "&" P1_SE, "token_field_missing"},
		{"c: no se", WORD P1_SR "&" P1_SIG, "token_field_missing"},
		{"c: no sr", WORD P1_SIG "&" P1_SE, "token_field_missing"},
		{"c: empty sig", WORD P1_SR "&sig=&" P1_SE, "token_field_missing"},
		{"c: empty se", WORD P1_SR "&" P1_SIG "&se=", "token_field_missing"},
		{"c: empty sr", WORD "sr=&" P1_SIG "&" P1_SE, "token_field_missing"},
		{"d: sig of 31 bytes", WORD P1_SR "&sig=LqyUzl68kGRXzLQZq5VO0sfwYobzjE17x0k9%2F7ghSg%3D%3D&" P1_SE,
			"token_signature_form"},
		{"d: sig of 33 bytes", WORD P1_SR "&sig=LqyUzl68kGRXzLQZq5VO0sfwYobzjE17x0k9%2F7ghShYA&" P1_SE,
			"token_signature_form"},
		{"e: sig is not base64", WORD P1_SR "&sig=LqyUzl68kGRXzLQZq5VO0sfwYobzjE17x0k9-_ghShY%3D&" P1_SE,
			"token_signature_form"},
		{"e: sig without padding", WORD P1_SR "&sig=LqyUzl68kGRXzLQZq5VO0sfwYobzjE17x0k9%2F7ghShY&" P1_SE,
			"token_signature_form"},
		{"f: half an escape in sig", WORD P1_SR "&sig=LqyUzl68kGRXzLQZq5VO0sfwYobzjE17x0k9%2F7ghShY%3&" P1_SE,
			"token_signature_form"},
		{"f: bad escape in sig", WORD P1_SR "&sig=%zzyUzl68kGRXzLQZq5VO0sfwYobzjE17x0k9%2F7ghShY%3D&" P1_SE,
			"token_signature_form"},
		{"f: half an escape in skn", WORD P1_SR "&" P1_SIG "&" P1_SE "&skn=devi%2", "token_policy_form"},
		{"f: bad escape in skn", WORD P1_SR "&" P1_SIG "&" P1_SE "&skn=%zz", "token_policy_form"},
		{"i: empty password", "", "token_form"},
		{"a piece without =", WORD P1_SR "&" P1_SIG "&" P1_SE "&flag", "token_form"},
		{"sr twice, cases differ", WORD P1_SR "&SR=hub.example.net&" P1_SIG "&" P1_SE, "token_field_repeated"},
		{"sig twice", WORD P1_SR "&" P1_SIG "&" P1_SIG "&" P1_SE, "token_field_repeated"},
		{"skn twice, one empty", WORD P1_SR "&" P1_SIG "&" P1_SE "&skn=&skn=device", "token_field_repeated"},
		{"se with a sign", WORD P1_SR "&" P1_SIG "&se=+4102444800", "token_expiry_form"},
		{"se with an escape", WORD P1_SR "&" P1_SIG "&se=%34102444800", "token_expiry_form"},
		{"se with a fraction", WORD P1_SR "&" P1_SIG "&se=4102444800.0", "token_expiry_form"},
		{"se of 21 digits", WORD P1_SR "&" P1_SIG "&se=000000000004102444800", "token_expiry_form"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct bench b;
		bench_init(&b, "dev1", "");
		cr_assert_eq(bench_verify(&b, rows[i].token), GH_UNAUTHORIZED, "%s", rows[i].what);
		cr_assert_str_eq(b.error.code, rows[i].code, "%s", rows[i].what);
	}
}

Test(sas, must_11_g_an_oversize_token_is_refused_and_the_longest_allowed_is_not)
{
	struct bench b;
	bench_init(&b, "dev1", "");
	char token[8192];
	int n = snprintf(token, sizeof token, "%s&pad=", vector("P1")->token);
	memset(token + n, 'A', 4096);
	token[n + 4096] = '\0';
	bench_refuses(&b, token, "token_too_long");
	token[4097] = '\0';
	bench_refuses(&b, token, "token_too_long");
	token[4096] = '\0';
	cr_assert_eq(bench_verify(&b, token), GH_OK);
}

Test(sas, must_11_h_a_policy_name_of_257_bytes_is_refused_and_one_of_256_is_only_unknown)
{
	struct bench b;
	bench_init(&b, "dev1", "");
	char token[2048];
	int n = snprintf(token, sizeof token, "%s&skn=", vector("P1")->token);
	memset(token + n, 'p', 257);
	token[n + 257] = '\0';
	bench_refuses(&b, token, "token_policy_form");
	token[n + 256] = '\0';
	bench_refuses(&b, token, "token_policy_unknown");
	for (int i = 0; i < 256; i++)
		memcpy(token + n + 3 * i, "%70", 4);
	bench_refuses(&b, token, "token_policy_unknown");
}

Test(sas, field_names_compare_without_case_and_unknown_or_empty_pieces_are_ignored)
{
	const char *const tokens[] = {
		WORD "SR=hub.example.net%2Fdevices%2Fdev1&Sig=LqyUzl68kGRXzLQZq5VO0sfwYobzjE17x0k9%2F7ghShY%3D&sE="
		     "4102444800",
		WORD "&&" P1_SR "&&" P1_SIG "&" P1_SE "&",
		WORD "v=1&" P1_SR "&" P1_SIG "&=&" P1_SE "&srx=other&srx=other",
		WORD P1_SR "&sig=LqyUzl68kGRXzLQZq5VO0sfwYobzjE17x0k9/7ghShY=&" P1_SE, /* sig with its own '=' */
	};
	for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
		struct bench b;
		bench_init(&b, "dev1", "");
		cr_assert_eq(bench_verify(&b, tokens[i]), GH_OK, "%s: %s", tokens[i], b.error.code);
	}
}

Test(sas, a_raw_plus_in_sig_stays_a_plus)
{
	struct bench b;
	bench_init(&b, "dev1", "");
	cr_assert_eq(
		bench_verify(&b, WORD "sr=hub.example.net/devices/dev1&sig=i+yCgdjTscw8TYaNxSAW2Pzo1zWBOXv2CGBf4zq9wEs="
				      "&se=4102444800"),
		GH_OK, "%s", b.error.code);
}

Test(sas, parsing_borrows_sr_and_se_as_received_and_writes_nothing_on_refusal)
{
	gh_limits limits;
	limits_defaults(&limits);
	struct sas_token token;
	const struct sas_vector *p10 = vector("P10");
	cr_assert_eq(sas_parse(text_of(p10->token), &limits, &token, NULL), GH_OK);
	cr_assert(text_equal(token.sr, text_of("hub.example.net%2Fdevices")));
	cr_assert(text_equal(token.se_text, text_of("4102444800")));
	cr_assert(token.sr.data > (const uint8_t *)p10->token);
	cr_assert_str_eq(token.policy, "device");
	cr_assert_eq(token.policy_len, 6);
	struct sas_token before = token;
	cr_assert_eq(sas_parse(text_of(vector("N9")->token), &limits, &token, NULL), GH_UNAUTHORIZED);
	cr_assert(memcmp(&before, &token, sizeof token) == 0);
}

/* ---- keys ---- */

Test(sas, a_key_is_base64_of_1_to_64_bytes)
{
	static const struct {
		size_t len;
		bool good;
	} rows[] = {{0, false}, {1, true}, {16, true}, {63, true}, {64, true}, {65, false}, {66, false}, {600, false}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint8_t bytes[600];
		char base64[TEXT_BASE64_SIZE(600)];
		memset(bytes, 0xa5, sizeof bytes);
		text_base64_encode(bytes, rows[i].len, base64);
		struct sas_key key;
		cr_assert_eq(sas_key_decode(text_of(base64), &key), rows[i].good, "%zu bytes", rows[i].len);
		cr_assert(!rows[i].good || (key.len == rows[i].len && memcmp(key.bytes, bytes, key.len) == 0));
	}
	struct sas_key key;
	cr_assert(!sas_key_decode(text_of("not base64!!"), &key));
}

/* A token for `resource` made by `base64`'s key. */
static const char *make(char token[4096], const char *resource, const char *base64, const char *policy, uint64_t se)
{
	struct sas_key key = key_of(base64);
	cr_assert(sas_create(resource, &key, policy, se, token, 4096) > 0);
	return token;
}

#define DEV1 "hub.example.net/devices/dev1"

Test(sas, must_15_a_secondary_key_alone_is_as_good_as_a_primary_one)
{
	struct bench b;
	char token[4096];
	bench_init(&b, "dev1", "");
	b.keys.primary.len = 0;
	cr_assert_eq(bench_verify(&b, make(token, DEV1, SAS_VECTOR_K2, "", 4102444800)), GH_OK);
	cr_assert_eq(b.verdict.slot, SAS_SECONDARY);
	bench_refuses(&b, make(token, DEV1, SAS_VECTOR_K1, "", 4102444800), "token_signature");
}

Test(sas, an_identity_without_keys_is_open_to_policies_only)
{
	struct bench b;
	bench_init(&b, "dev1", "");
	b.check.identity_keys = NULL;
	bench_refuses(&b, vector("P1")->token, "token_no_key");
	bench_refuses(&b, vector("P12")->token, "token_no_key");
	cr_assert_eq(bench_verify(&b, vector("P16")->token), GH_OK);
	struct sas_key_pair none = {.primary = {.len = 0}};
	b.check.identity_keys = &none;
	bench_refuses(&b, vector("P1")->token, "token_no_key");
}

Test(sas, an_empty_key_signs_nothing)
{
	struct sas_key none = {.len = 0};
	char token[4096];
	cr_assert_eq(sas_create(DEV1, &none, "", 4102444800, token, sizeof token), 0);
	/* the HMAC of P1's text under a key of no bytes must not open an identity whose second slot is empty */
	struct bench b;
	bench_init(&b, "dev1", "");
	b.keys.secondary.len = 0;
	bench_refuses(&b, WORD P1_SR "&sig=MaroYvGWMlsp29ls820qDBW5KT46daq7nk210ShTIs8=&" P1_SE, "token_signature");
}

/* ---- skn ---- */

Test(sas, must_14_a_policy_that_does_not_verify_gives_way_when_its_name_is_the_device_id)
{
	static const struct {
		const char *device;
		const char *key;
		const char *skn;
		gh_auth_method method; /* GH_AUTH_NONE = refused */
		const char *code;
	} rows[] = {
		{"dev1", SAS_VECTOR_K1, "dev1", GH_AUTH_DEVICE_SAS, ""},
		{"dev1", SAS_VECTOR_K2, "dev1", GH_AUTH_DEVICE_SAS, ""},
		{"dev1", SAS_VECTOR_KW, "dev1", GH_AUTH_NONE, "token_signature"},
		{"dev1", SAS_VECTOR_K1, "DEV1", GH_AUTH_NONE, "token_policy_unknown"},
		{"dev1", SAS_VECTOR_K1, "dev2", GH_AUTH_NONE, "token_policy_unknown"},
		{"dev1", SAS_VECTOR_K1, "device", GH_AUTH_NONE, "token_signature"},
		{"namesake", SAS_VECTOR_K1, "namesake", GH_AUTH_DEVICE_SAS, ""}, /* the policy's keys do not verify */
		{"namesake", SAS_VECTOR_KP, "namesake", GH_AUTH_POLICY_SAS, ""},
		{"powerless", SAS_VECTOR_K1, "powerless", GH_AUTH_DEVICE_SAS, ""}, /* the policy has no right */
		{"powerless", SAS_VECTOR_KP, "powerless", GH_AUTH_NONE, "token_signature"},
		{"dev1", SAS_VECTOR_KP, "DEVICE", GH_AUTH_POLICY_SAS, ""}, /* names compare without case */
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct bench b;
		char resource[128], token[4096];
		bench_init(&b, rows[i].device, "");
		snprintf(resource, sizeof resource, "hub.example.net/devices/%s", rows[i].device);
		gh_status status = bench_verify(&b, make(token, resource, rows[i].key, rows[i].skn, 4102444800));
		cr_assert_eq(status, rows[i].method ? GH_OK : GH_UNAUTHORIZED, "row %zu: %s", i, b.error.code);
		if (rows[i].method)
			cr_assert_eq(b.verdict.method, rows[i].method, "row %zu", i);
		else
			cr_assert_str_eq(b.error.code, rows[i].code, "row %zu", i);
	}
}

Test(sas, a_module_may_name_its_device_as_skn_but_not_use_its_key)
{
	struct bench b;
	char token[4096];
	bench_init(&b, "dev1", "mod-A");
	b.keys.primary = key_of(SAS_VECTOR_KW); /* the module's own */
	cr_assert_eq(bench_verify(&b, make(token, DEV1 "/modules/mod-A", SAS_VECTOR_KW, "dev1", 4102444800)), GH_OK);
	cr_assert_eq(b.verdict.method, GH_AUTH_MODULE_SAS);
	bench_refuses(&b, make(token, DEV1 "/modules/mod-A", SAS_VECTOR_K1, "", 4102444800), "token_signature");
	bench_refuses(&b, make(token, DEV1, SAS_VECTOR_KW, "", 4102444800), "token_scope");
}

Test(sas, a_policy_that_cannot_be_looked_up_is_no_verdict)
{
	struct bench b;
	char token[4096];
	bench_init(&b, "dev1", "");
	cr_assert_eq(bench_verify(&b, make(token, DEV1, SAS_VECTOR_KP, "unreadable", 4102444800)), GH_UNAVAILABLE);
	cr_assert_str_eq(b.error.code, "policy_unreadable");
}

Test(sas, without_policies_a_name_is_unknown)
{
	struct bench b;
	bench_init(&b, "dev1", "");
	b.check.find_policy = NULL;
	bench_refuses(&b, vector("P16")->token, "token_policy_unknown");
	cr_assert_eq(bench_verify(&b, vector("P12")->token), GH_OK);
}

/* ---- time ---- */

Test(sas, must_18_token_299_s_past_se_is_accepted_and_301_s_past_se_is_refused)
{
	static const struct {
		int64_t past;
		bool good;
	} rows[] = {{-1, true}, {0, true}, {299, true}, {300, true}, {301, false}, {86400, false}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct bench b;
		bench_init(&b, "dev1", "");
		b.check.now_s = (uint64_t)(INT64_C(4102444800) + rows[i].past);
		cr_assert_eq(bench_verify(&b, vector("P1")->token) == GH_OK, rows[i].good, "%d s past se",
			(int)rows[i].past);
		cr_assert(rows[i].good || strcmp(b.error.code, "token_expired") == 0);
	}
}

Test(sas, the_skew_is_the_operators_to_set)
{
	struct bench b;
	bench_init(&b, "dev1", "");
	b.limits.token_skew_s_max = 0;
	b.check.now_s = 4102444800;
	cr_assert_eq(bench_verify(&b, vector("P1")->token), GH_OK);
	b.check.now_s++;
	bench_refuses(&b, vector("P1")->token, "token_expired");
}

Test(sas, an_se_beyond_the_year_9999_never_ends_even_when_it_fits_no_integer)
{
	static const struct {
		const char *se;
		uint64_t value;
	} rows[] = {
		{"0", 0},
		{"00000000000000000007", 7},
		{"253402300799", UINT64_C(253402300799)},
		{"253402300800", SAS_NEVER},
		{"18446744073709551615", SAS_NEVER},
		{"18446744073709551616", SAS_NEVER},
		{"99999999999999999999", SAS_NEVER},
	};
	gh_limits limits;
	limits_defaults(&limits);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[512];
		struct sas_token token;
		snprintf(text, sizeof text, "%s%s", WORD P1_SR "&" P1_SIG "&se=", rows[i].se);
		cr_assert_eq(sas_parse(text_of(text), &limits, &token, NULL), GH_OK, "%s", rows[i].se);
		cr_assert_eq(token.se, rows[i].value, "%s", rows[i].se);
	}
}

/* ---- scope ---- */

enum { COVERS_NOTHING, COVERS_AS_POLICY, COVERS_AS_BOTH };

Test(sas, must_16_scope_covers_by_whole_segments_in_every_spelling)
{
	static const struct {
		const char *sr;
		const char *device;
		const char *module;
		int covers;
	} rows[] = {
		{DEV1, "dev1", "", COVERS_AS_BOTH},
		{"https://" DEV1, "dev1", "", COVERS_AS_BOTH},
		{"AMQPS://" DEV1, "dev1", "", COVERS_AS_BOTH},
		{"amqps%3A%2F%2Fhub.example.net%2Fdevices%2Fdev1", "dev1", "", COVERS_AS_BOTH},
		{"mqtts://" DEV1, "dev1", "", COVERS_NOTHING},
		{"/" DEV1 "/", "dev1", "", COVERS_AS_BOTH},
		{"//" DEV1, "dev1", "", COVERS_NOTHING},
		{DEV1 "//", "dev1", "", COVERS_NOTHING},
		{"hub.example.net//devices/dev1", "dev1", "", COVERS_NOTHING},
		{"hub.example.net:8884/devices/dev1", "dev1", "", COVERS_AS_BOTH},
		{"hub.example.net%3A8884%2Fdevices%2Fdev1", "dev1", "", COVERS_AS_BOTH},
		{"hub.example.net:x/devices/dev1", "dev1", "", COVERS_NOTHING},
		{"GATEWAY.local/Devices/dev1", "dev1", "", COVERS_AS_BOTH},
		{"hub.example.net.evil.org/devices/dev1", "dev1", "", COVERS_NOTHING},
		{"evil.org/hub.example.net/devices/dev1", "dev1", "", COVERS_NOTHING},
		{DEV1 "/api-version=2016-11-14", "dev1", "", COVERS_AS_BOTH},
		{DEV1 "/api-version=2016-11-14/", "dev1", "", COVERS_AS_BOTH},
		{"hub.example.net%2Fdevices%2Fdev1%2Fapi-version%3D2016-11-14", "dev1", "", COVERS_AS_BOTH},
		{DEV1 "/modules/mod-A/api-version=2016-11-14", "dev1", "mod-A", COVERS_AS_BOTH},
		{"hub.example.net/devices/api-version=1", "api-version=1", "", COVERS_AS_BOTH},
		{"hub.example.net/devices/api-version=1", "dev1", "", COVERS_NOTHING},
		{DEV1 "/modules/api-version=1", "dev1", "mod-A", COVERS_NOTHING},
		{"hub.example.net", "dev1", "", COVERS_AS_POLICY},
		{"hub.example.net/", "dev1", "", COVERS_AS_POLICY},
		{"hub.example.net/devices", "dev1", "mod-A", COVERS_AS_POLICY},
		{DEV1, "dev1", "mod-A", COVERS_AS_POLICY},
		{DEV1 "/modules", "dev1", "mod-A", COVERS_AS_POLICY},
		{DEV1 "/modules", "dev1", "", COVERS_NOTHING},
		{DEV1 "/MODULES/mod-A", "dev1", "mod-A", COVERS_AS_BOTH},
		{DEV1 "/modules/mod-A", "dev1", "mod-AB", COVERS_NOTHING},
		{DEV1 "/modules/mod-A", "dev1", "", COVERS_NOTHING},
		{DEV1 "/messages/events", "dev1", "", COVERS_NOTHING},
		{DEV1, "dev10", "", COVERS_NOTHING},
		{DEV1 "0", "dev1", "", COVERS_NOTHING},
		{"hub.example.net/devices/a%2Fb", "a", "b", COVERS_NOTHING},
		{"hub.example.net/devices/a%2541", "a%41", "", COVERS_AS_BOTH},
		{"hub.example.net/devices/a%252541", "a%41", "", COVERS_AS_BOTH},
		{"hub.example.net/devices/a%25252541", "a%41", "", COVERS_NOTHING},
		{"hub.example.net/devices/%", "%", "", COVERS_AS_BOTH},
		{"hub.example.net/devices/dev1%00", "dev1", "", COVERS_NOTHING},
		{"", "dev1", "", COVERS_NOTHING},
		{"/", "dev1", "", COVERS_NOTHING},
		{"//", "dev1", "", COVERS_NOTHING},
		{"https://", "dev1", "", COVERS_NOTHING},
		{"a/b/c/d/e/f/g/h", "dev1", "", COVERS_NOTHING},
		{"hub.example.net/devices//", "", "", COVERS_NOTHING},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct sas_resource resource =
			sas_resource_device(hosts, text_of(rows[i].device), text_of(rows[i].module));
		bool policy = sas_scope_covers(text_of(rows[i].sr), &resource, SAS_SCOPE_POLICY);
		bool identity = sas_scope_covers(text_of(rows[i].sr), &resource, SAS_SCOPE_IDENTITY);
		cr_assert_eq(
			policy, rows[i].covers >= COVERS_AS_POLICY, "policy: %s for %s", rows[i].sr, rows[i].device);
		cr_assert_eq(
			identity, rows[i].covers == COVERS_AS_BOTH, "identity: %s for %s", rows[i].sr, rows[i].device);
	}
}

Test(sas, must_23_ids_are_case_sensitive_for_policies_and_not_for_identity_keys)
{
	struct sas_resource resource = sas_resource_device(hosts, text_of("Dev1"), text_of("Mod"));
	gh_bytes lower = text_of("hub.example.net/devices/dev1/modules/mod");
	cr_assert(sas_scope_covers(lower, &resource, SAS_SCOPE_IDENTITY));
	cr_assert(!sas_scope_covers(lower, &resource, SAS_SCOPE_POLICY));
	cr_assert(!sas_scope_covers(text_of("hub.example.net/devices/Dev1/modules/mod"), &resource, SAS_SCOPE_POLICY));
	cr_assert(sas_scope_covers(text_of("hub.example.net/devices/Dev1/modules/Mod"), &resource, SAS_SCOPE_POLICY));
}

Test(sas, a_devices_scope_has_no_sb_before_its_host)
{
	struct sas_resource resource = sas_resource_device(hosts, text_of("dev1"), text_of(""));
	cr_assert(!sas_scope_covers(text_of("sb://" DEV1), &resource, SAS_SCOPE_POLICY));
	cr_assert(!sas_scope_covers(text_of("sb://" DEV1), &resource, SAS_SCOPE_IDENTITY));
	cr_assert(sas_scope_covers(text_of("sb://" DEV1), &resource, SAS_SCOPE_SERVICE));
}

Test(sas, the_longest_ids_encoded_twice_are_covered_and_an_endless_sr_is_not)
{
	char id[129], sr[8192] = "hub.example.net/devices/";
	memset(id, '#', 128);
	id[128] = '\0';
	for (int part = 0; part < 2; part++) {
		for (int i = 0; i < 128; i++)
			strcat(sr, "%2523");
		strcat(sr, part == 0 ? "/modules/" : "");
	}
	struct sas_resource resource = sas_resource_device(hosts, text_of(id), text_of(id));
	cr_assert(sas_scope_covers(text_of(sr), &resource, SAS_SCOPE_IDENTITY));
	char *endless = malloc(1 << 16);
	cr_assert(endless != NULL);
	memset(endless, '/', 1 << 16);
	cr_assert(!sas_scope_covers((gh_bytes){(const uint8_t *)endless, 1 << 16}, &resource, SAS_SCOPE_POLICY));
	free(endless);
}

/* ---- making tokens ---- */

Test(sas, create_encodes_the_resource_and_orders_fields_sr_sig_se_skn)
{
	char token[4096];
	cr_assert_str_eq(make(token, DEV1, SAS_VECTOR_K1, "", 4102444800), vector("P1")->token);
	cr_assert_str_eq(
		make(token, "hub.example.net/devices/" SAS_VECTOR_SPECIAL_ID, SAS_VECTOR_K1, "", 4102444800) + 21,
		" sr=hub.example.net%2Fdevices%2Fa-b.c%2Bd%25e_f%23g%2Ah%3Fi%21j%28k%29%2Cl%3Dm%40n%24o%27p&sig="
		"eWGLfreRgKT7BbduwVbDiq41oswVfplH6hJ2qgrMIfA%3D&se=4102444800");
	cr_assert_str_eq(make(token, "hub.example.net", SAS_VECTOR_KP, "device", 4102444800), vector("P14")->token);
	make(token, DEV1, SAS_VECTOR_KP, "a b", 7);
	cr_assert_str_eq(strstr(token, "%3D&se="), "%3D&se=7&skn=a%20b");
	make(token, DEV1, SAS_VECTOR_KP, "", SAS_NEVER);
	cr_assert_str_eq(strrchr(token, '&'), "&se=18446744073709551615");
}

Test(sas, create_says_0_unless_all_of_it_fits)
{
	struct sas_key key = key_of(SAS_VECTOR_K1);
	size_t need = strlen(vector("P1")->token);
	for (size_t cap = 0; cap <= need; cap++) {
		char *room = malloc(cap + 1); /* its own allocation, so that a sanitizer sees the end */
		cr_assert_eq(sas_create(DEV1, &key, "", 4102444800, room, cap), 0, "%zu bytes", cap);
		free(room);
	}
	char *room = malloc(need + 1);
	cr_assert_eq(sas_create(DEV1, &key, "", 4102444800, room, need + 1), need);
	free(room);
}
