#include "src/place.h"

#include "src/base/take.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

char *place_default(void)
{
	static const struct {
		const char *variable, *below;
	} places[] = {{"GATEHOUSE_DIR", ""}, {"XDG_STATE_HOME", "/gatehouse"}, {"HOME", "/.local/state/gatehouse"}};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		const char *value = getenv(places[i].variable);
		char *path;
		if (value && *value)
			return asprintf(&path, "%s%s", value, places[i].below) < 0 ? NULL : path;
	}
	return NULL;
}

gh_status place_make(const char *directory, char **ret_absolute, gh_error *ret_err)
{
	GH_CLEANUP(take_free) char *path = strdup(directory);
	if (!path)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
	for (char *at = path; *at; at++) {
		if (at == path || (at[1] != '/' && at[1] != '\0'))
			continue;
		char next = at[1];
		at[1] = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			return gh_fail(ret_err, GH_IO, "directory", "%s: %s", path, strerror(errno));
		at[1] = next;
	}
	char *absolute = realpath(directory, NULL);
	if (!absolute)
		return gh_fail(ret_err, GH_IO, "directory", "%s: %s", directory, strerror(errno));
	*ret_absolute = absolute;
	return GH_OK;
}
