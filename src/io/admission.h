/* admission.h - how many connections there are, in all and per client; any thread.
 *
 * Clients are counted only where that limit is the tighter one: by default it is not, and then this is one atomic number.
 */
#ifndef GATEHOUSE_IO_ADMISSION_H
#define GATEHOUSE_IO_ADMISSION_H

#include "src/base/map.h"
#include "src/io/socket.h"

#include <pthread.h>
#include <stdatomic.h>

struct admission {
	atomic_uint_fast64_t count;
	uint64_t all_max;
	uint64_t client_max;
	pthread_mutex_t lock;
	struct map clients;
};

enum admission_answer {
	ADMISSION_OK,
	ADMISSION_FULL,
	ADMISSION_CLIENT_FULL,
	ADMISSION_NO_DESCRIPTORS,
	ADMISSION_NO_MEMORY
};

extern const char *const admission_answer_names[]; /* for the log */

void admission_init(struct admission *a, uint64_t all_max, uint64_t client_max, const uint64_t seed[2]);
void admission_done(struct admission *a); /* all that was taken has been given back */
enum admission_answer admission_take(struct admission *a, const struct socket_client *client);
void admission_give(struct admission *a, const struct socket_client *client);

#endif
