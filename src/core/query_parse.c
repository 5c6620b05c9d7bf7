/* query_parse.c - the text of a query becomes columns and steps; one function per rule of the grammar in query.h.
 *
 * No tokens are kept: each rule looks at the text where it stands.  Literals and names become JSON values at once, so
 * that numbers and escapes are those of JSON.
 */
#include "src/core/query.h"

#include "src/base/buf.h"
#include "src/base/log.h"
#include "src/base/take.h"
#include "src/base/text.h"

#include <assert.h>
#include <inttypes.h>

struct parse {
	const uint8_t *begin;
	const uint8_t *at;
	const uint8_t *end;
	uint64_t depth;
	uint64_t depth_max;
	size_t height; /* of the stack behind the steps so far */
	struct query *query;
	gh_error *err;
};

enum { FOUND_BYTES_MAX = 24 };

static void json_release(json_t **value)
{
	json_decref(*value);
}

/* ---- saying no ---- */

static size_t parse_place(const struct parse *p)
{
	return (size_t)(p->at - p->begin) + 1;
}

static gh_status parse_expected(struct parse *p, const char *what)
{
	size_t left = (size_t)(p->end - p->at);
	gh_bytes found = {p->at, left < FOUND_BYTES_MAX ? left : FOUND_BYTES_MAX};
	return gh_fail(p->err, GH_INVALID, "query_syntax", "the query, column %zu: %s expected, found %s",
		parse_place(p), what, left > 0 ? LOG_TEXT(found) : "its end");
}

static gh_status parse_unserved(struct parse *p, const char *what)
{
	return gh_fail(p->err, GH_INVALID, "query_unserved",
		"the query, column %zu: %s is not served, but SELECT * or paths or COUNT() FROM devices WHERE "
		"comparisons, IN, NIN, IS_DEFINED(), AND, OR, NOT",
		parse_place(p), what);
}

static gh_status parse_no_memory(struct parse *p)
{
	return gh_fail(p->err, GH_NO_MEMORY, "no_memory", "no memory for a query");
}

/* ---- words and symbols ---- */

static bool parse_is_name(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
	       c == '-' || c >= 0x80;
}

static bool parse_is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static void parse_blank(struct parse *p)
{
	while (p->at < p->end && memchr(" \t\r\n", *p->at, 4))
		p->at++;
}

/* What comes next, 0 at the end. */
static uint8_t parse_next(struct parse *p)
{
	parse_blank(p);
	return p->at < p->end ? *p->at : 0;
}

static bool parse_symbol(struct parse *p, const char *symbol)
{
	parse_blank(p);
	if (!text_starts((gh_bytes){p->at, (size_t)(p->end - p->at)}, symbol))
		return false;
	p->at += strlen(symbol);
	return true;
}

/* The run of name characters at this very place, not taken. */
static gh_bytes parse_word(const struct parse *p)
{
	const uint8_t *at = p->at;
	while (at < p->end && parse_is_name(*at))
		at++;
	return (gh_bytes){p->at, (size_t)(at - p->at)};
}

static bool parse_keyword(struct parse *p, const char *keyword)
{
	parse_blank(p);
	gh_bytes word = parse_word(p);
	if (!text_equal_nocase(word, text_of(keyword)))
		return false;
	p->at += word.len;
	return true;
}

/* "NAME (" is a function's call; the name is taken, the parenthesis too. */
static bool parse_call(struct parse *p, const char *function)
{
	const uint8_t *before = p->at;
	if (parse_keyword(p, function) && parse_symbol(p, "("))
		return true;
	p->at = before;
	return false;
}

/* ---- names and paths ---- */

static bool parse_is_reserved(gh_bytes word)
{
	static const char *const words[] = {"SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "NIN", "AS", "GROUP",
		"BY", "IS_DEFINED", "true", "false", "null"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (text_equal_nocase(word, text_of(words[i])))
			return true;
	return false;
}

/* [[any text]] */
static gh_status parse_quoted_name(struct parse *p, gh_bytes *ret_name)
{
	size_t left = (size_t)(p->end - p->at);
	const uint8_t *close = memmem(p->at, left, "]]", 2);
	if (!close || close == p->at + 2)
		return parse_expected(p, "[[name]]");
	*ret_name = (gh_bytes){p->at + 2, (size_t)(close - p->at) - 2};
	p->at = close + 2;
	return GH_OK;
}

static gh_status parse_name(struct parse *p, gh_bytes *ret_name)
{
	if (p->end - p->at >= 2 && memcmp(p->at, "[[", 2) == 0)
		return parse_quoted_name(p, ret_name);
	gh_bytes word = parse_word(p);
	if (word.len == 0)
		return parse_expected(p, "a name");
	*ret_name = word;
	p->at += word.len;
	return GH_OK;
}

/* "devices.tags.a" is "tags.a": no twin has a member called devices. */
static gh_status parse_finish_path(struct parse *p, json_t **path, json_t **ret_path)
{
	gh_bytes first = text_of(json_string_value(json_array_get(*path, 0)));
	if (json_array_size(*path) > 1 && text_equal_nocase(first, text_of("devices")) &&
		json_array_remove(*path, 0) != 0)
		return parse_no_memory(p);
	*ret_path = GH_TAKE(*path);
	return GH_OK;
}

static gh_status parse_path(struct parse *p, json_t **ret_path)
{
	GH_CLEANUP(json_release) json_t *path = json_array();
	uint8_t first = parse_next(p);
	if (first == '-' || parse_is_digit(first) || parse_is_reserved(parse_word(p)))
		return parse_expected(p, "a path");
	for (;;) {
		gh_bytes name;
		gh_status status = parse_name(p, &name);
		if (status != GH_OK)
			return status;
		if (json_array_append_new(path, json_stringn((const char *)name.data, name.len)) != 0)
			return parse_no_memory(p);
		if (p->at == p->end || *p->at != '.')
			return parse_finish_path(p, &path, ret_path);
		p->at++;
	}
}

/* ---- literals ---- */

static gh_status parse_json(struct parse *p, const void *text, size_t len, const char *what, json_t **ret_value)
{
	json_t *value = json_loadb(text, len, JSON_DECODE_ANY, NULL);
	if (!value)
		return parse_expected(p, what);
	*ret_value = value;
	return GH_OK;
}

static gh_status parse_number(struct parse *p, json_t **ret_value)
{
	const uint8_t *end = p->at;
	while (end < p->end && (parse_is_digit(*end) || memchr("+-.eE", *end, 5)))
		end++;
	gh_status status = parse_json(p, p->at, (size_t)(end - p->at), "a number", ret_value);
	if (status == GH_OK)
		p->at = end;
	return status;
}

/* The closing quote of the text that begins here, NULL when there is none. */
static const uint8_t *parse_find_close(const struct parse *p)
{
	for (const uint8_t *at = p->at + 1; at < p->end; at++) {
		if (*at == *p->at)
			return at;
		if (*at == '\\' && ++at == p->end)
			return NULL;
	}
	return NULL;
}

/* In '..' or ".."; a backslash escapes as in JSON, and the quotes. */
static gh_status parse_text(struct parse *p, json_t **ret_value)
{
	const uint8_t *close = parse_find_close(p);
	struct buf json;
	if (!close)
		return parse_expected(p, "a text and its closing quote");
	buf_init(&json, 0);
	buf_put_u8(&json, '"');
	for (const uint8_t *at = p->at + 1; at < close; at++) {
		if (*at == '\\' && at[1] == '\'')
			continue;
		if (*at == '"')
			buf_put_u8(&json, '\\');
		buf_put_u8(&json, *at);
		if (*at == '\\')
			buf_put_u8(&json, *++at);
	}
	buf_put_u8(&json, '"');
	gh_status status = json.failed ? parse_no_memory(p)
				       : parse_json(p, json.data, json.len, "a text without bad escapes", ret_value);
	if (status == GH_OK)
		p->at = close + 1;
	buf_done(&json);
	return status;
}

static bool parse_constant(struct parse *p, json_t **ret_value)
{
	json_t *value = parse_keyword(p, "true")    ? json_true()
			: parse_keyword(p, "false") ? json_false()
			: parse_keyword(p, "null")  ? json_null()
						    : NULL;
	if (value)
		*ret_value = value;
	return value != NULL;
}

static gh_status parse_literal(struct parse *p, json_t **ret_value)
{
	uint8_t c = parse_next(p);
	if (c == '\'' || c == '"')
		return parse_text(p, ret_value);
	if (c == '-' || parse_is_digit(c))
		return parse_number(p, ret_value);
	return parse_constant(p, ret_value) ? GH_OK : parse_expected(p, "a text, a number, true, false or null");
}

static gh_status parse_operand(struct parse *p, json_t **ret_operand)
{
	uint8_t c = parse_next(p);
	if (c == '\'' || c == '"' || c == '-' || parse_is_digit(c))
		return parse_literal(p, ret_operand);
	if (parse_constant(p, ret_operand))
		return GH_OK;
	const uint8_t *begin = p->at;
	GH_CLEANUP(json_release) json_t *path = NULL;
	gh_status status = parse_path(p, &path);
	if (status == GH_OK && parse_next(p) == '(') {
		p->at = begin;
		return parse_unserved(p, "that function");
	}
	if (status == GH_OK)
		*ret_operand = GH_TAKE(path);
	return status;
}

/* ---- the condition ---- */

/* Takes left and right, also when it fails. */
static gh_status parse_emit(struct parse *p, struct query_step step)
{
	struct query *query = p->query;
	if (query->step_count == query->step_cap) {
		size_t cap = query->step_cap ? 2 * query->step_cap : 8;
		struct query_step *steps = realloc(query->steps, cap * sizeof *steps);
		if (!steps) {
			json_decref(step.left);
			json_decref(step.right);
			return parse_no_memory(p);
		}
		query->steps = steps;
		query->step_cap = cap;
	}
	query->steps[query->step_count++] = step;
	if (step.what == QUERY_AND || step.what == QUERY_OR)
		p->height--;
	else if (step.what != QUERY_NOT)
		p->height++;
	if (query->stack_max < p->height)
		query->stack_max = p->height;
	return GH_OK;
}

static gh_status parse_list(struct parse *p, json_t **ret_list)
{
	GH_CLEANUP(json_release) json_t *list = json_array();
	if (!parse_symbol(p, "["))
		return parse_expected(p, "[");
	do {
		json_t *value;
		gh_status status = parse_literal(p, &value);
		if (status != GH_OK)
			return status;
		if (json_array_append_new(list, value) != 0)
			return parse_no_memory(p);
	} while (parse_symbol(p, ","));
	if (!parse_symbol(p, "]"))
		return parse_expected(p, ", or ]");
	*ret_list = GH_TAKE(list);
	return GH_OK;
}

static gh_status parse_comparison(struct parse *p, struct query_step *step)
{
	static const struct {
		const char *symbol;
		uint8_t orders;
	} table[] = {
		/* a symbol before its own beginning */
		{"<=", QUERY_LESS | QUERY_EQUAL},
		{"<>", QUERY_LESS | QUERY_GREATER},
		{"<", QUERY_LESS},
		{">=", QUERY_GREATER | QUERY_EQUAL},
		{">", QUERY_GREATER},
		{"!=", QUERY_LESS | QUERY_GREATER},
		{"=", QUERY_EQUAL},
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (parse_symbol(p, table[i].symbol)) {
			step->orders = table[i].orders;
			return parse_operand(p, &step->right);
		}
	return parse_expected(p, "a comparison, IN or NIN");
}

/* Behind the left operand: what is it held against? */
static gh_status parse_right(struct parse *p, struct query_step *step)
{
	if (parse_keyword(p, "IN"))
		step->what = QUERY_IN;
	else if (parse_keyword(p, "NIN"))
		step->what = QUERY_NIN;
	return step->what == QUERY_COMPARE ? parse_comparison(p, step) : parse_list(p, &step->right);
}

static gh_status parse_is_defined(struct parse *p, struct query_step *step)
{
	step->what = QUERY_IS_DEFINED;
	gh_status status = parse_path(p, &step->left);
	return status != GH_OK || parse_symbol(p, ")") ? status : parse_expected(p, ")");
}

static gh_status parse_leaf(struct parse *p)
{
	struct query_step step = {.what = QUERY_COMPARE};
	gh_status status;
	if (parse_call(p, "IS_DEFINED")) {
		status = parse_is_defined(p, &step);
	} else {
		status = parse_operand(p, &step.left);
		if (status == GH_OK)
			status = parse_right(p, &step);
	}
	if (status == GH_OK)
		return parse_emit(p, step);
	json_decref(step.left);
	json_decref(step.right);
	return status;
}

static gh_status parse_condition(struct parse *p);
static gh_status parse_not(struct parse *p);

/* One level further in; every way in leads through here. */
static gh_status parse_deeper(struct parse *p, gh_status (*part)(struct parse *))
{
	if (p->depth == p->depth_max)
		return gh_fail(p->err, GH_INVALID, "query_depth_max",
			"the query, column %zu: more than %" PRIu64 " conditions inside each other", parse_place(p),
			p->depth_max);
	p->depth++;
	gh_status status = part(p);
	p->depth--;
	return status;
}

static gh_status parse_not(struct parse *p)
{
	gh_status status;
	if (parse_keyword(p, "NOT")) {
		status = parse_deeper(p, parse_not);
		return status == GH_OK ? parse_emit(p, (struct query_step){.what = QUERY_NOT}) : status;
	}
	if (!parse_symbol(p, "("))
		return parse_leaf(p);
	status = parse_deeper(p, parse_condition);
	return status != GH_OK || parse_symbol(p, ")") ? status : parse_expected(p, "AND, OR or )");
}

static gh_status parse_chain(
	struct parse *p, const char *keyword, enum query_do what, gh_status (*part)(struct parse *))
{
	gh_status status = part(p);
	while (status == GH_OK && parse_keyword(p, keyword)) {
		status = part(p);
		if (status == GH_OK)
			status = parse_emit(p, (struct query_step){.what = what});
	}
	return status;
}

static gh_status parse_and(struct parse *p)
{
	return parse_chain(p, "AND", QUERY_AND, parse_not);
}

static gh_status parse_condition(struct parse *p)
{
	return parse_chain(p, "OR", QUERY_OR, parse_and);
}

/* ---- what is selected ---- */

/* Takes path.  The name is the one behind AS, else `name`. */
static gh_status parse_add_column(struct parse *p, gh_bytes name, json_t *path)
{
	gh_status status = GH_OK;
	if (parse_keyword(p, "AS")) {
		parse_blank(p);
		status = parse_name(p, &name);
	}
	if (status != GH_OK)
		json_decref(path);
	else if (json_object_setn_new(p->query->columns, (const char *)name.data, name.len, path) != 0)
		status = parse_no_memory(p);
	return status;
}

static gh_status parse_count(struct parse *p)
{
	if (!parse_symbol(p, ")"))
		return parse_expected(p, ")");
	p->query->kind = QUERY_COUNT;
	return parse_add_column(p, text_of("count"), json_null());
}

static gh_status parse_column_path(struct parse *p)
{
	json_t *path;
	gh_status status = parse_operand(p, &path);
	if (status != GH_OK)
		return status;
	if (!json_is_array(path)) {
		json_decref(path);
		return parse_unserved(p, "a literal before it");
	}
	const char *last = json_string_value(json_array_get(path, json_array_size(path) - 1));
	return parse_add_column(p, text_of(last), path);
}

static gh_status parse_columns(struct parse *p)
{
	if (parse_symbol(p, "*"))
		return GH_OK;
	p->query->kind = QUERY_COLUMNS;
	size_t count = 0;
	do {
		gh_status status = parse_call(p, "COUNT") ? parse_count(p) : parse_column_path(p);
		if (status != GH_OK)
			return status;
		count++;
	} while (parse_symbol(p, ","));
	if (p->query->kind == QUERY_COUNT && count > 1)
		return parse_unserved(p, "COUNT() beside other columns");
	return GH_OK;
}

static gh_status parse_select(struct parse *p)
{
	if (!parse_keyword(p, "SELECT"))
		return parse_expected(p, "SELECT");
	const uint8_t *before = p->at;
	if (parse_keyword(p, "TOP") && parse_is_digit(parse_next(p)))
		return parse_unserved(p, "TOP");
	p->at = before;
	return parse_columns(p);
}

static gh_status parse_from(struct parse *p)
{
	if (!parse_keyword(p, "FROM"))
		return parse_expected(p, "FROM");
	if (!parse_keyword(p, "devices"))
		return parse_expected(p, "devices");
	return p->at < p->end && *p->at == '.' ? parse_unserved(p, "another source than devices") : GH_OK;
}

static gh_status parse_where(struct parse *p)
{
	gh_status status = parse_keyword(p, "WHERE") ? parse_condition(p) : GH_OK;
	if (status != GH_OK)
		return status;
	if (parse_keyword(p, "GROUP"))
		return parse_unserved(p, "GROUP BY");
	if (parse_next(p) != 0)
		return parse_expected(p, p->query->step_count > 0 ? "AND, OR or the end" : "WHERE or the end");
	return GH_OK;
}

static gh_status parse_check_text(gh_bytes text, const gh_limits *limits, gh_error *ret_err)
{
	if (text.len > limits->query_bytes_max)
		return gh_fail(ret_err, GH_INVALID, "query_bytes_max", "the query is longer than %" PRIu64 " bytes",
			limits->query_bytes_max);
	if (!text_is_utf8(text) || (text.len > 0 && memchr(text.data, '\0', text.len)))
		return gh_fail(ret_err, GH_INVALID, "query_syntax", "the query is not UTF-8 without NUL");
	return GH_OK;
}

gh_status query_parse(gh_bytes text, const gh_limits *limits, struct query **ret_query, gh_error *ret_err)
{
	gh_status status = parse_check_text(text, limits, ret_err);
	if (status != GH_OK)
		return status;
	if (text.len == 0)
		text = text_of("");
	struct parse p = {.begin = text.data, .at = text.data, .end = text.data + text.len, .err = ret_err};
	p.depth_max = limits->query_depth_max;
	p.query = calloc(1, sizeof *p.query);
	if (p.query)
		p.query->columns = json_object();
	status = p.query && p.query->columns ? parse_select(&p) : parse_no_memory(&p);
	if (status == GH_OK)
		status = parse_from(&p);
	if (status == GH_OK)
		status = parse_where(&p);
	if (status == GH_OK) {
		assert(p.depth == 0 && p.height == (p.query->step_count > 0));
		p.query->stack = malloc(p.query->stack_max + 1);
		status = p.query->stack ? GH_OK : parse_no_memory(&p);
	}
	if (status == GH_OK)
		*ret_query = GH_TAKE(p.query);
	query_free(p.query);
	return status;
}
