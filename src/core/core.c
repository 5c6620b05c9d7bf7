/* core.c - makes the core and drives each worker's links from its descriptors and its clock.
 *
 * Shared by all workers: the rules of authentication (read-only), the tables of sessions and of who is connected
 * (striped), the list of workers.
 */
#include "src/core/core.h"

#include "src/base/take.h"
#include "src/core/link.h"
#include "src/core/presence.h"
#include "src/core/registry_key.h"
#include "src/core/service.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CORE_SWEEP_SLICE = 256 };

struct core_worker {
	struct gh_worker worker; /* first: a gh_worker is one of these */
	struct core *core;
	struct core_worker *next;
	uint32_t changes_on_their_way; /* guarded by core->lock */
};

struct core {
	gh_limits limits;
	struct authenticate_rules rules;
	struct session_table sessions;
	struct presence presence;
	struct service service;
	struct core_config config;
	pthread_mutex_t lock; /* of the list of workers */
	struct core_worker *workers;
};

/* ---- what the registry asks of the core, on the thread that serves service clients ---- */

static bool core_registry_connected(void *context, gh_bytes device_id, gh_bytes module_id, uint64_t *ret_since_ms)
{
	return core_presence(context, device_id, module_id, ret_since_ms);
}

static uint64_t core_registry_connected_devices(void *context)
{
	return core_presence_devices(context);
}

static void core_registry_changed(void *context, gh_bytes device_id)
{
	core_credentials_changed(context, device_id);
}

static void core_service_init(struct core *core)
{
	core->service.host = core->config.service_host;
	core->service.registry = (struct registry_service){
		.registry = core->config.registry,
		.presence = {core, core_registry_connected, core_registry_connected_devices},
		.changed = core_registry_changed,
		.context = core,
	};
	atomic_init(&core->service.calls, 0);
}

/* ---- life ---- */

struct core *core_new(const struct core_config *config, const uint64_t seed[2])
{
	struct core *core = calloc(1, sizeof *core);
	if (!core)
		return NULL;
	core->config = *config;
	core->limits = *config->limits;
	core->rules = (struct authenticate_rules){
		.store = config->store,
		.limits = &core->limits,
		.hosts = config->hosts,
		.disabled_status = config->disabled_status,
		.switches = config->switches,
		.seed = {seed[0], seed[1]},
	};
	session_table_init(&core->sessions, seed);
	presence_init(&core->presence, seed);
	core_service_init(core);
	pthread_mutex_init(&core->lock, NULL);
	return core;
}

void core_free(struct core *core)
{
	if (!core)
		return;
	assert(!core->workers);
	session_table_done(&core->sessions);
	presence_done(&core->presence);
	pthread_mutex_destroy(&core->lock);
	free(core);
}

static struct core_worker *core_worker_of(gh_worker *worker)
{
	return GH_CONTAINER(worker, struct core_worker, worker);
}

gh_worker *core_worker_new(struct core *core, gh_host *host, uint64_t now_ms, uint64_t wall_ms)
{
	struct core_worker *w = calloc(1, sizeof *w);
	if (!w)
		return NULL;
	w->core = core;
	w->worker = (struct gh_worker){
		.limits = &core->limits,
		.rules = &core->rules,
		.sessions = &core->sessions,
		.presence = &core->presence,
		.service = &core->service,
		.store = core->config.store,
		.log = core->config.log,
		.host = host,
		.now_ms = now_ms,
		.wall_ms = wall_ms,
		.draft = gh_draft_new(&core->limits),
		.store_port = core->config.store->ops->attach(core->config.store),
	};
	bool outbox = outbox_init(&w->worker.outbox, core->config.backend_ops, core->config.backend);
	if (!w->worker.draft || !w->worker.store_port || !outbox) {
		if (outbox)
			outbox_done(&w->worker.outbox, link_settled, &w->worker);
		if (w->worker.store_port)
			core->config.store->ops->detach(w->worker.store_port);
		gh_draft_free(w->worker.draft);
		free(w);
		return NULL;
	}
	pthread_mutex_lock(&core->lock);
	w->next = core->workers;
	core->workers = w;
	pthread_mutex_unlock(&core->lock);
	return &w->worker;
}

bool core_worker_idle(gh_worker *worker)
{
	struct core_worker *w = core_worker_of(worker);
	pthread_mutex_lock(&w->core->lock);
	bool changes = w->changes_on_their_way > 0;
	pthread_mutex_unlock(&w->core->lock);
	return !changes && worker->calls == 0 && worker->unfreed == 0 && worker->outbox.unsettled == 0 &&
	       !worker->store_waiting;
}

void core_worker_close_links(gh_worker *worker)
{
	link_close_all(worker);
}

void core_worker_free(gh_worker *worker)
{
	if (!worker)
		return;
	struct core_worker *w = core_worker_of(worker);
	struct core *core = w->core;
	assert(!worker->links.first && worker->receiving == 0 && worker->calls == 0);
	pthread_mutex_lock(&core->lock);
	struct core_worker **at = &core->workers;
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	pthread_mutex_unlock(&core->lock);
	outbox_done(&worker->outbox, link_settled, worker);
	link_store_reap(worker);
	link_store_forget(worker);
	core->config.store->ops->detach(worker->store_port);
	gh_draft_free(worker->draft);
	heap_done(&worker->token_ends);
	heap_done(&worker->waits);
	free(w);
}

const gh_limits *gh_worker_limits(const gh_worker *worker)
{
	return worker->limits;
}

const struct log *gh_worker_log(const gh_worker *worker)
{
	return worker->log;
}

bool gh_worker_knows_host(const gh_worker *worker, gh_bytes host)
{
	return authenticate_host_known(worker->rules, host);
}

uint64_t gh_worker_wall_ms(const gh_worker *worker)
{
	return worker->wall_ms;
}

void gh_worker_random(gh_worker *worker, void *ret_bytes, size_t len)
{
	worker->host->ops->random(worker->host, ret_bytes, len);
}

bool gh_worker_reserve(gh_worker *worker, size_t bytes)
{
	if (bytes > worker->limits->http_receiving_bytes_max - worker->receiving)
		return false;
	worker->receiving += bytes;
	return true;
}

void gh_worker_release(gh_worker *worker, size_t bytes)
{
	assert(bytes <= worker->receiving);
	worker->receiving -= bytes;
}

gh_draft *gh_worker_draft(gh_worker *worker)
{
	gh_draft_reset(worker->draft);
	return worker->draft;
}

int core_worker_backend_fd(gh_worker *worker)
{
	return worker->outbox.ops->fd(worker->outbox.port);
}

int core_worker_store_fd(gh_worker *worker)
{
	return worker->store->ops->fd(worker->store_port);
}

void core_worker_backend_ready(gh_worker *worker, uint64_t now_ms)
{
	(void)now_ms;
	outbox_reap(&worker->outbox, link_settled, worker);
	link_resume_held(worker);
}

void core_worker_store_ready(gh_worker *worker, uint64_t now_ms)
{
	(void)now_ms;
	link_store_reap(worker);
}

void core_worker_turn_begin(gh_worker *worker, uint64_t now_ms, uint64_t wall_ms)
{
	worker->now_ms = now_ms;
	worker->wall_ms = wall_ms;
}

void core_worker_turn_end(gh_worker *worker, uint64_t now_ms)
{
	(void)now_ms;
	outbox_flush(&worker->outbox);
}

void core_worker_tick(gh_worker *worker, uint64_t now_ms)
{
	link_tick(worker, now_ms);
	link_resume_held(worker); /* room made by another worker's completions */
	link_sweep_some(worker, CORE_SWEEP_SLICE);
}

/* ---- changed credentials ---- */

struct core_change {
	gh_task task;
	struct core_worker *worker;
	size_t device_len; /* 0 = anybody's */
	uint8_t device[];
};

static void core_change_run(gh_task *task, uint64_t now_ms)
{
	(void)now_ms;
	struct core_change *change = GH_CONTAINER(task, struct core_change, task);
	struct core_worker *w = change->worker;
	if (change->device_len)
		link_check_device(&w->worker, (gh_bytes){change->device, change->device_len});
	else
		w->worker.sweep_again = true;
	pthread_mutex_lock(&w->core->lock);
	w->changes_on_their_way--;
	pthread_mutex_unlock(&w->core->lock);
	free(change);
}

gh_status core_credentials_changed(struct core *core, gh_bytes device_id)
{
	gh_status status = GH_OK;
	pthread_mutex_lock(&core->lock);
	for (struct core_worker *w = core->workers; w; w = w->next) {
		struct core_change *change = malloc(sizeof *change + device_id.len);
		if (!change) {
			status = GH_NO_MEMORY;
			continue;
		}
		*change = (struct core_change){.task.run = core_change_run, .worker = w, .device_len = device_id.len};
		if (device_id.len)
			memcpy(change->device, device_id.data, device_id.len);
		w->changes_on_their_way++;
		w->worker.host->ops->post(w->worker.host, &change->task);
	}
	pthread_mutex_unlock(&core->lock);
	if (status != GH_OK)
		log_event(core->config.log, LOG_ERROR, "no_memory",
			"text=\"not every worker was told of changed credentials\"");
	return status;
}

/* ---- who is connected ---- */

bool core_presence(struct core *core, gh_bytes device_id, gh_bytes module_id, uint64_t *ret_since_ms)
{
	struct registry_key key;
	return registry_key_identity(device_id, module_id, &key) &&
	       presence_get(&core->presence, registry_key_bytes(&key), ret_since_ms);
}

uint64_t core_presence_devices(struct core *core)
{
	return presence_devices(&core->presence);
}

/* ---- counters ---- */

void core_counts(struct core *core, struct core_counts *ret_counts)
{
	*ret_counts = (struct core_counts){0};
	pthread_mutex_lock(&core->lock);
	for (struct core_worker *w = core->workers; w; w = w->next) {
		struct link_counts *counts = &w->worker.counts;
		ret_counts->links += atomic_load_explicit(&counts->links, memory_order_relaxed);
		ret_counts->opened += atomic_load_explicit(&counts->opened, memory_order_relaxed);
		ret_counts->refused += atomic_load_explicit(&counts->refused, memory_order_relaxed);
		ret_counts->displaced += atomic_load_explicit(&counts->displaced, memory_order_relaxed);
		ret_counts->accepted += atomic_load_explicit(&counts->accepted, memory_order_relaxed);
		ret_counts->rejected += atomic_load_explicit(&counts->rejected, memory_order_relaxed);
	}
	pthread_mutex_unlock(&core->lock);
}
