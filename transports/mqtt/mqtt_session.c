#include "transports/mqtt/mqtt_session.h"

#include "src/base/log.h"
#include "src/base/take.h"
#include "src/base/text.h"
#include "transports/mqtt/mqtt_codec.h"
#include "transports/mqtt/mqtt_topic.h"
#include "transports/mqtt/mqtt_will.h"

#include <assert.h>

/* In order: nothing goes back to an earlier phase. */
enum session_phase {
	PHASE_CONNECTING, /* no CONNECT yet */
	PHASE_OPENING,    /* the core has it, and will say */
	PHASE_OPEN,
	PHASE_DRAINING, /* nothing is read any more; what was taken is still answered */
	PHASE_LEAVING,  /* only the will is left, and the core has no room for it yet */
	PHASE_ENDED,
};

enum { IN_BYTES_KEPT_MAX = 4096 };

/* Device contract 4.3.  2 and 4 are never sent: clients take them as final. */
static const uint8_t session_connack[GH_STATUS_COUNT] = {
	[GH_OK] = MQTT_CONNACK_ACCEPTED,
	[GH_AGAIN] = MQTT_CONNACK_UNAVAILABLE,
	[GH_MALFORMED] = MQTT_CONNACK_REFUSED,
	[GH_INVALID] = MQTT_CONNACK_REFUSED,
	[GH_UNAUTHORIZED] = MQTT_CONNACK_REFUSED,
	[GH_DISABLED] = MQTT_CONNACK_UNAVAILABLE,
	[GH_NOT_FOUND] = MQTT_CONNACK_REFUSED,
	[GH_EXISTS] = MQTT_CONNACK_UNAVAILABLE,
	[GH_CONFLICT] = MQTT_CONNACK_UNAVAILABLE,
	[GH_TOO_LARGE] = MQTT_CONNACK_REFUSED, /* a token beyond its limit */
	[GH_QUOTA] = MQTT_CONNACK_UNAVAILABLE,
	[GH_TAKEN_OVER] = MQTT_CONNACK_UNAVAILABLE,
	[GH_GONE] = MQTT_CONNACK_UNAVAILABLE,
	[GH_UNKNOWN] = MQTT_CONNACK_UNAVAILABLE,
	[GH_NO_SPACE] = MQTT_CONNACK_UNAVAILABLE,
	[GH_UNAVAILABLE] = MQTT_CONNACK_UNAVAILABLE,
	[GH_IO] = MQTT_CONNACK_UNAVAILABLE,
	[GH_NO_MEMORY] = MQTT_CONNACK_UNAVAILABLE,
	[GH_INTERNAL] = MQTT_CONNACK_UNAVAILABLE,
};

static const char session_refused[] = "connect_refused";

static const gh_limits *session_limits(const struct mqtt_session *s)
{
	return gh_worker_limits(s->worker);
}

static void session_wake(struct mqtt_session *s)
{
	if (s->wire)
		s->wire->ops->wake(s->wire);
}

/* Makes sure tick is called by then. */
static void session_arm(struct mqtt_session *s, uint64_t at_ms)
{
	if (s->armed_ms <= at_ms)
		return;
	s->armed_ms = at_ms;
	session_wake(s);
}

/* ---- the end ---- */

static gh_status session_will_submit(struct mqtt_session *s)
{
	gh_draft *draft = gh_worker_draft(s->worker);
	gh_status status = mqtt_will_fill(s->will, draft);
	return status == GH_OK ? gh_link_submit(s->link, draft, NULL, s->now_ms) : status;
}

static void session_will_drop(struct mqtt_session *s)
{
	free(s->will);
	s->will = NULL;
}

/* One line per connection that came as far as MQTT; a refused CONNECT has its own. */
static void session_log_end(const struct mqtt_session *s)
{
	const struct mqtt_identity *identity = s->identity;
	gh_bytes device = {identity ? identity->ids : NULL, identity ? identity->device_len : 0};
	gh_bytes module = {identity ? identity->ids + device.len : NULL, identity ? identity->module_len : 0};
	if (s->why != session_refused)
		log_event(gh_worker_log(s->worker), LOG_INFO, "closed",
			"transport=mqtt device=%s module=%s peer=%s reason=%s", LOG_TEXT(device), LOG_TEXT(module),
			s->wire ? s->wire->ops->peer(s->wire).address : "", s->why ? s->why : "");
}

/* Gives everything back.  What the core took it stores; nobody is told any more. */
static void session_close(struct mqtt_session *s)
{
	session_log_end(s);
	gh_link_close(s->link);
	s->link = NULL;
	session_will_drop(s);
	free(s->identity);
	s->identity = NULL;
	mqtt_answers_done(&s->answers);
	buf_done(&s->in);
	s->phase = PHASE_ENDED;
	session_wake(s);
}

/* A will that finds no room waits for it, but not for ever. */
static void session_leave(struct mqtt_session *s)
{
	s->phase = PHASE_LEAVING;
	if (s->blocked)
		return;
	s->blocked = session_will_submit(s) == GH_AGAIN;
	if (!s->blocked)
		session_close(s);
}

/* Returns true, so that a packet's handler can `return session_end(...)`: the packet is done with. */
static bool session_end(struct mqtt_session *s, const char *why)
{
	if (s->phase >= PHASE_LEAVING)
		return true;
	s->why = why;
	if (s->phase < PHASE_OPEN || !s->will) {
		session_close(s);
		return true;
	}
	mqtt_answers_done(&s->answers);
	buf_done(&s->in);
	session_leave(s);
	if (s->phase == PHASE_LEAVING) {
		s->armed_ms = s->now_ms + session_limits(s)->record_ms_max;
		session_wake(s);
	}
	return true;
}

/* Ends that were found inside a callback of the core wait for an engine call, where the core may be called. */
static void session_end_due(struct mqtt_session *s)
{
	if (s->phase >= PHASE_LEAVING)
		return;
	if (s->out.failed)
		s->why = "no_memory";
	if (s->why)
		session_end(s, s->why);
	else if (s->phase == PHASE_DRAINING && s->answers.count == 0)
		session_end(s, "drained");
}

/* ---- CONNECT ---- */

static bool session_refuse(struct mqtt_session *s, gh_status status)
{
	assert(status != GH_OK && session_connack[status] != MQTT_CONNACK_ACCEPTED);
	mqtt_codec_put_connack(&s->out, session_connack[status], false);
	return session_end(s, session_refused);
}

static void session_open(struct mqtt_session *s, bool session_present)
{
	mqtt_codec_put_connack(&s->out, MQTT_CONNACK_ACCEPTED, session_present && !s->session_clean);
	s->phase = PHASE_OPEN;
	s->armed_ms = 0; /* the next tick starts the keep-alive */
	session_wake(s);
}

static uint32_t session_keepalive_ms(uint16_t asked_s, const gh_limits *limits)
{
	uint32_t ms = asked_s * 1500u; /* [MQTT-3.1.2-24] */
	return ms == 0 || ms > limits->mqtt_keepalive_ms_max ? (uint32_t)limits->mqtt_keepalive_ms_max : ms;
}

/* Keeps a will that could be published as it stands; any other is refused now, as nobody could be told later. */
static gh_status session_will_keep(struct mqtt_session *s, const struct mqtt_connect *connect, gh_error *ret_err)
{
	gh_bytes bag;
	if (!connect->will)
		return GH_OK;
	if (connect->will_qos == 2 || mqtt_topic_of(s->identity, connect->will_topic, &bag) != MQTT_TOPIC_TELEMETRY)
		return gh_fail(ret_err, GH_INVALID, "will", "a will is telemetry of the device itself, at QoS 0 or 1");
	s->will = mqtt_will_new(bag, connect->will_body, connect->will_retain);
	gh_status status = s->will ? mqtt_will_fill(s->will, gh_worker_draft(s->worker)) : GH_NO_MEMORY;
	return status == GH_OK ? GH_OK
			       : gh_fail(ret_err, status, "will", "the will is no message: %s", gh_status_name(status));
}

static const gh_link_ops session_link_ops;

/* Who the client says it is, and what it leaves behind: what can be refused before the core is asked. */
static gh_status session_claim(struct mqtt_session *s, const struct mqtt_connect *connect, uint8_t *scratch,
	struct mqtt_user *ret_user, gh_error *ret_err)
{
	gh_status status = mqtt_topic_user(connect->user_name, connect->client_id, scratch, ret_user, ret_err);
	if (status != GH_OK)
		return status;
	s->identity = mqtt_identity_new(ret_user->device_id, ret_user->module_id);
	if (!s->identity)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for an identity");
	return session_will_keep(s, connect, ret_err);
}

static gh_status session_attach(struct mqtt_session *s, const struct mqtt_connect *connect, bool *ret_present)
{
	uint8_t *scratch GH_CLEANUP(take_free) = malloc(connect->user_name.len + 1);
	struct mqtt_user user = {.device_id = connect->client_id};
	gh_error err = {0};
	if (!scratch)
		return GH_NO_MEMORY;
	gh_status status = session_claim(s, connect, scratch, &user, &err);
	gh_link_request request = {
		.transport = "mqtt",
		.host = user.host,
		.device_id = user.device_id,
		.module_id = user.module_id,
		.token = connect->password,
		.model_id = user.model_id,
		.client_info = user.client_info,
		.peer = s->wire->ops->peer(s->wire),
		.session_clean = connect->session_clean,
		.displaces = true,
	};
	if (status == GH_OK)
		return gh_link_open(s->worker, &request, &session_link_ops, s, s->now_ms, &s->link, ret_present, &err);
	gh_link_refused(s->worker, &request, &err);
	return status;
}

static bool session_connect(struct mqtt_session *s, const struct mqtt_packet *packet)
{
	const struct mqtt_connect *connect = &packet->connect;
	bool session_present = false;
	if (s->phase != PHASE_CONNECTING)
		return session_end(s, "second_connect"); /* [MQTT-3.1.0-2] */
	if (connect->level == MQTT_LEVEL_5)
		mqtt_codec_put_connack_5(&s->out);
	else if (connect->level != MQTT_LEVEL)
		mqtt_codec_put_connack(&s->out, MQTT_CONNACK_LEVEL, false);
	if (connect->level != MQTT_LEVEL)
		return session_end(s, "level");
	s->session_clean = connect->session_clean;
	s->keepalive_ms = session_keepalive_ms(connect->keepalive_s, session_limits(s));
	gh_status status = session_attach(s, connect, &session_present);
	if (status == GH_AGAIN)
		s->phase = PHASE_OPENING;
	else if (status == GH_OK)
		session_open(s, session_present);
	else
		session_refuse(s, status);
	return true;
}

/* ---- packets of an open connection; each returns false when it has to wait as it is ---- */

static void *session_cookie(const struct mqtt_session *s)
{
	return (void *)(uintptr_t)mqtt_answers_next(&s->answers);
}

static void session_owe(struct mqtt_session *s, struct mqtt_answer answer)
{
	answer.since_ms = s->now_ms;
	mqtt_answers_push(&s->answers, answer);
	if (answer.settled)
		mqtt_answers_write(&s->answers, &s->out);
	session_arm(s, s->now_ms + session_limits(s)->record_ms_max);
}

static bool session_telemetry(struct mqtt_session *s, const struct mqtt_packet *packet, gh_bytes bag)
{
	gh_draft *draft = gh_worker_draft(s->worker);
	unsigned flags = (packet->retain ? GH_DRAFT_RETAIN : 0) | (packet->dup ? GH_DRAFT_DUP : 0);
	if (mqtt_topic_draft(bag, packet->publish.body, flags, draft) != GH_OK)
		return session_end(s, "message_refused");
	gh_status status = gh_link_submit(s->link, draft, session_cookie(s), s->now_ms);
	if (status == GH_AGAIN) {
		s->blocked = true;
		return false;
	}
	if (status != GH_OK)
		return session_end(s, "message_refused");
	session_owe(s, (struct mqtt_answer){.packet_id = packet->packet_id,
			       .kind = packet->qos ? MQTT_ANSWER_PUBACK : MQTT_ANSWER_NONE});
	return true;
}

static bool session_publish(struct mqtt_session *s, const struct mqtt_packet *packet)
{
	gh_bytes bag;
	if (packet->qos == 2)
		return session_end(s, "qos_2");
	switch (mqtt_topic_of(s->identity, packet->publish.topic, &bag)) {
	case MQTT_TOPIC_TELEMETRY:
		return session_telemetry(s, packet, bag);
	case MQTT_TOPIC_REQUEST:
		if (packet->qos)
			session_owe(s,
				(struct mqtt_answer){
					.packet_id = packet->packet_id, .kind = MQTT_ANSWER_PUBACK, .settled = true});
		return true;
	case MQTT_TOPIC_OTHER:
		break;
	}
	return session_end(s, "topic_unknown");
}

/* Hands a changed table to the core and owes the answer; takes answer.packet. */
static bool session_change(struct mqtt_session *s, const uint8_t qos[GH_SUB_COUNT], struct mqtt_answer answer)
{
	gh_status status = GH_OK;
	if (memcmp(qos, gh_link_subscriptions(s->link), GH_SUB_COUNT) != 0)
		status = gh_link_subscribe(s->link, qos, session_cookie(s));
	if (status != GH_OK && status != GH_AGAIN) {
		free(answer.packet);
		return session_end(s, "subscription_refused");
	}
	s->subscribing = status == GH_AGAIN;
	answer.settled = status == GH_OK;
	session_owe(s, answer);
	return true;
}

/* Reads the filters into qos and one code each; NULL, or why the connection must end. */
static const char *session_filters(
	struct mqtt_session *s, gh_bytes filters, uint8_t qos[GH_SUB_COUNT], struct buf *codes)
{
	gh_bytes filter;
	enum gh_subscription kind;
	uint8_t asked;
	while (mqtt_codec_filter(MQTT_SUBSCRIBE, &filters, &filter, &asked)) {
		uint8_t granted = asked ? 1 : 0;
		switch (mqtt_topic_filter(s->identity, filter, &kind)) {
		case MQTT_FILTER_KNOWN:
			qos[kind] = granted;
			break;
		case MQTT_FILTER_SILENT:
			break;
		case MQTT_FILTER_UNKNOWN:
			granted = MQTT_SUBACK_FAILURE;
			break;
		case MQTT_FILTER_FOREIGN:
			return "filter_foreign";
		case MQTT_FILTER_MALFORMED:
			return "filter_malformed";
		}
		buf_put_u8(codes, granted);
	}
	return codes->failed ? "no_memory" : NULL;
}

static bool session_subscribe(struct mqtt_session *s, const struct mqtt_packet *packet)
{
	uint8_t qos[GH_SUB_COUNT];
	struct buf codes GH_CLEANUP(buf_done) = {0};
	struct buf suback GH_CLEANUP(buf_done) = {0};
	if (s->subscribing)
		return false;
	memcpy(qos, gh_link_subscriptions(s->link), sizeof qos);
	const char *why = session_filters(s, packet->filters, qos, &codes);
	if (why)
		return session_end(s, why);
	mqtt_codec_put_suback(&suback, packet->packet_id, buf_bytes(&codes));
	if (suback.failed)
		return session_end(s, "no_memory");
	assert(suback.len <= UINT16_MAX);
	uint16_t len = (uint16_t)suback.len;
	return session_change(s, qos,
		(struct mqtt_answer){.packet = GH_TAKE(suback.data),
			.packet_len = len,
			.packet_id = packet->packet_id,
			.kind = MQTT_ANSWER_SUBACK});
}

static bool session_unsubscribe(struct mqtt_session *s, const struct mqtt_packet *packet)
{
	uint8_t qos[GH_SUB_COUNT], unused;
	gh_bytes filters = packet->filters, filter;
	enum gh_subscription kind;
	if (s->subscribing)
		return false;
	memcpy(qos, gh_link_subscriptions(s->link), sizeof qos);
	while (mqtt_codec_filter(MQTT_UNSUBSCRIBE, &filters, &filter, &unused))
		if (mqtt_topic_filter(s->identity, filter, &kind) == MQTT_FILTER_KNOWN)
			qos[kind] = GH_QOS_NONE;
	return session_change(
		s, qos, (struct mqtt_answer){.packet_id = packet->packet_id, .kind = MQTT_ANSWER_UNSUBACK});
}

static bool session_pingreq(struct mqtt_session *s, const struct mqtt_packet *packet)
{
	(void)packet;
	mqtt_codec_put_pingresp(&s->out);
	return true;
}

static bool session_disconnect(struct mqtt_session *s, const struct mqtt_packet *packet)
{
	(void)packet;
	session_will_drop(s); /* [MQTT-3.14.4-3] */
	return session_end(s, "disconnect");
}

/* For a message of ours; there is none, so it is one of an earlier connection. */
static bool session_puback(struct mqtt_session *s, const struct mqtt_packet *packet)
{
	(void)s, (void)packet;
	return true;
}

static bool session_qos_2(struct mqtt_session *s, const struct mqtt_packet *packet)
{
	(void)packet;
	return session_end(s, "qos_2");
}

static bool (*const session_handlers[MQTT_TYPE_COUNT])(struct mqtt_session *s, const struct mqtt_packet *packet) = {
	[MQTT_CONNECT] = session_connect,
	[MQTT_PUBLISH] = session_publish,
	[MQTT_PUBACK] = session_puback,
	[MQTT_PUBREC] = session_qos_2,
	[MQTT_PUBREL] = session_qos_2,
	[MQTT_PUBCOMP] = session_qos_2,
	[MQTT_SUBSCRIBE] = session_subscribe,
	[MQTT_UNSUBSCRIBE] = session_unsubscribe,
	[MQTT_PINGREQ] = session_pingreq,
	[MQTT_DISCONNECT] = session_disconnect,
};

/* ---- input ---- */

/* Room for what a packet may cause is made first, so that nothing fails between the core's yes and the entry. */
static bool session_handle(struct mqtt_session *s, const struct mqtt_packet *packet)
{
	if (s->phase == PHASE_OPEN && packet->type != MQTT_PINGREQ && !mqtt_answers_reserve(&s->answers))
		return session_end(s, "no_memory");
	return session_handlers[packet->type](s, packet);
}

static bool session_may_read(const struct mqtt_session *s)
{
	const gh_limits *limits = session_limits(s);
	if (s->phase != PHASE_OPEN)
		return s->phase == PHASE_CONNECTING;
	return !s->blocked && s->answers.count < limits->mqtt_inflight_in_max &&
	       s->out.len < limits->mqtt_output_bytes_max;
}

static void session_fault(struct mqtt_session *s, gh_status status)
{
	session_end(s, status == GH_TOO_LARGE ? "packet_too_large" : "packet_malformed");
}

/* Completes the partial packet with no more bytes than it needs.  When the packet has to wait, they are given back. */
static bool session_join(struct mqtt_session *s, gh_bytes bytes, size_t *ret_taken)
{
	const gh_limits *limits = session_limits(s);
	size_t before = s->in.len, taken = 0, whole;
	gh_status status;
	while ((status = mqtt_codec_length(buf_bytes(&s->in), limits, &whole)) == GH_AGAIN && taken < bytes.len)
		buf_put_u8(&s->in, bytes.data[taken++]);
	if (status == GH_OK) {
		size_t more = whole - s->in.len < bytes.len - taken ? whole - s->in.len : bytes.len - taken;
		buf_append(&s->in, bytes.data + taken, more);
		taken += more;
	}
	*ret_taken = taken;
	if (s->in.failed)
		return session_end(s, "no_memory");
	struct mqtt_packet packet;
	status = mqtt_codec_next(buf_bytes(&s->in), limits, &packet, &whole);
	if (status == GH_AGAIN)
		return true;
	if (status != GH_OK) {
		session_fault(s, status);
		return true;
	}
	if (!session_handle(s, &packet)) {
		s->in.len = before;
		return false;
	}
	if (s->answers.cap == 0 || s->in.cap > IN_BYTES_KEPT_MAX)
		buf_done(&s->in);
	buf_clear(&s->in);
	return true;
}

/* Takes one packet, or the front of one.  False: it has to wait, nothing was taken. */
static bool session_take(struct mqtt_session *s, gh_bytes bytes, size_t *ret_taken)
{
	struct mqtt_packet packet;
	if (s->in.len)
		return session_join(s, bytes, ret_taken);
	if (s->phase == PHASE_CONNECTING && bytes.data[0] >> 4 != MQTT_CONNECT)
		return session_end(s, "first_packet"); /* [MQTT-3.1.0-1] */
	gh_status status = mqtt_codec_next(bytes, session_limits(s), &packet, ret_taken);
	if (status == GH_OK)
		return session_handle(s, &packet);
	if (status != GH_AGAIN) {
		session_fault(s, status);
		return true;
	}
	buf_append(&s->in, bytes.data, bytes.len);
	*ret_taken = bytes.len;
	return !s->in.failed || session_end(s, "no_memory");
}

size_t mqtt_session_input(struct mqtt_session *s, gh_bytes bytes, uint64_t now_ms)
{
	size_t taken = 0, n = 0;
	s->now_ms = now_ms;
	session_end_due(s);
	if (s->phase >= PHASE_LEAVING)
		return bytes.len;
	if (s->phase == PHASE_OPEN && bytes.len)
		s->heard_ms = now_ms;
	size_t owed = s->out.len;
	while (taken < bytes.len && session_may_read(s) &&
		session_take(s, (gh_bytes){bytes.data + taken, bytes.len - taken}, &n)) {
		if (s->phase >= PHASE_LEAVING)
			return bytes.len;
		taken += n;
	}
	s->held = taken < bytes.len;
	if (s->out.len > owed)
		session_wake(s);
	return taken;
}

void mqtt_session_input_end(struct mqtt_session *s, uint64_t now_ms)
{
	s->now_ms = now_ms;
	session_end_due(s);
	session_end(s, "peer_closed");
}

/* ---- the core's callbacks: they change our state and wake the wire, and call the core only where it says so ---- */

static void session_opened(void *context, gh_status status, bool session_present)
{
	struct mqtt_session *s = context;
	assert(s->phase == PHASE_OPENING);
	if (status == GH_OK) {
		session_open(s, session_present);
		return;
	}
	s->link = NULL; /* the core has closed it */
	session_refuse(s, status == GH_AGAIN ? GH_UNAVAILABLE : status);
}

static void session_settled(void *context, void *cookie, gh_status status)
{
	struct mqtt_session *s = context;
	if (s->why || s->phase >= PHASE_LEAVING)
		return;
	if (status != GH_OK) {
		s->why = "not_stored";
		session_wake(s);
		return;
	}
	enum mqtt_answer_kind kind = mqtt_answers_settle(&s->answers, (uint32_t)(uintptr_t)cookie);
	if (kind == MQTT_ANSWER_SUBACK || kind == MQTT_ANSWER_UNSUBACK)
		s->subscribing = false;
	bool was_empty = s->out.len == 0;
	mqtt_answers_write(&s->answers, &s->out);
	if ((was_empty && s->out.len) || s->out.failed || s->held || s->phase == PHASE_DRAINING)
		session_wake(s);
}

static void session_writable(void *context)
{
	struct mqtt_session *s = context;
	s->blocked = false;
	session_wake(s);
}

/* A will does not outlive the credential that announced it. */
static void session_revoked(void *context, gh_status why)
{
	struct mqtt_session *s = context;
	if (why == GH_UNAUTHORIZED || why == GH_DISABLED || why == GH_NOT_FOUND)
		session_will_drop(s);
	if (s->will && s->phase >= PHASE_OPEN)
		session_will_submit(s); /* no room now means none: the link ends here */
	if (!s->why)
		s->why = why == GH_TAKEN_OVER ? "taken_over" : "revoked";
	session_close(s);
}

static const gh_link_ops session_link_ops = {
	.opened = session_opened,
	.settled = session_settled,
	.writable = session_writable,
	.revoked = session_revoked,
};

/* ---- output and time ---- */

void mqtt_session_output_done(struct mqtt_session *s, size_t len)
{
	bool was_full = s->out.len >= session_limits(s)->mqtt_output_bytes_max;
	assert(len <= s->out.len);
	buf_drop(&s->out, len);
	if (s->out.len == 0 && s->answers.cap == 0)
		buf_done(&s->out);
	if (was_full && s->held)
		session_wake(s);
}

/* Why the session is overdue, or NULL and the moment when it would be. */
static const char *session_overdue(const struct mqtt_session *s, uint64_t *ret_due_ms)
{
	const gh_limits *limits = session_limits(s);
	const struct {
		bool applies;
		uint64_t since_ms;
		uint64_t max_ms;
		const char *why;
	} table[] = {
		{s->phase < PHASE_OPEN, s->heard_ms, limits->connect_ms_max, "connect_late"},
		{s->phase == PHASE_OPEN, s->heard_ms, s->keepalive_ms, "keep_alive"},
		{s->answers.count > 0, s->answers.count ? mqtt_answers_since(&s->answers) : 0, limits->record_ms_max,
			"record_late"},
	};
	*ret_due_ms = UINT64_MAX;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		if (!table[i].applies)
			continue;
		uint64_t due_ms = table[i].since_ms + table[i].max_ms;
		if (s->now_ms >= due_ms)
			return table[i].why;
		if (due_ms < *ret_due_ms)
			*ret_due_ms = due_ms;
	}
	return NULL;
}

static void session_leave_again(struct mqtt_session *s)
{
	session_leave(s);
	if (s->phase == PHASE_LEAVING && s->now_ms >= s->armed_ms)
		session_close(s);
}

/* A deadline only moves when it is reached: a busy connection re-arms nothing per packet. */
uint64_t mqtt_session_tick(struct mqtt_session *s, uint64_t now_ms)
{
	s->now_ms = now_ms;
	session_end_due(s);
	if (s->phase == PHASE_LEAVING)
		session_leave_again(s);
	if (s->phase >= PHASE_LEAVING)
		return s->phase == PHASE_ENDED ? 0 : s->armed_ms;
	if (s->armed_ms > now_ms)
		return s->armed_ms;
	if (s->phase == PHASE_OPEN && (s->held || s->armed_ms == 0))
		s->heard_ms = now_ms;
	const char *why = session_overdue(s, &s->armed_ms);
	if (why) {
		session_end(s, why);
		return s->phase == PHASE_ENDED ? 0 : s->armed_ms;
	}
	mqtt_answers_shrink(&s->answers);
	if (s->in.len == 0)
		buf_done(&s->in);
	if (s->out.len == 0)
		buf_done(&s->out);
	return s->armed_ms;
}

bool mqtt_session_is_ended(const struct mqtt_session *s)
{
	return s->phase == PHASE_ENDED;
}

void mqtt_session_drain(struct mqtt_session *s, uint64_t now_ms)
{
	s->now_ms = now_ms;
	if (s->phase < PHASE_OPEN)
		session_end(s, "drained");
	if (s->phase == PHASE_OPEN)
		s->phase = PHASE_DRAINING;
	session_end_due(s);
}

void mqtt_session_init(struct mqtt_session *s, gh_worker *worker, gh_wire *wire, uint64_t now_ms)
{
	*s = (struct mqtt_session){.worker = worker, .wire = wire, .now_ms = now_ms, .heard_ms = now_ms};
}

void mqtt_session_done(struct mqtt_session *s)
{
	s->wire = NULL; /* it is freeing us: nothing to wake */
	session_end_due(s);
	if (s->phase < PHASE_LEAVING)
		session_end(s, "freed");
	if (s->phase == PHASE_LEAVING)
		session_close(s);
	buf_done(&s->out);
}
