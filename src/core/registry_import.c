/* registry_import.c - many identities in few transactions, one JSON document a line.
 *
 * Lines wait in an open batch until it is full; each is checked when it comes, against the store and against what
 * waits, so that an error names its line at once.  When another writer came first the waiting lines are checked again
 * in a new batch.  Memory is bounded by device_import_batch_max and commit_bytes_max.
 */
#include "src/core/registry.h"

#include "src/base/take.h"
#include "src/base/text.h"
#include "src/core/registry_add.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct import_row {
	json_t *given;
	uint64_t line;
};

struct registry_import {
	const struct registry *registry;
	struct registry_batch batch;
	bool open;
	struct import_row *rows; /* those in the batch; room for device_import_batch_max */
	size_t count;
	uint64_t line;
	size_t written;
	gh_status status; /* the first failure stays */
	gh_error error;
};

struct registry_import *registry_import_new(const struct registry *r)
{
	struct registry_import *import = calloc(1, sizeof *import);
	if (!import)
		return NULL;
	import->registry = r;
	import->rows = calloc(r->limits->device_import_batch_max, sizeof *import->rows);
	if (import->rows)
		return import;
	registry_import_free(import);
	return NULL;
}

static void import_close(struct registry_import *import)
{
	if (import->open)
		registry_batch_done(&import->batch);
	import->open = false;
}

static void import_drop_rows(struct registry_import *import, size_t from)
{
	while (import->count > from)
		json_decref(import->rows[--import->count].given);
}

void registry_import_free(struct registry_import *import)
{
	if (!import)
		return;
	import_close(import);
	import_drop_rows(import, 0);
	free(import->rows);
	free(import);
}

/* ---- failing ---- */

/* The first failure wins, told with its line (0 = not of one line). */
static void import_fail(struct registry_import *import, uint64_t line, gh_status status, const gh_error *err)
{
	if (import->status != GH_OK)
		return;
	import->status = status;
	if (line > 0)
		gh_fail(&import->error, status, err->code, "line %" PRIu64 ": %.200s", line, err->text);
	else
		gh_fail(&import->error, status, err->code, "after %zu identities: %.200s", import->written, err->text);
}

static gh_status import_result(const struct registry_import *import, gh_error *ret_err)
{
	if (import->status != GH_OK && ret_err)
		*ret_err = import->error;
	return import->status;
}

/* ---- one row ---- */

static gh_status import_add(struct registry_import *import, const json_t *given, gh_error *ret_err)
{
	if (!import->open) {
		gh_status status = registry_batch_begin(&import->batch, import->registry, ret_err);
		if (status != GH_OK) {
			registry_batch_done(&import->batch);
			return status;
		}
		import->open = true;
	}
	json_t *document;
	gh_status status = registry_add(&import->batch, given, &document, ret_err);
	if (status == GH_OK)
		json_decref(document);
	return status;
}

static gh_status import_parse(
	const struct registry_import *import, gh_bytes line, json_t **ret_given, gh_error *ret_err)
{
	uint64_t max = import->registry->limits->device_import_line_bytes_max;
	if (line.len > max)
		return gh_fail(
			ret_err, GH_TOO_LARGE, "device_import_line_bytes_max", "longer than %" PRIu64 " bytes", max);
	json_error_t why;
	json_t *given = json_loadb((const char *)line.data, line.len, JSON_REJECT_DUPLICATES, &why);
	if (!given)
		return gh_fail(
			ret_err, GH_INVALID, "import_json", "not a JSON object: %s (column %d)", why.text, why.column);
	*ret_given = given;
	return GH_OK;
}

/* ---- the batch ---- */

/* Another writer came first: the rows again, in a new batch.  Rows from the first that fails now are dropped. */
static void import_replay(struct registry_import *import)
{
	import_close(import);
	for (size_t i = 0; i < import->count; i++) {
		gh_error err = {.code = "internal"};
		gh_status status = import_add(import, import->rows[i].given, &err);
		if (status != GH_OK) {
			import_fail(import, import->rows[i].line, status, &err);
			import_drop_rows(import, i);
		}
	}
}

static void import_flush(struct registry_import *import)
{
	gh_error err = {.code = "store_commit", .text = "the store did not take the batch"};
	gh_status status = GH_OK;
	for (uint64_t tries = import->registry->limits->registry_tries_max; tries > 0 && import->open; tries--) {
		status = registry_batch_commit(&import->batch, &err);
		if (status != GH_CONFLICT)
			break;
		import_replay(import);
	}
	import_close(import);
	if (status == GH_OK)
		import->written += import->count;
	else
		import_fail(import, 0, status, &err);
	import_drop_rows(import, 0);
}

static bool import_full(const struct registry_import *import)
{
	const gh_limits *limits = import->registry->limits;
	return import->count >= limits->device_import_batch_max || import->batch.bytes >= limits->commit_bytes_max;
}

static gh_bytes import_trim(gh_bytes line)
{
	while (line.len > 0 && strchr(" \t\r\n", line.data[line.len - 1]) && line.data[line.len - 1] != '\0')
		line.len--;
	return line;
}

gh_status registry_import_line(struct registry_import *import, gh_bytes line, gh_error *ret_err)
{
	if (import->status != GH_OK)
		return import_result(import, ret_err);
	import->line++;
	line = import_trim(line);
	if (line.len == 0)
		return GH_OK;
	gh_error err = {.code = "internal"};
	json_t *given = NULL;
	gh_status status = import_parse(import, line, &given, &err);
	if (status == GH_OK)
		status = import_add(import, given, &err);
	if (status == GH_OK) {
		import->rows[import->count++] = (struct import_row){given, import->line};
		if (import_full(import))
			import_flush(import);
	} else {
		json_decref(given);
		import_flush(import); /* the lines before this one are good */
		import_fail(import, import->line, status, &err);
	}
	return import_result(import, ret_err);
}

gh_status registry_import_finish(struct registry_import *import, size_t *ret_count, gh_error *ret_err)
{
	import_flush(import);
	*ret_count = import->written;
	return import_result(import, ret_err);
}
