// websocket_client.js - WebSocket over TLS (RFC 6455), as plain as can be: it sends what it is told, also what no library
// would send, and tells what came back. Also MQTT on top of it.
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { within } = require('./gateway');
const { HttpsClient, present } = require('./https_client');
const { MqttClient } = require('./mqtt_client');

const PATH = '/$iothub/websocket';
const CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;
const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);
const SERVER_FRAME_MAX = 4096, CONTROL_MAX = 125;

// ---- frames ----

/** What stands before a payload. `mask` null: not masked; `bits` 7, 16 or 64: how the length is written, else as short as
 *  can be. */
function frameHead(opcode, length, { fin = true, rsv = 0, mask = MASK, bits } = {}) {
  const width = bits ?? (length < 126 ? 7 : length < 65536 ? 16 : 64);
  const written = Buffer.alloc(width === 7 ? 0 : width / 8);
  if (width === 16) written.writeUInt16BE(length);
  if (width === 64) written.writeBigUInt64BE(BigInt(length));
  const short = { 7: length, 16: 126, 64: 127 }[width];
  return Buffer.concat([Buffer.from([(fin ? 0x80 : 0) | (rsv << 4) | opcode, (mask ? 0x80 : 0) | short]), written,
    mask ?? Buffer.alloc(0)]);
}

function masked(payload, mask) {
  return mask ? payload.map((byte, i) => byte ^ mask[i % 4]) : payload;
}

function frame(opcode, payload = '', options = {}) {
  const bytes = Buffer.from(payload), { mask = MASK } = options;
  return Buffer.concat([frameHead(opcode, bytes.length, options), masked(bytes, mask)]);
}

function binary(payload, options) {
  return frame(BINARY, payload, options);
}

/** One message in fragments of so many bytes. */
function fragments(payload, size, opcode = BINARY) {
  const parts = pieces(payload, size);
  return parts.map((part, i) => frame(i ? CONTINUATION : opcode, part, { fin: i === parts.length - 1 }));
}

function close(code, reason = '') {
  if (code === undefined) return frame(CLOSE);
  return frame(CLOSE, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]));
}

function pieces(bytes, size) {
  const parts = [];
  for (let at = 0; at < bytes.length; at += size) parts.push(bytes.subarray(at, at + size));
  return parts;
}

/** A frame that a server may send, or undefined when not all of it is there. */
function readFrame(bytes) {
  if (bytes.length < 2) return undefined;
  const [first, second] = bytes;
  const fin = (first & 0x80) !== 0, opcode = first & 15;
  assert.equal(first & 0x70, 0, 'reserved bits from the server');
  assert.ok([CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG].includes(opcode), `opcode ${opcode} from the server`);
  assert.equal(second & 0x80, 0, 'a masked frame from the server');
  assert.notEqual(second, 127, 'a frame of 64 KiB or more from the server');
  if (opcode >= CLOSE) assert.ok(fin && second <= CONTROL_MAX, 'a control frame in parts, or a long one, from the server');
  const begin = second === 126 ? 4 : 2;
  if (bytes.length < begin) return undefined;
  const length = second === 126 ? bytes.readUInt16BE(2) : second;
  assert.ok(second < 126 || length >= 126, `a length of ${length} in 16 bits from the server`);
  assert.ok(length <= SERVER_FRAME_MAX, `a payload of ${length} bytes from the server`);
  if (bytes.length < begin + length) return undefined;
  return { fin, opcode, payload: bytes.subarray(begin, begin + length), end: begin + length };
}

/** The code of a Close frame, or null when it has none. */
function closeCode({ payload }) {
  assert.notEqual(payload.length, 1, 'half a close code from the server');
  return payload.length ? payload.readUInt16BE(0) : null;
}

// ---- the handshake ----

/** The bytes of a handshake for MQTT. A field that is undefined is left out; one that is an array comes several times. */
function handshakeBytes(key, { path = PATH, method = 'GET', version = 'HTTP/1.1', fields = {}, spelled = String } = {}) {
  const all = { Host: 'localhost', Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Key': key,
    'Sec-WebSocket-Version': 13, 'Sec-WebSocket-Protocol': 'mqtt', ...fields };
  const lines = present(all).flatMap(([name, value]) => [value].flat().map((one) => `${spelled(name)}: ${one}\r\n`));
  return Buffer.from(`${method} ${path} ${version}\r\n${lines.join('')}\r\n`, 'latin1');
}

function acceptOf(key) {
  return crypto.createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

/** HTTP until it is upgraded; then `next` gives frames: {fin, opcode, payload}. */
class WebSocketClient extends HttpsClient {
  /** Opens and asks; client.answer is what came back, null when it was closed without. `behind` goes out in the same write. */
  static async upgrade(gateway, { tls, behind = [], ...handshake } = {}) {
    const client = await this.open(gateway, tls);
    const key = crypto.randomBytes(16).toString('base64');
    client.send(Buffer.concat([handshakeBytes(key, handshake), ...behind]));
    client.answer = await client.next();
    if (client.upgraded) assert.equal(client.answer.fields['sec-websocket-accept'], acceptOf(key));
    return client;
  }

  takeOne() {
    if (!this.upgraded) return super.takeOne();
    const found = readFrame(this.buffered);
    if (!found) return false;
    this.buffered = this.buffered.subarray(found.end);
    this.give(found);
    return true;
  }

  give(answer) {
    if (answer.status === 101) this.upgraded = true;
    super.give(answer);
  }

  send(...bytes) {
    super.send(Buffer.concat(bytes));
  }

  /** All frames up to the end of the stream; a Close frame is answered, unless one was sent. */
  async rest({ closing = false } = {}) {
    const frames = [];
    for (let found = await this.next(); found; found = await this.next()) {
      frames.push(found);
      if (found.opcode === CLOSE && !closing) this.socket.end(frame(CLOSE, found.payload));
    }
    return frames;
  }
}

// ---- MQTT on top ----

/** What data frames carry is the stream of MQTT; control frames are kept aside. A packet goes out in a frame of its own. */
class MqttOverWebSocket extends MqttClient {
  static async open(gateway, options = {}) {
    const client = new this();
    client.web = await WebSocketClient.upgrade(gateway, options);
    assert.equal(client.web.answer?.status, 101);
    Object.assign(client, { socket: client.web.socket, closed: client.web.closed, controls: [], controlTakers: [] });
    client.web.answers.splice(0).forEach((found) => client.sort(found));
    client.web.give = (found) => client.sort(found);
    client.closed.then(() => [...client.waiting.splice(0), ...client.controlTakers.splice(0)].forEach((give) => give(null)));
    return client;
  }

  sort(found) {
    if (found.opcode < CLOSE) return this.take(found.payload);
    const give = this.controlTakers.shift();
    if (give) give(found); else this.controls.push(found);
  }

  send(...packets) {
    this.web.send(...packets.map((bytes) => binary(bytes)));
  }

  /** The next control frame, or null when the server closes. */
  nextControl(ms) {
    if (this.controls.length) return Promise.resolve(this.controls.shift());
    if (this.socket.destroyed) return Promise.resolve(null);
    return within(new Promise((resolve) => this.controlTakers.push(resolve)), 'a control frame', ms);
  }

  /** The code of the server's Close, which is answered, and the end of the stream; undefined when there was no Close. */
  async closing() {
    const found = await this.nextControl();
    if (found) {
      assert.equal(found.opcode, CLOSE);
      this.socket.end(frame(CLOSE, found.payload));
    }
    await this.isClosed();
    return found ? closeCode(found) : undefined;
  }

  /** Politely: DISCONNECT, then the server closes. */
  async leave() {
    this.send(Buffer.from([0xe0, 0]));
    return this.closing();
  }
}

module.exports = { BINARY, CLOSE, CONTINUATION, MASK, MqttOverWebSocket, PATH, PING, PONG, TEXT, WebSocketClient, binary, close,
  closeCode, fragments, frame, frameHead, handshakeBytes, pieces };
