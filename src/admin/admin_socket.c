#include "src/admin/admin_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { ADMIN_SOCKET_BACKLOG = 16 };

static gh_status socket_fail(gh_error *ret_err, const char *directory, const char *what)
{
	return gh_fail(
		ret_err, GH_IO, "admin_socket", "%s/" ADMIN_SOCKET_NAME ": %s: %s", directory, what, strerror(errno));
}

/* Fills the address.  *ret_folder is a descriptor to close after use, or -1. */
static bool socket_address(const char *directory, struct sockaddr_un *ret_address, int *ret_folder)
{
	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	*ret_folder = -1;
	size_t cap = sizeof ret_address->sun_path;
	int n = snprintf(ret_address->sun_path, cap, "%s/" ADMIN_SOCKET_NAME, directory);
	if (n >= 0 && (size_t)n < cap)
		return true;
	*ret_folder = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*ret_folder < 0)
		return false;
	snprintf(ret_address->sun_path, cap, "/proc/self/fd/%d/" ADMIN_SOCKET_NAME, *ret_folder);
	return true;
}

static void socket_close(int fd)
{
	int error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
}

/* errno tells why when it fails. */
static bool socket_connect_to(const struct sockaddr_un *address, int *ret_fd)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0) {
		*ret_fd = fd;
		return true;
	}
	socket_close(fd);
	return false;
}

gh_status admin_socket_connect(const char *directory, int *ret_fd, gh_error *ret_err)
{
	struct sockaddr_un address;
	int folder;
	bool connected = socket_address(directory, &address, &folder) && socket_connect_to(&address, ret_fd);
	socket_close(folder);
	if (connected)
		return GH_OK;
	if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
		return gh_fail(ret_err, GH_NOT_FOUND, "not_running", "no gateway runs in %s", directory);
	return socket_fail(ret_err, directory, "connect");
}

/* Removes what a dead gateway left.  False (with errno) when something answers, or it cannot be removed. */
static bool socket_clear(const struct sockaddr_un *address)
{
	int fd;
	if (socket_connect_to(address, &fd)) {
		close(fd);
		errno = EADDRINUSE;
		return false;
	}
	if (errno == ENOENT)
		return true;
	struct stat status;
	if (errno != ECONNREFUSED || lstat(address->sun_path, &status) != 0)
		return false;
	if (!S_ISSOCK(status.st_mode)) {
		errno = EEXIST;
		return false;
	}
	return unlink(address->sun_path) == 0;
}

static bool socket_bind(int fd, const struct sockaddr_un *address)
{
	mode_t mask = umask(0177);
	bool bound = bind(fd, (const struct sockaddr *)address, sizeof *address) == 0;
	umask(mask);
	return bound && listen(fd, ADMIN_SOCKET_BACKLOG) == 0;
}

gh_status admin_socket_listen(const char *directory, int *ret_fd, gh_error *ret_err)
{
	struct sockaddr_un address;
	int folder, fd = -1;
	bool bound = socket_address(directory, &address, &folder) && socket_clear(&address);
	if (bound) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		bound = fd >= 0 && socket_bind(fd, &address);
	}
	socket_close(folder);
	if (bound) {
		*ret_fd = fd;
		return GH_OK;
	}
	socket_close(fd);
	if (errno == EADDRINUSE)
		return gh_fail(ret_err, GH_EXISTS, "admin_socket", "another gateway runs in %s", directory);
	return socket_fail(ret_err, directory, "listen");
}

void admin_socket_remove(const char *directory)
{
	struct sockaddr_un address;
	int folder;
	if (socket_address(directory, &address, &folder))
		unlink(address.sun_path);
	socket_close(folder);
}

bool admin_socket_peer_allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof peer;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || len != sizeof peer)
		return false;
	return peer.uid == geteuid() || peer.uid == 0;
}
