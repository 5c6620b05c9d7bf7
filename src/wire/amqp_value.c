/* amqp_value.c - one table of format codes; the high half of a code says how wide a value is (AMQP 1.2.1). */
#include "src/wire/amqp_value.h"

#include <assert.h>

static const uint32_t value_types[256] = {
	[0x40] = AMQP_NULL,
	[0x41] = AMQP_BOOLEAN, /* true */
	[0x42] = AMQP_BOOLEAN, /* false */
	[0x43] = AMQP_UINT,    /* 0 */
	[0x44] = AMQP_ULONG,   /* 0 */
	[0x45] = AMQP_LIST,    /* empty */
	[0x50] = AMQP_UBYTE,
	[0x51] = AMQP_BYTE,
	[0x52] = AMQP_UINT,
	[0x53] = AMQP_ULONG,
	[0x54] = AMQP_INT,
	[0x55] = AMQP_LONG,
	[0x56] = AMQP_BOOLEAN,
	[0x60] = AMQP_USHORT,
	[0x61] = AMQP_SHORT,
	[0x70] = AMQP_UINT,
	[0x71] = AMQP_INT,
	[0x72] = AMQP_FLOAT,
	[0x73] = AMQP_CHAR,
	[0x74] = AMQP_DECIMAL32,
	[0x80] = AMQP_ULONG,
	[0x81] = AMQP_LONG,
	[0x82] = AMQP_DOUBLE,
	[0x83] = AMQP_TIMESTAMP,
	[0x84] = AMQP_DECIMAL64,
	[0x94] = AMQP_DECIMAL128,
	[0x98] = AMQP_UUID,
	[0xa0] = AMQP_BINARY,
	[0xa1] = AMQP_STRING,
	[0xa3] = AMQP_SYMBOL,
	[0xb0] = AMQP_BINARY,
	[0xb1] = AMQP_STRING,
	[0xb3] = AMQP_SYMBOL,
	[0xc0] = AMQP_LIST,
	[0xc1] = AMQP_MAP,
	[0xd0] = AMQP_LIST,
	[0xd1] = AMQP_MAP,
	[0xe0] = AMQP_ARRAY,
	[0xf0] = AMQP_ARRAY,
};

/* By the high half of the format code: fixed bytes, or those of the size (and, before the items, of the count). */
static const struct {
	uint8_t fixed;
	uint8_t size;
	uint8_t count;
} value_widths[16] = {
	[0x5] = {.fixed = 1},
	[0x6] = {.fixed = 2},
	[0x7] = {.fixed = 4},
	[0x8] = {.fixed = 8},
	[0x9] = {.fixed = 16},
	[0xa] = {.size = 1},
	[0xb] = {.size = 4},
	[0xc] = {.size = 1, .count = 1},
	[0xd] = {.size = 4, .count = 4},
	[0xe] = {.size = 1, .count = 1},
	[0xf] = {.size = 4, .count = 4},
};

#define VALUE_SIGNED (AMQP_BYTE | AMQP_SHORT | AMQP_INT | AMQP_LONG | AMQP_TIMESTAMP)

/* The fewest bytes a value of this code takes behind its constructor. */
static size_t value_least(uint8_t code)
{
	return (size_t)value_widths[code >> 4].fixed + value_widths[code >> 4].size + value_widths[code >> 4].count;
}

/* Two's complement of `width` bytes. */
static int64_t value_sign(uint64_t bits, size_t width)
{
	uint64_t sign = (uint64_t)1 << (8 * width - 1);
	return (int64_t)((bits ^ sign) - sign);
}

static void value_read_fixed(struct reader *r, uint8_t code, struct amqp_value *value)
{
	size_t width = value_widths[code >> 4].fixed;
	if (width == 16) {
		value->bytes = reader_take(r, width);
		return;
	}
	if (width == 0) {
		value->number = code == 0x41; /* true; the others are zero or have no value */
		return;
	}
	uint64_t bits = reader_uint(r, width);
	if (value->type & VALUE_SIGNED)
		value->integer = value_sign(bits, width);
	else
		value->number = bits;
	if (code == 0x56 && bits > 1)
		r->failed = true;
}

static struct amqp_descriptor value_read_descriptor(struct reader *r)
{
	struct amqp_descriptor descriptor = {.depth = 1};
	uint8_t code = reader_u8(r);
	if (value_types[code] == AMQP_ULONG)
		descriptor.code = reader_uint(r, value_widths[code >> 4].fixed);
	else if (value_types[code] == AMQP_SYMBOL)
		descriptor.name = reader_take(r, reader_uint(r, value_widths[code >> 4].size));
	else
		r->failed = true;
	return descriptor;
}

/* A constructor: what describes the value, and its format code. */
static uint8_t value_read_constructor(struct reader *r, struct amqp_descriptor *ret_descriptor)
{
	struct amqp_descriptor outermost = {.depth = 0};
	uint8_t code = reader_u8(r);
	for (unsigned depth = 1; code == 0 && !r->failed; depth++) {
		struct amqp_descriptor descriptor = value_read_descriptor(r);
		if (depth == 1)
			outermost = descriptor;
		outermost.depth = depth;
		r->failed |= depth > AMQP_DESCRIPTORS_MAX;
		code = reader_u8(r);
	}
	*ret_descriptor = outermost;
	return code;
}

/* Items lie within the size their value states, and are no more than fit. */
static void value_read_items(struct reader *r, uint8_t code, struct amqp_value *value)
{
	size_t count_width = value_widths[code >> 4].count;
	struct amqp_items *items = &value->items;
	*items = (struct amqp_items){.code = 0};
	if (count_width == 0) /* list0 */
		return;
	struct reader bytes = reader_of(reader_take(r, reader_uint(r, count_width)));
	size_t least = 1;
	items->left = (uint32_t)reader_uint(&bytes, count_width);
	if (value->type == AMQP_ARRAY) {
		items->code = value_read_constructor(&bytes, &items->descriptor);
		least = value_least(items->code);
		if (!value_types[items->code] || (least == 0 && items->left > AMQP_ARRAY_EMPTY_MAX))
			bytes.failed = true;
	}
	if (value->type == AMQP_MAP && items->left % 2 != 0)
		bytes.failed = true;
	if (items->left * (uint64_t)least > reader_left(&bytes) || (items->left == 0 && reader_left(&bytes) > 0))
		bytes.failed = true;
	r->failed |= bytes.failed;
	items->bytes = bytes;
}

static void value_read_body(struct reader *r, uint8_t code, struct amqp_value *value)
{
	value->type = value_types[code];
	if (!value->type)
		r->failed = true;
	else if (value->type & (AMQP_LIST | AMQP_MAP | AMQP_ARRAY))
		value_read_items(r, code, value);
	else if (value_widths[code >> 4].size)
		value->bytes = reader_take(r, reader_uint(r, value_widths[code >> 4].size));
	else
		value_read_fixed(r, code, value);
}

/* code 0 = the value has its own constructor. */
static bool value_read(struct reader *r, uint8_t code, struct amqp_value *ret_value)
{
	struct amqp_value value = {.type = 0};
	const uint8_t *start = r->at;
	if (code == 0)
		code = value_read_constructor(r, &value.descriptor);
	value_read_body(r, code, &value);
	if (r->failed)
		return false;
	value.encoded = (gh_bytes){start, (size_t)(r->at - start)};
	*ret_value = value;
	return true;
}

bool amqp_value_read(struct reader *r, struct amqp_value *ret_value)
{
	return value_read(r, 0, ret_value);
}

bool amqp_value_next(struct amqp_items *items, struct amqp_value *ret_value)
{
	struct amqp_value value;
	if (items->left == 0 || !value_read(&items->bytes, items->code, &value))
		return false;
	if (--items->left == 0 && reader_left(&items->bytes) > 0)
		items->bytes.failed = true;
	if (items->bytes.failed)
		return false;
	if (items->code != 0)
		value.descriptor = items->descriptor;
	*ret_value = value;
	return true;
}

/* ---- writers ---- */

void amqp_value_put_null(struct buf *b)
{
	buf_put_u8(b, 0x40);
}

void amqp_value_put_boolean(struct buf *b, bool value)
{
	buf_put_u8(b, value ? 0x41 : 0x42);
}

static void value_put_small(struct buf *b, uint8_t code, uint8_t value)
{
	buf_put_u8(b, code);
	buf_put_u8(b, value);
}

static void value_put_u32(struct buf *b, uint8_t code, uint32_t value)
{
	buf_put_u8(b, code);
	buf_put_u32(b, value);
}

static void value_put_u64(struct buf *b, uint8_t code, uint64_t value)
{
	buf_put_u8(b, code);
	buf_put_u64(b, value);
}

void amqp_value_put_ubyte(struct buf *b, uint8_t value)
{
	value_put_small(b, 0x50, value);
}

void amqp_value_put_uint(struct buf *b, uint32_t value)
{
	if (value == 0)
		buf_put_u8(b, 0x43);
	else if (value <= UINT8_MAX)
		value_put_small(b, 0x52, (uint8_t)value);
	else
		value_put_u32(b, 0x70, value);
}

void amqp_value_put_ulong(struct buf *b, uint64_t value)
{
	if (value == 0)
		buf_put_u8(b, 0x44);
	else if (value <= UINT8_MAX)
		value_put_small(b, 0x53, (uint8_t)value);
	else
		value_put_u64(b, 0x80, value);
}

void amqp_value_put_int(struct buf *b, int32_t value)
{
	if (value >= INT8_MIN && value <= INT8_MAX)
		value_put_small(b, 0x54, (uint8_t)value);
	else
		value_put_u32(b, 0x71, (uint32_t)value);
}

void amqp_value_put_long(struct buf *b, int64_t value)
{
	if (value >= INT8_MIN && value <= INT8_MAX)
		value_put_small(b, 0x55, (uint8_t)value);
	else
		value_put_u64(b, 0x81, (uint64_t)value);
}

void amqp_value_put_timestamp(struct buf *b, int64_t wall_ms)
{
	value_put_u64(b, 0x83, (uint64_t)wall_ms);
}

void amqp_value_put_uuid(struct buf *b, const uint8_t uuid[16])
{
	buf_put_u8(b, 0x98);
	buf_append(b, uuid, 16);
}

/* The code of the form with a 4-byte size is 0x10 above that with one byte. */
static void value_put_bytes(struct buf *b, uint8_t code, gh_bytes value)
{
	assert(value.len <= UINT32_MAX);
	if (value.len <= UINT8_MAX)
		value_put_small(b, code, (uint8_t)value.len);
	else
		value_put_u32(b, (uint8_t)(code + 0x10), (uint32_t)value.len);
	buf_append(b, value.data, value.len);
}

void amqp_value_put_binary(struct buf *b, gh_bytes value)
{
	value_put_bytes(b, 0xa0, value);
}

void amqp_value_put_string(struct buf *b, gh_bytes value)
{
	value_put_bytes(b, 0xa1, value);
}

void amqp_value_put_symbol(struct buf *b, gh_bytes value)
{
	value_put_bytes(b, 0xa3, value);
}

void amqp_value_put_descriptor(struct buf *b, uint64_t code)
{
	buf_put_u8(b, 0);
	amqp_value_put_ulong(b, code);
}

/* ---- compound values ---- */

enum { VALUE_HEAD_SMALL = 3, VALUE_HEAD_LARGE = 9 }; /* code, size, count */

/* Leaves room for the large head; close moves the items to the front when the small one does. */
size_t amqp_value_open(struct buf *b)
{
	static const uint8_t room[VALUE_HEAD_LARGE];
	size_t at = b->len;
	buf_append(b, room, sizeof room);
	return at;
}

static void value_put_at(struct buf *b, size_t at, uint32_t value)
{
	for (size_t i = 0; i < 4; i++)
		b->data[at + i] = (uint8_t)(value >> (24 - 8 * i));
}

static void value_close(struct buf *b, size_t at, uint8_t code, uint32_t count)
{
	if (b->failed)
		return;
	assert(b->len >= at + VALUE_HEAD_LARGE);
	size_t len = b->len - at - VALUE_HEAD_LARGE;
	assert(len <= UINT32_MAX - 4);
	uint8_t *head = b->data + at;
	if (len + 1 > UINT8_MAX || count > UINT8_MAX) {
		head[0] = (uint8_t)(code + 0x10);
		value_put_at(b, at + 1, (uint32_t)len + 4);
		value_put_at(b, at + 5, count);
		return;
	}
	head[0] = code;
	head[1] = (uint8_t)(len + 1);
	head[2] = (uint8_t)count;
	memmove(head + VALUE_HEAD_SMALL, head + VALUE_HEAD_LARGE, len);
	b->len -= VALUE_HEAD_LARGE - VALUE_HEAD_SMALL;
}

void amqp_value_close_list(struct buf *b, size_t at, uint32_t count)
{
	if (count > 0 || b->failed) {
		value_close(b, at, 0xc0, count);
		return;
	}
	b->data[at] = 0x45;
	b->len = at + 1;
}

void amqp_value_close_map(struct buf *b, size_t at, uint32_t count)
{
	assert(count % 2 == 0);
	value_close(b, at, 0xc1, count);
}
