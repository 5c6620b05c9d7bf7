#include "src/backends/bell.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool bell_init(struct bell *b)
{
	atomic_init(&b->rung, false);
	b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return b->fd >= 0;
}

void bell_done(struct bell *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
}

void bell_ring(struct bell *b)
{
	if (atomic_exchange(&b->rung, true))
		return;
	uint64_t one = 1;
	while (write(b->fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

void bell_quiet(struct bell *b)
{
	if (!atomic_load(&b->rung))
		return;
	/* First the descriptor, then the flag: a ring in between finds the flag set and writes nothing, but its owner
	 * looks again after this call.  The other order could leave the flag set over an empty descriptor for good. */
	uint64_t count;
	while (read(b->fd, &count, sizeof count) < 0 && errno == EINTR)
		;
	atomic_store(&b->rung, false);
}
