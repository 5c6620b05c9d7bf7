/* amqp_error.h - refusals in the words of AMQP and of the hub (device contract 5.11). */
#ifndef GATEHOUSE_AMQP_ERROR_H
#define GATEHOUSE_AMQP_ERROR_H

#include <gatehouse/error.h>

#include <proton/condition.h>
#include <stdint.h>

struct gh_worker;

/* By the code where the table has it, else by the status. */
const char *amqp_error_name(gh_status status, const char *code);

/* Fills a condition: its name, a description as JSON, and the hub's number and tracking id as info.  `text` is what a person
 * reads; NULL = the name of the error says it. */
void amqp_error_put(
	pn_condition_t *condition, struct gh_worker *worker, gh_status status, const char *code, const char *text);

#endif
