/* embedded_store.h - the open store, as the queue sees it: the database and its writer. */
#ifndef GATEHOUSE_BACKENDS_EMBEDDED_STORE_H
#define GATEHOUSE_BACKENDS_EMBEDDED_STORE_H

#include "src/backends/embedded.h"
#include "src/backends/embedded_writer.h"

struct embedded_store {
	gh_store store;
	struct embedded_db db;
	struct embedded_writer writer;
	struct embedded_seams seams;
};

static inline struct embedded_store *embedded_store_of(gh_store *store)
{
	return (struct embedded_store *)store;
}

/* As embedded_store.open, with clocks and disk of the caller's choice (copied). */
gh_status embedded_store_open_with(
	const gh_store_config *config, const struct embedded_seams *seams, gh_store **ret_store, gh_error *ret_err);

#endif
