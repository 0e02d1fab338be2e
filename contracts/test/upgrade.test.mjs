// Upgrades of each proxy: who may, what survives, what is refused; and where state is stored.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { AbiCoder, getAddress, id, keccak256, toBeHex } from 'ethers';
import { artifact } from '../harness/chain.mjs';
import { TOKEN, TYPE_ID, World, admin, alice, bob, lessor, upgrader } from '../harness/world.mjs';

const IMPLEMENTATION_SLOT = toBeHex(BigInt(id('eip1967.proxy.implementation')) - 1n, 32);
const UPGRADER_ROLE = id('UPGRADER_ROLE');

let world;

before(async () => {
    world = await World.deploy();
    const { assetId } = await world.asset({ [lessor]: TOKEN }, [{ key: 'k', value: 'v' }]);
    const intent = await world.intent(assetId, { metadata: [{ key: 'uri', value: 'u/' }] });
    const offerId = await world.offer(intent);
    await world.bid(offerId, intent, alice, 900n);
    await world.bid(offerId, intent, bob, 800n);
    await world.accept(offerId, 0, intent, alice);
    const open = await world.offer(await world.intent(assetId));
    await world.bid(open, intent, bob, 50n);
    await world.market.send(lessor, 'postSale', world.coin.address, 5, 7);
});
after(() => world?.stop());

/** What each contract must still say after its upgrade. */
const MEMORY = {
    registry: [['assetId'], ['getAsset', 1], ['getType', TYPE_ID], ['assetERC20Implementation'],
        ['hasRole', UPGRADER_ROLE, upgrader]],
    factory: [['leaseId'], ['leases', 0], ['ownerOf', 0], ['tokenURI', 0], ['registry'], ['name'],
        ['eip712Domain'], ['getAllMetadata(uint256)', 0], ['hasRole', UPGRADER_ROLE, upgrader]],
    market: [['stable'], ['leaseFactory'], ['nextSaleId'], ['nextLeaseOfferId'], ['sales', 0],
        ['leaseOffers', 0], ['leaseOffers', 1], ['leaseBids', 0, 1], ['leaseBids', 1, 0],
        ['claims', lessor], ['leasePaid', 0],
        ['hasRole', UPGRADER_ROLE, upgrader]],
};

const NAMES = { registry: 'AssetRegistry', factory: 'LeaseFactory', market: 'Marketplace' };

const recall = (contract, questions) =>
    Promise.all(questions.map(async (q) => JSON.stringify(await contract.get(...q),
        (_, value) => (typeof value === 'bigint' ? value.toString() : value))));

for (const [role, questions] of Object.entries(MEMORY)) {
    describe(NAMES[role], () => {
        test('refuses everybody but the upgrader, and what is no implementation', async () => {
            const proxy = world[role];
            const fine = await world.chain.deploy(`${NAMES[role]}V2`);
            const wrong = await world.chain.deploy('WrongSlot');
            const refusal = (from, to) => proxy.refusal(from, 'upgradeToAndCall', to, '0x');
            for (const stranger of [admin, alice]) {
                assert.equal(await refusal(stranger, fine.address),
                    `AccessControlUnauthorizedAccount(${stranger},${UPGRADER_ROLE})`);
            }
            assert.equal(await refusal(upgrader, world.coin.address),
                `ERC1967InvalidImplementation(${world.coin.address})`);
            assert.equal(await refusal(upgrader, wrong.address),
                `UUPSUnsupportedProxiableUUID(${toBeHex(1, 32)})`);
            assert.equal(await proxy.implementation.refusal(upgrader, 'upgradeToAndCall',
                fine.address, '0x'), 'UUPSUnauthorizedCallContext()');
            assert.equal(await proxy.refusal(alice, 'proxiableUUID'),
                'UUPSUnauthorizedCallContext()');
        });

        test('keeps its state and gains the new one', async () => {
            const proxy = world[role];
            const before = await recall(proxy, questions);
            const fine = await world.chain.deploy(`${NAMES[role]}V2`);
            const data = fine.abi.encodeFunctionData('initializeV2', [42]);
            assert.equal(await proxy.get('getUupsImplementation'), proxy.implementation.address);
            const { logs } = await proxy.send(upgrader, 'upgradeToAndCall', fine.address, data);
            assert.deepEqual(logs.map((log) => proxy.abi.parseLog(log).name),
                ['Upgraded', 'Initialized']);
            assert.equal(await proxy.get('getUupsImplementation'), fine.address);
            const stored = await world.chain.rpc(
                'eth_getStorageAt', proxy.address, IMPLEMENTATION_SLOT, 'latest');
            assert.equal(getAddress(`0x${stored.slice(26)}`), fine.address);

            assert.deepEqual(await recall(proxy, questions), before);
            const upgraded = world.chain.at(`${NAMES[role]}V2`, proxy.address);
            assert.equal(await upgraded.get('added'), 42n);
            assert.equal(await upgraded.refusal(upgrader, 'initializeV2', 1),
                'InvalidInitialization()');
            assert.equal(await upgraded.refusal(admin, 'initialize',
                ...upgraded.abi.getFunction('initialize').inputs.map(() => admin)),
            'InvalidInitialization()');
        });
    });
}

test('the upgraded contracts go on working together', async () => {
    const { market, factory } = world;
    await market.send(lessor, 'claimRevenue');
    await market.send(lessor, 'cancelLeaseOffer', 1);
    const { assetId } = await world.asset({ [lessor]: TOKEN });
    const intent = await world.intent(assetId);
    const offerId = await world.offer(intent);
    await world.bid(offerId, intent, bob, 11n);
    await world.accept(offerId, 0, intent, bob);
    assert.equal(await factory.get('leaseId'), 2n);
    assert.equal(await market.get('claims', lessor), 11n);
});

test('an upgrader can be replaced by the admin, and loses the right at once', async () => {
    const { registry } = world;
    await registry.send(admin, 'grantRole', UPGRADER_ROLE, bob);
    await registry.send(admin, 'revokeRole', UPGRADER_ROLE, upgrader);
    const { implementation } = registry;
    await registry.send(bob, 'upgradeToAndCall', implementation.address, '0x');
    assert.equal(await registry.refusal(upgrader, 'upgradeToAndCall', implementation.address, '0x'),
        `AccessControlUnauthorizedAccount(${upgrader},${UPGRADER_ROLE})`);
});

test('metadata lives in its ERC-7201 namespace, all else from slot 0', async () => {
    // `keys` is the first member; its entry for the first lease's namespace holds an array's
    // length.
    const root = BigInt(id('freehold.storage.Metadata')) - 1n;
    const space = BigInt(keccak256(toBeHex(root, 32))) & ~0xffn;
    const length = keccak256(AbiCoder.defaultAbiCoder().encode(
        ['bytes32', 'uint256'], [keccak256(toBeHex(0, 32)), space]));
    assert.equal(BigInt(await world.chain.rpc(
        'eth_getStorageAt', world.factory.address, length, 'latest')), 1n);

    const layout = (name) =>
        artifact(name).storageLayout.map(({ slot, label }) => `${slot} ${label}`);
    assert.deepEqual(layout('AssetRegistry'),
        ['0 assetERC20Implementation', '1 assetId', '2 _types', '3 _assets']);
    assert.deepEqual(layout('AssetERC20'), ['0 _assetId', '1 _holders']);
    assert.deepEqual(layout('LeaseFactory'), ['0 registry', '1 leaseId', '2 leases', '3 _intents']);
    assert.deepEqual(layout('Marketplace'), ['0 stable', '1 leaseFactory', '2 nextSaleId',
        '3 nextLeaseOfferId', '4 sales', '5 saleBids', '6 leaseOffers', '7 leaseBids', '8 claims',
        '9 refunds', '10 leasePaid']);
});
