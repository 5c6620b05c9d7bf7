/* engine.h - one engine under the contract suites, in a directory of its own.  -DENGINE_EMBEDDED or memory. */
#ifndef GATEHOUSE_TESTS_ENGINE_H
#define GATEHOUSE_TESTS_ENGINE_H

#include "src/backends/embedded.h"
#include "src/backends/memory.h"
#include "tests/contract/letters.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef ENGINE_EMBEDDED
#define ENGINE_QUEUE embedded_queue
#define ENGINE_STORE embedded_store
#define ENGINE_LEVEL GH_FSYNC
#else
#define ENGINE_QUEUE memory_queue
#define ENGINE_STORE memory_store
#define ENGINE_LEVEL GH_MEMORY
#endif

struct engine {
	char directory[64];
	gh_limits limits;
	gh_store *store;
	gh_backend *queue;
	gh_port *port;
	uint32_t partitions;
};

static inline void engine_directory(char ret[64])
{
	const char *base = getenv("TMPDIR");
	snprintf(ret, 64, "%.40s/gatehouse-XXXXXX", base ? base : "/tmp");
	cr_assert(mkdtemp(ret) != NULL);
}

static inline void engine_remove(const char *directory)
{
	DIR *dir = opendir(directory);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		char path[600];
		snprintf(path, sizeof path, "%.300s/%.255s", directory, entry->d_name);
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlink(path) != 0)
			engine_remove(path);
	}
	if (dir)
		closedir(dir);
	rmdir(directory);
}

static inline void engine_start(struct engine *e)
{
	gh_error err = {0};
	gh_store_config store = {.directory = e->directory, .limits = &e->limits};
	cr_assert(ENGINE_STORE.open(&store, &e->store, &err) == GH_OK, "the store opens: %s", err.text);
	gh_backend_config queue = {
		.store = e->store, .level = ENGINE_LEVEL, .partitions = e->partitions, .limits = &e->limits};
	cr_assert(ENGINE_QUEUE.open(&queue, &e->queue, &err) == GH_OK, "the queue opens: %s", err.text);
	e->partitions = ENGINE_QUEUE.partitions(e->queue);
	e->port = ENGINE_QUEUE.attach(e->queue);
	cr_assert(e->port != NULL);
}

static inline void engine_init(struct engine *e)
{
	*e = (struct engine){0};
	limits_defaults(&e->limits);
	e->limits.disk_reserve_bytes_min = 1;
	engine_directory(e->directory);
}

static inline void engine_open(struct engine *e)
{
	engine_init(e);
	engine_start(e);
}

static inline void engine_stop(struct engine *e)
{
	if (e->port)
		ENGINE_QUEUE.detach(e->port);
	ENGINE_QUEUE.close(e->queue);
	ENGINE_STORE.close(e->store);
	e->port = NULL;
	e->queue = NULL;
	e->store = NULL;
}

static inline void engine_close(struct engine *e)
{
	engine_stop(e);
	engine_remove(e->directory);
}

/* True when fd is readable within ten seconds. */
static inline bool engine_readable(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};
	return poll(&p, 1, 10000) == 1;
}

/* Submits the letters first..first+count-1; their cookies are their numbers.  Returns how many were taken. */
static inline size_t engine_submit(gh_port *port, unsigned long first, size_t count)
{
	gh_record *records = calloc(count, sizeof *records);
	cr_assert(records != NULL);
	for (size_t i = 0; i < count; i++)
		records[i] = (gh_record){letter_new(first + i), (void *)(uintptr_t)(first + i)};
	size_t taken = ENGINE_QUEUE.submit(port, records, count);
	for (size_t i = 0; i < count; i++)
		gh_message_unref(records[i].message);
	free(records);
	return taken;
}

/* Reaps exactly `count`, waiting on the descriptor. */
static inline void engine_reap(gh_port *port, gh_completion *ret, size_t count)
{
	for (size_t n = 0; n < count;) {
		size_t got = ENGINE_QUEUE.reap(port, ret + n, count - n);
		n += got;
		if (got == 0)
			cr_assert(engine_readable(ENGINE_QUEUE.fd(port)), "%zu of %zu results came", n, count);
	}
}

/* Submits `count` letters in turns that fit, and asserts that all are stored. */
static inline void engine_store_letters(struct engine *e, unsigned long first, size_t count)
{
	static gh_completion completions[1000];
	while (count > 0) {
		size_t taken = engine_submit(e->port, first, count < 1000 ? count : 1000);
		engine_reap(e->port, completions, taken);
		for (size_t i = 0; i < taken; i++)
			cr_assert(completions[i].status == GH_OK, "letter %lu: %s", first + i,
				gh_status_name(completions[i].status));
		first += taken;
		count -= taken;
	}
}

static inline gh_completion engine_fetch(struct engine *e, uint32_t partition, uint64_t from, size_t bytes_max)
{
	gh_completion completion;
	cr_assert(ENGINE_QUEUE.fetch(e->port, partition, from, bytes_max, e) == GH_OK);
	engine_reap(e->port, &completion, 1);
	cr_assert(completion.kind == GH_FETCHED && completion.cookie == e);
	return completion;
}

/* Reads all partitions to their ends; offsets[number] = 1 + offset.  Asserts content, order and offsets. */
static inline size_t engine_read_all(struct engine *e, uint64_t *offsets, unsigned long numbers)
{
	size_t total = 0;
	for (uint32_t p = 0; p < e->partitions; p++) {
		uint64_t floor, end, next;
		cr_assert(ENGINE_QUEUE.bounds(e->port, p, &floor, &end) == GH_OK);
		for (next = floor; next < end;) {
			gh_completion c = engine_fetch(e, p, next, 100000);
			cr_assert(c.status == GH_OK && c.count > 0, "fetch %u from %llu: %s, %zu", p,
				(unsigned long long)next, gh_status_name(c.status), c.count);
			for (size_t i = 0; i < c.count; i++) {
				unsigned long number;
				cr_assert(c.records[i].offset >= next && c.records[i].partition == p);
				next = c.records[i].offset + 1;
				cr_assert(letter_read(c.records[i].message, &number),
					"what was stored is what comes back");
				cr_assert(letter_partition(number, e->partitions) == p && number < numbers);
				offsets[number] = c.records[i].offset + 1;
			}
			cr_assert(c.offset == next);
			total += c.count;
			gh_fetched_free(c.records, c.count);
		}
	}
	return total;
}

#endif
