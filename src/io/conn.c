/* conn.c - see conn.h.
 *
 * Every entry (descriptor ready, deadline, wake) does its part and ends in conn_leave, the one place that sends, arms, or
 * frees; steps in between only note that something broke.  So no step has to fear that its connection is gone.
 *
 * Reading: one recv; all of it is decrypted at once, so that the shared buffer is free for the next connection; what the
 * engine does not take is held here, and the socket is not read until the engine has asked for the rest and taken it.
 * Writing: while the socket owes us nothing, the engine's output is encrypted and sent with one send; what the socket does
 * not take is kept, and the engine is not asked for more until it has left.
 */
#include "src/io/conn.h"

#include "src/base/deadline.h"
#include "src/base/take.h"
#include "src/io/alpn.h"
#include "src/io/stash.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	CONN_CIPHER_BYTES = 65536,
	CONN_PLAIN_BYTES = 65536,
	CONN_SEND_BYTES = 65536, /* encrypted for one send, but for the last record */
	CONN_LINES_PER_SECOND = 10,
};

enum conn_state {
	CONN_HANDSHAKE,
	CONN_OPEN,
	CONN_LINGER, /* we have said our last; waits for the peer's, so that unread bytes do not turn our last into a reset */
};

struct conn {
	gh_wire wire;
	struct conn_env *env;
	struct conn *next;
	struct conn **link;      /* what points to this one */
	struct tls_context *tls; /* until the handshake is over */
	SSL *ssl;                /* made with the first byte: who only connects costs next to nothing */
	gh_engine *engine;
	gh_engine *next_engine; /* takes over when the present one's last output has left; NULL = none */
	struct loop_fd *watch;
	struct loop_job job;
	struct loop_timer timer;
	struct stash *held;   /* plaintext the engine has not taken */
	struct stash *unsent; /* ciphertext the socket has not taken */
	uint64_t tick_at;     /* the engine's deadline; 0 = none, here and below */
	uint64_t limit_at;    /* end of the handshake, of the close */
	uint64_t stall_at;    /* the peer must have taken a byte by then */
	uint8_t *certificate;
	size_t certificate_len;
	int fd;
	uint16_t port;
	uint8_t state;
	bool woken : 1;    /* the engine wants its held input */
	bool more : 1;     /* the engine has more output than went into one send */
	bool end_seen : 1; /* the peer's last byte has been read */
	bool ended : 1;    /* the engine knows */
	bool draining : 1;
	bool upgraded : 1; /* holds a pair's descriptors, too */
	bool shut : 1;   /* no byte of ours follows */
	bool broken : 1; /* conn_leave frees it */
	struct socket_client client;
	char address[INET6_ADDRSTRLEN];
};

/* ---- the log ---- */

static void conn_log(struct conn *c, const char *event, const char *reason, uint64_t now_ms)
{
	uint64_t skipped;
	if (throttle_pass(&c->env->failures, CONN_LINES_PER_SECOND, now_ms, &skipped))
		log_event(c->env->log, LOG_INFO, event, "listener=%s peer=%s port=%u reason=\"%s\" skipped=%llu",
			c->env->name, c->address, (unsigned)c->port, reason, (unsigned long long)skipped);
}

static void conn_break(struct conn *c, const char *reason, uint64_t now_ms)
{
	if (!c->broken && reason)
		conn_log(c, c->state == CONN_HANDSHAKE ? "handshake_failed" : "connection_cut", reason, now_ms);
	c->broken = true;
}

/* ---- life ---- */

static void conn_destroy(struct conn *c, uint64_t now_ms)
{
	struct conn_env *env = c->env;
	if (c->engine && !c->ended && !c->engine->ops->finished(c->engine))
		c->engine->ops->input_end(c->engine, now_ms);
	if (c->engine)
		c->engine->ops->free(c->engine);
	if (c->next_engine)
		c->next_engine->ops->free(c->next_engine);
	loop_defer_cancel(env->loop, &c->job); /* after the engine: its last words may include a wake */
	loop_timer_set(env->loop, &c->timer, 0);
	loop_unwatch(c->watch);
	tls_conn_free(c->ssl);
	tls_context_unref(c->tls);
	stash_free(&c->held);
	stash_free(&c->unsent);
	OPENSSL_free(c->certificate);
	close(c->fd);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	env->count--;
	if (c->upgraded)
		descriptors_give(env->descriptors, DESCRIPTORS_PER_PAIR);
	env->gone(env, &c->client);
	free(c);
}

/* ---- out ---- */

static size_t conn_try_send(struct conn *c, gh_bytes bytes, uint64_t now_ms)
{
	ssize_t n;
	do
		n = send(c->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return (size_t)n;
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		conn_break(c, c->end_seen ? NULL : strerror(errno), now_ms);
	return 0;
}

/* One send: of what is unsent, else of what has just been encrypted. */
static void conn_send(struct conn *c, uint64_t now_ms)
{
	struct buf *out = &c->env->io.out;
	if (out->len == 0 && !c->unsent)
		return;
	bool waited = c->unsent != NULL;
	gh_bytes bytes = waited ? stash_left(c->unsent) : buf_bytes(out);
	size_t sent = conn_try_send(c, bytes, now_ms);
	if (waited)
		stash_drop(&c->unsent, sent);
	else if (sent < out->len)
		buf_drop(out, sent);
	else
		out->len = 0;
	if (out->len > 0 && !c->broken && !stash_append(&c->unsent, out->data, out->len))
		conn_break(c, "no memory", now_ms);
	buf_clear(out);
	if (!c->unsent)
		c->stall_at = 0;
	else if (sent > 0 || c->stall_at == 0)
		c->stall_at = now_ms + c->env->limits->write_stall_ms_max;
	if (waited && !c->unsent)
		c->more = true; /* the engine may go on */
}

/* Encrypts what the engine has, up to one send's worth. */
static void conn_output(struct conn *c, uint64_t now_ms)
{
	struct buf *out = &c->env->io.out;
	const gh_engine_ops *ops = c->engine->ops;
	if (c->unsent)
		return;
	gh_bytes bytes = ops->output(c->engine);
	for (; bytes.len > 0 && out->len < CONN_SEND_BYTES; bytes = ops->output(c->engine)) {
		size_t n = bytes.len < TLS_RECORD_BYTES_MAX ? bytes.len : TLS_RECORD_BYTES_MAX;
		if (tls_conn_write(c->ssl, bytes.data, n) != TLS_OK) {
			conn_break(c, tls_conn_reason(), now_ms);
			return;
		}
		ops->output_done(c->engine, n);
	}
	c->more = bytes.len > 0;
}

/* ---- in ---- */

/* Nobody wants what comes. */
static bool conn_is_deaf(const struct conn *c)
{
	return !c->next_engine && c->engine->ops->finished(c->engine);
}

static void conn_feed(struct conn *c, gh_bytes bytes, uint64_t now_ms)
{
	if (bytes.len == 0 || conn_is_deaf(c))
		return;
	bool waits = c->held || c->next_engine;
	size_t taken = waits ? 0 : c->engine->ops->input(c->engine, bytes.data, bytes.len, now_ms);
	assert(taken <= bytes.len);
	if (!stash_append(&c->held, bytes.data + taken, bytes.len - taken))
		conn_break(c, "no memory", now_ms);
}

/* Offers what is held, because the engine asked for it. */
static void conn_feed_held(struct conn *c, uint64_t now_ms)
{
	gh_bytes bytes = stash_left(c->held);
	if (bytes.len == 0 || c->next_engine)
		return;
	if (c->engine->ops->finished(c->engine)) {
		stash_free(&c->held);
		return;
	}
	size_t taken = c->engine->ops->input(c->engine, bytes.data, bytes.len, now_ms);
	assert(taken <= bytes.len);
	stash_drop(&c->held, taken);
}

/* Everything that was received is decrypted before this returns, or the connection is at its end. */
static void conn_decrypt(struct conn *c, uint64_t now_ms)
{
	uint8_t *plain = c->env->plain;
	enum tls_result result;
	do {
		size_t len = 0, n = 0;
		while ((result = tls_conn_read(c->ssl, plain + len, CONN_PLAIN_BYTES - len, &n)) == TLS_OK) {
			len += n;
			if (len > CONN_PLAIN_BYTES - TLS_RECORD_BYTES_MAX)
				break;
		}
		const char *reason = result == TLS_FAILED ? tls_conn_reason() : NULL;
		conn_feed(c, (gh_bytes){plain, len}, now_ms);
		if (reason)
			conn_break(c, reason, now_ms);
	} while (result == TLS_OK && !c->broken);
	if (result == TLS_END)
		c->end_seen = true;
}

static void conn_handshake(struct conn *c, uint64_t now_ms)
{
	struct conn_env *env = c->env;
	if (!c->ssl && !(c->ssl = tls_conn_new(c->tls, &env->io))) {
		conn_break(c, "no memory", now_ms);
		return;
	}
	enum tls_result result = tls_conn_handshake(c->ssl);
	if (result == TLS_WANT)
		return;
	if (result != TLS_OK) {
		conn_break(c, tls_conn_reason(), now_ms);
		return;
	}
	tls_context_unref(GH_TAKE(c->tls));
	c->state = CONN_OPEN;
	c->limit_at = 0;
	const gh_transport *transport = alpn_transport(env->transports, tls_conn_alpn(c->ssl));
	c->engine = transport->engine_new(env->worker, &c->wire, now_ms);
	if (!c->engine)
		conn_break(c, "no memory", now_ms);
}

static void conn_received(struct conn *c, size_t len, uint64_t now_ms)
{
	struct tls_io *io = &c->env->io;
	if (c->state == CONN_LINGER)
		return;
	io->in = (gh_bytes){c->env->cipher, len};
	if (c->state == CONN_HANDSHAKE)
		conn_handshake(c, now_ms);
	if (c->state == CONN_OPEN && !c->broken)
		conn_decrypt(c, now_ms);
	if (io->in.len > 0 && !c->end_seen) /* there is no place to keep it, and no stream without it */
		conn_break(c, "bytes not taken", now_ms);
	io->in = (gh_bytes){NULL, 0};
}

static void conn_read(struct conn *c, uint64_t now_ms)
{
	ssize_t n = recv(c->fd, c->env->cipher, CONN_CIPHER_BYTES, 0);
	if (n > 0) {
		conn_received(c, (size_t)n, now_ms);
	} else if (n == 0) {
		c->end_seen = true;
		if (c->state != CONN_OPEN)
			conn_break(c, c->ssl && c->state == CONN_HANDSHAKE ? "the peer closed" : NULL, now_ms);
	} else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
		conn_break(c, c->ssl ? strerror(errno) : NULL, now_ms);
	}
}

/* ---- the way out ---- */

/* The engine is done and all it said is on its way: say the last word and free what is big. */
static void conn_finish(struct conn *c)
{
	tls_conn_end(c->ssl);
	gh_engine *engine = GH_TAKE(c->engine);
	engine->ops->free(engine);
	tls_conn_free(GH_TAKE(c->ssl));
	stash_free(&c->held);
	c->state = CONN_LINGER;
	c->tick_at = c->limit_at = 0;
}

/* The engine gave the stream away, and all it said is on its way. */
static void conn_change_engine(struct conn *c, uint64_t now_ms)
{
	gh_engine *old = c->engine;
	c->engine = GH_TAKE(c->next_engine);
	old->ops->free(old);
	if (c->draining)
		c->engine->ops->drain(c->engine, now_ms);
	c->woken = true;
	loop_defer(c->env->loop, &c->job);
}

/* Our last byte has left. */
static void conn_shut(struct conn *c, uint64_t now_ms)
{
	c->shut = true;
	c->limit_at = now_ms + c->env->limits->close_ms_max;
	if (c->end_seen || shutdown(c->fd, SHUT_WR) != 0)
		c->broken = true;
}

/* What waits for a slow reader: here as ciphertext, and with the engine. */
static void conn_check_backlog(struct conn *c, uint64_t now_ms)
{
	size_t waiting = stash_left(c->unsent).len;
	if (c->state == CONN_OPEN)
		waiting += c->engine->ops->output(c->engine).len;
	if (waiting > c->env->limits->wire_output_bytes_max)
		conn_break(c, "slow reader: wire_output_bytes_max", now_ms);
}

/* The end of every entry; c may be gone afterwards. */
static void conn_leave(struct conn *c, uint64_t now_ms)
{
	struct loop *loop = c->env->loop;
	if (c->env->io.out.len > 0)
		conn_send(c, now_ms);
	if (c->unsent && !c->broken)
		conn_check_backlog(c, now_ms);
	if (c->state == CONN_LINGER && !c->unsent && !c->shut)
		conn_shut(c, now_ms);
	if (c->broken) {
		conn_destroy(c, now_ms);
		return;
	}
	if (c->more && !c->unsent)
		loop_defer(loop, &c->job);
	bool reading = !c->end_seen && (c->state != CONN_OPEN || (!c->held && !conn_is_deaf(c)));
	loop_watch_set(c->watch, (reading ? LOOP_READ : 0) | (c->unsent ? LOOP_WRITE : 0));
	/* A deadline that moved away stays armed for the old time and is looked at then: most are moved again before. */
	uint64_t at = deadline_sooner(deadline_sooner(c->tick_at, c->limit_at), c->stall_at);
	if (at != 0 && (c->timer.node.index == 0 || at < c->timer.node.at))
		loop_timer_set(loop, &c->timer, at);
}

/* Gives the engine its turn: held input, the end of input, the time, and the wire. */
static void conn_drive(struct conn *c, uint64_t now_ms)
{
	const gh_engine_ops *ops = c->engine->ops;
	if (c->woken) {
		c->woken = false;
		conn_feed_held(c, now_ms);
	}
	if (c->end_seen && !c->ended && !c->held && !c->next_engine) {
		c->ended = true;
		c->limit_at = now_ms + c->env->limits->close_ms_max;
		if (!ops->finished(c->engine))
			ops->input_end(c->engine, now_ms);
	}
	c->tick_at = ops->tick(c->engine, now_ms);
	conn_output(c, now_ms);
	if (c->broken || c->unsent || !ops->finished(c->engine) || ops->output(c->engine).len > 0)
		return;
	if (c->next_engine)
		conn_change_engine(c, now_ms);
	else
		conn_finish(c);
}

/* ---- entries ---- */

static void conn_run(struct loop_job *job, uint64_t now_ms)
{
	struct conn *c = GH_CONTAINER(job, struct conn, job);
	if (c->state == CONN_OPEN)
		conn_drive(c, now_ms);
	conn_leave(c, now_ms);
}

static void conn_ready(void *context, int events, uint64_t now_ms)
{
	struct conn *c = context;
	if (events & LOOP_WRITE)
		conn_send(c, now_ms);
	if (events & LOOP_READ && !c->broken)
		conn_read(c, now_ms);
	if (c->state == CONN_OPEN && !c->broken)
		loop_defer(c->env->loop, &c->job); /* answers leave at the end of the turn, all with one send */
	conn_leave(c, now_ms);
}

static void conn_fire(struct loop_timer *timer, uint64_t now_ms)
{
	struct conn *c = GH_CONTAINER(timer, struct conn, timer);
	if (c->limit_at != 0 && now_ms >= c->limit_at)
		conn_break(c, c->state == CONN_HANDSHAKE ? "timeout: handshake_ms_max" : NULL, now_ms);
	else if (c->stall_at != 0 && now_ms >= c->stall_at)
		conn_break(c, "slow reader: write_stall_ms_max", now_ms);
	else if (c->state == CONN_OPEN)
		loop_defer(c->env->loop, &c->job);
	conn_leave(c, now_ms);
}

static void conn_wake(gh_wire *wire)
{
	struct conn *c = GH_CONTAINER(wire, struct conn, wire);
	c->woken = true;
	loop_defer(c->env->loop, &c->job);
}

static gh_peer conn_peer(gh_wire *wire)
{
	struct conn *c = GH_CONTAINER(wire, struct conn, wire);
	if (!c->certificate && c->ssl)
		c->certificate_len = tls_conn_certificate(c->ssl, &c->certificate);
	return (gh_peer){.address = c->address,
		.port = c->port,
		.server_name = c->ssl ? tls_conn_server_name(c->ssl) : "",
		.certificate = c->certificate,
		.certificate_len = c->certificate_len};
}

static gh_status conn_upgrade(gh_wire *wire, const gh_upgrade *upgrade, uint64_t now_ms)
{
	struct conn *c = GH_CONTAINER(wire, struct conn, wire);
	struct conn_env *env = c->env;
	assert(!c->next_engine);
	if (!env->web_rules)
		return GH_NOT_FOUND;
	if (!descriptors_take(env->descriptors, DESCRIPTORS_PER_PAIR))
		return GH_UNAVAILABLE;
	gh_status status = env->web_rules->engine_new(
		env->web_rules, env->web, env->worker, wire, upgrade, now_ms, &c->next_engine);
	if (status == GH_OK)
		loop_defer(env->loop, &c->job);
	else
		descriptors_give(env->descriptors, DESCRIPTORS_PER_PAIR);
	c->upgraded = status == GH_OK;
	return status;
}

static const gh_wire_ops conn_wire_ops = {.wake = conn_wake, .peer = conn_peer, .upgrade = conn_upgrade};

/* ---- all of them ---- */

bool conn_env_init(struct conn_env *env)
{
	env->first = NULL;
	env->count = 0;
	env->failures = (struct throttle){0};
	env->cipher = malloc(CONN_CIPHER_BYTES);
	env->plain = malloc(CONN_PLAIN_BYTES);
	bool ready = tls_io_init(&env->io);
	return ready && env->cipher && env->plain;
}

void conn_env_done(struct conn_env *env)
{
	assert(env->count == 0);
	free(env->cipher);
	free(env->plain);
	tls_io_done(&env->io);
}

bool conn_open(struct conn_env *env, int fd, const struct socket_address *address, struct tls_context *tls)
{
	struct conn *c = calloc(1, sizeof *c);
	if (c)
		c->watch = loop_watch(env->loop, fd, LOOP_READ, conn_ready, c);
	if (!c || !c->watch) {
		free(c);
		close(fd);
		return false;
	}
	c->wire.ops = &conn_wire_ops;
	c->env = env;
	c->tls = tls_context_ref(tls);
	c->job.run = conn_run;
	c->timer.fire = conn_fire;
	c->fd = fd;
	c->port = socket_address_port(address);
	socket_address_text(address, c->address);
	socket_address_client(address, &c->client);
	c->limit_at = loop_now_ms(env->loop) + env->limits->handshake_ms_max;
	loop_timer_set(env->loop, &c->timer, c->limit_at);
	c->next = env->first;
	c->link = &env->first;
	if (c->next)
		c->next->link = &c->next;
	env->first = c;
	env->count++;
	return true;
}

void conn_drain_all(struct conn_env *env, uint64_t now_ms)
{
	for (struct conn *c = env->first, *next; c; c = next) {
		next = c->next;
		if (c->state == CONN_HANDSHAKE) {
			conn_destroy(c, now_ms);
		} else if (c->state == CONN_OPEN && !c->draining) {
			c->draining = true;
			c->engine->ops->drain(c->engine, now_ms);
			loop_defer(env->loop, &c->job);
		}
	}
}

void conn_cut_all(struct conn_env *env, uint64_t now_ms)
{
	while (env->first)
		conn_destroy(env->first, now_ms);
}
