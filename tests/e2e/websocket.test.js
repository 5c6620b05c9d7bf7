// MQTT inside WebSocket on the HTTPS port: the handshake, the stream of bytes that frames are, both ends of a connection.
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const path = require('node:path');
const zlib = require('node:zlib');
const { Gateway, defer, freePort, memoryPeak, promise, temporaryFolder, within } = require('./gateway');
const { HttpsClient, ask, askHttp2, telemetry } = require('./https_client');
const { MqttClient, connectOf } = require('./mqtt_client');
const { serve } = require('./serve');
const { BINARY, CONTINUATION, MqttOverWebSocket, PATH, PING, PONG, WebSocketClient, binary, close, closeCode, fragments, frame,
  frameHead, handshakeBytes, pieces } = require('./websocket_client');

const PACKET_MAX = 262144;
const PINGREQ = Buffer.from([0xc0, 0]), DISCONNECT = Buffer.from([0xe0, 0]);

async function hubWith(t, deviceId = 'ws') {
  const gateway = await Gateway.start(t);
  return { gateway, device: await gateway.addDevice(deviceId) };
}

async function bodies(gateway) {
  return (await gateway.stored()).map(({ body }) => body);
}

// ---- the handshake ----

const protocol = (offered) => ({ fields: { 'Sec-WebSocket-Protocol': offered } });

/** [what, handshake, the sub-protocol as it is echoed]. */
const ACCEPTED = [
  ['as it should be', {}, 'mqtt'],
  ['must_05 in upper case', protocol('MQTT'), 'MQTT'],
  ['must_05 in both cases', protocol('MqTt'), 'MqTt'],
  ['the first that is known', protocol('mqttv5, MQTT, mqtt'), 'MQTT'],
  ['the first known of several fields', protocol(['chat', 'x, mqtt', 'MQTT']), 'mqtt'],
  ['blanks and empty places', protocol(' chat ,, mqtt ,'), 'mqtt'],
  ['must_06 a query', { path: `${PATH}?iothub-no-client-cert=true` }, 'mqtt'],
  ['another query', { path: `${PATH}?api-version=2021-04-12&x=%zz` }, 'mqtt'],
  ['an empty query', { path: `${PATH}?` }, 'mqtt'],
  ['a slash at the end', { path: `${PATH}/` }, 'mqtt'],
  ['a slash and a query', { path: `${PATH}/?iothub-no-client-cert=true` }, 'mqtt'],
  ['an encoded dollar', { path: '/%24iothub/websocket' }, 'mqtt'],
  ['the path of event streams', { path: '/$servicebus/websocket/' }, 'mqtt'],
  ['must_08 compression offered', { fields: { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' } }, 'mqtt'],
  ['extensions of any kind offered',
    { fields: { 'Sec-WebSocket-Extensions': ['x-webkit-deflate-frame', 'a; b="c", permessage-deflate'] } }, 'mqtt'],
  ['any origin where none is named', { fields: { Origin: 'https://elsewhere.example' } }, 'mqtt'],
  ['the origin of paho', { fields: { Host: 'localhost:443', Origin: 'https://localhost:443' } }, 'mqtt'],
  ['names in lower case', { spelled: (name) => name.toLowerCase() }, 'mqtt'],
  ['names in upper case', { spelled: (name) => name.toUpperCase() }, 'mqtt'],
  ['tokens in another case', { fields: { Upgrade: 'WebSocket', Connection: 'upgrade' } }, 'mqtt'],
  ['Connection as of a browser', { fields: { Connection: 'keep-alive, Upgrade' } }, 'mqtt'],
  ['a credential where none is looked for', { fields: { Authorization: 'nonsense' } }, 'mqtt'],
  ['an empty body', { fields: { 'Content-Length': 0 } }, 'mqtt'],
];

const key = (value) => ({ fields: { 'Sec-WebSocket-Key': value } });
const keyOfBytes = (length) => key(crypto.randomBytes(length).toString('base64'));

/** [what, handshake, status]. */
const REFUSED = [
  ['no sub-protocol', protocol(undefined), 400],
  ['an empty sub-protocol', protocol(''), 400],
  ['must_05 an unknown sub-protocol', protocol('chat'), 400],
  ['must_05 unknown sub-protocols', protocol('chat, mqttv3.1, mqtt5'), 400],
  ['version 8', { fields: { 'Sec-WebSocket-Version': 8 } }, 426],
  ['version 14', { fields: { 'Sec-WebSocket-Version': 14 } }, 426],
  ['no version', { fields: { 'Sec-WebSocket-Version': undefined } }, 426],
  ['no key', key(undefined), 400],
  ['an empty key', key(''), 400],
  ['a key of 15 bytes', keyOfBytes(15), 400],
  ['a key of 17 bytes', keyOfBytes(17), 400],
  ['a key of 18 bytes', keyOfBytes(18), 400],
  ['a key that is no base64', key('!'.repeat(22) + '=='), 400],
  ['a long key', key('A'.repeat(4000)), 400],
  ['two keys', key(['AAAAAAAAAAAAAAAAAAAAAA==', 'AAAAAAAAAAAAAAAAAAAAAA==']), 400],
  ['a POST', { method: 'POST', fields: { 'Content-Length': 0 } }, 405],
  ['no Upgrade', { fields: { Upgrade: undefined } }, 426],
  ['an upgrade to something else', { fields: { Upgrade: 'h2c' } }, 426],
  ['an Upgrade that Connection does not name', { fields: { Connection: 'keep-alive' } }, 426],
  ['two versions', { fields: { 'Sec-WebSocket-Version': [13, 13] } }, 400],
  ['two origins', { fields: { Origin: ['https://localhost', 'https://localhost'] } }, 400],
  ['a sub-protocol that is no token', protocol('mqtt, m q'), 400],
  ['too many sub-protocols', protocol(Array(17).fill('mqtt').join()), 400],
  ['another path', { path: `${PATH}x` }, 404],
  ['another path below', { path: `${PATH}/x` }, 404],
  ['HTTP/1.0', { version: 'HTTP/1.0' }, 426],
  ['a body', { fields: { 'Content-Length': 5 } }, 400],
];

promise('must_05 must_06 must_08 every handshake a client may send is answered, the sub-protocol as it was spelled', async (t) => {
  const { gateway, device } = await hubWith(t);
  for (const [what, handshake, echoed] of ACCEPTED) {
    const client = await WebSocketClient.upgrade(gateway, handshake);
    assert.equal(client.answer?.status, 101, `${what}: ${client.answer?.body}`);
    const { fields } = client.answer;
    assert.deepEqual([fields.upgrade.toLowerCase(), fields.connection.toLowerCase()], ['websocket', 'upgrade'], what);
    assert.equal(fields['sec-websocket-protocol'], echoed, what);
    assert.equal(fields['sec-websocket-extensions'], undefined, what);
    client.send(binary(connectOf(device)));
    assert.deepEqual([...(await client.next()).payload], [0x20, 2, 0, 0], what);
    await client.drop();
  }
});

promise('must_05 a handshake that is no good is refused by its reason, and the connection is HTTP still', async (t) => {
  const { gateway, device } = await hubWith(t);
  for (const [what, handshake, status] of REFUSED) {
    const { answer } = await WebSocketClient.upgrade(gateway, handshake);
    assert.equal(answer?.status, status, `${what}: ${answer?.body}`);
    assert.match(answer.json.Message, /^ErrorCode:\w+;./, what);
    assert.equal(answer.fields['sec-websocket-version'], status === 426 ? '13' : undefined, what);
  }
  const client = await WebSocketClient.upgrade(gateway, protocol('chat'));
  assert.equal((await client.ask(telemetry(device, 'by HTTP'))).status, 204);
  client.send(handshakeBytes('AAAAAAAAAAAAAAAAAAAAAA=='));
  assert.equal((await client.next()).status, 101);
  client.send(binary(connectOf(device)));
  assert.deepEqual([...(await client.next()).payload], [0x20, 2, 0, 0]);
  assert.deepEqual(await bodies(gateway), ['by HTTP']);
});

promise('pages of other origins are kept out where origins are named, clients without one never are', async (t) => {
  const gateway = await serve(t, { httpsPort: await freePort(), origins: ['https://console.example.net', 'http://localhost:8080'] });
  for (const [origin, status] of [[undefined, 101], ['https://console.example.net', 101], ['HTTPS://Console.example.net', 101],
    ['http://localhost:8080', 101], ['http://console.example.net', 403], ['https://console.example.net:444', 403],
    ['https://console.example.net.evil.example', 403], ['https://evil.example', 403], ['null', 403]]) {
    const { answer } = await WebSocketClient.upgrade(gateway, { fields: { Origin: origin } });
    assert.equal(answer?.status, status, origin);
  }
});

promise('a handshake is taken however it is cut, and behind requests; frames may follow it in the same write', async (t) => {
  const { gateway, device } = await hubWith(t);
  const head = handshakeBytes('AAAAAAAAAAAAAAAAAAAAAA==');
  const behind = [binary(connectOf(device)), binary(new MqttClient().publishPacket(device.topic, 'behind')), frame(PING, 'p')];
  const all = Buffer.concat([head, ...behind]);
  for (const size of [all.length, head.length, head.length - 1, head.length + 1, 100, 1]) {
    const client = await WebSocketClient.open(gateway);
    for (const piece of pieces(all, size)) client.send(piece);
    assert.equal((await client.next()).status, 101, `pieces of ${size}`);
    const found = [await client.next(), await client.next(), await client.next()].map(({ opcode, payload }) =>
      opcode === PONG ? `pong ${payload}` : payload.toString('hex'));
    assert.deepEqual(found.sort(), ['20020000', '40020001', 'pong p'], `pieces of ${size}`);
    await client.drop();
  }
  assert.equal((await bodies(gateway)).length, 6);
});

// ---- frames are a stream of bytes ----

promise('must_07 CONNECT in frames of one byte, and several packets in one frame', async (t) => {
  const { gateway, device } = await hubWith(t);
  const client = await MqttOverWebSocket.open(gateway);
  client.send(...pieces(connectOf(device), 1));
  assert.deepEqual([...(await client.next()).body], [0, 0]);
  client.send(...pieces(client.publishPacket(device.topic, 'byte by byte'), 1));
  assert.equal((await client.next()).body.readUInt16BE(0), 1);
  client.send(Buffer.concat([client.publishPacket(device.topic, 'first'), client.publishPacket(device.topic, 'second'), PINGREQ]));
  const types = [(await client.next()).type, (await client.next()).type, (await client.next()).type];
  assert.deepEqual(types.sort((a, b) => a - b), [4, 4, 13]);
  const both = await MqttOverWebSocket.open(gateway);
  both.send(Buffer.concat([connectOf(device), both.publishPacket(device.topic, 'behind CONNECT')]));
  assert.deepEqual([(await both.next()).type, (await both.next()).type], [2, 4]);
  assert.deepEqual(await bodies(gateway), ['byte by byte', 'first', 'second', 'behind CONNECT']);
});

promise('threat_08 packets are whole wherever frames and fragments cut them', async (t) => {
  const { gateway, device } = await hubWith(t);
  const connect = connectOf(device);
  for (let at = 1; at < connect.length; at++) {
    const client = await MqttOverWebSocket.open(gateway);
    client.send(connect.subarray(0, at), connect.subarray(at));
    assert.deepEqual([...(await client.next())?.body ?? []], [0, 0], `CONNECT cut at ${at}`);
    await client.drop();
  }
  const client = await MqttOverWebSocket.connect(device);
  const length = client.publishPacket(device.topic, 'cut here').length;
  for (let at = 0; at <= length; at++)
    for (const cut of [(bytes) => [binary(bytes.subarray(0, at)), binary(bytes.subarray(at))],
      (bytes) => [binary(bytes.subarray(0, at), { fin: false }), frame(PING, 'p'), frame(CONTINUATION, bytes.subarray(at))]]) {
      const expected = client.nextId;
      client.web.send(...cut(client.publishPacket(device.topic, 'cut here')));
      assert.equal((await client.next())?.body.readUInt16BE(0), expected, `cut at ${at}`);
    }
  const stored = await bodies(gateway);
  assert.equal(stored.length, 2 * (length + 1));
  assert.ok(stored.every((body) => body === 'cut here'));
});

promise('threat_08 a packet that announces more than its frame holds waits for it, too much is refused', async (t) => {
  const { gateway, device } = await hubWith(t);
  const client = await MqttOverWebSocket.connect(device);
  const bytes = client.publishPacket(device.topic, 'b'.repeat(100000));
  client.send(bytes.subarray(0, 4), Buffer.alloc(0), bytes.subarray(4));
  assert.equal((await client.next()).body.readUInt16BE(0), 1);
  client.web.send(binary(Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f]))); // 256 MiB in a frame of five bytes
  assert.equal(await client.closing(), 1000);
  const early = await MqttOverWebSocket.open(gateway);
  early.web.send(binary(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f])));
  assert.equal(await early.closing(), 1000);
  const fifth = await MqttOverWebSocket.connect(device);
  fifth.send(...pieces(Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0xff]), 1));
  assert.equal(await fifth.closing(), 1000);
});

promise('must_52 a packet of 256 KiB comes in one frame, in many, in fragments; a byte more closes', async (t) => {
  const { gateway, device } = await hubWith(t);
  const client = await MqttOverWebSocket.connect(device);
  const body = 'b'.repeat(PACKET_MAX - 2 - device.topic.length - 2);
  const ways = {
    'one frame': (bytes) => [binary(bytes)],
    'frames of 4096': (bytes) => pieces(bytes, 4096).map((part) => binary(part)),
    'frames of 2': (bytes) => pieces(bytes, 2).map((part) => binary(part)),
    'fragments of 1000 with pings between': (bytes) => fragments(bytes, 1000).flatMap((part, i) => [part, frame(PING, `${i}`)]),
  };
  for (const [what, cut] of Object.entries(ways)) {
    const expected = client.nextId;
    client.web.send(Buffer.concat(cut(client.publishPacket(device.topic, body))));
    assert.equal((await client.next())?.body.readUInt16BE(0), expected, what);
  }
  for (let i = 0; i * 1000 < PACKET_MAX; i++) assert.equal(String((await client.nextControl()).payload), `${i}`);
  client.send(client.publishPacket(device.topic, `${body}c`).subarray(0, 4)); // the head and nothing else
  assert.equal(await client.closing(), 1000);
  assert.deepEqual(await bodies(gateway), Object.keys(ways).map(() => body));
});

promise('what is acknowledged over WebSocket is there after kill -9, and is what MQTT stores', async (t) => {
  const dir = path.join(temporaryFolder(t), 'data');
  const first = await Gateway.start(t, { dir });
  const device = await first.addDevice('ws');
  const client = await MqttOverWebSocket.connect(device);
  const topic = `${device.topic}%24.mid=m-1&%24.ct=text%2Fplain&color=dark%20red`;
  assert.ok(await client.publish(topic, 'hello', { qos: 1 }));
  assert.ok(await (await MqttClient.connect(device)).publish(topic, 'hello'));
  await first.daemon.kill('SIGKILL');
  const [over, plain] = await (await Gateway.start(t, { dir })).messages(2);
  for (const message of [over, plain]) {
    delete message.systemProperties['iothub-enqueuedtime'];
    for (const stamp of ['enqueuedTime', 'offset', 'sequenceNumber']) delete message[stamp];
  }
  assert.deepEqual(over, plain);
  assert.deepEqual(over.properties, { color: 'dark red' });
});

promise('must_36 a device is connected once, whether over MQTT or over WebSocket', async (t) => {
  const { device } = await hubWith(t);
  const plain = await MqttClient.connect(device);
  const over = await MqttOverWebSocket.connect(device);
  assert.equal(over.code, 0);
  assert.ok(await plain.isClosed());
  const again = await MqttClient.connect(device);
  assert.equal(again.code, 0);
  assert.equal(await over.closing(), 1000, 'displaced');
  assert.ok(await again.ping());
});

// ---- answers ----

promise('what the server sends is in frames of 4096 bytes at most, also when the reader was slow', async (t) => {
  const { gateway, device } = await hubWith(t);
  const client = await WebSocketClient.upgrade(gateway);
  client.send(binary(connectOf(device)));
  await client.next();
  client.socket.pause();
  const count = 20000;
  for (let i = 0; i < 20; i++) client.send(binary(Buffer.concat(Array(count / 20).fill(PINGREQ))), frame(PING, `${i}`));
  client.socket.resume();
  let answered = 0, pongs = 0, largest = 0;
  while (answered < 2 * count || pongs < 20) {
    const found = await client.next();
    assert.ok(found, `closed after ${answered / 2} of ${count}`);
    if (found.opcode === PONG) assert.equal(String(found.payload), `${pongs++}`);
    else answered += found.payload.length;
    largest = Math.max(largest, found.payload.length);
  }
  assert.equal(answered, 2 * count);
  t.diagnostic(`the largest frame had ${largest} bytes`);
});

promise('threat_39 who asks without end and reads nothing costs bounded memory and gets all answers once he reads', async (t) => {
  const { gateway, device } = await hubWith(t);
  const peak = memoryPeak(gateway.daemon.child.pid);
  const client = await WebSocketClient.upgrade(gateway);
  client.send(binary(connectOf(device)));
  await client.next();
  client.socket.pause();
  const ping = frame(PING, 'p'.repeat(125)), count = 80000;
  const batch = Buffer.concat(Array(1000).fill(ping));
  for (let i = 0; i < count / 1000; i++) client.send(batch);
  const witness = await MqttOverWebSocket.connect(await gateway.addDevice('witness'));
  for (let i = 0; i < 20; i++) assert.ok(await witness.ping(), 'another connection suffered');
  client.socket.resume();
  for (let i = 0; i < count; i++) {
    const found = await client.next();
    assert.equal(found?.opcode, PONG, `after ${i} of ${count}`);
  }
  t.diagnostic(`${peak()} KiB for ${(count * ping.length) >> 20} MiB of pings`);
  assert.ok(peak() < 8192, `${peak()} KiB`);
});

promise('a ping is answered with its payload, ten of them in one write in their order, also before CONNECT', async (t) => {
  const { gateway, device } = await hubWith(t);
  const client = await MqttOverWebSocket.open(gateway);
  const payloads = ['', 'p', '\0\xff', 'p'.repeat(125), ...Array.from({ length: 10 }, (_, i) => `${i}`)].map((payload) =>
    Buffer.from(payload, 'latin1'));
  for (const state of ['before CONNECT', 'after CONNECT']) {
    client.web.send(...payloads.map((payload) => frame(PING, payload)));
    for (const payload of payloads) {
      const found = await client.nextControl();
      assert.deepEqual([found.opcode, [...found.payload]], [PONG, [...payload]], state);
    }
    if (state === 'after CONNECT') break;
    client.send(connectOf(device));
    assert.equal((await client.next()).type, 2);
  }
});

promise('threat_09 what looks compressed is refused unread, since no compression was agreed on', async (t) => {
  const { gateway, device } = await hubWith(t);
  const bomb = zlib.deflateRawSync(Buffer.alloc(64 << 20), { level: 9 });
  const peak = memoryPeak(gateway.daemon.child.pid);
  for (const loggedIn of [false, true])
    for (const rsv of [4, 0]) {
      const client = await MqttOverWebSocket.open(gateway,
        { fields: { 'Sec-WebSocket-Extensions': 'permessage-deflate; server_no_context_takeover' } });
      if (loggedIn) {
        client.send(connectOf(device));
        assert.equal((await client.next()).type, 2);
      }
      client.web.send(frame(BINARY, bomb, { rsv }));
      assert.equal(await client.closing(), rsv ? 1002 : 1000); // read as they are, the bytes are no MQTT
    }
  assert.ok(peak() < 4096, `${peak()} KiB`);
  assert.equal((await MqttOverWebSocket.connect(device)).code, 0);
});

// ---- the end ----

promise('a CONNECT that is refused gets its code, then Close 1000', async (t) => {
  const { gateway, device } = await hubWith(t);
  for (const [options, code] of [[{ password: 'nonsense' }, 5], [{ clientId: 'other' }, 5], [{ level: 6 }, 1],
    [{ password: device.token({ expiry: 1700000000 }) }, 5]]) {
    const client = await MqttOverWebSocket.connect(device, options);
    assert.equal(client.code, code);
    assert.equal(await client.closing(), 1000);
  }
  assert.deepEqual(await gateway.stored(), []);
});

promise('every way a client ends is answered, and none of them leaves anything behind', async (t) => {
  const { gateway, device } = await hubWith(t);
  const will = (how) => ({ topic: `${device.topic}how=${how}`, body: how, qos: 1 });
  const ways = {
    'a Close': async (client) => {
      client.web.send(close(1000, 'done'));
      assert.equal(closeCode(await client.nextControl()), 1000);
    },
    'DISCONNECT': async (client) => {
      client.send(DISCONNECT);
      assert.equal(closeCode(await client.nextControl()), 1000);
      client.web.send(close(1000));
    },
    'DISCONNECT and Close': async (client) => {
      client.web.send(binary(DISCONNECT), close(1000));
      assert.equal(closeCode(await client.nextControl()), 1000);
    },
    'DISCONNECT, Close and FIN': async (client) => {
      client.socket.end(Buffer.concat([binary(DISCONNECT), close(1000)]));
    },
    'FIN': async (client) => { client.socket.end(); },
    'a cut': async (client) => { client.socket.destroy(); },
  };
  for (const [what, end] of Object.entries(ways)) {
    const client = await MqttOverWebSocket.connect(device, { will: will(what) });
    assert.equal(client.code, 0, what);
    await end(client);
    assert.ok(await client.isClosed(), what);
  }
  const said = await gateway.messages(3); // a Close alone is not a DISCONNECT
  assert.deepEqual(said.map(({ body }) => body), ['a Close', 'FIN', 'a cut']);
  const last = await MqttOverWebSocket.connect(device);
  assert.ok(await last.publish(device.topic, 'last'));
  assert.deepEqual(await bodies(gateway), ['a Close', 'FIN', 'a cut', 'last']);
});

promise('SIGTERM closes with 1001 after the answers, and the gateway exits 0', async (t) => {
  const { gateway, device } = await hubWith(t);
  const idle = await MqttOverWebSocket.connect(await gateway.addDevice('idle'));
  const early = await MqttOverWebSocket.open(gateway);
  const busy = await MqttOverWebSocket.connect(device);
  for (let i = 0; i < 50; i++) busy.send(busy.publishPacket(device.topic, `${i}`));
  const exits = gateway.daemon.kill('SIGTERM');
  assert.deepEqual(await Promise.all([idle.closing(), early.closing(), busy.closing()]), [1001, 1001, 1001]);
  assert.equal((await exits).code, 0, gateway.daemon.stderr);
  const acknowledged = busy.packets.length;
  const stored = await bodies(gateway);
  assert.ok(stored.length >= acknowledged, `${acknowledged} acknowledged, ${stored.length} stored`);
});

promise('must_29 a device that is disabled or deleted loses its WebSocket', async (t) => {
  const { gateway, device } = await hubWith(t);
  for (const how of [['update', 'ws', '--disable'], ['delete', 'ws']]) {
    await gateway.ok('device', 'update', 'ws', '--enable');
    const client = await MqttOverWebSocket.connect(device);
    assert.equal(client.code, 0);
    await gateway.ok('device', ...how);
    assert.equal(await client.closing(), 1000, how.join(' '));
  }
});

promise('must_09 threat_11 silence is ended: before CONNECT, in half a frame, and behind a ping that nobody answers', async (t) => {
  const httpsPort = await freePort();
  const gateway = await serve(t, { httpsPort, more: ['limits:', '  connect_ms_max: 1000', '  websocket_silence_ms_max: 1000',
    '  websocket_pong_ms_max: 1000', '  close_ms_max: 1000'] });
  const device = gateway.device();
  const began = Date.now();
  const timed = async (what, client) => {
    await within(client.closed, `${what}: the close`);
    return [what, Date.now() - began];
  };
  const upgraded = await WebSocketClient.upgrade(gateway);
  const half = await WebSocketClient.upgrade(gateway);
  half.send(frameHead(BINARY, 100));
  const trickled = await WebSocketClient.upgrade(gateway);
  const timer = setInterval(() => trickled.send(binary(connectOf(device).subarray(0, 1))), 100);
  defer(t, () => clearInterval(timer));
  trickled.closed.then(() => clearInterval(timer));
  const rows = await Promise.all([timed('nothing', upgraded), timed('half a frame', half), timed('a trickled CONNECT', trickled)]);
  for (const [what, ms] of rows) assert.ok(ms >= 900 && ms < 5000, `${what}: closed after ${ms} ms`);

  const client = await MqttOverWebSocket.connect(device);
  for (let i = 0; i < 2; i++) {
    const found = await client.nextControl();
    assert.equal(found?.opcode, PING, `ping ${i}`);
    client.web.send(frame(PONG, found.payload));
  }
  assert.equal((await client.nextControl()).opcode, PING, 'the ping that is not answered');
  const asked = Date.now();
  await within(client.closed, 'the close behind a ping without answer');
  assert.ok(Date.now() - asked >= 900, 'closed at once');
  assert.equal((await MqttOverWebSocket.connect(device)).code, 0);
});

promise('on the path of WebSocket HTTP/2 and plain requests are told what is wanted', async (t) => {
  const { gateway } = await hubWith(t);
  for (const send of [ask, askHttp2]) {
    const answer = await send(gateway, { method: 'GET', path: PATH, fields: {} });
    assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status} ${answer.body}`);
    assert.match(answer.json.Message, /^ErrorCode:\w+;./);
  }
});
