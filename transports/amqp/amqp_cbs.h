/* amqp_cbs.h - put-token over the links of $cbs (device contract 5.3, service contract 1.5). */
#ifndef GATEHOUSE_AMQP_CBS_H
#define GATEHOUSE_AMQP_CBS_H

#include "transports/amqp/amqp_node.h"

void amqp_cbs_open(struct amqp_node *node);
/* A request: serves it, and replies over the node for replies of the same session, else of any. */
void amqp_cbs_delivery(struct amqp_node *node, pn_delivery_t *delivery);
/* Replies have left, or there is credit for them: more requests may come. */
void amqp_cbs_flow(struct amqp_conn *c);

#endif
