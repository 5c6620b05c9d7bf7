#include "src/core/twin_view.h"

#include <stddef.h>

#define TWIN_VERSION 2
#define TWIN_ETAG "AAAAAAAAAAE=" /* a counter that stands at 1 */

/* Members that repeat the identity's. */
static const struct mirror {
	const char *name;
	const char *parent; /* of the source; NULL = it stands on top */
	const char *source;
} mirror_table[] = {
	{"deviceId", NULL, "deviceId"},
	{"deviceEtag", NULL, "etag"},
	{"status", NULL, "status"},
	{"statusReason", NULL, "statusReason"},
	{"statusUpdateTime", NULL, "statusUpdatedTime"},
	{"connectionState", NULL, "connectionState"},
	{"lastActivityTime", NULL, "lastActivityTime"},
	{"cloudToDeviceMessageCount", NULL, "cloudToDeviceMessageCount"},
	{"authenticationType", "authentication", "type"},
	{"x509Thumbprint", "authentication", "x509Thumbprint"},
	{"capabilities", NULL, "capabilities"},
	{"deviceScope", NULL, "deviceScope"},
	{"parentScopes", NULL, "parentScopes"},
};

/* What the identity does not have, the twin does not have. */
static int twin_mirror(json_t *twin, const struct mirror *mirror, const json_t *identity)
{
	const json_t *parent = mirror->parent ? json_object_get(identity, mirror->parent) : identity;
	json_t *value = json_object_get(parent, mirror->source);
	return value ? json_object_set(twin, mirror->name, value) : 0;
}

static json_t *twin_section(void)
{
	return json_pack("{s:{s:s}, s:i}", "$metadata", "$lastUpdated", "0001-01-01T00:00:00Z", "$version", 1);
}

json_t *twin_view_device(const json_t *identity)
{
	json_t *twin = json_pack("{s:s, s:i, s:s, s:{}, s:{s:o, s:o}}", "etag", TWIN_ETAG, "version", TWIN_VERSION,
		"modelId", "", "tags", "properties", "desired", twin_section(), "reported", twin_section());
	int failed = twin == NULL;
	for (size_t i = 0; i < sizeof mirror_table / sizeof *mirror_table; i++)
		failed |= twin_mirror(twin, &mirror_table[i], identity);
	if (!failed)
		return twin;
	json_decref(twin);
	return NULL;
}
