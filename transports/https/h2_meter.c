#include "transports/https/h2_meter.h"

#include <nghttp2/nghttp2.h>

enum {
	/* A client updates two windows for each DATA frame, some for each part of one they read; and as it opens a stream. */
	METER_CREDIT_PER_DATA = 10,
	METER_CREDIT_PER_STREAM = 2,
};

void h2_meter_init(struct h2_meter *m)
{
	*m = (struct h2_meter){.left = NGHTTP2_CLIENT_MAGIC_LEN};
}

/* ---- frames ---- */

static void meter_begin(struct h2_meter *m)
{
	const uint8_t *head = m->head;
	m->frame = (struct h2_frame){
		.len = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2],
		.type = head[3],
		.flags = head[4],
		.stream_id =
			(uint32_t)(head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8],
	};
	m->left = m->frame.len;
	m->head_len = 0;
}

size_t h2_meter_cut(struct h2_meter *m, gh_bytes bytes, enum h2_piece *ret_piece)
{
	size_t n;
	if (m->left > 0) {
		n = bytes.len < m->left ? bytes.len : m->left;
		m->left -= (uint32_t)n;
		*ret_piece = H2_PIECE_PAYLOAD;
		return n;
	}
	for (n = 0; n < bytes.len && m->head_len < H2_FRAME_HEAD_BYTES; n++)
		m->head[m->head_len++] = bytes.data[n];
	*ret_piece = m->head_len < H2_FRAME_HEAD_BYTES ? H2_PIECE_NONE : H2_PIECE_HEAD;
	if (*ret_piece == H2_PIECE_HEAD)
		meter_begin(m);
	return n;
}

/* ---- counts ---- */

static void rate_move(struct h2_rate *r, uint64_t second)
{
	uint64_t gap = second - r->second;
	for (uint64_t i = 1; i <= gap && i <= H2_METER_SECONDS; i++) {
		uint32_t *slot = &r->slots[(r->second + i) % H2_METER_SECONDS];
		r->sum -= *slot;
		*slot = 0;
	}
	r->second = second;
}

/* One more; returns how many there were lately. */
static uint32_t rate_add(struct h2_rate *r, uint64_t now_ms)
{
	uint64_t second = now_ms / 1000;
	rate_move(r, second);
	r->slots[second % H2_METER_SECONDS]++;
	return ++r->sum;
}

const char *h2_meter_odd(struct h2_meter *m, const gh_limits *limits, uint64_t now_ms)
{
	return rate_add(&m->odd, now_ms) > limits->http2_odd_frames_max ? "odd_frames" : NULL;
}

const char *h2_meter_reset(struct h2_meter *m, const gh_limits *limits, uint64_t now_ms)
{
	return rate_add(&m->resets, now_ms) > limits->http2_resets_max ? "resets" : NULL;
}

/* Credit is no savings account: more than the odd frames one may send at once is never put by. */
static void meter_credit(struct h2_meter *m, const gh_limits *limits, uint32_t more)
{
	m->credit += more;
	if (m->credit > limits->http2_odd_frames_max)
		m->credit = (uint32_t)limits->http2_odd_frames_max;
}

void h2_meter_answered(struct h2_meter *m, const gh_limits *limits)
{
	meter_credit(m, limits, METER_CREDIT_PER_DATA);
}

bool h2_meter_is_new(const struct h2_meter *m, uint32_t stream_id)
{
	return stream_id > m->newest_id;
}

static const char *meter_headers(struct h2_meter *m, const gh_limits *limits, bool serves, uint64_t now_ms)
{
	m->continuations = 0;
	if (h2_meter_is_new(m, m->frame.stream_id))
		m->newest_id = m->frame.stream_id;
	if (!serves)
		return h2_meter_odd(m, limits, now_ms);
	meter_credit(m, limits, METER_CREDIT_PER_STREAM);
	return NULL;
}

static const char *meter_data(struct h2_meter *m, const gh_limits *limits, uint64_t now_ms)
{
	bool carries = m->frame.len > 0 || (m->frame.flags & NGHTTP2_FLAG_END_STREAM);
	return carries ? NULL : h2_meter_odd(m, limits, now_ms);
}

static const char *meter_window_update(struct h2_meter *m, const gh_limits *limits, uint64_t now_ms)
{
	if (m->credit == 0)
		return h2_meter_odd(m, limits, now_ms);
	m->credit--;
	return NULL;
}

const char *h2_meter_frame(struct h2_meter *m, const gh_limits *limits, bool serves, uint64_t now_ms)
{
	switch (m->frame.type) {
	case NGHTTP2_DATA:
		return meter_data(m, limits, now_ms);
	case NGHTTP2_HEADERS:
		return meter_headers(m, limits, serves, now_ms);
	case NGHTTP2_CONTINUATION:
		return ++m->continuations > limits->http2_continuations_max ? "continuations" : NULL;
	case NGHTTP2_RST_STREAM:
		return h2_meter_reset(m, limits, now_ms);
	case NGHTTP2_WINDOW_UPDATE:
		return meter_window_update(m, limits, now_ms);
	default:
		return h2_meter_odd(m, limits, now_ms);
	}
}
