/* buf.h - a growing byte buffer to write, and a bounded cursor to read.
 *
 * Writers remember their first failure (no memory, over the cap) and ignore all later writes, so that callers check
 * once.  Readers never pass their end: a short read sets `failed` and yields zeros.  Integers are big-endian, as on
 * the wire and in stored forms.
 */
#ifndef GATEHOUSE_BASE_BUF_H
#define GATEHOUSE_BASE_BUF_H

#include <gatehouse/message.h>

#include <string.h>

struct buf {
	uint8_t *data;
	size_t len;
	size_t cap;
	size_t cap_max; /* 0 = no cap */
	bool failed;
};

void buf_init(struct buf *b, size_t cap_max);
void buf_done(struct buf *b);  /* frees; b is empty and usable again */
void buf_clear(struct buf *b); /* keeps the memory, forgets a failure */
/* Makes room for n more bytes; false (and failed) when that cannot be. */
bool buf_reserve(struct buf *b, size_t n);
void buf_append(struct buf *b, const void *data, size_t n);
/* Drops n bytes at the front. */
void buf_drop(struct buf *b, size_t n);

static inline gh_bytes buf_bytes(const struct buf *b)
{
	return (gh_bytes){b->data, b->len};
}

static inline void buf_put_u8(struct buf *b, uint8_t v)
{
	if (b->len < b->cap && !b->failed)
		b->data[b->len++] = v;
	else
		buf_append(b, &v, 1);
}

static inline void buf_put_u16(struct buf *b, uint16_t v)
{
	uint8_t bytes[2] = {(uint8_t)(v >> 8), (uint8_t)v};
	buf_append(b, bytes, sizeof bytes);
}

static inline void buf_put_u32(struct buf *b, uint32_t v)
{
	uint8_t bytes[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
	buf_append(b, bytes, sizeof bytes);
}

static inline void buf_put_u64(struct buf *b, uint64_t v)
{
	buf_put_u32(b, (uint32_t)(v >> 32));
	buf_put_u32(b, (uint32_t)v);
}

struct reader {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
};

static inline struct reader reader_of(gh_bytes bytes)
{
	return (struct reader){bytes.data, bytes.data ? bytes.data + bytes.len : NULL, false};
}

static inline size_t reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

/* Borrows n bytes; empty and failed when there are fewer. */
static inline gh_bytes reader_take(struct reader *r, size_t n)
{
	if (r->failed || reader_left(r) < n) {
		r->failed = true;
		return (gh_bytes){NULL, 0};
	}
	gh_bytes bytes = {r->at, n};
	r->at += n;
	return bytes;
}

static inline uint64_t reader_uint(struct reader *r, size_t n)
{
	gh_bytes bytes = reader_take(r, n);
	uint64_t v = 0;
	for (size_t i = 0; i < bytes.len; i++)
		v = v << 8 | bytes.data[i];
	return v;
}

static inline uint8_t reader_u8(struct reader *r)
{
	return (uint8_t)reader_uint(r, 1);
}

static inline uint16_t reader_u16(struct reader *r)
{
	return (uint16_t)reader_uint(r, 2);
}

static inline uint32_t reader_u32(struct reader *r)
{
	return (uint32_t)reader_uint(r, 4);
}

static inline uint64_t reader_u64(struct reader *r)
{
	return reader_uint(r, 8);
}

#endif
