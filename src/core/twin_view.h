/* twin_view.h - the twin of a device as service clients see it (service contract 3.1).
 *
 * Nothing writes twins yet, so tags and properties are those of a twin that was never written: empty, each at its first
 * version.  All else mirrors the identity.
 */
#ifndef GATEHOUSE_CORE_TWIN_VIEW_H
#define GATEHOUSE_CORE_TWIN_VIEW_H

#include <jansson.h>

/* From registry_view_identity of a device; a new reference.  NULL without memory. */
json_t *twin_view_device(const json_t *identity);

#endif
