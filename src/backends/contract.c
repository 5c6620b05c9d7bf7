/* contract.c - the few functions that belong to the seams themselves, not to an engine: names and releases. */
#include <gatehouse/backend.h>
#include <gatehouse/store.h>

#include <stdlib.h>

static const char *const durability_names[] = {
	[GH_MEMORY] = "memory",
	[GH_FSYNC] = "fsync",
	[GH_QUORUM] = "quorum",
	[GH_QUORUM_FSYNC] = "quorum-fsync",
};

static const char *const health_names[] = {
	[GH_READY] = "ready",
	[GH_DEGRADED] = "degraded",
	[GH_READ_ONLY] = "read_only",
	[GH_FAILED] = "failed",
};

const char *gh_durability_name(enum gh_durability level)
{
	return (unsigned)level < sizeof durability_names / sizeof *durability_names ? durability_names[level] : "?";
}

const char *gh_health_state_name(enum gh_health_state state)
{
	return (unsigned)state < sizeof health_names / sizeof *health_names ? health_names[state] : "?";
}

void gh_fetched_free(gh_fetched *records, size_t count)
{
	if (!records)
		return;
	for (size_t i = 0; i < count; i++)
		gh_message_unref(records[i].message);
	free(records);
}

void gh_store_value_done(gh_store_value *value)
{
	free(value->data);
	*value = (gh_store_value){0};
}
