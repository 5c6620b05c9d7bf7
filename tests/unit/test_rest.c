/* Requests and answers, seen through HTTP/1.1: who may, what is stored, how refusals read, and how long a link lives. */
#include "tests/suite.h"

#include "src/base/text.h"
#include "tests/unit/http_pair.h"

#include <jansson.h>
#include <stdio.h>

static gh_worker worker;
static struct engine_pair pair;

static void rest_begin_test(void)
{
	core_double_init(&worker);
	http_pair_init(&pair, &worker);
}

static void rest_end_test(void)
{
	engine_pair_done(&pair);
	core_double_done(&worker);
	suite_leak_check();
}

TestSuite(rest, .init = rest_begin_test, .fini = rest_end_test, .timeout = 60);

static void stored(void)
{
	core_double_settle_all(&worker, GH_OK);
	engine_pair_run(&pair);
}

static void ask(const char *method, const char *target, const char *fields, const char *body)
{
	char request[4000];
	snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: hub\r\n%sContent-Length: %zu\r\n\r\n%s", method,
		target, fields, strlen(body), body);
	http_pair_send(&pair, request);
}

#define TOKEN "Authorization: SharedAccessSignature sr=x\r\n"
#define EVENTS "/devices/dev1/messages/events"

/* ---- who ---- */

Test(rest, a_request_is_checked_with_the_token_and_the_device_of_its_path)
{
	ask("POST", "/devices/a%2Bb%23/messages/events",
		"AUTHORIZATION:  SharedAccessSignature sr=y \r\nUser-Agent: me\r\n", "");
	cr_assert_str_eq(worker.request.device_id, "a+b#");
	cr_assert_str_eq(worker.request.token, "SharedAccessSignature sr=y");
	cr_assert_str_eq(worker.request.client_info, "me");
	cr_assert_str_eq(worker.request.address, "192.0.2.7");
	cr_assert(worker.request.sessionless && worker.request.unseen && !worker.request.displaces);
	stored();
	cr_assert(http_pair_is(&pair, 204));
}

Test(rest, must_72_a_blank_authorization_counts_as_none)
{
	ask("POST", EVENTS, "Authorization: \r\n", "");
	cr_assert_str_eq(worker.request.token, "");
	stored();
	cr_assert(http_pair_is(&pair, 204));
}

Test(rest, a_connection_stays_authenticated_for_the_same_device_and_token)
{
	for (int i = 0; i < 3; i++) {
		http_pair_post(&pair, "", "x");
		stored();
		cr_assert(http_pair_is(&pair, 204));
	}
	cr_assert(worker.open_count == 1);
	ask("POST", EVENTS, "Authorization: SharedAccessSignature sr=other\r\n", "");
	stored();
	cr_assert(worker.open_count == 2);
	ask("POST", "/devices/dev2/messages/events", TOKEN, "");
	stored();
	cr_assert(worker.open_count == 3 && core_double_links_open(&worker) == 3);
	ask("POST", EVENTS, TOKEN, "");
	stored();
	cr_assert(worker.open_count == 3);
	for (int i = 0; i < 3; i++)
		cr_assert(http_pair_is(&pair, 204));
}

Test(rest, must_22_29_a_changed_identity_is_checked_anew_at_the_next_request)
{
	http_pair_post(&pair, "", "x");
	stored();
	cr_assert(http_pair_is(&pair, 204));
	core_double_revoke(worker.links, GH_UNAUTHORIZED);
	engine_pair_run(&pair);
	worker.open_status = GH_UNAUTHORIZED;
	http_pair_post(&pair, "", "x");
	cr_assert(http_pair_is(&pair, 401) && worker.record_count == 1 && worker.open_count == 2);
}

Test(rest, what_was_accepted_before_a_change_is_still_answered)
{
	http_pair_post(&pair, "", "x");
	gh_link *link = worker.links;
	link->revoking = true;
	link->ops->revoked(link->context, GH_UNAUTHORIZED);
	cr_assert(!link->closed);
	stored();
	cr_assert(http_pair_is(&pair, 204) && link->closed);
}

Test(rest, a_connection_stays_authenticated_for_at_most_http_links_max)
{
	worker.limits.http_links_max = 2;
	for (int i = 0; i < 5; i++) {
		char target[100];
		snprintf(target, sizeof target, "/devices/dev%d/messages/events", i);
		ask("POST", target, TOKEN, "");
		stored();
		cr_assert(http_pair_is(&pair, 204) && core_double_links_open(&worker) <= 2);
	}
	ask("POST", "/devices/dev4/messages/events", TOKEN, "");
	stored();
	cr_assert(worker.open_count == 5);
	ask("POST", "/devices/dev0/messages/events", TOKEN, "");
	stored();
	cr_assert(worker.open_count == 6);
	pair.got.len = 0;
}

static const struct {
	const char *name;
	gh_status status;
	int http;
	const char *error;
} refusals[] = {
	{"unknown device, bad token", GH_UNAUTHORIZED, 401, "IotHubUnauthorizedAccess"},
	{"must_28 disabled", GH_DISABLED, 403, "DeviceDisabled"},
	{"store away", GH_UNAVAILABLE, 503, "ServiceUnavailable"},
	{"no memory", GH_NO_MEMORY, 503, "ServiceUnavailable"},
};

Test(rest, must_74_a_refusal_has_its_status_its_name_and_the_json_clients_read)
{
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		const char *head, *body;
		char text[200];
		worker.open_status = refusals[i].status;
		http_pair_post(&pair, "", "x");
		cr_assert(http_pair_answer(&pair, &head, &body) == refusals[i].http, "%s", refusals[i].name);
		snprintf(text, sizeof text, "iothub-errorcode: %s\r\n", refusals[i].error);
		cr_assert(strstr(head, text), "%s: %s", refusals[i].name, head);
		cr_assert(strstr(head, "content-type: application/json; charset=utf-8\r\n"), "%s", refusals[i].name);
		json_t *json = json_loads(body, 0, NULL);
		const char *message = json_string_value(json_object_get(json, "Message"));
		snprintf(text, sizeof text, "ErrorCode:%s;", refusals[i].error);
		cr_assert(message && strncmp(message, text, strlen(text)) == 0 && message[strlen(text)] &&
				  !strchr(message + strlen(text), ';'),
			"%s: %s", refusals[i].name, body);
		const char *tracking = json_string_value(json_object_get(json, "ExceptionMessage"));
		cr_assert_str_eq(tracking,
			"Tracking ID:a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5-G:0-TimeStamp:11/24/2026 10:56:01", "%s",
			tracking);
		json_decref(json);
		cr_assert((refusals[i].http == 401) ==
			  (strstr(head, "www-authenticate: SharedAccessSignature\r\n") != NULL));
	}
}

Test(rest, why_a_credential_was_refused_is_not_told)
{
	const char *body;
	worker.open_status = GH_UNAUTHORIZED;
	http_pair_post(&pair, "", "x");
	cr_assert(http_pair_answer(&pair, NULL, &body) == 401);
	cr_assert(strstr(body, ";Unauthorized\"") && !strstr(body, "as the test said"));
}

Test(rest, threat_21_an_id_longer_than_any_is_refused_and_counted)
{
	char target[600] = "/devices/";
	memset(target + 9, 'a', 129);
	strcat(target, "/messages/events");
	ask("POST", target, TOKEN, "");
	cr_assert(http_pair_is(&pair, 401) && worker.refused == 1 && worker.open_count == 0);
}

Test(rest, must_74_what_is_not_there_is_404_405_or_501_in_the_same_form)
{
	const char *head, *body;
	ask("GET", "/nothing", TOKEN, "");
	cr_assert(http_pair_answer(&pair, &head, &body) == 404 && strstr(body, "{\"Message\":\"ErrorCode:"));
	ask("GET", EVENTS, TOKEN, "");
	cr_assert(http_pair_answer(&pair, &head, &body) == 405 && strstr(head, "allow: POST\r\n"));
	ask("GET", "/devices/dev1/messages/deviceBound?api-version=2021-04-12", TOKEN, "");
	cr_assert(http_pair_answer(&pair, &head, &body) == 501 && strstr(body, "not served"));
	ask("GET", "/twins/dev1?api-version=2021-04-12", TOKEN, "");
	cr_assert(http_pair_answer(&pair, &head, &body) == 501);
	cr_assert(!pair.finished && worker.open_count == 0);
}

/* ---- what is stored ---- */

static bool has(size_t record, const char *name, const char *value)
{
	gh_cursor cursor = {0};
	gh_property property;
	while (gh_message_next(worker.records[record].message, &cursor, &property))
		if (text_equal(property.name, text_of(name)))
			return value && text_equal(property.value, text_of(value));
	return !value;
}

Test(rest, must_69_76_one_message_with_every_field)
{
	http_pair_post(&pair,
		"iothub-to: /devices/dev1/messages/events\r\nIoTHub-MessageId: mid-1\r\niothub-correlationid: cid 1\r\n"
		"iothub-contenttype: application/json\r\niothub-app-A: x/y\r\niothub-app-plain: 1\r\n"
		"iothub-connection-device-id: forged\r\niothub-app-iothub-enqueuedtime: forged\r\n",
		"{}");
	cr_assert(worker.record_count == 1);
	cr_assert(has(0, "message-id", "mid-1") && has(0, "correlation-id", "cid 1"));
	cr_assert(has(0, "content-type", "application/json") && has(0, "A", "x/y") && has(0, "plain", "1"));
	cr_assert(has(0, "iothub-connection-device-id", "dev1") && has(0, "to", NULL));
	stored();
	cr_assert(http_pair_is(&pair, 204));
}

Test(rest, a_message_that_cannot_be_one_is_400_and_one_too_large_413)
{
	http_pair_post(&pair, "iothub-messageid: a b\r\n", "x");
	cr_assert(http_pair_is(&pair, 400));
	worker.limits.message_bytes_max = 10;
	http_pair_post(&pair, "iothub-app-name: value\r\n", "xx");
	cr_assert(http_pair_is(&pair, 413) && worker.record_count == 0);
	http_pair_post(&pair, "iothub-app-name: value\r\n", "x");
	cr_assert(worker.record_count == 1);
	stored();
	cr_assert(http_pair_is(&pair, 204));
}

#define BATCH TOKEN "Content-Type: application/vnd.microsoft.iothub.json; charset=utf-8\r\n"

Test(rest, must_69_a_batch_is_answered_when_all_of_it_is_stored)
{
	ask("POST", EVENTS, BATCH, "[{\"body\":\"YQ==\"},{\"body\":\"Yg==\",\"properties\":{\"iothub-app-n\":\"2\"}}]");
	cr_assert(worker.record_count == 2 && has(1, "n", "2"));
	core_double_settle(&worker, 0, GH_OK);
	engine_pair_run(&pair);
	cr_assert(pair.got.len == 0);
	core_double_settle(&worker, 1, GH_OK);
	engine_pair_run(&pair);
	cr_assert(http_pair_is(&pair, 204));
}

Test(rest, a_batch_with_one_bad_message_stores_none)
{
	const char *body;
	ask("POST", EVENTS, BATCH, "[{\"body\":\"YQ==\"},{\"body\":\"?\"}]");
	cr_assert(http_pair_answer(&pair, NULL, &body) == 400 && strstr(body, "message 2 of the batch"));
	cr_assert(worker.record_count == 0);
}

Test(rest, a_batch_of_which_one_is_not_stored_is_503)
{
	ask("POST", EVENTS, BATCH, "[{\"body\":\"YQ==\"},{\"body\":\"Yg==\"}]");
	core_double_settle(&worker, 0, GH_UNKNOWN);
	core_double_settle(&worker, 1, GH_OK);
	engine_pair_run(&pair);
	cr_assert(http_pair_is(&pair, 503));
}

Test(rest, a_batch_goes_on_where_room_ran_out)
{
	ask("POST", EVENTS, TOKEN, ""); /* opens the link */
	stored();
	cr_assert(http_pair_is(&pair, 204));
	worker.submit_room = 1;
	ask("POST", EVENTS, BATCH, "[{\"body\":\"YQ==\"},{\"body\":\"Yg==\"},{\"body\":\"Yw==\"}]");
	cr_assert(worker.record_count == 2 && pair.got.len == 0);
	stored();
	cr_assert(pair.got.len == 0);
	core_double_writable(worker.links);
	engine_pair_run(&pair);
	cr_assert(worker.record_count == 4);
	stored();
	cr_assert(http_pair_is(&pair, 204));
	for (size_t i = 1; i < 4; i++)
		cr_assert(gh_message_body(worker.records[i].message).data[0] == "abc"[i - 1]);
}

Test(rest, an_application_body_that_looks_like_a_batch_is_a_message_without_the_type)
{
	ask("POST", EVENTS, TOKEN "Content-Type: application/json\r\n", "[{\"body\":\"YQ==\"}]");
	cr_assert(worker.record_count == 1 && gh_message_body(worker.records[0].message).len == 17);
	stored();
	cr_assert(http_pair_is(&pair, 204));
}

/* ---- service ---- */

#define API "?api-version=2021-04-12"

static const struct {
	const char *method, *target, *fields, *body;
	gh_service_op op;
	unsigned rights;
	const char *resource, *device_id, *module_id;
} services[] = {
	{"GET", "/devices/d%20x" API, "", "", GH_SERVICE_IDENTITY_GET, GH_RIGHT_REGISTRY_READ, "/devices/d x", "d x",
		""},
	{"PUT", "/devices/d1" API, "If-Match: \"*\"\r\n", "{}", GH_SERVICE_IDENTITY_PUT, GH_RIGHT_REGISTRY_WRITE,
		"/devices/d1", "d1", ""},
	{"DELETE", "/devices/d1" API, "If-Match: abc\r\n", "", GH_SERVICE_IDENTITY_DELETE, GH_RIGHT_REGISTRY_WRITE,
		"/devices/d1", "d1", ""},
	{"GET", "/devices/" API, "", "", GH_SERVICE_DEVICE_LIST, GH_RIGHT_REGISTRY_READ, "/devices", "", ""},
	{"POST", "/devices" API, "", "[]", GH_SERVICE_BULK, GH_RIGHT_REGISTRY_WRITE, "/devices", "", ""},
	{"POST", "/devices/query" API, "", "{}", GH_SERVICE_QUERY, GH_RIGHT_SERVICE_CONNECT, "/devices", "", ""},
	{"GET", "/devices/d1/modules" API, "", "", GH_SERVICE_MODULE_LIST, GH_RIGHT_REGISTRY_READ,
		"/devices/d1/modules", "d1", ""},
	{"PUT", "/devices/d1/modules/m1" API, "", "{}", GH_SERVICE_IDENTITY_PUT, GH_RIGHT_REGISTRY_WRITE,
		"/devices/d1/modules/m1", "d1", "m1"},
	{"GET", "/statistics/devices" API, "", "", GH_SERVICE_DEVICE_STATISTICS, GH_RIGHT_REGISTRY_READ,
		"/statistics/devices", "", ""},
	{"GET", "/statistics/service" API, "", "", GH_SERVICE_CONNECTION_STATISTICS, GH_RIGHT_REGISTRY_READ,
		"/statistics/service", "", ""},
};

Test(rest, a_service_request_is_authorized_for_its_resource_and_handed_over)
{
	for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
		char fields[300];
		snprintf(fields, sizeof fields, TOKEN "%s", services[i].fields);
		ask(services[i].method, services[i].target, fields, services[i].body);
		cr_assert(worker.call_count == i + 1, "%s %s", services[i].method, services[i].target);
		gh_call *call = worker.calls[i];
		cr_assert(call->op == services[i].op && worker.rights_asked == services[i].rights, "%s",
			services[i].target);
		cr_assert_str_eq(worker.resource, services[i].resource);
		cr_assert_str_eq(worker.service_token, "SharedAccessSignature sr=x");
		cr_assert_str_eq(call->device_id, services[i].device_id);
		cr_assert_str_eq(call->module_id, services[i].module_id);
		cr_assert_str_eq(call->body, services[i].body);
		cr_assert(call->has_etag == (services[i].fields[0] != '\0'));
		cr_assert(pair.got.len == 0);
		core_double_answer(
			&worker, i, &(gh_service_answer){.body = text_of("{\"a\":1}"), .etag = "", .item_type = ""});
		engine_pair_run(&pair);
		const char *body;
		bool empty = services[i].op == GH_SERVICE_IDENTITY_DELETE;
		cr_assert(http_pair_answer(&pair, NULL, &body) == (empty ? 204 : 200), "%s", services[i].target);
		cr_assert_str_eq(body, empty ? "" : "{\"a\":1}");
	}
}

Test(rest, page_size_and_continuation_are_handed_over_and_come_back)
{
	const char *head;
	ask("POST", "/devices/query" API, TOKEN "x-ms-max-item-count: 7\r\nx-ms-continuation: abc=\r\n", "{}");
	cr_assert(worker.calls[0]->count_max == 7);
	cr_assert_str_eq(worker.calls[0]->continuation, "abc=");
	core_double_answer(&worker, 0,
		&(gh_service_answer){
			.body = text_of("[]"), .etag = "", .item_type = "Twin", .continuation = text_of("next=")});
	engine_pair_run(&pair);
	cr_assert(http_pair_answer(&pair, &head, NULL) == 200);
	cr_assert(strstr(head, "x-ms-continuation: next=\r\n") && strstr(head, "x-ms-item-type: Twin\r\n"));
	cr_assert(strstr(head, "content-type: application/json; charset=utf-8\r\n"));
	ask("GET", "/devices" API "&top=3", TOKEN, "");
	cr_assert(worker.calls[1]->count_max == 3);
	core_double_answer(&worker, 1, &(gh_service_answer){.body = text_of("[]"), .etag = "QQ==", .item_type = ""});
	engine_pair_run(&pair);
	cr_assert(http_pair_answer(&pair, &head, NULL) == 200);
	cr_assert(strstr(head, "etag: \"QQ==\"\r\n") && !strstr(head, "x-ms-continuation"));
	ask("GET", "/devices" API "&top=many", TOKEN, "");
	cr_assert(http_pair_is(&pair, 400) && worker.call_count == 2);
}

/* Else who follows a list that has more would get its first page for ever. */
Test(rest, a_list_goes_on_where_its_continuation_says)
{
	const char *head;
	ask("GET", "/devices" API "&top=3", TOKEN, "");
	core_double_answer(&worker, 0,
		&(gh_service_answer){
			.body = text_of("[]"), .etag = "", .item_type = "", .continuation = text_of("next=")});
	engine_pair_run(&pair);
	cr_assert(http_pair_answer(&pair, &head, NULL) == 200 && strstr(head, "x-ms-continuation: next=\r\n"));
	ask("GET", "/devices" API "&top=3", TOKEN "x-ms-continuation: next=\r\n", "");
	cr_assert(worker.call_count == 2 && worker.calls[1]->count_max == 3);
	cr_assert_str_eq(worker.calls[1]->continuation, "next=");
	core_double_answer(&worker, 1, &(gh_service_answer){.body = text_of("[]"), .etag = "", .item_type = ""});
	engine_pair_run(&pair);
	cr_assert(http_pair_answer(&pair, &head, NULL) == 200 && !strstr(head, "x-ms-continuation"));
}

Test(rest, an_api_version_is_demanded_of_service_clients_and_of_no_device)
{
	const char *head;
	ask("GET", "/devices/d1", TOKEN, "");
	cr_assert(http_pair_answer(&pair, &head, NULL) == 400 &&
		  strstr(head, "iothub-errorcode: InvalidProtocolVersion"));
	ask("GET", "/devices/d1?api-version=1999-01-01", TOKEN, "");
	cr_assert(http_pair_is(&pair, 400) && worker.call_count == 0);
	ask("POST", EVENTS, TOKEN, "");
	stored();
	cr_assert(http_pair_is(&pair, 204));
}

Test(rest, a_token_that_does_not_allow_it_is_401_before_anything_else_is_told)
{
	worker.authorize_status = GH_UNAUTHORIZED;
	ask("GET", "/devices/d1", TOKEN, "");
	cr_assert(http_pair_is(&pair, 401) && worker.call_count == 0);
}

static const struct {
	gh_status status;
	const char *code;
	int http;
	const char *error;
} failures[] = {
	{GH_NOT_FOUND, "device_not_found", 404, "DeviceNotFound"},
	{GH_NOT_FOUND, "module_not_found", 404, "ModuleNotFound"},
	{GH_EXISTS, NULL, 409, "DeviceAlreadyExists"},
	{GH_CONFLICT, "etag_mismatch", 412, "PreconditionFailed"},
	{GH_INVALID, "document_field", 400, "ArgumentInvalid"},
	{GH_MALFORMED, "document_form", 400, "IotHubFormatError"},
	{GH_QUOTA, "modules_per_device_max", 413, "TooManyModulesOnDevice"},
	{GH_NO_SPACE, NULL, 503, "ServiceUnavailable"},
	{GH_INTERNAL, NULL, 500, "ServerError"},
};

Test(rest, a_refusal_of_the_registry_has_its_name_and_its_sentence)
{
	for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
		const char *head, *body;
		char text[100];
		gh_service_answer answer = {.status = failures[i].status};
		gh_fail(&answer.err, failures[i].status, failures[i].code, "because; of \"this\"\n");
		ask("GET", "/devices/d1" API, TOKEN, "");
		core_double_answer(&worker, i, &answer);
		engine_pair_run(&pair);
		cr_assert(http_pair_answer(&pair, &head, &body) == failures[i].http, "%s", failures[i].error);
		snprintf(text, sizeof text, "iothub-errorcode: %s\r\n", failures[i].error);
		cr_assert(strstr(head, text), "%s: %s", failures[i].error, head);
		cr_assert(strstr(body, ";because, of 'this' \""), "%s", body);
	}
}

Test(rest, a_bulk_request_of_which_a_part_failed_is_400_with_its_result)
{
	const char *head, *body;
	gh_service_answer answer = {
		.status = GH_INVALID, .body = text_of("{\"isSuccessful\":false}"), .etag = "", .item_type = ""};
	gh_fail(&answer.err, GH_INVALID, "bulk_failed", "some records failed");
	ask("POST", "/devices" API, TOKEN, "[]");
	core_double_answer(&worker, 0, &answer);
	engine_pair_run(&pair);
	cr_assert(http_pair_answer(&pair, &head, &body) == 400);
	cr_assert_str_eq(body, "{\"isSuccessful\":false}");
	cr_assert(strstr(head, "iothub-errorcode: BulkRegistryOperationFailure\r\n"));
}

Test(rest, too_many_service_requests_are_told_to_come_again)
{
	worker.call_status = GH_AGAIN;
	ask("GET", "/devices/d1" API, TOKEN, "");
	const char *head;
	cr_assert(http_pair_answer(&pair, &head, NULL) == 503 && strstr(head, "retry-after: 1\r\n"));
}

Test(rest, a_service_request_whose_client_left_is_cancelled)
{
	ask("GET", "/devices/d1" API, TOKEN, "");
	engine_pair_done(&pair);
	cr_assert(worker.calls[0]->cancelled);
}

Test(rest, a_service_request_not_answered_in_time_is_503)
{
	ask("PUT", "/devices/d1" API, TOKEN, "{}");
	engine_pair_wait(&pair, worker.limits.record_ms_max);
	cr_assert(http_pair_is(&pair, 503) && worker.calls[0]->cancelled);
}
