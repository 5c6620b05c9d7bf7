#include "tests/unit/mqtt_pair.h"

#include "src/base/text.h"
#include "transports/mqtt/mqtt.h"

#include <assert.h>

void mqtt_pair_init(struct engine_pair *p, gh_worker *worker)
{
	engine_pair_init(p, worker, &mqtt_transport);
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

void mqtt_pair_packet(struct engine_pair *p, uint8_t first, const char *body)
{
	struct buf bytes = {0};
	mqtt_packet(&bytes, first, body);
	engine_pair_send(p, buf_bytes(&bytes));
	buf_done(&bytes);
}

bool mqtt_pair_got(struct engine_pair *p, const char *text)
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

void mqtt_pair_connect(struct engine_pair *p, uint8_t flags, uint16_t keepalive_s, const char *will)
{
	struct buf bytes = {0};
	mqtt_connect_bytes(&bytes, flags, keepalive_s, "dev1", will, "hub.example.net/dev1/?api-version=2021-04-12");
	engine_pair_send(p, buf_bytes(&bytes));
	buf_done(&bytes);
}
