#include "src/builtin.h"

#include "src/backends/embedded.h"
#include "transports/amqp/amqp.h"
#include "transports/https/h2_engine.h"
#include "transports/https/http1_engine.h"
#include "transports/mqtt/mqtt.h"
#include "transports/websocket/ws_lws.h"

static const gh_transport *const builtin_mqtt[] = {&mqtt_transport, NULL};
static const gh_transport *const builtin_amqp[] = {&amqp_transport, NULL};
static const gh_transport *const builtin_https[] = {&http1_transport, &h2_transport, NULL};
static const gh_transport *const builtin_websocket[] = {&mqtt_transport, &amqp_transport, NULL};

const struct builtin builtin = {
	.store = &embedded_store,
	.backend = &embedded_queue,
	.mqtt = builtin_mqtt,
	.amqp = builtin_amqp,
	.https = builtin_https,
	.websocket = builtin_websocket,
	.websocket_new = ws_engine_new,
	.recovery = embedded_store_recovery,
};
