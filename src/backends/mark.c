/*   magic "GHMARK01" | format version u32 | zero u32 | commit u64 | closed cleanly u64 (0 or 1) | zero to 64 bytes
 *
 * Integers are big-endian.  64 bytes lie in one sector, so a power cut leaves all of it or none.
 */
#include "src/backends/mark.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct mark_page {
	char magic[8];
	uint32_t format;
	uint32_t zero;
	_Atomic uint64_t commit;
	_Atomic uint64_t clean;
	uint8_t rest[32];
};
_Static_assert(sizeof(struct mark_page) == 64, "the mark is 64 bytes");

static const char mark_magic[8] = {'G', 'H', 'M', 'A', 'R', 'K', '0', '1'};

static gh_status mark_write_fresh(struct mark *m, const char *directory, uint32_t format, gh_error *ret_err)
{
	struct mark_page page = {.format = htobe32(format), .clean = htobe64(1)};
	memcpy(page.magic, mark_magic, sizeof mark_magic);
	int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Once synced, content and name both: from here on the file is only ever missing when somebody removed it. */
	bool written = dir >= 0 && pwrite(m->fd, &page, sizeof page, 0) == (ssize_t)sizeof page && fsync(m->fd) == 0 &&
		       fsync(dir) == 0;
	int cause = errno;
	if (dir >= 0)
		close(dir);
	if (!written)
		return gh_fail(ret_err, GH_IO, "mark_create", "%s/mark: %s", directory, strerror(cause));
	m->fresh = true;
	return GH_OK;
}

static gh_status mark_check(const struct mark *m, const char *directory, uint32_t format, gh_error *ret_err)
{
	struct stat st;
	if (fstat(m->fd, &st) || st.st_size != (off_t)sizeof(struct mark_page) ||
		memcmp(m->page->magic, mark_magic, sizeof mark_magic))
		return gh_fail(ret_err, GH_MALFORMED, "mark_malformed", "%s/mark is not a mark file", directory);
	if (be32toh(m->page->format) > format)
		return gh_fail(ret_err, GH_INVALID, "format_newer",
			"%s has format version %u, this program knows up to %u: use a newer gatehouse", directory,
			be32toh(m->page->format), format);
	return GH_OK;
}

static gh_status mark_open_file(struct mark *m, const char *directory, bool may_create, gh_error *ret_err)
{
	char path[4096];
	if (snprintf(path, sizeof path, "%s/mark", directory) >= (int)sizeof path)
		return gh_fail(ret_err, GH_INVALID, "directory_name_long", "the directory's name is too long");
	m->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (may_create ? O_CREAT : 0), 0600);
	if (m->fd < 0)
		return errno == ENOENT ? gh_fail(ret_err, GH_NOT_FOUND, "mark_missing", "%s is missing", path)
				       : gh_fail(ret_err, GH_IO, "mark_open", "%s: %s", path, strerror(errno));
	if (flock(m->fd, LOCK_EX | LOCK_NB))
		return gh_fail(ret_err, GH_CONFLICT, "store_locked", "%s is in use by another process", directory);
	return GH_OK;
}

gh_status mark_open(struct mark *m, const char *directory, bool may_create, uint32_t format, gh_error *ret_err)
{
	*m = (struct mark){.fd = -1};
	gh_status status = mark_open_file(m, directory, may_create, ret_err);
	struct stat st;
	if (status == GH_OK && may_create && fstat(m->fd, &st) == 0 && st.st_size == 0)
		status = mark_write_fresh(m, directory, format, ret_err);
	if (status == GH_OK) {
		void *page = mmap(NULL, sizeof *m->page, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
		if (page == MAP_FAILED)
			status = gh_fail(ret_err, GH_IO, "mark_map", "%s/mark: %s", directory, strerror(errno));
		else
			m->page = page;
	}
	if (status == GH_OK)
		status = mark_check(m, directory, format, ret_err);
	if (status != GH_OK)
		mark_close(m);
	return status;
}

void mark_close(struct mark *m)
{
	if (m->page)
		munmap(m->page, sizeof *m->page);
	if (m->fd >= 0)
		close(m->fd);
	*m = (struct mark){.fd = -1};
}

uint64_t mark_commit(const struct mark *m)
{
	return be64toh(atomic_load(&m->page->commit));
}

void mark_set_commit(struct mark *m, uint64_t commit)
{
	atomic_store(&m->page->commit, htobe64(commit));
}

bool mark_clean(const struct mark *m)
{
	return be64toh(atomic_load(&m->page->clean)) == 1;
}

void mark_set_clean(struct mark *m, bool clean)
{
	atomic_store(&m->page->clean, htobe64(clean));
}
