// Moving an installation to another database and back: every row arrives, the daemon goes on there
// with the same chain, and nothing is mixed when the copy is killed or its source changes.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
    Api, Daemon, SLOW, accounts, assetBody, fresh, sleep, typeBody,
} from './support.mjs';
import { folder, objects, run, survivors } from '../support/program.mjs';
import { ON_POSTGRES } from '../support/database.mjs';
import { Postgres } from '../support/postgres.mjs';

const V1 = '/api/v1';
const REFERENCE = new URL('../../docs/reference/routes.md', import.meta.url);

// It names its databases itself, so that one run of the suite is enough.
const options = { skip: ON_POSTGRES };

let server;
before(async () => { server = ON_POSTGRES ? undefined : await Postgres.start(); });
after(() => server?.stop());

/** Runs `db copy` to its end and returns its report. */
async function copy(from, to, ...more) {
    const ended = await run(['db', 'copy', from, to, '--json', ...more], { seconds: 120 });
    return { status: ended.status, ...objects(ended.stdout).at(-1), stderr: ended.stderr };
}

async function copied(from, to) {
    const report = await copy(from, to);
    assert.equal(report.status, 0, JSON.stringify(report));
    assert.ok(report.success && report.tables.every((t) => t.equal && t.sourceRows === t.targetRows));
    return report;
}

/** Starts a copy and kills it after some time; false when it was done before. */
async function killedCopy(from, to, msec) {
    const { signal } = await run(['db', 'copy', from, to, '--json'], {
        seconds: 120,
        started: (child) => setTimeout(() => child.kill('SIGKILL'), msec * SLOW),
    });
    return signal === 'SIGKILL';
}

/** The paths of all GET routes, with the ids of what a daemon has. */
async function paths(daemon) {
    const list = async (path) => (await daemon.request('GET', V1 + path)).data;
    const ids = {
        transactionId: (await list('/transactions')).map((t) => t.transactionId),
        name: (await list('/asset-types')).map((t) => t.name),
        assetId: (await list('/assets')).map((a) => a.assetId),
        leaseId: (await list('/leases')).map((l) => l.leaseId),
        address: accounts.slice(0, 6).map((a) => a.address),
        holderAddress: accounts.slice(0, 6).map((a) => a.address),
    };
    ids.roundId = (await Promise.all(ids.assetId.map((id) => list(`/assets/${id}/revenue-rounds`))))
        .flat().map((r) => r.roundId);
    const routes = [...readFileSync(REFERENCE, 'utf8').matchAll(/^\| GET \| `(\/api\/v1[^`]*)`/gm)]
        .map(([, path]) => path);
    assert.ok(routes.length > 20);
    const fill = (path) => {
        const name = /\{(\w+)\}/.exec(path)?.[1];
        return name === undefined ? [path]
            : (ids[name] ?? []).flatMap((id) => fill(path.replace(`{${name}}`, id)));
    };
    return routes.flatMap(fill);
}

/** What each GET route answers, but for what tells of the process and not of its data. */
async function answers(daemon, list) {
    const found = {};
    for (const path of list) {
        const { requestId, ...rest } = await daemon.request('GET', path);
        if (path.endsWith('/processes')) {
            continue;
        }
        if (path.endsWith('/blockchain/network')) {
            const { blockNumber, blockHash, chainId } = rest.data;
            rest.data = { blockNumber, blockHash, chainId };
        }
        if (path.endsWith('/jobs')) { // schedules go on between two looks
            rest.data = rest.data.filter(({ key }) => !key?.startsWith('cron/'));
            delete rest.count;
        }
        if (path.endsWith('/jobs/schedules')) {
            rest.data = rest.data.map(({ lastSlot, nextAt, ...row }) => row);
        }
        if (path.endsWith('/jobs/queues')) {
            rest.data = rest.data.map(({ queued, running, ...row }) => row);
        }
        found[path] = rest;
    }
    return found;
}

describe('an installation that a demo has left', options, () => {
    let dir;
    let sqlite;
    let list;
    let said;
    let daemon;
    let host; // keeps the chain while daemons come and go
    after(() => Promise.all([daemon?.stop(), host?.stop()]));

    const settings = async () => {
        const c = await host.get(`${V1}/blockchain/contracts`);
        return {
            'chain.rpc_urls': host.rpc, 'wallets.dev_accounts': 5, 'chain.poll_interval': '50ms',
            'leasing.stablecoin': c.stablecoin, 'leasing.asset_registry': c.assetRegistry,
            'leasing.lease_factory': c.leaseFactory, 'leasing.marketplace': c.marketplace,
            'leasing.registrar': c.registrar,
        };
    };

    test('is not copied while its daemon runs, but for a rehearsal', async () => {
        dir = folder();
        const demo = await run(['demo', 'complete', '--keep', '--json', `--dir=${dir}`]);
        assert.equal(demo.status, 0, demo.stderr);
        const { url, pid } = objects(demo.stdout).at(-1);
        sqlite = `sqlite:${join(dir, 'freehold.db')}`;
        const running = Object.assign(Object.create(Daemon.prototype), { url });
        list = await paths(running);
        said = await answers(running, list);
        assert.ok(list.length > 40, `${list.length} paths`);

        const refused = await copy(sqlite, `sqlite:${join(dir, 'no.db')}`);
        assert.equal(refused.status, 1);
        assert.equal(refused.code, 'locked');
        const rehearsal = `sqlite:${join(dir, 'rehearsal.db')}`;
        const live = await copy(sqlite, rehearsal, '--live');
        assert.equal(live.status, 0, JSON.stringify(live));

        process.kill(pid, 'SIGTERM');
        assert.deepEqual(await survivors([pid]), []);
        host = await Daemon.start({ 'store.url': rehearsal, 'devchain.dir': join(dir, 'devchain') });
    });

    test('goes on in PostgreSQL: equal hashes, equal answers, the same chain', async () => {
        let postgres = server.database();
        for (const msec of [20, 60, 100]) {
            if (!await killedCopy(sqlite, postgres, msec)) {
                postgres = server.database(); // it had ended, and fills an empty database only
            }
        }
        const report = await copied(sqlite, postgres);
        assert.ok(report.rows > 200 && report.tables.length > 25);

        daemon = await Daemon.start({ ...await settings(), 'store.url': postgres });
        const there = await answers(daemon, list);
        for (const path of list) {
            assert.deepEqual(there[path], said[path], path);
        }
        // Work goes on: a new asset becomes active by its event.
        const api = new Api(daemon);
        const type = fresh('type').replaceAll('-', '_');
        await api.post(`${V1}/asset-types?wait=20`, typeBody(type));
        const { assetId } = (await api.post(`${V1}/assets`,
            assetBody(fresh('MOVED'), {}, { assetType: type }), 201)).metadata ?? {};
        await api.until(`${V1}/assets?status=active`, (a) => a.length === 2, assetId);
        api.provider.destroy();

        // A second copy finds the first one's end.
        const again = await copy(sqlite, postgres);
        assert.equal(again.code, 'conflict');
        const busy = await copy(postgres, `sqlite:${join(dir, 'busy.db')}`);
        assert.equal(busy.code, 'locked', JSON.stringify(busy));

        list = await paths(daemon);
        said = await answers(daemon, list);
        await daemon.stop();
        daemon = undefined;

        const back = `sqlite:${join(dir, 'back.db')}`;
        await copied(postgres, back);
        daemon = await Daemon.start({ ...await settings(), 'store.url': back });
        const home = await answers(daemon, list);
        for (const path of list) {
            assert.deepEqual(home[path], said[path], path);
        }
    });
});

describe('a chain that takes blocks back after the move', options, () => {
    const PROJECTIONS = ['onchain_types', 'onchain_metadata', 'token_holders', 'token_balances',
        'ledger_accounts', 'ledger_transfers', 'blockchain_events', 'chain_sources'];
    for (const direction of ['to PostgreSQL', 'to SQLite']) {
        test(`is followed ${direction}: inverses that the other database wrote are run`, async (t) => {
            const running = [];
            t.after(() => Promise.all(running.map((one) => one.stop())));
            const host = await Api.start();
            running.push(host);
            const c = host.contracts;
            const settings = {
                'chain.rpc_urls': host.daemon.rpc, 'wallets.dev_accounts': 5,
                'chain.poll_interval': '50ms', 'leasing.stablecoin': c.stablecoin,
                'leasing.asset_registry': c.assetRegistry, 'leasing.lease_factory': c.leaseFactory,
                'leasing.marketplace': c.marketplace, 'leasing.registrar': c.registrar,
            };
            const deployed = await host.provider.getBlockNumber();
            const dir = folder();
            const urls = [`sqlite:${join(dir, 'here.db')}`, server.database()];
            const [from, to] = direction === 'to SQLite' ? urls.reverse() : urls;
            let api = new Api(await Daemon.start({ ...settings, 'store.url': from }, { dir }));
            running.push(api);
            await api.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
            for (let i = 0; i < 4; i++) {
                await api.post(`${V1}/assets`, assetBody(fresh('UNDO')), 201);
            }
            await api.until(`${V1}/assets?status=active`, (a) => a.length === 4);
            await api.until(`${V1}/transactions?state=sent`, (t) => t.length === 0);
            await api.stop();
            await copied(from, to);

            await host.rpc('evm_setAutomine', false);
            await sleep(30 * SLOW);
            await host.rpc('anvil_reorg', await host.provider.getBlockNumber() - deployed, []);
            await host.rpc('anvil_mine', '0x2');
            await host.rpc('evm_setAutomine', true);
            api = new Api(await Daemon.start({ ...settings, 'store.url': to }, { dir }));
            running.push(api);
            const deadline = Date.now() + 20_000 * SLOW;
            while (!/chain\.reorg_undone/.test(api.daemon.log)) {
                assert.ok(Date.now() < deadline, api.daemon.log);
                await sleep(20);
            }
            // What fell out is sent again.
            await api.until(`${V1}/assets?status=active`, (a) => a.length === 4);
            await api.until(`${V1}/transactions?state=sent`, (t) => t.length === 0);
            const block = await host.provider.getBlockNumber();
            await api.daemon.reach(block);
            const witness = await Daemon.start({ ...settings, 'wallets.dev_accounts': 0,
                'leasing.registrar': '' });
            running.push(witness);
            await witness.reach(block);
            await api.stop();
            await witness.stop();
            // The hashes of a table are equal when its rows are, whatever the database.
            const moved = await copied(to, `sqlite:${join(dir, 'end.db')}`);
            const index = await copied(witness.database.url, `sqlite:${join(dir, 'w.db')}`);
            const hashes = (report) => Object.fromEntries(report.tables
                .filter(({ name }) => PROJECTIONS.includes(name))
                .map(({ name, sourceRows, sourceHash }) => [name, `${sourceRows} ${sourceHash}`]));
            assert.deepEqual(hashes(moved), hashes(index));
            assert.equal(Object.keys(hashes(index)).length, PROJECTIONS.length);
        });
    }
});

describe('a copy that is killed', options, () => {
    const JOBS = 40_000;
    let dir;
    let path;

    /** Kills copies until one has come some way and not to its end; the target that has it. */
    async function half(empty) {
        let to = empty();
        for (let [msec, tries] = [100, 0]; tries < 200; msec = msec > 1500 ? 100 : msec + 60, tries++) {
            if (!await killedCopy(`sqlite:${path}`, to, msec)) {
                to = empty(); // it came to its end
                continue;
            }
            const count = `SELECT count(*) FROM backup_copy c, backup_copy_tables t
                WHERE c.state = 1 AND t.name = 'jobs' AND t.row_count > 1000`;
            try {
                const found = to.startsWith('sqlite:')
                    ? execFileSync('sqlite3', [to.slice('sqlite:'.length), count], { encoding: 'utf8' })
                    : server.run(count, to);
                if (found.trim() === '1') {
                    return to;
                }
            } catch {
                // There is no schema yet.
            }
        }
        throw new Error('no copy was killed half-way');
    }

    const sql = (text) => execFileSync('sqlite3', [path, text], { encoding: 'utf8' });

    before(async () => {
        dir = folder();
        path = join(dir, 'large.db');
        const made = await run(['migrate', 'up', `--store.url=sqlite:${path}`]);
        assert.equal(made.status, 0, made.stderr);
        sql(`WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < ${JOBS})
            INSERT INTO jobs (id, kind, key, payload, priority, state, attempts, lapses, created,
                scheduled, run_at, lease_token, finished)
            SELECT i, 'test', 'k' || i, '{"n": ' || i || ', "text": "${'x'.repeat(200)}"}', 0, 3, 1,
                0, i, i, i, i, i FROM n`);
    });

    for (const kind of ['PostgreSQL', 'SQLite']) {
        test(`goes on where it was, into ${kind}; a daemon refuses what is not whole`, async () => {
            let targets = 0;
            const to = await half(() => kind === 'SQLite'
                ? `sqlite:${join(dir, `target-${++targets}.db`)}` : server.database());
            await killedCopy(`sqlite:${path}`, to, 50);
            const served = await run(['serve', '--json', `--store.url=${to}`, '--http.port=0',
                `--devchain.dir=${join(dir, 'chain')}`]);
            assert.equal(served.status, 1);
            assert.match(served.stdout, /unfinished copy of sqlite:/);

            const report = await copied(`sqlite:${path}`, to);
            assert.ok(report.resumedRows > 0 && !report.begunAnew, JSON.stringify(report.resumedRows));
            assert.equal(report.tables.find((t) => t.name === 'jobs').targetRows, JOBS);
        });
    }

    test('begins anew when its source has changed meanwhile', async () => {
        const to = await half(() => server.database());
        sql('UPDATE jobs SET attempts = 7 WHERE id = 500');
        const report = await copied(`sqlite:${path}`, to);
        assert.equal(report.begunAnew, true);
        assert.equal(server.run('SELECT attempts, count(*) FROM jobs GROUP BY 1 ORDER BY 1', to),
            `1|${JOBS - 1}\n7|1`);
    });
});

describe('what a copy refuses', options, () => {
    const refused = async (from, to, code, said) => {
        const report = await copy(from, to);
        assert.equal(report.status, code === 'usage' ? 2 : 1);
        assert.equal(report.code, code, JSON.stringify(report));
        assert.match(report.error, said);
    };

    test('says why in one sentence', async () => {
        const dir = folder();
        const old = `sqlite:${join(dir, 'old.db')}`;
        const empty = `sqlite:${join(dir, 'empty.db')}`;
        assert.equal((await run(['migrate', 'up', '--to=5', `--store.url=${old}`])).status, 0);
        assert.equal((await run(['migrate', 'up', `--store.url=${empty}`])).status, 0);
        await refused(`sqlite:${join(dir, 'none.db')}`, empty, 'not_found', /There is no database/);
        await refused('mysql://there/none', empty, 'usage', /FROM must be sqlite:PATH/);
        await refused(empty, join(dir, 'path.db'), 'usage', /TO must be sqlite:PATH/);
        await refused(old, empty, 'db_version', /at version 5 of \d+: run freehold migrate up/);
        await refused(empty, empty, 'locked', /in use by process/);
        assert.equal((await run(['db', 'copy', empty])).status, 2);
    });
});
