/* failures.c - the negative control of tests/tsan/runner.c: every way to fail, so each of these tests must.  Not part of
 * `make check`. */
#include "tests/suite.h"

#include <pthread.h>
#include <unistd.h>

SUITE(control);

static void failures_assert(void)
{
	cr_assert(false, "in a function of the suite");
}

static void *failures_run(void *argument)
{
	cr_assert_not_null(argument);
	return NULL;
}

Test(control, an_assertion)
{
	cr_assert_eq(1, 2, "with a message: %d", 3);
}

Test(control, an_assertion_in_another_thread)
{
	pthread_t thread;
	pthread_create(&thread, NULL, failures_run, NULL);
	pthread_join(thread, NULL);
}

Test(control, an_assertion_before_the_test, .init = failures_assert)
{
}

Test(control, an_assertion_after_the_test, .fini = failures_assert)
{
}

Test(control, a_signal)
{
	abort();
}

Test(control, an_exit_of_its_own)
{
	exit(0);
}

Test(control, no_end, .timeout = 1)
{
	for (;;)
		pause();
}

ParameterizedTestParameters(control, a_row)
{
	static int rows[] = {1, 2};
	return cr_make_param_array(int, rows, 2);
}

ParameterizedTest(int *row, control, a_row)
{
	cr_assert(*row > 2, "row %d", *row);
}
