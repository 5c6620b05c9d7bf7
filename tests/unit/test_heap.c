/* heap.h: deadlines come out in order whatever was set, moved and removed. */
#include "tests/suite.h"

#include "src/base/heap.h"

#include <stdlib.h>

SUITE(heap);

enum { NODES = 500 };

static uint32_t heap_dice(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

Test(heap, yields_the_earliest_after_any_mix_of_set_move_and_remove)
{
	static struct heap_node nodes[NODES];
	struct heap h = {0};
	uint64_t state = 42;
	for (int step = 0; step < 20000; step++) {
		struct heap_node *node = &nodes[heap_dice(&state) % NODES];
		if (heap_dice(&state) % 3 == 0)
			heap_remove(&h, node);
		else
			cr_assert(heap_set(&h, node, heap_dice(&state) % 1000));
		uint64_t least = UINT64_MAX;
		uint32_t count = 0;
		for (int i = 0; i < NODES; i++)
			if (nodes[i].index) {
				count++;
				least = nodes[i].at < least ? nodes[i].at : least;
			}
		cr_assert_eq(h.count, count);
		if (count)
			cr_assert_eq(heap_first(&h)->at, least);
	}
	uint64_t last = 0;
	while (heap_first(&h)) {
		struct heap_node *node = heap_first(&h);
		cr_assert_geq(node->at, last);
		last = node->at;
		heap_remove(&h, node);
		cr_assert_eq(node->index, 0);
	}
	heap_remove(&h, &nodes[0]);
	heap_done(&h);
}
