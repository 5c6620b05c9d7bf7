/* embedded_db.h - the RocksDB database below one directory: options, families, format version, recovery.
 *
 *   DIRECTORY/      0700, made when missing; may hold other files of the gateway
 *   DIRECTORY/mark  0600, see mark.h; also the lock against a second process
 *   DIRECTORY/db/   0700, the database
 *
 * RocksDB creates its files with the process's umask; that db/ is 0700 keeps others out whatever the umask is.
 * Nothing here has a thread.  Whoever uses `rocks` holds `lock` for reading, because the writer may close and reopen
 * the database (embedded_db_reopen), the only way out of a full disk that the C interface leaves.
 */
#ifndef GATEHOUSE_BACKENDS_EMBEDDED_DB_H
#define GATEHOUSE_BACKENDS_EMBEDDED_DB_H

#include "src/backends/chunk.h"
#include "src/backends/mark.h"

#include <gatehouse/store.h>

#include <pthread.h>
#include <rocksdb/c.h>

/* The store's own families come first, under their gh_family numbers. */
enum { DB_HUB = GH_FAMILY_COUNT, DB_CHUNKS, DB_INDEX, DB_FAMILY_COUNT };

enum { EMBEDDED_DB_FORMAT = 1 };

struct embedded_db {
	pthread_rwlock_t lock;
	rocksdb_t *rocks; /* NULL while it cannot be opened */
	rocksdb_column_family_handle_t *families[DB_FAMILY_COUNT];
	rocksdb_options_t *options;
	rocksdb_readoptions_t *read;   /* checksums verified */
	rocksdb_writeoptions_t *write; /* synced */
	struct mark mark;
	char *directory;
	char *path;              /* of the database */
	uint64_t commit;         /* the last one recovery found; 0 = none */
	struct chunk_index last; /* and its index record */
	char recovery[GH_ERROR_TEXT_MAX];
	bool accept_loss;
	uint64_t records_max; /* in one commit */
};

gh_status embedded_db_open(struct embedded_db *db, const gh_store_config *config, gh_error *ret_err);
/* `clean`: all that was acknowledged is synced and nothing was in doubt. */
void embedded_db_close(struct embedded_db *db, bool clean);
/* Closes and opens again.  GH_AGAIN: somebody reads right now, try later. */
gh_status embedded_db_reopen(struct embedded_db *db, gh_error *ret_err);

/* GH_OK = synced.  GH_NO_SPACE, or GH_UNKNOWN for any other fault: it may or may not be there. */
gh_status embedded_db_write(struct embedded_db *db, rocksdb_writebatch_t *batch, gh_error *ret_err);

/* Stored form of a keyed value: version u64, then the bytes. */
enum { DB_VERSION_BYTES = 8 };
/* GH_NOT_FOUND, GH_IO (a checksum did not match, ...); the slice is freed by rocksdb_pinnableslice_destroy. */
gh_status embedded_db_get(
	struct embedded_db *db, int family, gh_bytes key, rocksdb_pinnableslice_t **ret_slice, gh_bytes *ret_value);

void embedded_db_commit_key(uint64_t commit, uint8_t ret_key[8]);
uint64_t embedded_db_commit_of(const char *key, size_t len); /* 0 when it is not one */

#endif
