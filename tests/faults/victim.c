/* victim.c - writes numbered records until it is done, killed or refused, and says what was acknowledged.
 *
 *   victim DIRECTORY FIRST COUNT BATCH [nosync|tiny]
 *
 * One line each on standard output, written at once: "ack PARTITION OFFSET NUMBER", "nak STATUS NUMBER" (not retried),
 * and at the end "health STATE TEXT".  nosync is the negative control: the engine without its syncs.  tiny: small
 * limits, so that room ends soon.
 */
#include "src/backends/embedded_store.h"
#include "tests/contract/letters.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BATCH_MAX = 1024, WAITS_MAX = 100 };

static void victim_say(const char *line, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, line, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(3);
		line += n;
		len -= (size_t)n;
	}
}

struct victim {
	gh_backend *queue;
	gh_port *port;
	uint32_t partitions;
	unsigned waits; /* in vain, in a row */
};

static void victim_reap(struct victim *v, size_t *open)
{
	gh_completion completions[BATCH_MAX];
	size_t n = embedded_queue.reap(v->port, completions, BATCH_MAX);
	char lines[BATCH_MAX * 64];
	size_t len = 0;
	for (size_t i = 0; i < n; i++) {
		unsigned long number = (unsigned long)(uintptr_t)completions[i].cookie;
		if (completions[i].status == GH_OK)
			len += (size_t)snprintf(lines + len, 64, "ack %u %llu %lu\n",
				letter_partition(number, v->partitions), (unsigned long long)completions[i].offset,
				number);
		else
			len += (size_t)snprintf(
				lines + len, 64, "nak %s %lu\n", gh_status_name(completions[i].status), number);
	}
	victim_say(lines, len);
	*open -= n;
	v->waits = n ? 0 : v->waits + 1;
	if (n == 0) {
		struct pollfd fd = {embedded_queue.fd(v->port), POLLIN, 0};
		poll(&fd, 1, 100);
	}
}

static void victim_run(struct victim *v, unsigned long first, unsigned long count, size_t batch)
{
	size_t open = 0;
	unsigned long next = first, end = first + count;
	while ((next < end || open > 0) && v->waits < WAITS_MAX) {
		gh_record records[BATCH_MAX];
		size_t n = 0;
		for (; n < batch && open == 0 && next + n < end; n++)
			records[n] = (gh_record){letter_new(next + n), (void *)(uintptr_t)(next + n)};
		size_t taken = n && embedded_queue.room(v->port) ? embedded_queue.submit(v->port, records, n) : 0;
		for (size_t i = 0; i < n; i++)
			gh_message_unref(records[i].message);
		next += taken;
		open += taken;
		gh_health health;
		embedded_queue.health(v->queue, &health);
		if (taken == 0 && open == 0 && health.state == GH_READ_ONLY && strstr(health.text, "restart"))
			break;
		victim_reap(v, &open);
	}
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;
	const char *mode = argc > 5 ? argv[5] : "";
	struct embedded_seams seams = embedded_seams_system;
	seams.without_sync = strcmp(mode, "nosync") == 0;
	gh_limits limits;
	limits_defaults(&limits);
	limits.disk_reserve_bytes_min = 1;
	if (strcmp(mode, "tiny") == 0)
		limits.inflight_bytes_max = 65536;
	gh_error err = {0};
	gh_store *store;
	gh_store_config config = {.directory = argv[1], .limits = &limits};
	struct victim v = {0};
	if (embedded_store_open_with(&config, &seams, &store, &err) != GH_OK) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	gh_backend_config queue = {.store = store, .level = GH_FSYNC, .limits = &limits};
	if (embedded_queue.open(&queue, &v.queue, &err) != GH_OK) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	v.port = embedded_queue.attach(v.queue);
	v.partitions = embedded_queue.partitions(v.queue);
	size_t batch = strtoul(argv[4], NULL, 10);
	victim_run(&v, strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10), batch < BATCH_MAX ? batch : BATCH_MAX);
	gh_health health;
	embedded_queue.health(v.queue, &health);
	char line[400];
	int len = snprintf(line, sizeof line, "health %s %s\n", gh_health_state_name(health.state), health.text);
	victim_say(line, (size_t)len);
	embedded_queue.detach(v.port);
	embedded_queue.close(v.queue);
	embedded_store.close(store);
	return 0;
}
