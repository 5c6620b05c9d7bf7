// Devices over HTTPS: the unmodified Azure IoT device SDK, curl, nghttp and h2load, and byte by byte where no client goes.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const http2 = require('node:http2');
const https = require('node:https');
const path = require('node:path');
const { errors } = require('azure-iot-common');
const { Client, Message } = require('azure-iot-device');
const { Http } = require('azure-iot-device-http');
const { Device, Gateway, KEYS, defer, document, freePort, keyOf, promise, run, sasToken, temporaryFolder,
  within } = require('./gateway');
const { BATCH_TYPE, HttpsClient, ask, askHttp2, askSession, curl, present, requestBytes, service, serviceToken, telemetry,
  telemetryBatch } = require('./https_client');
const { MqttClient } = require('./mqtt_client');
const { failing, serve } = require('./serve');

const MESSAGE_MAX = 262144, BATCH_MAX = 500, DROP_MS = 10000;
const uuid = '1e0ff5d0-6f5c-4d04-9c5f-0e2b7a3f1c55';
const authMethod = (scope) => `{"scope":"${scope}","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`;

const bodies = (messages) => messages.map(({ body }) => body);

// ---- the SDK ----

async function openSdk(t, device) {
  const { gateway } = device;
  const connectionString = `HostName=${gateway.host};DeviceId=${device.deviceId};SharedAccessKey=${device.key}`;
  const client = Client.fromConnectionString(connectionString, Http);
  const agent = new https.Agent({ port: gateway.httpsPort, ca: gateway.ca, keepAlive: true });
  defer(t, () => agent.destroy());
  defer(t, () => client.close().catch(() => {}));
  client.setOptions({ http: { agent } }).catch(() => {}); // takes effect at once; this transport never says that it is done
  await within(client.open(), 'open');
  return client;
}

promise('the SDK over HTTPS sends one event with every property, and the back end has each of them', async (t) => {
  const gateway = await Gateway.start(t);
  const client = await openSdk(t, await gateway.addDevice('sdk-http'));
  const message = new Message(JSON.stringify({ celsius: 21.5 }));
  Object.assign(message, { messageId: uuid, correlationId: 'cid 1', userId: 'user', to: 'somewhere', ack: 'full',
    contentType: 'application/json', contentEncoding: 'utf-8', expiryTimeUtc: '2030-01-02T03:04:05.678Z',
    interfaceId: 'urn:x' });
  message.properties.add('plain', '1');
  message.properties.add('A.b-c_d', 'x/y&z=1;"2" {3}');
  message.properties.add('empty', '');
  message.properties.add('dt-subject', 'thermostat1');
  const before = Date.now();
  await within(client.sendEvent(message), 'the acknowledgement');

  const [stored] = await gateway.messages(1);
  assert.equal(stored.body, '{"celsius":21.5}');
  assert.deepEqual(stored.properties, { plain: '1', 'A.b-c_d': 'x/y&z=1;"2" {3}', empty: '' });
  const { 'iothub-connection-auth-generation-id': generation, 'iothub-enqueuedtime': enqueued,
    ...system } = stored.systemProperties;
  assert.deepEqual(system, { 'message-id': uuid, 'correlation-id': 'cid 1', 'user-id': 'user', to: 'somewhere',
    'iothub-ack': 'full', 'content-type': 'application/json', 'content-encoding': 'utf-8',
    'absolute-expiry-time': '2030-01-02T03:04:05.678Z', 'iothub-interface-id': 'urn:x', 'dt-subject': 'thermostat1',
    'iothub-connection-device-id': 'sdk-http', 'iothub-connection-auth-method': authMethod('device'),
    'iothub-message-source': 'Telemetry' });
  assert.match(generation, /^.+$/);
  const time = Date.parse(stored.enqueuedTime);
  assert.ok(time >= before - 1000 && time <= Date.now() + 1000, `${stored.enqueuedTime} ${enqueued}`);
});

promise('the SDK over HTTPS sends batches, and every message of them is stored on its own and in order', async (t) => {
  const gateway = await Gateway.start(t);
  const client = await openSdk(t, await gateway.addDevice('sdk-batch'));
  const events = ['one', 'ünï', Buffer.from([0, 1, 0xff])].map((body) => new Message(body));
  events[0].properties.add('n', '1');
  events[0].properties.add('unicode', 'x/y&z=é→😀');
  await within(client.sendEventBatch(events), 'the acknowledgement');
  const many = Array.from({ length: BATCH_MAX }, (_, i) => new Message(String(i)));
  await within(client.sendEventBatch(many), 'the acknowledgement of the largest batch');
  const stored = await gateway.stored();
  assert.deepEqual(bodies(stored), ['one', 'ünï', 'AAH/', ...many.map((_, i) => String(i))]);
  assert.deepEqual(stored[0].properties, { n: '1', unicode: 'x/y&z=é→😀' });
  assert.equal(stored[2].bodyEncoding, 'base64');
  await assert.rejects(client.sendEventBatch([...many, new Message('one more')]), errors.MessageTooLargeError);
  assert.equal((await gateway.stored()).length, stored.length);
});

promise('the SDK over HTTPS sends 100 events at once, each is stored once', async (t) => {
  const gateway = await Gateway.start(t);
  const client = await openSdk(t, await gateway.addDevice('sdk-many'));
  await within(Promise.all(Array.from({ length: 100 }, (_, i) => client.sendEvent(new Message(String(i))))),
    '100 acknowledgements');
  const stored = await gateway.stored();
  assert.deepEqual(bodies(stored).map(Number).sort((a, b) => a - b), Array.from({ length: 100 }, (_, i) => i));
  assert.equal(new Set(stored.map(({ partition }) => partition)).size, 1);
});

promise('the SDK over HTTPS is told why it was refused: wrong key, unknown, disabled, too large', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('sdk');
  await gateway.addDevice('off', { status: 'disabled' });
  const refused = async (who, body, wanted, status) => {
    const client = await openSdk(t, who);
    await assert.rejects(client.sendEvent(new Message(body)),
      (error) => error instanceof wanted && error.response.statusCode === status, `${status}`);
    await assert.rejects(client.sendEventBatch([new Message(body)]),
      (error) => error instanceof wanted && error.response.statusCode === status, `${status} for a batch`);
  };
  await refused(new Device(gateway, 'sdk', keyOf(96)), 'x', errors.UnauthorizedError, 401);
  await gateway.daemon.said('token_signature');
  await refused(new Device(gateway, 'nobody'), 'x', errors.UnauthorizedError, 401);
  await refused(new Device(gateway, 'off'), 'x', errors.IotHubQuotaExceededError, 403); // what the SDK makes of any 403
  await refused(device, Buffer.alloc(MESSAGE_MAX + 1, 'b'), errors.MessageTooLargeError, 413);
  const latin = new Message('x');
  latin.properties.add('u', 'é'); // Node sends one byte for it, which is no UTF-8
  const client = await openSdk(t, device);
  await assert.rejects(client.sendEvent(latin), errors.ArgumentError);
  await within(client.sendEvent(new Message(Buffer.alloc(MESSAGE_MAX, 'b'))), 'the acknowledgement of the largest message');
  const [{ body }, ...others] = await gateway.stored();
  assert.equal(body, 'b'.repeat(MESSAGE_MAX));
  assert.deepEqual(others, []);
});

// ---- command line clients ----

/** Arguments of curl for a telemetry request; the body comes from a file. Status and version are told behind the answer. */
function curlArguments(request, bodyFile) {
  return ['--data-binary', `@${bodyFile}`, '-w', '%{http_code} %{http_version}', '-H', 'Content-Type: application/octet-stream',
    ...present(request.fields).flatMap(([name, value]) => ['-H', `${name}: ${value}`])];
}

function bodyFile(t, body) {
  const file = path.join(temporaryFolder(t), 'body');
  fs.writeFileSync(file, body);
  return file;
}

promise('curl is answered with 204 over HTTP/1.0, HTTP/1.1 and HTTP/2, whatever its Content-Type', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('curl');
  const request = telemetry(device, undefined, { 'iothub-app-a': 'b' });
  const large = bodyFile(t, 'x'.repeat(200000)), small = bodyFile(t, 'small'); // the large one goes with Expect: 100-continue
  for (const [option, version] of [['--http1.0', '1.1'], ['--http1.1', '1.1'], ['--http2', '2']])
    for (const file of [small, large])
      assert.equal(await curl(gateway, request.path, [option, ...curlArguments(request, file)]), `204 ${version}`,
        `${option} ${file}`);
  const head = await curl(gateway, request.path, ['--http1.1', '-D', '-', ...curlArguments(request, small)]);
  assert.match(head, /^HTTP\/1\.1 204 No Content\r\ndate: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n\r\n/);
  const stored = await gateway.messages(7);
  assert.deepEqual(stored.map(({ body }) => body.length), [5, 200000, 5, 200000, 5, 200000, 5]);
  for (const { properties } of stored) assert.deepEqual(properties, { a: 'b' });
});

promise('curl reads refusals over both versions, also before its body is sent; the largest message goes through', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('curl');
  const request = telemetry(device);
  const [small, whole, over] = [5, MESSAGE_MAX, MESSAGE_MAX + 1].map((length) => bodyFile(t, 'b'.repeat(length)));
  const rows = [[413, request.fields, over], [401, {}, whole], ...Array(20).fill([401, {}, small])]; // it was a race once
  for (const option of ['--http1.1', '--http2']) {
    const sent = await curl(gateway, request.path, [option, ...curlArguments(request, whole)]);
    assert.equal(sent, `204 ${option.slice('--http'.length)}`);
    for (const [status, fields, file] of rows) {
      const args = [option, ...curlArguments({ fields }, file), '-w', '\n%{http_code} %{content_type}'];
      const [body, line] = (await curl(gateway, request.path, args)).split('\n');
      assert.equal(line, `${status} application/json; charset=utf-8`, option);
      assert.match(JSON.parse(body).Message, /^ErrorCode:\w+;./);
    }
  }
  assert.deepEqual((await gateway.stored()).map(({ body }) => body.length), [MESSAGE_MAX, MESSAGE_MAX]);
});

promise('nghttp sends 20 requests on a connection, and reads refusals, also one before its body is sent', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('nghttp');
  const request = telemetry(device), token = ['-H', `Authorization: ${device.token()}`];
  const nghttp = (body, ...args) =>
    run('nghttp', ['-v', '-d', bodyFile(t, body), ...args, `https://localhost:${gateway.httpsPort}${request.path}`]);
  const sent = await nghttp('by nghttp', '-m', '20', ...token);
  assert.equal(sent.code, 0, sent.stderr);
  assert.equal(sent.stdout.match(/:status: 204/g)?.length, 20, sent.stdout.slice(-2000));
  assert.match((await nghttp('x')).stdout, /:status: 401[^]*ErrorCode:IotHubUnauthorizedAccess;/);
  assert.match((await nghttp('b'.repeat(MESSAGE_MAX + 1), ...token)).stdout, /:status: 413[^]*ErrorCode:MessageTooLarge;/);
  assert.deepEqual(bodies(await gateway.stored()), Array(20).fill('by nghttp'));
});

for (const [version, options] of [['HTTP/1.1', ['--h1', '-m', '1']], ['HTTP/2', ['-m', '10']]])
  promise(`h2load sends 2,000 requests over ${version} on 10 connections: all 2xx, and exactly so many messages`, async (t) => {
    const gateway = await Gateway.start(t);
    const device = await gateway.addDevice('load');
    const request = telemetry(device), count = 2000;
    const loaded = await run('h2load', ['-n', String(count), '-c', '10', ...options, '-d', bodyFile(t, 'load'),
      '-H', `Authorization: ${device.token()}`, `https://localhost:${gateway.httpsPort}${request.path}`]);
    assert.equal(loaded.code, 0, loaded.stderr);
    assert.match(loaded.stdout, new RegExp(`Application protocol: ${version === 'HTTP/2' ? 'h2' : 'http/1.1'}`));
    assert.match(loaded.stdout, new RegExp(`status codes: ${count} 2xx, 0 3xx, 0 4xx, 0 5xx`), loaded.stdout);
    const stored = await gateway.stored();
    assert.equal(stored.length, count);
    for (const { body } of stored) assert.equal(body, 'load');
  });

// ---- the surface ----

promise('must_69 sending one and sending many answer 204, in every form of a batch; all of a batch or nothing', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('send');
  const client = await HttpsClient.open(gateway);
  const sends = async (request) => {
    const answer = await client.ask(request);
    assert.equal(answer.status, 204, answer.body);
    assert.equal(answer.body, '');
  };
  const base64 = (text) => Buffer.from(text).toString('base64');
  await sends(telemetry(device, 'single'));
  await sends(telemetry(device, undefined)); // no body, no length
  await sends({ ...telemetry(device, 'no version'), path: '/devices/send/messages/events' });
  await sends({ ...telemetry(device, 'another'), path: '/Devices/send/MESSAGES/Events/?api-version=2016-11-14' });
  await sends(telemetry(device, '[1]', { 'Content-Type': 'application/json' }));
  await sends(telemetryBatch(device, [{ body: base64('absent') }, { body: base64('true'), base64Encoded: true },
    { body: 'not base64!', base64Encoded: false }, { body: null }, {}, { body: '', properties: null },
    { body: base64('p'), properties: { 'iothub-app-K': 'v', 'IoTHub-MessageId': 'm1', 'dt-subject': 'c', bare: 'b' } }]));
  await sends(telemetryBatch(device, [{ body: base64('type') }],
    { 'Content-Type': `${BATCH_TYPE.toUpperCase()} ; charset=utf-8` }));
  const good = [{ body: base64('never') }, { body: base64('stored') }];
  for (const [what, items, status] of [['not JSON', '[{', 400], ['no array', '{}', 400], ['empty', '[]', 400],
    ['a number', '[1]', 400], ['not base64', [...good, { body: '%%%' }], 400], ['not a text', [...good, { body: 7 }], 400],
    ['property not a text', [...good, { body: '', properties: { a: 1 } }], 400],
    ['properties an array', [...good, { body: '', properties: [] }], 400],
    ['a bad message id', [...good, { body: '', properties: { 'iothub-messageid': 'a b' } }], 400],
    ['501 messages', Array(BATCH_MAX + 1).fill({ body: '' }), 413]]) {
    const request = telemetryBatch(device, items);
    const answer = await client.ask(typeof items === 'string' ? { ...request, body: items } : request);
    assert.equal(answer.status, status, what);
  }
  const stored = await gateway.stored();
  assert.deepEqual(bodies(stored), ['single', '', 'no version', 'another', '[1]', 'absent', 'true', 'not base64!', '', '', '',
    'p', 'type']);
  assert.deepEqual(stored[11].properties, { K: 'v', bare: 'b' });
  assert.equal(stored[11].systemProperties['message-id'], 'm1');
  assert.equal(stored[11].systemProperties['dt-subject'], 'c');
});

promise('must_52 a message of 262144 counted bytes is taken, one more is 413, wherever it is; a batch too', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('big');
  const client = await HttpsClient.open(gateway);
  const sent = [];
  for (const [fields, counted] of [[{}, 0], [{ 'iothub-app-name': 'value' }, 'name'.length + 'value'.length],
    [{ 'iothub-messageid': 'm-1' }, 'm-1'.length]]) {
    const body = 'b'.repeat(MESSAGE_MAX - counted);
    for (const send of [(request) => client.ask(request), (request) => askHttp2(gateway, request)]) {
      assert.equal((await send(telemetry(device, body, fields))).status, 204);
      assert.equal((await send(telemetry(device, `${body}c`, fields))).status, 413);
      sent.push(body.length);
    }
  }
  const room = MESSAGE_MAX - JSON.stringify([{ body: '' }, { body: '' }]).length, half = room / 2 - (room / 2) % 4;
  const items = (length) => [{ body: 'QUFB'.repeat(half / 4) }, { body: 'QUFB'.repeat(length / 4) }];
  assert.equal((await client.ask(telemetryBatch(device, items(half)))).status, 204);
  assert.equal((await client.ask(telemetryBatch(device, items(half + 8)))).status, 413);
  assert.deepEqual((await gateway.stored()).map(({ body }) => body.length), [...sent, half / 4 * 3, half / 4 * 3]);
});

/** The bytes of a chunked request: a body cut into pieces, each with what is written behind its size. */
function chunked(request, pieces, extension = '') {
  const head = requestBytes({ ...request, body: undefined, fields: { ...request.fields, 'Transfer-Encoding': 'chunked' } });
  const chunks = pieces.map((piece) => `${Buffer.byteLength(piece).toString(16)}${extension}\r\n${piece}\r\n`);
  return Buffer.concat([head, Buffer.from(`${chunks.join('')}0\r\n\r\n`)]);
}

promise('must_72 chunked bodies, heads and bodies cut anywhere, and names in any case', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('chunked');
  const client = await HttpsClient.open(gateway);
  client.socket.setNoDelay(true);
  const request = telemetry(device, undefined, { 'iothub-app-a': 'b' });
  const whole = 'chunks of a body';
  const sends = async (bytes) => {
    for (const part of [bytes].flat()) client.send(part);
    assert.equal((await client.next()).status, 204);
  };
  await sends(chunked(request, [whole]));
  await sends(chunked(request, [...whole]));
  await sends(chunked(request, [whole.slice(0, 3), whole.slice(3)], ';name="value"; other'));
  await sends(chunked(request, []));
  await sends([...chunked(request, [whole.slice(0, 9), whole.slice(9)])].map((byte) => Buffer.from([byte]))); // a record each
  const large = 'l'.repeat(MESSAGE_MAX - 2);
  await sends(chunked(request, large.match(/.{1,1000}/g)));
  for (const change of [(name) => name.toUpperCase(), (name) => name.toLowerCase(),
    (name) => [...name].map((c, i) => (i % 2 ? c.toUpperCase() : c.toLowerCase())).join('')]) {
    const fields = { ...request.fields, 'IoTHub-MessageId': 'm-1', 'Content-Length': '0' };
    await sends(requestBytes({ ...request, fields: Object.fromEntries(Object.entries(fields).map(([name, value]) =>
      [change(name), value])) }));
  }
  const stored = await gateway.stored();
  assert.deepEqual(bodies(stored), [whole, whole, whole, '', whole, large, '', '', '']);
  for (const { properties } of stored.slice(0, 6)) assert.deepEqual(properties, { a: 'b' });
  for (const { properties, systemProperties } of stored.slice(6)) {
    assert.deepEqual(Object.entries(properties).map(([name, value]) => [name.toLowerCase(), value]), [['a', 'b']]);
    assert.equal(systemProperties['message-id'], 'm-1');
  }
});

promise('Expect: 100-continue is answered before the body comes, or refused without it', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('expect');
  const begins = async (fields) => {
    const client = await HttpsClient.open(gateway);
    const bytes = requestBytes(telemetry(device, 'body', { Expect: '100-Continue', ...fields }));
    client.send(bytes.subarray(0, bytes.length - 'body'.length));
    return client;
  };
  const client = await begins({});
  assert.equal((await client.next()).status, 100);
  client.send('body');
  assert.equal((await client.next()).status, 204);
  assert.equal((await client.ask(telemetry(device, 'next'))).status, 204);
  const refused = await begins({ Authorization: undefined });
  assert.equal((await refused.next()).status, 401);
  assert.equal(await refused.next(), null, 'nobody knows whether the body follows');
  assert.deepEqual(bodies(await gateway.stored()), ['body', 'next']);
});

promise('must_72 a blank Authorization is none', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('blank');
  const client = await HttpsClient.open(gateway);
  for (const blank of ['', ' ', ' \t ', undefined]) {
    const before = gateway.daemon.stderr.length;
    assert.equal((await client.ask(telemetry(device, 'x', { Authorization: blank }))).status, 401);
    await gateway.daemon.said('token_missing', before);
  }
  assert.equal((await client.ask(telemetry(device, 'x', { Authorization: ` \t ${device.token()} \t` }))).status, 204);
});

promise('must_74 every error is JSON whose Message begins with ErrorCode, with its status, over both versions', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('errors');
  const disabled = await gateway.addDevice('off', { status: 'disabled' });
  const request = telemetry(device, 'x'), elsewhere = (path, method = 'POST') => ({ ...request, path, method });
  const rows = [
    [400, 'IotHubFormatError', { ...telemetryBatch(device, []), body: '{' }],
    [400, 'ArgumentInvalid', telemetry(device, 'x', { 'iothub-messageid': 'not allowed' })],
    [401, 'IotHubUnauthorizedAccess', telemetry(device, 'x', { Authorization: undefined })],
    [401, 'IotHubUnauthorizedAccess', telemetry(device, 'x',
      { Authorization: new Device(gateway, 'errors', keyOf(9)).token() })],
    [401, 'IotHubUnauthorizedAccess', telemetry(new Device(gateway, 'nobody'), 'x')],
    [403, 'DeviceDisabled', telemetry(disabled, 'x')],
    [404, 'NotFound', elsewhere('/')],
    [404, 'NotFound', elsewhere('/devices/errors/messages/elsewhere')],
    [404, 'NotFound', elsewhere('/devices/errors/modules/m/messages/events')],
    [405, 'MethodNotAllowed', elsewhere(request.path, 'GET'), { allow: 'POST' }],
    [405, 'MethodNotAllowed', elsewhere(request.path, 'BREW'), { allow: 'POST' }],
    [413, 'MessageTooLarge', telemetry(device, 'b'.repeat(MESSAGE_MAX), { 'iothub-app-a': 'b' })],
    [413, 'MessageTooLarge', telemetry(device, 'b'.repeat(MESSAGE_MAX + 1))],
    [501, 'NotImplemented', elsewhere('/devices/errors/messages/deviceBound', 'GET')],
    [501, 'NotImplemented', elsewhere('/devices/errors/messages/deviceBound/lock?reject', 'DELETE')],
    [501, 'NotImplemented', elsewhere('/devices/errors/files')],
  ];
  for (const [version, send] of [['HTTP/1.1', ask], ['HTTP/2', askHttp2]])
    for (const [status, name, row, fields = {}] of rows) {
      const what = `${version} ${row.method} ${row.path} ${name}`;
      const answer = await send(gateway, row);
      assert.equal(answer.status, status, what);
      assert.equal(answer.fields['content-type'], 'application/json; charset=utf-8', what);
      assert.equal(answer.errorCode, name, what);
      assert.match(answer.json.Message, new RegExp(`^ErrorCode:${name};[^;]+$`), what);
      assert.match(answer.json.ExceptionMessage, /^Tracking ID:[0-9a-f]{32}-G:0-TimeStamp:\d\d\/\d\d\/\d{4} \d\d:\d\d:\d\d$/,
        what);
      for (const [field, value] of Object.entries(fields)) assert.equal(answer.fields[field], value, what);
      if (status === 401) assert.ok(answer.fields['www-authenticate'], what);
    }
  assert.deepEqual(await gateway.stored(), []);
});

promise('must_76 stamps are right over HTTP and cannot be forged, bare or as a property, singly or in a batch', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('honest');
  const { generationId } = JSON.parse(await gateway.ok('device', 'show', 'honest', '--json'));
  const stamps = ['iothub-connection-device-id', 'iothub-connection-module-id', 'iothub-connection-auth-generation-id',
    'iothub-connection-auth-method', 'iothub-connection-anything', 'iothub-enqueuedtime', 'iothub-message-source',
    'dt-dataschema', 'mqtt-retain', 'mqtt-dup', 'iothub-MessageType'];
  const named = (prefix) => Object.fromEntries(stamps.map((name) => [prefix + name, 'forged']));
  const forged = [named(''), named('iothub-app-'), named('IOTHUB-APP-')];
  const before = Date.now();
  for (const fields of forged) {
    assert.equal((await ask(gateway, telemetry(device, 'x', fields))).status, 204);
    assert.equal((await askHttp2(gateway, telemetry(device, 'x', fields))).status, 204);
    assert.equal((await ask(gateway, telemetryBatch(device, [{ body: 'eA==', properties: fields }], fields))).status, 204);
  }
  for (const { properties, systemProperties: system, enqueuedTime } of await gateway.messages(3 * forged.length)) {
    assert.deepEqual(properties, {});
    assert.equal(system['iothub-connection-device-id'], 'honest');
    assert.equal(system['iothub-connection-auth-generation-id'], generationId);
    assert.equal(system['iothub-connection-auth-method'], authMethod('device'));
    assert.equal(system['iothub-message-source'], 'Telemetry');
    for (const name of ['iothub-connection-module-id', 'iothub-connection-anything',
      'dt-dataschema']) assert.equal(system[name], undefined, name);
    assert.ok(!JSON.stringify(system).includes('forged'));
    const time = Date.parse(enqueuedTime);
    assert.ok(time >= before - 1000 && time <= Date.now() + 1000, enqueuedTime);
  }
});

promise('must_77 the auth-method record tells a policy\'s token from a device\'s over HTTP', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('dev');
  await gateway.ok('policy', 'create', 'tokens', '--rights', 'DeviceConnect', '--primary-key', keyOf(64), '--secondary-key',
    keyOf(96));
  const byPolicy = (scope, key) => sasToken(`${gateway.host}${scope}`, key, { policy: 'tokens' });
  const rows = [[device.token(), 'device'], [new Device(gateway, 'dev', KEYS.secondaryKey).token(), 'device'],
    [byPolicy('', keyOf(64)), 'hub'], [byPolicy('/devices', keyOf(96)), 'hub'], [byPolicy('/devices/dev', keyOf(64)), 'hub']];
  const client = await HttpsClient.open(gateway);
  for (const [token] of rows) assert.equal((await client.ask(telemetry(device, 'x', { Authorization: token }))).status, 204);
  const stored = await gateway.messages(rows.length);
  stored.forEach(({ systemProperties }, i) => assert.equal(systemProperties['iothub-connection-auth-method'],
    `{"scope":"${rows[i][1]}","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`, `row ${i}`));
});

promise('must_24 threat_21 ids of any legal character send percent-encoded, in every spelling of that', async (t) => {
  const gateway = await Gateway.start(t);
  const letters = [..."-.+%_#*?!(),=@$':;"];
  const ids = [...letters, ...letters.map((letter) => `a${letter}b`), letters.join(''), '..', '%2F', '%2e%2e%2f', '%00',
    '$iothub', 'a=b?api-version=c', '#'.repeat(128)];
  await gateway.importDevices(ids.map((id) => document(id)));
  const every = (id, hex) => [...Buffer.from(id)].map((byte) => `%${hex(byte.toString(16).padStart(2, '0'))}`).join('');
  const spellings = [encodeURIComponent, (id) => every(id, (digits) => digits.toUpperCase()), (id) =>
    every(id, (digits) => digits)];
  const client = await HttpsClient.open(gateway);
  for (const id of ids)
    for (const spell of spellings) {
      const request = { ...telemetry(new Device(gateway, id), id),
        path: `/devices/${spell(id)}/messages/events?api-version=2021-04-12` };
      assert.equal((await client.ask(request)).status, 204, `${id} as ${spell(id)}`);
    }
  for (const id of ids) assert.equal((await askHttp2(gateway, telemetry(new Device(gateway, id), id))).status, 204, id);
  const stored = await gateway.stored();
  assert.equal(stored.length, ids.length * 4);
  for (const { systemProperties, body } of stored) assert.equal(systemProperties['iothub-connection-device-id'], body);
});

promise('threat_21 no spelling of a path reaches another device or leaves its place', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('a');
  await gateway.addDevice('b');
  const client = await HttpsClient.open(gateway);
  for (const id of ['b', 'a%2F', '%2Fa', 'a%2F..%2Fb', 'a%00', '%00', 'a%20', 'a%5C', 'a%C3%A9', 'a%22', 'A', 'a%26',
    'b%2F..%2Fa', 'a%0D%0A']) {
    const answer = await client.ask({ ...telemetry(device, 'x'), path: `/devices/${id}/messages/events` });
    assert.equal(answer.status, 401, id);
  }
  for (const path of ['/devices/a/../a/messages/events', '//devices/a/messages/events', '/devices//a/messages/events',
    '/devices/a/messages//events',
    '/devices/a/messages/events//', '/./devices/a/messages/events', '/devices/a/messages/events/..',
      '/devices%2Fa/messages/events'])
    assert.equal((await client.ask({ ...telemetry(device, 'x'), path })).status, 404, path);
  assert.equal((await client.ask(telemetry(device, 'own'))).status, 204);
  assert.deepEqual(bodies(await gateway.stored()), ['own']);
});

// ---- who may speak, for how long ----

promise('must_18 must_20 a token is refused on a kept connection once it has ended; 290 s past se is in time', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('late');
  const now = Math.floor(Date.now() / 1000);
  assert.equal((await ask(gateway, telemetry(device, 'x', { Authorization: device.token({ expiry: now - 290 }) }))).status,
    204);
  assert.equal((await ask(gateway, telemetry(device, 'x', { Authorization: device.token({ expiry: now - 302 }) }))).status,
    401);
  const client = await HttpsClient.open(gateway);
  const ends = (now - 300 + 3) * 1000 + 300000;
  const ending = telemetry(device, 'x', { Authorization: device.token({ expiry: now - 300 + 3 }) });
  let answer;
  do answer = await client.ask(ending); while (answer.status === 204 && Date.now() < ends + DROP_MS);
  assert.equal(answer.status, 401);
  assert.ok(Date.now() >= ends, 'refused before the token ended');
  assert.equal((await client.ask(telemetry(device, 'x'))).status, 204, 'the connection itself goes on, with a new token');
});

/** A device that is on a kept HTTP connection, and on MQTT, at once. */
async function onBoth(device) {
  const client = await HttpsClient.open(device.gateway);
  assert.equal((await client.ask(telemetry(device, 'before'))).status, 204);
  const mqtt = await MqttClient.connect(device);
  assert.equal(mqtt.code, 0);
  return { client, mqtt };
}

/** Does something to an identity over REST, and demands that its MQTT connection is dropped soon after. */
async function drops(mqtt, gateway, request) {
  const began = Date.now();
  const answer = await ask(gateway, request);
  assert.ok([200, 204].includes(answer.status), answer.body);
  assert.ok(await mqtt.isClosed());
  assert.ok(Date.now() - began < DROP_MS, `dropped after ${Date.now() - began} ms`);
}

const ANY = { 'If-Match': '*' };

promise('must_28 must_29 a device disabled over REST is refused at once, dropped from MQTT, and let in again', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('switch');
  const other = await onBoth(await gateway.addDevice('bystander'));
  const put = (status) => service(gateway, 'PUT', '/devices/switch', document('switch', { status }), ANY);
  const { client, mqtt } = await onBoth(device);
  for (let round = 0; round < 3; round++) {
    await drops(round ? await MqttClient.connect(device) : mqtt, gateway, put('disabled'));
    const refused = await client.ask(telemetry(device, 'no'));
    assert.equal(refused.status, 403);
    assert.equal(refused.errorCode, 'DeviceDisabled');
    assert.equal((await ask(gateway, telemetry(device, 'no'))).status, 403, 'on a new connection, too');
    assert.equal((await MqttClient.connect(device)).code, 3);
    assert.equal((await ask(gateway, put('enabled'))).status, 200);
    assert.equal((await client.ask(telemetry(device, `again ${round}`))).status, 204);
  }
  assert.ok(await other.mqtt.ping());
  assert.equal((await other.client.ask(telemetry(new Device(gateway, 'bystander'), 'unharmed'))).status, 204);
  assert.deepEqual(bodies(await gateway.stored()).sort(), ['again 0', 'again 1', 'again 2', 'before', 'before', 'unharmed']);
});

promise('must_22 a key changed over REST ends what was opened with it, on a kept HTTP connection and on MQTT', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('keys'), secondary = new Device(gateway, 'keys', KEYS.secondaryKey);
  const fresh = new Device(gateway, 'keys', keyOf(100));
  const { client, mqtt } = await onBoth(device);
  assert.equal((await client.ask(telemetry(secondary, 'by the other'))).status, 204);
  const rekeyed = document('keys', { authentication: { type: 'sas', symmetricKey: { primaryKey: fresh.key,
    secondaryKey: KEYS.secondaryKey } } });
  await drops(mqtt, gateway, service(gateway, 'PUT', '/devices/keys', rekeyed, ANY));
  assert.equal((await client.ask(telemetry(device, 'no'))).status, 401);
  assert.equal((await client.ask(telemetry(secondary, 'still'))).status, 204);
  assert.equal((await client.ask(telemetry(fresh, 'new'))).status, 204);
  assert.equal((await MqttClient.connect(device)).code, 5);
  assert.equal((await MqttClient.connect(fresh)).code, 0);
  assert.deepEqual(bodies(await gateway.stored()), ['before', 'by the other', 'still', 'new']);
});

promise('must_29 a device deleted over REST is refused at once, dropped from MQTT, and let in when made anew', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('gone');
  const { client, mqtt } = await onBoth(device);
  await drops(mqtt, gateway, service(gateway, 'DELETE', '/devices/gone', undefined, ANY));
  assert.equal((await client.ask(telemetry(device, 'no'))).status, 401);
  assert.equal((await ask(gateway, service(gateway, 'PUT', '/devices/gone', document('gone')))).status, 200);
  assert.equal((await client.ask(telemetry(device, 'new'))).status, 204);
  const [before, after] = (await gateway.messages(2)).map(({ systemProperties }) =>
    systemProperties['iothub-connection-auth-generation-id']);
  assert.notEqual(before, after);
});

promise('must_22 a policy key changed by the operator ends its tokens on a kept connection', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('dev');
  await gateway.ok('policy', 'create', 'tokens', '--rights', 'DeviceConnect', '--primary-key', keyOf(64), '--secondary-key',
    keyOf(96));
  const sends = (client, key) => client.ask(telemetry(device, 'x',
    { Authorization: sasToken(gateway.host, key, { policy: 'tokens' }) }));
  const client = await HttpsClient.open(gateway);
  assert.equal((await sends(client, keyOf(64))).status, 204);
  await gateway.ok('policy', 'update', 'tokens', '--primary-key', keyOf(101), '--secondary-key', keyOf(96));
  assert.equal((await sends(await HttpsClient.open(gateway), keyOf(64))).status, 401, 'on a new connection at once');
  const began = Date.now(); // who was let in by a policy is looked at anew in slices
  while ((await sends(client, keyOf(64))).status !== 401) assert.ok(Date.now() - began < DROP_MS, 'the old key is still good');
  assert.equal((await sends(client, keyOf(96))).status, 204);
  assert.equal((await client.ask(telemetry(device, 'x'))).status, 204, 'the device\'s own key is none of it');
});

// ---- TLS ----

promise('must_01 TLS 1.2 and 1.3 carry HTTPS, 1.1 does not', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('dev');
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const client = await HttpsClient.open(gateway, { minVersion: version, maxVersion: version });
    assert.equal((await client.ask(telemetry(device, version))).status, 204);
  }
  const old = await HttpsClient.open(gateway, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })
    .then(() => null, (error) => error);
  assert.match(String(old?.code), /PROTOCOL_VERSION/);
});

promise('must_02 what is spoken on the HTTPS port follows ALPN: HTTP/1.1 unless the client offers h2', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('alpn');
  for (const [offered, selected] of [[[], false], [['http/1.1'], 'http/1.1'], [['unknown'], false], [['mqtt'], false],
    [['unknown', 'http/1.1'], 'http/1.1'], [['h2'], 'h2'], [['h2', 'http/1.1'], 'h2'], [['http/1.1', 'h2'], 'h2'],
    [['unknown', 'h2'], 'h2']]) {
    const client = await HttpsClient.open(gateway, { ALPNProtocols: offered });
    assert.equal(client.socket.alpnProtocol, selected, `offered ${offered.join()}`);
    if (selected !== 'h2') assert.equal((await client.ask(telemetry(device, 'x'))).status, 204, `offered ${offered.join()}`);
    await client.drop();
  }
  assert.equal((await askHttp2(gateway, telemetry(device, 'over h2'))).status, 204);
});

// ---- the end, and disks ----

/** Sends over HTTP/1.1 and HTTP/2 until the connection ends; what was acknowledged. */
async function sendsUntilTheEnd(device, name) {
  const acknowledged = [], session = http2.connect(`https://localhost:${device.gateway.httpsPort}`, { ca: device.gateway.ca });
  session.on('error', () => {});
  const over1 = async () => {
    const client = await HttpsClient.open(device.gateway);
    for (let i = 0, answer; ; i++) {
      answer = await client.ask(telemetry(device, `${name}-one-${i}`));
      if (answer?.status !== 204) return;
      acknowledged.push(`${name}-one-${i}`);
    }
  };
  const over2 = async () => {
    for (let i = 0; ; i++) {
      const answers = await Promise.all(Array.from({ length: 10 }, async (_, n) => {
        const answer = await askSession(session, telemetry(device, `${name}-two-${i}-${n}`)).catch(() => null);
        if (answer?.status === 204) acknowledged.push(`${name}-two-${i}-${n}`);
        return answer;
      }));
      if (answers.some((answer) => answer?.status !== 204)) return;
    }
  };
  await Promise.all([over1(), over2()]);
  session.destroy();
  return acknowledged;
}

for (const signal of ['SIGKILL', 'SIGTERM'])
  promise(`after ${signal} every message that got its 204 is there, over HTTP/1.1 and HTTP/2`, async (t) => {
    const dir = path.join(temporaryFolder(t), 'data');
    const first = await Gateway.start(t, { dir });
    await first.importDevices(['a', 'b', 'c'].map((id) => document(id)));
    const senders = ['a', 'b', 'c'].map((id) => sendsUntilTheEnd(new Device(first, id), id));
    await first.messages(200);
    const { code } = await first.daemon.kill(signal);
    if (signal === 'SIGTERM') assert.equal(code, 0, first.daemon.stderr);
    const acknowledged = (await within(Promise.all(senders), 'the end of the connections')).flat();
    const second = await Gateway.start(t, { dir });
    const stored = bodies(await second.stored()), found = new Set(stored);
    assert.equal(found.size, stored.length, 'stored twice');
    assert.deepEqual(acknowledged.filter((body) => !found.has(body)), []);
    assert.ok(acknowledged.length >= 100, `${acknowledged.length} acknowledged`);
    t.diagnostic(`${acknowledged.length} acknowledged, ${stored.length} stored`);
  });

promise('a disk that fills up: 503 for messages and identities, and nothing that was acknowledged is lost', async (t) => {
  const prepare = (folder) => ({ env: failing(path.join(folder, 'data'), 'write/.log:ENOSPC:40:1000000') });
  const gateway = await serve(t, { httpsPort: await freePort(), prepare });
  const { primaryKey: key } = JSON.parse(await gateway.ok('policy', 'show', 'iothubowner', '--json'));
  const device = gateway.device(), client = await HttpsClient.open(gateway);
  let acknowledged = 0, answer;
  while (acknowledged < 1000 && (answer = await client.ask(telemetry(device,
    String(acknowledged)))).status === 204) acknowledged++;
  assert.ok(acknowledged > 0 && acknowledged < 1000, `${acknowledged} acknowledged on a disk that fills up`);
  assert.equal(answer.status, 503);
  assert.match(answer.json.Message, /^ErrorCode:ServiceUnavailable;./);
  assert.equal((await ask(gateway, telemetryBatch(device, [{ body: '' }]))).status, 503);
  const Authorization = serviceToken(gateway, { key });
  assert.equal((await ask(gateway, service(gateway, 'PUT', '/devices/new', { deviceId: 'new' }, { Authorization }))).status,
    503);
  await gateway.daemon.kill('SIGKILL');
  assert.deepEqual(bodies(await gateway.stored()).slice(0, acknowledged), Array.from({ length: acknowledged }, (_, i) =>
    String(i)));
});
