#include "src/admin/hub_names.h"

#include "src/base/take.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#define HUB_NAMES_FILE "names"

static char *names_path(const char *directory, const char *suffix)
{
	char *path = malloc(strlen(directory) + sizeof "/" HUB_NAMES_FILE + strlen(suffix));
	if (path)
		sprintf(path, "%s/" HUB_NAMES_FILE "%s", directory, suffix);
	return path;
}

static bool names_write(const char *path, const char *const *hosts)
{
	FILE *file = fopen(path, "we");
	if (!file)
		return false;
	for (; *hosts; hosts++)
		fprintf(file, "%s\n", *hosts);
	bool failed = ferror(file) != 0;
	return fclose(file) == 0 && !failed;
}

gh_status hub_names_save(const char *directory, const char *const *hosts, gh_error *ret_err)
{
	char *path GH_CLEANUP(take_free) = names_path(directory, "");
	char *fresh GH_CLEANUP(take_free) = names_path(directory, ".new");
	if (!path || !fresh)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
	if (!names_write(fresh, hosts) || rename(fresh, path) != 0)
		return gh_fail(ret_err, GH_IO, "names", "%s: %s", path, strerror(errno));
	return GH_OK;
}

gh_status hub_names_load(const char *directory, struct hub_names *ret_names)
{
	char *path GH_CLEANUP(take_free) = names_path(directory, "");
	FILE *file = path ? fopen(path, "re") : NULL;
	if (!file)
		return GH_NOT_FOUND;
	size_t len = fread(ret_names->text, 1, sizeof ret_names->text - 1, file);
	fclose(file);
	ret_names->text[len] = '\0';
	size_t count = 0;
	char *rest = ret_names->text, *line;
	while (count < HUB_NAMES_MAX && (line = strsep(&rest, "\n")))
		if (*line)
			ret_names->hosts[count++] = line;
	ret_names->hosts[count] = NULL;
	return count ? GH_OK : GH_NOT_FOUND;
}
