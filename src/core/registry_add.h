/* registry_add.h - one new identity into a batch; a single creation and an import share it. */
#ifndef GATEHOUSE_CORE_REGISTRY_ADD_H
#define GATEHOUSE_CORE_REGISTRY_ADD_H

#include "src/core/registry_batch.h"

/* A new reference.  GH_EXISTS; GH_NOT_FOUND when a module's device is missing; GH_QUOTA; GH_INVALID. */
gh_status registry_add(struct registry_batch *batch, const json_t *given, json_t **ret_document, gh_error *ret_err);

#endif
