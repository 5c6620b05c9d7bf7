/* policy.c - gatehouse policy: shared access policies, their rights and keys. */
#include "src/base/text.h"
#include "src/cli/cli.h"
#include "src/cli/target.h"

#include <stdio.h>
#include <string.h>

struct policy_change {
	struct target_where where;
	const char *rights, *primary, *secondary, *regenerate;
	bool as_json;
};

static const char *policy_text(const json_t *policy, const char *name)
{
	const char *text = json_string_value(json_object_get(policy, name));
	return text ? text : "";
}

/* "A,B" */
static void policy_print_rights(const json_t *policy)
{
	size_t index;
	json_t *right;
	json_array_foreach(json_object_get(policy, "rights"), index, right)
		printf("%s%s", index ? "," : "", json_string_value(right));
	putchar('\n');
}

static void policy_print(const json_t *policy)
{
	printf("%-14s %s\n%-14s ", "policy", policy_text(policy, "name"), "rights");
	policy_print_rights(policy);
	printf("%-14s %s\n", "primary key", policy_text(policy, "primaryKey"));
	printf("%-14s %s\n", "secondary key", policy_text(policy, "secondaryKey"));
}

static void policy_print_all(const json_t *policies)
{
	size_t index;
	json_t *policy;
	printf("%-32s %s\n", "NAME", "RIGHTS");
	json_array_foreach(policies, index, policy)
	{
		printf("%-32s ", policy_text(policy, "name"));
		policy_print_rights(policy);
	}
}

static int policy_finish(const struct options *options, struct target *target, gh_status status, const gh_error *err,
	json_t *result, bool as_json)
{
	int code = status == GH_OK ? CLI_DONE : target_failed(options, err);
	if (status == GH_OK && as_json)
		target_print_json(result);
	else if (status == GH_OK && json_is_array(result))
		policy_print_all(result);
	else if (status == GH_OK && json_object_get(result, "name"))
		policy_print(result);
	json_decref(result);
	target_close(target);
	return code;
}

/* "A,B" as a list; the other side knows which rights there are. */
static json_t *policy_rights(const char *text)
{
	json_t *rights = json_array();
	gh_bytes rest = text_of(text), right;
	while (rest.len) {
		text_cut(rest, ',', &right, &rest);
		json_array_append_new(rights, json_stringn((const char *)right.data, right.len));
	}
	return rights;
}

static int policy_create(int argc, char **argv)
{
	struct policy_change change = {.rights = NULL};
	const struct options_row rows[] = {
		{.name = "--rights",
			.text = &change.rights,
			.value = "A,B",
			.help = "of RegistryRead, RegistryWrite, ServiceConnect, DeviceConnect"},
		{.name = "--primary-key",
			.text = &change.primary,
			.value = "B64",
			.help = "base64 of 16 to 64 bytes; made when absent"},
		{.name = "--secondary-key",
			.text = &change.secondary,
			.value = "B64",
			.help = "given with the other or not at all"},
		{.name = "--json", .flag = &change.as_json, .help = "print the policy as JSON"},
		TARGET_ROWS(change.where),
		{.name = NULL},
	};
	struct options options = {.command = "policy create",
		.arguments = "NAME",
		.arguments_min = 1,
		.arguments_max = 1,
		.rows = rows,
		.help = "Creates a policy and prints it."};
	int code = options_parse(&options, argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (!change.rights)
		return options_wrong(&options, "--rights is missing");
	if (!change.primary != !change.secondary)
		return options_wrong(&options, "--primary-key and --secondary-key come together or not at all");
	struct target target;
	gh_error err;
	json_t *result = NULL;
	json_t *document = json_pack("{s:s, s:o, s:s*, s:s*}", "name", options.argument[0], "rights",
		policy_rights(change.rights), "primaryKey", change.primary, "secondaryKey", change.secondary);
	gh_status status = target_open(&target, &change.where, TARGET_WRITE, &err);
	if (status == GH_OK)
		status = target_call(
			&target, target_request("policy.create", "{s:O}", "document", document), &result, &err);
	json_decref(document);
	return policy_finish(&options, &target, status, &err, result, change.as_json);
}

static void policy_apply(json_t *policy, const struct policy_change *change)
{
	const struct {
		const char *member, *slot, *given;
	} keys[] = {{"primaryKey", "primary", change->primary}, {"secondaryKey", "secondary", change->secondary}};
	if (change->rights)
		json_object_set_new(policy, "rights", policy_rights(change->rights));
	for (size_t i = 0; i < 2; i++) {
		char fresh[45];
		const char *regenerate = change->regenerate;
		bool make = regenerate && (strcmp(regenerate, keys[i].slot) == 0 || strcmp(regenerate, "both") == 0);
		if (make)
			target_new_key(fresh);
		if (make || keys[i].given)
			json_object_set_new(policy, keys[i].member, json_string(make ? fresh : keys[i].given));
	}
}

static int policy_update_check(const struct options *options, const struct policy_change *change)
{
	const char *regenerate = change->regenerate;
	if (regenerate && strcmp(regenerate, "primary") != 0 && strcmp(regenerate, "secondary") != 0 &&
		strcmp(regenerate, "both") != 0)
		return options_wrong(options, "--regenerate is primary, secondary or both, not \"%s\"", regenerate);
	if (regenerate && (change->primary || change->secondary))
		return options_wrong(options, "--regenerate makes the keys; none may be given with it");
	if (!regenerate && !change->rights && !change->primary && !change->secondary)
		return options_wrong(options, "nothing to change is given");
	return OPTIONS_GO;
}

static gh_status policy_update_call(struct target *target, const char *name, const struct policy_change *change,
	json_t **ret_result, gh_error *ret_err)
{
	json_t *policy;
	gh_status status = target_call(target, target_request("policy.show", "{s:s}", "name", name), &policy, ret_err);
	if (status != GH_OK)
		return status;
	policy_apply(policy, change);
	return target_call(target, target_request("policy.update", "{s:o}", "document", policy), ret_result, ret_err);
}

static int policy_update(int argc, char **argv)
{
	struct policy_change change = {.rights = NULL};
	const struct options_row rows[] = {
		{.name = "--rights", .text = &change.rights, .value = "A,B", .help = "all it shall have from now on"},
		{.name = "--primary-key", .text = &change.primary, .value = "B64", .help = "base64 of 16 to 64 bytes"},
		{.name = "--secondary-key", .text = &change.secondary, .value = "B64", .help = "the same"},
		{.name = "--regenerate",
			.text = &change.regenerate,
			.value = "WHICH",
			.help = "primary, secondary or both: fresh keys"},
		{.name = "--json", .flag = &change.as_json, .help = "print the policy as JSON"},
		TARGET_ROWS(change.where),
		{.name = NULL},
	};
	struct options options = {.command = "policy update",
		.arguments = "NAME",
		.arguments_min = 1,
		.arguments_max = 1,
		.rows = rows,
		.help = "Changes a policy and prints it.  What is not named stays."};
	int code = options_parse(&options, argc, argv);
	if (code == OPTIONS_GO)
		code = policy_update_check(&options, &change);
	if (code != OPTIONS_GO)
		return code;
	struct target target;
	gh_error err;
	json_t *result = NULL;
	gh_status status = target_open(&target, &change.where, TARGET_READ, &err);
	if (status == GH_OK)
		status = policy_update_call(&target, options.argument[0], &change, &result, &err);
	return policy_finish(&options, &target, status, &err, result, change.as_json);
}

/* show, delete, list: one request, printed. */
static int policy_ask(
	const char *command, const char *op, const char *help, bool named, bool shows, int argc, char **argv)
{
	struct target_where where = {NULL, NULL};
	bool as_json = false;
	const struct options_row rows[] = {
		TARGET_ROWS(where),
		{.name = shows ? "--json" : NULL, .flag = &as_json, .help = "print JSON"},
		{.name = NULL},
	};
	struct options options = {.command = command,
		.arguments = named ? "NAME" : "",
		.arguments_min = named,
		.arguments_max = named,
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
		status = target_call(&target, target_request(op, "{s:s*}", "name", options.argument[0]), &result, &err);
	return policy_finish(&options, &target, status, &err, result, as_json);
}

static int policy_show(int argc, char **argv)
{
	return policy_ask("policy show", "policy.show", "Prints a policy with its keys.", true, true, argc, argv);
}

static int policy_delete(int argc, char **argv)
{
	return policy_ask("policy delete", "policy.delete",
		"Deletes a policy.  Tokens signed with its keys stop working.", true, false, argc, argv);
}

static int policy_list(int argc, char **argv)
{
	return policy_ask("policy list", "policy.list", "Lists the policies; with --json, keys included.", false, true,
		argc, argv);
}

int cli_policy(int argc, char **argv)
{
	static const struct options_verb verbs[] = {
		{"create", policy_create, "create a policy"},
		{"show", policy_show, "print a policy and its keys"},
		{"list", policy_list, "list the policies"},
		{"update", policy_update, "change rights or keys"},
		{"delete", policy_delete, "delete a policy"},
		{NULL, NULL, NULL},
	};
	return options_dispatch("policy", verbs, argc, argv);
}
