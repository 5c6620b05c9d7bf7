// The unmodified Azure IoT device SDK over MQTT.
'use strict';
const assert = require('node:assert/strict');
const { NoRetry, errors } = require('azure-iot-common');
const { Client, Message } = require('azure-iot-device');
const { Mqtt } = require('azure-iot-device-mqtt');
const { Device, Gateway, defer, keyOf, promise, within } = require('./gateway');
const { MqttClient } = require('./mqtt_client');

async function openSdk(t, gateway, connectionString, { retry = false } = {}) {
  const client = Client.fromConnectionString(connectionString, Mqtt);
  if (!retry) client.setRetryPolicy(new NoRetry());
  await client.setOptions({ ca: gateway.ca.toString() });
  defer(t, () => client.close().catch(() => {}));
  await within(client.open(), 'open');
  return client;
}

promise('the SDK sends one event with every property, and the back end has each of them', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('sdk-one');
  const client = await openSdk(t, gateway, device.connectionString);
  const message = new Message(JSON.stringify({ celsius: 21.5 }));
  Object.assign(message, { messageId: 'mid-1', correlationId: 'cid 1', userId: 'user', contentType: 'application/json',
    contentEncoding: 'utf-8' });
  message.properties.add('a b', 'x/y&z=é');
  message.properties.add('plain', '1');
  const before = Date.now();
  await within(client.sendEvent(message), 'the acknowledgement');

  const [stored] = await gateway.messages(1);
  assert.equal(stored.body, '{"celsius":21.5}');
  assert.deepEqual(stored.properties, { 'a b': 'x/y&z=é', plain: '1' });
  const system = stored.systemProperties;
  assert.equal(system['message-id'], 'mid-1');
  assert.equal(system['correlation-id'], 'cid 1');
  assert.equal(system['user-id'], 'user');
  assert.equal(system['content-type'], 'application/json');
  assert.equal(system['content-encoding'], 'utf-8');
  assert.equal(system['iothub-connection-device-id'], 'sdk-one');
  assert.equal(system['iothub-connection-auth-method'],
    '{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}');
  assert.equal(system['iothub-message-source'], 'Telemetry');
  assert.match(system['iothub-connection-auth-generation-id'], /^.+$/);
  const enqueued = Date.parse(stored.enqueuedTime);
  assert.ok(enqueued >= before - 1000 && enqueued <= Date.now() + 1000, stored.enqueuedTime);
});

promise('the connection string that dev prints, and where its port is, are enough for the SDK', async (t) => {
  const gateway = await Gateway.start(t);
  const client = await openSdk(t, gateway,
    `${gateway.info.deviceConnectionString};GatewayHostName=localhost:${gateway.port}`);
  await within(client.sendEvent(new Message('hello')), 'the acknowledgement');
  const [stored] = await gateway.messages(1);
  assert.equal(stored.body, 'hello');
  assert.equal(stored.systemProperties['iothub-connection-device-id'], gateway.info.deviceId);
});

promise('100 events sent at once by the SDK are stored once each and in order', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('sdk-many');
  const client = await openSdk(t, gateway, device.connectionString);
  await within(Promise.all(Array.from({ length: 100 }, (_, i) => client.sendEvent(new Message(String(i))))),
    '100 acknowledgements');
  const stored = await gateway.stored();
  assert.deepEqual(stored.map((message) => message.body), Array.from({ length: 100 }, (_, i) => String(i)));
  assert.equal(new Set(stored.map((message) => message.partition)).size, 1);
});

promise('the SDK comes back by itself after its connection was cut', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('sdk-again');
  const client = await openSdk(t, gateway, device.connectionString, { retry: true });
  await within(client.sendEvent(new Message('before')), 'the acknowledgement');
  const intruder = await MqttClient.connect(device, { clean: false }); // takes over: the SDK's connection is cut
  assert.equal(intruder.code, 0);
  await within(client.sendEvent(new Message('after')), 'the acknowledgement after the cut', 60000);
  assert.ok(await intruder.isClosed(), 'the SDK took over in its turn');
  const stored = await gateway.messages(2);
  assert.deepEqual(stored.map((message) => message.body), ['before', 'after']);
});

promise('the SDK with a wrong key is told that it is unauthorized', async (t) => {
  const gateway = await Gateway.start(t);
  await gateway.addDevice('sdk-wrong');
  const wrong = new Device(gateway, 'sdk-wrong', keyOf(96));
  await assert.rejects(openSdk(t, gateway, wrong.connectionString), errors.UnauthorizedError);
  await gateway.daemon.said('token_signature');
});
