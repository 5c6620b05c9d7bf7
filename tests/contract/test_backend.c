/* The queue's contract, the same for every engine (gatehouse/backend.h). */
#include "tests/suite.h"

#include "tests/contract/engine.h"

#include <pthread.h>

SUITE(backend);

Test(backend, every_record_completes_once_in_the_order_of_submission)
{
	struct engine e;
	engine_open(&e);
	gh_completion completions[600];
	cr_assert(engine_submit(e.port, 0, 300) == 300);
	cr_assert(engine_submit(e.port, 300, 300) == 300);
	engine_reap(e.port, completions, 600);
	for (unsigned long i = 0; i < 600; i++) {
		cr_assert(completions[i].kind == GH_APPENDED && completions[i].status == GH_OK);
		cr_assert(
			(unsigned long)(uintptr_t)completions[i].cookie == i, "result %lu is that of record %lu", i, i);
	}
	cr_assert(ENGINE_QUEUE.reap(e.port, completions, 600) == 0, "none completes twice");
	engine_close(&e);
}

Test(backend, offsets_of_a_partition_start_at_0_and_rise_by_1)
{
	struct engine e;
	engine_open(&e);
	uint64_t next[32] = {0};
	gh_completion completions[500];
	for (unsigned long first = 0; first < 1500; first += 500) {
		engine_submit(e.port, first, 500);
		engine_reap(e.port, completions, 500);
		for (size_t i = 0; i < 500; i++) {
			uint32_t p = letter_partition(first + i, e.partitions);
			cr_assert(completions[i].offset == next[p], "letter %lu", first + i);
			next[p]++;
		}
	}
	for (uint32_t p = 0; p < e.partitions; p++) {
		uint64_t floor, end;
		cr_assert(ENGINE_QUEUE.bounds(e.port, p, &floor, &end) == GH_OK);
		cr_assert(floor == 0 && end == next[p]);
	}
	engine_close(&e);
}

Test(backend, what_is_fetched_is_what_was_stored_byte_for_byte)
{
	struct engine e;
	engine_open(&e);
	static uint64_t offsets[3000];
	engine_store_letters(&e, 0, 3000);
	cr_assert(engine_read_all(&e, offsets, 3000) == 3000);
	for (unsigned long i = 0; i < 3000; i++)
		cr_assert(offsets[i] > 0, "letter %lu is there", i);
	for (unsigned long i = LETTER_DEVICES; i < 3000; i++)
		cr_assert(offsets[i] > offsets[i - LETTER_DEVICES], "letters of one device keep their order");
	engine_close(&e);
}

Test(backend, a_fetch_is_at_least_one_record_and_about_as_long_as_asked)
{
	struct engine e;
	engine_open(&e);
	engine_store_letters(&e, 0, 400);
	uint32_t p = letter_partition(0, e.partitions);
	gh_completion one = engine_fetch(&e, p, 0, 1);
	cr_assert(one.count == 1 && one.offset == 1);
	gh_fetched_free(one.records, one.count);
	gh_completion some = engine_fetch(&e, p, 3, 4000);
	cr_assert(some.count > 1 && some.count < 50 && some.records[0].offset == 3);
	gh_fetched_free(some.records, some.count);
	engine_close(&e);
}

Test(backend, a_fetch_at_the_end_completes_empty)
{
	struct engine e;
	engine_open(&e);
	gh_completion empty = engine_fetch(&e, 0, 0, 1000);
	cr_assert(empty.status == GH_OK && empty.count == 0 && empty.records == NULL && empty.offset == 0);
	engine_store_letters(&e, 0, 100);
	uint64_t floor, end;
	ENGINE_QUEUE.bounds(e.port, 0, &floor, &end);
	gh_completion at_end = engine_fetch(&e, 0, end, 1000);
	cr_assert(at_end.status == GH_OK && at_end.count == 0 && at_end.offset == end);
	engine_close(&e);
}

Test(backend, a_partition_that_does_not_exist_is_refused)
{
	struct engine e;
	engine_open(&e);
	uint64_t floor, end;
	cr_assert(ENGINE_QUEUE.fetch(e.port, e.partitions, 0, 1000, NULL) == GH_INVALID);
	cr_assert(ENGINE_QUEUE.bounds(e.port, e.partitions, &floor, &end) == GH_INVALID);
	engine_close(&e);
}

Test(backend, more_reads_than_fetches_max_are_told_to_come_again)
{
	struct engine e;
	engine_init(&e);
	e.limits.fetches_max = 2;
	engine_start(&e);
	gh_completion completions[2];
	cr_assert(ENGINE_QUEUE.fetch(e.port, 0, 0, 1000, NULL) == GH_OK);
	cr_assert(ENGINE_QUEUE.fetch(e.port, 0, 0, 1000, NULL) == GH_OK);
	cr_assert(ENGINE_QUEUE.fetch(e.port, 0, 0, 1000, NULL) == GH_AGAIN);
	engine_reap(e.port, completions, 2);
	cr_assert(ENGINE_QUEUE.fetch(e.port, 0, 0, 1000, NULL) == GH_OK);
	engine_reap(e.port, completions, 1);
	engine_close(&e);
}

Test(backend, a_default_queue_has_4_partitions_and_more_than_32_are_refused)
{
	struct engine e;
	engine_open(&e);
	cr_assert(ENGINE_QUEUE.partitions(e.queue) == 4);
	engine_stop(&e);
	gh_error err = {0};
	gh_backend_config config = {
		.directory = e.directory, .level = ENGINE_LEVEL, .partitions = 33, .limits = &e.limits};
	gh_backend *queue = NULL;
	cr_assert(ENGINE_QUEUE.open(&config, &queue, &err) == GH_INVALID && queue == NULL);
	engine_close(&e);
}

Test(backend, a_level_it_cannot_keep_is_refused)
{
	struct engine e;
	engine_open(&e);
	engine_stop(&e);
	gh_error err = {0};
	gh_backend_config config = {.directory = e.directory, .level = ENGINE_LEVEL + 1, .limits = &e.limits};
	gh_backend *queue = NULL;
	cr_assert(ENGINE_QUEUE.open(&config, &queue, &err) == GH_INVALID && queue == NULL);
	cr_assert_str_eq(err.code, "level_not_kept");
	engine_close(&e);
}

/* ---- credit ---- */

Test(backend, beyond_the_credit_records_are_refused_and_the_descriptor_tells_when_there_is_room)
{
	struct engine e;
	engine_init(&e);
	e.limits.inflight_bytes_max = 100000;
	engine_start(&e);
	unsigned long sent = 0;
	size_t taken;
	/* Nothing is reaped, so what was taken stays in flight. */
	while ((taken = engine_submit(e.port, sent, 50)) == 50)
		sent += taken;
	sent += taken;
	gh_health health;
	ENGINE_QUEUE.health(e.queue, &health);
	cr_assert(health.inflight_bytes <= 100000, "%llu bytes", (unsigned long long)health.inflight_bytes);
	cr_assert(health.inflight_bytes > 75000);
	cr_assert(ENGINE_QUEUE.room(e.port) == 0);
	gh_completion completion;
	unsigned long reaped = 0;
	while (ENGINE_QUEUE.room(e.port) == 0) {
		cr_assert(engine_readable(ENGINE_QUEUE.fd(e.port)));
		size_t n = ENGINE_QUEUE.reap(e.port, &completion, 1);
		cr_assert(n == 0 || (uintptr_t)completion.cookie == reaped);
		reaped += n;
	}
	ENGINE_QUEUE.health(e.queue, &health);
	cr_assert(health.inflight_bytes <= 50000, "there is room again only at the low mark, not at %llu",
		(unsigned long long)health.inflight_bytes);
	while (reaped < sent) {
		engine_reap(e.port, &completion, 1);
		reaped++;
	}
	ENGINE_QUEUE.health(e.queue, &health);
	cr_assert(health.inflight_bytes == 0 && health.records == sent);
	engine_close(&e);
}

Test(backend, room_given_back_by_one_port_wakes_another)
{
	struct engine e;
	engine_init(&e);
	e.limits.inflight_bytes_max = 65536;
	engine_start(&e);
	gh_port *other = ENGINE_QUEUE.attach(e.queue);
	unsigned long sent = 0;
	size_t taken;
	while ((taken = engine_submit(e.port, sent, 10)) == 10)
		sent += taken;
	sent += taken;
	cr_assert(ENGINE_QUEUE.room(other) == 0);
	struct pollfd fd = {ENGINE_QUEUE.fd(other), POLLIN, 0};
	cr_assert(poll(&fd, 1, 0) == 0, "nothing for the other port yet");
	static gh_completion completions[1000];
	engine_reap(e.port, completions, sent);
	cr_assert(engine_readable(ENGINE_QUEUE.fd(other)));
	cr_assert(ENGINE_QUEUE.reap(other, completions, 1) == 0 && ENGINE_QUEUE.room(other) > 0);
	ENGINE_QUEUE.detach(other);
	engine_close(&e);
}

Test(backend, the_descriptor_is_quiet_when_nothing_waits)
{
	struct engine e;
	engine_open(&e);
	gh_completion completions[10];
	engine_submit(e.port, 0, 10);
	engine_reap(e.port, completions, 10);
	cr_assert(ENGINE_QUEUE.reap(e.port, completions, 10) == 0);
	struct pollfd fd = {ENGINE_QUEUE.fd(e.port), POLLIN, 0};
	cr_assert(poll(&fd, 1, 0) == 0);
	engine_close(&e);
}

Test(backend, a_record_larger_than_all_credit_is_taken_when_nothing_else_is_in_flight)
{
	struct engine e;
	engine_init(&e);
	e.limits.inflight_bytes_max = 100;
	engine_start(&e);
	gh_completion completion;
	cr_assert(engine_submit(e.port, 20, 2) == 1);
	engine_reap(e.port, &completion, 1);
	cr_assert(completion.status == GH_OK);
	engine_close(&e);
}

/* ---- threads ---- */

enum { SENDERS = 4, SENDER_LETTERS = 3000 };

struct sender {
	struct engine *e;
	unsigned long first;
	size_t ok;
};

/* Its own port, batches of odd sizes, at most 64 in flight. */
static void *backend_send(void *context)
{
	struct sender *s = context;
	gh_port *port = ENGINE_QUEUE.attach(s->e->queue);
	gh_completion completions[64];
	unsigned long sent = 0, done = 0;
	while (done < SENDER_LETTERS) {
		size_t n = 1 + sent % 7;
		if (n > SENDER_LETTERS - sent)
			n = SENDER_LETTERS - sent;
		if (sent - done + n <= 64 && n > 0)
			sent += engine_submit(port, s->first + sent, n);
		size_t got = ENGINE_QUEUE.reap(port, completions, 64);
		for (size_t i = 0; i < got; i++, done++)
			s->ok += completions[i].status == GH_OK && (uintptr_t)completions[i].cookie == s->first + done;
		if (got == 0 && sent - done > 32)
			engine_readable(ENGINE_QUEUE.fd(port));
	}
	ENGINE_QUEUE.detach(port);
	return NULL;
}

Test(backend, ports_of_many_threads_lose_nothing_and_keep_the_order_of_each_device)
{
	struct engine e;
	engine_open(&e);
	pthread_t threads[SENDERS];
	struct sender senders[SENDERS];
	for (int i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){&e, (unsigned long)i * SENDER_LETTERS, 0};
		pthread_create(&threads[i], NULL, backend_send, &senders[i]);
	}
	for (int i = 0; i < SENDERS; i++) {
		pthread_join(threads[i], NULL);
		cr_assert(senders[i].ok == SENDER_LETTERS);
	}
	static uint64_t offsets[SENDERS * SENDER_LETTERS];
	cr_assert(engine_read_all(&e, offsets, SENDERS * SENDER_LETTERS) == SENDERS * SENDER_LETTERS);
	for (unsigned long i = 0; i < SENDERS * SENDER_LETTERS; i++)
		if (i % SENDER_LETTERS >= LETTER_DEVICES)
			cr_assert(offsets[i] > offsets[i - LETTER_DEVICES], "letter %lu", i);
	engine_close(&e);
}

/* ---- the end ---- */

Test(backend, drain_returns_when_all_that_was_taken_is_complete)
{
	struct engine e;
	engine_open(&e);
	gh_completion completions[500];
	engine_submit(e.port, 0, 500);
	cr_assert(ENGINE_QUEUE.drain(e.queue, 10000) == GH_OK);
	cr_assert(ENGINE_QUEUE.reap(e.port, completions, 500) == 500);
	engine_close(&e);
}

Test(backend, a_port_may_go_with_records_and_reads_in_flight)
{
	struct engine e;
	engine_open(&e);
	for (unsigned long round = 0; round < 20; round++) {
		gh_port *port = ENGINE_QUEUE.attach(e.queue);
		engine_submit(port, round * 100, 100);
		ENGINE_QUEUE.fetch(port, 0, 0, 100000, NULL);
		ENGINE_QUEUE.detach(port);
	}
	cr_assert(ENGINE_QUEUE.drain(e.queue, 10000) == GH_OK);
	gh_health health;
	ENGINE_QUEUE.health(e.queue, &health);
	cr_assert(health.inflight_bytes == 0, "its credit came back");
	engine_close(&e);
}

Test(backend, a_port_outlives_the_queue_and_every_record_still_completes_once)
{
	struct engine e;
	engine_open(&e);
	engine_submit(e.port, 0, 1000);
	ENGINE_QUEUE.close(e.queue);
	e.queue = NULL;
	static gh_completion completions[1001];
	engine_reap(e.port, completions, 1000);
	for (unsigned long i = 0; i < 1000; i++) {
		cr_assert((uintptr_t)completions[i].cookie == i);
		cr_assert(completions[i].status == GH_OK || completions[i].status == GH_UNKNOWN);
	}
	cr_assert(ENGINE_QUEUE.reap(e.port, completions, 1) == 0);
	cr_assert(engine_submit(e.port, 0, 1) == 0 && ENGINE_QUEUE.room(e.port) == 0);
	cr_assert(ENGINE_QUEUE.fetch(e.port, 0, 0, 1000, NULL) == GH_UNAVAILABLE);
	ENGINE_QUEUE.detach(e.port);
	e.port = NULL;
	engine_close(&e);
}

#ifndef ENGINE_EMBEDDED
Test(backend, the_memory_queue_completes_nothing_while_it_is_held)
{
	struct engine e;
	engine_open(&e);
	gh_completion completions[20];
	memory_queue_hold(e.queue);
	cr_assert(engine_submit(e.port, 0, 10) == 10);
	cr_assert(ENGINE_QUEUE.reap(e.port, completions, 20) == 0);
	cr_assert(ENGINE_QUEUE.drain(e.queue, 0) == GH_AGAIN);
	memory_queue_release(e.queue, GH_UNKNOWN);
	engine_reap(e.port, completions, 10);
	cr_assert(completions[9].status == GH_UNKNOWN);
	uint64_t floor, end;
	ENGINE_QUEUE.bounds(e.port, letter_partition(0, 4), &floor, &end);
	cr_assert(end == 0, "what failed is not stored");
	memory_queue_set_room(e.queue, false);
	cr_assert(ENGINE_QUEUE.room(e.port) == 0 && engine_submit(e.port, 0, 1) == 0);
	memory_queue_set_room(e.queue, true);
	cr_assert(engine_readable(ENGINE_QUEUE.fd(e.port)) && ENGINE_QUEUE.room(e.port) > 0);
	engine_close(&e);
}
#endif
