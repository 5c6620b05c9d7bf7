#include "transports/amqp/amqp_frames.h"

#include "src/wire/amqp_value.h"

#include <assert.h>

enum {
	FRAME_AMQP = 0,
	FRAME_SASL = 1,
	PERFORMATIVE_OPEN = 0x10,
	PERFORMATIVE_CLOSE = 0x18,
	PERFORMATIVE_SASL_INIT = 0x41,
};

void amqp_frames_init(struct amqp_frames *f, uint32_t frame_max, size_t places_max)
{
	*f = (struct amqp_frames){.frame_max = frame_max, .places_max = places_max};
}

void amqp_frames_done(struct amqp_frames *f)
{
	buf_done(&f->held);
	amqp_places_done(&f->places);
}

static gh_status frames_fault(
	struct amqp_frames *f, gh_status status, const char *code, const char *text, gh_error *ret_err)
{
	f->stage = AMQP_FRAMES_OVER;
	buf_done(&f->held);
	return gh_fail(ret_err, status, code, "%s", text);
}

/* ---- depth ---- */

static bool frames_is_compound(const struct amqp_value *v)
{
	return v->type == AMQP_LIST || v->type == AMQP_MAP || v->type == AMQP_ARRAY;
}

/* Walks all values with a stack of its own.  False: malformed, or too deep. */
static bool frames_is_shallow(const struct amqp_value *outermost)
{
	struct amqp_items stack[AMQP_FRAMES_DEPTH_MAX];
	size_t depth = 0;
	struct amqp_value v;
	if (!frames_is_compound(outermost))
		return true;
	stack[depth++] = outermost->items;
	while (depth > 0) {
		if (!amqp_value_next(&stack[depth - 1], &v)) {
			if (stack[depth - 1].bytes.failed)
				return false;
			depth--;
			continue;
		}
		if (!frames_is_compound(&v))
			continue;
		if (depth == AMQP_FRAMES_DEPTH_MAX)
			return false;
		stack[depth++] = v.items;
	}
	return true;
}

/* ---- what a performative says ---- */

/* One on its way through its judge. */
struct frames_look {
	struct amqp_frames *f;
	uint16_t channel;
	struct amqp_items items;
	struct amqp_frame *frame;
	bool late; /* not passed on, and no fault */
	gh_error *err;
};

static gh_status look_fault(struct frames_look *look, gh_status status, const char *code, const char *text)
{
	return frames_fault(look->f, status, code, text, look->err);
}

/* The first n fields have these types, where null stands for those left out.  What is described is another type, but for
 * the list of a delivery's state. */
static bool look_fields(struct frames_look *look, const unsigned *types, size_t n, struct amqp_value *ret_fields)
{
	for (size_t i = 0; i < n; i++) {
		struct amqp_value *v = &ret_fields[i];
		if (!amqp_value_next(&look->items, v))
			*v = (struct amqp_value){.type = AMQP_NULL};
		if (!(v->type & types[i]) || (v->descriptor.depth > 0) != (v->type == AMQP_LIST))
			return false;
	}
	return !look->items.bytes.failed;
}

static gh_status frames_add_place(struct frames_look *look, uint64_t key, bool sends)
{
	struct amqp_places *places = &look->f->places;
	if (places->count >= look->f->places_max)
		return look_fault(look, GH_QUOTA, "amqp_links_max", "too many sessions and links on one connection");
	if (!amqp_places_add(places, key, sends))
		return look_fault(look, GH_NO_MEMORY, "no_memory", "no memory for a link");
	return GH_OK;
}

static bool look_has_session(const struct frames_look *look)
{
	return amqp_places_find(&look->f->places, amqp_places_session(look->channel));
}

static gh_status frames_open(struct frames_look *look)
{
	look->f->stage = AMQP_FRAMES_OPEN;
	return GH_OK;
}

static gh_status frames_close(struct frames_look *look)
{
	look->f->stage = AMQP_FRAMES_OVER;
	return GH_OK;
}

/* Nobody answers a session we began: we begin none. */
static gh_status frames_begin(struct frames_look *look)
{
	static const unsigned types[] = {AMQP_NULL | AMQP_USHORT};
	struct amqp_value remote_channel;
	if (!look_fields(look, types, 1, &remote_channel))
		return look_fault(look, GH_MALFORMED, "amqp_begin", "a begin is malformed");
	if (remote_channel.type != AMQP_NULL || look_has_session(look))
		return look_fault(look, GH_INVALID, "amqp_order", "a session is begun twice");
	return frames_add_place(look, amqp_places_session(look->channel), false);
}

static gh_status frames_end(struct frames_look *look)
{
	if (!look_has_session(look))
		return look_fault(look, GH_INVALID, "amqp_order", "a session ends that was not begun");
	amqp_places_remove_session(&look->f->places, look->channel);
	return GH_OK;
}

static gh_status frames_attach(struct frames_look *look)
{
	static const unsigned types[] = {AMQP_STRING, AMQP_UINT, AMQP_BOOLEAN};
	struct amqp_value fields[3]; /* name, handle, role */
	if (!look_fields(look, types, 3, fields))
		return look_fault(look, GH_MALFORMED, "amqp_attach", "an attach is malformed");
	if (!look_has_session(look))
		return look_fault(look, GH_INVALID, "amqp_order", "a link has no session");
	if (fields[1].number > AMQP_PLACES_HANDLE_MAX)
		return look_fault(look, GH_INVALID, "amqp_handle_max", "a handle is too great");
	uint64_t key = amqp_places_link(look->channel, (uint32_t)fields[1].number);
	if (amqp_places_find(&look->f->places, key))
		return look_fault(look, GH_INVALID, "amqp_handle_used", "a handle is in use");
	return frames_add_place(look, key, !fields[2].number);
}

/* Clients end a session and what they had said before comes after it: nobody's matter any more. */
static gh_status frames_late(struct frames_look *look)
{
	look->late = !look_has_session(look);
	return GH_OK;
}

/* A delivery that was under way on its handle is over. */
static gh_status frames_detach(struct frames_look *look)
{
	static const unsigned types[] = {AMQP_UINT};
	struct amqp_value handle;
	if (!look_fields(look, types, 1, &handle))
		return look_fault(look, GH_MALFORMED, "amqp_detach", "a detach is malformed");
	if (handle.number <= AMQP_PLACES_HANDLE_MAX)
		amqp_places_remove(&look->f->places, amqp_places_link(look->channel, (uint32_t)handle.number));
	return frames_late(look);
}

/* ---- transfers ---- */

enum transfer_field {
	TRANSFER_HANDLE,
	TRANSFER_DELIVERY_ID,
	TRANSFER_TAG,
	TRANSFER_FORMAT,
	TRANSFER_SETTLED,
	TRANSFER_MORE,
	TRANSFER_RCV_SETTLE_MODE,
	TRANSFER_STATE,
	TRANSFER_RESUME,
	TRANSFER_ABORTED,
	TRANSFER_FIELDS
};

static const unsigned transfer_types[TRANSFER_FIELDS] = {
	[TRANSFER_HANDLE] = AMQP_UINT,
	[TRANSFER_DELIVERY_ID] = AMQP_NULL | AMQP_UINT,
	[TRANSFER_TAG] = AMQP_NULL | AMQP_BINARY,
	[TRANSFER_FORMAT] = AMQP_NULL | AMQP_UINT,
	[TRANSFER_SETTLED] = AMQP_NULL | AMQP_BOOLEAN,
	[TRANSFER_MORE] = AMQP_NULL | AMQP_BOOLEAN,
	[TRANSFER_RCV_SETTLE_MODE] = AMQP_NULL | AMQP_UBYTE,
	[TRANSFER_STATE] = AMQP_NULL | AMQP_LIST,
	[TRANSFER_RESUME] = AMQP_NULL | AMQP_BOOLEAN,
	[TRANSFER_ABORTED] = AMQP_NULL | AMQP_BOOLEAN,
};

static bool frames_flag(const struct amqp_value *v)
{
	return v->type == AMQP_BOOLEAN && v->number;
}

static gh_status frames_transfer(struct frames_look *look)
{
	struct amqp_places *places = &look->f->places;
	struct amqp_value fields[TRANSFER_FIELDS];
	if (!look_fields(look, transfer_types, TRANSFER_FIELDS, fields))
		return look_fault(look, GH_MALFORMED, "amqp_transfer", "a transfer is malformed");
	uint64_t handle = fields[TRANSFER_HANDLE].number;
	struct amqp_place *place = handle <= AMQP_PLACES_HANDLE_MAX
					   ? amqp_places_find(places, amqp_places_link(look->channel, (uint32_t)handle))
					   : NULL;
	if (!place || !place->sends)
		return look_fault(look, GH_INVALID, "amqp_handle", "a transfer is not on a link of its sender");
	bool more = frames_flag(&fields[TRANSFER_MORE]) && !frames_flag(&fields[TRANSFER_ABORTED]);
	look->frame->first = !place->partial;
	if (!place->partial &&
		(fields[TRANSFER_DELIVERY_ID].type == AMQP_NULL || fields[TRANSFER_TAG].type == AMQP_NULL))
		return look_fault(
			look, GH_MALFORMED, "amqp_delivery_id", "the first transfer of a delivery has no id or tag");
	if (fields[TRANSFER_FORMAT].type == AMQP_UINT)
		look->frame->message_format = (uint32_t)fields[TRANSFER_FORMAT].number;
	if (more && !place->partial && places->partial_count == AMQP_FRAMES_PARTIAL_MAX)
		return look_fault(look, GH_TOO_LARGE, "amqp_partial_max", "too many deliveries are under way at once");
	amqp_places_set_partial(places, place, more);
	return GH_OK;
}

/* ---- frames ---- */

static uint32_t frames_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* By code, from OPEN on. */
static gh_status (*const frames_judges[])(struct frames_look *look) = {
	frames_open,     /* 0x10 */
	frames_begin,    /* 0x11 */
	frames_attach,   /* 0x12 */
	frames_late,     /* 0x13 flow */
	frames_transfer, /* 0x14 */
	frames_late,     /* 0x15 disposition */
	frames_detach,   /* 0x16 */
	frames_end,      /* 0x17 */
	frames_close,    /* 0x18 */
};

/* The one performative of a frame; of a transfer the payload follows, which is nobody's matter here. */
static gh_status frames_read_performative(struct amqp_frames *f, gh_bytes body, uint64_t first, uint64_t last,
	struct amqp_value *ret_v, gh_error *ret_err)
{
	struct reader r = reader_of(body);
	if (!amqp_value_read(&r, ret_v) || ret_v->descriptor.depth != 1 || ret_v->descriptor.name.data ||
		ret_v->type != AMQP_LIST || ret_v->descriptor.code < first || ret_v->descriptor.code > last)
		return frames_fault(
			f, GH_MALFORMED, "amqp_performative", "a frame has no performative of a client's", ret_err);
	if (!frames_is_shallow(ret_v))
		return frames_fault(
			f, GH_TOO_LARGE, "amqp_depth", "a performative is malformed or nests too deep", ret_err);
	return GH_OK;
}

static gh_status frames_judge_sasl(struct amqp_frames *f, gh_bytes body, gh_error *ret_err)
{
	struct amqp_value v;
	if (f->stage != AMQP_FRAMES_SASL)
		return frames_fault(f, GH_INVALID, "amqp_order", "a frame of SASL comes when it may not", ret_err);
	f->stage = AMQP_FRAMES_SASL_DONE;
	return frames_read_performative(f, body, PERFORMATIVE_SASL_INIT, PERFORMATIVE_SASL_INIT, &v, ret_err);
}

static gh_status frames_judge_amqp(struct frames_look *look, gh_bytes body, bool *ret_pass)
{
	struct amqp_frames *f = look->f;
	struct amqp_value v;
	if (f->stage != AMQP_FRAMES_HEADER && f->stage != AMQP_FRAMES_OPEN)
		return look_fault(look, GH_INVALID, "amqp_order", "a frame of AMQP comes before its header");
	*ret_pass = true;
	if (body.len == 0)
		return GH_OK; /* a heartbeat */
	gh_status status = frames_read_performative(f, body, PERFORMATIVE_OPEN, PERFORMATIVE_CLOSE, &v, look->err);
	if (status != GH_OK)
		return status;
	if ((v.descriptor.code == PERFORMATIVE_OPEN) != (f->stage == AMQP_FRAMES_HEADER))
		return look_fault(look, GH_INVALID, "amqp_order", "open comes first, and once");
	look->frame->performative = (uint8_t)v.descriptor.code;
	look->items = v.items;
	status = frames_judges[v.descriptor.code - PERFORMATIVE_OPEN](look);
	*ret_pass = !look->late;
	return status;
}

static bool frames_is_header(const uint8_t *head, uint8_t protocol)
{
	const uint8_t header[] = {'A', 'M', 'Q', 'P', protocol, 1, 0, 0};
	return memcmp(head, header, sizeof header) == 0;
}

enum { HEADER_AMQP = 0, HEADER_SASL = 3 };

static gh_status frames_judge_header(struct amqp_frames *f, const uint8_t *head, gh_error *ret_err)
{
	if (f->stage == AMQP_FRAMES_START && frames_is_header(head, HEADER_SASL))
		f->stage = AMQP_FRAMES_SASL;
	else if (frames_is_header(head, HEADER_AMQP))
		f->stage = AMQP_FRAMES_HEADER;
	else
		return frames_fault(f, GH_NOT_FOUND, "amqp_header", "another protocol is spoken", ret_err);
	return GH_OK;
}

static bool frames_awaits_header(const struct amqp_frames *f)
{
	return f->stage == AMQP_FRAMES_START || f->stage == AMQP_FRAMES_SASL_DONE;
}

/* Of the frame or protocol header that begins so. */
static gh_status frames_measure(struct amqp_frames *f, const uint8_t *head, uint32_t *ret_size, gh_error *ret_err)
{
	uint32_t size = frames_u32(head), offset = head[4] * 4u;
	if (frames_awaits_header(f))
		size = offset = AMQP_FRAME_HEAD_BYTES;
	else if (head[5] != FRAME_AMQP && head[5] != FRAME_SASL)
		return frames_fault(f, GH_MALFORMED, "amqp_frame_type", "a frame is of an unknown type", ret_err);
	if (size > f->frame_max)
		return frames_fault(f, GH_TOO_LARGE, "amqp_frame_max", "a frame is larger than was announced", ret_err);
	if (offset < AMQP_FRAME_HEAD_BYTES || offset > size)
		return frames_fault(f, GH_MALFORMED, "amqp_frame_size", "a frame has no body where it says", ret_err);
	*ret_size = size;
	return GH_OK;
}

static gh_status frames_judge(
	struct amqp_frames *f, gh_bytes bytes, gh_bytes *ret_bytes, struct amqp_frame *ret_frame, gh_error *ret_err)
{
	gh_status status;
	bool pass = true;
	*ret_frame = (struct amqp_frame){.performative = 0};
	size_t offset = bytes.data[4] * 4u;
	if (frames_awaits_header(f)) {
		status = frames_judge_header(f, bytes.data, ret_err);
	} else if (bytes.data[5] == FRAME_SASL) {
		status = frames_judge_sasl(f, (gh_bytes){bytes.data + offset, bytes.len - offset}, ret_err);
	} else {
		struct frames_look look = {.f = f, .frame = ret_frame, .err = ret_err};
		look.channel = (uint16_t)(bytes.data[6] << 8 | bytes.data[7]);
		status = frames_judge_amqp(&look, (gh_bytes){bytes.data + offset, bytes.len - offset}, &pass);
	}
	if (status == GH_OK && pass)
		*ret_bytes = bytes;
	return status;
}

/* Gathers up to so many bytes of a frame that did not come whole. */
static gh_status frames_gather(
	struct amqp_frames *f, gh_bytes bytes, size_t wanted, size_t *ret_taken, gh_error *ret_err)
{
	size_t n = wanted > f->held.len ? wanted - f->held.len : 0, left = bytes.len - *ret_taken;
	if (n > left)
		n = left;
	if (n > 0)
		buf_append(&f->held, bytes.data + *ret_taken, n);
	*ret_taken += n;
	return f->held.failed ? frames_fault(f, GH_NO_MEMORY, "no_memory", "no memory for a frame", ret_err) : GH_OK;
}

static gh_status frames_next_held(struct amqp_frames *f, gh_bytes bytes, size_t *ret_taken, gh_bytes *ret_bytes,
	struct amqp_frame *ret_frame, gh_error *ret_err)
{
	uint32_t size;
	gh_status status = frames_gather(f, bytes, AMQP_FRAME_HEAD_BYTES, ret_taken, ret_err);
	if (status != GH_OK || f->held.len < AMQP_FRAME_HEAD_BYTES)
		return status;
	status = frames_measure(f, f->held.data, &size, ret_err);
	if (status == GH_OK)
		status = frames_gather(f, bytes, size, ret_taken, ret_err);
	if (status != GH_OK || f->held.len < size)
		return status;
	f->passed = true;
	return frames_judge(f, buf_bytes(&f->held), ret_bytes, ret_frame, ret_err);
}

gh_status amqp_frames_next(struct amqp_frames *f, gh_bytes bytes, size_t *ret_taken, gh_bytes *ret_bytes,
	struct amqp_frame *ret_frame, gh_error *ret_err)
{
	uint32_t size;
	bool over = f->stage == AMQP_FRAMES_OVER;
	*ret_taken = over ? bytes.len : 0;
	*ret_bytes = (gh_bytes){NULL, 0};
	if (over)
		return GH_OK;
	if (f->passed)
		buf_done(&f->held);
	f->passed = false;
	if (f->held.len > 0 || bytes.len < AMQP_FRAME_HEAD_BYTES)
		return frames_next_held(f, bytes, ret_taken, ret_bytes, ret_frame, ret_err);
	gh_status status = frames_measure(f, bytes.data, &size, ret_err);
	if (status != GH_OK)
		return status;
	if (bytes.len < size)
		return frames_next_held(f, bytes, ret_taken, ret_bytes, ret_frame, ret_err);
	*ret_taken = size;
	return frames_judge(f, (gh_bytes){bytes.data, size}, ret_bytes, ret_frame, ret_err);
}
