/* An HTTP/2 connection: requests and their answers, back-pressure, time, and the ways it ends. */
#include "tests/suite.h"

#include "src/base/text.h"
#include "tests/unit/h2_pair.h"
#include "transports/https/h2_engine.h"

#include <stdio.h>

static gh_worker worker;
static struct h2_pair pair;

static void h2_test_begin(void)
{
	core_double_init(&worker);
	rest_double_init();
	worker.wall_ms = 784111777000;
	h2_pair_init(&pair, &worker);
}

static void h2_test_finish(void)
{
	h2_pair_done(&pair);
	rest_double_done();
	core_double_done(&worker);
	suite_leak_check();
}

TestSuite(h2_engine, .init = h2_test_begin, .fini = h2_test_finish, .timeout = 60);

static bool h2_ended(const char *why)
{
	return pair.finished && h2_why(pair.engine) && strcmp(h2_why(pair.engine), why) == 0;
}

static gh_bytes h2_zeros(size_t len)
{
	static uint8_t zeros[2 << 20];
	cr_assert(len <= sizeof zeros);
	return (gh_bytes){zeros, len};
}

static size_t h2_get(void)
{
	return h2_pair_request(&pair, "GET", "/devices/d1", NULL, NULL);
}

static size_t h2_post(const char *body)
{
	return h2_pair_request(&pair, "POST", "/devices/d1/messages/events", body, NULL);
}

static bool h2_body_is(size_t number, const char *body)
{
	return text_equal(buf_bytes(&pair.replies[number].body), text_of(body));
}

/* ---- requests and answers ---- */

Test(h2_engine, settings_are_said_before_the_client_says_anything)
{
	cr_assert(h2_pair_got(&pair, NGHTTP2_SETTINGS) == 1 && h2_pair_got(&pair, NGHTTP2_WINDOW_UPDATE) == 1);
	h2_pair_connect(&pair, 0);
	const gh_limits *limits = &worker.limits;
	static const struct {
		nghttp2_settings_id id;
		uint32_t value;
	} rows[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 100},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 32768},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 262144 + 65536},
		{NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 4096},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		cr_assert(nghttp2_session_get_remote_settings(pair.client, rows[i].id) == rows[i].value, "%d",
			(int)rows[i].id);
	cr_assert(nghttp2_session_get_remote_window_size(pair.client) == (int32_t)limits->http2_window_bytes_max);
}

Test(h2_engine, a_request_arrives_whole_and_its_answer_leaves_whole)
{
	rest_double.answer = (struct rest_answer){
		.status = 200,
		.fields = {{text_of("content-type"), text_of("text/plain")}, {text_of("x-test"), text_of("a b")}},
		.field_count = 2,
		.body = text_of("hello"),
	};
	h2_pair_connect(&pair, 0);
	size_t n = h2_pair_request(&pair, "POST", "/devices/d1/messages/events?api-version=2021-04-12", "body",
		"authorization", "SharedAccessSignature x", "user-agent", "test", NULL);
	const struct rest_double_request *seen = &rest_double.requests[0];
	cr_assert_str_eq(seen->method, "POST");
	cr_assert_str_eq(seen->target, "/devices/d1/messages/events?api-version=2021-04-12");
	cr_assert_str_eq(seen->host, "hub", ":authority is the host");
	cr_assert_str_eq(seen->token, "SharedAccessSignature x");
	cr_assert(seen->field_count == 3, "host, authorization, user-agent: %zu", seen->field_count);
	cr_assert(text_equal(buf_bytes(&seen->body), text_of("body")));
	const struct h2_reply *reply = &pair.replies[n];
	cr_assert(reply->status == 200 && reply->ended && reply->closed && !reply->reset);
	cr_assert_str_eq(reply->date, "Sun, 06 Nov 1994 08:49:37 GMT");
	cr_assert_str_eq(reply->length, "5");
	cr_assert_str_eq(reply->field, "a b");
	cr_assert(h2_body_is(n, "hello"));
	cr_assert(rest_double.alive == 0 && !pair.finished);
}

Test(h2_engine, date_is_that_of_the_answer)
{
	h2_pair_connect(&pair, 0);
	size_t first = h2_get();
	worker.wall_ms += 999;
	size_t second = h2_get();
	worker.wall_ms += 1;
	size_t third = h2_get();
	cr_assert_str_eq(pair.replies[first].date, "Sun, 06 Nov 1994 08:49:37 GMT");
	cr_assert_str_eq(pair.replies[second].date, "Sun, 06 Nov 1994 08:49:37 GMT");
	cr_assert_str_eq(pair.replies[third].date, "Sun, 06 Nov 1994 08:49:38 GMT");
}

Test(h2_engine, content_length_says_what_a_body_has_or_would_have)
{
	static const struct {
		const char *method;
		uint16_t status;
		const char *body, *length, *got;
	} rows[] = {
		{"GET", 200, "12345678901", "11", "12345678901"},
		{"GET", 200, "", "0", ""},
		{"GET", 204, "", "", ""},
		{"HEAD", 200, "12345678901", "11", ""},
		{"HEAD", 404, "1", "1", ""},
		{"DELETE", 503, "x", "1", "x"},
	};
	h2_pair_connect(&pair, 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		rest_double.answer = (struct rest_answer){.status = rows[i].status, .body = text_of(rows[i].body)};
		size_t n = h2_pair_request(&pair, rows[i].method, "/x", NULL, NULL);
		cr_assert(pair.replies[n].status == rows[i].status && pair.replies[n].closed, "%zu", i);
		cr_assert_str_eq(pair.replies[n].length, rows[i].length, "%s %u", rows[i].method, rows[i].status);
		cr_assert(h2_body_is(n, rows[i].got), "%s %u", rows[i].method, rows[i].status);
	}
}

Test(h2_engine, requests_are_answered_in_any_order)
{
	rest_double.run = REST_WAIT;
	h2_pair_connect(&pair, 0);
	for (size_t i = 0; i < 100; i++)
		cr_assert(h2_post("x") == i);
	cr_assert(rest_double.run_count == 100 && rest_double.alive == 100);
	for (size_t i = 0; i < 100; i++) {
		char body[16];
		size_t n = (i * 37) % 100;
		snprintf(body, sizeof body, "%zu", n);
		rest_double_answered(rest_double.requests[n].exchange, 200, text_of(body));
		h2_pair_run(&pair);
		cr_assert(pair.replies[n].closed && h2_body_is(n, body), "%zu", n);
		cr_assert(rest_double.alive == 99 - i);
	}
}

Test(h2_engine, answers_of_one_moment_leave_together)
{
	rest_double.run = REST_WAIT;
	h2_pair_connect(&pair, 0);
	for (size_t i = 0; i < 20; i++)
		h2_post("x");
	while (rest_double_waiting(0))
		rest_double_answered(rest_double_waiting(0), 204, (gh_bytes){NULL, 0});
	size_t before = pair.got.len;
	pair.engine->ops->tick(pair.engine, pair.now_ms);
	gh_bytes out = pair.engine->ops->output(pair.engine);
	pair.got.len = 0;
	buf_append(&pair.got, out.data, out.len);
	cr_assert(h2_pair_got(&pair, NGHTTP2_HEADERS) == 20, "%zu of them in the first look", before);
	h2_pair_run(&pair);
}

Test(h2_engine, wherever_the_bytes_are_cut_the_same_is_heard_and_said)
{
	static const size_t cuts[] = {1, 2, 3, 5, 8, 9, 10, 13, 64, 1000, 0};
	struct buf first = {0};
	h2_pair_done(&pair);
	for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
		rest_double.answer = (struct rest_answer){.status = 200, .body = text_of("yes")};
		h2_pair_init(&pair, &worker);
		pair.cut = cuts[i];
		h2_pair_connect(&pair, 0);
		h2_get();
		h2_post("a body");
		h2_pair_begin(&pair, h2_zeros(70000), 70000, "content-length", "70000", NULL);
		cr_assert(pair.replies[2].closed && pair.replies[2].status == 200, "cut %zu", cuts[i]);
		if (i == 0)
			buf_append(&first, pair.got.data, pair.got.len);
		cr_assert(text_equal(buf_bytes(&first), buf_bytes(&pair.got)), "cut %zu", cuts[i]);
		h2_pair_done(&pair);
	}
	buf_done(&first);
}

Test(h2_engine, a_continued_head_may_come_byte_by_byte)
{
	struct buf bytes = {0}, block = {0};
	h2_put_preface(&bytes);
	buf_append(&block, "\x82\x87\x84\x01\x03hub", 8);
	for (size_t i = 0; i < 40; i++)
		h2_put_field(&block, "x-filler", text_of("some value"));
	for (size_t i = 0; i < 9; i++) {
		size_t from = block.len * i / 9, to = block.len * (i + 1) / 9;
		h2_put_frame(&bytes, i ? NGHTTP2_CONTINUATION : NGHTTP2_HEADERS,
			(uint8_t)((i ? 0 : NGHTTP2_FLAG_END_STREAM) | (i == 8 ? NGHTTP2_FLAG_END_HEADERS : 0)), 1,
			(gh_bytes){block.data + from, to - from});
	}
	pair.cut = 1;
	h2_pair_send(&pair, buf_bytes(&bytes));
	cr_assert(rest_double.run_count == 1 && rest_double.requests[0].field_count == 41 && !pair.finished);
	buf_done(&bytes);
	buf_done(&block);
}

/* ---- bodies ---- */

Test(h2_engine, a_body_of_one_frame_costs_no_memory)
{
	worker.limits.http_receiving_bytes_max = 0;
	h2_pair_connect(&pair, 0);
	size_t n = h2_post("a short body");
	cr_assert(pair.replies[n].status == 204);
	cr_assert(text_equal(buf_bytes(&rest_double.requests[0].body), text_of("a short body")));
}

Test(h2_engine, a_body_in_pieces_is_counted_until_it_is_served)
{
	h2_pair_connect(&pair, 0);
	size_t n = h2_pair_begin(&pair, text_of("abcdefghij"), 4, NULL);
	cr_assert(worker.reserved == 4 && rest_double.run_count == 0);
	h2_pair_more(&pair, n, 3);
	cr_assert(worker.reserved == 7 && rest_double.run_count == 0);
	h2_pair_more(&pair, n, 3);
	cr_assert(worker.reserved == 0 && rest_double.run_count == 1 && pair.replies[n].closed);
	cr_assert(text_equal(buf_bytes(&rest_double.requests[0].body), text_of("abcdefghij")));
}

Test(h2_engine, a_body_that_is_dropped_is_not_counted_any_more)
{
	h2_pair_connect(&pair, 0);
	size_t n = h2_pair_begin(&pair, text_of("abcdefghij"), 4, NULL);
	cr_assert(worker.reserved == 4);
	h2_pair_reset(&pair, n);
	cr_assert(worker.reserved == 0 && rest_double.alive == 0);
}

Test(h2_engine, a_body_announced_too_large_is_refused_before_it_comes)
{
	rest_double.body_max = 1000;
	h2_pair_connect(&pair, 0);
	size_t n = h2_pair_begin(&pair, h2_zeros(1001), 0, "content-length", "1001", NULL);
	cr_assert(pair.replies[n].status == 413 && pair.replies[n].ended);
	cr_assert_str_eq(rest_double.refused_code, "body_too_large");
	cr_assert(!pair.replies[n].reset && !pair.replies[n].closed);
	h2_pair_more(&pair, n, 1001);
	cr_assert(pair.replies[n].closed && !pair.replies[n].reset, "what came after the answer was passed over");
	cr_assert(worker.reserved == 0 && rest_double.run_count == 0);
	cr_assert(!pair.finished && pair.replies[h2_get()].status == 204, "the connection goes on");
}

Test(h2_engine, a_refused_request_whose_body_never_ends_is_reset_in_time)
{
	rest_double.body_max = 10;
	h2_pair_connect(&pair, 0);
	size_t n = h2_pair_begin(&pair, h2_zeros(100), 11, NULL);
	cr_assert(pair.replies[n].status == 413 && !pair.replies[n].closed);
	h2_pair_wait(&pair, worker.limits.write_stall_ms_max - 1);
	cr_assert(!pair.replies[n].closed);
	h2_pair_wait(&pair, 1);
	cr_assert(pair.replies[n].reset && rest_double.alive == 0 && !pair.finished);
}

Test(h2_engine, a_body_is_passed_over_only_so_far)
{
	rest_double.body_max = 10;
	worker.limits.http_service_body_bytes_max = 1000;
	h2_pair_connect(&pair, 0);
	size_t n = h2_pair_begin(&pair, h2_zeros(5000), 11, NULL);
	cr_assert(pair.replies[n].status == 413);
	h2_pair_more(&pair, n, 1000);
	cr_assert(!pair.replies[n].reset);
	h2_pair_more(&pair, n, 1);
	cr_assert(pair.replies[n].reset && pair.replies[n].code == NGHTTP2_NO_ERROR);
	cr_assert(!pair.finished && pair.replies[h2_get()].status == 204, "the connection goes on");
}

Test(h2_engine, a_body_that_grows_too_large_is_refused_as_soon_as_it_is)
{
	rest_double.body_max = 1000;
	h2_pair_connect(&pair, 0);
	size_t n = h2_pair_begin(&pair, h2_zeros(2000), 1000, NULL);
	cr_assert(pair.replies[n].status == 0 && worker.reserved == 1000);
	h2_pair_more(&pair, n, 1);
	cr_assert(pair.replies[n].status == 413 && pair.replies[n].code == NGHTTP2_NO_ERROR);
	cr_assert(worker.reserved == 0 && rest_double.run_count == 0 && !pair.finished);
	n = h2_pair_begin(&pair, h2_zeros(1000), 1000, NULL);
	cr_assert(pair.replies[n].status == 204, "the limit itself is allowed");
}

Test(h2_engine, what_is_refused_early_is_passed_over_when_it_comes_anyway)
{
	h2_pair_connect(&pair, 0);
	rest_double.begin = REST_ANSWERED;
	rest_double.answer = (struct rest_answer){.status = 401, .body = text_of("no")};
	size_t n = h2_post("a body that came with its head");
	cr_assert(pair.replies[n].status == 401 && pair.replies[n].ended && !pair.replies[n].reset);
	cr_assert(rest_double.run_count == 0 && worker.reserved == 0);
}

Test(h2_engine, no_room_for_bodies_refuses_the_request_alone)
{
	worker.limits.http_receiving_bytes_max = 10;
	h2_pair_connect(&pair, 0);
	size_t first = h2_pair_begin(&pair, h2_zeros(100), 8, NULL);
	size_t second = h2_pair_begin(&pair, h2_zeros(100), 8, NULL);
	cr_assert(pair.replies[second].status == 503 && pair.replies[first].status == 0);
	cr_assert_str_eq(rest_double.refused_code, "receiving_full");
	cr_assert(worker.reserved == 8);
	h2_pair_more(&pair, first, 2);
	cr_assert(worker.reserved == 10 && !pair.finished);
}

Test(h2_engine, who_asks_whether_to_go_on_is_told)
{
	h2_pair_connect(&pair, 0);
	size_t n = h2_pair_begin(&pair, text_of("body"), 0, "expect", "100-Continue", NULL);
	cr_assert(pair.replies[n].continued && !pair.replies[n].ended);
	h2_pair_more(&pair, n, 4);
	cr_assert(pair.replies[n].status == 204 && pair.replies[n].closed);
	rest_double.body_max = 3;
	n = h2_pair_begin(&pair, text_of("body"), 0, "expect", "100-continue", "content-length", "4", NULL);
	cr_assert(!pair.replies[n].continued && pair.replies[n].status == 413);
}

Test(h2_engine, trailers_end_a_request_and_say_nothing)
{
	struct buf bytes = {0}, block = {0};
	h2_put_preface(&bytes);
	h2_put_post(&bytes, NGHTTP2_FLAG_END_HEADERS, 1);
	h2_put_frame(&bytes, NGHTTP2_DATA, 0, 1, text_of("body"));
	h2_put_field(&block, "x-checksum", text_of("1"));
	h2_put_frame(&bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, buf_bytes(&block));
	h2_pair_send(&pair, buf_bytes(&bytes));
	cr_assert(rest_double.run_count == 1 && rest_double.requests[0].field_count == 1 && worker.reserved == 0);
	cr_assert(text_equal(buf_bytes(&rest_double.requests[0].body), text_of("body")));
	buf_clear(&block);
	for (size_t i = 0; i < 5; i++)
		h2_put_field(&block, "x-filler", h2_zeros(0));
	for (size_t i = 0; i < 5; i++)
		h2_put_field(
			&block, "x-filler", text_of("............................................................"));
	worker.limits.http_head_bytes_max = 200;
	buf_clear(&bytes);
	h2_put_post(&bytes, NGHTTP2_FLAG_END_HEADERS, 3);
	h2_put_frame(&bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 3, buf_bytes(&block));
	h2_pair_send(&pair, buf_bytes(&bytes));
	cr_assert(rest_double.run_count == 1 && rest_double.refuse_count == 1 && !pair.finished, "too many of them");
	buf_done(&bytes);
	buf_done(&block);
}

Test(h2_engine, a_length_that_lies_resets_its_request_alone)
{
	static const struct {
		const char *length;
		const char *body;
	} rows[] = {{"5", "body"}, {"3", "body"}, {"1", ""}, {"0", "b"}};
	h2_pair_connect(&pair, 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t n = h2_pair_request(&pair, "POST", "/x", rows[i].body, "content-length", rows[i].length, NULL);
		cr_assert(pair.replies[n].reset && pair.replies[n].code == NGHTTP2_PROTOCOL_ERROR, "%zu", i);
	}
	cr_assert(rest_double.run_count == 0 && rest_double.alive == 0 && worker.reserved == 0);
	cr_assert(pair.replies[h2_post("x")].status == 204);
}

/* ---- heads ---- */

Test(h2_engine, threat_12_heads_are_limited_in_number_size_and_sum)
{
	static char long_value[40000], long_path[9000];
	memset(long_value, 'v', sizeof long_value - 1);
	memset(long_path, '/', sizeof long_path - 1);
#define V10                                                                                                            \
	"x-a", "1", "x-a", "1", "x-a", "1", "x-a", "1", "x-a", "1", "x-a", "1", "x-a", "1", "x-a", "1", "x-a", "1",    \
		"x-a", "1"
#define V100 V10, V10, V10, V10, V10, V10, V10, V10, V10, V10
	h2_pair_connect(&pair, 0);
	size_t n = h2_pair_request(&pair, "GET", "/", NULL, V100, V100, V10, V10, V10, V10, V10, V10, V10, V10, V10,
		"x", "1", "x", "1", "x", "1", "x", "1", "x", "1", "x", "1", NULL);
	cr_assert(pair.replies[n].status == 204, "300 with the pseudo-header fields: %d", pair.replies[n].status);
	n = h2_pair_request(&pair, "GET", "/", NULL, V100, V100, V100, NULL);
	cr_assert(pair.replies[n].status == 431);
	cr_assert_str_eq(rest_double.refused_code, "fields");
	long_value[16384 - 3] = '\0';
	n = h2_pair_request(&pair, "GET", "/", NULL, "x-a", long_value, NULL);
	cr_assert(pair.replies[n].status == 204);
	long_value[16384 - 3] = 'v', long_value[16384 - 2] = '\0';
	n = h2_pair_request(&pair, "GET", "/", NULL, "x-a", long_value, NULL);
	cr_assert(pair.replies[n].status == 431);
	cr_assert_str_eq(rest_double.refused_code, "field_too_large");
	long_value[16000] = '\0';
	n = h2_pair_request(&pair, "GET", "/", NULL, "x-a", long_value, "x-b", long_value, "x-c", long_value, NULL);
	cr_assert(pair.replies[n].status == 431);
	cr_assert_str_eq(rest_double.refused_code, "head_too_large");
	long_path[8192] = '\0';
	n = h2_pair_request(&pair, "GET", long_path, NULL, NULL);
	cr_assert(pair.replies[n].status == 204);
	long_path[8192] = '/', long_path[8193] = '\0';
	n = h2_pair_request(&pair, "GET", long_path, NULL, NULL);
	cr_assert(pair.replies[n].status == 414);
	cr_assert_str_eq(rest_double.refused_code, "target_too_long");
	n = h2_pair_request(&pair, "HEAD", long_path, NULL, NULL);
	cr_assert(pair.replies[n].status == 414 && h2_body_is(n, "") && pair.replies[n].closed);
	cr_assert(!pair.finished && rest_double.begin_count == 3, "the connection goes on");
}

Test(h2_engine, a_large_head_reaches_the_routes_as_it_was_sent)
{
	static char value[8001];
	memset(value, 'v', sizeof value - 1);
	h2_pair_connect(&pair, 0);
	size_t n = h2_pair_request(&pair, "POST", "/devices/d1", "body", "x-a", value, "x-b", value, "x-c", value,
		"authorization", "token", NULL);
	cr_assert(pair.replies[n].status == 204 && rest_double.requests[0].field_count == 5);
	cr_assert_str_eq(rest_double.requests[0].token, "token");
	cr_assert_str_eq(rest_double.requests[0].target, "/devices/d1");
	cr_assert_str_eq(rest_double.requests[0].host, "hub");
}

static void h2_head_is_answered(const char *what, const char *block, int resets, size_t refusals)
{
	struct buf bytes = {0};
	size_t refused = rest_double.refuse_count;
	h2_pair_done(&pair);
	h2_pair_init(&pair, &worker);
	h2_put_preface(&bytes);
	h2_put_frame(&bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, text_of(block));
	h2_pair_send(&pair, buf_bytes(&bytes));
	cr_assert((int)h2_pair_got(&pair, NGHTTP2_RST_STREAM) == resets, "%s", what);
	cr_assert(rest_double.refuse_count - refused == refusals && !pair.finished, "%s", what);
	buf_done(&bytes);
}

Test(h2_engine, pseudo_header_fields_are_checked)
{
	/* 82 GET, 83 POST, 84 path /, 87 https, 86 http; 01 :authority, 02 :method, 04 :path, 06 :scheme, 26 host */
	h2_head_is_answered("good", "\x82\x87\x84\x01\x03hub", 0, 0);
	h2_head_is_answered("http as scheme, which some proxies keep", "\x82\x86\x84\x01\x03hub", 0, 0);
	h2_head_is_answered("host instead of :authority", "\x82\x87\x84\x0f\x17\x03hub", 0, 0);
	h2_head_is_answered("host as :authority", "\x82\x87\x84\x01\x03hub\x0f\x17\x03Hub", 0, 0);
	cr_assert(rest_double.begin_count == 4);
	h2_head_is_answered("host is not :authority", "\x82\x87\x84\x01\x03hub\x0f\x17\x03hug", 0, 1);
	cr_assert_str_eq(rest_double.refused_code, "host");
	h2_head_is_answered("another scheme",
		"\x82\x06\x03"
		"ftp\x84\x01\x03hub",
		0, 1);
	cr_assert_str_eq(rest_double.refused_code, "scheme");
	h2_head_is_answered("CONNECT",
		"\x02\x07"
		"CONNECT\x01\x03hub",
		0, 1);
	cr_assert_str_eq(rest_double.refused_code, "connect");
	h2_head_is_answered("no path", "\x82\x87\x01\x03hub", 1, 0);
	h2_head_is_answered("no method", "\x87\x84\x01\x03hub", 1, 0);
	h2_head_is_answered("no scheme", "\x82\x84\x01\x03hub", 1, 0);
	h2_head_is_answered("no host at all", "\x82\x87\x84", 1, 0);
	h2_head_is_answered("two methods", "\x82\x83\x87\x84\x01\x03hub", 1, 0);
	h2_head_is_answered("path without a slash", "\x82\x87\x04\x01x\x01\x03hub", 1, 0);
	h2_head_is_answered("pseudo-header field behind another", "\x82\x87\x84\x0f\x17\x03hub\x01\x03hub", 1, 0);
	h2_head_is_answered("unknown pseudo-header field", "\x82\x87\x84\x01\x03hub\x10\x02:x\x01y", 1, 0);
	h2_head_is_answered("upper case", "\x82\x87\x84\x01\x03hub\x10\x01X\x01y", 1, 0);
	h2_head_is_answered("connection-specific",
		"\x82\x87\x84\x01\x03hub\x10\x0a"
		"connection\x05"
		"close",
		1, 0);
	h2_head_is_answered("CR in a value",
		"\x82\x87\x84\x01\x03hub\x10\x01x\x03"
		"a\rb",
		1, 0);
	h2_head_is_answered("content-length of no digits", "\x82\x87\x84\x01\x03hub\x0f\x0d\x02+1", 1, 0);
	cr_assert(rest_double.begin_count == 4);
}

Test(h2_engine, a_websocket_is_426_and_sent_to_http_1_1)
{
	h2_pair_connect(&pair, 0);
	rest_double.begin = REST_UPGRADE;
	size_t bare = h2_pair_request(&pair, "GET", "/$iothub/websocket", NULL, NULL);
	size_t bodied = h2_pair_request(&pair, "GET", "/$iothub/websocket", "body", NULL);
	h2_pair_run(&pair);
	cr_assert(pair.replies[bare].status == 426 && pair.replies[bodied].status == 426);
	cr_assert(h2_body_is(bare, "websocket_http2") && pair.replies[bodied].ended && rest_double.run_count == 0);
	rest_double.begin = REST_BODY;
	size_t next = h2_get();
	h2_pair_run(&pair);
	cr_assert(pair.replies[next].status == 204 && !pair.finished);
}

/* ---- back-pressure ---- */

Test(h2_engine, while_there_is_no_room_no_window_is_given_back)
{
	h2_pair_connect(&pair, 0);
	for (size_t i = 0; i < 8; i++)
		h2_pair_begin(&pair, h2_zeros(200000), 200000, NULL);
	cr_assert(rest_double.run_count == 8, "all of it passes while there is room");
	rest_double.run = REST_BLOCKED;
	h2_post("blocked");
	int32_t connection = nghttp2_session_get_remote_window_size(pair.client);
	size_t n = h2_pair_begin(&pair, h2_zeros(200000), 199999, NULL);
	cr_assert(nghttp2_session_get_remote_window_size(pair.client) == connection - 199999);
	int32_t stream = nghttp2_session_get_stream_remote_window_size(pair.client, h2_pair_id(n));
	cr_assert(stream == 262144 + 65536 - 199999);
	for (size_t i = 0; i < 5; i++)
		h2_pair_begin(&pair, h2_zeros(200000), 200000, NULL);
	cr_assert(pair.held.len == 0 && nghttp2_session_get_remote_window_size(pair.client) == 0);
	cr_assert(worker.reserved <= worker.limits.http2_window_bytes_max, "%zu", worker.reserved);
	rest_double.run = REST_ANSWERED;
	rest_double_writable();
	h2_pair_run(&pair);
	cr_assert(nghttp2_session_get_remote_window_size(pair.client) >=
		  (int32_t)worker.limits.http2_window_bytes_max / 2);
	cr_assert(nghttp2_session_get_stream_remote_window_size(pair.client, h2_pair_id(n)) > stream);
	h2_pair_more(&pair, n, 1);
	cr_assert(rest_double.alive == 0 && worker.reserved == 0);
	for (size_t i = 8; i < 15; i++)
		cr_assert(pair.replies[i].status == 204, "%zu", i);
}

Test(h2_engine, first_come_first_served_when_there_is_room_again)
{
	h2_pair_connect(&pair, 0);
	rest_double.run = REST_BLOCKED;
	h2_post("0");
	rest_double.run = REST_WAIT;
	for (size_t i = 1; i < 6; i++)
		h2_post("x");
	cr_assert(rest_double.run_count == 1, "the others stand behind it");
	rest_double_writable();
	h2_pair_run(&pair);
	cr_assert(rest_double.run_count == 7);
	for (size_t i = 0; i < 6; i++)
		cr_assert(rest_double_waiting(i) == rest_double.requests[i].exchange, "%zu", i);
	cr_assert(worker.reserved == 0);
}

Test(h2_engine, room_for_one_serves_one)
{
	h2_pair_connect(&pair, 0);
	rest_double.run = REST_BLOCKED;
	for (size_t i = 0; i < 3; i++)
		h2_post("x");
	cr_assert(rest_double.run_count == 1 && worker.reserved == 3);
	rest_double_writable();
	h2_pair_run(&pair);
	cr_assert(rest_double.requests[0].runs == 2 && rest_double.requests[1].runs == 0);
}

Test(h2_engine, who_stood_in_front_and_left_makes_place)
{
	h2_pair_connect(&pair, 0);
	rest_double.run = REST_BLOCKED;
	for (size_t i = 0; i < 3; i++)
		h2_post("x");
	rest_double.run = REST_ANSWERED;
	h2_pair_reset(&pair, 0);
	cr_assert(pair.replies[1].status == 204 && pair.replies[2].status == 204 && rest_double.alive == 0);
}

Test(h2_engine, who_waited_too_long_for_room_is_answered_and_makes_place)
{
	h2_pair_connect(&pair, 0);
	rest_double.wait_ms_max = 10000;
	rest_double.run = REST_BLOCKED;
	h2_post("0");
	h2_pair_wait(&pair, 1);
	h2_post("1");
	cr_assert(pair.deadline_ms == 11000);
	h2_pair_wait(&pair, 9998);
	cr_assert(pair.replies[0].status == 0);
	rest_double.run = REST_ANSWERED;
	h2_pair_wait(&pair, 1);
	cr_assert(pair.replies[0].status == 503 && pair.replies[1].status == 204 && worker.reserved == 0);
}

Test(h2_engine, those_behind_the_first_wait_no_longer_than_it_did)
{
	h2_pair_connect(&pair, 0);
	rest_double.wait_ms_max = worker.limits.record_ms_max;
	rest_double.run = REST_BLOCKED;
	for (size_t i = 0; i < 50; i++)
		h2_post("x");
	h2_pair_wait(&pair, worker.limits.record_ms_max - 1);
	cr_assert(rest_double.alive == 50);
	h2_pair_wait(&pair, 1);
	cr_assert(rest_double.alive == 0 && worker.reserved == 0 && rest_double.run_count <= 2);
	for (size_t i = 0; i < 50; i++)
		cr_assert(pair.replies[i].status == 503, "%zu", i);
}

Test(h2_engine, a_blocked_body_has_to_find_memory)
{
	h2_pair_connect(&pair, 0);
	worker.limits.http_receiving_bytes_max = 5;
	rest_double.run = REST_BLOCKED;
	h2_post("12345");
	size_t n = h2_post("6");
	cr_assert(pair.replies[n].status == 503 && worker.reserved == 5);
	h2_pair_reset(&pair, 0);
	cr_assert(worker.reserved == 0);
}

Test(h2_engine, a_client_that_fetches_nothing_is_not_heard_any_more)
{
	worker.limits.http_output_bytes_max = 65536;
	rest_double.answer = (struct rest_answer){.status = 200, .body = h2_zeros(10000)};
	h2_pair_connect(&pair, 0);
	nghttp2_submit_settings(pair.client, NGHTTP2_FLAG_NONE,
		(nghttp2_settings_entry[]){{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 30}}, 1);
	nghttp2_submit_window_update(pair.client, NGHTTP2_FLAG_NONE, 0, 1 << 30);
	h2_pair_run(&pair);
	pair.reading = false;
	for (size_t i = 0; i < 30; i++)
		h2_get();
	cr_assert(pair.stopped && pair.held.len > 0);
	size_t waits = pair.engine->ops->output(pair.engine).len;
	cr_assert(waits >= 65536 && waits < 65536 + 16393, "%zu", waits);
	cr_assert(rest_double.run_count < 30 && rest_double.alive <= 4, "%zu %zu", rest_double.run_count,
		rest_double.alive);
	pair.reading = true;
	h2_pair_run(&pair);
	for (size_t i = 0; i < 30; i++)
		cr_assert(pair.replies[i].status == 200 && pair.replies[i].body.len == 10000, "%zu", i);
	cr_assert(pair.held.len == 0 && rest_double.alive == 0);
}

Test(h2_engine, answers_leave_as_the_client_gives_window)
{
	rest_double.answer = (struct rest_answer){.status = 200, .body = h2_zeros(1000)};
	h2_pair_connect(&pair, 100);
	size_t n = h2_get();
	for (size_t got = 100; got < 1000; got += 100) {
		cr_assert(pair.replies[n].body.len == got && !pair.replies[n].ended && rest_double.alive == 1);
		nghttp2_session_consume_stream(pair.client, h2_pair_id(n), 100);
		h2_pair_run(&pair);
	}
	cr_assert(pair.replies[n].body.len == 1000 && pair.replies[n].ended && rest_double.alive == 0);
}

Test(h2_engine, a_large_answer_is_read_in_small_steps)
{
	rest_double.answer = (struct rest_answer){.status = 200, .body = h2_zeros(2 << 20)};
	h2_pair_connect(&pair, 0);
	size_t n = h2_get();
	cr_assert(pair.replies[n].body.len == 2 << 20 && pair.replies[n].closed && !pair.finished);
}

/* ---- time ---- */

Test(h2_engine, threat_11_a_first_request_has_to_come_in_time)
{
	struct buf bytes = {0};
	h2_put_preface(&bytes);
	h2_pair_wait(&pair, 29000);
	cr_assert(pair.deadline_ms == 1000 + worker.limits.http_head_ms_max);
	h2_pair_send(&pair, buf_bytes(&bytes));
	h2_pair_wait(&pair, 999);
	cr_assert(!pair.finished);
	h2_pair_wait(&pair, 1);
	cr_assert(h2_ended("head_late") && h2_pair_got(&pair, NGHTTP2_GOAWAY) == 1);
	buf_done(&bytes);
}

Test(h2_engine, threat_11_signs_of_life_are_no_request)
{
	h2_pair_connect(&pair, 0);
	for (size_t i = 0; i < 29; i++) {
		h2_pair_wait(&pair, 1000);
		nghttp2_submit_ping(pair.client, NGHTTP2_FLAG_NONE, NULL);
		h2_pair_run(&pair);
	}
	h2_pair_wait(&pair, 1000);
	cr_assert(h2_ended("head_late") && pair.goaway && pair.goaway_code == NGHTTP2_NO_ERROR);
}

Test(h2_engine, a_connection_without_requests_ends)
{
	h2_pair_connect(&pair, 0);
	h2_get();
	h2_pair_wait(&pair, 119999);
	cr_assert(!pair.finished);
	h2_get();
	h2_pair_wait(&pair, 119999);
	nghttp2_submit_ping(pair.client, NGHTTP2_FLAG_NONE, NULL);
	h2_pair_run(&pair);
	cr_assert(!pair.finished);
	h2_pair_wait(&pair, 1);
	cr_assert(h2_ended("idle") && pair.goaway && pair.goaway_code == NGHTTP2_NO_ERROR && pair.goaway_last == 3);
}

Test(h2_engine, a_request_under_way_keeps_a_connection)
{
	rest_double.run = REST_WAIT;
	h2_pair_connect(&pair, 0);
	h2_post("x");
	cr_assert(pair.deadline_ms == 0);
	h2_pair_wait(&pair, 1000000);
	rest_double_answered(rest_double_waiting(0), 204, (gh_bytes){NULL, 0});
	h2_pair_run(&pair);
	cr_assert(!pair.finished && pair.replies[0].status == 204);
	cr_assert(pair.deadline_ms <= pair.now_ms + worker.limits.http_idle_ms_max && pair.deadline_ms > 0);
}

Test(h2_engine, threat_11_a_head_has_to_come_in_time)
{
	struct buf bytes = {0};
	h2_put_preface(&bytes);
	h2_put_get(&bytes, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1);
	h2_put_get(&bytes, NGHTTP2_FLAG_END_STREAM, 3);
	h2_pair_send(&pair, buf_bytes(&bytes));
	h2_pair_wait(&pair, 29999);
	cr_assert(h2_pair_got(&pair, NGHTTP2_RST_STREAM) == 0);
	h2_pair_wait(&pair, 1);
	cr_assert(h2_pair_got(&pair, NGHTTP2_RST_STREAM) == 1 && !pair.finished);
	h2_pair_wait(&pair, worker.limits.http_idle_ms_max);
	cr_assert(h2_ended("idle"));
	buf_done(&bytes);
}

Test(h2_engine, threat_11_a_body_has_to_come_in_time)
{
	h2_pair_connect(&pair, 0);
	size_t n = h2_pair_begin(&pair, h2_zeros(100), 1, NULL);
	for (size_t i = 0; i < 59; i++) {
		h2_pair_wait(&pair, 1000);
		h2_pair_more(&pair, n, 1);
	}
	cr_assert(pair.replies[n].status == 0);
	h2_pair_wait(&pair, 1000);
	cr_assert(pair.replies[n].status == 408 && pair.replies[n].ended && pair.replies[n].reset);
	cr_assert_str_eq(rest_double.refused_code, "body_late");
	cr_assert(worker.reserved == 0 && !pair.finished);
}

Test(h2_engine, threat_11_an_answer_has_to_be_fetched_in_time)
{
	rest_double.answer = (struct rest_answer){.status = 200, .body = h2_zeros(1000)};
	h2_pair_connect(&pair, 100);
	size_t n = h2_get();
	for (size_t i = 0; i < 3; i++) {
		h2_pair_wait(&pair, worker.limits.write_stall_ms_max - 1);
		nghttp2_session_consume_stream(pair.client, h2_pair_id(n), 100);
		h2_pair_run(&pair);
	}
	cr_assert(!pair.replies[n].reset && pair.replies[n].body.len == 400);
	h2_pair_wait(&pair, worker.limits.write_stall_ms_max);
	cr_assert(pair.replies[n].reset && rest_double.alive == 0 && !pair.finished);
}

Test(h2_engine, what_is_late_because_of_us_is_not_late)
{
	h2_pair_connect(&pair, 0);
	worker.limits.http_body_ms_max = 5000;
	size_t n = h2_pair_begin(&pair, h2_zeros(100), 1, NULL);
	rest_double.run = REST_BLOCKED;
	h2_post("x");
	h2_pair_wait(&pair, worker.limits.record_ms_max - 1);
	cr_assert(pair.replies[n].status == 0);
	rest_double.run = REST_ANSWERED;
	rest_double_writable();
	h2_pair_run(&pair);
	h2_pair_wait(&pair, worker.limits.http_body_ms_max - 1);
	cr_assert(pair.replies[n].status == 0, "its time began anew");
	h2_pair_wait(&pair, 1);
	cr_assert(pair.replies[n].status == 408);
}

Test(h2_engine, a_connection_that_is_not_heard_is_not_late)
{
	worker.limits.http_output_bytes_max = 16384;
	rest_double.answer = (struct rest_answer){.status = 200, .body = h2_zeros(20000)};
	h2_pair_connect(&pair, 0);
	size_t n = h2_pair_begin(&pair, h2_zeros(100), 1, NULL);
	pair.reading = false;
	h2_get();
	h2_pair_more(&pair, n, 1);
	cr_assert(pair.stopped);
	h2_pair_wait(&pair, worker.limits.http_body_ms_max * 3);
	pair.reading = true;
	h2_pair_run(&pair);
	cr_assert(pair.replies[n].status == 0 && !pair.stopped);
	h2_pair_more(&pair, n, 98);
	cr_assert(pair.replies[n].status == 200);
}

/* ---- the ways it ends ---- */

Test(h2_engine, an_idle_connection_drains_at_once)
{
	h2_pair_connect(&pair, 0);
	h2_get();
	pair.engine->ops->drain(pair.engine, pair.now_ms);
	h2_pair_run(&pair);
	cr_assert(h2_ended("drained") && pair.goaway && pair.goaway_code == NGHTTP2_NO_ERROR && pair.goaway_last == 1);
	cr_assert(h2_pair_got(&pair, NGHTTP2_GOAWAY) == 1);
}

Test(h2_engine, draining_answers_what_was_taken_and_takes_nothing_new)
{
	rest_double.run = REST_WAIT;
	h2_pair_connect(&pair, 0);
	h2_post("x");
	size_t part = h2_pair_begin(&pair, h2_zeros(100), 1, NULL);
	pair.reading = false;
	pair.engine->ops->drain(pair.engine, pair.now_ms);
	h2_post("too late");
	cr_assert(rest_double.begin_count == 2 && !pair.finished);
	pair.reading = true;
	h2_pair_run(&pair);
	cr_assert(pair.goaway && pair.goaway_last == 3 && !pair.finished);
	h2_pair_more(&pair, part, 99);
	while (rest_double_waiting(0))
		rest_double_answered(rest_double_waiting(0), 204, (gh_bytes){NULL, 0});
	h2_pair_run(&pair);
	cr_assert(pair.replies[0].status == 204 && pair.replies[1].status == 204 && h2_ended("drained"));
}

Test(h2_engine, a_client_that_says_goodbye_is_answered_first)
{
	rest_double.run = REST_WAIT;
	h2_pair_connect(&pair, 0);
	h2_post("x");
	nghttp2_submit_goaway(pair.client, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
	h2_pair_run(&pair);
	cr_assert(!pair.finished);
	rest_double_answered(rest_double_waiting(0), 204, (gh_bytes){NULL, 0});
	h2_pair_run(&pair);
	cr_assert(pair.replies[0].status == 204 && h2_ended("peer_goaway"));
}

Test(h2_engine, the_end_of_input_drops_what_is_not_whole_and_answers_what_is)
{
	rest_double.run = REST_WAIT;
	h2_pair_connect(&pair, 0);
	h2_post("x");
	h2_pair_begin(&pair, h2_zeros(100), 1, NULL);
	h2_pair_hang_up(&pair);
	cr_assert(!pair.finished && rest_double.alive == 1 && worker.reserved == 0);
	rest_double_answered(rest_double_waiting(0), 204, (gh_bytes){NULL, 0});
	h2_pair_run(&pair);
	cr_assert(pair.replies[0].status == 204 && h2_ended("peer_closed"));
}

Test(h2_engine, the_end_of_input_ends_an_idle_connection_without_a_word)
{
	h2_pair_connect(&pair, 0);
	h2_get();
	buf_clear(&pair.got);
	h2_pair_hang_up(&pair);
	cr_assert(h2_ended("peer_closed") && pair.got.len == 0);
}

Test(h2_engine, the_end_of_input_before_anything_came)
{
	h2_pair_hang_up(&pair);
	cr_assert(h2_ended("peer_closed"));
}

Test(h2_engine, after_its_end_it_wants_and_says_nothing)
{
	h2_pair_connect(&pair, 0);
	pair.engine->ops->drain(pair.engine, pair.now_ms);
	h2_pair_run(&pair);
	cr_assert(pair.finished);
	cr_assert(pair.engine->ops->input(pair.engine, (const uint8_t *)"x", 1, pair.now_ms) == 1);
	cr_assert(pair.engine->ops->tick(pair.engine, pair.now_ms) == 0);
	cr_assert(pair.engine->ops->output(pair.engine).len == 0);
	pair.engine->ops->input_end(pair.engine, pair.now_ms);
	pair.engine->ops->drain(pair.engine, pair.now_ms);
}

Test(h2_engine, it_can_be_freed_wherever_its_requests_stand)
{
	h2_pair_connect(&pair, 100);
	rest_double.answer = (struct rest_answer){.status = 200, .body = h2_zeros(1000)};
	h2_get(); /* its answer is leaving */
	rest_double.run = REST_WAIT;
	h2_post("waits");
	h2_post("is answered");
	h2_pair_begin(&pair, h2_zeros(100), 1, NULL);
	rest_double.run = REST_BLOCKED;
	h2_post("blocked");
	rest_double_answered(rest_double.requests[2].exchange, 200, text_of("x"));
	rest_double_writable();
	cr_assert(rest_double.alive == 5 && worker.reserved > 0);
	size_t wakes = pair.wake_count;
	pair.engine->ops->free(NULL);
	pair.engine->ops->free(pair.engine);
	pair.engine = NULL;
	cr_assert(rest_double.alive == 0 && worker.reserved == 0 && pair.wake_count == wakes);
}

Test(h2_engine, an_idle_connection_keeps_little)
{
	rest_double.answer = (struct rest_answer){.status = 200, .body = h2_zeros(30000)};
	h2_pair_connect(&pair, 0);
	h2_get();
	cr_assert(pair.deadline_ms == pair.now_ms + 1000, "it comes back to give up its buffer");
	h2_pair_wait(&pair, 1000);
	cr_assert(pair.deadline_ms == pair.now_ms - 1000 + worker.limits.http_idle_ms_max);
	cr_assert(pair.engine->ops->output(pair.engine).data == NULL);
}
