/* Who is connected: counted per identity, timed from the first link, over any number of threads. */
#include "tests/suite.h"

#include "src/base/text.h"
#include "src/core/presence.h"

#include <stdio.h>

SUITE(presence);

static struct presence presence;
static const uint64_t seed[2] = {3, 4};

/* The wall time since when, 0 = not there. */
static uint64_t since(const char *key)
{
	uint64_t since_ms = 0;
	bool there = presence_get(&presence, text_of(key), &since_ms);
	cr_assert_eq(there, since_ms != 0);
	return since_ms;
}

Test(presence, nobody_is_there_at_first)
{
	presence_init(&presence, seed);
	cr_assert_eq(since("d"), 0);
	cr_assert_eq(presence_devices(&presence), 0);
	presence_done(&presence);
}

Test(presence, an_identity_is_there_from_its_first_link_to_its_last)
{
	static const struct {
		const char *what;
		bool add;
		uint64_t wall_ms;
		uint64_t since_ms, devices;
	} steps[] = {
		{"the first", true, 100, 100, 1},
		{"a second does not change since when", true, 200, 100, 1},
		{"nor does the end of one", false, 0, 100, 1},
		{"a third", true, 300, 100, 1},
		{"two left", false, 0, 100, 1},
		{"the last left", false, 0, 0, 0},
		{"again there, since now", true, 400, 400, 1},
		{"and gone", false, 0, 0, 0},
	};
	presence_init(&presence, seed);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		if (steps[i].add)
			cr_assert(presence_add(&presence, text_of("d"), steps[i].wall_ms), "%s", steps[i].what);
		else
			presence_remove(&presence, text_of("d"));
		cr_assert_eq(since("d"), steps[i].since_ms, "%s", steps[i].what);
		cr_assert_eq(presence_devices(&presence), steps[i].devices, "%s", steps[i].what);
	}
	presence_done(&presence);
}

Test(presence, a_device_its_modules_and_other_cases_are_each_their_own)
{
	static const char *const keys[] = {"d", "d/m", "D", "d/M", "d/m2", "m"};
	enum { COUNT = sizeof keys / sizeof *keys };
	presence_init(&presence, seed);
	for (size_t i = 0; i < COUNT; i++) {
		for (size_t k = 0; k < COUNT; k++)
			cr_assert_eq(since(keys[k]), k < i ? k + 1 : 0, "%s after %zu", keys[k], i);
		cr_assert(presence_add(&presence, text_of(keys[i]), i + 1));
	}
	cr_assert_eq(presence_devices(&presence), 3, "d, D and m; modules do not count");
	for (size_t i = 0; i < COUNT; i++) {
		presence_remove(&presence, text_of(keys[i]));
		for (size_t k = 0; k < COUNT; k++)
			cr_assert_eq(since(keys[k]), k > i ? k + 1 : 0, "%s without %zu", keys[k], i);
	}
	presence_done(&presence);
}

enum { MANY = 5000, THREADS = 4 };

static gh_bytes key_of(char *room, int i)
{
	snprintf(room, 32, i % 2 ? "device-%d" : "device-%d/module", i);
	return text_of(room);
}

static void *come_and_go(void *context)
{
	char room[32];
	(void)context;
	for (int i = 0; i < MANY; i++)
		cr_assert(presence_add(&presence, key_of(room, i), 1));
	for (int i = 0; i < MANY; i += 2)
		presence_remove(&presence, key_of(room, i));
	return NULL;
}

Test(presence, threads_that_come_and_go_leave_the_right_count)
{
	pthread_t threads[THREADS];
	char room[32];
	presence_init(&presence, seed);
	for (int t = 0; t < THREADS; t++)
		cr_assert_eq(pthread_create(&threads[t], NULL, come_and_go, NULL), 0);
	for (int t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	cr_assert_eq(presence_devices(&presence), MANY / 2);
	for (int i = 0; i < MANY; i++) {
		gh_bytes key = key_of(room, i);
		cr_assert_eq(since(room), i % 2 ? 1u : 0u, "%s", room);
		for (int t = 0; t < THREADS && i % 2; t++)
			presence_remove(&presence, key);
	}
	cr_assert_eq(presence_devices(&presence), 0);
	presence_done(&presence);
}
