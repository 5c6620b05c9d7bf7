#include "src/core/outbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { OUTBOX_SLAB = 128 };

struct outbox_slab {
	struct outbox_slab *next;
	struct outbox_pending pending[OUTBOX_SLAB];
};

bool outbox_init(struct outbox *o, const gh_backend_ops *ops, gh_backend *backend)
{
	memset(o, 0, sizeof *o);
	o->ops = ops;
	o->port = ops->attach(backend);
	if (o->port)
		o->room = ops->room(o->port);
	return o->port != NULL;
}

void outbox_done(struct outbox *o, outbox_settled *settled, void *context)
{
	if (o->port)
		o->ops->detach(o->port);
	for (size_t i = 0; i < o->count; i++)
		gh_message_unref(o->records[i].message);
	struct outbox_slab *next;
	for (struct outbox_slab *slab = o->slabs; slab; slab = next) {
		next = slab->next;
		for (size_t i = 0; i < OUTBOX_SLAB; i++)
			if (slab->pending[i].owner)
				settled(context, slab->pending[i].owner, slab->pending[i].cookie, GH_UNKNOWN);
		free(slab);
	}
	memset(o, 0, sizeof *o);
}

bool outbox_has_room(struct outbox *o, size_t bytes)
{
	if (o->count == OUTBOX_RECORDS)
		outbox_flush(o);
	if (o->count == OUTBOX_RECORDS)
		return false;
	if (bytes > o->room) {
		outbox_flush(o); /* the port can only tell what is left once it has what was gathered */
		if (o->count == 0)
			o->room = o->ops->room(o->port);
	}
	/* A port that is empty takes one record of any size, or a large one could wait for ever. */
	return bytes <= o->room || (o->unsettled == 0 && o->room > 0);
}

static struct outbox_pending *outbox_pending_new(struct outbox *o)
{
	if (!o->free) {
		struct outbox_slab *slab = malloc(sizeof *slab);
		if (!slab)
			return NULL;
		slab->next = o->slabs;
		o->slabs = slab;
		for (size_t i = 0; i < OUTBOX_SLAB; i++) {
			slab->pending[i] = (struct outbox_pending){.next = o->free};
			o->free = &slab->pending[i];
		}
	}
	struct outbox_pending *p = o->free;
	o->free = p->next;
	return p;
}

bool outbox_put(struct outbox *o, gh_message *message, void *owner, void *cookie)
{
	assert(owner && o->count < OUTBOX_RECORDS);
	struct outbox_pending *p = outbox_pending_new(o);
	if (!p)
		return false;
	*p = (struct outbox_pending){.owner = owner, .cookie = cookie};
	size_t bytes = gh_message_encoded(message).len;
	o->room -= bytes < o->room ? bytes : o->room;
	o->records[o->count++] = (gh_record){gh_message_ref(message), p};
	o->unsettled++;
	return true;
}

void outbox_flush(struct outbox *o)
{
	if (o->count == 0)
		return;
	size_t taken = o->ops->submit(o->port, o->records, o->count);
	assert(taken <= o->count);
	for (size_t i = 0; i < taken; i++)
		gh_message_unref(o->records[i].message);
	o->count -= taken;
	memmove(o->records, o->records + taken, o->count * sizeof *o->records);
	o->room = o->count ? 0 : o->ops->room(o->port);
}

void outbox_reap(struct outbox *o, outbox_settled *settled, void *context)
{
	gh_completion completions[OUTBOX_REAP];
	size_t n;
	while ((n = o->ops->reap(o->port, completions, OUTBOX_REAP)) > 0) {
		for (size_t i = 0; i < n; i++) {
			assert(completions[i].kind == GH_APPENDED);
			struct outbox_pending *p = completions[i].cookie;
			void *owner = p->owner, *cookie = p->cookie;
			*p = (struct outbox_pending){.next = o->free};
			o->free = p;
			assert(o->unsettled > 0);
			o->unsettled--;
			settled(context, owner, cookie, completions[i].status);
		}
	}
	outbox_flush(o);
	if (o->count == 0)
		o->room = o->ops->room(o->port);
}
