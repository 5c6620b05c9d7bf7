/* log.h: one line per event, foreign text escaped and cut, levels kept. */
#include "tests/suite.h"

#include "src/base/log.h"
#include "src/base/text.h"

SUITE(log);

struct captured {
	char text[2048];
	size_t len;
	int lines;
};

static void capture(void *context, const char *line, size_t len)
{
	struct captured *c = context;
	cr_assert(len < sizeof c->text);
	memcpy(c->text, line, len);
	c->text[len] = '\0';
	c->len = len;
	c->lines++;
}

static uint64_t fixed_wall_ms(void)
{
	return 1700000000123;
}

Test(log, writes_time_level_event_and_pairs_on_one_line)
{
	struct captured c = {0};
	struct log log = {LOG_INFO, fixed_wall_ms, capture, &c};
	log_event(&log, LOG_WARNING, "refused", "code=%s n=%d", "token_expired", 3);
	cr_assert_str_eq(c.text, "2023-11-14T22:13:20.123Z warning refused code=token_expired n=3\n");
	log_event(&log, LOG_DEBUG, "opened", "x=1");
	cr_assert_eq(c.lines, 1, "below the level nothing is written");
	log_event(NULL, LOG_ERROR, "nowhere", "x=1");
}

Test(log, foreign_text_cannot_break_the_line)
{
	cr_assert_str_eq(LOG_TEXT(text_of("a\nb\"c\\\x01\xff")), "\"a\\x0ab\\\"c\\\\\\x01\\xff\"");
	char longer[1000];
	memset(longer, '\n', sizeof longer);
	const char *cut = LOG_TEXT(((gh_bytes){(uint8_t *)longer, sizeof longer}));
	cr_assert(strlen(cut) < 200 && strstr(cut, "...\"") != NULL);
	struct captured c = {0};
	struct log log = {LOG_INFO, NULL, capture, &c};
	memset(longer, 'x', sizeof longer);
	longer[999] = '\0';
	log_event(&log, LOG_INFO, "long", "%s%s", longer, longer);
	cr_assert(c.len == 1024 && c.text[1023] == '\n', "a long line is cut, its newline is not");
}
