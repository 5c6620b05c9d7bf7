/* buf.h: writers stop at their cap and say so once; readers never pass their end. */
#include "tests/suite.h"

#include "src/base/buf.h"

SUITE(buf);

Test(buf, writes_big_endian_and_reads_it_back)
{
	struct buf b;
	buf_init(&b, 0);
	buf_put_u8(&b, 1);
	buf_put_u16(&b, 0x0203);
	buf_put_u32(&b, 0x04050607);
	buf_put_u64(&b, 0x08090a0b0c0d0e0fu);
	for (uint8_t i = 0; i < 15; i++)
		cr_assert_eq(b.data[i], i + 1);
	struct reader r = reader_of(buf_bytes(&b));
	cr_assert_eq(reader_u8(&r), 1);
	cr_assert_eq(reader_u16(&r), 0x0203);
	cr_assert_eq(reader_u32(&r), 0x04050607);
	cr_assert_eq(reader_u64(&r), 0x08090a0b0c0d0e0fu);
	cr_assert(!r.failed && reader_left(&r) == 0);
	cr_assert_eq(reader_u8(&r), 0);
	cr_assert(r.failed);
	buf_drop(&b, 14);
	cr_assert(b.len == 1 && b.data[0] == 15);
	buf_done(&b);
}

Test(buf, remembers_that_it_passed_its_cap)
{
	struct buf b;
	buf_init(&b, 100);
	uint8_t bytes[64] = {0};
	buf_append(&b, bytes, 64);
	buf_append(&b, bytes, 64);
	cr_assert(b.failed && b.len == 64);
	buf_put_u8(&b, 1);
	cr_assert(b.failed && b.len == 64, "nothing is written after a failure");
	buf_clear(&b);
	buf_append(&b, bytes, 64);
	buf_append(&b, bytes, 36);
	cr_assert(!b.failed && b.len == 100, "exactly the cap fits");
	cr_assert(!buf_reserve(&b, SIZE_MAX));
	buf_done(&b);
}
