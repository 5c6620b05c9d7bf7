/* conn.h: nothing lost and nothing doubled between socket and engine, whoever is slow; and every deadline. */
#include "tests/unit/io_rig.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

SUITE(conn);

struct conn_test {
	struct rig rig;
	SSL_CTX *ctx;
	struct rig_client client;
	struct buf got;
};

static void conn_test_listen(struct conn_test *t)
{
	rig_listen(&t->rig);
	t->ctx = rig_client_ctx(&t->rig);
}

static void conn_test_open(struct conn_test *t)
{
	conn_test_listen(t);
	rig_open(&t->rig, &t->client, t->ctx);
}

static void conn_test_done(struct conn_test *t)
{
	rig_close(&t->client);
	SSL_CTX_free(t->ctx);
	buf_done(&t->got);
	rig_done(&t->rig);
}

/* What byte i of a long stream is. */
static void conn_test_fill(uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 31 + i / 251);
}

static bool conn_test_is_stream(const struct buf *b, size_t len)
{
	uint8_t *data = malloc(len);
	conn_test_fill(data, len);
	bool same = b->len == len && memcmp(b->data, data, len) == 0;
	free(data);
	return same;
}

static void conn_test_send_stream(struct conn_test *t, size_t len)
{
	uint8_t *data = malloc(len);
	conn_test_fill(data, len);
	rig_send(&t->rig, &t->client, data, len);
	free(data);
}

/* ---- bytes ---- */

Test(conn, a_long_stream_is_echoed_whole)
{
	enum { LEN = 3000000 };
	struct conn_test t = {0};
	rig_init(&t.rig);
	t.rig.echo = true;
	t.rig.limits.wire_output_bytes_max = 64 << 20;
	conn_test_open(&t);
	conn_test_send_stream(&t, LEN);
	RIG_UNTIL(&t.rig, &t.client, (rig_client_read(&t.client, &t.got), t.got.len >= LEN));
	cr_assert(conn_test_is_stream(&t.got, LEN));
	cr_assert(conn_test_is_stream(&t.rig.engines->in, LEN));
	conn_test_done(&t);
}

Test(conn, handshake_and_data_may_come_byte_by_byte)
{
	struct conn_test t = {0};
	rig_init(&t.rig);
	t.rig.echo = true;
	conn_test_listen(&t);
	rig_connect(&t.rig, &t.client, t.ctx, NULL);
	t.client.chunk = 1;
	cr_assert(rig_handshake(&t.rig, &t.client));
	conn_test_send_stream(&t, 300);
	RIG_UNTIL(&t.rig, &t.client, (rig_client_read(&t.client, &t.got), t.got.len == 300));
	cr_assert(conn_test_is_stream(&t.got, 300));
	conn_test_done(&t);
}

Test(conn, data_right_behind_the_handshake_reaches_the_engine)
{
	struct conn_test t = {0};
	rig_init(&t.rig);
	conn_test_listen(&t);
	rig_connect(&t.rig, &t.client, t.ctx, NULL);
	RIG_UNTIL(&t.rig, &t.client, SSL_do_handshake(t.client.ssl) == 1);
	cr_assert_eq(t.rig.made, 0, "the server has not seen the client's Finished yet");
	rig_send(&t.rig, &t.client, "early bird", 10);
	RIG_UNTIL(&t.rig, &t.client, t.rig.engines && t.rig.engines->in.len == 10);
	cr_assert_eq(t.rig.engines->inputs, 1);
	conn_test_done(&t);
}

Test(conn, many_small_records_of_one_read_are_one_input)
{
	struct conn_test t = {0};
	rig_init(&t.rig);
	conn_test_open(&t);
	for (int i = 0; i < 100; i++)
		cr_assert_eq(SSL_write(t.client.ssl, "12345678", 8), 8);
	RIG_UNTIL(&t.rig, &t.client, t.rig.engines->in.len == 800);
	cr_assert(t.rig.engines->inputs <= 3, "%u", t.rig.engines->inputs);
	conn_test_done(&t);
}

Test(conn, many_wakes_of_one_turn_are_one_record)
{
	struct conn_test t = {0};
	rig_init(&t.rig);
	conn_test_open(&t);
	for (int i = 0; i < 50; i++)
		rig_engine_say(t.rig.engines, "piece", 5);
	unsigned ticks = t.rig.engines->ticks;
	uint8_t record[16384];
	int n;
	RIG_UNTIL(&t.rig, &t.client, (n = SSL_read(t.client.ssl, record, sizeof record)) > 0);
	cr_assert_eq(n, 250);
	cr_assert_eq(t.rig.engines->ticks, ticks + 1);
	conn_test_done(&t);
}

/* ---- which engine ---- */

/* Device contract 1.2: h2 and http/1.1 are selected when offered, anything else gets no answer and what all speak. */
Test(conn, must_02_the_selected_alpn_name_picks_the_engine_and_none_means_the_first)
{
	static const gh_transport *const https[] = {&rig_http1, &rig_h2, NULL}, *const mqtt[] = {&rig_mqtt, NULL};
	static const struct {
		const gh_transport *const *transports;
		const char *offered, *selected, *made_by;
	} rows[] = {
		{https, "", "", "http/1.1"},
		{https, "http/1.1,", "http/1.1", "http/1.1"},
		{https, "h2,", "h2", "h2"},
		{https, "h2,http/1.1,", "h2", "h2"},
		{https, "http/1.1,h2,", "h2", "h2"},
		{https, "spdy/1,mqtt,H2,h2c,http/1.0,", "", "http/1.1"},
		{https, "spdy/1,http/1.1,", "http/1.1", "http/1.1"},
		{mqtt, "", "", "mqtt"},
		{mqtt, "amqp,mqtt,", "mqtt", "mqtt"},
		{mqtt, "h2,http/1.1,", "", "mqtt"},
	};
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
		struct conn_test t = {0};
		rig_init(&t.rig);
		rig_listen_with(&t.rig, rows[i / 2].transports);
		t.ctx = rig_client_ctx(&t.rig);
		SSL_CTX_set_max_proto_version(t.ctx, versions[i % 2]);
		rig_client_alpn(t.ctx, rows[i / 2].offered);
		rig_open(&t.rig, &t.client, t.ctx);
		cr_assert(text_equal(rig_client_selected(&t.client), text_of(rows[i / 2].selected)), "offered \"%s\"",
			rows[i / 2].offered);
		cr_assert_str_eq(t.rig.made_by, rows[i / 2].made_by, "offered \"%s\"", rows[i / 2].offered);
		conn_test_done(&t);
	}
}

/* ---- an engine that takes less ---- */

Test(conn, what_the_engine_does_not_take_waits_and_the_peer_is_held_back)
{
	enum { LEN = 20 << 20 };
	struct conn_test t = {0};
	rig_init(&t.rig);
	t.rig.budget = 7;
	conn_test_open(&t);
	conn_test_send_stream(&t, LEN);
	size_t waiting = 0;
	for (int quiet = 0; quiet < 50;) { /* until the sockets are full */
		rig_step(&t.rig, &t.client);
		quiet = BIO_ctrl_pending(t.client.out) == waiting ? quiet + 1 : 0;
		waiting = BIO_ctrl_pending(t.client.out);
	}
	struct rig_engine *e = t.rig.engines;
	cr_assert(waiting > 0, "the peer cannot send all of it");
	cr_assert_eq(e->in.len, 7);
	unsigned inputs = e->inputs;
	cr_assert_eq(inputs, 1, "it is not asked again before it wakes the wire");
	e->budget = 13;
	e->wire->ops->wake(e->wire);
	rig_step(&t.rig, &t.client);
	cr_assert_eq(e->in.len, 20);
	uint64_t end = rig_real_ms() + 30000;
	while (e->in.len < LEN) {
		cr_assert(rig_real_ms() < end);
		e->budget += 54321;
		e->wire->ops->wake(e->wire);
		loop_turn(t.rig.loop);
		rig_client_pump(&t.client);
	}
	cr_assert(conn_test_is_stream(&e->in, LEN));
	conn_test_done(&t);
}

Test(conn, the_end_comes_after_what_was_held)
{
	struct conn_test t = {0};
	rig_init(&t.rig);
	t.rig.budget = 0;
	conn_test_open(&t);
	conn_test_send_stream(&t, 1000);
	SSL_shutdown(t.client.ssl);
	rig_client_pump(&t.client);
	struct rig_engine *e = t.rig.engines;
	RIG_UNTIL(&t.rig, &t.client, e->inputs == 1);
	for (int i = 0; i < 10; i++)
		rig_step(&t.rig, &t.client);
	cr_assert_eq(e->ends, 0);
	e->finish_at_end = false;
	e->budget = 600;
	e->wire->ops->wake(e->wire);
	rig_step(&t.rig, &t.client);
	cr_assert(e->in.len == 600 && e->ends == 0);
	e->budget = 600;
	e->wire->ops->wake(e->wire);
	RIG_UNTIL(&t.rig, &t.client, e->ends == 1);
	cr_assert_eq(e->in.len, 1000);
	rig_engine_say(e, "late answer", 11);
	e->finished = true;
	RIG_UNTIL(&t.rig, &t.client, t.client.end);
	rig_client_read(&t.client, &t.got);
	cr_assert(text_equal(buf_bytes(&t.got), text_of("late answer")), "an orderly end still gets its answer");
	conn_test_done(&t);
}

/* ---- a peer that reads slowly ---- */

static void conn_test_block(struct conn_test *t, size_t len)
{
	uint8_t *data = malloc(len);
	conn_test_fill(data, len);
	t->client.deaf = true;
	rig_engine_say(t->rig.engines, data, len);
	free(data);
}

Test(conn, a_slow_reader_gets_everything_in_the_end)
{
	enum { LEN = 12 << 20 };
	struct conn_test t = {0};
	rig_init(&t.rig);
	t.rig.limits.wire_output_bytes_max = 64 << 20;
	conn_test_open(&t);
	conn_test_block(&t, LEN);
	size_t left = t.rig.engines->out_at;
	for (int quiet = 0; quiet < 50; left = t.rig.engines->out_at) {
		rig_step(&t.rig, &t.client);
		quiet = t.rig.engines->out_at == left ? quiet + 1 : 0;
	}
	cr_assert(left < LEN, "the sockets are full, and the rest stays with the engine");
	t.client.deaf = false;
	t.rig.engines->finished = true;
	RIG_UNTIL(&t.rig, &t.client, (rig_client_read(&t.client, &t.got), t.client.end));
	cr_assert(conn_test_is_stream(&t.got, LEN));
	conn_test_done(&t);
}

Test(conn, threat_39_a_reader_too_far_behind_is_cut_at_the_limit)
{
	struct conn_test t = {0};
	rig_init(&t.rig);
	t.rig.limits.wire_output_bytes_max = 1 << 20;
	conn_test_open(&t);
	conn_test_block(&t, 32 << 20);
	RIG_UNTIL(&t.rig, &t.client, t.rig.freed == 1);
	cr_assert(rig_logged(&t.rig, "wire_output_bytes_max"));
	conn_test_done(&t);
}

Test(conn, a_reader_that_takes_nothing_is_cut_when_its_time_is_up)
{
	struct conn_test t = {0};
	rig_init(&t.rig);
	t.rig.limits.wire_output_bytes_max = 64 << 20;
	conn_test_open(&t);
	conn_test_block(&t, 12 << 20);
	for (int i = 0; i < 100; i++)
		rig_step(&t.rig, &t.client);
	t.rig.now_ms += t.rig.limits.write_stall_ms_max - 1;
	rig_step(&t.rig, &t.client);
	cr_assert_eq(t.rig.freed, 0);
	t.rig.now_ms += 1;
	rig_step(&t.rig, &t.client);
	cr_assert_eq(t.rig.freed, 1);
	cr_assert(rig_logged(&t.rig, "write_stall_ms_max"));
	conn_test_done(&t);
}

/* ---- deadlines ---- */

Test(conn, must_09_a_connection_that_sends_nothing_is_closed_in_time)
{
	struct conn_test t = {0};
	rig_init(&t.rig);
	conn_test_listen(&t);
	rig_connect(&t.rig, &t.client, NULL, NULL);
	RIG_UNTIL(&t.rig, &t.client, listener_connections(t.rig.listener) == 1);
	t.rig.now_ms += t.rig.limits.handshake_ms_max - 1;
	rig_step(&t.rig, &t.client);
	cr_assert_eq(listener_connections(t.rig.listener), 1);
	t.rig.now_ms += 1;
	RIG_UNTIL(&t.rig, &t.client, t.client.end);
	cr_assert(t.rig.limits.handshake_ms_max < 60000);
	cr_assert(rig_logged(&t.rig, "handshake_ms_max"));
	conn_test_done(&t);
}

Test(conn, threat_11_a_trickling_handshake_gains_no_time)
{
	struct conn_test t = {0};
	rig_init(&t.rig);
	conn_test_listen(&t);
	rig_connect(&t.rig, &t.client, t.ctx, NULL);
	SSL_do_handshake(t.client.ssl);
	t.client.chunk = 1;
	for (int i = 0; i < 30; i++) {
		rig_client_pump(&t.client);
		rig_step(&t.rig, NULL);
		t.rig.now_ms += t.rig.limits.handshake_ms_max / 30;
	}
	RIG_UNTIL(&t.rig, NULL, listener_connections(t.rig.listener) == 0);
	cr_assert(rig_logged(&t.rig, "handshake_ms_max"));
	conn_test_done(&t);
}

Test(conn, the_engines_deadline_is_kept_wherever_it_moves)
{
	struct conn_test t = {0};
	rig_init(&t.rig);
	conn_test_open(&t);
	struct rig_engine *e = t.rig.engines;
	static const uint64_t delays[] = {100000, 50, 7000};
	for (size_t i = 0; i < 3; i++) {
		e->deadline_ms = t.rig.now_ms + 90000000;
		e->wire->ops->wake(e->wire);
		rig_step(&t.rig, &t.client);
		e->deadline_ms = t.rig.now_ms + delays[i];
		e->wire->ops->wake(e->wire);
		rig_step(&t.rig, &t.client);
		t.rig.now_ms += delays[i] - 1;
		rig_step(&t.rig, &t.client);
		cr_assert_eq(e->fired, i);
		t.rig.now_ms += 1;
		rig_step(&t.rig, &t.client);
		rig_step(&t.rig, &t.client);
		cr_assert_eq(e->fired, i + 1);
	}
	conn_test_done(&t);
}

/* ---- one engine after another: a stream that is upgraded ---- */

enum { UPGRADE_AT = 100 };

static void upgrade_test_listen(struct conn_test *t)
{
	rig_init(&t->rig);
	t->rig.limits.wire_output_bytes_max = 64 << 20;
	t->rig.websockets = true;
	t->rig.upgrade_at = UPGRADE_AT;
	conn_test_listen(t);
}

static void upgrade_test_open(struct conn_test *t)
{
	upgrade_test_listen(t);
	rig_open(&t->rig, &t->client, t->ctx);
}

/* Whether it took the bytes of the stream behind the upgrade, and all of them. */
static bool upgrade_test_took(const struct rig_engine *e, size_t len)
{
	struct buf whole = {0};
	uint8_t front[UPGRADE_AT];
	conn_test_fill(front, sizeof front);
	buf_append(&whole, front, sizeof front);
	buf_append(&whole, e->in.data, e->in.len);
	bool same = conn_test_is_stream(&whole, len);
	buf_done(&whole);
	return same;
}

Test(conn, what_follows_an_upgrade_in_the_stream_reaches_the_next_engine_however_it_is_cut)
{
	static const size_t records[] = {1, 7, UPGRADE_AT - 1, UPGRADE_AT, UPGRADE_AT + 1, 1000, 16384};
	enum { LEN = 40000, LEN_SMALL = 300 };
	for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
		struct conn_test t = {0};
		uint8_t data[LEN];
		size_t len = records[i] < 100 ? LEN_SMALL : LEN;
		conn_test_fill(data, len);
		upgrade_test_open(&t);
		for (size_t at = 0; at < len; at += records[i])
			cr_assert(SSL_write(t.client.ssl, data + at,
					  (int)(len - at < records[i] ? len - at : records[i])) > 0);
		RIG_UNTIL(&t.rig, &t.client,
			t.rig.made == 2 && t.rig.freed == 1 && t.rig.engines->in.len == len - UPGRADE_AT);
		cr_assert_str_eq(t.rig.made_by, "upgrade");
		cr_assert(upgrade_test_took(t.rig.engines, len), "records of %zu bytes", records[i]);
		cr_assert_eq(t.rig.descriptors.used, 3);
		conn_test_done(&t);
	}
}

/* The first engine's output fills the sockets, and the client asks for the upgrade meanwhile. */
static void upgrade_test_block(struct conn_test *t, size_t len)
{
	upgrade_test_open(t);
	conn_test_block(t, len);
	size_t left = t->rig.engines->out_at;
	for (int quiet = 0; quiet < 20; left = t->rig.engines->out_at) {
		rig_step(&t->rig, &t->client);
		quiet = t->rig.engines->out_at == left ? quiet + 1 : 0;
	}
	conn_test_send_stream(t, 5000);
	RIG_UNTIL(&t->rig, &t->client, t->rig.made == 2);
	rig_engine_say(t->rig.engines, "the next", 8);
	for (int i = 0; i < 20; i++)
		rig_step(&t->rig, &t->client);
	cr_assert(t->rig.freed == 0 && t->rig.engines->in.len == 0 && t->rig.engines->out_at == 0, "it waits");
}

/* The client reads what both said, the first one's first. */
static void upgrade_test_read(struct conn_test *t, size_t len, const char *then)
{
	t->client.deaf = false;
	RIG_UNTIL(&t->rig, &t->client, (rig_client_read(&t->client, &t->got), t->got.len >= len + strlen(then)));
	cr_assert(text_equal((gh_bytes){t->got.data + len, t->got.len - len}, text_of(then)), "%.*s",
		(int)(t->got.len - len), (const char *)t->got.data + len);
	t->got.len = len;
	cr_assert(conn_test_is_stream(&t->got, len));
	cr_assert_eq(t->rig.freed, 1);
	cr_assert(upgrade_test_took(t->rig.engines, 5000));
}

enum { UPGRADE_SAID = 12 << 20 };

Test(conn, all_that_the_engine_before_an_upgrade_said_leaves_first_and_nothing_is_taken_until_then)
{
	struct conn_test t = {0};
	upgrade_test_block(&t, UPGRADE_SAID);
	upgrade_test_read(&t, UPGRADE_SAID, "the next");
	conn_test_done(&t);
}

Test(conn, a_drain_during_an_upgrade_is_for_the_next_engine_too)
{
	struct conn_test t = {0};
	upgrade_test_block(&t, UPGRADE_SAID);
	struct rig_engine *old = t.rig.engines->next;
	old->finish_at_end = false;
	listener_drain(t.rig.listener, t.rig.now_ms);
	cr_assert_eq(t.rig.engines->drains, 0, "not yet");
	t.client.deaf = false;
	RIG_UNTIL(&t.rig, &t.client, (rig_client_read(&t.client, &t.got), t.client.end));
	cr_assert_eq(t.rig.freed, 2);
	cr_assert(t.got.len > UPGRADE_SAID);
	cr_assert(
		text_equal((gh_bytes){t.got.data + UPGRADE_SAID, t.got.len - UPGRADE_SAID}, text_of("byethe nextbye")),
		"%.*s", (int)(t.got.len - UPGRADE_SAID), (const char *)t.got.data + UPGRADE_SAID);
	conn_test_done(&t);
}

Test(conn, the_peers_end_during_an_upgrade_comes_to_the_next_engine_behind_its_bytes)
{
	struct conn_test t = {0};
	upgrade_test_block(&t, UPGRADE_SAID);
	SSL_shutdown(t.client.ssl);
	for (int i = 0; i < 20; i++)
		rig_step(&t.rig, &t.client);
	struct rig_engine *next = t.rig.engines;
	cr_assert(next->ends == 0 && next->next->ends == 0);
	next->finish_at_end = false;
	upgrade_test_read(&t, UPGRADE_SAID, "the next");
	RIG_UNTIL(&t.rig, &t.client, next->ends == 1);
	conn_test_done(&t);
}

Test(conn, cutting_during_an_upgrade_frees_both_engines)
{
	struct conn_test t = {0};
	upgrade_test_block(&t, UPGRADE_SAID);
	listener_free(t.rig.listener);
	t.rig.listener = NULL;
	cr_assert_eq(t.rig.freed, 2);
	cr_assert_eq(t.rig.descriptors.used, 0);
	conn_test_done(&t);
}

Test(conn, a_reader_that_is_stuck_is_cut_during_an_upgrade_too)
{
	struct conn_test t = {0};
	upgrade_test_block(&t, UPGRADE_SAID);
	t.rig.now_ms += t.rig.limits.write_stall_ms_max;
	RIG_UNTIL(&t.rig, &t.client, t.rig.freed == 2);
	cr_assert_eq(t.rig.descriptors.used, 0);
	conn_test_done(&t);
}

Test(conn, the_next_engine_has_its_deadlines_and_its_turn_without_a_byte_of_the_peer)
{
	struct conn_test t = {0};
	upgrade_test_open(&t);
	conn_test_send_stream(&t, UPGRADE_AT);
	RIG_UNTIL(&t.rig, &t.client, t.rig.made == 2 && t.rig.freed == 1);
	struct rig_engine *next = t.rig.engines;
	cr_assert(next->ticks > 0, "it is asked at once");
	next->deadline_ms = t.rig.now_ms + 30000;
	next->wire->ops->wake(next->wire);
	rig_step(&t.rig, &t.client);
	t.rig.now_ms += 29999;
	rig_step(&t.rig, &t.client);
	cr_assert_eq(next->fired, 0);
	t.rig.now_ms += 1;
	rig_step(&t.rig, &t.client);
	rig_step(&t.rig, &t.client);
	cr_assert_eq(next->fired, 1);
	conn_test_done(&t);
}

Test(conn, an_upgrade_that_is_refused_changes_nothing_and_keeps_no_descriptor)
{
	static const struct {
		const char *name;
		bool websockets;
		uint64_t descriptors;
		gh_status status, expected;
	} rows[] = {
		{"no WebSockets here", false, 1000, GH_OK, GH_NOT_FOUND},
		{"no descriptor", true, 1, GH_OK, GH_UNAVAILABLE},
		{"one descriptor", true, 2, GH_OK, GH_UNAVAILABLE},
		{"nobody's sub-protocol", true, 3, GH_NOT_FOUND, GH_NOT_FOUND},
		{"origin", true, 3, GH_UNAUTHORIZED, GH_UNAUTHORIZED},
		{"not now", true, 3, GH_UNAVAILABLE, GH_UNAVAILABLE},
		{"just enough", true, 3, GH_OK, GH_OK},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct conn_test t = {0};
		rig_init(&t.rig);
		descriptors_init(&t.rig.descriptors, rows[i].descriptors);
		t.rig.websockets = rows[i].websockets;
		t.rig.upgrade_at = UPGRADE_AT;
		t.rig.upgrade_status = rows[i].status;
		t.rig.upgrade_got = GH_STATUS_COUNT;
		conn_test_open(&t);
		conn_test_send_stream(&t, UPGRADE_AT);
		RIG_UNTIL(&t.rig, &t.client, t.rig.upgrade_got != GH_STATUS_COUNT);
		cr_assert_eq(
			t.rig.upgrade_got, rows[i].expected, "%s: %s", rows[i].name, gh_status_name(t.rig.upgrade_got));
		bool upgraded = rows[i].expected == GH_OK;
		cr_assert_eq(t.rig.descriptors.used, upgraded ? 3 : 1, "%s", rows[i].name);
		conn_test_send_stream(&t, 50);
		RIG_UNTIL(&t.rig, &t.client, t.rig.engines->in.len == (upgraded ? 50 : UPGRADE_AT + 50));
		conn_test_done(&t);
	}
}

Test(conn, however_an_upgraded_stream_ends_its_three_descriptors_are_given_back_once)
{
	enum { BY_NOTIFY, BY_RESET, BY_ENGINE, BY_CUT, BY_DRAIN, KINDS };
	for (int kind = 0; kind < KINDS; kind++) {
		struct conn_test t = {0};
		struct linger now = {1, 0};
		upgrade_test_open(&t);
		conn_test_send_stream(&t, UPGRADE_AT);
		RIG_UNTIL(&t.rig, &t.client, t.rig.made == 2 && t.rig.freed == 1);
		cr_assert_eq(t.rig.descriptors.used, 3, "%d", kind);
		if (kind == BY_NOTIFY)
			SSL_shutdown(t.client.ssl);
		if (kind == BY_RESET)
			setsockopt(t.client.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
		if (kind == BY_NOTIFY || kind == BY_RESET) {
			rig_client_pump(&t.client);
			rig_close(&t.client);
		}
		if (kind == BY_ENGINE) {
			t.rig.engines->finished = true;
			t.rig.engines->wire->ops->wake(t.rig.engines->wire);
		}
		if (kind == BY_CUT) {
			listener_free(t.rig.listener);
			t.rig.listener = NULL;
		}
		if (kind == BY_DRAIN)
			listener_drain(t.rig.listener, t.rig.now_ms);
		RIG_UNTIL(&t.rig, NULL, t.rig.freed == 2);
		t.rig.now_ms += t.rig.limits.close_ms_max;
		RIG_UNTIL(&t.rig, NULL, t.rig.descriptors.used == 0);
		conn_test_done(&t);
	}
}

Test(conn, the_next_engine_sees_the_peer_its_name_and_its_certificate)
{
	struct conn_test t = {0};
	uint8_t der[4096];
	size_t len;
	upgrade_test_listen(&t);
	rig_client_certificate(t.ctx, der, &len);
	rig_open(&t.rig, &t.client, t.ctx);
	conn_test_send_stream(&t, UPGRADE_AT);
	RIG_UNTIL(&t.rig, &t.client, t.rig.made == 2 && t.rig.freed == 1);
	gh_peer peer = t.rig.engines->wire->ops->peer(t.rig.engines->wire);
	cr_assert_str_eq(peer.address, "127.0.0.1");
	cr_assert_str_eq(peer.server_name, "localhost");
	cr_assert(text_equal((gh_bytes){peer.certificate, peer.certificate_len}, (gh_bytes){der, len}));
	conn_test_done(&t);
}

/* ---- ends ---- */

Test(conn, a_finished_engines_last_bytes_arrive_although_the_peer_still_talks)
{
	struct conn_test t = {0};
	rig_init(&t.rig);
	conn_test_open(&t);
	t.rig.engines->finished = true;
	rig_engine_say(t.rig.engines, "refused", 7);
	for (int i = 0; i < 20; i++) {
		uint8_t noise[4000] = {0};
		if (!t.client.end)
			rig_send(&t.rig, &t.client, noise, sizeof noise);
		rig_step(&t.rig, &t.client);
	}
	RIG_UNTIL(&t.rig, &t.client, t.client.end);
	cr_assert(!t.client.reset);
	rig_client_read(&t.client, &t.got);
	cr_assert(text_equal(buf_bytes(&t.got), text_of("refused")));
	cr_assert_eq(SSL_get_shutdown(t.client.ssl), SSL_RECEIVED_SHUTDOWN, "close_notify came");
	cr_assert_eq(t.rig.freed, 1, "the engine goes at once");
	cr_assert_eq(listener_connections(t.rig.listener), 1, "the socket waits for the peer");
	t.rig.now_ms += t.rig.limits.close_ms_max;
	RIG_UNTIL(&t.rig, NULL, listener_connections(t.rig.listener) == 0);
	conn_test_done(&t);
}

enum { END_NOTIFY, END_BARE, END_RESET, END_GARBAGE, END_KINDS };

Test(conn, every_kind_of_end_is_told_to_the_engine_once)
{
	for (int kind = 0; kind < END_KINDS; kind++) {
		struct conn_test t = {0};
		rig_init(&t.rig);
		conn_test_open(&t);
		struct linger now = {1, 0};
		static const char garbage[] = "\x17\x03\x03\x00\x20this is not what a record is like";
		if (kind == END_NOTIFY)
			SSL_shutdown(t.client.ssl);
		if (kind == END_RESET)
			setsockopt(t.client.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
		rig_client_pump(&t.client);
		if (kind == END_GARBAGE)
			cr_assert(send(t.client.fd, garbage, sizeof garbage - 1, 0) > 0);
		if (kind != END_GARBAGE)
			rig_close(&t.client);
		t.rig.engines->finish_at_end = false;
		struct rig_engine *e = t.rig.engines;
		RIG_UNTIL(&t.rig, NULL, t.rig.freed == 1 || e->ends == 1);
		t.rig.now_ms += t.rig.limits.close_ms_max; /* an engine that will not finish has that long */
		RIG_UNTIL(&t.rig, NULL, t.rig.freed == 1);
		cr_assert_eq(listener_connections(t.rig.listener), 0, "%d", kind);
		conn_test_done(&t);
	}
}

Test(conn, garbage_instead_of_a_handshake_is_closed_and_logged_in_bounds)
{
	struct conn_test t = {0};
	rig_init(&t.rig);
	conn_test_listen(&t);
	for (int i = 0; i < 30; i++) {
		rig_connect(&t.rig, &t.client, NULL, NULL);
		cr_assert_eq(send(t.client.fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
		RIG_UNTIL(&t.rig, &t.client, t.client.end);
		rig_close(&t.client);
	}
	unsigned lines = 0;
	for (size_t i = 0; i < t.rig.log_text.len; i++)
		lines += t.rig.log_text.data[i] == '\n';
	cr_assert_eq(lines, 10, "no more than ten a second");
	cr_assert(rig_logged(&t.rig, "info handshake_failed listener=rig peer=127.0.0.1"));
	cr_assert(rig_logged(&t.rig, "http request"));
	cr_assert_eq(t.rig.made, 0);
	conn_test_done(&t);
}

Test(conn, cutting_frees_connections_in_every_state)
{
	struct conn_test t = {0};
	struct rig_client fresh, half, held, blocked;
	rig_init(&t.rig);
	t.rig.limits.wire_output_bytes_max = 64 << 20;
	t.rig.budget = 1;
	conn_test_open(&t);
	rig_connect(&t.rig, &fresh, NULL, NULL);
	rig_connect(&t.rig, &half, t.ctx, NULL);
	SSL_do_handshake(half.ssl);
	rig_client_pump(&half);
	rig_open(&t.rig, &held, t.ctx);
	rig_send(&t.rig, &held, "more than it takes", 18);
	rig_open(&t.rig, &blocked, t.ctx);
	blocked.deaf = true;
	uint8_t *data = calloc(1, 12 << 20);
	rig_engine_say(t.rig.engines, data, 12 << 20);
	free(data);
	for (int i = 0; i < 20; i++)
		rig_step(&t.rig, &blocked);
	t.rig.engines->wire->ops->wake(t.rig.engines->wire);
	cr_assert_eq(listener_connections(t.rig.listener), 5);
	listener_free(t.rig.listener);
	t.rig.listener = NULL;
	cr_assert_eq(t.rig.freed, t.rig.made);
	loop_turn(t.rig.loop);
	rig_close(&fresh);
	rig_close(&half);
	rig_close(&held);
	rig_close(&blocked);
	conn_test_done(&t);
}
