/* letters.h - numbered messages: the number decides device, length and content, so a reader can check every byte. */
#ifndef GATEHOUSE_TESTS_LETTERS_H
#define GATEHOUSE_TESTS_LETTERS_H

#include "src/base/limits.h"
#include "src/base/text.h"

#include <gatehouse/message.h>

#include <stdio.h>
#include <stdlib.h>

enum { LETTER_DEVICES = 16, LETTER_BODY_MAX = 700 };

static inline void letter_device(unsigned long number, char ret_id[16])
{
	snprintf(ret_id, 16, "dev%lu", number % LETTER_DEVICES);
}

static inline uint32_t letter_partition(unsigned long number, uint32_t partitions)
{
	char id[16];
	letter_device(number, id);
	return gh_partition_of(gh_partition_hash(text_of(id)), partitions);
}

static inline size_t letter_body(unsigned long number, uint8_t ret_body[LETTER_BODY_MAX])
{
	size_t len = (size_t)snprintf((char *)ret_body, LETTER_BODY_MAX, "%lu ", number);
	for (size_t end = len + number * 37 % 600; len < end; len++)
		ret_body[len] = (uint8_t)(number * 31 + len);
	return len;
}

/* Aborts without memory. */
static inline gh_message *letter_new(unsigned long number)
{
	gh_limits limits;
	limits_defaults(&limits);
	gh_draft *draft = gh_draft_new(&limits);
	uint8_t body[LETTER_BODY_MAX];
	char id[16];
	letter_device(number, id);
	if (!draft || gh_draft_body(draft, (gh_bytes){body, letter_body(number, body)}, NULL) != GH_OK)
		abort();
	gh_stamps stamps = {
		.device_id = text_of(id),
		.generation_id = text_of("638000000000000000"),
		.auth_method = GH_AUTH_DEVICE_SAS,
		.source = GH_SOURCE_TELEMETRY,
		.enqueued_ms = 1700000000000 + number,
		.partition_key = gh_partition_hash(text_of(id)),
	};
	gh_message *message = gh_message_freeze(draft, &stamps);
	gh_draft_free(draft);
	if (!message)
		abort();
	return message;
}

/* The number of a letter whose every byte is right; false otherwise. */
static inline bool letter_read(const gh_message *message, unsigned long *ret_number)
{
	uint8_t want[LETTER_BODY_MAX];
	char id[16];
	gh_bytes body = gh_message_body(message);
	unsigned long number = (unsigned long)(gh_message_enqueued_ms(message) - 1700000000000);
	letter_device(number, id);
	gh_bytes expected = {want, letter_body(number, want)};
	*ret_number = number;
	return text_equal(body, expected) && text_equal(gh_message_device_id(message), text_of(id));
}

#endif
