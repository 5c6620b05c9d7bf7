#include "transports/amqp/amqp_cbs.h"

#include "src/base/take.h"
#include "src/base/text.h"
#include "src/wire/amqp_message.h"
#include "transports/amqp/amqp_error.h"

#include <stdlib.h>

enum {
	CBS_CREDIT = 32,
	CBS_REPLIES_MAX = 64, /* that have not left: with more, no request is asked for */
	CBS_REQUEST_BYTES_MAX = 65536,
	CBS_ROOM_BYTES = 64,     /* what is put behind a name to read it, twice */
	CBS_ID_BYTES_MAX = 1024, /* it comes back in the reply, which may wait */
};

static struct amqp_node *cbs_replies(const struct amqp_node *requests)
{
	struct amqp_node *any = NULL;
	for (struct amqp_node *node = requests->conn->nodes; node; node = node->next) {
		if (node->kind != AMQP_NODE_CBS_REPLIES)
			continue;
		if (pn_link_session(node->link) == pn_link_session(requests->link))
			return node;
		any = node;
	}
	return any;
}

static void cbs_top_up(struct amqp_node *node)
{
	const struct amqp_node *replies = cbs_replies(node);
	int queued = replies ? pn_link_queued(replies->link) : 0, credit = pn_link_credit(node->link);
	/* Less than none: its sender says that it has sent more than it was asked for, and gets no more. */
	if (credit >= 0 && credit <= CBS_CREDIT / 2 && queued < CBS_REPLIES_MAX)
		pn_link_flow(node->link, CBS_CREDIT - credit);
}

void amqp_cbs_open(struct amqp_node *node)
{
	if (node->kind == AMQP_NODE_CBS_REQUESTS)
		pn_link_flow(node->link, CBS_CREDIT);
}

void amqp_cbs_flow(struct amqp_conn *c)
{
	for (struct amqp_node *node = c->nodes; node; node = node->next)
		if (node->kind == AMQP_NODE_CBS_REQUESTS)
			cbs_top_up(node);
		else if (node->kind == AMQP_NODE_CBS_REPLIES && pn_link_queued(node->link) == 0)
			pn_link_drained(
				node->link); /* if it was asked: nothing more comes for what is left of its credit */
}

/* ---- requests ---- */

/* What follows the host in "amqps://host:port/devices/d1", "host/devices/d1" or "host%2Fdevices%2Fd1". */
static gh_bytes cbs_below_host(gh_bytes name, uint8_t *scratch)
{
	gh_bytes before, after;
	if (!memchr(name.data, '/', name.len))
		name = (gh_bytes){scratch, text_percent_decode(name, scratch, NULL)};
	if (text_cut(name, ':', &before, &after) && text_starts(after, "//"))
		name = (gh_bytes){after.data + 2, after.len - 2};
	const uint8_t *slash = name.len ? memchr(name.data, '/', name.len) : NULL;
	return slash ? (gh_bytes){slash, name.len - (size_t)(slash - name.data)} : (gh_bytes){NULL, 0};
}

/* For whom the token is meant: as in the address of the link that will be attached.  False: for no identity. */
static bool cbs_names_identity(gh_bytes below, uint8_t *room, struct amqp_readings *ret_readings)
{
	static const char events[] = "/messages/events";
	gh_error err;
	struct amqp_address address;
	if (below.len)
		memcpy(room, below.data, below.len);
	memcpy(room + below.len, events, sizeof events - 1);
	gh_bytes whole = {room, below.len + sizeof events - 1};
	if (amqp_address_read(whole, room + whole.len, &address, &err) != GH_OK)
		return false;
	*ret_readings = address.readings;
	return true;
}

static gh_status cbs_put_token(struct amqp_conn *c, const struct amqp_request *request, gh_error *ret_err)
{
	struct amqp_readings readings;
	if (request->type.len && !text_equal_nocase(request->type, text_of("servicebus.windows.net:sastoken")))
		return gh_fail(
			ret_err, GH_INVALID, "cbs_type", "the type of token is not servicebus.windows.net:sastoken");
	if (request->name.len == 0 || request->body.len == 0)
		return gh_fail(ret_err, GH_INVALID, "cbs_incomplete", "name or token is missing");
	if (request->body.len > amqp_limits(c)->token_bytes_max)
		return gh_fail(ret_err, GH_UNAUTHORIZED, "token_too_long", "the token is longer than token_bytes_max");
	GH_CLEANUP(buf_done) struct buf room = {0};
	if (!buf_reserve(&room, 3 * request->name.len + CBS_ROOM_BYTES))
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for a request");
	gh_bytes below = cbs_below_host(request->name, room.data);
	if (!cbs_names_identity(below, room.data + request->name.len, &readings))
		return amqp_peer_grant(c, request->name, below, request->body, ret_err);
	gh_status status = GH_UNAUTHORIZED;
	for (size_t i = 0; i < readings.count && status != GH_OK; i++)
		status = amqp_peer_prove(c, &readings.at[i], request->body, ret_err);
	return status;
}

static gh_status cbs_serve(struct amqp_conn *c, const struct amqp_request *request, gh_error *ret_err)
{
	bool put = text_equal_nocase(request->operation, text_of("put-token")) ||
		   text_equal_nocase(request->operation, text_of("set-token"));
	if (put)
		return cbs_put_token(c, request, ret_err);
	return gh_fail(ret_err, GH_INVALID, "cbs_operation", "the operation is not put-token");
}

/* Numbers as the contract names them: whoever may not, for whatever reason, is told 401. */
static int32_t cbs_code(gh_status status)
{
	if (status == GH_OK)
		return 200;
	if (status == GH_INVALID || status == GH_MALFORMED)
		return 400;
	if (status == GH_QUOTA)
		return 403;
	if (status == GH_UNAVAILABLE || status == GH_NO_MEMORY || status == GH_IO || status == GH_INTERNAL)
		return 500;
	return 401;
}

static const char *cbs_description(gh_status status, const gh_error *err)
{
	return status == GH_OK ? "OK" : cbs_code(status) == 401 ? "Unauthorized" : err->text;
}

static void cbs_reply(
	struct amqp_node *requests, const struct amqp_request *request, gh_status status, const gh_error *err)
{
	struct amqp_node *replies = cbs_replies(requests);
	if (!replies)
		return; /* nobody listens */
	GH_CLEANUP(buf_done) struct buf bytes = {0};
	amqp_reply_put(&bytes, request->message_id, cbs_code(status), text_of(cbs_description(status, err)));
	if (bytes.failed)
		return;
	uint32_t tag = requests->conn->reply_tag++;
	pn_delivery_t *delivery = pn_delivery(replies->link, pn_dtag((const char *)&tag, sizeof tag));
	if (!delivery)
		return;
	pn_link_send(replies->link, (const char *)bytes.data, bytes.len);
	pn_link_advance(replies->link);
	pn_delivery_settle(delivery);
}

static void cbs_take(struct amqp_node *node, pn_delivery_t *delivery)
{
	GH_CLEANUP(buf_done) struct buf bytes = {0};
	struct amqp_request request = {0};
	gh_error err = {0};
	gh_status status = amqp_node_receive(node, delivery, &bytes) ? GH_OK : GH_NO_MEMORY;
	if (status == GH_OK)
		status = amqp_request_read(buf_bytes(&bytes), &request, &err);
	if (status == GH_OK && request.message_id.len > CBS_ID_BYTES_MAX) {
		request.message_id = (gh_bytes){NULL, 0};
		status = gh_fail(&err, GH_INVALID, "cbs_id", "the message-id is too long");
	}
	if (status == GH_OK)
		status = cbs_serve(node->conn, &request, &err);
	pn_link_advance(node->link);
	pn_delivery_update(delivery, PN_ACCEPTED);
	pn_delivery_settle(delivery);
	cbs_reply(node, &request, status, &err);
	cbs_top_up(node);
}

void amqp_cbs_delivery(struct amqp_node *node, pn_delivery_t *delivery)
{
	if (node->kind == AMQP_NODE_CBS_REPLIES) {
		pn_delivery_settle(delivery);
		return;
	}
	delivery = pn_link_current(node->link);
	if (!delivery || !pn_delivery_readable(delivery))
		return;
	if (pn_delivery_pending(delivery) > CBS_REQUEST_BYTES_MAX) {
		amqp_node_close(node, GH_TOO_LARGE, NULL, "The request is too large.");
		return;
	}
	if (pn_delivery_aborted(delivery)) {
		pn_link_advance(node->link);
		pn_delivery_settle(delivery);
	} else if (!pn_delivery_partial(delivery)) {
		cbs_take(node, delivery);
	}
}
