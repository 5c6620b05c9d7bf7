#include "transports/amqp/amqp_node.h"

#include "src/base/take.h"
#include "src/base/text.h"
#include "transports/amqp/amqp_error.h"
#include "transports/amqp/amqp_events.h"

#include <assert.h>
#include <stdlib.h>

/* ---- life ---- */

static struct amqp_node *node_new(
	struct amqp_conn *c, pn_link_t *link, enum amqp_node_kind kind, struct amqp_peer *peer)
{
	struct amqp_node *node = calloc(1, sizeof *node);
	if (!node)
		return NULL;
	*node = (struct amqp_node){.conn = c, .link = link, .kind = kind, .peer = peer, .next = c->nodes};
	if (node->next)
		node->next->prev = node;
	c->nodes = node;
	c->node_count++;
	pn_link_set_context(link, node);
	return node;
}

static void node_unblock(struct amqp_node *node)
{
	for (struct amqp_node **at = &node->conn->blocked; node->blocked && *at; at = &(*at)->blocked_next)
		if (*at == node) {
			*at = node->blocked_next;
			node->blocked = false;
			amqp_wake(node->conn);
			break;
		}
}

void amqp_node_free(struct amqp_node *node)
{
	struct amqp_conn *c = node->conn;
	amqp_events_forget(node);
	node_unblock(node);
	pn_link_set_context(node->link, NULL);
	*(node->prev ? &node->prev->next : &c->nodes) = node->next;
	if (node->next)
		node->next->prev = node->prev;
	c->node_count--;
	free(node);
}

bool amqp_node_receive(struct amqp_node *node, pn_delivery_t *delivery, struct buf *bytes)
{
	size_t size = pn_delivery_pending(delivery);
	if (!buf_reserve(bytes, size))
		return false;
	ssize_t n = size ? pn_link_recv(node->link, (char *)bytes->data, size) : 0;
	bytes->len = n > 0 ? (size_t)n : 0;
	return true;
}

/* Read and not only settled: Proton counts against the session what of a settled delivery comes later. */
void amqp_node_discard(pn_link_t *link)
{
	char scratch[1024];
	pn_delivery_t *delivery;
	while (pn_link_is_receiver(link) && (delivery = pn_link_current(link))) {
		while (pn_link_recv(link, scratch, sizeof scratch) > 0)
			;
		if (pn_delivery_partial(delivery) && !pn_delivery_aborted(delivery))
			return;
		pn_delivery_settle(delivery);
	}
}

void amqp_node_close(struct amqp_node *node, gh_status status, const char *code, const char *text)
{
	pn_link_t *link = node->link;
	amqp_error_put(pn_link_condition(link), node->conn->worker, status, code, text);
	amqp_node_free(node);
	pn_link_close(link);
	amqp_node_discard(link);
}

/* ---- attaching ---- */

/* Attached and at once closed, with neither source nor target (AMQP 2.6.3). */
static void node_refuse(struct amqp_conn *c, pn_link_t *link, const gh_error *err)
{
	pn_terminus_set_type(pn_link_source(link), PN_UNSPECIFIED);
	pn_terminus_set_type(pn_link_target(link), PN_UNSPECIFIED);
	amqp_error_put(pn_link_condition(link), c->worker, err->status, err->code, err->text);
	pn_link_open(link);
	pn_link_close(link);
}

static void node_accept(const struct amqp_conn *c, pn_link_t *link)
{
	pn_terminus_copy(pn_link_source(link), pn_link_remote_source(link));
	pn_terminus_copy(pn_link_target(link), pn_link_remote_target(link));
	pn_link_set_snd_settle_mode(link, pn_link_remote_snd_settle_mode(link));
	pn_link_set_rcv_settle_mode(link, pn_link_remote_rcv_settle_mode(link));
	if (pn_link_is_receiver(link))
		pn_link_set_max_message_size(link, amqp_limits(c)->message_bytes_max);
	pn_link_open(link);
}

/* Our end of the link gives messages to the device, or takes them. */
enum node_role { NODE_TAKES = 1, NODE_GIVES = 2 };

static const struct {
	unsigned roles; /* that the contract knows */
	bool built;     /* as NODE_TAKES */
	const char *text;
} node_rules[] = {
	[AMQP_ADDRESS_EVENTS] = {NODE_TAKES | NODE_GIVES, true,
		"Inputs of modules are not served by this version of Gatehouse."},
	[AMQP_ADDRESS_DEVICEBOUND] = {NODE_GIVES, false,
		"To-device messages are not served by this version of Gatehouse."},
	[AMQP_ADDRESS_METHODS] = {NODE_TAKES | NODE_GIVES, false,
		"Methods are not served by this version of Gatehouse."},
	[AMQP_ADDRESS_TWIN] = {NODE_TAKES | NODE_GIVES, false, "Twins are not served by this version of Gatehouse."},
	[AMQP_ADDRESS_CBS] = {NODE_TAKES | NODE_GIVES, true, NULL},
};

/* Modules alone have inputs. */
static bool node_role_is_known(const struct amqp_address *address, unsigned role)
{
	bool module = address->readings.count && address->readings.at[0].module_id.len;
	if (address->kind == AMQP_ADDRESS_EVENTS && role == NODE_GIVES)
		return module;
	return node_rules[address->kind].roles & role;
}

/* They are for everybody, proven or not, and each may have requests and replies under way. */
enum { NODE_CBS_MAX = 16 };

static gh_status node_judge_cbs(const struct amqp_conn *c, gh_error *ret_err)
{
	size_t count = 0;
	for (const struct amqp_node *node = c->nodes; node; node = node->next)
		count += node->kind != AMQP_NODE_EVENTS;
	if (count >= NODE_CBS_MAX)
		return gh_fail(ret_err, GH_QUOTA, "amqp_links_max", "There are too many links for tokens.");
	return GH_OK;
}

static gh_status node_judge(struct amqp_conn *c, const struct amqp_address *address, unsigned role,
	struct amqp_peer **ret_peer, gh_error *ret_err)
{
	*ret_peer = NULL;
	if (!node_role_is_known(address, role))
		return gh_fail(ret_err, GH_INVALID, "amqp_role", "The address is not for links of this direction.");
	if (address->kind == AMQP_ADDRESS_CBS)
		return node_judge_cbs(c, ret_err);
	gh_status status = amqp_peer_admit(c, &address->readings, ret_peer, ret_err);
	if (status != GH_OK)
		return status;
	if (!node_rules[address->kind].built || role == NODE_GIVES)
		return gh_fail(ret_err, GH_UNAVAILABLE, "not_built", "%s", node_rules[address->kind].text);
	return GH_OK;
}

static gh_status node_prepare(struct amqp_conn *c, pn_link_t *link, enum amqp_node_kind *ret_kind,
	struct amqp_peer **ret_peer, gh_error *ret_err)
{
	unsigned role = pn_link_is_receiver(link) ? NODE_TAKES : NODE_GIVES;
	pn_terminus_t *terminus = role == NODE_TAKES ? pn_link_remote_target(link) : pn_link_remote_source(link);
	gh_bytes text = text_of(pn_terminus_get_address(terminus));
	struct amqp_address address;
	if (c->node_count >= amqp_limits(c)->amqp_links_max)
		return gh_fail(ret_err, GH_QUOTA, "amqp_links_max", "There are too many links on this connection.");
	GH_CLEANUP(take_free) uint8_t *scratch = malloc(text.len + 1);
	if (!scratch)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for a link");
	gh_status status = amqp_address_read(text, scratch, &address, ret_err);
	if (status != GH_OK || (address.host.len > 0 && !gh_worker_knows_host(c->worker, address.host)))
		return gh_fail(ret_err, GH_NOT_FOUND, "route_unknown", "There is nothing at this address.");
	*ret_kind = address.kind != AMQP_ADDRESS_CBS ? AMQP_NODE_EVENTS
		    : role == NODE_TAKES             ? AMQP_NODE_CBS_REQUESTS
						     : AMQP_NODE_CBS_REPLIES;
	return node_judge(c, &address, role, ret_peer, ret_err);
}

struct amqp_node *amqp_node_attach(struct amqp_conn *c, pn_link_t *link)
{
	gh_error err = {0};
	enum amqp_node_kind kind = AMQP_NODE_EVENTS;
	struct amqp_peer *peer = NULL;
	struct amqp_node *node = NULL;
	gh_status status = node_prepare(c, link, &kind, &peer, &err);
	if (status == GH_OK && !(node = node_new(c, link, kind, peer)))
		gh_fail(&err, GH_NO_MEMORY, "no_memory", "no memory for a link");
	if (node)
		node_accept(c, link);
	else
		node_refuse(c, link, &err);
	return node;
}
