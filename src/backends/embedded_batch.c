#include "src/backends/embedded_batch.h"

#include "src/base/text.h"

#include <stdlib.h>

void embedded_batch_init(struct embedded_batch *b, struct embedded_db *db, rocksdb_writebatch_t *rocks, uint64_t commit)
{
	*b = (struct embedded_batch){.db = db, .rocks = rocks, .commit = commit};
}

void embedded_batch_done(struct embedded_batch *b)
{
	free(b->puts);
}

bool embedded_batch_full(const struct embedded_batch *b)
{
	return b->txn_count >= BATCH_TXNS_MAX || b->put_count >= BATCH_WRITES_MAX;
}

/* The version now: what this commit already puts (the last one counts), else what is stored. */
static gh_status batch_version(const struct embedded_batch *b, const gh_store_write *write, uint64_t *ret_version)
{
	for (size_t i = b->put_count; i > 0; i--) {
		const struct batch_put *put = &b->puts[i - 1];
		if (put->write->family == write->family && text_equal(put->write->key, write->key)) {
			*ret_version = put->version;
			return GH_OK;
		}
	}
	rocksdb_pinnableslice_t *slice;
	gh_bytes value;
	gh_status status = embedded_db_get(b->db, (int)write->family, write->key, &slice, &value);
	*ret_version = GH_VERSION_NONE;
	if (status == GH_NOT_FOUND)
		return GH_OK;
	if (status != GH_OK)
		return status;
	struct reader r = reader_of(value);
	*ret_version = reader_u64(&r);
	rocksdb_pinnableslice_destroy(slice);
	return r.failed ? GH_IO : GH_OK;
}

static gh_status batch_check(const struct embedded_batch *b, const struct txn *txn)
{
	for (size_t i = 0; i < txn->count; i++) {
		const gh_store_write *write = &txn->writes[i];
		if (write->version_expected == GH_VERSION_ANY)
			continue;
		uint64_t version;
		gh_status status = batch_version(b, write, &version);
		if (status != GH_OK)
			return status;
		if (version != write->version_expected)
			return GH_CONFLICT;
	}
	return GH_OK;
}

static bool batch_reserve(struct embedded_batch *b, size_t n)
{
	if (n <= b->put_cap - b->put_count)
		return true;
	size_t cap = b->put_cap ? b->put_cap : 16;
	while (cap < b->put_count + n)
		cap *= 2;
	struct batch_put *puts = realloc(b->puts, cap * sizeof *puts);
	if (!puts)
		return false;
	b->puts = puts;
	b->put_cap = cap;
	return true;
}

static void batch_put(struct embedded_batch *b, const gh_store_write *write, uint64_t version)
{
	rocksdb_column_family_handle_t *family = b->db->families[write->family];
	const char *key = (const char *)write->key.data;
	b->puts[b->put_count++] = (struct batch_put){write, write->remove ? GH_VERSION_NONE : version};
	if (write->remove) {
		rocksdb_writebatch_delete_cf(b->rocks, family, key, write->key.len);
		return;
	}
	uint8_t head[DB_VERSION_BYTES];
	embedded_db_commit_key(version, head);
	const char *keys[] = {key}, *values[] = {(const char *)head, (const char *)write->value.data};
	size_t key_lens[] = {write->key.len}, value_lens[] = {sizeof head, write->value.len};
	rocksdb_writebatch_putv_cf(b->rocks, family, 1, keys, key_lens, 2, values, value_lens);
}

void embedded_batch_add(struct embedded_batch *b, struct txn *txn)
{
	txn_list_put(&b->txns, txn);
	uint64_t version = b->commit << 16 | b->txn_count++;
	txn->status = batch_check(b, txn);
	if (txn->status == GH_OK && !batch_reserve(b, txn->count))
		txn->status = GH_NO_MEMORY;
	for (size_t i = 0; i < txn->count && txn->status == GH_OK; i++)
		batch_put(b, &txn->writes[i], version);
}
