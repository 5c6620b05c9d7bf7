/* h2_receive.h - what nghttp2 hears becomes requests: its callbacks, and what it is told at the beginning. */
#ifndef GATEHOUSE_HTTPS_H2_RECEIVE_H
#define GATEHOUSE_HTTPS_H2_RECEIVE_H

#include "transports/https/h2_conn.h"

/* Makes c->session, which calls back with c, and queues the settings.  False without memory; c->session may be set. */
bool h2_receive_open(struct h2_conn *c);

/* The stream of that number, NULL when it is not there. */
static inline struct h2_stream *h2_receive_stream(const struct h2_conn *c, uint32_t id)
{
	return nghttp2_session_get_stream_user_data(c->session, (int32_t)id);
}

#endif
