/* tls.h - OpenSSL in one place: versions, ciphers, certificates, ALPN, client certificates, session tickets.
 *
 * A tls_context is shared by all workers and counted; replacing it (reload) leaves running connections on the old one.
 * One connection's TLS state is tls_conn.h; making certificates is tls_make.c.
 */
#ifndef GATEHOUSE_IO_TLS_H
#define GATEHOUSE_IO_TLS_H

#include <gatehouse/message.h>

struct tls_context;

struct tls_config {
	const char *certificate_file; /* PEM chain, leaf first; RSA or ECDSA */
	const char *key_file;
	const char *certificate_file_2; /* a second pair of the other key kind; NULL = none */
	const char *key_file_2;
	const char *const *alpn; /* NULL-terminated protocol names this listener answers to, in order of preference */
};

/* The error names the file and what is wrong with it. */
gh_status tls_context_new(const struct tls_config *config, struct tls_context **ret_context, gh_error *ret_err);
struct tls_context *tls_context_ref(struct tls_context *context); /* any thread */
void tls_context_unref(struct tls_context *context);              /* any thread; accepts NULL */

/* What a tls_conn is made from; borrowed. */
struct ssl_ctx_st *tls_context_ssl(struct tls_context *context);

/* Makes a private CA and a server certificate for the names (DNS names and addresses), ECDSA P-256, as PEM files in
 * directory: ca.pem, ca.key, server.pem, server.key (keys mode 0600).  Keeps what is there and still covers the names;
 * renews the server's, under the same CA, when it is about to expire.  The directory must exist. */
gh_status tls_make_certificates(const char *directory, const char *const *names, uint64_t wall_ms, gh_error *ret_err);

#endif
