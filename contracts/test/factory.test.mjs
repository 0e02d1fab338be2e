// LeaseFactory: the signed digest, the order of checks, replay, cancellation, receivers with code.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Signature, concat, id, keccak256, toBeHex } from 'ethers';
import { TOKEN, World, admin, alice, bob, carol, dave, domainSeparator, erin, intentDigest,
    intentHash, leaseHash, lessor, signDigest, withLease } from '../harness/world.mjs';

const vectors = JSON.parse(readFileSync(
    new URL('../../tests/vectors/leasing.json', import.meta.url), 'utf8')).lease;
const CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

let world;
let factory;
let assetId;

before(async () => {
    world = await World.deploy();
    factory = world.factory;
    ({ assetId } = await world.asset({ [lessor]: 100n * TOKEN }));
});
after(() => world?.stop());

/** Mint arguments: the intent with the signatures of its two parties. */
function signed(intent) {
    const { lessor: one, lessee: other } = intent.lease;
    return [intent, world.sign(intent, one), world.sign(intent, other)];
}

async function mint(intent, from = dave) {
    const { logs, gas } = await factory.send(from, 'mintLease', ...signed(intent));
    const minted = logs.filter((log) => log.address === factory.address.toLowerCase())
        .map((log) => factory.abi.parseLog(log)).find((event) => event.name === 'LeaseMinted');
    return { logs, gas, tokenId: minted.args.tokenId };
}

describe('vectors of the deployed contracts', () => {
    const { domain, intent } = vectors;

    test('the harness computes the recorded hashes', () => {
        assert.equal(domainSeparator(domain.name, domain.version, domain.chainId,
            domain.verifyingContract), vectors.domainSeparator);
        assert.equal(leaseHash(intent.lease), vectors.leaseHash);
        assert.equal(intentHash(intent), vectors.leaseIntentStructHash);
        assert.equal(intentDigest(intent, domain.verifyingContract), vectors.digest);
    });

    test('our factory repeats digest, mint and logs to the byte', async () => {
        // The same deployer and order of deployment: the same address, hence the same domain.
        assert.equal(factory.address, domain.verifyingContract);
        assert.equal(await factory.get('hashLeaseIntent', intent), vectors.digest);

        const snapshot = await world.chain.rpc('evm_snapshot');
        const receipt = await world.chain.transact(
            carol, factory.address, vectors.mintLeaseCalldata);
        assert.equal(receipt.status, '0x1');
        const logs = receipt.logs.map(({ address, topics, data }) => ({ address, topics, data }));
        assert.deepEqual(logs,
            vectors.logs.map((log) => ({ ...log, address: log.address.toLowerCase() })));
        assert.equal(await factory.get('tokenURI', 0), vectors.tokenURI_0);
        assert.equal(await factory.refusal(carol, 'mintLease', intent, vectors.sigLessor,
            vectors.sigLessee), 'intent used');
        await world.chain.rpc('evm_revert', snapshot);
    });
});

describe('minting', () => {
    test('stores the lease, numbers from 0, and tells what became of the digest', async () => {
        const intent = await world.intent(assetId, {
            metadata: [{ key: 'uri', value: 'ipfs://lease/' }, { key: 'note', value: 'n' }],
        });
        const digest = intentDigest(intent, factory.address);
        assert.equal(await factory.get('hashLeaseIntent', intent), digest);
        assert.deepEqual([...await factory.get('intentState', digest)], [0n, 0n]);
        assert.equal(await factory.get('leaseId'), 0n);

        const { logs, tokenId } = await mint(intent);
        assert.equal(tokenId, 0n);
        assert.deepEqual(world.describe(logs), ['factory.Transfer', 'factory.MetadataUpdated',
            'factory.MetadataUpdated', 'factory.LeaseMinted']);
        assert.equal(logs[1].topics[1], keccak256(toBeHex(tokenId, 32)));
        assert.equal(await factory.get('leaseId'), 1n);
        assert.equal(await factory.get('ownerOf', tokenId), alice);
        assert.deepEqual([...await factory.get('intentState', digest)], [1n, 0n]);

        const { lease } = intent;
        const stored = (await factory.get('leases', tokenId)).toObject();
        for (const key of Object.keys(stored)) {
            assert.equal(String(stored[key]), String(lease[key]), key);
        }
        assert.equal(await factory.get('tokenURI', tokenId), 'ipfs://lease/0');
        assert.deepEqual([...await factory.get('getMetadataKeys', tokenId)], ['uri', 'note']);
        assert.equal(await factory.get('name'), 'Lease');
        assert.equal(await factory.get('symbol'), 'LEASE');
        assert.equal(await factory.get('registry'), world.registry.address);
    });

    test('checks in the documented order', async () => {
        const good = await world.intent(assetId);
        const now = await world.chain.now();
        const bad = {
            deadline: { ...good, deadline: now - 1 },
            times: withLease(good, { endTime: good.lease.startTime }),
            asset: withLease(good, { assetId: 999 }),
        };
        const refusal = (...args) => factory.refusal(dave, 'mintLease', ...args);
        const junk = `0x${'00'.repeat(65)}`;
        // Each case is wrong in every later respect too, so that the first check must answer.
        const late = withLease(bad.deadline, { ...bad.times.lease, assetId: 999 });
        assert.equal(await refusal(late, junk, junk), 'expired');
        const times = withLease(bad.times, { assetId: 999 });
        assert.equal(await refusal(times, junk, junk), 'bad times');
        assert.equal(await refusal(bad.asset, junk, junk), 'asset !exists');
        const digest = intentDigest(good, factory.address);
        const other = world.sign(good, carol);
        assert.equal(await refusal(good, other, junk), 'lessor sig invalid');
        assert.equal(await refusal(good, world.sign(good, lessor), other), 'lessee sig invalid');
        assert.equal(await refusal(good, world.sign(good, alice), world.sign(good, lessor)),
            'lessor sig invalid');
        assert.deepEqual([...await factory.get('intentState', digest)], [0n, 0n]);
    });

    test('the deadline second itself is in time', async () => {
        const intent = await world.intent(assetId);
        await world.chain.rpc('evm_setNextBlockTimestamp', intent.deadline);
        assert.equal(await mint(intent).then(() => world.chain.now()), intent.deadline);
        const late = await world.intent(assetId);
        await world.chain.mineAt(late.deadline + 1);
        assert.equal(await factory.refusal(dave, 'mintLease', ...signed(late)), 'expired');
    });

    test('refuses malformed signatures by their fault', async () => {
        const intent = await world.intent(assetId);
        const [, fine] = signed(intent);
        const { r, s, v } = Signature.from(fine);
        const highS = toBeHex(CURVE_ORDER - BigInt(s), 32);
        const refusal = (sig) => factory.refusal(dave, 'mintLease', intent, sig, sig);
        assert.equal(await refusal('0x'), 'ECDSAInvalidSignatureLength(0)');
        assert.equal(await refusal(Signature.from(fine).compactSerialized),
            'ECDSAInvalidSignatureLength(64)');
        assert.equal(await refusal(concat([r, highS, toBeHex(55 - v)])),
            `ECDSAInvalidSignatureS(${highS})`);
        assert.equal(await refusal(concat([r, s, toBeHex(v - 27)])), 'ECDSAInvalidSignature()');
    });

    test('refuses signatures of other terms, for another chain or factory', async () => {
        const intent = await world.intent(assetId);
        const foreign = [intentDigest(intent, factory.address, 1),
            intentDigest(intent, world.market.address),
            intentDigest(withLease(intent, { rentAmount: 1 }), factory.address),
            intentDigest({ ...intent, deadline: intent.deadline + 1 }, factory.address),
            intentDigest({ ...intent, assetType: id('another type') }, factory.address)];
        for (const digest of foreign) {
            assert.equal(await factory.refusal(dave, 'mintLease', intent,
                signDigest(digest, lessor), world.sign(intent, alice)), 'lessor sig invalid');
            assert.equal(await factory.refusal(dave, 'mintLease', intent,
                world.sign(intent, lessor), signDigest(digest, alice)), 'lessee sig invalid');
        }
    });
});

describe('replay', () => {
    test('an intent mints once, whoever submits it and whatever metadata it carries', async () => {
        const intent = await world.intent(assetId);
        const { tokenId } = await mint(intent);
        const again = withLease(intent, { metadata: [{ key: 'k', value: 'v' }] });
        for (const from of [dave, alice, lessor]) {
            for (const terms of [intent, again]) {
                assert.equal(await factory.refusal(from, 'mintLease', ...signed(terms)),
                    'intent used');
            }
        }
        await factory.send(alice, 'transferFrom', alice, bob, tokenId);
        assert.equal(await factory.refusal(dave, 'mintLease', ...signed(intent)), 'intent used');
        assert.equal((await factory.get('leases', tokenId)).lessee, alice);
        const next = { ...intent, deadline: intent.deadline + 1 };
        assert.equal((await mint(next)).tokenId, tokenId + 1n);
    });

    test('either party cancels an intent, nobody else, and only before it is minted', async () => {
        for (const party of [lessor, alice]) {
            const intent = await world.intent(assetId);
            const digest = intentDigest(intent, factory.address);
            assert.equal(await factory.refusal(dave, 'cancelIntent', intent), 'not party');
            const { logs } = await factory.send(party, 'cancelIntent', intent);
            assert.deepEqual([...factory.abi.parseLog(logs[0]).args], [digest, party]);
            assert.deepEqual([...await factory.get('intentState', digest)], [2n, 0n]);
            assert.equal(await factory.refusal(dave, 'mintLease', ...signed(intent)),
                'intent used');
            assert.equal(await factory.refusal(party, 'cancelIntent', intent), 'intent used');
        }
        const minted = await world.intent(assetId);
        await mint(minted);
        assert.equal(await factory.refusal(lessor, 'cancelIntent', minted), 'intent used');
    });
});

describe('lessees with code', () => {
    async function place(name, account) {
        const { address } = await world.chain.deploy(name);
        const code = await world.chain.rpc('eth_getCode', address, 'latest');
        await world.chain.rpc('anvil_setCode', account, code);
        return world.chain.at(name, account);
    }

    test('see the finished lease in onERC721Received, and cannot mint from inside it', async () => {
        const lessee = await place('CallingLessee', erin);
        const inner = await world.intent(assetId);
        await lessee.send(dave, 'arm', factory.address,
            factory.abi.encodeFunctionData('mintLease', signed(inner)));
        const outer = await world.intent(assetId, {
            lessee: erin, metadata: [{ key: 'uri', value: 'u/' }],
        });
        const { tokenId, logs } = await mint(outer);
        assert.deepEqual(world.describe(logs),
            ['factory.Transfer', 'factory.MetadataUpdated', 'factory.LeaseMinted']);
        assert.equal(await lessee.get('lessorSeen'), lessor);
        assert.equal(await lessee.get('uriSeen'), `u/${tokenId}`);
        assert.equal(await lessee.get('succeeded'), false);
        const reentrant = id('ReentrancyGuardReentrantCall()').slice(0, 10);
        assert.equal(await lessee.get('refusal'), reentrant);
        assert.equal(await factory.get('leaseId'), tokenId + 1n);
    });

    test('must accept the token', async () => {
        await place('RefusingLessee', erin);
        const intent = await world.intent(assetId, { lessee: erin });
        assert.equal(await factory.refusal(dave, 'mintLease', ...signed(intent)),
            `ERC721InvalidReceiver(${erin})`);
        await world.chain.rpc('anvil_setCode', erin, '0x');
        await mint(intent);
    });
});

describe('metadata and URI', () => {
    test('only the admin changes them, only of minted leases', async () => {
        const { tokenId } = await mint(await world.intent(assetId));
        const pair = [{ key: 'uri', value: 'x/' }];
        const refused = `AccessControlUnauthorizedAccount(${alice},0x${'0'.repeat(64)})`;
        assert.equal(await factory.refusal(alice, 'setMetadata', tokenId, pair), refused);
        assert.equal(await factory.refusal(alice, 'removeMetadata', tokenId, 'uri'), refused);
        assert.equal(await factory.refusal(admin, 'setMetadata', 999, pair), 'token not minted');
        assert.equal(await factory.refusal(admin, 'removeMetadata', 999, 'uri'),
            'Key does not exist');
        assert.equal(await factory.get('tokenURI', tokenId), '');
        await factory.send(admin, 'setMetadata', tokenId, pair);
        assert.equal(await factory.get('tokenURI', tokenId), `x/${tokenId}`);
        assert.equal(await factory.get('hasMetadata(uint256,string)', tokenId, 'uri'), true);
        assert.equal(await factory.get('getMetadata(uint256,string)', tokenId, 'uri'), 'x/');
        assert.equal(await factory.get('getMetadataCount(uint256)', tokenId), 1n);
        await factory.send(admin, 'removeMetadata', tokenId, 'uri');
        assert.equal(await factory.get('getMetadataCount(uint256)', tokenId), 0n);
        assert.equal(await factory.refusal(dave, 'tokenURI', 999), 'not minted');
    });

    test('interfaces: ERC-165, ERC-721, its metadata, access control', async () => {
        for (const known of ['0x01ffc9a7', '0x80ac58cd', '0x5b5e139f', '0x7965db0b']) {
            assert.equal(await factory.get('supportsInterface', known), true, known);
        }
        assert.equal(await factory.get('supportsInterface', '0xffffffff'), false);
    });
});
