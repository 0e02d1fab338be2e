// Payment channels for tests: the contracts, and what payers and authorizers sign.

import { AbiCoder, TypedDataEncoder, keccak256 } from 'ethers';
import { Chain, wallets } from './chain.mjs';

const abi = AbiCoder.defaultAbiCoder();

export const [relayer, payer, receiver, authorizer, other, second] = wallets;
export const ZERO = `0x${'00'.repeat(20)}`;
export const DELAY = 900n;
export const FOREVER = 2n ** 48n;
export const MAX128 = 2n ** 128n - 1n;
/** Where the payment packages look for the contracts, on every chain. */
export const PACKAGED = {
    BatchSettlement: '0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003',
    DepositCollector: '0x4020806089470a89826cB9fB1f4059150b550004',
};

const uint = (name, type = 'uint128') => ({ name, type });
const CONFIG = ['payer', 'payerAuthorizer', 'receiver', 'receiverAuthorizer', 'token']
    .map((name) => ({ name, type: 'address' }))
    .concat({ name: 'withdrawDelay', type: 'uint40' }, { name: 'salt', type: 'bytes32' });
export const TYPES = {
    ChannelConfig: { ChannelConfig: CONFIG },
    Voucher: { Voucher: [uint('channelId', 'bytes32'), uint('maxClaimableAmount')] },
    Refund: { Refund: [uint('channelId', 'bytes32'), uint('nonce', 'uint256'), uint('amount')] },
    ClaimBatch: {
        ClaimBatch: [{ name: 'claims', type: 'ClaimEntry[]' }],
        ClaimEntry: [uint('channelId', 'bytes32'), uint('maxClaimableAmount'),
            uint('totalClaimed')],
    },
};
const RECEIVE = {
    ReceiveWithAuthorization: ['from:address', 'to:address', 'value:uint256',
        'validAfter:uint256', 'validBefore:uint256', 'nonce:bytes32'].map((text) => {
        const [name, type] = text.split(':');
        return { name, type };
    }),
};

export function depositNonce(channelId, salt) {
    return keccak256(abi.encode(['bytes32', 'uint256'], [channelId, salt]));
}

export class Channels {
    static async deploy(coin = 'TestStablecoin') {
        const chain = await Chain.start();
        try {
            return await Channels.on(chain, coin);
        } catch (error) {
            await chain.stop();
            throw error;
        }
    }

    static async on(chain, coin = 'TestStablecoin') {
        const world = new Channels();
        world.chain = chain;
        world.coin = await chain.deploy(coin);
        world.escrow = await chain.deploy('BatchSettlement');
        world.collector = await chain.deploy('DepositCollector', [world.escrow.address]);
        world.salt = 0n;
        return world;
    }

    /** The same at the addresses of the packages: code is placed there, with what it was built of. */
    static async packaged(chain) {
        const world = await Channels.on(chain);
        world.escrow = await place(chain, 'BatchSettlement', world.escrow);
        const collector = await chain.deploy('DepositCollector', [world.escrow.address]);
        world.collector = await place(chain, 'DepositCollector', collector);
        return world;
    }

    stop() {
        return this.chain.stop();
    }

    domain() {
        return { name: 'x402 Batch Settlement', version: '1', chainId: 31337,
            verifyingContract: this.escrow.address };
    }

    config(changes = {}) {
        this.salt += 1n;
        return {
            payer: payer.address, payerAuthorizer: payer.address, receiver: receiver.address,
            receiverAuthorizer: authorizer.address, token: this.coin.address,
            withdrawDelay: DELAY, salt: `0x${this.salt.toString(16).padStart(64, '0')}`,
            ...changes,
        };
    }

    id(config) {
        return TypedDataEncoder.hash(this.domain(), TYPES.ChannelConfig, config);
    }

    digest(type, message) {
        return TypedDataEncoder.hash(this.domain(), TYPES[type], message);
    }

    sign(type, message, signer) {
        return signer.signTypedData(this.domain(), TYPES[type], message);
    }

    /** Collector data of a deposit by EIP-3009. */
    async authorization(config, amount, { salt = this.salt * 7919n, signer = payer,
        validBefore = FOREVER } = {}) {
        const domain = { name: 'Mock USD', version: '1', chainId: 31337,
            verifyingContract: this.coin.address };
        const signature = await signer.signTypedData(domain, RECEIVE, {
            from: config.payer, to: this.collector.address, value: amount, validAfter: 0n,
            validBefore, nonce: depositNonce(this.id(config), salt),
        });
        return abi.encode(['uint256', 'uint256', 'uint256', 'bytes'],
            [0n, validBefore, salt, signature]);
    }

    /** Mints and deposits; anybody sends it. */
    async deposit(config, amount, options = {}) {
        await this.coin.send(relayer.address, 'mint', config.payer, amount);
        const data = await this.authorization(config, amount, options);
        return this.escrow.send(relayer.address, 'deposit', config, amount,
            this.collector.address, data);
    }

    /** A channel that holds `amount`. */
    async open(amount, changes = {}) {
        const config = this.config(changes);
        await this.deposit(config, amount);
        return config;
    }

    /** A row of a batch: `signed` is what the payer allows, `total` what is claimed of it. */
    async row(config, total, { signed = total, signer = payer } = {}) {
        const message = { channelId: this.id(config), maxClaimableAmount: signed };
        return {
            voucher: { channel: config, maxClaimableAmount: signed },
            signature: await this.sign('Voucher', message, signer), totalClaimed: total,
        };
    }

    async batch(rows, signer = authorizer) {
        const claims = rows.map((row) => ({ channelId: this.id(row.voucher.channel),
            maxClaimableAmount: row.voucher.maxClaimableAmount, totalClaimed: row.totalClaimed }));
        return [rows, await this.sign('ClaimBatch', { claims }, signer)];
    }

    async refundCall(config, amount, nonce, signer = authorizer) {
        const message = { channelId: this.id(config), nonce, amount };
        return [config, amount, nonce, await this.sign('Refund', message, signer)];
    }

    async state(config) {
        return [...await this.escrow.get('channels', this.id(config))];
    }

    balance(account) {
        return this.coin.get('balanceOf', account);
    }

    events(logs) {
        return logs.filter(({ address }) => address === this.escrow.address.toLowerCase())
            .map((log) => this.escrow.abi.parseLog(log));
    }
}

async function place(chain, name, deployed) {
    const code = await chain.rpc('eth_getCode', deployed.address, 'latest');
    await chain.rpc('anvil_setCode', PACKAGED[name], code);
    return chain.at(name, PACKAGED[name]);
}

