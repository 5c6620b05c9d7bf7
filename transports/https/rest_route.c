#include "transports/https/rest_route.h"

#include "src/base/text.h"

#include <stdio.h>

#define SEND REST_SEND, GH_SERVICE_OP_COUNT, 0, 0
#define WEBSOCKET REST_WEBSOCKET, GH_SERVICE_OP_COUNT, 0, 0
#define NOT_BUILT REST_NOT_BUILT, GH_SERVICE_OP_COUNT, 0, 0
#define READ GH_RIGHT_REGISTRY_READ
#define WRITE GH_RIGHT_REGISTRY_WRITE
#define SERVICE GH_RIGHT_SERVICE_CONNECT

/* The busiest first.  Where a word and an id stand in the same place, the word's row comes first. */
static const struct rest_route routes[] = {
	/* device contract 6.1 */
	{"POST", "devices/*/messages/events", SEND},
	{"GET", "devices/*/messages/devicebound", NOT_BUILT},
	{"DELETE", "devices/*/messages/devicebound/*", NOT_BUILT},
	{"POST", "devices/*/messages/devicebound/*/abandon", NOT_BUILT},
	{"POST", "devices/*/files", NOT_BUILT},
	{"POST", "devices/*/files/notifications", NOT_BUILT},
	{"POST", "devices/*/files/notifications/*", NOT_BUILT},
	/* service contract 2.3, 2.6, 3.8 */
	{"GET", "devices", REST_SERVICE, GH_SERVICE_DEVICE_LIST, READ, REST_PAGES | REST_SETS_TOP},
	{"POST", "devices", REST_SERVICE, GH_SERVICE_BULK, WRITE, 0},
	{"POST", "devices/query", REST_SERVICE, GH_SERVICE_QUERY, SERVICE, REST_PAGES | REST_OF_ALL},
	{"GET", "devices/*", REST_SERVICE, GH_SERVICE_IDENTITY_GET, READ, 0},
	{"PUT", "devices/*", REST_SERVICE, GH_SERVICE_IDENTITY_PUT, WRITE, 0},
	{"DELETE", "devices/*", REST_SERVICE, GH_SERVICE_IDENTITY_DELETE, WRITE, REST_EMPTY_OK},
	{"GET", "statistics/devices", REST_SERVICE, GH_SERVICE_DEVICE_STATISTICS, READ, 0},
	{"GET", "statistics/service", REST_SERVICE, GH_SERVICE_CONNECTION_STATISTICS, READ, 0},
	{"DELETE", "devices/*/commands", NOT_BUILT},
	/* service contract 2.5 */
	{"GET", "devices/*/modules", REST_SERVICE, GH_SERVICE_MODULE_LIST, READ, 0},
	{"GET", "devices/*/modules/*", REST_SERVICE, GH_SERVICE_IDENTITY_GET, READ, 0},
	{"PUT", "devices/*/modules/*", REST_SERVICE, GH_SERVICE_IDENTITY_PUT, WRITE, 0},
	{"DELETE", "devices/*/modules/*", REST_SERVICE, GH_SERVICE_IDENTITY_DELETE, WRITE, REST_EMPTY_OK},
	/* service contract 3.2, 3.5 */
	{"GET", "twins/*", NOT_BUILT},
	{"PATCH", "twins/*", NOT_BUILT},
	{"PUT", "twins/*", NOT_BUILT},
	{"POST", "twins/*/methods", NOT_BUILT},
	{"GET", "twins/*/modules/*", NOT_BUILT},
	{"PATCH", "twins/*/modules/*", NOT_BUILT},
	{"PUT", "twins/*/modules/*", NOT_BUILT},
	{"POST", "twins/*/modules/*/methods", NOT_BUILT},
	/* service contract 3.6 */
	{"GET", "messages/servicebound/feedback", NOT_BUILT},
	{"DELETE", "messages/servicebound/feedback/*", NOT_BUILT},
	{"POST", "messages/servicebound/feedback/*/abandon", NOT_BUILT},
	/* service contract 3.9 */
	{"POST", "jobs/create", NOT_BUILT},
	{"GET", "jobs", NOT_BUILT},
	{"GET", "jobs/*", NOT_BUILT},
	{"DELETE", "jobs/*", NOT_BUILT},
	{"GET", "jobs/v2/query", NOT_BUILT},
	{"PUT", "jobs/v2/*", NOT_BUILT},
	{"GET", "jobs/v2/*", NOT_BUILT},
	{"POST", "jobs/v2/*/cancel", NOT_BUILT},
	{"GET", "configurations", NOT_BUILT},
	{"GET", "configurations/*", NOT_BUILT},
	{"PUT", "configurations/*", NOT_BUILT},
	{"DELETE", "configurations/*", NOT_BUILT},
	/* device contract 1.3, service contract 0.2 */
	{"GET", "$iothub/websocket", WEBSOCKET},
	{"GET", "$servicebus/websocket", WEBSOCKET},
};

#undef SEND
#undef WEBSOCKET
#undef NOT_BUILT
#undef READ
#undef WRITE
#undef SERVICE

/* ---- paths ---- */

/* False when it has more segments, or longer ones, than any path here. */
static bool route_take_segment(struct rest_path *path, gh_bytes raw, uint8_t **room)
{
	size_t left = sizeof path->room - (size_t)(*room - path->room);
	if (path->count == REST_SEGMENTS_MAX || raw.len == 0 || raw.len > left)
		return false;
	size_t len = text_percent_decode(raw, *room, NULL);
	path->segments[path->count++] = (gh_bytes){*room, len};
	*room += len;
	return true;
}

/* One slash at the end is tolerated: a client's list has it. */
static bool route_split(gh_bytes target, struct rest_path *path)
{
	gh_bytes rest, raw;
	uint8_t *room = path->room;
	text_cut(target, '?', &rest, &path->query);
	if (rest.len < 2 || rest.data[0] != '/')
		return false;
	rest = (gh_bytes){rest.data + 1, rest.len - 1};
	while (rest.len) {
		text_cut(rest, '/', &raw, &rest);
		if (!route_take_segment(path, raw, &room))
			return false;
	}
	return true;
}

/* Walks the row's path along the segments; ids are noted on the way. */
static bool route_matches(const struct rest_route *route, struct rest_path *path)
{
	const char *at = route->path;
	path->id_count = 0;
	for (size_t i = 0; i < path->count; i++) {
		size_t len = strcspn(at, "/");
		gh_bytes word = {(const uint8_t *)at, len};
		bool id = len == 1 && *at == '*';
		if (len == 0 || (!id && !text_equal_nocase(word, path->segments[i])))
			return false;
		if (id)
			path->ids[path->id_count++] = path->segments[i];
		at += len + (at[len] == '/');
	}
	return *at == '\0';
}

static void route_allow(char allow[REST_ALLOW_BYTES], const char *method)
{
	size_t len = strlen(allow);
	snprintf(allow + len, REST_ALLOW_BYTES - len, "%s%s", len ? ", " : "", method);
}

gh_status rest_route_find(gh_bytes method, gh_bytes target, struct rest_path *ret_path,
	const struct rest_route **ret_route, char ret_allow[REST_ALLOW_BYTES], gh_error *ret_err)
{
	ret_path->count = ret_path->id_count = 0;
	ret_allow[0] = '\0';
	if (route_split(target, ret_path))
		for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
			if (!route_matches(&routes[i], ret_path))
				continue;
			if (text_equal(method, text_of(routes[i].method))) {
				for (size_t id = ret_path->id_count; id < sizeof ret_path->ids / sizeof *ret_path->ids;
					id++)
					ret_path->ids[id] = (gh_bytes){NULL, 0};
				*ret_route = &routes[i];
				return GH_OK;
			}
			route_allow(ret_allow, routes[i].method);
		}
	if (ret_allow[0])
		return gh_fail(ret_err, GH_INVALID, "method_not_allowed", "this path takes %s", ret_allow);
	return gh_fail(ret_err, GH_NOT_FOUND, "route_unknown", "there is nothing at this path");
}

bool rest_route_parameter(const struct rest_path *path, const char *name, gh_bytes *ret_value)
{
	gh_bytes rest = path->query, parameter, found, value;
	while (rest.len) {
		text_cut(rest, '&', &parameter, &rest);
		text_cut(parameter, '=', &found, &value);
		if (text_equal_nocase(found, text_of(name))) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}
