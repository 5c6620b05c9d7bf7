#include "src/nearest.h"

#include "src/base/text.h"

enum { NEAREST_BYTES_MAX = 64 };

static uint8_t nearest_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static size_t nearest_min(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t nearest_distance(gh_bytes a, gh_bytes b)
{
	size_t rows[3][NEAREST_BYTES_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *row = rows[2];
	a.len = nearest_min(a.len, NEAREST_BYTES_MAX);
	b.len = nearest_min(b.len, NEAREST_BYTES_MAX);
	for (size_t k = 0; k <= b.len; k++)
		last[k] = before[k] = k;
	for (size_t i = 1; i <= a.len; i++) {
		row[0] = i;
		for (size_t k = 1; k <= b.len; k++) {
			uint8_t x = nearest_lower(a.data[i - 1]), y = nearest_lower(b.data[k - 1]);
			row[k] = nearest_min(nearest_min(row[k - 1], last[k]) + 1, last[k - 1] + (x != y));
			if (i > 1 && k > 1 && x == nearest_lower(b.data[k - 2]) && y == nearest_lower(a.data[i - 2]))
				row[k] = nearest_min(row[k], before[k - 2] + 1);
		}
		size_t *free_row = before;
		before = last;
		last = row;
		row = free_row;
	}
	return last[b.len];
}

void nearest_consider(struct nearest *n, const char *candidate)
{
	size_t distance = nearest_distance(n->word, text_of(candidate));
	if (n->best && distance >= n->distance)
		return;
	n->best = candidate;
	n->distance = distance;
}
