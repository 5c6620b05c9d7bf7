/* AMQP messages: which sections may follow which, what each field means, what batches and requests hold. */
#include "tests/suite.h"

#include "src/base/limits.h"
#include "src/base/text.h"
#include "src/wire/amqp_message.h"
#include "src/wire/amqp_value.h"
#include "tests/unit/amqp_bytes.h"
#include "transports/https/rest_message.h"
#include "transports/mqtt/mqtt_topic.h"

#include <stdio.h>

static gh_limits limits;
static gh_draft *draft;
static struct buf joined;

static void message_begin(void)
{
	limits_defaults(&limits);
	draft = gh_draft_new(&limits);
	cr_assert(draft);
}

static void message_end(void)
{
	gh_draft_free(draft);
	buf_done(&joined);
	suite_leak_check();
}

TestSuite(amqp_message, .init = message_begin, .fini = message_end, .timeout = 60);

/* ---- sections ---- */

#define HEADER "00 53 70 45 "
#define DELIVERY "00 53 71 c1 01 00 "
#define ANNOTATIONS "00 53 72 c1 01 00 "
#define PROPERTIES "00 53 73 45 "
#define APPLICATION "00 53 74 c1 01 00 "
#define DATA "00 53 75 a0 01 'x' "
#define SEQUENCE "00 53 76 45 "
#define VALUE "00 53 77 40 "
#define FOOTER "00 53 78 c1 01 00 "

static const struct {
	const char *name, *hex;
	bool whole;
} walks[] = {
	{"nothing", "", true},
	{"all", HEADER DELIVERY ANNOTATIONS PROPERTIES APPLICATION DATA FOOTER, true},
	{"a body alone", DATA, true},
	{"no body", PROPERTIES FOOTER, true},
	{"data twice", DATA DATA, true},
	{"sequences", SEQUENCE SEQUENCE, true},
	{"one value", VALUE, true},
	{"a described value", "00 53 77 00 a3 01 'n' 40", true},
	{"symbols for descriptors", "00 a3 14 'amqp:properties:list' 45 00 a3 10 'amqp:data:binary' a0 00", true},
	{"numbers in their large form", "00 80 00 00 00 00 00 00 00 75 a0 00", true},
	{"header twice", HEADER HEADER, false},
	{"properties twice", PROPERTIES PROPERTIES, false},
	{"application properties twice", APPLICATION APPLICATION, false},
	{"footer twice", DATA FOOTER FOOTER, false},
	{"values twice", VALUE VALUE, false},
	{"data and a value", DATA VALUE, false},
	{"data and a sequence", DATA SEQUENCE, false},
	{"a sequence and data", SEQUENCE DATA, false},
	{"a sequence and a value", SEQUENCE VALUE, false},
	{"properties before annotations", PROPERTIES ANNOTATIONS, false},
	{"properties behind the body", DATA PROPERTIES, false},
	{"anything behind the footer", FOOTER DATA, false},
	{"no section", "40", false},
	{"an unknown number", "00 53 79 45", false},
	{"an unknown symbol", "00 a3 01 'n' 45", false},
	{"a symbol of another section's form", "00 a3 15 'amqp:properties:listx' 45", false},
	{"properties that are a map", "00 53 73 c1 01 00", false},
	{"application properties that are a list", "00 53 74 45", false},
	{"data that is a string", "00 53 75 a1 00", false},
	{"data described once more", "00 53 75 00 53 01 a0 00", false},
	{"a header that is null", "00 53 70 40", false},
	{"bytes behind the last", DATA "ff", false},
};

Test(amqp_message, sections_come_in_order_and_each_as_often_as_it_may)
{
	for (size_t i = 0; i < sizeof walks / sizeof *walks; i++) {
		gh_bytes bytes = amqp_bytes(walks[i].hex);
		struct amqp_message message;
		gh_error err = {.text = ""};
		gh_status status = amqp_message_sections(bytes, &message, &err);
		cr_assert(status == (walks[i].whole ? GH_OK : GH_MALFORMED), "%s: %s", walks[i].name, err.text);
		cr_assert(status == GH_OK || err.status == status, "%s: the error says so too", walks[i].name);
		amqp_bytes_free(bytes);
	}
}

Test(amqp_message, each_section_is_where_it_stands_and_data_is_given_one_by_one)
{
	gh_bytes bytes =
		amqp_bytes(HEADER PROPERTIES "00 53 75 a0 03 'one' 00 53 75 a0 00 00 53 75 a0 03 'two'" FOOTER);
	static const char *const expected[] = {"one", "", "two"};
	struct amqp_message message;
	gh_bytes data;
	cr_assert(amqp_message_sections(bytes, &message, NULL) == GH_OK);
	cr_assert(message.sections[AMQP_HEADER].data == bytes.data && message.sections[AMQP_HEADER].len == 4);
	cr_assert(message.sections[AMQP_PROPERTIES].data == bytes.data + 4);
	cr_assert(message.sections[AMQP_FOOTER].data == bytes.data + bytes.len - 6);
	cr_assert(message.sections[AMQP_APPLICATION_PROPERTIES].len == 0);
	cr_assert(message.data_count == 3 && message.data_bytes == 6);
	gh_bytes rest = message.sections[AMQP_BODY_DATA];
	for (size_t i = 0; i < 3; i++)
		cr_assert(amqp_message_data_next(&rest, &data) && text_equal(data, text_of(expected[i])), "%zu", i);
	cr_assert(!amqp_message_data_next(&rest, &data));
	amqp_bytes_free(bytes);
}

/* ---- telemetry ---- */

static const struct amqp_sender device = {{(const uint8_t *)"dev 1", 5}, {NULL, 0}};
static const struct amqp_sender module = {{(const uint8_t *)"dev 1", 5}, {(const uint8_t *)"mod", 3}};

/* The draft as "name=value;name=value;|body", system properties first. */
static const char *message_told(char *room, size_t size)
{
	gh_stamps stamps = {
		.device_id = text_of("dev 1"), .generation_id = text_of("1"), .source = GH_SOURCE_TELEMETRY};
	gh_message *message = gh_message_freeze(draft, &stamps);
	gh_cursor cursor = {0};
	gh_property p;
	size_t len = 0;
	while (gh_message_next(message, &cursor, &p))
		if (p.id == GH_PROP_APPLICATION || p.id <= GH_PROP_CORRELATION_CONTEXT)
			len += (size_t)snprintf(room + len, size - len, "%.*s=%.*s;", (int)p.name.len,
				(const char *)p.name.data, (int)p.value.len, (const char *)p.value.data);
	gh_bytes body = gh_message_body(message);
	snprintf(room + len, size - len, "|%.*s", (int)body.len, body.len ? (const char *)body.data : "");
	gh_message_unref(message);
	return room;
}

struct draft_case {
	const char *name, *hex, *told;
};

static const struct draft_case drafts[] = {
	/* Written by a widely used client library. */
	{"an event",
		"00537045005373d00000004d00000008a1056d69642d3140a11d2f646576696365732f646576312f6d657373616765732f65766"
		"56e74734040a1056369642031a3106170706c69636174696f6e2f6a736f6ea3057574662d38005374d10000002000000004a105"
		"706c61696ea10131a10a696f746875622d61636ba10466756c6c005375a0077b2261223a317d",
		"message-id=mid-1;to=/devices/dev1/messages/events;correlation-id=cid 1;content-type=application/json;"
		"content-encoding=utf-8;iothub-ack=full;plain=1;|{\"a\":1}"},
	{"annotations and times",
		"00537045005372d10000003f00000004a313696f746875622d696e746572666163652d6964a10c75726e3a617a757265696f74a"
		"30a64742d7375626a656374a10a746865726d6f73746174005373d00000002e0000000a9800112233445566778899aabbccddee"
		"ff4040404040404083000001a204d8160083000001a204d819ed005375a00178",
		"iothub-interface-id=urn:azureiot;dt-subject=thermostat;"
		"message-id=00112233-4455-6677-8899-aabbccddeeff;absolute-expiry-time=2026-11-22T20:00:00.000Z;"
		"iothub-creation-time-utc=2026-11-22T20:00:01.005Z;|x"},
	{"two data sections", "0053704500537345005375a0036f6e65005375a00374776f", "|onetwo"},
	{"values of other types",
		"0053704500537345005374d10000002f0000000ca101695201a1016241a1016e40a10173a10176a10164830000000000000000a"
		"10166823ff8000000000000005375a00178",
		"n=;s=v;|x"},
	/* Written by hand. */
	{"nothing at all", "", "|"},
	{"no body", PROPERTIES, "|"},
	{"empty data", "00 53 75 a0 00", "|"},
	{"empty data around data", "00 53 75 a0 00" DATA "00 53 75 a0 00", "|x"},
	{"delivery annotations, header and footer say nothing",
		HEADER "00 53 71 c1 (02 a3('dt-subject') a1('a'))" DATA FOOTER, "|x"},
	{"message-id ulong", "00 53 73 c0 (01 53 07)" DATA, "message-id=7;|x"},
	{"message-id ulong zero", "00 53 73 c0 (01 44)" DATA, "message-id=0;|x"},
	{"message-id large ulong", "00 53 73 c0 (01 80 ff ff ff ff ff ff ff ff)" DATA,
		"message-id=18446744073709551615;|x"},
	{"message-id uuid", "00 53 73 c0 (01 98 0123456789abcdeffedcba9876543210)" DATA,
		"message-id=01234567-89ab-cdef-fedc-ba9876543210;|x"},
	{"message-id binary", "00 53 73 c0 (01 a0('m'))" DATA, "message-id=m;|x"},
	{"message-id empty", "00 53 73 c0 (01 a1 00)" DATA, "|x"},
	{"correlation-id uuid", "00 53 73 c0 (06 40 40 40 40 40 98 0123456789abcdeffedcba9876543210)" DATA,
		"correlation-id=01234567-89ab-cdef-fedc-ba9876543210;|x"},
	{"user-id binary", "00 53 73 c0 (02 40 a0('u'))" DATA, "user-id=u;|x"},
	{"user-id string", "00 53 73 c0 (02 40 a1('u'))" DATA, "user-id=u;|x"},
	{"to elsewhere", "00 53 73 c0 (03 40 40 a1('e'))" DATA, "to=e;|x"},
	{"to one's own events", "00 53 73 c0 (03 40 40 a1('/Devices/dev%201/messages/Events'))" DATA, "|x"},
	{"subject and reply-to say nothing", "00 53 73 c0 (05 40 40 40 a1('s') a1('r'))" DATA, "|x"},
	{"content-type string", "00 53 73 c0 (07 40 40 40 40 40 40 a1('t'))" DATA, "content-type=t;|x"},
	{"content-encoding symbol", "00 53 73 c0 (08 40 40 40 40 40 40 40 a3('e'))" DATA, "content-encoding=e;|x"},
	{"expiry before 1970", "00 53 73 c0 (09 40 40 40 40 40 40 40 40 83 ffffffffffffffff)" DATA, "|x"},
	{"expiry after 9999", "00 53 73 c0 (09 40 40 40 40 40 40 40 40 83 0000e677d21fdc00)" DATA, "|x"},
	{"expiry at the end of 9999", "00 53 73 c0 (09 40 40 40 40 40 40 40 40 83 0000e677d21fdbff)" DATA,
		"absolute-expiry-time=9999-12-31T23:59:59.999Z;|x"},
	{"group fields and more say nothing", "00 53 73 c0 (0e 40 40 40 40 40 40 40 40 40 40 a1('g') 43 40 40)" DATA,
		"|x"},
	{"annotations as symbols, any case, unknown ones passed over",
		"00 53 72 c1 (06 a3('DIAGNOSTIC-ID') a3('d') a3('x-y') 54 01"
		"a3('Correlation-Context') a1('c'))" DATA,
		"Diagnostic-Id=d;Correlation-Context=c;|x"},
	{"annotations of another type, and null", "00 53 72 c1 (04 a3('dt-subject') 54 01 a3('dt-subject') 40)" DATA,
		"|x"},
	{"output name and operation",
		"00 53 74 c1 (04 a1('iothub-outputname') a1('o') a1('IoTHub-Operation') a1('p'))" DATA,
		"iothub-outputname=o;iothub-operation=p;|x"},
	{"schema", "00 53 74 c1 (02 a1('iothub-message-schema') a1('s'))" DATA, "iothub-message-schema=s;|x"},
	{"creation time as text outdoes the field",
		"00 53 73 c0 (0a 40 40 40 40 40 40 40 40 40 83 0000000000000001)"
		"00 53 74 c1 (02 a1('iothub-creation-time-utc') a1('later'))" DATA,
		"iothub-creation-time-utc=later;|x"},
	{"what only the hub says", "00 53 74 c1 (02 a1('iothub-connection-device-id') a1('dev9'))" DATA, "|x"},
	{"a symbol for a key", "00 53 74 c1 (02 a3('k') a1('v'))" DATA, "k=v;|x"},
	{"the last of a name", "00 53 74 c1 (04 a1('k') a1('v') a1('K') a1('w'))" DATA, "K=w;|x"},
};

static gh_status message_fill(gh_bytes bytes, const struct amqp_sender *sender, gh_error *err)
{
	gh_draft_reset(draft);
	return amqp_message_draft(bytes, sender, &joined, draft, err);
}

/* Cut anywhere it is no message or a shorter one; cut by one byte it is none. */
static void message_cut_everywhere(const char *name, gh_bytes bytes)
{
	for (size_t len = 0; len < bytes.len; len++) {
		gh_bytes cut = amqp_bytes_cut(bytes, len);
		struct amqp_message outer;
		struct amqp_request request;
		gh_error err;
		gh_status status = message_fill(cut, &device, &err);
		cr_assert(
			status == GH_OK || status == GH_MALFORMED || status == GH_INVALID, "%s cut to %zu", name, len);
		cr_assert(status == GH_MALFORMED || len + 1 < bytes.len, "%s cut to %zu", name, len);
		amqp_message_batch(cut, &outer, &err);
		amqp_request_read(cut, &request, &err);
		amqp_bytes_free(cut);
	}
}

Test(amqp_message, each_field_reaches_its_property)
{
	for (size_t i = 0; i < sizeof drafts / sizeof *drafts; i++) {
		gh_bytes bytes = amqp_bytes(drafts[i].hex);
		char room[1000];
		gh_error err = {.text = ""};
		cr_assert(message_fill(bytes, &device, &err) == GH_OK, "%s: %s", drafts[i].name, err.text);
		cr_assert_str_eq(message_told(room, sizeof room), drafts[i].told, "%s: %s", drafts[i].name, room);
		message_cut_everywhere(drafts[i].name, bytes);
		amqp_bytes_free(bytes);
	}
}

static const struct {
	const char *name, *hex;
	gh_status status;
	const char *code;
} faults[] = {
	{"a body that is a value", "00 53 77 a1('x')", GH_MALFORMED, "amqp_body"},
	{"a body that is null", VALUE, GH_MALFORMED, "amqp_body"},
	{"a body that is a sequence", SEQUENCE, GH_MALFORMED, "amqp_body"},
	{"no section", "45", GH_MALFORMED, "amqp_section"},
	{"a cut section", "00 53 75 a0 02 'x'", GH_MALFORMED, "amqp_value"},
	{"a cut field", "00 53 73 c0 03 01 a1 05" DATA, GH_MALFORMED, "amqp_value"},
	{"a cut field that means nothing", "00 53 73 c0 (0b 40 40 40 40 40 40 40 40 40 40 a1 05)", GH_MALFORMED,
		"amqp_value"},
	{"bytes behind the last field", "00 53 73 c0 (01 40 40)", GH_MALFORMED, "amqp_value"},
	{"a cut name", "00 53 74 c1 (02 a1 05 40)", GH_MALFORMED, "amqp_value"},
	{"a cut value", "00 53 74 c1 (02 a1('k') a1 05)", GH_MALFORMED, "amqp_value"},
	{"a cut annotation", "00 53 72 c1 (02 a3('k') a1 05)", GH_MALFORMED, "amqp_value"},
	{"a name without a value", "00 53 74 c1 (01 a1('k'))", GH_MALFORMED, "amqp_value"},
	{"message-id int", "00 53 73 c0 (01 54 01)", GH_INVALID, "amqp_field"},
	{"message-id symbol", "00 53 73 c0 (01 a3('m'))", GH_INVALID, "amqp_field"},
	{"message-id with a blank", "00 53 73 c0 (01 a1('a b'))", GH_INVALID, "message_id_characters"},
	{"user-id int", "00 53 73 c0 (02 40 54 01)", GH_INVALID, "amqp_field"},
	{"user-id not UTF-8", "00 53 73 c0 (02 40 a0(ff))", GH_INVALID, "property_not_utf8"},
	{"to binary", "00 53 73 c0 (03 40 40 a0('t'))", GH_INVALID, "amqp_field"},
	{"correlation-id list", "00 53 73 c0 (06 40 40 40 40 40 45)", GH_INVALID, "amqp_field"},
	{"content-type binary", "00 53 73 c0 (07 40 40 40 40 40 40 a0('t'))", GH_INVALID, "amqp_field"},
	{"expiry ulong", "00 53 73 c0 (09 40 40 40 40 40 40 40 40 53 01)", GH_INVALID, "amqp_field"},
	{"a value not UTF-8", "00 53 74 c1 (02 a1('k') a1(ff))", GH_INVALID, "property_not_utf8"},
	{"an empty name", "00 53 74 c1 (02 a1 00 a1('v'))", GH_INVALID, "property_no_name"},
	{"a name that is no text", "00 53 74 c1 (02 53 01 a1('v'))", GH_INVALID, "property_no_name"},
	{"an annotation not UTF-8", "00 53 72 c1 (02 a3('dt-subject') a1(ff))", GH_INVALID, "property_not_utf8"},
};

Test(amqp_message, what_cannot_be_telemetry_is_refused_with_its_code)
{
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		gh_bytes bytes = amqp_bytes(faults[i].hex);
		gh_error err = {.code = "none"};
		cr_assert(message_fill(bytes, &device, &err) == faults[i].status, "%s: %s", faults[i].name, err.code);
		cr_assert_str_eq(err.code, faults[i].code, "%s: %s", faults[i].name, err.code);
		amqp_bytes_free(bytes);
	}
}

/* ---- `to` ---- */

static const struct {
	const struct amqp_sender *sender;
	const char *to;
	bool own;
} tos[] = {
	{&device, "/devices/dev 1/messages/events", true},
	{&device, "/devices/dev%201/messages/events", true},
	{&device, "/DEVICES/dev 1/Messages/EVENTS", true},
	{&device, "/devices/DEV 1/messages/events", false},
	{&device, "/devices/dev 1/messages/events/", false},
	{&device, "/devices/dev 1/messages/devicebound", false},
	{&device, "/devices/dev 11/messages/events", false},
	{&device, "/devices/dev 1/modules/mod/messages/events", false},
	{&device, "devices/dev 1/messages/events", false},
	{&device, "/devices/dev 1", false},
	{&device, "/", false},
	{&module, "/devices/dev 1/modules/mod/messages/events", true},
	{&module, "/devices/dev%201/Modules/m%6Fd/messages/events", true},
	{&module, "/devices/dev 1/modules/MOD/messages/events", false},
	{&module, "/devices/dev 1/messages/events", false},
};

static void message_put_to(struct buf *b, const char *to)
{
	buf_clear(b);
	amqp_value_put_descriptor(b, 0x73);
	size_t list = amqp_value_open(b);
	amqp_value_put_null(b);
	amqp_value_put_null(b);
	amqp_value_put_string(b, text_of(to));
	amqp_value_close_list(b, list, 3);
}

Test(amqp_message, a_to_that_repeats_the_senders_own_path_says_nothing)
{
	struct buf b;
	char room[1000], expected[1000];
	buf_init(&b, 0);
	for (size_t i = 0; i < sizeof tos / sizeof *tos; i++) {
		gh_error err;
		message_put_to(&b, tos[i].to);
		cr_assert(message_fill(buf_bytes(&b), tos[i].sender, &err) == GH_OK, "%s", tos[i].to);
		snprintf(expected, sizeof expected, tos[i].own ? "|" : "to=%s;|", tos[i].to);
		cr_assert_str_eq(message_told(room, sizeof room), expected, "%zu: %s", i, room);
	}
	buf_done(&b);
}

/* ---- bodies and limits ---- */

static void message_put_data(struct buf *b, size_t len)
{
	static const uint8_t zeros[300000];
	amqp_value_put_descriptor(b, 0x75);
	amqp_value_put_binary(b, (gh_bytes){zeros, len});
}

Test(amqp_message, one_data_section_is_not_copied_and_several_are_joined)
{
	struct buf b;
	gh_error err;
	buf_init(&b, 0);
	message_put_data(&b, 1000);
	cr_assert(message_fill(buf_bytes(&b), &device, &err) == GH_OK);
	cr_assert(joined.cap == 0);
	message_put_data(&b, 500);
	message_put_data(&b, 0);
	cr_assert(message_fill(buf_bytes(&b), &device, &err) == GH_OK);
	cr_assert(joined.len == 1500);
	buf_done(&b);
}

Test(amqp_message, a_body_of_one_byte_more_than_allowed_is_too_large_however_it_is_cut)
{
	struct buf b;
	gh_error err;
	buf_init(&b, 0);
	for (size_t parts = 1; parts <= 2; parts++)
		for (size_t more = 0; more <= 1; more++) {
			buf_clear(&b);
			message_put_data(&b, limits.message_bytes_max / parts + more);
			for (size_t part = 1; part < parts; part++)
				message_put_data(&b, limits.message_bytes_max / parts);
			gh_status status = message_fill(buf_bytes(&b), &device, &err);
			cr_assert(status == (more ? GH_TOO_LARGE : GH_OK), "%zu parts, %zu more", parts, more);
		}
	buf_done(&b);
}

/* `count` application properties n0, n1, ... each of one value. */
static void message_put_names(struct buf *b, uint32_t count, void (*put_value)(struct buf *b))
{
	buf_clear(b);
	amqp_value_put_descriptor(b, 0x74);
	size_t map = amqp_value_open(b);
	for (uint32_t i = 0; i < count; i++) {
		char name[16];
		snprintf(name, sizeof name, "n%u", i);
		amqp_value_put_string(b, text_of(name));
		put_value(b);
	}
	amqp_value_close_map(b, map, 2 * count);
}

static void put_true(struct buf *b)
{
	amqp_value_put_boolean(b, true);
}

Test(amqp_message, properties_are_counted_when_they_are_kept)
{
	struct buf b;
	gh_error err;
	buf_init(&b, 0);
	message_put_names(&b, (uint32_t)limits.message_properties_max, amqp_value_put_null);
	cr_assert(message_fill(buf_bytes(&b), &device, &err) == GH_OK);
	message_put_names(&b, (uint32_t)limits.message_properties_max + 1, amqp_value_put_null);
	cr_assert(message_fill(buf_bytes(&b), &device, &err) == GH_TOO_LARGE);
	message_put_names(&b, (uint32_t)limits.message_properties_max + 1, put_true);
	cr_assert(message_fill(buf_bytes(&b), &device, &err) == GH_OK);
	buf_done(&b);
}

Test(amqp_message, a_message_id_longer_than_allowed_is_refused)
{
	struct buf b;
	gh_error err;
	static char id[200];
	buf_init(&b, 0);
	memset(id, 'i', sizeof id);
	for (size_t more = 0; more <= 1; more++) {
		buf_clear(&b);
		amqp_value_put_descriptor(&b, 0x73);
		size_t list = amqp_value_open(&b);
		amqp_value_put_string(&b, (gh_bytes){(uint8_t *)id, limits.message_id_bytes_max + more});
		amqp_value_close_list(&b, list, 1);
		cr_assert(message_fill(buf_bytes(&b), &device, &err) == (more ? GH_INVALID : GH_OK));
	}
	buf_done(&b);
}

/* ---- the same over every protocol ---- */

static const char *message_told_of_amqp(char *room, size_t size)
{
	gh_bytes bytes = amqp_bytes("00 53 72 c1 (04 a3('iothub-interface-id') a1('urn:x') a3('dt-subject') a1('t'))"
				    "00 53 73 c0 (0a a1('m-1') a0('u') a1('/a b') 40 40 a1('c 1') a3('text/plain')"
				    "            a3('utf-8') 83 000001a204d81600 83 000001a204d819ed)"
				    "00 53 74 c1 (08 a1('iothub-ack') a1('full') a1('iothub-message-schema') a1('s')"
				    "            a1('iothub-operation') a1('d2c') a1('Plain') a1('x/y&z=1'))"
				    "00 53 75 a0('body')");
	gh_error err;
	cr_assert(message_fill(bytes, &device, &err) == GH_OK, "%s", err.text);
	message_told(room, size);
	amqp_bytes_free(bytes);
	return room;
}

static const char *message_told_of_mqtt(char *room, size_t size)
{
	gh_draft_reset(draft);
	cr_assert(mqtt_topic_draft(
			  text_of("%24.ifid=urn%3Ax&%24.sub=t&%24.mid=m-1&%24.uid=u&%24.to=%2Fa%20b&%24.cid=c%201&"
				  "%24.ct=text%2Fplain&%24.ce=utf-8&%24.exp=2026-11-22T20%3A00%3A00.000Z&"
				  "%24.ctime=2026-11-22T20%3A00%3A01.005Z&iothub-ack=full&%24.schema=s&"
				  "iothub-operation=d2c&Plain=x%2Fy%26z%3D1"),
			  text_of("body"), 0, draft) == GH_OK);
	return message_told(room, size);
}

static const char *message_told_of_https(char *room, size_t size)
{
	static const char *const table[][2] = {
		{"iothub-interface-id", "urn:x"},
		{"dt-subject", "t"},
		{"iothub-messageid", "m-1"},
		{"iothub-userid", "u"},
		{"iothub-to", "/a b"},
		{"iothub-correlationid", "c 1"},
		{"iothub-contenttype", "text/plain"},
		{"iothub-contentencoding", "utf-8"},
		{"iothub-expiry", "2026-11-22T20:00:00.000Z"},
		{"iothub-creationtimeutc", "2026-11-22T20:00:01.005Z"},
		{"iothub-ack", "full"},
		{"iothub-messageschema", "s"},
		{"iothub-operation", "d2c"},
		{"iothub-app-Plain", "x/y&z=1"},
	};
	struct rest_field fields[sizeof table / sizeof *table];
	struct rest_request request = {.fields = fields, .field_count = sizeof table / sizeof *table};
	for (size_t i = 0; i < request.field_count; i++)
		fields[i] = (struct rest_field){text_of(table[i][0]), text_of(table[i][1])};
	gh_error err;
	gh_draft_reset(draft);
	cr_assert(rest_message_fields(&request, device.device_id, draft, &err) == GH_OK);
	cr_assert(gh_draft_body(draft, text_of("body"), &err) == GH_OK);
	return message_told(room, size);
}

Test(amqp_message, must_75_the_same_message_is_equal_over_amqp_mqtt_and_https)
{
	char amqp[1000], mqtt[1000], https[1000];
	message_told_of_amqp(amqp, sizeof amqp);
	cr_assert_str_eq(amqp, message_told_of_mqtt(mqtt, sizeof mqtt), "MQTT");
	cr_assert_str_eq(amqp, message_told_of_https(https, sizeof https), "HTTPS");
}

/* ---- batches ---- */

Test(amqp_message, a_batch_is_one_message_per_data_section_and_never_a_batch_again)
{
	static const char *const expected[] = {"k=v;|one", "|two", "|"};
	gh_bytes bytes = amqp_bytes("00 53 72 c1 (02 a3('dt-subject') a1('outer')) 00 53 74 c1 (02 a1('o') a1('outer'))"
				    "00 53 75 a0 (00 53 74 c1 (02 a1('k') a1('v')) 00 53 75 a0('one'))"
				    "00 53 75 a0 (00 53 75 a0('two')) 00 53 75 a0 ()");
	struct amqp_message outer;
	gh_bytes inner;
	gh_error err;
	char room[1000];
	cr_assert(amqp_message_batch(bytes, &outer, &err) == GH_OK && outer.data_count == 3);
	gh_bytes rest = outer.sections[AMQP_BODY_DATA];
	for (size_t i = 0; i < 3; i++) {
		cr_assert(amqp_message_batch_next(&rest, &inner));
		cr_assert(message_fill(inner, &device, &err) == GH_OK, "message %zu: %s", i, err.text);
		cr_assert_str_eq(message_told(room, sizeof room), expected[i], "message %zu: %s", i, room);
	}
	cr_assert(!amqp_message_batch_next(&rest, &inner));
	amqp_bytes_free(bytes);
}

Test(amqp_message, a_batch_of_nothing_or_of_values_is_none)
{
	static const char *const rows[] = {"", HEADER FOOTER, VALUE, SEQUENCE SEQUENCE, DATA "00"};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		gh_bytes bytes = amqp_bytes(rows[i]);
		struct amqp_message outer;
		gh_error err;
		cr_assert(amqp_message_batch(bytes, &outer, &err) == GH_MALFORMED, "row %zu", i);
		amqp_bytes_free(bytes);
	}
}

/* ---- requests ---- */

struct request_case {
	const char *name, *hex, *message_id, *reply_to, *operation, *type, *audience, *body;
};

static const struct request_case requests[] = {
	/* Written by a widely used client library. */
	{"string id",
		"00537045005373d00000003700000005a12431313131313131312d323232322d333333332d343434342d3535353535353535"
		"3535353540a1042463627340a103636273005374d10000006300000006a1096f7065726174696f6ea1097075742d746f6b65"
		"6ea10474797065a11f736572766963656275732e77696e646f77732e6e65743a736173746f6b656ea1046e616d65a11a6c6f"
		"63616c686f73742532466465766963657325324664657631005377a1255368617265644163636573735369676e6174757265"
		"2073723d78267369673d792673653d31",
		"a1('11111111-2222-3333-4444-555555555555')", "cbs", "put-token", "servicebus.windows.net:sastoken",
		"localhost%2Fdevices%2Fdev1", "SharedAccessSignature sr=x&sig=y&se=1"},
	{"ulong id, no reply-to",
		"00 53 73 c0 (01 44) 00 53 74 c1 (02 a1('operation') a1('put-token')) 00 53 77 a1('t')", "44", "",
		"put-token", "", "", "t"},
	{"uuid id", "00 53 73 c0 (05 98 '0123456789abcdef' 40 40 40 a1('cbs'))", "98 '0123456789abcdef'", "cbs", "", "",
		"", ""},
	{"binary id", "00 53 73 c0 (01 b0 00000001 'x')", "b0 00000001 'x'", "", "", "", "", ""},
	{"null id", "00 53 73 c0 (01 40)", "", "", "", "", "", ""},
	{"nothing", "", "", "", "", "", "", ""},
	{"all three names",
		"00 53 74 c1 (06 a1('name') a1('n') a1('type') a1('t') a1('operation') a1('o')) 00 53 75 a0('token')",
		"", "", "o", "t", "n", "token"},
	{"names in another case, or of another type", "00 53 74 c1 (04 a1('Name') a1('n') a1('type') 54 01)", "", "",
		"", "", "", ""},
	{"two data sections", DATA DATA, "", "", "", "", "", ""},
	{"a null value", VALUE, "", "", "", "", "", ""},
	{"a described value", "00 53 77 00 53 01 45", "", "", "", "", "", ""},
	{"a sequence", SEQUENCE, "", "", "", "", "", ""},
};

static void request_check(const struct request_case *c, const struct amqp_request *request)
{
	gh_bytes message_id = amqp_bytes(c->message_id);
	cr_assert(text_equal(request->message_id, message_id), "%s: message id", c->name);
	cr_assert(text_equal(request->reply_to, text_of(c->reply_to)), "%s: reply-to", c->name);
	cr_assert(text_equal(request->operation, text_of(c->operation)), "%s: operation", c->name);
	cr_assert(text_equal(request->type, text_of(c->type)), "%s: type", c->name);
	cr_assert(text_equal(request->name, text_of(c->audience)), "%s: name", c->name);
	cr_assert(text_equal(request->body, text_of(c->body)), "%s: body", c->name);
	amqp_bytes_free(message_id);
}

Test(amqp_message, a_request_tells_what_is_there_and_nothing_else)
{
	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
		gh_bytes bytes = amqp_bytes(requests[i].hex);
		struct amqp_request request;
		gh_error err = {.text = ""};
		cr_assert(amqp_request_read(bytes, &request, &err) == GH_OK, "%s: %s", requests[i].name, err.text);
		request_check(&requests[i], &request);
		message_cut_everywhere(requests[i].name, bytes);
		amqp_bytes_free(bytes);
	}
}

Test(amqp_message, a_request_whose_id_cannot_be_echoed_is_refused)
{
	static const struct {
		const char *hex;
		gh_status status;
	} rows[] = {
		{"00 53 73 c0 (01 54 01)", GH_INVALID},
		{"00 53 73 c0 (01 45)", GH_INVALID},
		{"00 53 73 c0 (01 a1 05)", GH_MALFORMED},
		{"00 53 74 c1 (02 a1('name') a1 05)", GH_MALFORMED},
		{"00 53 79 45", GH_MALFORMED},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		gh_bytes bytes = amqp_bytes(rows[i].hex);
		struct amqp_request request;
		cr_assert(amqp_request_read(bytes, &request, NULL) == rows[i].status, "%s", rows[i].hex);
		amqp_bytes_free(bytes);
	}
}

Test(amqp_message, a_reply_has_the_requests_id_in_its_own_type)
{
	static const struct {
		const char *id, *reply;
	} rows[] = {
		{"44", "00 53 73 c0 (06 40 40 40 40 40 44)"},
		{"98 '0123456789abcdef'", "00 53 73 c0 (06 40 40 40 40 40 98 '0123456789abcdef')"},
		{"a1('one')", "00 53 73 c0 (06 40 40 40 40 40 a1('one'))"},
		{"", ""},
	};
	static const char rest[] = "00 53 74 c1 (04 a1('status-code') 71 000000c8 a1('status-description') a1('OK'))"
				   "00 53 77 40";
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[300];
		struct buf b;
		snprintf(text, sizeof text, "%s %s", rows[i].reply, rest);
		gh_bytes id = amqp_bytes(rows[i].id), expected = amqp_bytes(text);
		buf_init(&b, 0);
		amqp_reply_put(&b, id, 200, text_of("OK"));
		cr_assert(text_equal(buf_bytes(&b), expected), "%s", rows[i].id);
		amqp_bytes_free(id);
		amqp_bytes_free(expected);
		buf_done(&b);
	}
}
