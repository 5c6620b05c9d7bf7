#include "src/base/text.h"

#include <stdio.h>

static uint8_t text_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

bool text_equal_nocase(gh_bytes a, gh_bytes b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (text_lower(a.data[i]) != text_lower(b.data[i]))
			return false;
	return true;
}

bool text_starts(gh_bytes text, const char *prefix)
{
	size_t n = strlen(prefix);
	return text.len >= n && (n == 0 || memcmp(text.data, prefix, n) == 0);
}

bool text_starts_nocase(gh_bytes text, const char *prefix)
{
	size_t n = strlen(prefix);
	return text.len >= n && text_equal_nocase((gh_bytes){text.data, n}, text_of(prefix));
}

bool text_cut(gh_bytes text, char c, gh_bytes *ret_before, gh_bytes *ret_after)
{
	const uint8_t *at = text.len ? memchr(text.data, c, text.len) : NULL;
	if (!at) {
		*ret_before = text;
		*ret_after = (gh_bytes){NULL, 0};
		return false;
	}
	size_t n = (size_t)(at - text.data);
	*ret_before = (gh_bytes){text.data, n};
	*ret_after = (gh_bytes){at + 1, text.len - n - 1};
	return true;
}

bool text_u64(gh_bytes text, uint64_t *ret_value)
{
	if (text.len < 1 || text.len > 20)
		return false;
	uint64_t value = 0;
	for (size_t i = 0; i < text.len; i++) {
		uint8_t digit = (uint8_t)(text.data[i] - '0');
		if (digit > 9 || value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*ret_value = value;
	return true;
}

static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int text_base64_digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool text_base64_decode(gh_bytes text, uint8_t *ret_bytes, size_t *ret_len)
{
	if (text.len == 0 || text.len % 4 != 0)
		return false;
	size_t padding = 0;
	while (padding < 2 && text.data[text.len - 1 - padding] == '=')
		padding++;
	size_t digits = text.len - padding, len = 0;
	uint32_t bits = 0;
	for (size_t i = 0; i < text.len; i++) {
		int digit = i < digits ? text_base64_digit(text.data[i]) : 0;
		if (digit < 0)
			return false;
		bits = bits << 6 | (uint32_t)digit;
		if (i % 4 != 3)
			continue;
		size_t n = i + 1 == text.len ? 3 - padding : 3;
		for (size_t k = 0; k < n; k++)
			ret_bytes[len++] = (uint8_t)(bits >> (16 - 8 * k));
		if (n < 3 && (bits & ((1u << (8 * padding)) - 1)) != 0)
			return false; /* bits beyond the data must be zero: one text per value */
		bits = 0;
	}
	*ret_len = len;
	return true;
}

void text_base64_encode(const uint8_t *bytes, size_t n, char *ret_text)
{
	char *out = ret_text;
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t bits = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
				(left > 2 ? bytes[i + 2] : 0);
		*out++ = base64_alphabet[bits >> 18];
		*out++ = base64_alphabet[bits >> 12 & 63];
		*out++ = left > 1 ? base64_alphabet[bits >> 6 & 63] : '=';
		*out++ = left > 2 ? base64_alphabet[bits & 63] : '=';
	}
	*out = '\0';
}

void text_hex_encode(const uint8_t *bytes, size_t n, char *ret_text)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		ret_text[2 * i] = digits[bytes[i] >> 4];
		ret_text[2 * i + 1] = digits[bytes[i] & 15];
	}
	ret_text[2 * n] = '\0';
}

static int text_hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = text_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool text_hex_decode(gh_bytes text, uint8_t *ret_bytes, size_t cap, size_t *ret_len)
{
	if (text.len % 2 != 0 || text.len / 2 > cap)
		return false;
	for (size_t i = 0; i < text.len; i += 2) {
		int high = text_hex_digit(text.data[i]), low = text_hex_digit(text.data[i + 1]);
		if (high < 0 || low < 0)
			return false;
		ret_bytes[i / 2] = (uint8_t)(high << 4 | low);
	}
	*ret_len = text.len / 2;
	return true;
}

size_t text_percent_decode(gh_bytes text, uint8_t *ret_bytes, bool *ret_clean)
{
	size_t len = 0;
	bool clean = true;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '%') {
			int high = i + 2 < text.len ? text_hex_digit(text.data[i + 1]) : -1;
			int low = i + 2 < text.len ? text_hex_digit(text.data[i + 2]) : -1;
			if (high >= 0 && low >= 0) {
				ret_bytes[len++] = (uint8_t)(high << 4 | low);
				i += 2;
				continue;
			}
			clean = false;
		}
		ret_bytes[len++] = text.data[i];
	}
	if (ret_clean)
		*ret_clean = clean;
	return len;
}

size_t text_percent_encode(gh_bytes text, char *ret_text)
{
	static const char digits[] = "0123456789ABCDEF";
	char *out = ret_text;
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i], lower = text_lower(c);
		if ((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
			c == '~') {
			*out++ = (char)c;
		} else {
			*out++ = '%';
			*out++ = digits[c >> 4];
			*out++ = digits[c & 15];
		}
	}
	*out = '\0';
	return (size_t)(out - ret_text);
}

/* Length of the well-formed sequence at `at`, 0 when there is none [Unicode 3.9, table 3-7]. */
static size_t text_utf8_sequence(const uint8_t *at, size_t left)
{
	uint8_t c = at[0], low = 0x80, high = 0xbf;
	size_t n;
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		n = 2;
	else if (c >= 0xe0 && c <= 0xef)
		n = 3;
	else if (c >= 0xf0 && c <= 0xf4)
		n = 4;
	else
		return 0;
	if (c == 0xe0)
		low = 0xa0;
	else if (c == 0xed)
		high = 0x9f;
	else if (c == 0xf0)
		low = 0x90;
	else if (c == 0xf4)
		high = 0x8f;
	if (left < n || at[1] < low || at[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

bool text_is_utf8(gh_bytes text)
{
	size_t i = 0;
	while (i < text.len) {
		uint64_t eight;
		if (text.len - i >= 8 && (memcpy(&eight, text.data + i, 8), (eight & 0x8080808080808080u) == 0)) {
			i += 8;
			continue;
		}
		size_t n = text_utf8_sequence(text.data + i, text.len - i);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

static char *text_digits(char *out, unsigned value, unsigned count)
{
	for (unsigned i = count; i > 0; i--) {
		out[i - 1] = (char)('0' + value % 10);
		value /= 10;
	}
	return out + count;
}

void text_time(uint64_t wall_ms, char *ret_text)
{
	uint64_t seconds = wall_ms / 1000, days = seconds / 86400;
	unsigned rest = (unsigned)(seconds % 86400);
	/* Civil date from a day count, in eras of 400 years that begin on 0000-03-01. */
	uint64_t shifted = days + 719468, era = shifted / 146097;
	unsigned day_of_era = (unsigned)(shifted % 146097);
	unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned month_shifted = (5 * day_of_year + 2) / 153;
	unsigned day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
	unsigned month = month_shifted < 10 ? month_shifted + 3 : month_shifted - 9;
	unsigned year = (unsigned)(era * 400) + year_of_era + (month <= 2);

	char *out = text_digits(ret_text, year, 4);
	*out++ = '-';
	out = text_digits(out, month, 2);
	*out++ = '-';
	out = text_digits(out, day, 2);
	*out++ = 'T';
	out = text_digits(out, rest / 3600, 2);
	*out++ = ':';
	out = text_digits(out, rest / 60 % 60, 2);
	*out++ = ':';
	out = text_digits(out, rest % 60, 2);
	*out++ = '.';
	out = text_digits(out, (unsigned)(wall_ms % 1000), 3);
	*out++ = 'Z';
	*out = '\0';
}
