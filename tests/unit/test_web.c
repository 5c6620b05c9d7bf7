/* web.h: the library comes and goes as a guest of a loop that others use, too. */
#include "tests/suite.h"

#include "src/base/limits.h"
#include "src/io/web.h"

#include <unistd.h>
#include <uv.h>

SUITE(web);

static void web_test_count(uv_handle_t *handle, void *count)
{
	(void)handle;
	++*(size_t *)count;
}

static size_t web_test_handles(struct loop *loop)
{
	size_t count = 0;
	uv_walk(loop_uv(loop), web_test_count, &count);
	return count;
}

static void web_test_ready(void *context, int events, uint64_t now_ms)
{
	(void)context;
	(void)events;
	(void)now_ms;
}

Test(web, the_library_has_let_go_when_it_is_freed_whoever_else_came_and_went)
{
	enum { OTHERS_MAX = 4 };
	gh_limits limits;
	limits_defaults(&limits);
	for (int came = 0; came <= OTHERS_MAX; came++)
		for (int went = 0; went <= OTHERS_MAX; went++) {
			struct loop *loop = loop_new();
			struct loop_fd *before[OTHERS_MAX] = {NULL}, *after[OTHERS_MAX] = {NULL};
			int fds[2];
			struct web *web;
			gh_error err = {0};
			size_t own = web_test_handles(loop);
			cr_assert_eq(pipe(fds), 0);
			for (int i = 0; i < went; i++)
				before[i] = loop_watch(loop, dup(fds[0]), 0, web_test_ready, NULL);
			cr_assert_eq(web_new(loop, &limits, &web, &err), GH_OK, "%s", err.text);
			for (int i = 0; i < came; i++)
				after[i] = loop_watch(loop, dup(fds[0]), 0, web_test_ready, NULL);
			for (int i = 0; i < went; i++)
				loop_unwatch(before[i]);
			web_free(web);
			cr_assert_eq(web_test_handles(loop), own + (size_t)came, "%d came, %d went", came, went);
			for (int i = 0; i < came; i++)
				loop_unwatch(after[i]);
			loop_free(loop);
			for (int i = 0; i < 2; i++)
				close(fds[i]);
		}
}
