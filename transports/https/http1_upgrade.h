/* http1_upgrade.h - a WebSocket handshake (RFC 6455 4.2.1, device contract 1.3): is it one, and who takes the stream?
 *
 * Fields of a request in, a verdict out, with a sentence for whoever writes the client; no engine, no answer.  What the
 * verdict is in HTTP says hub_error.h by the code.  Extensions are not looked at: none is ever agreed on.  Neither are
 * credentials: who the device is says the protocol inside.
 */
#ifndef GATEHOUSE_HTTPS_HTTP1_UPGRADE_H
#define GATEHOUSE_HTTPS_HTTP1_UPGRADE_H

#include <gatehouse/transport.h>

#include "src/wire/http1_parser.h"
#include "transports/https/rest.h"

enum { HTTP1_UPGRADE_OFFERS_MAX = 16 };

/* Borrowed from the request. */
struct http1_upgrade {
	gh_bytes key;
	gh_bytes origin; /* empty = none was sent */
	gh_bytes host;
	gh_bytes offers[HTTP1_UPGRADE_OFFERS_MAX]; /* sub-protocols as the client spelled them, in its order */
	size_t offer_count;                        /* at least one */
};

/* request: the fields of head.  Else the first rule that is broken: GH_INVALID or GH_MALFORMED, with its code. */
gh_status http1_upgrade_read(const struct http1_head *head, const struct rest_request *request,
	struct http1_upgrade *ret_upgrade, gh_error *ret_err);

/* Asks the wire, which can upgrade, for one sub-protocol after the other.  GH_OK: the stream is another's, and
 * *ret_subprotocol what it speaks now.  Else a refusal as above, or GH_UNAVAILABLE: not now. */
gh_status http1_upgrade_offer(const struct http1_upgrade *upgrade, gh_wire *wire, uint64_t now_ms,
	gh_bytes *ret_subprotocol, gh_error *ret_err);

#endif
