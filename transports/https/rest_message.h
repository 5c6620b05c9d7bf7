/* rest_message.h - header fields and batch bodies become messages (device contract 6.2, 6.3): what each name means.
 *
 * A batch has the header's names in its JSON; both go through one table.
 */
#ifndef GATEHOUSE_HTTPS_REST_MESSAGE_H
#define GATEHOUSE_HTTPS_REST_MESSAGE_H

#include "transports/https/rest.h"

#define REST_MESSAGE_BATCH_TYPE "application/vnd.microsoft.iothub.json"

/* Fills properties; fields that mean nothing to a message are passed over.  Errors of gh_draft_set and gh_draft_add. */
gh_status rest_message_fields(
	const struct rest_request *request, gh_bytes device_id, gh_draft *draft, gh_error *ret_err);

struct rest_batch;

/* GH_MALFORMED: not an array of 1 or more objects; GH_TOO_LARGE: more than http_batch_max.  What the items hold is
 * looked at when they are filled. */
gh_status rest_message_batch_new(
	gh_bytes body, const gh_limits *limits, struct rest_batch **ret_batch, gh_error *ret_err);
void rest_message_batch_free(struct rest_batch *batch); /* accepts NULL */
size_t rest_message_batch_count(const struct rest_batch *batch);
/* Message `index` into an empty draft, which borrows from the batch until the next is filled.  The error names it. */
gh_status rest_message_batch_fill(
	struct rest_batch *batch, size_t index, gh_bytes device_id, gh_draft *draft, gh_error *ret_err);

#endif
