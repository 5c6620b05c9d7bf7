/* deadline.h - moments on the steady clock of which 0 means none. */
#ifndef GATEHOUSE_BASE_DEADLINE_H
#define GATEHOUSE_BASE_DEADLINE_H

#include <stdint.h>

static inline uint64_t deadline_sooner(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

#endif
