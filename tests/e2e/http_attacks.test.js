// What clients of HTTP do to a server that trusts them: requests inside requests, endless and slow ones, floods of frames.
// After each of them a new connection is served by the same process as if nothing had been. Numbers are the rows of
// docs/conformance.md.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const http2 = require('node:http2');
const net = require('node:net');
const path = require('node:path');
const { once } = require('node:events');
const { Gateway, document, freePort, memoryPeak, promise, within } = require('./gateway');
const { ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, H2Client, HEADERS, PADDED, PING, PREFACE, PRIORITY,
  PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, WITH_PRIORITY, frame, headerBlock, hpackNumber, requestFields,
  setting } = require('./h2_client');
const { API, HttpsClient, ask, askHttp2, askSession, requestBytes, service, serviceToken, telemetry } =
  require('./https_client');
const { MqttClient, closeOf } = require('./mqtt_client');
const { serve } = require('./serve');

const HEAD_MAX = 32768, FIELD_MAX = 16384, FIELDS_MAX = 300, TARGET_MAX = 8192, CHUNK_LINE_MAX = 256, FRAME_MAX = 16384;
const PROTOCOL_ERROR = 1, FLOW_CONTROL_ERROR = 3, STREAM_CLOSED = 5, FRAME_SIZE_ERROR = 6, COMPRESSION_ERROR = 9,
  ENHANCE_YOUR_CALM = 11;

/** A hub with a device, and what shows that it is well: it is the same process, and serves both versions and MQTT. */
async function attackedHub(t, limits) {
  const more = ['limits:', ...(limits ?? []).map((limit) => `  ${limit}`)];
  const gateway = limits ? await serve(t, { httpsPort: await freePort(), more }) : await Gateway.start(t);
  const device = limits ? gateway.device() : await gateway.addDevice('dev');
  const mqtt = await MqttClient.connect(device);
  assert.equal(mqtt.code, 0);
  const healthy = async (what) => {
    assert.equal(gateway.daemon.child.exitCode ?? gateway.daemon.child.signalCode, null,
      `${what}: ${gateway.daemon.stderr.slice(-2000)}`);
    for (const send of [ask, askHttp2]) assert.equal((await send(gateway, telemetry(device, 'healthy'))).status, 204, what);
    assert.ok(await mqtt.ping(), what);
  };
  return { gateway, device, healthy, pid: gateway.daemon.child.pid };
}

/** Only what showed the hub's health was stored. */
async function storedNothingElse(gateway) {
  for (const { body } of await gateway.stored()) assert.equal(body, 'healthy');
}

// ---- HTTP/1.1: where does this request end? ----

/** A request for telemetry with the lines given between its own and the empty one, and what follows that. */
function withLines(device, lines, rest = '') {
  const { method, path, fields } = telemetry(device);
  const own = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${fields.Authorization}`;
  return Buffer.from(`${own}\r\n${lines}\r\n\r\n${rest}`, 'latin1');
}

/** The same with another first line. */
function withFirstLine(device, line, end = '\r\n') {
  return Buffer.from(`${line}${end}Host: localhost\r\nAuthorization: ${device.token()}\r\nContent-Length: 0\r\n\r\n`, 'latin1');
}

const CHUNKED = 'Transfer-Encoding: chunked';

/** [what, status, bytes]: refused with the status, and the connection closed, whatever follows. */
function ambiguous(device) {
  const name = (text) => JSON.stringify(text.slice(0, 60));
  const lines = (status, table) => table.map(([text, rest]) => [name(text), status, withLines(device, text, rest)]);
  const chunks = (status, table) => table.map((text) => [`chunks ${name(text)}`, status, withLines(device, CHUNKED, text)]);
  const first = (status, table) => table.map((line) => [name(line), status, withFirstLine(device, line)]);
  const where = telemetry(device).path;
  return [
    ...lines(400, [[`Content-Length: 5\r\n${CHUNKED}`, '0\r\n\r\n'], [`${CHUNKED}\r\nContent-Length: 5`, '0\r\n\r\n'],
      ['Content-Length: 5\r\nContent-Length: 5', 'aaaaa'], ['Content-Length: 0\r\nContent-Length: 5'], ['Content-Length: 5, 5'],
      ['Content-Length: +5'], ['Content-Length: -5'], ['Content-Length: 0x5'], ['Content-Length: 5 5'], ['Content-Length: 5;'],
      ['Content-Length:'], ['Content-Length: 5.0'], ['Content-Length: 99999999999999999999'],
      ['Content-Length: 18446744073709551621'], ['Content-Length: five'], ['Content-Length: "5"'],
      ['Transfer-Encoding: chunked, chunked'], [`${CHUNKED}\r\n${CHUNKED}`], ['Transfer-Encoding: "chunked"'],
      ['Transfer-Encoding:'], ['Transfer-Encoding: chunked;q=1'], ['Transfer-Encoding : chunked'],
      ['Transfer-Encoding\t: chunked'], ['Content-Length : 5'], [' Content-Length: 5'], ['X: y\r\n Content-Length: 5'],
      ['X: y\r\n\tfolded'], ['X: y\nContent-Length: 5'], ['X: y\rContent-Length: 5'], ['X: y\n'], ['\nX: y'], ['X\0: y'],
      ['X: y\0z'], ['X: \x7f'], ['X: \x01'], [': nameless'], ['no colon'], ['X Y: z'], ['(X): y'], ['X\x80: y'],
      ['Host: other'], ['Host: localhost'], ['Connection: a b']]),
    ...lines(501, [['Transfer-Encoding: identity'], ['Transfer-Encoding: gzip, chunked'], ['Transfer-Encoding: chunked, gzip'],
      ['Transfer-Encoding: xchunked']]),
    ...lines(417, [['Expect: 200-ok\r\nContent-Length: 0']]),
    ...chunks(400, ['g\r\n', '-1\r\n', '+1\r\na\r\n', '0x1\r\na\r\n', ' 1\r\na\r\n', '\r\n', 'fffffffffffffffff\r\n',
      'ffffffffffffffff\r\n', '1\na\r\n0\r\n\r\n', '1\r\nab\r\n0\r\n\r\n', '1\r\na\n0\r\n\r\n', '1\r\na0\r\n\r\n',
      '1 ;x\0\r\na\r\n', '1;\n', '0\r\nX: y\n\r\n', '0\r\n X: y\r\n\r\n', '0\r\nX : y\r\n\r\n', '0\r\nno colon\r\n\r\n',
      `1;${'x'.repeat(CHUNK_LINE_MAX)}`]),
    ...first(400, [`POST  ${where} HTTP/1.1`, `POST ${where}  HTTP/1.1`, `POST\t${where} HTTP/1.1`, ` POST ${where} HTTP/1.1`,
      `POST ${where} http/1.1`, `POST ${where} HTTP/1.1 `, `POST ${where} HTTP/01.1`, `POST ${where}`, 'POST',
      `POST ${where}\0 HTTP/1.1`, `POST ${where}\x80 HTTP/1.1`, 'POST devices HTTP/1.1',
      'POST * HTTP/1.1', `CONNECT localhost:443 HTTP/1.1`, `POST ftp://localhost${where} HTTP/1.1`,
      `PO/ST ${where} HTTP/1.1`, `${'P'.repeat(33)} ${where} HTTP/1.1`]),
    ...first(505, [`POST ${where} HTTP/1`, `POST ${where} HTTP/1.2`, `POST ${where} HTTP/2.0`, `POST ${where} HTTP/3`,
      `POST ${where} HTTP/0.9`]),
    ['first line without CR', 400, withFirstLine(device, `POST ${where} HTTP/1.1`, '\n')],
    ['two empty lines in front', 400, Buffer.concat([Buffer.from('\r\n\r\n'), requestBytes(telemetry(device, ''))])],
    ['HTTP/1.0 with chunks', 400, Buffer.from(`POST ${where} HTTP/1.0\r\n${CHUNKED}\r\n\r\n0\r\n\r\n`)],
    ['HTTP/1.1 without Host', 400, Buffer.from(`POST ${where} HTTP/1.1\r\nAuthorization: ${device.token()}\r\n\r\n`)],
    ['the greeting of HTTP/2', 505, PREFACE],
  ];
}

promise('requests that others may cut elsewhere are refused, and nothing behind them is read', async (t) => {
  const { gateway, device, healthy } = await attackedHub(t);
  const hidden = requestBytes(telemetry(device, 'smuggled'));
  for (const [what, status, bytes] of ambiguous(device)) {
    const client = await HttpsClient.open(gateway);
    client.send(Buffer.concat([bytes, hidden, hidden]));
    const answer = await client.next();
    assert.ok(answer, `${what}: closed without an answer`);
    assert.equal(answer.status, status, what);
    assert.equal(answer.fields.connection, 'close', what);
    assert.match(answer.json.Message, /^ErrorCode:\w+;./, what);
    assert.equal(await client.next(), null, `${what}: a second answer`);
    await healthy(what);
  }
  await storedNothingElse(gateway);
});

promise('what only looks like a trick is one request, and the next one begins where it ends', async (t) => {
  const { gateway, device } = await attackedHub(t);
  const inner = requestBytes(telemetry(device, 'inner')).toString('latin1');
  const one = (lines, rest) => withLines(device, lines, rest);
  const rows = [
    ['a request as body', one(`Content-Length: ${inner.length}`, inner)],
    ['a request as chunk', one(CHUNKED, `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`)],
    ['lengths in the trailers', one(CHUNKED, '0\r\nContent-Length: 9\r\nTransfer-Encoding: gzip\r\nHost: x\r\n\r\n')],
    ['a coding in another case', one('tRANSFER-eNCODING: CHUNKED', '0\r\n\r\n')],
    ['names that resemble the real ones', one('Transfer_Encoding: chunked\r\nX-Content-Length: 9\r\nContent-Length: 0')],
    ['an empty line in front', Buffer.concat([Buffer.from('\r\n'), one('Content-Length: 0')])],
    ['an upgrade to what is not spoken', one('Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0')],
    ['leading zeros in sizes', one(CHUNKED, '0000000000000005\r\nhello\r\n000\r\n\r\n')],
  ];
  const client = await HttpsClient.open(gateway);
  for (const [what, bytes] of rows) {
    client.send(Buffer.concat([bytes, requestBytes(telemetry(device, what))]));
    assert.deepEqual([(await client.next()).status, (await client.next()).status], [204, 204], what);
  }
  const inside = { 'a request as body': inner, 'a request as chunk': inner, 'leading zeros in sizes': 'hello' };
  assert.deepEqual((await gateway.stored()).map(({ body }) => body), rows.flatMap(([what]) => [inside[what] ?? '', what]));
});

promise('pipelined requests are answered in their order, refused ones among them, however they are cut', async (t) => {
  const { gateway, device } = await attackedHub(t);
  const count = 200;
  const requests = Array.from({ length: count }, (_, i) => requestBytes(i % 5 === 3
    ? telemetry(device, 'x', { Authorization: 'none' }) : i % 7 === 5 ? service(gateway, 'GET', `/devices/absent-${i}`)
    : telemetry(device, String(i))));
  const wanted = requests.map((_, i) => (i % 5 === 3 ? 401 : i % 7 === 5 ? 404 : 204));
  for (const size of [1 << 20, 1000, 77]) {
    const client = await HttpsClient.open(gateway);
    const all = Buffer.concat(requests);
    for (let at = 0; at < all.length; at += size) client.send(all.subarray(at, at + size));
    const found = [];
    while (found.length < count) found.push((await client.next()).status);
    assert.deepEqual(found, wanted, `pieces of ${size}`);
  }
  const numbers = (await gateway.stored()).map(({ body }) => body);
  const once = wanted.flatMap((status, i) => (status === 204 ? [String(i)] : []));
  assert.deepEqual(numbers, [...once, ...once, ...once]);
});

// ---- too much, too slow ----

promise('threat_12 heads beyond a limit are refused by name at HTTP/1.1, those at the limit are served', async (t) => {
  const { gateway, device, healthy } = await attackedHub(t);
  const empty = withLines(device, 'Content-Length: 0').length - 'Content-Length: 0'.length; // the head without the lines
  const fields = (count, length = 1) => Array.from({ length: count }, (_, i) => `X-${i}: ${'v'.repeat(length)}`).join('\r\n');
  const filled = (bytes) => { // a head of exactly so many bytes
    const most = fields(2, 15000);
    return `${most}\r\nY: ${'v'.repeat(bytes - empty - most.length - '\r\nY: '.length)}`;
  };
  const target = (length) => withFirstLine(device, `POST /${'x'.repeat(length - 1)} HTTP/1.1`);
  const { path: where } = telemetry(device);
  const query = (length) => withFirstLine(device, `POST ${where}&${'x'.repeat(length - 1 - where.length)} HTTP/1.1`);
  for (const [what, status, bytes] of [
    ['fields at the limit', 204, withLines(device, fields(FIELDS_MAX - 2))],
    ['one field more', 431, withLines(device, fields(FIELDS_MAX - 1))],
    ['a field at the limit', 204, withLines(device, `X: ${'v'.repeat(FIELD_MAX - 3)}`)],
    ['a field over it', 431, withLines(device, `X: ${'v'.repeat(FIELD_MAX - 2)}`)],
    ['a name over it', 431, withLines(device, `${'X'.repeat(FIELD_MAX)}: v`)],
    ['a head at the limit', 204, withLines(device, filled(HEAD_MAX))],
    ['a head over it', 431, withLines(device, filled(HEAD_MAX + 1))],
    ['a target at the limit', 204, query(TARGET_MAX)],
    ['a target over it', 414, query(TARGET_MAX + 1)],
    ['any target over it', 414, target(TARGET_MAX + 1)],
    ['trailers over the limit', 431, withLines(device, CHUNKED, `0\r\n${fields(5000)}\r\n\r\n`)],
    ['a field without end', 431, withLines(device, `X: ${'v'.repeat(1 << 20)}`)],
    ['fields without end', 431, withLines(device, fields(50000))],
  ]) {
    const client = await HttpsClient.open(gateway);
    client.send(bytes);
    assert.equal((await client.next())?.status, status, what);
    if (status !== 204) assert.equal(await client.next(), null, what);
    await client.drop();
    await healthy(what);
  }
});

promise('threat_12 heads beyond a limit are refused by name at HTTP/2, one that unpacks to megabytes ends it', async (t) => {
  const { gateway, device, healthy, pid } = await attackedHub(t);
  const many = (count, value) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, value]));
  for (const [what, status, fields] of [
    ['fields at the limit', 204, many(FIELDS_MAX - 6, 'v')],
    ['fields over it', 431, many(FIELDS_MAX, 'v')],
    ['a field over the limit', 431, { x: 'v'.repeat(FIELD_MAX) }],
    ['a head over the limit', 431, many(3, 'v'.repeat(FIELD_MAX - 1000))],
  ])
    assert.equal((await askHttp2(gateway, telemetry(device, 'healthy', fields))).status, status, what);
  const long = telemetry(device, 'x');
  assert.equal((await askHttp2(gateway, { ...long, path: `${long.path}&${'x'.repeat(TARGET_MAX)}` })).status, 414);
  const peak = memoryPeak(pid);
  const client = await H2Client.open(gateway);
  const kept = headerBlock([['x', 'v'.repeat(4000)]], { kept: true });
  const again = Buffer.alloc(FRAME_MAX - 5000, 0xbe); // entry 62: the first kept
  client.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, headerBlock(requestFields(telemetry(device))), kept, again));
  await client.end();
  t.diagnostic(`${peak()} KiB for a head of ${(again.length * 4032 >> 20)} MiB in ${FRAME_MAX} bytes`);
  assert.ok(peak() < 4096, `${peak()} KiB`);
  await healthy('a head that unpacks');
});

promise('must_09 threat_11 silence, half heads, trickled ones and absent bodies end at their deadlines', async (t) => {
  const { gateway, device, healthy } = await attackedHub(t, ['handshake_ms_max: 1000', 'http_head_ms_max: 1000',
    'http_body_ms_max: 1000', 'http_idle_ms_max: 2000']);
  const request = requestBytes(telemetry(device, 'never whole'));
  const half = request.subarray(0, 100), noBody = request.subarray(0, request.length - 5);
  const fields = headerBlock(requestFields(telemetry(device)));
  const http1 = (...parts) => async () => {
    const client = await HttpsClient.open(gateway);
    for (const part of parts) client.send(part);
    return client;
  };
  const http2 = (...frames) => async () => {
    const client = await H2Client.open(gateway);
    client.send(...frames);
    return client;
  };
  const trickle = (open, bytes) => async () => {
    const client = await open();
    let at = 0;
    const timer = setInterval(() => client.send(bytes.subarray(at, ++at)), 100);
    client.closed.then(() => clearInterval(timer));
    return client;
  };
  const beforeTls = async () => {
    const socket = net.connect(gateway.httpsPort, '127.0.0.1').resume();
    await once(socket, 'connect');
    return { closed: closeOf(socket) };
  };
  const rows = [
    ['before TLS', 1000, beforeTls],
    ['nothing', 1000, http1()],
    ['half a head', 1000, http1(half)],
    ['no body', 1000, http1(noBody)],
    ['half a chunk', 1000, http1(withLines(device, CHUNKED, '5\r\nab'))],
    ['idle after a request', 2000, http1(requestBytes(telemetry(device, 'healthy')))],
    ['half a second head', 1000, http1(requestBytes(telemetry(device, 'healthy')), half)],
    ['a trickled head', 1000, trickle(http1(), request)],
    ['a trickled body', 1000, trickle(http1(withLines(device, 'Content-Length: 1000')), Buffer.alloc(1000, 'b'))],
    ['HTTP/2: no greeting', 1000, () => H2Client.open(gateway, { hello: Buffer.alloc(0) })],
    ['HTTP/2: half a greeting', 1000, () => H2Client.open(gateway, { hello: PREFACE.subarray(0, 9) })],
    ['HTTP/2: a greeting only', 1000, http2()],
    ['HTTP/2: half a frame', 1000, http2(frame(HEADERS, END_HEADERS, 1, fields).subarray(0, 50))],
    ['HTTP/2: a head without end', 1000, http2(frame(HEADERS, 0, 1, fields))],
    ['HTTP/2: trickled pings', 1000, trickle(http2(), frame(PING, 0, 0, 1, 2))],
    ['HTTP/2: no body, then idle', 3000, http2(frame(HEADERS, END_HEADERS, 1, fields))],
  ];
  const times = await Promise.all(rows.map(async ([what, least, open]) => {
    const began = Date.now();
    const client = await open();
    await within(client.closed, `${what}: the close`);
    return [what, least, Date.now() - began];
  }));
  for (const [what, least, ms] of times) assert.ok(ms >= least * 0.9 && ms < least + 4000, `${what}: closed after ${ms} ms`);
  await healthy('slow clients');
  await storedNothingElse(gateway);
});

promise('threat_11 a late request gets 408 where it can be told, and HTTP/2 goes on with its other streams', async (t) => {
  const { gateway, device, healthy } = await attackedHub(t, ['http_head_ms_max: 1000', 'http_body_ms_max: 1000']);
  for (const bytes of [withLines(device, 'Content-Length: 7', 'abc'), withLines(device, CHUNKED, '3\r\nab'),
    Buffer.from('POST / HTTP/1.1\r\nHost:')]) {
    const client = await HttpsClient.open(gateway);
    client.send(bytes);
    const answer = await client.next();
    assert.equal(answer?.status, 408);
    assert.match(answer.json.Message, /^ErrorCode:\w+;./);
    assert.equal(await client.next(), null);
  }
  const client = await H2Client.open(gateway);
  const fields = headerBlock(requestFields(telemetry(device)));
  client.send(frame(HEADERS, END_HEADERS, 1, fields));
  assert.equal((await client.nextOf(HEADERS)).stream, 1, 'an answer for the late one');
  client.send(frame(HEADERS, END_HEADERS, 3, fields), frame(DATA, END_STREAM, 3, 'healthy'));
  const served = await client.nextOf(HEADERS);
  assert.deepEqual([served.stream, served.payload[0]], [3, 0x89], 'served with 204, entry 9 of the static table');
  await client.drop();
  await healthy('late requests');
  await storedNothingElse(gateway);
});

promise('threat_01 threat_11 1,000 half heads or announced bodies keep nobody from being served, at little cost', async (t) => {
  const { gateway, device, healthy, pid } = await attackedHub(t);
  const halves = [['half a head', requestBytes(telemetry(device, 'x')).subarray(0, 150)],
    ['an announced body', withLines(device, 'Content-Length: 262144', 'b')],
    ['an announced chunk', withLines(device, CHUNKED, '40000\r\nb')]];
  const opened = (count) => Promise.all(Array.from({ length: count }, () => HttpsClient.open(gateway)));
  for (const [what, bytes] of halves) {
    const clients = [];
    while (clients.length < 1000) clients.push(...await opened(50));
    const peak = memoryPeak(pid);
    for (const client of clients) client.send(bytes);
    await healthy(what);
    assert.ok(clients.every((client) => !client.socket.destroyed), what);
    t.diagnostic(`${peak()} KiB for 1,000 times ${what}`);
    assert.ok(peak() < 16384, `${what}: ${peak()} KiB`);
    await Promise.all(clients.map((client) => client.drop()));
    await healthy(`${what}, dropped`);
  }
  await storedNothingElse(gateway);
});

promise('threat_41 bodies that are not whole are held at http_receiving_bytes_max, beyond it requests get 503', async (t) => {
  const { gateway, device, healthy, pid } = await attackedHub(t, ['http_receiving_bytes_max: 1MiB']);
  const part = Buffer.alloc(200000, 'b'), head = withLines(device, 'Content-Length: 200001');
  const peak = memoryPeak(pid);
  const clients = await Promise.all(Array.from({ length: 100 }, () => HttpsClient.open(gateway)));
  for (const client of clients) client.send(Buffer.concat([head, part]));
  const refused = await within(Promise.race(clients.map((client) => client.next())), 'a refusal');
  assert.equal(refused.status, 503);
  assert.ok(refused.fields['retry-after']);
  await Promise.all(clients.map((client) => client.drop()));
  t.diagnostic(`${peak()} KiB while ${clients.length * part.length >> 10} KiB were offered`);
  assert.ok(peak() < 24576, `${peak()} KiB`);
  await healthy('too many bodies');
  await storedNothingElse(gateway);
});

promise('a refused request whose body has no end is cut after a while, its HTTP/2 connection goes on', async (t) => {
  const { gateway, device, healthy } = await attackedHub(t);
  const piece = Buffer.alloc(65536, 'b'), most = 16 << 20, nobody = { deviceId: 'nobody', token: () => 'none' };
  const pour = async (to, chunk, closed) => {
    for (let sent = 0; sent < most && !to.destroyed; sent += piece.length)
      if (!to.write(chunk)) await Promise.race([closed, new Promise((resolve) => to.once('drain', resolve))]);
  };
  const asChunk = Buffer.concat([Buffer.from('10000\r\n'), piece, Buffer.from('\r\n')]);
  for (const [lines, chunk] of [[CHUNKED, asChunk], [`Content-Length: ${most}\r\nExpect: 100-continue`, piece]]) {
    const client = await HttpsClient.open(gateway);
    client.send(withLines(nobody, lines));
    assert.equal((await client.next()).status, 401, lines);
    await pour(client.socket, chunk, client.closed);
    assert.ok(await client.isClosed(), lines);
  }
  const session = http2.connect(`https://localhost:${gateway.httpsPort}`, { ca: gateway.ca });
  const stream = session.request({ ':method': 'POST', ':path': telemetry(nobody).path }, { endStream: false });
  const closed = once(stream, 'close');
  const [{ ':status': status }] = await once(stream.resume(), 'response');
  assert.equal(status, 401);
  await pour(stream, piece, closed);
  await within(closed, 'the end of the stream');
  assert.equal(stream.rstCode, 0, 'NO_ERROR: enough of it');
  assert.equal((await askSession(session, telemetry(device, 'healthy'))).status, 204);
  session.destroy();
  await healthy('endless bodies');
  await storedNothingElse(gateway);
});

promise('threat_39 a client that pipelines without end and reads nothing is held, then cut, at a bounded cost', async (t) => {
  const { gateway, healthy, pid } = await attackedHub(t, ['write_stall_ms_max: 1000']);
  await gateway.importDevices(Array.from({ length: 1000 }, (_, i) => document(`d-${i}`)));
  const { primaryKey: key } = JSON.parse(await gateway.ok('policy', 'show', 'registryRead', '--json'));
  const Authorization = serviceToken(gateway, { policy: 'registryRead', key });
  for (const [what, request] of [
    ['refusals', { method: 'GET', path: '/' }],
    ['lists of 1,000 devices', { method: 'GET', path: `/devices?${API}`, fields: { Authorization } }],
  ]) {
    const peak = memoryPeak(pid), bytes = requestBytes(request), before = gateway.daemon.stderr.length;
    const client = await HttpsClient.open(gateway);
    client.socket.pause();
    client.send(Buffer.alloc(Math.floor((32 << 20) / bytes.length) * bytes.length, bytes));
    await gateway.daemon.said('write_stall', before);
    t.diagnostic(`${peak()} KiB for 32 MiB of requests for ${what} that nobody reads`);
    assert.ok(peak() < 16384, `${what}: ${peak()} KiB`);
    await client.drop();
    await healthy(what);
  }
});

promise('threat_39 HTTP/2 answers that a client leaves no window for are given up, at a bounded cost', async (t) => {
  const { gateway, healthy, pid } = await attackedHub(t, ['write_stall_ms_max: 1000']);
  const peak = memoryPeak(pid);
  const client = await H2Client.open(gateway, { hello: Buffer.concat([PREFACE, frame(SETTINGS, 0, 0, setting(4, 0))]) });
  const count = 100, block = headerBlock(requestFields({ method: 'GET', path: '/' }));
  for (let i = 0; i < count; i++) client.send(frame(HEADERS, END_STREAM | END_HEADERS, 1 + 2 * i, block));
  for (let i = 0; i < count; i++) assert.ok(await client.nextOf(HEADERS), 'the heads come through');
  for (let i = 0; i < count; i++) assert.ok(await client.nextOf(RST_STREAM), 'each of them is given up');
  t.diagnostic(`${peak()} KiB`);
  assert.ok(peak() < 4096, `${peak()} KiB`);
  client.send(frame(PING, 0, 0, 1, 2));
  assert.ok(await client.nextOf(PING), 'the connection itself goes on');
  await client.drop();
  await healthy('answers without a window');
});

// ---- HTTP/2: floods ----

/** [what, reason in the log, pieces of the flood]: cheap for a client, so they must be for us, and they must end. */
function floods(device) {
  const request = headerBlock(requestFields(telemetry(device))), pseudo = requestFields({ method: 'POST', path: '/' });
  const opened = (i, block = request) => frame(HEADERS, END_HEADERS, 1 + 2 * i, block);
  const whole = (i, block = request) => frame(HEADERS, END_STREAM | END_HEADERS, 1 + 2 * i, block);
  const reset = (i) => frame(RST_STREAM, 0, 1 + 2 * i, CANCEL);
  const first = (head, piece) => (i) => (i === 0 ? Buffer.concat([head, piece]) : piece);
  const bad = (fields, body = '') => (i) =>
    Buffer.concat([opened(i, headerBlock(fields)), frame(DATA, END_STREAM, 1 + 2 * i, body)]);
  const endless = (...block) => first(frame(HEADERS, 0, 1, request), frame(CONTINUATION, 0, 1, ...block));
  return {
    threat_13: [
      ['rapid reset of whole requests', 'resets', (i) => Buffer.concat([whole(i), reset(i)])],
      ['rapid reset of begun requests', 'resets', (i) => Buffer.concat([opened(i), reset(i)])],
      ['rapid reset without credentials', 'resets', (i) => Buffer.concat([whole(i, headerBlock(pseudo)), reset(i)])],
    ],
    threat_14: [
      ['CONTINUATION with fields', 'continuations', endless(headerBlock([['x', 'y']]))],
      ['empty CONTINUATION', 'continuations', endless()],
      ['full CONTINUATION', 'continuations', endless(headerBlock([['x', 'y'.repeat(FRAME_MAX - 100)]]))],
    ],
    threat_15: [
      ['window updates of 0', 'protocol_error', (i) => Buffer.concat([opened(i), frame(WINDOW_UPDATE, 0, 1 + 2 * i, 0)])],
      ['windows that overflow', 'resets', (i) => Buffer.concat([opened(i), frame(WINDOW_UPDATE, 0, 1 + 2 * i, 0x7fffffff)])],
      ['bodies longer than announced', 'resets', bad([...requestFields(telemetry(device)), ['content-length', '1']], 'two')],
      ['bodies shorter than announced', 'resets', bad([...requestFields(telemetry(device)), ['content-length', '9']], 'two')],
      ['names in upper case', 'resets', bad([...pseudo, ['Upper', 'x']])],
      ['fields of a connection', 'resets', bad([...pseudo, ['connection', 'close']])],
      ['no path', 'resets', bad(pseudo.filter(([name]) => name !== ':path'))],
      ['two paths', 'resets', bad([...pseudo.slice(0, 3), [':path', '/'], ...pseudo.slice(3)])],
      ['requests answered before their body', 'resets', (i) => opened(i, headerBlock(pseudo))],
    ],
    'a flood': [
      ['PING', 'odd_frames', () => frame(PING, 0, 0, 1, 2)],
      ['SETTINGS', 'odd_frames', () => frame(SETTINGS, 0, 0, setting(3, 100))],
      ['empty SETTINGS', 'odd_frames', () => frame(SETTINGS, 0, 0)],
      ['PRIORITY', 'odd_frames', (i) => frame(PRIORITY, 0, 1 + 2 * i, 0, Buffer.from([16]))],
      ['WINDOW_UPDATE', 'odd_frames', () => frame(WINDOW_UPDATE, 0, 0, 1)],
      ['answers to no PING', 'odd_frames', () => frame(PING, ACK, 0, 1, 2)],
      ['unknown frames', 'odd_frames', () => frame(0xbe, 0, 0, 'x')],
      ['empty DATA', 'odd_frames', first(opened(0), frame(DATA, 0, 1))],
      ['DATA of padding', 'odd_frames', first(opened(0), frame(DATA, PADDED, 1, Buffer.from([3, 0, 0, 0])))],
      ['WINDOW_UPDATE of a stream', 'odd_frames', first(opened(0), frame(WINDOW_UPDATE, 0, 1, 1))],
      ['HEADERS of a stream that is over', 'odd_frames', first(whole(1), whole(0))],
    ],
  };
}

for (const kind of ['threat_13', 'threat_14', 'threat_15', 'a flood'])
  promise(`${kind} of HTTP/2 ends its connection soon, costs little memory, and others are served`, async (t) => {
    const { gateway, device, healthy, pid } = await attackedHub(t);
    for (const [what, reason, piece] of floods(device)[kind]) {
      const before = gateway.daemon.stderr.length, peak = memoryPeak(pid), began = Date.now();
      const client = await H2Client.open(gateway);
      const sent = await client.flood(100000, piece);
      await gateway.daemon.said(`reason=${reason}`, before);
      t.diagnostic(`${what}: closed after at most ${sent} pieces and ${Date.now() - began} ms, ${peak()} KiB`);
      assert.ok(sent < 100000, `${what}: all was taken`);
      assert.ok(peak() < 8192, `${what}: ${peak()} KiB`);
      const code = reason === 'protocol_error' ? PROTOCOL_ERROR : ENHANCE_YOUR_CALM;
      if (client.goaway !== null) assert.equal(client.goaway, code, what); // it may be lost behind what we sent
      await healthy(what);
    }
    const stored = await gateway.stored();
    assert.ok(stored.filter(({ body }) => body !== 'healthy').length < 500, `${stored.length} messages of floods`);
  });

promise('threat_13 20 connections that reset streams at once are all ended, and others are served meanwhile', async (t) => {
  const { gateway, device, healthy, pid } = await attackedHub(t);
  const [[, , piece]] = floods(device).threat_13;
  const peak = memoryPeak(pid);
  const attacks = Promise.all(Array.from({ length: 20 }, async () => (await H2Client.open(gateway)).flood(100000, piece)));
  await healthy('meanwhile');
  for (const sent of await attacks) assert.ok(sent < 100000);
  t.diagnostic(`${peak()} KiB`);
  assert.ok(peak() < 16384, `${peak()} KiB`);
  await healthy('afterwards');
});

// ---- HTTP/2: what is no HTTP/2 ----

/** [what, code of GOAWAY, frames]: the connection ends. */
function malformed(device) {
  const request = headerBlock(requestFields(telemetry(device)));
  const head = (stream, flags = END_STREAM | END_HEADERS) => frame(HEADERS, flags, stream, request);
  const block = (...parts) => frame(HEADERS, END_STREAM | END_HEADERS, 1, ...parts);
  return [
    ['window of the connection raised by 0', PROTOCOL_ERROR, [frame(WINDOW_UPDATE, 0, 0, 0)]],
    ['window of the connection overflows', FLOW_CONTROL_ERROR, [frame(WINDOW_UPDATE, 0, 0, 0x7fffffff)]],
    ['a frame larger than allowed', FRAME_SIZE_ERROR, [head(1, END_HEADERS), frame(DATA, 0, 1, Buffer.alloc(FRAME_MAX + 1))]],
    ['a frame announced as the largest there is', FRAME_SIZE_ERROR, [Buffer.from([0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1])]],
    ['HEADERS on stream 0', PROTOCOL_ERROR, [head(0)]],
    ['HEADERS on an even stream', PROTOCOL_ERROR, [head(2)]],
    ['a stream that depends on itself', PROTOCOL_ERROR, [frame(HEADERS, END_STREAM | END_HEADERS | WITH_PRIORITY, 1, 1,
      Buffer.from([16]), request)]],
    ['DATA on stream 0', PROTOCOL_ERROR, [frame(DATA, 0, 0, 'x')]],
    ['DATA on an idle stream', PROTOCOL_ERROR, [frame(DATA, 0, 1, 'x')]],
    ['DATA behind END_STREAM', STREAM_CLOSED, [head(1), frame(DATA, 0, 1, 'x')]],
    ['RST_STREAM on an idle stream', PROTOCOL_ERROR, [frame(RST_STREAM, 0, 1, CANCEL)]],
    ['RST_STREAM on stream 0', PROTOCOL_ERROR, [frame(RST_STREAM, 0, 0, CANCEL)]],
    ['RST_STREAM of 3 bytes', FRAME_SIZE_ERROR, [head(1), frame(RST_STREAM, 0, 1, 'abc')]],
    ['PUSH_PROMISE of a client', PROTOCOL_ERROR, [head(1, END_HEADERS), frame(PUSH_PROMISE, END_HEADERS, 1, 2, request)]],
    ['CONTINUATION without HEADERS', PROTOCOL_ERROR, [frame(CONTINUATION, END_HEADERS, 1, request)]],
    ['another frame before CONTINUATION', PROTOCOL_ERROR, [head(1, 0), frame(PING, 0, 0, 1, 2)]],
    ['CONTINUATION of another stream', PROTOCOL_ERROR, [head(1, 0), frame(CONTINUATION, END_HEADERS, 3)]],
    ['SETTINGS of 5 bytes', FRAME_SIZE_ERROR, [frame(SETTINGS, 0, 0, 'fives')]],
    ['SETTINGS on a stream', PROTOCOL_ERROR, [frame(SETTINGS, 0, 1)]],
    ['an acknowledgement with settings', FRAME_SIZE_ERROR, [frame(SETTINGS, ACK, 0, setting(3, 1))]],
    ['ENABLE_PUSH of 2', PROTOCOL_ERROR, [frame(SETTINGS, 0, 0, setting(2, 2))]],
    ['a window beyond 2^31', FLOW_CONTROL_ERROR, [frame(SETTINGS, 0, 0, setting(4, 0x80000000))]],
    ['frames of 1 byte', PROTOCOL_ERROR, [frame(SETTINGS, 0, 0, setting(5, 1))]],
    ['PING of 7 bytes', FRAME_SIZE_ERROR, [frame(PING, 0, 0, 'sevenby')]],
    ['PING on a stream', PROTOCOL_ERROR, [frame(PING, 0, 1, 1, 2)]],
    ['GOAWAY of 3 bytes', FRAME_SIZE_ERROR, [frame(GOAWAY, 0, 0, 'abc')]],
    ['WINDOW_UPDATE of 3 bytes', FRAME_SIZE_ERROR, [frame(WINDOW_UPDATE, 0, 0, 'abc')]],
    ['more padding than payload', PROTOCOL_ERROR, [head(1, END_HEADERS), frame(DATA, PADDED, 1, Buffer.from([200, 1]))]],
    ['HPACK: entry 0', COMPRESSION_ERROR, [block(Buffer.from([0x80]))]],
    ['HPACK: an entry that is not', COMPRESSION_ERROR, [block(hpackNumber(100000, 7, 0x80))]],
    ['HPACK: a number without end', COMPRESSION_ERROR, [block(Buffer.alloc(100, 0xff))]],
    ['HPACK: a table of 16 MiB', COMPRESSION_ERROR, [block(hpackNumber(1 << 24, 5, 0x20))]],
    ['HPACK: a string beyond the block', COMPRESSION_ERROR, [block(Buffer.from([0, 0x7f, 0xff, 0x7f, 0x61]))]],
    ['HPACK: bad Huffman code', COMPRESSION_ERROR, [block(Buffer.from([0, 0x84, 0xff, 0xff, 0xff, 0xff, 0]))]],
    ['HPACK: half a field', COMPRESSION_ERROR, [block(request.subarray(0, request.length - 3))]],
  ];
}

promise('frames that are no HTTP/2 end the connection with the code for that, and others are served', async (t) => {
  const { gateway, device, healthy } = await attackedHub(t);
  for (const [what, code, frames] of malformed(device)) {
    const client = await H2Client.open(gateway);
    client.send(...frames);
    const found = await client.end();
    assert.equal(found, code, what);
    await healthy(what);
  }
  assert.equal((await gateway.stored()).filter(({ body }) => body === 'x').length, 0);
});

promise('threat_15 what breaks one HTTP/2 stream ends that stream alone', async (t) => {
  const { gateway, device, healthy } = await attackedHub(t);
  const fields = requestFields(telemetry(device)), pseudo = fields.slice(0, 4), own = fields.slice(4);
  const head = (rows, flags = END_STREAM | END_HEADERS) => [frame(HEADERS, flags, 1, headerBlock(rows))];
  const without = (name) => fields.filter(([found]) => found !== name);
  for (const [what, frames] of [
    ['no method', head(without(':method'))],
    ['no scheme', head(without(':scheme'))],
    ['no path', head(without(':path'))],
    ['an empty path', head([...without(':path').slice(0, 2), [':path', ''], ...own])],
    ['a pseudo field twice', head([[':method', 'GET'], ...fields])],
    ['an unknown pseudo field', head([[':odd', 'x'], ...fields])],
    ['a pseudo field behind others', head([...own, ...pseudo])],
    ['a field with an empty name', head([...fields, ['', 'x']])],
    ['an upper-case name', head([...fields, ['X', 'x']])],
    ['NUL in a value', head([...fields, ['x', 'a\0b']])],
    ['a line break in a value', head([...fields, ['x', 'a\r\nb: c']])],
    ['Transfer-Encoding', head([...fields, ['transfer-encoding', 'chunked']])],
    ['Connection', head([...fields, ['connection', 'keep-alive']])],
    ['TE of gzip', head([...fields, ['te', 'gzip']])],
    ['two lengths', head([...fields, ['content-length', '0'], ['content-length', '0']])],
    ['a length that is none', head([...fields, ['content-length', '+0']])],
    ['a length without a body', head([...fields, ['content-length', '5']])],
  ]) {
    const client = await H2Client.open(gateway);
    client.send(...frames, frame(HEADERS, END_HEADERS, 3, headerBlock(fields)), frame(DATA, END_STREAM, 3, 'healthy'));
    let found;
    do found = await client.next(); while (found && (found.stream !== 3 || found.type !== HEADERS));
    assert.ok(found, `${what}: the connection ended, GOAWAY ${client.goaway}`);
    assert.equal(found.payload[0], 0x89, `${what}: the other stream got 204`);
    await client.drop();
  }
  await healthy('broken streams');
  for (const { body } of await gateway.stored()) assert.ok(['healthy', ''].includes(body));
});

// ---- no credentials, no TLS ----

const ROUTES = fs.readFileSync(path.join(__dirname, '..', '..', 'transports', 'https', 'rest_route.c'), 'utf8');
const routes = [...ROUTES.matchAll(/^\t\{"([A-Z]+)", "([^"]+)", (\w+)/gm)].map(([, method, route, kind]) =>
  ({ method, route, kind }));

promise('threat_27 who shows no credentials is refused on every route with every method', async (t) => {
  assert.ok(routes.length > 40, 'the table of routes was read');
  const { gateway, healthy } = await attackedHub(t);
  const { generationId } = JSON.parse(await gateway.ok('device', 'show', 'dev', '--json'));
  const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'BREW'];
  const none = [undefined, '', 'SharedAccessSignature', 'SharedAccessSignature sr=&sig=&se=',
    'SharedAccessSignature sr=localhost&sig=&se=4102444800&skn=iothubowner', 'Bearer x',
    `Basic ${Buffer.from('iothubowner:').toString('base64')}`];
  const body = JSON.stringify({ deviceId: 'dev', moduleId: 'dev', status: 'disabled' });
  const client = await HttpsClient.open(gateway);
  for (const route of new Set(routes.map((row) => row.route))) {
    const built = routes.filter((row) => row.route === route && row.kind !== 'NOT_BUILT').map((row) => row.method);
    const known = routes.filter((row) => row.route === route).map((row) => row.method);
    const websocket = routes.some((row) => row.route === route && row.kind === 'WEBSOCKET');
    for (const method of methods)
      for (const Authorization of known.includes(method) ? none : none.slice(0, 1)) {
        const request = { method, path: `/${route.replaceAll('*', 'dev')}?${API}`, fields: { Authorization, 'If-Match': '*' },
          body };
        client.send(requestBytes(request));
        const { status } = await (method === 'HEAD' ? bodiless(client) : client.next());
        const wanted = websocket && method === 'GET' ? [426, 501] // the protocol inside asks for them; 501: none is there
          : built.includes(method) ? [401] : known.includes(method) ? [501]
          : [405, 404, 401, 501]; // another row may have the method
        assert.ok(wanted.includes(status), `${method} ${request.path} with ${Authorization}: ${status}`);
      }
  }
  for (const row of routes.filter(({ kind }) => kind !== 'NOT_BUILT' && kind !== 'WEBSOCKET'))
    assert.equal((await askHttp2(gateway, { method: row.method, path: `/${row.route.replaceAll('*', 'dev')}?${API}`,
      fields: { 'If-Match': '*' } })).status, 401, row.route);
  assert.equal(JSON.parse(await gateway.ok('device', 'show', 'dev', '--json')).generationId, generationId);
  await healthy('no credentials');
  await storedNothingElse(gateway);
});

/** An answer to HEAD: a length, and no body behind it. */
async function bodiless(client) {
  while (!client.buffered.includes('\r\n\r\n')) await within(once(client.socket, 'data'), 'an answer to HEAD');
  const end = client.buffered.indexOf('\r\n\r\n') + 4;
  const status = Number(client.buffered.toString('latin1', 9, 12));
  assert.equal(client.buffered.length, end, 'a body behind an answer to HEAD');
  client.buffered = Buffer.alloc(0);
  return { status };
}

promise('threat_28 garbage, plain HTTP and half handshakes on the HTTPS port are closed, and others are served', async (t) => {
  const { gateway, device, healthy } = await attackedHub(t);
  const plain = async (bytes) => {
    const socket = net.connect(gateway.httpsPort, '127.0.0.1').resume();
    const closed = closeOf(socket);
    socket.end(bytes);
    await within(closed, `the end after ${String(bytes).slice(0, 20)}`);
  };
  for (const bytes of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', PREFACE, '\0', Buffer.alloc(100000, 0xff), '',
    Buffer.from('16030100050100000100', 'hex'), requestBytes(telemetry(device, 'plain'))])
    await plain(bytes);
  for (const bytes of ['\0'.repeat(1000), '\xff'.repeat(40000), '\x16\x03\x01\x00\x05', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\x10\x0c\x00\x04MQTT\x04\x02\x00\x00', 'AMQP\x00\x01\x00\x00', 'HELO x\r\n', '{"a":1}\r\n\r\n']) {
    const client = await HttpsClient.open(gateway);
    client.send(Buffer.from(bytes, 'latin1'));
    const answer = await client.next();
    assert.ok(answer === null || answer.status >= 400, bytes.slice(0, 20));
    await client.isClosed();
    const h2 = await H2Client.open(gateway, { hello: Buffer.from(bytes.startsWith('PRI') ? `${bytes}garbage as frames` : bytes,
      'latin1') });
    await h2.end();
  }
  await healthy('garbage');
  await storedNothingElse(gateway);
});
