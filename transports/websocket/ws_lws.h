/* ws_lws.h - WebSocket as an engine that carries another: whichever transport has the sub-protocol (device contract 1.3).
 *
 * Below, a stream as any engine has it; above, the payload of the frames as one stream of bytes, whatever their borders.
 * The engine inside does not know: its wire, peer and clock are those of the stream.  Framing is libwebsockets'
 * (src/io/web.h); what it would let pass and RFC 6455 would not, ws_guard.h refuses before.  Here stand what belongs to
 * a connection: whose origin may connect, what waits for whom, how it ends, and the pings to the silent.
 *
 * The one engine that has descriptors under it: two, which never make it wait.
 */
#ifndef GATEHOUSE_WEBSOCKET_WS_LWS_H
#define GATEHOUSE_WEBSOCKET_WS_LWS_H

#include "src/io/web.h"

/* For web_rules.engine_new. */
gh_status ws_engine_new(const struct web_rules *rules, struct web *web, struct gh_worker *worker, gh_wire *wire,
	const gh_upgrade *upgrade, uint64_t now_ms, gh_engine **ret_engine);

/* Why the connection ended or ends, NULL while it goes on; for tests. */
const char *ws_why(const gh_engine *engine);

#endif
