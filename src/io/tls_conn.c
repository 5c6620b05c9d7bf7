/* tls_conn.c - see tls_conn.h. */
#include "src/io/tls_conn.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

/* More than one turn of one connection can ever produce; beyond it the connection fails. */
enum { TLS_OUT_BYTES_MAX = 1 << 20 };

/* ---- the BIO: reads from io->in, writes to io->out, never blocks but for want of input ---- */

static int tls_bio_read(BIO *bio, char *ret_data, size_t cap, size_t *ret_len)
{
	struct tls_io *io = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	if (io->in.len == 0) {
		BIO_set_retry_read(bio);
		return 0;
	}
	size_t n = io->in.len < cap ? io->in.len : cap;
	memcpy(ret_data, io->in.data, n);
	io->in.data += n;
	io->in.len -= n;
	*ret_len = n;
	return 1;
}

static int tls_bio_write(BIO *bio, const char *data, size_t len, size_t *ret_len)
{
	struct tls_io *io = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	buf_append(&io->out, data, len);
	if (io->out.failed)
		return 0;
	*ret_len = len;
	return 1;
}

static long tls_bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio, (void)number, (void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static int tls_bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

bool tls_io_init(struct tls_io *io)
{
	*io = (struct tls_io){.method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "worker memory")};
	buf_init(&io->out, TLS_OUT_BYTES_MAX);
	return io->method && BIO_meth_set_read_ex(io->method, tls_bio_read) &&
	       BIO_meth_set_write_ex(io->method, tls_bio_write) && BIO_meth_set_ctrl(io->method, tls_bio_ctrl) &&
	       BIO_meth_set_create(io->method, tls_bio_create);
}

void tls_io_done(struct tls_io *io)
{
	buf_done(&io->out);
	BIO_meth_free(io->method);
	io->method = NULL;
}

/* ---- one connection ---- */

SSL *tls_conn_new(struct tls_context *context, struct tls_io *io)
{
	SSL *ssl = SSL_new(tls_context_ssl(context));
	BIO *bio = ssl ? BIO_new(io->method) : NULL;
	if (!bio) {
		SSL_free(ssl);
		ERR_clear_error();
		return NULL;
	}
	BIO_set_data(bio, io);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_accept_state(ssl);
	return ssl;
}

void tls_conn_free(SSL *ssl)
{
	SSL_free(ssl);
}

/* OpenSSL judges a failed call by its error queue, so each call starts with an empty one; a call that fails leaves its
 * reason there for tls_conn_reason. */
static enum tls_result tls_conn_result(SSL *ssl, int rc)
{
	if (rc == 1)
		return TLS_OK;
	switch (SSL_get_error(ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANT;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_END;
	default:
		return TLS_FAILED;
	}
}

enum tls_result tls_conn_handshake(SSL *ssl)
{
	ERR_clear_error();
	return tls_conn_result(ssl, SSL_do_handshake(ssl));
}

enum tls_result tls_conn_read(SSL *ssl, uint8_t *ret_data, size_t cap, size_t *ret_len)
{
	assert(cap >= TLS_RECORD_BYTES_MAX);
	ERR_clear_error();
	return tls_conn_result(ssl, SSL_read_ex(ssl, ret_data, cap, ret_len));
}

enum tls_result tls_conn_write(SSL *ssl, const uint8_t *data, size_t len)
{
	assert(len > 0 && len <= TLS_RECORD_BYTES_MAX);
	ERR_clear_error();
	size_t written = 0;
	enum tls_result result = tls_conn_result(ssl, SSL_write_ex(ssl, data, len, &written));
	return result == TLS_OK && written == len ? TLS_OK : TLS_FAILED;
}

void tls_conn_end(SSL *ssl)
{
	ERR_clear_error();
	SSL_shutdown(ssl);
	ERR_clear_error();
}

const char *tls_conn_reason(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	ERR_clear_error();
	return reason ? reason : "unknown";
}

const char *tls_conn_server_name(SSL *ssl)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	return name ? name : "";
}

gh_bytes tls_conn_alpn(SSL *ssl)
{
	const unsigned char *name;
	unsigned len;
	SSL_get0_alpn_selected(ssl, &name, &len);
	return (gh_bytes){name, len};
}

size_t tls_conn_certificate(SSL *ssl, uint8_t **ret_der)
{
	X509 *leaf = SSL_get0_peer_certificate(ssl);
	if (!leaf)
		return 0;
	unsigned char *der = NULL;
	int len = i2d_X509(leaf, &der);
	ERR_clear_error();
	if (len <= 0)
		return 0;
	*ret_der = der;
	return (size_t)len;
}
