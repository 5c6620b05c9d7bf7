/* socket.h - TCP addresses and listening sockets, by hand.
 *
 * libuv 1.44 has no flag for SO_REUSEPORT; and with that option alone a second program could share the port silently, so
 * socket_listen can be told to make sure first that nobody has it.
 */
#ifndef GATEHOUSE_IO_SOCKET_H
#define GATEHOUSE_IO_SOCKET_H

#include <gatehouse/error.h>

#include <netinet/in.h>
#include <stdint.h>

struct socket_address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t len;
};

/* What one client counts as: an IPv4 address, or the /64 of an IPv6 one, which is what a subscriber gets. */
struct socket_client {
	uint8_t bytes[16];
};

/* "127.0.0.1", "::1", "[::1]"; no names. */
bool socket_address_parse(const char *text, uint16_t port, struct socket_address *ret_address);
void socket_address_set_port(struct socket_address *address, uint16_t port);
uint16_t socket_address_port(const struct socket_address *address);
/* IPv4 seen through an IPv6 socket is IPv4 again. */
void socket_address_text(const struct socket_address *address, char ret_text[INET6_ADDRSTRLEN]);
void socket_address_client(const struct socket_address *address, struct socket_client *ret_client);

/* A listening socket that shares its port with our own others.  With port 0 a free one is picked; ask for it with
 * socket_port.  `probe`: refused when anybody has the port already.  `flag` is what names another port. */
gh_status socket_listen(
	const struct socket_address *address, bool probe, const char *flag, int *ret_fd, gh_error *ret_err);
uint16_t socket_port(int fd);
/* The sentence for an errno of binding or listening. */
gh_status socket_refuse(const struct socket_address *address, const char *flag, int error, gh_error *ret_err);

#endif
