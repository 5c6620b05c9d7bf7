#include "transports/amqp/amqp_error.h"

#include <gatehouse/core.h>

#include "src/base/text.h"
#include "src/wire/hub_error.h"

#include <proton/codec.h>
#include <stdio.h>
#include <string.h>

enum { TRACKING_BYTES = 16, DESCRIPTION_BYTES = 512 };

static const struct {
	const char *code;
	const char *name;
} error_codes[] = {
	{"not_built", "amqp:not-implemented"},
	{"amqp_role", "amqp:not-allowed"},
	{"amqp_partial_max", "amqp:resource-limit-exceeded"},
	{"amqp_links_max", "amqp:resource-limit-exceeded"},
	{"amqp_peers_max", "amqp:resource-limit-exceeded"},
	{"amqp_credit", "amqp:transfer-limit-exceeded"},
	{"amqp_depth", "amqp:decode-error"},
	{"amqp_idle", "amqp:not-allowed"},
	{"amqp_handle", "amqp:session:unattached-handle"},
	{"amqp_handle_max", "amqp:connection:framing-error"},
	{"amqp_handle_used", "amqp:session:handle-in-use"},
	{"amqp_order", "amqp:not-allowed"},
	{"amqp_frame_max", "amqp:connection:framing-error"},
	{"amqp_frame_size", "amqp:connection:framing-error"},
	{"amqp_frame_type", "amqp:connection:framing-error"},
	{"drained", "amqp:connection:forced"},
};

static const char *const error_statuses[GH_STATUS_COUNT] = {
	[GH_AGAIN] = "com.microsoft:timeout",
	[GH_MALFORMED] = "amqp:decode-error",
	[GH_INVALID] = "com.microsoft:argument-error",
	[GH_UNAUTHORIZED] = "amqp:unauthorized-access",
	[GH_DISABLED] = "amqp:unauthorized-access",
	[GH_NOT_FOUND] = "amqp:not-found",
	[GH_EXISTS] = "amqp:resource-locked",
	[GH_CONFLICT] = "com.microsoft:precondition-failed",
	[GH_TOO_LARGE] = "amqp:link:message-size-exceeded",
	[GH_QUOTA] = "amqp:resource-limit-exceeded",
	[GH_TAKEN_OVER] = "amqp:link:stolen",
	[GH_GONE] = "amqp:unauthorized-access",
	[GH_UNKNOWN] = "com.microsoft:timeout",
	[GH_NO_SPACE] = "com.microsoft:timeout",
	[GH_UNAVAILABLE] = "com.microsoft:timeout",
	[GH_IO] = "amqp:internal-error",
	[GH_NO_MEMORY] = "amqp:resource-limit-exceeded",
	[GH_INTERNAL] = "amqp:internal-error",
};

const char *amqp_error_name(gh_status status, const char *code)
{
	for (size_t i = 0; code && i < sizeof error_codes / sizeof *error_codes; i++)
		if (strcmp(code, error_codes[i].code) == 0)
			return error_codes[i].name;
	return error_statuses[status];
}

/* It stands in JSON. */
static void error_plain(const char *text, char *ret_plain, size_t size)
{
	size_t len = 0;
	for (; *text && len < size - 1; text++) {
		uint8_t c = (uint8_t)*text;
		ret_plain[len++] = c == '"' || c == '\\' ? '\'' : c < 0x20 || c > 0x7e ? ' ' : (char)c;
	}
	ret_plain[len] = '\0';
}

static void error_put_info(pn_condition_t *condition, const char *tracking, uint32_t number)
{
	pn_data_t *info = pn_condition_info(condition);
	pn_data_clear(info);
	pn_data_put_map(info);
	pn_data_enter(info);
	pn_data_put_symbol(info, pn_bytes(strlen("com.microsoft:tracking-id"), "com.microsoft:tracking-id"));
	pn_data_put_string(info, pn_bytes(strlen(tracking), tracking));
	pn_data_put_symbol(info, pn_bytes(strlen("com.microsoft:error-code"), "com.microsoft:error-code"));
	pn_data_put_int(info, (int32_t)number);
	pn_data_exit(info);
}

void amqp_error_put(pn_condition_t *condition, gh_worker *worker, gh_status status, const char *code, const char *text)
{
	const struct hub_error *error = hub_error_of(status, code);
	uint8_t random[TRACKING_BYTES];
	char tracking[2 * TRACKING_BYTES + 1], time[TEXT_TIME_SIZE], plain[GH_ERROR_TEXT_MAX];
	char description[DESCRIPTION_BYTES];
	gh_worker_random(worker, random, sizeof random);
	text_hex_encode(random, sizeof random, tracking);
	text_time(gh_worker_wall_ms(worker), time);
	/* Why a credential was refused stands in the log; whoever sent it learns nothing from us. */
	bool secret = status == GH_UNAUTHORIZED || status == GH_DISABLED || status == GH_GONE;
	error_plain(text && !secret ? text : error->name, plain, sizeof plain);
	snprintf(description, sizeof description,
		"{\"errorCode\":%u,\"trackingId\":\"%s-G:0-TimeStamp:%s\",\"message\":\"%s\",\"timestampUtc\":\"%s\"}",
		(unsigned)error->number, tracking, time, plain, time);
	pn_condition_set_name(condition, amqp_error_name(status, code));
	pn_condition_set_description(condition, description);
	error_put_info(condition, tracking, error->number);
}
