/* listener.h: ports, limits over all workers, shortage of descriptors, draining. */
#include "tests/unit/io_rig.h"

#include "src/io/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

SUITE(listener);

/* A listening socket of "another program"; returns its port. */
static int listener_test_other(bool shared, uint16_t *ret_port)
{
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (shared)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
	cr_assert(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0);
	*ret_port = socket_port(fd);
	return fd;
}

static const gh_transport *const listener_test_mqtt[] = {&rig_mqtt, NULL};
static const gh_transport *const listener_test_https[] = {&rig_http1, &rig_h2, NULL};

static gh_status listener_test_group(const struct rig *rig, const char *address, uint16_t port, gh_error *err)
{
	struct listener_config config = {.name = "https",
		.address = address,
		.port = port,
		.transports = listener_test_https,
		.limits = &rig->limits};
	struct listener_group *group = NULL;
	*err = (gh_error){0};
	gh_status status = listener_group_new(&config, rig->tls, &group, err);
	listener_group_free(group);
	return status;
}

Test(listener, a_port_in_use_is_refused_even_when_its_owner_would_share_it)
{
	struct rig rig;
	rig_init(&rig);
	for (int shared = 0; shared < 2; shared++) {
		uint16_t port;
		gh_error err;
		char says[128];
		int fd = listener_test_other(shared, &port);
		snprintf(says, sizeof says,
			"127.0.0.1:%u: already in use by another program: choose another port "
			"(--https-port or listeners.https.port)",
			port);
		cr_assert_eq(listener_test_group(&rig, "127.0.0.1", port, &err), GH_EXISTS);
		cr_assert_str_eq(err.text, says);
		cr_assert_eq(listener_test_group(&rig, "0.0.0.0", port, &err), GH_EXISTS, "also under another address");
		close(fd);
		cr_assert_eq(listener_test_group(&rig, "127.0.0.1", port, &err), GH_OK, "%s", err.text);
	}
	rig_done(&rig);
}

Test(listener, a_reserved_port_is_reserved_before_the_first_worker_runs)
{
	struct rig rig;
	gh_error err;
	rig_init(&rig);
	rig_listen(&rig);
	cr_assert_eq(listener_test_group(&rig, "127.0.0.1", listener_group_port(rig.group), &err), GH_EXISTS);
	rig_done(&rig);
}

Test(listener, errors_say_what_to_do)
{
	static const struct {
		int error;
		const char *address, *says;
	} rows[] = {
		{EADDRINUSE, "127.0.0.1",
			"127.0.0.1:883: already in use by another program: choose another port (--mqtt-port)"},
		{EADDRINUSE, "::1", "[::1]:883: already in use"},
		{EACCES, "0.0.0.0", "above 1023 (--mqtt-port)"},
		{EACCES, "0.0.0.0", "CAP_NET_BIND_SERVICE"},
		{EADDRNOTAVAIL, "10.255.255.1", "10.255.255.1:883: no address of this machine"},
		{EMFILE, "127.0.0.1", "127.0.0.1:883: Too many open files"},
	};
	struct rig rig;
	gh_error err;
	rig_init(&rig);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct socket_address address;
		cr_assert(socket_address_parse(rows[i].address, 883, &address));
		socket_refuse(&address, "--mqtt-port", rows[i].error, &err);
		cr_assert(strstr(err.text, rows[i].says), "\"%s\" says \"%s\"", err.text, rows[i].says);
	}
	cr_assert_eq(listener_test_group(&rig, "localhost", 0, &err), GH_INVALID);
	cr_assert(strstr(err.text, "localhost: not an IPv4 or IPv6 address"));
	cr_assert_eq(listener_test_group(&rig, "203.0.113.9", 0, &err), GH_INVALID, "%s", err.text);
	rig_done(&rig);
}

Test(listener, addresses_are_read_written_and_counted_by_what_a_subscriber_gets)
{
	static const struct {
		const char *in, *text, *same, *other;
	} rows[] = {
		{"127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.2"},
		{"::ffff:10.1.2.3", "10.1.2.3", "10.1.2.3", "10.1.2.4"},
		{"[2001:db8:1:2::1]", "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct socket_address a, b, c;
		struct socket_client x, y, z;
		char text[INET6_ADDRSTRLEN];
		cr_assert(socket_address_parse(rows[i].in, 5, &a) && socket_address_parse(rows[i].same, 6, &b) &&
			  socket_address_parse(rows[i].other, 5, &c));
		socket_address_text(&a, text);
		cr_assert_str_eq(text, rows[i].text);
		cr_assert_eq(socket_address_port(&a), 5);
		socket_address_client(&a, &x);
		socket_address_client(&b, &y);
		socket_address_client(&c, &z);
		cr_assert(memcmp(&x, &y, sizeof x) == 0, "%s", rows[i].in);
		cr_assert(memcmp(&x, &z, sizeof x) != 0, "%s", rows[i].in);
	}
	static const char *const bad[] = {"", "[", "[]", "localhost", "1.2.3", "1.2.3.4.5", "::1]", "::g",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct socket_address a;
		cr_assert(!socket_address_parse(bad[i], 1, &a), "\"%s\"", bad[i]);
	}
}

/* ---- what is served where ---- */

struct listener_test_side {
	const gh_transport *const *transports;
	const char *served; /* by whom, whatever is offered */
	struct listener_group *group;
	struct listener *listener;
};

/* The rig's clients go to this one from now on. */
static void listener_test_turn_to(struct rig *rig, struct listener_test_side *side)
{
	rig->group = side->group;
	rig->listener = side->listener;
}

Test(listener, two_on_one_loop_answer_each_with_its_own_names)
{
	struct rig rig;
	struct rig_client client;
	struct listener_test_side sides[] = {{.transports = listener_test_mqtt, .served = "mqtt"},
		{.transports = listener_test_https, .served = "h2"}};
	rig_init(&rig);
	for (size_t i = 0; i < 2; i++) {
		rig_listen_with(&rig, sides[i].transports);
		sides[i].group = rig.group;
		sides[i].listener = rig.listener;
	}
	for (size_t i = 0; i < 2; i++) {
		SSL_CTX *ctx = rig_client_ctx(&rig);
		rig_client_alpn(ctx, "h2,mqtt,http/1.1,");
		listener_test_turn_to(&rig, &sides[i]);
		rig_open(&rig, &client, ctx);
		cr_assert(text_equal(rig_client_selected(&client), text_of(sides[i].served)), "%s", sides[i].served);
		cr_assert_str_eq(rig.made_by, sides[i].served);
		cr_assert_eq(listener_group_connections(sides[i].group), 1);
		cr_assert_eq(listener_group_connections(sides[!i].group), 0);
		rig_close(&client);
		RIG_UNTIL(&rig, NULL, listener_connections(sides[i].listener) == 0);
		SSL_CTX_free(ctx);
	}
	listener_free(sides[0].listener);
	listener_group_free(sides[0].group);
	rig_done(&rig);
}

/* ---- limits ---- */

static bool listener_test_dropped(struct rig *rig, struct rig_client *client)
{
	RIG_UNTIL(rig, client, client->end);
	return true;
}

Test(listener, connections_beyond_the_limit_are_closed_before_tls_and_room_is_given_back)
{
	struct rig rig;
	struct rig_client clients[3], fourth;
	rig_init(&rig);
	rig.limits.connections_max = 3;
	rig_listen(&rig);
	SSL_CTX *ctx = rig_client_ctx(&rig);
	for (int i = 0; i < 3; i++)
		rig_open(&rig, &clients[i], ctx);
	for (int i = 0; i < 3; i++) {
		rig_connect(&rig, &fourth, NULL, NULL);
		cr_assert(listener_test_dropped(&rig, &fourth));
		rig_close(&fourth);
	}
	cr_assert_eq(listener_group_connections(rig.group), 3);
	cr_assert(rig_logged(&rig, "connection_refused listener=rig peer=127.0.0.1 reason=connections_max count=1\n"));
	cr_assert(!rig_logged(&rig, "count=2"), "one line a second");
	rig.now_ms += 1000;
	rig_connect(&rig, &fourth, NULL, NULL);
	cr_assert(listener_test_dropped(&rig, &fourth));
	cr_assert(rig_logged(&rig, "reason=connections_max count=3\n"), "which counts what it left out");
	rig_close(&fourth);
	rig_close(&clients[1]);
	RIG_UNTIL(&rig, NULL, listener_group_connections(rig.group) == 2);
	rig_open(&rig, &clients[1], ctx);
	for (int i = 0; i < 3; i++)
		rig_close(&clients[i]);
	SSL_CTX_free(ctx);
	rig_done(&rig);
}

Test(listener, connections_of_one_address_are_limited_without_harm_to_another)
{
	struct rig rig;
	struct rig_client a[2], b, more;
	rig_init(&rig);
	rig.limits.connections_per_address_max = 2;
	rig_listen(&rig);
	SSL_CTX *ctx = rig_client_ctx(&rig);
	rig_open(&rig, &a[0], ctx);
	rig_open(&rig, &a[1], ctx);
	rig_connect(&rig, &more, NULL, NULL);
	cr_assert(listener_test_dropped(&rig, &more));
	cr_assert(rig_logged(&rig, "reason=connections_per_address_max"));
	rig_connect(&rig, &b, ctx, "127.0.0.2");
	cr_assert(rig_handshake(&rig, &b));
	cr_assert_str_eq(rig.peer_address, "127.0.0.2");
	rig_close(&more);
	rig_close(&a[0]);
	RIG_UNTIL(&rig, NULL, listener_group_connections(rig.group) == 2);
	rig_open(&rig, &a[0], ctx);
	rig_close(&a[0]);
	rig_close(&a[1]);
	rig_close(&b);
	SSL_CTX_free(ctx);
	rig_done(&rig);
}

Test(listener, two_workers_share_a_port_and_its_limit)
{
	enum { CLIENTS = 40 };
	struct rig rig;
	struct listener *second;
	struct rig_client clients[CLIENTS], more;
	gh_error err = {0};
	rig_init(&rig);
	rig.limits.connections_max = CLIENTS;
	rig_listen(&rig);
	cr_assert_eq(listener_new(rig.group, rig.loop, (gh_worker *)(void *)&rig, NULL, &second, &err), GH_OK, "%s",
		err.text);
	SSL_CTX *ctx = rig_client_ctx(&rig);
	for (int i = 0; i < CLIENTS; i++)
		rig_open(&rig, &clients[i], ctx);
	cr_assert(listener_connections(second) > 0 && listener_connections(rig.listener) > 0);
	cr_assert_eq(listener_connections(second) + listener_connections(rig.listener), CLIENTS);
	rig_connect(&rig, &more, NULL, NULL);
	cr_assert(listener_test_dropped(&rig, &more));
	rig_close(&more);
	for (int i = 0; i < CLIENTS; i++)
		rig_close(&clients[i]);
	listener_free(second);
	SSL_CTX_free(ctx);
	rig_done(&rig);
}

Test(listener, without_a_free_descriptor_it_pauses_instead_of_spinning_and_then_goes_on)
{
	struct rig rig;
	struct rig_client client;
	struct rlimit full, none;
	rig_init(&rig);
	rig_listen(&rig);
	SSL_CTX *ctx = rig_client_ctx(&rig);
	rig_connect(&rig, &client, ctx, NULL);
	getrlimit(RLIMIT_NOFILE, &full);
	none = full;
	none.rlim_cur = (rlim_t)client.fd; /* the next one would be higher */
	setrlimit(RLIMIT_NOFILE, &none);
	RIG_UNTIL(&rig, NULL, rig_logged(&rig, "accept_paused"));
	rig.now_ms += rig.limits.accept_pause_ms_max - 1;
	size_t lines = rig.log_text.len;
	for (int i = 0; i < 20; i++)
		rig_step(&rig, NULL);
	cr_assert_eq(rig.log_text.len, lines);
	cr_assert_eq(listener_connections(rig.listener), 0);
	setrlimit(RLIMIT_NOFILE, &full);
	rig.now_ms += 1;
	cr_assert(rig_handshake(&rig, &client));
	rig_close(&client);
	SSL_CTX_free(ctx);
	rig_done(&rig);
}

Test(listener, two_hundred_connections_leave_no_descriptor_behind)
{
	struct rig rig;
	rig_init(&rig);
	rig.echo = true;
	rig_listen(&rig);
	SSL_CTX *ctx = rig_client_ctx(&rig);
	unsigned before = rig_open_fds();
	for (int i = 0; i < 200; i++) {
		struct rig_client client;
		if (i % 4 == 0) { /* gone before it said anything */
			rig_connect(&rig, &client, NULL, NULL);
		} else if (i % 4 == 1) { /* gone in the middle of the handshake */
			rig_connect(&rig, &client, ctx, NULL);
			SSL_do_handshake(client.ssl);
			rig_client_pump(&client);
			RIG_UNTIL(&rig, NULL, listener_connections(rig.listener) == 1);
		} else {
			rig_open(&rig, &client, ctx);
			rig_send(&rig, &client, "x", 1);
			if (i % 4 == 2)
				SSL_shutdown(client.ssl);
			rig_client_pump(&client);
		}
		rig_close(&client);
		RIG_UNTIL(&rig, NULL, listener_connections(rig.listener) == 0);
	}
	for (int i = 0; i < 3; i++)
		loop_turn(rig.loop);
	RIG_UNTIL(&rig, NULL, listener_connections(rig.listener) == 0);
	cr_assert_eq(rig_open_fds(), before);
	cr_assert_eq(SSL_CTX_sess_number(tls_context_ssl(rig.tls)), 0);
	SSL_CTX_free(ctx);
	rig_done(&rig);
}

Test(listener, draining_stops_accepting_and_lets_each_engine_say_its_last_word)
{
	struct rig rig;
	struct rig_client client, silent, late;
	struct buf got = {0};
	rig_init(&rig);
	rig_listen(&rig);
	SSL_CTX *ctx = rig_client_ctx(&rig);
	rig_open(&rig, &client, ctx);
	rig_connect(&rig, &silent, NULL, NULL);
	RIG_UNTIL(&rig, NULL, listener_connections(rig.listener) == 2);
	listener_drain(rig.listener, rig.now_ms);
	listener_drain(rig.listener, rig.now_ms);
	cr_assert_eq(rig.engines->drains, 1);
	cr_assert_eq(listener_connections(rig.listener), 1, "no engine, nothing to wait for");
	RIG_UNTIL(&rig, &client, client.end);
	rig_client_read(&client, &got);
	cr_assert(text_equal(buf_bytes(&got), text_of("bye")));
	cr_assert_eq(SSL_get_shutdown(client.ssl), SSL_RECEIVED_SHUTDOWN);
	rig_connect(&rig, &late, NULL, NULL);
	cr_assert(listener_test_dropped(&rig, &late));
	rig_close(&client);
	rig_close(&silent);
	rig_close(&late);
	RIG_UNTIL(&rig, NULL, listener_connections(rig.listener) == 0);
	buf_done(&got);
	SSL_CTX_free(ctx);
	rig_done(&rig);
}
