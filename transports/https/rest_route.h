/* rest_route.h - which request is which: one table of methods and paths (device contract 6.1, service contract 2.3, 2.5). */
#ifndef GATEHOUSE_HTTPS_REST_ROUTE_H
#define GATEHOUSE_HTTPS_REST_ROUTE_H

#include <gatehouse/service.h>

enum rest_kind {
	REST_SEND,      /* telemetry of a device */
	REST_SERVICE,   /* the core answers */
	REST_WEBSOCKET, /* another protocol is inside */
	REST_NOT_BUILT  /* part of the contract that nothing serves yet */
};

enum rest_service_flags {
	REST_PAGES = 1 << 0,    /* page size and continuation are header fields */
	REST_SETS_TOP = 1 << 1, /* `top` of the query is the page size, too */
	REST_EMPTY_OK = 1 << 2, /* success has no body: 204 */
	REST_OF_ALL = 1 << 3,   /* the last word of the path is no resource: one named so gives no right to it */
};

struct rest_route {
	const char *method;
	const char *path; /* "*" stands for an id; literals compare without case */
	enum rest_kind kind;
	gh_service_op op;
	unsigned rights;
	unsigned flags;
};

enum { REST_ID_BYTES_MAX = 128, REST_SEGMENTS_MAX = 8, REST_ALLOW_BYTES = 48 };

/* A path taken apart.  Segments are decoded in `room`; ids are those that stood for a "*". */
struct rest_path {
	gh_bytes segments[REST_SEGMENTS_MAX];
	size_t count;
	gh_bytes ids[3]; /* empty beyond id_count */
	size_t id_count;
	gh_bytes query; /* what follows the "?" */
	uint8_t room[1024];
};

/* GH_OK: *ret_route, and ids in path.  GH_NOT_FOUND, code "route_unknown".  GH_INVALID, code "method_not_allowed":
 * ret_allow then holds the methods there are. */
gh_status rest_route_find(gh_bytes method, gh_bytes target, struct rest_path *ret_path,
	const struct rest_route **ret_route, char ret_allow[REST_ALLOW_BYTES], gh_error *ret_err);

/* A parameter of the query, not decoded; false when it is absent. */
bool rest_route_parameter(const struct rest_path *path, const char *name, gh_bytes *ret_value);

#endif
