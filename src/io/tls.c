/* tls.c - see tls.h.
 *
 * Every failure to read a file is told with the file's name: this is what an operator sees first when something is
 * wrong.  A client certificate is asked for, never required and never judged here, but for a key too weak to prove
 * anything; whom it belongs to is decided when the device says who it is (device contract 1.2).
 */
#include "src/io/tls.h"

#include "src/base/take.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
	TLS_SECURITY_LEVEL_MIN = 2, /* 112 bits */
	TLS_CLIENT_CHAIN_BYTES_MAX =
		16384, /* nobody has said who they are yet: no more than a chain of a few RSA keys */
	TLS_TICKET_LIFE_S = 7200,
	TLS_CHAIN_MAX = 10,
	TLS_ALPN_BYTES_MAX = 256,
};

#define TLS_CIPHERS                                                                                                    \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"                     \
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"                       \
	"ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384"

struct tls_context {
	atomic_uint refs;
	SSL_CTX *ssl;
	unsigned char alpn[TLS_ALPN_BYTES_MAX]; /* as on the wire: length, name, length, name ... */
	unsigned alpn_len;
};

static gh_status tls_fail(gh_error *err, const char *file, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	ERR_clear_error();
	return gh_fail(err, GH_INVALID, "tls_file", "%s: %s%s%s%s", file, what, reason ? " (" : "",
		reason ? reason : "", reason ? ")" : "");
}

/* ---- files ---- */

static gh_status tls_open(const char *file, BIO **ret_bio, gh_error *ret_err)
{
	FILE *stream = fopen(file, "re");
	if (!stream)
		return gh_fail(ret_err, GH_INVALID, "tls_file", "%s: %s", file, strerror(errno));
	BIO *bio = BIO_new_fp(stream, BIO_CLOSE);
	if (!bio) {
		fclose(stream);
		return gh_fail(ret_err, GH_NO_MEMORY, NULL, "out of memory");
	}
	*ret_bio = bio;
	return GH_OK;
}

static void tls_bio_free(BIO **bio)
{
	BIO_free(*bio);
}

/* Never asks at a terminal: a daemon has none. */
static int tls_no_password(char *buffer, int size, int writing, void *context)
{
	(void)buffer, (void)size, (void)writing, (void)context;
	return -1;
}

static gh_status tls_read_chain(SSL_CTX *ssl, const char *file, BIO *bio, gh_error *ret_err)
{
	for (int depth = 0;; depth++) {
		X509 *issuer = PEM_read_bio_X509(bio, NULL, tls_no_password, NULL);
		if (!issuer) {
			unsigned long code = ERR_peek_last_error();
			if (ERR_GET_LIB(code) != ERR_LIB_PEM || ERR_GET_REASON(code) != PEM_R_NO_START_LINE)
				return tls_fail(ret_err, file, "a certificate of the chain is damaged");
			ERR_clear_error();
			return GH_OK;
		}
		if (depth == TLS_CHAIN_MAX || SSL_CTX_add0_chain_cert(ssl, issuer) != 1) {
			X509_free(issuer);
			return tls_fail(
				ret_err, file, depth == TLS_CHAIN_MAX ? "the chain is too long" : "cannot be used");
		}
	}
}

static gh_status tls_read_certificate(SSL_CTX *ssl, const char *file, int *ret_kind, gh_error *ret_err)
{
	GH_CLEANUP(tls_bio_free) BIO *bio = NULL;
	gh_status status = tls_open(file, &bio, ret_err);
	if (status != GH_OK)
		return status;
	X509 *leaf = PEM_read_bio_X509_AUX(bio, NULL, tls_no_password, NULL);
	if (!leaf)
		return tls_fail(ret_err, file, "is not a certificate in PEM form");
	int used = SSL_CTX_use_certificate(ssl, leaf);
	const EVP_PKEY *key = X509_get0_pubkey(leaf);
	*ret_kind = key ? EVP_PKEY_get_base_id(key) : 0;
	X509_free(leaf); /* the context holds its own reference */
	if (used != 1)
		return tls_fail(ret_err, file, "the certificate cannot be used");
	return tls_read_chain(ssl, file, bio, ret_err);
}

static gh_status tls_read_key(SSL_CTX *ssl, const char *file, const char *certificate_file, gh_error *ret_err)
{
	GH_CLEANUP(tls_bio_free) BIO *bio = NULL;
	gh_status status = tls_open(file, &bio, ret_err);
	if (status != GH_OK)
		return status;
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, tls_no_password, NULL);
	if (!key)
		return tls_fail(ret_err, file, "is not an unencrypted private key in PEM form");
	bool matches = X509_check_private_key(SSL_CTX_get0_certificate(ssl), key) == 1;
	bool used = matches && SSL_CTX_use_PrivateKey(ssl, key) == 1;
	EVP_PKEY_free(key);
	if (!matches) {
		ERR_clear_error();
		return gh_fail(ret_err, GH_INVALID, "tls_file", "%s: does not belong to the certificate in %s", file,
			certificate_file);
	}
	return used ? GH_OK : tls_fail(ret_err, file, "the key cannot be used");
}

static gh_status tls_read_pairs(SSL_CTX *ssl, const struct tls_config *config, gh_error *ret_err)
{
	int kind, kind_2;
	gh_status status = tls_read_certificate(ssl, config->certificate_file, &kind, ret_err);
	if (status == GH_OK)
		status = tls_read_key(ssl, config->key_file, config->certificate_file, ret_err);
	if (status != GH_OK || !config->certificate_file_2)
		return status;
	status = tls_read_certificate(ssl, config->certificate_file_2, &kind_2, ret_err);
	if (status == GH_OK && kind == kind_2)
		return gh_fail(ret_err, GH_INVALID, "tls_file",
			"%s: has the same kind of key as %s; a second certificate is for "
			"the other kind, RSA or ECDSA",
			config->certificate_file_2, config->certificate_file);
	if (status == GH_OK)
		status = tls_read_key(ssl, config->key_file_2, config->certificate_file_2, ret_err);
	return status;
}

/* ---- call-backs of the handshake ---- */

static int tls_take_client(X509_STORE_CTX *store, void *context)
{
	(void)context;
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	EVP_PKEY *key = leaf ? X509_get0_pubkey(leaf) : NULL;
	if (!key || EVP_PKEY_get_security_bits(key) < 112) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_EE_KEY_TOO_SMALL);
		return 0;
	}
	return 1;
}

/* Our order counts.  No common name is no reason to refuse anybody: then there is no answer. */
static int tls_select_alpn(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len,
	const unsigned char *offered, unsigned offered_len, void *context)
{
	(void)ssl;
	const struct tls_context *tls = context;
	unsigned char *name;
	if (SSL_select_next_proto(&name, ret_len, tls->alpn, tls->alpn_len, offered, offered_len) !=
		OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*ret_name = name;
	return SSL_TLSEXT_ERR_OK;
}

/* Any name will do; but only one that was accepted is remembered by a TLS 1.2 session that is resumed. */
static int tls_take_name(SSL *ssl, int *ret_alert, void *context)
{
	(void)ret_alert, (void)context;
	return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static gh_status tls_set_alpn(struct tls_context *context, const char *const *names, gh_error *ret_err)
{
	for (; names && *names; names++) {
		size_t len = strlen(*names);
		if (len == 0 || len > 255 || context->alpn_len + 1 + len > sizeof context->alpn)
			return gh_fail(ret_err, GH_INTERNAL, NULL, "ALPN names too long");
		context->alpn[context->alpn_len++] = (unsigned char)len;
		memcpy(context->alpn + context->alpn_len, *names, len);
		context->alpn_len += (unsigned)len;
	}
	if (context->alpn_len > 0)
		SSL_CTX_set_alpn_select_cb(context->ssl, tls_select_alpn, context);
	return GH_OK;
}

/* ---- context ---- */

static bool tls_set_policy(SSL_CTX *ssl)
{
	static const unsigned char session_context[] = "gatehouse";
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(
		ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (SSL_CTX_get_security_level(ssl) < TLS_SECURITY_LEVEL_MIN)
		SSL_CTX_set_security_level(ssl, TLS_SECURITY_LEVEL_MIN);
	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, NULL);
	SSL_CTX_set_cert_verify_callback(ssl, tls_take_client, NULL);
	SSL_CTX_set_tlsext_servername_callback(ssl, tls_take_name);
	SSL_CTX_set_max_cert_list(ssl, TLS_CLIENT_CHAIN_BYTES_MAX);
	/* Resumption by tickets alone: the state, client certificate included, is the client's to keep, and no table of
	 * ours grows with the number of handshakes. */
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ssl, TLS_TICKET_LIFE_S);
	return SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 && SSL_CTX_set_max_proto_version(ssl, 0) == 1 &&
	       SSL_CTX_set_cipher_list(ssl, TLS_CIPHERS) == 1 &&
	       SSL_CTX_set1_groups_list(ssl, "X25519:P-256:P-384") == 1 && SSL_CTX_set_num_tickets(ssl, 1) == 1 &&
	       SSL_CTX_set_session_id_context(ssl, session_context, sizeof session_context - 1) == 1;
}

static void tls_context_clean(struct tls_context **context)
{
	tls_context_unref(*context);
}

gh_status tls_context_new(const struct tls_config *config, struct tls_context **ret_context, gh_error *ret_err)
{
	GH_CLEANUP(tls_context_clean) struct tls_context *context = calloc(1, sizeof *context);
	if (!context)
		return gh_fail(ret_err, GH_NO_MEMORY, NULL, "out of memory");
	atomic_init(&context->refs, 1);
	ERR_clear_error();
	context->ssl = SSL_CTX_new(TLS_server_method());
	if (!context->ssl || !tls_set_policy(context->ssl)) {
		ERR_clear_error();
		return gh_fail(ret_err, GH_INTERNAL, NULL, "OpenSSL refuses the TLS settings");
	}
	gh_status status = tls_set_alpn(context, config->alpn, ret_err);
	if (status == GH_OK)
		status = tls_read_pairs(context->ssl, config, ret_err);
	if (status == GH_OK)
		*ret_context = GH_TAKE(context);
	return status;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
	atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
	return context;
}

void tls_context_unref(struct tls_context *context)
{
	if (!context || atomic_fetch_sub_explicit(&context->refs, 1, memory_order_acq_rel) != 1)
		return;
	SSL_CTX_free(context->ssl);
	free(context);
}

struct ssl_ctx_st *tls_context_ssl(struct tls_context *context)
{
	return context->ssl;
}
