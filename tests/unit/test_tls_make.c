/* tls_make_certificates: what it makes, what it keeps, what it renews. */
#include "tests/unit/io_rig.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

SUITE(tls_make);

static const char *const make_names[] = {"localhost", "127.0.0.1", "::1", "gw.example.net", NULL};

static X509 *make_read(const struct rig *rig, const char *name)
{
	char path[128];
	rig_path(rig, name, path);
	FILE *file = fopen(path, "r");
	cr_assert(file != NULL, "%s", path);
	X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
	fclose(file);
	cr_assert(certificate != NULL, "%s", path);
	return certificate;
}

static uint64_t make_now(void)
{
	return loop_wall_ms();
}

static gh_status make(const struct rig *rig, const char *const *names, uint64_t wall_ms, gh_error *err)
{
	*err = (gh_error){0};
	return tls_make_certificates(rig->dir, names, wall_ms, err);
}

/* Whether the file holds the same certificate as `kept`, which is freed. */
static bool make_same(const struct rig *rig, const char *name, X509 *kept)
{
	X509 *now = make_read(rig, name);
	bool same = X509_cmp(now, kept) == 0;
	X509_free(now);
	X509_free(kept);
	return same;
}

Test(tls_make, certificates_have_the_names_dates_and_uses_they_need)
{
	struct rig rig;
	gh_error err;
	rig_init(&rig);
	cr_assert_eq(make(&rig, make_names, make_now(), &err), GH_OK, "%s", err.text);
	X509 *ca = make_read(&rig, "ca.pem"), *server = make_read(&rig, "server.pem");
	cr_assert_eq(X509_verify(server, X509_get0_pubkey(ca)), 1);
	cr_assert_eq(X509_check_ca(ca), 1);
	cr_assert_eq(X509_check_ca(server), 0);
	cr_assert_eq(X509_check_purpose(server, X509_PURPOSE_SSL_SERVER, 0), 1);
	cr_assert_eq(X509_check_issued(ca, server), X509_V_OK);
	cr_assert_eq(X509_check_host(server, "gw.example.net", 0, 0, NULL), 1);
	cr_assert_eq(X509_check_host(server, "other.example.net", 0, 0, NULL), 0);
	cr_assert_eq(X509_check_ip_asc(server, "127.0.0.1", 0), 1);
	cr_assert_eq(X509_check_ip_asc(server, "::1", 0), 1);
	cr_assert_eq(X509_check_ip_asc(server, "127.0.0.2", 0), 0);
	int days, seconds;
	ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(ca));
	cr_assert(days >= 3648 && days <= 3651, "%d", days);
	ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(server));
	cr_assert(days >= 365 && days <= 731, "%d", days);
	cr_assert(ASN1_STRING_length(X509_get0_serialNumber(server)) >= 16);
	cr_assert(ASN1_INTEGER_cmp(X509_get0_serialNumber(server), X509_get0_serialNumber(ca)) != 0);
	X509_free(ca);
	X509_free(server);
	rig_done(&rig);
}

Test(tls_make, threat_32_keys_are_for_the_owner_only_whatever_the_umask)
{
	struct rig rig;
	umask(0);
	rig_init(&rig);
	const char *const keys[] = {"ca.key", "server.key"};
	for (int i = 0; i < 2; i++) {
		char path[128];
		struct stat st;
		rig_path(&rig, keys[i], path);
		cr_assert_eq(stat(path, &st), 0);
		cr_assert_eq(st.st_mode & 0777, 0600, "%s", keys[i]);
	}
	rig_done(&rig);
}

Test(tls_make, what_is_good_is_kept_and_what_is_not_is_renewed_under_the_same_authority)
{
	const uint64_t day = 86400000;
	const char *const more[] = {"localhost", "new.example.net", NULL};
	struct rig rig;
	gh_error err;
	rig_init(&rig);
	cr_assert_eq(make(&rig, make_names, make_now(), &err), GH_OK);
	X509 *ca = make_read(&rig, "ca.pem"), *server = make_read(&rig, "server.pem");
	cr_assert_eq(make(&rig, make_names, make_now() + 300 * day, &err), GH_OK);
	cr_assert(make_same(&rig, "server.pem", server), "nothing has changed");
	cr_assert_eq(make(&rig, make_names, 0, &err), GH_OK);
	server = make_read(&rig, "server.pem");
	cr_assert_eq(make(&rig, more, make_now(), &err), GH_OK);
	cr_assert(!make_same(&rig, "server.pem", server), "a name is new");
	server = make_read(&rig, "server.pem");
	cr_assert_eq(make(&rig, more, make_now() + 380 * day, &err), GH_OK);
	cr_assert(!make_same(&rig, "server.pem", server), "it would expire soon");
	server = make_read(&rig, "server.pem");
	cr_assert_eq(X509_check_host(server, "new.example.net", 0, 0, NULL), 1);
	X509_free(server);
	cr_assert(make_same(&rig, "ca.pem", ca), "the authority is kept");
	rig_done(&rig);
}

Test(tls_make, an_interrupted_first_run_is_repaired)
{
	const char *const lost[] = {"ca.pem", "server.pem", "server.key"};
	for (int i = 0; i < 3; i++) {
		struct rig rig;
		gh_error err;
		char path[128];
		rig_init(&rig);
		rig_path(&rig, lost[i], path);
		unlink(path);
		cr_assert_eq(make(&rig, make_names, make_now(), &err), GH_OK, "%s: %s", lost[i], err.text);
		rig_tls(&rig, "server.pem", "server.key", NULL, NULL, NULL);
		rig_done(&rig);
	}
}

Test(tls_make, an_authority_without_its_key_serves_on_and_is_never_replaced)
{
	const char *const more[] = {"new.example.net", NULL};
	const char *const few[] = {"localhost", NULL};
	struct rig rig;
	gh_error err;
	char path[128];
	rig_init(&rig);
	X509 *ca = make_read(&rig, "ca.pem");
	rig_path(&rig, "ca.key", path);
	unlink(path);
	cr_assert_eq(make(&rig, few, make_now(), &err), GH_OK, "%s", err.text);
	cr_assert_neq(make(&rig, more, make_now(), &err), GH_OK);
	cr_assert(strstr(err.text, "ca.key"), "%s", err.text);
	cr_assert(make_same(&rig, "ca.pem", ca));
	rig_done(&rig);
}

Test(tls_make, errors_name_the_file_or_the_name)
{
	static const char *const bad[] = {"a b", "", "a,DNS:evil", "x\ny", "a/b"};
	const char *const local[] = {"localhost", NULL};
	struct rig rig;
	gh_error err;
	char path[128];
	rig_init(&rig);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const char *const names[] = {"localhost", bad[i], NULL};
		cr_assert_eq(make(&rig, names, make_now(), &err), GH_INVALID, "\"%s\"", bad[i]);
		cr_assert(strstr(err.text, bad[i]));
	}
	cr_assert_eq(make(&rig, (const char *const[]){NULL}, make_now(), &err), GH_INVALID);
	cr_assert_neq(tls_make_certificates("/nonexistent/dir", local, make_now(), &err), GH_OK);
	cr_assert(strstr(err.text, "/nonexistent/dir/ca.key"), "%s", err.text);
	rig_path(&rig, "ca.pem", path);
	FILE *file = fopen(path, "w");
	fputs("junk", file);
	fclose(file);
	cr_assert_eq(make(&rig, local, make_now(), &err), GH_INVALID);
	cr_assert(strstr(err.text, "ca.pem"), "%s", err.text);
	rig_done(&rig);
}
