/* txn.h - one transaction of the store on its way to the engine, and the port that waits for it.
 *
 * A transaction of a port owns a copy of its bytes in the same allocation; a blocking one borrows the caller's.
 */
#ifndef GATEHOUSE_BACKENDS_TXN_H
#define GATEHOUSE_BACKENDS_TXN_H

#include "src/backends/bell.h"

#include <gatehouse/store.h>

#include <pthread.h>

struct txn {
	struct txn *next;
	const gh_store_write *writes;
	size_t count;
	struct txn_port *port; /* NULL: somebody blocks on `done` */
	void *cookie;
	gh_status status;
	bool done;
};

/* First in, first out. */
struct txn_list {
	struct txn *first;
	struct txn *last;
};

void txn_list_put(struct txn_list *list, struct txn *txn);
struct txn *txn_list_take(struct txn_list *list); /* NULL when empty */

/* Copies writes and bytes; the engine frees it with free().  NULL without memory. */
struct txn *txn_copy(const gh_store_write *writes, size_t count);

/* What every engine's gh_store_port holds.  Transactions open = submitted, not reaped. */
struct txn_port {
	struct bell bell;
	pthread_mutex_t lock;
	struct txn_list done;
	size_t open;
	size_t open_max;
	bool refused; /* ring when there is room again */
	bool orphan;  /* detached while some were open: the last one to finish frees it */
};

struct txn_port *txn_port_new(size_t open_max);
/* Owner's thread; frees now, or as soon as the engine gave back what is open. */
void txn_port_detach(struct txn_port *port);
/* Owner's thread: counts one more as open; false when the port is full. */
bool txn_port_open(struct txn_port *port);
void txn_port_unopen(struct txn_port *port); /* takes that back: the engine did not get it */
size_t txn_port_reap(struct txn_port *port, gh_store_completion *ret_completions, size_t max);
/* Engine: the transaction is finished; the port owns it from here on. */
void txn_port_finish(struct txn *txn, gh_status status);

#endif
