/* ws_lws.h over web.h: the payload is one stream of bytes in both directions, each step waits for the one after it, and
 * every way to end frees both ends at once. */
#include "tests/unit/ws_rig.h"
#include "transports/mqtt/mqtt.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

SUITE(ws_engine);

static void ws_test_open(struct ws_rig *rig)
{
	ws_rig_init(rig);
	ws_rig_open(rig);
}

/* What byte i of a long stream is. */
static uint8_t ws_test_byte(size_t i)
{
	return (uint8_t)(i * 31 + i / 251);
}

static uint8_t *ws_test_stream(size_t len)
{
	uint8_t *data = malloc(len);
	for (size_t i = 0; i < len; i++)
		data[i] = ws_test_byte(i);
	return data;
}

static bool ws_test_is_stream(const struct buf *b, size_t len)
{
	if (b->len != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (b->data[i] != ws_test_byte(i))
			return false;
	return true;
}

/* ---- bytes ---- */

Test(ws_engine, the_subprotocol_is_echoed_as_the_client_spelled_it)
{
	static const char *const spellings[] = {"mqtt", "MQTT", "MqTt", "OTHER"};
	for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
		struct ws_rig rig;
		ws_rig_init(&rig);
		rig.subprotocol = spellings[i];
		ws_rig_open(&rig);
		ws_rig_done(&rig);
	}
}

Test(ws_engine, bytes_go_through_both_ways_whatever_the_frames)
{
	enum { LEN = 70000 };
	static const size_t cuts[] = {1, 2, 125, 126, 127, 4095, 4096, 4097, 65535, 65536, LEN};
	uint8_t *data = ws_test_stream(LEN);
	for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
		struct ws_rig rig;
		struct buf frames = {0}, got = {0};
		struct ws_frame frame;
		size_t len = cuts[i] == 1 ? 2000 : LEN;
		ws_test_open(&rig);
		rig.inner->echo = true;
		for (size_t at = 0; at < len; at += cuts[i])
			ws_rig_put(&frames, WS_FIN | WS_BINARY, data + at, len - at < cuts[i] ? len - at : cuts[i]);
		engine_pair_send(&rig.pair, buf_bytes(&frames));
		cr_assert(ws_test_is_stream(&rig.inner->in, len), "frames of %zu bytes: %zu came", cuts[i],
			rig.inner->in.len);
		while (ws_rig_frame(&rig, &frame)) {
			cr_assert_eq(frame.first, WS_FIN | WS_BINARY);
			cr_assert(!frame.masked && frame.payload.len <= 4096, "%zu", frame.payload.len);
			buf_append(&got, frame.payload.data, frame.payload.len);
		}
		cr_assert(ws_test_is_stream(&got, len), "frames of %zu bytes: %zu came back", cuts[i], got.len);
		buf_done(&frames);
		buf_done(&got);
		ws_rig_done(&rig);
	}
	free(data);
}

Test(ws_engine, threat_08_a_packet_may_be_cut_over_frames_and_reads_at_every_offset)
{
	static const char packet[] = "\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03gw1";
	enum { LEN = sizeof packet - 1 };
	struct ws_rig rig;
	ws_test_open(&rig);
	for (size_t cut = 0; cut <= LEN; cut++) {
		struct buf frames = {0};
		ws_rig_put(&frames, WS_BINARY, packet, cut);
		ws_rig_put(&frames, WS_FIN | WS_PING, "between", 7);
		ws_rig_put(&frames, WS_FIN | WS_CONTINUED, packet + cut, LEN - cut);
		for (size_t read = 0; read <= frames.len; read++) {
			buf_clear(&rig.inner->in);
			engine_pair_send(&rig.pair, (gh_bytes){frames.data, read});
			engine_pair_send(&rig.pair, (gh_bytes){frames.data + read, frames.len - read});
			cr_assert_eq(rig.inner->in.len, LEN, "cut %zu, read %zu", cut, read);
			cr_assert_eq(memcmp(rig.inner->in.data, packet, LEN), 0, "cut %zu, read %zu", cut, read);
		}
		buf_done(&frames);
	}
	ws_rig_done(&rig);
}

Test(ws_engine, frames_sent_are_no_longer_than_the_limit)
{
	struct ws_rig rig;
	struct ws_frame frame;
	ws_rig_init(&rig);
	web_free(rig.web);
	rig.worker.limits.websocket_frame_bytes_max = 1000;
	gh_error err;
	cr_assert_eq(web_new(rig.loop, &rig.worker.limits, &rig.web, &err), GH_OK);
	ws_rig_open(&rig);
	uint8_t *data = ws_test_stream(2500);
	ws_inner_say(rig.inner, data, 2500);
	engine_pair_run(&rig.pair);
	for (int i = 0; i < 3; i++) {
		cr_assert(ws_rig_frame(&rig, &frame));
		cr_assert_eq(frame.payload.len, i < 2 ? 1000 : 500);
	}
	cr_assert(!ws_rig_frame(&rig, &frame));
	free(data);
	ws_rig_done(&rig);
}

/* ---- who waits for whom ---- */

Test(ws_engine, what_the_engine_inside_does_not_take_stops_the_stream)
{
	enum { LEN = 200000 };
	struct ws_rig rig;
	uint8_t *data = ws_test_stream(LEN);
	ws_test_open(&rig);
	rig.inner->budget = 1000;
	ws_rig_send(&rig, WS_FIN | WS_BINARY, data, LEN);
	cr_assert_eq(rig.inner->in.len, 1000);
	cr_assert(
		rig.pair.held.len >= LEN - 1000 - WEB_FEED_BYTES_MAX, "%zu are left with the wire", rig.pair.held.len);
	for (size_t budget = 1; rig.inner->in.len < LEN; budget = budget * 2 + 1) {
		size_t before = rig.inner->in.len;
		rig.inner->budget = budget;
		rig.inner->wire->ops->wake(rig.inner->wire);
		engine_pair_run(&rig.pair);
		cr_assert(rig.inner->in.len > before, "nothing moved at %zu", before);
	}
	cr_assert(ws_test_is_stream(&rig.inner->in, LEN));
	free(data);
	ws_rig_done(&rig);
}

Test(ws_engine, the_end_comes_after_what_was_held_and_after_a_finish_nothing_is_held)
{
	struct ws_rig rig;
	uint8_t *data = ws_test_stream(3000);
	ws_test_open(&rig);
	rig.inner->budget = 1000;
	ws_rig_send(&rig, WS_FIN | WS_BINARY, data, 3000);
	cr_assert_eq(rig.pair.held.len, 0, "the wire has nothing left");
	engine_pair_hang_up(&rig.pair);
	cr_assert_eq(rig.inner->ends, 0);
	for (int i = 1; i <= 2; i++) {
		rig.inner->budget = 1000;
		rig.inner->wire->ops->wake(rig.inner->wire);
		engine_pair_run(&rig.pair);
		cr_assert(rig.inner->in.len == 1000u * (1 + i) && rig.inner->ends == (i == 2), "%d: %zu", i,
			rig.inner->in.len);
	}
	cr_assert(ws_test_is_stream(&rig.inner->in, 3000));
	free(data);
	ws_rig_done(&rig);
}

Test(ws_engine, what_an_engine_that_finished_did_not_take_does_not_hide_the_peers_close)
{
	struct ws_rig rig;
	uint8_t *data = ws_test_stream(20000);
	ws_test_open(&rig);
	rig.inner->budget = 1000;
	ws_rig_send(&rig, WS_FIN | WS_BINARY, data, 20000);
	cr_assert(rig.pair.held.len > 0);
	rig.inner->finished = true; /* in its tick: it wakes nobody */
	engine_pair_turn(&rig.pair);
	ws_rig_expect_close(&rig, 1000, "finished inside");
	ws_rig_send(&rig, WS_FIN | WS_END, "\x03\xe8", 2);
	cr_assert(rig.pair.finished, "the Close has been read");
	cr_assert_eq(rig.inner->in.len, 1000);
	free(data);
	ws_rig_done(&rig);
}

Test(ws_engine, a_reader_that_is_slow_is_not_written_for)
{
	enum { LEN = 3000000 };
	struct ws_rig rig;
	struct ws_frame frame;
	size_t got = 0;
	uint8_t *data = ws_test_stream(LEN);
	ws_test_open(&rig);
	rig.pair.reading = false;
	ws_inner_say(rig.inner, data, LEN);
	engine_pair_run(&rig.pair);
	for (int i = 0; i < 100; i++) {
		cr_assert(rig.pair.engine->ops->output(rig.pair.engine).len <= 4096);
		ws_rig_turn(&rig);
	}
	cr_assert(rig.inner->out_at <= 65536, "%zu bytes were framed for nobody", rig.inner->out_at);
	rig.pair.reading = true;
	engine_pair_turn(&rig.pair);
	for (; ws_rig_frame(&rig, &frame); got += frame.payload.len)
		for (size_t i = 0; i < frame.payload.len; i++)
			if (frame.payload.data[i] != ws_test_byte(got + i))
				cr_assert_fail("byte %zu", got + i);
	cr_assert_eq(got, LEN);
	free(data);
	ws_rig_done(&rig);
}

/* What there is to wait for in each: bring the rig there. */
static void rest_idle(struct ws_rig *rig)
{
	(void)rig;
}

static void rest_backlog(struct ws_rig *rig)
{
	uint8_t *data = ws_test_stream(1000000);
	rig->pair.reading = false;
	ws_inner_say(rig->inner, data, 1000000);
	free(data);
	engine_pair_run(&rig->pair);
	rig->pair.engine->ops->output(rig->pair.engine); /* as conn.c looks at what waits */
}

static void rest_pongs(struct ws_rig *rig)
{
	rig->pair.reading = false;
	for (int i = 0; i < 2000; i++) /* more than the pair holds */
		ws_rig_send(rig, WS_FIN | WS_PING, "payload", 7);
}

static void rest_held(struct ws_rig *rig)
{
	rig->inner->budget = 10;
	ws_rig_send(rig, WS_FIN | WS_BINARY, "more than it takes", 18);
}

static void rest_closing(struct ws_rig *rig)
{
	rig->inner->finished = true;
	rig->inner->wire->ops->wake(rig->inner->wire);
	engine_pair_run(&rig->pair);
}

static void rest_closing_unread(struct ws_rig *rig)
{
	rest_backlog(rig);
	rest_closing(rig);
}

static void rest_closed_unread(struct ws_rig *rig)
{
	rig->pair.reading = false;
	ws_rig_send(rig, WS_FIN | WS_END, "\x03\xe8", 2);
}

static void rest_closed_behind_pongs(struct ws_rig *rig)
{
	rest_pongs(rig);
	rest_closed_unread(rig);
}

static void rest_fault_unread(struct ws_rig *rig)
{
	rig->pair.reading = false;
	ws_rig_send(rig, WS_FIN | WS_TEXT, "hi", 2);
}

static void rest_ended(struct ws_rig *rig)
{
	engine_pair_hang_up(&rig->pair);
}

Test(ws_engine, who_waits_does_not_turn_the_loop)
{
	static const struct {
		const char *name;
		void (*bring)(struct ws_rig *rig);
	} rests[] = {
		{"idle", rest_idle},
		{"a slow reader", rest_backlog},
		{"a slow reader of pongs", rest_pongs},
		{"an engine that takes nothing", rest_held},
		{"our Close is out", rest_closing},
		{"our Close waits for a slow reader", rest_closing_unread},
		{"both Closes, one unread", rest_closed_unread},
		{"both Closes, one behind pongs", rest_closed_behind_pongs},
		{"a fault, its Close unread", rest_fault_unread},
		{"the end, and nothing said", rest_ended},
	};
	for (size_t i = 0; i < sizeof rests / sizeof *rests; i++) {
		struct ws_rig rig;
		ws_test_open(&rig);
		rests[i].bring(&rig);
		for (int turn = 0; turn < 20; turn++)
			ws_rig_turn(&rig);
		struct pollfd loop = {uv_backend_fd(loop_uv(rig.loop)), POLLIN, 0};
		size_t woken = rig.pair.wake_count;
		for (int turn = 0; turn < 10; turn++) {
			cr_assert_eq(poll(&loop, 1, 0), 0, "%s", rests[i].name);
			ws_rig_turn(&rig);
			cr_assert_eq(rig.pair.wake_count, woken, "%s", rests[i].name);
		}
		ws_rig_done(&rig);
	}
}

static void rest_closing_behind_pongs(struct ws_rig *rig)
{
	rest_pongs(rig);
	rest_closing(rig);
}

static void rest_fault_behind_pongs(struct ws_rig *rig)
{
	rest_pongs(rig);
	rest_fault_unread(rig);
}

/* All frames up to the Close; its code, 0 = there is none. */
static unsigned ws_test_last_code(struct ws_rig *rig)
{
	struct ws_frame frame;
	unsigned code = 0;
	while (ws_rig_frame(rig, &frame)) {
		cr_assert_eq(code, 0, "nothing follows a Close");
		if (frame.first == (WS_FIN | WS_END))
			code = (unsigned)(frame.payload.data[0] << 8 | frame.payload.data[1]);
	}
	return code;
}

Test(ws_engine, a_close_arrives_behind_what_waited_for_a_slow_reader)
{
	static const struct {
		const char *name;
		void (*bring)(struct ws_rig *rig);
		unsigned code;
	} closes[] = {
		{"ours behind payload", rest_closing_unread, 1000},
		{"ours behind pongs", rest_closing_behind_pongs, 1000},
		{"the answer to the peer's", rest_closed_unread, 1000},
		{"the answer to the peer's, behind pongs", rest_closed_behind_pongs, 1000},
		{"that of a fault", rest_fault_unread, 1003},
		{"that of a fault, behind pongs", rest_fault_behind_pongs, 1003},
	};
	for (size_t i = 0; i < sizeof closes / sizeof *closes; i++) {
		struct ws_rig rig;
		ws_test_open(&rig);
		closes[i].bring(&rig);
		rig.pair.reading = true;
		engine_pair_turn(&rig.pair);
		for (int turn = 0; turn < 300 && !rig.pair.finished; turn++)
			ws_rig_turn(&rig);
		unsigned code = ws_test_last_code(&rig);
		cr_assert_eq(code, closes[i].code, "%s: %u", closes[i].name, code);
		ws_rig_done(&rig);
	}
}

/* ---- control frames ---- */

static void ws_test_expect(struct ws_rig *rig, uint8_t first, const char *payload, const char *what)
{
	struct ws_frame frame;
	cr_assert(ws_rig_frame(rig, &frame), "%s: no frame", what);
	cr_assert_eq(frame.first, first, "%s: 0x%02x", what, frame.first);
	cr_assert(text_equal(frame.payload, text_of(payload)), "%s: %.*s", what, (int)frame.payload.len,
		(const char *)frame.payload.data);
}

Test(ws_engine, a_peer_that_reads_no_pongs_is_not_read_either_and_gets_them_all_in_the_end)
{
	enum { PINGS = 2000 };
	struct ws_rig rig;
	struct ws_frame frame;
	int pongs = 0;
	ws_test_open(&rig);
	rest_pongs(&rig);
	cr_assert_eq(rig.pair.held.len, (PINGS - rig.worker.limits.websocket_controls_max) * (6 + 7));
	rig.pair.reading = true;
	engine_pair_turn(&rig.pair);
	for (; ws_rig_frame(&rig, &frame); pongs++)
		cr_assert(frame.first == (WS_FIN | WS_PONG) && text_equal(frame.payload, text_of("payload")));
	cr_assert_eq(pongs, PINGS, "%d", pongs);
	ws_rig_done(&rig);
}

Test(ws_engine, every_ping_is_answered_in_order_with_its_own_payload)
{
	enum { PINGS = 100 };
	struct ws_rig rig;
	struct buf frames = {0};
	char payload[32];
	ws_test_open(&rig);
	for (int i = 0; i < PINGS; i++) {
		snprintf(payload, sizeof payload, "ping %d", i);
		ws_rig_put(&frames, WS_FIN | WS_PING, payload, strlen(payload));
	}
	ws_rig_put(&frames, WS_FIN | WS_PING, NULL, 0);
	engine_pair_send(&rig.pair, buf_bytes(&frames));
	for (int i = 0; i < PINGS; i++) {
		snprintf(payload, sizeof payload, "ping %d", i);
		ws_test_expect(&rig, WS_FIN | WS_PONG, payload, payload);
	}
	ws_test_expect(&rig, WS_FIN | WS_PONG, "", "a ping without payload");
	cr_assert(!rig.pair.finished);
	buf_done(&frames);
	ws_rig_done(&rig);
}

Test(ws_engine, websocket_controls_max_are_served_before_their_answers_have_left)
{
	struct ws_rig rig;
	struct buf frames = {0};
	ws_test_open(&rig);
	rig.worker.limits.websocket_controls_max = 3;
	for (int i = 0; i < 10; i++)
		ws_rig_put(&frames, WS_FIN | WS_PONG, NULL, 0);
	gh_engine *engine = rig.pair.engine;
	size_t taken = engine->ops->input(engine, frames.data, frames.len, rig.pair.now_ms);
	cr_assert_eq(taken, 3 * 6);
	cr_assert(!rig.pair.woken);
	cr_assert_eq(engine->ops->input(engine, frames.data + taken, frames.len - taken, rig.pair.now_ms), 0);
	cr_assert_eq(engine->ops->output(engine).len, 0, "there is no answer to a pong");
	cr_assert(rig.pair.woken, "it asks for the rest");
	cr_assert_eq(engine->ops->input(engine, frames.data + taken, frames.len - taken, rig.pair.now_ms), 3 * 6);
	buf_done(&frames);
	ws_rig_done(&rig);
}

/* ---- ends ---- */

Test(ws_engine, a_close_of_the_client_is_answered_and_ends_it)
{
	static const struct {
		const char *payload;
		size_t len;
	} closes[] = {{"", 0}, {"\x03\xe8", 2},
		{"\x03\xe8"
		 "bye",
			5},
		{"\x0f\xa0", 2}};
	for (size_t i = 0; i < sizeof closes / sizeof *closes; i++) {
		struct ws_rig rig;
		struct ws_frame frame;
		ws_test_open(&rig);
		ws_rig_send(&rig, WS_FIN | WS_END, closes[i].payload, closes[i].len);
		cr_assert(ws_rig_frame(&rig, &frame), "close %zu", i);
		cr_assert_eq(frame.first, WS_FIN | WS_END);
		cr_assert(frame.payload.len == closes[i].len &&
			  memcmp(frame.payload.data, closes[i].payload, closes[i].len) == 0);
		cr_assert(rig.pair.finished);
		cr_assert_eq(rig.inner->ends, 1);
		ws_rig_done(&rig);
	}
}

Test(ws_engine, when_the_engine_inside_has_finished_its_last_word_leaves_and_then_a_close)
{
	struct ws_rig rig;
	ws_test_open(&rig);
	rig.inner->finished = true;
	ws_inner_say(rig.inner, "last", 4);
	engine_pair_run(&rig.pair);
	ws_test_expect(&rig, WS_FIN | WS_BINARY, "last", "the last word");
	ws_rig_expect_close(&rig, 1000, "finished inside");
	cr_assert(!rig.pair.finished, "the peer's Close is awaited");
	ws_rig_send(&rig, WS_FIN | WS_BINARY, "too late", 8);
	cr_assert(!rig.pair.finished);
	ws_rig_send(&rig, WS_FIN | WS_END, "\x03\xe8", 2);
	cr_assert(rig.pair.finished);
	cr_assert_eq(rig.inner->in.len, 0);
	ws_rig_done(&rig);
}

Test(ws_engine, close_ms_max_bounds_the_wait_for_the_peers_close)
{
	struct ws_rig rig;
	ws_test_open(&rig);
	rig.worker.limits.close_ms_max = 3000;
	rig.inner->finished = true;
	rig.inner->wire->ops->wake(rig.inner->wire);
	engine_pair_run(&rig.pair);
	ws_rig_expect_close(&rig, 1000, "finished inside");
	engine_pair_wait(&rig.pair, 2999);
	cr_assert(!rig.pair.finished);
	engine_pair_wait(&rig.pair, 1);
	cr_assert(rig.pair.finished);
	cr_assert_str_eq(ws_why(rig.pair.engine), "close_late");
	ws_rig_done(&rig);
}

Test(ws_engine, the_deadline_of_a_close_is_told_when_it_begins)
{
	struct ws_rig rig;
	ws_test_open(&rig);
	rig.inner->finished = true;
	rig.pair.woken = false;
	gh_engine *engine = rig.pair.engine;
	cr_assert(engine->ops->tick(engine, rig.pair.now_ms) > rig.pair.now_ms + rig.worker.limits.close_ms_max);
	cr_assert(engine->ops->output(engine).len > 0, "the Close frame");
	cr_assert(rig.pair.woken, "tick is to be asked again");
	cr_assert_eq(engine->ops->tick(engine, rig.pair.now_ms), rig.pair.now_ms + rig.worker.limits.close_ms_max);
	ws_rig_done(&rig);
}

Test(ws_engine, the_last_word_and_the_close_arrive_whatever_websocket_frame_bytes_max)
{
	static const uint64_t limits[] = {125, 4096, 4097, 16384, 65536};
	enum { LEN = 190000 }; /* so that the last frame is a long one */
	uint8_t *data = ws_test_stream(LEN);
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		struct ws_rig rig;
		struct ws_frame frame;
		size_t got = 0;
		ws_rig_init(&rig);
		web_free(rig.web);
		rig.worker.limits.websocket_frame_bytes_max = limits[i];
		gh_error err;
		cr_assert_eq(web_new(rig.loop, &rig.worker.limits, &rig.web, &err), GH_OK);
		ws_rig_open(&rig);
		rig.inner->finished = true;
		ws_inner_say(rig.inner, data, LEN);
		for (int turn = 0; turn < 300; turn++)
			ws_rig_turn(&rig);
		for (; got < LEN && ws_rig_frame(&rig, &frame); got += frame.payload.len)
			cr_assert(frame.payload.len <= limits[i] &&
				  memcmp(frame.payload.data, data + got, frame.payload.len) == 0);
		cr_assert_eq(got, LEN, "frames of %d bytes: %zu", (int)limits[i], got);
		ws_rig_expect_close(&rig, 1000, "finished inside");
		ws_rig_done(&rig);
	}
	free(data);
}

Test(ws_engine, a_drain_says_going_away)
{
	struct ws_rig rig;
	ws_test_open(&rig);
	rig.pair.engine->ops->drain(rig.pair.engine, rig.pair.now_ms);
	engine_pair_turn(&rig.pair);
	cr_assert_eq(rig.inner->drains, 1);
	cr_assert(!rig.pair.finished, "what was accepted is still answered");
	rig.inner->finished = true;
	ws_inner_say(rig.inner, "done", 4);
	engine_pair_run(&rig.pair);
	ws_test_expect(&rig, WS_FIN | WS_BINARY, "done", "the last answer");
	ws_rig_expect_close(&rig, 1001, "drained");
	ws_rig_done(&rig);
}

Test(ws_engine, a_stream_that_ends_without_a_close_is_the_end_for_the_engine_inside_which_may_still_answer)
{
	struct ws_rig rig;
	ws_test_open(&rig);
	ws_rig_send(&rig, WS_FIN | WS_BINARY, "hello", 5);
	engine_pair_hang_up(&rig.pair);
	cr_assert_eq(rig.inner->ends, 1);
	cr_assert(!rig.pair.finished);
	rig.inner->finished = true;
	ws_inner_say(rig.inner, "answer", 6);
	engine_pair_run(&rig.pair);
	ws_test_expect(&rig, WS_FIN | WS_BINARY, "answer", "the answer");
	cr_assert(rig.pair.finished, "no Close is awaited from a peer that has gone");
	ws_rig_done(&rig);
}

Test(ws_engine, a_fault_is_answered_with_its_code_and_what_came_before_it_counts)
{
	static const struct {
		const char *name;
		uint8_t first;
		bool unmasked;
		const char *payload;
		size_t len;
		unsigned code;
	} faults[] = {
		{"text", WS_FIN | WS_TEXT, false, "hi", 2, 1003},
		{"reserved bit", WS_FIN | 0x40 | WS_BINARY, false, "hi", 2, 1002},
		{"reserved opcode", WS_FIN | 0x3, false, "", 0, 1002},
		{"fragmented ping", WS_PING, false, "", 0, 1002},
		{"continuation of nothing", WS_FIN | WS_CONTINUED, false, "", 0, 1002},
		{"not masked", WS_FIN | WS_BINARY, true, "hi", 2, 1002},
		{"half a close code", WS_FIN | WS_END, false, "\x03", 1, 1002},
		{"a close code that may not be sent", WS_FIN | WS_END, false, "\x03\xed", 2, 1002},
		{"a close reason that is no UTF-8", WS_FIN | WS_END, false, "\x03\xe8\xff", 3, 1007},
	};
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		struct ws_rig rig;
		struct ws_frame frame;
		struct buf bytes = {0};
		ws_test_open(&rig);
		rig.inner->echo = true;
		ws_rig_put(&bytes, WS_FIN | WS_BINARY, "good", 4);
		if (faults[i].unmasked)
			buf_append(&bytes, "\x82\x02hi", 4);
		else
			ws_rig_put(&bytes, faults[i].first, faults[i].payload, faults[i].len);
		ws_rig_put(&bytes, WS_FIN | WS_BINARY, "after", 5);
		engine_pair_send(&rig.pair, buf_bytes(&bytes));
		cr_assert_eq(rig.inner->in.len, 4, "%s: %zu", faults[i].name, rig.inner->in.len);
		ws_rig_expect_close(&rig, faults[i].code, faults[i].name);
		cr_assert(!ws_rig_frame(&rig, &frame), "%s: nothing follows a Close", faults[i].name);
		cr_assert(rig.pair.finished, "%s", faults[i].name);
		cr_assert_eq(rig.inner->ends, 1, "%s", faults[i].name);
		buf_done(&bytes);
		ws_rig_done(&rig);
	}
}

Test(ws_engine, websocket_message_bytes_max_is_refused_as_soon_as_it_is_announced)
{
	struct ws_rig rig;
	ws_test_open(&rig);
	rig.worker.limits.websocket_message_bytes_max = 10000;
	engine_pair_send(&rig.pair, (gh_bytes){(const uint8_t *)"\x82\xfe\x27\x11", 4});
	ws_rig_expect_close(&rig, 1009, "10,001 bytes");
	cr_assert(rig.pair.finished);
	ws_rig_done(&rig);
}

/* ---- time ---- */

Test(ws_engine, websocket_silence_ms_max_and_websocket_pong_ms_max_find_a_dead_peer)
{
	struct ws_rig rig;
	struct ws_frame frame;
	ws_test_open(&rig);
	rig.worker.limits.websocket_silence_ms_max = 240000;
	rig.worker.limits.websocket_pong_ms_max = 60000;
	for (int i = 0; i < 3; i++) {
		engine_pair_wait(&rig.pair, 239999);
		cr_assert(!ws_rig_frame(&rig, &frame), "too soon");
		engine_pair_wait(&rig.pair, 1);
		ws_test_expect(&rig, WS_FIN | WS_PING, "", "after silence");
		engine_pair_wait(&rig.pair, 59000);
		ws_rig_send(&rig, WS_FIN | WS_PONG, NULL, 0);
	}
	engine_pair_wait(&rig.pair, 240000);
	ws_test_expect(&rig, WS_FIN | WS_PING, "", "after silence");
	engine_pair_wait(&rig.pair, 59999);
	cr_assert(!rig.pair.finished);
	engine_pair_wait(&rig.pair, 1);
	cr_assert(rig.pair.finished);
	cr_assert_str_eq(ws_why(rig.pair.engine), "no_pong");
	cr_assert_eq(rig.inner->ends, 1);
	ws_rig_done(&rig);
}

Test(ws_engine, a_peer_that_nobody_listens_to_is_not_silent)
{
	struct ws_rig rig;
	struct ws_frame frame;
	uint8_t *data = ws_test_stream(20000);
	ws_test_open(&rig);
	rig.inner->budget = 1000;
	ws_rig_send(&rig, WS_FIN | WS_BINARY, data, 20000);
	engine_pair_wait(&rig.pair, 10000000);
	cr_assert(!ws_rig_frame(&rig, &frame) && !rig.pair.finished, "its pong could not be read");
	rig.inner->budget = SIZE_MAX;
	rig.inner->wire->ops->wake(rig.inner->wire);
	engine_pair_run(&rig.pair);
	cr_assert_eq(rig.inner->in.len, 20000);
	engine_pair_wait(&rig.pair, rig.worker.limits.websocket_silence_ms_max - 1);
	cr_assert(!ws_rig_frame(&rig, &frame));
	engine_pair_wait(&rig.pair, 1);
	ws_test_expect(&rig, WS_FIN | WS_PING, "", "after silence");
	free(data);
	ws_rig_done(&rig);
}

Test(ws_engine, the_engine_inside_has_its_deadlines_on_the_same_clock)
{
	struct ws_rig rig;
	ws_test_open(&rig);
	rig.inner->deadline_ms = rig.pair.now_ms + 3600;
	engine_pair_turn(&rig.pair);
	cr_assert_eq(rig.pair.deadline_ms, rig.inner->deadline_ms);
	engine_pair_wait(&rig.pair, 3600);
	cr_assert_eq(rig.inner->fired, 1);
	ws_rig_done(&rig);
}

Test(ws_engine, who_upgrades_and_then_says_nothing_is_closed_at_connect_ms_max)
{
	static const gh_transport *const transports[] = {&mqtt_transport, NULL};
	struct ws_rig rig;
	struct ws_frame frame;
	ws_rig_init(&rig);
	rig.rules.transports = transports;
	rig.worker.limits.connect_ms_max = 30000;
	rig.worker.limits.close_ms_max = 5000;
	ws_rig_open(&rig);
	engine_pair_wait(&rig.pair, 29999);
	cr_assert(!ws_rig_frame(&rig, &frame));
	engine_pair_wait(&rig.pair, 1);
	ws_rig_expect_close(&rig, 1000, "no CONNECT came");
	engine_pair_wait(&rig.pair, 4999);
	cr_assert(!rig.pair.finished);
	engine_pair_wait(&rig.pair, 1);
	cr_assert(rig.pair.finished, "nor a Close");
	ws_rig_done(&rig);
}

/* ---- who may, and what is known of whom ---- */

Test(ws_engine, a_subprotocol_that_nobody_has_is_not_found)
{
	struct ws_rig rig;
	ws_rig_init(&rig);
	rig.subprotocol = "AMQPWSB10";
	cr_assert(!ws_rig_try(&rig));
	cr_assert_eq(rig.refused, GH_NOT_FOUND);
	ws_rig_done(&rig);
}

Test(ws_engine, origins_are_everybodys_unless_there_is_a_list)
{
	static const char *const list[] = {"https://console.example.net", "http://localhost:3000", NULL};
	static const struct {
		const char *const *origins;
		const char *origin;
		gh_status status;
	} rows[] = {
		{NULL, "https://evil.example", GH_OK},
		{list, NULL, GH_OK},
		{list, "https://console.example.net", GH_OK},
		{list, "HTTPS://Console.Example.Net", GH_OK},
		{list, "http://localhost:3000", GH_OK},
		{list, "https://hub.example.net:8443", GH_OK}, /* the host's own */
		{list, "https://HUB.example.net:8443", GH_OK},
		{list, "http://hub.example.net:8443", GH_UNAUTHORIZED},
		{list, "https://hub.example.net", GH_UNAUTHORIZED}, /* another port is another origin */
		{list, "https://hub.example.net:443", GH_UNAUTHORIZED},
		{list, "https://", GH_UNAUTHORIZED},
		{list, "http://localhost", GH_UNAUTHORIZED},
		{list, "https://console.example.net.evil.example", GH_UNAUTHORIZED},
		{list, "null", GH_UNAUTHORIZED},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct ws_rig rig;
		ws_rig_init(&rig);
		rig.rules.origins = rows[i].origins;
		rig.origin = rows[i].origin;
		ws_rig_try(&rig);
		cr_assert_eq(rig.refused, rows[i].status, "%s: %s", rows[i].origin, gh_status_name(rig.refused));
		ws_rig_done(&rig);
	}
}

Test(ws_engine, the_engine_inside_sees_the_peer_of_the_stream)
{
	struct ws_rig rig;
	ws_test_open(&rig);
	gh_peer peer = rig.inner->wire->ops->peer(rig.inner->wire);
	cr_assert_str_eq(peer.address, "192.0.2.7");
	cr_assert_str_eq(peer.server_name, "hub.example.net");
	cr_assert_eq(peer.port, 4711);
	ws_rig_done(&rig);
}

/* ---- descriptors ---- */

Test(ws_engine, two_descriptors_each_and_none_is_left_however_it_ends)
{
	struct ws_rig rig;
	ws_rig_init(&rig);
	unsigned before = ws_rig_open_fds();
	for (int i = 0; i < 200; i++) {
		ws_rig_open(&rig);
		cr_assert_eq(ws_rig_open_fds(), before + 2);
		if (i % 4 == 0)
			ws_rig_send(&rig, WS_FIN | WS_END, "\x03\xe8", 2);
		if (i % 4 == 1)
			ws_rig_send(&rig, WS_FIN | WS_TEXT, "hi", 2);
		if (i % 4 == 2)
			engine_pair_send(&rig.pair, (gh_bytes){(const uint8_t *)"\x82\xfe\x10", 3});
		ws_rig_shut(&rig);
		cr_assert_eq(ws_rig_open_fds(), before, "round %d", i);
	}
	ws_rig_done(&rig);
}

Test(ws_engine, without_descriptors_an_upgrade_is_refused_and_works_again_afterwards)
{
	struct ws_rig rig;
	struct rlimit limit, none;
	ws_rig_init(&rig);
	getrlimit(RLIMIT_NOFILE, &limit);
	int first = dup(0), second = dup(0); /* the lowest that are free */
	close(first);
	close(second);
	for (int spare = 0; spare < 2; spare++) {
		none = limit;
		none.rlim_cur = (rlim_t)(spare ? second : first);
		setrlimit(RLIMIT_NOFILE, &none);
		bool opened = ws_rig_try(&rig);
		setrlimit(RLIMIT_NOFILE, &limit);
		cr_assert(!opened, "with %d to spare", spare);
		cr_assert_eq(rig.refused, GH_UNAVAILABLE);
	}
	ws_rig_open(&rig);
	ws_rig_done(&rig);
}

/* ---- threads ---- */

static void *ws_test_worker(void *argument)
{
	struct ws_rig *rig = argument;
	for (int i = 0; i < 100; i++) {
		ws_rig_open(rig);
		rig->inner->echo = true;
		ws_rig_send(rig, WS_FIN | WS_BINARY, "hello", 5);
		ws_test_expect(rig, WS_FIN | WS_BINARY, "hello", "the echo");
		ws_rig_shut(rig);
	}
	return NULL;
}

Test(ws_engine, each_worker_has_a_library_of_its_own)
{
	enum { WORKERS = 2 };
	pthread_t threads[WORKERS];
	struct ws_rig *rigs = calloc(WORKERS, sizeof *rigs);
	for (int i = 0; i < WORKERS; i++)
		ws_rig_init(&rigs[i]);
	for (int i = 0; i < WORKERS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, ws_test_worker, &rigs[i]), 0);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < WORKERS; i++)
		ws_rig_done(&rigs[i]);
	free(rigs);
}

Test(ws_engine, a_descriptor_that_the_library_has_no_place_for_is_refused_and_closed)
{
	enum { OTHERS = 20 };
	struct ws_rig rig;
	struct rlimit limit, low;
	int others[OTHERS];
	getrlimit(RLIMIT_NOFILE, &limit);
	low = limit;
	low.rlim_cur = ws_rig_open_fds() + OTHERS / 2;
	setrlimit(RLIMIT_NOFILE, &low);
	ws_rig_init(&rig);
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < OTHERS; i++)
		others[i] = dup(0);
	unsigned before = ws_rig_open_fds();
	cr_assert(!ws_rig_try(&rig));
	cr_assert_eq(rig.refused, GH_UNAVAILABLE);
	ws_rig_shut(&rig);
	cr_assert_eq(ws_rig_open_fds(), before);
	for (int i = 0; i < OTHERS; i++)
		close(others[i]);
	ws_rig_open(&rig);
	ws_rig_done(&rig);
}
