#include "src/wire/property.h"

#include "src/base/text.h"

static const struct {
	const char *name;
	enum gh_property_setter by;
} property_table[GH_PROP_COUNT] = {
#define X(id, number, name, by) [number] = {name, by},
	GH_PROPERTIES(X)
#undef X
};

const struct property_flag property_flags[PROPERTY_FLAGS] = {
	{GH_DRAFT_RETAIN, "mqtt-retain", "true"},
	{GH_DRAFT_DUP, "mqtt-dup", "true"},
	{GH_DRAFT_WILL, "iothub-MessageType", "Will"},
};

bool property_by_hub(gh_property_id id)
{
	return property_table[id].by == GH_BY_HUB;
}

const char *gh_property_name(gh_property_id id)
{
	return id > 0 && id < GH_PROP_COUNT ? property_table[id].name : NULL;
}

bool gh_name_is_reserved(gh_bytes name)
{
	for (size_t i = 1; i < GH_PROP_COUNT; i++)
		if (property_table[i].by == GH_BY_HUB && text_equal_nocase(name, text_of(property_table[i].name)))
			return true;
	for (size_t i = 0; i < PROPERTY_FLAGS; i++)
		if (text_equal_nocase(name, text_of(property_flags[i].name)))
			return true;
	return text_starts_nocase(name, "iothub-connection-");
}
