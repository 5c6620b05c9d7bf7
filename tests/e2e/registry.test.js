// Back ends over HTTPS: the unmodified Registry of azure-iothub, and requests it would not send. Numbers service_NN are
// the statements of the service contract.
'use strict';
const assert = require('node:assert/strict');
const { createHmac } = require('node:crypto');
const https = require('node:https');
const path = require('node:path');
const { Registry } = require('azure-iothub');
const { Device, Gateway, KEYS, Module, defer, document, keyOf, promise, sasToken, temporaryFolder,
  within } = require('./gateway');
const { API, HttpsClient, ask, askHttp2, service, serviceToken, telemetry } = require('./https_client');
const { MqttClient } = require('./mqtt_client');

const PAGE_MAX = 1000, BULK_MAX = 100, MODULES_MAX = 50, DROP_MS = 10000;
const NEVER = '0001-01-01T00:00:00Z';
const ANY = { 'If-Match': '*' };

function openRegistry(t, gateway, connectionString = gateway.info.serviceConnectionString) {
  const registry = Registry.fromConnectionString(connectionString);
  const agent = new https.Agent({ port: gateway.httpsPort, ca: gateway.ca, keepAlive: true });
  defer(t, () => agent.destroy());
  registry._restApiClient.setOptions({ http: { agent } });
  return registry;
}

/** A hub and its Registry; without the device that `dev` makes. */
async function registryHub(t, options) {
  const gateway = await Gateway.start(t, options);
  await gateway.ok('device', 'delete', gateway.info.deviceId);
  return { gateway, registry: openRegistry(t, gateway) };
}

const body = async (call) => (await within(call, 'an answer of the registry')).responseBody;

/** Demands the SDK's error class and the hub's name for it. */
async function rejects(call, wanted, name) {
  await assert.rejects(within(call, 'a refusal'), (error) => {
    assert.equal(error.constructor.name, wanted, error.message);
    assert.equal(error.response.headers['iothub-errorcode'], name);
    return true;
  });
}

/** A raw request whose status is told, for tables. */
async function status(gateway, ...request) {
  return (await ask(gateway, service(gateway, ...request))).status;
}

// ---- authentication ----

promise('service_01 without Authorization, or with what is no token: 401, iothub-errorcode, the error body', async (t) => {
  const { gateway } = await registryHub(t);
  for (const send of [ask, askHttp2])
    for (const token of [undefined, '', ' ', 'Bearer abc', 'Basic YTpi', 'SharedAccessSignature',
      'SharedAccessSignature sr=&sig=&se=&skn=iothubowner']) {
      const answer = await send(gateway, service(gateway, 'GET', '/devices/x', undefined, { Authorization: token }));
      assert.equal(answer.status, 401, token);
      assert.equal(answer.errorCode, 'IotHubUnauthorizedAccess');
      assert.match(answer.json.Message, /^ErrorCode:IotHubUnauthorizedAccess;[^;]+$/);
      assert.match(answer.json.ExceptionMessage, /^Tracking ID:[0-9a-f]{32}-G:0-TimeStamp:\d\d\/\d\d\/\d{4} \d\d:\d\d:\d\d$/);
      assert.match(answer.fields['content-type'], /application\/json/);
    }
});

promise('service_01 service_05 the SDK tells a wrong key and a policy without the right apart from anything else', async (t) => {
  const { gateway, registry } = await registryHub(t);
  await body(registry.create({ deviceId: 'd' }));
  const { primaryKey } = JSON.parse(await gateway.ok('policy', 'show', 'registryRead', '--json'));
  const open = (name, key) =>
    openRegistry(t, gateway, `HostName=${gateway.host};SharedAccessKeyName=${name};SharedAccessKey=${key}`);
  const reader = open('registryRead', primaryKey);
  assert.equal((await body(reader.get('d'))).deviceId, 'd');
  await rejects(reader.create({ deviceId: 'e' }), 'UnauthorizedError', 'IotHubUnauthorizedAccess');
  await rejects(reader.delete('d'), 'UnauthorizedError', 'IotHubUnauthorizedAccess');
  await rejects(open('iothubowner', keyOf(7)).get('d'), 'UnauthorizedError', 'IotHubUnauthorizedAccess');
  await rejects(open('nosuch', primaryKey).get('d'), 'UnauthorizedError', 'IotHubUnauthorizedAccess');
});

/** Puts a token before a request that ServiceConnect allows. */
function queries(gateway, token) {
  return status(gateway, 'POST', '/devices/query', { query: 'SELECT * FROM devices' }, { Authorization: token });
}

promise('service_02 service_07 the published vector opens, sr encoded or not; with a letter of sig changed not', async (t) => {
  const { gateway } = await registryHub(t);
  await gateway.ok('policy', 'update', 'service', '--primary-key', KEYS.primaryKey, '--secondary-key', KEYS.secondaryKey);
  const signature = 'e6iLfZzUWxvhzSHTYlcH03zdObjI7MbEkKAayoSWXCA%3D';
  const vector = (sig, sr = 'localhost') => `SharedAccessSignature sr=${sr}&sig=${sig}&se=1900000000&skn=service`;
  assert.equal(await queries(gateway, vector(signature)), 200);
  assert.equal(await queries(gateway, vector(signature).replace('skn=service', 'skn=SERVICE')), 200,
    'names of policies have no case');
  const changed = (i) => signature.slice(0, i) + (signature[i] === 'A' ? 'Q' : 'A') + signature.slice(i + 1);
  for (const i of [0, 7, 20, 42]) assert.equal(await queries(gateway, vector(changed(i))), 401, `letter ${i}`);
  assert.equal(await queries(gateway, vector(signature, 'LOCALHOST')), 401, 'the signature is over sr as it was sent');

  const signed = (sr) => {
    const mac = createHmac('sha256', Buffer.from(KEYS.primaryKey, 'base64')).update(`${sr}\n1900000000`).digest('base64');
    return vector(encodeURIComponent(mac), sr);
  };
  for (const sr of ['localhost', 'LOCALHOST', 'localhost/devices', 'localhost%2Fdevices', 'localhost%2fdevices',
    'https%3A%2F%2Flocalhost%2F', 'localhost:443'])
    assert.equal(await queries(gateway, signed(sr)), 200, sr);
});

promise('service_03 an ended se, an unknown skn, a missing skn and another host are refused', async (t) => {
  const { gateway } = await registryHub(t);
  const now = Math.floor(Date.now() / 1000);
  assert.equal(await queries(gateway, serviceToken(gateway)), 200);
  for (const [what, token] of [
    ['ended', serviceToken(gateway, { expiry: now - 1 })],
    ['long ended', serviceToken(gateway, { expiry: 1700000000 })],
    ['unknown policy', serviceToken(gateway, { policy: 'nosuch' })],
    ['no policy', serviceToken(gateway).replace(/&skn=.*/, '')],
    ['other host', serviceToken(gateway, { resource: 'other.example.net' })],
    ['other path', serviceToken(gateway, { resource: 'localhost/twins' })],
    ['a device', sasToken('localhost', KEYS.primaryKey)],
    ['se of -1', serviceToken(gateway, { expiry: -1 })],
    ['se of 0', serviceToken(gateway, { expiry: 0 })],
  ])
    assert.equal(await queries(gateway, token), 401, what);
});

promise('service_04 a policy\'s secondary key works; when the primary is made anew, its old tokens alone fail', async (t) => {
  const { gateway } = await registryHub(t);
  const policy = JSON.parse(await gateway.ok('policy', 'show', 'iothubowner', '--json'));
  const primary = serviceToken(gateway), secondary = serviceToken(gateway, { key: policy.secondaryKey });
  const client = await HttpsClient.open(gateway);
  const lists = async (Authorization) =>
    (await client.ask(service(gateway, 'GET', '/devices', undefined, { Authorization }))).status;
  assert.deepEqual([await lists(primary), await lists(secondary)], [200, 200]);
  await gateway.ok('policy', 'update', 'iothubowner', '--regenerate', 'primary');
  assert.deepEqual([await lists(primary), await lists(secondary)], [401, 200]);
  const { primaryKey } = JSON.parse(await gateway.ok('policy', 'show', 'iothubowner', '--json'));
  assert.equal(await lists(serviceToken(gateway, { key: primaryKey })), 200);
});

promise('service_04 a device\'s primary key made anew: its old tokens fail, the secondary\'s do not', async (t) => {
  const { gateway, registry } = await registryHub(t);
  await gateway.addDevice('keys');
  const before = await body(registry.get('keys'));
  const old = new Device(gateway, 'keys'), fresh = new Device(gateway, 'keys', keyOf(100));
  const secondary = new Device(gateway, 'keys', KEYS.secondaryKey);
  assert.equal((await ask(gateway, telemetry(old, 'x'))).status, 204);
  before.authentication.symmetricKey.primaryKey = fresh.key;
  const after = await body(registry.update(before));
  assert.deepEqual(after.authentication.symmetricKey, { primaryKey: fresh.key, secondaryKey: KEYS.secondaryKey });
  assert.notEqual(after.etag, before.etag);
  for (const [device, http, mqtt] of [[old, 401, 5], [secondary, 204, 0], [fresh, 204, 0]]) {
    assert.equal((await ask(gateway, telemetry(device, 'x'))).status, http);
    assert.equal((await MqttClient.connect(device)).code, mqtt);
  }
});

promise('service_05 each policy may do what its rights say, and nothing else', async (t) => {
  const { gateway } = await registryHub(t);
  await gateway.addDevice('d');
  const requests = [
    ['GET', '/devices/d'],
    ['PUT', '/devices/d', document('d'), ANY],
    ['POST', '/devices/query', { query: 'SELECT * FROM devices' }],
    ['GET', '/devices'],
    ['GET', '/statistics/devices'],
    ['GET', '/statistics/service'],
    ['POST', '/devices', [{ id: 'e', importMode: 'create' }]],
    ['GET', '/devices/d/modules'],
    ['PUT', '/devices/d/modules/m', { deviceId: 'd', moduleId: 'm' }],
    ['GET', '/devices/d/modules/m'],
    ['DELETE', '/devices/d/modules/m', undefined, ANY],
    ['DELETE', '/devices/e', undefined, ANY],
  ];
  const isQuery = ([, where]) => where === '/devices/query', done = ([method]) => (method === 'DELETE' ? 204 : 200);
  const rows = {
    registryRead: [200, 401, 401, 200, 200, 200, 401, 200, 401, 404, 401, 401],
    service: requests.map((request) => (isQuery(request) ? 200 : 401)),
    device: requests.map(() => 401),
    registryReadWrite: requests.map((request) => (isQuery(request) ? 401 : done(request))),
    iothubowner: requests.map(done),
  };
  for (const [policy, wanted] of Object.entries(rows)) {
    const { primaryKey } = JSON.parse(await gateway.ok('policy', 'show', policy, '--json'));
    const Authorization = serviceToken(gateway, { policy, key: primaryKey });
    const found = [];
    for (const [method, where, content, fields] of requests)
      found.push(await status(gateway, method, where, content, { ...fields, Authorization }));
    assert.deepEqual(found, wanted, policy);
  }
});

promise('service_06 a token covers whole segments only', async (t) => {
  const { gateway } = await registryHub(t);
  await gateway.importDevices(['a', 'ab', 'A', 'a%2Fb'].map((id) => document(id)));
  const rows = [
    ['localhost/devices/a', '/devices/a', 200],
    ['localhost/devices/a', '/devices/ab', 401],
    ['localhost/devices/a', '/devices/A', 401],
    ['localhost/devices/a', '/devices/a/modules', 200],
    ['localhost/devices/a', '/devices', 401],
    ['localhost/devices/a', '/statistics/devices', 401],
    ['localhost/devices/a', `/devices/${encodeURIComponent('a%2Fb')}`, 401],
    ['localhost/devices', '/devices/ab', 200],
    ['localhost/dev', '/devices/a', 401],
    ['localhost/devices/', '/devices/a', 200],
    ['LocalHost/Devices/a', '/devices/a', 200],
    ['localhost/devices/a/modules/m', '/devices/a', 401],
    ['local', '/devices/a', 401],
    ['localhost/statistics', '/statistics/service', 200],
  ];
  for (const [resource, where, wanted] of rows)
    assert.equal(await status(gateway, 'GET', where, undefined, { Authorization: serviceToken(gateway, { resource }) }), wanted,
      `${resource} for ${where}`);
});

// ---- devices ----

promise('service_14 create answers 200 with two generated keys, enabled, disconnected, etag and generation', async (t) => {
  const { gateway, registry } = await registryHub(t);
  const { responseBody: made, httpResponse } = await within(registry.create({ deviceId: 'new' }), 'create');
  assert.equal(httpResponse.statusCode, 200);
  const { primaryKey, secondaryKey } = made.authentication.symmetricKey;
  assert.notEqual(primaryKey, secondaryKey);
  for (const key of [primaryKey, secondaryKey])
    assert.ok(Buffer.from(key, 'base64').length >= 16 && /^[A-Za-z0-9+/]+=*$/.test(key), key);
  assert.match(made.generationId, /^\d+$/);
  assert.match(made.etag, /^[A-Za-z0-9+/]+=*$/);
  assert.equal(httpResponse.headers.etag, `"${made.etag}"`);
  const { authentication, generationId, etag, ...others } = made;
  assert.equal(authentication.type, 'sas');
  assert.deepEqual(others, { deviceId: 'new', connectionState: 'Disconnected', status: 'enabled', statusReason: null,
    connectionStateUpdatedTime: NEVER, statusUpdatedTime: NEVER, lastActivityTime: NEVER, cloudToDeviceMessageCount: 0,
    capabilities: { iotEdge: false } });
  assert.deepEqual(JSON.parse(JSON.stringify(await body(registry.get('new')))), JSON.parse(JSON.stringify(made)));
  const device = new Device(gateway, 'new', primaryKey);
  assert.equal((await MqttClient.connect(device)).code, 0, 'the keys open');
  assert.equal((await ask(gateway, telemetry(new Device(gateway, 'new', secondaryKey), 'x'))).status, 204);
});

promise('service_15 create over an existing device and get of an absent one have their error classes', async (t) => {
  const { registry } = await registryHub(t);
  await body(registry.create({ deviceId: 'twice' }));
  await rejects(registry.create({ deviceId: 'twice' }), 'DeviceAlreadyExistsError', 'DeviceAlreadyExists');
  await rejects(registry.get('absent'), 'DeviceNotFoundError', 'DeviceNotFound');
  await rejects(registry.update({ deviceId: 'absent' }), 'DeviceNotFoundError', 'DeviceNotFound');
  await rejects(registry.delete('absent'), 'DeviceNotFoundError', 'DeviceNotFound');
  await rejects(registry.get('TWICE'), 'DeviceNotFoundError', 'DeviceNotFound');
});

promise('service_16 ids of special characters round-trip in every path', async (t) => {
  const { registry } = await registryHub(t);
  const ids = ['a#b', 'a%b', 'a%2Fb', 'a?b', 'a+b', '$a', "a'b", 'a@b;c:d,e=f', '(a)*!', '..', '-.+%_#*?!(),=@$\':;',
    'x'.repeat(128)];
  for (const id of ids) {
    assert.equal((await body(registry.create({ deviceId: id }))).deviceId, id);
    assert.equal((await body(registry.get(id))).deviceId, id);
    assert.equal((await body(registry.update({ deviceId: id, statusReason: 'changed' }))).statusReason, 'changed', id);
    await rejects(registry.create({ deviceId: id }), 'DeviceAlreadyExistsError', 'DeviceAlreadyExists');
    const moduleId = id.replace(/^\$/, 'm$'); // a module's id may not begin like the hub's own
    assert.equal((await body(registry.addModule({ deviceId: id, moduleId }))).moduleId, moduleId);
    assert.equal((await body(registry.getModule(id, moduleId))).deviceId, id);
    assert.deepEqual((await body(registry.getModulesOnDevice(id))).map((module) => module.moduleId), [moduleId]);
    const query = registry.createQuery(`SELECT * FROM devices WHERE deviceId = "${id}"`);
    assert.deepEqual((await within(query.nextAsTwin(), 'a page')).result.map((twin) => twin.deviceId), [id]);
    await body(registry.removeModule(id, moduleId));
  }
  const bulk = await body(registry.updateDevices(ids.map((deviceId) => ({ deviceId, status: 'disabled' })), true));
  assert.deepEqual(bulk, { isSuccessful: true, errors: [], warnings: [] });
  for (const device of await body(registry.list())) assert.equal(device.status, 'disabled', device.deviceId);
  for (const id of ids) await body(registry.delete(id));
  assert.deepEqual(await body(registry.list()), []);
});

promise('service_17 update with a star and with etags, in every spelling: present, absent, stale, raced', async (t) => {
  const { gateway, registry } = await registryHub(t);
  const { etag: first } = await body(registry.create({ deviceId: 'd' }));
  const { etag: second } = await body(registry.update({ deviceId: 'd', statusReason: 'one' })); // the SDK sends "*"
  assert.notEqual(first, second);
  const put = (match, reason) => status(gateway, 'PUT', '/devices/d', { deviceId: 'd', statusReason: reason },
    { 'If-Match': match });
  const current = async () => (await body(registry.get('d'))).etag;
  for (const spell of [() => '*', () => '"*"', (etag) => etag, (etag) => `"${etag}"`])
    assert.equal(await put(spell(await current()), 'again'), 200, spell('etag'));
  for (const stale of [`"${first}"`, first, 'nonsense', '"', '""', '"*', 'W/"x"', 'x'.repeat(300)])
    assert.equal(await put(stale, 'stale'), 412, stale);
  assert.equal(await put(undefined, 'no match'), 409, 'without If-Match it is a create');
  assert.equal((await body(registry.get('d'))).statusReason, 'again');
  assert.equal(await status(gateway, 'PUT', '/devices/e', { deviceId: 'e' }, { 'If-Match': '*' }), 404);
  assert.equal(await status(gateway, 'PUT', '/devices/e', { deviceId: 'e' }, { 'If-Match': `"${first}"` }), 404);
  const raced = await current();
  const outcomes = await Promise.all(Array.from({ length: 10 }, (_, i) => put(`"${raced}"`, `racer ${i}`)));
  assert.deepEqual(outcomes.sort(), [200, ...Array(9).fill(412)], 'of those that hold one etag, one wins');
});

promise('service_18 DELETE without If-Match is 412, delete answers 204, then device and modules are gone', async (t) => {
  const { gateway, registry } = await registryHub(t);
  const { etag } = await body(registry.create({ deviceId: 'd' }));
  await body(registry.addModule({ deviceId: 'd', moduleId: 'm' }));
  const missing = await ask(gateway, service(gateway, 'DELETE', '/devices/d'));
  assert.deepEqual([missing.status, missing.errorCode], [412, 'PreconditionFailed']);
  assert.equal(await status(gateway, 'DELETE', '/devices/d', undefined, { 'If-Match': '"stale"' }), 412);
  assert.equal(await status(gateway, 'DELETE', '/devices/absent'), 404);
  const deleted = await ask(gateway, service(gateway, 'DELETE', '/devices/d', { a: 'body' }, { 'If-Match': `"${etag}"` }));
  assert.deepEqual([deleted.status, deleted.body], [204, '']);
  for (const where of ['/devices/d', '/devices/d/modules', '/devices/d/modules/m'])
    assert.equal(await status(gateway, 'GET', where), 404, where);
  await rejects(registry.delete('d'), 'DeviceNotFoundError', 'DeviceNotFound');
});

promise('service_19 a device deleted and made again has another generation', async (t) => {
  const { registry } = await registryHub(t);
  const generations = new Set();
  for (let i = 0; i < 5; i++) {
    generations.add((await body(registry.create({ deviceId: 'd' }))).generationId);
    const { generationId } = await body(registry.update({ deviceId: 'd', statusReason: 'same' }));
    assert.ok(generations.has(generationId), 'an update keeps it');
    await body(registry.delete('d'));
  }
  assert.equal(generations.size, 5);
});

promise('service_20 keys are kept byte for byte; one alone, 15 and 65 bytes, colons in thumbprints are refused', async (t) => {
  const { gateway, registry } = await registryHub(t);
  const key = (length) => Buffer.alloc(length, 7).toString('base64');
  for (const [deviceId, primaryKey, secondaryKey] of [['k16', key(16), key(64)], ['k32', KEYS.primaryKey, KEYS.secondaryKey]]) {
    const symmetricKey = { primaryKey, secondaryKey };
    const made = await body(registry.create({ deviceId, authentication: { symmetricKey } }));
    const x509Thumbprint = { primaryThumbprint: null, secondaryThumbprint: null };
    assert.deepEqual(made.authentication, { type: 'sas', symmetricKey, x509Thumbprint });
  }
  const sha1 = 'aB'.repeat(20), sha256 = 'Cd'.repeat(32);
  const selfSigned = { type: 'selfSigned', x509Thumbprint: { primaryThumbprint: sha1, secondaryThumbprint: sha256 } };
  const devC = await body(registry.create({ deviceId: 'devC', authentication: selfSigned }));
  assert.deepEqual(devC.authentication, { ...selfSigned, symmetricKey: { primaryKey: null, secondaryKey: null } });
  const sas = (symmetricKey) => ({ authentication: { type: 'sas', symmetricKey } });
  const colons = sha1.replace(/..(?=.)/g, '$&:');
  for (const [what, more] of [
    ['one key', sas({ primaryKey: key(32) })],
    ['the other key', sas({ secondaryKey: key(32), primaryKey: '' })],
    ['15 bytes', sas({ primaryKey: key(15), secondaryKey: key(32) })],
    ['65 bytes', sas({ primaryKey: key(32), secondaryKey: key(65) })],
    ['no base64', sas({ primaryKey: 'not base64!', secondaryKey: key(32) })],
    ['a number', sas({ primaryKey: 7, secondaryKey: key(32) })],
    ['colons', { authentication: { type: 'selfSigned', x509Thumbprint: { primaryThumbprint: colons } } }],
    ['39 digits', { authentication: { type: 'selfSigned', x509Thumbprint: { primaryThumbprint: sha1.slice(1) } } }],
    ['type none', { authentication: { type: 'none' } }],
    ['unknown type', { authentication: { type: 'magic' } }],
    ['unknown status', { status: 'maybe' }],
    ['129 characters of reason', { statusReason: 'r'.repeat(129) }],
    ['another id', { deviceId: 'other' }],
    ['no id', { deviceId: undefined }],
  ]) {
    const answer = await ask(gateway, service(gateway, 'PUT', '/devices/bad', { deviceId: 'bad', ...more }));
    assert.deepEqual([answer.status, answer.errorCode], [400, 'ArgumentInvalid'], what);
  }
  for (const text of ['', '{', '[]', '"x"', 'null', '{"deviceId":"bad","deviceId":"bad"}', '\xff', '{"deviceId":"bad"} x',
    '['.repeat(100000)]) {
    const answer = await ask(gateway, { ...service(gateway, 'PUT', '/devices/bad', {}), body: Buffer.from(text, 'latin1') });
    assert.deepEqual([answer.status, answer.errorCode], [400, 'IotHubFormatError'], text.slice(0, 40));
  }
  for (const id of ['a%20b', 'a%2Fb', 'a%00', 'a%5Cb', 'x'.repeat(129), '%C3%A9'])
    assert.ok([400, 404].includes(await status(gateway, 'PUT', `/devices/${id}`, { deviceId: decodeURIComponent(id) })), id);
  assert.deepEqual((await body(registry.list())).map(({ deviceId }) => deviceId), ['devC', 'k16', 'k32']);
});

promise('service_21 disabling a connected device ends it and its module, later connects fail; enabling restores', async (t) => {
  const { gateway, registry } = await registryHub(t);
  const device = await gateway.addDevice('switch'), module = await gateway.addModule('switch', 'mod');
  const identity = await body(registry.get('switch'));
  const clients = [await MqttClient.connect(device), await MqttClient.connect(module)];
  assert.deepEqual(clients.map(({ code }) => code), [0, 0]);
  const began = Date.now();
  const disabled = await body(registry.update({ ...identity, status: 'disabled', statusReason: 'stolen' }));
  for (const client of clients) assert.ok(await client.isClosed());
  assert.ok(Date.now() - began < DROP_MS);
  assert.deepEqual([disabled.status, disabled.statusReason], ['disabled', 'stolen']);
  assert.ok(Date.parse(disabled.statusUpdatedTime) > began - 1000, disabled.statusUpdatedTime);
  for (const who of [device, module]) assert.equal((await MqttClient.connect(who)).code, 3);
  assert.equal((await ask(gateway, telemetry(device, 'no'))).status, 403);
  await body(registry.update({ ...identity, status: 'enabled' }));
  for (const who of [device, module]) assert.equal((await MqttClient.connect(who)).code, 0);
  assert.equal((await ask(gateway, telemetry(device, 'yes'))).status, 204);
});

promise('connectionState follows the MQTT connection at once, device and module apart; HTTP never sets it', async (t) => {
  const { gateway, registry } = await registryHub(t);
  const device = await gateway.addDevice('state'), module = await gateway.addModule('state', 'mod');
  const states = async () => [(await body(registry.get('state'))).connectionState,
    (await body(registry.getModule('state', 'mod'))).connectionState,
    (await ask(gateway, service(gateway, 'GET', '/statistics/service'))).json.connectedDeviceCount];
  const { etag } = await body(registry.get('state'));
  assert.equal((await ask(gateway, telemetry(device, 'x'))).status, 204);
  assert.deepEqual(await states(), ['Disconnected', 'Disconnected', 0]);
  const before = Date.now();
  const client = await MqttClient.connect(device);
  assert.deepEqual(await states(), ['Connected', 'Disconnected', 1]);
  const { connectionStateUpdatedTime } = await body(registry.get('state'));
  assert.ok(Date.parse(connectionStateUpdatedTime) >= before - 1000 &&
    Date.parse(connectionStateUpdatedTime) <= Date.now() + 1000, connectionStateUpdatedTime);
  const inside = await MqttClient.connect(module);
  assert.deepEqual(await states(), ['Connected', 'Connected', 1]);
  await client.leave();
  assert.deepEqual(await states(), ['Disconnected', 'Connected', 0]);
  await inside.leave();
  assert.deepEqual(await states(), ['Disconnected', 'Disconnected', 0]);
  assert.equal((await body(registry.get('state'))).etag, etag);
});

// ---- many ----

promise('service_22 addDevices makes all; a duplicate is told by 400, the others are made; 101 are refused', async (t) => {
  const { gateway, registry } = await registryHub(t);
  const good = await body(registry.addDevices([{ deviceId: 'a' }, { deviceId: 'b', status: 'disabled' }]));
  assert.deepEqual(good, { isSuccessful: true, errors: [], warnings: [] });
  assert.equal((await body(registry.get('b'))).status, 'disabled');
  await assert.rejects(registry.addDevices([{ deviceId: 'c' }, { deviceId: 'a' }, { deviceId: 'd' }]), (error) => {
    assert.ok(error instanceof Error && error.constructor.name === 'ArgumentError', error);
    assert.equal(error.response.statusCode, 400);
    assert.equal(error.response.headers['iothub-errorcode'], 'BulkRegistryOperationFailure');
    const { isSuccessful, errors: [{ errorStatus, ...first }, ...rest] } = JSON.parse(error.responseBody);
    assert.deepEqual([isSuccessful, first, rest], [false, { deviceId: 'a', errorCode: 'DeviceAlreadyExists',
      operation: 'create' }, []]);
    assert.match(errorStatus, /./);
    return true;
  });
  assert.deepEqual((await body(registry.list())).map(({ deviceId }) => deviceId), ['a', 'b', 'c', 'd']);
  const records = Array.from({ length: BULK_MAX + 1 }, (_, i) => ({ id: `n-${i}`, importMode: 'create' }));
  for (const wrong of [records, [], {}, 'x', [1], [{}], [{ id: 'e', importMode: 'unheard-of' }],
    [{ id: 'a/b', importMode: 'create' }]])
    assert.equal(await status(gateway, 'POST', '/devices', wrong), 400, JSON.stringify(wrong).slice(0, 40));
  assert.equal(await status(gateway, 'POST', '/devices', records.slice(1)), 200);
  assert.equal((await body(registry.getRegistryStatistics())).totalDeviceCount, 4 + BULK_MAX);
});

promise('service_23 updateDevices and removeDevices compare etags record by record, unless forced', async (t) => {
  const { registry } = await registryHub(t);
  const names = ['a', 'b', 'c'];
  await body(registry.addDevices(names.map((deviceId) => ({ deviceId }))));
  const [a, b, c] = await Promise.all(names.map((name) => body(registry.get(name))));
  const failsFor = async (call, deviceId, errorCode) => assert.rejects(call, (error) => {
    const result = JSON.parse(error.responseBody);
    assert.deepEqual(result.errors.map((row) => [row.deviceId, row.errorCode]), [[deviceId, errorCode]]);
    return true;
  });
  const change = (device, more) => ({ ...device, status: 'disabled', ...more });
  await failsFor(registry.updateDevices([change(a), change(b, { etag: 'bm8=' }), change(c)], false), 'b', 'PreconditionFailed');
  assert.deepEqual(await Promise.all(names.map(async (name) => (await body(registry.get(name))).status)),
    ['disabled', 'enabled', 'disabled']);
  assert.equal((await body(registry.updateDevices([change(b, { etag: 'bm8=' })], true))).isSuccessful, true);
  await failsFor(registry.updateDevices([change(b), { deviceId: 'absent' }], true), 'absent', 'DeviceNotFound');
  const now = await Promise.all(names.map((name) => body(registry.get(name))));
  await failsFor(registry.removeDevices([now[0], { ...now[1], etag: b.etag }], false), 'b', 'PreconditionFailed');
  assert.equal((await body(registry.removeDevices([{ deviceId: 'b' }, { deviceId: 'c' }], true))).isSuccessful, true);
  assert.deepEqual(await body(registry.list()), []);
});

promise('service_24 list gives at most 1,000, top fewer; statistics count enabled and disabled', async (t) => {
  const { gateway, registry } = await registryHub(t);
  assert.deepEqual(await body(registry.list()), []);
  assert.deepEqual(await body(registry.getRegistryStatistics()), { totalDeviceCount: 0, enabledDeviceCount: 0,
    disabledDeviceCount: 0 });
  const count = PAGE_MAX + 10, disabled = 7;
  const state = (i) => (i < disabled ? 'disabled' : 'enabled');
  await gateway.importDevices(Array.from({ length: count }, (_, i) => document(`d-${i}`, { status: state(i) })));
  await gateway.addModule('d-0', 'm');
  const listed = await body(registry.list());
  assert.equal(listed.length, PAGE_MAX);
  assert.equal(new Set(listed.map(({ deviceId }) => deviceId)).size, PAGE_MAX);
  assert.deepEqual(await body(registry.getRegistryStatistics()), { totalDeviceCount: count,
    enabledDeviceCount: count - disabled, disabledDeviceCount: disabled });
  for (const [where, wanted] of [['/devices?top=5', 5], ['/devices?top=1', 1], ['/devices?top=100000', PAGE_MAX],
    ['/devices', PAGE_MAX], ['/devices/', PAGE_MAX]]) {
    const answer = await ask(gateway, service(gateway, 'GET', where));
    assert.equal(answer.json.length, wanted, where);
  }
  for (const top of ['0', '-1', 'x', '1.5']) assert.equal(await status(gateway, 'GET', `/devices?top=${top}`), 400, top);
});

// ---- modules ----

promise('service_25 modules: create, get, list, update, delete; a duplicate is 409; they go with their device', async (t) => {
  const { gateway, registry } = await registryHub(t);
  await body(registry.create({ deviceId: 'd' }));
  const made = await body(registry.addModule({ deviceId: 'd', moduleId: 'm', managedBy: 'me' }));
  assert.deepEqual([made.deviceId, made.moduleId, made.managedBy, made.connectionState, made.status],
    ['d', 'm', 'me', 'Disconnected', undefined]);
  const module = new Module(gateway, 'd', 'm', made.authentication.symmetricKey.primaryKey);
  const client = await MqttClient.connect(module);
  assert.equal(client.code, 0, 'its keys open');
  await rejects(registry.addModule({ deviceId: 'd', moduleId: 'm' }), 'DeviceAlreadyExistsError',
    'ModuleAlreadyExistsOnDevice');
  await rejects(registry.addModule({ deviceId: 'absent', moduleId: 'm' }), 'DeviceNotFoundError', 'DeviceNotFound');
  await rejects(registry.addModule({ deviceId: 'd', moduleId: '$edgeAgent' }), 'ArgumentError', 'ArgumentInvalid');
  await rejects(registry.getModule('d', 'absent'), 'Error', 'ModuleNotFound');
  await rejects(registry.getModulesOnDevice('absent'), 'DeviceNotFoundError', 'DeviceNotFound');
  await body(registry.addModule({ deviceId: 'd', moduleId: 'n' }));
  assert.deepEqual((await body(registry.getModulesOnDevice('d'))).map(({ moduleId }) => moduleId), ['m', 'n']);
  const changed = await body(registry.updateModule({ ...made, managedBy: 'you' })); // the SDK sends its etag
  assert.equal(changed.managedBy, 'you');
  await rejects(registry.updateModule({ ...made, managedBy: 'late' }), 'InvalidEtagError', 'PreconditionFailed');
  assert.equal((await body(registry.updateModule({ ...made, managedBy: 'forced' }, true))).managedBy, 'forced');
  assert.equal(await status(gateway, 'DELETE', '/devices/d/modules/m'), 412);
  await body(registry.removeModule('d', 'm'));
  assert.ok(await client.isClosed(), 'its connection is dropped');
  await rejects(registry.removeModule('d', 'm'), 'Error', 'ModuleNotFound');
  const other = await body(registry.getModule('d', 'n'));
  const last = await MqttClient.connect(new Module(gateway, 'd', 'n', other.authentication.symmetricKey.primaryKey));
  assert.equal(last.code, 0);
  await body(registry.delete('d'));
  assert.ok(await last.isClosed());
  await body(registry.create({ deviceId: 'd' }));
  assert.deepEqual(await body(registry.getModulesOnDevice('d')), []);
});

promise('service_25 a device takes 50 modules, the 51st is refused by name', async (t) => {
  const { gateway } = await registryHub(t);
  await gateway.addDevice('full');
  const client = await HttpsClient.open(gateway);
  const add = (i) => client.ask(service(gateway, 'PUT', `/devices/full/modules/m-${i}`,
    { deviceId: 'full', moduleId: `m-${i}` }));
  for (let i = 0; i < MODULES_MAX; i++) assert.equal((await add(i)).status, 200);
  const refused = await add(MODULES_MAX);
  assert.deepEqual([refused.status, refused.errorCode], [413, 'TooManyModulesOnDevice']);
});

// ---- queries ----

async function pagesOf(query) {
  const pages = [];
  while (query.hasMoreResults) pages.push((await within(query.nextAsTwin(), 'a page')).result.map((twin) => twin.deviceId));
  return pages;
}

promise('service_58 pages of a query: as many as asked for each, no continuation on the last, every device once', async (t) => {
  const { gateway, registry } = await registryHub(t);
  const ids = ['a', 'b', 'c'];
  await gateway.importDevices(ids.map((id) => document(id)));
  assert.deepEqual(await pagesOf(registry.createQuery('SELECT * FROM devices', 1)), [['a'], ['b'], ['c']]);
  assert.deepEqual(await pagesOf(registry.createQuery('SELECT * FROM devices', 2)), [['a', 'b'], ['c']]);
  for (const size of [3, 4, 1000, undefined])
    assert.deepEqual(await pagesOf(registry.createQuery('SELECT * FROM devices', size)), [ids], size);
  assert.deepEqual(await pagesOf(registry.createQuery("SELECT * FROM devices WHERE deviceId = 'absent'", 1)), [[]]);
  const answer = await ask(gateway, service(gateway, 'POST', '/devices/query', { query: 'SELECT * FROM devices' },
    { 'x-ms-max-item-count': '1' }));
  assert.equal(answer.fields['x-ms-item-type'], 'Twin');
  const { 'x-ms-continuation': continuation } = answer.fields;
  assert.match(continuation, /^[\x21-\x7e]+$/);
  await body(registry.delete('b')); // a page goes on behind what is gone
  const next = await ask(gateway, service(gateway, 'POST', '/devices/query', { query: 'SELECT * FROM devices' },
    { 'x-ms-max-item-count': '1', 'x-ms-continuation': continuation }));
  assert.deepEqual(next.json.map(({ deviceId }) => deviceId), ['c']);
  assert.equal(next.fields['x-ms-continuation'], undefined);
  for (const fields of [{ 'x-ms-max-item-count': '0' }, { 'x-ms-max-item-count': 'x' }, { 'x-ms-continuation': 'no such' },
    { 'x-ms-continuation': 'A'.repeat(2000) }])
    assert.equal(await status(gateway, 'POST', '/devices/query', { query: 'SELECT * FROM devices' }, fields), 400,
      JSON.stringify(fields));
});

promise('service_58 a hundred rows a page when no number is asked for, all 250 devices in the end', async (t) => {
  const { gateway, registry } = await registryHub(t);
  await gateway.importDevices(Array.from({ length: 250 }, (_, i) => document(`d-${i}`)));
  const pages = await pagesOf(registry.createQuery('SELECT * FROM devices'));
  assert.deepEqual(pages.map((page) => page.length), [100, 100, 50]);
  assert.equal(new Set(pages.flat()).size, 250);
});

promise('service_57 conditions over identities select what they say, and bad syntax is 400', async (t) => {
  const { gateway, registry } = await registryHub(t);
  const authentication = { type: 'selfSigned', x509Thumbprint: { primaryThumbprint: 'ab'.repeat(20) } };
  await gateway.importDevices([document('a'), document('b', { status: 'disabled', statusReason: "it's broken" }),
    document("c'd"), document('e', { authentication })]);
  const client = await MqttClient.connect(new Device(gateway, 'a'));
  assert.equal(client.code, 0);
  const all = ['a', 'b', "c'd", 'e'];
  const rows = [
    ['', all],
    ["WHERE deviceId = 'a'", ['a']],
    ["where DEVICES.deviceId IN ['a', 'e', 'absent']", ['a', 'e']],
    ["WHERE deviceId NIN ['a','b']", ["c'd", 'e']],
    ['WHERE deviceId = "c\'d"', ["c'd"]],
    ["WHERE status = 'disabled'", ['b']],
    ["WHERE status != 'disabled'", ['a', "c'd", 'e']],
    ["WHERE status <> 'enabled'", ['b']],
    ["WHERE connectionState = 'Connected'", ['a']],
    ["WHERE deviceId >= 'b' AND deviceId < 'd'", ['b', "c'd"]],
    ["WHERE status = 'disabled' OR (deviceId = 'a' AND NOT status = 'disabled')", ['a', 'b']],
    ["WHERE authenticationType = 'selfSigned'", ['e']],
    ['WHERE capabilities.iotEdge = false', all],
    ['WHERE IS_DEFINED(tags.a)', []],
    ["WHERE deviceId = 'a' AND NOT IS_DEFINED(properties.reported.y)", ['a']],
    ["WHERE tags.a.b = 'x'", []],
    ["WHERE NOT tags.a.b = 'x'", []],
    ["WHERE tags.a.b = 'x' AND NOT IS_DEFINED(properties.reported.y)", []],
    ['WHERE statusReason = "it\'s broken"', ['b']],
    ['WHERE properties.desired.$version = 1', all],
  ];
  for (const [where, wanted] of rows)
    assert.deepEqual((await pagesOf(registry.createQuery(`SELECT * FROM devices ${where}`))).flat(), wanted, where);
  const raw = await within(registry.createQuery("SELECT deviceId, status AS s FROM devices WHERE deviceId IN ['a','b']").next(),
    'rows');
  assert.deepEqual(raw.result, [{ deviceId: 'a', s: 'enabled' }, { deviceId: 'b', s: 'disabled' }]);
  assert.equal(raw.message.headers['x-ms-item-type'], 'Raw');
  for (const wrong of ['', 'SELECT', 'SELECT * FROM', 'SELECT * FROM nowhere', 'SELECT * FROM devices WHERE',
    'SELECT * FROM devices WHERE deviceId =', "SELECT * FROM devices WHERE deviceId = 'a", 'SELECT * FROM devices; DROP',
    "SELECT * FROM devices WHERE (deviceId = 'a'", 'SELECT * FROM devices WHERE NOT',
    `SELECT * FROM devices WHERE ${'('.repeat(10000)}`, `SELECT * FROM devices WHERE ${'NOT '.repeat(5000)}`,
    `SELECT * FROM devices WHERE deviceId = '${'x'.repeat(40000)}'`]) {
    const answer = await ask(gateway, service(gateway, 'POST', '/devices/query', { query: wrong }));
    assert.deepEqual([answer.status, answer.errorCode], [400, 'ArgumentInvalid'], wrong.slice(0, 60));
  }
  for (const content of [{}, { query: 7 }, { query: null }, [], 'SELECT * FROM devices'])
    assert.equal(await status(gateway, 'POST', '/devices/query', content), 400, JSON.stringify(content));
});

promise('the twin of a query has what a client reads, in the spelling of twins', async (t) => {
  const { gateway, registry } = await registryHub(t);
  await gateway.addDevice('d', { statusReason: 'why' });
  const { etag } = await body(registry.get('d'));
  const [twin] = (await ask(gateway, service(gateway, 'POST', '/devices/query', { query: 'SELECT * FROM devices' }))).json;
  const section = { $metadata: { $lastUpdated: NEVER }, $version: 1 };
  assert.deepEqual(twin, { deviceId: 'd', etag: 'AAAAAAAAAAE=', deviceEtag: etag, status: 'enabled', statusReason: 'why',
    statusUpdateTime: NEVER, connectionState: 'Disconnected', lastActivityTime: NEVER, cloudToDeviceMessageCount: 0,
    authenticationType: 'sas', x509Thumbprint: { primaryThumbprint: null, secondaryThumbprint: null }, modelId: '', version: 2,
    tags: {}, properties: { desired: section, reported: section }, capabilities: { iotEdge: false } });
});

// ---- the surface ----

promise('the registry over HTTP/1.1 and HTTP/2: versions, request ids, ETag, methods, and what is not built', async (t) => {
  const { gateway } = await registryHub(t);
  await gateway.addDevice('d');
  const request = service(gateway, 'GET', '/devices/d');
  for (const send of [ask, askHttp2]) {
    const versions = { '2018-06-30': 200, '2020-05-31-preview': 200, '2020-09-30': 200, '2021-04-12': 200, '2099-01-01': 400,
      '': 400, x: 400 };
    for (const [version, wanted] of Object.entries(versions)) {
      const answer = await send(gateway, { ...request, path: `/devices/d?api-version=${version}` });
      assert.equal(answer.status, wanted, version);
      if (wanted === 400) assert.equal(answer.errorCode, 'InvalidProtocolVersion');
      assert.match(answer.fields['content-type'], /^application\/json/);
      assert.match(answer.fields['x-ms-request-id'], /^[0-9a-f]{32}$/);
    }
    assert.equal((await send(gateway, { ...request, path: '/devices/d' })).errorCode, 'InvalidProtocolVersion');
    const answer = await send(gateway, { ...request, path: `/DEVICES/d/?x=y&API-Version=2021-04-12`,
      body: '{"ignored":true}' });
    assert.equal(answer.status, 200);
    assert.equal(answer.fields.etag, `"${answer.json.etag}"`);
    for (const [method, path, allow] of [['PATCH', '/devices/d', 'GET, PUT, DELETE'], ['PUT', '/devices', 'GET, POST'],
      ['POST', '/statistics/devices', 'GET'], ['OPTIONS', '/devices/d/modules', 'GET'],
      ['get', '/devices/d', 'GET, PUT, DELETE']]) {
      const refused = await send(gateway, { ...request, method, path: `${path}?${API}` });
      assert.deepEqual([refused.status, refused.fields.allow, refused.errorCode], [405, allow, 'MethodNotAllowed'],
        `${method} ${path}`);
    }
    for (const [method, path] of [['GET', '/twins/d'], ['PATCH', '/twins/d'], ['POST', '/twins/d/methods'], ['GET', '/jobs'],
      ['PUT', '/configurations/c']])
      assert.equal((await send(gateway, { ...request, method, path: `${path}?${API}` })).status, 501, `${method} ${path}`);
  }
});

promise('kill -9: every identity acknowledged over REST is there afterwards, with the keys that were told', async (t) => {
  const dir = path.join(temporaryFolder(t), 'data');
  const first = await Gateway.start(t, { dir });
  const told = new Map();
  const creator = async (n) => {
    const client = await HttpsClient.open(first);
    for (let i = 0; ; i++) {
      const deviceId = `d-${n}-${i}`;
      const answer = await client.ask(service(first, 'PUT', `/devices/${deviceId}`, { deviceId }));
      if (!answer) return;
      assert.equal(answer.status, 200);
      told.set(deviceId, answer.json);
      if (told.size === 200) first.daemon.child.kill('SIGKILL'); // in the middle of the others' requests
    }
  };
  await within(Promise.all([0, 1, 2, 3].map(creator)), 'the end of the connections');
  await within(first.daemon.exited, 'the end after SIGKILL');
  const second = await Gateway.start(t, { dir });
  const client = await HttpsClient.open(second);
  for (const [deviceId, identity] of told)
    assert.deepEqual((await client.ask(service(second, 'GET', `/devices/${deviceId}`))).json, identity, deviceId);
  const [deviceId, { authentication }] = [...told].at(-1);
  assert.equal((await MqttClient.connect(new Device(second, deviceId, authentication.symmetricKey.primaryKey))).code, 0);
  t.diagnostic(`${told.size} identities acknowledged before the kill`);
});
