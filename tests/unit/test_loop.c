/* loop.h: order of what other threads post, deadlines on a clock that the test moves, jobs, descriptors. */
#include "tests/suite.h"

#include "src/base/take.h"
#include "src/io/loop.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

SUITE(loop);

static uint64_t loop_test_now = 1000;

static uint64_t loop_test_clock(void *context)
{
	return *(uint64_t *)context;
}

static struct loop *loop_test_new(void)
{
	struct loop *loop = loop_new_with_clock(loop_test_clock, &loop_test_now);
	cr_assert(loop != NULL);
	return loop;
}

/* ---- post ---- */

enum { POSTERS = 4, POSTS = 5000 };

static struct post_state {
	struct loop *loop;
	unsigned next[POSTERS];
	unsigned total;
	bool in_order;
} post_state;

struct post_task {
	gh_task task;
	unsigned poster, number;
};

static void post_run(gh_task *task, uint64_t now_ms)
{
	struct post_task *t = GH_CONTAINER(task, struct post_task, task);
	(void)now_ms;
	post_state.in_order = post_state.in_order && post_state.next[t->poster] == t->number;
	post_state.next[t->poster] = t->number + 1;
	free(t);
	if (++post_state.total == POSTERS * POSTS)
		loop_stop(post_state.loop);
}

static void *post_many(void *context)
{
	gh_host *host = loop_host(post_state.loop);
	for (unsigned i = 0; i < POSTS; i++) {
		struct post_task *t = calloc(1, sizeof *t);
		*t = (struct post_task){.task.run = post_run, .poster = (unsigned)(uintptr_t)context, .number = i};
		host->ops->post(host, &t->task);
	}
	return NULL;
}

Test(loop, tasks_of_four_threads_all_run_each_posters_in_order)
{
	pthread_t threads[POSTERS];
	post_state = (struct post_state){.loop = loop_new(), .in_order = true};
	for (uintptr_t i = 0; i < POSTERS; i++)
		pthread_create(&threads[i], NULL, post_many, (void *)i);
	loop_run(post_state.loop);
	for (int i = 0; i < POSTERS; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(post_state.total, POSTERS * POSTS);
	cr_assert(post_state.in_order);
	loop_free(post_state.loop);
}

/* ---- turns ---- */

struct turn_state {
	unsigned begins, ends, tasks;
	uint64_t now_ms;
};

static void turn_begin(void *context, uint64_t now_ms, uint64_t wall_ms)
{
	struct turn_state *s = context;
	cr_assert_eq(s->begins, s->ends);
	cr_assert(wall_ms > 1600000000000u);
	s->begins++;
	s->now_ms = now_ms;
}

static void turn_end(void *context, uint64_t now_ms)
{
	struct turn_state *s = context;
	cr_assert_eq(s->begins, s->ends + 1);
	cr_assert_eq(s->now_ms, now_ms);
	s->ends++;
}

static const struct loop_turn_ops turn_ops = {turn_begin, turn_end};

struct count_task {
	gh_task task;
	struct turn_state *turn;
};

static void count_run(gh_task *task, uint64_t now_ms)
{
	struct turn_state *turn = GH_CONTAINER(task, struct count_task, task)->turn;
	cr_assert_eq(turn->begins, turn->ends + 1, "inside a turn");
	cr_assert_eq(now_ms, turn->now_ms);
	turn->tasks++;
}

Test(loop, many_posts_are_one_turn_and_an_idle_turn_is_none)
{
	struct turn_state turn = {0};
	static struct count_task tasks[100];
	struct loop *loop = loop_test_new();
	loop_set_turn(loop, &turn_ops, &turn);
	loop_turn(loop);
	cr_assert_eq(turn.begins, 0);
	for (int i = 0; i < 100; i++) {
		tasks[i] = (struct count_task){.task.run = count_run, .turn = &turn};
		loop_host(loop)->ops->post(loop_host(loop), &tasks[i].task);
	}
	loop_turn(loop);
	cr_assert_eq(turn.tasks, 100);
	cr_assert(turn.begins == 1 && turn.ends == 1);
	loop_free(loop);
}

Test(loop, a_stop_before_the_run_counts_and_posted_tasks_still_run)
{
	struct turn_state turn = {0};
	struct count_task task = {.task.run = count_run, .turn = &turn};
	struct loop *loop = loop_new();
	loop_set_turn(loop, &turn_ops, &turn);
	loop_stop(loop);
	loop_host(loop)->ops->post(loop_host(loop), &task.task);
	loop_run(loop);
	cr_assert_eq(turn.tasks, 1);
	cr_assert_eq(turn.ends, turn.begins);
	loop_free(loop);
}

Test(loop, what_is_posted_after_the_end_of_a_run_waits_for_the_next)
{
	struct turn_state turn = {0};
	struct count_task task = {.task.run = count_run, .turn = &turn};
	struct loop *loop = loop_new();
	loop_set_turn(loop, &turn_ops, &turn);
	for (unsigned run = 0; run < 3; run++) {
		loop_stop(loop);
		loop_run(loop);
		loop_host(loop)->ops->post(loop_host(loop), &task.task);
		cr_assert_eq(turn.tasks, run);
	}
	loop_stop(loop);
	loop_run(loop);
	cr_assert_eq(turn.tasks, 3);
	loop_free(loop);
}

/* ---- timers ---- */

struct test_timer {
	struct loop_timer timer;
	struct loop *loop;
	char name;
	uint64_t again_ms; /* armed for that when it fires; 0 = not */
	unsigned fired;
};

static char fired_names[16];

static void test_fire(struct loop_timer *timer, uint64_t now_ms)
{
	struct test_timer *t = GH_CONTAINER(timer, struct test_timer, timer);
	size_t len = strlen(fired_names);
	cr_assert_eq(timer->node.index, 0, "a timer is disarmed when it fires");
	cr_assert_eq(now_ms, loop_test_now);
	if (len + 1 < sizeof fired_names)
		fired_names[len] = t->name;
	t->fired++;
	if (t->again_ms)
		loop_timer_set(t->loop, timer, t->again_ms);
}

Test(loop, timers_fire_in_the_order_of_their_deadlines_when_due_and_not_before)
{
	struct loop *loop = loop_test_new();
	struct test_timer t[4];
	for (int i = 0; i < 4; i++) {
		t[i] = (struct test_timer){.timer.fire = test_fire, .loop = loop, .name = (char)('a' + i)};
		loop_timer_set(loop, &t[i].timer, loop_test_now + 100 - (uint64_t)i * 10);
	}
	loop_timer_set(loop, &t[1].timer, 0);
	loop_timer_set(loop, &t[3].timer, loop_test_now + 200);
	loop_test_now += 79;
	loop_turn(loop);
	cr_assert_str_eq(fired_names, "");
	loop_test_now += 21;
	loop_turn(loop);
	cr_assert_str_eq(fired_names, "ca");
	loop_test_now += 100;
	loop_turn(loop);
	cr_assert_str_eq(fired_names, "cad");
	loop_free(loop);
}

Test(loop, a_timer_that_arms_itself_for_the_past_fires_once_a_turn)
{
	struct loop *loop = loop_test_new();
	struct test_timer t = {.timer.fire = test_fire, .loop = loop, .name = 'x', .again_ms = 1};
	loop_timer_set(loop, &t.timer, 1);
	loop_turn(loop);
	unsigned fired = t.fired;
	cr_assert(fired >= 1 && fired <= 2);
	loop_turn(loop);
	cr_assert(t.fired > fired && t.fired <= fired + 2);
	loop_timer_set(loop, &t.timer, 0);
	loop_free(loop);
}

struct stop_timer {
	struct loop_timer timer;
	struct loop *loop;
};

static void stop_fire(struct loop_timer *timer, uint64_t now_ms)
{
	struct stop_timer *t = GH_CONTAINER(timer, struct stop_timer, timer);
	cr_assert(now_ms >= 3);
	loop_stop(t->loop);
}

Test(loop, the_loop_wakes_up_for_a_deadline_by_itself)
{
	struct stop_timer t = {.timer.fire = stop_fire, .loop = loop_new()};
	uint64_t start = loop_now_ms(t.loop);
	loop_timer_set(t.loop, &t.timer, start + 3);
	loop_run(t.loop);
	cr_assert(loop_now_ms(t.loop) >= start + 3);
	loop_free(t.loop);
}

/* ---- jobs ---- */

struct test_job {
	struct loop_job job;
	struct loop *loop;
	struct turn_state *turn;
	unsigned runs;
	bool again;
	struct test_job *cancels;
};

static void test_job_run(struct loop_job *job, uint64_t now_ms)
{
	struct test_job *j = GH_CONTAINER(job, struct test_job, job);
	(void)now_ms;
	cr_assert_eq(j->turn->begins, j->turn->ends + 1, "before the end of the turn");
	j->runs++;
	if (j->cancels)
		loop_defer_cancel(j->loop, &j->cancels->job);
	if (j->again)
		loop_defer(j->loop, job);
}

Test(loop, a_job_asked_for_often_runs_once_and_a_cancelled_one_never)
{
	struct turn_state turn = {0};
	struct loop *loop = loop_test_new();
	loop_set_turn(loop, &turn_ops, &turn);
	struct test_job c = {.job.run = test_job_run, .loop = loop, .turn = &turn};
	struct test_job b = {.job.run = test_job_run, .loop = loop, .turn = &turn};
	struct test_job a = {.job.run = test_job_run, .loop = loop, .turn = &turn, .cancels = &b};
	for (int i = 0; i < 3; i++) {
		loop_defer(loop, &a.job);
		loop_defer(loop, &b.job);
		loop_defer(loop, &c.job);
	}
	loop_turn(loop);
	cr_assert(a.runs == 1 && b.runs == 0 && c.runs == 1);
	loop_defer(loop, &c.job);
	loop_defer_cancel(loop, &c.job);
	loop_turn(loop);
	cr_assert_eq(c.runs, 1);
	loop_free(loop);
}

static void fd_ready_count(void *context, int events, uint64_t now_ms)
{
	(void)now_ms;
	cr_assert(events & LOOP_READ);
	++*(unsigned *)context;
}

Test(loop, a_job_that_always_asks_again_does_not_starve_descriptors)
{
	struct turn_state turn = {0};
	struct loop *loop = loop_test_new();
	struct test_job j = {.job.run = test_job_run, .loop = loop, .turn = &turn, .again = true};
	loop_set_turn(loop, &turn_ops, &turn);
	int ends[2];
	unsigned ready = 0;
	cr_assert_eq(pipe(ends), 0);
	struct loop_fd *watch = loop_watch(loop, ends[0], LOOP_READ, fd_ready_count, &ready);
	cr_assert_eq(write(ends[1], "x", 1), 1);
	loop_defer(loop, &j.job);
	loop_turn(loop);
	cr_assert_eq(ready, 1);
	cr_assert(j.runs > 1 && j.runs < 100);
	loop_defer_cancel(loop, &j.job);
	loop_unwatch(watch);
	close(ends[0]);
	close(ends[1]);
	loop_free(loop);
}

/* ---- descriptors ---- */

Test(loop, a_watch_reports_what_it_is_set_to_until_it_is_taken_away)
{
	struct loop *loop = loop_test_new();
	int ends[2];
	unsigned ready = 0;
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(write(ends[1], "x", 1), 1);
	struct loop_fd *watch = loop_watch(loop, ends[0], 0, fd_ready_count, &ready);
	loop_turn(loop);
	cr_assert_eq(ready, 0);
	loop_watch_set(watch, LOOP_READ);
	loop_turn(loop);
	loop_turn(loop);
	cr_assert_eq(ready, 2, "as long as there is something to read");
	loop_watch_set(watch, 0);
	loop_turn(loop);
	cr_assert_eq(ready, 2);
	loop_watch_set(watch, LOOP_READ);
	loop_unwatch(watch);
	loop_turn(loop);
	cr_assert_eq(ready, 2);
	close(ends[0]);
	close(ends[1]);
	loop_free(loop);
}

Test(loop, random_bytes_differ)
{
	struct loop *loop = loop_test_new();
	uint8_t a[32], b[32];
	loop_host(loop)->ops->random(loop_host(loop), a, sizeof a);
	loop_host(loop)->ops->random(loop_host(loop), b, sizeof b);
	cr_assert(memcmp(a, b, sizeof a) != 0);
	loop_free(loop);
}
