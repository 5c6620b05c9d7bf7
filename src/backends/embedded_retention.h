/* embedded_retention.h - forgets the oldest part of the log, by age and by size.
 *
 * First the floor is committed, then the files wholly below it are dropped: a few unlinks, no rewriting.  What shares a
 * file with something kept stays on disk until that is old too.  The last commit is always kept.
 */
#ifndef GATEHOUSE_BACKENDS_EMBEDDED_RETENTION_H
#define GATEHOUSE_BACKENDS_EMBEDDED_RETENTION_H

#include "src/backends/embedded_writer.h"

/* Reads the floor kept in the database into the log. */
gh_status embedded_retention_load(struct embedded_db *db, struct embedded_log *log, gh_error *ret_err);
/* One pass; any thread but the writer's, one at a time.  A clock that jumped back keeps data. */
gh_status embedded_retention_run(struct embedded_writer *w, struct embedded_log *log, uint64_t wall_ms);

#endif
