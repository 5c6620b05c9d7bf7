/* Identity documents: any bytes as a stored record and as an import line.
 *
 * What the registry makes of a line that it takes must be readable again, with all its keys.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/test_store_double.h"

#include "src/base/limits.h"
#include "src/base/text.h"
#include "src/core/registry.h"

#include <assert.h>

static void fuzz_random(void *bytes, size_t len)
{
	memset(bytes, 0x5a, len);
}

static uint64_t fuzz_wall_ms(void)
{
	return UINT64_C(1767225600000);
}

static bool fuzz_visit(void *context, gh_bytes key, uint64_t version, gh_bytes value)
{
	gh_store *store = context;
	struct identity identity;
	gh_bytes device, module;
	(void)version;
	text_cut(key, '/', &device, &module);
	assert(identity_parse(value, &identity) == GH_OK);
	assert(identity_read(store, device, module, &identity) == GH_OK);
	assert(identity.auth != IDENTITY_SAS || (identity.keys.primary.len >= 16 && identity.keys.secondary.len >= 16));
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct identity identity;
	gh_status status = identity_parse((gh_bytes){data, size}, &identity);
	assert(status == GH_INTERNAL || (status == GH_OK && identity.generation_id[0] != '\0'));

	struct store_double store;
	gh_limits limits;
	limits_defaults(&limits);
	store_double_init(&store);
	struct registry registry = {&store.base, &limits, fuzz_random, fuzz_wall_ms};
	struct registry_import *import = registry_import_new(&registry);
	if (import) {
		gh_bytes rest = {data, size}, line;
		size_t count;
		while (rest.len > 0) {
			text_cut(rest, '\n', &line, &rest);
			registry_import_line(import, line, NULL);
		}
		registry_import_finish(import, &count, NULL);
		double_scan(&store.base, GH_FAMILY_IDENTITIES, (gh_bytes){NULL, 0}, fuzz_visit, &store.base);
	}
	registry_import_free(import);
	store_double_done(&store);
	return 0;
}
