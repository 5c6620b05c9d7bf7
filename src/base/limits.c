#include "src/base/limits.h"

#include "src/base/text.h"

#include <inttypes.h>
#include <string.h>

const struct limits_row limits_table[] = {
#define LIMIT(name, def, min, max, text) {#name, def, min, max, text, offsetof(gh_limits, name)},
#include <gatehouse/limits.def>
#undef LIMIT
};
const size_t limits_count = sizeof limits_table / sizeof *limits_table;

void limits_defaults(gh_limits *limits)
{
	for (size_t i = 0; i < limits_count; i++)
		memcpy((char *)limits + limits_table[i].offset, &limits_table[i].def, sizeof(uint64_t));
}

const struct limits_row *limits_find(gh_bytes name)
{
	for (size_t i = 0; i < limits_count; i++)
		if (text_equal(name, text_of(limits_table[i].name)))
			return &limits_table[i];
	return NULL;
}

gh_status limits_set(gh_limits *limits, const struct limits_row *row, uint64_t value, gh_error *ret_err)
{
	if (value < row->min || value > row->max)
		return gh_fail(ret_err, GH_INVALID, "limit_range",
			"%s is %" PRIu64 ", allowed is %" PRIu64 " to %" PRIu64, row->name, value, row->min, row->max);
	memcpy((char *)limits + row->offset, &value, sizeof value);
	return GH_OK;
}

uint64_t limits_get(const gh_limits *limits, const struct limits_row *row)
{
	uint64_t value;
	memcpy(&value, (const char *)limits + row->offset, sizeof value);
	return value;
}
