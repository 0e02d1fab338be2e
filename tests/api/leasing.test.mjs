// Leasing over HTTP against a real chain: from an asset type to paid revenue, and everything that
// can be asked on the way. Chain state is read back from the contracts, not from the answers.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { hexlify, id, keccak256, randomBytes, toBeHex, toUtf8Bytes } from 'ethers';
import {
    Api, assetBody, bidderA, bidderB, days, fresh, having, holder, intentOf, leaseBody,
    leaseDigest, lessor, registrar, rows, schemaOfSatellites, sign, strangers, typeBody, without,
} from './support.mjs';
import { header } from './x402-support.mjs';

const SUPPLY = 100000000000000000000n;

let api;
let contracts;
let short; // a lease that ends while the tests run
const V1 = '/api/v1';

before(async () => {
    api = await Api.start({ 'x402.enabled': true });
    contracts = api.contracts;
    await api.post(`${V1}/asset-types?wait=20`, typeBody('satellite', { metadata: { version: '1' } }));
});
after(() => api?.stop());

/** An asset that is active. */
async function activeAsset(changes = {}, metadata = {}) {
    const assetId = fresh('SAT');
    const made = await api.post(`${V1}/assets?wait=20`, assetBody(assetId, changes, metadata));
    assert.equal(made.status, 'confirmed');
    return api.get(`${V1}/assets/${assetId}`);
}

async function digestFor(lease, asset, lessee) {
    const expected = leaseDigest(intentOf(lease, asset, lessee), 31337, contracts.leaseFactory);
    const asked = await api.get(`${V1}/leases/${lease.leaseId}/digest${lessee ? `?lessee=${lessee}` : ''}`);
    assert.equal(asked.digest, expected, 'the digest is the one that the protocol describes');
    return expected;
}

describe('asset types', () => {
    test('a type is on chain with hashes of its keys and its schema', async () => {
        const type = await api.get(`${V1}/asset-types/satellite`);
        assert.equal(type.status, 'active');
        assert.equal(type.typeHash, id('satellite'));
        assert.deepEqual(type.schema, schemaOfSatellites);
        assert.deepEqual(type.requiredLeaseKeys, ['orbital_period_hours']);
        assert.equal(type.metadata.version, '1');
        const stored = await api.call(contracts.assetRegistry,
            'getMetadata(bytes32 hash, string key) view returns (string)', id('satellite'), 'schemaHash');
        assert.equal(type.metadata.schemaHash, stored);
        const [name, keys] = await api.call(contracts.assetRegistry,
            'getType(bytes32 assetType) view returns (tuple(string name, bytes32[] keys))', id('satellite'));
        assert.equal(name, 'satellite');
        assert.deepEqual([...keys], [id('orbital_period_hours')]);
    });

    test('the same type again is the same type, another one is refused', async () => {
        const before = await api.state();
        await api.post(`${V1}/asset-types`, typeBody('satellite', { metadata: { version: '1' } }), 200);
        const other = typeBody('satellite', { requiredLeaseKeys: [] });
        await api.refuse('POST', `${V1}/asset-types`, { body: other }, 409, 'already_exists', 'name');
        await api.refuse('POST', `${V1}/asset-types`, { body: typeBody('satellite') }, 409,
            'already_exists', 'name');
        assert.deepEqual(await api.state(), before);
    });

    test('types are listed by name, in pages', async () => {
        for (const name of ['aircraft', 'vessel']) {
            await api.post(`${V1}/asset-types?wait=20`, typeBody(name, { requiredLeaseKeys: [] }), 201);
        }
        const first = await api.send('GET', `${V1}/asset-types?limit=2`);
        assert.deepEqual(first.data.map((t) => t.name), ['aircraft', 'satellite']);
        assert.equal(first.count, 3);
        const second = await api.send('GET', `${V1}/asset-types?limit=2&cursor=${first.nextCursor}`);
        assert.deepEqual(second.data.map((t) => t.name), ['vessel']);
        assert.equal(second.nextCursor, null);
        const skipped = await api.send('GET', `${V1}/asset-types?offset=1&limit=1`);
        assert.deepEqual(skipped.data.map((t) => t.name), ['satellite']);
    });
});

describe('assets', () => {
    test('an asset is pending at once, and on chain with its metadata soon after', async () => {
        const assetId = fresh('SAT');
        const body = assetBody(assetId);
        const answer = await api.send('POST', `${V1}/assets`, { body });
        assert.equal(answer.status, 201);
        assert.equal(answer.headers.get('location'), `${V1}/assets/${assetId}`);
        assert.equal(answer.data.status, 'pending');
        assert.match(answer.data.transactionId, /^tx_/);
        const asset = await api.until(`${V1}/assets/${assetId}`, // the event may be seen before the receipt
            (a) => a.status === 'active' && a.transaction.state === 'mined');
        assert.deepEqual(asset.metadata, body.metadata);
        // The canonical form of this object is what JSON.stringify writes of its sorted members.
        const sorted = (v) => Array.isArray(v) ? v.map(sorted)
            : v && typeof v === 'object' ? Object.fromEntries(Object.keys(v).sort().map((k) => [k, sorted(v[k])])) : v;
        const hash = createHash('sha256').update(JSON.stringify(sorted(body.metadata))).digest('hex');
        assert.equal(asset.metadataHash, `0x${hash}`);
        assert.equal(answer.data.metadataHash, asset.metadataHash);
        assert.equal(asset.transaction.state, 'mined');
        assert.equal(asset.onChain.transactionHash, asset.transaction.transactionHash);
        const token = asset.onChain.tokenAddress;
        assert.equal(await api.call(token, 'getMetadata(string key) view returns (string)', 'metadataHash'),
            asset.metadataHash);
        assert.equal(await api.call(token, 'name() view returns (string)'), 'Satellite One');
        assert.equal(await api.call(token, 'balanceOf(address) view returns (uint256)', registrar.address),
            SUPPLY);
        const [type, , address] = await api.call(contracts.assetRegistry,
            'getAsset(uint256 id) view returns (tuple(bytes32 t, address issuer, address token))', asset.onChain.id);
        assert.equal(type, id('satellite'));
        assert.equal(address, token);
    });

    test('the same asset again is the same asset, other content is refused', async () => {
        const assetId = fresh('SAT');
        const body = assetBody(assetId);
        const first = await api.post(`${V1}/assets?wait=20`, body, 201);
        const before = await api.state();
        const second = await api.post(`${V1}/assets`, body, 200);
        assert.deepEqual(second, first);
        for (const changed of [having(body, 'tokenName', 'Other'), having(body, 'totalSupply', '1'),
            having(body, 'metadata.name', 'Other'), { ...body, tokenRecipient: lessor.address }]) {
            await api.refuse('POST', `${V1}/assets`, { body: changed }, 409, 'already_exists',
                'metadata.assetId');
        }
        assert.deepEqual(await api.state(), before);
    });

    test('an Idempotency-Key gives the first answer again', async () => {
        const body = assetBody(fresh('SAT'));
        const headers = { 'idempotency-key': fresh('key') };
        const first = await api.send('POST', `${V1}/assets`, { body, headers });
        const again = await api.send('POST', `${V1}/assets`, { body, headers });
        assert.equal(again.status, 201);
        assert.deepEqual(again.data, first.data);
        assert.equal(again.headers.get('idempotency-replayed'), 'true');
        const other = assetBody(fresh('SAT'));
        await api.refuse('POST', `${V1}/assets`, { body: other, headers }, 409, 'idempotency_mismatch',
            'Idempotency-Key');
        await api.refuse('GET', `${V1}/assets/${other.metadata.assetId}`, {}, 404, 'not_found');
    });

    test('an asset waits for its type, which is not mined yet', async () => {
        await api.rpc('evm_setAutomine', false);
        try {
            const name = `early_${process.pid}`;
            const type = await api.post(`${V1}/asset-types`, typeBody(name, { requiredLeaseKeys: [] }), 201);
            assert.equal(type.status, 'registered');
            const assetId = fresh('SAT');
            const made = await api.post(`${V1}/assets`, assetBody(assetId, {}, { assetType: name }), 201);
            assert.equal(made.status, 'pending');
            await api.rpc('evm_setAutomine', true);
            await api.rpc('evm_mine');
            const asset = await api.until(`${V1}/assets/${assetId}`, (a) => a.status === 'active');
            assert.equal(asset.assetType, name);
        } finally {
            await api.rpc('evm_setAutomine', true);
        }
    });

    test('what the contract refuses is told, and may be asked for again', async () => {
        const code = await api.rpc('eth_getCode', contracts.assetRegistry, 'latest');
        const body = assetBody(fresh('SAT'));
        const revert = '0x60006000fd';
        await api.rpc('anvil_setCode', contracts.assetRegistry, revert);
        const failed = await api.post(`${V1}/assets?wait=20`, body, 201);
        await api.rpc('anvil_setCode', contracts.assetRegistry, code);
        assert.equal(failed.status, 'failed');
        assert.equal(failed.code, 'reverted');
        assert.match(failed.error, /would revert/);
        const asset = await api.get(`${V1}/assets/${body.metadata.assetId}`);
        assert.equal(asset.status, 'failed');
        assert.equal(asset.error, failed.error);
        assert.equal((await api.send('GET', `${V1}/assets?status=failed`)).count, 1);
        const changed = having(body, 'tokenName', 'Second Try');
        const made = await api.post(`${V1}/assets?wait=20`, changed, 201);
        assert.equal(made.status, 'confirmed');
        assert.notEqual(made.transactionId, failed.transactionId);
        assert.equal((await api.get(`${V1}/assets/${body.metadata.assetId}`)).token.name, 'Second Try');
    });

    test('assets are listed newest first, by type, by status, in pages that do not overlap', async () => {
        const all = await api.send('GET', `${V1}/assets?limit=200`);
        assert.equal(all.count, all.data.length);
        const times = all.data.map((a) => a.createdAt);
        assert.deepEqual(times, [...times].sort().reverse());
        const seen = [];
        for (let cursor = ''; cursor !== null;) {
            const page = await api.send('GET', `${V1}/assets?limit=2${cursor && `&cursor=${cursor}`}`);
            seen.push(...page.data.map((a) => a.assetId));
            cursor = page.nextCursor;
        }
        assert.deepEqual(seen, all.data.map((a) => a.assetId));
        const early = await api.send('GET', `${V1}/assets?assetType=early_${process.pid}&status=active`);
        assert.equal(early.count, 1);
        assert.equal(early.data.length, 1);
        assert.equal((await api.send('GET', `${V1}/assets?assetType=nothing`)).count, 0);
        const offset = await api.send('GET', `${V1}/assets?limit=2&offset=1`);
        assert.deepEqual(offset.data.map((a) => a.assetId), seen.slice(1, 3));
    });

    test('the seeds\' own paths lead to the same answers', async () => {
        const [asset] = await api.get(`${V1}/assets?limit=1`);
        assert.deepEqual(await api.get(`/assets/${asset.assetId}`), asset);
        assert.deepEqual(await api.get(`/api/assets/${asset.assetId}`), asset);
        const missing = await api.refuse('GET', '/assets/nothing', {}, 404, 'not_found');
        assert.equal(missing.error, 'Asset not found');
        assert.deepEqual(await api.get('/api/blockchain/contracts'), contracts);
    });
});

describe('holders', () => {
    test('now and after any past block, with sums', async () => {
        const asset = await activeAsset({ tokenRecipient: strangers[0].address });
        const token = asset.onChain.tokenAddress;
        const born = asset.onChain.blockNumber;
        const moves = [];
        for (const [to, amount] of [[strangers[1], 30n], [strangers[2], 20n], [strangers[1], 1n]]) {
            const { blockNumber } = await api.invoke(strangers[0], token,
                'transfer(address to, uint256 amount)', to.address, amount * 10n ** 18n);
            moves.push(blockNumber);
        }
        const holders = async (query = '') => {
            const h = await api.get(`${V1}/assets/${asset.assetId}/holders${query}`);
            assert.equal(h.sum, h.totalSupply);
            return Object.fromEntries(h.holders.map((x) => [x.holderAddress, BigInt(x.balance) / 10n ** 18n]));
        };
        const [a, b, c] = strangers.map((s) => s.address);
        assert.deepEqual(await holders(`?block=${born}`), { [a]: 100n });
        assert.deepEqual(await holders(`?block=${moves[0]}`), { [a]: 70n, [b]: 30n });
        assert.deepEqual(await holders(`?block=${moves[1]}`), { [a]: 50n, [b]: 30n, [c]: 20n });
        assert.deepEqual(await holders(), { [a]: 49n, [b]: 31n, [c]: 20n });
        const early = await api.get(`${V1}/assets/${asset.assetId}/holders?block=${born - 1}`);
        assert.deepEqual(early.holders, []);
        assert.equal(early.sum, '0');
        const page = await api.send('GET', `${V1}/assets/${asset.assetId}/holders?limit=2`);
        assert.equal(page.data.holders.length, 2);
        assert.equal(page.data.holderCount, 3);
        const rest = await api.send('GET', `${V1}/assets/${asset.assetId}/holders?limit=2&cursor=${page.nextCursor}`);
        assert.equal(rest.data.holders.length, 1);
        assert.equal(rest.data.sum, SUPPLY.toString());
        const account = await api.get(`${V1}/accounts/${c}`);
        assert.deepEqual(account.tokens.map((t) => [t.assetId, t.balance]),
            [[asset.assetId, (20n * 10n ** 18n).toString()]]);
        assert.equal(account.wallet, false);
    });

    test('of an asset that is not on chain there are none', async () => {
        await api.rpc('evm_setAutomine', false);
        try {
            const made = await api.post(`${V1}/assets`, assetBody(fresh('SAT')), 201);
            await api.refuse('GET', `${V1}/assets/${made.assetId}/holders`, {}, 404, 'not_found');
            assert.deepEqual(await api.get(`${V1}/assets/${made.assetId}/revenue-rounds`), []);
        } finally {
            await api.rpc('evm_setAutomine', true);
            await api.rpc('evm_mine');
        }
    });
});

describe('a lease between two parties', () => {
    let asset;
    let lease;

    before(async () => {
        asset = await activeAsset();
        const soon = new Date((Math.floor(Date.now() / 1000) + 3) * 1000).toISOString();
        short = await api.post(`${V1}/leases`, leaseBody(asset.assetId, {},
            { startDate: days(-1), endDate: soon, paymentSchedule: 'upfront' }), 201);
        await api.post(`${V1}/leases/${short.leaseId}/sign`,
            { signature: sign(lessor, short.digest), signerType: 'lessor' });
        short = await api.post(`${V1}/leases/${short.leaseId}/sign?wait=20`,
            { signature: sign(bidderA, short.digest), signerType: 'lessee' });
        assert.equal(short.status, 'active');
    });

    test('is drafted with the digest that the contract computes', async () => {
        const body = leaseBody(asset.assetId);
        const answer = await api.send('POST', `${V1}/leases`, { body });
        lease = answer.data;
        assert.equal(answer.status, 201);
        assert.equal(lease.status, 'draft');
        assert.deepEqual(lease.signaturesRequired, ['lessor', 'lessee']);
        assert.equal(lease.terms.rentPeriod, 30 * 86400);
        assert.equal(lease.transaction, null);
        assert.equal(lease.transactionRequest, null);
        const intent = intentOf(lease, asset);
        assert.equal(lease.digest, leaseDigest(intent, 31337, contracts.leaseFactory));
        const tuple = '(uint64 deadline,bytes32 assetType,(address lessor,address lessee,uint256 assetId,'
            + 'address paymentToken,uint256 rentAmount,uint256 rentPeriod,uint256 securityDeposit,'
            + 'uint64 startTime,uint64 endTime,bytes32 legalDocHash,uint16 termsVersion,'
            + '(string key,string value)[] metadata) lease)';
        const onChain = await api.call(contracts.leaseFactory, `hashLeaseIntent(${tuple} L) view returns (bytes32)`,
            { ...intent, lease: { ...intent.lease, metadata: [] } });
        assert.equal(lease.digest, onChain);
        const { typedData } = lease;
        assert.equal(keccak256(toUtf8Bytes(typedData.typeStrings.LeaseIntent)),
            '0x036b00e958c97f6140b105fa9161b187af9c6fd71d67bb38a7f6cb65dc053c1d');
        assert.equal(keccak256(toUtf8Bytes(typedData.typeStrings.Lease)),
            '0x1f0dd347b9acc3b4cb2a224c074e7fc86f8714c2899179a4c2777cc00ed613aa');
        assert.deepEqual(typedData.domain,
            { name: 'Lease', version: '1', chainId: 31337, verifyingContract: contracts.leaseFactory });
        const { message } = typedData;
        assert.equal(leaseDigest({ deadline: message.deadline, assetType: message.assetTypeSchemaHash,
            lease: message.lease }, 31337, contracts.leaseFactory), lease.digest);
    });

    test('drafted again it is the same lease; other terms under its id are refused', async () => {
        const body = { ...leaseBody(asset.assetId), leaseId: fresh('LEASE') };
        const first = await api.post(`${V1}/leases`, body, 201);
        const before = await api.state();
        assert.deepEqual(await api.post(`${V1}/leases`, body, 200), first);
        await api.refuse('POST', `${V1}/leases`, { body: having(body, 'terms.paymentAmount', '1') }, 409,
            'already_exists', 'leaseId');
        assert.deepEqual(await api.state(), before);
    });

    test('without an id of its own an Idempotency-Key names it', async () => {
        const body = leaseBody(asset.assetId);
        const headers = { 'idempotency-key': fresh('key') };
        const first = await api.post(`${V1}/leases`, body, 201, headers);
        const again = await api.post(`${V1}/leases`, body, 201, headers);
        assert.equal(again.leaseId, first.leaseId);
        const other = await api.post(`${V1}/leases`, body, 201);
        assert.notEqual(other.leaseId, first.leaseId);
    });

    test('is minted when both signatures are there', async () => {
        const digest = await digestFor(lease, asset);
        const path = `${V1}/leases/${lease.leaseId}/sign`;
        const one = await api.post(path, { signature: sign(lessor, digest), signerType: 'lessor',
            domain: { name: 'Lease', version: '1', chainId: 31337, verifyingContract: contracts.leaseFactory } });
        assert.equal(one.status, 'pending_signatures');
        assert.deepEqual(one.signaturesRequired, ['lessee']);
        assert.deepEqual(one.signatures, { lessor: true, lessee: false });
        assert.equal(one.transaction, null);
        const twice = await api.post(path, { signature: sign(lessor, digest), signerType: 'lessor' });
        assert.deepEqual(twice.signaturesRequired, ['lessee']);
        const both = await api.post(`${path}?wait=20`,
            { signature: sign(bidderA, digest), signerType: 'lessee' });
        assert.equal(both.status, 'active');
        assert.deepEqual(both.signaturesRequired, []);
        assert.equal(both.transaction.state, 'mined');
        assert.equal(both.onChain.transactionHash, both.transaction.transactionHash);
        assert.equal(await api.call(contracts.leaseFactory, 'ownerOf(uint256) view returns (address)',
            both.onChain.tokenId), bidderA.address);
        const uri = await api.call(contracts.leaseFactory,
            'getAllMetadata(uint256 tokenId) view returns (tuple(string key, string value)[])', both.onChain.tokenId);
        const pairs = Object.fromEntries(uri.map(([k, v]) => [k, v]));
        assert.equal(pairs.metadataHash, both.metadataHash);
        const transactions = await api.get(`${V1}/transactions`);
        const again = await api.post(path, { signature: sign(bidderA, digest), signerType: 'lessee' });
        assert.equal(again.status, 'active', 'a repeated signature finds what the first one did');
        await api.refuse('POST', path, { body: { signature: sign(bidderB, digest), signerType: 'lessee' } },
            409, 'conflict');
        assert.deepEqual(await api.get(`${V1}/transactions`), transactions);
    });

    test('is found by asset, lessor, lessee and status', async () => {
        const ids = async (query) => (await api.get(`${V1}/leases?${query}`)).map((l) => l.leaseId);
        assert.ok((await ids(`assetId=${asset.assetId}&status=active`)).includes(lease.leaseId));
        assert.ok((await ids(`lessee=${bidderA.address}`)).includes(lease.leaseId));
        assert.deepEqual(await ids(`lessee=${bidderB.address}&assetId=${asset.assetId}`), []);
        assert.ok((await ids(`lessor=${lessor.address.toLowerCase()}`)).includes(lease.leaseId));
        assert.deepEqual(await ids('status=terminated'), []);
        const ofAsset = await api.get(`${V1}/assets/${asset.assetId}/leases?status=active`);
        assert.equal(ofAsset[0].leaseId, lease.leaseId);
        const seen = [];
        for (let cursor = ''; cursor !== null;) {
            const page = await api.send('GET', `${V1}/leases?limit=1${cursor && `&cursor=${cursor}`}`);
            seen.push(...page.data.map((l) => l.leaseId));
            cursor = page.nextCursor;
        }
        assert.equal(new Set(seen).size, seen.length);
        assert.equal(seen.length, (await api.send('GET', `${V1}/leases`)).count);
    });

    test('tells the price of streaming access to the unit', async () => {
        const quote = await api.get(`${V1}/leases/${lease.leaseId}/x402/requirements?mode=second`);
        const hourly = 1000000000n * 3600n / BigInt(30 * 86400);
        assert.equal(quote.extra.hourlyAmount, hourly.toString());
        assert.equal(quote.maxAmountRequired, (hourly / 3600n).toString());
        assert.equal(BigInt(quote.extra.extraSteps), hourly % 3600n);
        assert.equal(quote.payTo, lessor.address);
        assert.equal(quote.chainId, 'eip155:31337');
        const batch = await api.get(`${V1}/leases/${lease.leaseId}/x402/requirements?mode=batch-5s`);
        assert.equal(BigInt(batch.maxAmountRequired) * 720n + BigInt(batch.extra.extraSteps), hourly);
        await api.refuse('GET', `${V1}/leases/${lease.leaseId}/x402/requirements?mode=hour`, {}, 400,
            'invalid_field', 'mode');
    });

    test('sells access by the second', async () => {
        const payer = strangers[4];
        await api.fund(payer.address, 1000n);
        const path = `${V1}/leases/${lease.leaseId}`;
        const { paymentRequired } = await api.get(`${path}/x402/requirements?mode=second`);
        const answer = await api.send('POST', `${path}/access?mode=second`,
            { headers: { 'payment-signature': await header(payer, paymentRequired) } });
        assert.equal(answer.status, 200, JSON.stringify(answer));
        assert.equal(answer.data.amount, '385');
        assert.equal((await api.get(`${path}/x402/payments`))[0].amount, '385');
        assert.equal((await api.get(`${path}/x402/hours`))[0].totalAmount, '385');
    });

    test('ends when both parties say so', async () => {
        const path = `${V1}/leases/${lease.leaseId}/terminate`;
        const text = `Terminate lease ${lease.leaseId} on chain 31337 at ${contracts.leaseFactory}`;
        const body = async (wallet, signerType, reason = 'Satellite lost') =>
            ({ signature: await wallet.signMessage(text), signerType, reason });
        await api.refuse('POST', path, { body: await body(bidderB, 'lessee') }, 422, 'signature_signer', 'signature');
        const elsewhere = { signature: await lessor.signMessage(text.replace('31337', '1')),
            signerType: 'lessor', reason: 'x' };
        await api.refuse('POST', path, { body: elsewhere }, 422, 'signature_chain', 'signature');
        const other = { signature: await lessor.signMessage(text.replace(contracts.leaseFactory, contracts.marketplace)),
            signerType: 'lessor', reason: 'x' };
        await api.refuse('POST', path, { body: other }, 422, 'signature_contract', 'signature');
        const one = await api.post(path, await body(lessor, 'lessor'));
        assert.equal(one.status, 'active');
        assert.deepEqual(one.termination, { lessor: true, lessee: false, reason: 'Satellite lost' });
        const both = await api.post(path, await body(bidderA, 'lessee', 'Agreed'));
        assert.equal(both.status, 'terminated');
        assert.deepEqual(both.termination, { lessor: true, lessee: true, reason: 'Satellite lost' });
        await api.refuse('POST', path, { body: await body(lessor, 'lessor') }, 409, 'conflict');
    });

    test('before it is active either party may end it', async () => {
        const draft = await api.post(`${V1}/leases`, leaseBody(asset.assetId), 201);
        const text = `Terminate lease ${draft.leaseId} on chain 31337 at ${contracts.leaseFactory}`;
        const ended = await api.post(`${V1}/leases/${draft.leaseId}/terminate`,
            { signature: await bidderA.signMessage(text), signerType: 'lessee', reason: 'No' });
        assert.equal(ended.status, 'terminated');
        await api.refuse('POST', `${V1}/leases/${draft.leaseId}/sign`,
            { body: { signature: sign(lessor, draft.digest), signerType: 'lessor' } }, 409, 'conflict');
    });

    test('a mint that fails leaves the agreement, which can be tried again', async () => {
        // Somebody with a wallet of his own cancels the intent on chain: minting it reverts.
        const owner = strangers[4];
        const draft = await api.post(`${V1}/leases`, leaseBody(asset.assetId,
            { lessorAddress: owner.address, metadata: { orbital_period_hours: 1 } }), 201);
        const intent = intentOf(draft, asset);
        const tuple = '(uint64,bytes32,(address,address,uint256,address,uint256,uint256,uint256,uint64,'
            + 'uint64,bytes32,uint16,(string,string)[]))';
        const l = intent.lease;
        await api.invoke(owner, contracts.leaseFactory, `cancelIntent(${tuple} L)`,
            [intent.deadline, intent.assetType, [l.lessor, l.lessee, l.assetId, l.paymentToken, l.rentAmount,
                l.rentPeriod, l.securityDeposit, l.startTime, l.endTime, l.legalDocHash, l.termsVersion, []]]);
        const path = `${V1}/leases/${draft.leaseId}/sign`;
        await api.post(path, { signature: sign(owner, draft.digest), signerType: 'lessor' });
        const body = { signature: sign(bidderA, draft.digest), signerType: 'lessee' };
        const failed = await api.post(`${path}?wait=20`, body);
        assert.equal(failed.status, 'pending_signatures');
        assert.equal(failed.transaction.state, 'failed');
        assert.match(failed.error, /intent used/);
        const again = await api.post(`${path}?wait=20`, body);
        assert.notEqual(again.transaction.transactionId, failed.transaction.transactionId);
        assert.equal(again.status, 'pending_signatures');
    });
});

describe('a lease on the marketplace', () => {
    let asset;
    let lease;
    const bids = [[bidderA, 6000000000n], [bidderB, 7000000001n]];
    const placed = [];
    const people = { [registrar.address]: 60n, [holder.address]: 27n, [strangers[3].address]: 13n };

    before(async () => {
        asset = await activeAsset({ tokenRecipient: strangers[3].address });
        for (const to of [registrar.address, holder.address]) {
            await api.invoke(strangers[3], asset.onChain.tokenAddress, 'transfer(address to, uint256 amount)',
                to, people[to] * 10n ** 18n);
        }
        for (const [bidder] of bids) {
            await api.fund(bidder.address, 20000000000n);
        }
    });

    test('without a lessee it is offered by the lessor\'s wallet', async () => {
        lease = await api.post(`${V1}/leases?wait=20`, without(leaseBody(asset.assetId), 'lesseeAddress'), 201);
        assert.equal(lease.status, 'draft');
        assert.equal(lease.lesseeAddress, null);
        assert.equal(lease.offer.status, 'active');
        assert.equal(lease.transaction.state, 'mined');
        const offers = await api.get(`${V1}/offers?status=active`);
        const offer = offers.find((o) => o.leaseId === lease.leaseId);
        assert.equal(offer.offerId, lease.offer.offerId);
        assert.equal(offer.assetId, asset.assetId);
        assert.equal(offer.bidCount, 0);
        await api.refuse('POST', `${V1}/leases/${lease.leaseId}/sign`,
            { body: { signature: sign(lessor, `0x${'11'.repeat(32)}`), signerType: 'lessor' } }, 409, 'conflict');
        await api.refuse('GET', `${V1}/leases/${lease.leaseId}/digest`, {}, 400, 'missing_field', 'lessee');
    });

    test('bids are verified, approved and escrowed', async () => {
        for (const [bidder, funds] of bids) {
            const before = await api.stableOf(bidder.address);
            const signature = sign(bidder, await digestFor(lease, asset, bidder.address));
            const bid = await api.post(`${V1}/leases/${lease.leaseId}/bids?wait=20`,
                { bidder: bidder.address, funds: funds.toString(), signature }, 201);
            assert.equal(bid.status, 'active');
            assert.equal(bid.transaction.state, 'mined');
            assert.deepEqual(bid.transactionRequests, []);
            placed.push(bid);
            assert.equal(before - await api.stableOf(bidder.address), funds);
            assert.equal(await api.call(contracts.stablecoin, 'allowance(address, address) view returns (uint256)',
                bidder.address, contracts.marketplace), 0n, 'exactly the funds were allowed');
            const again = await api.post(`${V1}/leases/${lease.leaseId}/bids`,
                { bidder: bidder.address, funds: funds.toString(), signature }, 200);
            assert.equal(again.requestId, bid.requestId);
        }
        const list = await api.until(`${V1}/leases/${lease.leaseId}/bids`,
            (b) => b.every((x) => x.signatureValid === true));
        assert.deepEqual(list.map((b) => [b.bidIndex, b.bidder, b.funds, b.status]),
            bids.map(([bidder, funds], i) => [String(i), bidder.address, funds.toString(), 'active']));
        const page = await api.send('GET', `${V1}/leases/${lease.leaseId}/bids?limit=1`);
        assert.equal(page.data.length, 1);
        const rest = await api.send('GET', `${V1}/leases/${lease.leaseId}/bids?limit=1&cursor=${page.nextCursor}`);
        assert.equal(rest.data[0].bidIndex, '1');
        const account = await api.get(`${V1}/accounts/${bidderA.address}`);
        assert.equal(account.escrowed, bids[0][1].toString());
        assert.equal(account.wallet, true);
    });

    test('a bid with a signature that does not hold is found out and cannot be accepted', async () => {
        // Placed past the API: the contract stores any bytes.
        const bidder = strangers[2];
        await api.fund(bidder.address, 1000n);
        await api.invoke(bidder, contracts.stablecoin, 'approve(address spender, uint256 amount)', contracts.marketplace, 1000n);
        await api.invoke(bidder, contracts.marketplace, 'placeLeaseBid(uint256 offerId, bytes sig, uint256 funds)',
            lease.offer.offerId, hexlify(randomBytes(65)), 1000n);
        const list = await api.until(`${V1}/leases/${lease.leaseId}/bids`,
            (b) => b.length === 3 && b[2].signatureValid !== null);
        assert.equal(list[2].signatureValid, false);
        assert.ok(list[2].signatureDetail.length > 10);
        const digest = await digestFor(lease, asset, bidder.address);
        await api.refuse('POST', `${V1}/leases/${lease.leaseId}/bids/2/accept`,
            { body: { signature: sign(lessor, digest) } }, 409, 'conflict', 'bidIndex');
    });

    test('accepting the highest bid mints the lease and shares the funds', async () => {
        const before = await Promise.all(bids.map(([b]) => api.stableOf(b.address)));
        const digest = await digestFor(lease, asset, bidderB.address);
        const path = `${V1}/leases/${lease.leaseId}/bids/1/accept`;
        await api.refuse('POST', path, { body: { signature: sign(bidderA, digest) } }, 422, 'signature_signer', 'signature');
        const done = await api.post(`${path}?wait=20`, { signature: sign(lessor, digest) });
        assert.equal(done.status, 'active');
        assert.equal(done.lesseeAddress, bidderB.address);
        assert.equal(done.action.purpose, 'leasing.accept_bid');
        assert.equal(done.action.transaction.state, 'mined');
        assert.equal(done.offer.status, 'accepted');
        assert.equal(await api.call(contracts.leaseFactory, 'ownerOf(uint256) view returns (address)',
            done.onChain.tokenId), bidderB.address);
        const list = await api.get(`${V1}/leases/${lease.leaseId}/bids`);
        assert.deepEqual(list.map((b) => b.status), ['refunded', 'accepted', 'refunded']);
        assert.equal(await api.stableOf(bidderA.address), before[0] + bids[0][1]);
        assert.equal(await api.stableOf(bidderB.address), before[1]);
        // Who asks again, because no answer came, is told the same, and nothing is sent.
        const sent = await api.provider.getTransactionCount(lessor.address);
        const again = await api.post(path, { signature: sign(lessor, digest) });
        assert.deepEqual(again.action, done.action);
        assert.equal(again.onChain.tokenId, done.onChain.tokenId);
        assert.equal(again.transactionRequest, null);
        assert.equal(await api.provider.getTransactionCount(lessor.address), sent);
        await api.refuse('POST', `${V1}/leases/${lease.leaseId}/bids/0/accept`,
            { body: { signature: sign(lessor, digest) } }, 409, 'conflict');
        await api.refuse('POST', `${V1}/leases/${lease.leaseId}/bids/0/withdraw`, {}, 409, 'conflict', 'bidIndex');
        await api.refuse('POST', `${V1}/leases/${lease.leaseId}/cancel`, {}, 409, 'conflict');
    });

    test('the round adds up, and every claim is what the contract owes', async () => {
        const [round] = await api.until(`${V1}/assets/${asset.assetId}/revenue-rounds`,
            (r) => r.length === 1 && r[0].status === 'open');
        assert.deepEqual(await api.get(`${V1}/revenue-rounds/${round.roundId}`), round);
        assert.equal(round.totalAmount, bids[1][1].toString());
        assert.equal(round.leaseId, lease.leaseId);
        assert.equal(round.assetId, asset.assetId);
        const claims = await api.get(`${V1}/revenue-rounds/${round.roundId}/claims`);
        assert.equal(claims.length, 3);
        let sum = 0n;
        for (const claim of claims) {
            const share = bids[1][1] * people[claim.holderAddress] / 100n;
            const extra = claim.holderAddress === round.remainderTo ? BigInt(round.remainder) : 0n;
            assert.equal(BigInt(claim.claimAmount), share + extra);
            assert.equal(BigInt(claim.tokenBalance), people[claim.holderAddress] * 10n ** 18n);
            assert.equal(await api.call(contracts.marketplace, 'claims(address) view returns (uint256)', claim.holderAddress),
                BigInt(claim.claimAmount));
            assert.equal(claim.status, 'open');
            sum += BigInt(claim.claimAmount);
        }
        assert.equal(sum, bids[1][1]);
        const page = await api.send('GET', `${V1}/revenue-rounds/${round.roundId}/claims?limit=2`);
        const rest = await api.send('GET', `${V1}/revenue-rounds/${round.roundId}/claims?limit=2&cursor=${page.nextCursor}`);
        assert.deepEqual([...page.data, ...rest.data], claims);
    });

    test('a claim is paid once, whoever asks how often', async () => {
        const [round] = await api.get(`${V1}/assets/${asset.assetId}/revenue-rounds`);
        const path = `${V1}/revenue-rounds/${round.roundId}/claims/${holder.address}`;
        const { claimAmount } = await api.get(path);
        const before = await api.stableOf(holder.address);
        // Nothing is mined meanwhile: who comes late would be told that it is paid already.
        await api.rpc('evm_setAutomine', false);
        const answers = await Promise.all(Array.from({ length: 8 }, () => api.send('POST', `${path}/process`)));
        await api.until(path, (c) => c.transaction.state === 'sent');
        await api.rpc('evm_setAutomine', true);
        await api.rpc('evm_mine');
        assert.deepEqual(new Set(answers.map((a) => a.status)), new Set([200]));
        assert.equal(new Set(answers.map((a) => a.data.claim.transaction.transactionId)).size, 1);
        const paid = await api.until(path, (c) => c.claimed);
        assert.equal(paid.status, 'claimed');
        assert.equal(paid.transactionHash, paid.transaction.transactionHash);
        assert.equal(await api.stableOf(holder.address), before + BigInt(claimAmount));
        const account = await api.get(`${V1}/accounts/${holder.address}`);
        assert.equal(account.claimable, '0');
        assert.deepEqual(account.ledger.claimable, { credits: claimAmount, debits: claimAmount, available: '0' });
        const state = await api.state();
        await api.refuse('POST', `${path}/process`, {}, 409, 'conflict');
        assert.deepEqual(await api.state(), state);
    });

    test('a holder with a wallet of his own gets the transaction to send', async () => {
        const wallet = strangers[3];
        const [round] = await api.get(`${V1}/assets/${asset.assetId}/revenue-rounds`);
        const path = `${V1}/revenue-rounds/${round.roundId}/claims/${wallet.address}`;
        const { transactionRequest, claim } = await api.post(`${path}/process`);
        assert.equal(claim.transaction, null);
        assert.equal(transactionRequest.from, wallet.address);
        assert.equal(transactionRequest.to, contracts.marketplace);
        await api.transact(wallet, transactionRequest);
        assert.equal((await api.get(path)).claimed, true);
        await api.post(`${V1}/revenue-rounds/${round.roundId}/claims/${registrar.address}/process?wait=20`);
        assert.equal((await api.get(`${V1}/revenue-rounds/${round.roundId}`)).status, 'closed');
        assert.equal(await api.stableOf(contracts.marketplace), 0n, 'nothing is left in the contract');
    });

    test('a later round can be claimed after an earlier one', async () => {
        for (let i = 0; i < 2; i++) {
            const next = await api.post(`${V1}/leases?wait=20`,
                without(leaseBody(asset.assetId, {}, { startDate: days(2 + i) }), 'lesseeAddress'), 201);
            const digest = await digestFor(next, asset, bidderA.address);
            await api.post(`${V1}/leases/${next.leaseId}/bids?wait=20`,
                { bidder: bidderA.address, funds: '1000', signature: sign(bidderA, digest) }, 201);
            const done = await api.post(`${V1}/leases/${next.leaseId}/bids/0/accept?wait=20`,
                { signature: sign(lessor, digest) });
            assert.equal(done.status, 'active');
        }
        const rounds = await api.until(`${V1}/assets/${asset.assetId}/revenue-rounds`,
            (r) => r.length === 3 && r.every((x) => x.status !== 'calculating'));
        assert.ok(rounds[0].roundId > rounds[1].roundId, 'newest first');
        const page = await api.send('GET', `${V1}/assets/${asset.assetId}/revenue-rounds?limit=2`);
        const rest = await api.send('GET', `${V1}/assets/${asset.assetId}/revenue-rounds?limit=2&cursor=${page.nextCursor}`);
        assert.deepEqual([...page.data, ...rest.data], rounds);
        const before = await api.stableOf(holder.address);
        const one = await api.post(`${V1}/revenue-rounds/${rounds[1].roundId}/claims/${holder.address}/process?wait=20`);
        assert.equal(one.claim.claimed, true);
        const other = await api.get(`${V1}/revenue-rounds/${rounds[0].roundId}/claims/${holder.address}`);
        assert.equal(other.claimed, true, 'the contract pays everything at once');
        assert.equal(other.transactionHash, one.claim.transactionHash);
        assert.equal(await api.stableOf(holder.address), before + 270n + 270n);
    });
});

describe('an offer that comes to nothing', () => {
    let asset;
    let lease;

    before(async () => {
        asset = await activeAsset();
        await api.fund(bidderA.address, 10000n);
        lease = await api.post(`${V1}/leases?wait=20`, without(leaseBody(asset.assetId), 'lesseeAddress'), 201);
        const digest = await digestFor(lease, asset, bidderA.address);
        await api.post(`${V1}/leases/${lease.leaseId}/bids?wait=20`,
            { bidder: bidderA.address, funds: '5000', signature: sign(bidderA, digest) }, 201);
    });

    test('a bid binds while it could be accepted', async () => {
        const answer = await api.post(`${V1}/leases/${lease.leaseId}/bids/0/withdraw?wait=20`);
        assert.equal(answer.status, 'active');
        assert.equal(answer.transaction.state, 'failed');
        assert.match(answer.transaction.error, /bid binding/);
        const again = await api.post(`${V1}/leases/${lease.leaseId}/bids/0/withdraw?wait=20`);
        assert.notEqual(again.transaction.transactionId, answer.transaction.transactionId);
    });

    test('while it is on offer it cannot be ended by a word', async () => {
        const text = `Terminate lease ${lease.leaseId} on chain 31337 at ${contracts.leaseFactory}`;
        const signature = await lessor.signMessage(text);
        await api.refuse('POST', `${V1}/leases/${lease.leaseId}/terminate`,
            { body: { signature, signerType: 'lessor', reason: 'x' } }, 409, 'conflict');
    });

    test('cancelling it pays the bids back', async () => {
        const before = await api.stableOf(bidderA.address);
        const done = await api.post(`${V1}/leases/${lease.leaseId}/cancel?wait=20`);
        assert.equal(done.offer.status, 'cancelled');
        assert.equal(done.action.purpose, 'leasing.cancel_offer');
        assert.equal(await api.stableOf(bidderA.address), before + 5000n);
        const [bid] = await api.get(`${V1}/leases/${lease.leaseId}/bids`);
        assert.equal(bid.status, 'refunded');
        const digest = await digestFor(lease, asset, bidderA.address);
        await api.refuse('POST', `${V1}/leases/${lease.leaseId}/bids`,
            { body: { bidder: bidderA.address, funds: '1', signature: sign(bidderA, digest) } }, 409, 'conflict');
        await api.refuse('POST', `${V1}/leases/${lease.leaseId}/cancel`, {}, 409, 'conflict');
    });

    test('bids of one wallet on several offers do not take each other\'s allowance', async () => {
        const offers = [];
        for (let i = 0; i < 3; i++) {
            offers.push(await api.post(`${V1}/leases?wait=20`,
                without(leaseBody(asset.assetId, {}, { startDate: days(3 + i) }), 'lesseeAddress'), 201));
        }
        const answers = await Promise.all(offers.map(async (offer, i) => {
            const signature = sign(bidderB, await digestFor(offer, asset, bidderB.address));
            return api.post(`${V1}/leases/${offer.leaseId}/bids?wait=20`,
                { bidder: bidderB.address, funds: String(100 * (3 - i)), signature }, 201);
        }));
        assert.deepEqual(answers.map((a) => a.status), ['active', 'active', 'active']);
    });
});

test('a lease whose end has come is completed', async () => {
    // The cron comes once a minute.
    await api.until(`${V1}/leases/${short.leaseId}`, (l) => l.status === 'completed', 75);
    await api.refuse('POST', `${V1}/leases/${short.leaseId}/sign`,
        { body: { signature: sign(lessor, toBeHex(1, 32)), signerType: 'lessor' } }, 409, 'conflict');
});

test('the ledger holds what the marketplace holds', async () => {
    const ledger = rows(api.daemon.database, `SELECT path, credits_posted, debits_posted FROM ledger_accounts
        WHERE path LIKE 'leasing/%'`);
    const sum = ledger.reduce((s, r) => s + BigInt(r.credits_posted) - BigInt(r.debits_posted), 0n);
    assert.ok(ledger.length > 5);
    assert.equal(sum, await api.stableOf(contracts.marketplace));
});

test('applied events are listed newest first, by cursor, as the chain has them', async () => {
    const events = [];
    for (let cursor = ''; cursor !== null;) {
        const page = await api.send('GET', `${V1}/blockchain/events?limit=50${cursor && `&cursor=${cursor}`}`);
        assert.equal(page.status, 200);
        events.push(...page.data);
        cursor = page.nextCursor;
    }
    assert.ok(events.length > 50, 'more than a page');
    const place = (e) => e.blockNumber * 1e6 + e.logIndex;
    assert.ok(events.every((e, i) => i === 0 || place(e) < place(events[i - 1])));
    for (const event of events.slice(0, 10)) {
        const receipt = await api.provider.getTransactionReceipt(event.transactionHash);
        const log = receipt.logs.find(({ index }) => index === event.logIndex);
        assert.equal(log.address, event.contractAddress);
        assert.equal(receipt.blockHash, event.blockHash);
    }
});

test('nothing went wrong inside', () => {
    const lines = api.daemon.log.split('\n').filter((l) => /"level":"(error|broken)"/.test(l));
    assert.deepEqual(lines, []);
});
