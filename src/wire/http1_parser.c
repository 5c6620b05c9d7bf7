/* http1_parser.c - the head of a request: request line and fields, byte for byte as RFC 9112 says and no wider.
 *
 * A head is scanned once, up to the first byte that may not stand where it stands; each line is then read once, when
 * it is whole.  What is refused, and for which rule, does not depend on how the bytes were cut: nothing beyond the
 * first offending byte is looked at, and nothing beyond a limit.  Who gives a field a meaning adds a row to `meanings`.
 */
#include "src/wire/http1_parser.h"

#include "src/base/text.h"
#include "src/wire/http1_rules.h"

#include <assert.h>
#include <stdlib.h>

enum { METHOD_BYTES_MAX = 32, VERSION_BYTES = 8, FIELDS_FIRST = 16, LENGTH_DIGITS_MAX = 19 };

/* ---- fields that mean something ---- */

enum seen {
	SEEN_HOST = 1 << 0,
	SEEN_CLOSE = 1 << 1,
	SEEN_KEEP_ALIVE = 1 << 2,
	SEEN_UPGRADE = 1 << 3,        /* the field */
	SEEN_UPGRADE_OPTION = 1 << 4, /* its name in Connection */
};

static enum http1_rule read_host(struct http1_head *head, gh_bytes value)
{
	if (head->seen & SEEN_HOST)
		return RULE_HOST_TWICE;
	head->seen |= SEEN_HOST;
	return http1_rules_all(value, HTTP1_HOST) ? RULE_KEPT : RULE_HOST;
}

static enum http1_rule read_content_length(struct http1_head *head, gh_bytes value)
{
	if (head->has_length)
		return RULE_LENGTH_TWICE;
	if (head->chunked)
		return RULE_LENGTH_CHUNKED;
	if (value.len > LENGTH_DIGITS_MAX || !text_u64(value, &head->content_length))
		return RULE_LENGTH;
	head->has_length = true;
	return RULE_KEPT;
}

/* A list of names of which one is not chunked is understood and not served; all else hides where the body ends. */
static enum http1_rule coding_rule(gh_bytes value)
{
	enum http1_rule rule = RULE_CODING;
	gh_bytes member;
	while (http1_rules_list_next(&value, &member)) {
		if (!http1_rules_all(member, HTTP1_TOKEN))
			return RULE_CODING;
		if (member.len && !text_equal_nocase(member, text_of("chunked")))
			rule = RULE_CODING_OTHER;
	}
	return rule;
}

static enum http1_rule read_transfer_encoding(struct http1_head *head, gh_bytes value)
{
	if (head->minor == 0)
		return RULE_CODING_EARLY; /* RFC 9112 6.1 */
	if (head->has_length)
		return RULE_LENGTH_CHUNKED;
	if (head->chunked || !text_equal_nocase(value, text_of("chunked")))
		return coding_rule(value);
	head->chunked = true;
	return RULE_KEPT;
}

static enum http1_rule read_connection(struct http1_head *head, gh_bytes value)
{
	static const struct {
		const char *name;
		enum seen seen;
	} options[] = {{"close", SEEN_CLOSE}, {"keep-alive", SEEN_KEEP_ALIVE}, {"upgrade", SEEN_UPGRADE_OPTION}};
	gh_bytes member;
	while (http1_rules_list_next(&value, &member)) {
		if (!http1_rules_all(member, HTTP1_TOKEN))
			return RULE_CONNECTION;
		for (size_t i = 0; i < sizeof options / sizeof *options; i++)
			if (text_equal_nocase(member, text_of(options[i].name)))
				head->seen |= options[i].seen;
	}
	return RULE_KEPT;
}

static enum http1_rule read_expect(struct http1_head *head, gh_bytes value)
{
	if (!text_equal_nocase(value, text_of("100-continue")))
		return RULE_EXPECT;
	head->expect_continue = head->minor > 0; /* RFC 9110 10.1.1 */
	return RULE_KEPT;
}

static enum http1_rule read_upgrade(struct http1_head *head, gh_bytes value)
{
	if (value.len)
		head->seen |= SEEN_UPGRADE;
	return RULE_KEPT;
}

/* By the length of the name, which no two of them share. */
#define MEANING(name, read) [sizeof(name) - 1] = {name, read}
static const struct meaning {
	const char *name;
	enum http1_rule (*read)(struct http1_head *head, gh_bytes value);
} meanings[] = {
	MEANING("host", read_host),                           /* RFC 9112 3.2 */
	MEANING("expect", read_expect),                       /* RFC 9110 10.1.1 */
	MEANING("upgrade", read_upgrade),                     /* RFC 9110 7.8 */
	MEANING("connection", read_connection),               /* RFC 9110 7.6.1 */
	MEANING("content-length", read_content_length),       /* RFC 9112 6.2 */
	MEANING("transfer-encoding", read_transfer_encoding), /* RFC 9112 6.1 */
};

static enum http1_rule field_apply(struct http1_head *head, gh_bytes name, gh_bytes value)
{
	if (name.len >= sizeof meanings / sizeof *meanings || !meanings[name.len].name)
		return RULE_KEPT;
	const struct meaning *meaning = &meanings[name.len];
	bool is_it = text_equal_nocase(name, (gh_bytes){(const uint8_t *)meaning->name, name.len});
	return is_it ? meaning->read(head, value) : RULE_KEPT;
}

/* ---- scanning a head ---- */

enum part { PART_METHOD, PART_TARGET, PART_VERSION, PART_FIELD, PART_COUNT };

struct scan {
	struct http1_head *head;
	const gh_limits *limits;
	const uint8_t *bytes;
	size_t end; /* what is here, up to http_head_bytes_max */
};

static struct http1_span span_of(size_t begin, size_t end)
{
	return (struct http1_span){(uint32_t)begin, (uint32_t)(end - begin)};
}

/* Goes on to the first byte not of the class, or to `stop`, and returns where that is.  s->end: all here are. */
static size_t scan_run(struct scan *s, enum http1_class class, size_t stop)
{
	size_t at = s->head->scan_at;
	if (stop > s->end)
		stop = s->end;
	while (at < stop && http1_rules_is(s->bytes[at], class))
		at++;
	return s->head->scan_at = at;
}

/* At the byte behind a line's text, which is CR LF or wrong. */
static enum http1_rule scan_line_end(struct scan *s, enum http1_rule other)
{
	size_t at = s->head->scan_at;
	if (s->bytes[at] != '\r')
		return http1_rules_byte(s->bytes[at], other);
	if (at + 1 == s->end)
		return RULE_MORE;
	if (s->bytes[at + 1] != '\n')
		return RULE_BARE_CR;
	s->head->scan_at = s->head->line_at = at + 2;
	return RULE_KEPT;
}

static enum http1_rule scan_method(struct scan *s)
{
	struct http1_head *head = s->head;
	size_t begin = head->line_at, end = scan_run(s, HTTP1_TOKEN, begin + METHOD_BYTES_MAX);
	if (end == s->end)
		return RULE_MORE;
	if (end == 0 && s->bytes[end] == '\r')
		return scan_line_end(s, RULE_REQUEST_LINE); /* the one empty line */
	if (end == begin || s->bytes[end] != ' ')
		return http1_rules_byte(s->bytes[end], RULE_REQUEST_LINE);
	head->method = span_of(begin, end);
	head->scan_at = end + 1;
	head->target = span_of(end + 1, end + 1);
	head->part = PART_TARGET;
	return RULE_KEPT;
}

static enum http1_rule scan_target(struct scan *s)
{
	struct http1_head *head = s->head;
	size_t begin = head->target.at, end = scan_run(s, HTTP1_TARGET, begin + s->limits->http_target_bytes_max);
	if (end == s->end)
		return RULE_MORE;
	if (http1_rules_is(s->bytes[end], HTTP1_TARGET))
		return RULE_TARGET_LONG;
	if (end == begin || s->bytes[end] != ' ')
		return http1_rules_byte(s->bytes[end], RULE_REQUEST_LINE);
	head->target = span_of(begin, end);
	head->scan_at = end + 1;
	head->part = PART_VERSION;
	return RULE_KEPT;
}

/* Keeps the path behind the authority; where there is none, the slash in front of the authority is one. */
static enum http1_rule target_cut(struct http1_head *head, gh_bytes target, size_t authority)
{
	size_t begin = head->target.at, at = authority;
	while (at < target.len && http1_rules_is(target.data[at], HTTP1_HOST))
		at++;
	if (at == authority || (at < target.len && target.data[at] != '/'))
		return RULE_TARGET;
	head->target = at < target.len ? span_of(begin + at, begin + target.len)
				       : span_of(begin + authority - 1, begin + authority);
	return RULE_KEPT;
}

static enum http1_rule target_absolute(struct http1_head *head, gh_bytes target)
{
	static const char *const schemes[] = {"http://", "https://"};
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (text_starts_nocase(target, schemes[i]))
			return target_cut(head, target, strlen(schemes[i]));
	return RULE_TARGET;
}

static enum http1_rule target_read(struct scan *s)
{
	gh_bytes method = http1_text(s->head->method, s->bytes), target = http1_text(s->head->target, s->bytes);
	if (text_equal(method, text_of("CONNECT")))
		return RULE_TARGET; /* with any target: some parsers see a tunnel behind it, not a next request */
	if (target.data[0] == '/')
		return RULE_KEPT;
	if (text_equal(target, text_of("*")) && text_equal(method, text_of("OPTIONS")))
		return RULE_KEPT;
	return target_absolute(s->head, target);
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* "HTTP/" digit, "." digit (RFC 9112 2.3); HTTP/2 and later are spelled without the dot. */
static enum http1_rule version_read(struct http1_head *head, gh_bytes version)
{
	const uint8_t *v = version.data;
	if (version.len < VERSION_BYTES - 2 || !text_starts(version, "HTTP/") || !is_digit(v[5]))
		return RULE_REQUEST_LINE;
	if (version.len == VERSION_BYTES - 2)
		return RULE_VERSION;
	if (version.len != VERSION_BYTES || v[6] != '.' || !is_digit(v[7]))
		return RULE_REQUEST_LINE;
	if (v[5] != '1' || v[7] > '1')
		return RULE_VERSION;
	head->minor = (uint8_t)(v[7] - '0');
	return RULE_KEPT;
}

static enum http1_rule scan_version(struct scan *s)
{
	struct http1_head *head = s->head;
	size_t begin = head->target.at + head->target.len + 1, end = scan_run(s, HTTP1_TARGET, begin + VERSION_BYTES);
	if (end == s->end)
		return RULE_MORE;
	enum http1_rule rule = scan_line_end(s, RULE_REQUEST_LINE);
	if (rule != RULE_KEPT)
		return rule;
	head->part = PART_FIELD;
	rule = version_read(head, http1_text(span_of(begin, end), s->bytes));
	return rule == RULE_KEPT ? target_read(s) : rule;
}

static enum http1_rule field_keep(struct scan *s, struct http1_field field)
{
	struct http1_head *head = s->head;
	if (head->field_count == s->limits->http_fields_max)
		return RULE_FIELDS;
	if (head->field_count == head->field_cap) {
		size_t cap = head->field_cap ? 2 * head->field_cap : FIELDS_FIRST;
		struct http1_field *fields = realloc(head->fields, cap * sizeof *fields);
		if (!fields)
			return RULE_MEMORY;
		head->fields = fields;
		head->field_cap = cap;
	}
	head->fields[head->field_count++] = field;
	return RULE_KEPT;
}

static enum http1_rule field_read(struct scan *s, size_t begin, size_t end)
{
	size_t colon = begin;
	while (colon < end && http1_rules_is(s->bytes[colon], HTTP1_TOKEN))
		colon++;
	if (colon == begin || colon == end || s->bytes[colon] != ':')
		return http1_rules_name_byte(s->bytes[colon], false);
	gh_bytes name = {s->bytes + begin, colon - begin};
	gh_bytes value = http1_rules_trim((gh_bytes){s->bytes + colon + 1, end - colon - 1});
	size_t value_at = (size_t)(value.data - s->bytes);
	enum http1_rule rule =
		field_keep(s, (struct http1_field){span_of(begin, colon), span_of(value_at, value_at + value.len)});
	return rule == RULE_KEPT ? field_apply(s->head, name, value) : rule;
}

static enum http1_rule head_end(struct http1_head *head)
{
	enum seen upgrade = SEEN_UPGRADE | SEEN_UPGRADE_OPTION;
	if (head->minor > 0 && !(head->seen & SEEN_HOST))
		return RULE_HOST_MISSING;
	head->keep_alive = !(head->seen & SEEN_CLOSE) && (head->minor > 0 || head->seen & SEEN_KEEP_ALIVE);
	head->upgrade = head->minor > 0 && (head->seen & upgrade) == upgrade; /* RFC 9110 7.8 */
	head->len = head->line_at;
	return RULE_KEPT;
}

static enum http1_rule scan_field(struct scan *s)
{
	size_t begin = s->head->line_at, end = scan_run(s, HTTP1_TEXT, begin + s->limits->http_field_bytes_max);
	if (begin < end && http1_rules_is_blank(s->bytes[begin]))
		return RULE_FOLDED;
	if (end == s->end)
		return RULE_MORE;
	if (http1_rules_is(s->bytes[end], HTTP1_TEXT))
		return RULE_FIELD_LONG;
	enum http1_rule rule = scan_line_end(s, RULE_NAME);
	if (rule != RULE_KEPT)
		return rule;
	return begin == end ? head_end(s->head) : field_read(s, begin, end);
}

gh_status http1_head_next(
	struct http1_head *head, gh_bytes bytes, const gh_limits *limits, uint16_t *ret_http, gh_error *ret_err)
{
	static enum http1_rule (*const parts[PART_COUNT])(struct scan *) = {
		[PART_METHOD] = scan_method,
		[PART_TARGET] = scan_target,
		[PART_VERSION] = scan_version,
		[PART_FIELD] = scan_field,
	};
	size_t end = bytes.len < limits->http_head_bytes_max ? bytes.len : limits->http_head_bytes_max;
	struct scan scan = {head, limits, bytes.data, end};
	assert(head->len == 0 && head->scan_at <= end);
	enum http1_rule rule = RULE_KEPT;
	while (rule == RULE_KEPT && head->len == 0)
		rule = parts[head->part](&scan);
	if (rule == RULE_MORE && end == limits->http_head_bytes_max)
		rule = RULE_HEAD_LONG;
	if (rule == RULE_KEPT || rule == RULE_MORE)
		return rule == RULE_KEPT ? GH_OK : GH_AGAIN;
	*ret_http = http1_rules_http(rule);
	return http1_rules_refuse(rule, ret_err);
}

void http1_head_init(struct http1_head *head)
{
	*head = (struct http1_head){0};
}

void http1_head_clear(struct http1_head *head)
{
	*head = (struct http1_head){.fields = head->fields, .field_cap = head->field_cap};
}

void http1_head_done(struct http1_head *head)
{
	free(head->fields);
	*head = (struct http1_head){0};
}
