/* admission.c - see admission.h. */
#include "src/io/admission.h"

#include "src/base/take.h"

#include <assert.h>

const char *const admission_answer_names[] = {
	[ADMISSION_OK] = "ok",
	[ADMISSION_FULL] = "connections_max",
	[ADMISSION_CLIENT_FULL] = "connections_per_address_max",
	[ADMISSION_NO_DESCRIPTORS] = "descriptors",
	[ADMISSION_NO_MEMORY] = "no_memory",
};

struct admission_client {
	struct map_node node;
	struct socket_client client;
	uint64_t count;
};

static gh_bytes admission_key(const struct map_node *node)
{
	const struct admission_client *c = GH_CONTAINER(node, const struct admission_client, node);
	return (gh_bytes){c->client.bytes, sizeof c->client.bytes};
}

static struct admission_client *admission_find(struct admission *a, const struct socket_client *client)
{
	struct map_node *node = map_find(&a->clients, (gh_bytes){client->bytes, sizeof client->bytes});
	return node ? GH_CONTAINER(node, struct admission_client, node) : NULL;
}

void admission_init(struct admission *a, uint64_t all_max, uint64_t client_max, const uint64_t seed[2])
{
	*a = (struct admission){.all_max = all_max, .client_max = client_max};
	atomic_init(&a->count, 0);
	pthread_mutex_init(&a->lock, NULL);
	map_init(&a->clients, admission_key, seed);
}

void admission_done(struct admission *a)
{
	assert(atomic_load(&a->count) == 0 && a->clients.count == 0);
	map_done(&a->clients);
	pthread_mutex_destroy(&a->lock);
}

static enum admission_answer admission_take_client(struct admission *a, const struct socket_client *client)
{
	struct admission_client *c = admission_find(a, client);
	if (c && c->count >= a->client_max)
		return ADMISSION_CLIENT_FULL;
	if (!c) {
		c = calloc(1, sizeof *c);
		if (!c)
			return ADMISSION_NO_MEMORY;
		c->client = *client;
		if (!map_insert(&a->clients, &c->node)) {
			free(c);
			return ADMISSION_NO_MEMORY;
		}
	}
	c->count++;
	return ADMISSION_OK;
}

enum admission_answer admission_take(struct admission *a, const struct socket_client *client)
{
	if (atomic_fetch_add(&a->count, 1) >= a->all_max) {
		atomic_fetch_sub(&a->count, 1);
		return ADMISSION_FULL;
	}
	if (a->client_max >= a->all_max)
		return ADMISSION_OK;
	pthread_mutex_lock(&a->lock);
	enum admission_answer answer = admission_take_client(a, client);
	pthread_mutex_unlock(&a->lock);
	if (answer != ADMISSION_OK)
		atomic_fetch_sub(&a->count, 1);
	return answer;
}

void admission_give(struct admission *a, const struct socket_client *client)
{
	uint64_t before = atomic_fetch_sub(&a->count, 1);
	assert(before > 0);
	if (a->client_max >= a->all_max)
		return;
	pthread_mutex_lock(&a->lock);
	struct admission_client *c = admission_find(a, client);
	assert(c && c->count > 0);
	if (--c->count == 0) {
		map_remove(&a->clients, &c->node);
		free(c);
	}
	pthread_mutex_unlock(&a->lock);
}
