/* From the first byte to OPEN: SASL and none, and how a connection ends. */
#include "tests/suite.h"

#include "src/base/text.h"
#include "tests/unit/amqp_bytes.h"
#include "tests/unit/amqp_pair.h"
#include "transports/amqp/amqp.h"

#include <stdio.h>

static gh_worker worker;
static struct amqp_pair pair;

static void connect_begin(void)
{
	core_double_init(&worker);
}

static void connect_end(void)
{
	amqp_pair_done(&pair);
	core_double_done(&worker);
	suite_leak_check();
}

TestSuite(amqp_connect, .init = connect_begin, .fini = connect_end, .timeout = 60);

static bool connect_ended(const char *why)
{
	const char *is = amqp_why(pair.engine.engine);
	if (!is || strcmp(is, why) != 0)
		fprintf(stderr, "ended for \"%s\"\n", is ? is : "nothing");
	return pair.engine.finished && is && strcmp(is, why) == 0;
}

static void connect_as(const char *mechanism, const char *user, const char *password)
{
	struct amqp_pair_login login = {.mechanism = mechanism, .user = user, .password = password};
	amqp_pair_init(&pair, &worker, &login);
}

Test(amqp_connect, must_55_opens_without_sasl)
{
	connect_as(NULL, NULL, NULL);
	cr_assert(amqp_pair_heard(&pair, "open"));
	cr_assert_eq(worker.open_count, 0);
	pn_connection_close(pair.client.connection);
	amqp_pair_run(&pair);
	cr_assert(amqp_pair_heard(&pair, "close"));
	cr_assert(connect_ended("close_asked"));
}

Test(amqp_connect, must_55_opens_with_anonymous)
{
	connect_as("ANONYMOUS", NULL, NULL);
	cr_assert(amqp_pair_heard(&pair, "open"));
	cr_assert_str_eq(pn_sasl_get_mech(pn_sasl(pair.client.transport)), "ANONYMOUS");
	cr_assert_eq(worker.open_count, 0);
}

Test(amqp_connect, must_55_68_plain_proves_a_device)
{
	connect_as("PLAIN", "dev1@sas.hub", "SharedAccessSignature sr=x");
	cr_assert(amqp_pair_heard(&pair, "open"));
	cr_assert_str_eq(worker.request.device_id, "dev1");
	cr_assert_str_eq(worker.request.token, "SharedAccessSignature sr=x");
	cr_assert_eq(core_double_links_open(&worker), 1);
}

Test(amqp_connect, plain_proves_a_module)
{
	connect_as("PLAIN", "dev1/modules/m1@sas.hub", "SharedAccessSignature sr=x");
	cr_assert(amqp_pair_heard(&pair, "open"));
	cr_assert_str_eq(worker.request.device_id, "dev1");
	cr_assert_str_eq(worker.request.module_id, "m1");
}

Test(amqp_connect, must_68_a_bad_plain_is_outcome_1)
{
	worker.open_status = GH_UNAUTHORIZED;
	connect_as("PLAIN", "dev1@sas.hub", "SharedAccessSignature sr=x");
	cr_assert_eq(pn_sasl_outcome(pn_sasl(pair.client.transport)), PN_SASL_AUTH);
	cr_assert(pair.engine.finished);
	cr_assert_eq(core_double_links_open(&worker), 0);
}

Test(amqp_connect, external_is_offered_to_who_showed_a_certificate)
{
	struct amqp_pair_login login = {.mechanism = "EXTERNAL", .certificate = true};
	amqp_pair_init(&pair, &worker, &login);
	cr_assert(amqp_pair_heard(&pair, "open"));
}

Test(amqp_connect, external_is_offered_to_nobody_else)
{
	connect_as("EXTERNAL", NULL, NULL);
	cr_assert(strstr(pair.words, "open") == NULL, "%s", pair.words);
}

/* ---- by bytes ---- */

static void connect_bytes(const char *text)
{
	gh_bytes bytes = amqp_bytes(text);
	engine_pair_send(&pair.engine, bytes);
	amqp_bytes_free(bytes);
}

static void connect_raw(void)
{
	memset(&pair, 0, sizeof pair);
	engine_pair_init(&pair.engine, &worker, &amqp_transport);
}

#define OPEN "00 00 00 1e 02 00 00 00 00 53 10 c0 (02 a1 ('c') a1 ('HUB.example'))"

static bool connect_got(const char *text)
{
	gh_bytes bytes = amqp_bytes(text);
	struct buf *got = &pair.engine.got;
	bool begins = got->len >= bytes.len && memcmp(got->data, bytes.data, bytes.len) == 0;
	if (begins)
		buf_drop(got, bytes.len);
	amqp_bytes_free(bytes);
	return begins;
}

Test(amqp_connect, must_55_mssbcbs_needs_no_response)
{
	connect_raw();
	connect_bytes("'AMQP' 03 01 00 00");
	cr_assert(connect_got("'AMQP' 03 01 00 00"));
	cr_assert(memmem(pair.engine.got.data, pair.engine.got.len, "MSSBCBS", 7));
	cr_assert(memmem(pair.engine.got.data, pair.engine.got.len, "PLAIN", 5));
	cr_assert(!memmem(pair.engine.got.data, pair.engine.got.len, "EXTERNAL", 8));
	buf_drop(&pair.engine.got, pair.engine.got.len);
	connect_bytes("00 00 00 17 02 01 00 00 00 53 41 c0 (01 a3 ('MSSBCBS'))");
	cr_assert(memmem(pair.engine.got.data, pair.engine.got.len, "\x00\x53\x44", 3), "an outcome");
	buf_drop(&pair.engine.got, pair.engine.got.len);
	connect_bytes("'AMQP' 00 01 00 00");
	connect_bytes(OPEN);
	cr_assert(connect_got("'AMQP' 00 01 00 00"));
	cr_assert(memmem(pair.engine.got.data, pair.engine.got.len, "gatehouse", 9));
}

Test(amqp_connect, must_56_open_may_come_at_once_with_all_before_it)
{
	connect_raw();
	connect_bytes(
		"'AMQP' 03 01 00 00 00 00 00 17 02 01 00 00 00 53 41 c0 (01 a3 ('MSSBCBS')) 'AMQP' 00 01 00 00 " OPEN);
	cr_assert(connect_got("'AMQP' 03 01 00 00"));
	cr_assert(memmem(pair.engine.got.data, pair.engine.got.len, "gatehouse", 9));
	cr_assert(!pair.engine.finished);
	engine_pair_done(&pair.engine);
	connect_raw();
	connect_bytes("'AMQP' 00 01 00 00 " OPEN);
	cr_assert(connect_got("'AMQP' 00 01 00 00"));
	cr_assert(memmem(pair.engine.got.data, pair.engine.got.len, "gatehouse", 9));
}

Test(amqp_connect, another_protocol_is_told_which_one_is_spoken)
{
	static const char *const others[] = {"'GET / HTTP/1.1'", "'AMQP' 00 00 09 01", "'AMQP' 02 01 00 00",
		"16 03 01 00 05 01 00 00 01", "'AMQP' 03 01 00 01"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		connect_raw();
		connect_bytes(others[i]);
		cr_assert(connect_got("'AMQP' 03 01 00 00"), "%s", others[i]);
		cr_assert_eq(pair.engine.got.len, 0, "%s", others[i]);
		cr_assert(connect_ended("amqp_header"), "%s", others[i]);
		engine_pair_done(&pair.engine);
	}
	connect_raw();
}

Test(amqp_connect, a_broken_rule_is_told_with_open_and_close)
{
	connect_raw();
	connect_bytes("'AMQP' 00 01 00 00 00 00 00 0c 02 00 00 00 00 53 11 45");
	cr_assert(connect_got("'AMQP' 00 01 00 00"));
	cr_assert(memmem(pair.engine.got.data, pair.engine.got.len, "amqp:not-allowed", 16));
	cr_assert(connect_ended("amqp_order"));
}

/* ---- what OPEN says ---- */

Test(amqp_connect, open_tells_frame_size_channels_and_half_the_silence)
{
	worker.limits.amqp_idle_ms_max = 480000;
	connect_as(NULL, NULL, NULL);
	cr_assert_eq(pn_transport_get_remote_max_frame(pair.client.transport), worker.limits.amqp_frame_bytes_max);
	cr_assert_eq(pn_transport_get_remote_idle_timeout(pair.client.transport), 240000);
	cr_assert_eq(pn_transport_remote_channel_max(pair.client.transport), worker.limits.amqp_sessions_max - 1);
	cr_assert_str_eq(pn_connection_remote_container(pair.client.connection), "gatehouse");
}

Test(amqp_connect, a_host_name_that_is_none_of_the_hubs_is_not_found)
{
	struct amqp_pair_login login = {.host = "HUB.example.net"};
	worker.host = "hub.example.net";
	amqp_pair_init(&pair, &worker, &login);
	cr_assert(amqp_pair_heard(&pair, "open"));
	amqp_pair_done(&pair);
	login.host = "other.example.net";
	amqp_pair_init(&pair, &worker, &login);
	cr_assert(amqp_pair_heard(&pair, "open close:amqp:not-found"));
	cr_assert(connect_ended("host_unknown"));
}

Test(amqp_connect, an_idle_time_out_of_next_to_nothing_is_refused)
{
	for (uint32_t ms = 1; ms <= worker.limits.amqp_peer_idle_ms_min; ms += 333) {
		struct amqp_pair_login login = {.idle_ms = 2 * ms}; /* it announces half of it */
		amqp_pair_init(&pair, &worker, &login);
		cr_assert(amqp_pair_heard(&pair, ms < 1000 ? "open close:amqp:not-allowed" : "open"), "%u", ms);
		amqp_pair_done(&pair);
	}
	connect_raw();
}

/* ---- time ---- */

Test(amqp_connect, who_proves_nothing_is_closed)
{
	worker.limits.connect_ms_max = 30000;
	connect_as(NULL, NULL, NULL);
	amqp_pair_wait(&pair, 29999);
	cr_assert(amqp_pair_heard(&pair, "open"));
	amqp_pair_wait(&pair, 1);
	cr_assert(amqp_pair_heard(&pair, "close:amqp:unauthorized-access"));
	cr_assert(connect_ended("connect_late"));
}

Test(amqp_connect, who_says_nothing_at_all_is_closed)
{
	worker.limits.connect_ms_max = 30000;
	connect_raw();
	engine_pair_wait(&pair.engine, 30000);
	cr_assert(connect_ended("connect_late"));
}

Test(amqp_connect, must_62_empty_frames_keep_a_client_with_a_short_patience)
{
	struct amqp_pair_login login = {.idle_ms = 240000}; /* it announces half of it */
	amqp_pair_init(&pair, &worker, &login);
	amqp_pair_cbs(&pair);
	cr_assert_eq(amqp_pair_put_token(&pair, "hub.example.net/devices/dev1", "SharedAccessSignature sr=x"), 200);
	amqp_pair_wait(&pair, 3600000);
	cr_assert(amqp_pair_heard(&pair, "open begin attach attach"));
	cr_assert(!pair.engine.finished);
}

Test(amqp_connect, a_peer_that_is_silent_is_dropped)
{
	connect_as("PLAIN", "dev1@sas.hub", "SharedAccessSignature sr=x");
	pair.deaf = true;
	engine_pair_wait(&pair.engine, worker.limits.amqp_idle_ms_max - 1);
	cr_assert(!pair.engine.finished);
	engine_pair_wait(&pair.engine, 1);
	cr_assert(connect_ended("protocol_error"));
	cr_assert_eq(core_double_links_open(&worker), 1, "until it is freed");
}

enum { STAGES = 8 };

static void connect_stage(unsigned stage)
{
	static const char *const texts[] = {"", "'AMQ'", "'P' 03 01 00 00",
		"00 00 00 17 02 01 00 00 00 53 41 c0 (01 a3 ('MSSBCBS'))", "'AMQP' 00 01 00 00", OPEN,
		"00 00 00 16 02 00 00 00 00 53 11 c0 (04 40 43 70 00 00 10 00 43)",
		"00 00 00 22 02 00 00 00 00 53 12 c0 (07 a1 ('s') 43 42 40 40 40 00 53 29 c0 (01 a1 ('$cbs')))"};
	for (unsigned i = 0; i <= stage; i++)
		connect_bytes(texts[i]);
}

Test(amqp_connect, amqp_unproven_places_max_bounds_what_a_stranger_may_open)
{
	worker.limits.amqp_unproven_places_max = 20;
	connect_raw();
	connect_stage(5);
	for (unsigned i = 0; i < 20; i++) {
		char text[100];
		snprintf(text, sizeof text, "00 00 00 16 02 00 00 %02x 00 53 11 c0 (04 40 43 70 00 00 10 00 43)", i);
		connect_bytes(text);
		cr_assert(!pair.engine.finished, "%u", i);
	}
	connect_bytes("00 00 00 16 02 00 00 14 00 53 11 c0 (04 40 43 70 00 00 10 00 43)");
	cr_assert(pair.engine.finished);
	engine_pair_done(&pair.engine);
	connect_raw();
}

/* ---- the end at any moment ---- */

Test(amqp_connect, it_may_be_cut_off_or_freed_at_any_moment)
{
	for (unsigned stage = 0; stage < STAGES; stage++)
		for (unsigned cut = 0; cut < 4; cut++) {
			connect_raw();
			connect_stage(stage);
			cr_assert(!pair.engine.finished, "%u", stage);
			if (cut == 1)
				engine_pair_hang_up(&pair.engine);
			if (cut == 2) {
				pair.engine.engine->ops->drain(pair.engine.engine, pair.engine.now_ms);
				engine_pair_turn(&pair.engine);
			}
			if (cut == 3)
				engine_pair_wait(&pair.engine, worker.limits.connect_ms_max);
			cr_assert(cut == 0 || cut == 2 || pair.engine.finished, "%u %u", stage, cut);
			engine_pair_done(&pair.engine);
		}
	connect_raw();
}
