/* draft.h - a draft's inside, for the two files that know it: draft.c fills it, message.c freezes it. */
#ifndef GATEHOUSE_WIRE_DRAFT_H
#define GATEHOUSE_WIRE_DRAFT_H

#include <gatehouse/message.h>

#include "src/base/buf.h"

struct draft_entry {
	uint32_t at; /* of the encoded property in gh_draft.properties */
	uint32_t len;
	uint32_t counted; /* what it adds to the counted size */
	uint32_t name_at; /* application properties: where the name stands */
	uint32_t name_len;
	uint8_t id;
	bool replaced;
};

struct gh_draft {
	const gh_limits *limits;
	struct buf properties; /* encoded, in order of arrival */
	struct draft_entry *entries;
	size_t entry_count;
	size_t entry_cap;
	size_t live_count;
	size_t live_bytes;
	size_t counted; /* body included */
	gh_bytes body;
	unsigned flags;
};

#endif
