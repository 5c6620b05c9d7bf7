/* Configuration: any text gives a whole configuration or at least one problem, never both. */
#include "tests/fuzz/fuzz.h"

#include "src/config.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_problems problems = {0};
	struct config *config = config_parse((gh_bytes){data, size}, "/etc/gatehouse/", &problems);
	assert((config != NULL) == (problems.count == 0));
	if (config) {
		assert(config->hosts[0] == config->host_name && config->host_name[0] && config->data_dir[0] == '/');
		assert(config->workers <= CONFIG_WORKERS_MAX && config->mqtt.port <= UINT16_MAX);
	}
	config_free(config);
	return 0;
}
