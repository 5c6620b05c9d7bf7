/* pace.h - when the writer should wait for company before it syncs.  Pure: time comes in, a wait comes out.
 *
 * A sync costs about 80 us of CPU whoever shares it.  Four cases:
 * - Much is waiting: nothing is gained by waiting more.
 * - Nothing came while the last commit was being synced: a lone client, which sends its next message after the
 *   acknowledgement of this one.  Waiting would delay it for nobody.
 * - Records keep coming at a rate that brings several within commit_delay_us_max: wait just as long as it takes to
 *   gather PACE_ENOUGH at that rate, in a few steps; half that limit at most where it would not bring half of them.
 * - A step in which nobody came: those we wait for wait for us (each client has one message in flight).  Stop at
 *   once; and where that came before the batch had doubled, leave it for the next 1, 3, 7 ... 63 commits.
 */
#ifndef GATEHOUSE_BACKENDS_PACE_H
#define GATEHOUSE_BACKENDS_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PACE_ENOUGH = 64 };

struct pace {
	uint64_t delay_us_max;
	double records_per_us; /* smoothed over some ten commits */
	uint64_t committed_us; /* when the last commit ended */
	bool company;          /* records came while it was being synced */
	uint32_t skip;         /* commits left without waiting */
	uint32_t backoff;
	bool gathering;
	uint64_t until_us;
	uint64_t step_us;
	size_t begun; /* waiting when the gathering began */
	size_t seen;  /* waiting at the begin of this step */
};

void pace_init(struct pace *p, uint64_t delay_us_max);
/* With `waiting` records there: 0 = commit now, else sleep that long and ask again. */
uint64_t pace_wait_us(struct pace *p, size_t waiting, uint64_t now_us);
/* A commit of `records` ended; `arrived` came meanwhile. */
void pace_committed(struct pace *p, size_t records, size_t arrived, uint64_t now_us);

#endif
