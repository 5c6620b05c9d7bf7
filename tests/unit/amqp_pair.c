#include "tests/unit/amqp_pair.h"

#include "src/base/take.h"
#include "src/base/text.h"
#include "src/wire/amqp_message.h"
#include "src/wire/amqp_value.h"
#include "tests/unit/amqp_bytes.h"
#include "transports/amqp/amqp.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- what the client hears ---- */

static void pair_word(struct amqp_pair *p, const char *word, pn_condition_t *condition)
{
	size_t len = strlen(p->words);
	bool told = condition && pn_condition_is_set(condition);
	snprintf(p->words + len, sizeof p->words - len, "%s%s%s%s", len ? " " : "", word, told ? ":" : "",
		told ? pn_condition_get_name(condition) : "");
}

static void pair_hear(struct amqp_pair *p, pn_event_t *event)
{
	pn_link_t *link = pn_event_link(event);
	switch (pn_event_type(event)) {
	case PN_CONNECTION_REMOTE_OPEN:
		pair_word(p, "open", NULL);
		break;
	case PN_CONNECTION_REMOTE_CLOSE:
		pair_word(p, "close", pn_connection_remote_condition(p->client.connection));
		pn_connection_close(p->client.connection);
		break;
	case PN_SESSION_REMOTE_OPEN:
		pair_word(p, "begin", NULL);
		break;
	case PN_SESSION_REMOTE_CLOSE:
		pair_word(p, "end", pn_session_remote_condition(pn_event_session(event)));
		break;
	case PN_LINK_REMOTE_OPEN:
		pair_word(p,
			pn_terminus_get_type(pn_link_remote_source(link)) == PN_UNSPECIFIED &&
					pn_terminus_get_type(pn_link_remote_target(link)) == PN_UNSPECIFIED
				? "refuse"
				: "attach",
			NULL);
		break;
	case PN_LINK_REMOTE_CLOSE:
	case PN_LINK_REMOTE_DETACH:
		pair_word(p, "detach", pn_link_remote_condition(link));
		pn_link_close(link);
		break;
	case PN_TRANSPORT_ERROR:
		pair_word(p, "error", pn_transport_condition(p->client.transport));
		break;
	default:
		break;
	}
}

bool amqp_pair_heard(struct amqp_pair *p, const char *words)
{
	bool same = strcmp(p->words, words) == 0;
	if (!same)
		fprintf(stderr, "heard \"%s\" instead of \"%s\"\n", p->words, words);
	p->words[0] = '\0';
	return same;
}

/* ---- to and fro ---- */

static void pair_handle(struct amqp_pair *p)
{
	pn_event_t *event;
	while ((event = pn_connection_driver_next_event(&p->client)))
		pair_hear(p, event);
}

/* Where the message-format of a transfer stands, a uint of one byte; 0 = this is none. */
static size_t pair_find_format(gh_bytes frame)
{
	struct reader r = reader_of((gh_bytes){frame.data + 8, frame.len - 8});
	struct amqp_value v, field;
	if (frame.data[5] != 0 || !amqp_value_read(&r, &v) || v.descriptor.code != 0x14)
		return 0;
	for (size_t i = 0; i < 4; i++)
		if (!amqp_value_next(&v.items, &field))
			return 0;
	return field.encoded.len == 1 ? (size_t)(field.encoded.data - frame.data) : 0;
}

static void pair_add_u32(uint8_t *at, uint32_t n)
{
	n += (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
	for (size_t i = 0; i < 4; i++)
		at[i] = (uint8_t)(n >> (24 - 8 * i));
}

/* Each transfer says that it is of a batch. */
static void pair_make_batches(struct buf *out)
{
	static const uint8_t format[] = {0x70, 0x80, 0x01, 0x37, 0x00};
	for (size_t at = 0; at < out->len;) {
		const uint8_t *head = out->data + at;
		size_t size = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
		size_t found = pair_find_format((gh_bytes){head, size});
		if (found) {
			size_t rest = out->len - at - found - 1;
			buf_append(out, format, sizeof format - 1); /* room */
			uint8_t *frame = out->data + at;
			memmove(frame + found + sizeof format, frame + found + 1, rest);
			memcpy(frame + found, format, sizeof format);
			pair_add_u32(frame, sizeof format - 1);
			if (frame[11] == 0xc0)
				frame[12] += sizeof format - 1;
			else
				pair_add_u32(frame + 12, sizeof format - 1);
			size += sizeof format - 1;
		}
		at += size;
	}
}

static bool pair_to_engine(struct amqp_pair *p)
{
	pair_handle(p);
	pn_bytes_t out = pn_connection_driver_write_buffer(&p->client);
	if (out.size == 0)
		return false;
	GH_CLEANUP(buf_done) struct buf copy = {0};
	buf_append(&copy, out.start, out.size);
	pn_connection_driver_write_done(&p->client, out.size);
	if (p->batch)
		pair_make_batches(&copy);
	if (!p->engine.finished)
		engine_pair_send(&p->engine, buf_bytes(&copy));
	return true;
}

static bool pair_to_client(struct amqp_pair *p)
{
	struct buf *got = &p->engine.got;
	if (!p->engine.finished)
		engine_pair_turn(&p->engine);
	if (got->len == 0 || pn_connection_driver_read_closed(&p->client)) {
		buf_drop(got, got->len);
		return false;
	}
	pn_rwbytes_t room = pn_connection_driver_read_buffer(&p->client);
	size_t n = got->len < room.size ? got->len : room.size;
	memcpy(room.start, got->data, n);
	pn_connection_driver_read_done(&p->client, n);
	buf_drop(got, n);
	pair_handle(p);
	return n > 0;
}

void amqp_pair_run(struct amqp_pair *p)
{
	bool more = true;
	for (size_t rounds = 0; more; rounds++) {
		assert(rounds < 100000);
		more = pair_to_engine(p);
		if (!p->deaf)
			more = pair_to_client(p) || more;
	}
	if (p->engine.finished && !pn_connection_driver_read_closed(&p->client)) {
		pn_connection_driver_read_close(&p->client);
		pair_handle(p);
	}
}

void amqp_pair_wait(struct amqp_pair *p, uint64_t ms)
{
	uint64_t until = p->engine.now_ms + ms;
	for (;;) {
		int64_t at = p->deaf ? 0 : pn_transport_tick(p->client.transport, (int64_t)p->engine.now_ms);
		amqp_pair_run(p);
		uint64_t next = p->engine.finished ? 0 : p->engine.deadline_ms;
		if (at > 0 && (next == 0 || (uint64_t)at < next))
			next = (uint64_t)at;
		if (next == 0 || next > until)
			break;
		p->engine.now_ms = next > p->engine.now_ms ? next : p->engine.now_ms + 1;
	}
	p->engine.now_ms = until;
	amqp_pair_run(p);
}

static void pair_login(struct amqp_pair *p, const struct amqp_pair_login *login)
{
	pn_transport_t *transport = p->client.transport;
	pn_connection_set_container(p->client.connection, "client");
	pn_connection_set_hostname(p->client.connection, login->host ? login->host : "hub.example.net");
	if (login->user)
		pn_connection_set_user(p->client.connection, login->user);
	if (login->password)
		pn_connection_set_password(p->client.connection, login->password);
	if (login->mechanism) {
		pn_sasl_allowed_mechs(pn_sasl(transport), login->mechanism);
		pn_sasl_set_allow_insecure_mechs(pn_sasl(transport), true);
	}
	if (login->frame_max)
		pn_transport_set_max_frame(transport, login->frame_max);
	if (login->idle_ms)
		pn_transport_set_idle_timeout(transport, login->idle_ms);
}

void amqp_pair_init(struct amqp_pair *p, gh_worker *worker, const struct amqp_pair_login *login)
{
	memset(p, 0, sizeof *p);
	engine_pair_init(&p->engine, worker, &amqp_transport);
	p->engine.certificate = login->certificate;
	int failed = pn_connection_driver_init(&p->client, NULL, NULL);
	assert(!failed);
	(void)failed;
	pair_login(p, login);
	pn_connection_open(p->client.connection);
	amqp_pair_run(p);
}

void amqp_pair_done(struct amqp_pair *p)
{
	pn_connection_driver_destroy(&p->client);
	engine_pair_done(&p->engine);
}

/* ---- links ---- */

pn_session_t *amqp_pair_begin(struct amqp_pair *p)
{
	pn_session_t *session = pn_session(p->client.connection);
	pn_session_open(session);
	return session;
}

pn_link_t *amqp_pair_sender(pn_session_t *session, const char *name, const char *address)
{
	pn_link_t *link = pn_sender(session, name);
	pn_terminus_set_type(pn_link_source(link), PN_SOURCE);
	pn_terminus_set_address(pn_link_target(link), address);
	pn_link_open(link);
	return link;
}

pn_link_t *amqp_pair_receiver(pn_session_t *session, const char *name, const char *address)
{
	pn_link_t *link = pn_receiver(session, name);
	pn_terminus_set_address(pn_link_source(link), address);
	pn_terminus_set_type(pn_link_target(link), PN_TARGET);
	pn_link_open(link);
	pn_link_flow(link, 10);
	return link;
}

pn_delivery_t *amqp_pair_send(pn_link_t *link, gh_bytes bytes)
{
	static uint32_t tag; /* only has to differ */
	tag++;
	pn_delivery_t *delivery = pn_delivery(link, pn_dtag((const char *)&tag, sizeof tag));
	pn_link_send(link, (const char *)bytes.data, bytes.len);
	pn_link_advance(link);
	return delivery;
}

pn_delivery_t *amqp_pair_send_text(pn_link_t *link, const char *text)
{
	gh_bytes bytes = amqp_bytes(text);
	pn_delivery_t *delivery = amqp_pair_send(link, bytes);
	amqp_bytes_free(bytes);
	return delivery;
}

const char *amqp_pair_outcome(pn_delivery_t *delivery, char *room, size_t size)
{
	uint64_t state = pn_delivery_remote_state(delivery);
	pn_condition_t *condition = pn_disposition_condition(pn_delivery_remote(delivery));
	const char *word = state == PN_ACCEPTED   ? "accepted"
			   : state == PN_REJECTED ? "rejected"
			   : state == PN_RELEASED ? "released"
						  : "";
	bool told = state == PN_REJECTED && pn_condition_is_set(condition);
	snprintf(room, size, "%s%s%s%s", word, told ? ":" : "", told ? pn_condition_get_name(condition) : "",
		*word && !pn_delivery_settled(delivery) ? " unsettled" : "");
	return room;
}

/* ---- CBS ---- */

void amqp_pair_cbs(struct amqp_pair *p)
{
	pn_session_t *session = amqp_pair_begin(p);
	p->requests = amqp_pair_sender(session, "cbs-requests", "$cbs");
	p->replies = amqp_pair_receiver(session, "cbs-replies", "$cbs");
	amqp_pair_run(p);
}

gh_bytes amqp_pair_reply(struct amqp_pair *p, uint8_t *room, size_t size)
{
	pn_delivery_t *delivery = pn_link_current(p->replies);
	if (!delivery || pn_delivery_partial(delivery))
		return (gh_bytes){NULL, 0};
	ssize_t n = pn_link_recv(p->replies, (char *)room, size);
	pn_link_advance(p->replies);
	pn_delivery_settle(delivery);
	pn_link_flow(p->replies, 1);
	return (gh_bytes){room, n > 0 ? (size_t)n : 0};
}

int amqp_pair_status_code(gh_bytes reply)
{
	gh_error err;
	struct amqp_message message;
	struct amqp_value map, key, value;
	if (reply.len == 0 || amqp_message_sections(reply, &message, &err) != GH_OK)
		return 0;
	struct reader r = reader_of(message.sections[AMQP_APPLICATION_PROPERTIES]);
	if (!amqp_value_read(&r, &map) || map.type != AMQP_MAP)
		return 0;
	while (amqp_value_next(&map.items, &key) && amqp_value_next(&map.items, &value))
		if (key.type == AMQP_STRING && text_equal(key.bytes, text_of("status-code")))
			return value.type == AMQP_INT ? (int)value.integer : -1;
	return 0;
}

static void pair_put_pair(struct buf *b, const char *key, const char *value)
{
	amqp_value_put_string(b, text_of(key));
	amqp_value_put_string(b, text_of(value));
}

int amqp_pair_put_token(struct amqp_pair *p, const char *name, const char *token)
{
	GH_CLEANUP(buf_done) struct buf b = {0};
	uint8_t room[1024];
	amqp_value_put_descriptor(&b, 0x73);
	size_t at = amqp_value_open(&b);
	amqp_value_put_string(&b, text_of("id1"));
	amqp_value_close_list(&b, at, 1);
	amqp_value_put_descriptor(&b, 0x74);
	at = amqp_value_open(&b);
	pair_put_pair(&b, "operation", "put-token");
	pair_put_pair(&b, "type", "servicebus.windows.net:sastoken");
	pair_put_pair(&b, "name", name);
	amqp_value_close_map(&b, at, 6);
	amqp_value_put_descriptor(&b, 0x77);
	amqp_value_put_string(&b, text_of(token));
	pn_delivery_settle(amqp_pair_send(p->requests, buf_bytes(&b)));
	amqp_pair_run(p);
	return amqp_pair_status_code(amqp_pair_reply(p, room, sizeof room));
}

pn_link_t *amqp_pair_events(struct amqp_pair *p)
{
	if (!p->requests)
		amqp_pair_cbs(p);
	int code = amqp_pair_put_token(p, "hub.example.net/devices/dev1", "SharedAccessSignature sr=x");
	assert(code == 200);
	(void)code;
	pn_link_t *link = amqp_pair_sender(amqp_pair_begin(p), "events", "/devices/dev1/messages/events");
	amqp_pair_run(p);
	p->words[0] = '\0';
	return link;
}
