#include "transports/amqp/amqp_sasl.h"

#include "src/base/take.h"
#include "src/base/text.h"
#include "transports/amqp/amqp_peer.h"

#include <proton/sasl.h>
#include <proton/sasl_plugin.h>
#include <stdlib.h>

static struct amqp_conn *sasl_conn(pn_transport_t *transport)
{
	return pnx_sasl_get_context(transport);
}

static void sasl_free(pn_transport_t *transport)
{
	(void)transport;
}

/* Proton and others prefer EXTERNAL wherever it is offered, certificate or not. */
static const char *sasl_list_mechanisms(pn_transport_t *transport)
{
	struct amqp_conn *c = sasl_conn(transport);
	return c->wire->ops->peer(c->wire).certificate_len ? "EXTERNAL MSSBCBS PLAIN ANONYMOUS"
							   : "MSSBCBS PLAIN ANONYMOUS";
}

static bool sasl_init_server(pn_transport_t *transport)
{
	pnx_sasl_set_desired_state(transport, SASL_POSTED_MECHANISMS);
	return true;
}

static bool sasl_init_client(pn_transport_t *transport)
{
	(void)transport;
	return false;
}

static void sasl_prepare_write(pn_transport_t *transport)
{
	(void)transport;
}

static void sasl_outcome(pn_transport_t *transport, bool passed)
{
	if (passed)
		pnx_sasl_set_succeeded(transport, "", "");
	else
		pnx_sasl_set_failed(transport);
	pnx_sasl_set_desired_state(transport, SASL_POSTED_OUTCOME);
}

/* "authzid NUL authcid NUL password": who one is said to be counts, not for whom one would like to act. */
static bool sasl_split_plain(gh_bytes response, gh_bytes *ret_user, gh_bytes *ret_password)
{
	gh_bytes authzid, rest;
	return text_cut(response, '\0', &authzid, &rest) && text_cut(rest, '\0', ret_user, ret_password);
}

static gh_status sasl_plain(struct amqp_conn *c, gh_bytes response)
{
	gh_bytes user, password;
	gh_error err;
	struct amqp_user who;
	if (!sasl_split_plain(response, &user, &password) || password.len == 0 ||
		password.len > amqp_limits(c)->token_bytes_max)
		return GH_UNAUTHORIZED;
	GH_CLEANUP(take_free) uint8_t *scratch = malloc(user.len + 1);
	if (!scratch || amqp_address_user(user, scratch, &who, &err) != GH_OK)
		return GH_UNAUTHORIZED;
	if (who.policy.len)
		return amqp_peer_grant(c, user, (gh_bytes){NULL, 0}, password, &err);
	gh_status status = GH_UNAUTHORIZED;
	for (size_t i = 0; i < who.readings.count && status != GH_OK; i++)
		status = amqp_peer_prove(c, &who.readings.at[i], password, &err);
	return status;
}

static void sasl_process_init(pn_transport_t *transport, const char *mechanism, const pn_bytes_t *response)
{
	struct amqp_conn *c = sasl_conn(transport);
	gh_bytes name = text_of(mechanism);
	if (text_equal(name, text_of("PLAIN")))
		sasl_outcome(transport,
			sasl_plain(c, (gh_bytes){(const uint8_t *)response->start, response->size}) == GH_OK);
	else if (text_equal(name, text_of("EXTERNAL")))
		sasl_outcome(transport, c->wire->ops->peer(c->wire).certificate_len > 0);
	else
		sasl_outcome(transport, text_equal(name, text_of("ANONYMOUS")) || text_equal(name, text_of("MSSBCBS")));
}

static void sasl_process_response(pn_transport_t *transport, const pn_bytes_t *response)
{
	(void)response;
	sasl_outcome(transport, false); /* no mechanism here has a second step */
}

static bool sasl_process_mechanisms(pn_transport_t *transport, const char *mechanisms)
{
	(void)transport, (void)mechanisms;
	return false;
}

static void sasl_ignore(pn_transport_t *transport, const pn_bytes_t *bytes)
{
	(void)transport, (void)bytes;
}

static bool sasl_can_encrypt(pn_transport_t *transport)
{
	(void)transport;
	return false;
}

static ssize_t sasl_max_encrypt_size(pn_transport_t *transport)
{
	(void)transport;
	return 0;
}

static ssize_t sasl_no_layer(pn_transport_t *transport, pn_bytes_t in, pn_bytes_t *out)
{
	(void)transport, (void)in, (void)out;
	return 0;
}

static const pnx_sasl_implementation sasl_implementation = {
	.free = sasl_free,
	.list_mechanisms = sasl_list_mechanisms,
	.init_server = sasl_init_server,
	.init_client = sasl_init_client,
	.prepare_write = sasl_prepare_write,
	.process_init = sasl_process_init,
	.process_response = sasl_process_response,
	.process_mechanisms = sasl_process_mechanisms,
	.process_challenge = sasl_ignore,
	.process_outcome = sasl_ignore,
	.can_encrypt = sasl_can_encrypt,
	.max_encrypt_size = sasl_max_encrypt_size,
	.encode = sasl_no_layer,
	.decode = sasl_no_layer,
};

void amqp_sasl_init(struct amqp_conn *c)
{
	pn_transport_t *transport = c->driver.transport;
	pn_sasl(transport); /* first, or there is nowhere to put the implementation */
	pnx_sasl_set_implementation(transport, &sasl_implementation, c);
	pn_transport_require_auth(transport, false); /* who speaks no SASL at all may come in, too */
	pn_sasl_set_allow_insecure_mechs(
		pn_sasl(transport), true); /* the stream under it is TLS, which Proton cannot see */
}
