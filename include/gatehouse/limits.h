/* gatehouse/limits.h - limits.def as a struct.  One object per program, read-only after the configuration was checked. */
#ifndef GATEHOUSE_LIMITS_H
#define GATEHOUSE_LIMITS_H

#include <stdint.h>

typedef struct gh_limits {
#define LIMIT(name, def, min, max, text) uint64_t name;
#include <gatehouse/limits.def>
#undef LIMIT
} gh_limits;

#endif
