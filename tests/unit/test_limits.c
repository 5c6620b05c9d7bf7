/* limits.def: every row has a sane default, and its range is kept at both ends. */
#include "tests/suite.h"

#include "src/base/limits.h"
#include "src/base/text.h"

SUITE(limits);

Test(limits, every_row_keeps_its_range)
{
	gh_limits limits;
	limits_defaults(&limits);
	for (size_t i = 0; i < limits_count; i++) {
		const struct limits_row *row = &limits_table[i];
		gh_error err = {0};
		cr_assert(row->min <= row->def && row->def <= row->max, "%s", row->name);
		cr_assert_eq(limits_get(&limits, row), row->def, "%s", row->name);
		cr_assert_eq(limits_find(text_of(row->name)), row);
		cr_assert_eq(limits_set(&limits, row, row->min, &err), GH_OK, "%s", row->name);
		cr_assert_eq(limits_set(&limits, row, row->max, &err), GH_OK, "%s", row->name);
		cr_assert_eq(limits_get(&limits, row), row->max, "%s", row->name);
		if (row->min > 0)
			cr_assert_eq(limits_set(&limits, row, row->min - 1, &err), GH_INVALID, "%s", row->name);
		cr_assert_eq(limits_set(&limits, row, row->max + 1, &err), GH_INVALID, "%s", row->name);
		cr_assert(strstr(err.text, row->name) != NULL, "the error names %s", row->name);
		cr_assert_eq(limits_get(&limits, row), row->max, "a refusal changes nothing: %s", row->name);
	}
	cr_assert_null(limits_find(text_of("no_such_limit")));
}
