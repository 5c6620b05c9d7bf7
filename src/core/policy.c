/* policy.c - what checking a token reads of a stored policy.
 *
 * Managing them is registry_policy.c's business.  A stored policy that makes no sense is none: its tokens are refused.
 */
#include "src/core/registry.h"

#include "src/base/text.h"
#include "src/core/registry_key.h"

#include <stdio.h>

const char *const policy_right_names[POLICY_RIGHT_COUNT] = {
	"RegistryRead", "RegistryWrite", "ServiceConnect", "DeviceConnect"};
_Static_assert(GH_RIGHT_DEVICE_CONNECT == 1 << (POLICY_RIGHT_COUNT - 1), "a name for each right, in their order");

/* A name that is none of ours grants nothing. */
static unsigned policy_right_of(const char *name)
{
	for (unsigned i = 0; name && i < POLICY_RIGHT_COUNT; i++)
		if (strcmp(name, policy_right_names[i]) == 0)
			return 1u << i;
	return 0;
}

static unsigned policy_rights(const json_t *document)
{
	unsigned rights = 0;
	size_t i;
	const json_t *entry;
	json_array_foreach(json_object_get(document, "rights"), i, entry)
	{
		rights |= policy_right_of(json_string_value(entry));
	}
	return rights;
}

static bool policy_parse(const json_t *document, struct sas_policy *ret_policy)
{
	const char *name = json_string_value(json_object_get(document, "name"));
	const char *primary = json_string_value(json_object_get(document, "primaryKey"));
	const char *secondary = json_string_value(json_object_get(document, "secondaryKey"));
	struct sas_policy policy = {.rights = policy_rights(document)};
	if (!name || strlen(name) >= sizeof policy.name || !sas_key_decode(text_of(primary), &policy.keys.primary) ||
		!sas_key_decode(text_of(secondary), &policy.keys.secondary))
		return false;
	snprintf(policy.name, sizeof policy.name, "%s", name);
	*ret_policy = policy;
	return true;
}

gh_status policy_read(void *context, gh_bytes name, struct sas_policy *ret_policy)
{
	gh_store *store = context;
	struct registry_key key;
	gh_store_value value;
	if (!registry_key_policy(name, &key))
		return GH_NOT_FOUND;
	gh_status status = store->ops->get(store, GH_FAMILY_POLICIES, registry_key_bytes(&key), &value);
	if (status != GH_OK)
		return status;
	json_t *document = json_loadb((const char *)value.data, value.len, 0, NULL);
	gh_store_value_done(&value);
	bool good = policy_parse(document, ret_policy);
	json_decref(document);
	return good ? GH_OK : GH_NOT_FOUND;
}
