#include "transports/mqtt/mqtt.h"

#include "src/base/take.h"
#include "transports/mqtt/mqtt_session.h"

#include <stddef.h>

struct mqtt_engine {
	gh_engine engine;
	struct mqtt_session session;
};

static struct mqtt_session *mqtt_session_of(gh_engine *engine)
{
	return &GH_CONTAINER(engine, struct mqtt_engine, engine)->session;
}

static size_t mqtt_input(gh_engine *engine, const uint8_t *data, size_t len, uint64_t now_ms)
{
	return mqtt_session_input(mqtt_session_of(engine), (gh_bytes){data, len}, now_ms);
}

static void mqtt_input_end(gh_engine *engine, uint64_t now_ms)
{
	mqtt_session_input_end(mqtt_session_of(engine), now_ms);
}

static gh_bytes mqtt_output(gh_engine *engine)
{
	return buf_bytes(&mqtt_session_of(engine)->out);
}

static void mqtt_output_done(gh_engine *engine, size_t len)
{
	mqtt_session_output_done(mqtt_session_of(engine), len);
}

static uint64_t mqtt_tick(gh_engine *engine, uint64_t now_ms)
{
	return mqtt_session_tick(mqtt_session_of(engine), now_ms);
}

static bool mqtt_finished(const gh_engine *engine)
{
	return mqtt_session_is_ended(&((const struct mqtt_engine *)engine)->session);
}

static void mqtt_drain(gh_engine *engine, uint64_t now_ms)
{
	mqtt_session_drain(mqtt_session_of(engine), now_ms);
}

static void mqtt_free(gh_engine *engine)
{
	if (!engine)
		return;
	mqtt_session_done(mqtt_session_of(engine));
	free(GH_CONTAINER(engine, struct mqtt_engine, engine));
}

static const gh_engine_ops mqtt_engine_ops = {
	.input = mqtt_input,
	.input_end = mqtt_input_end,
	.output = mqtt_output,
	.output_done = mqtt_output_done,
	.tick = mqtt_tick,
	.finished = mqtt_finished,
	.drain = mqtt_drain,
	.free = mqtt_free,
};

static gh_engine *mqtt_engine_new(gh_worker *worker, gh_wire *wire, uint64_t now_ms)
{
	struct mqtt_engine *mqtt = malloc(sizeof *mqtt);
	if (!mqtt)
		return NULL;
	mqtt->engine.ops = &mqtt_engine_ops;
	mqtt_session_init(&mqtt->session, worker, wire, now_ms);
	return &mqtt->engine;
}

const char *mqtt_why(const gh_engine *engine)
{
	return ((const struct mqtt_engine *)engine)->session.why;
}

const gh_transport mqtt_transport = {
	.name = "mqtt",
	.port_default = 8883,
	.alpn = (const char *const[]){"mqtt", NULL},
	.subprotocols = (const char *const[]){"mqtt", NULL},
	.engine_new = mqtt_engine_new,
};
