// Contracts that are configured wrong stop the start, with a sentence that names the key.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { databaseOf, folder, objects, run } from '../support/program.mjs';
import { Api, lessor, registrar } from './support.mjs';

let host;
let right;

before(async () => {
    host = await Api.start();
    const c = host.contracts;
    right = {
        'chain.rpc_urls': host.daemon.rpc, 'wallets.dev_accounts': 5, 'http.port': 0,
        'store.url': databaseOf(folder()).url, 'leasing.stablecoin': c.stablecoin,
        'leasing.asset_registry': c.assetRegistry, 'leasing.lease_factory': c.leaseFactory,
        'leasing.marketplace': c.marketplace, 'leasing.registrar': c.registrar,
    };
});
after(() => host?.stop());

/** Starts with some settings replaced and returns the failure that it prints. */
async function failure(changes) {
    const settings = Object.entries({ ...right, ...changes }).filter(([, v]) => v !== undefined);
    const ended = await run(['serve', '--json', ...settings.map(([k, v]) => `--${k}=${v}`)]);
    assert.equal(ended.status, 1, ended.stdout);
    const failed = objects(ended.stdout).at(-1);
    assert.equal(failed.success, false);
    return failed;
}

const cases = [
    ['nothing is there', () => ({ 'leasing.marketplace': lessor.address }), /^leasing\.marketplace: there is no contract/],
    ['a key is missing', () => ({ 'leasing.lease_factory': undefined }), /^leasing\.lease_factory is not set/],
    ['not an address', () => ({ 'leasing.stablecoin': '0x12' }), /leasing\.stablecoin/],
    ['zero', () => ({ 'leasing.stablecoin': `0x${'00'.repeat(20)}` }), /leasing\.stablecoin/],
    ['a wrong checksum', () => ({ 'leasing.registrar':
        registrar.address.replace(/[a-f]/, (x) => x.toUpperCase()) }), /^leasing\.registrar mixes/],
    ['another coin than the marketplace\'s', () => ({ 'leasing.stablecoin': right['leasing.asset_registry'] }),
        /^leasing\.stablecoin: the stablecoin of leasing\.marketplace is 0x/],
    ['another factory than the marketplace\'s', () => ({ 'leasing.lease_factory': right['leasing.asset_registry'] }),
        /^leasing\.lease_factory: the lease factory of leasing\.marketplace is 0x/],
    ['another registry than the factory\'s', () => ({ 'leasing.asset_registry': right['leasing.stablecoin'] }),
        /^leasing\.asset_registry: the asset registry of leasing\.lease_factory is 0x/],
    ['a contract that is no marketplace', () => ({ 'leasing.marketplace': right['leasing.stablecoin'] }),
        /^leasing\.marketplace: the contract does not tell its stablecoin/],
];

for (const [about, changes, sentence] of cases) {
    test(about, async () => {
        const failed = await failure(changes());
        assert.equal(failed.code, 'config');
        assert.match(failed.error, sentence);
    });
}

test('a validity that is no duration', async () => {
    for (const value of ['soon', '1s', '99999d']) {
        const failed = await failure({ 'leasing.signature_validity': value });
        assert.match(failed.error, /leasing\.signature_validity/);
    }
});
