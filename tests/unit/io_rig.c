/* io_rig.c - see io_rig.h. */
#include "tests/unit/io_rig.h"

#include "src/base/take.h"
#include "src/io/alpn.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- the engine ---- */

static struct rig_engine *rig_engine_of(const gh_engine *engine)
{
	return GH_CONTAINER(engine, struct rig_engine, engine);
}

static void rig_engine_upgrade(struct rig_engine *e)
{
	static const gh_upgrade upgrade = {.key = {(const uint8_t *)"k", 1}, .subprotocol = {(const uint8_t *)"p", 1}};
	e->upgrade_at = 0;
	e->rig->upgrade_got = e->wire->ops->upgrade(e->wire, &upgrade, e->rig->now_ms);
	e->finished = e->rig->upgrade_got == GH_OK;
}

static size_t rig_engine_input(gh_engine *engine, const uint8_t *data, size_t len, uint64_t now_ms)
{
	struct rig_engine *e = rig_engine_of(engine);
	cr_assert(!e->finished && e->ends == 0, "no input after the end");
	cr_assert_eq(now_ms, e->rig->now_ms);
	e->inputs++;
	size_t n = len < e->budget ? len : e->budget;
	bool upgrades = e->upgrade_at != 0 && e->in.len + n >= e->upgrade_at;
	if (upgrades)
		n = e->upgrade_at - e->in.len;
	e->budget -= n;
	buf_append(&e->in, data, n);
	if (e->echo)
		buf_append(&e->out, data, n);
	if (upgrades)
		rig_engine_upgrade(e);
	return n;
}

static void rig_engine_input_end(gh_engine *engine, uint64_t now_ms)
{
	struct rig_engine *e = rig_engine_of(engine);
	(void)now_ms;
	e->ends++;
	if (e->finish_at_end)
		e->finished = true;
}

static gh_bytes rig_engine_output(gh_engine *engine)
{
	struct rig_engine *e = rig_engine_of(engine);
	return (gh_bytes){e->out.data ? e->out.data + e->out_at : NULL, e->out.len - e->out_at};
}

static void rig_engine_output_done(gh_engine *engine, size_t len)
{
	struct rig_engine *e = rig_engine_of(engine);
	e->out_at += len;
	cr_assert(e->out_at <= e->out.len);
}

static uint64_t rig_engine_tick(gh_engine *engine, uint64_t now_ms)
{
	struct rig_engine *e = rig_engine_of(engine);
	e->ticks++;
	if (e->deadline_ms != 0 && now_ms >= e->deadline_ms) {
		e->deadline_ms = 0;
		e->fired++;
	}
	return e->deadline_ms;
}

static bool rig_engine_finished(const gh_engine *engine)
{
	return rig_engine_of(engine)->finished;
}

static void rig_engine_drain(gh_engine *engine, uint64_t now_ms)
{
	struct rig_engine *e = rig_engine_of(engine);
	(void)now_ms;
	e->drains++;
	rig_engine_say(e, "bye", 3);
	e->finished = true;
}

static void rig_engine_free(gh_engine *engine)
{
	struct rig_engine *e = rig_engine_of(engine);
	for (struct rig_engine **at = &e->rig->engines; *at; at = &(*at)->next)
		if (*at == e) {
			*at = e->next;
			break;
		}
	e->rig->freed++;
	buf_done(&e->in);
	buf_done(&e->out);
	free(e);
}

static const gh_engine_ops rig_engine_ops = {rig_engine_input, rig_engine_input_end, rig_engine_output,
	rig_engine_output_done, rig_engine_tick, rig_engine_finished, rig_engine_drain, rig_engine_free};

/* The rig itself passes as the worker: the io modules only hand that pointer on. */
static gh_engine *rig_engine_make(const char *made_by, struct gh_worker *worker, gh_wire *wire, uint64_t now_ms)
{
	struct rig *rig = (struct rig *)(void *)worker;
	struct rig_engine *e = calloc(1, sizeof *e);
	cr_assert_eq(now_ms, rig->now_ms);
	e->engine.ops = &rig_engine_ops;
	e->rig = rig;
	e->wire = wire;
	e->budget = rig->budget;
	e->echo = rig->echo;
	e->upgrade_at = rig->upgrade_at;
	e->finish_at_end = true;
	e->next = rig->engines;
	rig->engines = e;
	rig->made++;
	rig->made_by = made_by;
	rig->peer = wire->ops->peer(wire);
	cr_assert(rig->peer.certificate_len <= sizeof rig->peer_der);
	if (rig->peer.certificate)
		memcpy(rig->peer_der, rig->peer.certificate, rig->peer.certificate_len);
	snprintf(rig->peer_name, sizeof rig->peer_name, "%s", rig->peer.server_name);
	snprintf(rig->peer_address, sizeof rig->peer_address, "%s", rig->peer.address);
	return &e->engine;
}

void rig_engine_say(struct rig_engine *e, const void *data, size_t len)
{
	buf_append(&e->out, data, len);
	e->wire->ops->wake(e->wire);
}

static gh_engine *rig_plain_new(struct gh_worker *worker, gh_wire *wire, uint64_t now_ms)
{
	return rig_engine_make("rig", worker, wire, now_ms);
}

static gh_engine *rig_http1_new(struct gh_worker *worker, gh_wire *wire, uint64_t now_ms)
{
	return rig_engine_make("http/1.1", worker, wire, now_ms);
}

static gh_engine *rig_h2_new(struct gh_worker *worker, gh_wire *wire, uint64_t now_ms)
{
	return rig_engine_make("h2", worker, wire, now_ms);
}

static gh_engine *rig_mqtt_new(struct gh_worker *worker, gh_wire *wire, uint64_t now_ms)
{
	return rig_engine_make("mqtt", worker, wire, now_ms);
}

static gh_status rig_upgrade_new(const struct web_rules *rules, struct web *web, struct gh_worker *worker,
	gh_wire *wire, const gh_upgrade *upgrade, uint64_t now_ms, gh_engine **ret_engine)
{
	struct rig *rig = (struct rig *)(void *)worker;
	cr_assert(rules == &rig->web_rules && (void *)web == (void *)rig && upgrade->key.len == 1);
	if (rig->upgrade_status != GH_OK)
		return rig->upgrade_status;
	*ret_engine = rig_engine_make("upgrade", worker, wire, now_ms);
	rig_engine_of(*ret_engine)->upgrade_at = 0;
	return GH_OK;
}

#define RIG_ALPN(name) ((const char *const[]){name, NULL})
static const gh_transport rig_plain = {.name = "rig", .engine_new = rig_plain_new};
const gh_transport rig_http1 = {.name = "https", .alpn = RIG_ALPN("http/1.1"), .engine_new = rig_http1_new};
const gh_transport rig_h2 = {.name = "https", .alpn = RIG_ALPN("h2"), .engine_new = rig_h2_new};
const gh_transport rig_mqtt = {.name = "mqtt", .alpn = RIG_ALPN("mqtt"), .engine_new = rig_mqtt_new};

/* ---- the rig ---- */

static uint64_t rig_clock(void *context)
{
	return ((struct rig *)context)->now_ms;
}

static void rig_log_write(void *context, const char *line, size_t len)
{
	buf_append(&((struct rig *)context)->log_text, line, len);
}

bool rig_logged(const struct rig *rig, const char *text)
{
	return rig->log_text.len > 0 && memmem(rig->log_text.data, rig->log_text.len, text, strlen(text)) != NULL;
}

uint64_t rig_real_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void rig_path(const struct rig *rig, const char *name, char ret_path[128])
{
	snprintf(ret_path, 128, "%s/%s", rig->dir, name);
}

void rig_init(struct rig *rig)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "::1", NULL};
	gh_error err = {0};
	*rig = (struct rig){.now_ms = 1000000, .budget = SIZE_MAX};
	limits_defaults(&rig->limits);
	descriptors_init(&rig->descriptors, 1000);
	rig->web_rules.engine_new = rig_upgrade_new;
	rig->log = (struct log){.level = LOG_DEBUG, .write = rig_log_write, .context = rig};
	snprintf(rig->dir, sizeof rig->dir, "/tmp/gatehouse-io-XXXXXX");
	cr_assert(mkdtemp(rig->dir) != NULL);
	cr_assert_eq(tls_make_certificates(rig->dir, names, loop_wall_ms(), &err), GH_OK, "%s", err.text);
	rig->loop = loop_new_with_clock(rig_clock, rig);
	cr_assert(rig->loop != NULL);
	rig_tls(rig, "server.pem", "server.key", NULL, NULL, NULL);
}

void rig_tls(struct rig *rig, const char *certificate, const char *key, const char *certificate_2, const char *key_2,
	const char *const *alpn)
{
	char paths[4][128];
	const char *files[4] = {certificate, key, certificate_2, key_2};
	for (int i = 0; i < 4; i++)
		rig_path(rig, files[i] ? files[i] : "", paths[i]);
	struct tls_config config = {.certificate_file = paths[0],
		.key_file = paths[1],
		.certificate_file_2 = certificate_2 ? paths[2] : NULL,
		.key_file_2 = key_2 ? paths[3] : NULL,
		.alpn = alpn};
	gh_error err = {0};
	tls_context_unref(rig->tls);
	rig->tls = NULL;
	cr_assert_eq(tls_context_new(&config, &rig->tls, &err), GH_OK, "%s", err.text);
}

static void rig_listen_on(struct rig *rig, const gh_transport *const *transports)
{
	struct listener_config config = {.name = "rig",
		.address = "127.0.0.1",
		.transports = transports,
		.descriptors = &rig->descriptors,
		.web_rules = rig->websockets ? &rig->web_rules : NULL,
		.limits = &rig->limits,
		.log = &rig->log};
	gh_error err = {0};
	cr_assert_eq(listener_group_new(&config, rig->tls, &rig->group, &err), GH_OK, "%s", err.text);
	struct web *web = rig->websockets ? (struct web *)(void *)rig : NULL; /* handed on, as the worker is */
	cr_assert_eq(listener_new(rig->group, rig->loop, (gh_worker *)(void *)rig, web, &rig->listener, &err), GH_OK,
		"%s", err.text);
	cr_assert(listener_group_port(rig->group) != 0);
}

void rig_listen(struct rig *rig)
{
	static const gh_transport *const plain[] = {&rig_plain, NULL};
	rig_listen_on(rig, plain);
}

void rig_listen_with(struct rig *rig, const gh_transport *const *transports)
{
	const char *names[ALPN_NAMES_MAX + 1];
	alpn_names(transports, names);
	rig_tls(rig, "server.pem", "server.key", NULL, NULL, names);
	rig_listen_on(rig, transports);
}

static void rig_remove_dir(const char *dir)
{
	DIR *list = opendir(dir);
	struct dirent *entry;
	while (list && (entry = readdir(list)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(list), entry->d_name, 0);
	if (list)
		closedir(list);
	rmdir(dir);
}

void rig_done(struct rig *rig)
{
	listener_free(rig->listener);
	cr_assert_eq(rig->made, rig->freed);
	if (rig->group)
		cr_assert_eq(listener_group_connections(rig->group), 0);
	cr_assert_eq(rig->descriptors.used, 0, "all descriptors were given back");
	listener_group_free(rig->group);
	tls_context_unref(rig->tls);
	loop_free(rig->loop);
	buf_done(&rig->log_text);
	rig_remove_dir(rig->dir);
	cr_assert_eq(ERR_peek_error(), 0, "no error is left behind");
}

void rig_step(struct rig *rig, struct rig_client *client)
{
	loop_turn(rig->loop);
	if (client && !rig_client_pump(client) && !client->end) {
		struct pollfd fd = {client->fd, POLLIN, 0};
		poll(&fd, client->deaf ? 0 : 1, 1);
	}
	ERR_clear_error(); /* the client's own */
}

unsigned rig_open_fds(void)
{
	unsigned count = 0;
	DIR *list = opendir("/proc/self/fd");
	while (readdir(list))
		count++;
	closedir(list);
	return count;
}

/* ---- certificates for tests ---- */

static void rig_make_pair(const char *kind, X509 **ret_certificate, EVP_PKEY **ret_key)
{
	EVP_PKEY *key = strcmp(kind, "RSA") == 0 ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 7);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_NAME_add_entry_by_txt(
		X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const unsigned char *)"rig", -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	X509_set_pubkey(certificate, key);
	cr_assert(X509_sign(certificate, key, EVP_sha256()) > 0);
	*ret_certificate = certificate;
	*ret_key = key;
}

void rig_write_pair(const struct rig *rig, const char *kind, const char *certificate_name, const char *key_name)
{
	X509 *certificate;
	EVP_PKEY *key;
	char path[128];
	rig_make_pair(kind, &certificate, &key);
	rig_path(rig, certificate_name, path);
	FILE *file = fopen(path, "w");
	PEM_write_X509(file, certificate);
	fclose(file);
	rig_path(rig, key_name, path);
	file = fopen(path, "w");
	PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
	fclose(file);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

SSL_CTX *rig_client_ctx(const struct rig *rig)
{
	char path[128];
	rig_path(rig, "ca.pem", path);
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, 0);
	cr_assert_eq(SSL_CTX_load_verify_locations(ctx, path, NULL), 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return ctx;
}

void rig_client_certificate(SSL_CTX *ctx, uint8_t ret_der[4096], size_t *ret_len)
{
	X509 *certificate;
	EVP_PKEY *key;
	rig_make_pair("EC", &certificate, &key);
	cr_assert_eq(SSL_CTX_use_certificate(ctx, certificate), 1);
	cr_assert_eq(SSL_CTX_use_PrivateKey(ctx, key), 1);
	unsigned char *at = ret_der;
	*ret_len = (size_t)i2d_X509(certificate, &at);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

/* ---- the client ---- */

void rig_client_alpn(SSL_CTX *ctx, const char *names)
{
	uint8_t wire[256];
	unsigned len = 0;
	for (const char *at = names; *at;) {
		size_t n = strcspn(at, ",");
		cr_assert(len + 1 + n <= sizeof wire);
		wire[len++] = (uint8_t)n;
		memcpy(wire + len, at, n);
		len += (unsigned)n;
		at += n + 1;
	}
	if (len > 0)
		cr_assert_eq(SSL_CTX_set_alpn_protos(ctx, wire, len), 0);
}

gh_bytes rig_client_selected(const struct rig_client *client)
{
	const uint8_t *name;
	unsigned len;
	SSL_get0_alpn_selected(client->ssl, &name, &len);
	return (gh_bytes){name, len};
}

void rig_connect(struct rig *rig, struct rig_client *client, SSL_CTX *ctx, const char *from)
{
	struct sockaddr_in source = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
	*client = (struct rig_client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)};
	cr_assert(client->fd >= 0);
	inet_pton(AF_INET, from ? from : "127.0.0.1", &source.sin_addr);
	cr_assert_eq(bind(client->fd, (struct sockaddr *)&source, sizeof source), 0);
	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	to.sin_port = htons(listener_group_port(rig->group));
	int rc = connect(client->fd, (struct sockaddr *)&to, sizeof to);
	cr_assert(rc == 0 || errno == EINPROGRESS);
	if (!ctx)
		return;
	client->ssl = SSL_new(ctx);
	client->in = BIO_new(BIO_s_mem());
	client->out = BIO_new(BIO_s_mem());
	SSL_set_bio(client->ssl, client->in, client->out);
	SSL_set_connect_state(client->ssl);
	SSL_set_tlsext_host_name(client->ssl, "localhost");
}

static bool rig_client_write(struct rig_client *client)
{
	char *data;
	long len = BIO_get_mem_data(client->out, &data);
	if (len <= 0)
		return false;
	if (client->chunk != 0 && (size_t)len > client->chunk)
		len = (long)client->chunk;
	ssize_t n = send(client->fd, data, (size_t)len, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		client->end = client->reset = true;
	if (n <= 0)
		return false;
	char sink[4096];
	for (ssize_t left = n; left > 0;)
		left -= BIO_read(client->out, sink, left < (ssize_t)sizeof sink ? (int)left : (int)sizeof sink);
	return true;
}

bool rig_client_pump(struct rig_client *client)
{
	bool moved = client->ssl && !client->end && rig_client_write(client);
	uint8_t data[16384];
	while (!client->deaf && !client->end) {
		ssize_t n = recv(client->fd, data, sizeof data, 0);
		if (n < 0 && errno == EAGAIN)
			break;
		client->end = n <= 0;
		client->reset = n < 0;
		if (n > 0 && client->ssl)
			BIO_write(client->in, data, (int)n);
		moved = true;
	}
	return moved;
}

void rig_client_read(struct rig_client *client, struct buf *to)
{
	uint8_t data[16384];
	int n;
	while ((n = SSL_read(client->ssl, data, sizeof data)) > 0)
		buf_append(to, data, (size_t)n);
	ERR_clear_error();
}

bool rig_handshake(struct rig *rig, struct rig_client *client)
{
	unsigned made = rig->made;
	for (uint64_t end = rig_real_ms() + 10000;; rig_step(rig, client)) {
		cr_assert(rig_real_ms() < end, "the handshake hangs");
		bool done = SSL_do_handshake(client->ssl) == 1;
		bool failed = !done && SSL_get_error(client->ssl, -1) != SSL_ERROR_WANT_READ;
		ERR_clear_error();
		if (done && rig->made > made)
			return true;
		if (client->end || (failed && BIO_ctrl_pending(client->out) == 0))
			return false;
	}
}

void rig_open(struct rig *rig, struct rig_client *client, SSL_CTX *ctx)
{
	rig_connect(rig, client, ctx, NULL);
	cr_assert(rig_handshake(rig, client));
}

void rig_close(struct rig_client *client)
{
	SSL_free(client->ssl);
	if (client->fd >= 0)
		close(client->fd);
	*client = (struct rig_client){.fd = -1};
}

void rig_send(struct rig *rig, struct rig_client *client, const void *data, size_t len)
{
	(void)rig;
	const uint8_t *at = data;
	while (len > 0) {
		int n = SSL_write(client->ssl, at, len < 16384 ? (int)len : 16384);
		cr_assert(n > 0);
		at += n;
		len -= (size_t)n;
	}
	rig_client_pump(client);
}
