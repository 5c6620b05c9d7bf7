/* Queries: any bytes as a whole query, and as the condition of one, over a fixed twin.
 *
 * What is taken can be run; a condition and its negation never select the same twin.
 */
#include "tests/fuzz/fuzz.h"

#include "src/base/buf.h"
#include "src/base/limits.h"
#include "src/base/text.h"
#include "src/core/query.h"

#include <assert.h>

static const char fuzz_twin[] =
	"{\"deviceId\":\"dev1\",\"status\":\"enabled\",\"statusReason\":null,\"connectionState\":\"Connected\","
	"\"version\":2,\"capabilities\":{\"iotEdge\":false},\"tags\":{\"a\":{\"b\":\"x\",\"n\":5,\"r\":2.5,\"t\":true,"
	"\"list\":[1,2]},\"group\":\"g\",\"with space\":\"s\"},\"properties\":{\"desired\":{\"fan\":\"on\","
	"\"$version\":4},\"reported\":{\"temp\":-21}}}";

/* Whether the twin is selected; false also when it is no query. */
static bool fuzz_run(gh_bytes text, json_t *twin)
{
	gh_limits limits;
	gh_error err = {.code = NULL};
	struct query *query;
	limits_defaults(&limits);
	gh_status status = query_parse(text, &limits, &query, &err);
	if (status != GH_OK) {
		assert(status == GH_INVALID || status == GH_NO_MEMORY);
		assert(err.code && text_is_utf8(text_of(err.text)));
		return false;
	}
	bool selected = query_selects(query, twin);
	json_t *row = query->kind == QUERY_COUNT ? query_count_row(query, selected) : query_row(query, twin);
	char *dumped = json_dumps(row, JSON_COMPACT);
	assert(dumped);
	free(dumped);
	json_decref(row);
	query_free(query);
	return selected;
}

static bool fuzz_condition(const char *head, const uint8_t *data, size_t size, const char *tail, json_t *twin)
{
	struct buf text;
	buf_init(&text, 0);
	buf_append(&text, head, strlen(head));
	buf_append(&text, data, size);
	buf_append(&text, tail, strlen(tail));
	bool selected = !text.failed && fuzz_run(buf_bytes(&text), twin);
	buf_done(&text);
	return selected;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *twin = json_loads(fuzz_twin, 0, NULL);
	if (!twin)
		return 0;
	fuzz_run((gh_bytes){data, size}, twin);
	/* Without parentheses first: what is no condition by itself may be two with them. */
	bool selected = fuzz_condition("SELECT * FROM devices WHERE ", data, size, "", twin);
	bool negated = fuzz_condition("SELECT * FROM devices WHERE NOT (", data, size, ")", twin);
	assert(!selected || !negated);
	json_decref(twin);
	return 0;
}
