/* damage.h - what happens to files behind a program's back. */
#ifndef GATEHOUSE_TESTS_DAMAGE_H
#define GATEHOUSE_TESTS_DAMAGE_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The largest file below DIRECTORY/db whose name ends in suffix. */
static inline off_t damage_find(const char *directory, const char *suffix, char ret_path[600])
{
	char folder[300];
	snprintf(folder, sizeof folder, "%s/db", directory);
	DIR *dir = opendir(folder);
	off_t largest = -1;
	cr_assert(dir != NULL);
	for (struct dirent *entry; (entry = readdir(dir));) {
		size_t len = strlen(entry->d_name);
		char path[600];
		struct stat st;
		snprintf(path, sizeof path, "%s/%.255s", folder, entry->d_name);
		if (len < strlen(suffix) || strcmp(entry->d_name + len - strlen(suffix), suffix) || stat(path, &st) ||
			st.st_size <= largest)
			continue;
		largest = st.st_size;
		strcpy(ret_path, path);
	}
	closedir(dir);
	cr_assert(largest >= 0, "there is a file *%s", suffix);
	return largest;
}

static inline void damage_flip(const char *path, off_t at)
{
	FILE *file = fopen(path, "r+b");
	cr_assert(file && fseek(file, at, SEEK_SET) == 0);
	int byte = fgetc(file);
	fseek(file, at, SEEK_SET);
	fputc(byte ^ 0x10, file);
	fclose(file);
}

static inline void damage_append(const char *path, const void *data, size_t len)
{
	FILE *file = fopen(path, "ab");
	cr_assert(file && fwrite(data, 1, len, file) == len);
	fclose(file);
}

static inline void damage_copy_file(const char *from, const char *to)
{
	FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
	cr_assert(in && out, "%s", from);
	char data[65536];
	for (size_t n; (n = fread(data, 1, sizeof data, in)) > 0;)
		cr_assert(fwrite(data, 1, n, out) == n);
	fclose(in);
	fclose(out);
}

static inline void damage_copy(const char *from, const char *to)
{
	DIR *dir = opendir(from);
	cr_assert(dir != NULL, "%s", from);
	for (struct dirent *entry; (entry = readdir(dir));) {
		char source[700], target[700];
		struct stat st;
		snprintf(source, sizeof source, "%.400s/%.255s", from, entry->d_name);
		snprintf(target, sizeof target, "%.400s/%.255s", to, entry->d_name);
		if (entry->d_name[0] == '.' || stat(source, &st))
			continue;
		if (S_ISDIR(st.st_mode)) {
			mkdir(target, 0700);
			damage_copy(source, target);
		} else
			damage_copy_file(source, target);
	}
	closedir(dir);
}

#endif
