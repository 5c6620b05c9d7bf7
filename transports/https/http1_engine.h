/* http1_engine.h - HTTP/1.1 as an engine: requests of one connection, one after the other, each answered in order.
 *
 * Bytes become heads and bodies in src/wire/http1_parser.c, what they ask for is rest.c's matter; here stands what
 * may follow what, who waits, and the deadlines.  A request that comes in one piece is never copied; one that comes in
 * parts, or has to wait for room, is gathered, within limits.  While one is being served the next is not read.
 *
 * A WebSocket handshake that somebody takes is the last request: the engine is finished, and what follows is not its own.
 */
#ifndef GATEHOUSE_HTTPS_HTTP1_ENGINE_H
#define GATEHOUSE_HTTPS_HTTP1_ENGINE_H

#include <gatehouse/transport.h>

extern const gh_transport http1_transport;

/* Why the connection ended or ends, NULL while it goes on; for tests and the log. */
const char *http1_why(const gh_engine *engine);

#endif
