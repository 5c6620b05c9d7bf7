/* AMQP messages: any bytes, as values, as telemetry, as a batch of it and as a request; what comes out lies inside what
 * went in, every message that is accepted freezes, and a reply is a message. */
#include "tests/fuzz/fuzz.h"

#include "src/base/limits.h"
#include "src/base/text.h"
#include "src/wire/amqp_message.h"
#include "src/wire/amqp_value.h"

#include <assert.h>

enum { FUZZ_DEPTH = 8 };

static void fuzz_inside(gh_bytes part, gh_bytes whole)
{
	assert(part.len == 0 || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len));
}

static void fuzz_items(struct amqp_items items, unsigned depth, gh_bytes whole)
{
	struct amqp_value value;
	while (amqp_value_next(&items, &value)) {
		fuzz_inside(value.encoded, whole);
		if (depth > 0 && (value.type & (AMQP_LIST | AMQP_MAP | AMQP_ARRAY)))
			fuzz_items(value.items, depth - 1, whole);
	}
	assert(items.bytes.failed || (items.left == 0 && reader_left(&items.bytes) == 0));
}

static void fuzz_values(gh_bytes bytes)
{
	struct reader r = reader_of(bytes);
	struct amqp_value value;
	while (reader_left(&r) > 0 && amqp_value_read(&r, &value)) {
		assert(value.encoded.len > 0);
		fuzz_inside(value.encoded, bytes);
		if (value.type & (AMQP_LIST | AMQP_MAP | AMQP_ARRAY))
			fuzz_items(value.items, FUZZ_DEPTH, bytes);
	}
}

static void fuzz_draft(gh_bytes bytes, gh_draft *draft, struct buf *joined)
{
	struct amqp_sender sender = {text_of("dev1"), text_of("m")};
	gh_stamps stamps = {
		.device_id = sender.device_id, .generation_id = text_of("1"), .source = GH_SOURCE_TELEMETRY};
	gh_error err = {.code = NULL};
	gh_draft_reset(draft);
	gh_status status = amqp_message_draft(bytes, &sender, joined, draft, &err);
	if (status != GH_OK) {
		assert((status == GH_MALFORMED || status == GH_INVALID || status == GH_TOO_LARGE) && err.code);
		return;
	}
	gh_message *message = gh_message_freeze(draft, &stamps), *copy;
	assert(message && gh_message_decode(gh_message_encoded(message), &copy) == GH_OK);
	gh_message_unref(copy);
	gh_message_unref(message);
}

static void fuzz_batch(gh_bytes bytes, gh_draft *draft, struct buf *joined)
{
	struct amqp_message outer;
	gh_bytes inner;
	size_t count = 0, total = 0;
	if (amqp_message_batch(bytes, &outer, NULL) != GH_OK)
		return;
	for (gh_bytes rest = outer.sections[AMQP_BODY_DATA]; amqp_message_batch_next(&rest, &inner); count++) {
		fuzz_inside(inner, bytes);
		fuzz_draft(inner, draft, joined);
		total += inner.len;
	}
	assert(count == outer.data_count && total == outer.data_bytes);
}

static void fuzz_request(gh_bytes bytes)
{
	struct amqp_request request, echoed;
	struct amqp_message reply;
	struct buf b;
	if (amqp_request_read(bytes, &request, NULL) != GH_OK)
		return;
	fuzz_inside(request.message_id, bytes);
	fuzz_inside(request.body, bytes);
	buf_init(&b, 0);
	amqp_reply_put(&b, request.message_id, 401, request.name);
	assert(amqp_message_sections(buf_bytes(&b), &reply, NULL) == GH_OK);
	assert(amqp_request_read(buf_bytes(&b), &echoed, NULL) == GH_OK && echoed.message_id.len == 0);
	buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static gh_limits limits;
	limits_defaults(&limits);
	gh_bytes bytes = {data, size};
	struct buf joined = {.len = 0};
	gh_draft *draft = gh_draft_new(&limits);
	if (!draft)
		return 0;
	fuzz_values(bytes);
	fuzz_draft(bytes, draft, &joined);
	fuzz_batch(bytes, draft, &joined);
	fuzz_request(bytes);
	gh_draft_free(draft);
	buf_done(&joined);
	return 0;
}
