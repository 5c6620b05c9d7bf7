#include "src/backends/embedded_seams.h"

#include <stddef.h>
#include <sys/statvfs.h>
#include <time.h>

static uint64_t seams_mono_us(void *context)
{
	(void)context;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t seams_wall_ms(void *context)
{
	(void)context;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool seams_free_bytes(void *context, const char *directory, uint64_t *ret_bytes)
{
	(void)context;
	struct statvfs vfs;
	if (statvfs(directory, &vfs))
		return false;
	*ret_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	return true;
}

const struct embedded_seams embedded_seams_system = {
	.mono_us = seams_mono_us,
	.wall_ms = seams_wall_ms,
	.free_bytes = seams_free_bytes,
};
