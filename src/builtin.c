#include "src/builtin.h"

#include "src/backends/embedded.h"
#include "transports/mqtt/mqtt.h"

const struct builtin builtin = {
	.store = &embedded_store,
	.backend = &embedded_queue,
	.mqtt = &mqtt_transport,
	.recovery = embedded_store_recovery,
};
