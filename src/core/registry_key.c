/* registry_key.c - which names are allowed, and the keys they become.
 *
 * Every lookup passes through here, so an id that holds '/' can never reach the record of another identity.
 */
#include "src/core/registry_key.h"

#include "src/base/text.h"

#include <assert.h>

_Static_assert(sizeof((struct registry_key){0}.text) >= SAS_POLICY_BYTES_MAX, "a policy's name fits in a key");

static bool key_is_alphanumeric(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Letters, digits and the given others; 1 to len_max bytes. */
static bool key_is_made_of(gh_bytes name, const char *others, size_t len_max)
{
	if (name.len < 1 || name.len > len_max)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!key_is_alphanumeric(name.data[i]) && !memchr(others, name.data[i], strlen(others)))
			return false;
	return true;
}

bool registry_id_allowed(gh_bytes id)
{
	return key_is_made_of(id, "-.+%_#*?!(),=@$':;", REGISTRY_ID_BYTES_MAX);
}

static void key_append(struct registry_key *key, gh_bytes bytes)
{
	assert(bytes.len <= sizeof key->text - key->len);
	memcpy(key->text + key->len, bytes.data, bytes.len);
	key->len += bytes.len;
}

bool registry_key_prefix(gh_bytes device_id, struct registry_key *ret_key)
{
	if (!registry_id_allowed(device_id))
		return false;
	ret_key->len = 0;
	key_append(ret_key, device_id);
	key_append(ret_key, text_of("/"));
	return true;
}

bool registry_key_identity(gh_bytes device_id, gh_bytes module_id, struct registry_key *ret_key)
{
	if (module_id.len > 0 && !registry_id_allowed(module_id))
		return false;
	if (!registry_key_prefix(device_id, ret_key))
		return false;
	if (module_id.len > 0)
		key_append(ret_key, module_id);
	else
		ret_key->len--;
	return true;
}

bool registry_key_policy(gh_bytes name, struct registry_key *ret_key)
{
	if (!key_is_made_of(name, "-_.", SAS_POLICY_BYTES_MAX))
		return false;
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.data[i];
		ret_key->text[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
	}
	ret_key->len = name.len;
	return true;
}
