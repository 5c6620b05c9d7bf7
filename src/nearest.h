/* nearest.h - the known word nearest to a mistyped one, for messages to people. */
#ifndef GATEHOUSE_NEAREST_H
#define GATEHOUSE_NEAREST_H

#include <gatehouse/message.h>

/* Edit distance (insert, remove, replace, swap of neighbors), letters without case, over at most 64 bytes of each. */
size_t nearest_distance(gh_bytes a, gh_bytes b);

struct nearest {
	gh_bytes word;
	const char *best; /* NULL before the first candidate */
	size_t distance;
};

/* Considers one more candidate; an earlier one wins a tie.  Start with {.word = what was typed}. */
void nearest_consider(struct nearest *n, const char *candidate);

#endif
