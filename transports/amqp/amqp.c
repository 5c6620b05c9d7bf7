/* amqp.c - see amqp.h and amqp_conn.h.
 *
 * Each frame is judged, given to Proton alone, and what Proton makes of it is handled before the next: so what a frame said is
 * still known when its delivery comes up.
 */
#include "transports/amqp/amqp.h"

#include "src/base/deadline.h"
#include "src/base/log.h"
#include "src/base/take.h"
#include "src/base/text.h"
#include "transports/amqp/amqp_cbs.h"
#include "transports/amqp/amqp_conn.h"
#include "transports/amqp/amqp_error.h"
#include "transports/amqp/amqp_events.h"
#include "transports/amqp/amqp_sasl.h"

#include <assert.h>
#include <stdlib.h>

static struct amqp_conn *amqp_of(gh_engine *engine)
{
	return GH_CONTAINER(engine, struct amqp_conn, engine);
}

/* ---- ends ---- */

static void amqp_end(struct amqp_conn *c, const char *why)
{
	if (c->why)
		return;
	c->why = why;
	log_event(gh_worker_log(c->worker), LOG_INFO, "closed", "transport=amqp peer=%s client=%s reason=%s",
		c->wire->ops->peer(c->wire).address,
		LOG_TEXT(text_of(pn_connection_remote_container(c->driver.connection))), why);
	amqp_wake(c);
}

/* The peer broke the rules: it is told once, and no word of it counts any more. */
static void amqp_fault(struct amqp_conn *c, const gh_error *err)
{
	pn_connection_driver_errorf(&c->driver, amqp_error_name(err->status, err->code), "%s", err->text);
	pn_connection_driver_read_close(&c->driver);
	amqp_end(c, err->code);
}

/* Another protocol is told which one is spoken here, and nothing more (AMQP 2.2). */
static void amqp_refuse(struct amqp_conn *c)
{
	static const uint8_t header[] = {'A', 'M', 'Q', 'P', 3, 1, 0, 0};
	c->refusal = (gh_bytes){header, sizeof header};
	pn_connection_driver_close(&c->driver);
	amqp_end(c, "amqp_header");
}

/* ---- what Proton tells ---- */

/* An empty frame every half millisecond is asked of us, if a peer likes: Proton would send them. */
static gh_status amqp_judge_open(const struct amqp_conn *c, gh_error *ret_err)
{
	pn_millis_t idle_ms = pn_transport_get_remote_idle_timeout(c->driver.transport);
	if (!gh_worker_knows_host(c->worker, text_of(pn_connection_remote_hostname(c->driver.connection))))
		return gh_fail(ret_err, GH_NOT_FOUND, "host_unknown", "the host name is none of this hub's");
	if (idle_ms > 0 && idle_ms < amqp_limits(c)->amqp_peer_idle_ms_min)
		return gh_fail(ret_err, GH_INVALID, "amqp_idle", "the idle-time-out is below amqp_peer_idle_ms_min");
	return GH_OK;
}

static void on_connection_open(struct amqp_conn *c, pn_event_t *event)
{
	gh_error err;
	(void)event;
	pn_connection_set_container(c->driver.connection, "gatehouse");
	if (amqp_judge_open(c, &err) == GH_OK)
		pn_connection_open(c->driver.connection);
	else
		amqp_fault(c, &err);
}

static void on_connection_close(struct amqp_conn *c, pn_event_t *event)
{
	(void)event;
	pn_connection_close(c->driver.connection);
	amqp_end(c, "close_asked");
}

static void on_session_open(struct amqp_conn *c, pn_event_t *event)
{
	pn_session_t *session = pn_event_session(event);
	pn_session_set_incoming_capacity(session, amqp_limits(c)->amqp_session_bytes_max);
	pn_session_open(session);
}

/* Its links end with it. */
static void on_session_close(struct amqp_conn *c, pn_event_t *event)
{
	pn_session_t *session = pn_event_session(event);
	for (struct amqp_node *node = c->nodes, *next; node; node = next) {
		next = node->next;
		if (pn_link_session(node->link) == session)
			amqp_node_free(node);
	}
	pn_session_close(session);
	pn_session_free(session);
}

static void on_link_open(struct amqp_conn *c, pn_event_t *event)
{
	struct amqp_node *node = amqp_node_attach(c, pn_event_link(event));
	if (node && node->kind == AMQP_NODE_EVENTS)
		amqp_events_open(node);
	else if (node)
		amqp_cbs_open(node);
}

static void on_link_close(struct amqp_conn *c, pn_event_t *event)
{
	(void)c;
	pn_link_t *link = pn_event_link(event);
	struct amqp_node *node = pn_link_get_context(link);
	if (node)
		amqp_node_free(node);
	pn_link_close(link);
	pn_link_free(link);
}

static void on_delivery(struct amqp_conn *c, pn_event_t *event)
{
	pn_delivery_t *delivery = pn_event_delivery(event);
	pn_link_t *link = pn_delivery_link(delivery);
	(void)c;
	if (!link)
		return; /* it was settled since, and is no longer anybody's */
	struct amqp_node *node = pn_link_get_context(link);
	if (!node) { /* the link was closed, and its peer has not heard */
		amqp_node_discard(link);
		return;
	}
	if (pn_link_is_receiver(link) && pn_link_remote_credit(link) < 0) {
		amqp_node_close(node, GH_QUOTA, "amqp_credit", "There are more transfers than there was credit for.");
		return;
	}
	if (node->kind == AMQP_NODE_EVENTS)
		amqp_events_delivery(node, delivery);
	else
		amqp_cbs_delivery(node, delivery);
}

static void on_flow(struct amqp_conn *c, pn_event_t *event)
{
	(void)event;
	amqp_cbs_flow(c);
}

static void on_transport_error(struct amqp_conn *c, pn_event_t *event)
{
	(void)event;
	amqp_end(c, c->input_over ? "peer_closed" : "protocol_error");
}

static const struct {
	pn_event_type_t type;
	void (*handle)(struct amqp_conn *c, pn_event_t *event);
} amqp_handlers[] = {
	{PN_DELIVERY, on_delivery},
	{PN_LINK_FLOW, on_flow},
	{PN_CONNECTION_REMOTE_OPEN, on_connection_open},
	{PN_CONNECTION_REMOTE_CLOSE, on_connection_close},
	{PN_SESSION_REMOTE_OPEN, on_session_open},
	{PN_SESSION_REMOTE_CLOSE, on_session_close},
	{PN_LINK_REMOTE_OPEN, on_link_open},
	{PN_LINK_REMOTE_CLOSE, on_link_close},
	{PN_LINK_REMOTE_DETACH, on_link_close},
	{PN_TRANSPORT_ERROR, on_transport_error},
};

static void amqp_handle(struct amqp_conn *c)
{
	pn_event_t *event;
	while ((event = pn_connection_driver_next_event(&c->driver)))
		for (size_t i = 0; i < sizeof amqp_handlers / sizeof *amqp_handlers; i++)
			if (amqp_handlers[i].type == pn_event_type(event)) {
				amqp_handlers[i].handle(c, event);
				break;
			}
}

/* ---- in ---- */

static void amqp_give(struct amqp_conn *c, gh_bytes bytes)
{
	while (bytes.len > 0) {
		pn_rwbytes_t room = pn_connection_driver_read_buffer_sized(&c->driver, bytes.len);
		if (room.size == 0)
			break; /* it wants no more */
		size_t n = bytes.len < room.size ? bytes.len : room.size;
		memcpy(room.start, bytes.data, n);
		pn_connection_driver_read_done(&c->driver, n);
		bytes = (gh_bytes){bytes.data + n, bytes.len - n};
	}
	amqp_handle(c);
}

/* Proton's buffer grows to the peer's frame size and no further: what does not fit waits in other places, uncounted. */
static size_t amqp_output_max(const struct amqp_conn *c)
{
	enum { OUTPUT_BYTES_FIRST = 8192 };
	uint64_t max = amqp_limits(c)->amqp_output_bytes_max;
	uint32_t frame = pn_transport_get_remote_max_frame(c->driver.transport);
	if (frame > 0 && frame < max)
		max = frame > OUTPUT_BYTES_FIRST ? frame : OUTPUT_BYTES_FIRST;
	return max;
}

static bool amqp_may_read(struct amqp_conn *c)
{
	return !c->blocked && pn_connection_driver_write_buffer(&c->driver).size < amqp_output_max(c);
}

static void amqp_resume(struct amqp_conn *c)
{
	if (!c->room)
		return;
	c->room = false;
	while (c->blocked) {
		struct amqp_node *node = c->blocked;
		if (!amqp_events_resume(node))
			return;
		if (c->blocked == node && !node->blocked)
			c->blocked = node->blocked_next;
	}
}

static size_t amqp_input(gh_engine *engine, const uint8_t *data, size_t len, uint64_t now_ms)
{
	struct amqp_conn *c = amqp_of(engine);
	size_t at = 0;
	c->now_ms = now_ms;
	amqp_resume(c);
	while (at < len && !pn_connection_driver_read_closed(&c->driver)) {
		gh_error err = {0};
		gh_bytes frame;
		size_t taken;
		if (!amqp_may_read(c))
			break;
		gh_status status =
			amqp_frames_next(&c->frames, (gh_bytes){data + at, len - at}, &taken, &frame, &c->frame, &err);
		at += taken;
		if (frame.len)
			amqp_give(c, frame);
		if (status == GH_NOT_FOUND)
			amqp_refuse(c);
		else if (status != GH_OK)
			amqp_fault(c, &err);
	}
	if (pn_connection_driver_read_closed(&c->driver))
		at = len;
	c->held = at < len;
	return at;
}

static void amqp_input_end(gh_engine *engine, uint64_t now_ms)
{
	struct amqp_conn *c = amqp_of(engine);
	c->now_ms = now_ms;
	c->input_over = true;
	pn_connection_driver_read_close(&c->driver);
	amqp_handle(c);
	amqp_end(c, "peer_closed");
}

/* ---- out ---- */

static gh_bytes amqp_output(gh_engine *engine)
{
	struct amqp_conn *c = amqp_of(engine);
	if (c->why && c->refusal.data)
		return c->refusal;
	pn_bytes_t bytes = pn_connection_driver_write_buffer(&c->driver);
	amqp_handle(c);
	return (gh_bytes){(const uint8_t *)bytes.start, bytes.size};
}

static void amqp_output_done(gh_engine *engine, size_t len)
{
	struct amqp_conn *c = amqp_of(engine);
	if (c->refusal.data) {
		c->refusal = (gh_bytes){c->refusal.data + len, c->refusal.len - len};
		return;
	}
	pn_connection_driver_write_done(&c->driver, len);
	amqp_handle(c);
	if (c->held)
		amqp_wake(c);
}

static bool amqp_finished(const gh_engine *engine)
{
	const struct amqp_conn *c = (const struct amqp_conn *)engine;
	pn_connection_driver_t *driver = (pn_connection_driver_t *)&c->driver;
	return c->why &&
	       (c->input_over || pn_connection_driver_write_closed(driver) || pn_connection_driver_read_closed(driver));
}

/* ---- time ---- */

static void amqp_peer_lost(struct amqp_peer *peer, gh_status why)
{
	for (struct amqp_node *node = peer->conn->nodes, *next; node; node = next) {
		next = node->next;
		if (node->peer == peer)
			amqp_node_close(node, why, NULL, NULL);
	}
}

static void amqp_late(struct amqp_conn *c)
{
	gh_error err;
	gh_fail(&err, GH_UNAUTHORIZED, "connect_late", "nobody has shown a token in time");
	amqp_fault(c, &err);
}

static void amqp_close_drained(struct amqp_node *node)
{
	amqp_node_close(node, GH_UNAVAILABLE, "drained", "The gateway stops.");
}

static void amqp_end_sessions(struct amqp_conn *c)
{
	pn_session_t *session;
	while ((session = pn_session_head(c->driver.connection, PN_LOCAL_ACTIVE))) {
		pn_condition_set_name(pn_session_condition(session), amqp_error_name(GH_UNAVAILABLE, "drained"));
		pn_session_close(session);
	}
}

/* CLOSE comes when the peer has ended its sessions, too: some wait for ever for what a CLOSE cuts off. */
static void amqp_go_on_draining(struct amqp_conn *c)
{
	if (!c->draining || c->tickets || c->why)
		return;
	while (c->nodes)
		amqp_close_drained(c->nodes);
	amqp_end_sessions(c);
	if (pn_session_head(c->driver.connection, PN_REMOTE_ACTIVE))
		return;
	pn_connection_close(c->driver.connection);
	amqp_end(c, "drained");
}

/* By when somebody must have proven who it is; 0 = somebody has.  A token for more than one identity that nobody uses is
 * looked at again when the time is over. */
static uint64_t amqp_proof_due(struct amqp_conn *c)
{
	uint64_t ms_max = amqp_limits(c)->connect_ms_max;
	if (c->why || c->peer_count > 0)
		return 0;
	if (c->now_ms < c->since_ms + ms_max)
		return c->since_ms + ms_max;
	amqp_peer_recheck(c);
	if (c->grant_count == 0) {
		amqp_late(c);
		return 0;
	}
	c->since_ms = c->now_ms;
	return c->since_ms + ms_max;
}

static uint64_t amqp_tick(gh_engine *engine, uint64_t now_ms)
{
	struct amqp_conn *c = amqp_of(engine);
	c->now_ms = now_ms;
	amqp_resume(c);
	amqp_peer_sweep(c, amqp_peer_lost);
	amqp_go_on_draining(c);
	uint64_t due = amqp_proof_due(c);
	int64_t idle = pn_transport_tick(c->driver.transport, (int64_t)now_ms);
	amqp_handle(c);
	return amqp_finished(engine) ? 0 : deadline_sooner(due, idle > 0 ? (uint64_t)idle : 0);
}

/* ---- the rest of an engine ---- */

static void amqp_drain(gh_engine *engine, uint64_t now_ms)
{
	struct amqp_conn *c = amqp_of(engine);
	c->now_ms = now_ms;
	c->draining = true;
	for (struct amqp_node *node = c->nodes, *next; node; node = next) {
		next = node->next;
		if (node->unsettled == 0)
			amqp_close_drained(node);
	}
	amqp_wake(c);
}

static void amqp_free(gh_engine *engine)
{
	if (!engine)
		return;
	struct amqp_conn *c = amqp_of(engine);
	amqp_end(c, "cut");
	while (c->nodes)
		amqp_node_free(c->nodes);
	amqp_peer_free_all(c);
	amqp_events_free_all(c);
	pn_connection_driver_destroy(&c->driver);
	amqp_frames_done(&c->frames);
	free(c);
}

static const gh_engine_ops amqp_engine_ops = {
	.input = amqp_input,
	.input_end = amqp_input_end,
	.output = amqp_output,
	.output_done = amqp_output_done,
	.tick = amqp_tick,
	.finished = amqp_finished,
	.drain = amqp_drain,
	.free = amqp_free,
};

static void amqp_configure(struct amqp_conn *c)
{
	const gh_limits *limits = amqp_limits(c);
	pn_transport_t *transport = c->driver.transport;
	pn_transport_set_server(transport);
	amqp_sasl_init(c);
	pn_transport_set_max_frame(transport, (uint32_t)limits->amqp_frame_bytes_max);
	pn_transport_set_channel_max(transport, (uint16_t)(limits->amqp_sessions_max - 1));
	pn_transport_set_idle_timeout(transport, (pn_millis_t)limits->amqp_idle_ms_max); /* half of it is announced */
	size_t places = amqp_places_limit(limits), unproven = limits->amqp_unproven_places_max;
	amqp_frames_init(&c->frames, (uint32_t)limits->amqp_frame_bytes_max, places < unproven ? places : unproven);
	amqp_handle(c);
}

static gh_engine *amqp_engine_new(gh_worker *worker, gh_wire *wire, uint64_t now_ms)
{
	struct amqp_conn *c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	c->engine.ops = &amqp_engine_ops;
	c->worker = worker;
	c->wire = wire;
	c->now_ms = c->since_ms = now_ms;
	if (pn_connection_driver_init(&c->driver, NULL, NULL) != 0) {
		free(c);
		return NULL;
	}
	amqp_configure(c);
	return &c->engine;
}

const char *amqp_why(const gh_engine *engine)
{
	return ((const struct amqp_conn *)engine)->why;
}

const gh_transport amqp_transport = {
	.name = "amqp",
	.port_default = 5671,
	.alpn = (const char *const[]){"amqp", NULL},
	.subprotocols = (const char *const[]){"AMQPWSB10", NULL},
	.engine_new = amqp_engine_new,
};
