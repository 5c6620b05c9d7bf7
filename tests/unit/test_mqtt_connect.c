/* CONNECT to CONNACK: who gets in, what the others are told, and who has to wait. */
#include "tests/suite.h"

#include "tests/unit/mqtt_pair.h"
#include "transports/mqtt/mqtt.h"

static gh_worker worker;
static struct engine_pair pair;

static void connect_begin(void)
{
	core_double_init(&worker);
	mqtt_pair_init(&pair, &worker);
}

static void connect_end(void)
{
	engine_pair_done(&pair);
	core_double_done(&worker);
	suite_leak_check();
}

TestSuite(mqtt_connect, .init = connect_begin, .fini = connect_end, .timeout = 60);

static bool connect_ended(const char *why)
{
	return pair.finished && mqtt_why(pair.engine) && strcmp(mqtt_why(pair.engine), why) == 0;
}

/* A fresh engine over the same core. */
static void connect_again(void)
{
	engine_pair_done(&pair);
	mqtt_pair_init(&pair, &worker);
}

Test(mqtt_connect, a_good_connect_is_accepted_and_tells_the_core_everything)
{
	struct buf bytes = {0};
	mqtt_connect_bytes(&bytes, 0xc0, 60, "dev1", NULL,
		"hub.example.net/dev1/?api-version=2021-04-12&DeviceClientType=c%2F1&model-id=dtmi%3Aa%3B1");
	engine_pair_send(&pair, buf_bytes(&bytes));
	cr_assert(mqtt_pair_got(&pair, "20 02 00 00"));
	cr_assert(!pair.finished);
	cr_assert_str_eq(worker.request.host, "hub.example.net");
	cr_assert_str_eq(worker.request.device_id, "dev1");
	cr_assert_str_eq(worker.request.module_id, "");
	cr_assert_str_eq(worker.request.token, "SharedAccessSignature sr=x");
	cr_assert_str_eq(worker.request.model_id, "dtmi:a;1");
	cr_assert_str_eq(worker.request.client_info, "c/1");
	cr_assert_str_eq(worker.request.address, "192.0.2.7");
	cr_assert(!worker.request.session_clean && worker.request.displaces);
	buf_done(&bytes);
}

Test(mqtt_connect, session_present_is_told_only_to_who_keeps_sessions)
{
	worker.session_present = true;
	mqtt_pair_connect(&pair, 0xc0, 60, NULL);
	cr_assert(mqtt_pair_got(&pair, "20 02 01 00"));
	connect_again();
	mqtt_pair_connect(&pair, 0xc2, 60, NULL);
	cr_assert(mqtt_pair_got(&pair, "20 02 00 00"), "must_35_ a clean session was never present");
	cr_assert(worker.request.session_clean);
}

struct refusal {
	gh_status status;
	const char *connack;
};

Test(mqtt_connect, must_31_the_status_of_the_core_becomes_connack_3_or_5_never_2_or_4)
{
	static const struct refusal refusals[] = {
		{GH_UNAUTHORIZED, "20 02 00 05"},
		{GH_NOT_FOUND, "20 02 00 05"},
		{GH_INVALID, "20 02 00 05"},
		{GH_MALFORMED, "20 02 00 05"},
		{GH_TOO_LARGE, "20 02 00 05"},
		{GH_DISABLED, "20 02 00 03"},
		{GH_EXISTS, "20 02 00 03"},
		{GH_CONFLICT, "20 02 00 03"},
		{GH_QUOTA, "20 02 00 03"},
		{GH_TAKEN_OVER, "20 02 00 03"},
		{GH_GONE, "20 02 00 03"},
		{GH_UNKNOWN, "20 02 00 03"},
		{GH_NO_SPACE, "20 02 00 03"},
		{GH_UNAVAILABLE, "20 02 00 03"},
		{GH_IO, "20 02 00 03"},
		{GH_NO_MEMORY, "20 02 00 03"},
		{GH_INTERNAL, "20 02 00 03"},
	};
	cr_assert(sizeof refusals / sizeof *refusals == GH_STATUS_COUNT - 2, "every status but GH_OK and GH_AGAIN");
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		worker.open_status = refusals[i].status;
		mqtt_pair_connect(&pair, 0xc2, 60, NULL);
		cr_assert(mqtt_pair_got(&pair, refusals[i].connack), "%s", gh_status_name(refusals[i].status));
		cr_assert(connect_ended("connect_refused"), "%s closes", gh_status_name(refusals[i].status));
		connect_again();
		worker.open_status = GH_AGAIN;
		mqtt_pair_connect(&pair, 0xc2, 60, NULL);
		cr_assert(pair.got.len == 0 && !pair.finished);
		core_double_opened(worker.links, refusals[i].status, false);
		engine_pair_run(&pair);
		cr_assert(mqtt_pair_got(&pair, refusals[i].connack), "%s, later", gh_status_name(refusals[i].status));
		cr_assert(connect_ended("connect_refused"), "%s closes, later", gh_status_name(refusals[i].status));
		connect_again();
	}
}

struct level_case {
	const char *name, *body, *answer;
};

Test(mqtt_connect, must_31_another_level_is_refused_in_words_its_client_knows)
{
	static const struct level_case levels[] = {
		{"level 3", "00 06 'MQIsdp' 03 02 00 3c 00 04 'dev1'", "20 02 00 01"},
		{"level 3 named MQTT", "00 04 'MQTT' 03 02 00 3c 00 04 'dev1'", "20 02 00 01"},
		{"level 4 named MQIsdp", "00 06 'MQIsdp' 04 02 00 3c 00 04 'dev1'", "20 02 00 01"},
		{"level 6", "00 04 'MQTT' 06 02 00 3c 00 04 'dev1'", "20 02 00 01"},
		{"level 0", "00 04 'MQTT' 00 02 00 3c 00 04 'dev1'", "20 02 00 01"},
		{"level 4 with the bridge bit", "00 04 'MQTT' 84 02 00 3c 00 04 'dev1'", "20 02 00 01"},
		{"level 5", "00 04 'MQTT' 05 02 00 3c 00 00 04 'dev1'", "20 03 00 84 00"},
	};
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
		mqtt_pair_packet(&pair, 0x10, levels[i].body);
		cr_assert(mqtt_pair_got(&pair, levels[i].answer), "%s", levels[i].name);
		cr_assert(connect_ended("level"), "%s", levels[i].name);
		connect_again();
	}
	cr_assert(worker.open_count == 0);
}

struct identity_case {
	const char *name;
	uint8_t flags;
	const char *client_id, *user_name;
};

Test(mqtt_connect, must_32_a_user_name_that_is_not_the_client_gets_5_without_asking_the_core)
{
	static const struct identity_case rows[] = {
		{"another device", 0xc2, "dev2", "hub.example.net/dev1/?api-version=2021-04-12"},
		{"empty client id", 0xc2, "", "hub.example.net/dev1/?api-version=2021-04-12"},
		{"empty client id, session kept", 0xc0, "", "hub.example.net/dev1/?api-version=2021-04-12"},
		{"no user name", 0x02, "dev1", ""},
		{"empty user name", 0xc2, "dev1", ""},
		{"host alone", 0xc2, "dev1", "hub.example.net"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf bytes = {0};
		mqtt_connect_bytes(&bytes, rows[i].flags, 60, rows[i].client_id, NULL, rows[i].user_name);
		engine_pair_send(&pair, buf_bytes(&bytes));
		cr_assert(mqtt_pair_got(&pair, "20 02 00 05"), "%s", rows[i].name);
		cr_assert(connect_ended("connect_refused"), "%s", rows[i].name);
		connect_again();
		buf_done(&bytes);
	}
	cr_assert(worker.open_count == 0);
}

Test(mqtt_connect, no_password_goes_to_the_core_as_no_token)
{
	mqtt_pair_connect(&pair, 0x82, 60, NULL);
	cr_assert(mqtt_pair_got(&pair, "20 02 00 00"));
	cr_assert_str_eq(worker.request.token, "");
}

struct will_case {
	const char *name;
	uint8_t flags;
	const char *will;
	const char *answer; /* "" = closed without one */
};

Test(mqtt_connect, a_will_must_be_ones_own_telemetry)
{
	static const struct will_case wills[] = {
		{"own topic", 0xc6, "00 1c 'devices/dev1/messages/events' 00 01 'x'", "20 02 00 00"},
		{"own topic with a bag, QoS 1, retained", 0xee, "00 20 'devices/dev1/messages/events/a=1' 00 00",
			"20 02 00 00"},
		{"another device", 0xc6, "00 1c 'devices/dev2/messages/events' 00 01 'x'", "20 02 00 05"},
		{"a twin topic", 0xc6, "00 12 '$iothub/twin/GET/x' 00 01 'x'", "20 02 00 05"},
		{"any topic", 0xc6, "00 04 'test' 00 01 'x'", "20 02 00 05"},
		{"a bag no back end may see", 0xc6, "00 22 'devices/dev1/messages/events/a=%ff' 00 01 'x'",
			"20 02 00 05"},
		{"QoS 2", 0xd6, "00 1c 'devices/dev1/messages/events' 00 01 'x'", "20 02 00 05"},
		{"QoS 3", 0xde, "00 1c 'devices/dev1/messages/events' 00 01 'x'", ""},
		{"empty topic", 0xc6, "00 00 00 01 'x'", ""},
	};
	for (size_t i = 0; i < sizeof wills / sizeof *wills; i++) {
		bool good = strcmp(wills[i].answer, "20 02 00 00") == 0;
		mqtt_pair_connect(&pair, wills[i].flags, 60, wills[i].will);
		cr_assert(mqtt_pair_got(&pair, wills[i].answer), "%s", wills[i].name);
		cr_assert(pair.finished == !good, "%s", wills[i].name);
		mqtt_pair_packet(&pair, 0xe0, "");
		connect_again();
	}
	cr_assert(worker.record_count == 0, "no will of a refused or orderly client is published");
}

struct first_case {
	const char *name, *bytes, *why;
};

Test(mqtt_connect, threat_02_a_first_packet_that_is_not_connect_closes_at_its_first_byte)
{
	for (unsigned first = 0; first < 256; first++) {
		uint8_t byte = (uint8_t)first;
		engine_pair_send(&pair, (gh_bytes){&byte, 1});
		cr_assert(pair.finished == (byte != 0x10), "%02x", first);
		cr_assert(pair.got.len == 0, "%02x is not answered", first);
		connect_again();
	}
}

Test(mqtt_connect, threat_01_an_announced_length_allocates_nothing)
{
	static const struct first_case rows[] = {
		{"268435455", "10 ff ff ff 7f", "packet_too_large"},
		{"65537", "10 81 80 04", "packet_too_large"},
		{"five length bytes", "10 ff ff ff ff", "packet_malformed"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf bytes = {0};
		mqtt_bytes(&bytes, rows[i].bytes);
		for (size_t at = 0; at < bytes.len; at++)
			engine_pair_send(&pair, (gh_bytes){bytes.data + at, 1});
		cr_assert(connect_ended(rows[i].why), "%s", rows[i].name);
		cr_assert(pair.got.len == 0, "%s", rows[i].name);
		connect_again();
		buf_done(&bytes);
	}
}

Test(mqtt_connect, a_malformed_connect_closes_without_an_answer)
{
	mqtt_pair_packet(&pair, 0x10, "00 04 'MQTT' 04 03 00 3c 00 04 'dev1'");
	cr_assert(pair.got.len == 0 && connect_ended("packet_malformed"));
	cr_assert(worker.open_count == 0);
}

Test(mqtt_connect, threat_11_a_silent_client_is_closed_after_connect_ms_max)
{
	engine_pair_wait(&pair, worker.limits.connect_ms_max - 1);
	cr_assert(!pair.finished);
	engine_pair_wait(&pair, 1);
	cr_assert(connect_ended("connect_late"));
}

Test(mqtt_connect, threat_11_a_client_that_trickles_its_connect_is_closed_at_the_same_time)
{
	struct buf bytes = {0};
	mqtt_connect_bytes(&bytes, 0xc2, 60, "dev1", NULL, "hub.example.net/dev1/?api-version=2021-04-12");
	for (size_t at = 0; at < 29; at++) {
		engine_pair_send(&pair, (gh_bytes){bytes.data + at, 1});
		engine_pair_wait(&pair, 1000);
	}
	cr_assert(!pair.finished);
	engine_pair_wait(&pair, 1000);
	cr_assert(connect_ended("connect_late"));
	buf_done(&bytes);
}

Test(mqtt_connect, a_connect_the_core_never_answers_is_closed_too)
{
	worker.open_status = GH_AGAIN;
	mqtt_pair_connect(&pair, 0xc2, 60, NULL);
	engine_pair_wait(&pair, worker.limits.connect_ms_max);
	cr_assert(connect_ended("connect_late"));
	cr_assert(core_double_links_open(&worker) == 0);
}

Test(mqtt_connect, a_client_that_leaves_while_the_core_decides_leaves_no_link)
{
	worker.open_status = GH_AGAIN;
	mqtt_pair_connect(&pair, 0xc6, 60, "00 1c 'devices/dev1/messages/events' 00 01 'x'");
	engine_pair_hang_up(&pair);
	cr_assert(connect_ended("peer_closed"));
	cr_assert(core_double_links_open(&worker) == 0 && worker.submit_count == 0);
}

Test(mqtt_connect, a_second_connect_closes)
{
	mqtt_pair_connect(&pair, 0xc2, 60, NULL);
	cr_assert(mqtt_pair_got(&pair, "20 02 00 00"));
	mqtt_pair_connect(&pair, 0xc2, 60, NULL);
	cr_assert(pair.got.len == 0 && connect_ended("second_connect"));
	cr_assert(worker.open_count == 1);
}

/* CONNECT, SUBSCRIBE, PUBLISH, PINGREQ in one go. */
static void connect_pipeline(struct buf *bytes)
{
	mqtt_connect_bytes(bytes, 0xc2, 60, "dev1", NULL, "hub.example.net/dev1/?api-version=2021-04-12");
	mqtt_packet(bytes, 0x82, "00 01 00 23 'devices/dev1/messages/devicebound/#' 01");
	mqtt_packet(bytes, 0x32, "00 1d 'devices/dev1/messages/events/' 00 02 'body'");
	mqtt_packet(bytes, 0xc0, "");
}

Test(mqtt_connect, must_54_packets_behind_connect_wait_for_the_core_and_are_then_served)
{
	struct buf bytes = {0};
	connect_pipeline(&bytes);
	worker.open_status = GH_AGAIN;
	engine_pair_send(&pair, buf_bytes(&bytes));
	cr_assert(pair.got.len == 0 && worker.submit_count == 0 && worker.subscribe_count == 0);
	core_double_opened(worker.links, GH_OK, false);
	engine_pair_run(&pair);
	cr_assert(mqtt_pair_got(&pair, "20 02 00 00  90 03 00 01 01  d0 00"), "the publish is not stored yet");
	cr_assert(worker.record_count == 1);
	core_double_settle(&worker, 0, GH_OK);
	engine_pair_run(&pair);
	cr_assert(mqtt_pair_got(&pair, "40 02 00 02"));
	buf_done(&bytes);
}

Test(mqtt_connect, must_54_packets_behind_a_refused_connect_are_never_looked_at)
{
	struct buf bytes = {0};
	connect_pipeline(&bytes);
	worker.open_status = GH_AGAIN;
	engine_pair_send(&pair, buf_bytes(&bytes));
	core_double_opened(worker.links, GH_UNAUTHORIZED, false);
	engine_pair_run(&pair);
	cr_assert(mqtt_pair_got(&pair, "20 02 00 05") && pair.finished);
	cr_assert(worker.submit_count == 0 && worker.subscribe_count == 0);
	buf_done(&bytes);
}

Test(mqtt_connect, must_07_any_cut_of_the_bytes_gives_the_same_conversation)
{
	struct buf bytes = {0};
	connect_pipeline(&bytes);
	for (size_t cut = 1; cut < bytes.len; cut++) {
		size_t record = worker.record_count;
		engine_pair_send(&pair, (gh_bytes){bytes.data, cut});
		engine_pair_send(&pair, (gh_bytes){bytes.data + cut, bytes.len - cut});
		core_double_settle(&worker, record, GH_OK);
		engine_pair_run(&pair);
		cr_assert(mqtt_pair_got(&pair, "20 02 00 00  90 03 00 01 01  d0 00  40 02 00 02"), "cut at %zu", cut);
		connect_again();
	}
	size_t record = worker.record_count;
	for (size_t at = 0; at < bytes.len; at++)
		engine_pair_send(&pair, (gh_bytes){bytes.data + at, 1});
	core_double_settle(&worker, record, GH_OK);
	engine_pair_run(&pair);
	cr_assert(mqtt_pair_got(&pair, "20 02 00 00  90 03 00 01 01  d0 00  40 02 00 02"), "byte by byte");
	buf_done(&bytes);
}
