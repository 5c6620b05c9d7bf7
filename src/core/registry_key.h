/* registry_key.h - names of identities and policies as keys of the store. */
#ifndef GATEHOUSE_CORE_REGISTRY_KEY_H
#define GATEHOUSE_CORE_REGISTRY_KEY_H

#include "src/core/registry.h"

struct registry_key {
	uint8_t text[2 * REGISTRY_ID_BYTES_MAX + 1];
	size_t len;
};

static inline gh_bytes registry_key_bytes(const struct registry_key *key)
{
	return (gh_bytes){key->text, key->len};
}

/* "d" or, with a module id, "d/m".  False when an id is not one: then nothing can be stored under it. */
bool registry_key_identity(gh_bytes device_id, gh_bytes module_id, struct registry_key *ret_key);
/* What all keys of a device's modules and sub-sessions begin with: "d/". */
bool registry_key_prefix(gh_bytes device_id, struct registry_key *ret_key);
/* The lower-case name; 1 to 256 letters, digits, '-', '_' and '.'. */
bool registry_key_policy(gh_bytes name, struct registry_key *ret_key);

#endif
