/* config.h - the configuration file: YAML in, one checked struct out.
 *
 * Nothing is guessed: unknown and repeated keys, wrong types and values out of range are refused, each with its place,
 * and a file with any problem yields no configuration at all.  Relative paths are relative to the folder of the file.
 * What a value means is documented in examples/gatehouse.yaml, key by key.  This module only reads the file: whether
 * certificates load and the data folder is usable is asked by `gatehouse check` and at the start.
 */
#ifndef GATEHOUSE_CONFIG_H
#define GATEHOUSE_CONFIG_H

#include <gatehouse/backend.h>
#include <gatehouse/limits.h>

#include "src/base/log.h"
#include "src/config_problem.h"

enum {
	CONFIG_FILE_BYTES_MAX = 1 << 18,
	CONFIG_DEPTH_MAX = 16,
	CONFIG_ALIASES_MAX = 16,
	CONFIG_ORIGINS_MAX = 64,
	CONFIG_WORKERS_MAX = 256,
	CONFIG_PARTITIONS_MAX = 32,
	CONFIG_HOST_BYTES_MAX = 253,
};

struct config_listener {
	char *address;   /* numeric, v4 or v6; or "localhost": both loopbacks */
	uint32_t port;   /* 0 = pick a free one */
	unsigned served; /* true or false */
};

struct config_tls {
	char *certificate_file;
	char *key_file;
	char *second_certificate_file; /* NULL = no second pair */
	char *second_key_file;
};

enum config_backend { CONFIG_BACKEND_EMBEDDED };

struct config_embedded {
	uint32_t partitions; /* 0 = default for a new queue, as it is for an old one */
	enum gh_durability level;
};

/* Every pointer is owned by the struct and, unless it says NULL, set.  All of it is read-only once loaded. */
struct config {
	char *host_name;
	char *hosts[CONFIG_ALIASES_MAX + 2]; /* host_name (borrowed from above), then the aliases, then NULL */
	char *data_dir;
	uint32_t workers; /* 0 = one per core */
	enum log_level log_level;
	struct config_tls tls;
	struct config_listener mqtt;
	struct config_listener amqp;  /* served when its key is there; so is the next */
	struct config_listener https; /* served when its key is there */
	char *origins[CONFIG_ORIGINS_MAX + 1]; /* pages that may open WebSockets, then NULL; none = all */
	enum config_backend backend;
	struct config_embedded embedded;
	gh_status disabled_status;   /* CONNACK 3: GH_DISABLED, 5: GH_UNAUTHORIZED */
	unsigned disable_device_sas; /* true or false: tokens signed with a device's own key are refused */
	unsigned disable_module_sas; /* the same for modules */
	unsigned disable_local_auth; /* the same for policies */
	gh_limits limits;
};

/* Defaults: what a file that says nothing would mean, and no host name, folder or certificate.  NULL without memory. */
struct config *config_new(void);
void config_free(struct config *config); /* accepts NULL and half-filled ones */

/* Takes nothing, borrows nothing.  NULL when there is any problem; then problems says which.  `folder` is what relative
 * paths are relative to; NULL = leave them as they are. */
struct config *config_parse(gh_bytes text, const char *folder, struct config_problems *problems);
/* The same from a file; "-" reads standard input. */
struct config *config_load(const char *path, struct config_problems *problems);

#endif
