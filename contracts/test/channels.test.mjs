// Payment channels: deposits, claims, settlement, refunds and withdrawals, and that not a unit
// goes where it was not signed for.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { concat, id, toBeHex, Signature } from 'ethers';
import { Channels, DELAY, MAX128, TYPES, ZERO, authorizer, depositNonce, other, payer, receiver,
    relayer, second } from '../harness/channels.mjs';

const vectors = JSON.parse(readFileSync(
    new URL('../../tests/vectors/x402.json', import.meta.url), 'utf8'));
const CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

let world;
let escrow;
let coin;

before(async () => {
    world = await Channels.deploy();
    ({ escrow, coin } = world);
});
after(() => world?.stop());

const refused = (from, fn, ...args) => escrow.refusal(from.address, fn, ...args);
const claims = async (rows) => escrow.send(relayer.address, 'claimWithSignature',
    ...await world.batch(rows));

describe('types', () => {
    test('hash to the recorded values', async () => {
        const { typehashes } = vectors;
        assert.equal(await escrow.get('CHANNEL_CONFIG_TYPEHASH'), typehashes.ChannelConfig);
        assert.equal(await escrow.get('VOUCHER_TYPEHASH'), typehashes.Voucher);
        assert.equal(await escrow.get('REFUND_TYPEHASH'), typehashes.Refund);
        const entry =
            'ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)';
        assert.equal(await escrow.get('CLAIM_ENTRY_TYPEHASH'), id(entry));
        assert.equal(await escrow.get('CLAIM_BATCH_TYPEHASH'),
            id(`ClaimBatch(ClaimEntry[] claims)${entry}`));
    });

    test('digests are those of the recorded vectors, under the recorded address', async () => {
        const named = (part) => vectors.vectors.find(({ name }) => name.includes(part));
        const config = named('ChannelConfig');
        const at = config.domain.verifyingContract;
        await world.chain.rpc('anvil_setCode', at,
            await world.chain.rpc('eth_getCode', escrow.address, 'latest'));
        const there = world.chain.at('BatchSettlement', at);
        assert.equal(await there.get('getChannelId', config.message), config.digest);
        const voucher = named('Voucher');
        assert.equal(await there.get('getVoucherDigest', voucher.message.channelId,
            voucher.message.maxClaimableAmount), voucher.digest);
        const refund = named('Refund');
        assert.equal(await there.get('getRefundDigest', refund.message.channelId,
            refund.message.nonce, refund.message.amount), refund.digest);
        const batch = named('ClaimBatch');
        const rows = batch.message.claims.map(({ maxClaimableAmount, totalClaimed }) => ({
            voucher: { channel: config.message, maxClaimableAmount }, signature: '0x',
            totalClaimed }));
        assert.equal(await there.get('getClaimBatchDigest', rows), batch.digest);
        const { channelId, salt, nonce } = vectors.depositNonce;
        assert.equal(depositNonce(channelId, salt), nonce);
    });

    test('a batch of several rows hashes as EIP-712 has it', async () => {
        const rows = [];
        for (const total of [1n, 2n, 3n]) {
            rows.push(await world.row(world.config(), total, { signed: 10n * total }));
        }
        const entries = rows.map((row) => ({ channelId: world.id(row.voucher.channel),
            maxClaimableAmount: row.voucher.maxClaimableAmount, totalClaimed: row.totalClaimed }));
        assert.equal(await escrow.get('getClaimBatchDigest', rows),
            world.digest('ClaimBatch', { claims: entries }));
        assert.equal(Object.keys(TYPES.ClaimBatch).length, 2);
    });
});

describe('deposit', () => {
    test('opens a channel by the payer\'s signature, and adds to it', async () => {
        const config = world.config();
        const first = world.events((await world.deposit(config, 1000n, { salt: 1n })).logs);
        assert.deepEqual(first.map(({ name }) => name), ['ChannelCreated', 'Deposited']);
        assert.equal(first[0].args.channelId, world.id(config));
        assert.deepEqual([...first[1].args],
            [world.id(config), relayer.address, 1000n, 1000n]);
        const more = world.events((await world.deposit(config, 1n, { salt: 2n })).logs);
        assert.deepEqual(more.map(({ name }) => name), ['Deposited']);
        assert.deepEqual(await world.state(config), [1001n, 0n]);
        assert.equal(await world.balance(world.collector.address), 0n);
    });

    test('takes a signature once, and for this channel and amount only', async () => {
        const config = world.config();
        const data = await world.authorization(config, 50n);
        await coin.send(relayer.address, 'mint', payer.address, 500n);
        const call = (c, amount) => [c, amount, world.collector.address, data];
        const invalid = 'FiatTokenV2: invalid signature';
        assert.equal(await refused(relayer, 'deposit', ...call(world.config(), 50n)), invalid);
        assert.equal(await refused(relayer, 'deposit', ...call(config, 51n)), invalid);
        await escrow.send(relayer.address, 'deposit', ...call(config, 50n));
        assert.equal(await refused(relayer, 'deposit', ...call(config, 50n)),
            'FiatTokenV2: authorization is used or canceled');
    });

    test('refuses channels that nobody could leave or claim', async () => {
        const data = '0x';
        const call = (changes, amount = 1n, collector = world.collector.address) =>
            [world.config(changes), amount, collector, data];
        for (const member of ['payer', 'receiver', 'receiverAuthorizer', 'token']) {
            assert.equal(await refused(relayer, 'deposit', ...call({ [member]: ZERO })),
                'InvalidChannel()', member);
        }
        for (const withdrawDelay of [0n, 899n, 2_592_001n, 2n ** 40n - 1n]) {
            assert.equal(await refused(relayer, 'deposit', ...call({ withdrawDelay })),
                'WithdrawDelayOutOfRange()');
        }
        assert.equal(await refused(relayer, 'deposit', ...call({}, 0n)), 'ZeroDeposit()');
        assert.equal(await refused(relayer, 'deposit', ...call({}, 1n, ZERO)),
            'InvalidCollector()');
        for (const withdrawDelay of [900n, 2_592_000n]) {
            await world.open(1n, { withdrawDelay });
        }
    });

    test('counts what arrives', async () => {
        const taking = await world.chain.deploy('TakingCollector');
        await coin.send(payer.address, 'approve', taking.address, 1000n);
        await coin.send(relayer.address, 'mint', payer.address, 1000n);
        const config = world.config();
        await taking.send(relayer.address, 'keep', 1n);
        assert.equal(await refused(relayer, 'deposit', config, 100n, taking.address, '0x'),
            'DepositCollectionFailed()');
        await taking.send(relayer.address, 'keep', 0n);
        await escrow.send(relayer.address, 'deposit', config, 100n, taking.address, '0x');
        assert.deepEqual(await world.state(config), [100n, 0n]);
    });

    test('a balance ends at 2^128 - 1', async () => {
        const config = await world.open(MAX128);
        const data = await world.authorization(config, 1n, { salt: 99n });
        assert.equal(await refused(relayer, 'deposit', config, 1n, world.collector.address, data),
            'DepositOverflow()');
        await escrow.send(receiver.address, 'refund', config, MAX128);
    });

    test('nobody but the escrow is collected for', async () => {
        const config = world.config();
        const data = await world.authorization(config, 5n);
        assert.equal(await world.collector.refusal(other.address, 'collect', payer.address,
            coin.address, 5n, world.id(config), data), 'OnlySettlement()');
        assert.equal(await world.collector.get('settlement'), escrow.address);
    });
});

describe('claim and settle', () => {
    test('many channels are booked at once and paid in one transfer', async () => {
        const to = { receiver: second.address };
        const [a, b] = [await world.open(100n, to), await world.open(200n, to)];
        const rows = [await world.row(a, 60n, { signed: 70n }), await world.row(b, 200n)];
        const { logs } = await claims(rows);
        assert.deepEqual(world.events(logs).map(({ name, args }) => [name, ...args]), [
            ['Claimed', world.id(a), relayer.address, 60n, 60n],
            ['Claimed', world.id(b), relayer.address, 200n, 200n]]);
        assert.equal(await world.balance(second.address), 0n);
        assert.deepEqual([...await escrow.get('receivers', second.address, coin.address)],
            [260n, 0n]);
        const settled = await escrow.send(other.address, 'settle', second.address, coin.address);
        assert.deepEqual(world.events(settled.logs).map(({ name, args }) => [name, ...args]),
            [['Settled', second.address, coin.address, other.address, 260n]]);
        assert.equal(await world.balance(second.address), 260n);
        const again = await escrow.send(other.address, 'settle', second.address, coin.address);
        assert.equal(again.logs.length, 0);
    });

    test('replaying vouchers and batches changes nothing', async () => {
        const config = await world.open(100n);
        const old = await world.batch([await world.row(config, 30n)]);
        await escrow.send(relayer.address, 'claimWithSignature', ...old);
        await claims([await world.row(config, 50n)]);
        for (let i = 0; i < 2; i++) {
            const { logs } = await escrow.send(relayer.address, 'claimWithSignature', ...old);
            assert.equal(logs.length, 0);
        }
        assert.deepEqual(await world.state(config), [100n, 50n]);
        // One channel twice in a batch: the higher total counts, once.
        const { logs } = await claims([await world.row(config, 80n), await world.row(config, 70n),
            await world.row(config, 80n)]);
        assert.deepEqual(world.events(logs).map(({ args }) => args.claimAmount), [30n]);
    });

    test('no more than was signed, nor than is there', async () => {
        const config = await world.open(100n);
        const over = await world.row(config, 51n, { signed: 50n });
        assert.equal(await refused(relayer, 'claimWithSignature', ...await world.batch([over])),
            'ClaimExceedsCeiling()');
        const beyond = await world.row(config, 101n);
        assert.equal(await refused(relayer, 'claimWithSignature', ...await world.batch([beyond])),
            'ClaimExceedsBalance()');
        // One bad row fails the batch.
        const rows = [await world.row(config, 10n), beyond];
        assert.equal(await refused(relayer, 'claimWithSignature', ...await world.batch(rows)),
            'ClaimExceedsBalance()');
        // A ceiling above the balance is a promise that is not covered, not an error.
        await claims([await world.row(config, 100n, { signed: MAX128 })]);
        assert.deepEqual(await world.state(config), [100n, 100n]);
    });

    test('needs the signatures of both sides', async () => {
        const config = await world.open(100n);
        const row = await world.row(config, 10n);
        const call = (rows, signer) => world.batch(rows, signer)
            .then((args) => refused(relayer, 'claimWithSignature', ...args));
        assert.equal(await call([row], other), 'InvalidSignature()');
        assert.equal(await call([row], receiver), 'InvalidSignature()');
        const forged = await world.row(config, 10n, { signer: other });
        assert.equal(await call([forged]), 'InvalidSignature()');
        const raised = { ...row, totalClaimed: 20n,
            voucher: { ...row.voucher, maxClaimableAmount: 20n } };
        assert.equal(await call([raised]), 'InvalidSignature()');
        const { r, s, v } = Signature.from(row.signature);
        const high = concat([r, toBeHex(CURVE_ORDER - BigInt(s), 32), toBeHex(55 - v)]);
        for (const signature of ['0x', high, concat([row.signature, '0x00'])]) {
            assert.equal(await call([{ ...row, signature }]), 'InvalidSignature()');
        }
        const foreign = await world.open(5n, { receiverAuthorizer: other.address });
        assert.equal(await call([row, await world.row(foreign, 5n)]), 'NotReceiverAuthorizer()');
        assert.equal(await refused(relayer, 'claimWithSignature', [], '0x'), 'EmptyBatch()');
        // A batch signed for one order of rows is not another.
        const [rows, signature] = await world.batch([row, row]);
        assert.equal(await refused(relayer, 'claimWithSignature', rows.slice(1), signature),
            'InvalidSignature()');
    });

    test('the receiver\'s side claims without a signature', async () => {
        const config = await world.open(100n);
        for (const [who, total] of [[receiver, 10n], [authorizer, 20n]]) {
            await escrow.send(who.address, 'claim', [await world.row(config, total)]);
        }
        assert.deepEqual(await world.state(config), [100n, 20n]);
        const row = await world.row(config, 30n);
        for (const who of [payer, other]) {
            assert.equal(await refused(who, 'claim', [row]), 'NotAuthorizedToClaim()');
        }
        assert.equal(await refused(receiver, 'claim', []), 'EmptyBatch()');
    });

    test('a contract pays by what it says of signatures', async () => {
        const wallet = await world.chain.deploy('Wallet', [other.address]);
        const config = world.config({ payer: wallet.address, payerAuthorizer: ZERO });
        await world.deposit(config, 100n, { signer: other });
        const by = (signer) => world.row(config, 40n, { signer });
        assert.equal(await refused(relayer, 'claimWithSignature',
            ...await world.batch([await by(payer)])), 'InvalidSignature()');
        await claims([await by(other)]);
        assert.deepEqual(await world.state(config), [100n, 40n]);
        // An authorizer who is named signs with a key, whatever a contract would say.
        const named = await world.open(9n, { payerAuthorizer: wallet.address });
        assert.equal(await refused(relayer, 'claimWithSignature',
            ...await world.batch([await world.row(named, 1n, { signer: other })])),
        'InvalidSignature()');
    });

    test('single units add up, and units sent past deposit are nobody\'s', async () => {
        const to = { receiver: other.address };
        const config = await world.open(7n, to);
        await coin.send(relayer.address, 'mint', escrow.address, 5n);
        for (let total = 1n; total <= 7n; total++) {
            await claims([await world.row(config, total)]);
            await escrow.send(relayer.address, 'settle', other.address, coin.address);
            assert.equal(await world.balance(other.address), total);
        }
        assert.equal(await refused(relayer, 'claimWithSignature',
            ...await world.batch([await world.row(config, 8n)])), 'ClaimExceedsBalance()');
        const left = await world.balance(escrow.address);
        await escrow.send(other.address, 'refund', config, 5n);
        assert.equal(await world.balance(escrow.address), left);
    });
});

describe('refund', () => {
    test('gives back what is not claimed, once a signature', async () => {
        const config = await world.open(100n);
        await claims([await world.row(config, 30n)]);
        const before = await world.balance(payer.address);
        const call = await world.refundCall(config, 40n, 0n);
        const { logs } = await escrow.send(other.address, 'refundWithSignature', ...call);
        assert.deepEqual(world.events(logs).map(({ name, args }) => [name, ...args]),
            [['Refunded', world.id(config), other.address, 40n]]);
        assert.equal(await world.balance(payer.address), before + 40n);
        assert.deepEqual(await world.state(config), [60n, 30n]);
        assert.equal(await refused(other, 'refundWithSignature', ...call),
            'InvalidRefundNonce()');
        const forged = await world.refundCall(config, 10n, 1n, payer);
        assert.equal(await refused(other, 'refundWithSignature', ...forged),
            'InvalidSignature()');
        const altered = await world.refundCall(config, 10n, 1n);
        altered[1] = 11n;
        assert.equal(await refused(other, 'refundWithSignature', ...altered),
            'InvalidSignature()');
        // More than there is: all there is. Nothing at all still uses the signature up.
        await escrow.send(other.address, 'refundWithSignature',
            ...await world.refundCall(config, MAX128, 1n));
        assert.deepEqual(await world.state(config), [30n, 30n]);
        const none = await escrow.send(other.address, 'refundWithSignature',
            ...await world.refundCall(config, 1n, 2n));
        assert.equal(none.logs.length, 0);
        assert.equal(await escrow.get('refundNonce', world.id(config)), 3n);
    });

    test('belongs to the receiver\'s side', async () => {
        const config = await world.open(100n);
        for (const who of [payer, other]) {
            assert.equal(await refused(who, 'refund', config, 1n), 'NotAuthorizedToRefund()');
        }
        assert.equal(await refused(receiver, 'refund', config, 0n), 'ZeroRefund()');
        const ahead = await world.refundCall(config, 5n, 0n);
        await escrow.send(authorizer.address, 'refund', config, 1n);
        assert.equal(await refused(other, 'refundWithSignature', ...ahead),
            'InvalidRefundNonce()');
    });

    test('an emptied channel is closed and opens again', async () => {
        const config = world.config();
        await world.deposit(config, 9n, { salt: 1n });
        const { logs } = await escrow.send(receiver.address, 'refund', config, 9n);
        assert.deepEqual(world.events(logs).map(({ name }) => name),
            ['Refunded', 'ChannelClosed']);
        const again = await world.deposit(config, 4n, { salt: 2n });
        assert.deepEqual(world.events(again.logs).map(({ name }) => name),
            ['ChannelCreated', 'Deposited']);
    });

    test('claims and refund go together or not at all', async () => {
        const config = await world.open(100n);
        const calls = async (total, back) => [
            escrow.abi.encodeFunctionData('claimWithSignature',
                await world.batch([await world.row(config, total)])),
            escrow.abi.encodeFunctionData('refundWithSignature',
                await world.refundCall(config, back, 0n))];
        assert.equal(await refused(other, 'multicall', await calls(101n, 10n)),
            'ClaimExceedsBalance()');
        assert.equal(await refused(other, 'multicall', await calls(30n, 0n)), 'ZeroRefund()');
        assert.deepEqual(await world.state(config), [100n, 0n]);
        await escrow.send(other.address, 'multicall', await calls(30n, 70n));
        assert.deepEqual(await world.state(config), [30n, 30n]);
    });
});

describe('withdrawal', () => {
    const start = (config, amount, from = payer) =>
        escrow.send(from.address, 'initiateWithdraw', config, amount);
    const pass = async (seconds) =>
        world.chain.mineAt(Number(BigInt(await world.chain.now()) + seconds));

    test('takes the delay to the second, and what is left then', async () => {
        const config = await world.open(100n);
        const { logs } = await start(config, 90n);
        const [started] = world.events(logs);
        const begin = BigInt(await world.chain.now());
        assert.deepEqual([started.name, ...started.args],
            ['WithdrawInitiated', world.id(config), 90n, begin + DELAY]);
        assert.equal(await refused(payer, 'initiateWithdraw', config, 1n),
            'WithdrawalAlreadyPending()');
        await claims([await world.row(config, 30n)]);
        await world.chain.mineAt(Number(begin + DELAY - 1n));
        assert.equal(await refused(payer, 'finalizeWithdraw', config),
            'WithdrawDelayNotElapsed()');
        await world.chain.mineAt(Number(begin + DELAY));
        assert.equal(await refused(other, 'finalizeWithdraw', config),
            'NotAuthorizedToFinalizeWithdraw()');
        const before = await world.balance(payer.address);
        const done = await escrow.send(payer.address, 'finalizeWithdraw', config);
        assert.deepEqual(world.events(done.logs).map(({ name, args }) => [name, ...args]),
            [['WithdrawFinalized', world.id(config), payer.address, 70n]]);
        assert.equal(await world.balance(payer.address), before + 70n);
        assert.deepEqual(await world.state(config), [30n, 30n]);
        assert.equal(await refused(payer, 'finalizeWithdraw', config), 'WithdrawalNotPending()');
    });

    test('a receiver who comes too late has lost what it did not claim', async () => {
        const config = await world.open(100n);
        await start(config, 100n);
        await pass(DELAY);
        // Late is only after the payer has taken it.
        await claims([await world.row(config, 10n)]);
        await escrow.send(payer.address, 'finalizeWithdraw', config);
        assert.equal(await refused(relayer, 'claimWithSignature',
            ...await world.batch([await world.row(config, 11n)])), 'ClaimExceedsBalance()');
    });

    test('is the payer\'s side\'s, of what is not claimed', async () => {
        const config = await world.open(100n, { payerAuthorizer: second.address });
        for (const who of [receiver, authorizer, other]) {
            assert.equal(await refused(who, 'initiateWithdraw', config, 1n), 'InvalidChannel()');
        }
        assert.equal(await refused(payer, 'initiateWithdraw', config, 0n), 'NothingToWithdraw()');
        assert.equal(await refused(payer, 'initiateWithdraw', config, 101n),
            'WithdrawAmountExceedsAvailable()');
        await start(config, 100n, second);
        await claims([await world.row(config, 100n, { signer: second })]);
        await pass(DELAY);
        const before = await world.balance(payer.address);
        const { logs } = await escrow.send(second.address, 'finalizeWithdraw', config);
        assert.deepEqual(world.events(logs).map(({ name, args }) => [name, args.amount]),
            [['WithdrawFinalized', 0n]]);
        assert.equal(await world.balance(payer.address), before);
        assert.equal(await refused(payer, 'initiateWithdraw', config, 1n),
            'WithdrawAmountExceedsAvailable()');
    });

    test('a refund takes from it, or ends it', async () => {
        const pending = async (config) =>
            [...await escrow.get('pendingWithdrawals', world.id(config))][0];
        const config = await world.open(100n);
        await start(config, 50n);
        await escrow.send(receiver.address, 'refund', config, 20n);
        assert.equal(await pending(config), 30n);
        await escrow.send(receiver.address, 'refund', config, 30n);
        assert.equal(await pending(config), 0n);
        assert.equal(await refused(payer, 'finalizeWithdraw', config), 'WithdrawalNotPending()');
        await start(config, 50n);
        await pass(DELAY);
        await escrow.send(payer.address, 'finalizeWithdraw', config);
        assert.deepEqual(await world.state(config), [0n, 0n]);
    });
});

describe('coins that misbehave', () => {
    const ANSWER = { True: 0, False: 1, Nothing: 2, Two: 3, OneByte: 4 };
    const REENTRANT = id('ReentrancyGuardReentrantCall()').slice(0, 10);

    test('a coin that calls back is refused in every function', async () => {
        const bad = await Channels.on(world.chain, 'CallingCoin');
        const config = await bad.open(100n);
        const row = await bad.row(config, 20n);
        const inner = [
            ['claimWithSignature', ...await bad.batch([row])],
            ['settle', receiver.address, bad.coin.address],
            ['refundWithSignature', ...await bad.refundCall(config, 10n, 0n)],
            ['multicall', [bad.escrow.abi.encodeFunctionData('settle',
                [receiver.address, bad.coin.address])]],
        ];
        await bad.escrow.send(relayer.address, 'claimWithSignature', ...await bad.batch([row]));
        await bad.coin.send(relayer.address, 'mint', payer.address, 5n);
        for (const [fn, ...args] of inner) {
            const snapshot = await world.chain.rpc('evm_snapshot');
            await bad.coin.send(relayer.address, 'arm', bad.escrow.address,
                bad.escrow.abi.encodeFunctionData(fn, args));
            await bad.escrow.send(relayer.address, 'settle', receiver.address, bad.coin.address);
            assert.equal(await bad.coin.get('tried'), 1n, fn);
            assert.equal((await bad.coin.get('refusal')).slice(0, 10), REENTRANT, fn);
            assert.equal(await bad.balance(receiver.address), 20n);
            // In the middle of a deposit too.
            await bad.escrow.send(relayer.address, 'deposit', config, 5n, bad.collector.address,
                await bad.authorization(config, 5n, { salt: 77n }));
            assert.deepEqual(await bad.state(config), [105n, 20n]);
            await world.chain.rpc('evm_revert', snapshot);
        }
    });

    test('answers are read as everywhere, and one coin does not touch another', async () => {
        const bent = await world.chain.deploy('BentCoin');
        const taking = await world.chain.deploy('TakingCollector');
        await bent.send(relayer.address, 'mint', payer.address, 100n);
        await bent.send(payer.address, 'approve', taking.address, 100n);
        const config = world.config({ token: bent.address });
        const held = await world.balance(escrow.address);
        await escrow.send(relayer.address, 'deposit', config, 100n, taking.address, '0x');
        await claims([await world.row(config, 60n)]);
        for (const answer of [ANSWER.False, ANSWER.Two, ANSWER.OneByte]) {
            await bent.send(relayer.address, 'bend', answer);
            assert.match(await refused(relayer, 'settle', receiver.address, bent.address),
                /^SafeERC20FailedOperation/);
            assert.match(await refused(receiver, 'refund', config, 1n),
                /^SafeERC20FailedOperation/);
        }
        await bent.send(relayer.address, 'bend', ANSWER.Nothing);
        await escrow.send(relayer.address, 'settle', receiver.address, bent.address);
        await escrow.send(receiver.address, 'refund', config, 40n);
        assert.equal(await bent.get('balanceOf', escrow.address), 0n);
        assert.equal(await world.balance(escrow.address), held);
    });

    test('a blocked payer keeps nobody from claiming', async () => {
        const bad = await Channels.on(world.chain, 'BlockingCoin');
        const config = await bad.open(100n);
        await bad.coin.send(relayer.address, 'setBlocked', payer.address, true);
        assert.equal(await bad.escrow.refusal(receiver.address, 'refund', config, 1n),
            'Blacklistable: account is blacklisted');
        await bad.escrow.send(relayer.address, 'claimWithSignature',
            ...await bad.batch([await bad.row(config, 70n)]));
        await bad.escrow.send(relayer.address, 'settle', receiver.address, bad.coin.address);
        assert.equal(await bad.balance(receiver.address), 70n);
    });
});
