// Published clients over WebSocket: each sends telemetry over wss:// and over MQTT's own port, and what the back end has of
// both is the same but for time and place.
'use strict';
const assert = require('node:assert/strict');
const https = require('node:https');
const { NoRetry, errors } = require('azure-iot-common');
const { Client, Message } = require('azure-iot-device');
const { Mqtt, MqttWs } = require('azure-iot-device-mqtt');
const mqtt = require('mqtt');
const { Device, Gateway, defer, keyOf, promise, run, within } = require('./gateway');
const { PATH } = require('./websocket_client');

const BODY = JSON.stringify({ celsius: 21.5, place: 'Küche' });
const BAG = '%24.mid=m-1&%24.cid=c%201&%24.ct=application%2Fjson&%24.ce=utf-8&a%20b=x%2Fy%26z%3D%C3%A9&plain=1';
const PROPERTIES = { 'a b': 'x/y&z=é', plain: '1' };

const urlOf = (gateway) => `wss://localhost:${gateway.httpsPort}${PATH}`;

/** What is left when the stamps of time and place are taken away. */
function withoutStamps({ enqueuedTime, offset, sequenceNumber, ...message }) {
  const { 'iothub-enqueuedtime': time, ...systemProperties } = message.systemProperties;
  return { ...message, systemProperties };
}

// ---- the clients ----

const SDK_TRANSPORTS = { tcp: Mqtt, web: MqttWs };

async function openSdk(t, device, way) {
  const { gateway } = device;
  const agent = new https.Agent({ port: gateway.httpsPort, ca: gateway.ca });
  const client = Client.fromConnectionString(way === 'web' ? device.connectionString.replace(/;GatewayHostName=.*/, '')
    : device.connectionString, SDK_TRANSPORTS[way]);
  client.setRetryPolicy(new NoRetry());
  await client.setOptions({ ca: gateway.ca.toString(), mqtt: { webSocketAgent: agent } });
  defer(t, () => client.close().catch(() => {}));
  await within(client.open(), 'open');
  return client;
}

async function sendBySdk(t, device, way) {
  const client = await openSdk(t, device, way);
  const message = new Message(BODY);
  Object.assign(message, { messageId: 'm-1', correlationId: 'c 1', contentType: 'application/json', contentEncoding: 'utf-8' });
  for (const [name, value] of Object.entries(PROPERTIES)) message.properties.add(name, value);
  await within(client.sendEvent(message), 'the acknowledgement');
  await client.close();
}

async function sendByMqttJs(t, device, way) {
  const { gateway } = device;
  const url = way === 'web' ? urlOf(gateway) : `mqtts://localhost:${gateway.port}`;
  const client = mqtt.connect(url, { clientId: device.clientId, username: device.userName, password: device.token(),
    ca: gateway.ca, protocolVersion: 4, reconnectPeriod: 0 });
  defer(t, () => client.endAsync(true));
  await within(client.publishAsync(device.topic + BAG, BODY, { qos: 1 }), 'the acknowledgement');
  await within(client.endAsync(), 'the end');
}

/** One of paho's programs in C. */
function paho(program) {
  return async (t, device, way) => {
    const { gateway } = device;
    const result = await run(program, ['-c', way === 'web' ? urlOf(gateway) : `ssl://localhost:${gateway.port}`, '--cafile',
      gateway.info.caFile, '-i', device.clientId, '-u', device.userName, '-P', device.token(), '-q', '1', '-t', device.topic + BAG,
      '-m', BODY]);
    assert.equal(result.code, 0, result.stdout + result.stderr);
  };
}

const PAHO_IN_PYTHON = `
import sys
import paho.mqtt.client as mqtt
way, port, path, ca, client_id, user, password, topic, body = sys.argv[1:]
client = mqtt.Client(client_id, protocol=mqtt.MQTTv311, transport="websockets" if way == "web" else "tcp")
client.username_pw_set(user, password)
client.tls_set(ca)
if way == "web":
    client.ws_set_options(path=path)
client.connect("localhost", int(port))
client.loop_start()
sent = client.publish(topic, body, qos=1)
sent.wait_for_publish(15)
client.disconnect()
client.loop_stop()
sys.exit(0 if sent.is_published() else "not acknowledged")
`;

async function sendByPython(t, device, way) {
  const { gateway } = device;
  const result = await run('/usr/bin/python3', ['-c', PAHO_IN_PYTHON, way, String(way === 'web' ? gateway.httpsPort : gateway.port),
    PATH, gateway.info.caFile, device.clientId, device.userName, device.token(), device.topic + BAG, BODY]);
  assert.equal(result.code, 0, result.stderr);
}

const CLIENTS = { 'the Azure IoT device SDK': sendBySdk, 'mqtt.js': sendByMqttJs, paho_cs_pub: paho('paho_cs_pub'),
  paho_c_pub: paho('paho_c_pub'), 'paho in Python': sendByPython };

for (const [name, send] of Object.entries(CLIENTS))
  promise(`must_75 what ${name} sends over WebSocket is the message it sends over MQTT`, async (t) => {
    const gateway = await Gateway.start(t);
    const device = await gateway.addDevice('same');
    for (const way of ['tcp', 'web']) await send(t, device, way);
    const [plain, over] = (await gateway.messages(2)).map(withoutStamps);
    assert.deepEqual(over, plain);
    assert.equal(over.body, BODY);
    assert.deepEqual(over.properties, PROPERTIES);
    assert.equal(over.systemProperties['message-id'], 'm-1');
    assert.equal(over.systemProperties['correlation-id'], 'c 1');
  });

promise('100 events sent at once by the SDK over WebSocket are stored once each and in order', async (t) => {
  const gateway = await Gateway.start(t);
  const client = await openSdk(t, await gateway.addDevice('many'), 'web');
  const numbers = Array.from({ length: 100 }, (_, i) => String(i));
  await within(Promise.all(numbers.map((number) => client.sendEvent(new Message(number)))), '100 acknowledgements');
  assert.deepEqual((await gateway.stored()).map(({ body }) => body), numbers);
});

promise('the SDK with a wrong key is told over WebSocket too that it is unauthorized', async (t) => {
  const gateway = await Gateway.start(t);
  await gateway.addDevice('wrong');
  await assert.rejects(openSdk(t, new Device(gateway, 'wrong', keyOf(96)), 'web'), errors.UnauthorizedError);
  await gateway.daemon.said('token_signature');
});

promise('the largest message of the SDK passes over WebSocket', async (t) => {
  const gateway = await Gateway.start(t);
  const client = await openSdk(t, await gateway.addDevice('large'), 'web');
  const body = 'b'.repeat(255 * 1024);
  await within(client.sendEvent(new Message(body)), 'the acknowledgement');
  assert.deepEqual((await gateway.messages(1)).map((message) => message.body), [body]);
});
