/* Telemetry: messages in, dispositions out, credit. */
#include "tests/suite.h"

#include "src/base/text.h"
#include "tests/unit/amqp_bytes.h"
#include "tests/unit/amqp_pair.h"
#include "transports/amqp/amqp.h"

#include <stdio.h>
#include <stdlib.h>

static gh_worker worker;
static struct amqp_pair pair;
static pn_link_t *events;
static char room[200];

static void events_begin(void)
{
	struct amqp_pair_login login = {.frame_max = 65536};
	core_double_init(&worker);
	amqp_pair_init(&pair, &worker, &login);
}

static void events_end(void)
{
	core_double_settle_all(&worker, GH_OK);
	amqp_pair_done(&pair);
	core_double_done(&worker);
	suite_leak_check();
}

TestSuite(amqp_events, .init = events_begin, .fini = events_end, .timeout = 60);

#define HI "00 53 75 a0 ('hi')"

static pn_delivery_t *events_send(const char *text)
{
	pn_delivery_t *delivery = amqp_pair_send_text(events, text);
	amqp_pair_run(&pair);
	return delivery;
}

static const char *events_outcome(pn_delivery_t *delivery)
{
	amqp_pair_run(&pair);
	return amqp_pair_outcome(delivery, room, sizeof room);
}

static void events_assert_body(size_t index, const char *body)
{
	gh_bytes is = gh_message_body(worker.records[index].message);
	cr_assert(text_equal(is, text_of(body)), "%zu: \"%.*s\"", index, (int)is.len, (const char *)is.data);
}

Test(amqp_events, a_message_is_accepted_only_after_it_is_durable)
{
	events = amqp_pair_events(&pair);
	pn_delivery_t *delivery = events_send(HI);
	cr_assert_eq(worker.record_count, 1);
	events_assert_body(0, "hi");
	cr_assert_str_eq(events_outcome(delivery), "");
	core_double_settle(&worker, 0, GH_OK);
	cr_assert_str_eq(events_outcome(delivery), "accepted");
}

Test(amqp_events, what_was_not_stored_is_released_or_rejected)
{
	static const struct {
		gh_status status;
		const char *outcome;
	} cases[] = {
		{GH_UNAVAILABLE, "released"},
		{GH_UNKNOWN, "released"},
		{GH_NO_SPACE, "released"},
		{GH_INVALID, "rejected:com.microsoft:argument-error"},
		{GH_TOO_LARGE, "rejected:amqp:link:message-size-exceeded"},
		{GH_QUOTA, "rejected:amqp:resource-limit-exceeded"},
		{GH_UNAUTHORIZED, "rejected:amqp:unauthorized-access"},
	};
	events = amqp_pair_events(&pair);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		pn_delivery_t *delivery = events_send(HI);
		core_double_settle(&worker, i, cases[i].status);
		cr_assert_str_eq(events_outcome(delivery), cases[i].outcome, "later: %s", room);
	}
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		worker.submit_status = cases[i].status;
		cr_assert_str_eq(events_outcome(events_send(HI)), cases[i].outcome, "at once: %s", room);
	}
}

Test(amqp_events, what_is_no_message_is_rejected)
{
	static const struct {
		const char *text, *outcome;
	} cases[] = {
		{"00 53 77 a1 ('value')", "rejected:amqp:decode-error"},
		{"ff", "rejected:amqp:decode-error"},
	};
	events = amqp_pair_events(&pair);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		cr_assert_str_eq(
			events_outcome(events_send(cases[i].text)), cases[i].outcome, "%s: %s", cases[i].text, room);
	cr_assert_eq(worker.record_count, 0);
	cr_assert(amqp_pair_heard(&pair, ""));
}

Test(amqp_events, what_is_settled_already_is_stored_and_gets_no_answer)
{
	events = amqp_pair_events(&pair);
	pn_delivery_settle(amqp_pair_send_text(events, HI));
	amqp_pair_run(&pair);
	cr_assert_eq(worker.record_count, 1);
	core_double_settle(&worker, 0, GH_OK);
	amqp_pair_run(&pair);
	cr_assert(amqp_pair_heard(&pair, ""));
	cr_assert_str_eq(events_outcome(events_send("ff")), "rejected:amqp:decode-error");
	pn_delivery_settle(amqp_pair_send_text(events, "ff"));
	amqp_pair_run(&pair);
	cr_assert(amqp_pair_heard(&pair, ""));
}

/* ---- of many frames ---- */

/* One data section of so many bytes. */
static gh_bytes events_large(struct buf *b, size_t len)
{
	uint8_t head[] = {
		0, 0x53, 0x75, 0xb0, (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
	buf_append(b, head, sizeof head);
	uint8_t *filler = malloc(len);
	memset(filler, 'x', len);
	buf_append(b, filler, len);
	free(filler);
	return buf_bytes(b);
}

Test(amqp_events, a_message_may_come_in_many_frames)
{
	struct buf large = {0};
	events = amqp_pair_events(&pair);
	pn_delivery_t *delivery = amqp_pair_send(events, events_large(&large, 200000));
	amqp_pair_run(&pair);
	cr_assert_eq(worker.record_count, 1);
	cr_assert_eq(gh_message_body(worker.records[0].message).len, 200000);
	core_double_settle(&worker, 0, GH_OK);
	cr_assert_str_eq(events_outcome(delivery), "accepted");
	buf_done(&large);
}

Test(amqp_events, the_largest_message_passes_and_one_byte_more_does_not)
{
	struct buf fits = {0}, too_large = {0};
	events = amqp_pair_events(&pair);
	pn_delivery_t *a = amqp_pair_send(events, events_large(&fits, worker.limits.message_bytes_max));
	pn_delivery_t *b = amqp_pair_send(events, events_large(&too_large, worker.limits.message_bytes_max + 1));
	amqp_pair_run(&pair);
	cr_assert_eq(worker.record_count, 1);
	cr_assert_str_eq(events_outcome(b), "rejected:amqp:link:message-size-exceeded");
	core_double_settle(&worker, 0, GH_OK);
	cr_assert_str_eq(events_outcome(a), "accepted");
	buf_done(&fits);
	buf_done(&too_large);
}

Test(amqp_events, far_too_large_a_message_ends_its_link_alone)
{
	struct buf large = {0};
	events = amqp_pair_events(&pair);
	pn_link_t *other = amqp_pair_sender(pn_link_session(events), "other", "/devices/dev1/messages/events");
	amqp_pair_run(&pair);
	pair.words[0] = '\0';
	for (unsigned i = 0; i < 20; i++) { /* more than a session's window together */
		buf_done(&large);
		amqp_pair_send(events, events_large(&large, 1048576));
		amqp_pair_run(&pair);
		cr_assert(strcmp(pair.words, "detach:amqp:link:message-size-exceeded") == 0, "%u: %s", i, pair.words);
		pair.words[0] = '\0';
		char name[20];
		snprintf(name, sizeof name, "again-%u", i);
		pn_link_close(events);
		events = amqp_pair_sender(pn_link_session(other), name, "/devices/dev1/messages/events");
		amqp_pair_run(&pair);
		cr_assert(amqp_pair_heard(&pair, "attach"));
	}
	events = other;
	cr_assert_str_eq(events_outcome(events_send(HI)), "");
	core_double_settle_all(&worker, GH_OK);
	buf_done(&large);
}

Test(amqp_events, an_aborted_message_leaves_nothing)
{
	struct buf large = {0};
	gh_bytes bytes = events_large(&large, 150000);
	events = amqp_pair_events(&pair);
	pn_delivery_t *delivery = pn_delivery(events, pn_dtag("t", 1));
	pn_link_send(events, (const char *)bytes.data, 100000);
	amqp_pair_run(&pair);
	pn_delivery_abort(delivery);
	amqp_pair_run(&pair);
	cr_assert_eq(worker.submit_count, 0);
	pn_delivery_t *next = events_send(HI);
	cr_assert_eq(worker.record_count, 1);
	core_double_settle(&worker, 0, GH_OK);
	cr_assert_str_eq(events_outcome(next), "accepted");
	buf_done(&large);
}

/* ---- batches ---- */

static pn_delivery_t *events_send_batch(const char *text)
{
	gh_bytes bytes = amqp_bytes(text);
	static uint32_t tag = 1000000;
	tag++;
	pn_delivery_t *delivery = pn_delivery(events, pn_dtag((const char *)&tag, sizeof tag));
	pn_link_send(events, (const char *)bytes.data, bytes.len);
	pn_link_advance(events);
	amqp_bytes_free(bytes);
	pair.batch = true;
	amqp_pair_run(&pair);
	pair.batch = false;
	return delivery;
}

#define ONE "00 53 75 a0 (00 53 75 a0 ('one'))"
#define TWO "00 53 75 a0 (00 53 74 c1 (02 a1 ('n') a1 ('2')) 00 53 75 a0 ('two'))"
#define BAD "00 53 75 a0 (00 53 77 a1 ('bad'))"

Test(amqp_events, must_63_a_batch_is_one_message_for_each_data_section)
{
	events = amqp_pair_events(&pair);
	pn_delivery_t *delivery = events_send_batch(ONE TWO);
	cr_assert_eq(worker.record_count, 2);
	events_assert_body(0, "one");
	events_assert_body(1, "two");
	core_double_settle(&worker, 1, GH_OK);
	cr_assert_str_eq(events_outcome(delivery), "", "one of two");
	core_double_settle(&worker, 0, GH_OK);
	cr_assert_str_eq(events_outcome(delivery), "accepted");
}

Test(amqp_events, a_batch_is_answered_by_the_worst_of_it)
{
	events = amqp_pair_events(&pair);
	pn_delivery_t *delivery = events_send_batch(ONE TWO);
	core_double_settle(&worker, 0, GH_UNAVAILABLE);
	core_double_settle(&worker, 1, GH_OK);
	cr_assert_str_eq(events_outcome(delivery), "released");
}

Test(amqp_events, a_batch_with_a_fault_stores_nothing)
{
	static const char *const batches[] = {ONE BAD, ONE "00 53 75 a0 (ff)", "00 53 77 a1 ('x')", ""};
	events = amqp_pair_events(&pair);
	for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
		cr_assert_str_eq(
			events_outcome(events_send_batch(batches[i])), "rejected:amqp:decode-error", "%zu %s", i, room);
	cr_assert_eq(worker.submit_count, 0);
}

Test(amqp_events, a_batch_of_too_many_messages_is_refused)
{
	worker.limits.amqp_batch_max = 2;
	events = amqp_pair_events(&pair);
	pn_delivery_t *fits = events_send_batch(ONE TWO);
	cr_assert_str_eq(events_outcome(events_send_batch(ONE TWO ONE)), "rejected:amqp:link:message-size-exceeded");
	cr_assert_eq(worker.record_count, 2);
	core_double_settle_all(&worker, GH_OK);
	cr_assert_str_eq(events_outcome(fits), "accepted");
}

Test(amqp_events, the_messages_of_a_batch_are_counted_together)
{
	worker.limits.message_bytes_max = 10;
	events = amqp_pair_events(&pair);
	pn_delivery_t *fits =
		events_send_batch(ONE TWO); /* 3, and 3 with a property of 2: framing counts for nothing */
	cr_assert_eq(worker.record_count, 2);
	cr_assert_str_eq(events_outcome(events_send_batch(ONE TWO ONE)), "rejected:amqp:link:message-size-exceeded");
	cr_assert_eq(worker.record_count, 2);
	core_double_settle_all(&worker, GH_OK);
	cr_assert_str_eq(events_outcome(fits), "accepted");
}

/* ---- room and credit ---- */

Test(amqp_events, credit_never_exceeds_the_limit_and_is_topped_up_at_half)
{
	worker.limits.amqp_credit_max = 10;
	events = amqp_pair_events(&pair);
	cr_assert_eq(pn_link_credit(events), 10);
	for (size_t i = 0; i < 10; i++)
		amqp_pair_send_text(events, HI);
	amqp_pair_run(&pair);
	cr_assert_eq(worker.record_count, 10);
	cr_assert_eq(pn_link_credit(events), 0);
	for (size_t i = 0; i < 4; i++)
		core_double_settle(&worker, i, GH_OK);
	amqp_pair_run(&pair);
	cr_assert_eq(pn_link_credit(events), 0, "six are out");
	core_double_settle(&worker, 4, GH_OK);
	amqp_pair_run(&pair);
	cr_assert_eq(pn_link_credit(events), 5);
	core_double_settle_all(&worker, GH_OK);
	amqp_pair_run(&pair);
	cr_assert_eq(pn_link_credit(events), 10);
}

Test(amqp_events, no_room_stops_reading_and_goes_on_in_order)
{
	events = amqp_pair_events(&pair);
	pn_link_t *other = amqp_pair_sender(amqp_pair_begin(&pair), "other", "/devices/dev1/messages/events");
	amqp_pair_run(&pair);
	worker.submit_room = 1;
	static const char *const texts[] = {"00 53 75 a0 ('1')", "00 53 75 a0 ('2')", "00 53 75 a0 ('3')"};
	for (size_t i = 0; i < 3; i++)
		amqp_pair_send_text(events, texts[i]);
	amqp_pair_send_text(other, "00 53 75 a0 ('4')");
	amqp_pair_run(&pair);
	cr_assert_eq(worker.record_count, 1);
	core_double_settle(&worker, 0, GH_OK);
	amqp_pair_run(&pair);
	cr_assert_eq(worker.record_count, 1);
	for (size_t i = 2; i <= 4; i++) {
		worker.submit_room = 1;
		core_double_writable(worker.links);
		amqp_pair_run(&pair);
		cr_assert_eq(worker.record_count, i);
	}
	core_double_settle_all(&worker, GH_OK);
	amqp_pair_run(&pair);
	events_assert_body(1, "2");
	events_assert_body(2, "3");
	events_assert_body(3, "4");
}

Test(amqp_events, a_batch_goes_on_where_it_had_to_stop)
{
	events = amqp_pair_events(&pair);
	worker.submit_room = 1;
	pn_delivery_t *delivery = events_send_batch(ONE TWO ONE);
	cr_assert_eq(worker.record_count, 1);
	core_double_settle(&worker, 0, GH_OK);
	cr_assert_str_eq(events_outcome(delivery), "");
	worker.submit_room = 0;
	core_double_writable(worker.links);
	amqp_pair_run(&pair);
	cr_assert_eq(worker.record_count, 3);
	core_double_settle_all(&worker, GH_OK);
	cr_assert_str_eq(events_outcome(delivery), "accepted");
}

Test(amqp_events, a_token_that_ends_while_there_is_no_room_frees_the_connection)
{
	events = amqp_pair_events(&pair);
	cr_assert_eq(amqp_pair_put_token(&pair, "hub.example.net/devices/dev2", "SharedAccessSignature sr=x"), 200);
	pn_link_t *other = amqp_pair_sender(pn_link_session(events), "other", "/devices/dev2/messages/events");
	amqp_pair_run(&pair);
	worker.submit_status = GH_AGAIN;
	amqp_pair_send_text(events, HI);
	amqp_pair_run(&pair);
	amqp_pair_send_text(other, "00 53 75 a0 ('other')");
	amqp_pair_run(&pair);
	cr_assert_eq(worker.record_count, 0);
	worker.submit_status = GH_OK;
	core_double_revoke(worker.links->next, GH_GONE);
	amqp_pair_run(&pair);
	cr_assert_eq(worker.record_count, 1);
	events_assert_body(0, "other");
}

Test(amqp_events, more_transfers_than_credit_end_the_link)
{
	worker.limits.amqp_credit_max = 2;
	events = amqp_pair_events(&pair);
	for (size_t i = 0; i < 2; i++)
		amqp_pair_send_text(events, HI);
	amqp_pair_run(&pair);
	cr_assert_eq(pn_link_credit(events), 0);
	gh_bytes third = amqp_bytes("00 00 00 1b 02 00 00 01 00 53 14 c0 (03 43 52 02 a0 ('t')) " HI);
	engine_pair_send(&pair.engine, third);
	amqp_bytes_free(third);
	amqp_pair_run(&pair);
	cr_assert_eq(worker.record_count, 2);
	cr_assert(amqp_pair_heard(&pair, "detach:amqp:transfer-limit-exceeded"));
}

Test(amqp_events, a_link_that_ends_forgets_what_it_awaited)
{
	events = amqp_pair_events(&pair);
	events_send(HI);
	pn_link_close(events);
	amqp_pair_run(&pair);
	core_double_settle_all(&worker, GH_OK);
	events = amqp_pair_sender(amqp_pair_begin(&pair), "events", "/devices/dev1/messages/events");
	events_send(HI);
	pn_session_close(pn_link_session(events));
	amqp_pair_run(&pair);
	core_double_settle_all(&worker, GH_OK);
	amqp_pair_run(&pair);
	cr_assert_eq(worker.record_count, 2);
	cr_assert(!pair.engine.finished);
}

Test(amqp_events, it_may_be_cut_off_with_messages_under_way)
{
	struct buf large = {0};
	events = amqp_pair_events(&pair);
	events_send(HI);
	worker.submit_status = GH_AGAIN;
	events_send_batch(ONE TWO);
	pn_delivery(events, pn_dtag("t", 1));
	gh_bytes bytes = events_large(&large, 1000);
	pn_link_send(events, (const char *)bytes.data, bytes.len);
	amqp_pair_run(&pair);
	engine_pair_hang_up(&pair.engine);
	cr_assert(pair.engine.finished);
	buf_done(&large);
}
