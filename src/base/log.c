#include "src/base/log.h"

#include "src/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

const char *const log_level_names[LOG_LEVEL_COUNT] = {"error", "warning", "info", "debug"};

void log_event(const struct log *log, enum log_level level, const char *event, const char *format, ...)
{
	if (!log || level > log->level)
		return;
	char line[1024];
	size_t len = 0;
	if (log->wall_ms) {
		text_time(log->wall_ms(), line);
		line[TEXT_TIME_SIZE - 1] = ' ';
		len = TEXT_TIME_SIZE;
	}
	int n = snprintf(line + len, sizeof line - len, "%s %s ", log_level_names[level], event);
	if (n > 0)
		len += (size_t)n;
	va_list args;
	va_start(args, format);
	n = vsnprintf(line + len, sizeof line - len, format, args);
	va_end(args);
	if (n > 0)
		len += (size_t)n;
	if (len > sizeof line - 1)
		len = sizeof line - 1;
	line[len++] = '\n';
	log->write(log->context, line, len);
}

void log_write_fd(void *context, const char *line, size_t len)
{
	/* A log that cannot be written has nowhere to say so. */
	ssize_t ignored = write((int)(intptr_t)context, line, len);
	(void)ignored;
}

const char *log_text(struct log_text *room, gh_bytes bytes)
{
	static const char digits[] = "0123456789abcdef";
	char *out = room->text, *end = room->text + sizeof room->text - 9; /* room for an escape, "...", quote, NUL */
	*out++ = '"';
	size_t i = 0;
	for (; i < bytes.len && out < end; i++) {
		uint8_t c = bytes.data[i];
		if (c == '"' || c == '\\') {
			*out++ = '\\';
			*out++ = (char)c;
		} else if (c < 0x20 || c >= 0x7f) {
			*out++ = '\\';
			*out++ = 'x';
			*out++ = digits[c >> 4];
			*out++ = digits[c & 15];
		} else {
			*out++ = (char)c;
		}
	}
	if (i < bytes.len) {
		memcpy(out, "...", 3);
		out += 3;
	}
	*out++ = '"';
	*out = '\0';
	return room->text;
}
