#include "src/core/registry_query.h"

#include "src/base/take.h"
#include "src/core/twin_view.h"

struct rows {
	const struct registry_query *q;
	json_t *array;
	uint64_t count; /* of a count */
};

static void json_release(json_t **value)
{
	json_decref(*value);
}

static enum registry_page_step query_add(struct rows *rows, json_t *twin)
{
	const struct registry_query *q = rows->q;
	if (q->query->kind == QUERY_COUNT) {
		rows->count++;
		return REGISTRY_PAGE_NEXT;
	}
	if (json_array_size(rows->array) == q->rows_max)
		return REGISTRY_PAGE_FULL; /* seen only to know that there is one more */
	int failed = json_array_append_new(rows->array, query_row(q->query, twin));
	return failed ? REGISTRY_PAGE_NO_MEMORY : REGISTRY_PAGE_NEXT;
}

static enum registry_page_step query_visit(void *context, const json_t *document)
{
	struct rows *rows = context;
	GH_CLEANUP(json_release) json_t *identity = registry_view_identity(document, rows->q->presence);
	GH_CLEANUP(json_release) json_t *twin = twin_view_device(identity);
	if (!identity || !twin)
		return REGISTRY_PAGE_NO_MEMORY;
	return query_selects(rows->q->query, twin) ? query_add(rows, twin) : REGISTRY_PAGE_NEXT;
}

gh_status registry_query_page(struct registry_query *q, json_t **ret_rows, gh_error *ret_err)
{
	GH_CLEANUP(json_release) json_t *array = json_array();
	bool counts = q->query->kind == QUERY_COUNT;
	struct rows rows = {.q = q, .array = array};
	q->page.visit = query_visit;
	q->page.context = &rows;
	q->page.devices_max = counts ? 0 : q->registry->limits->query_scan_max;
	gh_status status = registry_page_walk(q->registry, &q->page, ret_err);
	if (status != GH_OK)
		return status;
	if (!array || (counts && json_array_append_new(array, query_count_row(q->query, rows.count)) != 0))
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for the rows of a query");
	*ret_rows = GH_TAKE(array);
	return GH_OK;
}
