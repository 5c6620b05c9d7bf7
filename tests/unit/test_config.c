/* The configuration file: what it sets, and every way to be wrong with its exact place. */
#include "tests/suite.h"

#include "src/base/limits.h"
#include "src/base/text.h"
#include "src/config.h"
#include "src/config_quantity.h"
#include "src/nearest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

SUITE(config);

#define MINIMAL                                                                                                        \
	"hostName: hub.example.net\ndataDir: /var/lib/gatehouse\ntls: {certificateFile: a.pem, keyFile: a.key}\n"

static struct config *good(const char *text, const char *folder)
{
	static struct config_problems problems;
	problems = (struct config_problems){0};
	struct config *config = config_parse(text_of(text), folder, &problems);
	cr_assert(config, "%s:%u: %s", text, problems.items[0].line, problems.items[0].text);
	cr_assert_eq(problems.count, 0);
	return config;
}

Test(config, minimal_file_leaves_the_defaults)
{
	struct config *config = good(MINIMAL, NULL);
	cr_assert_str_eq(config->host_name, "hub.example.net");
	cr_assert_eq(config->hosts[0], config->host_name);
	cr_assert_null(config->hosts[1]);
	cr_assert_str_eq(config->data_dir, "/var/lib/gatehouse");
	cr_assert_str_eq(config->tls.certificate_file, "a.pem");
	cr_assert_str_eq(config->tls.key_file, "a.key");
	cr_assert_null(config->tls.second_certificate_file);
	cr_assert_eq(config->workers, 0);
	cr_assert_eq(config->log_level, LOG_INFO);
	cr_assert_str_eq(config->mqtt.address, "0.0.0.0");
	cr_assert_eq(config->mqtt.port, 8883);
	cr_assert(config->mqtt.served);
	cr_assert_not(config->https.served);
	cr_assert_eq(config->backend, CONFIG_BACKEND_EMBEDDED);
	cr_assert_eq(config->embedded.level, GH_FSYNC);
	cr_assert_eq(config->disabled_status, GH_DISABLED);
	gh_limits limits;
	limits_defaults(&limits);
	cr_assert_eq(memcmp(&limits, &config->limits, sizeof limits), 0);
	config_free(config);
}

Test(config, every_key_is_read)
{
	struct config *config =
		good("hostName: hub\n"
		     "aliases: [gw.example.net, \"10.0.0.1\"]\n"
		     "dataDir: data\n"
		     "workers: 4\n"
		     "log: {level: debug}\n"
		     "tls:\n"
		     "  certificateFile: c1.pem\n"
		     "  keyFile: /k1.pem\n"
		     "  secondCertificateFile: c2.pem\n"
		     "  secondKeyFile: k2.pem\n"
		     "listeners:\n"
		     "  mqtt: {address: \"::1\", port: 0}\n"
		     "  amqp: {address: 127.0.0.1, port: 5672}\n"
		     "  https: {address: 10.0.0.1, port: 8443, origins: [\"https://a.example\", \"http://b:80\"]}\n"
		     "backend: embedded\n"
		     "embedded: {partitions: 32, level: fsync}\n"
		     "disabledConnack: 5\n"
		     "disableDeviceSas: true\n"
		     "disableModuleSas: false\n"
		     "disableLocalAuth: true\n"
		     "limits: {commit_records_max: 17, record_ms_max: 2s, inflight_bytes_max: 2MiB}\n",
			"/etc/gh/");
	cr_assert_str_eq(config->hosts[0], "hub");
	cr_assert_str_eq(config->hosts[1], "gw.example.net");
	cr_assert_str_eq(config->hosts[2], "10.0.0.1");
	cr_assert_null(config->hosts[3]);
	cr_assert_str_eq(config->data_dir, "/etc/gh/data");
	cr_assert_eq(config->workers, 4);
	cr_assert_eq(config->log_level, LOG_DEBUG);
	cr_assert_str_eq(config->tls.certificate_file, "/etc/gh/c1.pem");
	cr_assert_str_eq(config->tls.key_file, "/k1.pem");
	cr_assert_str_eq(config->tls.second_certificate_file, "/etc/gh/c2.pem");
	cr_assert_str_eq(config->tls.second_key_file, "/etc/gh/k2.pem");
	cr_assert_str_eq(config->mqtt.address, "::1");
	cr_assert_eq(config->mqtt.port, 0);
	cr_assert_str_eq(config->amqp.address, "127.0.0.1");
	cr_assert_eq(config->amqp.port, 5672);
	cr_assert(config->amqp.served);
	cr_assert_str_eq(config->https.address, "10.0.0.1");
	cr_assert_eq(config->https.port, 8443);
	cr_assert_str_eq(config->origins[0], "https://a.example");
	cr_assert_str_eq(config->origins[1], "http://b:80");
	cr_assert_null(config->origins[2]);
	cr_assert(config->mqtt.served && config->https.served);
	cr_assert_eq(config->embedded.partitions, 32);
	cr_assert_eq(config->disabled_status, GH_UNAUTHORIZED);
	cr_assert(config->disable_device_sas && !config->disable_module_sas && config->disable_local_auth);
	cr_assert_eq(config->limits.commit_records_max, 17);
	cr_assert_eq(config->limits.record_ms_max, 2000);
	cr_assert_eq(config->limits.inflight_bytes_max, 2u << 20);
	config_free(config);
}

Test(config, example_file_is_good)
{
	struct config_problems problems = {0};
	struct config *config = config_load(EXAMPLES_DIR "/gatehouse.yaml", &problems);
	cr_assert(config, "%u:%u: %s", problems.items[0].line, problems.items[0].column, problems.items[0].text);
	cr_assert_eq(config->limits.retention_ms_max, 604800000);
	cr_assert(config->https.served);
	config_free(config);
}

/* A gateway that may not bind port 443 starts as before, whatever else its file says about listeners. */
Test(config, https_is_served_when_its_key_is_there_and_only_then)
{
	static const struct {
		const char *text, *address;
		uint32_t port;
		bool served;
	} rows[] = {
		{MINIMAL, "0.0.0.0", 443, false},
		{MINIMAL "listeners: {}\n", "0.0.0.0", 443, false},
		{MINIMAL "listeners: {mqtt: {port: 443}}\n", "0.0.0.0", 443, false},
		{MINIMAL "listeners: {https: {}}\n", "0.0.0.0", 443, true},
		{MINIMAL "listeners: {https: {port: 0}}\n", "0.0.0.0", 0, true},
		{MINIMAL "listeners: {https: {address: localhost}}\n", "localhost", 443, true},
		{MINIMAL "listeners: {mqtt: {port: 0}, https: {port: 0}}\n", "0.0.0.0", 0, true},
		{MINIMAL "listeners: {mqtt: {address: \"::1\", port: 443}, https: {}}\n", "0.0.0.0", 443, true},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct config *config = good(rows[i].text, NULL);
		cr_assert_eq(config->https.served, rows[i].served, "%s", rows[i].text);
		cr_assert_str_eq(config->https.address, rows[i].address, "%s", rows[i].text);
		cr_assert_eq(config->https.port, rows[i].port, "%s", rows[i].text);
		config_free(config);
	}
}

/* MINIMAL has three lines, so what follows it begins in line 4. */
static const struct {
	const char *name, *text;
	uint32_t line, column;
	const char *says;
} bad_rows[] = {
	{"unknown key", MINIMAL "hostname: x\n", 4, 1,
		"unknown key \"hostname\" in the configuration; the nearest known one is \"hostName\""},
	{"unknown key deep", MINIMAL "listeners:\n  mqtt:\n    adress: ::1\n", 6, 5,
		"the nearest known one is \"address\""},
	{"a listener that comes later", MINIMAL "listeners: {admin: {port: 1}}\n", 4, 13,
		"unknown key \"admin\" in listeners"},
	{"unknown limit", MINIMAL "limits:\n  commit_record_max: 1\n", 5, 3,
		"unknown limit \"commit_record_max\"; the nearest known one is \"commit_records_max\""},
	{"control characters in a key", MINIMAL "\"a\\x1bb\": 1\n", 4, 1, "unknown key \"a\\x1bb\""},
	{"key twice", MINIMAL "workers: 1\nworkers: 1\n", 5, 1, "workers is given twice"},
	{"map twice", MINIMAL "log: {level: info}\nlog: {}\n", 5, 1, "log is given twice"},
	{"limit twice", MINIMAL "limits: {fetches_max: 1, fetches_max: 2}\n", 4, 26, "fetches_max is given twice"},
	{"merge key", MINIMAL "<<: {workers: 1}\n", 4, 1, "unknown key \"<<\""},
	{"key that is a list", MINIMAL "? [a]\n: b\n", 4, 3, "a key of the configuration is no text"},
	{"list for text", "hostName: [a]\ndataDir: /d\ntls: {certificateFile: a, keyFile: b}\n", 1, 11,
		"hostName must be one value, not a list"},
	{"text for a map", MINIMAL "log: info\n", 4, 6, "log must be a mapping, not one value"},
	{"list for a map", MINIMAL "log: [level]\n", 4, 6, "log must be a mapping, not a list"},
	{"text for a list", MINIMAL "aliases: gw\n", 4, 10, "aliases must be a list, not one value"},
	{"map in a list", MINIMAL "aliases: [{a: b}]\n", 4, 11, "an alias must be one value, not a mapping"},
	{"map for a number", MINIMAL "workers: {a: 1}\n", 4, 10, "workers must be one value, not a mapping"},
	{"text for a limit's map", MINIMAL "limits: 4\n", 4, 9, "limits must be a mapping, not one value"},
	{"quoted number", MINIMAL "workers: \"4\"\n", 4, 10, "workers must be a number, not a text in quotes"},
	{"quoted limit", MINIMAL "limits: {fetches_max: '4'}\n", 4, 23, "fetches_max must be a number"},
	{"tag", MINIMAL "workers: !!int 4\n", 4, 10, "workers has a tag"},
	{"no value", MINIMAL "workers:\n", 4, 9, "workers has no value"},
	{"null", MINIMAL "workers: null\n", 4, 10, "workers has no value"},
	{"tilde", MINIMAL "workers: ~\n", 4, 10, "workers has no value"},
	{"empty text", "hostName: \"\"\ndataDir: /d\ntls: {certificateFile: a, keyFile: b}\n", 1, 11,
		"hostName has no value"},
	{"NUL", MINIMAL "log: {level: \"in\\0fo\"}\n", 4, 14, "level holds a NUL"},
	{"negative", MINIMAL "workers: -1\n", 4, 10, "workers is \"-1\": a whole number is expected"},
	{"fraction", MINIMAL "workers: 1.5\n", 4, 10, "a whole number is expected"},
	{"hexadecimal", MINIMAL "workers: 0x10\n", 4, 10, "a whole number is expected"},
	{"beyond 64 bits", MINIMAL "workers: 18446744073709551616\n", 4, 10, "a whole number is expected"},
	{"too many workers", MINIMAL "workers: 257\n", 4, 10, "workers is 257, allowed is 0 to 256"},
	{"port 65536", MINIMAL "listeners: {mqtt: {port: 65536}}\n", 4, 26, "port is 65536, allowed is 0 to 65535"},
	{"https without a map", MINIMAL "listeners: {https: 443}\n", 4, 20, "https must be a mapping, not one value"},
	{"https without a value", MINIMAL "listeners:\n  https:\n", 5, 9, "https must be a mapping, not one value"},
	{"https: unknown key", MINIMAL "listeners: {https: {prot: 443}}\n", 4, 21,
		"unknown key \"prot\" in https; the nearest known one is \"port\""},
	{"https: port 65536", MINIMAL "listeners: {https: {port: 65536}}\n", 4, 27,
		"port is 65536, allowed is 0 to 65535"},
	{"https: quoted port", MINIMAL "listeners: {https: {port: \"443\"}}\n", 4, 27, "port must be a number"},
	{"https: port twice", MINIMAL "listeners: {https: {port: 1, port: 1}}\n", 4, 30, "port is given twice"},
	{"https: address by name", MINIMAL "listeners: {https: {address: example}}\n", 4, 30,
		"a numeric address is expected"},
	{"https: no address", MINIMAL "listeners: {https: {address: }}\n", 4, 30, "address has no value"},
	{"https twice", MINIMAL "listeners: {https: {}, https: {}}\n", 4, 24, "https is given twice"},
	{"one port for two", MINIMAL "listeners: {mqtt: {port: 443}, https: {}}\n", 1, 1,
		"mqtt and https have the same address and port"},
	{"33 partitions", MINIMAL "embedded: {partitions: 33}\n", 4, 24, "partitions is 33, allowed is 0 to 32"},
	{"limit out of range", MINIMAL "limits: {fetches_max: 0}\n", 4, 23, "fetches_max is 0, allowed is 1 to 4096"},
	{"limit with a wrong unit", MINIMAL "limits: {record_ms_max: 10 MB}\n", 4, 25, "the unit must be one of us"},
	{"unit where there is none", MINIMAL "limits: {fetches_max: 10s}\n", 4, 23, "a whole number is expected"},
	{"level", MINIMAL "log: {level: loud}\n", 4, 14, "level is \"loud\", allowed is error, warning, info, debug"},
	{"durability it cannot keep", MINIMAL "embedded: {level: quorum}\n", 4, 19,
		"level is \"quorum\", allowed is fsync, memory"},
	{"back end", MINIMAL "backend: kafka\n", 4, 10, "backend is \"kafka\", allowed is embedded"},
	{"switch", MINIMAL "disableDeviceSas: maybe\n", 4, 19, "disableDeviceSas is \"maybe\", allowed is true, false"},
	{"connack", MINIMAL "disabledConnack: 4\n", 4, 18, "disabledConnack is \"4\", allowed is 3, 5"},
	{"address by name", MINIMAL "listeners: {mqtt: {address: example}}\n", 4, 29, "a numeric address is expected"},
	{"origin without a scheme", MINIMAL "listeners: {https: {origins: [a.example]}}\n", 4, 31,
		"an origin is \"a.example\""},
	{"origin with a path", MINIMAL "listeners: {https: {origins: [\"https://a/\"]}}\n", 4, 31, "no path, no slash"},
	{"origin without a host", MINIMAL "listeners: {https: {origins: [\"https://\"]}}\n", 4, 31, "and a host"},
	{"origins as text", MINIMAL "listeners: {https: {origins: none}}\n", 4, 30, "origins must be a list"},
	{"host with port", "hostName: a:8883\ndataDir: /d\ntls: {certificateFile: a, keyFile: b}\n", 1, 11, "no port"},
	{"alias with a slash", MINIMAL "aliases: [a/b]\n", 4, 11, "an alias is \"a/b\""},
	{"aliases, 17", MINIMAL "aliases: [a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a]\n", 4, 43,
		"aliases has more than 16 entries"},
	{"no host name", "dataDir: /d\ntls: {certificateFile: a, keyFile: b}\n", 1, 1,
		"hostName is missing in the configuration"},
	{"no folder", "hostName: a\ntls: {certificateFile: a, keyFile: b}\n", 1, 1, "dataDir is missing"},
	{"no tls", "hostName: a\ndataDir: /d\n", 1, 1, "tls is missing"},
	{"no key file", "hostName: a\ndataDir: /d\ntls: {certificateFile: a}\n", 3, 6, "keyFile is missing in tls"},
	{"half a second pair", "hostName: a\ndataDir: /d\ntls: {certificateFile: a, keyFile: b, secondKeyFile: c}\n", 1,
		1, "come together"},
	{"empty", "", 1, 1, "the configuration is empty"},
	{"comment only", "# nothing\n", 1, 1, "the configuration is empty"},
	{"a text", "hello\n", 1, 1, "the configuration must be a mapping, not one value"},
	{"two documents", MINIMAL "---\nworkers: 1\n", 4, 1, "a second document"},
	{"not YAML", MINIMAL "log: {level: info\n", 5, 1, "did not find expected"},
	{"tab", MINIMAL "log:\n\tlevel: info\n", 5, 1, "cannot start any token"},
	{"unknown anchor", MINIMAL "log: *a\n", 4, 6, "undefined alias"},
	{"anchor in itself", MINIMAL "log: &a {log: *a}\n", 4, 10, "unknown key \"log\" in log"},
	{"not UTF-8", MINIMAL "log: \xff\n", 0, 0, "invalid"},
};

Test(config, bad_files_are_refused_with_their_place)
{
	for (size_t i = 0; i < sizeof bad_rows / sizeof *bad_rows; i++) {
		struct config_problems problems = {0};
		struct config *config = config_parse(text_of(bad_rows[i].text), NULL, &problems);
		cr_assert_null(config, "%s", bad_rows[i].name);
		const struct config_problem *first = &problems.items[0];
		cr_assert_eq(problems.count, 1, "%s: %zu problems, first %u:%u %s", bad_rows[i].name, problems.count,
			first->line, first->column, first->text);
		cr_assert(strstr(first->text, bad_rows[i].says), "%s: %s", bad_rows[i].name, first->text);
		cr_assert(first->line == bad_rows[i].line && first->column == bad_rows[i].column, "%s: %u:%u: %s",
			bad_rows[i].name, first->line, first->column, first->text);
	}
}

Test(config, all_problems_are_told_in_order)
{
	struct config_problems problems = {0};
	cr_assert_null(
		config_parse(text_of("workers: many\nlog: {levl: info}\nlimits: {fetches_max: 0}\n"), NULL, &problems));
	static const struct {
		uint32_t line, column;
	} places[] = {{1, 1}, {1, 1}, {1, 1}, {1, 10}, {2, 7}, {3, 23}};
	cr_assert_eq(problems.count, sizeof places / sizeof *places);
	for (size_t i = 0; i < problems.count; i++)
		cr_assert(problems.items[i].line == places[i].line && problems.items[i].column == places[i].column,
			"%zu: %u:%u %s", i, problems.items[i].line, problems.items[i].column, problems.items[i].text);
}

Test(config, problems_are_bounded_and_printed_one_a_line)
{
	char text[4096] = MINIMAL;
	for (int i = 0; i < 30; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "key%d: 1\n", i);
	struct config_problems problems = {0};
	cr_assert_null(config_parse(text_of(text), NULL, &problems));
	cr_assert_eq(problems.count, CONFIG_PROBLEMS_MAX);
	cr_assert_eq(problems.dropped, 10);
	char *printed = NULL;
	size_t len;
	FILE *to = open_memstream(&printed, &len);
	config_problems_print(&problems, "gh.yaml", to);
	fclose(to);
	cr_assert(strncmp(printed, "gh.yaml:4:1: unknown key \"key0\"", 31) == 0, "%s", printed);
	cr_assert(strstr(printed, "\ngh.yaml: 10 more problems are not shown\n"), "%s", printed);
	free(printed);
}

static bool config_takes_limit(const char *name, const char *value)
{
	char text[1024];
	snprintf(text, sizeof text, MINIMAL "limits: {%s: %s}\n", name, value);
	struct config_problems problems = {0};
	struct config *config = config_parse(text_of(text), NULL, &problems);
	uint64_t expected;
	bool taken = config != NULL;
	if (taken && text_u64(text_of(value), &expected))
		cr_assert_eq(limits_get(&config->limits, limits_find(text_of(name))), expected, "%s: %s", name, value);
	config_free(config);
	return taken;
}

/* Threats 31: 0, -1 and the largest number for every number. */
Test(config, limits_are_taken_from_min_to_max_and_nowhere_else)
{
	for (size_t i = 0; i < limits_count; i++) {
		const struct limits_row *row = &limits_table[i];
		const struct {
			uint64_t value;
			bool taken;
		} rows[] = {
			{row->min, true},
			{row->max, true},
			{row->def, true},
			{row->max + 1, false},
			{0, row->min == 0},
			{row->min - 1, row->min == 0 && row->max == UINT64_MAX},
			{UINT64_MAX, row->max == UINT64_MAX},
		};
		for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
			char value[24];
			snprintf(value, sizeof value, "%" PRIu64, rows[k].value);
			cr_assert_eq(config_takes_limit(row->name, value), rows[k].taken, "%s: %s", row->name, value);
		}
		cr_assert_not(config_takes_limit(row->name, "-1"), "%s: -1", row->name);
		cr_assert_not(config_takes_limit(row->name, "18446744073709551616"), "%s: 2^64", row->name);
		cr_assert_not(config_takes_limit(row->name, "99999999999999999999999"), "%s: 23 digits", row->name);
	}
}

Test(config, other_numbers_are_taken_from_0_to_max_and_nowhere_else)
{
	static const struct {
		const char *format;
		uint64_t max;
	} rows[] = {
		{MINIMAL "workers: %s\n", CONFIG_WORKERS_MAX},
		{MINIMAL "listeners: {mqtt: {port: %s}}\n", 65535},
		{MINIMAL "listeners: {https: {port: %s}}\n", 65535},
		{MINIMAL "embedded: {partitions: %s}\n", CONFIG_PARTITIONS_MAX},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char max[24], over[24];
		snprintf(max, sizeof max, "%" PRIu64, rows[i].max);
		snprintf(over, sizeof over, "%" PRIu64, rows[i].max + 1);
		const struct {
			const char *value;
			bool taken;
		} values[] = {{"0", true}, {max, true}, {over, false}, {"-1", false}, {"18446744073709551615", false},
			{"4294967296", false}};
		for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
			char text[512];
			struct config_problems problems = {0};
			const char *hole = strstr(rows[i].format, "%s");
			snprintf(text, sizeof text, "%.*s%s%s", (int)(hole - rows[i].format), rows[i].format,
				values[k].value, hole + 2);
			struct config *config = config_parse(text_of(text), NULL, &problems);
			cr_assert_eq(config != NULL, values[k].taken, "row %zu: %s", i, values[k].value);
			config_free(config);
		}
	}
}

Test(config, quantities_carry_units_of_their_kind_only)
{
	static const struct {
		const char *name, *text;
		uint64_t value; /* UINT64_MAX = refused */
	} rows[] = {
		{"a_bytes_max", "64", 64},
		{"a_bytes_max", "64B", 64},
		{"a_bytes_max", "64KiB", 65536},
		{"a_bytes_max", "3MiB", 3 << 20},
		{"a_bytes_max", "2GiB", 2ull << 30},
		{"a_bytes_max", "1TiB", 1ull << 40},
		{"a_bytes_max", "64KB", UINT64_MAX},
		{"a_bytes_max", "64kib", UINT64_MAX},
		{"a_bytes_max", "10s", UINT64_MAX},
		{"a_bytes_max", "16777216TiB", UINT64_MAX},
		{"a_bytes_max", "KiB", UINT64_MAX},
		{"a_ms_max", "10", 10},
		{"a_ms_max", "10s", 10000},
		{"a_ms_max", "2m", 120000},
		{"a_ms_max", "1h", 3600000},
		{"a_ms_max", "7d", 604800000},
		{"a_ms_max", "1000us", 1},
		{"a_ms_max", "1us", UINT64_MAX},
		{"a_ms_max", "999999999999999999d", UINT64_MAX},
		{"a_us_max", "2ms", 2000},
		{"a_s_max", "5m", 300},
		{"a_s_max", "1ms", UINT64_MAX},
		{"a_s_max", "1 s", UINT64_MAX},
		{"a_max", "5", 5},
		{"a_max", "5s", UINT64_MAX},
		{"a_max", "", UINT64_MAX},
		{"a_max", "+5", UINT64_MAX},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t value = 0;
		const char *complaint = config_quantity_read(text_of(rows[i].text), rows[i].name, &value);
		cr_assert_eq(complaint != NULL, rows[i].value == UINT64_MAX, "%s: %s", rows[i].name, rows[i].text);
		if (!complaint)
			cr_assert_eq(value, rows[i].value, "%s: %s", rows[i].name, rows[i].text);
	}
}

Test(config, nearest_counts_edits)
{
	static const struct {
		const char *a, *b;
		size_t distance;
	} rows[] = {
		{"", "", 0},
		{"abc", "abc", 0},
		{"ABC", "abc", 0},
		{"abc", "", 3},
		{"", "abc", 3},
		{"abc", "acb", 1},
		{"hostnme", "hostName", 1},
		{"kitten", "sitting", 3},
		{"port", "adress", 5},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		cr_assert_eq(nearest_distance(text_of(rows[i].a), text_of(rows[i].b)), rows[i].distance, "%s %s",
			rows[i].a, rows[i].b);
}

Test(config, unreadable_and_oversize_files_are_one_problem)
{
	struct config_problems problems = {0};
	cr_assert_null(config_load("/nonexistent/gatehouse.yaml", &problems));
	cr_assert_eq(problems.count, 1);
	cr_assert_eq(problems.items[0].line, 0);
	char path[] = "/tmp/gatehouse-config-XXXXXX";
	int fd = mkstemp(path);
	cr_assert(fd >= 0);
	FILE *file = fdopen(fd, "w");
	for (int i = 0; i <= CONFIG_FILE_BYTES_MAX; i++)
		fputc('#', file);
	fclose(file);
	problems = (struct config_problems){0};
	cr_assert_null(config_load(path, &problems));
	cr_assert(strstr(problems.items[0].text, "longer than"), "%s", problems.items[0].text);
	unlink(path);
}

/* Flow brackets without end, and as many anchors as fit: time and memory stay in proportion to the text. */
Test(config, hostile_nesting_is_cheap, .timeout = 10)
{
	static const char *const units[] = {"[", "{", "- ", "? ", "&a [", "{a: ", "\"a\": {", "!<x> ", "? - "};
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		size_t len = strlen(units[i]), n = CONFIG_FILE_BYTES_MAX / 4 / len;
		char *text = malloc(n * len + 1);
		cr_assert(text);
		for (size_t k = 0; k < n; k++)
			memcpy(text + k * len, units[i], len + 1);
		struct config_problems problems = {0};
		cr_assert_null(config_parse(text_of(text), NULL, &problems), "%s", units[i]);
		free(text);
	}
}
