/* powercut.h - makes the directory a machine finds after a power cut, from what faults.c kept (its head explains). */
#ifndef GATEHOUSE_TESTS_POWERCUT_H
#define GATEHOUSE_TESTS_POWERCUT_H

#include <stdbool.h>

struct powercut {
	const char *real;   /* the directory the killed process used */
	const char *shadow; /* GATEHOUSE_FAULTS_SHADOW */
	const char *result; /* made here */
	bool strict_names;  /* only names synced with their directory; else those there at the end */
	unsigned seed;      /* 0: nothing unsynced survives; else each unsynced sector does by the toss of a coin */
};

bool powercut_make(const struct powercut *cut);

#endif
