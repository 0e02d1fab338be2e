// Wallets log in with messages that siwe and viem wrote; tokens are checked with jose, both ways; roles, logout,
// reuse, and every way to get in that must not be one.

import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { SignJWT, createRemoteJWKSet, decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair, jwtVerify,
    UnsecuredJWT } from 'jose';
import { SiweMessage } from 'siwe';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { createSiweMessage } from 'viem/siwe';
import { Api } from './support.mjs';
import { Daemon, ON_POSTGRES, SLOW, change, databaseOf, dump, folder, objects, rows, run } from '../support/program.mjs';

const TOKEN = 'a-secret-for-operators';
const AUTH = '/api/v1/auth';
const CHAIN = 31337;
const HALF = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const SETTINGS = { 'http.operator_token': TOKEN, 'http.auth_required': true,
    'auth.domains': 'localhost:5173, app.example.com' };
let daemon;

before(async () => { daemon = await Daemon.start(SETTINGS); });
after(() => daemon?.stop());

async function call(method, path, { token, body, at = daemon } = {}) {
    const reply = await fetch(at.url + path, {
        method,
        headers: { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
            ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: reply.status, headers: reply.headers, ...await reply.json() };
}

const wallet = () => privateKeyToAccount(generatePrivateKey());

async function nonce(at = daemon) {
    const answer = await call('POST', `${AUTH}/nonce`, { at });
    assert.equal(answer.status, 201, JSON.stringify(answer));
    assert.equal(answer.data.chainId, CHAIN);
    return answer.data.nonce;
}

/** The members of a message that is taken, but for those that are given. */
async function members(account, more = {}) {
    return { domain: 'app.example.com', address: account.address, uri: 'https://app.example.com/login', version: '1',
        chainId: CHAIN, nonce: more.nonce ?? await nonce(), issuedAt: new Date().toISOString(), ...more };
}

const written = async (account, more) => new SiweMessage(await members(account, more)).prepareMessage();

async function login(account, message, { at = daemon, signature } = {}) {
    return call('POST', `${AUTH}/login`, { at, body: { message,
        signature: signature ?? await account.signMessage({ message }) } });
}

async function loggedIn(account, options) {
    const answer = await login(account, await written(account, options), options);
    assert.equal(answer.status, 201, JSON.stringify(answer));
    return answer.data;
}

const refresh = (refreshToken, at) => call('POST', `${AUTH}/refresh`, { body: { refreshToken }, at });
const me = (token, at) => call('GET', `${AUTH}/me`, { token, at });
const audited = (subject) => rows(daemon.database, `SELECT action, actor, outcome FROM audit_log
    WHERE subject = '${subject}' ORDER BY created_at, id`);

async function cli(...args) {
    const { status, stdout } = await run([...args, '--json', `--store.url=${daemon.database.url}`], { cwd: daemon.dir });
    return { status, lines: objects(stdout) };
}

test('a wallet logs in with a message of siwe and of viem, and is an investor', async () => {
    const account = wallet();
    const viem = createSiweMessage({ ...await members(account, { domain: 'localhost:5173', uri: 'http://localhost:5173' }),
        issuedAt: new Date(), expirationTime: new Date(Date.now() + 60_000), statement: 'Lease assets.', requestId: 'r-1',
        resources: ['https://example.com/terms'] });
    for (const message of [await written(account), viem]) {
        const answer = await login(account, message);
        assert.equal(answer.status, 201, JSON.stringify(answer));
        const { data } = answer;
        assert.deepEqual([data.address, data.roles, data.tokenType], [account.address, ['investor'], 'Bearer']);
        assert.match(data.refreshToken, /^fhr_[0-9a-f]{64}$/);
        const who = await me(data.accessToken);
        assert.deepEqual(who.data, { principal: `wallet:${account.address.toLowerCase()}`, roles: ['investor'] });
        assert.deepEqual(audited(`session/${data.sessionId}`),
            [{ action: 'auth.login', actor: `wallet:${account.address.toLowerCase()}`, outcome: 1 }]);
        const everything = daemon.log + JSON.stringify(['auth_sessions', 'auth_refreshes', 'auth_signing_keys', 'audit_log',
            'http_idempotency'].map((table) => dump(daemon.database, table)));
        for (const secret of [data.accessToken, data.refreshToken, data.refreshToken.slice(4)]) {
            assert.ok(!everything.includes(secret));
        }
    }
});

test('jose takes our tokens by the published keys, and we take none of jose\'s', async () => {
    const account = wallet();
    const data = await loggedIn(account);
    const keys = createRemoteJWKSet(new URL(`${daemon.url}/.well-known/jwks.json`));
    const { payload, protectedHeader } = await jwtVerify(data.accessToken, keys,
        { issuer: 'freehold', audience: 'freehold-api', typ: 'at+jwt', algorithms: ['EdDSA'] });
    assert.deepEqual([payload.sub, payload.sid, payload.roles], [account.address, data.sessionId, ['investor']]);
    assert.equal(payload.exp - payload.iat, 900);
    assert.equal(new Date(data.expiresAt).getTime(), payload.exp * 1000);

    const published = (await (await fetch(`${daemon.url}/.well-known/jwks.json`)).json()).keys;
    assert.ok(published.every((k) => k.kty === 'OKP' && k.crv === 'Ed25519' && k.d === undefined));
    const { publicKey, privateKey } = await generateKeyPair('EdDSA', { extractable: true });
    const claims = decodeJwt(data.accessToken);
    const header = decodeProtectedHeader(data.accessToken);
    const sign = (more = {}, key = privateKey, body = claims) =>
        new SignJWT(body).setProtectedHeader({ ...header, ...more }).sign(key);
    const x = Buffer.from(published.find((k) => k.kid === header.kid).x, 'base64url');
    const forged = {
        'alg none': new UnsecuredJWT(claims).encode(),
        'another key': await sign(),
        'another kid': await sign({ kid: 'key_1' }),
        'a key of its own': await sign({ jwk: await exportJWK(publicKey) }),
        'HMAC under the public key': await sign({ alg: 'HS256' }, Buffer.concat([x])),
        'no session': await sign({}, privateKey, { ...claims, sid: undefined }),
        'a session with a NUL': await sign({}, privateKey, { ...claims, sid: 'a\0b' }),
        'other claims': [data.accessToken.split('.')[0],
            Buffer.from(JSON.stringify({ ...claims, roles: ['admin'] })).toString('base64url'),
            data.accessToken.split('.')[2]].join('.'),
        'the refresh token': data.refreshToken,
        'more text': `${data.accessToken}.`,
        'too long': `${data.accessToken}${'A'.repeat(4000)}`,
    };
    for (const [name, token] of Object.entries(forged)) {
        const answer = await me(token);
        assert.deepEqual([answer.status, answer.code], [401, 'unauthenticated'], name);
        assert.ok(!answer.error.includes(token), name);
    }
    assert.equal((await me(data.accessToken)).status, 200);
});

test('a message that is not ours, not now or not signed by its address lets nobody in', async () => {
    const account = wallet();
    const before_ = rows(daemon.database, 'SELECT count(*) AS n FROM auth_sessions')[0].n;
    const later = (sec) => new Date(Date.now() + sec * 1000).toISOString();
    for (const [more, status, code] of [
        [{ domain: 'evil.example.com', uri: 'https://evil.example.com' }, 403, 'forbidden'],
        [{ domain: 'app.example.com.evil.com', uri: 'https://app.example.com.evil.com' }, 403, 'forbidden'],
        [{ uri: 'https://evil.example.com/login' }, 403, 'forbidden'],
        [{ chainId: 1 }, 422, 'signature_chain'],
        [{ nonce: 'deadbeefdeadbeef' }, 401, 'unauthenticated'],
        [{ expirationTime: later(-1) }, 422, 'deadline_expired'],
        [{ issuedAt: later(-3600) }, 422, 'deadline_expired'],
        [{ issuedAt: later(3600) }, 400, 'invalid_time'],
        [{ notBefore: later(3600) }, 400, 'invalid_time']]) {
        const answer = await login(account, await written(account, more));
        assert.deepEqual([answer.status, answer.code], [status, code], JSON.stringify(more));
    }
    const message = await written(account);
    const signature = await account.signMessage({ message });
    const s = BigInt(`0x${signature.slice(66, 130)}`);
    const high = `${signature.slice(0, 66)}${(ORDER - s).toString(16).padStart(64, '0')}${
        signature.endsWith('1b') ? '1c' : '1b'}`;
    assert.ok(s <= HALF);
    for (const [what, sent, code] of [
        [message, await wallet().signMessage({ message }), 'signature_signer'],
        [message.replace('/login', '/logon'), signature, 'signature_signer'],
        [message, high, 'signature_high_s'],
        [message, `${signature.slice(0, -2)}0${signature.endsWith('1b') ? 0 : 1}`, 'signature_v'],
        [message, `${signature}00`, 'signature_malformed'], [message, '0x', 'signature_malformed']]) {
        const answer = await login(account, what, { signature: sent });
        assert.deepEqual([answer.status, answer.code], [422, code]);
    }
    for (const [body, code] of [[{ message }, 'missing_field'], [{ message, signature: 7 }, 'invalid_type'],
        [{ message, signature: 'zz' }, 'invalid_hex'], [{ message, signature, extra: 1 }, 'unknown_field'],
        [{ message: `${message}\n`, signature }, 'invalid_field'], [{ message: 'x'.repeat(5000), signature }, 'invalid_field']]) {
        const answer = await call('POST', `${AUTH}/login`, { body });
        assert.deepEqual([answer.status, answer.code], [400, code]);
    }
    assert.equal(rows(daemon.database, 'SELECT count(*) AS n FROM auth_sessions')[0].n, before_);
    assert.equal((await login(account, message)).status, 201); // none of that used the nonce up
    assert.equal((await login(account, message)).code, 'unauthenticated');
});

test('nobody logs in where there are no domains', async () => {
    const closed = await Daemon.start({});
    try {
        const account = wallet();
        const answer = await login(account, await written(account, { nonce: await nonce(closed) }), { at: closed });
        assert.deepEqual([answer.status, answer.code], [403, 'forbidden']);
    } finally {
        await closed.stop();
    }
});

test('one message makes one session, however often it is sent at once', async () => {
    const account = wallet();
    const message = await written(account);
    const signature = await account.signMessage({ message });
    const answers = await Promise.all(Array.from({ length: 32 }, () => login(account, message, { signature })));
    assert.deepEqual(answers.map((a) => a.status).sort(), [201, ...Array(31).fill(401)]);
    const { data } = await call('GET', `${AUTH}/sessions`, { token: answers.find((a) => a.status === 201).data.accessToken });
    assert.equal(data.length, 1);
});

test('processes on one database share nonces, sessions and their end', { skip: !ON_POSTGRES }, async () => {
    const host = await Api.start(); // has the chain
    const c = host.contracts;
    const settings = { ...SETTINGS, 'store.url': databaseOf(folder()).url, 'chain.rpc_urls': host.daemon.rpc,
        'service.roles': 'api', 'leasing.stablecoin': c.stablecoin, 'leasing.asset_registry': c.assetRegistry,
        'leasing.lease_factory': c.leaseFactory, 'leasing.marketplace': c.marketplace, 'leasing.registrar': c.registrar };
    const pair = [await Daemon.start(settings), await Daemon.start(settings)];
    try {
        const account = wallet();
        for (let round = 0; round < 5; round++) {
            const message = await written(account, { nonce: await nonce(pair[round % 2]) });
            const signature = await account.signMessage({ message });
            const answers = await Promise.all(Array.from({ length: 16 }, (_, i) =>
                login(account, message, { signature, at: pair[i % 2] })));
            assert.deepEqual(answers.map((a) => a.status).sort(), [201, ...Array(15).fill(401)]);
            const { data } = answers.find((a) => a.status === 201);
            assert.deepEqual((await Promise.all(pair.map((at) => me(data.accessToken, at)))).map((a) => a.status), [200, 200]);
            const once = await Promise.all(pair.map((at) => refresh(data.refreshToken, at)));
            assert.equal(once.filter((a) => a.status === 200).length, 1, JSON.stringify(once));
            assert.deepEqual((await Promise.all(pair.map((at) => me(data.accessToken, at)))).map((a) => a.status), [401, 401]);
        }
    } finally {
        await Promise.all([...pair, host].map((d) => d.stop()));
    }
});

test('a refresh token is good once; when it comes again the session ends, and the audit log has it', async () => {
    const account = wallet();
    const [one, other] = [await loggedIn(account), await loggedIn(account)];
    const next = await refresh(one.refreshToken);
    assert.equal(next.status, 200);
    assert.deepEqual([next.data.sessionId, next.data.sessionExpiresAt], [one.sessionId, one.sessionExpiresAt]);
    assert.notEqual(next.data.refreshToken, one.refreshToken);
    assert.equal((await me(next.data.accessToken)).status, 200);
    const again = await refresh(one.refreshToken);
    assert.deepEqual([again.status, again.code], [401, 'unauthenticated']);
    assert.match(again.error, /used before/);
    for (const token of [one.accessToken, next.data.accessToken]) {
        assert.equal((await me(token)).status, 401);
    }
    assert.deepEqual((await refresh(next.data.refreshToken)).code, 'session_expired');
    assert.equal((await me(other.accessToken)).status, 200);
    assert.deepEqual(audited(`session/${one.sessionId}`).map((r) => [r.action, r.outcome]),
        [['auth.login', 1], ['auth.refresh_reused', 2]]);
    const metrics = await (await fetch(`${daemon.url}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } })).text();
    for (const name of ['logins_total{outcome="done"}', 'refreshes_total{outcome="done"}', 'refreshes_total{outcome="refused"}',
        'refreshes_total{outcome="reused"}']) {
        assert.ok(Number(metrics.split(`freehold_auth_${name} `)[1]?.split('\n')[0]) >= 1, name);
    }
    for (const bad of ['', 'fhr_', `fhr_${'0'.repeat(64)}`, one.refreshToken.toUpperCase(), `${other.refreshToken}0`]) {
        assert.deepEqual([(await refresh(bad)).status, (await refresh(bad)).code], [401, 'unauthenticated'], bad);
    }
});

test('who logs out is out at once; sessions are their wallet\'s own, and an admin\'s', async () => {
    const [anna, bert] = [wallet(), wallet()];
    const [a1, a2, b1] = [await loggedIn(anna), await loggedIn(anna), await loggedIn(bert)];
    const ids = async (token) => (await call('GET', `${AUTH}/sessions`, { token })).data.map((s) => s.sessionId).sort();
    assert.deepEqual(await ids(a1.accessToken), [a1.sessionId, a2.sessionId].sort());
    const paged = await call('GET', `${AUTH}/sessions?limit=1`, { token: a1.accessToken });
    const rest = await call('GET', `${AUTH}/sessions?limit=1&cursor=${paged.nextCursor}`, { token: a1.accessToken });
    assert.deepEqual([...paged.data, ...rest.data].map((s) => s.sessionId).sort(), await ids(a1.accessToken));
    const foreign = await call('DELETE', `${AUTH}/sessions/${a2.sessionId}`, { token: b1.accessToken });
    assert.deepEqual([foreign.status, foreign.code], [404, 'not_found']);
    assert.equal((await call('DELETE', `${AUTH}/sessions/nothing`, { token: b1.accessToken })).status, 404);
    const out = await call('POST', `${AUTH}/logout`, { token: a1.accessToken });
    assert.deepEqual([out.status, out.data.sessionId, out.data.revokedAt !== null], [200, a1.sessionId, true]);
    assert.equal((await me(a1.accessToken)).status, 401);
    assert.equal((await refresh(a1.refreshToken)).code, 'session_expired');
    assert.equal((await call('DELETE', `${AUTH}/sessions/${a2.sessionId}`, { token: a2.accessToken })).status, 200);
    assert.equal((await me(a2.accessToken)).status, 401);
    assert.equal((await call('DELETE', `${AUTH}/sessions/${b1.sessionId}`, { token: TOKEN })).status, 200);
    assert.equal((await me(b1.accessToken)).status, 401);
    assert.deepEqual(audited(`session/${b1.sessionId}`).map((r) => [r.action, r.actor]),
        [['auth.login', `wallet:${bert.address.toLowerCase()}`], ['auth.session_revoked', 'operator']]);
    for (const [method, path] of [['POST', '/logout'], ['GET', '/sessions']]) {
        assert.equal((await call(method, AUTH + path, { token: TOKEN })).status, 403);
        assert.equal((await call(method, AUTH + path)).status, 401);
    }
});

test('roles are granted and taken at once, at the command line and by admins only', async () => {
    const [boss, anna] = [wallet(), wallet()];
    const [b, a] = [await loggedIn(boss), await loggedIn(anna)];
    const role = (method, token, address, name) => call(method, `${AUTH}/wallets/${address}/roles/${name}`, { token });
    assert.equal((await role('PUT', a.accessToken, anna.address, 'admin')).status, 403);
    assert.equal((await role('PUT', undefined, anna.address, 'admin')).status, 401);
    const first = await cli('roles', 'grant', boss.address, 'admin');
    assert.deepEqual(first, { status: 0, lines: [{ address: boss.address, roles: ['admin', 'investor'] }] });
    assert.deepEqual((await me(b.accessToken)).data.roles, ['admin', 'investor']); // the same token
    const granted = await role('PUT', b.accessToken, anna.address, 'issuer');
    assert.deepEqual([granted.status, granted.data], [200, { address: anna.address, roles: ['issuer', 'investor'] }]);
    assert.equal((await role('PUT', b.accessToken, anna.address, 'issuer')).status, 200);
    assert.deepEqual((await me(a.accessToken)).data.roles, ['issuer', 'investor']);
    assert.deepEqual((await refresh(a.refreshToken)).data.roles, ['issuer', 'investor']);
    assert.deepEqual((await call('GET', `${AUTH}/wallets/${anna.address}`, { token: b.accessToken })).data.roles,
        ['issuer', 'investor']);
    const all = (await call('GET', `${AUTH}/wallets`, { token: b.accessToken })).data;
    assert.deepEqual(all.map((w) => w.address).sort(), [boss.address, anna.address].sort());
    const page = await call('GET', `${AUTH}/wallets?limit=1`, { token: b.accessToken });
    const second = await call('GET', `${AUTH}/wallets?limit=1&cursor=${page.nextCursor}`, { token: b.accessToken });
    assert.deepEqual([...page.data, ...second.data], all);
    assert.deepEqual((await cli('roles', 'list')).lines, all);
    assert.equal((await role('DELETE', b.accessToken, anna.address, 'issuer')).status, 200);
    assert.deepEqual((await me(a.accessToken)).data.roles, ['investor']);
    assert.deepEqual(audited(`wallet/${anna.address}`).map((r) => [r.action, r.actor]),
        [['auth.role_granted', `wallet:${boss.address.toLowerCase()}`],
            ['auth.role_taken', `wallet:${boss.address.toLowerCase()}`]]);
    for (const [address, name, code] of [[anna.address, 'root', 'invalid_field'], ['0x12', 'admin', 'invalid_address'],
        ['0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266', 'admin', 'address_checksum']]) {
        const answer = await role('PUT', b.accessToken, address, name);
        assert.deepEqual([answer.status, answer.code], [400, code]);
    }
    assert.equal((await cli('roles', 'grant', boss.address, 'root')).lines[0].code, 'invalid_field');
    assert.equal((await cli('roles', 'grant', '0x12', 'admin')).lines[0].code, 'invalid_address');
    assert.equal((await cli('roles', 'grant')).status, 2);
    assert.equal((await cli('roles', 'revoke', boss.address, 'admin')).status, 0);
    assert.equal((await role('PUT', b.accessToken, anna.address, 'issuer')).status, 403);
});

test('ending the signing keys ends access tokens, not sessions', async () => {
    const data = await loggedIn(wallet());
    const kids = async () => (await (await fetch(`${daemon.url}/.well-known/jwks.json`)).json()).keys.map((k) => k.kid);
    const old = await kids();
    assert.ok(old.includes(decodeProtectedHeader(data.accessToken).kid));
    assert.deepEqual(await cli('keys', 'rotate'), { status: 0, lines: [{ ended: old.length }] });
    assert.equal((await me(data.accessToken)).status, 401);
    assert.deepEqual(await kids(), []);
    const next = await refresh(data.refreshToken);
    assert.equal((await me(next.data.accessToken)).status, 200);
    assert.ok(!old.includes(decodeProtectedHeader(next.data.accessToken).kid));
    assert.equal(audited('signing-keys/all')[0].action, 'auth.signing_keys_revoked');
});

test('a session goes on after kill -9, under another key', async () => {
    const own = await Daemon.start(SETTINGS);
    const account = wallet();
    const data = await loggedIn(account, { at: own, nonce: await nonce(own) });
    own.child.kill('SIGKILL');
    await own.ended;
    const again = await Daemon.start(SETTINGS, { dir: own.dir });
    try {
        assert.equal((await me(data.accessToken, again)).status, 200);
        const next = await refresh(data.refreshToken, again);
        assert.equal(next.status, 200);
        assert.notEqual(decodeProtectedHeader(next.data.accessToken).kid, decodeProtectedHeader(data.accessToken).kid);
        change(again.database, `UPDATE auth_sessions SET expires_at = created_at WHERE session_id = '${data.sessionId}'`);
        assert.equal((await me(next.data.accessToken, again)).status, 401);
    } finally {
        await again.stop();
    }
});

/** Whether a text is anywhere in the memory of a process. */
function inMemory(pid, texts) {
    const found = new Set();
    const memory = openSync(`/proc/${pid}/mem`, 'r');
    for (const line of readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n')) {
        const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
        if (from === undefined || /\[v/.test(line)) {
            continue;
        }
        const part = Buffer.alloc(Number(BigInt(`0x${to}`) - BigInt(`0x${from}`)));
        try {
            readSync(memory, part, 0, part.length, BigInt(`0x${from}`));
        } catch {
            continue; // gone meanwhile
        }
        texts.filter((text) => part.includes(text)).forEach((text) => found.add(text));
    }
    closeSync(memory);
    return [...found];
}

test('what was told once is not left in memory', { skip: SLOW > 1 }, async () => {
    const own = await Daemon.start(SETTINGS);
    try {
        const account = wallet();
        const told = [];
        for (let i = 0; i < 5; i++) {
            const entered = await loggedIn(account, { at: own, nonce: await nonce(own) });
            const made = await call('POST', `${AUTH}/keys`, { at: own, token: TOKEN, body: { name: `k${i}`, roles: ['service'] } });
            told.push(entered.refreshToken.slice(4), entered.accessToken.split('.')[2], made.data.key.slice(-64));
        }
        // The look itself works: a setting is there.
        assert.deepEqual(inMemory(own.child.pid, [TOKEN]), [TOKEN]);
        assert.deepEqual(inMemory(own.child.pid, told), []);
    } finally {
        await own.stop();
    }
});
