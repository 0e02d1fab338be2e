// The lifecycle while the process is killed fifty times, and the lifecycle on a chain that takes
// blocks back: what remains must equal what an undisturbed run leaves.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { Wallet } from 'ethers';
import {
    Api, Daemon, SLOW, accounts, assetBody, bidderA, bidderB, holder, leaseBody, lessor, rows, sign,
    sleep, typeBody,
} from './support.mjs';
import { dump } from '../support/program.mjs';

const V1 = '/api/v1';
const KILLS = 50;
const LEASES = 10;

/** A chain with our contracts (its daemon does nothing else), and a daemon that uses them. */
class Site {
    static async open() {
        const site = new Site();
        site.host = await Api.start();
        const c = site.host.contracts;
        site.settings = {
            'chain.rpc_urls': site.host.daemon.rpc, 'wallets.dev_accounts': 5,
            'chain.poll_interval': '50ms', 'leasing.stablecoin': c.stablecoin,
            'leasing.asset_registry': c.assetRegistry, 'leasing.lease_factory': c.leaseFactory,
            'leasing.marketplace': c.marketplace, 'leasing.registrar': c.registrar,
        };
        site.kills = 0;
        await site.#start();
        site.nonces = await site.counts();
        return site;
    }

    async #start(options = {}) {
        this.api = new Api(await Daemon.start(this.settings, options));
        this.api.contracts = this.host.contracts;
    }

    /** Kills the process in the middle of whatever it does and starts it on the same data. */
    async killAndStart() {
        const { dir, child, ended } = this.api.daemon;
        child.kill('SIGKILL');
        await ended;
        this.api.provider.destroy();
        await this.#start({ dir });
        this.kills++;
    }

    /** Transactions of each wallet on the chain. */
    counts() {
        return Promise.all(accounts.slice(0, 5)
            .map((wallet) => this.host.provider.getTransactionCount(wallet.address)));
    }

    /** Asks until there is an answer, as the client of anything does. */
    async ask(request) {
        for (const end = Date.now() + 60_000 * SLOW; ; await sleep(20)) {
            try {
                return await request(this.api);
            } catch (error) {
                const gone = /fetch failed|terminated|socket|ECONN/i;
                if (Date.now() > end || !gone.test(`${error.message} ${error.cause?.code}`)) {
                    throw error;
                }
            }
        }
    }

    post(path, body) {
        return this.ask((api) => api.post(V1 + path, body));
    }

    get(path) {
        return this.ask((api) => api.get(V1 + path));
    }

    /** Asks until the data is as wanted; fifty starts on a busy machine come in between. */
    async until(path, wanted) {
        const deadline = Date.now() + 300_000 * SLOW;
        for (;;) {
            const data = await this.get(path);
            if (wanted(data)) {
                return data;
            }
            assert.ok(Date.now() < deadline, `${path} stays ${JSON.stringify(data)}\n`
                + this.api.daemon.log.split('\n').slice(-30).join('\n'));
            await sleep(20);
        }
    }

    async close() {
        await this.api?.stop();
        await this.host?.stop();
    }
}

const start = Date.parse('2040-01-01T00:00:00Z');
const deadline = '2039-01-01T00:00:00Z';

/** One offer, two bids, the better one accepted, revenue claimed by the one holder. */
async function leaseOut(site, number) {
    const leaseId = `CRASH-${number}`;
    const funds = [6_000_000n + BigInt(number), 7_000_000n + BigInt(number)];
    await site.post('/leases', leaseBody('CRASH-SAT', { leaseId, lesseeAddress: undefined, deadline,
        termsVersion: number + 1 }, { startDate: new Date(start).toISOString(),
        endDate: new Date(start + 86_400_000).toISOString() }));
    await site.until(`/leases/${leaseId}`, (l) => l.offer?.status === 'active');
    for (const [i, bidder] of [bidderA, bidderB].entries()) {
        const { digest } = await site.get(`/leases/${leaseId}/digest?lessee=${bidder.address}`);
        await site.post(`/leases/${leaseId}/bids`,
            { bidder: bidder.address, funds: `${funds[i]}`, signature: sign(bidder, digest) });
    }
    const bids = await site.until(`/leases/${leaseId}/bids`,
        (list) => list.filter((b) => b.status === 'active' && b.bidIndex !== null).length === 2);
    const best = bids.find((b) => b.bidder === bidderB.address);
    const { digest } = await site.get(`/leases/${leaseId}/digest?lessee=${bidderB.address}`);
    await site.post(`/leases/${leaseId}/bids/${best.bidIndex}/accept`,
        { signature: sign(lessor, digest) });
    await site.until(`/leases/${leaseId}`, (l) => l.status === 'active');
}

async function prepare(site) {
    for (const bidder of [bidderA, bidderB]) {
        await site.host.fund(bidder.address, 1_000_000_000n);
    }
    await site.post('/asset-types', typeBody('satellite'));
    await site.post('/assets', assetBody('CRASH-SAT', { tokenRecipient: holder.address }));
    await site.until('/assets/CRASH-SAT', (a) => a.status === 'active');
}

async function claimAll(site) {
    const rounds = await site.until('/assets/CRASH-SAT/revenue-rounds',
        (list) => list.length === LEASES);
    await site.post(`/revenue-rounds/${rounds[0].roundId}/claims/${holder.address}/process`, {});
    await site.until('/assets/CRASH-SAT/revenue-rounds',
        (list) => list.every((r) => r.status === 'closed'));
}

/** What users see, without what differs between two runs: times, hashes, blocks, random ids. */
async function outcome(site) {
    const asset = await site.get('/assets/CRASH-SAT');
    const holders = await site.get('/assets/CRASH-SAT/holders');
    const account = await site.get(`/accounts/${holder.address}`);
    const leases = [];
    for (let i = 0; i < LEASES; i++) {
        const lease = await site.get(`/leases/CRASH-${i}`);
        const bids = await site.get(`/leases/CRASH-${i}/bids`);
        leases.push({
            status: lease.status, lessee: lease.lesseeAddress, token: lease.onChain.tokenId,
            offer: lease.offer.offerId, error: lease.error,
            bids: bids.map((b) => [b.bidIndex, b.bidder, b.funds, b.status]),
        });
    }
    const rounds = await site.get('/assets/CRASH-SAT/revenue-rounds');
    return {
        asset: [asset.status, asset.metadataHash, asset.onChain.id],
        holders: holders.holders.map((h) => [h.holderAddress, h.balance]),
        leases,
        rounds: rounds.map((r) => [r.leaseTokenId, r.totalAmount, r.remainder, r.status]).sort(),
        claimable: account.claimable,
        // A round is named after the block that opened it, which differs between runs.
        ledger: rows(site.api.daemon.database,
            'SELECT book, path, debits_posted, credits_posted FROM ledger_accounts')
            .map((a) => `${a.book} ${a.path.replace(/round\/\d+/, 'round')} ${a.debits_posted} `
                + a.credits_posted).sort(),
        money: await Promise.all([bidderA, bidderB, holder]
            .map(async (w) => `${await site.host.stableOf(w.address)}`)),
    };
}

/** Every intent has one mined transaction, and the wallets sent nothing else. */
async function eachOnce(site) {
    const intents = rows(site.api.daemon.database,
        'SELECT wallet, state, nonce, transaction_hash AS hash, purpose, error FROM relay_intents');
    assert.deepEqual(intents.filter((i) => i.state !== 4), []);
    assert.equal(new Set(intents.map((i) => i.hash)).size, intents.length);
    const now = await site.counts();
    accounts.slice(0, 5).forEach(({ address }, i) => {
        const nonces = intents.filter((row) => row.wallet === address.toLowerCase())
            .map((row) => row.nonce).sort((a, b) => a - b);
        const wanted = Array.from({ length: now[i] - site.nonces[i] }, (_, k) => site.nonces[i] + k);
        assert.deepEqual(nonces, wanted, `nonces of ${address}`);
    });
    return intents.length;
}

describe('a process that is killed fifty times during the lifecycle', () => {
    const sites = [];
    after(() => Promise.all(sites.map((site) => site.close())));

    async function run(disturb) {
        const site = await Site.open();
        sites.push(site);
        let going = true;
        const killer = (async () => {
            while (disturb && (going || site.kills < KILLS) && site.kills < KILLS) {
                await sleep(Math.random() * 250 * SLOW);
                await site.killAndStart();
            }
        })();
        try {
            await prepare(site);
            for (let i = 0; i < LEASES; i++) {
                await leaseOut(site, i);
            }
        } finally {
            going = false;
            await killer;
        }
        await claimAll(site);
        return site;
    }

    test('ends where an undisturbed one ends, and no intent was sent twice', async () => {
        const [calm, killed] = [await run(false), await run(true)];
        assert.equal(killed.kills, KILLS);
        assert.deepEqual(await outcome(killed), await outcome(calm));
        assert.equal(await eachOnce(killed), await eachOnce(calm));
        assert.doesNotMatch(killed.api.daemon.log, /"level":"broken"/);
    });
});

/** The tables that follow from the chain alone. */
const PROJECTIONS = [
    'onchain_types', 'onchain_metadata', 'token_holders', 'token_balances', 'lease_offers',
    'lease_bids', 'token_sales', 'sale_bids',
    'lease_nfts', 'revenue_rounds', 'revenue_claims', 'ledger_accounts',
    'ledger_transfers', 'blockchain_events', 'chain_sources',
];

describe('a chain that takes blocks back', () => {
    let site;
    let witness;
    after(async () => {
        await witness?.stop();
        await site?.close();
    });

    /** A second daemon reads the same chain from its first block; the rows must be equal. */
    async function equalsFreshIndex() {
        const head = await site.host.provider.getBlockNumber();
        await site.api.daemon.reach(head);
        witness = await Daemon.start({ ...site.settings, 'wallets.dev_accounts': 0,
            'leasing.registrar': '' });
        await witness.reach(await site.host.provider.getBlockNumber());
        for (const table of PROJECTIONS) {
            assert.deepEqual(dump(site.api.daemon.database, table), dump(witness.database, table),
                table);
        }
        await witness.stop();
        witness = undefined;
    }

    test('leaves the rows of a fresh index: reorganised at depths 1, 3 and 8', async () => {
        site = await Site.open();
        await prepare(site);
        await leaseOut(site, 0);
        for (const [i, depth] of [1, 3, 8].entries()) {
            const before = await site.host.provider.getBlockNumber();
            await site.host.rpc('anvil_reorg', depth, []);
            await site.host.rpc('anvil_mine', '0x2');
            await site.api.daemon.reach(before + 2);
            // What fell out with its block is sent again, so that every agreement comes true again.
            await site.until('/leases/CRASH-0', (l) => l.status === 'active');
            await leaseOut(site, i + 1);
            await equalsFreshIndex();
        }
        const health = await site.get('/blockchain/network');
        assert.equal(health.halted, false);
        assert.match(site.api.daemon.log, /chain\.reorg_undone/);
    });

    test('leaves the rows of a fresh index: rewound below applied events', async () => {
        const snapshot = await site.host.rpc('evm_snapshot');
        const stranger = Wallet.createRandom().address;
        const { onChain } = await site.get('/assets/CRASH-SAT');
        const before = await site.host.provider.getBlockNumber();
        // Events of a transaction that nobody sends again.
        await site.host.rpc('anvil_impersonateAccount', holder.address);
        await site.host.rpc('eth_sendTransaction', { from: holder.address, to: onChain.tokenAddress,
            data: `0xa9059cbb${stranger.slice(2).toLowerCase().padStart(64, '0')}${'5'.padStart(64, '0')}` });
        await site.host.rpc('anvil_stopImpersonatingAccount', holder.address);
        const seen = (list) => list.holders.some((h) => h.holderAddress === stranger);
        await site.until('/assets/CRASH-SAT/holders', seen);
        await site.host.rpc('evm_revert', snapshot);
        await site.host.rpc('anvil_mine', '0x3');
        await site.api.daemon.reach(before + 3);
        await site.until('/assets/CRASH-SAT/holders', (list) => !seen(list));
        await equalsFreshIndex();
    });
});
