#include "transports/amqp/amqp_address.h"

#include "src/base/text.h"

/* Drops a prefix, which compares without case; false leaves *text as it was. */
static bool address_skip(gh_bytes *text, const char *prefix)
{
	if (!text_starts_nocase(*text, prefix))
		return false;
	size_t n = strlen(prefix);
	*text = (gh_bytes){text->data + n, text->len - n};
	return true;
}

/* ---- readings ---- */

/* No id holds a slash, however it is spelled. */
static bool reading_id_is_possible(gh_bytes id)
{
	return id.len <= AMQP_ID_BYTES_MAX && (id.len == 0 || !memchr(id.data, '/', id.len));
}

static gh_bytes reading_decode(gh_bytes id, uint8_t **scratch)
{
	gh_bytes decoded = {*scratch, text_percent_decode(id, *scratch, NULL)};
	*scratch += id.len;
	return decoded;
}

static void reading_add(struct amqp_readings *readings, gh_bytes device_id, gh_bytes module_id)
{
	if (reading_id_is_possible(device_id) && reading_id_is_possible(module_id))
		readings->at[readings->count++] = (struct amqp_identity){device_id, module_id};
}

static struct amqp_readings readings_of(gh_bytes device_id, gh_bytes module_id, uint8_t *scratch)
{
	struct amqp_readings readings = {.count = 0};
	gh_bytes device = reading_decode(device_id, &scratch), module = reading_decode(module_id, &scratch);
	reading_add(&readings, device_id, module_id);
	if (!text_equal(device, device_id) || !text_equal(module, module_id))
		reading_add(&readings, device, module);
	return readings;
}

/* ---- addresses ---- */

static const struct address_shape {
	const char *tail; /* behind `devices/{d}/` or `devices/{d}/modules/{m}/` */
	enum amqp_address_kind kind;
	bool module; /* modules have it too */
} address_shapes[] = {
	{"messages/events", AMQP_ADDRESS_EVENTS, true},
	{"messages/devicebound", AMQP_ADDRESS_DEVICEBOUND, false},
	{"methods/devicebound", AMQP_ADDRESS_METHODS, true},
	{"twin", AMQP_ADDRESS_TWIN, true},
};

static const struct address_shape *address_shape_find(gh_bytes tail, bool module)
{
	for (size_t i = 0; i < sizeof address_shapes / sizeof *address_shapes; i++)
		if ((address_shapes[i].module || !module) && text_equal_nocase(tail, text_of(address_shapes[i].tail)))
			return &address_shapes[i];
	return NULL;
}

/* Without the port; the colons of an IPv6 address stand in brackets. */
static gh_bytes address_host(gh_bytes authority)
{
	size_t len = authority.len;
	while (len > 0 && authority.data[len - 1] >= '0' && authority.data[len - 1] <= '9')
		len--;
	return len > 0 && authority.data[len - 1] == ':' ? (gh_bytes){authority.data, len - 1} : authority;
}

/* Leaves the path without its slash in front.  False: a full URI of no host. */
static bool address_skip_host(gh_bytes *text, gh_bytes *ret_host)
{
	gh_bytes authority;
	*ret_host = (gh_bytes){NULL, 0};
	if (address_skip(text, "amqps://") || address_skip(text, "amqp://")) {
		text_cut(*text, '/', &authority, text);
		*ret_host = address_host(authority);
		return ret_host->len > 0;
	}
	address_skip(text, "/");
	return true;
}

static bool address_device(gh_bytes path, uint8_t *scratch, struct amqp_address *address)
{
	gh_bytes device_id, module_id = {NULL, 0}, rest;
	if (!address_skip(&path, "devices/"))
		return false;
	text_cut(path, '/', &device_id, &rest);
	bool module = address_skip(&rest, "modules/");
	if (module)
		text_cut(rest, '/', &module_id, &rest);
	const struct address_shape *shape = address_shape_find(rest, module);
	if (!shape || device_id.len == 0 || (module && module_id.len == 0))
		return false;
	address->kind = shape->kind;
	address->readings = readings_of(device_id, module_id, scratch);
	return address->readings.count > 0;
}

gh_status amqp_address_read(gh_bytes text, uint8_t *scratch, struct amqp_address *ret_address, gh_error *ret_err)
{
	struct amqp_address address = {.kind = AMQP_ADDRESS_CBS};
	bool known = address_skip_host(&text, &address.host) &&
		     (text_equal_nocase(text, text_of("$cbs")) || address_device(text, scratch, &address));
	if (!known)
		return gh_fail(ret_err, GH_NOT_FOUND, "amqp_address", "no link has this address");
	*ret_address = address;
	return GH_OK;
}

/* ---- user names ---- */

/* An id may hold an at sign, a hub cannot. */
static bool user_split(gh_bytes user_name, gh_bytes *ret_who, gh_bytes *ret_hub)
{
	size_t at = user_name.len;
	while (at > 0 && user_name.data[at - 1] != '@')
		at--;
	if (at <= 1 || at == user_name.len)
		return false;
	*ret_who = (gh_bytes){user_name.data, at - 1};
	*ret_hub = (gh_bytes){user_name.data + at, user_name.len - at};
	return true;
}

/* `{d}`, `{d}/{m}` or `{d}/modules/{m}`. */
static bool user_identity(gh_bytes who, uint8_t *scratch, struct amqp_user *user)
{
	gh_bytes device_id, module_id, rest, last;
	bool module = text_cut(who, '/', &device_id, &rest);
	if (text_cut(rest, '/', &module_id, &last)) {
		if (!text_equal_nocase(module_id, text_of("modules")) || text_cut(last, '/', &module_id, &rest))
			return false;
	}
	if (device_id.len == 0 || (module && module_id.len == 0))
		return false;
	user->readings = readings_of(device_id, module_id, scratch);
	return user->readings.count > 0;
}

static bool user_policy(gh_bytes who, struct amqp_user *user)
{
	gh_bytes name, rest;
	user->policy = who;
	return !text_cut(who, '/', &name, &rest);
}

/* What stands in front of the hub says what stands in front of the at sign. */
static bool user_who(gh_bytes who, uint8_t *scratch, struct amqp_user *user)
{
	if (address_skip(&user->hub, "sas.root."))
		return user_policy(who, user);
	address_skip(&user->hub, "sas.");
	return user_identity(who, scratch, user);
}

gh_status amqp_address_user(gh_bytes user_name, uint8_t *scratch, struct amqp_user *ret_user, gh_error *ret_err)
{
	struct amqp_user user = {.readings = {.count = 0}};
	gh_bytes who;
	if (!user_split(user_name, &who, &user.hub) || !user_who(who, scratch, &user) || user.hub.len == 0)
		return gh_fail(ret_err, GH_INVALID, "user_name", "the user name is none of a device, module or policy");
	*ret_user = user;
	return GH_OK;
}
