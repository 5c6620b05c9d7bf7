/* reserve.h - whether the disk still has its reserve, looked at most once in RESERVE_CHECK_US. */
#ifndef GATEHOUSE_BACKENDS_RESERVE_H
#define GATEHOUSE_BACKENDS_RESERVE_H

#include "src/backends/embedded_seams.h"

enum { RESERVE_CHECK_US = 200000 };

struct reserve {
	const struct embedded_seams *seams;
	const char *directory;
	uint64_t bytes_min;
	uint64_t next_us;
	bool reached; /* less than bytes_min is free */
};

void reserve_init(struct reserve *r, const struct embedded_seams *seams, const char *directory, uint64_t bytes_min);
/* Looks again when it is time; returns `reached`. */
bool reserve_reached(struct reserve *r);

#endif
