#include "tests/unit/engine_pair.h"

#include "src/base/text.h"

#include <assert.h>
#include <stdio.h>

static void pair_wake(gh_wire *wire)
{
	struct engine_pair *p = (struct engine_pair *)wire;
	p->woken = true;
	p->wake_count++;
}

static gh_peer pair_peer(gh_wire *wire)
{
	static const uint8_t certificate[] = {0x30, 0x00};
	bool shown = ((struct engine_pair *)wire)->certificate;
	return (gh_peer){.address = "192.0.2.7",
		.port = 4711,
		.server_name = "hub.example.net",
		.certificate = shown ? certificate : NULL,
		.certificate_len = shown ? sizeof certificate : 0};
}

static void pair_text(char *room, size_t size, gh_bytes text)
{
	snprintf(room, size, "%.*s", (int)text.len, text.len ? (const char *)text.data : "");
}

static gh_status pair_upgrade(gh_wire *wire, const gh_upgrade *upgrade, uint64_t now_ms)
{
	struct engine_pair *p = (struct engine_pair *)wire;
	size_t len = strlen(p->upgrade_asked);
	assert(p->offering && !p->upgraded && now_ms == p->now_ms && upgrade->subprotocol.len > 0);
	p->upgrade_count++;
	if (len > 0 && len < sizeof p->upgrade_asked - 1)
		p->upgrade_asked[len++] = ' ';
	pair_text(p->upgrade_asked + len, sizeof p->upgrade_asked - len, upgrade->subprotocol);
	pair_text(p->upgrade_key, sizeof p->upgrade_key, upgrade->key);
	pair_text(p->upgrade_origin, sizeof p->upgrade_origin, upgrade->origin);
	if (!p->subprotocol || !text_equal_nocase(upgrade->subprotocol, text_of(p->subprotocol)))
		return GH_NOT_FOUND;
	p->upgraded = p->upgrade_status == GH_OK;
	return p->upgrade_status;
}

static const gh_wire_ops pair_wire_ops = {.wake = pair_wake, .peer = pair_peer, .upgrade = pair_upgrade};

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
	if (p->held.len == 0 || p->upgraded)
		return;
	p->offering = true;
	size_t taken = e->ops->input(e, p->held.data, p->held.len, p->now_ms);
	p->offering = false;
	assert(taken <= p->held.len && (!p->upgraded || e->ops->finished(e)));
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
