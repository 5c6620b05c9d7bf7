/* http_date.h - the one date form HTTP senders write: "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7). */
#ifndef GATEHOUSE_HTTPS_HTTP_DATE_H
#define GATEHOUSE_HTTPS_HTTP_DATE_H

#include <stdint.h>

enum { HTTP_DATE_SIZE = 30 };

/* Years 1970 to 9999. */
void http_date(uint64_t wall_ms, char ret_text[HTTP_DATE_SIZE]);

/* The present date; a connection that is busy answers many requests in one second.  Zeroed = not told yet. */
struct http_date_clock {
	uint64_t second;
	char text[HTTP_DATE_SIZE];
};

/* Borrowed until the next call. */
const char *http_date_now(struct http_date_clock *clock, uint64_t wall_ms);

#endif
