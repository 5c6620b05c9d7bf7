/* The admin socket: framing of lines, and the server over real sockets in a folder of the test's own. */
#include "tests/unit/admin_fixture.h"

#include "src/admin/admin_server.h"
#include "src/admin/admin_session.h"
#include "src/admin/admin_socket.h"
#include "src/admin/hub_names.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

SUITE(admin_session);
SUITE(admin_server);

static struct fixture f;

#define LIST "{\"version\":1,\"op\":\"device.list\"}\n"
#define LIST_ANSWER "{\"version\":1,\"ok\":true,\"result\":{\"next\":null,\"documents\":[]}}\n"

/* ---- without sockets ---- */

static struct tail_port *tail_port;

static struct admin_session *session_begin(uint64_t line_bytes_max)
{
	fixture_init(&f, 1);
	f.limits.admin_line_bytes_max = line_bytes_max;
	tail_port = tail_port_new(&memory_queue, f.queue);
	struct admin_session_config config = {&f.manage, tail_port, "", &f.limits};
	struct admin_session *session = admin_session_new(&config);
	cr_assert(session && tail_port);
	return session;
}

static void session_finish(struct admin_session *session)
{
	admin_session_free(session);
	tail_port_free(tail_port);
	fixture_done(&f);
}

/* Steps until there is nothing to do; appends what comes out. */
static enum admin_step session_run(struct admin_session *session, char *ret_output, size_t cap)
{
	enum admin_step step;
	do {
		step = admin_session_step(session);
		gh_bytes output = admin_session_output(session);
		size_t len = strlen(ret_output);
		cr_assert(len + output.len < cap);
		if (output.len)
			memcpy(ret_output + len, output.data, output.len);
		ret_output[len + output.len] = '\0';
		admin_session_output_done(session, output.len);
		if (step == ADMIN_BUSY)
			tail_port_reap(tail_port);
	} while (step == ADMIN_FULL || step == ADMIN_BUSY);
	return step;
}

Test(admin_session, lines_may_come_whole_in_pieces_or_many_at_once)
{
	static const size_t sizes[] = {1, 2, 7, sizeof LIST - 2, sizeof LIST - 1, sizeof LIST, 4000};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct admin_session *session = session_begin(4096);
		char input[3 * sizeof LIST], output[1024] = "";
		strcpy(stpcpy(stpcpy(input, LIST), "\n"), LIST); /* an empty line is skipped */
		for (size_t at = 0, len = strlen(input); at < len; at += sizes[i]) {
			admin_session_input(session, input + at, len - at < sizes[i] ? len - at : sizes[i]);
			cr_assert_eq(session_run(session, output, sizeof output), ADMIN_INPUT);
		}
		cr_assert_str_eq(output, LIST_ANSWER LIST_ANSWER, "pieces of %zu", sizes[i]);
		session_finish(session);
	}
}

Test(admin_session, garbage_is_told_and_the_next_line_is_read)
{
	static const char *const garbage[] = {"hello\n", "{\n", "[\n",
		"{\"version\":1,\"version\":1,\"op\":\"device.list\"}\n", "\xff\xfe\n",
		"{\"version\":1,\"op\":\"a\\u0000b\"}\n", "1\n", "{}{}\n", "\r\n",
		"{\"version\":1,\"op\":\"tail\",\"x\":1}\n", "{\"version\":1,\"op\":\"tail\",\"partition\":9}\n"};
	struct admin_session *session = session_begin(4096);
	for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
		char output[2048] = "";
		admin_session_input(session, garbage[i], strlen(garbage[i]));
		admin_session_input(session, LIST, strlen(LIST));
		cr_assert_eq(session_run(session, output, sizeof output), ADMIN_INPUT, "%zu", i);
		char *second = strchr(output, '\n') + 1;
		cr_assert(strstr(output, "\"ok\":false"), "%zu: %s", i, output);
		cr_assert_str_eq(second, LIST_ANSWER, "%zu: %s", i, output);
	}
	session_finish(session);
}

Test(admin_session, the_longest_line_is_read_and_one_byte_more_ends_the_session)
{
	for (int over = 0; over < 2; over++) {
		struct admin_session *session = session_begin(4096);
		char line[4200], output[1024] = "";
		size_t len = 4096 + (size_t)over;
		memset(line, ' ', len);
		memcpy(line, LIST, strlen(LIST) - 1);
		line[len] = '\n';
		cr_assert_eq(admin_session_room(session), 4097);
		admin_session_input(session, line, 4097);
		enum admin_step step = session_run(session, output, sizeof output);
		cr_assert_eq(step, over ? ADMIN_ENDED : ADMIN_INPUT);
		cr_assert(strstr(output, over ? "admin_line_bytes_max" : "\"ok\":true"), "%s", output);
		cr_assert_eq(admin_session_room(session), over ? 0 : 4097);
		session_finish(session);
	}
}

Test(admin_session, tail_answers_line_by_line_and_the_next_request_waits_for_its_end)
{
	struct admin_session *session = session_begin(4096);
	fixture_store(&f, "dev1", text_of("one"), 1000);
	fixture_store(&f, "dev1", text_of("two"), 2000);
	static const char tail[] = "{\"version\":1,\"op\":\"tail\",\"follow\":false}\n";
	char output[4096] = "";
	admin_session_input(session, tail, strlen(tail));
	admin_session_input(session, LIST, strlen(LIST));
	cr_assert_eq(session_run(session, output, sizeof output), ADMIN_INPUT);
	const char *one = strstr(output, "\"body\":\"one\""), *two = strstr(output, "\"body\":\"two\"");
	const char *end = strstr(output, "{\"version\":1,\"ok\":true,\"result\":{\"count\":2}}\n" LIST_ANSWER);
	cr_assert(one && two && end && one < two && two < end, "%s", output);
	session_finish(session);
}

Test(admin_session, following_tail_is_quiet_until_something_comes)
{
	struct admin_session *session = session_begin(4096);
	static const char tail[] = "{\"version\":1,\"op\":\"tail\",\"from\":\"latest\",\"count\":1}\n";
	char output[4096] = "";
	admin_session_input(session, tail, strlen(tail));
	cr_assert_eq(session_run(session, output, sizeof output), ADMIN_QUIET);
	cr_assert_str_eq(output, "");
	fixture_store(&f, "dev1", text_of("new"), 1000);
	cr_assert_eq(session_run(session, output, sizeof output), ADMIN_INPUT);
	cr_assert(strstr(output, "\"body\":\"new\"") && strstr(output, "\"count\":1"), "%s", output);
	session_finish(session);
}

Test(admin_session, output_of_a_tail_is_bounded_by_what_is_read)
{
	struct admin_session *session = session_begin(4096);
	static char body[60000];
	memset(body, 'x', sizeof body - 1);
	for (int i = 0; i < 20; i++)
		fixture_store(&f, "dev1", text_of(body), 1000);
	static const char tail[] = "{\"version\":1,\"op\":\"tail\",\"follow\":false}\n";
	admin_session_input(session, tail, strlen(tail));
	enum admin_step step;
	while ((step = admin_session_step(session)) == ADMIN_BUSY)
		tail_port_reap(tail_port);
	cr_assert_eq(step, ADMIN_FULL);
	size_t len = admin_session_output(session).len;
	cr_assert(len >= 1 << 18 && len < (1 << 18) + 70000, "%zu", len);
	cr_assert_eq(admin_session_step(session), ADMIN_FULL);
	cr_assert_eq(admin_session_output(session).len, len, "nothing more is made before it left");
	session_finish(session);
}

Test(admin_session, a_back_end_without_tail_says_what_to_use)
{
	fixture_init(&f, 1);
	struct admin_session_config config = {&f.manage, NULL, "use kcat", &f.limits};
	struct admin_session *session = admin_session_new(&config);
	static const char tail[] = "{\"version\":1,\"op\":\"tail\"}\n";
	char output[1024] = "";
	admin_session_input(session, tail, strlen(tail));
	cr_assert_eq(session_run(session, output, sizeof output), ADMIN_INPUT);
	cr_assert(strstr(output, "use kcat"), "%s", output);
	admin_session_free(session);
	fixture_done(&f);
}

/* ---- with sockets ---- */

static char folder[700];
static struct loop *loop;
static struct admin_server *server;
static pthread_t thread;

static void folder_make(bool long_name)
{
	strcpy(folder, "/tmp/gatehouse-admin-XXXXXX");
	cr_assert(mkdtemp(folder));
	for (int i = 0; long_name && i < 4; i++) {
		size_t len = strlen(folder);
		snprintf(folder + len, sizeof folder - len, "/%0100d", i);
		cr_assert_eq(mkdir(folder, 0700), 0);
	}
}

static void folder_remove(void)
{
	while (strcmp(folder, "/tmp") != 0) {
		cr_assert_eq(rmdir(folder), 0, "%s: %s", folder, strerror(errno));
		*strrchr(folder, '/') = '\0';
	}
}

static void *server_thread(void *unused)
{
	loop_run(loop);
	return unused;
}

static void server_begin(bool long_name)
{
	gh_error err;
	folder_make(long_name);
	loop = loop_new();
	cr_assert(loop);
	struct admin_server_config config = {.directory = folder,
		.loop = loop,
		.manage = &f.manage,
		.backend_ops = &memory_queue,
		.backend = f.queue,
		.limits = &f.limits};
	cr_assert_eq(admin_server_new(&config, &server, &err), GH_OK, "%s", err.text);
	cr_assert_eq(pthread_create(&thread, NULL, server_thread, NULL), 0);
}

static void server_finish(void)
{
	loop_stop(loop);
	pthread_join(thread, NULL);
	admin_server_free(server);
	loop_free(loop);
	folder_remove();
	fixture_done(&f);
}

static int client_connect(void)
{
	int fd = -1;
	gh_error err;
	cr_assert_eq(admin_socket_connect(folder, &fd, &err), GH_OK, "%s", err.text);
	return fd;
}

/* Reads up to n newlines, or the end. */
static void client_lines(int fd, int n, char *ret_text, size_t cap)
{
	size_t len = 0;
	while (n > 0 && len + 1 < cap && recv(fd, ret_text + len, 1, 0) == 1)
		n -= ret_text[len++] == '\n';
	ret_text[len] = '\0';
}

static void client_asks(int fd, const char *request, const char *answer)
{
	char text[2048];
	cr_assert_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
	client_lines(fd, 1, text, sizeof text);
	cr_assert_str_eq(text, answer);
}

static uint64_t clock_ms = 1000;

static uint64_t clock_read(void *unused)
{
	(void)unused;
	return clock_ms;
}

static bool client_answered_in_20_turns(int fd)
{
	char byte;
	for (int i = 0; i < 20; i++) {
		loop_turn(loop);
		if (recv(fd, &byte, 1, MSG_DONTWAIT) == 1)
			return true;
	}
	return false;
}

Test(admin_server, without_descriptors_accepting_rests_for_a_while)
{
	fixture_init(&f, 1);
	gh_error err;
	struct rlimit full, none;
	folder_make(false);
	loop = loop_new_with_clock(clock_read, NULL);
	struct admin_server_config config = {
		.directory = folder, .loop = loop, .manage = &f.manage, .limits = &f.limits};
	config.tail_hint = "none";
	cr_assert_eq(admin_server_new(&config, &server, &err), GH_OK, "%s", err.text);
	int fd = client_connect();
	cr_assert_eq(send(fd, "{}\n", 3, MSG_NOSIGNAL), 3);
	getrlimit(RLIMIT_NOFILE, &full);
	none = full;
	none.rlim_cur = (rlim_t)fd; /* the next one would be higher */
	setrlimit(RLIMIT_NOFILE, &none);
	cr_assert(!client_answered_in_20_turns(fd));
	setrlimit(RLIMIT_NOFILE, &full);
	cr_assert(!client_answered_in_20_turns(fd), "it does not spin");
	clock_ms += f.limits.accept_pause_ms_max;
	cr_assert(client_answered_in_20_turns(fd));
	close(fd);
	admin_server_free(server);
	loop_free(loop);
	folder_remove();
	fixture_done(&f);
}

Test(admin_server, requests_are_answered_whatever_the_length_of_the_folder)
{
	for (int long_name = 0; long_name < 2; long_name++) {
		fixture_init(&f, 1);
		server_begin(long_name);
		int fd = client_connect();
		client_asks(fd, LIST, LIST_ANSWER);
		client_asks(fd, LIST, LIST_ANSWER);
		close(fd);
		server_finish();
	}
}

Test(admin_server, socket_is_for_this_user_only)
{
	fixture_init(&f, 1);
	server_begin(false);
	char path[800];
	struct stat status;
	snprintf(path, sizeof path, "%s/admin.sock", folder);
	cr_assert_eq(stat(path, &status), 0);
	cr_assert_eq(status.st_mode & 0777, 0600);
	int pair[2];
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	cr_assert(admin_socket_peer_allowed(pair[0]));
	close(pair[0]);
	close(pair[1]);
	server_finish();
}

Test(admin_server, more_clients_than_allowed_are_told_and_closed)
{
	fixture_init(&f, 1);
	f.limits.admin_clients_max = 2;
	server_begin(false);
	int first = client_connect(), second = client_connect(), third;
	client_asks(first, LIST, LIST_ANSWER);
	client_asks(second, LIST, LIST_ANSWER);
	third = client_connect();
	char text[1024];
	client_lines(third, 2, text, sizeof text);
	cr_assert(strstr(text, "admin_clients_max") && strchr(text, '\n')[1] == '\0', "%s", text);
	close(third);
	client_asks(first, LIST, LIST_ANSWER);
	close(first);
	close(second);
	server_finish();
}

Test(admin_server, half_a_line_and_silence_harm_nobody_else)
{
	fixture_init(&f, 1);
	server_begin(false);
	int half = client_connect(), whole = client_connect(), gone = client_connect();
	cr_assert_eq(send(half, LIST, 5, MSG_NOSIGNAL), 5);
	cr_assert_eq(send(gone, LIST, 5, MSG_NOSIGNAL), 5);
	close(gone);
	client_asks(whole, LIST, LIST_ANSWER);
	client_asks(half, &LIST[5], LIST_ANSWER);
	close(half);
	close(whole);
	server_finish();
}

Test(admin_server, who_only_closes_its_writing_end_gets_all_answers)
{
	fixture_init(&f, 1);
	server_begin(false);
	int fd = client_connect();
	cr_assert_eq(send(fd, LIST LIST, 2 * strlen(LIST), MSG_NOSIGNAL), (ssize_t)(2 * strlen(LIST)));
	shutdown(fd, SHUT_WR);
	char text[1024];
	client_lines(fd, 3, text, sizeof text);
	cr_assert_str_eq(text, LIST_ANSWER LIST_ANSWER);
	close(fd);
	server_finish();
}

Test(admin_server, tail_follows_over_the_socket)
{
	fixture_init(&f, 4);
	server_begin(false);
	int fd = client_connect();
	char text[4096];
	static const char tail[] = "{\"version\":1,\"op\":\"tail\",\"count\":2}\n";
	cr_assert_eq(send(fd, tail, strlen(tail), MSG_NOSIGNAL), (ssize_t)strlen(tail));
	fixture_store(&f, "dev1", text_of("one"), 1000);
	client_lines(fd, 1, text, sizeof text);
	cr_assert(strstr(text, "\"body\":\"one\""), "%s", text);
	fixture_store(&f, "dev1", text_of("two"), 2000);
	client_lines(fd, 2, text, sizeof text);
	cr_assert(strstr(text, "\"body\":\"two\"") && strstr(text, "\"count\":2"), "%s", text);
	close(fd);
	server_finish();
}

Test(admin_server, tail_of_much_arrives_whole)
{
	fixture_init(&f, 1);
	static char body[100000];
	memset(body, 'x', sizeof body - 1);
	for (int i = 0; i < 30; i++)
		fixture_store(&f, "dev1", text_of(body), 1000);
	server_begin(false);
	int fd = client_connect();
	static const char tail[] = "{\"version\":1,\"op\":\"tail\",\"follow\":false}\n";
	cr_assert_eq(send(fd, tail, strlen(tail), MSG_NOSIGNAL), (ssize_t)strlen(tail));
	static char chunk[65536];
	size_t total = 0, lines = 0;
	ssize_t n;
	while (lines < 31 && (n = recv(fd, chunk, sizeof chunk, 0)) > 0)
		for (ssize_t i = 0; i < n; i++, total++)
			lines += chunk[i] == '\n';
	cr_assert_eq(lines, 31);
	cr_assert(total > 30 * (sizeof body - 1), "%zu", total);
	close(fd);
	server_finish();
}

Test(admin_server, second_server_is_refused_and_a_dead_ones_socket_is_replaced)
{
	fixture_init(&f, 1);
	server_begin(false);
	gh_error err;
	int fd = -1;
	cr_assert_eq(admin_socket_listen(folder, &fd, &err), GH_EXISTS);
	cr_assert(strstr(err.text, "another gateway"), "%s", err.text);
	client_asks(fd = client_connect(), LIST, LIST_ANSWER);
	close(fd);
	server_finish();

	folder_make(false);
	cr_assert_eq(admin_socket_listen(folder, &fd, &err), GH_OK);
	close(fd); /* the file stays, nobody answers */
	cr_assert_eq(admin_socket_connect(folder, &fd, &err), GH_NOT_FOUND);
	cr_assert_eq(admin_socket_listen(folder, &fd, &err), GH_OK, "%s", err.text);
	close(fd);
	admin_socket_remove(folder);
	folder_remove();
}

Test(admin_server, what_is_no_socket_is_not_removed)
{
	folder_make(false);
	char path[800];
	snprintf(path, sizeof path, "%s/admin.sock", folder);
	FILE *file = fopen(path, "w");
	fclose(file);
	gh_error err;
	int fd;
	cr_assert_neq(admin_socket_listen(folder, &fd, &err), GH_OK);
	cr_assert_eq(access(path, F_OK), 0);
	unlink(path);
	folder_remove();
	cr_assert_eq(admin_socket_connect("/nonexistent", &fd, &err), GH_NOT_FOUND);
}

Test(admin_server, hub_names_are_kept_in_the_folder)
{
	folder_make(false);
	static const char *const hosts[] = {"hub.example.net", "alias", NULL};
	struct hub_names names;
	gh_error err;
	cr_assert_eq(hub_names_load(folder, &names), GH_NOT_FOUND);
	cr_assert_eq(hub_names_save(folder, hosts, &err), GH_OK);
	cr_assert_eq(hub_names_save(folder, hosts, &err), GH_OK, "again");
	cr_assert_eq(hub_names_load(folder, &names), GH_OK);
	cr_assert_str_eq(names.hosts[0], "hub.example.net");
	cr_assert_str_eq(names.hosts[1], "alias");
	cr_assert_null(names.hosts[2]);
	char path[800];
	snprintf(path, sizeof path, "%s/names", folder);
	unlink(path);
	cr_assert_eq(hub_names_save("/nonexistent", hosts, &err), GH_IO);
	folder_remove();
}
