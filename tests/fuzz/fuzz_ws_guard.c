/* The frames of a WebSocket client, under a small limit and without one: whole, byte by byte, in uneven pieces and,
 * when there are few bytes, cut at each of them, the same is passed, the same is said, and a fault is found in the
 * piece that shows it.  What is passed is the front of what came, and a plain reader finds nothing wrong with it. */
#include "tests/fuzz/fuzz.h"

#include "src/base/buf.h"
#include "transports/websocket/ws_guard.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FUZZ_MESSAGE_MAX = 300, FUZZ_CUTS_MAX = 200, FUZZ_PIECE_MAX = 61 };

struct fuzz_outcome {
	size_t passed;
	size_t controls;
	uint64_t ends; /* where they were, as one number */
	gh_status status;
	uint16_t close;
	const char *code;
	size_t fault_from, fault_to; /* the piece that had the fault */
};

struct fuzz_run {
	struct ws_guard guard;
	gh_bytes bytes; /* the whole stream */
	uint64_t message_max;
	struct fuzz_outcome out;
};

static void fuzz_init(struct fuzz_run *run, gh_bytes bytes, uint64_t message_max)
{
	*run = (struct fuzz_run){.bytes = bytes, .message_max = message_max, .out.status = GH_AGAIN};
	ws_guard_init(&run->guard);
}

static void fuzz_passed(struct fuzz_run *run, gh_bytes pass)
{
	assert(pass.len <= run->bytes.len - run->out.passed);
	assert(pass.len == 0 || memcmp(run->bytes.data + run->out.passed, pass.data, pass.len) == 0);
	run->out.passed += pass.len;
}

static void fuzz_fault(struct fuzz_run *run, gh_status status, uint16_t close, const char *code)
{
	assert(run->out.status == GH_AGAIN && close);
	run->out.status = status;
	run->out.close = close;
	run->out.code = code;
}

/* One piece of the stream, in a place of exactly its size. */
static void fuzz_piece(struct fuzz_run *run, size_t from, size_t to)
{
	uint8_t *copy = malloc(to > from ? to - from : 1);
	assert(copy);
	if (to > from)
		memcpy(copy, run->bytes.data + from, to - from);
	for (size_t at = 0, taken; at < to - from; at += taken) {
		gh_bytes pass;
		uint16_t close;
		gh_error err;
		gh_status status = ws_guard_next(&run->guard, (gh_bytes){copy + at, to - from - at}, run->message_max,
			&taken, &pass, &close, &err);
		assert(taken > 0 && taken <= to - from - at);
		assert(run->out.status == GH_AGAIN || (status == GH_AGAIN && pass.len == 0));
		fuzz_passed(run, pass);
		if (status == GH_OK) {
			run->out.controls++;
			run->out.ends = run->out.ends * 31 + run->out.passed;
		} else if (status != GH_AGAIN) {
			fuzz_fault(run, status, close, err.code);
			run->out.fault_from = from;
			run->out.fault_to = to;
		}
	}
	free(copy);
}

static void fuzz_bytewise(struct fuzz_run *run)
{
	for (size_t at = 0; at < run->bytes.len; at++)
		fuzz_piece(run, at, at + 1);
}

static void fuzz_uneven(struct fuzz_run *run)
{
	size_t piece = 0;
	for (size_t at = 0, to; at < run->bytes.len; at = to) {
		piece = piece * 3 % FUZZ_PIECE_MAX + 1;
		to = run->bytes.len - at < piece ? run->bytes.len : at + piece;
		fuzz_piece(run, at, to);
	}
}

static void fuzz_same(const struct fuzz_outcome *exact, const struct fuzz_outcome *other)
{
	assert(exact->passed == other->passed && exact->controls == other->controls && exact->ends == other->ends);
	assert(exact->status == other->status && exact->close == other->close && exact->code == other->code);
	assert(exact->fault_from >= other->fault_from && exact->fault_to <= other->fault_to);
}

/* A Close frame is passed whole, and last. */
static void fuzz_close(gh_bytes payload, uint64_t length, const struct reader *r)
{
	assert(payload.len == length && reader_left(r) == 0 && length != 1);
	assert(length == 0 || (payload.data[0] ^ r->at[-(ptrdiff_t)length - 4]) >= 1000 >> 8);
}

/* One frame of what was passed; false when it is cut. */
static bool fuzz_frame(struct reader *r, uint64_t message_max, bool *inside, uint64_t *message)
{
	uint8_t first = reader_u8(r), opcode = first & 0x0f;
	bool control = opcode >= 8, fin = first & 0x80;
	assert(!(first & 0x70) && (control ? opcode <= 10 && fin : opcode == (*inside ? 0 : 2)));
	uint8_t second = reader_u8(r);
	if (r->failed)
		return false;
	uint64_t length = second & 0x7f;
	assert(second & 0x80 && (!control || length <= 125));
	if (length > 125)
		length = reader_uint(r, length == 126 ? 2 : 8);
	if (!r->failed && !control) {
		assert(length <= INT64_MAX && length <= message_max - *message);
		*inside = !fin;
		*message = fin ? 0 : *message + length;
	}
	reader_take(r, 4);
	if (r->failed)
		return false;
	gh_bytes payload = reader_take(r, length < reader_left(r) ? (size_t)length : reader_left(r));
	if (opcode == 8)
		fuzz_close(payload, length, r);
	return payload.len == length;
}

static void fuzz_limit(gh_bytes bytes, uint64_t message_max)
{
	struct fuzz_run exact, run;
	fuzz_init(&exact, bytes, message_max);
	fuzz_bytewise(&exact);
	fuzz_init(&run, bytes, message_max);
	fuzz_piece(&run, 0, bytes.len);
	fuzz_same(&exact.out, &run.out);
	fuzz_init(&run, bytes, message_max);
	fuzz_uneven(&run);
	fuzz_same(&exact.out, &run.out);
	for (size_t cut = 1; bytes.len <= FUZZ_CUTS_MAX && cut < bytes.len; cut++) {
		fuzz_init(&run, bytes, message_max);
		fuzz_piece(&run, 0, cut);
		fuzz_piece(&run, cut, bytes.len);
		fuzz_same(&exact.out, &run.out);
	}
	struct reader r = reader_of((gh_bytes){bytes.data, exact.out.passed});
	bool inside = false;
	uint64_t message = 0;
	while (reader_left(&r) > 0 && fuzz_frame(&r, message_max, &inside, &message))
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_limit((gh_bytes){data, size}, FUZZ_MESSAGE_MAX);
	fuzz_limit((gh_bytes){data, size}, UINT64_MAX);
	return 0;
}
