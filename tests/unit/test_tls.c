/* tls.h over real sockets: versions, ciphers, ALPN, client certificates, resumption, and what is wrong with a file. */
#include "tests/unit/io_rig.h"

#include <openssl/err.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

SUITE(tls);

static bool tls_test_try(struct rig *rig, SSL_CTX *ctx)
{
	struct rig_client client;
	rig_connect(rig, &client, ctx, NULL);
	bool open = rig_handshake(rig, &client);
	rig_close(&client);
	return open;
}

Test(tls, must_01_tls_1_2_and_1_3_are_accepted_and_lower_is_refused)
{
	static const struct {
		int version;
		bool accepted;
	} rows[] = {{TLS1_VERSION, false}, {TLS1_1_VERSION, false}, {TLS1_2_VERSION, true}, {TLS1_3_VERSION, true}};
	struct rig rig;
	rig_init(&rig);
	rig_listen(&rig);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		SSL_CTX *ctx = rig_client_ctx(&rig);
		SSL_CTX_set_min_proto_version(ctx, rows[i].version);
		SSL_CTX_set_max_proto_version(ctx, rows[i].version);
		cr_assert_eq(tls_test_try(&rig, ctx), rows[i].accepted, "version %x", (unsigned)rows[i].version);
		SSL_CTX_free(ctx);
	}
	cr_assert(rig_logged(&rig, "handshake_failed"));
	cr_assert(rig_logged(&rig, "peer=127.0.0.1"));
	rig_done(&rig);
}

struct cipher_row {
	char certificate[8];
	char ciphers[64];
	bool accepted;
};

ParameterizedTestParameters(tls, ciphers_of_tls_1_2)
{
	static struct cipher_row rows[] = {
		{"EC", "ECDHE-ECDSA-AES128-GCM-SHA256", true},
		{"EC", "ECDHE-ECDSA-AES256-GCM-SHA384", true},
		{"EC", "ECDHE-ECDSA-AES128-SHA256", true},
		{"EC", "ECDHE-ECDSA-AES256-SHA384", true},
		{"EC", "ECDHE-ECDSA-AES128-SHA", false},
		{"EC", "ECDHE-RSA-AES128-GCM-SHA256", false},
		{"RSA", "ECDHE-RSA-AES128-GCM-SHA256", true},
		{"RSA", "ECDHE-RSA-AES256-GCM-SHA384", true},
		{"RSA", "ECDHE-RSA-AES128-SHA256", true},
		{"RSA", "ECDHE-RSA-AES256-SHA384", true},
		{"RSA", "AES128-GCM-SHA256", false},
		{"RSA", "DHE-RSA-AES128-GCM-SHA256", false},
	};
	return cr_make_param_array(struct cipher_row, rows, sizeof rows / sizeof *rows);
}

ParameterizedTest(struct cipher_row *row, tls, ciphers_of_tls_1_2)
{
	struct rig rig;
	rig_init(&rig);
	rig_write_pair(&rig, row->certificate, "own.pem", "own.key");
	rig_tls(&rig, "own.pem", "own.key", NULL, NULL, NULL);
	rig_listen(&rig);
	SSL_CTX *ctx = rig_client_ctx(&rig);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	cr_assert_eq(SSL_CTX_set_cipher_list(ctx, row->ciphers), 1);
	cr_assert_eq(tls_test_try(&rig, ctx), row->accepted, "%s %s", row->certificate, row->ciphers);
	SSL_CTX_free(ctx);
	rig_done(&rig);
}

Test(tls, threat_20_anonymous_ciphers_are_refused)
{
	struct rig rig;
	rig_init(&rig);
	rig_listen(&rig);
	SSL_CTX *ctx = rig_client_ctx(&rig);
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	cr_assert_eq(SSL_CTX_set_cipher_list(ctx, "aNULL:eNULL:@SECLEVEL=0"), 1);
	cr_assert(!tls_test_try(&rig, ctx));
	SSL_CTX_free(ctx);
	rig_done(&rig);
}

Test(tls, an_rsa_and_an_ecdsa_certificate_are_served_side_by_side)
{
	struct rig rig;
	rig_init(&rig);
	rig_write_pair(&rig, "RSA", "rsa.pem", "rsa.key");
	rig_tls(&rig, "server.pem", "server.key", "rsa.pem", "rsa.key", NULL);
	rig_listen(&rig);
	static const struct {
		const char *ciphers;
		int kind;
	} rows[] = {{"ECDHE-RSA-AES128-GCM-SHA256", EVP_PKEY_RSA}, {"ECDHE-ECDSA-AES128-GCM-SHA256", EVP_PKEY_EC}};
	for (int i = 0; i < 2; i++) {
		struct rig_client client;
		SSL_CTX *ctx = rig_client_ctx(&rig);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
		SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
		SSL_CTX_set_cipher_list(ctx, rows[i].ciphers);
		rig_open(&rig, &client, ctx);
		cr_assert_eq(
			EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(client.ssl))), rows[i].kind);
		rig_close(&client);
		SSL_CTX_free(ctx);
	}
	rig_done(&rig);
}

struct alpn_row {
	char name[32];
	char server[2][16];
	char client[64]; /* names, each followed by a comma; "" = offers none */
	char chosen[16]; /* "" = no answer */
};

ParameterizedTestParameters(tls, must_02_alpn_is_answered_when_known_and_never_fails)
{
	static struct alpn_row rows[] = {
		{"none offered", {"h2", "http/1.1"}, "", ""},
		{"only http/1.1", {"h2", "http/1.1"}, "http/1.1,", "http/1.1"},
		{"h2 last", {"h2", "http/1.1"}, "http/1.1,h2,", "h2"},
		{"unknown", {"h2", "http/1.1"}, "spdy/1,x,", ""},
		{"mqtt", {"mqtt", ""}, "x-other,mqtt,", "mqtt"},
		{"amqp at mqtt", {"mqtt", ""}, "amqp,", ""},
		{"server has none", {"", ""}, "h2,", ""},
	};
	return cr_make_param_array(struct alpn_row, rows, sizeof rows / sizeof *rows);
}

ParameterizedTest(struct alpn_row *row, tls, must_02_alpn_is_answered_when_known_and_never_fails)
{
	const char *server[3] = {
		row->server[0][0] ? row->server[0] : NULL, row->server[1][0] ? row->server[1] : NULL, NULL};
	struct rig rig;
	struct rig_client client;
	rig_init(&rig);
	rig_tls(&rig, "server.pem", "server.key", NULL, NULL, server);
	rig_listen(&rig);
	SSL_CTX *ctx = rig_client_ctx(&rig);
	rig_client_alpn(ctx, row->client);
	rig_open(&rig, &client, ctx);
	cr_assert(text_equal(rig_client_selected(&client), text_of(row->chosen)), "%s", row->name);
	rig_close(&client);
	SSL_CTX_free(ctx);
	rig_done(&rig);
}

Test(tls, must_03_a_client_certificate_is_requested_and_not_required)
{
	struct rig rig;
	struct rig_client client;
	rig_init(&rig);
	rig_listen(&rig);
	SSL_CTX *ctx = rig_client_ctx(&rig);
	rig_open(&rig, &client, ctx);
	cr_assert(rig.peer.certificate == NULL && rig.peer.certificate_len == 0);
	cr_assert_str_eq(rig.peer_name, "localhost");
	cr_assert_str_eq(rig.peer_address, "127.0.0.1");
	cr_assert(rig.peer.port != 0);
	rig_close(&client);
	SSL_CTX_free(ctx);
	rig_done(&rig);
}

static const int tls_test_versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

Test(tls, must_04_a_self_signed_client_certificate_passes_and_reaches_the_engine)
{
	struct rig rig;
	rig_init(&rig);
	rig_listen(&rig);
	for (int i = 0; i < 2; i++) {
		uint8_t der[4096];
		size_t len;
		SSL_CTX *ctx = rig_client_ctx(&rig);
		SSL_CTX_set_max_proto_version(ctx, tls_test_versions[i]);
		rig_client_certificate(ctx, der, &len);
		cr_assert(tls_test_try(&rig, ctx));
		cr_assert(text_equal((gh_bytes){rig.peer_der, rig.peer.certificate_len}, (gh_bytes){der, len}));
		SSL_CTX_free(ctx);
	}
	rig_done(&rig);
}

Test(tls, a_client_key_that_proves_nothing_is_refused)
{
	struct rig rig;
	rig_init(&rig);
	rig_listen(&rig);
	SSL_CTX *ctx = rig_client_ctx(&rig);
	EVP_PKEY *key = EVP_RSA_gen(1024);
	X509 *certificate = X509_new();
	X509_set_pubkey(certificate, key);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 100);
	X509_sign(certificate, key, EVP_sha256());
	SSL_CTX_use_certificate(ctx, certificate);
	SSL_CTX_use_PrivateKey(ctx, key);
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	cr_assert(!tls_test_try(&rig, ctx));
	X509_free(certificate);
	EVP_PKEY_free(key);
	SSL_CTX_free(ctx);
	rig_done(&rig);
}

static SSL_SESSION *tls_test_session;

static int tls_test_keep(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(tls_test_session);
	tls_test_session = session;
	return 1;
}

Test(tls, a_resumed_session_keeps_the_client_certificate_and_the_server_keeps_no_table)
{
	struct rig rig;
	rig_init(&rig);
	rig.echo = true;
	rig_listen(&rig);
	for (int i = 0; i < 2; i++) {
		uint8_t der[4096];
		size_t len;
		struct rig_client client;
		struct buf got = {0};
		SSL_CTX *ctx = rig_client_ctx(&rig);
		SSL_CTX_set_max_proto_version(ctx, tls_test_versions[i]);
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(ctx, tls_test_keep);
		rig_client_certificate(ctx, der, &len);
		rig_open(&rig, &client, ctx);
		rig_send(&rig, &client, "x", 1);
		RIG_UNTIL(&rig, &client, (rig_client_read(&client, &got), got.len == 1));
		cr_assert(tls_test_session != NULL, "a ticket came");
		SSL_shutdown(client.ssl);
		rig_close(&client);
		rig_connect(&rig, &client, ctx, NULL);
		SSL_set_session(client.ssl, tls_test_session);
		cr_assert(rig_handshake(&rig, &client));
		cr_assert(SSL_session_reused(client.ssl), "version %x", (unsigned)tls_test_versions[i]);
		cr_assert(text_equal((gh_bytes){rig.peer_der, rig.peer.certificate_len}, (gh_bytes){der, len}));
		cr_assert_str_eq(rig.peer_name, "localhost");
		cr_assert_eq(SSL_CTX_sess_number(tls_context_ssl(rig.tls)), 0);
		rig_close(&client);
		buf_done(&got);
		SSL_SESSION_free(tls_test_session);
		tls_test_session = NULL;
		SSL_CTX_free(ctx);
	}
	rig_done(&rig);
}

static bool tls_test_refused(SSL *ssl)
{
	char byte;
	bool failed = SSL_read(ssl, &byte, 1) <= 0;
	bool refused = failed && ERR_GET_REASON(ERR_peek_error()) == SSL_R_NO_RENEGOTIATION;
	ERR_clear_error();
	return refused;
}

Test(tls, threat_16_renegotiation_is_refused_and_the_stream_goes_on)
{
	struct rig rig;
	struct rig_client client;
	rig_init(&rig);
	rig_listen(&rig);
	SSL_CTX *ctx = rig_client_ctx(&rig);
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	rig_open(&rig, &client, ctx);
	cr_assert_eq(SSL_renegotiate(client.ssl), 1);
	SSL_do_handshake(client.ssl);
	RIG_UNTIL(&rig, &client, tls_test_refused(client.ssl));
	cr_assert(!client.end);
	cr_assert_eq(rig.made, 1);
	rig_close(&client);
	SSL_CTX_free(ctx);
	rig_done(&rig);
}

Test(tls, a_key_update_passes_unseen_by_the_engine)
{
	struct rig rig;
	struct rig_client client;
	struct buf got = {0};
	rig_init(&rig);
	rig.echo = true;
	rig_listen(&rig);
	SSL_CTX *ctx = rig_client_ctx(&rig);
	rig_open(&rig, &client, ctx);
	for (int i = 0; i < 5; i++) {
		cr_assert_eq(SSL_key_update(client.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		rig_send(&rig, &client, "abc", 3);
		RIG_UNTIL(&rig, &client, (rig_client_read(&client, &got), got.len == 3 * (size_t)(i + 1)));
	}
	buf_done(&got);
	rig_close(&client);
	SSL_CTX_free(ctx);
	rig_done(&rig);
}

Test(tls, new_connections_use_the_reloaded_certificate_and_old_ones_go_on)
{
	struct rig rig;
	struct rig_client before, after;
	struct buf got = {0};
	rig_init(&rig);
	rig.echo = true;
	rig_listen(&rig);
	SSL_CTX *ctx = rig_client_ctx(&rig);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	rig_open(&rig, &before, ctx);
	rig_write_pair(&rig, "RSA", "rsa.pem", "rsa.key");
	rig_tls(&rig, "rsa.pem", "rsa.key", NULL, NULL, NULL);
	listener_group_set_tls(rig.group, rig.tls);
	rig_open(&rig, &after, ctx);
	cr_assert_eq(EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(after.ssl))), EVP_PKEY_RSA);
	rig_send(&rig, &before, "still", 5);
	RIG_UNTIL(&rig, &before, (rig_client_read(&before, &got), got.len == 5));
	buf_done(&got);
	rig_close(&before);
	rig_close(&after);
	SSL_CTX_free(ctx);
	rig_done(&rig);
}

/* ---- files ---- */

struct file_row {
	char certificate[32], key[32], certificate_2[32], key_2[32];
	char says[3][48]; /* the error holds each of these */
};

ParameterizedTestParameters(tls, a_bad_file_is_named_with_what_is_wrong)
{
	static struct file_row rows[] = {
		{"missing.pem", "server.key", "", "", {"/missing.pem", "No such file"}},
		{"server.pem", "missing.key", "", "", {"/missing.key", "No such file"}},
		{"junk", "server.key", "", "", {"/junk", "not a certificate in PEM form"}},
		{"empty", "server.key", "", "", {"/empty", "not a certificate in PEM form"}},
		{"server.key", "server.key", "", "", {"/server.key", "not a certificate in PEM form"}},
		{"server.pem", "junk", "", "", {"/junk", "private key in PEM form"}},
		{"server.pem", "server.pem", "", "", {"/server.pem", "private key in PEM form"}},
		{"server.pem", "ca.key", "", "", {"/ca.key", "does not belong", "/server.pem"}},
		{"server.pem", "locked.key", "", "", {"/locked.key", "unencrypted"}},
		{"cut.pem", "server.key", "", "", {"/cut.pem", "chain is damaged"}},
		{"directory", "server.key", "", "", {"/directory"}},
		{"server.pem", "server.key", "own.pem", "own.key", {"/own.pem", "same kind of key", "/server.pem"}},
		{"server.pem", "server.key", "rsa.pem", "own.key", {"/own.key", "does not belong", "/rsa.pem"}},
		{"server.pem", "server.key", "missing.pem", "own.key", {"/missing.pem", "No such file"}},
	};
	return cr_make_param_array(struct file_row, rows, sizeof rows / sizeof *rows);
}

static void tls_test_write(const struct rig *rig, const char *name, const char *text)
{
	char path[128];
	rig_path(rig, name, path);
	FILE *file = fopen(path, "w");
	fputs(text, file);
	fclose(file);
}

ParameterizedTest(struct file_row *row, tls, a_bad_file_is_named_with_what_is_wrong)
{
	char paths[4][128], path[128];
	struct rig rig;
	rig_init(&rig);
	rig_write_pair(&rig, "EC", "own.pem", "own.key");
	rig_write_pair(&rig, "RSA", "rsa.pem", "rsa.key");
	tls_test_write(&rig, "junk", "not a certificate\n");
	tls_test_write(&rig, "empty", "");
	tls_test_write(&rig, "locked.key",
		"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIBvTBXBgkqhkiG9w0BBQ0wSjApBgkqhkiG9w0BBQwwHA"
		"QIAAAAAAAAAAAC\n-----END ENCRYPTED PRIVATE KEY-----\n");
	rig_path(&rig, "server.pem", path);
	char whole[8192] = {0};
	FILE *file = fopen(path, "r");
	size_t len = fread(whole, 1, sizeof whole - 1, file);
	fclose(file);
	whole[len - 60] = '\0';
	tls_test_write(&rig, "cut.pem", whole);
	rig_path(&rig, "directory", path);
	mkdir(path, 0700);
	rig_path(&rig, row->certificate, paths[0]);
	rig_path(&rig, row->key, paths[1]);
	rig_path(&rig, row->certificate_2, paths[2]);
	rig_path(&rig, row->key_2, paths[3]);
	struct tls_config config = {.certificate_file = paths[0],
		.key_file = paths[1],
		.certificate_file_2 = row->certificate_2[0] ? paths[2] : NULL,
		.key_file_2 = row->key_2[0] ? paths[3] : NULL};
	struct tls_context *context = NULL;
	gh_error err = {0};
	cr_assert_neq(tls_context_new(&config, &context, &err), GH_OK, "%s %s", row->certificate, row->key);
	cr_assert(context == NULL);
	for (int i = 0; i < 3; i++)
		cr_assert(strstr(err.text, row->says[i]), "\"%s\" says \"%s\"", err.text, row->says[i]);
	rmdir(path);
	rig_done(&rig);
}
