/* gatehouse/error.h - what can go wrong, in words a device could be told.
 *
 * gh_status is the short list every layer speaks; each transport owns ONE table from it to its wire codes.
 * gh_error adds the sentence a person reads: it lives on the caller's stack, is filled by whoever finds the fault,
 * and is logged once, by the caller that decides what happens next.  Nothing in here allocates.
 */
#ifndef GATEHOUSE_ERROR_H
#define GATEHOUSE_ERROR_H

#include <stdbool.h>

typedef enum gh_status {
	GH_OK = 0,
	GH_AGAIN,        /* not now: no room, or not finished; the call said how one is woken */
	GH_MALFORMED,    /* the peer's bytes break the protocol's grammar */
	GH_INVALID,      /* well formed, but a value is not allowed */
	GH_UNAUTHORIZED, /* credential missing, wrong, expired or out of scope */
	GH_DISABLED,     /* identity known, switched off */
	GH_NOT_FOUND,
	GH_EXISTS,
	GH_CONFLICT,    /* compare-and-set lost, or an ETag did not match */
	GH_TOO_LARGE,   /* over a named limit */
	GH_QUOTA,       /* a count or rate is used up */
	GH_TAKEN_OVER,  /* the same identity connected again elsewhere */
	GH_GONE,        /* below what is still kept */
	GH_UNKNOWN,     /* outcome not known: may or may not have been stored; never acknowledge */
	GH_NO_SPACE,    /* the disk floor is reached; resumes by itself */
	GH_UNAVAILABLE, /* the back end or store cannot serve now */
	GH_IO,          /* the system refused: errno's text is in the error */
	GH_NO_MEMORY,
	GH_INTERNAL, /* our own fault */
	GH_STATUS_COUNT
} gh_status;

/* Borrowed, static: "ok", "unauthorized", ...  Stable: used in logs, metrics and JSON. */
const char *gh_status_name(gh_status status);

#define GH_ERROR_TEXT_MAX 256

/* `code` is a stable machine word for one reason within a status ("token_expired"); borrowed, static storage only. */
typedef struct gh_error {
	gh_status status;
	const char *code;
	char text[GH_ERROR_TEXT_MAX];
} gh_error;

/* Fills *err (NULL allowed) and returns `status`, so that a caller can `return gh_fail(...)`.  Text is cut to fit. */
gh_status gh_fail(gh_error *err, gh_status status, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
