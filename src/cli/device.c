/* device.c - gatehouse device: identities of devices and modules.  Bulk import and export are in device_bulk.c. */
#include "src/cli/cli.h"
#include "src/cli/device_bulk.h"
#include "src/cli/target.h"

#include <stdio.h>
#include <string.h>

enum { DEVICE_UPDATE_TRIES = 3 };

/* What create and update have in common. */
struct device_change {
	struct target_where where;
	const char *module, *primary, *secondary, *regenerate;
	bool disabled, enable, as_json;
};

/* ---- printing ---- */

static const char *device_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

static void device_line(const char *name, const char *value)
{
	if (value && *value)
		printf("%-16s %s\n", name, value);
}

/* For people: what one needs to connect the device. */
static void device_print(const json_t *result)
{
	const json_t *document = json_object_get(result, "document"),
		     *strings = json_object_get(result, "connectionStrings");
	const json_t *auth = json_object_get(document, "authentication"), *keys = json_object_get(auth, "symmetricKey");
	const json_t *prints = json_object_get(auth, "x509Thumbprint");
	device_line("device", device_text(document, "deviceId"));
	device_line("module", device_text(document, "moduleId"));
	device_line("status", device_text(document, "status"));
	device_line("reason", device_text(document, "statusReason"));
	device_line("authentication", device_text(auth, "type"));
	device_line("primary key", device_text(keys, "primaryKey"));
	device_line("secondary key", device_text(keys, "secondaryKey"));
	device_line("thumbprint", device_text(prints, "primaryThumbprint"));
	device_line("thumbprint", device_text(prints, "secondaryThumbprint"));
	device_line("generation", device_text(document, "generationId"));
	device_line("etag", device_text(document, "etag"));
	device_line("primary", device_text(strings, "primary"));
	device_line("secondary", device_text(strings, "secondary"));
}

/* The document, with the connection strings beside its own members. */
static void device_print_json(const json_t *result)
{
	json_t *document = json_copy(json_object_get(result, "document"));
	const json_t *strings = json_object_get(result, "connectionStrings");
	json_object_set(document, "connectionString", json_object_get(strings, "primary"));
	json_object_set(document, "secondaryConnectionString", json_object_get(strings, "secondary"));
	target_print_json(document);
	json_decref(document);
}

/* Ends a sub-command: prints the result or the error. */
static int device_finish(const struct options *options, struct target *target, gh_status status, const gh_error *err,
	json_t *result, bool as_json)
{
	int code = status == GH_OK ? CLI_DONE : target_failed(options, err);
	if (status == GH_OK && as_json)
		device_print_json(result);
	else if (status == GH_OK && result)
		device_print(result);
	json_decref(result);
	target_close(target);
	return code;
}

/* ---- create ---- */

static json_t *device_document(const struct options *options, const struct device_change *change)
{
	json_t *keys = json_pack("{s:s*, s:s*}", "primaryKey", change->primary, "secondaryKey", change->secondary);
	json_t *auth = json_pack("{s:s, s:o}", "type", "sas", "symmetricKey", keys);
	return json_pack("{s:s, s:s*, s:s*, s:o}", "deviceId", options->argument[0], "moduleId", change->module,
		"status",
		change->module     ? NULL
		: change->disabled ? "disabled"
				   : "enabled",
		"authentication", auth);
}

static int device_create(int argc, char **argv)
{
	struct device_change change = {.module = NULL};
	const struct options_row rows[] = {
		{.name = "--primary-key",
			.text = &change.primary,
			.value = "B64",
			.help = "base64 of 16 to 64 bytes; made when absent"},
		{.name = "--secondary-key",
			.text = &change.secondary,
			.value = "B64",
			.help = "given with the other or not at all"},
		{.name = "--disabled", .flag = &change.disabled, .help = "may not connect until it is enabled"},
		{.name = "--module", .text = &change.module, .value = "M", .help = "create module M of device ID"},
		{.name = "--json", .flag = &change.as_json, .help = "print the identity document"},
		TARGET_ROWS(change.where),
		{.name = NULL},
	};
	struct options options = {.command = "device create",
		.arguments = "ID",
		.arguments_min = 1,
		.arguments_max = 1,
		.rows = rows,
		.help = "Creates an identity and prints it, with its connection strings."};
	int code = options_parse(&options, argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (!change.primary != !change.secondary)
		return options_wrong(&options, "--primary-key and --secondary-key come together or not at all");
	if (change.module && change.disabled)
		return options_wrong(&options, "a module has no switch of its own; disable its device");
	struct target target;
	gh_error err;
	json_t *result = NULL;
	gh_status status = target_open(&target, &change.where, TARGET_WRITE, &err);
	if (status == GH_OK)
		status = target_call(&target,
			target_request("device.create", "{s:o}", "document", device_document(&options, &change)),
			&result, &err);
	return device_finish(&options, &target, status, &err, result, change.as_json);
}

/* ---- show, delete ---- */

static int device_one(const char *command, const char *op, const char *help, bool shows, int argc, char **argv)
{
	struct target_where where = {NULL, NULL};
	const char *module = NULL;
	bool as_json = false;
	const struct options_row rows[] = {
		{.name = "--module", .text = &module, .value = "M", .help = "module M of device ID"},
		TARGET_ROWS(where),
		{.name = shows ? "--json" : NULL, .flag = &as_json, .help = "print the identity document"},
		{.name = NULL},
	};
	struct options options = {.command = command,
		.arguments = "ID",
		.arguments_min = 1,
		.arguments_max = 1,
		.rows = rows,
		.help = help};
	int code = options_parse(&options, argc, argv);
	if (code != OPTIONS_GO)
		return code;
	struct target target;
	gh_error err;
	json_t *result = NULL;
	gh_status status = target_open(&target, &where, TARGET_READ, &err);
	if (status == GH_OK)
		status = target_call(&target,
			target_request(op, "{s:s, s:s?, s:s*}", "deviceId", options.argument[0], "moduleId", module,
				"etag", shows ? NULL : "*"),
			&result, &err);
	if (!shows) {
		json_decref(result);
		result = NULL;
	}
	return device_finish(&options, &target, status, &err, result, as_json);
}

static int device_show(int argc, char **argv)
{
	return device_one("device show", "device.show", "Prints an identity, its keys and its connection strings.",
		true, argc, argv);
}

static int device_delete(int argc, char **argv)
{
	return device_one("device delete", "device.delete",
		"Deletes an identity and, of a device, its modules.  Its connections are closed.", false, argc, argv);
}

/* ---- update ---- */

/* Sets a key: the text given, or a fresh one when regenerate names the slot. */
static void device_set_key(
	json_t *keys, const char *member, const char *slot, const char *given, const char *regenerate)
{
	char fresh[45];
	bool make = regenerate && (strcmp(regenerate, slot) == 0 || strcmp(regenerate, "both") == 0);
	if (make)
		target_new_key(fresh);
	if (make || given)
		json_object_set_new(keys, member, json_string(make ? fresh : given));
}

static void device_apply(json_t *document, const struct device_change *change)
{
	json_t *keys = json_object_get(json_object_get(document, "authentication"), "symmetricKey");
	if (change->enable || change->disabled)
		json_object_set_new(document, "status", json_string(change->enable ? "enabled" : "disabled"));
	device_set_key(keys, "primaryKey", "primary", change->primary, change->regenerate);
	device_set_key(keys, "secondaryKey", "secondary", change->secondary, change->regenerate);
}

/* Read, change, write what nobody else changed meanwhile. */
static gh_status device_update_once(struct target *target, const char *id, const struct device_change *change,
	json_t **ret_result, gh_error *ret_err)
{
	json_t *found;
	gh_status status = target_call(target,
		target_request("device.show", "{s:s, s:s?}", "deviceId", id, "moduleId", change->module), &found,
		ret_err);
	if (status != GH_OK)
		return status;
	json_t *document = json_deep_copy(json_object_get(found, "document"));
	json_decref(found);
	device_apply(document, change);
	json_t *request = target_request(
		"device.update", "{s:s, s:o}", "etag", device_text(document, "etag"), "document", document);
	return target_call(target, request, ret_result, ret_err);
}

static int device_update_check(const struct options *options, const struct device_change *change)
{
	static const char *const slots[] = {"primary", "secondary", "both"};
	bool known = !change->regenerate;
	for (size_t i = 0; !known && i < sizeof slots / sizeof *slots; i++)
		known = strcmp(change->regenerate, slots[i]) == 0;
	if (!known)
		return options_wrong(
			options, "--regenerate is primary, secondary or both, not \"%s\"", change->regenerate);
	if (change->enable && change->disabled)
		return options_wrong(options, "--enable and --disable exclude each other");
	if (change->module && (change->enable || change->disabled))
		return options_wrong(options, "a module has no switch of its own; disable its device");
	if (change->regenerate && (change->primary || change->secondary))
		return options_wrong(options, "--regenerate makes the keys; none may be given with it");
	if (!change->enable && !change->disabled && !change->primary && !change->secondary && !change->regenerate)
		return options_wrong(options, "nothing to change is given");
	return OPTIONS_GO;
}

static int device_update(int argc, char **argv)
{
	struct device_change change = {.module = NULL};
	const struct options_row rows[] = {
		{.name = "--enable", .flag = &change.enable, .help = "may connect again"},
		{.name = "--disable", .flag = &change.disabled, .help = "may not connect; connections are closed"},
		{.name = "--enabled", .flag = &change.enable, .help = "the same as --enable"},
		{.name = "--disabled",
			.flag = &change.disabled,
			.help = "the same as --disable, as `device create` calls it"},
		{.name = "--primary-key", .text = &change.primary, .value = "B64", .help = "base64 of 16 to 64 bytes"},
		{.name = "--secondary-key", .text = &change.secondary, .value = "B64", .help = "the same"},
		{.name = "--regenerate",
			.text = &change.regenerate,
			.value = "WHICH",
			.help = "primary, secondary or both: fresh keys"},
		{.name = "--module", .text = &change.module, .value = "M", .help = "module M of device ID"},
		{.name = "--json", .flag = &change.as_json, .help = "print the identity document"},
		TARGET_ROWS(change.where),
		{.name = NULL},
	};
	struct options options = {.command = "device update",
		.arguments = "ID",
		.arguments_min = 1,
		.arguments_max = 1,
		.rows = rows,
		.help = "Changes an identity and prints it.  What is not named stays."};
	int code = options_parse(&options, argc, argv);
	if (code == OPTIONS_GO)
		code = device_update_check(&options, &change);
	if (code != OPTIONS_GO)
		return code;
	struct target target;
	gh_error err;
	json_t *result = NULL;
	gh_status status = target_open(&target, &change.where, TARGET_READ, &err);
	for (int i = 0; status == GH_OK || (i > 0 && i < DEVICE_UPDATE_TRIES && status == GH_CONFLICT); i++) {
		status = device_update_once(&target, options.argument[0], &change, &result, &err);
		if (status == GH_OK)
			break;
	}
	return device_finish(&options, &target, status, &err, result, change.as_json);
}

/* ---- list ---- */

static void device_print_row(const json_t *document)
{
	const json_t *auth = json_object_get(document, "authentication");
	const char *module = device_text(document, "moduleId"), *status = device_text(document, "status");
	printf("%-40s %-9s %s\n", *module ? module : device_text(document, "deviceId"), *status ? status : "-",
		device_text(auth, "type"));
}

struct device_list {
	bool as_json;
	json_t *all; /* as_json: gathered, so that one array comes out */
	bool headed;
};

static void device_list_visit(void *context, const json_t *document)
{
	struct device_list *list = context;
	if (list->as_json) {
		json_array_append(list->all, (json_t *)document);
		return;
	}
	if (!list->headed)
		printf("%-40s %-9s %s\n", "ID", "STATUS", "AUTHENTICATION");
	list->headed = true;
	device_print_row(document);
}

static int device_list(int argc, char **argv)
{
	struct target_where where = {NULL, NULL};
	struct device_list list = {.as_json = false};
	const struct options_row rows[] = {
		{.name = "--json", .flag = &list.as_json, .help = "print the identity documents as one JSON array"},
		TARGET_ROWS(where),
		{.name = NULL},
	};
	struct options options = {.command = "device list",
		.arguments = "[ID]",
		.arguments_max = 1,
		.rows = rows,
		.help = "Lists the devices or, with ID, the modules of that device."};
	int code = options_parse(&options, argc, argv);
	if (code != OPTIONS_GO)
		return code;
	struct target target;
	gh_error err;
	list.all = json_array();
	gh_status status = target_open(&target, &where, TARGET_READ, &err);
	if (status == GH_OK)
		status = device_bulk_pages(&target, "device.list", options.argument[0], device_list_visit, &list, &err);
	code = status == GH_OK ? CLI_DONE : target_failed(&options, &err);
	if (status == GH_OK && list.as_json)
		target_print_json(list.all);
	json_decref(list.all);
	target_close(&target);
	return code;
}

int cli_device(int argc, char **argv)
{
	static const struct options_verb verbs[] = {
		{"create", device_create, "create an identity"},
		{"show", device_show, "print an identity and its connection strings"},
		{"list", device_list, "list devices, or the modules of one"},
		{"update", device_update, "enable, disable, change keys"},
		{"delete", device_delete, "delete an identity"},
		{"import", device_bulk_import, "create many, one document a line"},
		{"export", device_bulk_export, "print all, one document a line"},
		{NULL, NULL, NULL},
	};
	return options_dispatch("device", verbs, argc, argv);
}
