/* sas.h - SAS tokens: parse, verify, explain (device contract section 3, service contract 1.3).
 *
 * Pure functions: keys and the time come in, a verdict goes out.  What is signed is the text of sr and se exactly as
 * received; decoding happens afterwards and never re-encodes.  A refusal carries a stable code for the log; the peer is
 * told nothing but "unauthorized".
 */
#ifndef GATEHOUSE_CORE_SAS_H
#define GATEHOUSE_CORE_SAS_H

#include <gatehouse/limits.h>
#include <gatehouse/service.h>

enum { SAS_SIGNATURE_BYTES = 32, SAS_KEY_BYTES_MAX = 64, SAS_POLICY_BYTES_MAX = 256 };
#define SAS_NEVER UINT64_MAX

/* A parsed token; runs borrow from the text it was parsed from. */
struct sas_token {
	gh_bytes sr;      /* as received */
	gh_bytes se_text; /* as received */
	uint64_t se;      /* seconds since 1970, SAS_NEVER beyond 9999-12-31 */
	uint8_t signature[SAS_SIGNATURE_BYTES];
	char policy[SAS_POLICY_BYTES_MAX + 1]; /* decoded skn */
	size_t policy_len;                     /* 0 = none */
};

/* GH_UNAUTHORIZED with one of the codes token_too_long, token_form, token_field_repeated, token_field_missing,
 * token_signature_form, token_policy_form, token_expiry_form. */
gh_status sas_parse(gh_bytes text, const gh_limits *limits, struct sas_token *ret_token, gh_error *ret_err);

/* A decoded key, 1..64 bytes; len 0 = no key. */
struct sas_key {
	uint8_t bytes[SAS_KEY_BYTES_MAX];
	size_t len;
};

/* False when the text is not base64 of 1 to 64 bytes. */
bool sas_key_decode(gh_bytes base64, struct sas_key *ret_key);

struct sas_key_pair {
	struct sas_key primary;
	struct sas_key secondary;
};

/* Constant-time comparison with each key of the pair; which one matched, or SAS_NO_KEY. */
enum sas_key_slot { SAS_NO_KEY, SAS_PRIMARY, SAS_SECONDARY };
enum sas_key_slot sas_match(const struct sas_token *token, const struct sas_key_pair *keys);

/* What a token is presented for: host/segments[0]/...; segments are decoded, and none is empty. */
struct sas_resource {
	const char *const *hosts; /* NULL-terminated: the host name and its aliases */
	gh_bytes segments[GH_RESOURCE_SEGMENTS_MAX];
	size_t segment_count; /* 0 = the hub itself */
};
/* devices/{d}, or devices/{d}/modules/{m} when there is a module id. */
struct sas_resource sas_resource_device(const char *const *hosts, gh_bytes device_id, gh_bytes module_id);

/* Whose key signed, and for whom. */
enum sas_scope {
	SAS_SCOPE_IDENTITY, /* an identity's own: the whole resource, names without case */
	SAS_SCOPE_POLICY,   /* a policy's, for a device: any part that comes first, names exact */
	SAS_SCOPE_SERVICE,  /* a policy's, for a back end: so too, and sb:// may stand before the host */
};

/* Is the token's sr, in any of the spellings clients use, a segment-wise prefix of the resource? */
bool sas_scope_covers(gh_bytes sr, const struct sas_resource *resource, enum sas_scope rule);
/* Does sr, raw or decoded once, begin with sb:// or amqps://? */
bool sas_scope_is_amqp(gh_bytes sr);

/* A policy as the verifier needs it.  GH_NOT_FOUND when there is none of that name (compared without case); anything else
 * but GH_OK: it cannot be known now. */
struct sas_policy {
	char name[SAS_POLICY_BYTES_MAX + 1];
	unsigned rights; /* GH_RIGHT_* */
	struct sas_key_pair keys;
};
typedef gh_status sas_find_policy(void *context, gh_bytes name, struct sas_policy *ret_policy);

struct sas_check {
	gh_bytes text;
	uint64_t now_s;
	const gh_limits *limits;
	const char *const *hosts; /* as in struct sas_resource */
	gh_bytes device_id;
	gh_bytes module_id;                       /* empty = the device itself */
	const struct sas_key_pair *identity_keys; /* the claimed identity's own; NULL = it has none */
	sas_find_policy *find_policy;
	void *find_policy_context;
};

struct sas_verdict {
	gh_auth_method method;
	uint64_t expires_s; /* se; SAS_NEVER */
	enum sas_key_slot slot;
	struct sas_key key;                    /* the one that made the signature, as it was read for this check */
	char policy[SAS_POLICY_BYTES_MAX + 1]; /* "" = identity key */
};

/* The whole of 3.4.  GH_OK and *ret_verdict, or GH_UNAUTHORIZED with a code: those of sas_parse, token_expired,
 * token_policy_unknown, token_policy_right, token_signature, token_scope, token_no_key.
 * GH_UNAVAILABLE, policy_unreadable: the policy could not be looked up, which is no verdict. */
gh_status sas_verify(const struct sas_check *check, struct sas_verdict *ret_verdict, gh_error *ret_err);

/* A token that a back end presents. */
struct sas_service_check {
	gh_bytes text;
	uint64_t now_s;
	const gh_limits *limits;
	struct sas_resource resource;
	unsigned rights; /* GH_RIGHT_*: the policy must have them all; 0 = any policy */
	bool text_keys;  /* where sr begins with sb:// or amqps://, a key's base64 text may be the key */
	sas_find_policy *find_policy;
	void *find_policy_context;
};

/* Service contract 1.3: only a policy's keys, and not a second beyond se.  Statuses and codes as sas_verify, and
 * token_policy_missing: the token names no policy.  verdict->key is the one of the slot, decoded, by whichever reading. */
gh_status sas_verify_service(const struct sas_service_check *check, struct sas_verdict *ret_verdict, gh_error *ret_err);

/* Builds a token over percent-encoded resource, for tools and tests; policy may be "".  Returns the length without NUL,
 * or 0 when it does not fit in cap. */
size_t sas_create(
	const char *resource, const struct sas_key *key, const char *policy, uint64_t se, char *ret_text, size_t cap);

#endif
