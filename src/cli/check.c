/* check.c - gatehouse check: everything that can be known about a configuration without starting. */
#include "src/cli/cli.h"
#include "src/cli/options.h"
#include "src/config.h"
#include "src/io/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void check_tls(const struct config *config, struct config_problems *problems)
{
	struct tls_config tls = {config->tls.certificate_file, config->tls.key_file,
		config->tls.second_certificate_file, config->tls.second_key_file, NULL};
	struct tls_context *context;
	gh_error err;
	if (tls_context_new(&tls, &context, &err) == GH_OK)
		tls_context_unref(context);
	else
		config_problem_add(problems, 0, 0, "tls: %s", err.text);
}

/* The folder, or what of its path exists: it is made at the start. */
static void check_data_dir(const struct config *config, struct config_problems *problems)
{
	char *path = strdup(config->data_dir);
	struct stat status;
	if (!path)
		return;
	while (stat(path, &status) != 0 && errno == ENOENT) {
		char *slash = strrchr(path, '/');
		if (!slash) {
			strcpy(path, ".");
			continue;
		}
		slash[slash == path] = '\0'; /* keeps the root's own slash */
	}
	if (stat(path, &status) != 0)
		config_problem_add(problems, 0, 0, "dataDir: %s: %s", path, strerror(errno));
	else if (!S_ISDIR(status.st_mode))
		config_problem_add(problems, 0, 0, "dataDir: %s is not a folder", path);
	else if (access(path, R_OK | W_OK | X_OK) != 0)
		config_problem_add(problems, 0, 0, "dataDir: %s: %s", path, strerror(errno));
	free(path);
}

int cli_check(int argc, char **argv)
{
	const char *file = NULL;
	const struct options_row rows[] = {
		{.name = "-c", .text = &file, .value = "FILE", .help = "the configuration; - reads standard input"},
		{.name = NULL},
	};
	struct options options = {.command = "check",
		.arguments = "",
		.rows = rows,
		.help = "Reads the configuration, loads its certificates and looks at its data folder.  Prints each problem as\n"
			"file:line:col: message and exits 1, or says that all is well and exits 0."};
	int code = options_parse(&options, argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (!file)
		return options_wrong(&options, "-c FILE is missing");
	struct config_problems problems = {0};
	struct config *config = config_load(file, &problems);
	if (config) {
		check_tls(config, &problems);
		check_data_dir(config, &problems);
	}
	config_free(config);
	config_problems_print(&problems, file, stderr);
	if (problems.count == 0)
		printf("%s: ok\n", file);
	return problems.count ? CLI_FAILED : CLI_DONE;
}
