#include "src/core/link.h"

#include "src/base/take.h"
#include "src/base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum link_state { LINK_WAITING, LINK_OPEN, LINK_REVOKED, LINK_CLOSED };

struct gh_link {
	gh_worker *worker;
	const gh_link_ops *ops;
	void *context;
	gh_link *next, *prev; /* in worker->links */
	gh_link *held_next;   /* in worker->held */
	struct heap_node token_end;
	struct heap_node wait;
	struct session_seat seat;
	atomic_uint refs; /* the engine, records in flight, events on their way */
	uint32_t inflight;
	uint32_t writing; /* changes of the stored session under way */
	uint32_t partition_key;
	uint8_t state;  /* enum link_state */
	uint8_t method; /* gh_auth_method */
	uint8_t subscriptions[GH_SUB_COUNT];
	bool seated : 1; /* has a place in the session table to give back */
	bool held : 1;
	bool session_clean : 1;
	bool sessionless : 1;
	bool unseen : 1;
	bool in_presence : 1; /* to be taken out again */
	bool session_present : 1;
	bool will_allowed : 1; /* revoked, but what was deposited may still be said */
	uint64_t key_print;
	uint64_t expires_s;
	const char *transport;
	/* texts, one behind the other in `text` */
	uint8_t device_len, module_len, generation_len;
	uint16_t model_len, policy_len;
	char text[];
};

/* ---- texts ---- */

static gh_bytes link_text(const gh_link *link, size_t at, size_t len)
{
	return (gh_bytes){(const uint8_t *)link->text + at, len};
}

static gh_bytes link_device(const gh_link *link)
{
	return link_text(link, 0, link->device_len);
}

static gh_bytes link_module(const gh_link *link)
{
	return link_text(link, link->device_len, link->module_len);
}

static gh_bytes link_generation(const gh_link *link)
{
	return link_text(link, (size_t)link->device_len + link->module_len, link->generation_len);
}

static gh_bytes link_model(const gh_link *link)
{
	return link_text(link, (size_t)link->device_len + link->module_len + link->generation_len, link->model_len);
}

static gh_bytes link_policy(const gh_link *link)
{
	size_t at = (size_t)link->device_len + link->module_len + link->generation_len + link->model_len;
	return link_text(link, at, link->policy_len);
}

enum { LINK_KEY_MAX = 16 + 2 * (REGISTRY_ID_BYTES_MAX + 1) };

/* "d" or "d/m": the key of stored sessions and of presence; with `transport` in front, of the seat: each transport displaces its own. */
static size_t link_key(const gh_link *link, bool seat, uint8_t *ret_key)
{
	uint8_t *at = ret_key;
	gh_bytes parts[4] = {seat ? text_of(link->transport) : (gh_bytes){NULL, 0},
		seat ? text_of(" ") : (gh_bytes){NULL, 0}, link_device(link), link_module(link)};
	for (int i = 0; i < 4; i++) {
		if (i == 3 && parts[i].len)
			*at++ = '/';
		if (parts[i].len)
			memcpy(at, parts[i].data, parts[i].len);
		at += parts[i].len;
	}
	assert(at - ret_key <= LINK_KEY_MAX);
	return (size_t)(at - ret_key);
}

/* ---- life ---- */

static void link_unref(gh_link *link)
{
	if (atomic_fetch_sub(&link->refs, 1) != 1)
		return;
	assert(link->state == LINK_CLOSED && link->inflight == 0 && link->writing == 0 && !link->seated &&
		!link->in_presence);
	link->worker->unfreed--;
	free(link);
}

static void link_count(atomic_uint_fast64_t *counter)
{
	/* One writer, the worker's thread: a plain add that readers elsewhere see whole. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

static void link_count_down(atomic_uint_fast64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) - 1, memory_order_relaxed);
}

static void link_seat_events(gh_task *task, uint64_t now_ms);

static gh_link *link_new(gh_worker *worker, const gh_link_request *request, const struct principal *principal)
{
	gh_bytes generation = text_of(principal->generation_id), policy = text_of(principal->policy);
	gh_bytes texts[] = {request->device_id, request->module_id, generation, request->model_id, policy};
	size_t len = 0, at = 0;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		len += texts[i].len;
	gh_link *link = calloc(1, sizeof *link + len);
	if (!link)
		return NULL;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (texts[i].len)
			memcpy(link->text + at, texts[i].data, texts[i].len);
		at += texts[i].len;
	}
	link->device_len = (uint8_t)request->device_id.len;
	link->module_len = (uint8_t)request->module_id.len;
	link->generation_len = (uint8_t)generation.len;
	link->model_len = (uint16_t)request->model_id.len;
	link->policy_len = (uint16_t)policy.len;
	link->worker = worker;
	link->transport = request->transport;
	link->partition_key = gh_partition_hash(request->device_id);
	link->method = (uint8_t)principal->method;
	link->key_print = principal->key_print;
	link->expires_s = principal->expires_s;
	link->session_clean = request->session_clean;
	link->sessionless = request->sessionless;
	link->unseen = request->unseen;
	link->state = LINK_WAITING;
	link->seat.task.run = link_seat_events;
	link->seat.host = worker->host;
	link->seat.refs = &link->refs;
	memset(link->subscriptions, GH_QOS_NONE, sizeof link->subscriptions);
	atomic_init(&link->refs, 1);
	worker->unfreed++;
	return link;
}

static void link_list_add(gh_link *link)
{
	gh_worker *worker = link->worker;
	link->next = worker->links.first;
	if (link->next)
		link->next->prev = link;
	worker->links.first = link;
	link_count(&worker->counts.links);
}

static void link_list_remove(gh_link *link)
{
	gh_worker *worker = link->worker;
	if (worker->sweep == link)
		worker->sweep = link->next;
	if (link->prev)
		link->prev->next = link->next;
	else
		worker->links.first = link->next;
	if (link->next)
		link->next->prev = link->prev;
	link->next = link->prev = NULL;
	link_count_down(&worker->counts.links);
}

/* The seat goes back only when everything this link submitted is settled: order holds across a takeover, and the next
 * link finds the session as this one left it. */
static void link_give_seat_back(gh_link *link)
{
	if (link->seated && link->state == LINK_CLOSED && link->inflight == 0 && link->writing == 0) {
		link->seated = false;
		session_leave(link->worker->sessions, &link->seat);
	}
}

/* Connection states are there to look at: a link for which there is no memory works unseen. */
static void link_enter_presence(gh_link *link)
{
	uint8_t key[LINK_KEY_MAX];
	if (!link->unseen)
		link->in_presence = presence_add(
			link->worker->presence, (gh_bytes){key, link_key(link, false, key)}, link->worker->wall_ms);
}

static void link_leave_presence(gh_link *link)
{
	uint8_t key[LINK_KEY_MAX];
	if (link->in_presence)
		presence_remove(link->worker->presence, (gh_bytes){key, link_key(link, false, key)});
	link->in_presence = false;
}

void gh_link_close(gh_link *link)
{
	if (!link || link->state == LINK_CLOSED)
		return;
	gh_worker *worker = link->worker;
	link->state = LINK_CLOSED;
	heap_remove(&worker->token_ends, &link->token_end);
	heap_remove(&worker->waits, &link->wait);
	link_list_remove(link);
	link_leave_presence(link);
	link_give_seat_back(link);
	link_unref(link);
}

/* ---- stored subscriptions (device contract 4.4) ---- */

enum { LINK_STORED_VERSION = 1 };

/* Value: version u8, count u8, a QoS or GH_QOS_NONE for each of that many subscription kinds, the generation id.  A
 * session of an identity that was deleted and made anew is none of the new one's. */
enum { LINK_STORED_HEAD = 2 };

static size_t link_subscriptions_encode(const gh_link *link, uint8_t *ret_value)
{
	gh_bytes generation = link_generation(link);
	ret_value[0] = LINK_STORED_VERSION;
	ret_value[1] = GH_SUB_COUNT;
	memcpy(ret_value + LINK_STORED_HEAD, link->subscriptions, GH_SUB_COUNT);
	if (generation.len)
		memcpy(ret_value + LINK_STORED_HEAD + GH_SUB_COUNT, generation.data, generation.len);
	return LINK_STORED_HEAD + GH_SUB_COUNT + generation.len;
}

static bool link_subscriptions_take(gh_link *link, gh_bytes value)
{
	if (value.len < LINK_STORED_HEAD || value.data[0] != LINK_STORED_VERSION)
		return false;
	size_t count = value.data[1];
	if (value.len < LINK_STORED_HEAD + count)
		return false;
	gh_bytes generation = {value.data + LINK_STORED_HEAD + count, value.len - LINK_STORED_HEAD - count};
	if (!text_equal(generation, link_generation(link)))
		return false;
	for (size_t i = 0; i < GH_SUB_COUNT && i < count; i++) {
		uint8_t qos = value.data[LINK_STORED_HEAD + i];
		link->subscriptions[i] = qos <= 1 ? qos : GH_QOS_NONE;
	}
	return true;
}

struct link_store_wait {
	struct link_store_wait *next, *prev; /* in worker->store_waiting */
	gh_link *link;                       /* a counted reference */
	void *cookie;
	bool told; /* the link waits for it */
	bool opening;
};

static void link_store_wait_add(gh_worker *worker, struct link_store_wait *waiter)
{
	waiter->next = worker->store_waiting;
	if (waiter->next)
		waiter->next->prev = waiter;
	worker->store_waiting = waiter;
	waiter->link->writing++;
	atomic_fetch_add(&waiter->link->refs, 1);
}

static void link_store_wait_remove(gh_worker *worker, struct link_store_wait *waiter)
{
	if (waiter->prev)
		waiter->prev->next = waiter->next;
	else
		worker->store_waiting = waiter->next;
	if (waiter->next)
		waiter->next->prev = waiter->prev;
	waiter->link->writing--;
}

/* Writes or erases the stored session.  With `wait` the link acts on the completion. */
static gh_status link_session_write(gh_link *link, bool remove, bool wait, void *cookie, bool opening)
{
	gh_worker *worker = link->worker;
	uint8_t key[LINK_KEY_MAX], value[LINK_STORED_HEAD + GH_SUB_COUNT + REGISTRY_GENERATION_BYTES_MAX];
	gh_store_write write = {
		.family = GH_FAMILY_SESSIONS,
		.key = {key, link_key(link, false, key)},
		.value = {value, link_subscriptions_encode(link, value)},
		.remove = remove,
		.version_expected = GH_VERSION_ANY,
	};
	struct link_store_wait *waiter = malloc(sizeof *waiter);
	if (!waiter)
		return GH_NO_MEMORY;
	*waiter = (struct link_store_wait){.link = link, .cookie = cookie, .told = wait, .opening = opening};
	gh_status status = worker->store->ops->submit(worker->store_port, &write, 1, waiter);
	if (status != GH_OK) {
		free(waiter);
		return status;
	}
	link_store_wait_add(worker, waiter);
	return GH_OK;
}

/* ---- opening ---- */

bool link_refusal(gh_worker *worker, uint64_t *ret_skipped)
{
	link_count(&worker->counts.refused);
	return throttle_pass(&worker->refusals, worker->limits->refusal_lines_max, worker->now_ms, ret_skipped);
}

void gh_link_refused(gh_worker *worker, const gh_link_request *request, const gh_error *err)
{
	uint64_t skipped;
	if (!link_refusal(worker, &skipped))
		return;
	log_event(worker->log, LOG_INFO, "refused",
		"transport=%s device=%s module=%s peer=%s status=%s code=%s reason=\"%s\" skipped=%" PRIu64,
		request->transport, LOG_TEXT(request->device_id), LOG_TEXT(request->module_id),
		request->peer.address ? request->peer.address : "", gh_status_name(err->status),
		err->code ? err->code : "", err->text, skipped);
}

static bool link_arm_token_end(gh_link *link)
{
	if (link->expires_s == SAS_NEVER)
		return true;
	uint64_t end_ms = (link->expires_s + link->worker->limits->token_skew_s_max) * 1000;
	return heap_set(&link->worker->token_ends, &link->token_end, end_ms);
}

/* The seat is ours: what did the session leave behind?  GH_AGAIN: it is being erased first. */
static gh_status link_enter_session(gh_link *link)
{
	gh_worker *worker = link->worker;
	if (link->sessionless)
		return GH_OK;
	uint8_t key[LINK_KEY_MAX];
	gh_store_value stored;
	gh_status found = worker->store->ops->get(
		worker->store, GH_FAMILY_SESSIONS, (gh_bytes){key, link_key(link, false, key)}, &stored);
	if (found != GH_OK && found != GH_NOT_FOUND)
		return GH_UNAVAILABLE;
	if (found == GH_OK) {
		if (!link->session_clean)
			link->session_present = link_subscriptions_take(link, (gh_bytes){stored.data, stored.len});
		gh_store_value_done(&stored);
	}
	if (link->session_clean && found == GH_OK) {
		gh_status status = link_session_write(link, true, true, NULL, true);
		return status == GH_OK ? GH_AGAIN : GH_UNAVAILABLE;
	}
	/* A kept session exists from its first connection on.  Nobody is promised that before a SUBACK, so nobody waits. */
	if (!link->session_clean && !link->session_present)
		link_session_write(link, false, false, NULL, false);
	return GH_OK;
}

static void link_now_open(gh_link *link)
{
	link->state = LINK_OPEN;
	heap_remove(&link->worker->waits, &link->wait);
	link_enter_presence(link);
	link_count(&link->worker->counts.opened);
	log_event(link->worker->log, LOG_DEBUG, "opened", "transport=%s device=%s module=%s", link->transport,
		LOG_TEXT(link_device(link)), LOG_TEXT(link_module(link)));
}

/* A link that waited is refused after all: the engine is told, the link is gone. */
static void link_refuse_waiting(gh_link *link, gh_status status, const char *code)
{
	const gh_link_ops *ops = link->ops;
	void *context = link->context;
	link_count(&link->worker->counts.refused);
	log_event(link->worker->log, LOG_INFO, "refused", "transport=%s device=%s module=%s status=%s code=%s",
		link->transport, LOG_TEXT(link_device(link)), LOG_TEXT(link_module(link)), gh_status_name(status),
		code);
	gh_link_close(link);
	ops->opened(context, status, false);
}

static void link_opened_late(gh_link *link)
{
	link_now_open(link);
	link->ops->opened(link->context, GH_OK, link->session_present);
}

static gh_status link_seat(gh_link *link)
{
	uint8_t key[LINK_KEY_MAX];
	gh_status status =
		session_take(link->worker->sessions, &link->seat, (gh_bytes){key, link_key(link, true, key)});
	link->seated = status == GH_OK || status == GH_AGAIN;
	return status;
}

gh_status gh_link_open(gh_worker *worker, const gh_link_request *request, const gh_link_ops *ops, void *context,
	uint64_t now_ms, gh_link **ret_link, bool *ret_session_present, gh_error *ret_err)
{
	assert(!request->sessionless || !request->displaces);
	gh_error local = {0}, *err = ret_err ? ret_err : &local;
	struct principal principal;
	gh_status status = authenticate(worker->rules, request, worker->wall_ms / 1000, &principal, err);
	if (status == GH_OK && request->model_id.len > worker->limits->model_id_bytes_max)
		status = gh_fail(
			err, GH_TOO_LARGE, "model_id_too_long", "the model id is longer than model_id_bytes_max");
	if (status != GH_OK) {
		gh_link_refused(worker, request, err);
		return status;
	}
	gh_link *link = link_new(worker, request, &principal);
	if (!link)
		return gh_fail(err, GH_NO_MEMORY, "no_memory", "no memory for a link");
	link->ops = ops;
	link->context = context;
	link_list_add(link);
	status = link_arm_token_end(link) ? GH_OK : GH_NO_MEMORY;
	if (status == GH_OK && request->displaces)
		status = link_seat(link);
	if (status == GH_OK)
		status = link_enter_session(link);
	if (status == GH_AGAIN && !heap_set(&worker->waits, &link->wait, now_ms + worker->limits->attach_ms_max))
		status = GH_NO_MEMORY;
	if (status != GH_OK && status != GH_AGAIN) {
		gh_fail(err, status, "attach_failed", "attaching: %s", gh_status_name(status));
		gh_link_refused(worker, request, err);
		gh_link_close(link);
		return status;
	}
	if (status == GH_OK)
		link_now_open(link);
	*ret_link = link;
	*ret_session_present = link->session_present;
	return status;
}

/* ---- what comes from elsewhere ---- */

static void link_revoke(gh_link *link, gh_status why, const char *code)
{
	log_event(link->worker->log, LOG_INFO, "revoked", "transport=%s device=%s module=%s status=%s code=%s",
		link->transport, LOG_TEXT(link_device(link)), LOG_TEXT(link_module(link)), gh_status_name(why), code);
	if (link->state == LINK_WAITING) {
		link_refuse_waiting(link, why == GH_GONE ? GH_UNAUTHORIZED : why, code);
		return;
	}
	assert(link->state == LINK_OPEN);
	link->state = LINK_REVOKED;
	link->will_allowed = why == GH_TAKEN_OVER || why == GH_GONE;
	link->ops->revoked(link->context, why);
}

static void link_seat_events(gh_task *task, uint64_t now_ms)
{
	(void)now_ms;
	gh_link *link = GH_CONTAINER(task, gh_link, seat.task);
	unsigned events = session_events(&link->seat);
	if ((events & SESSION_GRANTED) && link->state == LINK_WAITING) {
		gh_status status = link_enter_session(link);
		if (status == GH_OK)
			link_opened_late(link);
		else if (status != GH_AGAIN)
			link_refuse_waiting(link, status, "attach_failed");
	}
	if ((events & SESSION_LOST) && (link->state == LINK_WAITING || link->state == LINK_OPEN)) {
		link_count(&link->worker->counts.displaced);
		link_revoke(link, GH_TAKEN_OVER, "taken_over");
	}
	if (events & SESSION_GRANTED)
		link_unref(link);
	if (events & SESSION_LOST)
		link_unref(link);
}

static void link_store_done(gh_worker *worker, struct link_store_wait *waiter, gh_status status)
{
	gh_link *link = waiter->link;
	link_store_wait_remove(worker, waiter);
	if (waiter->told && !waiter->opening && link->state != LINK_CLOSED)
		link->ops->settled(link->context, waiter->cookie, status);
	if (waiter->told && waiter->opening && link->state == LINK_WAITING) {
		if (status == GH_OK)
			link_opened_late(link);
		else
			link_refuse_waiting(link, GH_UNAVAILABLE, "store_failed");
	}
	free(waiter);
	link_give_seat_back(link);
	link_unref(link);
}

void link_store_reap(gh_worker *worker)
{
	gh_store_completion completions[16];
	size_t n;
	while ((n = worker->store->ops->reap(worker->store_port, completions, 16)) > 0)
		for (size_t i = 0; i < n; i++)
			link_store_done(worker, completions[i].cookie, completions[i].status);
}

void link_store_forget(gh_worker *worker)
{
	while (worker->store_waiting)
		link_store_done(worker, worker->store_waiting, GH_UNKNOWN);
}

/* ---- messages ---- */

static gh_stamps link_stamps(const gh_link *link)
{
	return (gh_stamps){
		.device_id = link_device(link),
		.module_id = link_module(link),
		.generation_id = link_generation(link),
		.model_id = link_model(link),
		.auth_method = (gh_auth_method)link->method,
		.source = GH_SOURCE_TELEMETRY,
		.enqueued_ms = link->worker->wall_ms,
		.partition_key = link->partition_key,
	};
}

/* Behind all that wait already: whoever got room goes to the end of the line, so nobody starves. */
static void link_hold_last(gh_worker *worker, gh_link *link)
{
	link->held_next = NULL;
	if (worker->held.last)
		worker->held.last->held_next = link;
	else
		worker->held.first = link;
	worker->held.last = link;
}

gh_status gh_link_submit(gh_link *link, const gh_draft *draft, void *cookie, uint64_t now_ms)
{
	(void)now_ms;
	gh_worker *worker = link->worker;
	if (link->state != LINK_OPEN && !(link->state == LINK_REVOKED && link->will_allowed))
		return GH_UNAUTHORIZED;
	if (!outbox_has_room(&worker->outbox, worker->limits->message_bytes_max)) {
		if (!link->held) {
			link->held = true;
			atomic_fetch_add(&link->refs, 1);
			link_hold_last(worker, link);
		}
		return GH_AGAIN;
	}
	gh_stamps stamps = link_stamps(link);
	gh_message *message = gh_message_freeze(draft, &stamps);
	if (!message)
		return GH_NO_MEMORY;
	bool put = outbox_put(&worker->outbox, message, link, cookie);
	gh_message_unref(message);
	if (!put)
		return GH_NO_MEMORY;
	if (link->inflight++ == 0)
		atomic_fetch_add(&link->refs, 1);
	return GH_OK;
}

void link_settled(void *worker, void *owner, void *cookie, gh_status status)
{
	struct link_counts *counts = &((gh_worker *)worker)->counts;
	gh_link *link = owner;
	link_count(status == GH_OK ? &counts->accepted : &counts->rejected);
	assert(link->inflight > 0);
	bool last = --link->inflight == 0;
	if (link->state != LINK_CLOSED)
		link->ops->settled(link->context, cookie, status);
	if (last) {
		link_give_seat_back(link);
		link_unref(link);
	}
}

static gh_link *link_unhold_first(gh_worker *worker)
{
	gh_link *link = worker->held.first;
	worker->held.first = link->held_next;
	if (!worker->held.first)
		worker->held.last = NULL;
	link->held = false;
	return link;
}

void link_resume_held(gh_worker *worker)
{
	while (worker->held.first && outbox_has_room(&worker->outbox, worker->limits->message_bytes_max)) {
		gh_link *link = link_unhold_first(worker);
		if (link->state != LINK_CLOSED)
			link->ops->writable(link->context);
		link_unref(link);
	}
}

gh_status gh_link_subscribe(gh_link *link, const uint8_t qos[GH_SUB_COUNT], void *cookie)
{
	assert(!link->sessionless);
	if (link->state != LINK_OPEN)
		return GH_UNAUTHORIZED;
	if (memcmp(link->subscriptions, qos, GH_SUB_COUNT) == 0)
		return GH_OK;
	uint8_t before[GH_SUB_COUNT];
	memcpy(before, link->subscriptions, sizeof before);
	memcpy(link->subscriptions, qos, GH_SUB_COUNT);
	if (link->session_clean)
		return GH_OK;
	gh_status status = link_session_write(link, false, true, cookie, false);
	if (status == GH_OK)
		return GH_AGAIN;
	memcpy(link->subscriptions, before, sizeof before);
	return status == GH_AGAIN ? GH_UNAVAILABLE : status;
}

const uint8_t *gh_link_subscriptions(const gh_link *link)
{
	return link->subscriptions;
}

/* ---- time and changed credentials ---- */

void link_tick(gh_worker *worker, uint64_t now_ms)
{
	struct heap_node *node;
	while ((node = heap_first(&worker->token_ends)) && node->at <= worker->wall_ms) {
		heap_remove(&worker->token_ends, node);
		gh_link *link = GH_CONTAINER(node, gh_link, token_end);
		if (link->state == LINK_OPEN || link->state == LINK_WAITING)
			link_revoke(link, GH_GONE, "token_expired");
	}
	while ((node = heap_first(&worker->waits)) && node->at <= now_ms) {
		heap_remove(&worker->waits, node);
		gh_link *link = GH_CONTAINER(node, gh_link, wait);
		assert(link->state == LINK_WAITING);
		link_refuse_waiting(link, GH_UNAVAILABLE, "attach_timeout");
	}
}

static void link_check(gh_link *link)
{
	if (link->state != LINK_OPEN && link->state != LINK_WAITING)
		return;
	struct authenticate_claim claim = {
		.device_id = link_device(link),
		.module_id = link_module(link),
		.generation_id = link_generation(link),
		.policy = link_policy(link),
		.key_print = link->key_print,
	};
	gh_error err = {0};
	gh_status status = authenticate_again(link->worker->rules, &claim, &err);
	if (status == GH_UNAVAILABLE)
		link->worker->sweep_again = true; /* nothing is known: ask again, or a deleted device would stay */
	else if (status != GH_OK)
		link_revoke(link, status, err.code);
}

void link_check_device(gh_worker *worker, gh_bytes device_id)
{
	gh_link *next;
	for (gh_link *link = worker->links.first; link; link = next) {
		next = link->next;
		if (text_equal(link_device(link), device_id))
			link_check(link);
	}
}

void link_sweep_some(gh_worker *worker, size_t count)
{
	if (!worker->sweep && worker->sweep_again) {
		worker->sweep_again = false;
		worker->sweep = worker->links.first;
	}
	for (; worker->sweep && count > 0; count--) {
		gh_link *link = worker->sweep;
		worker->sweep = link->next;
		link_check(link);
	}
}

void link_close_all(gh_worker *worker)
{
	while (worker->links.first)
		gh_link_close(worker->links.first);
	while (worker->held.first)
		link_unref(link_unhold_first(worker));
}
