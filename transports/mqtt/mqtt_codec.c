#include "transports/mqtt/mqtt_codec.h"

#include "src/base/text.h"

enum {
	FLAG_RETAIN = 0x01,
	FLAG_DUP = 0x08,
	CONNECT_RESERVED = 0x01,
	CONNECT_CLEAN = 0x02,
	CONNECT_WILL = 0x04,
	CONNECT_WILL_RETAIN = 0x20,
	CONNECT_PASSWORD = 0x40,
	CONNECT_USER_NAME = 0x80,
	LENGTH_BYTES_MAX = 4, /* [MQTT-2.2.3] */
};

/* ---- parts ---- */

/* A string of the standard: length, UTF-8, no NUL [MQTT-1.5.3-1] [MQTT-1.5.3-2]. */
static bool codec_string(struct reader *r, gh_bytes *ret_text)
{
	gh_bytes text = reader_take(r, reader_u16(r));
	if (r->failed || !text_is_utf8(text) || (text.len && memchr(text.data, 0, text.len)))
		return false;
	*ret_text = text;
	return true;
}

static bool codec_binary(struct reader *r, gh_bytes *ret_bytes)
{
	*ret_bytes = reader_take(r, reader_u16(r));
	return !r->failed;
}

/* Of the packets that must have one [MQTT-2.3.1-1]. */
static bool codec_packet_id(struct reader *r, struct mqtt_packet *packet)
{
	packet->packet_id = reader_u16(r);
	return packet->packet_id != 0;
}

/* ---- packets: each reads the whole body; false = malformed, GH_TOO_LARGE through the status ---- */

/* Which name and level a client speaks decides how the rest is laid out, so an unknown level ends the reading. */
static gh_status codec_connect_level(struct reader *r, uint8_t *ret_level)
{
	gh_bytes name;
	if (!codec_string(r, &name))
		return GH_MALFORMED;
	uint8_t level = reader_u8(r);
	bool is_3_1 = text_equal(name, text_of("MQIsdp"));
	if (r->failed || (!is_3_1 && !text_equal(name, text_of("MQTT"))))
		return GH_MALFORMED;                            /* [MQTT-3.1.2-1] */
	*ret_level = is_3_1 && level == MQTT_LEVEL ? 3 : level; /* that name never meant level 4 */
	return GH_OK;
}

static bool codec_connect_flags(uint8_t flags, struct mqtt_connect *connect)
{
	connect->session_clean = flags & CONNECT_CLEAN;
	connect->will = flags & CONNECT_WILL;
	connect->will_qos = flags >> 3 & 3;
	connect->will_retain = flags & CONNECT_WILL_RETAIN;
	connect->has_user_name = flags & CONNECT_USER_NAME;
	connect->has_password = flags & CONNECT_PASSWORD;
	if (flags & CONNECT_RESERVED || connect->will_qos == 3) /* [MQTT-3.1.2-3] [MQTT-3.1.2-14] */
		return false;
	if (!connect->will && (connect->will_qos || connect->will_retain)) /* [MQTT-3.1.2-13] [MQTT-3.1.2-15] */
		return false;
	return connect->has_user_name || !connect->has_password; /* [MQTT-3.1.2-22] */
}

static gh_status codec_connect(struct reader *r, const gh_limits *limits, struct mqtt_packet *packet)
{
	(void)limits;
	struct mqtt_connect *connect = &packet->connect;
	*connect = (struct mqtt_connect){0};
	gh_status status = codec_connect_level(r, &connect->level);
	if (status != GH_OK)
		return status;
	if (connect->level != MQTT_LEVEL) {
		reader_take(r, reader_left(r));
		return GH_OK;
	}
	if (!codec_connect_flags(reader_u8(r), connect))
		return GH_MALFORMED;
	connect->keepalive_s = reader_u16(r);
	if (!codec_string(r, &connect->client_id))
		return GH_MALFORMED;
	if (connect->will && (!codec_string(r, &connect->will_topic) || !codec_binary(r, &connect->will_body)))
		return GH_MALFORMED;
	if (connect->will && connect->will_topic.len == 0) /* [MQTT-4.7.3-1] */
		return GH_MALFORMED;
	if (connect->has_user_name && !codec_string(r, &connect->user_name))
		return GH_MALFORMED;
	if (connect->has_password && !codec_binary(r, &connect->password))
		return GH_MALFORMED;
	return GH_OK;
}

static gh_status codec_publish(struct reader *r, const gh_limits *limits, struct mqtt_packet *packet)
{
	(void)limits;
	struct mqtt_publish *publish = &packet->publish;
	if (!codec_string(r, &publish->topic) || publish->topic.len == 0) /* [MQTT-4.7.3-1] */
		return GH_MALFORMED;
	if (packet->qos > 0 && !codec_packet_id(r, packet))
		return GH_MALFORMED;
	publish->body = reader_take(r, reader_left(r));
	return GH_OK;
}

static gh_status codec_id_only(struct reader *r, const gh_limits *limits, struct mqtt_packet *packet)
{
	(void)limits;
	return codec_packet_id(r, packet) ? GH_OK : GH_MALFORMED;
}

static gh_status codec_empty(struct reader *r, const gh_limits *limits, struct mqtt_packet *packet)
{
	(void)r, (void)limits, (void)packet;
	return GH_OK;
}

/* One filter, and the requested QoS behind it when it is a SUBSCRIBE. */
static bool codec_filter(enum mqtt_type type, struct reader *r, gh_bytes *ret_filter, uint8_t *ret_qos)
{
	if (!codec_string(r, ret_filter) || ret_filter->len == 0) /* [MQTT-4.7.3-1] */
		return false;
	*ret_qos = type == MQTT_SUBSCRIBE ? reader_u8(r) : 0;
	return !r->failed && *ret_qos <= 2; /* [MQTT-3-8.3-4] */
}

static gh_status codec_filters(struct reader *r, const gh_limits *limits, struct mqtt_packet *packet)
{
	if (!codec_packet_id(r, packet))
		return GH_MALFORMED;
	packet->filters = (gh_bytes){r->at, reader_left(r)};
	for (size_t count = 0; reader_left(r) > 0; count++) {
		gh_bytes filter;
		uint8_t qos;
		if (count == limits->mqtt_filters_max)
			return GH_TOO_LARGE;
		if (!codec_filter(packet->type, r, &filter, &qos))
			return GH_MALFORMED;
	}
	return packet->filters.len ? GH_OK : GH_MALFORMED; /* [MQTT-3.8.3-3] [MQTT-3.10.3-2] */
}

/* What a client may send: fixed flags (PUBLISH has its own), bounds of the remaining length, the reader of the body. */
static const struct codec_row {
	uint8_t flags;
	bool flags_free;
	uint32_t len_min;
	uint32_t len_max; /* 0 = a configured limit */
	gh_status (*read)(struct reader *r, const gh_limits *limits, struct mqtt_packet *packet);
} codec_table[MQTT_TYPE_COUNT] = {
	[MQTT_CONNECT] = {0, false, 7, 0, codec_connect},     /* 3.1 */
	[MQTT_PUBLISH] = {0, true, 3, 0, codec_publish},      /* 3.3 */
	[MQTT_PUBACK] = {0, false, 2, 2, codec_id_only},      /* 3.4 */
	[MQTT_PUBREC] = {0, false, 2, 2, codec_id_only},      /* 3.5 */
	[MQTT_PUBREL] = {2, false, 2, 2, codec_id_only},      /* 3.6 */
	[MQTT_PUBCOMP] = {0, false, 2, 2, codec_id_only},     /* 3.7 */
	[MQTT_SUBSCRIBE] = {2, false, 6, 0, codec_filters},   /* 3.8 */
	[MQTT_UNSUBSCRIBE] = {2, false, 5, 0, codec_filters}, /* 3.10 */
	[MQTT_PINGREQ] = {0, false, 0, 0, codec_empty},       /* 3.12 */
	[MQTT_DISCONNECT] = {0, false, 0, 0, codec_empty},    /* 3.14 */
};

/* ---- framing ---- */

static bool codec_flags_allowed(const struct codec_row *row, uint8_t flags)
{
	if (!row->flags_free)
		return flags == row->flags; /* [MQTT-2.2.2-2] */
	unsigned qos = flags >> 1 & 3;
	return qos != 3 && (qos != 0 || !(flags & FLAG_DUP)); /* [MQTT-3.3.1-4] [MQTT-3.3.1-2] */
}

static gh_status codec_remaining_check(const struct codec_row *row, size_t remaining, const gh_limits *limits)
{
	if (row->read == codec_empty)
		return remaining == 0 ? GH_OK : GH_MALFORMED;
	if (row->len_max)
		return remaining >= row->len_min && remaining <= row->len_max ? GH_OK : GH_MALFORMED;
	if (remaining > (row->read == codec_connect ? limits->mqtt_connect_bytes_max : limits->mqtt_packet_bytes_max))
		return GH_TOO_LARGE;
	return remaining >= row->len_min ? GH_OK : GH_MALFORMED;
}

/* First byte and remaining length; *ret_head is their size. */
static gh_status codec_head(gh_bytes bytes, const gh_limits *limits, size_t *ret_head, size_t *ret_len)
{
	if (bytes.len == 0)
		return GH_AGAIN;
	const struct codec_row *row = &codec_table[bytes.data[0] >> 4];
	if (!row->read || !codec_flags_allowed(row, bytes.data[0] & 0x0f))
		return GH_MALFORMED;
	size_t remaining = 0;
	for (size_t i = 0; i < LENGTH_BYTES_MAX; i++) {
		if (bytes.len < i + 2)
			return GH_AGAIN;
		uint8_t byte = bytes.data[i + 1];
		remaining |= (size_t)(byte & 0x7f) << (7 * i);
		if (byte & 0x80)
			continue;
		gh_status status = codec_remaining_check(row, remaining, limits);
		if (status != GH_OK)
			return status;
		*ret_head = i + 2;
		*ret_len = i + 2 + remaining;
		return GH_OK;
	}
	return GH_MALFORMED;
}

gh_status mqtt_codec_length(gh_bytes bytes, const gh_limits *limits, size_t *ret_len)
{
	size_t head;
	return codec_head(bytes, limits, &head, ret_len);
}

gh_status mqtt_codec_next(gh_bytes bytes, const gh_limits *limits, struct mqtt_packet *ret_packet, size_t *ret_used)
{
	size_t head, len;
	gh_status status = codec_head(bytes, limits, &head, &len);
	if (status != GH_OK)
		return status;
	if (bytes.len < len)
		return GH_AGAIN;
	uint8_t first = bytes.data[0];
	struct mqtt_packet packet;
	packet.type = first >> 4;
	packet.packet_id = 0;
	packet.qos = packet.type == MQTT_PUBLISH ? first >> 1 & 3 : 0;
	packet.dup = packet.type == MQTT_PUBLISH && first & FLAG_DUP;
	packet.retain = packet.type == MQTT_PUBLISH && first & FLAG_RETAIN;
	struct reader r = reader_of((gh_bytes){bytes.data + head, len - head});
	status = codec_table[packet.type].read(&r, limits, &packet);
	if (status == GH_OK && (r.failed || reader_left(&r) > 0))
		status = GH_MALFORMED;
	if (status != GH_OK)
		return status;
	*ret_packet = packet;
	*ret_used = len;
	return GH_OK;
}

bool mqtt_codec_filter(enum mqtt_type type, gh_bytes *filters, gh_bytes *ret_filter, uint8_t *ret_qos)
{
	struct reader r = reader_of(*filters);
	if (filters->len == 0 || !codec_filter(type, &r, ret_filter, ret_qos))
		return false;
	*filters = (gh_bytes){r.at, reader_left(&r)};
	return true;
}

/* ---- what the server says ---- */

void mqtt_codec_put_connack(struct buf *out, enum mqtt_connack code, bool session_present)
{
	uint8_t bytes[] = {MQTT_CONNACK << 4, 2, session_present && code == MQTT_CONNACK_ACCEPTED, (uint8_t)code};
	buf_append(out, bytes, sizeof bytes);
}

void mqtt_codec_put_connack_5(struct buf *out)
{
	static const uint8_t bytes[] = {MQTT_CONNACK << 4, 3, 0, 0x84, 0};
	buf_append(out, bytes, sizeof bytes);
}

static void codec_put_id_only(struct buf *out, enum mqtt_type type, uint16_t packet_id)
{
	uint8_t bytes[] = {(uint8_t)(type << 4), 2, (uint8_t)(packet_id >> 8), (uint8_t)packet_id};
	buf_append(out, bytes, sizeof bytes);
}

void mqtt_codec_put_puback(struct buf *out, uint16_t packet_id)
{
	codec_put_id_only(out, MQTT_PUBACK, packet_id);
}

void mqtt_codec_put_suback(struct buf *out, uint16_t packet_id, gh_bytes codes)
{
	buf_put_u8(out, MQTT_SUBACK << 4);
	size_t remaining = 2 + codes.len;
	for (; remaining >= 0x80; remaining >>= 7)
		buf_put_u8(out, (uint8_t)(remaining | 0x80));
	buf_put_u8(out, (uint8_t)remaining);
	buf_put_u16(out, packet_id);
	buf_append(out, codes.data, codes.len);
}

void mqtt_codec_put_unsuback(struct buf *out, uint16_t packet_id)
{
	codec_put_id_only(out, MQTT_UNSUBACK, packet_id);
}

void mqtt_codec_put_pingresp(struct buf *out)
{
	static const uint8_t bytes[] = {MQTT_PINGRESP << 4, 0};
	buf_append(out, bytes, sizeof bytes);
}
