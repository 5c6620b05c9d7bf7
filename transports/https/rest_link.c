#include "transports/https/rest_link.h"

#include "src/base/take.h"
#include "src/base/text.h"

#include <assert.h>

static gh_bytes rest_link_device(const struct rest_link *link)
{
	return (gh_bytes){(const uint8_t *)link->text, link->device_len};
}

static gh_bytes rest_link_token(const struct rest_link *link)
{
	return (gh_bytes){(const uint8_t *)link->text + link->device_len, link->token_len};
}

/* ---- the list, most recently used first ---- */

static void rest_link_unlist(struct rest_link *link)
{
	struct rest_conn *conn = link->conn;
	if (link->prev)
		link->prev->next = link->next;
	else
		conn->links = link->next;
	if (link->next)
		link->next->prev = link->prev;
	link->next = link->prev = NULL;
}

static void rest_link_list_first(struct rest_link *link)
{
	struct rest_conn *conn = link->conn;
	link->next = conn->links;
	if (link->next)
		link->next->prev = link;
	conn->links = link;
}

/* ---- life ---- */

static void rest_send_free(struct rest_send *send)
{
	if (send->prev)
		send->prev->next = send->next;
	else
		send->link->sends = send->next;
	if (send->next)
		send->next->prev = send->prev;
	free(send);
}

static void rest_link_free(struct rest_link *link)
{
	assert(link->users == 0);
	while (link->sends) {
		assert(!link->sends->exchange);
		rest_send_free(link->sends);
	}
	rest_link_unlist(link);
	link->conn->link_count--;
	gh_link_close(link->link);
	free(link);
}

static bool rest_link_is_idle(const struct rest_link *link)
{
	return link->users == 0 && !link->sends;
}

/* Links are closed where the core may be called, which is not from inside its callbacks: the next tick does it. */
static void rest_link_note_done(struct rest_link *link)
{
	struct rest_conn *conn = link->conn;
	if (!link->revoked || !rest_link_is_idle(link) || conn->link_done)
		return;
	conn->link_done = true;
	conn->wire->ops->wake(conn->wire);
}

void rest_link_sweep(struct rest_conn *conn)
{
	if (!conn->link_done)
		return;
	conn->link_done = false;
	for (struct rest_link *link = conn->links, *next; link; link = next) {
		next = link->next;
		if (link->revoked && rest_link_is_idle(link))
			rest_link_free(link);
	}
}

/* Those used least recently go first; one that is used now stays whatever the count. */
static void rest_link_shrink(struct rest_conn *conn)
{
	uint64_t max = gh_worker_limits(conn->worker)->http_links_max;
	struct rest_link *last = conn->links;
	while (last && last->next)
		last = last->next;
	while (last && conn->link_count > max) {
		struct rest_link *prev = last->prev;
		if (rest_link_is_idle(last))
			rest_link_free(last);
		last = prev;
	}
}

void rest_link_close_all(struct rest_conn *conn)
{
	while (conn->links)
		rest_link_free(conn->links);
}

/* ---- the core's callbacks ---- */

static void rest_link_settled(void *context, void *cookie, gh_status status)
{
	struct rest_link *link = context;
	struct rest_send *send = cookie;
	assert(send->link == link && send->waiting > 0);
	if (status != GH_OK)
		send->worst = status;
	send->waiting--;
	if (send->waiting > 0 || (send->exchange && !send->whole))
		return;
	struct rest_exchange *exchange = send->exchange;
	gh_status worst = send->worst;
	if (exchange)
		exchange->send = NULL;
	rest_send_free(send);
	if (exchange)
		rest_exchange_settled(exchange, worst);
	rest_link_note_done(link);
}

static void rest_link_writable(void *context)
{
	rest_exchange_writable(((struct rest_link *)context)->conn);
}

/* What was submitted is still settled; nobody finds this link again. */
static void rest_link_revoked(void *context, gh_status why)
{
	struct rest_link *link = context;
	(void)why;
	link->revoked = true;
	if (rest_link_is_idle(link))
		rest_link_free(link);
}

/* A link without session and seat never waits to open. */
static const gh_link_ops rest_link_ops = {
	.settled = rest_link_settled,
	.writable = rest_link_writable,
	.revoked = rest_link_revoked,
};

/* ---- holding ---- */

static gh_link_request rest_link_request(const struct rest_conn *conn, const struct rest_claim *claim)
{
	return (gh_link_request){
		.transport = conn->transport,
		.device_id = claim->device_id,
		.token = claim->token,
		.client_info = claim->client_info,
		.peer = conn->wire->ops->peer(conn->wire),
		.sessionless = true,
		.unseen = true,
	};
}

static struct rest_link *rest_link_find(struct rest_conn *conn, const struct rest_claim *claim)
{
	for (struct rest_link *link = conn->links; link; link = link->next)
		if (!link->revoked && text_equal(rest_link_token(link), claim->token) &&
			text_equal(rest_link_device(link), claim->device_id))
			return link;
	return NULL;
}

static struct rest_link *rest_link_new(struct rest_conn *conn, const struct rest_claim *claim)
{
	assert(claim->device_id.len <= UINT8_MAX && claim->token.len <= UINT16_MAX);
	struct rest_link *link = malloc(sizeof *link + claim->device_id.len + claim->token.len);
	if (!link)
		return NULL;
	*link = (struct rest_link){
		.conn = conn, .device_len = (uint8_t)claim->device_id.len, .token_len = (uint16_t)claim->token.len};
	if (claim->device_id.len)
		memcpy(link->text, claim->device_id.data, claim->device_id.len);
	if (claim->token.len)
		memcpy(link->text + claim->device_id.len, claim->token.data, claim->token.len);
	return link;
}

static gh_status rest_link_open(struct rest_conn *conn, const struct rest_claim *claim, uint64_t now_ms,
	struct rest_link **ret_link, gh_error *ret_err)
{
	struct rest_link *link GH_CLEANUP(take_free) = rest_link_new(conn, claim);
	gh_link_request request = rest_link_request(conn, claim);
	bool session_present;
	if (!link)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for a link");
	gh_status status = gh_link_open(
		conn->worker, &request, &rest_link_ops, link, now_ms, &link->link, &session_present, ret_err);
	assert(status != GH_AGAIN);
	if (status != GH_OK)
		return status;
	conn->link_count++;
	*ret_link = GH_TAKE(link);
	rest_link_list_first(*ret_link);
	return GH_OK;
}

gh_status rest_link_hold(struct rest_conn *conn, const struct rest_claim *claim, uint64_t now_ms,
	struct rest_link **ret_link, gh_error *ret_err)
{
	struct rest_link *link = rest_link_find(conn, claim);
	if (!link) {
		gh_status status = rest_link_open(conn, claim, now_ms, &link, ret_err);
		if (status != GH_OK)
			return status;
	} else if (link != conn->links) {
		rest_link_unlist(link);
		rest_link_list_first(link);
	}
	link->users++;
	if (conn->link_count > gh_worker_limits(conn->worker)->http_links_max)
		rest_link_shrink(conn);
	*ret_link = link;
	return GH_OK;
}

void rest_link_refused(struct rest_conn *conn, const struct rest_claim *claim, const gh_error *err)
{
	gh_link_request request = rest_link_request(conn, claim);
	gh_link_refused(conn->worker, &request, err);
}

void rest_link_release(struct rest_link *link)
{
	assert(link->users > 0);
	link->users--;
	rest_link_note_done(link);
}

/* ---- submitting ---- */

static struct rest_send *rest_send_new(struct rest_exchange *x)
{
	struct rest_send *send = malloc(sizeof *send);
	if (!send)
		return NULL;
	*send = (struct rest_send){.exchange = x, .link = x->link, .next = x->link->sends, .worst = GH_OK};
	if (send->next)
		send->next->prev = send;
	x->link->sends = send;
	x->send = send;
	return send;
}

gh_status rest_link_submit(struct rest_exchange *x, const gh_draft *draft, uint64_t now_ms)
{
	if (!x->send && !rest_send_new(x))
		return GH_NO_MEMORY;
	gh_status status = gh_link_submit(x->link->link, draft, x->send, now_ms);
	if (status == GH_OK)
		x->send->waiting++;
	return status;
}

bool rest_link_submitted(struct rest_exchange *x)
{
	x->send->whole = true;
	return x->send->waiting == 0;
}

void rest_link_forget(struct rest_exchange *x)
{
	struct rest_send *send = GH_TAKE(x->send);
	if (!send)
		return;
	send->exchange = NULL;
	if (send->waiting == 0)
		rest_send_free(send);
}
