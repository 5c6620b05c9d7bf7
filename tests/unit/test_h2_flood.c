/* What no client should do to an HTTP/2 connection: each costs little, and ends it in time. */
#include "tests/suite.h"

#include "src/base/log.h"
#include "src/base/text.h"
#include "tests/unit/h2_pair.h"
#include "transports/https/h2_engine.h"

#include <malloc.h>

static gh_worker worker;
static struct h2_pair pair;
static char last_line[512];

static void flood_write(void *context, const char *line, size_t len)
{
	(void)context;
	cr_assert(len < sizeof last_line);
	memcpy(last_line, line, len);
	last_line[len] = '\0';
}

static const struct log flood_log = {.level = LOG_INFO, .write = flood_write};

static void flood_begin(void)
{
	core_double_init(&worker);
	rest_double_init();
	worker.log = &flood_log;
	h2_pair_init(&pair, &worker);
}

static void flood_finish(void)
{
	h2_pair_done(&pair);
	rest_double_done();
	core_double_done(&worker);
	suite_leak_check();
}

TestSuite(h2_flood, .init = flood_begin, .fini = flood_finish, .timeout = 60);

/* The code of the last GOAWAY; -1 = there is none. */
static int64_t flood_goaway(void)
{
	int64_t code = -1;
	for (size_t at = 0; at + 9 <= pair.got.len;) {
		const uint8_t *head = pair.got.data + at;
		if (head[3] == NGHTTP2_GOAWAY)
			code = (int64_t)head[13] << 24 | head[14] << 16 | head[15] << 8 | head[16];
		at += 9 + ((size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2]);
	}
	return code;
}

static bool flood_ended(const char *why, uint32_t code)
{
	char reason[64];
	snprintf(reason, sizeof reason, "transport=https peer=192.0.2.7 reason=%s\n", why);
	return pair.finished && strcmp(h2_why(pair.engine), why) == 0 && flood_goaway() == code &&
	       rest_double.alive == 0 && worker.reserved == 0 && strstr(last_line, "closed") &&
	       strstr(last_line, reason);
}

static void flood_again(void)
{
	h2_pair_done(&pair);
	last_line[0] = '\0';
	h2_pair_init(&pair, &worker);
}

/* ---- resets ---- */

Test(h2_flood, threat_13_a_hundred_thousand_streams_opened_and_reset)
{
	struct buf bytes = {0};
	rest_double.run = REST_WAIT;
	h2_put_preface(&bytes);
	for (uint32_t i = 0; i < 100000; i++) {
		h2_put_get(&bytes, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 2 * i + 1);
		h2_put_u32_frame(&bytes, NGHTTP2_RST_STREAM, 2 * i + 1, NGHTTP2_CANCEL);
	}
	pair.cut = 65536;
	buf_reserve(&pair.held, bytes.len);
	size_t before = mallinfo2().uordblks;
	h2_pair_send(&pair, buf_bytes(&bytes));
	cr_assert(flood_ended("resets", NGHTTP2_ENHANCE_YOUR_CALM), "%s", last_line);
	cr_assert(rest_double.begin_count == worker.limits.http2_resets_max + 1, "%zu", rest_double.begin_count);
	cr_assert(rest_double.alive_max == 1);
	cr_assert(mallinfo2().uordblks < before + 65536, "memory stays flat");
	cr_assert(pair.held.len == bytes.len - pair.cut, "the rest of it is not even looked at");
	buf_done(&bytes);
}

Test(h2_flood, threat_13_resets_now_and_then_are_a_client_s_right)
{
	h2_pair_connect(&pair, 0);
	rest_double.run = REST_WAIT;
	for (size_t i = 0; i < 500; i++) {
		h2_pair_reset(&pair, h2_pair_request(&pair, "GET", "/", NULL, NULL));
		h2_pair_wait(&pair, 60);
	}
	cr_assert(!pair.finished && rest_double.alive == 0);
}

/* Each makes the server reset stream 1, 3, ... without a RST_STREAM of the client. */
static void flood_bad_length(struct buf *out, uint32_t id)
{
	struct buf block = {0};
	buf_append(&block,
		"\x83\x87\x84\x01\x03hub\x0f\x0d\x01"
		"5",
		12);
	h2_put_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, buf_bytes(&block));
	h2_put_frame(out, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, id, text_of("1"));
	buf_done(&block);
}

static void flood_window_overflow(struct buf *out, uint32_t id)
{
	h2_put_get(out, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id);
	h2_put_u32_frame(out, NGHTTP2_WINDOW_UPDATE, id, 0x7fffffff);
}

static void flood_bad_field(struct buf *out, uint32_t id)
{
	h2_put_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id,
		text_of("\x82\x87\x84\x01\x03hub\x10\x01X\x01y"));
}

static void flood_no_path(struct buf *out, uint32_t id)
{
	h2_put_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id,
		text_of("\x82\x87\x01\x03hub"));
}

static void flood_trailers_without_end(struct buf *out, uint32_t id)
{
	h2_put_post(out, NGHTTP2_FLAG_END_HEADERS, id);
	h2_put_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, text_of("\x10\x01x\x01y"));
}

Test(h2_flood, threat_15_resets_the_server_is_made_to_send_count_as_well)
{
	static const struct {
		const char *what;
		void (*put)(struct buf *out, uint32_t id);
	} rows[] = {
		{"a length that lies", flood_bad_length},
		{"a window that overflows", flood_window_overflow},
		{"a field in upper case", flood_bad_field},
		{"no path", flood_no_path},
		{"trailers that do not end", flood_trailers_without_end},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf bytes = {0};
		uint32_t n = 0;
		flood_again();
		rest_double.run = REST_WAIT;
		h2_put_preface(&bytes);
		h2_pair_send(&pair, buf_bytes(&bytes));
		for (; n < 1000 && !pair.finished; n++) {
			buf_clear(&bytes);
			rows[i].put(&bytes, 2 * n + 1);
			h2_pair_send(&pair, buf_bytes(&bytes));
		}
		cr_assert(flood_ended("resets", NGHTTP2_ENHANCE_YOUR_CALM), "%s: %s", rows[i].what, last_line);
		cr_assert(n == worker.limits.http2_resets_max + 1, "%s: %u", rows[i].what, n);
		buf_done(&bytes);
	}
}

Test(h2_flood, threat_15_and_both_kinds_together)
{
	struct buf bytes = {0};
	uint32_t n = 0;
	rest_double.run = REST_WAIT;
	h2_put_preface(&bytes);
	for (; n < 1000 && !pair.finished; n++) {
		if (n % 2) {
			flood_window_overflow(&bytes, 2 * n + 1);
		} else {
			h2_put_get(&bytes, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 2 * n + 1);
			h2_put_u32_frame(&bytes, NGHTTP2_RST_STREAM, 2 * n + 1, NGHTTP2_CANCEL);
		}
		h2_pair_send(&pair, buf_bytes(&bytes));
		buf_clear(&bytes);
	}
	cr_assert(flood_ended("resets", NGHTTP2_ENHANCE_YOUR_CALM) && n == worker.limits.http2_resets_max + 1, "%u", n);
	buf_done(&bytes);
}

Test(h2_flood, threat_15_in_one_breath_it_costs_no_more_than_that)
{
	struct buf bytes = {0};
	rest_double.run = REST_WAIT;
	h2_put_preface(&bytes);
	for (uint32_t i = 0; i < 100000; i++)
		flood_window_overflow(&bytes, 2 * i + 1);
	pair.cut = 65536;
	h2_pair_send(&pair, buf_bytes(&bytes));
	cr_assert(flood_ended("resets", NGHTTP2_ENHANCE_YOUR_CALM) && pair.held.len == bytes.len - pair.cut);
	cr_assert(rest_double.begin_count <= 2 * worker.limits.http2_resets_max, "%zu", rest_double.begin_count);
	buf_done(&bytes);
}

Test(h2_flood, threat_13_streams_beyond_the_limit_are_refused_and_count)
{
	struct buf bytes = {0};
	uint32_t n;
	rest_double.run = REST_WAIT;
	h2_put_preface(&bytes);
	for (n = 0; n < 100; n++)
		h2_put_get(&bytes, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 2 * n + 1);
	h2_pair_send(&pair, buf_bytes(&bytes));
	cr_assert(rest_double.begin_count == 100 && h2_pair_got(&pair, NGHTTP2_RST_STREAM) == 0);
	for (; n < 1000 && !pair.finished; n++) {
		buf_clear(&bytes);
		h2_put_get(&bytes, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 2 * n + 1);
		h2_pair_send(&pair, buf_bytes(&bytes));
		cr_assert(pair.finished || h2_pair_got(&pair, NGHTTP2_RST_STREAM) == n - 99);
	}
	cr_assert(flood_ended("resets", NGHTTP2_ENHANCE_YOUR_CALM) && n == 100 + worker.limits.http2_resets_max + 1);
	cr_assert(rest_double.begin_count == 100);
	buf_done(&bytes);
}

Test(h2_flood, threat_13_who_knew_the_limit_and_passes_it_is_ended)
{
	struct buf bytes = {0};
	rest_double.run = REST_WAIT;
	h2_put_preface(&bytes);
	h2_put_frame(&bytes, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, (gh_bytes){NULL, 0});
	for (uint32_t n = 0; n < 101; n++)
		h2_put_get(&bytes, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 2 * n + 1);
	h2_pair_send(&pair, buf_bytes(&bytes));
	cr_assert(flood_ended("protocol_error", NGHTTP2_PROTOCOL_ERROR) && rest_double.begin_count == 100);
	buf_done(&bytes);
}

/* ---- frames that carry nothing ---- */

static void flood_ping(struct buf *out)
{
	h2_put_frame(out, NGHTTP2_PING, 0, 0, text_of("12345678"));
}

static void flood_settings(struct buf *out)
{
	h2_put_frame(out, NGHTTP2_SETTINGS, 0, 0, (gh_bytes){NULL, 0});
}

static void flood_settings_full(struct buf *out)
{
	h2_put_frame(out, NGHTTP2_SETTINGS, 0, 0, text_of("\x7f\x01\x01\x01\x01\x01\x7f\x02\x01\x01\x01\x01"));
}

static void flood_priority(struct buf *out)
{
	static const uint8_t payload[5] = {0, 0, 0, 0, 16};
	h2_put_frame(out, NGHTTP2_PRIORITY, 0, 7, (gh_bytes){payload, sizeof payload});
}

static void flood_window(struct buf *out)
{
	h2_put_u32_frame(out, NGHTTP2_WINDOW_UPDATE, 0, 1);
}

static void flood_window_of_the_dead(struct buf *out)
{
	h2_put_u32_frame(out, NGHTTP2_WINDOW_UPDATE, 1, 1);
}

static void flood_empty_data(struct buf *out)
{
	h2_put_frame(out, NGHTTP2_DATA, 0, 3, (gh_bytes){NULL, 0});
}

static void flood_empty_data_of_the_dead(struct buf *out)
{
	h2_put_frame(out, NGHTTP2_DATA, 0, 1, (gh_bytes){NULL, 0});
}

static void flood_padding(struct buf *out)
{
	h2_put_frame(out, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 3, (gh_bytes){(const uint8_t *)"\x03\0\0\0", 4});
}

static void flood_unknown(struct buf *out)
{
	h2_put_frame(out, 0xf0, 0xff, 3, text_of("what"));
}

static void flood_priority_update(struct buf *out)
{
	h2_put_frame(out, NGHTTP2_PRIORITY_UPDATE, 0, 0, (gh_bytes){(const uint8_t *)"\0\0\0\3u=1", 7});
}

static void flood_headers_of_the_dead(struct buf *out)
{
	h2_put_get(out, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1);
}

Test(h2_flood, threat_13_frames_that_carry_nothing_end_the_connection)
{
	static const struct {
		const char *what;
		void (*put)(struct buf *out);
		size_t free; /* how many of them are not counted */
	} rows[] = {
		{"PING", flood_ping, 0},
		{"SETTINGS", flood_settings, 0},
		{"SETTINGS that say something unknown", flood_settings_full, 0},
		{"PRIORITY", flood_priority, 0},
		{"WINDOW_UPDATE", flood_window, 4},
		{"WINDOW_UPDATE of a stream that is gone", flood_window_of_the_dead, 4},
		{"empty DATA", flood_empty_data, 0},
		{"empty DATA of a stream that is gone", flood_empty_data_of_the_dead, 0},
		{"DATA that is padding", flood_padding, 0},
		{"an unknown type", flood_unknown, 0},
		{"PRIORITY_UPDATE", flood_priority_update, 0},
		{"HEADERS of a stream that is gone", flood_headers_of_the_dead, 0},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf bytes = {0};
		size_t n = 0, max = worker.limits.http2_odd_frames_max;
		flood_again();
		h2_put_preface(&bytes);
		h2_put_get(&bytes, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1);
		h2_put_post(&bytes, NGHTTP2_FLAG_END_HEADERS, 3);
		h2_pair_send(&pair, buf_bytes(&bytes));
		for (; n < 5000 && !pair.finished; n++) {
			buf_clear(&bytes);
			rows[i].put(&bytes);
			h2_pair_send(&pair, buf_bytes(&bytes));
		}
		cr_assert(flood_ended("odd_frames", NGHTTP2_ENHANCE_YOUR_CALM), "%s: %s", rows[i].what, last_line);
		cr_assert(n == max + rows[i].free, "%s: %zu, one was the preface's SETTINGS", rows[i].what, n);
		buf_clear(&bytes);
		flood_again();
		h2_put_preface(&bytes);
		h2_put_get(&bytes, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1);
		h2_put_post(&bytes, NGHTTP2_FLAG_END_HEADERS, 3);
		h2_pair_send(&pair, buf_bytes(&bytes));
		buf_clear(&bytes);
		for (n = 0; n < 50000; n++)
			rows[i].put(&bytes);
		h2_pair_send(&pair, buf_bytes(&bytes));
		cr_assert(flood_ended("odd_frames", NGHTTP2_ENHANCE_YOUR_CALM), "%s at once", rows[i].what);
		cr_assert(pair.got.len < 40000, "%s at once: %zu bytes back", rows[i].what, pair.got.len);
		buf_done(&bytes);
	}
}

Test(h2_flood, the_same_frames_at_their_ease_do_no_harm)
{
	h2_pair_connect(&pair, 0);
	h2_pair_request(&pair, "GET", "/", NULL, NULL);
	for (size_t i = 0; i < 5000; i++) {
		if (i % 1000 == 0)
			h2_pair_request(&pair, "GET", "/", NULL, NULL);
		nghttp2_submit_ping(pair.client, NGHTTP2_FLAG_NONE, NULL);
		h2_pair_run(&pair);
		h2_pair_wait(&pair, 20);
	}
	cr_assert(!pair.finished);
}

Test(h2_flood, a_large_answer_fetched_in_small_steps_is_no_flood)
{
	static uint8_t body[1 << 20];
	rest_double.answer = (struct rest_answer){.status = 200, .body = {body, sizeof body}};
	h2_pair_connect(&pair, 1000);
	size_t n = h2_pair_request(&pair, "GET", "/", NULL, NULL);
	for (size_t i = 0; i < 5000 && !pair.replies[n].ended; i++) {
		nghttp2_session_consume(pair.client, h2_pair_id(n), 500);
		h2_pair_run(&pair);
	}
	cr_assert(pair.replies[n].ended && pair.replies[n].body.len == sizeof body && !pair.finished);
}

/* ---- heads without end ---- */

Test(h2_flood, threat_14_continuation_without_end)
{
	struct buf bytes = {0};
	h2_put_preface(&bytes);
	h2_put_get(&bytes, NGHTTP2_FLAG_END_STREAM, 1);
	h2_pair_send(&pair, buf_bytes(&bytes));
	size_t n = 0;
	for (; n < 1000 && !pair.finished; n++) {
		buf_clear(&bytes);
		h2_put_frame(
			&bytes, NGHTTP2_CONTINUATION, 0, 1, n % 2 ? text_of("\x10\x01x\x01y") : (gh_bytes){NULL, 0});
		h2_pair_send(&pair, buf_bytes(&bytes));
	}
	cr_assert(flood_ended("continuations", NGHTTP2_ENHANCE_YOUR_CALM), "%s", last_line);
	cr_assert(n == worker.limits.http2_continuations_max + 1 && rest_double.begin_count == 0);
	buf_done(&bytes);
}

Test(h2_flood, threat_14_continuation_of_a_stream_that_is_refused)
{
	struct buf bytes = {0};
	rest_double.run = REST_WAIT;
	worker.limits.http2_streams_max = 1;
	flood_again();
	h2_put_preface(&bytes);
	h2_put_get(&bytes, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1);
	h2_put_get(&bytes, NGHTTP2_FLAG_END_STREAM, 3);
	for (size_t n = 0; n < 10000; n++)
		h2_put_frame(&bytes, NGHTTP2_CONTINUATION, 0, 3, text_of("\x10\x01x\x01y"));
	h2_pair_send(&pair, buf_bytes(&bytes));
	cr_assert(flood_ended("continuations", NGHTTP2_ENHANCE_YOUR_CALM), "%s", last_line);
	buf_done(&bytes);
}

/* One field of 4000 bytes enters the table; then each byte of the head names it again. */
Test(h2_flood, threat_12_a_head_that_grows_when_it_is_unpacked)
{
	static uint8_t value[4000], names[16384 - 4200];
	struct buf bytes = {0}, block = {0};
	memset(value, 'v', sizeof value);
	memset(names, 0xbe, sizeof names);
	buf_append(&block, "\x82\x87\x84\x01\x03hub\x40\x01x\x7f\xa1\x1e", 14);
	buf_append(&block, value, sizeof value);
	buf_append(&block, names, sizeof names);
	h2_put_preface(&bytes);
	h2_put_frame(&bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, buf_bytes(&block));
	for (size_t n = 0; n < 8; n++)
		h2_put_frame(&bytes, NGHTTP2_CONTINUATION, n == 7 ? NGHTTP2_FLAG_END_HEADERS : 0, 1,
			(gh_bytes){names, sizeof names});
	buf_reserve(&pair.held, bytes.len);
	size_t before = mallinfo2().uordblks;
	h2_pair_send(&pair, buf_bytes(&bytes));
	cr_assert(flood_ended("head_flood", NGHTTP2_ENHANCE_YOUR_CALM), "%s", last_line);
	cr_assert(mallinfo2().uordblks < before + 65536 && rest_double.begin_count == 0);
	buf_done(&bytes);
	buf_done(&block);
}

Test(h2_flood, threat_12_trailers_that_grow_when_they_are_unpacked)
{
	static uint8_t value[4000], names[1000];
	struct buf bytes = {0}, block = {0};
	memset(value, 'v', sizeof value);
	memset(names, 0xbe, sizeof names);
	buf_append(&block, "\x40\x01x\x7f\xa1\x1e", 6);
	buf_append(&block, value, sizeof value);
	buf_append(&block, names, sizeof names);
	h2_put_preface(&bytes);
	h2_put_post(&bytes, NGHTTP2_FLAG_END_HEADERS, 1);
	h2_put_frame(&bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_END_HEADERS, 1, buf_bytes(&block));
	h2_pair_send(&pair, buf_bytes(&bytes));
	cr_assert(flood_ended("head_flood", NGHTTP2_ENHANCE_YOUR_CALM), "%s", last_line);
	buf_done(&bytes);
	buf_done(&block);
}

/* ---- what nghttp2 finds ---- */

static void flood_is(const char *what, void (*put)(struct buf *out), const char *why, uint32_t code)
{
	struct buf bytes = {0};
	flood_again();
	rest_double.run = REST_WAIT;
	h2_put_preface(&bytes);
	h2_put_get(&bytes, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1);
	put(&bytes);
	h2_pair_send(&pair, buf_bytes(&bytes));
	cr_assert(flood_ended(why, code), "%s: %s, goaway %d", what, last_line, (int)flood_goaway());
	buf_done(&bytes);
}

static void flood_zero_window(struct buf *out)
{
	h2_put_u32_frame(out, NGHTTP2_WINDOW_UPDATE, 0, 0);
}

static void flood_zero_window_of_a_stream(struct buf *out)
{
	h2_put_u32_frame(out, NGHTTP2_WINDOW_UPDATE, 1, 0);
}

static void flood_connection_overflow(struct buf *out)
{
	h2_put_u32_frame(out, NGHTTP2_WINDOW_UPDATE, 0, 0x7fffffff);
}

static void flood_own_dependency(struct buf *out)
{
	h2_put_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_PRIORITY,
		3, (gh_bytes){(const uint8_t *)"\0\0\0\3\x10\x82\x87\x84\x01\x03hub", 13});
}

static void flood_large_frame(struct buf *out)
{
	static const uint8_t zeros[16385];
	h2_put_frame(out, NGHTTP2_DATA, 0, 1, (gh_bytes){zeros, sizeof zeros});
}

static void flood_short_ping(struct buf *out)
{
	h2_put_frame(out, NGHTTP2_PING, 0, 0, text_of("1234567"));
}

static void flood_even_stream(struct buf *out)
{
	h2_put_get(out, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 4);
}

static void flood_push(struct buf *out)
{
	h2_put_frame(out, NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, 1, text_of("\x01\x01\x01\x02\x82"));
}

static void flood_idle_data(struct buf *out)
{
	h2_put_frame(out, NGHTTP2_DATA, 0, 9, text_of("x"));
}

static void flood_closed_data(struct buf *out)
{
	h2_put_frame(out, NGHTTP2_DATA, 0, 1, text_of("x"));
}

static void flood_idle_reset(struct buf *out)
{
	h2_put_u32_frame(out, NGHTTP2_RST_STREAM, 9, NGHTTP2_CANCEL);
}

static void flood_lone_continuation(struct buf *out)
{
	h2_put_frame(out, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, text_of("\x82"));
}

static void flood_bad_table(struct buf *out)
{
	h2_put_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 3, text_of("\xff\xff\xff\xff"));
}

static void flood_unasked_ack(struct buf *out)
{
	h2_put_frame(out, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, (gh_bytes){NULL, 0});
	h2_put_frame(out, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, (gh_bytes){NULL, 0});
}

static void flood_many_settings(struct buf *out)
{
	static uint8_t entries[33 * 6];
	h2_put_frame(out, NGHTTP2_SETTINGS, 0, 0, (gh_bytes){entries, sizeof entries});
}

Test(h2_flood, threat_15_what_breaks_the_protocol_ends_the_connection_alone)
{
	flood_is("WINDOW_UPDATE 0", flood_zero_window, "protocol_error", NGHTTP2_PROTOCOL_ERROR);
	flood_is(
		"WINDOW_UPDATE 0 of a stream", flood_zero_window_of_a_stream, "protocol_error", NGHTTP2_PROTOCOL_ERROR);
	flood_is("window overflow", flood_connection_overflow, "flow_control", NGHTTP2_FLOW_CONTROL_ERROR);
	flood_is("a stream that depends on itself", flood_own_dependency, "protocol_error", NGHTTP2_PROTOCOL_ERROR);
	flood_is("a frame too large", flood_large_frame, "frame_size", NGHTTP2_FRAME_SIZE_ERROR);
	flood_is("a short PING", flood_short_ping, "frame_size", NGHTTP2_FRAME_SIZE_ERROR);
	flood_is("an even stream", flood_even_stream, "protocol_error", NGHTTP2_PROTOCOL_ERROR);
	flood_is("PUSH_PROMISE", flood_push, "protocol_error", NGHTTP2_PROTOCOL_ERROR);
	flood_is("DATA of an idle stream", flood_idle_data, "protocol_error", NGHTTP2_PROTOCOL_ERROR);
	flood_is("DATA after the end", flood_closed_data, "stream_closed", NGHTTP2_STREAM_CLOSED);
	flood_is("RST_STREAM of an idle stream", flood_idle_reset, "protocol_error", NGHTTP2_PROTOCOL_ERROR);
	flood_is("CONTINUATION alone", flood_lone_continuation, "protocol_error", NGHTTP2_PROTOCOL_ERROR);
	flood_is("a bad index", flood_bad_table, "compression", NGHTTP2_COMPRESSION_ERROR);
	flood_is("an acknowledgement of nothing", flood_unasked_ack, "protocol_error", NGHTTP2_PROTOCOL_ERROR);
	flood_is("too many settings", flood_many_settings, "too_much", NGHTTP2_ENHANCE_YOUR_CALM);
}

Test(h2_flood, what_is_not_http_2_ends_at_its_first_bytes)
{
	h2_pair_send(&pair, text_of("GET / HTTP/1.1\r\nHost: hub\r\n\r\n"));
	cr_assert(flood_ended("preface", NGHTTP2_PROTOCOL_ERROR), "%s", last_line);
	flood_again();
	h2_pair_send(&pair, text_of(NGHTTP2_CLIENT_MAGIC "\x01\x01\x01\x07\x01\x01\x01\x01\x01"));
	cr_assert(flood_ended("protocol_error", NGHTTP2_PROTOCOL_ERROR), "%s", last_line);
}
