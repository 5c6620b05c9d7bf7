#include "src/backends/reserve.h"

void reserve_init(struct reserve *r, const struct embedded_seams *seams, const char *directory, uint64_t bytes_min)
{
	*r = (struct reserve){.seams = seams, .directory = directory, .bytes_min = bytes_min};
}

bool reserve_reached(struct reserve *r)
{
	uint64_t now_us = r->seams->mono_us(r->seams->context), free_bytes;
	if (now_us < r->next_us)
		return r->reached;
	r->next_us = now_us + RESERVE_CHECK_US;
	if (r->seams->free_bytes(r->seams->context, r->directory, &free_bytes))
		r->reached = free_bytes < r->bytes_min;
	return r->reached;
}
