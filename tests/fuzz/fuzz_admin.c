/* Admin socket: any bytes, in uneven pieces, on a hub in memory; every line gets an answer, and output is JSON lines. */
#include "tests/fuzz/fuzz.h"

#include "src/admin/admin_session.h"
#include "src/backends/memory.h"
#include "src/base/limits.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FUZZ_STEPS_MAX = 1000 };

static void fuzz_random(void *bytes, size_t len)
{
	memset(bytes, 0x5a, len);
}

static uint64_t fuzz_wall_ms(void)
{
	return 1800000000000;
}

static void fuzz_check(gh_bytes output)
{
	while (output.len) {
		const uint8_t *end = memchr(output.data, '\n', output.len);
		assert(end);
		json_t *line = json_loadb((const char *)output.data, (size_t)(end - output.data), JSON_ALLOW_NUL, NULL);
		assert(json_is_object(line));
		json_decref(line);
		output.len -= (size_t)(end + 1 - output.data);
		output.data = end + 1;
	}
}

static void fuzz_run(struct admin_session *session, struct tail_port *port)
{
	for (int i = 0; i < FUZZ_STEPS_MAX; i++) {
		enum admin_step step = admin_session_step(session);
		gh_bytes output = admin_session_output(session);
		fuzz_check(output);
		admin_session_output_done(session, output.len);
		if (step == ADMIN_BUSY)
			tail_port_reap(port);
		else if (step != ADMIN_FULL)
			return;
	}
}

static void fuzz_feed(const struct manage *manage, gh_backend *queue, const uint8_t *data, size_t size)
{
	struct tail_port *port = tail_port_new(&memory_queue, queue);
	struct admin_session_config config = {manage, port, "", manage->registry.limits};
	struct admin_session *session = admin_session_new(&config);
	assert(port && session);
	size_t piece = 1;
	for (size_t at = 0; at < size; at += piece, piece = piece * 3 % 1021 + 1) {
		size_t n = size - at < piece ? size - at : piece;
		if (n > admin_session_room(session))
			break;
		admin_session_input(session, data + at, n);
		fuzz_run(session, port);
		piece = n;
	}
	admin_session_free(session);
	tail_port_free(port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const hosts[] = {"h", NULL};
	gh_limits limits;
	limits_defaults(&limits);
	limits.admin_line_bytes_max = 4096;
	gh_store *store = NULL;
	gh_backend *queue = NULL;
	gh_store_config store_config = {.directory = "", .limits = &limits};
	gh_error err;
	gh_status status = memory_store.open(&store_config, &store, &err);
	assert(status == GH_OK);
	gh_backend_config queue_config = {.directory = "", .store = store, .partitions = 1, .limits = &limits};
	status = memory_queue.open(&queue_config, &queue, &err);
	assert(status == GH_OK);
	struct manage manage = {{store, &limits, fuzz_random, fuzz_wall_ms}, hosts, NULL};
	fuzz_feed(&manage, queue, data, size);
	memory_queue.close(queue);
	memory_store.close(store);
	return 0;
}
