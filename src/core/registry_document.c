#include "src/core/registry_document.h"

#include "src/base/log.h"
#include "src/base/take.h"
#include "src/base/text.h"
#include "src/core/registry_key.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum { KEY_BYTES_MIN = 16, KEY_BYTES_MADE = 32, NUMBER_TEXT_SIZE = 21 };
enum { TEXT_CHARACTERS_MAX = 128, SCOPE_CHARACTERS_MAX = 256, PARENT_SCOPES_MAX = 16 };

static const char time_never[] = "0001-01-01T00:00:00Z";

static void document_release(json_t **document)
{
	json_decref(*document);
}

static gh_status document_no_memory(gh_error *err)
{
	return gh_fail(err, GH_NO_MEMORY, "no_memory", "no memory for a document");
}

/* ---- reading what was given; null is absent everywhere ---- */

static const json_t *document_member(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	return json_is_null(value) ? NULL : value;
}

static gh_status document_read_object(
	const json_t *object, const char *name, const json_t **ret_value, gh_error *ret_err)
{
	const json_t *value = document_member(object, name);
	if (value && !json_is_object(value))
		return gh_fail(ret_err, GH_INVALID, "document_field", "%s is not an object", name);
	*ret_value = value;
	return GH_OK;
}

/* NULL when absent. */
static gh_status document_read_text(const json_t *object, const char *name, const char **ret_text, gh_error *ret_err)
{
	const json_t *value = document_member(object, name);
	if (value && !json_is_string(value))
		return gh_fail(ret_err, GH_INVALID, "document_field", "%s is not a string", name);
	*ret_text = json_string_value(value);
	return GH_OK;
}

static size_t document_characters(const char *text)
{
	size_t count = 0;
	for (; *text; text++)
		count += ((uint8_t)*text & 0xc0) != 0x80;
	return count;
}

static gh_status document_read_short_text(
	const json_t *object, const char *name, size_t characters_max, const char **ret_text, gh_error *ret_err)
{
	gh_status status = document_read_text(object, name, ret_text, ret_err);
	if (status == GH_OK && *ret_text && document_characters(*ret_text) > characters_max)
		return gh_fail(ret_err, GH_INVALID, "document_field", "%s is longer than %zu characters", name,
			characters_max);
	return status;
}

/* NULL when absent or empty. */
static gh_status document_read_secret(const json_t *object, const char *name, const char **ret_text, gh_error *ret_err)
{
	gh_status status = document_read_text(object, name, ret_text, ret_err);
	if (status == GH_OK && *ret_text && (*ret_text)[0] == '\0')
		*ret_text = NULL;
	return status;
}

static gh_status document_read_id(const json_t *object, const char *name, const char **ret_id, gh_error *ret_err)
{
	gh_status status = document_read_text(object, name, ret_id, ret_err);
	if (status == GH_OK && *ret_id && !registry_id_allowed(text_of(*ret_id)))
		return gh_fail(ret_err, GH_INVALID, "id_form",
			"%s %s is not 1 to %d letters, digits or -.+%%_#*?!(),=@$':;", name, LOG_TEXT(text_of(*ret_id)),
			REGISTRY_ID_BYTES_MAX);
	return status;
}

gh_status registry_document_ids(
	const json_t *given, gh_bytes *ret_device_id, gh_bytes *ret_module_id, gh_error *ret_err)
{
	const char *device_id, *module_id;
	if (!json_is_object(given))
		return gh_fail(ret_err, GH_INVALID, "document_form", "the document is not a JSON object");
	gh_status status = document_read_id(given, "deviceId", &device_id, ret_err);
	if (status == GH_OK && !device_id)
		status = gh_fail(ret_err, GH_INVALID, "id_missing", "the document has no deviceId");
	if (status == GH_OK)
		status = document_read_id(given, "moduleId", &module_id, ret_err);
	if (status != GH_OK)
		return status;
	if (module_id && module_id[0] == '$')
		return gh_fail(ret_err, GH_INVALID, "id_form", "moduleId %s begins with $, which only the hub may use",
			LOG_TEXT(text_of(module_id)));
	*ret_device_id = text_of(device_id);
	*ret_module_id = text_of(module_id);
	return GH_OK;
}

/* ---- keys ---- */

static gh_status document_check_key(const char *name, const char *key, gh_error *ret_err)
{
	struct sas_key decoded;
	if (sas_key_decode(text_of(key), &decoded) && decoded.len >= KEY_BYTES_MIN)
		return GH_OK;
	return gh_fail(ret_err, GH_INVALID, "key_form", "%s is not base64 of %d to %d bytes", name, KEY_BYTES_MIN,
		SAS_KEY_BYTES_MAX);
}

static json_t *document_make_key(void (*random)(void *bytes, size_t len))
{
	uint8_t bytes[KEY_BYTES_MADE];
	char base64[TEXT_BASE64_SIZE(KEY_BYTES_MADE)];
	random(bytes, sizeof bytes);
	text_base64_encode(bytes, sizeof bytes, base64);
	return json_string(base64);
}

/* Both keys of `given` (NULL = none) into `into`; both or neither, and neither means new ones. */
static gh_status document_put_keys(
	json_t *into, const json_t *given, void (*random)(void *bytes, size_t len), gh_error *ret_err)
{
	static const char *const names[2] = {"primaryKey", "secondaryKey"};
	const char *keys[2];
	for (size_t i = 0; i < 2; i++) {
		gh_status status = document_read_secret(given, names[i], &keys[i], ret_err);
		if (status == GH_OK && keys[i])
			status = document_check_key(names[i], keys[i], ret_err);
		if (status != GH_OK)
			return status;
	}
	if (!keys[0] != !keys[1])
		return gh_fail(ret_err, GH_INVALID, "key_pair", "primaryKey and secondaryKey: give both or neither");
	int failed = 0;
	for (size_t i = 0; i < 2; i++) {
		json_t *key = keys[i] ? json_string(keys[i]) : document_make_key(random);
		failed |= json_object_set_new(into, names[i], key);
	}
	return failed ? document_no_memory(ret_err) : GH_OK;
}

/* ---- authentication ---- */

static const char *const thumbprint_names[2] = {"primaryThumbprint", "secondaryThumbprint"};

static gh_status document_put_thumbprints(
	json_t *into, const json_t *given, void (*random)(void *bytes, size_t len), gh_error *ret_err)
{
	(void)random;
	for (size_t i = 0; i < 2; i++) {
		const char *hex;
		uint8_t bytes[32];
		size_t len;
		gh_status status = document_read_secret(given, thumbprint_names[i], &hex, ret_err);
		if (status != GH_OK)
			return status;
		if (hex && (!text_hex_decode(text_of(hex), bytes, sizeof bytes, &len) || (len != 20 && len != 32)))
			return gh_fail(ret_err, GH_INVALID, "thumbprint_form", "%s is not 40 or 64 hex digits",
				thumbprint_names[i]);
		if (json_object_set_new(into, thumbprint_names[i], hex ? json_string(hex) : json_null()) != 0)
			return document_no_memory(ret_err);
	}
	return GH_OK;
}

/* Two parts, of which the type uses one or none; the other keeps its names and holds nulls, as clients expect. */
static const struct document_part {
	const char *name;
	const char *fields[2];
	gh_status (*put)(json_t *into, const json_t *given, void (*random)(void *bytes, size_t len), gh_error *ret_err);
} part_table[] = {
	{"symmetricKey", {"primaryKey", "secondaryKey"}, document_put_keys},
	{"x509Thumbprint", {"primaryThumbprint", "secondaryThumbprint"}, document_put_thumbprints},
};
enum { PART_KEYS, PART_THUMBPRINTS, PART_COUNT, PART_NONE = PART_COUNT };

static const struct document_type {
	const char *name;
	unsigned part;
} type_table[] = {
	{"sas", PART_KEYS},
	{"selfSigned", PART_THUMBPRINTS},
	{"certificateAuthority", PART_NONE},
};

static const struct document_type *document_find_type(const char *name)
{
	for (size_t i = 0; i < sizeof type_table / sizeof *type_table; i++)
		if (text_equal_nocase(text_of(name), text_of(type_table[i].name)))
			return &type_table[i];
	return NULL;
}

/* Absent means sas, and so does "none" for a module. */
static gh_status document_read_type(
	const json_t *authentication, bool module, const struct document_type **ret_type, gh_error *ret_err)
{
	const char *name;
	gh_status status = document_read_text(authentication, "type", &name, ret_err);
	if (status != GH_OK)
		return status;
	if (!name || (module && text_equal_nocase(text_of(name), text_of("none"))))
		name = "sas";
	*ret_type = document_find_type(name);
	if (!*ret_type)
		return gh_fail(ret_err, GH_INVALID, "authentication_type",
			"authentication.type %s is not sas, selfSigned or certificateAuthority",
			LOG_TEXT(text_of(name)));
	return GH_OK;
}

static gh_status document_put_part(json_t *into, const json_t *authentication, const struct document_part *part,
	bool used, void (*random)(void *bytes, size_t len), gh_error *ret_err)
{
	const json_t *given = NULL;
	json_t *made = json_object();
	if (json_object_set_new(into, part->name, made) != 0) /* takes made, also when it fails */
		return document_no_memory(ret_err);
	gh_status status = document_read_object(authentication, part->name, &given, ret_err);
	if (status != GH_OK || used)
		return status == GH_OK ? part->put(made, given, random, ret_err) : status;
	for (size_t i = 0; i < 2; i++)
		if (json_object_set_new(made, part->fields[i], json_null()) != 0)
			return document_no_memory(ret_err);
	return GH_OK;
}

static gh_status document_put_authentication(
	json_t *into, const json_t *given, bool module, const struct registry_stamp *stamp, gh_error *ret_err)
{
	const json_t *authentication;
	const struct document_type *type;
	gh_status status = document_read_object(given, "authentication", &authentication, ret_err);
	if (status == GH_OK)
		status = document_read_type(authentication, module, &type, ret_err);
	if (status != GH_OK)
		return status;
	json_t *made = json_object();
	if (json_object_set_new(into, "authentication", made) != 0 ||
		json_object_set_new(made, "type", json_string(type->name)) != 0)
		return document_no_memory(ret_err);
	for (unsigned i = 0; i < PART_COUNT && status == GH_OK; i++)
		status = document_put_part(
			made, authentication, &part_table[i], type->part == i, stamp->random, ret_err);
	return status;
}

/* ---- identities ---- */

static json_t *document_optional(const char *text)
{
	return text ? json_string(text) : json_null();
}

/* What only the hub says. */
static gh_status document_put_stamps(
	json_t *into, const json_t *before, const struct registry_stamp *stamp, gh_error *ret_err)
{
	char number[NUMBER_TEXT_SIZE], etag[TEXT_BASE64_SIZE(NUMBER_TEXT_SIZE)];
	snprintf(number, sizeof number, "%" PRIu64, stamp->number);
	text_base64_encode((const uint8_t *)number, strlen(number), etag);
	json_t *generation = before ? json_incref(json_object_get(before, "generationId")) : json_string(number);
	int failed = json_object_set_new(into, "generationId", generation);
	failed |= json_object_set_new(into, "etag", json_string(etag));
	return failed ? document_no_memory(ret_err) : GH_OK;
}

static gh_status document_read_status(const json_t *given, const char **ret_name, gh_error *ret_err)
{
	static const char *const names[] = {"enabled", "disabled"};
	const char *name;
	gh_status status = document_read_text(given, "status", &name, ret_err);
	if (status != GH_OK)
		return status;
	for (size_t i = 0; i < 2; i++)
		if (text_equal_nocase(text_of(name ? name : "enabled"), text_of(names[i]))) {
			*ret_name = names[i];
			return GH_OK;
		}
	return gh_fail(
		ret_err, GH_INVALID, "status_form", "status %s is not enabled or disabled", LOG_TEXT(text_of(name)));
}

static const char *document_status_time(
	const json_t *before, const char *status, const struct registry_stamp *stamp, char room[TEXT_TIME_SIZE])
{
	const char *old = json_string_value(json_object_get(before, "status"));
	const char *old_time = json_string_value(json_object_get(before, "statusUpdatedTime"));
	if (!old || strcmp(old, status) == 0)
		return old_time ? old_time : time_never;
	text_time(stamp->wall_ms, room);
	return room;
}

static gh_status document_put_status(
	json_t *into, const json_t *given, const json_t *before, const struct registry_stamp *stamp, gh_error *ret_err)
{
	const char *name = NULL, *reason = NULL;
	char room[TEXT_TIME_SIZE];
	gh_status status = document_read_status(given, &name, ret_err);
	if (status == GH_OK)
		status = document_read_short_text(given, "statusReason", TEXT_CHARACTERS_MAX, &reason, ret_err);
	if (status != GH_OK)
		return status;
	int failed = json_object_set_new(into, "status", json_string(name));
	failed |= json_object_set_new(into, "statusReason", document_optional(reason));
	failed |= json_object_set_new(
		into, "statusUpdatedTime", json_string(document_status_time(before, name, stamp, room)));
	return failed ? document_no_memory(ret_err) : GH_OK;
}

static gh_status document_put_capabilities(json_t *into, const json_t *given, gh_error *ret_err)
{
	const json_t *capabilities;
	gh_status status = document_read_object(given, "capabilities", &capabilities, ret_err);
	if (status != GH_OK)
		return status;
	const json_t *edge = document_member(capabilities, "iotEdge");
	if (edge && !json_is_boolean(edge))
		return gh_fail(ret_err, GH_INVALID, "document_field", "capabilities.iotEdge is not true or false");
	json_t *made = json_object();
	if (json_object_set_new(into, "capabilities", made) != 0 ||
		json_object_set_new(made, "iotEdge", json_boolean(json_is_true(edge))) != 0)
		return document_no_memory(ret_err);
	return GH_OK;
}

/* ---- scopes: an edge device has one, its leaves name it; members that nobody gave are left out ---- */

static bool document_is_edge(const json_t *document)
{
	return json_is_true(json_object_get(json_object_get(document, "capabilities"), "iotEdge"));
}

static gh_status document_put_scope(json_t *into, const char *scope, gh_error *ret_err)
{
	return json_object_set_new(into, "deviceScope", json_string(scope)) == 0 ? GH_OK : document_no_memory(ret_err);
}

static gh_status document_put_parents(json_t *into, const json_t *given, gh_error *ret_err)
{
	json_t *parents = (json_t *)document_member(given, "parentScopes"), *parent;
	size_t i;
	if (!parents)
		return GH_OK;
	if (!json_is_array(parents) || json_array_size(parents) > PARENT_SCOPES_MAX)
		return gh_fail(ret_err, GH_INVALID, "document_field", "parentScopes is not a list of at most %d texts",
			PARENT_SCOPES_MAX);
	json_array_foreach(parents, i, parent)
	{
		const char *text = json_string_value(parent);
		if (!text || document_characters(text) > SCOPE_CHARACTERS_MAX)
			return gh_fail(ret_err, GH_INVALID, "document_field",
				"parentScopes holds what is not a text of at most %d characters", SCOPE_CHARACTERS_MAX);
	}
	return json_object_set(into, "parentScopes", parents) == 0 ? GH_OK : document_no_memory(ret_err);
}

/* Its leaves refer to its scope, so it keeps the first one: what was given with it, else one that the hub makes. */
static gh_status document_put_edge_scopes(json_t *into, const json_t *given, const json_t *before, const char *scope,
	const struct registry_stamp *stamp, gh_error *ret_err)
{
	char made[SCOPE_CHARACTERS_MAX];
	const char *kept = document_is_edge(before) ? json_string_value(json_object_get(before, "deviceScope")) : NULL;
	snprintf(made, sizeof made, "ms-azure-iot-edge://%s-%" PRIu64,
		json_string_value(json_object_get(into, "deviceId")), stamp->number);
	gh_status status = document_put_scope(into, kept ? kept : scope ? scope : made, ret_err);
	return status == GH_OK ? document_put_parents(into, given, ret_err) : status;
}

static gh_status document_put_leaf_scopes(json_t *into, const char *scope, gh_error *ret_err)
{
	gh_status status = document_put_scope(into, scope, ret_err);
	if (status == GH_OK && json_object_set_new(into, "parentScopes", json_pack("[s]", scope)) != 0)
		return document_no_memory(ret_err);
	return status;
}

static gh_status document_put_scopes(
	json_t *into, const json_t *given, const json_t *before, const struct registry_stamp *stamp, gh_error *ret_err)
{
	const char *scope;
	gh_status status = document_read_short_text(given, "deviceScope", SCOPE_CHARACTERS_MAX, &scope, ret_err);
	if (status != GH_OK)
		return status;
	if (scope && scope[0] == '\0')
		scope = NULL;
	if (document_is_edge(into))
		return document_put_edge_scopes(into, given, before, scope, stamp, ret_err);
	return scope ? document_put_leaf_scopes(into, scope, ret_err) : GH_OK;
}

static gh_status document_put_device(
	json_t *into, const json_t *given, const json_t *before, const struct registry_stamp *stamp, gh_error *ret_err)
{
	gh_status status = document_put_status(into, given, before, stamp, ret_err);
	if (status == GH_OK)
		status = document_put_authentication(into, given, false, stamp, ret_err);
	if (status == GH_OK)
		status = document_put_capabilities(into, given, ret_err);
	return status == GH_OK ? document_put_scopes(into, given, before, stamp, ret_err) : status;
}

static gh_status document_put_module(
	json_t *into, const json_t *given, const struct registry_stamp *stamp, gh_error *ret_err)
{
	const char *managed_by;
	gh_status status = document_read_short_text(given, "managedBy", TEXT_CHARACTERS_MAX, &managed_by, ret_err);
	if (status != GH_OK)
		return status;
	if (json_object_set_new(into, "managedBy", document_optional(managed_by)) != 0)
		return document_no_memory(ret_err);
	return document_put_authentication(into, given, true, stamp, ret_err);
}

gh_status registry_document_identity(const json_t *given, const json_t *before, const struct registry_stamp *stamp,
	json_t **ret_document, gh_error *ret_err)
{
	gh_bytes device_id, module_id;
	gh_status status = registry_document_ids(given, &device_id, &module_id, ret_err);
	if (status != GH_OK)
		return status;
	GH_CLEANUP(document_release) json_t *made = json_object();
	if (json_object_set_new(made, "deviceId", json_string((const char *)device_id.data)) != 0 ||
		(module_id.len > 0 &&
			json_object_set_new(made, "moduleId", json_string((const char *)module_id.data)) != 0))
		return document_no_memory(ret_err);
	status = document_put_stamps(made, before, stamp, ret_err);
	if (status == GH_OK)
		status = module_id.len > 0 ? document_put_module(made, given, stamp, ret_err)
					   : document_put_device(made, given, before, stamp, ret_err);
	if (status == GH_OK)
		*ret_document = GH_TAKE(made);
	return status;
}

/* ---- policies ---- */

static gh_status document_read_right(const json_t *entry, bool has[POLICY_RIGHT_COUNT], gh_error *ret_err)
{
	const char *text = json_string_value(entry);
	for (size_t i = 0; text && i < POLICY_RIGHT_COUNT; i++)
		if (text_equal_nocase(text_of(text), text_of(policy_right_names[i]))) {
			has[i] = true;
			return GH_OK;
		}
	return gh_fail(ret_err, GH_INVALID, "right_unknown",
		"right %s is not RegistryRead, RegistryWrite, ServiceConnect or DeviceConnect",
		LOG_TEXT(text_of(text)));
}

static gh_status document_put_rights(json_t *into, const json_t *given, gh_error *ret_err)
{
	const json_t *rights = document_member(given, "rights"), *entry;
	bool has[POLICY_RIGHT_COUNT] = {false};
	size_t i;
	if (!json_is_array(rights) || json_array_size(rights) == 0)
		return gh_fail(ret_err, GH_INVALID, "rights_missing", "rights is not a list of at least one right");
	json_array_foreach(rights, i, entry)
	{
		gh_status status = document_read_right(entry, has, ret_err);
		if (status != GH_OK)
			return status;
	}
	json_t *made = json_array();
	int failed = json_object_set_new(into, "rights", made);
	for (i = 0; i < POLICY_RIGHT_COUNT && !failed; i++)
		if (has[i])
			failed = json_array_append_new(made, json_string(policy_right_names[i]));
	return failed ? document_no_memory(ret_err) : GH_OK;
}

gh_status registry_document_policy(
	const json_t *given, void (*random)(void *bytes, size_t len), json_t **ret_document, gh_error *ret_err)
{
	const char *name;
	struct registry_key key;
	if (!json_is_object(given))
		return gh_fail(ret_err, GH_INVALID, "document_form", "the document is not a JSON object");
	gh_status status = document_read_text(given, "name", &name, ret_err);
	if (status == GH_OK && !registry_key_policy(text_of(name), &key))
		status = gh_fail(ret_err, GH_INVALID, "policy_name",
			"a policy's name is 1 to %d letters, digits or -_.", SAS_POLICY_BYTES_MAX);
	if (status != GH_OK)
		return status;
	GH_CLEANUP(document_release) json_t *made = json_object();
	if (json_object_set_new(made, "name", json_string(name)) != 0)
		return document_no_memory(ret_err);
	status = document_put_rights(made, given, ret_err);
	if (status == GH_OK)
		status = document_put_keys(made, given, random, ret_err);
	if (status == GH_OK)
		*ret_document = GH_TAKE(made);
	return status;
}
