#include "transports/mqtt/mqtt_answers.h"

#include "transports/mqtt/mqtt_codec.h"

#include <assert.h>
#include <stdlib.h>

enum { RING_MIN = 8 };

static struct mqtt_answer *answers_at(const struct mqtt_answers *a, uint32_t number)
{
	return &a->ring[number & (a->cap - 1)];
}

static void answers_pop(struct mqtt_answers *a)
{
	free(answers_at(a, a->first)->packet);
	a->first++;
	a->count--;
}

void mqtt_answers_done(struct mqtt_answers *a)
{
	while (a->count)
		answers_pop(a);
	mqtt_answers_shrink(a);
}

void mqtt_answers_shrink(struct mqtt_answers *a)
{
	if (a->count)
		return;
	free(a->ring);
	a->ring = NULL;
	a->cap = 0;
}

bool mqtt_answers_reserve(struct mqtt_answers *a)
{
	if (a->count < a->cap)
		return true;
	struct mqtt_answers grown = {.first = a->first, .count = a->count, .cap = a->cap ? a->cap * 2 : RING_MIN};
	grown.ring = malloc(grown.cap * sizeof *grown.ring);
	if (!grown.ring)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		*answers_at(&grown, a->first + i) = *answers_at(a, a->first + i);
	free(a->ring);
	*a = grown;
	return true;
}

uint32_t mqtt_answers_next(const struct mqtt_answers *a)
{
	return a->first + a->count;
}

void mqtt_answers_push(struct mqtt_answers *a, struct mqtt_answer answer)
{
	assert(a->count < a->cap);
	*answers_at(a, a->first + a->count++) = answer;
}

enum mqtt_answer_kind mqtt_answers_settle(struct mqtt_answers *a, uint32_t number)
{
	assert(number - a->first < a->count && !answers_at(a, number)->settled);
	struct mqtt_answer *answer = answers_at(a, number);
	answer->settled = true;
	return answer->kind;
}

static void answers_put(const struct mqtt_answer *answer, struct buf *out)
{
	switch ((enum mqtt_answer_kind)answer->kind) {
	case MQTT_ANSWER_NONE:
		break;
	case MQTT_ANSWER_PUBACK:
		mqtt_codec_put_puback(out, answer->packet_id);
		break;
	case MQTT_ANSWER_SUBACK:
		buf_append(out, answer->packet, answer->packet_len);
		break;
	case MQTT_ANSWER_UNSUBACK:
		mqtt_codec_put_unsuback(out, answer->packet_id);
		break;
	}
}

void mqtt_answers_write(struct mqtt_answers *a, struct buf *out)
{
	while (a->count && answers_at(a, a->first)->settled) {
		answers_put(answers_at(a, a->first), out);
		answers_pop(a);
	}
}

uint64_t mqtt_answers_since(const struct mqtt_answers *a)
{
	assert(a->count);
	return answers_at(a, a->first)->since_ms;
}
