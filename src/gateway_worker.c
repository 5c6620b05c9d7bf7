#include "src/gateway_worker.h"

#include "src/base/take.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 100, DRAIN_TICK_MS = 5, LISTENERS_MAX = 8, CUT_MS_MAX = 5000 };

enum drain_step { RUNNING, DRAINING, CUT };

struct gateway_worker {
	const gh_limits *limits;
	struct loop *loop;
	gh_worker *core;
	struct web *web; /* NULL = no listener takes WebSockets */
	struct loop_fd *backend_watch;
	struct loop_fd *store_watch;
	struct listener *listeners[LISTENERS_MAX];
	size_t listener_count;
	struct loop_timer tick;
	gh_task drain_task;
	enum drain_step step;
	uint64_t step_ends_ms;
	pthread_t thread;
	bool started;
};

static void worker_backend_ready(void *context, int events, uint64_t now_ms)
{
	(void)events;
	core_worker_backend_ready(context, now_ms);
}

static void worker_store_ready(void *context, int events, uint64_t now_ms)
{
	(void)events;
	core_worker_store_ready(context, now_ms);
}

static void worker_turn_begin(void *context, uint64_t now_ms, uint64_t wall_ms)
{
	core_worker_turn_begin(context, now_ms, wall_ms);
}

static void worker_turn_end(void *context, uint64_t now_ms)
{
	core_worker_turn_end(context, now_ms);
}

static const struct loop_turn_ops worker_turn = {worker_turn_begin, worker_turn_end};

static size_t worker_connections(const struct gateway_worker *w)
{
	size_t count = 0;
	for (size_t i = 0; i < w->listener_count; i++)
		count += listener_connections(w->listeners[i]);
	return count;
}

static void worker_free_listeners(struct gateway_worker *w)
{
	for (size_t i = 0; i < w->listener_count; i++)
		listener_free(w->listeners[i]);
	w->listener_count = 0;
}

/* Draining: wait for the connections; then cut those that are left, and wait for what they submitted. */
static void worker_drain_step(struct gateway_worker *w, uint64_t now_ms)
{
	if (w->step == DRAINING && (worker_connections(w) == 0 || now_ms >= w->step_ends_ms)) {
		worker_free_listeners(w);
		core_worker_close_links(w->core);
		w->step = CUT;
		w->step_ends_ms = now_ms + CUT_MS_MAX;
	}
	if (w->step == CUT && (core_worker_idle(w->core) || now_ms >= w->step_ends_ms))
		loop_stop(w->loop);
}

static void worker_tick(struct loop_timer *timer, uint64_t now_ms)
{
	struct gateway_worker *w = GH_CONTAINER(timer, struct gateway_worker, tick);
	core_worker_tick(w->core, now_ms);
	if (w->step != RUNNING)
		worker_drain_step(w, now_ms);
	loop_timer_set(w->loop, &w->tick, now_ms + (w->step == RUNNING ? TICK_MS : DRAIN_TICK_MS));
}

static void worker_drain_begin(gh_task *task, uint64_t now_ms)
{
	struct gateway_worker *w = GH_CONTAINER(task, struct gateway_worker, drain_task);
	w->step = DRAINING;
	w->step_ends_ms = now_ms + w->limits->drain_ms_max;
	for (size_t i = 0; i < w->listener_count; i++)
		listener_drain(w->listeners[i], now_ms);
	loop_timer_set(w->loop, &w->tick, now_ms + DRAIN_TICK_MS);
}

static gh_status worker_listen(struct gateway_worker *w, struct listener_group *const *groups, gh_error *ret_err)
{
	for (; *groups; groups++) {
		if (listener_group_takes_websockets(*groups) && !w->web) {
			gh_status status = web_new(w->loop, w->limits, &w->web, ret_err);
			if (status != GH_OK)
				return status;
		}
		if (w->listener_count == LISTENERS_MAX)
			return gh_fail(
				ret_err, GH_INTERNAL, "too_many_listeners", "more than %d listeners", LISTENERS_MAX);
		gh_status status =
			listener_new(*groups, w->loop, w->core, w->web, &w->listeners[w->listener_count], ret_err);
		if (status != GH_OK)
			return status;
		w->listener_count++;
	}
	return GH_OK;
}

gh_status gateway_worker_new(struct core *core, struct listener_group *const *groups, const gh_limits *limits,
	struct gateway_worker **ret_worker, gh_error *ret_err)
{
	struct gateway_worker *w = calloc(1, sizeof *w);
	if (!w)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for a worker");
	w->limits = limits;
	w->tick.fire = worker_tick;
	w->drain_task.run = worker_drain_begin;
	w->loop = loop_new();
	if (w->loop)
		w->core = core_worker_new(core, loop_host(w->loop), loop_now_ms(w->loop), loop_wall_ms());
	if (w->core) {
		w->backend_watch =
			loop_watch(w->loop, core_worker_backend_fd(w->core), LOOP_READ, worker_backend_ready, w->core);
		w->store_watch =
			loop_watch(w->loop, core_worker_store_fd(w->core), LOOP_READ, worker_store_ready, w->core);
	}
	if (!w->backend_watch || !w->store_watch) {
		gateway_worker_free(w);
		return gh_fail(ret_err, GH_IO, "worker_failed", "a worker's event loop could not be made");
	}
	loop_set_turn(w->loop, &worker_turn, w->core);
	gh_status status = worker_listen(w, groups, ret_err);
	if (status != GH_OK) {
		gateway_worker_free(w);
		return status;
	}
	*ret_worker = w;
	return GH_OK;
}

static void *worker_thread(void *argument)
{
	struct gateway_worker *w = argument;
	loop_timer_set(w->loop, &w->tick, loop_now_ms(w->loop) + TICK_MS);
	loop_run(w->loop);
	return NULL;
}

gh_status gateway_worker_start(struct gateway_worker *w, gh_error *ret_err)
{
	int error = pthread_create(&w->thread, NULL, worker_thread, w);
	if (error)
		return gh_fail(ret_err, GH_IO, "thread_failed", "a worker thread: %s", strerror(error));
	w->started = true;
	return GH_OK;
}

void gateway_worker_drain(struct gateway_worker *w)
{
	if (!w->started)
		return;
	gh_host *host = loop_host(w->loop);
	host->ops->post(host, &w->drain_task);
}

void gateway_worker_join(struct gateway_worker *w)
{
	if (w->started)
		pthread_join(w->thread, NULL);
	w->started = false;
}

void gateway_worker_settle(struct gateway_worker *w)
{
	assert(!w->started);
	loop_stop(w->loop);
	loop_run(w->loop);
}

void gateway_worker_free(struct gateway_worker *w)
{
	if (!w)
		return;
	worker_free_listeners(w);
	if (w->core)
		core_worker_close_links(w->core);
	if (w->loop)
		loop_timer_set(w->loop, &w->tick, 0);
	web_free(w->web);
	loop_unwatch(w->backend_watch);
	loop_unwatch(w->store_watch);
	core_worker_free(w->core);
	loop_free(w->loop);
	free(w);
}
