/* Tokens of back ends: the published vectors, and the rules of service contract 1.3. */
#include "tests/suite.h"

#include "src/base/text.h"
#include "src/core/sas.h"

SUITE(sas_service);

static const char *const hosts[] = {"hub.example.net", "gateway.local", NULL};

/* ---- scope ---- */

/* A path as the resource a back end asks for. */
static struct sas_resource resource_of(const char *path)
{
	struct sas_resource resource = {.hosts = hosts};
	gh_bytes rest = text_of(path);
	while (rest.len > 0)
		text_cut(rest, '/', &resource.segments[resource.segment_count++], &rest);
	return resource;
}

Test(sas_service, service_06_a_back_ends_scope_covers_by_whole_segments_in_every_spelling)
{
	static const struct {
		const char *sr;
		const char *path;
		bool covers;
	} rows[] = {
		{"hub.example.net", "", true},
		{"hub.example.net", "devices", true},
		{"hub.example.net", "hub1/ConsumerGroups/$Default/Partitions/0", true},
		{"hub.example.net/", "twins/a/modules/m/methods", true},
		{"HUB.example.NET", "statistics/devices", true},
		{"gateway.local", "devices", true},
		{"other.example.net", "devices", false},
		{"hub.example.net.evil.org", "devices", false},
		{"devices", "devices", false},
		{"hub.example.net/devices", "", false},
		{"hub.example.net/devices", "devices", true},
		{"hub.example.net/devices", "devices/a", true},
		{"hub.example.net/devices", "twins/a", false},
		{"hub.example.net/devices/a", "devices/a", true},
		{"hub.example.net%2Fdevices%2Fa", "devices/a", true},
		{"hub.example.net/devices/a/", "devices/a", true},
		{"hub.example.net/devices/a", "devices/ab", false},
		{"hub.example.net/devices/ab", "devices/a", false},
		{"hub.example.net/devices/a", "devices", false},
		{"hub.example.net/devices/a", "devices/a/modules/m", true},
		{"hub.example.net/devices/a", "devices/a/modules", true},
		{"hub.example.net/devices/a", "twins/a", false},
		{"hub.example.net/devices/a", "statistics/devices", false},
		{"hub.example.net/devices/a/modules/m", "devices/a/modules/mm", false},
		{"hub.example.net/devices/A", "devices/a", false},
		{"hub.example.net/DEVICES/a", "devices/a", true},
		{"hub.example.net/Twins/a/Methods", "twins/a/methods", true},
		{"hub.example.net/twins/A/methods", "twins/a/methods", false},
		/* what is a name and what a word goes by the place */
		{"hub.example.net/devices/MODULES", "devices/modules", false},
		{"hub.example.net/devices/devices/Modules/modules", "devices/devices/modules/modules", true},
		{"hub.example.net/devices/devices/modules/MODULES", "devices/devices/modules/modules", false},
		{"hub.example.net/statistics/DEVICES", "statistics/devices", true},
		/* what is neither is compared as it stands */
		{"hub.example.net/hub1", "hub1/ConsumerGroups/$Default", true},
		{"hub.example.net/HUB1", "hub1/ConsumerGroups/$Default", false},
		{"hub.example.net/hub1/consumergroups/$Default/partitions/0",
			"hub1/ConsumerGroups/$Default/Partitions/0", true},
		{"hub.example.net/hub1/ConsumerGroups/$default", "hub1/ConsumerGroups/$Default/Partitions/0", false},
		{"hub.example.net/hub1/ConsumerGroups/$Default/Partitions/1",
			"hub1/ConsumerGroups/$Default/Partitions/10", false},
		{"hub.example.net/hub1/$management", "hub1/$management", true},
		{"hub.example.net/hub1/$management", "hub1", false},
		{"hub.example.net/messages/events", "messages/events/$management", true},
		{"hub.example.net/messages/eventsx", "messages/events", false},
		{"hub.example.net/messages/servicebound/feedback", "messages/servicebound/feedback", true},
		{"hub.example.net/messages/devicebound", "messages/devicebound", true},
		/* in front of the host, and behind it */
		{"sb://hub.example.net/hub1", "hub1", true},
		{"sb://hub.example.net:5671/hub1/", "hub1/$management", true},
		{"sb%3A%2F%2Fhub.example.net%3A5671%2Fhub1%2FConsumerGroups%2F%24Default%2FPartitions%2F0",
			"hub1/ConsumerGroups/$Default/Partitions/0", true},
		{"amqps://hub.example.net/devices", "devices", true},
		{"https://hub.example.net/devices", "devices", true},
		{"https%3A%2F%2Fhub.example.net%3A443%2Fdevices%2Fa", "devices/a", true},
		{"http://hub.example.net/devices", "devices", false},
		{"sb://sb://hub.example.net", "devices", false},
		{"hub.example.net:x/devices", "devices", false},
		/* ids raw, encoded and encoded twice */
		{"hub.example.net/devices/a#%b", "devices/a#%b", true},
		{"hub.example.net/devices/a%23%25b", "devices/a#%b", true},
		{"hub.example.net%2Fdevices%2Fa%2523%2525b", "devices/a#%b", true},
		{"hub.example.net/devices/a%2Fmodules%2Fm", "devices/a/modules/m", true},
		/* the old tool's tail, only where no name may be meant */
		{"hub.example.net/devices/a/api-version=1", "devices/a", true},
		{"hub.example.net/api-version=1", "devices", true},
		{"hub.example.net/devices/api-version=1", "devices", false},
		{"hub.example.net/devices/api-version=1", "devices/a", false},
		{"hub.example.net/hub1/ConsumerGroups/api-version=1", "hub1/ConsumerGroups/$Default", false},
		{"hub.example.net/messages/api-version=1", "messages/events", false},
		{"hub.example.net/a/b/c/d/e/f/api-version=1", "a/b/c/d/e/f", false},
		/* nothing that is no path */
		{"", "devices", false},
		{"/", "devices", false},
		{"sb://", "devices", false},
		{"hub.example.net//devices", "devices", false},
		{"hub.example.net/devices//", "devices/", false},
		{"hub.example.net/devices", "devices//modules", false},
		{"hub.example.net/a/b/c/d/e/f/g", "a/b/c/d/e/f", false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct sas_resource resource = resource_of(rows[i].path);
		cr_assert_eq(sas_scope_covers(text_of(rows[i].sr), &resource, SAS_SCOPE_SERVICE), rows[i].covers,
			"%s for %s", rows[i].sr, rows[i].path);
	}
}
