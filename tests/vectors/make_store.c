/* make_store.c - makes the sample directory of the current store format: make_store DIRECTORY (must not exist).
 *
 * 500 letters (tests/contract/letters.h) in commits of 50, one value in each family, a clean close.  Run once per
 * format version; the result is kept in tests/vectors/store-vN, without RocksDB's text logs.
 */
#include "src/backends/embedded.h"
#include "tests/contract/letters.h"

#include <poll.h>

static void make_fail(const char *what, const gh_error *err)
{
	fprintf(stderr, "%s: %s\n", what, err->text);
	exit(1);
}

static void make_letters(gh_port *port, unsigned long first)
{
	gh_record records[50];
	for (unsigned long i = 0; i < 50; i++)
		records[i] = (gh_record){letter_new(first + i), NULL};
	if (embedded_queue.submit(port, records, 50) != 50)
		exit(1);
	gh_completion completions[50];
	for (size_t done = 0; done < 50;) {
		size_t n = embedded_queue.reap(port, completions, 50);
		struct pollfd fd = {embedded_queue.fd(port), POLLIN, 0};
		if (n == 0)
			poll(&fd, 1, -1);
		for (size_t i = 0; i < n; i++)
			if (completions[i].status != GH_OK)
				exit(1);
		done += n;
	}
	for (unsigned long i = 0; i < 50; i++)
		gh_message_unref(records[i].message);
}

/* Opens, stores `count` letters from `first`, closes. */
static void make_part(const char *directory, unsigned long first, unsigned long count)
{
	gh_limits limits;
	limits_defaults(&limits);
	gh_error err = {0};
	gh_store *store;
	gh_backend *queue;
	gh_store_config store_config = {.directory = directory, .limits = &limits};
	if (embedded_store.open(&store_config, &store, &err) != GH_OK)
		make_fail("store", &err);
	gh_backend_config queue_config = {.store = store, .level = GH_FSYNC, .partitions = 4, .limits = &limits};
	if (embedded_queue.open(&queue_config, &queue, &err) != GH_OK)
		make_fail("queue", &err);
	for (int family = 0; family < GH_FAMILY_COUNT; family++) {
		char value[32];
		snprintf(value, sizeof value, "value in family %d", family);
		gh_store_write write = {
			(enum gh_family)family, text_of("sample"), text_of(value), false, GH_VERSION_ANY};
		if (embedded_store.commit(store, &write, 1, &err) != GH_OK)
			make_fail("commit", &err);
	}
	gh_port *port = embedded_queue.attach(queue);
	for (unsigned long end = first + count; first < end; first += 50)
		make_letters(port, first);
	embedded_queue.detach(port);
	embedded_queue.close(queue);
	embedded_store.close(store);
}

/* Two parts: the second opening makes tables of the first, so the sample holds tables and a write-ahead log. */
int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	make_part(argv[1], 0, 250);
	make_part(argv[1], 250, 250);
	return 0;
}
