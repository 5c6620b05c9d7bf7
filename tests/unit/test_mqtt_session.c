/* An open connection: subscriptions, silence, the will, being taken over, stopping, and what it costs to be idle. */
#include "tests/suite.h"

#include "src/base/text.h"
#include "tests/unit/mqtt_pair.h"
#include "transports/mqtt/mqtt.h"
#include "transports/mqtt/mqtt_session.h"
#include "transports/mqtt/mqtt_topic.h"

static gh_worker worker;
static struct engine_pair pair;

#define WILL "00 20 'devices/dev1/messages/events/a=1' 00 04 'gone'"
enum { FLAGS = 0xc2, FLAGS_WILL = 0xc6, FLAGS_WILL_RETAIN = 0xe6 };

static void session_begin(void)
{
	core_double_init(&worker);
	mqtt_pair_init(&pair, &worker);
}

static void session_finish(void)
{
	engine_pair_done(&pair);
	core_double_done(&worker);
	suite_leak_check();
}

TestSuite(mqtt_session, .init = session_begin, .fini = session_finish, .timeout = 60);

static void session_connect(uint8_t flags, uint16_t keepalive_s)
{
	mqtt_pair_connect(&pair, flags, keepalive_s, WILL);
	cr_assert(mqtt_pair_got(&pair, "20 02 00 00"));
}

static bool session_ended(const char *why)
{
	return pair.finished && mqtt_why(pair.engine) && strcmp(mqtt_why(pair.engine), why) == 0;
}

static void session_telemetry(void)
{
	mqtt_pair_packet(&pair, 0x32, "00 1d 'devices/dev1/messages/events/' 00 01 'body'");
}

/* The value of a property of a message, NULL data when it has none of that name. */
static gh_bytes session_property(size_t record, const char *name)
{
	static gh_cursor cursor;
	gh_property property;
	cursor = (gh_cursor){0};
	cr_assert(record < worker.record_count);
	while (gh_message_next(worker.records[record].message, &cursor, &property))
		if (text_equal(property.name, text_of(name)))
			return property.value;
	return (gh_bytes){NULL, 0};
}

static bool session_will_was_published(void)
{
	return worker.record_count == 1 && text_equal(gh_message_body(worker.records[0].message), text_of("gone")) &&
	       text_equal(session_property(0, "iothub-MessageType"), text_of("Will")) &&
	       text_equal(session_property(0, "a"), text_of("1"));
}

/* ---- subscriptions ---- */

Test(mqtt_session, must_53_known_filters_are_granted_their_qos_and_told_to_the_core)
{
	session_connect(FLAGS, 60);
	mqtt_pair_packet(&pair, 0x82,
		"00 01 00 23 'devices/dev1/messages/devicebound/#' 01 "
		"00 12 '$iothub/twin/res/#' 00 00 27 '$iothub/twin/PATCH/properties/desired/#' 02 "
		"00 16 '$iothub/methods/POST/#' 02");
	cr_assert(mqtt_pair_got(&pair, "90 06 00 01 01 00 01 01"), "must_37_ QoS 2 is granted 1");
	const uint8_t *qos = gh_link_subscriptions(worker.links);
	cr_assert(qos[GH_SUB_C2D] == 1 && qos[GH_SUB_TWIN_RESULTS] == 0 && qos[GH_SUB_TWIN_DESIRED] == 1);
	cr_assert(qos[GH_SUB_METHODS] == 1 && qos[GH_SUB_INPUTS] == GH_QOS_NONE);
	cr_assert(worker.subscribe_count == 1);
}

Test(mqtt_session, an_unknown_filter_is_refused_alone_and_changes_nothing)
{
	session_connect(FLAGS, 60);
	mqtt_pair_packet(&pair, 0x82, "00 01 00 01 '#' 01 00 12 '$iothub/twin/res/#' 00");
	cr_assert(mqtt_pair_got(&pair, "90 04 00 01 80 00"));
	mqtt_pair_packet(&pair, 0x82, "00 02 00 09 'test/topic' 00");
	cr_assert(session_ended("packet_malformed"), "a length that lies");
}

Test(mqtt_session, only_unknown_filters_do_not_trouble_the_core)
{
	session_connect(FLAGS, 60);
	mqtt_pair_packet(&pair, 0x82, "00 02 00 0a 'test/topic' 00");
	cr_assert(mqtt_pair_got(&pair, "90 03 00 02 80") && !pair.finished);
	cr_assert(worker.subscribe_count == 0);
}

Test(mqtt_session, a_filter_of_another_identity_closes)
{
	session_connect(FLAGS, 60);
	mqtt_pair_packet(
		&pair, 0x82, "00 01 00 12 '$iothub/twin/res/#' 00 00 23 'devices/dev2/messages/devicebound/#' 01");
	cr_assert(session_ended("filter_foreign") && pair.got.len == 0);
	cr_assert(worker.subscribe_count == 0);
}

Test(mqtt_session, a_filter_that_breaks_the_grammar_closes)
{
	session_connect(FLAGS, 60);
	mqtt_pair_packet(&pair, 0x82, "00 01 00 04 'a/#b' 00");
	cr_assert(session_ended("filter_malformed") && pair.got.len == 0);
}

Test(mqtt_session, suback_waits_until_the_subscription_is_durable_and_keeps_its_place)
{
	session_connect(0xc0, 60);
	session_telemetry();
	worker.subscribe_status = GH_AGAIN;
	mqtt_pair_packet(&pair, 0x82, "00 02 00 12 '$iothub/twin/res/#' 00");
	mqtt_pair_packet(&pair, 0x82, "00 03 00 16 '$iothub/methods/POST/#' 00");
	cr_assert(worker.subscribe_count == 1, "one change at a time");
	core_double_subscribed(worker.links, GH_OK);
	engine_pair_run(&pair);
	cr_assert(pair.got.len == 0, "the publish before it is not stored yet");
	cr_assert(worker.subscribe_count == 2);
	core_double_settle(&worker, 0, GH_OK);
	engine_pair_run(&pair);
	cr_assert(mqtt_pair_got(&pair, "40 02 00 01  90 03 00 02 00"));
	core_double_subscribed(worker.links, GH_OK);
	engine_pair_run(&pair);
	cr_assert(mqtt_pair_got(&pair, "90 03 00 03 00"));
	cr_assert(gh_link_subscriptions(worker.links)[GH_SUB_TWIN_RESULTS] == 0, "the second change kept the first");
}

Test(mqtt_session, a_subscription_that_could_not_be_kept_closes)
{
	session_connect(0xc0, 60);
	worker.subscribe_status = GH_AGAIN;
	mqtt_pair_packet(&pair, 0x82, "00 02 00 12 '$iothub/twin/res/#' 00");
	core_double_subscribed(worker.links, GH_UNAVAILABLE);
	engine_pair_run(&pair);
	cr_assert(session_ended("not_stored") && pair.got.len == 0);
}

Test(mqtt_session, a_subscription_the_core_refuses_closes)
{
	session_connect(0xc0, 60);
	worker.subscribe_status = GH_UNAVAILABLE;
	mqtt_pair_packet(&pair, 0x82, "00 02 00 12 '$iothub/twin/res/#' 00");
	cr_assert(session_ended("subscription_refused") && pair.got.len == 0);
}

Test(mqtt_session, a_subscription_not_durable_in_time_closes)
{
	session_connect(0xc0, 60);
	worker.subscribe_status = GH_AGAIN;
	mqtt_pair_packet(&pair, 0x82, "00 02 00 12 '$iothub/twin/res/#' 00");
	engine_pair_wait(&pair, worker.limits.record_ms_max);
	cr_assert(session_ended("record_late"));
}

Test(mqtt_session, must_53_unsubscribe_is_always_answered)
{
	session_connect(FLAGS, 60);
	mqtt_pair_packet(&pair, 0x82, "00 01 00 12 '$iothub/twin/res/#' 00");
	cr_assert(mqtt_pair_got(&pair, "90 03 00 01 00"));
	mqtt_pair_packet(&pair, 0xa2, "00 02 00 12 '$iothub/twin/res/#'");
	cr_assert(mqtt_pair_got(&pair, "b0 02 00 02"));
	cr_assert(gh_link_subscriptions(worker.links)[GH_SUB_TWIN_RESULTS] == GH_QOS_NONE);
	mqtt_pair_packet(&pair, 0xa2, "00 03 00 12 '$iothub/twin/res/#' 00 04 'test' 00 04 'a/#b'");
	cr_assert(mqtt_pair_got(&pair, "b0 02 00 03"), "not subscribed, unknown, ill formed");
	mqtt_pair_packet(&pair, 0xa2, "00 04 00 23 'devices/dev2/messages/devicebound/#'");
	cr_assert(mqtt_pair_got(&pair, "b0 02 00 04"), "another identity's");
	cr_assert(worker.subscribe_count == 2);
}

Test(mqtt_session, unsubscribe_waits_until_it_is_durable)
{
	session_connect(0xc0, 60);
	mqtt_pair_packet(&pair, 0x82, "00 01 00 12 '$iothub/twin/res/#' 00");
	cr_assert(mqtt_pair_got(&pair, "90 03 00 01 00"));
	worker.subscribe_status = GH_AGAIN;
	mqtt_pair_packet(&pair, 0xa2, "00 02 00 12 '$iothub/twin/res/#'");
	cr_assert(pair.got.len == 0);
	core_double_subscribed(worker.links, GH_OK);
	engine_pair_run(&pair);
	cr_assert(mqtt_pair_got(&pair, "b0 02 00 02"));
}

/* ---- silence ---- */

Test(mqtt_session, a_ping_is_answered_at_once_whatever_waits)
{
	session_connect(FLAGS, 60);
	session_telemetry();
	mqtt_pair_packet(&pair, 0xc0, "");
	cr_assert(mqtt_pair_got(&pair, "d0 00"));
}

struct keepalive_case {
	uint16_t asked_s;
	uint64_t ms;
};

Test(mqtt_session, must_47_silence_ends_the_connection_at_1_5_times_keep_alive)
{
	static const struct keepalive_case rows[] = {
		{1, 1500},
		{60, 90000},
		{180, 270000},
		{1178, 1767000},
		{1177, 1765500},
		{1179, 1767000},
		{65535, 1767000},
		{0, 1767000},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		session_connect(FLAGS, rows[i].asked_s);
		engine_pair_wait(&pair, rows[i].ms - 1);
		cr_assert(!pair.finished, "keep-alive %u", rows[i].asked_s);
		engine_pair_wait(&pair, 1);
		cr_assert(session_ended("keep_alive"), "keep-alive %u", rows[i].asked_s);
		engine_pair_done(&pair);
		mqtt_pair_init(&pair, &worker);
	}
}

Test(mqtt_session, must_47_any_packet_starts_the_silence_anew)
{
	session_connect(FLAGS, 60);
	for (int i = 0; i < 20; i++) {
		engine_pair_wait(&pair, 89999);
		mqtt_pair_packet(&pair, 0xc0, "");
		cr_assert(!pair.finished && mqtt_pair_got(&pair, "d0 00"));
	}
	engine_pair_wait(&pair, 89999);
	cr_assert(!pair.finished);
	engine_pair_wait(&pair, 1);
	cr_assert(session_ended("keep_alive"));
}

Test(mqtt_session, must_47_silence_counts_from_a_late_answer_of_the_core)
{
	worker.open_status = GH_AGAIN;
	mqtt_pair_connect(&pair, FLAGS, 10, NULL);
	engine_pair_wait(&pair, 20000);
	core_double_opened(worker.links, GH_OK, false);
	engine_pair_run(&pair);
	engine_pair_wait(&pair, 14999);
	cr_assert(!pair.finished);
	engine_pair_wait(&pair, 1);
	cr_assert(session_ended("keep_alive"));
}

Test(mqtt_session, a_busy_connection_does_not_move_its_deadline_per_packet)
{
	session_connect(FLAGS, 60);
	session_telemetry();
	core_double_settle_all(&worker, GH_OK);
	engine_pair_run(&pair);
	uint64_t deadline = pair.deadline_ms;
	for (int i = 0; i < 100; i++) {
		engine_pair_wait(&pair, 10);
		session_telemetry();
		core_double_settle_all(&worker, GH_OK);
		engine_pair_run(&pair);
		cr_assert(pair.deadline_ms == deadline);
	}
}

/* ---- the will ---- */

Test(mqtt_session, must_46_a_lost_socket_publishes_the_will)
{
	session_connect(FLAGS_WILL, 60);
	engine_pair_hang_up(&pair);
	cr_assert(session_ended("peer_closed") && session_will_was_published());
	cr_assert(session_property(0, "mqtt-retain").data == NULL);
}

Test(mqtt_session, must_46_a_retained_will_says_so)
{
	session_connect(FLAGS_WILL_RETAIN, 60);
	engine_pair_hang_up(&pair);
	cr_assert(session_will_was_published());
	cr_assert(text_equal(session_property(0, "mqtt-retain"), text_of("true")));
}

Test(mqtt_session, must_46_silence_publishes_the_will)
{
	session_connect(FLAGS_WILL, 60);
	engine_pair_wait(&pair, 90000);
	cr_assert(session_ended("keep_alive") && session_will_was_published());
}

Test(mqtt_session, must_46_misuse_publishes_the_will)
{
	session_connect(FLAGS_WILL, 60);
	mqtt_pair_packet(&pair, 0x34, "00 1d 'devices/dev1/messages/events/' 00 01");
	cr_assert(session_ended("qos_2") && session_will_was_published());
}

Test(mqtt_session, must_46_disconnect_drops_the_will)
{
	session_connect(FLAGS_WILL, 60);
	mqtt_pair_packet(&pair, 0xe0, "");
	engine_pair_hang_up(&pair);
	cr_assert(session_ended("disconnect") && worker.submit_count == 0);
}

Test(mqtt_session, nothing_behind_disconnect_is_looked_at)
{
	struct buf bytes = {0};
	session_connect(FLAGS_WILL, 60);
	mqtt_packet(&bytes, 0xe0, "");
	mqtt_packet(&bytes, 0x30, "00 1d 'devices/dev1/messages/events/' 'body'");
	engine_pair_send(&pair, buf_bytes(&bytes));
	cr_assert(session_ended("disconnect") && worker.submit_count == 0 && pair.held.len == 0);
	buf_done(&bytes);
}

Test(mqtt_session, an_engine_freed_while_open_publishes_the_will)
{
	session_connect(FLAGS_WILL, 60);
	engine_pair_done(&pair);
	cr_assert(session_will_was_published());
	mqtt_pair_init(&pair, &worker);
}

Test(mqtt_session, a_will_that_finds_no_room_waits_for_it)
{
	session_connect(FLAGS_WILL, 60);
	worker.submit_status = GH_AGAIN;
	engine_pair_hang_up(&pair);
	cr_assert(!pair.finished && worker.record_count == 0);
	engine_pair_wait(&pair, 1000);
	core_double_writable(worker.links);
	engine_pair_run(&pair);
	cr_assert(session_ended("peer_closed") && session_will_was_published());
}

Test(mqtt_session, a_will_that_never_finds_room_does_not_keep_the_connection)
{
	session_connect(FLAGS_WILL, 60);
	worker.submit_status = GH_AGAIN;
	session_telemetry();
	engine_pair_hang_up(&pair);
	cr_assert(!pair.finished && worker.submit_count == 1, "not asked again before the core says so");
	engine_pair_wait(&pair, worker.limits.record_ms_max);
	cr_assert(session_ended("peer_closed") && core_double_links_open(&worker) == 0);
}

struct revoke_case {
	gh_status why;
	bool will;
};

Test(mqtt_session, must_36_taken_over_closes_and_publishes_the_will_but_no_will_outlives_its_credential)
{
	static const struct revoke_case rows[] = {
		{GH_TAKEN_OVER, true},
		{GH_UNAVAILABLE, true},
		{GH_UNAUTHORIZED, false},
		{GH_DISABLED, false},
		{GH_NOT_FOUND, false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t records = worker.record_count;
		session_connect(FLAGS_WILL, 60);
		core_double_revoke(worker.links, rows[i].why);
		engine_pair_run(&pair);
		cr_assert(pair.finished && pair.got.len == 0, "%s", gh_status_name(rows[i].why));
		cr_assert(worker.record_count == records + rows[i].will, "%s", gh_status_name(rows[i].why));
		engine_pair_done(&pair);
		mqtt_pair_init(&pair, &worker);
	}
}

Test(mqtt_session, threat_33_a_revoked_link_with_a_will_and_a_full_core_ends_at_once)
{
	session_connect(FLAGS_WILL, 60);
	session_telemetry();
	worker.submit_status = GH_AGAIN;
	session_telemetry();
	core_double_revoke(worker.links, GH_TAKEN_OVER);
	engine_pair_run(&pair);
	cr_assert(session_ended("taken_over") && core_double_links_open(&worker) == 0);
}

Test(mqtt_session, threat_33_a_link_revoked_while_its_will_waits_ends)
{
	session_connect(FLAGS_WILL, 60);
	worker.submit_status = GH_AGAIN;
	engine_pair_hang_up(&pair);
	core_double_revoke(worker.links, GH_DISABLED);
	engine_pair_run(&pair);
	cr_assert(pair.finished && worker.record_count == 0);
}

/* ---- stopping ---- */

Test(mqtt_session, a_drained_connection_answers_what_it_took_and_publishes_its_will)
{
	session_connect(FLAGS_WILL, 60);
	session_telemetry();
	pair.engine->ops->drain(pair.engine, pair.now_ms);
	engine_pair_turn(&pair);
	session_telemetry();
	cr_assert(!pair.finished && worker.record_count == 1, "nothing new is taken");
	core_double_settle(&worker, 0, GH_OK);
	engine_pair_run(&pair);
	cr_assert(mqtt_pair_got(&pair, "40 02 00 01"));
	cr_assert(session_ended("drained") && worker.record_count == 2);
}

Test(mqtt_session, a_drained_connection_waits_for_messages_without_an_answer_too)
{
	session_connect(FLAGS, 60);
	mqtt_pair_packet(&pair, 0x30, "00 1d 'devices/dev1/messages/events/' 'body'");
	pair.engine->ops->drain(pair.engine, pair.now_ms);
	engine_pair_turn(&pair);
	cr_assert(!pair.finished);
	core_double_settle(&worker, 0, GH_OK);
	engine_pair_run(&pair);
	cr_assert(session_ended("drained"));
}

Test(mqtt_session, an_idle_or_unborn_connection_drains_at_once)
{
	pair.engine->ops->drain(pair.engine, pair.now_ms);
	engine_pair_turn(&pair);
	cr_assert(session_ended("drained"));
	engine_pair_done(&pair);
	mqtt_pair_init(&pair, &worker);
	session_connect(FLAGS, 60);
	pair.engine->ops->drain(pair.engine, pair.now_ms);
	engine_pair_turn(&pair);
	cr_assert(session_ended("drained"));
}

/* ---- bounds ---- */

Test(mqtt_session, threat_39_a_client_that_fetches_nothing_is_not_read_beyond_output_bytes_max)
{
	struct buf pings = {0};
	session_connect(FLAGS, 60);
	for (int i = 0; i < 50000; i++)
		mqtt_packet(&pings, 0xc0, "");
	pair.reading = false;
	engine_pair_send(&pair, buf_bytes(&pings));
	cr_assert(pair.engine->ops->output(pair.engine).len == worker.limits.mqtt_output_bytes_max);
	cr_assert(pair.held.len == pings.len - worker.limits.mqtt_output_bytes_max);
	pair.reading = true;
	engine_pair_turn(&pair);
	cr_assert(pair.got.len == 100000 && pair.held.len == 0);
	buf_done(&pings);
}

static const struct mqtt_session *session_inside(void)
{
	return (const struct mqtt_session *)(pair.engine + 1);
}

Test(mqtt_session, an_idle_connection_costs_at_most_250_bytes)
{
	session_connect(FLAGS, 0);
	const struct mqtt_session *s = session_inside();
	cr_assert(s->worker == &worker, "the session stands behind the engine's head");
	cr_assert(!s->in.data && !s->out.data && !s->answers.ring && !s->will);
	size_t id = sizeof *s->identity + s->identity->device_len;
	cr_assert(sizeof(gh_engine) + sizeof *s + 8 + (id + 8 + 15) / 16 * 16 <= 250, "%zu", sizeof *s);
}

Test(mqtt_session, a_connection_that_fell_silent_gives_its_memory_back)
{
	session_connect(FLAGS, 0);
	for (int i = 0; i < 40; i++)
		session_telemetry();
	core_double_settle_all(&worker, GH_OK);
	engine_pair_run(&pair);
	cr_assert(session_inside()->answers.ring && session_inside()->out.data);
	engine_pair_wait(&pair, worker.limits.record_ms_max);
	cr_assert(!session_inside()->answers.ring && !session_inside()->out.data && !session_inside()->in.data);
}

Test(mqtt_session, a_puback_for_nothing_is_harmless)
{
	session_connect(FLAGS, 60);
	mqtt_pair_packet(&pair, 0x40, "00 09");
	cr_assert(!pair.finished && pair.got.len == 0);
}

Test(mqtt_session, an_engine_may_be_freed_at_any_moment)
{
	pair.engine->ops->free(NULL);
	static const uint8_t part[] = {0x10, 0x20, 0x00};
	engine_pair_send(&pair, (gh_bytes){part, sizeof part});
	engine_pair_done(&pair);
	mqtt_pair_init(&pair, &worker);
	worker.open_status = GH_AGAIN;
	mqtt_pair_connect(&pair, FLAGS_WILL, 60, WILL);
	engine_pair_done(&pair);
	cr_assert(core_double_links_open(&worker) == 0);
	mqtt_pair_init(&pair, &worker);
}
