#include "src/wire/hub_error.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

/* Reasons that have a number of their own. */
static const struct {
	const char *code;
	struct hub_error error;
} code_table[] = {
	{"api_version", {400, 400001, "InvalidProtocolVersion"}},
	{"bulk_failed", {400, 400013, "BulkRegistryOperationFailure"}},
	{"route_unknown", {404, 404000, "NotFound"}},
	{"module_not_found", {404, 404010, "ModuleNotFound"}},
	{"websocket_origin", {403, 403000, "Forbidden"}},
	{"method_not_allowed", {405, 405000, "MethodNotAllowed"}},
	{"module_exists", {409, 409301, "ModuleAlreadyExistsOnDevice"}},
	{"modules_per_device_max", {413, 413003, "TooManyModulesOnDevice"}},
	{"media_type", {415, 415000, "UnsupportedMediaType"}},
	{"websocket_upgrade", {426, 426000, "UpgradeRequired"}},
	{"websocket_version", {426, 426000, "UpgradeRequired"}},
	{"websocket_http2", {426, 426000, "UpgradeRequired"}},
	{"not_built", {501, 501000, "NotImplemented"}},
	/* No precondition of the client's failed: other writers kept coming first, and the same request may pass later. */
	{"registry_busy", {503, 503005, "ServerBusy"}},
};

static const struct hub_error status_table[GH_STATUS_COUNT] = {
	[GH_AGAIN] = {503, 503001, "ServiceUnavailable"},
	[GH_MALFORMED] = {400, 400006, "IotHubFormatError"},
	[GH_INVALID] = {400, 400004, "ArgumentInvalid"},
	[GH_UNAUTHORIZED] = {401, 401002, "IotHubUnauthorizedAccess"},
	[GH_DISABLED] = {403, 403012, "DeviceDisabled"},
	[GH_NOT_FOUND] = {404, 404001, "DeviceNotFound"},
	[GH_EXISTS] = {409, 409001, "DeviceAlreadyExists"},
	[GH_CONFLICT] = {412, 412001, "PreconditionFailed"},
	[GH_TOO_LARGE] = {413, 413001, "MessageTooLarge"},
	[GH_QUOTA] = {403, 403002, "IotHubQuotaExceeded"}, /* a rate would be 429001; no rate is limited */
	[GH_TAKEN_OVER] = {409, 409002, "LinkCreationConflict"},
	[GH_GONE] = {401, 401002, "IotHubUnauthorizedAccess"}, /* of a link: its token ended */
	[GH_UNKNOWN] = {503, 503001, "ServiceUnavailable"},
	[GH_NO_SPACE] = {503, 503001, "ServiceUnavailable"},
	[GH_UNAVAILABLE] = {503, 503001, "ServiceUnavailable"},
	[GH_IO] = {503, 503001, "ServiceUnavailable"},
	[GH_NO_MEMORY] = {503, 503001, "ServiceUnavailable"},
	[GH_INTERNAL] = {500, 500001, "ServerError"},
};

const struct hub_error *hub_error_of(gh_status status, const char *code)
{
	assert(status > GH_OK && status < GH_STATUS_COUNT);
	for (size_t i = 0; code && i < sizeof code_table / sizeof *code_table; i++)
		if (strcmp(code, code_table[i].code) == 0)
			return &code_table[i].error;
	return &status_table[status];
}
