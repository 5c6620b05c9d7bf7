/* map.h: finds what was put in, under any key, while it grows; the seed changes where keys go. */
#include "tests/suite.h"

#include "src/base/map.h"
#include "src/base/take.h"
#include "src/base/text.h"

#include <stdio.h>

SUITE(map);

struct entry {
	struct map_node node;
	char key[24];
};

static gh_bytes entry_key(const struct map_node *node)
{
	return text_of(GH_CONTAINER(node, struct entry, node)->key);
}

Test(map, finds_each_of_many_keys_and_none_after_removal)
{
	enum { COUNT = 5000 };
	static struct entry entries[COUNT];
	struct map m;
	map_init(&m, entry_key, (uint64_t[2]){1, 2});
	cr_assert_null(map_find(&m, text_of("k0")), "an empty map finds nothing");
	for (int i = 0; i < COUNT; i++) {
		snprintf(entries[i].key, sizeof entries[i].key, "k%d", i);
		cr_assert(map_insert(&m, &entries[i].node));
	}
	cr_assert_eq(m.count, COUNT);
	for (int i = 0; i < COUNT; i++)
		cr_assert_eq(map_find(&m, text_of(entries[i].key)), &entries[i].node, "%s", entries[i].key);
	for (int i = 0; i < COUNT; i += 2)
		map_remove(&m, &entries[i].node);
	for (int i = 0; i < COUNT; i++)
		cr_assert_eq(map_find(&m, text_of(entries[i].key)) != NULL, i % 2 == 1, "%s", entries[i].key);
	cr_assert_null(map_find(&m, text_of("")));
	map_done(&m);
}

Test(map, hash_depends_on_every_byte_the_length_and_the_seed)
{
	const char *keys[] = {"", "a", "b", "ab", "ba", "12345678", "123456789", "12345678\x01"};
	enum { COUNT = sizeof keys / sizeof *keys };
	for (size_t i = 0; i < COUNT; i++) {
		uint64_t hash = map_hash((uint64_t[2]){1, 2}, text_of(keys[i]));
		cr_assert_neq(hash, map_hash((uint64_t[2]){1, 3}, text_of(keys[i])), "%zu", i);
		for (size_t k = 0; k < i; k++)
			cr_assert_neq(hash, map_hash((uint64_t[2]){1, 2}, text_of(keys[k])), "%zu %zu", i, k);
	}
}
