/* http_pair.h - what an engine_pair needs to speak HTTP/1.1. */
#ifndef GATEHOUSE_TESTS_HTTP_PAIR_H
#define GATEHOUSE_TESTS_HTTP_PAIR_H

#include "tests/unit/engine_pair.h"

void http_pair_init(struct engine_pair *p, gh_worker *worker);
void http_pair_send(struct engine_pair *p, const char *text);
/* A telemetry request of dev1 with a body, further fields ("name: value\r\n") or "". */
void http_pair_post(struct engine_pair *p, const char *fields, const char *body);

/* Takes one answer off what was got: its status, 0 when there is no whole one.  ret_head and ret_body are borrowed until
 * the next call; NULL allowed. */
int http_pair_answer(struct engine_pair *p, const char **ret_head, const char **ret_body);
/* Takes one answer and says whether it has this status. */
bool http_pair_is(struct engine_pair *p, int status);

#endif
