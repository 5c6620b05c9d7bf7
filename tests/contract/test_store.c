/* The store's contract, the same for every engine (gatehouse/store.h). */
#include "tests/suite.h"

#include "tests/contract/engine.h"

#include <pthread.h>

SUITE(store);

static void keeper_open(struct engine *e)
{
	engine_init(e);
	gh_error err = {0};
	gh_store_config config = {.directory = e->directory, .limits = &e->limits};
	cr_assert(ENGINE_STORE.open(&config, &e->store, &err) == GH_OK, "%s", err.text);
}

static gh_store_write keeper_put(const char *key, const char *value, uint64_t expected)
{
	return (gh_store_write){GH_FAMILY_IDENTITIES, text_of(key), text_of(value), false, expected};
}

static gh_store_write keeper_remove(const char *key, uint64_t expected)
{
	return (gh_store_write){GH_FAMILY_IDENTITIES, text_of(key), {NULL, 0}, true, expected};
}

static gh_status keeper_commit(struct engine *e, gh_store_write write)
{
	gh_error err = {0};
	gh_status status = ENGINE_STORE.commit(e->store, &write, 1, &err);
	cr_assert(status == GH_OK || (err.status == status && err.text[0]), "a refusal has a sentence");
	return status;
}

/* 0 when absent. */
static uint64_t keeper_version(struct engine *e, const char *key, const char *value)
{
	gh_store_value found;
	gh_status status = ENGINE_STORE.get(e->store, GH_FAMILY_IDENTITIES, text_of(key), &found);
	cr_assert((status == GH_OK) == (value != NULL), "%s is %s", key, gh_status_name(status));
	if (status != GH_OK)
		return 0;
	cr_assert(text_equal((gh_bytes){found.data, found.len}, text_of(value)), "%s is %s", key, value);
	uint64_t version = found.version;
	gh_store_value_done(&found);
	return version;
}

Test(store, what_was_put_is_got_and_what_was_removed_is_not)
{
	struct engine e;
	keeper_open(&e);
	keeper_version(&e, "a", NULL);
	cr_assert(keeper_commit(&e, keeper_put("a", "one", GH_VERSION_ANY)) == GH_OK);
	keeper_version(&e, "a", "one");
	cr_assert(keeper_commit(&e, keeper_put("a", "", GH_VERSION_ANY)) == GH_OK);
	keeper_version(&e, "a", "");
	cr_assert(keeper_commit(&e, keeper_remove("a", GH_VERSION_ANY)) == GH_OK);
	keeper_version(&e, "a", NULL);
	cr_assert(keeper_commit(&e, keeper_remove("a", GH_VERSION_ANY)) == GH_OK,
		"removing what is not there is no fault");
	engine_close(&e);
}

Test(store, families_are_separate)
{
	struct engine e;
	keeper_open(&e);
	gh_store_write write = {GH_FAMILY_POLICIES, text_of("a"), text_of("policy"), false, GH_VERSION_NONE};
	cr_assert(keeper_commit(&e, write) == GH_OK);
	keeper_version(&e, "a", NULL);
	engine_close(&e);
}

Test(store, a_version_grows_with_each_write_and_never_repeats_even_after_a_removal)
{
	struct engine e;
	keeper_open(&e);
	uint64_t last = 0;
	for (int i = 0; i < 50; i++) {
		cr_assert(keeper_commit(&e, keeper_put("a", "x", last ? last : GH_VERSION_NONE)) == GH_OK);
		uint64_t version = keeper_version(&e, "a", "x");
		cr_assert(version > last);
		last = version;
		if (i % 10 == 9) {
			cr_assert(keeper_commit(&e, keeper_remove("a", last)) == GH_OK);
			cr_assert(keeper_commit(&e, keeper_put("a", "x", GH_VERSION_NONE)) == GH_OK);
			version = keeper_version(&e, "a", "x");
			cr_assert(version > last);
			last = version;
		}
	}
	engine_close(&e);
}

Test(store, a_write_that_saw_another_version_is_a_conflict_and_changes_nothing)
{
	struct engine e;
	keeper_open(&e);
	cr_assert(keeper_commit(&e, keeper_put("a", "one", GH_VERSION_NONE)) == GH_OK);
	uint64_t first = keeper_version(&e, "a", "one");
	cr_assert(keeper_commit(&e, keeper_put("a", "two", first)) == GH_OK);
	cr_assert(keeper_commit(&e, keeper_put("a", "lost", first)) == GH_CONFLICT);
	cr_assert(keeper_commit(&e, keeper_put("a", "lost", GH_VERSION_NONE)) == GH_CONFLICT);
	cr_assert(keeper_commit(&e, keeper_remove("a", first)) == GH_CONFLICT);
	cr_assert(keeper_commit(&e, keeper_put("b", "lost", first)) == GH_CONFLICT);
	keeper_version(&e, "a", "two");
	keeper_version(&e, "b", NULL);
	engine_close(&e);
}

Test(store, a_transaction_is_applied_whole_or_not_at_all)
{
	struct engine e;
	keeper_open(&e);
	gh_error err = {0};
	cr_assert(keeper_commit(&e, keeper_put("c", "there", GH_VERSION_NONE)) == GH_OK);
	gh_store_write writes[] = {
		keeper_put("a", "1", GH_VERSION_NONE),
		keeper_put("b", "2", GH_VERSION_NONE),
		keeper_put("c", "3", GH_VERSION_NONE),
	};
	cr_assert(ENGINE_STORE.commit(e.store, writes, 3, &err) == GH_CONFLICT);
	keeper_version(&e, "a", NULL);
	keeper_version(&e, "b", NULL);
	cr_assert(ENGINE_STORE.commit(e.store, writes, 2, &err) == GH_OK);
	keeper_version(&e, "a", "1");
	keeper_version(&e, "b", "2");
	engine_close(&e);
}

struct visited {
	char keys[200];
	size_t count;
	size_t stop_after;
};

static bool store_visit(void *context, gh_bytes key, uint64_t version, gh_bytes value)
{
	struct visited *v = context;
	cr_assert(version > 0 && text_equal(key, value));
	strncat(v->keys, (const char *)key.data, key.len);
	strcat(v->keys, " ");
	return ++v->count < v->stop_after;
}

Test(store, a_scan_visits_keys_in_byte_order_from_where_it_is_told)
{
	struct engine e;
	keeper_open(&e);
	static const char *const keys[] = {"m", "a", "zz", "ab", "z", "b", "aa"};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		cr_assert(keeper_commit(&e, keeper_put(keys[i], keys[i], GH_VERSION_NONE)) == GH_OK);
	struct visited all = {.stop_after = 100}, some = {.stop_after = 3};
	cr_assert(ENGINE_STORE.scan(e.store, GH_FAMILY_IDENTITIES, (gh_bytes){NULL, 0}, store_visit, &all) == GH_OK);
	cr_assert_str_eq(all.keys, "a aa ab b m z zz ");
	cr_assert(ENGINE_STORE.scan(e.store, GH_FAMILY_IDENTITIES, text_of("ab"), store_visit, &some) == GH_OK);
	cr_assert_str_eq(some.keys, "ab b m ");
	engine_close(&e);
}

/* ---- ports ---- */

Test(store, every_submitted_transaction_completes_once_with_its_cookie)
{
	struct engine e;
	keeper_open(&e);
	gh_store_port *port = ENGINE_STORE.attach(e.store);
	char key[32];
	for (uintptr_t i = 0; i < 100; i++) {
		snprintf(key, sizeof key, "k%lu", (unsigned long)i / 2);
		gh_store_write write = keeper_put(key, "v", GH_VERSION_NONE);
		cr_assert(ENGINE_STORE.submit(port, &write, 1, (void *)i) == GH_OK);
		memset(key, 0, sizeof key); /* the bytes were copied */
	}
	bool seen[100] = {false};
	for (size_t n = 0; n < 100;) {
		gh_store_completion completions[16];
		size_t got = ENGINE_STORE.reap(port, completions, 16);
		for (size_t i = 0; i < got; i++, n++) {
			uintptr_t number = (uintptr_t)completions[i].cookie;
			cr_assert(number < 100 && !seen[number]);
			seen[number] = true;
			cr_assert(completions[i].status == (number % 2 ? GH_CONFLICT : GH_OK),
				"the first of two creations wins, even when both are in one commit");
		}
		if (got == 0)
			cr_assert(engine_readable(ENGINE_STORE.fd(port)));
	}
	keeper_version(&e, "k49", "v");
	ENGINE_STORE.detach(port);
	engine_close(&e);
}

Test(store, a_full_port_says_again_and_tells_when_there_is_room)
{
	struct engine e;
	keeper_open(&e);
	gh_store_port *port = ENGINE_STORE.attach(e.store);
	gh_store_write write = keeper_put("a", "v", GH_VERSION_ANY);
	size_t taken = 0;
	while (taken < 100000 && ENGINE_STORE.submit(port, &write, 1, NULL) == GH_OK)
		taken++;
	cr_assert(taken < 100000, "there is a bound");
	gh_store_completion completion;
	do
		cr_assert(engine_readable(ENGINE_STORE.fd(port)));
	while (ENGINE_STORE.reap(port, &completion, 1) == 0);
	cr_assert(engine_readable(ENGINE_STORE.fd(port)));
	cr_assert(ENGINE_STORE.submit(port, &write, 1, NULL) == GH_OK);
	ENGINE_STORE.detach(port); /* with nearly all of it in flight */
	engine_close(&e);
}

/* ---- races ---- */

enum { RACERS = 4, RACER_STEPS = 100 };

static void *store_race(void *context)
{
	struct engine *e = context;
	for (int step = 0; step < RACER_STEPS;) {
		gh_store_value value = {0};
		gh_status status = ENGINE_STORE.get(e->store, GH_FAMILY_META, text_of("counter"), &value);
		unsigned long count = 0;
		char text[24] = "";
		if (status == GH_OK) {
			memcpy(text, value.data, value.len);
			count = strtoul(text, NULL, 10);
		}
		snprintf(text, sizeof text, "%lu", count + 1);
		gh_store_write write = {GH_FAMILY_META, text_of("counter"), text_of(text), false,
			status == GH_OK ? value.version : GH_VERSION_NONE};
		step += ENGINE_STORE.commit(e->store, &write, 1, NULL) == GH_OK;
		gh_store_value_done(&value);
	}
	return NULL;
}

Test(store, of_writers_that_saw_the_same_version_exactly_one_wins)
{
	struct engine e;
	keeper_open(&e);
	pthread_t threads[RACERS];
	for (int i = 0; i < RACERS; i++)
		pthread_create(&threads[i], NULL, store_race, &e);
	for (int i = 0; i < RACERS; i++)
		pthread_join(threads[i], NULL);
	gh_store_value value;
	cr_assert(ENGINE_STORE.get(e.store, GH_FAMILY_META, text_of("counter"), &value) == GH_OK);
	cr_assert(text_equal((gh_bytes){value.data, value.len}, text_of("400")));
	gh_store_value_done(&value);
	engine_close(&e);
}
