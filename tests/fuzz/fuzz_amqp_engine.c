/* A whole AMQP engine over a core double: Proton, its guard, and what they feed.  The input is bytes of a client, answers of
 * the core, time and loss.  The double and the pair assert the contract, and Proton's own asserts are in; at the end every
 * link must be closed and all memory free.
 *
 * First byte: how much of the handshake is done (0 nothing, 1 SASL, 2 OPEN, 3 BEGIN, 4 CBS attached, 5 a token put and the
 * link for events attached), modulo 6.  Then steps: an operation in the low three bits of a byte, its parameter in the
 * other five; those that send take that many bytes that follow, in pieces of 1 or 32. */
#include "tests/fuzz/fuzz.h"

#include "src/base/text.h"
#include "tests/unit/engine_pair.h"
#include "transports/amqp/amqp.h"

enum fuzz_step { STEP_SEND, STEP_SEND_MORE, STEP_FRAME, STEP_SETTLE, STEP_SWITCH, STEP_ROOM, STEP_TIME, STEP_END };

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
	static const gh_status why[] = {GH_TAKEN_OVER, GH_UNAUTHORIZED, GH_DISABLED, GH_GONE};
	gh_link *link = worker.links;
	if (parameter == 0x1f)
		engine_pair_hang_up(pair);
	else if (parameter == 0x1e)
		pair->engine->ops->drain(pair->engine, pair->now_ms);
	for (unsigned skip = parameter >> 2; link && skip > 0; skip--)
		link = link->next;
	if (parameter < 0x1e && link && !link->revoking)
		core_double_revoke(link, why[parameter & 3]);
}

static void fuzz_step(struct engine_pair *pair, uint8_t byte)
{
	static const gh_status switches[] = {GH_OK, GH_AGAIN, GH_TOO_LARGE, GH_UNAVAILABLE};
	static const gh_status opens[] = {GH_OK, GH_UNAUTHORIZED};
	unsigned parameter = byte >> 3;
	switch ((enum fuzz_step)(byte & 7)) {
	case STEP_SEND:
	case STEP_SEND_MORE:
	case STEP_FRAME:
		break;
	case STEP_SETTLE:
		fuzz_settle(parameter);
		break;
	case STEP_SWITCH:
		worker.submit_status = switches[parameter & 3];
		worker.open_status = opens[parameter >> 2 & 1];
		worker.authorize_status = opens[parameter >> 3 & 1];
		pair->reading = !(parameter & 0x10);
		break;
	case STEP_ROOM:
		for (gh_link *link = worker.links; link; link = link->next)
			if (!link->revoking)
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

#define LITERAL(text)                                                                                                  \
	{                                                                                                              \
		(const uint8_t *)(text), sizeof(text) - 1                                                              \
	}

static const gh_bytes fuzz_stages[] = {
	LITERAL("AMQP\x03\x01\x00\x00\x00\x00\x00\x17\x02\x01\x00\x00\x00SA\xc0\x0a\x01\xa3\x07MSSB"
		"CBS"),
	LITERAL("AMQP\x00\x01\x00\x00\x00\x00\x00\x16\x02\x00\x00\x00\x00S\x10\xc0\x09\x02\xa1\x01"
		"c\xa1\x03h"
		"ub"),
	LITERAL("\x00\x00\x00\x1a\x02\x00\x00\x00\x00S\x11\xc0\x0d\x04@Cp\x00\x00\x10\x00p\x00\x00\x10\x00"),
	LITERAL("\x00\x00\x00\x22\x02\x00\x00\x00\x00S\x12\xc0\x15\x07\xa1\x01sCB@@@\x00S)\xc0\x07\x01"
		"\xa1\x04$cbs\x00\x00\x00\x22\x02\x00\x00\x00\x00S\x12\xc0\x15\x06\xa1\x01rR\x01"
		"A@@"
		"\x00S(\xc0\x07\x01\xa1\x04$cbs\x00\x00\x00\x19\x02\x00\x00\x00\x00S\x13\xc0\x0c\x07"
		"CR"
		" CR R\x01"
		"CR "),
	LITERAL("\x00\x00\x00[\x02\x00\x00\x00\x00S\x14\xc0\x06\x03"
		"CC\xa0\x01t\x00Ss\xc0\x05\x01\xa1\x02i"
		"d\x00St\xc1/\x04\xa1\x09operation\xa1\x09put-toke"
		"n\xa1\x04name\xa1\x10hub/devices/dev1\x00Sw"
		"\xa1\x05token\x00\x00\x00<\x02\x00\x00\x00\x00S\x12\xc0/\x07\xa1\x01"
		"eR\x02"
		"B@"
		"@@\x00S)\xc0 \x01\xa1\x1d/devices/dev1/mess"
		"ages/events"),
};

static void fuzz_rise(struct engine_pair *pair, unsigned stages)
{
	for (unsigned i = 0; i < stages; i++)
		engine_pair_send(pair, fuzz_stages[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct engine_pair pair;
	size_t at = 1;
	if (size == 0 || size > 65536)
		return 0;
	core_double_init(&worker);
	worker.limits.amqp_credit_max = 8;
	worker.limits.amqp_links_max = 8;
	worker.limits.amqp_peers_max = 4;
	worker.limits.amqp_session_bytes_max = 131072;
	worker.limits.amqp_partial_bytes_max = 65536;
	engine_pair_init(&pair, &worker, &amqp_transport);
	fuzz_rise(&pair, data[0] % 6);
	while (at < size && !pair.finished) {
		uint8_t byte = data[at++];
		unsigned step = byte & 7;
		fuzz_step(&pair, byte);
		size_t n = step > STEP_FRAME ? 0 : (size_t)(byte >> 3) << (step == STEP_SEND_MORE ? 5 : 0);
		if (n > size - at)
			n = size - at;
		/* A frame whose size is right: mutations do not have to guess it. */
		if (step == STEP_FRAME) {
			n = n * 8 + 7 < size - at ? n * 8 + 7 : size - at;
			uint8_t head[] = {0, 0, (uint8_t)((n + 8) >> 8), (uint8_t)(n + 8), 2, 0, 0, byte >> 7};
			engine_pair_send(&pair, (gh_bytes){head, sizeof head});
		}
		if (n)
			engine_pair_send(&pair, (gh_bytes){data + at, n});
		at += n;
	}
	engine_pair_done(&pair);
	core_double_done(&worker);
	return 0;
}
