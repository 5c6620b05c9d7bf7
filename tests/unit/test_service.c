/* Service requests on their way (src/core/service.h): from a worker to the thread that may wait for the disk, and back.
 *
 * The core is the real one, over the memory engines.  In all tests but the last the test runs both threads' tasks by
 * hand, so that every moment between them is written down; in the last, real loops do.
 */
#include "tests/suite.h"

#include "src/backends/memory.h"
#include "src/base/limits.h"
#include "src/base/take.h"
#include "src/base/text.h"
#include "src/core/core.h"
#include "src/core/registry.h"
#include "src/core/sas.h"
#include "src/io/loop.h"

#include <gatehouse/service.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

SUITE(service);

#define KEY_1 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_2 "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
#define DOCUMENT(id, status, key)                                                                                      \
	"{\"deviceId\":\"" id "\",\"status\":\"" status                                                                \
	"\",\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"" key "\",\"secondaryKey\":\"" key "\"}}}"
enum { WORKERS = 2, WALL_S = 1700000000, NOW_MS = 5000 };

/* ---- a hub of two workers ---- */

struct hub {
	gh_limits limits;
	gh_store *store;
	gh_backend *backend;
	struct registry registry;
	struct core *core;
	gh_worker *workers[WORKERS];
};

static void hub_random(void *bytes, size_t len)
{
	memset(bytes, 9, len);
}

static uint64_t hub_wall_ms(void)
{
	return WALL_S * 1000ull;
}

static void hub_make(struct hub *hub, const char *id)
{
	gh_error err = {0};
	json_t *made, *document = json_pack("{s:s, s:{s:{s:s, s:s}}}", "deviceId", id, "authentication", "symmetricKey",
			      "primaryKey", KEY_1, "secondaryKey", KEY_1);
	cr_assert_eq(registry_device_create(&hub->registry, document, &made, &err), GH_OK, "%s", err.text);
	json_decref(document);
	json_decref(made);
}

/* service: NULL = none serves. */
static void hub_open(struct hub *hub, uint64_t calls_max, gh_host *service, gh_host *const hosts[WORKERS])
{
	static const char *const names[] = {"hub.example.net", NULL};
	gh_error err = {0};
	*hub = (struct hub){.store = NULL};
	limits_defaults(&hub->limits);
	hub->limits.service_calls_max = calls_max;
	gh_store_config store = {.directory = "", .limits = &hub->limits};
	cr_assert_eq(memory_store.open(&store, &hub->store, &err), GH_OK, "%s", err.text);
	gh_backend_config backend = {.level = GH_MEMORY, .partitions = 1, .limits = &hub->limits};
	cr_assert_eq(memory_queue.open(&backend, &hub->backend, &err), GH_OK, "%s", err.text);
	hub->registry = (struct registry){hub->store, &hub->limits, hub_random, hub_wall_ms};
	struct core_config core = {
		.limits = &hub->limits,
		.hosts = names,
		.disabled_status = GH_DISABLED,
		.store = hub->store,
		.backend_ops = &memory_queue,
		.backend = hub->backend,
		.service_host = service,
		.registry = &hub->registry,
	};
	hub->core = core_new(&core, (uint64_t[2]){1, 2});
	for (int i = 0; i < WORKERS; i++) {
		hub->workers[i] = core_worker_new(hub->core, hosts[i], NOW_MS, WALL_S * 1000ull);
		cr_assert_not_null(hub->workers[i]);
	}
	hub_make(hub, "dev1");
	hub_make(hub, "dev2");
}

/* Nothing of it is left on its way. */
static void hub_close(struct hub *hub)
{
	for (int i = 0; i < WORKERS; i++) {
		core_worker_close_links(hub->workers[i]);
		cr_assert(core_worker_idle(hub->workers[i]), "nothing is left behind on worker %d", i);
		core_worker_free(hub->workers[i]);
	}
	core_free(hub->core);
	memory_queue.close(hub->backend);
	memory_store.close(hub->store);
}

static bool hub_has(struct hub *hub, const char *id, const char *status)
{
	gh_error err = {0};
	json_t *document;
	if (registry_device_get(&hub->registry, id, "", &document, &err) != GH_OK)
		return false;
	bool has = strcmp(json_string_value(json_object_get(document, "status")), status) == 0;
	json_decref(document);
	return has;
}

/* ---- a device as its engine sees the core ---- */

struct device {
	gh_link *link;
	int revoked;
	gh_status why;
};

static void device_opened(void *context, gh_status status, bool present)
{
	(void)context, (void)status, (void)present;
	cr_assert_fail("no link waits here");
}

static void device_settled(void *context, void *cookie, gh_status status)
{
	(void)context, (void)cookie, (void)status;
	cr_assert_fail("nothing was sent");
}

static void device_writable(void *context)
{
	(void)context;
	cr_assert_fail("nothing was sent");
}

static void device_revoked(void *context, gh_status why)
{
	struct device *d = context;
	d->revoked++;
	d->why = why;
	gh_link_close(GH_TAKE(d->link));
}

static const gh_link_ops device_ops = {device_opened, device_settled, device_writable, device_revoked};

struct device_ask {
	const char *id, *module;
	const char *transport; /* NULL = "test" */
	bool sessionless, unseen;
};

/* With KEY_1. */
static gh_status device_open(gh_worker *worker, struct device *d, struct device_ask ask)
{
	char resource[300], token[512];
	struct sas_key key;
	bool present;
	gh_error err = {0};
	snprintf(resource, sizeof resource, "hub.example.net/devices/%s%s%s", ask.id, ask.module ? "/modules/" : "",
		ask.module ? ask.module : "");
	cr_assert(sas_key_decode(text_of(KEY_1), &key));
	cr_assert(sas_create(resource, &key, "", WALL_S + 3600, token, sizeof token) > 0);
	gh_link_request request = {
		.transport = ask.transport ? ask.transport : "test",
		.device_id = text_of(ask.id),
		.module_id = text_of(ask.module),
		.token = text_of(token),
		.session_clean = true,
		.sessionless = ask.sessionless,
		.unseen = ask.unseen,
		.displaces = !ask.sessionless,
	};
	return gh_link_open(worker, &request, &device_ops, d, NOW_MS, &d->link, &present, &err);
}

static void device_close(struct device *d)
{
	gh_link_close(GH_TAKE(d->link));
}

/* ---- asking, and what is answered ---- */

struct answer {
	gh_call *call;
	int count;
	gh_status status;
	char code[64], etag[64], continuation[512], body[4096];
	const struct device *watched; /* when the answer came, it had been revoked so many times */
	int revoked_then;
};

static void answer_take(void *context, const gh_service_answer *answer)
{
	struct answer *a = context;
	a->count++;
	a->status = answer->status;
	snprintf(a->code, sizeof a->code, "%s", answer->status == GH_OK ? "" : answer->err.code);
	snprintf(a->etag, sizeof a->etag, "%s", answer->etag);
	snprintf(a->continuation, sizeof a->continuation, "%.*s", (int)answer->continuation.len,
		(const char *)answer->continuation.data);
	snprintf(a->body, sizeof a->body, "%.*s", (int)answer->body.len,
		answer->body.len ? (const char *)answer->body.data : "");
	a->revoked_then = a->watched ? a->watched->revoked : 0;
}

/* A member of the body as text, "absent" without one; borrowed until the next call. */
static const char *answer_text(const struct answer *a, const char *member)
{
	static char text[256];
	json_t *body = json_loads(a->body, 0, NULL);
	const json_t *value = json_object_get(body, member);
	if (json_is_integer(value))
		snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
	else
		snprintf(text, sizeof text, "%s", json_is_string(value) ? json_string_value(value) : "absent");
	json_decref(body);
	return text;
}

struct ask {
	gh_service_op op;
	const char *id, *module, *etag, *body, *continuation;
	uint64_t count_max;
};

/* What a request says; made unreadable and freed as soon as it was handed over. */
struct words {
	char id[64], module[64], etag[64], continuation[512], body[512];
};

static gh_bytes words_put(char *room, size_t size, const char *text)
{
	int len = snprintf(room, size, "%s", text ? text : "");
	cr_assert(len < (int)size);
	return text_of(room);
}

static gh_status hub_call(gh_worker *worker, struct ask ask, gh_service_done *done, void *context, gh_call **ret_call)
{
	struct words *words = calloc(1, sizeof *words);
	gh_service_request request = {
		.op = ask.op,
		.device_id = words_put(words->id, sizeof words->id, ask.id),
		.module_id = words_put(words->module, sizeof words->module, ask.module),
		.has_etag = ask.etag != NULL,
		.etag = words_put(words->etag, sizeof words->etag, ask.etag),
		.body = words_put(words->body, sizeof words->body, ask.body),
		.count_max = ask.count_max,
		.continuation = words_put(words->continuation, sizeof words->continuation, ask.continuation),
	};
	gh_status status = gh_service_call(worker, &request, done, context, ret_call);
	memset(words, '#', sizeof *words);
	free(words);
	return status;
}

/* ---- threads run by hand ---- */

struct hand_host {
	gh_host host;
	gh_task *first;
	gh_task **last;
	size_t count; /* tasks that wait */
};

static void hand_post(gh_host *host, gh_task *task)
{
	struct hand_host *h = GH_CONTAINER(host, struct hand_host, host);
	task->next = NULL;
	*h->last = task;
	h->last = &task->next;
	h->count++;
}

static void hand_random(gh_host *host, void *bytes, size_t len)
{
	(void)host;
	memset(bytes, 4, len);
}

static const gh_host_ops hand_ops = {hand_post, hand_random};

static void hand_init(struct hand_host *h)
{
	*h = (struct hand_host){{&hand_ops}, NULL, &h->first, 0};
}

static void hand_run_one(struct hand_host *h)
{
	gh_task *task = h->first;
	cr_assert_not_null(task);
	h->first = task->next;
	if (!h->first)
		h->last = &h->first;
	h->count--;
	task->run(task, NOW_MS);
}

static void hand_run(struct hand_host *h)
{
	while (h->first)
		hand_run_one(h);
}

struct world {
	struct hub hub;
	struct hand_host service;
	struct hand_host sides[WORKERS];
};

static struct world *world_new(uint64_t calls_max)
{
	struct world *w = calloc(1, sizeof *w);
	hand_init(&w->service);
	for (int i = 0; i < WORKERS; i++)
		hand_init(&w->sides[i]);
	hub_open(&w->hub, calls_max, &w->service.host, (gh_host *const[]){&w->sides[0].host, &w->sides[1].host});
	return w;
}

static void world_run(struct world *w)
{
	hand_run(&w->service);
	for (int i = 0; i < WORKERS; i++)
		hand_run(&w->sides[i]);
}

static void world_free(struct world *w)
{
	for (int i = 0; i < WORKERS; i++)
		core_worker_close_links(w->hub.workers[i]);
	world_run(w);
	hub_close(&w->hub);
	free(w);
}

static gh_status world_call(struct world *w, int worker, struct answer *a, struct ask ask)
{
	return hub_call(w->hub.workers[worker], ask, answer_take, a, &a->call);
}

/* Asks worker 0 and runs everything. */
static void world_ask(struct world *w, struct answer *a, struct ask ask)
{
	*a = (struct answer){.watched = a->watched};
	cr_assert_eq(world_call(w, 0, a, ask), GH_OK);
	world_run(w);
	cr_assert_eq(a->count, 1);
}

static const struct ask ask_get = {.op = GH_SERVICE_IDENTITY_GET, .id = "dev1"};
static const struct ask ask_create = {
	.op = GH_SERVICE_IDENTITY_PUT, .id = "new", .body = DOCUMENT("new", "enabled", KEY_1)};
static const struct ask ask_disable = {
	.op = GH_SERVICE_IDENTITY_PUT, .id = "dev1", .etag = "*", .body = DOCUMENT("dev1", "disabled", KEY_1)};

/* ---- answers ---- */

Test(service, a_get_is_answered_with_the_document_and_its_etag)
{
	struct world *w = world_new(8);
	struct answer a = {0};
	world_ask(w, &a, ask_get);
	cr_assert_eq(a.status, GH_OK, "%s", a.code);
	cr_assert_str_eq(answer_text(&a, "deviceId"), "dev1");
	cr_assert(a.etag[0] != '\0');
	cr_assert_str_eq(answer_text(&a, "etag"), a.etag);
	world_free(w);
}

Test(service, a_put_creates_an_identity_that_can_authenticate_from_then_on)
{
	struct world *w = world_new(8);
	struct device d = {0};
	struct answer a = {0};
	struct device_ask who = {.id = "new"};
	cr_assert_eq(world_call(w, 0, &a, ask_create), GH_OK);
	cr_assert_eq(device_open(w->hub.workers[1], &d, who), GH_UNAUTHORIZED, "it was only asked for");
	world_run(w);
	cr_assert_eq(a.status, GH_OK, "%s", a.code);
	cr_assert_str_eq(answer_text(&a, "deviceId"), "new");
	cr_assert_eq(device_open(w->hub.workers[1], &d, who), GH_OK);
	world_free(w);
}

Test(service, a_refusal_of_the_registry_is_an_answer)
{
	struct world *w = world_new(8);
	struct answer a = {0};
	world_ask(w, &a, (struct ask){.op = GH_SERVICE_IDENTITY_GET, .id = "nobody"});
	cr_assert_eq(a.status, GH_NOT_FOUND);
	cr_assert_str_eq(a.code, "device_not_found");
	cr_assert_str_eq(a.body, "");
	world_free(w);
}

Test(service, a_bulk_request_of_which_a_part_failed_has_a_body_beside_its_error)
{
	struct world *w = world_new(8);
	struct answer a = {0};
	world_ask(w, &a, (struct ask){.op = GH_SERVICE_BULK, .body = "[{\"id\":\"new\"},{\"id\":\"a b\"}]"});
	cr_assert_eq(a.status, GH_INVALID);
	cr_assert_str_eq(a.code, "bulk_failed");
	cr_assert_not_null(strstr(a.body, "\"isSuccessful\":false"));
	cr_assert(hub_has(&w->hub, "new", "enabled"));
	world_free(w);
}

Test(service, done_never_comes_from_inside_the_call_but_as_a_task_of_the_worker)
{
	struct world *w = world_new(8);
	struct answer a = {0};
	cr_assert_eq(world_call(w, 0, &a, ask_get), GH_OK);
	cr_assert_eq(a.count, 0);
	cr_assert(w->service.count == 1 && w->sides[0].count == 0);
	hand_run(&w->service);
	cr_assert_eq(a.count, 0, "not on the thread that serves");
	cr_assert(w->sides[0].count == 1 && w->sides[1].count == 0);
	hand_run(&w->sides[0]);
	cr_assert_eq(a.count, 1);
	world_free(w);
}

Test(service, the_bytes_of_a_request_may_be_freed_when_the_call_returned)
{
	/* hub_call always frees them; here each of them matters. */
	struct world *w = world_new(8);
	struct answer a = {0};
	struct ask module = {.op = GH_SERVICE_IDENTITY_PUT,
		.id = "dev1",
		.module = "m1",
		.body = "{\"deviceId\":\"dev1\",\"moduleId\":\"m1\"}"};
	world_ask(w, &a, module);
	cr_assert_eq(a.status, GH_OK, "%s", a.code);
	char etag[sizeof a.etag + 2];
	snprintf(etag, sizeof etag, "\"%s\"", a.etag);
	module.etag = etag;
	world_ask(w, &a, module);
	cr_assert_eq(a.status, GH_OK, "%s", a.code);
	world_ask(w, &a, module);
	cr_assert_eq(a.status, GH_CONFLICT, "the etag is an old one now");

	world_ask(w, &a, (struct ask){.op = GH_SERVICE_DEVICE_LIST, .count_max = 1});
	cr_assert(strstr(a.body, "\"dev1\"") && !strstr(a.body, "\"dev2\"") && a.continuation[0]);
	char continuation[sizeof a.continuation];
	memcpy(continuation, a.continuation, sizeof continuation);
	world_ask(w, &a, (struct ask){.op = GH_SERVICE_DEVICE_LIST, .count_max = 1, .continuation = continuation});
	cr_assert(strstr(a.body, "\"dev2\"") && !strstr(a.body, "\"dev1\""));
	world_free(w);
}

Test(service, requests_of_one_worker_are_served_in_their_order)
{
	struct world *w = world_new(8);
	struct answer created = {0}, read = {0};
	cr_assert_eq(world_call(w, 0, &created, ask_create), GH_OK);
	cr_assert_eq(world_call(w, 0, &read, (struct ask){.op = GH_SERVICE_IDENTITY_GET, .id = "new"}), GH_OK);
	world_run(w);
	cr_assert(created.status == GH_OK && read.status == GH_OK);
	cr_assert_str_eq(read.etag, created.etag);
	world_free(w);
}

/* ---- what a change does to live links ---- */

static const struct {
	const char *name;
	struct ask ask;
	gh_status why;
} changes[] = {
	{"an update that disables",
		{.op = GH_SERVICE_IDENTITY_PUT, .id = "dev1", .etag = "*", .body = DOCUMENT("dev1", "disabled", KEY_1)},
		GH_DISABLED},
	{"an update with other keys",
		{.op = GH_SERVICE_IDENTITY_PUT, .id = "dev1", .etag = "*", .body = DOCUMENT("dev1", "enabled", KEY_2)},
		GH_UNAUTHORIZED},
	{"a delete", {.op = GH_SERVICE_IDENTITY_DELETE, .id = "dev1", .etag = "*"}, GH_UNAUTHORIZED},
	{"a bulk request",
		{.op = GH_SERVICE_BULK, .body = "[{\"id\":\"new\"},{\"id\":\"dev1\",\"importMode\":\"delete\"}]"},
		GH_UNAUTHORIZED},
};

Test(service, a_change_ends_that_devices_links_on_every_worker_before_it_is_answered)
{
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		struct world *w = world_new(8);
		const char *name = changes[i].name;
		struct device here = {0}, there = {0}, request = {0}, others[WORKERS] = {{0}};
		struct answer a = {.watched = &here};
		cr_assert_eq(device_open(w->hub.workers[0], &here, (struct device_ask){.id = "dev1"}), GH_OK);
		struct device_ask elsewhere = {.id = "dev1", .transport = "other"};
		cr_assert_eq(device_open(w->hub.workers[1], &there, elsewhere), GH_OK);
		struct device_ask kept = {.id = "dev1", .sessionless = true, .unseen = true};
		cr_assert_eq(device_open(w->hub.workers[1], &request, kept), GH_OK);
		for (int n = 0; n < WORKERS; n++) {
			struct device_ask other = {.id = "dev2", .transport = n ? "other" : NULL};
			cr_assert_eq(device_open(w->hub.workers[n], &others[n], other), GH_OK);
		}
		cr_assert_eq(world_call(w, 0, &a, changes[i].ask), GH_OK, "%s", name);
		hand_run(&w->service);
		cr_assert(here.revoked + there.revoked + request.revoked == 0, "%s: on no thread but theirs", name);
		hand_run(&w->sides[1]);
		cr_assert(there.revoked == 1 && request.revoked == 1 && here.revoked == 0, "%s", name);
		hand_run(&w->sides[0]);
		cr_assert(a.count == 1 && a.status == GH_OK, "%s: %s", name, a.code);
		cr_assert(here.revoked == 1 && a.revoked_then == 1, "%s: the answer comes last", name);
		cr_assert(here.why == changes[i].why && there.why == here.why && request.why == here.why, "%s", name);
		cr_assert(others[0].revoked + others[1].revoked == 0, "%s: only that device's", name);
		world_free(w);
	}
}

static const struct {
	const char *name;
	struct ask ask;
	gh_status status;
} no_changes[] = {
	{"a creation", {.op = GH_SERVICE_IDENTITY_PUT, .id = "new", .body = "{\"deviceId\":\"new\"}"}, GH_OK},
	{"a bulk request that only creates", {.op = GH_SERVICE_BULK, .body = "[{\"id\":\"new\"},{\"id\":\"new2\"}]"},
		GH_OK},
	{"a creation that came too late",
		{.op = GH_SERVICE_IDENTITY_PUT, .id = "dev1", .body = DOCUMENT("dev1", "disabled", KEY_1)}, GH_EXISTS},
	{"an update of something older",
		{.op = GH_SERVICE_IDENTITY_PUT,
			.id = "dev1",
			.etag = "old",
			.body = DOCUMENT("dev1", "disabled", KEY_1)},
		GH_CONFLICT},
	{"a delete without an etag", {.op = GH_SERVICE_IDENTITY_DELETE, .id = "dev1"}, GH_CONFLICT},
	{"a look", {.op = GH_SERVICE_IDENTITY_GET, .id = "dev1"}, GH_OK},
};

Test(service, what_creates_or_changes_nothing_is_told_to_nobody)
{
	for (size_t i = 0; i < sizeof no_changes / sizeof *no_changes; i++) {
		struct world *w = world_new(8);
		struct device d = {0};
		struct answer a = {0};
		cr_assert_eq(device_open(w->hub.workers[1], &d, (struct device_ask){.id = "dev1"}), GH_OK);
		cr_assert_eq(world_call(w, 0, &a, no_changes[i].ask), GH_OK);
		hand_run(&w->service);
		cr_assert(w->sides[0].count == 1 && w->sides[1].count == 0, "%s: the answer and no more",
			no_changes[i].name);
		world_run(w);
		cr_assert_eq(a.status, no_changes[i].status, "%s: %s", no_changes[i].name, a.code);
		cr_assert_eq(d.revoked, 0, "%s", no_changes[i].name);
		world_free(w);
	}
}

/* ---- cancelled ---- */

Test(service, a_cancelled_call_tells_nobody_and_the_change_happens)
{
	static const char *const moments[] = {"before it was served", "when it was served"};
	for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
		struct world *w = world_new(1);
		struct device d = {0};
		struct answer a = {0}, next = {0};
		cr_assert_eq(device_open(w->hub.workers[1], &d, (struct device_ask){.id = "dev1"}), GH_OK);
		cr_assert_eq(world_call(w, 0, &a, ask_disable), GH_OK);
		if (i == 1)
			hand_run(&w->service);
		gh_call_cancel(a.call);
		world_run(w);
		cr_assert_eq(a.count, 0, "%s", moments[i]);
		cr_assert(hub_has(&w->hub, "dev1", "disabled"), "%s", moments[i]);
		cr_assert(d.revoked == 1 && d.why == GH_DISABLED, "%s", moments[i]);
		world_ask(w, &next, ask_get); /* its room was given back */
		world_free(w);
	}
	gh_call_cancel(NULL);
}

static gh_status unread_get(gh_store *store, enum gh_family family, gh_bytes key, gh_store_value *ret_value)
{
	(void)store, (void)family, (void)key, (void)ret_value;
	cr_assert_fail("nobody wants to know");
	return GH_IO;
}

static gh_status unread_scan(
	gh_store *store, enum gh_family family, gh_bytes from, gh_store_visit *visit, void *context)
{
	(void)store, (void)family, (void)from, (void)visit, (void)context;
	cr_assert_fail("nobody wants to know");
	return GH_IO;
}

/* Else those who gave up would keep the thread from those who did not. */
Test(service, a_cancelled_call_that_only_reads_is_not_served)
{
	static const struct ask reads[] = {
		{.op = GH_SERVICE_IDENTITY_GET, .id = "dev1"},
		{.op = GH_SERVICE_DEVICE_LIST},
		{.op = GH_SERVICE_MODULE_LIST, .id = "dev1"},
		{.op = GH_SERVICE_QUERY, .body = "{\"query\":\"SELECT * FROM devices\"}"},
		{.op = GH_SERVICE_DEVICE_STATISTICS},
		{.op = GH_SERVICE_CONNECTION_STATISTICS},
	};
	struct world *w = world_new(sizeof reads / sizeof *reads);
	const gh_store_ops *ops = w->hub.store->ops;
	gh_store_ops unread = *ops;
	unread.get = unread_get;
	unread.scan = unread_scan;
	w->hub.store->ops = &unread;
	for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
		struct answer a = {0};
		cr_assert_eq(world_call(w, 0, &a, reads[i]), GH_OK);
		gh_call_cancel(a.call);
		world_run(w);
		cr_assert_eq(a.count, 0);
	}
	w->hub.store->ops = ops;
	world_free(w);
}

/* ---- how many ---- */

Test(service, at_service_calls_max_of_all_workers_the_next_one_is_told_to_come_again)
{
	struct world *w = world_new(2);
	struct answer first = {0}, second = {0}, third = {0};
	cr_assert_eq(world_call(w, 0, &first, ask_get), GH_OK);
	cr_assert_eq(world_call(w, 1, &second, ask_get), GH_OK);
	for (int i = 0; i < WORKERS; i++)
		cr_assert_eq(world_call(w, i, &third, ask_get), GH_AGAIN);
	hand_run(&w->service);
	cr_assert_eq(world_call(w, 0, &third, ask_get), GH_AGAIN, "served, but not back yet");
	hand_run(&w->sides[1]);
	cr_assert_eq(world_call(w, 0, &third, ask_get), GH_OK, "one came back, to whichever worker");
	cr_assert_eq(world_call(w, 1, &third, ask_get), GH_AGAIN);
	world_run(w);
	cr_assert(first.count == 1 && second.count == 1 && third.count == 1, "who was refused hears nothing");
	world_free(w);
}

struct again {
	struct world *world;
	gh_status status;
	struct answer answer;
};

static void again_done(void *context, const gh_service_answer *answer)
{
	struct again *again = context;
	(void)answer;
	again->status = world_call(again->world, 0, &again->answer, ask_get);
}

Test(service, who_is_answered_finds_the_room_it_had)
{
	struct world *w = world_new(1);
	struct again again = {.world = w};
	gh_call *call;
	cr_assert_eq(hub_call(w->hub.workers[0], ask_get, again_done, &again, &call), GH_OK);
	world_run(w);
	cr_assert_eq(again.status, GH_OK, "from inside done");
	world_run(w);
	cr_assert_eq(again.answer.count, 1);
	world_free(w);
}

Test(service, a_worker_is_not_idle_while_a_call_of_its_own_is_out)
{
	struct world *w = world_new(8);
	struct answer a = {0};
	cr_assert(core_worker_idle(w->hub.workers[0]) && core_worker_idle(w->hub.workers[1]));
	cr_assert_eq(world_call(w, 0, &a, ask_get), GH_OK);
	gh_call_cancel(a.call);
	cr_assert_not(core_worker_idle(w->hub.workers[0]), "cancelled or not");
	hand_run(&w->service);
	cr_assert_not(core_worker_idle(w->hub.workers[0]));
	cr_assert(core_worker_idle(w->hub.workers[1]));
	hand_run(&w->sides[0]);
	cr_assert(core_worker_idle(w->hub.workers[0]));
	world_free(w);
}

Test(service, where_no_thread_serves_a_call_is_unavailable)
{
	struct hub hub;
	struct hand_host sides[WORKERS];
	struct answer a = {0};
	for (int i = 0; i < WORKERS; i++)
		hand_init(&sides[i]);
	hub_open(&hub, 8, NULL, (gh_host *const[]){&sides[0].host, &sides[1].host});
	cr_assert_eq(hub_call(hub.workers[0], ask_get, answer_take, &a, &a.call), GH_UNAVAILABLE);
	cr_assert(a.call == NULL && sides[0].count == 0);
	hub_close(&hub);
}

/* ---- who is connected ---- */

Test(service, an_identity_is_connected_while_a_link_with_a_session_is_open)
{
	struct world *w = world_new(8);
	struct answer a = {0};
	struct device request = {0}, d = {0}, m = {0};
	struct ask get_module = {.op = GH_SERVICE_IDENTITY_GET, .id = "dev1", .module = "m1"};
	world_ask(w, &a,
		(struct ask){.op = GH_SERVICE_IDENTITY_PUT,
			.id = "dev1",
			.module = "m1",
			.body = "{\"deviceId\":\"dev1\",\"moduleId\":\"m1\",\"authentication\":{\"symmetricKey\":"
				"{\"primaryKey\":\"" KEY_1 "\",\"secondaryKey\":\"" KEY_1 "\"}}}"});
	cr_assert_str_eq(answer_text(&a, "connectionState"), "Disconnected", "%s", a.code);
	struct device_ask sessionless = {.id = "dev1", .sessionless = true, .unseen = true};
	cr_assert_eq(device_open(w->hub.workers[1], &request, sessionless), GH_OK);
	world_ask(w, &a, ask_get);
	cr_assert_str_eq(answer_text(&a, "connectionState"), "Disconnected", "a request is nobody's presence");
	cr_assert_str_eq(answer_text(&a, "connectionStateUpdatedTime"), "0001-01-01T00:00:00Z");

	cr_assert_eq(device_open(w->hub.workers[1], &d, (struct device_ask){.id = "dev1"}), GH_OK);
	world_ask(w, &a, ask_get);
	cr_assert_str_eq(answer_text(&a, "connectionState"), "Connected");
	cr_assert_str_eq(answer_text(&a, "connectionStateUpdatedTime"), "2023-11-14T22:13:20.000Z");
	world_ask(w, &a, get_module);
	cr_assert_str_eq(answer_text(&a, "connectionState"), "Disconnected", "a module speaks for itself");
	cr_assert_eq(device_open(w->hub.workers[0], &m, (struct device_ask){.id = "dev1", .module = "m1"}), GH_OK);
	world_ask(w, &a, get_module);
	cr_assert_str_eq(answer_text(&a, "connectionState"), "Connected");

	device_close(&d);
	world_ask(w, &a, ask_get);
	cr_assert_str_eq(answer_text(&a, "connectionState"), "Disconnected");
	world_free(w);
}

static void assert_connected(struct world *w, const char *count, const char *when)
{
	struct answer a = {0};
	world_ask(w, &a, (struct ask){.op = GH_SERVICE_CONNECTION_STATISTICS});
	cr_assert_str_eq(answer_text(&a, "connectedDeviceCount"), count, "%s", when);
}

Test(service, connected_devices_are_counted_once_each)
{
	struct world *w = world_new(8);
	struct device one = {0}, other = {0}, second = {0}, request = {0};
	assert_connected(w, "0", "nobody");
	cr_assert_eq(device_open(w->hub.workers[0], &one, (struct device_ask){.id = "dev1"}), GH_OK);
	struct device_ask over_other = {.id = "dev1", .transport = "other"};
	cr_assert_eq(device_open(w->hub.workers[1], &other, over_other), GH_OK);
	assert_connected(w, "1", "twice, over two transports");
	struct device_ask sessionless = {.id = "dev2", .sessionless = true, .unseen = true};
	cr_assert_eq(device_open(w->hub.workers[1], &request, sessionless), GH_OK);
	assert_connected(w, "1", "a request");
	cr_assert_eq(device_open(w->hub.workers[1], &second, (struct device_ask){.id = "dev2"}), GH_OK);
	assert_connected(w, "2", "another one");
	device_close(&one);
	assert_connected(w, "2", "one of two links left");
	device_close(&other);
	assert_connected(w, "1", "both left");
	world_free(w);
}

/* ---- threads ---- */

/* Each side, a worker, has SIDE_SLOTS calls out until it has made SIDE_CALLS of them; with both sides that is more than
 * SIDES_CALLS_MAX.  Some are cancelled, and a device of which both hold a link is disabled and enabled all the time. */
enum { SIDE_SLOTS = 3, SIDE_CALLS = 300, SIDES_CALLS_MAX = 4, SIDE_CANCEL_EACH = 7 };

struct side;

struct side_slot {
	gh_task again; /* after GH_AGAIN */
	struct side *side;
	unsigned number; /* of what it asks now */
};

struct side {
	struct hub *hub;
	struct loop *loop;
	gh_task begin;
	pthread_t thread;
	int index;
	struct side_slot slots[SIDE_SLOTS];
	unsigned asked, over; /* over: slots that ask no more */
	struct device device;
};

/* What the creation of that number makes. */
static void side_id(const struct side *side, unsigned number, char ret_id[32])
{
	snprintf(ret_id, 32, "side%d-%u", side->index, number);
}

/* What calls ask, by turns; behind these comes a creation. */
static const struct ask side_kinds[] = {
	{.op = GH_SERVICE_IDENTITY_GET, .id = "dev1"},
	{.op = GH_SERVICE_CONNECTION_STATISTICS},
	{.op = GH_SERVICE_IDENTITY_PUT, .id = "dev1", .etag = "*", .body = DOCUMENT("dev1", "enabled", KEY_1)},
	{.op = GH_SERVICE_IDENTITY_PUT, .id = "dev1", .etag = "*", .body = DOCUMENT("dev1", "disabled", KEY_1)},
};
enum { SIDE_KINDS = sizeof side_kinds / sizeof *side_kinds };

static gh_status side_call(struct side_slot *slot, gh_service_done *done, gh_call **ret_call)
{
	struct side *side = slot->side;
	gh_worker *worker = side->hub->workers[side->index];
	unsigned kind = slot->number % (SIDE_KINDS + 1);
	char id[32], body[64];
	struct ask creation = {.op = GH_SERVICE_IDENTITY_PUT, .id = id, .body = body};
	side_id(side, slot->number, id);
	snprintf(body, sizeof body, "{\"deviceId\":\"%s\"}", id);
	return hub_call(worker, kind < SIDE_KINDS ? side_kinds[kind] : creation, done, slot, ret_call);
}

static void side_done(void *context, const gh_service_answer *answer);

static void side_over(struct side *side)
{
	if (++side->over == SIDE_SLOTS)
		loop_stop(side->loop);
}

/* The slot asks until something is under way that it hears of. */
static void side_ask(struct side_slot *slot)
{
	struct side *side = slot->side;
	gh_call *call;
	for (;;) {
		gh_status status = side_call(slot, side_done, &call);
		if (status == GH_AGAIN) {
			loop_host(side->loop)->ops->post(loop_host(side->loop), &slot->again);
			return;
		}
		cr_assert_eq(status, GH_OK);
		if (slot->number % SIDE_CANCEL_EACH != 0)
			return;
		gh_call_cancel(call);
		if (side->asked == SIDE_CALLS) {
			side_over(side);
			return;
		}
		slot->number = side->asked++;
	}
}

static void side_again(gh_task *task, uint64_t now_ms)
{
	(void)now_ms;
	side_ask(GH_CONTAINER(task, struct side_slot, again));
}

static void side_done(void *context, const gh_service_answer *answer)
{
	struct side_slot *slot = context;
	struct side *side = slot->side;
	struct device_ask who = {.id = "dev1", .transport = side->index ? "other" : NULL};
	cr_assert_eq(answer->status, GH_OK, "call %u: %s", slot->number, answer->err.text);
	if (!side->device.link) {
		gh_status status = device_open(side->hub->workers[side->index], &side->device, who);
		cr_assert(status == GH_OK || status == GH_DISABLED);
	}
	if (side->asked == SIDE_CALLS) {
		side_over(side);
		return;
	}
	slot->number = side->asked++;
	side_ask(slot);
}

static void side_begin(gh_task *task, uint64_t now_ms)
{
	struct side *side = GH_CONTAINER(task, struct side, begin);
	(void)now_ms;
	for (int i = 0; i < SIDE_SLOTS; i++) {
		side->slots[i] = (struct side_slot){{.run = side_again}, side, side->asked++};
		side_ask(&side->slots[i]);
	}
}

static void *side_thread(void *loop)
{
	loop_run(loop);
	return NULL;
}

static void side_stop(struct loop *loop, pthread_t thread)
{
	loop_stop(loop);
	pthread_join(thread, NULL);
}

Test(service, workers_that_ask_all_at_once_are_all_answered_and_every_change_is_made)
{
	struct hub hub;
	struct side sides[WORKERS] = {{0}};
	struct loop *service = loop_new();
	pthread_t service_thread;
	for (int i = 0; i < WORKERS; i++)
		sides[i] = (struct side){.hub = &hub, .loop = loop_new(), .begin.run = side_begin, .index = i};
	hub_open(&hub, SIDES_CALLS_MAX, loop_host(service),
		(gh_host *const[]){loop_host(sides[0].loop), loop_host(sides[1].loop)});
	pthread_create(&service_thread, NULL, side_thread, service);
	for (int i = 0; i < WORKERS; i++) {
		gh_host *host = loop_host(sides[i].loop);
		host->ops->post(host, &sides[i].begin);
		pthread_create(&sides[i].thread, NULL, side_thread, sides[i].loop);
	}
	for (int i = 0; i < WORKERS; i++)
		pthread_join(sides[i].thread, NULL);
	side_stop(service, service_thread);
	for (int i = 0; i < WORKERS; i++) { /* what was cancelled may still be on its way */
		loop_stop(sides[i].loop);
		loop_run(sides[i].loop);
	}
	for (int i = 0; i < WORKERS; i++) {
		cr_assert(sides[i].asked == SIDE_CALLS && sides[i].device.revoked > 0);
		for (unsigned n = SIDE_KINDS; n < SIDE_CALLS; n += SIDE_KINDS + 1) {
			char id[32];
			side_id(&sides[i], n, id);
			cr_assert(hub_has(&hub, id, "enabled"), "%s", id);
		}
	}
	hub_close(&hub);
	for (int i = 0; i < WORKERS; i++)
		loop_free(sides[i].loop);
	loop_free(service);
}
