#include "transports/https/h2_head.h"

#include "src/base/take.h"
#include "src/base/text.h"

const struct h2_refusal h2_head_too_large = {431, GH_TOO_LARGE, "head_too_large", "The header fields are too large."};

static const struct h2_refusal head_fields = {431, GH_TOO_LARGE, "fields", "There are too many header fields."};
static const struct h2_refusal head_field = {431, GH_TOO_LARGE, "field_too_large", "A header field is too large."};
static const struct h2_refusal head_target = {414, GH_TOO_LARGE, "target_too_long", "The path is too long."};
static const struct h2_refusal head_connect = {501, GH_INVALID, "connect", "This is not a proxy."};
static const struct h2_refusal head_scheme = {400, GH_MALFORMED, "scheme", "The scheme is not https."};
static const struct h2_refusal head_host = {400, GH_MALFORMED, "host", "Host and :authority differ."};
static const struct h2_refusal head_memory = {0, GH_NO_MEMORY, "no_memory", "There is no memory for the request."};

void h2_head_init(struct h2_head *h, void *room, size_t size)
{
	*h = (struct h2_head){.fields = room, .cap = (uint32_t)size};
}

void h2_head_done(struct h2_head *h)
{
	if (h->owned)
		free(h->fields);
	*h = (struct h2_head){.fields = NULL};
}

static bool head_is(gh_bytes name, const char *wanted)
{
	return text_equal(name, text_of(wanted));
}

/* ---- collecting ---- */

static uint8_t *head_end(const struct h2_head *h)
{
	return (uint8_t *)h->fields + h->cap;
}

static gh_bytes head_moved(gh_bytes text, const uint8_t *from, uint8_t *to)
{
	return (gh_bytes){to - (from - text.data), text.len};
}

/* Text keeps its distance from the end of the block. */
static bool head_grow(struct h2_head *h, size_t cap)
{
	uint8_t *block = malloc(cap);
	if (!block)
		return false;
	const uint8_t *from = head_end(h);
	uint8_t *to = block + cap;
	struct rest_field *fields = (struct rest_field *)block;
	for (size_t i = 0; i < h->field_count; i++)
		fields[i] = (struct rest_field){
			head_moved(h->fields[i].name, from, to), head_moved(h->fields[i].value, from, to)};
	memcpy(to - h->text_len, from - h->text_len, h->text_len);
	if (h->owned)
		free(h->fields);
	h->fields = fields;
	h->cap = (uint32_t)cap;
	h->owned = true;
	return true;
}

static bool head_reserve(struct h2_head *h, size_t text_len)
{
	size_t need = (h->field_count + 1) * sizeof *h->fields + h->text_len + text_len, cap = h->cap;
	while (cap < need)
		cap *= 2;
	return cap == h->cap || head_grow(h, cap);
}

static gh_bytes head_put(struct h2_head *h, gh_bytes text)
{
	h->text_len += (uint32_t)text.len;
	uint8_t *at = head_end(h) - h->text_len;
	if (text.len)
		memcpy(at, text.data, text.len);
	return (gh_bytes){at, text.len};
}

static const struct h2_refusal *head_fault(struct h2_head *h, const gh_limits *limits, gh_bytes name, gh_bytes value)
{
	if (value.len > limits->http_target_bytes_max && head_is(name, ":path"))
		return &head_target;
	if (name.len + value.len > limits->http_field_bytes_max)
		return &head_field;
	if (h->field_count >= limits->http_fields_max)
		return &head_fields;
	return head_reserve(h, name.len + value.len) ? NULL : &head_memory;
}

void h2_head_add(struct h2_head *h, const gh_limits *limits, gh_bytes name, gh_bytes value)
{
	if (head_is(name, ":method"))
		h->head_only = head_is(value, "HEAD");
	if (!h->refusal)
		h->refusal = head_fault(h, limits, name, value);
	if (h->refusal)
		return;
	gh_bytes kept = head_put(h, name);
	h->fields[h->field_count++] = (struct rest_field){kept, head_put(h, value)};
}

/* ---- reading ---- */

/* Takes the pseudo-header fields, which come first; returns how many there are. */
static size_t head_pseudo(
	const struct h2_head *h, gh_bytes *ret_scheme, gh_bytes *ret_authority, struct h2_request *ret)
{
	const struct {
		const char *name;
		gh_bytes *ret_value;
	} table[] = {
		{":method", &ret->rest.method},
		{":path", &ret->rest.target},
		{":scheme", ret_scheme},
		{":authority", ret_authority},
	};
	size_t i;
	for (i = 0; i < h->field_count && h->fields[i].name.len && h->fields[i].name.data[0] == ':'; i++)
		for (size_t k = 0; k < sizeof table / sizeof *table; k++)
			if (head_is(h->fields[i].name, table[k].name))
				*table[k].ret_value = h->fields[i].value;
	return i;
}

/* A host that repeats :authority goes; another one is two hosts (RFC 9113 8.3.1). */
static bool head_host_agrees(struct h2_head *h, size_t first, gh_bytes authority)
{
	for (size_t i = first; i < h->field_count;) {
		if (!head_is(h->fields[i].name, "host")) {
			i++;
			continue;
		}
		if (!text_equal_nocase(h->fields[i].value, authority))
			return false;
		h->fields[i] = h->fields[--h->field_count];
	}
	return true;
}

static void head_framing(const struct rest_request *rest, struct h2_request *ret)
{
	for (size_t i = 0; i < rest->field_count; i++) {
		gh_bytes name = rest->fields[i].name, value = rest->fields[i].value;
		if (head_is(name, "content-length"))
			ret->has_length = text_u64(value, &ret->content_length);
		else if (head_is(name, "expect"))
			ret->expect_continue = text_equal_nocase(value, text_of("100-continue"));
	}
}

const struct h2_refusal *h2_head_finish(struct h2_head *h, struct h2_request *ret_request)
{
	struct h2_request request = {.has_length = false};
	gh_bytes scheme = {NULL, 0}, authority = {NULL, 0};
	if (h->refusal)
		return h->refusal;
	size_t first = head_pseudo(h, &scheme, &authority, &request);
	if (!request.rest.target.data)
		return &head_connect;
	/* Of these two nghttp2 has also checked that the path begins with a slash. */
	if (!text_equal_nocase(scheme, text_of("https")) && !text_equal_nocase(scheme, text_of("http")))
		return &head_scheme;
	if (authority.data) {
		if (!head_host_agrees(h, first, authority))
			return &head_host;
		h->fields[--first] = (struct rest_field){text_of("host"), authority};
	}
	request.rest.fields = h->fields + first;
	request.rest.field_count = h->field_count - first;
	head_framing(&request.rest, &request);
	*ret_request = request;
	return NULL;
}
