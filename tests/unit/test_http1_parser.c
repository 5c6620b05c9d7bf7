/* Heads of HTTP/1.1 requests: what is read from them, what is refused, at which byte, and that no cut changes either. */
#include "tests/suite.h"

#include "src/base/buf.h"
#include "src/base/limits.h"
#include "src/base/text.h"
#include "src/wire/http1_parser.h"

#include <stdio.h>
#include <stdlib.h>

SUITE(http1_parser);

/* The linker sends every realloc of this program through here (tests/unit/wire.am). */
static bool memory_is_out;
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
	return memory_is_out ? NULL : __real_realloc(old, size);
}

/* ---- feeding ---- */

/* What became of a head: its meaning in words, or the code it was refused with. */
struct outcome {
	gh_status status;
	uint16_t http;
	size_t fed; /* bytes that were there then */
	size_t len; /* of the head */
	char says[65536];
};

static void outcome_print(struct outcome *out, const struct http1_head *head, const uint8_t *bytes)
{
	FILE *f = fmemopen(out->says, sizeof out->says, "w");
	cr_assert(f != NULL);
	gh_bytes method = http1_text(head->method, bytes), target = http1_text(head->target, bytes);
	fprintf(f, "%.*s %.*s 1.%d", (int)method.len, method.data, (int)target.len, target.data, head->minor);
	fputs(head->keep_alive ? " keep" : " close", f);
	fputs(head->chunked ? " chunked" : "", f);
	fputs(head->expect_continue ? " expect" : "", f);
	fputs(head->upgrade ? " upgrade" : "", f);
	if (head->has_length)
		fprintf(f, " length %llu", (unsigned long long)head->content_length);
	for (size_t i = 0; i < head->field_count; i++) {
		gh_bytes name = http1_text(head->fields[i].name, bytes);
		gh_bytes value = http1_text(head->fields[i].value, bytes);
		fprintf(f, "|%.*s=%.*s", (int)name.len, name.data, (int)value.len, value.data);
	}
	fclose(f);
}

/* Hands a head the first `first` bytes, then `step` more at a time, each time in a copy of exactly that length, so that
 * a sanitizer sees any step beyond it. */
static void head_feed(gh_bytes bytes, size_t first, size_t step, const gh_limits *limits, struct outcome *out)
{
	struct http1_head head;
	gh_error err;
	http1_head_init(&head);
	out->http = 0;
	for (size_t n = first;; n = bytes.len - n < step ? bytes.len : n + step) {
		uint8_t *exact = malloc(n ? n : 1);
		cr_assert(exact != NULL);
		if (n)
			memcpy(exact, bytes.data, n);
		out->status = http1_head_next(&head, (gh_bytes){exact, n}, limits, &out->http, &err);
		out->fed = n;
		out->len = head.len;
		if (out->status == GH_OK)
			outcome_print(out, &head, exact);
		else if (out->status != GH_AGAIN)
			snprintf(out->says, sizeof out->says, "%s", err.code);
		free(exact);
		if (out->status != GH_AGAIN || n == bytes.len)
			break;
	}
	http1_head_done(&head);
}

struct head_case {
	const char *name;
	const char *bytes;
	size_t len;
	uint16_t http;
	const char *says;
};
#define HEAD(text) text, sizeof(text) - 1

static gh_status status_of(uint16_t http)
{
	static const struct {
		uint16_t http;
		gh_status status;
	} rows[] = {{0, GH_OK}, {400, GH_MALFORMED}, {414, GH_TOO_LARGE}, {431, GH_TOO_LARGE}, {503, GH_NO_MEMORY}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].http == http)
			return rows[i].status;
	return GH_INVALID;
}

static void outcome_is(const struct outcome *out, const struct head_case *row, const char *how, size_t at)
{
	cr_assert(
		out->status == status_of(row->http), "%s, %s %zu: %s", row->name, how, at, gh_status_name(out->status));
	cr_assert(out->http == row->http, "%s, %s %zu: %u", row->name, how, at, out->http);
	cr_assert(strcmp(out->says, row->says) == 0, "%s, %s %zu: %s", row->name, how, at, out->says);
	cr_assert(row->http || out->len == row->len, "%s, %s %zu: length %zu", row->name, how, at, out->len);
}

/* Each row ends with the byte that decides: not one less does, and it does not matter what follows or how it was cut. */
static void head_judge(const struct head_case *row)
{
	static const char *const tails[] = {"", "\r\n\r\n", "GET / HTTP/1.1\r\n", "\n", " :"};
	static struct outcome out;
	gh_limits limits;
	limits_defaults(&limits);
	gh_bytes bytes = {(const uint8_t *)row->bytes, row->len};
	head_feed(bytes, 0, 1, &limits, &out);
	outcome_is(&out, row, "byte by byte", out.fed);
	cr_assert(out.fed == row->len, "%s: decided at byte %zu of %zu", row->name, out.fed, row->len);
	for (size_t cut = 0; cut < row->len; cut++) {
		head_feed(bytes, cut, row->len, &limits, &out);
		outcome_is(&out, row, "cut at", cut);
	}
	for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
		struct buf more = {0};
		buf_append(&more, row->bytes, row->len);
		buf_append(&more, tails[i], strlen(tails[i]));
		head_feed(buf_bytes(&more), more.len, 1, &limits, &out);
		outcome_is(&out, row, "tail", i);
		buf_done(&more);
	}
}

static void head_judge_all(const struct head_case *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		head_judge(&rows[i]);
}

/* ---- what is read ---- */

#define GET "GET / HTTP/1.1\r\nHost: h\r\n"
#define GET_1_0 "GET / HTTP/1.0\r\n"
#define SAYS "GET / 1.1 keep"

static const struct head_case accepted[] = {
	{"least of HTTP/1.0", HEAD("GET / HTTP/1.0\r\n\r\n"), 0, "GET / 1.0 close"},
	{"least of HTTP/1.1", HEAD("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 0, SAYS "|Host="},
	{"one empty line in front", HEAD("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), 0, SAYS "|Host=h"},
	{"any method that is a token", HEAD("!#$%&'*+-.^_`|~09azAZ / HTTP/1.0\r\n\r\n"), 0,
		"!#$%&'*+-.^_`|~09azAZ / 1.0 close"},
	{"a method of 32", HEAD("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.0\r\n\r\n"), 0,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / 1.0 close"},
	{"path and query", HEAD("GET /devices/a%20b/messages?x=1&y=%2F/? HTTP/1.0\r\n\r\n"), 0,
		"GET /devices/a%20b/messages?x=1&y=%2F/? 1.0 close"},
	{"any visible character but #", HEAD("GET /!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~ HTTP/1.0\r\n\r\n"), 0,
		"GET /!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~ 1.0 close"},
	{"absolute form", HEAD("GET http://hub.example.net:80/a?b HTTP/1.0\r\n\r\n"), 0, "GET /a?b 1.0 close"},
	{"absolute form, https, any case", HEAD("GET HTTPS://[::1]/a HTTP/1.0\r\n\r\n"), 0, "GET /a 1.0 close"},
	{"absolute form without a path", HEAD("GET http://h HTTP/1.0\r\n\r\n"), 0, "GET / 1.0 close"},
	{"absolute form without a path, https", HEAD("GET https://h:443 HTTP/1.0\r\n\r\n"), 0, "GET / 1.0 close"},
	{"OPTIONS *", HEAD("OPTIONS * HTTP/1.0\r\n\r\n"), 0, "OPTIONS * 1.0 close"},
	{"OPTIONS of a path", HEAD("OPTIONS /a HTTP/1.0\r\n\r\n"), 0, "OPTIONS /a 1.0 close"},
	{"Host with a port", HEAD("GET / HTTP/1.1\r\nHost: hub.example.net:443\r\n\r\n"), 0,
		SAYS "|Host=hub.example.net:443"},
	{"Host of every kind", HEAD("GET / HTTP/1.1\r\nHost: aZ09-._~%!$&'()*+,;=:[]\r\n\r\n"), 0,
		SAYS "|Host=aZ09-._~%!$&'()*+,;=:[]"},
	{"must_72 names in any case",
		HEAD("PUT / HTTP/1.1\r\nhOST: h\r\nCONTENT-length: 7\r\nCoNNection: CLOSE\r\n\r\n"), 0,
		"PUT / 1.1 close length 7|hOST=h|CONTENT-length=7|CoNNection=CLOSE"},
	{"blanks around a value", HEAD(GET "A: \t b c\t \r\nB:d\r\nC: \t\r\n\r\n"), 0, SAYS "|Host=h|A=b c|B=d|C="},
	{"any character in a value", HEAD(GET "A: \x80\xff\t~ !\"#:,;\r\n\r\n"), 0,
		SAYS "|Host=h|A=\x80\xff\t~ !\"#:,;"},
	{"any token as a name", HEAD(GET "!#$%&'*+-.^_`|~09azAZ: v\r\n\r\n"), 0,
		SAYS "|Host=h|!#$%&'*+-.^_`|~09azAZ=v"},
	{"a name given twice", HEAD(GET "A: 1\r\na: 2\r\n\r\n"), 0, SAYS "|Host=h|A=1|a=2"},
	{"names that are not what they resemble",
		HEAD(GET
			"Content_Length: 1\r\nContent-Lengt: 2\r\nTransfer_Encoding: x\r\nHos: a b\r\nHorse: a b\r\n\r\n"),
		0, SAYS "|Host=h|Content_Length=1|Content-Lengt=2|Transfer_Encoding=x|Hos=a b|Horse=a b"},
	{"Content-Length 0", HEAD(GET "Content-Length: 0\r\n\r\n"), 0, SAYS " length 0|Host=h|Content-Length=0"},
	{"Content-Length of 19 digits", HEAD(GET "Content-Length: 9999999999999999999\r\n\r\n"), 0,
		SAYS " length 9999999999999999999|Host=h|Content-Length=9999999999999999999"},
	{"Content-Length with zeros in front", HEAD(GET "Content-Length: 007\r\n\r\n"), 0,
		SAYS " length 7|Host=h|Content-Length=007"},
	{"Content-Length in HTTP/1.0", HEAD(GET_1_0 "Content-Length: 5\r\n\r\n"), 0,
		"GET / 1.0 close length 5|Content-Length=5"},
	{"must_72 chunked", HEAD(GET "Transfer-Encoding: chunked\r\n\r\n"), 0,
		SAYS " chunked|Host=h|Transfer-Encoding=chunked"},
	{"must_72 chunked in any case", HEAD(GET "TRANSFER-ENCODING: chunKed\r\n\r\n"), 0,
		SAYS " chunked|Host=h|TRANSFER-ENCODING=chunKed"},
	{"chunked between tabs", HEAD(GET "Transfer-Encoding:\tchunked \t\r\n\r\n"), 0,
		SAYS " chunked|Host=h|Transfer-Encoding=chunked"},
	{"Connection: close", HEAD(GET "Connection: close\r\n\r\n"), 0, "GET / 1.1 close|Host=h|Connection=close"},
	{"close among others", HEAD(GET "Connection: a, ,\tCLOSE ,keep-alive\r\n\r\n"), 0,
		"GET / 1.1 close|Host=h|Connection=a, ,\tCLOSE ,keep-alive"},
	{"close in another field", HEAD(GET "Connection: keep-alive\r\nConnection: close\r\n\r\n"), 0,
		"GET / 1.1 close|Host=h|Connection=keep-alive|Connection=close"},
	{"a Connection of nothing", HEAD(GET "Connection:\r\n\r\n"), 0, SAYS "|Host=h|Connection="},
	{"closed is not close", HEAD(GET "Connection: closed\r\n\r\n"), 0, SAYS "|Host=h|Connection=closed"},
	{"HTTP/1.0 kept alive", HEAD(GET_1_0 "Connection: Keep-Alive\r\n\r\n"), 0,
		"GET / 1.0 keep|Connection=Keep-Alive"},
	{"HTTP/1.0 kept alive and closed", HEAD(GET_1_0 "Connection: keep-alive, close\r\n\r\n"), 0,
		"GET / 1.0 close|Connection=keep-alive, close"},
	{"Expect", HEAD(GET "Expect: 100-Continue\r\n\r\n"), 0, SAYS " expect|Host=h|Expect=100-Continue"},
	{"Expect in HTTP/1.0", HEAD(GET_1_0 "Expect: 100-continue\r\n\r\n"), 0, "GET / 1.0 close|Expect=100-continue"},
	{"Upgrade", HEAD(GET "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n"), 0,
		SAYS " upgrade|Host=h|Upgrade=websocket|Connection=keep-alive, Upgrade"},
	{"Upgrade that Connection does not name", HEAD(GET "Upgrade: websocket\r\n\r\n"), 0,
		SAYS "|Host=h|Upgrade=websocket"},
	{"Upgrade that is only named", HEAD(GET "Connection: upgrade\r\nUpgrade:\r\n\r\n"), 0,
		SAYS "|Host=h|Connection=upgrade|Upgrade="},
	{"Upgrade in HTTP/1.0", HEAD(GET_1_0 "Connection: upgrade\r\nUpgrade: x\r\n\r\n"), 0,
		"GET / 1.0 close|Connection=upgrade|Upgrade=x"},
};

Test(http1_parser, must_72_a_head_is_read_as_the_table_says_however_it_is_cut)
{
	head_judge_all(accepted, sizeof accepted / sizeof *accepted);
}

/* ---- what is refused; each row ends with the byte that is at fault, or the line that is ---- */

static const struct head_case malformed[] = {
	{"TLS", HEAD("\x16"), 400, "http_control"},
	{"an 8-bit byte first", HEAD("\x80"), 400, "http_request_line"},
	{"a bare LF first", HEAD("\n"), 400, "http_bare_lf"},
	{"a bare CR first", HEAD("\rG"), 400, "http_bare_cr"},
	{"a second empty line", HEAD("\r\n\r"), 400, "http_request_line"},
	{"a bare LF behind the empty line", HEAD("\r\n\n"), 400, "http_bare_lf"},
	{"a blank in front of the method", HEAD(" "), 400, "http_request_line"},
	{"a method with a colon", HEAD("GET:"), 400, "http_request_line"},
	{"a method with NUL", HEAD("GE\0"), 400, "http_control"},
	{"a method with tab", HEAD("GET\t"), 400, "http_request_line"},
	{"a method of 33", HEAD("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG"), 400, "http_request_line"},
	{"a method alone", HEAD("GET\r"), 400, "http_request_line"},
	{"a method alone with LF", HEAD("GET\n"), 400, "http_bare_lf"},
	{"two blanks in front of the target", HEAD("GET  "), 400, "http_request_line"},
	{"no target", HEAD("GET \r"), 400, "http_request_line"},
	{"HTTP/0.9", HEAD("GET /\r"), 400, "http_request_line"},
	{"HTTP/0.9 with LF", HEAD("GET /\n"), 400, "http_bare_lf"},
	{"a target with tab", HEAD("GET /\t"), 400, "http_request_line"},
	{"a target with a fragment", HEAD("GET /a#"), 400, "http_request_line"},
	{"a target with an 8-bit byte", HEAD("GET /\xc3"), 400, "http_request_line"},
	{"a target with DEL", HEAD("GET /\x7f"), 400, "http_control"},
	{"a target with NUL", HEAD("GET /\0"), 400, "http_control"},
	{"a target without a slash", HEAD("GET a HTTP/1.1\r\n"), 400, "http_target"},
	{"* of GET", HEAD("GET * HTTP/1.1\r\n"), 400, "http_target"},
	{"** of OPTIONS", HEAD("OPTIONS ** HTTP/1.1\r\n"), 400, "http_target"},
	{"authority form", HEAD("CONNECT h:443 HTTP/1.1\r\n"), 400, "http_target"},
	{"CONNECT to a path", HEAD("CONNECT / HTTP/1.1\r\n"), 400, "http_target"},
	{"another scheme", HEAD("GET ftp://h/ HTTP/1.1\r\n"), 400, "http_target"},
	{"a scheme alone", HEAD("GET http:// HTTP/1.1\r\n"), 400, "http_target"},
	{"a scheme without its slashes", HEAD("GET http:/a HTTP/1.1\r\n"), 400, "http_target"},
	{"absolute form without authority", HEAD("GET http:///a HTTP/1.1\r\n"), 400, "http_target"},
	{"absolute form with a user", HEAD("GET http://u@h/ HTTP/1.1\r\n"), 400, "http_target"},
	{"absolute form with a query alone", HEAD("GET http://h?a HTTP/1.1\r\n"), 400, "http_target"},
	{"no version", HEAD("GET / \r\n"), 400, "http_request_line"},
	{"two blanks in front of the version", HEAD("GET /  "), 400, "http_request_line"},
	{"a blank behind the version", HEAD("GET / HTTP/1.1 "), 400, "http_request_line"},
	{"a tab behind the version", HEAD("GET / HTTP/1.1\t"), 400, "http_request_line"},
	{"a longer version", HEAD("GET / HTTP/1.11"), 400, "http_request_line"},
	{"a lower-case version", HEAD("GET / http/1.1\r\n"), 400, "http_request_line"},
	{"another protocol", HEAD("GET / RTSP/1.0\r\n"), 400, "http_request_line"},
	{"a version without digits", HEAD("GET / HTTP/x.y\r\n"), 400, "http_request_line"},
	{"a version without a minor", HEAD("GET / HTTP/1.\r\n"), 400, "http_request_line"},
	{"a version with a comma", HEAD("GET / HTTP/1,1\r\n"), 400, "http_request_line"},
	{"a version with a letter", HEAD("GET / HTTP/1.a\r\n"), 400, "http_request_line"},
	{"HTTP/1.2", HEAD("GET / HTTP/1.2\r\n"), 505, "http_version"},
	{"HTTP/2.0", HEAD("PRI * HTTP/2.0\r\n"), 505, "http_version"},
	{"HTTP/2.1", HEAD("GET / HTTP/2.1\r\n"), 505, "http_version"},
	{"HTTP/0.9 by name", HEAD("GET / HTTP/0.9\r\n"), 505, "http_version"},
	{"HTTP/3", HEAD("GET / HTTP/3\r\n"), 505, "http_version"},
	{"a line without a colon", HEAD(GET "abc\r\n"), 400, "http_field_name"},
	{"a line without a name", HEAD(GET ": v\r\n"), 400, "http_field_name"},
	{"a name with a slash", HEAD(GET "a/b: v\r\n"), 400, "http_field_name"},
	{"a name with an 8-bit byte", HEAD(GET "a\xe4: v\r\n"), 400, "http_field_name"},
	{"a name with a blank", HEAD(GET "a b: v\r\n"), 400, "http_blank_before_colon"},
	{"a name with NUL", HEAD(GET "a\0"), 400, "http_control"},
	{"a value with NUL", HEAD(GET "a: b\0"), 400, "http_control"},
	{"a value with DEL", HEAD(GET "a: b\x7f"), 400, "http_control"},
	{"a value with escape", HEAD(GET "a: \x1b"), 400, "http_control"},
	{"no Host", HEAD("GET / HTTP/1.1\r\n\r\n"), 400, "http_host_missing"},
	{"two Hosts", HEAD(GET "hOst: h\r\n"), 400, "http_host_twice"},
	{"two Hosts in HTTP/1.0", HEAD(GET_1_0 "Host:\r\nHost:\r\n"), 400, "http_host_twice"},
	{"two Hosts in one", HEAD("GET / HTTP/1.1\r\nHost: a b\r\n"), 400, "http_host"},
	{"Host with a path", HEAD("GET / HTTP/1.1\r\nHost: h/a\r\n"), 400, "http_host"},
	{"Host with a user", HEAD("GET / HTTP/1.1\r\nHost: u@h\r\n"), 400, "http_host"},
	{"Host with an 8-bit byte", HEAD("GET / HTTP/1.1\r\nHost: \xe4\r\n"), 400, "http_host"},
	{"Connection of no names", HEAD(GET "Connection: keep alive\r\n"), 400, "http_connection"},
	{"Connection with a quoted name", HEAD(GET "Connection: \"close\"\r\n"), 400, "http_connection"},
	{"an unknown expectation", HEAD(GET "Expect: 200-ok\r\n"), 417, "http_expect"},
	{"an expectation and more", HEAD(GET "Expect: 100-continue, 100-continue\r\n"), 417, "http_expect"},
	{"no expectation", HEAD(GET "Expect:\r\n"), 417, "http_expect"},
	{"an unknown expectation in HTTP/1.0", HEAD(GET_1_0 "Expect: x\r\n"), 417, "http_expect"},
};

Test(http1_parser, a_head_is_refused_at_its_first_fault_however_it_is_cut)
{
	head_judge_all(malformed, sizeof malformed / sizeof *malformed);
}

#define LENGTH "Content-Length: 5\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"

static const struct head_case smuggling[] = {
	{"length, then coding", HEAD(GET LENGTH CHUNKED), 400, "http_length_chunked"},
	{"coding, then length", HEAD(GET CHUNKED LENGTH), 400, "http_length_chunked"},
	{"coding, then a length of 0", HEAD(GET CHUNKED "content-length: 0\r\n"), 400, "http_length_chunked"},
	{"a length given twice", HEAD(GET LENGTH "Content-Length: 6\r\n"), 400, "http_length_twice"},
	{"the same length given twice", HEAD(GET LENGTH "content-LENGTH: 5\r\n"), 400, "http_length_twice"},
	{"a list of lengths", HEAD(GET "Content-Length: 5, 5\r\n"), 400, "http_length"},
	{"a list of one length", HEAD(GET "Content-Length: 5,\r\n"), 400, "http_length"},
	{"a length with a plus", HEAD(GET "Content-Length: +5\r\n"), 400, "http_length"},
	{"a length with a minus", HEAD(GET "Content-Length: -5\r\n"), 400, "http_length"},
	{"a length in hex", HEAD(GET "Content-Length: 0x5\r\n"), 400, "http_length"},
	{"a length with a blank in it", HEAD(GET "Content-Length:  5 5\r\n"), 400, "http_length"},
	{"a length with a point", HEAD(GET "Content-Length: 5.0\r\n"), 400, "http_length"},
	{"a length with an exponent", HEAD(GET "Content-Length: 1e3\r\n"), 400, "http_length"},
	{"a length in quotes", HEAD(GET "Content-Length: \"5\"\r\n"), 400, "http_length"},
	{"a length of nothing", HEAD(GET "Content-Length: \r\n"), 400, "http_length"},
	{"a length of 20 digits", HEAD(GET "Content-Length: 00000000000000000005\r\n"), 400, "http_length"},
	{"a length in other digits", HEAD(GET "Content-Length: \xd9\xa5\r\n"), 400, "http_length"},
	{"a blank before the colon of a length", HEAD(GET "Content-Length : 5\r\n"), 400, "http_blank_before_colon"},
	{"a tab before the colon of a coding", HEAD(GET "Transfer-Encoding\t: chunked\r\n"), 400,
		"http_blank_before_colon"},
	{"a blank before the colon of a coding", HEAD(GET "Transfer-Encoding : chunked\r\n"), 400,
		"http_blank_before_colon"},
	{"a coding given twice", HEAD(GET CHUNKED CHUNKED), 400, "http_coding"},
	{"chunked, then another coding", HEAD(GET CHUNKED "Transfer-Encoding: gzip\r\n"), 501, "http_coding_other"},
	{"chunked twice in one", HEAD(GET "Transfer-Encoding: chunked, chunked\r\n"), 400, "http_coding"},
	{"chunked and a comma", HEAD(GET "Transfer-Encoding: chunked,\r\n"), 400, "http_coding"},
	{"a comma and chunked", HEAD(GET "Transfer-Encoding: ,chunked\r\n"), 400, "http_coding"},
	{"another coding in front", HEAD(GET "Transfer-Encoding: gzip, chunked\r\n"), 501, "http_coding_other"},
	{"another coding behind", HEAD(GET "Transfer-Encoding: chunked, gzip\r\n"), 501, "http_coding_other"},
	{"identity", HEAD(GET "Transfer-Encoding: identity\r\n"), 501, "http_coding_other"},
	{"identity and chunked", HEAD(GET "Transfer-Encoding: chunked, identity\r\n"), 501, "http_coding_other"},
	{"xchunked", HEAD(GET "Transfer-Encoding: xchunked\r\n"), 501, "http_coding_other"},
	{"chunkedx", HEAD(GET "Transfer-Encoding: chunkedx\r\n"), 501, "http_coding_other"},
	{"no coding", HEAD(GET "Transfer-Encoding:\r\n"), 400, "http_coding"},
	{"a coding in quotes", HEAD(GET "Transfer-Encoding: \"chunked\"\r\n"), 400, "http_coding"},
	{"a coding with a parameter", HEAD(GET "Transfer-Encoding: chunked;a=b\r\n"), 400, "http_coding"},
	{"a coding of two words", HEAD(GET "Transfer-Encoding: chunked chunked\r\n"), 400, "http_coding"},
	{"another coding with a parameter", HEAD(GET "Transfer-Encoding: gzip;q=1\r\n"), 400, "http_coding"},
	{"vertical tab and chunked", HEAD(GET "Transfer-Encoding: \x0b"), 400, "http_control"},
	{"form feed behind chunked", HEAD(GET "Transfer-Encoding: chunked\x0c"), 400, "http_control"},
	{"NUL behind chunked", HEAD(GET "Transfer-Encoding: chunked\0"), 400, "http_control"},
	{"no-break space and chunked",
		HEAD(GET "Transfer-Encoding: \xa0"
			 "chunked\r\n"),
		400, "http_coding"},
	{"chunked in HTTP/1.0", HEAD(GET_1_0 CHUNKED), 400, "http_coding_early"},
	{"a bare CR in front of a coding", HEAD(GET "A: b\rT"), 400, "http_bare_cr"},
	{"a bare CR in front of a line end", HEAD(GET "A: b\r\r"), 400, "http_bare_cr"},
	{"a bare LF behind a field", HEAD(GET "A: b\n"), 400, "http_bare_lf"},
	{"a bare LF instead of the empty line", HEAD(GET "\n"), 400, "http_bare_lf"},
	{"a bare CR instead of the empty line", HEAD(GET "\rG"), 400, "http_bare_cr"},
	{"a bare LF behind the request line", HEAD("GET / HTTP/1.1\n"), 400, "http_bare_lf"},
	{"a bare CR behind the request line", HEAD("GET / HTTP/1.1\rH"), 400, "http_bare_cr"},
	{"a field folded with a blank", HEAD(GET "A: b\r\n "), 400, "http_folded_line"},
	{"a field folded with a tab", HEAD(GET "A: b\r\n\t"), 400, "http_folded_line"},
	{"a blank behind the request line", HEAD("GET / HTTP/1.1\r\n "), 400, "http_folded_line"},
	{"a line of blanks as the empty line", HEAD(GET "A: b\r\n "), 400, "http_folded_line"},
};

Test(http1_parser, what_two_parsers_could_read_differently_is_refused)
{
	head_judge_all(smuggling, sizeof smuggling / sizeof *smuggling);
}

/* ---- any head ---- */

static const char ordinary[] =
	"POST /devices/d1/messages/events?api-version=2021-04-12 HTTP/1.1\r\nHost: hub.example.net\r\n"
	"Authorization: SharedAccessSignature sr=a&sig=b\r\nContent-Length: 12\r\niothub-app-x: y z\r\n\r\n";

/* The ordinary head with `len` bytes at `at` replaced by `with`, handed over whole. */
static void head_with(size_t at, size_t len, gh_bytes with, struct outcome *out)
{
	gh_limits limits;
	struct buf head = {0};
	limits_defaults(&limits);
	buf_append(&head, ordinary, at);
	buf_append(&head, with.data, with.len);
	buf_append(&head, ordinary + at + len, sizeof ordinary - 1 - at - len);
	head_feed(buf_bytes(&head), head.len, 1, &limits, out);
	buf_done(&head);
}

Test(http1_parser, a_control_character_anywhere_in_a_head_is_refused)
{
	static struct outcome out;
	for (size_t at = 0; at < sizeof ordinary - 2; at++)
		for (unsigned c = 0; c <= 0x7f; c++) {
			uint8_t byte = (uint8_t)c;
			if (c == '\t' || (c >= ' ' && c < 0x7f))
				continue;
			head_with(at, 0, (gh_bytes){&byte, 1}, &out);
			cr_assert(out.status == GH_MALFORMED && out.http == 400, "%02x at %zu: %s", c, at, out.says);
		}
}

#define TOKENS "!#$%&'*+-.^_`|~"

/* Beside letters and digits; taken from the standards' text, not from the parser's table. */
static const struct place {
	const char *name;
	const char *before;
	const char *after;
	const char *allowed;
	bool high; /* 0x80 to 0xff too */
} places[] = {
	{"RFC 9110 5.6.2 a method", "", "X / HTTP/1.0\r\n\r\n", TOKENS, false},
	{"RFC 3986 a target, not all of it escaped", "GET /a", "b HTTP/1.0\r\n\r\n",
		"!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~", false},
	{"RFC 9110 5.1 a name, or its end", GET_1_0 "a", "b: v\r\n\r\n", TOKENS ":", false},
	{"RFC 9110 5.5 a value", GET_1_0 "a: b", "c\r\n\r\n", TOKENS "\t \"(),/:;<=>?@[\\]{}", true},
	{"RFC 3986 3.2 a host", "GET / HTTP/1.1\r\nHost: a", "b\r\n\r\n", "-._~%!$&'()*+,;=:[]", false},
};

static bool place_allows(const struct place *place, uint8_t c)
{
	if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
		return true;
	return c >= 0x80 ? place->high : c && strchr(place->allowed, c);
}

Test(http1_parser, each_character_stands_only_where_the_standards_have_it)
{
	static struct outcome out;
	gh_limits limits;
	limits_defaults(&limits);
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		for (unsigned c = 0; c <= 0xff; c++) {
			struct buf head = {0};
			buf_append(&head, places[i].before, strlen(places[i].before));
			buf_put_u8(&head, (uint8_t)c);
			buf_append(&head, places[i].after, strlen(places[i].after));
			head_feed(buf_bytes(&head), head.len, 1, &limits, &out);
			gh_status status = place_allows(&places[i], (uint8_t)c) ? GH_OK : GH_MALFORMED;
			cr_assert(out.status == status, "%s: %02x: %s", places[i].name, c, out.says);
			buf_done(&head);
		}
}

Test(http1_parser, each_line_ends_with_cr_and_lf)
{
	static struct outcome out;
	static const char *const ends[] = {"\n", "\r", "", "\n\r", "\r\r\n", "\r\n\r", " \n"};
	for (const char *at = strstr(ordinary, "\r\n"); at; at = strstr(at + 2, "\r\n"))
		for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
			bool last = at[2] == '\0', merges = ends[i][0] == '\0';
			if (last || (merges && at != strstr(ordinary, "\r\n")))
				continue; /* an end that is missing is waited for; a field without one goes on */
			head_with((size_t)(at - ordinary), 2, text_of(ends[i]), &out);
			cr_assert(out.status == GH_MALFORMED, "%zu at %zu: %s", i, (size_t)(at - ordinary), out.says);
		}
}

/* What was scanned is overwritten before the next byte comes: what a line says is read when it is whole, so only the
 * name of a field in the line under way is left alone. */
Test(http1_parser, no_byte_is_scanned_twice)
{
	gh_limits limits;
	struct http1_head head;
	uint16_t http;
	uint8_t bytes[sizeof ordinary - 1];
	size_t len = sizeof bytes, line = 0;
	limits_defaults(&limits);
	http1_head_init(&head);
	for (size_t n = 1; n <= len; n++) {
		bytes[n - 1] = (uint8_t)ordinary[n - 1];
		gh_status status = http1_head_next(&head, (gh_bytes){bytes, n}, &limits, &http, NULL);
		cr_assert(status == (n < len ? GH_AGAIN : GH_OK), "after %zu bytes", n);
		if (bytes[n - 1] == '\n') {
			memset(bytes + line, 0, n - line);
			line = n;
		}
	}
	cr_assert(head.field_count == 4 && head.has_length && head.content_length == 12 && head.keep_alive);
	http1_head_clear(&head);

	static const char begun[] = "GET / HTTP/1.1\r\nHost: h\r\nA: ";
	uint8_t long_value[1000];
	memcpy(long_value, begun, sizeof begun - 1);
	for (size_t n = sizeof begun - 1; n < sizeof long_value; n++) {
		long_value[n] = 'v';
		cr_assert(http1_head_next(&head, (gh_bytes){long_value, n + 1}, &limits, &http, NULL) == GH_AGAIN);
		long_value[n] = 0;
	}
	http1_head_done(&head);
}

Test(http1_parser, a_head_that_was_cleared_reads_the_next_request)
{
	static const struct {
		const char *request;
		const char *says;
	} rows[] = {
		{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n"
		 "Connection: close, upgrade\r\nUpgrade: x\r\n\r\n",
			"POST /a 1.1 close expect upgrade length 5|"},
		{"GET /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", "GET /b 1.1 keep chunked|"},
		{"GET /c HTTP/1.0\r\n\r\n", "GET /c 1.0 close"},
		{"GET /d HTTP/1.0\r\nUpgrade: x\r\n\r\n", "GET /d 1.0 close|Upgrade=x"},
	};
	static struct outcome out;
	gh_limits limits;
	struct http1_head head;
	limits_defaults(&limits);
	http1_head_init(&head);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		gh_bytes bytes = text_of(rows[i].request);
		cr_assert(http1_head_next(&head, bytes, &limits, &out.http, NULL) == GH_OK, "%s", rows[i].request);
		cr_assert(head.len == bytes.len);
		outcome_print(&out, &head, bytes.data);
		cr_assert(text_starts(text_of(out.says), rows[i].says), "%s", out.says);
		http1_head_clear(&head);
	}
	http1_head_done(&head);
	http1_head_done(&head);
}

Test(http1_parser, without_memory_for_its_fields_a_head_is_refused_with_503)
{
	static struct outcome out;
	gh_limits limits;
	limits_defaults(&limits);
	memory_is_out = true;
	head_feed(text_of(GET), sizeof GET - 1, 1, &limits, &out);
	memory_is_out = false;
	cr_assert(out.status == GH_NO_MEMORY && out.http == 503, "%s", out.says);
	head_feed(text_of(GET_1_0 "\r\n"), sizeof GET_1_0 + 1, 1, &limits, &out);
	cr_assert(out.status == GH_OK, "%s", out.says);
}

/* ---- limits: at each of them, and one beyond ---- */

static void limits_least(gh_limits *limits)
{
	static const char *const names[] = {
		"http_head_bytes_max", "http_target_bytes_max", "http_field_bytes_max", "http_fields_max"};
	limits_defaults(limits);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const struct limits_row *row = limits_find(text_of(names[i]));
		cr_assert(limits_set(limits, row, row->min, NULL) == GH_OK);
	}
}

static void put_text(struct buf *head, const char *text)
{
	buf_append(head, text, strlen(text));
}

static void put_run(struct buf *head, char c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_put_u8(head, (uint8_t)c);
}

/* A field line of n bytes and its end. */
static void put_field(struct buf *head, size_t n)
{
	put_text(head, "a: ");
	put_run(head, 'v', n - 3);
	put_text(head, "\r\n");
}

/* Byte by byte and whole; takes the head.  at: with how many bytes it must be decided; 0 = with the last. */
static void head_limit(struct buf *head, uint16_t http, const char *code, size_t at, const char *what)
{
	static struct outcome out;
	gh_limits limits;
	limits_least(&limits);
	for (int whole = 0; whole < 2; whole++) {
		head_feed(buf_bytes(head), whole ? head->len : 1, 1, &limits, &out);
		cr_assert(out.http == http && out.status == status_of(http), "%s: %u %s", what, out.http, out.says);
		cr_assert(!code || strcmp(out.says, code) == 0, "%s: %s", what, out.says);
		cr_assert(whole || out.fed == (at ? at : head->len), "%s: decided after %zu bytes", what, out.fed);
	}
	buf_done(head);
}

Test(http1_parser, threat_12_a_target_is_of_bounded_length)
{
	gh_limits limits;
	limits_least(&limits);
	for (size_t more = 0; more < 2; more++) {
		size_t max = limits.http_target_bytes_max;
		struct buf head = {0};
		put_text(&head, "GET /");
		put_run(&head, 'a', max - 1 + more);
		put_text(&head, " HTTP/1.0\r\n\r\n");
		head_limit(&head, more ? 414 : 0, more ? "http_target_long" : NULL, more ? 4 + max + 1 : 0, "target");
	}
}

Test(http1_parser, threat_12_a_field_is_of_bounded_length)
{
	gh_limits limits;
	limits_least(&limits);
	size_t max = limits.http_field_bytes_max;
	for (size_t more = 0; more < 2; more++) {
		struct buf head = {0};
		put_text(&head, GET_1_0);
		put_field(&head, max + more);
		put_text(&head, "\r\n");
		size_t at = sizeof GET_1_0 - 1 + max + 1;
		head_limit(&head, more ? 431 : 0, more ? "http_field_long" : NULL, more ? at : 0, "field");
	}
	struct buf head = {0};
	put_text(&head, GET_1_0);
	put_run(&head, 'n', max + 1);
	head_limit(&head, 431, "http_field_long", 0, "a name without an end");
	put_text(&head, GET_1_0 "a:");
	put_run(&head, ' ', max - 1);
	head_limit(&head, 431, "http_field_long", 0, "blanks without an end");
}

Test(http1_parser, threat_12_fields_are_of_bounded_number)
{
	gh_limits limits;
	limits_least(&limits);
	for (size_t more = 0; more < 2; more++) {
		struct buf head = {0};
		put_text(&head, GET_1_0);
		for (size_t i = 0; i < limits.http_fields_max + more; i++)
			put_field(&head, 4);
		size_t at = head.len;
		put_text(&head, "\r\n");
		head_limit(&head, more ? 431 : 0, more ? "http_fields_many" : NULL, more ? at : 0, "fields");
	}
}

Test(http1_parser, threat_12_a_head_is_of_bounded_length)
{
	gh_limits limits;
	limits_least(&limits);
	size_t max = limits.http_head_bytes_max, line = 500;
	for (size_t more = 0; more < 2; more++) {
		struct buf head = {0};
		put_text(&head, "\r\n" GET_1_0);
		while (head.len + 2 * line < max)
			put_field(&head, line - 2);
		put_field(&head, max - head.len - 4 + more);
		put_text(&head, "\r\n");
		cr_assert(head.len == max + more);
		head_limit(&head, more ? 431 : 0, more ? "http_head_long" : NULL, more ? max : 0, "head");
	}
}

Test(http1_parser, threat_12_the_memory_of_a_head_follows_its_fields)
{
	static const size_t counts[] = {0, 1, 16, 17, 300};
	gh_limits limits;
	limits_defaults(&limits);
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		struct http1_head head;
		struct buf bytes = {0};
		uint16_t http;
		http1_head_init(&head);
		put_text(&bytes, GET_1_0);
		for (size_t n = 0; n < counts[i]; n++)
			put_field(&bytes, 4);
		put_text(&bytes, "\r\n");
		cr_assert(http1_head_next(&head, buf_bytes(&bytes), &limits, &http, NULL) == GH_OK);
		cr_assert(
			head.field_count == counts[i] && head.field_cap <= 2 * counts[i] + 16, "%zu fields", counts[i]);
		http1_head_done(&head);
		buf_done(&bytes);
	}
}
