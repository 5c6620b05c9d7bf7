/* descriptors.h: what connections hold is counted, never over the limit, and the process asks for no more than it may. */
#include "tests/suite.h"

#include "src/io/descriptors.h"

#include <sys/resource.h>

SUITE(descriptors);

Test(descriptors, what_is_asked_for_is_what_is_wanted_and_the_reserve_as_far_as_the_system_allows)
{
	static const struct {
		const char *name;
		uint64_t wanted, reserved, hard, limit;
	} rows[] = {
		{"enough", 40000, 1024, 524288, 41024},
		{"just enough", 40000, 1024, 41024, 41024},
		{"one too few", 40000, 1024, 41023, 41023},
		{"few", 40000, 1024, 1024, 1024},
		{"hardly any", 40000, 1024, 64, 64},
		{"nothing wanted", 0, 1024, 524288, 1024},
		{"no limit", 40000, 1024, RLIM_INFINITY, 41024},
		{"the most that limits allow", 16000000, 65536, RLIM_INFINITY, 16065536},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		cr_assert_eq(descriptors_limit(rows[i].wanted, rows[i].reserved, rows[i].hard), rows[i].limit, "%s",
			rows[i].name);
}

Test(descriptors, the_reserve_is_kept_and_of_few_it_is_at_most_half)
{
	static const struct {
		uint64_t limit, reserved, granted;
	} rows[] = {
		{41024, 1024, 40000},
		{2049, 1024, 1025},
		{2048, 1024, 1024},
		{2047, 1024, 1024},
		{1024, 1024, 512},
		{64, 1024, 32},
		{3, 1024, 2},
		{1, 1024, 1},
		{0, 1024, 0},
		{64, 0, 64},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		cr_assert_eq(descriptors_granted(rows[i].limit, rows[i].reserved), rows[i].granted, "%d of %d",
			(int)rows[i].reserved, (int)rows[i].limit);
}

Test(descriptors, asking_sets_the_limit_and_tells_how_many_there_will_be)
{
	struct rlimit before, after;
	getrlimit(RLIMIT_NOFILE, &before);
	cr_assert(before.rlim_max >= 600, "too few here for the test");
	static const struct {
		uint64_t wanted, reserved, hard, granted, limit;
	} rows[] = {{300, 100, 600, 300, 400}, {500, 100, 600, 500, 600}, {600, 100, 600, 500, 600},
		{9999, 100, 600, 500, 600}};
	before.rlim_max = before.rlim_cur = 600;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cr_assert_eq(descriptors_ask(rows[i].wanted, rows[i].reserved), rows[i].granted, "%zu", i);
		getrlimit(RLIMIT_NOFILE, &after);
		cr_assert_eq(after.rlim_cur, rows[i].limit, "%zu", i);
		cr_assert_eq(after.rlim_max, rows[i].hard, "%zu", i);
	}
}

Test(descriptors, no_more_are_taken_than_there_are_and_what_is_refused_is_not_held)
{
	struct descriptors d;
	descriptors_init(&d, 4);
	cr_assert(descriptors_take(&d, DESCRIPTORS_PER_STREAM));
	cr_assert(descriptors_take(&d, DESCRIPTORS_PER_PAIR));
	cr_assert(!descriptors_take(&d, DESCRIPTORS_PER_PAIR), "one is left");
	cr_assert(descriptors_take(&d, DESCRIPTORS_PER_STREAM), "and can be had");
	cr_assert(!descriptors_take(&d, DESCRIPTORS_PER_STREAM));
	descriptors_give(&d, DESCRIPTORS_PER_PAIR);
	cr_assert(descriptors_take(&d, DESCRIPTORS_PER_PAIR));
	descriptors_give(&d, 4);
	cr_assert_eq(d.used, 0);
}

Test(descriptors, uncounted_ones_are_as_many_as_one_likes)
{
	for (int i = 0; i < 10; i++)
		cr_assert(descriptors_take(NULL, UINT64_MAX));
	descriptors_give(NULL, 1);
}
