// Every published token vector, sent as the password of a real connection: good ones get CONNACK 0, bad ones 5.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { Gateway, document, promise } = require('./gateway');
const { MqttClient } = require('./mqtt_client');

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
  const device = { gateway, deviceId: id, userName: `hub.example.net/${id}/?api-version=2021-04-12` };
  const client = await MqttClient.connect(device, { password: token });
  if (client.code === 0) await client.leave();
  else assert.ok(await client.isClosed());
  return client.code;
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
