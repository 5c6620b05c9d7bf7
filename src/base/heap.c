#include "src/base/heap.h"

#include <stdlib.h>

void heap_done(struct heap *h)
{
	free(h->nodes);
	*h = (struct heap){0};
}

static void heap_place(struct heap *h, uint32_t index, struct heap_node *node)
{
	h->nodes[index - 1] = node;
	node->index = index;
}

static void heap_rise(struct heap *h, struct heap_node *node)
{
	uint32_t i = node->index;
	while (i > 1 && h->nodes[i / 2 - 1]->at > node->at) {
		heap_place(h, i, h->nodes[i / 2 - 1]);
		i /= 2;
	}
	heap_place(h, i, node);
}

static void heap_sink(struct heap *h, struct heap_node *node)
{
	uint32_t i = node->index;
	for (;;) {
		uint32_t child = 2 * i;
		if (child > h->count)
			break;
		if (child < h->count && h->nodes[child]->at < h->nodes[child - 1]->at)
			child++;
		if (h->nodes[child - 1]->at >= node->at)
			break;
		heap_place(h, i, h->nodes[child - 1]);
		i = child;
	}
	heap_place(h, i, node);
}

bool heap_set(struct heap *h, struct heap_node *node, uint64_t at)
{
	if (node->index == 0) {
		if (h->count == h->cap) {
			uint32_t cap = h->cap ? h->cap * 2 : 64;
			struct heap_node **nodes = realloc(h->nodes, cap * sizeof *nodes);
			if (!nodes)
				return false;
			h->nodes = nodes;
			h->cap = cap;
		}
		node->at = at;
		heap_place(h, ++h->count, node);
		heap_rise(h, node);
		return true;
	}
	bool later = at > node->at;
	node->at = at;
	if (later)
		heap_sink(h, node);
	else
		heap_rise(h, node);
	return true;
}

void heap_remove(struct heap *h, struct heap_node *node)
{
	uint32_t index = node->index;
	if (index == 0)
		return;
	node->index = 0;
	struct heap_node *last = h->nodes[--h->count];
	if (last == node)
		return;
	heap_place(h, index, last);
	heap_rise(h, last);
	heap_sink(h, last);
}

struct heap_node *heap_first(const struct heap *h)
{
	return h->count ? h->nodes[0] : NULL;
}
