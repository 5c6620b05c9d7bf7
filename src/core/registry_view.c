#include "src/core/registry_view.h"

#include "src/base/text.h"

static const char time_never[] = "0001-01-01T00:00:00Z";

json_t *registry_view_identity(const json_t *document, const struct registry_presence *presence)
{
	gh_bytes device_id = text_of(json_string_value(json_object_get(document, "deviceId")));
	gh_bytes module_id = text_of(json_string_value(json_object_get(document, "moduleId")));
	uint64_t since_ms = 0;
	char since[TEXT_TIME_SIZE];
	bool connected = presence->connected(presence->context, device_id, module_id, &since_ms);
	if (since_ms > 0)
		text_time(since_ms, since);
	/* When it was last active nobody keeps, and nothing is ever queued for it. */
	json_t *live = json_pack("{s:s, s:s, s:s, s:i}", "connectionState", connected ? "Connected" : "Disconnected",
		"connectionStateUpdatedTime", since_ms > 0 ? since : time_never, "lastActivityTime", time_never,
		"cloudToDeviceMessageCount", 0);
	json_t *view = json_object();
	int failed = json_object_update(view, (json_t *)document); /* json_copy would not say when it lost one */
	failed |= json_object_update_new(view, live);
	if (!failed)
		return view;
	json_decref(view);
	return NULL;
}
