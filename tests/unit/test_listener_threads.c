/* Two real loop threads on one port: what the workers of one program share (the group, its counts, the TLS context that a
 * reload replaces) while clients in threads of their own come and go.  For ThreadSanitizer, and for the promise that each
 * client gets its own bytes back.
 */
#include "tests/unit/io_rig.h"

#include "src/base/take.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

SUITE(listener_threads);

enum { WORKERS = 2, CLIENTS = 4, VISITS = 24, ECHO_MAX = 20000 };

struct threads_worker {
	struct loop *loop;
	struct listener *listener;
	pthread_t thread;
	gh_task leave;
	unsigned made, freed; /* engines; the worker's thread alone */
};

struct threads_client {
	struct rig *rig;
	SSL_CTX *ctx; /* its own: OpenSSL finishes a shared trust store lazily, out of ThreadSanitizer's sight */
	pthread_t thread;
	unsigned number;
	atomic_uint *running, *visits;
};

/* ---- an engine that gives back what it gets ---- */

struct threads_engine {
	gh_engine engine;
	struct threads_worker *worker;
	struct buf out;
	bool ended;
};

static struct threads_engine *threads_engine_of(const gh_engine *engine)
{
	return GH_CONTAINER(engine, struct threads_engine, engine);
}

static size_t threads_engine_input(gh_engine *engine, const uint8_t *data, size_t len, uint64_t now_ms)
{
	(void)now_ms;
	cr_assert(pthread_equal(pthread_self(), threads_engine_of(engine)->worker->thread), "one engine, one thread");
	buf_append(&threads_engine_of(engine)->out, data, len);
	return len;
}

static void threads_engine_input_end(gh_engine *engine, uint64_t now_ms)
{
	(void)now_ms;
	threads_engine_of(engine)->ended = true;
}

static gh_bytes threads_engine_output(gh_engine *engine)
{
	return buf_bytes(&threads_engine_of(engine)->out);
}

static void threads_engine_output_done(gh_engine *engine, size_t len)
{
	buf_drop(&threads_engine_of(engine)->out, len);
}

static uint64_t threads_engine_tick(gh_engine *engine, uint64_t now_ms)
{
	(void)engine;
	(void)now_ms;
	return 0;
}

static bool threads_engine_finished(const gh_engine *engine)
{
	return threads_engine_of(engine)->ended;
}

static void threads_engine_free(gh_engine *engine)
{
	struct threads_engine *e = threads_engine_of(engine);
	e->worker->freed++;
	buf_done(&e->out);
	free(e);
}

static const gh_engine_ops threads_engine_ops = {threads_engine_input, threads_engine_input_end, threads_engine_output,
	threads_engine_output_done, threads_engine_tick, threads_engine_finished, threads_engine_input_end,
	threads_engine_free};

static gh_engine *threads_engine_new(struct gh_worker *worker, gh_wire *wire, uint64_t now_ms)
{
	(void)wire;
	(void)now_ms;
	struct threads_engine *e = calloc(1, sizeof *e);
	cr_assert_not_null(e);
	e->engine.ops = &threads_engine_ops;
	e->worker = (struct threads_worker *)(void *)worker;
	e->worker->made++;
	return &e->engine;
}

static const gh_transport threads_transport = {.name = "rig", .engine_new = threads_engine_new};
static const gh_transport *const threads_transports[] = {&threads_transport, NULL};

/* ---- the workers ---- */

static void *threads_worker_run(void *argument)
{
	loop_run(((struct threads_worker *)argument)->loop);
	return NULL;
}

static void threads_worker_leave(gh_task *task, uint64_t now_ms)
{
	struct threads_worker *w = GH_CONTAINER(task, struct threads_worker, leave);
	(void)now_ms;
	listener_free(w->listener);
	loop_stop(w->loop);
}

static void threads_worker_start(struct threads_worker *w, struct rig *rig)
{
	gh_error err = {0};
	*w = (struct threads_worker){.loop = loop_new(), .leave = {.run = threads_worker_leave}};
	cr_assert_not_null(w->loop);
	cr_assert_eq(listener_new(rig->group, w->loop, (gh_worker *)(void *)w, NULL, &w->listener, &err), GH_OK, "%s",
		err.text);
	cr_assert_eq(pthread_create(&w->thread, NULL, threads_worker_run, w), 0);
}

static void threads_worker_finish(struct threads_worker *w)
{
	gh_host *host = loop_host(w->loop);
	host->ops->post(host, &w->leave);
	pthread_join(w->thread, NULL);
	loop_free(w->loop);
	cr_assert(w->made > 0, "the port's other sockets took every connection");
	cr_assert_eq(w->made, w->freed);
}

/* ---- the clients ---- */

static void threads_client_echo(SSL *ssl, unsigned seed)
{
	uint8_t sent[ECHO_MAX], got[ECHO_MAX];
	size_t len = 1 + seed * 7919u % ECHO_MAX;
	for (size_t i = 0; i < len; i++)
		sent[i] = (uint8_t)(seed * 31 + i * 7);
	cr_assert_eq(SSL_write(ssl, sent, (int)len), (int)len);
	for (size_t n = 0; n < len;) {
		int more = SSL_read(ssl, got + n, (int)(len - n));
		cr_assert(more > 0, "%zu of %zu bytes came back", n, len);
		n += (size_t)more;
	}
	cr_assert_arr_eq(got, sent, len);
}

static void threads_client_visit(const struct threads_client *c, unsigned visit)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval patience = {.tv_sec = 20};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert(fd >= 0);
	to.sin_port = htons(listener_group_port(c->rig->group));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	SSL *ssl = SSL_new(c->ctx);
	SSL_set_fd(ssl, fd);
	cr_assert_eq(SSL_connect(ssl), 1, "client %u, visit %u", c->number, visit);
	threads_client_echo(ssl, c->number * VISITS + visit);
	if (visit % 2 == 0) /* the others break off */
		SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
}

static void *threads_client_run(void *argument)
{
	const struct threads_client *c = argument;
	for (unsigned visit = 0; visit < VISITS; visit++) {
		threads_client_visit(c, visit);
		atomic_fetch_add(c->visits, 1);
	}
	atomic_fetch_sub(c->running, 1);
	return NULL;
}

/* Any thread: one line is one write. */
static void threads_log_write(void *context, const char *line, size_t len)
{
	cr_assert(len > 0 && line[len - 1] == '\n');
	atomic_fetch_add((atomic_uint *)context, 1);
}

Test(listener_threads, two_loops_serve_one_port_while_certificates_are_reloaded)
{
	struct rig rig;
	struct threads_worker workers[WORKERS];
	struct threads_client clients[CLIENTS];
	atomic_uint running = CLIENTS, visits = 0, lines = 0;
	gh_error err = {0};
	rig_init(&rig);
	rig.limits.connections_max = 1000;
	rig.limits.connections_per_address_max = 999; /* the tighter one: clients are counted, too */
	struct log log = {.level = LOG_DEBUG, .write = threads_log_write, .context = &lines};
	struct listener_config config = {.name = "rig",
		.address = "127.0.0.1",
		.transports = threads_transports,
		.limits = &rig.limits,
		.log = &log};
	cr_assert_eq(listener_group_new(&config, rig.tls, &rig.group, &err), GH_OK, "%s", err.text);
	for (int i = 0; i < WORKERS; i++)
		threads_worker_start(&workers[i], &rig);
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i] = (struct threads_client){
			.rig = &rig, .ctx = rig_client_ctx(&rig), .number = i, .running = &running, .visits = &visits};
		cr_assert_eq(pthread_create(&clients[i].thread, NULL, threads_client_run, &clients[i]), 0);
	}
	while (atomic_load(&running) > 0) {
		rig_tls(&rig, "server.pem", "server.key", NULL, NULL, NULL);
		listener_group_set_tls(rig.group, rig.tls);
		cr_assert(listener_group_connections(rig.group) <= CLIENTS * VISITS);
		/* Until somebody got served.  This thread calls nothing meanwhile: a lock taken in OpenSSL would look to
		 * ThreadSanitizer as if it ordered what the group's own lock has to. */
		for (unsigned seen = atomic_load(&visits); atomic_load(&visits) == seen && atomic_load(&running) > 0;)
			sched_yield();
	}
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(clients[i].thread, NULL);
	for (int i = 0; i < CLIENTS; i++)
		SSL_CTX_free(clients[i].ctx);
	for (int i = 0; i < WORKERS; i++)
		threads_worker_finish(&workers[i]);
	cr_assert_eq(workers[0].made + workers[1].made, CLIENTS * VISITS);
	rig_done(&rig);
}
