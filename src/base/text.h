/* text.h - the few text forms the wire needs: comparison, base64, hex, percent escapes, UTF-8, RFC 3339 times.
 *
 * All take explicit lengths; none allocates; outputs are written only on success unless said otherwise.
 */
#ifndef GATEHOUSE_BASE_TEXT_H
#define GATEHOUSE_BASE_TEXT_H

#include <gatehouse/message.h>

#include <string.h>

static inline gh_bytes text_of(const char *s)
{
	return (gh_bytes){(const uint8_t *)s, s ? strlen(s) : 0};
}

static inline bool text_equal(gh_bytes a, gh_bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* ASCII letters compare without case. */
bool text_equal_nocase(gh_bytes a, gh_bytes b);
bool text_starts(gh_bytes text, const char *prefix);
bool text_starts_nocase(gh_bytes text, const char *prefix);

/* The run before the first `c`, and what follows it; without one, all of it and an empty rest. Returns whether found. */
bool text_cut(gh_bytes text, char c, gh_bytes *ret_before, gh_bytes *ret_after);

/* Only digits, at most 20, no overflow. */
bool text_u64(gh_bytes text, uint64_t *ret_value);

/* Standard alphabet, padding required, no blanks.  ret must hold text.len / 4 * 3 bytes. */
bool text_base64_decode(gh_bytes text, uint8_t *ret_bytes, size_t *ret_len);
/* Writes 4 * ((n + 2) / 3) characters and a NUL. */
void text_base64_encode(const uint8_t *bytes, size_t n, char *ret_text);
#define TEXT_BASE64_SIZE(n) (4 * (((n) + 2) / 3) + 1)

/* Lower-case, 2 * n characters and a NUL. */
void text_hex_encode(const uint8_t *bytes, size_t n, char *ret_text);
bool text_hex_decode(gh_bytes text, uint8_t *ret_bytes, size_t cap, size_t *ret_len);

/* Percent-decodes into ret (at least text.len bytes) and returns the length.  `+` stays `+`.  A bad escape is kept as
 * literal text, and *ret_clean (NULL allowed) becomes false. */
size_t text_percent_decode(gh_bytes text, uint8_t *ret_bytes, bool *ret_clean);
/* Everything but A-Z a-z 0-9 - . _ ~ becomes %XX (upper-case); ret holds 3 * text.len + 1. Returns the length. */
size_t text_percent_encode(gh_bytes text, char *ret_text);

/* Well-formed UTF-8 without surrogates or overlong forms.  NUL is well formed here. */
bool text_is_utf8(gh_bytes text);

/* "2026-11-22T20:00:00.123Z"; wants TEXT_TIME_SIZE bytes.  Years 1970 to 9999. */
#define TEXT_TIME_SIZE 25
void text_time(uint64_t wall_ms, char *ret_text);

#endif
