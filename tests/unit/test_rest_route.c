/* Which request is which: paths, methods, parameters. */
#include "tests/suite.h"

#include "src/base/text.h"
#include "transports/https/rest_route.h"

SUITE(rest_route);

static const struct {
	const char *method, *target;
	enum rest_kind kind;
	gh_service_op op;
	const char *ids[2];
} known[] = {
	{"POST", "/devices/dev1/messages/events?api-version=2021-04-12", REST_SEND, GH_SERVICE_OP_COUNT, {"dev1"}},
	{"POST", "/devices/dev1/messages/events/", REST_SEND, GH_SERVICE_OP_COUNT, {"dev1"}},
	{"POST", "/DEVICES/dev1/Messages/Events", REST_SEND, GH_SERVICE_OP_COUNT, {"dev1"}},
	{"POST", "/devices/a%20b%23%25c/messages/events", REST_SEND, GH_SERVICE_OP_COUNT, {"a b#%c"}},
	{"POST", "/devices/%2e%2e/messages/events", REST_SEND, GH_SERVICE_OP_COUNT, {".."}},
	{"POST", "/devices/a%2Fb/messages/events", REST_SEND, GH_SERVICE_OP_COUNT, {"a/b"}},
	{"POST", "/devices/a%zz/messages/events", REST_SEND, GH_SERVICE_OP_COUNT, {"a%zz"}},
	{"GET", "/devices?api-version=2021-04-12", REST_SERVICE, GH_SERVICE_DEVICE_LIST, {NULL}},
	{"GET", "/devices/?api-version=2021-04-12", REST_SERVICE, GH_SERVICE_DEVICE_LIST, {NULL}},
	{"POST", "/devices", REST_SERVICE, GH_SERVICE_BULK, {NULL}},
	{"POST", "/devices/query", REST_SERVICE, GH_SERVICE_QUERY, {NULL}},
	{"GET", "/devices/query", REST_SERVICE, GH_SERVICE_IDENTITY_GET, {"query"}},
	{"GET", "/devices/DEV1", REST_SERVICE, GH_SERVICE_IDENTITY_GET, {"DEV1"}},
	{"PUT", "/devices/dev1", REST_SERVICE, GH_SERVICE_IDENTITY_PUT, {"dev1"}},
	{"DELETE", "/devices/dev1", REST_SERVICE, GH_SERVICE_IDENTITY_DELETE, {"dev1"}},
	{"GET", "/devices/dev1/modules", REST_SERVICE, GH_SERVICE_MODULE_LIST, {"dev1"}},
	{"GET", "/devices/dev1/modules/m", REST_SERVICE, GH_SERVICE_IDENTITY_GET, {"dev1", "m"}},
	{"PUT", "/devices/dev1/modules/m", REST_SERVICE, GH_SERVICE_IDENTITY_PUT, {"dev1", "m"}},
	{"DELETE", "/devices/dev1/modules/m", REST_SERVICE, GH_SERVICE_IDENTITY_DELETE, {"dev1", "m"}},
	{"GET", "/statistics/devices", REST_SERVICE, GH_SERVICE_DEVICE_STATISTICS, {NULL}},
	{"GET", "/statistics/service", REST_SERVICE, GH_SERVICE_CONNECTION_STATISTICS, {NULL}},
	{"GET", "/devices/dev1/messages/deviceBound", REST_NOT_BUILT, GH_SERVICE_OP_COUNT, {"dev1"}},
	{"DELETE", "/devices/dev1/messages/devicebound/0-1?reject", REST_NOT_BUILT, GH_SERVICE_OP_COUNT,
		{"dev1", "0-1"}},
	{"POST", "/devices/dev1/messages/devicebound/0-1/abandon", REST_NOT_BUILT, GH_SERVICE_OP_COUNT,
		{"dev1", "0-1"}},
	{"POST", "/devices/dev1/files", REST_NOT_BUILT, GH_SERVICE_OP_COUNT, {"dev1"}},
	{"POST", "/twins/dev1/methods", REST_NOT_BUILT, GH_SERVICE_OP_COUNT, {"dev1"}},
	{"PATCH", "/twins/dev1", REST_NOT_BUILT, GH_SERVICE_OP_COUNT, {"dev1"}},
	{"PUT", "/jobs/v2/j1", REST_NOT_BUILT, GH_SERVICE_OP_COUNT, {"j1"}},
	{"GET", "/jobs/v2/query", REST_NOT_BUILT, GH_SERVICE_OP_COUNT, {NULL}},
	{"GET", "/$iothub/websocket?iothub-no-client-cert=true", REST_WEBSOCKET, GH_SERVICE_OP_COUNT, {NULL}},
	{"GET", "/%24iothub/websocket", REST_WEBSOCKET, GH_SERVICE_OP_COUNT, {NULL}},
	{"GET", "/$iothub/websocket/", REST_WEBSOCKET, GH_SERVICE_OP_COUNT, {NULL}},
	{"GET", "/$servicebus/websocket", REST_WEBSOCKET, GH_SERVICE_OP_COUNT, {NULL}},
	{"GET", "/$servicebus/websocket/?x", REST_WEBSOCKET, GH_SERVICE_OP_COUNT, {NULL}},
};

Test(rest_route, every_path_of_the_contract_is_known_in_every_spelling)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		struct rest_path path;
		const struct rest_route *route;
		char allow[REST_ALLOW_BYTES];
		gh_error err;
		gh_status status =
			rest_route_find(text_of(known[i].method), text_of(known[i].target), &path, &route, allow, &err);
		cr_assert(status == GH_OK, "%s %s: %s", known[i].method, known[i].target, err.text);
		cr_assert(route->kind == known[i].kind && route->op == known[i].op, "%s %s is %s %s", known[i].method,
			known[i].target, route->method, route->path);
		cr_assert((route->kind == REST_SERVICE) == (route->rights != 0), "%s", route->path);
		for (size_t k = 0; k < 2; k++)
			cr_assert(known[i].ids[k]
					  ? k < path.id_count && text_equal(path.ids[k], text_of(known[i].ids[k]))
					  : k >= path.id_count,
				"%s %s: id %zu", known[i].method, known[i].target, k);
	}
}

static const struct {
	const char *method, *target, *allow; /* NULL = 404 */
} refused[] = {
	{"GET", "/devices/dev1/messages/events", "POST"},
	{"PATCH", "/devices/dev1", "GET, PUT, DELETE"},
	{"POST", "/devices/dev1", "GET, PUT, DELETE"},
	{"PATCH", "/devices/query", "POST, GET, PUT, DELETE"},
	{"PUT", "/devices", "GET, POST"},
	{"post", "/devices", "GET, POST"},
	{"HEAD", "/statistics/devices", "GET"},
	{"POST", "/$iothub/websocket", "GET"},
	{"HEAD", "/$servicebus/websocket", "GET"},
	{"GET", "/", NULL},
	{"GET", "", NULL},
	{"GET", "*", NULL},
	{"OPTIONS", "*", NULL},
	{"GET", "/devicesx", NULL},
	{"GET", "/devices/dev1/modules/m/x", NULL},
	{"GET", "//devices", NULL},
	{"GET", "/devices//dev1", NULL},
	{"GET", "/devices/dev1//", NULL},
	{"POST", "/devices/dev1/messages/events/x", NULL},
	{"POST", "/devices/dev1/modules/m/messages/events", NULL},
	{"GET", "/a/b/c/d/e/f/g/h/i/j/k", NULL},
	{"GET", "devices", NULL},
};

Test(rest_route, what_is_no_path_is_404_and_what_is_no_method_of_it_405)
{
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		struct rest_path path;
		const struct rest_route *route;
		char allow[REST_ALLOW_BYTES];
		gh_error err;
		gh_status status = rest_route_find(
			text_of(refused[i].method), text_of(refused[i].target), &path, &route, allow, &err);
		cr_assert(status == (refused[i].allow ? GH_INVALID : GH_NOT_FOUND), "%s %s", refused[i].method,
			refused[i].target);
		cr_assert_str_eq(
			allow, refused[i].allow ? refused[i].allow : "", "%s %s", refused[i].method, refused[i].target);
		cr_assert_str_eq(err.code, refused[i].allow ? "method_not_allowed" : "route_unknown");
	}
}

Test(rest_route, a_path_longer_than_any_is_404)
{
	char target[9000] = "/devices/";
	memset(target + 9, 'a', sizeof target - 10);
	struct rest_path path;
	const struct rest_route *route;
	char allow[REST_ALLOW_BYTES];
	gh_error err;
	cr_assert(rest_route_find(text_of("GET"), text_of(target), &path, &route, allow, &err) == GH_NOT_FOUND);
}

Test(rest_route, parameters_are_found_by_name_without_case)
{
	struct rest_path path = {.query = text_of("a=1&API-Version=2021-04-12&top=5&flag&empty=")};
	gh_bytes value;
	cr_assert(rest_route_parameter(&path, "api-version", &value) && text_equal(value, text_of("2021-04-12")));
	cr_assert(rest_route_parameter(&path, "top", &value) && text_equal(value, text_of("5")));
	cr_assert(rest_route_parameter(&path, "flag", &value) && value.len == 0);
	cr_assert(rest_route_parameter(&path, "empty", &value) && value.len == 0);
	cr_assert(!rest_route_parameter(&path, "op", &value));
}
