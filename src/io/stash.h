/* stash.h - bytes that had to wait: appended at the end, taken from the front, gone when empty.
 *
 * A connection owns none while it is idle; the pointer is then NULL, which is a valid empty stash.
 */
#ifndef GATEHOUSE_IO_STASH_H
#define GATEHOUSE_IO_STASH_H

#include <gatehouse/message.h>

#include <stdbool.h>

struct stash;

/* False without memory; *stash is then unchanged. */
bool stash_append(struct stash **stash, const uint8_t *data, size_t len);
gh_bytes stash_left(const struct stash *stash);
void stash_drop(struct stash **stash, size_t len); /* frees with the last byte */
void stash_free(struct stash **stash);

#endif
