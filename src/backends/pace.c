#include "src/backends/pace.h"

/* A step should bring PACE_STEP_RECORDS at the rate seen, so that an empty one means something. */
enum { PACE_STEP_RECORDS = 4, PACE_BACKOFF_MAX = 63, PACE_IDLE_US = 100000 };

void pace_init(struct pace *p, uint64_t delay_us_max)
{
	*p = (struct pace){.delay_us_max = delay_us_max};
}

/* Half of the longest wait is enough for a stream that would not even fill half a batch in all of it. */
static uint64_t pace_whole_us(const struct pace *p, double need_us)
{
	double max_us = (double)p->delay_us_max;
	if (need_us < max_us)
		return (uint64_t)need_us;
	return need_us < 2 * max_us ? p->delay_us_max : p->delay_us_max / 2;
}

static uint64_t pace_begin(struct pace *p, size_t waiting, uint64_t now_us)
{
	if (p->skip > 0) {
		p->skip--;
		return 0;
	}
	if (!p->company || p->records_per_us <= 0)
		return 0;
	double need_us = (double)(PACE_ENOUGH - waiting) / p->records_per_us;
	uint64_t whole_us = pace_whole_us(p, need_us);
	double expected = p->records_per_us * (double)whole_us;
	if (expected < PACE_STEP_RECORDS)
		return 0;
	unsigned steps = (unsigned)(expected / PACE_STEP_RECORDS);
	p->gathering = true;
	p->until_us = now_us + whole_us;
	p->step_us = whole_us / (steps > 4 ? 4 : steps);
	p->begun = p->seen = waiting;
	return p->step_us;
}

static uint64_t pace_go_on(struct pace *p, size_t waiting, uint64_t now_us)
{
	if (waiting == p->seen) {
		if (waiting >= 2 * p->begun && waiting - p->begun >= PACE_STEP_RECORDS) {
			p->backoff = 0; /* those who could come have come, and the wait was worth it */
			return 0;
		}
		p->backoff = p->backoff * 2 + 1 > PACE_BACKOFF_MAX ? PACE_BACKOFF_MAX : p->backoff * 2 + 1;
		p->skip = p->backoff;
		return 0;
	}
	p->seen = waiting;
	if (now_us >= p->until_us) {
		p->backoff = 0;
		return 0;
	}
	uint64_t left_us = p->until_us - now_us;
	return left_us < p->step_us ? left_us : p->step_us;
}

uint64_t pace_wait_us(struct pace *p, size_t waiting, uint64_t now_us)
{
	uint64_t wait_us = 0;
	if (waiting < PACE_ENOUGH && p->delay_us_max > 0)
		wait_us = p->gathering ? pace_go_on(p, waiting, now_us) : pace_begin(p, waiting, now_us);
	else if (p->gathering)
		p->backoff = 0;
	if (wait_us == 0)
		p->gathering = false;
	return wait_us;
}

void pace_committed(struct pace *p, size_t records, size_t arrived, uint64_t now_us)
{
	uint64_t since_us = now_us - p->committed_us;
	double rate = since_us ? (double)records / (double)since_us : 0;
	/* After a pause the old rate says nothing. */
	p->records_per_us = since_us > PACE_IDLE_US ? 0 : p->records_per_us * 0.9 + rate * 0.1;
	p->company = arrived > 0;
	p->committed_us = now_us;
}
