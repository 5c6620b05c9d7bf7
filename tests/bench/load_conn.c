#include "tests/bench/load_conn.h"

#include "src/base/text.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MQTT_CONNECT = 0x10, MQTT_CONNACK = 0x20, MQTT_PUBLISH_QOS1 = 0x32, MQTT_DUP = 0x08, MQTT_PUBACK = 0x40 };

enum { LOAD_BODY_DIGITS_AT = 7 };

/* ---- packets, prepared once ---- */

/* Replaces {n}, {id} and {seq} (ten digits, patched later; *ret_digits says where). */
static void load_expand(struct buf *out, const char *pattern, const struct load_conn *c, size_t *ret_digits)
{
	char number[16];
	snprintf(number, sizeof number, "%u", c->n);
	while (*pattern) {
		if (strncmp(pattern, "{n}", 3) == 0) {
			buf_append(out, number, strlen(number));
			pattern += 3;
		} else if (strncmp(pattern, "{id}", 4) == 0) {
			load_expand(out, c->options->client_id, c, ret_digits);
			pattern += 4;
		} else if (strncmp(pattern, "{seq}", 5) == 0) {
			*ret_digits = out->len;
			buf_append(out, "0000000000", LOAD_DIGITS);
			pattern += 5;
		} else {
			buf_put_u8(out, (uint8_t)*pattern++);
		}
	}
}

/* Of MQTT, after what was put since `at`, two bytes behind its length. */
static void load_close_string(struct buf *out, size_t at)
{
	size_t len = out->len - at;
	out->data[at - 2] = (uint8_t)(len >> 8);
	out->data[at - 1] = (uint8_t)len;
}

static size_t load_open_string(struct buf *out)
{
	buf_put_u16(out, 0);
	return out->len;
}

static void load_put_expanded(struct buf *out, const char *pattern, const struct load_conn *c, size_t *ret_digits)
{
	size_t at = load_open_string(out);
	load_expand(out, pattern, c, ret_digits);
	load_close_string(out, at);
}

static void load_put_length(struct buf *out, size_t len)
{
	do {
		uint8_t byte = len % 128;
		len /= 128;
		buf_put_u8(out, len ? byte | 0x80 : byte);
	} while (len);
}

/* A token for one day, in the spelling of the Node SDK. */
static bool load_put_token(struct buf *out, const struct load_conn *c)
{
	struct buf resource = {0}, signed_text = {0};
	size_t ignored;
	const char *host = c->options->sas_host;
	buf_append(&resource, host, strlen(host));
	buf_append(&resource, "/devices/", strlen("/devices/"));
	load_expand(&resource, c->options->client_id, c, &ignored);

	char sr[3 * 512 + 1], se[24];
	uint8_t key[128], mac[32];
	size_t key_len;
	unsigned mac_len = sizeof mac;
	gh_bytes key_text = text_of(c->options->device_key);
	bool ok = resource.len <= 512 && key_text.len <= sizeof key && text_base64_decode(key_text, key, &key_len);
	if (ok) {
		text_percent_encode(buf_bytes(&resource), sr);
		snprintf(se, sizeof se, "%lld", (long long)time(NULL) + 86400);
		buf_append(&signed_text, sr, strlen(sr));
		buf_put_u8(&signed_text, '\n');
		buf_append(&signed_text, se, strlen(se));
		HMAC(EVP_sha256(), key, (int)key_len, signed_text.data, signed_text.len, mac, &mac_len);
		char base64[TEXT_BASE64_SIZE(32)], sig[3 * sizeof base64], token[2048];
		text_base64_encode(mac, sizeof mac, base64);
		text_percent_encode(text_of(base64), sig);
		int len = snprintf(token, sizeof token, "SharedAccessSignature sr=%s&sig=%s&se=%s", sr, sig, se);
		buf_append(out, token, (size_t)len);
	}
	buf_done(&resource);
	buf_done(&signed_text);
	return ok;
}

static bool load_put_password(struct buf *out, const struct load_conn *c)
{
	size_t ignored;
	if (c->options->device_key)
		return load_put_token(out, c);
	load_expand(out, c->options->password, c, &ignored);
	return true;
}

static bool load_prepare_connect(struct load_conn *c)
{
	const struct load_options *o = c->options;
	struct buf body = {0};
	size_t ignored;
	bool password = o->password || o->device_key;
	buf_append(&body, "\0\4MQTT\4", 7);
	buf_put_u8(&body, (uint8_t)(0x02 | (o->user ? 0x80 : 0) | (password ? 0x40 : 0)));
	buf_put_u16(&body, 0); /* no keep-alive */
	load_put_expanded(&body, o->client_id, c, &ignored);
	if (o->user)
		load_put_expanded(&body, o->user, c, &ignored);
	bool ok = true;
	if (password) {
		size_t at = load_open_string(&body);
		ok = load_put_password(&body, c);
		load_close_string(&body, at);
	}
	buf_put_u8(&c->connect, MQTT_CONNECT);
	load_put_length(&c->connect, body.len);
	buf_append(&c->connect, body.data, body.len);
	buf_done(&body);
	return ok && !c->connect.failed;
}

/* "<connection> <seq> " and then filler up to the size asked for. */
static void load_put_body(struct buf *out, const struct load_conn *c)
{
	char head[32];
	size_t at = out->len;
	int head_len = snprintf(head, sizeof head, "%06u 0000000000 ", c->n);
	buf_append(out, head, (size_t)head_len);
	while (out->len - at < c->options->size)
		buf_put_u8(out, (uint8_t)('a' + out->len % 26));
}

static bool load_prepare_publish(struct load_conn *c)
{
	struct buf rest = {0};
	size_t digits = 0, body_at;
	load_put_expanded(&rest, c->options->topic, c, &digits);
	size_t id_at = rest.len;
	buf_put_u16(&rest, 0);
	body_at = rest.len;
	load_put_body(&rest, c);

	buf_put_u8(&c->publish, MQTT_PUBLISH_QOS1);
	load_put_length(&c->publish, rest.len);
	size_t shift = c->publish.len;
	buf_append(&c->publish, rest.data, rest.len);
	c->packet_id_at = shift + id_at;
	c->topic_digits_at = digits ? shift + digits : 0;
	c->body_digits_at = shift + body_at + LOAD_BODY_DIGITS_AT;
	buf_done(&rest);
	return !c->publish.failed;
}

static bool load_prepare_amqp(struct load_conn *c)
{
	struct buf user = {0}, password = {0}, address = {0}, body = {0};
	size_t ignored;
	load_expand(&user, c->options->user, c, &ignored);
	bool ok = load_put_password(&password, c);
	load_expand(&address, c->options->topic, c, &ignored);
	load_put_body(&body, c);
	const struct load_amqp_words words = {
		buf_bytes(&user), buf_bytes(&password), buf_bytes(&address), buf_bytes(&body), LOAD_BODY_DIGITS_AT};
	ok = ok && load_amqp_init(&c->amqp, &words);
	buf_done(&user);
	buf_done(&password);
	buf_done(&address);
	buf_done(&body);
	return ok;
}

bool load_conn_init(struct load_conn *c, const struct load_options *options, unsigned n)
{
	*c = (struct load_conn){.options = options, .n = n, .fd = -1};
	c->sent_us = calloc(options->window, sizeof *c->sent_us);
	c->settled = calloc(options->window, sizeof *c->settled);
	if (!c->sent_us || !c->settled)
		return false;
	return options->amqp ? load_prepare_amqp(c) : load_prepare_connect(c) && load_prepare_publish(c);
}

void load_conn_done(struct load_conn *c)
{
	load_conn_close(c);
	buf_done(&c->connect);
	buf_done(&c->publish);
	buf_done(&c->out);
	buf_done(&c->batch);
	load_websocket_done(&c->websocket);
	load_amqp_done(&c->amqp);
	free(c->sent_us);
	free(c->settled);
}

/* ---- the socket ---- */

void load_conn_close(struct load_conn *c)
{
	if (c->ssl)
		SSL_free(c->ssl);
	c->ssl = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->state = CONN_CLOSED;
	c->want_write = false;
	c->in_len = 0;
	buf_clear(&c->out);
	buf_clear(&c->batch);
}

/* ---- how a connection of LOAD_CHURN ends ---- */

enum load_end_place {
	END_BEGINNING, /* in the middle of the upgrade, or of the CONNECT when there is none */
	END_ASKED,     /* behind it, and before the answer */
	END_CONNECTED,
	END_PACKET, /* in the middle of a PUBLISH and its frame */
};

/* In turn; each place with a FIN and with a RST. */
static const struct load_end {
	enum load_end_place place;
	bool reset;
} load_end_table[] = {
	{END_CONNECTED, false},
	{END_CONNECTED, true},
	{END_BEGINNING, false},
	{END_PACKET, true},
	{END_ASKED, false},
	{END_BEGINNING, true},
	{END_PACKET, false},
	{END_ASKED, true},
};

static struct load_end load_end(const struct load_conn *c)
{
	return load_end_table[(c->n + c->opened) % (sizeof load_end_table / sizeof *load_end_table)];
}

static enum load_event load_lost(struct load_conn *c, const char *what, const char *why)
{
	snprintf(c->fault, sizeof c->fault, "connection %u: %s: %s", c->n, what, why);
	load_conn_close(c);
	return LOAD_LOST;
}

/* SSL says no: wait (LOAD_NOTHING) or lost. */
static enum load_event load_blocked(struct load_conn *c, int result, const char *what)
{
	char text[120] = "closed by the server";
	switch (SSL_get_error(c->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		c->want_write = false;
		return LOAD_NOTHING;
	case SSL_ERROR_WANT_WRITE:
		c->want_write = true;
		return LOAD_NOTHING;
	case SSL_ERROR_SSL:
		ERR_error_string_n(ERR_peek_error(), text, sizeof text);
		break;
	default:
		break;
	}
	ERR_clear_error();
	if (c->state == CONN_LEAVING) {
		load_conn_close(c);
		return LOAD_LEFT;
	}
	return load_lost(c, what, text);
}

enum load_event load_conn_open(struct load_conn *c, uint64_t now_us)
{
	int one = 1;
	c->started_us = now_us;
	c->opened++;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return load_lost(c, "socket", strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	const struct sockaddr *address = (const struct sockaddr *)&c->options->address;
	if (connect(c->fd, address, sizeof c->options->address) != 0 && errno != EINPROGRESS)
		return load_lost(c, "connect", strerror(errno));
	c->ssl = SSL_new(c->options->tls);
	if (!c->ssl || !SSL_set_fd(c->ssl, c->fd) || !SSL_set1_host(c->ssl, c->options->server_name))
		return load_lost(c, "TLS", "no memory");
	SSL_set_tlsext_host_name(c->ssl, c->options->server_name);
	SSL_set_connect_state(c->ssl);
	c->state = CONN_TCP;
	c->want_write = true;
	return LOAD_NOTHING;
}

/* Queues one MQTT packet. */
static void load_put(struct load_conn *c, const void *packet, size_t len)
{
	if (!c->options->websocket)
		buf_append(&c->out, packet, len);
	else if (c->options->frame_batch)
		buf_append(&c->batch, packet, len);
	else
		load_websocket_put(&c->websocket, (gh_bytes){packet, len}, &c->out);
}

static void load_frame_batch(struct load_conn *c)
{
	if (c->batch.len)
		load_websocket_put(&c->websocket, buf_bytes(&c->batch), &c->out);
	buf_clear(&c->batch);
}

enum load_event load_conn_flush(struct load_conn *c)
{
	load_frame_batch(c);
	while (c->out.len) {
		int n = SSL_write(c->ssl, c->out.data, (int)c->out.len);
		if (n <= 0)
			return load_blocked(c, n, "write");
		buf_drop(&c->out, (size_t)n);
	}
	c->want_write = false;
	return LOAD_NOTHING;
}

static void load_begin_protocol(struct load_conn *c)
{
	c->state = CONN_CONNACK;
	if (c->options->amqp)
		load_amqp_start(&c->amqp, &c->out);
	else
		load_put(c, c->connect.data, c->connect.len);
}

/* TLS is up: what a client says first. */
static enum load_event load_begin(struct load_conn *c)
{
	const struct load_options *o = c->options;
	if (!o->websocket) {
		load_begin_protocol(c);
	} else {
		c->state = CONN_UPGRADE;
		uint16_t port = ntohs(o->address.sin_port);
		if (!load_websocket_start(&c->websocket, o->server_name, port, o->websocket, &c->out))
			return load_lost(c, "upgrade", "no randomness, or the path is too long");
	}
	return o->mode == LOAD_CHURN && load_end(c).place <= END_ASKED ? load_conn_vanish(c) : load_conn_flush(c);
}

static enum load_event load_handshake(struct load_conn *c)
{
	if (c->state == CONN_TCP) {
		int fault = 0;
		socklen_t len = sizeof fault;
		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &fault, &len);
		if (fault)
			return load_lost(c, "connect", strerror(fault));
		c->state = CONN_TLS;
	}
	int n = SSL_do_handshake(c->ssl);
	return n == 1 ? load_begin(c) : load_blocked(c, n, "handshake");
}

/* ---- messages ---- */

bool load_conn_has_room(const struct load_conn *c)
{
	if (c->options->amqp && !load_amqp_has_room(&c->amqp, (uint32_t)c->next_seq))
		return false;
	return c->state == CONN_READY && c->next_seq - c->acked_seq < c->options->window;
}

static void load_digits(uint8_t *at, uint64_t value)
{
	for (int i = LOAD_DIGITS - 1; i >= 0; i--, value /= 10)
		at[i] = (uint8_t)('0' + value % 10);
}

static uint16_t load_packet_id(uint64_t seq)
{
	return (uint16_t)(seq % 65535 + 1);
}

static void load_queue(struct load_conn *c, uint64_t seq, uint64_t stamp_us, bool dup)
{
	uint8_t *p = c->publish.data;
	uint16_t id = load_packet_id(seq);
	p[0] = dup ? MQTT_PUBLISH_QOS1 | MQTT_DUP : MQTT_PUBLISH_QOS1;
	p[c->packet_id_at] = (uint8_t)(id >> 8);
	p[c->packet_id_at + 1] = (uint8_t)id;
	load_digits(p + c->body_digits_at, seq);
	if (c->topic_digits_at)
		load_digits(p + c->topic_digits_at, seq);
	c->sent_us[seq % c->options->window] = stamp_us;
	load_put(c, p, c->publish.len);
}

static void load_queue_transfer(struct load_conn *c, uint64_t seq, uint64_t stamp_us)
{
	uint8_t digits[LOAD_DIGITS];
	load_digits(digits, seq);
	gh_bytes transfer = load_amqp_transfer(&c->amqp, (uint32_t)seq, digits);
	c->sent_us[seq % c->options->window] = stamp_us;
	c->settled[seq % c->options->window] = false;
	load_put(c, transfer.data, transfer.len);
}

void load_conn_publish(struct load_conn *c, uint64_t stamp_us)
{
	if (c->options->amqp)
		load_queue_transfer(c, c->next_seq++, stamp_us);
	else
		load_queue(c, c->next_seq++, stamp_us, false);
}

void load_conn_republish(struct load_conn *c, uint64_t now_us)
{
	for (uint64_t seq = c->acked_seq; seq < c->next_seq; seq++)
		load_queue(c, seq, now_us, true);
}

enum load_event load_conn_leave(struct load_conn *c)
{
	c->state = CONN_LEAVING;
	if (c->options->amqp)
		load_amqp_close(&c->amqp, &c->out);
	else
		load_put(c, "\xe0\0", 2);
	return load_conn_flush(c);
}

/* What still leaves does so in a TLS record of its own: the server's TLS sees nothing unfinished. */
enum load_event load_conn_vanish(struct load_conn *c)
{
	struct load_end end = load_end(c);
	struct linger at_once = {.l_onoff = 1};
	if (end.place == END_PACKET)
		load_queue(c, 0, 0, false);
	load_frame_batch(c);
	if (end.place == END_BEGINNING || end.place == END_PACKET)
		c->out.len /= 2;
	if (load_conn_flush(c) == LOAD_LOST)
		return LOAD_LOST;
	if (end.reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	load_conn_close(c);
	return LOAD_VANISHED;
}

/* ---- answers ---- */

/* One whole packet of two or four bytes. */
static enum load_event load_take(struct load_conn *c, const uint8_t *packet)
{
	char text[80];
	if (packet[0] == MQTT_CONNACK && c->state == CONN_CONNACK) {
		snprintf(text, sizeof text, "code %u", packet[3]);
		if (packet[3] != 0)
			return load_lost(c, "CONNACK", text);
		c->state = CONN_READY;
		return LOAD_CONNECTED;
	}
	if (packet[0] != MQTT_PUBACK || c->state != CONN_READY) {
		snprintf(text, sizeof text, "type %02x in state %d", packet[0], c->state);
		return load_lost(c, "unexpected packet", text);
	}
	uint16_t id = (uint16_t)(packet[2] << 8 | packet[3]), expected = load_packet_id(c->acked_seq);
	if (c->acked_seq == c->next_seq || id != expected) {
		snprintf(text, sizeof text, "id %u, expected %u", id, expected);
		return load_lost(c, "PUBACK out of order", text);
	}
	c->acked_seq++;
	return LOAD_ACKED;
}

/* That a connection is up is not to be lost behind what came after it. */
static enum load_event load_found(enum load_event before, enum load_event event)
{
	return event == LOAD_LOST || (event != LOAD_NOTHING && before != LOAD_CONNECTED) ? event : before;
}

/* All answers are four bytes long, so a packet is whole when in[] is full. */
static enum load_event load_feed_mqtt(struct load_conn *c, gh_bytes bytes)
{
	enum load_event found = LOAD_NOTHING;
	for (size_t i = 0; i < bytes.len; i++) {
		c->in[c->in_len++] = bytes.data[i];
		if (c->in_len < sizeof c->in)
			continue;
		c->in_len = 0;
		enum load_event event = load_take(c, c->in);
		if (event == LOAD_LOST)
			return event;
		found = load_found(found, event);
	}
	return found;
}

/* Deliveries may be settled in any order; one is acknowledged when all before it are. */
static enum load_event load_accepted(struct load_conn *c, struct load_amqp_range range)
{
	unsigned window = c->options->window;
	uint64_t from = c->acked_seq + (uint32_t)(range.first - (uint32_t)c->acked_seq);
	uint64_t end = from + (uint32_t)(range.last - range.first) + 1;
	if (end > c->next_seq)
		return load_lost(c, "AMQP", "a disposition of what was not sent, or twice");
	for (uint64_t seq = from; seq < end; seq++)
		c->settled[seq % window] = true;
	for (; c->acked_seq < c->next_seq && c->settled[c->acked_seq % window]; c->acked_seq++)
		;
	return LOAD_ACKED;
}

static enum load_event load_take_amqp(struct load_conn *c, gh_bytes *bytes)
{
	struct load_amqp_range range;
	switch (load_amqp_next(&c->amqp, bytes, &c->out, &range)) {
	case LOAD_AMQP_MORE:
		return LOAD_NOTHING;
	case LOAD_AMQP_UP:
		c->state = CONN_READY;
		return LOAD_CONNECTED;
	case LOAD_AMQP_ROOM:
		return LOAD_ACKED;
	case LOAD_AMQP_ACCEPTED:
		return load_accepted(c, range);
	case LOAD_AMQP_FAULT:
		break;
	}
	return load_lost(c, "AMQP", c->amqp.fault);
}

static enum load_event load_feed_amqp(struct load_conn *c, gh_bytes bytes)
{
	enum load_event found = LOAD_NOTHING;
	while (bytes.len > 0 && found != LOAD_LOST)
		found = load_found(found, load_take_amqp(c, &bytes));
	return found;
}

static enum load_event load_feed(struct load_conn *c, gh_bytes bytes)
{
	if (c->state == CONN_LEAVING)
		return LOAD_NOTHING;
	return c->options->amqp ? load_feed_amqp(c, bytes) : load_feed_mqtt(c, bytes);
}

static enum load_event load_unframe(struct load_conn *c, gh_bytes bytes)
{
	enum load_event found = LOAD_NOTHING;
	gh_bytes payload;
	for (;;) {
		enum load_event event = LOAD_NOTHING;
		switch (load_websocket_next(&c->websocket, &bytes, &c->out, &payload)) {
		case WEBSOCKET_MORE:
			return found;
		case WEBSOCKET_OPEN:
			load_begin_protocol(c);
			break;
		case WEBSOCKET_DATA:
			event = load_feed(c, payload);
			break;
		case WEBSOCKET_CLOSED: /* the answer is queued; one who leaves waits for the server's FIN */
			if (c->state != CONN_LEAVING)
				event = load_lost(c, "WebSocket", c->websocket.fault);
			break;
		case WEBSOCKET_FAULT:
			event = load_lost(c, "WebSocket", c->websocket.fault);
			break;
		}
		found = load_found(found, event);
		if (found == LOAD_LOST)
			return found;
	}
}

static enum load_event load_read(struct load_conn *c)
{
	enum load_event found = LOAD_NOTHING;
	uint8_t data[4096];
	for (;;) {
		int n = SSL_read(c->ssl, data, sizeof data);
		if (n <= 0) {
			enum load_event event = load_blocked(c, n, "read");
			return event == LOAD_NOTHING ? found : event;
		}
		gh_bytes bytes = {data, (size_t)n};
		found = load_found(found, c->options->websocket ? load_unframe(c, bytes) : load_feed(c, bytes));
		if (found == LOAD_LOST)
			return found;
		if ((size_t)n < sizeof data && !SSL_has_pending(c->ssl))
			return found;
	}
}

/* What is read may ask for an answer, and a write that was blocked goes on. */
enum load_event load_conn_ready(struct load_conn *c, uint64_t *ret_from)
{
	*ret_from = c->acked_seq;
	if (c->state == CONN_TCP || c->state == CONN_TLS)
		return load_handshake(c);
	enum load_event found = load_read(c);
	enum load_event event = c->state == CONN_CLOSED ? LOAD_NOTHING : load_conn_flush(c);
	return event == LOAD_NOTHING ? found : event;
}
