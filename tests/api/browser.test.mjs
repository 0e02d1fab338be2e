// What browsers and caches live by, over a real connection: preflights, validators, compression.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Api, typeBody } from './support.mjs';
import { run } from '../support/program.mjs';

const ORIGIN = 'https://app.example.com';
const TYPES = '/api/v1/asset-types';
let api;

before(async () => {
    api = await Api.start({ 'http.cors_origins': `http://localhost:3000, ${ORIGIN}` });
    for (let i = 0; i < 4; i++) {
        await api.post(`${TYPES}?wait=20`, typeBody(`browser_${i}`));
    }
});
after(() => api?.stop());

/** Bytes as they come: fetch would undo the compression. */
function ask(method, path, headers = {}) {
    return new Promise((resolve, reject) => {
        const r = request(api.daemon.url + path, { method, headers }, (reply) => {
            const parts = [];
            reply.on('data', (p) => parts.push(p));
            reply.on('end', () => resolve({ status: reply.statusCode, headers: reply.headers,
                body: Buffer.concat(parts) }));
        });
        r.on('error', reject);
        r.end();
    });
}

test('a list is compressed for who takes gzip, and is the same', async () => {
    const plain = await ask('GET', TYPES);
    const packed = await ask('GET', TYPES, { 'accept-encoding': 'gzip' });
    assert.ok(plain.body.length >= 1024);
    assert.equal(plain.headers['content-encoding'], undefined);
    assert.equal(packed.headers['content-encoding'], 'gzip');
    assert.ok(packed.body.length < plain.body.length);
    assert.deepEqual(gunzipSync(packed.body), plain.body);
    assert.notEqual(packed.headers.etag, plain.headers.etag);
    for (const reply of [plain, packed]) {
        assert.match(reply.headers.vary, /Accept-Encoding/);
        assert.match(reply.headers.etag, /^"[0-9a-f]{32}(-gzip)?"$/);
    }
    const head = await ask('HEAD', TYPES, { 'accept-encoding': 'gzip' });
    assert.equal(head.headers['content-length'], String(packed.body.length));
    assert.equal(head.headers.etag, packed.headers.etag);
    assert.equal(head.body.length, 0);
});

test('what a client has already is not sent again, until it changes', async () => {
    const { headers: { etag } } = await ask('GET', TYPES);
    const again = await ask('GET', TYPES, { 'if-none-match': `"other", ${etag}` });
    assert.equal(again.status, 304);
    assert.equal(again.body.length, 0);
    assert.equal(again.headers.etag, etag);
    await api.post(`${TYPES}?wait=20`, typeBody('browser_later'));
    assert.equal((await ask('GET', TYPES, { 'if-none-match': etag })).status, 200);
});

test('a page of the origins may call, and read what it needs', async () => {
    const before = await ask('OPTIONS', TYPES, { origin: ORIGIN,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type,idempotency-key' });
    assert.equal(before.status, 204);
    assert.equal(before.headers['access-control-allow-origin'], ORIGIN);
    assert.match(before.headers['access-control-allow-methods'], /\bPOST\b/);
    assert.match(before.headers['access-control-allow-headers'], /Idempotency-Key/);
    const reply = await ask('GET', TYPES, { origin: ORIGIN });
    assert.equal(reply.headers['access-control-allow-origin'], ORIGIN);
    assert.match(reply.headers['access-control-expose-headers'], /X-Request-Id/);
    assert.match(reply.headers.vary, /Origin/);
    // A refusal must be readable too.
    const refused = await ask('GET', `${TYPES}/none-of-ours`, { origin: ORIGIN });
    assert.equal(refused.status, 404);
    assert.equal(refused.headers['access-control-allow-origin'], ORIGIN);
});

test('a page of another origin is told nothing', async () => {
    for (const method of ['GET', 'OPTIONS']) {
        const { headers } = await ask(method, TYPES, { origin: 'https://app.example.com.evil',
            'access-control-request-method': 'POST' });
        assert.deepEqual(Object.keys(headers).filter((h) => h.startsWith('access-control')), []);
        assert.match(headers.vary, /Origin/);
    }
});

test('a page is no operator, although its browser is on this machine', async () => {
    const hooks = '/api/v1/webhooks';
    assert.equal((await ask('GET', hooks)).status, 200);
    for (const [method, path] of [['GET', hooks], ['GET', '/api/v1/jobs'], ['DELETE', `${hooks}/x`]]) {
        for (const origin of [ORIGIN, 'https://evil.example', 'null']) {
            const refused = await ask(method, path, { origin });
            assert.equal(refused.status, 403, `${method} ${path} of ${origin}`);
            assert.equal(JSON.parse(refused.body).code, 'forbidden');
        }
    }
});

test('what is no origin is refused before anything starts', async () => {
    const { status, stderr, stdout } = await run(['config', '--check',
        '--http.cors_origins=https://app.example.com/']);
    assert.notEqual(status, 0);
    assert.match(stdout + stderr, /http\.cors_origins.*is no origin/);
});
