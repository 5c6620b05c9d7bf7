/* log.h - one structured line per event: time, level, event, key=value pairs.
 *
 * Values that come from a peer go through LOG_TEXT, which escapes and cuts them.  Nothing secret is ever passed in.
 * Threads: a log may be written from any thread; one line is one write.
 */
#ifndef GATEHOUSE_BASE_LOG_H
#define GATEHOUSE_BASE_LOG_H

#include <gatehouse/message.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_LEVEL_COUNT };

struct log {
	enum log_level level;
	uint64_t (*wall_ms)(void);                                  /* passed in; NULL = lines carry no time */
	void (*write)(void *context, const char *line, size_t len); /* a whole line with its newline */
	void *context;
};

extern const char *const log_level_names[LOG_LEVEL_COUNT];

/* `event` is a stable word; `format` makes "key=value key=value".  log may be NULL: nothing happens. */
void log_event(const struct log *log, enum log_level level, const char *event, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Writes lines to a descriptor; context is (void *)(intptr_t)fd. */
void log_write_fd(void *context, const char *line, size_t len);

/* A quoted, escaped, cut copy of foreign text, for a %s: log_text(&(struct log_text){0}, bytes). */
struct log_text {
	char text[200];
};
const char *log_text(struct log_text *room, gh_bytes bytes);
#define LOG_TEXT(bytes) log_text(&(struct log_text){{0}}, (bytes))

#endif
