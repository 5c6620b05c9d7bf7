/* tls_conn.h - one connection's TLS state over memory: the caller moves the bytes.
 *
 * All connections of a worker share one tls_io: ciphertext just received on one side, ciphertext to be sent on the other.
 * The caller fills `in`, calls until TLS_WANT says that it is used up, and takes `out` away before it turns to another
 * connection.  So an idle connection owns no buffer.
 */
#ifndef GATEHOUSE_IO_TLS_CONN_H
#define GATEHOUSE_IO_TLS_CONN_H

#include "src/base/buf.h"
#include "src/io/tls.h"

#include <openssl/ssl.h>

enum { TLS_RECORD_BYTES_MAX = SSL3_RT_MAX_PLAIN_LENGTH };

struct tls_io {
	gh_bytes in;    /* not decrypted yet */
	struct buf out; /* not sent yet */
	BIO_METHOD *method;
};

/* False without memory. */
bool tls_io_init(struct tls_io *io);
void tls_io_done(struct tls_io *io); /* after the last connection */

enum tls_result {
	TLS_OK,
	TLS_WANT,   /* all of `in` is used up */
	TLS_END,    /* the peer has said that it is done */
	TLS_FAILED, /* for good; an alert may wait in `out`; tls_conn_reason tells why */
};

/* NULL without memory.  The context must stay until the handshake is over. */
SSL *tls_conn_new(struct tls_context *context, struct tls_io *io);
void tls_conn_free(SSL *ssl); /* accepts NULL */

enum tls_result tls_conn_handshake(SSL *ssl);
/* One record's worth; cap is at least TLS_RECORD_BYTES_MAX.  *ret_len is set with TLS_OK only. */
enum tls_result tls_conn_read(SSL *ssl, uint8_t *ret_data, size_t cap, size_t *ret_len);
/* Puts all of it into `out`, at most one record. */
enum tls_result tls_conn_write(SSL *ssl, const uint8_t *data, size_t len);
/* Our last word: close_notify. */
void tls_conn_end(SSL *ssl);

/* Why the last call gave TLS_FAILED; forgets it. */
const char *tls_conn_reason(void);
/* "" when the client sent none; borrowed. */
const char *tls_conn_server_name(SSL *ssl);
/* The ALPN name that the handshake selected, empty when none; borrowed. */
gh_bytes tls_conn_alpn(SSL *ssl);
/* The client's leaf as DER, to be freed by the caller; 0 when there is none. */
size_t tls_conn_certificate(SSL *ssl, uint8_t **ret_der);

#endif
