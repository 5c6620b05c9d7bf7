/* registry_document.h - what a client gave becomes the document that is stored (service contract 1.1, 2.2, 2.5).
 *
 * Pure but for the random bytes of keys that were not given.  Unknown fields and those only the hub may set are
 * ignored; every other field is either taken or refused by name (GH_INVALID).
 */
#ifndef GATEHOUSE_CORE_REGISTRY_DOCUMENT_H
#define GATEHOUSE_CORE_REGISTRY_DOCUMENT_H

#include "src/core/registry.h"

/* What the hub puts on a document it makes. */
struct registry_stamp {
	uint64_t wall_ms;
	uint64_t number; /* never given before: the generation of a new identity, the etag of any */
	void (*random)(void *bytes, size_t len);
};

/* Which identity does it speak of?  Borrowed from the document; an empty module id = a device. */
gh_status registry_document_ids(
	const json_t *given, gh_bytes *ret_device_id, gh_bytes *ret_module_id, gh_error *ret_err);

/* The identity's document; a new reference.  `before` is the stored one, NULL for a new identity. */
gh_status registry_document_identity(const json_t *given, const json_t *before, const struct registry_stamp *stamp,
	json_t **ret_document, gh_error *ret_err);

/* The policy's document; a new reference. */
gh_status registry_document_policy(
	const json_t *given, void (*random)(void *bytes, size_t len), json_t **ret_document, gh_error *ret_err);

#endif
