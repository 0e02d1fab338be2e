// TestStablecoin: EIP-2612 permits and EIP-3009 authorizations, against ethers' own EIP-712
// encoder.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { AbiCoder, Signature, TypedDataEncoder, concat, id, keccak256, recoverAddress, toBeHex }
    from 'ethers';
import { Chain, wallets } from '../harness/chain.mjs';

const vector = JSON.parse(readFileSync(
    new URL('../../tests/vectors/leasing.json', import.meta.url), 'utf8')).permit;
const CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const FOREVER = 2n ** 256n - 1n;
const [owner, spender, relayer, other] = wallets;

const field = (text) => text.split(',').map((part) => {
    const [type, name] = part.split(' ');
    return { type, name };
});
const TRANSFER_FIELDS = field('address from,address to,uint256 value,uint256 validAfter,' +
    'uint256 validBefore,bytes32 nonce');
const TYPES = {
    Permit: field('address owner,address spender,uint256 value,uint256 nonce,uint256 deadline'),
    TransferWithAuthorization: TRANSFER_FIELDS,
    ReceiveWithAuthorization: TRANSFER_FIELDS,
    CancelAuthorization: field('address authorizer,bytes32 nonce'),
};

let chain;
let coin;
let domain;
let nonceCount = 0;

before(async () => {
    chain = await Chain.start();
    coin = await chain.deploy('TestStablecoin');
    domain = { name: 'Mock USD', version: '1', chainId: 31337, verifyingContract: coin.address };
    await coin.send(owner.address, 'mint', owner.address, 1_000_000n);
});
after(() => chain?.stop());

const freshNonce = () => id(`nonce ${nonceCount++}`);

function sign(type, message, { signer = owner, over = {} } = {}) {
    const digest = TypedDataEncoder.hash({ ...domain, ...over }, { [type]: TYPES[type] }, message);
    return signer.signingKey.sign(digest);
}

/** The tail of a call: v, r, s or packed bytes. */
const split = ({ v, r, s }) => [v, r, s];
const packed = ({ serialized }) => [serialized];
const FORMS = [['v, r, s', 'uint8,bytes32,bytes32', split], ['bytes', 'bytes', packed]];

function permitCall(tail) {
    return `permit(address,address,uint256,uint256,${tail})`;
}

function authorizationCall(fn, tail) {
    return `${fn}(address,address,uint256,uint256,uint256,bytes32,${tail})`;
}

test('metadata and domain', async () => {
    assert.deepEqual(await Promise.all(['name', 'symbol', 'decimals', 'version']
        .map((fn) => coin.get(fn))), ['Mock USD', 'mUSD', 6n, '1']);
    assert.equal(await coin.get('DOMAIN_SEPARATOR'), TypedDataEncoder.hashDomain(domain));
    const described = await coin.get('eip712Domain');
    assert.deepEqual([described.name, described.version, described.chainId,
        described.verifyingContract], ['Mock USD', '1', 31337n, coin.address]);
    for (const [type, fields] of Object.entries(TYPES)) {
        const getter = `${type.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase()}_TYPEHASH`;
        const encoded = `${type}(${fields.map((f) => `${f.type} ${f.name}`).join(',')})`;
        assert.equal(await coin.get(getter), id(encoded), getter);
    }
});

test('the recorded permit digest follows from the type hash of the coin', async () => {
    const { permit, digest, domainSeparator, v, r, s } = vector;
    assert.equal(TypedDataEncoder.hashDomain(vector.domain), domainSeparator);
    const struct = keccak256(AbiCoder.defaultAbiCoder().encode(
        ['bytes32', 'address', 'address', 'uint256', 'uint256', 'uint256'],
        [await coin.get('PERMIT_TYPEHASH'), permit.owner, permit.spender, permit.value,
            permit.nonce, permit.deadline]));
    assert.equal(keccak256(concat(['0x1901', domainSeparator, struct])), digest);
    assert.equal(recoverAddress(digest, { v, r, s }), permit.owner);
});

for (const [form, types, tail] of FORMS) {
    describe(`permit by ${form}`, () => {
        const fn = permitCall(types);
        const message = async (changes = {}) => ({
            owner: owner.address, spender: spender.address, value: 77n,
            nonce: await coin.get('nonces', owner.address), deadline: FOREVER, ...changes,
        });
        const args = ({ owner: from, spender: to, value, deadline }, signature) =>
            [from, to, value, deadline, ...tail(signature)];
        const refusal = async (m, signature) => coin.refusal(relayer.address, fn,
            ...args(m, signature));

        test('sets the allowance once', async () => {
            const m = await message();
            const call = args(m, sign('Permit', m));
            const { logs } = await coin.send(relayer.address, fn, ...call);
            assert.deepEqual(logs.map((log) => coin.abi.parseLog(log).name), ['Approval']);
            assert.equal(await coin.get('allowance', owner.address, spender.address), 77n);
            assert.equal(await coin.get('nonces', owner.address), m.nonce + 1n);
            assert.equal(await coin.refusal(relayer.address, fn, ...call),
                'EIP2612: invalid signature');
        });

        test('refuses late, foreign and malformed ones', async () => {
            const now = BigInt(await chain.now());
            const late = await message({ deadline: now - 1n });
            assert.equal(await refusal(late, sign('Permit', late)),
                'FiatTokenV2: permit is expired');
            const m = await message();
            const good = sign('Permit', m);
            const invalid = [
                sign('Permit', m, { signer: other }),
                sign('Permit', { ...m, nonce: m.nonce + 1n }),
                sign('Permit', { ...m, value: 78n }),
                sign('Permit', m, { over: { chainId: 1 } }),
                sign('Permit', m, { over: { verifyingContract: relayer.address } }),
                sign('Permit', m, { over: { name: 'USD Coin' } }),
                sign('Permit', m, { over: { version: '2' } }),
            ];
            for (const signature of invalid) {
                assert.equal(await refusal(m, signature), 'EIP2612: invalid signature');
            }
            const highS = { v: 55 - good.v, r: good.r,
                s: toBeHex(CURVE_ORDER - BigInt(good.s), 32) };
            highS.serialized = concat([highS.r, highS.s, toBeHex(highS.v)]);
            assert.equal(await refusal(m, highS), 'EIP2612: invalid signature');
            assert.equal(await refusal(m, good), undefined);
        });

        test('is in time in the second of its deadline', async () => {
            const deadline = BigInt(await chain.now()) + 50n;
            const m = await message({ deadline });
            await chain.rpc('evm_setNextBlockTimestamp', Number(deadline));
            await coin.send(relayer.address, fn, ...args(m, sign('Permit', m)));
        });
    });
}

for (const [form, types, tail] of FORMS) {
    for (const name of ['transferWithAuthorization', 'receiveWithAuthorization']) {
        describe(`${name} by ${form}`, () => {
            const type = name[0].toUpperCase() + name.slice(1);
            const fn = authorizationCall(name, types);
            const message = (changes = {}) => ({
                from: owner.address, to: spender.address, value: 10n, validAfter: 0n,
                validBefore: FOREVER, nonce: freshNonce(), ...changes,
            });
            const args = (m, signature) => [m.from, m.to, m.value, m.validAfter, m.validBefore,
                m.nonce, ...tail(signature)];
            // The payee may submit both kinds.
            const refusal = (m, signature = sign(type, m)) =>
                coin.refusal(spender.address, fn, ...args(m, signature));

            test('pays once', async () => {
                const m = message();
                const before = await coin.get('balanceOf', spender.address);
                const { logs } = await coin.send(spender.address, fn, ...args(m, sign(type, m)));
                assert.deepEqual(logs.map((log) => coin.abi.parseLog(log).name),
                    ['AuthorizationUsed', 'Transfer']);
                assert.deepEqual([...coin.abi.parseLog(logs[0]).args], [owner.address, m.nonce]);
                assert.equal(await coin.get('balanceOf', spender.address), before + 10n);
                assert.equal(await coin.get('authorizationState', owner.address, m.nonce), true);
                assert.equal(await refusal(m), 'FiatTokenV2: authorization is used or canceled');
                const again = { ...m, value: 11n };
                assert.equal(await refusal(again),
                    'FiatTokenV2: authorization is used or canceled');
            });

            test('holds strictly between its times', async () => {
                const start = BigInt(await chain.now()) + 100n;
                const m = message({ validAfter: start, validBefore: start + 2n });
                // eth_call sees the newest block's time.
                await chain.mineAt(Number(start));
                assert.equal(await refusal(m), 'FiatTokenV2: authorization is not yet valid');
                await chain.mineAt(Number(start) + 1);
                assert.equal(await refusal(m), undefined);
                await chain.mineAt(Number(start) + 2);
                assert.equal(await refusal(m), 'FiatTokenV2: authorization is expired');
            });

            test('refuses other signers, terms, domains and kinds', async () => {
                const m = message();
                const kind = name.startsWith('transfer') ? 'ReceiveWithAuthorization'
                    : 'TransferWithAuthorization';
                const invalid = [
                    sign(type, m, { signer: other }),
                    sign(type, { ...m, value: 11n }),
                    sign(type, { ...m, to: other.address }),
                    sign(type, m, { over: { chainId: 1 } }),
                    sign(type, m, { over: { verifyingContract: relayer.address } }),
                    sign(kind, m),
                ];
                for (const signature of invalid) {
                    assert.equal(await refusal(m, signature), 'FiatTokenV2: invalid signature');
                }
                assert.equal(await refusal(m), undefined);
            });

            test('cannot spend what the payer does not have', async () => {
                const m = message({ value: 10n ** 12n });
                const balance = await coin.get('balanceOf', owner.address);
                assert.equal(await refusal(m),
                    `ERC20InsufficientBalance(${owner.address},${balance},${10n ** 12n})`);
            });

            test('is submitted by anybody, or only by the payee', async () => {
                const m = message();
                const said = await coin.refusal(relayer.address, fn, ...args(m, sign(type, m)));
                assert.equal(said, name.startsWith('transfer') ? undefined
                    : 'FiatTokenV2: caller must be the payee');
            });
        });
    }

    test(`cancelAuthorization by ${form}`, async () => {
        const fn = `cancelAuthorization(address,bytes32,${types})`;
        const nonce = freshNonce();
        const m = { authorizer: owner.address, nonce };
        const call = (signature) => [owner.address, nonce, ...tail(signature)];
        assert.equal(await coin.refusal(relayer.address, fn,
            ...call(sign('CancelAuthorization', m, { signer: other }))),
        'FiatTokenV2: invalid signature');
        const good = sign('CancelAuthorization', m);
        const { logs } = await coin.send(relayer.address, fn, ...call(good));
        assert.equal(coin.abi.parseLog(logs[0]).name, 'AuthorizationCanceled');
        assert.equal(await coin.get('authorizationState', owner.address, nonce), true);
        assert.equal(await coin.refusal(relayer.address, fn, ...call(good)),
            'FiatTokenV2: authorization is used or canceled');
        const payment = { from: owner.address, to: spender.address, value: 1n, validAfter: 0n,
            validBefore: FOREVER, nonce };
        assert.equal(await coin.refusal(relayer.address,
            authorizationCall('transferWithAuthorization', types), ...Object.values(payment),
            ...tail(sign('TransferWithAuthorization', payment))),
        'FiatTokenV2: authorization is used or canceled');
    });
}

test('a contract wallet pays by its owner\'s signature', async () => {
    const wallet = await chain.deploy('Wallet', [other.address]);
    await coin.send(relayer.address, 'mint', wallet.address, 5n);
    const m = { from: wallet.address, to: spender.address, value: 5n, validAfter: 0n,
        validBefore: FOREVER, nonce: freshNonce() };
    const fn = authorizationCall('transferWithAuthorization', 'bytes');
    const by = (signer) => [...Object.values(m),
        sign('TransferWithAuthorization', m, { signer }).serialized];
    assert.equal(await coin.refusal(relayer.address, fn, ...by(owner)),
        'FiatTokenV2: invalid signature');
    await coin.send(relayer.address, fn, ...by(other));
    assert.equal(await coin.get('balanceOf', wallet.address), 0n);
});

test('packed signatures of another length are invalid', async () => {
    const m = { from: owner.address, to: spender.address, value: 1n, validAfter: 0n,
        validBefore: FOREVER, nonce: freshNonce() };
    const good = Signature.from(sign('TransferWithAuthorization', m));
    const fn = authorizationCall('transferWithAuthorization', 'bytes');
    for (const signature of ['0x', good.compactSerialized, concat([good.serialized, '0x00'])]) {
        assert.equal(await coin.refusal(relayer.address, fn, ...Object.values(m), signature),
            'FiatTokenV2: invalid signature');
    }
});
