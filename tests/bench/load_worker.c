#include "tests/bench/load_worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	LOAD_EVENTS = 256,
	LOAD_RETRY_US = 50 * 1000,
	LOAD_PATIENCE_US = 30 * 1000 * 1000, /* nothing heard for so long ends the run */
};

uint64_t load_now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void worker_fail(const char *text)
{
	fprintf(stderr, "load_mqtt: %s\n", text);
	exit(1);
}

static uint64_t worker_share(uint64_t total, const struct load_options *o, unsigned index)
{
	return total * (index + 1) / o->threads - total * index / o->threads;
}

/* Each connection ends and the next one begins, `parallel` at a time. */
static bool worker_one_after_another(const struct load_worker *w)
{
	return w->options->mode == LOAD_HANDSHAKES || w->options->mode == LOAD_CHURN;
}

bool load_worker_init(struct load_worker *w, const struct load_options *options, unsigned index, atomic_bool *stop)
{
	*w = (struct load_worker){.options = options, .stop = stop, .index = index};
	unsigned all = worker_one_after_another(w) ? options->parallel : options->connections;
	unsigned first = (unsigned)((uint64_t)all * index / options->threads);
	w->conn_count = (unsigned)worker_share(all, options, index);
	w->unopened = w->conn_count;
	w->conns = calloc(w->conn_count ? w->conn_count : 1, sizeof *w->conns);
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!w->conns || w->epoll < 0)
		return false;
	for (unsigned i = 0; i < w->conn_count; i++)
		if (!load_conn_init(&w->conns[i], options, options->first + first + i))
			return false;
	w->interval_us = options->rate > 0 ? 1e6 * options->threads / options->rate : 0;
	return true;
}

void load_worker_done(struct load_worker *w)
{
	for (unsigned i = 0; i < w->conn_count; i++)
		load_conn_done(&w->conns[i]);
	free(w->conns);
	buf_done(&w->log);
	close(w->epoll);
}

/* ---- one connection's events ---- */

static void worker_watch(struct load_worker *w, struct load_conn *c, int operation)
{
	if (c->fd < 0 || (operation == EPOLL_CTL_MOD && c->want_write == c->watched_write))
		return;
	struct epoll_event event = {.events = EPOLLIN | (c->want_write ? EPOLLOUT : 0), .data.ptr = c};
	if (epoll_ctl(w->epoll, operation, c->fd, &event) != 0)
		worker_fail(strerror(errno));
	c->watched_write = c->want_write;
}

static void worker_lost(struct load_worker *w, struct load_conn *c, bool was_up)
{
	if (w->options->mode != LOAD_RELIABLE)
		worker_fail(c->fault);
	if (was_up)
		w->connected--;
}

static void worker_begin(struct load_worker *w, struct load_conn *c, uint64_t now_us)
{
	if (load_conn_open(c, now_us) == LOAD_LOST)
		worker_lost(w, c, false);
	else
		worker_watch(w, c, EPOLL_CTL_ADD);
}

static bool worker_sending(const struct load_worker *w, uint64_t now_us)
{
	return w->running && w->budget && now_us < w->deadline_us &&
	       !atomic_load_explicit(w->stop, memory_order_relaxed);
}

static void worker_flush(struct load_worker *w, struct load_conn *c)
{
	if (load_conn_flush(c) == LOAD_LOST)
		worker_lost(w, c, true);
	worker_watch(w, c, EPOLL_CTL_MOD);
}

static void worker_fill(struct load_worker *w, struct load_conn *c, uint64_t now_us)
{
	if (!worker_sending(w, now_us) || w->interval_us > 0)
		return;
	while (w->budget && load_conn_has_room(c)) {
		load_conn_publish(c, now_us);
		w->budget--;
		w->sent++;
	}
	worker_flush(w, c);
}

static void worker_next(struct load_worker *w, struct load_conn *c, uint64_t now_us)
{
	w->last_us = now_us;
	if (w->budget) {
		w->budget--;
		worker_begin(w, c, now_us);
	}
}

static void worker_left(struct load_worker *w, struct load_conn *c, uint64_t now_us)
{
	w->connected--;
	w->handshakes++;
	worker_next(w, c, now_us);
}

static void worker_vanished(struct load_worker *w, struct load_conn *c, uint64_t now_us)
{
	w->vanished++;
	worker_next(w, c, now_us);
}

static void worker_connected(struct load_worker *w, struct load_conn *c, uint64_t now_us)
{
	load_stats_add(&w->connects, now_us - c->started_us);
	if (w->options->mode == LOAD_CHURN) {
		if (load_conn_vanish(c) == LOAD_LOST)
			worker_lost(w, c, false);
		worker_vanished(w, c, now_us);
		return;
	}
	w->connected++;
	if (w->options->mode == LOAD_HANDSHAKES) {
		w->last_us = now_us;
		if (load_conn_leave(c) == LOAD_LOST)
			worker_lost(w, c, true);
	} else if (c->next_seq > c->acked_seq) {
		w->reconnects++;
		load_conn_republish(c, now_us);
		worker_flush(w, c);
	}
}

/* Counts and logs what was acknowledged, also when the connection was lost just after. */
static void worker_settle(struct load_worker *w, const struct load_conn *c, uint64_t from, uint64_t now_us)
{
	char line[48];
	for (uint64_t seq = from; seq < c->acked_seq; seq++) {
		uint64_t sent_us = c->sent_us[seq % w->options->window];
		load_stats_add(&w->acks, now_us > sent_us ? now_us - sent_us : 0);
		if (w->options->ack_log >= 0) {
			int len = snprintf(line, sizeof line, "%u %llu\n", c->n, (unsigned long long)seq);
			buf_append(&w->log, line, (size_t)len);
		}
	}
	if (from < c->acked_seq) {
		w->acked += c->acked_seq - from;
		w->last_us = now_us;
	}
}

static void worker_event(struct load_worker *w, struct load_conn *c)
{
	uint64_t from;
	bool was_up = c->state == CONN_READY || c->state == CONN_LEAVING;
	enum load_event event = load_conn_ready(c, &from);
	uint64_t now_us = load_now_us();
	worker_settle(w, c, from, now_us);
	if (event == LOAD_CONNECTED)
		worker_connected(w, c, now_us);
	else if (event == LOAD_LEFT)
		worker_left(w, c, now_us);
	else if (event == LOAD_VANISHED)
		worker_vanished(w, c, now_us);
	else if (event == LOAD_LOST)
		worker_lost(w, c, was_up);
	if (c->state == CONN_READY && event != LOAD_NOTHING)
		worker_fill(w, c, now_us);
	worker_watch(w, c, EPOLL_CTL_MOD);
}

/* ---- the loop ---- */

/* One write per turn; what is in the file was acknowledged, and all of it is there before the next read. */
static void worker_write_log(struct load_worker *w)
{
	if (w->log.len && write(w->options->ack_log, w->log.data, w->log.len) != (ssize_t)w->log.len)
		worker_fail("the list of acknowledgements cannot be written");
	buf_clear(&w->log);
}

static void worker_turn(struct load_worker *w, uint64_t timeout_us)
{
	struct epoll_event events[LOAD_EVENTS];
	struct timespec timeout = {(time_t)(timeout_us / 1000000), (long)(timeout_us % 1000000) * 1000};
	int n = epoll_pwait2(w->epoll, events, LOAD_EVENTS, &timeout, NULL);
	for (int i = 0; i < n; i++) {
		struct load_conn *c = events[i].data.ptr;
		if (c->fd >= 0)
			worker_event(w, c);
	}
	worker_write_log(w);
}

void load_worker_open(struct load_worker *w)
{
	unsigned parallel = w->options->parallel / w->options->threads;
	uint64_t deadline_us = load_now_us() + 4 * (uint64_t)LOAD_PATIENCE_US;
	if (worker_one_after_another(w) || w->options->mode == LOAD_RELIABLE)
		return;
	while (w->connected < w->conn_count) {
		unsigned opening = w->conn_count - w->unopened - w->connected;
		for (; w->unopened && opening < (parallel ? parallel : 1); opening++)
			worker_begin(w, &w->conns[w->conn_count - w->unopened--], load_now_us());
		worker_turn(w, 1000000);
		if (load_now_us() > deadline_us)
			worker_fail("not every connection could be opened in time");
	}
}

/* Sends what is due, each message alone on the next connection that has room. */
static void worker_pace(struct load_worker *w, uint64_t now_us)
{
	if (w->options->mode == LOAD_RELIABLE && w->due_us + LOAD_RETRY_US < (double)now_us)
		w->due_us = (double)now_us; /* what an outage put off is not made up for */
	while (w->due_us <= (double)now_us && worker_sending(w, now_us)) {
		unsigned tried = 0;
		while (tried < w->conn_count && !load_conn_has_room(&w->conns[w->next_paced])) {
			w->next_paced = (w->next_paced + 1) % w->conn_count;
			tried++;
		}
		if (tried == w->conn_count)
			return;
		struct load_conn *c = &w->conns[w->next_paced];
		w->next_paced = (w->next_paced + 1) % w->conn_count;
		load_conn_publish(c, (uint64_t)w->due_us); /* lateness of ours counts as waiting of the message */
		w->budget--;
		w->sent++;
		w->due_us += w->interval_us;
		worker_flush(w, c);
	}
}

static void worker_reopen(struct load_worker *w, uint64_t now_us)
{
	if (now_us < w->retry_us)
		return;
	w->retry_us = now_us + LOAD_RETRY_US;
	for (unsigned i = 0; i < w->conn_count; i++)
		if (w->conns[i].state == CONN_CLOSED)
			worker_begin(w, &w->conns[i], now_us);
}

static uint64_t worker_timeout_us(const struct load_worker *w, uint64_t now_us)
{
	uint64_t timeout_us = LOAD_RETRY_US;
	if (w->interval_us > 0 && worker_sending(w, now_us))
		timeout_us = w->due_us > (double)now_us ? (uint64_t)(w->due_us - (double)now_us) : 0;
	return timeout_us < LOAD_RETRY_US ? timeout_us : LOAD_RETRY_US;
}

static bool worker_finished(const struct load_worker *w, uint64_t now_us)
{
	if (w->options->mode == LOAD_IDLE)
		return true;
	if (worker_one_after_another(w))
		return w->handshakes + w->vanished == worker_share(w->options->handshakes, w->options, w->index);
	return !worker_sending(w, now_us) && w->sent == w->acked;
}

static void worker_start(struct load_worker *w)
{
	const struct load_options *o = w->options;
	w->start_us = w->last_us = load_now_us();
	w->deadline_us = o->seconds > 0 ? w->start_us + (uint64_t)(o->seconds * 1e6) : UINT64_MAX;
	w->due_us = (double)w->start_us + w->interval_us * w->index / o->threads;
	w->running = true;
	w->budget = UINT64_MAX;
	if (worker_one_after_another(w)) {
		w->budget = worker_share(o->handshakes, o, w->index);
		for (unsigned i = 0; i < w->conn_count && w->budget; i++, w->budget--)
			worker_begin(w, &w->conns[i], w->start_us);
		return;
	}
	if (o->mode == LOAD_IDLE)
		return;
	if (o->messages)
		w->budget = worker_share(o->messages, o, w->index);
	for (unsigned i = 0; i < w->conn_count; i++)
		if (w->conns[i].state == CONN_READY)
			worker_fill(w, &w->conns[i], w->start_us);
}

void load_worker_run(struct load_worker *w)
{
	worker_start(w);
	for (;;) {
		uint64_t now_us = load_now_us();
		if (worker_finished(w, now_us))
			break;
		bool reliable = w->options->mode == LOAD_RELIABLE;
		if (reliable)
			worker_reopen(w, now_us);
		if (now_us > w->last_us + LOAD_PATIENCE_US && (!reliable || atomic_load(w->stop)))
			worker_fail("the server stopped answering");
		if (w->interval_us > 0)
			worker_pace(w, now_us);
		worker_turn(w, worker_timeout_us(w, load_now_us()));
	}
	w->running = false;
}

unsigned load_worker_alive(const struct load_worker *w)
{
	unsigned alive = 0;
	char byte;
	for (unsigned i = 0; i < w->conn_count; i++) {
		const struct load_conn *c = &w->conns[i];
		if (c->state == CONN_READY && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0)
			alive++;
	}
	return alive;
}

void load_worker_leave(struct load_worker *w)
{
	for (unsigned i = 0; i < w->conn_count; i++)
		if (w->conns[i].state == CONN_READY)
			load_conn_leave(&w->conns[i]);
}
