// Published clients over AMQP: the unmodified Azure IoT device SDK, rhea, Qpid Proton and uamqp in Python. Each sends all the
// properties that it can set, and the back end has each of them.
'use strict';
const assert = require('node:assert/strict');
const https = require('node:https');
const path = require('node:path');
const { NoRetry, errors } = require('azure-iot-common');
const { Client, Message } = require('azure-iot-device');
const { Amqp, AmqpWs } = require('azure-iot-device-amqp');
const { AmqpClient, connectDevice, data, eventsOf, plainUser, rhea } = require('./amqp_client');
const { Device, Gateway, defer, keyOf, promise, run, temporaryFolder, within } = require('./gateway');

const uuid = '1e0ff5d0-6f5c-4d04-9c5f-0e2b7a3f1c55';
const AUTH_METHOD = '{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}';
const BODY = JSON.stringify({ celsius: 21.5, place: 'Küche' });
const PROPERTIES = { 'a b': 'x/y&z=é', plain: '1', empty: '' };
const CREATED = '2026-01-02T03:04:05.678Z', EXPIRES = '2030-01-02T03:04:05.678Z';
const ANNOTATIONS = { 'iothub-interface-id': 'urn:x', 'dt-subject': 'thermostat1', 'Diagnostic-Id': 'd-1',
  'Correlation-Context': 'creationtimeutc=1' };

/** All that AMQP can say of a message, as the back end has it. */
const SYSTEM = { 'message-id': 'mid-1', 'correlation-id': uuid, 'user-id': 'user', to: 'somewhere',
  'content-type': 'application/json', 'content-encoding': 'utf-8', 'iothub-creation-time-utc': CREATED,
  'absolute-expiry-time': EXPIRES, 'iothub-ack': 'full', 'iothub-message-schema': 's-1', 'iothub-operation': 'd2c',
  ...ANNOTATIONS };

/** Those of the above that stand among the application's. */
const RESERVED = Object.fromEntries(['iothub-ack', 'iothub-message-schema', 'iothub-operation'].map((name) =>
  [name, SYSTEM[name]]));

// ---- the SDK ----

const SDK_TRANSPORTS = { tcp: Amqp, web: AmqpWs };

function openSdkClient(t, device, way, { retry = false } = {}) {
  const { gateway } = device;
  const client = Client.fromConnectionString(way === 'web' ? device.connectionString.replace(/;GatewayHostName=.*/, '')
    : device.connectionString.replace(/:\d+$/, `:${gateway.amqpPort}`), SDK_TRANSPORTS[way]);
  if (!retry) client.setRetryPolicy(new NoRetry());
  client.on('error', () => {});
  defer(t, () => client.close().catch(() => {}));
  const agent = new https.Agent({ port: gateway.httpsPort, ca: gateway.ca });
  return client.setOptions({ ca: gateway.ca.toString(), amqp: { webSocketAgent: agent } }).then(() => client);
}

async function openSdk(t, device, way, options) {
  const client = await openSdkClient(t, device, way, options);
  await within(client.open(), 'open');
  return client;
}

function sendBySdk(way) {
  return async (t, device) => {
    const client = await openSdk(t, device, way);
    const message = new Message(BODY);
    Object.assign(message, { messageId: SYSTEM['message-id'], correlationId: uuid, contentType: SYSTEM['content-type'],
      contentEncoding: 'utf-8', expiryTimeUtc: Date.parse(EXPIRES), ack: 'full',
      interfaceId: ANNOTATIONS['iothub-interface-id'] });
    const inside = ['iothub-message-schema', 'iothub-operation', 'dt-subject'].map((name) => [name, SYSTEM[name]]);
    const created = ['iothub-creation-time-utc', CREATED];
    for (const [name, value] of [...Object.entries(PROPERTIES), ...inside, created]) message.properties.add(name, value);
    await within(client.sendEvent(message), 'the acknowledgement');
    await client.close();
  };
}

// ---- rhea ----

const rheaMessage = () => ({ message_id: SYSTEM['message-id'], correlation_id: rhea.string_to_uuid(uuid), user_id: 'user',
  to: 'somewhere', subject: 'means nothing', content_type: SYSTEM['content-type'], content_encoding: 'utf-8',
  creation_time: new Date(CREATED), absolute_expiry_time: new Date(EXPIRES), group_id: 'means nothing', ttl: 1000,
  application_properties: { ...PROPERTIES, ...RESERVED }, message_annotations: ANNOTATIONS, body: data(BODY) });

async function sendByRheaPlain(t, device) {
  const client = await AmqpClient.connect(t, device.gateway, { username: plainUser(device), password: device.token() });
  assert.equal(client.refused, undefined);
  await client.accepted(await client.sender(eventsOf(device)), rheaMessage());
  await client.leave();
}

async function sendByRheaCbs(t, device) {
  const client = await connectDevice(t, device);
  await client.accepted(client.events, rheaMessage());
  await client.leave();
}

// ---- Python ----

/** One of the programs beside this file; what it is to send goes to its stdin. */
function python(program, more = {}) {
  return async (t, device) => {
    const { gateway } = device;
    const input = JSON.stringify({ ...SYSTEM, body: BODY, properties: { ...PROPERTIES, ...RESERVED }, annotations: ANNOTATIONS,
      creation: Date.parse(CREATED) / 1000, expiry: Date.parse(EXPIRES) / 1000, port: gateway.amqpPort,
      ca: gateway.info.caFile, user: plainUser(device), token: device.token(), address: eventsOf(device),
      audience: device.resource, ...more });
    const result = await run('/usr/bin/python3', [path.join(__dirname, program)], { input });
    assert.equal(result.code, 0, result.stdout + result.stderr);
  };
}

const SDK_LACKS = ['user-id', 'to', 'Diagnostic-Id', 'Correlation-Context']; // its `to` is always the link's address

/** [client, how it sends, what it cannot set]. */
const CLIENTS = [
  ['the Azure IoT device SDK', sendBySdk('tcp'), SDK_LACKS],
  ['the Azure IoT device SDK over WebSocket', sendBySdk('web'), SDK_LACKS],
  ['rhea with PLAIN', sendByRheaPlain, []],
  ['rhea with a token by CBS', sendByRheaCbs, []],
  ['Qpid Proton in Python with PLAIN', python('amqp_proton.py'), []],
  ['uamqp in Python with PLAIN', python('amqp_uamqp.py', { mechanism: 'PLAIN' }), []],
  ['uamqp in Python with a token by CBS', python('amqp_uamqp.py', { mechanism: 'CBS' }), []],
];

for (const [name, send, lacking] of CLIENTS)
  promise(`${name} sends one event with every property, and the back end has each of them`, async (t) => {
    const gateway = await Gateway.start(t);
    const device = await gateway.addDevice('amqp-one');
    const before = Date.now();
    await send(t, device);
    const [stored] = await gateway.messages(1);
    assert.equal(stored.body, BODY);
    assert.deepEqual(stored.properties, PROPERTIES);
    const { 'iothub-connection-auth-generation-id': generation, 'iothub-enqueuedtime': enqueued,
      ...system } = stored.systemProperties;
    assert.deepEqual(system, { ...Object.fromEntries(Object.entries(SYSTEM).filter(([key]) => !lacking.includes(key))),
      'iothub-connection-device-id': 'amqp-one', 'iothub-connection-auth-method': AUTH_METHOD,
      'iothub-message-source': 'Telemetry' });
    assert.ok(generation !== '' && Date.parse(enqueued) >= before - 1000 && Date.parse(enqueued) <= Date.now() + 1000);
  });

for (const way of ['tcp', 'web']) {
  const over = way === 'web' ? ' over WebSocket' : '';

  promise(`100 events sent at once by the SDK over AMQP${over} are stored once each and in order`, async (t) => {
    const gateway = await Gateway.start(t);
    const client = await openSdk(t, await gateway.addDevice('many'), way);
    const numbers = Array.from({ length: 100 }, (_, i) => String(i));
    await within(Promise.all(numbers.map((number) => client.sendEvent(new Message(number)))), '100 acknowledgements');
    assert.deepEqual((await gateway.stored()).map(({ body }) => body), numbers);
  });

  promise(`the SDK with a wrong key is told over AMQP${over} too that it is unauthorized`, async (t) => {
    const gateway = await Gateway.start(t);
    await gateway.addDevice('wrong');
    await assert.rejects(openSdk(t, new Device(gateway, 'wrong', keyOf(96)), way), errors.UnauthorizedError);
    await gateway.daemon.said('token_signature');
  });

  promise(`the largest message of the SDK passes over AMQP${over}, a larger one is refused as such`, async (t) => {
    const gateway = await Gateway.start(t);
    const client = await openSdk(t, await gateway.addDevice('large'), way);
    const body = 'b'.repeat(262144);
    await within(client.sendEvent(new Message(body)), 'the acknowledgement');
    await assert.rejects(within(client.sendEvent(new Message(`${body}b`)), 'the refusal'), errors.MessageTooLargeError);
    await within(client.sendEvent(new Message('after')), 'the acknowledgement');
    assert.deepEqual((await gateway.messages(2)).map((message) => message.body), [body, 'after']);
  });

  promise(`the SDK over AMQP${over} comes back by itself after the gateway was killed and started again`, async (t) => {
    const dir = path.join(temporaryFolder(t), 'data');
    const first = await Gateway.start(t, { dir });
    const client = await openSdk(t, await first.addDevice('again'), way, { retry: true });
    await within(client.sendEvent(new Message('before')), 'the acknowledgement');
    await first.daemon.kill('SIGKILL');
    const second = await Gateway.start(t, { dir, port: first.port, amqpPort: first.amqpPort, httpsPort: first.httpsPort });
    await within(client.sendEvent(new Message('after')), 'the acknowledgement after the restart', 60000);
    assert.deepEqual((await second.messages(2)).map((message) => message.body), ['before', 'after']);
  });

  promise(`the SDK over AMQP${over} comes back by itself after the gateway was stopped and started again`, async (t) => {
    const dir = path.join(temporaryFolder(t), 'data');
    const first = await Gateway.start(t, { dir });
    const client = await openSdk(t, await first.addDevice('stopped'), way, { retry: true });
    await within(client.sendEvent(new Message('before')), 'the acknowledgement');
    assert.equal((await first.daemon.kill('SIGTERM')).code, 0);
    const second = await Gateway.start(t, { dir, port: first.port, amqpPort: first.amqpPort, httpsPort: first.httpsPort });
    await within(client.sendEvent(new Message('after')), 'the acknowledgement after the restart', 60000);
    assert.deepEqual((await second.messages(2)).map((message) => message.body), ['before', 'after']);
  });
}
