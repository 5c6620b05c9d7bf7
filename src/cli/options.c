#include "src/cli/options.h"

#include "src/base/text.h"
#include "src/cli/cli.h"
#include "src/nearest.h"

#include <stdarg.h>
#include <stdio.h>

enum { OPTIONS_HELP_WIDTH = 26 };

static void options_print_usage(const struct options *options)
{
	printf("usage: gatehouse %s%s%s%s\n\n%s\n", options->command, options->arguments[0] ? " " : "",
		options->arguments, options->rows->name ? " [options]" : "", options->help);
	if (options->rows->name)
		printf("\noptions:\n");
	for (const struct options_row *row = options->rows; row->name; row++) {
		int width = printf("  %s%s%s", row->name, row->value ? " " : "", row->value ? row->value : "");
		printf("%*s  %s\n", width < OPTIONS_HELP_WIDTH ? OPTIONS_HELP_WIDTH - width : 0, "", row->help);
	}
}

int options_wrong(const struct options *options, const char *format, ...)
{
	fprintf(stderr, "gatehouse %s: ", options->command);
	va_list args;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\ntry: gatehouse %s --help\n", options->command);
	return CLI_USAGE;
}

static const struct options_row *options_find(const struct options *options, gh_bytes name)
{
	for (const struct options_row *row = options->rows; row->name; row++)
		if (text_equal(name, text_of(row->name)))
			return row;
	return NULL;
}

static int options_unknown(const struct options *options, gh_bytes name)
{
	struct nearest nearest = {.word = name};
	for (const struct options_row *row = options->rows; row->name; row++)
		nearest_consider(&nearest, row->name);
	if (!nearest.best)
		return options_wrong(options, "unknown option %.*s", (int)name.len, (const char *)name.data);
	return options_wrong(
		options, "unknown option %.*s; did you mean %s?", (int)name.len, (const char *)name.data, nearest.best);
}

static int options_set(const struct options *options, const struct options_row *row, const char *value)
{
	if (row->text) {
		*row->text = value;
		return OPTIONS_GO;
	}
	if (!text_u64(text_of(value), row->number))
		return options_wrong(options, "%s needs a whole number, not \"%s\"", row->name, value);
	return OPTIONS_GO;
}

/* Takes argv[*at] and, when it needs one, the value after it. */
static int options_take(const struct options *options, int argc, char **argv, int *at)
{
	gh_bytes name, value;
	const char *given = argv[*at];
	bool inline_value = text_starts(text_of(given), "--") && text_cut(text_of(given), '=', &name, &value);
	if (!inline_value)
		name = text_of(given);
	const struct options_row *row = options_find(options, name);
	if (!row)
		return options_unknown(options, name);
	if (row->flag) {
		*row->flag = true;
		return inline_value ? options_wrong(options, "%s takes no value", row->name) : OPTIONS_GO;
	}
	if (inline_value)
		return options_set(options, row, given + name.len + 1);
	if (*at + 1 == argc)
		return options_wrong(options, "%s needs %s", row->name, row->value);
	return options_set(options, row, argv[++*at]);
}

int options_parse(struct options *options, int argc, char **argv)
{
	int count = 0;
	bool plain = false;
	for (int i = 1; i < argc; i++) {
		const char *given = argv[i];
		if (!plain && (strcmp(given, "--help") == 0 || strcmp(given, "-h") == 0)) {
			options_print_usage(options);
			return CLI_DONE;
		}
		if (!plain && strcmp(given, "--") == 0) {
			plain = true;
		} else if (!plain && given[0] == '-' && given[1]) {
			int code = options_take(options, argc, argv, &i);
			if (code != OPTIONS_GO)
				return code;
		} else if (count == options->arguments_max) {
			return options_wrong(options, "unexpected argument \"%s\"", given);
		} else {
			options->argument[count++] = given;
		}
	}
	if (count < options->arguments_min)
		return options_wrong(options, "%s is missing", options->arguments);
	return OPTIONS_GO;
}

static void options_print_verbs(const char *command, const struct options_verb *verbs)
{
	printf("usage: gatehouse %s VERB ...\n\n", command);
	for (; verbs->name; verbs++)
		printf("  %-10s %s\n", verbs->name, verbs->help);
	printf("\ngatehouse %s VERB --help tells more.\n", command);
}

int options_dispatch(const char *command, const struct options_verb *verbs, int argc, char **argv)
{
	const struct options options = {.command = command};
	if (argc < 2)
		return options_wrong(&options, "what to do is missing");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		options_print_verbs(command, verbs);
		return CLI_DONE;
	}
	struct nearest nearest = {.word = text_of(argv[1])};
	for (const struct options_verb *verb = verbs; verb->name; verb++) {
		if (strcmp(verb->name, argv[1]) == 0)
			return verb->run(argc - 1, argv + 1);
		nearest_consider(&nearest, verb->name);
	}
	return options_wrong(&options, "unknown \"%s\"; did you mean %s?", argv[1], nearest.best);
}
