// The document about the API: the same from the command line, from the server and in the tree; right
// for a linter that we did not write; and beside it a page for people that obeys its own policy.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { Daemon, folder, run } from '../support/program.mjs';

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
    assert.deepEqual([...new Set(problems.map(({ ruleId }) => ruleId))]
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
