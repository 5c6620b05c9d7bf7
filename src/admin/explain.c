#include "src/admin/explain.h"

#include "src/base/buf.h"
#include "src/base/text.h"
#include "src/core/registry.h"
#include "src/core/sas.h"

#include <inttypes.h>

enum { EXPLAIN_FIELDS_MAX = 16, EXPLAIN_SCOPE_BYTES_MAX = 4096 };

/* What the codes of the verifier, and of the steps around it, mean to a person. */
static const struct {
	const char *code;
	const char *rule;
} explain_rules[] = {
	{"token_too_long", "a token has at most token_bytes_max bytes (device contract 3.4, step 1)"},
	{"token_form",
		"\"SharedAccessSignature\", one blank, then name=value fields joined by '&' (3.4, steps 2 and 3)"},
	{"token_field_repeated", "sr, sig, se and skn may each be given once (3.4, step 3)"},
	{"token_field_missing", "sr, sig and se must be there and not empty (3.4, step 4)"},
	{"token_signature_form", "sig is the percent-encoded base64 of 32 bytes (3.2)"},
	{"token_policy_form", "skn is a percent-encoded name of at most 256 bytes (3.4, step 4)"},
	{"token_expiry_form", "se is 1 to 20 digits: seconds since 1970 (3.4, step 5)"},
	{"token_expired", "se plus the allowed clock skew lies in the past (3.4, step 6)"},
	{"token_policy_unknown", "skn names no policy of this hub, nor the device (3.4, step 7)"},
	{"token_policy_right", "the policy lacks the right DeviceConnect (3.4, step 7)"},
	{"token_no_key", "there is no key to check the signature with (3.4, step 8)"},
	{"token_signature",
		"neither key makes this signature of sr, newline, se as they stand in the token (3.2; 3.4, step 8)"},
	{"token_scope", "sr does not cover the identity: host, devices, id, segment by segment (3.5)"},
	{"identity_unknown", "the hub must know the identity (2.4, step 1)"},
	{"identity_disabled", "the identity, and a module's device, must be enabled (2.4, step 2)"},
	{"identity_auth", "the identity proves itself with a certificate, not with a token (2.4, step 3)"},
	{"store", "the identity could not be read"},
};

/* A scope, taken apart: host/devices/{d}[/modules/{m}].  Text is decoded once; ids may need a second time. */
struct explain_scope {
	char text[EXPLAIN_SCOPE_BYTES_MAX + 1];
	size_t len;
	size_t path; /* where in text what follows the host begins */
	char host[256];
	char device_id[REGISTRY_ID_BYTES_MAX + 1]; /* "" = the scope names none */
	char module_id[REGISTRY_ID_BYTES_MAX + 1];
};

static json_t *explain_string(gh_bytes text)
{
	if (text_is_utf8(text) && !(text.len && memchr(text.data, '\0', text.len)))
		return json_stringn((const char *)text.data, text.len);
	return json_string("(not readable text)");
}

static bool explain_copy(gh_bytes text, char *ret_text, size_t cap)
{
	if (text.len >= cap || (text.len && memchr(text.data, '\0', text.len)))
		return false;
	if (text.len)
		memcpy(ret_text, text.data, text.len);
	ret_text[text.len] = '\0';
	return true;
}

/* Every field as it stands, whether or not the token as a whole is well formed.  Of the signature only the length. */
static json_t *explain_fields(gh_bytes token)
{
	json_t *fields = json_array();
	gh_bytes scheme, rest, piece, name, value;
	text_cut(token, ' ', &scheme, &rest);
	for (int i = 0; i < EXPLAIN_FIELDS_MAX && rest.len; i++) {
		text_cut(rest, '&', &piece, &rest);
		if (!text_cut(piece, '=', &name, &value) && piece.len == 0)
			continue;
		json_t *shown = text_equal_nocase(name, text_of("sig")) ? json_sprintf("(%zu characters)", value.len)
									: explain_string(value);
		json_array_append_new(fields, json_pack("{s:o, s:o}", "name", explain_string(name), "value", shown));
	}
	return fields;
}

static void explain_scope_read(gh_bytes sr, struct explain_scope *ret_scope)
{
	*ret_scope = (struct explain_scope){.len = 0};
	if (sr.len > EXPLAIN_SCOPE_BYTES_MAX)
		return;
	ret_scope->len = text_percent_decode(sr, (uint8_t *)ret_scope->text, NULL);
	gh_bytes rest = {(const uint8_t *)ret_scope->text, ret_scope->len}, segment;
	static const char *const schemes[] = {"https://", "amqps://", "sb://", "/"};
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (text_starts_nocase(rest, schemes[i])) {
			rest.data += strlen(schemes[i]);
			rest.len -= strlen(schemes[i]);
		}
	text_cut(rest, '/', &segment, &rest);
	explain_copy(segment, ret_scope->host, sizeof ret_scope->host);
	ret_scope->path = ret_scope->len - rest.len;
	text_cut(rest, '/', &segment, &rest);
	if (!text_equal_nocase(segment, text_of("devices")))
		return;
	text_cut(rest, '/', &segment, &rest);
	explain_copy(segment, ret_scope->device_id, sizeof ret_scope->device_id);
	text_cut(rest, '/', &segment, &rest);
	if (!text_equal_nocase(segment, text_of("modules")))
		return;
	text_cut(rest, '/', &segment, &rest);
	explain_copy(segment, ret_scope->module_id, sizeof ret_scope->module_id);
}

/* One client encodes ids twice. */
static void explain_decode_again(char *id)
{
	uint8_t decoded[REGISTRY_ID_BYTES_MAX + 1];
	size_t len = text_percent_decode(text_of(id), decoded, NULL);
	char copy[REGISTRY_ID_BYTES_MAX + 1];
	if (explain_copy((gh_bytes){decoded, len}, copy, sizeof copy))
		strcpy(id, copy);
}

static gh_status explain_identity(gh_store *store, struct explain_scope *scope, struct identity *ret_identity)
{
	gh_status status = identity_read(store, text_of(scope->device_id), text_of(scope->module_id), ret_identity);
	if (status != GH_NOT_FOUND || !strchr(scope->device_id, '%'))
		return status;
	struct explain_scope again = *scope;
	explain_decode_again(again.device_id);
	explain_decode_again(again.module_id);
	status = identity_read(store, text_of(again.device_id), text_of(again.module_id), ret_identity);
	if (status == GH_OK)
		*scope = again;
	return status;
}

/* The steps of 2.4 before the token itself counts. */
static gh_status explain_admit(const struct identity *identity, gh_status found, gh_error *ret_err)
{
	if (found == GH_NOT_FOUND)
		return gh_fail(ret_err, GH_NOT_FOUND, "identity_unknown", "there is no such device or module here");
	if (found != GH_OK)
		return gh_fail(ret_err, found, "store", "the store answers \"%s\"", gh_status_name(found));
	if (!identity->enabled)
		return gh_fail(ret_err, GH_DISABLED, "identity_disabled", "the identity is disabled");
	if (identity->auth != IDENTITY_SAS)
		return gh_fail(ret_err, GH_UNAUTHORIZED, "identity_auth", "the identity does not use tokens");
	return GH_OK;
}

/* Takes the text. */
static void explain_note(json_t *answer, json_t *text)
{
	json_array_append_new(json_object_get(answer, "notes"), text);
}

static void explain_set(json_t *answer, const char *name, json_t *value)
{
	json_object_set_new(answer, name, value);
}

static void explain_refuse(json_t *answer, const gh_error *err)
{
	explain_set(answer, "accepted", json_false());
	explain_set(answer, "code", json_string(err->code));
	explain_set(answer, "text", json_string(err->text));
	for (size_t i = 0; i < sizeof explain_rules / sizeof *explain_rules; i++)
		if (strcmp(explain_rules[i].code, err->code) == 0)
			explain_set(answer, "rule", json_string(explain_rules[i].rule));
}

static void explain_accept(json_t *answer, const struct sas_verdict *verdict)
{
	const char *slot = verdict->slot == SAS_SECONDARY ? "secondary" : "primary";
	const char *owner = verdict->policy[0] ? "the policy" : "the identity";
	explain_set(answer, "accepted", json_true());
	explain_set(answer, "code", json_string("ok"));
	explain_set(answer, "text",
		json_sprintf("the %s key of %s made the signature, and the scope covers it", slot, owner));
	explain_set(answer, "key", json_string(slot));
	explain_set(answer, "policy", verdict->policy[0] ? json_string(verdict->policy) : json_null());
}

static void explain_token_shown(json_t *answer, const struct sas_token *token, const struct explain_scope *scope)
{
	char time[TEXT_TIME_SIZE];
	if (token->se != SAS_NEVER)
		text_time(token->se * 1000, time);
	explain_set(answer, "expires", json_string(token->se == SAS_NEVER ? "never" : time));
	explain_set(answer, "scope", explain_string((gh_bytes){(const uint8_t *)scope->text, scope->len}));
	gh_bytes policy = {(const uint8_t *)token->policy, token->policy_len};
	explain_set(answer, "policy", policy.len ? explain_string(policy) : json_null());
}

/* ---- policies for back ends ---- */

/* By the bit of the right. */
static const char *const explain_rights[POLICY_RIGHT_COUNT] = {
	"reading identities and statistics",
	"creating, changing and deleting identities",
	"twins, methods, messages to devices and reading what devices sent",
	"connecting as a device",
};

/* What the scope itself names, as a back end would ask for it. */
static struct sas_resource explain_resource(const struct explain_scope *scope, const char *const *hosts)
{
	struct sas_resource resource = {.hosts = hosts};
	gh_bytes rest = {(const uint8_t *)scope->text + scope->path, scope->len - scope->path}, segment;
	while (rest.len > 0 && resource.segment_count < GH_RESOURCE_SEGMENTS_MAX) {
		text_cut(rest, '/', &segment, &rest);
		if (segment.len > 0)
			resource.segments[resource.segment_count++] = segment;
	}
	return resource;
}

/* A token no device may use may still be what a back end needs. */
static void explain_service(const struct explain_question *q, json_t *answer, const struct sas_token *token,
	const struct explain_scope *scope, const char *const *hosts)
{
	struct sas_policy policy;
	if (policy_read(q->store, (gh_bytes){(const uint8_t *)token->policy, token->policy_len}, &policy) != GH_OK ||
		policy.rights == 0)
		return;
	for (unsigned i = 0; i < POLICY_RIGHT_COUNT; i++)
		if (policy.rights & 1u << i)
			explain_note(answer, json_sprintf("the policy has %s, which is for %s", policy_right_names[i],
						     explain_rights[i]));
	struct sas_service_check check = {
		.text = text_of(q->token),
		.now_s = q->wall_ms / 1000,
		.limits = q->limits,
		.resource = explain_resource(scope, hosts),
		.rights = policy.rights,
		.find_policy = policy_read,
		.find_policy_context = q->store,
	};
	struct sas_verdict verdict;
	gh_error err;
	if (sas_verify_service(&check, &verdict, &err) == GH_OK)
		explain_note(answer, json_string("a back end that asks for what the scope names is accepted with it"));
	else
		explain_note(answer, json_sprintf("a back end is refused with it too: %s", err.text));
}

/* The verdict on a well-formed token. */
static void explain_judge(
	const struct explain_question *q, json_t *answer, const struct sas_token *token, struct explain_scope *scope)
{
	const char *const own_host[] = {scope->host, NULL}, *const *hosts = q->hosts ? q->hosts : own_host;
	struct identity identity;
	gh_error err;
	bool any_device = scope->device_id[0] == '\0';
	if (!q->hosts)
		explain_note(
			answer, json_string("the hub's host name is not known here, so the token's own was believed"));
	if (any_device)
		explain_note(answer, json_string("the scope names no device and none was given, so only a policy's "
						 "key can accept it"));
	else if (explain_admit(&identity, explain_identity(q->store, scope, &identity), &err) != GH_OK) {
		explain_refuse(answer, &err);
		return;
	}
	struct sas_check check = {
		.text = text_of(q->token),
		.now_s = q->wall_ms / 1000,
		.limits = q->limits,
		.hosts = hosts,
		/* No id may be "/", so the placeholder is covered by what covers all devices, and by nothing else. */
		.device_id = text_of(any_device ? "any device" : scope->device_id),
		.module_id = text_of(scope->module_id),
		.identity_keys = any_device ? NULL : &identity.keys,
		.find_policy = policy_read,
		.find_policy_context = q->store,
	};
	struct sas_verdict verdict;
	if (sas_verify(&check, &verdict, &err) == GH_OK) {
		explain_accept(answer, &verdict);
		return;
	}
	explain_refuse(answer, &err);
	if (strcmp(err.code, "token_policy_right") == 0)
		explain_service(q, answer, token, scope, hosts);
}

/* Without a store: what the text alone tells. */
static void explain_judge_alone(const struct explain_question *q, json_t *answer, const struct sas_token *token)
{
	gh_error err = {
		.code = "not_checked", .text = "well formed; no hub was asked, so the signature is not checked"};
	if (token->se != SAS_NEVER && token->se + q->limits->token_skew_s_max < q->wall_ms / 1000)
		gh_fail(&err, GH_UNAUTHORIZED, "token_expired", "expired");
	explain_refuse(answer, &err);
}

json_t *explain_token(const struct explain_question *q)
{
	json_t *answer =
		json_pack("{s:b, s:[], s:o}", "accepted", false, "notes", "fields", explain_fields(text_of(q->token)));
	struct sas_token token;
	struct explain_scope scope;
	gh_error err;
	if (!answer)
		return NULL;
	if (sas_parse(text_of(q->token), q->limits, &token, &err) != GH_OK) {
		explain_refuse(answer, &err);
		return answer;
	}
	explain_scope_read(token.sr, &scope);
	explain_token_shown(answer, &token, &scope);
	if (q->device_id) {
		scope.module_id[0] = '\0';
		if (!explain_copy(text_of(q->device_id), scope.device_id, sizeof scope.device_id) ||
			!explain_copy(
				text_of(q->module_id ? q->module_id : ""), scope.module_id, sizeof scope.module_id)) {
			gh_fail(&err, GH_NOT_FOUND, "identity_unknown", "an id has at most %d characters",
				REGISTRY_ID_BYTES_MAX);
			explain_refuse(answer, &err);
			return answer;
		}
	}
	if (q->store)
		explain_judge(q, answer, &token, &scope);
	else
		explain_judge_alone(q, answer, &token);
	explain_set(answer, "deviceId", scope.device_id[0] ? explain_string(text_of(scope.device_id)) : json_null());
	explain_set(answer, "moduleId", scope.module_id[0] ? explain_string(text_of(scope.module_id)) : json_null());
	return answer;
}
