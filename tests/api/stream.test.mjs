// Streams: topics over WebSocket (the npm client, and frames made by hand) and as Server-Sent Events.
// What is told must be what the routes answer, its numbers without gaps or doubles, also after a kill,
// in every process, and through a reorganisation.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import WebSocket from 'ws';
import { Api, Daemon, SLOW, assetBody, fresh, sleep, typeBody } from './support.mjs';
import { Site } from './reorg-site.mjs';
import { noteSuccess } from '../support/openapi.mjs';
import { ON_POSTGRES, change, eventually, pick, rows } from '../support/program.mjs';

const V1 = '/api/v1';
const TOPICS = ['assets', 'leases', 'offers', 'bids', 'sales', 'sale-bids', 'transactions', 'chain', 'reorgs'];

/** A WebSocket client that keeps everything it is told. */
class Listener {
    static async open(daemon, { headers = {}, path = '/ws', ...options } = {}) {
        const l = new Listener();
        l.said = [];
        l.socket = new WebSocket(daemon.url.replace('http', 'ws') + path, { headers, ...options });
        l.socket.on('message', (data, binary) => {
            assert.equal(binary, false);
            l.said.push(JSON.parse(data));
        });
        l.closed = new Promise((done) => {
            l.socket.on('close', (code, reason) => done({ code, reason: String(reason) }));
        });
        await new Promise((done, fail) => {
            l.socket.on('open', done);
            l.socket.on('error', fail);
            l.socket.on('unexpected-response', (_, answer) => {
                let body = '';
                answer.on('data', (chunk) => { body += chunk; });
                answer.on('end', () => fail(Object.assign(new Error(`status ${answer.statusCode}`),
                    { status: answer.statusCode, headers: answer.headers, body: JSON.parse(body) })));
            });
        });
        await l.hears((m) => m.type === 'hello');
        noteSuccess('openSocket');
        return l;
    }

    say(message) {
        this.socket.send(JSON.stringify(message));
    }

    /** The first message that is wanted, from some place on. */
    hears(wanted, from = 0) {
        return eventually(() => `wanted ${wanted}; said: ${JSON.stringify(this.said.slice(-5))}`,
            () => this.said.slice(from).find(wanted), 30);
    }

    async subscribe(topic, more = {}) {
        const from = this.said.length;
        this.say({ type: 'subscribe', topic, ...more });
        const subscribed = await this.hears((m) => m.topic === topic && m.type !== 'change', from);
        assert.equal(subscribed.type, 'subscribed', JSON.stringify(subscribed));
        if (!subscribed.resumed) {
            await this.hears((m) => m.topic === topic && m.type === 'snapshot', from);
        }
        return subscribed;
    }

    changes(topic) {
        return this.said.filter((m) => m.type === 'change' && m.topic === topic);
    }

    async close() {
        this.socket.close(1000);
        return this.closed;
    }
}

/** Holds that numbers of a topic go up by one from what it was subscribed at. */
function assertOrder(listener, topic) {
    const { number } = listener.said.find((m) => m.type === 'subscribed' && m.topic === topic);
    const numbers = listener.changes(topic).map((m) => m.number);
    assert.deepEqual(numbers, numbers.map((_, i) => number + 1 + i), topic);
    return numbers;
}

/** Reads Server-Sent Events (WHATWG HTML, section 9.2.6). */
class Events {
    static async open(daemon, topics, headers = {}) {
        const e = new Events();
        e.abort = new AbortController();
        e.heard = [];
        e.comments = 0;
        const answer = await fetch(`${daemon.url}${V1}/events?topics=${topics}`,
            { headers, signal: e.abort.signal });
        assert.equal(answer.status, 200);
        assert.equal(answer.headers.get('content-type'), 'text/event-stream');
        assert.match(answer.headers.get('x-request-id'), /^req_/);
        e.ended = e.#read(answer.body).catch(() => {});
        return e;
    }

    async #read(body) {
        let text = '';
        for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
            text += chunk;
            for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
                this.#take(text.slice(0, end).split('\n'));
            }
        }
    }

    #take(lines) {
        const field = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
        this.comments += lines.filter((line) => line.startsWith(':')).length;
        this.id = field('id') ?? this.id;
        if (field('data') !== undefined) {
            const data = JSON.parse(field('data'));
            assert.equal(field('event'), data.type);
            this.heard.push({ ...data, id: field('id') });
        }
    }

    hears(wanted) {
        return eventually(() => `${wanted}: ${JSON.stringify(this.heard.slice(-5))}`,
            () => this.heard.find(wanted), 30);
    }

    close() {
        this.abort.abort();
        return this.ended;
    }
}

// ---- what is told ---------------------------------------------------------------------------------

describe('topics', () => {
    let api;
    before(async () => {
        api = await Api.start();
        await api.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
    });
    after(() => api?.stop());

    test('a snapshot, then every change in order, as the routes tell it', async () => {
        const first = fresh('STREAM');
        await api.post(`${V1}/assets?wait=20`, assetBody(first));
        const l = await Listener.open(api.daemon);
        assert.deepEqual([...l.said[0].topics].sort(), [...TOPICS].sort());
        for (const topic of TOPICS) {
            await l.subscribe(topic);
        }
        const snapshot = l.said.find((m) => m.type === 'snapshot' && m.topic === 'assets');
        assert.equal(snapshot.complete, true);
        assert.equal(snapshot.rows.find((r) => r.key === first).row.status, 'active');
        const ids = Array.from({ length: 5 }, () => fresh('STREAM'));
        await Promise.all(ids.map((id) => api.post(`${V1}/assets?wait=20`, assetBody(id))));
        for (const id of ids) {
            const told = await l.hears((m) => m.type === 'change' && m.key === id && m.row?.status === 'active');
            const asset = await api.get(`${V1}/assets/${id}`);
            assert.equal(told.undone, false);
            assert.equal(told.row.onchainId, asset.blockchain?.onchainId ?? told.row.onchainId);
            assert.deepEqual([told.row.assetId, told.row.name, told.row.totalSupply],
                [id, 'Demo satellite', '100000000000000000000']);
        }
        // Transactions come to their states in order; the chain's height goes up.
        await l.hears((m) => m.topic === 'transactions' && m.row?.state === 'mined');
        const heights = l.changes('chain').map((m) => m.row.blockNumber);
        assert.ok(heights.length > 0);
        assert.deepEqual(heights, [...heights].sort((a, b) => a - b));
        for (const topic of TOPICS) {
            assertOrder(l, topic);
        }
        assert.equal((await l.close()).code, 1000);
    });

    test('the same as Server-Sent Events, which go on from the id that was heard', async () => {
        const l = await Listener.open(api.daemon);
        await l.subscribe('assets');
        const e = await Events.open(api.daemon, 'assets,chain');
        await e.hears((m) => m.type === 'ready');
        assert.deepEqual(e.heard.map((m) => [m.type, m.topic]), [['subscribed', 'assets'],
            ['snapshot', 'assets'], ['subscribed', 'chain'], ['snapshot', 'chain'], ['ready', undefined]]);
        const id = fresh('STREAM');
        await api.post(`${V1}/assets?wait=20`, assetBody(id));
        await e.hears((m) => m.key === id && m.row?.status === 'active');
        await l.hears((m) => m.key === id && m.row?.status === 'active');
        await e.close();
        const missed = fresh('STREAM');
        await api.post(`${V1}/assets?wait=20`, assetBody(missed));
        await l.hears((m) => m.key === missed && m.row?.status === 'active');
        const again = await Events.open(api.daemon, 'assets,chain', { 'Last-Event-ID': e.id });
        await again.hears((m) => m.key === missed && m.row?.status === 'active');
        await again.hears((m) => m.type === 'ready');
        assert.ok(!again.heard.some((m) => m.type === 'snapshot'));
        await again.close();
        const bare = (list) => list.filter((m) => m.type === 'change' && m.topic === 'assets')
            .map(({ id: _, ...m }) => m);
        const both = [...bare(e.heard), ...bare(again.heard)];
        const last = both.at(-1).number;
        assert.deepEqual(both, bare(l.said).filter((m) => m.number >= both[0].number && m.number <= last));
        await l.close();
        const lost = await Events.open(api.daemon, 'assets', { 'Last-Event-ID': 'ep_other.3' });
        assert.equal((await lost.hears((m) => m.type === 'resync')).reason, 'epoch');
        await lost.close();
    });

    test('who comes again goes on from a number, or is told that he cannot', async () => {
        const l = await Listener.open(api.daemon);
        const { number, epoch } = await l.subscribe('assets');
        assert.ok(number > 0);
        l.say({ type: 'unsubscribe', topic: 'assets' });
        await l.hears((m) => m.type === 'unsubscribed');
        const resumed = await l.subscribe('assets', { from: 0, epoch });
        assert.equal(resumed.resumed, true);
        await eventually('everything from the start', () => l.changes('assets').length === number);
        assert.deepEqual(l.changes('assets').map((m) => m.number),
            Array.from({ length: number }, (_, i) => i + 1));
        l.say({ type: 'unsubscribe', topic: 'assets' });
        await l.hears((m) => m.type === 'unsubscribed', l.said.length - 1);
        for (const [more, reason] of [[{ from: number + 1 }, 'ahead'], [{ from: 1, epoch: 'ep_x' }, 'epoch']]) {
            const at = l.said.length;
            assert.equal((await l.subscribe('assets', more)).resumed, false);
            assert.equal((await l.hears((m) => m.type === 'resync', at)).reason, reason);
            l.say({ type: 'unsubscribe', topic: 'assets' });
            await l.hears((m) => m.type === 'unsubscribed', at);
        }
        change(api.daemon.database, `DELETE FROM stream_messages WHERE topic = 'assets' AND number < 3`);
        const at = l.said.length;
        await l.subscribe('assets', { from: 1 });
        assert.equal((await l.hears((m) => m.type === 'resync', at)).reason, 'gap');
        await l.close();
    });

    test('what is asked wrongly is refused by name, and the connection goes on', async () => {
        const l = await Listener.open(api.daemon);
        await l.subscribe('leases');
        for (const [text, code] of [
            ['{', 'invalid_json'], ['[]', 'invalid_type'], ['{"type":"dance"}', 'invalid_field'],
            ['{"type":"subscribe"}', 'missing_field'],
            ['{"type":"subscribe","topic":"secrets"}', 'not_found'],
            ['{"type":"subscribe","topic":"leases"}', 'already_exists'],
            ['{"type":"subscribe","topic":"bids","from":-1}', 'invalid_amount'],
            ['{"type":"subscribe","topic":"bids","from":"18446744073709551615"}', 'invalid_field'],
            ['{"type":"subscribe","topic":"bids","x":1}', 'unknown_field'],
            ['{"type":"unsubscribe","topic":"bids"}', 'not_found'],
        ]) {
            const at = l.said.length;
            l.socket.send(text);
            assert.equal((await l.hears((m) => m.type === 'error', at)).code, code, text);
            await sleep(60);
        }
        await l.subscribe('bids');
        await l.close();
    });
});

// ---- who listens ----------------------------------------------------------------------------------

test('who he is, a client says in a header or in a message; a token that is none ends it', async () => {
    const daemon = await Daemon.start({ 'http.operator_token': 'a-secret-for-operators',
        'http.cors_origins': 'https://app.example.com', 'stream.recheck_interval': '100ms' });
    try {
        const l = await Listener.open(daemon);
        l.say({ type: 'auth', token: 'a-secret-for-operators' });
        const who = await l.hears((m) => m.type === 'authenticated');
        assert.deepEqual([who.principal, who.roles], ['operator', 'admin,operator']);
        await l.close();
        const liar = await Listener.open(daemon);
        liar.say({ type: 'auth', token: 'guess' });
        assert.equal((await liar.closed).code, 1008);
        assert.equal(liar.said.at(-1).code, 'unauthenticated');
        await assert.rejects(Listener.open(daemon, { headers: { authorization: 'Bearer guess' } }),
            (e) => e.status === 401 && e.body.code === 'unauthenticated');
        await assert.rejects(Listener.open(daemon, { origin: 'https://evil.example.com' }),
            (e) => e.status === 403 && e.body.code === 'forbidden');
        for (const origin of ['https://app.example.com', daemon.url]) {
            await (await Listener.open(daemon, { origin })).close();
        }
        const plain = await fetch(`${daemon.url}/ws`);
        assert.deepEqual([plain.status, plain.headers.get('sec-websocket-version')], [426, '13']);
        assert.equal((await plain.json()).code, 'upgrade_required');
        const topics = await fetch(`${daemon.url}${V1}/events?topics=nothing`);
        assert.deepEqual([topics.status, (await topics.json()).field], [400, 'topics']);
        const cors = await fetch(`${daemon.url}${V1}/events?topics=chain`,
            { headers: { origin: 'https://app.example.com' } });
        assert.equal(cors.headers.get('access-control-allow-origin'), 'https://app.example.com');
        await cors.body.cancel();
        assert.ok(!daemon.log.includes('guess'));
        // A key that is revoked ends what was opened with it, in a header or by a message.
        const operator = { authorization: 'Bearer a-secret-for-operators', 'content-type': 'application/json' };
        const made = await (await fetch(`${daemon.url}${V1}/auth/keys`, { method: 'POST', headers: operator,
            body: JSON.stringify({ name: 'listener', roles: ['service'] }) })).json();
        const byHeader = await Listener.open(daemon, { headers: { authorization: `Bearer ${made.data.key}` } });
        const byMessage = await Listener.open(daemon);
        byMessage.say({ type: 'auth', token: made.data.key });
        await byMessage.hears((m) => m.type === 'authenticated');
        const stranger = await Listener.open(daemon);
        await byHeader.subscribe('chain');
        await fetch(`${daemon.url}${V1}/auth/keys/${made.data.keyId}`, { method: 'DELETE', headers: operator });
        for (const l of [byHeader, byMessage]) {
            assert.equal((await l.closed).code, 1008);
            assert.equal(l.said.at(-1).code, 'unauthenticated');
        }
        assert.equal(byMessage.said.filter((m) => m.type === 'authenticated').length, 1);
        await stranger.subscribe('chain');
        await stranger.close();
    } finally {
        await daemon.stop();
    }
});

// ---- frames made by hand --------------------------------------------------------------------------

const MASK = [1, 2, 3, 4];

/** A frame of a client; `bits` are FIN and the reserved ones. */
function frame(opcode, payload, { bits = 0x80, masked = true, length } = {}) {
    const body = Buffer.from(payload);
    const n = length ?? body.length;
    const head = n < 126 ? [n] : n < 65536 ? [126, n >> 8, n & 255]
        : [127, 0, 0, 0, 0, ...[24, 16, 8, 0].map((s) => (n >>> s) & 255)];
    head[0] |= masked ? 0x80 : 0;
    return Buffer.from([bits | opcode, ...head, ...(masked ? MASK : []),
        ...body.map((byte, i) => masked ? byte ^ MASK[i % 4] : byte)]);
}

/** Opens a WebSocket by hand, sends bytes, and tells the close code that comes, and what came before. */
function raw(daemon, chunks, { key = 'dGhlIHNhbXBsZSBub25jZQ==', pause = 0 } = {}) {
    const { hostname, port } = new URL(daemon.url);
    return new Promise((done, fail) => {
        let bytes = Buffer.alloc(0);
        let opened = false;
        const texts = [];
        const socket = connect(Number(port), hostname, () => socket.write(
            `GET /ws HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n`
            + `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`));
        const send = async () => {
            for (const chunk of chunks) {
                socket.write(chunk);
                await sleep(pause);
            }
        };
        socket.on('error', fail);
        socket.on('close', () => done({ code: undefined, texts, rest: String(bytes) }));
        socket.on('data', (data) => {
            bytes = Buffer.concat([bytes, data]);
            if (!opened) {
                const end = bytes.indexOf('\r\n\r\n');
                if (end < 0) {
                    return;
                }
                if (!bytes.toString().startsWith('HTTP/1.1 101')) {
                    socket.end();
                    return;
                }
                // RFC 6455, section 1.3: the accept of this key.
                assert.match(bytes.subarray(0, end).toString(),
                    /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/);
                assert.doesNotMatch(bytes.subarray(0, end).toString(), /Extensions/i);
                opened = true;
                bytes = bytes.subarray(end + 4);
                send();
            }
            while (bytes.length >= 2) {
                const short = bytes[1] & 127;
                const at = short < 126 ? 2 : short === 126 ? 4 : 10;
                const n = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : bytes.readUInt32BE(6);
                if (bytes.length < at + n) {
                    return;
                }
                const payload = bytes.subarray(at, at + n);
                const opcode = bytes[0] & 15;
                if (opcode === 8) {
                    socket.end();
                    done({ code: n >= 2 ? payload.readUInt16BE(0) : 1005, texts });
                }
                texts.push([opcode, payload.toString()]);
                bytes = bytes.subarray(at + n);
            }
        });
    });
}

describe('a client that does not keep to RFC 6455', () => {
    let daemon;
    before(async () => {
        daemon = await Daemon.start({ 'stream.message_max': 1024, 'stream.message_rate': 50 });
    });
    after(() => daemon?.stop());
    const whole = '{"type":"subscribe","topic":"chain"}';

    for (const [what, chunks, code] of [
        ['is not masked', [frame(1, 'x', { masked: false })], 1002],
        ['uses a reserved bit', [frame(1, 'x', { bits: 0xC0 })], 1002],
        ['uses an opcode that there is not', [frame(3, 'x')], 1002],
        ['uses a control opcode that there is not', [frame(11, 'x')], 1002],
        ['continues nothing', [frame(0, 'x')], 1002],
        ['begins a message inside of another', [frame(1, 'x', { bits: 0 }), frame(1, 'y')], 1002],
        ['sends a ping in fragments', [frame(9, 'x', { bits: 0 })], 1002],
        ['sends a long ping', [frame(9, 'x'.repeat(126))], 1002],
        ['sends a length that is not the shortest', [Buffer.from([0x81, 0xFE, 0, 1, ...MASK, 0x60])], 1002],
        ['sends a close frame of one byte', [frame(8, 'x')], 1002],
        ['sends a close code that is never sent', [frame(8, [0x03, 0xED])], 1002],
        ['sends a close reason that is no UTF-8', [frame(8, [0x03, 0xE8, 0xC0, 0x80])], 1007],
        ['sends text that is no UTF-8', [frame(1, [0x7B, 0xFF])], 1007],
        ['sends a surrogate', [frame(1, [0xED, 0xA0, 0x80])], 1007],
        ['sends too long a message', [frame(1, 'x'.repeat(1025))], 1009],
        ['announces gigabytes', [frame(1, '', { length: 2 ** 31 })], 1009],
        ['sends too long a message in fragments',
            [frame(1, 'x'.repeat(600), { bits: 0 }), frame(0, 'x'.repeat(600))], 1009],
        ['sends bytes instead of text', [frame(2, 'x')], 1003],
        ['floods with messages', [Buffer.concat(Array(200).fill(frame(1, '{}')))], 1008],
        ['floods with pings', [Buffer.concat(Array(200).fill(frame(9, '')))], 1008],
        ['floods with empty fragments', [Buffer.concat([frame(1, '', { bits: 0 }),
            ...Array(200).fill(frame(0, '', { bits: 0 }))])], 1008],
        ['says goodbye', [frame(8, [0x03, 0xE8])], 1000],
        ['says goodbye without a code', [frame(8, '')], 1005],
    ]) {
        test(`${what}: ${code}`, async () => {
            assert.equal((await raw(daemon, chunks)).code, code);
        });
    }

    test('fragments, pings between them and single bytes are fine', async () => {
        const parts = Buffer.concat([frame(1, whole.slice(0, 9), { bits: 0 }), frame(9, 'still there?'),
            frame(0, whole.slice(9, 20), { bits: 0 }), frame(0, whole.slice(20)), frame(10, 'unasked')]);
        const bytes = [...parts].map((byte) => Buffer.from([byte]));
        const { texts, code } = await raw(daemon, [...bytes, Buffer.alloc(0), frame(8, [0x03, 0xE8])],
            { pause: 1 });
        assert.equal(code, 1000);
        assert.ok(texts.some(([opcode, text]) => opcode === 10 && text === 'still there?'));
        // The answer comes before or after the goodbye, which does not wait for it.
        assert.ok(!texts.some(([, text]) => text.includes('"error"')), JSON.stringify(texts));
    });

    test('a key that is none is refused before anything is opened', async () => {
        for (const key of ['', 'AAAA', 'dGhlIHNhbXBsZSBub25jZR==', 'dGhlIHNhbXBsZSBub25jZQ==x']) {
            assert.match((await raw(daemon, [], { key })).rest, /^HTTP\/1\.1 400/, key);
        }
    });
});

// ---- slow, silent, gone ---------------------------------------------------------------------------

/** Notes of rows that there are not, as many triggers would write them. */
const note = (daemon, count, prefix) => change(daemon.database, pick(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
     INSERT INTO stream_changes (topic, row_key, undone) SELECT 'transactions', '${prefix}' || i, 0 FROM n`,
    `INSERT INTO stream_changes (topic, row_key, undone)
     SELECT 'transactions', '${prefix}' || i, FALSE FROM generate_series(1, ${count}) AS i`));

test('who does not read is closed, and the others get everything', async () => {
    const daemon = await Daemon.start({ 'stream.queue_max': '1MiB', 'stream.close_timeout': '60s' });
    try {
        const slow = await Listener.open(daemon);
        await slow.subscribe('transactions');
        const others = [];
        for (let i = 0; i < 3; i++) {
            const other = await Listener.open(daemon);
            await other.subscribe('transactions');
            others.push(other);
        }
        const start = others[0].said.find((m) => m.type === 'subscribed').number;
        slow.socket.pause();
        // Piece by piece, so that nobody who reads has ever more waiting than is allowed.
        const PIECES = 40;
        const PIECE = 1000;
        const COUNT = PIECES * PIECE;
        for (let i = 1; i <= PIECES; i++) {
            note(daemon, PIECE, `${i}-${'x'.repeat(200)}-`);
            await eventually(`piece ${i}`, () => others.every((other) =>
                other.changes('transactions').length === i * PIECE), 60);
        }
        for (const other of others) {
            assert.equal(assertOrder(other, 'transactions').at(-1), start + COUNT);
        }
        slow.socket.resume();
        const { code } = await slow.closed;
        assert.equal(code, 1013);
        const got = assertOrder(slow, 'transactions');
        assert.ok(got.length < COUNT);
        const text = await (await fetch(`${daemon.url}/metrics`)).text();
        assert.match(text, /freehold_stream_closed_total\{reason="slow"\} 1/);
        assert.match(text, /freehold_stream_queued_bytes 0/);
        for (const other of others) {
            await other.close();
        }
    } finally {
        await daemon.stop();
    }
});

test('who is silent is pinged and dropped; a stop is told to all', async () => {
    const daemon = await Daemon.start({ 'stream.ping_interval': `${300 * SLOW}ms`,
        'stream.pong_timeout': `${300 * SLOW}ms` });
    try {
        const dead = await Listener.open(daemon, { autoPong: false });
        const alive = await Listener.open(daemon);
        const events = await Events.open(daemon, 'chain');
        let pings = 0;
        alive.socket.on('ping', () => { pings++; });
        assert.equal((await dead.closed).code, 1006);
        await eventually('pings', () => pings >= 3);
        await eventually('comments', () => events.comments >= 2);
        assert.equal(alive.socket.readyState, WebSocket.OPEN);
        const stopped = daemon.stop();
        assert.deepEqual(await alive.closed, { code: 1001, reason: 'the server stops' });
        assert.equal((await events.hears((m) => m.type === 'closed')).code, 1001);
        await stopped;
    } finally {
        await daemon.stop();
    }
});

test('too many connections are refused, of all and of one client', async () => {
    const daemon = await Daemon.start({ 'stream.connections_max': 3, 'stream.connections_per_client_max': 2 });
    try {
        const open = [await Listener.open(daemon), await Listener.open(daemon)];
        const third = new WebSocket(`${daemon.url.replace('http', 'ws')}/ws`);
        assert.equal(await new Promise((done) => { third.on('close', done); }), 1013);
        await Promise.all(open.map((l) => l.close()));
        await eventually('places', async () => /freehold_stream_connections\{kind="websocket"\} 0/
            .test(await (await fetch(`${daemon.url}/metrics`)).text()));
        await (await Listener.open(daemon)).close();
    } finally {
        await daemon.stop();
    }
});

// ---- crashes, processes, reorganisations ----------------------------------------------------------

test('numbers have no gap and no double through kill -9, and who missed some gets them', async () => {
    let api = await Api.start();
    const { dir } = api.daemon;
    try {
        await api.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
        const heard = new Map(); // number → the whole message
        let last = 0;
        let epoch;
        for (let round = 0; round < 3; round++) {
            const l = await Listener.open(api.daemon);
            const subscribed = await l.subscribe('assets', round === 0 ? {} : { from: last, epoch });
            assert.equal(subscribed.resumed, round > 0);
            epoch ??= subscribed.epoch;
            assert.equal(subscribed.epoch, epoch);
            last = subscribed.number;
            const posts = Array.from({ length: 4 }, () => api.send('POST', `${V1}/assets`,
                { body: assetBody(fresh('KILL')) }).catch(() => {}));
            await Promise.race([Promise.all(posts), sleep(150 * (round + 1))]);
            if (round < 2) {
                process.kill(api.daemon.pid, 'SIGKILL');
                await Promise.all([...posts, api.daemon.ended, l.closed]);
            } else {
                await Promise.all(posts);
                await api.until(`${V1}/assets?limit=200`, (list) => list.every((a) => a.status === 'active'));
                await eventually('the last change', () => rows(api.daemon.database,
                    `SELECT number FROM stream_numbers WHERE topic = 'assets'`)[0]?.number
                    === l.changes('assets').at(-1)?.number);
                await l.close();
            }
            for (const m of l.changes('assets')) {
                assert.equal(m.number, last + 1);
                last = m.number;
                heard.set(m.number, m);
            }
            if (round < 2) {
                api.provider.destroy();
                api = await Api.start({}, { dir });
            }
        }
        // What was heard is what the database has, and the last of each key is what the route says.
        const stored = rows(api.daemon.database,
            `SELECT number, body FROM stream_messages WHERE topic = 'assets' ORDER BY number`);
        for (const { number, body } of stored) {
            assert.ok(!heard.has(number) || JSON.parse(body).row.status === heard.get(number).row.status);
        }
        const states = new Map([...heard.values()].map((m) => [m.key, m.row]));
        for (const asset of await api.get(`${V1}/assets?limit=200`)) {
            assert.equal(states.get(asset.assetId)?.status, asset.status, asset.assetId);
        }
        assert.equal(rows(api.daemon.database, 'SELECT count(*) AS n FROM stream_changes')[0].n, 0);
    } finally {
        await api.stop();
    }
});

test('two processes on one database tell the same numbers', { skip: !ON_POSTGRES }, async () => {
    const host = await Api.start();
    const c = host.contracts;
    let a;
    let b;
    try {
        const settings = { 'chain.rpc_urls': host.daemon.rpc, 'chain.poll_interval': '50ms',
            'leasing.stablecoin': c.stablecoin, 'leasing.asset_registry': c.assetRegistry,
            'leasing.lease_factory': c.leaseFactory, 'leasing.marketplace': c.marketplace };
        a = new Api(await Daemon.start({ ...settings, 'wallets.dev_accounts': 5 }));
        b = await Daemon.start({ ...settings, 'wallets.dev_accounts': 5,
            'store.url': a.daemon.database.url });
        await a.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
        const listeners = [await Listener.open(a.daemon), await Listener.open(b)];
        const starts = [];
        for (const l of listeners) {
            starts.push(await l.subscribe('assets'));
        }
        assert.equal(starts[0].epoch, starts[1].epoch);
        const ids = Array.from({ length: 6 }, () => fresh('TWO'));
        await Promise.all(ids.map((id) => a.post(`${V1}/assets?wait=20`, assetBody(id))));
        for (const l of listeners) {
            for (const id of ids) {
                await l.hears((m) => m.key === id && m.row?.status === 'active');
            }
            assertOrder(l, 'assets');
        }
        const byNumber = (l) => new Map(l.changes('assets').map((m) => [m.number, m]));
        const [one, two] = listeners.map(byNumber);
        for (const [number, m] of one) {
            assert.ok(!two.has(number) || assert.deepEqual(two.get(number), m) === undefined);
        }
        assert.ok(two.size >= 6);
        await Promise.all(listeners.map((l) => l.close()));
    } finally {
        a?.provider.destroy();
        await Promise.all([a?.daemon.stop(), b?.stop()]);
        await host.stop();
    }
});

describe('a reorganisation', () => {
    let site;
    before(async () => { site = await Site.open(); });
    after(() => site?.close());

    test('is told as such, with what it took back, and what came after', async () => {
        const ids = [];
        for (let i = 0; i < 3; i++) {
            ids.push((await site.register()).assetId);
        }
        await site.api.until(`${V1}/assets?status=active&limit=200`, (a) => a.length === 3);
        await site.catchUp();
        const l = await Listener.open(site.api.daemon);
        for (const topic of ['assets', 'reorgs', 'chain']) {
            await l.subscribe(topic);
        }
        await site.reorg(3);
        await site.host.rpc('anvil_mine', '0x1');
        const reorg = await l.hears((m) => m.type === 'change' && m.topic === 'reorgs');
        assert.equal(reorg.row.depth, 3);
        const undone = await l.hears((m) => m.type === 'change' && m.topic === 'assets' && m.undone);
        assert.equal(undone.row.status, 'registered');
        assert.equal(undone.row.onchainId, null);
        await site.api.until(`${V1}/assets?status=active&limit=200`, (a) => a.length === 3);
        await eventually('what came after', () => ids.every((id) =>
            l.changes('assets').filter((m) => m.key === id).at(-1)?.row.status !== 'registered'));
        for (const topic of ['assets', 'reorgs', 'chain']) {
            assertOrder(l, topic);
        }
        await l.close();
    });
});
