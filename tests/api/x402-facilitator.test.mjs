// The facilitator, asked by the official client of facilitators and by the official server: verify
// writes nothing, settle settles once and for callers with the role alone.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { HTTPFacilitatorClient, x402ResourceServer } from '@x402/core/server';
import { ExactEvmScheme } from '@x402/evm/exact/server';
import { paymentMiddleware } from '@x402/express';
import express from 'express';
import { Api } from './support.mjs';
import { ask, authorize, decode, header, payer, payments, paying, settlements } from './x402-support.mjs';

const BASE = '/api/v1/x402/facilitator';
const PAYEE = payer(9998).address;
let api;
let facilitator;
let key;
let serial = 800;

async function rich(amount = 10_000n) {
    const wallet = payer(++serial);
    await api.fund(wallet.address, amount);
    return wallet;
}

before(async () => {
    api = await Api.start({ 'x402.enabled': true, 'x402.pay_to': PAYEE.toLowerCase(),
        'x402.prices': 'listAssetTypes=25', 'http.operator_token': 'a-secret-for-operators' });
    const made = await api.send('POST', '/api/v1/auth/keys',
        { body: { name: 'shop', roles: ['service'] },
            headers: { authorization: 'Bearer a-secret-for-operators' } });
    key = made.data.key;
    const bearer = { Authorization: `Bearer ${key}` };
    facilitator = new HTTPFacilitatorClient({ url: api.daemon.url + BASE,
        createAuthHeaders: async () => ({ verify: {}, settle: bearer, supported: {} }) });
});
after(() => api?.stop());

const requirements = (changes = {}) => ({ scheme: 'exact', network: 'eip155:31337', amount: '1000',
    asset: api.contracts.stablecoin, payTo: PAYEE, maxTimeoutSeconds: 60,
    extra: { name: 'Mock USD', version: '1' }, ...changes });

async function payload(wallet, offer, changes = {}) {
    return { x402Version: 2, resource: { url: 'http://shop.example/' }, accepted: offer,
        payload: await authorize(wallet, offer, changes) };
}

test('what is supported', async () => {
    const said = await facilitator.getSupported();
    assert.deepEqual(said.kinds.map((k) => [k.x402Version, k.scheme, k.network]),
        [[2, 'exact', 'eip155:31337'], [1, 'exact', 'eip155:31337']]);
    assert.equal(said.signers['eip155:*'].length, 1);
});

test('verify says yes or why not, and writes nothing', async () => {
    const wallet = await rich();
    const offer = requirements();
    const now = Math.floor(Date.now() / 1000);
    const good = await payload(wallet, offer);
    assert.deepEqual(await facilitator.verify(good, offer), { isValid: true, payer: wallet.address });
    const cases = [
        [await payload(wallet, offer, { value: '999' }), offer,
            'invalid_exact_evm_payload_authorization_value_mismatch'],
        [await payload(wallet, offer, { to: wallet.address }), offer,
            'invalid_exact_evm_recipient_mismatch'],
        [await payload(wallet, offer, { validBefore: `${now}` }), offer,
            'invalid_exact_evm_payload_authorization_valid_before'],
        [await payload(payer(9001), offer), offer, 'invalid_exact_evm_insufficient_balance'],
        [good, requirements({ network: 'eip155:1' }), 'invalid_exact_evm_network_mismatch'],
        [good, requirements({ scheme: 'upto' }), 'invalid_exact_evm_scheme'],
        [good, requirements({ extra: {} }), 'invalid_exact_evm_missing_eip712_domain'],
        [good, requirements({ asset: api.contracts.marketplace }),
            'invalid_exact_evm_eip3009_not_supported'],
        [good, requirements({ amount: '1001' }),
            'invalid_exact_evm_payload_authorization_value_mismatch'],
        [{ ...good, accepted: { ...offer, network: 'eip155:1' } }, offer,
            'invalid_exact_evm_network_mismatch'],
    ];
    for (const [sent, of, reason] of cases) {
        const said = await facilitator.verify(sent, of);
        assert.deepEqual([said.isValid, said.invalidReason], [false, reason], JSON.stringify(said));
    }
    assert.deepEqual(payments(api.daemon.database), []);
    await assert.rejects(facilitator.verify({}, offer), /missing_field|paymentPayload/);
});

test('settle is for callers with the role', async () => {
    const wallet = await rich();
    const offer = requirements();
    const body = JSON.stringify({ x402Version: 2, paymentPayload: await payload(wallet, offer),
        paymentRequirements: offer });
    const answer = await ask(api.daemon, `${BASE}/settle`,
        { method: 'POST', body, headers: { 'content-type': 'application/json' } });
    assert.equal(answer.status, 401);
    assert.equal(await api.stableOf(wallet.address), 10_000n);
});

test('settle settles once, whoever asks how often', async () => {
    const wallet = await rich();
    const offer = requirements();
    const sent = await payload(wallet, offer);
    const before = settlements(api.daemon.database).length;
    const all = await Promise.all(Array.from({ length: 12 }, () => facilitator.settle(sent, offer)));
    for (const said of all) {
        assert.deepEqual(said, all[0]);
    }
    assert.deepEqual([all[0].success, all[0].payer, all[0].network],
        [true, wallet.address, 'eip155:31337']);
    const receipt = await api.provider.getTransactionReceipt(all[0].transaction);
    assert.equal(receipt.status, 1);
    assert.deepEqual(await facilitator.settle(sent, offer), all[0]);
    assert.equal(settlements(api.daemon.database).length, before + 1);
    assert.equal(await api.stableOf(wallet.address), 9000n);
    const said = await facilitator.verify(sent, offer);
    assert.equal(said.invalidReason, 'invalid_exact_evm_nonce_already_used');
});

test('what is not valid is not settled', async () => {
    const offer = requirements();
    const before = payments(api.daemon.database).length;
    const said = await facilitator.settle(await payload(payer(9002), offer), offer);
    assert.deepEqual([said.success, said.errorReason, said.transaction],
        [false, 'invalid_exact_evm_insufficient_balance', '']);
    assert.equal(payments(api.daemon.database).length, before);
});

test('a payment that bought a route of ours buys nothing elsewhere', async () => {
    const wallet = await rich();
    const { required } = await ask(api.daemon, '/api/v1/asset-types');
    const payment = await header(wallet, required);
    assert.equal((await ask(api.daemon, '/api/v1/asset-types', { payment })).status, 200);
    const said = await facilitator.settle(decode(payment), required.accepts[0]);
    assert.deepEqual([said.success, said.errorReason],
        [false, 'invalid_exact_evm_nonce_already_used']);
});

test('resources are listed with their offers', async () => {
    const { body } = await ask(api.daemon, `${BASE}/discovery/resources?type=http`);
    assert.deepEqual(body.items.map((i) => [i.resource, i.type, i.x402Version, i.accepts[0].amount]),
        [[`${api.daemon.url}/api/v1/asset-types`, 'http', 2, '25']]);
    assert.deepEqual(body.pagination, { limit: 20, offset: 0, total: 1 });
    assert.equal((await ask(api.daemon, `${BASE}/discovery/resources?limit=0`)).status, 400);
});

test('the official server sells with our facilitator to the official client', async () => {
    const wallet = await rich();
    const resources = new x402ResourceServer(facilitator).register('eip155:31337',
        new ExactEvmScheme());
    let runs = 0;
    const app = express();
    app.use(paymentMiddleware({ 'GET /weather': { accepts: { scheme: 'exact', payTo: PAYEE,
        network: 'eip155:31337', price: { amount: '1234', asset: api.contracts.stablecoin,
            extra: { name: 'Mock USD', version: '1' } } }, description: 'weather' } }, resources));
    app.get('/weather', (_, reply) => {
        runs++;
        reply.json({ weather: 'fine' });
    });
    const server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
        const url = `http://127.0.0.1:${server.address().port}/weather`;
        assert.equal((await fetch(url)).status, 402);
        const reply = await paying(wallet)(url);
        assert.equal(reply.status, 200, await reply.clone().text());
        assert.deepEqual(await reply.json(), { weather: 'fine' });
        const receipt = decode(reply.headers.get('payment-response'));
        assert.equal(receipt.success, true);
        assert.equal((await api.provider.getTransactionReceipt(receipt.transaction)).status, 1);
        assert.equal(runs, 1);
        assert.equal(await api.stableOf(wallet.address), 10_000n - 1234n);
    } finally {
        server.closeAllConnections();
        server.close();
    }
});
