/* registry_service.h - the registry as service clients ask for it: a request in, a JSON text out (service contract 2, 3.8).
 *
 * Knows no HTTP.  Who may ask was decided before (gh_service_authorize).  Blocks on the disk, and looks at every device for
 * statistics and counts: never on a loop thread, but on as many other threads at once as one likes.
 */
#ifndef GATEHOUSE_CORE_REGISTRY_SERVICE_H
#define GATEHOUSE_CORE_REGISTRY_SERVICE_H

#include <gatehouse/service.h>

#include "src/core/registry.h"
#include "src/core/registry_page.h"
#include "src/core/registry_view.h"

/* Borrowed by each call.  All functions, those of the registry too, are called on the thread that serves. */
struct registry_service {
	const struct registry *registry;
	struct registry_presence presence;
	/* A device or one of its modules was updated or deleted, or may have been (GH_UNKNOWN): what is connected as it is
	 * to be checked again.  Before the answer is there; not for creations. */
	void (*changed)(void *context, gh_bytes device_id);
	void *context;
};

struct registry_answer {
	gh_status status;
	gh_error err; /* when not GH_OK */
	char *body;   /* JSON; NULL = none.  Beside an error only for a bulk request that failed in part */
	size_t body_len;
	char etag[128];                              /* of the identity, without quotes; "" = none */
	char continuation[REGISTRY_PAGE_TOKEN_SIZE]; /* "" = that was all */
	const char *item_type;                       /* of a query: "Twin" or "Raw"; "" = none */
};

/* Fills *ret_answer in any case; the caller owes registry_answer_done. */
void registry_serve(
	const struct registry_service *s, const gh_service_request *request, struct registry_answer *ret_answer);
void registry_answer_done(struct registry_answer *answer);

#endif
