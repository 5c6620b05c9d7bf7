/* alpn.h - ALPN names as keys into the transports of one listener.
 *
 * The table is NULL-terminated and not empty.  Its first transport gets whoever selected no name.  A later one is preferred
 * to those before it when a client offers names of several: what every client speaks stands first, what is better last.
 */
#ifndef GATEHOUSE_IO_ALPN_H
#define GATEHOUSE_IO_ALPN_H

#include <gatehouse/transport.h>

enum { ALPN_NAMES_MAX = 8 };

/* The names of all of them, most preferred first, NULL-terminated; they are the transports' own. */
void alpn_names(const gh_transport *const *transports, const char *ret_names[ALPN_NAMES_MAX + 1]);

/* Who has the name that a handshake selected; empty = none was. */
const gh_transport *alpn_transport(const gh_transport *const *transports, gh_bytes selected);

#endif
