// The generation of the contracts before ours, as tests of the daemon use it: its interface is the
// documented one and no more, and its documented mistakes are there.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { id, keccak256, toBeHex } from 'ethers';
import { eventSignature, signatures, spec, testInterface, testStructs, testTexts }
    from '../harness/abi.mjs';
import { artifact } from '../harness/chain.mjs';
import { TOKEN, TYPE_ID, World, admin, alice, bob, carol, dave, erin, lessor, registrar, upgrader,
    withLease } from '../harness/world.mjs';

const vectors = JSON.parse(readFileSync(
    new URL('../../tests/vectors/leasing.json', import.meta.url), 'utf8')).lease;

const artifactOf = (name) =>
    artifact(name === 'TestStablecoin' ? 'MockStablecoin' : `Deployed${name}`);

/** What every ERC-20 has, and the interface of the coin therefore does not list. */
const COIN_EVENTS = ['Approval(address,address,uint256)', 'Transfer(address,address,uint256)'];

describe('interface', () => {
    testInterface((name) => artifactOf(name).abi);
    testStructs((name) => artifactOf(name).abi);
    testTexts((name) => artifactOf(name).bytecode);

    for (const [name, { functions, events, errors }] of Object.entries(spec.contracts)) {
        test(`${name} has nothing else`, () => {
            const { abi } = artifactOf(name);
            const sorted = (list) => [...list].sort();
            assert.deepEqual(sorted(signatures(abi, 'function')),
                sorted(functions.map(({ signature }) => signature)));
            assert.deepEqual(sorted(signatures(abi, 'event')), name === 'TestStablecoin'
                ? COIN_EVENTS : sorted(events.map(({ event }) => eventSignature(event))));
            assert.deepEqual(sorted(signatures(abi, 'error')),
                sorted(errors.map(({ error }) => error)));
        });
    }
});

describe('behaviour', () => {
    let world;
    let chain;
    let market;
    let factory;

    before(async () => {
        world = await World.deploy({ coin: 'MockStablecoin', prefix: 'Deployed' });
        ({ chain, market, factory } = world);
    });
    after(() => world?.stop());

    const emit = async (contract, from, fn, ...args) =>
        world.describe((await contract.send(from, fn, ...args)).logs);
    const claimsOf = (...accounts) =>
        Promise.all(accounts.map((account) => market.get('claims', account)));
    /** Mint arguments: the intent with the signatures of its two parties. */
    const signed = (intent) => [
        intent, world.sign(intent, intent.lease.lessor), world.sign(intent, intent.lease.lessee)];
    const offered = async (holdings, changes) => {
        const { assetId, token } = await world.asset(holdings);
        const intent = await world.intent(assetId, changes);
        return { assetId, token, intent, offerId: await world.offer(intent) };
    };

    test('repeats the recorded digest, mint and logs to the byte', async () => {
        const snapshot = await chain.rpc('evm_snapshot');
        assert.equal(factory.address, vectors.domain.verifyingContract);
        await world.asset({ [lessor]: 100n * TOKEN });
        assert.equal(await factory.get('hashLeaseIntent', vectors.intent), vectors.digest);
        const receipt = await chain.transact(carol, factory.address, vectors.mintLeaseCalldata);
        assert.equal(receipt.status, '0x1');
        assert.deepEqual(
            receipt.logs.map(({ address, topics, data }) => ({ address, topics, data })),
            vectors.logs.map((log) => ({ ...log, address: log.address.toLowerCase() })));
        assert.equal(await factory.get('tokenURI', 0), vectors.tokenURI_0);
        await chain.rpc('evm_revert', snapshot);
    });

    test('initialises with the documented events', async () => {
        assert.deepEqual(world.describe(world.registry.receipt.logs).slice(1),
            ['registry.RoleGranted', 'registry.RoleGranted', 'registry.RoleGranted',
                'registry.Initialized']);
        assert.deepEqual(world.describe(factory.receipt.logs).slice(1),
            ['factory.RoleGranted', 'factory.RoleGranted', 'factory.Initialized']);
        assert.deepEqual(world.describe(market.receipt.logs).slice(1),
            ['market.RoleGranted', 'market.RoleGranted', 'market.Initialized']);
        assert.equal(await market.refusal(admin, 'initialize', admin, admin, admin, admin),
            'InvalidInitialization()');
        for (const proxy of [world.registry, factory, market]) {
            assert.equal(await proxy.get('getUupsImplementation'), proxy.implementation.address);
            assert.equal(
                await proxy.refusal(admin, 'upgradeToAndCall', proxy.implementation.address, '0x'),
                `AccessControlUnauthorizedAccount(${admin},${id('UPGRADER_ROLE')})`);
            assert.equal(await proxy.refusal(
                upgrader, 'upgradeToAndCall', proxy.implementation.address, '0x'), undefined);
        }
    });

    test('registers an asset with its events in the documented order', async () => {
        const { logs } = await world.registry.send(registrar, 'registerAsset', TYPE_ID, 'N', 'S',
            TOKEN, admin, upgrader, alice, [{ key: 'a', value: '1' }, { key: 'b', value: '2' }]);
        assert.deepEqual(world.describe(logs), ['token.RoleGranted', 'token.RoleGranted',
            'token.Transfer', 'token.MetadataUpdated', 'token.MetadataUpdated',
            'token.Initialized', 'registry.AssetRegistered']);
        const { assetId, tokenAddress } = world.registry.abi.parseLog(logs.at(-1)).args;
        assert.equal(logs[3].topics[1], keccak256(toBeHex(assetId, 32)));
        const [type, issuer, token] = await world.registry.get('getAsset', assetId);
        assert.deepEqual([type, issuer, token], [TYPE_ID, registrar, tokenAddress]);
        const clone = chain.at('DeployedAssetERC20', token);
        assert.equal(await clone.refusal(upgrader, 'upgradeToAndCall', admin, '0x'),
            'UUPSUnauthorizedCallContext()');
        assert.equal(BigInt(await clone.get('getUupsImplementation')), 0n);
        assert.equal((await clone.get('eip712Domain')).name, 'N');
        assert.equal(await world.registry.refusal(registrar, 'registerAsset', id('x'), 'N', 'S',
            TOKEN, admin, upgrader, alice, []), 'type !exists');
    });

    test('lists a key with an empty value once more at each writing', async () => {
        const pair = [{ key: 'k', value: '' }];
        await world.registry.send(admin, 'setMetadata', id('t'), pair);
        await world.registry.send(admin, 'setMetadata', id('t'), pair);
        assert.deepEqual([...await world.registry.get('getAllMetadataKeys', id('t'))], ['k', 'k']);
        assert.equal(await world.registry.get('hasMetadata', id('t'), 'k'), false);
        assert.equal(await world.registry.refusal(admin, 'removeMetadata', id('t'), 'k'),
            'Key does not exist');
        const three = ['a', 'b', 'c'].map((key) => ({ key, value: key }));
        await world.registry.send(admin, 'setMetadata', id('u'), three);
        assert.deepEqual(await emit(world.registry, admin, 'removeMetadata', id('u'), 'a'),
            ['registry.MetadataRemoved']);
        assert.deepEqual([...await world.registry.get('getAllMetadataKeys', id('u'))], ['c', 'b']);
    });

    test('a transfer of nothing makes a holder', async () => {
        const { token } = await world.asset({ [alice]: TOKEN });
        await token.send(bob, 'transfer', carol, 0);
        const [holders, balances] = await token.get('getHolders');
        assert.deepEqual([[...holders], [...balances]], [[alice, carol], [TOKEN, 0n]]);
        await token.send(alice, 'transfer', bob, TOKEN);
        assert.deepEqual([...(await token.get('getHolders'))[0]].sort(), [bob, carol].sort());
    });

    test('mints again with the same signatures, and with other metadata', async () => {
        const { assetId } = await world.asset({ [alice]: TOKEN });
        const intent = await world.intent(assetId, { metadata: [{ key: 'uri', value: 'a/' }] });
        const next = await factory.get('leaseId');
        await factory.send(dave, 'mintLease', ...signed(intent));
        const other = withLease(intent, { metadata: [{ key: 'uri', value: 'b/' }] });
        await factory.send(dave, 'mintLease', ...signed(other));
        assert.equal(await factory.get('tokenURI', next), `a/${next}`);
        assert.equal(await factory.get('tokenURI', next + 1n), `b/${next + 1n}`);
        assert.deepEqual([...await factory.get('leases', next)],
            [...await factory.get('leases', next + 1n)]);
    });

    test('checks a mint in the documented order', async () => {
        const { assetId } = await world.asset({ [alice]: TOKEN });
        const good = await world.intent(assetId);
        const junk = `0x${'00'.repeat(65)}`;
        const refusal = (...args) => factory.refusal(dave, 'mintLease', ...args);
        const unknown = withLease(good, { assetId: 999 });
        const backwards = withLease(unknown, { endTime: good.lease.startTime });
        const late = { ...backwards, deadline: (await chain.now()) - 1 };
        assert.equal(await refusal(late, junk, junk), 'expired');
        assert.equal(await refusal(backwards, junk, junk), 'bad times');
        assert.equal(await refusal(unknown, junk, junk), 'asset !exists');
        assert.equal(await refusal(good, junk, '0x'), 'ECDSAInvalidSignature()');
        assert.equal(await refusal(good, world.sign(good, bob), '0x'), 'lessor sig invalid');
        assert.equal(await refusal(good, world.sign(good, lessor), '0x'),
            'ECDSAInvalidSignatureLength(0)');
        assert.equal(await refusal(good, world.sign(good, lessor), world.sign(good, bob)),
            'lessee sig invalid');
    });

    test('shares by the whole supply, and keeps the remainder', async () => {
        const { intent, offerId } = await offered({ [alice]: 67n * TOKEN, [bob]: 33n * TOKEN },
            { metadata: [{ key: 'a', value: '1' }] });
        const before = await claimsOf(alice, bob);
        const held = await world.balance(market.address);
        const winning = await world.bid(offerId, intent, dave, 1_000_001n);
        await world.bid(offerId, intent, erin, 500n);
        const { logs } = await world.accept(offerId, winning, intent, dave);
        assert.deepEqual(world.describe(logs), ['factory.Transfer', 'factory.MetadataUpdated',
            'factory.LeaseMinted', 'market.LeaseAccepted', 'coin.Transfer']);
        assert.equal(await world.balance(erin), 500n);
        const after = await claimsOf(alice, bob);
        assert.deepEqual([after[0] - before[0], after[1] - before[1]], [670_000n, 330_000n]);

        assert.deepEqual(await emit(market, alice, 'claimRevenue'),
            ['coin.Transfer', 'market.RevenueClaimed']);
        await market.send(bob, 'claimRevenue');
        assert.equal(await market.refusal(bob, 'claimRevenue'), 'no claims');
        assert.equal(await world.balance(market.address), held + 1n);
    });

    test('counts itself as a holder', async () => {
        const { intent, offerId } = await offered(
            { [alice]: 3n * TOKEN, [market.address]: TOKEN });
        const [before] = await claimsOf(market.address);
        const index = await world.bid(offerId, intent, dave, 400n);
        await world.accept(offerId, index, intent, dave);
        const [after] = await claimsOf(market.address);
        assert.equal(after - before, 100n);
    });

    test('takes bids with any signature, and gives none back before another wins', async () => {
        const { intent, offerId } = await offered({ [alice]: TOKEN });
        await world.fund(carol, 10n);
        assert.deepEqual(await emit(market, carol, 'placeLeaseBid', offerId, '0xdead', 10n),
            ['coin.Transfer', 'market.LeaseBidPlaced']);
        assert.equal(await market.refusal(lessor, 'acceptLeaseBid', offerId, 0,
            world.signFor(intent, carol)), 'ECDSAInvalidSignatureLength(2)');
        await chain.mineAt(intent.deadline + 1);
        assert.equal(await market.refusal(lessor, 'acceptLeaseBid', offerId, 0,
            world.signFor(intent, carol)), 'expired');
        assert.deepEqual([...await market.get('leaseBids', offerId, 0)],
            [carol, '0xdead', 10n, true]);
    });

    test('checks an acceptance in the documented order', async () => {
        const { intent, offerId } = await offered({ [alice]: TOKEN });
        const refusal = (from, ...args) => market.refusal(from, 'acceptLeaseBid', ...args);
        const index = await world.bid(offerId, intent, dave, 5n);
        assert.equal(await refusal(lessor, offerId + 1n, 0, '0x'), 'offer !active');
        assert.equal(await refusal(alice, offerId, 9, '0x'), 'not lessor');
        assert.equal(await refusal(lessor, offerId, 9, '0x'), 'panic 0x32');
        await world.accept(offerId, index, intent, dave);
        assert.equal(await refusal(lessor, offerId, index, '0x'), 'offer !active');

        const empty = await offered({ [alice]: 0n });
        await world.bid(empty.offerId, empty.intent, dave, 5n);
        assert.equal(await refusal(lessor, empty.offerId, 0, world.signFor(empty.intent, dave)),
            'panic 0x12');
        const nothing = await world.intent(999);
        const nowhere = await world.offer(nothing);
        await world.bid(nowhere, nothing, dave, 5n);
        assert.equal(await refusal(lessor, nowhere, 0, world.signFor(nothing, dave)),
            'asset !exists');
    });

    test('sells tokens and refunds with events', async () => {
        const { token } = await world.asset({ [alice]: 10n * TOKEN });
        const { logs } = await market.send(alice, 'postSale', token.address, 2n * TOKEN, 7n);
        const { saleId } = market.abi.parseLog(logs[0]).args;
        assert.equal(await market.refusal(bob, 'placeSaleBid', saleId, 3n * TOKEN, 1),
            'bad amount');
        assert.equal(await market.refusal(bob, 'placeSaleBid', saleId + 1n, 1, 1), 'sale !active');
        await market.send(bob, 'placeSaleBid', saleId, TOKEN, 0);
        await world.fund(carol, 100n);
        await market.send(carol, 'placeSaleBid', saleId, TOKEN, 100n);
        await token.send(alice, 'approve', market.address, TOKEN);
        assert.equal(await market.refusal(bob, 'acceptSaleBid', saleId, 1), 'not seller');
        assert.equal(await market.refusal(alice, 'acceptSaleBid', saleId, 2), 'panic 0x32');
        assert.deepEqual(await emit(market, alice, 'acceptSaleBid', saleId, 1),
            ['token.Transfer', 'coin.Transfer', 'market.SaleBidAccepted', 'coin.Transfer',
                'market.SaleBidRefunded']);
        assert.deepEqual([...await market.get('sales', saleId)],
            [alice, token.address, TOKEN, 7n, true]);
        assert.deepEqual([...await market.get('saleBids', saleId, 0)],
            [bob, TOKEN, 0n, 0n, false]);
    });
});
