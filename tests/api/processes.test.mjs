// Several processes on one PostgreSQL database: any split of the roles runs the lifecycle; whoever
// is killed or paused is replaced, and what it does late is refused.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
    Api, accounts, assetBody, bidderA, fresh, holder, leaseBody, lessor, sign, sleep, typeBody,
} from './support.mjs';
import {
    Daemon, ON_POSTGRES, SLOW, databaseOf, dump, eventually, folder, objects, rows, run,
} from '../support/program.mjs';

const V1 = '/api/v1';
/** How long a paused process sleeps at least, beyond its lease. */
const PAUSE_SECONDS = Number(process.env.TEST_PAUSE_SECONDS ?? 0);
const ATTEMPTS = 40;
/** The tables that follow from the chain alone. */
const PROJECTIONS = [
    'onchain_types', 'onchain_metadata', 'token_holders', 'token_balances', 'lease_offers',
    'lease_bids', 'token_sales', 'sale_bids',
    'lease_nfts', 'revenue_rounds', 'revenue_claims', 'ledger_accounts',
    'ledger_transfers', 'blockchain_events', 'chain_sources',
];

/** One chain with our contracts, one database, and any number of processes on it. */
class Site {
    static async open(settings = {}) {
        const site = new Site();
        site.host = await Api.start(); // has the chain; with the database below it has nothing to do
        site.database = databaseOf(folder());
        const c = site.host.contracts;
        site.settings = {
            'store.url': site.database.url, 'store.lease': '1s', 'chain.rpc_urls': site.host.daemon.rpc,
            'chain.poll_interval': '50ms', 'leasing.stablecoin': c.stablecoin,
            'leasing.asset_registry': c.assetRegistry, 'leasing.lease_factory': c.leaseFactory,
            'leasing.marketplace': c.marketplace, 'leasing.registrar': c.registrar, ...settings,
        };
        site.all = new Set();
        site.nonces = await site.counts();
        return site;
    }

    /** Starts a process with some roles. */
    async start(roles, settings = {}) {
        const keys = roles.includes('relay') ? { 'wallets.dev_accounts': 5 } : {};
        const daemon = await Daemon.start({ ...this.settings, ...keys, 'service.roles': roles,
            ...settings });
        daemon.roles = roles;
        this.all.add(daemon);
        return daemon;
    }

    /** An API process, with the client that checks answers against schemas. */
    async startApi(settings) {
        const api = new Api(await this.start('api', settings));
        api.contracts = this.host.contracts;
        return api;
    }

    async kill(daemon) {
        this.all.delete(daemon);
        daemon.child.kill('SIGKILL');
        await daemon.ended;
    }

    counts() {
        return Promise.all(accounts.slice(0, 5)
            .map((wallet) => this.host.provider.getTransactionCount(wallet.address)));
    }

    /** The row of a lease, with the fence as a number. */
    lease(name) {
        return rows(this.database, `SELECT l.name, l.owner, l.fence, p.pid FROM process_leases l
            LEFT JOIN processes p ON p.process_id = l.owner WHERE l.name = '${name}'`)[0];
    }

    /** The process that holds a lease; on a slow machine it may be between two owners. */
    holder(name) {
        return eventually(() => `somebody holds ${name}: ${JSON.stringify(this.lease(name))}`, () => {
            const pid = this.lease(name)?.pid;
            return [...this.all].find((daemon) => daemon.pid === pid);
        });
    }

    /** Waits until a lease has another fence and an owner, and returns how long that took. */
    async takeover(name, since, begun) {
        for (const end = Date.now() + 60_000 * SLOW; ; await sleep(10)) {
            const now = this.lease(name);
            if (now.fence !== since.fence && now.owner !== '' && now.owner !== since.owner) {
                return Date.now() - begun;
            }
            assert.ok(Date.now() < end, `${name} stays ${JSON.stringify(now)}`);
        }
    }

    /** Every intent has one mined transaction, and the wallets sent nothing else. */
    async eachOnce() {
        const intents = rows(this.database,
            'SELECT wallet, state, nonce, transaction_hash AS hash, error FROM relay_intents');
        assert.deepEqual(intents.filter((i) => i.state !== 4), []);
        assert.equal(new Set(intents.map((i) => i.hash)).size, intents.length);
        const now = await this.counts();
        accounts.slice(0, 5).forEach(({ address }, i) => {
            const nonces = intents.filter((row) => row.wallet === address.toLowerCase())
                .map((row) => row.nonce).sort((a, b) => a - b);
            const first = this.nonces[i];
            assert.deepEqual(nonces, Array.from({ length: now[i] - first }, (_, k) => first + k),
                `nonces of ${address}`);
        });
    }

    /** A process of its own reads the same chain from its first block; the rows must be equal. */
    async equalsFreshIndex(api) {
        const head = await this.host.provider.getBlockNumber();
        await api.daemon.reach(head, 120);
        const { 'store.url': shared, ...settings } = this.settings;
        assert.ok(shared);
        const witness = await Daemon.start({ ...settings, 'wallets.dev_accounts': 0,
            'leasing.registrar': '', 'chain.log_range': 256 });
        try {
            await witness.reach(head, 120);
            for (const table of PROJECTIONS) {
                assert.deepEqual(dump(this.database, table), dump(witness.database, table), table);
            }
        } finally {
            await witness.stop();
        }
    }

    async close() {
        await Promise.all([...this.all].map((daemon) => daemon.stop()));
        await this.host.stop();
    }
}

async function metric(daemon, name) {
    const text = await (await fetch(`${daemon.url}/metrics`)).text();
    return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1]);
}

const health = async (daemon) => (await fetch(`${daemon.url}/health`)).json();

/** Type, asset, offered lease, bid, acceptance, claim: what needs every role. */
async function lifecycle(api, site) {
    await site.host.fund(bidderA.address, 1_000_000_000n);
    const [assetId, leaseId] = [fresh('SAT'), fresh('LEASE')];
    await api.post(`${V1}/asset-types`, typeBody('satellite'));
    await api.until(`${V1}/asset-types`, (l) => l.some((t) => t.status === 'active'), 60);
    await api.post(`${V1}/assets`, assetBody(assetId, { tokenRecipient: holder.address }));
    await api.until(`${V1}/assets/${assetId}`, (a) => a.status === 'active', 60);
    await api.post(`${V1}/leases`, leaseBody(assetId, { leaseId, lesseeAddress: undefined }));
    await api.until(`${V1}/leases/${leaseId}`, (l) => l.offer?.status === 'active', 60);
    const { digest } = await api.get(`${V1}/leases/${leaseId}/digest?lessee=${bidderA.address}`);
    await api.post(`${V1}/leases/${leaseId}/bids`,
        { bidder: bidderA.address, funds: '7000000', signature: sign(bidderA, digest) });
    const bids = await api.until(`${V1}/leases/${leaseId}/bids`,
        (list) => list.some((b) => b.status === 'active' && b.bidIndex !== null), 60);
    await api.post(`${V1}/leases/${leaseId}/bids/${bids[0].bidIndex}/accept`,
        { signature: sign(lessor, digest) });
    await api.until(`${V1}/leases/${leaseId}`, (l) => l.status === 'active', 60);
    // A round is opened by a job.
    const [round] = await api.until(`${V1}/assets/${assetId}/revenue-rounds`,
        (list) => list.length === 1 && list[0].status === 'open', 60);
    await api.post(`${V1}/revenue-rounds/${round.roundId}/claims/${holder.address}/process`, {});
    await api.until(`${V1}/assets/${assetId}/revenue-rounds`, (l) => l[0].status === 'closed', 60);
    return { assetId, leaseId };
}

test('a part of the roles is refused where it makes no sense', async () => {
    const refuse = async (settings, code, sentence) => {
        const { status, stdout } = await run(['serve', '--json', '--http.port=0',
            ...Object.entries(settings).map(([key, value]) => `--${key}=${value}`)]);
        assert.equal(status, 1);
        const said = objects(stdout).at(-1);
        assert.equal(said.code, code);
        assert.match(said.error, sentence);
    };
    const node = { 'chain.rpc_urls': 'http://127.0.0.1:1' };
    const server = { 'store.url': 'postgresql://nobody@127.0.0.1:1/x' };
    await refuse({ role: 'api', ...node }, 'config', /a SQLite file has one process/);
    await refuse({ role: 'chain', ...server }, 'config', /set chain\.rpc_urls/);
    await refuse({ role: 'api', ...server, ...node }, 'config', /leasing\.registrar must be set/);
    await refuse({ role: 'api,cook' }, 'config', /has "cook": roles are api, chain, relay, jobs, match/);
});

describe('four processes, one role each', { skip: !ON_POSTGRES }, () => {
    let site;
    let api;
    let workers;
    before(async () => {
        // Nothing is found by polling: what one process did the others are told.
        site = await Site.open({ 'chain.poll_interval': '30s', 'store.lease': '3s' });
        workers = [await site.start('chain'), await site.start('relay'), await site.start('jobs')];
        api = await site.startApi();
    });
    after(() => site?.close());

    test('run the lifecycle', async () => {
        const { leaseId } = await lifecycle(api, site);
        assert.equal((await api.get(`${V1}/leases/${leaseId}`)).status, 'active');
        await site.eachOnce();
        await site.equalsFreshIndex(api);
    });

    test('?wait= in the API sees what another process applied', async () => {
        const assetId = fresh('SAT');
        const asset = await api.post(`${V1}/assets?wait=20`,
            assetBody(assetId, { tokenRecipient: holder.address }));
        assert.equal(asset.status, 'confirmed');
        assert.equal((await api.get(`${V1}/assets/${assetId}`)).status, 'active');
        const account = await api.get(`${V1}/accounts/${lessor.address}`);
        assert.equal(account.wallet, true); // of the relay's process
        assert.equal((await api.get(`${V1}/accounts/${accounts[7].address}`)).wallet, false);
    });

    test('tell who does what', async () => {
        const { processes, leases } = await api.get(`${V1}/processes`);
        assert.deepEqual(processes.map((p) => p.roles).sort(), ['api', 'chain', 'jobs', 'relay']);
        assert.ok(processes.every((p) => p.alive));
        const owner = leases.find((l) => l.name === 'chain/31337');
        assert.deepEqual([owner.pid, owner.fence, owner.alive], [workers[0].pid, 1, true]);
        assert.equal(leases.filter((l) => l.name.startsWith('relay/31337/0x')).length, 5);
        const [chain, relay, jobs] = await Promise.all(workers.map(health));
        assert.deepEqual([chain.roles, chain.status], ['chain', 'healthy']);
        assert.deepEqual(chain.leases, [{ name: 'chain/31337', state: 'held', fence: 1 }]);
        assert.equal(relay.leases.length, 6);
        assert.deepEqual(jobs.leases, []);
        assert.equal((await health(api.daemon)).parts.chain.block, chain.parts.chain.block);
        assert.equal(await metric(workers[0], 'freehold_leases_held'), 1);
        // Only the API has its routes; all have those of the operator.
        assert.equal((await fetch(`${workers[0].url}${V1}/assets`)).status, 404);
        assert.equal((await fetch(`${workers[0].url}${V1}/processes`)).status, 200);
        const cli = await run(['leases', '--json', `--store.url=${site.database.url}`]);
        assert.deepEqual(objects(cli.stdout)[0].leases, leases);
    });

    test('run a request once, whichever of them is asked again', async () => {
        const body = assetBody(fresh('SAT'), { tokenRecipient: holder.address });
        const headers = { 'idempotency-key': fresh('key') };
        await site.host.rpc('evm_setAutomine', false);
        const first = api.send('POST', `${V1}/assets?wait=20`, { body, headers })
            .catch((error) => error);
        await eventually('the request runs', () =>
            rows(site.database, 'SELECT key FROM http_idempotency WHERE state = 1').length > 0);
        const late = await site.startApi(); // began after the row was written
        const again = () => late.send('POST', `${V1}/assets?wait=20`, { body, headers });
        assert.equal((await again()).code, 'in_progress');
        await site.kill(api.daemon);
        api = late;
        assert.ok(await first instanceof Error);
        await site.host.rpc('evm_setAutomine', true);
        await site.host.rpc('evm_mine');
        let answer;
        for (const end = Date.now() + 60_000 * SLOW; Date.now() < end; await sleep(50)) {
            answer = await again();
            if (answer.code !== 'in_progress') {
                break;
            }
        }
        assert.ok(answer.success, JSON.stringify(answer));
        await api.until(`${V1}/assets/${body.metadata.assetId}`, (a) => a.status === 'active', 60);
        assert.equal(rows(site.database,
            `SELECT 1 AS one FROM relay_intents WHERE purpose = 'leasing.register_asset'
                AND intent_key LIKE '%${body.metadata.assetId}%'`).length, 1);
        await site.eachOnce();
    });
});

/** Registers assets until it is told to stop, through whichever API answers. */
class Load {
    constructor(apis) {
        this.apis = apis;
        this.ids = [];
        this.going = true;
        this.done = this.#run();
    }

    async #run() {
        while (this.going) {
            const assetId = fresh('SAT');
            await this.#ask((api) => api.send('POST', `${V1}/assets`,
                { body: assetBody(assetId, { tokenRecipient: holder.address }) }));
            this.ids.push(assetId);
            await sleep(15);
        }
    }

    /** Asks one API after the other until there is an answer, as the client behind a proxy does. */
    async #ask(request) {
        const end = Date.now() + 120_000 * SLOW;
        for (let i = 0; ; i++) {
            try {
                const answer = await request(this.apis[i % this.apis.length]);
                if (answer.success) {
                    return;
                }
                assert.ok(['already_exists', 'db_busy', 'db_unavailable'].includes(answer.code),
                    JSON.stringify(answer));
                if (answer.code === 'already_exists') {
                    return;
                }
            } catch (error) {
                if (error instanceof assert.AssertionError || Date.now() > end) {
                    throw error;
                }
            }
            await sleep(20);
        }
    }

    async stop() {
        this.going = false;
        await this.done;
    }
}

describe('processes that are killed under load', { skip: !ON_POSTGRES }, () => {
    let site;
    after(() => site?.close());

    test('are replaced; no intent is sent twice, no event is skipped', async () => {
        site = await Site.open();
        const apis = [await site.startApi(), await site.startApi()];
        const roles = ['chain', 'relay', 'jobs', 'chain,relay,jobs'];
        for (const role of roles) {
            await site.start(role);
        }
        await apis[0].post(`${V1}/asset-types`, typeBody('satellite'));
        await apis[0].until(`${V1}/asset-types`, (l) => l.some((t) => t.status === 'active'), 60);
        const load = new Load(apis);
        const wallet = `relay/31337/${accounts[0].address.toLowerCase()}`;
        try {
            for (const name of ['chain/31337', wallet, 'chain/31337', wallet]) {
                await sleep(300);
                const victim = await site.holder(name);
                const [since, begun] = [site.lease(name), Date.now()];
                await site.kill(victim);
                const msec = await site.takeover(name, since, begun);
                console.log(`# kill -9 of ${victim.roles}, which had ${name}: taken over after ${msec} ms`);
                await site.start(victim.roles);
            }
            await site.kill(apis[1].daemon);
            apis.pop();
            await sleep(300);
        } finally {
            await load.stop();
        }
        for (const id of load.ids) {
            await apis[0].until(`${V1}/assets/${id}`, (a) => a.status === 'active', 60);
        }
        await site.eachOnce();
        await site.equalsFreshIndex(apis[0]);
        console.log(`# ${load.ids.length} assets registered meanwhile`);
    });

    test('a graceful stop hands over at once', async () => {
        const victim = await site.holder('chain/31337');
        const since = site.lease('chain/31337');
        site.all.delete(victim);
        const stopped = victim.stop();
        await stopped;
        const msec = await site.takeover('chain/31337', since, Date.now());
        console.log(`# stopped: taken over ${msec} ms after it had ended`);
        assert.match(victim.log, /"lease\.released","name":"chain\/31337"/);
    });
});

/** Transactions of the site's processes that stand still in the middle, right now. */
const resting = (site) => rows(site.database, `SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND state LIKE 'idle in transaction%'
        AND application_name = 'freehold'`).length;

/** How many late writes under a lease a process has logged, with both numbers. */
const refusals = (daemon, name) => daemon.log.split('\n').filter((line) =>
    line.includes(`"lease.fenced","name":"${name}"`)
    && /has taken over \S+: its number is \d+, ours was \d+/.test(line)).length;

describe('processes that are paused', { skip: !ON_POSTGRES }, () => {
    let site;
    let api;
    before(async () => {
        // One block a transaction, one intent a pass: so that a pause finds them at work.
        site = await Site.open({ 'chain.log_range': 1, 'relay.batch': 1 });
        await site.start('chain,relay,jobs');
        await site.start('chain,relay,jobs');
        api = await site.startApi();
        await api.post(`${V1}/asset-types`, typeBody('satellite'));
        await api.until(`${V1}/asset-types`, (l) => l.some((t) => t.status === 'active'), 60);
    });
    after(() => site?.close());

    /** Stops the owner of a lease until another one has it, and longer; then lets it go on. */
    async function pause(name) {
        let [victim, since, refused, begun] = [];
        for (;;) { // whoever had it may have lost it before he was stopped
            victim = await site.holder(name);
            refused = refusals(victim, name);
            victim.child.kill('SIGSTOP');
            begun = Date.now();
            since = site.lease(name);
            if (since.pid === victim.pid) {
                break;
            }
            victim.child.kill('SIGCONT');
        }
        const inside = resting(site) > 0;
        try {
            const msec = await site.takeover(name, since, begun);
            console.log(`# pause of ${name}${inside ? ' in a transaction' : ''}: taken over after `
                + `${msec} ms`);
            await sleep(PAUSE_SECONDS * 1000);
        } finally {
            victim.child.kill('SIGCONT');
        }
        for (const end = Date.now() + 60_000 * SLOW; ; await sleep(20)) {
            const now = (await health(victim)).leases.find((l) => l.name === name);
            if (now.state === 'standby' && now.fence !== since.fence) {
                break;
            }
            assert.ok(Date.now() < end, `${name} is ${JSON.stringify(now)}`);
        }
        await sleep(200);
        return { victim, inside, refused: refusals(victim, name) - refused };
    }

    /** Pauses until a late write was refused, and one pause fell into a transaction. */
    async function pauseUntil(name, busy, insideToo) {
        let [refused, inside] = [0, 0];
        for (let i = 0; i < ATTEMPTS && (refused === 0 || (insideToo && inside === 0)); i++) {
            await busy();
            await sleep(Math.random() * 200);
            const outcome = await pause(name);
            refused += outcome.refused;
            inside += outcome.inside;
            if (outcome.refused > 0) {
                assert.ok(await metric(outcome.victim, 'freehold_leases_fenced_total') > 0);
            }
        }
        assert.ok(refused > 0, 'no late write was refused');
        assert.ok(inside > 0 || !insideToo, 'no pause fell into a transaction');
        console.log(`# ${name}: ${refused} late writes refused, ${inside} pauses in a transaction`);
    }

    test('while they follow the chain: the late writes are refused', async () => {
        const mined = [];
        const mine = async () => {
            mined.push(site.host.rpc('anvil_mine', '0x4b0')); // and is at it while we look away
            await sleep(100);
        };
        await pauseUntil('chain/31337', mine, true);
        await Promise.all(mined);
        await site.equalsFreshIndex(api);
    });

    test('while they sign and send: the late writes are refused, nothing is sent twice', async () => {
        const load = new Load([api]);
        const wallet = `relay/31337/${accounts[0].address.toLowerCase()}`;
        try {
            await pauseUntil(wallet, () => sleep(300), false);
        } finally {
            await load.stop();
        }
        for (const id of load.ids) {
            await api.until(`${V1}/assets/${id}`, (a) => a.status === 'active', 120);
        }
        await site.eachOnce();
        await site.equalsFreshIndex(api);
        console.log(`# ${load.ids.length} assets registered meanwhile`);
    });
});
