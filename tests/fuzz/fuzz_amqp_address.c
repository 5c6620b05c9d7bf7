/* AMQP addresses and user names: any bytes; every id that is read could be one, and none is read twice. */
#include "tests/fuzz/fuzz.h"

#include "src/base/text.h"
#include "transports/amqp/amqp_address.h"

#include <assert.h>
#include <stdlib.h>

static void fuzz_id(gh_bytes id)
{
	assert(id.len <= AMQP_ID_BYTES_MAX && (id.len == 0 || !memchr(id.data, '/', id.len)));
}

static void fuzz_readings(const struct amqp_readings *readings)
{
	assert(readings->count <= 2);
	for (size_t i = 0; i < readings->count; i++) {
		assert(readings->at[i].device_id.len > 0);
		fuzz_id(readings->at[i].device_id);
		fuzz_id(readings->at[i].module_id);
	}
	if (readings->count == 2)
		assert(!text_equal(readings->at[0].device_id, readings->at[1].device_id) ||
			!text_equal(readings->at[0].module_id, readings->at[1].module_id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	gh_bytes text = {data, size};
	uint8_t *scratch = malloc(size ? size : 1);
	struct amqp_address address;
	struct amqp_user user;
	if (!scratch)
		return 0;
	if (amqp_address_read(text, scratch, &address, NULL) == GH_OK) {
		assert((address.kind == AMQP_ADDRESS_CBS) == (address.readings.count == 0));
		fuzz_readings(&address.readings);
	}
	if (amqp_address_user(text, scratch, &user, NULL) == GH_OK) {
		assert(user.hub.len > 0 && (user.policy.len > 0) == (user.readings.count == 0));
		fuzz_readings(&user.readings);
	}
	free(scratch);
	return 0;
}
