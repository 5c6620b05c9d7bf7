/* leaks.c - the negative control of suite.h: under AddressSanitizer this test must fail.  Not part of `make check`. */
#include "tests/suite.h"

#include <stdlib.h>

SUITE(control);

static void *volatile leaks_kept;

Test(control, a_test_that_leaks_passes_until_the_leak_check)
{
	leaks_kept = malloc(64);
	cr_assert_not_null(leaks_kept);
	leaks_kept = NULL;
}
