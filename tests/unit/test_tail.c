/* tail: what it reads, in which order, where it ends; and the JSON of a record. */
#include "tests/unit/admin_fixture.h"

#include <inttypes.h>

SUITE(tail);

static struct fixture f;
static struct tail_port *port;

static void tail_begin(uint32_t partitions)
{
	fixture_init(&f, partitions);
	port = tail_port_new(&memory_queue, f.queue);
	cr_assert(port);
}

static void tail_finish(void)
{
	tail_port_free(port);
	fixture_done(&f);
}

/* The next step that is not waiting for a read. */
static enum tail_step tail_settled(struct tail *tail, gh_fetched *ret_record)
{
	gh_error err;
	for (;;) {
		enum tail_step step = tail_next(tail, ret_record, &err);
		if (step != TAIL_BUSY)
			return step;
		struct pollfd ready = {.fd = tail_port_fd(port), .events = POLLIN};
		cr_assert_eq(poll(&ready, 1, 10000), 1, "a read under way completes");
		tail_port_reap(port);
	}
}

/* Bodies joined by commas, up to the step that is no record, which must be `last`. */
static void tail_gives(struct tail *tail, const char *bodies, enum tail_step last)
{
	char joined[4096] = "";
	gh_fetched record;
	enum tail_step step;
	while ((step = tail_settled(tail, &record)) == TAIL_RECORD) {
		gh_bytes body = gh_message_body(record.message);
		size_t len = strlen(joined);
		snprintf(joined + len, sizeof joined - len, "%s%.*s", len ? "," : "", (int)body.len,
			(const char *)body.data);
		gh_message_unref(record.message);
	}
	cr_assert_eq(step, last, "step %d", step);
	cr_assert_str_eq(joined, bodies);
}

static struct tail *tail_made(struct tail_options options)
{
	struct tail *tail;
	gh_error err;
	cr_assert_eq(tail_new(port, &options, &tail, &err), GH_OK, "%s", err.text);
	return tail;
}

static void tail_store(const char *device, const char *body, uint64_t ms)
{
	fixture_store(&f, device, text_of(body), ms);
}

/* Two devices in different partitions of four. */
static const char *tail_other_device(void)
{
	static char name[16];
	uint32_t first = gh_partition_of(gh_partition_hash(text_of("dev")), 4);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "d%d", i);
		if (gh_partition_of(gh_partition_hash(text_of(name)), 4) != first)
			return name;
	}
	return NULL;
}

Test(tail, partitions_are_merged_by_time)
{
	tail_begin(4);
	const char *other = tail_other_device();
	tail_store("dev", "1", 1000);
	tail_store("dev", "3", 3000);
	tail_store("dev", "5", 5000);
	tail_store(other, "2", 2000);
	tail_store(other, "4", 4000);
	struct tail *tail = tail_made((struct tail_options){.partition = -1});
	tail_gives(tail, "1,2,3,4,5", TAIL_END);
	tail_free(tail);
	tail_finish();
}

Test(tail, no_follow_ends_at_the_end_of_when_it_began)
{
	tail_begin(1);
	tail_store("dev", "1", 1000);
	struct tail *tail = tail_made((struct tail_options){.partition = -1});
	tail_store("dev", "2", 2000);
	tail_gives(tail, "1", TAIL_END);
	tail_free(tail);
	tail = tail_made((struct tail_options){.partition = -1, .from = TAIL_LATEST});
	tail_gives(tail, "", TAIL_END);
	tail_free(tail);
	tail_finish();
}

Test(tail, follow_goes_on_with_what_comes)
{
	tail_begin(4);
	struct tail *tail = tail_made((struct tail_options){.partition = -1, .follow = true});
	tail_gives(tail, "", TAIL_QUIET);
	tail_store("dev", "1", 1000);
	tail_gives(tail, "1", TAIL_QUIET);
	tail_store("dev", "2", 2000);
	tail_store(tail_other_device(), "3", 2000);
	gh_fetched record;
	cr_assert_eq(tail_settled(tail, &record), TAIL_RECORD);
	gh_message_unref(record.message);
	tail_free(tail); /* with a record unread */
	tail = tail_made((struct tail_options){.partition = -1, .follow = true, .from = TAIL_LATEST, .count = 1});
	tail_gives(tail, "", TAIL_QUIET);
	tail_store("dev", "4", 3000);
	tail_store("dev", "5", 3000);
	tail_gives(tail, "4", TAIL_END);
	tail_free(tail);
	tail_finish();
}

Test(tail, offsets_partitions_and_counts_are_kept)
{
	tail_begin(4);
	for (int i = 0; i < 10; i++) {
		char body[16];
		snprintf(body, sizeof body, "%d", i);
		tail_store("dev", body, 1000);
	}
	int64_t partition = gh_partition_of(gh_partition_hash(text_of("dev")), 4);
	static const struct {
		const char *name;
		struct tail_options options;
		const char *bodies;
	} rows[] = {
		{"from an offset", {.from = TAIL_OFFSET, .offset = 7}, "7,8,9"},
		{"from the end's offset", {.from = TAIL_OFFSET, .offset = 10}, ""},
		{"from beyond the end", {.from = TAIL_OFFSET, .offset = UINT64_MAX}, ""},
		{"a count", {.count = 2}, "0,1"},
		{"a count beyond the end", {.count = UINT64_MAX, .from = TAIL_OFFSET, .offset = 9}, "9"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tail_options options = rows[i].options;
		options.partition = partition;
		struct tail *tail = tail_made(options);
		tail_gives(tail, rows[i].bodies, TAIL_END);
		tail_free(tail);
	}
	struct tail *tail = tail_made((struct tail_options){.partition = (partition + 1) % 4});
	tail_gives(tail, "", TAIL_END);
	tail_free(tail);
	gh_error err;
	struct tail_options beyond = {.partition = 4};
	cr_assert_eq(tail_new(port, &beyond, &tail, &err), GH_INVALID);
	cr_assert(strstr(err.text, "there are 0 to 3"), "%s", err.text);
	tail_finish();
}

Test(tail, long_logs_are_read_in_pieces)
{
	tail_begin(1);
	static char body[30000];
	memset(body, 'x', sizeof body - 1);
	for (int i = 0; i < 20; i++)
		tail_store("dev", body, 1000);
	struct tail *tail = tail_made((struct tail_options){.partition = -1});
	gh_fetched record;
	for (uint64_t i = 0; i < 20; i++) {
		cr_assert_eq(tail_settled(tail, &record), TAIL_RECORD);
		cr_assert_eq(record.offset, i);
		gh_message_unref(record.message);
	}
	cr_assert_eq(tail_settled(tail, &record), TAIL_END);
	tail_free(tail);
	tail_finish();
}

Test(tail, a_tail_may_go_while_its_read_is_under_way)
{
	tail_begin(1);
	tail_store("dev", "1", 1000);
	struct tail *tail = tail_made((struct tail_options){.partition = -1});
	gh_fetched record;
	gh_error err;
	cr_assert_eq(tail_next(tail, &record, &err), TAIL_BUSY);
	tail_free(tail);
	tail_finish(); /* waits for the read */
}

static const struct {
	const char *name, *request;
	bool good;
	struct tail_options options;
} option_rows[] = {
	{"defaults", "{}", true, {TAIL_EARLIEST, 0, -1, 0, true}},
	{"all", "{\"from\":\"17\",\"partition\":3,\"count\":5,\"follow\":false}", true, {TAIL_OFFSET, 17, 3, 5, false}},
	{"latest", "{\"from\":\"latest\",\"partition\":null}", true, {TAIL_LATEST, 0, -1, 0, true}},
	{"largest offset", "{\"from\":\"18446744073709551615\"}", true, {TAIL_OFFSET, UINT64_MAX, -1, 0, true}},
	{"offset beyond 64 bits", "{\"from\":\"18446744073709551616\"}", false, {0}},
	{"negative offset", "{\"from\":\"-1\"}", false, {0}},
	{"offset as number", "{\"from\":17}", false, {0}},
	{"from null", "{\"from\":null}", false, {0}},
	{"partition -1", "{\"partition\":-1}", false, {0}},
	{"partition as text", "{\"partition\":\"1\"}", false, {0}},
	{"count -1", "{\"count\":-1}", false, {0}},
	{"count as fraction", "{\"count\":1.5}", false, {0}},
	{"follow as number", "{\"follow\":1}", false, {0}},
};

Test(tail, options_are_read_and_written_alike)
{
	for (size_t i = 0; i < sizeof option_rows / sizeof *option_rows; i++) {
		struct tail_options options = {0}, again;
		gh_error err;
		json_t *request = json_loads(option_rows[i].request, 0, NULL);
		gh_status status = tail_options_read(request, &options, &err);
		json_decref(request);
		cr_assert_eq(status == GH_OK, option_rows[i].good, "%s", option_rows[i].name);
		if (status != GH_OK)
			continue;
		json_t *written = tail_options_write(&options);
		cr_assert_eq(tail_options_read(written, &again, &err), GH_OK, "%s", option_rows[i].name);
		json_decref(written);
		const struct tail_options *wanted = &option_rows[i].options, *both[] = {&options, &again};
		for (int k = 0; k < 2; k++)
			cr_assert(both[k]->from == wanted->from && both[k]->offset == wanted->offset &&
					  both[k]->partition == wanted->partition && both[k]->count == wanted->count &&
					  both[k]->follow == wanted->follow,
				"%s", option_rows[i].name);
	}
}

/* The one record of a fresh queue, as JSON text. */
static json_t *tail_json_of(gh_bytes body)
{
	tail_begin(1);
	fixture_store(&f, "dev1", body, 1700000000123);
	struct tail *tail = tail_made((struct tail_options){.partition = -1});
	gh_fetched record;
	cr_assert_eq(tail_settled(tail, &record), TAIL_RECORD);
	json_t *json = tail_json(&record);
	gh_message_unref(record.message);
	tail_free(tail);
	tail_finish();
	return json;
}

Test(tail, json_has_the_names_and_types_scripts_rely_on)
{
	json_t *json = tail_json_of(text_of("{\"t\":21.5}"));
	json_t *wanted = json_pack("{s:i, s:s, s:i, s:s, s:s, s:s, s:{s:s}, s:{s:s, s:s, s:s, s:s, s:s, s:s}}",
		"partition", 0, "offset", "0", "sequenceNumber", 0, "enqueuedTime", "2023-11-14T22:13:20.123Z", "body",
		"{\"t\":21.5}", "bodyEncoding", "utf-8", "properties", "color", "red", "systemProperties", "message-id",
		"m-1", "iothub-connection-device-id", "dev1", "iothub-connection-auth-generation-id", "1",
		"iothub-connection-auth-method",
		"{\"scope\":\"device\",\"type\":\"sas\",\"issuer\":\"iothub\",\"acceptingIpFilterRule\":null}",
		"iothub-enqueuedtime", "2023-11-14T22:13:20.123Z", "iothub-message-source", "Telemetry");
	char *text = json_dumps(json, 0);
	cr_assert(json_equal(json, wanted), "%s", text);
	free(text);
	json_decref(json);
	json_decref(wanted);
}

Test(tail, json_bodies_are_text_when_they_are_utf8_and_base64_otherwise)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *encoding, *body;
	} rows[] = {
		{"", 0, "utf-8", ""},
		{"\xc3\xa9", 2, "utf-8", "\xc3\xa9"},
		{"\xff\x00\x01", 3, "base64", "/wAB"},
		{"\xc3", 1, "base64", "ww=="},
		{"\xed\xa0\x80", 3, "base64", "7aCA"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		json_t *json = tail_json_of((gh_bytes){(const uint8_t *)rows[i].bytes, rows[i].len});
		cr_assert_str_eq(
			json_string_value(json_object_get(json, "bodyEncoding")), rows[i].encoding, "row %zu", i);
		cr_assert_str_eq(json_string_value(json_object_get(json, "body")), rows[i].body, "row %zu", i);
		json_decref(json);
	}
	json_t *json = tail_json_of((gh_bytes){(const uint8_t *)"a\0b", 3});
	cr_assert_eq(json_string_length(json_object_get(json, "body")), 3, "NUL is text");
	char *text = json_dumps(json, 0);
	cr_assert(strstr(text, "\"a\\u0000b\""), "%s", text);
	free(text);
	json_decref(json);
}
