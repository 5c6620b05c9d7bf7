#include "src/admin/admin_server.h"

#include "src/admin/admin_session.h"
#include "src/admin/admin_socket.h"
#include "src/base/take.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SERVER_READ_BYTES = 65536, SERVER_ACCEPTS_PER_TURN = 16 };

struct admin_client {
	struct admin_client *next;
	struct admin_server *server;
	struct admin_session *session;
	struct loop_fd *watch;
	int fd;
	enum admin_step step;
	bool input_ended;
	bool broken; /* swept at the end of whatever touched it */
};

struct admin_server {
	struct admin_server_config config;
	struct tail_port *tail_port;
	struct loop_fd *tail_watch;
	struct loop_fd *listen_watch;
	struct loop_timer timer;
	struct loop_timer pause; /* of accepting, while the system is short of something */
	struct admin_client *clients;
	uint64_t client_count;
	int listen_fd;
	uint8_t read_room[SERVER_READ_BYTES];
};

/* ---- clients ---- */

static void client_free(struct admin_client *client)
{
	loop_unwatch(client->watch);
	admin_session_free(client->session);
	close(client->fd);
	client->server->client_count--;
	free(client);
}

static void server_sweep(struct admin_server *server)
{
	for (struct admin_client **at = &server->clients; *at;) {
		struct admin_client *client = *at;
		if (client->broken) {
			*at = client->next;
			client_free(client);
		} else {
			at = &client->next;
		}
	}
}

static void client_read(struct admin_client *client)
{
	uint8_t *room = client->server->read_room;
	size_t want = admin_session_room(client->session);
	ssize_t n = recv(client->fd, room, want < SERVER_READ_BYTES ? want : SERVER_READ_BYTES, 0);
	if (n > 0)
		admin_session_input(client->session, room, (size_t)n);
	else if (n == 0)
		client->input_ended = true;
	else if (errno != EAGAIN && errno != EINTR)
		client->broken = true;
}

/* Returns whether all that was there left. */
static bool client_write(struct admin_client *client)
{
	gh_bytes output = admin_session_output(client->session);
	if (output.len == 0)
		return true;
	ssize_t n = send(client->fd, output.data, output.len, MSG_NOSIGNAL);
	if (n >= 0)
		admin_session_output_done(client->session, (size_t)n);
	else if (errno != EAGAIN && errno != EINTR)
		client->broken = true;
	return n >= 0 && (size_t)n == output.len;
}

/* One bounded piece of work, then back to the loop. */
static void client_run(struct admin_client *client, uint64_t now_ms)
{
	client->step = admin_session_step(client->session);
	bool sent = client_write(client);
	/* Who closed its end for writing still gets its answers, but a tail without end is not for it. */
	if (sent && (client->step == ADMIN_ENDED ||
			    (client->input_ended && client->step != ADMIN_FULL && client->step != ADMIN_BUSY)))
		client->broken = true;
	if (client->broken)
		return;
	bool read = !client->input_ended && admin_session_room(client->session) > 0;
	bool write = !sent || client->step == ADMIN_FULL;
	loop_watch_set(client->watch, (read ? LOOP_READ : 0) | (write ? LOOP_WRITE : 0));
	if (client->step == ADMIN_QUIET && client->server->timer.node.index == 0)
		loop_timer_set(client->server->config.loop, &client->server->timer, now_ms + TAIL_POLL_MS);
}

static void client_ready(void *context, int events, uint64_t now_ms)
{
	struct admin_client *client = context;
	if (events & LOOP_READ && !client->input_ended && admin_session_room(client->session) > 0)
		client_read(client);
	if (!client->broken)
		client_run(client, now_ms);
	server_sweep(client->server);
}

/* Goes on with every client that waits for `step`. */
static void server_resume(struct admin_server *server, enum admin_step step, uint64_t now_ms)
{
	for (struct admin_client *client = server->clients; client; client = client->next)
		if (client->step == step)
			client_run(client, now_ms);
	server_sweep(server);
}

static void server_tail_ready(void *context, int events, uint64_t now_ms)
{
	struct admin_server *server = context;
	(void)events;
	tail_port_reap(server->tail_port);
	server_resume(server, ADMIN_BUSY, now_ms);
}

static void server_timer(struct loop_timer *timer, uint64_t now_ms)
{
	server_resume(GH_CONTAINER(timer, struct admin_server, timer), ADMIN_QUIET, now_ms);
}

/* ---- accepting ---- */

static struct admin_client *client_new(struct admin_server *server, int fd)
{
	const struct admin_server_config *config = &server->config;
	struct admin_session_config session_config = {
		config->manage, server->tail_port, config->tail_hint, config->limits};
	struct admin_client *client = calloc(1, sizeof *client);
	if (!client)
		return NULL;
	*client = (struct admin_client){.server = server, .fd = fd, .step = ADMIN_INPUT};
	client->session = admin_session_new(&session_config);
	if (client->session)
		client->watch = loop_watch(config->loop, fd, LOOP_READ, client_ready, client);
	if (client->watch)
		return client;
	admin_session_free(client->session);
	free(client);
	return NULL;
}

/* Takes the descriptor. */
static void server_admit(struct admin_server *server, int fd)
{
	static const char full[] =
		"{\"version\":1,\"ok\":false,\"error\":{\"status\":\"quota\",\"code\":\"admin_clients\",\"text\":\"too many admin "
		"clients (admin_clients_max)\"}}\n";
	struct admin_client *client = NULL;
	if (!admin_socket_peer_allowed(fd))
		log_event(server->config.log, LOG_WARNING, "admin_refused", "reason=user");
	else if (server->client_count >= server->config.limits->admin_clients_max)
		send(fd, full, sizeof full - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	else
		client = client_new(server, fd);
	if (!client) {
		close(fd);
		return;
	}
	client->next = server->clients;
	server->clients = client;
	server->client_count++;
}

static void server_accept_again(struct loop_timer *timer, uint64_t now_ms)
{
	(void)now_ms;
	loop_watch_set(GH_CONTAINER(timer, struct admin_server, pause)->listen_watch, LOOP_READ);
}

static void server_accept(void *context, int events, uint64_t now_ms)
{
	struct admin_server *server = context;
	const struct admin_server_config *config = &server->config;
	(void)events;
	for (int i = 0; i < SERVER_ACCEPTS_PER_TURN; i++) {
		int fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			server_admit(server, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			/* Devices may have taken every descriptor; trying again at once would only spin. */
			loop_watch_set(server->listen_watch, 0);
			loop_timer_set(config->loop, &server->pause, now_ms + config->limits->accept_pause_ms_max);
		}
		return;
	}
}

/* ---- life ---- */

static gh_status server_start_tail(struct admin_server *server, gh_error *ret_err)
{
	const struct admin_server_config *config = &server->config;
	if (!config->backend_ops)
		return GH_OK;
	server->tail_port = tail_port_new(config->backend_ops, config->backend);
	if (server->tail_port)
		server->tail_watch =
			loop_watch(config->loop, tail_port_fd(server->tail_port), LOOP_READ, server_tail_ready, server);
	return server->tail_watch ? GH_OK : gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
}

static gh_status server_start(struct admin_server *server, gh_error *ret_err)
{
	gh_status status = server_start_tail(server, ret_err);
	if (status == GH_OK)
		status = admin_socket_listen(server->config.directory, &server->listen_fd, ret_err);
	if (status != GH_OK)
		return status;
	server->listen_watch = loop_watch(server->config.loop, server->listen_fd, LOOP_READ, server_accept, server);
	return server->listen_watch ? GH_OK : gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
}

gh_status admin_server_new(
	const struct admin_server_config *config, struct admin_server **ret_server, gh_error *ret_err)
{
	struct admin_server *server = calloc(1, sizeof *server);
	if (!server)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
	server->config = *config;
	server->listen_fd = -1;
	server->timer.fire = server_timer;
	server->pause.fire = server_accept_again;
	gh_status status = server_start(server, ret_err);
	if (status != GH_OK) {
		admin_server_free(server);
		return status;
	}
	*ret_server = server;
	return GH_OK;
}

void admin_server_free(struct admin_server *server)
{
	if (!server)
		return;
	loop_timer_set(server->config.loop, &server->timer, 0);
	loop_timer_set(server->config.loop, &server->pause, 0);
	for (struct admin_client *client = server->clients; client; client = client->next)
		client->broken = true;
	server_sweep(server);
	loop_unwatch(server->listen_watch);
	if (server->listen_fd >= 0) {
		close(server->listen_fd);
		admin_socket_remove(server->config.directory);
	}
	loop_unwatch(server->tail_watch);
	tail_port_free(server->tail_port);
	free(server);
}
