/* identity.c - what the device side reads of a stored identity: once per connection, so one get and one parse each.
 *
 * Anything that cannot be understood is GH_INTERNAL, never an identity with less to prove.
 */
#include "src/core/registry.h"

#include "src/base/take.h"
#include "src/base/text.h"
#include "src/core/registry_key.h"

static void json_release(json_t **document)
{
	json_decref(*document);
}

/* "" when absent or null. */
static const char *identity_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

static bool identity_parse_keys(const json_t *authentication, struct identity *identity)
{
	const json_t *keys = json_object_get(authentication, "symmetricKey");
	return sas_key_decode(text_of(identity_text(keys, "primaryKey")), &identity->keys.primary) &&
	       sas_key_decode(text_of(identity_text(keys, "secondaryKey")), &identity->keys.secondary);
}

static bool identity_parse_thumbprint(const char *hex, char *ret_thumbprint)
{
	uint8_t bytes[32];
	size_t len;
	if (hex[0] == '\0')
		return true;
	if (!text_hex_decode(text_of(hex), bytes, sizeof bytes, &len) || (len != 20 && len != 32))
		return false;
	text_hex_encode(bytes, len, ret_thumbprint);
	return true;
}

static bool identity_parse_thumbprints(const json_t *authentication, struct identity *identity)
{
	const json_t *prints = json_object_get(authentication, "x509Thumbprint");
	return identity_parse_thumbprint(identity_text(prints, "primaryThumbprint"), identity->thumbprints[0]) &&
	       identity_parse_thumbprint(identity_text(prints, "secondaryThumbprint"), identity->thumbprints[1]);
}

static bool identity_parse_nothing(const json_t *authentication, struct identity *identity)
{
	(void)authentication;
	(void)identity;
	return true;
}

static const struct {
	const char *type;
	enum identity_auth auth;
	bool (*parse)(const json_t *authentication, struct identity *identity);
} auth_table[] = {
	{"sas", IDENTITY_SAS, identity_parse_keys},
	{"selfSigned", IDENTITY_SELF_SIGNED, identity_parse_thumbprints},
	{"certificateAuthority", IDENTITY_CA, identity_parse_nothing},
};

static bool identity_parse_authentication(const json_t *authentication, struct identity *identity)
{
	const char *type = identity_text(authentication, "type");
	for (size_t i = 0; i < sizeof auth_table / sizeof *auth_table; i++)
		if (strcmp(type, auth_table[i].type) == 0) {
			identity->auth = auth_table[i].auth;
			return auth_table[i].parse(authentication, identity);
		}
	return false;
}

/* Modules have no switch of their own; a device without one is not understood. */
static bool identity_parse_status(const json_t *document, struct identity *identity)
{
	const char *status = identity_text(document, "status");
	bool module = identity_text(document, "moduleId")[0] != '\0';
	identity->enabled = module || strcmp(status, "enabled") == 0;
	return identity->enabled || strcmp(status, "disabled") == 0;
}

gh_status identity_parse(gh_bytes json, struct identity *ret_identity)
{
	GH_CLEANUP(json_release) json_t *document = json_loadb((const char *)json.data, json.len, 0, NULL);
	struct identity identity = {.enabled = false};
	gh_bytes generation = text_of(identity_text(document, "generationId"));
	if (generation.len == 0 || generation.len > REGISTRY_GENERATION_BYTES_MAX)
		return GH_INTERNAL;
	memcpy(identity.generation_id, generation.data, generation.len);
	if (!identity_parse_status(document, &identity) ||
		!identity_parse_authentication(json_object_get(document, "authentication"), &identity))
		return GH_INTERNAL;
	*ret_identity = identity;
	return GH_OK;
}

static gh_status identity_read_one(
	gh_store *store, gh_bytes device_id, gh_bytes module_id, struct identity *ret_identity)
{
	struct registry_key key;
	if (!registry_key_identity(device_id, module_id, &key))
		return GH_NOT_FOUND;
	gh_store_value value;
	gh_status status = store->ops->get(store, GH_FAMILY_IDENTITIES, registry_key_bytes(&key), &value);
	if (status != GH_OK)
		return status;
	status = identity_parse((gh_bytes){value.data, value.len}, ret_identity);
	gh_store_value_done(&value);
	return status;
}

gh_status identity_read(gh_store *store, gh_bytes device_id, gh_bytes module_id, struct identity *ret_identity)
{
	struct identity identity;
	gh_status status = identity_read_one(store, device_id, (gh_bytes){NULL, 0}, &identity);
	if (status == GH_OK && module_id.len > 0) {
		bool device_enabled = identity.enabled;
		status = identity_read_one(store, device_id, module_id, &identity);
		identity.enabled = device_enabled;
	}
	if (status == GH_OK)
		*ret_identity = identity;
	return status;
}
