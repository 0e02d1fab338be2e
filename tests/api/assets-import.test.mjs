// freehold assets import: the assets of a CSV or JSON lines file through a running daemon.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { objects, run } from '../support/program.mjs';
import { Api, assetBody, fresh, having, typeBody } from './support.mjs';

const V1 = '/api/v1';
const TIMES = '2026-01-01T00:00:00Z,2026-01-01T00:00:00Z';
const HEAD = 'assetId,name,description,assetType,createdAt,updatedAt,tokenName,tokenSymbol,totalSupply,'
    + 'specifications.orbit.type,specifications.orbit.altitude_km,specifications.bands,specifications.code';

let api;

before(async () => {
    api = await Api.start();
    await api.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
});
after(() => api?.stop());

let files = 0;
/** Writes a file, imports it and returns { status, refusals, end, stdout, stderr }. */
async function load(text, name = 'assets.csv', options = []) {
    const file = join(api.daemon.dir, `${++files}-${name}`);
    writeFileSync(file, text);
    const done = await run(['assets', 'import', file, `--url=${api.daemon.url}`, '--json', ...options]);
    const lines = objects(done.stdout);
    return { ...done, end: lines.at(-1), refusals: lines.slice(0, -1) };
}

const row = (id, changes = {}) => {
    const cells = { name: 'One', description: '"A ""small"" one,', type: 'leo', altitude: '550', ...changes };
    return `${id},${cells.name},${cells.description} here",satellite,${TIMES},Token,TOK,1000,${cells.type},`
        + `${cells.altitude},"[""C"",""Ku""]",${cells.code ?? '007'}`;
};

describe('CSV', () => {
    const ids = [fresh('CSV'), fresh('CSV'), fresh('CSV')];

    test('rows become assets, with the types of their cells', async () => {
        const { status, end, stderr } = await load(`${[HEAD, ...ids.map((id) => row(id))].join('\r\n')}\r\n`);
        assert.equal(status, 0, stderr);
        assert.deepEqual(end, { success: true, rows: 3, created: 3, present: 0, refused: 0 });
        for (const id of ids) {
            const asset = await api.until(`${V1}/assets/${id}`, (a) => a.status === 'active');
            assert.deepEqual(asset.metadata, {
                assetId: id, name: 'One', description: 'A "small" one, here', assetType: 'satellite',
                createdAt: '2026-01-01T00:00:00Z', updatedAt: '2026-01-01T00:00:00Z', documents: [],
                specifications: { orbit: { type: 'leo', altitude_km: 550 }, bands: ['C', 'Ku'], code: '007' },
            });
            assert.deepEqual([asset.token.name, asset.token.symbol, asset.token.totalSupply], ['Token', 'TOK', '1000']);
        }
    });

    test('the same file again asks for nothing, and a longer one for what is new', async () => {
        const was = await api.state();
        const again = await load(`${[HEAD, ...ids.map((id) => row(id))].join('\n')}`);
        assert.deepEqual(again.end, { success: true, rows: 3, created: 0, present: 3, refused: 0 });
        assert.deepEqual(await api.state(), was);
        const more = await load([HEAD, ...ids.map((id) => row(id)), row(fresh('CSV'))].join('\n'));
        assert.deepEqual(more.end, { success: true, rows: 4, created: 1, present: 3, refused: 0 });
    });

    test('refused rows are told with line, field and reason, and the others go on', async () => {
        const good = fresh('CSV');
        const { status, end, refusals } = await load([HEAD,
            row(fresh('BAD'), { type: 'sun' }), // line 2
            row(fresh('BAD'), { description: '"in two\nlines' }).replace('1000', '0'), // 3 and 4
            'too,few', // 5
            '', // a blank one
            row(ids[0], { name: 'Other' }), // 7
            row('a/b'), // 8
            row(good)].join('\n'));
        assert.equal(status, 1);
        assert.deepEqual(end, { success: false, rows: 6, created: 1, present: 0, refused: 5 });
        assert.deepEqual(refusals.map((r) => [r.line, r.code, r.field]), [
            [2, 'invalid_metadata', 'metadata.specifications.orbit.type'],
            [3, 'invalid_amount', 'totalSupply'],
            [5, 'invalid_encoding', null],
            [7, 'already_exists', 'metadata.assetId'],
            [8, 'invalid_metadata', 'metadata.assetId']]);
        assert.equal(refusals[3].assetId, ids[0]);
        assert.match(refusals[2].error, /2 fields.* 13/);
        await api.until(`${V1}/assets/${good}`, (a) => a.status === 'active');
        await api.refuse('GET', `${V1}/assets/${refusals[0].assetId}`, {}, 404, 'not_found');
    });

    test('a file that is none is refused whole: nothing of it is asked for', async () => {
        const was = await api.state();
        const cases = [
            [[HEAD, row(fresh('BAD')), 'a"b'], 'invalid_encoding', /Line 3: a quote inside/],
            [[HEAD, row(fresh('BAD')), '"open'], 'invalid_encoding', /Line 3: a quote that is not closed/],
            [['assetId,colour', 'x,red'], 'unknown_field', /"colour"/],
            [['assetId,specifications.', 'x,1'], 'unknown_field', /"specifications\."/],
            [['assetId,assetId', 'x,y'], 'unknown_field', /same value/],
            [['assetId,specifications.a,specifications.a.b', 'x,1,2'], 'unknown_field', /same value/],
            [['name', 'x'], 'missing_field', /assetId/],
            [[''], 'missing_field', /assetId/],
        ];
        for (const [lines, code, error] of cases) {
            const { status, end } = await load(lines.join('\n'));
            assert.deepEqual([status, end.success, end.code], [1, false, code], JSON.stringify(end));
            assert.match(end.error, error);
        }
        assert.deepEqual(await api.state(), was);
    });
});

describe('JSON lines', () => {
    test('are bodies of the route; a line that is none is told', async () => {
        const [first, second] = [fresh('LINE'), fresh('LINE')];
        const { status, end, refusals } = await load([JSON.stringify(assetBody(first)), '', '{"metadata":', '[1]',
            JSON.stringify(having(assetBody(fresh('BAD')), 'totalSupply', 'x')), JSON.stringify(assetBody(second))]
            .join('\n'), 'assets.jsonl');
        assert.equal(status, 1);
        assert.deepEqual(end, { success: false, rows: 5, created: 2, present: 0, refused: 3 });
        assert.deepEqual(refusals.map((r) => [r.line, r.code, r.field]), [
            [3, 'invalid_json', null], [4, 'invalid_type', null], [5, 'invalid_amount', 'totalSupply']]);
        await api.until(`${V1}/assets/${second}`, (a) => a.status === 'active');
    });

    test('another name says by --format what it is', async () => {
        const { end } = await load(JSON.stringify(assetBody(fresh('LINE'))), 'assets.txt', ['--format=jsonl']);
        assert.equal(end.created, 1);
        const unknown = await load('', 'assets.txt');
        assert.deepEqual([unknown.status, unknown.end.code], [2, 'usage']);
    });
});

test('for people: refusals as sentences, then the sum', async () => {
    const file = join(api.daemon.dir, 'people.csv');
    writeFileSync(file, [HEAD, row('PEOPLE-1', { type: 'sun' }), row('PEOPLE-2')].join('\n'));
    const { status, stdout } = await run(['assets', 'import', file, `--url=${api.daemon.url}/`]);
    assert.equal(status, 1);
    assert.match(stdout, /^line 2 PEOPLE-1: metadata\.specifications\.orbit\.type: /);
    assert.match(stdout, /2 rows: 1 asked for, 0 there already, 1 refused\n$/);
});

test('a daemon that is not there ends the run, which the next one goes on with', async () => {
    const file = join(api.daemon.dir, 'away.csv');
    writeFileSync(file, [HEAD, row(fresh('AWAY'))].join('\n'));
    const { status, stdout } = await run(['assets', 'import', file, '--url=http://127.0.0.1:9', '--json']);
    assert.equal(status, 1);
    const [end] = objects(stdout);
    assert.equal(end.code, 'upstream');
    assert.match(end.error, /Rows before line 2 are done/);
});

describe('where callers need a key', () => {
    let strict;
    before(async () => {
        strict = await Api.start({ 'http.auth_required': true, 'http.operator_token': 'operators-only' });
        const headers = { authorization: 'Bearer operators-only' };
        await strict.post(`${V1}/asset-types?wait=20`, typeBody('satellite'), 201, headers);
    });
    after(() => strict?.stop());

    test('it is read from a file, and none is no matter of a row', async () => {
        const headers = { authorization: 'Bearer operators-only', 'content-type': 'application/json' };
        const made = await fetch(`${strict.daemon.url}/api/v1/auth/keys`, { method: 'POST', headers,
            body: JSON.stringify({ name: 'importer', roles: ['issuer'] }) }).then((r) => r.json());
        const file = join(strict.daemon.dir, 'keyed.csv');
        const key = join(strict.daemon.dir, 'key.txt');
        writeFileSync(file, [HEAD, row(fresh('KEY'))].join('\n'));
        writeFileSync(key, `${made.data.key}\n`);
        const url = `--url=${strict.daemon.url}`;
        const without = await run(['assets', 'import', file, url, '--json']);
        assert.equal(without.status, 1);
        assert.match(objects(without.stdout)[0].error, /answered 401/);
        const done = await run(['assets', 'import', file, url, '--json', '--key-file', key]);
        assert.deepEqual(objects(done.stdout), [{ success: true, rows: 1, created: 1, present: 0, refused: 0 }]);
        assert.doesNotMatch(done.stdout + done.stderr, new RegExp(made.data.key));
    });
});
