/* text.h: each form, its edges and its refusals. */
#include "tests/suite.h"

#include "src/base/text.h"

SUITE(text);

Test(text, base64_round_trips_and_refuses_loose_forms)
{
	for (size_t n = 1; n < 70; n++) {
		uint8_t bytes[70], back[80];
		char text[TEXT_BASE64_SIZE(70)];
		size_t len = 0;
		for (size_t i = 0; i < n; i++)
			bytes[i] = (uint8_t)(i * 37 + n);
		text_base64_encode(bytes, n, text);
		cr_assert(text_base64_decode(text_of(text), back, &len), "%zu bytes", n);
		cr_assert(len == n && memcmp(back, bytes, n) == 0, "%zu bytes", n);
	}
	const char *bad[] = {
		"", "A", "AA", "AAA", "A===", "AA=A", "AAAA=", "AA==AAAA", "AB==", "AAB=", "A A=", "AAA\n", "AA-_"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint8_t out[16];
		size_t len;
		cr_assert(!text_base64_decode(text_of(bad[i]), out, &len), "\"%s\" is refused", bad[i]);
	}
}

Test(text, percent_keeps_bad_escapes_and_plus)
{
	static const struct {
		const char *in, *out;
		bool clean;
	} rows[] = {
		{"a%20b", "a b", true},
		{"a+b", "a+b", true},
		{"%", "%", false},
		{"%4", "%4", false},
		{"%zz", "%zz", false},
		{"%2f%2F", "//", true},
		{"%%41", "%A", false},
		{"", "", true},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint8_t out[32];
		bool clean;
		size_t n = text_percent_decode(text_of(rows[i].in), out, &clean);
		cr_assert(text_equal((gh_bytes){out, n}, text_of(rows[i].out)), "%s", rows[i].in);
		cr_assert_eq(clean, rows[i].clean, "%s", rows[i].in);
	}
	char encoded[32];
	text_percent_encode(text_of("a b/\xc3\xa9~-._"), encoded);
	cr_assert_str_eq(encoded, "a%20b%2F%C3%A9~-._");
}

Test(text, utf8_takes_well_formed_only)
{
	const char *good[] = {
		"", "plain ascii text", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xef\xbf\xbf", "\xed\x9f\xbf"};
	const char *bad[] = {"\x80", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
		"\xf8\x88\x80\x80\x80", "12345678\xff", "\xe2\x82", "a\xc3(", "\xf0\x80\x80\x80"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		cr_assert(text_is_utf8(text_of(good[i])), "good %zu", i);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_assert(!text_is_utf8(text_of(bad[i])), "bad %zu", i);
}

Test(text, u64_takes_digits_only)
{
	uint64_t v;
	cr_assert(text_u64(text_of("0"), &v) && v == 0);
	cr_assert(text_u64(text_of("18446744073709551615"), &v) && v == UINT64_MAX);
	const char *bad[] = {"", "18446744073709551616", "-1", "+1", " 1", "1 ", "0x1", "000000000000000000001"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_assert(!text_u64(text_of(bad[i]), &v), "\"%s\"", bad[i]);
}

Test(text, time_is_rfc3339_utc)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} rows[] = {
		{0, "1970-01-01T00:00:00.000Z"},
		{1700000000123, "2023-11-14T22:13:20.123Z"},
		{951782400000, "2000-02-29T00:00:00.000Z"},
		{4102444800000, "2100-01-01T00:00:00.000Z"},
		{253402300799999, "9999-12-31T23:59:59.999Z"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[TEXT_TIME_SIZE];
		text_time(rows[i].ms, text);
		cr_assert_str_eq(text, rows[i].text);
	}
}
