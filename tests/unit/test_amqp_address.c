/* Names over AMQP: what a link's address means, and who a user name says one is. */
#include "tests/suite.h"

#include "src/base/text.h"
#include "transports/amqp/amqp_address.h"

#include <stdlib.h>

SUITE(amqp_address);

/* A reading of no device is not given. */
struct reading_case {
	const char *device_id, *module_id;
};

static void readings_check(const char *name, const struct amqp_readings *readings, const struct reading_case *expected)
{
	size_t count = 0;
	for (; count < 2 && expected[count].device_id; count++) {
		const char *module_id = expected[count].module_id ? expected[count].module_id : "";
		cr_assert(count < readings->count, "%s: reading %zu is there", name, count);
		cr_assert(text_equal(readings->at[count].device_id, text_of(expected[count].device_id)),
			"%s: device %zu", name, count);
		cr_assert(text_equal(readings->at[count].module_id, text_of(module_id)), "%s: module %zu", name, count);
	}
	cr_assert(readings->count == count, "%s: %zu readings", name, readings->count);
}

/* An allocation of exactly the text, and scratch of exactly what is promised. */
static uint8_t *address_exact(const char *text, uint8_t **ret_scratch)
{
	size_t len = strlen(text);
	uint8_t *copy = malloc(len ? len : 1);
	*ret_scratch = malloc(len ? len : 1);
	cr_assert(copy && *ret_scratch);
	memcpy(copy, text, len);
	return copy;
}

/* ---- addresses ---- */

static const struct address_case {
	const char *text;
	enum amqp_address_kind kind;
	const char *host;
	struct reading_case readings[2];
} addresses[] = {
	{"/devices/dev1/messages/events", AMQP_ADDRESS_EVENTS, "", {{"dev1", NULL}}},
	{"devices/dev1/messages/events", AMQP_ADDRESS_EVENTS, "", {{"dev1", NULL}}},
	{"amqps://hub.example.net/devices/dev1/messages/events", AMQP_ADDRESS_EVENTS, "hub.example.net",
		{{"dev1", NULL}}},
	{"amqps://hub:5671/devices/dev1/messages/events", AMQP_ADDRESS_EVENTS, "hub", {{"dev1", NULL}}},
	{"AMQP://Hub/devices/dev1/messages/events", AMQP_ADDRESS_EVENTS, "Hub", {{"dev1", NULL}}},
	{"amqps://[::1]:5671/devices/dev1/twin", AMQP_ADDRESS_TWIN, "[::1]", {{"dev1", NULL}}},
	{"amqps://10.0.0.1/devices/dev1/twin", AMQP_ADDRESS_TWIN, "10.0.0.1", {{"dev1", NULL}}},
	{"/devices/dev1/messages/deviceBound", AMQP_ADDRESS_DEVICEBOUND, "", {{"dev1", NULL}}},
	{"/devices/dev1/messages/devicebound", AMQP_ADDRESS_DEVICEBOUND, "", {{"dev1", NULL}}},
	{"/devices/dev1/methods/devicebound", AMQP_ADDRESS_METHODS, "", {{"dev1", NULL}}},
	{"/devices/dev1/twin", AMQP_ADDRESS_TWIN, "", {{"dev1", NULL}}},
	{"/Devices/dev1/TWIN", AMQP_ADDRESS_TWIN, "", {{"dev1", NULL}}},
	{"/devices/Dev1/twin", AMQP_ADDRESS_TWIN, "", {{"Dev1", NULL}}},
	{"/devices/dev1/modules/m/messages/events", AMQP_ADDRESS_EVENTS, "", {{"dev1", "m"}}},
	{"/devices/dev1/Modules/m/Methods/deviceBound", AMQP_ADDRESS_METHODS, "", {{"dev1", "m"}}},
	{"amqps://hub/devices/dev1/modules/m/twin", AMQP_ADDRESS_TWIN, "hub", {{"dev1", "m"}}},
	{"/devices/modules/modules/modules/twin", AMQP_ADDRESS_TWIN, "", {{"modules", "modules"}}},
	{"/devices/dev%231/twin", AMQP_ADDRESS_TWIN, "", {{"dev%231", NULL}, {"dev#1", NULL}}},
	{"/devices/dev#1/twin", AMQP_ADDRESS_TWIN, "", {{"dev#1", NULL}}},
	{"/devices/a%2525/twin", AMQP_ADDRESS_TWIN, "", {{"a%2525", NULL}, {"a%25", NULL}}},
	{"/devices/50%/twin", AMQP_ADDRESS_TWIN, "", {{"50%", NULL}}},
	{"/devices/a%zz/twin", AMQP_ADDRESS_TWIN, "", {{"a%zz", NULL}}},
	{"/devices/d%40/modules/m%3D/twin", AMQP_ADDRESS_TWIN, "", {{"d%40", "m%3D"}, {"d@", "m="}}},
	{"/devices/d/modules/m%3D/twin", AMQP_ADDRESS_TWIN, "", {{"d", "m%3D"}, {"d", "m="}}},
	{"/devices/d%2Fmodules%2Fm/twin", AMQP_ADDRESS_TWIN, "", {{"d%2Fmodules%2Fm", NULL}}},
	{"/devices/a+b/twin", AMQP_ADDRESS_TWIN, "", {{"a+b", NULL}}},
	{"$cbs", AMQP_ADDRESS_CBS, "", {{NULL, NULL}}},
	{"/$cbs", AMQP_ADDRESS_CBS, "", {{NULL, NULL}}},
	{"$CBS", AMQP_ADDRESS_CBS, "", {{NULL, NULL}}},
	{"amqps://hub/$cbs", AMQP_ADDRESS_CBS, "hub", {{NULL, NULL}}},
};

Test(amqp_address, every_spelling_of_an_address_means_the_same_link)
{
	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
		const struct address_case *c = &addresses[i];
		struct amqp_address address;
		uint8_t *scratch, *text = address_exact(c->text, &scratch);
		cr_assert(amqp_address_read((gh_bytes){text, strlen(c->text)}, scratch, &address, NULL) == GH_OK, "%s",
			c->text);
		cr_assert(address.kind == c->kind, "%s: kind", c->text);
		cr_assert(text_equal(address.host, text_of(c->host)), "%s: host", c->text);
		readings_check(c->text, &address.readings, c->readings);
		free(text);
		free(scratch);
	}
}

static const char *const unknown_addresses[] = {
	"",
	"/",
	"$cb",
	"$cbs/",
	"//$cbs",
	"cbs",
	"amqps://",
	"amqps:///devices/dev1/twin",
	"amqps://:5671/devices/dev1/twin",
	"amqps://hub",
	"amqps://hub/",
	"amqps://hub//devices/dev1/twin",
	"https://hub/devices/dev1/twin",
	"amqps:/devices/dev1/twin",
	"//devices/dev1/twin",
	"/devices",
	"/devices/",
	"/devices/dev1",
	"/devices/dev1/",
	"/devices//twin",
	"/devices/dev1/twin/",
	"/devices/dev1/twins",
	"/devices/dev1//twin",
	"/devices/dev1/messages",
	"/devices/dev1/messages/events/",
	"/devices/dev1/messages/eventsx",
	"/devices/dev1/messages%2Fevents",
	"/devices/dev1/methods",
	"/devices/dev1/modules",
	"/devices/dev1/modules/",
	"/devices/dev1/modules/m",
	"/devices/dev1/modules//twin",
	"/devices/dev1/modules/m/messages/devicebound",
	"/devices/dev1/modules/m/modules/n/twin",
	"/device/dev1/twin",
	"/messages/devicebound",
	"/messages/serviceBound/feedback",
};

Test(amqp_address, an_address_of_no_known_shape_is_not_found)
{
	for (size_t i = 0; i < sizeof unknown_addresses / sizeof *unknown_addresses; i++) {
		struct amqp_address address;
		gh_error err;
		uint8_t *scratch, *text = address_exact(unknown_addresses[i], &scratch);
		cr_assert(amqp_address_read((gh_bytes){text, strlen(unknown_addresses[i])}, scratch, &address, &err) ==
				  GH_NOT_FOUND,
			"%s", unknown_addresses[i]);
		cr_assert_str_eq(err.code, "amqp_address");
		free(text);
		free(scratch);
	}
}

/* "/devices/" + `count` times `piece` + "/twin". */
static size_t address_readings_of(const char *piece, size_t count)
{
	char text[1000] = "/devices/";
	uint8_t scratch[1000];
	struct amqp_address address = {.readings = {.count = 0}};
	for (size_t i = 0; i < count; i++)
		strcat(text, piece);
	strcat(text, "/twin");
	gh_status status = amqp_address_read(text_of(text), scratch, &address, NULL);
	cr_assert((status == GH_OK) == (address.readings.count > 0) && (status == GH_OK || status == GH_NOT_FOUND));
	return address.readings.count;
}

Test(amqp_address, an_id_of_129_bytes_is_no_reading)
{
	cr_assert_eq(address_readings_of("a", 128), 1);
	cr_assert_eq(address_readings_of("a", 129), 0);
	cr_assert_eq(address_readings_of("%61", 42), 2);
	cr_assert_eq(address_readings_of("%61", 43), 1, "only the decoded one is short enough");
	cr_assert_eq(address_readings_of("%61", 128), 1);
	cr_assert_eq(address_readings_of("%61", 129), 0);
}

/* ---- user names ---- */

static const struct user_case {
	const char *user_name, *hub, *policy;
	struct reading_case readings[2];
} users[] = {
	{"dev1@sas.hub", "hub", "", {{"dev1", NULL}}},
	{"dev1@hub", "hub", "", {{"dev1", NULL}}},
	{"dev1@sas.hub.example.net", "hub.example.net", "", {{"dev1", NULL}}},
	{"dev1@hub.example.net", "hub.example.net", "", {{"dev1", NULL}}},
	{"dev1@SAS.Hub", "Hub", "", {{"dev1", NULL}}},
	{"dev1/modules/m@sas.hub", "hub", "", {{"dev1", "m"}}},
	{"dev1/Modules/m@sas.hub", "hub", "", {{"dev1", "m"}}},
	{"dev1/m@sas.hub", "hub", "", {{"dev1", "m"}}},
	{"dev1/m@hub", "hub", "", {{"dev1", "m"}}},
	{"dev1/modules@sas.hub", "hub", "", {{"dev1", "modules"}}},
	{"dev@home@sas.hub", "hub", "", {{"dev@home", NULL}}},
	{"dev%40home@sas.hub", "hub", "", {{"dev%40home", NULL}, {"dev@home", NULL}}},
	{"d%23/modules/m%23@sas.hub", "hub", "", {{"d%23", "m%23"}, {"d#", "m#"}}},
	{"iothubowner@sas.root.hub", "hub", "iothubowner", {{NULL, NULL}}},
	{"device@SAS.ROOT.hub.example.net", "hub.example.net", "device", {{NULL, NULL}}},
	{"dev1@sas.root", "root", "", {{"dev1", NULL}}},
};

Test(amqp_address, every_form_of_a_user_name_says_who_it_is)
{
	for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
		const struct user_case *c = &users[i];
		struct amqp_user user;
		uint8_t *scratch, *text = address_exact(c->user_name, &scratch);
		cr_assert(amqp_address_user((gh_bytes){text, strlen(c->user_name)}, scratch, &user, NULL) == GH_OK,
			"%s", c->user_name);
		cr_assert(text_equal(user.hub, text_of(c->hub)), "%s: hub", c->user_name);
		cr_assert(text_equal(user.policy, text_of(c->policy)), "%s: policy", c->user_name);
		readings_check(c->user_name, &user.readings, c->readings);
		free(text);
		free(scratch);
	}
}

static const char *const bad_users[] = {
	"",
	"@",
	"dev1",
	"dev1@",
	"@hub",
	"@sas.hub",
	"dev1@sas.",
	"dev1@sas.root.",
	"/m@sas.hub",
	"dev1/@sas.hub",
	"dev1/modules/@sas.hub",
	"dev1/other/m@sas.hub",
	"dev1/modules/m/n@sas.hub",
	"dev1//m@sas.hub",
	"policy/x@sas.root.hub",
	"@sas.root.hub",
	"hub/dev1/?api-version=2021-04-12",
};

Test(amqp_address, a_user_name_of_another_form_is_refused)
{
	for (size_t i = 0; i < sizeof bad_users / sizeof *bad_users; i++) {
		struct amqp_user user;
		gh_error err;
		uint8_t *scratch, *text = address_exact(bad_users[i], &scratch);
		cr_assert(amqp_address_user((gh_bytes){text, strlen(bad_users[i])}, scratch, &user, &err) == GH_INVALID,
			"%s", bad_users[i]);
		cr_assert_str_eq(err.code, "user_name");
		free(text);
		free(scratch);
	}
}
