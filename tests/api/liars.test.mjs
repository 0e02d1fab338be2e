// Nodes that lie, before a whole daemon: beside an honest node the rows are the honest chain's, the
// liar is named in /metrics and in the log; alone it stops the cursor, and /health says why and
// never that all is applied. The measure is a daemon that follows the honest node alone.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Api, Daemon, SLOW, assetBody, fresh, rows, sleep, typeBody } from './support.mjs';
import { change, dump, eventually, objects, run } from '../support/program.mjs';
import { Liar } from '../support/liar.mjs';

const V1 = '/api/v1';
const ASSETS = 30;

/** What follows from the chain alone. */
const PROJECTIONS = ['onchain_types', 'onchain_metadata', 'token_holders', 'token_balances',
    'lease_offers', 'lease_bids', 'token_sales', 'sale_bids',
    'lease_nfts', 'revenue_rounds', 'revenue_claims', 'ledger_accounts',
    'ledger_transfers', 'blockchain_events', 'chain_sources'];

let host;
let settings;
let head;
let measure;

before(async () => {
    host = await Api.start();
    const c = host.contracts;
    settings = {
        'chain.poll_interval': '50ms', 'leasing.stablecoin': c.stablecoin,
        'leasing.asset_registry': c.assetRegistry, 'leasing.lease_factory': c.leaseFactory,
        'leasing.marketplace': c.marketplace,
    };
    await host.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
    for (let i = 0; i < ASSETS; i++) {
        await host.post(`${V1}/assets`, assetBody(fresh('LIAR')), 201);
    }
    await host.until(`${V1}/assets?status=active&limit=200`, (a) => a.length === ASSETS, 60);
    head = await host.provider.getBlockNumber();
    measure = await follow(host.daemon.rpc);
    await measure.reach(head);
    const [{ n }] = rows(measure.database, 'SELECT COUNT(*) AS n FROM blockchain_events');
    assert.ok(n > 100, `${n} events are too few for a lie in a hundred`);
});
after(async () => {
    await measure?.stop();
    await host?.stop();
});

const follow = (urls) => Daemon.start({ ...settings, 'chain.rpc_urls': urls });

const health = async (daemon) => (await (await fetch(`${daemon.url}/health`)).json()).parts.chain;

async function metrics(daemon) {
    const text = await (await fetch(`${daemon.url}/metrics`)).text();
    return (name) => text.split('\n').filter((line) => line.startsWith(name))
        .map((line) => Number(line.slice(line.lastIndexOf(' ') + 1))).reduce((a, b) => a + b, 0);
}

function sameRows(daemon) {
    for (const table of PROJECTIONS) {
        assert.deepEqual(dump(daemon.database, table), dump(measure.database, table), table);
    }
}

describe('beside an honest node', () => {
    for (const lie of ['omit', 'alter', 'empty', 'rename', 'twice', 'shuffled']) {
        test(`a node that lies (${lie}) changes no row and is named`, async () => {
            const liar = await Liar.start(host.daemon.rpc, lie);
            const daemon = await follow(`${liar.url},${host.daemon.rpc}`);
            try {
                await daemon.reach(head, 60);
                sameRows(daemon);
                assert.ok(liar.told > 0, 'no lie was told');
                const of = await metrics(daemon);
                assert.ok(of(`freehold_rpc_endpoint_lies_total{endpoint="${liar.url}"`) > 0);
                assert.equal(of(`freehold_rpc_endpoint_lies_total{endpoint="${host.daemon.rpc}"`), 0);
                const said = objects(daemon.log).filter(({ event }) => event === 'rpc.endpoint_lied');
                assert.ok(said.length > 0);
                said.forEach(({ url, kind }) => assert.deepEqual([url, kind], [liar.url, 'receipts']));
                const { endpoints } = await health(daemon);
                assert.deepEqual(endpoints.map((e) => [e.url, e.healthy, e.lies > 0]),
                    [[liar.url, false, true], [host.daemon.rpc, true, false]]);
            } finally {
                await daemon.stop();
                await liar.stop();
            }
        });
    }
});

describe('alone', () => {
    for (const lie of ['omit', 'alter', 'empty', 'rename']) {
        test(`a node that lies (${lie}) stops the cursor, which says why`, async () => {
            const liar = await Liar.start(host.daemon.rpc, lie);
            const daemon = await follow(liar.url);
            try {
                const deadline = Date.now() + 30_000 * SLOW;
                let part = await health(daemon);
                while (!/receipts/.test(part.detail ?? '')) {
                    assert.equal(part.synced, false);
                    assert.ok(Date.now() < deadline, JSON.stringify(part) + daemon.log);
                    await sleep(20);
                    part = await health(daemon);
                }
                assert.equal(part.status, 'degraded');
                assert.equal(part.synced, false);
                assert.ok(part.detail.includes(liar.url), part.detail);
                await sleep(500);
                const later = await health(daemon);
                assert.equal(later.synced, false);
                assert.equal(later.block, part.block);
                assert.ok(later.block < head);
                // What is there is right, as far as it goes.
                const events = (d) => rows(d.database, `SELECT block_number, log_index, event_type
                    FROM blockchain_events WHERE block_number <= ${later.block} ORDER BY 1, 2`);
                assert.deepEqual(events(daemon), events(measure));
                const [{ n }] = rows(daemon.database, `SELECT COUNT(*) AS n FROM blockchain_events
                    WHERE block_number > ${later.block}`);
                assert.equal(n, 0);
            } finally {
                await daemon.stop();
                await liar.stop();
            }
        });
    }

    test('one that is believed, because it is so configured, is said to be', async () => {
        const liar = await Liar.start(host.daemon.rpc, 'none');
        const daemon = await Daemon.start({ ...settings, 'chain.rpc_urls': liar.url,
            'chain.verify': 'trusted' });
        try {
            await daemon.reach(head, 60);
            sameRows(daemon);
            assert.match((await health(daemon)).verify, /^trusted: .*not proven/);
        } finally {
            await daemon.stop();
            await liar.stop();
        }
    });
});

describe('a node that answers with rubbish', () => {
    for (const lie of ['huge', 'gzip', 'html', 'cut', 'ids', 'numbers', 'topics', 'nulls',
        'removed', 'silent']) {
        test(`(${lie}) costs neither a row nor memory`, async () => {
            const liar = await Liar.start(host.daemon.rpc, lie);
            const daemon = await follow(`${liar.url},${host.daemon.rpc}`);
            try {
                await daemon.reach(head, 60);
                sameRows(daemon);
                assert.ok(liar.requests > 0);
                const [, peak] = /VmHWM:\s*(\d+) kB/.exec(
                    readFileSync(`/proc/${daemon.pid}/status`, 'utf8'));
                assert.ok(SLOW > 1 || Number(peak) < 512 << 10, `${peak} kB at the peak`);
            } finally {
                await daemon.stop();
                await liar.stop();
            }
        });
    }
});

describe('a head that is none', () => {
    test('fifty blocks ahead stops nothing', async () => {
        const liar = await Liar.start(host.daemon.rpc, 'ahead');
        const daemon = await follow(`${liar.url},${host.daemon.rpc}`);
        try {
            await daemon.reach(head, 60);
            sameRows(daemon);
            await eventually('the head is that of the others',
                async () => (await health(daemon)).head === head);
            assert.ok((await metrics(daemon))('freehold_rpc_heads_ahead_total') > 0);
        } finally {
            await daemon.stop();
            await liar.stop();
        }
    });

    test('days ago is passed by, by the first survey', async () => {
        const liar = await Liar.start(host.daemon.rpc, 'stuck');
        const daemon = await follow(`${liar.url},${host.daemon.rpc}`);
        try {
            await daemon.reach(head, 60);
            sameRows(daemon);
            const { endpoints } = await health(daemon);
            assert.deepEqual(endpoints.map((e) => [e.url, e.behind]),
                [[liar.url, true], [host.daemon.rpc, false]]);
        } finally {
            await daemon.stop();
            await liar.stop();
        }
    });
});

describe('a node on another fork', () => {
    const FORK = 5;

    /** Mines until the daemon has seen some more blocks one by one. */
    async function mine(daemon, blocks) {
        for (let i = 0; i < blocks; i++) {
            await host.rpc('anvil_mine', '0x1');
            head = await host.provider.getBlockNumber();
            await daemon.reach(head);
        }
        await measure.reach(head);
    }

    const forked = async (daemon, liar) => (await metrics(daemon))(
        `freehold_rpc_endpoint_lies_total{endpoint="${liar.url}",place="${liar.place}",kind="fork"`);

    test('behind the honest one changes no row and is named', async () => {
        const liar = await Liar.start(host.daemon.rpc, 'none', FORK);
        const daemon = await follow(`${host.daemon.rpc},${liar.url}`);
        liar.place = 2;
        try {
            await daemon.reach(head, 60);
            await mine(daemon, 4);
            sameRows(daemon);
            assert.equal(await forked(daemon, liar), 1);
            assert.match(daemon.log, new RegExp(`rpc.endpoint_lied.*${liar.url}.*"kind":"fork"`));
        } finally {
            await daemon.stop();
            await liar.stop();
        }
    });

    test('before the honest ones is outvoted', async () => {
        const liar = await Liar.start(host.daemon.rpc, 'none', FORK);
        const other = await Liar.start(host.daemon.rpc, 'none');
        const daemon = await Daemon.start({ ...settings, 'chain.quorum': 2,
            'chain.rpc_urls': `${liar.url},${host.daemon.rpc}`, 'chain.rpc_backup_urls': other.url });
        liar.place = 1;
        try {
            await daemon.reach(head, 60);
            sameRows(daemon);
            assert.equal(await forked(daemon, liar), 1);
            assert.deepEqual((await health(daemon)).endpoints.map((e) => e.role),
                ['primary', 'fallback', 'backup']);
        } finally {
            await daemon.stop();
            await liar.stop();
            await other.stop();
        }
    });

    test('alone stays without a quorum, which is said', async () => {
        const liar = await Liar.start(host.daemon.rpc, 'none', FORK);
        const gone = await Liar.start(host.daemon.rpc, 'none');
        await gone.stop();
        const daemon = await Daemon.start({ ...settings, 'chain.quorum': 2,
            'chain.rpc_urls': `${liar.url},${gone.url}` });
        try {
            const deadline = Date.now() + 30_000 * SLOW;
            let part = await health(daemon);
            while (!/chain\.quorum asks for 2/.test(part.detail ?? '')) {
                assert.ok(Date.now() < deadline, JSON.stringify(part) + daemon.log);
                await sleep(20);
                part = await health(daemon);
            }
            assert.deepEqual([part.status, part.synced, part.block], ['degraded', false, 0]);
            const [{ n }] = rows(daemon.database, 'SELECT COUNT(*) AS n FROM blockchain_events');
            assert.equal(n, 0);
        } finally {
            await daemon.stop();
            await liar.stop();
        }
    });
});

test('chain verify finds whatever was done to an event', async () => {
    const flags = (d) => Object.entries({ ...settings, 'chain.rpc_urls': host.daemon.rpc,
        'store.url': d.database.url }).map(([key, value]) => `--${key}=${value}`);
    const verify = (d, ...more) => run(['chain', 'verify', '--json', ...more, ...flags(d)],
        { cwd: d.dir });
    const daemon = await follow(host.daemon.rpc);
    try {
        await daemon.reach(head);
        const [one, other] = [await verify(daemon), await verify(measure)];
        assert.equal(one.status, 0, one.stdout + one.stderr);
        assert.equal(one.stdout, other.stdout);
        const [{ n }] = rows(daemon.database, 'SELECT COUNT(*) AS n FROM blockchain_events');
        const [{ events, digest, to }] = objects(one.stdout);
        assert.deepEqual([events, to], [n, head]);
        assert.match(digest, /^0x[0-9a-f]{64}$/);
        const [{ block }] = rows(daemon.database, `SELECT MAX(block_number) AS block
            FROM blockchain_events WHERE event_type = 'Transfer'`);
        change(daemon.database, `UPDATE blockchain_events SET event_type = 'Burnt'
            WHERE block_number = ${block} AND event_type = 'Transfer'`);
        const wrong = await verify(daemon);
        assert.equal(wrong.status, 1);
        assert.match(objects(wrong.stdout)[0].error, new RegExp(`block ${block} .* of another type`));
        assert.equal((await verify(daemon, `--to=${block - 1}`)).status, 0);
        assert.equal((await verify(daemon, '--from=x')).status, 2);
    } finally {
        await daemon.stop();
    }
});

test('an honest node is synced when the last block is applied, and not before', async () => {
    const daemon = await follow(host.daemon.rpc);
    try {
        for (const deadline = Date.now() + 30_000 * SLOW; ;) {
            const part = await health(daemon);
            if (part.synced) {
                assert.equal(part.block, head);
                break;
            }
            assert.ok(Date.now() < deadline, JSON.stringify(part));
        }
        sameRows(daemon);
    } finally {
        await daemon.stop();
    }
});
