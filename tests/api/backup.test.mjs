// A backup taken while the daemon works, proven, and restored elsewhere, where the work goes on with
// the same chain: on the database under test, and from it on the other kind.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Api, Daemon, assetBody, fresh, typeBody } from './support.mjs';
import { BIN, change, databaseOf, eventually, folder, objects, pick, rows, run } from '../support/program.mjs';
import { Postgres } from '../support/postgres.mjs';
import { owned } from '../support/children.mjs';

const V1 = '/api/v1';

let server;
before(async () => { server = await Postgres.start(); });
after(() => server?.stop());

/** Runs a command that prints one JSON object. */
async function command(...args) {
    const ended = await run([...args, '--json'], { seconds: 120 });
    return { status: ended.status, ...objects(ended.stdout).at(-1), stderr: ended.stderr };
}

async function succeeds(...args) {
    const result = await command(...args);
    assert.equal(result.status, 0, JSON.stringify(result));
    return result;
}

/** What is in a folder of backups besides whole ones and the lock. */
const leftovers = (dir) => readdirSync(dir)
    .filter((name) => name !== '.lock' && !/^\d{8}T\d{6}\.\d{3}Z$/.test(name));

describe('a backup of a daemon at work', () => {
    let host; // keeps the chain
    let settings;
    let api;
    let dir;
    let backups;
    after(async () => {
        await api?.stop();
        await host?.stop();
    });

    /** Registers assets until told to stop; resolves to their ids. */
    function load() {
        const ids = [];
        let stopped = false;
        let failure;
        const done = (async () => {
            while (!stopped) {
                const id = fresh('LOAD');
                await api.post(`${V1}/assets`, assetBody(id, {}, { assetId: id }), 201);
                ids.push(id);
            }
        })().catch((error) => { failure = error; });
        const check = async () => {
            if (failure) {
                throw failure;
            }
        };
        return { ids, check, stop: () => { stopped = true; return done.then(check); } };
    }

    before(async () => {
        host = await Api.start();
        const c = host.contracts;
        settings = {
            'chain.rpc_urls': host.daemon.rpc, 'wallets.dev_accounts': 5,
            'chain.poll_interval': '50ms', 'relay.stuck_after': '2s',
            'leasing.stablecoin': c.stablecoin, 'leasing.asset_registry': c.assetRegistry,
            'leasing.lease_factory': c.leaseFactory, 'leasing.marketplace': c.marketplace,
            'leasing.registrar': c.registrar,
        };
        dir = folder();
        backups = join(dir, 'backups');
        api = new Api(await Daemon.start(settings, { dir }));
        await api.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
    });

    test('is made during load, and is of one moment', async () => {
        const database = `--store.url=${databaseOf(dir).url}`;
        const work = load();
        const made = [];
        while (made.length < 3 || work.ids.length < 10) {
            made.push(await succeeds('backup', backups, database));
            await work.check();
        }
        await work.stop();
        assert.deepEqual(leftovers(backups), []);
        assert.ok(made.at(-1).rows > made[0].rows);
        for (const { id } of made) {
            const proven = await succeeds('backup', 'verify', join(backups, id));
            assert.deepEqual(proven.checks.map((check) => check.name),
                ['rows', 'schema', 'foreignKeys', 'facts', 'ledger', 'audit']);
        }
        const list = objects((await run(['backup', 'list', backups, '--json'])).stdout);
        assert.deepEqual(list.map((one) => one.id), made.map((one) => one.id));
        const scratch = await succeeds('backup', 'verify', backups, `--scratch=${server.database()}`);
        assert.equal(scratch.id, made.at(-1).id);
    });

    for (const kind of ['SQLite', 'PostgreSQL']) {
        test(`is restored into ${kind}, where the work goes on`, async () => {
            const url = kind === 'SQLite' ? `sqlite:${join(dir, 'restored.db')}` : server.database();
            const known = await api.get(`${V1}/assets?limit=200`);
            await succeeds('backup', backups, `--store.url=${databaseOf(dir).url}`);
            // What happens after the backup is on the chain, and found there again.
            const late = fresh('LATE');
            await api.post(`${V1}/assets?wait=20`, assetBody(late, {}, { assetId: late }), 201);
            await api.until(`${V1}/transactions?state=sent`, (t) => t.length === 0);
            await api.stop();

            await succeeds('restore', backups, `--to=${url}`);
            const other = new Api(await Daemon.start({ ...settings, 'store.url': url }));
            try {
                await other.daemon.reach(await host.provider.getBlockNumber());
                const there = await other.get(`${V1}/assets?limit=200`);
                for (const { assetId } of known) {
                    assert.ok(there.some((a) => a.assetId === assetId), assetId);
                }
                const id = fresh('AFTER');
                await other.post(`${V1}/assets?wait=20`, assetBody(id, {}, { assetId: id }), 201);
                const asset = await other.until(`${V1}/assets/${id}`, (a) => a.status === 'active');
                assert.ok(asset.onChain.id > 0);
                const proof = await run(['audit', 'ledger', `--store.url=${url}`]);
                assert.equal(proof.status, 0, proof.stdout + proof.stderr);
            } finally {
                await other.stop();
            }
            const again = await command('restore', backups, `--to=${url}`);
            assert.equal(again.code, 'conflict');
            api = new Api(await Daemon.start(settings, { dir }));
        });
    }
});

describe('a backup that does not come about', () => {
    let dir;
    let url;
    let path;
    before(async () => {
        dir = folder();
        path = join(dir, 'own.db');
        url = `--store.url=sqlite:${path}`;
        assert.equal((await run(['migrate', 'up', url])).status, 0);
        execFileSync('sqlite3', [path, `WITH RECURSIVE n(i) AS
            (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
            INSERT INTO jobs (kind, key, payload, priority, state, attempts, lapses, created,
                scheduled, run_at, lease_token, finished)
            SELECT 'test', 'k' || i, '{"text":"' || hex(randomblob(200)) || '"}', 0, 3, 1, 0, i, i, i,
                i, i FROM n`]);
    });

    test('leaves nothing when the disk is full, and says so', async () => {
        const backups = join(dir, 'full');
        // A limit on the size of files is what a full disk is to one process.
        const child = owned(spawn('sh', ['-c', `ulimit -f 512; exec "$0" "$@"`, BIN, 'backup', backups,
            '--json', url], { cwd: dir }));
        let said = '';
        child.stdout.on('data', (text) => { said += text; });
        const status = await new Promise((done) => { child.on('close', done); });
        assert.equal(status, 1, said);
        assert.equal(JSON.parse(said).code, 'disk_full');
        assert.match(JSON.parse(said).error, /disk of the backup is full/);
        assert.deepEqual(readdirSync(backups).filter((name) => name !== '.lock'), []);
    });

    test('is none when it is killed, and the next one clears up', async () => {
        const backups = join(dir, 'killed');
        let kills = 0;
        for (let msec = 20; kills < 3 && msec < 4000; msec += 20) {
            const { signal } = await run(['backup', backups, url],
                { started: (child) => pause(msec).then(() => child.kill('SIGKILL')) });
            kills += signal === 'SIGKILL' && existsSync(backups) && leftovers(backups).length > 0;
        }
        assert.equal(kills, 3);
        const list = await run(['backup', 'list', backups, '--json']);
        const whole = objects(list.stdout).length;
        await succeeds('backup', backups, url);
        assert.deepEqual(leftovers(backups), []);
        assert.equal(objects((await run(['backup', 'list', backups, '--json'])).stdout).length,
            whole + 1);
    });

    test('is refused with a plain key in the folder of keys', async () => {
        const keys = join(dir, 'keys');
        mkdirSync(keys);
        writeFileSync(join(keys, 'key'), `0x${'ab'.repeat(32)}\n`);
        const refused = await command('backup', join(dir, 'keyed'), url,
            `--wallets.keystore_dir=${keys}`, '--wallets.password_file=/dev/null');
        assert.equal(refused.status, 1);
        assert.match(refused.error, /keys\/key is no encrypted key file/);
        assert.deepEqual(readdirSync(join(dir, 'keyed')).filter((name) => name !== '.lock'), []);
    });

    test('never holds a secret of the settings', async () => {
        const backups = join(dir, 'settings');
        const { id } = await succeeds('backup', backups, url,
            '--chain.rpc_urls=https://user:hunter2@node.example/v3/topsecret?key=hunter2');
        const text = readFileSync(join(backups, id, 'config.txt'), 'utf8');
        assert.match(text, /rpc_urls/);
        assert.doesNotMatch(text, /hunter2|topsecret/);
        assert.equal(statSync(join(backups, id)).mode & 0o777, 0o700);
    });

    test('is found to be damaged, and restored by no one', async () => {
        const backups = join(dir, 'damaged');
        const { id } = await succeeds('backup', backups, url);
        const file = join(backups, id, 'tables', 'jobs.rows.gz');
        const bytes = readFileSync(file);
        bytes[bytes.length >> 1] ^= 1;
        writeFileSync(file, bytes);
        const verified = await command('backup', 'verify', backups);
        assert.equal(verified.status, 1);
        assert.equal(verified.code, 'corrupt');
        const to = `sqlite:${join(dir, 'never.db')}`;
        assert.equal((await command('restore', backups, `--to=${to}`)).code, 'corrupt');
        const served = await run(['serve', '--json', `--store.url=${to}`, '--http.port=0',
            `--devchain.dir=${join(dir, 'chain')}`]);
        assert.equal(served.status, 1);
        assert.match(served.stdout, /unfinished copy of/);
        rmSync(join(backups, id, 'manifest.json'));
        assert.equal((await command('restore', backups, `--to=${to}`)).code, 'not_found');
    });

    test('is asked for in words that are understood', async () => {
        assert.equal((await command('backup')).code, 'usage');
        assert.equal((await command('backup', 'verify', join(dir, 'nowhere'))).code, 'not_found');
        assert.equal((await command('restore')).code, 'usage');
        assert.equal((await command('backup', dir, `--store.url=sqlite:${join(dir, 'no.db')}`)).code,
            'not_found');
    });
});

describe('a scheduled backup', () => {
    let dir;
    let daemon;
    after(() => daemon?.stop());

    const health = async () => (await (await fetch(`${daemon.url}/health`)).json()).parts.backup;
    const until = async (wanted) => {
        let part;
        return eventually(() => `health stays ${JSON.stringify(part)}`, async () => {
            part = await health();
            return wanted(part) && part;
        });
    };

    /** Lets a schedule's next slot be one that passed while nothing ran. */
    async function miss(...names) {
        await daemon.stop();
        for (const name of names) {
            change(daemon.database, `UPDATE job_crons SET slot = 1 WHERE name = '${name}'`);
        }
    }

    test('is made up for when its time passed, noted and proven', async () => {
        dir = folder();
        const backups = join(dir, 'backups');
        const settings = { 'backup.to': backups };
        daemon = await Daemon.start(settings, { dir });
        const before = await health();
        assert.deepEqual([before.status, before.scheduled, before.ageSeconds],
            ['healthy', true, null]);
        // Schedules that were never seen wait for their next slot.
        await pause(300);
        assert.ok(!existsSync(backups));

        await miss('DatabaseBackup');
        daemon = await Daemon.start(settings, { dir });
        const made = await until((part) => part.ageSeconds !== null);
        assert.equal(made.verifiedAgeSeconds, null);
        const list = objects((await run(['backup', 'list', backups, '--json'])).stdout);
        assert.equal(list.length, 1);

        await miss('BackupVerification');
        daemon = await Daemon.start(settings, { dir });
        await until((part) => part.verifiedAgeSeconds !== null);
        const noted = rows(daemon.database, 'SELECT kind, backup_id, good FROM backup_runs ORDER BY started_at');
        assert.deepEqual(noted.map((run) => [run.kind, run.backup_id, Boolean(run.good)]),
            [['backup', list[0].id, true], ['verify', list[0].id, true]]);
        const metrics = await (await fetch(`${daemon.url}/metrics`)).text();
        assert.match(metrics, /^freehold_backup_runs_total\{kind="verify",result="good"\} 1$/m);
        assert.match(metrics, /^freehold_backup_last_good_timestamp_seconds [1-9]/m);
    });

    test('that fails is noted, and health tells when none is young enough', async () => {
        await daemon.stop();
        const blocked = join(dir, 'a-file');
        writeFileSync(blocked, '');
        change(daemon.database, "UPDATE job_crons SET slot = 1 WHERE name = 'DatabaseBackup'");
        change(daemon.database, pick('UPDATE backup_runs SET finished_at = finished_at - 7200000000',
            "UPDATE backup_runs SET finished_at = finished_at - interval '2 hours'"));
        daemon = await Daemon.start({ 'backup.to': blocked, 'backup.max_age': '1h' }, { dir });
        const part = await until((now) => now.status === 'degraded');
        assert.ok(part.ageSeconds >= 7200);
        let failed = [];
        await eventually('a run that failed is recorded', () => {
            failed = rows(daemon.database, "SELECT error FROM backup_runs WHERE kind = 'backup' AND NOT good");
            return failed.length > 0;
        });
        assert.ok(failed[0].error.length > 10);
    });
});
