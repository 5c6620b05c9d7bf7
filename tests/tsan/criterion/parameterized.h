/* parameterized.h - tests over a table of rows, each row in a process of its own; see criterion.h. */
#ifndef GATEHOUSE_TESTS_TSAN_PARAMETERIZED_H
#define GATEHOUSE_TESTS_TSAN_PARAMETERIZED_H

#include <criterion/criterion.h>

#define cr_make_param_array(type, array, length_)                                                                      \
	((struct criterion_test_params){.size = sizeof(type), .params = (void *)(array), .length = (length_)})

#define ParameterizedTestParameters(suite_, name_)                                                                     \
	static struct criterion_test_params cr_params_##suite_##_##name_(void)

#define ParameterizedTest(param_, suite_, name_, ...)                                                                  \
	static void cr_row_##suite_##_##name_(param_);                                                                 \
	static void cr_run_##suite_##_##name_(void *cr_param)                                                          \
	{                                                                                                              \
		cr_row_##suite_##_##name_(cr_param);                                                                   \
	}                                                                                                              \
	CR_TEST(suite_, name_, cr_params_##suite_##_##name_, __VA_ARGS__)                                              \
	static void cr_row_##suite_##_##name_(param_)

#endif
