/* query.h - the query language over twins, as far as it is served (service contract 3.8):
 *
 *     SELECT * | path [AS name], ... | COUNT() [AS name]  FROM devices  [WHERE cond]
 *     cond: a comparison (= != <> < <= > >=), path IN [..], path NIN [..], IS_DEFINED(path), AND, OR, NOT, ( )
 *
 * Keywords compare without case, names of members with it.  Everything else of the language is refused by name: TOP,
 * GROUP BY, the other functions, FROM devices.modules and devices.jobs.
 *
 * A condition is true, false or undefined (5.5): a missing path, two values of different types, an object or an array make
 * it undefined, NOT undefined is undefined, and only true selects.  IS_DEFINED is true or false.
 *
 * The parser turns the condition into steps for a small stack machine, so that selecting needs no recursion, however long
 * the query, and looks at each step once.
 */
#ifndef GATEHOUSE_CORE_QUERY_H
#define GATEHOUSE_CORE_QUERY_H

#include <gatehouse/limits.h>
#include <gatehouse/message.h>

#include <jansson.h>

enum query_kind {
	QUERY_TWINS,   /* rows are twins */
	QUERY_COLUMNS, /* rows are objects of the named columns */
	QUERY_COUNT,   /* one row: how many */
};

enum query_do { QUERY_COMPARE, QUERY_IN, QUERY_NIN, QUERY_IS_DEFINED, QUERY_NOT, QUERY_AND, QUERY_OR };

/* Takes its operands from the stack or the twin, leaves one truth value on the stack. */
struct query_step {
	enum query_do what;
	uint8_t orders; /* of a comparison: QUERY_LESS, QUERY_EQUAL, QUERY_GREATER */
	json_t *left;   /* a path is an array of names; all else is a literal */
	json_t *right;  /* the same; for IN and NIN an array of literals */
};

enum { QUERY_LESS = 1 << 0, QUERY_EQUAL = 1 << 1, QUERY_GREATER = 1 << 2 };

struct query {
	enum query_kind kind;
	json_t *columns; /* name -> path, in order; of a count the one name -> null */
	struct query_step *steps;
	size_t step_count;
	size_t step_cap;
	uint8_t *stack; /* room for what the steps need */
	size_t stack_max;
};

/* GH_INVALID: it breaks the grammar or a limit (query_bytes_max, query_depth_max), or is not served; the error names the
 * column.  GH_NO_MEMORY. */
gh_status query_parse(gh_bytes text, const gh_limits *limits, struct query **ret_query, gh_error *ret_err);
void query_free(struct query *query); /* accepts NULL and half-built ones */

/* Whether the condition is true of this twin.  Uses the query's stack: one thread at a time. */
bool query_selects(const struct query *query, const json_t *twin);
/* What a selected twin gives, but of a count: a new reference.  NULL without memory. */
json_t *query_row(const struct query *query, json_t *twin);
/* The row of a count. */
json_t *query_count_row(const struct query *query, uint64_t count);

#endif
