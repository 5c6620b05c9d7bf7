/* bench_backend.c - the embedded queue alone: one line per case.
 *
 *   bench_backend DIRECTORY [RECORDS]
 *
 * batch N: a producer that keeps N records of 256 bytes in flight, submits the next N when those are acknowledged.
 * rate N:  a producer that submits N records a second in turns of 1 ms, whatever happened to those before.
 * CPU is that of the whole process.  Disk bytes are those the process caused to be written, against the payload.
 */
#include "src/backends/embedded.h"
#include "src/base/limits.h"
#include "src/base/text.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { BODY_BYTES = 256, DEVICES = 64, REAP = 1024 };

struct bench {
	gh_limits limits;
	gh_store *store;
	gh_backend *queue;
	gh_port *port;
	gh_message *messages[DEVICES];
	uint64_t *sent_us; /* per record */
	uint32_t *took_us;
	size_t submitted;
	size_t done;
	size_t failed;
	double opened_ms;
};

static uint64_t bench_now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t bench_cpu_us(void)
{
	struct rusage use;
	getrusage(RUSAGE_SELF, &use);
	return (uint64_t)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

static uint64_t bench_written_bytes(void)
{
	FILE *io = fopen("/proc/self/io", "r");
	char line[128];
	unsigned long long bytes = 0;
	while (io && fgets(line, sizeof line, io))
		sscanf(line, "write_bytes: %llu", &bytes);
	if (io)
		fclose(io);
	return bytes;
}

static void bench_die(const char *what, const gh_error *err)
{
	fprintf(stderr, "%s: %s\n", what, err->text);
	exit(1);
}

static void bench_messages(struct bench *b)
{
	uint8_t body[BODY_BYTES];
	memset(body, 'x', sizeof body);
	gh_draft *draft = gh_draft_new(&b->limits);
	gh_draft_body(draft, (gh_bytes){body, sizeof body}, NULL);
	for (int i = 0; i < DEVICES; i++) {
		char id[16];
		snprintf(id, sizeof id, "device-%d", i);
		gh_stamps stamps = {
			.device_id = text_of(id),
			.generation_id = text_of("638000000000000000"),
			.auth_method = GH_AUTH_DEVICE_SAS,
			.source = GH_SOURCE_TELEMETRY,
			.partition_key = gh_partition_hash(text_of(id)),
		};
		b->messages[i] = gh_message_freeze(draft, &stamps);
	}
	gh_draft_free(draft);
}

static void bench_open(struct bench *b, const char *directory)
{
	gh_error err = {0};
	uint64_t before = bench_now_us();
	gh_store_config config = {.directory = directory, .limits = &b->limits};
	if (embedded_store.open(&config, &b->store, &err) != GH_OK)
		bench_die("store", &err);
	gh_backend_config queue = {.store = b->store, .level = GH_FSYNC, .limits = &b->limits};
	if (embedded_queue.open(&queue, &b->queue, &err) != GH_OK)
		bench_die("queue", &err);
	b->opened_ms = (double)(bench_now_us() - before) / 1000;
	b->port = embedded_queue.attach(b->queue);
}

static void bench_close(struct bench *b)
{
	embedded_queue.detach(b->port);
	embedded_queue.close(b->queue);
	embedded_store.close(b->store);
}

static void bench_reap(struct bench *b, int timeout_ms)
{
	static gh_completion completions[REAP];
	size_t n = embedded_queue.reap(b->port, completions, REAP);
	if (n == 0) {
		struct pollfd fd = {embedded_queue.fd(b->port), POLLIN, 0};
		poll(&fd, 1, timeout_ms);
		n = embedded_queue.reap(b->port, completions, REAP);
	}
	uint64_t now_us = bench_now_us();
	for (size_t i = 0; i < n; i++, b->done++) {
		b->failed += completions[i].status != GH_OK;
		b->took_us[b->done] = (uint32_t)(now_us - b->sent_us[b->done]);
	}
}

static void bench_submit(struct bench *b, size_t n)
{
	gh_record records[4096];
	uint64_t now_us = bench_now_us();
	for (size_t i = 0; i < n; i++)
		records[i] = (gh_record){b->messages[(b->submitted + i) % DEVICES], NULL};
	size_t taken = embedded_queue.submit(b->port, records, n);
	for (size_t i = 0; i < taken; i++)
		b->sent_us[b->submitted++] = now_us;
}

static int bench_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static void bench_case(struct bench *b, const char *name, size_t batch, size_t rate, size_t records)
{
	gh_health before, after;
	embedded_queue.health(b->queue, &before);
	b->submitted = b->done = b->failed = 0;
	uint64_t start_us = bench_now_us(), cpu_us = bench_cpu_us(), written = bench_written_bytes();
	while (b->done < records) {
		size_t due = b->done == b->submitted ? batch : 0;
		if (rate)
			due = (bench_now_us() - start_us) / 1000 * rate / 1000 - b->submitted;
		if (due > records - b->submitted)
			due = records - b->submitted;
		if (due > 0)
			bench_submit(b, due > 4096 ? 4096 : due);
		bench_reap(b, rate ? 1 : 1000);
	}
	double seconds = (double)(bench_now_us() - start_us) / 1e6;
	double cpu = (double)(bench_cpu_us() - cpu_us) / (double)records;
	written = bench_written_bytes() - written;
	embedded_queue.health(b->queue, &after);
	qsort(b->took_us, records, sizeof *b->took_us, bench_compare);
	printf("%-6s %7zu: %9.0f msg/s  %5.2f us CPU/msg  ack p50 %6u p99 %6u max %6u us  %5.1f msg/commit  %.2f x payload%s\n",
		name, rate ? rate : batch, (double)records / seconds, cpu, b->took_us[records / 2],
		b->took_us[records * 99 / 100], b->took_us[records - 1],
		(double)records / (double)(after.commits - before.commits),
		(double)written / ((double)records * BODY_BYTES), b->failed ? "  SOME FAILED" : "");
	fflush(stdout);
}

static long bench_rss_kib(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	long size = 0, resident = 0;
	if (!statm || fscanf(statm, "%ld %ld", &size, &resident) != 2)
		resident = 0;
	if (statm)
		fclose(statm);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: bench_backend DIRECTORY [RECORDS]\n");
		return 2;
	}
	size_t records = argc > 2 ? strtoul(argv[2], NULL, 10) : 200000;
	struct bench b = {0};
	limits_defaults(&b.limits);
	b.sent_us = calloc(records, sizeof *b.sent_us);
	b.took_us = calloc(records, sizeof *b.took_us);
	bench_messages(&b);
	long rss_before = bench_rss_kib();
	bench_open(&b, argv[1]);
	printf("open: %.1f ms, RSS +%ld KiB\n", b.opened_ms, bench_rss_kib() - rss_before);
	static const size_t batches[] = {1, 16, 64, 256, 1024};
	for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
		bench_case(&b, "batch", batches[i], 0, batches[i] == 1 ? records / 20 : records);
	static const size_t rates[] = {1000, 5000, 50000, 200000};
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
		bench_case(&b, "rate", 0, rates[i], rates[i] * 2 < records ? rates[i] * 2 : records);
	printf("RSS +%ld KiB\n", bench_rss_kib() - rss_before);
	bench_close(&b);
	bench_open(&b, argv[1]);
	printf("open again: %.1f ms\n", b.opened_ms);
	bench_close(&b);
	for (int i = 0; i < DEVICES; i++)
		gh_message_unref(b.messages[i]);
	free(b.sent_us);
	free(b.took_us);
	return 0;
}
