#include "transports/https/http1_upgrade.h"

#include "src/base/text.h"
#include "src/wire/http1_rules.h"

enum { KEY_CHARACTERS = 24, KEY_BYTES = 16 };

/* A field that may be there once. */
struct once {
	size_t count;
	gh_bytes value; /* the last one's */
};

/* What the rules below judge. */
struct handshake {
	const struct http1_head *head;
	bool websocket; /* Upgrade holds this token */
	struct once version, key, origin;
	struct http1_upgrade *upgrade;
	size_t offer_count; /* also those beyond HTTP1_UPGRADE_OFFERS_MAX */
	bool offers_tokens; /* and nothing but tokens */
};

/* ---- reading ---- */

static struct once handshake_find(const struct rest_request *request, const char *name)
{
	struct once found = {0};
	for (size_t i = 0; i < request->field_count; i++)
		if (text_equal_nocase(request->fields[i].name, text_of(name)))
			found = (struct once){found.count + 1, request->fields[i].value};
	return found;
}

/* A list that may be spread over several fields of one name (RFC 9110 5.3). */
struct list {
	const struct rest_request *request;
	gh_bytes name;
	size_t next;   /* field to look at */
	gh_bytes rest; /* of the one before it */
};

/* Members that are empty say nothing and are passed over (RFC 9110 5.6.1). */
static bool list_next(struct list *list, gh_bytes *ret_member)
{
	const struct rest_request *request = list->request;
	for (;;) {
		while (http1_rules_list_next(&list->rest, ret_member))
			if (ret_member->len)
				return true;
		while (list->next < request->field_count &&
			!text_equal_nocase(request->fields[list->next].name, list->name))
			list->next++;
		if (list->next == request->field_count)
			return false;
		list->rest = request->fields[list->next++].value;
	}
}

static bool handshake_names_websocket(const struct rest_request *request)
{
	struct list list = {.request = request, .name = text_of("upgrade")};
	gh_bytes member;
	while (list_next(&list, &member))
		if (text_equal_nocase(member, text_of("websocket")))
			return true;
	return false;
}

static void handshake_read_offers(struct handshake *h, const struct rest_request *request)
{
	struct list list = {.request = request, .name = text_of("sec-websocket-protocol")};
	gh_bytes member;
	h->offers_tokens = true;
	while (list_next(&list, &member)) {
		h->offers_tokens = h->offers_tokens && http1_rules_all(member, HTTP1_TOKEN);
		if (h->offer_count < HTTP1_UPGRADE_OFFERS_MAX)
			h->upgrade->offers[h->offer_count] = member;
		h->offer_count++;
	}
}

/* ---- rules ---- */

static bool rule_upgrade(const struct handshake *h)
{
	return h->head->upgrade && h->websocket;
}

static bool rule_version_once(const struct handshake *h)
{
	return h->version.count <= 1;
}

static bool rule_version(const struct handshake *h)
{
	return text_equal(h->version.value, text_of("13"));
}

static bool rule_body(const struct handshake *h)
{
	return !h->head->chunked && h->head->content_length == 0;
}

static bool rule_key(const struct handshake *h)
{
	uint8_t bytes[KEY_CHARACTERS / 4 * 3];
	size_t len;
	return h->key.count == 1 && h->key.value.len == KEY_CHARACTERS &&
	       text_base64_decode(h->key.value, bytes, &len) && len == KEY_BYTES;
}

static bool rule_origin(const struct handshake *h)
{
	return h->origin.count <= 1;
}

static bool rule_offers_tokens(const struct handshake *h)
{
	return h->offers_tokens;
}

static bool rule_offers_some(const struct handshake *h)
{
	return h->offer_count > 0;
}

static bool rule_offers_few(const struct handshake *h)
{
	return h->offer_count <= HTTP1_UPGRADE_OFFERS_MAX;
}

/* The first that is broken is told.  Codes are stable. */
static const struct {
	bool (*kept)(const struct handshake *h);
	gh_status status;
	const char *code;
	const char *text;
} rules[] = {
	{rule_upgrade, GH_INVALID, "websocket_upgrade",
		"This path is for WebSocket: use HTTP/1.1 and send Upgrade: websocket and Connection: Upgrade."},
	{rule_version_once, GH_MALFORMED, "websocket_version_twice", "Send Sec-WebSocket-Version once."},
	{rule_version, GH_INVALID, "websocket_version", "Send Sec-WebSocket-Version: 13."}, /* RFC 6455 4.4 */
	{rule_body, GH_INVALID, "websocket_body", "A WebSocket handshake has no body: send the GET without one."},
	{rule_key, GH_INVALID, "websocket_key",
		"Send Sec-WebSocket-Key once: 16 random bytes in base64, which is 24 characters."},
	{rule_origin, GH_MALFORMED, "websocket_origin_twice", "Send Origin once, or not at all."},
	{rule_offers_tokens, GH_MALFORMED, "websocket_protocol_form",
		"Sec-WebSocket-Protocol is not a list of names with commas between them."},
	{rule_offers_some, GH_INVALID, "websocket_protocol_missing",
		"Name the protocol inside the WebSocket, such as Sec-WebSocket-Protocol: mqtt."},
	{rule_offers_few, GH_INVALID, "websocket_protocols_max",
		"Sec-WebSocket-Protocol names too many protocols: name the one you speak."},
};

gh_status http1_upgrade_read(const struct http1_head *head, const struct rest_request *request,
	struct http1_upgrade *ret_upgrade, gh_error *ret_err)
{
	struct http1_upgrade upgrade = {.offer_count = 0};
	struct handshake h = {
		.head = head,
		.websocket = handshake_names_websocket(request),
		.version = handshake_find(request, "sec-websocket-version"),
		.key = handshake_find(request, "sec-websocket-key"),
		.origin = handshake_find(request, "origin"),
		.upgrade = &upgrade,
	};
	handshake_read_offers(&h, request);
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (!rules[i].kept(&h))
			return gh_fail(ret_err, rules[i].status, rules[i].code, "%s", rules[i].text);
	upgrade.key = h.key.value;
	upgrade.origin = h.origin.value;
	upgrade.host = handshake_find(request, "host").value;
	upgrade.offer_count = h.offer_count;
	*ret_upgrade = upgrade;
	return GH_OK;
}

/* ---- who takes it ---- */

static gh_status upgrade_refused(gh_status why, gh_error *ret_err)
{
	if (why == GH_NOT_FOUND)
		return gh_fail(ret_err, GH_INVALID, "websocket_protocol_unknown",
			"No protocol in Sec-WebSocket-Protocol is served here: devices speak mqtt.");
	if (why == GH_UNAUTHORIZED)
		return gh_fail(ret_err, GH_INVALID, "websocket_origin",
			"This Origin is not allowed: leave the field out, which only web pages need.");
	return gh_fail(ret_err, GH_UNAVAILABLE, "websocket_unavailable",
		"The WebSocket cannot be opened now. Try again later.");
}

gh_status http1_upgrade_offer(const struct http1_upgrade *upgrade, gh_wire *wire, uint64_t now_ms,
	gh_bytes *ret_subprotocol, gh_error *ret_err)
{
	gh_upgrade asked = {.key = upgrade->key, .origin = upgrade->origin, .host = upgrade->host};
	gh_status status = GH_NOT_FOUND;
	for (size_t i = 0; i < upgrade->offer_count && status == GH_NOT_FOUND; i++) {
		asked.subprotocol = upgrade->offers[i];
		status = wire->ops->upgrade(wire, &asked, now_ms);
	}
	if (status != GH_OK)
		return upgrade_refused(status, ret_err);
	*ret_subprotocol = asked.subprotocol;
	return GH_OK;
}
