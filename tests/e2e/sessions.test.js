// Connections that end for a reason: expiry, takeover, disabled or deleted devices, packets no client may send.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const { Gateway, promise } = require('./gateway');
const { MqttClient, connectPacket } = require('./mqtt_client');

function residentKilobytes(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}

promise('must_20 a live connection is closed when its token ends, not before', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('expiring');
  const skewS = 300, expiry = Math.floor(Date.now() / 1000) - skewS + 3;
  const client = await MqttClient.connect(device, { password: device.token({ expiry }) });
  assert.equal(client.code, 0, 'a token within the skew is good');
  assert.ok(await client.publish(device.topic, 'still good'));
  assert.ok(await client.isClosed());
  assert.ok(Date.now() >= (expiry + skewS) * 1000, 'closed before the token ended');
  const late = await MqttClient.connect(device, { password: device.token({ expiry: expiry - 2 * skewS }) });
  assert.equal(late.code, 5);
});

promise('must_36 a second connection of a device closes the first, also while that publishes', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('twice');
  const first = await MqttClient.connect(device);
  for (let i = 0; i < 50; i++) first.send(first.publishPacket(device.topic, `first ${i}`));
  const second = await MqttClient.connect(device);
  assert.equal(second.code, 0);
  assert.ok(await first.isClosed());
  assert.ok(await second.publish(device.topic, 'second'));
  const stored = await gateway.stored();
  const acked = first.packets.length;
  assert.ok(stored.length >= acked + 1, `${acked} acknowledged, ${stored.length} stored`);
  assert.equal(stored.at(-1).body, 'second', 'a message of the displaced connection came after the new one\'s');
});

promise('must_28 a disabled device is refused with code 3, and closed when it is disabled while connected', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('switch');
  const client = await MqttClient.connect(device);
  assert.equal(client.code, 0);
  await gateway.ok('device', 'update', 'switch', '--disable');
  assert.ok(await client.isClosed());
  const refused = await MqttClient.connect(device);
  assert.equal(refused.code, 3);
  await gateway.ok('device', 'update', 'switch', '--enable');
  const again = await MqttClient.connect(device);
  assert.equal(again.code, 0);
});

promise('must_29 a deleted device is dropped and unknown from then on', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('deleted');
  const client = await MqttClient.connect(device);
  assert.equal(client.code, 0);
  await gateway.ok('device', 'delete', 'deleted');
  assert.ok(await client.isClosed());
  assert.equal((await MqttClient.connect(device)).code, 5);
});

promise('must_34 subscriptions of a CleanSession=0 session survive, those of CleanSession=1 do not', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('kept');
  const first = await MqttClient.connect(device, { clean: false });
  assert.equal(first.sessionPresent, 0);
  const granted = await first.subscribe(['devices/kept/messages/devicebound/#', 2], ['$iothub/methods/POST/#', 0], ['other/#', 1]);
  assert.deepEqual(granted, [1, 0, 0x80]);
  await first.leave();
  const second = await MqttClient.connect(device, { clean: false });
  assert.equal(second.sessionPresent, 1);
  await second.leave();
  const clean = await MqttClient.connect(device, { clean: true });
  assert.equal(clean.sessionPresent, 0);
  await clean.leave();
  const last = await MqttClient.connect(device, { clean: false });
  assert.equal(last.sessionPresent, 0);
});

promise('must_31 a wrong protocol level gets code 1; must_32 a client id other than the user name gets 5', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('form');
  assert.equal((await MqttClient.connect(device, { level: 6 })).code, 1);
  assert.equal((await MqttClient.connect(device, { clientId: 'other' })).code, 5);
  assert.equal((await MqttClient.connect(device, { userName: 'elsewhere.example.net/form/' })).code, 5);
  for (const userName of [`${gateway.host}/form`, `${gateway.host}/form/api-version=2016-11-14`,
    `${gateway.host.toUpperCase()}/form/?api-version=never&DeviceClientType=a/b`])
    assert.equal((await MqttClient.connect(device, { userName })).code, 0, userName);
});

promise('must_40 must_41 a bag after ?, with raw /, + and a closing slash yields the same properties', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('bag');
  const client = await MqttClient.connect(device);
  for (const bag of ['?a=b/c&d=1+1&e=x%20y', 'a=b/c&d=1+1&e=x%20y/', '?a=b%2Fc&d=1%2B1&e=x%20y/'])
    assert.ok(await client.publish(device.topic + bag, bag));
  for (const message of await gateway.messages(3))
    assert.deepEqual(message.properties, { a: 'b/c', d: '1+1', e: 'x y' }, message.body);
});

promise('must_54 a publish sent right behind CONNECT is stored and acknowledged after CONNACK', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('eager');
  const client = await MqttClient.open(gateway);
  client.send(Buffer.concat([connectPacket({ clientId: 'eager', userName: device.userName, password: device.token() }),
    client.publishPacket(device.topic, 'eager')]));
  assert.deepEqual([...(await client.next()).body], [0, 0]);
  assert.deepEqual([...(await client.next()).body], [0, 1]);
  assert.equal((await gateway.stored())[0].body, 'eager');
});

promise('must_37 must_38 a QoS 2 publish and a foreign topic close that connection and store nothing', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('strict');
  const bystander = await MqttClient.connect(await gateway.addDevice('bystander'));
  for (const [topic, qos] of [[device.topic, 2], ['devices/bystander/messages/events/', 1], ['some/topic', 0]]) {
    const client = await MqttClient.connect(device);
    client.send(client.publishPacket(topic, 'no', { qos }));
    assert.ok(await client.isClosed(), topic);
  }
  assert.ok(await bystander.ping(), 'another connection suffered');
  assert.deepEqual(await gateway.stored(), []);
});

promise('must_52 a message over 262144 bytes closes; the largest below is stored whole', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('big');
  const client = await MqttClient.connect(device);
  const body = 'b'.repeat(262144 - 100);
  assert.ok(await client.publish(device.topic, body));
  assert.equal(await client.publish(device.topic, 'b'.repeat(262145)), false);
  const stored = await gateway.stored();
  assert.deepEqual(stored.map((message) => message.body.length), [body.length]);
});

promise('268 MB announced with one byte sent closes the connection and costs no memory', async (t) => {
  const gateway = await Gateway.start(t);
  const { pid } = gateway.info;
  const device = await gateway.addDevice('announcer');
  const bystander = await MqttClient.connect(device);
  const before = residentKilobytes(pid);
  const clients = await Promise.all(Array.from({ length: 20 }, () => MqttClient.open(gateway)));
  for (const client of clients) client.send(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f, 0]));
  for (const client of clients) assert.ok(await client.isClosed());
  const grown = residentKilobytes(pid) - before;
  assert.ok(grown < 16384, `${grown} KiB for 20 announcements`);
  bystander.send(Buffer.from([0x32, 0xff, 0xff, 0xff, 0x7f, 0]));
  assert.ok(await bystander.isClosed(), 'also after CONNECT');
});
