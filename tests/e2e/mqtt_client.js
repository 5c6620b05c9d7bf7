// mqtt_client.js - MQTT 3.1.1 over TLS, as plain as can be: it sends what it is told, also what no library would send,
// and tells what came back.
'use strict';
const { once } = require('node:events');
const tls = require('node:tls');
const { within } = require('./gateway');

const CONNACK = 2, PUBACK = 4, SUBACK = 9, UNSUBACK = 11, PINGRESP = 13;

function text(value) {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
}

function packet(first, ...parts) {
  const body = Buffer.concat(parts);
  const length = [];
  let rest = body.length;
  do {
    length.push((rest % 128) | (rest >= 128 ? 128 : 0));
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return Buffer.concat([Buffer.from([first, ...length]), body]);
}

function connectPacket({ clientId, userName, password, clean = true, keepAlive = 60, will, level = 4, protocol = 'MQTT' }) {
  const flags = (userName !== undefined ? 0x80 : 0) | (password !== undefined ? 0x40 : 0) | (clean ? 2 : 0) |
    (will ? 4 | ((will.qos ?? 0) << 3) | (will.retain ? 0x20 : 0) : 0);
  const parts = [text(protocol), Buffer.from([level, flags, keepAlive >> 8, keepAlive & 255]), text(clientId)];
  if (will) parts.push(text(will.topic), text(will.body));
  if (userName !== undefined) parts.push(text(userName));
  if (password !== undefined) parts.push(text(password));
  return packet(0x10, ...parts);
}

/** The CONNECT of a device with a good token, but for what is given. */
function connectOf(device, options = {}) {
  return connectPacket({ clientId: device.clientId, userName: device.userName,
    password: options.password ?? device.token(), ...options });
}

/** Resolves when the socket is closed, for whatever reason: `once` would reject for an error. */
function closeOf(socket) {
  return new Promise((resolve) => socket.on('error', () => {}).once('close', resolve));
}

class MqttClient {
  constructor() {
    this.buffered = Buffer.alloc(0);
    this.packets = [];
    this.waiting = [];
    this.nextId = 1;
  }

  /** Opens the TLS connection only. */
  static async open(gateway, options = {}) {
    const client = new this();
    client.socket = tls.connect({ host: '127.0.0.1', port: gateway.port, servername: 'localhost', ca: gateway.ca,
      ...options });
    client.socket.on('data', (data) => client.take(data));
    client.closed = closeOf(client.socket);
    client.closed.then(() => client.waiting.splice(0).forEach((give) => give(null)));
    await within(Promise.race([once(client.socket, 'secureConnect'), client.closed]), 'the TLS handshake');
    return client;
  }

  /** Opens and sends CONNECT as the device; client.code is what CONNACK said, null when it was closed without. */
  static async connect(device, { tls: tlsOptions, ...options } = {}) {
    const client = await this.open(device.gateway, tlsOptions);
    client.send(connectOf(device, options));
    const answer = await client.next();
    client.code = answer && answer.type === CONNACK ? answer.body[1] : null;
    client.sessionPresent = answer ? answer.body[0] & 1 : 0;
    return client;
  }

  take(data) {
    this.buffered = Buffer.concat([this.buffered, data]);
    for (;;) {
      let length = 0, at = 1, shift = 0;
      do {
        if (at >= this.buffered.length) return;
        length |= (this.buffered[at] & 127) << shift;
        shift += 7;
      } while (this.buffered[at++] & 128);
      if (this.buffered.length < at + length) return;
      const found = { type: this.buffered[0] >> 4, body: this.buffered.subarray(at, at + length) };
      this.buffered = this.buffered.subarray(at + length);
      const give = this.waiting.shift();
      if (give) give(found); else this.packets.push(found);
    }
  }

  /** The next packet, or null when the server closes. */
  next(ms) {
    if (this.packets.length) return Promise.resolve(this.packets.shift());
    if (this.socket.destroyed) return Promise.resolve(null);
    return within(new Promise((resolve) => this.waiting.push(resolve)), 'an answer', ms);
  }

  send(bytes) {
    this.socket.write(bytes);
  }

  /** True once the server has closed the connection. */
  async isClosed() {
    await within(this.closed, 'the close');
    return true;
  }

  publishPacket(topic, body, { qos = 1, retain = false, dup = false } = {}) {
    const id = this.nextId++;
    const first = 0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
    const idBytes = qos ? [Buffer.from([id >> 8, id & 255])] : [];
    return packet(first, text(topic), ...idBytes, Buffer.from(body));
  }

  /** With QoS 1: true when acknowledged, false when the server closed instead. */
  async publish(topic, body, options = {}) {
    const expected = this.nextId;
    this.send(this.publishPacket(topic, body, options));
    if (options.qos === 0) return true;
    const answer = await this.next();
    return answer !== null && answer.type === PUBACK && answer.body.readUInt16BE(0) === expected;
  }

  /** The granted codes, or null when the server closed. */
  async subscribe(...filters) {
    const id = this.nextId++;
    this.send(packet(0x82, Buffer.from([id >> 8, id & 255]),
      ...filters.map(([filter, qos]) => Buffer.concat([text(filter), Buffer.from([qos])]))));
    const answer = await this.next();
    return answer && answer.type === SUBACK ? [...answer.body.subarray(2)] : null;
  }

  /** True when acknowledged, false when the server closed instead. */
  async unsubscribe(...filters) {
    const id = this.nextId++;
    this.send(packet(0xa2, Buffer.from([id >> 8, id & 255]), ...filters.map(text)));
    const answer = await this.next();
    return answer !== null && answer.type === UNSUBACK && answer.body.readUInt16BE(0) === id;
  }

  async ping() {
    this.send(Buffer.from([0xc0, 0]));
    const answer = await this.next();
    return answer !== null && answer.type === PINGRESP;
  }

  /** Politely: DISCONNECT, then the server closes. */
  async leave() {
    this.socket.end(Buffer.from([0xe0, 0]));
    await within(this.closed, 'the close after DISCONNECT');
  }

  /** The socket is gone, as after a power cut. */
  async drop() {
    this.socket.destroy();
    await this.closed;
  }
}

module.exports = { MqttClient, closeOf, connectOf, connectPacket, packet, text };
