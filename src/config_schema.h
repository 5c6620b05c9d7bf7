/* config_schema.h - the keys of the configuration file, one table row each, and the walk over a YAML document by it. */
#ifndef GATEHOUSE_CONFIG_SCHEMA_H
#define GATEHOUSE_CONFIG_SCHEMA_H

#include "src/config.h"

#include <yaml.h>

/* Fills config (which holds the defaults) and adds what is wrong to problems. */
void config_schema_apply(
	struct config *config, yaml_document_t *document, const char *folder, struct config_problems *problems);

#endif
