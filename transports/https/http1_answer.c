#include "transports/https/http1_answer.h"

#include "src/base/text.h"

#include <stdio.h>

static const struct {
	uint16_t status;
	const char *reason;
} answer_reasons[] = {
	{200, "OK"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{415, "Unsupported Media Type"},
	{417, "Expectation Failed"},
	{426, "Upgrade Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{503, "Service Unavailable"},
	{505, "HTTP Version Not Supported"},
};

static const char *answer_reason(uint16_t status)
{
	for (size_t i = 0; i < sizeof answer_reasons / sizeof *answer_reasons; i++)
		if (answer_reasons[i].status == status)
			return answer_reasons[i].reason;
	return "";
}

static void answer_put_text(struct buf *out, const char *text)
{
	buf_append(out, text, strlen(text));
}

static void answer_put_field(struct buf *out, gh_bytes name, gh_bytes value)
{
	buf_append(out, name.data, name.len);
	answer_put_text(out, ": ");
	buf_append(out, value.data, value.len);
	answer_put_text(out, "\r\n");
}

/* Where another protocol is wanted, its name stands in Upgrade, and that in Connection (RFC 9110 7.8, 15.5.22). */
static void answer_put_connection(struct buf *out, uint16_t status, const struct http1_manner *manner)
{
	bool upgrade = status == 426, says = !manner->keep_alive || manner->old;
	if (upgrade)
		answer_put_text(out, says ? "upgrade: websocket\r\nconnection: upgrade, "
					  : "upgrade: websocket\r\nconnection: upgrade\r\n");
	else if (says)
		answer_put_text(out, "connection: ");
	if (says)
		answer_put_text(out, manner->keep_alive ? "keep-alive\r\n" : "close\r\n");
}

void http1_answer_put(struct buf *out, const struct rest_answer *answer, const struct http1_manner *manner)
{
	char line[64];
	if (answer->status == 204) {
		answer_put_text(out, "HTTP/1.1 204 No Content\r\ndate: "); /* what a device gets nearly always */
	} else {
		snprintf(line, sizeof line, "HTTP/1.1 %u %s\r\ndate: ", answer->status, answer_reason(answer->status));
		answer_put_text(out, line);
	}
	answer_put_text(out, manner->date);
	answer_put_text(out, "\r\n");
	for (size_t i = 0; i < answer->field_count; i++)
		answer_put_field(out, answer->fields[i].name, answer->fields[i].value);
	if (answer->status != 204) {
		snprintf(line, sizeof line, "content-length: %zu\r\n", answer->body.len);
		answer_put_text(out, line);
	}
	answer_put_connection(out, answer->status, manner);
	answer_put_text(out, "\r\n");
	if (answer->status != 204 && !manner->head_only && answer->body.len)
		buf_append(out, answer->body.data, answer->body.len);
}

void http1_answer_put_continue(struct buf *out)
{
	answer_put_text(out, "HTTP/1.1 100 Continue\r\n\r\n");
}
