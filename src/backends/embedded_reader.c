#include "src/backends/embedded_reader.h"

#include "src/backends/embedded_fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

static bool reader_due(const struct timespec *until)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec >= until->tv_sec;
}

static struct timespec reader_retention_due(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += READER_RETENTION_MS / 1000;
	return at;
}

/* Under the lock.  False: time for retention (however many reads wait), or stop. */
static bool reader_next(struct embedded_reader *r, const struct timespec *until, struct reader_request *ret_request)
{
	while (!r->stop && r->request_count == 0)
		if (pthread_cond_timedwait(&r->wake, &r->lock, until) == ETIMEDOUT)
			return false;
	if (r->stop || reader_due(until))
		return false;
	*ret_request = r->requests[r->request_first];
	r->request_first = (r->request_first + 1) % r->request_cap;
	r->request_count--;
	return true;
}

static void reader_answer(struct embedded_reader *r, const struct reader_request *request)
{
	r->serving = request->port;
	pthread_mutex_unlock(&r->lock);
	gh_completion completion = {.kind = GH_FETCHED, .cookie = request->cookie};
	embedded_fetch(r->db, r->log, request, &r->hints[request->partition], &completion);
	ring_fetched(&request->port->ring, &completion);
	pthread_mutex_lock(&r->lock);
	r->serving = NULL;
	pthread_cond_broadcast(&r->finished);
}

static void *reader_main(void *context)
{
	struct embedded_reader *r = context;
	struct timespec until = reader_retention_due();
	pthread_mutex_lock(&r->lock);
	while (!r->stop) {
		struct reader_request request;
		if (reader_next(r, &until, &request)) {
			reader_answer(r, &request);
			continue;
		}
		if (r->stop)
			break;
		pthread_mutex_unlock(&r->lock);
		embedded_reader_retain(r, r->writer->seams->wall_ms(r->writer->seams->context));
		until = reader_retention_due();
		pthread_mutex_lock(&r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

gh_status embedded_reader_start(
	struct embedded_reader *r, struct embedded_writer *writer, struct embedded_log *log, gh_error *ret_err)
{
	*r = (struct embedded_reader){.db = writer->db, .log = log, .writer = writer};
	r->request_cap = log->limits->fetches_max;
	r->requests = calloc(r->request_cap, sizeof *r->requests);
	if (!r->requests)
		return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
	pthread_mutex_init(&r->lock, NULL);
	pthread_mutex_init(&r->retention_lock, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&r->wake, &monotonic);
	pthread_cond_init(&r->finished, &monotonic);
	pthread_condattr_destroy(&monotonic);
	int fault = pthread_create(&r->thread, NULL, reader_main, r);
	if (fault == 0)
		return GH_OK;
	free(r->requests);
	return gh_fail(ret_err, GH_IO, "thread_create", "the reader thread: %s", strerror(fault));
}

void embedded_reader_stop(struct embedded_reader *r)
{
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	for (; r->request_count > 0; r->request_count--) {
		struct reader_request *request = &r->requests[r->request_first];
		gh_completion completion = {
			.kind = GH_FETCHED,
			.cookie = request->cookie,
			.status = GH_UNAVAILABLE,
			.offset = request->from,
		};
		ring_fetched(&request->port->ring, &completion);
		r->request_first = (r->request_first + 1) % r->request_cap;
	}
	free(r->requests);
	pthread_cond_destroy(&r->wake);
	pthread_cond_destroy(&r->finished);
	pthread_mutex_destroy(&r->retention_lock);
	pthread_mutex_destroy(&r->lock);
}

gh_status embedded_reader_ask(struct embedded_reader *r, const struct reader_request *request)
{
	gh_status status = GH_AGAIN;
	pthread_mutex_lock(&r->lock);
	if (r->request_count < r->request_cap && ring_fetch_open(&request->port->ring)) {
		r->requests[(r->request_first + r->request_count++) % r->request_cap] = *request;
		pthread_cond_signal(&r->wake);
		status = GH_OK;
	}
	pthread_mutex_unlock(&r->lock);
	return status;
}

void embedded_reader_forget(struct embedded_reader *r, const gh_port *port)
{
	pthread_mutex_lock(&r->lock);
	size_t kept = 0;
	for (size_t i = 0; i < r->request_count; i++) {
		struct reader_request *request = &r->requests[(r->request_first + i) % r->request_cap];
		if (request->port != port)
			r->requests[(r->request_first + kept++) % r->request_cap] = *request;
	}
	r->request_count = kept;
	while (r->serving == port)
		pthread_cond_wait(&r->finished, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

gh_status embedded_reader_retain(struct embedded_reader *r, uint64_t wall_ms)
{
	pthread_mutex_lock(&r->retention_lock);
	gh_status status = embedded_retention_run(r->writer, r->log, wall_ms);
	pthread_mutex_unlock(&r->retention_lock);
	return status;
}
