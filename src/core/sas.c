/* sas.c - tokens: fields, signature, the order of checks (device contract 3.1 to 3.4, service contract 1.3).
 *
 * The signature is checked over sr and se as they stood in the token; nothing is encoded again, because SDKs disagree
 * on how to encode and each signs what it sends.  Which resource a token is good for is sas_scope.c's question.
 */
#include "src/core/sas.h"

#include "src/base/text.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* 9999-12-31T23:59:59Z; what lies beyond is a client's way to say "never" (3.4 step 5). */
#define EXPIRY_LAST_S UINT64_C(253402300799)
enum { EXPIRY_DIGITS_MAX = 20, SIGNATURE_BASE64_BYTES = 44, PERCENT_GROWTH = 3 };

static const char scheme_word[] = "SharedAccessSignature";

/* ---- reasons ---- */

#define SAS_REASONS(X)                                                                                                 \
	X(TOO_LONG, "token_too_long", "the token is longer than token_bytes_max")                                      \
	X(FORM, "token_form", "not \"SharedAccessSignature\", one blank and fields joined by &")                       \
	X(REPEATED, "token_field_repeated", "sr, sig, se or skn is given twice")                                       \
	X(MISSING, "token_field_missing", "sr, sig and se are all needed")                                             \
	X(SIGNATURE_FORM, "token_signature_form", "sig is not percent-encoded base64 of 32 bytes")                     \
	X(POLICY_FORM, "token_policy_form", "skn is badly escaped or longer than 256 bytes")                           \
	X(EXPIRY_FORM, "token_expiry_form", "se is not 1 to 20 decimal digits")                                        \
	X(EXPIRED, "token_expired", "se has passed")                                                                   \
	X(POLICY_MISSING, "token_policy_missing", "the token names no policy, and only a policy's key is good here")   \
	X(POLICY_UNKNOWN, "token_policy_unknown", "there is no policy named by skn")                                   \
	X(POLICY_UNREADABLE, "policy_unreadable", "the policy named by skn cannot be looked up now")                   \
	X(POLICY_RIGHT, "token_policy_right", "the policy lacks a right that is needed")                               \
	X(SIGNATURE, "token_signature", "neither key gives this signature")                                            \
	X(SCOPE, "token_scope", "sr does not cover what is asked for")                                                 \
	X(NO_KEY, "token_no_key", "the identity has no key and the token names no policy")

enum sas_reason {
	REASON_NONE,
#define X(id, code, text) REASON_##id,
	SAS_REASONS(X)
#undef X
};

static const struct {
	const char *code;
	const char *text;
} reasons[] = {{NULL, NULL},
#define X(id, code, text) {code, text},
	SAS_REASONS(X)
#undef X
};

static gh_status sas_refuse(gh_error *err, enum sas_reason reason)
{
	gh_status status = reason == REASON_POLICY_UNREADABLE ? GH_UNAVAILABLE : GH_UNAUTHORIZED;
	return gh_fail(err, status, reasons[reason].code, "%s", reasons[reason].text);
}

/* ---- fields ---- */

enum sas_field { FIELD_SR, FIELD_SIG, FIELD_SE, FIELD_SKN, FIELD_COUNT };
static const char *const field_names[FIELD_COUNT] = {"sr", "sig", "se", "skn"};

struct sas_fields {
	gh_bytes value[FIELD_COUNT];
	bool seen[FIELD_COUNT];
};

static enum sas_reason sas_take_field(struct sas_fields *fields, gh_bytes piece)
{
	gh_bytes name, value;
	if (!text_cut(piece, '=', &name, &value))
		return REASON_FORM;
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (!text_equal_nocase(name, text_of(field_names[i])))
			continue;
		if (fields->seen[i])
			return REASON_REPEATED;
		fields->seen[i] = true;
		fields->value[i] = value;
	}
	return REASON_NONE; /* names we do not know are ignored */
}

static enum sas_reason sas_split(gh_bytes text, struct sas_fields *ret_fields)
{
	gh_bytes word, rest, piece;
	if (!text_cut(text, ' ', &word, &rest) || !text_equal(word, text_of(scheme_word)) || rest.len == 0 ||
		memchr(rest.data, ' ', rest.len))
		return REASON_FORM;
	struct sas_fields fields = {0};
	while (rest.len > 0) {
		text_cut(rest, '&', &piece, &rest);
		enum sas_reason reason = piece.len > 0 ? sas_take_field(&fields, piece) : REASON_NONE;
		if (reason != REASON_NONE)
			return reason;
	}
	*ret_fields = fields;
	return REASON_NONE;
}

static bool sas_parse_signature(gh_bytes text, uint8_t *ret_signature)
{
	uint8_t base64[PERCENT_GROWTH * SIGNATURE_BASE64_BYTES], bytes[PERCENT_GROWTH * SIGNATURE_BASE64_BYTES];
	bool clean;
	size_t len;
	if (text.len > sizeof base64)
		return false;
	size_t base64_len = text_percent_decode(text, base64, &clean);
	if (!clean || !text_base64_decode((gh_bytes){base64, base64_len}, bytes, &len) || len != SAS_SIGNATURE_BYTES)
		return false;
	memcpy(ret_signature, bytes, SAS_SIGNATURE_BYTES);
	return true;
}

static bool sas_parse_policy(gh_bytes text, struct sas_token *token)
{
	uint8_t name[PERCENT_GROWTH * SAS_POLICY_BYTES_MAX];
	bool clean;
	if (text.len > sizeof name)
		return false;
	size_t len = text_percent_decode(text, name, &clean);
	if (!clean || len > SAS_POLICY_BYTES_MAX)
		return false;
	memcpy(token->policy, name, len);
	token->policy[len] = '\0';
	token->policy_len = len;
	return true;
}

static bool sas_parse_expiry(gh_bytes text, uint64_t *ret_se)
{
	if (text.len > EXPIRY_DIGITS_MAX)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
	uint64_t se;
	*ret_se = text_u64(text, &se) && se <= EXPIRY_LAST_S ? se : SAS_NEVER;
	return true;
}

static enum sas_reason sas_parse_fields(gh_bytes text, struct sas_token *token)
{
	struct sas_fields fields;
	enum sas_reason reason = sas_split(text, &fields);
	if (reason != REASON_NONE)
		return reason;
	for (size_t i = FIELD_SR; i <= FIELD_SE; i++)
		if (fields.value[i].len == 0)
			return REASON_MISSING;
	token->sr = fields.value[FIELD_SR];
	token->se_text = fields.value[FIELD_SE];
	if (!sas_parse_signature(fields.value[FIELD_SIG], token->signature))
		return REASON_SIGNATURE_FORM;
	if (!sas_parse_policy(fields.value[FIELD_SKN], token))
		return REASON_POLICY_FORM;
	return sas_parse_expiry(token->se_text, &token->se) ? REASON_NONE : REASON_EXPIRY_FORM;
}

gh_status sas_parse(gh_bytes text, const gh_limits *limits, struct sas_token *ret_token, gh_error *ret_err)
{
	if (text.len > limits->token_bytes_max)
		return sas_refuse(ret_err, REASON_TOO_LONG);
	struct sas_token token = {0};
	enum sas_reason reason = sas_parse_fields(text, &token);
	if (reason != REASON_NONE)
		return sas_refuse(ret_err, reason);
	*ret_token = token;
	return GH_OK;
}

/* ---- keys and signatures ---- */

bool sas_key_decode(gh_bytes base64, struct sas_key *ret_key)
{
	uint8_t bytes[SAS_KEY_BYTES_MAX + 2]; /* 88 characters may stand for 64 to 66 bytes */
	size_t len;
	if (base64.len > TEXT_BASE64_SIZE(SAS_KEY_BYTES_MAX) - 1 || !text_base64_decode(base64, bytes, &len) ||
		len == 0 || len > SAS_KEY_BYTES_MAX)
		return false;
	*ret_key = (struct sas_key){.len = len};
	memcpy(ret_key->bytes, bytes, len);
	return true;
}

/* One HMAC-SHA256 over sr, a line feed and se.  The context is used again for the next key. */
static bool sas_sign(EVP_MAC_CTX *mac, gh_bytes key, gh_bytes sr, gh_bytes se, uint8_t *ret_signature)
{
	static const unsigned char line_feed = '\n';
	size_t len;
	return EVP_MAC_init(mac, key.data, key.len, NULL) && EVP_MAC_update(mac, sr.data, sr.len) &&
	       EVP_MAC_update(mac, &line_feed, 1) && EVP_MAC_update(mac, se.data, se.len) &&
	       EVP_MAC_final(mac, ret_signature, &len, SAS_SIGNATURE_BYTES) && len == SAS_SIGNATURE_BYTES;
}

/* NULL without memory.  Returned to the caller, who frees it. */
static EVP_MAC_CTX *sas_mac_new(void)
{
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
	EVP_MAC_free(hmac); /* the context holds its own reference */
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
	if (mac && EVP_MAC_CTX_set_params(mac, params))
		return mac;
	EVP_MAC_CTX_free(mac);
	return NULL;
}

static bool sas_key_matches(EVP_MAC_CTX *mac, gh_bytes key, const struct sas_token *token)
{
	uint8_t expected[SAS_SIGNATURE_BYTES];
	return key.len > 0 && sas_sign(mac, key, token->sr, token->se_text, expected) &&
	       CRYPTO_memcmp(expected, token->signature, SAS_SIGNATURE_BYTES) == 0;
}

static gh_bytes sas_key_bytes(const struct sas_key *key)
{
	return (gh_bytes){key->bytes, key->len};
}

static enum sas_key_slot sas_match_bytes(const struct sas_token *token, gh_bytes primary_key, gh_bytes secondary_key)
{
	EVP_MAC_CTX *mac = sas_mac_new();
	if (!mac)
		return SAS_NO_KEY;
	/* Both are always tried, so that the time taken does not tell which key a device uses. */
	bool primary = sas_key_matches(mac, primary_key, token);
	bool secondary = sas_key_matches(mac, secondary_key, token);
	EVP_MAC_CTX_free(mac);
	return primary ? SAS_PRIMARY : secondary ? SAS_SECONDARY : SAS_NO_KEY;
}

enum sas_key_slot sas_match(const struct sas_token *token, const struct sas_key_pair *keys)
{
	return sas_match_bytes(token, sas_key_bytes(&keys->primary), sas_key_bytes(&keys->secondary));
}

/* One client signs with the text of its connection string as it stands.  Base64 has one text per value, so it need not
 * be kept to be known. */
static enum sas_key_slot sas_match_text(const struct sas_token *token, const struct sas_key_pair *keys)
{
	char primary[TEXT_BASE64_SIZE(SAS_KEY_BYTES_MAX)], secondary[TEXT_BASE64_SIZE(SAS_KEY_BYTES_MAX)];
	text_base64_encode(keys->primary.bytes, keys->primary.len, primary);
	text_base64_encode(keys->secondary.bytes, keys->secondary.len, secondary);
	return sas_match_bytes(token, text_of(primary), text_of(secondary));
}

/* ---- the verdict on a device's ---- */

static bool sas_expired(const struct sas_token *token, uint64_t now_s, const gh_limits *limits)
{
	return token->se != SAS_NEVER && token->se + limits->token_skew_s_max < now_s;
}

/* The policy the token names, if it has all the rights. */
static enum sas_reason sas_read_policy(const struct sas_token *token, unsigned rights, sas_find_policy *find,
	void *find_context, struct sas_policy *policy)
{
	gh_bytes name = {(const uint8_t *)token->policy, token->policy_len};
	gh_status found = find ? find(find_context, name, policy) : GH_NOT_FOUND;
	if (found != GH_OK)
		return found == GH_NOT_FOUND ? REASON_POLICY_UNKNOWN : REASON_POLICY_UNREADABLE;
	return (policy->rights & rights) == rights ? REASON_NONE : REASON_POLICY_RIGHT;
}

static enum sas_reason sas_try_policy(const struct sas_check *check, const struct sas_token *token,
	struct sas_policy *policy, enum sas_key_slot *ret_slot)
{
	enum sas_reason reason =
		sas_read_policy(token, GH_RIGHT_DEVICE_CONNECT, check->find_policy, check->find_policy_context, policy);
	if (reason != REASON_NONE)
		return reason;
	enum sas_key_slot slot = sas_match(token, &policy->keys);
	if (slot == SAS_NO_KEY)
		return REASON_SIGNATURE;
	*ret_slot = slot;
	return REASON_NONE;
}

static enum sas_reason sas_try_identity(
	const struct sas_check *check, const struct sas_token *token, enum sas_key_slot *ret_slot)
{
	const struct sas_key_pair *keys = check->identity_keys;
	if (!keys || (keys->primary.len == 0 && keys->secondary.len == 0))
		return REASON_NO_KEY;
	enum sas_key_slot slot = sas_match(token, keys);
	if (slot == SAS_NO_KEY)
		return REASON_SIGNATURE;
	*ret_slot = slot;
	return REASON_NONE;
}

static struct sas_key sas_key_in(const struct sas_key_pair *keys, enum sas_key_slot slot)
{
	return slot == SAS_PRIMARY ? keys->primary : keys->secondary;
}

/* Step 7: whose key is it?  A name that is the claimed device's own id may stand where a policy's should: some HTTPS
 * clients send it with the device's key. */
static enum sas_reason sas_find_key(
	const struct sas_check *check, const struct sas_token *token, struct sas_verdict *verdict)
{
	if (token->policy_len > 0) {
		struct sas_policy policy;
		enum sas_reason reason = sas_try_policy(check, token, &policy, &verdict->slot);
		if (reason == REASON_NONE) {
			verdict->method = GH_AUTH_POLICY_SAS;
			verdict->key = sas_key_in(&policy.keys, verdict->slot);
			memcpy(verdict->policy, policy.name, sizeof verdict->policy);
			return REASON_NONE;
		}
		if (!text_equal((gh_bytes){(const uint8_t *)token->policy, token->policy_len}, check->device_id))
			return reason;
	}
	verdict->method = check->module_id.len > 0 ? GH_AUTH_MODULE_SAS : GH_AUTH_DEVICE_SAS;
	enum sas_reason reason = sas_try_identity(check, token, &verdict->slot);
	if (reason == REASON_NONE)
		verdict->key = sas_key_in(check->identity_keys, verdict->slot);
	return reason;
}

gh_status sas_verify(const struct sas_check *check, struct sas_verdict *ret_verdict, gh_error *ret_err)
{
	struct sas_token token;
	gh_status status = sas_parse(check->text, check->limits, &token, ret_err);
	if (status != GH_OK)
		return status;
	if (sas_expired(&token, check->now_s, check->limits))
		return sas_refuse(ret_err, REASON_EXPIRED);
	struct sas_verdict verdict = {.expires_s = token.se};
	enum sas_reason reason = sas_find_key(check, &token, &verdict);
	if (reason != REASON_NONE)
		return sas_refuse(ret_err, reason);
	assert(verdict.slot != SAS_NO_KEY && verdict.method != GH_AUTH_NONE);
	struct sas_resource resource = sas_resource_device(check->hosts, check->device_id, check->module_id);
	enum sas_scope rule = verdict.method == GH_AUTH_POLICY_SAS ? SAS_SCOPE_POLICY : SAS_SCOPE_IDENTITY;
	if (!sas_scope_covers(token.sr, &resource, rule))
		return sas_refuse(ret_err, REASON_SCOPE);
	*ret_verdict = verdict;
	return GH_OK;
}

/* ---- the verdict on a back end's ---- */

static enum sas_reason sas_judge_service(
	const struct sas_service_check *check, const struct sas_token *token, struct sas_verdict *verdict)
{
	struct sas_policy policy;
	if (token->se <= check->now_s)
		return REASON_EXPIRED;
	if (token->policy_len == 0)
		return REASON_POLICY_MISSING;
	enum sas_reason reason =
		sas_read_policy(token, check->rights, check->find_policy, check->find_policy_context, &policy);
	if (reason != REASON_NONE)
		return reason;
	verdict->slot = sas_match(token, &policy.keys);
	if (verdict->slot == SAS_NO_KEY && check->text_keys && sas_scope_is_amqp(token->sr))
		verdict->slot = sas_match_text(token, &policy.keys);
	if (verdict->slot == SAS_NO_KEY)
		return REASON_SIGNATURE;
	verdict->key = sas_key_in(&policy.keys, verdict->slot);
	memcpy(verdict->policy, policy.name, sizeof verdict->policy);
	return sas_scope_covers(token->sr, &check->resource, SAS_SCOPE_SERVICE) ? REASON_NONE : REASON_SCOPE;
}

gh_status sas_verify_service(const struct sas_service_check *check, struct sas_verdict *ret_verdict, gh_error *ret_err)
{
	struct sas_token token;
	gh_status status = sas_parse(check->text, check->limits, &token, ret_err);
	if (status != GH_OK)
		return status;
	struct sas_verdict verdict = {.method = GH_AUTH_POLICY_SAS, .expires_s = token.se};
	enum sas_reason reason = sas_judge_service(check, &token, &verdict);
	if (reason != REASON_NONE)
		return sas_refuse(ret_err, reason);
	*ret_verdict = verdict;
	return GH_OK;
}

/* ---- making one ---- */

struct sas_writer {
	char *at;
	size_t left; /* without the NUL */
	bool failed;
};

static void sas_write(struct sas_writer *w, const char *text)
{
	size_t n = strlen(text);
	if (w->failed || n > w->left) {
		w->failed = true;
		return;
	}
	memcpy(w->at, text, n + 1);
	w->at += n;
	w->left -= n;
}

/* Escapes one byte at a time, so that the text needs no room but its own. */
static void sas_write_escaped(struct sas_writer *w, gh_bytes bytes)
{
	for (size_t i = 0; i < bytes.len && !w->failed; i++) {
		char escaped[PERCENT_GROWTH + 1];
		text_percent_encode((gh_bytes){bytes.data + i, 1}, escaped);
		sas_write(w, escaped);
	}
}

size_t sas_create(
	const char *resource, const struct sas_key *key, const char *policy, uint64_t se, char *ret_text, size_t cap)
{
	if (cap == 0 || key->len == 0)
		return 0;
	struct sas_writer w = {ret_text, cap - 1, false};
	sas_write(&w, scheme_word);
	sas_write(&w, " sr=");
	const char *sr = w.at;
	sas_write_escaped(&w, text_of(resource));
	gh_bytes signed_sr = {(const uint8_t *)sr, (size_t)(w.at - sr)};

	char se_text[EXPIRY_DIGITS_MAX + 1], base64[TEXT_BASE64_SIZE(SAS_SIGNATURE_BYTES)];
	uint8_t signature[SAS_SIGNATURE_BYTES];
	snprintf(se_text, sizeof se_text, "%" PRIu64, se);
	EVP_MAC_CTX *mac = sas_mac_new();
	bool made = mac && sas_sign(mac, sas_key_bytes(key), signed_sr, text_of(se_text), signature);
	EVP_MAC_CTX_free(mac);
	if (!made)
		return 0;
	text_base64_encode(signature, sizeof signature, base64);

	sas_write(&w, "&sig=");
	sas_write_escaped(&w, text_of(base64));
	sas_write(&w, "&se=");
	sas_write(&w, se_text);
	if (policy[0] != '\0') {
		sas_write(&w, "&skn=");
		sas_write_escaped(&w, text_of(policy));
	}
	return w.failed ? 0 : (size_t)(w.at - ret_text);
}
