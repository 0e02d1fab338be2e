// Who calls the API: keys made at the command line and over the API, roles, revocation in all processes.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Daemon, change, objects, rows, run } from '../support/program.mjs';

const TOKEN = 'a-secret-for-operators';
const KEYS = '/api/v1/auth/keys';
const ME = '/api/v1/auth/me';
const TYPE = { name: 'x' };
let strict; // http.auth_required, with a token for operators
let open;

before(async () => {
    [strict, open] = await Promise.all([
        Daemon.start({ 'http.operator_token': TOKEN, 'http.auth_required': true }), Daemon.start({})]);
});
after(() => Promise.all([strict?.stop(), open?.stop()]));

async function call(daemon, method, path, token, body, headers = {}) {
    const reply = await fetch(daemon.url + path, {
        method,
        headers: { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
            ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: reply.status, headers: reply.headers, ...await reply.json() };
}

async function make(daemon, name, roles, more = {}) {
    const answer = await call(daemon, 'POST', KEYS, TOKEN, { name, roles, ...more });
    assert.equal(answer.status, 201, JSON.stringify(answer));
    return answer.data;
}

async function cli(daemon, ...args) {
    const { status, stdout } = await run(['keys', ...args, '--json',
        `--store.url=${daemon.database.url}`], { cwd: daemon.dir });
    return { status, lines: objects(stdout) };
}

test('a key says who calls, rests as its hash only, and is shown once', async () => {
    const { key, keyId, ...shown } = await make(strict, 'exchange', ['service', 'investor']);
    assert.match(key, new RegExp(`^fhk_${keyId}_[0-9a-f]{64}$`));
    assert.deepEqual([shown.name, shown.roles, shown.createdBy, shown.revokedAt],
        ['exchange', ['investor', 'service'], 'operator', null]);
    const days = (Date.parse(shown.expiresAt) - Date.parse(shown.createdAt)) / 86_400_000;
    assert.equal(days, 90);
    assert.deepEqual((await call(strict, 'GET', ME, key)).data,
        { principal: `key:${keyId}`, roles: ['investor', 'service'] });
    const [row] = rows(strict.database, 'SELECT * FROM auth_keys');
    const hash = createHash('sha256').update(key.slice(-64)).digest('hex');
    const text = JSON.stringify(row, (_, v) => v?.type === 'Buffer' ? Buffer.from(v.data).toString('hex') : v);
    assert.ok(!text.includes(key.slice(-64)));
    assert.equal(rows(strict.database, `SELECT count(*) AS n FROM auth_keys
        WHERE secret_hash = ${strict.database.url.startsWith('sqlite') ? `x'${hash}'` : `'\\x${hash}'::bytea`}`)[0].n, 1);
    const listed = await call(strict, 'GET', KEYS, TOKEN);
    assert.ok(!JSON.stringify(listed).includes(key.slice(-64)));
    assert.ok(!strict.log.includes(key.slice(-64)));
    assert.notEqual(listed.data.find((k) => k.keyId === keyId).usedAt, null);
    const twice = await call(strict, 'POST', KEYS, TOKEN, { name: 'exchange', roles: ['admin'] });
    assert.deepEqual([twice.status, twice.code, twice.field], [409, 'already_exists', 'name']);
});

test('credentials that are sent and are not valid are 401 everywhere', async () => {
    const { key, keyId } = await make(strict, 'bent', ['admin']);
    const last = key.at(-1) === '0' ? '1' : '0';
    for (const bad of ['x', `${TOKEN}x`, key.slice(0, -1), key.slice(0, -1) + last, `${key}0`, key.toUpperCase(),
        `fhk_0000000000000000_${key.slice(-64)}`, key.replace('_', '-')]) {
        for (const path of ['/api/v1/assets', ME, KEYS, '/api/v1/jobs']) {
            const answer = await call(strict, 'GET', path, bad);
            assert.deepEqual([answer.status, answer.code], [401, 'unauthenticated'], `${path} ${bad}`);
            assert.ok(!answer.error.includes(bad));
        }
    }
    for (const authorization of [`Basic ${key}`, key, 'Bearer', `Bearer  ${key}`]) {
        const answer = await call(open, 'GET', '/api/v1/assets', undefined, undefined, { authorization });
        assert.equal(answer.status, 401, authorization);
    }
    change(strict.database, `UPDATE auth_keys SET expires_at = created_at WHERE key_id = '${keyId}'`);
    const late = await call(strict, 'GET', '/api/v1/assets', key);
    assert.deepEqual([late.status, late.code], [401, 'unauthenticated']);
    assert.match(late.error, /expired/);
    const health = await fetch(`${strict.url}/health`, { headers: { authorization: `Bearer ${key}` } });
    assert.notEqual(health.status, 401);
});

test('roles decide what a key may do', async () => {
    const admin = (await make(strict, 'r-admin', ['admin'])).key;
    const operator = (await make(strict, 'r-operator', ['operator'])).key;
    const investor = (await make(strict, 'r-investor', ['investor'])).key;
    const status = async (...args) => (await call(strict, ...args)).status;
    assert.deepEqual(await Promise.all([admin, operator, investor, TOKEN, undefined].map((k) =>
        status('GET', '/api/v1/jobs', k))), [200, 200, 403, 200, 401]);
    assert.deepEqual(await Promise.all([admin, operator, investor, TOKEN, undefined].map((k) =>
        status('GET', KEYS, k))), [200, 403, 403, 200, 401]);
    assert.deepEqual(await Promise.all([operator, undefined].map((k) =>
        status('POST', KEYS, k, { name: 'mine', roles: ['admin'] }))), [403, 401]);
    assert.equal(await status('GET', '/api/v1/assets'), 200);
    const issuer = (await make(strict, 'r-issuer', ['issuer'])).key;
    const [nobody, known] = [await call(strict, 'POST', '/api/v1/asset-types', undefined, TYPE),
        await call(strict, 'POST', '/api/v1/asset-types', issuer, TYPE)];
    assert.deepEqual([nobody.status, nobody.headers.get('www-authenticate'), known.status], [401, 'Bearer', 400]);
    // What each route asks for: the first of these is let in (and refused by what is sent), the second is not.
    const keys = { admin, issuer, operator, investor };
    const none = '0x0000000000000000000000000000000000000001';
    for (const [path, yes, no] of [
        ['/asset-types', 'issuer admin', 'investor operator'], ['/assets', 'issuer admin', 'investor operator'],
        ['/leases', 'issuer admin', 'investor operator'], ['/leases/x/cancel', 'issuer operator admin', 'investor'],
        ['/leases/x/bids', 'investor operator admin', 'issuer'],
        ['/leases/x/bids/0/accept', 'issuer admin', 'investor operator'],
        ['/leases/x/bids/0/withdraw', 'investor operator admin', 'issuer'],
        ['/leases/x/sign', 'issuer investor operator admin', ''], ['/leases/x/terminate', 'issuer investor operator admin', ''],
        [`/revenue-rounds/1/claims/${none}/process`, 'investor operator admin', 'issuer']]) {
        for (const [names, is403] of [[yes, false], [no, true]]) {
            for (const name of names.split(' ').filter((n) => n !== '')) {
                const answer = await call(strict, 'POST', `/api/v1${path}`, keys[name], {});
                assert.equal(answer.status === 403, is403, `${path} ${name} ${JSON.stringify(answer)}`);
                assert.notEqual(answer.status, 401);
            }
        }
        assert.equal((await call(strict, 'POST', `/api/v1${path}`, undefined, {})).status, 401, path);
    }
    assert.equal((await call(open, 'POST', '/api/v1/assets', undefined, {})).code, 'missing_field');
    assert.equal((await call(open, 'POST', '/api/v1/asset-types', undefined, TYPE)).status, 400);
    assert.equal((await call(open, 'GET', KEYS)).status, 401);
});

test('what is asked for wrongly makes no key', async () => {
    const count = async () => rows(strict.database, 'SELECT count(*) AS n FROM auth_keys')[0].n;
    const before_ = await count();
    for (const [body, code, field] of [
        [{ roles: ['admin'] }, 'missing_field', 'name'], [{ name: 'n' }, 'missing_field', 'roles'],
        [{ name: '', roles: ['admin'] }, 'invalid_field', 'name'],
        [{ name: 'a\nb', roles: ['admin'] }, 'invalid_field', 'name'],
        [{ name: 'x'.repeat(101), roles: ['admin'] }, 'invalid_field', 'name'],
        [{ name: 'n', roles: [] }, 'invalid_field', 'roles'],
        [{ name: 'n', roles: ['admin', 'root'] }, 'invalid_field', 'roles'],
        [{ name: 'n', roles: 'admin' }, 'invalid_field', 'roles'],
        [{ name: 'n', roles: ['admin'], days: 0 }, 'invalid_field', 'days'],
        [{ name: 'n', roles: ['admin'], days: 3651 }, 'invalid_field', 'days'],
        [{ name: 'n', roles: ['admin'], secret: 'x' }, 'unknown_field', 'secret']]) {
        const answer = await call(strict, 'POST', KEYS, TOKEN, body);
        assert.deepEqual([answer.status, answer.code, answer.field], [400, code, field], JSON.stringify(body));
    }
    assert.equal(await count(), before_);
});

test('the command line makes the first key and ends it, beside the daemon, at once', async () => {
    const made = await cli(open, 'create', 'first', '--roles', 'admin', '--days', '7');
    assert.equal(made.status, 0);
    const [{ key, keyId }] = made.lines;
    assert.equal((await call(open, 'GET', KEYS, key)).status, 200);
    assert.deepEqual((await cli(open, 'list')).lines.map((k) => [k.keyId, k.key]), [[keyId, undefined]]);
    const ended = await cli(open, 'revoke', keyId);
    assert.notEqual(ended.lines[0].revokedAt, null);
    const answer = await call(open, 'GET', KEYS, key);
    assert.deepEqual([answer.status, answer.code], [401, 'unauthenticated']);
    assert.match(answer.error, /revoked/);
    const again = await cli(open, 'revoke', keyId);
    assert.deepEqual(again, ended);
    assert.equal((await cli(open, 'revoke', '00')).lines[0].code, 'not_found');
    assert.equal((await cli(open, 'create', 'first')).status, 2);
    assert.equal((await cli(open, 'create', 'first', '--roles', 'root')).lines[0].code, 'invalid_field');
    assert.deepEqual(rows(open.database, `SELECT action, subject, actor_kind FROM audit_log
        WHERE action LIKE 'auth.%' ORDER BY created_at`), [
        { action: 'auth.key_created', subject: `key/${keyId}`, actor_kind: 3 },
        { action: 'auth.key_revoked', subject: `key/${keyId}`, actor_kind: 3 }]);
});

test('a key is revoked over the API, its name is free again, and the audit log says who', async () => {
    const boss = await make(strict, 'boss', ['admin']);
    const one = await make(strict, 'short-lived', ['service']);
    assert.equal((await call(strict, 'DELETE', `${KEYS}/${one.keyId}`, boss.key)).status, 200);
    assert.equal((await call(strict, 'GET', ME, one.key)).status, 401);
    assert.equal((await call(strict, 'DELETE', `${KEYS}/unknown`, boss.key)).status, 404);
    await make(strict, 'short-lived', ['service']);
    assert.deepEqual(rows(strict.database, `SELECT actor FROM audit_log
        WHERE action = 'auth.key_revoked' AND subject = 'key/${one.keyId}'`), [{ actor: `key:${boss.keyId}` }]);
});

test('an Idempotency-Key is its caller\'s own', async () => {
    const [a, b] = [await make(strict, 'ida', ['issuer']), await make(strict, 'idb', ['issuer'])];
    const ask = (key, body) => call(strict, 'POST', '/api/v1/asset-types', key, body, { 'idempotency-key': 'k1' });
    assert.equal((await ask(a.key, TYPE)).status, 400);
    const replayed = await ask(a.key, TYPE);
    assert.equal(replayed.headers.get('idempotency-replayed'), 'true');
    assert.equal((await ask(a.key, { name: 'y' })).code, 'idempotency_mismatch');
    const other = await ask(b.key, { name: 'y' });
    assert.deepEqual([other.status, other.headers.get('idempotency-replayed')], [400, null]);
});
