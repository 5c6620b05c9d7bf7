#include "src/core/registry_page.h"

#include <assert.h>

struct walk {
	struct registry_page *page;
	uint64_t devices;
	gh_status status;
	gh_error *err;
};

static bool page_damaged(struct walk *walk)
{
	walk->status =
		gh_fail(walk->err, GH_INTERNAL, "registry_record", "a stored document of the registry is damaged");
	return false;
}

static bool page_device(struct walk *walk, gh_bytes key, gh_bytes value)
{
	struct registry_page *page = walk->page;
	json_t *document = json_loadb((const char *)value.data, value.len, 0, NULL);
	if (!document || key.len >= sizeof page->last) {
		json_decref(document);
		return page_damaged(walk);
	}
	enum registry_page_step step = page->visit(page->context, document);
	json_decref(document);
	if (step == REGISTRY_PAGE_NO_MEMORY)
		walk->status = gh_fail(walk->err, GH_NO_MEMORY, "no_memory", "no memory for a list of identities");
	page->more = step == REGISTRY_PAGE_FULL;
	if (step != REGISTRY_PAGE_NEXT)
		return false;
	memcpy(page->last, key.data, key.len);
	page->last[key.len] = '\0';
	return true;
}

static bool page_visit(void *context, gh_bytes key, uint64_t version, gh_bytes value)
{
	struct walk *walk = context;
	struct registry_page *page = walk->page;
	(void)version;
	if (memchr(key.data, '/', key.len) || text_equal(key, text_of(page->last)))
		return true;
	if (page->devices_max > 0 && walk->devices++ == page->devices_max) {
		page->more = true;
		return false;
	}
	return page_device(walk, key, value);
}

gh_status registry_page_walk(const struct registry *r, struct registry_page *page, gh_error *ret_err)
{
	struct walk walk = {.page = page, .status = GH_OK, .err = ret_err};
	char from[sizeof page->last];
	memcpy(from, page->last, sizeof from); /* `last` moves while the store looks at where it began */
	page->more = false;
	gh_status status = r->store->ops->scan(r->store, GH_FAMILY_IDENTITIES, text_of(from), page_visit, &walk);
	if (status != GH_OK)
		return gh_fail(ret_err, status, "store_read", "the store cannot be read (%s)", gh_status_name(status));
	return walk.status;
}

void registry_page_token(const struct registry_page *page, char ret_token[REGISTRY_PAGE_TOKEN_SIZE])
{
	assert(!page->more || page->last[0] != '\0'); /* a visitor takes at least one, or there is no end of pages */
	gh_bytes last = page->more ? text_of(page->last) : text_of("");
	text_base64_encode(last.data, last.len, ret_token);
}

gh_status registry_page_resume(struct registry_page *page, gh_bytes token, gh_error *ret_err)
{
	uint8_t id[REGISTRY_PAGE_TOKEN_SIZE];
	size_t len = 0;
	bool good = token.len == 0 || (token.len < REGISTRY_PAGE_TOKEN_SIZE && text_base64_decode(token, id, &len) &&
					      registry_id_allowed((gh_bytes){id, len}));
	if (!good)
		return gh_fail(ret_err, GH_INVALID, "continuation", "the continuation is not one of this hub");
	memcpy(page->last, id, len);
	page->last[len] = '\0';
	return GH_OK;
}
