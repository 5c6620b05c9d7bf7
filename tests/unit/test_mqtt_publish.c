/* PUBLISH to PUBACK: acknowledged in order, only when stored, and slowed down when the core has no room. */
#include "tests/suite.h"

#include "src/base/text.h"
#include "tests/unit/mqtt_pair.h"
#include "transports/mqtt/mqtt.h"

#include <stdio.h>

static gh_worker worker;
static struct engine_pair pair;

static void publish_begin(void)
{
	core_double_init(&worker);
	mqtt_pair_init(&pair, &worker);
	mqtt_pair_connect(&pair, 0xc2, 60, NULL);
	cr_assert(mqtt_pair_got(&pair, "20 02 00 00"));
}

static void publish_end(void)
{
	engine_pair_done(&pair);
	core_double_done(&worker);
	suite_leak_check();
}

TestSuite(mqtt_publish, .init = publish_begin, .fini = publish_end, .timeout = 60);

static bool publish_ended(const char *why)
{
	return pair.finished && mqtt_why(pair.engine) && strcmp(mqtt_why(pair.engine), why) == 0;
}

static void publish_id(uint16_t id)
{
	char body[100];
	snprintf(body, sizeof body, "00 1d 'devices/dev1/messages/events/' %02x %02x 'body'", id >> 8, id & 0xff);
	mqtt_pair_packet(&pair, 0x32, body);
}

/* The value of an application property of the last message, "" when it has none of that name. */
static bool publish_last_has(const char *name, const char *value)
{
	gh_cursor cursor = {0};
	gh_property property;
	cr_assert(worker.record_count > 0);
	while (gh_message_next(worker.records[worker.record_count - 1].message, &cursor, &property))
		if (text_equal(property.name, text_of(name)))
			return text_equal(property.value, text_of(value));
	return value[0] == '\0';
}

Test(mqtt_publish, qos_1_is_acknowledged_only_after_it_is_stored)
{
	publish_id(7);
	cr_assert(worker.record_count == 1 && pair.got.len == 0);
	cr_assert(text_equal(gh_message_body(worker.records[0].message), text_of("body")));
	cr_assert(text_equal(gh_message_device_id(worker.records[0].message), text_of("dev1")));
	core_double_settle(&worker, 0, GH_OK);
	engine_pair_run(&pair);
	cr_assert(mqtt_pair_got(&pair, "40 02 00 07"));
}

Test(mqtt_publish, qos_0_is_stored_and_not_answered)
{
	mqtt_pair_packet(&pair, 0x30, "00 1d 'devices/dev1/messages/events/' 'body'");
	core_double_settle(&worker, 0, GH_OK);
	engine_pair_run(&pair);
	cr_assert(worker.record_count == 1 && pair.got.len == 0 && !pair.finished);
}

Test(mqtt_publish, answers_keep_the_order_of_the_publishes_whatever_the_order_of_storing)
{
	for (uint16_t id = 1; id <= 4; id++)
		publish_id(id);
	core_double_settle(&worker, 3, GH_OK);
	core_double_settle(&worker, 1, GH_OK);
	engine_pair_run(&pair);
	cr_assert(pair.got.len == 0);
	core_double_settle(&worker, 0, GH_OK);
	engine_pair_run(&pair);
	cr_assert(mqtt_pair_got(&pair, "40 02 00 01  40 02 00 02"));
	core_double_settle(&worker, 2, GH_OK);
	engine_pair_run(&pair);
	cr_assert(mqtt_pair_got(&pair, "40 02 00 03  40 02 00 04"));
}

Test(mqtt_publish, many_acknowledgements_wake_the_wire_once)
{
	for (uint16_t id = 1; id <= 50; id++)
		publish_id(id);
	size_t wakes = pair.wake_count;
	core_double_settle_all(&worker, GH_OK);
	cr_assert(pair.wake_count == wakes + 1);
	engine_pair_run(&pair);
	cr_assert(pair.got.len == 50 * 4);
}

Test(mqtt_publish, threat_34_one_packet_id_used_again_and_again_is_answered_each_time)
{
	for (int i = 0; i < 3; i++)
		publish_id(7);
	core_double_settle_all(&worker, GH_OK);
	engine_pair_run(&pair);
	cr_assert(mqtt_pair_got(&pair, "40 02 00 07  40 02 00 07  40 02 00 07"));
}

Test(mqtt_publish, a_message_that_was_not_stored_closes_and_is_never_acknowledged)
{
	for (gh_status status = GH_OK + 1; status < GH_STATUS_COUNT; status++) {
		size_t first = worker.record_count;
		publish_id(1);
		publish_id(2);
		core_double_settle(&worker, first + 1, GH_OK);
		core_double_settle(&worker, first, status);
		engine_pair_run(&pair);
		cr_assert(pair.got.len == 0, "%s", gh_status_name(status));
		cr_assert(publish_ended("not_stored"), "%s", gh_status_name(status));
		engine_pair_done(&pair);
		mqtt_pair_init(&pair, &worker);
		mqtt_pair_connect(&pair, 0xc2, 60, NULL);
		cr_assert(mqtt_pair_got(&pair, "20 02 00 00"));
	}
}

Test(mqtt_publish, what_was_stored_before_a_failure_is_still_acknowledged)
{
	publish_id(1);
	publish_id(2);
	core_double_settle(&worker, 0, GH_OK);
	core_double_settle(&worker, 1, GH_UNKNOWN);
	engine_pair_run(&pair);
	cr_assert(mqtt_pair_got(&pair, "40 02 00 01"));
	cr_assert(publish_ended("not_stored"));
}

Test(mqtt_publish, a_message_not_settled_within_record_ms_max_closes_without_an_acknowledgement)
{
	publish_id(1);
	engine_pair_wait(&pair, worker.limits.record_ms_max - 1);
	cr_assert(!pair.finished);
	engine_pair_wait(&pair, 1);
	cr_assert(publish_ended("record_late") && pair.got.len == 0);
	core_double_settle_all(&worker, GH_OK);
}

Test(mqtt_publish, the_deadline_is_that_of_the_oldest_message)
{
	publish_id(1);
	engine_pair_wait(&pair, 6000);
	publish_id(2);
	core_double_settle(&worker, 0, GH_OK);
	engine_pair_run(&pair);
	engine_pair_wait(&pair, worker.limits.record_ms_max - 1);
	cr_assert(!pair.finished, "the first was in time");
	engine_pair_wait(&pair, 1);
	cr_assert(publish_ended("record_late"), "the second was not");
}

Test(mqtt_publish, no_room_holds_the_packet_and_stops_reading_until_there_is)
{
	worker.submit_status = GH_AGAIN;
	publish_id(1);
	publish_id(2);
	mqtt_pair_packet(&pair, 0xc0, "");
	cr_assert(worker.submit_count == 1 && worker.record_count == 0, "asked once");
	cr_assert(pair.held.len > 0 && pair.got.len == 0);
	core_double_writable(worker.links);
	engine_pair_run(&pair);
	cr_assert(worker.record_count == 2 && pair.held.len == 0);
	cr_assert(mqtt_pair_got(&pair, "d0 00"));
	core_double_settle_all(&worker, GH_OK);
	engine_pair_run(&pair);
	cr_assert(mqtt_pair_got(&pair, "40 02 00 01  40 02 00 02"));
}

Test(mqtt_publish, no_room_is_not_asked_again_before_the_core_says_so)
{
	publish_id(1);
	worker.submit_status = GH_AGAIN;
	publish_id(2);
	core_double_settle(&worker, 0, GH_OK);
	engine_pair_run(&pair);
	cr_assert(mqtt_pair_got(&pair, "40 02 00 01") && worker.submit_count == 2);
}

Test(mqtt_publish, no_room_for_a_packet_that_came_in_pieces_loses_nothing)
{
	struct buf bytes = {0};
	mqtt_packet(&bytes, 0x32, "00 1d 'devices/dev1/messages/events/' 00 01 'body'");
	worker.submit_status = GH_AGAIN;
	for (size_t i = 0; i < bytes.len; i++)
		engine_pair_send(&pair, (gh_bytes){bytes.data + i, 1});
	cr_assert(worker.submit_count == 1 && pair.held.len == 1, "the last byte stays with the wire");
	core_double_writable(worker.links);
	engine_pair_run(&pair);
	cr_assert(worker.record_count == 1);
	cr_assert(text_equal(gh_message_body(worker.records[0].message), text_of("body")));
	buf_done(&bytes);
}

Test(mqtt_publish, at_inflight_in_max_nothing_is_read_until_something_settles)
{
	size_t max = worker.limits.mqtt_inflight_in_max;
	for (uint16_t id = 1; id <= max + 2; id++)
		publish_id(id);
	cr_assert(worker.record_count == max, "%zu", worker.record_count);
	core_double_settle(&worker, 1, GH_OK);
	engine_pair_run(&pair);
	cr_assert(worker.record_count == max, "the oldest still waits");
	core_double_settle(&worker, 0, GH_OK);
	engine_pair_run(&pair);
	cr_assert(worker.record_count == max + 2);
}

Test(mqtt_publish, qos_0_counts_against_inflight_in_max)
{
	size_t max = worker.limits.mqtt_inflight_in_max;
	for (size_t i = 0; i <= max; i++)
		mqtt_pair_packet(&pair, 0x30, "00 1d 'devices/dev1/messages/events/' 'body'");
	cr_assert(worker.record_count == max);
}

Test(mqtt_publish, a_client_that_is_not_read_is_not_dropped_for_its_silence)
{
	worker.submit_status = GH_AGAIN;
	publish_id(1);
	engine_pair_wait(&pair, 10 * 90000);
	cr_assert(!pair.finished);
	core_double_writable(worker.links);
	engine_pair_run(&pair);
	cr_assert(worker.record_count == 1);
	core_double_settle_all(&worker, GH_OK);
	engine_pair_run(&pair);
	engine_pair_wait(&pair, 89999);
	cr_assert(!pair.finished);
	engine_pair_wait(&pair, 1);
	cr_assert(publish_ended("keep_alive"));
}

Test(mqtt_publish, must_43_retain_and_dup_become_facts_of_the_message)
{
	mqtt_pair_packet(&pair, 0x3b, "00 1d 'devices/dev1/messages/events/' 00 01 'body'");
	cr_assert(publish_last_has("mqtt-retain", "true") && publish_last_has("mqtt-dup", "true"));
	publish_id(2);
	cr_assert(publish_last_has("mqtt-retain", "") && publish_last_has("mqtt-dup", ""));
}

struct publish_bag {
	const char *topic;
};

Test(mqtt_publish, must_40_every_spelling_of_the_topic_yields_the_same_properties)
{
	static const struct publish_bag bags[] = {
		{"00 20 'devices/dev1/messages/events/a=1'"},
		{"00 21 'devices/dev1/messages/events/?a=1'"},
		{"00 21 'devices/dev1/messages/events/a=1/'"},
		{"00 22 'devices/dev1/messages/events/?a=1/'"},
	};
	for (size_t i = 0; i < sizeof bags / sizeof *bags; i++) {
		mqtt_pair_packet(&pair, 0x30, bags[i].topic);
		cr_assert(worker.record_count == i + 1, "%s", bags[i].topic);
		cr_assert(publish_last_has("a", "1"), "%s", bags[i].topic);
	}
	mqtt_pair_packet(&pair, 0x30, "00 1c 'devices/dev1/messages/events'");
	cr_assert(worker.record_count == sizeof bags / sizeof *bags + 1, "no final slash");
}

Test(mqtt_publish, must_41_raw_slash_and_plus_stay_in_the_value)
{
	mqtt_pair_packet(&pair, 0x30, "00 28 'devices/dev1/messages/events/a=x/y+z%20w'");
	cr_assert(publish_last_has("a", "x/y+z w"));
}

struct publish_case {
	const char *name;
	uint8_t first;
	const char *body, *why;
};

Test(mqtt_publish, what_may_not_be_published_closes_and_reaches_nobody)
{
	static const struct publish_case rows[] = {
		{"must_37 QoS 2", 0x34, "00 1d 'devices/dev1/messages/events/' 00 01 'body'", "qos_2"},
		{"must_37 PUBREL", 0x62, "00 01", "qos_2"},
		{"PUBREC", 0x50, "00 01", "qos_2"},
		{"PUBCOMP", 0x70, "00 01", "qos_2"},
		{"must_38 another device", 0x32, "00 1d 'devices/dev2/messages/events/' 00 01", "topic_unknown"},
		{"must_38 a module of the device", 0x32, "00 27 'devices/dev1/modules/m/messages/events/' 00 01",
			"topic_unknown"},
		{"must_38 an unknown topic", 0x30, "00 04 'test'", "topic_unknown"},
		{"threat_44 a $ topic", 0x30, "00 0b '$SYS/broker'", "topic_unknown"},
		{"threat_44 $ alone", 0x30, "00 01 '$'", "topic_unknown"},
		{"threat_04 an empty topic", 0x30, "00 00", "packet_malformed"},
		{"QoS 3", 0x36, "00 01 't' 00 01", "packet_malformed"},
		{"MQTT-3.3.1-2 DUP at QoS 0", 0x38, "00 01 't'", "packet_malformed"},
		{"packet id 0", 0x32, "00 1d 'devices/dev1/messages/events/' 00 00", "packet_malformed"},
		{"a property that is not UTF-8", 0x30, "00 22 'devices/dev1/messages/events/a=%ff'", "message_refused"},
		{"threat_03 CONNACK", 0x20, "00 00", "packet_malformed"},
		{"threat_03 SUBACK", 0x90, "00 01 00", "packet_malformed"},
		{"threat_03 UNSUBACK", 0xb0, "00 01", "packet_malformed"},
		{"threat_03 PINGRESP", 0xd0, "", "packet_malformed"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		mqtt_pair_packet(&pair, rows[i].first, rows[i].body);
		cr_assert(publish_ended(rows[i].why), "%s: %s", rows[i].name, mqtt_why(pair.engine));
		cr_assert(pair.got.len == 0, "%s is not answered", rows[i].name);
		engine_pair_done(&pair);
		mqtt_pair_init(&pair, &worker);
		mqtt_pair_connect(&pair, 0xc2, 60, NULL);
		cr_assert(mqtt_pair_got(&pair, "20 02 00 00"));
	}
	cr_assert(worker.submit_count == 0);
}

Test(mqtt_publish, a_message_the_core_refuses_closes)
{
	worker.submit_status = GH_TOO_LARGE;
	publish_id(1);
	cr_assert(publish_ended("message_refused") && pair.got.len == 0);
}

/* A publish of that many body bytes, cut into reads of 4 KB. */
static void publish_large(size_t body_len)
{
	struct buf bytes = {0};
	size_t remaining = 2 + 29 + body_len;
	buf_put_u8(&bytes, 0x30);
	for (; remaining >= 0x80; remaining >>= 7)
		buf_put_u8(&bytes, (uint8_t)(remaining | 0x80));
	buf_put_u8(&bytes, (uint8_t)remaining);
	mqtt_bytes(&bytes, "00 1d 'devices/dev1/messages/events/'");
	cr_assert(buf_reserve(&bytes, body_len));
	memset(bytes.data + bytes.len, 'b', body_len);
	bytes.len += body_len;
	for (size_t at = 0; at < bytes.len; at += 4096)
		engine_pair_send(&pair, (gh_bytes){bytes.data + at, bytes.len - at < 4096 ? bytes.len - at : 4096});
	buf_done(&bytes);
}

Test(mqtt_publish, must_52_a_packet_of_262144_is_taken_and_one_more_is_not)
{
	publish_large(262144 - 31);
	cr_assert(!pair.finished && worker.record_count == 1);
	cr_assert(gh_message_body(worker.records[0].message).len == 262144 - 31);
	publish_large(262144 - 30);
	cr_assert(publish_ended("packet_too_large") && worker.record_count == 1);
}

Test(mqtt_publish, must_52_a_message_over_the_counted_size_closes)
{
	worker.limits.message_bytes_max = 1024;
	publish_large(1024);
	cr_assert(worker.record_count == 1);
	publish_large(1025);
	cr_assert(publish_ended("message_refused") && worker.record_count == 1);
}

Test(mqtt_publish, must_39_twin_and_method_publishes_at_qos_1_are_acknowledged_in_their_turn)
{
	publish_id(1);
	mqtt_pair_packet(&pair, 0x32, "00 17 '$iothub/twin/GET/?$rid=' 00 02 ' '");
	mqtt_pair_packet(&pair, 0x32, "00 31 '$iothub/twin/PATCH/properties/reported/?$rid=2abc' 00 03 '{}'");
	mqtt_pair_packet(&pair, 0x32, "00 1f '$iothub/methods/res/200/?$rid=1' 00 04 '{}'");
	mqtt_pair_packet(&pair, 0x30, "00 1f '$iothub/methods/res/200/?$rid=2' '{}'");
	cr_assert(pair.got.len == 0 && !pair.finished);
	core_double_settle(&worker, 0, GH_OK);
	engine_pair_run(&pair);
	cr_assert(mqtt_pair_got(&pair, "40 02 00 01  40 02 00 02  40 02 00 03  40 02 00 04"));
	cr_assert(worker.record_count == 1, "they are no telemetry");
}
