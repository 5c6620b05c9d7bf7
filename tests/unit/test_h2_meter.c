/* Where frames begin, and what counts as too many. */
#include "tests/suite.h"

#include "src/base/limits.h"
#include "tests/unit/h2_pair.h"
#include "transports/https/h2_meter.h"

static gh_limits limits;
static struct h2_meter meter;

static void meter_begin(void)
{
	limits_defaults(&limits);
	h2_meter_init(&meter);
}

TestSuite(h2_meter, .init = meter_begin, .fini = suite_leak_check, .timeout = 60);

static void meter_frame_is(uint8_t type, uint8_t flags, uint32_t stream_id, uint32_t len)
{
	meter.frame = (struct h2_frame){.type = type, .flags = flags, .stream_id = stream_id, .len = len};
}

Test(h2_meter, frames_are_found_wherever_the_bytes_are_cut)
{
	struct buf bytes = {0};
	h2_put_preface(&bytes);
	h2_put_get(&bytes, NGHTTP2_FLAG_END_HEADERS, 0x80000001);
	h2_put_frame(&bytes, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, (gh_bytes){NULL, 0});
	h2_put_u32_frame(&bytes, NGHTTP2_WINDOW_UPDATE, 0x01020304, 7);
	for (size_t cut = 1; cut <= bytes.len; cut++) {
		static const struct h2_frame expected[] = {
			{0, 0, 4, 0}, {8, 1, 1, 4}, {0, 1, 0, 1}, {4, 0x01020304, 8, 0}};
		size_t found = 0, payload = 0;
		h2_meter_init(&meter);
		for (size_t at = 0; at < bytes.len;) {
			enum h2_piece piece;
			gh_bytes rest = {
				bytes.data + at, bytes.len - at < cut - at % cut ? bytes.len - at : cut - at % cut};
			size_t n = h2_meter_cut(&meter, rest, &piece);
			cr_assert(n > 0 && n <= rest.len);
			at += n;
			payload += piece == H2_PIECE_PAYLOAD ? n : 0;
			if (piece != H2_PIECE_HEAD)
				continue;
			cr_assert(found < 4 && memcmp(meter.head, bytes.data + at - 9, 9) == 0, "cut at %zu", cut);
			cr_assert(memcmp(&meter.frame, &expected[found++], sizeof meter.frame) == 0, "cut at %zu", cut);
		}
		cr_assert(found == 4 && payload == 24 + 8 + 4, "cut at %zu", cut);
	}
	buf_done(&bytes);
}

Test(h2_meter, counts_are_of_the_last_ten_seconds)
{
	limits.http2_resets_max = 20;
	for (unsigned i = 0; i < 20; i++)
		cr_assert_null(h2_meter_reset(&meter, &limits, 1000 + i * 50));
	cr_assert_str_eq(h2_meter_reset(&meter, &limits, 10999), "resets");
	h2_meter_init(&meter);
	for (unsigned i = 0; i < 1000; i++)
		cr_assert_null(h2_meter_reset(&meter, &limits, 1000 + i * 500), "two a second, for ever: %u", i);
	cr_assert_null(h2_meter_reset(&meter, &limits, 10000000), "after a long silence");
	for (unsigned i = 0; i < 19; i++)
		cr_assert_null(h2_meter_reset(&meter, &limits, 10009999));
	cr_assert_null(h2_meter_reset(&meter, &limits, 10010000), "the first is older than ten seconds");
	cr_assert_str_eq(h2_meter_reset(&meter, &limits, 10010000), "resets");
}

Test(h2_meter, what_carries_something_is_never_odd)
{
	limits.http2_odd_frames_max = 100;
	for (unsigned i = 0; i < 10000; i++) {
		meter_frame_is(NGHTTP2_HEADERS, 0, 2 * i + 1, 40);
		cr_assert_null(h2_meter_frame(&meter, &limits, true, 1000));
		meter_frame_is(NGHTTP2_DATA, 0, 2 * i + 1, 1);
		cr_assert_null(h2_meter_frame(&meter, &limits, true, 1000));
		meter_frame_is(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 2 * i + 1, 0);
		cr_assert_null(h2_meter_frame(&meter, &limits, true, 1000));
	}
}

Test(h2_meter, window_updates_are_free_as_far_as_answers_need_them)
{
	limits.http2_odd_frames_max = 100;
	for (unsigned i = 0; i < 5000; i++) {
		h2_meter_answered(&meter, &limits);
		for (unsigned k = 0; k < 10; k++) {
			meter_frame_is(NGHTTP2_WINDOW_UPDATE, 0, 0, 4);
			cr_assert_null(h2_meter_frame(&meter, &limits, true, 1000));
		}
	}
	for (unsigned i = 0; i < 100000; i++)
		h2_meter_answered(&meter, &limits);
	for (unsigned i = 0; i < 200; i++)
		cr_assert_null(h2_meter_frame(&meter, &limits, true, 1000), "what was put by is bounded: %u", i);
	cr_assert_str_eq(h2_meter_frame(&meter, &limits, true, 1000), "odd_frames");
}

Test(h2_meter, headers_that_serve_no_stream_are_odd)
{
	limits.http2_odd_frames_max = 100;
	meter_frame_is(NGHTTP2_HEADERS, 0, 1, 40);
	cr_assert(h2_meter_is_new(&meter, 1));
	for (unsigned i = 0; i < 100; i++)
		cr_assert_null(h2_meter_frame(&meter, &limits, false, 1000));
	cr_assert_not(h2_meter_is_new(&meter, 1));
	cr_assert_str_eq(h2_meter_frame(&meter, &limits, false, 1000), "odd_frames");
}

Test(h2_meter, threat_14_continuations_are_counted_behind_each_headers_frame)
{
	for (unsigned i = 0; i < 100; i++) {
		meter_frame_is(NGHTTP2_HEADERS, 0, 2 * i + 1, 40);
		cr_assert_null(h2_meter_frame(&meter, &limits, true, 1000));
		meter_frame_is(NGHTTP2_CONTINUATION, 0, 2 * i + 1, 40);
		for (unsigned k = 0; k < limits.http2_continuations_max; k++)
			cr_assert_null(h2_meter_frame(&meter, &limits, true, 1000));
	}
	cr_assert_str_eq(h2_meter_frame(&meter, &limits, true, 1000), "continuations");
}
