/* explain.h - what is in a SAS token, and which rule accepts or refuses it: the verifier's own verdict, in words.
 *
 * It asks the same functions a connection asks, so it can never tell another story than the gateway.
 */
#ifndef GATEHOUSE_ADMIN_EXPLAIN_H
#define GATEHOUSE_ADMIN_EXPLAIN_H

#include <gatehouse/limits.h>
#include <gatehouse/store.h>

#include <jansson.h>

/* All borrowed. */
struct explain_question {
	const char *token;
	const char *device_id; /* NULL = the one the token's scope names */
	const char *module_id; /* NULL = none, or the one the scope names */
	gh_store *store;       /* NULL: only the form and the time are judged */
	const gh_limits *limits;
	const char *const *hosts; /* NULL = not known: the token's own host is believed, and that is said */
	uint64_t wall_ms;
};

/* {"accepted","code","text","rule","fields":[{"name","value"}],"expires","scope","policy","key","deviceId","moduleId",
 * "notes":[]}; NULL without memory. */
json_t *explain_token(const struct explain_question *question);

#endif
