/* A whole MQTT engine over a core double: the input is a script of bytes from the client, answers of the core, time and
 * loss.  The double and the pair assert the contract; at the end every link must be closed and all memory free.
 *
 * First byte: bit 0 a good CONNECT comes first, bit 1 with a will, bit 2 the core answers it later.  Then steps: an
 * operation in the low three bits of a byte, its parameter in the other five. */
#include "tests/fuzz/fuzz.h"

#include "tests/unit/mqtt_pair.h"

enum fuzz_step { STEP_SEND, STEP_SEND_MORE, STEP_SETTLE, STEP_OPENED, STEP_SWITCH, STEP_ROOM, STEP_TIME, STEP_END };

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

static void fuzz_end(struct engine_pair *pair, unsigned parameter)
{
	static const gh_status why[] = {GH_TAKEN_OVER, GH_UNAUTHORIZED, GH_DISABLED, GH_NOT_FOUND};
	if (parameter & 0x10)
		engine_pair_hang_up(pair);
	else if (parameter & 0x08)
		pair->engine->ops->drain(pair->engine, pair->now_ms);
	else if (worker.links && !worker.links->opening)
		core_double_revoke(worker.links, why[parameter & 3]);
}

static void fuzz_step(struct engine_pair *pair, uint8_t byte)
{
	static const gh_status switches[] = {GH_OK, GH_AGAIN, GH_TOO_LARGE, GH_UNAVAILABLE};
	unsigned parameter = byte >> 3;
	switch ((enum fuzz_step)(byte & 7)) {
	case STEP_SEND:
	case STEP_SEND_MORE:
		break;
	case STEP_SETTLE:
		fuzz_settle(parameter);
		break;
	case STEP_OPENED:
		if (worker.links && worker.links->opening)
			core_double_opened(worker.links, parameter & 1 ? GH_UNAUTHORIZED : GH_OK, parameter & 2);
		else if (worker.links)
			core_double_subscribed(worker.links, parameter & 1 ? GH_IO : GH_OK);
		break;
	case STEP_SWITCH:
		worker.submit_status = switches[parameter & 3];
		worker.subscribe_status = switches[parameter >> 2 & 3];
		pair->reading = !(parameter & 0x10);
		break;
	case STEP_ROOM:
		if (worker.links && !worker.links->opening)
			core_double_writable(worker.links);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct engine_pair pair;
	size_t at = 1;
	if (size == 0 || size > 65536)
		return 0;
	core_double_init(&worker);
	worker.limits.mqtt_inflight_in_max = 8;
	worker.limits.mqtt_output_bytes_max = 1024;
	mqtt_pair_init(&pair, &worker);
	worker.open_status = data[0] & 4 ? GH_AGAIN : GH_OK;
	if (data[0] & 1)
		mqtt_pair_connect(
			&pair, data[0] & 2 ? 0xc6 : 0xc2, 60, "00 1c 'devices/dev1/messages/events' 00 04 'gone'");
	while (at < size && !pair.finished) {
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
