/* registry.h - identities and policies in the store: the documents, their rules, who may read them.
 *
 * A record in the store is the identity's JSON document (service contract 2.2), one key per identity: "d" for a device,
 * "d/m" for a module ('/' is no character of an id).  Policies are JSON documents under their lower-case name.
 * Callers that write may block: never on a loop thread.  identity_read and policy_read are for loop threads too.
 */
#ifndef GATEHOUSE_CORE_REGISTRY_H
#define GATEHOUSE_CORE_REGISTRY_H

#include <gatehouse/limits.h>
#include <gatehouse/store.h>

#include "src/core/sas.h"

#include <jansson.h>

enum { REGISTRY_ID_BYTES_MAX = 128, REGISTRY_GENERATION_BYTES_MAX = 128 };

/* 1 to 128 characters of the grammar in 2.1. */
bool registry_id_allowed(gh_bytes id);

/* What the device side consults.  Plain data: no pointers, copied freely. */
enum identity_auth { IDENTITY_SAS, IDENTITY_SELF_SIGNED, IDENTITY_CA };

struct identity {
	bool enabled; /* of a module: the device's, too */
	enum identity_auth auth;
	struct sas_key_pair keys;
	char generation_id[REGISTRY_GENERATION_BYTES_MAX + 1];
	char thumbprints[2][65]; /* lower-case hex, "" = none */
};

/* From a stored document; GH_INTERNAL when it cannot be understood. */
gh_status identity_parse(gh_bytes json, struct identity *ret_identity);
/* GH_NOT_FOUND when the device (or its module) does not exist; GH_INTERNAL or the store's own status when it cannot be
 * read. */
gh_status identity_read(gh_store *store, gh_bytes device_id, gh_bytes module_id, struct identity *ret_identity);
/* As sas_find_policy; context is the gh_store. */
gh_status policy_read(void *store, gh_bytes name, struct sas_policy *ret_policy);
/* How documents spell the rights: [i] is the bit 1 << i of enum gh_right. */
enum { POLICY_RIGHT_COUNT = 4 };
extern const char *const policy_right_names[POLICY_RIGHT_COUNT];

/* ---- management: documents in, documents out ---- */

/* What making documents needs from outside. */
struct registry {
	gh_store *store;
	const gh_limits *limits;
	void (*random)(void *bytes, size_t len);
	uint64_t (*wall_ms)(void);
};

/* Creates the five default policies with fresh keys where they are missing. */
gh_status registry_ensure_policies(const struct registry *r, gh_error *ret_err);

/* Each returns a new reference in *ret_document.  `document` is what the client gave, with a moduleId for a module: see
 * 2.2 for which fields it may set; absent or empty keys are generated.  module_id: NULL or "" = the device.
 * etag, with or without quotes: "*" = any; another that is not the document's is GH_CONFLICT.  Without one (NULL) an
 * update is a creation and a deletion is GH_CONFLICT, as 2.4 has it.
 * GH_INVALID with a code per field; GH_EXISTS; GH_NOT_FOUND; GH_QUOTA (modules of a device); GH_CONFLICT also when other
 * writers kept coming first; else the store's. */
gh_status registry_device_create(
	const struct registry *r, const json_t *document, json_t **ret_document, gh_error *ret_err);
gh_status registry_device_update(
	const struct registry *r, const json_t *document, const char *etag, json_t **ret_document, gh_error *ret_err);
/* Creates what does not exist, else updates it under that etag, in one transaction (createOrUpdate of 2.6). */
gh_status registry_device_put(const struct registry *r, const json_t *document, const char *etag, json_t **ret_document,
	bool *ret_created, gh_error *ret_err);
/* Removes modules and stored sessions with it. */
gh_status registry_device_delete(
	const struct registry *r, const char *device_id, const char *module_id, const char *etag, gh_error *ret_err);
gh_status registry_device_get(const struct registry *r, const char *device_id, const char *module_id,
	json_t **ret_document, gh_error *ret_err);
/* An array of at most `max` documents after `after` ("" = from the start), modules left out unless device_id is given
 * (then the modules of that device, GH_NOT_FOUND when there is no such device). */
gh_status registry_device_list(const struct registry *r, const char *device_id, const char *after, size_t max,
	json_t **ret_documents, gh_error *ret_err);

/* Many documents in few transactions: feed lines, then finish.  Stops at the first bad line; the error names it, and
 * finish repeats it.  The lines before it are written, and counted in *ret_count whatever finish returns. */
struct registry_import;
struct registry_import *registry_import_new(const struct registry *r);
gh_status registry_import_line(struct registry_import *import, gh_bytes line, gh_error *ret_err);
gh_status registry_import_finish(struct registry_import *import, size_t *ret_count, gh_error *ret_err);
void registry_import_free(struct registry_import *import);

/* Policies: {"name","rights":["DeviceConnect",...],"primaryKey","secondaryKey"} */
gh_status registry_policy_create(
	const struct registry *r, const json_t *document, json_t **ret_document, gh_error *ret_err);
gh_status registry_policy_update(
	const struct registry *r, const json_t *document, json_t **ret_document, gh_error *ret_err);
gh_status registry_policy_delete(const struct registry *r, const char *name, gh_error *ret_err);
gh_status registry_policy_get(const struct registry *r, const char *name, json_t **ret_document, gh_error *ret_err);
gh_status registry_policy_list(const struct registry *r, json_t **ret_documents, gh_error *ret_err);

#endif
