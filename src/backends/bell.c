#include "src/backends/bell.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool bell_init(struct bell *b)
{
	atomic_init(&b->rung, false);
	atomic_init(&b->rings, 0);
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
	atomic_fetch_add(&b->rings, 1);
	if (atomic_exchange(&b->rung, true))
		return;
	uint64_t one = 1;
	while (write(b->fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

void bell_quiet(struct bell *b)
{
	unsigned before = atomic_load(&b->rings);
	uint64_t count;
	/* First the descriptor, then the flag: the other order could leave the flag set over an empty descriptor for
	 * good.  A ring in between found the flag set and wrote nothing; the count tells.  The flag does not tell
	 * whether there is something to read: who rang may have set it, and written only after an earlier quieting. */
	while (read(b->fd, &count, sizeof count) < 0 && errno == EINTR)
		;
	atomic_store(&b->rung, false);
	if (atomic_load(&b->rings) != before)
		bell_ring(b);
}
