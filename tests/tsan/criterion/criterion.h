/* criterion.h - the part of Criterion that our tests use, for builds with --enable-tsan only.
 *
 * Criterion itself maps memory where ThreadSanitizer keeps its shadow and does not start under it.  This one forks each
 * test from a process that never had a second thread, which ThreadSanitizer can follow; runner.c says what fails a test.
 * Same names, same meaning, same lines of TAP; what no test of ours uses is added with the first that does.
 */
#ifndef GATEHOUSE_TESTS_TSAN_CRITERION_H
#define GATEHOUSE_TESTS_TSAN_CRITERION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What TestSuite and Test may be given; a suite's frames each of its tests. */
struct cr_extra {
	void (*init)(void);
	void (*fini)(void);
	double timeout; /* seconds */
};

struct cr_suite {
	const char *name;
	struct cr_extra extra;
	struct cr_suite *next;
};

struct criterion_test_params {
	size_t size;
	void *params;
	size_t length;
};

struct cr_test {
	const char *suite, *name;
	struct cr_extra extra;
	void (*run)(void *param);
	struct criterion_test_params (*params)(void); /* NULL = runs once, with none */
	struct cr_test *next;
};

void cr_add_suite(struct cr_suite *suite);
void cr_add_test(struct cr_test *test);
/* Ends the test's process, whichever thread calls. */
void cr_fail_at(const char *file, int line, const char *what, const char *format, ...)
	__attribute__((noreturn, format(printf, 4, 5)));

#define TestSuite(suite_, ...)                                                                                         \
	static struct cr_suite cr_suite_##suite_ = {.name = #suite_, .extra = {__VA_ARGS__}};                          \
	__attribute__((constructor)) static void cr_add_suite_##suite_(void)                                           \
	{                                                                                                              \
		cr_add_suite(&cr_suite_##suite_);                                                                      \
	}                                                                                                              \
	struct cr_suite

#define CR_TEST(suite_, name_, params_, ...)                                                                           \
	static struct cr_test cr_test_##suite_##_##name_ = {.suite = #suite_,                                          \
		.name = #name_,                                                                                        \
		.params = params_,                                                                                     \
		.run = cr_run_##suite_##_##name_,                                                                      \
		.extra = {__VA_ARGS__}};                                                                               \
	__attribute__((constructor)) static void cr_add_##suite_##_##name_(void)                                       \
	{                                                                                                              \
		cr_add_test(&cr_test_##suite_##_##name_);                                                              \
	}

#define Test(suite_, name_, ...)                                                                                       \
	static void cr_run_##suite_##_##name_(void *);                                                                 \
	CR_TEST(suite_, name_, NULL, __VA_ARGS__)                                                                      \
	static void cr_run_##suite_##_##name_(__attribute__((unused)) void *cr_none)

/* ---- assertions: a condition, then perhaps a format and its arguments ---- */

#define CR_CHECK(condition, what, ...) ((condition) ? (void)0 : cr_fail_at(__FILE__, __LINE__, what, " " __VA_ARGS__))

#define cr_assert(condition, ...) CR_CHECK(condition, #condition, __VA_ARGS__)
#define cr_assert_not(condition, ...) CR_CHECK(!(condition), "not " #condition, __VA_ARGS__)
#define cr_assert_fail(...) CR_CHECK(0, "failed", __VA_ARGS__)
#define cr_assert_eq(a, b, ...) CR_CHECK((a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) CR_CHECK((a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...) CR_CHECK((a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...) CR_CHECK((a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...) CR_CHECK((a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...) CR_CHECK((a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_assert_null(a, ...) CR_CHECK((a) == NULL, #a " == NULL", __VA_ARGS__)
#define cr_assert_not_null(a, ...) CR_CHECK((a) != NULL, #a " != NULL", __VA_ARGS__)
#define cr_assert_arr_eq(a, b, size, ...) CR_CHECK(memcmp(a, b, size) == 0, #a " == " #b, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) CR_CHECK(strcmp(a, b) == 0, #a " == " #b, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...) CR_CHECK(strcmp(a, b) != 0, #a " != " #b, __VA_ARGS__)

#endif
