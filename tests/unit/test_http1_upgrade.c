/* WebSocket handshakes: which are handed over, what the others are told, and what stays with whom. */
#include "tests/suite.h"

#include "src/base/log.h"
#include "src/base/text.h"
#include "tests/unit/http_pair.h"
#include "transports/https/http1_engine.h"
#include "transports/https/http1_request.h"
#include "transports/https/http1_upgrade.h"

#include <stdio.h>

static gh_worker worker;
static struct engine_pair pair;

static void upgrade_begin(void)
{
	core_double_init(&worker);
	http_pair_init(&pair, &worker);
	pair.subprotocol = "mqtt";
}

static void upgrade_end(void)
{
	engine_pair_done(&pair);
	core_double_done(&worker);
	suite_leak_check();
}

TestSuite(http1_upgrade, .init = upgrade_begin, .fini = upgrade_end, .timeout = 60);

#define SAMPLE_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define GET "GET /$iothub/websocket HTTP/1.1\r\nHost: hub.example.net\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEY "Sec-WebSocket-Key: " SAMPLE_KEY "\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"
#define MQTT "Sec-WebSocket-Protocol: mqtt\r\n"
#define OFFER(list) GET UPGRADE KEY V13 "Sec-WebSocket-Protocol: " list "\r\n\r\n"
#define HANDSHAKE OFFER("mqtt")

/* Stands behind each handshake: left alone when that is handed over, else the next request. */
#define BEHIND "GET /nothing HTTP/1.1\r\nHost: hub\r\n\r\n"

/* The first `first` bytes at once, what follows in pieces of `piece`. */
static void send_cut(struct engine_pair *p, gh_bytes bytes, size_t first, size_t piece)
{
	for (size_t at = 0, n = first; at < bytes.len; at += n, n = piece) {
		if (n > bytes.len - at)
			n = bytes.len - at;
		engine_pair_send(p, (gh_bytes){bytes.data + at, n});
	}
}

/* Whole, byte by byte, and cut at every length. */
static void judge_cuts(const void *row, const char *request,
	void (*judge)(const void *row, struct engine_pair *p, gh_bytes all, size_t first, size_t piece))
{
	char all[4096];
	int len = snprintf(all, sizeof all, "%s" BEHIND, request);
	cr_assert(len > 0 && len < (int)sizeof all);
	gh_bytes bytes = {(const uint8_t *)all, (size_t)len};
	for (size_t first = 1; first <= bytes.len; first++) {
		struct engine_pair p;
		http_pair_init(&p, &worker);
		judge(row, &p, bytes, first, bytes.len);
		engine_pair_done(&p);
	}
	struct engine_pair p;
	http_pair_init(&p, &worker);
	judge(row, &p, bytes, 1, 1);
	engine_pair_done(&p);
}

/* ---- handed over ---- */

struct handed_over {
	const char *name, *request;
	const char *serves; /* the sub-protocol there is */
	const char *asked;  /* what the wire is asked for until it has it */
	const char *origin; /* NULL = "" */
};

static const struct handed_over handed_over[] = {
	{"the plainest", HANDSHAKE, "mqtt", "mqtt", NULL},
	{"must_05 Node SDK",
		"GET /$iothub/websocket HTTP/1.1\r\nSec-WebSocket-Version: 13\r\n" KEY
		"Connection: Upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" MQTT
		"Host: hub.example.net:443\r\n\r\n",
		"mqtt", "mqtt", NULL},
	{"must_05 paho",
		"GET /$iothub/websocket HTTP/1.1\r\nHost: localhost:443\r\n" UPGRADE "Origin: https://localhost:443\r\n"
		"Sec-WebSocket-Key: " SAMPLE_KEY
		"\r\nSec-Websocket-Version: 13\r\nSec-Websocket-Protocol: mqtt\r\n\r\n",
		"mqtt", "mqtt", "https://localhost:443"},
	{"must_05 C SDK", GET UPGRADE KEY "Sec-WebSocket-Protocol: MQTT\r\n" V13 "\r\n", "mqtt", "MQTT", NULL},
	{"must_05 C# SDK",
		"GET /$iothub/websocket HTTP/1.1\r\nConnection: Upgrade,Keep-Alive\r\nUpgrade: websocket\r\n" KEY V13
			MQTT "Host: hub.example.net\r\n\r\n",
		"mqtt", "mqtt", NULL},
	{"must_06 java SDK",
		"GET /$iothub/websocket?iothub-no-client-cert=true HTTP/1.1\r\nHost: hub.example.net\r\n" UPGRADE KEY
			V13 "Sec-WebSocket-Protocol: AMQPWSB10\r\n\r\n",
		"amqpwsb10", "AMQPWSB10", NULL},
	{"must_06 the query with MQTT",
		"GET /$iothub/websocket?iothub-no-client-cert=true HTTP/1.1\r\nHost: h\r\n" UPGRADE KEY V13 MQTT "\r\n",
		"mqtt", "mqtt", NULL},
	{"uamqp",
		"GET /$iothub/websocket/ HTTP/1.1\r\nHost: hub.example.net\r\n" UPGRADE KEY
		"Sec-WebSocket-Protocol: AMQPWSB10\r\n" V13 "\r\n",
		"AMQPWSB10", "AMQPWSB10", NULL},
	{"a service SDK",
		"GET /$servicebus/websocket HTTP/1.1\r\nHost: h\r\n" UPGRADE KEY V13
		"Sec-WebSocket-Protocol: AMQPWSB10\r\n\r\n",
		"AMQPWSB10", "AMQPWSB10", NULL},
	{"a service SDK with slash and query",
		"GET /$servicebus/websocket/?a=b HTTP/1.1\r\nHost: h\r\n" UPGRADE KEY V13 MQTT "\r\n", "mqtt", "mqtt",
		NULL},
	{"the path escaped and in capitals",
		"GET /%24IoTHub/WebSocket HTTP/1.1\r\nHost: h\r\n" UPGRADE KEY V13 MQTT "\r\n", "mqtt", "mqtt", NULL},
	{"an absolute target", "GET https://h/$iothub/websocket HTTP/1.1\r\nHost: h\r\n" UPGRADE KEY V13 MQTT "\r\n",
		"mqtt", "mqtt", NULL},
	{"an empty line in front", "\r\n" HANDSHAKE, "mqtt", "mqtt", NULL},
	{"names in any case",
		"GET /$iothub/websocket HTTP/1.1\r\nhost: h\r\nUPGRADE: WebSocket\r\nconnection: uPGRADE\r\n"
		"sec-websocket-key: " SAMPLE_KEY
		"\r\nSEC-WEBSOCKET-VERSION: 13\r\nSec-Websocket-protocol: mQTT\r\n\r\n",
		"mqtt", "mQTT", NULL},
	{"several sub-protocols, the first is known", OFFER("mqtt, AMQPWSB10"), "mqtt", "mqtt", NULL},
	{"several sub-protocols, the last is known", OFFER("AMQPWSB10, mqttv3.1,mqtt"), "mqtt",
		"AMQPWSB10 mqttv3.1 mqtt", NULL},
	{"one sub-protocol twice", OFFER("mqtt, mqtt"), "mqtt", "mqtt", NULL},
	{"sub-protocols in several fields", GET "Sec-WebSocket-Protocol: a, b\r\n" UPGRADE KEY V13 MQTT "\r\n", "mqtt",
		"a b mqtt", NULL},
	{"blanks and tabs around sub-protocols", OFFER(" \ta\t ,\tmqtt "), "mqtt", "a mqtt", NULL},
	{"members of a list that are empty", OFFER(",, a,\t, ,mqtt,"), "mqtt", "a mqtt", NULL},
	{"a field without a sub-protocol beside one", GET "Sec-WebSocket-Protocol:\r\n" UPGRADE KEY V13 MQTT "\r\n",
		"mqtt", "mqtt", NULL},
	{"16 sub-protocols", OFFER("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,mqtt"), "mqtt", "a b c d e f g h i j k l m n o mqtt",
		NULL},
	{"16 sub-protocols and as many commas", OFFER("a,,b,,c,,d,,e,,f,,g,,h,,i,,j,,k,,l,,m,,n,,o,,mqtt,,,,"), "mqtt",
		"a b c d e f g h i j k l m n o mqtt", NULL},
	{"every sign a token may have", OFFER("!#$%&'*+-.^_`|~09azAZ, mqtt"), "mqtt", "!#$%&'*+-.^_`|~09azAZ mqtt",
		NULL},
	{"a sub-protocol that begins like another", OFFER("mqttx, mqt, mqtt"), "mqtt", "mqttx mqt mqtt", NULL},
	{"Upgrade names others, too",
		GET "Upgrade: h2c, foo/1, websocket\r\nConnection: upgrade\r\n" KEY V13 MQTT "\r\n", "mqtt", "mqtt",
		NULL},
	{"Upgrade in two fields",
		GET "Upgrade: h2c\r\nUpgrade: WEBSOCKET\r\nConnection: upgrade\r\n" KEY V13 MQTT "\r\n", "mqtt", "mqtt",
		NULL},
	{"Connection names others, too",
		GET "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" KEY V13 MQTT "\r\n", "mqtt", "mqtt",
		NULL},
	{"Connection in two fields",
		GET "Upgrade: websocket\r\nConnection: keep-alive\r\nConnection: upgrade\r\n" KEY V13 MQTT "\r\n",
		"mqtt", "mqtt", NULL},
	{"Connection says close, too", GET "Upgrade: websocket\r\nConnection: close, upgrade\r\n" KEY V13 MQTT "\r\n",
		"mqtt", "mqtt", NULL},
	{"a body of no bytes", GET UPGRADE KEY V13 MQTT "Content-Length: 0\r\n\r\n", "mqtt", "mqtt", NULL},
	{"100 is expected for no body", GET UPGRADE KEY V13 MQTT "Expect: 100-continue\r\n\r\n", "mqtt", "mqtt", NULL},
	{"extensions are not looked at",
		GET UPGRADE KEY V13 MQTT "Sec-WebSocket-Extensions: ,;=\"\r\nSec-WebSocket-Extensions: x\r\n\r\n",
		"mqtt", "mqtt", NULL},
	{"a token is not looked at", GET UPGRADE KEY V13 MQTT "Authorization: SharedAccessSignature sr=x\r\n\r\n",
		"mqtt", "mqtt", NULL},
	{"the origin of no page", GET UPGRADE KEY V13 MQTT "Origin: null\r\n\r\n", "mqtt", "mqtt", "null"},
	{"an empty origin is none", GET UPGRADE KEY V13 MQTT "Origin:\r\n\r\n", "mqtt", "mqtt", NULL},
	{"fields that begin like those of a handshake",
		GET UPGRADE KEY V13 MQTT "Sec-WebSocket-Key1: a\r\nSec-WebSocket-Versio: 8\r\nOrigins: a\r\n\r\n",
		"mqtt", "mqtt", NULL},
};

static void judge_handed_over(const void *context, struct engine_pair *p, gh_bytes all, size_t first, size_t piece)
{
	const struct handed_over *row = context;
	p->subprotocol = row->serves;
	send_cut(p, all, first, piece);
	cr_assert(p->upgraded && p->finished, "%s, cut at %zu: is not handed over", row->name, first);
	cr_assert_str_eq(http1_why(p->engine), "upgraded");
	cr_assert(p->got.len == 0, "%s, cut at %zu: the engine says something", row->name, first);
	cr_assert(text_equal(buf_bytes(&p->held), text_of(BEHIND)), "%s, cut at %zu: %zu bytes are left", row->name,
		first, p->held.len);
	cr_assert_str_eq(p->upgrade_asked, row->asked, "%s, cut at %zu: %s", row->name, first, p->upgrade_asked);
	cr_assert_str_eq(p->upgrade_key, SAMPLE_KEY, "%s", row->name);
	cr_assert_str_eq(p->upgrade_origin, row->origin ? row->origin : "", "%s", row->name);
}

Test(http1_upgrade, must_05_06_handshakes_are_handed_over_and_what_follows_them_is_left_untaken)
{
	for (size_t i = 0; i < sizeof handed_over / sizeof *handed_over; i++)
		judge_cuts(&handed_over[i], handed_over[i].request, judge_handed_over);
}

/* ---- refused ---- */

struct refused {
	const char *name, *request;
	int http;
	const char *code;
	bool ends; /* and closed */
};

static const struct refused refused[] = {
	{"no field of a handshake", GET "\r\n", 426, "websocket_upgrade", false},
	{"no Upgrade", GET "Connection: Upgrade\r\n" KEY V13 MQTT "\r\n", 426, "websocket_upgrade", false},
	{"Upgrade that Connection does not name", GET "Upgrade: websocket\r\n" KEY V13 MQTT "\r\n", 426,
		"websocket_upgrade", false},
	{"Upgrade that another Connection names",
		GET "Upgrade: websocket\r\nConnection: upgraded\r\n" KEY V13 MQTT "\r\n", 426, "websocket_upgrade",
		false},
	{"Upgrade to something else", GET "Upgrade: h2c\r\nConnection: Upgrade\r\n" KEY V13 MQTT "\r\n", 426,
		"websocket_upgrade", false},
	{"Upgrade to something like it", GET "Upgrade: websockets\r\nConnection: Upgrade\r\n" KEY V13 MQTT "\r\n", 426,
		"websocket_upgrade", false},
	{"Upgrade to nothing", GET "Upgrade:\r\nConnection: Upgrade\r\n" KEY V13 MQTT "\r\n", 426, "websocket_upgrade",
		false},
	{"Upgrade without commas", GET "Upgrade: h2c websocket\r\nConnection: Upgrade\r\n" KEY V13 MQTT "\r\n", 426,
		"websocket_upgrade", false},
	{"no upgrade, and closing", GET "Connection: close\r\n\r\n", 426, "websocket_upgrade", true},
	{"HTTP/1.0", "GET /$iothub/websocket HTTP/1.0\r\nHost: h\r\n" UPGRADE KEY V13 MQTT "\r\n", 426,
		"websocket_upgrade", true},
	{"HTTP/1.0 kept alive",
		"GET /$iothub/websocket HTTP/1.0\r\nUpgrade: websocket\r\nConnection: keep-alive, upgrade\r\n" KEY V13
			MQTT "\r\n",
		426, "websocket_upgrade", false},
	{"the other path", "GET /$servicebus/websocket/ HTTP/1.1\r\nHost: h\r\n\r\n", 426, "websocket_upgrade", false},
	{"no version", GET UPGRADE KEY MQTT "\r\n", 426, "websocket_version", false},
	{"an older version", GET UPGRADE KEY MQTT "Sec-WebSocket-Version: 8\r\n\r\n", 426, "websocket_version", false},
	{"a list of versions", GET UPGRADE KEY MQTT "Sec-WebSocket-Version: 13, 8\r\n\r\n", 426, "websocket_version",
		false},
	{"a version with a zero in front", GET UPGRADE KEY MQTT "Sec-WebSocket-Version: 013\r\n\r\n", 426,
		"websocket_version", false},
	{"an empty version", GET UPGRADE KEY MQTT "Sec-WebSocket-Version:\r\n\r\n", 426, "websocket_version", false},
	{"the version twice", GET UPGRADE KEY V13 V13 MQTT "\r\n", 400, "websocket_version_twice", false},
	{"two versions", GET UPGRADE KEY "Sec-WebSocket-Version: 8\r\n" V13 MQTT "\r\n", 400, "websocket_version_twice",
		false},
	{"no key", GET UPGRADE V13 MQTT "\r\n", 400, "websocket_key", false},
	{"the key twice", GET UPGRADE KEY KEY V13 MQTT "\r\n", 400, "websocket_key", false},
	{"an empty key", GET UPGRADE "Sec-WebSocket-Key:\r\n" V13 MQTT "\r\n", 400, "websocket_key", false},
	{"a key of 15 bytes", GET UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n" V13 MQTT "\r\n", 400,
		"websocket_key", false},
	{"a key of 17 bytes", GET UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTE=\r\n" V13 MQTT "\r\n", 400,
		"websocket_key", false},
	{"a key of 18 bytes", GET UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTEx\r\n" V13 MQTT "\r\n", 400,
		"websocket_key", false},
	{"a key of 28 characters", GET UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTExMQ==\r\n" V13 MQTT "\r\n",
		400, "websocket_key", false},
	{"a key that is no base64", GET UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j*Q==\r\n" V13 MQTT "\r\n", 400,
		"websocket_key", false},
	{"a key in the alphabet of URLs", GET UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub2-_ZQ==\r\n" V13 MQTT "\r\n",
		400, "websocket_key", false},
	{"a key with bits beyond 16 bytes",
		GET UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n" V13 MQTT "\r\n", 400, "websocket_key",
		false},
	{"a key without padding", GET UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n" V13 MQTT "\r\n", 400,
		"websocket_key", false},
	{"a body", GET UPGRADE KEY V13 MQTT "Content-Length: 4\r\n\r\nbody", 400, "websocket_body", false},
	{"a chunked body", GET UPGRADE KEY V13 MQTT "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", 400,
		"websocket_body", false},
	{"a chunked body of no bytes", GET UPGRADE KEY V13 MQTT "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
		"websocket_body", false},
	{"a body and no upgrade", GET "Content-Length: 4\r\n\r\nbody", 426, "websocket_upgrade", false},
	{"100 is expected for a body", GET UPGRADE KEY V13 MQTT "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n",
		400, "websocket_body", true},
	{"Origin twice", GET UPGRADE KEY V13 MQTT "Origin: https://a\r\nOrigin: https://a\r\n\r\n", 400,
		"websocket_origin_twice", false},
	{"must_05 no sub-protocol", GET UPGRADE KEY V13 "\r\n", 400, "websocket_protocol_missing", false},
	{"must_05 an empty sub-protocol", OFFER(""), 400, "websocket_protocol_missing", false},
	{"must_05 nothing but commas", OFFER(", ,,"), 400, "websocket_protocol_missing", false},
	{"a sub-protocol with a blank in it", OFFER("mqtt v3"), 400, "websocket_protocol_form", false},
	{"a sub-protocol in quotes", OFFER("\"mqtt\""), 400, "websocket_protocol_form", false},
	{"a sub-protocol with a slash behind a good one", OFFER("mqtt, a/b"), 400, "websocket_protocol_form", false},
	{"a sub-protocol of 8-bit characters", OFFER("mqtt, \xc3\xa4"), 400, "websocket_protocol_form", false},
	{"a bad sub-protocol in another field", GET UPGRADE KEY V13 MQTT "Sec-WebSocket-Protocol: a@b\r\n\r\n", 400,
		"websocket_protocol_form", false},
	{"17 sub-protocols", OFFER("mqtt,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"), 400, "websocket_protocols_max", false},
	{"17 sub-protocols in two fields",
		GET UPGRADE KEY V13 "Sec-WebSocket-Protocol: mqtt,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p\r\n" MQTT "\r\n", 400,
		"websocket_protocols_max", false},
	{"several faults: what it is comes first", GET KEY KEY "Content-Length: 1\r\n\r\nx", 426, "websocket_upgrade",
		false},
	{"several faults: then the version", GET UPGRADE "Sec-WebSocket-Key: x\r\n\r\n", 426, "websocket_version",
		false},
};

/* The verdict alone. */
static gh_status verdict(const char *request, gh_error *ret_err)
{
	gh_limits limits = worker.limits;
	struct http1_request *r = http1_request_new();
	struct http1_upgrade upgrade;
	uint16_t http;
	cr_assert(r && http1_head_next(&r->head, text_of(request), &limits, &http, ret_err) == GH_OK);
	cr_assert(http1_request_read(r, (const uint8_t *)request));
	gh_status status = http1_upgrade_read(&r->head, &r->request, &upgrade, ret_err);
	http1_request_free(r, &worker);
	return status;
}

static bool has_field(const char *head, const char *field)
{
	return strstr(head, field) != NULL;
}

static void judge_refused(const void *context, struct engine_pair *p, gh_bytes all, size_t first, size_t piece)
{
	const struct refused *row = context;
	const char *head, *body;
	gh_error err;
	p->subprotocol = "mqtt";
	cr_assert(verdict(row->request, &err) != GH_OK);
	cr_assert_str_eq(err.code, row->code, "%s: %s", row->name, err.code);
	send_cut(p, all, first, piece);
	int http = http_pair_answer(p, &head, &body);
	cr_assert(http == row->http, "%s, cut at %zu: %d", row->name, first, http);
	cr_assert(strncmp(body, "{\"Message\":\"ErrorCode:", 22) == 0 && strstr(body, err.text), "%s: %s", row->name,
		body);
	bool asks = http == 426;
	cr_assert(has_field(head, "\r\nsec-websocket-version: 13\r\n") == asks, "%s: %s", row->name, head);
	cr_assert(has_field(head, "\r\nupgrade: websocket\r\n") == asks, "%s: %s", row->name, head);
	cr_assert(has_field(head, "\r\nconnection: upgrade") == asks, "%s: %s", row->name, head);
	cr_assert(p->finished == row->ends, "%s, cut at %zu: the connection", row->name, first);
	cr_assert(row->ends || http_pair_is(p, 404), "%s, cut at %zu: the next request", row->name, first);
	cr_assert(p->got.len == 0 && p->upgrade_count == 0 && !p->upgraded, "%s, cut at %zu", row->name, first);
}

Test(http1_upgrade, must_05_what_is_no_handshake_is_refused_and_told_what_to_change)
{
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		judge_cuts(&refused[i], refused[i].request, judge_refused);
}

Test(http1_upgrade, a_get_that_asks_for_no_upgrade_is_told_of_it_as_rfc_9110_says)
{
	const char *head;
	http_pair_send(&pair, GET "\r\n");
	cr_assert(http_pair_answer(&pair, &head, NULL) == 426);
	const char *line = strstr(head, "content-length: "), *rest = strstr(line, "\r\n");
	cr_assert_str_eq(rest, "\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
	cr_assert(strncmp(head, "HTTP/1.1 426 Upgrade Required\r\n", 31) == 0);
	cr_assert(has_field(head, "\r\niothub-errorcode: UpgradeRequired\r\n"));
	http_pair_send(&pair, GET "Connection: close\r\n\r\n");
	cr_assert(http_pair_answer(&pair, &head, NULL) == 426 && pair.finished);
	cr_assert(has_field(head, "\r\nupgrade: websocket\r\nconnection: upgrade, close\r\n\r\n"));
}

/* ---- what the wire says ---- */

static const struct wire_says {
	const char *name, *request;
	const char *serves;
	gh_status status; /* for that one */
	int http;
	const char *error, *asked, *says;
} wire_says[] = {
	{"must_05 an unknown sub-protocol", OFFER("wamp"), "mqtt", GH_OK, 400, "ArgumentInvalid", "wamp",
		"Sec-WebSocket-Protocol"},
	{"must_05 unknown sub-protocols", OFFER("wamp, mqttx"), "mqtt", GH_OK, 400, "ArgumentInvalid", "wamp mqttx",
		"mqtt"},
	{"none there is", OFFER("mqtt"), NULL, GH_OK, 400, "ArgumentInvalid", "mqtt", "mqtt"},
	{"an origin that is not allowed", GET UPGRADE KEY V13 MQTT "Origin: https://evil\r\n\r\n", "mqtt",
		GH_UNAUTHORIZED, 403, "Forbidden", "mqtt", "This Origin is not allowed"},
	{"not now", OFFER("x, mqtt, y"), "mqtt", GH_UNAVAILABLE, 503, "ServiceUnavailable", "x mqtt", "later"},
	{"no memory", OFFER("mqtt"), "mqtt", GH_NO_MEMORY, 503, "ServiceUnavailable", "mqtt", "later"},
	{"a fault of ours", OFFER("mqtt"), "mqtt", GH_INTERNAL, 503, "ServiceUnavailable", "mqtt", "later"},
};

Test(http1_upgrade, must_05_what_the_wire_does_not_take_is_refused_and_the_connection_goes_on)
{
	for (size_t i = 0; i < sizeof wire_says / sizeof *wire_says; i++) {
		const struct wire_says *row = &wire_says[i];
		const char *head, *body;
		struct engine_pair p;
		char field[100];
		http_pair_init(&p, &worker);
		p.subprotocol = row->serves;
		p.upgrade_status = row->status;
		http_pair_send(&p, row->request);
		int http = http_pair_answer(&p, &head, &body);
		cr_assert(http == row->http, "%s: %d", row->name, http);
		cr_assert_str_eq(p.upgrade_asked, row->asked, "%s: %s", row->name, p.upgrade_asked);
		snprintf(field, sizeof field, "\r\niothub-errorcode: %s\r\n", row->error);
		cr_assert(has_field(head, field) && strstr(body, row->says), "%s: %s%s", row->name, head, body);
		cr_assert(has_field(head, "\r\nretry-after: 1\r\n") == (http == 503), "%s", row->name);
		cr_assert(!p.finished && !p.upgraded, "%s", row->name);
		p.subprotocol = "mqtt";
		p.upgrade_status = GH_OK;
		http_pair_send(&p, HANDSHAKE);
		cr_assert(p.upgraded && p.finished, "%s: the next one is handed over", row->name);
		engine_pair_done(&p);
	}
}

Test(http1_upgrade, a_wire_that_never_upgrades_is_501_with_and_without_a_handshake)
{
	static gh_wire_ops never;
	never = *pair.wire.ops;
	never.upgrade = NULL;
	pair.wire.ops = &never;
	http_pair_send(&pair, HANDSHAKE GET "\r\n");
	cr_assert(http_pair_is(&pair, 501) && http_pair_is(&pair, 501) && !pair.finished);
}

Test(http1_upgrade, another_method_is_405)
{
	const char *head;
	http_pair_send(&pair, "POST /$iothub/websocket HTTP/1.1\r\nHost: h\r\n" UPGRADE KEY V13 MQTT "\r\n");
	cr_assert(http_pair_answer(&pair, &head, NULL) == 405 && has_field(head, "\r\nallow: GET\r\n"));
}

Test(http1_upgrade, while_the_program_stops_nothing_is_handed_over)
{
	const char *head;
	http_pair_send(&pair, GET UPGRADE);
	pair.engine->ops->drain(pair.engine, pair.now_ms);
	engine_pair_turn(&pair);
	cr_assert(!pair.finished);
	http_pair_send(&pair, KEY V13 MQTT "\r\n");
	cr_assert(http_pair_answer(&pair, &head, NULL) == 503 && has_field(head, "\r\nconnection: close\r\n"));
	cr_assert(pair.finished && pair.upgrade_count == 0);
}

/* ---- what it costs ---- */

Test(http1_upgrade, as_many_fields_and_commas_as_a_head_may_have_are_nothing_but_refused)
{
	struct buf request = {0};
	buf_append(&request, GET UPGRADE KEY V13, strlen(GET UPGRADE KEY V13));
	for (uint64_t i = 5; i < worker.limits.http_fields_max; i++)
		buf_append(&request, "Sec-WebSocket-Protocol: ,a,,,mqtt,,,,,,b,,,,\r\n", 47);
	buf_append(&request, "\r\n", 2);
	engine_pair_send(&pair, buf_bytes(&request));
	buf_done(&request);
	cr_assert(http_pair_is(&pair, 400) && pair.upgrade_count == 0);
}

/* ---- who has what afterwards ---- */

Test(http1_upgrade, an_answer_of_before_is_still_fetched_from_an_engine_that_is_finished)
{
	pair.reading = false;
	http_pair_post(&pair, "", "before");
	http_pair_send(&pair, HANDSHAKE "\x82\x80");
	cr_assert(!pair.upgraded && pair.upgrade_count == 0, "one request after the other");
	core_double_settle_all(&worker, GH_OK);
	engine_pair_run(&pair);
	cr_assert(pair.upgraded && pair.finished && pair.got.len == 0);
	cr_assert(text_equal(buf_bytes(&pair.held), text_of("\x82\x80")));
	cr_assert(pair.engine->ops->output(pair.engine).len > 0 && pair.deadline_ms == 0);
	pair.reading = true;
	engine_pair_turn(&pair);
	cr_assert(http_pair_is(&pair, 204) && pair.got.len == 0);
	cr_assert(pair.engine->ops->output(pair.engine).len == 0);
}

Test(http1_upgrade, a_finished_engine_takes_nothing_more_and_lets_time_and_ends_go_by)
{
	http_pair_send(&pair, HANDSHAKE);
	cr_assert(pair.upgraded);
	gh_engine *e = pair.engine;
	cr_assert(e->ops->input(e, (const uint8_t *)BEHIND, strlen(BEHIND), pair.now_ms) == 0);
	e->ops->drain(e, pair.now_ms);
	e->ops->input_end(e, pair.now_ms);
	cr_assert(e->ops->tick(e, pair.now_ms + 10000000) == 0 && e->ops->output(e).len == 0);
	cr_assert_str_eq(http1_why(e), "upgraded");
}

static char lines[2000];

static void log_lines(void *context, const char *line, size_t len)
{
	size_t at = strlen(lines);
	(void)context;
	cr_assert(at + len < sizeof lines);
	memcpy(lines + at, line, len);
	lines[at + len] = '\0';
}

Test(http1_upgrade, the_log_says_what_the_stream_became_and_not_that_it_was_closed)
{
	struct log log = {.level = LOG_DEBUG, .write = log_lines};
	worker.log = &log;
	http_pair_send(&pair, OFFER("a, MQTT"));
	engine_pair_done(&pair);
	cr_assert_str_eq(lines, "info upgraded transport=https peer=192.0.2.7 protocol=\"MQTT\"\n", "%s", lines);
	worker.log = NULL;
}
