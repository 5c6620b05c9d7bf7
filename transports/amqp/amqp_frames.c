#include "transports/amqp/amqp_frames.h"

#include "src/wire/amqp_value.h"

#include <assert.h>

enum {
	FRAME_AMQP = 0,
	FRAME_SASL = 1,
	PERFORMATIVE_OPEN = 0x10,
	PERFORMATIVE_TRANSFER = 0x14,
	PERFORMATIVE_DETACH = 0x16,
	PERFORMATIVE_END = 0x17,
	PERFORMATIVE_CLOSE = 0x18,
};

void amqp_frames_init(struct amqp_frames *f, uint32_t frame_max)
{
	*f = (struct amqp_frames){.frame_max = frame_max};
}

void amqp_frames_done(struct amqp_frames *f)
{
	buf_done(&f->held);
}

static gh_status frames_fault(
	struct amqp_frames *f, gh_status status, const char *code, const char *text, gh_error *ret_err)
{
	f->over = true;
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

/* ---- transfers ---- */

static struct amqp_partial *frames_partial(struct amqp_frames *f, uint16_t channel, uint32_t handle)
{
	for (size_t i = 0; i < f->partial_count; i++)
		if (f->partial[i].channel == channel && f->partial[i].handle == handle)
			return &f->partial[i];
	return NULL;
}

static void frames_partial_remove(struct amqp_frames *f, struct amqp_partial *partial)
{
	*partial = f->partial[--f->partial_count];
}

static void frames_session_ended(struct amqp_frames *f, uint16_t channel)
{
	for (size_t i = f->partial_count; i-- > 0;)
		if (f->partial[i].channel == channel)
			frames_partial_remove(f, &f->partial[i]);
}

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

/* What each field may be, besides null. */
static const unsigned transfer_types[TRANSFER_FIELDS] = {
	[TRANSFER_HANDLE] = AMQP_UINT,
	[TRANSFER_DELIVERY_ID] = AMQP_UINT,
	[TRANSFER_TAG] = AMQP_BINARY,
	[TRANSFER_FORMAT] = AMQP_UINT,
	[TRANSFER_SETTLED] = AMQP_BOOLEAN,
	[TRANSFER_MORE] = AMQP_BOOLEAN,
	[TRANSFER_RCV_SETTLE_MODE] = AMQP_UBYTE,
	[TRANSFER_STATE] = AMQP_LIST,
	[TRANSFER_RESUME] = AMQP_BOOLEAN,
	[TRANSFER_ABORTED] = AMQP_BOOLEAN,
};

static bool frames_read_transfer(struct amqp_items items, struct amqp_value ret_fields[TRANSFER_FIELDS])
{
	size_t count = 0;
	for (size_t i = 0; i < TRANSFER_FIELDS; i++)
		ret_fields[i] = (struct amqp_value){.type = AMQP_NULL};
	struct amqp_value v;
	while (amqp_value_next(&items, &v)) {
		if (count < TRANSFER_FIELDS) {
			if (v.type != AMQP_NULL && v.type != transfer_types[count])
				return false;
			ret_fields[count] = v;
		}
		count++;
	}
	return !items.bytes.failed && ret_fields[TRANSFER_HANDLE].type == AMQP_UINT;
}

static bool frames_flag(const struct amqp_value *v)
{
	return v->type == AMQP_BOOLEAN && v->number;
}

static gh_status frames_transfer(struct amqp_frames *f, uint16_t channel, struct amqp_items items,
	struct amqp_frame *ret_frame, gh_error *ret_err)
{
	struct amqp_value fields[TRANSFER_FIELDS];
	if (!frames_read_transfer(items, fields))
		return frames_fault(f, GH_MALFORMED, "amqp_transfer", "a transfer is malformed", ret_err);
	uint32_t handle = (uint32_t)fields[TRANSFER_HANDLE].number;
	struct amqp_partial *partial = frames_partial(f, channel, handle);
	bool more = frames_flag(&fields[TRANSFER_MORE]) && !frames_flag(&fields[TRANSFER_ABORTED]);
	ret_frame->first = !partial;
	if (!partial && (fields[TRANSFER_DELIVERY_ID].type == AMQP_NULL || fields[TRANSFER_TAG].type == AMQP_NULL))
		return frames_fault(f, GH_MALFORMED, "amqp_delivery_id",
			"the first transfer of a delivery has no id or tag", ret_err);
	if (fields[TRANSFER_FORMAT].type == AMQP_UINT)
		ret_frame->message_format = (uint32_t)fields[TRANSFER_FORMAT].number;
	if (partial && !more)
		frames_partial_remove(f, partial);
	if (!partial && more) {
		if (f->partial_count == AMQP_FRAMES_PARTIAL_MAX)
			return frames_fault(f, GH_TOO_LARGE, "amqp_partial_max",
				"too many deliveries are under way at once", ret_err);
		f->partial[f->partial_count++] = (struct amqp_partial){channel, handle};
	}
	return GH_OK;
}

/* ---- frames ---- */

static uint32_t frames_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* A detach: a delivery that was under way on its handle is over. */
static void frames_detached(struct amqp_frames *f, uint16_t channel, struct amqp_items items)
{
	struct amqp_value handle;
	if (!amqp_value_next(&items, &handle) || handle.type != AMQP_UINT)
		return;
	struct amqp_partial *partial = frames_partial(f, channel, (uint32_t)handle.number);
	if (partial)
		frames_partial_remove(f, partial);
}

/* Of a transfer the payload follows, which is nobody's matter here. */
static gh_status frames_judge_performative(
	struct amqp_frames *f, uint16_t channel, gh_bytes body, struct amqp_frame *ret_frame, gh_error *ret_err)
{
	struct reader r = reader_of(body);
	struct amqp_value v;
	if (body.len == 0)
		return GH_OK; /* a heartbeat */
	if (!amqp_value_read(&r, &v) || v.descriptor.depth != 1 || v.descriptor.name.data || v.type != AMQP_LIST ||
		v.descriptor.code < PERFORMATIVE_OPEN || v.descriptor.code > PERFORMATIVE_CLOSE)
		return frames_fault(f, GH_MALFORMED, "amqp_performative", "a frame has no performative", ret_err);
	if (!frames_is_shallow(&v))
		return frames_fault(
			f, GH_TOO_LARGE, "amqp_depth", "a performative is malformed or nests too deep", ret_err);
	ret_frame->performative = (uint8_t)v.descriptor.code;
	if (ret_frame->performative == PERFORMATIVE_TRANSFER)
		return frames_transfer(f, channel, v.items, ret_frame, ret_err);
	if (ret_frame->performative == PERFORMATIVE_DETACH)
		frames_detached(f, channel, v.items);
	if (ret_frame->performative == PERFORMATIVE_END)
		frames_session_ended(f, channel);
	return GH_OK;
}

/* Of the frame or protocol header that begins so. */
static gh_status frames_measure(struct amqp_frames *f, const uint8_t *head, uint32_t *ret_size, gh_error *ret_err)
{
	uint32_t size = frames_u32(head), offset = head[4] * 4u;
	if (memcmp(head, "AMQP", 4) == 0)
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
	gh_status status = GH_OK;
	*ret_frame = (struct amqp_frame){.performative = 0};
	if (memcmp(bytes.data, "AMQP", 4) != 0 && bytes.data[5] == FRAME_AMQP) {
		size_t offset = bytes.data[4] * 4u;
		uint16_t channel = (uint16_t)(bytes.data[6] << 8 | bytes.data[7]);
		gh_bytes body = {bytes.data + offset, bytes.len - offset};
		status = frames_judge_performative(f, channel, body, ret_frame, ret_err);
	}
	if (status == GH_OK)
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
	*ret_taken = f->over ? bytes.len : 0;
	*ret_bytes = (gh_bytes){NULL, 0};
	if (f->over)
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
