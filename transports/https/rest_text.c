#include "transports/https/rest_text.h"

#include "src/base/text.h"
#include "src/wire/hub_error.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { TRACKING_BYTES = 16, TRACKING_TEXT_SIZE = 2 * TRACKING_BYTES + 1, FIELD_TEXT_SIZE = 160 };

struct rest_text {
	char tracking[TRACKING_TEXT_SIZE];
	char etag[FIELD_TEXT_SIZE];
	char allow[FIELD_TEXT_SIZE];
	size_t continuation_len;
	uint8_t bytes[]; /* body, continuation */
};

static const char content_type_json[] = "application/json; charset=utf-8";

void rest_text_free(struct rest_text *text)
{
	free(text);
}

static void text_field(struct rest_exchange *x, const char *name, gh_bytes value)
{
	assert(x->answer.field_count < REST_ANSWER_FIELDS_MAX);
	x->answer.fields[x->answer.field_count++] = (struct rest_field){text_of(name), value};
}

/* Every request that is answered with more than a number can be found again by this one. */
static struct rest_text *text_new(struct rest_exchange *x, size_t len)
{
	uint8_t random[TRACKING_BYTES];
	assert(!x->texts);
	x->answer = (struct rest_answer){.status = 0};
	struct rest_text *text = malloc(sizeof *text + len);
	if (!text)
		return NULL;
	gh_worker_random(x->conn->worker, random, sizeof random);
	text_hex_encode(random, sizeof random, text->tracking);
	text->etag[0] = text->allow[0] = '\0';
	text->continuation_len = 0;
	x->texts = text;
	text_field(x, "x-ms-request-id", text_of(text->tracking));
	return text;
}

/* ---- refusals ---- */

/* "11/22/2026 18:56:01" from the RFC 3339 text of the same moment. */
static void text_american_time(uint64_t wall_ms, char ret_text[20])
{
	char iso[TEXT_TIME_SIZE];
	text_time(wall_ms, iso);
	snprintf(ret_text, 20, "%.2s/%.2s/%.4s %.8s", iso + 5, iso + 8, iso, iso + 11);
}

/* Clients cut the sentence at the next semicolon, and it stands in JSON. */
static void text_plain(const char *text, char *ret_plain, size_t size)
{
	size_t len = 0;
	for (; *text && len < size - 1; text++) {
		uint8_t c = (uint8_t)*text;
		ret_plain[len++] = c == ';' ? ',' : c == '"' || c == '\\' ? '\'' : c < 0x20 || c > 0x7e ? ' ' : (char)c;
	}
	ret_plain[len] = '\0';
}

enum { REFUSAL_BODY_BYTES = GH_ERROR_TEXT_MAX + 256 };

static void text_refusal_body(struct rest_exchange *x, struct rest_text *text, const char *name, const char *sentence)
{
	char plain[GH_ERROR_TEXT_MAX], time[20];
	text_plain(sentence, plain, sizeof plain);
	text_american_time(gh_worker_wall_ms(x->conn->worker), time);
	int len = snprintf((char *)text->bytes, REFUSAL_BODY_BYTES,
		"{\"Message\":\"ErrorCode:%s;%s\",\"ExceptionMessage\":\"Tracking ID:%s-G:0-TimeStamp:%s\"}", name,
		plain, text->tracking, time);
	assert(len > 0 && len < REFUSAL_BODY_BYTES);
	x->answer.body = (gh_bytes){text->bytes, (size_t)len};
	text_field(x, "content-type", text_of(content_type_json));
}

void rest_text_refusal(struct rest_exchange *x, uint16_t http, gh_status status, const char *code, const char *sentence,
	const char *allow)
{
	const struct hub_error *error = hub_error_of(status, code);
	struct rest_text *text = text_new(x, REFUSAL_BODY_BYTES);
	x->answer.status = http ? http : error->http;
	text_field(x, "iothub-errorcode", text_of(error->name));
	if (x->answer.status == 401)
		text_field(x, "www-authenticate", text_of("SharedAccessSignature"));
	if (x->answer.status == 426)
		text_field(x, "sec-websocket-version", text_of("13")); /* RFC 6455 4.4 */
	if (x->answer.status == 503)
		text_field(x, "retry-after", text_of("1"));
	if (!text)
		return;
	/* Why a credential was refused stands in the log; whoever sent it learns nothing from us. */
	bool secret = x->answer.status == 401 || status == GH_UNAUTHORIZED;
	text_refusal_body(x, text, error->name,
		secret                  ? "Unauthorized"
		: sentence && *sentence ? sentence
					: error->name);
	if (*allow) {
		snprintf(text->allow, sizeof text->allow, "%s", allow);
		text_field(x, "allow", text_of(text->allow));
	}
}

/* ---- successes ---- */

void rest_text_done(struct rest_exchange *x)
{
	x->answer = (struct rest_answer){.status = 204};
}

static void text_service_fields(struct rest_exchange *x, struct rest_text *text, const gh_service_answer *answer)
{
	if (answer->body.len)
		text_field(x, "content-type", text_of(content_type_json));
	if (answer->etag && *answer->etag) {
		snprintf(text->etag, sizeof text->etag, "\"%s\"", answer->etag);
		text_field(x, "etag", text_of(text->etag));
	}
	if (answer->item_type && *answer->item_type)
		text_field(x, "x-ms-item-type", text_of(answer->item_type));
	if (text->continuation_len)
		text_field(x, "x-ms-continuation", (gh_bytes){text->bytes + answer->body.len, text->continuation_len});
}

void rest_text_service(struct rest_exchange *x, const gh_service_answer *answer, bool empty_ok)
{
	if (answer->status != GH_OK && answer->body.len == 0) {
		rest_text_refusal(x, 0, answer->status, answer->err.code, answer->err.text, "");
		return;
	}
	struct rest_text *text = text_new(x, answer->body.len + answer->continuation.len);
	if (!text) {
		rest_text_refusal(x, 0, GH_NO_MEMORY, NULL, NULL, "");
		return;
	}
	if (answer->body.len)
		memcpy(text->bytes, answer->body.data, answer->body.len);
	if (answer->continuation.len)
		memcpy(text->bytes + answer->body.len, answer->continuation.data, answer->continuation.len);
	text->continuation_len = answer->continuation.len;
	x->answer.status = empty_ok ? 204 : 200;
	x->answer.body = (gh_bytes){text->bytes, answer->body.len};
	text_service_fields(x, text, answer);
	if (answer->status != GH_OK) { /* of many, some failed: the body tells which */
		const struct hub_error *error = hub_error_of(answer->status, answer->err.code);
		x->answer.status = error->http;
		text_field(x, "iothub-errorcode", text_of(error->name));
	}
}
