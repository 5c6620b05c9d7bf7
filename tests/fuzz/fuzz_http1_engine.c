/* An HTTP/1.1 engine with the routes behind it over a core double: the input is a script of bytes from the client, answers
 * of the core, time and loss.  The double and the pair assert the contract; at the end every link must be closed, every
 * reservation given back and all memory free.
 *
 * First byte: bit 0 a good request comes first, bit 1 limits are small, bit 2 the wire upgrades to mqtt, or, with bit 3 or 4,
 * refuses to.  Then steps: an operation in the low three bits of a byte, its parameter in the other five. */
#include "tests/fuzz/fuzz.h"

#include "src/base/text.h"
#include "tests/unit/http_pair.h"

enum fuzz_step { STEP_SEND, STEP_SEND_MORE, STEP_SETTLE, STEP_ANSWER, STEP_SWITCH, STEP_ROOM, STEP_TIME, STEP_END };

static gh_worker worker;

static void fuzz_settle(unsigned parameter)
{
	gh_status status = parameter & 0x10 ? GH_STATUS_COUNT - 1 - parameter % 8 : GH_OK;
	size_t skip = parameter & 3;
	for (size_t i = 0; i < worker.record_count; i++)
		if (!worker.records[i].settled && skip-- == 0) {
			core_double_settle(&worker, i, status);
			return;
		}
}

static void fuzz_answer(unsigned parameter)
{
	gh_service_answer answer = {.status = parameter & 0x10 ? GH_NOT_FOUND : GH_OK, .etag = "", .item_type = ""};
	static const uint8_t page[200000]; /* leaves in many parts */
	if (parameter & 1)
		answer.body = text_of("{\"deviceId\":\"d\"}");
	if (parameter & 8)
		answer.body = (gh_bytes){page, sizeof page};
	if (parameter & 2)
		answer.etag = "MQ==";
	if (parameter & 4)
		answer.continuation = text_of("bmV4dA==");
	for (size_t i = 0; i < worker.call_count; i++)
		if (!worker.calls[i]->cancelled && !worker.calls[i]->answered) {
			core_double_answer(&worker, i, &answer);
			return;
		}
}

static void fuzz_revoke(void)
{
	for (gh_link *link = worker.links; link; link = link->next)
		if (!link->closed && !link->revoking) {
			link->revoking = true;
			link->ops->revoked(link->context, GH_UNAUTHORIZED);
			return;
		}
}

static void fuzz_end(struct engine_pair *pair, unsigned parameter)
{
	if (parameter & 0x10)
		engine_pair_hang_up(pair);
	else if (parameter & 0x08)
		pair->engine->ops->drain(pair->engine, pair->now_ms);
	else
		fuzz_revoke();
}

static void fuzz_switch(struct engine_pair *pair, unsigned parameter)
{
	static const gh_status submit[] = {GH_OK, GH_AGAIN, GH_TOO_LARGE, GH_UNAVAILABLE};
	worker.submit_status = submit[parameter & 3];
	worker.open_status = parameter & 4 ? GH_UNAUTHORIZED : GH_OK;
	worker.authorize_status = parameter & 4 ? GH_UNAUTHORIZED : GH_OK;
	worker.call_status = parameter & 8 ? GH_AGAIN : GH_OK;
	pair->reading = !(parameter & 0x10);
}

static void fuzz_step(struct engine_pair *pair, uint8_t byte)
{
	unsigned parameter = byte >> 3;
	switch ((enum fuzz_step)(byte & 7)) {
	case STEP_SEND:
	case STEP_SEND_MORE:
		break;
	case STEP_SETTLE:
		fuzz_settle(parameter);
		break;
	case STEP_ANSWER:
		fuzz_answer(parameter);
		break;
	case STEP_SWITCH:
		fuzz_switch(pair, parameter);
		break;
	case STEP_ROOM:
		for (gh_link *link = worker.links; link; link = link->next)
			core_double_writable(link);
		break;
	case STEP_TIME:
		engine_pair_wait(pair, (uint64_t)1 << parameter % 24);
		break;
	case STEP_END:
		fuzz_end(pair, parameter);
		break;
	}
	engine_pair_turn(pair);
}

static void fuzz_limits(bool small)
{
	if (!small)
		return;
	worker.limits.http_output_bytes_max = 512;
	worker.limits.http_links_max = 2;
	worker.limits.http_receiving_bytes_max = 2048;
	worker.limits.http_service_body_bytes_max = 1024;
	worker.limits.message_bytes_max = 512;
	worker.limits.http_fields_max = 6;
}

static void fuzz_wire(struct engine_pair *pair, uint8_t byte)
{
	pair->subprotocol = byte & 4 ? "mqtt" : NULL;
	pair->upgrade_status = byte & 8 ? GH_UNAUTHORIZED : byte & 0x10 ? GH_UNAVAILABLE : GH_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct engine_pair pair;
	size_t at = 1;
	if (size == 0 || size > 65536)
		return 0;
	core_double_init(&worker);
	fuzz_limits(data[0] & 2);
	http_pair_init(&pair, &worker);
	fuzz_wire(&pair, data[0]);
	if (data[0] & 1)
		http_pair_post(&pair, "iothub-app-a: 1\r\n", "body");
	while (at < size && !pair.finished && worker.call_count < 200 && worker.record_count < 3000) {
		uint8_t byte = data[at++];
		fuzz_step(&pair, byte);
		size_t n =
			(byte & 7) > STEP_SEND_MORE ? 0 : (size_t)(byte >> 3) << ((byte & 7) == STEP_SEND_MORE ? 5 : 0);
		if (n > size - at)
			n = size - at;
		if (n)
			engine_pair_send(&pair, (gh_bytes){data + at, n});
		at += n;
	}
	engine_pair_done(&pair);
	core_double_done(&worker);
	return 0;
}
