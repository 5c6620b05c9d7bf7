/* descriptors.c - see descriptors.h. */
#include "src/io/descriptors.h"

#include <assert.h>
#include <sys/resource.h>

void descriptors_init(struct descriptors *d, uint64_t max)
{
	atomic_init(&d->used, 0);
	d->max = max;
}

bool descriptors_take(struct descriptors *d, uint64_t count)
{
	if (!d)
		return true;
	if (atomic_fetch_add(&d->used, count) + count <= d->max)
		return true;
	atomic_fetch_sub(&d->used, count);
	return false;
}

void descriptors_give(struct descriptors *d, uint64_t count)
{
	if (!d)
		return;
	uint64_t before = atomic_fetch_sub(&d->used, count);
	assert(before >= count);
}

uint64_t descriptors_limit(uint64_t wanted, uint64_t reserved, uint64_t hard)
{
	uint64_t asked = wanted + reserved;
	return asked < hard ? asked : hard;
}

/* Of a limit that is small the reserve is at most half. */
uint64_t descriptors_granted(uint64_t limit, uint64_t reserved)
{
	return limit > 2 * reserved ? limit - reserved : limit - limit / 2;
}

uint64_t descriptors_ask(uint64_t wanted, uint64_t reserved)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return wanted;
	uint64_t old = limit.rlim_cur;
	limit.rlim_cur = descriptors_limit(wanted, reserved, limit.rlim_max);
	uint64_t granted = descriptors_granted(setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : old, reserved);
	return granted < wanted ? granted : wanted;
}
