#include "tests/bench/load_amqp.h"

#include "src/base/text.h"
#include "src/wire/amqp_value.h"

#include <stdarg.h>
#include <stdio.h>

enum {
	HEAD_BYTES = 8, /* of a frame, and a protocol header */
	FRAME_AMQP = 0,
	FRAME_SASL = 1,
	PROTOCOL_SASL = 3,

	PERFORMATIVE_OPEN = 0x10,
	PERFORMATIVE_BEGIN = 0x11,
	PERFORMATIVE_ATTACH = 0x12,
	PERFORMATIVE_FLOW = 0x13,
	PERFORMATIVE_TRANSFER = 0x14,
	PERFORMATIVE_DISPOSITION = 0x15,
	PERFORMATIVE_CLOSE = 0x18,
	SOURCE = 0x28,
	TARGET = 0x29,
	STATE_ACCEPTED = 0x24,
	SASL_MECHANISMS = 0x40,
	SASL_INIT = 0x41,
	SASL_OUTCOME = 0x44,
	MESSAGE_HEADER = 0x70,
	MESSAGE_PROPERTIES = 0x73,
	MESSAGE_APPLICATION = 0x74,
	MESSAGE_DATA = 0x75,
};

/* ---- what a client says, encoded once ---- */

static void amqp_put_header(struct buf *b, uint8_t protocol)
{
	buf_append(b, "AMQP", 4);
	buf_append(b, (uint8_t[]){protocol, 1, 0, 0}, 4);
}

static size_t amqp_open_frame(struct buf *b, uint8_t type)
{
	size_t at = b->len;
	buf_put_u32(b, 0);
	buf_append(b, (uint8_t[]){2, type, 0, 0}, 4);
	return at;
}

static void amqp_close_frame(struct buf *b, size_t at)
{
	uint32_t size = (uint32_t)(b->len - at);
	if (b->failed)
		return;
	for (unsigned i = 0; i < 4; i++)
		b->data[at + i] = (uint8_t)(size >> (24 - 8 * i));
}

static size_t amqp_open_list(struct buf *b, uint64_t descriptor)
{
	amqp_value_put_descriptor(b, descriptor);
	return amqp_value_open(b);
}

static void amqp_put_nulls(struct buf *b, unsigned n)
{
	while (n--)
		amqp_value_put_null(b);
}

static void amqp_prepare_login(struct buf *b, gh_bytes user, gh_bytes password)
{
	struct buf plain = {0};
	buf_put_u8(&plain, 0);
	buf_append(&plain, user.data, user.len);
	buf_put_u8(&plain, 0);
	buf_append(&plain, password.data, password.len);
	amqp_put_header(b, PROTOCOL_SASL);
	size_t frame = amqp_open_frame(b, FRAME_SASL), init = amqp_open_list(b, SASL_INIT);
	amqp_value_put_symbol(b, text_of("PLAIN"));
	amqp_value_put_binary(b, buf_bytes(&plain));
	amqp_value_close_list(b, init, 2);
	amqp_close_frame(b, frame);
	b->failed |= plain.failed;
	buf_done(&plain);
}

static void amqp_put_open(struct buf *b)
{
	size_t frame = amqp_open_frame(b, FRAME_AMQP), list = amqp_open_list(b, PERFORMATIVE_OPEN);
	amqp_value_put_string(b, text_of("load"));
	amqp_value_put_string(b, text_of("localhost"));
	amqp_value_put_uint(b, LOAD_AMQP_FRAME_BYTES_MAX);
	amqp_value_close_list(b, list, 3);
	amqp_close_frame(b, frame);
}

static void amqp_put_begin(struct buf *b)
{
	size_t frame = amqp_open_frame(b, FRAME_AMQP), list = amqp_open_list(b, PERFORMATIVE_BEGIN);
	amqp_put_nulls(b, 1);          /* remote-channel */
	amqp_value_put_uint(b, 0);     /* next-outgoing-id */
	amqp_value_put_uint(b, 2048);  /* incoming-window */
	amqp_value_put_uint(b, 65536); /* outgoing-window */
	amqp_value_close_list(b, list, 4);
	amqp_close_frame(b, frame);
}

static void amqp_put_attach(struct buf *b, gh_bytes address)
{
	size_t frame = amqp_open_frame(b, FRAME_AMQP), list = amqp_open_list(b, PERFORMATIVE_ATTACH);
	amqp_value_put_string(b, text_of("load-sender"));
	amqp_value_put_uint(b, 0);        /* handle */
	amqp_value_put_boolean(b, false); /* role: sender */
	amqp_value_put_ubyte(b, 0);       /* snd-settle-mode: unsettled */
	amqp_value_put_ubyte(b, 0);       /* rcv-settle-mode: first */
	size_t source = amqp_open_list(b, SOURCE);
	amqp_value_put_string(b, text_of("load"));
	amqp_value_close_list(b, source, 1);
	size_t target = amqp_open_list(b, TARGET);
	amqp_value_put_string(b, address);
	amqp_value_close_list(b, target, 1);
	amqp_put_nulls(b, 2);      /* unsettled, incomplete-unsettled */
	amqp_value_put_uint(b, 0); /* initial-delivery-count */
	amqp_value_close_list(b, list, 10);
	amqp_close_frame(b, frame);
}

/* Returns where the digits of the property are. */
static size_t amqp_put_sections(struct buf *b)
{
	size_t header = amqp_open_list(b, MESSAGE_HEADER);
	amqp_value_put_boolean(b, true); /* durable */
	amqp_value_close_list(b, header, 1);
	size_t properties = amqp_open_list(b, MESSAGE_PROPERTIES);
	amqp_put_nulls(b, 6);
	amqp_value_put_symbol(b, text_of("text/plain")); /* content-type */
	amqp_value_close_list(b, properties, 7);
	amqp_value_put_descriptor(b, MESSAGE_APPLICATION);
	size_t map = amqp_value_open(b);
	amqp_value_put_string(b, text_of("seq"));
	amqp_value_put_string(b, text_of("0000000000"));
	amqp_value_close_map(b, map, 2);
	return b->len - LOAD_AMQP_DIGITS;
}

/* Ids always have four bytes here, so that they can be patched. */
static void amqp_prepare_transfer(struct load_amqp *a, gh_bytes body, size_t digits_at)
{
	static const uint8_t uint_code = 0x70, tag_head[] = {0xa0, 4};
	struct buf *b = &a->transfer;
	size_t frame = amqp_open_frame(b, FRAME_AMQP), list = amqp_open_list(b, PERFORMATIVE_TRANSFER);
	amqp_value_put_uint(b, 0); /* handle */
	buf_put_u8(b, uint_code);
	size_t id = b->len;
	buf_put_u32(b, 0);
	buf_append(b, tag_head, sizeof tag_head);
	size_t tag = b->len;
	buf_put_u32(b, 0);
	amqp_value_put_uint(b, 0); /* message-format */
	size_t before = b->len;
	amqp_value_close_list(b, list, 4);
	size_t moved = before - b->len; /* the list had a smaller head than was kept for it */
	a->id_at = id - moved;
	a->tag_at = tag - moved;
	a->property_digits_at = amqp_put_sections(b);
	amqp_value_put_descriptor(b, MESSAGE_DATA);
	amqp_value_put_binary(b, body);
	a->body_digits_at = b->len - body.len + digits_at;
	amqp_close_frame(b, frame);
}

bool load_amqp_init(struct load_amqp *a, const struct load_amqp_words *words)
{
	amqp_prepare_login(&a->login, words->user, words->password);
	amqp_put_header(&a->hello, 0);
	amqp_put_open(&a->hello);
	amqp_put_begin(&a->hello);
	amqp_put_attach(&a->hello, words->address);
	amqp_prepare_transfer(a, words->body, words->body_digits_at);
	return !a->login.failed && !a->hello.failed && !a->transfer.failed;
}

void load_amqp_done(struct load_amqp *a)
{
	buf_done(&a->login);
	buf_done(&a->hello);
	buf_done(&a->transfer);
	buf_done(&a->held);
}

void load_amqp_start(struct load_amqp *a, struct buf *out)
{
	a->state = LOAD_AMQP_SASL;
	a->credit_end = a->window_end = 0;
	buf_clear(&a->held);
	buf_append(out, a->login.data, a->login.len);
}

bool load_amqp_has_room(const struct load_amqp *a, uint32_t id)
{
	return a->state == LOAD_AMQP_ATTACHED && (int32_t)(a->credit_end - id) > 0 && (int32_t)(a->window_end - id) > 0;
}

static void amqp_patch_u32(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 24);
	at[1] = (uint8_t)(value >> 16);
	at[2] = (uint8_t)(value >> 8);
	at[3] = (uint8_t)value;
}

gh_bytes load_amqp_transfer(struct load_amqp *a, uint32_t id, const uint8_t digits[LOAD_AMQP_DIGITS])
{
	uint8_t *p = a->transfer.data;
	amqp_patch_u32(p + a->id_at, id);
	amqp_patch_u32(p + a->tag_at, id);
	memcpy(p + a->property_digits_at, digits, LOAD_AMQP_DIGITS);
	memcpy(p + a->body_digits_at, digits, LOAD_AMQP_DIGITS);
	return buf_bytes(&a->transfer);
}

void load_amqp_close(struct load_amqp *a, struct buf *out)
{
	size_t frame = amqp_open_frame(out, FRAME_AMQP);
	amqp_value_close_list(out, amqp_open_list(out, PERFORMATIVE_CLOSE), 0);
	amqp_close_frame(out, frame);
	a->state = LOAD_AMQP_CLOSED;
}

/* ---- what the server says ---- */

static enum load_amqp_event amqp_fault(struct load_amqp *a, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static enum load_amqp_event amqp_fault(struct load_amqp *a, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(a->fault, sizeof a->fault, format, arguments);
	va_end(arguments);
	return LOAD_AMQP_FAULT;
}

enum { FIELDS_MAX = 12 };

/* The fields of a performative; those that were left out are null. */
static bool amqp_read_fields(struct amqp_items items, struct amqp_value ret_fields[FIELDS_MAX])
{
	for (unsigned i = 0; i < FIELDS_MAX; i++)
		ret_fields[i] = (struct amqp_value){.type = AMQP_NULL};
	struct amqp_value v;
	for (unsigned i = 0; amqp_value_next(&items, &v); i++)
		if (i < FIELDS_MAX)
			ret_fields[i] = v;
	return !items.bytes.failed;
}

static uint32_t amqp_number(const struct amqp_value *v, uint32_t otherwise)
{
	return v->type == AMQP_NULL ? otherwise : (uint32_t)v->number;
}

static enum load_amqp_event on_mechanisms(
	struct load_amqp *a, const struct amqp_value *fields, struct load_amqp_range *ret_accepted)
{
	(void)a, (void)fields, (void)ret_accepted;
	return LOAD_AMQP_MORE; /* the init is on its way already */
}

static enum load_amqp_event on_outcome(
	struct load_amqp *a, const struct amqp_value *fields, struct load_amqp_range *ret_accepted)
{
	(void)ret_accepted;
	if (fields[0].type != AMQP_UBYTE || fields[0].number != 0)
		return amqp_fault(a, "SASL refused: code %u", (unsigned)fields[0].number);
	a->state = LOAD_AMQP_HEADER;
	return LOAD_AMQP_MORE;
}

static enum load_amqp_event on_open(
	struct load_amqp *a, const struct amqp_value *fields, struct load_amqp_range *ret_accepted)
{
	(void)ret_accepted;
	uint32_t frame_max = amqp_number(&fields[2], UINT32_MAX);
	if (a->transfer.len > frame_max)
		return amqp_fault(a, "a message does not fit into a frame of %u bytes", frame_max);
	return LOAD_AMQP_MORE;
}

static enum load_amqp_event on_begin(
	struct load_amqp *a, const struct amqp_value *fields, struct load_amqp_range *ret_accepted)
{
	(void)ret_accepted;
	a->window_end = amqp_number(&fields[2], 0);
	return LOAD_AMQP_MORE;
}

/* Without a target it is a refusal, and a detach says why. */
static enum load_amqp_event on_attach(
	struct load_amqp *a, const struct amqp_value *fields, struct load_amqp_range *ret_accepted)
{
	(void)ret_accepted;
	if (a->state != LOAD_AMQP_OPENING || fields[6].type == AMQP_NULL)
		return LOAD_AMQP_MORE;
	a->state = LOAD_AMQP_ATTACHED;
	return LOAD_AMQP_UP;
}

static enum load_amqp_event on_flow(
	struct load_amqp *a, const struct amqp_value *fields, struct load_amqp_range *ret_accepted)
{
	(void)ret_accepted;
	a->window_end = amqp_number(&fields[0], 0) + amqp_number(&fields[1], 0);
	if (fields[4].type != AMQP_NULL)
		a->credit_end = amqp_number(&fields[5], 0) + amqp_number(&fields[6], 0);
	return a->state == LOAD_AMQP_ATTACHED ? LOAD_AMQP_ROOM : LOAD_AMQP_MORE;
}

static enum load_amqp_event on_disposition(
	struct load_amqp *a, const struct amqp_value *fields, struct load_amqp_range *ret_accepted)
{
	bool by_receiver = fields[0].type == AMQP_BOOLEAN && fields[0].number;
	bool settled = fields[3].type == AMQP_BOOLEAN && fields[3].number;
	uint32_t first = amqp_number(&fields[1], 0);
	if (!by_receiver || !settled || fields[1].type != AMQP_UINT)
		return amqp_fault(a, "a disposition that settles nothing of ours");
	if (fields[4].descriptor.code != STATE_ACCEPTED)
		return amqp_fault(a, "delivery %u has outcome %#x", first, (unsigned)fields[4].descriptor.code);
	*ret_accepted = (struct load_amqp_range){first, amqp_number(&fields[2], first)};
	return LOAD_AMQP_ACCEPTED;
}

static const struct {
	uint8_t type, code;
	enum load_amqp_event (*handle)(
		struct load_amqp *a, const struct amqp_value *fields, struct load_amqp_range *ret_accepted);
} amqp_handlers[] = {
	{FRAME_AMQP, PERFORMATIVE_DISPOSITION, on_disposition},
	{FRAME_AMQP, PERFORMATIVE_FLOW, on_flow},
	{FRAME_SASL, SASL_MECHANISMS, on_mechanisms},
	{FRAME_SASL, SASL_OUTCOME, on_outcome},
	{FRAME_AMQP, PERFORMATIVE_OPEN, on_open},
	{FRAME_AMQP, PERFORMATIVE_BEGIN, on_begin},
	{FRAME_AMQP, PERFORMATIVE_ATTACH, on_attach},
};

/* A detach, an end or a close: what its error, the last of its fields, says. */
static enum load_amqp_event amqp_refused(struct load_amqp *a, unsigned code, const struct amqp_value *fields)
{
	struct amqp_value error[FIELDS_MAX];
	for (unsigned i = 0; i < 3; i++)
		if (fields[i].type == AMQP_LIST && amqp_read_fields(fields[i].items, error) &&
			error[0].type == AMQP_SYMBOL)
			return amqp_fault(a, "the server says %#x: %.*s", code, (int)error[0].bytes.len,
				(const char *)error[0].bytes.data);
	return amqp_fault(a, "the server says %#x", code);
}

static enum load_amqp_event amqp_take(
	struct load_amqp *a, gh_bytes frame, struct buf *out, struct load_amqp_range *ret_accepted)
{
	struct amqp_value v, fields[FIELDS_MAX];
	if (memcmp(frame.data, "AMQP", 4) == 0) {
		if (a->state == LOAD_AMQP_HEADER)
			a->state = LOAD_AMQP_OPENING;
		return LOAD_AMQP_MORE;
	}
	size_t offset = frame.data[4] * 4u;
	struct reader r = reader_of((gh_bytes){frame.data + offset, frame.len - offset});
	if (reader_left(&r) == 0)
		return LOAD_AMQP_MORE; /* a heartbeat */
	if (!amqp_value_read(&r, &v) || v.type != AMQP_LIST || !amqp_read_fields(v.items, fields))
		return amqp_fault(a, "a frame is malformed");
	for (size_t i = 0; i < sizeof amqp_handlers / sizeof *amqp_handlers; i++)
		if (amqp_handlers[i].type == frame.data[5] && amqp_handlers[i].code == v.descriptor.code) {
			enum load_amqp_state before = a->state;
			enum load_amqp_event event = amqp_handlers[i].handle(a, fields, ret_accepted);
			if (before == LOAD_AMQP_SASL && a->state == LOAD_AMQP_HEADER)
				buf_append(out, a->hello.data, a->hello.len);
			return event;
		}
	return amqp_refused(a, (unsigned)v.descriptor.code, fields);
}

/* Of the frame or protocol header that begins so; 0 = it cannot be one. */
static size_t amqp_frame_size(const uint8_t *head)
{
	size_t size = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	if (memcmp(head, "AMQP", 4) == 0)
		return HEAD_BYTES;
	return size > LOAD_AMQP_FRAME_BYTES_MAX || head[4] < 2 || head[4] * 4u > size ? 0 : size;
}

/* Takes bytes into held until it has so many. */
static bool amqp_gather(struct load_amqp *a, gh_bytes *bytes, size_t wanted)
{
	size_t n = wanted > a->held.len ? wanted - a->held.len : 0;
	if (n > bytes->len)
		n = bytes->len;
	buf_append(&a->held, bytes->data, n);
	*bytes = (gh_bytes){bytes->data + n, bytes->len - n};
	return a->held.len >= wanted;
}

static enum load_amqp_event amqp_take_held(
	struct load_amqp *a, gh_bytes *bytes, struct buf *out, struct load_amqp_range *ret_accepted)
{
	if (!amqp_gather(a, bytes, HEAD_BYTES))
		return LOAD_AMQP_MORE;
	size_t size = amqp_frame_size(a->held.data);
	if (size == 0)
		return amqp_fault(a, "that is no frame");
	if (!amqp_gather(a, bytes, size))
		return LOAD_AMQP_MORE;
	enum load_amqp_event event = amqp_take(a, buf_bytes(&a->held), out, ret_accepted);
	buf_clear(&a->held);
	return event;
}

static enum load_amqp_event amqp_take_whole(
	struct load_amqp *a, gh_bytes *bytes, struct buf *out, struct load_amqp_range *ret_accepted)
{
	size_t size = bytes->len < HEAD_BYTES ? SIZE_MAX : amqp_frame_size(bytes->data);
	if (size == 0)
		return amqp_fault(a, "that is no frame");
	if (size > bytes->len)
		return amqp_take_held(a, bytes, out, ret_accepted);
	gh_bytes frame = {bytes->data, size};
	*bytes = (gh_bytes){bytes->data + size, bytes->len - size};
	return amqp_take(a, frame, out, ret_accepted);
}

enum load_amqp_event load_amqp_next(
	struct load_amqp *a, gh_bytes *bytes, struct buf *out, struct load_amqp_range *ret_accepted)
{
	enum load_amqp_event event = LOAD_AMQP_MORE;
	if (a->state == LOAD_AMQP_CLOSED)
		bytes->len = 0;
	while (event == LOAD_AMQP_MORE && bytes->len > 0)
		event = a->held.len ? amqp_take_held(a, bytes, out, ret_accepted)
				    : amqp_take_whole(a, bytes, out, ret_accepted);
	return event;
}
