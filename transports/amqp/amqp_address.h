/* amqp_address.h - the names a device spells over AMQP: addresses of links, and user names of SASL PLAIN.
 *
 * Some clients percent-encode ids and some do not, and an id may hold a percent sign.  Where both readings are possible
 * both are given, the literal one first: whoever knows which devices there are picks.  Fixed segments compare without
 * case.  Nothing here keeps state or knows of frames.
 */
#ifndef GATEHOUSE_AMQP_ADDRESS_H
#define GATEHOUSE_AMQP_ADDRESS_H

#include <gatehouse/message.h>

enum { AMQP_ID_BYTES_MAX = 128 }; /* device contract 2.1 */

struct amqp_identity {
	gh_bytes device_id;
	gh_bytes module_id; /* empty = a device */
};

/* How a name may be read; a reading with an id that cannot be one is left out. */
struct amqp_readings {
	size_t count;
	struct amqp_identity at[2];
};

enum amqp_address_kind {
	AMQP_ADDRESS_EVENTS,
	AMQP_ADDRESS_DEVICEBOUND, /* devices only */
	AMQP_ADDRESS_METHODS,
	AMQP_ADDRESS_TWIN,
	AMQP_ADDRESS_CBS, /* names nobody */
};

struct amqp_address {
	enum amqp_address_kind kind;
	gh_bytes host; /* of a full URI, without port, for the caller to check; empty = none was said */
	struct amqp_readings readings;
};

/* Device contract 5.4.  Borrows from text and from scratch, which holds text.len bytes.  GH_NOT_FOUND: no such shape. */
gh_status amqp_address_read(gh_bytes text, uint8_t *scratch, struct amqp_address *ret_address, gh_error *ret_err);

/* Who a user name says one is: a device or a module, or a policy. */
struct amqp_user {
	gh_bytes hub;    /* the first label of the host name, or all of it, for the caller to check */
	gh_bytes policy; /* empty = an identity, see readings */
	struct amqp_readings readings;
};

/* Device contract 5.1.  Borrows as above.  GH_INVALID: no such form, or an id that cannot be one. */
gh_status amqp_address_user(gh_bytes user_name, uint8_t *scratch, struct amqp_user *ret_user, gh_error *ret_err);

#endif
