/* authenticate.h - may this peer speak as the identity it claims, and does it still? (device contract 2.4)
 *
 * Reads the store; decides nothing about sessions.
 */
#ifndef GATEHOUSE_CORE_AUTHENTICATE_H
#define GATEHOUSE_CORE_AUTHENTICATE_H

#include <gatehouse/core.h>
#include <gatehouse/store.h>

#include "src/core/registry.h"

/* Hub-wide switches: a kind of SAS token that is refused although it is right. */
struct authenticate_switches {
	bool device_sas_off; /* tokens signed with a device's own key */
	bool module_sas_off; /* tokens signed with a module's own key */
	bool policy_sas_off; /* tokens signed with a policy key */
};

struct authenticate_rules {
	gh_store *store;
	const gh_limits *limits;
	const char *const *hosts; /* NULL-terminated */
	gh_status disabled_status;
	struct authenticate_switches switches;
	uint64_t seed[2]; /* of key prints */
};

/* GH_UNAUTHORIZED, sas_switched_off. */
gh_status authenticate_switched_on(const struct authenticate_switches *off, gh_auth_method method, gh_error *ret_err);

/* Empty, or one of the hub's, with or without :port. */
bool authenticate_host_known(const struct authenticate_rules *rules, gh_bytes named);

/* What a link keeps of the credential it was opened with. */
struct principal {
	gh_auth_method method;
	uint64_t expires_s; /* SAS_NEVER */
	uint64_t key_print; /* of the key that verified, to see later whether it still stands */
	char policy[SAS_POLICY_BYTES_MAX + 1];
	char generation_id[REGISTRY_GENERATION_BYTES_MAX + 1];
};

/* GH_UNAUTHORIZED, the rules' disabled_status, GH_UNAVAILABLE (store); *ret_err carries the code for the log. */
gh_status authenticate(const struct authenticate_rules *rules, const gh_link_request *request, uint64_t now_s,
	struct principal *ret_principal, gh_error *ret_err);

/* The same decision later, without the token: is the identity there, the same, enabled, and does the key still stand? */
struct authenticate_claim {
	gh_bytes device_id;
	gh_bytes module_id;
	gh_bytes generation_id;
	gh_bytes policy; /* empty = identity key */
	uint64_t key_print;
};
gh_status authenticate_again(
	const struct authenticate_rules *rules, const struct authenticate_claim *claim, gh_error *ret_err);

#endif
