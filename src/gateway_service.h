/* gateway_service.h - the thread that waits for the disk on behalf of the workers: tasks posted to its host may block.
 *
 * What service clients ask for over HTTPS runs here, one after the other, reads included; the answer is posted back to the
 * worker that asked.  So the thread is started before the workers and stopped after they have ended, and its last answers
 * wait in loops that do not run any more: gateway_worker_settle takes them out.
 */
#ifndef GATEHOUSE_GATEWAY_SERVICE_H
#define GATEHOUSE_GATEWAY_SERVICE_H

#include <gatehouse/host.h>

struct gateway_service;

gh_status gateway_service_new(struct gateway_service **ret_service, gh_error *ret_err);
/* Good until free. */
gh_host *gateway_service_host(struct gateway_service *service);
gh_status gateway_service_start(struct gateway_service *service, gh_error *ret_err);
/* Runs what has been posted, ends the thread and waits for that.  Nobody posts any more.  No-op when it does not run, and
 * for NULL. */
void gateway_service_stop(struct gateway_service *service);
void gateway_service_free(struct gateway_service *service); /* stopped; accepts NULL */

#endif
