// Plain mosquitto_pub and mosquitto_sub.
'use strict';
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { Gateway, defer, promise, run, within } = require('./gateway');

function options(device, extra = []) {
  const { gateway } = device;
  return ['-h', 'localhost', '-p', String(gateway.port), '--cafile', gateway.info.caFile, '-V', 'mqttv311', '-i',
    device.deviceId, '-u', device.userName, '-P', device.token(), ...extra];
}

async function publish(device, extra) {
  const result = await run('mosquitto_pub', options(device, extra));
  assert.equal(result.code, 0, result.stderr);
}

promise('mosquitto_pub with QoS 0 and 1, property bag, raw and encoded values', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('pub');
  await publish(device, ['-q', '1', '-t', `${device.topic}a=b&c=d/e&blank=x%20y&%24.mid=m-1&$.cid=c-1/`, '-m', 'one']);
  await publish(device, ['-q', '0', '-t', device.topic, '-m', 'zero']);
  await publish(device, ['-q', '1', '-t', 'devices/pub/messages/events', '-n']);
  const [one, zero, empty] = await gateway.messages(3);
  assert.deepEqual(one.properties, { a: 'b', c: 'd/e', blank: 'x y' });
  assert.equal(one.systemProperties['message-id'], 'm-1');
  assert.equal(one.systemProperties['correlation-id'], 'c-1');
  assert.equal(zero.body, 'zero');
  assert.deepEqual(zero.properties, {});
  assert.equal(empty.body, '');
});

promise('must_43 a retained publish becomes a property and is given to no later subscriber', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('retain');
  await publish(device, ['-q', '1', '-r', '-t', device.topic, '-m', 'kept?']);
  const [message] = await gateway.messages(1);
  assert.deepEqual(message.properties, { 'mqtt-retain': 'true' });
  const seen = await run('mosquitto_sub', options(device, ['-t', 'devices/retain/messages/devicebound/#', '-W', '1']));
  assert.equal(seen.stdout, '');
  assert.equal(seen.code, 27, `mosquitto_sub should have waited in vain: ${seen.stderr}`);
});

promise('must_46 the will of a client that is killed is stored, marked as will', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('will');
  const child = spawn('stdbuf', ['-oL', 'mosquitto_sub'].concat(options(device, ['-d', '-t', 'devices/will/messages/devicebound/#',
    '--will-topic', `${device.topic}why=gone`, '--will-payload', 'farewell', '--will-qos', '1'])));
  defer(t, () => child.kill('SIGKILL'));
  let said = '';
  const subscribed = new Promise((resolve) => child.stdout.on('data', (data) => {
    said += data;
    if (/received SUBACK/.test(said)) resolve();
  }));
  await within(subscribed, 'SUBACK');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const [will] = await gateway.messages(1);
  assert.equal(will.body, 'farewell');
  assert.deepEqual(will.properties, { why: 'gone', 'iothub-MessageType': 'Will' });
});

promise('mosquitto_pub with a bad password is refused with "not authorised"', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('denied');
  const result = await run('mosquitto_pub', options(device, ['-q', '1', '-P', 'nonsense', '-t', device.topic, '-m', 'x']));
  assert.notEqual(result.code, 0);
  assert.match(result.stderr, /not authori[sz]ed/i);
  assert.deepEqual(await gateway.stored(), []);
});
