/* web.h: the library comes and goes as a guest of a loop that others use, too; what the engine's tests do not show. */
#include "tests/suite.h"

#include "src/base/buf.h"
#include "src/base/limits.h"
#include "src/base/text.h"
#include "src/io/web.h"

#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

SUITE(web);

static void web_test_count(uv_handle_t *handle, void *count)
{
	(void)handle;
	++*(size_t *)count;
}

static size_t web_test_handles(struct loop *loop)
{
	size_t count = 0;
	uv_walk(loop_uv(loop), web_test_count, &count);
	return count;
}

static void web_test_ready(void *context, int events, uint64_t now_ms)
{
	(void)context;
	(void)events;
	(void)now_ms;
}

Test(web, the_library_has_let_go_when_it_is_freed_whoever_else_came_and_went)
{
	enum { OTHERS_MAX = 4 };
	gh_limits limits;
	limits_defaults(&limits);
	for (int came = 0; came <= OTHERS_MAX; came++)
		for (int went = 0; went <= OTHERS_MAX; went++) {
			struct loop *loop = loop_new();
			struct loop_fd *before[OTHERS_MAX] = {NULL}, *after[OTHERS_MAX] = {NULL};
			int fds[2];
			struct web *web;
			gh_error err = {0};
			size_t own = web_test_handles(loop);
			cr_assert_eq(pipe(fds), 0);
			for (int i = 0; i < went; i++)
				before[i] = loop_watch(loop, dup(fds[0]), 0, web_test_ready, NULL);
			cr_assert_eq(web_new(loop, &limits, &web, &err), GH_OK, "%s", err.text);
			for (int i = 0; i < came; i++)
				after[i] = loop_watch(loop, dup(fds[0]), 0, web_test_ready, NULL);
			for (int i = 0; i < went; i++)
				loop_unwatch(before[i]);
			web_free(web);
			cr_assert_eq(web_test_handles(loop), own + (size_t)came, "%d came, %d went", came, went);
			for (int i = 0; i < came; i++)
				loop_unwatch(after[i]);
			loop_free(loop);
			for (int i = 0; i < 2; i++)
				close(fds[i]);
		}
}

struct web_test {
	struct loop *loop;
	struct web *web;
	struct buf received;
};

static void web_test_received(void *context, gh_bytes payload)
{
	buf_append(&((struct web_test *)context)->received, payload.data, payload.len);
}

static void web_test_stirred(void *context)
{
	(void)context;
}

static const struct web_socket_ops web_test_ops = {web_test_received, web_test_stirred};

static void web_test_init(struct web_test *t)
{
	gh_limits limits;
	gh_error err = {0};
	limits_defaults(&limits);
	*t = (struct web_test){.loop = loop_new()};
	cr_assert_eq(web_new(t->loop, &limits, &t->web, &err), GH_OK, "%s", err.text);
}

static void web_test_done(struct web_test *t)
{
	web_free(t->web);
	loop_free(t->loop);
	buf_done(&t->received);
}

/* One after its handshake, the answer to which is taken. */
static struct web_socket *web_test_open(struct web_test *t)
{
	const gh_upgrade upgrade = {.key = text_of("dGhlIHNhbXBsZSBub25jZQ=="), .subprotocol = text_of("mqtt")};
	struct web_socket *socket;
	uint8_t answer[1000];
	gh_error err = {0};
	cr_assert_eq(web_socket_new(t->web, &upgrade, &web_test_ops, t, &socket, &err), GH_OK, "%s", err.text);
	size_t len = web_socket_take(socket, answer, sizeof answer);
	cr_assert(text_starts((gh_bytes){answer, len}, "HTTP/1.1 101 "));
	return socket;
}

Test(web, many_may_be_open_that_have_been_sent_nothing)
{
	enum { MANY = 50 };
	struct web_test t;
	struct web_socket *sockets[MANY];
	web_test_init(&t);
	for (int i = 0; i < MANY; i++)
		sockets[i] = web_test_open(&t);
	for (int i = 0; i < MANY; i++)
		web_socket_feed(sockets[i], (gh_bytes){(const uint8_t *)"\x82\x81\0\0\0\0x", 7});
	cr_assert_eq(t.received.len, MANY);
	for (int i = 0; i < MANY; i++)
		web_socket_free(sockets[i]);
	web_test_done(&t);
}

Test(web, one_that_the_library_cannot_write_to_is_over)
{
	struct web_test t;
	web_test_init(&t);
	int end = dup(0); /* the number that our end of the pair will have */
	close(end);
	struct web_socket *socket = web_test_open(&t);
	cr_assert_eq(shutdown(end, SHUT_RD), 0);
	web_socket_send(socket, text_of("hello"));
	cr_assert(!web_socket_is_open(socket));
	web_socket_free(socket);
	web_test_done(&t);
}
