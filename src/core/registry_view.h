/* registry_view.h - a stored identity as service clients see it: with what only the running hub knows (service contract
 * 2.2, 2.5, 2.7).
 */
#ifndef GATEHOUSE_CORE_REGISTRY_VIEW_H
#define GATEHOUSE_CORE_REGISTRY_VIEW_H

#include <gatehouse/message.h>

#include <jansson.h>

/* Who is connected now.  Asked on whatever thread serves a request. */
struct registry_presence {
	void *context;
	/* module_id: empty = the device.  *ret_since_ms: wall time since when it is as it is, 0 = not known. */
	bool (*connected)(void *context, gh_bytes device_id, gh_bytes module_id, uint64_t *ret_since_ms);
	uint64_t (*connected_devices)(void *context);
};

/* A new reference: every member of the document, and those that nobody stores.  NULL without memory. */
json_t *registry_view_identity(const json_t *document, const struct registry_presence *presence);

#endif
