/* load_mqtt.c - a load client for MQTT 3.1.1 over TLS, or over WebSocket over TLS, or AMQP 1.0 over TLS, light on CPU, for
 * any broker.
 *
 * Modes: publish as fast as a window allows, or paced (--rate); hold idle connections (--idle); full handshakes one
 * after another (--handshakes); connections that vanish without a word, each time at another moment (--churn); publish
 * through crashes of the server (--reliable), resending what was not acknowledged and noting what was.  The result is
 * one line of JSON on stdout.
 *
 * With --interactive it prints "ready" when all connections are up, waits for a line on stdin, works, prints the
 * result, and leaves when stdin ends: so the caller can sample the server around the work alone.
 */
#include "tests/bench/load_worker.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static const char load_usage[] =
	"usage: load_mqtt --port N [options]\n"
	"  --host ADDRESS (127.0.0.1)  --server-name NAME (localhost)  --cafile FILE  --tls 1.2|1.3 (1.3)\n"
	"  --connections N (100)  --first N (0)  --threads N (1)  --window N (20)  --size BYTES (256)  --parallel N "
	"(64)\n"
	"  --messages N | --seconds S | --idle | --handshakes N | --churn N | --reliable     --rate "
	"MESSAGES_PER_SECOND\n"
	"  --websocket PATH     MQTT over WebSocket  --frame packet|batch (packet)     what one frame holds\n"
	"  --amqp     AMQP 1.0 with SASL PLAIN; the topic is the address of the link\n"
	"  --client-id P (load-{n})  --user P  --password P  --topic P (load/{id})     {n} number, {id} client id, "
	"{seq}\n"
	"  --sas-host HOST --device-key BASE64     password is a SAS token for HOST/devices/{id}\n"
	"  --ack-log FILE     one line \"connection seq\" for each acknowledgement\n"
	"  --interactive\n";

/* ---- options ---- */

static void load_die(const char *text)
{
	fprintf(stderr, "load_mqtt: %s\n", text);
	exit(2);
}

static unsigned load_number(const char *text, unsigned min, unsigned max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);
	if (!*text || *end || value < min || value > max) {
		fprintf(stderr, "load_mqtt: %s is not a number from %u to %u\n", text, min, max);
		exit(2);
	}
	return (unsigned)value;
}

static bool load_says_batch(const char *frame)
{
	bool batch = strcmp(frame, "batch") == 0;
	if (!batch && strcmp(frame, "packet") != 0)
		load_die("--frame wants packet or batch");
	return batch;
}

struct load_text_option {
	const char *name;
	const char **value;
};

static SSL_CTX *load_tls(const char *cafile, const char *version)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
	int wanted = strcmp(version, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
	if (!tls || !SSL_CTX_set_min_proto_version(tls, wanted) || !SSL_CTX_set_max_proto_version(tls, wanted))
		load_die("TLS cannot be set up");
	SSL_CTX_set_mode(
		tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	if (cafile) {
		if (!SSL_CTX_load_verify_locations(tls, cafile, NULL))
			load_die("the CA file cannot be read");
		SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	}
	return tls;
}

static void load_check(const struct load_options *o)
{
	bool work = o->messages || o->seconds > 0;
	if (o->mode == LOAD_PUBLISH && !work)
		load_die("say --messages, --seconds, --idle, --handshakes, --churn or --reliable");
	if (o->threads > o->connections)
		load_die("more threads than connections");
	if (o->amqp && (o->websocket || o->mode == LOAD_CHURN || o->mode == LOAD_RELIABLE))
		load_die("--amqp goes with neither --websocket nor --churn nor --reliable");
	if (o->amqp && (!o->user || (!o->password && !o->device_key)))
		load_die("--amqp wants --user, and --password or --device-key");
	if (!o->sas_host != !o->device_key)
		load_die("--sas-host and --device-key go together");
}

static void load_options_parse(struct load_options *o, int argc, char **argv)
{
	const char *host = "127.0.0.1", *port = NULL, *cafile = NULL, *version = "1.3", *connections = "100",
		   *first = "0";
	const char *threads = "1", *window = "20", *size = "256", *parallel = "64", *messages = "0", *seconds = "0";
	const char *handshakes = NULL, *churn = NULL, *rate = "0", *ack_log = NULL, *frame = "packet";
	int idle = 0, reliable = 0, interactive = 0, amqp = 0;
	const struct load_text_option texts[] = {
		{"host", &host},
		{"port", &port},
		{"server-name", &o->server_name},
		{"cafile", &cafile},
		{"tls", &version},
		{"connections", &connections},
		{"first", &first},
		{"threads", &threads},
		{"window", &window},
		{"size", &size},
		{"parallel", &parallel},
		{"messages", &messages},
		{"seconds", &seconds},
		{"handshakes", &handshakes},
		{"churn", &churn},
		{"rate", &rate},
		{"client-id", &o->client_id},
		{"user", &o->user},
		{"password", &o->password},
		{"topic", &o->topic},
		{"sas-host", &o->sas_host},
		{"device-key", &o->device_key},
		{"ack-log", &ack_log},
		{"websocket", &o->websocket},
		{"frame", &frame},
	};
	enum { TEXTS = sizeof texts / sizeof *texts };
	struct option longs[TEXTS + 5] = {
		[TEXTS] = {"idle", no_argument, &idle, 1},
		[TEXTS + 1] = {"reliable", no_argument, &reliable, 1},
		[TEXTS + 2] = {"interactive", no_argument, &interactive, 1},
		[TEXTS + 3] = {"amqp", no_argument, &amqp, 1},
	};
	for (int i = 0; i < TEXTS; i++)
		longs[i] = (struct option){texts[i].name, required_argument, NULL, 256 + i};
	for (int found; (found = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		if (found == '?')
			load_die(load_usage);
		if (found >= 256)
			*texts[found - 256].value = optarg;
	}
	if (!port || optind != argc)
		load_die(load_usage);

	o->address =
		(struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)load_number(port, 1, 65535))};
	if (inet_pton(AF_INET, host, &o->address.sin_addr) != 1)
		load_die("--host wants an IPv4 address");
	o->mode = handshakes ? LOAD_HANDSHAKES
		  : churn    ? LOAD_CHURN
		  : idle     ? LOAD_IDLE
		  : reliable ? LOAD_RELIABLE
			     : LOAD_PUBLISH;
	o->connections = load_number(connections, 1, 100000);
	o->first = load_number(first, 0, 1000000);
	o->threads = load_number(threads, 1, 64);
	o->window = load_number(window, 1, 10000);
	o->size = load_number(size, 18, 262144);
	o->parallel = load_number(parallel, 1, 10000);
	o->messages = load_number(messages, 0, UINT32_MAX);
	if (handshakes || churn)
		o->handshakes = load_number(handshakes ? handshakes : churn, 1, UINT32_MAX);
	o->frame_batch = load_says_batch(frame);
	o->seconds = strtod(seconds, NULL);
	o->rate = strtod(rate, NULL);
	o->interactive = interactive || idle;
	o->amqp = amqp;
	o->tls = load_tls(cafile, version);
	o->ack_log = ack_log ? open(ack_log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	if (ack_log && o->ack_log < 0)
		load_die("the list of acknowledgements cannot be opened");
	load_check(o);
}

/* ---- threads and the result ---- */

struct load_run {
	struct load_worker *worker;
	pthread_t thread;
	pthread_barrier_t *step;
};

static void *load_thread(void *argument)
{
	struct load_run *run = argument;
	prctl(PR_SET_TIMERSLACK, 1);
	load_worker_open(run->worker);
	pthread_barrier_wait(run->step); /* all connected */
	pthread_barrier_wait(run->step); /* go */
	load_worker_run(run->worker);
	pthread_barrier_wait(run->step); /* done */
	pthread_barrier_wait(run->step); /* leave */
	load_worker_leave(run->worker);
	return NULL;
}

static void load_print(const struct load_options *o, const struct load_worker *workers)
{
	static const char *const modes[] = {"publish", "idle", "handshakes", "reliable", "churn"};
	struct load_stats *acks = calloc(1, sizeof *acks), *connects = calloc(1, sizeof *connects);
	uint64_t messages = 0, handshakes = 0, vanished = 0, sent = 0, reconnects = 0, start_us = UINT64_MAX,
		 end_us = 0;
	unsigned alive = 0;
	for (unsigned i = 0; i < o->threads && acks && connects; i++) {
		const struct load_worker *w = &workers[i];
		load_stats_merge(acks, &w->acks);
		load_stats_merge(connects, &w->connects);
		messages += w->acked;
		sent += w->sent;
		handshakes += w->handshakes;
		vanished += w->vanished;
		reconnects += w->reconnects;
		alive += load_worker_alive(w);
		start_us = w->start_us < start_us ? w->start_us : start_us;
		end_us = w->last_us > end_us ? w->last_us : end_us;
	}
	if (!acks || !connects)
		load_die("no memory");
	double seconds = (double)(end_us - start_us) / 1e6;
	printf("{\"mode\":\"%s\",\"connections\":%u,\"alive\":%u,\"sent\":%llu,\"messages\":%llu,\"seconds\":%.6f,"
	       "\"msgs_per_s\":%.1f,\"ack_p50_us\":%llu,\"ack_p99_us\":%llu,\"ack_p999_us\":%llu,\"ack_max_us\":%llu,"
	       "\"handshakes\":%llu,\"vanished\":%llu,\"reconnects\":%llu,\"connect_p50_us\":%llu,\"connect_p99_us\":%llu}\n",
		modes[o->mode], o->connections, alive, (unsigned long long)sent, (unsigned long long)messages, seconds,
		seconds > 0 ? (double)messages / seconds : 0, (unsigned long long)load_stats_at(acks, 0.5),
		(unsigned long long)load_stats_at(acks, 0.99), (unsigned long long)load_stats_at(acks, 0.999),
		(unsigned long long)acks->max_us, (unsigned long long)handshakes, (unsigned long long)vanished,
		(unsigned long long)reconnects, (unsigned long long)load_stats_at(connects, 0.5),
		(unsigned long long)load_stats_at(connects, 0.99));
	fflush(stdout);
	free(acks);
	free(connects);
}

static void load_wait_line(bool until_end)
{
	for (int c = getchar(); c != EOF && (until_end || c != '\n'); c = getchar())
		;
}

static void load_steps(
	const struct load_options *o, const struct load_worker *workers, pthread_barrier_t *step, atomic_bool *stop)
{
	pthread_barrier_wait(step);
	if (o->interactive) {
		puts("ready");
		fflush(stdout);
		load_wait_line(o->mode == LOAD_IDLE);
	}
	pthread_barrier_wait(step);
	if (o->mode == LOAD_RELIABLE) {
		load_wait_line(true);
		atomic_store(stop, true);
	}
	pthread_barrier_wait(step);
	load_print(o, workers);
	if (o->interactive)
		load_wait_line(true);
	pthread_barrier_wait(step);
}

int main(int argc, char **argv)
{
	struct load_options options = {.server_name = "localhost", .client_id = "load-{n}", .topic = "load/{id}"};
	struct rlimit files;
	atomic_bool stop = false;
	signal(SIGPIPE, SIG_IGN);
	load_options_parse(&options, argc, argv);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);

	struct load_worker *workers = calloc(options.threads, sizeof *workers);
	struct load_run *runs = calloc(options.threads, sizeof *runs);
	pthread_barrier_t step;
	pthread_barrier_init(&step, NULL, options.threads + 1);
	for (unsigned i = 0; i < options.threads && workers && runs; i++) {
		runs[i] = (struct load_run){.worker = &workers[i], .step = &step};
		if (!load_worker_init(&workers[i], &options, i, &stop) ||
			pthread_create(&runs[i].thread, NULL, load_thread, &runs[i]) != 0)
			load_die("no memory, or the key is not base64");
	}
	load_steps(&options, workers, &step, &stop);
	for (unsigned i = 0; i < options.threads && workers && runs; i++) {
		pthread_join(runs[i].thread, NULL);
		load_worker_done(&workers[i]);
	}
	pthread_barrier_destroy(&step);
	SSL_CTX_free(options.tls);
	free(workers);
	free(runs);
	return 0;
}
