// The payment packages (@x402/evm) drive our contracts at the addresses that they know: their ABI,
// type hashes, client signatures and facilitator, unchanged.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { BatchSettlementEvmScheme as ClientScheme } from '@x402/evm/batch-settlement/client';
import { BatchSettlementEvmScheme as FacilitatorScheme }
    from '@x402/evm/batch-settlement/facilitator';
import { toClientEvmSigner, toFacilitatorEvmSigner } from '@x402/evm';
import { createPublicClient, createWalletClient, defineChain, http } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { Chain } from '../harness/chain.mjs';
import { Channels, authorizer, payer, receiver, relayer } from '../harness/channels.mjs';

const NETWORK = 'eip155:31337';
const MULTICALL3 = '0xcA11bde05977b3631167028862bE2a173976CA11';

let world;
let facilitator;
let client;
let requirements;

before(async () => {
    world = await Channels.packaged(await Chain.start());
    const reads = await world.chain.deploy('Multicall3');
    await world.chain.rpc('anvil_setCode', MULTICALL3,
        await world.chain.rpc('eth_getCode', reads.address, 'latest'));
    await world.coin.send(relayer.address, 'mint', payer.address, 1_000_000n);

    const chain = defineChain({ id: 31337, name: 'anvil',
        nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
        rpcUrls: { default: { http: [world.chain.url] } } });
    const transport = http(world.chain.url);
    const reader = createPublicClient({ chain, transport, pollingInterval: 20 });
    const account = ({ privateKey }) => privateKeyToAccount(privateKey);
    const writer = createWalletClient({ chain, transport, account: account(relayer) });
    const signer = toFacilitatorEvmSigner({
        address: relayer.address,
        readContract: (args) => reader.readContract({ ...args, account: relayer.address }),
        verifyTypedData: (args) => reader.verifyTypedData(args),
        writeContract: (args) => writer.writeContract(args),
        sendTransaction: (args) => writer.sendTransaction(args),
        waitForTransactionReceipt: (args) => reader.waitForTransactionReceipt(args),
        getCode: (args) => reader.getCode(args),
    });
    facilitator = new FacilitatorScheme(signer, account(authorizer));
    client = new ClientScheme(toClientEvmSigner(account(payer), reader),
        { depositPolicy: { depositMultiplier: 10 } });
    requirements = {
        scheme: 'batch-settlement', network: NETWORK, amount: '1000', asset: world.coin.address,
        payTo: receiver.address, maxTimeoutSeconds: 3600,
        extra: { receiverAuthorizer: authorizer.address, withdrawDelay: 900, name: 'Mock USD',
            version: '1', minDeposit: '10000' },
    };
});
after(() => world?.stop());

/** The client's payment, in its envelope. */
async function pay() {
    const { x402Version, payload } = await client.createPaymentPayload(2, requirements);
    return { x402Version, accepted: requirements, payload };
}

const settle = async (payload) => {
    const answer = await facilitator.settle(
        { x402Version: 2, accepted: requirements, payload }, requirements);
    assert.equal(answer.success, true, JSON.stringify(answer));
    return answer;
};

test('deposit, vouchers, claim, settlement and refund', async () => {
    const opening = await pay();
    const { channelConfig: config, voucher, deposit } = opening.payload;
    assert.equal(opening.payload.type, 'deposit');
    assert.equal(await world.escrow.get('getChannelId', config), voucher.channelId);
    assert.equal(await world.escrow.get('getVoucherDigest', voucher.channelId, 1000n),
        world.digest('Voucher', { channelId: voucher.channelId, maxClaimableAmount: 1000n }));
    const verified = await facilitator.verify(opening, requirements);
    assert.equal(verified.isValid, true, JSON.stringify(verified));
    const opened = await settle(opening.payload);
    assert.equal(opened.amount, deposit.amount);
    assert.equal(opened.extra.channelState.balance, deposit.amount);

    // The client goes on from what the chain says.
    client.storage.set(voucher.channelId.toLowerCase(), { chargedCumulativeAmount: '1000',
        balance: deposit.amount, totalClaimed: '0' });
    const next = await pay();
    assert.equal(next.payload.type, 'voucher');
    assert.equal(next.payload.voucher.maxClaimableAmount, '2000');
    assert.equal((await facilitator.verify(next, requirements)).isValid, true);

    const claims = [{ voucher: { channel: config, maxClaimableAmount: '2000' },
        signature: next.payload.voucher.signature, totalClaimed: '1700' }];
    await settle({ type: 'claim', claims });
    assert.deepEqual(await world.state(config), [BigInt(deposit.amount), 1700n]);
    const paid = await settle({ type: 'settle', receiver: receiver.address,
        token: world.coin.address });
    assert.equal(paid.amount, '1700');
    assert.equal(await world.balance(receiver.address), 1700n);

    // A refund claims the rest in the same transaction.
    const before = await world.balance(payer.address);
    const back = await settle({ type: 'refund', channelConfig: config,
        voucher: next.payload.voucher, amount: '500', refundNonce: '0',
        claims: [{ ...claims[0], totalClaimed: '2000' }] });
    assert.equal(back.amount, '500');
    assert.equal(back.extra.channelState.refundNonce, '1');
    assert.equal(await world.balance(payer.address), before + 500n);
    assert.deepEqual(await world.state(config), [BigInt(deposit.amount) - 500n, 2000n]);
});
