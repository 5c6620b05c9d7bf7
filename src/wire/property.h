/* property.h - names: of system properties, and of the application properties that draft flags become. */
#ifndef GATEHOUSE_WIRE_PROPERTY_H
#define GATEHOUSE_WIRE_PROPERTY_H

#include <gatehouse/message.h>

/* May only the hub set it? */
bool property_by_hub(gh_property_id id);

enum { PROPERTY_FLAGS = 3 };

/* Application properties the hub makes of draft flags. */
struct property_flag {
	unsigned flag; /* GH_DRAFT_* */
	const char *name;
	const char *value;
};
extern const struct property_flag property_flags[PROPERTY_FLAGS];

#endif
