/* hub_names.h - the names of the hub that lives in a data folder, for tools that have only the folder.
 *
 * A running gateway writes them to DIR/names, one a line, the host name first; connection strings and token checks of a
 * stopped gateway use them.  They decide nothing in the gateway itself.
 */
#ifndef GATEHOUSE_ADMIN_HUB_NAMES_H
#define GATEHOUSE_ADMIN_HUB_NAMES_H

#include <gatehouse/error.h>

enum { HUB_NAMES_MAX = 17, HUB_NAME_BYTES_MAX = 253 };

/* Replaces the file whole.  hosts is NULL-terminated. */
gh_status hub_names_save(const char *directory, const char *const *hosts, gh_error *ret_err);

struct hub_names {
	const char *hosts[HUB_NAMES_MAX + 1]; /* NULL-terminated; into text */
	char text[HUB_NAMES_MAX * (HUB_NAME_BYTES_MAX + 1) + 1];
};

/* GH_NOT_FOUND when there is no such file or nothing in it.  The struct must not be moved afterwards. */
gh_status hub_names_load(const char *directory, struct hub_names *ret_names);

#endif
