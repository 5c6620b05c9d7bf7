/* listener.c - see listener.h. */
#include "src/io/listener.h"

#include "src/base/take.h"
#include "src/io/admission.h"
#include "src/io/conn.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTENER_LINES_PER_SECOND = 1 };

struct listener_group {
	struct listener_config config; /* its address text is not kept */
	struct socket_address address; /* with the port that was picked */
	char flag[64];                 /* what names the port, on the command line and in the configuration */
	atomic_int reserved_fd;        /* keeps the port until the first worker takes it; -1 = taken */
	atomic_uint listeners;
	pthread_mutex_t lock; /* over tls */
	struct tls_context *tls;
	struct admission admission;
};

struct listener {
	struct conn_env env;
	struct listener_group *group;
	struct loop_fd *watch;
	struct loop_timer pause;
	struct throttle refused;
	int fd;
};

/* ---- group ---- */

gh_status listener_group_new(const struct listener_config *config, struct tls_context *tls,
	struct listener_group **ret_group, gh_error *ret_err)
{
	struct listener_group *group = calloc(1, sizeof *group);
	if (!group)
		return gh_fail(ret_err, GH_NO_MEMORY, NULL, "out of memory");
	group->config = *config;
	snprintf(group->flag, sizeof group->flag, "--%s-port or listeners.%s.port", config->name, config->name);
	int fd;
	gh_status status;
	if (!socket_address_parse(config->address, config->port, &group->address))
		status = gh_fail(ret_err, GH_INVALID, "address", "%s: not an IPv4 or IPv6 address", config->address);
	else
		status = socket_listen(&group->address, true, group->flag, &fd, ret_err);
	if (status != GH_OK) {
		free(group);
		return status;
	}
	group->config.address = NULL;
	group->config.port = socket_port(fd);
	socket_address_set_port(&group->address, group->config.port);
	atomic_init(&group->reserved_fd, fd);
	atomic_init(&group->listeners, 0);
	pthread_mutex_init(&group->lock, NULL);
	group->tls = tls_context_ref(tls);
	uint64_t seed[2];
	loop_random_bytes(seed, sizeof seed);
	admission_init(
		&group->admission, config->limits->connections_max, config->limits->connections_per_address_max, seed);
	*ret_group = group;
	return GH_OK;
}

uint16_t listener_group_port(const struct listener_group *group)
{
	return group->config.port;
}

void listener_group_set_tls(struct listener_group *group, struct tls_context *tls)
{
	tls_context_ref(tls);
	pthread_mutex_lock(&group->lock);
	struct tls_context *old = group->tls;
	group->tls = tls;
	pthread_mutex_unlock(&group->lock);
	tls_context_unref(old);
}

static struct tls_context *listener_group_tls(struct listener_group *group)
{
	pthread_mutex_lock(&group->lock);
	struct tls_context *tls = tls_context_ref(group->tls);
	pthread_mutex_unlock(&group->lock);
	return tls;
}

uint64_t listener_group_connections(const struct listener_group *group)
{
	return atomic_load(&group->admission.count);
}

void listener_group_free(struct listener_group *group)
{
	if (!group)
		return;
	assert(atomic_load(&group->listeners) == 0);
	int fd = atomic_load(&group->reserved_fd);
	if (fd >= 0)
		close(fd);
	tls_context_unref(group->tls);
	admission_done(&group->admission);
	pthread_mutex_destroy(&group->lock);
	free(group);
}

/* ---- accepting ---- */

static void listener_refuse(
	struct listener *listener, const struct socket_address *address, const char *reason, uint64_t now_ms)
{
	uint64_t skipped;
	char text[INET6_ADDRSTRLEN];
	if (!throttle_pass(&listener->refused, LISTENER_LINES_PER_SECOND, now_ms, &skipped))
		return;
	socket_address_text(address, text);
	log_event(listener->env.log, LOG_WARNING, "connection_refused", "listener=%s peer=%s reason=%s count=%llu",
		listener->env.name, text, reason, (unsigned long long)skipped + 1);
}

static enum admission_answer listener_admit(struct listener *listener, const struct socket_client *client)
{
	struct descriptors *descriptors = listener->env.descriptors;
	if (!descriptors_take(descriptors, DESCRIPTORS_PER_STREAM))
		return ADMISSION_NO_DESCRIPTORS;
	enum admission_answer answer = admission_take(&listener->group->admission, client);
	if (answer != ADMISSION_OK)
		descriptors_give(descriptors, DESCRIPTORS_PER_STREAM);
	return answer;
}

static void listener_dismiss(struct listener *listener, const struct socket_client *client)
{
	admission_give(&listener->group->admission, client);
	descriptors_give(listener->env.descriptors, DESCRIPTORS_PER_STREAM);
}

static void listener_take(struct listener *listener, int fd, const struct socket_address *address, uint64_t now_ms)
{
	struct socket_client client;
	socket_address_client(address, &client);
	enum admission_answer answer = listener_admit(listener, &client);
	if (answer != ADMISSION_OK) {
		close(fd);
		listener_refuse(listener, address, admission_answer_names[answer], now_ms);
		return;
	}
	struct tls_context *tls = listener_group_tls(listener->group);
	if (!conn_open(&listener->env, fd, address, tls)) {
		listener_dismiss(listener, &client);
		listener_refuse(listener, address, admission_answer_names[ADMISSION_NO_MEMORY], now_ms);
	}
	tls_context_unref(tls);
}

/* The system is short of something.  What waits stays in the backlog; trying again at once would only spin. */
static void listener_pause(struct listener *listener, int error, uint64_t now_ms)
{
	uint64_t skipped;
	loop_watch_set(listener->watch, 0);
	loop_timer_set(listener->env.loop, &listener->pause, now_ms + listener->env.limits->accept_pause_ms_max);
	if (throttle_pass(&listener->refused, LISTENER_LINES_PER_SECOND, now_ms, &skipped))
		log_event(listener->env.log, LOG_WARNING, "accept_paused", "listener=%s reason=\"%s\" count=%llu",
			listener->env.name, strerror(error), (unsigned long long)skipped + 1);
}

static void listener_resume(struct loop_timer *timer, uint64_t now_ms)
{
	(void)now_ms;
	loop_watch_set(GH_CONTAINER(timer, struct listener, pause)->watch, LOOP_READ);
}

static bool listener_is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void listener_ready(void *context, int events, uint64_t now_ms)
{
	(void)events;
	struct listener *listener = context;
	for (uint64_t i = 0; i < listener->env.limits->accept_batch_max; i++) {
		struct socket_address address = {.len = sizeof address.v6};
		int fd = accept4(listener->fd, &address.any, &address.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			listener_take(listener, fd, &address, now_ms);
		} else if (listener_is_shortage(errno)) {
			listener_pause(listener, errno, now_ms);
			return;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return;
		} /* anything else is the end of one connection that was never ours */
	}
}

/* ---- one worker's ---- */

static void listener_gone(struct conn_env *env, const struct socket_client *client)
{
	listener_dismiss(GH_CONTAINER(env, struct listener, env), client);
}

static gh_status listener_socket(struct listener_group *group, int *ret_fd, gh_error *ret_err)
{
	int fd = atomic_exchange(&group->reserved_fd, -1);
	if (fd < 0)
		return socket_listen(&group->address, false, group->flag, ret_fd, ret_err);
	*ret_fd = fd;
	return GH_OK;
}

bool listener_group_takes_websockets(const struct listener_group *group)
{
	return group->config.web_rules != NULL;
}

gh_status listener_new(struct listener_group *group, struct loop *loop, gh_worker *worker, struct web *web,
	struct listener **ret_listener, gh_error *ret_err)
{
	assert(web || !group->config.web_rules);
	struct listener *listener = calloc(1, sizeof *listener);
	if (!listener)
		return gh_fail(ret_err, GH_NO_MEMORY, NULL, "out of memory");
	listener->group = group;
	listener->pause.fire = listener_resume;
	listener->env = (struct conn_env){.loop = loop,
		.worker = worker,
		.name = group->config.name,
		.transports = group->config.transports,
		.limits = group->config.limits,
		.log = group->config.log,
		.descriptors = group->config.descriptors,
		.web = web,
		.web_rules = group->config.web_rules,
		.gone = listener_gone};
	listener->fd = -1;
	atomic_fetch_add(&group->listeners, 1);
	gh_status status = GH_NO_MEMORY;
	if (conn_env_init(&listener->env))
		status = listener_socket(group, &listener->fd, ret_err);
	else
		gh_fail(ret_err, GH_NO_MEMORY, NULL, "out of memory");
	if (status == GH_OK && !(listener->watch = loop_watch(loop, listener->fd, LOOP_READ, listener_ready, listener)))
		status = gh_fail(ret_err, GH_NO_MEMORY, NULL, "out of memory");
	if (status != GH_OK) {
		listener_free(listener);
		return status;
	}
	*ret_listener = listener;
	return GH_OK;
}

static void listener_close(struct listener *listener)
{
	loop_timer_set(listener->env.loop, &listener->pause, 0);
	loop_unwatch(GH_TAKE(listener->watch));
	if (listener->fd >= 0)
		close(listener->fd);
	listener->fd = -1;
}

void listener_drain(struct listener *listener, uint64_t now_ms)
{
	listener_close(listener);
	conn_drain_all(&listener->env, now_ms);
}

size_t listener_connections(const struct listener *listener)
{
	return listener->env.count;
}

void listener_free(struct listener *listener)
{
	if (!listener)
		return;
	listener_close(listener);
	conn_cut_all(&listener->env, loop_now_ms(listener->env.loop));
	conn_env_done(&listener->env);
	atomic_fetch_sub(&listener->group->listeners, 1);
	free(listener);
}
