// The disk of the database fails under a daemon at work: full, files that nobody may write, a file
// system that the kernel turned read-only. What was acknowledged is there, once; what was not is
// answered with 503 and comes true when it is asked for again; reads go on; the daemon goes on by
// itself as soon as the disk can be written.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { compare, health, healthy, load } from './faults.mjs';
import { Api, Daemon, assetBody, fresh, leaseBody, sleep, typeBody } from './support.mjs';
import { Disk } from '../support/disk.mjs';
import { ON_POSTGRES, eventually } from '../support/program.mjs';
import { PostgresServer } from '../support/own-postgres.mjs';

const V1 = '/api/v1';

/**
 * Loads the API, breaks the disk, waits until requests are refused with `code`, and has `mend` make
 * the disk good. Reads are answered while writes are not. Resolves to the acknowledged ids. A daemon
 * that `mayDie` may end by SIGBUS instead of refusing.
 */
async function breakUnderLoad(target, assetId, { code, fail, mend, mayDie = false }) {
    const died = () => mayDie && target.daemon.child.signalCode === 'SIGBUS';
    let going = true;
    let counts;
    const loading = load(target, assetId, () => going,
        { codes: [code, 'overloaded'], seen: (c) => { counts = c; } });
    try {
        await eventually('some are acknowledged', () => counts.acknowledged.length > 20);
        await fail();
        await eventually(() => `${code} is answered: ${JSON.stringify(counts.refused)}`,
            () => counts.refused[code] > 0 || died());
        try {
            const leases = await target.get(`${V1}/leases?limit=5`);
            assert.equal(leases.length, 5);
            const one = await target.get(`${V1}/leases/${counts.acknowledged[0]}`);
            assert.equal(one.leaseId, counts.acknowledged[0]);
            const { status, parts } = await health(target);
            assert.notEqual(status, 'healthy');
            assert.equal(parts.database.writes, false, JSON.stringify(parts.database));
            // PostgreSQL opens files for writing even to read them: on a read-only disk it may not.
            assert.ok(parts.database.reads || (ON_POSTGRES && code === 'db_unavailable'),
                JSON.stringify(parts.database));
        } catch (error) {
            assert.ok(mayDie && error instanceof TypeError, error.stack); // of fetch
            await eventually('it ends', died);
        }
        await sleep(300); // chain, relay and jobs meet the disk as well
        await mend(counts);
        const before_ = counts.acknowledged.length;
        await eventually('it goes on', () => counts.acknowledged.length > before_ + 20, 60);
    } catch (error) {
        counts.over = true;
        throw error;
    } finally {
        going = false;
        await loading;
    }
    return counts.acknowledged;
}

/** The daemon follows its chain and answers as it should. */
async function works(target, host = target) {
    await healthy(target);
    const receipt = await host.fund(host.contracts.registrar, 1n);
    await target.daemon.reach(receipt.blockNumber);
    assert.doesNotMatch(target.daemon.log, /"level":"broken"/);
}

/** An asset that leases can be about. */
async function anAsset(target) {
    await target.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
    return (await target.post(`${V1}/assets?wait=20`, assetBody(fresh('FAULT')))).assetId;
}

const onFile = ON_POSTGRES ? () => {} : describe;

onFile('the disk of a file', () => {
    let disk;
    let api;
    let assetId;
    let kept = []; // acknowledged so far
    let settings;

    before(async () => {
        disk = Disk.make(64);
        if (disk.missing) {
            return;
        }
        const path = join(disk.path, 'freehold.db');
        settings = { 'store.url': `sqlite:${path}` };
        await start();
        assetId = await anAsset(api);
    });
    after(async () => {
        await api?.stop();
        disk.remove?.();
    });

    async function start(options) {
        api = await Api.start(settings, options);
        api.daemon.database = { url: settings['store.url'], path: join(disk.path, 'freehold.db') };
    }

    const onDisk = (name, run) => test(name, async (t) => {
        if (disk.missing) {
            t.skip(disk.missing);
            return;
        }
        await run(t);
    });

    onDisk('full: disk_full, and on by itself when there is room', async () => {
        kept = await breakUnderLoad(api, assetId, { code: 'disk_full',
            fail: () => assert.ok(disk.fill() > 1 << 20), mend: () => disk.free() });
        compare(api.daemon.database, kept);
        await works(api);
    });

    onDisk('with files that nobody may write: db_unavailable, and on by itself', async () => {
        // Not the index of the log: it is mapped, and to write it is death (SIGBUS).
        const files = ['', '-wal'].map((suffix) => `${api.daemon.database.path}${suffix}`);
        try {
            kept.push(...await breakUnderLoad(api, assetId, { code: 'db_unavailable',
                fail: () => disk.setImmutable(files, true),
                mend: () => disk.setImmutable(files, false) }));
        } finally {
            disk.setImmutable(files, false);
        }
        compare(api.daemon.database, kept);
        await works(api);
    });

    onDisk('where the index of the log cannot be written: it says why it ends, and loses nothing', async () => {
        const { dir, database, child, ended } = api.daemon;
        const index = [`${database.path}-shm`];
        const leaseId = fresh('LOAD');
        await api.post(`${V1}/leases`, leaseBody(assetId, { leaseId }), 201);
        kept.push(leaseId);
        try {
            disk.setImmutable(index, true); // and its pages are clean: the next write asks the disk
            await assert.rejects(
                () => api.post(`${V1}/leases`, leaseBody(assetId, { leaseId: fresh('LOST') }), 201));
            assert.equal((await ended).signal, 'SIGBUS');
        } finally {
            disk.setImmutable(index, false);
        }
        assert.equal(child.signalCode, 'SIGBUS');
        assert.match(api.daemon.log, /"process\.bus_error".*failed or turned read-only/);
        api.provider.destroy();
        await start({ dir });
        compare(api.daemon.database, kept);
        await works(api);
    });

    onDisk('that turned read-only: db_unavailable, and whole after a repair', async (t) => {
        if (!disk.breaks) {
            t.skip('the kernel cannot be told of an error');
            return;
        }
        const dir = api.daemon.dir;
        /** Whoever serves at the moment; nobody is no answer. */
        const current = {
            get daemon() { return api.daemon; },
            get: (path) => api.get(path),
            send: (...args) => eventually('somebody serves', async () => {
                try {
                    return await api.send(...args);
                } catch (error) {
                    assert.ok(error instanceof TypeError, error.stack); // of fetch
                    return undefined;
                }
            }, 60),
        };
        kept.push(...await breakUnderLoad(current, assetId, { code: 'db_unavailable', mayDie: true,
            fail: () => disk.turnReadOnly(),
            mend: async () => {
                // Such a disk cannot be mended in place. The daemon ends when it is told to, or when
                // it must write the index of the log, which is mapped; then it says why.
                const { status, signal } = await api.daemon.stop();
                if (signal !== 'SIGBUS') {
                    assert.deepEqual({ status, signal }, { status: 0, signal: null }, api.daemon.log);
                } else {
                    assert.match(api.daemon.log, /process\.bus_error.*turned read-only/);
                }
                const refused = await Daemon.start(settings, { dir }).catch((error) => error);
                assert.match(refused.message, /Read-only file system/);
                disk.repair();
                const old = api;
                await start({ dir });
                old.provider.destroy();
            } }));
        compare(api.daemon.database, kept);
        await works(api);
    });
});

const onServer = ON_POSTGRES ? describe : () => {};

onServer('the disk of a server', () => {
    let disk;
    let server;
    let host;
    let api;
    let assetId;
    let kept = [];

    before(async () => {
        disk = Disk.make(96);
        if (disk.missing) {
            return;
        }
        server = await PostgresServer.start();
        host = await Api.start();
        assetId = await anAsset(host);
        const place = join(disk.path, 'space');
        mkdirSync(place);
        execFileSync('chown', ['postgres', place]);
        const database = server.database();
        server.sql(`CREATE TABLESPACE small LOCATION '${place}'`);
        server.sql(`ALTER DATABASE ${database.name} SET TABLESPACE small`);
        const c = host.contracts;
        const daemon = await Daemon.start({
            'store.url': database.user, 'chain.rpc_urls': host.daemon.rpc,
            'wallets.dev_accounts': 5, 'leasing.stablecoin': c.stablecoin,
            'leasing.asset_registry': c.assetRegistry, 'leasing.lease_factory': c.leaseFactory,
            'leasing.marketplace': c.marketplace, 'leasing.registrar': c.registrar,
            'chain.poll_interval': '100ms',
        });
        daemon.database = database;
        api = new Api(daemon);
        api.contracts = host.contracts;
        await api.until(`${V1}/assets`, (list) => list.some((a) => a.assetId === assetId));
        await api.post(`${V1}/asset-types`, typeBody('satellite'));
        await api.post(`${V1}/leases`, leaseBody(assetId), 201);
    });
    after(async () => {
        await api?.stop();
        await host?.stop();
        await server?.stop();
        disk.remove?.();
    });

    const onDisk = (name, run) => test(name, async (t) => {
        if (disk.missing) {
            t.skip(disk.missing);
            return;
        }
        await run(t);
    });

    onDisk('full: disk_full, and on by itself when there is room', async () => {
        kept = await breakUnderLoad(api, assetId, { code: 'disk_full',
            fail: () => assert.ok(disk.fill() > 1 << 20), mend: () => disk.free() });
        compare(api.daemon.database, kept);
        await works(api, host);
    });

    onDisk('that turned read-only: db_unavailable, and on by itself after a repair', async (t) => {
        if (!disk.breaks) {
            t.skip('the kernel cannot be told of an error');
            return;
        }
        kept.push(...await breakUnderLoad(api, assetId, { code: 'db_unavailable',
            fail: () => disk.turnReadOnly(),
            mend: async () => {
                await server.do('kill');
                disk.repair();
                await server.do('start');
            } }));
        compare(api.daemon.database, kept);
        await works(api, host);
    });
});
