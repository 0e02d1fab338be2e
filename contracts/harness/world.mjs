// A deployed protocol with its people, and the lease digest computed apart from the contracts.

import { AbiCoder, concat, id, keccak256 } from 'ethers';
import { Chain, wallets } from './chain.mjs';

const abi = AbiCoder.defaultAbiCoder();

export const [admin, lessor, alice, bob, carol, dave, erin, frank, upgrader, registrar] =
    wallets.map((wallet) => wallet.address);

const WALLET_OF = new Map(wallets.map((wallet) => [wallet.address, wallet]));

export const TYPE_ID = id('SatelliteSchema');
export const UNITS = 10n ** 6n; // of the stablecoin
export const TOKEN = 10n ** 18n; // of an asset token

const LEASE_TYPE =
    'Lease(address lessor,address lessee,uint256 assetId,address paymentToken,uint256 rentAmount,' +
    'uint256 rentPeriod,uint256 securityDeposit,uint64 startTime,uint64 endTime,' +
    'bytes32 legalDocHash,uint16 termsVersion)';
const INTENT_TYPE = 'LeaseIntent(uint64 deadline,bytes32 assetTypeSchemaHash,Lease lease)';
const DOMAIN_TYPE =
    'EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)';

export function domainSeparator(name, version, chainId, contract) {
    return keccak256(abi.encode(['bytes32', 'bytes32', 'bytes32', 'uint256', 'address'],
        [id(DOMAIN_TYPE), id(name), id(version), chainId, contract]));
}

export function leaseHash(lease) {
    return keccak256(abi.encode(
        ['bytes32', 'address', 'address', 'uint256', 'address', 'uint256', 'uint256', 'uint256',
            'uint64', 'uint64', 'bytes32', 'uint16'],
        [id(LEASE_TYPE), lease.lessor, lease.lessee, lease.assetId, lease.paymentToken,
            lease.rentAmount, lease.rentPeriod, lease.securityDeposit, lease.startTime,
            lease.endTime, lease.legalDocHash, lease.termsVersion]));
}

export function intentHash(intent) {
    return keccak256(abi.encode(['bytes32', 'uint64', 'bytes32', 'bytes32'],
        [id(INTENT_TYPE), intent.deadline, intent.assetType, leaseHash(intent.lease)]));
}

export function intentDigest(intent, factory, chainId = 31337) {
    return keccak256(concat(['0x1901', domainSeparator('Lease', '1', chainId, factory),
        intentHash(intent)]));
}

/** The same intent with some members of the lease replaced. */
export function withLease(intent, changes) {
    return { ...intent, lease: { ...intent.lease, ...changes } };
}

/** A signature of r, s, v over 32 bytes, by the key of one of anvil's accounts. */
export function signDigest(digest, signer) {
    return WALLET_OF.get(signer).signingKey.sign(digest).serialized;
}

export class World {
    /** Deploys everything in its order, on a chain of its own; see `on`. */
    static async deploy({ anvil = [], ...options } = {}) {
        const chain = await Chain.start(anvil);
        try {
            return await World.on(chain, options);
        } catch (error) {
            await chain.stop();
            throw error;
        }
    }

    /**
     * Deploys everything in its order. `coin` names the artifact used as stablecoin; `prefix` is
     * that of the other artifacts: 'Deployed' for the generation of contracts before ours.
     */
    static async on(chain, {
        coin = 'TestStablecoin', prefix = '', roles = { admin, upgrader, registrar },
    } = {}) {
        const world = new World();
        Object.assign(world, { agreements: 0, chain, prefix, roles });
        world.coin = await chain.deploy(coin);
        world.tokenImplementation = await chain.deploy(`${prefix}AssetERC20`);
        world.registry = await chain.deployProxy(`${prefix}AssetRegistry`,
            [roles.admin, roles.upgrader, roles.registrar, world.tokenImplementation.address]);
        world.factory = await chain.deployProxy(`${prefix}LeaseFactory`,
            [roles.admin, roles.upgrader, world.registry.address]);
        world.market = await chain.deployProxy(`${prefix}Marketplace`,
            [roles.admin, roles.upgrader, world.coin.address, world.factory.address]);
        await world.registry.send(roles.admin, 'createAssetType', 'Satellite', TYPE_ID, [], []);
        return world;
    }

    stop() {
        return this.chain.stop();
    }

    /**
     * Registers an asset whose supply is the sum of the holdings (address -> token units), and
     * deals it out in that order. Returns { assetId, token }.
     */
    async asset(holdings, metadata = []) {
        const parts = Object.entries(holdings);
        const supply = parts.reduce((sum, [, amount]) => sum + amount, 0n);
        const [first] = parts[0];
        const { admin: owner, upgrader: changer, registrar: sender } = this.roles;
        const { logs } = await this.registry.send(sender, 'registerAsset', TYPE_ID, 'Sat One',
            'SAT1', supply, owner, changer, first, metadata);
        const registered = this.registry.abi.parseLog(logs.at(-1)).args;
        const token = this.chain.at(`${this.prefix}AssetERC20`, registered.tokenAddress);
        for (const [holder, amount] of parts.slice(1)) {
            await token.send(first, 'transfer', holder, amount);
        }
        return { assetId: registered.assetId, token };
    }

    /** Terms of a month's lease that starts soon; no two calls give the same. */
    async intent(assetId, changes = {}) {
        const now = await this.chain.now();
        return {
            deadline: now + 3600,
            assetType: TYPE_ID,
            lease: {
                lessor,
                lessee: alice,
                assetId,
                paymentToken: this.coin.address,
                rentAmount: 1_000_000,
                rentPeriod: 3600,
                securityDeposit: 0,
                startTime: now + 600,
                endTime: now + 30 * 86400,
                legalDocHash: id(`agreement ${++this.agreements}`),
                termsVersion: 1,
                metadata: [],
                ...changes,
            },
        };
    }

    /** The signature of an account over an intent. */
    sign(intent, signer) {
        return signDigest(intentDigest(intent, this.factory.address), signer);
    }

    /** Gives an account stablecoin and lets the marketplace take it. */
    async fund(account, amount) {
        await this.coin.send(account, 'mint', account, amount);
        await this.coin.send(account, 'approve', this.market.address, 2n ** 255n);
    }

    /** Posts an offer and returns its id. */
    async offer(intent) {
        const { logs } = await this.market.send(lessor, 'postLeaseOffer', intent);
        return this.market.abi.parseLog(logs.at(-1)).args.offerId;
    }

    /** Funds a bidder, bids with a valid signature, and returns the bid's index. */
    async bid(offerId, intent, bidder, funds) {
        await this.fund(bidder, funds);
        const signature = this.sign(withLease(intent, { lessee: bidder }), bidder);
        const { logs } = await this.market.send(bidder, 'placeLeaseBid', offerId, signature, funds);
        return this.market.abi.parseLog(logs.at(-1)).args.bidIndex;
    }

    /** The lessor's signature over an offer's terms with that bidder as lessee. */
    signFor(intent, bidder) {
        return this.sign(withLease(intent, { lessee: bidder }), lessor);
    }

    /** Accepts a bid with a valid signature; returns { logs, gas }. */
    accept(offerId, index, intent, bidder) {
        return this.market.send(
            lessor, 'acceptLeaseBid', offerId, index, this.signFor(intent, bidder));
    }

    /** Each log as "contract.Event(arguments)", in order; contracts by their role. */
    describe(logs) {
        const known = [['coin', this.coin], ['registry', this.registry], ['factory', this.factory],
            ['market', this.market]];
        const tokenAbi = this.tokenImplementation.abi;
        return logs.map((log) => {
            const [role, contract] = known.find(
                ([, c]) => c.address.toLowerCase() === log.address.toLowerCase()) ??
                ['token', { abi: tokenAbi }];
            const event = contract.abi.parseLog(log);
            return `${role}.${event.name}`;
        });
    }

    /** The arguments of every event of that name that the marketplace logged. */
    marketEvents(logs, name) {
        return logs.filter((log) => log.address.toLowerCase() === this.market.address.toLowerCase())
            .map((log) => this.market.abi.parseLog(log))
            .filter((event) => event.name === name)
            .map((event) => event.args);
    }

    balance(account) {
        return this.coin.get('balanceOf', account);
    }
}
