/* load_amqp.h - the client's side of AMQP 1.0 for the load client: bytes in, bytes out, no I/O.
 *
 * One session and one sender on it.  All that a client says is encoded once; a transfer costs a patch and a copy.
 * Each message is one transfer, so the n-th message of a connection (from 0) has n as delivery-id, as transfer-id of
 * the session and as delivery-count of the link: credit and the session's window are both an id not to be reached.
 * It neither sends heartbeats nor grants the server anything: made for runs shorter than an idle-time-out.
 */
#ifndef GATEHOUSE_TESTS_BENCH_LOAD_AMQP_H
#define GATEHOUSE_TESTS_BENCH_LOAD_AMQP_H

#include "src/base/buf.h"

enum {
	LOAD_AMQP_FRAME_BYTES_MAX = 65536, /* announced; a larger one is the server's fault */
	LOAD_AMQP_DIGITS = 10,             /* of the number in the body and in the application property "seq" */
};

enum load_amqp_state { LOAD_AMQP_SASL, LOAD_AMQP_HEADER, LOAD_AMQP_OPENING, LOAD_AMQP_ATTACHED, LOAD_AMQP_CLOSED };

struct load_amqp {
	struct buf login;    /* SASL header and init */
	struct buf hello;    /* header, open, begin, attach */
	struct buf transfer; /* ids and digits are patched */
	size_t id_at, tag_at, property_digits_at, body_digits_at;
	enum load_amqp_state state;
	uint32_t credit_end, window_end; /* the first id that link and session do not allow yet */
	struct buf held;                 /* a frame that is not whole */
	char fault[120];
};

/* LOAD_AMQP_MORE: all is taken.  LOAD_AMQP_ROOM: credit or window came.  LOAD_AMQP_FAULT: fault says why. */
enum load_amqp_event { LOAD_AMQP_MORE, LOAD_AMQP_UP, LOAD_AMQP_ROOM, LOAD_AMQP_ACCEPTED, LOAD_AMQP_FAULT };

/* Ids of deliveries that were accepted, both included; may wrap. */
struct load_amqp_range {
	uint32_t first, last;
};

/* What a connection says; borrowed by load_amqp_init. */
struct load_amqp_words {
	gh_bytes user, password; /* of SASL PLAIN */
	gh_bytes address;        /* of the link's target */
	gh_bytes body;           /* of every message, with digits to be patched somewhere in it */
	size_t body_digits_at;
};

/* Encodes all (zeroed before).  False: no memory. */
bool load_amqp_init(struct load_amqp *a, const struct load_amqp_words *words);
void load_amqp_done(struct load_amqp *a);

/* Begins anew on a fresh connection. */
void load_amqp_start(struct load_amqp *a, struct buf *out);
bool load_amqp_has_room(const struct load_amqp *a, uint32_t id);
/* The transfer with this id and these digits, borrowed until the next call. */
gh_bytes load_amqp_transfer(struct load_amqp *a, uint32_t id, const uint8_t digits[LOAD_AMQP_DIGITS]);
void load_amqp_close(struct load_amqp *a, struct buf *out);

/* Takes from the front of *bytes; call again until it says LOAD_AMQP_MORE. */
enum load_amqp_event load_amqp_next(
	struct load_amqp *a, gh_bytes *bytes, struct buf *out, struct load_amqp_range *ret_accepted);

#endif
