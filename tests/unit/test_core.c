/* The core over the memory engines: who gets the seat and when, what is told to whom, what ends a link.
 *
 * Two workers on one test thread: their hosts keep posted tasks until the test runs them, so every interleaving that
 * matters is written down, not hoped for.
 */
#include "tests/suite.h"

#include "src/backends/memory.h"
#include "src/base/limits.h"
#include "src/base/take.h"
#include "src/base/text.h"
#include "src/core/core.h"
#include "src/core/link.h"
#include "src/core/registry.h"

#include <stdio.h>

SUITE(core);

#define KEY_1 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_2 "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
#define KEY_P "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8="
enum { WALL_S = 1700000000, HOUR_S = 3600, NOW_MS = 5000 };

/* ---- the world around the core ---- */

struct test_host {
	gh_host host;
	gh_task *first;
	gh_task **last;
};

static void test_host_post(gh_host *host, gh_task *task)
{
	struct test_host *h = GH_CONTAINER(host, struct test_host, host);
	task->next = NULL;
	*h->last = task;
	h->last = &task->next;
}

static void test_host_random(gh_host *host, void *bytes, size_t len)
{
	(void)host;
	memset(bytes, 4, len);
}

static const gh_host_ops test_host_ops = {test_host_post, test_host_random};

static void test_host_run(struct test_host *h)
{
	while (h->first) {
		gh_task *task = h->first;
		h->first = task->next;
		if (!h->first)
			h->last = &h->first;
		task->run(task, NOW_MS);
	}
}

struct world {
	gh_limits limits;
	gh_store *store;
	gh_backend *backend;
	struct registry registry;
	struct core *core;
	struct test_host hosts[2];
	gh_worker *workers[2];
};

static void test_dice(void *bytes, size_t len)
{
	static uint64_t state = 7;
	uint8_t *at = bytes;
	for (size_t i = 0; i < len; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		at[i] = (uint8_t)(state >> 56);
	}
}

static uint64_t test_wall_ms(void)
{
	return WALL_S * 1000ull;
}

static void world_device(struct world *w, const char *id, const char *module)
{
	gh_error err = {0};
	json_t *made;
	json_t *document = json_pack("{s:s, s:s*, s:{s:{s:s, s:s}}}", "deviceId", id, "moduleId", module,
		"authentication", "symmetricKey", "primaryKey", KEY_1, "secondaryKey", KEY_2);
	cr_assert_eq(registry_device_create(&w->registry, document, &made, &err), GH_OK, "%s", err.text);
	json_decref(made);
	json_decref(document);
}

static void world_update(struct world *w, json_t *change)
{
	gh_error err = {0};
	json_t *made;
	cr_assert_eq(registry_device_update(&w->registry, change, "*", &made, &err), GH_OK, "%s", err.text);
	json_decref(made);
	json_decref(change);
}

static struct world *world_new_with(struct authenticate_switches switches)
{
	static const char *const hosts[] = {"hub.example.net", NULL};
	struct world *w = calloc(1, sizeof *w);
	gh_error err = {0};
	limits_defaults(&w->limits);
	gh_store_config store = {.directory = "", .limits = &w->limits};
	cr_assert_eq(memory_store.open(&store, &w->store, &err), GH_OK, "%s", err.text);
	gh_backend_config backend = {.level = GH_MEMORY, .partitions = 4, .limits = &w->limits};
	cr_assert_eq(memory_queue.open(&backend, &w->backend, &err), GH_OK, "%s", err.text);
	w->registry = (struct registry){w->store, &w->limits, test_dice, test_wall_ms};
	cr_assert_eq(registry_ensure_policies(&w->registry, &err), GH_OK, "%s", err.text);
	world_device(w, "dev1", NULL);
	world_device(w, "dev2", NULL);
	struct core_config core = {
		.limits = &w->limits,
		.hosts = hosts,
		.disabled_status = GH_DISABLED,
		.switches = switches,
		.store = w->store,
		.backend_ops = &memory_queue,
		.backend = w->backend,
	};
	w->core = core_new(&core, (uint64_t[2]){1, 2});
	for (int i = 0; i < 2; i++) {
		w->hosts[i] = (struct test_host){{&test_host_ops}, NULL, &w->hosts[i].first};
		w->workers[i] = core_worker_new(w->core, &w->hosts[i].host, NOW_MS, WALL_S * 1000ull);
		cr_assert(w->workers[i] != NULL);
	}
	return w;
}

static struct world *world_new(void)
{
	return world_new_with((struct authenticate_switches){0});
}

/* Everything that waits anywhere, until nothing does. */
static void world_settle(struct world *w)
{
	for (int round = 0; round < 8; round++)
		for (int i = 0; i < 2; i++) {
			core_worker_turn_end(w->workers[i], NOW_MS);
			core_worker_backend_ready(w->workers[i], NOW_MS);
			core_worker_store_ready(w->workers[i], NOW_MS);
			test_host_run(&w->hosts[i]);
		}
}

static void world_free(struct world *w)
{
	for (int i = 0; i < 2; i++)
		core_worker_close_links(w->workers[i]);
	world_settle(w);
	for (int i = 0; i < 2; i++) {
		cr_assert(core_worker_idle(w->workers[i]), "nothing is left behind on worker %d", i);
		core_worker_free(w->workers[i]);
	}
	core_free(w->core);
	memory_queue.close(w->backend);
	memory_store.close(w->store);
	free(w);
}

/* ---- a device as its engine sees the core ---- */

struct device {
	gh_link *link;
	int opened, settled, stored, writable, revoked;
	gh_status opened_status, settled_status, revoked_why;
	bool present;
	bool stays; /* does not close when revoked */
	void *last_cookie;
};

static void device_opened(void *context, gh_status status, bool present)
{
	struct device *d = context;
	d->opened++;
	d->opened_status = status;
	d->present = present;
	if (status != GH_OK)
		d->link = NULL;
}

static void device_settled(void *context, void *cookie, gh_status status)
{
	struct device *d = context;
	d->settled++;
	d->stored += status == GH_OK;
	d->settled_status = status;
	d->last_cookie = cookie;
}

static void device_writable(void *context)
{
	((struct device *)context)->writable++;
}

static void device_revoked(void *context, gh_status why)
{
	struct device *d = context;
	d->revoked++;
	d->revoked_why = why;
	if (!d->stays) {
		gh_link_close(d->link);
		d->link = NULL;
	}
}

static const gh_link_ops device_ops = {device_opened, device_settled, device_writable, device_revoked};

struct device_ask {
	const char *id, *module, *policy, *model;
	const char *key;
	const char *transport; /* NULL = "test" */
	uint64_t se;
	bool clean;
	bool sessionless, unseen;
};

static gh_status device_open_with(
	struct world *w, int worker, struct device *d, struct device_ask ask, const gh_link_ops *ops)
{
	char resource[300], token[1024];
	struct sas_key key;
	snprintf(resource, sizeof resource, "hub.example.net/devices/%s%s%s", ask.id, ask.module ? "/modules/" : "",
		ask.module ? ask.module : "");
	cr_assert(sas_key_decode(text_of(ask.key ? ask.key : KEY_1), &key));
	cr_assert(sas_create(resource, &key, ask.policy ? ask.policy : "", ask.se ? ask.se : WALL_S + HOUR_S, token,
			  sizeof token) > 0);
	gh_link_request request = {
		.transport = ask.transport ? ask.transport : "test",
		.host = text_of("hub.example.net"),
		.device_id = text_of(ask.id),
		.module_id = text_of(ask.module),
		.token = text_of(token),
		.model_id = text_of(ask.model),
		.session_clean = ask.clean,
		.sessionless = ask.sessionless,
		.unseen = ask.unseen,
		.displaces = !ask.sessionless,
	};
	gh_error err = {0};
	gh_status status = gh_link_open(w->workers[worker], &request, ops, d, NOW_MS, &d->link, &d->present, &err);
	if (status != GH_OK && status != GH_AGAIN)
		cr_assert(err.code != NULL, "a refusal has a code");
	return status;
}

static gh_status device_open_as(struct world *w, int worker, struct device *d, struct device_ask ask)
{
	return device_open_with(w, worker, d, ask, &device_ops);
}

static gh_status device_open(struct world *w, int worker, struct device *d, const char *id)
{
	return device_open_as(w, worker, d, (struct device_ask){.id = id, .clean = true});
}

static gh_status device_send(struct world *w, int worker, struct device *d, const char *body, void *cookie)
{
	gh_draft *draft = gh_worker_draft(w->workers[worker]);
	gh_draft_body(draft, text_of(body), NULL);
	return gh_link_submit(d->link, draft, cookie, NOW_MS);
}

/* All bodies of a partition in order, joined by blanks. */
static void world_bodies(struct world *w, uint32_t partition, char *ret_text, size_t cap, gh_message **ret_last)
{
	gh_port *port = memory_queue.attach(w->backend);
	gh_completion done = {0};
	ret_text[0] = '\0';
	cr_assert_eq(memory_queue.fetch(port, partition, 0, 1 << 20, NULL), GH_OK);
	while (memory_queue.reap(port, &done, 1) == 0)
		;
	for (size_t i = 0; i < done.count; i++) {
		gh_bytes body = gh_message_body(done.records[i].message);
		snprintf(ret_text + strlen(ret_text), cap - strlen(ret_text), "%s%.*s", i ? " " : "", (int)body.len,
			(const char *)body.data);
	}
	if (ret_last)
		*ret_last = done.count ? gh_message_ref(done.records[done.count - 1].message) : NULL;
	gh_fetched_free(done.records, done.count);
	memory_queue.detach(port);
}

/* ---- tests ---- */

Test(core, a_message_is_settled_only_after_the_back_end_stored_it)
{
	struct world *w = world_new();
	struct device d = {0};
	cr_assert_eq(device_open(w, 0, &d, "dev1"), GH_OK);
	memory_queue_hold(w->backend);
	cr_assert_eq(device_send(w, 0, &d, "m1", &d), GH_OK);
	world_settle(w);
	cr_assert_eq(d.settled, 0, "held by the back end: nothing is told");
	memory_queue_release(w->backend, GH_OK);
	world_settle(w);
	cr_assert(d.settled == 1 && d.stored == 1 && d.last_cookie == &d);
	char bodies[100];
	gh_message *message;
	world_bodies(w, 3, bodies, sizeof bodies, &message); /* dev1 lives in partition 3 of 4 */
	cr_assert_str_eq(bodies, "m1");
	gh_cursor cursor;
	gh_bytes value;
	cr_assert(gh_message_get(message, GH_PROP_AUTH_METHOD, &cursor, &value));
	cr_assert(text_starts(value, "{\"scope\":\"device\",\"type\":\"sas\""));
	cr_assert(gh_message_get(message, GH_PROP_AUTH_GENERATION_ID, &cursor, &value) && value.len > 0);
	cr_assert_eq(gh_message_enqueued_ms(message), WALL_S * 1000ull);
	gh_message_unref(message);
	world_free(w);
}

Test(core, must_77_a_policy_token_is_stamped_with_hub_scope)
{
	struct world *w = world_new();
	struct device d = {0};
	json_t *made, *policy = json_pack("{s:s, s:[s], s:s, s:s}", "name", "fleet", "rights", "DeviceConnect",
			      "primaryKey", KEY_P, "secondaryKey", KEY_2);
	gh_error err = {0};
	cr_assert_eq(registry_policy_create(&w->registry, policy, &made, &err), GH_OK, "%s", err.text);
	json_decref(policy);
	json_decref(made);
	struct device_ask ask = {.id = "dev1", .policy = "fleet", .key = KEY_P, .clean = true};
	cr_assert_eq(device_open_as(w, 0, &d, ask), GH_OK);
	cr_assert_eq(device_send(w, 0, &d, "m", NULL), GH_OK);
	world_settle(w);
	char bodies[100];
	gh_message *message;
	world_bodies(w, 3, bodies, sizeof bodies, &message);
	gh_cursor cursor;
	gh_bytes value;
	cr_assert(gh_message_get(message, GH_PROP_AUTH_METHOD, &cursor, &value) &&
		  text_starts(value, "{\"scope\":\"hub\""));
	gh_message_unref(message);

	cr_assert_eq(registry_policy_delete(&w->registry, "fleet", &err), GH_OK, "%s", err.text);
	core_credentials_changed(w->core, (gh_bytes){NULL, 0});
	world_settle(w);
	core_worker_tick(w->workers[0], NOW_MS);
	core_worker_tick(w->workers[0], NOW_MS);
	cr_assert(d.revoked == 1 && d.revoked_why == GH_UNAUTHORIZED, "what the policy opened ends with it");
	world_free(w);
}

Test(core, must_36_takeover_waits_until_the_older_link_settled_everything)
{
	struct world *w = world_new();
	struct device old = {.stays = true}, new = {0};
	cr_assert_eq(device_open(w, 0, &old, "dev1"), GH_OK);
	memory_queue_hold(w->backend);
	cr_assert_eq(device_send(w, 0, &old, "a", NULL), GH_OK);
	cr_assert_eq(device_open(w, 1, &new, "dev1"), GH_AGAIN);
	test_host_run(&w->hosts[0]);
	cr_assert(old.revoked == 1 && old.revoked_why == GH_TAKEN_OVER);
	cr_assert_eq(device_send(w, 0, &old, "will", NULL), GH_OK, "a will may still be said");
	gh_link_close(old.link);
	world_settle(w);
	cr_assert_eq(new.opened, 0, "records are in flight still");
	memory_queue_release(w->backend, GH_OK);
	world_settle(w);
	cr_assert(new.opened == 1 && new.opened_status == GH_OK);
	cr_assert_eq(old.settled, 0, "a closed link hears nothing");
	cr_assert_eq(device_send(w, 1, &new, "b", NULL), GH_OK);
	world_settle(w);
	char bodies[100];
	world_bodies(w, 3, bodies, sizeof bodies, NULL);
	cr_assert_str_eq(bodies, "a will b");
	world_free(w);
}

Test(core, a_newer_waiter_takes_the_place_of_an_older_one)
{
	struct world *w = world_new();
	struct device holder = {.stays = true}, second = {0}, third = {0};
	cr_assert_eq(device_open(w, 0, &holder, "dev1"), GH_OK);
	cr_assert_eq(device_open(w, 1, &second, "dev1"), GH_AGAIN);
	cr_assert_eq(device_open(w, 0, &third, "dev1"), GH_AGAIN);
	world_settle(w);
	cr_assert(second.opened == 1 && second.opened_status == GH_TAKEN_OVER);
	cr_assert(holder.revoked == 1 && third.opened == 0);
	gh_link_close(holder.link);
	world_settle(w);
	cr_assert(third.opened == 1 && third.opened_status == GH_OK);
	world_free(w);
}

Test(core, a_waiter_that_leaves_lets_the_next_one_in)
{
	struct world *w = world_new();
	struct device holder = {.stays = true}, waiter = {0}, next = {0};
	cr_assert_eq(device_open(w, 0, &holder, "dev1"), GH_OK);
	cr_assert_eq(device_open(w, 1, &waiter, "dev1"), GH_AGAIN);
	gh_link_close(waiter.link);
	world_settle(w);
	gh_link_close(holder.link);
	world_settle(w);
	cr_assert_eq(waiter.opened, 0);
	cr_assert_eq(device_open(w, 1, &next, "dev1"), GH_OK, "the seat is free");
	world_free(w);
}

Test(core, a_holder_told_twice_before_it_heard_once_is_freed)
{
	struct world *w = world_new();
	struct device holder = {0}, first = {0}, second = {0};
	cr_assert_eq(device_open(w, 0, &holder, "dev1"), GH_OK);
	cr_assert_eq(device_open(w, 1, &first, "dev1"), GH_AGAIN);
	gh_link_close(first.link);
	cr_assert_eq(device_open(w, 1, &second, "dev1"), GH_AGAIN);
	world_settle(w);
	cr_assert(holder.revoked == 1 && second.opened == 1 && second.opened_status == GH_OK);
	world_free(w); /* no link is left */
}

Test(core, must_36_a_module_or_another_device_displaces_nobody)
{
	struct world *w = world_new();
	world_device(w, "dev1", "mod-A");
	struct device device = {0}, module = {0}, other = {0};
	cr_assert_eq(device_open(w, 0, &device, "dev1"), GH_OK);
	cr_assert_eq(device_open_as(w, 1, &module, (struct device_ask){.id = "dev1", .module = "mod-A", .clean = true}),
		GH_OK);
	cr_assert_eq(device_open(w, 1, &other, "dev2"), GH_OK);
	world_settle(w);
	cr_assert_eq(device.revoked + module.revoked + other.revoked, 0);
	struct core_counts counts;
	core_counts(w->core, &counts);
	cr_assert(counts.links == 3 && counts.opened == 3 && counts.displaced == 0);
	world_free(w);
}

Test(core, a_wait_that_lasts_too_long_is_refused)
{
	struct world *w = world_new();
	struct device holder = {.stays = true}, waiter = {0};
	cr_assert_eq(device_open(w, 0, &holder, "dev1"), GH_OK);
	cr_assert_eq(device_open(w, 1, &waiter, "dev1"), GH_AGAIN);
	core_worker_tick(w->workers[1], NOW_MS + w->limits.attach_ms_max - 1);
	cr_assert_eq(waiter.opened, 0);
	core_worker_tick(w->workers[1], NOW_MS + w->limits.attach_ms_max);
	cr_assert(waiter.opened == 1 && waiter.opened_status == GH_UNAVAILABLE);
	world_free(w);
}

Test(core, must_20_a_link_ends_with_its_token_and_not_before)
{
	struct world *w = world_new();
	struct device d = {0};
	cr_assert_eq(
		device_open_as(w, 0, &d, (struct device_ask){.id = "dev1", .se = WALL_S + 60, .clean = true}), GH_OK);
	uint64_t end_ms = (WALL_S + 60 + 300) * 1000ull;
	core_worker_turn_begin(w->workers[0], NOW_MS, end_ms - 1);
	core_worker_tick(w->workers[0], NOW_MS);
	cr_assert_eq(d.revoked, 0);
	core_worker_turn_begin(w->workers[0], NOW_MS, end_ms);
	core_worker_tick(w->workers[0], NOW_MS);
	cr_assert(d.revoked == 1 && d.revoked_why == GH_GONE);
	world_free(w);
}

Test(core, must_29_disabling_deleting_or_rekeying_drops_the_link_of_that_device_only)
{
	static const char *const how[] = {
		"disabled", "deleted", "rekeyed", "made anew", "other key rekeyed", "untouched"};
	for (int i = 0; i < 6; i++) {
		struct world *w = world_new();
		struct device d = {0}, other = {0};
		gh_error err = {0};
		cr_assert_eq(device_open(w, 0, &d, "dev1"), GH_OK);
		cr_assert_eq(device_open(w, 1, &other, "dev2"), GH_OK);
		if (i == 0)
			world_update(w,
				json_pack("{s:s, s:s, s:{s:{s:s, s:s}}}", "deviceId", "dev1", "status", "disabled",
					"authentication", "symmetricKey", "primaryKey", KEY_1, "secondaryKey", KEY_2));
		if (i == 1 || i == 3)
			cr_assert_eq(
				registry_device_delete(&w->registry, "dev1", NULL, "*", &err), GH_OK, "%s", err.text);
		if (i == 3)
			world_device(w, "dev1", NULL);
		if (i == 2 || i == 4)
			world_update(w, json_pack("{s:s, s:{s:{s:s, s:s}}}", "deviceId", "dev1", "authentication",
						"symmetricKey", "primaryKey", i == 2 ? KEY_P : KEY_1, "secondaryKey",
						i == 2 ? KEY_2 : KEY_P));
		core_credentials_changed(w->core, text_of("dev1"));
		world_settle(w);
		cr_assert_eq(d.revoked, i < 4, "%s", how[i]);
		cr_assert_eq(other.revoked, 0, "%s", how[i]);
		if (i == 0)
			cr_assert_eq(device_open(w, 0, &d, "dev1"), GH_DISABLED);
		if (i == 1)
			cr_assert_eq(device_open(w, 0, &d, "dev1"), GH_UNAUTHORIZED);
		world_free(w);
	}
}

static gh_status unreadable_get(gh_store *store, enum gh_family family, gh_bytes key, gh_store_value *ret_value)
{
	(void)store, (void)family, (void)key, (void)ret_value;
	return GH_IO;
}

Test(core, a_check_the_store_could_not_answer_is_made_again)
{
	struct world *w = world_new();
	struct device d = {0}, other = {0};
	gh_error err = {0};
	const gh_store_ops *readable = w->store->ops;
	gh_store_ops unreadable = *readable;
	unreadable.get = unreadable_get;
	cr_assert_eq(device_open(w, 0, &d, "dev1"), GH_OK);
	cr_assert_eq(device_open(w, 0, &other, "dev2"), GH_OK);
	cr_assert_eq(registry_device_delete(&w->registry, "dev1", NULL, "*", &err), GH_OK, "%s", err.text);
	w->store->ops = &unreadable;
	core_credentials_changed(w->core, text_of("dev1"));
	world_settle(w);
	core_worker_tick(w->workers[0], NOW_MS);
	cr_assert_eq(d.revoked + other.revoked, 0, "a disk that fails drops nobody");
	w->store->ops = readable;
	core_worker_tick(w->workers[0], NOW_MS);
	core_worker_tick(w->workers[0], NOW_MS);
	cr_assert(d.revoked == 1 && d.revoked_why == GH_UNAUTHORIZED && other.revoked == 0);
	world_free(w);
}

static void world_policy(struct world *w, const char *primary)
{
	gh_error err = {0};
	json_t *made, *policy = json_pack("{s:s, s:[s], s:s, s:s}", "name", "fleet", "rights", "DeviceConnect",
			      "primaryKey", primary, "secondaryKey", KEY_2);
	cr_assert_eq(registry_policy_create(&w->registry, policy, &made, &err), GH_OK, "%s", err.text);
	json_decref(policy);
	json_decref(made);
}

static struct world *rekey_world;

/* Right after the policy was read for the first time, somebody else gives it another key. */
static gh_status rekeyed_get(gh_store *store, enum gh_family family, gh_bytes key, gh_store_value *ret_value)
{
	gh_error err = {0};
	struct world *w = rekey_world;
	gh_status status = memory_store.get(store, family, key, ret_value);
	if (family == GH_FAMILY_POLICIES && w) {
		rekey_world = NULL;
		store->ops = &memory_store;
		cr_assert_eq(registry_policy_delete(&w->registry, "fleet", &err), GH_OK, "%s", err.text);
		world_policy(w, KEY_1);
	}
	return status;
}

Test(core, a_key_changed_while_it_was_checked_ends_the_link)
{
	struct world *w = world_new();
	struct device d = {0};
	gh_store_ops rekeyed = *w->store->ops;
	rekeyed.get = rekeyed_get;
	world_policy(w, KEY_P);
	rekey_world = w;
	w->store->ops = &rekeyed;
	struct device_ask ask = {.id = "dev1", .policy = "fleet", .key = KEY_P, .clean = true};
	cr_assert_eq(device_open_as(w, 0, &d, ask), GH_OK, "the old key stood when it was read");
	core_credentials_changed(w->core, (gh_bytes){NULL, 0});
	world_settle(w);
	core_worker_tick(w->workers[0], NOW_MS);
	core_worker_tick(w->workers[0], NOW_MS);
	cr_assert(d.revoked == 1 && d.revoked_why == GH_UNAUTHORIZED);
	world_free(w);
}

Test(core, a_model_id_is_stored_with_each_message_and_so_has_a_limit)
{
	struct world *w = world_new();
	struct device d = {0};
	char model[2050] = {0};
	memset(model, 'm', 2049);
	struct device_ask ask = {.id = "dev1", .model = model, .clean = true};
	cr_assert_eq(device_open_as(w, 0, &d, ask), GH_TOO_LARGE);
	model[2048] = '\0';
	cr_assert_eq(device_open_as(w, 0, &d, ask), GH_OK);
	world_free(w);
}

Test(core, a_revoked_credential_says_no_will)
{
	struct world *w = world_new();
	struct device d = {.stays = true};
	gh_error err = {0};
	cr_assert_eq(device_open(w, 0, &d, "dev1"), GH_OK);
	cr_assert_eq(registry_device_delete(&w->registry, "dev1", NULL, "*", &err), GH_OK, "%s", err.text);
	core_credentials_changed(w->core, text_of("dev1"));
	world_settle(w);
	cr_assert_eq(d.revoked, 1);
	cr_assert_eq(device_send(w, 0, &d, "will", NULL), GH_UNAUTHORIZED);
	gh_link_close(d.link);
	world_free(w);
}

Test(core, no_room_holds_the_sender_and_room_wakes_it)
{
	struct world *w = world_new();
	struct device d = {0};
	cr_assert_eq(device_open(w, 0, &d, "dev1"), GH_OK);
	memory_queue_set_room(w->backend, false);
	core_worker_turn_end(w->workers[0], NOW_MS);
	gh_status status = GH_OK;
	int taken = 0;
	while ((status = device_send(w, 0, &d, "x", NULL)) == GH_OK && taken < 100000)
		taken++;
	cr_assert_eq(status, GH_AGAIN, "it stops somewhere");
	world_settle(w);
	cr_assert_eq(d.writable, 0);
	memory_queue_set_room(w->backend, true);
	world_settle(w);
	cr_assert_eq(d.writable, 1);
	cr_assert_eq(d.settled, taken, "what was taken is stored");
	cr_assert_eq(device_send(w, 0, &d, "y", NULL), GH_OK);
	world_settle(w);
	world_free(w);
}

Test(core, what_one_turn_gathers_counts_against_the_credit)
{
	struct world *w = world_new();
	struct device d = {0};
	w->limits.inflight_bytes_max = 1 << 20; /* of the queue: the core has its own copy */
	cr_assert_eq(device_open(w, 0, &d, "dev1"), GH_OK);
	world_settle(w); /* the core hears of the new credit */
	memory_queue_hold(w->backend);
	char *body = calloc(1, 200001);
	memset(body, 'x', 200000);
	int taken = 0;
	while (device_send(w, 0, &d, body, NULL) == GH_OK && taken < 100)
		taken++;
	free(body);
	cr_assert(taken > 0 && taken * 200000 <= 1 << 20, "took %d", taken);
	memory_queue_release(w->backend, GH_OK);
	world_settle(w);
	cr_assert(d.stored == taken && d.writable == 1);
	world_free(w);
}

Test(core, a_worker_may_go_before_its_records_are_settled)
{
	struct world *w = world_new();
	struct device d = {0};
	cr_assert_eq(device_open_as(w, 0, &d, (struct device_ask){.id = "dev1"}), GH_OK, "with a session to write");
	memory_queue_hold(w->backend);
	cr_assert_eq(device_send(w, 0, &d, "with the port", NULL), GH_OK);
	core_worker_turn_end(w->workers[0], NOW_MS);
	cr_assert_eq(device_send(w, 0, &d, "gathered", NULL), GH_OK);
	for (int i = 0; i < 2; i++) {
		core_worker_close_links(w->workers[i]);
		core_worker_free(w->workers[i]); /* a stop that waited long enough for a back end that hangs */
	}
	cr_assert_eq(d.settled, 0, "its link was closed");
	core_free(w->core); /* no seat is left */
	memory_queue_release(w->backend, GH_OK);
	memory_queue.close(w->backend);
	memory_store.close(w->store);
	free(w);
}

static int wake_order[3], wake_count;

static void device_writable_in_order(void *context)
{
	struct device *d = context;
	wake_order[wake_count++] = (int)(uintptr_t)d->last_cookie;
	d->writable++;
}

Test(core, threat_41_who_waits_for_room_is_woken_in_the_order_of_waiting)
{
	static const gh_link_ops ops = {device_opened, device_settled, device_writable_in_order, device_revoked};
	static const char *const ids[3] = {"dev1", "dev2", "dev3"};
	struct world *w = world_new();
	struct device devices[3] = {{0}};
	world_device(w, "dev3", NULL);
	memory_queue_set_room(w->backend, false);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(
			device_open_with(w, 0, &devices[i], (struct device_ask){.id = ids[i], .clean = true}, &ops),
			GH_OK);
		while (device_send(w, 0, &devices[i], "x", NULL) == GH_OK)
			;
		devices[i].last_cookie = (void *)(uintptr_t)i;
	}
	wake_count = 0;
	memory_queue_set_room(w->backend, true);
	core_worker_tick(w->workers[0], NOW_MS);
	cr_assert_eq(wake_count, 3);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(wake_order[i], i);
	world_settle(w);
	world_free(w);
}

Test(core, a_refused_write_is_told_and_counted)
{
	struct world *w = world_new();
	struct device d = {0};
	cr_assert_eq(device_open(w, 0, &d, "dev1"), GH_OK);
	memory_queue_hold(w->backend);
	cr_assert_eq(device_send(w, 0, &d, "x", NULL), GH_OK);
	world_settle(w);
	memory_queue_release(w->backend, GH_UNKNOWN);
	world_settle(w);
	cr_assert(d.settled == 1 && d.settled_status == GH_UNKNOWN);
	struct core_counts counts;
	core_counts(w->core, &counts);
	cr_assert(counts.accepted == 0 && counts.rejected == 1);
	world_free(w);
}

Test(core, must_34_35_subscriptions_outlive_the_connection_until_a_clean_one)
{
	struct world *w = world_new();
	struct device d = {0};
	uint8_t qos[GH_SUB_COUNT] = {1, 0, GH_QOS_NONE, GH_QOS_NONE, GH_QOS_NONE};
	struct device_ask keep = {.id = "dev1"}, clean = {.id = "dev1", .clean = true};
	cr_assert_eq(device_open_as(w, 0, &d, keep), GH_OK);
	cr_assert(!d.present);
	cr_assert_eq(gh_link_subscribe(d.link, qos, &qos), GH_AGAIN, "durable first");
	world_settle(w);
	cr_assert(d.settled == 1 && d.settled_status == GH_OK && d.last_cookie == &qos);
	cr_assert_eq(gh_link_subscribe(d.link, qos, NULL), GH_OK, "nothing changed, nothing to write");
	gh_link_close(d.link);
	world_settle(w);

	struct device again = {0};
	cr_assert_eq(device_open_as(w, 1, &again, keep), GH_OK);
	cr_assert(again.present);
	cr_assert_arr_eq(gh_link_subscriptions(again.link), qos, sizeof qos);
	gh_link_close(again.link);
	world_settle(w);

	struct device cleared = {0};
	cr_assert_eq(device_open_as(w, 0, &cleared, clean), GH_AGAIN, "what is stored is erased first");
	world_settle(w);
	cr_assert(cleared.opened == 1 && cleared.opened_status == GH_OK && !cleared.present);
	cr_assert_eq(gh_link_subscriptions(cleared.link)[GH_SUB_C2D], GH_QOS_NONE);
	cr_assert_eq(gh_link_subscribe(cleared.link, qos, NULL), GH_OK, "a clean session writes nothing");
	gh_link_close(cleared.link);
	world_settle(w);

	struct device last = {0};
	cr_assert_eq(device_open_as(w, 0, &last, keep), GH_OK);
	cr_assert(!last.present);
	world_free(w);
}

Test(core, threat_25_a_stored_session_is_not_inherited_by_an_identity_made_anew)
{
	struct world *w = world_new();
	struct device d = {0}, again = {0};
	gh_error err = {0};
	uint8_t qos[GH_SUB_COUNT] = {1, 0, GH_QOS_NONE, GH_QOS_NONE, GH_QOS_NONE};
	cr_assert_eq(device_open_as(w, 0, &d, (struct device_ask){.id = "dev1"}), GH_OK);
	cr_assert_eq(registry_device_delete(&w->registry, "dev1", NULL, "*", &err), GH_OK, "%s", err.text);
	/* Written while the device was being deleted: the row is there, its identity is not. */
	cr_assert_eq(gh_link_subscribe(d.link, qos, NULL), GH_AGAIN);
	world_settle(w);
	gh_link_close(d.link);
	world_device(w, "dev1", NULL);
	world_settle(w);
	cr_assert_eq(device_open_as(w, 1, &again, (struct device_ask){.id = "dev1"}), GH_OK);
	cr_assert(!again.present);
	cr_assert_eq(gh_link_subscriptions(again.link)[GH_SUB_C2D], GH_QOS_NONE);
	world_free(w);
}

Test(core, must_11_j_a_kind_of_token_that_is_switched_off_is_refused)
{
	static const struct {
		const char *name;
		struct authenticate_switches off;
		struct device_ask ask;
		gh_status status;
	} rows[] = {
		{"device key, device keys off", {.device_sas_off = true}, {.id = "dev1", .clean = true},
			GH_UNAUTHORIZED},
		{"device key, module keys off", {.module_sas_off = true}, {.id = "dev1", .clean = true}, GH_OK},
		{"module key, module keys off", {.module_sas_off = true},
			{.id = "dev1", .module = "mod-A", .clean = true}, GH_UNAUTHORIZED},
		{"policy, policies off", {.policy_sas_off = true},
			{.id = "dev1", .policy = "fleet", .key = KEY_P, .clean = true}, GH_UNAUTHORIZED},
		{"policy, device keys off", {.device_sas_off = true},
			{.id = "dev1", .policy = "fleet", .key = KEY_P, .clean = true}, GH_OK},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct world *w = world_new_with(rows[i].off);
		struct device d = {0};
		gh_error err = {0};
		json_t *made, *policy = json_pack("{s:s, s:[s], s:s, s:s}", "name", "fleet", "rights", "DeviceConnect",
				      "primaryKey", KEY_P, "secondaryKey", KEY_2);
		cr_assert_eq(registry_policy_create(&w->registry, policy, &made, &err), GH_OK, "%s", err.text);
		json_decref(policy);
		json_decref(made);
		world_device(w, "dev1", "mod-A");
		cr_assert_eq(device_open_as(w, 0, &d, rows[i].ask), rows[i].status, "%s", rows[i].name);
		world_free(w);
	}
}

Test(core, the_next_link_waits_until_the_session_is_stored_as_the_last_one_left_it)
{
	struct world *w = world_new();
	struct device first = {0}, second = {0};
	struct device_ask keep = {.id = "dev1"};
	uint8_t qos[GH_SUB_COUNT] = {1, 0, GH_QOS_NONE, GH_QOS_NONE, GH_QOS_NONE};
	cr_assert_eq(device_open_as(w, 0, &first, keep), GH_OK);
	cr_assert_eq(gh_link_subscribe(first.link, qos, NULL), GH_AGAIN);
	gh_link_close(first.link);
	cr_assert_eq(device_open_as(w, 1, &second, keep), GH_AGAIN, "its session is being written");
	world_settle(w);
	cr_assert(second.opened == 1 && second.opened_status == GH_OK && second.present && first.settled == 0);
	cr_assert_arr_eq(gh_link_subscriptions(second.link), qos, sizeof qos);
	world_free(w);
}

static void count_line(void *context, const char *line, size_t len)
{
	int *lines = context;
	cr_assert(len > 8 && strstr(line, "refused"), "%.*s", (int)len, line);
	(*lines)++;
}

Test(core, a_flood_of_refusals_is_a_bounded_number_of_lines)
{
	struct world *w = world_new();
	struct device d = {0};
	int lines = 0;
	struct log log = {LOG_INFO, NULL, count_line, &lines};
	w->workers[0]->log = &log;
	for (uint64_t second = 0; second < 3; second++) {
		core_worker_turn_begin(w->workers[0], NOW_MS + second * 1000, WALL_S * 1000ull);
		for (int i = 0; i < 500; i++)
			cr_assert_eq(device_open(w, 0, &d, "nobody"), GH_UNAUTHORIZED);
	}
	cr_assert_eq(lines, 3 * (int)w->limits.refusal_lines_max);
	struct core_counts counts;
	core_counts(w->core, &counts);
	cr_assert_eq(counts.refused, 1500, "every one is counted");
	world_free(w);
}

Test(core, refusals_name_their_reason)
{
	struct world *w = world_new();
	static const struct {
		struct device_ask ask;
		const char *host, *code;
	} rows[] = {
		{{.id = "nobody"}, "hub.example.net", "identity_unknown"},
		{{.id = "DEV1"}, "hub.example.net", "identity_unknown"},
		{{.id = "dev1", .key = KEY_P}, "hub.example.net", "token_signature"},
		{{.id = "dev1", .se = WALL_S - 301}, "hub.example.net", "token_expired"},
		{{.id = "dev1"}, "other.example.net", "host_unknown"},
		{{.id = "dev1", .module = "nomod"}, "hub.example.net", "identity_unknown"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char resource[300], token[1024];
		struct sas_key key;
		struct device d = {0};
		const struct device_ask *ask = &rows[i].ask;
		snprintf(resource, sizeof resource, "hub.example.net/devices/%s%s%s", ask->id,
			ask->module ? "/modules/" : "", ask->module ? ask->module : "");
		cr_assert(sas_key_decode(text_of(ask->key ? ask->key : KEY_1), &key));
		cr_assert(sas_create(resource, &key, "", ask->se ? ask->se : WALL_S + HOUR_S, token, sizeof token) > 0);
		gh_link_request request = {.transport = "test",
			.host = text_of(rows[i].host),
			.device_id = text_of(ask->id),
			.module_id = text_of(ask->module),
			.token = text_of(token),
			.displaces = true};
		gh_error err = {0};
		cr_assert_eq(gh_link_open(w->workers[0], &request, &device_ops, &d, NOW_MS, &d.link, &d.present, &err),
			GH_UNAUTHORIZED, "%s", rows[i].code);
		cr_assert_str_eq(err.code, rows[i].code);
	}
	struct core_counts counts;
	core_counts(w->core, &counts);
	cr_assert_eq(counts.refused, sizeof rows / sizeof *rows);
	world_free(w);
}

/* ---- who is connected ---- */

/* Since when, in seconds after the beginning; -1 = not connected. */
static int world_since(struct world *w, const char *id, const char *module)
{
	uint64_t since_ms;
	if (!core_presence(w->core, text_of(id), text_of(module), &since_ms))
		return -1;
	return (int)(since_ms / 1000 - WALL_S);
}

static void world_second(struct world *w, int second)
{
	for (int i = 0; i < 2; i++)
		core_worker_turn_begin(w->workers[i], NOW_MS, (WALL_S + second) * 1000ull);
}

static void device_close(struct device *d)
{
	gh_link_close(d->link);
	d->link = NULL;
}

Test(core, an_identity_is_present_from_its_first_link_to_its_last)
{
	struct world *w = world_new();
	struct device first = {0}, second = {0}, module = {0}, other = {0};
	world_device(w, "dev1", "mod-A");
	cr_assert_eq(world_since(w, "dev1", NULL), -1);
	world_second(w, 1);
	cr_assert_eq(device_open(w, 0, &first, "dev1"), GH_OK);
	world_second(w, 2);
	cr_assert_eq(
		device_open_as(w, 1, &second, (struct device_ask){.id = "dev1", .transport = "other", .clean = true}),
		GH_OK);
	cr_assert_eq(device_open_as(w, 1, &module, (struct device_ask){.id = "dev1", .module = "mod-A", .clean = true}),
		GH_OK);
	cr_assert_eq(device_open(w, 0, &other, "dev2"), GH_OK);
	world_settle(w);
	cr_assert_eq(world_since(w, "dev1", NULL), 1);
	cr_assert_eq(world_since(w, "dev1", "mod-A"), 2);
	cr_assert_eq(world_since(w, "dev1", "mod-B"), -1);
	cr_assert_eq(world_since(w, "DEV1", NULL), -1);
	cr_assert_eq(world_since(w, "not/an id", NULL), -1);
	cr_assert_eq(core_presence_devices(w->core), 2, "two links of one device count once, a module not at all");

	device_close(&first);
	cr_assert_eq(world_since(w, "dev1", NULL), 1, "the other link is there");
	device_close(&second);
	cr_assert_eq(world_since(w, "dev1", NULL), -1);
	cr_assert_eq(world_since(w, "dev1", "mod-A"), 2);
	cr_assert_eq(core_presence_devices(w->core), 1);
	world_free(w);
}

Test(core, a_link_that_waits_is_not_present_yet_and_one_that_is_refused_never_was)
{
	struct world *w = world_new();
	struct device holder = {.stays = true}, waiter = {0};
	world_second(w, 1);
	cr_assert_eq(device_open(w, 0, &holder, "dev1"), GH_OK);
	cr_assert_eq(device_open(w, 1, &waiter, "dev1"), GH_AGAIN);
	core_worker_tick(w->workers[1], NOW_MS + w->limits.attach_ms_max);
	cr_assert_eq(waiter.opened_status, GH_UNAVAILABLE);
	cr_assert_eq(world_since(w, "dev1", NULL), 1);

	cr_assert_eq(device_open(w, 1, &waiter, "dev1"), GH_AGAIN);
	world_settle(w);
	device_close(&holder);
	cr_assert_eq(world_since(w, "dev1", NULL), -1, "between the two");
	world_second(w, 7);
	world_settle(w);
	cr_assert(waiter.opened == 2 && waiter.opened_status == GH_OK);
	cr_assert_eq(world_since(w, "dev1", NULL), 7);
	cr_assert_eq(core_presence_devices(w->core), 1);

	cr_assert_eq(device_open(w, 0, &holder, "nobody"), GH_UNAUTHORIZED);
	cr_assert_eq(world_since(w, "nobody", NULL), -1);
	world_free(w);
}

Test(core, a_revoked_link_leaves_once_when_it_is_closed)
{
	struct world *w = world_new();
	struct device d = {.stays = true};
	gh_error err = {0};
	cr_assert_eq(device_open(w, 0, &d, "dev1"), GH_OK);
	cr_assert_eq(registry_device_delete(&w->registry, "dev1", NULL, "*", &err), GH_OK, "%s", err.text);
	core_credentials_changed(w->core, text_of("dev1"));
	world_settle(w);
	cr_assert_eq(d.revoked, 1);
	cr_assert_eq(world_since(w, "dev1", NULL), 0, "its connection still stands");
	device_close(&d);
	cr_assert_eq(world_since(w, "dev1", NULL), -1);
	world_settle(w);
	cr_assert_eq(core_presence_devices(w->core), 0);
	world_free(w);
}

Test(core, records_in_flight_are_nobodys_presence)
{
	struct world *w = world_new();
	struct device d = {0};
	cr_assert_eq(device_open(w, 0, &d, "dev1"), GH_OK);
	memory_queue_hold(w->backend);
	cr_assert_eq(device_send(w, 0, &d, "x", NULL), GH_OK);
	world_settle(w);
	device_close(&d);
	cr_assert_eq(world_since(w, "dev1", NULL), -1);
	memory_queue_release(w->backend, GH_OK);
	world_settle(w);
	world_free(w);
}

/* ---- links without a session ---- */

static const struct device_ask ask_sessionless = {.id = "dev1", .sessionless = true, .unseen = true};

Test(core, an_unseen_link_is_nobodys_presence)
{
	struct world *w = world_new();
	struct device d = {0}, request = {0};
	cr_assert_eq(device_open_as(w, 0, &request, ask_sessionless), GH_OK);
	cr_assert_eq(world_since(w, "dev1", NULL), -1);
	cr_assert_eq(core_presence_devices(w->core), 0);
	world_second(w, 3);
	cr_assert_eq(device_open(w, 0, &d, "dev1"), GH_OK);
	device_close(&request);
	cr_assert_eq(world_since(w, "dev1", NULL), 3);
	cr_assert_eq(core_presence_devices(w->core), 1);
	world_free(w);
}

Test(core, a_sessionless_link_is_seen_unless_it_asks_not_to_be)
{
	struct world *w = world_new();
	struct device one = {0}, two = {0};
	static const struct device_ask seen = {.id = "dev1", .sessionless = true};
	world_second(w, 3);
	cr_assert_eq(device_open_as(w, 0, &one, seen), GH_OK);
	cr_assert_eq(world_since(w, "dev1", NULL), 3);
	cr_assert_eq(core_presence_devices(w->core), 1);
	world_second(w, 5);
	cr_assert_eq(device_open_as(w, 0, &two, seen), GH_OK, "a renewed token, before the older link goes");
	device_close(&one);
	cr_assert_eq(world_since(w, "dev1", NULL), 3);
	device_close(&two);
	cr_assert_eq(world_since(w, "dev1", NULL), -1);
	world_free(w);
}

static gh_status sessionless_get(gh_store *store, enum gh_family family, gh_bytes key, gh_store_value *ret_value)
{
	cr_assert_neq(family, GH_FAMILY_SESSIONS, "no session is read");
	return memory_store.get(store, family, key, ret_value);
}

static gh_status sessionless_submit(gh_store_port *port, const gh_store_write *writes, size_t n, void *cookie)
{
	(void)port, (void)writes, (void)n, (void)cookie;
	cr_assert_fail("nothing is written");
	return GH_IO;
}

/* Version and bytes of dev1's stored session. */
static gh_store_value world_session(struct world *w)
{
	gh_store_value value;
	cr_assert_eq(w->store->ops->get(w->store, GH_FAMILY_SESSIONS, text_of("dev1"), &value), GH_OK);
	return value;
}

Test(core, a_sessionless_link_neither_reads_nor_erases_nor_writes_the_stored_session)
{
	struct world *w = world_new();
	struct device d = {0};
	uint8_t qos[GH_SUB_COUNT] = {1, 0, GH_QOS_NONE, GH_QOS_NONE, GH_QOS_NONE};
	cr_assert_eq(device_open_as(w, 0, &d, (struct device_ask){.id = "dev1"}), GH_OK);
	cr_assert_eq(gh_link_subscribe(d.link, qos, NULL), GH_AGAIN);
	world_settle(w);
	device_close(&d);
	gh_store_value before = world_session(w);

	const gh_store_ops *ops = w->store->ops;
	gh_store_ops watched = *ops;
	watched.get = sessionless_get;
	watched.submit = sessionless_submit;
	w->store->ops = &watched;
	for (int clean = 0; clean < 2; clean++) {
		struct device request = {0};
		struct device_ask ask = ask_sessionless;
		ask.clean = clean;
		cr_assert_eq(device_open_as(w, clean, &request, ask), GH_OK, "at once, clean or not");
		cr_assert(!request.present);
		for (int i = 0; i < GH_SUB_COUNT; i++)
			cr_assert_eq(gh_link_subscriptions(request.link)[i], GH_QOS_NONE);
		cr_assert_eq(device_send(w, clean, &request, "x", NULL), GH_OK);
		world_settle(w);
		cr_assert_eq(request.stored, 1);
		device_close(&request);
		world_settle(w);
	}
	w->store->ops = ops;

	gh_store_value after = world_session(w);
	cr_assert(after.version == before.version && after.len == before.len &&
		  memcmp(after.data, before.data, after.len) == 0);
	gh_store_value_done(&before);
	gh_store_value_done(&after);
	struct device again = {0};
	cr_assert_eq(device_open_as(w, 1, &again, (struct device_ask){.id = "dev1"}), GH_OK);
	cr_assert(again.present);
	cr_assert_arr_eq(gh_link_subscriptions(again.link), qos, sizeof qos);
	world_free(w);
}

Test(core, a_sessionless_link_needs_no_seat_and_displaces_nobody)
{
	struct world *w = world_new();
	struct device holder = {.stays = true}, waiter = {0}, requests[3] = {{0}};
	cr_assert_eq(device_open_as(w, 0, &requests[0], ask_sessionless), GH_OK);
	cr_assert_eq(device_open(w, 0, &holder, "dev1"), GH_OK, "the seat is free beside it");
	cr_assert_eq(device_open_as(w, 1, &requests[1], ask_sessionless), GH_OK);
	world_settle(w);
	cr_assert_eq(holder.revoked, 0);

	cr_assert_eq(device_open(w, 1, &waiter, "dev1"), GH_AGAIN);
	cr_assert_eq(device_open_as(w, 0, &requests[2], ask_sessionless), GH_OK, "while another waits for the seat");
	world_settle(w);
	cr_assert(holder.revoked == 1 && waiter.opened == 0);
	device_close(&holder);
	world_settle(w);
	cr_assert(waiter.opened == 1 && waiter.opened_status == GH_OK);
	for (int i = 0; i < 3; i++)
		cr_assert(requests[i].revoked == 0 && requests[i].link, "%d", i);
	struct core_counts counts;
	core_counts(w->core, &counts);
	cr_assert_eq(counts.displaced, 1, "by the waiter alone");
	world_free(w);
}

Test(core, a_sessionless_link_ends_with_its_identity_as_any_other_does)
{
	struct world *w = world_new();
	struct device request = {0};
	gh_error err = {0};
	cr_assert_eq(device_open_as(w, 0, &request, ask_sessionless), GH_OK);
	cr_assert_eq(registry_device_delete(&w->registry, "dev1", NULL, "*", &err), GH_OK, "%s", err.text);
	core_credentials_changed(w->core, text_of("dev1"));
	world_settle(w);
	cr_assert(request.revoked == 1 && request.revoked_why == GH_UNAUTHORIZED);
	world_free(w);
}
