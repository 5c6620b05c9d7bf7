/* amqp_value.h - AMQP 1.0 values as bytes: a bounded reader of every primitive type, and writers of those we send.
 *
 * Reading never allocates and never recurses: a compound value or an array is passed over by its size, and its items are
 * read one by one by whoever wants them.  A size or a count that the bytes cannot hold is refused where it stands, so a
 * value of n bytes costs time in the order of n, however deep it nests and whatever it claims to hold.
 *
 * Whether a string or a symbol is well-formed text is not looked at here.
 */
#ifndef GATEHOUSE_WIRE_AMQP_VALUE_H
#define GATEHOUSE_WIRE_AMQP_VALUE_H

#include "src/base/buf.h"

/* AMQP 1.6.  Powers of two, so that a set of types is a number. */
enum amqp_type {
	AMQP_NULL = 1 << 0,
	AMQP_BOOLEAN = 1 << 1,
	AMQP_UBYTE = 1 << 2,
	AMQP_USHORT = 1 << 3,
	AMQP_UINT = 1 << 4,
	AMQP_ULONG = 1 << 5,
	AMQP_BYTE = 1 << 6,
	AMQP_SHORT = 1 << 7,
	AMQP_INT = 1 << 8,
	AMQP_LONG = 1 << 9,
	AMQP_FLOAT = 1 << 10,
	AMQP_DOUBLE = 1 << 11,
	AMQP_DECIMAL32 = 1 << 12,
	AMQP_DECIMAL64 = 1 << 13,
	AMQP_DECIMAL128 = 1 << 14,
	AMQP_CHAR = 1 << 15,
	AMQP_TIMESTAMP = 1 << 16,
	AMQP_UUID = 1 << 17,
	AMQP_BINARY = 1 << 18,
	AMQP_STRING = 1 << 19,
	AMQP_SYMBOL = 1 << 20,
	AMQP_LIST = 1 << 21,
	AMQP_MAP = 1 << 22,
	AMQP_ARRAY = 1 << 23,
};

/* A described value may be the value of another description, this deep. */
enum { AMQP_DESCRIPTORS_MAX = 4 };

/* The outermost descriptor of a value (AMQP 1.2): an ulong or a symbol, all others are reserved and refused. */
struct amqp_descriptor {
	unsigned depth; /* 0 = the value is not described */
	uint64_t code;  /* when it is a number */
	gh_bytes name;  /* when it is a symbol; data is NULL when it is none */
};

/* What a list, a map or an array holds and has not yet been read. */
struct amqp_items {
	struct reader bytes; /* failed: an item was malformed, or the items did not fill the size */
	uint32_t left;       /* of a map: keys and values */
	uint8_t code;        /* of every element of an array; 0 = each item has its own */
	struct amqp_descriptor descriptor;
};

struct amqp_value {
	enum amqp_type type;
	struct amqp_descriptor descriptor;
	gh_bytes encoded; /* constructor included, but for an element of an array, which has none */
	union {
		uint64_t number; /* boolean, unsigned types, char; the bits of float, double, decimal32, decimal64 */
		int64_t integer; /* byte, short, int, long, timestamp */
		gh_bytes bytes;  /* binary, string, symbol; the 16 bytes of uuid and decimal128 */
		struct amqp_items items; /* list, map, array */
	};
};

/* An array whose elements take no bytes (null, true, list0) may claim any count: more than these are refused. */
enum { AMQP_ARRAY_EMPTY_MAX = 255 };

/* Reads one whole value, borrowed from r; what a compound value holds is not looked at.  False, and r failed, when it is
 * cut, of an unknown type, described too often, or claims more than there is. */
bool amqp_value_read(struct reader *r, struct amqp_value *ret_value);

/* The next item: of a map keys and values in turn.  False at the end and on a fault (see amqp_items.bytes). */
bool amqp_value_next(struct amqp_items *items, struct amqp_value *ret_value);

/* ---- writers: each chooses the smallest encoding ---- */

void amqp_value_put_null(struct buf *b);
void amqp_value_put_boolean(struct buf *b, bool value);
void amqp_value_put_ubyte(struct buf *b, uint8_t value);
void amqp_value_put_uint(struct buf *b, uint32_t value);
void amqp_value_put_ulong(struct buf *b, uint64_t value);
void amqp_value_put_int(struct buf *b, int32_t value);
void amqp_value_put_long(struct buf *b, int64_t value);
void amqp_value_put_timestamp(struct buf *b, int64_t wall_ms);
void amqp_value_put_uuid(struct buf *b, const uint8_t uuid[16]);
void amqp_value_put_binary(struct buf *b, gh_bytes value);
void amqp_value_put_string(struct buf *b, gh_bytes value);
void amqp_value_put_symbol(struct buf *b, gh_bytes value);
/* The value that follows is described by this number. */
void amqp_value_put_descriptor(struct buf *b, uint64_t code);

/* Opens a list or a map: put the items, then close with what open returned and their number (a map: keys and values). */
size_t amqp_value_open(struct buf *b);
void amqp_value_close_list(struct buf *b, size_t at, uint32_t count);
void amqp_value_close_map(struct buf *b, size_t at, uint32_t count);

#endif
