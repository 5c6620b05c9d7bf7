/* io_rig.h - a listener, an engine that the test steers, and TLS clients over real loopback sockets, all in one thread.
 *
 * Nothing waits blindly: RIG_UNTIL turns the loop and moves the clients' bytes until its condition holds, or fails after a
 * few seconds.  The loop's clock is rig->now_ms and moves only when a test moves it.
 */
#ifndef GATEHOUSE_TESTS_IO_RIG_H
#define GATEHOUSE_TESTS_IO_RIG_H

#include "tests/suite.h"

#include "src/base/buf.h"
#include "src/base/limits.h"
#include "src/base/text.h"
#include "src/io/listener.h"
#include "src/io/tls_conn.h"

struct rig;

/* Keeps what came in; echoes it when told to. */
struct rig_engine {
	gh_engine engine;
	struct rig *rig;
	struct rig_engine *next;
	gh_wire *wire;
	struct buf in;
	struct buf out;
	size_t out_at;
	size_t budget;     /* how many more bytes it takes */
	size_t upgrade_at; /* behind so many bytes it asks for an upgrade, and finishes when it gets one; 0 = never */
	uint64_t deadline_ms;
	unsigned inputs, ticks, fired, ends, drains;
	bool echo, finished, finish_at_end;
};

struct rig {
	uint64_t now_ms;
	struct loop *loop;
	gh_limits limits;
	struct log log;
	struct buf log_text;
	char dir[64];
	struct tls_context *tls;
	struct listener_group *group;
	struct listener *listener;
	struct rig_engine *engines; /* newest first */
	unsigned made, freed;
	size_t budget; /* of new engines */
	bool echo;
	size_t upgrade_at; /* of new engines, but for those of an upgrade */
	struct descriptors descriptors;
	struct web_rules web_rules;
	bool websockets;          /* the listener takes upgrades; before rig_listen */
	gh_status upgrade_status; /* what an upgrade is answered */
	gh_status upgrade_got;    /* what the engine was answered */
	const char *made_by;      /* the newest engine: "rig", "upgrade", or the ALPN name of its transport */
	gh_peer peer;        /* of that engine, at its start */
	uint8_t peer_der[4096];
	char peer_name[256];
	char peer_address[64];
};

struct rig_client {
	int fd;
	SSL *ssl;
	BIO *in;      /* from the socket */
	BIO *out;     /* to the socket */
	size_t chunk; /* bytes written to the socket at once; 0 = all there is */
	bool deaf;    /* does not read its socket */
	bool end;     /* the server's end of stream, or a reset, was seen */
	bool reset;
};

/* Transports with the ALPN names of real ones; their engines differ in rig->made_by only. */
extern const gh_transport rig_http1, rig_h2, rig_mqtt;

/* Certificates, a TLS context and a loop; limits may be changed before rig_listen. */
void rig_init(struct rig *rig);
void rig_tls(struct rig *rig, const char *certificate, const char *key, const char *certificate_2, const char *key_2,
	const char *const *alpn);
void rig_listen(struct rig *rig);
/* Listens with these transports, and a TLS context that has their names. */
void rig_listen_with(struct rig *rig, const gh_transport *const *transports);
void rig_done(struct rig *rig);
void rig_path(const struct rig *rig, const char *name, char ret_path[128]);
/* Turns the loop once, moves the client's bytes (NULL = none) and waits up to a millisecond for more. */
void rig_step(struct rig *rig, struct rig_client *client);
uint64_t rig_real_ms(void);
bool rig_logged(const struct rig *rig, const char *text);
unsigned rig_open_fds(void);

#define RIG_UNTIL(rig, client, condition)                                                                              \
	for (uint64_t end_ = rig_real_ms() + 10000; !(condition); rig_step(rig, client))                               \
	cr_assert(rig_real_ms() < end_, "waited in vain for %s", #condition)

/* A client context that trusts the rig's authority and accepts any level. */
SSL_CTX *rig_client_ctx(const struct rig *rig);
/* A fresh self-signed P-256 certificate for it. */
void rig_client_certificate(SSL_CTX *ctx, uint8_t ret_der[4096], size_t *ret_len);
/* Writes a fresh self-signed certificate ("RSA" or "EC") and its key below rig->dir. */
void rig_write_pair(const struct rig *rig, const char *kind, const char *certificate, const char *key);

/* Names, each followed by a comma: "h2,http/1.1,"; "" = offers none. */
void rig_client_alpn(SSL_CTX *ctx, const char *names);
/* What the server selected; empty = it did not answer. */
gh_bytes rig_client_selected(const struct rig_client *client);

void rig_connect(struct rig *rig, struct rig_client *client, SSL_CTX *ctx, const char *from);
/* Whether the handshake worked, and the server made an engine for it. */
bool rig_handshake(struct rig *rig, struct rig_client *client);
void rig_open(struct rig *rig, struct rig_client *client, SSL_CTX *ctx);
void rig_close(struct rig_client *client);
void rig_send(struct rig *rig, struct rig_client *client, const void *data, size_t len);
/* Moves bytes between its socket and its TLS; true when something moved. */
bool rig_client_pump(struct rig_client *client);
/* Appends what has been decrypted. */
void rig_client_read(struct rig_client *client, struct buf *to);

void rig_engine_say(struct rig_engine *e, const void *data, size_t len);

#endif
