/* Chunk: any bytes, opened for every partition; what is yielded lies inside, and offsets rise by one. */
#include "tests/fuzz/fuzz.h"

#include "src/backends/chunk.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (uint32_t p = 0; p <= CHUNK_PARTITIONS_MAX; p++) {
		struct chunk_reader reader;
		if (!chunk_open((gh_bytes){data, size}, p, &reader))
			continue;
		uint64_t next = reader.offset, offset;
		uint32_t left = reader.left;
		gh_bytes record;
		while (chunk_next(&reader, &offset, &record)) {
			assert(offset == next++ && left-- > 0);
			assert(record.data >= data && record.data + record.len <= data + size);
		}
	}
	return 0;
}
