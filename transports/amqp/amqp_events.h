/* amqp_events.h - telemetry over a link: messages in, dispositions out once they are durable, credit as there is room
 * (device contract 5.2, 5.6, 5.7). */
#ifndef GATEHOUSE_AMQP_EVENTS_H
#define GATEHOUSE_AMQP_EVENTS_H

#include "transports/amqp/amqp_node.h"

/* One delivery: done when all its messages are settled. */
struct amqp_events_ticket {
	struct amqp_ticket base;
	struct amqp_events_ticket *next, *prev; /* of the connection */
	struct amqp_conn *conn;
	struct amqp_node *node; /* NULL: the link is gone, nobody is told */
	pn_delivery_t *delivery;
	size_t waiting;   /* messages not settled yet, and one while more are being submitted */
	size_t submitted; /* of a batch that waits for room */
	gh_status worst;
};

/* The node was attached: gives credit. */
void amqp_events_open(struct amqp_node *node);
/* More of a delivery is here. */
void amqp_events_delivery(struct amqp_node *node, pn_delivery_t *delivery);
/* There may be room again: goes on with the message that waited, and those behind it.  False: there is none. */
bool amqp_events_resume(struct amqp_node *node);
/* The link is gone: nobody is told any more. */
void amqp_events_forget(struct amqp_node *node);
/* Every link to the core has been closed. */
void amqp_events_free_all(struct amqp_conn *c);

#endif
