/* health.c - gatehouse health: is a gateway there, and does it store what devices send? */
#include "src/cli/cli.h"
#include "src/cli/target.h"

#include <inttypes.h>
#include <stdio.h>

static void health_print(const json_t *health)
{
	const json_t *backend = json_object_get(health, "backend");
	const json_t *links = json_object_get(health, "links");
	const json_t *messages = json_object_get(health, "messages");
	const char *why = json_string_value(json_object_get(backend, "text"));
	printf("%s\n", json_is_true(json_object_get(health, "ready")) ? "ready" : "not ready");
	printf("back end   %s%s%s\n", json_string_value(json_object_get(backend, "state")), why && *why ? ": " : "",
		why ? why : "");
	printf("links      %" JSON_INTEGER_FORMAT " open\n", json_integer_value(json_object_get(links, "open")));
	printf("messages   %" JSON_INTEGER_FORMAT " accepted, %" JSON_INTEGER_FORMAT " refused\n",
		json_integer_value(json_object_get(messages, "accepted")),
		json_integer_value(json_object_get(messages, "rejected")));
}

int cli_health(int argc, char **argv)
{
	struct target_where where = {NULL, NULL};
	bool as_json = false;
	const struct options_row rows[] = {
		TARGET_ROWS(where),
		{.name = "--json", .flag = &as_json, .help = "print one JSON object"},
		{.name = NULL},
	};
	struct options options = {.command = "health",
		.arguments = "",
		.rows = rows,
		.help = "Asks the running gateway for its state.  Exits 0 when it is ready."};
	int code = options_parse(&options, argc, argv);
	if (code != OPTIONS_GO)
		return code;
	struct target target;
	gh_error err;
	json_t *health = NULL;
	gh_status status = target_open(&target, &where, TARGET_RUNNING, &err);
	if (status == GH_OK)
		status = target_call(&target, target_request("health", "{}"), &health, &err);
	if (status != GH_OK)
		code = target_failed(&options, &err);
	else
		code = json_is_true(json_object_get(health, "ready")) ? CLI_DONE : CLI_FAILED;
	if (health && as_json)
		target_print_json(health);
	else if (health)
		health_print(health);
	json_decref(health);
	target_close(&target);
	return code;
}
