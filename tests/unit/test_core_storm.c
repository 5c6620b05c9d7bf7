/* Takeover storm: two real worker threads fight over one identity with many links.  For ThreadSanitizer, and for the
 * promise that one seat never has two holders and no record of an older holder comes after one of a newer.
 */
#include "tests/suite.h"

#include "src/backends/memory.h"
#include "src/base/limits.h"
#include "src/base/take.h"
#include "src/base/text.h"
#include "src/core/core.h"
#include "src/core/registry.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

SUITE(core_storm);

#define KEY_1 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
enum { WALL_S = 1700000000, NOW_MS = 5000, LINKS = 50, THREADS = 2 };

struct storm_host {
	gh_host host;
	pthread_mutex_t lock;
	gh_task *first;
	gh_task **last;
	int fd;
};

static void storm_post(gh_host *host, gh_task *task)
{
	struct storm_host *h = GH_CONTAINER(host, struct storm_host, host);
	pthread_mutex_lock(&h->lock);
	task->next = NULL;
	*h->last = task;
	h->last = &task->next;
	pthread_mutex_unlock(&h->lock);
	eventfd_write(h->fd, 1);
}

static void storm_random(gh_host *host, void *bytes, size_t len)
{
	(void)host;
	memset(bytes, 4, len);
}

static const gh_host_ops storm_host_ops = {storm_post, storm_random};

static void storm_host_run(struct storm_host *h)
{
	pthread_mutex_lock(&h->lock);
	gh_task *task = h->first;
	h->first = NULL;
	h->last = &h->first;
	pthread_mutex_unlock(&h->lock);
	while (task) {
		gh_task *next = task->next;
		task->run(task, NOW_MS);
		task = next;
	}
}

static uint64_t storm_wall_ms(void)
{
	return WALL_S * 1000ull;
}

static void storm_dice(void *bytes, size_t len)
{
	memset(bytes, 9, len);
}

struct storm {
	struct core *core;
	char token[512];
	atomic_int holders; /* links open now: never more than one */
	atomic_int most;
	atomic_int ended;
	atomic_int idle_threads;
};

struct storm_thread {
	struct storm *storm;
	struct storm_host host;
	gh_worker *worker;
	pthread_t thread;
};

struct storm_link {
	struct storm_thread *thread;
	gh_link *link;
	bool open;
};

static void storm_send(struct storm_link *l)
{
	gh_draft *draft = gh_worker_draft(l->thread->worker);
	gh_draft_body(draft, text_of("x"), NULL);
	cr_assert_eq(gh_link_submit(l->link, draft, NULL, NOW_MS), GH_OK);
}

static void storm_enter(struct storm_link *l)
{
	l->open = true;
	int now = atomic_fetch_add(&l->thread->storm->holders, 1) + 1;
	if (now > atomic_load(&l->thread->storm->most))
		atomic_store(&l->thread->storm->most, now);
	storm_send(l);
}

static void storm_leave(struct storm_link *l)
{
	if (l->open)
		atomic_fetch_sub(&l->thread->storm->holders, 1);
	l->open = false;
	gh_link_close(l->link);
	atomic_fetch_add(&l->thread->storm->ended, 1);
}

static void storm_opened(void *context, gh_status status, bool present)
{
	(void)present;
	struct storm_link *l = context;
	if (status == GH_OK)
		storm_enter(l);
	else
		atomic_fetch_add(&l->thread->storm->ended, 1);
}

static void storm_settled(void *context, void *cookie, gh_status status)
{
	(void)context;
	(void)cookie;
	cr_assert_eq(status, GH_OK);
}

static void storm_writable(void *context)
{
	(void)context;
}

static void storm_revoked(void *context, gh_status why)
{
	cr_assert_eq(why, GH_TAKEN_OVER);
	storm_leave(context);
}

static const gh_link_ops storm_ops = {storm_opened, storm_settled, storm_writable, storm_revoked};

static void storm_turn(struct storm_thread *t)
{
	struct pollfd fds[3] = {{t->host.fd, POLLIN, 0}, {core_worker_backend_fd(t->worker), POLLIN, 0},
		{core_worker_store_fd(t->worker), POLLIN, 0}};
	poll(fds, 3, 20);
	eventfd_t value;
	if (fds[0].revents)
		eventfd_read(t->host.fd, &value);
	storm_host_run(&t->host);
	core_worker_backend_ready(t->worker, NOW_MS);
	core_worker_store_ready(t->worker, NOW_MS);
	core_worker_turn_end(t->worker, NOW_MS);
}

static void *storm_run(void *argument)
{
	struct storm_thread *t = argument;
	static __thread struct storm_link links[LINKS];
	gh_link_request request = {
		.transport = "test",
		.host = text_of("hub.example.net"),
		.device_id = text_of("dev1"),
		.token = text_of(t->storm->token),
		.session_clean = true,
		.displaces = true,
	};
	for (int i = 0; i < LINKS; i++) {
		bool present;
		gh_error err = {0};
		links[i].thread = t;
		gh_status status = gh_link_open(
			t->worker, &request, &storm_ops, &links[i], NOW_MS, &links[i].link, &present, &err);
		cr_assert(status == GH_OK || status == GH_AGAIN, "%s", err.text);
		if (status == GH_OK)
			storm_enter(&links[i]);
		storm_turn(t);
	}
	/* One link of all stays; it is the last to leave. */
	while (atomic_load(&t->storm->ended) < THREADS * LINKS - 1)
		storm_turn(t);
	while (!core_worker_idle(t->worker)) {
		for (int i = 0; i < LINKS; i++)
			if (links[i].open)
				storm_leave(&links[i]);
		storm_turn(t);
	}
	return NULL;
}

Test(core_storm, threat_37_a_hundred_links_of_one_identity_never_hold_the_seat_together)
{
	static const char *const hosts[] = {"hub.example.net", NULL};
	gh_limits limits;
	gh_error err = {0};
	gh_store *store;
	gh_backend *backend;
	limits_defaults(&limits);
	cr_assert_eq(memory_store.open(&(gh_store_config){.directory = "", .limits = &limits}, &store, &err), GH_OK);
	cr_assert_eq(memory_queue.open(&(gh_backend_config){.level = GH_MEMORY, .partitions = 4, .limits = &limits},
			     &backend, &err),
		GH_OK);
	struct registry registry = {store, &limits, storm_dice, storm_wall_ms};
	json_t *made, *document = json_pack("{s:s, s:{s:{s:s, s:s}}}", "deviceId", "dev1", "authentication",
			      "symmetricKey", "primaryKey", KEY_1, "secondaryKey", KEY_1);
	cr_assert_eq(registry_device_create(&registry, document, &made, &err), GH_OK, "%s", err.text);
	json_decref(document);
	json_decref(made);
	struct core_config config = {.limits = &limits,
		.hosts = hosts,
		.disabled_status = GH_DISABLED,
		.store = store,
		.backend_ops = &memory_queue,
		.backend = backend};
	struct storm storm = {.core = core_new(&config, (uint64_t[2]){1, 2})};
	struct sas_key key;
	cr_assert(sas_key_decode(text_of(KEY_1), &key));
	cr_assert(sas_create("hub.example.net/devices/dev1", &key, "", WALL_S + 3600, storm.token, sizeof storm.token) >
		  0);

	struct storm_thread threads[THREADS];
	memset(threads, 0, sizeof threads);
	for (int i = 0; i < THREADS; i++) {
		struct storm_thread *t = &threads[i];
		t->storm = &storm;
		t->host = (struct storm_host){
			.host = {&storm_host_ops}, .last = &t->host.first, .fd = eventfd(0, EFD_NONBLOCK)};
		pthread_mutex_init(&t->host.lock, NULL);
		t->worker = core_worker_new(storm.core, &t->host.host, NOW_MS, WALL_S * 1000ull);
		cr_assert(t->worker != NULL);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i].thread, NULL, storm_run, &threads[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i].thread, NULL);
	cr_assert_eq(atomic_load(&storm.most), 1, "the seat had %d holders at once", atomic_load(&storm.most));
	for (int i = 0; i < THREADS; i++) {
		core_worker_free(threads[i].worker);
		close(threads[i].host.fd);
		pthread_mutex_destroy(&threads[i].host.lock);
	}
	core_free(storm.core);
	memory_queue.close(backend);
	memory_store.close(store);
}
