/* take.h - one form of clean-up: declare what owns with GH_CLEANUP(f), hand it over with GH_TAKE(p). */
#ifndef GATEHOUSE_BASE_TAKE_H
#define GATEHOUSE_BASE_TAKE_H

#include <stdlib.h>

#define GH_CLEANUP(function) __attribute__((cleanup(function)))

#define GH_TAKE(pointer)                                                                                               \
	({                                                                                                             \
		__typeof__(pointer) taken_ = (pointer);                                                                \
		(pointer) = NULL;                                                                                      \
		taken_;                                                                                                \
	})

#define GH_CONTAINER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* For GH_CLEANUP on any heap pointer. */
static inline void take_free(void *pointer_to_pointer)
{
	free(*(void **)pointer_to_pointer);
}

#endif
