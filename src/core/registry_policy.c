/* registry_policy.c - shared access policies, managed (service contract 1.1).
 *
 * Keys follow the rules of device keys: both or neither, and without any new ones are made, also by an update.
 */
#include "src/core/registry.h"

#include "src/base/take.h"
#include "src/base/text.h"
#include "src/core/registry_batch.h"
#include "src/core/registry_document.h"
#include "src/core/registry_key.h"

#include <inttypes.h>

struct policy_change {
	const json_t *given;
	const char *name;
	json_t *made;
};

static gh_status policy_not_found(gh_error *err)
{
	return gh_fail(err, GH_NOT_FOUND, "policy_not_found", "there is no policy of that name");
}

static gh_status policy_finish(gh_status status, struct policy_change *change, json_t **ret_document)
{
	if (status == GH_OK)
		*ret_document = GH_TAKE(change->made);
	json_decref(change->made);
	return status;
}

/* Makes the document anew and tells its key and the version stored under it (GH_VERSION_NONE = none). */
static gh_status policy_prepare(struct registry_batch *batch, struct policy_change *change,
	struct registry_key *ret_key, uint64_t *ret_version, gh_error *ret_err)
{
	json_t *before;
	json_decref(change->made);
	change->made = NULL;
	gh_status status = registry_document_policy(change->given, batch->registry->random, &change->made, ret_err);
	if (status != GH_OK)
		return status;
	bool allowed = registry_key_policy(text_of(json_string_value(json_object_get(change->made, "name"))), ret_key);
	if (!allowed)
		return gh_fail(ret_err, GH_INTERNAL, "policy_name", "a policy was made without a name");
	*ret_version = GH_VERSION_NONE;
	status = registry_batch_get(
		batch, GH_FAMILY_POLICIES, registry_key_bytes(ret_key), &before, ret_version, ret_err);
	if (status == GH_OK)
		json_decref(before);
	return status == GH_NOT_FOUND ? GH_OK : status;
}

static gh_status policy_check_count(struct registry_batch *batch, gh_error *ret_err)
{
	size_t count;
	uint64_t max = batch->registry->limits->policies_max;
	gh_status status = registry_batch_count(batch, GH_FAMILY_POLICIES, (gh_bytes){NULL, 0}, &count, ret_err);
	if (status == GH_OK && count >= max)
		return gh_fail(
			ret_err, GH_QUOTA, "policies_max", "there are %zu policies, allowed are %" PRIu64, count, max);
	return status;
}

static gh_status policy_change_create(struct registry_batch *batch, void *context, gh_error *ret_err)
{
	struct policy_change *change = context;
	struct registry_key key;
	uint64_t version;
	gh_status status = policy_prepare(batch, change, &key, &version, ret_err);
	if (status == GH_OK && version != GH_VERSION_NONE)
		status = gh_fail(ret_err, GH_EXISTS, "policy_exists", "a policy of that name already exists");
	if (status == GH_OK)
		status = policy_check_count(batch, ret_err);
	if (status != GH_OK)
		return status;
	return registry_batch_put(
		batch, GH_FAMILY_POLICIES, registry_key_bytes(&key), change->made, GH_VERSION_NONE, ret_err);
}

gh_status registry_policy_create(
	const struct registry *r, const json_t *document, json_t **ret_document, gh_error *ret_err)
{
	struct policy_change change = {.given = document};
	return policy_finish(registry_batch_run(r, policy_change_create, &change, ret_err), &change, ret_document);
}

static gh_status policy_change_update(struct registry_batch *batch, void *context, gh_error *ret_err)
{
	struct policy_change *change = context;
	struct registry_key key;
	uint64_t version;
	gh_status status = policy_prepare(batch, change, &key, &version, ret_err);
	if (status == GH_OK && version == GH_VERSION_NONE)
		status = policy_not_found(ret_err);
	if (status != GH_OK)
		return status;
	return registry_batch_put(batch, GH_FAMILY_POLICIES, registry_key_bytes(&key), change->made, version, ret_err);
}

gh_status registry_policy_update(
	const struct registry *r, const json_t *document, json_t **ret_document, gh_error *ret_err)
{
	struct policy_change change = {.given = document};
	return policy_finish(registry_batch_run(r, policy_change_update, &change, ret_err), &change, ret_document);
}

static gh_status policy_change_delete(struct registry_batch *batch, void *context, gh_error *ret_err)
{
	const struct policy_change *change = context;
	struct registry_key key;
	json_t *before;
	uint64_t version;
	if (!registry_key_policy(text_of(change->name), &key))
		return policy_not_found(ret_err);
	gh_bytes bytes = registry_key_bytes(&key);
	gh_status status = registry_batch_get(batch, GH_FAMILY_POLICIES, bytes, &before, &version, ret_err);
	if (status != GH_OK)
		return status == GH_NOT_FOUND ? policy_not_found(ret_err) : status;
	json_decref(before);
	return registry_batch_remove(batch, GH_FAMILY_POLICIES, bytes, version, ret_err);
}

gh_status registry_policy_delete(const struct registry *r, const char *name, gh_error *ret_err)
{
	struct policy_change change = {.name = name};
	return registry_batch_run(r, policy_change_delete, &change, ret_err);
}

/* ---- get and list ---- */

struct policy_list {
	json_t *documents;
	bool failed;
};

static bool policy_list_visit(void *context, gh_bytes key, uint64_t version, gh_bytes value)
{
	struct policy_list *list = context;
	(void)key;
	(void)version;
	json_t *document = json_loadb((const char *)value.data, value.len, 0, NULL);
	list->failed = json_array_append_new(list->documents, document) != 0;
	return !list->failed;
}

gh_status registry_policy_list(const struct registry *r, json_t **ret_documents, gh_error *ret_err)
{
	struct policy_list list = {.documents = json_array()};
	gh_status status =
		r->store->ops->scan(r->store, GH_FAMILY_POLICIES, (gh_bytes){NULL, 0}, policy_list_visit, &list);
	if (status != GH_OK)
		gh_fail(ret_err, status, "store_read", "the store cannot be read (%s)", gh_status_name(status));
	else if (list.failed || !list.documents)
		status = gh_fail(ret_err, GH_INTERNAL, "registry_record", "a stored policy is damaged");
	else
		*ret_documents = GH_TAKE(list.documents);
	json_decref(list.documents);
	return status;
}

gh_status registry_policy_get(const struct registry *r, const char *name, json_t **ret_document, gh_error *ret_err)
{
	struct registry_key key;
	gh_store_value value;
	if (!registry_key_policy(text_of(name), &key))
		return policy_not_found(ret_err);
	gh_status status = r->store->ops->get(r->store, GH_FAMILY_POLICIES, registry_key_bytes(&key), &value);
	if (status == GH_NOT_FOUND)
		return policy_not_found(ret_err);
	if (status != GH_OK)
		return gh_fail(ret_err, status, "store_read", "the store cannot be read (%s)", gh_status_name(status));
	json_t *document = json_loadb((const char *)value.data, value.len, 0, NULL);
	gh_store_value_done(&value);
	if (!document)
		return gh_fail(ret_err, GH_INTERNAL, "registry_record", "a stored policy is damaged");
	*ret_document = document;
	return GH_OK;
}

/* ---- the five every hub begins with ---- */

static const char *const default_policies[] = {
	("{\"name\":\"iothubowner\","
	 "\"rights\":[\"RegistryRead\",\"RegistryWrite\",\"ServiceConnect\",\"DeviceConnect\"]}"),
	"{\"name\":\"service\",\"rights\":[\"ServiceConnect\"]}",
	"{\"name\":\"device\",\"rights\":[\"DeviceConnect\"]}",
	"{\"name\":\"registryRead\",\"rights\":[\"RegistryRead\"]}",
	"{\"name\":\"registryReadWrite\",\"rights\":[\"RegistryRead\",\"RegistryWrite\"]}",
};

/* Not held to policies_max: a hub that the operator filled up must still start. */
static gh_status policy_ensure(struct registry_batch *batch, const char *text, gh_error *ret_err)
{
	struct policy_change change = {.given = NULL};
	struct registry_key key;
	uint64_t version;
	json_t *given = json_loads(text, 0, NULL);
	change.given = given;
	gh_status status = given ? policy_prepare(batch, &change, &key, &version, ret_err)
				 : gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for a policy");
	if (status == GH_OK && version == GH_VERSION_NONE)
		status = registry_batch_put(
			batch, GH_FAMILY_POLICIES, registry_key_bytes(&key), change.made, GH_VERSION_NONE, ret_err);
	json_decref(change.made);
	json_decref(given);
	return status;
}

static gh_status policy_change_ensure(struct registry_batch *batch, void *context, gh_error *ret_err)
{
	(void)context;
	gh_status status = GH_OK;
	for (size_t i = 0; i < sizeof default_policies / sizeof *default_policies && status == GH_OK; i++)
		status = policy_ensure(batch, default_policies[i], ret_err);
	return status;
}

gh_status registry_ensure_policies(const struct registry *r, gh_error *ret_err)
{
	return registry_batch_run(r, policy_change_ensure, NULL, ret_err);
}
