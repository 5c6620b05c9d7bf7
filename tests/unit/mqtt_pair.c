#include "tests/unit/mqtt_pair.h"

#include "src/base/text.h"
#include "transports/mqtt/mqtt.h"

#include <assert.h>
#include <stddef.h>

static void pair_wake(gh_wire *wire)
{
	struct mqtt_pair *p = (struct mqtt_pair *)wire;
	p->woken = true;
	p->wake_count++;
}

static gh_peer pair_peer(gh_wire *wire)
{
	(void)wire;
	return (gh_peer){.address = "192.0.2.7", .port = 4711, .server_name = "hub.example.net"};
}

static const gh_wire_ops pair_wire_ops = {.wake = pair_wake, .peer = pair_peer};

void mqtt_pair_init(struct mqtt_pair *p, gh_worker *worker)
{
	*p = (struct mqtt_pair){.wire = {&pair_wire_ops}, .worker = worker, .now_ms = 1000, .reading = true};
	p->engine = mqtt_transport.engine_new(worker, &p->wire, p->now_ms);
	assert(p->engine);
	mqtt_pair_turn(p);
}

void mqtt_pair_done(struct mqtt_pair *p)
{
	if (p->engine)
		p->engine->ops->free(p->engine);
	p->engine = NULL;
	buf_done(&p->held);
	buf_done(&p->got);
}

static uint8_t pair_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = strchr(digits, c);
	assert(c && at);
	return (uint8_t)(at - digits);
}

void mqtt_bytes(struct buf *out, const char *text)
{
	while (*text) {
		if (*text == ' ') {
			text++;
		} else if (*text == '\'') {
			const char *end = strchr(text + 1, '\'');
			assert(end);
			buf_append(out, text + 1, (size_t)(end - text - 1));
			text = end + 1;
		} else {
			buf_put_u8(out, (uint8_t)(pair_digit(text[0]) << 4 | pair_digit(text[1])));
			text += 2;
		}
	}
}

static void pair_head(struct buf *out, uint8_t first, size_t remaining)
{
	buf_put_u8(out, first);
	for (; remaining >= 0x80; remaining >>= 7)
		buf_put_u8(out, (uint8_t)(remaining | 0x80));
	buf_put_u8(out, (uint8_t)remaining);
}

void mqtt_packet(struct buf *out, uint8_t first, const char *body)
{
	struct buf bytes = {0};
	mqtt_bytes(&bytes, body);
	pair_head(out, first, bytes.len);
	buf_append(out, bytes.data, bytes.len);
	buf_done(&bytes);
}

static void pair_offer(struct mqtt_pair *p)
{
	gh_engine *e = p->engine;
	if (p->held.len == 0)
		return;
	size_t taken = e->ops->input(e, p->held.data, p->held.len, p->now_ms);
	assert(taken <= p->held.len);
	buf_drop(&p->held, taken);
}

/* Output and tick, as after every call of an engine. */
static void pair_look(struct mqtt_pair *p)
{
	gh_engine *e = p->engine;
	gh_bytes out = e->ops->output(e);
	if (p->reading && out.len) {
		buf_append(&p->got, out.data, out.len);
		e->ops->output_done(e, out.len);
	}
	p->deadline_ms = e->ops->tick(e, p->now_ms);
	p->finished = e->ops->finished(e);
	assert(p->deadline_ms == 0 || p->deadline_ms > p->now_ms);
}

void mqtt_pair_run(struct mqtt_pair *p)
{
	size_t rounds = 0;
	while (p->woken) {
		assert(rounds++ < 100000);
		p->woken = false;
		pair_offer(p);
		pair_look(p);
	}
}

void mqtt_pair_turn(struct mqtt_pair *p)
{
	pair_look(p);
	mqtt_pair_run(p);
}

void mqtt_pair_send(struct mqtt_pair *p, gh_bytes bytes)
{
	bool stopped = p->held.len > 0;
	buf_append(&p->held, bytes.data, bytes.len);
	if (!stopped)
		pair_offer(p);
	mqtt_pair_turn(p);
}

void mqtt_pair_packet(struct mqtt_pair *p, uint8_t first, const char *body)
{
	struct buf bytes = {0};
	mqtt_packet(&bytes, first, body);
	mqtt_pair_send(p, buf_bytes(&bytes));
	buf_done(&bytes);
}

void mqtt_pair_hang_up(struct mqtt_pair *p)
{
	p->engine->ops->input_end(p->engine, p->now_ms);
	mqtt_pair_turn(p);
}

void mqtt_pair_wait(struct mqtt_pair *p, uint64_t ms)
{
	uint64_t until = p->now_ms + ms;
	while (p->deadline_ms && p->deadline_ms <= until) {
		p->now_ms = p->deadline_ms;
		mqtt_pair_turn(p);
	}
	p->now_ms = until;
}

bool mqtt_pair_got(struct mqtt_pair *p, const char *text)
{
	struct buf wanted = {0};
	mqtt_bytes(&wanted, text);
	bool same = text_equal(buf_bytes(&wanted), buf_bytes(&p->got));
	buf_done(&wanted);
	buf_clear(&p->got);
	return same;
}

static void pair_put_string(struct buf *out, const char *text)
{
	buf_put_u16(out, (uint16_t)strlen(text));
	buf_append(out, text, strlen(text));
}

void mqtt_connect_bytes(struct buf *out, uint8_t flags, uint16_t keepalive_s, const char *client_id, const char *will,
	const char *user_name)
{
	struct buf body = {0};
	mqtt_bytes(&body, "00 04 'MQTT' 04");
	buf_put_u8(&body, flags);
	buf_put_u16(&body, keepalive_s);
	pair_put_string(&body, client_id);
	if (flags & 0x04)
		mqtt_bytes(&body, will);
	if (flags & 0x80)
		pair_put_string(&body, user_name);
	if (flags & 0x40)
		pair_put_string(&body, "SharedAccessSignature sr=x");
	pair_head(out, 0x10, body.len);
	buf_append(out, body.data, body.len);
	buf_done(&body);
}

void mqtt_pair_connect(struct mqtt_pair *p, uint8_t flags, uint16_t keepalive_s, const char *will)
{
	struct buf bytes = {0};
	mqtt_connect_bytes(&bytes, flags, keepalive_s, "dev1", will, "hub.example.net/dev1/?api-version=2021-04-12");
	mqtt_pair_send(p, buf_bytes(&bytes));
	buf_done(&bytes);
}
