// Devices over AMQP 1.0, frame by frame and with rhea: what opens a connection, whose token opens which link, what is refused
// with which condition, and that "accepted" means on disk.
'use strict';
const assert = require('node:assert/strict');
const path = require('node:path');
const tls = require('node:tls');
const { once } = require('node:events');
const { AmqpClient, BATCH_FORMAT, TOKEN_TYPE, connectDevice, data, eventsOf, mechanism, plainUser, rhea } =
  require('./amqp_client');
const { Device, Gateway, defer, document, freePort, keyOf, promise, sasToken, temporaryFolder, within } =
  require('./gateway');
const { closeOf } = require('./mqtt_client');
const { failing, serve } = require('./serve');

const MESSAGE_MAX = 262144, DROP_MS = 10000, SKEW_S = 300;
const authMethod = (scope) => `{"scope":"${scope}","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`;
const bodies = (messages) => messages.map(({ body }) => body);
const text = (body) => ({ body: data(body) });

// ---- opening ----

const HEADER = Buffer.from('AMQP\0\x01\0\0'), SASL_HEADER = Buffer.from('AMQP\x03\x01\0\0');

function frameOf(type, body) {
  const head = Buffer.from([0, 0, 0, 0, 2, type, 0, 0]);
  head.writeUInt32BE(head.length + body.length);
  return Buffer.concat([head, body]);
}

/** A performative of strings and symbols. */
function performative(code, ...fields) {
  const items = fields.map(([constructor, value]) => Buffer.concat([Buffer.from([constructor, value.length]), Buffer.from(value)]));
  const list = Buffer.concat(items);
  return Buffer.concat([Buffer.from([0, 0x53, code, 0xc0, list.length + 1, items.length]), list]);
}

const STRING = 0xa1, SYMBOL = 0xa3;
const OPEN = frameOf(0, performative(0x10, [STRING, 'raw'], [STRING, 'localhost']));
const saslInit = (name) => frameOf(1, performative(0x41, [SYMBOL, name]));

/** Says the bytes at once; resolves with all that came back, up to an OPEN or the end. */
async function converse(t, gateway, ...said) {
  const socket = tls.connect({ host: '127.0.0.1', port: gateway.amqpPort, servername: 'localhost', ca: gateway.ca });
  defer(t, () => socket.destroy());
  const closed = closeOf(socket);
  let heard = Buffer.alloc(0);
  const opened = new Promise((resolve) => socket.on('data', (bytes) => {
    heard = Buffer.concat([heard, bytes]);
    if (heard.includes(Buffer.from([0, 0x53, 0x10]))) resolve();
  }));
  await within(once(socket, 'secureConnect'), 'the TLS handshake');
  socket.write(Buffer.concat(said));
  await within(Promise.race([opened, closed]), 'OPEN or the end');
  return { heard, socket, closed };
}

promise('must_55 a connection opens without SASL and with each mechanism', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('open');
  for (const [what, options] of [['no SASL', {}], ['MSSBCBS', mechanism('MSSBCBS')], ['ANONYMOUS', { username: 'x' }],
    ['PLAIN', { username: plainUser(device), password: device.token() }]]) {
    const client = await AmqpClient.connect(t, gateway, options);
    assert.equal(client.refused, undefined, what);
    const { max_frame_size: size, channel_max: channels, idle_time_out: idle } = client.connection.remote.open;
    assert.deepEqual([size, channels >= 8191, idle], [65536, true, 240000], what);
    await client.leave();
  }
});

promise('must_56 OPEN behind the header, and all of SASL in front of it, may come without waiting', async (t) => {
  const gateway = await Gateway.start(t);
  const bare = await converse(t, gateway, HEADER, OPEN);
  assert.deepEqual(bare.heard.subarray(0, 8), HEADER);
  const sasl = await converse(t, gateway, SASL_HEADER, saslInit('MSSBCBS'), HEADER, OPEN);
  assert.deepEqual(sasl.heard.subarray(0, 8), SASL_HEADER);
  assert.ok(sasl.heard.includes('gatehouse'), 'OPEN was answered');
});

promise('whatever is no header that is spoken is answered with the one that is, and the end', async (t) => {
  const gateway = await Gateway.start(t);
  for (const said of ['AMQP\0\x00\x09\x01', 'AMQP\x03\x02\0\0', 'AMQP\x02\x01\0\0', 'GET / HTTP/1.1\r\n\r\n',
    '\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0']) {
    const { heard, closed } = await converse(t, gateway, Buffer.from(said, 'latin1'));
    await within(closed, 'the end');
    assert.equal(heard.subarray(0, 4).toString(), 'AMQP', said);
  }
});

promise('must_68 PLAIN with a good token works for devices and modules, with a bad one the outcome is 1', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('plain'), module = await gateway.addModule('plain', 'mod');
  const signIn = (who, password, username = plainUser(who)) => AmqpClient.connect(t, gateway, { username, password });
  for (const who of [device, module]) {
    const client = await signIn(who, who.token());
    assert.equal(client.refused, undefined);
    await client.accepted(await client.sender(eventsOf(who)), text('plain'));
    await client.leave();
  }
  const elsewhere = await gateway.addDevice('other');
  for (const [what, password, username] of [['the token of another', elsewhere.token()], ['no token', 'nonsense'],
    ['a wrong key', new Device(gateway, 'plain', keyOf(96)).token()], ['an unknown device', device.token(), 'nobody@sas.localhost'],
    ['no hub', device.token(), 'plain']])
    assert.match(String((await signIn(device, password, username)).refused), /Failed to authenticate: 1/, what);
  assert.equal((await gateway.stored()).length, 2);
});

// ---- tokens ----

promise('must_57 an answer of $cbs has the id of its request in the same type, and an int for status-code', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('cbs');
  const client = await AmqpClient.connect(t, gateway);
  const heard = [];
  client.connection.socket.on('data', (bytes) => heard.push(bytes));
  const uuid = rhea.string_to_uuid('1e0ff5d0-6f5c-4d04-9c5f-0e2b7a3f1c55');
  for (const [id, written] of [['text', Buffer.from('\xa1\x04text', 'latin1')], [rhea.types.wrap_ulong(0), Buffer.from([0x44])],
    [rhea.types.wrap_ulong(77), Buffer.from([0x53, 77])], [rhea.types.wrap_uuid(uuid), Buffer.concat([Buffer.from([0x98]), uuid])]]) {
    heard.length = 0;
    const { correlation_id: echoed, application_properties: said } = await client.putToken(device.resource, device.token(), { id });
    assert.equal(String(echoed), String(id.value ?? id));
    assert.deepEqual([said['status-code'], said['status-description']], [200, 'OK']);
    const bytes = Buffer.concat(heard), at = bytes.indexOf('status-code') + 'status-code'.length;
    assert.ok(bytes.includes(written), `${id}: ${bytes.toString('hex')}`);
    assert.ok([0x71, 0x54].includes(bytes[at]), `status-code is of type ${bytes[at].toString(16)}`);
  }
});

promise('must_58 a good token is answered 200, a bad one 401, and without a token no link stands', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('token'), other = await gateway.addDevice('other');
  const client = await AmqpClient.connect(t, gateway);
  const put = async (...args) => (await client.putToken(...args)).application_properties['status-code'];
  assert.equal(await client.refusal('sender', eventsOf(device)), 'amqp:unauthorized-access', 'no token yet');
  assert.equal(await put(device.resource, new Device(gateway, 'token', keyOf(96)).token()), 401);
  assert.equal(await put(other.resource, device.token()), 401, 'the token of another');
  assert.equal(await put(`${gateway.host}/devices/nobody`, device.token()), 401, 'an unknown device');
  assert.equal(await client.refusal('sender', eventsOf(device)), 'amqp:unauthorized-access', 'bad tokens only');
  for (const name of [device.resource, encodeURIComponent(device.resource), `amqps://${device.resource}`,
    `${gateway.host}:${gateway.amqpPort}/devices/token`, device.resource.replace('localhost', 'LOCALHOST')])
    assert.equal(await put(name, device.token()), 200, name);
  assert.equal(await put(device.resource, device.token(), { data: true }), 200, 'in a data section');
  assert.equal(await client.refusal('sender', eventsOf(device)), undefined);
  assert.equal(await client.refusal('sender', eventsOf(other)), 'amqp:unauthorized-access', 'another device');
  assert.equal(await put(device.resource, 'nonsense'), 401);
  assert.equal(await client.refusal('sender', eventsOf(device)), undefined, 'the older token still holds');
});

promise('requests of $cbs that are no put-token are answered 400, and the connection goes on', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('requests');
  const client = await AmqpClient.connect(t, gateway);
  const whole = { operation: 'put-token', type: TOKEN_TYPE, name: device.resource };
  for (const [what, request, token = device.token()] of [['another operation', { ...whole, operation: 'get-token' }],
    ['no operation', { ...whole, operation: undefined }], ['another type', { ...whole, type: 'jwt' }],
    ['no name', { ...whole, name: undefined }], ['an empty token', whole, ''], ['nothing', {}]]) {
    const given = Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined));
    assert.equal((await client.ask(given, token)).application_properties['status-code'], 400, what);
  }
  await client.prove(device);
});

promise('a token of a policy opens the links of every device it covers, and its record says so', async (t) => {
  const gateway = await Gateway.start(t);
  await gateway.ok('policy', 'create', 'tokens', '--rights', 'DeviceConnect', '--primary-key', keyOf(64), '--secondary-key', keyOf(96));
  const devices = [await gateway.addDevice('one'), await gateway.addDevice('two')];
  const client = await AmqpClient.connect(t, gateway);
  const { application_properties: said } = await client.putToken(gateway.host, sasToken(gateway.host, keyOf(64), { policy: 'tokens' }));
  assert.equal(said['status-code'], 200);
  for (const device of devices) await client.accepted(await client.sender(eventsOf(device)), text('by policy'));
  assert.match(await client.refusal('sender', '/devices/nobody/messages/events'), /^amqp:(not-found|unauthorized-access)$/);
  const root = await AmqpClient.connect(t, gateway, { username: 'tokens@sas.root.localhost',
    password: sasToken(gateway.host, keyOf(64), { policy: 'tokens' }) });
  await root.accepted(await root.sender(eventsOf(devices[0])), text('by policy, PLAIN'));
  for (const { systemProperties } of await gateway.messages(3))
    assert.equal(systemProperties['iothub-connection-auth-method'], authMethod('hub'));
});

promise('a token of a service client is answered 200 whatever its rights, by the text of the key where it says sb://', async (t) => {
  const gateway = await Gateway.start(t);
  await gateway.ok('policy', 'create', 'reader', '--rights', 'ServiceConnect', '--primary-key', keyOf(64), '--secondary-key', keyOf(96));
  const device = await gateway.addDevice('served');
  const client = await AmqpClient.connect(t, gateway);
  const textKey = Buffer.from(keyOf(64)).toString('base64'); // whoever decodes it has the text of the key
  const hub = `sb://${gateway.host}/iothub-ehub-hub-1`, partition = `${hub}/ConsumerGroups/$Default/Partitions/0`;
  const put = async (name, resource, key, policy = 'reader') =>
    (await client.putToken(name, sasToken(resource, key, { policy }))).application_properties['status-code'];
  assert.equal(await put(gateway.host, gateway.host, keyOf(64)), 200);
  assert.equal(await put(partition, partition, textKey), 200);
  assert.equal(await put(`${hub}/$management`, hub, textKey), 200, 'the token covers more than it is shown for');
  assert.equal(await put(gateway.host, gateway.host, textKey), 401, 'the text of a key is none without sb://');
  assert.equal(await put(partition, `${hub}/$management`, textKey), 401, 'for something else');
  assert.equal(await put(partition, partition, textKey, 'nobody'), 401);
  assert.match(await client.refusal('sender', eventsOf(device)), /^amqp:unauthorized-access$/, 'it is no DeviceConnect');
});

promise('must_21 a new token keeps the link open past the end of the first; without one it ends then, and only it', async (t) => {
  const gateway = await Gateway.start(t);
  const renewed = await gateway.addDevice('renewed'), late = await gateway.addDevice('late');
  const client = await AmqpClient.connect(t, gateway);
  const expiry = Math.floor(Date.now() / 1000) - SKEW_S + 3;
  for (const device of [renewed, late]) await client.prove(device, device.token({ expiry }));
  const stays = await client.sender(eventsOf(renewed)), goes = await client.sender(eventsOf(late));
  await client.prove(renewed);
  const error = await within(goes.wasDetached, 'the end of the token');
  assert.equal(error.condition, 'amqp:unauthorized-access');
  assert.ok(Date.now() >= (expiry + SKEW_S) * 1000, 'detached before the token ended');
  await client.accepted(stays, text('still here'));
  assert.equal(await client.refusal('sender', eventsOf(late)), 'amqp:unauthorized-access');
  await client.prove(late);
  await client.accepted(await client.sender(eventsOf(late)), text('again'));
  assert.deepEqual(bodies(await gateway.messages(2)).sort(), ['again', 'still here']);
});

promise('must_22 must_28 must_29 a device that is disabled, deleted or given other keys loses its link within 10 s, others do not',
  async (t) => {
    const gateway = await Gateway.start(t);
    const bystander = await gateway.addDevice('bystander');
    for (const [what, ...change] of [['disabled', 'update', 'changed', '--disable'], ['deleted', 'delete', 'changed'],
      ['keys', 'update', 'changed', '--primary-key', keyOf(100), '--secondary-key', keyOf(101)]]) {
      const device = await gateway.addDevice('changed');
      const client = await connectDevice(t, bystander);
      await client.prove(device);
      const link = await client.sender(eventsOf(device));
      await gateway.ok('device', ...change);
      const error = await within(link.wasDetached, `${what}: the detach`, DROP_MS);
      assert.match(error.condition, /^amqp:(unauthorized-access|not-found)$/, what);
      assert.ok(!error.description.includes('sig='));
      await client.accepted(client.events, text(what));
      const { application_properties: said } = await client.putToken(device.resource, device.token());
      assert.equal(said['status-code'], 401, what);
      assert.equal(await client.refusal('sender', eventsOf(device)), 'amqp:unauthorized-access', what);
      await client.leave();
      if (what !== 'deleted') await gateway.ok('device', 'delete', 'changed');
    }
    assert.deepEqual(bodies(await gateway.stored()), ['disabled', 'deleted', 'keys']);
  });

promise('must_30 the modules of a disabled device lose their links with it', async (t) => {
  const gateway = await Gateway.start(t);
  await gateway.addDevice('parent');
  const client = await connectDevice(t, await gateway.addModule('parent', 'mod'));
  await gateway.ok('device', 'update', 'parent', '--disable');
  assert.equal((await within(client.events.wasDetached, 'the detach', DROP_MS)).condition, 'amqp:unauthorized-access');
});

// ---- links ----

promise('must_59 every spelling of an address leads to its device; a wrong role and what is not built are refused', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('dev'), module = await gateway.addModule('dev', 'mod');
  const client = await AmqpClient.connect(t, gateway);
  for (const who of [device, module]) await client.prove(who);
  const rows = [
    ['sender', '/devices/dev/messages/events', undefined],
    ['sender', 'devices/dev/messages/events', undefined],
    ['sender', '/Devices/dev/Messages/EVENTS', undefined],
    ['sender', '/devices/%64ev/messages/events', undefined],
    ['sender', `amqps://${gateway.host}/devices/dev/messages/events`, undefined],
    ['sender', `amqps://${gateway.host}:${gateway.amqpPort}/devices/dev/messages/events`, undefined],
    ['sender', '/devices/dev/modules/mod/messages/events', undefined],
    ['sender', `amqps://${gateway.host}/devices/dev/modules/mod/messages/events`, undefined],
    ['receiver', '/devices/dev/messages/events', 'amqp:not-allowed'],
    ['receiver', '/devices/dev/modules/mod/messages/events', 'amqp:not-implemented'],
    ['receiver', '/devices/dev/messages/devicebound', 'amqp:not-implemented'],
    ['receiver', '/devices/dev/messages/deviceBound', 'amqp:not-implemented'],
    ['sender', '/devices/dev/messages/devicebound', 'amqp:not-allowed'],
    ...['sender', 'receiver'].flatMap((kind) => ['', '/modules/mod'].flatMap((of) => ['methods/devicebound', 'twin']
      .map((what) => [kind, `/devices/dev${of}/${what}`, 'amqp:not-implemented']))),
    ['receiver', '/messages/serviceBound/feedback', 'amqp:not-found'],
    ['sender', '/devices/DEV/messages/events', 'amqp:unauthorized-access'],
    ['sender', '/devices/dev/modules/other/messages/events', 'amqp:unauthorized-access'],
    ['sender', '/devices/dev', 'amqp:not-found'],
    ['sender', '/devices//messages/events', 'amqp:not-found'],
    ['sender', '/devices/dev/messages/events/more', 'amqp:not-found'],
    ['sender', 'nowhere', 'amqp:not-found'],
    ['sender', '', 'amqp:not-found'],
  ];
  for (const [kind, address, condition] of rows)
    assert.equal(await client.refusal(kind, address), condition, `${kind} ${address}`);
  await client.accepted(await client.sender(eventsOf(device)), text('and goes on'));
});

promise('a refusal has no source and target, and tells its number and tracking id in the words of the hub', async (t) => {
  const gateway = await Gateway.start(t);
  const client = await connectDevice(t, await gateway.addDevice('told'));
  const { refused } = await client.attach('receiver', { source: { address: '/devices/told/twin' } });
  const description = JSON.parse(refused.description);
  assert.equal(description.errorCode, refused.info['com.microsoft:error-code']);
  assert.match(description.trackingId, /^[0-9a-f]{32}-G:0-TimeStamp:/);
  assert.ok(description.trackingId.startsWith(refused.info['com.microsoft:tracking-id']));
  assert.match(description.message, /not served/);
});

promise('must_23 must_24 ids of special characters send from their addresses, encoded once, and case makes another device', async (t) => {
  const gateway = await Gateway.start(t);
  for (const id of ["a-b.c+d%e_f#g*h?i!j(k),l=m@n$o'p:q;r", '%41', 'a%2Fb', 'case', 'CASE']) {
    const client = await connectDevice(t, await gateway.addDevice(id));
    await client.accepted(client.events, text(id));
    await client.leave();
  }
  for (const { body, systemProperties } of await gateway.messages(5))
    assert.equal(systemProperties['iothub-connection-device-id'], body);
});

promise('must_60 no property of an attach is needed, and a wrong channel-correlation-id does no harm', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('plain');
  const client = await connectDevice(t, device);
  await client.accepted(client.events, text('none'));
  const link = await client.sender(eventsOf(device), { properties: { 'com.microsoft:channel-correlation-id': 'methods:x',
    'com.microsoft:api-version': 'never', 'com.microsoft:timeout': 7 } });
  await client.accepted(link, text('wrong'));
  assert.deepEqual(bodies(await gateway.messages(2)), ['none', 'wrong']);
});

promise('must_61 two sessions with links of one name for two devices both work', async (t) => {
  const gateway = await Gateway.start(t);
  const client = await AmqpClient.connect(t, gateway);
  const links = [];
  for (const device of [await gateway.addDevice('left'), await gateway.addDevice('right')]) {
    await client.prove(device);
    links.push(await client.sender(eventsOf(device), { session: client.session(), name: 'TelemetrySenderLink' }));
  }
  for (const link of [...links, ...links]) await client.accepted(link, text('x'));
  const senders = (await gateway.messages(4)).map(({ systemProperties }) => systemProperties['iothub-connection-device-id']);
  assert.deepEqual(senders.sort(), ['left', 'left', 'right', 'right']);
});

promise('must_62 empty frames come in time for a client that wants to hear something', async (t) => {
  const gateway = await Gateway.start(t);
  const client = await AmqpClient.connect(t, gateway, { idle_time_out: 2000 });
  await client.prove(await gateway.addDevice('idle'));
  let beats = 0, heard = Date.now(), longest = 0;
  await within(new Promise((resolve) => client.connection.socket.on('data', (bytes) => {
    if (bytes.equals(Buffer.from([0, 0, 0, 8, 2, 0, 0, 0]))) beats++;
    longest = Math.max(longest, Date.now() - heard);
    heard = Date.now();
    if (beats === 3) resolve();
  })), 'three empty frames');
  t.diagnostic(`at most ${longest} ms of silence`);
  assert.ok(longest < 2000, `${longest} ms`);
});

promise('a client that is silent for longer than was announced is dropped', async (t) => {
  const gateway = await serve(t, { amqpPort: await freePort(), more: ['limits:', '  amqp_idle_ms_max: 10000'] });
  const client = await connectDevice(t, gateway.device());
  assert.equal(client.connection.remote.open.idle_time_out, 5000);
  clearTimeout(client.connection.heartbeat_out); // not a word more
  client.connection.output = () => {};
  await client.whenClosed();
});

// ---- messages ----

promise('must_63 a batch gives one message for each data section: all of them or none', async (t) => {
  const gateway = await Gateway.start(t);
  const client = await connectDevice(t, await gateway.addDevice('batch'));
  const items = Array.from({ length: 5 }, (_, i) => ({ message_id: `m-${i}`, application_properties: { n: `${i}` }, body: data(`${i}`) }));
  const batchOf = (encoded) => rhea.message.encode({ application_properties: { outer: 'ignored' }, message_id: 'outer',
    body: rhea.message.data_sections(encoded) });
  await client.accepted(client.events, batchOf(items.map((item) => rhea.message.encode(item))), { format: BATCH_FORMAT });
  const stored = await gateway.messages(5);
  stored.forEach(({ body, properties, systemProperties }, i) => {
    assert.deepEqual([body, properties, systemProperties['message-id']], [`${i}`, { n: `${i}` }, `m-${i}`]);
  });
  const bad = rhea.message.encode({ message_id: 'no blanks', body: data('bad') });
  const good = rhea.message.encode(text('good'));
  const large = rhea.message.encode({ body: data(Buffer.alloc(MESSAGE_MAX / 2 + 1, 'l')) });
  for (const [what, encoded] of [['a bad one', [good, bad]], ['no message', [good, Buffer.from('nonsense')]],
    ['too much together', [large, large]]]) {
    const { outcome } = await client.send(client.events, batchOf(encoded), { format: BATCH_FORMAT });
    assert.equal(outcome, 'rejected', what);
  }
  await client.accepted(client.events, text('after'));
  assert.deepEqual(bodies(await gateway.stored()).slice(5), ['after']);
});

promise('must_52 a message of 262144 counted bytes is accepted, one more is rejected by name, far more closes the link', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('size');
  const client = await connectDevice(t, device);
  assert.equal(client.events.remote.attach.max_message_size, MESSAGE_MAX);
  await client.accepted(client.events, text(Buffer.alloc(MESSAGE_MAX, 'b')));
  await client.accepted(client.events, { application_properties: { name: 'value' }, body: data(Buffer.alloc(MESSAGE_MAX - 9, 'b')) });
  for (const message of [text(Buffer.alloc(MESSAGE_MAX + 1, 'b')),
    { application_properties: { name: 'value' }, body: data(Buffer.alloc(MESSAGE_MAX - 8, 'b')) }]) {
    const { outcome, error } = await client.send(client.events, message);
    assert.deepEqual([outcome, error.condition], ['rejected', 'amqp:link:message-size-exceeded']);
  }
  await client.accepted(client.events, text('still open'));
  const { outcome, error } = await client.send(client.events, text(Buffer.alloc(2 * MESSAGE_MAX, 'b')));
  assert.deepEqual([outcome, error.condition], ['detached', 'amqp:link:message-size-exceeded']);
  await client.accepted(await client.sender(eventsOf(device)), text('another link'));
  assert.deepEqual((await gateway.stored()).map(({ body }) => body.length), [MESSAGE_MAX, MESSAGE_MAX - 9, 10, 12]);
});

promise('what is no message of the contract is rejected by name, and the link goes on', async (t) => {
  const gateway = await Gateway.start(t);
  const client = await connectDevice(t, await gateway.addDevice('bad'));
  for (const [what, message, condition] of [
    ['a value for a body', { body: 'text' }, 'amqp:decode-error'],
    ['a sequence for a body', { body: rhea.message.sequence_section([1]) }, 'amqp:decode-error'],
    ['a message id of blanks', { message_id: 'a b', body: data('x') }, 'com.microsoft:argument-error'],
  ]) {
    const { outcome, error } = await client.send(client.events, message);
    assert.deepEqual([outcome, error?.condition], ['rejected', condition], what);
  }
  const { outcome } = await client.send(client.events, Buffer.from('nonsense'), { format: 0 });
  assert.equal(outcome, 'rejected');
  await client.accepted(client.events, { application_properties: { number: 1, flag: true, none: null, text: 't' }, body: data('x') });
  const [{ properties }] = await gateway.messages(1);
  assert.equal(properties.text, 't');
  assert.ok(!('number' in properties) && !('flag' in properties), JSON.stringify(properties));
});

promise('must_76 must_77 the stamps of a device and a module are right, whatever its message says', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('true'), module = await gateway.addModule('true', 'mod');
  const forged = { 'iothub-connection-device-id': 'other', 'iothub-connection-module-id': 'other', 'iothub-enqueuedtime': 'never',
    'iothub-connection-auth-method': 'none', 'iothub-connection-auth-generation-id': '1', 'iothub-message-source': 'Forged' };
  const client = await AmqpClient.connect(t, gateway);
  for (const who of [device, module]) {
    await client.prove(who);
    await client.accepted(await client.sender(eventsOf(who)), { application_properties: forged, message_annotations: forged, body: data('x') });
  }
  const found = (await gateway.messages(2)).map(({ systemProperties: stamps }) => [stamps['iothub-connection-device-id'],
    stamps['iothub-connection-module-id'], stamps['iothub-connection-auth-method'], stamps['iothub-message-source']]);
  assert.deepEqual(found.sort((a, b) => String(a[1]).localeCompare(String(b[1]))), [['true', 'mod', authMethod('module'), 'Telemetry'],
    ['true', undefined, authMethod('device'), 'Telemetry']]);
});

promise('a settled transfer is stored', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('settled');
  const client = await connectDevice(t, device);
  const settled = await client.sender(eventsOf(device), { snd_settle_mode: 1 });
  settled.send(text('settled'));
  await client.accepted(client.events, text('unsettled'));
  assert.deepEqual(bodies(await gateway.messages(2)).sort(), ['settled', 'unsettled']);
});

// ---- accepted means on disk ----

promise('nothing is accepted before a slow disk has it', async (t) => {
  const gateway = await serve(t, { amqpPort: await freePort(),
    prepare: (folder) => ({ env: failing(path.join(folder, 'data'), 'fdatasync/.log:STALL:1:1000000') }) });
  const stallMs = 300, client = await connectDevice(t, gateway.device());
  for (let i = 0; i < 3; i++) {
    const before = Date.now();
    await client.accepted(client.events, text(`${i}`));
    assert.ok(Date.now() - before >= stallMs - 5, `accepted after ${Date.now() - before} ms`);
  }
});

promise('a disk that fills up: released, not accepted, and nothing accepted is lost', async (t) => {
  const gateway = await serve(t, { amqpPort: await freePort(),
    prepare: (folder) => ({ env: failing(path.join(folder, 'data'), 'write/.log:ENOSPC:40:1000000') }) });
  const client = await connectDevice(t, gateway.device());
  let accepted = 0, last;
  while (accepted < 1000 && (last = await client.send(client.events, text(`${accepted}`))).outcome === 'accepted') accepted++;
  assert.ok(accepted > 0 && accepted < 1000, `${accepted} accepted on a disk that fills up`);
  assert.notEqual(last.outcome, 'rejected', 'it is worth another try');
  await gateway.daemon.kill('SIGKILL');
  assert.deepEqual(bodies(await gateway.stored()).slice(0, accepted), Array.from({ length: accepted }, (_, i) => String(i)));
});

/** Sends without waiting until the connection ends: the bodies that were accepted. `begun` is called after the first few. */
async function sendUntilTheEnd(client, count, begun) {
  const accepted = [];
  let first;
  const some = new Promise((resolve) => { first = resolve; });
  for (let i = 0; i < count; i++)
    client.send(client.events, text(`${i}`)).then(({ outcome }) => {
      if (outcome === 'accepted') accepted.push(`${i}`);
      if (accepted.length === 50) first();
    }, () => {});
  await within(some, '50 accepted');
  await begun();
  await client.whenClosed();
  return accepted;
}

promise('kill -9 while it is sending: everything accepted is there after the restart', async (t) => {
  const dir = path.join(temporaryFolder(t), 'data');
  const gateway = await Gateway.start(t, { dir });
  const client = await connectDevice(t, await gateway.addDevice('survivor'));
  const accepted = await sendUntilTheEnd(client, 1000, () => gateway.daemon.kill('SIGKILL'));
  const second = await Gateway.start(t, { dir });
  const stored = new Set(bodies(await second.stored()));
  assert.deepEqual(accepted.filter((body) => !stored.has(body)), []);
});

promise('SIGTERM while it is sending: links and connection are closed by name, what was accepted is there, exit code 0', async (t) => {
  const gateway = await Gateway.start(t);
  const client = await connectDevice(t, await gateway.addDevice('drain'));
  const accepted = await sendUntilTheEnd(client, 1000, async () =>
    assert.equal((await gateway.daemon.kill('SIGTERM')).code, 0, gateway.daemon.stderr));
  const stored = new Set(bodies(await gateway.stored()));
  assert.deepEqual(accepted.filter((body) => !stored.has(body)), []);
  assert.equal((await client.events.wasDetached).condition, 'amqp:connection:forced');
});

// ---- many devices on one connection ----

promise('one connection carries 1,000 devices by CBS: all is stored, tokens are renewed while sending, one may go alone', async (t) => {
  const gateway = await Gateway.start(t);
  const count = 1000, sessions = 8;
  const devices = Array.from({ length: count }, (_, i) => new Device(gateway, `many-${i}`));
  await gateway.importDevices(devices.map(({ deviceId }) => document(deviceId)));
  const client = await AmqpClient.connect(t, gateway);
  client.container.setMaxListeners(4 * count);
  const shared = Array.from({ length: sessions }, () => client.session());
  await client.openCbs();
  await Promise.all(devices.map((device) => client.prove(device)));
  const links = await Promise.all(devices.map((device, i) => client.sender(eventsOf(device), { session: shared[i % sessions] })));
  const round = (what) => Promise.all(links.map((link) => client.accepted(link, text(what))));
  await round('first');
  await Promise.all([round('renewing'), ...devices.slice(0, 200).map((device) => client.prove(device)), round('renewed')]);

  const gone = 17, detached = client.detached.length;
  await gateway.ok('device', 'delete', devices[gone].deviceId);
  assert.equal((await within(links[gone].wasDetached, 'the detach', DROP_MS)).condition, 'amqp:unauthorized-access');
  links.splice(gone, 1);
  await round('without one');
  assert.equal(client.detached.length, detached + 1, 'only that link was detached');

  const stored = await gateway.stored();
  assert.equal(stored.length, 3 * count + count - 1);
  for (const [what, wanted] of [['first', count], ['renewing', count], ['renewed', count], ['without one', count - 1]]) {
    const senders = stored.filter(({ body }) => body === what).map(({ systemProperties }) => systemProperties['iothub-connection-device-id']);
    assert.equal(new Set(senders).size, wanted, what);
  }
});

// ---- over WebSocket ----

promise('must_05 must_06 AMQPWSB10 is spoken on the HTTPS port, with the query that skips the client certificate, too', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('web');
  for (const query of ['', '?iothub-no-client-cert=true']) {
    const client = await connectDevice(t, device, { web: true, query });
    await client.accepted(client.events, text(`web${query}`));
    await client.leave();
  }
  assert.deepEqual(bodies(await gateway.messages(2)), ['web', 'web?iothub-no-client-cert=true']);
});
