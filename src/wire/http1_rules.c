#include "src/wire/http1_rules.h"

#include "src/base/text.h"

#include <assert.h>

static const struct {
	gh_status status;
	uint16_t http;
	const char *code;
	const char *text;
} rules[RULE_COUNT] = {
#define X(id, status, http, code, text) [RULE_##id] = {status, http, code, text},
	HTTP1_RULES(X)
#undef X
};

gh_status http1_rules_refuse(enum http1_rule rule, gh_error *ret_err)
{
	assert(rule > RULE_MORE && rule < RULE_COUNT);
	return gh_fail(ret_err, rules[rule].status, rules[rule].code, "%s", rules[rule].text);
}

uint16_t http1_rules_http(enum http1_rule rule)
{
	assert(rule > RULE_MORE && rule < RULE_COUNT);
	return rules[rule].http;
}

enum {
	TEXT = HTTP1_TEXT,
	SIGN = TEXT | HTTP1_TOKEN,
	PATH = TEXT | HTTP1_TARGET,
	NAME = PATH | HTTP1_TOKEN,
	PORT = PATH | HTTP1_HOST,
	ALL = NAME | HTTP1_HOST,
};

const uint8_t http1_rules_classes[256] = {
	['\t'] = TEXT,
	[' '] = TEXT,
	['!'] = ALL,
	['"'] = PATH,
	['#'] = SIGN,
	['$' ... '\''] = ALL,
	['(' ... ')'] = PORT,
	['*' ... '+'] = ALL,
	[','] = PORT,
	['-' ... '.'] = ALL,
	['/'] = PATH,
	['0' ... '9'] = ALL,
	[':' ... ';'] = PORT,
	['<'] = PATH,
	['='] = PORT,
	['>' ... '@'] = PATH,
	['A' ... 'Z'] = ALL,
	['['] = PORT,
	['\\'] = PATH,
	[']'] = PORT,
	['^'] = NAME,
	['_'] = ALL,
	['`'] = NAME,
	['a' ... 'z'] = ALL,
	['{'] = PATH,
	['|'] = NAME,
	['}'] = PATH,
	['~'] = ALL,
	[0x80 ... 0xff] = TEXT,
};

bool http1_rules_all(gh_bytes text, enum http1_class class)
{
	for (size_t i = 0; i < text.len; i++)
		if (!http1_rules_is(text.data[i], class))
			return false;
	return true;
}

gh_bytes http1_rules_trim(gh_bytes text)
{
	while (text.len && http1_rules_is_blank(text.data[text.len - 1]))
		text.len--;
	while (text.len && http1_rules_is_blank(text.data[0]))
		text = (gh_bytes){text.data + 1, text.len - 1};
	return text;
}

bool http1_rules_list_next(gh_bytes *list, gh_bytes *ret_member)
{
	if (list->len == 0)
		return false;
	text_cut(*list, ',', ret_member, list);
	*ret_member = http1_rules_trim(*ret_member);
	return true;
}

enum http1_rule http1_rules_byte(uint8_t c, enum http1_rule other)
{
	if (c == '\n')
		return RULE_BARE_LF;
	bool control = (c < ' ' || c == 0x7f) && c != '\r' && c != '\t';
	return control ? RULE_CONTROL : other;
}

enum http1_rule http1_rules_name_byte(uint8_t c, bool line_begins)
{
	if (http1_rules_is_blank(c))
		return line_begins ? RULE_FOLDED : RULE_NAME_BLANK;
	return http1_rules_byte(c, RULE_NAME);
}
