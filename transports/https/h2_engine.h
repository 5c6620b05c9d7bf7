/* h2_engine.h - HTTP/2 as an engine: many requests of one connection at once, each answered when it can be.
 *
 * nghttp2 knows the protocol and HTTP's demands on it (h2_receive.c hears it out); what is asked for is rest.c's matter; how
 * requests wait for each other stands in h2_conn.c, what comes too often in h2_meter.c.  Here stands what a connection is
 * read and written by, its deadlines, and its end.
 */
#ifndef GATEHOUSE_HTTPS_H2_ENGINE_H
#define GATEHOUSE_HTTPS_H2_ENGINE_H

#include <gatehouse/transport.h>

extern const gh_transport h2_transport;

/* One static word for why the engine ended ("idle", "resets", ...); NULL while it lives. */
const char *h2_why(const gh_engine *engine);

#endif
