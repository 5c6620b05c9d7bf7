/* load_stats.h - latencies of the load client, counted in buckets: about 3 % wide, no memory per message.
 *
 * A value below 32 has a bucket of its own; above, each power of two is cut into 32.
 */
#ifndef GATEHOUSE_TESTS_BENCH_LOAD_STATS_H
#define GATEHOUSE_TESTS_BENCH_LOAD_STATS_H

#include <stdint.h>

#define LOAD_STATS_BUCKETS (60 * 32)

struct load_stats {
	uint64_t count;
	uint64_t max_us;
	uint64_t buckets[LOAD_STATS_BUCKETS];
};

static inline unsigned load_stats_bucket(uint64_t us)
{
	if (us < 32)
		return (unsigned)us;
	unsigned shift = 58 - (unsigned)__builtin_clzll(us); /* so that us >> shift has six bits, 32 to 63 */
	return (shift + 1) * 32 + (unsigned)((us >> shift) - 32);
}

static inline uint64_t load_stats_bucket_us(unsigned bucket)
{
	if (bucket < 32)
		return bucket;
	unsigned shift = bucket / 32 - 1;
	return (uint64_t)(bucket % 32 + 32) << shift;
}

static inline void load_stats_add(struct load_stats *s, uint64_t us)
{
	s->count++;
	s->buckets[load_stats_bucket(us)]++;
	if (us > s->max_us)
		s->max_us = us;
}

static inline void load_stats_merge(struct load_stats *into, const struct load_stats *from)
{
	into->count += from->count;
	if (from->max_us > into->max_us)
		into->max_us = from->max_us;
	for (unsigned i = 0; i < LOAD_STATS_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

/* The lower bound of the bucket that holds the given share (0.99) of all values. */
static inline uint64_t load_stats_at(const struct load_stats *s, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)s->count), seen = 0;
	for (unsigned i = 0; i < LOAD_STATS_BUCKETS; i++) {
		seen += s->buckets[i];
		if (seen > wanted)
			return load_stats_bucket_us(i);
	}
	return s->max_us;
}

#endif
