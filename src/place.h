/* place.h - where a hub keeps its data when nobody says, and making that folder. */
#ifndef GATEHOUSE_PLACE_H
#define GATEHOUSE_PLACE_H

#include <gatehouse/error.h>

/* $GATEHOUSE_DIR, else $XDG_STATE_HOME/gatehouse, else ~/.local/state/gatehouse.  The caller frees; NULL when none of the
 * three is set, or without memory. */
char *place_default(void);

/* Makes the folder (0700) and its parents where they are missing; returns its absolute path, which the caller frees. */
gh_status place_make(const char *directory, char **ret_absolute, gh_error *ret_err);

#endif
