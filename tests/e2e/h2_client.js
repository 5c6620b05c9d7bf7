// h2_client.js - HTTP/2 over TLS frame by frame: it sends what it is told, also what no library would send, and notes how
// the server ended the connection.
'use strict';
const tls = require('node:tls');
const { once } = require('node:events');
const { within } = require('./gateway');
const { closeOf } = require('./mqtt_client');

const DATA = 0, HEADERS = 1, PRIORITY = 2, RST_STREAM = 3, SETTINGS = 4, PUSH_PROMISE = 5, PING = 6, GOAWAY = 7,
  WINDOW_UPDATE = 8,
  CONTINUATION = 9;
const END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8, WITH_PRIORITY = 0x20;
const CANCEL = 8;
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

function number32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A frame; the payload is bytes, or numbers of 32 bits. */
function frame(type, flags, stream, ...payload) {
  const body = Buffer.concat(payload.map((part) => (typeof part === 'number' ? number32(part) : Buffer.from(part))));
  return Buffer.concat([number32(body.length).subarray(1), Buffer.from([type, flags]), number32(stream), body]);
}

function setting(id, value) {
  return Buffer.concat([Buffer.from([id >> 8, id & 255]), number32(value)]);
}

/** HPACK: a number with a prefix of so many bits, behind the bits in front of it. */
function hpackNumber(value, bits, first = 0) {
  const limit = (1 << bits) - 1;
  if (value < limit) return Buffer.from([first | value]);
  const bytes = [first | limit];
  for (value -= limit; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return Buffer.from([...bytes, value]);
}

/** HPACK: fields as literals, which no table keeps, or with `kept` the dynamic one. */
function headerBlock(fields, { kept = false } = {}) {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([kept ? 0x40 : 0]),
    ...[name, value].flatMap((part) => [hpackNumber(Buffer.byteLength(part), 7), Buffer.from(part)])]));
}

/** The fields of a request as HTTP/2 wants them. */
function requestFields({ method, path, fields = {} }) {
  return [[':method', method], [':scheme', 'https'], [':path', path], [':authority', 'localhost'],
    ...Object.entries(fields).filter(([, value]) => value !== undefined).map(([name, value]) =>
    [name.toLowerCase(), String(value)])];
}

class H2Client {
  /** Opens the TLS connection and says hello, unless told otherwise. */
  static async open(gateway, { hello = Buffer.concat([PREFACE, frame(SETTINGS, 0, 0)]) } = {}) {
    const client = new H2Client();
    client.socket = tls.connect({ host: '127.0.0.1', port: gateway.httpsPort, servername: 'localhost', ca: gateway.ca,
      ALPNProtocols: ['h2'] });
    client.buffered = Buffer.alloc(0);
    client.frames = [];
    client.waiting = [];
    client.goaway = null;
    client.socket.on('data', (data) => client.take(data));
    client.closed = closeOf(client.socket);
    client.closed.then(() => client.waiting.splice(0).forEach((give) => give(null)));
    await within(Promise.race([once(client.socket, 'secureConnect'), client.closed]), 'the TLS handshake');
    client.send(hello);
    return client;
  }

  take(data) {
    this.buffered = Buffer.concat([this.buffered, data]);
    while (this.buffered.length >= 9) {
      const length = this.buffered.readUIntBE(0, 3);
      if (this.buffered.length < 9 + length) return;
      const found = { type: this.buffered[3], flags: this.buffered[4], stream: this.buffered.readUInt32BE(5),
        payload: this.buffered.subarray(9, 9 + length) };
      this.buffered = this.buffered.subarray(9 + length);
      if (found.type === GOAWAY) this.goaway = found.payload.readUInt32BE(4);
      const give = this.waiting.shift();
      if (give) give(found); else this.frames.push(found);
    }
  }

  send(...frames) {
    this.socket.write(Buffer.concat(frames));
  }

  next() {
    if (this.frames.length) return Promise.resolve(this.frames.shift());
    if (this.socket.destroyed) return Promise.resolve(null);
    return within(new Promise((resolve) => this.waiting.push(resolve)), 'a frame');
  }

  /** The next frame of a type, or null when the server closes. */
  async nextOf(type) {
    for (;;) {
      const found = await this.next();
      if (!found || found.type === type) return found;
    }
  }

  /** Sends pieces until the server has closed; how many it took. */
  async flood(count, piece) {
    let sent = 0;
    while (sent < count && !this.socket.destroyed)
      if (!this.socket.write(piece(sent++)))
        await within(Promise.race([new Promise((resolve) => this.socket.once('drain', resolve)), this.closed]),
          'the server reads or closes');
    await this.end();
    return sent;
  }

  /** Waits until the server closes; the code of its GOAWAY, null when none came through. */
  async end() {
    await within(this.closed, 'the close');
    return this.goaway;
  }

  async drop() {
    this.socket.destroy();
    await this.closed;
  }
}

module.exports = { ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, H2Client, HEADERS, PADDED, PING, PREFACE,
  PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, WITH_PRIORITY, frame, headerBlock, hpackNumber, requestFields,
  setting };
