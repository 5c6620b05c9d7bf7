/* Index record: any bytes; what is accepted encodes to the very same bytes. */
#include "tests/fuzz/fuzz.h"

#include "src/backends/chunk.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chunk_index index;
	if (!chunk_index_decode((gh_bytes){data, size}, &index))
		return 0;
	uint8_t again[CHUNK_INDEX_BYTES_MAX];
	assert(chunk_index_encode(&index, again) == size && memcmp(again, data, size) == 0);
	return 0;
}
