/* runner.c - runs the tests of a program under ThreadSanitizer; see criterion.h beside it.
 *
 * A test passes when its process came to the end of the test and its suite's fini, and then exited with 0.  So it fails
 * by an assertion in any thread, a signal, a report of ThreadSanitizer (exit code 66), its time, or an exit of its own.
 */
#include <criterion/criterion.h>

#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RUNNER_TIMEOUT_S = 60, RUNNER_TSAN_REPORT = 66 };

static struct cr_suite *runner_suites;
static struct cr_test *runner_tests;
static struct cr_test **runner_tests_end = &runner_tests;

void cr_add_suite(struct cr_suite *suite)
{
	suite->next = runner_suites;
	runner_suites = suite;
}

void cr_add_test(struct cr_test *test)
{
	*runner_tests_end = test;
	runner_tests_end = &test->next;
}

void cr_fail_at(const char *file, int line, const char *what, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	flockfile(stderr);
	fprintf(stderr, "%s:%d: %s:", file, line, what);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	funlockfile(stderr);
	va_end(args);
	_exit(1);
}

static const struct cr_extra *runner_suite_extra(const struct cr_test *test)
{
	static const struct cr_extra none;
	for (const struct cr_suite *suite = runner_suites; suite; suite = suite->next)
		if (strcmp(suite->name, test->suite) == 0)
			return &suite->extra;
	return &none;
}

static void runner_call(void (*function)(void))
{
	if (function)
		function();
}

/* The test's process.  Its stdout is our stderr: stdout is for TAP alone. */
static void runner_child(const struct cr_test *test, void *param, volatile bool *ret_ended)
{
	const struct cr_extra *suite = runner_suite_extra(test);
	double timeout = test->extra.timeout > 0 ? test->extra.timeout : suite->timeout;
	dup2(STDERR_FILENO, STDOUT_FILENO);
	alarm(timeout > 0 ? (unsigned)(timeout + 0.999) : RUNNER_TIMEOUT_S);
	runner_call(suite->init);
	runner_call(test->extra.init);
	test->run(param);
	runner_call(test->extra.fini);
	runner_call(suite->fini);
	*ret_ended = true;
	exit(0); /* not _exit: here ThreadSanitizer looks for threads that were not joined */
}

static void runner_why(int status, bool ended)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		puts("# its time was up");
	else if (WIFSIGNALED(status))
		printf("# ended by signal %d\n", WTERMSIG(status));
	else if (WEXITSTATUS(status) == RUNNER_TSAN_REPORT)
		puts("# ThreadSanitizer reported");
	else if (WEXITSTATUS(status) == 0 && !ended)
		puts("# exited before its end");
	else
		printf("# exited with %d\n", WEXITSTATUS(status));
}

static bool runner_run(const struct cr_test *test, void *param, volatile bool *ended)
{
	struct timespec begun, now;
	int status = -1;
	*ended = false;
	fflush(NULL);
	clock_gettime(CLOCK_MONOTONIC, &begun);
	pid_t pid = fork();
	if (pid == 0)
		runner_child(test, param, ended);
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("runner");
		exit(2);
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	bool ok = *ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	printf("%s - %s::%s  (%.2fs)\n", ok ? "ok" : "not ok", test->suite, test->name,
		(double)(now.tv_sec - begun.tv_sec) + (double)(now.tv_nsec - begun.tv_nsec) / 1e9);
	if (!ok)
		runner_why(status, *ended);
	return ok;
}

static struct criterion_test_params runner_params(const struct cr_test *test)
{
	return test->params ? test->params() : (struct criterion_test_params){.length = 1};
}

int main(int argc, char **argv)
{
	if (argc != 2 || strcmp(argv[1], "--tap") != 0) {
		fprintf(stderr, "usage: %s --tap\n", argv[0]);
		return 2;
	}
	volatile bool *ended = mmap(NULL, sizeof *ended, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ended == MAP_FAILED)
		return 2;
	size_t count = 0, failed = 0;
	for (const struct cr_test *test = runner_tests; test; test = test->next)
		count += runner_params(test).length;
	printf("TAP version 13\n1..%zu\n", count);
	for (const struct cr_test *test = runner_tests; test; test = test->next) {
		struct criterion_test_params rows = runner_params(test);
		for (size_t i = 0; i < rows.length; i++)
			failed += !runner_run(test, test->params ? (char *)rows.params + i * rows.size : NULL, ended);
	}
	return count == 0 || failed > 0;
}
