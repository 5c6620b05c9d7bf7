/* A whole HTTP/2 engine over a double of the routes: the input is a script of bytes from the client, answers, room, time and
 * loss.  The doubles assert their contract; at the end every exchange must be ended and all memory free.
 *
 * First byte: bit 0 a good preface comes first, bits 1 to 3 how small the pieces are in which bytes arrive.  Then steps: an
 * operation in the low three bits of a byte, its parameter in the other five. */
#include "tests/fuzz/fuzz.h"

#include "tests/unit/h2_pair.h"

enum fuzz_step {
	STEP_SEND,
	STEP_SEND_MORE,
	STEP_REQUEST, /* a good head, to come further than a fuzzer would by itself */
	STEP_DATA,    /* a frame around what follows */
	STEP_ANSWER,
	STEP_SWITCH,
	STEP_TIME,
	STEP_END,
};

static gh_worker worker;
static struct h2_pair pair;
static uint8_t answer[40000];

static void fuzz_request(unsigned parameter, uint32_t *next_id)
{
	struct buf bytes = {0};
	uint8_t flags = parameter & 1 ? NGHTTP2_FLAG_END_STREAM : 0;
	if (!(parameter & 0x10))
		flags |= NGHTTP2_FLAG_END_HEADERS;
	(parameter & 2 ? h2_put_get : h2_put_post)(&bytes, flags, *next_id);
	if (parameter & 4)
		h2_put_u32_frame(&bytes, NGHTTP2_RST_STREAM, *next_id, NGHTTP2_CANCEL);
	if (!(parameter & 8))
		*next_id += 2;
	h2_pair_send(&pair, buf_bytes(&bytes));
	buf_done(&bytes);
}

static void fuzz_data(unsigned parameter, gh_bytes payload, uint32_t next_id)
{
	struct buf bytes = {0};
	uint32_t id = next_id - 2 * (1 + (parameter & 3));
	h2_put_frame(&bytes, NGHTTP2_DATA, parameter >> 2 & 1, id, payload);
	h2_pair_send(&pair, buf_bytes(&bytes));
	buf_done(&bytes);
}

static void fuzz_answer(unsigned parameter)
{
	struct rest_exchange *x = rest_double_waiting(parameter & 3);
	if (parameter & 0x10)
		rest_double_writable();
	else if (x)
		rest_double_answered(
			x, parameter & 4 ? 204 : 200, (gh_bytes){answer, parameter & 8 ? sizeof answer : 5});
}

static void fuzz_switch(unsigned parameter)
{
	static const enum rest_step runs[] = {REST_ANSWERED, REST_WAIT, REST_BLOCKED, REST_WAIT};
	rest_double.run = runs[parameter & 3];
	rest_double.begin = parameter & 4 ? REST_ANSWERED : REST_BODY;
	pair.reading = !(parameter & 8);
	rest_double.answer =
		(struct rest_answer){.status = 200, .body = {answer, parameter & 0x10 ? sizeof answer : 0}};
}

static void fuzz_end(unsigned parameter)
{
	if (parameter & 0x10)
		h2_pair_hang_up(&pair);
	else if (parameter & 8)
		pair.engine->ops->drain(pair.engine, pair.now_ms);
}

/* Returns how many of the bytes that follow it took. */
static size_t fuzz_step(uint8_t byte, gh_bytes rest, uint32_t *next_id)
{
	unsigned parameter = byte >> 3;
	size_t n = parameter;
	switch ((enum fuzz_step)(byte & 7)) {
	case STEP_SEND_MORE:
		n <<= 5;
		/* fall through */
	case STEP_SEND:
		n = n < rest.len ? n : rest.len;
		h2_pair_send(&pair, (gh_bytes){rest.data, n});
		return n;
	case STEP_REQUEST:
		fuzz_request(parameter, next_id);
		return 0;
	case STEP_DATA:
		n = rest.len < 8 ? rest.len : 8;
		fuzz_data(parameter, (gh_bytes){rest.data, n}, *next_id);
		return n;
	case STEP_ANSWER:
		fuzz_answer(parameter);
		break;
	case STEP_SWITCH:
		fuzz_switch(parameter);
		break;
	case STEP_TIME:
		h2_pair_wait(&pair, (uint64_t)1 << parameter % 20);
		break;
	case STEP_END:
		fuzz_end(parameter);
		break;
	}
	h2_pair_run(&pair);
	return 0;
}

static void fuzz_limits(void)
{
	worker.limits.http_output_bytes_max = 16384;
	worker.limits.http_receiving_bytes_max = 256;
	worker.limits.http_head_bytes_max = 4096;
	worker.limits.http_field_bytes_max = 1024;
	worker.limits.http_fields_max = 32;
	worker.limits.http2_streams_max = 8;
	worker.limits.http2_resets_max = 10;
	worker.limits.http2_odd_frames_max = 100;
	rest_double.body_max = 128;
	rest_double.wait_ms_max = 10000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf preface = {0};
	uint32_t next_id = 9;
	size_t at = 1;
	if (size == 0 || size > 65536)
		return 0;
	core_double_init(&worker);
	rest_double_init();
	fuzz_limits();
	h2_pair_init(&pair, &worker);
	pair.cut = data[0] >> 1 & 7;
	h2_put_preface(&preface);
	if (data[0] & 1)
		h2_pair_send(&pair, buf_bytes(&preface));
	buf_done(&preface);
	while (at < size && !pair.finished) {
		uint8_t byte = data[at++];
		at += fuzz_step(byte, (gh_bytes){data + at, size - at}, &next_id);
	}
	h2_pair_done(&pair);
	rest_double_done();
	core_double_done(&worker);
	return 0;
}
