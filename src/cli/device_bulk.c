#include "src/cli/device_bulk.h"

#include "src/cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BULK_BATCH_LINES = 1000, BULK_REQUEST_HEAD_BYTES = 128 };

gh_status device_bulk_pages(struct target *target, const char *op, const char *device_id,
	void (*visit)(void *context, const json_t *document), void *context, gh_error *ret_err)
{
	json_t *page = NULL, *document;
	const char *after = "";
	do {
		json_t *next_page;
		size_t index;
		json_t *request = target_request(op, "{s:s*, s:s}", "deviceId", device_id, "after", after);
		gh_status status = target_call(target, request, &next_page, ret_err);
		json_decref(page);
		if (status != GH_OK)
			return status;
		page = next_page;
		json_array_foreach(json_object_get(page, "documents"), index, document) visit(context, document);
		after = json_string_value(json_object_get(page, "next"));
	} while (after);
	json_decref(page);
	return GH_OK;
}

/* ---- export ---- */

static void bulk_print(void *context, const json_t *document)
{
	(void)context;
	json_dumpf(document, stdout, JSON_COMPACT);
	putchar('\n');
}

int device_bulk_export(int argc, char **argv)
{
	struct target_where where = {NULL, NULL};
	const struct options_row rows[] = {TARGET_ROWS(where), {.name = NULL}};
	struct options options = {.command = "device export",
		.arguments = "",
		.rows = rows,
		.help = "Prints all identities, keys included, one JSON document a line; each device is followed by its modules.\n"
			"`device import` takes the same form."};
	int code = options_parse(&options, argc, argv);
	if (code != OPTIONS_GO)
		return code;
	struct target target;
	gh_error err;
	gh_status status = target_open(&target, &where, TARGET_READ, &err);
	if (status == GH_OK)
		status = device_bulk_pages(&target, "device.export", NULL, bulk_print, NULL, &err);
	errno = 0;
	if (status == GH_OK && (fflush(stdout) != 0 || ferror(stdout)))
		status = gh_fail(&err, GH_IO, "output", "not all was printed%s%s", errno ? ": " : "",
			errno ? strerror(errno) : "");
	code = status == GH_OK ? CLI_DONE : target_failed(&options, &err);
	target_close(&target);
	return code;
}

/* ---- import ---- */

struct bulk_import {
	struct target *target;
	json_t *lines;   /* the batch */
	size_t bytes;    /* of the batch as JSON */
	uint64_t first;  /* number of its first line */
	uint64_t number; /* of the line read last */
	uint64_t count;  /* written */
	bool progress;
};

/* How long a text becomes inside a JSON request. */
static size_t bulk_json_bytes(const char *text, size_t len)
{
	size_t bytes = sizeof "\"\",";
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		bytes += c == '"' || c == '\\' ? 2 : c < 0x20 ? 6 : 1;
	}
	return bytes;
}

static gh_status bulk_flush(struct bulk_import *import, gh_error *ret_err)
{
	if (json_array_size(import->lines) == 0)
		return GH_OK;
	json_t *result;
	json_t *request = target_request(
		"device.import", "{s:O, s:I}", "lines", import->lines, "firstLine", (json_int_t)import->first);
	gh_status status = target_call(import->target, request, &result, ret_err);
	if (status != GH_OK)
		return status;
	import->count += (uint64_t)json_integer_value(json_object_get(result, "count"));
	const char *failure = json_string_value(json_object_get(result, "failure"));
	if (failure)
		status = gh_fail(ret_err, GH_INVALID, "import_line", "%s", failure);
	json_decref(result);
	json_array_clear(import->lines);
	import->bytes = BULK_REQUEST_HEAD_BYTES;
	if (import->progress)
		fprintf(stderr, "\r%llu imported", (unsigned long long)import->count);
	return status;
}

/* Every line counts for its number, also an empty one, which the other side skips. */
static gh_status bulk_line(struct bulk_import *import, const char *text, size_t len, gh_error *ret_err)
{
	import->number++;
	json_t *line = json_stringn(text, len);
	if (!line)
		return gh_fail(
			ret_err, GH_INVALID, "import_line", "line %llu: not UTF-8", (unsigned long long)import->number);
	size_t bytes = bulk_json_bytes(text, len);
	if (import->bytes + bytes > import->target->limits.admin_line_bytes_max ||
		json_array_size(import->lines) == BULK_BATCH_LINES) {
		gh_status status = bulk_flush(import, ret_err);
		if (status != GH_OK) {
			json_decref(line);
			return status;
		}
	}
	if (json_array_size(import->lines) == 0)
		import->first = import->number;
	json_array_append_new(import->lines, line);
	import->bytes += bytes;
	return GH_OK;
}

/* Reads lines with a bound, so that a file without newlines costs no memory. */
static gh_status bulk_read(struct bulk_import *import, FILE *file, gh_error *ret_err)
{
	size_t cap = import->target->limits.device_import_line_bytes_max + 3; /* CR, LF, NUL */
	char *text = malloc(cap);
	gh_status status = text ? GH_OK : gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
	size_t len = 0;
	int c = 0;
	while (status == GH_OK && c != EOF) {
		c = getc(file);
		if (c != '\n' && c != EOF) {
			text[len++] = (char)c;
			if (len + 1 == cap)
				status = gh_fail(ret_err, GH_TOO_LARGE, "import_line",
					"line %llu: longer than %llu bytes", (unsigned long long)import->number + 1,
					(unsigned long long)import->target->limits.device_import_line_bytes_max);
			continue;
		}
		if (len > 0 && text[len - 1] == '\r')
			len--;
		if (len > 0 || c == '\n')
			status = bulk_line(import, text, len, ret_err);
		len = 0;
	}
	free(text);
	if (status == GH_OK && ferror(file))
		status = gh_fail(ret_err, GH_IO, "import_file", "%s", strerror(errno));
	return status == GH_OK ? bulk_flush(import, ret_err) : status;
}

int device_bulk_import(int argc, char **argv)
{
	struct target_where where = {NULL, NULL};
	const struct options_row rows[] = {TARGET_ROWS(where), {.name = NULL}};
	struct options options = {.command = "device import",
		.arguments = "FILE",
		.arguments_min = 1,
		.arguments_max = 1,
		.rows = rows,
		.help = "Creates identities from a file, one JSON document a line (- reads standard input).  Keys that\n"
			"are absent are made.  Stops at the first bad line; what stands before it may have been imported."};
	int code = options_parse(&options, argc, argv);
	if (code != OPTIONS_GO)
		return code;
	bool from_stdin = strcmp(options.argument[0], "-") == 0;
	FILE *file = from_stdin ? stdin : fopen(options.argument[0], "re");
	if (!file) {
		fprintf(stderr, "gatehouse device import: %s: %s\n", options.argument[0], strerror(errno));
		return CLI_FAILED;
	}
	struct target target;
	gh_error err;
	struct bulk_import import = {.target = &target,
		.lines = json_array(),
		.bytes = BULK_REQUEST_HEAD_BYTES,
		.progress = isatty(STDERR_FILENO)};
	gh_status status = target_open(&target, &where, TARGET_WRITE, &err);
	if (status == GH_OK)
		status = bulk_read(&import, file, &err);
	if (import.progress)
		fputc('\n', stderr);
	printf("%llu imported\n", (unsigned long long)import.count);
	code = status == GH_OK ? CLI_DONE : target_failed(&options, &err);
	json_decref(import.lines);
	target_close(&target);
	if (!from_stdin)
		fclose(file);
	return code;
}
