/* loop.c - see loop.h.
 *
 * One turn is what happens between two waits: descriptors that are ready and posted tasks (inside uv's poll), then due
 * timers, then deferred jobs, then the turn's end.  It is closed right after the poll (uv_check) and once more right
 * before the next (uv_prepare), for what the end itself has asked for.  There is one uv timer for all deadlines, armed
 * once per wait.
 */
#include "src/io/loop.h"

#include "src/base/take.h"

#include <assert.h>
#include <limits.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

/* Jobs may cause jobs; that many rounds of it belong to one turn. */
enum { LOOP_JOB_ROUNDS = 16, LOOP_DRAIN_ROUNDS = 1000 };

struct loop {
	gh_host host;
	uv_loop_t uv;
	uv_async_t wake;
	uv_timer_t timer;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t idle; /* active = do not wait, jobs are left */
	struct heap timers;
	struct loop_timer *starved;
	_Atomic(gh_task *) posted; /* newest first */
	atomic_bool stopping;
	struct loop_job *jobs;
	struct loop_job **jobs_end;
	size_t job_count;
	struct loop_turn_ops turn;
	void *turn_context;
	uint64_t (*clock_ms)(void *context);
	void *clock_context;
	uint64_t now_ms;
	bool in_turn;
	size_t watches;
};

struct loop_fd {
	uv_poll_t poll;
	loop_fd_ready *ready;
	void *context;
	int events;
};

static struct loop *loop_of(const uv_handle_t *handle)
{
	return handle->loop->data;
}

/* ---- time and turns ---- */

static uint64_t loop_clock(struct loop *loop)
{
	return loop->clock_ms ? loop->clock_ms(loop->clock_context) : uv_now(&loop->uv);
}

uint64_t loop_now_ms(struct loop *loop)
{
	if (!loop->in_turn) {
		uv_update_time(&loop->uv);
		loop->now_ms = loop_clock(loop);
	}
	return loop->now_ms;
}

uint64_t loop_wall_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void loop_set_turn(struct loop *loop, const struct loop_turn_ops *ops, void *context)
{
	loop->turn = ops ? *ops : (struct loop_turn_ops){0};
	loop->turn_context = context;
}

static void loop_enter(struct loop *loop)
{
	if (loop->in_turn)
		return;
	loop->now_ms = loop_clock(loop);
	loop->in_turn = true;
	if (loop->turn.begin)
		loop->turn.begin(loop->turn_context, loop->now_ms, loop_wall_ms());
}

/* The next due timer, disarmed; NULL when there is none. */
static struct loop_timer *loop_take_due(struct loop *loop, uint64_t now_ms)
{
	struct loop_timer *timer = loop->starved;
	if (timer) {
		loop->starved = timer->starved;
		timer->starved = NULL;
		return timer;
	}
	struct heap_node *node = heap_first(&loop->timers);
	if (!node || node->at > now_ms)
		return NULL;
	heap_remove(&loop->timers, node);
	return GH_CONTAINER(node, struct loop_timer, node);
}

static void loop_fire(struct loop *loop)
{
	uint64_t now_ms = loop->in_turn ? loop->now_ms : loop_clock(loop);
	size_t budget = loop->timers.count; /* one that arms itself for the past waits for the next turn */
	for (const struct loop_timer *timer = loop->starved; timer; timer = timer->starved)
		budget++;
	struct loop_timer *timer;
	while (budget-- > 0 && (timer = loop_take_due(loop, now_ms))) {
		loop_enter(loop);
		timer->fire(timer, loop->now_ms);
	}
}

static void loop_run_jobs(struct loop *loop)
{
	for (int round = 0; loop->jobs && round < LOOP_JOB_ROUNDS; round++) {
		loop_enter(loop);
		for (size_t budget = loop->job_count; budget > 0 && loop->jobs; budget--) {
			struct loop_job *job = loop->jobs;
			loop_defer_cancel(loop, job);
			job->run(job, loop->now_ms);
		}
	}
}

static void loop_leave(struct loop *loop)
{
	loop_fire(loop);
	loop_run_jobs(loop);
	if (loop->in_turn) {
		if (loop->turn.end)
			loop->turn.end(loop->turn_context, loop->now_ms);
		loop->in_turn = false;
	}
}

static void loop_timer_due(uv_timer_t *timer)
{
	(void)timer; /* waking up was all: the turn looks at the heap itself */
}

static void loop_no_wait(uv_idle_t *idle)
{
	(void)idle; /* being active is all */
}

static void loop_before_wait(uv_prepare_t *prepare)
{
	struct loop *loop = loop_of((uv_handle_t *)prepare);
	loop_leave(loop);
	if (loop->jobs || loop->starved)
		uv_idle_start(&loop->idle, loop_no_wait);
	else
		uv_idle_stop(&loop->idle);
	const struct heap_node *first = heap_first(&loop->timers);
	uint64_t now_ms = loop_clock(loop);
	if (first)
		uv_timer_start(&loop->timer, loop_timer_due, first->at > now_ms ? first->at - now_ms : 0, 0);
	else
		uv_timer_stop(&loop->timer);
}

static void loop_after_wait(uv_check_t *check)
{
	loop_leave(loop_of((uv_handle_t *)check));
}

/* ---- other threads ---- */

static void loop_post(gh_host *host, gh_task *task)
{
	struct loop *loop = GH_CONTAINER(host, struct loop, host);
	gh_task *head = atomic_load_explicit(&loop->posted, memory_order_relaxed);
	do
		task->next = head;
	while (!atomic_compare_exchange_weak_explicit(
		&loop->posted, &head, task, memory_order_release, memory_order_relaxed));
	if (!head) /* whoever finds the list empty wakes the loop for all who follow */
		uv_async_send(&loop->wake);
}

static bool loop_run_posted(struct loop *loop)
{
	gh_task *newest = atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire), *oldest = NULL;
	if (!newest)
		return false;
	while (newest) {
		gh_task *next = newest->next;
		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	loop_enter(loop);
	while (oldest) {
		gh_task *task = oldest;
		oldest = task->next;
		task->next = NULL;
		task->run(task, loop->now_ms);
	}
	return true;
}

static void loop_woken(uv_async_t *wake)
{
	struct loop *loop = loop_of((uv_handle_t *)wake);
	loop_run_posted(loop);
	if (atomic_load(&loop->stopping))
		uv_stop(&loop->uv);
}

void loop_random_bytes(void *ret_bytes, size_t len)
{
	assert(len <= INT_MAX);
	if (RAND_bytes(ret_bytes, (int)len) != 1)
		abort(); /* keys made without randomness are worse than a stop */
}

static void loop_random(gh_host *host, void *ret_bytes, size_t len)
{
	(void)host;
	loop_random_bytes(ret_bytes, len);
}

static const gh_host_ops loop_host_ops = {.post = loop_post, .random = loop_random};

gh_host *loop_host(struct loop *loop)
{
	return &loop->host;
}

struct uv_loop_s *loop_uv(struct loop *loop)
{
	return &loop->uv;
}

/* ---- life ---- */

struct loop *loop_new_with_clock(uint64_t (*clock_ms)(void *context), void *context)
{
	struct loop *loop = calloc(1, sizeof *loop);
	if (!loop || uv_loop_init(&loop->uv) != 0) {
		free(loop);
		return NULL;
	}
	loop->uv.data = loop;
	loop->host.ops = &loop_host_ops;
	loop->jobs_end = &loop->jobs;
	loop->clock_ms = clock_ms;
	loop->clock_context = context;
	if (uv_async_init(&loop->uv, &loop->wake, loop_woken) != 0) {
		uv_loop_close(&loop->uv);
		free(loop);
		return NULL;
	}
	uv_timer_init(&loop->uv, &loop->timer);
	uv_prepare_init(&loop->uv, &loop->prepare);
	uv_check_init(&loop->uv, &loop->check);
	uv_idle_init(&loop->uv, &loop->idle);
	uv_prepare_start(&loop->prepare, loop_before_wait);
	uv_check_start(&loop->check, loop_after_wait);
	return loop;
}

struct loop *loop_new(void)
{
	return loop_new_with_clock(NULL, NULL);
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	assert(loop->watches == 0);
	assert(loop->timers.count == 0 && !loop->starved);
	assert(!atomic_load(&loop->posted));
	uv_handle_t *own[] = {(uv_handle_t *)&loop->wake, (uv_handle_t *)&loop->timer, (uv_handle_t *)&loop->prepare,
		(uv_handle_t *)&loop->check, (uv_handle_t *)&loop->idle};
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		uv_close(own[i], NULL);
	uv_run(&loop->uv, UV_RUN_DEFAULT); /* until the last handle has closed */
	int rc = uv_loop_close(&loop->uv);
	assert(rc == 0);
	heap_done(&loop->timers);
	free(loop);
}

void loop_run(struct loop *loop)
{
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	for (int round = 0; round < LOOP_DRAIN_ROUNDS && (loop_run_posted(loop) || loop->jobs); round++)
		loop_leave(loop);
	atomic_store(&loop->stopping, false);
}

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stopping, true);
	uv_async_send(&loop->wake);
}

void loop_turn(struct loop *loop)
{
	uv_run(&loop->uv, UV_RUN_NOWAIT);
}

/* ---- descriptors ---- */

static void loop_fd_event(uv_poll_t *poll, int status, int uv_events)
{
	struct loop_fd *watch = GH_CONTAINER(poll, struct loop_fd, poll);
	struct loop *loop = poll->loop->data;
	int events = 0;
	if (status < 0) { /* an error is pending on it, and uv has stopped: the next system call will tell which */
		events = LOOP_READ | LOOP_WRITE;
		watch->events = 0;
	} else {
		events = (uv_events & UV_READABLE ? LOOP_READ : 0) | (uv_events & UV_WRITABLE ? LOOP_WRITE : 0);
	}
	loop_enter(loop);
	watch->ready(watch->context, events, loop->now_ms);
}

struct loop_fd *loop_watch(struct loop *loop, int fd, int events, loop_fd_ready *ready, void *context)
{
	struct loop_fd *watch = calloc(1, sizeof *watch);
	if (!watch || uv_poll_init(&loop->uv, &watch->poll, fd) != 0) {
		free(watch);
		return NULL;
	}
	watch->ready = ready;
	watch->context = context;
	loop->watches++;
	loop_watch_set(watch, events);
	return watch;
}

void loop_watch_set(struct loop_fd *watch, int events)
{
	if (events == watch->events)
		return; /* each change costs uv two system calls */
	watch->events = events;
	if (events == 0)
		uv_poll_stop(&watch->poll);
	else
		uv_poll_start(&watch->poll,
			(events & LOOP_READ ? UV_READABLE : 0) | (events & LOOP_WRITE ? UV_WRITABLE : 0),
			loop_fd_event);
}

static void loop_fd_closed(uv_handle_t *handle)
{
	free(GH_CONTAINER(handle, struct loop_fd, poll));
}

void loop_unwatch(struct loop_fd *watch)
{
	if (!watch)
		return;
	loop_of((uv_handle_t *)&watch->poll)->watches--;
	uv_close((uv_handle_t *)&watch->poll, loop_fd_closed);
}

/* ---- deadlines and jobs ---- */

static void loop_timer_feed(struct loop *loop, struct loop_timer *timer)
{
	for (struct loop_timer **at = &loop->starved; *at; at = &(*at)->starved)
		if (*at == timer) {
			*at = timer->starved;
			timer->starved = NULL;
			return;
		}
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t at_ms)
{
	if (loop->starved)
		loop_timer_feed(loop, timer);
	if (at_ms == 0) {
		heap_remove(&loop->timers, &timer->node);
	} else if (!heap_set(&loop->timers, &timer->node, at_ms)) {
		timer->starved = loop->starved;
		loop->starved = timer;
	}
}

void loop_defer(struct loop *loop, struct loop_job *job)
{
	if (job->queued)
		return;
	job->queued = true;
	job->next = NULL;
	*loop->jobs_end = job;
	loop->jobs_end = &job->next;
	loop->job_count++;
}

void loop_defer_cancel(struct loop *loop, struct loop_job *job)
{
	if (!job->queued)
		return;
	for (struct loop_job **at = &loop->jobs; *at; at = &(*at)->next)
		if (*at == job) {
			*at = job->next;
			if (loop->jobs_end == &job->next)
				loop->jobs_end = at;
			break;
		}
	job->queued = false;
	job->next = NULL;
	loop->job_count--;
}
