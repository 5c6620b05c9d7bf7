/* Command lines: what is taken, what is refused, with which exit code. */
#include "tests/suite.h"

#include "src/cli/options.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

SUITE(options);

struct parsed {
	const char *text;
	uint64_t number;
	bool flag;
	const char *argument[OPTIONS_ARGUMENTS_MAX];
};

/* Words are separated by blanks; what is said goes to a pipe and is returned. */
static int parse(const char *line, int arguments_min, int arguments_max, struct parsed *ret, char *ret_said, size_t cap)
{
	static char words[256];
	char *argv[16];
	int argc = 0;
	*ret = (struct parsed){.number = 7};
	snprintf(words, sizeof words, "verb %s", line);
	for (char *word = strtok(words, " "); word && argc < 15; word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc] = NULL;
	const struct options_row rows[] = {
		{.name = "--dir", .text = &ret->text, .value = "DIR", .help = "a folder"},
		{.name = "-c", .text = &ret->text, .value = "FILE", .help = "a file"},
		{.name = "--count", .number = &ret->number, .value = "N", .help = "a number"},
		{.name = "--json", .flag = &ret->flag, .help = "a flag"},
		{.name = NULL},
	};
	struct options options = {.command = "thing verb",
		.arguments = "ID",
		.help = "Does it.",
		.rows = rows,
		.arguments_min = arguments_min,
		.arguments_max = arguments_max};
	char path[] = "/tmp/gatehouse-options-XXXXXX";
	int fd = mkstemp(path), out = dup(1), err = dup(2);
	cr_assert(fd >= 0);
	unlink(path);
	fflush(NULL);
	dup2(fd, 1);
	dup2(fd, 2);
	int code = options_parse(&options, argc, argv);
	fflush(NULL);
	dup2(out, 1);
	dup2(err, 2);
	ssize_t n = pread(fd, ret_said, cap - 1, 0);
	ret_said[n > 0 ? n : 0] = '\0';
	close(fd);
	close(out);
	close(err);
	memcpy(ret->argument, options.argument, sizeof ret->argument);
	return code;
}

static const struct {
	const char *line;
	const char *text;
	uint64_t number;
	bool flag;
	const char *first, *second;
} good_rows[] = {
	{"", NULL, 7, false, NULL, NULL},
	{"id", NULL, 7, false, "id", NULL},
	{"a b", NULL, 7, false, "a", "b"},
	{"--dir d id", "d", 7, false, "id", NULL},
	{"id --dir=d", "d", 7, false, "id", NULL},
	{"--dir=", "", 7, false, NULL, NULL},
	{"--dir a=b", "a=b", 7, false, NULL, NULL},
	{"-c f --json", "f", 7, true, NULL, NULL},
	{"--count 0 x", NULL, 0, false, "x", NULL},
	{"--count=18446744073709551615", NULL, UINT64_MAX, false, NULL, NULL},
	{"-", NULL, 7, false, "-", NULL},
	{"-c -", "-", 7, false, NULL, NULL},
	{"-- --json", NULL, 7, false, "--json", NULL},
	{"--dir --json", "--json", 7, false, NULL, NULL},
};

Test(options, good_lines_are_taken)
{
	for (size_t i = 0; i < sizeof good_rows / sizeof *good_rows; i++) {
		struct parsed parsed;
		char said[1024];
		int code = parse(good_rows[i].line, 0, 2, &parsed, said, sizeof said);
		cr_assert_eq(code, OPTIONS_GO, "%s: %s", good_rows[i].line, said);
		cr_assert_eq(parsed.number, good_rows[i].number, "%s", good_rows[i].line);
		cr_assert_eq(parsed.flag, good_rows[i].flag, "%s", good_rows[i].line);
		const char *wanted[] = {good_rows[i].text, good_rows[i].first, good_rows[i].second};
		const char *got[] = {parsed.text, parsed.argument[0], parsed.argument[1]};
		for (int k = 0; k < 3; k++)
			cr_assert(wanted[k] ? got[k] && strcmp(got[k], wanted[k]) == 0 : !got[k], "%s: %d is %s",
				good_rows[i].line, k, got[k]);
		cr_assert_str_eq(said, "", "%s", good_rows[i].line);
	}
}

static const struct {
	const char *line, *says;
} bad_rows[] = {
	{"", "ID is missing"},
	{"a b", "unexpected argument \"b\""},
	{"a --jsn", "unknown option --jsn; did you mean --json?"},
	{"a --conut=3", "did you mean --count?"},
	{"a -x", "unknown option -x"},
	{"a --dir", "--dir needs DIR"},
	{"a -c", "-c needs FILE"},
	{"a --json=yes", "--json takes no value"},
	{"a --count x", "--count needs a whole number, not \"x\""},
	{"a --count -1", "needs a whole number"},
	{"a --count=18446744073709551616", "needs a whole number"},
	{"a --count=", "needs a whole number"},
};

Test(options, bad_lines_exit_2_with_a_hint)
{
	for (size_t i = 0; i < sizeof bad_rows / sizeof *bad_rows; i++) {
		struct parsed parsed;
		char said[1024];
		cr_assert_eq(parse(bad_rows[i].line, 1, 1, &parsed, said, sizeof said), 2, "%s", bad_rows[i].line);
		cr_assert(strstr(said, bad_rows[i].says), "%s: %s", bad_rows[i].line, said);
		cr_assert(strstr(said, "try: gatehouse thing verb --help"), "%s: %s", bad_rows[i].line, said);
	}
}

Test(options, help_lists_every_option_and_exits_0)
{
	static const char *const lines[] = {"--help", "-h", "a --help", "--json --help"};
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct parsed parsed;
		char said[2048];
		cr_assert_eq(parse(lines[i], 1, 1, &parsed, said, sizeof said), 0, "%s", lines[i]);
		static const char *const parts[] = {
			"usage: gatehouse thing verb ID", "--dir DIR", "-c FILE", "--count N", "--json"};
		for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
			cr_assert(strstr(said, parts[k]), "%s: %s", lines[i], said);
	}
}

static int verb_code(int argc, char **argv)
{
	return argc * 10 + (strcmp(argv[0], "list") == 0);
}

Test(options, verbs_are_found_by_name)
{
	static const struct options_verb verbs[] = {{"list", verb_code, "list"}, {NULL, NULL, NULL}};
	char command[] = "thing", list[] = "list", wrong[] = "lits";
	char *good[] = {command, list, NULL}, *bad[] = {command, wrong, NULL}, *none[] = {command, NULL};
	cr_assert_eq(options_dispatch("thing", verbs, 2, good), 11);
	cr_assert_eq(options_dispatch("thing", verbs, 2, bad), 2);
	cr_assert_eq(options_dispatch("thing", verbs, 1, none), 2);
}
