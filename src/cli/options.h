/* options.h - one table of options per sub-command: parsing, --help and hints for mistyped ones come from it.
 *
 * Forms: --name VALUE, --name=VALUE, -c VALUE, --flag, and plain arguments in any order; "-" is a plain argument and
 * "--" ends the options.
 */
#ifndef GATEHOUSE_CLI_OPTIONS_H
#define GATEHOUSE_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exactly one of text, number and flag is set. */
struct options_row {
	const char *name; /* "--dir", "-c"; NULL ends the table */
	const char **text;
	uint64_t *number;
	bool *flag;
	const char *value; /* "DIR": how --help names it */
	const char *help;
};

enum { OPTIONS_ARGUMENTS_MAX = 2, OPTIONS_GO = -1 };

struct options {
	const char *command;   /* "device create" */
	const char *arguments; /* "ID", "[ID]", "" */
	const char *help;      /* a sentence or two */
	const struct options_row *rows;
	int arguments_min;
	int arguments_max;
	bool secret;                                 /* the argument is not repeated in messages */
	const char *argument[OPTIONS_ARGUMENTS_MAX]; /* filled */
};

/* argv[0] is skipped.  OPTIONS_GO, or the exit code: help was printed (0), or the use was wrong and said so (2). */
int options_parse(struct options *options, int argc, char **argv);

/* Prints "gatehouse COMMAND: message" and the hint to use --help on stderr; returns 2. */
int options_wrong(const struct options *options, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A command of commands ("device"): finds the function by argv[1].  Unknown and absent names are told. */
struct options_verb {
	const char *name;                  /* NULL ends the table */
	int (*run)(int argc, char **argv); /* gets argv from the verb on */
	const char *help;
};
int options_dispatch(const char *command, const struct options_verb *verbs, int argc, char **argv);

#endif
