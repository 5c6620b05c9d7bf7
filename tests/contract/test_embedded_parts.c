/* The parts without a database: the pace of the writer, the stored form of a commit. */
#include "tests/suite.h"

#include "src/backends/bell.h"
#include "src/backends/chunk.h"
#include "src/backends/pace.h"
#include "src/base/text.h"

#include <poll.h>
#include <unistd.h>

SUITE(bell);
SUITE(pace);

static bool bell_is_heard(const struct bell *b)
{
	struct pollfd fd = {b->fd, POLLIN, 0};
	return poll(&fd, 1, 0) == 1;
}

Test(bell, is_heard_once_for_many_rings_and_again_after_a_quieting)
{
	struct bell b;
	cr_assert(bell_init(&b) && !bell_is_heard(&b));
	bell_ring(&b);
	bell_ring(&b);
	cr_assert(bell_is_heard(&b));
	bell_quiet(&b);
	cr_assert(!bell_is_heard(&b));
	bell_ring(&b);
	cr_assert(bell_is_heard(&b), "a quieted bell can be rung");
	bell_done(&b);
}

Test(bell, a_ring_written_only_after_the_quieting_is_heard_once_and_not_for_ever)
{
	struct bell b;
	uint64_t one = 1;
	cr_assert(bell_init(&b));
	/* The ringer has set the flag and was interrupted there; the owner, awake for another reason, quiets. */
	atomic_fetch_add(&b.rings, 1);
	atomic_store(&b.rung, true);
	bell_quiet(&b);
	cr_assert(write(b.fd, &one, sizeof one) == sizeof one);
	cr_assert(bell_is_heard(&b));
	bell_quiet(&b);
	cr_assert(!bell_is_heard(&b), "or its owner would spin");
	bell_ring(&b);
	cr_assert(bell_is_heard(&b));
	bell_done(&b);
}

/* As after `commits` commits of `records` each, one every `every_us`, with `arrived` coming while it was synced. */
static struct pace pace_after(size_t records, size_t arrived, uint64_t every_us, uint64_t *ret_now_us)
{
	struct pace p;
	pace_init(&p, 2000);
	*ret_now_us = 1000000;
	p.committed_us = *ret_now_us;
	for (int i = 0; i < 50; i++) {
		*ret_now_us += every_us;
		pace_committed(&p, records, arrived, *ret_now_us);
	}
	return p;
}

Test(pace, a_lone_client_is_never_delayed)
{
	uint64_t now_us;
	struct pace p = pace_after(1, 0, 150, &now_us);
	cr_assert(pace_wait_us(&p, 1, now_us) == 0);
}

Test(pace, a_pace_that_fills_batches_by_itself_is_not_delayed)
{
	uint64_t now_us;
	struct pace p = pace_after(100, 100, 200, &now_us);
	cr_assert(pace_wait_us(&p, PACE_ENOUGH, now_us) == 0);
}

Test(pace, rare_messages_are_not_delayed)
{
	uint64_t now_us;
	struct pace p = pace_after(1, 1, 1000, &now_us);
	cr_assert(pace_wait_us(&p, 1, now_us) == 0, "two more in 2 ms are not worth a wait");
}

Test(pace, a_steady_stream_is_gathered_within_the_limit)
{
	uint64_t now_us, waited_us = 0, step_us;
	struct pace p = pace_after(10, 9, 200, &now_us); /* 50 records a millisecond */
	size_t waiting = 10;
	while ((step_us = pace_wait_us(&p, waiting, now_us)) > 0) {
		now_us += step_us;
		waited_us += step_us;
		waiting += step_us / 20;
	}
	cr_assert(waiting >= PACE_ENOUGH - 4 && waited_us <= 2000, "%zu after %llu us", waiting,
		(unsigned long long)waited_us);
	cr_assert(waited_us < 1300, "no longer than it takes");
}

Test(pace, those_who_wait_for_us_are_not_waited_for_twice)
{
	uint64_t now_us;
	struct pace p = pace_after(2, 1, 300, &now_us);
	uint64_t step_us = pace_wait_us(&p, 2, now_us);
	cr_assert(step_us > 0 && step_us <= 1000);
	cr_assert(pace_wait_us(&p, 2, now_us + step_us) == 0, "nobody came in a whole step");
	unsigned waits = 0;
	for (int i = 0; i < 1000; i++) {
		now_us += 300;
		pace_committed(&p, 2, 1, now_us);
		while ((step_us = pace_wait_us(&p, 2, now_us)) > 0) {
			now_us += step_us;
			waits++;
		}
	}
	cr_assert(waits > 0 && waits <= 1000 / 50 + 6, "%u waits in 1000 commits", waits);
}

Test(pace, a_gathering_that_doubled_the_batch_was_worth_it_though_its_last_step_was_empty)
{
	uint64_t now_us, step_us;
	struct pace p = pace_after(20, 10, 1000, &now_us); /* 20 records a millisecond */
	for (int i = 0; i < 100; i++) {
		size_t waiting = 10;
		unsigned steps = 0;
		while ((step_us = pace_wait_us(&p, waiting, now_us)) > 0) {
			now_us += step_us;
			waiting = 40; /* all who have a message free have sent it in the first step */
			steps++;
		}
		cr_assert(steps == 2, "commit %d: %u steps", i, steps);
		now_us += 200;
		pace_committed(&p, waiting, 10, now_us);
	}
}

Test(pace, a_thin_stream_is_waited_for_half_as_long_as_a_thick_one)
{
	static const struct {
		size_t records;
		uint64_t every_us, wait_us_max;
	} rows[] = {{5, 1000, 1000}, {15, 1000, 1000}, {20, 1000, 2000}, {28, 1000, 2000}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t now_us, waited_us = 0, step_us;
		struct pace p = pace_after(rows[i].records, 2, rows[i].every_us, &now_us);
		for (size_t waiting = 2; (step_us = pace_wait_us(&p, waiting, now_us)) > 0; waiting += 2) {
			now_us += step_us;
			waited_us += step_us;
		}
		cr_assert(waited_us > rows[i].wait_us_max / 2 && waited_us <= rows[i].wait_us_max,
			"%zu records a millisecond: waited %llu us", rows[i].records, (unsigned long long)waited_us);
	}
}

Test(pace, no_delay_allowed_is_no_delay)
{
	uint64_t now_us;
	struct pace p = pace_after(10, 9, 200, &now_us);
	p.delay_us_max = 0;
	cr_assert(pace_wait_us(&p, 1, now_us) == 0);
}

SUITE(chunk);

static void chunk_build(struct chunk_builder *b, struct chunk_index *index)
{
	static const char *const records[] = {"zero", "one", "", "three", "four"};
	*index = (struct chunk_index){.time_ms = 1700000000000, .partitions = 3};
	index->places[0].next = 100;
	index->places[2].next = 7;
	chunk_builder_init(b);
	chunk_begin(b);
	for (uint32_t i = 0; i < 5; i++)
		chunk_count(b, i % 2 * 2, strlen(records[i]));
	cr_assert(chunk_layout(b, index));
	for (uint32_t i = 0; i < 5; i++)
		cr_assert(chunk_place_record(b, i % 2 * 2, text_of(records[i])) == (i % 2 ? 7u : 100u) + i / 2);
}

Test(chunk, records_come_back_by_partition_with_their_offsets)
{
	struct chunk_builder b;
	struct chunk_index index;
	chunk_build(&b, &index);
	cr_assert(index.places[0].count == 3 && index.places[1].count == 0 && index.places[2].count == 2);
	struct chunk_reader r;
	uint64_t offset;
	gh_bytes record;
	cr_assert(chunk_open(buf_bytes(&b.bytes), 2, &r));
	cr_assert(chunk_next(&r, &offset, &record) && offset == 7 && text_equal(record, text_of("one")));
	cr_assert(chunk_next(&r, &offset, &record) && offset == 8 && text_equal(record, text_of("three")));
	cr_assert(!chunk_next(&r, &offset, &record) && !r.records.failed);
	cr_assert(!chunk_open(buf_bytes(&b.bytes), 1, &r), "a partition without records is not in it");
	chunk_builder_done(&b);
}

Test(chunk, no_byte_of_a_cut_chunk_is_read_past_its_end)
{
	struct chunk_builder b;
	struct chunk_index index;
	chunk_build(&b, &index);
	for (size_t len = 0; len < b.bytes.len; len++) {
		uint8_t *cut = malloc(len ? len : 1);
		memcpy(cut, b.bytes.data, len);
		struct chunk_reader r;
		uint64_t offset;
		gh_bytes record;
		size_t found = 0;
		for (uint32_t p = 0; p < 3; p++)
			if (chunk_open((gh_bytes){cut, len}, p, &r))
				while (chunk_next(&r, &offset, &record))
					found++;
		cr_assert(found < 5, "cut at %zu", len);
		free(cut);
	}
	chunk_builder_done(&b);
}

Test(chunk, an_index_record_comes_back_and_a_cut_or_longer_one_is_refused)
{
	struct chunk_builder b;
	struct chunk_index index, back;
	chunk_build(&b, &index);
	uint8_t bytes[CHUNK_INDEX_BYTES_MAX + 1] = {0};
	size_t len = chunk_index_encode(&index, bytes);
	cr_assert(len == 12 + 3 * 16);
	cr_assert(chunk_index_decode((gh_bytes){bytes, len}, &back));
	cr_assert(back.partitions == 3 && back.time_ms == index.time_ms && back.places[2].next == 7 &&
		  back.places[2].count == 2);
	for (size_t cut = 0; cut < len; cut++)
		cr_assert(!chunk_index_decode((gh_bytes){bytes, cut}, &back), "cut at %zu", cut);
	cr_assert(!chunk_index_decode((gh_bytes){bytes, len + 1}, &back));
	bytes[0] = 2;
	cr_assert(!chunk_index_decode((gh_bytes){bytes, len}, &back), "a version it does not know");
	chunk_builder_done(&b);
}
