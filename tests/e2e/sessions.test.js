// Connections that end for a reason: expiry, takeover, disabled or deleted devices, packets no client may send.
'use strict';
const assert = require('node:assert/strict');
const { Gateway, promise } = require('./gateway');
const { MqttClient } = require('./mqtt_client');

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
