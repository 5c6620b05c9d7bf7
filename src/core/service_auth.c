/* service_auth.c - may this back end have what it asks for?  (service contract 1)
 *
 * A token proves that its maker holds a policy's key; who presents it stays unknown, so the log says where from.  The
 * store is read each time: a key that was changed is good for nothing from the next request on.
 */
#include <gatehouse/service.h>

#include "src/core/link.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

static gh_status service_auth_check(const gh_worker *worker, const gh_service_claim *claim, gh_error *ret_err)
{
	const struct authenticate_rules *rules = worker->rules;
	if (claim->token.len == 0)
		return gh_fail(ret_err, GH_UNAUTHORIZED, "token_missing", "no token");
	gh_status status = authenticate_switched_on(&rules->switches, GH_AUTH_POLICY_SAS, ret_err);
	if (status != GH_OK)
		return status;
	struct sas_service_check check = {
		.text = claim->token,
		.now_s = worker->wall_ms / 1000,
		.limits = rules->limits,
		.resource = {.hosts = rules->hosts, .segment_count = claim->segment_count},
		.rights = claim->rights,
		.text_keys = claim->text_keys,
		.find_policy = policy_read,
		.find_policy_context = rules->store,
	};
	memcpy(check.resource.segments, claim->segments, sizeof claim->segments);
	struct sas_verdict verdict;
	return sas_verify_service(&check, &verdict, ret_err);
}

/* "devices/d1" for the log, cut to fit. */
static gh_bytes service_auth_path(const gh_service_claim *claim, uint8_t *room, size_t cap)
{
	size_t len = 0;
	for (size_t i = 0; i < claim->segment_count; i++) {
		gh_bytes segment = claim->segments[i];
		if (i > 0 && len < cap)
			room[len++] = '/';
		size_t n = segment.len < cap - len ? segment.len : cap - len;
		if (n > 0)
			memcpy(room + len, segment.data, n);
		len += n;
	}
	return (gh_bytes){room, len};
}

static void service_auth_refused(gh_worker *worker, const gh_service_claim *claim, const gh_error *err)
{
	uint64_t skipped;
	uint8_t path[sizeof(struct log_text)];
	if (!link_refusal(worker, &skipped))
		return;
	log_event(worker->log, LOG_INFO, "refused",
		"transport=%s resource=%s peer=%s client=%s status=%s code=%s reason=\"%s\" skipped=%" PRIu64,
		claim->transport, LOG_TEXT(service_auth_path(claim, path, sizeof path)),
		claim->peer.address ? claim->peer.address : "", LOG_TEXT(claim->client_info),
		gh_status_name(err->status), err->code, err->text, skipped);
}

gh_status gh_service_authorize(gh_worker *worker, const gh_service_claim *claim, gh_error *ret_err)
{
	assert(claim->segment_count <= GH_RESOURCE_SEGMENTS_MAX);
	gh_error local, *err = ret_err ? ret_err : &local;
	gh_status status = service_auth_check(worker, claim, err);
	if (status != GH_OK)
		service_auth_refused(worker, claim, err);
	return status;
}
