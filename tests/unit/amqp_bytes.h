/* amqp_bytes.h - bytes of AMQP as tests write them: "00 53 75 a0 ('abc')" is hex, with text between quotes; parentheses
 * are one byte that says how many bytes stand between them. */
#ifndef GATEHOUSE_TESTS_AMQP_BYTES_H
#define GATEHOUSE_TESTS_AMQP_BYTES_H

#include "tests/suite.h"

#include "src/base/text.h"

#include <stdlib.h>

/* An allocation of exactly the first `len` bytes, so that a sanitizer sees a read beyond; freed with free(). */
static inline gh_bytes amqp_bytes_cut(gh_bytes bytes, size_t len)
{
	uint8_t *data = malloc(len ? len : 1);
	cr_assert(data != NULL && len <= bytes.len);
	if (len)
		memcpy(data, bytes.data, len);
	return (gh_bytes){data, len};
}

static inline size_t amqp_bytes_put(const char **text, uint8_t *room, size_t len)
{
	size_t one;
	if (**text != '\'') {
		cr_assert(text_hex_decode((gh_bytes){(const uint8_t *)*text, 2}, room + len, 1, &one), "%s", *text);
		*text += 2;
		return len + 1;
	}
	for (++*text; **text != '\''; ++*text)
		room[len++] = (uint8_t) * *text;
	++*text;
	return len;
}

static inline gh_bytes amqp_bytes(const char *text)
{
	uint8_t room[4096];
	size_t len = 0, open[8], depth = 0;
	while (*text) {
		cr_assert(len < sizeof room - 256 && depth < 8);
		if (*text == '(') {
			open[depth++] = len++;
			text++;
		} else if (*text == ')') {
			depth--;
			room[open[depth]] = (uint8_t)(len - open[depth] - 1);
			text++;
		} else if (*text == ' ') {
			text++;
		} else {
			len = amqp_bytes_put(&text, room, len);
		}
	}
	return amqp_bytes_cut((gh_bytes){room, len}, len);
}

static inline void amqp_bytes_free(gh_bytes bytes)
{
	free((void *)(uintptr_t)bytes.data);
}

#endif
