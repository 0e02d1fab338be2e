// Limits of requests by caller and by operation (http.rate_tiers), in a process and in several.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { createSiweMessage } from 'viem/siwe';
import { Daemon } from '../support/program.mjs';

const TOKEN = 'a-secret-for-operators';
const AUTH = '/api/v1/auth';
const DOMAIN = 'app.example.com';
let daemon;

before(async () => {
    daemon = await Daemon.start({ 'http.rate_tiers': true, 'http.operator_token': TOKEN, 'auth.domains': DOMAIN });
});
after(() => daemon?.stop());

const ask = (path, { token, method = 'GET', body, at = daemon } = {}) => fetch(at.url + path, {
    method,
    headers: { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
});
const header = (reply, name) => {
    const text = reply.headers.get(name);
    return text === null ? null : Number(text);
};

async function key(roles) {
    const reply = await ask(`${AUTH}/keys`, { token: TOKEN, method: 'POST', body: { name: roles.join(), roles } });
    return (await reply.json()).data.key;
}

/** Asks until it is refused, or a hundred and fifty times; returns how many answers there were. */
async function exhaust(limit, once) {
    for (let n = 0; n < 150; n++) {
        const reply = await once();
        const said = await reply.json();
        if (reply.status === 429) {
            assert.equal(said.code, 'rate_limited');
            assert.equal(header(reply, 'x-ratelimit-limit'), limit);
            assert.equal(header(reply, 'x-ratelimit-remaining'), 0);
            assert.ok(header(reply, 'retry-after') >= 1);
            assert.ok(header(reply, 'x-ratelimit-reset') >= 1);
            return n;
        }
    }
    return 150;
}

/** A minute may begin anew while we ask: then half of the slot before weighs at least. */
const about = (n, limit, spent = 0) => assert.ok(n >= limit - spent && n <= 2 * limit, `${n} answers, not ${limit}`);

test('callers have the limits of their tier, each his own', async () => {
    for (const [roles, limit] of [[['investor'], 60], [['service'], 100]]) {
        const token = await key(roles);
        const first = await ask('/api/v1/assets', { token });
        assert.equal(header(first, 'x-ratelimit-limit'), limit);
        assert.equal(header(first, 'x-ratelimit-remaining'), limit - 1);
        about(await exhaust(limit, () => ask('/api/v1/assets', { token })), limit, 1);
        assert.equal((await ask(`${AUTH}/me`, { token })).status, 429);
    }
    const admin = await key(['admin']);
    for (const token of [admin, TOKEN]) {
        assert.equal(await exhaust(0, () => ask('/api/v1/assets', { token })), 150);
        assert.equal(header(await ask('/api/v1/assets', { token }), 'x-ratelimit-limit'), null);
    }
});

test('logging in has a limit of its own, and those whom nobody knows have theirs by address, guessing included', async () => {
    const account = privateKeyToAccount(generatePrivateKey());
    const message = createSiweMessage({ domain: DOMAIN, address: account.address, uri: `https://${DOMAIN}`, version: '1',
        chainId: 31337, nonce: (await (await ask(`${AUTH}/nonce`, { method: 'POST' })).json()).data.nonce, issuedAt: new Date() });
    const signature = await account.signMessage({ message });
    const login = () => ask(`${AUTH}/login`, { method: 'POST', body: { message, signature } });
    const entered = await login();
    assert.equal(entered.status, 201);
    assert.equal(header(entered, 'x-ratelimit-limit'), 5); // it is nearer to its end than the tier's 20
    assert.equal(header(entered, 'x-ratelimit-remaining'), 4);
    const { accessToken } = (await entered.json()).data;
    about(await exhaust(5, login), 5, 1);
    const guess = () => ask('/api/v1/assets', { token: `fhk_${'0'.repeat(16)}_${'0'.repeat(64)}` });
    assert.equal((await guess()).status, 401);
    const n = await exhaust(20, guess);
    assert.ok(n <= 40, `${n} guesses`);
    assert.equal((await ask('/api/v1/assets')).status, 429);
    assert.equal((await ask(`${AUTH}/me`, { token: accessToken })).status, 200);
    for (const path of ['/health', '/metrics']) {
        const reply = await ask(path, { token: path === '/metrics' ? TOKEN : undefined });
        assert.notEqual(reply.status, 429);
        assert.equal(header(reply, 'x-ratelimit-limit'), null);
    }
});

test('the exempt have none, and without the switch nobody has', async () => {
    const daemons = await Promise.all([
        Daemon.start({ 'http.rate_tiers': true, 'http.rate_exempt': '192.0.2.1, 127.0.0.1' }), Daemon.start({})]);
    try {
        for (const at of daemons) {
            for (let i = 0; i < 50; i++) {
                const reply = await ask('/api/v1/assets', { at });
                assert.equal(reply.status, 200);
                assert.equal(header(reply, 'x-ratelimit-limit'), null);
            }
        }
    } finally {
        await Promise.all(daemons.map((d) => d.stop()));
    }
    await assert.rejects(Daemon.start({ 'http.rate_exempt': 'everybody' }));
});
