/* serve.c - gatehouse serve: the gateway as a configuration file says. */
#include "src/cli/cli.h"
#include "src/cli/options.h"
#include "src/config.h"
#include "src/gateway.h"
#include "src/io/loop.h"

#include <stdio.h>
#include <unistd.h>

static int serve_run(const struct config *config, bool accept_loss)
{
	gh_error err = {0};
	struct log log = {config->log_level, loop_wall_ms, log_write_fd, (void *)(intptr_t)STDERR_FILENO};
	struct gateway *gateway = NULL;
	gh_status status = gateway_open(config, &log, accept_loss, &gateway, &err);
	if (status == GH_OK)
		status = gateway_start(gateway, &err);
	if (status == GH_OK)
		status = gateway_run(gateway, &err);
	gateway_free(gateway);
	if (status == GH_OK)
		return CLI_DONE;
	fprintf(stderr, "gatehouse serve: %s\n", err.text);
	return CLI_FAILED;
}

int cli_serve(int argc, char **argv)
{
	const char *file = NULL;
	bool accept_loss = false;
	const struct options_row rows[] = {
		{.name = "-c", .text = &file, .value = "FILE", .help = "the configuration; - reads standard input"},
		{.name = "--accept-loss",
			.flag = &accept_loss,
			.help = "start although acknowledged messages are missing from the store"},
		{.name = NULL},
	};
	struct options options = {.command = "serve",
		.arguments = "",
		.rows = rows,
		.help = "Runs the gateway until SIGTERM, which drains: what was accepted is answered and stored."};
	int code = options_parse(&options, argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (!file)
		return options_wrong(&options, "-c FILE is missing");
	struct config_problems problems = {0};
	struct config *config = config_load(file, &problems);
	config_problems_print(&problems, file, stderr);
	if (!config)
		return CLI_FAILED;
	code = serve_run(config, accept_loss);
	config_free(config);
	return code;
}
