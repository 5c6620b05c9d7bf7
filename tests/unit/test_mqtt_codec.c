/* The MQTT codec: each packet whole, and cut at every length; what a client must not send. */
#include "tests/suite.h"

#include "src/base/limits.h"
#include "src/base/text.h"
#include "tests/unit/mqtt_pair.h"
#include "transports/mqtt/mqtt_codec.h"

#include <stdlib.h>

SUITE(mqtt_codec);

static gh_limits limits;

/* Parses a copy of exactly that length, so that a sanitizer sees any step beyond it. */
static gh_status codec_parse(gh_bytes bytes, struct mqtt_packet *ret_packet, size_t *ret_used)
{
	limits_defaults(&limits);
	uint8_t *exact = malloc(bytes.len ? bytes.len : 1);
	cr_assert(exact != NULL);
	if (bytes.len)
		memcpy(exact, bytes.data, bytes.len);
	gh_status status = mqtt_codec_next((gh_bytes){exact, bytes.len}, &limits, ret_packet, ret_used);
	free(exact);
	return status;
}

struct codec_case {
	const char *name;
	uint8_t first;
	const char *body;
	gh_status status;
};

static const struct codec_case cases[] = {
	{"CONNECT, least", 0x10, "00 04 'MQTT' 04 02 00 3c 00 04 'dev1'", GH_OK},
	{"CONNECT with all fields", 0x10,
		"00 04 'MQTT' 04 ec 00 3c 00 01 'd' 00 01 'w' 00 02 ff 00 00 01 'u' 00 01 'p'", GH_OK},
	{"CONNECT with empty client id", 0x10, "00 04 'MQTT' 04 02 00 3c 00 00", GH_OK},
	{"CONNECT level 3, other layout", 0x10, "00 06 'MQIsdp' 03 ff", GH_OK},
	{"CONNECT level 5, other layout", 0x10, "00 04 'MQTT' 05 ff ff", GH_OK},
	{"CONNECT level 6, nothing more", 0x10, "00 04 'MQTT' 06", GH_OK},
	{"MQTT-2.2.2-2 CONNECT flags", 0x11, "00 04 'MQTT' 04 02 00 3c 00 04 'dev1'", GH_MALFORMED},
	{"MQTT-3.1.2-1 other protocol name", 0x10, "00 04 'HTTP' 04 02 00 3c 00 04 'dev1'", GH_MALFORMED},
	{"MQTT-3.1.2-3 reserved connect flag", 0x10, "00 04 'MQTT' 04 03 00 3c 00 04 'dev1'", GH_MALFORMED},
	{"MQTT-3.1.2-13 will QoS without will", 0x10, "00 04 'MQTT' 04 0a 00 3c 00 04 'dev1'", GH_MALFORMED},
	{"MQTT-3.1.2-14 will QoS 3", 0x10, "00 04 'MQTT' 04 1e 00 3c 00 04 'dev1' 00 01 'w' 00 00", GH_MALFORMED},
	{"MQTT-3.1.2-15 will retain without will", 0x10, "00 04 'MQTT' 04 22 00 3c 00 04 'dev1'", GH_MALFORMED},
	{"MQTT-3.1.2-22 password without user name", 0x10, "00 04 'MQTT' 04 42 00 3c 00 04 'dev1' 00 01 'p'",
		GH_MALFORMED},
	{"MQTT-4.7.3-1 empty will topic", 0x10, "00 04 'MQTT' 04 06 00 3c 00 04 'dev1' 00 00 00 00", GH_MALFORMED},
	{"CONNECT with bytes behind its last field", 0x10, "00 04 'MQTT' 04 02 00 3c 00 04 'dev1' 00", GH_MALFORMED},
	{"CONNECT whose client id passes its end", 0x10, "00 04 'MQTT' 04 02 00 3c 00 05 'dev1'", GH_MALFORMED},
	{"CONNECT that lacks its password", 0x10, "00 04 'MQTT' 04 c2 00 3c 00 01 'd' 00 01 'u'", GH_MALFORMED},
	{"CONNECT too short for a level", 0x10, "00 04 'MQTT'", GH_MALFORMED},
	{"CONNECT of nothing", 0x10, "", GH_MALFORMED},
	{"MQTT-1.5.3-1 client id not UTF-8", 0x10, "00 04 'MQTT' 04 02 00 3c 00 02 c3 28", GH_MALFORMED},
	{"MQTT-1.5.3-1 client id with a surrogate", 0x10, "00 04 'MQTT' 04 02 00 3c 00 03 ed a0 80", GH_MALFORMED},
	{"MQTT-1.5.3-2 client id with NUL", 0x10, "00 04 'MQTT' 04 02 00 3c 00 03 'a' 00 'b'", GH_MALFORMED},
	{"PUBLISH QoS 0", 0x30, "00 01 't' 'body'", GH_OK},
	{"PUBLISH QoS 1, DUP and RETAIN", 0x3b, "00 01 't' 00 01 'body'", GH_OK},
	{"PUBLISH QoS 2 is well formed", 0x34, "00 01 't' 00 01", GH_OK},
	{"PUBLISH with empty body", 0x30, "00 01 't'", GH_OK},
	{"PUBLISH topic with + and #", 0x30, "00 0d 'devices/a+b/#'", GH_OK},
	{"MQTT-3.3.1-2 DUP must be 0 for QoS 0", 0x38, "00 01 't'", GH_MALFORMED},
	{"MQTT-3.3.1-4 QoS 3", 0x36, "00 01 't' 00 01", GH_MALFORMED},
	{"MQTT-4.7.3-1 empty topic", 0x30, "00 00 'body'", GH_MALFORMED},
	{"MQTT-2.3.1-1 packet id 0", 0x32, "00 01 't' 00 00", GH_MALFORMED},
	{"PUBLISH QoS 1 without packet id", 0x32, "00 01 't'", GH_MALFORMED},
	{"PUBLISH whose topic passes its end", 0x30, "00 05 'ab' 'c'", GH_MALFORMED},
	{"MQTT-1.5.3-2 topic with NUL", 0x30, "00 03 'a' 00 'b'", GH_MALFORMED},
	{"PUBACK", 0x40, "00 01", GH_OK},
	{"PUBACK id 0", 0x40, "00 00", GH_MALFORMED},
	{"PUBACK too short", 0x40, "00", GH_MALFORMED},
	{"PUBACK too long", 0x40, "00 01 00", GH_MALFORMED},
	{"PUBREC", 0x50, "00 01", GH_OK},
	{"PUBREL", 0x62, "00 01", GH_OK},
	{"MQTT-3.6.1-1 PUBREL flags", 0x60, "00 01", GH_MALFORMED},
	{"PUBCOMP", 0x70, "00 01", GH_OK},
	{"SUBSCRIBE with two filters", 0x82, "00 01 00 01 'a' 00 00 03 'b/#' 02", GH_OK},
	{"MQTT-3.8.1-1 SUBSCRIBE flags", 0x80, "00 01 00 01 'a' 00", GH_MALFORMED},
	{"MQTT-3.8.3-3 SUBSCRIBE without a filter", 0x82, "00 01", GH_MALFORMED},
	{"MQTT-3.8.3-4 requested QoS 3", 0x82, "00 01 00 01 'a' 03", GH_MALFORMED},
	{"MQTT-3.8.3-4 reserved bits of the requested QoS", 0x82, "00 01 00 01 'a' 41", GH_MALFORMED},
	{"SUBSCRIBE with an empty filter", 0x82, "00 01 00 00 00 00", GH_MALFORMED},
	{"SUBSCRIBE whose QoS is missing", 0x82, "00 01 00 02 'ab'", GH_MALFORMED},
	{"SUBSCRIBE id 0", 0x82, "00 00 00 01 'a' 00", GH_MALFORMED},
	{"UNSUBSCRIBE", 0xa2, "00 01 00 01 'a'", GH_OK},
	{"MQTT-3.10.3-2 UNSUBSCRIBE without a filter", 0xa2, "00 01", GH_MALFORMED},
	{"UNSUBSCRIBE flags", 0xa0, "00 01 00 01 'a'", GH_MALFORMED},
	{"PINGREQ", 0xc0, "", GH_OK},
	{"PINGREQ with a body", 0xc0, "00", GH_MALFORMED},
	{"PINGREQ flags", 0xc1, "", GH_MALFORMED},
	{"DISCONNECT", 0xe0, "", GH_OK},
	{"DISCONNECT with a body", 0xe0, "00", GH_MALFORMED},
	{"threat_03 type 0", 0x00, "", GH_MALFORMED},
	{"threat_03 CONNACK", 0x20, "00 00", GH_MALFORMED},
	{"threat_03 SUBACK", 0x90, "00 01 00", GH_MALFORMED},
	{"threat_03 UNSUBACK", 0xb0, "00 01", GH_MALFORMED},
	{"threat_03 PINGRESP", 0xd0, "", GH_MALFORMED},
	{"threat_03 AUTH or type 15", 0xf0, "", GH_MALFORMED},
};

Test(mqtt_codec, each_packet_is_judged_by_the_table)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf bytes = {0};
		struct mqtt_packet packet;
		size_t used;
		mqtt_packet(&bytes, cases[i].first, cases[i].body);
		gh_status status = codec_parse(buf_bytes(&bytes), &packet, &used);
		cr_assert(status == cases[i].status, "%s: %s", cases[i].name, gh_status_name(status));
		if (status == GH_OK) {
			cr_assert(used == bytes.len, "%s: all of it is used", cases[i].name);
			cr_assert(packet.type == cases[i].first >> 4, "%s: type", cases[i].name);
		}
		buf_done(&bytes);
	}
}

Test(mqtt_codec, a_packet_cut_anywhere_is_never_taken)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf bytes = {0};
		struct mqtt_packet packet;
		size_t used;
		mqtt_packet(&bytes, cases[i].first, cases[i].body);
		for (size_t len = 0; len < bytes.len; len++) {
			gh_status status = codec_parse((gh_bytes){bytes.data, len}, &packet, &used);
			cr_assert(status == GH_AGAIN || (cases[i].status != GH_OK && status == cases[i].status),
				"%s cut at %zu: %s", cases[i].name, len, gh_status_name(status));
		}
		buf_done(&bytes);
	}
}

Test(mqtt_codec, a_packet_ends_where_its_length_says_whatever_follows)
{
	struct buf bytes = {0};
	struct mqtt_packet packet;
	size_t used;
	mqtt_packet(&bytes, 0x32, "00 01 't' 00 07 'body'");
	size_t len = bytes.len;
	buf_append(&bytes, "\xff\xff\xff\xff\xff\xff", 6);
	limits_defaults(&limits);
	cr_assert(mqtt_codec_next(buf_bytes(&bytes), &limits, &packet, &used) == GH_OK);
	cr_assert(used == len);
	cr_assert(packet.packet_id == 7 && packet.qos == 1 && !packet.dup && !packet.retain);
	cr_assert(text_equal(packet.publish.topic, text_of("t")));
	cr_assert(text_equal(packet.publish.body, text_of("body")));
	buf_done(&bytes);
}

Test(mqtt_codec, every_field_of_connect_is_read)
{
	struct buf bytes = {0};
	struct mqtt_packet packet;
	size_t used;
	limits_defaults(&limits);
	mqtt_packet(&bytes, 0x10, "00 04 'MQTT' 04 ec 01 02 00 01 'd' 00 01 'w' 00 02 ff 00 00 01 'u' 00 01 'p'");
	cr_assert(mqtt_codec_next(buf_bytes(&bytes), &limits, &packet, &used) == GH_OK);
	const struct mqtt_connect *connect = &packet.connect;
	cr_assert(connect->level == 4 && !connect->session_clean && connect->keepalive_s == 0x102);
	cr_assert(connect->will && connect->will_retain && connect->will_qos == 1);
	cr_assert(text_equal(connect->client_id, text_of("d")) && text_equal(connect->will_topic, text_of("w")));
	cr_assert(connect->will_body.len == 2 && connect->will_body.data[0] == 0xff);
	cr_assert(connect->has_user_name && text_equal(connect->user_name, text_of("u")));
	cr_assert(connect->has_password && text_equal(connect->password, text_of("p")));
	buf_done(&bytes);
}

struct length_case {
	const char *name;
	const char *bytes;
	gh_status status;
	size_t len;
};

Test(mqtt_codec, must_52_the_length_is_judged_as_soon_as_it_is_announced)
{
	static const struct length_case lengths[] = {
		{"nothing", "", GH_AGAIN, 0},
		{"a type alone", "30", GH_AGAIN, 0},
		{"threat_07 one byte of length to come", "30 80", GH_AGAIN, 0},
		{"threat_07 two to come", "30 80 80", GH_AGAIN, 0},
		{"threat_07 three to come", "30 80 80 80", GH_AGAIN, 0},
		{"threat_07 a fifth length byte", "30 80 80 80 80", GH_MALFORMED, 0},
		{"threat_07 a sixth length byte", "30 80 80 80 80 80", GH_MALFORMED, 0},
		{"one byte", "30 7f", GH_OK, 2 + 127},
		{"two bytes", "30 80 01", GH_OK, 3 + 128},
		{"four bytes, padded", "30 83 80 80 00", GH_OK, 5 + 3},
		{"a publish of 262144", "30 80 80 10", GH_OK, 4 + 262144},
		{"a publish of 262145", "30 81 80 10", GH_TOO_LARGE, 0},
		{"threat_01 a publish of 268435455", "30 ff ff ff 7f", GH_TOO_LARGE, 0},
		{"a connect of 65536", "10 80 80 04", GH_OK, 4 + 65536},
		{"a connect of 65537", "10 81 80 04", GH_TOO_LARGE, 0},
		{"threat_01 a connect of 268435455", "10 ff ff ff 7f", GH_TOO_LARGE, 0},
		{"a ping of 268435455", "c0 ff ff ff 7f", GH_MALFORMED, 0},
		{"a puback of 3", "40 03", GH_MALFORMED, 0},
		{"a subscribe of 5", "82 05", GH_MALFORMED, 0},
	};
	limits_defaults(&limits);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct buf bytes = {0};
		size_t len = 0;
		mqtt_bytes(&bytes, lengths[i].bytes);
		gh_status status = mqtt_codec_length(buf_bytes(&bytes), &limits, &len);
		cr_assert(status == lengths[i].status, "%s: %s", lengths[i].name, gh_status_name(status));
		cr_assert(len == lengths[i].len, "%s: %zu", lengths[i].name, len);
		buf_done(&bytes);
	}
}

Test(mqtt_codec, filters_come_out_in_order_and_end)
{
	struct buf bytes = {0};
	struct mqtt_packet packet;
	gh_bytes filter;
	size_t used;
	uint8_t qos;
	limits_defaults(&limits);
	mqtt_packet(&bytes, 0x82, "00 09 00 01 'a' 02 00 03 'b/#' 00");
	cr_assert(mqtt_codec_next(buf_bytes(&bytes), &limits, &packet, &used) == GH_OK);
	cr_assert(packet.packet_id == 9);
	cr_assert(mqtt_codec_filter(MQTT_SUBSCRIBE, &packet.filters, &filter, &qos));
	cr_assert(text_equal(filter, text_of("a")) && qos == 2);
	cr_assert(mqtt_codec_filter(MQTT_SUBSCRIBE, &packet.filters, &filter, &qos));
	cr_assert(text_equal(filter, text_of("b/#")) && qos == 0);
	cr_assert(!mqtt_codec_filter(MQTT_SUBSCRIBE, &packet.filters, &filter, &qos));
	buf_done(&bytes);
}

static gh_status codec_filter_count(size_t count)
{
	struct buf body = {0}, bytes = {0};
	struct mqtt_packet packet;
	size_t used;
	buf_put_u16(&body, 1);
	for (size_t i = 0; i < count; i++)
		mqtt_bytes(&body, "00 01 'a' 00");
	buf_put_u8(&bytes, 0x82);
	cr_assert(body.len < 128 * 128);
	buf_put_u8(&bytes, (uint8_t)(body.len | 0x80));
	buf_put_u8(&bytes, (uint8_t)(body.len >> 7));
	buf_append(&bytes, body.data, body.len);
	gh_status status = codec_parse(buf_bytes(&bytes), &packet, &used);
	buf_done(&bytes);
	buf_done(&body);
	return status;
}

Test(mqtt_codec, more_filters_than_the_limit_are_refused)
{
	limits_defaults(&limits);
	cr_assert(codec_filter_count(limits.mqtt_filters_max) == GH_OK);
	cr_assert(codec_filter_count(limits.mqtt_filters_max + 1) == GH_TOO_LARGE);
}

Test(mqtt_codec, answers_have_their_exact_bytes)
{
	struct buf out = {0}, wanted = {0};
	uint8_t codes[130] = {0};
	mqtt_codec_put_connack(&out, MQTT_CONNACK_ACCEPTED, true);
	mqtt_codec_put_connack(&out, MQTT_CONNACK_REFUSED, true);
	mqtt_codec_put_connack_5(&out);
	mqtt_codec_put_puback(&out, 0x1234);
	mqtt_codec_put_unsuback(&out, 0x1234);
	mqtt_codec_put_pingresp(&out);
	mqtt_codec_put_suback(&out, 7, (gh_bytes){(const uint8_t *)"\x00\x01\x80", 3});
	mqtt_bytes(&wanted,
		"20 02 01 00  20 02 00 05  20 03 00 84 00  40 02 12 34  b0 02 12 34  d0 00  90 05 00 07 00 01 80");
	cr_assert(text_equal(buf_bytes(&out), buf_bytes(&wanted)));
	buf_clear(&out);
	mqtt_codec_put_suback(&out, 7, (gh_bytes){codes, sizeof codes});
	cr_assert(out.len == 3 + 2 + sizeof codes && out.data[1] == ((132 & 0x7f) | 0x80) && out.data[2] == 1);
	buf_done(&out);
	buf_done(&wanted);
}
