// Who is let in, and for how long: ids, keys, policies, disabled and deleted identities, over real connections.
'use strict';
const assert = require('node:assert/strict');
const path = require('node:path');
const fs = require('node:fs');
const { Device, Gateway, KEYS, Module, document, keyOf, promise, run, sasToken, temporaryFolder } = require('./gateway');
const { MqttClient } = require('./mqtt_client');
const { serve } = require('./serve');

const DROP_MS = 10000;

/** Connects, demands the code, and when it is 0 returns the client. */
async function connects(device, code, options) {
  const client = await MqttClient.connect(device, options);
  assert.equal(client.code, code, `${device.clientId}: ${device.gateway.daemon.stderr.split('\n').slice(-2)[0]}`);
  if (code !== 0) assert.ok(await client.isClosed());
  return client;
}

/** Does something and demands that each client is dropped soon after it. */
async function drops(clients, action) {
  const began = Date.now();
  await action();
  for (const client of clients) assert.ok(await client.isClosed());
  assert.ok(Date.now() - began < DROP_MS, `dropped after ${Date.now() - began} ms`);
}

async function withPolicy(gateway, name, rights) {
  await gateway.ok('policy', 'create', name, '--rights', rights, '--primary-key', keyOf(64), '--secondary-key', keyOf(96));
}

promise('must_15 must_16 must_77 every kind of key, primary and secondary, opens what it covers and is stamped', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('dev');
  const module = await gateway.addModule('dev', 'mod');
  await withPolicy(gateway, 'tokens', 'DeviceConnect');
  const policyToken = (scope, first) => sasToken(`${gateway.host}${scope}`, keyOf(first), { policy: 'tokens' });
  const rows = [
    [device, new Device(gateway, 'dev', KEYS.primaryKey).token(), 'device'],
    [device, new Device(gateway, 'dev', KEYS.secondaryKey).token(), 'device'],
    [module, new Module(gateway, 'dev', 'mod', KEYS.primaryKey).token(), 'module'],
    [module, new Module(gateway, 'dev', 'mod', KEYS.secondaryKey).token(), 'module'],
    [device, policyToken('', 64), 'hub'],
    [device, policyToken('/devices', 96), 'hub'],
    [module, policyToken('/devices/dev', 64), 'hub'],
    [module, policyToken('/devices/dev/modules/mod', 96), 'hub'],
  ];
  for (const [who, password] of rows) {
    const client = await connects(who, 0, { password });
    assert.ok(await client.publish(who.topic, 'stamped'));
    await client.leave();
  }
  const stored = await gateway.stored();
  stored.forEach(({ systemProperties: system }, i) => {
    const [who, , scope] = rows[i];
    assert.equal(system['iothub-connection-auth-method'],
      `{"scope":"${scope}","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`, `row ${i}`);
    assert.equal(system['iothub-connection-device-id'], 'dev');
    assert.equal(system['iothub-connection-module-id'], who.moduleId, `row ${i}`);
  });
  assert.equal(stored.length, rows.length);
  for (const scope of ['/devices/de', '/devices/dev/modules/mo', '/device', '/devices/dev/modules/mod/x'])
    await connects(module, 5, { password: policyToken(scope, 64) });
  await connects(device, 5, { password: policyToken('/devices/dev/modules/mod', 64) });
  await connects(device, 5, { password: module.token() });
  await connects(module, 5, { password: device.token() });
});

promise('must_17 a policy token opens no unknown and no disabled device', async (t) => {
  const gateway = await Gateway.start(t);
  await withPolicy(gateway, 'tokens', 'DeviceConnect');
  const password = sasToken(gateway.host, keyOf(64), { policy: 'tokens' });
  await connects(new Device(gateway, 'nobody'), 5, { password });
  const device = await gateway.addDevice('off', { status: 'disabled' });
  await connects(device, 3, { password });
  await gateway.daemon.said('identity_disabled');
  await gateway.ok('device', 'update', 'off', '--enable');
  await connects(device, 0, { password });
  await connects(new Module(gateway, 'off', 'none'), 5, { password });
});

promise('must_18 a token 290 s past se is accepted, 302 s past it is refused', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('late');
  const now = Math.floor(Date.now() / 1000);
  await connects(device, 0, { password: device.token({ expiry: now - 290 }) });
  await connects(device, 5, { password: device.token({ expiry: now - 302 }) });
});

promise('must_22 a changed key ends the sessions made with it and no others', async (t) => {
  const gateway = await Gateway.start(t);
  await withPolicy(gateway, 'tokens', 'DeviceConnect');
  const first = await gateway.addDevice('first'), second = await gateway.addDevice('second');
  const third = await gateway.addDevice('third');
  const withPrimary = await connects(first, 0);
  const withSecondary = await connects(new Device(gateway, 'second', KEYS.secondaryKey), 0);
  const withPolicyKey = await connects(third, 0, { password: sasToken(gateway.host, keyOf(64), { policy: 'tokens' }) });
  for (const id of ['first', 'second'])
    await gateway.ok('device', 'update', id, '--primary-key', keyOf(100), '--secondary-key', KEYS.secondaryKey);
  await drops([withPrimary], async () => {});
  assert.ok(await withSecondary.ping() && await withPolicyKey.ping());
  await connects(second, 5);
  await drops([withPolicyKey], () => gateway.ok('policy', 'update', 'tokens', '--primary-key', keyOf(101),
    '--secondary-key', keyOf(96)));
  await connects(third, 5, { password: sasToken(gateway.host, keyOf(64), { policy: 'tokens' }) });
  await connects(third, 0, { password: sasToken(gateway.host, keyOf(96), { policy: 'tokens' }) });
  assert.ok(await withSecondary.ping());
});

promise('must_23 ids that differ in case are different devices', async (t) => {
  const gateway = await Gateway.start(t);
  await gateway.importDevices([document('case'),
    document('CASE', { authentication: { type: 'sas', symmetricKey: { primaryKey: keyOf(7), secondaryKey: keyOf(8) } } })]);
  const small = new Device(gateway, 'case'), large = new Device(gateway, 'CASE', keyOf(7));
  const clients = [await connects(small, 0), await connects(large, 0)];
  assert.ok(await clients[0].publish(small.topic, 'small') && await clients[1].publish(large.topic, 'large'));
  await connects(new Device(gateway, 'CASE'), 5);
  await connects(new Device(gateway, 'Case'), 5);
  await connects(small, 5, { clientId: 'CASE' });
  const stored = await gateway.stored();
  assert.deepEqual(stored.map((message) => [message.systemProperties['iothub-connection-device-id'], message.body]).sort(),
    [['CASE', 'large'], ['case', 'small']]);
  clients[0].send(clients[0].publishPacket(large.topic, 'not mine'));
  assert.ok(await clients[0].isClosed());
});

promise('must_24 threat_21 ids of any legal character connect, publish and subscribe un-encoded', async (t) => {
  const gateway = await Gateway.start(t);
  const letters = [..."-.+%_#*?!(),=@$':;"];
  const ids = [...letters, ...letters.map((letter) => `a${letter}b`), letters.join(''), '..', '%2F', '%2e%2e%2f', '%00',
    '$iothub', 'a=b?api-version=c', '#'.repeat(128)];
  await gateway.importDevices(ids.map((id) => document(id)));
  for (const id of ids) {
    const device = new Device(gateway, id);
    const client = await connects(device, 0);
    assert.deepEqual(await client.subscribe([`devices/${id}/messages/devicebound/#`, 1]), [1], id);
    assert.ok(await client.publish(device.topic, id), id);
    await client.leave();
  }
  const stored = await gateway.stored();
  const seen = stored.map((message) => message.systemProperties['iothub-connection-device-id']);
  assert.deepEqual(seen.sort(), ids.slice().sort());
  for (const { systemProperties, body } of stored) assert.equal(systemProperties['iothub-connection-device-id'], body);
});

promise('must_24 modules of such ids connect as well', async (t) => {
  const gateway = await Gateway.start(t);
  await gateway.importDevices([document('a+b#c?d'), { ...document('a+b#c?d'), status: undefined, moduleId: "m%'@=" }]);
  const module = new Module(gateway, 'a+b#c?d', "m%'@=");
  const client = await connects(module, 0);
  assert.ok(await client.publish(module.topic, 'x'));
  const [{ systemProperties }] = await gateway.stored();
  assert.equal(systemProperties['iothub-connection-module-id'], "m%'@=");
});

promise('threat_21 ids with a slash, NUL, blank, quote or a letter beyond ASCII are refused at CONNECT and by the CLI', async (t) => {
  const gateway = await Gateway.start(t);
  await gateway.addDevice('a');
  for (const id of ['a/b', 'a\0', 'a ', 'a"', 'a\\b', 'a|b', 'a&b', 'a\u00e9', 'a\n', 'a/../a', '../a', '']) {
    const device = new Device(gateway, id);
    const client = await MqttClient.connect(device);
    assert.ok(client.code === 5 || client.code === null, `${JSON.stringify(id)}: ${client.code}`);
    assert.ok(await client.isClosed());
    if (!id.includes('\0')) assert.notEqual((await gateway.run('device', 'create', id)).code, 0, JSON.stringify(id));
  }
  const device = new Device(gateway, 'a');
  for (const sr of ['devices/a%00', 'devices/a%2F..%2Fa', 'devices/b/../a', 'devices/+', 'devices/%23', 'devices/*'])
    await connects(device, 5, { password: sasToken(`${gateway.host}/${decodeURIComponent(sr)}`, device.key) });
  await connects(device, 0);
});

promise('must_27 a SAS password does not open an X.509 device, nor a certificate alone a SAS device', async (t) => {
  const gateway = await Gateway.start(t);
  const thumbprint = 'ab'.repeat(32);
  const devC = await gateway.addDevice('devC', { authentication: { type: 'selfSigned',
    x509Thumbprint: { primaryThumbprint: thumbprint, secondaryThumbprint: thumbprint } } });
  await connects(devC, 5);
  await gateway.daemon.said('identity_not_sas');
  const device = await gateway.addDevice('dev');
  const tls = await clientCertificate(t);
  await connects(device, 5, { tls, password: undefined });
  await connects(device, 5, { tls, password: '' });
  await gateway.daemon.said('token_missing');
});

/** A self-signed client certificate nobody knows, as options of tls.connect. */
async function clientCertificate(t) {
  const folder = temporaryFolder(t);
  const [key, cert] = ['client.key', 'client.pem'].map((name) => path.join(folder, name));
  const made = await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-days', '2', '-subj', '/CN=unknown', '-keyout', key, '-out', cert]);
  assert.equal(made.code, 0, made.stderr);
  return { key: fs.readFileSync(key), cert: fs.readFileSync(cert) };
}

promise('must_03 must_04 a certificate is asked for and not required; an unknown one hinders no handshake', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('dev');
  const tls = await clientCertificate(t);
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const limits = { minVersion: version, maxVersion: version };
    await (await connects(device, 0, { tls: limits })).leave();
    await (await connects(device, 0, { tls: { ...limits, ...tls } })).leave();
  }
  const asked = await run('openssl', ['s_client', '-connect', `127.0.0.1:${gateway.port}`, '-tls1_2', '-trace'], { input: '' });
  assert.match(asked.stdout, /CertificateRequest/);
});

promise('must_28 a disabled device is refused with code 5 when that is configured', async (t) => {
  const gateway = await serve(t, { more: ['disabledConnack: 5'] });
  await gateway.ok('device', 'update', 'dev', '--disable');
  await connects(gateway.device(), 5);
  await gateway.ok('device', 'update', 'dev', '--enable');
  await connects(gateway.device(), 0);
});

promise('must_29 must_30 what is disabled or deleted on a running gateway is dropped within 10 s, modules included', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('parent'), module = await gateway.addModule('parent', 'mod');
  const bystander = await connects(await gateway.addDevice('bystander'), 0);
  const both = async () => [await connects(device, 0), await connects(module, 0)];

  await drops(await both(), () => gateway.ok('device', 'update', 'parent', '--disable'));
  await connects(device, 3);
  await connects(module, 3);
  await gateway.ok('device', 'update', 'parent', '--enable');
  const [stays, goes] = await both();
  await drops([goes], () => gateway.ok('device', 'delete', 'parent', '--module', 'mod'));
  assert.ok(await stays.ping());
  await connects(module, 5);
  await gateway.addModule('parent', 'mod');
  await drops([stays, await connects(module, 0)], () => gateway.ok('device', 'delete', 'parent'));
  await connects(device, 5);
  await connects(module, 5);
  assert.ok(await bystander.ping());
});
