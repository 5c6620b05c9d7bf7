#include "src/core/registry_add.h"

#include "src/base/take.h"
#include "src/core/registry_document.h"
#include "src/core/registry_key.h"

#include <assert.h>
#include <inttypes.h>

/* Ids that passed registry_id_allowed are safe to print. */
#define ID(id) (int)(id).len, (const char *)(id).data

static gh_status add_exists(
	struct registry_batch *batch, const struct registry_key *key, bool *ret_exists, gh_error *err)
{
	json_t *document;
	uint64_t version;
	gh_status status =
		registry_batch_get(batch, GH_FAMILY_IDENTITIES, registry_key_bytes(key), &document, &version, err);
	if (status == GH_OK)
		json_decref(document);
	*ret_exists = status == GH_OK;
	return status == GH_NOT_FOUND ? GH_OK : status;
}

/* A module needs its device, and room beside its sisters. */
static gh_status add_check_device(struct registry_batch *batch, gh_bytes device_id, gh_error *ret_err)
{
	struct registry_key device, prefix;
	bool allowed = registry_key_identity(device_id, (gh_bytes){NULL, 0}, &device) &&
		       registry_key_prefix(device_id, &prefix);
	assert(allowed); /* ids come checked from the document */
	bool exists;
	size_t count;
	gh_status status = add_exists(batch, &device, &exists, ret_err);
	if (status != GH_OK)
		return status;
	if (!exists)
		return gh_fail(ret_err, GH_NOT_FOUND, "device_not_found", "device %.*s does not exist", ID(device_id));
	status = registry_batch_count(batch, GH_FAMILY_IDENTITIES, registry_key_bytes(&prefix), &count, ret_err);
	uint64_t max = batch->registry->limits->modules_per_device_max;
	if (status == GH_OK && count >= max)
		return gh_fail(ret_err, GH_QUOTA, "modules_per_device_max",
			"device %.*s has %zu modules, allowed are %" PRIu64, ID(device_id), count, max);
	return status;
}

static gh_status add_check(
	struct registry_batch *batch, const json_t *given, struct registry_key *ret_key, gh_error *ret_err)
{
	gh_bytes device_id, module_id;
	gh_status status = registry_document_ids(given, &device_id, &module_id, ret_err);
	if (status != GH_OK)
		return status;
	bool exists, allowed = registry_key_identity(device_id, module_id, ret_key);
	assert(allowed);
	status = add_exists(batch, ret_key, &exists, ret_err);
	if (status != GH_OK)
		return status;
	if (exists && module_id.len == 0)
		return gh_fail(ret_err, GH_EXISTS, "device_exists", "device %.*s already exists", ID(device_id));
	if (exists)
		return gh_fail(ret_err, GH_EXISTS, "module_exists", "module %.*s of device %.*s already exists",
			ID(module_id), ID(device_id));
	return module_id.len > 0 ? add_check_device(batch, device_id, ret_err) : GH_OK;
}

gh_status registry_add(struct registry_batch *batch, const json_t *given, json_t **ret_document, gh_error *ret_err)
{
	struct registry_key key;
	gh_status status = add_check(batch, given, &key, ret_err);
	if (status != GH_OK)
		return status;
	struct registry_stamp stamp = {
		.wall_ms = batch->wall_ms,
		.number = registry_batch_number(batch),
		.random = batch->registry->random,
	};
	json_t *document;
	status = registry_document_identity(given, NULL, &stamp, &document, ret_err);
	if (status != GH_OK)
		return status;
	status = registry_batch_put(
		batch, GH_FAMILY_IDENTITIES, registry_key_bytes(&key), document, GH_VERSION_NONE, ret_err);
	if (status == GH_OK)
		*ret_document = GH_TAKE(document);
	json_decref(document);
	return status;
}
