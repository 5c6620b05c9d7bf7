// What goes wrong around the program: crashes, stops, taken ports, broken files. One clear line and a non-zero exit.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const tls = require('node:tls');
const { once } = require('node:events');
const { Daemon, Device, Gateway, defer, freePort, gatehouse, promise, temporaryFolder, within } = require('./gateway');
const { MqttClient } = require('./mqtt_client');
const { certificate, configuration, failing, serve } = require('./serve');

/** Starts what must not start: its exit code is not 0 and it says why in a few lines, at least one with the text. */
async function refusesToStart(t, args, pattern, options) {
  const daemon = new Daemon(args, options);
  defer(t, () => daemon.kill('SIGKILL'));
  const line = await within(daemon.firstLine, 'the end of a start that must fail');
  assert.equal(line, null, `it started: ${line}`);
  const { code, signal } = await daemon.exited;
  assert.equal(signal, null);
  assert.notEqual(code, 0);
  assert.match(daemon.stderr, pattern);
  assert.ok(daemon.stderr.trim().split('\n').length <= 3, `more than one clear line:\n${daemon.stderr}`);
}

promise('kill -9: everything acknowledged is there after the restart, and devices still trust the server', async (t) => {
  const dir = path.join(temporaryFolder(t), 'data');
  const first = await Gateway.start(t, { dir });
  const device = await first.addDevice('survivor');
  const client = await MqttClient.connect(device);
  for (let i = 0; i < 200; i++) client.send(client.publishPacket(`${device.topic}n=${i}`, String(i)));
  for (let i = 0; i < 100; i++) assert.ok(await client.next());
  await first.daemon.kill('SIGKILL');

  const second = await Gateway.start(t, { dir });
  assert.deepEqual(second.ca, first.ca);
  const stored = await second.stored();
  assert.ok(stored.length >= 100 && stored.length <= 200, `${stored.length} stored`);
  stored.forEach((message, i) => {
    assert.equal(message.body, String(i));
    assert.deepEqual(message.properties, { n: String(i) });
  });
  const again = await MqttClient.connect(new Device(second, 'survivor'));
  assert.equal(again.code, 0);
  assert.ok(await again.publish(device.topic, 'after'));
});

promise('SIGTERM answers what was accepted, closes and exits 0', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('drain');
  const client = await MqttClient.connect(device);
  for (let i = 0; i < 60; i++) client.send(client.publishPacket(device.topic, String(i)));
  assert.ok(await client.next());
  const { code } = await gateway.daemon.kill('SIGTERM');
  assert.equal(code, 0, gateway.daemon.stderr);
  await client.isClosed();
  const acked = 1 + client.packets.length;
  const stored = await gateway.stored();
  assert.ok(stored.length >= acked, `${acked} acknowledged, ${stored.length} stored`);
});

promise('SIGINT stops it as well, and health tells running from stopped', async (t) => {
  const gateway = await Gateway.start(t);
  assert.equal((await gateway.run('health')).code, 0);
  assert.equal((await gateway.daemon.kill('SIGINT')).code, 0);
  const stopped = await gateway.run('health');
  assert.notEqual(stopped.code, 0);
  assert.notEqual(stopped.stderr + stopped.stdout, '');
});

promise('a taken port is refused with one clear line', async (t) => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  defer(t, () => server.close());
  const { port } = server.address();
  await refusesToStart(t, ['dev', '--dir', path.join(temporaryFolder(t), 'd'), '--mqtt-port', String(port),
    '--amqp-port', '0', '--https-port', '0', '--json'], new RegExp(`${port}: already in use.*--mqtt-port`));
  await refusesToStart(t, ['dev', '--dir', path.join(temporaryFolder(t), 'd'), '--mqtt-port', '0', '--amqp-port', '0', '--https-port',
    String(port), '--json'], new RegExp(`${port}: already in use.*--https-port`));
});

promise('a second gateway on the same port is refused although both would share it', async (t) => {
  const gateway = await Gateway.start(t);
  await refusesToStart(t, ['dev', '--dir', path.join(temporaryFolder(t), 'd'), '--mqtt-port', String(gateway.port),
    '--amqp-port', '0', '--https-port', '0', '--json'], new RegExp(String(gateway.port)));
  await refusesToStart(t, ['dev', '--dir', path.join(temporaryFolder(t), 'd'), '--mqtt-port', '0', '--amqp-port', '0', '--https-port',
    String(gateway.httpsPort), '--json'], new RegExp(String(gateway.httpsPort)));
  assert.equal((await gateway.run('health')).code, 0);
});

promise('a second gateway on the same folder is refused, and the first goes on', async (t) => {
  const gateway = await Gateway.start(t);
  const device = await gateway.addDevice('first');
  await refusesToStart(t, ['dev', '--dir', gateway.dir, '--mqtt-port', '0', '--amqp-port', '0', '--https-port', '0', '--json'], /\S/);
  const client = await MqttClient.connect(device);
  assert.ok(await client.publish(device.topic, 'still here'));
});

promise('a broken configuration is told with file, line and column, by check and by serve', async (t) => {
  const { file } = await configuration(t, { more: ['listenerz: 1'] });
  const lines = fs.readFileSync(file, 'utf8').split('\n').length - 1;
  const pattern = new RegExp(`gatehouse\\.yaml:${lines}:1: .*listenerz.*listeners`);
  const checked = await gatehouse(['check', '-c', file]);
  assert.equal(checked.code, 1);
  assert.match(checked.stderr + checked.stdout, pattern);
  await refusesToStart(t, ['serve', '-c', file], pattern);
});

promise('a good configuration passes check', async (t) => {
  const { file } = await configuration(t);
  const checked = await gatehouse(['check', '-c', file]);
  assert.equal(checked.code, 0, checked.stderr);
});

promise('a missing certificate and a key that does not fit are refused by name', async (t) => {
  const folder = temporaryFolder(t);
  const missing = { certificateFile: path.join(folder, 'absent.pem'), keyFile: path.join(folder, 'absent.key') };
  await refusesToStart(t, ['serve', '-c', (await configuration(t, { tlsFiles: missing })).file], /absent\.pem/);
  const one = await certificate(temporaryFolder(t)), other = await certificate(temporaryFolder(t));
  const mixed = { certificateFile: one.certificateFile, keyFile: other.keyFile };
  const { file } = await configuration(t, { tlsFiles: mixed });
  await refusesToStart(t, ['serve', '-c', file], /server\.key/);
  assert.equal((await gatehouse(['check', '-c', file])).code, 1);
});

promise('a folder that cannot be made is refused by name', async (t) => {
  const file = path.join(temporaryFolder(t), 'a-file');
  fs.writeFileSync(file, '');
  await refusesToStart(t, ['dev', '--dir', path.join(file, 'data'), '--mqtt-port', '0', '--amqp-port', '0', '--https-port', '0', '--json'],
    /a-file/);
});

promise('a folder where nothing can be written is refused by name, for root too', async (t) => {
  const dir = path.join(temporaryFolder(t), 'data');
  fs.mkdirSync(dir, { mode: 0o700 });
  await refusesToStart(t, ['dev', '--dir', dir, '--mqtt-port', '0', '--amqp-port', '0', '--https-port', '0', '--json'],
    /data.*([Pp]ermission|denied)/,
    { env: failing(dir, 'open:EACCES:1:1000000') });
});

promise('a disk that fills up: no acknowledgement, health says so, and nothing acknowledged is lost', async (t) => {
  const prepare = (folder) => ({ env: failing(path.join(folder, 'data'), 'write/.log:ENOSPC:40:1000000') });
  const gateway = await serve(t, { prepare });
  const device = new Device(gateway, 'dev');
  const client = await MqttClient.connect(device);
  let acknowledged = 0;
  while (acknowledged < 1000 && await client.publish(device.topic, String(acknowledged))) acknowledged++;
  assert.ok(acknowledged > 0 && acknowledged < 1000, `${acknowledged} acknowledged on a disk that fills up`);
  assert.notEqual((await gatehouse(['health', '-c', gateway.file])).code, 0);
  await gateway.daemon.kill('SIGKILL');

  const text = await gatehouse(['tail', '-c', gateway.file, '--from', 'earliest', '--no-follow', '--json']);
  assert.equal(text.code, 0, text.stderr);
  const bodies = text.stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line).body);
  assert.deepEqual(bodies.slice(0, acknowledged), Array.from({ length: acknowledged }, (_, i) => String(i)));
});

promise('below the free-space floor nothing is acknowledged, and health says so', async (t) => {
  const { bavail, bsize } = fs.statfsSync(temporaryFolder(t));
  const floor = Math.min(2 * bavail * bsize, 2 ** 40);
  assert.ok(floor > bavail * bsize, 'the file system has more than 1 TiB free: the floor cannot be set above that');
  const gateway = await serve(t, { more: ['limits:', `  disk_reserve_bytes_min: ${floor}`] });
  const device = new Device(gateway, 'dev');
  const client = await MqttClient.connect(device);
  client.send(client.publishPacket(device.topic, 'found at the latest with this'));
  await within((async () => {
    while ((await gatehouse(['health', '-c', gateway.file])).code === 0);
  })(), 'health not ready');
  const refusedId = client.nextId;
  client.send(client.publishPacket(device.topic, 'no room'));
  assert.equal((await gateway.daemon.kill()).code, 0, gateway.daemon.stderr);
  assert.ok(await client.isClosed());
  assert.ok(client.packets.every(({ body }) => body.readUInt16BE(0) !== refusedId), 'it was acknowledged');
  const tail = await gatehouse(['tail', '-c', gateway.file, '--from', 'earliest', '--no-follow']);
  assert.ok(!tail.stdout.includes('no room'));
});

promise('must_01 TLS 1.2 and 1.3 are accepted, TLS 1.1 is refused', async (t) => {
  const gateway = await Gateway.start(t);
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const client = await MqttClient.open(gateway, { minVersion: version, maxVersion: version });
    assert.equal(client.socket.getProtocol(), version);
    await client.drop();
  }
  const old = tls.connect({ host: '127.0.0.1', port: gateway.port, servername: 'localhost', ca: gateway.ca,
    minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' });
  defer(t, () => old.destroy());
  const [error] = await within(once(old, 'error'), 'the refusal of TLS 1.1');
  assert.match(String(error.code), /PROTOCOL_VERSION/);
});

/** What a listener selects of the names offered; false = it does not answer. The handshake succeeds in any case. */
async function selected(gateway, port, names) {
  const socket = tls.connect({ host: '127.0.0.1', port, servername: 'localhost', ca: gateway.ca, ALPNProtocols: names });
  await within(once(socket, 'secureConnect'), `a handshake that offers ${names.join()}`);
  socket.destroy();
  return socket.alpnProtocol;
}

promise('must_02 each listener selects the ALPN names of its own protocols, and none hinders the handshake', async (t) => {
  const gateway = await Gateway.start(t);
  for (const [names, https, mqtt] of [
    [[], false, false],
    [['http/1.1'], 'http/1.1', false],
    [['spdy/1', 'http/1.1'], 'http/1.1', false],
    [['mqtt'], false, 'mqtt'],
    [['amqp', 'unheard-of'], false, false],
  ]) {
    assert.equal(await selected(gateway, gateway.httpsPort, names), https, `HTTPS, offered ${names.join()}`);
    assert.equal(await selected(gateway, gateway.port, names), mqtt, `MQTT, offered ${names.join()}`);
  }
});

promise('serve listens for HTTPS when its configuration says so, and only then', async (t) => {
  const without = await serve(t);
  assert.match(await without.daemon.said(' listening '), / https=off /);
  const httpsPort = await freePort();
  const both = await serve(t, { httpsPort });
  assert.match(await both.daemon.said(' listening '), new RegExp(` mqtt=127.0.0.1:${both.port} amqp=off https=127.0.0.1:${httpsPort} `));
  assert.equal(await selected(both, httpsPort, ['http/1.1']), 'http/1.1');
});

promise('dev takes its first message soon after its start on a warm folder (target: 150 ms)', async (t) => {
  const dir = path.join(temporaryFolder(t), 'data');
  const first = await Gateway.start(t, { dir });
  const device = await first.addDevice('quick');
  const password = device.token();
  await first.daemon.kill();
  const second = await Gateway.start(t, { dir, port: first.port });
  const client = await MqttClient.connect(new Device(second, 'quick'), { password });
  assert.ok(await client.publish(device.topic, 'first'));
  const ms = Number(process.hrtime.bigint() - second.daemon.startedAt) / 1e6;
  t.diagnostic(`first message acknowledged ${ms.toFixed(0)} ms after the start of the process`);
});
