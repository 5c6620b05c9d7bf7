/* registry_query.h - one page of a query over the twins of the registry's devices (service contract 3.8).
 *
 * A page looks at query_scan_max devices at most; when fewer rows were found by then, it is short and there are more.  A
 * count looks at all of them: it has but one row.
 */
#ifndef GATEHOUSE_CORE_REGISTRY_QUERY_H
#define GATEHOUSE_CORE_REGISTRY_QUERY_H

#include "src/core/query.h"
#include "src/core/registry_page.h"
#include "src/core/registry_view.h"

struct registry_query {
	const struct registry *registry;
	const struct registry_presence *presence;
	const struct query *query;
	uint64_t rows_max;         /* at least 1 */
	struct registry_page page; /* where to begin; afterwards, where it stopped */
};

/* An array of rows; a new reference. */
gh_status registry_query_page(struct registry_query *q, json_t **ret_rows, gh_error *ret_err);

#endif
