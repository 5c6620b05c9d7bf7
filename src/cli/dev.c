/* dev.c - gatehouse dev: a complete hub on this machine, nothing to configure.
 *
 * Fills a struct config for loopback, makes certificates and a first device in its folder, starts the gateway and says
 * in one line (--json) or a few how to reach it.
 */
#include "src/cli/cli.h"
#include "src/cli/options.h"
#include "src/place.h"

#include "src/base/take.h"
#include "src/base/text.h"
#include "src/config.h"
#include "src/core/registry.h"
#include "src/gateway.h"
#include "src/io/loop.h"
#include "src/io/tls.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEV_DEVICE_ID "dev1"
#define DEV_POLICY "iothubowner"
enum { DEV_MQTT_PORT = 8883, DEV_AMQP_PORT = 5671, DEV_HTTPS_PORT = 443, HOST_NAME_BYTES_MAX = 253 };

struct dev_options {
	const char *directory; /* NULL = the default */
	const char *host;
	uint64_t mqtt_port, amqp_port, https_port;
	bool not_yet; /* a port of a protocol that is not served yet was asked for */
	bool json;
	bool accept_loss;
};

static int dev_parse(int argc, char **argv, struct dev_options *o)
{
	uint64_t admin = UINT64_MAX;
	const struct options_row rows[] = {
		{.name = "--dir",
			.text = &o->directory,
			.value = "DIR",
			.help = "folder of everything it keeps; default $GATEHOUSE_DIR, $XDG_STATE_HOME/gatehouse or "
				"~/.local/state/gatehouse"},
		{.name = "--host",
			.text = &o->host,
			.value = "NAME",
			.help = "host name of the hub; default localhost"},
		{.name = "--mqtt-port",
			.number = &o->mqtt_port,
			.value = "N",
			.help = "MQTT over TLS; default 8883, 0 picks a free one"},
		{.name = "--https-port",
			.number = &o->https_port,
			.value = "N",
			.help = "HTTPS; default 443, 0 picks a free one"},
		{.name = "--amqp-port",
			.number = &o->amqp_port,
			.value = "N",
			.help = "AMQP 1.0 over TLS; default 5671, 0 picks a free one"},
		{.name = "--admin-port", .number = &admin, .value = "N", .help = "taken; comes with a later version"},
		{.name = "--accept-loss",
			.flag = &o->accept_loss,
			.help = "start although acknowledged messages are missing from the store"},
		{.name = "--json", .flag = &o->json, .help = "print one JSON line when connections are accepted"},
		{.name = NULL},
	};
	struct options options = {.command = "dev",
		.arguments = "",
		.rows = rows,
		.help = "A complete hub on this machine: certificates, policies and a first device are made in the folder."};
	int code = options_parse(&options, argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (o->mqtt_port > UINT16_MAX)
		return options_wrong(&options, "--mqtt-port is 0 to 65535");
	if (o->https_port > UINT16_MAX)
		return options_wrong(&options, "--https-port is 0 to 65535");
	if (o->amqp_port > UINT16_MAX)
		return options_wrong(&options, "--amqp-port is 0 to 65535");
	if (o->https_port == o->mqtt_port && o->mqtt_port != 0)
		return options_wrong(&options, "--mqtt-port and --https-port are the same");
	if (o->amqp_port != 0 && (o->amqp_port == o->mqtt_port || o->amqp_port == o->https_port))
		return options_wrong(&options, "--amqp-port is that of another protocol");
	if (!*o->host || strlen(o->host) > HOST_NAME_BYTES_MAX)
		return options_wrong(&options, "--host has 1 to %d characters", HOST_NAME_BYTES_MAX);
	o->not_yet = admin != UINT64_MAX;
	return OPTIONS_GO;
}

static char *dev_path(const char *directory, const char *name)
{
	char *path;
	return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

static void dev_listen(struct config_listener *listener, uint64_t port)
{
	free(listener->address);
	*listener = (struct config_listener){.address = strdup("localhost"), .port = (uint32_t)port, .served = true};
}

/* The configuration that serves loopback out of one folder.  Names beyond the hub's own: what this machine is called. */
static struct config *dev_config(const struct dev_options *options, const char *directory, const char *machine)
{
	struct config *config = config_new();
	if (!config)
		return NULL;
	const char *aliases[] = {"localhost", "127.0.0.1", machine};
	config->host_name = strdup(options->host);
	config->hosts[0] = config->host_name;
	for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
		config->hosts[i + 1] = strdup(aliases[i]);
	config->data_dir = strdup(directory);
	config->tls.certificate_file = dev_path(directory, "server.pem");
	config->tls.key_file = dev_path(directory, "server.key");
	dev_listen(&config->mqtt, options->mqtt_port);
	dev_listen(&config->amqp, options->amqp_port);
	dev_listen(&config->https, options->https_port);
	return config;
}

/* The first device: made when it is missing, returned as its document. */
static gh_status dev_device(const struct registry *registry, json_t **ret_device, gh_error *ret_err)
{
	gh_status status = registry_device_get(registry, DEV_DEVICE_ID, NULL, ret_device, ret_err);
	if (status != GH_NOT_FOUND)
		return status;
	json_t *document = json_pack("{s:s}", "deviceId", DEV_DEVICE_ID);
	status = registry_device_create(registry, document, ret_device, ret_err);
	json_decref(document);
	return status;
}

static const char *dev_key(const json_t *holder)
{
	const char *key = json_string_value(json_object_get(holder, "primaryKey"));
	return key ? key : "";
}

static json_t *dev_facts(const struct dev_options *options, const char *directory, const struct gateway *gateway,
	const json_t *device, const json_t *policy)
{
	const json_t *pair = json_object_get(json_object_get(device, "authentication"), "symmetricKey");
	return json_pack("{s:s, s:i, s:i, s:i, s:s+, s:i, s:s, s:s, s:s+++, s:s+++}", "hostName", options->host,
		"mqttPort", (int)gateway_mqtt_port(gateway), "amqpPort", (int)gateway_amqp_port(gateway), "httpsPort",
		(int)gateway_https_port(gateway), "caFile", directory, "/ca.pem", "pid", (int)getpid(), "dataDir",
		directory, "deviceId", DEV_DEVICE_ID, "deviceConnectionString", "HostName=", options->host,
		";DeviceId=" DEV_DEVICE_ID ";SharedAccessKey=", dev_key(pair), "serviceConnectionString",
		"HostName=", options->host, ";SharedAccessKeyName=" DEV_POLICY ";SharedAccessKey=", dev_key(policy));
}

static const char *dev_fact(const json_t *facts, const char *name)
{
	return json_string_value(json_object_get(facts, name));
}

static long long dev_number(const json_t *facts, const char *name)
{
	return json_integer_value(json_object_get(facts, name));
}

static void dev_say(const struct dev_options *options, const json_t *facts)
{
	if (options->json) {
		json_dumpf(facts, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		long long port = dev_number(facts, "mqttPort");
		printf("Gatehouse is ready: MQTT over TLS on %s:%lld, AMQP on %s:%lld, HTTPS on %s:%lld, data in %s\n"
		       "  device      %s\n"
		       "  connection  %s\n"
		       "  service     %s\n"
		       "  CA          %s\n"
		       "What it receives: gatehouse tail --dir %s\n",
			options->host, port, options->host, dev_number(facts, "amqpPort"), options->host,
			dev_number(facts, "httpsPort"), dev_fact(facts, "dataDir"), dev_fact(facts, "deviceId"),
			dev_fact(facts, "deviceConnectionString"), dev_fact(facts, "serviceConnectionString"),
			dev_fact(facts, "caFile"), dev_fact(facts, "dataDir"));
		if (port != DEV_MQTT_PORT)
			printf("Clients that cannot be told a port: GatewayHostName=%s:%lld in the connection string\n",
				options->host, port);
	}
	fflush(stdout);
}

static gh_status dev_serve(
	const struct dev_options *options, const struct config *config, const struct log *log, gh_error *err)
{
	struct gateway *gateway = NULL;
	json_t *device = NULL, *policy = NULL;
	gh_status status = gateway_open(config, log, options->accept_loss, &gateway, err);
	if (status == GH_OK)
		status = dev_device(gateway_registry(gateway), &device, err);
	if (status == GH_OK)
		status = registry_policy_get(gateway_registry(gateway), DEV_POLICY, &policy, err);
	if (status == GH_OK)
		status = gateway_start(gateway, err);
	if (status == GH_OK) {
		json_t *facts = dev_facts(options, config->data_dir, gateway, device, policy);
		dev_say(options, facts);
		json_decref(facts);
		status = gateway_run(gateway, err);
	}
	json_decref(policy);
	json_decref(device);
	gateway_free(gateway);
	return status;
}

static gh_status dev_run(const struct dev_options *options, const struct log *log, gh_error *err)
{
	GH_CLEANUP(take_free) char *given = options->directory ? strdup(options->directory) : place_default();
	GH_CLEANUP(take_free) char *directory = NULL;
	if (!given)
		return gh_fail(err, GH_INVALID, "no_directory", "no data folder is known; give --dir DIR");
	gh_status status = place_make(given, &directory, err);
	if (status != GH_OK)
		return status;
	char machine[HOST_NAME_BYTES_MAX + 1] = "";
	if (gethostname(machine, sizeof machine - 1) != 0 || !machine[0])
		strcpy(machine, "localhost");
	const char *names[] = {"localhost", "127.0.0.1", "::1", machine, options->host, NULL};
	status = tls_make_certificates(directory, names, loop_wall_ms(), err);
	if (status != GH_OK)
		return status;
	struct config *config = dev_config(options, directory, machine);
	status = config ? dev_serve(options, config, log, err) : gh_fail(err, GH_NO_MEMORY, "no_memory", "no memory");
	config_free(config);
	return status;
}

int cli_dev(int argc, char **argv)
{
	struct dev_options options = {.host = "localhost",
		.mqtt_port = DEV_MQTT_PORT,
		.amqp_port = DEV_AMQP_PORT,
		.https_port = DEV_HTTPS_PORT};
	struct log log = {LOG_INFO, loop_wall_ms, log_write_fd, (void *)(intptr_t)STDERR_FILENO};
	int code = dev_parse(argc, argv, &options);
	if (code != OPTIONS_GO)
		return code;
	if (options.not_yet)
		log_event(&log, LOG_WARNING, "not_served",
			"text=\"AMQP and TCP admin listeners come with later versions\"");
	gh_error err = {0};
	if (dev_run(&options, &log, &err) == GH_OK)
		return CLI_DONE;
	fprintf(stderr, "gatehouse dev: %s\n", err.text);
	return CLI_FAILED;
}
