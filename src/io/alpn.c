#include "src/io/alpn.h"

#include "src/base/text.h"

#include <assert.h>

void alpn_names(const gh_transport *const *transports, const char *ret_names[ALPN_NAMES_MAX + 1])
{
	size_t left = 0, n = 0;
	while (transports[left])
		left++;
	while (left-- > 0)
		for (const char *const *name = transports[left]->alpn; name && *name; name++) {
			assert(n < ALPN_NAMES_MAX);
			ret_names[n++] = *name;
		}
	ret_names[n] = NULL;
}

const gh_transport *alpn_transport(const gh_transport *const *transports, gh_bytes selected)
{
	for (size_t i = 0; transports[i]; i++)
		for (const char *const *name = transports[i]->alpn; name && *name; name++)
			if (text_equal(selected, text_of(*name)))
				return transports[i];
	return transports[0];
}
