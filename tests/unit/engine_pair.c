#include "tests/unit/engine_pair.h"

#include <assert.h>

static void pair_wake(gh_wire *wire)
{
	struct engine_pair *p = (struct engine_pair *)wire;
	p->woken = true;
	p->wake_count++;
}

static gh_peer pair_peer(gh_wire *wire)
{
	(void)wire;
	return (gh_peer){.address = "192.0.2.7", .port = 4711, .server_name = "hub.example.net"};
}

static const gh_wire_ops pair_wire_ops = {.wake = pair_wake, .peer = pair_peer};

gh_engine *engine_pair_try(struct engine_pair *p, gh_worker *worker, const gh_transport *transport)
{
	*p = (struct engine_pair){.wire = {&pair_wire_ops}, .worker = worker, .now_ms = 1000, .reading = true};
	p->engine = transport->engine_new(worker, &p->wire, p->now_ms);
	if (p->engine)
		engine_pair_turn(p);
	return p->engine;
}

void engine_pair_init(struct engine_pair *p, gh_worker *worker, const gh_transport *transport)
{
	engine_pair_try(p, worker, transport);
	assert(p->engine);
}

void engine_pair_done(struct engine_pair *p)
{
	if (p->engine)
		p->engine->ops->free(p->engine);
	p->engine = NULL;
	buf_done(&p->held);
	buf_done(&p->got);
}

static void pair_offer(struct engine_pair *p)
{
	gh_engine *e = p->engine;
	if (p->held.len == 0)
		return;
	size_t taken = e->ops->input(e, p->held.data, p->held.len, p->now_ms);
	assert(taken <= p->held.len);
	buf_drop(&p->held, taken);
}

/* Output and tick, as after every call of an engine. */
static void pair_look(struct engine_pair *p)
{
	gh_engine *e = p->engine;
	gh_bytes out;
	while (p->reading && (out = e->ops->output(e)).len > 0) {
		buf_append(&p->got, out.data, out.len);
		e->ops->output_done(e, out.len);
	}
	p->deadline_ms = e->ops->tick(e, p->now_ms);
	p->finished = e->ops->finished(e);
	assert(p->deadline_ms == 0 || p->deadline_ms > p->now_ms);
}

void engine_pair_run(struct engine_pair *p)
{
	size_t rounds = 0;
	while (p->woken) {
		assert(rounds++ < 100000);
		p->woken = false;
		pair_offer(p);
		pair_look(p);
	}
}

void engine_pair_turn(struct engine_pair *p)
{
	pair_look(p);
	engine_pair_run(p);
}

void engine_pair_send(struct engine_pair *p, gh_bytes bytes)
{
	bool stopped = p->held.len > 0;
	buf_append(&p->held, bytes.data, bytes.len);
	if (!stopped)
		pair_offer(p);
	engine_pair_turn(p);
}

void engine_pair_hang_up(struct engine_pair *p)
{
	p->engine->ops->input_end(p->engine, p->now_ms);
	engine_pair_turn(p);
}

void engine_pair_wait(struct engine_pair *p, uint64_t ms)
{
	uint64_t until = p->now_ms + ms;
	while (p->deadline_ms && p->deadline_ms <= until) {
		p->now_ms = p->deadline_ms;
		engine_pair_turn(p);
	}
	p->now_ms = until;
}
