#include "src/admin/tail.h"

#include "src/admin/manage.h"
#include "src/base/take.h"
#include "src/base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { TAIL_FETCH_BYTES = 65536, TAIL_REAP_MAX = 16, TAIL_CLOSE_WAIT_MS = 1000, TAIL_CLOSE_ROUNDS = 30 };

struct tail_port {
	const gh_backend_ops *ops;
	gh_backend *backend;
	gh_port *port;
	size_t pending; /* reads taken and not reaped */
};

/* One read under way: the cookie.  Outlives its tail, which then is NULL. */
struct tail_read {
	struct tail *tail;
	struct tail_slot *slot;
};

/* One partition of a tail. */
struct tail_slot {
	uint32_t partition;
	uint64_t next;      /* offset to ask for */
	uint64_t end;       /* not following: stop here */
	uint64_t asked_end; /* end of the log when the last read was asked for */
	uint64_t empty_end; /* reads found nothing up to this end: wait until it moves */
	struct tail_read *read;
	gh_fetched *records;
	size_t count;
	size_t at;
};

struct tail {
	struct tail_port *port;
	struct tail_options options;
	uint64_t given;
	gh_status failed;
	struct tail_slot *slots;
	uint32_t slot_count;
};

/* ---- the port ---- */

struct tail_port *tail_port_new(const gh_backend_ops *ops, gh_backend *backend)
{
	struct tail_port *port = calloc(1, sizeof *port);
	if (!port)
		return NULL;
	*port = (struct tail_port){.ops = ops, .backend = backend, .port = ops->attach(backend)};
	if (!port->port) {
		free(port);
		return NULL;
	}
	return port;
}

void tail_port_free(struct tail_port *port)
{
	if (!port)
		return;
	for (int round = 0; port->pending && round < TAIL_CLOSE_ROUNDS; round++) {
		struct pollfd ready = {.fd = tail_port_fd(port), .events = POLLIN};
		poll(&ready, 1, TAIL_CLOSE_WAIT_MS);
		tail_port_reap(port);
	}
	port->ops->detach(port->port);
	free(port);
}

int tail_port_fd(struct tail_port *port)
{
	return port->ops->fd(port->port);
}

static void tail_take(struct tail *tail, struct tail_slot *slot, gh_completion *completion)
{
	assert(!slot->records);
	slot->read = NULL;
	if (completion->status == GH_GONE && completion->offset > slot->next) {
		slot->next = completion->offset; /* trimmed while we read: go on at the new floor */
	} else if (completion->status != GH_OK) {
		tail->failed = completion->status;
	} else if (completion->count == 0) {
		slot->empty_end = slot->asked_end;
	} else {
		slot->records = GH_TAKE(completion->records);
		slot->count = completion->count;
		slot->at = 0;
		slot->next = completion->offset;
	}
}

void tail_port_reap(struct tail_port *port)
{
	gh_completion completions[TAIL_REAP_MAX];
	size_t n;
	while ((n = port->ops->reap(port->port, completions, TAIL_REAP_MAX)) > 0) {
		for (size_t i = 0; i < n; i++) {
			assert(completions[i].kind == GH_FETCHED);
			struct tail_read *read = completions[i].cookie;
			port->pending--;
			if (read->tail)
				tail_take(read->tail, read->slot, &completions[i]);
			if (completions[i].records)
				gh_fetched_free(completions[i].records, completions[i].count);
			free(read);
		}
	}
}

/* ---- options ---- */

const char *const tail_members[] = {"from", "partition", "count", "follow", NULL};

static gh_status tail_options_number(
	const json_t *request, const char *name, int64_t absent, int64_t *ret_number, gh_error *ret_err)
{
	const json_t *value = json_object_get(request, name);
	*ret_number = value && !json_is_null(value) ? json_integer_value(value) : absent;
	if (value && !json_is_null(value) && (!json_is_integer(value) || *ret_number < 0))
		return gh_fail(ret_err, GH_INVALID, "request_member", "%s must be a number, 0 or more", name);
	return GH_OK;
}

static gh_status tail_options_from(const json_t *value, struct tail_options *options, gh_error *ret_err)
{
	const char *from = value ? json_string_value(value) : "earliest";
	if (from && strcmp(from, "earliest") == 0)
		options->from = TAIL_EARLIEST;
	else if (from && strcmp(from, "latest") == 0)
		options->from = TAIL_LATEST;
	else if (from && text_u64(text_of(from), &options->offset))
		options->from = TAIL_OFFSET;
	else
		return gh_fail(
			ret_err, GH_INVALID, "request_member", "from must be \"earliest\", \"latest\" or an offset");
	return GH_OK;
}

gh_status tail_options_read(const json_t *request, struct tail_options *ret_options, gh_error *ret_err)
{
	struct tail_options options = {.follow = true};
	int64_t count;
	const json_t *follow = json_object_get(request, "follow");
	gh_status status = tail_options_from(json_object_get(request, "from"), &options, ret_err);
	if (status == GH_OK)
		status = tail_options_number(request, "partition", -1, &options.partition, ret_err);
	if (status == GH_OK)
		status = tail_options_number(request, "count", 0, &count, ret_err);
	if (status != GH_OK)
		return status;
	if (follow && !json_is_boolean(follow))
		return gh_fail(ret_err, GH_INVALID, "request_member", "follow must be true or false");
	options.count = (uint64_t)count;
	options.follow = !follow || json_is_true(follow);
	*ret_options = options;
	return GH_OK;
}

json_t *tail_options_write(const struct tail_options *options)
{
	char from[24] = "earliest";
	if (options->from == TAIL_LATEST)
		strcpy(from, "latest");
	else if (options->from == TAIL_OFFSET)
		snprintf(from, sizeof from, "%" PRIu64, options->offset);
	json_t *partition = options->partition < 0 ? json_null() : json_integer(options->partition);
	return json_pack("{s:i, s:s, s:s, s:o, s:I, s:b}", "version", MANAGE_VERSION, "op", "tail", "from", from,
		"partition", partition, "count", (json_int_t)options->count, "follow", options->follow);
}

/* ---- a tail ---- */

static gh_status tail_slot_init(struct tail *tail, struct tail_slot *slot, uint32_t partition, gh_error *ret_err)
{
	struct tail_port *port = tail->port;
	uint64_t floor, end;
	gh_status status = port->ops->bounds(port->port, partition, &floor, &end);
	if (status != GH_OK)
		return gh_fail(ret_err, status, "tail_bounds", "partition %u cannot be read: %s", partition,
			gh_status_name(status));
	*slot = (struct tail_slot){.partition = partition, .end = end, .next = floor};
	if (tail->options.from == TAIL_LATEST)
		slot->next = end;
	else if (tail->options.from == TAIL_OFFSET && tail->options.offset > floor)
		slot->next = tail->options.offset;
	return GH_OK;
}

gh_status tail_new(
	struct tail_port *port, const struct tail_options *options, struct tail **ret_tail, gh_error *ret_err)
{
	uint32_t partitions = port->ops->partitions(port->backend);
	if (options->partition >= (int64_t)partitions)
		return gh_fail(ret_err, GH_INVALID, "tail_partition",
			"there is no partition %" PRId64 "; there are 0 to %u", options->partition, partitions - 1);
	uint32_t first = options->partition < 0 ? 0 : (uint32_t)options->partition;
	uint32_t count = options->partition < 0 ? partitions : 1;
	struct tail *tail = calloc(1, sizeof *tail);
	struct tail_slot *slots = calloc(count, sizeof *slots);
	if (!tail || !slots) {
		free(slots);
		free(tail);
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
	}
	*tail = (struct tail){.port = port, .options = *options, .slots = slots, .slot_count = count};
	for (uint32_t i = 0; i < count; i++) {
		gh_status status = tail_slot_init(tail, &slots[i], first + i, ret_err);
		if (status != GH_OK) {
			tail_free(tail);
			return status;
		}
	}
	*ret_tail = tail;
	return GH_OK;
}

static void tail_slot_drop(struct tail_slot *slot)
{
	if (slot->records)
		gh_fetched_free(slot->records, slot->count);
	slot->records = NULL;
}

void tail_free(struct tail *tail)
{
	if (!tail)
		return;
	for (uint32_t i = 0; i < tail->slot_count; i++) {
		tail_slot_drop(&tail->slots[i]);
		if (tail->slots[i].read)
			tail->slots[i].read->tail = NULL;
	}
	free(tail->slots);
	free(tail);
}

/* Asks for more of a partition that has nothing at hand.  What it then waits for. */
static enum tail_step tail_slot_ask(struct tail *tail, struct tail_slot *slot)
{
	struct tail_port *port = tail->port;
	uint64_t floor;
	if (!tail->options.follow && slot->next >= slot->end)
		return TAIL_END;
	if (port->ops->bounds(port->port, slot->partition, &floor, &slot->asked_end) != GH_OK)
		return TAIL_FAILED;
	if (slot->next >= slot->asked_end || slot->asked_end == slot->empty_end)
		return tail->options.follow ? TAIL_QUIET : TAIL_END;
	struct tail_read *read = malloc(sizeof *read);
	if (!read)
		return TAIL_FAILED;
	*read = (struct tail_read){tail, slot};
	gh_status status = port->ops->fetch(port->port, slot->partition, slot->next, TAIL_FETCH_BYTES, read);
	if (status != GH_OK) {
		free(read);
		return status == GH_AGAIN ? TAIL_BUSY : TAIL_FAILED;
	}
	slot->read = read;
	port->pending++;
	return TAIL_BUSY;
}

/* TAIL_RECORD when a record is at hand. */
static enum tail_step tail_slot_fill(struct tail *tail, struct tail_slot *slot)
{
	if (slot->records && slot->at == slot->count)
		tail_slot_drop(slot);
	if (slot->records) {
		if (tail->options.follow || slot->records[slot->at].offset < slot->end)
			return TAIL_RECORD;
		tail_slot_drop(slot); /* stored after this tail began */
		slot->next = slot->end;
	}
	return slot->read ? TAIL_BUSY : tail_slot_ask(tail, slot);
}

static void tail_slot_give(struct tail_slot *slot, gh_fetched *ret_record)
{
	*ret_record = slot->records[slot->at];
	slot->records[slot->at++].message = NULL; /* the caller's now */
}

enum tail_step tail_next(struct tail *tail, gh_fetched *ret_record, gh_error *ret_err)
{
	struct tail_slot *first = NULL;
	bool busy = false, quiet = false, broken = false;
	if (tail->options.count && tail->given == tail->options.count)
		return TAIL_END;
	for (uint32_t i = 0; i < tail->slot_count; i++) {
		struct tail_slot *slot = &tail->slots[i];
		enum tail_step step = tail_slot_fill(tail, slot);
		busy |= step == TAIL_BUSY;
		quiet |= step == TAIL_QUIET;
		broken |= step == TAIL_FAILED;
		if (step == TAIL_RECORD &&
			(!first || gh_message_enqueued_ms(slot->records[slot->at].message) <
					   gh_message_enqueued_ms(first->records[first->at].message)))
			first = slot;
	}
	if (tail->failed != GH_OK || broken) {
		gh_status status = tail->failed != GH_OK ? tail->failed : GH_UNAVAILABLE;
		gh_fail(ret_err, status, "tail_read", "the queue cannot be read: %s", gh_status_name(status));
		return TAIL_FAILED;
	}
	/* Refused reads leave nothing to reap, so they too are asked for again after a while. */
	if (busy)
		return tail->port->pending ? TAIL_BUSY : TAIL_QUIET;
	if (!first)
		return quiet ? TAIL_QUIET : TAIL_END;
	tail_slot_give(first, ret_record);
	tail->given++;
	return TAIL_RECORD;
}
