#include "src/backends/txn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void txn_list_put(struct txn_list *list, struct txn *txn)
{
	txn->next = NULL;
	if (list->last)
		list->last->next = txn;
	else
		list->first = txn;
	list->last = txn;
}

struct txn *txn_list_take(struct txn_list *list)
{
	struct txn *txn = list->first;
	if (!txn)
		return NULL;
	list->first = txn->next;
	if (!list->first)
		list->last = NULL;
	return txn;
}

static uint8_t *txn_copy_bytes(gh_bytes *bytes, uint8_t *at)
{
	if (bytes->len)
		memcpy(at, bytes->data, bytes->len);
	bytes->data = at;
	return at + bytes->len;
}

struct txn *txn_copy(const gh_store_write *writes, size_t count)
{
	size_t size = sizeof(struct txn) + count * sizeof *writes;
	for (size_t i = 0; i < count; i++)
		size += writes[i].key.len + (writes[i].remove ? 0 : writes[i].value.len);
	struct txn *txn = malloc(size);
	if (!txn)
		return NULL;
	gh_store_write *copies = (gh_store_write *)(txn + 1);
	uint8_t *at = (uint8_t *)(copies + count);
	for (size_t i = 0; i < count; i++) {
		copies[i] = writes[i];
		if (copies[i].remove)
			copies[i].value = (gh_bytes){NULL, 0};
		at = txn_copy_bytes(&copies[i].key, at);
		at = txn_copy_bytes(&copies[i].value, at);
	}
	*txn = (struct txn){.writes = copies, .count = count};
	return txn;
}

struct txn_port *txn_port_new(size_t open_max)
{
	struct txn_port *port = calloc(1, sizeof *port);
	if (!port)
		return NULL;
	if (!bell_init(&port->bell)) {
		free(port);
		return NULL;
	}
	pthread_mutex_init(&port->lock, NULL);
	port->open_max = open_max;
	return port;
}

static void txn_port_free(struct txn_port *port)
{
	for (struct txn *txn; (txn = txn_list_take(&port->done));)
		free(txn);
	bell_done(&port->bell);
	pthread_mutex_destroy(&port->lock);
	free(port);
}

static size_t txn_list_count(const struct txn_list *list)
{
	size_t n = 0;
	for (const struct txn *txn = list->first; txn; txn = txn->next)
		n++;
	return n;
}

void txn_port_detach(struct txn_port *port)
{
	pthread_mutex_lock(&port->lock);
	port->open -= txn_list_count(&port->done);
	for (struct txn *txn; (txn = txn_list_take(&port->done));)
		free(txn);
	bool free_now = port->open == 0;
	port->orphan = true;
	pthread_mutex_unlock(&port->lock);
	if (free_now)
		txn_port_free(port);
}

bool txn_port_open(struct txn_port *port)
{
	pthread_mutex_lock(&port->lock);
	bool room = port->open < port->open_max;
	if (room)
		port->open++;
	else
		port->refused = true;
	pthread_mutex_unlock(&port->lock);
	return room;
}

void txn_port_unopen(struct txn_port *port)
{
	pthread_mutex_lock(&port->lock);
	assert(port->open > 0);
	port->open--;
	pthread_mutex_unlock(&port->lock);
}

size_t txn_port_reap(struct txn_port *port, gh_store_completion *ret_completions, size_t max)
{
	size_t n = 0;
	pthread_mutex_lock(&port->lock);
	bell_quiet(&port->bell);
	for (struct txn *txn; n < max && (txn = txn_list_take(&port->done)); n++) {
		ret_completions[n] = (gh_store_completion){txn->cookie, txn->status};
		free(txn);
	}
	port->open -= n;
	if (port->done.first || (n > 0 && port->refused))
		bell_ring(&port->bell);
	if (n > 0)
		port->refused = false;
	pthread_mutex_unlock(&port->lock);
	return n;
}

void txn_port_finish(struct txn *txn, gh_status status)
{
	struct txn_port *port = txn->port;
	txn->status = status;
	pthread_mutex_lock(&port->lock);
	bool last = false;
	if (port->orphan) {
		free(txn);
		last = --port->open == 0;
	} else {
		txn_list_put(&port->done, txn);
		bell_ring(&port->bell);
	}
	pthread_mutex_unlock(&port->lock);
	if (last)
		txn_port_free(port);
}
