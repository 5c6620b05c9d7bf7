// What went wrong in other brokers, tried on a running gateway: size, order and shape of packets, handshakes in masses,
// slow and deaf clients, broken configurations. Numbers are the rows of docs/conformance.md.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const tls = require('node:tls');
const { once } = require('node:events');
const { Device, Gateway, defer, document, gatehouse, memoryPeak, promise, residentKilobytes, run, temporaryFolder,
  within } = require('./gateway');
const { ask, telemetry } = require('./https_client');
const { MqttClient, closeOf, connectPacket, packet, text } = require('./mqtt_client');
const { certificate, configuration, failing, serve } = require('./serve');

const LIMITS = fs.readFileSync(path.join(__dirname, '..', '..', 'include', 'gatehouse', 'limits.def'), 'utf8');
const limits = [...LIMITS.matchAll(/^LIMIT\((\w+), (\d+), (\d+), (\d+),/gm)]
  .map(([, name, , min, max]) => ({ name, min: BigInt(min), max: BigInt(max) }));

/** Runs it for 0 to count - 1, so many at a time. */
async function inParallel(count, atOnce, body) {
  let next = 0;
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (next < count) await body(next++);
  }));
}

/** A device that is connected before, and must be served as before after everything is over. */
async function bystander(gateway) {
  const device = await gateway.addDevice('bystander');
  const client = await MqttClient.connect(device);
  assert.equal(client.code, 0);
  return async () => {
    assert.ok(await client.ping(), 'another connection suffered');
    assert.ok(await client.publish(device.topic, 'still here'));
    assert.equal((await gateway.run('health')).code, 0);
  };
}

promise('threat_01 1,000 links that announce 268 MB with one byte are closed and cost no memory', async (t) => {
  const gateway = await Gateway.start(t);
  const unharmed = await bystander(gateway);
  const clients = [];
  await inParallel(1000, 50, async () => clients.push(await MqttClient.open(gateway)));
  const peak = memoryPeak(gateway.info.pid);
  for (const client of clients) client.send(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f, 0]));
  for (const client of clients) assert.equal(await client.next(), null);
  t.diagnostic(`${peak()} KiB for 1,000 announcements of 268 MB`);
  assert.ok(peak() < 8192, `${peak()} KiB`);
  await unharmed();
});

promise('threat_01 200 links that announce the longest CONNECT and send one byte of it cost no memory either', async (t) => {
  const gateway = await Gateway.start(t);
  const unharmed = await bystander(gateway);
  const clients = [];
  await inParallel(200, 20, async () => clients.push(await MqttClient.open(gateway)));
  const peak = memoryPeak(gateway.info.pid);
  for (const client of clients) client.send(Buffer.from([0x10, 0x80, 0x80, 0x04, 0]));
  await unharmed();
  for (const client of clients) client.send(Buffer.alloc(16, 0xff)); // no CONNECT begins like this, however long
  for (const client of clients) await client.drop();
  await unharmed();
  t.diagnostic(`${peak()} KiB for 200 announcements of 64 KiB`);
  assert.ok(peak() < 2048, `${peak()} KiB`);
});

promise('threat_01 after CONNECT an announced length costs nothing either', async (t) => {
  const gateway = await Gateway.start(t);
  await gateway.importDevices(Array.from({ length: 100 }, (_, i) => document(`announcer-${i}`)));
  const clients = [];
  await inParallel(100, 20, async (i) => clients.push(await MqttClient.connect(new Device(gateway, `announcer-${i}`))));
  const peak = memoryPeak(gateway.info.pid);
  for (const client of clients) client.send(Buffer.from([0x32, 0xff, 0xff, 0x0f, 0])); // 256 KiB, which is allowed
  for (const client of clients) client.send(Buffer.from([0x00]));
  for (const client of clients) assert.equal(client.code, 0);
  await (await bystander(gateway))();
  t.diagnostic(`${peak()} KiB for 100 announcements of 256 KiB`);
  assert.ok(peak() < 8192, `${peak()} KiB`);
});

promise('threat_02 a first packet that is not CONNECT is closed without an answer', async (t) => {
  const gateway = await Gateway.start(t);
  const unharmed = await bystander(gateway);
  await inParallel(256, 16, async (first) => {
    if (first === 0x10) return;
    const client = await MqttClient.open(gateway);
    client.send(Buffer.from([first]));
    assert.equal(await client.next(), null, first.toString(16));
  });
  await unharmed();
});

const SERVER_ONLY = [packet(0x20, Buffer.from([0, 0])), packet(0x90, Buffer.from([0, 1, 0])), packet(0xb0, Buffer.from([0, 1])),
  packet(0xd0), packet(0x00), packet(0xf0)];

promise('threat_03 packets only a server sends close the connection in every state and harm nobody else', async (t) => {
  const gateway = await Gateway.start(t);
  const unharmed = await bystander(gateway);
  const device = await gateway.addDevice('odd');
  const connect = connectPacket({ clientId: 'odd', userName: device.userName, password: device.token(), clean: false });
  const subscribe = packet(0x82, Buffer.from([0, 7]), text('$iothub/methods/POST/#'), Buffer.from([1]));
  for (const bytes of SERVER_ONLY) {
    for (const before of [[], [connect], [connect, subscribe],
      [connect, packet(0x32, text(device.topic), Buffer.from([0, 1]), Buffer.from('in flight'))]]) {
      const client = await MqttClient.open(gateway);
      client.send(Buffer.concat([...before, bytes]));
      assert.ok(await client.isClosed(), `${bytes[0].toString(16)} behind ${before.length} packets`);
    }
    const client = await MqttClient.connect(device);
    client.send(bytes);
    assert.ok(await client.isClosed(), `${bytes[0].toString(16)} on an idle connection`);
  }
  await unharmed();
});

promise('threat_04 threat_44 zero lengths and $ topics in every field are answered or closed, and harm nobody', async (t) => {
  const gateway = await Gateway.start(t);
  const unharmed = await bystander(gateway);
  const device = await gateway.addDevice('zero');
  const none = text(''), id = Buffer.from([0, 1]);
  const good = { clientId: 'zero', userName: device.userName, password: device.token() };
  const connects = [{ ...good, clientId: '' }, { ...good, userName: '' }, { ...good, password: '' },
    { ...good, will: { topic: '', body: '' } }, { clientId: '' }, { ...good, protocol: '' },
    { clientId: '', userName: '', password: '', clean: false }];
  for (const options of connects) {
    const client = await MqttClient.open(gateway);
    client.send(connectPacket(options));
    const answer = await client.next();
    assert.ok(answer === null || answer.body[1] !== 0, JSON.stringify(options));
    assert.ok(await client.isClosed());
  }
  const dollars = ['$', '$SYS/#', '$SYS', '$share/g/#', '$iothub', '$iothub/', '$iothub/twin', '$iothub/methods/res//?$rid='];
  const packets = [packet(0x10), packet(0x30), packet(0x32), packet(0x30, none), packet(0x32, none, id), packet(0x82),
    packet(0x82, id), packet(0x82, id, none), packet(0x82, id, none, Buffer.from([0])), packet(0xa2), packet(0xa2, id),
    packet(0xa2, id, none), packet(0x40), packet(0x32, text(device.topic), Buffer.from([0, 0])),
    packet(0x82, Buffer.from([0, 0]), text('a'), Buffer.from([0])),
    ...dollars.flatMap((topic) => [packet(0x32, text(topic), id), packet(0x82, id, text(topic), Buffer.from([1])),
      packet(0xa2, id, text(topic))])];
  for (const bytes of packets) {
    const client = await MqttClient.connect(device);
    client.send(bytes);
    client.send(Buffer.from([0xc0, 0]));
    const answer = await client.next();
    assert.ok(answer === null || [4, 9, 11, 13].includes(answer.type), bytes.toString('hex'));
    if (answer && answer.type === 9) assert.equal(answer.body[2], 0x80, bytes.toString('hex'));
    await client.drop();
  }
  await unharmed();
  assert.deepEqual((await gateway.stored()).map((message) => message.body), ['still here']);
});

promise('threat_05 64 KB of slashes as filter, topic, bag, user name and client id cost nothing', async (t) => {
  const gateway = await Gateway.start(t);
  const unharmed = await bystander(gateway);
  const device = await gateway.addDevice('deep');
  const slashes = (n) => '/'.repeat(n);
  const client = await MqttClient.connect(device);
  assert.deepEqual(await client.subscribe([slashes(65535), 1], ['a/'.repeat(32700), 0]), [0x80, 0x80]);
  assert.ok(await client.unsubscribe(slashes(65535)));
  const bag = `k=${slashes(65000)}x`;
  assert.ok(await client.publish(device.topic + bag, 'bag'));
  assert.equal(await client.publish(slashes(65535), 'x'), false);
  for (const options of [{ userName: `${gateway.host}/deep/?${slashes(60000)}` }, { userName: slashes(60000) },
    { clientId: slashes(60000) }, { password: slashes(60000) }])
    assert.ok([0, 5, null].includes((await MqttClient.connect(device, options)).code));
  const foreign = await MqttClient.connect(device);
  assert.equal(await foreign.subscribe([`devices/${slashes(60000)}`, 1]), null);
  await unharmed();
  assert.equal((await gateway.stored())[0].properties.k, `${slashes(65000)}x`);
});

promise('threat_07 the same conversation in records of one byte; lengths of five and six bytes close', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('slow');
  const client = await MqttClient.open(gateway);
  client.socket.setNoDelay(true);
  const password = device.token();
  const bytes = Buffer.concat([connectPacket({ clientId: 'slow', userName: device.userName, password }),
    client.publishPacket(device.topic, 'b'.repeat(200)), Buffer.from([0xc0, 0])]);
  for (const byte of bytes) client.send(Buffer.from([byte])); // a record each
  assert.deepEqual([(await client.next()).type, (await client.next()).type, (await client.next()).type].sort(), [13, 2, 4]);
  for (const length of [[0xff, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0xff, 0x7f], [0x80, 0x80, 0x80, 0x80, 0x80, 0x01]])
    for (const first of [0x10, 0x32]) {
      const odd = first === 0x10 ? await MqttClient.open(gateway) : await MqttClient.connect(device);
      for (const byte of [first, ...length]) odd.send(Buffer.from([byte]));
      assert.equal(await odd.next(), null, length.toString());
    }
  assert.equal((await gateway.stored()).length, 1);
});

/** Milliseconds until the server closes, whatever state the connection is in. */
async function closedAfter(socket) {
  const began = Date.now();
  socket.resume();
  await within(closeOf(socket), 'the close');
  return Date.now() - began;
}

promise('must_09 threat_11 silence before TLS, after TLS and in the middle of CONNECT ends at the deadline', async (t) => {
  const gateway = await serve(t, { more: ['limits:', '  handshake_ms_max: 1000', '  connect_ms_max: 1000'] });
  const device = gateway.device();
  const half = connectPacket({ clientId: 'dev', userName: device.userName, password: device.token() }).subarray(0, 50);
  const open = async () => (await MqttClient.open(gateway)).socket;
  const midway = await open();
  const ends = [closedAfter(midway), closedAfter(net.connect(gateway.port, '127.0.0.1')), closedAfter(await open())];
  midway.write(half);
  const connected = await MqttClient.connect(device);
  const times = await Promise.all(ends);
  for (const ms of times) assert.ok(ms >= 900 && ms < 5000, times.join());
  assert.ok(await connected.ping(), 'a connection past CONNECT has no such deadline');
});

promise('threat_11 a client that trickles its CONNECT is closed at the same time', async (t) => {
  const gateway = await serve(t, { more: ['limits:', '  connect_ms_max: 1000'] });
  const device = gateway.device();
  const client = await MqttClient.open(gateway);
  const bytes = connectPacket({ clientId: 'dev', userName: device.userName, password: device.token() });
  let at = 0;
  const trickle = setInterval(() => client.send(bytes.subarray(at, ++at)), 100);
  defer(t, () => clearInterval(trickle));
  const ms = await closedAfter(client.socket);
  clearInterval(trickle);
  assert.ok(ms >= 900 && ms < 5000 && at < bytes.length, `${ms} ms`);
});

/** Opens and closes a TLS connection; the peer's certificate is not what this is about. */
async function handshake(gateway, options) {
  const socket = tls.connect({ host: '127.0.0.1', port: gateway.port, rejectUnauthorized: false, ...options });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  socket.destroy();
}

for (const version of ['TLSv1.2', 'TLSv1.3'])
  promise(`threat_18 threat_19 1,500 handshakes of ${version}, half with a client certificate, leave memory flat`, async (t) => {
    const gateway = await Gateway.start(t);
    const { certificateFile, keyFile } = await certificate(temporaryFolder(t));
    const pair = { cert: fs.readFileSync(certificateFile), key: fs.readFileSync(keyFile) };
    const bounds = { minVersion: version, maxVersion: version };
    const some = (count) => inParallel(count, 8, (i) => handshake(gateway, i % 2 ? { ...bounds, ...pair } : bounds));
    await some(300);
    const before = residentKilobytes(gateway.info.pid);
    await some(1500);
    const grown = residentKilobytes(gateway.info.pid) - before;
    t.diagnostic(`${grown} KiB after 1,500 handshakes`);
    assert.ok(grown < 1024, `${grown} KiB: a session of TLS is about 1 KiB`);
  });

promise('threat_20 anonymous and unencrypted cipher suites are refused', async (t) => {
  const gateway = await Gateway.start(t);
  for (const cipher of ['aNULL', 'eNULL', 'aNULL:eNULL', 'RC4:DES:MD5', 'kRSA']) {
    const asked = await run('openssl', ['s_client', '-connect', `127.0.0.1:${gateway.port}`, '-tls1_2', '-cipher',
      `${cipher}:@SECLEVEL=0`], { input: '' });
    assert.notEqual(asked.code, 0, cipher);
    assert.match(asked.stdout, /Cipher is \(NONE\)|^$/, cipher);
  }
  await (await MqttClient.open(gateway)).drop();
});

promise('threat_27 who shows no credentials is refused on every way in', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('open'), module = await gateway.addModule('open', 'm');
  const none = { password: undefined };
  for (const [who, options] of [[device, none], [device, { password: '' }], [module, none], [device, { ...none, userName: undefined }],
    [device, { userName: undefined }], [device, { ...none, clientId: '', userName: undefined }], [device, { ...none, userName: '' }],
    [device, { ...none, will: { topic: device.topic, body: 'x' } }], [device, { ...none, clean: false }],
    [device, { password: 'SharedAccessSignature ' }], [device, { password: 'SharedAccessSignature sr=&sig=&se=' }]]) {
    const client = await MqttClient.connect(who, options);
    assert.ok(client.code === 5 || client.code === null, `${JSON.stringify(options)}: ${client.code}`);
    assert.ok(await client.isClosed());
  }
  assert.deepEqual(await gateway.stored(), []);
});

promise('threat_28 garbage on the admin socket is answered or closed, and nothing changes', async (t) => {
  const gateway = await Gateway.start(t);
  const unharmed = await bystander(gateway);
  const before = await gateway.ok('device', 'export');
  for (const bytes of ['\n', 'GET / HTTP/1.1\r\n\r\n', '{}\n', '[]\n', '{"id":1}\n', '\0\0\0\n', `${'['.repeat(100000)}\n`,
    `{"method":"${'x'.repeat(100000)}"}\n`, '{"id":1,"method":"device.delete","params":[]}\n', Buffer.alloc(2 << 20, 0x7b), '"\xff"\n', '']) {
    const socket = net.connect(path.join(gateway.dir, 'admin.sock'));
    socket.resume();
    await once(socket, 'connect');
    const closed = closeOf(socket);
    socket.end(bytes);
    await within(closed, `the end after ${String(bytes).slice(0, 20)}`);
  }
  await unharmed();
  assert.equal(await gateway.ok('device', 'export'), before);
});

promise('threat_30 an empty, cut, binary or missing configuration starts nothing', async (t) => {
  const { file, folder } = await configuration(t);
  const good = fs.readFileSync(file);
  const files = { empty: '', cut: good.subarray(0, good.length >> 1), binary: Buffer.alloc(4096, 0xfe), comment: '# none\n',
    list: '- hostName: localhost\n', twice: `${good}${good}`, number: '7\n' };
  for (const [name, content] of Object.entries(files)) {
    const broken = path.join(folder, `${name}.yaml`);
    fs.writeFileSync(broken, content);
    for (const command of ['check', 'serve']) {
      const result = await gatehouse([command, '-c', broken]);
      assert.equal(result.code, 1, `${command} with ${name}: ${result.stdout}`);
      assert.match(result.stderr, new RegExp(`${name}\\.yaml`), `${command} with ${name}`);
    }
  }
  for (const command of ['check', 'serve']) assert.equal((await gatehouse([command, '-c', path.join(folder, 'absent')])).code, 1);
  assert.equal((await gatehouse(['check', '-c', file])).code, 0);
});

promise('threat_31 every limit is taken at both ends of its range and refused beyond, also as 0, -1 and what fits no number', async (t) => {
  assert.ok(limits.length > 30, 'limits.def was read');
  const { file } = await configuration(t);
  const good = fs.readFileSync(file, 'utf8');
  const check = (lines) => {
    fs.writeFileSync(file, `${good}limits:\n${lines.map(([name, value]) => `  ${name}: ${value}\n`).join('')}`);
    return gatehouse(['check', '-c', file]);
  };
  for (const end of ['min', 'max']) {
    const result = await check(limits.map((limit) => [limit.name, limit[end]]));
    assert.equal(result.code, 0, result.stderr);
  }
  const bad = [(limit) => limit.max + 1n, (limit) => limit.min - 1n, () => -1, () => 2n ** 64n, () => '1e99', () => '.inf', () => '""'];
  for (const value of bad)
    for (let at = 0; at < limits.length; at += 8) { // so few that each is told
      const some = limits.slice(at, at + 8);
      const result = await check(some.map((limit) => [limit.name, value(limit)]));
      assert.equal(result.code, 1);
      for (const { name } of some) assert.ok((result.stderr + result.stdout).includes(name), `${name}: ${value({ min: 0n, max: 0n })}`);
    }
});

promise('threat_32 after a run nothing in the data folder is for anybody else, whatever the umask', async (t) => {
  const dir = path.join(temporaryFolder(t), 'data');
  const gateway = await Gateway.start(t, { dir, prefix: ['sh', '-c', 'umask 0; exec "$@"', 'sh'] });
  const device = await gateway.addDevice('private');
  const client = await MqttClient.connect(device, { clean: false });
  assert.ok(await client.publish(device.topic, 'x'));
  const below = (folder) => fs.readdirSync(path.join(dir, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(folder, entry.name);
    return entry.isDirectory() ? [name, ...below(name)] : [name];
  });
  const check = () => {
    const found = below('.');
    assert.ok(found.length > 8, found.join());
    for (const name of ['.', ...found]) {
      const stat = fs.statSync(path.join(dir, name), { throwIfNoEntry: false });
      if (stat) assert.equal(stat.mode & 0o777, stat.isDirectory() ? 0o700 : 0o600, name); // else removed since
    }
  };
  check();
  await gateway.daemon.kill();
  check();
});

promise('threat_38 sessions that come and go leave memory flat', async (t) => {
  const gateway = await Gateway.start(t);
  await gateway.importDevices(Array.from({ length: 50 }, (_, i) => document(`s-${i}`)));
  const round = (count) => inParallel(count, 8, async (i) => {
    const device = new Device(gateway, `s-${i % 50}`);
    const client = await MqttClient.connect(device, { clean: i % 3 === 0 });
    if (client.code === 0 && await client.subscribe(['$iothub/twin/res/#', 1])) await client.publish(device.topic, 'x');
    await client.drop();
  });
  await round(200);
  const before = residentKilobytes(gateway.info.pid);
  await round(600);
  const grown = residentKilobytes(gateway.info.pid) - before;
  t.diagnostic(`${grown} KiB after 600 sessions`);
  assert.ok(grown < 2048, `${grown} KiB`);
});

promise('threat_39 a client that reads nothing is held, then cut, at a bounded cost', async (t) => {
  const gateway = await serve(t, { more: ['limits:', '  write_stall_ms_max: 1000'], devices: ['dev', 'other'] });
  const other = await MqttClient.connect(gateway.device('other'));
  const deaf = await MqttClient.connect(gateway.device());
  deaf.socket.pause();
  const peak = memoryPeak(gateway.daemon.child.pid);
  const pings = Buffer.alloc(1 << 20, Buffer.from([0xc0, 0]));
  for (let i = 0; i < 32; i++) deaf.send(pings); // 32 MiB of answers
  await gateway.daemon.said('write_stall');
  assert.ok(await other.ping());
  t.diagnostic(`${peak()} KiB for 32 MiB of unread answers`);
  assert.ok(peak() < 4096, `${peak()} KiB`);
  deaf.socket.destroy();
});

promise('threat_41 devices that flood while the disk is slow are held at the limit on bytes in flight, and lose nothing', async (t) => {
  const devices = Array.from({ length: 20 }, (_, i) => `f-${i}`), each = 40, body = Buffer.alloc(60000, 'f');
  const gateway = await serve(t, { devices, more: ['limits:', '  inflight_bytes_max: 2MiB'],
    prepare: (folder) => ({ env: failing(path.join(folder, 'data'), 'fdatasync/.log:STALL:1:1000000') }) });
  const clients = await Promise.all(devices.map((id) => MqttClient.connect(gateway.device(id))));
  const peak = memoryPeak(gateway.daemon.child.pid);
  clients.forEach((client, i) => {
    for (let n = 0; n < each; n++) client.send(client.publishPacket(`devices/${devices[i]}/messages/events/`, body));
  });
  const patienceMs = 60000; // which of them gets the room that comes free is not promised
  const acknowledged = async (client, n) => assert.equal((await client.next(patienceMs)).body.readUInt16BE(0), n);
  for (const client of clients) await acknowledged(client, 1);
  const largest = peak();
  t.diagnostic(`${largest} KiB while ${devices.length * each * body.length >> 10} KiB were offered`);
  assert.ok(largest < 24576, `${largest} KiB`); // the store's own buffers among it; without the limit nearly all that is offered
  for (const client of clients) for (let n = 2; n <= each; n++) await acknowledged(client, n);
  assert.equal((await gateway.stored()).length, devices.length * each);
});

/** Inodes of the sockets a process holds. */
function socketsOf(pid) {
  return fs.readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(fs.readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
    } catch {
      return undefined; // closed since
    }
  }).filter(Boolean);
}

promise('threat_42 nothing a device sends makes the gateway open a connection', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('lure');
  const server = net.createServer(() => assert.fail('a connection came')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  defer(t, () => server.close());
  const lure = `127.0.0.1:${server.address().port}`;
  const client = await MqttClient.connect(device, { userName: `${gateway.host}/lure/?model-id=http://${lure}/&DeviceClientType=http://${lure}/` });
  assert.ok(await client.publish(`${device.topic}%24.to=amqp%3A%2F%2F${lure}&iothub-operation=http%3A%2F%2F${lure}`, `http://${lure}/`));
  await client.subscribe([`$bridge/${lure}/#`, 1]);
  const url = `http://${lure}/`, { path: where } = telemetry(device);
  const fields = { 'iothub-to': url, 'X-Forwarded-Host': lure, Referer: url, Upgrade: url };
  assert.equal((await ask(gateway, telemetry(device, url, fields))).status, 204);
  assert.equal((await ask(gateway, { ...telemetry(device, url), path: `http://${lure}${where}` })).status, 204);
  assert.equal((await ask(gateway, { ...telemetry(device, url), method: 'CONNECT', path: lure })).status, 400);
  const held = new Set(socketsOf(gateway.info.pid));
  for (const family of ['tcp', 'tcp6', 'udp', 'udp6'])
    for (const line of fs.readFileSync(`/proc/net/${family}`, 'utf8').trim().split('\n').slice(1)) {
      const [, local, , , , , , , , inode] = line.trim().split(/\s+/);
      const port = parseInt(local.split(':').at(-1), 16);
      if (held.has(inode)) assert.ok([gateway.port, gateway.amqpPort, gateway.httpsPort].includes(port), `${family} ${line}`);
    }
});
