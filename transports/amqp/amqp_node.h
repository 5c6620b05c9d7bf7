/* amqp_node.h - links: what an address stands for, who may attach it, and how it ends (device contract 5.2, 5.4). */
#ifndef GATEHOUSE_AMQP_NODE_H
#define GATEHOUSE_AMQP_NODE_H

#include "transports/amqp/amqp_conn.h"
#include "transports/amqp/amqp_peer.h"

enum amqp_node_kind { AMQP_NODE_EVENTS, AMQP_NODE_CBS_REQUESTS, AMQP_NODE_CBS_REPLIES };

/* A link that is served. */
struct amqp_node {
	struct amqp_conn *conn;
	struct amqp_node *next, *prev; /* of the connection */
	struct amqp_node *blocked_next;
	pn_link_t *link;
	struct amqp_peer *peer; /* NULL: CBS */
	enum amqp_node_kind kind;
	bool blocked;
	/* events and requests: */
	size_t unsettled;                   /* deliveries */
	size_t partial_bytes;               /* of the delivery that is under way */
	struct amqp_events_ticket *waiting; /* the delivery that waits for room, */
	struct buf encoded;                 /* and its message */
};

/* The link ends, with why; what was submitted is still stored. */
void amqp_node_close(struct amqp_node *node, gh_status status, const char *code, const char *text);
/* The pending bytes of the current delivery, in place of what bytes holds.  False: no memory. */
bool amqp_node_receive(struct amqp_node *node, pn_delivery_t *delivery, struct buf *bytes);
/* What its peer sent, and sends until it hears that the link was closed, is nobody's. */
void amqp_node_discard(pn_link_t *link);
/* The link is gone, or its connection is. */
void amqp_node_free(struct amqp_node *node);

/* A peer attached a link: answers it.  Served ones get a node. */
struct amqp_node *amqp_node_attach(struct amqp_conn *c, pn_link_t *link);

#endif
