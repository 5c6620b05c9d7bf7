// What a WebSocket server makes of every kind of frame (RFC 6455 5, 7), in the manner of the public Autobahn cases. There is
// no echo here: PINGRESP and PUBACK of MQTT show what arrived. After each row a new connection is served as if nothing had been.
'use strict';
const assert = require('node:assert/strict');
const { Gateway, promise } = require('./gateway');
const { connectOf, packet, text } = require('./mqtt_client');
const { BINARY, CLOSE, CONTINUATION, MqttOverWebSocket, PING, PONG, TEXT, WebSocketClient, binary, close, closeCode, fragments,
  frame, frameHead, pieces } = require('./websocket_client');

const DEVICE = 'case', TOPIC = `devices/${DEVICE}/messages/events/`;
const MESSAGE_MAX = 1048576, PUBLISHES = 8;
const PINGREQ = Buffer.from([0xc0, 0]);
const ECHO = binary(PINGREQ), BYE = close(1000);
const NAMES = { 2: 'CONNACK', 4: 'PUBACK', 13: 'PINGRESP' };

/** A PUBLISH of exactly so many bytes. */
function publishOf(total, { body = 'b', qos = 1 } = {}) {
  const head = Buffer.concat([text(TOPIC), Buffer.from(qos ? [0, 1] : [])]), width = total < 130 ? 1 : total < 16387 ? 2 : 3;
  const found = packet(0x30 | (qos << 1), head, Buffer.from(body.repeat(total).slice(0, total - 1 - width - head.length)));
  assert.equal(found.length, total);
  return found;
}

const repeat = (count, ...frames) => Array.from({ length: count }, () => frames).flat();
const bytes = (...values) => Buffer.from(values);
const numbered = (count, each) => Array.from({ length: count }, (_, i) => each(String(i)));
const numberedPings = (count) => numbered(count, (number) => frame(PING, number));
const numberedPongs = (count) => numbered(count, (number) => `pong ${number}`);

// ---- the table ----

// [id, frames sent, outcome]. A number: the code the server closes with, before CONNECT as after it. Otherwise the answers
// there are besides that to a PINGREQ and the Close at the end: packets of MQTT by name, control frames by name and payload.
const echoed = { packets: ['PINGRESP'] }, acked = { packets: ['PUBACK'] };

const FRAMING = [
  ['an empty frame', [binary('')], {}],
  ['frames of one byte', [binary(bytes(0xc0)), binary(bytes(0))], echoed],
  ...[125, 126, 127, 128, 4095, 4096, 4097, 65535, 65536, 262144].map((length) =>
    [`${length} bytes`, [binary(publishOf(length))], acked]),
  ['a short length in 16 bits', [binary(PINGREQ, { bits: 16 })], echoed],
  ['a short length in 64 bits', [binary(PINGREQ, { bits: 64 })], echoed],
  ['a length of 16 bits in 64', [binary(publishOf(300), { bits: 64 })], acked],
  ['two packets in a frame', [binary(Buffer.concat([PINGREQ, PINGREQ]))], { packets: ['PINGRESP', 'PINGRESP'] }],
  ['a packet over two frames', pieces(publishOf(300), 150).map((part) => binary(part)), acked],
  ['hundred frames in one write', repeat(100, ECHO), { packets: repeat(100, 'PINGRESP') }],
  ['empty frames between others', [binary(''), binary(bytes(0xc0)), binary(''), binary(''), binary(bytes(0)), binary('')], echoed],
  ['a length of 2^63', [frameHead(BINARY, 2n ** 63n, { bits: 64 })], 1002],
  ['a length of 2^64 - 1', [frameHead(BINARY, 2n ** 64n - 1n, { bits: 64 })], 1002],
];

const MASKING = [
  ...[0, 0xff].map((byte) => [`a mask of ${byte}`, [binary(PINGREQ, { mask: Buffer.alloc(4, byte) })], echoed]),
  ['a mask of its own in each frame', [1, 2, 3].map((byte) => binary(PINGREQ, { mask: bytes(byte, 0, 255, byte) })),
    { packets: repeat(3, 'PINGRESP') }],
  ['data not masked', [binary(PINGREQ, { mask: null })], 1002],
  ['empty data not masked', [binary('', { mask: null })], 1002],
  ['long data not masked', [frameHead(BINARY, 65536, { mask: null })], 1002],
  ['a ping not masked', [frame(PING, 'p', { mask: null })], 1002],
  ['a pong not masked', [frame(PONG, '', { mask: null })], 1002],
  ['a Close not masked', [frame(CLOSE, bytes(3, 232), { mask: null })], 1002],
  ['a fragment not masked', [binary('', { fin: false }), frame(CONTINUATION, '', { mask: null })], 1002],
];

const RESERVED_BITS = [1, 2, 3, 4, 5, 6, 7].flatMap((rsv) => [
  [`${rsv} on data`, [binary(PINGREQ, { rsv })], 1002],
  [`${rsv} on a ping`, [frame(PING, 'p', { rsv })], 1002],
]).concat([
  ['on empty data', [binary('', { rsv: 4 })], 1002],
  ['on a pong', [frame(PONG, '', { rsv: 4 })], 1002],
  ['on a Close', [frame(CLOSE, bytes(3, 232), { rsv: 4 })], 1002],
  ['on the first fragment', [binary('', { rsv: 4, fin: false })], 1002],
  ['on a later fragment', [binary('', { fin: false }), frame(CONTINUATION, '', { rsv: 4 })], 1002],
  ['behind an answered ping', [frame(PING, 'p'), binary('', { rsv: 1 })], { code: 1002, controls: ['pong p'] }],
]);

const OPCODES = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode) => [
  [`${opcode}, empty`, [frame(opcode)], 1002],
  [`${opcode}, with payload`, [frame(opcode, 'payload')], 1002],
]).concat([
  ['3 without FIN', [frame(3, '', { fin: false })], 1002],
  ['3 inside a message', [binary('', { fin: false }), frame(3), frame(CONTINUATION)], 1002],
  ['11 inside a message', [binary('', { fin: false }), frame(11), frame(CONTINUATION)], 1002],
]);

const TEXTS = [
  ['empty', [frame(TEXT)], 1003],
  ['with payload', [frame(TEXT, 'hello')], 1003],
  ['that is MQTT', [frame(TEXT, PINGREQ)], 1003],
  ['in fragments', fragments(Buffer.from('hello'), 2, TEXT), 1003],
  ['only its first fragment', [frame(TEXT, '', { fin: false })], 1003],
  ['that is no UTF-8', [frame(TEXT, bytes(0xce, 0xba, 0xed, 0xa0, 0x80))], 1003],
  ['only its head', [frameHead(TEXT, 65535)], 1003],
  ['behind a message', [binary(''), frame(TEXT, 'hello')], 1003],
  ['inside a message', [binary('', { fin: false }), frame(TEXT, 'hello')], 1002],
];

const FRAGMENTATION = [
  ['a packet in two', fragments(PINGREQ, 1), echoed],
  ['a packet in fragments of a byte', fragments(publishOf(300), 1), acked],
  ['packets over fragments', fragments(Buffer.concat([PINGREQ, PINGREQ, PINGREQ]), 4), { packets: repeat(3, 'PINGRESP') }],
  ['messages behind each other', [...fragments(PINGREQ, 1), ...fragments(PINGREQ, 1)], { packets: repeat(2, 'PINGRESP') }],
  ['a packet over two messages', pieces(publishOf(300), 150).flatMap((part) => fragments(part, 50)), acked],
  ['the first is empty', [binary('', { fin: false }), frame(CONTINUATION, PINGREQ)], echoed],
  ['one between is empty', [binary(bytes(0xc0), { fin: false }), frame(CONTINUATION, '', { fin: false }),
    frame(CONTINUATION, bytes(0))], echoed],
  ['the last is empty', [binary(PINGREQ, { fin: false }), frame(CONTINUATION)], echoed],
  ['all are empty', [binary('', { fin: false }), frame(CONTINUATION, '', { fin: false }), frame(CONTINUATION)], {}],
  ['hundreds are empty', [binary('', { fin: false }), ...repeat(500, frame(CONTINUATION, '', { fin: false })),
    frame(CONTINUATION, PINGREQ)], echoed],
  ['a ping between', [binary(bytes(0xc0), { fin: false }), frame(PING, 'between'), frame(CONTINUATION, bytes(0))],
    { ...echoed, controls: ['pong between'] }],
  ['pings between all', fragments(publishOf(40), 1).flatMap((part, i) => [frame(PING, String(i)), part]),
    { ...acked, controls: numberedPongs(40) }],
  ['a pong between', [binary(bytes(0xc0), { fin: false }), frame(PONG, 'between'), frame(CONTINUATION, bytes(0))], echoed],
  ['a Close between', [binary(bytes(0xc0), { fin: false }), close(1000), frame(CONTINUATION, bytes(0))], { code: 1000 }],
  ['a message without end is no hindrance', [binary(PINGREQ, { fin: false })], echoed, { echo: frame(CONTINUATION, PINGREQ) }],
  ['a continuation of nothing', [frame(CONTINUATION, PINGREQ)], 1002],
  ['an empty continuation of nothing', [frame(CONTINUATION)], 1002],
  ['a continuation of nothing that goes on', [frame(CONTINUATION, '', { fin: false })], 1002],
  ['a continuation of what has ended', [...fragments(Buffer.alloc(0), 1), binary(''), frame(CONTINUATION)], 1002],
  ['a continuation behind the last fragment', [binary('', { fin: false }), frame(CONTINUATION), frame(CONTINUATION)], 1002],
  ['a message inside a message', [binary('', { fin: false }), binary('')], 1002],
  ['a first fragment inside a message', [binary('', { fin: false }), binary('', { fin: false })], 1002],
  ['a ping in fragments', [frame(PING, 'p', { fin: false }), frame(CONTINUATION, 'q')], 1002],
  ['a pong in fragments', [frame(PONG, 'p', { fin: false }), frame(CONTINUATION, 'q')], 1002],
  ['a Close in fragments', [frame(CLOSE, bytes(3), { fin: false }), frame(CONTINUATION, bytes(232))], 1002],
];

const PINGS = [
  ['empty', [frame(PING)], { controls: ['pong '] }],
  ['one byte', [frame(PING, 'p')], { controls: ['pong p'] }],
  ['125 bytes', [frame(PING, 'p'.repeat(125))], { controls: [`pong ${'p'.repeat(125)}`] }],
  ['bytes that are no text', [frame(PING, bytes(0, 255, 254, 0x80))], { controls: ['pong \0\xff\xfe\x80'] }],
  ['ten in one write', numberedPings(10), { controls: numberedPongs(10) }],
  ['hundred in one write', numberedPings(100), { controls: numberedPongs(100) }],
  ['between packets', [ECHO, frame(PING, '1'), ECHO, frame(PING, '2'), ECHO],
    { packets: repeat(3, 'PINGRESP'), controls: ['pong 1', 'pong 2'] }],
  ['inside a packet', [binary(bytes(0xc0)), frame(PING, '1'), binary(bytes(0))], { ...echoed, controls: ['pong 1'] }],
  ['126 bytes', [frame(PING, 'p'.repeat(126))], 1002],
  ['126 bytes, only the head', [frameHead(PING, 126)], 1002],
  ['a short one with a length of 16 bits', [frame(PING, 'p', { bits: 16 })], 1002],
  ['a short one with a length of 64 bits', [frame(PING, 'p', { bits: 64 })], 1002],
  ['a pong that nobody asked for', [frame(PONG)], {}],
  ['a pong with payload', [frame(PONG, 'p'.repeat(125))], {}],
  ['ten pongs', repeat(10, frame(PONG, 'p')), {}],
  ['a pong, then a ping', [frame(PONG, 'x'), frame(PING, 'y')], { controls: ['pong y'] }],
  ['a pong of 126 bytes', [frame(PONG, 'p'.repeat(126))], 1002],
];

const badReasons = { 'a lone continuation': [0x80], 'a cut sequence': [0xe2, 0x82], 'a surrogate': [0xed, 0xa0, 0x80],
  'an overlong form': [0xc0, 0xaf], 'beyond U+10FFFF': [0xf4, 0x90, 0x80, 0x80], 'a byte that never occurs': [0x6f, 0xff] };
const smuggled = binary(publishOf(60, { body: 'smuggled' }));

const CLOSES = [
  ['empty', [close()], { code: null }],
  ['a code only', [close(1000)], 1000],
  ['a reason', [close(1000, 'done')], 1000],
  ['a reason of 123 bytes', [close(1000, 'r'.repeat(123))], 1000],
  ['a reason in UTF-8', [close(1000, 'κόσμε €\u{10ffff}')], 1000],
  ...[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999].map((code) =>
    [`code ${code}`, [close(code)], code]),
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535].map((code) =>
    [`code ${code}`, [close(code)], 1002]),
  ['half a code', [frame(CLOSE, bytes(3))], 1002],
  ['126 bytes', [close(1000, 'r'.repeat(124))], 1002],
  ['126 bytes, only the head', [frameHead(CLOSE, 126)], 1002],
  ...Object.entries(badReasons).map(([what, reason]) => [`a reason with ${what}`, [close(1000, bytes(...reason))], 1007]),
  ['a bad code and a bad reason', [close(1005, bytes(0x80))], 1002],
  ['twice', [close(1000), close(1001)], 1000],
  ['then a ping', [close(1000), frame(PING, 'p')], 1000],
  ['then data', [close(1000), smuggled], 1000],
  ['then text', [close(1000), frame(TEXT, 'hello')], 1000],
  ['then half a frame', [close(1000), smuggled.subarray(0, 9)], 1000],
  ['behind a ping', [frame(PING, 'p'), close(1000)], { code: 1000, controls: ['pong p'] }],
  ['behind half a packet', [binary(publishOf(60, { body: 'smuggled' }).subarray(0, 59)), close(1000)], { code: 1000 }],
];

const filled = (options) => Buffer.concat(repeat(PUBLISHES, publishOf(MESSAGE_MAX / PUBLISHES, options)));
const whole = filled(), unanswered = filled({ qos: 0 });

const SIZES = [
  ['the largest message', [binary(whole)], { packets: repeat(PUBLISHES, 'PUBACK') }],
  ['the largest message in fragments', fragments(whole, 65536), { packets: repeat(PUBLISHES, 'PUBACK') }],
  ['the next message begins anew', [binary(whole), binary(whole)], { packets: repeat(2 * PUBLISHES, 'PUBACK') }],
  ['one byte more', [frameHead(BINARY, MESSAGE_MAX + 1)], 1009],
  ['one byte more in the first fragment', [frameHead(BINARY, MESSAGE_MAX + 1, { fin: false })], 1009],
  ['one byte more in a later fragment', [binary(publishOf(60).subarray(0, 10), { fin: false }),
    frameHead(CONTINUATION, MESSAGE_MAX - 9)], { code: 1009 }],
  ['one byte more behind many fragments', [...fragments(unanswered, 65536).slice(0, -1), frameHead(CONTINUATION, 65537)],
    { code: 1009 }],
  ...[31n, 32n, 40n, 62n].map((power) => [`2^${power} bytes`, [frameHead(BINARY, 2n ** power)], 1009]),
  ['2^63 - 1 bytes', [frameHead(BINARY, 2n ** 63n - 1n)], 1009],
];

const IN_PIECES = [
  ['a packet', [binary(publishOf(300))], acked],
  ['a length of 64 bits', [binary(publishOf(300), { bits: 64 })], acked],
  ['fragments and a ping', [binary(bytes(0xc0), { fin: false }), frame(PING, 'between'), frame(CONTINUATION, bytes(0))],
    { ...echoed, controls: ['pong between'] }],
  ['pings', numberedPings(20), { controls: numberedPongs(20) }],
  ['a pong', [frame(PONG, 'p'.repeat(125))], {}],
  ['a Close with a reason', [close(1000, 'a reason €')], 1000],
  ['a Close with a bad reason', [close(1000, bytes(0xe2, 0x82))], 1007],
  ['reserved bits', [binary(PINGREQ, { rsv: 1 })], 1002],
  ['no mask', [binary(PINGREQ, { mask: null })], 1002],
  ['text', [frame(TEXT, 'hello')], 1003],
  ['a length of 2^63', [frameHead(BINARY, 2n ** 63n, { bits: 64 })], 1002],
  ['a message over the limit', [frameHead(BINARY, MESSAGE_MAX + 1)], 1009],
];
const CHOPPED = [1, 3].flatMap((cut) => IN_PIECES.map(([id, sent, outcome]) =>
  [`${id}, pieces of ${cut}`, sent, outcome, { cut }]));

const GROUPS = { framing: FRAMING, masking: MASKING, 'reserved bits': RESERVED_BITS, opcodes: OPCODES, text: TEXTS,
  fragmentation: FRAGMENTATION, pings: PINGS, close: CLOSES, sizes: SIZES, chopped: CHOPPED };

// ---- what came back ----

function controlName(found) {
  if (found.opcode === CLOSE) return `close ${closeCode(found)}`;
  return `${found.opcode === PONG ? 'pong' : 'ping'} ${found.payload.toString('latin1')}`;
}

/** The frames as {packets, controls}: packets by name, wherever frames cut them. */
function heard(frames) {
  const data = Buffer.concat(frames.filter(({ opcode }) => opcode < CLOSE).map(({ payload }) => payload));
  const packets = [];
  for (let at = 0; at < data.length; at += 2 + data[at + 1]) packets.push(NAMES[data[at] >> 4]);
  return { packets, controls: frames.filter(({ opcode }) => opcode >= CLOSE).map(controlName) };
}

/** Writes the frames, each at once or all of them in pieces. */
function write(client, frames, cut) {
  const all = Buffer.concat(frames);
  for (const piece of cut ? pieces(all, cut) : [all]) client.send(piece);
}

/** Connects as the device: from here on all packets are answered. */
async function logIn(client, device) {
  client.send(binary(connectOf(device)));
  assert.deepEqual(heard([await client.next()]), { packets: ['CONNACK'], controls: [] });
}

/** The frames up to those that are awaited, fewer when the stream ends. */
async function hear(client, { packets, controls }) {
  const frames = [];
  for (;;) {
    const found = heard(frames);
    if (found.packets.length >= packets.length && found.controls.length >= controls.length) return frames;
    const next = await client.next();
    if (!next) return frames;
    frames.push(next);
  }
}

/** A row that the server answers and goes on after. */
async function goesOn({ gateway, device }, frames, { packets = [], controls = [] }, { cut, echo = ECHO } = {}) {
  const wanted = { packets: [...packets, 'PINGRESP'].sort(), controls };
  const client = await WebSocketClient.upgrade(gateway);
  await logIn(client, device);
  write(client, [...frames, echo], cut);
  const found = await hear(client, wanted);
  client.send(BYE);
  const { packets: got, controls: gotControls } = heard([...found, ...await client.rest({ closing: true })]);
  assert.deepEqual({ packets: got.sort(), controls: gotControls }, { ...wanted, controls: [...controls, 'close 1000'] });
}

/** A row after which the server closes with a code; nothing behind it is looked at. */
async function closes({ gateway, device }, frames, { packets = [], controls = [], code }, { cut, loggedIn = true } = {}) {
  const client = await WebSocketClient.upgrade(gateway);
  if (loggedIn) await logIn(client, device);
  write(client, [...frames, smuggled], cut);
  assert.deepEqual(heard(await client.rest()), { packets, controls: [...controls, `close ${code}`] },
    loggedIn ? 'after CONNECT' : 'before CONNECT');
}

/** A new connection is served, and by the same process. */
async function isHealthy({ gateway, healthy }) {
  const client = await MqttOverWebSocket.connect(healthy);
  assert.equal(client.code, 0);
  assert.ok(await client.publish(healthy.topic, 'healthy'));
  assert.equal(await client.leave(), 1000);
  assert.equal(gateway.daemon.child.exitCode ?? gateway.daemon.child.signalCode, null, gateway.daemon.stderr.slice(-2000));
}

async function checkRow(hub, [, frames, outcome, options]) {
  if (typeof outcome === 'number') await closes(hub, frames, { code: outcome }, { ...options, loggedIn: false });
  if (typeof outcome === 'number') await closes(hub, frames, { code: outcome }, options);
  else if (outcome.code !== undefined) await closes(hub, frames, outcome, options);
  else await goesOn(hub, frames, outcome, options);
  await isHealthy(hub);
}

promise('threat_10 each frame a client may send is served, each it may not send closes with its code', async (t) => {
  const gateway = await Gateway.start(t);
  const hub = { gateway, device: await gateway.addDevice(DEVICE), healthy: await gateway.addDevice('healthy') };
  for (const [group, rows] of Object.entries(GROUPS))
    for (const row of rows) await t.test(`${group}: ${row[0]}`, { timeout: 30000 }, () => checkRow(hub, row));
  for (const { body } of await gateway.stored()) assert.doesNotMatch(body, /smuggled/);
});
