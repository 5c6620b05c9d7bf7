#include "tests/unit/http_pair.h"

#include "src/base/text.h"
#include "transports/https/http1_engine.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

void http_pair_init(struct engine_pair *p, gh_worker *worker)
{
	worker->wall_ms = UINT64_C(1795517761000); /* 2026-11-24T10:56:01Z */
	engine_pair_init(p, worker, &http1_transport);
}

void http_pair_send(struct engine_pair *p, const char *text)
{
	engine_pair_send(p, text_of(text));
}

void http_pair_post(struct engine_pair *p, const char *fields, const char *body)
{
	struct buf request = {0};
	char head[1000];
	int len = snprintf(head, sizeof head,
		"POST /devices/dev1/messages/events?api-version=2021-04-12 HTTP/1.1\r\nHost: hub\r\n"
		"Authorization: SharedAccessSignature sr=x\r\n%sContent-Length: %zu\r\n\r\n",
		fields, strlen(body));
	assert(len < (int)sizeof head);
	buf_append(&request, head, (size_t)len);
	buf_append(&request, body, strlen(body));
	engine_pair_send(p, buf_bytes(&request));
	buf_done(&request);
}

int http_pair_answer(struct engine_pair *p, const char **ret_head, const char **ret_body)
{
	static char head[4096], body[65536];
	buf_put_u8(&p->got, 0);
	p->got.len--;
	const char *text = (const char *)p->got.data, *end = strstr(text, "\r\n\r\n");
	if (!end)
		return 0;
	size_t head_len = (size_t)(end - text) + 4, body_len = 0;
	assert(head_len < sizeof head);
	memcpy(head, text, head_len);
	head[head_len] = '\0';
	const char *length = strstr(head, "content-length: ");
	if (length)
		body_len = strtoul(length + 16, NULL, 10);
	assert(body_len < sizeof body);
	if (p->got.len < head_len + body_len)
		return 0;
	memcpy(body, text + head_len, body_len);
	body[body_len] = '\0';
	buf_drop(&p->got, head_len + body_len);
	int status = 0;
	bool read = sscanf(head, "HTTP/1.1 %d ", &status) == 1;
	assert(read);
	if (ret_head)
		*ret_head = head;
	if (ret_body)
		*ret_body = body;
	return status;
}

bool http_pair_is(struct engine_pair *p, int status)
{
	int got = http_pair_answer(p, NULL, NULL);
	if (got != status)
		fprintf(stderr, "# answered %d, not %d\n", got, status);
	return got == status;
}
