#include "transports/mqtt/mqtt_will.h"

#include "transports/mqtt/mqtt_topic.h"

#include <stdlib.h>
#include <string.h>

struct mqtt_will {
	uint32_t bag_len;
	uint32_t body_len;
	bool retain;
	uint8_t bytes[]; /* bag, body */
};

struct mqtt_will *mqtt_will_new(gh_bytes bag, gh_bytes body, bool retain)
{
	struct mqtt_will *will = malloc(sizeof *will + bag.len + body.len);
	if (!will)
		return NULL;
	*will = (struct mqtt_will){(uint32_t)bag.len, (uint32_t)body.len, retain};
	if (bag.len)
		memcpy(will->bytes, bag.data, bag.len);
	if (body.len)
		memcpy(will->bytes + bag.len, body.data, body.len);
	return will;
}

gh_status mqtt_will_fill(const struct mqtt_will *will, gh_draft *draft)
{
	gh_bytes bag = {will->bytes, will->bag_len}, body = {will->bytes + will->bag_len, will->body_len};
	return mqtt_topic_draft(bag, body, GH_DRAFT_WILL | (will->retain ? GH_DRAFT_RETAIN : 0), draft);
}
