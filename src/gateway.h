/* gateway.h - the running gateway: store, back end, core, workers, listeners, admin socket; from start to drained stop.
 *
 * `dev` and `serve` are two ways to fill a struct config and call this.
 */
#ifndef GATEHOUSE_GATEWAY_H
#define GATEHOUSE_GATEWAY_H

#include "src/base/log.h"
#include "src/config.h"
#include "src/core/registry.h"

struct gateway;

/* Opens the store and the back end and makes the default policies; no socket yet.  Borrows everything until free. */
gh_status gateway_open(const struct config *config, const struct log *log, bool accept_loss,
	struct gateway **ret_gateway, gh_error *ret_err);

/* For what must be there before the first connection (dev's device). */
const struct registry *gateway_registry(const struct gateway *gateway);

/* Binds, starts the workers: connections are accepted when it returns GH_OK. */
gh_status gateway_start(struct gateway *gateway, gh_error *ret_err);
/* After start; 0 = not served. */
uint16_t gateway_mqtt_port(const struct gateway *gateway);
uint16_t gateway_amqp_port(const struct gateway *gateway);
uint16_t gateway_https_port(const struct gateway *gateway);

/* Serves the admin socket until SIGTERM or SIGINT, then drains.  GH_OK: everything accepted was answered and stored. */
gh_status gateway_run(struct gateway *gateway, gh_error *ret_err);

void gateway_free(struct gateway *gateway); /* accepts NULL */

#endif
