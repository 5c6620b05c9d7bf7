#include "src/wire/events_path.h"

#include "src/base/text.h"

static bool path_skip(gh_bytes *path, gh_bytes start, bool with_case)
{
	if (path->len < start.len)
		return false;
	gh_bytes head = {path->data, start.len};
	if (!(with_case ? text_equal(head, start) : text_equal_nocase(head, start)))
		return false;
	*path = (gh_bytes){path->data + start.len, path->len - start.len};
	return true;
}

static bool path_is(gh_bytes path, gh_bytes device_id, gh_bytes module_id)
{
	if (!path_skip(&path, text_of("/devices/"), false) || !path_skip(&path, device_id, true))
		return false;
	if (module_id.len && (!path_skip(&path, text_of("/modules/"), false) || !path_skip(&path, module_id, true)))
		return false;
	return text_equal_nocase(path, text_of("/messages/events"));
}

bool events_path_is_own(gh_bytes to, gh_bytes device_id, gh_bytes module_id)
{
	uint8_t decoded[1024]; /* two ids of 128 characters, each one escaped, and the fixed segments */
	if (path_is(to, device_id, module_id))
		return true;
	return to.len <= sizeof decoded &&
	       path_is((gh_bytes){decoded, text_percent_decode(to, decoded, NULL)}, device_id, module_id);
}
