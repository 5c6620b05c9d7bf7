/* embedded_seams.h - what the engine asks of the system besides its database: clocks and the free space.
 *
 * The engine has threads of its own, so time cannot be handed to it call by call; it is handed the clock instead.
 * Tests give their own; everybody else embedded_seams_system.
 */
#ifndef GATEHOUSE_BACKENDS_EMBEDDED_SEAMS_H
#define GATEHOUSE_BACKENDS_EMBEDDED_SEAMS_H

#include <stdbool.h>
#include <stdint.h>

struct embedded_seams {
	uint64_t (*mono_us)(void *context);
	uint64_t (*wall_ms)(void *context);
	/* False: cannot be told now, which stops nothing. */
	bool (*free_bytes)(void *context, const char *directory, uint64_t *ret_bytes);
	void *context;
	bool without_sync; /* ONLY for the negative control of the crash tests: nothing is durable */
};

extern const struct embedded_seams embedded_seams_system;

#endif
