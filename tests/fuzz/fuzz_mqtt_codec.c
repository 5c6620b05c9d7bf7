/* MQTT codec: a stream of any bytes, packet by packet; what comes out lies inside what went in, and a cut packet is
 * never taken. */
#include "tests/fuzz/fuzz.h"

#include "src/base/limits.h"
#include "transports/mqtt/mqtt_codec.h"

#include <assert.h>

static void fuzz_inside(gh_bytes part, gh_bytes whole)
{
	assert(part.len == 0 || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len));
}

static void fuzz_packet(struct mqtt_packet *packet, gh_bytes bytes, const gh_limits *limits)
{
	gh_bytes filter;
	uint8_t qos;
	if (packet->type == MQTT_CONNECT) {
		fuzz_inside(packet->connect.client_id, bytes);
		fuzz_inside(packet->connect.will_topic, bytes);
		fuzz_inside(packet->connect.will_body, bytes);
		fuzz_inside(packet->connect.user_name, bytes);
		fuzz_inside(packet->connect.password, bytes);
	} else if (packet->type == MQTT_PUBLISH) {
		assert(packet->publish.topic.len > 0 && packet->qos <= 2 &&
			(packet->qos > 0) == (packet->packet_id > 0));
		fuzz_inside(packet->publish.topic, bytes);
		fuzz_inside(packet->publish.body, bytes);
	} else if (packet->type == MQTT_SUBSCRIBE || packet->type == MQTT_UNSUBSCRIBE) {
		size_t count = 0;
		for (; mqtt_codec_filter(packet->type, &packet->filters, &filter, &qos); count++) {
			assert(filter.len > 0 && qos <= 2);
			fuzz_inside(filter, bytes);
		}
		assert(packet->filters.len == 0 && count > 0 && count <= limits->mqtt_filters_max);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	gh_limits limits;
	limits_defaults(&limits);
	gh_bytes rest = {data, size};
	struct mqtt_packet packet;
	size_t used, whole;
	while (mqtt_codec_next(rest, &limits, &packet, &used) == GH_OK) {
		gh_bytes bytes = {rest.data, used};
		assert(used >= 2 && used <= rest.len);
		assert(mqtt_codec_length(bytes, &limits, &whole) == GH_OK && whole == used);
		fuzz_packet(&packet, bytes, &limits);
		assert(mqtt_codec_next((gh_bytes){rest.data, used - 1}, &limits, &packet, &whole) == GH_AGAIN);
		rest = (gh_bytes){rest.data + used, rest.len - used};
	}
	return 0;
}
