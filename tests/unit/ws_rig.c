#include "tests/unit/ws_rig.h"

#include "src/base/take.h"

#include <dirent.h>
#include <stdio.h>

/* ---- the engine inside ---- */

static struct ws_inner *inner_of(gh_engine *engine)
{
	return GH_CONTAINER(engine, struct ws_inner, engine);
}

static size_t inner_input(gh_engine *engine, const uint8_t *data, size_t len, uint64_t now_ms)
{
	(void)now_ms;
	struct ws_inner *inner = inner_of(engine);
	size_t taken = len < inner->budget ? len : inner->budget;
	inner->budget -= taken;
	inner->inputs++;
	buf_append(&inner->in, data, taken);
	if (inner->echo && taken)
		ws_inner_say(inner, data, taken);
	return taken;
}

static void inner_input_end(gh_engine *engine, uint64_t now_ms)
{
	(void)now_ms;
	inner_of(engine)->ends++;
}

static gh_bytes inner_output(gh_engine *engine)
{
	struct ws_inner *inner = inner_of(engine);
	return (gh_bytes){inner->out.data ? inner->out.data + inner->out_at : NULL, inner->out.len - inner->out_at};
}

static void inner_output_done(gh_engine *engine, size_t len)
{
	struct ws_inner *inner = inner_of(engine);
	inner->out_at += len;
	cr_assert(inner->out_at <= inner->out.len);
	if (len > inner->output_max)
		inner->output_max = len;
}

static uint64_t inner_tick(gh_engine *engine, uint64_t now_ms)
{
	struct ws_inner *inner = inner_of(engine);
	if (inner->deadline_ms && now_ms >= inner->deadline_ms) {
		inner->fired++;
		inner->deadline_ms = 0;
	}
	return inner->deadline_ms;
}

static bool inner_finished(const gh_engine *engine)
{
	return ((const struct ws_inner *)engine)->finished;
}

static void inner_drain(gh_engine *engine, uint64_t now_ms)
{
	(void)now_ms;
	inner_of(engine)->drains++;
}

static void inner_free(gh_engine *engine)
{
	struct ws_inner *inner = inner_of(engine);
	buf_done(&inner->in);
	buf_done(&inner->out);
	free(inner);
}

static const gh_engine_ops inner_ops = {inner_input, inner_input_end, inner_output, inner_output_done, inner_tick,
	inner_finished, inner_drain, inner_free};

static gh_engine *inner_new(gh_worker *worker, gh_wire *wire, uint64_t now_ms)
{
	(void)now_ms;
	struct ws_rig *rig = GH_CONTAINER(worker, struct ws_rig, worker);
	struct ws_inner *inner = calloc(1, sizeof *inner);
	inner->engine.ops = &inner_ops;
	inner->wire = wire;
	inner->budget = SIZE_MAX;
	rig->inner = inner;
	return &inner->engine;
}

void ws_inner_say(struct ws_inner *inner, const void *data, size_t len)
{
	buf_append(&inner->out, data, len);
	inner->wire->ops->wake(inner->wire);
}

static const gh_transport inner_transport = {
	.name = "inner", .subprotocols = (const char *const[]){"mqtt", "other", NULL}, .engine_new = inner_new};
static const gh_transport *const inner_transports[] = {&inner_transport, NULL};

/* ---- the engine under test ---- */

static gh_engine *rig_engine_new(gh_worker *worker, gh_wire *wire, uint64_t now_ms)
{
	struct ws_rig *rig = GH_CONTAINER(worker, struct ws_rig, worker);
	gh_upgrade upgrade = {
		.key = text_of("dGhlIHNhbXBsZSBub25jZQ=="),
		.subprotocol = text_of(rig->subprotocol),
		.host = text_of("hub.example.net:8443"),
		.origin = rig->origin ? text_of(rig->origin) : (gh_bytes){NULL, 0},
	};
	gh_engine *engine = NULL;
	rig->refused = rig->rules.engine_new(&rig->rules, rig->web, worker, wire, &upgrade, now_ms, &engine);
	return engine;
}

static const gh_transport rig_transport = {.name = "websocket", .engine_new = rig_engine_new};

void ws_rig_init(struct ws_rig *rig)
{
	*rig = (struct ws_rig){.subprotocol = "mqtt"};
	core_double_init(&rig->worker);
	rig->loop = loop_new();
	rig->rules = (struct web_rules){.transports = inner_transports, .engine_new = ws_engine_new};
	gh_error err = {0};
	cr_assert_eq(web_new(rig->loop, &rig->worker.limits, &rig->web, &err), GH_OK, "%s", err.text);
}

/* The answer to RFC 6455's own example of a key. */
static void rig_check_answer(struct ws_rig *rig)
{
	char line[200];
	struct buf *got = &rig->pair.got;
	uint8_t *end = memmem(got->data, got->len, "\r\n\r\n", 4);
	cr_assert_not_null(end, "%.*s", (int)got->len, (const char *)got->data);
	gh_bytes head = {got->data, (size_t)(end + 4 - got->data)};
	cr_assert(text_starts(head, "HTTP/1.1 101 Switching Protocols\r\n"));
	cr_assert_not_null(
		memmem(head.data, head.len, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", 54));
	snprintf(line, sizeof line, "\r\nSec-WebSocket-Protocol: %s\r\n", rig->subprotocol);
	cr_assert_not_null(
		memmem(head.data, head.len, line, strlen(line)), "%.*s", (int)head.len, (const char *)head.data);
	cr_assert_null(memmem(head.data, head.len, "xtensions", 9));
	buf_drop(got, head.len);
}

bool ws_rig_try(struct ws_rig *rig)
{
	rig->looked_at = 0;
	gh_engine *engine = engine_pair_try(&rig->pair, &rig->worker, &rig_transport);
	if (engine)
		rig_check_answer(rig);
	return engine != NULL;
}

void ws_rig_open(struct ws_rig *rig)
{
	cr_assert(ws_rig_try(rig), "refused: %s", gh_status_name(rig->refused));
}

void ws_rig_shut(struct ws_rig *rig)
{
	engine_pair_done(&rig->pair);
	for (int i = 0; i < 3; i++)
		loop_turn(rig->loop);
}

void ws_rig_done(struct ws_rig *rig)
{
	ws_rig_shut(rig);
	web_free(rig->web);
	loop_free(rig->loop);
	core_double_done(&rig->worker);
}

void ws_rig_turn(struct ws_rig *rig)
{
	loop_turn(rig->loop);
	engine_pair_run(&rig->pair);
}

/* ---- the client ---- */

void ws_rig_put(struct buf *to, uint8_t first, const void *payload, size_t len)
{
	static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
	buf_put_u8(to, first);
	if (len < 126) {
		buf_put_u8(to, (uint8_t)(0x80 | len));
	} else if (len < 65536) {
		buf_put_u8(to, 0x80 | 126);
		buf_put_u16(to, (uint16_t)len);
	} else {
		buf_put_u8(to, 0x80 | 127);
		buf_put_u64(to, len);
	}
	buf_append(to, mask, sizeof mask);
	for (size_t i = 0; i < len; i++)
		buf_put_u8(to, ((const uint8_t *)payload)[i] ^ mask[i % 4]);
}

void ws_rig_send(struct ws_rig *rig, uint8_t first, const void *payload, size_t len)
{
	struct buf frame = {0};
	ws_rig_put(&frame, first, payload, len);
	engine_pair_send(&rig->pair, buf_bytes(&frame));
	buf_done(&frame);
}

bool ws_rig_frame(struct ws_rig *rig, struct ws_frame *ret_frame)
{
	struct buf *got = &rig->pair.got;
	buf_drop(got, rig->looked_at);
	rig->looked_at = 0;
	struct reader r = reader_of(buf_bytes(got));
	uint8_t first = reader_u8(&r), second = reader_u8(&r);
	uint64_t len = second & 0x7f;
	if (len >= 126)
		len = reader_uint(&r, len == 126 ? 2 : 8);
	gh_bytes payload = reader_take(&r, len);
	if (r.failed)
		return false;
	*ret_frame = (struct ws_frame){first, second & 0x80, payload};
	rig->looked_at = got->len - reader_left(&r);
	return true;
}

void ws_rig_expect_close(struct ws_rig *rig, unsigned code, const char *what)
{
	struct ws_frame frame;
	cr_assert(ws_rig_frame(rig, &frame), "%s: no frame", what);
	cr_assert_eq(frame.first, WS_FIN | WS_END, "%s: 0x%02x", what, frame.first);
	cr_assert(frame.payload.len >= 2, "%s", what);
	unsigned got = (unsigned)(frame.payload.data[0] << 8 | frame.payload.data[1]);
	cr_assert_eq(got, code, "%s: %u, not %u", what, got, code);
}

unsigned ws_rig_open_fds(void)
{
	unsigned count = 0;
	DIR *dir = opendir("/proc/self/fd");
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}
