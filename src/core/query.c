#include "src/core/query.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* In this order AND is the smaller of two, OR the larger, and NOT the other end. */
enum query_truth { QUERY_FALSE, QUERY_UNDEFINED, QUERY_TRUE };

void query_free(struct query *query)
{
	if (!query)
		return;
	for (size_t i = 0; i < query->step_count; i++) {
		json_decref(query->steps[i].left);
		json_decref(query->steps[i].right);
	}
	free(query->steps);
	free(query->stack);
	json_decref(query->columns);
	free(query);
}

/* ---- values ---- */

/* NULL when there is no such member. */
static json_t *query_walk(const json_t *path, json_t *twin)
{
	json_t *value = twin;
	for (size_t i = 0; value && i < json_array_size(path); i++)
		value = json_object_get(value, json_string_value(json_array_get(path, i)));
	return value;
}

static const json_t *query_value(const json_t *operand, const json_t *twin)
{
	return json_is_array(operand) ? query_walk(operand, (json_t *)twin) : operand;
}

static uint8_t query_order_numbers(const json_t *a, const json_t *b)
{
	if (json_is_integer(a) && json_is_integer(b)) {
		json_int_t x = json_integer_value(a), y = json_integer_value(b);
		return x < y ? QUERY_LESS : x > y ? QUERY_GREATER : QUERY_EQUAL;
	}
	double x = json_number_value(a), y = json_number_value(b);
	return x < y ? QUERY_LESS : x > y ? QUERY_GREATER : QUERY_EQUAL;
}

static uint8_t query_order_texts(const json_t *a, const json_t *b)
{
	int order = strcmp(json_string_value(a), json_string_value(b));
	return order < 0 ? QUERY_LESS : order > 0 ? QUERY_GREATER : QUERY_EQUAL;
}

/* 0 when the two do not compare. */
static uint8_t query_order(const json_t *a, const json_t *b)
{
	if (json_is_number(a) && json_is_number(b))
		return query_order_numbers(a, b);
	if (json_is_string(a) && json_is_string(b))
		return query_order_texts(a, b);
	if (json_is_boolean(a) && json_is_boolean(b)) {
		bool x = json_is_true(a), y = json_is_true(b);
		return x == y ? QUERY_EQUAL : y ? QUERY_LESS : QUERY_GREATER;
	}
	return json_is_null(a) && json_is_null(b) ? QUERY_EQUAL : 0;
}

/* ---- steps ---- */

static enum query_truth query_compare(const struct query_step *step, const json_t *twin)
{
	uint8_t order = query_order(query_value(step->left, twin), query_value(step->right, twin));
	return order == 0 ? QUERY_UNDEFINED : order & step->orders ? QUERY_TRUE : QUERY_FALSE;
}

static enum query_truth query_is_in(const struct query_step *step, const json_t *twin)
{
	const json_t *value = query_value(step->left, twin);
	if (!value || json_is_object(value) || json_is_array(value))
		return QUERY_UNDEFINED;
	for (size_t i = 0; i < json_array_size(step->right); i++)
		if (query_order(value, json_array_get(step->right, i)) == QUERY_EQUAL)
			return QUERY_TRUE;
	return QUERY_FALSE;
}

static uint8_t query_not(uint8_t truth)
{
	return QUERY_TRUE - truth;
}

static uint8_t query_leaf(const struct query_step *step, const json_t *twin)
{
	switch (step->what) {
	case QUERY_COMPARE:
		return query_compare(step, twin);
	case QUERY_IN:
		return query_is_in(step, twin);
	case QUERY_NIN:
		return query_not(query_is_in(step, twin));
	default:
		assert(step->what == QUERY_IS_DEFINED);
		return query_value(step->left, twin) ? QUERY_TRUE : QUERY_FALSE;
	}
}

bool query_selects(const struct query *query, const json_t *twin)
{
	uint8_t *top = query->stack; /* the first free place */
	for (size_t i = 0; i < query->step_count; i++) {
		const struct query_step *step = &query->steps[i];
		if (step->what == QUERY_NOT) {
			top[-1] = query_not(top[-1]);
		} else if (step->what == QUERY_AND || step->what == QUERY_OR) {
			top--;
			if ((step->what == QUERY_AND) == (top[0] < top[-1]))
				top[-1] = top[0];
		} else {
			assert(top < query->stack + query->stack_max);
			*top++ = query_leaf(step, twin);
		}
	}
	return query->step_count == 0 || query->stack[0] == QUERY_TRUE;
}

/* ---- rows ---- */

json_t *query_row(const struct query *query, json_t *twin)
{
	const char *name;
	json_t *path;
	assert(query->kind != QUERY_COUNT);
	if (query->kind == QUERY_TWINS)
		return json_incref(twin);
	json_t *row = json_object();
	int failed = row == NULL;
	json_object_foreach(query->columns, name, path)
	{
		json_t *value = query_walk(path, twin);
		if (value)
			failed |= json_object_set(row, name, value);
	}
	if (!failed)
		return row;
	json_decref(row);
	return NULL;
}

json_t *query_count_row(const struct query *query, uint64_t count)
{
	assert(query->kind == QUERY_COUNT && json_object_size(query->columns) == 1);
	const char *name = json_object_iter_key(json_object_iter(query->columns));
	return json_pack("{s:I}", name, (json_int_t)count);
}
