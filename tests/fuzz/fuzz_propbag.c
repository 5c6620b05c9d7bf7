/* Property bag: any bytes, walked to the end; what is decoded never grows and stays inside the scratch. */
#include "tests/fuzz/fuzz.h"

#include "src/wire/propbag.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *scratch = malloc(size + 1);
	if (!scratch)
		return 0;
	gh_bytes bag = propbag_trim((gh_bytes){data, size});
	struct propbag_pair pair;
	while (propbag_next(&bag, scratch, &pair)) {
		assert(pair.name.len + pair.value.len <= size);
		assert(pair.has_value || pair.value.len == 0);
	}
	free(scratch);
	return 0;
}
