/* hub_error.h - a refusal in the words of the hub's contract: HTTP status, number, name (device contract 6.6, service
 * contract 2.1).  One table for every surface that can tell them.
 */
#ifndef GATEHOUSE_WIRE_HUB_ERROR_H
#define GATEHOUSE_WIRE_HUB_ERROR_H

#include <gatehouse/error.h>

#include <stdint.h>

struct hub_error {
	uint16_t http;
	uint32_t number;
	const char *name; /* "DeviceNotFound" */
};

/* By the code where the table has it, else by the status; status is not GH_OK.  code: NULL = none.  Borrowed, static. */
const struct hub_error *hub_error_of(gh_status status, const char *code);

#endif
