#include "src/gateway.h"

#include "src/admin/admin_server.h"
#include "src/admin/hub_names.h"
#include "src/base/text.h"
#include "src/builtin.h"
#include "src/place.h"
#include "src/core/core.h"
#include "src/gateway_service.h"
#include "src/gateway_worker.h"
#include "src/io/alpn.h"
#include "src/io/descriptors.h"
#include "src/io/listener.h"
#include "src/io/loop.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { GATEWAY_GROUPS_MAX = 6, STORE_DRAIN_MS_MAX = 10000, WHERE_BYTES = INET6_ADDRSTRLEN + 16 };

struct gateway {
	const struct config *config;
	const struct log *log;
	char *directory; /* absolute */
	gh_store *store;
	gh_backend *backend;
	struct registry registry;
	struct core *core;
	struct listener_group *groups[GATEWAY_GROUPS_MAX + 1]; /* NULL-terminated */
	size_t group_count;
	struct descriptors descriptors;
	struct web_rules web_rules;
	struct listener_group *mqtt, *amqp, *https; /* the first of each kind among them; NULL = not served */
	struct loop *loop;
	struct manage_gateway manage_gateway;
	struct manage manage;
	struct admin_server *admin;
	bool serving;
	struct loop_fd *signal_watch;
	int signal_fd;
	struct gateway_service *service;
	struct gateway_worker **workers;
	size_t worker_count;
};

/* ---- opening ---- */

/* How many addresses are bound for it. */
static uint64_t gateway_addresses(const struct config_listener *listener)
{
	return !listener->served ? 0 : strcmp(listener->address, "localhost") == 0 ? 2 : 1;
}

static void gateway_ask_descriptors(struct gateway *g)
{
	const struct config *config = g->config;
	uint64_t wanted =
		config->limits.connections_max *
		((gateway_addresses(&config->mqtt) + gateway_addresses(&config->amqp)) * DESCRIPTORS_PER_STREAM +
			gateway_addresses(&config->https) * (DESCRIPTORS_PER_STREAM + DESCRIPTORS_PER_PAIR));
	uint64_t granted = descriptors_ask(wanted, config->limits.descriptors_reserved_min);
	descriptors_init(&g->descriptors, granted);
	if (granted < wanted)
		log_event(g->log, LOG_WARNING, "few_descriptors",
			"text=\"connections_max may need %llu descriptors and there are %llu: raise the limit of open "
			"files (ulimit -Hn, LimitNOFILE)\"",
			(unsigned long long)wanted, (unsigned long long)granted);
}

/* Blocked before any thread exists, so that every thread inherits it and the loop alone hears of them. */
static gh_status gateway_take_signals(struct gateway *g, gh_error *ret_err)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	g->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return g->signal_fd >= 0 ? GH_OK : gh_fail(ret_err, GH_IO, "signalfd", "signalfd: %s", strerror(errno));
}

static gh_status gateway_open_storage(struct gateway *g, bool accept_loss, gh_error *ret_err)
{
	const struct config *config = g->config;
	gh_store_config store = {.directory = g->directory, .limits = &config->limits, .accept_loss = accept_loss};
	gh_status status = builtin.store->open(&store, &g->store, ret_err);
	if (status != GH_OK)
		return status;
	const char *recovery = builtin.recovery(g->store);
	if (*recovery)
		log_event(g->log, LOG_WARNING, "recovered", "text=\"%s\"", recovery);
	gh_backend_config backend = {
		.directory = g->directory,
		.store = g->store,
		.level = config->embedded.level,
		.partitions = config->embedded.partitions,
		.limits = &config->limits,
	};
	return builtin.backend->open(&backend, &g->backend, ret_err);
}

static gh_status gateway_make_core(struct gateway *g, gh_error *ret_err)
{
	gh_status status = gateway_service_new(&g->service, ret_err);
	if (status != GH_OK)
		return status;
	g->registry = (struct registry){g->store, &g->config->limits, loop_random_bytes, loop_wall_ms};
	uint64_t seed[2];
	loop_random_bytes(seed, sizeof seed);
	struct core_config core = {
		.limits = &g->config->limits,
		.hosts = (const char *const *)g->config->hosts,
		.disabled_status = g->config->disabled_status,
		.switches = {g->config->disable_device_sas, g->config->disable_module_sas,
			g->config->disable_local_auth},
		.store = g->store,
		.backend_ops = builtin.backend,
		.backend = g->backend,
		.log = g->log,
		.service_host = gateway_service_host(g->service),
		.registry = &g->registry,
	};
	g->core = core_new(&core, seed);
	return g->core ? registry_ensure_policies(&g->registry, ret_err)
		       : gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for the core");
}

gh_status gateway_open(const struct config *config, const struct log *log, bool accept_loss,
	struct gateway **ret_gateway, gh_error *ret_err)
{
	struct gateway *g = calloc(1, sizeof *g);
	if (!g)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for the gateway");
	g->config = config;
	g->log = log;
	g->signal_fd = -1;
	gateway_ask_descriptors(g);
	gh_status status = gateway_take_signals(g, ret_err);
	if (status == GH_OK)
		status = place_make(config->data_dir, &g->directory, ret_err);
	if (status == GH_OK)
		status = gateway_open_storage(g, accept_loss, ret_err);
	if (status == GH_OK)
		status = gateway_make_core(g, ret_err);
	if (status != GH_OK) {
		gateway_free(g);
		return status;
	}
	*ret_gateway = g;
	return GH_OK;
}

const struct registry *gateway_registry(const struct gateway *g)
{
	return &g->registry;
}

/* ---- starting ---- */

static gh_status gateway_add_group(
	struct gateway *g, const struct listener_config *listener, struct tls_context *tls, gh_error *ret_err)
{
	assert(g->group_count < GATEWAY_GROUPS_MAX);
	gh_status status = listener_group_new(listener, tls, &g->groups[g->group_count], ret_err);
	if (status == GH_OK)
		g->group_count++;
	return status;
}

/* One address; "localhost" is two, where there is an IPv6 loopback: clients try either first. */
static gh_status gateway_listen_on(struct gateway *g, struct listener_config listener, struct tls_context *tls,
	struct listener_group **ret_first, gh_error *ret_err)
{
	bool both = strcmp(listener.address, "localhost") == 0;
	if (both)
		listener.address = "127.0.0.1";
	gh_status status = gateway_add_group(g, &listener, tls, ret_err);
	if (status != GH_OK)
		return status;
	*ret_first = g->groups[g->group_count - 1];
	if (!both)
		return GH_OK;
	gh_error err = {0};
	listener.address = "::1";
	listener.port = listener_group_port(*ret_first);
	status = gateway_add_group(g, &listener, tls, &err);
	if (status == GH_EXISTS) {
		*ret_err = err;
		return status;
	}
	if (status != GH_OK)
		log_event(g->log, LOG_INFO, "no_ipv6_loopback", "text=\"%s\"", err.text);
	return GH_OK;
}

/* One kind of listener; its TLS context is its own, because it answers ALPN with the names of its own transports. */
static gh_status gateway_listen_for(struct gateway *g, const char *name, const gh_transport *const *transports,
	const struct web_rules *web_rules, const struct config_listener *where, struct listener_group **ret_first,
	gh_error *ret_err)
{
	const struct config *config = g->config;
	const char *alpn[ALPN_NAMES_MAX + 1];
	alpn_names(transports, alpn);
	struct tls_config tls_config = {
		.certificate_file = config->tls.certificate_file,
		.key_file = config->tls.key_file,
		.certificate_file_2 = config->tls.second_certificate_file,
		.key_file_2 = config->tls.second_key_file,
		.alpn = alpn,
	};
	struct listener_config listener = {
		.name = name,
		.address = where->address,
		.port = (uint16_t)where->port,
		.transports = transports,
		.descriptors = &g->descriptors,
		.web_rules = web_rules,
		.limits = &config->limits,
		.log = g->log,
	};
	struct tls_context *tls;
	gh_status status = tls_context_new(&tls_config, &tls, ret_err);
	if (status != GH_OK)
		return status;
	status = gateway_listen_on(g, listener, tls, ret_first, ret_err);
	tls_context_unref(tls); /* the groups hold it */
	return status;
}

static gh_status gateway_listen(struct gateway *g, gh_error *ret_err)
{
	const struct {
		const char *name;
		const gh_transport *const *transports;
		const struct web_rules *web_rules;
		const struct config_listener *where;
		struct listener_group **first;
	} kinds[] = {
		{"mqtt", builtin.mqtt, NULL, &g->config->mqtt, &g->mqtt},
		{"amqp", builtin.amqp, NULL, &g->config->amqp, &g->amqp},
		{"https", builtin.https, &g->web_rules, &g->config->https, &g->https},
	};
	g->web_rules = (struct web_rules){
		.transports = builtin.websocket,
		.origins = g->config->origins[0] ? (const char *const *)g->config->origins : NULL,
		.engine_new = builtin.websocket_new,
	};
	gh_status status = GH_OK;
	for (size_t i = 0; status == GH_OK && i < sizeof kinds / sizeof *kinds; i++)
		if (kinds[i].where->served)
			status = gateway_listen_for(g, kinds[i].name, kinds[i].transports, kinds[i].web_rules,
				kinds[i].where, kinds[i].first, ret_err);
	return status;
}

static gh_status gateway_make_workers(struct gateway *g, gh_error *ret_err)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	size_t count = g->config->workers ? g->config->workers : cores > 0 ? (size_t)cores : 1;
	g->workers = calloc(count, sizeof *g->workers);
	if (!g->workers)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for workers");
	for (; g->worker_count < count; g->worker_count++) {
		gh_status status = gateway_worker_new(
			g->core, g->groups, &g->config->limits, &g->workers[g->worker_count], ret_err);
		if (status != GH_OK)
			return status;
	}
	return GH_OK;
}

static void gateway_signal(void *context, int events, uint64_t now_ms)
{
	(void)events;
	(void)now_ms;
	struct gateway *g = context;
	struct signalfd_siginfo info;
	if (read(g->signal_fd, &info, sizeof info) != sizeof info)
		return;
	log_event(g->log, LOG_INFO, "stopping", "signal=%s", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
	loop_stop(g->loop);
}

/* ---- what the admin socket asks ---- */

static void gateway_state(void *context, struct manage_state *ret_state)
{
	struct gateway *g = context;
	builtin.backend->health(g->backend, &ret_state->backend);
	core_counts(g->core, &ret_state->counts);
	ret_state->ready = g->serving && ret_state->backend.state <= GH_DEGRADED;
}

static void gateway_changed(void *context, gh_bytes device_id)
{
	const struct gateway *g = context;
	core_credentials_changed(g->core, device_id);
}

static gh_status gateway_make_control(struct gateway *g, gh_error *ret_err)
{
	g->loop = loop_new();
	if (g->loop)
		g->signal_watch = loop_watch(g->loop, g->signal_fd, LOOP_READ, gateway_signal, g);
	if (!g->signal_watch)
		return gh_fail(ret_err, GH_IO, "loop_failed", "the control loop could not be made");
	g->manage_gateway = (struct manage_gateway){g, gateway_state, gateway_changed};
	g->manage = (struct manage){g->registry, (const char *const *)g->config->hosts, &g->manage_gateway};
	struct admin_server_config admin = {
		.directory = g->directory,
		.loop = g->loop,
		.manage = &g->manage,
		.backend_ops = builtin.backend,
		.backend = g->backend,
		.limits = &g->config->limits,
		.log = g->log,
	};
	return admin_server_new(&admin, &g->admin, ret_err);
}

uint16_t gateway_mqtt_port(const struct gateway *g)
{
	return g->mqtt ? listener_group_port(g->mqtt) : 0;
}

uint16_t gateway_amqp_port(const struct gateway *g)
{
	return g->amqp ? listener_group_port(g->amqp) : 0;
}

uint16_t gateway_https_port(const struct gateway *g)
{
	return g->https ? listener_group_port(g->https) : 0;
}

/* "0.0.0.0:8883", "[::]:443", "off" */
static const char *gateway_where(const struct config_listener *listener, uint16_t port, char ret_text[WHERE_BYTES])
{
	if (!listener->served)
		return "off";
	snprintf(ret_text, WHERE_BYTES, strchr(listener->address, ':') ? "[%s]:%u" : "%s:%u", listener->address,
		(unsigned)port);
	return ret_text;
}

static void gateway_say_listening(const struct gateway *g)
{
	char mqtt[WHERE_BYTES], amqp[WHERE_BYTES], https[WHERE_BYTES];
	log_event(g->log, LOG_INFO, "listening", "mqtt=%s amqp=%s https=%s workers=%zu level=%s dir=%s",
		gateway_where(&g->config->mqtt, gateway_mqtt_port(g), mqtt),
		gateway_where(&g->config->amqp, gateway_amqp_port(g), amqp),
		gateway_where(&g->config->https, gateway_https_port(g), https), g->worker_count,
		gh_durability_name(builtin.backend->level(g->backend)), LOG_TEXT(text_of(g->directory)));
}

gh_status gateway_start(struct gateway *g, gh_error *ret_err)
{
	gh_status status = hub_names_save(g->directory, (const char *const *)g->config->hosts, ret_err);
	if (status == GH_OK)
		status = gateway_listen(g, ret_err);
	if (status == GH_OK)
		status = gateway_make_control(g, ret_err);
	if (status == GH_OK)
		status = gateway_make_workers(g, ret_err);
	if (status == GH_OK)
		status = gateway_service_start(g->service, ret_err);
	for (size_t i = 0; status == GH_OK && i < g->worker_count; i++)
		status = gateway_worker_start(g->workers[i], ret_err);
	g->serving = status == GH_OK;
	if (status == GH_OK)
		gateway_say_listening(g);
	return status;
}

/* ---- running and stopping ---- */

/* Workers first, so that nothing more is asked of the service thread.  That one finishes what was asked, which it tells
 * workers that have ended: theirs is to take that out, all of them before the first is freed. */
static void gateway_stop_threads(struct gateway *g)
{
	for (size_t i = 0; i < g->worker_count; i++)
		gateway_worker_drain(g->workers[i]);
	for (size_t i = 0; i < g->worker_count; i++)
		gateway_worker_join(g->workers[i]);
	gateway_service_stop(g->service);
	for (size_t i = 0; i < g->worker_count; i++)
		gateway_worker_settle(g->workers[i]);
}

gh_status gateway_run(struct gateway *g, gh_error *ret_err)
{
	loop_run(g->loop);
	gateway_stop_threads(g);
	gh_status status = builtin.backend->drain(g->backend, STORE_DRAIN_MS_MAX);
	struct core_counts counts;
	core_counts(g->core, &counts);
	log_event(g->log, LOG_INFO, "stopped", "accepted=%llu rejected=%llu", (unsigned long long)counts.accepted,
		(unsigned long long)counts.rejected);
	return status == GH_OK ? GH_OK
			       : gh_fail(ret_err, status, "drain_failed", "not everything could be stored in time");
}

void gateway_free(struct gateway *g)
{
	if (!g)
		return;
	gateway_stop_threads(g); /* those still running, after a start that failed half-way */
	for (size_t i = 0; i < g->worker_count; i++)
		gateway_worker_free(g->workers[i]);
	free(g->workers);
	admin_server_free(g->admin);
	loop_unwatch(g->signal_watch);
	loop_free(g->loop);
	for (size_t i = 0; i < GATEWAY_GROUPS_MAX; i++)
		listener_group_free(g->groups[i]);
	core_free(g->core);
	gateway_service_free(g->service);
	if (g->backend)
		builtin.backend->close(g->backend);
	if (g->store)
		builtin.store->close(g->store);
	if (g->signal_fd >= 0)
		close(g->signal_fd);
	free(g->directory);
	free(g);
}
