/* registry.c - identities, managed: create, update, delete, get, list (service contract 2.3 to 2.5).
 *
 * Which fields a document has is registry_document.c's question; that no two writers undo each other is
 * registry_batch.c's.  Here stand the preconditions and what belongs to an identity and goes with it.
 */
#include "src/core/registry.h"

#include "src/base/take.h"
#include "src/base/text.h"
#include "src/core/registry_add.h"
#include "src/core/registry_batch.h"
#include "src/core/registry_document.h"
#include "src/core/registry_key.h"

static const gh_bytes no_module = {NULL, 0};

/* What one change is asked for, and what it made in its latest try. */
struct change {
	const json_t *given;
	const char *etag;
	gh_bytes device_id;
	gh_bytes module_id;
	json_t *made;
	bool created;
};

static gh_status registry_finish(gh_status status, struct change *change, json_t **ret_document)
{
	if (status == GH_OK)
		*ret_document = GH_TAKE(change->made);
	json_decref(change->made);
	return status;
}

static gh_status registry_not_found(const struct change *change, gh_error *err)
{
	if (change->module_id.len > 0)
		return gh_fail(err, GH_NOT_FOUND, "module_not_found", "there is no such module on that device");
	return gh_fail(err, GH_NOT_FOUND, "device_not_found", "there is no such device");
}

/* The stored document; a new reference. */
static gh_status registry_find(struct registry_batch *batch, const struct change *change, struct registry_key *ret_key,
	json_t **ret_document, uint64_t *ret_version, gh_error *ret_err)
{
	if (!registry_key_identity(change->device_id, change->module_id, ret_key))
		return registry_not_found(change, ret_err);
	gh_status status = registry_batch_get(
		batch, GH_FAMILY_IDENTITIES, registry_key_bytes(ret_key), ret_document, ret_version, ret_err);
	return status == GH_NOT_FOUND ? registry_not_found(change, ret_err) : status;
}

/* The precondition of 2.4: a star, or the etag itself; either may stand in quotes. */
static gh_status registry_check_etag(const json_t *document, const char *etag, gh_error *ret_err)
{
	if (!etag)
		return gh_fail(ret_err, GH_CONFLICT, "etag_missing", "Etag missing: say which one, or *");
	gh_bytes wanted = text_of(etag);
	if (wanted.len >= 2 && wanted.data[0] == '"' && wanted.data[wanted.len - 1] == '"')
		wanted = (gh_bytes){wanted.data + 1, wanted.len - 2};
	const char *current = json_string_value(json_object_get(document, "etag"));
	if (text_equal(wanted, text_of("*")) || (current && text_equal(wanted, text_of(current))))
		return GH_OK;
	return gh_fail(ret_err, GH_CONFLICT, "etag_mismatch", "the identity has changed: its etag is another");
}

/* ---- create and update ---- */

static gh_status registry_change_create(struct registry_batch *batch, void *context, gh_error *ret_err)
{
	struct change *change = context;
	json_decref(change->made);
	change->made = NULL;
	return registry_add(batch, change->given, &change->made, ret_err);
}

gh_status registry_device_create(
	const struct registry *r, const json_t *document, json_t **ret_document, gh_error *ret_err)
{
	struct change change = {.given = document};
	return registry_finish(registry_batch_run(r, registry_change_create, &change, ret_err), &change, ret_document);
}

static gh_status registry_replace(struct registry_batch *batch, struct change *change, const struct registry_key *key,
	const json_t *before, uint64_t version, gh_error *ret_err)
{
	gh_status status = registry_check_etag(before, change->etag, ret_err);
	if (status != GH_OK)
		return status;
	struct registry_stamp stamp = {
		.wall_ms = batch->wall_ms,
		.number = registry_batch_number(batch),
		.random = batch->registry->random,
	};
	status = registry_document_identity(change->given, before, &stamp, &change->made, ret_err);
	if (status != GH_OK)
		return status;
	return registry_batch_put(batch, GH_FAMILY_IDENTITIES, registry_key_bytes(key), change->made, version, ret_err);
}

static gh_status registry_change_update(struct registry_batch *batch, void *context, gh_error *ret_err)
{
	struct change *change = context;
	json_decref(change->made);
	change->made = NULL;
	struct registry_key key;
	json_t *before;
	uint64_t version;
	gh_status status = registry_find(batch, change, &key, &before, &version, ret_err);
	if (status != GH_OK)
		return status;
	status = registry_replace(batch, change, &key, before, version, ret_err);
	json_decref(before);
	return status;
}

gh_status registry_device_update(
	const struct registry *r, const json_t *document, const char *etag, json_t **ret_document, gh_error *ret_err)
{
	if (!etag)
		return registry_device_create(r, document, ret_document, ret_err);
	struct change change = {.given = document, .etag = etag};
	gh_status status = registry_document_ids(document, &change.device_id, &change.module_id, ret_err);
	if (status != GH_OK)
		return status;
	return registry_finish(registry_batch_run(r, registry_change_update, &change, ret_err), &change, ret_document);
}

static gh_status registry_change_put(struct registry_batch *batch, void *context, gh_error *ret_err)
{
	struct change *change = context;
	gh_status status = registry_change_update(batch, context, ret_err);
	change->created = status == GH_NOT_FOUND;
	return change->created ? registry_add(batch, change->given, &change->made, ret_err) : status;
}

gh_status registry_device_put(const struct registry *r, const json_t *document, const char *etag, json_t **ret_document,
	bool *ret_created, gh_error *ret_err)
{
	struct change change = {.given = document, .etag = etag};
	gh_status status = registry_document_ids(document, &change.device_id, &change.module_id, ret_err);
	if (status != GH_OK)
		return status;
	status = registry_finish(registry_batch_run(r, registry_change_put, &change, ret_err), &change, ret_document);
	if (status == GH_OK)
		*ret_created = change.created;
	return status;
}

/* ---- delete ---- */

/* The sessions of the identity, and of what lies below it. */
static gh_status registry_remove_sessions(
	struct registry_batch *batch, const struct change *change, const struct registry_key *key, gh_error *ret_err)
{
	gh_store *store = batch->registry->store;
	gh_store_value session = {.data = NULL};
	gh_status status = store->ops->get(store, GH_FAMILY_SESSIONS, registry_key_bytes(key), &session);
	gh_store_value_done(&session);
	if (status != GH_OK && status != GH_NOT_FOUND)
		return gh_fail(ret_err, status, "store_read", "the identity's session cannot be read");
	if (status == GH_OK)
		status = registry_batch_remove(
			batch, GH_FAMILY_SESSIONS, registry_key_bytes(key), GH_VERSION_ANY, ret_err);
	else
		status = GH_OK;
	struct registry_key below;
	if (status != GH_OK || change->module_id.len > 0 || !registry_key_prefix(change->device_id, &below))
		return status;
	return registry_batch_remove_all(batch, GH_FAMILY_SESSIONS, registry_key_bytes(&below), ret_err);
}

static gh_status registry_change_delete(struct registry_batch *batch, void *context, gh_error *ret_err)
{
	const struct change *change = context;
	struct registry_key key, modules;
	json_t *before;
	uint64_t version;
	gh_status status = registry_find(batch, change, &key, &before, &version, ret_err);
	if (status != GH_OK)
		return status;
	status = registry_check_etag(before, change->etag, ret_err);
	json_decref(before);
	if (status == GH_OK)
		status = registry_batch_remove(batch, GH_FAMILY_IDENTITIES, registry_key_bytes(&key), version, ret_err);
	if (status == GH_OK && change->module_id.len == 0 && registry_key_prefix(change->device_id, &modules))
		status = registry_batch_remove_all(batch, GH_FAMILY_IDENTITIES, registry_key_bytes(&modules), ret_err);
	return status == GH_OK ? registry_remove_sessions(batch, change, &key, ret_err) : status;
}

gh_status registry_device_delete(
	const struct registry *r, const char *device_id, const char *module_id, const char *etag, gh_error *ret_err)
{
	struct change change = {.etag = etag, .device_id = text_of(device_id), .module_id = text_of(module_id)};
	return registry_batch_run(r, registry_change_delete, &change, ret_err);
}

/* ---- get and list: one record or one consistent scan each, so they need no batch ---- */

static gh_status registry_parse(gh_bytes value, json_t **ret_document, gh_error *ret_err)
{
	json_t *document = json_loadb((const char *)value.data, value.len, 0, NULL);
	if (!document)
		return gh_fail(ret_err, GH_INTERNAL, "registry_record", "a stored document of the registry is damaged");
	*ret_document = document;
	return GH_OK;
}

gh_status registry_device_get(const struct registry *r, const char *device_id, const char *module_id,
	json_t **ret_document, gh_error *ret_err)
{
	struct change wanted = {.device_id = text_of(device_id), .module_id = text_of(module_id)};
	struct registry_key key;
	gh_store_value value;
	if (!registry_key_identity(wanted.device_id, wanted.module_id, &key))
		return registry_not_found(&wanted, ret_err);
	gh_status status = r->store->ops->get(r->store, GH_FAMILY_IDENTITIES, registry_key_bytes(&key), &value);
	if (status == GH_NOT_FOUND)
		return registry_not_found(&wanted, ret_err);
	if (status != GH_OK)
		return gh_fail(ret_err, status, "store_read", "the store cannot be read (%s)", gh_status_name(status));
	status = registry_parse((gh_bytes){value.data, value.len}, ret_document, ret_err);
	gh_store_value_done(&value);
	return status;
}

struct list {
	gh_bytes prefix; /* "d/" for modules, empty for devices */
	gh_bytes from;   /* exclusive when after_from */
	bool after_from;
	size_t max;
	json_t *documents;
	gh_status status;
	gh_error *err;
};

static bool registry_list_visit(void *context, gh_bytes key, uint64_t version, gh_bytes value)
{
	struct list *list = context;
	json_t *document = NULL;
	(void)version;
	bool modules = list->prefix.len > 0;
	if (modules && (key.len < list->prefix.len || memcmp(key.data, list->prefix.data, list->prefix.len) != 0))
		return false;
	if (!modules && memchr(key.data, '/', key.len))
		return true;
	if (list->after_from && text_equal(key, list->from))
		return true;
	if (json_array_size(list->documents) == list->max)
		return false;
	list->status = registry_parse(value, &document, list->err);
	if (list->status == GH_OK && json_array_append_new(list->documents, document) != 0)
		list->status = gh_fail(list->err, GH_NO_MEMORY, "no_memory", "no memory for a list of identities");
	return list->status == GH_OK;
}

static gh_status registry_list(const struct registry *r, struct list *list, json_t **ret_documents, gh_error *ret_err)
{
	list->documents = json_array();
	list->status = list->documents ? GH_OK : gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for a list");
	list->err = ret_err;
	if (list->status == GH_OK) {
		gh_status status =
			r->store->ops->scan(r->store, GH_FAMILY_IDENTITIES, list->from, registry_list_visit, list);
		if (status != GH_OK)
			list->status = gh_fail(
				ret_err, status, "store_read", "the store cannot be read (%s)", gh_status_name(status));
	}
	if (list->status == GH_OK)
		*ret_documents = GH_TAKE(list->documents);
	json_decref(list->documents);
	return list->status;
}

static gh_status registry_list_modules(const struct registry *r, const char *device_id, const char *after, size_t max,
	json_t **ret_documents, gh_error *ret_err)
{
	json_t *device;
	gh_status status = registry_device_get(r, device_id, NULL, &device, ret_err);
	if (status != GH_OK)
		return status;
	json_decref(device);
	struct registry_key prefix, from;
	bool has_after = after && after[0] != '\0';
	if (!registry_key_prefix(text_of(device_id), &prefix) ||
		!registry_key_identity(text_of(device_id), has_after ? text_of(after) : no_module, &from))
		return gh_fail(ret_err, GH_INVALID, "id_form", "after is not the id of a module");
	struct list list = {
		.prefix = registry_key_bytes(&prefix),
		.from = registry_key_bytes(has_after ? &from : &prefix),
		.after_from = has_after,
		.max = max,
	};
	return registry_list(r, &list, ret_documents, ret_err);
}

gh_status registry_device_list(const struct registry *r, const char *device_id, const char *after, size_t max,
	json_t **ret_documents, gh_error *ret_err)
{
	if (device_id && device_id[0] != '\0')
		return registry_list_modules(r, device_id, after, max, ret_documents, ret_err);
	struct list list = {.from = text_of(after), .after_from = true, .max = max};
	return registry_list(r, &list, ret_documents, ret_err);
}
