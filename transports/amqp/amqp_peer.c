#include "transports/amqp/amqp_peer.h"

#include <gatehouse/service.h>

#include "src/base/take.h"
#include "src/base/text.h"

#include <assert.h>

struct amqp_grant {
	struct amqp_grant *next;
	size_t name_len, resource_len, token_len;
	uint8_t bytes[]; /* name, resource, token */
};

/* ---- the core's callbacks: noted here, done in the next call of the engine ---- */

static void peer_opened(void *context, gh_status status, bool session_present)
{
	(void)context, (void)status, (void)session_present;
	assert(!"a link without a session never waits");
}

static void peer_settled(void *context, void *cookie, gh_status status)
{
	struct amqp_credential *credential = context;
	struct amqp_ticket *ticket = cookie;
	struct amqp_conn *c = credential->peer->conn;
	credential->inflight--;
	if (credential->inflight == 0)
		c->sweeping =
			credential->revoked != GH_OK || credential != credential->peer->credentials || c->sweeping;
	ticket->settled(ticket, status);
	amqp_wake(c);
}

static void peer_writable(void *context)
{
	struct amqp_conn *c = ((struct amqp_credential *)context)->peer->conn;
	c->room = true;
	amqp_wake(c);
}

static void peer_revoked(void *context, gh_status why)
{
	struct amqp_credential *credential = context;
	credential->revoked = why;
	credential->peer->conn->sweeping = true;
	amqp_wake(credential->peer->conn);
}

static const gh_link_ops peer_link_ops = {
	.opened = peer_opened, .settled = peer_settled, .writable = peer_writable, .revoked = peer_revoked};

/* ---- life ---- */

static void peer_credential_free(struct amqp_credential *credential)
{
	gh_link_close(credential->link);
	free(credential);
}

static void peer_unlist(struct amqp_peer *peer)
{
	struct amqp_conn *c = peer->conn;
	*(peer->prev ? &peer->prev->next : &c->peers) = peer->next;
	if (peer->next)
		peer->next->prev = peer->prev;
	c->peer_count--;
}

static void peer_free(struct amqp_peer *peer)
{
	while (peer->credentials) {
		struct amqp_credential *credential = peer->credentials;
		peer->credentials = credential->next;
		peer_credential_free(credential);
	}
	peer_unlist(peer);
	free(peer);
}

static struct amqp_peer *peer_new(struct amqp_conn *c, const struct amqp_identity *identity)
{
	struct amqp_peer *peer = calloc(1, sizeof *peer + identity->device_id.len + identity->module_id.len);
	if (!peer)
		return NULL;
	peer->conn = c;
	peer->device_len = (uint8_t)identity->device_id.len;
	peer->module_len = (uint8_t)identity->module_id.len;
	memcpy(peer->text, identity->device_id.data, peer->device_len);
	if (peer->module_len)
		memcpy(peer->text + peer->device_len, identity->module_id.data, peer->module_len);
	peer->next = c->peers;
	if (peer->next)
		peer->next->prev = peer;
	c->peers = peer;
	c->peer_count++;
	return peer;
}

static struct amqp_peer *peer_find(const struct amqp_conn *c, const struct amqp_identity *identity)
{
	for (struct amqp_peer *peer = c->peers; peer; peer = peer->next) {
		struct amqp_identity known = amqp_peer_identity(peer);
		if (!peer->lost && text_equal(known.device_id, identity->device_id) &&
			text_equal(known.module_id, identity->module_id))
			return peer;
	}
	return NULL;
}

void amqp_peer_free_all(struct amqp_conn *c)
{
	while (c->peers)
		peer_free(c->peers);
	while (c->grants) {
		struct amqp_grant *grant = c->grants;
		c->grants = grant->next;
		free(grant);
	}
	c->grant_count = 0;
}

/* ---- proving ---- */

static gh_bytes peer_host(const struct amqp_conn *c)
{
	return text_of(pn_connection_remote_hostname(c->driver.connection));
}

static gh_status peer_open_link(
	struct amqp_credential *credential, const struct amqp_identity *identity, gh_bytes token, gh_error *ret_err)
{
	struct amqp_conn *c = credential->peer->conn;
	gh_link_request request = {
		.transport = "amqp",
		.host = peer_host(c),
		.device_id = identity->device_id,
		.module_id = identity->module_id,
		.token = token,
		.client_info = text_of(pn_connection_remote_container(c->driver.connection)),
		.peer = c->wire->ops->peer(c->wire),
		.sessionless = true,
	};
	bool present;
	return gh_link_open(
		c->worker, &request, &peer_link_ops, credential, c->now_ms, &credential->link, &present, ret_err);
}

/* The new credential speaks from now on; older ones only wait for what they submitted. */
static void peer_take_credential(struct amqp_peer *peer, struct amqp_credential *credential)
{
	credential->next = peer->credentials;
	peer->credentials = credential;
	if (credential->next)
		peer->conn->sweeping = true;
	peer->conn->since_ms = peer->conn->now_ms;
	peer->conn->frames.places_max = amqp_places_limit(amqp_limits(peer->conn));
	amqp_wake(peer->conn);
}

static gh_status peer_prove(struct amqp_conn *c, const struct amqp_identity *identity, gh_bytes token, bool granted,
	struct amqp_peer **ret_peer, gh_error *ret_err)
{
	struct amqp_peer *known = peer_find(c, identity), *peer = known;
	if (!known && c->peer_count >= amqp_limits(c)->amqp_peers_max)
		return gh_fail(ret_err, GH_QUOTA, "amqp_peers_max", "too many identities on one connection");
	struct amqp_credential *credential = calloc(1, sizeof *credential);
	if (credential && !known)
		peer = peer_new(c, identity);
	if (!credential || !peer) {
		free(credential);
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for an identity");
	}
	credential->peer = peer;
	gh_status status = peer_open_link(credential, identity, token, ret_err);
	if (status != GH_OK) {
		free(credential);
		if (!known)
			peer_free(peer);
		return status;
	}
	peer->granted = granted;
	peer_take_credential(peer, credential);
	if (ret_peer)
		*ret_peer = peer;
	return GH_OK;
}

gh_status amqp_peer_prove(struct amqp_conn *c, const struct amqp_identity *identity, gh_bytes token, gh_error *ret_err)
{
	return peer_prove(c, identity, token, false, NULL, ret_err);
}

/* ---- tokens for more than one ---- */

static gh_bytes grant_name(const struct amqp_grant *grant)
{
	return (gh_bytes){grant->bytes, grant->name_len};
}

static gh_bytes grant_resource(const struct amqp_grant *grant)
{
	return (gh_bytes){grant->bytes + grant->name_len, grant->resource_len};
}

static gh_bytes grant_token(const struct amqp_grant *grant)
{
	return (gh_bytes){grant->bytes + grant->name_len + grant->resource_len, grant->token_len};
}

static void grant_remove(struct amqp_conn *c, gh_bytes name)
{
	for (struct amqp_grant **at = &c->grants; *at; at = &(*at)->next)
		if (text_equal(grant_name(*at), name)) {
			struct amqp_grant *grant = *at;
			*at = grant->next;
			free(grant);
			c->grant_count--;
			return;
		}
}

/* Those that speak by such a token go on with the new one, where it is good for them. */
static void grant_renew_peers(struct amqp_conn *c, gh_bytes token)
{
	for (struct amqp_peer *peer = c->peers; peer; peer = peer->next) {
		struct amqp_identity identity = amqp_peer_identity(peer);
		if (peer->granted)
			peer_prove(c, &identity, token, true, NULL, NULL);
	}
}

/* Whether the token is anything, and good for what it is shown for: which of the policy's rights that takes is asked when
 * somebody comes. */
static gh_status grant_check(struct amqp_conn *c, gh_bytes resource, gh_bytes token, gh_error *ret_err)
{
	gh_service_claim claim = {
		.transport = "amqp",
		.token = token,
		.text_keys = true,
		.client_info = text_of(pn_connection_remote_container(c->driver.connection)),
		.peer = c->wire->ops->peer(c->wire),
	};
	gh_bytes segment;
	while (resource.len > 0) {
		text_cut(resource, '/', &segment, &resource);
		if (segment.len == 0)
			continue;
		if (claim.segment_count == GH_RESOURCE_SEGMENTS_MAX)
			return gh_fail(ret_err, GH_UNAUTHORIZED, "cbs_audience", "the audience has too many segments");
		claim.segments[claim.segment_count++] = segment;
	}
	return gh_service_authorize(c->worker, &claim, ret_err);
}

static struct amqp_grant *grant_new(gh_bytes name, gh_bytes resource, gh_bytes token)
{
	struct amqp_grant *grant = malloc(sizeof *grant + name.len + resource.len + token.len);
	if (!grant)
		return NULL;
	grant->name_len = name.len;
	grant->resource_len = resource.len;
	grant->token_len = token.len;
	uint8_t *at = grant->bytes;
	const gh_bytes parts[] = {name, resource, token};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		if (parts[i].len)
			memcpy(at, parts[i].data, parts[i].len);
		at += parts[i].len;
	}
	return grant;
}

gh_status amqp_peer_grant(struct amqp_conn *c, gh_bytes name, gh_bytes resource, gh_bytes token, gh_error *ret_err)
{
	gh_status status = grant_check(c, resource, token, ret_err);
	if (status != GH_OK)
		return status;
	grant_remove(c, name);
	if (c->grant_count >= amqp_limits(c)->amqp_grants_max)
		return gh_fail(ret_err, GH_QUOTA, "amqp_peers_max", "too many tokens on one connection");
	struct amqp_grant *grant = grant_new(name, resource, token);
	if (!grant)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for a token");
	grant->next = c->grants;
	c->grants = grant;
	c->grant_count++;
	c->since_ms = c->now_ms;
	grant_renew_peers(c, token);
	return GH_OK;
}

void amqp_peer_recheck(struct amqp_conn *c)
{
	for (struct amqp_grant **at = &c->grants; *at;) {
		struct amqp_grant *grant = *at;
		if (grant_check(c, grant_resource(grant), grant_token(grant), NULL) == GH_OK) {
			at = &grant->next;
			continue;
		}
		*at = grant->next;
		free(grant);
		c->grant_count--;
	}
}

/* ---- who may speak ---- */

gh_status amqp_peer_admit(
	struct amqp_conn *c, const struct amqp_readings *readings, struct amqp_peer **ret_peer, gh_error *ret_err)
{
	for (size_t i = 0; i < readings->count; i++) {
		struct amqp_peer *peer = peer_find(c, &readings->at[i]);
		if (peer && peer->credentials->revoked == GH_OK) {
			*ret_peer = peer;
			return GH_OK;
		}
	}
	gh_status status = gh_fail(ret_err, GH_UNAUTHORIZED, "amqp_no_token", "no token for this identity came before");
	for (const struct amqp_grant *grant = c->grants; grant; grant = grant->next)
		for (size_t i = 0; i < readings->count; i++) {
			status = peer_prove(c, &readings->at[i], grant_token(grant), true, ret_peer, ret_err);
			if (status == GH_OK)
				return status;
		}
	return status;
}

gh_status amqp_peer_submit(struct amqp_peer *peer, const gh_draft *draft, struct amqp_ticket *ticket)
{
	struct amqp_credential *credential = peer->credentials;
	gh_status status = gh_link_submit(credential->link, draft, ticket, peer->conn->now_ms);
	if (status == GH_OK)
		credential->inflight++;
	return status;
}

/* ---- sweeping ---- */

static void peer_sweep_old(struct amqp_peer *peer)
{
	for (struct amqp_credential **at = &peer->credentials->next; *at;) {
		struct amqp_credential *credential = *at;
		if (credential->inflight > 0) {
			at = &credential->next;
			continue;
		}
		*at = credential->next;
		peer_credential_free(credential);
	}
}

void amqp_peer_sweep(struct amqp_conn *c, void (*lost)(struct amqp_peer *peer, gh_status why))
{
	if (!c->sweeping)
		return;
	c->sweeping = false;
	for (struct amqp_peer *peer = c->peers, *next; peer; peer = next) {
		next = peer->next;
		gh_status why = peer->credentials->revoked;
		peer_sweep_old(peer);
		if (why == GH_OK)
			continue;
		if (!peer->lost)
			lost(peer, why);
		peer->lost = true;
		if (peer->credentials->next || peer->credentials->inflight > 0)
			continue; /* what it submitted while it could is still answered */
		peer_free(peer);
		if (c->peer_count == 0)
			c->since_ms = c->now_ms;
	}
}
