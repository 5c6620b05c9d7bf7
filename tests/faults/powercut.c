#include "tests/faults/powercut.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SECTOR = 512, PATH_SIZE = 2048 };

struct bytes {
	uint8_t *data;
	size_t len;
};

static struct bytes powercut_read(const char *path)
{
	struct bytes bytes = {0};
	FILE *file = fopen(path, "rb");
	struct stat st;
	if (!file)
		return bytes;
	if (stat(path, &st) == 0 && (bytes.data = malloc((size_t)st.st_size + 1)))
		bytes.len = fread(bytes.data, 1, (size_t)st.st_size, file);
	fclose(file);
	return bytes;
}

static uint32_t powercut_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* The synced content, and by chance sectors of what came after it. */
static bool powercut_file(const struct powercut *cut, long id, const char *to, uint32_t *random)
{
	char path[PATH_SIZE];
	snprintf(path, sizeof path, "%s/f%ld", cut->shadow, id);
	struct bytes synced = powercut_read(path);
	snprintf(path, sizeof path, "%s/r%ld", cut->shadow, id);
	struct bytes last = powercut_read(path);
	size_t size = synced.len > last.len || !cut->seed ? synced.len : last.len;
	uint8_t *data = calloc(1, size + 1);
	if (!data)
		return false;
	if (synced.len)
		memcpy(data, synced.data, synced.len);
	size_t kept = synced.len;
	for (size_t at = 0; cut->seed && at < last.len; at += SECTOR) {
		size_t n = last.len - at < SECTOR ? last.len - at : SECTOR;
		bool same = at + n <= synced.len && memcmp(data + at, last.data + at, n) == 0;
		if (same || powercut_random(random) & 1)
			continue;
		memcpy(data + at, last.data + at, n);
		if (at + n > kept)
			kept = at + n;
	}
	FILE *out = fopen(to, "wb");
	bool written = out && fwrite(data, 1, kept, out) == kept;
	if (out && fclose(out))
		written = false;
	free(data);
	free(synced.data);
	free(last.data);
	return written;
}

/* ---- names as of the last sync of their directory ---- */

static bool powercut_strict_list(const struct powercut *cut, const char *list, const char *below, uint32_t *random)
{
	char path[PATH_SIZE], line[600], name[512], to[PATH_SIZE];
	snprintf(path, sizeof path, "%s/%s", cut->shadow, list);
	FILE *in = fopen(path, "r");
	bool good = in != NULL;
	long id;
	while (good && fgets(line, sizeof line, in)) {
		if (sscanf(line, "%ld %511[^\n]", &id, name) != 2)
			good = false;
		snprintf(to, sizeof to, "%s%s/%s", cut->result, below, name);
		if (good && id >= 0)
			good = powercut_file(cut, id, to, random);
	}
	if (in)
		fclose(in);
	return good;
}

/* Two levels are enough: DIRECTORY and DIRECTORY/db. */
static bool powercut_strict(const struct powercut *cut, uint32_t *random)
{
	char path[PATH_SIZE], line[600];
	if (!powercut_strict_list(cut, "d", "", random))
		return true; /* not even the directory's own entries were synced: empty */
	snprintf(path, sizeof path, "%s/d", cut->shadow);
	FILE *in = fopen(path, "r");
	bool has_db = false;
	while (in && fgets(line, sizeof line, in))
		has_db |= strcmp(line, "-1 db\n") == 0;
	if (in)
		fclose(in);
	if (!has_db)
		return true;
	snprintf(path, sizeof path, "%s/db", cut->result);
	if (mkdir(path, 0700))
		return false;
	snprintf(path, sizeof path, "%s/d@db", cut->shadow);
	struct stat st;
	return stat(path, &st) != 0 || powercut_strict_list(cut, "d@db", "/db", random);
}

/* ---- names as they were at the end ---- */

static long powercut_id_of(const char *shadow, const char *path)
{
	struct stat want, st;
	if (stat(path, &want))
		return -1;
	char link[PATH_SIZE];
	for (long id = 0;; id++) {
		snprintf(link, sizeof link, "%s/r%ld", shadow, id);
		if (stat(link, &st))
			return -1;
		if (st.st_ino == want.st_ino)
			return id;
	}
}

static bool powercut_lenient(const struct powercut *cut, const char *below, uint32_t *random)
{
	char path[PATH_SIZE], from[PATH_SIZE + 300], to[PATH_SIZE + 300];
	snprintf(path, sizeof path, "%s%s", cut->real, below);
	DIR *dir = opendir(path);
	bool good = dir != NULL;
	for (struct dirent *entry; good && (entry = readdir(dir));) {
		struct stat st;
		snprintf(from, sizeof from, "%s/%s", path, entry->d_name);
		snprintf(to, sizeof to, "%s%s/%s", cut->result, below, entry->d_name);
		if (entry->d_name[0] == '.' || stat(from, &st))
			continue;
		if (S_ISDIR(st.st_mode)) {
			good = mkdir(to, 0700) == 0 && powercut_lenient(cut, "/db", random);
			continue;
		}
		long id = powercut_id_of(cut->shadow, from);
		if (id >= 0) /* else never opened through the model: RocksDB's text log */
			good = powercut_file(cut, id, to, random);
	}
	if (dir)
		closedir(dir);
	return good;
}

bool powercut_make(const struct powercut *cut)
{
	uint32_t random = cut->seed ? cut->seed : 1;
	if (mkdir(cut->result, 0700))
		return false;
	return cut->strict_names ? powercut_strict(cut, &random) : powercut_lenient(cut, "", &random);
}
