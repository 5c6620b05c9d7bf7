/* replay.c - runs a fuzz target over its corpus as a plain test, one TAP line per file.  A crash is the failure. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int replay_file(const char *folder, const char *name)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "rb");
	if (!file)
		return -1;
	static uint8_t bytes[1 << 20];
	size_t size = fread(bytes, 1, sizeof bytes, file);
	fclose(file);
	uint8_t *exact = malloc(size ? size : 1); /* its own allocation, so that a sanitizer sees the end */
	if (!exact)
		return -1;
	memcpy(exact, bytes, size);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	return 0;
}

int main(void)
{
	const char *folder = TESTS_DIR "/fuzz/corpus/" FUZZ_NAME;
	struct dirent **entries;
	int count = scandir(folder, &entries, NULL, alphasort), failed = 0, n = 0;
	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.') {
			int result = replay_file(folder, entries[i]->d_name);
			failed |= result != 0;
			printf("%s %d - %s: %s is taken without a fault\n", result ? "not ok" : "ok", ++n, FUZZ_NAME,
				entries[i]->d_name);
			fflush(stdout);
		}
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	if (n == 0) {
		printf("not ok 1 - %s: the corpus is not empty\n", FUZZ_NAME);
		n = failed = 1;
	}
	printf("1..%d\n", n);
	return failed;
}
