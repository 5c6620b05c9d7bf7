/* The whole WebSocket engine with libwebsockets under it, driven as a connection drives it: the input is a script of
 * what a client sends, whether it reads, what the engine inside and the core do, time and loss.  Inside is a real MQTT
 * engine over a core double, or one that takes as much as it is told to and says what it took.
 *
 * Held to: the clock is told at once of every deadline; the client is sent well-formed frames, and none after a Close;
 * what the engine inside took is the front of what was framed for it, and what it said arrives in order; at the end no
 * descriptor and no handle on the loop is left.
 *
 * First byte: bit 0 frames are made around what the script sends, else it is sent as it is; bit 1 MQTT inside; bit 2 with
 * a CONNECT first; bit 3 the core answers that later; bit 4 a small limit for messages.  Then steps: an operation in the
 * low three bits of a byte, its parameter in the other five.  The loop and the library are the process's. */
#include "tests/fuzz/fuzz.h"

#include "src/base/text.h"
#include "tests/unit/mqtt_pair.h"
#include "transports/mqtt/mqtt.h"
#include "transports/websocket/ws_lws.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <uv.h>

enum fuzz_step { STEP_SEND, STEP_SEND_MORE, STEP_CONTROL, STEP_PIECE, STEP_INSIDE, STEP_SWITCH, STEP_TIME, STEP_END };
enum { ROUNDS_MAX = 20000, INPUT_MAX = 65536, FRAME_MAX = 4096, FD_MAX = 64 };

/* An engine that keeps, and says, what it took. */
struct fuzz_inner {
	gh_engine engine;
	gh_wire *wire;
	size_t budget; /* how much more it takes */
	size_t said;   /* bytes of `taken` that left */
	bool ended, finished;
};

static struct {
	gh_wire wire;
	gh_worker worker;
	gh_engine *engine;
	struct fuzz_inner *inner; /* NULL = MQTT */
	uint64_t now_ms, tick_at;
	bool woken, framing, limited, reading, hung_up, end_told, cut;
	struct buf held;   /* sent by the client, not taken yet */
	struct buf framed; /* payload of the frames that were made */
	struct buf taken;  /* by the engine inside, of that */
	struct buf got;    /* by the client, not looked at yet */
	size_t heard;      /* bytes of `taken` that came back to it */
	bool answered, closed;
} f;

static struct {
	struct loop *loop;
	struct web *web;
	size_t handles, sockets; /* when there is no WebSocket */
} once;

/* ---- the engine inside ---- */

static size_t inner_input(gh_engine *engine, const uint8_t *data, size_t len, uint64_t now_ms)
{
	assert(engine == &f.inner->engine && now_ms == f.now_ms && len > 0);
	assert(!f.inner->finished && !f.inner->ended);
	size_t n = len < f.inner->budget ? len : f.inner->budget;
	f.inner->budget -= n;
	buf_append(&f.taken, data, n);
	if (f.framing)
		assert(f.taken.len <= f.framed.len &&
			(n == 0 || memcmp(f.framed.data + f.taken.len - n, data, n) == 0));
	if (n > 0)
		f.inner->wire->ops->wake(f.inner->wire);
	return n;
}

static void inner_input_end(gh_engine *engine, uint64_t now_ms)
{
	(void)engine;
	assert(!f.inner->ended && now_ms == f.now_ms);
	if (f.framing && f.hung_up && !f.limited)
		assert(f.taken.len == f.framed.len);
	f.inner->ended = true;
	f.inner->finished = true; /* once it has said all */
}

static gh_bytes inner_output(gh_engine *engine)
{
	(void)engine;
	return (gh_bytes){f.taken.data ? f.taken.data + f.inner->said : NULL, f.taken.len - f.inner->said};
}

static void inner_output_done(gh_engine *engine, size_t len)
{
	(void)engine;
	assert(len <= f.taken.len - f.inner->said);
	f.inner->said += len;
}

static uint64_t inner_tick(gh_engine *engine, uint64_t now_ms)
{
	(void)engine;
	assert(now_ms == f.now_ms);
	return 0;
}

static bool inner_finished(const gh_engine *engine)
{
	return ((const struct fuzz_inner *)engine)->finished;
}

static void inner_drain(gh_engine *engine, uint64_t now_ms)
{
	(void)now_ms;
	((struct fuzz_inner *)engine)->finished = true;
}

static void inner_free(gh_engine *engine)
{
	assert(engine == &f.inner->engine);
	free(f.inner);
	f.inner = NULL;
}

static const gh_engine_ops inner_ops = {inner_input, inner_input_end, inner_output, inner_output_done, inner_tick,
	inner_finished, inner_drain, inner_free};

static gh_engine *inner_new(gh_worker *worker, gh_wire *wire, uint64_t now_ms)
{
	(void)worker;
	(void)now_ms;
	f.inner = calloc(1, sizeof *f.inner);
	assert(f.inner);
	*f.inner = (struct fuzz_inner){.engine.ops = &inner_ops, .wire = wire, .budget = 1000};
	return &f.inner->engine;
}

static const gh_transport inner_transport = {
	.name = "inner", .subprotocols = (const char *const[]){"inner", NULL}, .engine_new = inner_new};

/* ---- what the client reads ---- */

static void fuzz_handshake(void)
{
	uint8_t *end = f.got.len ? memmem(f.got.data, f.got.len, "\r\n\r\n", 4) : NULL;
	if (!end)
		return;
	assert(text_starts(buf_bytes(&f.got), "HTTP/1.1 101 "));
	f.answered = true;
	buf_drop(&f.got, (size_t)(end + 4 - f.got.data));
}

static void fuzz_heard(uint8_t first, gh_bytes payload)
{
	uint8_t opcode = first & 0x0f;
	assert(!f.closed && (first & 0xf0) == 0x80 && (opcode == 2 || (opcode >= 8 && opcode <= 10)));
	assert(payload.len <= (opcode == 2 ? FRAME_MAX : 125));
	if (opcode == 8)
		assert(payload.len != 1);
	f.closed = opcode == 8;
	if (opcode != 2 || !f.inner)
		return;
	assert(payload.len <= f.taken.len - f.heard);
	assert(memcmp(f.taken.data + f.heard, payload.data, payload.len) == 0);
	f.heard += payload.len;
}

static void fuzz_listen(void)
{
	if (!f.answered)
		fuzz_handshake();
	while (f.answered) {
		struct reader r = reader_of(buf_bytes(&f.got));
		uint8_t first = reader_u8(&r), second = reader_u8(&r);
		assert(!(second & 0x80));
		uint64_t len = second < 126 ? second : reader_uint(&r, second == 126 ? 2 : 8);
		gh_bytes payload = reader_take(&r, (size_t)len);
		if (r.failed)
			return;
		fuzz_heard(first, payload);
		buf_drop(&f.got, f.got.len - reader_left(&r));
	}
}

/* ---- the connection ---- */

static void fuzz_wake(gh_wire *wire)
{
	assert(wire == &f.wire);
	f.woken = true;
}

static gh_peer fuzz_peer(gh_wire *wire)
{
	(void)wire;
	return (gh_peer){.address = "192.0.2.7", .port = 4711, .server_name = "hub.example.net"};
}

static const gh_wire_ops fuzz_wire_ops = {.wake = fuzz_wake, .peer = fuzz_peer};

static void fuzz_offer(void)
{
	if (f.held.len == 0)
		return;
	if (f.engine->ops->finished(f.engine)) {
		buf_clear(&f.held);
		return;
	}
	uint8_t *exact = malloc(f.held.len); /* whoever reads behind it, or later, is seen */
	assert(exact);
	memcpy(exact, f.held.data, f.held.len);
	size_t taken = f.engine->ops->input(f.engine, exact, f.held.len, f.now_ms);
	free(exact);
	assert(taken <= f.held.len);
	buf_drop(&f.held, taken);
}

static void fuzz_output(void)
{
	gh_bytes out;
	while (f.reading && (out = f.engine->ops->output(f.engine)).len > 0) {
		size_t n = out.len > 3 ? out.len / 2 + 1 : out.len;
		buf_append(&f.got, out.data, n);
		f.engine->ops->output_done(f.engine, n);
	}
	fuzz_listen();
}

/* As conn.c has it: held input, the end of input, the time, the wire. */
static void fuzz_drive(void)
{
	if (f.woken) {
		f.woken = false;
		fuzz_offer();
	}
	if (f.hung_up && !f.end_told && f.held.len == 0) {
		f.end_told = true;
		if (!f.engine->ops->finished(f.engine))
			f.engine->ops->input_end(f.engine, f.now_ms);
	}
	f.tick_at = f.engine->ops->tick(f.engine, f.now_ms);
	assert(f.tick_at == 0 || f.tick_at > f.now_ms);
	fuzz_output();
}

static void fuzz_settle_down(void)
{
	for (int round = 0; !f.cut && (round == 0 || f.woken); round++) {
		assert(round < ROUNDS_MAX);
		fuzz_drive();
		if (!f.woken)
			loop_turn(once.loop);
	}
	/* Whoever asks again is told the same, or the deadline that stands would not be kept. */
	uint64_t at = f.engine->ops->tick(f.engine, f.now_ms);
	assert(at == 0 || (f.tick_at != 0 && f.tick_at <= at));
	f.cut = f.reading && f.engine->ops->finished(f.engine) && f.engine->ops->output(f.engine).len == 0;
}

/* Nothing is on its way any more: what could move has moved. */
static void fuzz_check_rest(void)
{
	if (!f.inner || !f.reading || f.cut)
		return;
	assert(f.closed || f.engine->ops->finished(f.engine) || f.heard == f.taken.len);
	if (f.framing && f.inner->budget > 0 && !f.inner->finished && f.held.len == 0 && !f.hung_up)
		assert(f.taken.len == f.framed.len);
}

/* ---- the client sends ---- */

static void fuzz_send(gh_bytes bytes)
{
	if (f.hung_up || f.cut)
		return;
	bool stopped = f.held.len > 0;
	buf_append(&f.held, bytes.data, bytes.len);
	if (!stopped)
		fuzz_offer();
}

static void fuzz_frame(struct buf *to, uint8_t first, gh_bytes payload)
{
	static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
	buf_put_u8(to, first);
	if (payload.len < 126) {
		buf_put_u8(to, (uint8_t)(0x80 | payload.len));
	} else {
		buf_put_u8(to, 0x80 | 126);
		buf_put_u16(to, (uint16_t)payload.len);
	}
	buf_append(to, key, sizeof key);
	for (size_t i = 0; i < payload.len; i++)
		buf_put_u8(to, payload.data[i] ^ key[i % 4]);
}

/* first: 0 = as it is. piece: bytes of the frame that come at once. */
static void fuzz_send_framed(uint8_t first, gh_bytes payload, size_t piece)
{
	struct buf frame = {0};
	if (first)
		fuzz_frame(&frame, first, payload);
	else
		buf_append(&frame, payload.data, payload.len);
	if (first == 0x82 && !f.hung_up && !f.cut)
		buf_append(&f.framed, payload.data, payload.len);
	for (size_t at = 0; at < frame.len; at += piece) {
		size_t left = frame.len - at;
		fuzz_send((gh_bytes){frame.data + at, left < piece ? left : piece});
		fuzz_settle_down();
	}
	buf_done(&frame);
}

static void fuzz_control(unsigned parameter, gh_bytes payload)
{
	static const uint8_t firsts[] = {0x89, 0x8a, 0x88, 0x80, 0x02, 0x81, 0x09, 0xf2};
	static const uint8_t close[] = {0x03, 0xe8};
	uint8_t first = firsts[parameter & 7];
	if (first == 0x88 && parameter & 8)
		payload = (gh_bytes){close, sizeof close};
	if (first != 0x89 && first != 0x8a)
		f.framing = false; /* what comes of it, and of what follows, is not for sure */
	fuzz_send_framed(first, payload, SIZE_MAX);
}

/* ---- steps ---- */

static void fuzz_inside(unsigned parameter)
{
	gh_worker *worker = &f.worker;
	static const gh_status switches[] = {GH_OK, GH_AGAIN, GH_TOO_LARGE, GH_UNAVAILABLE};
	if (f.inner) {
		f.inner->budget = parameter == 31 ? SIZE_MAX : parameter * parameter * 4;
		f.inner->wire->ops->wake(f.inner->wire);
	} else if (parameter < 8) {
		core_double_settle_all(worker, parameter ? GH_OK : GH_IO);
	} else if (parameter < 12 && worker->links && worker->links->opening) {
		core_double_opened(worker->links, parameter & 1 ? GH_UNAUTHORIZED : GH_OK, parameter & 2);
	} else if (parameter < 16 && worker->links && !worker->links->opening) {
		core_double_subscribed(worker->links, parameter & 1 ? GH_IO : GH_OK);
	} else if (parameter < 24) {
		worker->submit_status = switches[parameter & 3];
	} else if (parameter < 28 && worker->links && !worker->links->opening) {
		core_double_writable(worker->links);
	} else if (worker->links && !worker->links->opening) {
		core_double_revoke(worker->links, GH_TAKEN_OVER);
	}
}

/* Deadlines on the way fire at their time. */
static void fuzz_wait(uint64_t ms)
{
	uint64_t until = f.now_ms + ms;
	for (int round = 0; !f.cut && f.tick_at && f.tick_at <= until && round < ROUNDS_MAX; round++) {
		f.now_ms = f.tick_at;
		fuzz_settle_down();
	}
	f.now_ms = until;
}

static void fuzz_end(unsigned parameter)
{
	if (parameter & 1)
		f.hung_up = true;
	else if (parameter & 2)
		f.engine->ops->drain(f.engine, f.now_ms);
	else if (parameter & 4 && f.inner)
		f.inner->finished = true; /* and wakes nobody: it was its tick */
	else
		loop_turn(once.loop);
}

static void fuzz_step(uint8_t byte, gh_bytes payload)
{
	unsigned parameter = byte >> 3;
	uint8_t data = f.framing ? 0x82 : 0;
	switch ((enum fuzz_step)(byte & 7)) {
	case STEP_SEND:
	case STEP_SEND_MORE:
		fuzz_send_framed(data, payload, SIZE_MAX);
		break;
	case STEP_PIECE:
		fuzz_send_framed(data, payload, 1 + parameter % 7);
		break;
	case STEP_CONTROL:
		fuzz_control(parameter, payload);
		break;
	case STEP_INSIDE:
		fuzz_inside(parameter);
		break;
	case STEP_SWITCH:
		f.reading = !(parameter & 1);
		break;
	case STEP_TIME:
		fuzz_wait((uint64_t)1 << parameter % 24);
		break;
	case STEP_END:
		fuzz_end(parameter);
		break;
	}
	if (!f.cut)
		fuzz_settle_down();
	fuzz_check_rest();
}

/* How much of the script belongs to the step. */
static size_t fuzz_payload(uint8_t byte)
{
	size_t parameter = byte >> 3;
	switch ((enum fuzz_step)(byte & 7)) {
	case STEP_SEND:
	case STEP_PIECE:
		return parameter;
	case STEP_SEND_MORE:
		return parameter << 8;
	case STEP_CONTROL:
		return parameter & 8 ? 125 : parameter & 0x17;
	default:
		return 0;
	}
}

/* ---- life ---- */

static void fuzz_count(uv_handle_t *handle, void *count)
{
	(void)handle;
	++*(size_t *)count;
}

static size_t fuzz_handles(void)
{
	size_t count = 0;
	for (int i = 0; i < 3; i++)
		loop_turn(once.loop);
	uv_walk(loop_uv(once.loop), fuzz_count, &count);
	return count;
}

/* Only sockets: who runs the target may open files meanwhile. */
static size_t fuzz_sockets(void)
{
	size_t count = 0;
	for (int fd = 0; fd < FD_MAX; fd++) {
		struct stat what;
		count += fstat(fd, &what) == 0 && S_ISSOCK(what.st_mode);
	}
	return count;
}

static void fuzz_once(void)
{
	gh_limits limits = f.worker.limits;
	gh_error err;
	once.loop = loop_new();
	assert(once.loop);
	gh_status status = web_new(once.loop, &limits, &once.web, &err);
	assert(status == GH_OK);
	once.handles = fuzz_handles();
	once.sockets = fuzz_sockets();
}

static void fuzz_open(uint8_t flags)
{
	static const gh_transport *const transports[] = {&mqtt_transport, &inner_transport, NULL};
	const struct web_rules rules = {.transports = transports, .engine_new = ws_engine_new};
	const gh_upgrade upgrade = {
		.key = text_of("dGhlIHNhbXBsZSBub25jZQ=="), .subprotocol = text_of(flags & 2 ? "mqtt" : "inner")};
	gh_status status = rules.engine_new(&rules, once.web, &f.worker, &f.wire, &upgrade, f.now_ms, &f.engine);
	assert(status == GH_OK);
	fuzz_settle_down();
	assert(f.answered);
	if ((flags & 6) != 6)
		return;
	struct buf connect = {0};
	mqtt_connect_bytes(&connect, 0xc2, 60, "dev1", "", "hub.example.net/dev1/?api-version=2021-04-12");
	fuzz_send_framed(0x82, buf_bytes(&connect), SIZE_MAX);
	buf_done(&connect);
}

static void fuzz_close(void)
{
	f.framing = false; /* it is cut */
	if (!f.end_told && !f.engine->ops->finished(f.engine))
		f.engine->ops->input_end(f.engine, f.now_ms);
	f.engine->ops->free(f.engine);
	assert(fuzz_handles() == once.handles);
	assert(fuzz_sockets() == once.sockets);
	buf_done(&f.held);
	buf_done(&f.framed);
	buf_done(&f.taken);
	buf_done(&f.got);
	core_double_done(&f.worker);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || size > INPUT_MAX)
		return 0;
	memset(&f, 0, sizeof f);
	core_double_init(&f.worker);
	if (!once.loop)
		fuzz_once();
	f.wire.ops = &fuzz_wire_ops;
	f.now_ms = 1000;
	f.reading = true;
	f.framing = data[0] & 1;
	f.limited = data[0] & 16;
	f.worker.open_status = data[0] & 8 ? GH_AGAIN : GH_OK;
	f.worker.limits.mqtt_inflight_in_max = 8;
	f.worker.limits.mqtt_output_bytes_max = 1024;
	f.worker.limits.websocket_controls_max = 3;
	if (f.limited)
		f.worker.limits.websocket_message_bytes_max = 300;
	fuzz_open(data[0]);
	for (size_t at = 1; at < size && !f.cut;) {
		uint8_t byte = data[at++];
		size_t n = fuzz_payload(byte);
		if (n > size - at)
			n = size - at;
		fuzz_step(byte, (gh_bytes){data + at, n});
		at += n;
	}
	fuzz_close();
	return 0;
}
