// What MQTT clients may count on, byte by byte where no library would go: CONNECT, topics, sizes, sessions, wills.
'use strict';
const assert = require('node:assert/strict');
const path = require('node:path');
const { Device, Gateway, promise, temporaryFolder } = require('./gateway');
const { MqttClient, connectPacket, packet, text } = require('./mqtt_client');
const { serve } = require('./serve');

const PACKET_MAX = 262144, MESSAGE_MAX = 262144;

promise('must_31 protocol levels other than 4 get code 1 and a close', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('level');
  for (const [protocol, level] of [['MQIsdp', 3], ['MQTT', 3], ['MQTT', 6], ['MQTT', 0], ['MQTT', 255]]) {
    const client = await MqttClient.connect(device, { protocol, level });
    assert.equal(client.code, 1, `${protocol} ${level}`);
    assert.ok(await client.isClosed());
  }
});

promise('must_32 must_33 every user name form connects whatever its api-version; any other id gets 5', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('form'), module = await gateway.addModule('form', 'mod');
  const { host } = gateway;
  const tails = ['', '/', '/?api-version=2021-04-12&DeviceClientType=azure-iot-device%2F1.18.4%20(node;%20linux)',
    '/?api-version=2020-09-30&DeviceClientType=x&model-id=dtmi%3Acom%3Aex%3ADev%3B1', '/?model-id=dtmi:com:ex:Dev;1',
    '/api-version=2016-11-14&DeviceClientType=a/b', '/DeviceClientType=a%2Fb&api-version=2016-11-14',
    '/api-version=2016-11-14/DeviceClientType=c', '/?api-version=1&auth-chain=x;y', '/?api-version=', '/?api-version',
    '/?api-version=9999-99-99-preview', '/?api-version=%zz', `/?api-version=${'9'.repeat(4096)}`, '/?',
    '/?api-version=1&api-version=2&unknown=z'];
  for (const who of [device, module])
    for (const tail of tails) {
      const client = await MqttClient.connect(who, { userName: `${host}/${who.clientId}${tail}` });
      assert.equal(client.code, 0, who.clientId + tail);
      await client.leave();
    }
  for (const name of [host.toUpperCase(), `${host}:8883`])
    assert.equal((await MqttClient.connect(device, { userName: `${name}/form` })).code, 0, name);
  for (const options of [{ clientId: 'other' }, { clientId: 'FORM' }, { clientId: 'form/mod' }, { clientId: '' },
    { clientId: 'form ' }, { userName: 'elsewhere.example.net/form/' }, { userName: 'form' }, { userName: '' },
    { userName: `${host}/form/mod/?api-version=1` }, { userName: `${host}/other/?api-version=1` }])
    assert.equal((await MqttClient.connect(device, options)).code, 5, JSON.stringify(options));
  assert.equal((await MqttClient.connect(module, { clientId: 'form' })).code, 5);
});

promise('must_34 must_35 what a session keeps survives kill -9, what it cleared stays cleared', async (t) => {
  const dir = path.join(temporaryFolder(t), 'data');
  let gateway = await Gateway.start(t, { dir });
  await gateway.addDevice('kept');
  const restarted = async (signal) => {
    await gateway.daemon.kill(signal);
    gateway = await Gateway.start(t, { dir });
    return new Device(gateway, 'kept');
  };
  const first = await MqttClient.connect(new Device(gateway, 'kept'), { clean: false });
  assert.equal(first.sessionPresent, 0);
  assert.deepEqual(await first.subscribe(['devices/kept/messages/devicebound/#', 1], ['$iothub/twin/res/#', 0],
    ['$iothub/methods/POST/#', 1]), [1, 0, 1]);
  const second = await MqttClient.connect(await restarted('SIGKILL'), { clean: false });
  assert.equal(second.sessionPresent, 1, 'after kill -9');
  const third = await MqttClient.connect(await restarted('SIGTERM'), { clean: false });
  assert.equal(third.sessionPresent, 1, 'after a stop');
  await third.leave();
  const clean = await MqttClient.connect(new Device(gateway, 'kept'), { clean: true });
  assert.equal(clean.sessionPresent, 0);
  const last = await MqttClient.connect(await restarted('SIGKILL'), { clean: false });
  assert.equal(last.sessionPresent, 0, 'cleared, and that survives too');
});

promise('threat_24 threat_26 a device made anew under an old id finds no session of the old one', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('heir');
  const old = await MqttClient.connect(device, { clean: false });
  assert.deepEqual(await old.subscribe(['$iothub/methods/POST/#', 1]), [1]);
  await gateway.ok('device', 'delete', 'heir');
  assert.ok(await old.isClosed());
  await gateway.addDevice('heir');
  assert.equal((await MqttClient.connect(device, { clean: false })).sessionPresent, 0);
});

// With 30 connections from ports of the system's choice, all on the same of two workers is one chance in 2^29.
promise('must_36 connections of one device displace each other across two workers, its module does not take part', async (t) => {
  const gateway = await serve(t, { more: ['workers: 2'] });
  const module = await gateway.addModule('dev', 'mod');
  const watcher = await MqttClient.connect(module);
  assert.equal(watcher.code, 0);
  let earlier = null;
  for (let i = 0; i < 30; i++) {
    const client = await MqttClient.connect(gateway.device());
    assert.equal(client.code, 0, `connection ${i}`);
    if (earlier) assert.ok(await earlier.isClosed());
    client.send(client.publishPacket(`${gateway.device().topic}`, String(i)));
    earlier = client;
  }
  assert.equal((await earlier.next()).body.readUInt16BE(0), 1);
  assert.ok(await watcher.ping());
  assert.ok(await watcher.publish(module.topic, 'module'));
  assert.ok(await earlier.ping());
  const bodies = (await gateway.stored()).map((message) => message.body);
  const numbers = bodies.filter((body) => body !== 'module').map(Number);
  assert.deepEqual(numbers, numbers.slice().sort((a, b) => a - b), 'order holds across the takeovers');
  assert.ok(numbers.includes(29) && bodies.includes('module'));
});

promise('must_36 threat_25 who is refused displaces nobody', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('seat');
  const holder = await MqttClient.connect(device);
  for (const options of [{ password: 'nonsense' }, { password: undefined }, { clientId: 'seat/x' },
    { password: device.token({ expiry: 1700000000 }) }])
    assert.equal((await MqttClient.connect(device, options)).code, 5);
  assert.ok(await holder.ping());
});

promise('must_37 a subscription asked with QoS 2 is granted 1; every packet of QoS 2 closes', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('qos');
  for (const bytes of [packet(0x34, text(device.topic), Buffer.from([0, 1, 120])), Buffer.from([0x50, 2, 0, 1]),
    Buffer.from([0x62, 2, 0, 1]), Buffer.from([0x70, 2, 0, 1])]) {
    const client = await MqttClient.connect(device);
    assert.deepEqual(await client.subscribe(['$iothub/twin/res/#', 2]), [1]);
    client.send(bytes);
    assert.equal(await client.next(), null);
  }
  assert.deepEqual(await gateway.stored(), []);
});

promise('must_38 a device may not publish for its module, nor a module for its device or another module', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('d');
  const module = await gateway.addModule('d', 'm'), other = await gateway.addModule('d', 'n');
  for (const [who, topic] of [[device, module.topic], [module, device.topic], [module, other.topic],
    [device, 'devices/d/messages/devicebound/'], [device, '$iothub/twin/PATCH/properties/desired/'], [device, 'devices/+/messages/events/'],
    [device, 'devices/D/messages/events/'], [device, 'devices/d/messages/events?a=b']]) {
    const client = await MqttClient.connect(who);
    assert.equal(await client.publish(topic, 'no'), false, topic);
  }
  assert.deepEqual(await gateway.stored(), []);
});

promise('must_39 twin reads, twin patches and method answers with QoS 1 get their PUBACK', async (t) => {
  const gateway = await Gateway.start(t);
  const client = await MqttClient.connect(await gateway.addDevice('ask'));
  for (const topic of ['$iothub/twin/GET/?$rid=1', '$iothub/twin/PATCH/properties/reported/?$rid=2', '$iothub/methods/res/200/?$rid=3'])
    assert.ok(await client.publish(topic, '{}'), topic);
  assert.deepEqual(await gateway.stored(), [], 'they are no telemetry');
});

promise('must_40 must_41 every spelling of the telemetry topic yields the same properties', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('bag');
  const client = await MqttClient.connect(device);
  const bare = device.topic.slice(0, -1);
  const rows = [[bare, {}], [device.topic, {}], [`${device.topic}?`, {}], [`${bare}/a=b`, { a: 'b' }],
    [`${bare}/?a=b/`, { a: 'b' }], [`${bare}/a=/`, { a: '' }], [`${bare}/a=b/c//`, { a: 'b/c/' }],
    [`${bare}/a=1+1%2B1%20x=y`, { a: '1+1+1 x=y' }], [`${bare}/a=%zz%2`, { a: '%zz%2' }], [`${bare}/a=1&&a=2`, { a: '2' }]];
  for (const [topic] of rows) assert.ok(await client.publish(topic, topic));
  const stored = await gateway.messages(rows.length);
  for (const { body, properties } of stored)
    assert.deepEqual(properties, rows.find(([topic]) => topic === body)[1], body);
});

promise('must_42 every name of the bag reaches its property, with a raw $ as with an encoded one', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('names');
  const client = await MqttClient.connect(device);
  const names = { mid: 'message-id', cid: 'correlation-id', uid: 'user-id', to: 'to', ct: 'content-type',
    ce: 'content-encoding', exp: 'absolute-expiry-time', ctime: 'iothub-creation-time-utc', on: 'iothub-outputname',
    ifid: 'iothub-interface-id', sub: 'dt-subject', schema: 'iothub-message-schema', diagid: 'Diagnostic-Id',
    diagctx: 'Correlation-Context' };
  const plain = ['iothub-ack', 'iothub-operation'];
  for (const dollar of ['$', '%24'])
    assert.ok(await client.publish(device.topic + [...Object.keys(names).map((name) => `${dollar}.${name}=v-${name}`),
      ...plain.map((name) => `${name}=v`)].join('&'), dollar));
  for (const { body, systemProperties, properties } of await gateway.messages(2)) {
    for (const [name, property] of Object.entries(names)) assert.equal(systemProperties[property], `v-${name}`, `${body} ${name}`);
    for (const name of plain) assert.equal(systemProperties[name], 'v', `${body} ${name}`);
    assert.deepEqual(properties, {});
  }
});

promise('must_43 RETAIN and DUP become properties', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('flags');
  const client = await MqttClient.connect(device);
  for (const options of [{}, { retain: true }, { dup: true }, { retain: true, dup: true }])
    assert.ok(await client.publish(`${device.topic}mqtt-retain=forged`, 'x', options));
  assert.deepEqual((await gateway.stored()).map((message) => message.properties),
    [{}, { 'mqtt-retain': 'true' }, { 'mqtt-dup': 'true' }, { 'mqtt-dup': 'true', 'mqtt-retain': 'true' }]);
});

promise('must_46 must_47 silence beyond 1.5 times keep-alive closes and publishes the will; DISCONNECT does not', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('will');
  const will = (body) => ({ topic: `${device.topic}how=${body}`, body, qos: 1 });
  const polite = await MqttClient.connect(device, { will: will('polite') });
  await polite.leave();
  const began = Date.now();
  const silent = await MqttClient.connect(device, { keepAlive: 1, will: will('silent') });
  assert.ok(await silent.isClosed());
  const after = Date.now() - began;
  assert.ok(after >= 1500 && after < 5000, `closed after ${after} ms`);
  const lost = await MqttClient.connect(device, { will: will('lost') });
  await lost.drop();
  const displaced = await MqttClient.connect(device, { will: will('displaced') });
  const last = await MqttClient.connect(device, {});
  assert.ok(await displaced.isClosed());
  await last.leave();
  const wills = await gateway.messages(3);
  assert.deepEqual(wills.map((message) => message.body), ['silent', 'lost', 'displaced']);
  for (const { body, properties } of wills) assert.deepEqual(properties, { how: body, 'iothub-MessageType': 'Will' });
});

promise('must_46 a will for a topic that is not one\'s own telemetry is refused with code 5', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('will');
  for (const will of [{ topic: 'devices/other/messages/events/', body: 'x' }, { topic: 'some/topic', body: 'x' },
    { topic: '$iothub/twin/GET/?$rid=1', body: '' }, { topic: device.topic, body: 'x', qos: 2 }])
    assert.equal((await MqttClient.connect(device, { will })).code, 5, will.topic);
  assert.deepEqual(await gateway.stored(), []);
});

promise('threat_23 threat_26 no will is said for a device that was disabled, deleted or given another key', async (t) => {
  const gateway = await Gateway.start(t);
  const will = (device) => ({ topic: device.topic, body: 'from beyond', qos: 1 });
  const keys = ['--primary-key', Buffer.alloc(32, 9).toString('base64'), '--secondary-key', Buffer.alloc(32, 8).toString('base64')];
  for (const [id, ...how] of [['off', 'update', 'off', '--disable'], ['gone', 'delete', 'gone'], ['other', 'update', 'other', ...keys]]) {
    const device = await gateway.addDevice(id);
    const client = await MqttClient.connect(device, { will: will(device) });
    assert.equal(client.code, 0);
    await gateway.ok('device', ...how);
    assert.ok(await client.isClosed(), id);
  }
  const witness = await gateway.addDevice('witness');
  assert.ok(await (await MqttClient.connect(witness)).publish(witness.topic, 'afterwards'));
  assert.equal((await gateway.daemon.kill()).code, 0);
  assert.deepEqual((await gateway.stored()).map((message) => message.body), ['afterwards']);
});

promise('must_52 a packet of 262144 bytes is stored whole, one byte more closes as soon as it is announced', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('big');
  const client = await MqttClient.connect(device);
  const overhead = 2 + device.topic.length + 2;
  const body = 'b'.repeat(PACKET_MAX - overhead);
  assert.ok(await client.publish(device.topic, body));
  const tooLong = client.publishPacket(device.topic, `${body}c`);
  client.send(tooLong.subarray(0, 4)); // the head and nothing else
  assert.ok(await client.isClosed());
  assert.deepEqual((await gateway.stored()).map((message) => message.body), [body]);
});

promise('must_52 a message of 262144 counted bytes is stored, one more closes, wherever the byte is', async (t) => {
  const gateway = await serve(t, { more: ['limits:', '  mqtt_packet_bytes_max: 300000'] });
  const device = gateway.device();
  const rows = [['', 0], ['name=value', 'name'.length + 'value'.length], ['%24.mid=m-1', 'm-1'.length]];
  const sent = [];
  for (const [bag, counted] of rows) {
    const body = 'b'.repeat(MESSAGE_MAX - counted);
    assert.ok(await (await MqttClient.connect(device)).publish(device.topic + bag, body), bag);
    assert.equal(await (await MqttClient.connect(device)).publish(device.topic + bag, `${body}c`), false, bag);
    sent.push(body.length);
  }
  assert.deepEqual((await gateway.stored()).map((message) => message.body.length), sent);
});

promise('must_53 known filters are granted what they ask up to 1, several in one packet; UNSUBSCRIBE is always answered', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('sub'), module = await gateway.addModule('sub', 'm');
  const client = await MqttClient.connect(device);
  const filters = ['devices/sub/messages/devicebound/#', 'devices/sub/messages/devicebound/+', '$iothub/twin/res/#',
    '$iothub/twin/PATCH/properties/desired/#', '$iothub/methods/POST/#'];
  for (const qos of [0, 1, 2])
    assert.deepEqual(await client.subscribe(...filters.map((filter) => [filter, qos])), filters.map(() => Math.min(qos, 1)));
  assert.deepEqual(await client.subscribe(['unknown/#', 1], [filters[0], 1]), [0x80, 1]);
  assert.ok(await client.unsubscribe(...filters) && await client.unsubscribe('never/known', 'devices/other/#'));
  assert.ok(await client.ping());
  const inside = await MqttClient.connect(module);
  const own = ['devices/sub/modules/m/messages/devicebound/#', 'devices/sub/modules/m/#', 'devices/sub/modules/m/inputs/#'];
  assert.deepEqual(await inside.subscribe(...own.map((filter) => [filter, 1])), [1, 1, 1]);
  for (const filter of ['devices/other/messages/devicebound/#', 'devices/+/messages/devicebound/#']) {
    const curious = await MqttClient.connect(device);
    assert.equal(await curious.subscribe([filter, 1]), null, filter);
  }
});

promise('must_54 packets behind CONNECT are served after CONNACK, behind a refused one never', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('eager');
  for (const password of [device.token(), 'nonsense']) {
    const client = await MqttClient.open(gateway);
    client.send(Buffer.concat([
      connectPacket({ clientId: 'eager', userName: device.userName, password, clean: false }),
      packet(0x82, Buffer.from([0, 7]), text('$iothub/methods/POST/#'), Buffer.from([1])),
      client.publishPacket(device.topic, 'eager'), Buffer.from([0xc0, 0])]));
    const types = [];
    while (types.length < 4) {
      const answer = await client.next();
      types.push(answer && answer.type);
      if (!answer) break;
    }
    if (password === 'nonsense') assert.deepEqual(types, [2, null]);
    else assert.deepEqual([types[0], types.slice(1).sort().join()], [2, '13,4,9']);
    await client.drop();
  }
  assert.deepEqual((await gateway.stored()).map((message) => message.body), ['eager']);
});
