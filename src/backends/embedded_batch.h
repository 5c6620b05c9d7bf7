/* embedded_batch.h - which of the waiting transactions go into a commit: compare-and-set, then the writes.
 *
 * Conditions are checked against what is stored and what earlier transactions of the same commit put; those of one
 * transaction against the state before it.  Each transaction goes in whole or not at all.
 */
#ifndef GATEHOUSE_BACKENDS_EMBEDDED_BATCH_H
#define GATEHOUSE_BACKENDS_EMBEDDED_BATCH_H

#include "src/backends/embedded_db.h"
#include "src/backends/txn.h"

enum { BATCH_TXNS_MAX = 256, BATCH_WRITES_MAX = 1024 };

struct batch_put {
	const gh_store_write *write;
	uint64_t version; /* 0: removed */
};

struct embedded_batch {
	struct embedded_db *db;
	rocksdb_writebatch_t *rocks;
	uint64_t commit;
	struct txn_list txns; /* all that were looked at, with their status so far */
	size_t txn_count;
	struct batch_put *puts; /* of this commit, in order */
	size_t put_count;
	size_t put_cap;
};

void embedded_batch_init(
	struct embedded_batch *b, struct embedded_db *db, rocksdb_writebatch_t *rocks, uint64_t commit);
void embedded_batch_done(struct embedded_batch *b);
/* Takes the transaction over; its status becomes GH_OK, or GH_CONFLICT, GH_IO, GH_NO_MEMORY and it is left out. */
void embedded_batch_add(struct embedded_batch *b, struct txn *txn);
bool embedded_batch_full(const struct embedded_batch *b);

#endif
