/* amqp_sasl.h - SASL of the server: ANONYMOUS and MSSBCBS (who it is comes later), PLAIN with a token, EXTERNAL only for who brought
 * a certificate (device contract 5.1).  Proton's own server knows ANONYMOUS alone. */
#ifndef GATEHOUSE_AMQP_SASL_H
#define GATEHOUSE_AMQP_SASL_H

#include "transports/amqp/amqp_conn.h"

/* Before the transport is bound. */
void amqp_sasl_init(struct amqp_conn *c);

#endif
