#include "transports/mqtt/mqtt_topic.h"

#include "src/base/take.h"
#include "src/base/text.h"
#include "src/wire/propbag.h"

#include <assert.h>

static gh_bytes topic_from(gh_bytes text, size_t at)
{
	return (gh_bytes){text.data + at, text.len - at};
}

/* Drops a prefix; false leaves *text as it was. */
static bool topic_skip(gh_bytes *text, gh_bytes prefix)
{
	if (text->len < prefix.len || memcmp(text->data, prefix.data, prefix.len) != 0)
		return false;
	*text = topic_from(*text, prefix.len);
	return true;
}

#define TOPIC_TEXT(literal) ((gh_bytes){(const uint8_t *)(literal), sizeof(literal) - 1})

/* ---- identity ---- */

struct mqtt_identity *mqtt_identity_new(gh_bytes device_id, gh_bytes module_id)
{
	assert(device_id.len > 0 && device_id.len <= MQTT_ID_BYTES_MAX && module_id.len <= MQTT_ID_BYTES_MAX);
	struct mqtt_identity *identity = malloc(sizeof *identity + device_id.len + module_id.len);
	if (!identity)
		return NULL;
	identity->device_len = (uint8_t)device_id.len;
	identity->module_len = (uint8_t)module_id.len;
	memcpy(identity->ids, device_id.data, device_id.len);
	if (module_id.len)
		memcpy(identity->ids + device_id.len, module_id.data, module_id.len);
	return identity;
}

/* What follows `devices/{d}` or `devices/{d}/modules/{m}`: nothing, or a slash and more.  False when the topic is not
 * the identity's own. */
static bool topic_own(const struct mqtt_identity *identity, gh_bytes topic, gh_bytes *ret_rest)
{
	const uint8_t *module = identity->ids + identity->device_len;
	if (!topic_skip(&topic, TOPIC_TEXT("devices/")) ||
		!topic_skip(&topic, (gh_bytes){identity->ids, identity->device_len}))
		return false;
	if (identity->module_len && (!topic_skip(&topic, TOPIC_TEXT("/modules/")) ||
					    !topic_skip(&topic, (gh_bytes){module, identity->module_len})))
		return false;
	if (topic.len && topic.data[0] != '/')
		return false;
	*ret_rest = topic;
	return true;
}

/* ---- user name ---- */

/* Where parameters begin: the only two that old clients send without a question mark are searched for. */
static bool user_is_tail(gh_bytes segment)
{
	if (text_starts(segment, "?"))
		return true;
	for (; segment.len; segment = topic_from(segment, 1))
		if (text_starts(segment, "api-version=") || text_starts(segment, "DeviceClientType="))
			return true;
	return false;
}

static gh_bytes user_decode(gh_bytes value, uint8_t **scratch)
{
	gh_bytes decoded = {*scratch, text_percent_decode(value, *scratch, NULL)};
	*scratch += value.len;
	return decoded;
}

static bool user_is_text(gh_bytes value)
{
	for (size_t i = 0; i < value.len; i++)
		if (value.data[i] < 0x20 || value.data[i] == 0x7f)
			return false;
	return text_is_utf8(value);
}

static void user_param(gh_bytes param, uint8_t **scratch, struct mqtt_user *user)
{
	gh_bytes name, value;
	text_cut(param, '=', &name, &value);
	const struct {
		const char *name;
		gh_bytes *place;
	} table[] = {{"DeviceClientType", &user->client_info}, {"model-id", &user->model_id}};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (!table[i].place->data && text_equal(name, text_of(table[i].name)))
			*table[i].place = user_decode(value, scratch);
}

/* The old form has a slash where an ampersand stands today; anywhere else a slash is part of a value. */
static void user_params(gh_bytes tail, uint8_t *scratch, struct mqtt_user *user)
{
	topic_skip(&tail, TOPIC_TEXT("?"));
	while (tail.len) {
		gh_bytes param, version, rest;
		text_cut(tail, '&', &param, &tail);
		if (text_starts(param, "api-version=") && text_cut(param, '/', &version, &rest))
			param = rest;
		user_param(param, &scratch, user);
	}
}

/* rest is what follows the device id.  The client id `{d}` is a device, `{d}/{m}` that module of it. */
static gh_status user_module(
	gh_bytes client_id, gh_bytes rest, struct mqtt_user *user, gh_bytes *ret_tail, gh_error *ret_err)
{
	gh_bytes segment, after;
	if (!topic_skip(&client_id, user->device_id) || (client_id.len && client_id.data[0] != '/'))
		return gh_fail(ret_err, GH_UNAUTHORIZED, "client_id", "client id is not the user name's identity");
	text_cut(rest, '/', &segment, &after);
	if (client_id.len) {
		if (!text_equal(segment, topic_from(client_id, 1)) || segment.len == 0)
			return gh_fail(
				ret_err, GH_UNAUTHORIZED, "client_id", "client id is not the user name's module");
		user->module_id = segment;
		rest = after;
		text_cut(rest, '/', &segment, &after);
	}
	if (rest.len && !user_is_tail(segment))
		return gh_fail(ret_err, GH_UNAUTHORIZED, "client_id", "the user name names more than the client id");
	*ret_tail = rest;
	return GH_OK;
}

gh_status mqtt_topic_user(
	gh_bytes user_name, gh_bytes client_id, uint8_t *scratch, struct mqtt_user *ret_user, gh_error *ret_err)
{
	struct mqtt_user user = {.host = {NULL, 0}};
	gh_bytes rest, tail;
	text_cut(user_name, '/', &user.host, &rest);
	text_cut(rest, '/', &user.device_id, &rest);
	if (user.host.len == 0 || user.device_id.len == 0)
		return gh_fail(ret_err, GH_INVALID, "user_name", "user name is not host/device[/module][/parameters]");
	gh_status status = user_module(client_id, rest, &user, &tail, ret_err);
	if (status != GH_OK)
		return status;
	if (user.device_id.len > MQTT_ID_BYTES_MAX || user.module_id.len > MQTT_ID_BYTES_MAX)
		return gh_fail(ret_err, GH_INVALID, "id_too_long", "an id is longer than %d bytes", MQTT_ID_BYTES_MAX);
	user_params(tail, scratch, &user);
	if (!user_is_text(user.model_id))
		return gh_fail(ret_err, GH_INVALID, "model_id", "model id is not text");
	*ret_user = user;
	return GH_OK;
}

/* ---- publishes ---- */

static bool topic_is_request(gh_bytes topic)
{
	static const char *const prefixes[] = {
		"$iothub/twin/GET/",                       /* 4.11 */
		"$iothub/twin/PATCH/properties/reported/", /* 4.11 */
		"$iothub/methods/res/",                    /* 4.12 */
	};
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
		if (text_starts(topic, prefixes[i]))
			return true;
	return false;
}

enum mqtt_topic mqtt_topic_of(const struct mqtt_identity *identity, gh_bytes topic, gh_bytes *ret_bag)
{
	gh_bytes rest;
	if (!topic_own(identity, topic, &rest))
		return topic_is_request(topic) ? MQTT_TOPIC_REQUEST : MQTT_TOPIC_OTHER;
	if (!topic_skip(&rest, TOPIC_TEXT("/messages/events")) || (rest.len && rest.data[0] != '/'))
		return MQTT_TOPIC_OTHER;
	*ret_bag = propbag_trim(rest);
	return MQTT_TOPIC_TELEMETRY;
}

/* Bag name -> property (device contract 4.8).  Everything else is an application property. */
static const struct {
	const char *name;
	gh_property_id id; /* GH_PROP_APPLICATION: the hub says it itself, the client's word is dropped */
} topic_properties[] = {
	{"$.mid", GH_PROP_MESSAGE_ID},
	{"$.cid", GH_PROP_CORRELATION_ID},
	{"$.uid", GH_PROP_USER_ID},
	{"$.to", GH_PROP_TO},
	{"$.ct", GH_PROP_CONTENT_TYPE},
	{"$.ce", GH_PROP_CONTENT_ENCODING},
	{"$.exp", GH_PROP_EXPIRY_TIME},
	{"$.ctime", GH_PROP_CREATION_TIME},
	{"$.on", GH_PROP_OUTPUT_NAME},
	{"$.cdid", GH_PROP_APPLICATION},
	{"$.cmid", GH_PROP_APPLICATION},
	{"$.ifid", GH_PROP_INTERFACE_ID},
	{"$.sub", GH_PROP_COMPONENT},
	{"$.schema", GH_PROP_MESSAGE_SCHEMA},
	{"$.diagid", GH_PROP_DIAGNOSTIC_ID},
	{"$.diagctx", GH_PROP_CORRELATION_CONTEXT},
	{"iothub-creation-time-utc", GH_PROP_CREATION_TIME},
	{"iothub-ack", GH_PROP_ACK},
	{"iothub-operation", GH_PROP_OPERATION},
};

static gh_status topic_property(const struct propbag_pair *pair, gh_draft *draft, gh_error *ret_err)
{
	if (pair->name.len == 0)
		return GH_OK;
	if (pair->name.data[0] != '$' && (pair->name.data[0] | 0x20) != 'i')
		return gh_draft_add(draft, pair->name, pair->value, ret_err);
	for (size_t i = 0; i < sizeof topic_properties / sizeof *topic_properties; i++)
		if (text_equal_nocase(pair->name, text_of(topic_properties[i].name)))
			return topic_properties[i].id == GH_PROP_APPLICATION
				       ? GH_OK
				       : gh_draft_set(draft, topic_properties[i].id, pair->value, ret_err);
	return gh_draft_add(draft, pair->name, pair->value, ret_err);
}

gh_status mqtt_topic_properties(gh_bytes bag, gh_draft *draft, gh_error *ret_err)
{
	uint8_t small[1024];
	uint8_t *large GH_CLEANUP(take_free) = bag.len > sizeof small ? malloc(bag.len) : NULL;
	if (bag.len > sizeof small && !large)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory for a property bag");
	struct propbag_pair pair;
	while (propbag_next(&bag, large ? large : small, &pair)) {
		gh_status status = topic_property(&pair, draft, ret_err);
		if (status != GH_OK)
			return status;
	}
	return GH_OK;
}

gh_status mqtt_topic_draft(gh_bytes bag, gh_bytes body, unsigned flags, gh_draft *draft)
{
	gh_error err;
	gh_status status = mqtt_topic_properties(bag, draft, &err);
	if (status == GH_OK)
		status = gh_draft_body(draft, body, &err);
	gh_draft_flag(draft, flags);
	return status;
}

/* ---- filters ---- */

/* `#` alone in the last segment, `+` alone in any. */
static bool topic_filter_is_well_formed(gh_bytes filter)
{
	for (size_t i = 0; i < filter.len; i++) {
		bool first = i == 0 || filter.data[i - 1] == '/', last = i + 1 == filter.len;
		if (filter.data[i] == '#' && !(first && last))
			return false;
		if (filter.data[i] == '+' && !(first && (last || filter.data[i + 1] == '/')))
			return false;
	}
	return true;
}

/* Who may use it, and whether more may follow: the shapes of device contract 4.7. */
static const struct topic_shape {
	enum { SHAPE_DEVICE, SHAPE_MODULE, SHAPE_ANYONE } who;
	const char *text; /* behind `devices/{d}` or `devices/{d}/modules/{m}`; for anyone the whole filter */
	bool open;        /* anything may follow */
	enum mqtt_filter result;
	enum gh_subscription kind;
} topic_shapes[] = {
	{SHAPE_DEVICE, "/messages/devicebound/", true, MQTT_FILTER_KNOWN, GH_SUB_C2D},
	{SHAPE_MODULE, "/messages/devicebound/", true, MQTT_FILTER_SILENT, GH_SUB_COUNT},
	{SHAPE_MODULE, "/#", false, MQTT_FILTER_KNOWN, GH_SUB_INPUTS},
	{SHAPE_MODULE, "/inputs/#", false, MQTT_FILTER_KNOWN, GH_SUB_INPUTS},
	{SHAPE_ANYONE, "$iothub/twin/res/#", false, MQTT_FILTER_KNOWN, GH_SUB_TWIN_RESULTS},
	{SHAPE_ANYONE, "$iothub/twin/PATCH/properties/desired/#", false, MQTT_FILTER_KNOWN, GH_SUB_TWIN_DESIRED},
	{SHAPE_ANYONE, "$iothub/methods/POST/#", false, MQTT_FILTER_KNOWN, GH_SUB_METHODS},
};

static const struct topic_shape *topic_shape_find(unsigned who, gh_bytes text)
{
	for (size_t i = 0; i < sizeof topic_shapes / sizeof *topic_shapes; i++) {
		const struct topic_shape *shape = &topic_shapes[i];
		if (shape->who == who && text_starts(text, shape->text) &&
			(shape->open || text.len == strlen(shape->text)))
			return shape;
	}
	return NULL;
}

enum mqtt_filter mqtt_topic_filter(
	const struct mqtt_identity *identity, gh_bytes filter, enum gh_subscription *ret_kind)
{
	unsigned who = SHAPE_ANYONE;
	gh_bytes text = filter;
	if (text_starts(filter, "devices/")) {
		who = identity->module_len ? SHAPE_MODULE : SHAPE_DEVICE;
		if (!topic_own(identity, filter, &text) || (who == SHAPE_DEVICE && text_starts(text, "/modules/")))
			return MQTT_FILTER_FOREIGN;
	}
	if (!topic_filter_is_well_formed(text))
		return MQTT_FILTER_MALFORMED;
	const struct topic_shape *shape = topic_shape_find(who, text);
	if (!shape)
		return MQTT_FILTER_UNKNOWN;
	if (shape->result == MQTT_FILTER_KNOWN)
		*ret_kind = shape->kind;
	return shape->result;
}
