/* HTTP/1.1 connections: what may follow what, who waits, what is refused, and when it ends. */
#include "tests/suite.h"

#include "src/base/text.h"
#include "tests/unit/http_pair.h"
#include "transports/https/http1_engine.h"

#include <stdio.h>
#include <stdlib.h>

static gh_worker worker;
static struct engine_pair pair;

static void http1_begin(void)
{
	core_double_init(&worker);
	http_pair_init(&pair, &worker);
}

static void http1_end(void)
{
	engine_pair_done(&pair);
	core_double_done(&worker);
	suite_leak_check();
}

TestSuite(http1, .init = http1_begin, .fini = http1_end, .timeout = 60);

#define EVENTS "/devices/dev1/messages/events"
#define TOKEN "Authorization: SharedAccessSignature sr=x\r\n"
#define HEAD "POST " EVENTS " HTTP/1.1\r\nHost: hub\r\n" TOKEN

static void stored(void)
{
	core_double_settle_all(&worker, GH_OK);
	engine_pair_run(&pair);
}

static bool ended(const char *why)
{
	const char *told = http1_why(pair.engine);
	if (!told || strcmp(told, why) != 0)
		fprintf(stderr, "# ended: %s\n", told ? told : "not");
	return pair.finished && told && strcmp(told, why) == 0;
}

Test(http1, a_post_is_answered_204_only_after_the_message_is_stored)
{
	http_pair_post(&pair, "iothub-app-a: 1\r\n", "body");
	cr_assert(worker.record_count == 1 && pair.got.len == 0);
	cr_assert(text_equal(gh_message_body(worker.records[0].message), text_of("body")));
	stored();
	const char *head;
	cr_assert(http_pair_answer(&pair, &head, NULL) == 204);
	cr_assert_str_eq(head, "HTTP/1.1 204 No Content\r\ndate: Tue, 24 Nov 2026 10:56:01 GMT\r\n\r\n");
	cr_assert(!pair.finished);
}

Test(http1, a_request_may_come_cut_anywhere)
{
	static const char request[] =
		"POST " EVENTS "?api-version=1 HTTP/1.1\r\nHost: hub\r\n" TOKEN
		"iothub-app-a: b\r\nContent-Length: 4\r\n\r\nbody"
		"POST " EVENTS " HTTP/1.1\r\nHost: hub\r\n" TOKEN
		"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\nTrailer: x\r\n\r\n";
	size_t len = sizeof request - 1;
	for (size_t cut = 1; cut < len; cut++) {
		size_t before = worker.record_count;
		engine_pair_send(&pair, (gh_bytes){(const uint8_t *)request, cut});
		core_double_settle_all(&worker, GH_OK);
		engine_pair_run(&pair);
		engine_pair_send(&pair, (gh_bytes){(const uint8_t *)request + cut, len - cut});
		stored();
		stored();
		cr_assert(worker.record_count == before + 2, "cut at %zu: %zu records", cut,
			worker.record_count - before);
		cr_assert(http_pair_is(&pair, 204) && http_pair_is(&pair, 204), "cut at %zu", cut);
		for (size_t i = before; i < before + 2; i++)
			cr_assert(text_equal(gh_message_body(worker.records[i].message), text_of("body")), "cut at %zu",
				cut);
	}
	for (size_t i = 0; i < len; i++) {
		engine_pair_send(&pair, (gh_bytes){(const uint8_t *)request + i, 1});
		core_double_settle_all(&worker, GH_OK);
		engine_pair_run(&pair);
	}
	cr_assert(http_pair_is(&pair, 204) && http_pair_is(&pair, 204));
}

Test(http1, pipelined_requests_are_answered_in_order_one_at_a_time)
{
	http_pair_send(&pair, HEAD "Content-Length: 1\r\n\r\na" HEAD "Content-Length: 1\r\n\r\nb"
				   "GET /nothing HTTP/1.1\r\nHost: hub\r\n\r\n" HEAD "Content-Length: 1\r\n\r\nc");
	cr_assert(worker.record_count == 1 && pair.got.len == 0);
	stored();
	cr_assert(worker.record_count == 2 && http_pair_is(&pair, 204) && pair.got.len == 0);
	stored();
	cr_assert(worker.record_count == 3);
	cr_assert(http_pair_is(&pair, 204) && http_pair_is(&pair, 404) && pair.got.len == 0);
	stored();
	cr_assert(http_pair_is(&pair, 204));
	for (size_t i = 0; i < 3; i++)
		cr_assert(gh_message_body(worker.records[i].message).data[0] == "abc"[i]);
}

Test(http1, expect_100_continue_gets_its_100_before_the_body)
{
	http_pair_send(&pair, HEAD "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
	cr_assert(text_equal(buf_bytes(&pair.got), text_of("HTTP/1.1 100 Continue\r\n\r\n")));
	buf_clear(&pair.got);
	http_pair_send(&pair, "body");
	stored();
	cr_assert(http_pair_is(&pair, 204));
}

Test(http1, who_expects_100_and_is_refused_gets_the_refusal_and_the_end)
{
	worker.open_status = GH_UNAUTHORIZED;
	http_pair_send(&pair, HEAD "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
	const char *head;
	cr_assert(http_pair_answer(&pair, &head, NULL) == 401 && strstr(head, "connection: close\r\n"));
	cr_assert(ended("refused"));
}

/* Each ends with 400 and a close, and nothing behind it is looked at. */
static const struct {
	const char *name, *request;
	int status;
} smuggled[] = {
	{"length and coding", HEAD "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{"coding and length", HEAD "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", 400},
	{"two lengths", HEAD "Content-Length: 4\r\nContent-Length: 5\r\n\r\n", 400},
	{"one length twice", HEAD "Content-Length: 4\r\nContent-Length: 4\r\n\r\n", 400},
	{"a list of lengths", HEAD "Content-Length: 4, 4\r\n\r\n", 400},
	{"a signed length", HEAD "Content-Length: +4\r\n\r\n", 400},
	{"a hexadecimal length", HEAD "Content-Length: 0x4\r\n\r\n", 400},
	{"a negative length", HEAD "Content-Length: -1\r\n\r\n", 400},
	{"a length beyond all numbers", HEAD "Content-Length: 99999999999999999999\r\n\r\n", 400},
	{"an empty length", HEAD "Content-Length: \r\n\r\n", 400},
	{"bare LF behind the request line", "POST " EVENTS " HTTP/1.1\nHost: hub\r\n\r\n", 400},
	{"bare LF behind a field", "POST " EVENTS " HTTP/1.1\r\nHost: hub\nX: y\r\n\r\n", 400},
	{"bare CR in a field", HEAD "X: a\rb\r\n\r\n", 400},
	{"a folded field", HEAD "X: a\r\n b\r\n\r\n", 400},
	{"a blank before the colon", HEAD "Content-Length : 4\r\n\r\nbody", 400},
	{"a tab before the colon", HEAD "Transfer-Encoding\t: chunked\r\n\r\n", 400},
	{"a control in a value",
		HEAD "X: a\x01"
		     "b\r\n\r\n",
		400},
	{"two hosts", "POST " EVENTS " HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
	{"no host", "POST " EVENTS " HTTP/1.1\r\n\r\n", 400},
	{"a bad chunk size", HEAD "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
	{"a signed chunk size", HEAD "Transfer-Encoding: chunked\r\n\r\n+1\r\na\r\n", 400},
	{"a chunk longer than it says", HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400},
	{"bare LF behind a chunk size", HEAD "Transfer-Encoding: chunked\r\n\r\n1\na\r\n", 400},
	{"a coding that is not known", HEAD "Transfer-Encoding: gzip\r\n\r\n", 501},
	{"a coding twice", HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{"another version", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
	{"no HTTP at all", "\x16\x03\x01\x02", 400},
};

Test(http1, what_two_parsers_could_read_differently_is_refused_and_ends_the_connection)
{
	for (size_t i = 0; i < sizeof smuggled / sizeof *smuggled; i++) {
		struct engine_pair p;
		const char *head;
		http_pair_init(&p, &worker);
		http_pair_send(&p, smuggled[i].request);
		http_pair_send(&p, "GET /nothing HTTP/1.1\r\nHost: hub\r\n\r\n"); /* looked at by nobody */
		int status = http_pair_answer(&p, &head, NULL);
		cr_assert(status == smuggled[i].status && strstr(head, "connection: close\r\n"), "%s: %d",
			smuggled[i].name, status);
		cr_assert(p.finished && p.got.len == 0 && worker.record_count == 0, "%s", smuggled[i].name);
		engine_pair_done(&p);
	}
	http_pair_post(&pair, "", "healthy");
	stored();
	cr_assert(http_pair_is(&pair, 204));
}

Test(http1, nul_in_a_head_is_refused)
{
	static const char request[] = HEAD "X: a\0b\r\n\r\n";
	engine_pair_send(&pair, (gh_bytes){(const uint8_t *)request, sizeof request - 1});
	cr_assert(http_pair_is(&pair, 400) && pair.finished);
}

Test(http1, must_72_a_body_too_large_is_413_by_its_length_or_as_soon_as_it_is)
{
	worker.limits.message_bytes_max = 8;
	http_pair_send(&pair, HEAD "Content-Length: 9\r\n\r\n");
	cr_assert(http_pair_is(&pair, 413) && !pair.finished);
	http_pair_send(&pair, "123456789"); /* passed over: the next request begins behind it */
	http_pair_send(&pair, HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n");
	cr_assert(pair.got.len == 0);
	http_pair_send(&pair, "4\r\n6789\r\n");
	cr_assert(http_pair_is(&pair, 413) && !pair.finished);
	cr_assert(worker.reserved == 0, "what came before it was too much is not kept");
	http_pair_send(&pair, "0\r\n\r\n");
	http_pair_post(&pair, "", "12345678");
	stored();
	cr_assert(http_pair_is(&pair, 204) && worker.record_count == 1);
}

Test(http1, a_refused_body_without_end_ends_the_connection)
{
	worker.limits.http_service_body_bytes_max = 100;
	worker.open_status = GH_UNAUTHORIZED;
	http_pair_send(&pair, HEAD "Transfer-Encoding: chunked\r\n\r\n");
	cr_assert(http_pair_is(&pair, 401) && !pair.finished);
	for (int i = 0; i < 11 && !pair.finished; i++)
		http_pair_send(&pair, "a\r\n0123456789\r\n");
	cr_assert(ended("refused"));
}

Test(http1, a_refused_body_of_more_than_can_be_passed_over_ends_at_once)
{
	worker.open_status = GH_UNAUTHORIZED;
	http_pair_send(&pair, HEAD "Content-Length: 999999999\r\n\r\n");
	cr_assert(http_pair_is(&pair, 401) && ended("refused"));
}

Test(http1, bodies_that_are_not_whole_share_a_bounded_memory)
{
	worker.limits.http_receiving_bytes_max = 10;
	struct engine_pair other;
	http_pair_init(&other, &worker);
	http_pair_send(&pair, HEAD "Content-Length: 9\r\n\r\n1234567");
	cr_assert(worker.reserved == 7);
	http_pair_send(&other, HEAD "Content-Length: 9\r\n\r\n1234");
	const char *head;
	cr_assert(http_pair_answer(&other, &head, NULL) == 503 && strstr(head, "retry-after: 1\r\n"));
	http_pair_send(&other, "56789");
	http_pair_send(&pair, "89");
	cr_assert(worker.reserved == 0 && worker.record_count == 1);
	http_pair_send(&other, HEAD "Content-Length: 9\r\n\r\n1234567");
	cr_assert(worker.reserved == 7);
	engine_pair_done(&other);
	cr_assert(worker.reserved == 0);
	stored();
}

/* ---- keep-alive ---- */

static const struct {
	const char *head;
	bool stays;
	const char *connection; /* what the answer says, NULL = nothing */
} manners[] = {
	{"GET /x HTTP/1.1\r\nHost: hub\r\n\r\n", true, NULL},
	{"GET /x HTTP/1.1\r\nHost: hub\r\nConnection: keep-alive\r\n\r\n", true, NULL},
	{"GET /x HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n", false, "connection: close\r\n"},
	{"GET /x HTTP/1.0\r\n\r\n", false, "connection: close\r\n"},
	{"GET /x HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, "connection: keep-alive\r\n"},
};

Test(http1, a_connection_is_kept_as_version_and_connection_field_say)
{
	for (size_t i = 0; i < sizeof manners / sizeof *manners; i++) {
		struct engine_pair p;
		const char *head;
		http_pair_init(&p, &worker);
		http_pair_send(&p, manners[i].head);
		cr_assert(http_pair_answer(&p, &head, NULL) == 404, "%s", manners[i].head);
		cr_assert(p.finished == !manners[i].stays, "%s", manners[i].head);
		cr_assert(manners[i].connection ? strstr(head, manners[i].connection) != NULL
						: !strstr(head, "connection:"),
			"%s: %s", manners[i].head, head);
		engine_pair_done(&p);
	}
}

Test(http1, an_answer_to_head_has_the_length_of_a_body_and_no_body)
{
	http_pair_send(&pair, "HEAD /devices HTTP/1.1\r\nHost: hub\r\n\r\n");
	gh_bytes got = buf_bytes(&pair.got);
	cr_assert(got.len > 4 && memcmp(got.data + got.len - 4, "\r\n\r\n", 4) == 0);
	cr_assert(text_starts(got, "HTTP/1.1 405 ") && !pair.finished);
	buf_clear(&pair.got);
}

/* ---- time ---- */

Test(http1, must_09_threat_11_a_silent_connection_ends)
{
	engine_pair_wait(&pair, worker.limits.http_head_ms_max - 1);
	cr_assert(!pair.finished);
	engine_pair_wait(&pair, 1);
	cr_assert(ended("head_late") && pair.got.len == 0);
}

Test(http1, threat_11_the_first_head_has_its_time_from_the_handshake_on)
{
	engine_pair_wait(&pair, worker.limits.http_head_ms_max - 1);
	http_pair_send(&pair, "GET /x HTTP/1.1\r\n");
	cr_assert(!pair.finished);
	engine_pair_wait(&pair, 1);
	cr_assert(http_pair_is(&pair, 408) && ended("head_late"));
}

Test(http1, threat_11_a_head_that_trickles_in_is_given_408)
{
	http_pair_send(&pair, "GET /x HTTP/1.1\r\n");
	for (int i = 0; i < 29; i++) {
		engine_pair_wait(&pair, 1000);
		http_pair_send(&pair, "X: y\r\n");
	}
	cr_assert(!pair.finished);
	engine_pair_wait(&pair, 1000);
	cr_assert(http_pair_is(&pair, 408) && ended("head_late"));
}

Test(http1, threat_11_a_body_that_trickles_in_is_given_408)
{
	http_pair_send(&pair, HEAD "Content-Length: 1000\r\n\r\n");
	for (uint64_t ms = 0; ms < worker.limits.http_body_ms_max; ms += 1000) {
		cr_assert(!pair.finished);
		http_pair_send(&pair, "x");
		engine_pair_wait(&pair, 1000);
	}
	cr_assert(http_pair_is(&pair, 408) && ended("body_late"));
}

Test(http1, a_kept_connection_ends_silently_when_it_was_idle_long_enough)
{
	http_pair_send(&pair, "GET /x HTTP/1.1\r\nHost: hub\r\n\r\n");
	cr_assert(http_pair_is(&pair, 404));
	engine_pair_wait(&pair, worker.limits.http_idle_ms_max - 1);
	cr_assert(!pair.finished);
	engine_pair_wait(&pair, 1);
	cr_assert(ended("idle") && pair.got.len == 0);
}

Test(http1, a_message_not_stored_in_time_is_answered_503)
{
	http_pair_post(&pair, "", "body");
	engine_pair_wait(&pair, worker.limits.record_ms_max - 1);
	cr_assert(pair.got.len == 0);
	engine_pair_wait(&pair, 1);
	cr_assert(http_pair_is(&pair, 503) && !pair.finished);
	core_double_settle_all(&worker, GH_OK); /* too late: nobody is told twice */
	engine_pair_run(&pair);
	cr_assert(pair.got.len == 0);
}

/* ---- back-pressure ---- */

Test(http1, without_room_a_request_waits_and_nothing_more_is_read)
{
	worker.submit_status = GH_AGAIN;
	http_pair_post(&pair, "iothub-app-a: 1\r\n", "first");
	http_pair_post(&pair, "", "second");
	cr_assert(worker.submit_count == 1 && pair.got.len == 0 && pair.held.len > 0);
	core_double_writable(worker.links);
	engine_pair_run(&pair);
	cr_assert(worker.record_count == 1);
	cr_assert(text_equal(gh_message_body(worker.records[0].message), text_of("first")));
	stored();
	cr_assert(http_pair_is(&pair, 204) && worker.record_count == 2);
	stored();
	cr_assert(http_pair_is(&pair, 204));
}

Test(http1, threat_41_requests_that_wait_for_room_share_a_bounded_memory)
{
	worker.limits.http_receiving_bytes_max = 10;
	worker.submit_status = GH_AGAIN;
	struct engine_pair other;
	http_pair_init(&other, &worker);
	http_pair_post(&pair, "", "1234567");
	cr_assert(worker.reserved == 7 && pair.got.len == 0);
	http_pair_post(&other, "", "1234");
	cr_assert(http_pair_is(&other, 503) && !other.finished && worker.reserved == 7);
	for (gh_link *link = worker.links; link; link = link->next)
		core_double_writable(link);
	engine_pair_run(&pair);
	engine_pair_run(&other);
	cr_assert(worker.reserved == 0 && worker.record_count == 1, "what was refused is not sent after all");
	stored();
	cr_assert(http_pair_is(&pair, 204));
	engine_pair_done(&other);
}

Test(http1, a_request_that_finds_no_room_in_time_is_answered_503)
{
	worker.submit_status = GH_AGAIN;
	http_pair_post(&pair, "", "body");
	engine_pair_wait(&pair, worker.limits.record_ms_max);
	const char *head;
	cr_assert(http_pair_answer(&pair, &head, NULL) == 503 && strstr(head, "retry-after: 1\r\n"));
	cr_assert(!pair.finished && worker.record_count == 0);
	core_double_writable(worker.links);
	engine_pair_run(&pair);
	cr_assert(worker.submit_count == 1);
}

Test(http1, threat_39_a_client_that_reads_no_answers_is_not_read_from)
{
	worker.limits.http_output_bytes_max = 1000;
	pair.reading = false;
	for (int i = 0; i < 100; i++)
		http_pair_send(&pair, "GET /x HTTP/1.1\r\nHost: hub\r\n\r\n");
	cr_assert(pair.held.len > 0 && pair.engine->ops->output(pair.engine).len < 2000);
	pair.reading = true;
	engine_pair_turn(&pair);
	for (int i = 0; i < 100; i++)
		cr_assert(http_pair_is(&pair, 404), "answer %d", i);
	cr_assert(pair.held.len == 0);
}

/* A wire counts what is offered and does not leave, and cuts a connection that lets too much of it wait. */
Test(http1, a_long_answer_is_offered_in_parts)
{
	enum { LEN = 3 << 20 };
	uint8_t *body = malloc(LEN);
	struct buf got = {0};
	for (size_t i = 0; i < LEN; i++)
		body[i] = (uint8_t)(i * 7 + i / 251);
	http_pair_send(&pair, "GET /devices?api-version=2021-04-12 HTTP/1.1\r\nHost: hub\r\n" TOKEN "\r\n");
	pair.reading = false;
	core_double_answer(&worker, 0, &(gh_service_answer){.body = {body, LEN}, .etag = "", .item_type = ""});
	engine_pair_run(&pair);
	for (gh_bytes out; (out = pair.engine->ops->output(pair.engine)).len > 0;) {
		cr_assert(out.len <= 65536, "%zu bytes at once", out.len);
		size_t n = out.len < 10000 ? out.len : 10000;
		buf_append(&got, out.data, n);
		pair.engine->ops->output_done(pair.engine, n);
	}
	cr_assert(got.len > LEN && memcmp(got.data + got.len - LEN, body, LEN) == 0);
	pair.reading = true;
	http_pair_send(&pair, "GET /x HTTP/1.1\r\nHost: hub\r\n\r\n");
	cr_assert(http_pair_is(&pair, 404), "and the next one follows");
	buf_done(&got);
	free(body);
}

/* ---- ends ---- */

Test(http1, a_peer_that_sent_its_last_byte_still_gets_its_answer)
{
	http_pair_post(&pair, "", "body");
	engine_pair_hang_up(&pair);
	cr_assert(!pair.finished);
	stored();
	const char *head;
	cr_assert(http_pair_answer(&pair, &head, NULL) == 204 && strstr(head, "connection: close\r\n"));
	cr_assert(pair.finished);
}

Test(http1, a_peer_that_leaves_in_the_middle_of_a_request_leaves_nothing)
{
	http_pair_send(&pair, HEAD "Content-Length: 10\r\n\r\n12345");
	engine_pair_hang_up(&pair);
	cr_assert(ended("peer_closed") && worker.record_count == 0 && worker.reserved == 0);
}

Test(http1, drained_while_idle_it_ends_at_once)
{
	http_pair_send(&pair, "GET /x HTTP/1.1\r\nHost: hub\r\n\r\n");
	cr_assert(http_pair_is(&pair, 404));
	pair.engine->ops->drain(pair.engine, pair.now_ms);
	engine_pair_turn(&pair);
	cr_assert(ended("drained"));
}

Test(http1, drained_while_serving_it_answers_and_says_close)
{
	http_pair_post(&pair, "", "body");
	pair.engine->ops->drain(pair.engine, pair.now_ms);
	engine_pair_turn(&pair);
	cr_assert(!pair.finished);
	stored();
	const char *head;
	cr_assert(http_pair_answer(&pair, &head, NULL) == 204 && strstr(head, "connection: close\r\n"));
	cr_assert(ended("drained"));
}

Test(http1, freed_while_a_message_is_on_its_way_it_tells_nobody)
{
	http_pair_post(&pair, "", "body");
	engine_pair_done(&pair);
	core_double_settle_all(&worker, GH_OK);
	cr_assert(worker.record_count == 1 && core_double_links_open(&worker) == 0);
}

Test(http1, a_connection_that_fell_silent_keeps_no_request)
{
	http_pair_send(&pair, "GET /x HTTP/1.1\r\nHost: hub\r\n\r\n");
	cr_assert(http_pair_is(&pair, 404));
	cr_assert(pair.deadline_ms == pair.now_ms + 1000);
	engine_pair_wait(&pair, 1000);
	cr_assert(pair.deadline_ms == pair.now_ms - 1000 + worker.limits.http_idle_ms_max);
	http_pair_post(&pair, "", "again");
	stored();
	cr_assert(http_pair_is(&pair, 204));
}
