/* races.c - the negative control of --enable-tsan: each of these tests must fail there.  Not part of `make check`. */
#include "tests/suite.h"

#include <pthread.h>

SUITE(control);

static unsigned races_count;

static void *races_add(void *argument)
{
	for (int i = 0; i < 1000; i++)
		races_count++;
	return argument;
}

Test(control, a_data_race_passes_until_it_is_looked_for)
{
	pthread_t threads[2];
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, races_add, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	cr_assert_neq(races_count, 0);
}

Test(control, locks_taken_in_two_orders_pass_until_it_is_looked_for)
{
	pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&a);
	pthread_mutex_lock(&b);
	pthread_mutex_unlock(&b);
	pthread_mutex_unlock(&a);
	pthread_mutex_lock(&b);
	pthread_mutex_lock(&a);
	pthread_mutex_unlock(&a);
	pthread_mutex_unlock(&b);
}
