/* Names over MQTT: who the user name says, what a topic means, which property a bag name is. */
#include "tests/suite.h"

#include "src/base/limits.h"
#include "src/base/text.h"
#include "transports/mqtt/mqtt_topic.h"

#include <stdlib.h>

SUITE(mqtt_topic);

struct user_case {
	const char *name, *user_name, *client_id;
	gh_status status;
	const char *host, *device_id, *module_id, *model_id, *client_info;
};

static const struct user_case users[] = {
	{"node", "hub.example.net/dev1/?api-version=2021-04-12&DeviceClientType=azure-iot-device%2F1.18.4%20(node)",
		"dev1", GH_OK, "hub.example.net", "dev1", "", "", "azure-iot-device/1.18.4 (node)"},
	{"module", "hub/dev1/mod-A/?api-version=2020-09-30&DeviceClientType=c", "dev1/mod-A", GH_OK, "hub", "dev1",
		"mod-A", "", "c"},
	{"model id, encoded", "hub/dev1/?api-version=2020-09-30&DeviceClientType=x&model-id=dtmi%3Acom%3Aex%3ADev%3B1",
		"dev1", GH_OK, "hub", "dev1", "", "dtmi:com:ex:Dev;1", "x"},
	{"model id, plain", "hub/dev1/?api-version=v&model-id=dtmi:com:ex:Dev;1", "dev1", GH_OK, "hub", "dev1", "",
		"dtmi:com:ex:Dev;1", ""},
	{"no question mark", "hub/dev1/api-version=2016-11-14&DeviceClientType=old", "dev1", GH_OK, "hub", "dev1", "",
		"", "old"},
	{"no question mark, other order", "hub/dev1/DeviceClientType=old&api-version=2016-11-14", "dev1", GH_OK, "hub",
		"dev1", "", "", "old"},
	{"slash for ampersand", "hub/dev1/api-version=2017-06-30/DeviceClientType=edge%2F1", "dev1", GH_OK, "hub",
		"dev1", "", "", "edge/1"},
	{"slash for ampersand, module", "hub/dev1/m/api-version=2017-06-30/DeviceClientType=e", "dev1/m", GH_OK, "hub",
		"dev1", "m", "", "e"},
	{"raw slashes in a value", "hub/dev1/?DeviceClientType=a/b/c&model-id=x", "dev1", GH_OK, "hub", "dev1", "", "x",
		"a/b/c"},
	{"nothing but the ids", "hub/dev1", "dev1", GH_OK, "hub", "dev1", "", "", ""},
	{"ids and a final slash", "hub/dev1/", "dev1", GH_OK, "hub", "dev1", "", "", ""},
	{"module ids and a final slash", "hub/dev1/m/", "dev1/m", GH_OK, "hub", "dev1", "m", "", ""},
	{"module without parameters", "hub/dev1/m", "dev1/m", GH_OK, "hub", "dev1", "m", "", ""},
	{"auth chain", "hub/dev1/?api-version=v&auth-chain=a%3Bb", "dev1", GH_OK, "hub", "dev1", "", "", ""},
	{"must_33 api-version of anything", "hub/dev1/?api-version=", "dev1", GH_OK, "hub", "dev1", "", "", ""},
	{"must_33 no api-version", "hub/dev1/?DeviceClientType=x", "dev1", GH_OK, "hub", "dev1", "", "", "x"},
	{"a port with the host", "hub:8883/dev1/?api-version=v", "dev1", GH_OK, "hub:8883", "dev1", "", "", ""},
	{"first of two wins", "hub/dev1/?model-id=a&model-id=b", "dev1", GH_OK, "hub", "dev1", "", "a", ""},
	{"an empty first also wins", "hub/dev1/?model-id=&model-id=b", "dev1", GH_OK, "hub", "dev1", "", "", ""},
	{"plus is a plus", "hub/dev1/?DeviceClientType=a+b", "dev1", GH_OK, "hub", "dev1", "", "", "a+b"},
	{"must_24 an id is never decoded", "hub/a%2Fb/?api-version=v", "a%2Fb", GH_OK, "hub", "a%2Fb", "", "", ""},
	{"must_24 an id of metacharacters", "hub/+#%?=@'()*/?api-version=v", "+#%?=@'()*", GH_OK, "hub", "+#%?=@'()*",
		"", "", ""},
	{"must_24 an id that looks like parameters", "hub/?api-version=1/?api-version=v", "?api-version=1", GH_OK,
		"hub", "?api-version=1", "", "", ""},
	{"a module that looks like parameters", "hub/dev1/?m/?api-version=v", "dev1/?m", GH_OK, "hub", "dev1", "?m", "",
		""},
	{"must_32 client id of another device", "hub/dev1/?api-version=v", "dev2", GH_UNAUTHORIZED, "", "", "", "", ""},
	{"must_23 client id in other case", "hub/dev1/?api-version=v", "DEV1", GH_UNAUTHORIZED, "", "", "", "", ""},
	{"must_32 client id with more", "hub/dev1/?api-version=v", "dev10", GH_UNAUTHORIZED, "", "", "", "", ""},
	{"must_32 client id with less", "hub/dev1/?api-version=v", "dev", GH_UNAUTHORIZED, "", "", "", "", ""},
	{"must_32 empty client id", "hub/dev1/?api-version=v", "", GH_UNAUTHORIZED, "", "", "", "", ""},
	{"device client id, module user name", "hub/dev1/m/?api-version=v", "dev1", GH_UNAUTHORIZED, "", "", "", "",
		""},
	{"module client id, device user name", "hub/dev1/?api-version=v", "dev1/m", GH_UNAUTHORIZED, "", "", "", "",
		""},
	{"module client id, bare device user name", "hub/dev1", "dev1/m", GH_UNAUTHORIZED, "", "", "", "", ""},
	{"client id of another module", "hub/dev1/m/?api-version=v", "dev1/n", GH_UNAUTHORIZED, "", "", "", "", ""},
	{"client id with an empty module", "hub/dev1/", "dev1/", GH_UNAUTHORIZED, "", "", "", "", ""},
	{"client id of three parts", "hub/dev1/m/n", "dev1/m/n", GH_UNAUTHORIZED, "", "", "", "", ""},
	{"a segment between module and parameters", "hub/dev1/m/n/?api-version=v", "dev1/m", GH_UNAUTHORIZED, "", "",
		"", "", ""},
	{"empty user name", "", "dev1", GH_INVALID, "", "", "", "", ""},
	{"host alone", "hub", "", GH_INVALID, "", "", "", "", ""},
	{"no host", "/dev1/?api-version=v", "dev1", GH_INVALID, "", "", "", "", ""},
	{"no device", "hub//?api-version=v", "", GH_INVALID, "", "", "", "", ""},
	{"model id not UTF-8", "hub/dev1/?model-id=%ff", "dev1", GH_INVALID, "", "", "", "", ""},
	{"model id with NUL", "hub/dev1/?model-id=a%00b", "dev1", GH_INVALID, "", "", "", "", ""},
};

Test(mqtt_topic, must_32_every_user_name_form_says_who_it_is)
{
	for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
		const struct user_case *c = &users[i];
		uint8_t scratch[512];
		struct mqtt_user user = {0};
		gh_error err;
		gh_status status = mqtt_topic_user(text_of(c->user_name), text_of(c->client_id), scratch, &user, &err);
		cr_assert(status == c->status, "%s: %s", c->name, gh_status_name(status));
		if (status != GH_OK) {
			cr_assert(err.status == status, "%s: the error says so too", c->name);
			continue;
		}
		cr_assert(text_equal(user.host, text_of(c->host)), "%s: host", c->name);
		cr_assert(text_equal(user.device_id, text_of(c->device_id)), "%s: device", c->name);
		cr_assert(text_equal(user.module_id, text_of(c->module_id)), "%s: module", c->name);
		cr_assert(text_equal(user.model_id, text_of(c->model_id)), "%s: model", c->name);
		cr_assert(text_equal(user.client_info, text_of(c->client_info)), "%s: client", c->name);
	}
}

static gh_status topic_user_of_length(size_t id_len)
{
	char user_name[400] = "hub/", scratch[400];
	memset(user_name + 4, 'a', id_len);
	struct mqtt_user user;
	gh_error err;
	return mqtt_topic_user(text_of(user_name), text_of(user_name + 4), (uint8_t *)scratch, &user, &err);
}

Test(mqtt_topic, an_id_of_129_bytes_is_refused)
{
	cr_assert(topic_user_of_length(128) == GH_OK);
	cr_assert(topic_user_of_length(129) == GH_INVALID);
	cr_assert(topic_user_of_length(300) == GH_INVALID);
}

struct topic_case {
	const char *device_id, *module_id, *topic;
	enum mqtt_topic kind;
	const char *bag;
};

static const struct topic_case topics[] = {
	{"dev1", "", "devices/dev1/messages/events", MQTT_TOPIC_TELEMETRY, ""},
	{"dev1", "", "devices/dev1/messages/events/", MQTT_TOPIC_TELEMETRY, ""},
	{"dev1", "", "devices/dev1/messages/events/a=1", MQTT_TOPIC_TELEMETRY, "a=1"},
	{"dev1", "", "devices/dev1/messages/events/?a=1", MQTT_TOPIC_TELEMETRY, "a=1"},
	{"dev1", "", "devices/dev1/messages/events/a=1/", MQTT_TOPIC_TELEMETRY, "a=1"},
	{"dev1", "", "devices/dev1/messages/events/a=x/y+#", MQTT_TOPIC_TELEMETRY, "a=x/y+#"},
	{"dev1", "m", "devices/dev1/modules/m/messages/events/a=1", MQTT_TOPIC_TELEMETRY, "a=1"},
	{"a+b#", "", "devices/a+b#/messages/events/", MQTT_TOPIC_TELEMETRY, ""},
	{"dev1", "", "devices/dev2/messages/events/", MQTT_TOPIC_OTHER, NULL},
	{"dev1", "", "devices/dev10/messages/events/", MQTT_TOPIC_OTHER, NULL},
	{"dev1", "", "devices/DEV1/messages/events/", MQTT_TOPIC_OTHER, NULL},
	{"dev1", "", "devices/+/messages/events/", MQTT_TOPIC_OTHER, NULL},
	{"dev1", "", "Devices/dev1/messages/events/", MQTT_TOPIC_OTHER, NULL},
	{"dev1", "", "devices/dev1/messages/Events/", MQTT_TOPIC_OTHER, NULL},
	{"dev1", "", "devices/dev1/messages/eventsx", MQTT_TOPIC_OTHER, NULL},
	{"dev1", "", "devices/dev1/messages/events?a=1", MQTT_TOPIC_OTHER, NULL},
	{"dev1", "", "devices/dev1/messages/devicebound/", MQTT_TOPIC_OTHER, NULL},
	{"dev1", "", "devices/dev1/modules/m/messages/events/", MQTT_TOPIC_OTHER, NULL},
	{"dev1", "m", "devices/dev1/messages/events/", MQTT_TOPIC_OTHER, NULL},
	{"dev1", "m", "devices/dev1/modules/n/messages/events/", MQTT_TOPIC_OTHER, NULL},
	{"dev1", "", "devices/dev1", MQTT_TOPIC_OTHER, NULL},
	{"dev1", "", "devices/", MQTT_TOPIC_OTHER, NULL},
	{"dev1", "", "/devices/dev1/messages/events/", MQTT_TOPIC_OTHER, NULL},
	{"dev1", "", "test", MQTT_TOPIC_OTHER, NULL},
	{"dev1", "", "$iothub/twin/GET/?$rid=1", MQTT_TOPIC_REQUEST, NULL},
	{"dev1", "m", "$iothub/twin/PATCH/properties/reported/?$rid=1", MQTT_TOPIC_REQUEST, NULL},
	{"dev1", "", "$iothub/methods/res/200/?$rid=1", MQTT_TOPIC_REQUEST, NULL},
	{"dev1", "", "$iothub/twin/PATCH/properties/desired/?$version=1", MQTT_TOPIC_OTHER, NULL},
	{"dev1", "", "$iothub/twin/get/?$rid=1", MQTT_TOPIC_OTHER, NULL},
	{"dev1", "", "$SYS/broker", MQTT_TOPIC_OTHER, NULL},
};

static struct mqtt_identity *topic_identity(const char *device_id, const char *module_id)
{
	struct mqtt_identity *identity = mqtt_identity_new(text_of(device_id), text_of(module_id));
	cr_assert(identity != NULL);
	return identity;
}

Test(mqtt_topic, must_38_only_ones_own_topics_are_known)
{
	for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
		struct mqtt_identity *identity = topic_identity(topics[i].device_id, topics[i].module_id);
		gh_bytes bag = {NULL, 0};
		enum mqtt_topic kind = mqtt_topic_of(identity, text_of(topics[i].topic), &bag);
		cr_assert(kind == topics[i].kind, "%s as %s", topics[i].topic, topics[i].device_id);
		if (kind == MQTT_TOPIC_TELEMETRY)
			cr_assert(text_equal(bag, text_of(topics[i].bag)), "bag of %s", topics[i].topic);
		free(identity);
	}
}

struct filter_case {
	const char *device_id, *module_id, *filter;
	enum mqtt_filter result;
	int kind;
};

static const struct filter_case filters[] = {
	{"dev1", "", "devices/dev1/messages/devicebound/#", MQTT_FILTER_KNOWN, GH_SUB_C2D},
	{"dev1", "", "devices/dev1/messages/devicebound/+", MQTT_FILTER_KNOWN, GH_SUB_C2D},
	{"dev1", "", "devices/dev1/messages/devicebound/any/thing", MQTT_FILTER_KNOWN, GH_SUB_C2D},
	{"dev1", "m", "devices/dev1/modules/m/messages/devicebound/#", MQTT_FILTER_SILENT, -1},
	{"dev1", "m", "devices/dev1/modules/m/#", MQTT_FILTER_KNOWN, GH_SUB_INPUTS},
	{"dev1", "m", "devices/dev1/modules/m/inputs/#", MQTT_FILTER_KNOWN, GH_SUB_INPUTS},
	{"dev1", "", "$iothub/twin/res/#", MQTT_FILTER_KNOWN, GH_SUB_TWIN_RESULTS},
	{"dev1", "m", "$iothub/twin/PATCH/properties/desired/#", MQTT_FILTER_KNOWN, GH_SUB_TWIN_DESIRED},
	{"dev1", "", "$iothub/methods/POST/#", MQTT_FILTER_KNOWN, GH_SUB_METHODS},
	{"a+b", "", "devices/a+b/messages/devicebound/#", MQTT_FILTER_KNOWN, GH_SUB_C2D},
	{"#", "", "devices/#/messages/devicebound/#", MQTT_FILTER_KNOWN, GH_SUB_C2D},
	{"axb", "", "devices/a+b/messages/devicebound/#", MQTT_FILTER_FOREIGN, -1},
	{"dev1", "", "devices/dev2/messages/devicebound/#", MQTT_FILTER_FOREIGN, -1},
	{"dev1", "", "devices/dev10/messages/devicebound/#", MQTT_FILTER_FOREIGN, -1},
	{"dev1", "m", "devices/dev1/modules/mm/#", MQTT_FILTER_FOREIGN, -1},
	{"dev1", "", "devices/+/messages/devicebound/#", MQTT_FILTER_FOREIGN, -1},
	{"dev1", "", "devices/#", MQTT_FILTER_FOREIGN, -1},
	{"dev1", "", "devices/dev1/modules/m/#", MQTT_FILTER_FOREIGN, -1},
	{"dev1", "m", "devices/dev1/messages/devicebound/#", MQTT_FILTER_FOREIGN, -1},
	{"dev1", "m", "devices/dev1/modules/n/#", MQTT_FILTER_FOREIGN, -1},
	{"dev1", "", "devices/dev1", MQTT_FILTER_UNKNOWN, -1},
	{"dev1", "", "devices/dev1/#", MQTT_FILTER_UNKNOWN, -1},
	{"dev1", "", "devices/dev1/messages/events/#", MQTT_FILTER_UNKNOWN, -1},
	{"dev1", "", "devices/dev1/messages/devicebound", MQTT_FILTER_UNKNOWN, -1},
	{"dev1", "", "$iothub/#", MQTT_FILTER_UNKNOWN, -1},
	{"dev1", "", "$iothub/twin/res/+", MQTT_FILTER_UNKNOWN, -1},
	{"dev1", "", "#", MQTT_FILTER_UNKNOWN, -1},
	{"dev1", "", "+", MQTT_FILTER_UNKNOWN, -1},
	{"dev1", "", "a/+/b/#", MQTT_FILTER_UNKNOWN, -1},
	{"dev1", "", "/", MQTT_FILTER_UNKNOWN, -1},
	{"dev1", "", "a/#/b", MQTT_FILTER_MALFORMED, -1},
	{"dev1", "", "a#", MQTT_FILTER_MALFORMED, -1},
	{"dev1", "", "a/b+", MQTT_FILTER_MALFORMED, -1},
	{"dev1", "", "+a/b", MQTT_FILTER_MALFORMED, -1},
	{"dev1", "", "devices/dev1/messages/devicebound/a#", MQTT_FILTER_MALFORMED, -1},
};

Test(mqtt_topic, must_53_filters_are_known_by_shape_and_ids_are_literal)
{
	for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
		struct mqtt_identity *identity = topic_identity(filters[i].device_id, filters[i].module_id);
		enum gh_subscription kind = GH_SUB_COUNT;
		enum mqtt_filter result = mqtt_topic_filter(identity, text_of(filters[i].filter), &kind);
		cr_assert(result == filters[i].result, "%s as %s: %d", filters[i].filter, filters[i].device_id,
			(int)result);
		if (filters[i].kind >= 0)
			cr_assert((int)kind == filters[i].kind, "kind of %s", filters[i].filter);
		free(identity);
	}
}

Test(mqtt_topic, threat_05_slashes_by_the_64_kb_are_one_unknown_filter)
{
	struct mqtt_identity *identity = topic_identity("dev1", "");
	enum gh_subscription kind;
	uint8_t *slashes = malloc(65535);
	cr_assert(slashes != NULL);
	memset(slashes, '/', 65535);
	cr_assert(mqtt_topic_filter(identity, (gh_bytes){slashes, 65535}, &kind) == MQTT_FILTER_UNKNOWN);
	free(slashes);
	free(identity);
}

/* ---- properties ---- */

static gh_limits limits;

static gh_message *topic_message(const char *bag)
{
	limits_defaults(&limits);
	gh_draft *draft = gh_draft_new(&limits);
	gh_error err = {0};
	gh_stamps stamps = {.device_id = text_of("dev1"), .generation_id = text_of("1"), .source = GH_SOURCE_TELEMETRY};
	cr_assert(draft != NULL);
	cr_assert(mqtt_topic_properties(text_of(bag), draft, &err) == GH_OK, "%s: %s", bag, err.text);
	gh_message *message = gh_message_freeze(draft, &stamps);
	cr_assert(message != NULL);
	gh_draft_free(draft);
	return message;
}

static bool topic_has(const gh_message *message, const char *name, const char *value)
{
	gh_cursor cursor = {0};
	gh_property property;
	while (gh_message_next(message, &cursor, &property))
		if (text_equal(property.name, text_of(name)))
			return value && text_equal(property.value, text_of(value));
	return value == NULL;
}

struct property_case {
	const char *bag, *name, *value; /* value NULL = must not be there */
};

static const struct property_case properties[] = {
	{"%24.mid=m-1", "message-id", "m-1"},
	{"$.mid=m-1", "message-id", "m-1"},
	{"%24.cid=c%201", "correlation-id", "c 1"},
	{"%24.uid=u", "user-id", "u"},
	{"%24.to=%2Fx", "to", "/x"},
	{"%24.ct=application%2Fjson", "content-type", "application/json"},
	{"%24.ce=utf-8", "content-encoding", "utf-8"},
	{"%24.exp=2026-11-22T20%3A00%3A00Z", "absolute-expiry-time", "2026-11-22T20:00:00Z"},
	{"%24.ctime=2026", "iothub-creation-time-utc", "2026"},
	{"iothub-creation-time-utc=2026", "iothub-creation-time-utc", "2026"},
	{"%24.on=out", "iothub-outputname", "out"},
	{"%24.ifid=urn%3Aazureiot", "iothub-interface-id", "urn:azureiot"},
	{"%24.sub=thermostat", "dt-subject", "thermostat"},
	{"%24.schema=s", "iothub-message-schema", "s"},
	{"%24.diagid=d", "Diagnostic-Id", "d"},
	{"%24.diagctx=creationtimeutc%3D1", "Correlation-Context", "creationtimeutc=1"},
	{"iothub-ack=full", "iothub-ack", "full"},
	{"iothub-operation=d2c", "iothub-operation", "d2c"},
	{"%24.cdid=dev9", "iothub-connection-device-id", "dev1"},
	{"%24.cdid=dev9", "$.cdid", NULL},
	{"%24.cmid=m", "iothub-connection-module-id", NULL},
	{"iothub-connection-device-id=dev9", "iothub-connection-device-id", "dev1"},
	{"mqtt-retain=true", "mqtt-retain", NULL},
	{"iothub-MessageType=Will", "iothub-MessageType", NULL},
	{"%24.zzz=1", "$.zzz", "1"},
	{"plain=1", "plain", "1"},
	{"a%20b=x%2Fy%26z%3D%C3%A9", "a b", "x/y&z=\xc3\xa9"},
	{"a=x/y/z", "a", "x/y/z"},
	{"a=x+y", "a", "x+y"},
	{"a=x%20y", "a", "x y"},
	{"a=1=2", "a", "1=2"},
	{"a=1&a=2", "a", "2"},
	{"a=%zz", "a", "%zz"},
	{"&&a=1&&", "a", "1"},
	{"=nameless&a=1", "a", "1"},
	{"bare", "bare", ""},
	{"$.mid=x&plain=%24.mid", "plain", "$.mid"},
};

Test(mqtt_topic, must_42_each_bag_name_reaches_its_property)
{
	for (size_t i = 0; i < sizeof properties / sizeof *properties; i++) {
		gh_message *message = topic_message(properties[i].bag);
		cr_assert(topic_has(message, properties[i].name, properties[i].value), "%s -> %s", properties[i].bag,
			properties[i].name);
		gh_message_unref(message);
	}
}

static gh_status topic_properties_status(const char *bag)
{
	limits_defaults(&limits);
	gh_draft *draft = gh_draft_new(&limits);
	gh_error err;
	cr_assert(draft != NULL);
	gh_status status = mqtt_topic_properties(text_of(bag), draft, &err);
	gh_draft_free(draft);
	return status;
}

Test(mqtt_topic, a_property_no_back_end_may_see_is_refused)
{
	cr_assert(topic_properties_status("a=%ff") == GH_INVALID);
	cr_assert(topic_properties_status("%c3%28=1") == GH_INVALID);
	cr_assert(topic_properties_status("$.mid=a%20b") == GH_INVALID, "a blank in a message id");
}

Test(mqtt_topic, a_bag_of_60_kb_is_decoded)
{
	char *bag = malloc(60001);
	cr_assert(bag != NULL);
	memset(bag, 'v', 60000);
	memcpy(bag, "a=", 2);
	bag[60000] = '\0';
	cr_assert(topic_properties_status(bag) == GH_OK);
	free(bag);
}
