/* AMQP values: every type is read, no byte beyond the end is, and what claims more than there is costs nothing. */
#include "tests/suite.h"

#include "src/base/text.h"
#include "src/wire/amqp_value.h"
#include "tests/unit/amqp_bytes.h"

SUITE(amqp_value);

/* ---- what is read ---- */

struct read_case {
	const char *hex;
	enum amqp_type type;
	uint64_t number;   /* of a signed type its bits; of a compound one the items */
	const char *bytes; /* NULL = the type has none */
};

static const struct read_case reads[] = {
	{"40", AMQP_NULL, 0, NULL},
	{"41", AMQP_BOOLEAN, 1, NULL},
	{"42", AMQP_BOOLEAN, 0, NULL},
	{"56 01", AMQP_BOOLEAN, 1, NULL},
	{"56 00", AMQP_BOOLEAN, 0, NULL},
	{"50 ff", AMQP_UBYTE, 255, NULL},
	{"60 ff fe", AMQP_USHORT, 65534, NULL},
	{"70 ff ff ff fe", AMQP_UINT, 0xfffffffe, NULL},
	{"52 fe", AMQP_UINT, 254, NULL},
	{"43", AMQP_UINT, 0, NULL},
	{"80 ff 00 00 00 00 00 00 01", AMQP_ULONG, 0xff00000000000001, NULL},
	{"53 fe", AMQP_ULONG, 254, NULL},
	{"44", AMQP_ULONG, 0, NULL},
	{"51 80", AMQP_BYTE, (uint64_t)-128, NULL},
	{"61 ff fe", AMQP_SHORT, (uint64_t)-2, NULL},
	{"71 80 00 00 00", AMQP_INT, (uint64_t)INT32_MIN, NULL},
	{"54 ff", AMQP_INT, (uint64_t)-1, NULL},
	{"81 80 00 00 00 00 00 00 00", AMQP_LONG, (uint64_t)INT64_MIN, NULL},
	{"55 7f", AMQP_LONG, 127, NULL},
	{"72 3f 80 00 00", AMQP_FLOAT, 0x3f800000, NULL},
	{"82 3f f0 00 00 00 00 00 00", AMQP_DOUBLE, 0x3ff0000000000000, NULL},
	{"74 00 00 00 07", AMQP_DECIMAL32, 7, NULL},
	{"84 00 00 00 00 00 00 00 07", AMQP_DECIMAL64, 7, NULL},
	{"94 '0123456789abcdef'", AMQP_DECIMAL128, 0, "0123456789abcdef"},
	{"73 00 01 f6 00", AMQP_CHAR, 0x1f600, NULL},
	{"83 ff ff ff ff ff ff ff ff", AMQP_TIMESTAMP, (uint64_t)-1, NULL},
	{"98 '0123456789abcdef'", AMQP_UUID, 0, "0123456789abcdef"},
	{"a0 03 'abc'", AMQP_BINARY, 0, "abc"},
	{"b0 00 00 00 03 'abc'", AMQP_BINARY, 0, "abc"},
	{"a1 00", AMQP_STRING, 0, ""},
	{"b1 00 00 00 03 'abc'", AMQP_STRING, 0, "abc"},
	{"a3 03 'abc'", AMQP_SYMBOL, 0, "abc"},
	{"b3 00 00 00 00", AMQP_SYMBOL, 0, ""},
	{"45", AMQP_LIST, 0, NULL},
	{"c0 01 00", AMQP_LIST, 0, NULL},
	{"c0 03 02 40 41", AMQP_LIST, 2, NULL},
	{"d0 00 00 00 06 00 00 00 02 40 41", AMQP_LIST, 2, NULL},
	{"c1 01 00", AMQP_MAP, 0, NULL},
	{"c1 07 02 a1 01 'k' a1 01 'v'", AMQP_MAP, 2, NULL},
	{"d1 00 00 00 06 00 00 00 02 40 41", AMQP_MAP, 2, NULL},
	{"e0 04 02 50 01 02", AMQP_ARRAY, 2, NULL},
	{"e0 02 00 a1", AMQP_ARRAY, 0, NULL},
	{"e0 02 03 41", AMQP_ARRAY, 3, NULL},
	{"f0 00 00 00 0d 00 00 00 02 a1 01 'x' 05 'hello'", AMQP_ARRAY, 2, NULL},
	{"e0 09 02 c0 03 02 40 41 02 01 42", AMQP_ARRAY, 2, NULL},
	{"e0 09 02 e0 03 01 50 07 02 00 50", AMQP_ARRAY, 2, NULL},
	{"e0 07 02 00 53 24 50 01 02", AMQP_ARRAY, 2, NULL},
	{"00 53 24 45", AMQP_LIST, 0, NULL},
	{"00 a3 01 'n' 40", AMQP_NULL, 0, NULL},
	{"00 53 01 00 53 02 50 07", AMQP_UBYTE, 7, NULL},
};

/* Walks the items of the items too, as deep as a table's row goes; the number of direct ones. */
static uint64_t value_walk(struct amqp_items items, bool *ret_clean)
{
	struct amqp_value value;
	uint64_t count = 0;
	*ret_clean = true;
	for (bool clean; amqp_value_next(&items, &value); count++)
		if (value.type & (AMQP_LIST | AMQP_MAP | AMQP_ARRAY)) {
			value_walk(value.items, &clean);
			*ret_clean &= clean;
		}
	*ret_clean &= !items.bytes.failed;
	return count;
}

static void value_check(const struct read_case *c, const struct amqp_value *value)
{
	bool clean;
	cr_assert(value->type == c->type, "type of %s", c->hex);
	if (value->type & (AMQP_LIST | AMQP_MAP | AMQP_ARRAY)) {
		cr_assert(value->items.left == c->number, "items of %s", c->hex);
		cr_assert(value_walk(value->items, &clean) == c->number && clean, "all items of %s", c->hex);
	} else if (c->bytes) {
		cr_assert(text_equal(value->bytes, text_of(c->bytes)), "bytes of %s", c->hex);
	} else {
		cr_assert(value->number == c->number, "number of %s", c->hex);
	}
}

Test(amqp_value, every_type_is_read_whole_and_in_no_cut)
{
	for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
		gh_bytes bytes = amqp_bytes(reads[i].hex);
		struct amqp_value value;
		struct reader r = reader_of(bytes);
		cr_assert(amqp_value_read(&r, &value), "%s", reads[i].hex);
		cr_assert(reader_left(&r) == 0 && text_equal(value.encoded, bytes), "%s to its end", reads[i].hex);
		value_check(&reads[i], &value);
		for (size_t len = 0; len < bytes.len; len++) {
			gh_bytes cut = amqp_bytes_cut(bytes, len);
			struct reader short_r = reader_of(cut);
			cr_assert(!amqp_value_read(&short_r, &value) && short_r.failed, "%s cut to %zu", reads[i].hex,
				len);
			amqp_bytes_free(cut);
		}
		amqp_bytes_free(bytes);
	}
}

Test(amqp_value, descriptors_are_numbers_or_symbols_and_the_outermost_is_told)
{
	static const struct {
		const char *hex;
		unsigned depth;
		uint64_t code;
		const char *name;
	} rows[] = {
		{"40", 0, 0, NULL},
		{"00 53 75 40", 1, 0x75, NULL},
		{"00 44 40", 1, 0, NULL},
		{"00 80 00 00 46 8c 00 00 00 04 a1 01 'x'", 1, 0x0000468c00000004, NULL},
		{"00 a3 10 'amqp:data:binary' a0 00", 1, 0, "amqp:data:binary"},
		{"00 b3 00 00 00 00 40", 1, 0, ""},
		{"00 53 01 00 a3 01 'n' 40", 2, 1, NULL},
		{"00 53 01 00 53 02 00 53 03 00 53 04 40", 4, 1, NULL},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		gh_bytes bytes = amqp_bytes(rows[i].hex);
		struct reader r = reader_of(bytes);
		struct amqp_value value;
		cr_assert(amqp_value_read(&r, &value), "%s", rows[i].hex);
		cr_assert(value.descriptor.depth == rows[i].depth, "depth of %s", rows[i].hex);
		cr_assert(value.descriptor.code == rows[i].code, "code of %s", rows[i].hex);
		cr_assert((value.descriptor.name.data != NULL) == (rows[i].name != NULL), "name of %s", rows[i].hex);
		cr_assert(text_equal(value.descriptor.name, text_of(rows[i].name)), "name of %s", rows[i].hex);
		amqp_bytes_free(bytes);
	}
}

Test(amqp_value, an_array_gives_each_element_what_stands_before_the_first)
{
	gh_bytes bytes = amqp_bytes("e0 07 02 00 53 24 50 01 02");
	struct reader r = reader_of(bytes);
	struct amqp_value array, element;
	cr_assert(amqp_value_read(&r, &array));
	for (uint64_t i = 1; i <= 2; i++) {
		cr_assert(amqp_value_next(&array.items, &element));
		cr_assert(element.type == AMQP_UBYTE && element.number == i);
		cr_assert(element.descriptor.depth == 1 && element.descriptor.code == 0x24);
	}
	cr_assert(!amqp_value_next(&array.items, &element) && !array.items.bytes.failed);
	amqp_bytes_free(bytes);
}

/* ---- what is refused ---- */

static const struct {
	const char *name, *hex;
} refusals[] = {
	{"no code", ""},
	{"unknown code", "3f"},
	{"unknown code of a known width", "5f 00"},
	{"a boolean of 2", "56 02"},
	{"a string past the end", "a1 05 'abc'"},
	{"a string of 4 GB", "b1 ff ff ff ff 'abc'"},
	{"a list past the end", "c0 05 01 40"},
	{"a list of no room for its count", "c0 00"},
	{"a list of no room for its count, large", "d0 00 00 00 03 00 00 00"},
	{"a list of 4 GB", "d0 ff ff ff ff 00 00 00 01 40"},
	{"a list of more items than bytes", "c0 03 03 40 40"},
	{"a list of 2^32-1 items", "d0 00 00 00 06 ff ff ff ff 40 40"},
	{"an empty list with something in it", "c0 02 00 40"},
	{"a map of one key", "c1 02 01 40"},
	{"a map of 2^32-2 items", "d1 00 00 00 06 ff ff ff fe 40 40"},
	{"an array without a constructor", "e0 01 00"},
	{"an array of an unknown code", "e0 03 01 3f 00"},
	{"an array of more elements than bytes", "e0 04 03 50 01 02"},
	{"an array of more wide elements than bytes", "e0 0a 02 98 00 00 00 00 00 00 00 00"},
	{"an array of 2^32-1 bytes", "f0 00 00 00 07 ff ff ff ff 50 01 02"},
	{"an array of 2^32-1 nulls", "f0 00 00 00 05 ff ff ff ff 40"},
	{"an array of 2^32-1 trues", "f0 00 00 00 05 ff ff ff ff 41"},
	{"an array of 2^32-1 zeros", "f0 00 00 00 05 ff ff ff ff 43"},
	{"an array of 2^32-1 empty lists", "f0 00 00 00 05 ff ff ff ff 45"},
	{"an array of 2^32-1 described nulls", "f0 00 00 00 08 ff ff ff ff 00 53 01 40"},
	{"an array of 256 nulls", "f0 00 00 00 05 00 00 01 00 40"},
	{"an empty array with something in it", "e0 03 00 40 40"},
	{"a descriptor that is a string", "00 a1 01 'n' 40"},
	{"a descriptor that is described", "00 00 53 01 53 02 40"},
	{"a descriptor alone", "00 53 01"},
	{"described five times", "00 53 01 00 53 02 00 53 03 00 53 04 00 53 05 40"},
	{"nothing but descriptions", "00 00 00 00 00 00 00 00"},
};

Test(amqp_value, threat_06_what_claims_more_than_there_is_is_refused)
{
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		gh_bytes bytes = amqp_bytes(refusals[i].hex);
		struct reader r = reader_of(bytes);
		struct amqp_value value;
		cr_assert(!amqp_value_read(&r, &value) && r.failed, "%s", refusals[i].name);
		amqp_bytes_free(bytes);
	}
}

static const struct {
	const char *name, *hex;
} item_faults[] = {
	{"an item past its list", "c0 04 01 a1 05 'x' "},
	{"bytes behind the last item", "c0 04 01 40 40 40"},
	{"an unknown item", "c0 02 01 3f"},
	{"an element past its array", "e0 04 01 a1 05 'x'"},
	{"bytes behind the last element", "e0 05 02 50 01 02 03"},
	{"bytes behind elements that take none", "e0 03 02 40 00"},
	{"a list of 2^32-1 items in a list", "c0 0c 01 d0 00 00 00 06 ff ff ff ff 40 40"},
};

Test(amqp_value, a_fault_among_the_items_is_seen_by_who_reads_them)
{
	for (size_t i = 0; i < sizeof item_faults / sizeof *item_faults; i++) {
		gh_bytes bytes = amqp_bytes(item_faults[i].hex);
		struct reader r = reader_of(bytes);
		struct amqp_value value, item;
		cr_assert(amqp_value_read(&r, &value), "%s is passed over", item_faults[i].name);
		while (amqp_value_next(&value.items, &item)) {
		}
		cr_assert(value.items.bytes.failed, "%s", item_faults[i].name);
		amqp_bytes_free(bytes);
	}
}

enum { NEST_DEPTH = 10000, NEST_HEAD = 9 };

Test(amqp_value, threat_06_lists_nested_10000_deep_are_passed_over_and_walked_level_by_level)
{
	struct buf b;
	struct amqp_value value;
	buf_init(&b, 0);
	for (uint32_t depth = NEST_DEPTH; depth > 0; depth--) {
		buf_put_u8(&b, 0xd0);
		buf_put_u32(&b, 4 + (depth - 1) * NEST_HEAD + 1);
		buf_put_u32(&b, 1);
	}
	buf_put_u8(&b, 0x40);
	struct reader r = reader_of(buf_bytes(&b));
	cr_assert(amqp_value_read(&r, &value) && reader_left(&r) == 0);
	size_t depth = 1;
	for (struct amqp_items items = value.items; amqp_value_next(&items, &value) && value.type == AMQP_LIST; depth++)
		items = value.items;
	cr_assert(depth == NEST_DEPTH && value.type == AMQP_NULL);
	buf_done(&b);
}

/* ---- what is written ---- */

static void put_all(struct buf *b)
{
	amqp_value_put_null(b);
	amqp_value_put_boolean(b, true);
	amqp_value_put_boolean(b, false);
	amqp_value_put_ubyte(b, 255);
	amqp_value_put_uint(b, 0);
	amqp_value_put_uint(b, 255);
	amqp_value_put_uint(b, 256);
	amqp_value_put_ulong(b, 0);
	amqp_value_put_ulong(b, 255);
	amqp_value_put_ulong(b, 256);
	amqp_value_put_int(b, -128);
	amqp_value_put_int(b, 127);
	amqp_value_put_int(b, 200);
	amqp_value_put_int(b, -129);
	amqp_value_put_long(b, -1);
	amqp_value_put_long(b, 128);
	amqp_value_put_timestamp(b, 1);
	amqp_value_put_uuid(b, (const uint8_t *)"0123456789abcdef");
	amqp_value_put_binary(b, text_of("b"));
	amqp_value_put_string(b, text_of("s"));
	amqp_value_put_symbol(b, text_of("y"));
	amqp_value_put_descriptor(b, 0x73);
	amqp_value_put_null(b);
}

Test(amqp_value, each_value_is_written_in_its_smallest_form)
{
	struct buf b;
	gh_bytes expected =
		amqp_bytes("40 41 42 50ff 43 52ff 7000000100 44 53ff 800000000000000100 5480 547f 71000000c8 "
			   "71ffffff7f 55ff 810000000000000080 830000000000000001 98 '0123456789abcdef' "
			   "a001 'b' a101 's' a301 'y' 00 5373 40");
	buf_init(&b, 0);
	put_all(&b);
	cr_assert(text_equal(buf_bytes(&b), expected));
	amqp_bytes_free(expected);
	buf_done(&b);
}

/* A list of `count` items of one byte, or of one string of `len` bytes when count is 1. */
static gh_bytes put_list(struct buf *b, uint32_t count, size_t len)
{
	static const uint8_t text[300];
	buf_clear(b);
	amqp_value_put_null(b); /* something stands in front */
	size_t at = amqp_value_open(b);
	if (count == 1)
		amqp_value_put_string(b, (gh_bytes){text, len});
	for (uint32_t i = 0; count != 1 && i < count; i++)
		amqp_value_put_null(b);
	amqp_value_close_list(b, at, count);
	return (gh_bytes){b->data + 1, b->len - 1};
}

Test(amqp_value, lists_and_maps_take_the_small_head_as_long_as_it_fits)
{
	static const struct {
		uint32_t count;
		size_t len, total;
		uint8_t code;
	} rows[] = {
		{0, 0, 1, 0x45},
		{2, 0, 3 + 2, 0xc0},
		{254, 0, 3 + 254, 0xc0},
		{255, 0, 9 + 255, 0xd0},
		{256, 0, 9 + 256, 0xd0},
		{1, 252, 3 + 2 + 252, 0xc0},
		{1, 253, 9 + 2 + 253, 0xd0},
		{1, 256, 9 + 5 + 256, 0xd0},
	};
	struct buf b;
	struct amqp_value value;
	bool clean;
	buf_init(&b, 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		gh_bytes list = put_list(&b, rows[i].count, rows[i].len);
		struct reader r = reader_of(list);
		cr_assert(list.len == rows[i].total && list.data[0] == rows[i].code, "row %zu: %zu", i, list.len);
		cr_assert(amqp_value_read(&r, &value) && reader_left(&r) == 0, "row %zu", i);
		cr_assert(value_walk(value.items, &clean) == rows[i].count && clean, "row %zu", i);
	}
	buf_clear(&b);
	amqp_value_close_map(&b, amqp_value_open(&b), 0);
	cr_assert(b.len == 3 && memcmp(b.data, "\xc1\x01\x00", 3) == 0);
	buf_done(&b);
}

Test(amqp_value, a_buffer_that_is_full_takes_no_list)
{
	struct buf b;
	for (size_t room = 1; room < 16; room++) {
		buf_init(&b, room);
		size_t at = amqp_value_open(&b);
		amqp_value_put_string(&b, text_of("0123456789"));
		amqp_value_close_list(&b, at, 1);
		cr_assert(b.failed, "room for %zu", room);
		at = amqp_value_open(&b);
		amqp_value_close_list(&b, at, 0);
		cr_assert(b.failed, "still no room for %zu", room);
		buf_done(&b);
	}
}
