// amqp_client.js - AMQP 1.0 for tests: rhea, with a promise for each answer. It sends what it is told, and tells what came back.
'use strict';
const assert = require('node:assert/strict');
const https = require('node:https');
const rhea = require('rhea');
const WebSocket = require('ws');
const { defer, within } = require('./gateway');

const BATCH_FORMAT = 0x80013700;
const TOKEN_TYPE = 'servicebus.windows.net:sastoken';
const OUTCOMES = ['accepted', 'rejected', 'released', 'modified'];

/** A SASL mechanism of one step: its name, and what it says first. */
function mechanism(name, response) {
  return { sasl_mechanisms: { [name]: () => ({ start: (done) => done(undefined, response) }) } };
}

/** What the options of rhea need to know of where to connect. */
function place(gateway, web, query) {
  if (!web) return { port: gateway.amqpPort, transport: 'tls', ca: gateway.ca };
  const agent = new https.Agent({ ca: gateway.ca, port: gateway.httpsPort });
  const connect = rhea.create_container().websocket_connect(WebSocket);
  return { connection_details: connect(`wss://localhost:${gateway.httpsPort}/$iothub/websocket${query}`, 'AMQPWSB10', { agent }) };
}

/** The error of an endpoint that the peer closed, as plain values. */
function errorOf(error) {
  return error && { condition: error.condition, description: error.description, info: error.info };
}

class AmqpClient {
  /** Opens a connection and waits for OPEN; without user name and mechanism no SASL is spoken. client.refused says why not. */
  static async connect(t, gateway, { web = false, query = '', ...options } = {}) {
    const client = new AmqpClient();
    Object.assign(client, { gateway, outcomes: new Map(), detached: [] });
    client.container = rhea.create_container({ id: options.container_id ?? 'amqp-client' });
    client.container.on('error', () => {}); // what nobody listens for
    const opened = client.next('connection_open');
    client.ended = new Promise((resolve) => { // by a CLOSE, or without one
      client.container.once('connection_close', ({ connection, error }) => resolve(error ?? errorOf(connection.error) ?? null));
      client.container.on('disconnected', ({ error }) => resolve(error ?? null));
    });
    client.ended.then(() => client.outcomes.forEach((resolve) => resolve({ outcome: 'lost' })));
    for (const outcome of [...OUTCOMES, 'settled']) client.container.on(outcome, (context) => client.settle(outcome, context));
    for (const name of ['sender_close', 'receiver_close'])
      client.container.on(name, (context) => client.closed(context.sender ?? context.receiver));
    for (const name of ['sender_error', 'receiver_error', 'session_error', 'connection_error', 'protocol_error'])
      client.container.on(name, () => {}); // told by the close that comes with it
    client.connection = client.container.connect({ host: 'localhost', hostname: gateway.host, servername: 'localhost',
      reconnect: false, ...place(gateway, web, query), ...options });
    defer(t, () => client.drop());
    client.refused = await within(Promise.race([opened.then(() => undefined), client.ended.then((error) => error ?? 'closed')]),
      'OPEN');
    return client;
  }

  /** The next event of that name on this connection. */
  next(name, matches = () => true) {
    return within(new Promise((resolve) => {
      const listen = (context) => {
        if (!matches(context)) return;
        this.container.removeListener(name, listen);
        resolve(context);
      };
      this.container.on(name, listen);
    }), name);
  }

  session() {
    const session = this.connection.create_session();
    session.begin();
    return session;
  }

  // ---- links ----

  /** The error with which the peer closed a link, or undefined. */
  closed(link) {
    this.detached.push({ address: (link.local.attach.target ?? link.local.attach.source).address, error: errorOf(link.error) });
    link.gone?.(errorOf(link.error));
    for (const [delivery, resolve] of this.outcomes)
      if (delivery.link === link) resolve({ outcome: 'detached', error: errorOf(link.error) });
  }

  /** A sending link to an address that was let in. */
  async sender(address, options = {}) {
    const link = await this.attach('sender', { target: { address }, ...options });
    assert.equal(link.refused, undefined, `${address}: ${JSON.stringify(link.refused)}`);
    return link;
  }

  /** Attaches: link.refused is the error when it was refused, undefined when it stands. */
  async attach(kind, { session = this.connection, ...options }) {
    const link = session[`open_${kind}`]({ autosettle: kind === 'receiver', ...options });
    link.wasDetached = new Promise((resolve) => { link.gone = resolve; });
    await within(Promise.race([this.next(`${kind}_open`, (context) => context[kind] === link), this.ended]), `${kind}_open`);
    const { source, target } = link.remote.attach ?? {};
    const refused = kind === 'sender' ? !target?.address : !source?.address;
    if (refused) link.refused = await within(link.wasDetached, 'the DETACH that refuses');
    return link;
  }

  /** What an address and a role are answered with: the condition, or undefined. */
  async refusal(kind, address, options = {}) {
    const end = kind === 'sender' ? 'target' : 'source';
    const link = await this.attach(kind, { [end]: { address }, ...options });
    if (link.refused) return link.refused.condition ?? '';
    const gone = link.wasDetached;
    link.close();
    await within(gone, 'DETACH');
    return undefined;
  }

  // ---- deliveries ----

  settle(outcome, { delivery }) {
    const resolve = this.outcomes.get(delivery);
    if (!resolve) return;
    this.outcomes.delete(delivery);
    resolve({ outcome, error: errorOf(delivery.remote_state?.error) });
  }

  /** Sends: resolves with {outcome, error}. With a format the message is bytes. */
  send(sender, message, { format, tag } = {}) {
    const delivery = sender.send(message, tag, format);
    return within(new Promise((resolve) => this.outcomes.set(delivery, resolve)), 'the outcome', 60000);
  }

  async accepted(sender, message, options) {
    const { outcome, error } = await this.send(sender, message, options);
    assert.equal(outcome, 'accepted', JSON.stringify(error));
  }

  // ---- tokens ----

  /** The pair of links of $cbs. */
  async openCbs() {
    this.requests = await this.sender('$cbs');
    this.replies = await this.attach('receiver', { source: { address: '$cbs' }, credit_window: 1000 });
    assert.equal(this.replies.refused, undefined);
  }

  /** Any request; resolves with the answer to it. */
  async ask(properties, body, { id = rhea.generate_uuid(), data = false } = {}) {
    if (!this.requests) await this.openCbs();
    const answered = this.next('message', ({ receiver, message }) => receiver === this.replies &&
      String(message.correlation_id) === String(id.value ?? id));
    this.requests.send({ message_id: id, reply_to: 'cbs', application_properties: properties,
      body: data ? rhea.message.data_section(Buffer.from(body)) : body });
    return (await answered).message;
  }

  async putToken(name, token, options) {
    return this.ask({ operation: 'put-token', type: TOKEN_TYPE, name }, token, options);
  }

  /** The token of a device or module is put, and taken. */
  async prove(device, token = device.token()) {
    const { application_properties: said } = await this.putToken(encodeURIComponent(device.resource), token);
    assert.equal(said['status-code'], 200, said['status-description']);
  }

  // ---- the end ----

  async leave() {
    this.connection.close();
    await within(this.ended, 'the end of the connection');
  }

  /** The socket is gone, as after a power cut, and so are rhea's timers. */
  drop() {
    const { socket, heartbeat_in: listening, heartbeat_out: speaking } = this.connection;
    this.connection.output = () => {};
    for (const timer of [listening, speaking]) clearTimeout(timer);
    if (socket?.destroy) socket.destroy(); else socket?.end();
  }

  /** With what error the server closed the connection: null = none. */
  whenClosed() {
    return within(this.ended, 'the close');
  }
}

/** The address for telemetry of a device or module, ids encoded. */
function eventsOf({ deviceId, moduleId }) {
  const module = moduleId === undefined ? '' : `/modules/${encodeURIComponent(moduleId)}`;
  return `/devices/${encodeURIComponent(deviceId)}${module}/messages/events`;
}

/** A connection on which a device has shown its token, and its link for telemetry. */
async function connectDevice(t, device, options) {
  const client = await AmqpClient.connect(t, device.gateway, options);
  assert.equal(client.refused, undefined);
  await client.prove(device);
  client.events = await client.sender(eventsOf(device));
  return client;
}

/** The user name of SASL PLAIN for a device or module. */
function plainUser({ gateway, deviceId, moduleId }) {
  return `${deviceId}${moduleId === undefined ? '' : `/modules/${moduleId}`}@sas.${gateway.host.split('.')[0]}`;
}

function data(body) {
  return rhea.message.data_section(Buffer.from(body));
}

module.exports = { AmqpClient, BATCH_FORMAT, TOKEN_TYPE, connectDevice, data, eventsOf, mechanism, plainUser, rhea };
