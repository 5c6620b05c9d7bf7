#include "src/config.h"

#include "src/base/buf.h"
#include "src/base/limits.h"
#include "src/base/take.h"
#include "src/base/text.h"
#include "src/config_schema.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct config *config_new(void)
{
	struct config *config = calloc(1, sizeof *config);
	if (!config)
		return NULL;
	config->log_level = LOG_INFO;
	config->mqtt = (struct config_listener){.address = strdup("0.0.0.0"), .port = 8883, .served = true};
	config->amqp = (struct config_listener){.address = strdup("0.0.0.0"), .port = 5671};
	config->https = (struct config_listener){.address = strdup("0.0.0.0"), .port = 443};
	config->embedded.level = GH_FSYNC;
	config->disabled_status = GH_DISABLED;
	limits_defaults(&config->limits);
	if (!config->mqtt.address || !config->amqp.address || !config->https.address) {
		config_free(config);
		return NULL;
	}
	return config;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 1; i < sizeof config->hosts / sizeof *config->hosts; i++)
		free(config->hosts[i]);
	free(config->host_name);
	free(config->data_dir);
	free(config->tls.certificate_file);
	free(config->tls.key_file);
	free(config->tls.second_certificate_file);
	free(config->tls.second_key_file);
	free(config->mqtt.address);
	free(config->amqp.address);
	free(config->https.address);
	for (size_t i = 0; i < CONFIG_ORIGINS_MAX; i++)
		free(config->origins[i]);
	free(config);
}

/* Reads the first document into *ret_document and makes sure that nothing follows. */
static bool config_parse_yaml(yaml_parser_t *parser, yaml_document_t *ret_document, struct config_problems *problems)
{
	if (yaml_parser_load(parser, ret_document))
		return true;
	if (parser->error == YAML_MEMORY_ERROR)
		config_problem_add(problems, 0, 0, "no memory");
	else if (parser->error == YAML_READER_ERROR)
		config_problem_add(problems, 0, 0, "at byte %zu: %s", parser->problem_offset, parser->problem);
	else
		config_problem_add(problems, parser->problem_mark.line + 1, parser->problem_mark.column + 1, "%s%s%s",
			parser->problem ? parser->problem : "not YAML", parser->context ? " " : "",
			parser->context ? parser->context : "");
	return false;
}

static void config_parse_end(yaml_parser_t *parser, struct config_problems *problems)
{
	yaml_document_t second;
	if (!config_parse_yaml(parser, &second, problems))
		return;
	if (yaml_document_get_root_node(&second))
		config_problem_add(problems, second.start_mark.line + 1, second.start_mark.column + 1,
			"a second document; the configuration is one");
	yaml_document_delete(&second);
}

/* The loader and its scanner take time in the square of the nesting, so a first pass over the events bounds it.  Other
 * faults are left to the loader, which says more. */
static bool config_parse_depth(gh_bytes text, struct config_problems *problems)
{
	static const int steps[YAML_MAPPING_END_EVENT + 1] = {
		[YAML_SEQUENCE_START_EVENT] = 1,
		[YAML_SEQUENCE_END_EVENT] = -1,
		[YAML_MAPPING_START_EVENT] = 1,
		[YAML_MAPPING_END_EVENT] = -1,
	};
	yaml_parser_t parser;
	if (!yaml_parser_initialize(&parser)) {
		config_problem_add(problems, 0, 0, "no memory");
		return false;
	}
	yaml_parser_set_input_string(&parser, text.data, text.len);
	yaml_event_t event;
	int depth = 0;
	bool end = false;
	while (!end && depth <= CONFIG_DEPTH_MAX && yaml_parser_parse(&parser, &event)) {
		depth += steps[event.type];
		end = event.type == YAML_STREAM_END_EVENT;
		if (depth > CONFIG_DEPTH_MAX)
			config_problem_add(problems, event.start_mark.line + 1, event.start_mark.column + 1,
				"nested more than %d deep", CONFIG_DEPTH_MAX);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return depth <= CONFIG_DEPTH_MAX;
}

struct config *config_parse(gh_bytes text, const char *folder, struct config_problems *problems)
{
	size_t problems_before = problems->count;
	if (text.len == 0)
		text = text_of("\n");
	if (!config_parse_depth(text, problems))
		return NULL;
	struct config *config = config_new();
	yaml_parser_t parser;
	if (!config || !yaml_parser_initialize(&parser)) {
		config_problem_add(problems, 0, 0, "no memory");
		config_free(config);
		return NULL;
	}
	yaml_parser_set_input_string(&parser, text.data, text.len);
	yaml_document_t document;
	if (config_parse_yaml(&parser, &document, problems)) {
		config_schema_apply(config, &document, folder, problems);
		yaml_document_delete(&document);
		config_parse_end(&parser, problems);
	}
	yaml_parser_delete(&parser);
	if (problems->count > problems_before) {
		config_free(config);
		return NULL;
	}
	return config;
}

/* One byte over the bound is read, so that a longer file is seen as such. */
static bool config_read(FILE *file, struct buf *text)
{
	uint8_t chunk[4096];
	size_t n;
	while (text->len <= CONFIG_FILE_BYTES_MAX && (n = fread(chunk, 1, sizeof chunk, file)) > 0)
		buf_append(text, chunk, n);
	return !ferror(file) && !text->failed;
}

struct config *config_load(const char *path, struct config_problems *problems)
{
	bool from_stdin = strcmp(path, "-") == 0;
	FILE *file = from_stdin ? stdin : fopen(path, "re");
	if (!file) {
		config_problem_add(problems, 0, 0, "%s", strerror(errno));
		return NULL;
	}
	struct buf text GH_CLEANUP(buf_done);
	buf_init(&text, 0);
	bool read = config_read(file, &text);
	int error = errno;
	if (!from_stdin)
		fclose(file);
	if (!read) {
		config_problem_add(problems, 0, 0, "%s", strerror(error));
		return NULL;
	}
	if (text.len > CONFIG_FILE_BYTES_MAX) {
		config_problem_add(problems, 0, 0, "longer than %d bytes", CONFIG_FILE_BYTES_MAX);
		return NULL;
	}
	const char *slash = strrchr(path, '/');
	char *folder GH_CLEANUP(take_free) = slash ? strndup(path, (size_t)(slash - path) + 1) : NULL;
	if (slash && !folder) {
		config_problem_add(problems, 0, 0, "no memory");
		return NULL;
	}
	return config_parse(buf_bytes(&text), from_stdin ? NULL : folder, problems);
}
