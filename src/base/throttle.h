/* throttle.h - keeps a flood of equal events from becoming a flood of log lines: some per second pass, the rest is counted. */
#ifndef GATEHOUSE_BASE_THROTTLE_H
#define GATEHOUSE_BASE_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

struct throttle {
	uint64_t window_ms; /* start of the present second */
	uint64_t count;     /* events in it */
	uint64_t skipped;   /* not logged since the last line */
};

/* Whether this event is to be logged; *ret_skipped is then how many were not since the last line. */
static inline bool throttle_pass(struct throttle *t, uint64_t per_second, uint64_t now_ms, uint64_t *ret_skipped)
{
	if (t->count == 0 || now_ms - t->window_ms >= 1000) {
		t->window_ms = now_ms;
		t->count = 0;
	}
	if (t->count++ >= per_second) {
		t->skipped++;
		return false;
	}
	*ret_skipped = t->skipped;
	t->skipped = 0;
	return true;
}

#endif
