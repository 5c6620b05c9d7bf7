/* status.c - names of gh_status and the one way to fill a gh_error. */
#include <gatehouse/error.h>

#include <stdarg.h>
#include <stdio.h>

static const char *const status_names[GH_STATUS_COUNT] = {
	[GH_OK] = "ok",
	[GH_AGAIN] = "again",
	[GH_MALFORMED] = "malformed",
	[GH_INVALID] = "invalid",
	[GH_UNAUTHORIZED] = "unauthorized",
	[GH_DISABLED] = "disabled",
	[GH_NOT_FOUND] = "not_found",
	[GH_EXISTS] = "exists",
	[GH_CONFLICT] = "conflict",
	[GH_TOO_LARGE] = "too_large",
	[GH_QUOTA] = "quota",
	[GH_TAKEN_OVER] = "taken_over",
	[GH_GONE] = "gone",
	[GH_UNKNOWN] = "unknown",
	[GH_NO_SPACE] = "no_space",
	[GH_UNAVAILABLE] = "unavailable",
	[GH_IO] = "io",
	[GH_NO_MEMORY] = "no_memory",
	[GH_INTERNAL] = "internal",
};

const char *gh_status_name(gh_status status)
{
	return (unsigned)status < GH_STATUS_COUNT ? status_names[status] : "?";
}

gh_status gh_fail(gh_error *err, gh_status status, const char *code, const char *format, ...)
{
	if (!err)
		return status;
	err->status = status;
	err->code = code;
	va_list args;
	va_start(args, format);
	vsnprintf(err->text, sizeof err->text, format, args);
	va_end(args);
	return status;
}
