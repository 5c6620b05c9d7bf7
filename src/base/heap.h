/* heap.h - a binary heap of deadlines; nodes live inside their owners, so arming allocates only when the array grows. */
#ifndef GATEHOUSE_BASE_HEAP_H
#define GATEHOUSE_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
	uint64_t at;
	uint32_t index; /* 1-based place in the heap; 0 = not in it */
};

struct heap {
	struct heap_node **nodes;
	uint32_t count;
	uint32_t cap;
};

void heap_done(struct heap *h);
/* Puts the node in, or moves it, to `at`.  False without memory (the node is then out of the heap). */
bool heap_set(struct heap *h, struct heap_node *node, uint64_t at);
void heap_remove(struct heap *h, struct heap_node *node); /* no-op when it is not in */
struct heap_node *heap_first(const struct heap *h);       /* earliest, NULL when empty */

#endif
