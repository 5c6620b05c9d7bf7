/* limits.h - the table behind limits.def: names, defaults, ranges, texts. */
#ifndef GATEHOUSE_BASE_LIMITS_H
#define GATEHOUSE_BASE_LIMITS_H

#include <gatehouse/error.h>
#include <gatehouse/limits.h>
#include <gatehouse/message.h>

#include <stddef.h>

struct limits_row {
	const char *name;
	uint64_t def;
	uint64_t min;
	uint64_t max;
	const char *text;
	size_t offset; /* of the field in gh_limits */
};

extern const struct limits_row limits_table[];
extern const size_t limits_count;

void limits_defaults(gh_limits *limits);
const struct limits_row *limits_find(gh_bytes name); /* NULL when there is none */
/* GH_INVALID outside the range; the error names the limit and its range. */
gh_status limits_set(gh_limits *limits, const struct limits_row *row, uint64_t value, gh_error *ret_err);
uint64_t limits_get(const gh_limits *limits, const struct limits_row *row);

#endif
