/* tls_make.c - a private certificate authority and a server certificate, for `gatehouse dev` and small sites.
 *
 * The authority is what devices are told to trust, so it is made once and kept; the server's certificate is remade under
 * it when the names change or its end is near.  Files are replaced whole or not at all, keys before certificates: a key
 * without its certificate is an interrupted first run and is made anew, a certificate without its key is never touched.
 */
#include "src/io/tls.h"

#include "src/base/take.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	TLS_MAKE_CA_DAYS = 3650,
	TLS_MAKE_SERVER_DAYS = 397,
	TLS_MAKE_RENEW_DAYS = 30,
	TLS_MAKE_EARLY_S = 86400, /* devices' clocks are not ours */
	TLS_MAKE_SERIAL_BITS = 159,
	TLS_MAKE_NAMES_MAX = 100,
	TLS_MAKE_CN_MAX = 64, /* X.520 */
};

struct tls_pair {
	X509 *certificate;
	EVP_PKEY *key;
};

static void tls_pair_done(struct tls_pair *pair)
{
	X509_free(pair->certificate);
	EVP_PKEY_free(pair->key);
	*pair = (struct tls_pair){0};
}

static gh_status tls_make_fail(gh_error *err, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	ERR_clear_error();
	return gh_fail(
		err, GH_INTERNAL, "certificate", "cannot make a certificate: %s: %s", what, reason ? reason : "?");
}

static gh_status tls_make_path(const char *directory, const char *name, char ret_path[PATH_MAX], gh_error *ret_err)
{
	if (snprintf(ret_path, PATH_MAX, "%s/%s", directory, name) >= PATH_MAX)
		return gh_fail(ret_err, GH_INVALID, "path", "%.100s...: path too long", directory);
	return GH_OK;
}

/* ---- reading what is there ---- */

static int tls_make_no_password(char *buffer, int size, int writing, void *context)
{
	(void)buffer, (void)size, (void)writing, (void)context;
	return -1;
}

/* *ret_thing stays NULL when there is no such file. */
static gh_status tls_make_read(
	const char *directory, const char *name, X509 **ret_certificate, EVP_PKEY **ret_key, gh_error *ret_err)
{
	char path[PATH_MAX];
	gh_status status = tls_make_path(directory, name, path, ret_err);
	if (status != GH_OK)
		return status;
	FILE *file = fopen(path, "re");
	if (!file)
		return errno == ENOENT ? GH_OK : gh_fail(ret_err, GH_IO, "tls_file", "%s: %s", path, strerror(errno));
	bool good;
	if (ret_certificate)
		good = (*ret_certificate = PEM_read_X509(file, NULL, tls_make_no_password, NULL)) != NULL;
	else
		good = (*ret_key = PEM_read_PrivateKey(file, NULL, tls_make_no_password, NULL)) != NULL;
	fclose(file);
	ERR_clear_error();
	return good ? GH_OK
		    : gh_fail(ret_err, GH_INVALID, "tls_file", "%s: is not a %s in PEM form", path,
			      ret_certificate ? "certificate" : "private key");
}

static gh_status tls_make_read_pair(
	const char *directory, const char *certificate, const char *key, struct tls_pair *ret_pair, gh_error *ret_err)
{
	gh_status status = tls_make_read(directory, certificate, &ret_pair->certificate, NULL, ret_err);
	if (status == GH_OK)
		status = tls_make_read(directory, key, NULL, &ret_pair->key, ret_err);
	return status;
}

/* Its beginning does not count: a machine that starts without a clock must not throw away what devices trust. */
static bool tls_make_lasts(const X509 *certificate, uint64_t wall_ms, long days)
{
	time_t then = (time_t)(wall_ms / 1000) + days * 86400;
	return X509_cmp_time(X509_get0_notAfter(certificate), &then) > 0;
}

static bool tls_make_is_address(const char *name)
{
	uint8_t bytes[16];
	return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

static bool tls_make_covers(X509 *certificate, const char *const *names)
{
	for (; *names; names++)
		if (tls_make_is_address(*names) ? X509_check_ip_asc(certificate, *names, 0) != 1
						: X509_check_host(certificate, *names, 0,
							  X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) != 1)
			return false;
	return true;
}

static bool tls_make_server_is_good(
	const struct tls_pair *server, const struct tls_pair *ca, const char *const *names, uint64_t wall_ms)
{
	bool good = server->certificate && server->key &&
		    X509_check_private_key(server->certificate, server->key) == 1 &&
		    X509_verify(server->certificate, X509_get0_pubkey(ca->certificate)) == 1 &&
		    tls_make_lasts(server->certificate, wall_ms, TLS_MAKE_RENEW_DAYS) &&
		    tls_make_covers(server->certificate, names);
	ERR_clear_error();
	return good;
}

/* ---- writing, whole or not at all ---- */

static gh_status tls_make_replace(const char *directory, const char *name, mode_t mode, BIO *pem, gh_error *ret_err)
{
	char path[PATH_MAX], fresh[PATH_MAX + 8];
	gh_status status = tls_make_path(directory, name, path, ret_err);
	if (status != GH_OK)
		return status;
	snprintf(fresh, sizeof fresh, "%s.tmp", path);
	char *data;
	long len = BIO_get_mem_data(pem, &data);
	unlink(fresh); /* of an interrupted run */
	int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return gh_fail(ret_err, GH_IO, "tls_file", "%s: %s", fresh, strerror(errno));
	bool written = write(fd, data, (size_t)len) == len && fsync(fd) == 0;
	int error = errno;
	close(fd);
	if (written && rename(fresh, path) == 0)
		return GH_OK;
	error = written ? errno : error;
	unlink(fresh);
	return gh_fail(ret_err, GH_IO, "tls_file", "%s: %s", path, strerror(error));
}

static void tls_make_bio_free(BIO **bio)
{
	BIO_free(*bio);
}

static gh_status tls_make_write_key(const char *directory, const char *name, EVP_PKEY *key, gh_error *ret_err)
{
	GH_CLEANUP(tls_make_bio_free) BIO *pem = BIO_new(BIO_s_secmem());
	if (!pem || PEM_write_bio_PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL) != 1)
		return tls_make_fail(ret_err, name);
	return tls_make_replace(directory, name, 0600, pem, ret_err);
}

/* The server's file carries the authority as well, so that a device which trusts that one sees the whole chain. */
static gh_status tls_make_write_chain(
	const char *directory, const char *name, X509 *leaf, X509 *issuer, gh_error *ret_err)
{
	GH_CLEANUP(tls_make_bio_free) BIO *pem = BIO_new(BIO_s_mem());
	if (!pem || PEM_write_bio_X509(pem, leaf) != 1 || (issuer && PEM_write_bio_X509(pem, issuer) != 1))
		return tls_make_fail(ret_err, name);
	return tls_make_replace(directory, name, 0644, pem, ret_err);
}

static void tls_make_sync(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return; /* the files themselves are safe; at worst an old one comes back, which is a whole one too */
	fsync(fd);
	close(fd);
}

/* ---- making ---- */

static bool tls_make_serial(X509 *certificate)
{
	BIGNUM *number = BN_new();
	bool made = number && BN_rand(number, TLS_MAKE_SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
		    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
	BN_free(number);
	return made;
}

static bool tls_make_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, &context, nid, value);
	bool added = extension && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return added;
}

/* Built by hand, not from text: a name must not be able to smuggle in another. */
static bool tls_make_add_name(GENERAL_NAMES *list, const char *name)
{
	GENERAL_NAME *entry = GENERAL_NAME_new();
	bool address = tls_make_is_address(name);
	void *value = NULL;
	if (address)
		value = a2i_IPADDRESS(name);
	else if ((value = ASN1_IA5STRING_new()) && ASN1_STRING_set(value, name, -1) != 1)
		ASN1_STRING_free(GH_TAKE(value));
	if (!entry || !value) {
		GENERAL_NAME_free(entry);
		ASN1_STRING_free(value);
		return false;
	}
	GENERAL_NAME_set0_value(entry, address ? GEN_IPADD : GEN_DNS, value);
	if (sk_GENERAL_NAME_push(list, entry) > 0)
		return true;
	GENERAL_NAME_free(entry);
	return false;
}

static bool tls_make_names(X509 *certificate, const char *const *names)
{
	GENERAL_NAMES *list = GENERAL_NAMES_new();
	bool made = list != NULL;
	for (; made && *names; names++)
		made = tls_make_add_name(list, *names);
	made = made && X509_add1_ext_i2d(certificate, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT) == 1;
	GENERAL_NAMES_free(list);
	return made;
}

static bool tls_make_subject(X509 *certificate, const char *common_name)
{
	X509_NAME *name = X509_get_subject_name(certificate);
	return X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"Gatehouse", -1, -1, 0) ==
		       1 &&
	       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0) ==
		       1;
}

static bool tls_make_times(X509 *certificate, uint64_t wall_ms, long days)
{
	time_t now = (time_t)(wall_ms / 1000);
	return X509_time_adj_ex(X509_getm_notBefore(certificate), 0, -TLS_MAKE_EARLY_S, &now) &&
	       X509_time_adj_ex(X509_getm_notAfter(certificate), (int)days, 0, &now);
}

/* Key and certificate with everything that both kinds have; not signed yet. */
static bool tls_make_begin(struct tls_pair *pair, const char *common_name, uint64_t wall_ms, long days)
{
	pair->key = EVP_EC_gen("P-256");
	pair->certificate = X509_new();
	return pair->key && pair->certificate && X509_set_version(pair->certificate, X509_VERSION_3) == 1 &&
	       tls_make_serial(pair->certificate) && tls_make_subject(pair->certificate, common_name) &&
	       tls_make_times(pair->certificate, wall_ms, days) && X509_set_pubkey(pair->certificate, pair->key) == 1 &&
	       tls_make_extension(pair->certificate, pair->certificate, NID_subject_key_identifier, "hash");
}

static bool tls_make_ca_pair(struct tls_pair *ca, uint64_t wall_ms)
{
	/* Two authorities of one name confuse the stores that trust both. */
	uint8_t tag[4];
	char common_name[64];
	if (RAND_bytes(tag, sizeof tag) != 1)
		return false;
	snprintf(common_name, sizeof common_name, "Gatehouse private CA %02x%02x%02x%02x", tag[0], tag[1], tag[2],
		tag[3]);
	return tls_make_begin(ca, common_name, wall_ms, TLS_MAKE_CA_DAYS) &&
	       X509_set_issuer_name(ca->certificate, X509_get_subject_name(ca->certificate)) == 1 &&
	       tls_make_extension(
		       ca->certificate, ca->certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	       tls_make_extension(ca->certificate, ca->certificate, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	       X509_sign(ca->certificate, ca->key, EVP_sha256()) > 0;
}

static bool tls_make_server_pair(
	struct tls_pair *server, const struct tls_pair *ca, const char *const *names, uint64_t wall_ms)
{
	const char *common_name = strlen(names[0]) <= TLS_MAKE_CN_MAX ? names[0] : "gatehouse";
	X509 *issuer = ca->certificate;
	return tls_make_begin(server, common_name, wall_ms, TLS_MAKE_SERVER_DAYS) &&
	       X509_set_issuer_name(server->certificate, X509_get_subject_name(issuer)) == 1 &&
	       tls_make_extension(server->certificate, issuer, NID_authority_key_identifier, "keyid:always") &&
	       tls_make_extension(server->certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
	       tls_make_extension(server->certificate, issuer, NID_key_usage, "critical,digitalSignature") &&
	       tls_make_extension(server->certificate, issuer, NID_ext_key_usage, "serverAuth") &&
	       tls_make_names(server->certificate, names) && X509_sign(server->certificate, ca->key, EVP_sha256()) > 0;
}

/* ---- what is needed ---- */

static gh_status tls_make_ca(const char *directory, uint64_t wall_ms, struct tls_pair *ca, gh_error *ret_err)
{
	gh_status status = tls_make_read_pair(directory, "ca.pem", "ca.key", ca, ret_err);
	if (status != GH_OK)
		return status;
	if (ca->certificate && ca->key && X509_check_private_key(ca->certificate, ca->key) != 1) {
		ERR_clear_error();
		return gh_fail(ret_err, GH_INVALID, "tls_file", "%.150s/ca.key: does not belong to ca.pem", directory);
	}
	/* One that has come to its end is of no use to anybody who trusts it. */
	if (ca->certificate && tls_make_lasts(ca->certificate, wall_ms, TLS_MAKE_RENEW_DAYS))
		return GH_OK;
	tls_pair_done(ca);
	if (!tls_make_ca_pair(ca, wall_ms))
		return tls_make_fail(ret_err, "ca.pem");
	status = tls_make_write_key(directory, "ca.key", ca->key, ret_err);
	if (status == GH_OK)
		status = tls_make_write_chain(directory, "ca.pem", ca->certificate, NULL, ret_err);
	return status;
}

static gh_status tls_make_check_names(const char *const *names, gh_error *ret_err)
{
	static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._*";
	size_t count = 0;
	for (; names[count]; count++) {
		size_t len = strlen(names[count]);
		if (!tls_make_is_address(names[count]) && (len == 0 || len > 253 || strspn(names[count], legal) != len))
			return gh_fail(
				ret_err, GH_INVALID, "host_name", "%.100s: not a host name or address", names[count]);
	}
	if (count == 0 || count > TLS_MAKE_NAMES_MAX)
		return gh_fail(
			ret_err, GH_INVALID, "host_name", "a certificate needs 1 to %d names", TLS_MAKE_NAMES_MAX);
	return GH_OK;
}

gh_status tls_make_certificates(const char *directory, const char *const *names, uint64_t wall_ms, gh_error *ret_err)
{
	GH_CLEANUP(tls_pair_done) struct tls_pair ca = {0};
	GH_CLEANUP(tls_pair_done) struct tls_pair server = {0};
	ERR_clear_error();
	gh_status status = tls_make_check_names(names, ret_err);
	if (status == GH_OK)
		status = tls_make_ca(directory, wall_ms, &ca, ret_err);
	if (status == GH_OK)
		status = tls_make_read_pair(directory, "server.pem", "server.key", &server, ret_err);
	if (status != GH_OK || tls_make_server_is_good(&server, &ca, names, wall_ms))
		return status;
	tls_pair_done(&server);
	if (!ca.key)
		return gh_fail(ret_err, GH_INVALID, "tls_file",
			"%.150s/ca.key: missing, and the server's certificate must be "
			"renewed",
			directory);
	if (!tls_make_server_pair(&server, &ca, names, wall_ms))
		return tls_make_fail(ret_err, "server.pem");
	status = tls_make_write_key(directory, "server.key", server.key, ret_err);
	if (status == GH_OK)
		status = tls_make_write_chain(directory, "server.pem", server.certificate, ca.certificate, ret_err);
	tls_make_sync(directory);
	return status;
}
