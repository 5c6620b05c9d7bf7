#include "src/wire/propbag.h"

#include "src/base/text.h"

gh_bytes propbag_trim(gh_bytes rest)
{
	if (rest.len && rest.data[0] == '/')
		rest = (gh_bytes){rest.data + 1, rest.len - 1};
	if (rest.len && rest.data[0] == '?')
		rest = (gh_bytes){rest.data + 1, rest.len - 1};
	if (rest.len && rest.data[rest.len - 1] == '/')
		rest.len--;
	return rest;
}

bool propbag_next(gh_bytes *bag, uint8_t *scratch, struct propbag_pair *ret_pair)
{
	gh_bytes piece = {NULL, 0}, name, value;
	while (piece.len == 0) {
		if (bag->len == 0)
			return false;
		text_cut(*bag, '&', &piece, bag);
	}
	ret_pair->has_value = text_cut(piece, '=', &name, &value);
	size_t name_len = text_percent_decode(name, scratch, NULL);
	ret_pair->name = (gh_bytes){scratch, name_len};
	ret_pair->value = (gh_bytes){scratch + name_len, text_percent_decode(value, scratch + name_len, NULL)};
	return true;
}
