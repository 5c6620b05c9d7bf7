#include "src/builtin.h"

#include "src/backends/embedded.h"
#include "transports/mqtt/mqtt.h"

static const gh_transport *const builtin_mqtt[] = {&mqtt_transport, NULL};

const struct builtin builtin = {
	.store = &embedded_store,
	.backend = &embedded_queue,
	.mqtt = builtin_mqtt,
	.recovery = embedded_store_recovery,
};
