/* mark.h - how far the log was acknowledged, kept outside the database, and the lock against a second process.
 *
 * Recovery to a point in time takes a flipped bit in the middle of the write-ahead log for its end and drops what
 * follows without an error.  So the writer stores each synced commit's number here, in a mapped file: a number below
 * the mark after recovery proves that acknowledged data is missing.  The file is never synced after its creation, so
 * after a power cut it may be too low, never too high.
 */
#ifndef GATEHOUSE_BACKENDS_MARK_H
#define GATEHOUSE_BACKENDS_MARK_H

#include <gatehouse/error.h>

#include <stdint.h>

struct mark_page;

struct mark {
	int fd;
	struct mark_page *page;
	bool fresh; /* made by this open */
};

/* Opens DIRECTORY/mark, makes it when it is missing and may_create, and locks it.  GH_CONFLICT: another process has it.
 * GH_NOT_FOUND: missing.  GH_MALFORMED: not a mark.  GH_INVALID: of a newer format than `format`. */
gh_status mark_open(struct mark *m, const char *directory, bool may_create, uint32_t format, gh_error *ret_err);
void mark_close(struct mark *m); /* accepts one that failed to open */

uint64_t mark_commit(const struct mark *m);
void mark_set_commit(struct mark *m, uint64_t commit);
bool mark_clean(const struct mark *m);
void mark_set_clean(struct mark *m, bool clean);

#endif
