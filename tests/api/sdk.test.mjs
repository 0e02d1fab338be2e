// The TypeScript client, compiled by tsc and used against the program: types that fit, lists by cursor,
// failures, keys of idempotency, and what is tried again and what never is.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { folder } from '../support/program.mjs';
import { Api, assetBody, fresh, typeBody } from './support.mjs';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const TSC = join(ROOT, 'node_modules/.bin/tsc');
const run = promisify(execFile);

const built = folder();
let api;
let sdk;
before(async () => {
    await run(TSC, ['-p', join(ROOT, 'sdk/typescript'), '--outDir', built])
        .catch((error) => assert.fail(`tsc: ${error.stdout}`));
    writeFileSync(join(built, 'package.json'), '{"type":"module"}');
    sdk = await import(pathToFileURL(join(built, 'src/index.js')));
    api = await Api.start();
});
after(() => api?.stop());

const client = (options = {}) => new sdk.Freehold({ url: api.daemon.url, retryDelay: 1, ...options });

/** A fetch that notes what is sent, and is answered by `script` where that gives something. */
function scripted(script) {
    const sent = [];
    const send = async (url, init) => {
        sent.push({ url, ...init });
        const answer = script(sent.length - 1);
        return answer ?? fetch(url, init);
    };
    return { sent, fetch: send };
}

const refusal = (status, code, headers = {}) => new Response(
    JSON.stringify({ success: false, error: `It is ${code}.`, code, requestId: 'req_1' }),
    { status, headers: { 'content-type': 'application/json', ...headers } });
const networkFailure = () => Promise.reject(new TypeError('fetch failed'));

describe('a lifecycle', () => {
    const assets = Array.from({ length: 3 }, () => fresh('SDK'));

    test('registers, reads, and lists by cursor', async () => {
        const freehold = client();
        await freehold.createAssetType({ wait: 20, body: typeBody('satellite') });
        for (const assetId of assets) {
            const made = await freehold.registerAsset({ wait: 20, body: assetBody(assetId) });
            assert.equal(made.status, 'confirmed');
        }
        const one = await freehold.getAsset({ assetId: assets[0] });
        assert.equal(one.token.totalSupply, '100000000000000000000');
        const page = await freehold.listAssets({ limit: 2 });
        assert.deepEqual(page.data.map((a) => a.assetId), [assets[2], assets[1]]);
        assert.equal(page.count, 3);
        const all = [];
        for await (const asset of freehold.listAssets({ limit: 2 })) {
            all.push(asset.assetId);
        }
        assert.deepEqual(all, [...assets].reverse());
    });

    test('gives the pages of a list that is no array', async () => {
        const pages = [];
        for await (const page of client().listHolders({ assetId: assets[0] })) {
            pages.push(page);
        }
        assert.equal(pages.length, 1);
        assert.equal(pages[0].holderCount, 1);
    });

    test('what is no envelope is text, or as it is', async () => {
        assert.match(await client().metrics(), /^# HELP/m);
        assert.equal((await client().health()).service, 'freehold');
        assert.match(await client().getDocs(), /<h1>Freehold API/);
    });

    test('a failure tells its code, field and request', async () => {
        await assert.rejects(client().getAsset({ assetId: 'nothing' }), (error) => {
            assert.ok(error instanceof sdk.FreeholdError);
            assert.equal(error.status, 404);
            assert.equal(error.code, 'not_found');
            assert.match(error.requestId, /^req_/);
            assert.equal(error.retryable, false);
            return true;
        });
        const body = assetBody(fresh('SDK'), { totalSupply: '1.5' });
        await assert.rejects(client().registerAsset({ body }),
            ({ code, field }) => code === 'invalid_amount' && field === 'totalSupply');
    });

    test('parts of a path are data', async () => {
        await assert.rejects(client().getAsset({ assetId: 'a/../b?c' }), { status: 404, code: 'not_found' });
        await assert.rejects(client().getAsset({ assetId: '..' }), TypeError);
        await assert.rejects(client().getAsset({ assetId: '' }), TypeError);
    });
});

describe('trying again', () => {
    test('a request whose answer is lost runs once', async () => {
        const assetId = fresh('SDK');
        const before = (await client().listTransactions({ limit: 200 })).data.length;
        const { sent, fetch: lossy } = scripted(() => undefined);
        const losing = async (url, init) => {
            const reply = await lossy(url, init);
            if (sent.length === 1) {
                throw new TypeError('the connection was cut after the answer was sent');
            }
            return reply;
        };
        const made = await client({ fetch: losing }).registerAsset({ wait: 20, body: assetBody(assetId) });
        assert.equal(made.status, 'confirmed');
        assert.equal(sent.length, 2);
        assert.equal(sent[0].headers['idempotency-key'], sent[1].headers['idempotency-key']);
        assert.match(sent[0].headers['idempotency-key'], /^[!-~]{16,255}$/);
        assert.equal((await client().listTransactions({ limit: 200 })).data.length, before + 1);
    });

    test('each call has a key of its own, unless it is given', async () => {
        const { sent, fetch: noting } = scripted(() => refusal(422, 'invalid_metadata'));
        const freehold = client({ fetch: noting });
        for (const options of [{}, {}, { idempotencyKey: 'mine' }]) {
            await assert.rejects(freehold.registerAsset({ body: assetBody('X') }, options), { code: 'invalid_metadata' });
        }
        const keys = sent.map(({ headers }) => headers['idempotency-key']);
        assert.equal(new Set(keys).size, 3);
        assert.equal(keys[2], 'mine');
    });

    test('codes that may be tried again are, others are not', async () => {
        const busy = scripted((n) => n < 2 ? refusal(503, 'db_busy') : undefined);
        await client({ fetch: busy.fetch }).getContracts();
        assert.equal(busy.sent.length, 3);
        const broken = scripted(() => refusal(500, 'internal'));
        await assert.rejects(client({ fetch: broken.fetch }).getContracts(), { code: 'internal' });
        assert.equal(broken.sent.length, 1);
    });

    test('it ends after so many times, with the last failure', async () => {
        const gone = scripted(networkFailure);
        await assert.rejects(client({ fetch: gone.fetch, retries: 2 }).getContracts(), TypeError);
        assert.equal(gone.sent.length, 3);
        const busy = scripted(() => refusal(503, 'overloaded'));
        await assert.rejects(client({ fetch: busy.fetch, retries: 0 }).getContracts(), { code: 'overloaded' });
        assert.equal(busy.sent.length, 1);
    });

    test('what has no key is not, but after the limit of requests', async () => {
        const body = { name: 'x', roles: ['investor'] };
        const gone = scripted(networkFailure);
        await assert.rejects(client({ fetch: gone.fetch }).createKey({ body }), TypeError);
        assert.equal(gone.sent.length, 1);
        const busy = scripted(() => refusal(503, 'db_busy'));
        await assert.rejects(client({ fetch: busy.fetch }).createKey({ body }), { code: 'db_busy' });
        assert.equal(busy.sent.length, 1);
        const limited = scripted((n) => n === 0 ? refusal(429, 'rate_limited', { 'retry-after': '0' })
            : refusal(403, 'forbidden'));
        await assert.rejects(client({ fetch: limited.fetch }).createKey({ body }), { code: 'forbidden' });
        assert.equal(limited.sent.length, 2);
    });

    test('Retry-After is waited for, and an abort ends the wait', async () => {
        const busy = scripted(() => refusal(503, 'overloaded', { 'retry-after': '3600' }));
        const abort = new AbortController();
        const asked = client({ fetch: busy.fetch }).getContracts({ signal: abort.signal });
        setTimeout(() => abort.abort(new Error('enough')), 50);
        await assert.rejects(asked, /enough/);
        assert.equal(busy.sent.length, 1);
    });
});

test('a key is sent as the Bearer of each request', async () => {
    const { sent, fetch: noting } = scripted(() => refusal(401, 'unauthenticated'));
    for (const token of ['fhk_1', async () => 'fhk_1']) {
        await assert.rejects(client({ fetch: noting, token }).whoAmI(), { code: 'unauthenticated' });
    }
    assert.deepEqual(sent.map(({ headers }) => headers.authorization), ['Bearer fhk_1', 'Bearer fhk_1']);
});

test('types refuse what the API would', async () => {
    const dir = folder();
    symlinkSync(join(ROOT, 'sdk/typescript/src'), join(dir, 'src'));
    writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify({
        extends: join(ROOT, 'sdk/typescript/tsconfig.json'),
        compilerOptions: { noEmit: true, rootDir: '/', preserveSymlinks: true }, include: [dir],
    }));
    writeFileSync(join(dir, 'use.ts'), `
import { Freehold, type GetAssetData } from './src/index.js';
const f = new Freehold({ url: 'x' });
export const asset: Promise<GetAssetData> = f.getAsset({ assetId: 'A' });
// @ts-expect-error the path has a parameter
void f.getAsset();
// @ts-expect-error it is called assetId
void f.getAsset({ id: 'A' });
// @ts-expect-error signerType is one of two
void f.signLease({ leaseId: 'L', body: { signature: '0x', signerType: 'broker' } });
export async function states(): Promise<('registered' | 'active' | 'inactive' | 'failed')[]> {
    const found: GetAssetData['status'][] = [];
    for await (const a of f.listAssets()) {
        found.push(a.status);
    }
    return found;
}
`);
    await run(TSC, ['-p', dir]).catch((error) => assert.fail(`tsc: ${error.stdout}`));
});

test('the example runs', async () => {
    const { stdout } = await run(process.execPath, [join(built, 'example/asset.js')],
        { env: { ...process.env, FREEHOLD_URL: api.daemon.url } });
    assert.match(stdout, /^registered example-\w+, a satellite$/m);
    assert.match(stdout, /^0x[0-9a-fA-F]{40} holds 1000000000000000000$/m);
    assert.match(stdout, /^\d+ assets are active$/m);
    assert.match(stdout, /^refused with 404 not_found \(req_\w+\): /m);
});

test('the generated part is fresh', async () => {
    await run(join(ROOT, 'tools/gen-sdk'), ['--check']);
});
