/* web.c - see web.h. */
#include "src/io/web.h"

#include "src/base/text.h"

#include <assert.h>
#include <errno.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum {
	WEB_FRAME_BYTES_MAX = 65536, /* the most that websocket_frame_bytes_max may be */
	WEB_SEND_BYTES_MAX = 16384,  /* framed in one call: what the pair holds until it is taken */
	WEB_HANDSHAKE_BYTES = 256,   /* ours, to the library */
	WEB_HEADER_BYTES = 512,      /* of the library's for the head of one handshake; */
	WEB_HEADERS_MAX = 2,         /* a handshake begins and ends in one call, so there is one at a time */
	WEB_TURNS_MAX = 1000,
};

struct web {
	struct loop *loop;
	struct lws_context *library; /* set to NULL by itself when it is gone */
	struct lws_vhost *host;
	size_t handles; /* of the library itself on the loop, besides those of WebSockets */
	size_t frame_max;
	uint8_t *frame; /* LWS_PRE bytes of room, then frame_max */
};

struct web_socket {
	struct web *web;
	const struct web_socket_ops *ops;
	void *context;
	struct lws *wsi; /* NULL = the library has ended it */
	struct loop_fd *watch;
	int fd;       /* our end */
	int other_fd; /* the library's, which closes it */
	bool serving; /* inside a call of ours */
	bool open;    /* the handshake is done */
	bool ping;
	gh_bytes subprotocol; /* during the handshake */
	bool maybe;           /* there may be something to take */
};

/* ---- what the library tells ---- */

static int web_add_subprotocol(const struct web_socket *s, struct lws_process_html_args *args)
{
	int len = snprintf(args->p, (size_t)args->max_len, "Sec-WebSocket-Protocol: %.*s\r\n", (int)s->subprotocol.len,
		(const char *)s->subprotocol.data);
	if (len < 0 || len >= args->max_len)
		return -1;
	args->p += len;
	return 0;
}

/* The library may write: what it owes itself has gone before. */
static int web_writable(struct web_socket *s)
{
	uint8_t nothing[LWS_PRE];
	if (!s->ping)
		return 0;
	s->ping = false;
	return lws_write(s->wsi, nothing + LWS_PRE, 0, LWS_WRITE_PING) < 0 ? -1 : 0;
}

static int web_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	(void)user;
	struct web_socket *s = lws_get_opaque_user_data(wsi);
	if (!s)
		return 0;
	switch (reason) {
	case LWS_CALLBACK_ADD_HEADERS:
		return web_add_subprotocol(s, in);
	case LWS_CALLBACK_ESTABLISHED:
		s->open = true;
		return 0;
	case LWS_CALLBACK_RECEIVE:
		if (!s->serving)
			return -1; /* what was fed has been read at once, each time */
		if (len > 0)
			s->ops->received(s->context, (gh_bytes){in, len});
		return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return web_writable(s);
	case LWS_CALLBACK_CLOSED:
	case LWS_CALLBACK_WSI_DESTROY:
		s->wsi = NULL;
		lws_set_opaque_user_data(wsi, NULL);
		return 0;
	default:
		return 0;
	}
}

/* ---- serving ---- */

static void web_serve(struct web_socket *s, short events)
{
	struct lws_pollfd ready = {.fd = s->other_fd, .events = events, .revents = events};
	s->serving = true;
	lws_service_fd(s->web->library, &ready);
	s->serving = false;
}

void web_socket_feed(struct web_socket *s, gh_bytes bytes)
{
	assert(bytes.len <= WEB_FEED_BYTES_MAX);
	if (!s->wsi || bytes.len == 0)
		return;
	if (send(s->fd, bytes.data, bytes.len, MSG_NOSIGNAL) == (ssize_t)bytes.len)
		web_serve(s, LWS_POLLIN);
	else
		web_serve(s, LWS_POLLHUP); /* it has not read what it was given before: there is no stream without it */
}

void web_socket_settle(struct web_socket *s)
{
	if (!s->wsi)
		return;
	web_serve(s, LWS_POLLOUT);
	s->maybe = true;
}

/* One frame.  False: the library had to keep some of it, or has failed. */
static bool web_send_frame(struct web_socket *s, gh_bytes payload)
{
	uint8_t *room = s->web->frame + LWS_PRE;
	memcpy(room, payload.data, payload.len);
	if (lws_write(s->wsi, room, payload.len, LWS_WRITE_BINARY) < (int)payload.len) {
		web_serve(s, LWS_POLLHUP);
		return false;
	}
	return !lws_partial_buffered(s->wsi);
}

/* Not in the library's callback for it, which is there so that nothing queues: here the pair was emptied before more is
 * sent.  Asking for that callback would cost four system calls each time, because uv forgets and adds the descriptor. */
size_t web_socket_send(struct web_socket *s, gh_bytes payload)
{
	size_t sent = 0, len = payload.len < WEB_SEND_BYTES_MAX ? payload.len : WEB_SEND_BYTES_MAX;
	bool more = s->wsi && !lws_partial_buffered(s->wsi);
	s->maybe = true;
	while (more && sent < len) {
		size_t n = len - sent < s->web->frame_max ? len - sent : s->web->frame_max;
		more = web_send_frame(s, (gh_bytes){payload.data + sent, n});
		sent += n;
	}
	return sent;
}

void web_socket_ping(struct web_socket *s)
{
	s->ping = true;
	web_socket_settle(s);
}

void web_socket_close(struct web_socket *s, uint16_t code)
{
	if (!s->wsi)
		return;
	/* As a time-out that is over, because Debian's build, where a callback asks for it, closes twice: the second time
	 * without the frame. */
	lws_close_reason(s->wsi, code, NULL, 0);
	lws_set_timeout(s->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
	web_socket_settle(s);
}

size_t web_socket_take(struct web_socket *s, uint8_t *ret_bytes, size_t size)
{
	if (!s->maybe)
		return 0;
	ssize_t n = recv(s->fd, ret_bytes, size, 0);
	if (n < (ssize_t)size) {
		s->maybe = false;
		loop_watch_set(s->watch, s->wsi ? LOOP_READ : 0);
	}
	return n > 0 ? (size_t)n : 0;
}

bool web_socket_is_open(const struct web_socket *s)
{
	return s->wsi != NULL;
}

/* ---- life of one ---- */

static void web_stirred(void *context, int events, uint64_t now_ms)
{
	(void)events;
	(void)now_ms;
	struct web_socket *s = context;
	s->maybe = true;
	loop_watch_set(s->watch, 0); /* until it is taken */
	s->ops->stirred(s->context);
}

void web_socket_free(struct web_socket *s)
{
	if (!s)
		return;
	assert(!s->serving);
	if (s->wsi) {
		lws_set_opaque_user_data(s->wsi, NULL);
		web_serve(s, LWS_POLLHUP);
	}
	loop_unwatch(s->watch);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

/* Gives the library its end; on failure that end is closed, but not at once: so only what was adopted knows of us. */
static bool web_adopt(struct web_socket *s)
{
	lws_adopt_desc_t adopt = {
		.vh = s->web->host,
		.type = LWS_ADOPT_HTTP | LWS_ADOPT_SOCKET,
		.fd.sockfd = s->other_fd,
	};
	s->wsi = lws_adopt_descriptor_vhost_via_info(&adopt);
	if (s->wsi)
		lws_set_opaque_user_data(s->wsi, s);
	return s->wsi != NULL;
}

/* The handshake as the library is to see it; all of the client's that matters is the key. */
static bool web_shake_hands(struct web_socket *s, const gh_upgrade *upgrade)
{
	char text[WEB_HANDSHAKE_BYTES];
	int len = snprintf(text, sizeof text,
		"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %.*s\r\n\r\n",
		(int)upgrade->key.len, (const char *)upgrade->key.data);
	if (len < 0 || len >= (int)sizeof text)
		return false;
	s->subprotocol = upgrade->subprotocol;
	web_socket_feed(s, (gh_bytes){(const uint8_t *)text, (size_t)len});
	s->maybe = true;
	s->subprotocol = (gh_bytes){NULL, 0};
	return s->open && s->wsi;
}

static bool web_connect(struct web_socket *s)
{
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
		return false;
	s->fd = fds[0];
	s->other_fd = fds[1];
	s->watch = loop_watch(s->web->loop, s->fd, LOOP_READ, web_stirred, s);
	if (!s->watch)
		close(s->other_fd);
	return s->watch && web_adopt(s);
}

gh_status web_socket_new(struct web *web, const gh_upgrade *upgrade, const struct web_socket_ops *ops, void *context,
	struct web_socket **ret_socket, gh_error *ret_err)
{
	struct web_socket *s = calloc(1, sizeof *s);
	if (!s)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for a WebSocket");
	*s = (struct web_socket){.web = web, .ops = ops, .context = context, .fd = -1, .other_fd = -1};
	gh_status status = GH_OK;
	if (!web_connect(s))
		status = gh_fail(ret_err, GH_UNAVAILABLE, "websocket_pair", "no WebSocket now: %s", strerror(errno));
	else if (!web_shake_hands(s, upgrade))
		status = gh_fail(ret_err, GH_UNAVAILABLE, "websocket_handshake", "the handshake could not be answered");
	if (status != GH_OK) {
		web_socket_free(s);
		return status;
	}
	*ret_socket = s;
	return GH_OK;
}

/* ---- life of the library ---- */

/* A frame is written at once, whatever its size: behind one that the library keeps a part of it sends no Close. */
static const struct lws_protocols web_protocols[] = {
	{.name = "gatehouse",
		.callback = web_callback,
		.rx_buffer_size = WEB_FEED_BYTES_MAX,
		.tx_packet_size = WEB_FRAME_BYTES_MAX},
	{.name = NULL},
};

/* Its own pings and time limits are off: those are the engine's, on its clock. */
static const lws_retry_bo_t web_no_pings = {.secs_since_valid_ping = 0, .secs_since_valid_hangup = 0};

static void web_count_handle(uv_handle_t *handle, void *count)
{
	(void)handle;
	++*(size_t *)count;
}

static size_t web_loop_handles(struct loop *loop)
{
	size_t count = 0;
	uv_walk(loop_uv(loop), web_count_handle, &count);
	return count;
}

static gh_status web_start(struct web *web, gh_error *ret_err)
{
	void *loops[] = {loop_uv(web->loop)};
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
		.foreign_loops = loops,
		.pcontext = &web->library,
		.protocols = web_protocols,
		.retry_and_idle_policy = &web_no_pings,
		.max_http_header_data = WEB_HEADER_BYTES,
		.max_http_header_pool = WEB_HEADERS_MAX,
		/* Not below the limit of the process: only then is a descriptor an index into its tables and no search. */
		.fd_limit_per_thread = (unsigned)sysconf(_SC_OPEN_MAX),
	};
	lws_set_log_level(0, NULL); /* whoever called it logs */
	size_t others = web_loop_handles(web->loop);
	web->library = lws_create_context(&info);
	web->handles = web_loop_handles(web->loop) - others;
	if (!web->library)
		return gh_fail(ret_err, GH_UNAVAILABLE, "libwebsockets",
			"libwebsockets did not start: is the package libwebsockets-evlib-uv installed?");
	web->host = lws_create_vhost(web->library, &info);
	return web->host ? GH_OK : gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for libwebsockets");
}

gh_status web_new(struct loop *loop, const gh_limits *limits, struct web **ret_web, gh_error *ret_err)
{
	struct web *web = calloc(1, sizeof *web);
	if (!web)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for WebSockets");
	web->loop = loop;
	web->frame_max = (size_t)limits->websocket_frame_bytes_max;
	assert(web->frame_max <= WEB_FRAME_BYTES_MAX);
	web->frame = malloc(LWS_PRE + web->frame_max);
	gh_status status = web->frame ? web_start(web, ret_err)
				      : gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for WebSockets");
	if (status != GH_OK) {
		web_free(web);
		return status;
	}
	*ret_web = web;
	return GH_OK;
}

/* The library's handles close in turns of the loop, and stand in its own memory: that is freed by the second call. */
static void web_stop(struct web *web)
{
	loop_turn(web->loop); /* what others have closed is gone then, and WebSockets are */
	size_t others = web_loop_handles(web->loop) - web->handles;
	lws_context_destroy(web->library);
	for (int turn = 0; web_loop_handles(web->loop) > others; turn++) {
		assert(turn < WEB_TURNS_MAX);
		loop_turn(web->loop);
	}
	if (web->library)
		lws_context_destroy(web->library);
}

void web_free(struct web *web)
{
	if (!web)
		return;
	if (web->library)
		web_stop(web);
	free(web->frame);
	free(web);
}
