/* amqp.h - AMQP 1.0 as an engine: a thin skin over Proton, which does frames, sessions, links and settlement. */
#ifndef GATEHOUSE_AMQP_AMQP_H
#define GATEHOUSE_AMQP_AMQP_H

#include <gatehouse/transport.h>

extern const gh_transport amqp_transport;

/* Why the connection ended or ends, NULL while it goes on; for tests and the log. */
const char *amqp_why(const gh_engine *engine);

#endif
