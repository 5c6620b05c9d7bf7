/* gateway_service.h: what is posted runs, elsewhere and in order; and what it answers to workers that have ended is
 * neither lost nor leaked, whenever they end.
 */
#include "tests/suite.h"

#include "src/backends/memory.h"
#include "src/base/limits.h"
#include "src/base/take.h"
#include "src/base/text.h"
#include "src/gateway_service.h"
#include "src/gateway_worker.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

SUITE(gateway_service);

enum { TASKS = 100, ROUNDS = 20, WORKERS = 2 };

static struct gateway_service *service_test_new(void)
{
	struct gateway_service *service = NULL;
	gh_error err = {0};
	cr_assert_eq(gateway_service_new(&service, &err), GH_OK, "%s", err.text);
	return service;
}

static void service_test_start(struct gateway_service *service)
{
	gh_error err = {0};
	cr_assert_eq(gateway_service_start(service, &err), GH_OK, "%s", err.text);
}

static void service_test_post(struct gateway_service *service, gh_task *task)
{
	gh_host *host = gateway_service_host(service);
	host->ops->post(host, task);
}

/* ---- the thread ---- */

struct seen {
	pthread_t thread;
	unsigned count;
	bool in_order;
};

struct numbered_task {
	gh_task task;
	struct seen *seen;
	unsigned number;
};

static void numbered_run(gh_task *task, uint64_t now_ms)
{
	(void)now_ms;
	struct numbered_task *t = GH_CONTAINER(task, struct numbered_task, task);
	t->seen->thread = pthread_self();
	t->seen->in_order = t->seen->in_order && t->seen->count == t->number;
	t->seen->count++;
	free(t);
}

static void service_test_post_numbered(struct gateway_service *service, struct seen *seen, unsigned from, unsigned to)
{
	for (; from < to; from++) {
		struct numbered_task *t = calloc(1, sizeof *t);
		*t = (struct numbered_task){.task.run = numbered_run, .seen = seen, .number = from};
		service_test_post(service, &t->task);
	}
}

Test(gateway_service, all_that_was_posted_has_run_on_its_thread_in_order_when_stop_returns)
{
	struct seen seen = {.in_order = true};
	struct gateway_service *service = service_test_new();
	service_test_post_numbered(service, &seen, 0, TASKS / 2);
	cr_assert_eq(seen.count, 0, "nothing runs before the start");
	service_test_start(service);
	service_test_post_numbered(service, &seen, TASKS / 2, TASKS);
	gateway_service_stop(service);
	cr_assert_eq(seen.count, TASKS);
	cr_assert(seen.in_order);
	cr_assert_not(pthread_equal(seen.thread, pthread_self()));
	gateway_service_stop(service);
	gateway_service_free(service);
}

Test(gateway_service, one_that_never_ran_is_stopped_and_freed_too)
{
	struct gateway_service *service = service_test_new();
	gateway_service_stop(service);
	gateway_service_free(service);
	gateway_service_stop(NULL);
	gateway_service_free(NULL);
}

/* ---- and the workers ---- */

struct world {
	gh_limits limits;
	gh_store *store;
	gh_backend *backend;
	struct core *core;
	struct gateway_service *service;
	struct gateway_worker *workers[WORKERS];
};

static void world_open(struct world *w)
{
	static const char *const hosts[] = {"localhost", NULL};
	gh_error err = {0};
	*w = (struct world){.service = service_test_new()};
	limits_defaults(&w->limits);
	gh_store_config store = {.directory = "", .limits = &w->limits};
	cr_assert_eq(memory_store.open(&store, &w->store, &err), GH_OK, "%s", err.text);
	gh_backend_config backend = {.level = GH_MEMORY, .partitions = 1, .limits = &w->limits};
	cr_assert_eq(memory_queue.open(&backend, &w->backend, &err), GH_OK, "%s", err.text);
	struct core_config core = {
		.limits = &w->limits,
		.hosts = hosts,
		.disabled_status = GH_DISABLED,
		.store = w->store,
		.backend_ops = &memory_queue,
		.backend = w->backend,
		.service_host = gateway_service_host(w->service),
	};
	w->core = core_new(&core, (uint64_t[2]){1, 2});
	cr_assert_not_null(w->core);
	struct listener_group *none = NULL;
	for (int i = 0; i < WORKERS; i++)
		cr_assert_eq(
			gateway_worker_new(w->core, &none, &w->limits, &w->workers[i], &err), GH_OK, "%s", err.text);
	service_test_start(w->service);
	for (int i = 0; i < WORKERS; i++)
		cr_assert_eq(gateway_worker_start(w->workers[i], &err), GH_OK, "%s", err.text);
}

static void world_end_workers(struct world *w)
{
	for (int i = 0; i < WORKERS; i++)
		gateway_worker_drain(w->workers[i]);
	for (int i = 0; i < WORKERS; i++)
		gateway_worker_join(w->workers[i]);
}

static void world_close(struct world *w)
{
	gateway_service_stop(w->service);
	for (int i = 0; i < WORKERS; i++)
		gateway_worker_settle(w->workers[i]);
	for (int i = 0; i < WORKERS; i++)
		gateway_worker_free(w->workers[i]);
	core_free(w->core);
	gateway_service_free(w->service);
	memory_queue.close(w->backend);
	memory_store.close(w->store);
}

/* What a changed identity does at its end: it tells every worker. */
struct change_task {
	gh_task task;
	struct core *core;
	sem_t *gate; /* the first waits for it */
};

static void change_run(gh_task *task, uint64_t now_ms)
{
	(void)now_ms;
	struct change_task *t = GH_CONTAINER(task, struct change_task, task);
	if (t->gate)
		sem_wait(t->gate);
	cr_assert_eq(core_credentials_changed(t->core, text_of("dev1")), GH_OK);
	free(t);
}

static void world_change(struct world *w, sem_t *gate)
{
	for (int i = 0; i < TASKS; i++) {
		struct change_task *t = calloc(1, sizeof *t);
		*t = (struct change_task){.task.run = change_run, .core = w->core, .gate = i == 0 ? gate : NULL};
		service_test_post(w->service, &t->task);
	}
}

Test(gateway_service, what_it_tells_workers_that_have_ended_is_taken_out_before_they_are_freed)
{
	struct world w;
	sem_t gate;
	sem_init(&gate, 0, 0);
	world_open(&w);
	world_change(&w, &gate);
	world_end_workers(&w);
	sem_post(&gate);
	world_close(&w);
	sem_destroy(&gate);
}

Test(gateway_service, workers_may_end_at_any_moment_of_its_work)
{
	for (int round = 0; round < ROUNDS; round++) {
		struct world w;
		world_open(&w);
		world_change(&w, NULL);
		world_end_workers(&w);
		world_close(&w);
	}
}
