/* mqtt.h - MQTT 3.1.1 as a transport; also over WebSocket, which it does not notice. */
#ifndef GATEHOUSE_MQTT_MQTT_H
#define GATEHOUSE_MQTT_MQTT_H

#include <gatehouse/transport.h>

extern const gh_transport mqtt_transport;

/* One static word for why the engine ended ("keep_alive", "disconnect", ...); NULL while it lives. */
const char *mqtt_why(const gh_engine *engine);

#endif
