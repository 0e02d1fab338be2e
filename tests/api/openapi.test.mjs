// The document about the API: the same from the command line, from the server and in the tree; right
// for a linter that we did not write; and beside it a page for people that obeys its own policy.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { watch } from '../support/openapi.mjs';
import { BIN, Daemon, folder, run } from '../support/program.mjs';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

let daemon;
before(async () => { daemon = await Daemon.start(); });
after(() => daemon?.stop());

test('command line, server and the tree have the same document', async () => {
    const printed = await run(['openapi']);
    assert.equal(printed.status, 0);
    const served = await fetch(`${daemon.url}/openapi.json`);
    assert.equal(served.headers.get('content-type'), 'application/json');
    const document = await served.json();
    assert.deepEqual(document, JSON.parse(printed.stdout));
    assert.deepEqual(document,
        JSON.parse(readFileSync(join(ROOT, 'docs/reference/openapi.json'), 'utf8')));
    assert.equal(document.openapi, '3.1.0');
});

test('a client that has it is told so', async () => {
    const first = await fetch(`${daemon.url}/openapi.json`);
    await first.arrayBuffer();
    const etag = first.headers.get('etag');
    assert.match(etag, /^"[0-9a-f]{32}(-gzip)?"$/);
    const again = await fetch(`${daemon.url}/openapi.json`, { headers: { 'if-none-match': etag } });
    assert.equal(again.status, 304);
});

test('a linter finds no error', async () => {
    const file = join(folder(), 'openapi.json');
    writeFileSync(file, await (await fetch(`${daemon.url}/openapi.json`)).text());
    const { stdout } = await promisify(execFile)(join(ROOT, 'node_modules/.bin/redocly'),
        ['lint', file, '--format=json', '--extends=recommended', '--max-problems=1000'],
        { maxBuffer: 64 << 20, env: { ...process.env, REDOCLY_TELEMETRY: 'off' } })
        .catch((failure) => failure);
    const { totals, problems } = JSON.parse(stdout);
    assert.deepEqual(problems.filter(({ severity }) => severity === 'error'), []);
    assert.equal(totals.errors, 0);
    // A WebSocket is opened with 101.
    const others = problems.filter(({ ruleId, location }) => ruleId !== 'operation-2xx-response'
        || !location[0].pointer.includes('~1ws/'));
    assert.deepEqual([...new Set(others.map(({ ruleId }) => ruleId))]
        .filter((rule) => !['tag-description', 'no-ambiguous-paths'].includes(rule)), []);
});

test('each operation is on the page, which needs no script and no style of its own', async () => {
    const document = await (await fetch(`${daemon.url}/openapi.json`)).json();
    const reply = await fetch(`${daemon.url}/docs`);
    assert.match(reply.headers.get('content-type'), /^text\/html/);
    assert.match(reply.headers.get('content-security-policy'), /default-src 'self'/);
    const page = await reply.text();
    for (const operations of Object.values(document.paths)) {
        for (const { operationId } of Object.values(operations)) {
            assert.ok(page.includes(`<article id="${operationId}">`), operationId);
        }
    }
    assert.doesNotMatch(page, /<script|<style| style=| on\w+=/);
    const [, sheet] = /<link rel="stylesheet" href="([^"]+)">/.exec(page);
    const style = await fetch(new URL(sheet, `${daemon.url}/docs`));
    assert.equal(style.status, 200);
    assert.match(style.headers.get('content-type'), /^text\/css/);
});

describe('the check of every answer', () => {
    before(() => { delete process.env.EXERCISED; }); // what follows is no answer of the program

    /** What `fetch` says about an answer of a server of ours that passes for the program. */
    async function judged(path, status, body, { headers = {}, sent } = {}) {
        const server = createServer((request, reply) => {
            reply.writeHead(status, { 'content-type': 'application/json', 'x-request-id': 'req_1', ...headers });
            reply.end(typeof body === 'string' ? body : JSON.stringify(body));
        });
        await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
        const url = `http://127.0.0.1:${server.address().port}`;
        watch(url, BIN);
        try {
            await fetch(url + path, sent === undefined ? {} : { method: 'POST', body: JSON.stringify(sent) });
            return '';
        } catch (error) {
            return error.message;
        } finally {
            server.close();
            server.closeAllConnections();
        }
    }

    const KEY = { keyId: 'k', name: 'n', roles: ['admin'], createdBy: 'o', createdAt: '2026-01-01T00:00:00.000Z',
        expiresAt: '2026-01-01T00:00:00.000Z', revokedAt: null, usedAt: null };
    const list = (...data) => ({ success: true, data, nextCursor: null });
    const failure = (code) => ({ success: false, error: 'Because.', code, requestId: 'req_1' });
    const KEYS = '/api/v1/auth/keys';

    test('takes what is so', async () => {
        assert.equal(await judged(KEYS, 200, list(KEY)), '');
        assert.equal(await judged(KEYS, 403, failure('forbidden')), '');
        assert.equal(await judged('/metrics', 200, '# HELP x\n', { headers: { 'content-type': 'text/plain' } }), '');
        assert.equal(await judged('/api/v1/nowhere', 404, failure('route_not_found')), '');
    });

    test('finds each way in which an answer can be other than it says', async () => {
        const { usedAt, ...lacking } = KEY;
        assert.match(await judged(KEYS, 200, list(lacking)), /\/data\/0 must have required property 'usedAt'/);
        assert.match(await judged(KEYS, 200, list({ ...KEY, secret: 'x' })), /additional properties.*secret/);
        assert.match(await judged(KEYS, 200, list({ ...KEY, keyId: 7 })), /\/data\/0\/keyId must be string/);
        assert.match(await judged(KEYS, 200, { success: true, data: [] }), /nextCursor/);
        assert.match(await judged(KEYS, 202, list(KEY)), /the status is not declared/);
        assert.match(await judged(KEYS, 403, failure('conflict')), /\/code must be equal to one of/);
        assert.match(await judged(KEYS, 200, list(KEY), { headers: { 'content-type': 'text/plain' } }),
            /the type text\/plain is not declared/);
        assert.match(await judged('/api/auth/../v1/auth/keys', 500, { success: false }), /must have required property/);
    });

    test('finds bodies that are taken against the document, or refused against it', async () => {
        const made = { success: true, data: KEY };
        assert.equal(await judged(KEYS, 201, made, { sent: { name: 'n', roles: ['admin'] } }), '');
        assert.match(await judged(KEYS, 201, made, { sent: { name: 'n' } }), /a body was taken that is not.*roles/);
        const missing = { ...failure('missing_field'), field: 'days' };
        assert.match(await judged(KEYS, 400, missing, { sent: { name: 'n', roles: ['admin'] } }),
            /a body was refused that is/);
        assert.equal(await judged(KEYS, 400, missing, { sent: { name: 'n' } }), '');
    });

    test('names what no test exercised', async () => {
        const notes = folder();
        writeFileSync(join(notes, '1'), 'health\nmetrics\nhealth\n');
        const said = await promisify(execFile)(process.execPath, [join(ROOT, 'tests/support/exercised.mjs'), notes])
            .catch((error) => error);
        assert.equal(said.code, 1);
        assert.match(said.stdout, /^not ok - no test exercised GET \/api\/v1\/auth\/keys \(listKeys\)$/m);
        assert.doesNotMatch(said.stdout, /\((health|metrics)\)/);
        assert.match(said.stdout, /^# 2 of \d+ operations/m);
    });
});
