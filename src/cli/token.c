/* token.c - gatehouse token: create a SAS token from a key, and explain one. */
#include "src/admin/explain.h"
#include "src/base/text.h"
#include "src/cli/cli.h"
#include "src/cli/target.h"
#include "src/core/sas.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TOKEN_TEXT_MAX = 65536 };

/* One line of standard input, without its end.  False when there is none, or too much. */
static bool token_read_line(char ret_text[TOKEN_TEXT_MAX + 2])
{
	if (!fgets(ret_text, TOKEN_TEXT_MAX + 2, stdin))
		return false;
	ret_text[strcspn(ret_text, "\r\n")] = '\0';
	return strlen(ret_text) <= TOKEN_TEXT_MAX;
}

/* ---- create ---- */

static int token_create(int argc, char **argv)
{
	const char *resource = NULL, *key_text = NULL, *policy = "";
	uint64_t ttl = 0;
	const struct options_row rows[] = {
		{.name = "--resource",
			.text = &resource,
			.value = "URI",
			.help = "host/devices/ID, host/devices/ID/modules/M, or host"},
		{.name = "--key", .text = &key_text, .value = "B64", .help = "the key; - reads it from standard input"},
		{.name = "--policy", .text = &policy, .value = "NAME", .help = "the policy whose key it is"},
		{.name = "--ttl", .number = &ttl, .value = "SECONDS", .help = "how long the token is good"},
		{.name = NULL},
	};
	struct options options = {.command = "token create",
		.arguments = "",
		.rows = rows,
		.help = "Prints a SAS token made with a key.  No hub is asked."};
	int code = options_parse(&options, argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (!resource || !*resource || !key_text)
		return options_wrong(&options, "%s is missing", resource && *resource ? "--key" : "--resource");
	if (ttl == 0)
		return options_wrong(&options, "--ttl is missing, or 0");
	char line[TOKEN_TEXT_MAX + 2], text[2 * TOKEN_TEXT_MAX];
	if (strcmp(key_text, "-") == 0)
		key_text = token_read_line(line) ? line : "";
	struct sas_key key;
	if (!sas_key_decode(text_of(key_text), &key))
		return options_wrong(&options, "the key is not base64 of 1 to 64 bytes");
	uint64_t now = (uint64_t)time(NULL);
	size_t len =
		sas_create(resource, &key, policy, ttl > UINT64_MAX - now ? UINT64_MAX : now + ttl, text, sizeof text);
	explicit_bzero(&key, sizeof key);
	if (len == 0)
		return options_wrong(&options, "the resource or the policy name is too long");
	puts(text);
	return CLI_DONE;
}

/* ---- explain ---- */

/* Foreign text on a terminal: nothing but printable characters. */
static void token_print_text(const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c < 0x20 || c == 0x7f)
			printf("\\x%02x", c);
		else
			putchar(c);
	}
}

static void token_print_line(const char *name, const char *value)
{
	if (!value)
		return;
	printf("%-10s ", name);
	token_print_text(value);
	putchar('\n');
}

static void token_print_fields(const json_t *fields)
{
	size_t index;
	json_t *field;
	json_array_foreach(fields, index, field)
	{
		token_print_text(json_string_value(json_object_get(field, "name")));
		fputs(" = ", stdout);
		token_print_text(json_string_value(json_object_get(field, "value")));
		putchar('\n');
	}
}

static void token_print(const json_t *answer)
{
	static const char *const members[] = {"scope", "expires", "policy", "deviceId", "moduleId", "text", "rule"};
	size_t index;
	json_t *note;
	token_print_fields(json_object_get(answer, "fields"));
	bool accepted = json_is_true(json_object_get(answer, "accepted"));
	printf("%s (%s)\n", accepted ? "accepted" : "refused", json_string_value(json_object_get(answer, "code")));
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		token_print_line(members[i], json_string_value(json_object_get(answer, members[i])));
	json_array_foreach(json_object_get(answer, "notes"), index, note)
		token_print_line("note", json_string_value(note));
}

/* Asks the hub, or judges the text alone where there is none and none was named. */
static gh_status token_ask(struct target *target, const struct target_where *where,
	const struct explain_question *question, json_t **ret_answer, gh_error *ret_err)
{
	gh_status status = target_open(target, where, TARGET_READ, ret_err);
	if (status == GH_OK)
		return target_call(target,
			target_request("token.explain", "{s:s, s:s?, s:s?}", "token", question->token, "deviceId",
				question->device_id, "moduleId", question->module_id),
			ret_answer, ret_err);
	if (status != GH_NOT_FOUND || where->directory || where->config_file)
		return status;
	struct explain_question alone = *question;
	alone.limits = &target->limits;
	alone.wall_ms = (uint64_t)time(NULL) * 1000;
	*ret_answer = explain_token(&alone);
	return *ret_answer ? GH_OK : gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
}

static int token_explain(int argc, char **argv)
{
	struct target_where where = {NULL, NULL};
	struct explain_question question = {.token = NULL};
	bool as_json = false;
	const struct options_row rows[] = {
		{.name = "--device",
			.text = &question.device_id,
			.value = "ID",
			.help = "who presents it; default: whom its scope names"},
		{.name = "--module", .text = &question.module_id, .value = "M", .help = "module M of that device"},
		{.name = "--json", .flag = &as_json, .help = "print one JSON object"},
		TARGET_ROWS(where),
		{.name = NULL},
	};
	struct options options = {.command = "token explain",
		.arguments = "TOKEN",
		.arguments_min = 1,
		.arguments_max = 1,
		.secret = true,
		.rows = rows,
		.help = "Says what is in a SAS token (- reads it from standard input), and which rule accepts or refuses\n"
			"it.  Exits 0 when it is accepted."};
	int code = options_parse(&options, argc, argv);
	if (code != OPTIONS_GO)
		return code;
	char line[TOKEN_TEXT_MAX + 2];
	question.token = options.argument[0];
	if (strcmp(question.token, "-") == 0) {
		if (!token_read_line(line))
			return options_wrong(&options, "standard input holds no token");
		question.token = line;
	}
	struct target target;
	gh_error err;
	json_t *answer = NULL;
	if (token_ask(&target, &where, &question, &answer, &err) != GH_OK)
		code = target_failed(&options, &err);
	else
		code = json_is_true(json_object_get(answer, "accepted")) ? CLI_DONE : CLI_FAILED;
	if (answer && as_json)
		target_print_json(answer);
	else if (answer)
		token_print(answer);
	json_decref(answer);
	target_close(&target);
	return code;
}

int cli_token(int argc, char **argv)
{
	static const struct options_verb verbs[] = {
		{"create", token_create, "make a token from a key"},
		{"explain", token_explain, "say what is in a token and whether it is accepted"},
		{NULL, NULL, NULL},
	};
	return options_dispatch("token", verbs, argc, argv);
}
