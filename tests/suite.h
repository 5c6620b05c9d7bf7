/* suite.h - what every Criterion suite of ours begins with.
 *
 * SUITE(name) instead of TestSuite: each test ends with a leak check under AddressSanitizer, because Criterion's own
 * process exits without one.
 */
#ifndef GATEHOUSE_TESTS_SUITE_H
#define GATEHOUSE_TESTS_SUITE_H

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#if defined(__SANITIZE_ADDRESS__)
#define SUITE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SUITE_ASAN 1
#endif
#endif

#ifdef SUITE_ASAN
#include <sanitizer/lsan_interface.h>
#include <stdio.h>
#include <stdlib.h>
static inline void suite_leak_check(void)
{
	if (__lsan_do_recoverable_leak_check() == 0)
		return;
	fputs("the test leaks memory\n", stderr);
	abort();
}
#else
static inline void suite_leak_check(void)
{
}
#endif

#define SUITE(name, ...) TestSuite(name, .fini = suite_leak_check, .timeout = 60, ##__VA_ARGS__)

#endif
