/* SAS tokens: any bytes, parsed, held against scopes and verified.  Borrowed runs stay inside the text. */
#include "tests/fuzz/fuzz.h"

#include "src/base/limits.h"
#include "src/base/text.h"
#include "src/core/sas.h"

#include <assert.h>

static const char *const hosts[] = {"hub.example.net", "gateway", NULL};
static const struct sas_key key = {.bytes = {1, 2, 3}, .len = 32};

static gh_status find_policy(void *context, gh_bytes name, struct sas_policy *ret_policy)
{
	(void)context;
	assert(name.len >= 1 && name.len <= SAS_POLICY_BYTES_MAX);
	*ret_policy = (struct sas_policy){.name = "device",
		.rights = name.data[0] == 's' ? GH_RIGHT_SERVICE_CONNECT : GH_RIGHT_DEVICE_CONNECT,
		.keys = {.primary = key}};
	return name.data[0] == 'n' ? GH_NOT_FOUND : name.data[0] == 'u' ? GH_IO : GH_OK;
}

/* What covers a device covers its modules, and what a device may write for itself a back end may too. */
static void fuzz_scope(gh_bytes sr)
{
	struct sas_resource device = sas_resource_device(hosts, text_of("dev1"), (gh_bytes){NULL, 0});
	struct sas_resource module = sas_resource_device(hosts, text_of("dev1"), text_of("mod-A"));
	bool policy = sas_scope_covers(sr, &device, SAS_SCOPE_POLICY);
	bool service = sas_scope_covers(sr, &device, SAS_SCOPE_SERVICE);
	assert(!policy || (service && sas_scope_covers(sr, &module, SAS_SCOPE_POLICY)));
	assert(!service || sas_scope_covers(sr, &module, SAS_SCOPE_SERVICE));
	assert(!sas_scope_covers(sr, &device, SAS_SCOPE_IDENTITY) ||
		!sas_scope_covers(sr, &module, SAS_SCOPE_IDENTITY));
}

/* What verifies with decoded keys alone verifies with both readings too. */
static void fuzz_service(gh_bytes text, const gh_limits *limits)
{
	struct sas_service_check check = {
		.text = text,
		.now_s = 1800000000,
		.limits = limits,
		.resource = {hosts, {text_of("hub1"), text_of("ConsumerGroups"), text_of("$Default")}, 3},
		.rights = GH_RIGHT_SERVICE_CONNECT,
		.find_policy = find_policy,
	};
	struct sas_verdict verdict;
	gh_error error = {.code = NULL};
	gh_status status = sas_verify_service(&check, &verdict, &error);
	assert(status == GH_OK || ((status == GH_UNAUTHORIZED || status == GH_UNAVAILABLE) && error.code));
	assert(status != GH_OK || (verdict.slot != SAS_NO_KEY && verdict.expires_s > check.now_s));
	check.text_keys = true;
	assert(status != GH_OK || sas_verify_service(&check, &verdict, &error) == GH_OK);
	sas_verify_service(&check, &verdict, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	gh_limits limits;
	limits_defaults(&limits);
	struct sas_key_pair keys = {.secondary = key};
	struct sas_check check = {
		.text = {data, size},
		.now_s = 1800000000,
		.limits = &limits,
		.hosts = hosts,
		.device_id = text_of("dev1"),
		.module_id = text_of("mod-A"),
		.identity_keys = &keys,
		.find_policy = find_policy,
	};
	struct sas_verdict verdict;
	gh_error error = {.code = NULL};
	gh_status status = sas_verify(&check, &verdict, &error);
	assert(status == GH_OK || ((status == GH_UNAUTHORIZED || status == GH_UNAVAILABLE) && error.code));

	struct sas_token token;
	if (sas_parse(check.text, &limits, &token, NULL) == GH_OK) {
		assert(token.sr.data >= data && token.sr.data + token.sr.len <= data + size);
		assert(token.se_text.data >= data && token.se_text.data + token.se_text.len <= data + size);
	}
	fuzz_scope(check.text);
	fuzz_service(check.text, &limits);
	return 0;
}
