/* propbag.h - the property bag of an MQTT topic: url-encoded name=value pairs (device contract 4.8).
 *
 * It splits and decodes; which name means which property is the transport's table.
 */
#ifndef GATEHOUSE_WIRE_PROPBAG_H
#define GATEHOUSE_WIRE_PROPBAG_H

#include <gatehouse/message.h>

struct propbag_pair {
	gh_bytes name;  /* decoded, in the scratch */
	gh_bytes value; /* decoded; empty with has_value false for a bare name */
	bool has_value;
};

/* What follows the fixed topic prefix, trimmed: one leading '/', then one '?', one trailing '/' dropped. */
gh_bytes propbag_trim(gh_bytes rest);

/* Takes the next pair off *bag (skipping empty pieces) and decodes it into scratch, which must hold bag->len bytes;
 * the pair is valid until scratch is used again.  Splits at '&', then at the first '=', never at '/'; '+' stays '+';
 * bad escapes stay as literal text.  False at the end. */
bool propbag_next(gh_bytes *bag, uint8_t *scratch, struct propbag_pair *ret_pair);

#endif
