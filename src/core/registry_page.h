/* registry_page.h - a walk over the devices of the registry in the order of their ids, which can stop and go on later.
 *
 * One consistent scan of the store; modules are passed over.  Where a walk stopped is told to clients as a token, which
 * is checked when it comes back.
 */
#ifndef GATEHOUSE_CORE_REGISTRY_PAGE_H
#define GATEHOUSE_CORE_REGISTRY_PAGE_H

#include "src/base/text.h"
#include "src/core/registry.h"

enum registry_page_step {
	REGISTRY_PAGE_NEXT,      /* done with this one */
	REGISTRY_PAGE_FULL,      /* this one is not wanted any more: stop, the next page begins with it */
	REGISTRY_PAGE_NO_MEMORY, /* stop */
};

struct registry_page {
	char last[REGISTRY_ID_BYTES_MAX + 1]; /* in: begin after it, "" = at the start; out: the last one done with */
	uint64_t devices_max;                 /* stop after so many; 0 = never */
	bool more;                            /* out: there are devices behind `last` */
	enum registry_page_step (*visit)(void *context, const json_t *document);
	void *context;
};

gh_status registry_page_walk(const struct registry *r, struct registry_page *page, gh_error *ret_err);

enum { REGISTRY_PAGE_TOKEN_SIZE = TEXT_BASE64_SIZE(REGISTRY_ID_BYTES_MAX) };

/* Of where a walk stopped; "" when there is nothing behind it. */
void registry_page_token(const struct registry_page *page, char ret_token[REGISTRY_PAGE_TOKEN_SIZE]);
/* Sets where to begin; an empty token = at the start.  GH_INVALID: no walk made this token. */
gh_status registry_page_resume(struct registry_page *page, gh_bytes token, gh_error *ret_err);

#endif
