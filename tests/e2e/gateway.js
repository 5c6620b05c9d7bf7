// gateway.js - an installed gatehouse for a test: started on free ports in a folder of its own, stopped at the end.
//
// Waits are for events and bounded by the test's own time limit; nothing sleeps.  Tests may run side by side.
'use strict';
const assert = require('node:assert/strict');
const { spawn, execFile } = require('node:child_process');
const crypto = require('node:crypto');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');

const BINARY = process.env.GATEHOUSE;
const WAIT_MS = 20000;
const keyOf = (first) => Buffer.from(Array.from({ length: 32 }, (_, i) => first + i)).toString('base64');
const KEYS = { primaryKey: keyOf(0), secondaryKey: keyOf(32) };

assert.ok(BINARY && fs.existsSync(BINARY), 'GATEHOUSE must name the installed program: run make check-e2e');

/** A test with a bound on its time. */
function promise(name, body) {
  test(name, { timeout: 120000 }, body);
}

async function within(wait, what, ms = WAIT_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([wait, late]);
  } finally {
    clearTimeout(timer);
  }
}

const deferred = new WeakMap();

/** Does it when the test ends, last first: what runs in a folder is gone before the folder. */
function defer(t, action) {
  if (!deferred.has(t)) {
    const actions = [];
    deferred.set(t, actions);
    t.after(async () => {
      while (actions.length) await actions.pop()();
    });
  }
  deferred.get(t).push(action);
}

function temporaryFolder(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'gatehouse-e2e-'));
  defer(t, () => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs a program to its end: {code, signal, stdout, stderr}. Never rejects for an exit code. */
function run(program, args, { input, env } = {}) {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...env }, timeout: 60000, maxBuffer: 64 << 20 };
    const child = execFile(program, args, options, (error, stdout, stderr) =>
      resolve({ code: child.exitCode, signal: child.signalCode, stdout, stderr }));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

/** The same for the program under test. */
function gatehouse(args, options) {
  return run(BINARY, args, options);
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** A process whose first line on stdout says that it is ready, or that ended before. */
class Daemon {
  constructor(args, { env, prefix = [] } = {}) {
    this.startedAt = process.hrtime.bigint();
    const [program, ...rest] = [...prefix, BINARY, ...args];
    this.child = spawn(program, rest, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.stdout = this.stderr = '';
    this.child.stderr.on('data', (data) => { this.stderr += data; });
    this.exited = once(this.child, 'close').then(([code, signal]) => ({ code, signal }));
    this.firstLine = new Promise((resolve) => {
      this.child.stdout.on('data', (data) => {
        this.stdout += data;
        if (this.stdout.includes('\n')) resolve(this.stdout.split('\n')[0]);
      });
      this.exited.then(() => resolve(null));
    });
  }

  /** Resolves with what stderr holds from a place on, once that has the text. */
  async said(wanted, from = 0) {
    const heard = (async () => {
      while (!this.stderr.slice(from).includes(wanted)) await once(this.child.stderr, 'data');
    })();
    await within(heard, `"${wanted}" on stderr`);
    return this.stderr.slice(from);
  }

  async kill(signal = 'SIGTERM') {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
    return within(this.exited, `the end after ${signal}`);
  }
}

/** `gatehouse dev --json` in a folder, and the management commands over that folder. */
class Gateway {
  static async start(t, { dir = path.join(temporaryFolder(t), 'data'), args = [], port = 0, amqpPort = 0, httpsPort = 0,
    ...options } = {}) {
    const gateway = new Gateway();
    gateway.dir = dir;
    gateway.daemon = new Daemon(['dev', '--dir', dir, '--mqtt-port', String(port), '--amqp-port', String(amqpPort),
      '--https-port', String(httpsPort), '--json', ...args], options);
    defer(t, () => gateway.daemon.kill('SIGKILL'));
    const line = await within(gateway.daemon.firstLine, 'the line of dev --json');
    assert.ok(line, `gatehouse dev ended at once: ${gateway.daemon.stderr}`);
    gateway.info = JSON.parse(line);
    gateway.port = gateway.info.mqttPort;
    gateway.amqpPort = gateway.info.amqpPort;
    gateway.httpsPort = gateway.info.httpsPort;
    gateway.host = gateway.info.hostName;
    gateway.ca = fs.readFileSync(gateway.info.caFile);
    return gateway;
  }

  run(...args) {
    return gatehouse([...args, '--dir', this.dir]);
  }

  /** Runs, demands success, returns the output. */
  async ok(...args) {
    const result = await this.run(...args);
    assert.equal(result.code, 0, `gatehouse ${args.join(' ')}: ${result.stderr}`);
    return result.stdout;
  }

  async importDevices(documents) {
    const file = path.join(this.dir, '..', `import-${crypto.randomUUID()}.json`);
    fs.writeFileSync(file, documents.map((document) => JSON.stringify(document) + '\n').join(''));
    await this.ok('device', 'import', file);
    fs.unlinkSync(file);
  }

  /** One device with the known keys. */
  async addDevice(deviceId, more = {}) {
    await this.importDevices([document(deviceId, more)]);
    return new Device(this, deviceId);
  }

  /** A module with the known keys. */
  async addModule(deviceId, moduleId, more = {}) {
    await this.importDevices([{ ...document(deviceId, more), status: undefined, moduleId }]);
    return new Module(this, deviceId, moduleId);
  }

  /** The first n messages of the queue, as `tail --json` tells them; waits until there are that many. */
  async messages(n) {
    const text = await within(this.ok('tail', '--from', 'earliest', '--count', String(n), '--json'), `${n} messages`);
    return text.trim().split('\n').map((line) => JSON.parse(line));
  }

  /** All there is now. */
  async stored() {
    const text = await this.ok('tail', '--from', 'earliest', '--no-follow', '--json');
    return text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  }
}

function document(deviceId, more = {}) {
  return { deviceId, status: 'enabled', authentication: { type: 'sas', symmetricKey: KEYS }, ...more };
}

function sasToken(resource, key, { expiry = Math.floor(Date.now() / 1000) + 3600, policy } = {}) {
  const sr = encodeURIComponent(resource);
  const mac = crypto.createHmac('sha256', Buffer.from(key, 'base64')).update(`${sr}\n${expiry}`).digest('base64');
  const skn = policy === undefined ? '' : `&skn=${encodeURIComponent(policy)}`;
  return `SharedAccessSignature sr=${sr}&sig=${encodeURIComponent(mac)}&se=${expiry}${skn}`;
}

/** What a device needs to know to connect; its name in MQTT is its id. */
class Device {
  constructor(gateway, deviceId, key = KEYS.primaryKey) {
    Object.assign(this, { gateway, deviceId, key });
  }

  get clientId() {
    return this.deviceId;
  }

  get userName() {
    return `${this.gateway.host}/${this.clientId}/?api-version=2021-04-12`;
  }

  get topic() {
    return `devices/${this.deviceId}/messages/events/`;
  }

  get resource() {
    return `${this.gateway.host}/devices/${this.deviceId}`;
  }

  token(options) {
    return sasToken(this.resource, this.key, options);
  }

  get connectionString() {
    return `HostName=${this.gateway.host};DeviceId=${this.deviceId};SharedAccessKey=${this.key};` +
      `GatewayHostName=localhost:${this.gateway.port}`;
  }
}

/** The same for a module of it. */
class Module extends Device {
  constructor(gateway, deviceId, moduleId, key = KEYS.primaryKey) {
    super(gateway, deviceId, key);
    this.moduleId = moduleId;
  }

  get clientId() {
    return `${this.deviceId}/${this.moduleId}`;
  }

  get topic() {
    return `devices/${this.deviceId}/modules/${this.moduleId}/messages/events/`;
  }

  get resource() {
    return `${this.gateway.host}/devices/${this.deviceId}/modules/${this.moduleId}`;
  }
}

function residentKilobytes(pid, field = 'VmRSS') {
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}

/** Starts a measurement: the function returned tells by how many KiB the process was larger at its largest since. */
function memoryPeak(pid) {
  fs.writeFileSync(`/proc/${pid}/clear_refs`, '5'); // VmHWM starts anew
  const before = residentKilobytes(pid);
  return () => residentKilobytes(pid, 'VmHWM') - before;
}

module.exports = {
  BINARY, KEYS, Daemon, Device, Gateway, Module, defer, document, freePort, gatehouse, keyOf, memoryPeak, promise, residentKilobytes,
  run, sasToken, temporaryFolder, within,
};
