// What must be refused: each with its own status, code and field, and with nothing changed.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, beforeEach, afterEach, describe, test } from 'node:test';
import { TypedDataEncoder, toBeHex } from 'ethers';
import {
    Api, assetBody, bidderA, bidderB, days, fresh, having, intentOf, leaseBody, leaseDigest, lessor,
    sign, strangers, typeBody, without,
} from './support.mjs';

const V1 = '/api/v1';
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const CHECKSUM = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293Bc'; // the last letter's case is wrong
const TOO_BIG = (2n ** 256n).toString();

let api;
let asset;
let draft; // with a lessee
let offer; // without one, on the marketplace
let state;

before(async () => {
    api = await Api.start();
    await api.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
    const { assetId } = await api.post(`${V1}/assets?wait=20`, assetBody(fresh('SAT')));
    asset = await api.get(`${V1}/assets/${assetId}`);
    draft = await api.post(`${V1}/leases`, leaseBody(assetId), 201);
    offer = await api.post(`${V1}/leases?wait=20`, without(leaseBody(assetId), 'lesseeAddress'), 201);
    await api.fund(bidderA.address, 1000000n);
});
after(() => api?.stop());
beforeEach(async () => { state = await api.state(); });
afterEach(async () => assert.deepEqual(await api.state(), state, 'a refusal changed something'));

const refuse = (path, body, ...rest) => api.refuse('POST', path, { body }, ...rest);

describe('any body', () => {
    for (const path of ['asset-types', 'assets', 'leases']) {
        test(`POST /${path}`, async () => {
            const send = (options, ...rest) => api.refuse('POST', `${V1}/${path}`, options, ...rest);
            await send({ text: '{"a":' }, 400, 'invalid_json');
            await send({ text: '{"a":1,"a":2}' }, 400, 'invalid_json');
            await send({ text: '' }, 400, 'invalid_json');
            await send({ text: '\u00ff\u00fe' }, 400, 'invalid_json');
            await send({ text: `${'['.repeat(100)}${']'.repeat(100)}` }, 422, 'limit');
            await send({ text: '[]' }, 400, 'invalid_type');
            await send({ text: '"text"' }, 400, 'invalid_type');
            await send({ body: { nonsense: 1 } }, 400, 'unknown_field', 'nonsense');
            await send({ text: '{}', headers: { 'content-type': 'text/plain' } }, 415, 'unsupported_media');
        });
    }

    test('of more than a mebibyte is refused before it is sent', async () => {
        const { hostname, port } = new URL(api.daemon.url);
        const socket = connect(port, hostname);
        socket.write('POST /api/v1/assets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
            + `Content-Length: ${(1 << 20) + 1}\r\n\r\n`);
        const [chunk] = await once(socket, 'data');
        socket.destroy();
        assert.match(String(chunk), /^HTTP\/1\.1 413 /);
    });

    test('wrong query parameters', async () => {
        const body = typeBody('other');
        await refuse(`${V1}/asset-types?wait=31`, body, 400, 'invalid_field', 'wait');
        await refuse(`${V1}/asset-types?wait=-1`, body, 400, 'invalid_field', 'wait');
        await refuse(`${V1}/asset-types?wait=1.5`, body, 400, 'invalid_field', 'wait');
        await refuse(`${V1}/asset-types?weight=1`, body, 400, 'unknown_field');
    });
});

describe('asset types', () => {
    const cases = [
        [(b) => without(b, 'name'), 400, 'missing_field', 'name'],
        [(b) => having(b, 'name', 7), 400, 'invalid_type', 'name'],
        [(b) => having(b, 'name', ''), 400, 'invalid_field', 'name'],
        [(b) => having(b, 'name', 'Upper'), 400, 'invalid_field', 'name'],
        [(b) => having(b, 'name', 'x'.repeat(65)), 400, 'invalid_field', 'name'],
        [(b) => without(b, 'schema'), 400, 'missing_field', 'schema'],
        [(b) => having(b, 'schema', []), 400, 'invalid_type', 'schema'],
        [(b) => having(b, 'schema', { type: 'nonsense' }), 400, 'invalid_field', 'schema.type'],
        [(b) => having(b, 'schema', { if: {} }), 400, 'invalid_field', 'schema.if'],
        [(b) => without(b, 'requiredLeaseKeys'), 400, 'missing_field', 'requiredLeaseKeys'],
        [(b) => having(b, 'requiredLeaseKeys', 'x'), 400, 'invalid_type', 'requiredLeaseKeys'],
        [(b) => having(b, 'requiredLeaseKeys', ['a b']), 400, 'invalid_field', 'requiredLeaseKeys'],
        [(b) => having(b, 'requiredLeaseKeys', [1]), 400, 'invalid_field', 'requiredLeaseKeys'],
        [(b) => having(b, 'requiredLeaseKeys', ['a', 'a']), 400, 'invalid_field', 'requiredLeaseKeys'],
        [(b) => ({ ...b, metadata: [] }), 400, 'invalid_type', 'metadata'],
        [(b) => ({ ...b, metadata: { a: 1 } }), 400, 'invalid_type', 'metadata.a'],
        [(b) => ({ ...b, metadata: { 'a b': 'x' } }), 400, 'invalid_field', 'metadata'],
        [(b) => ({ ...b, metadata: { schemaHash: 'x' } }), 400, 'invalid_field', 'metadata'],
        [(b) => ({ ...b, metadata: { a: 'x'.repeat(1025) } }), 400, 'invalid_field', 'metadata.a'],
        [(b) => ({ ...b, extra: 1 }), 400, 'unknown_field', 'extra'],
    ];
    test('bodies', async () => {
        for (const [change, ...expected] of cases) {
            await refuse(`${V1}/asset-types`, change(typeBody('other')), ...expected);
        }
        const missing = await api.refuse('GET', `${V1}/asset-types/other`, {}, 404, 'not_found');
        assert.equal(missing.error, 'Asset type not found');
    });
});

describe('assets', () => {
    const cases = [
        [(b) => without(b, 'metadata'), 400, 'missing_field', 'metadata'],
        [(b) => having(b, 'metadata', 'x'), 400, 'invalid_type', 'metadata'],
        [(b) => without(b, 'metadata.assetId'), 400, 'missing_field', 'metadata.assetId'],
        [(b) => having(b, 'metadata.assetId', 5), 400, 'invalid_type', 'metadata.assetId'],
        [(b) => having(b, 'metadata.assetId', 'a/b'), 422, 'invalid_metadata', 'metadata.assetId'],
        [(b) => having(b, 'metadata.assetId', 'chain-1-1'), 400, 'invalid_field', 'metadata.assetId'],
        [(b) => without(b, 'metadata.name'), 400, 'missing_field', 'metadata.name'],
        [(b) => having(b, 'metadata.name', ''), 422, 'invalid_metadata', 'metadata.name'],
        [(b) => without(b, 'metadata.assetType'), 400, 'missing_field', 'metadata.assetType'],
        [(b) => having(b, 'metadata.assetType', 'unheard_of'), 422, 'invalid_metadata', 'metadata.assetType'],
        [(b) => without(b, 'metadata.specifications'), 400, 'missing_field', 'metadata.specifications'],
        [(b) => having(b, 'metadata.specifications', []), 400, 'invalid_type', 'metadata.specifications'],
        [(b) => without(b, 'metadata.specifications.orbit'), 422, 'invalid_metadata', 'metadata.specifications.orbit'],
        [(b) => having(b, 'metadata.specifications.orbit.type', 'sun'), 422, 'invalid_metadata',
            'metadata.specifications.orbit.type'],
        [(b) => having(b, 'metadata.specifications.orbit.altitude_km', 99), 422, 'invalid_metadata',
            'metadata.specifications.orbit.altitude_km'],
        [(b) => having(b, 'metadata.createdAt', 'yesterday'), 422, 'invalid_metadata', 'metadata.createdAt'],
        [(b) => without(b, 'tokenName'), 400, 'missing_field', 'tokenName'],
        [(b) => having(b, 'tokenName', ''), 400, 'invalid_field', 'tokenName'],
        [(b) => having(b, 'tokenName', 'a\u0007b'), 400, 'invalid_field', 'tokenName'],
        [(b) => having(b, 'tokenSymbol', 'x'.repeat(17)), 400, 'invalid_field', 'tokenSymbol'],
        [(b) => without(b, 'totalSupply'), 400, 'missing_field', 'totalSupply'],
        [(b) => having(b, 'totalSupply', '0'), 400, 'invalid_amount', 'totalSupply'],
        [(b) => having(b, 'totalSupply', '-1'), 400, 'invalid_amount', 'totalSupply'],
        [(b) => having(b, 'totalSupply', '1.5'), 400, 'invalid_amount', 'totalSupply'],
        [(b) => having(b, 'totalSupply', '1e18'), 400, 'invalid_amount', 'totalSupply'],
        [(b) => having(b, 'totalSupply', ''), 400, 'invalid_amount', 'totalSupply'],
        [(b) => having(b, 'totalSupply', '0x10'), 400, 'invalid_amount', 'totalSupply'],
        [(b) => having(b, 'totalSupply', TOO_BIG), 400, 'amount_overflow', 'totalSupply'],
        [(b) => having(b, 'totalSupply', 1e20), 400, 'invalid_amount', 'totalSupply'],
        [(b) => having(b, 'totalSupply', true), 400, 'invalid_type', 'totalSupply'],
        [(b) => ({ ...b, tokenRecipient: '0x12' }), 400, 'invalid_address', 'tokenRecipient'],
        [(b) => ({ ...b, tokenRecipient: CHECKSUM }), 400, 'address_checksum', 'tokenRecipient'],
        [(b) => ({ ...b, tokenRecipient: `0x${'00'.repeat(20)}` }), 400, 'invalid_address', 'tokenRecipient'],
        [(b) => ({ ...b, tokenname: 'x' }), 400, 'unknown_field', 'tokenname'],
    ];
    test('bodies', async () => {
        for (const [change, ...expected] of cases) {
            await refuse(`${V1}/assets`, change(assetBody('SAT-NEW')), ...expected);
        }
        await api.refuse('GET', `${V1}/assets/SAT-NEW`, {}, 404, 'not_found');
    });

    test('more metadata than a contract call takes', async () => {
        const many = Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`k${i}`, i]));
        const orbit = { type: 'leo', altitude_km: 500 };
        await refuse(`${V1}/assets`, assetBody('SAT-NEW', {}, { specifications: { orbit, ...many } }), 422,
            'invalid_metadata', 'metadata.specifications.k93');
        await refuse(`${V1}/assets`, assetBody('SAT-NEW', {}, { specifications: { orbit, long: 'x'.repeat(2000) } }),
            422, 'invalid_metadata', 'metadata.specifications.long');
    });

    test('reading', async () => {
        const sentence = async (path) => (await api.refuse('GET', `${V1}/${path}`, {}, 404, 'not_found')).error;
        assert.equal(await sentence('assets/none'), 'Asset not found');
        assert.equal(await sentence('assets/none/holders'), 'Asset not found');
        assert.equal(await sentence('assets/none/leases'), 'Asset not found');
        assert.equal(await sentence('assets/none/revenue-rounds'), 'Asset not found');
        const get = (path, ...rest) => api.refuse('GET', `${V1}/${path}`, {}, ...rest);
        await get('assets?status=sleeping', 400, 'invalid_field', 'status');
        await get('assets?limit=0', 400, 'invalid_field', 'limit');
        await get('assets?limit=201', 400, 'invalid_field', 'limit');
        await get('assets?limit=x', 400, 'invalid_amount', 'limit');
        await get('assets?cursor=!!', 400, 'invalid_field', 'cursor');
        await get('assets?cursor=AAAA', 400, 'invalid_field', 'cursor');
        await get('assets?colour=red', 400, 'unknown_field');
        await get(`assets/${asset.assetId}/holders?block=-1`, 400, 'invalid_field', 'block');
        await get(`assets/${asset.assetId}/holders?block=99999999`, 400, 'invalid_field', 'block');
        await get(`assets/${asset.assetId}/holders?cursor=AAAA`, 400, 'invalid_field', 'cursor');
        await get('accounts/0x12', 400, 'invalid_address', 'address');
        await get(`accounts/${CHECKSUM}`, 400, 'address_checksum', 'address');
        await get('offers?status=open', 400, 'invalid_field', 'status');
    });
});

describe('leases', () => {
    const cases = [
        [(b) => without(b, 'assetId'), 400, 'missing_field', 'assetId'],
        [(b) => having(b, 'assetId', 'none'), 404, 'not_found', undefined],
        [(b) => ({ ...b, leaseId: 'a/b' }), 400, 'invalid_field', 'leaseId'],
        [(b) => ({ ...b, leaseId: 'x'.repeat(51) }), 400, 'invalid_field', 'leaseId'],
        [(b) => ({ ...b, leaseId: 'chain-1-1' }), 400, 'invalid_field', 'leaseId'],
        [(b) => without(b, 'lessorAddress'), 400, 'missing_field', 'lessorAddress'],
        [(b) => having(b, 'lessorAddress', '0x12'), 400, 'invalid_address', 'lessorAddress'],
        [(b) => having(b, 'lesseeAddress', CHECKSUM), 400, 'address_checksum', 'lesseeAddress'],
        [(b) => having(b, 'lesseeAddress', null), 400, 'invalid_type', 'lesseeAddress'],
        [(b) => having(b, 'lesseeAddress', `0x${'00'.repeat(20)}`), 400, 'invalid_address', 'lesseeAddress'],
        [(b) => having(b, 'lesseeAddress', lessor.address), 400, 'invalid_field', 'lesseeAddress'],
        [(b) => without(b, 'terms'), 400, 'missing_field', 'terms'],
        [(b) => having(b, 'terms', []), 400, 'invalid_type', 'terms'],
        [(b) => having(b, 'terms.rent', '1'), 400, 'unknown_field', 'terms.rent'],
        [(b) => without(b, 'terms.startDate'), 400, 'missing_field', 'terms.startDate'],
        [(b) => having(b, 'terms.startDate', 'soon'), 400, 'invalid_time', 'terms.startDate'],
        [(b) => having(b, 'terms.startDate', Date.now()), 400, 'invalid_time', 'terms.startDate'],
        [(b) => having(b, 'terms.endDate', days(1)), 400, 'invalid_field', 'terms.endDate'],
        [(b) => having(b, 'terms.endDate', days(0.5)), 400, 'invalid_field', 'terms.endDate'],
        [(b) => having(having(b, 'terms.startDate', days(-9)), 'terms.endDate', days(-1)), 400, 'invalid_field',
            'terms.endDate'],
        [(b) => without(b, 'terms.paymentAmount'), 400, 'missing_field', 'terms.paymentAmount'],
        [(b) => having(b, 'terms.paymentAmount', '0'), 400, 'invalid_amount', 'terms.paymentAmount'],
        [(b) => having(b, 'terms.paymentAmount', '10.5'), 400, 'invalid_amount', 'terms.paymentAmount'],
        [(b) => having(b, 'terms.paymentAmount', '-5'), 400, 'invalid_amount', 'terms.paymentAmount'],
        [(b) => having(b, 'terms.paymentAmount', TOO_BIG), 400, 'amount_overflow', 'terms.paymentAmount'],
        [(b) => having(b, 'terms.paymentAmount', 2 ** 53), 400, 'invalid_amount', 'terms.paymentAmount'],
        [(b) => having(b, 'terms.paymentAmount', {}), 400, 'invalid_type', 'terms.paymentAmount'],
        [(b) => having(b, 'terms.paymentSchedule', 'weekly'), 400, 'invalid_field', 'terms.paymentSchedule'],
        [(b) => having(b, 'terms.currency', 'ETH'), 400, 'invalid_field', 'terms.currency'],
        [(b) => having(b, 'terms.currency', ''), 400, 'invalid_field', 'terms.currency'],
        [(b) => having(b, 'terms.restrictions', 'none'), 400, 'invalid_type', 'terms.restrictions'],
        [(b) => having(b, 'terms.restrictions', [1]), 400, 'invalid_field', 'terms.restrictions'],
        [(b) => having(b, 'terms.rentPeriod', 0), 400, 'invalid_field', 'terms.rentPeriod'],
        [(b) => having(b, 'terms.rentPeriod', '18446744073709551616'), 400, 'amount_overflow', 'terms.rentPeriod'],
        [(b) => having(b, 'terms.rentPeriod', '315576000001'), 400, 'amount_overflow', 'terms.rentPeriod'],
        [(b) => having(b, 'terms.securityDeposit', '1.0'), 400, 'invalid_amount', 'terms.securityDeposit'],
        [(b) => without(b, 'legalDocumentHash'), 400, 'missing_field', 'legalDocumentHash'],
        [(b) => having(b, 'legalDocumentHash', '0x12'), 400, 'invalid_hash', 'legalDocumentHash'],
        [(b) => having(b, 'metadata', []), 400, 'invalid_type', 'metadata'],
        [(b) => without(b, 'metadata'), 422, 'invalid_metadata', 'metadata.orbital_period_hours'],
        [(b) => without(b, 'metadata.orbital_period_hours'), 422, 'invalid_metadata', 'metadata.orbital_period_hours'],
        [(b) => having(b, 'metadata.orbital_period_hours', null), 422, 'invalid_metadata', 'metadata.orbital_period_hours'],
        [(b) => having(b, 'metadata.long', 'x'.repeat(2000)), 422, 'invalid_metadata', 'metadata.long'],
        [(b) => ({ ...b, termsVersion: 65536 }), 400, 'amount_overflow', 'termsVersion'],
        [(b) => ({ ...b, termsVersion: -1 }), 400, 'invalid_amount', 'termsVersion'],
        [(b) => ({ ...b, deadline: days(-1) }), 422, 'deadline_expired', 'deadline'],
        [(b) => ({ ...b, deadline: 'later' }), 400, 'invalid_time', 'deadline'],
        [(b) => ({ ...b, status: 'active' }), 400, 'unknown_field', 'status'],
    ];
    test('bodies', async () => {
        for (const [change, ...expected] of cases) {
            await refuse(`${V1}/leases`, change(leaseBody(asset.assetId)), ...expected);
        }
    });

    test('what fits exactly is taken', async () => {
        const max = (2n ** 256n - 1n).toString();
        const body = leaseBody(asset.assetId, { leaseId: fresh('MAX'), termsVersion: 65535 },
            { paymentAmount: max, securityDeposit: max, rentPeriod: '315576000000' });
        const made = await api.post(`${V1}/leases`, body, 201);
        assert.equal(made.terms.paymentAmount, max);
        assert.equal(made.termsVersion, 65535);
        assert.equal(made.digest, leaseDigest(intentOf(made, asset), 31337, api.contracts.leaseFactory));
        state = await api.state();
    });

    test('reading', async () => {
        const sentence = async (path) => (await api.refuse('GET', `${V1}/${path}`, {}, 404, 'not_found')).error;
        assert.equal(await sentence('leases/none'), 'Lease not found');
        assert.equal(await sentence('leases/none/bids'), 'Lease not found');
        assert.equal(await sentence('leases/none/digest'), 'Lease not found');
        assert.equal(await sentence('leases/none/x402/requirements'), 'Lease not found');
        const get = (path, ...rest) => api.refuse('GET', `${V1}/${path}`, {}, ...rest);
        await get('leases?status=pending', 400, 'invalid_field', 'status');
        await get('leases?lessor=0x12', 400, 'invalid_address', 'lessor');
        await get(`leases?lessee=${CHECKSUM}`, 400, 'address_checksum', 'lessee');
        await get(`leases/${draft.leaseId}/digest?lessee=${bidderB.address}`, 409, 'conflict', 'lessee');
        await get(`leases/${offer.leaseId}/digest?lessee=0x12`, 400, 'invalid_address', 'lessee');
        await get(`leases/${draft.leaseId}/x402/requirements?mode=hour`, 400, 'invalid_field', 'mode');
    });

    test('assets that are not active', async () => {
        await api.rpc('evm_setAutomine', false);
        try {
            const made = await api.post(`${V1}/assets`, assetBody(fresh('SAT')), 201);
            await api.until(`${V1}/transactions/${made.transactionId}`, (t) => t.state === 'sent');
            const waiting = await api.state({ resting: false });
            await refuse(`${V1}/leases`, leaseBody(made.assetId), 409, 'conflict', 'assetId');
            assert.deepEqual(await api.state({ resting: false }), waiting);
        } finally {
            await api.rpc('evm_setAutomine', true);
            await api.rpc('evm_mine');
            const [{ assetId }] = await api.get(`${V1}/assets?limit=1`);
            await api.until(`${V1}/assets/${assetId}`,
                (a) => a.status === 'active' && a.transaction.state === 'mined');
            state = await api.state();
        }
    });
});

/** Every way in which 65 bytes can be wrong, for a digest that `wallet` should sign. */
function wrongSignatures(digest, wallet, other, elsewhere) {
    const good = sign(wallet, digest);
    const s = BigInt(`0x${good.slice(66, 130)}`);
    const flipped = good.slice(130) === '1b' ? '1c' : '1b';
    const part = (r, sValue, v) => `0x${r}${toBeHex(sValue, 32).slice(2)}${v}`;
    const r = good.slice(2, 66);
    return [
        ['no hex', 'nonsense', 400, 'invalid_hex'],
        ['odd digits', '0x123', 400, 'invalid_hex'],
        ['a number', 5, 400, 'invalid_type'],
        ['empty', '0x', 422, 'signature_malformed'],
        ['compact', good.slice(0, 130), 422, 'signature_malformed'],
        ['a byte more', `${good}00`, 422, 'signature_malformed'],
        ['r of zero', part('00'.repeat(32), s, good.slice(130)), 422, 'signature_malformed'],
        ['s of zero', part(r, 0n, good.slice(130)), 422, 'signature_malformed'],
        ['r beyond the order', part(ORDER.toString(16), s, good.slice(130)), 422, 'signature_malformed'],
        ['high s', part(r, ORDER - s, flipped), 422, 'signature_high_s'],
        ['v of 0', part(r, s, '00'), 422, 'signature_v'],
        ['v of 29', part(r, s, '1d'), 422, 'signature_v'],
        ['the other v', part(r, s, flipped), 422, 'signature_signer'],
        ['another account', sign(other, digest), 422, 'signature_signer'],
        ['another chain', sign(wallet, elsewhere.chain), 422, 'signature_chain'],
        ['another contract', sign(wallet, elsewhere.contract), 422, 'signature_contract'],
        ['other terms', sign(wallet, elsewhere.terms), 422, 'signature_signer'],
    ];
}

function elsewhere(lease, lessee) {
    const intent = intentOf(lease, asset, lessee);
    const { leaseFactory, marketplace } = api.contracts;
    return {
        chain: leaseDigest(intent, 1, leaseFactory),
        contract: leaseDigest(intent, 31337, marketplace),
        terms: leaseDigest({ ...intent, deadline: intent.deadline + 1 }, 31337, leaseFactory),
    };
}

describe('signatures', () => {
    test('of a lease', async () => {
        const path = `${V1}/leases/${draft.leaseId}/sign`;
        const cases = wrongSignatures(draft.digest, lessor, bidderB, elsewhere(draft));
        for (const [about, signature, status, code] of cases) {
            const answer = await refuse(path, { signature, signerType: 'lessor' }, status, code, 'signature');
            assert.ok(answer.error, about);
        }
        const good = { signature: sign(lessor, draft.digest), signerType: 'lessor' };
        await refuse(path, { ...good, signerType: 'lessee' }, 422, 'signature_signer', 'signature');
        await refuse(path, without(good, 'signature'), 400, 'missing_field', 'signature');
        await refuse(path, without(good, 'signerType'), 400, 'missing_field', 'signerType');
        await refuse(path, having(good, 'signerType', 'witness'), 400, 'invalid_field', 'signerType');
        await refuse(path, { ...good, domain: 1 }, 400, 'invalid_type', 'domain');
        await refuse(path, { ...good, domain: { chainid: 1 } }, 400, 'unknown_field', 'domain.chainid');
        await refuse(path, { ...good, domain: { chainId: 1 } }, 422, 'signature_chain', 'domain.chainId');
        await refuse(path, { ...good, domain: { chainId: 'x' } }, 400, 'invalid_amount', 'domain.chainId');
        await refuse(path, { ...good, domain: { verifyingContract: lessor.address } }, 422, 'signature_contract',
            'domain.verifyingContract');
        await refuse(path, { ...good, comment: 'x' }, 400, 'unknown_field', 'comment');
        const missing = await refuse(`${V1}/leases/none/sign`, good, 404, 'not_found', undefined);
        assert.equal(missing.error, 'Lease not found');
    });

    test('by a wallet that encodes typed data itself: the sentence says what to do', async () => {
        const { domain, message } = draft.typedData;
        const types = {
            LeaseIntent: [{ name: 'deadline', type: 'uint64' }, { name: 'assetTypeSchemaHash', type: 'bytes32' },
                { name: 'lease', type: 'Lease' }],
            Lease: [...['lessor', 'lessee'].map((name) => ({ name, type: 'address' })),
                { name: 'assetId', type: 'uint256' }, { name: 'paymentToken', type: 'address' },
                ...['rentAmount', 'rentPeriod', 'securityDeposit'].map((name) => ({ name, type: 'uint256' })),
                { name: 'startTime', type: 'uint64' }, { name: 'endTime', type: 'uint64' },
                { name: 'legalDocHash', type: 'bytes32' }, { name: 'termsVersion', type: 'uint16' }],
        };
        const standard = TypedDataEncoder.hash(domain, types, message);
        assert.notEqual(standard, draft.digest);
        const answer = await refuse(`${V1}/leases/${draft.leaseId}/sign`,
            { signature: sign(lessor, standard), signerType: 'lessor' }, 422, 'signature_signer', 'signature');
        assert.match(answer.error, /Sign the 32-byte digest/);
    });

    test('of a bid', async () => {
        const path = `${V1}/leases/${offer.leaseId}/bids`;
        const digest = leaseDigest(intentOf(offer, asset, bidderA.address), 31337, api.contracts.leaseFactory);
        const good = { bidder: bidderA.address, funds: '1000', signature: sign(bidderA, digest) };
        for (const [about, signature, status, code]
            of wrongSignatures(digest, bidderA, bidderB, elsewhere(offer, bidderA.address))) {
            const answer = await refuse(path, { ...good, signature }, status, code, 'signature');
            assert.ok(answer.error, about);
        }
        const open = leaseDigest(intentOf(offer, asset, `0x${'00'.repeat(20)}`), 31337, api.contracts.leaseFactory);
        await refuse(path, { ...good, signature: sign(bidderA, open) }, 422, 'signature_signer', 'signature');
        await refuse(path, { ...good, bidder: bidderB.address }, 422, 'signature_signer', 'signature');
        await refuse(path, { ...good, bidder: lessor.address }, 400, 'invalid_field', 'bidder');
        await refuse(path, { ...good, bidder: '0x1' }, 400, 'invalid_address', 'bidder');
        await refuse(path, { ...good, bidder: CHECKSUM }, 400, 'address_checksum', 'bidder');
        await refuse(path, { ...good, funds: '0' }, 400, 'invalid_amount', 'funds');
        await refuse(path, { ...good, funds: '1.5' }, 400, 'invalid_amount', 'funds');
        await refuse(path, { ...good, funds: TOO_BIG }, 400, 'amount_overflow', 'funds');
        await refuse(path, { ...good, funds: 2 ** 60 }, 400, 'invalid_amount', 'funds');
        for (const member of ['bidder', 'funds', 'signature']) {
            await refuse(path, without(good, member), 400, 'missing_field', member);
        }
        await refuse(path, { ...good, price: '1' }, 400, 'unknown_field', 'price');
        await refuse(`${V1}/leases/${draft.leaseId}/bids`, good, 409, 'conflict', undefined);
        await refuse(`${V1}/leases/none/bids`, good, 404, 'not_found', undefined);
    });

    test('of a termination', async () => {
        const path = `${V1}/leases/${draft.leaseId}/terminate`;
        const text = `Terminate lease ${draft.leaseId} on chain 31337 at ${api.contracts.leaseFactory}`;
        const good = { signature: await lessor.signMessage(text), signerType: 'lessor', reason: 'x' };
        await refuse(path, without(good, 'reason'), 400, 'missing_field', 'reason');
        await refuse(path, having(good, 'reason', ''), 400, 'invalid_field', 'reason');
        await refuse(path, having(good, 'reason', 'x'.repeat(501)), 400, 'invalid_field', 'reason');
        await refuse(path, having(good, 'signerType', 'lessee'), 422, 'signature_signer', 'signature');
        await refuse(path, having(good, 'signature', sign(lessor, draft.digest)), 422, 'signature_signer', 'signature');
        await refuse(path, having(good, 'signature', '0x12'), 422, 'signature_malformed', 'signature');
        await refuse(`${V1}/leases/none/terminate`, good, 404, 'not_found', undefined);
        await refuse(`${V1}/leases/${offer.leaseId}/terminate`, having(good, 'signerType', 'lessee'), 409, 'conflict',
            'signerType');
    });
});

describe('actions', () => {
    test('on bids and offers that are not there', async () => {
        const signature = sign(lessor, draft.digest);
        const bid = await refuse(`${V1}/leases/${offer.leaseId}/bids/7/accept`, { signature }, 404, 'not_found', undefined);
        assert.equal(bid.error, 'Bid not found');
        await refuse(`${V1}/leases/${offer.leaseId}/bids/x/accept`, { signature }, 400, 'invalid_field', 'bidIndex');
        await refuse(`${V1}/leases/${offer.leaseId}/bids/0/accept`, {}, 400, 'missing_field', 'signature');
        await refuse(`${V1}/leases/${draft.leaseId}/bids/0/accept`, { signature }, 404, 'not_found', undefined);
        const post = (path, ...rest) => api.refuse('POST', `${V1}/${path}`, {}, ...rest);
        await post(`leases/${offer.leaseId}/bids/0/withdraw`, 404, 'not_found', undefined);
        await post(`leases/${draft.leaseId}/bids/0/withdraw`, 404, 'not_found', undefined);
        await post(`leases/${draft.leaseId}/cancel`, 409, 'conflict', undefined);
        await post('leases/none/cancel', 404, 'not_found', undefined);
        await post('leases/none/bids/0/withdraw', 404, 'not_found', undefined);
        await post(`leases/${draft.leaseId}/cancel?wait=x`, 400, 'invalid_field', 'wait');
    });

    test('on rounds and claims that are not there', async () => {
        const sentence = async (method, path) =>
            (await api.refuse(method, `${V1}/${path}`, {}, 404, 'not_found')).error;
        const who = strangers[0].address;
        assert.equal(await sentence('GET', 'revenue-rounds/1'), 'Revenue round not found');
        assert.equal(await sentence('GET', 'revenue-rounds/1/claims'), 'Revenue round not found');
        assert.equal(await sentence('GET', `revenue-rounds/1/claims/${who}`), 'Revenue round not found');
        assert.equal(await sentence('POST', `revenue-rounds/1/claims/${who}/process`), 'Revenue round not found');
        await api.refuse('GET', `${V1}/revenue-rounds/first`, {}, 400, 'invalid_field', 'roundId');
        await api.refuse('GET', `${V1}/revenue-rounds/9223372036854775808`, {}, 400, 'invalid_field', 'roundId');
        await api.refuse('GET', `${V1}/revenue-rounds/1/claims/0x12`, {}, 400, 'invalid_address', 'holderAddress');
    });
});

test('deadlines that pass while a lease waits', async () => {
    const soon = new Date((Math.floor(Date.now() / 1000) + 2) * 1000).toISOString();
    const late = await api.post(`${V1}/leases`, { ...leaseBody(asset.assetId), deadline: soon }, 201);
    const lateOffer = await api.post(`${V1}/leases?wait=20`,
        { ...without(leaseBody(asset.assetId), 'lesseeAddress'), deadline: soon }, 201);
    await new Promise((done) => { setTimeout(done, Date.parse(soon) - Date.now() + 50); });
    state = await api.state();
    await refuse(`${V1}/leases/${late.leaseId}/sign`,
        { signature: sign(lessor, late.digest), signerType: 'lessor' }, 422, 'deadline_expired', 'deadline');
    const digest = leaseDigest(intentOf(lateOffer, asset, bidderA.address), 31337, api.contracts.leaseFactory);
    await refuse(`${V1}/leases/${lateOffer.leaseId}/bids`,
        { bidder: bidderA.address, funds: '1', signature: sign(bidderA, digest) }, 422, 'deadline_expired', 'deadline');
});
