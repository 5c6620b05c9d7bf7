/* service.h - service requests on their way: from a worker to the thread that may wait for the disk, and back.
 *
 * Shared by all workers; a call is a task that runs once on each side.
 */
#ifndef GATEHOUSE_CORE_SERVICE_H
#define GATEHOUSE_CORE_SERVICE_H

#include <gatehouse/host.h>
#include <gatehouse/service.h>

#include "src/core/registry_service.h"

#include <stdatomic.h>

struct service {
	gh_host *host; /* the thread where the registry is asked; NULL = nothing is served */
	struct registry_service registry;
	atomic_uint_fast64_t calls; /* under way */
};

#endif
