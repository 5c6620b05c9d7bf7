/* socket.c - see socket.h. */
#include "src/io/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Between our probe and our bind a port that was picked freely can go to somebody else. */
enum { SOCKET_PICKS = 8 };

bool socket_address_parse(const char *text, uint16_t port, struct socket_address *ret_address)
{
	struct socket_address address = {0};
	char plain[INET6_ADDRSTRLEN];
	size_t len = strlen(text);
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len >= sizeof plain)
		return false;
	memcpy(plain, text, len);
	plain[len] = '\0';
	if (inet_pton(AF_INET, plain, &address.v4.sin_addr) == 1) {
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons(port);
		address.len = sizeof address.v4;
	} else if (inet_pton(AF_INET6, plain, &address.v6.sin6_addr) == 1) {
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = htons(port);
		address.len = sizeof address.v6;
	} else {
		return false;
	}
	*ret_address = address;
	return true;
}

uint16_t socket_address_port(const struct socket_address *address)
{
	return ntohs(address->any.sa_family == AF_INET6 ? address->v6.sin6_port : address->v4.sin_port);
}

void socket_address_set_port(struct socket_address *address, uint16_t port)
{
	if (address->any.sa_family == AF_INET6)
		address->v6.sin6_port = htons(port);
	else
		address->v4.sin_port = htons(port);
}

void socket_address_text(const struct socket_address *address, char ret_text[INET6_ADDRSTRLEN])
{
	const void *bytes = &address->v4.sin_addr;
	int family = address->any.sa_family;
	if (family == AF_INET6) {
		bytes = &address->v6.sin6_addr;
		if (IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr)) {
			bytes = address->v6.sin6_addr.s6_addr + 12;
			family = AF_INET;
		}
	}
	if (!inet_ntop(family, bytes, ret_text, INET6_ADDRSTRLEN))
		ret_text[0] = '\0';
}

void socket_address_client(const struct socket_address *address, struct socket_client *ret_client)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	memset(ret_client, 0, sizeof *ret_client);
	if (address->any.sa_family == AF_INET6) {
		const uint8_t *bytes = address->v6.sin6_addr.s6_addr;
		memcpy(ret_client->bytes, bytes, memcmp(bytes, mapped, sizeof mapped) == 0 ? 16 : 8);
	} else {
		memcpy(ret_client->bytes, mapped, sizeof mapped);
		memcpy(ret_client->bytes + sizeof mapped, &address->v4.sin_addr, 4);
	}
}

uint16_t socket_port(int fd)
{
	struct socket_address address = {.len = sizeof address.v6};
	return getsockname(fd, &address.any, &address.len) == 0 ? socket_address_port(&address) : 0;
}

gh_status socket_refuse(const struct socket_address *address, const char *flag, int error, gh_error *ret_err)
{
	char text[INET6_ADDRSTRLEN], where[INET6_ADDRSTRLEN + 16];
	unsigned port = socket_address_port(address);
	socket_address_text(address, text);
	snprintf(where, sizeof where, strchr(text, ':') ? "[%s]:%u" : "%s:%u", text, port);
	switch (error) {
	case EADDRINUSE:
		return gh_fail(ret_err, GH_EXISTS, "port_in_use",
			"%s: already in use by another program: choose another port (%s)", where, flag);
	case EACCES:
		return gh_fail(ret_err, GH_UNAUTHORIZED, "port_not_allowed",
			"%s: not allowed for this user: choose a port above "
			"1023 (%s), or give the program CAP_NET_BIND_SERVICE",
			where, flag);
	case EADDRNOTAVAIL:
		return gh_fail(ret_err, GH_INVALID, "address_not_here", "%s: no address of this machine", where);
	default:
		return gh_fail(ret_err, GH_IO, "listen", "%s: %s", where, strerror(error));
	}
}

/* A bound socket, or -1 with errno set. */
static int socket_bound(const struct socket_address *address, bool shared)
{
	int on = 1, off = 0;
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/* Without REUSEADDR the last connections of the program before us would hold the port for a minute. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
		(!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0) &&
		(address->any.sa_family != AF_INET6 ||
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0) &&
		bind(fd, &address->any, address->len) == 0)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* Binds alone for a moment: fails when another socket listens there, even one that would share.  Sets a picked port. */
static bool socket_probe(struct socket_address *address)
{
	int fd = socket_bound(address, false);
	if (fd < 0)
		return false;
	socket_address_set_port(address, socket_port(fd));
	close(fd);
	return true;
}

gh_status socket_listen(
	const struct socket_address *wanted, bool probe, const char *flag, int *ret_fd, gh_error *ret_err)
{
	int on = 1;
	for (int pick = 0;; pick++) {
		struct socket_address address = *wanted;
		if (probe && !socket_probe(&address))
			return socket_refuse(wanted, flag, errno, ret_err);
		int fd = socket_bound(&address, true);
		/* Accepted sockets inherit TCP_NODELAY: one system call less for each. */
		if (fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
			listen(fd, SOMAXCONN) == 0) {
			*ret_fd = fd;
			return GH_OK;
		}
		int error = errno;
		if (fd >= 0)
			close(fd);
		if (error != EADDRINUSE || socket_address_port(wanted) != 0 || pick == SOCKET_PICKS)
			return socket_refuse(&address, flag, error, ret_err);
	}
}
