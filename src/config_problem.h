/* config_problem.h - what is wrong with a configuration, with places: all of it up to a bound, not only the first. */
#ifndef GATEHOUSE_CONFIG_PROBLEM_H
#define GATEHOUSE_CONFIG_PROBLEM_H

#include <gatehouse/error.h>

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CONFIG_PROBLEMS_MAX = 20 };

struct config_problem {
	uint32_t line; /* from 1; 0 = the file as a whole */
	uint32_t column;
	char text[GH_ERROR_TEXT_MAX];
};

struct config_problems {
	struct config_problem items[CONFIG_PROBLEMS_MAX];
	size_t count;
	size_t dropped; /* found beyond the bound */
};

void config_problem_add(struct config_problems *problems, size_t line, size_t column, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* One "file:line:col: message" a line, in the order of the places. */
void config_problems_print(const struct config_problems *problems, const char *file, FILE *to);

#endif
