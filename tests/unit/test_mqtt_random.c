/* Any sequence of packets, answers of the core, time and loss: nothing is lost, doubled, out of order or left behind.
 *
 * Seeded: a failing seed is in the message and can be played again alone. */
#include "tests/suite.h"

#include "tests/unit/mqtt_pair.h"
#include "transports/mqtt/mqtt.h"

#include <stdio.h>
#include <stdlib.h>

SUITE(mqtt_random);

static uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

struct random_run {
	gh_worker worker;
	struct engine_pair pair;
	uint64_t state;
	uint16_t sent; /* the last packet id */
};

static unsigned random_below(struct random_run *run, unsigned n)
{
	return (unsigned)(random_next(&run->state) % n);
}

/* QoS 1, packet ids counting up, now and then in two pieces. */
static void random_publish(struct random_run *run)
{
	struct buf bytes = {0};
	char body[120];
	run->sent++;
	snprintf(body, sizeof body, "00 1d 'devices/dev1/messages/events/' %02x %02x 'body'", run->sent >> 8,
		run->sent & 0xff);
	mqtt_packet(&bytes, 0x32, body);
	size_t cut = random_below(run, (unsigned)bytes.len);
	engine_pair_send(&run->pair, (gh_bytes){bytes.data, cut});
	engine_pair_send(&run->pair, (gh_bytes){bytes.data + cut, bytes.len - cut});
	buf_done(&bytes);
}

static void random_settle(struct random_run *run)
{
	gh_worker *worker = &run->worker;
	size_t from = random_below(run, (unsigned)worker->record_count + 1);
	for (size_t i = from; i < worker->record_count; i++)
		if (!worker->records[i].settled) {
			core_double_settle(worker, i, GH_OK);
			return;
		}
}

static void random_step(struct random_run *run)
{
	static const struct {
		uint8_t first;
		const char *body;
	} packets[] = {
		{0xc0, ""},
		{0x82, "00 01 00 12 '$iothub/twin/res/#' 01 00 04 'test' 00"},
		{0xa2, "00 02 00 12 '$iothub/twin/res/#'"},
		{0x30, "00 1d 'devices/dev1/messages/events/' 'body'"},
		{0x40, "00 09"},
	};
	gh_worker *worker = &run->worker;
	unsigned i;
	switch (random_below(run, 10)) {
	case 0:
	case 1:
	case 2:
		random_publish(run);
		break;
	case 3:
	case 4:
	case 5:
		random_settle(run);
		break;
	case 6:
		i = random_below(run, sizeof packets / sizeof *packets);
		mqtt_pair_packet(&run->pair, packets[i].first, packets[i].body);
		break;
	case 7:
		if (worker->submit_status == GH_OK)
			worker->submit_status = GH_AGAIN;
		else
			core_double_writable(worker->links);
		break;
	case 8:
		worker->subscribe_status = random_below(run, 2) ? GH_OK : GH_AGAIN;
		core_double_subscribed(worker->links, GH_OK);
		break;
	case 9:
		engine_pair_wait(&run->pair, random_below(run, 40));
		break;
	}
	engine_pair_run(&run->pair);
}

/* Everything that waits is let through. */
static void random_settle_down(struct random_run *run)
{
	gh_worker *worker = &run->worker;
	worker->subscribe_status = GH_OK;
	for (int i = 0; i < 100; i++) {
		core_double_writable(worker->links);
		core_double_subscribed(worker->links, GH_OK);
		core_double_settle_all(worker, GH_OK);
		engine_pair_run(&run->pair);
	}
}

/* PUBACKs of the ids 1, 2, 3 ...; other answers stand between them. */
static uint16_t random_acknowledged(const struct buf *got, uint64_t seed)
{
	uint16_t last = 0;
	for (size_t at = 0; at + 1 < got->len; at += 2 + got->data[at + 1]) {
		if (got->data[at] != 0x40)
			continue;
		uint16_t id = (uint16_t)(got->data[at + 2] << 8 | got->data[at + 3]);
		cr_assert(id == last + 1, "seed %llu: PUBACK %u after %u", (unsigned long long)seed, id, last);
		last = id;
	}
	return last;
}

static void random_play(uint64_t seed)
{
	struct random_run *run = calloc(1, sizeof *run);
	cr_assert(run != NULL);
	run->state = seed * 0x9e3779b97f4a7c15u + 1;
	core_double_init(&run->worker);
	run->worker.limits.mqtt_inflight_in_max = 1 + random_below(run, 20);
	mqtt_pair_init(&run->pair, &run->worker);
	mqtt_pair_connect(&run->pair, 0xc6, 60, "00 1c 'devices/dev1/messages/events' 00 04 'gone'");
	for (int i = 0; i < 300; i++)
		random_step(run);
	random_settle_down(run);
	cr_assert(!run->pair.finished, "seed %llu: ended for %s", (unsigned long long)seed, mqtt_why(run->pair.engine));
	cr_assert(run->pair.held.len == 0, "seed %llu: bytes are left", (unsigned long long)seed);
	cr_assert(random_acknowledged(&run->pair.got, seed) == run->sent, "seed %llu: all are acknowledged",
		(unsigned long long)seed);
	size_t records = run->worker.record_count;
	engine_pair_hang_up(&run->pair);
	cr_assert(run->pair.finished && run->worker.record_count == records + 1, "seed %llu: the will",
		(unsigned long long)seed);
	engine_pair_done(&run->pair);
	core_double_done(&run->worker);
	free(run);
}

Test(mqtt_random, threat_36_every_publish_of_any_sequence_is_acknowledged_once_and_in_order)
{
	for (uint64_t seed = 1; seed <= 300; seed++)
		random_play(seed);
}
