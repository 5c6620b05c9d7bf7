/* amqp_bytes.h - bytes of AMQP as tests write them: "00 53 75 a0 03 'abc'" is hex, with text between quotes. */
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

static inline gh_bytes amqp_bytes(const char *text)
{
	uint8_t room[4096];
	size_t len = 0, one;
	while (*text) {
		cr_assert(len < sizeof room);
		if (*text == ' ') {
			text++;
		} else if (*text == '\'') {
			for (text++; *text != '\''; text++)
				room[len++] = (uint8_t)*text;
			text++;
		} else {
			cr_assert(
				text_hex_decode((gh_bytes){(const uint8_t *)text, 2}, room + len, 1, &one), "%s", text);
			len++;
			text += 2;
		}
	}
	return amqp_bytes_cut((gh_bytes){room, len}, len);
}

static inline void amqp_bytes_free(gh_bytes bytes)
{
	free((void *)(uintptr_t)bytes.data);
}

#endif
