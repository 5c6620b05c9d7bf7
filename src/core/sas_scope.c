/* sas_scope.c - is a token's sr good for a resource?  (device contract 3.5, service contract 1.3)
 *
 * SDKs write one and the same resource raw, encoded once, or with its ids encoded twice, and nothing in the token says
 * which.  So three readings are compared, segment by segment, and any of them may match.  Reading it anew never
 * refuses: a bad escape stays literal, because a percent sign is a character of ids.
 *
 * A segment of the resource is a name when it stands behind a word that a name belongs to (devices/{d}), and nowhere
 * else, so a device may be called "modules".  The words of the table compare without case, names by whose key signed,
 * and whatever is neither (the name of the hub) byte for byte: what is not known here opens nothing more.
 *
 * All scratch is on the stack: the longest resource (host and two ids, encoded twice) stays below SCOPE_BYTES_MAX, and
 * a longer sr covers nothing.
 */
#include "src/core/sas.h"

#include "src/base/text.h"

#include <assert.h>

/* The host, the resource, and one more for a stray api-version. */
enum { SCOPE_BYTES_MAX = 4096, SCOPE_SEGMENTS_MAX = 1 + GH_RESOURCE_SEGMENTS_MAX + 1 };

struct scope {
	gh_bytes segments[SCOPE_SEGMENTS_MAX];
	size_t count;
};

static const struct {
	bool names_nocase;
	bool whole; /* the full resource, not a part of it that comes first */
	bool sb;    /* sb:// may stand before the host */
} scope_rules[] = {
	[SAS_SCOPE_IDENTITY] = {true, true, false},
	[SAS_SCOPE_POLICY] = {false, false, false},
	[SAS_SCOPE_SERVICE] = {false, false, true},
};

/* ---- the resource ---- */

static const struct scope_word {
	const char *word;
	bool name_follows;
} scope_words[] = {
	{"devices", true},
	{"modules", true},
	{"twins", true},
	{"methods", false},
	{"statistics", false},
	{"service", false},
	{"messages", false},
	{"events", false},
	{"devicebound", false},
	{"servicebound", false},
	{"feedback", false},
	{"ConsumerGroups", true},
	{"Partitions", true},
	{"$management", false},
};

enum scope_place { SCOPE_OTHER, SCOPE_WORD, SCOPE_NAME };

struct scope_claim {
	const struct sas_resource *resource;
	enum scope_place places[GH_RESOURCE_SEGMENTS_MAX]; /* what stands at each of its segments */
	enum sas_scope rule;
};

static const struct scope_word *scope_find_word(gh_bytes segment)
{
	for (size_t i = 0; i < sizeof scope_words / sizeof *scope_words; i++)
		if (text_equal_nocase(segment, text_of(scope_words[i].word)))
			return &scope_words[i];
	return NULL;
}

/* False when the resource is none: a segment is empty. */
static bool scope_read_claim(const struct sas_resource *resource, enum sas_scope rule, struct scope_claim *ret_claim)
{
	struct scope_claim claim = {.resource = resource, .rule = rule};
	bool name = false;
	assert(resource->segment_count <= GH_RESOURCE_SEGMENTS_MAX);
	for (size_t i = 0; i < resource->segment_count; i++) {
		if (resource->segments[i].len == 0)
			return false;
		const struct scope_word *word = name ? NULL : scope_find_word(resource->segments[i]);
		claim.places[i] = name ? SCOPE_NAME : word ? SCOPE_WORD : SCOPE_OTHER;
		name = word && word->name_follows;
	}
	*ret_claim = claim;
	return true;
}

struct sas_resource sas_resource_device(const char *const *hosts, gh_bytes device_id, gh_bytes module_id)
{
	return (struct sas_resource){
		.hosts = hosts,
		.segments = {text_of("devices"), device_id, text_of("modules"), module_id},
		.segment_count = module_id.len > 0 ? 4 : 2,
	};
}

/* ---- the scope ---- */

static gh_bytes scope_skip(gh_bytes text, size_t n)
{
	return (gh_bytes){text.data + n, text.len - n};
}

static gh_bytes scope_trim(gh_bytes text, bool sb)
{
	static const char *const schemes[] = {"https://", "amqps://", "sb://"};
	size_t scheme_count = sizeof schemes / sizeof *schemes - (sb ? 0 : 1);
	for (size_t i = 0; i < scheme_count; i++)
		if (text_starts_nocase(text, schemes[i])) {
			text = scope_skip(text, strlen(schemes[i]));
			break;
		}
	if (text.len > 0 && text.data[0] == '/')
		text = scope_skip(text, 1);
	if (text.len > 0 && text.data[text.len - 1] == '/')
		text.len--;
	return text;
}

/* False when there are more segments than any scope has. */
static bool scope_split(gh_bytes text, bool sb, struct scope *ret_scope)
{
	gh_bytes rest = scope_trim(text, sb);
	bool more = true;
	for (ret_scope->count = 0; more; ret_scope->count++) {
		if (ret_scope->count == SCOPE_SEGMENTS_MAX)
			return false;
		more = text_cut(rest, '/', &ret_scope->segments[ret_scope->count], &rest);
	}
	return true;
}

/* An old tool appended "/api-version=..." to a whole resource: a host, or something that has a name.  Anywhere else it
 * may be a name itself: dropping it there would turn a token for that one device into a token for all. */
static size_t scope_count(const struct scope *scope, const struct scope_claim *claim)
{
	size_t last = scope->count - 1; /* segment `last` of the scope is last - 1 of the resource, for the host is 0 */
	if (last == 0 || !text_starts(scope->segments[last], "api-version="))
		return scope->count;
	bool behind_name =
		last >= 2 && last - 2 < claim->resource->segment_count && claim->places[last - 2] == SCOPE_NAME;
	return last == 1 || behind_name ? last : scope->count;
}

static gh_bytes scope_without_port(gh_bytes host)
{
	for (size_t i = host.len; i > 1; i--) {
		uint8_t c = host.data[i - 1];
		if (c == ':')
			return (gh_bytes){host.data, i - 1};
		if (c < '0' || c > '9')
			break;
	}
	return host;
}

static bool scope_host_matches(gh_bytes host, const char *const *hosts)
{
	gh_bytes bare = scope_without_port(host);
	for (; *hosts; hosts++)
		if (text_equal_nocase(host, text_of(*hosts)) || text_equal_nocase(bare, text_of(*hosts)))
			return true;
	return false;
}

static bool scope_matches(const struct scope *scope, const struct scope_claim *claim)
{
	const struct sas_resource *resource = claim->resource;
	size_t part_count = 1 + resource->segment_count, count = scope_count(scope, claim);
	if (count > part_count || (scope_rules[claim->rule].whole && count < part_count) ||
		!scope_host_matches(scope->segments[0], resource->hosts))
		return false;
	for (size_t i = 1; i < count; i++) {
		enum scope_place place = claim->places[i - 1];
		bool nocase = place == SCOPE_WORD || (place == SCOPE_NAME && scope_rules[claim->rule].names_nocase);
		if (!(nocase ? text_equal_nocase : text_equal)(scope->segments[i], resource->segments[i - 1]))
			return false;
	}
	return true;
}

bool sas_scope_covers(gh_bytes sr, const struct sas_resource *resource, enum sas_scope rule)
{
	uint8_t once[SCOPE_BYTES_MAX], twice[SCOPE_BYTES_MAX];
	bool sb = scope_rules[rule].sb;
	struct scope scope;
	struct scope_claim claim;
	if (sr.len == 0 || sr.len > SCOPE_BYTES_MAX || !scope_read_claim(resource, rule, &claim))
		return false;
	if (scope_split(sr, sb, &scope) && scope_matches(&scope, &claim))
		return true;
	gh_bytes decoded = {once, text_percent_decode(sr, once, NULL)};
	if (!scope_split(decoded, sb, &scope))
		return false;
	if (scope_matches(&scope, &claim))
		return true;
	uint8_t *at = twice;
	for (size_t i = 0; i < scope.count; i++) {
		size_t len = text_percent_decode(scope.segments[i], at, NULL);
		scope.segments[i] = (gh_bytes){at, len};
		at += len;
	}
	return scope_matches(&scope, &claim);
}

bool sas_scope_is_amqp(gh_bytes sr)
{
	static const char *const schemes[] = {"sb://", "amqps://"};
	enum { SCHEME_BYTES_MAX = 3 * (sizeof "amqps://" - 1) }; /* all of it encoded */
	uint8_t start[SCHEME_BYTES_MAX];
	gh_bytes raw = {sr.data, sr.len < SCHEME_BYTES_MAX ? sr.len : SCHEME_BYTES_MAX};
	gh_bytes decoded = {start, text_percent_decode(raw, start, NULL)};
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (text_starts_nocase(raw, schemes[i]) || text_starts_nocase(decoded, schemes[i]))
			return true;
	return false;
}
