/* Refusals in the words of the hub's contract. */
#include "tests/suite.h"

#include "src/wire/hub_error.h"

#include <string.h>

SUITE(hub_error);

Test(hub_error, every_status_but_ok_has_a_row_of_its_http_status)
{
	for (int status = GH_OK + 1; status < GH_STATUS_COUNT; status++) {
		const char *name = gh_status_name(status);
		const struct hub_error *error = hub_error_of(status, NULL);
		cr_assert(error->name && error->name[0] != '\0', "%s", name);
		cr_assert(error->http >= 400 && error->http <= 599, "%s", name);
		cr_assert_eq(error->number / 1000, error->http, "%s", name);
		cr_assert(strpbrk(error->name, ";: ") == NULL, "%s: clients cut the name at ; and :", name);
	}
}

Test(hub_error, reasons_and_statuses_are_told_as_the_contract_says)
{
	static const struct {
		gh_status status;
		const char *code;
		uint16_t http;
		uint32_t number;
		const char *name;
	} rows[] = {
		{GH_INVALID, "api_version", 400, 400001, "InvalidProtocolVersion"},
		{GH_INVALID, "id_form", 400, 400004, "ArgumentInvalid"},
		{GH_INVALID, NULL, 400, 400004, "ArgumentInvalid"},
		{GH_MALFORMED, "body_json", 400, 400006, "IotHubFormatError"},
		{GH_INVALID, "bulk_failed", 400, 400013, "BulkRegistryOperationFailure"},
		{GH_UNAUTHORIZED, "token_expired", 401, 401002, "IotHubUnauthorizedAccess"},
		{GH_GONE, NULL, 401, 401002, "IotHubUnauthorizedAccess"},
		{GH_QUOTA, "policies_max", 403, 403002, "IotHubQuotaExceeded"},
		{GH_DISABLED, NULL, 403, 403012, "DeviceDisabled"},
		{GH_INVALID, "websocket_origin", 403, 403000, "Forbidden"},
		{GH_NOT_FOUND, "route_unknown", 404, 404000, "NotFound"},
		{GH_NOT_FOUND, "device_not_found", 404, 404001, "DeviceNotFound"},
		{GH_NOT_FOUND, "module_not_found", 404, 404010, "ModuleNotFound"},
		{GH_INVALID, "method_not_allowed", 405, 405000, "MethodNotAllowed"},
		{GH_EXISTS, "device_exists", 409, 409001, "DeviceAlreadyExists"},
		{GH_TAKEN_OVER, NULL, 409, 409002, "LinkCreationConflict"},
		{GH_EXISTS, "module_exists", 409, 409301, "ModuleAlreadyExistsOnDevice"},
		{GH_CONFLICT, "etag_missing", 412, 412001, "PreconditionFailed"},
		{GH_CONFLICT, "etag_mismatch", 412, 412001, "PreconditionFailed"},
		{GH_TOO_LARGE, "message_bytes_max", 413, 413001, "MessageTooLarge"},
		{GH_QUOTA, "modules_per_device_max", 413, 413003, "TooManyModulesOnDevice"},
		{GH_INVALID, "media_type", 415, 415000, "UnsupportedMediaType"},
		{GH_INVALID, "websocket_key", 400, 400004, "ArgumentInvalid"},
		{GH_INVALID, "websocket_upgrade", 426, 426000, "UpgradeRequired"},
		{GH_INVALID, "websocket_version", 426, 426000, "UpgradeRequired"},
		{GH_INVALID, "websocket_http2", 426, 426000, "UpgradeRequired"},
		{GH_INTERNAL, "registry_record", 500, 500001, "ServerError"},
		{GH_UNAVAILABLE, "not_built", 501, 501000, "NotImplemented"},
		{GH_AGAIN, "service_calls_max", 503, 503001, "ServiceUnavailable"},
		{GH_UNKNOWN, NULL, 503, 503001, "ServiceUnavailable"},
		{GH_IO, "store_read", 503, 503001, "ServiceUnavailable"},
		{GH_NO_SPACE, "store_commit", 503, 503001, "ServiceUnavailable"},
		{GH_NO_MEMORY, "no_memory", 503, 503001, "ServiceUnavailable"},
		{GH_CONFLICT, "registry_busy", 503, 503005, "ServerBusy"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct hub_error *error = hub_error_of(rows[i].status, rows[i].code);
		const char *row = rows[i].code ? rows[i].code : gh_status_name(rows[i].status);
		cr_assert_eq(error->http, rows[i].http, "%s: %u", row, error->http);
		cr_assert_eq(error->number, rows[i].number, "%s: %u", row, error->number);
		cr_assert_str_eq(error->name, rows[i].name, "%s", row);
	}
}
