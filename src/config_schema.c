#include "src/config_schema.h"

#include "src/base/limits.h"
#include "src/base/text.h"
#include "src/config_quantity.h"
#include "src/nearest.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

/* One walk over one document. */
struct schema_walk {
	struct config *config;
	yaml_document_t *document;
	const char *folder;
	struct config_problems *problems;
};

struct schema_choice {
	const char *text;
	unsigned value; /* enums are stored as unsigned */
};

/* One key.  Which of the members after `kind` count is said by the kind. */
struct schema_key {
	const char *name;
	enum schema_kind {
		SCHEMA_TEXT,
		SCHEMA_PATH,
		SCHEMA_NUMBER,
		SCHEMA_CHOICE,
		SCHEMA_MAP,
		SCHEMA_LIST,
		SCHEMA_LIMITS
	} kind;
	size_t offset;
	bool required;
	const char *(*check)(gh_bytes text); /* TEXT, LIST: a complaint (static) or NULL; may be NULL */
	uint64_t max;                        /* NUMBER: 0 to max; LIST: as many texts */
	const char *entry;                   /* LIST: what one of them is called */
	const struct schema_choice *choices; /* CHOICE: up to a NULL text */
	const struct schema_key *keys;       /* MAP: up to a NULL name */
	size_t given;                        /* MAP: where it is noted that the key is there; 0 = nowhere */
};

enum { SCHEMA_KEYS_MAX = 16 };

static const char *schema_check_host(gh_bytes text)
{
	if (text.len > CONFIG_HOST_BYTES_MAX)
		return "a host name has at most 253 characters";
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!letter && c != '-' && c != '.' && c != '_')
			return "a host name has letters, digits, '-', '_' and '.' only, and no port";
	}
	return NULL;
}

static const char *schema_check_address(gh_bytes text)
{
	char copy[INET6_ADDRSTRLEN];
	uint8_t address[sizeof(struct in6_addr)];
	if (text_equal(text, text_of("localhost")))
		return NULL;
	if (text.len < sizeof copy) {
		memcpy(copy, text.data, text.len);
		copy[text.len] = '\0';
		if (inet_pton(AF_INET, copy, address) == 1 || inet_pton(AF_INET6, copy, address) == 1)
			return NULL;
	}
	return "a numeric address is expected, as 0.0.0.0 or ::1, or localhost";
}

/* As a browser sends it (RFC 6454 7): scheme, host, a port that is not the scheme's own; nothing behind. */
static const char *schema_check_origin(gh_bytes text)
{
	gh_bytes scheme, rest;
	text_cut(text, ':', &scheme, &rest);
	bool web = text_equal(scheme, text_of("https")) || text_equal(scheme, text_of("http"));
	if (!web || rest.len < 3 || memcmp(rest.data, "//", 2) != 0)
		return "an origin is http:// or https:// and a host, as https://console.example.net";
	if (memchr(rest.data + 2, '/', rest.len - 2))
		return "an origin ends with the host or its port: no path, no slash at the end";
	return NULL;
}

static const struct schema_choice schema_levels_log[] = {
	{"error", LOG_ERROR},
	{"warning", LOG_WARNING},
	{"info", LOG_INFO},
	{"debug", LOG_DEBUG},
	{NULL, 0},
};
/* The levels the embedded queue can keep; others come with the back ends that have them. */
static const struct schema_choice schema_levels_embedded[] = {{"fsync", GH_FSYNC}, {"memory", GH_MEMORY}, {NULL, 0}};
static const struct schema_choice schema_backends[] = {{"embedded", CONFIG_BACKEND_EMBEDDED}, {NULL, 0}};
static const struct schema_choice schema_switch[] = {{"true", true}, {"false", false}, {NULL, 0}};
static const struct schema_choice schema_disabled[] = {{"3", GH_DISABLED}, {"5", GH_UNAUTHORIZED}, {NULL, 0}};

#define AT(member) offsetof(struct config, member)

static const struct schema_key schema_log[] = {
	{.name = "level", .kind = SCHEMA_CHOICE, .offset = AT(log_level), .choices = schema_levels_log},
	{.name = NULL},
};
static const struct schema_key schema_tls[] = {
	{.name = "certificateFile", .kind = SCHEMA_PATH, .offset = AT(tls.certificate_file), .required = true},
	{.name = "keyFile", .kind = SCHEMA_PATH, .offset = AT(tls.key_file), .required = true},
	{.name = "secondCertificateFile", .kind = SCHEMA_PATH, .offset = AT(tls.second_certificate_file)},
	{.name = "secondKeyFile", .kind = SCHEMA_PATH, .offset = AT(tls.second_key_file)},
	{.name = NULL},
};
static const struct schema_key schema_mqtt[] = {
	{.name = "address", .kind = SCHEMA_TEXT, .offset = AT(mqtt.address), .check = schema_check_address},
	{.name = "port", .kind = SCHEMA_NUMBER, .offset = AT(mqtt.port), .max = UINT16_MAX},
	{.name = NULL},
};
static const struct schema_key schema_amqp[] = {
	{.name = "address", .kind = SCHEMA_TEXT, .offset = AT(amqp.address), .check = schema_check_address},
	{.name = "port", .kind = SCHEMA_NUMBER, .offset = AT(amqp.port), .max = UINT16_MAX},
	{.name = NULL},
};
static const struct schema_key schema_https[] = {
	{.name = "address", .kind = SCHEMA_TEXT, .offset = AT(https.address), .check = schema_check_address},
	{.name = "port", .kind = SCHEMA_NUMBER, .offset = AT(https.port), .max = UINT16_MAX},
	{.name = "origins",
		.kind = SCHEMA_LIST,
		.offset = AT(origins),
		.entry = "an origin",
		.check = schema_check_origin,
		.max = CONFIG_ORIGINS_MAX},
	{.name = NULL},
};
static const struct schema_key schema_listeners[] = {
	{.name = "mqtt", .kind = SCHEMA_MAP, .keys = schema_mqtt},
	{.name = "amqp", .kind = SCHEMA_MAP, .keys = schema_amqp, .given = AT(amqp.served)},
	{.name = "https", .kind = SCHEMA_MAP, .keys = schema_https, .given = AT(https.served)},
	{.name = NULL},
};
static const struct schema_key schema_embedded[] = {
	{.name = "partitions", .kind = SCHEMA_NUMBER, .offset = AT(embedded.partitions), .max = CONFIG_PARTITIONS_MAX},
	{.name = "level", .kind = SCHEMA_CHOICE, .offset = AT(embedded.level), .choices = schema_levels_embedded},
	{.name = NULL},
};
static const struct schema_key schema_root[] = {
	{.name = "hostName",
		.kind = SCHEMA_TEXT,
		.offset = AT(host_name),
		.required = true,
		.check = schema_check_host},
	{.name = "aliases",
		.kind = SCHEMA_LIST,
		.offset = AT(hosts[1]),
		.entry = "an alias",
		.check = schema_check_host,
		.max = CONFIG_ALIASES_MAX},
	{.name = "dataDir", .kind = SCHEMA_PATH, .offset = AT(data_dir), .required = true},
	{.name = "workers", .kind = SCHEMA_NUMBER, .offset = AT(workers), .max = CONFIG_WORKERS_MAX},
	{.name = "log", .kind = SCHEMA_MAP, .keys = schema_log},
	{.name = "tls", .kind = SCHEMA_MAP, .keys = schema_tls, .required = true},
	{.name = "listeners", .kind = SCHEMA_MAP, .keys = schema_listeners},
	{.name = "backend", .kind = SCHEMA_CHOICE, .offset = AT(backend), .choices = schema_backends},
	{.name = "embedded", .kind = SCHEMA_MAP, .keys = schema_embedded},
	{.name = "disabledConnack", .kind = SCHEMA_CHOICE, .offset = AT(disabled_status), .choices = schema_disabled},
	{.name = "disableDeviceSas", .kind = SCHEMA_CHOICE, .offset = AT(disable_device_sas), .choices = schema_switch},
	{.name = "disableModuleSas", .kind = SCHEMA_CHOICE, .offset = AT(disable_module_sas), .choices = schema_switch},
	{.name = "disableLocalAuth", .kind = SCHEMA_CHOICE, .offset = AT(disable_local_auth), .choices = schema_switch},
	{.name = "limits", .kind = SCHEMA_LIMITS},
	{.name = NULL},
};

#undef AT

/* ---- values ---- */

#define SCHEMA_COMPLAIN(walk, node, ...)                                                                               \
	config_problem_add((walk)->problems, (node)->start_mark.line + 1, (node)->start_mark.column + 1, __VA_ARGS__)

static gh_bytes schema_scalar(const yaml_node_t *node)
{
	assert(node->type == YAML_SCALAR_NODE);
	return (gh_bytes){node->data.scalar.value, node->data.scalar.length};
}

static bool schema_is_tagged(const yaml_node_t *node)
{
	static const char *const plain[] = {
		[YAML_SCALAR_NODE] = YAML_STR_TAG,
		[YAML_SEQUENCE_NODE] = YAML_SEQ_TAG,
		[YAML_MAPPING_NODE] = YAML_MAP_TAG,
	};
	return node->tag && strcmp((const char *)node->tag, plain[node->type]) != 0;
}

/* Is the node of that type and without a tag?  Complains when it is not. */
static bool schema_is(struct schema_walk *walk, const yaml_node_t *node, yaml_node_type_t type, const char *name)
{
	static const char *const words[] = {
		[YAML_NO_NODE] = "nothing",
		[YAML_SCALAR_NODE] = "one value",
		[YAML_SEQUENCE_NODE] = "a list",
		[YAML_MAPPING_NODE] = "a mapping",
	};
	if (node->type != type)
		SCHEMA_COMPLAIN(walk, node, "%s must be %s, not %s", name, words[type], words[node->type]);
	else if (schema_is_tagged(node))
		SCHEMA_COMPLAIN(walk, node, "%s has a tag; tags are not used here", name);
	else
		return true;
	return false;
}

/* A scalar that says something: neither empty nor null, and without NUL, which no C text can hold. */
static bool schema_text(struct schema_walk *walk, const yaml_node_t *node, const char *name, gh_bytes *ret_text)
{
	if (!schema_is(walk, node, YAML_SCALAR_NODE, name))
		return false;
	gh_bytes text = schema_scalar(node);
	bool plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (text.len == 0 || (plain && (text_equal(text, text_of("~")) || text_equal_nocase(text, text_of("null")))))
		SCHEMA_COMPLAIN(walk, node, "%s has no value", name);
	else if (memchr(text.data, '\0', text.len))
		SCHEMA_COMPLAIN(walk, node, "%s holds a NUL character", name);
	else {
		*ret_text = text;
		return true;
	}
	return false;
}

static bool schema_quoted(struct schema_walk *walk, const yaml_node_t *node, const char *name)
{
	if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		return false;
	SCHEMA_COMPLAIN(walk, node, "%s must be a number, not a text in quotes", name);
	return true;
}

static void schema_set_text(
	struct schema_walk *walk, const yaml_node_t *node, char **at, gh_bytes before, gh_bytes text)
{
	char *copy = malloc(before.len + text.len + 1);
	if (!copy) {
		SCHEMA_COMPLAIN(walk, node, "no memory");
		return;
	}
	memcpy(copy, before.len ? (const char *)before.data : "", before.len);
	memcpy(copy + before.len, text.data, text.len);
	copy[before.len + text.len] = '\0';
	free(*at);
	*at = copy;
}

static void schema_apply_text(struct schema_walk *walk, const struct schema_key *key, const yaml_node_t *node)
{
	gh_bytes text;
	if (!schema_text(walk, node, key->name, &text))
		return;
	const char *complaint = key->check ? key->check(text) : NULL;
	if (complaint)
		SCHEMA_COMPLAIN(walk, node, "%s is %s: %s", key->name, LOG_TEXT(text), complaint);
	else
		schema_set_text(walk, node, (char **)((char *)walk->config + key->offset), (gh_bytes){NULL, 0}, text);
}

static void schema_apply_path(struct schema_walk *walk, const struct schema_key *key, const yaml_node_t *node)
{
	gh_bytes text;
	if (!schema_text(walk, node, key->name, &text))
		return;
	bool relative = walk->folder && text.data[0] != '/';
	schema_set_text(walk, node, (char **)((char *)walk->config + key->offset),
		relative ? text_of(walk->folder) : (gh_bytes){NULL, 0}, text);
}

static void schema_apply_number(struct schema_walk *walk, const struct schema_key *key, const yaml_node_t *node)
{
	gh_bytes text;
	uint64_t value;
	if (!schema_text(walk, node, key->name, &text) || schema_quoted(walk, node, key->name))
		return;
	if (!text_u64(text, &value))
		SCHEMA_COMPLAIN(walk, node, "%s is %s: a whole number is expected", key->name, LOG_TEXT(text));
	else if (value > key->max)
		SCHEMA_COMPLAIN(walk, node, "%s is %" PRIu64 ", allowed is 0 to %" PRIu64, key->name, value, key->max);
	else
		memcpy((char *)walk->config + key->offset, &(uint32_t){(uint32_t)value}, sizeof(uint32_t));
}

static void schema_apply_choice(struct schema_walk *walk, const struct schema_key *key, const yaml_node_t *node)
{
	gh_bytes text;
	if (!schema_text(walk, node, key->name, &text))
		return;
	char list[100] = "";
	for (const struct schema_choice *choice = key->choices; choice->text; choice++) {
		if (text_equal(text, text_of(choice->text))) {
			memcpy((char *)walk->config + key->offset, &choice->value, sizeof choice->value);
			return;
		}
		size_t len = strlen(list);
		snprintf(list + len, sizeof list - len, "%s%s", len ? ", " : "", choice->text);
	}
	SCHEMA_COMPLAIN(walk, node, "%s is %s, allowed is %s", key->name, LOG_TEXT(text), list);
}

static void schema_apply_list(struct schema_walk *walk, const struct schema_key *key, const yaml_node_t *node)
{
	char **list = (char **)((char *)walk->config + key->offset);
	if (!schema_is(walk, node, YAML_SEQUENCE_NODE, key->name))
		return;
	size_t count = 0;
	for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
		const yaml_node_t *element = yaml_document_get_node(walk->document, *item);
		gh_bytes text;
		if (count == key->max) {
			SCHEMA_COMPLAIN(walk, element, "%s has more than %" PRIu64 " entries", key->name, key->max);
			return;
		}
		if (!schema_text(walk, element, key->entry, &text))
			continue;
		const char *complaint = key->check(text);
		if (complaint)
			SCHEMA_COMPLAIN(walk, element, "%s is %s: %s", key->entry, LOG_TEXT(text), complaint);
		else
			schema_set_text(walk, element, &list[count++], (gh_bytes){NULL, 0}, text);
	}
}

/* ---- mappings ---- */

/* The text of a key node; complains when it is no plain text. */
static bool schema_key_text(struct schema_walk *walk, const yaml_node_t *node, const char *path, gh_bytes *ret_text)
{
	if (node->type != YAML_SCALAR_NODE) {
		SCHEMA_COMPLAIN(walk, node, "a key of %s is no text", path);
		return false;
	}
	*ret_text = schema_scalar(node);
	return true;
}

static void schema_apply_limit(struct schema_walk *walk, const struct limits_row *row, const yaml_node_t *node)
{
	gh_bytes text;
	uint64_t value;
	gh_error err;
	if (!schema_text(walk, node, row->name, &text) || schema_quoted(walk, node, row->name))
		return;
	const char *complaint = config_quantity_read(text, row->name, &value);
	if (complaint)
		SCHEMA_COMPLAIN(walk, node, "%s is %s: %s", row->name, LOG_TEXT(text), complaint);
	else if (limits_set(&walk->config->limits, row, value, &err) != GH_OK)
		SCHEMA_COMPLAIN(walk, node, "%s", err.text);
}

static void schema_apply_limits(struct schema_walk *walk, const struct schema_key *key, const yaml_node_t *node)
{
	enum { ROWS_MAX = 256 };
	bool seen[ROWS_MAX] = {false};
	assert(limits_count <= ROWS_MAX);
	if (!schema_is(walk, node, YAML_MAPPING_NODE, key->name))
		return;
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *name_node = yaml_document_get_node(walk->document, pair->key);
		gh_bytes name;
		if (!schema_key_text(walk, name_node, key->name, &name))
			continue;
		const struct limits_row *row = limits_find(name);
		if (!row) {
			struct nearest nearest = {.word = name};
			for (size_t i = 0; i < limits_count; i++)
				nearest_consider(&nearest, limits_table[i].name);
			SCHEMA_COMPLAIN(walk, name_node, "unknown limit %s; the nearest known one is \"%s\"",
				LOG_TEXT(name), nearest.best);
		} else if (seen[row - limits_table]) {
			SCHEMA_COMPLAIN(walk, name_node, "%s is given twice", row->name);
		} else {
			seen[row - limits_table] = true;
			schema_apply_limit(walk, row, yaml_document_get_node(walk->document, pair->value));
		}
	}
}

static void schema_apply_map(struct schema_walk *walk, const struct schema_key *key, const yaml_node_t *node);

static void schema_apply_key(struct schema_walk *walk, const struct schema_key *key, const yaml_node_t *node)
{
	static void (*const appliers[])(struct schema_walk *, const struct schema_key *, const yaml_node_t *) = {
		[SCHEMA_TEXT] = schema_apply_text,
		[SCHEMA_PATH] = schema_apply_path,
		[SCHEMA_NUMBER] = schema_apply_number,
		[SCHEMA_CHOICE] = schema_apply_choice,
		[SCHEMA_MAP] = schema_apply_map,
		[SCHEMA_LIST] = schema_apply_list,
		[SCHEMA_LIMITS] = schema_apply_limits,
	};
	appliers[key->kind](walk, key, node);
}

static const struct schema_key *schema_key_find(const struct schema_key *keys, gh_bytes name)
{
	for (; keys->name; keys++)
		if (text_equal(name, text_of(keys->name)))
			return keys;
	return NULL;
}

static void schema_unknown(
	struct schema_walk *walk, const struct schema_key *map, const yaml_node_t *node, gh_bytes name)
{
	struct nearest nearest = {.word = name};
	for (const struct schema_key *key = map->keys; key->name; key++)
		nearest_consider(&nearest, key->name);
	SCHEMA_COMPLAIN(walk, node, "unknown key %s in %s; the nearest known one is \"%s\"", LOG_TEXT(name), map->name,
		nearest.best);
}

static void schema_apply_map(struct schema_walk *walk, const struct schema_key *map, const yaml_node_t *node)
{
	bool seen[SCHEMA_KEYS_MAX] = {false};
	if (!schema_is(walk, node, YAML_MAPPING_NODE, map->name))
		return;
	if (map->given)
		memcpy((char *)walk->config + map->given, &(unsigned){true}, sizeof(unsigned));
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *name_node = yaml_document_get_node(walk->document, pair->key);
		gh_bytes name;
		if (!schema_key_text(walk, name_node, map->name, &name))
			continue;
		const struct schema_key *key = schema_key_find(map->keys, name);
		if (!key) {
			schema_unknown(walk, map, name_node, name);
			continue;
		}
		size_t index = (size_t)(key - map->keys);
		assert(index < SCHEMA_KEYS_MAX);
		if (seen[index]) {
			SCHEMA_COMPLAIN(walk, name_node, "%s is given twice", key->name);
			continue;
		}
		seen[index] = true;
		schema_apply_key(walk, key, yaml_document_get_node(walk->document, pair->value));
	}
	for (const struct schema_key *key = map->keys; key->name; key++)
		if (key->required && !seen[key - map->keys])
			SCHEMA_COMPLAIN(walk, node, "%s is missing in %s", key->name, map->name);
}

/* What no single key can tell. */
static void schema_check_whole(struct schema_walk *walk, const yaml_node_t *root)
{
	const struct config_tls *tls = &walk->config->tls;
	if (!tls->second_certificate_file != !tls->second_key_file)
		SCHEMA_COMPLAIN(walk, root, "secondCertificateFile and secondKeyFile come together or not at all");
	const struct config_listener *mqtt = &walk->config->mqtt, *https = &walk->config->https;
	if (https->served && https->port && https->port == mqtt->port && strcmp(https->address, mqtt->address) == 0)
		SCHEMA_COMPLAIN(walk, root, "mqtt and https have the same address and port");
}

void config_schema_apply(
	struct config *config, yaml_document_t *document, const char *folder, struct config_problems *problems)
{
	static const struct schema_key whole = {.name = "the configuration", .kind = SCHEMA_MAP, .keys = schema_root};
	struct schema_walk walk = {config, document, folder, problems};
	const yaml_node_t *root = yaml_document_get_root_node(document);
	if (!root) {
		config_problem_add(
			problems, 1, 1, "the configuration is empty; hostName, dataDir and tls are required");
		return;
	}
	schema_apply_map(&walk, &whole, root);
	schema_check_whole(&walk, root);
	config->hosts[0] = config->host_name;
}
