/* mqtt_will.h - a last will as it is kept until it is needed: bag, body, retain.  Where and when it is published is the
 * session's business. */
#ifndef GATEHOUSE_MQTT_WILL_H
#define GATEHOUSE_MQTT_WILL_H

#include <gatehouse/message.h>

struct mqtt_will;

/* Copies both; bag is the trimmed one of the will topic.  NULL without memory; freed with free(). */
struct mqtt_will *mqtt_will_new(gh_bytes bag, gh_bytes body, bool retain);

/* Makes an empty draft the will.  The body stays borrowed from the will.  Errors as mqtt_topic_draft. */
gh_status mqtt_will_fill(const struct mqtt_will *will, gh_draft *draft);

#endif
