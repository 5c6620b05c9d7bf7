/* admin_fixture.h - a hub in memory for the admin tests: store, queue, management; time and dice stand still. */
#ifndef GATEHOUSE_TESTS_ADMIN_FIXTURE_H
#define GATEHOUSE_TESTS_ADMIN_FIXTURE_H

#include "tests/suite.h"

#include "src/admin/manage.h"
#include "src/admin/tail.h"
#include "src/backends/memory.h"
#include "src/base/limits.h"
#include "src/base/text.h"

#include <poll.h>
#include <stdlib.h>

#define FIXTURE_WALL_MS 1800000000000ull

struct fixture {
	gh_limits limits;
	gh_store *store;
	gh_backend *queue;
	struct manage_gateway gateway;
	struct manage manage;
	int changes;         /* how often the gateway was told of one */
	bool changed_device; /* the last was of a device, not of policies */
	bool ready;
};

static inline void fixture_random(void *bytes, size_t len)
{
	memset(bytes, 0x5a, len);
}

static inline uint64_t fixture_wall_ms(void)
{
	return FIXTURE_WALL_MS;
}

static inline void fixture_changed(void *context, gh_bytes device_id)
{
	struct fixture *f = context;
	f->changes++;
	f->changed_device = device_id.len > 0;
}

static inline void fixture_state(void *context, struct manage_state *ret_state)
{
	*ret_state = (struct manage_state){
		.ready = ((struct fixture *)context)->ready, .counts = {.links = 3, .accepted = 7}};
}

static inline void fixture_init(struct fixture *f, uint32_t partitions)
{
	static const char *const hosts[] = {"hub.example.net", "alias", NULL};
	gh_error err = {.text = ""};
	*f = (struct fixture){.ready = true};
	limits_defaults(&f->limits);
	gh_store_config store_config = {.directory = "", .limits = &f->limits};
	cr_assert_eq(memory_store.open(&store_config, &f->store, &err), GH_OK, "%s", err.text);
	gh_backend_config queue_config = {
		.directory = "", .store = f->store, .level = GH_MEMORY, .partitions = partitions, .limits = &f->limits};
	cr_assert_eq(memory_queue.open(&queue_config, &f->queue, &err), GH_OK, "%s", err.text);
	f->gateway = (struct manage_gateway){f, fixture_state, fixture_changed};
	f->manage = (struct manage){{f->store, &f->limits, fixture_random, fixture_wall_ms}, hosts, &f->gateway};
}

static inline void fixture_done(struct fixture *f)
{
	memory_queue.close(f->queue);
	memory_store.close(f->store);
}

/* Stores one message of a device; body and one application property. */
static inline void fixture_store(struct fixture *f, const char *device, gh_bytes body, uint64_t enqueued_ms)
{
	gh_draft *draft = gh_draft_new(&f->limits);
	gh_port *port = memory_queue.attach(f->queue);
	cr_assert(draft && port);
	cr_assert_eq(gh_draft_body(draft, body, NULL), GH_OK);
	cr_assert_eq(gh_draft_add(draft, text_of("color"), text_of("red"), NULL), GH_OK);
	cr_assert_eq(gh_draft_set(draft, GH_PROP_MESSAGE_ID, text_of("m-1"), NULL), GH_OK);
	gh_stamps stamps = {.device_id = text_of(device),
		.generation_id = text_of("1"),
		.auth_method = GH_AUTH_DEVICE_SAS,
		.source = GH_SOURCE_TELEMETRY,
		.enqueued_ms = enqueued_ms,
		.partition_key = gh_partition_hash(text_of(device))};
	gh_message *message = gh_message_freeze(draft, &stamps);
	gh_record record = {message, NULL};
	gh_completion completion;
	cr_assert_eq(memory_queue.submit(port, &record, 1), 1);
	cr_assert_eq(memory_queue.reap(port, &completion, 1), 1);
	cr_assert_eq(completion.status, GH_OK);
	gh_message_unref(message);
	gh_draft_free(draft);
	memory_queue.detach(port);
}

/* The response to a request given as text; the caller drops it. */
static inline json_t *fixture_call(struct fixture *f, const char *request_text)
{
	json_error_t fault;
	json_t *request = json_loads(request_text, JSON_DECODE_ANY, &fault), *response;
	cr_assert(request, "%s: %s", request_text, fault.text);
	manage_call(&f->manage, request, &response);
	json_decref(request);
	cr_assert(response);
	cr_assert_eq(json_integer_value(json_object_get(response, "version")), 1);
	return response;
}

static inline const char *fixture_text(const json_t *object, const char *outer, const char *inner)
{
	return json_string_value(json_object_get(json_object_get(object, outer), inner));
}

#endif
