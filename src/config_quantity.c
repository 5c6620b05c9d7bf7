#include "src/config_quantity.h"

#include "src/base/text.h"

struct quantity_unit {
	const char *text;
	uint64_t factor;
};

static const struct quantity_unit quantity_sizes[] = {
	{"B", 1},
	{"KiB", 1ull << 10},
	{"MiB", 1ull << 20},
	{"GiB", 1ull << 30},
	{"TiB", 1ull << 40},
	{NULL, 0},
};

/* In microseconds. */
static const struct quantity_unit quantity_times[] = {
	{"us", 1},
	{"ms", 1000},
	{"s", 1000000},
	{"m", 60000000},
	{"h", 3600000000},
	{"d", 86400000000},
	{NULL, 0},
};

/* The part of a name that says its unit, the units one may write, and how many of the smallest make one of it. */
static const struct {
	const char *mark;
	const struct quantity_unit *units;
	uint64_t divisor;
	const char *complaint;
} quantity_kinds[] = {
	{"_bytes_", quantity_sizes, 1, "the unit must be one of B, KiB, MiB, GiB, TiB"},
	{"_us_", quantity_times, 1, "the unit must be one of us, ms, s, m, h, d"},
	{"_ms_", quantity_times, 1000, "the unit must be one of us, ms, s, m, h, d"},
	{"_s_", quantity_times, 1000000, "the unit must be one of us, ms, s, m, h, d"},
};

static const struct quantity_unit *quantity_unit_find(const struct quantity_unit *units, gh_bytes text)
{
	for (; units->text; units++)
		if (text_equal(text, text_of(units->text)))
			return units;
	return NULL;
}

const char *config_quantity_read(gh_bytes text, const char *name, uint64_t *ret_value)
{
	size_t digits = 0;
	while (digits < text.len && text.data[digits] >= '0' && text.data[digits] <= '9')
		digits++;
	gh_bytes unit = {text.data + digits, text.len - digits};
	uint64_t value;
	if (digits == 0)
		return "a whole number is expected";
	if (!text_u64((gh_bytes){text.data, digits}, &value))
		return "the number is too large";
	if (unit.len == 0) {
		*ret_value = value;
		return NULL;
	}
	for (size_t i = 0; i < sizeof quantity_kinds / sizeof *quantity_kinds; i++) {
		if (!strstr(name, quantity_kinds[i].mark))
			continue;
		const struct quantity_unit *found = quantity_unit_find(quantity_kinds[i].units, unit);
		if (!found)
			return quantity_kinds[i].complaint;
		if (value > UINT64_MAX / found->factor)
			return "the number is too large";
		value *= found->factor;
		if (value % quantity_kinds[i].divisor != 0)
			return "the value is no whole number of the unit in the name";
		*ret_value = value / quantity_kinds[i].divisor;
		return NULL;
	}
	return "a whole number is expected";
}
