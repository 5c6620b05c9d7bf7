/* events_path.h - is a message's `to` only where it was sent anyway?
 *
 * Clients that address each message repeat there the path that their telemetry goes to, /devices/{d}/messages/events.
 * That says nothing, and a client of another protocol does not say it; so it is no property of the message.
 */
#ifndef GATEHOUSE_WIRE_EVENTS_PATH_H
#define GATEHOUSE_WIRE_EVENTS_PATH_H

#include <gatehouse/message.h>

/* Fixed segments compare without case, ids with; ids may be literal or percent-encoded.  module_id empty = a device. */
bool events_path_is_own(gh_bytes to, gh_bytes device_id, gh_bytes module_id);

#endif
