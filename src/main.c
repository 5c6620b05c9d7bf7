/* main.c - the program: picks the sub-command. */
#include <build_config.h>

#include "src/cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void main_help(FILE *to)
{
	fputs("usage: gatehouse COMMAND [options]\n"
	      "A device gateway: MQTT with the wire contract of Azure IoT Hub, durable before it acknowledges.\n\n",
		to);
	cli_print_commands(to);
	fputs("\ngatehouse COMMAND --help tells its options; gatehouse --version the version.\n", to);
}

int main(int argc, char **argv)
{
	umask(077); /* whatever we make is ours alone */
	if (argc < 2) {
		main_help(stderr);
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts(PACKAGE_STRING);
		return CLI_DONE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		main_help(stdout);
		return CLI_DONE;
	}
	const struct cli_command *command = cli_find(argv[1]);
	if (command)
		return command->run(argc - 1, argv + 1);
	fprintf(stderr, "gatehouse: no command \"%s\"\nsee gatehouse --help\n", argv[1]);
	return CLI_USAGE;
}
