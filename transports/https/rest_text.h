/* rest_text.h - the texts of an answer: what the hub says with each status, and the memory that holds it. */
#ifndef GATEHOUSE_HTTPS_REST_TEXT_H
#define GATEHOUSE_HTTPS_REST_TEXT_H

#include "transports/https/rest.h"

/* What an answer borrows.  One allocation, freed with rest_text_free. */
struct rest_text;
void rest_text_free(struct rest_text *text); /* accepts NULL */

/* Without memory an answer is made all the same, without a body. */

/* An error in the form of device contract 6.6.  http: 0 = as the table says; allow: "" = no such field. */
void rest_text_refusal(struct rest_exchange *x, uint16_t http, gh_status status, const char *code, const char *text,
	const char *allow);
/* What the core answered, with its body where there is one; `empty_ok`: success is 204. */
void rest_text_service(struct rest_exchange *x, const gh_service_answer *answer, bool empty_ok);
/* 204 */
void rest_text_done(struct rest_exchange *x);

#endif
