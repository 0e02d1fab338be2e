// Routes that cost something: what is asked for, what is taken, what is refused, and that nobody pays
// twice or is served without having paid. Clients are those of the npm packages, and signatures made
// with ethers.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Interface, JsonRpcProvider } from 'ethers';
import { Api, Daemon, fresh, strangers, typeBody } from './support.mjs';
import {
    ask, authorize, decode, encode, header, payer, payments, paying, settlements,
} from './x402-support.mjs';
import { ON_POSTGRES, databaseOf, eventually, folder, rows } from '../support/program.mjs';

const LIST = '/api/v1/asset-types';
const PRICE = 2500n;
const PAYEE = payer(9999).address;
const SETTINGS = { 'x402.enabled': true, 'x402.pay_to': PAYEE.toLowerCase(),
    'x402.prices': `listAssetTypes=${PRICE}, getAssetType=40` };
const SETTLED = 4;
const FAILED = 5;

let api;
let daemon;
let serial = 0;

/** A payer of his own with money. */
async function rich(amount = 1_000_000n) {
    const wallet = payer(++serial);
    await api.fund(wallet.address, amount);
    return wallet;
}

const nothingMoved = async (wallet, amount = 1_000_000n) =>
    assert.equal(await api.stableOf(wallet.address), amount);

before(async () => {
    api = await Api.start(SETTINGS);
    daemon = api.daemon;
});
after(() => api?.stop());

test('a route with a price is answered with an offer', async () => {
    const answer = await ask(daemon, `${LIST}?limit=3`);
    assert.equal(answer.status, 402);
    assert.equal(answer.headers.get('cache-control'), 'private, no-store');
    assert.deepEqual(answer.required, {
        x402Version: 2,
        resource: { url: `${daemon.url}${LIST}?limit=3`, description: answer.required.resource.description,
            mimeType: 'application/json' },
        accepts: [{ scheme: 'exact', network: 'eip155:31337', amount: '2500',
            asset: api.contracts.stablecoin, payTo: PAYEE, maxTimeoutSeconds: 300,
            extra: { name: 'Mock USD', version: '1' } }],
    });
    // What a client of version 1 reads: the body.
    assert.equal(answer.body.code, 'payment_required');
    assert.equal(answer.body.x402Version, 1);
    assert.equal(answer.body.accepts[0].maxAmountRequired, '2500');
    assert.equal(answer.body.accepts[0].resource, `${daemon.url}${LIST}?limit=3`);
    assert.equal((await ask(daemon, '/api/v1/assets')).status, 200, 'other routes are free');
});

test('the official client pays and is served once', async () => {
    const wallet = await rich();
    const payee = await api.stableOf(PAYEE);
    const reply = await paying(wallet)(daemon.url + LIST);
    assert.equal(reply.status, 200);
    assert.deepEqual((await reply.json()).data, []);
    assert.equal(reply.headers.get('cache-control'), 'private, no-store');
    assert.equal(reply.headers.get('etag'), null);
    const receipt = decode(reply.headers.get('payment-response'));
    assert.equal(receipt.success, true);
    assert.equal(receipt.network, 'eip155:31337');
    assert.equal(receipt.payer, wallet.address);
    const mined = await api.provider.getTransactionReceipt(receipt.transaction);
    assert.equal(mined.status, 1);
    assert.equal(await api.stableOf(wallet.address), 1_000_000n - PRICE);
    assert.equal(await api.stableOf(PAYEE) - payee, PRICE);
    const row = payments(daemon.database).at(-1);
    assert.deepEqual([row.state, row.hash], [SETTLED, receipt.transaction]);
    const audits = rows(daemon.database,
        "SELECT details FROM audit_log WHERE action = 'x402.payment_settled'");
    assert.equal(audits.length, payments(daemon.database).filter((p) => p.state === SETTLED).length);
});

test('the same payment again: the same request gets its answer, another one nothing', async () => {
    const wallet = await rich();
    const { required } = await ask(daemon, LIST);
    const payment = await header(wallet, required);
    const first = await ask(daemon, LIST, { payment });
    assert.equal(first.status, 200);
    const before = settlements(daemon.database).length;
    const again = await ask(daemon, LIST, { payment });
    assert.equal(again.status, 200);
    assert.equal(again.text, first.text);
    assert.deepEqual(again.response, first.response);
    const other = await ask(daemon, `${LIST}?limit=1`, { payment });
    assert.equal(other.status, 402);
    assert.equal(other.required.error, 'invalid_exact_evm_nonce_already_used');
    const keyed = await ask(daemon, LIST, { payment, headers: { 'idempotency-key': 'k' } });
    assert.equal(keyed.status, 402, 'a request with a key is another one');
    assert.equal(settlements(daemon.database).length, before);
    await nothingMoved(wallet, 1_000_000n - PRICE);
});

test('a handler that fails costs nothing, and its payment is void', async () => {
    const wallet = await rich();
    const path = `${LIST}/${fresh('nothing')}`;
    const { required } = await ask(daemon, path);
    assert.equal(required.accepts[0].amount, '40');
    const payment = await header(wallet, required);
    const answer = await ask(daemon, path, { payment });
    assert.equal(answer.status, 404);
    assert.equal(answer.body.code, 'not_found');
    assert.equal(answer.response, null);
    assert.equal(payments(daemon.database).at(-1).reason, 'handler_failed');
    const again = await ask(daemon, path, { payment });
    assert.equal(again.status, 402);
    await nothingMoved(wallet);
});

test('what is refused: its reason, nothing charged, nothing served, no row', async () => {
    const wallet = await rich();
    const { required } = await ask(daemon, LIST);
    const offer = required.accepts[0];
    const now = Math.floor(Date.now() / 1000);
    const sent = async (accepted, changes, as = wallet) => encode({ x402Version: 2,
        resource: required.resource, accepted, payload: await authorize(as, accepted, changes) });
    const good = decode(await header(wallet, required));
    const [r, s] = [good.payload.signature.slice(2, 66), good.payload.signature.slice(66, 130)];
    const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    const high = (N - BigInt(`0x${s}`)).toString(16).padStart(64, '0');
    const flipped = good.payload.signature.endsWith('1b') ? '1c' : '1b';
    const changed = (payload) => encode({ ...good, payload: { ...good.payload, ...payload } });
    const none = 'No matching payment requirements';
    const cases = [
        ['a cheaper echo', await sent({ ...offer, amount: '1' }), none],
        ['another payee', await sent({ ...offer, payTo: wallet.address }), none],
        ['another asset', await sent({ ...offer, asset: api.contracts.marketplace }), none],
        ['another network', await sent({ ...offer, network: 'eip155:1' }), none],
        ['a longer time', await sent({ ...offer, maxTimeoutSeconds: 9999 }), none],
        ['another name', await sent({ ...offer, extra: { ...offer.extra, name: 'USDC' } }), none],
        ['signed for less', await sent(offer, { value: '1' }),
            'invalid_exact_evm_payload_authorization_value_mismatch'],
        ['signed for more', await sent(offer, { value: '2501' }),
            'invalid_exact_evm_payload_authorization_value_mismatch'],
        ['signed for somebody else', await sent(offer, { to: wallet.address }),
            'invalid_exact_evm_recipient_mismatch'],
        ['expired', await sent(offer, { validBefore: String(now - 1) }),
            'invalid_exact_evm_payload_authorization_valid_before'],
        ['about to expire', await sent(offer, { validBefore: String(now + 3) }),
            'invalid_exact_evm_payload_authorization_valid_before'],
        ['not yet valid', await sent(offer, { validAfter: String(now + 1000) }),
            'invalid_exact_evm_payload_authorization_valid_after'],
        ['without the money', await sent(offer, {}, payer(9000)),
            'invalid_exact_evm_insufficient_balance'],
        ['by somebody else', await sent(offer, { from: strangers[0].address }),
            'invalid_exact_evm_signature'],
        ['a high s', changed({ signature: `0x${r}${high}${flipped}` }), 'invalid_exact_evm_signature'],
        ['half a signature', changed({ signature: `0x${r}` }),
            'invalid_exact_evm_failed_to_parse_signature'],
        ['a value in hex', changed({ authorization: { ...good.payload.authorization, value: '0x9c4' } }),
            'unsupported_payload_type'],
        ['no authorization', changed({ authorization: undefined }), 'unsupported_payload_type'],
        ['version 1 in a header of version 2', encode({ ...good, x402Version: 1 }),
            'unsupported_payload_type'],
        ['no base64', '%%%%', 'unsupported_payload_type'],
        ['base64 of urls', `${encode({ a: '??>>' }).replaceAll('/', '_')}-_--`,
            'unsupported_payload_type'],
        ['no JSON', Buffer.from('{"x402Version":2,').toString('base64'), 'unsupported_payload_type'],
        ['a list', encode([1, 2]), 'unsupported_payload_type'],
    ];
    const before = payments(daemon.database).length;
    for (const [what, payment, reason] of cases) {
        const answer = await ask(daemon, LIST, { payment });
        assert.equal(answer.status, 402, `${what}: ${answer.text}`);
        assert.equal(answer.required.error, reason, `${what}: ${answer.text}`);
        assert.equal(answer.body.code, 'payment_refused', what);
        assert.equal(answer.body.details.reason, reason, what);
        assert.equal(answer.body.data, undefined, what);
    }
    const huge = await ask(daemon, LIST, { payment: 'A'.repeat(40_000) });
    assert.equal(huge.status, 431);
    assert.equal(payments(daemon.database).length, before);
    await nothingMoved(wallet);
});

test('an authorization that is cancelled between check and settlement serves nobody', async () => {
    const slow = await Api.start({ ...SETTINGS, 'relay.poll_interval': '50ms' });
    try {
        const wallet = payer(500);
        await slow.fund(wallet.address, 5000n);
        const { required } = await ask(slow.daemon, LIST);
        const payment = await header(wallet, required);
        // The chain mines nothing until we say so; what stands in its pool is not seen by the check.
        await slow.rpc('evm_setAutomine', false);
        const { nonce } = decode(payment).payload.authorization;
        const domain = { name: 'Mock USD', version: '1', chainId: 31337,
            verifyingContract: slow.contracts.stablecoin };
        const signature = await wallet.signTypedData(domain, { CancelAuthorization: [
            { name: 'authorizer', type: 'address' }, { name: 'nonce', type: 'bytes32' }] },
        { authorizer: wallet.address, nonce });
        const face = new Interface(['function cancelAuthorization(address,bytes32,bytes)']);
        await strangers[1].connect(slow.provider).sendTransaction({ to: slow.contracts.stablecoin,
            data: face.encodeFunctionData('cancelAuthorization', [wallet.address, nonce, signature]),
            gasLimit: 200_000 });
        const pending = ask(slow.daemon, LIST, { payment });
        await eventually(() => 'the settlement is wanted', () =>
            settlements(slow.daemon.database).length === 1);
        await slow.rpc('evm_mine');
        await slow.rpc('evm_setAutomine', true);
        const answer = await pending;
        assert.equal(answer.status, 402, answer.text);
        assert.equal(answer.response.success, false);
        assert.equal(answer.response.errorReason, 'invalid_exact_evm_nonce_already_used');
        assert.equal(answer.body.data, undefined);
        assert.equal(payments(slow.daemon.database)[0].state, FAILED);
        assert.equal(await slow.stableOf(wallet.address), 5000n);
    } finally {
        await slow.stop();
    }
});

test('somebody else settles it first: it was paid all the same', async () => {
    const slow = await Api.start(SETTINGS);
    try {
        const wallet = payer(501);
        await slow.fund(wallet.address, 5000n);
        const { required } = await ask(slow.daemon, LIST);
        const payment = await header(wallet, required);
        await slow.rpc('evm_setAutomine', false);
        const { authorization: a, signature } = decode(payment).payload;
        const face = new Interface(['function transferWithAuthorization('
            + 'address,address,uint256,uint256,uint256,bytes32,bytes)']);
        const sent = await strangers[2].connect(slow.provider).sendTransaction({
            to: slow.contracts.stablecoin, gasLimit: 200_000,
            data: face.encodeFunctionData('transferWithAuthorization', [a.from, a.to, a.value,
                a.validAfter, a.validBefore, a.nonce, signature]) });
        const pending = ask(slow.daemon, LIST, { payment });
        await eventually(() => 'the settlement is wanted', () =>
            settlements(slow.daemon.database).length === 1);
        await slow.rpc('evm_mine');
        await slow.rpc('evm_setAutomine', true);
        const answer = await pending;
        assert.equal(answer.status, 200, answer.text);
        assert.equal(answer.response.transaction, sent.hash);
        assert.equal(await slow.stableOf(wallet.address), 5000n - PRICE);
    } finally {
        await slow.stop();
    }
});

test('not mined in time: the hash is told, nothing is paid twice, the answer comes later', async () => {
    const slow = await Api.start({ ...SETTINGS, 'x402.settle_wait': '700ms' });
    try {
        const wallet = payer(502);
        await slow.fund(wallet.address, 5000n);
        const { required } = await ask(slow.daemon, LIST);
        const payment = await header(wallet, required);
        await slow.rpc('evm_setAutomine', false);
        const answer = await ask(slow.daemon, LIST, { payment });
        assert.equal(answer.status, 409, answer.text);
        assert.equal(answer.body.code, 'settlement_pending');
        assert.equal(answer.headers.get('retry-after'), '1');
        assert.equal(answer.response.success, false);
        assert.equal(answer.response.errorReason, 'settlement_pending');
        assert.match(answer.response.transaction, /^0x[0-9a-f]{64}$/);
        assert.equal(answer.required, null);
        const still = await ask(slow.daemon, LIST, { payment });
        assert.equal(still.status, 409);
        assert.equal(still.response.transaction, answer.response.transaction);
        await slow.rpc('evm_setAutomine', true);
        await slow.rpc('evm_mine');
        let last;
        await eventually(() => `it is served: ${last?.text}`, async () => {
            last = await ask(slow.daemon, LIST, { payment });
            return last.status === 200;
        });
        assert.equal(last.response.transaction, answer.response.transaction);
        assert.equal(settlements(slow.daemon.database).length, 1);
        assert.equal(await slow.stableOf(wallet.address), 5000n - PRICE);
    } finally {
        await slow.stop();
    }
});

test('killed while it settles: the job ends it, and the client gets what it paid for', async () => {
    const host = await Api.start(); // has the chain, which outlives the process that is killed
    const c = host.contracts;
    const settings = { ...SETTINGS, 'chain.rpc_urls': host.daemon.rpc, 'wallets.dev_accounts': 5,
        'leasing.stablecoin': c.stablecoin, 'leasing.asset_registry': c.assetRegistry,
        'leasing.lease_factory': c.leaseFactory, 'leasing.marketplace': c.marketplace,
        'x402.settle_wait': '1s', 'store.lease': '1s' };
    const first = await Daemon.start(settings);
    let second;
    try {
        const wallet = payer(503);
        await host.fund(wallet.address, 5000n);
        const { required } = await ask(first, LIST);
        const payment = await header(wallet, required);
        await host.rpc('evm_setAutomine', false);
        const lost = ask(first, LIST, { payment }).catch(() => 'lost');
        await eventually(() => 'the settlement is sent', () =>
            settlements(first.database).some((i) => i.state === 3));
        first.child.kill('SIGKILL');
        await first.ended;
        assert.equal(await lost, 'lost');
        await host.rpc('evm_setAutomine', true);
        await host.rpc('evm_mine');
        second = await Daemon.start(settings, { dir: first.dir });
        await eventually(() => `it is settled: ${JSON.stringify(payments(first.database))}`, () =>
            payments(first.database)[0].state === SETTLED);
        const answer = await ask(second, LIST, { payment });
        assert.equal(answer.status, 200, answer.text);
        assert.equal(answer.response.success, true);
        assert.deepEqual(answer.body.data, []);
        assert.equal(settlements(first.database).length, 1);
        assert.equal(await host.stableOf(wallet.address), 5000n - PRICE);
    } finally {
        await second?.stop();
        await host.stop();
    }
});

test('version 1: the body is the offer, X-PAYMENT pays, X-PAYMENT-RESPONSE is the receipt', async () => {
    // A chain that had a name in version 1.
    const base = await Daemon.start({ ...SETTINGS, 'chain.id': 84532 });
    try {
        const { stablecoin } = await base.get('/api/v1/blockchain/contracts');
        const wallet = payer(504);
        const provider = new JsonRpcProvider(base.rpc, 84532, { staticNetwork: true, cacheTimeout: -1 });
        const mint = new Interface(['function mint(address,uint256)']);
        await (await strangers[3].connect(provider).sendTransaction({ to: stablecoin,
            data: mint.encodeFunctionData('mint', [wallet.address, 5000n]) })).wait();
        provider.destroy();
        // A client of version 1 does not know the header of version 2.
        const old = async (...args) => {
            const reply = await fetch(...args);
            const headers = new Headers(reply.headers);
            headers.delete('payment-required');
            return new Response(await reply.text(), { status: reply.status, headers });
        };
        const reply = await paying(wallet, { fetch: old })(base.url + LIST);
        assert.equal(reply.status, 200, await reply.clone().text());
        assert.equal(reply.headers.get('payment-response'), null);
        const receipt = decode(reply.headers.get('x-payment-response'));
        assert.deepEqual([receipt.success, receipt.network, receipt.payer],
            [true, 'base-sepolia', wallet.address]);
        assert.equal(payments(base.database)[0].hash, receipt.transaction);
    } finally {
        await base.stop();
    }
});

test('a POST under an Idempotency-Key can be paid, and is then repeated without paying', async () => {
    const other = await Api.start({ ...SETTINGS, 'x402.prices': 'createAssetType=7' });
    try {
        const wallet = payer(505);
        await other.fund(wallet.address, 5000n);
        const post = (payment) => ask(other.daemon, LIST, { method: 'POST', payment,
            body: JSON.stringify(body), headers: { 'content-type': 'application/json',
                'idempotency-key': 'once' } });
        const body = typeBody('satellite');
        const { required } = await post();
        const paid = await post(await header(wallet, required));
        assert.equal(paid.status, 201, paid.text);
        assert.equal(paid.response.success, true);
        const again = await post();
        assert.equal(again.status, 201);
        assert.equal(again.headers.get('idempotency-replayed'), 'true');
        assert.equal(again.text, paid.text);
        assert.equal(settlements(other.daemon.database).length, 1);
    } finally {
        await other.stop();
    }
});

test('pages of other origins may read the headers', async () => {
    const cors = await Daemon.start({ ...SETTINGS, 'http.cors_origins': 'https://shop.example' });
    try {
        const { headers } = await ask(cors, LIST, { headers: { origin: 'https://shop.example' } });
        for (const name of ['PAYMENT-REQUIRED', 'PAYMENT-RESPONSE', 'X-PAYMENT-RESPONSE']) {
            assert.match(headers.get('access-control-expose-headers'), new RegExp(name));
        }
    } finally {
        await cors.stop();
    }
});

test('a configuration that could not work stops the start, by name', async () => {
    const refused = (settings, pattern) => assert.rejects(
        Daemon.start({ 'x402.enabled': true, ...settings }), pattern);
    await refused({ 'x402.token_name': 'USDC' }, /x402\.token_name.*calls itself "Mock USD"/);
    await refused({ 'x402.token_version': '2' }, /x402\.token_version/);
    await refused({ 'x402.prices': 'listAssets=1' }, /x402\.pay_to/);
    await refused({ 'x402.pay_to': PAYEE.toLowerCase(), 'x402.prices': 'listAsset=1' }, /listAsset/);
    await refused({ 'x402.pay_to': PAYEE.toLowerCase(), 'x402.prices': 'listAssets=0' }, /above zero/);
});

test('one payment 64 times at once to two processes: one run, one settlement', async (t) => {
    if (!ON_POSTGRES) {
        t.skip('two processes share a PostgreSQL database');
        return;
    }
    const host = await Api.start();
    const c = host.contracts;
    const settings = { ...SETTINGS, 'store.url': databaseOf(folder()).url,
        'chain.rpc_urls': host.daemon.rpc, 'leasing.stablecoin': c.stablecoin,
        'leasing.asset_registry': c.assetRegistry, 'leasing.lease_factory': c.leaseFactory,
        'leasing.marketplace': c.marketplace, 'leasing.registrar': c.registrar,
        'x402.prices': 'createAssetType=7', 'http.workers': 16 };
    const processes = [];
    try {
        processes.push(await Daemon.start({ ...settings, 'wallets.dev_accounts': 5 }));
        processes.push(await Daemon.start({ ...settings, 'service.roles': 'api' }));
        const wallet = payer(506);
        await host.fund(wallet.address, 5000n);
        const body = JSON.stringify(typeBody('many'));
        const post = (i, payment) => ask(processes[i % 2], LIST, { method: 'POST', payment, body,
            headers: { 'content-type': 'application/json' } });
        const { required } = await post(0);
        // Offers of both processes differ in the resource alone, which nobody compares.
        const payment = await header(wallet, required);
        const answers = await Promise.all(Array.from({ length: 64 }, (_, i) => post(i, payment)));
        const count = (status) => answers.filter((a) => a.status === status).length;
        const told = answers.filter((a) => a.status < 300);
        assert.ok(told.length >= 1, JSON.stringify(answers.map((a) => a.text)));
        assert.ok(told.every((a) => a.text === told[0].text), 'what is told again is the one answer');
        assert.equal(told.length + count(402) + count(409), 64);
        const database = { url: settings['store.url'] };
        assert.equal(settlements(database).length, 1);
        assert.equal(payments(database).length, 1);
        assert.equal(rows(database, "SELECT count(*) AS n FROM audit_log WHERE action = "
            + "'leasing.type_created'")[0].n, 1, 'the handler ran once');
        assert.equal(await host.stableOf(wallet.address), 5000n - 7n);
    } finally {
        await Promise.all(processes.map((p) => p.stop()));
        await host.stop();
    }
});
