#include "src/gateway_service.h"

#include "src/io/loop.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct gateway_service {
	struct loop *loop;
	pthread_t thread;
	bool started;
};

gh_status gateway_service_new(struct gateway_service **ret_service, gh_error *ret_err)
{
	struct gateway_service *service = calloc(1, sizeof *service);
	if (service)
		service->loop = loop_new();
	if (!service || !service->loop) {
		free(service);
		return gh_fail(ret_err, GH_IO, "service_failed", "the service thread's loop could not be made");
	}
	*ret_service = service;
	return GH_OK;
}

gh_host *gateway_service_host(struct gateway_service *service)
{
	return loop_host(service->loop);
}

static void *service_thread(void *argument)
{
	loop_run(argument);
	return NULL;
}

gh_status gateway_service_start(struct gateway_service *service, gh_error *ret_err)
{
	int error = pthread_create(&service->thread, NULL, service_thread, service->loop);
	if (error)
		return gh_fail(ret_err, GH_IO, "thread_failed", "the service thread: %s", strerror(error));
	service->started = true;
	return GH_OK;
}

void gateway_service_stop(struct gateway_service *service)
{
	if (!service || !service->started)
		return;
	loop_stop(service->loop);
	pthread_join(service->thread, NULL);
	service->started = false;
}

void gateway_service_free(struct gateway_service *service)
{
	if (!service)
		return;
	loop_free(service->loop);
	free(service);
}
