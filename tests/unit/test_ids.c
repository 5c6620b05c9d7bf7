/* Ids are compared and never interpreted: no wildcard, no pattern, no path, wherever they meet a text of the client. */
#include "tests/suite.h"

#include "src/base/text.h"
#include "src/core/registry_key.h"
#include "src/core/sas.h"
#include "transports/mqtt/mqtt_topic.h"

#include <stdio.h>
#include <stdlib.h>

SUITE(ids);

enum { ID_BYTES_MAX = 3, ROUNDS = 200000 };

/* Short and mostly of the characters that mean something elsewhere, so that equal ones and near ones are frequent. */
static void random_id(uint64_t *state, char ret_id[ID_BYTES_MAX + 1])
{
	static const char alphabet[] = "aA2bB.*+?#$()%,-_!=@':;";
	uint64_t x = *state;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	size_t len = 1 + x % ID_BYTES_MAX;
	for (size_t i = 0; i < len; i++) {
		x >>= 8;
		ret_id[i] = alphabet[(x & 0xff) % (sizeof alphabet - 1)];
	}
	ret_id[len] = '\0';
}

static bool topic_is_own(const char *own, const char *named, const char *module)
{
	char topic[64];
	gh_bytes bag;
	struct mqtt_identity *identity = mqtt_identity_new(text_of(own), text_of(module));
	cr_assert(identity != NULL);
	snprintf(topic, sizeof topic, "devices/%s%s%s/messages/events/", named, module[0] ? "/modules/" : "", module);
	bool own_topic = mqtt_topic_of(identity, text_of(topic), &bag) == MQTT_TOPIC_TELEMETRY;
	free(identity);
	return own_topic;
}

static enum mqtt_filter filter_of(const char *own, const char *named)
{
	char filter[64];
	enum gh_subscription kind;
	struct mqtt_identity *identity = mqtt_identity_new(text_of(own), text_of(""));
	cr_assert(identity != NULL);
	snprintf(filter, sizeof filter, "devices/%s/messages/devicebound/#", named);
	enum mqtt_filter result = mqtt_topic_filter(identity, text_of(filter), &kind);
	free(identity);
	return result;
}

static bool user_is(const char *client_id, const char *named)
{
	char user_name[64];
	uint8_t scratch[64];
	struct mqtt_user user;
	gh_error err;
	snprintf(user_name, sizeof user_name, "hub/%s/?api-version=1", named);
	return mqtt_topic_user(text_of(user_name), text_of(client_id), scratch, &user, &err) == GH_OK &&
	       text_equal(user.device_id, text_of(client_id));
}

/* Exactly the three readings of device contract 3.5: as received, decoded once, decoded twice. */
static bool scope_should_cover(const char *own, const char *named)
{
	uint8_t once[ID_BYTES_MAX], twice[ID_BYTES_MAX];
	gh_bytes first = {once, text_percent_decode(text_of(named), once, NULL)};
	gh_bytes second = {twice, text_percent_decode(first, twice, NULL)};
	return strcmp(own, named) == 0 || text_equal(text_of(own), first) || text_equal(text_of(own), second);
}

static bool scope_covers(const char *own, const char *named)
{
	static const char *const hosts[] = {"hub", NULL};
	struct sas_resource resource = sas_resource_device(hosts, text_of(own), text_of(""));
	char sr[64];
	snprintf(sr, sizeof sr, "hub/devices/%s", named);
	return sas_scope_covers(text_of(sr), &resource, SAS_SCOPE_POLICY);
}

static gh_bytes key_of(struct registry_key *key, const char *device_id, const char *module_id)
{
	cr_assert(registry_key_identity(text_of(device_id), text_of(module_id), key), "%s", device_id);
	return registry_key_bytes(key);
}

Test(ids, threat_21_threat_22_no_character_of_an_id_means_anything)
{
	uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
	unsigned equal = 0;
	for (int round = 0; round < ROUNDS; round++) {
		char own[ID_BYTES_MAX + 1], named[ID_BYTES_MAX + 1];
		struct registry_key one, other;
		random_id(&state, own);
		random_id(&state, named);
		bool same = strcmp(own, named) == 0;
		equal += same;
		cr_assert_eq(topic_is_own(own, named, ""), same, "topic of %s as %s", named, own);
		cr_assert_eq(topic_is_own(own, named, own), same, "topic of a module of %s as %s", named, own);
		cr_assert_eq(filter_of(own, named), same ? MQTT_FILTER_KNOWN : MQTT_FILTER_FOREIGN,
			"filter of %s as %s", named, own);
		cr_assert_eq(user_is(own, named), same, "client id %s, user name %s", own, named);
		cr_assert_eq(scope_covers(own, named), scope_should_cover(own, named), "scope %s for %s", named, own);
		cr_assert_eq(text_equal(key_of(&one, own, ""), key_of(&other, named, "")), same, "record of %s and %s",
			own, named);
		cr_assert(!text_equal(key_of(&one, own, ""), key_of(&other, own, named)),
			"a module's record is no device's");
	}
	cr_assert_gt(equal, 100, "equal ids occur: %u", equal);
}
