/* gatehouse/store.h - the seam to keyed state: identities, policies, sessions, meta.
 *
 * A family is a name space; keys and values are opaque bytes.  Every value carries a 64-bit version, which grows with
 * each write of that key and never repeats, so that a write can demand what it saw (compare-and-set).  A transaction
 * is applied whole or not at all, and is durable when its completion says GH_OK.
 *
 * Threads: get and scan from any thread; they read memory or the local disk and return at once in human terms, but
 * may block for one disk read.  commit blocks until durable: never on a loop thread.  A gh_store_port is the
 * non-blocking way and belongs to one thread, as a gh_port does (gatehouse/backend.h).
 */
#ifndef GATEHOUSE_STORE_H
#define GATEHOUSE_STORE_H

#include <gatehouse/message.h>

typedef struct gh_store_port gh_store_port;

/* Numbers are part of the stored form: append only. */
enum gh_family { GH_FAMILY_META, GH_FAMILY_IDENTITIES, GH_FAMILY_POLICIES, GH_FAMILY_SESSIONS, GH_FAMILY_COUNT };

#define GH_VERSION_ANY UINT64_MAX /* do not compare */
#define GH_VERSION_NONE 0         /* the key must not exist */

typedef struct gh_store_value {
	uint64_t version;
	uint8_t *data; /* owned by the caller; gh_store_value_done */
	size_t len;
} gh_store_value;

void gh_store_value_done(gh_store_value *value); /* frees data; accepts a zeroed value */

/* One write.  Bytes are borrowed: by commit until it returns, by submit only for the call. */
typedef struct gh_store_write {
	enum gh_family family;
	gh_bytes key;
	gh_bytes value; /* ignored by a removal */
	bool remove;
	uint64_t version_expected; /* GH_VERSION_ANY, GH_VERSION_NONE or the version seen; otherwise GH_CONFLICT */
} gh_store_write;

typedef struct gh_store_completion {
	void *cookie;
	gh_status status; /* GH_OK: durable.  GH_CONFLICT: nothing was written */
} gh_store_completion;

/* Called per key in byte order; return false to stop.  Bytes are valid for the call. */
typedef bool gh_store_visit(void *context, gh_bytes key, uint64_t version, gh_bytes value);

typedef struct gh_store_config {
	const char *directory;   /* borrowed for open; created with mode 0700 when missing */
	const gh_limits *limits; /* commit_*; borrowed until close */
	bool accept_loss;        /* go on although acknowledged data is missing */
	bool must_exist;         /* do not create */
} gh_store_config;

typedef struct gh_store gh_store;

typedef struct gh_store_ops {
	const char *name;
	gh_status (*open)(const gh_store_config *config, gh_store **ret_store, gh_error *ret_err);
	void (*close)(gh_store *store); /* accepts NULL */

	/* GH_NOT_FOUND when absent; ret_value is written only on success. */
	gh_status (*get)(gh_store *store, enum gh_family family, gh_bytes key, gh_store_value *ret_value);
	/* All keys >= from, in order, of a consistent moment. */
	gh_status (*scan)(gh_store *store, enum gh_family family, gh_bytes from, gh_store_visit *visit, void *context);
	/* Blocks until durable. */
	gh_status (*commit)(gh_store *store, const gh_store_write *writes, size_t n, gh_error *ret_err);

	gh_store_port *(*attach)(gh_store *store);
	void (*detach)(gh_store_port *port);
	int (*fd)(gh_store_port *port);
	/* Copies the writes.  GH_OK = taken, completes exactly once through reap; GH_AGAIN = full, try when fd is readable. */
	gh_status (*submit)(gh_store_port *port, const gh_store_write *writes, size_t n, void *cookie);
	size_t (*reap)(gh_store_port *port, gh_store_completion *ret_completions, size_t max);
} gh_store_ops;

/* Every store object begins with this, so that a holder needs no second pointer. */
struct gh_store {
	const gh_store_ops *ops;
};

#endif
