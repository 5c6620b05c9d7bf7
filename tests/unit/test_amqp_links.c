/* put-token, and links: who may attach what. */
#include "tests/suite.h"

#include "src/base/text.h"
#include "tests/unit/amqp_bytes.h"
#include "tests/unit/amqp_pair.h"
#include "transports/amqp/amqp.h"

#include <stdio.h>

static gh_worker worker;
static struct amqp_pair pair;

#define TOKEN "SharedAccessSignature sr=x"
#define DEV1 "hub.example.net/devices/dev1"

static void links_begin(void)
{
	struct amqp_pair_login login = {.mechanism = NULL};
	core_double_init(&worker);
	amqp_pair_init(&pair, &worker, &login);
	amqp_pair_cbs(&pair);
	cr_assert(amqp_pair_heard(&pair, "open begin attach attach"));
}

static void links_end(void)
{
	amqp_pair_done(&pair);
	core_double_done(&worker);
	suite_leak_check();
}

TestSuite(amqp_links, .init = links_begin, .fini = links_end, .timeout = 60);

/* ---- put-token ---- */

/* The reply to a request in bytes. */
static gh_bytes links_ask(const char *text, uint8_t *room, size_t size)
{
	pn_delivery_settle(amqp_pair_send_text(pair.requests, text));
	amqp_pair_run(&pair);
	return amqp_pair_reply(&pair, room, size);
}

#define PUT                                                                                                            \
	" 00 53 74 c1 (06 a1 ('operation') a1 ('put-token') a1 ('type') a1 ('servicebus.windows.net:sastoken') a1 "    \
	"('name') a1 ('" DEV1 "')) 00 53 77 a1 ('" TOKEN "')"

Test(amqp_links, must_57_a_reply_bears_the_id_of_its_request_in_the_same_type)
{
	static const char *const ids[] = {
		"a1 ('4ad5')", "98 '0123456789abcdef'", "53 07", "44", "80 00 00 00 01 00 00 00 00", "a0 ('bin')"};
	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
		uint8_t room[512];
		char text[512];
		snprintf(text, sizeof text, "00 53 73 c0 (01 %s) " PUT, ids[i]);
		gh_bytes reply = links_ask(text, room, sizeof room), id = amqp_bytes(ids[i]);
		cr_assert_eq(amqp_pair_status_code(reply), 200, "%s", ids[i]);
		/* properties: a list whose sixth item is the correlation-id */
		cr_assert(memmem(reply.data, reply.len, id.data, id.len), "%s", ids[i]);
		amqp_bytes_free(id);
	}
	cr_assert_str_eq(worker.request.device_id, "dev1");
	cr_assert_str_eq(worker.request.token, TOKEN);
	cr_assert_str_eq(worker.request.host, "hub.example.net");
	cr_assert(worker.request.sessionless && !worker.request.unseen && !worker.request.displaces);
	cr_assert_eq(core_double_links_open(&worker), 1);
}

Test(amqp_links, must_58_a_token_is_good_or_not)
{
	static const struct {
		const char *name, *token;
		gh_status open_status, authorize_status;
		int code;
	} cases[] = {
		{DEV1, TOKEN, GH_OK, GH_OK, 200},
		{"hub.example.net%2Fdevices%2Fdev1", TOKEN, GH_OK, GH_OK, 200},
		{"amqps://hub.example.net:5671/devices/dev1", TOKEN, GH_OK, GH_OK, 200},
		{"hub.example.net/devices/dev1/modules/m1", TOKEN, GH_OK, GH_OK, 200},
		{DEV1, TOKEN, GH_UNAUTHORIZED, GH_OK, 401},
		{DEV1, TOKEN, GH_DISABLED, GH_OK, 401},
		{DEV1, TOKEN, GH_UNAVAILABLE, GH_OK, 500},
		{DEV1, "", GH_OK, GH_OK, 400},
		{"", TOKEN, GH_OK, GH_OK, 400},
		{"hub.example.net", TOKEN, GH_OK, GH_OK, 200},
		{"hub.example.net", TOKEN, GH_OK, GH_UNAUTHORIZED, 401},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		worker.open_status = cases[i].open_status;
		worker.authorize_status = cases[i].authorize_status;
		cr_assert_eq(amqp_pair_put_token(&pair, cases[i].name, cases[i].token), cases[i].code, "%zu", i);
	}
}

Test(amqp_links, a_request_that_is_none_is_answered_400)
{
	static const char *const requests[] = {
		"00 53 73 c0 (01 43) 00 53 74 c1 (02 a1 ('operation') a1 ('steal-token')) 00 53 77 a1 ('x')",
		"00 53 73 c0 (01 43) 00 53 77 a1 ('x')",
		"00 53 73 c0 (01 43) 00 53 74 c1 (02 a1 ('operation') a1 ('put-token')) 00 53 77 a1 ('x')",
		("00 53 73 c0 (01 43) 00 53 74 c1 (06 a1 ('operation') a1 ('put-token') a1 ('type') a1 ('jwt') a1 ('name') a1 "
		 "('x')) 00 53 77 a1 ('x')"),
		"00 53 73 c0 (01",
		"ff ff ff",
	};
	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
		uint8_t room[512];
		char text[600];
		snprintf(text, sizeof text, "%s%s", requests[i], i == 4 ? ")" : "");
		cr_assert_eq(amqp_pair_status_code(links_ask(text, room, sizeof room)), 400, "%s", text);
	}
	cr_assert_eq(worker.open_count, 0);
}

Test(amqp_links, must_58_a_link_without_token_is_refused)
{
	static const char *const addresses[] = {"/devices/dev1/messages/events", "/devices/dev1/twin"};
	pn_session_t *session = amqp_pair_begin(&pair);
	amqp_pair_run(&pair);
	cr_assert(amqp_pair_heard(&pair, "begin"));
	for (size_t i = 0; i < 2; i++) {
		amqp_pair_sender(session, addresses[i], addresses[i]);
		amqp_pair_run(&pair);
		cr_assert(amqp_pair_heard(&pair, "refuse detach:amqp:unauthorized-access"), "%s", addresses[i]);
	}
	worker.open_status = GH_UNAUTHORIZED;
	cr_assert_eq(amqp_pair_put_token(&pair, DEV1, TOKEN), 401);
	amqp_pair_sender(session, "again", addresses[0]);
	amqp_pair_run(&pair);
	cr_assert(amqp_pair_heard(&pair, "refuse detach:amqp:unauthorized-access"));
	worker.open_status = GH_OK;
	cr_assert_eq(amqp_pair_put_token(&pair, "hub.example.net/devices/dev2", TOKEN), 200);
	amqp_pair_sender(session, "another's", addresses[0]);
	amqp_pair_run(&pair);
	cr_assert(amqp_pair_heard(&pair, "refuse detach:amqp:unauthorized-access"));
}

/* ---- addresses ---- */

Test(amqp_links, must_59_60_addresses_as_clients_spell_them)
{
	static const struct {
		const char *address;
		bool receiver;
		const char *heard;
	} cases[] = {
		{"/devices/dev1/messages/events", false, "attach"},
		{"devices/dev1/messages/events", false, "attach"},
		{"amqps://hub.example.net/devices/dev1/messages/events", false, "attach"},
		{"amqps://hub.example.net:5671/devices/dev1/messages/events", false, "attach"},
		{"amqps://elsewhere.example/devices/dev1/messages/events", false, "refuse detach:amqp:not-found"},
		{"/devices/dev%31/messages/events", false, "attach"},
		{"/Devices/dev1/Messages/Events", false, "attach"},
		{"/devices/dev1/modules/m1/messages/events", false, "attach"},
		{"/devices/dev1/messages/events/", false, "refuse detach:amqp:not-found"},
		{"/devices/DEV1/messages/events", false, "refuse detach:amqp:unauthorized-access"},
		{"/devices/dev1/messages/events", true, "refuse detach:amqp:not-allowed"},
		{"/devices/dev1/messages/devicebound", false, "refuse detach:amqp:not-allowed"},
		{"/devices/dev1/messages/devicebound", true, "refuse detach:amqp:not-implemented"},
		{"/devices/dev1/messages/deviceBound", true, "refuse detach:amqp:not-implemented"},
		{"/devices/dev1/twin", true, "refuse detach:amqp:not-implemented"},
		{"/devices/dev1/twin", false, "refuse detach:amqp:not-implemented"},
		{"/devices/dev1/methods/devicebound", true, "refuse detach:amqp:not-implemented"},
		{"/devices/dev1/modules/m1/messages/events", true, "refuse detach:amqp:not-implemented"},
		{"/devices/dev1/nothing", false, "refuse detach:amqp:not-found"},
		{"", false, "refuse detach:amqp:not-found"},
		{"/$cbs", false, "attach"},
		{"/$cbs", true, "attach"},
	};
	worker.host = "hub.example.net";
	cr_assert_eq(amqp_pair_put_token(&pair, DEV1, TOKEN), 200);
	cr_assert_eq(amqp_pair_put_token(&pair, DEV1 "/modules/m1", TOKEN), 200);
	pn_session_t *session = amqp_pair_begin(&pair);
	amqp_pair_run(&pair);
	cr_assert(amqp_pair_heard(&pair, "begin"));
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char name[20];
		snprintf(name, sizeof name, "link-%zu", i);
		pn_link_t *link = cases[i].receiver ? amqp_pair_receiver(session, name, cases[i].address)
						    : amqp_pair_sender(session, name, cases[i].address);
		amqp_pair_run(&pair);
		cr_assert(amqp_pair_heard(&pair, cases[i].heard), "%s", cases[i].address);
		pn_link_close(link);
		amqp_pair_run(&pair);
		pair.words[0] = '\0';
	}
}

Test(amqp_links, an_attach_is_answered_as_it_came)
{
	pn_link_t *events = amqp_pair_events(&pair);
	cr_assert_str_eq(pn_terminus_get_address(pn_link_remote_target(events)), "/devices/dev1/messages/events");
	cr_assert_eq(pn_link_remote_snd_settle_mode(events), PN_SND_MIXED);
	cr_assert_eq(pn_link_remote_max_message_size(events), worker.limits.message_bytes_max);
	cr_assert_eq((uint64_t)pn_link_credit(events), worker.limits.amqp_credit_max);
}

Test(amqp_links, too_many_links_are_refused)
{
	worker.limits.amqp_links_max = 3;
	pn_link_t *events = amqp_pair_events(&pair);
	amqp_pair_sender(pn_link_session(events), "one more", "/devices/dev1/messages/events");
	amqp_pair_run(&pair);
	cr_assert(strstr(pair.words, "refuse detach:amqp:resource-limit-exceeded"), "%s", pair.words);
}

Test(amqp_links, too_many_links_for_tokens_are_refused)
{
	pn_session_t *session = amqp_pair_begin(&pair);
	for (unsigned i = 0; i < 15; i++) {
		char name[20];
		snprintf(name, sizeof name, "cbs-%u", i);
		amqp_pair_sender(session, name, "$cbs");
	}
	amqp_pair_run(&pair);
	cr_assert(amqp_pair_heard(&pair,
		"begin attach attach attach attach attach attach attach attach attach attach attach "
		"attach attach attach refuse detach:amqp:resource-limit-exceeded"));
}

Test(amqp_links, an_id_that_is_too_long_is_not_sent_back)
{
	uint8_t room[4096];
	char text[1800];
	snprintf(text, sizeof text, "00 53 73 d0 00 00 04 0a 00 00 00 01 b1 00 00 04 01 '%01025d' " PUT, 0);
	gh_bytes reply = links_ask(text, room, sizeof room);
	cr_assert_eq(amqp_pair_status_code(reply), 400);
	cr_assert_lt(reply.len, 200);
}

Test(amqp_links, too_many_identities_are_refused)
{
	worker.limits.amqp_peers_max = 1;
	cr_assert_eq(amqp_pair_put_token(&pair, DEV1, TOKEN), 200);
	cr_assert_eq(amqp_pair_put_token(&pair, "hub.example.net/devices/dev2", TOKEN), 403);
	cr_assert_eq(amqp_pair_put_token(&pair, DEV1, TOKEN), 200, "a renewal is none");
}

Test(amqp_links, must_61_two_sessions_may_use_the_same_names)
{
	char room[2][100];
	cr_assert_eq(amqp_pair_put_token(&pair, DEV1, TOKEN), 200);
	cr_assert_eq(amqp_pair_put_token(&pair, "hub.example.net/devices/dev2", TOKEN), 200);
	pn_link_t *one =
		amqp_pair_sender(amqp_pair_begin(&pair), "TelemetrySenderLink", "/devices/dev1/messages/events");
	pn_link_t *two =
		amqp_pair_sender(amqp_pair_begin(&pair), "TelemetrySenderLink", "/devices/dev2/messages/events");
	amqp_pair_run(&pair);
	pn_delivery_t *a = amqp_pair_send_text(one, "00 53 75 a0 ('1')"),
		      *b = amqp_pair_send_text(two, "00 53 75 a0 ('2')");
	amqp_pair_run(&pair);
	cr_assert_eq(worker.record_count, 2);
	cr_assert_str_eq(worker.records[0].link->device_id, "dev1");
	cr_assert_str_eq(worker.records[1].link->device_id, "dev2");
	core_double_settle_all(&worker, GH_OK);
	amqp_pair_run(&pair);
	cr_assert_str_eq(amqp_pair_outcome(a, room[0], sizeof room[0]), "accepted");
	cr_assert_str_eq(amqp_pair_outcome(b, room[1], sizeof room[1]), "accepted");
}

/* ---- tokens end ---- */

Test(amqp_links, only_the_links_of_the_identity_whose_token_ended_are_detached)
{
	pn_link_t *events = amqp_pair_events(&pair);
	cr_assert_eq(amqp_pair_put_token(&pair, "hub.example.net/devices/dev2", TOKEN), 200);
	pn_link_t *other = amqp_pair_sender(pn_link_session(events), "other", "/devices/dev2/messages/events");
	amqp_pair_run(&pair);
	cr_assert(amqp_pair_heard(&pair, "attach"));
	core_double_revoke(worker.links->next, GH_GONE);
	amqp_pair_run(&pair);
	cr_assert(amqp_pair_heard(&pair, "detach:amqp:unauthorized-access"));
	cr_assert(pn_link_state(events) & PN_REMOTE_CLOSED);
	cr_assert(pn_link_state(other) & PN_REMOTE_ACTIVE);
	cr_assert_eq(core_double_links_open(&worker), 1);
	amqp_pair_sender(pn_link_session(events), "again", "/devices/dev1/messages/events");
	amqp_pair_run(&pair);
	cr_assert(amqp_pair_heard(&pair, "refuse detach:amqp:unauthorized-access"));
	cr_assert_eq(amqp_pair_put_token(&pair, DEV1, TOKEN), 200);
	amqp_pair_sender(pn_link_session(events), "once more", "/devices/dev1/messages/events");
	amqp_pair_run(&pair);
	cr_assert(amqp_pair_heard(&pair, "attach"));
}

Test(amqp_links, a_connection_that_lost_its_last_token_is_closed_in_time)
{
	amqp_pair_events(&pair);
	amqp_pair_wait(&pair, 10 * worker.limits.connect_ms_max);
	core_double_revoke(worker.links, GH_GONE);
	amqp_pair_run(&pair);
	cr_assert(amqp_pair_heard(&pair, "detach:amqp:unauthorized-access"));
	amqp_pair_wait(&pair, worker.limits.connect_ms_max - 1);
	cr_assert(!pair.engine.finished);
	amqp_pair_wait(&pair, 1);
	cr_assert(amqp_pair_heard(&pair, "close:amqp:unauthorized-access"));
	cr_assert(pair.engine.finished);
}

Test(amqp_links, a_token_for_many_keeps_a_connection_as_long_as_it_is_good)
{
	cr_assert_eq(amqp_pair_put_token(&pair, "hub.example.net", TOKEN), 200);
	amqp_pair_wait(&pair, 10 * worker.limits.connect_ms_max);
	cr_assert(!pair.engine.finished);
	worker.authorize_status = GH_UNAUTHORIZED;
	amqp_pair_wait(&pair, worker.limits.connect_ms_max);
	cr_assert(pair.engine.finished);
}

Test(amqp_links, a_token_for_many_is_tried_for_whoever_comes)
{
	cr_assert_eq(amqp_pair_put_token(&pair, "hub.example.net", TOKEN), 200);
	cr_assert_eq(worker.open_count, 0);
	pn_session_t *session = amqp_pair_begin(&pair);
	amqp_pair_sender(session, "a", "/devices/dev1/messages/events");
	amqp_pair_sender(session, "b", "/devices/dev2/messages/events");
	amqp_pair_run(&pair);
	cr_assert(amqp_pair_heard(&pair, "begin attach attach"));
	cr_assert_eq(core_double_links_open(&worker), 2);
}

Test(amqp_links, must_21_a_renewed_token_keeps_links_and_what_they_await)
{
	char room[100];
	pn_link_t *events = amqp_pair_events(&pair);
	pn_delivery_t *before = amqp_pair_send_text(events, "00 53 75 a0 ('before')");
	amqp_pair_run(&pair);
	cr_assert_eq(amqp_pair_put_token(&pair, DEV1, TOKEN), 200);
	cr_assert_eq(core_double_links_open(&worker), 2, "the older one awaits what it submitted");
	pn_delivery_t *after = amqp_pair_send_text(events, "00 53 75 a0 ('after')");
	amqp_pair_run(&pair);
	cr_assert_eq(worker.record_count, 2);
	cr_assert_neq(worker.records[0].link, worker.records[1].link);
	core_double_settle(&worker, 0, GH_OK);
	amqp_pair_run(&pair);
	cr_assert_str_eq(amqp_pair_outcome(before, room, sizeof room), "accepted");
	cr_assert_eq(core_double_links_open(&worker), 1);
	core_double_settle(&worker, 1, GH_OK);
	amqp_pair_run(&pair);
	cr_assert_str_eq(amqp_pair_outcome(after, room, sizeof room), "accepted");
	cr_assert(amqp_pair_heard(&pair, ""));
}

Test(amqp_links, a_failed_renewal_leaves_the_older_token)
{
	pn_link_t *events = amqp_pair_events(&pair);
	worker.open_status = GH_UNAUTHORIZED;
	cr_assert_eq(amqp_pair_put_token(&pair, DEV1, "SharedAccessSignature sr=bad"), 401);
	amqp_pair_send_text(events, "00 53 75 a0 ('x')");
	amqp_pair_run(&pair);
	cr_assert_eq(worker.record_count, 1);
	cr_assert(amqp_pair_heard(&pair, ""));
	core_double_settle_all(&worker, GH_OK);
}

Test(amqp_links, what_was_submitted_before_the_token_ended_is_awaited_but_not_told)
{
	pn_link_t *events = amqp_pair_events(&pair);
	amqp_pair_send_text(events, "00 53 75 a0 ('x')");
	amqp_pair_run(&pair);
	core_double_revoke(worker.links, GH_GONE);
	amqp_pair_run(&pair);
	cr_assert(amqp_pair_heard(&pair, "detach:amqp:unauthorized-access"));
	cr_assert_eq(core_double_links_open(&worker), 1);
	core_double_settle_all(&worker, GH_OK);
	amqp_pair_run(&pair);
	cr_assert_eq(core_double_links_open(&worker), 0);
}

/* ---- drain ---- */

Test(amqp_links, a_reader_of_replies_may_drain)
{
	pn_link_drain(pair.replies, 5);
	amqp_pair_run(&pair);
	cr_assert_eq(pn_link_credit(pair.replies), 0);
}

Test(amqp_links, a_gateway_that_stops_answers_first)
{
	char room[100];
	pn_link_t *events = amqp_pair_events(&pair);
	pn_delivery_t *delivery = amqp_pair_send_text(events, "00 53 75 a0 ('x')");
	amqp_pair_run(&pair);
	pair.engine.engine->ops->drain(pair.engine.engine, pair.engine.now_ms);
	amqp_pair_run(&pair);
	cr_assert(amqp_pair_heard(&pair, "detach:amqp:connection:forced detach:amqp:connection:forced"));
	cr_assert(!pair.engine.finished);
	core_double_settle_all(&worker, GH_OK);
	amqp_pair_run(&pair);
	cr_assert(amqp_pair_heard(
		&pair, "detach:amqp:connection:forced end:amqp:connection:forced end:amqp:connection:forced"));
	cr_assert_str_eq(amqp_pair_outcome(delivery, room, sizeof room), "accepted");
	cr_assert(!pair.engine.finished, "CLOSE waits for the peer's END: some clients hang when it does not");
	pn_session_t *session = pn_session_head(pair.client.connection, PN_LOCAL_ACTIVE);
	for (; session; session = pn_session_next(session, PN_LOCAL_ACTIVE))
		pn_session_close(session);
	amqp_pair_run(&pair);
	cr_assert(amqp_pair_heard(&pair, "close"));
	cr_assert(pair.engine.finished);
}
