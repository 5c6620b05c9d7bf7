// Every published token vector, sent over a real connection: as the password of MQTT good ones get CONNACK 0, bad ones 5;
// as Authorization of HTTP good ones get 204, bad ones 401; put to $cbs of AMQP good ones get 200, bad ones 401.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { AmqpClient, eventsOf } = require('./amqp_client');
const { Gateway, Module, document, freePort, keyOf, promise, sasToken } = require('./gateway');
const { HttpsClient, ask, telemetry } = require('./https_client');
const { MqttClient } = require('./mqtt_client');
const { serve } = require('./serve');

/** The rows of tests/vectors/sas_vectors.h, so that unit and end-to-end tests judge by one list. */
function readVectors() {
  let text = fs.readFileSync(path.join(__dirname, '..', 'vectors', 'sas_vectors.h'), 'utf8');
  text = text.replace(/\/\*[^]*?\*\//g, '');
  const names = {};
  for (const [, name, value] of text.matchAll(/^#define (\w+) ("(?:[^"\\]|\\.)*")$/gm)) names[name] = JSON.parse(value);
  const field = String.raw`\s*((?:"(?:[^"\\]|\\.)*"\s*|[A-Z][A-Z0-9_]*\s*)+)`;
  const row = new RegExp(String.raw`\{${Array(7).fill(field).join(',')},?\s*\}`, 'g');
  const value = (source) => (source.trim() === 'NULL' ? null
    : source.match(/"(?:[^"\\]|\\.)*"|[A-Z][A-Z0-9_]*/g).map((part) => names[part] ?? JSON.parse(part)).join(''));
  const vectors = [...text.matchAll(row)].map(([, ...fields]) => {
    const [name, what, deviceId, moduleId, policy, code, token] = fields.map(value);
    return { name, what, deviceId, moduleId, policy, code, token };
  });
  return { vectors, names };
}

const { vectors, names } = readVectors();
const keys = (primaryKey, secondaryKey) => ({ authentication: { type: 'sas', symmetricKey: { primaryKey, secondaryKey } } });

async function vectorHub(t) {
  const gateway = await Gateway.start(t, { args: ['--host', 'hub.example.net'] });
  const { SAS_VECTOR_K1: K1, SAS_VECTOR_K2: K2, SAS_VECTOR_KP: KP, SAS_VECTOR_KW: KW } = names;
  await gateway.ok('device', 'delete', gateway.info.deviceId); // dev's own has the name of the vectors' but another key
  const ids = [...new Set(vectors.map((vector) => vector.deviceId))];
  await gateway.importDevices(ids.map((id) => document(id, keys(K1, K2))));
  await gateway.importDevices([{ deviceId: 'dev1', moduleId: 'mod-A', ...keys(K1, K2) }]);
  await gateway.ok('policy', 'update', 'device', '--primary-key', KP, '--secondary-key', K2);
  await gateway.ok('policy', 'update', 'service', '--primary-key', KW, '--secondary-key', K2);
  return gateway;
}

async function present(gateway, { deviceId, moduleId, token }) {
  const id = moduleId ? `${deviceId}/${moduleId}` : deviceId;
  const device = { gateway, clientId: id, userName: `hub.example.net/${id}/?api-version=2021-04-12` };
  const client = await MqttClient.connect(device, { password: token });
  if (client.code === 0) await client.leave();
  else assert.ok(await client.isClosed());
  return client.code;
}

/** A telemetry request with the token; no token is no Authorization. */
function posting({ deviceId, token }) {
  return telemetry({ deviceId, token: () => token || undefined }, 'x');
}

promise('the list of vectors is whole: P1 to P20 and N1 to N19', () => {
  const wanted = [...Array(20).keys()].map((i) => `P${i + 1}`).concat([...Array(19).keys()].map((i) => `N${i + 1}`));
  assert.deepEqual(vectors.map((vector) => vector.name).filter((name) => wanted.includes(name)).sort(), wanted.sort());
});

promise('must_10 every good vector is let in over MQTT', async (t) => {
  const gateway = await vectorHub(t);
  for (const vector of vectors.filter(({ name }) => name.startsWith('P')))
    await t.test(`${vector.name} ${vector.what}`, async () => assert.equal(await present(gateway, vector), 0));
});

promise('must_11 every bad vector is refused over MQTT with code 5, and the log says why', async (t) => {
  const gateway = await vectorHub(t);
  for (const vector of vectors.filter(({ name }) => name.startsWith('N')))
    await t.test(`${vector.name} ${vector.what}`, async () => {
      const before = gateway.daemon.stderr.length;
      assert.equal(await present(gateway, vector), 5);
      const said = await gateway.daemon.said(vector.code, before);
      assert.ok(!said.includes('sig='), 'the log holds the token');
    });
});

promise('must_10 every good vector of a device is let in over HTTP; those of a module have no way there', async (t) => {
  const gateway = await vectorHub(t);
  const client = await HttpsClient.open(gateway);
  for (const vector of vectors.filter(({ name }) => name.startsWith('P')))
    await t.test(`${vector.name} ${vector.what}`, async () => {
      const request = posting(vector);
      if (vector.moduleId) {
        const path = request.path.replace('/messages/', `/modules/${vector.moduleId}/messages/`);
        assert.equal((await client.ask({ ...request, path })).status, 404);
        return;
      }
      assert.equal((await ask(gateway, request)).status, 204);
      assert.equal((await client.ask(request)).status, 204, 'on a connection that others used');
    });
});

/** What $cbs answers to the token, put for who presents it. */
async function put(client, { deviceId, moduleId, token }) {
  const module = moduleId ? `/modules/${encodeURIComponent(moduleId)}` : '';
  const name = `hub.example.net/devices/${encodeURIComponent(deviceId)}${module}`;
  return (await client.putToken(name, token)).application_properties['status-code'];
}

const linkOf = ({ deviceId, moduleId }) => eventsOf({ deviceId, moduleId: moduleId || undefined });

promise('must_10 every good vector is let in over AMQP, and then the link it is for', async (t) => {
  const gateway = await vectorHub(t);
  for (const vector of vectors.filter(({ name }) => name.startsWith('P')))
    await t.test(`${vector.name} ${vector.what}`, async () => {
      const client = await AmqpClient.connect(t, gateway);
      assert.equal(await put(client, vector), 200);
      assert.equal(await client.refusal('sender', linkOf(vector)), undefined);
      await client.leave();
    });
});

promise('must_11 every bad vector gets 401 over AMQP, opens no link, and the log says why', async (t) => {
  const gateway = await vectorHub(t);
  const client = await AmqpClient.connect(t, gateway);
  const refused = async (vector) => {
    const before = gateway.daemon.stderr.length;
    assert.equal(await put(client, vector), vector.code === 'token_missing' ? 400 : 401);
    if (!['token_missing', 'token_too_long'].includes(vector.code)) { // those are refused before anybody is asked
      const said = await gateway.daemon.said(vector.code, before);
      assert.ok(!said.includes('sig='), 'the log holds the token');
    }
    assert.equal(await client.refusal('sender', linkOf(vector)), 'amqp:unauthorized-access');
  };
  for (const vector of vectors.filter(({ name }) => name.startsWith('N')))
    await t.test(`${vector.name} ${vector.what}`, () => refused(vector));
  for (const [letter, what, token, code] of furtherNegatives())
    await t.test(`(${letter}) ${what}`, () => refused({ deviceId: 'dev1', token, code }));
});

promise('must_11 every bad vector gets 401 over HTTP, on a connection a good one opened, and the log says why', async (t) => {
  const gateway = await vectorHub(t);
  const client = await HttpsClient.open(gateway);
  const refused = async (request, code) => {
    const before = gateway.daemon.stderr.length;
    const answer = await client.ask(request);
    assert.equal(answer.status, 401);
    assert.equal(answer.json.Message, 'ErrorCode:IotHubUnauthorizedAccess;Unauthorized', 'the reason is not told');
    const said = await gateway.daemon.said(code, before);
    assert.ok(!said.includes('sig='), 'the log holds the token');
  };
  const good = posting(vectors[0]);
  assert.equal((await client.ask(good)).status, 204);
  for (const vector of vectors.filter(({ name }) => name.startsWith('N')))
    await t.test(`${vector.name} ${vector.what}`, () => refused(posting(vector), vector.code));
  for (const [letter, what, token, code] of furtherNegatives())
    await t.test(`(${letter}) ${what}`, () =>
      refused(posting({ deviceId: 'dev1', token }), code === 'token_too_long' ? 'claim_too_long' : code));
  assert.equal((await client.ask(good)).status, 204);
});

/** What device contract 3.9 gives as rules, made out of P1: [letter, what, token, log code]. */
function furtherNegatives() {
  const p1 = vectors.find(({ name }) => name === 'P1').token;
  const [word, sr, sig, se] = p1.split(/[ &]/);
  const mac = Buffer.from(decodeURIComponent(sig.slice('sig='.length)), 'base64');
  const token = (...fields) => `${word} ${fields.join('&')}`;
  const signed = (bytes) => `sig=${encodeURIComponent(bytes.toString('base64'))}`;
  return [
    ['a', 'a second blank inside', p1.replace('&', ' &'), 'token_form'],
    ['a', 'two blanks', p1.replace(' ', '  '), 'token_form'],
    ['b', 'the word in lower case', p1.replace(word, word.toLowerCase()), 'token_form'],
    ['c', 'no sig', token(sr, se), 'token_field_missing'],
    ['c', 'no se', token(sr, sig), 'token_field_missing'],
    ['c', 'no sr', token(sig, se), 'token_field_missing'],
    ['d', 'sig of 31 bytes', token(sr, signed(mac.subarray(0, 31)), se), 'token_signature_form'],
    ['d', 'sig of 33 bytes', token(sr, signed(Buffer.concat([mac, Buffer.alloc(1)])), se), 'token_signature_form'],
    ['e', 'sig is not base64', token(sr, sig.replace('%2F', '_'), se), 'token_signature_form'],
    ['f', 'half an escape in sig', token(sr, `${sig.slice(0, -1)}`, se), 'token_signature_form'],
    ['f', 'a bad escape in sig', token(sr, sig.replace('%3D', '%zz'), se), 'token_signature_form'],
    ['f', 'half an escape in skn', token(sr, sig, se, 'skn=dev1%2'), 'token_policy_form'],
    ['f', 'a bad escape in skn', token(sr, sig, se, 'skn=%zz'), 'token_policy_form'],
    ['g', 'padded beyond 4096 bytes', `${p1}&pad=${'A'.repeat(4096)}`, 'token_too_long'],
    ['h', 'skn of 257 letters', token(sr, sig, se, `skn=${'s'.repeat(257)}`), 'token_policy_form'],
    ['i', 'an empty password', '', 'token_missing'],
  ];
}

promise('must_11 further negatives (a) to (i) are refused over MQTT with code 5', async (t) => {
  const gateway = await vectorHub(t);
  assert.equal(await present(gateway, vectors[0]), 0, 'the token they are made of is good');
  for (const [letter, what, token, code] of furtherNegatives())
    await t.test(`(${letter}) ${what}`, async () => {
      const before = gateway.daemon.stderr.length;
      assert.equal(await present(gateway, { deviceId: 'dev1', token }), 5);
      await gateway.daemon.said(code, before);
    });
});

promise('must_11 (j) a switched-off kind of token is refused, and only that kind', async (t) => {
  for (const [off, refused] of [['disableDeviceSas', 0], ['disableModuleSas', 1], ['disableLocalAuth', 2]]) {
    const gateway = await serve(t, { httpsPort: await freePort(), more: [`${off}: true`] });
    await gateway.importDevices([{ ...document('dev'), status: undefined, moduleId: 'mod' }]);
    await gateway.ok('policy', 'create', 'tokens', '--rights', 'DeviceConnect', '--primary-key', keyOf(64), '--secondary-key', keyOf(96));
    const device = gateway.device(), module = new Module(gateway, 'dev', 'mod');
    const byPolicy = sasToken(gateway.host, keyOf(64), { policy: 'tokens' });
    const codes = [];
    for (const [who, password] of [[device, device.token()], [module, module.token()], [device, byPolicy]])
      codes.push((await MqttClient.connect(who, { password })).code);
    assert.deepEqual(codes, [0, 1, 2].map((i) => (i === refused ? 5 : 0)), off);
    const statuses = [];
    for (const Authorization of [device.token(), byPolicy])
      statuses.push((await ask(gateway, telemetry(device, 'x', { Authorization }))).status);
    assert.deepEqual(statuses, [0, 2].map((i) => (i === refused ? 401 : 204)), `${off} over HTTP`);
  }
});

promise('must_11 (k) and (l): a good token opens no disabled and no X.509 device', async (t) => {
  const gateway = await vectorHub(t);
  const p1 = vectors[0];
  await gateway.ok('device', 'update', 'dev1', '--disable');
  assert.equal(await present(gateway, p1), 3);
  assert.equal((await ask(gateway, posting(p1))).status, 403);
  await gateway.ok('device', 'delete', 'dev1');
  const thumbprint = '0123456789abcdef'.repeat(4);
  await gateway.importDevices([{ deviceId: 'dev1', authentication: { type: 'selfSigned',
    x509Thumbprint: { primaryThumbprint: thumbprint, secondaryThumbprint: thumbprint } } }]);
  assert.equal(await present(gateway, p1), 5);
  await gateway.daemon.said('identity_not_sas');
  const before = gateway.daemon.stderr.length;
  assert.equal((await ask(gateway, posting(p1))).status, 401);
  await gateway.daemon.said('identity_not_sas', before);
});
