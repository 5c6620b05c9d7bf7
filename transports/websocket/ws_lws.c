/* ws_lws.c - see ws_lws.h.
 *
 * In: the guard judges, the library unframes, the engine inside takes; what it does not take is held, and until it has
 * taken that nothing more is fed, so that the stream is not read.  Out: what the library has written is given first; when
 * that is all gone, what the engine inside has to say is framed.  So each step waits for the one after it.
 */
#include "transports/websocket/ws_lws.h"

#include <gatehouse/core.h>

#include "src/base/buf.h"
#include "src/base/deadline.h"
#include "src/base/log.h"
#include "src/base/take.h"
#include "src/base/text.h"
#include "transports/websocket/ws_guard.h"

#include <assert.h>

enum { WS_OUT_BYTES = 4096 };

struct ws_engine {
	gh_engine engine;
	gh_wire inner_wire; /* what the engine inside stands on */
	gh_wire *wire;
	gh_worker *worker;
	gh_engine *inner;
	struct web_socket *socket;
	struct ws_guard guard;
	struct buf held; /* payload the engine inside has not taken */
	struct buf out;  /* frames for the wire, from out_at on */
	size_t out_at;
	const char *why;
	uint64_t now_ms;
	uint64_t heard_ms; /* when the peer's last byte came */
	uint64_t pong_at;  /* it must have said something by then; 0 = not pinged; the same below */
	uint64_t close_at; /* the rest of the close must be over by then */
	uint64_t controls; /* frames that were served and whose answers have not left */
	bool woken;        /* the engine inside wants what is held */
	bool crowded;      /* the wire has more control frames than are served now */
	bool inner_ended;  /* it knows that no more comes */
	bool input_over;
	bool draining;
	bool closing; /* our Close frame is on its way, the peer's is awaited */
	bool over;    /* what the library has written is all that follows */
};

static struct ws_engine *ws_of(gh_engine *engine)
{
	return GH_CONTAINER(engine, struct ws_engine, engine);
}

static const gh_limits *ws_limits(const struct ws_engine *e)
{
	return gh_worker_limits(e->worker);
}

/* ---- ends ---- */

static void ws_end_inner(struct ws_engine *e)
{
	if (e->inner_ended)
		return;
	e->inner_ended = true;
	buf_done(&e->held);
	if (!e->inner->ops->finished(e->inner))
		e->inner->ops->input_end(e->inner, e->now_ms);
}

static void ws_over(struct ws_engine *e, const char *why)
{
	if (e->over)
		return;
	e->over = true;
	if (!e->why)
		e->why = why;
	ws_end_inner(e);
	e->wire->ops->wake(e->wire);
}

/* In good order: a Close frame each way. */
static void ws_close(struct ws_engine *e)
{
	e->closing = true;
	buf_done(&e->held); /* else the peer's Close would wait behind what nobody takes */
	e->close_at = e->now_ms + ws_limits(e)->close_ms_max;
	web_socket_close(e->socket, e->draining ? WS_CLOSE_GOING_AWAY : WS_CLOSE_NORMAL);
	if (e->input_over)
		ws_over(e, "peer_closed");
	e->wire->ops->wake(e->wire); /* there is a deadline, and what waited may come */
}

/* The peer broke the rules: it is told so, and no word of it counts any more. */
static void ws_fault(struct ws_engine *e, uint16_t code, const char *why)
{
	log_event(gh_worker_log(e->worker), LOG_INFO, "websocket_fault", "peer=%s reason=%s code=%u",
		e->wire->ops->peer(e->wire).address, why, (unsigned)code);
	if (!e->closing)
		web_socket_close(e->socket, code);
	ws_over(e, why);
}

/* What the library did meanwhile. */
static void ws_look(struct ws_engine *e)
{
	if (!web_socket_is_open(e->socket))
		ws_over(e, "closed");
}

/* ---- in ---- */

/* Returns how much was taken: all of it when nobody listens any more. */
static size_t ws_offer(struct ws_engine *e, gh_bytes payload)
{
	gh_engine *inner = e->inner;
	if (e->inner_ended || inner->ops->finished(inner))
		return payload.len;
	size_t taken = inner->ops->input(inner, payload.data, payload.len, e->now_ms);
	assert(taken <= payload.len);
	return taken;
}

static void ws_received(void *context, gh_bytes payload)
{
	struct ws_engine *e = context;
	size_t taken = e->held.len > 0 ? 0 : ws_offer(e, payload);
	buf_append(&e->held, payload.data + taken, payload.len - taken);
}

static void ws_offer_held(struct ws_engine *e)
{
	bool asked = e->woken;
	e->woken = false;
	if (!asked || e->held.len == 0)
		return;
	buf_drop(&e->held, ws_offer(e, buf_bytes(&e->held)));
	if (e->held.len > 0)
		return;
	buf_done(&e->held);
	if (e->input_over)
		ws_end_inner(e);
}

/* Takes a piece from the front. */
static size_t ws_take(struct ws_engine *e, gh_bytes bytes)
{
	size_t taken;
	gh_bytes pass;
	uint16_t code;
	gh_error err = {0};
	if (bytes.len > WEB_FEED_BYTES_MAX)
		bytes.len = WEB_FEED_BYTES_MAX;
	gh_status status =
		ws_guard_next(&e->guard, bytes, ws_limits(e)->websocket_message_bytes_max, &taken, &pass, &code, &err);
	web_socket_feed(e->socket, pass);
	if (status == GH_OK) {
		web_socket_settle(e->socket);
		e->controls++;
	} else if (status != GH_AGAIN) {
		ws_fault(e, code, err.code);
	}
	if (e->held.failed)
		ws_fault(e, WS_CLOSE_INTERNAL, "no_memory");
	ws_look(e);
	return taken;
}

static size_t ws_input(gh_engine *engine, const uint8_t *data, size_t len, uint64_t now_ms)
{
	struct ws_engine *e = ws_of(engine);
	size_t taken = 0;
	e->now_ms = e->heard_ms = now_ms;
	e->pong_at = 0;
	ws_offer_held(e);
	while (taken < len && e->held.len == 0 && !e->over && e->controls < ws_limits(e)->websocket_controls_max)
		taken += ws_take(e, (gh_bytes){data + taken, len - taken});
	if (e->over)
		return len;
	e->crowded = taken < len && e->held.len == 0;
	return taken;
}

static void ws_input_end(gh_engine *engine, uint64_t now_ms)
{
	struct ws_engine *e = ws_of(engine);
	e->now_ms = now_ms;
	e->input_over = true;
	if (e->closing)
		ws_over(e, "closed");
	else if (e->held.len == 0) /* the end comes after it */
		ws_end_inner(e);
}

/* ---- out ---- */

/* Frames more of what the engine inside has to say, or the end of it.  False: there is nothing to say. */
static bool ws_say(struct ws_engine *e)
{
	gh_engine *inner = e->inner;
	if (e->over || e->closing)
		return false;
	gh_bytes payload = inner->ops->output(inner);
	if (payload.len == 0 && inner->ops->finished(inner)) {
		ws_close(e);
		return true;
	}
	size_t sent = payload.len ? web_socket_send(e->socket, payload) : 0;
	if (sent > 0)
		inner->ops->output_done(inner, sent);
	ws_look(e);
	return sent > 0;
}

/* All that the library has written has left. */
static void ws_answered(struct ws_engine *e)
{
	e->controls = 0;
	if (e->crowded)
		e->wire->ops->wake(e->wire);
	e->crowded = false;
}

static gh_bytes ws_output(gh_engine *engine)
{
	struct ws_engine *e = ws_of(engine);
	while (e->out.len == 0 && buf_reserve(&e->out, WS_OUT_BYTES)) {
		e->out.len = web_socket_take(e->socket, e->out.data, WS_OUT_BYTES);
		if (e->out.len > 0)
			break;
		ws_answered(e);
		if (!ws_say(e)) {
			buf_done(&e->out);
			break;
		}
	}
	if (e->out.failed)
		ws_over(e, "no_memory");
	if (e->out.len == 0)
		return (gh_bytes){NULL, 0};
	return (gh_bytes){e->out.data + e->out_at, e->out.len - e->out_at};
}

static void ws_output_done(gh_engine *engine, size_t len)
{
	struct ws_engine *e = ws_of(engine);
	assert(len <= e->out.len - e->out_at);
	e->out_at += len;
	if (e->out_at == e->out.len)
		e->out.len = e->out_at = 0;
}

/* ---- time ---- */

/* Who has been silent for long is sent a ping; returns when to look again. */
static uint64_t ws_watch_silence(struct ws_engine *e)
{
	uint64_t silence = ws_limits(e)->websocket_silence_ms_max;
	if (e->held.len > 0) { /* it is we who do not listen */
		e->heard_ms = e->now_ms;
		e->pong_at = 0;
	}
	if (e->pong_at != 0 && e->now_ms >= e->pong_at) {
		e->why = "no_pong";
		ws_fault(e, WS_CLOSE_GOING_AWAY, "no_pong");
		return 0;
	}
	if (e->pong_at == 0 && e->now_ms >= e->heard_ms + silence) {
		e->pong_at = e->now_ms + ws_limits(e)->websocket_pong_ms_max;
		web_socket_ping(e->socket);
		e->wire->ops->wake(e->wire);
	}
	return e->pong_at ? e->pong_at : e->heard_ms + silence;
}

static uint64_t ws_tick(gh_engine *engine, uint64_t now_ms)
{
	struct ws_engine *e = ws_of(engine);
	e->now_ms = now_ms;
	ws_look(e);
	if (e->closing && now_ms >= e->close_at)
		ws_over(e, "close_late");
	if (e->over)
		return 0;
	ws_offer_held(e);
	uint64_t due = e->inner->ops->tick(e->inner, now_ms);
	if (e->closing)
		return e->close_at;
	return deadline_sooner(due, ws_watch_silence(e));
}

/* ---- the rest of an engine ---- */

static bool ws_finished(const gh_engine *engine)
{
	return ((const struct ws_engine *)engine)->over;
}

static void ws_drain(gh_engine *engine, uint64_t now_ms)
{
	struct ws_engine *e = ws_of(engine);
	e->now_ms = now_ms;
	e->draining = true;
	e->inner->ops->drain(e->inner, now_ms);
}

static void ws_free(gh_engine *engine)
{
	if (!engine)
		return;
	struct ws_engine *e = ws_of(engine);
	if (e->inner) {
		if (e->input_over)
			ws_end_inner(e);
		e->inner->ops->free(e->inner);
	}
	web_socket_free(e->socket);
	buf_done(&e->held);
	buf_done(&e->out);
	free(e);
}

static const gh_engine_ops ws_engine_ops = {
	.input = ws_input,
	.input_end = ws_input_end,
	.output = ws_output,
	.output_done = ws_output_done,
	.tick = ws_tick,
	.finished = ws_finished,
	.drain = ws_drain,
	.free = ws_free,
};

const char *ws_why(const gh_engine *engine)
{
	return ((const struct ws_engine *)engine)->why;
}

/* ---- what the engine inside, and the library, tell ---- */

static void ws_inner_wake(gh_wire *wire)
{
	struct ws_engine *e = GH_CONTAINER(wire, struct ws_engine, inner_wire);
	e->woken = true;
	e->wire->ops->wake(e->wire);
}

static gh_peer ws_inner_peer(gh_wire *wire)
{
	struct ws_engine *e = GH_CONTAINER(wire, struct ws_engine, inner_wire);
	return e->wire->ops->peer(e->wire);
}

static const gh_wire_ops ws_inner_wire_ops = {.wake = ws_inner_wake, .peer = ws_inner_peer};

static void ws_stirred(void *context)
{
	struct ws_engine *e = context;
	e->wire->ops->wake(e->wire);
}

static const struct web_socket_ops ws_socket_ops = {.received = ws_received, .stirred = ws_stirred};

/* ---- making one ---- */

static const gh_transport *ws_transport(const struct web_rules *rules, gh_bytes subprotocol)
{
	for (size_t i = 0; rules->transports[i]; i++)
		for (const char *const *name = rules->transports[i]->subprotocols; name && *name; name++)
			if (text_equal_nocase(subprotocol, text_of(*name)))
				return rules->transports[i];
	return NULL;
}

/* Without the port that goes without saying. */
static gh_bytes ws_plain_host(gh_bytes host)
{
	static const char port[] = ":443";
	size_t len = sizeof port - 1;
	bool has_it = host.len > len && memcmp(host.data + host.len - len, port, len) == 0;
	return (gh_bytes){host.data, has_it ? host.len - len : host.len};
}

/* "https://HOST": device libraries send it, and so would a page of the gateway's own. */
static bool ws_origin_is_own(gh_bytes origin, gh_bytes host)
{
	static const char scheme[] = "https://";
	size_t len = sizeof scheme - 1;
	return text_starts_nocase(origin, scheme) &&
	       text_equal_nocase(ws_plain_host((gh_bytes){origin.data + len, origin.len - len}), ws_plain_host(host));
}

/* Pages that a browser runs have an origin; what has none is no page. */
static bool ws_origin_is_allowed(const struct web_rules *rules, const gh_upgrade *upgrade)
{
	gh_bytes origin = upgrade->origin;
	if (!rules->origins || origin.len == 0 || ws_origin_is_own(origin, upgrade->host))
		return true;
	for (size_t i = 0; rules->origins[i]; i++)
		if (text_equal_nocase(origin, text_of(rules->origins[i])))
			return true;
	return false;
}

gh_status ws_engine_new(const struct web_rules *rules, struct web *web, gh_worker *worker, gh_wire *wire,
	const gh_upgrade *upgrade, uint64_t now_ms, gh_engine **ret_engine)
{
	gh_error err = {0};
	const gh_transport *transport = ws_transport(rules, upgrade->subprotocol);
	if (!transport)
		return GH_NOT_FOUND;
	if (!ws_origin_is_allowed(rules, upgrade))
		return GH_UNAUTHORIZED;
	struct ws_engine *e = calloc(1, sizeof *e);
	if (!e)
		return GH_NO_MEMORY;
	*e = (struct ws_engine){
		.engine.ops = &ws_engine_ops,
		.inner_wire.ops = &ws_inner_wire_ops,
		.wire = wire,
		.worker = worker,
		.now_ms = now_ms,
		.heard_ms = now_ms,
	};
	ws_guard_init(&e->guard);
	gh_status status = web_socket_new(web, upgrade, &ws_socket_ops, e, &e->socket, &err);
	if (status == GH_OK && !(e->inner = transport->engine_new(worker, &e->inner_wire, now_ms)))
		status = GH_NO_MEMORY;
	if (status != GH_OK) {
		ws_free(&e->engine);
		return status;
	}
	*ret_engine = &e->engine;
	return GH_OK;
}
