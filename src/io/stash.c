/* stash.c - see stash.h. */
#include "src/io/stash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct stash {
	size_t at;
	size_t end;
	size_t cap;
	uint8_t data[];
};

bool stash_append(struct stash **stash, const uint8_t *data, size_t len)
{
	struct stash *s = *stash;
	if (len == 0)
		return true;
	if (s && s->cap - s->end < len && s->at >= s->end - s->at) { /* moves no more than has left: linear in all */
		memmove(s->data, s->data + s->at, s->end - s->at);
		s->end -= s->at;
		s->at = 0;
	}
	if (!s || s->cap - s->end < len) {
		size_t used = s ? s->end : 0, cap = used + len;
		if (s && cap < 2 * s->cap)
			cap = 2 * s->cap;
		struct stash *grown = realloc(s, sizeof *s + cap);
		if (!grown)
			return false;
		if (!s)
			grown->at = grown->end = 0;
		grown->cap = cap;
		*stash = s = grown;
	}
	memcpy(s->data + s->end, data, len);
	s->end += len;
	return true;
}

gh_bytes stash_left(const struct stash *stash)
{
	return stash ? (gh_bytes){stash->data + stash->at, stash->end - stash->at} : (gh_bytes){NULL, 0};
}

void stash_drop(struct stash **stash, size_t len)
{
	if (len == 0)
		return;
	struct stash *s = *stash;
	assert(s && len <= s->end - s->at);
	s->at += len;
	if (s->at == s->end)
		stash_free(stash);
}

void stash_free(struct stash **stash)
{
	free(*stash);
	*stash = NULL;
}
