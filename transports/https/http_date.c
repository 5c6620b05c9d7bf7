#include "transports/https/http_date.h"

#include <stdio.h>

/* Days since 1970-01-01 to a civil date: years are taken from March on, so that the leap day is the last of its year. */
static void date_civil(unsigned days, unsigned *ret_year, unsigned *ret_month, unsigned *ret_day)
{
	unsigned z = days + 719468, era = z / 146097, day_of_era = z % 146097;
	unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned march_month = (5 * day_of_year + 2) / 153;
	*ret_day = day_of_year - (153 * march_month + 2) / 5 + 1;
	*ret_month = march_month < 10 ? march_month + 3 : march_month - 9;
	*ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

void http_date(uint64_t wall_ms, char ret_text[HTTP_DATE_SIZE])
{
	static const char days[][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
	static const char months[][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	const uint64_t last_s = UINT64_C(253402300799); /* 9999-12-31T23:59:59Z */
	uint64_t seconds = wall_ms / 1000 < last_s ? wall_ms / 1000 : last_s;
	unsigned day = (unsigned)(seconds / 86400), second = (unsigned)(seconds % 86400), year, month, of_month;
	date_civil(day, &year, &month, &of_month);
	snprintf(ret_text, HTTP_DATE_SIZE, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[day % 7], of_month % 100,
		months[month - 1], year % 10000, second / 3600, second / 60 % 60, second % 60);
}

const char *http_date_now(struct http_date_clock *clock, uint64_t wall_ms)
{
	uint64_t second = wall_ms / 1000;
	if (!clock->text[0] || second != clock->second)
		http_date(wall_ms, clock->text);
	clock->second = second;
	return clock->text;
}
