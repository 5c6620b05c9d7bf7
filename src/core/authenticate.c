#include "src/core/authenticate.h"

#include "src/base/map.h"
#include "src/base/text.h"

bool authenticate_host_known(const struct authenticate_rules *rules, gh_bytes named)
{
	gh_bytes host, port;
	if (named.len == 0)
		return true;
	text_cut(named, ':', &host, &port);
	for (const char *const *known = rules->hosts; *known; known++)
		if (text_equal_nocase(host, text_of(*known)))
			return true;
	return false;
}

static uint64_t authenticate_key_print(const struct authenticate_rules *rules, const struct sas_key *key)
{
	return map_hash(rules->seed, (gh_bytes){key->bytes, key->len});
}

static bool authenticate_key_stands(
	const struct authenticate_rules *rules, const struct sas_key_pair *keys, uint64_t print)
{
	return (keys->primary.len && authenticate_key_print(rules, &keys->primary) == print) ||
	       (keys->secondary.len && authenticate_key_print(rules, &keys->secondary) == print);
}

/* Steps 1 and 2: the identity exists and is enabled. */
static gh_status authenticate_identity(const struct authenticate_rules *rules, gh_bytes device_id, gh_bytes module_id,
	struct identity *ret_identity, gh_error *ret_err)
{
	if (!registry_id_allowed(device_id) || (module_id.len && !registry_id_allowed(module_id)))
		return gh_fail(ret_err, GH_UNAUTHORIZED, "identity_form", "the id is not a legal one");
	gh_status status = identity_read(rules->store, device_id, module_id, ret_identity);
	if (status == GH_NOT_FOUND)
		return gh_fail(ret_err, GH_UNAUTHORIZED, "identity_unknown", "no such identity");
	if (status != GH_OK)
		return gh_fail(
			ret_err, GH_UNAVAILABLE, "store_failed", "reading the identity: %s", gh_status_name(status));
	if (!ret_identity->enabled)
		return gh_fail(ret_err, rules->disabled_status, "identity_disabled", "the identity is disabled");
	return GH_OK;
}

gh_status authenticate_switched_on(const struct authenticate_switches *off, gh_auth_method method, gh_error *ret_err)
{
	bool refused = (method == GH_AUTH_DEVICE_SAS && off->device_sas_off) ||
		       (method == GH_AUTH_MODULE_SAS && off->module_sas_off) ||
		       (method == GH_AUTH_POLICY_SAS && off->policy_sas_off);
	return refused ? gh_fail(ret_err, GH_UNAUTHORIZED, "sas_switched_off", "this kind of token is switched off")
		       : GH_OK;
}

gh_status authenticate(const struct authenticate_rules *rules, const gh_link_request *request, uint64_t now_s,
	struct principal *ret_principal, gh_error *ret_err)
{
	if (!authenticate_host_known(rules, request->host))
		return gh_fail(ret_err, GH_UNAUTHORIZED, "host_unknown", "the host name is none of this hub's");
	struct identity identity;
	gh_status status = authenticate_identity(rules, request->device_id, request->module_id, &identity, ret_err);
	if (status != GH_OK)
		return status;
	if (identity.auth != IDENTITY_SAS)
		return gh_fail(ret_err, GH_UNAUTHORIZED, "identity_not_sas", "the identity does not use SAS tokens");
	if (request->token.len == 0)
		return gh_fail(ret_err, GH_UNAUTHORIZED, "token_missing", "no token");

	struct sas_check check = {
		.text = request->token,
		.now_s = now_s,
		.limits = rules->limits,
		.hosts = rules->hosts,
		.device_id = request->device_id,
		.module_id = request->module_id,
		.identity_keys = &identity.keys,
		.find_policy = policy_read,
		.find_policy_context = rules->store,
	};
	struct sas_verdict verdict;
	status = sas_verify(&check, &verdict, ret_err);
	if (status == GH_OK)
		status = authenticate_switched_on(&rules->switches, verdict.method, ret_err);
	if (status != GH_OK)
		return status;
	ret_principal->method = verdict.method;
	ret_principal->expires_s = verdict.expires_s;
	ret_principal->key_print = authenticate_key_print(rules, &verdict.key);
	memcpy(ret_principal->policy, verdict.policy, sizeof verdict.policy);
	memcpy(ret_principal->generation_id, identity.generation_id, sizeof identity.generation_id);
	return GH_OK;
}

gh_status authenticate_again(
	const struct authenticate_rules *rules, const struct authenticate_claim *claim, gh_error *ret_err)
{
	struct identity identity;
	gh_status status = authenticate_identity(rules, claim->device_id, claim->module_id, &identity, ret_err);
	if (status != GH_OK)
		return status;
	if (!text_equal(claim->generation_id, text_of(identity.generation_id)))
		return gh_fail(ret_err, GH_UNAUTHORIZED, "identity_replaced", "the identity was deleted and made anew");
	if (claim->policy.len == 0)
		return authenticate_key_stands(rules, &identity.keys, claim->key_print)
			       ? GH_OK
			       : gh_fail(ret_err, GH_UNAUTHORIZED, "key_changed",
					 "the key of the identity was changed");
	struct sas_policy policy;
	status = policy_read(rules->store, claim->policy, &policy);
	if (status != GH_OK && status != GH_NOT_FOUND)
		return gh_fail(
			ret_err, GH_UNAVAILABLE, "store_failed", "reading the policy: %s", gh_status_name(status));
	if (status == GH_NOT_FOUND || !(policy.rights & GH_RIGHT_DEVICE_CONNECT))
		return gh_fail(ret_err, GH_UNAUTHORIZED, "policy_changed", "the policy lost its right");
	return authenticate_key_stands(rules, &policy.keys, claim->key_print)
		       ? GH_OK
		       : gh_fail(ret_err, GH_UNAUTHORIZED, "key_changed", "the key of the policy was changed");
}
