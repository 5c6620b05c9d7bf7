#include "src/cli/cli.h"

#include <stdio.h>
#include <string.h>

const struct cli_command cli_commands[] = {
	{"dev", cli_dev, "a complete hub on this machine, nothing to configure"},
	{"serve", cli_serve, "the gateway as a configuration file says"},
	{"check", cli_check, "check a configuration file, its certificates and its data folder"},
	{"device", cli_device, "create, show, list, update, delete, import and export identities"},
	{"policy", cli_policy, "create, show, list, update and delete shared access policies"},
	{"token", cli_token, "create a SAS token, or explain one"},
	{"tail", cli_tail, "print what the back end received"},
	{"health", cli_health, "say whether the gateway is ready"},
};
const size_t cli_commands_count = sizeof cli_commands / sizeof *cli_commands;

const struct cli_command *cli_find(const char *name)
{
	for (size_t i = 0; i < cli_commands_count; i++)
		if (strcmp(cli_commands[i].name, name) == 0)
			return &cli_commands[i];
	return NULL;
}

void cli_print_commands(FILE *to)
{
	for (size_t i = 0; i < cli_commands_count; i++)
		fprintf(to, "  %-8s %s\n", cli_commands[i].name, cli_commands[i].help);
}
