/* embedded_fetch.h - one read of the queue: index search, chunks, messages. */
#ifndef GATEHOUSE_BACKENDS_EMBEDDED_FETCH_H
#define GATEHOUSE_BACKENDS_EMBEDDED_FETCH_H

#include "src/backends/embedded_reader.h"

/* Fills status, offset, records and count of the completion; may block for disk reads. */
void embedded_fetch(struct embedded_db *db, struct embedded_log *log, const struct reader_request *request,
	struct reader_hint *hint, gh_completion *ret);

#endif
