/* The query language over twins: what is understood, what it selects, what is refused. */
#include "tests/suite.h"

#include "src/base/buf.h"
#include "src/base/limits.h"
#include "src/base/text.h"
#include "src/core/query.h"

#include <stdio.h>
#include <stdlib.h>

SUITE(query);

static gh_limits limits;
static gh_error error;
static json_t *twin;

#define TWIN                                                                                                           \
	"{\"deviceId\":\"dev1\",\"status\":\"enabled\",\"statusReason\":null,\"connectionState\":\"Connected\","       \
	"\"version\":2,\"capabilities\":{\"iotEdge\":true},\"tags\":{\"a\":{\"b\":\"x\",\"n\":5,\"r\":2.5,\"no\":"     \
	"false,\"list\":[1,2],\"big\":9007199254740993},\"group\":\"g\",\"with space\":\"s\",\"2nd\":\"s\",\"a-b\":1," \
	"\"\u00fcber\":\"\u00e9\",\"quote\":\"it's \\\"so\\\"\",\"back\":\"a\\\\b\"},\"properties\":{\"desired\":"     \
	"{\"fan\":\"on\",\"$version\":4,\"$metadata\":{\"$lastUpdated\":\"2026-01-01T00:00:00Z\"}},\"reported\":"      \
	"{\"temp\":-21,\"empty\":{},\"and\":\"reserved\"}}}"

static void setup(void)
{
	limits_defaults(&limits);
	twin = json_loads(TWIN, 0, NULL);
	cr_assert(twin != NULL);
	error = (gh_error){.code = "none"};
}

static void teardown(void)
{
	json_decref(twin);
}

#define QUERY_TEST(name) Test(query, name, .init = setup, .fini = teardown)

static struct query *parsed(const char *text)
{
	struct query *query = NULL;
	cr_assert_eq(query_parse(text_of(text), &limits, &query, &error), GH_OK, "%s: %s", text, error.text);
	return query;
}

static bool selects(const char *head, const char *condition, const char *tail)
{
	char text[4096];
	snprintf(text, sizeof text, "%s%s%s", head, condition, tail);
	struct query *query = parsed(text);
	bool selected = query_selects(query, twin);
	query_free(query);
	return selected;
}

/* A condition that is undefined is as little true as its negation. */
static char truth(const char *condition)
{
	if (selects("SELECT * FROM devices WHERE ", condition, ""))
		return 'T';
	return selects("SELECT * FROM devices WHERE NOT (", condition, ")") ? 'F' : 'U';
}

QUERY_TEST(conditions_are_true_false_or_undefined)
{
	static const struct {
		const char *condition;
		char truth;
	} rows[] = {
		/* every operator, both ways */
		{"deviceId = 'dev1'", 'T'},
		{"deviceId = 'DEV1'", 'F'},
		{"deviceId != 'dev2'", 'T'},
		{"deviceId <> 'dev1'", 'F'},
		{"tags.a.n < 6", 'T'},
		{"tags.a.n < 5", 'F'},
		{"tags.a.n <= 5", 'T'},
		{"tags.a.n <= 4", 'F'},
		{"tags.a.n > 4", 'T'},
		{"tags.a.n > 5", 'F'},
		{"tags.a.n >= 5", 'T'},
		{"tags.a.n >= 6", 'F'},
		{"'dev1' = deviceId", 'T'},
		{"4 < tags.a.n", 'T'},
		{"tags.a.b = tags.a.b", 'T'},
		{"1 = 1", 'T'},
		/* values */
		{"tags.a.n = 5.0", 'T'},
		{"tags.a.r = 2.5", 'T'},
		{"tags.a.r > 2", 'T'},
		{"tags.a.r = 25e-1", 'T'},
		{"properties.reported.temp = -21", 'T'},
		{"properties.reported.temp>-22", 'T'},
		{"tags.a.big > 9007199254740992", 'T'},
		{"capabilities.iotEdge = true", 'T'},
		{"capabilities.iotEdge = false", 'F'},
		{"tags.a.no < TRUE", 'T'},
		{"statusReason = null", 'T'},
		{"statusReason != NULL", 'F'},
		{"deviceId > 'dev0' AND deviceId < 'dev2'", 'T'},
		{"deviceId < 'dev10'", 'T'},
		{"tags.quote = 'it\\'s \"so\"'", 'T'},
		{"tags.quote = \"it's \\\"so\\\"\"", 'T'},
		{"tags.quote = \"it\\'s \\\"so\\\"\"", 'T'},
		{"tags.back = 'a\\\\b'", 'T'},
		{"tags.\xc3\xbc"
		 "ber = '\\u00e9'",
			'T'},
		{"tags.\xc3\xbc"
		 "ber = '\xc3\xa9'",
			'T'},
		{"tags.a.b != ''", 'T'},
		/* only what is there, and primitives of one type, compares */
		{"tags.missing = 'x'", 'U'},
		{"tags.missing != 'x'", 'U'},
		{"tags.a.b.c = 'x'", 'U'},
		{"nothing = null", 'U'},
		{"deviceId = 1", 'U'},
		{"deviceId != 1", 'U'},
		{"tags.a.n = '5'", 'U'},
		{"capabilities.iotEdge = 'true'", 'U'},
		{"deviceId != null", 'U'},
		{"tags = null", 'U'},
		{"tags.a = tags.a", 'U'},
		{"tags.a.list = tags.a.list", 'U'},
		/* sets */
		{"deviceId IN ['a', 'dev1']", 'T'},
		{"deviceId IN ['a']", 'F'},
		{"deviceId in [\"dev1\"]", 'T'},
		{"deviceId NIN ['a', 'b']", 'T'},
		{"deviceId nin ['a', 'dev1']", 'F'},
		{"tags.a.n IN ['5', 5, true, null]", 'T'},
		{"tags.a.n IN ['5']", 'F'},
		{"tags.missing IN ['x']", 'U'},
		{"tags.missing NIN ['x']", 'U'},
		{"tags.a IN ['x']", 'U'},
		/* IS_DEFINED is never undefined */
		{"IS_DEFINED(tags.a.b)", 'T'},
		{"is_defined ( tags.a )", 'T'},
		{"IS_DEFINED(statusReason)", 'T'},
		{"IS_DEFINED(tags.missing.deeper)", 'F'},
		{"NOT IS_DEFINED(properties.reported.y)", 'T'},
		/* 5.5: what AND, OR and NOT make of undefined */
		{"1=1 AND 1=1", 'T'},
		{"1=1 AND 1=2", 'F'},
		{"1=1 AND a=1", 'U'},
		{"1=2 AND a=1", 'F'},
		{"a=1 AND 1=2", 'F'},
		{"a=1 AND b=1", 'U'},
		{"1=2 OR 1=2", 'F'},
		{"1=2 OR 1=1", 'T'},
		{"1=1 OR a=1", 'T'},
		{"a=1 OR 1=1", 'T'},
		{"1=2 OR a=1", 'U'},
		{"a=1 OR b=1", 'U'},
		{"NOT 1=1", 'F'},
		{"NOT NOT 1=1", 'T'},
		{"NOT a=1", 'U'},
		/* NOT before AND before OR */
		{"1=1 OR 1=1 AND 1=2", 'T'},
		{"(1=1 OR 1=1) AND 1=2", 'F'},
		{"NOT 1=2 OR 1=1", 'T'},
		{"NOT (1=2 OR 1=1)", 'F'},
		{"NOT 1=1 AND 1=2", 'F'},
		{"1=2 OR 1=1 AND NOT 1=2 AND 1=1", 'T'},
		{"((((1=1))))", 'T'},
		/* spellings */
		{"devices.deviceId = 'dev1'", 'T'},
		{"Devices.tags.a.b = 'x'", 'T'},
		{"devices = 'dev1'", 'U'},
		{"tags.[[group]] = 'g'", 'T'},
		{"tags.group = 'g'", 'T'},
		{"[[tags]].[[with space]] = 's'", 'T'},
		{"tags.2nd = 's'", 'T'},
		{"tags.a-b = 1", 'T'},
		{"properties.reported.and = 'reserved'", 'T'},
		{"properties.desired.$version >= 4", 'T'},
		{"properties.desired.$metadata.$lastUpdated < '2027'", 'T'},
		{"\tdeviceId\r\n=\n'dev1' ", 'T'},
		{"deviceId='dev1'and(status='enabled')or not(1=1)", 'T'},
		{"Tags.a.b = 'x'", 'U'},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		cr_assert_eq(truth(rows[i].condition), rows[i].truth, "%s", rows[i].condition);
}

QUERY_TEST(without_a_condition_everything_is_selected)
{
	cr_assert(selects("SELECT * FROM devices", "", ""));
	cr_assert(selects("  select\t*\nfrom DEVICES  ", "", ""));
}

QUERY_TEST(what_is_not_the_grammar_is_refused_with_its_place)
{
	static const struct {
		const char *text;
		const char *code;
		const char *part;
	} rows[] = {
		{"", "query_syntax", "column 1: SELECT expected, found its end"},
		{"*", "query_syntax", "column 1: SELECT expected, found \"*\""},
		{"SELECT", "query_syntax", "column 7: "},
		{"SELECTED * FROM devices", "query_syntax", "column 1: SELECT"},
		{"SELECT * devices", "query_syntax", "column 10: FROM expected, found \"devices\""},
		{"SELECT * FROM", "query_syntax", "column 14: devices expected"},
		{"SELECT * FROM twins", "query_syntax", "column 15: devices expected"},
		{"SELECT * FROM devices d", "query_syntax", "column 23: WHERE or the end expected, found \"d\""},
		{"SELECT * FROM devices;", "query_syntax", "column 22: "},
		{"SELECT * FROM devices WHERE", "query_syntax", "column 28: "},
		{"SELECT * FROM devices WHERE deviceId", "query_syntax", "column 37: a comparison, IN or NIN expected"},
		{"SELECT * FROM devices WHERE deviceId =", "query_syntax", "column 39: "},
		{"SELECT * FROM devices WHERE deviceId = 'a", "query_syntax", "closing quote"},
		{"SELECT * FROM devices WHERE deviceId = 'a\\'", "query_syntax", "closing quote"},
		{"SELECT * FROM devices WHERE deviceId = 'a\\", "query_syntax", "closing quote"},
		{"SELECT * FROM devices WHERE deviceId = 'a\\q'", "query_syntax", "bad escapes"},
		{"SELECT * FROM devices WHERE deviceId = 'a\\u0000'", "query_syntax", "bad escapes"},
		{"SELECT * FROM devices WHERE deviceId = 'it''s'", "query_syntax", "AND, OR or the end"},
		{"SELECT * FROM devices WHERE deviceId == 'a'", "query_syntax", "column 39: "},
		{"SELECT * FROM devices WHERE version = 1.2.3", "query_syntax", "a number"},
		{"SELECT * FROM devices WHERE version = 0x10", "query_syntax", "AND, OR or the end"},
		{"SELECT * FROM devices WHERE version = 99999999999999999999", "query_syntax", "a number"},
		{"SELECT * FROM devices WHERE version = -", "query_syntax", "a number"},
		{"SELECT * FROM devices WHERE deviceId IN 'a'", "query_syntax", "[ expected"},
		{"SELECT * FROM devices WHERE deviceId IN []", "query_syntax", "a text, a number, true, false or null"},
		{"SELECT * FROM devices WHERE deviceId IN ['a'", "query_syntax", ", or ] expected"},
		{"SELECT * FROM devices WHERE deviceId IN [tags.a]", "query_syntax", "a text, a number"},
		{"SELECT * FROM devices WHERE deviceId NOT IN ['a']", "query_syntax", "IN or NIN"},
		{"SELECT * FROM devices WHERE IS_DEFINED(1)", "query_syntax", "a path expected"},
		{"SELECT * FROM devices WHERE IS_DEFINED(tags", "query_syntax", ") expected"},
		{"SELECT * FROM devices WHERE IS_DEFINED tags", "query_syntax", "a path"},
		{"SELECT * FROM devices WHERE (1=1", "query_syntax", "AND, OR or )"},
		{"SELECT * FROM devices WHERE 1=1)", "query_syntax", "AND, OR or the end"},
		{"SELECT * FROM devices WHERE AND 1=1", "query_syntax", "a path expected"},
		{"SELECT * FROM devices WHERE 1=1 AND", "query_syntax", "its end"},
		{"SELECT * FROM devices WHERE NOT", "query_syntax", "its end"},
		{"SELECT * FROM devices WHERE tags. = 1", "query_syntax", "a name"},
		{"SELECT * FROM devices WHERE tags..a = 1", "query_syntax", "a name"},
		{"SELECT * FROM devices WHERE .a = 1", "query_syntax", "a name"},
		{"SELECT * FROM devices WHERE [[a = 1", "query_syntax", "[[name]]"},
		{"SELECT * FROM devices WHERE [[]] = 1", "query_syntax", "[[name]]"},
		{"SELECT * FROM devices WHERE deviceId = 'a' 'b'", "query_syntax", "AND, OR or the end"},
		{"SELECT a, FROM devices", "query_syntax", "a path"},
		{"SELECT *, a FROM devices", "query_syntax", "FROM expected"},
		{"SELECT a AS FROM devices", "query_syntax", "FROM expected"},
		{"SELECT COUNT( FROM devices", "query_syntax", ") expected"},
		{"SELECT \xff FROM devices", "query_syntax", "UTF-8"},
		{"SELECT TOP 5 * FROM devices", "query_unserved", "TOP is not served"},
		{"SELECT a, COUNT() AS n FROM devices", "query_unserved", "COUNT() beside other columns"},
		{"SELECT AVG(tags.a) FROM devices", "query_unserved", "column 8: that function is not served"},
		{"SELECT 'a' FROM devices", "query_unserved", "literal"},
		{"SELECT * FROM devices.modules", "query_unserved", "another source"},
		{"SELECT * FROM devices.jobs WHERE 1=1", "query_unserved", "another source"},
		{"SELECT * FROM devices WHERE STARTSWITH(deviceId, 'a')", "query_unserved", "that function"},
		{"SELECT tags.a FROM devices GROUP BY tags.a", "query_unserved", "GROUP BY is not served"},
		{"SELECT * FROM devices WHERE 1=1 GROUP BY tags.a", "query_unserved", "GROUP BY is not served"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct query *query;
		cr_assert_eq(
			query_parse(text_of(rows[i].text), &limits, &query, &error), GH_INVALID, "%s", rows[i].text);
		cr_assert_str_eq(error.code, rows[i].code, "%s: %s", rows[i].text, error.text);
		cr_assert(strstr(error.text, rows[i].part) != NULL, "%s: %s", rows[i].text, error.text);
		cr_assert(strchr(error.text, ';') == NULL || strchr(rows[i].text, ';') != NULL,
			"clients cut texts at a semicolon");
	}
	struct query *query;
	cr_assert_eq(query_parse((gh_bytes){NULL, 0}, &limits, &query, &error), GH_INVALID);
	cr_assert_eq(query_parse((gh_bytes){(const uint8_t *)"SELECT * FROM devices\0", 22}, &limits, &query, &error),
		GH_INVALID, "NUL is no blank");
}

/* "SELECT * FROM devices WHERE " and count times head, "1=1", count times tail. */
static gh_status nested(const char *head, const char *tail, size_t count)
{
	struct buf text;
	struct query *query = NULL;
	buf_init(&text, 0);
	buf_append(&text, "SELECT * FROM devices WHERE ", 28);
	for (size_t i = 0; i < count; i++)
		buf_append(&text, head, strlen(head));
	buf_append(&text, "1=1", 3);
	for (size_t i = 0; i < count; i++)
		buf_append(&text, tail, strlen(tail));
	gh_status status = query_parse(buf_bytes(&text), &limits, &query, &error);
	if (status == GH_OK)
		cr_assert_eq(query_selects(query, twin), true);
	query_free(query);
	buf_done(&text);
	return status;
}

QUERY_TEST(conditions_lie_inside_each_other_to_query_depth_max_and_beside_each_other_without_end)
{
	cr_assert_eq(nested("(", ")", limits.query_depth_max), GH_OK);
	cr_assert_eq(nested("(", ")", limits.query_depth_max + 1), GH_INVALID);
	cr_assert_str_eq(error.code, "query_depth_max");
	cr_assert_eq(nested("NOT ", "", limits.query_depth_max), GH_OK);
	cr_assert_eq(nested("NOT ", "", limits.query_depth_max + 1), GH_INVALID);
	cr_assert_eq(nested("NOT (", ")", limits.query_depth_max / 2), GH_OK);
	cr_assert_eq(nested("1=2 OR 1=1 AND (", ")", limits.query_depth_max), GH_OK);
	cr_assert_eq(nested("NOT (", ")", limits.query_bytes_max / 8), GH_INVALID);
	limits.query_bytes_max = 1048576;
	cr_assert_eq(nested("1=2 OR ", "", 100000), GH_OK);
	cr_assert_eq(nested("1=1 AND ", "", 100000), GH_OK);
}

QUERY_TEST(a_query_is_at_most_query_bytes_max_long)
{
	limits.query_bytes_max = 256;
	char text[300];
	memset(text, ' ', sizeof text);
	memcpy(text, "SELECT * FROM devices", 21);
	struct query *query = NULL;
	cr_assert_eq(query_parse((gh_bytes){(uint8_t *)text, 256}, &limits, &query, &error), GH_OK, "%s", error.text);
	query_free(query);
	cr_assert_eq(query_parse((gh_bytes){(uint8_t *)text, 257}, &limits, &query, &error), GH_INVALID);
	cr_assert_str_eq(error.code, "query_bytes_max");
}

QUERY_TEST(columns_are_named_by_as_or_by_the_last_name_of_their_path)
{
	static const struct {
		const char *select;
		const char *row;
	} rows[] = {
		{"deviceId", "{\"deviceId\":\"dev1\"}"},
		{"deviceId, tags.a.b, tags.a.n AS Number", "{\"deviceId\":\"dev1\",\"b\":\"x\",\"Number\":5}"},
		{"devices.tags.a.list as l, tags.missing, nothing.at.all", "{\"l\":[1,2]}"},
		{"tags.missing", "{}"},
		{"statusReason AS [[why not]]", "{\"why not\":null}"},
		{"tags.a.b AS x, tags.a.n AS x", "{\"x\":5}"},
		{"count, top, properties.reported.empty", "{\"empty\":{}}"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[256];
		snprintf(text, sizeof text, "SELECT %s FROM devices", rows[i].select);
		struct query *query = parsed(text);
		json_t *row = query_row(query, twin);
		cr_assert_eq(query->kind, QUERY_COLUMNS, "%s", text);
		char *found = json_dumps(row, JSON_COMPACT);
		cr_assert_str_eq(found, rows[i].row, "%s", text);
		free(found);
		json_decref(row);
		query_free(query);
	}
}

QUERY_TEST(a_star_gives_the_twin_itself)
{
	struct query *query = parsed("SELECT * FROM devices");
	json_t *row = query_row(query, twin);
	cr_assert_eq(query->kind, QUERY_TWINS);
	cr_assert_eq(row, twin);
	json_decref(row);
	query_free(query);
}

QUERY_TEST(a_count_has_one_row_of_one_column)
{
	static const struct {
		const char *text;
		const char *row;
	} rows[] = {
		{"SELECT COUNT() AS n FROM devices", "{\"n\":3}"},
		{"select count ( ) as [[the n]] from devices where 1=1", "{\"the n\":3}"},
		{"SELECT COUNT() FROM devices", "{\"count\":3}"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct query *query = parsed(rows[i].text);
		cr_assert_eq(query->kind, QUERY_COUNT);
		json_t *row = query_count_row(query, 3);
		char *found = json_dumps(row, JSON_COMPACT);
		cr_assert_str_eq(found, rows[i].row, "%s", rows[i].text);
		free(found);
		json_decref(row);
		query_free(query);
	}
}

QUERY_TEST(a_query_cut_anywhere_is_a_query_or_refused)
{
	const char *text = "SELECT deviceId, tags.[[a b]] AS x FROM devices WHERE NOT (a.b IN ['x', -1.5e3] OR "
			   "IS_DEFINED(c)) AND d <= \"q\\\"\"";
	for (size_t len = 0; len <= strlen(text); len++) {
		uint8_t *exact = malloc(len ? len : 1); /* its own allocation, so that a sanitizer sees the end */
		struct query *query = NULL;
		memcpy(exact, text, len);
		gh_status status = query_parse((gh_bytes){exact, len}, &limits, &query, &error);
		cr_assert(status == GH_OK || status == GH_INVALID, "cut at %zu", len);
		query_free(query);
		free(exact);
	}
}
