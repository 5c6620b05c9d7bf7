/* load_conn.h - one connection of the load client: TCP, TLS, perhaps a WebSocket, MQTT 3.1.1 with QoS 1 publishes or
 * AMQP 1.0 with unsettled transfers, as a state machine.
 *
 * It owns its socket and nothing of the loop: the worker (load_mqtt.c) hands in what epoll said and the time, and is
 * told through load_worker's calls.  Packets are prepared once; a publish costs a copy, a patch and its share of one
 * SSL_write.  Works with any broker; what is Gatehouse's own (SAS tokens, topics) comes in as text patterns.
 */
#ifndef GATEHOUSE_TESTS_BENCH_LOAD_CONN_H
#define GATEHOUSE_TESTS_BENCH_LOAD_CONN_H

#include "src/base/buf.h"
#include "tests/bench/load_amqp.h"
#include "tests/bench/load_stats.h"
#include "tests/bench/load_websocket.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

enum load_mode { LOAD_PUBLISH, LOAD_IDLE, LOAD_HANDSHAKES, LOAD_RELIABLE, LOAD_CHURN };

struct load_options {
	enum load_mode mode;
	struct sockaddr_in address;
	const char *server_name; /* checked in the certificate */
	SSL_CTX *tls;
	bool amqp;             /* AMQP 1.0 instead of MQTT; topic is the address of the link */
	const char *websocket; /* path of the upgrade; NULL = MQTT right on TLS */
	bool frame_batch;      /* one frame holds all that is written at once; else each packet has its own */
	unsigned connections, threads, parallel, window, size;
	unsigned first; /* number of the first connection */
	uint64_t messages, handshakes; /* LOAD_CHURN too: so many connections, one after another */
	double seconds, rate;
	bool interactive;
	const char *client_id, *user, *password, *topic; /* patterns: {n} the connection's number, {id}, {seq} */
	const char *sas_host, *device_key;               /* password = a SAS token of this host and key */
	int ack_log;                                     /* -1 = none */
};

enum load_state {
	CONN_CLOSED,
	CONN_TCP,
	CONN_TLS,
	CONN_UPGRADE,
	CONN_CONNACK, /* waits for it, or for AMQP's attach */
	CONN_READY,
	CONN_LEAVING,
};

enum { LOAD_DIGITS = 10 }; /* {seq} in a topic and in the body is ten digits */

struct load_conn {
	const struct load_options *options;
	unsigned n;
	enum load_state state;
	int fd;
	SSL *ssl;
	bool want_write, watched_write; /* what it needs; what its epoll was told (the worker's) */
	struct buf connect;             /* the CONNECT, prepared */
	struct buf publish;             /* a PUBLISH, prepared; id and digits are patched */
	size_t packet_id_at, topic_digits_at, body_digits_at; /* 0 = none */
	struct buf out;
	struct buf batch; /* packets that still want their frame */
	struct load_websocket websocket;
	struct load_amqp amqp;
	unsigned opened; /* times */
	uint8_t in[4];
	unsigned in_len;
	uint64_t next_seq, acked_seq; /* in flight: acked_seq .. next_seq - 1 */
	uint64_t *sent_us;            /* by seq % window */
	bool *settled;                /* likewise; AMQP: out of turn, so not counted as acknowledged yet */
	uint64_t started_us;
	char fault[160];
};

/* What a call found.  LOAD_ACKED: there may be room again.  LOAD_LOST: the connection is closed and fault says why.
 * LOAD_VANISHED: see load_conn_vanish. */
enum load_event { LOAD_NOTHING, LOAD_CONNECTED, LOAD_ACKED, LOAD_LEFT, LOAD_VANISHED, LOAD_LOST };

bool load_conn_init(struct load_conn *c, const struct load_options *options, unsigned n);
void load_conn_done(struct load_conn *c);

/* Opens the socket and begins; the caller registers c->fd with its epoll. */
enum load_event load_conn_open(struct load_conn *c, uint64_t now_us);
/* Goes on after the socket became ready.  With LOAD_ACKED, [*ret_from, c->acked_seq) are what was acknowledged. */
enum load_event load_conn_ready(struct load_conn *c, uint64_t *ret_from);
bool load_conn_has_room(const struct load_conn *c);
/* Queues the next publish, counted from stamp_us; goes out with load_conn_flush. */
void load_conn_publish(struct load_conn *c, uint64_t stamp_us);
/* Queues again, as duplicates, what was sent on an earlier connection and not acknowledged. */
void load_conn_republish(struct load_conn *c, uint64_t now_us);
enum load_event load_conn_flush(struct load_conn *c);
/* Sends DISCONNECT, or AMQP's close; LOAD_LEFT comes when the server has closed. */
enum load_event load_conn_leave(struct load_conn *c);
/* LOAD_CHURN: goes away in mid-air, each time in another way: MQTT, WebSocket and TLS say nothing. */
enum load_event load_conn_vanish(struct load_conn *c);
void load_conn_close(struct load_conn *c);

#endif
