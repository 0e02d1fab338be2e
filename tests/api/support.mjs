// What the API tests of leasing share: a client, accounts, the digest of a lease computed without our
// code, and request bodies.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import {
    AbiCoder, HDNodeWallet, Interface, JsonRpcProvider, Mnemonic, keccak256, solidityPacked,
    toUtf8Bytes,
} from 'ethers';
import { Daemon, SLOW, rows } from '../support/program.mjs';

export { Daemon, SLOW, rows, sleep };

const MNEMONIC = 'test test test test test test test test test test test junk';

/** Accounts of the development chain; the relay has the keys of the first five. */
export const accounts = Array.from({ length: 10 }, (_, i) =>
    HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(MNEMONIC), `m/44'/60'/0'/0/${i}`));
export const [registrar, lessor, bidderA, bidderB, holder] = accounts;
/** Funded accounts whose keys the relay does not have. */
export const strangers = accounts.slice(5);

// ---- the client ------------------------------------------------------------------------------------

export class Api {
    constructor(daemon) {
        this.daemon = daemon;
        this.provider = new JsonRpcProvider(daemon.rpc, 31337,
            { staticNetwork: true, cacheTimeout: -1 });
    }

    static async start(settings = {}, options = {}) {
        const api = new Api(await Daemon.start(settings, options));
        api.contracts = await api.get('/api/v1/blockchain/contracts');
        return api;
    }

    async stop() {
        this.provider.destroy();
        return this.daemon.stop();
    }

    /** Sends a request and returns { status, headers, success, data, error, code, field, … }. */
    async send(method, path, { body, text, headers = {} } = {}) {
        const content = text ?? (body === undefined ? undefined : JSON.stringify(body));
        const reply = await fetch(this.daemon.url + path, {
            method, body: content,
            headers: content === undefined ? headers
                : { 'content-type': 'application/json', ...headers },
        });
        const answer = { status: reply.status, headers: reply.headers, ...await reply.json() };
        return answer;
    }

    /** The data of a GET that must succeed. */
    async get(path) {
        const answer = await this.send('GET', path);
        assert.equal(answer.status, 200, `GET ${path}: ${JSON.stringify(answer)}`);
        return answer.data;
    }

    /** The data of a POST that must succeed with one of the statuses. */
    async post(path, body, statuses = [200, 201], headers = {}) {
        const answer = await this.send('POST', path, { body, headers });
        assert.ok([statuses].flat().includes(answer.status),
            `POST ${path}: ${answer.status} ${JSON.stringify(answer)}`);
        return answer.data;
    }

    /** Sends what must be refused, and says with which status, code and field. */
    async refuse(method, path, options, status, code, field) {
        const answer = await this.send(method, path, options);
        const about = `${method} ${path} ${JSON.stringify(options ?? {}).slice(0, 600)} -> `
            + JSON.stringify(answer);
        assert.equal(answer.status, status, about);
        assert.equal(answer.success, false, about);
        assert.equal(answer.code, code, about);
        assert.equal(answer.field, field, about);
        return answer;
    }

    /** Asks until `wanted` says yes to the data. */
    async until(path, wanted, seconds = 20) {
        const deadline = Date.now() + seconds * SLOW * 1000;
        for (;;) {
            const data = await this.get(path);
            if (wanted(data)) {
                return data;
            }
            assert.ok(Date.now() < deadline,
                `${path} stays ${JSON.stringify(data)}\n${this.daemon.log}`);
            await sleep(20);
        }
    }

    rpc(method, ...params) {
        return this.provider.send(method, params);
    }

    /** Reads a contract by a human-readable signature: the first of its results. */
    async call(to, signature, ...args) {
        const face = new Interface([`function ${signature}`]);
        const name = /^\w+/.exec(signature)[0];
        const data = await this.provider.call({ to, data: face.encodeFunctionData(name, args) });
        return face.decodeFunctionResult(name, data)[0];
    }

    /** Sends a transaction from a wallet of the test and waits until its events are applied. */
    async transact(wallet, request) {
        const { to, data, value } = request;
        const sent = await wallet.connect(this.provider).sendTransaction({ to, data, value });
        const receipt = await sent.wait();
        assert.equal(receipt.status, 1);
        await this.daemon.reach(receipt.blockNumber);
        return receipt;
    }

    async invoke(wallet, to, signature, ...args) {
        const face = new Interface([`function ${signature}`]);
        const name = /^\w+/.exec(signature)[0];
        return this.transact(wallet, { to, data: face.encodeFunctionData(name, args) });
    }

    /** Gives an account stablecoin. */
    async fund(address, amount) {
        return this.invoke(accounts[9], this.contracts.stablecoin,
            'mint(address to, uint256 amount)', address, amount);
    }

    stableOf(address) {
        return this.call(this.contracts.stablecoin,
            'balanceOf(address) view returns (uint256)', address);
    }

    /** Everything that a refused request could have changed. */
    async state({ resting = true } = {}) {
        // What is under way by itself must have come to rest, or it would look like a change.
        await this.until('/api/v1/transactions?limit=50', (list) => !resting
            || list.every((t) => !['queued', 'signed', 'sent'].includes(t.state)));
        const [types, assets, leases, transactions, block] = await Promise.all([
            this.send('GET', '/api/v1/asset-types'), this.send('GET', '/api/v1/assets'),
            this.send('GET', '/api/v1/leases'), this.get('/api/v1/transactions?limit=5'),
            this.provider.getBlockNumber()]);
        return {
            types: types.data, assets: assets.data, leases: leases.data,
            counts: [types.count, assets.count, leases.count], block,
            transactions: transactions.map((t) => [t.transactionId, t.state]),
        };
    }
}

// ---- the digest of a lease, from the protocol's description ------------------------------------------

const coder = AbiCoder.defaultAbiCoder();
const hashText = (text) => keccak256(toUtf8Bytes(text));
const DOMAIN_TYPE =
    'EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)';
const INTENT_TYPE = 'LeaseIntent(uint64 deadline,bytes32 assetTypeSchemaHash,Lease lease)';
const LEASE_TYPE = 'Lease(address lessor,address lessee,uint256 assetId,address paymentToken,'
    + 'uint256 rentAmount,uint256 rentPeriod,uint256 securityDeposit,uint64 startTime,'
    + 'uint64 endTime,bytes32 legalDocHash,uint16 termsVersion)';

/** What both parties sign: { deadline, assetType, lease: {…} } in a domain. */
export function leaseDigest(intent, chainId, verifyingContract) {
    const l = intent.lease;
    const lease = keccak256(coder.encode(
        ['bytes32', 'address', 'address', 'uint256', 'address', 'uint256', 'uint256', 'uint256',
            'uint64', 'uint64', 'bytes32', 'uint16'],
        [hashText(LEASE_TYPE), l.lessor, l.lessee, l.assetId, l.paymentToken, l.rentAmount,
            l.rentPeriod, l.securityDeposit, l.startTime, l.endTime, l.legalDocHash,
            l.termsVersion]));
    const struct = keccak256(coder.encode(['bytes32', 'uint64', 'bytes32', 'bytes32'],
        [hashText(INTENT_TYPE), intent.deadline, intent.assetType, lease]));
    const domain = keccak256(coder.encode(['bytes32', 'bytes32', 'bytes32', 'uint256', 'address'],
        [hashText(DOMAIN_TYPE), hashText('Lease'), hashText('1'), chainId, verifyingContract]));
    return keccak256(solidityPacked(['bytes2', 'bytes32', 'bytes32'], ['0x1901', domain, struct]));
}

const seconds = (time) => Math.floor(Date.parse(time) / 1000);

/** The intent behind a lease as the API shows it. */
export function intentOf(lease, asset, lessee = lease.lesseeAddress) {
    return {
        deadline: seconds(lease.deadline),
        assetType: hashText(asset.assetType),
        lease: {
            lessor: lease.lessorAddress, lessee, assetId: asset.onChain.id,
            paymentToken: lease.paymentToken, rentAmount: lease.terms.paymentAmount,
            rentPeriod: lease.terms.rentPeriod, securityDeposit: lease.terms.securityDeposit,
            startTime: seconds(lease.terms.startDate), endTime: seconds(lease.terms.endDate),
            legalDocHash: lease.legalDocumentHash, termsVersion: lease.termsVersion,
        },
    };
}

/** 65 bytes over a digest. */
export const sign = (wallet, digest) => wallet.signingKey.sign(digest).serialized;

// ---- request bodies ----------------------------------------------------------------------------------

let serial = 0;
/** An id that no other test uses. */
export const fresh = (prefix) => `${prefix}-${process.pid}-${++serial}`;

export const schemaOfSatellites = {
    type: 'object',
    required: ['orbit'],
    properties: {
        orbit: {
            type: 'object',
            required: ['type', 'altitude_km'],
            properties: { type: { enum: ['leo', 'geo'] }, altitude_km: { type: 'number', minimum: 100 } },
        },
    },
};

export function typeBody(name, changes = {}) {
    return { name, schema: schemaOfSatellites, requiredLeaseKeys: ['orbital_period_hours'], ...changes };
}

export function assetBody(assetId, changes = {}, metadata = {}) {
    return {
        metadata: {
            assetId, name: 'Demo satellite', description: 'A satellite for tests',
            assetType: 'satellite',
            specifications: { orbit: { type: 'leo', altitude_km: 550 }, mass_kg: 3500.5, bands: ['C', 'Ku'] },
            documents: [], createdAt: '2026-01-01T00:00:00Z', updatedAt: '2026-01-01T00:00:00Z',
            ...metadata,
        },
        tokenName: 'Satellite One', tokenSymbol: 'SAT1', totalSupply: '100000000000000000000',
        ...changes,
    };
}

export const days = (n) => new Date(Math.floor(Date.now() / 1000) * 1000 + n * 86_400_000).toISOString();

export function leaseBody(assetId, changes = {}, terms = {}) {
    return {
        assetId, lessorAddress: lessor.address, lesseeAddress: bidderA.address,
        terms: {
            startDate: days(1), endDate: days(361), paymentAmount: '1000000000',
            paymentSchedule: 'monthly', currency: 'USDC', restrictions: ['No resale'], ...terms,
        },
        legalDocumentHash: `0x${'ab'.repeat(32)}`,
        metadata: { orbital_period_hours: 12, uri: 'ipfs://x/' },
        ...changes,
    };
}

/** A body without one member; a path such as "terms.endDate" reaches into objects. */
export function without(body, path) {
    const copy = structuredClone(body);
    const keys = path.split('.');
    const last = keys.pop();
    delete keys.reduce((at, key) => at[key], copy)[last];
    return copy;
}

/** A body with one member replaced. */
export function having(body, path, value) {
    const copy = structuredClone(body);
    const keys = path.split('.');
    const last = keys.pop();
    keys.reduce((at, key) => at[key], copy)[last] = value;
    return copy;
}
