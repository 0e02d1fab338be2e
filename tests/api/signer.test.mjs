// Wallets whose keys are on another machine: a signer with the API of Web3Signer, made of ethers.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Api, accounts, fresh, registrar, sleep, typeBody } from './support.mjs';
import { Daemon, SLOW } from '../support/program.mjs';
import { Web3Signer } from '../support/web3signer.mjs';

const V1 = '/api/v1';
let host;
let signer;

before(async () => {
    host = await Api.start();
    // The host's daemon has the same keys: it only keeps the chain.
    signer = await Web3Signer.start([registrar, accounts[3]], 31337);
});
after(async () => {
    await host?.stop();
    await signer?.stop();
});

async function start(api, settings = {}) {
    const c = host.contracts;
    const started = new Api(await Daemon.start({
        'chain.rpc_urls': host.daemon.rpc, 'chain.poll_interval': '50ms',
        'wallets.signer_url': signer.url, 'wallets.signer_api': api,
        'wallets.signer_accounts': registrar.address, 'leasing.stablecoin': c.stablecoin,
        'leasing.asset_registry': c.assetRegistry, 'leasing.lease_factory': c.leaseFactory,
        'leasing.marketplace': c.marketplace, 'leasing.registrar': registrar.address, ...settings }));
    started.contracts = c;
    return started;
}

async function ask(api) {
    await api.post(`${V1}/asset-types`, typeBody(fresh('type').replaceAll('-', '_')));
    const [{ transactionId }] = await api.get(`${V1}/transactions?limit=1`);
    return transactionId;
}

for (const api of ['sign', 'transaction']) {
    test(`a remote signer signs by ${api}`, async () => {
        const daemon = await start(api);
        try {
            const before = signer.signed;
            const id = await ask(daemon);
            const { transactionHash } = await daemon.until(`${V1}/transactions/${id}`,
                (t) => t.state === 'mined');
            const tx = await host.provider.getTransaction(transactionHash);
            assert.equal(tx.from, registrar.address);
            assert.equal(signer.signed, before + 1);
        } finally {
            await daemon.stop();
        }
    });

    test(`what it returns by ${api} is not believed, and no nonce is lost`, async () => {
        const daemon = await start(api);
        const moods = api === 'sign' ? ['away', 'garbage', 'other key', 'high s']
            : ['away', 'garbage', 'other key', 'dearer'];
        try {
            const nonce = await host.provider.getTransactionCount(registrar.address);
            for (const mood of moods) {
                signer.mood = mood;
                const seen = (daemon.daemon.log.match(/relay\.put_off/g) ?? []).length;
                const id = await ask(daemon);
                const deadline = Date.now() + 20_000 * SLOW;
                while ((daemon.daemon.log.match(/relay\.put_off/g) ?? []).length === seen) {
                    assert.ok(Date.now() < deadline, `${mood}: ${daemon.daemon.log}`);
                    await sleep(20);
                }
                assert.equal((await daemon.get(`${V1}/transactions/${id}`)).nonce, null, mood);
                assert.equal(await host.provider.getTransactionCount(registrar.address), nonce, mood);
                signer.mood = '';
                await daemon.post(`${V1}/transactions/${id}/cancel`, {});
            }
            const id = await ask(daemon);
            const mined = await daemon.until(`${V1}/transactions/${id}`, (t) => t.state === 'mined');
            assert.equal(mined.nonce, nonce);
        } finally {
            signer.mood = '';
            await daemon.stop();
        }
    });
}

test('a signer without the wanted key, or none at all, is said at the start', async () => {
    await assert.rejects(start('sign', { 'wallets.signer_accounts': accounts[7].address }),
        /does not have the key of/);
    await assert.rejects(start('transaction', { 'wallets.signer_accounts': 'nonsense' }),
        /list of at most/);
    await assert.rejects(start('sign', { 'wallets.signer_url': 'http://127.0.0.1:1' }));
});
