#include "src/config_problem.h"

#include <stdarg.h>

void config_problem_add(struct config_problems *problems, size_t line, size_t column, const char *format, ...)
{
	if (problems->count == CONFIG_PROBLEMS_MAX) {
		problems->dropped++;
		return;
	}
	/* Kept in the order of the places; equal places keep the order in which they were found. */
	size_t at = problems->count++;
	for (; at > 0; at--) {
		const struct config_problem *earlier = &problems->items[at - 1];
		if (earlier->line < line || (earlier->line == line && earlier->column <= column))
			break;
		problems->items[at] = *earlier;
	}
	struct config_problem *problem = &problems->items[at];
	problem->line = (uint32_t)line;
	problem->column = (uint32_t)column;
	va_list args;
	va_start(args, format);
	vsnprintf(problem->text, sizeof problem->text, format, args);
	va_end(args);
}

void config_problems_print(const struct config_problems *problems, const char *file, FILE *to)
{
	for (size_t i = 0; i < problems->count; i++) {
		const struct config_problem *problem = &problems->items[i];
		if (problem->line)
			fprintf(to, "%s:%u:%u: %s\n", file, problem->line, problem->column, problem->text);
		else
			fprintf(to, "%s: %s\n", file, problem->text);
	}
	if (problems->dropped)
		fprintf(to, "%s: %zu more problems are not shown\n", file, problems->dropped);
}
