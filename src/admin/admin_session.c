#include "src/admin/admin_session.h"

#include "src/base/buf.h"

#include <assert.h>
#include <stdlib.h>

enum { SESSION_OUTPUT_HIGH = 1 << 18 };

struct admin_session {
	struct admin_session_config config;
	struct buf input;
	size_t taken;    /* bytes of input already answered; dropped at the end of a step */
	size_t searched; /* bytes of input known to hold no further line end */
	struct buf output;
	struct tail *tail;
	uint64_t tail_count;
	bool ended;
};

struct admin_session *admin_session_new(const struct admin_session_config *config)
{
	struct admin_session *session = calloc(1, sizeof *session);
	if (!session)
		return NULL;
	session->config = *config;
	buf_init(&session->input, config->limits->admin_line_bytes_max + 1);
	buf_init(&session->output, 0);
	return session;
}

void admin_session_free(struct admin_session *session)
{
	if (!session)
		return;
	tail_free(session->tail);
	buf_done(&session->input);
	buf_done(&session->output);
	free(session);
}

/* One byte more than a line may have, its newline included, so that a longer one is seen. */
size_t admin_session_room(const struct admin_session *session)
{
	return session->ended ? 0 : session->config.limits->admin_line_bytes_max + 1 - session->input.len;
}

void admin_session_input(struct admin_session *session, const void *data, size_t len)
{
	assert(len <= admin_session_room(session));
	buf_append(&session->input, data, len);
	if (session->input.failed)
		session->ended = true;
}

static int session_dump(const char *text, size_t len, void *buf)
{
	buf_append(buf, text, len);
	return 0;
}

/* Takes the object.  Without memory for an answer the session ends: a client must not wait for it. */
static void session_answer(struct admin_session *session, json_t *object)
{
	if (!object || json_dump_callback(object, session_dump, &session->output, JSON_COMPACT) != 0)
		session->ended = true;
	buf_append(&session->output, "\n", 1);
	if (session->output.failed)
		session->ended = true;
	json_decref(object);
}

static void session_refuse(struct admin_session *session, const gh_error *err)
{
	session_answer(session, manage_refusal(err));
}

/* ---- tail ---- */

static void session_tail_start(struct admin_session *session, const json_t *request)
{
	struct tail_options options;
	gh_error err;
	gh_status status = manage_request_members(request, tail_members, &err);
	if (status == GH_OK)
		status = tail_options_read(request, &options, &err);
	if (status == GH_OK && !session->config.tail_port)
		status = gh_fail(&err, GH_UNAVAILABLE, "tail_backend", "%s", session->config.tail_hint);
	if (status == GH_OK)
		status = tail_new(session->config.tail_port, &options, &session->tail, &err);
	session->tail_count = 0;
	if (status != GH_OK)
		session_refuse(session, &err);
}

static void session_tail_end(struct admin_session *session, const gh_error *err)
{
	tail_free(session->tail);
	session->tail = NULL;
	if (err)
		session_refuse(session, err);
	else
		session_answer(session, manage_ok(json_pack("{s:I}", "count", (json_int_t)session->tail_count)));
}

static enum admin_step session_tail_step(struct admin_session *session)
{
	gh_fetched record;
	gh_error err;
	while (!session->ended && session->output.len < SESSION_OUTPUT_HIGH) {
		switch (tail_next(session->tail, &record, &err)) {
		case TAIL_RECORD:
			session->tail_count++;
			session_answer(session,
				json_pack("{s:i, s:o}", "version", MANAGE_VERSION, "record", tail_json(&record)));
			gh_message_unref(record.message);
			break;
		case TAIL_BUSY:
			return ADMIN_BUSY;
		case TAIL_QUIET:
			return ADMIN_QUIET;
		case TAIL_END:
			session_tail_end(session, NULL);
			return ADMIN_FULL;
		case TAIL_FAILED:
			session_tail_end(session, &err);
			return ADMIN_FULL;
		}
	}
	return ADMIN_FULL;
}

/* ---- lines ---- */

static void session_request(struct admin_session *session, const json_t *request)
{
	const char *op;
	gh_error err;
	json_t *response;
	if (manage_request_op(request, &op, &err) == GH_OK && strcmp(op, "tail") == 0) {
		session_tail_start(session, request);
		return;
	}
	manage_call(session->config.manage, request, &response);
	session_answer(session, response);
}

static void session_line(struct admin_session *session, gh_bytes line)
{
	json_error_t fault;
	json_t *request = json_loadb((const char *)line.data, line.len, JSON_REJECT_DUPLICATES, &fault);
	if (request) {
		session_request(session, request);
	} else {
		gh_error err;
		gh_fail(&err, GH_MALFORMED, "request_json", "not JSON, at byte %d: %s", fault.position, fault.text);
		session_refuse(session, &err);
	}
	json_decref(request);
}

/* The next line without its newline; false when it is not whole. */
static bool session_line_find(struct admin_session *session, gh_bytes *ret_line)
{
	struct buf *input = &session->input;
	const uint8_t *end = input->len > session->searched
				     ? memchr(input->data + session->searched, '\n', input->len - session->searched)
				     : NULL;
	if (!end) {
		session->searched = input->len;
		return false;
	}
	*ret_line = (gh_bytes){input->data + session->taken, (size_t)(end - input->data) - session->taken};
	session->taken = session->searched = (size_t)(end - input->data) + 1;
	return true;
}

static void session_too_long(struct admin_session *session)
{
	gh_error err;
	gh_fail(&err, GH_TOO_LARGE, "request_too_long", "a request has at most %llu bytes (admin_line_bytes_max)",
		(unsigned long long)session->config.limits->admin_line_bytes_max);
	session_refuse(session, &err);
	session->ended = true;
}

static enum admin_step session_lines_step(struct admin_session *session)
{
	gh_bytes line;
	while (!session->ended && !session->tail && session->output.len < SESSION_OUTPUT_HIGH) {
		if (!session_line_find(session, &line))
			return ADMIN_INPUT;
		if (line.len > 0)
			session_line(session, line);
	}
	return ADMIN_FULL;
}

enum admin_step admin_session_step(struct admin_session *session)
{
	enum admin_step step = ADMIN_FULL;
	if (!session->ended && !session->tail)
		step = session_lines_step(session);
	if (!session->ended && session->tail && session->output.len < SESSION_OUTPUT_HIGH)
		step = session_tail_step(session);
	buf_drop(&session->input, session->taken);
	session->searched -= session->taken;
	session->taken = 0;
	if (!session->ended && step == ADMIN_INPUT && admin_session_room(session) == 0)
		session_too_long(session);
	return session->ended ? ADMIN_ENDED : step;
}

gh_bytes admin_session_output(const struct admin_session *session)
{
	return buf_bytes(&session->output);
}

void admin_session_output_done(struct admin_session *session, size_t len)
{
	assert(len <= session->output.len);
	buf_drop(&session->output, len);
}
