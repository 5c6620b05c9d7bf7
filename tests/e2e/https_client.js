// https_client.js - HTTP over TLS, as plain as can be: it sends what it is told, also what no library would send, and
// tells what came back. Also the requests of devices and back ends, and curl.
'use strict';
const assert = require('node:assert/strict');
const http2 = require('node:http2');
const tls = require('node:tls');
const { once } = require('node:events');
const { run, sasToken, within } = require('./gateway');
const { closeOf } = require('./mqtt_client');

const API = 'api-version=2021-04-12';
const BATCH_TYPE = 'application/vnd.microsoft.iothub.json';

// ---- requests ----

/** A telemetry request of a device; a field that is undefined is left out. */
function telemetry(device, body, fields = {}) {
  return { method: 'POST', path: `/devices/${encodeURIComponent(device.deviceId)}/messages/events?${API}`,
    fields: { Authorization: device.token(), ...fields }, body };
}

/** The same for many messages: items of the batch's array. */
function telemetryBatch(device, items, fields = {}) {
  return telemetry(device, JSON.stringify(items), { 'Content-Type': BATCH_TYPE, ...fields });
}

/** A token of a back end: the key is that of the connection string that `dev` prints, unless another is given. */
function serviceToken(gateway, { policy = 'iothubowner', key, resource = gateway.host, ...options } = {}) {
  return sasToken(resource, key ?? /SharedAccessKey=(.*)$/.exec(gateway.info.serviceConnectionString)[1],
    { policy, ...options });
}

/** A request of a back end; a body becomes JSON. */
function service(gateway, method, path, body, fields = {}) {
  return { method, path: `${path}${path.includes('?') ? '&' : '?'}${API}`, body: body && JSON.stringify(body),
    fields: { Authorization: gateway.info && serviceToken(gateway),
    ...(body && { 'Content-Type': 'application/json; charset=utf-8' }), ...fields } };
}

function present(fields) {
  return Object.entries(fields).filter(([, value]) => value !== undefined);
}

/** The bytes of a request of HTTP/1.1, names in the spelling they have; a body gets its length. */
function requestBytes({ method, path, fields = {}, body }) {
  const length = body === undefined ? [] : [['Content-Length', Buffer.byteLength(body)]];
  const lines = [['Host', 'localhost'], ...present(fields), ...length].map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`), Buffer.from(body ?? '')]);
}

// ---- HTTP/1.1 ----

class Answer {
  constructor(status, fields, body) {
    Object.assign(this, { status, fields, body });
  }

  get json() {
    return JSON.parse(this.body);
  }

  /** What stands for the reason in a refusal of the hub. */
  get errorCode() {
    return this.fields['iothub-errorcode'];
  }
}

function readHead(text) {
  const [line, ...rest] = text.split('\r\n');
  const fields = {};
  for (const field of rest) {
    const [, name, value] = /^([^:\s]+):\s*(.*)$/.exec(field);
    fields[name.toLowerCase()] = value;
  }
  return { status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(line)[1]), fields };
}

class HttpsClient {
  /** Opens the TLS connection only. */
  static async open(gateway, options = {}) {
    const client = new this();
    client.socket = tls.connect({ host: '127.0.0.1', port: gateway.httpsPort, servername: 'localhost', ca: gateway.ca,
      ...options });
    client.buffered = Buffer.alloc(0);
    client.answers = [];
    client.waiting = [];
    client.socket.on('data', (data) => client.take(data));
    client.closed = closeOf(client.socket);
    client.closed.then(() => client.waiting.splice(0).forEach((give) => give(null)));
    await within(Promise.race([once(client.socket, 'secureConnect'), client.closed]), 'the TLS handshake');
    return client;
  }

  take(data) {
    this.buffered = Buffer.concat([this.buffered, data]);
    while (this.takeOne());
  }

  /** False when not all of it is there. */
  takeOne() {
    const end = this.buffered.indexOf('\r\n\r\n');
    if (end < 0) return false;
    const { status, fields } = readHead(this.buffered.toString('latin1', 0, end));
    const bare = status < 200 || status === 204;
    assert.equal(fields['content-length'] === undefined, bare, `${status} with length ${fields['content-length']}`);
    const length = bare ? 0 : Number(fields['content-length']), begin = end + 4;
    if (this.buffered.length < begin + length) return false;
    this.give(new Answer(status, fields, this.buffered.toString('utf8', begin, begin + length)));
    this.buffered = this.buffered.subarray(begin + length);
    return true;
  }

  give(answer) {
    const taker = this.waiting.shift();
    if (taker) taker(answer); else this.answers.push(answer);
  }

  send(bytes) {
    this.socket.write(bytes);
  }

  /** The next answer, or null when the server closes. */
  next(ms) {
    if (this.answers.length) return Promise.resolve(this.answers.shift());
    if (this.socket.destroyed) return Promise.resolve(null);
    return within(new Promise((resolve) => this.waiting.push(resolve)), 'an answer', ms);
  }

  ask(request) {
    this.send(requestBytes(request));
    return this.next();
  }

  /** True once the server has closed the connection. */
  async isClosed() {
    await within(this.closed, 'the close');
    return true;
  }

  /** The socket is gone, as after a power cut. */
  async drop() {
    this.socket.destroy();
    await this.closed;
  }
}

/** One request on a connection of its own. */
async function ask(gateway, request) {
  const client = await HttpsClient.open(gateway, { ALPNProtocols: ['http/1.1'] });
  const answer = await client.ask(request);
  await client.drop();
  return answer;
}

// ---- HTTP/2, with Node's client ----

/** One request on a connection of its own. Names become lower-case and values lose blanks around them, as HTTP/2 demands. */
async function askHttp2(gateway, request) {
  const session = http2.connect(`https://localhost:${gateway.httpsPort}`, { ca: gateway.ca });
  const failed = once(session, 'error').then(([error]) => { throw error; });
  failed.catch(() => {});
  try {
    return await within(Promise.race([askSession(session, request), failed]), 'an answer over HTTP/2');
  } finally {
    session.destroy();
  }
}

/** One of many on a session. */
async function askSession(session, { method, path, fields = {}, body }) {
  const sent = present(fields).map(([name, value]) => [name.toLowerCase(),
    Buffer.from(String(value).trim()).toString('latin1')]);
  const stream = session.request({ ':method': method, ':path': path, ...Object.fromEntries(sent) },
    { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  const closed = once(stream, 'close').then(() => { throw new Error('the stream was closed without an answer'); });
  closed.catch(() => {});
  const [{ ':status': status, ...answered }] = await Promise.race([once(stream, 'response'), closed]);
  let text = '';
  for await (const data of stream.setEncoding('utf8')) text += data;
  return new Answer(status, answered, text);
}

// ---- curl ----

/** curl with the gateway's CA; `path` behind the host. Demands that it ended well. */
async function curl(gateway, path, args) {
  const result = await run('curl', ['-sS', '--cacert', gateway.info.caFile, ...args,
    `https://localhost:${gateway.httpsPort}${path}`]);
  assert.equal(result.code, 0, result.stderr);
  return result.stdout;
}

module.exports = { API, Answer, BATCH_TYPE, HttpsClient, ask, askHttp2, askSession, curl, present, requestBytes, service,
  serviceToken, telemetry, telemetryBatch };
