/* run.h - runs the victim under the interposer and remembers what it was told is durable. */
#ifndef GATEHOUSE_TESTS_RUN_H
#define GATEHOUSE_TESTS_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RUN_NUMBERS_MAX = 200000 };

struct run {
	/* asked for */
	const char *directory;
	const char *faults; /* NULL: none */
	const char *shadow; /* NULL: no power-cut model */
	const char *mode;   /* of the victim; NULL: none */
	unsigned long first;
	unsigned long count;
	unsigned batch;
	size_t kill_after; /* acknowledgements; 0: let it end */
	/* found */
	size_t acks;
	size_t naks;
	size_t acks_after_nak;
	char nak_status[24]; /* of the first one */
	char health[400];    /* the last line; "" when killed */
	char complaint[400]; /* standard error */
	int exit_code;       /* -1 when killed */
};

/* acks[number] = 1 + offset for each acknowledged record. */
bool run_victim(struct run *run, uint64_t *acks);

#endif
