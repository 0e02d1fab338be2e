// Documents: curl uploads, downloads and verifies them; bytes are known by what they are, proven from
// time to time, there before their rows, and gone when nobody has them. Hashes are node's.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
    existsSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync, writeSync, closeSync,
} from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Api, Daemon, assetBody, fresh, leaseBody, rows, sleep, typeBody } from './support.mjs';
import { Disk } from '../support/disk.mjs';
import { change, eventually, folder, pick } from '../support/program.mjs';

const V1 = '/api/v1/documents';
const LIMIT = 1 << 20;
const exec = promisify(execFile);

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** A PDF that nobody else has, of so many bytes. */
function pdf(size = 5000) {
    const head = Buffer.from('%PDF-1.7\n%\xE2\xE3\xCF\xD3\n', 'latin1');
    const tail = Buffer.from('\nstartxref\n0\n%%EOF\n');
    return Buffer.concat([head, randomBytes(size - head.length - tail.length), tail]);
}

/** Uploads a file with its name and type as they are said; resolves to { status, data, code, … }. */
async function upload(daemon, bytes, { name = 'a.pdf', type = 'application/pdf', field = 'document', fields = {},
    headers = {}, path = V1 } = {}) {
    const form = new FormData();
    Object.entries(fields).forEach(([key, value]) => form.append(key, value));
    form.append(field, new Blob([bytes], { type }), name);
    const reply = await fetch(daemon.url + path, { method: 'POST', body: form, headers });
    return { status: reply.status, headers: reply.headers, ...await reply.json() };
}

async function stored(daemon, bytes, options) {
    const answer = await upload(daemon, bytes, options);
    assert.equal(answer.status, 201, JSON.stringify(answer));
    return answer.data;
}

const dirOf = (daemon) => join(daemon.dir, 'freehold-data', 'documents');
const fileOf = (daemon, hash) => join(dirOf(daemon), hash.slice(2, 4), hash.slice(2));

/** All files of the store, those that arrive included. */
const files = (daemon) => readdirSync(dirOf(daemon), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'lock').map(({ name }) => name).sort();

function flip(path) {
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1] ^= 1;
    const fd = openSync(path, 'r+');
    writeSync(fd, bytes, 0, bytes.length, 0);
    closeSync(fd);
}

const actions = (daemon, id) => rows(daemon.database, `SELECT action FROM audit_log
    WHERE subject = 'document/${id}' ORDER BY created_at, id`).map(({ action }) => action.slice('documents.'.length));

async function swept(daemon) {
    const before_ = daemon.log.split('documents.swept').length;
    const now = pick('(unixepoch() * 1000000)', 'now()');
    change(daemon.database, `INSERT INTO jobs (kind, payload, priority, state, attempts, lapses, created, scheduled,
        run_at, lease_token) VALUES ('documents.sweep', '{}', 0, 1, 0, 0, ${now}, ${now}, ${now}, 0)`);
    await eventually('a sweep', () => daemon.log.split('documents.swept').length > before_);
}

describe('documents', () => {
    let daemon;
    let api;
    before(async () => {
        api = await Api.start({ 'documents.bytes_max': LIMIT });
        daemon = api.daemon;
    });
    after(() => api?.stop());

    test('curl uploads, downloads, resumes and verifies', async () => {
        const dir = folder();
        const bytes = pdf(700_000);
        const path = join(dir, 'Lease Äggs (final).pdf');
        writeFileSync(path, bytes);
        const curl = async (...args) => (await exec('curl', ['-sS', ...args], { encoding: 'buffer',
            maxBuffer: 1 << 22 })).stdout;
        const { success, data } = JSON.parse(await curl('-F', `document=@${path}`, `${daemon.url}/documents`));
        assert.equal(success, true);
        assert.equal(data.hash, `0x${sha256(bytes)}`);
        assert.deepEqual([data.filename, data.documentType, data.size, data.contentType, data.state, data.deduplicated],
            ['Lease Äggs (final).pdf', 'lease_agreement', bytes.length, 'application/pdf', 'stored', false]);
        assert.match(data.cid, /^bafybei[a-z2-7]{52}$/); // of several blocks
        const at = `${daemon.url}/documents/${data.documentId}`; // the seed's own path is the PDF itself
        assert.ok((await curl(at)).equals(bytes));
        assert.ok((await curl('-r', '1000-', at)).equals(bytes.subarray(1000)));
        const got = await fetch(at, { headers: { 'accept-encoding': 'gzip' } });
        assert.ok(Buffer.from(await got.arrayBuffer()).equals(bytes));
        assert.deepEqual(['content-type', 'content-disposition', 'etag', 'content-encoding', 'x-content-type-options']
            .map((name) => got.headers.get(name)),
        ['application/pdf', 'attachment; filename="Lease _ggs (final).pdf"; '
            + "filename*=UTF-8''Lease%20%C3%84ggs%20%28final%29.pdf", `"${sha256(bytes)}"`, null, 'nosniff']);
        const again = await fetch(at, { headers: { 'if-none-match': got.headers.get('etag') } });
        assert.equal(again.status, 304);
        const verified = JSON.parse(await curl('-X', 'POST', `${at}/verify`));
        assert.equal(verified.data.valid, true);
        assert.ok(Date.parse(verified.data.verifiedAt) >= Date.parse(data.uploadedAt));
        assert.deepEqual(actions(daemon, data.documentId), ['uploaded']);
        assert.ok(readFileSync(fileOf(daemon, data.hash)).equals(bytes));
    });

    test('what a document is called says of what type it is, unless it is told', async () => {
        for (const [name, type] of [['User-MANUAL.pdf', 'manual'], ['Certificate.pdf', 'certification'],
            ['spec sheet.pdf', 'specification'], ['Lease.pdf', 'lease_agreement'], ['AGREEMENT.pdf', 'lease_agreement'],
            ['other.pdf', 'specification'], ['certified manual.pdf', 'manual'], ['specs of lease.pdf', 'specification']]) {
            assert.equal((await stored(daemon, pdf(), { name })).documentType, type, name);
        }
        const told = await stored(daemon, pdf(), { field: 'file', name: 'x', fields: { documentType: 'manual' } });
        assert.equal(told.documentType, 'manual');
        const types = (await api.get(`${V1}?documentType=manual&limit=200`)).map(({ documentType }) => documentType);
        assert.equal(types.length, 3);
    });

    test('the same bytes are there once, whoever brings them and however often at once', async () => {
        const bytes = pdf(100_000);
        const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => upload(daemon, bytes,
            { name: `copy-${i}.pdf`, headers: { 'idempotency-key': fresh('once') } })));
        assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 200, 200, 200, 200, 200, 200, 201]);
        assert.equal(new Set(answers.map(({ data }) => data.documentId)).size, 1);
        assert.equal(new Set(answers.map(({ data }) => data.filename)).size, 1);
        assert.equal(files(daemon).filter((name) => name === sha256(bytes)).length, 1);
        const found = await api.get(`${V1}?hash=0x${sha256(bytes)}`);
        assert.deepEqual(found.map(({ documentId }) => documentId), [answers[0].data.documentId]);
        assert.deepEqual(await api.get(`${V1}?cid=${found[0].cid}`), found);
        assert.deepEqual(await api.get(`${V1}?cid=bafy`), []);
    });

    test('a key stands for the file and the fields, not for the boundary', async () => {
        const bytes = pdf();
        const headers = { 'idempotency-key': fresh('key') };
        const first = await upload(daemon, bytes, { headers });
        const second = await upload(daemon, bytes, { headers });
        assert.deepEqual([first.status, second.status, second.headers.get('idempotency-replayed')], [201, 201, 'true']);
        assert.deepEqual(second.data, first.data);
        for (const [other, options] of [[pdf(), {}], [bytes, { name: 'b.pdf' }],
            [bytes, { fields: { documentType: 'manual' } }]]) {
            const answer = await upload(daemon, other, { headers, ...options });
            assert.deepEqual([answer.status, answer.code], [409, 'idempotency_mismatch']);
        }
    });

    test('lies are refused with their code, and nothing of them is kept', async () => {
        const before_ = files(daemon);
        const count = rows(daemon.database, 'SELECT count(*) AS n FROM documents')[0].n;
        const whole = pdf();
        const png = Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), randomBytes(2000)]);
        for (const [bytes, options, status, code, field] of [
            [png, {}, 415, 'unsupported_media'],
            [Buffer.concat([Buffer.from('<html>'), whole]), {}, 415, 'unsupported_media'],
            [Buffer.from(''), {}, 415, 'unsupported_media'],
            [whole.subarray(0, -7), {}, 415, 'unsupported_media'],
            [whole, { type: 'image/png' }, 415, 'unsupported_media', 'contentType'],
            [whole, { type: 'text/html; charset=utf-8' }, 415, 'unsupported_media', 'contentType'],
            [pdf(LIMIT + 1), {}, 413, 'body_too_large'],
            [whole, { name: '../../etc/passwd' }, 400, 'invalid_field', 'filename'],
            [whole, { name: '..\\boot.pdf' }, 400, 'invalid_field', 'filename'],
            [whole, { name: '/etc/passwd' }, 400, 'invalid_field', 'filename'],
            [whole, { name: '..' }, 400, 'invalid_field', 'filename'],
            [whole, { name: `${'x'.repeat(256)}` }, 400, 'invalid_field', 'filename'],
            [whole, { name: 'a\u0001b.pdf' }, 400, 'invalid_encoding'],
            [whole, { field: 'other' }, 400, 'unknown_field'],
            [whole, { field: 'description' }, 400, 'missing_field', 'document'],
            [whole, { fields: { documentType: 'novel' } }, 400, 'invalid_field', 'documentType'],
            [whole, { fields: { assetId: 'NOWHERE' } }, 404, 'not_found'],
            [whole, { fields: { leaseId: 'lease_nowhere' } }, 404, 'not_found'],
            [whole, { fields: { description: 'x'.repeat(1001) } }, 400, 'invalid_field', 'description'],
            [whole, { fields: { description: 'x'.repeat(5000) } }, 400, 'invalid_field', 'description'],
        ]) {
            const answer = await upload(daemon, bytes, options);
            assert.deepEqual([answer.status, answer.code, answer.field], [status, code, field],
                JSON.stringify([options, answer]));
        }
        const json = await fetch(daemon.url + V1, { method: 'POST', body: '{}',
            headers: { 'content-type': 'application/json' } });
        assert.equal(json.status, 415);
        assert.deepEqual(files(daemon), before_);
        assert.equal(rows(daemon.database, 'SELECT count(*) AS n FROM documents')[0].n, count);
        assert.equal((await stored(daemon, pdf(LIMIT))).size, LIMIT);
        assert.equal((await stored(daemon, pdf(), { type: 'application/octet-stream' })).contentType, 'application/pdf');
    });

    test('who stops midway, or never stops, leaves nothing', async () => {
        const before_ = files(daemon);
        const { hostname, port } = new URL(daemon.url);
        for (let i = 0; i < 20; i++) {
            const socket = connect(port, hostname);
            socket.on('error', () => {});
            socket.write('POST /documents HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n'
                + 'Content-Type: multipart/form-data; boundary=b\r\n\r\n'
                + '--b\r\nContent-Disposition: form-data; name="document"; filename="a.pdf"\r\n\r\n%PDF-1.7\n');
            socket.write(randomBytes(200_000), () => socket.destroy());
        }
        const endless = request(daemon.url + V1, { method: 'POST', headers: { 'transfer-encoding': 'chunked',
            'content-type': 'multipart/form-data; boundary=b' } });
        const answered = new Promise((done) => { endless.on('response', ({ statusCode }) => done(statusCode))
            .on('error', ({ code }) => done(code)); });
        endless.write('--b\r\nContent-Disposition: form-data; name="document"; filename="a.pdf"\r\n\r\n%PDF-1.7\n');
        for (let i = 0; i < 40 && !endless.destroyed; i++) {
            endless.write(randomBytes(100_000));
            await sleep(2);
        }
        assert.ok([413, 'ECONNRESET', 'EPIPE'].includes(await answered));
        const more = pdf(); // and others are served, as soon as it is seen that those have left
        await eventually('room for another', async () => (await upload(daemon, more)).status === 201);
        assert.equal(files(daemon).length, before_.length + 1);
    });

    test('documents belong to assets and leases, and stay while they do', async () => {
        await api.post('/api/v1/asset-types?wait=20', typeBody('satellite'));
        const { assetId } = await api.post('/api/v1/assets?wait=20', assetBody(fresh('DOC')));
        const { leaseId } = await api.post('/api/v1/leases', leaseBody(assetId));
        const one = await stored(daemon, pdf(), { fields: { assetId, description: 'the manual' } });
        const two = await stored(daemon, pdf(), { fields: { leaseId } });
        const at = (id, of = `/api/v1/assets/${assetId}`) => `${of}/documents/${id}`;
        assert.deepEqual((await api.get(`${V1}/${one.documentId}`)).links,
            [{ kind: 'asset', id: assetId, description: 'the manual' }]);
        for (let i = 0; i < 2; i++) {
            const { status, data } = await api.send('PUT', at(two.documentId));
            assert.equal(status, 200);
            assert.deepEqual(data.links.map(({ kind, id }) => [kind, id]), [['asset', assetId], ['lease', leaseId]]);
        }
        const listed = async (path) => (await api.get(path)).map(({ documentId }) => documentId);
        assert.deepEqual(await listed(`/assets/${assetId}/documents`), [two.documentId, one.documentId]);
        assert.deepEqual(await listed(`/api/v1/leases/${leaseId}/documents`), [two.documentId]);
        const linked = await api.send('PUT', at(one.documentId, `/leases/${leaseId}`));
        assert.equal(linked.status, 200);
        assert.deepEqual(await listed(`/leases/${leaseId}/documents`), [two.documentId, one.documentId]);
        assert.equal((await api.send('DELETE', at(one.documentId, `/leases/${leaseId}`))).status, 200);
        assert.deepEqual(actions(daemon, two.documentId).sort(), ['linked', 'linked', 'uploaded']);
        await api.refuse('PUT', at(one.documentId, '/api/v1/assets/NOWHERE'), {}, 404, 'not_found');
        await api.refuse('PUT', at('doc_nowhere'), {}, 404, 'not_found');
        await api.refuse('DELETE', `${V1}/${two.documentId}`, {}, 409, 'conflict');
        assert.ok(existsSync(fileOf(daemon, two.hash)));
        for (const of of [`/api/v1/assets/${assetId}`, `/leases/${leaseId}`]) {
            assert.equal((await api.send('DELETE', at(two.documentId, of))).status, 200);
        }
        assert.equal((await api.send('DELETE', `${V1}/${two.documentId}`)).status, 200);
        assert.ok(!existsSync(fileOf(daemon, two.hash)));
        await api.refuse('GET', `${V1}/${two.documentId}`, {}, 404, 'not_found');
        await api.refuse('GET', `/documents/${two.documentId}`, {}, 404, 'not_found');
        await api.refuse('DELETE', `${V1}/${two.documentId}`, {}, 404, 'not_found');
        assert.ok(existsSync(fileOf(daemon, one.hash)));
    });

    test('lists are paged', async () => {
        const all = await api.get(`${V1}?limit=200`);
        const seen = [];
        let cursor = '';
        do {
            const page = await api.send('GET', `${V1}?limit=3${cursor}`);
            seen.push(...page.data);
            cursor = page.nextCursor && `&cursor=${page.nextCursor}`;
        } while (cursor);
        assert.deepEqual(seen, all);
        await api.refuse('GET', `${V1}?state=fine`, {}, 400, 'invalid_field', 'state');
        await api.refuse('GET', `${V1}?hash=0x12`, {}, 400, 'invalid_hash', 'hash');
    });

    test('a flipped byte is found, told, not served, and mended by the same file', async () => {
        const bytes = pdf();
        const one = await stored(daemon, bytes);
        const lost = await stored(daemon, pdf());
        const short = await stored(daemon, pdf());
        flip(fileOf(daemon, one.hash));
        rmSync(fileOf(daemon, lost.hash));
        writeFileSync(fileOf(daemon, short.hash), '%PDF');
        const content = ({ documentId }) => fetch(`${daemon.url}/documents/${documentId}`);
        assert.equal((await content(lost)).status, 500);
        assert.equal((await (await content(short)).json()).code, 'corrupt');
        const { data } = await api.send('POST', `${V1}/${one.documentId}/verify`);
        assert.deepEqual([data.valid, data.state], [false, 'damaged']);
        assert.ok(Date.parse(data.verifiedAt) < Date.parse(data.checkedAt));
        assert.equal((await content(one)).status, 500);
        await swept(daemon);
        const states = (await Promise.all([one, lost, short].map(({ documentId }) => api.get(`${V1}/${documentId}`))))
            .map(({ state }) => state);
        assert.deepEqual(states, ['damaged', 'missing', 'damaged']);
        assert.deepEqual((await api.get(`${V1}?state=missing`)).map(({ documentId }) => documentId), [lost.documentId]);
        assert.deepEqual(actions(daemon, one.documentId), ['uploaded', 'damaged']);
        assert.match(daemon.log, new RegExp(`documents.damaged.*${lost.documentId}`));
        const metrics = await (await fetch(`${daemon.url}/metrics`)).text();
        assert.match(metrics, /^freehold_documents_damaged 3$/m);
        const again = await upload(daemon, bytes);
        assert.deepEqual([again.status, again.data.documentId, again.data.state], [200, one.documentId, 'stored']);
        assert.ok(Buffer.from(await (await content(one)).arrayBuffer()).equals(bytes));
        assert.deepEqual(actions(daemon, one.documentId),
            ['uploaded', 'damaged', 'restored']);
        await swept(daemon);
        assert.match(await (await fetch(`${daemon.url}/metrics`)).text(), /^freehold_documents_damaged 2$/m);
    });

    test('a sweep removes files that no document has, when they are old', async () => {
        const kept = files(daemon);
        const name = sha256('nobody has this');
        const old = join(dirOf(daemon), name.slice(0, 2), name);
        const half = join(dirOf(daemon), 'tmp', 'put_half');
        const young = join(dirOf(daemon), 'tmp', 'put_young');
        mkdirSync(dirname(old), { recursive: true });
        [old, half, young].forEach((path) => writeFileSync(path, 'x'));
        const then = Date.now() / 1000 - 7200;
        [old, half].forEach((path) => utimesSync(path, then, then));
        await swept(daemon);
        assert.deepEqual(files(daemon), [...kept, 'put_young'].sort());
        rmSync(young);
    });
});

test('strangers are told before they send, and fill no disk', async () => {
    const daemon = await Daemon.start({ 'http.auth_required': true, 'http.operator_token': 'a-secret' });
    try {
        const { hostname, port } = new URL(daemon.url);
        const said = await new Promise((done) => {
            const socket = connect(port, hostname);
            let text = '';
            socket.on('data', (data) => { text += data; }).on('close', () => done(text)).on('error', () => {});
            socket.write('POST /documents HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n'
                + 'Expect: 100-continue\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n');
        });
        assert.match(said, /^HTTP\/1.1 401 [^]*"code":"unauthenticated"/);
        const whole = pdf(2_000_000);
        const refused = await upload(daemon, whole);
        assert.deepEqual([refused.status, refused.code], [401, 'unauthenticated']);
        assert.deepEqual(files(daemon), []);
        const headers = { authorization: 'Bearer a-secret' };
        const data = await stored(daemon, whole, { headers });
        assert.equal(data.uploadedBy, 'operator');
        const gone = await fetch(`${daemon.url}${V1}/${data.documentId}`, { method: 'DELETE' });
        assert.equal(gone.status, 401);
    } finally {
        await daemon.stop();
    }
});

test('killed at any time, what was acknowledged is there, and no row is without its bytes', async () => {
    const dir = folder();
    const acknowledged = new Map();
    let daemon;
    for (let life = 0; life < 4; life++) {
        daemon = await Daemon.start({}, { dir });
        let going = true;
        const load = Array.from({ length: 6 }, async () => {
            while (going) {
                const bytes = pdf(200_000);
                try {
                    const { status, data } = await upload(daemon, bytes);
                    assert.equal(status, 201);
                    acknowledged.set(data.documentId, sha256(bytes));
                } catch (error) {
                    assert.ok(error instanceof TypeError, error.stack); // of fetch
                }
            }
        });
        const enough = acknowledged.size + 10;
        await eventually('some are acknowledged', () => acknowledged.size >= enough);
        going = false;
        daemon.child.kill('SIGKILL');
        await daemon.ended;
        await Promise.all(load);
    }
    daemon = await Daemon.start({}, { dir });
    try {
        const known = rows(daemon.database, 'SELECT document_id, file_hash FROM documents');
        const byId = new Map(known.map(({ document_id: id, file_hash: hash }) => [id, hash.slice(2)]));
        for (const [id, hash] of acknowledged) {
            assert.equal(byId.get(id), hash);
        }
        for (const hash of byId.values()) {
            assert.equal(sha256(readFileSync(fileOf(daemon, `0x${hash}`))), hash);
        }
        await swept(daemon);
        assert.equal(rows(daemon.database, "SELECT count(*) AS n FROM documents WHERE state <> 'stored'")[0].n, 0);
    } finally {
        await daemon.stop();
    }
});

test('a disk that is full, or may not be written, is an answer; reads go on', async (t) => {
    const disk = Disk.make();
    if (disk.missing || !disk.breaks) {
        t.skip(disk.missing ?? 'the kernel takes no errors');
        return;
    }
    const daemon = await Daemon.start({ 'documents.dir': join(disk.path, 'documents') });
    try {
        const bytes = pdf();
        const { documentId } = await stored(daemon, bytes);
        disk.fill();
        const full = await upload(daemon, pdf(500_000));
        assert.deepEqual([full.status, full.code], [503, 'disk_full']);
        assert.notEqual(full.headers.get('retry-after'), null);
        disk.free();
        await stored(daemon, pdf(500_000));
        disk.turnReadOnly();
        const broken = await upload(daemon, pdf(500_000));
        assert.deepEqual([broken.status, broken.code], [500, 'io']);
        const got = await fetch(`${daemon.url}/documents/${documentId}`);
        assert.ok(Buffer.from(await got.arrayBuffer()).equals(bytes));
        assert.equal(rows(daemon.database, 'SELECT count(*) AS n FROM documents')[0].n, 2);
    } finally {
        await daemon.stop();
        disk.remove();
    }
});
