/* cli.h - the sub-commands main can call, as a table.
 *
 * Each is one file, gets argv with its own name first, prints its results on stdout and what went wrong on stderr, and
 * returns the exit code: 0 done, 1 failed or refused, 2 used wrongly.
 */
#ifndef GATEHOUSE_CLI_CLI_H
#define GATEHOUSE_CLI_CLI_H

#include <stddef.h>
#include <stdio.h>

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

struct cli_command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help; /* one line */
};

extern const struct cli_command cli_commands[];
extern const size_t cli_commands_count;

const struct cli_command *cli_find(const char *name); /* NULL when there is none */
/* The help lines of the table, for --help. */
void cli_print_commands(FILE *to);

int cli_dev(int argc, char **argv);
int cli_serve(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_device(int argc, char **argv);
int cli_policy(int argc, char **argv);
int cli_token(int argc, char **argv);
int cli_tail(int argc, char **argv);
int cli_health(int argc, char **argv);

#endif
