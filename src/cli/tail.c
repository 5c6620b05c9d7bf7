/* tail.c - gatehouse tail: what the back end durably holds, as lines.
 *
 * Of a running gateway the admin socket streams it; of a stopped one the queue is opened here, and since nobody can
 * add to it then, it ends at its end.
 */
#include "src/admin/tail.h"
#include "src/builtin.h"
#include "src/base/text.h"
#include "src/cli/cli.h"
#include "src/cli/target.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { TAIL_BODY_SHOWN_MAX = 512 };

struct tail_run {
	struct target target;
	struct tail_options options;
	bool as_json;
	int signals;  /* readable = the user wants an end */
	bool stopped; /* he does, or nobody reads our output */
};

/* ---- printing ---- */

/* Foreign text on a terminal: one line of printable characters. */
static void tail_print_text(const char *text, size_t len)
{
	size_t shown = len < TAIL_BODY_SHOWN_MAX ? len : TAIL_BODY_SHOWN_MAX;
	for (size_t i = 0; i < shown; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c < 0x20 || c == 0x7f)
			printf("\\x%02x", c);
		else
			putchar(c);
	}
	if (shown < len)
		printf("... (%zu characters)", len);
}

static void tail_print_human(const json_t *record)
{
	const json_t *system = json_object_get(record, "systemProperties"), *body = json_object_get(record, "body");
	const char *device = json_string_value(json_object_get(system, "iothub-connection-device-id"));
	const char *module = json_string_value(json_object_get(system, "iothub-connection-module-id"));
	const char *encoding = json_string_value(json_object_get(record, "bodyEncoding"));
	const char *name;
	json_t *value;
	printf("%s %" JSON_INTEGER_FORMAT "/%s %s%s%s ", json_string_value(json_object_get(record, "enqueuedTime")),
		json_integer_value(json_object_get(record, "partition")),
		json_string_value(json_object_get(record, "offset")), device ? device : "-", module ? "/" : "",
		module ? module : "");
	if (encoding && strcmp(encoding, "base64") == 0)
		fputs("base64:", stdout);
	tail_print_text(json_string_value(body), json_string_length(body));
	json_object_foreach(json_object_get(record, "properties"), name, value)
	{
		putchar(' ');
		tail_print_text(name, strlen(name));
		putchar('=');
		tail_print_text(json_string_value(value), json_string_length(value));
	}
	putchar('\n');
}

static void tail_print(struct tail_run *run, const json_t *record)
{
	if (run->as_json) {
		json_dumpf(record, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		tail_print_human(record);
	}
	if (ferror(stdout))
		run->stopped = true;
}

/* Lets out what was printed, then waits for fd or the user, at most timeout_ms (-1 = for ever). */
static void tail_wait(struct tail_run *run, int fd, int timeout_ms)
{
	if (fflush(stdout) != 0)
		run->stopped = true;
	struct pollfd ready[] = {{.fd = fd, .events = POLLIN}, {.fd = run->signals, .events = POLLIN}};
	if (!run->stopped && poll(ready, 2, timeout_ms) > 0 && ready[1].revents)
		run->stopped = true;
}

/* ---- a running gateway ---- */

static gh_status tail_answer(struct tail_run *run, gh_bytes line, bool *ret_end, gh_error *ret_err)
{
	json_error_t fault;
	json_t *answer = json_loadb((const char *)line.data, line.len, JSON_ALLOW_NUL, &fault), *result = NULL;
	if (!answer)
		return gh_fail(ret_err, GH_INTERNAL, "answer", "the answer is not JSON: %s", fault.text);
	gh_status status = GH_OK;
	const json_t *record = json_object_get(answer, "record");
	if (record)
		tail_print(run, record);
	else {
		status = target_result(answer, &result, ret_err);
		*ret_end = true;
	}
	json_decref(result);
	json_decref(answer);
	return status;
}

static gh_status tail_running(struct tail_run *run, gh_error *ret_err)
{
	json_t *request = tail_options_write(&run->options);
	gh_status status = request ? target_send(&run->target, request, ret_err)
				   : gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
	bool end = false;
	json_decref(request);
	while ((status == GH_OK || status == GH_AGAIN) && !end && !run->stopped) {
		gh_bytes line;
		status = target_line(&run->target, false, &line, ret_err);
		if (status == GH_OK)
			status = tail_answer(run, line, &end, ret_err);
		else if (status == GH_AGAIN)
			tail_wait(run, run->target.fd, -1);
	}
	return status == GH_AGAIN ? GH_OK : status;
}

/* ---- a stopped one ---- */

static gh_status tail_records(struct tail_run *run, struct tail_port *port, struct tail *tail, gh_error *ret_err)
{
	gh_fetched record;
	while (!run->stopped) {
		enum tail_step step = tail_next(tail, &record, ret_err);
		if (step == TAIL_RECORD) {
			json_t *json = tail_json(&record);
			gh_message_unref(record.message);
			if (!json)
				return gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
			tail_print(run, json);
			json_decref(json);
		} else if (step == TAIL_END) {
			break;
		} else if (step == TAIL_FAILED) {
			return ret_err->status;
		} else {
			tail_wait(run, tail_port_fd(port), step == TAIL_QUIET ? TAIL_POLL_MS : -1);
			tail_port_reap(port);
		}
	}
	return GH_OK;
}

static gh_status tail_opened(struct tail_run *run, gh_backend *backend, gh_error *ret_err)
{
	struct tail_port *port = tail_port_new(builtin.backend, backend);
	struct tail *tail = NULL;
	gh_status status = port ? tail_new(port, &run->options, &tail, ret_err)
				: gh_fail(ret_err, GH_NO_MEMORY, "no_memory", "no memory");
	if (status == GH_OK)
		status = tail_records(run, port, tail, ret_err);
	tail_free(tail);
	tail_port_free(port);
	return status;
}

static gh_status tail_stopped(struct tail_run *run, gh_error *ret_err)
{
	if (run->options.follow)
		fprintf(stderr, "gatehouse tail: no gateway runs in %s; ending at the end of the log\n",
			run->target.directory);
	run->options.follow = false;
	gh_backend_config config = {.directory = run->target.directory,
		.store = run->target.store,
		.level = GH_MEMORY,
		.limits = &run->target.limits};
	gh_backend *backend;
	gh_status status = builtin.backend->open(&config, &backend, ret_err);
	if (status != GH_OK)
		return status;
	status = tail_opened(run, backend, ret_err);
	builtin.backend->close(backend);
	return status;
}

/* ---- the sub-command ---- */

static gh_status tail_run(struct tail_run *run, const struct target_where *where, gh_error *ret_err)
{
	gh_status status = target_open(&run->target, where, TARGET_READ, ret_err);
	if (status == GH_OK)
		status = run->target.fd >= 0 ? tail_running(run, ret_err) : tail_stopped(run, ret_err);
	target_close(&run->target);
	return status;
}

/* SIGINT and SIGTERM become readable, so that a store opened here is closed. */
static int tail_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int tail_check(const struct options *options, const char *from, const char *partition, struct tail_options *tail)
{
	uint64_t number;
	if (strcmp(from, "earliest") == 0)
		tail->from = TAIL_EARLIEST;
	else if (strcmp(from, "latest") == 0)
		tail->from = TAIL_LATEST;
	else if (text_u64(text_of(from), &tail->offset))
		tail->from = TAIL_OFFSET;
	else
		return options_wrong(options, "--from is earliest, latest or an offset, not \"%s\"", from);
	if (partition && (!text_u64(text_of(partition), &number) || number > INT32_MAX))
		return options_wrong(options, "--partition needs a whole number, not \"%s\"", partition);
	tail->partition = partition ? (int64_t)number : -1;
	if (tail->count > INT64_MAX)
		return options_wrong(options, "--count is too large");
	return OPTIONS_GO;
}

int cli_tail(int argc, char **argv)
{
	struct target_where where = {NULL, NULL};
	struct tail_run run = {.as_json = false};
	const char *from = "earliest", *partition = NULL;
	bool no_follow = false, follow = false;
	const struct options_row rows[] = {
		{.name = "--from",
			.text = &from,
			.value = "WHERE",
			.help = "earliest (default), latest, or an offset in each partition"},
		{.name = "--partition", .text = &partition, .value = "N", .help = "only this one"},
		{.name = "--count", .number = &run.options.count, .value = "N", .help = "end after N messages"},
		{.name = "--follow", .flag = &follow, .help = "wait for more at the end of the log (default)"},
		{.name = "--no-follow", .flag = &no_follow, .help = "end at what is the end of the log now"},
		{.name = "--json", .flag = &run.as_json, .help = "one JSON object a message"},
		TARGET_ROWS(where),
		{.name = NULL},
	};
	struct options options = {.command = "tail",
		.arguments = "",
		.rows = rows,
		.help = "Prints what the back end received, in the order of its times, one line a message."};
	int code = options_parse(&options, argc, argv);
	if (code == OPTIONS_GO && follow && no_follow)
		code = options_wrong(&options, "--follow and --no-follow exclude each other");
	if (code == OPTIONS_GO)
		code = tail_check(&options, from, partition, &run.options);
	if (code != OPTIONS_GO)
		return code;
	run.options.follow = !no_follow;
	run.signals = tail_signals();
	gh_error err;
	code = tail_run(&run, &where, &err) == GH_OK ? CLI_DONE : target_failed(&options, &err);
	fflush(stdout);
	close(run.signals);
	return code;
}
