/* sas_scope.c - is a token's sr good for a resource?  (device contract 3.5)
 *
 * SDKs write one and the same resource raw, encoded once, or with its ids encoded twice, and nothing in the token says
 * which.  So three readings are compared, segment by segment, and any of them may match.  Reading it anew never
 * refuses: a bad escape stays literal, because a percent sign is a character of ids.
 *
 * All scratch is on the stack: the longest resource (host and two ids, encoded twice) stays below SCOPE_BYTES_MAX, and
 * a longer sr covers nothing.
 */
#include "src/core/sas.h"

#include "src/base/text.h"

/* host, "devices", id, "modules", id; and one more for a stray api-version. */
enum { SCOPE_BYTES_MAX = 4096, RESOURCE_SEGMENTS_MAX = 5, SCOPE_SEGMENTS_MAX = RESOURCE_SEGMENTS_MAX + 1 };

struct scope {
	gh_bytes segments[SCOPE_SEGMENTS_MAX];
	size_t count;
};

static gh_bytes scope_skip(gh_bytes text, size_t n)
{
	return (gh_bytes){text.data + n, text.len - n};
}

static gh_bytes scope_trim(gh_bytes text)
{
	static const char *const schemes[] = {"https://", "amqps://"};
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
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
static bool scope_split(gh_bytes text, struct scope *ret_scope)
{
	gh_bytes rest = scope_trim(text);
	bool more = true;
	for (ret_scope->count = 0; more; ret_scope->count++) {
		if (ret_scope->count == SCOPE_SEGMENTS_MAX)
			return false;
		more = text_cut(rest, '/', &ret_scope->segments[ret_scope->count], &rest);
	}
	return true;
}

/* An old tool appended "/api-version=...".  Where an id belongs it is an id: dropping it there would turn a token for
 * that one device into a token for all. */
static size_t scope_count(const struct scope *scope)
{
	size_t count = scope->count;
	bool behind_whole_resource = count % 2 == 0;
	return behind_whole_resource && text_starts(scope->segments[count - 1], "api-version=") ? count - 1 : count;
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

static bool scope_matches(const struct scope *scope, const struct sas_resource *resource, bool ids_nocase, bool whole)
{
	const struct {
		gh_bytes text;
		bool nocase;
	} parts[RESOURCE_SEGMENTS_MAX] = {
		{{NULL, 0}, true}, /* the host has its own rule */
		{text_of("devices"), true},
		{resource->device_id, ids_nocase},
		{text_of("modules"), true},
		{resource->module_id, ids_nocase},
	};
	size_t part_count = resource->module_id.len > 0 ? 5 : 3, count = scope_count(scope);
	if (count > part_count || (whole && count < part_count) ||
		!scope_host_matches(scope->segments[0], resource->hosts))
		return false;
	for (size_t i = 1; i < count; i++)
		if (!(parts[i].nocase ? text_equal_nocase : text_equal)(scope->segments[i], parts[i].text))
			return false;
	return true;
}

bool sas_scope_covers(gh_bytes sr, const struct sas_resource *resource, bool ids_nocase, bool whole)
{
	uint8_t once[SCOPE_BYTES_MAX], twice[SCOPE_BYTES_MAX];
	struct scope scope;
	if (sr.len == 0 || sr.len > SCOPE_BYTES_MAX || resource->device_id.len == 0)
		return false;
	if (scope_split(sr, &scope) && scope_matches(&scope, resource, ids_nocase, whole))
		return true;
	gh_bytes decoded = {once, text_percent_decode(sr, once, NULL)};
	if (!scope_split(decoded, &scope))
		return false;
	if (scope_matches(&scope, resource, ids_nocase, whole))
		return true;
	uint8_t *at = twice;
	for (size_t i = 0; i < scope.count; i++) {
		size_t len = text_percent_decode(scope.segments[i], at, NULL);
		scope.segments[i] = (gh_bytes){at, len};
		at += len;
	}
	return scope_matches(&scope, resource, ids_nocase, whole);
}
