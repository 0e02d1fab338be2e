// A chain that forks, a daemon that follows it, and a second one that reads it afresh as the measure.

import assert from 'node:assert/strict';
import { Api, Daemon, SLOW, assetBody, fresh, leaseBody, sleep, typeBody } from './support.mjs';
import { dump } from '../support/program.mjs';

export const V1 = '/api/v1';

/** The tables that the migrations mark as following from the chain, but for the link columns. */
export const PROJECTIONS = ['onchain_types', 'onchain_metadata', 'token_holders', 'token_balances',
    'lease_offers', 'lease_bids', 'token_sales', 'sale_bids',
    'lease_nfts', 'revenue_rounds', 'revenue_claims', 'ledger_accounts',
    'ledger_transfers', 'blockchain_events', 'chain_sources'];

/** A chain with our contracts, kept by a daemon that does nothing else, and a daemon under test. */
export class Site {
    static async open(more = {}) {
        const site = new Site();
        site.host = await Api.start();
        const c = site.host.contracts;
        site.settings = {
            'chain.rpc_urls': site.host.daemon.rpc, 'wallets.dev_accounts': 5,
            'chain.poll_interval': '50ms', 'relay.stuck_after': '2s', 'leasing.stablecoin': c.stablecoin,
            'leasing.asset_registry': c.assetRegistry, 'leasing.lease_factory': c.leaseFactory,
            'leasing.marketplace': c.marketplace, 'leasing.registrar': c.registrar, ...more,
        };
        await site.start();
        await site.api.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
        return site;
    }

    async start(options = {}) {
        this.api = new Api(await Daemon.start(this.settings, options));
        this.api.contracts = this.host.contracts;
    }

    async stop() {
        const { dir } = this.api.daemon;
        await this.api.stop();
        return dir;
    }

    async close() {
        await this.api?.stop();
        await this.host?.stop();
    }

    /**
     * Replaces the last blocks by empty ones. anvil loses blocks for good when it mines meanwhile, so
     * that has to rest, and blocks that have begun to be mined have to end. `ready` is awaited meanwhile.
     */
    async reorg(depth, { ready = () => {} } = {}) {
        await this.host.rpc('evm_setAutomine', false);
        for (let head, still = 0; still < 5; await sleep(30 * SLOW)) {
            const now = await this.head();
            still = now === head ? still + 1 : 0;
            head = now;
        }
        await ready();
        await this.host.rpc('anvil_reorg', depth, []);
        await this.host.rpc('evm_setAutomine', true);
    }

    head() {
        return this.host.provider.getBlockNumber();
    }

    register() {
        return this.api.post(`${V1}/assets`, assetBody(fresh('REORG')), 201);
    }

    /** Waits until the daemon has applied what the node has, by hash. */
    async catchUp() {
        const deadline = Date.now() + 30_000 * SLOW;
        for (;;) {
            const number = await this.head();
            const { hash } = await this.host.provider.getBlock(number);
            const network = await this.api.get(`${V1}/blockchain/network`);
            if (network.blockHash === hash) {
                return;
            }
            assert.ok(Date.now() < deadline, JSON.stringify(network));
            await sleep(50);
        }
    }

    async equalsFreshIndex() {
        await this.catchUp();
        const fresh = await Daemon.start({ ...this.settings, 'wallets.dev_accounts': 0,
            'leasing.registrar': '' });
        await fresh.reach(await this.head());
        for (const table of PROJECTIONS) {
            assert.deepEqual(dump(this.api.daemon.database, table), dump(fresh.database, table), table);
        }
        await fresh.stop();
    }
}

export async function health(api) {
    const reply = await fetch(`${api.daemon.url}/health`);
    return { status: reply.status, chain: (await reply.json()).parts.chain };
}

/** What is asked for while something else goes on, and must be there in the end. */
export class Wanted {
    assets = [];
    leases = [];

    /** Registers assets and offers leases of one until the function that it returns is called. */
    load(site, base) {
        let stopped = false;
        const work = (async () => {
            for (; !stopped; await sleep(20)) {
                const [assetId, leaseId] = [fresh('LOAD'), fresh('LEASE')];
                await site.api.post(`${V1}/assets`, assetBody(assetId), 201);
                this.assets.push(assetId);
                await site.api.post(`${V1}/leases`,
                    leaseBody(base, { leaseId, lesseeAddress: undefined }), 201);
                this.leases.push(leaseId);
            }
        })();
        return async () => {
            stopped = true;
            await work;
        };
    }

    async settle(site) {
        for (const id of this.assets) {
            await site.api.until(`${V1}/assets/${id}`, (a) => a.status === 'active', 60);
        }
        for (const id of this.leases) {
            await site.api.until(`${V1}/leases/${id}`, (l) => l.offer?.status === 'active', 60);
        }
    }
}
