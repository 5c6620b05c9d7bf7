#include "tests/suite.h"

#include "transports/https/http_date.h"

SUITE(http_date);

Test(http_date, days_months_and_leap_years_are_those_of_the_calendar)
{
	static const struct {
		uint64_t wall_ms;
		const char *text;
	} rows[] = {
		{0, "Thu, 01 Jan 1970 00:00:00 GMT"},
		{999, "Thu, 01 Jan 1970 00:00:00 GMT"},
		{784111777000, "Sun, 06 Nov 1994 08:49:37 GMT"}, /* RFC 9110 5.6.7 */
		{68169599000, "Mon, 28 Feb 1972 23:59:59 GMT"},
		{68169600000, "Tue, 29 Feb 1972 00:00:00 GMT"},
		{68256000000, "Wed, 01 Mar 1972 00:00:00 GMT"},
		{951782400000, "Tue, 29 Feb 2000 00:00:00 GMT"},
		{951868800000, "Wed, 01 Mar 2000 00:00:00 GMT"},
		{978307199999, "Sun, 31 Dec 2000 23:59:59 GMT"},
		{1709164800000, "Thu, 29 Feb 2024 00:00:00 GMT"},
		{1740787199000, "Fri, 28 Feb 2025 23:59:59 GMT"},
		{1740787200000, "Sat, 01 Mar 2025 00:00:00 GMT"},
		{4107542399000, "Sun, 28 Feb 2100 23:59:59 GMT"},
		{4107542400000, "Mon, 01 Mar 2100 00:00:00 GMT"},
		{253402300799000, "Fri, 31 Dec 9999 23:59:59 GMT"},
		{253402300800000, "Fri, 31 Dec 9999 23:59:59 GMT"},
		{UINT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[HTTP_DATE_SIZE];
		http_date(rows[i].wall_ms, text);
		cr_assert_str_eq(text, rows[i].text, "%llu", (unsigned long long)rows[i].wall_ms);
	}
}

Test(http_date, a_clock_tells_the_present_second_also_one_that_comes_again)
{
	static const uint64_t moments_ms[] = {0, 999, 1000, 1999, 784111777000, 784111777500, 784111776000, 0};
	struct http_date_clock clock = {0};
	for (size_t i = 0; i < sizeof moments_ms / sizeof *moments_ms; i++) {
		char text[HTTP_DATE_SIZE];
		http_date(moments_ms[i], text);
		cr_assert_str_eq(http_date_now(&clock, moments_ms[i]), text, "%zu", i);
	}
}
