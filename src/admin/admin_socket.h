/* admin_socket.h - the Unix socket DIR/admin.sock, whatever the length of DIR.
 *
 * A socket's name may have 107 bytes only; a longer one is reached through a descriptor of the folder
 * (/proc/self/fd/N/admin.sock).
 */
#ifndef GATEHOUSE_ADMIN_ADMIN_SOCKET_H
#define GATEHOUSE_ADMIN_ADMIN_SOCKET_H

#include <gatehouse/error.h>

#define ADMIN_SOCKET_NAME "admin.sock"

/* Binds and listens, mode 0600, non-blocking.  A socket file nobody answers on is replaced; GH_EXISTS when somebody
 * does.  Sets the process's umask for the moment of the bind. */
gh_status admin_socket_listen(const char *directory, int *ret_fd, gh_error *ret_err);
void admin_socket_remove(const char *directory);

/* Blocking.  GH_NOT_FOUND: no gateway runs there. */
gh_status admin_socket_connect(const char *directory, int *ret_fd, gh_error *ret_err);

/* Is the other end this user or root? */
bool admin_socket_peer_allowed(int fd);

#endif
