// One message by every protocol there is: it is the same at the back end, but for the stamps of time and place.
'use strict';
const assert = require('node:assert/strict');
const { connectDevice, data } = require('./amqp_client');
const { Gateway, promise } = require('./gateway');
const { ask, askHttp2, telemetry, telemetryBatch } = require('./https_client');
const { MqttClient } = require('./mqtt_client');
const { MqttOverWebSocket } = require('./websocket_client');

const AUTH_METHOD = '{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}';

/** A system property: its name at the back end, in the bag of a topic and as a header, a value, and where AMQP has it: a
 *  field of its properties, 'annotations' or 'application' under the name that the back end has. */
const SYSTEM = [
  ['message-id', '$.mid', 'iothub-messageid', "A-1:.+%_#*?!(),=@;$'", 'message_id'],
  ['correlation-id', '$.cid', 'iothub-correlationid', 'corr el/ation', 'correlation_id'],
  ['user-id', '$.uid', 'iothub-userid', 'user@example', 'user_id'],
  ['to', '$.to', 'iothub-to', '/some/where', 'to'],
  ['content-type', '$.ct', 'iothub-contenttype', 'application/json; charset=utf-8', 'content_type'],
  ['content-encoding', '$.ce', 'iothub-contentencoding', 'utf-8', 'content_encoding'],
  ['absolute-expiry-time', '$.exp', 'iothub-expiry', '2030-01-02T03:04:05.678Z', 'absolute_expiry_time'],
  ['iothub-creation-time-utc', 'iothub-creation-time-utc', 'iothub-creationtimeutc', '2026-01-02T03:04:05.678Z', 'creation_time'],
  ['iothub-ack', 'iothub-ack', 'iothub-ack', 'full', 'application'],
  ['iothub-message-schema', '$.schema', 'iothub-messageschema', 'schema-1', 'application'],
  ['iothub-operation', 'iothub-operation', 'iothub-operation', 'd2c', 'application'],
  ['iothub-interface-id', '$.ifid', 'iothub-interface-id', 'urn:example:1', 'annotations'],
  ['dt-subject', '$.sub', 'dt-subject', 'thermostat1', 'annotations'],
];
const ALL_SYSTEM = Object.fromEntries(SYSTEM.map(([name, , , value]) => [name, value]));

/** [what, {body, properties, system}]. Names are in lower case: HTTP/2 knows no other. */
const MESSAGES = [
  ['no properties', { body: 'plain' }],
  ['all system properties', { body: '{"a":1}', system: ALL_SYSTEM }],
  ['properties of the application', { body: 'x', properties: { one: '1', two: '2', three: 'three' } }],
  ['both', { body: 'x', properties: { a: 'b' }, system: { 'message-id': 'm-1', 'content-type': 'text/plain' } }],
  ['special characters', { body: 'x', properties: { "!#$%&'*+-.^_`|~0": `!"#$%&'()*+,-./:;<=>?@[\\]^_\`{|}~`, quote: '"',
    percent: '%41%zz%2', plus: 'a+b c' } }],
  ['UTF-8 in values', { body: 'grüße →😀', properties: { u: 'é→😀' }, system: { 'user-id': 'ü' } }],
  ['an empty value', { body: 'x', properties: { empty: '' } }],
  ['the names of headers', { body: 'x', properties: { host: 'h', 'content-length': '7', authorization: 'none',
    'iothub-messageid': 'no', date: '' } }],
  ['an empty body', { body: '', properties: { a: 'b' } }],
  ['a binary body', { body: Buffer.from(Array.from({ length: 256 }, (_, i) => 255 - i)) }],
  ['100 properties', { body: 'x', properties: Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`n-${i}`, `${i}`])) }],
  ['a large body', { body: 'l'.repeat(150000), properties: { a: 'b' } }],
];

const httpFields = ({ properties = {}, system = {} }) => Object.fromEntries([
  ...SYSTEM.filter(([name]) => name in system).map(([name, , header]) => [header, system[name]]),
  ...Object.entries(properties).map(([name, value]) => [`iothub-app-${name}`, value])]);

const bagOf = ({ properties = {}, system = {} }) => [
  ...SYSTEM.filter(([name]) => name in system).map(([name, bag]) => [bag, system[name]]), ...Object.entries(properties)]
  .map((pair) => pair.map(encodeURIComponent).join('=')).join('&');

const TIMES = ['absolute_expiry_time', 'creation_time'];

/** The message in AMQP's own words. */
function amqpMessage({ body, properties = {}, system = {} }) {
  const message = { body: data(body), application_properties: { ...properties }, message_annotations: {} };
  for (const [name, , , , where] of SYSTEM.filter(([name]) => name in system))
    if (where === 'application') message.application_properties[name] = system[name];
    else if (where === 'annotations') message.message_annotations[name] = system[name];
    else message[where] = TIMES.includes(where) ? new Date(system[name]) : system[name];
  return message;
}

async function sendByMqtt(Client, device, message) {
  const client = await Client.connect(device);
  const acknowledged = await client.publish(device.topic + bagOf(message), message.body);
  await client.leave();
  return acknowledged;
}

async function sendByAmqp(t, device, message, options) {
  const client = await connectDevice(t, device, options);
  const { outcome } = await client.send(client.events, amqpMessage(message));
  await client.leave();
  return outcome === 'accepted';
}

/** How a message can be sent: true when it was acknowledged. */
const WAYS = {
  'MQTT': (t, device, message) => sendByMqtt(MqttClient, device, message),
  'MQTT over WebSocket': (t, device, message) => sendByMqtt(MqttOverWebSocket, device, message),
  'AMQP': (t, device, message) => sendByAmqp(t, device, message),
  'AMQP over WebSocket': (t, device, message) => sendByAmqp(t, device, message, { web: true }),
  'HTTP/1.1': async (t, device, message) =>
    (await ask(device.gateway, telemetry(device, message.body, httpFields(message)))).status === 204,
  'HTTP/1.1 batch': async (t, device, message) => {
    const item = { body: Buffer.from(message.body).toString('base64'), base64Encoded: true, properties: httpFields(message) };
    return (await ask(device.gateway, telemetryBatch(device, [item]))).status === 204;
  },
  'HTTP/2': async (t, device, message) =>
    (await askHttp2(device.gateway, telemetry(device, message.body, httpFields(message)))).status === 204,
};

promise('must_75 the same message by MQTT and AMQP, both also over WebSocket, HTTP/1.1, single and batch, and HTTP/2 is equal', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('same');
  for (const [what, message] of MESSAGES)
    for (const [way, send] of Object.entries(WAYS)) assert.ok(await send(t, device, message), `${what} by ${way}`);
  const stored = await gateway.messages(MESSAGES.length * Object.keys(WAYS).length);
  for (const [what, { body, properties = {}, system = {} }] of MESSAGES) {
    const binary = Buffer.isBuffer(body);
    for (const way of Object.keys(WAYS)) {
      const { systemProperties, ...found } = stored.shift();
      const { 'iothub-enqueuedtime': time, 'iothub-connection-auth-generation-id': generation, ...others } = systemProperties;
      assert.equal(found.body, binary ? body.toString('base64') : body, `${what} by ${way}`);
      assert.equal(found.bodyEncoding, binary ? 'base64' : 'utf-8', `${what} by ${way}`);
      assert.deepEqual(found.properties, properties, `${what} by ${way}`);
      assert.deepEqual(others, { ...system, 'iothub-connection-device-id': 'same', 'iothub-message-source': 'Telemetry',
        'iothub-connection-auth-method': AUTH_METHOD }, `${what} by ${way}`);
      assert.ok(time !== '' && generation !== '', `${what} by ${way}`);
    }
  }
});
