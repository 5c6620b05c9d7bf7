/* device_bulk.h - many identities at once: pages out, lines in. */
#ifndef GATEHOUSE_CLI_DEVICE_BULK_H
#define GATEHOUSE_CLI_DEVICE_BULK_H

#include "src/cli/target.h"

/* Calls visit for each document of all pages of `op` (device.list, device.export); device_id NULL = none. */
gh_status device_bulk_pages(struct target *target, const char *op, const char *device_id,
	void (*visit)(void *context, const json_t *document), void *context, gh_error *ret_err);

int device_bulk_import(int argc, char **argv);
int device_bulk_export(int argc, char **argv);

#endif
