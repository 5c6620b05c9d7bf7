#include "transports/amqp/amqp_events.h"

#include "src/base/take.h"
#include "src/wire/amqp_message.h"
#include "transports/amqp/amqp_error.h"

#include <assert.h>
#include <stdlib.h>

/* ---- tickets ---- */

static void events_ticket_free(struct amqp_conn *c, struct amqp_events_ticket *t)
{
	*(t->prev ? &t->prev->next : &c->tickets) = t->next;
	if (t->next)
		t->next->prev = t->prev;
	if (t->node)
		t->node->unsettled--;
	free(t);
}

/* Whole again at half: fewer flow frames, and never more than the limit on their way or here. */
static void events_top_up(struct amqp_node *node)
{
	uint64_t max = amqp_limits(node->conn)->amqp_credit_max;
	int credit = pn_link_credit(node->link);
	/* Less than none: its sender says that it has sent more than it was asked for, and gets no more. */
	uint64_t out = credit < 0 ? max : (uint64_t)credit + node->unsettled;
	if (!node->blocked && !node->conn->draining && out <= max / 2)
		pn_link_flow(node->link, (int)(max - out));
}

static void events_settle(struct amqp_conn *c, pn_delivery_t *delivery, gh_status status, const gh_error *err)
{
	/* What may pass another time is released: clients send it again. */
	bool released = status == GH_UNAVAILABLE || status == GH_UNKNOWN || status == GH_NO_SPACE || status == GH_AGAIN;
	uint64_t state = status == GH_OK ? PN_ACCEPTED : released ? PN_RELEASED : PN_REJECTED;
	if (!pn_delivery_settled(delivery)) {
		if (state == PN_REJECTED)
			amqp_error_put(pn_disposition_condition(pn_delivery_local(delivery)), c->worker, status,
				err ? err->code : NULL, err ? err->text : NULL);
		pn_delivery_update(delivery, state);
	}
	pn_delivery_settle(delivery);
}

static void events_ticket_release(struct amqp_events_ticket *t)
{
	if (--t->waiting > 0)
		return;
	struct amqp_conn *c = t->conn;
	struct amqp_node *node = t->node;
	pn_delivery_t *delivery = t->delivery;
	gh_status worst = t->worst;
	events_ticket_free(c, t);
	if (!node)
		return;
	events_settle(c, delivery, worst, NULL);
	events_top_up(node);
}

static void events_settled(struct amqp_ticket *ticket, gh_status status)
{
	struct amqp_events_ticket *t = GH_CONTAINER(ticket, struct amqp_events_ticket, base);
	if (status != GH_OK)
		t->worst = status;
	events_ticket_release(t);
}

static struct amqp_events_ticket *events_ticket_new(struct amqp_node *node, pn_delivery_t *delivery)
{
	struct amqp_conn *c = node->conn;
	struct amqp_events_ticket *t = calloc(1, sizeof *t);
	if (!t)
		return NULL;
	*t = (struct amqp_events_ticket){.base.settled = events_settled,
		.conn = c,
		.node = node,
		.delivery = delivery,
		.waiting = 1,
		.next = c->tickets};
	if (t->next)
		t->next->prev = t;
	c->tickets = t;
	node->unsettled++;
	return t;
}

/* ---- submitting ---- */

static gh_status events_submit_one(
	struct amqp_node *node, struct amqp_events_ticket *t, gh_bytes encoded, gh_error *ret_err)
{
	GH_CLEANUP(buf_done) struct buf joined = {0};
	gh_draft *draft = gh_worker_draft(node->conn->worker);
	struct amqp_identity identity = amqp_peer_identity(node->peer);
	struct amqp_sender sender = {identity.device_id, identity.module_id};
	gh_status status = amqp_message_draft(encoded, &sender, &joined, draft, ret_err);
	if (status != GH_OK)
		return status;
	status = amqp_peer_submit(node->peer, draft, &t->base);
	if (status == GH_OK)
		t->waiting++;
	else if (status != GH_AGAIN)
		gh_fail(ret_err, status, "message_refused", "the message was refused");
	return status;
}

/* All are looked at before the first is handed over: a batch with a fault in it stores nothing. */
static gh_status events_check_batch(struct amqp_node *node, const struct amqp_message *outer, gh_error *ret_err)
{
	gh_bytes rest = outer->sections[AMQP_BODY_DATA], encoded;
	const gh_limits *limits = amqp_limits(node->conn);
	struct amqp_identity identity = amqp_peer_identity(node->peer);
	struct amqp_sender sender = {identity.device_id, identity.module_id};
	gh_status status = GH_OK;
	uint64_t counted = 0;
	if (outer->data_count > limits->amqp_batch_max)
		return gh_fail(
			ret_err, GH_TOO_LARGE, "amqp_batch_max", "the batch has more than amqp_batch_max messages");
	while (status == GH_OK && amqp_message_batch_next(&rest, &encoded)) {
		GH_CLEANUP(buf_done) struct buf joined = {0};
		gh_draft *draft = gh_worker_draft(node->conn->worker);
		status = amqp_message_draft(encoded, &sender, &joined, draft, ret_err);
		counted += gh_draft_size(draft);
	}
	if (status == GH_OK && counted > limits->message_bytes_max)
		return gh_fail(ret_err, GH_TOO_LARGE, "batch_too_large", "the batch is larger than message_bytes_max");
	return status;
}

static gh_status events_submit_batch(
	struct amqp_node *node, struct amqp_events_ticket *t, gh_bytes encoded, gh_error *ret_err)
{
	struct amqp_message outer;
	gh_status status = amqp_message_batch(encoded, &outer, ret_err);
	if (status == GH_OK && t->submitted == 0)
		status = events_check_batch(node, &outer, ret_err);
	gh_bytes rest = outer.sections[AMQP_BODY_DATA], one;
	for (size_t i = 0; status == GH_OK && amqp_message_batch_next(&rest, &one); i++) {
		if (i < t->submitted)
			continue;
		status = events_submit_one(node, t, one, ret_err);
		if (status == GH_OK)
			t->submitted++;
	}
	return status;
}

static void events_block(struct amqp_node *node)
{
	struct amqp_node **at = &node->conn->blocked;
	while (*at)
		at = &(*at)->blocked_next;
	*at = node;
	node->blocked_next = NULL;
	node->blocked = true;
}

/* The delivery is whole, its bytes are in node->encoded.  False: it waits for room. */
static bool events_submit(struct amqp_node *node, pn_delivery_t *delivery, struct amqp_events_ticket *t, bool batch)
{
	gh_error err = {0};
	gh_bytes encoded = buf_bytes(&node->encoded);
	gh_status status =
		batch ? events_submit_batch(node, t, encoded, &err) : events_submit_one(node, t, encoded, &err);
	if (status == GH_AGAIN)
		return false;
	pn_link_advance(node->link);
	buf_done(&node->encoded);
	if (status != GH_OK && t->waiting == 1) { /* nothing of it was taken */
		events_ticket_free(node->conn, t);
		events_settle(node->conn, delivery, status, &err);
		events_top_up(node);
		return true;
	}
	if (status != GH_OK)
		t->worst = status;
	events_ticket_release(t);
	return true;
}

/* ---- deliveries ---- */

enum { EVENTS_BATCH = 1 };

/* What the first frame said, kept with the delivery. */
static unsigned events_flags(pn_delivery_t *delivery)
{
	return (unsigned)(uintptr_t)pn_delivery_get_context(delivery);
}

static void events_count_partial(struct amqp_node *node, size_t bytes)
{
	node->conn->partial_bytes += bytes - node->partial_bytes;
	node->partial_bytes = bytes;
}

/* More than the counted size of a message: names, types and sizes of its sections are not counted. */
static uint64_t events_bytes_max(const struct amqp_conn *c)
{
	return amqp_limits(c)->message_bytes_max + amqp_limits(c)->amqp_overhead_bytes_max;
}

static void events_drop(struct amqp_node *node, pn_delivery_t *delivery, gh_status status, const gh_error *err)
{
	events_count_partial(node, 0);
	pn_link_advance(node->link);
	if (status == GH_OK)
		pn_delivery_settle(delivery); /* aborted: its sender has forgotten it */
	else
		events_settle(node->conn, delivery, status, err);
	events_top_up(node);
}

static bool events_receive(struct amqp_node *node, pn_delivery_t *delivery)
{
	events_count_partial(node, 0);
	return amqp_node_receive(node, delivery, &node->encoded);
}

/* The current delivery of the link.  False: it is not whole, or waits. */
static bool events_take(struct amqp_node *node, pn_delivery_t *delivery)
{
	gh_error err = {0};
	if (pn_delivery_aborted(delivery)) {
		events_drop(node, delivery, GH_OK, NULL);
		return true;
	}
	if (pn_delivery_pending(delivery) > events_bytes_max(node->conn)) {
		amqp_node_close(node, GH_TOO_LARGE, NULL, "The message is larger than the link takes.");
		return false;
	}
	if (pn_delivery_partial(delivery)) {
		events_count_partial(node, pn_delivery_pending(delivery));
		if (node->conn->partial_bytes > amqp_limits(node->conn)->amqp_partial_bytes_max)
			amqp_node_close(node, GH_QUOTA, "amqp_partial_max", "Too much is under way at once.");
		return false;
	}
	struct amqp_events_ticket *t = events_receive(node, delivery) ? events_ticket_new(node, delivery) : NULL;
	if (!t) {
		buf_done(&node->encoded);
		gh_fail(&err, GH_UNAVAILABLE, "no_memory", "no memory for a message");
		events_drop(node, delivery, GH_UNAVAILABLE, &err);
		return true;
	}
	if (events_submit(node, delivery, t, events_flags(delivery) & EVENTS_BATCH))
		return true;
	node->waiting = t;
	events_block(node);
	return false;
}

static void events_take_all(struct amqp_node *node)
{
	pn_delivery_t *delivery;
	while (!node->blocked && (delivery = pn_link_current(node->link)) && pn_delivery_readable(delivery))
		if (!events_take(node, delivery))
			return;
}

void amqp_events_delivery(struct amqp_node *node, pn_delivery_t *delivery)
{
	const struct amqp_frame *frame = &node->conn->frame;
	if (frame->first && frame->message_format == AMQP_BATCH_FORMAT && !pn_delivery_get_context(delivery))
		pn_delivery_set_context(delivery, (void *)(uintptr_t)EVENTS_BATCH);
	if (pn_delivery_readable(delivery))
		events_take_all(node);
}

bool amqp_events_resume(struct amqp_node *node)
{
	pn_delivery_t *delivery = pn_link_current(node->link);
	struct amqp_events_ticket *t = node->waiting;
	assert(node->blocked && delivery && t && t->delivery == delivery);
	if (!events_submit(node, delivery, t, events_flags(delivery) & EVENTS_BATCH))
		return false;
	node->waiting = NULL;
	node->blocked = false;
	events_top_up(node);
	events_take_all(node);
	return true;
}

void amqp_events_open(struct amqp_node *node)
{
	pn_link_flow(node->link, (int)amqp_limits(node->conn)->amqp_credit_max);
}

void amqp_events_forget(struct amqp_node *node)
{
	events_count_partial(node, 0);
	buf_done(&node->encoded);
	for (struct amqp_events_ticket *t = node->conn->tickets; t && node->unsettled > 0; t = t->next)
		if (t->node == node) {
			t->node = NULL;
			node->unsettled--;
		}
	if (node->waiting)
		events_ticket_release(GH_TAKE(node->waiting));
}

void amqp_events_free_all(struct amqp_conn *c)
{
	while (c->tickets)
		events_ticket_free(c, c->tickets);
}
