// serve.js - `gatehouse serve` with a configuration of its own, for tests that need another limit or more workers.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { once } = require('node:events');
const { Daemon, Device, Gateway, defer, document, freePort, gatehouse, run, temporaryFolder, within } = require('./gateway');

const FAULTS = process.env.GATEHOUSE_FAULTS_LIBRARY; // a disk that fails on demand: tests/faults/faults.c
assert.ok(FAULTS && fs.existsSync(FAULTS), 'GATEHOUSE_FAULTS_LIBRARY must name the interposer: run make check-e2e');

/** The environment in which calls on files below a folder fail as the rules say. */
function failing(folder, rules) {
  return { LD_PRELOAD: FAULTS, GATEHOUSE_FAULTS_ROOT: folder, GATEHOUSE_FAULTS: rules };
}

async function certificate(folder) {
  const files = { certificateFile: path.join(folder, 'server.pem'), keyFile: path.join(folder, 'server.key') };
  const made = await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', files.keyFile,
    '-out', files.certificateFile]);
  assert.equal(made.code, 0, made.stderr);
  return files;
}

/** Writes gatehouse.yaml into a folder with its own certificate; `more` are lines at the top level. Without amqpPort it has
 *  no AMQP listener, without httpsPort none for HTTPS. */
async function configuration(t, { port = 0, amqpPort, httpsPort, origins = [], tlsFiles, more = [] } = {}) {
  const amqp = `  amqp: {address: 127.0.0.1, port: ${amqpPort}}`;
  const https = `  https: {address: 127.0.0.1, port: ${httpsPort}, origins: ${JSON.stringify(origins)}}`;
  const folder = temporaryFolder(t);
  const files = tlsFiles ?? await certificate(folder);
  const file = path.join(folder, 'gatehouse.yaml');
  fs.writeFileSync(file, ['hostName: localhost', 'dataDir: data', 'tls:', `  certificateFile: ${files.certificateFile}`,
    `  keyFile: ${files.keyFile}`, 'listeners:', '  mqtt:', '    address: 127.0.0.1', `    port: ${port}`,
    ...(amqpPort === undefined ? [] : [amqp]), ...(httpsPort === undefined ? [] : [https]), ...more, ''].join('\n'));
  return { file, folder, ca: files.certificateFile };
}

async function listening(port, daemon) {
  for (;;) {
    const socket = net.connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      socket.destroy();
      return;
    } catch (error) {
      const { exitCode, signalCode } = daemon.child;
      assert.ok(exitCode === null && signalCode === null, `serve ended: ${daemon.stderr}`);
    }
  }
}

/** The same as Gateway for one that was started with `serve`: its commands name the configuration, not the folder. */
class Served extends Gateway {
  run(...args) {
    return gatehouse([...args, '-c', this.file]);
  }

  device(deviceId = 'dev') {
    return new Device(this, deviceId);
  }
}

/** `serve` on a known port with one device, or those given. `prepare` gives options of the process. */
async function serve(t, { prepare, devices = ['dev'], ...options } = {}) {
  const gateway = new Served();
  gateway.port = await freePort();
  gateway.amqpPort = options.amqpPort;
  gateway.httpsPort = options.httpsPort;
  gateway.host = 'localhost';
  const { file, folder, ca } = await configuration(t, { port: gateway.port, ...options });
  Object.assign(gateway, { file, folder, dir: path.join(folder, 'data'), ca: fs.readFileSync(ca) });
  const imported = await gatehouse(['device', 'import', '-', '-c', file],
    { input: devices.map((id) => JSON.stringify(document(id)) + '\n').join('') });
  assert.equal(imported.code, 0, imported.stderr);
  gateway.daemon = new Daemon(['serve', '-c', file], prepare?.(folder));
  defer(t, () => gateway.daemon.kill('SIGKILL'));
  for (const port of [gateway.port, gateway.amqpPort ?? [], gateway.httpsPort ?? []].flat())
    await within(listening(port, gateway.daemon), 'serve listens');
  return gateway;
}

module.exports = { certificate, configuration, failing, serve };
