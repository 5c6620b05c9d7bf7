/* config_quantity.h - numbers as people write them: 4096, 64KiB, 10s, 7d; the key's name says the unit of a bare one. */
#ifndef GATEHOUSE_CONFIG_QUANTITY_H
#define GATEHOUSE_CONFIG_QUANTITY_H

#include <gatehouse/message.h>

/* Reads text as a value of the limit `name`: digits, or digits and a unit when the name carries one (_bytes_, _us_,
 * _ms_, _s_).  On failure returns what is wrong (static), otherwise NULL and *ret_value in the unit of the name. */
const char *config_quantity_read(gh_bytes text, const char *name, uint64_t *ret_value);

#endif
