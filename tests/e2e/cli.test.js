// The management commands on a running and on a stopped gateway, and the formats that other programs read.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { Daemon, Device, Gateway, KEYS, defer, document, gatehouse, keyOf, promise, sasToken, temporaryFolder, within } =
  require('./gateway');
const { MqttClient } = require('./mqtt_client');

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

/** Runs a body on a running gateway and again on its stopped store. */
function onBoth(name, body) {
  promise(`${name}, on a running gateway`, async (t) => body(t, await Gateway.start(t)));
  promise(`${name}, on a stopped one`, async (t) => {
    const gateway = await Gateway.start(t);
    await gateway.daemon.kill();
    await body(t, gateway);
  });
}

async function refused(gateway, ...args) {
  const result = await gateway.run(...args);
  assert.notEqual(result.code, 0, `gatehouse ${args.join(' ')} should have failed`);
  assert.match(result.stderr, /\S/);
  return result.stderr;
}

promise('--version, --help and an unknown command', async () => {
  const version = await gatehouse(['--version']);
  assert.equal(version.code, 0);
  assert.match(version.stdout, /^gatehouse \d+\.\d+\.\d+\n$/);
  const help = await gatehouse(['--help']);
  assert.equal(help.code, 0);
  for (const name of ['dev', 'serve', 'check', 'device', 'policy', 'token', 'tail', 'health'])
    assert.match(help.stdout, new RegExp(`\\b${name}\\b`));
  const unknown = await gatehouse(['sevre']);
  assert.notEqual(unknown.code, 0);
  assert.match(unknown.stderr, /sevre/);
});

promise('dev --json prints one line with what a program needs, and makes the five policies', async (t) => {
  const gateway = await Gateway.start(t);
  const { hostName, mqttPort, httpsPort, caFile, pid, dataDir, deviceId, deviceConnectionString, serviceConnectionString } =
    gateway.info;
  assert.equal(typeof hostName, 'string');
  assert.ok(mqttPort > 0);
  assert.ok(httpsPort > 0 && httpsPort !== mqttPort);
  assert.ok(fs.readFileSync(caFile, 'utf8').includes('BEGIN CERTIFICATE'));
  assert.equal(pid, gateway.daemon.child.pid);
  assert.equal(dataDir, gateway.dir);
  assert.ok(deviceConnectionString.includes(`DeviceId=${deviceId};`));
  const policies = JSON.parse(await gateway.ok('policy', 'list', '--json'));
  const owner = policies.find((policy) => (policy.keyName ?? policy.name) === 'iothubowner');
  assert.equal(serviceConnectionString,
    `HostName=${hostName};SharedAccessKeyName=iothubowner;SharedAccessKey=${owner.primaryKey}`);
  const names = policies.map((policy) => policy.keyName ?? policy.name).sort();
  assert.deepEqual(names, ['device', 'iothubowner', 'registryRead', 'registryReadWrite', 'service']);
  await gateway.daemon.kill();
  assert.equal(gateway.daemon.stdout.trim().split('\n').length, 1, 'one line only');
});

promise('dev without --json says the same to a person', async (t) => {
  const dir = path.join(temporaryFolder(t), 'data');
  const first = await Gateway.start(t, { dir });
  await first.daemon.kill();
  const ports = ['--mqtt-port', String(first.port), '--amqp-port', String(first.amqpPort), '--https-port',
    String(first.httpsPort)];
  const daemon = new Daemon(['dev', '--dir', dir, ...ports]);
  defer(t, () => daemon.kill('SIGKILL'));
  await within(daemon.firstLine, 'what dev says');
  await daemon.kill();
  const { caFile, deviceConnectionString, serviceConnectionString } = first.info;
  for (const fact of [`localhost:${first.port}`, `localhost:${first.httpsPort}`, caFile, deviceConnectionString,
    serviceConnectionString])
    assert.ok(daemon.stdout.includes(fact), `${fact} in:\n${daemon.stdout}`);
});

onBoth('a device is created, shown, listed, changed and deleted', async (t, gateway) => {
  const created = JSON.parse(await gateway.ok('device', 'create', 'made', '--json'));
  const { symmetricKey } = created.authentication;
  for (const key of [symmetricKey.primaryKey, symmetricKey.secondaryKey])
    assert.ok(Buffer.from(key, 'base64').length >= 16);
  assert.equal(created.status, 'enabled');
  assert.match(await refused(gateway, 'device', 'create', 'made'), /made/);
  const shown = JSON.parse(await gateway.ok('device', 'show', 'made', '--json'));
  assert.equal(shown.generationId, created.generationId);
  assert.deepEqual(shown.authentication, created.authentication);
  const given = JSON.parse(await gateway.ok('device', 'create', 'given', '--primary-key', KEYS.primaryKey,
    '--secondary-key', KEYS.secondaryKey, '--disabled', '--json'));
  assert.deepEqual(given.authentication.symmetricKey, KEYS);
  assert.equal(given.status, 'disabled');
  const list = JSON.parse(await gateway.ok('device', 'list', '--json')).map((device) => device.deviceId);
  assert.ok(list.includes('made') && list.includes('given'), list.join());
  await gateway.ok('device', 'update', 'given', '--enable');
  assert.equal(JSON.parse(await gateway.ok('device', 'show', 'given', '--json')).status, 'enabled');
  await gateway.ok('device', 'delete', 'made');
  assert.match(await refused(gateway, 'device', 'show', 'made'), /made/);
});

onBoth('5,000 devices are imported in seconds, exported whole, and a bad line is named', async (t, gateway) => {
  const documents = Array.from({ length: 5000 }, (_, i) =>
    document(`import-${i}`, i % 2 ? {} : { authentication: { type: 'sas' } }));
  const before = process.hrtime.bigint();
  await gateway.importDevices(documents);
  t.diagnostic(`5,000 devices in ${(Number(process.hrtime.bigint() - before) / 1e9).toFixed(2)} s`);
  const exported = (await gateway.ok('device', 'export')).trim().split('\n').map((line) => JSON.parse(line));
  const byId = new Map(exported.map((device) => [device.deviceId, device]));
  for (const { deviceId } of documents) assert.ok(byId.has(deviceId), deviceId);
  assert.deepEqual(byId.get('import-1').authentication.symmetricKey, KEYS);
  assert.ok(Buffer.from(byId.get('import-0').authentication.symmetricKey.primaryKey, 'base64').length >= 16);
  const bad = await gatehouse(['device', 'import', '-', '--dir', gateway.dir],
    { input: `${JSON.stringify(document('good-1'))}\n{"deviceId": nonsense}\n` });
  assert.notEqual(bad.code, 0);
  assert.match(bad.stderr, /line 2/);
});

onBoth('a policy is created, changed and deleted', async (t, gateway) => {
  await gateway.ok('policy', 'create', 'tokens', '--rights', 'DeviceConnect', '--primary-key', keyOf(64),
    '--secondary-key', keyOf(96));
  const shown = await gateway.ok('policy', 'show', 'tokens', '--json');
  assert.match(shown, /DeviceConnect/);
  assert.ok(shown.includes(keyOf(64)));
  await gateway.ok('policy', 'update', 'tokens', '--rights', 'ServiceConnect');
  assert.match(await gateway.ok('policy', 'show', 'tokens', '--json'), /ServiceConnect/);
  await gateway.ok('policy', 'delete', 'tokens');
  await refused(gateway, 'policy', 'show', 'tokens');
});

promise('must_22 what device and policy change counts at once for connections', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('live');
  await gateway.ok('policy', 'create', 'service-of-tokens', '--rights', 'DeviceConnect', '--primary-key', keyOf(64),
    '--secondary-key', keyOf(96));
  const password = sasToken(`${gateway.host}/devices/live`, keyOf(96), { policy: 'service-of-tokens' });
  assert.equal((await MqttClient.connect(device, { password })).code, 0);
  await gateway.ok('policy', 'delete', 'service-of-tokens');
  assert.equal((await MqttClient.connect(device, { password })).code, 5);
  const client = await MqttClient.connect(device);
  assert.equal(client.code, 0);
  await gateway.ok('device', 'update', 'live', '--primary-key', keyOf(100), '--secondary-key', keyOf(132));
  assert.ok(await client.isClosed(), 'its key is gone');
  assert.equal((await MqttClient.connect(device)).code, 5);
  assert.equal((await MqttClient.connect(new Device(gateway, 'live', keyOf(132)))).code, 0);
});

promise('token create makes what the gateway accepts, token explain says which rule decides', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('tok');
  const made = await gatehouse(['token', 'create', '--resource', `${gateway.host}/devices/tok`, '--key', device.key,
    '--ttl', '600']);
  assert.equal(made.code, 0, made.stderr);
  const token = made.stdout.trim();
  assert.equal((await MqttClient.connect(device, { password: token })).code, 0);
  const good = await gateway.run('token', 'explain', token, '--device', 'tok');
  assert.equal(good.code, 0, good.stderr);
  assert.match(good.stdout, /accepted/i);
  const wrong = new Device(gateway, 'tok', keyOf(7)).token();
  const bad = await gatehouse(['token', 'explain', '-', '--device', 'tok', '--dir', gateway.dir], { input: wrong });
  assert.notEqual(bad.code, 0);
  assert.match(bad.stdout + bad.stderr, /token_signature/);
  const old = await gateway.run('token', 'explain', device.token({ expiry: 1700000000 }), '--device', 'tok');
  assert.match(old.stdout + old.stderr, /token_expired/);
});

promise('tail --json has exactly the fields it promises; offsets, partitions, counts and ends work', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('tail');
  const client = await MqttClient.connect(device);
  await client.publish(`${device.topic}k=v&%24.mid=m`, 'text é');
  await client.publish(device.topic, Buffer.from([0xff, 0x00, 0xfe]));
  await client.publish(device.topic, '3');
  const [text, bytes, third] = await gateway.messages(3);
  const fields = ['body', 'bodyEncoding', 'enqueuedTime', 'offset', 'partition', 'properties', 'sequenceNumber',
    'systemProperties'];
  assert.deepEqual(Object.keys(text).sort(), fields);
  assert.equal(typeof text.offset, 'string');
  assert.equal(typeof text.partition, 'number');
  assert.equal(typeof text.sequenceNumber, 'number');
  assert.match(text.enqueuedTime, TIME);
  assert.equal(text.body, 'text é');
  assert.deepEqual(Buffer.from(bytes.body, 'base64'), Buffer.from([0xff, 0x00, 0xfe]));
  assert.equal(bytes.bodyEncoding, 'base64');
  assert.notEqual(text.bodyEncoding, 'base64');
  assert.deepEqual([bytes.sequenceNumber, third.sequenceNumber],
    [text.sequenceNumber + 1, text.sequenceNumber + 2]);

  const from = await gateway.ok('tail', '--partition', String(text.partition), '--from', bytes.offset, '--no-follow',
    '--json');
  assert.deepEqual(from.trim().split('\n').map((line) => JSON.parse(line).offset), [bytes.offset, third.offset]);
  assert.equal(await gateway.ok('tail', '--from', 'latest', '--no-follow', '--json'), '');
  const live = await gateway.ok('tail', '--from', 'earliest', '--no-follow', '--json');
  await gateway.daemon.kill();
  assert.equal(await gateway.ok('tail', '--from', 'earliest', '--no-follow', '--json'), live);
});

promise('must_76 stamps cannot be forged by properties of the same names', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('honest');
  const client = await MqttClient.connect(device);
  const forged = ['iothub-connection-device-id=evil', '%24.cdid=evil', 'iothub-connection-auth-method=evil',
    'iothub-enqueuedtime=evil', 'iothub-message-source=evil', 'mine=1'].join('&');
  assert.ok(await client.publish(device.topic + forged, 'x'));
  const [message] = await gateway.messages(1);
  assert.equal(message.systemProperties['iothub-connection-device-id'], 'honest');
  assert.ok(!JSON.stringify(message).includes('evil'), JSON.stringify(message));
  assert.equal(message.properties.mine, '1');
});

promise('the data folder and what is in it belong to the user alone', async (t) => {
  const gateway = await Gateway.start(t, { dir: path.join(temporaryFolder(t), 'made', 'here') });
  assert.equal(fs.statSync(gateway.dir).mode & 0o077, 0);
  assert.equal(fs.statSync(path.join(gateway.dir, 'admin.sock')).mode & 0o777, 0o600);
});
