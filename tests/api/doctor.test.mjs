// `freehold doctor`: what a newcomer gets wrong, broken for real. Each breakage is named by its
// check, with a sentence and the exit status; and nothing is changed by looking.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
    chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync,
    writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSocketServer } from 'node:net';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SigningKey } from 'ethers';
import { Api, SLOW, accounts, sleep } from './support.mjs';
import {
    ON_POSTGRES, bytes, change, databaseOf, dump, folder, objects, pick, rows, run, survivors,
} from '../support/program.mjs';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const REFERENCE = readFileSync(join(ROOT, 'docs', 'reference', 'doctor.md'), 'utf8');
/** The checks of the reference, as { name, severity, mend }. */
const CHECKS = [...REFERENCE.matchAll(/^\| `([a-z_.]+)` \| (.*?) \| (\w+) \| (.*?) \| (.*) \|$/gm)]
    .map(([, name, , severity, , mend]) => ({ name, severity, mend }));
const DAY = 86400 * 1e6;

/** Runs it and gives { status, checks by name, summary, msec }. */
async function ask(settings, { only, ...options } = {}) {
    const args = Object.entries(settings).map(([key, value]) => `--${key}=${value}`);
    const end = await run(['doctor', '--json', ...(only ? ['--only', only] : []), ...args],
        { seconds: 90, ...options });
    assert.equal(end.signal, null, end.stderr);
    const lines = objects(end.stdout);
    const summary = lines.pop();
    const checks = Object.fromEntries(lines.map((line) => [line.check, line]));
    assert.equal(Object.keys(checks).length, lines.length, 'a check twice');
    assert.equal(summary.checks, lines.length);
    for (const [key, outcome] of [['ok', 'ok'], ['skipped', 'skipped'], ['warnings', 'warning'],
        ['problems', 'problem']]) {
        assert.equal(summary[key], lines.filter((line) => line.outcome === outcome).length);
    }
    assert.equal(summary.success, summary.problems === 0);
    assert.equal(end.status, summary.problems === 0 ? 0 : 1, end.stdout);
    for (const line of lines) {
        assert.ok(line.said.length > 0, JSON.stringify(line));
        const bad = ['warning', 'problem'].includes(line.outcome);
        const row = CHECKS.find(({ name }) => name === line.check);
        assert.equal(line.mend, bad ? row.mend : undefined, JSON.stringify(line));
        assert.ok(line.outcome !== 'problem' || row.severity === 'problem', JSON.stringify(line));
    }
    return { ...end, checks, summary };
}

/** Holds one check against its outcome and sentence. */
function expect(found, name, outcome, sentence) {
    const about = JSON.stringify(found.checks[name]);
    assert.equal(found.checks[name]?.outcome, outcome, about);
    assert.match(found.checks[name].said, sentence, about);
}

/** Problems other than these are none of the test's making. */
function onlyProblems(found, ...names) {
    const problems = Object.values(found.checks).filter((c) => c.outcome === 'problem');
    assert.deepEqual(problems.map((c) => c.check).sort(), names.sort(), JSON.stringify(problems));
}

/** Everything of a folder that a program could change. */
function picture(dir) {
    return readdirSync(dir, { recursive: true, withFileTypes: true })
        .map((entry) => join(entry.parentPath ?? entry.path, entry.name)).sort()
        .map((path) => {
            const st = statSync(path);
            const content = st.isFile()
                ? createHash('sha256').update(readFileSync(path)).digest('hex') : '';
            return `${path} ${st.mode} ${st.uid}:${st.gid} ${st.size} ${st.mtimeMs} ${content}`;
        });
}

const TABLES = ['schema_migrations', 'jobs', 'job_crons', 'process_leases', 'processes',
    'relay_wallets', 'chain_cursors', 'http_idempotency', 'audit_head', 'backup_runs'];
const contents = (database) => TABLES.map((table) => dump(database, table));

async function listen(server) {
    await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
    return server.address().port;
}

/** A node that answers by hand; `answer` gives result or error of a call, undefined never answers. */
async function fakeNode(answer) {
    const server = createServer(async (request, reply) => {
        const chunks = [];
        for await (const chunk of request) {
            chunks.push(chunk);
        }
        const asked = JSON.parse(Buffer.concat(chunks));
        const one = (call) => ({ jsonrpc: '2.0', id: call.id, ...answer(call) });
        if (answer([asked].flat()[0]) !== undefined) {
            reply.setHeader('content-type', 'application/json');
            reply.end(JSON.stringify(Array.isArray(asked) ? asked.map(one) : one(asked)));
        }
    });
    const port = await listen(server);
    return { url: `http://127.0.0.1:${port}`, stop: () => {
        server.closeAllConnections();
        return new Promise((done) => { server.close(done); });
    } };
}

describe('a whole installation', () => {
    let api;
    let settings;
    let dir;

    before(async () => {
        api = await Api.start();
        dir = api.daemon.dir;
        const c = api.contracts;
        settings = {
            'store.url': api.daemon.database.url, 'chain.rpc_urls': api.daemon.rpc,
            'wallets.dev_accounts': 5, 'leasing.stablecoin': c.stablecoin,
            'leasing.asset_registry': c.assetRegistry, 'leasing.lease_factory': c.leaseFactory,
            'leasing.marketplace': c.marketplace, 'http.port': new URL(api.daemon.url).port,
        };
    });
    after(async () => { await api?.stop(); });

    test('is well: all checks are asked beside the daemon at work', async () => {
        const found = await ask(settings);
        onlyProblems(found);
        assert.ok(CHECKS.length > 50);
        assert.deepEqual(Object.keys(found.checks), CHECKS.map(({ name }) => name));
        expect(found, 'database.reachable', 'ok', pick(/^sqlite:/, /PostgreSQL \d\d/));
        expect(found, 'database.migrations', 'ok', /^\d+ of \d+$/);
        expect(found, 'books.ledger', 'ok', /books/);
        expect(found, 'books.audit', 'ok', /rows/);
        expect(found, 'node.reachable', 'ok', /1 of 1/);
        expect(found, 'node.chain_id', 'ok', /31337/);
        for (const name of ['node.logs', 'contracts.code', 'contracts.agreement',
            'contracts.decimals', 'contracts.implementation', 'contracts.roles', 'wallets.nonce']) {
            expect(found, name, 'ok', /^yes$/);
        }
        expect(found, 'wallets.balance', 'ok', /5 wallets/);
        expect(found, 'http.port', 'ok', /a freehold serves/);
        expect(found, 'work.leases', 'ok', /^1 processes live$/);
        if (ON_POSTGRES) {
            for (const name of ['database.durable', 'database.commit', 'database.connections',
                'database.autovacuum', 'database.clock', 'database.partitions']) {
                assert.equal(found.checks[name].outcome, 'ok', JSON.stringify(found.checks[name]));
            }
        } else {
            expect(found, 'database.owner', 'ok', new RegExp(`^process ${api.daemon.pid} has it$`));
            expect(found, 'database.integrity', 'ok', /^yes$/);
        }
    });

    test('tells people the same, by group', async () => {
        const args = Object.entries(settings).map(([key, value]) => `--${key}=${value}`);
        const end = await run(['doctor', '--only', 'contracts', ...args], { seconds: 90 });
        assert.equal(end.status, 0, end.stdout);
        const lines = end.stdout.trimEnd().split('\n');
        assert.equal(lines.shift(), 'Contracts');
        assert.equal(lines.pop(), '5 checks: ok 5, skipped 0, warnings 0, problems 0.');
        assert.deepEqual(lines.map((line) => line.trim().split(/ +/).slice(0, 2)),
            CHECKS.filter(({ name }) => name.startsWith('contracts.'))
                .map(({ name }) => ['ok', name]));
        const broken = await run(['doctor', '--only', 'contracts', ...args,
            '--leasing.marketplace=0x000000000000000000000000000000000000dEaD'], { seconds: 90 });
        assert.equal(broken.status, 1);
        const at = broken.stdout.split('\n').findIndex((line) => line.includes('contracts.code'));
        assert.match(broken.stdout.split('\n')[at + 1],
            /^ +> Correct the address in the settings leasing/);
        assert.equal(broken.stderr, '');
    });

    test('a contract without code', async () => {
        const found = await ask({ ...settings,
            'leasing.marketplace': '0x000000000000000000000000000000000000dEaD' },
        { only: 'contracts' });
        expect(found, 'contracts.code', 'problem',
            /^leasing\.marketplace: there is no contract at 0x0+dEaD on chain 31337$/);
        expect(found, 'contracts.agreement', 'skipped', /not asked/);
        onlyProblems(found, 'contracts.code');
    });

    test('contracts that do not belong together, and a registrar without its role', async () => {
        const found = await ask({ ...settings,
            'leasing.stablecoin': api.contracts.assetRegistry,
            'leasing.registrar': '0x70997970C51812dc3A010C7d01b50e0d17dc79C8' },
        { only: 'contracts' });
        expect(found, 'contracts.agreement', 'problem', /the stablecoin of leasing\.marketplace is/);
        expect(found, 'contracts.decimals', 'problem', /does not tell its decimals/);
        expect(found, 'contracts.roles', 'problem', /does not have DEFAULT_ADMIN_ROLE/);
    });

    test('keys that everybody can read, of a wallet that is empty', async () => {
        const wallets = join(folder(), 'keys');
        const password = join(folder(), 'password');
        writeFileSync(password, 'correct horse\n', { mode: 0o644 });
        chmodSync(password, 0o644);
        const made = await run(['wallet', 'new', '--json', '--dir', wallets,
            '--password-file', password]);
        const { address, path } = objects(made.stdout)[0];
        chmodSync(path, 0o644);
        const with_ = { ...settings, 'wallets.dev_accounts': 0, 'wallets.keystore_dir': wallets,
            'wallets.password_file': password };
        const pictured = picture(wallets);
        let found = await ask(with_);
        expect(found, 'files.keystore_mode', 'problem', new RegExp(`^${path} has mode 644$`));
        expect(found, 'files.password_mode', 'problem', new RegExp(`^${password} has mode 644$`));
        expect(found, 'wallets.keys', 'ok', /^1 wallets$/);
        expect(found, 'wallets.balance', 'problem', new RegExp(`^${address} has nothing$`));
        onlyProblems(found, 'files.keystore_mode', 'files.password_mode', 'wallets.balance',
            'contracts.roles');
        assert.deepEqual(picture(wallets), pictured);
        assert.doesNotMatch(found.stdout + found.stderr, /correct horse/);

        chmodSync(path, 0o600);
        writeFileSync(password, 'another one\n');
        chmodSync(password, 0o600);
        found = await ask(with_, { only: 'wallets' });
        expect(found, 'wallets.keys', 'problem', /./);
        assert.doesNotMatch(found.stdout + found.stderr, /another one/);
    });

    test('a signer of wallets that is there, and one that is gone', async () => {
        const key = new SigningKey(accounts[1].privateKey).publicKey; // 0x04…
        const signer = createServer((request, reply) => {
            assert.equal(request.method, 'GET'); // nothing is signed
            reply.setHeader('content-type', 'application/json');
            reply.end(JSON.stringify([`0x${key.slice(4)}`]));
        });
        const url = `http://127.0.0.1:${await listen(signer)}`;
        const remote = { ...settings, 'wallets.dev_accounts': 0, 'wallets.signer_url': url };
        let found = await ask(remote, { only: 'wallets' });
        expect(found, 'wallets.keys', 'ok', /^1 wallets$/);
        expect(found, 'wallets.balance', 'ok', /^1 wallets$/);
        signer.closeAllConnections();
        await new Promise((done) => { signer.close(done); });
        found = await ask(remote, { only: 'wallets' });
        expect(found, 'wallets.keys', 'problem', /127\.0\.0\.1/);
        onlyProblems(found, 'wallets.keys');
    });

    test('nodes that are gone, silent, or of another chain', async () => {
        const closed = createServer();
        const port = await listen(closed);
        await new Promise((done) => { closed.close(done); });
        const gone = `http://127.0.0.1:${port}`;
        let found = await ask({ ...settings, 'chain.rpc_urls': gone });
        expect(found, 'node.reachable', 'problem', /127\.0\.0\.1/);
        expect(found, 'node.head', 'skipped', /no node of the chain answers/);
        onlyProblems(found, 'node.reachable');

        found = await ask({ ...settings, 'chain.rpc_urls': `${gone}/key,${api.daemon.rpc}` },
            { only: 'node' });
        expect(found, 'node.reachable', 'warning', /127\.0\.0\.1/);
        expect(found, 'node.logs', 'ok', /yes/);
        assert.equal(found.status, 0);

        const silent = await fakeNode(() => undefined);
        found = await ask({ ...settings, 'chain.rpc_urls': silent.url }, { only: 'node' });
        await silent.stop();
        expect(found, 'node.reachable', 'problem', /did not answer|time/);

        const other = await fakeNode(() => ({ result: '0x1' }));
        found = await ask({ ...settings, 'chain.rpc_urls': other.url });
        await other.stop();
        expect(found, 'node.chain_id', 'problem', /serves chain 1, but chain 31337 is configured/);
        onlyProblems(found, 'node.chain_id');
    });

    test('a node that reads the chain still, and knows little', async () => {
        const node = await fakeNode(({ method, params }) => ({
            eth_chainId: { result: '0x7a69' },
            eth_syncing: { result: { currentBlock: '0x1', highestBlock: '0x9' } },
            eth_getBlockByNumber: params?.[0] === 'latest'
                ? { result: { number: '0x5', timestamp: '0x60000000' } } : { result: null },
        }[method] ?? { error: { code: -32601, message: 'no such method' } }));
        const found = await ask({ ...settings, 'chain.rpc_urls': node.url,
            'chain.start_block': 100 }, { only: 'node' });
        await node.stop();
        expect(found, 'node.syncing', 'problem', /still reading/);
        expect(found, 'node.start_block', 'problem', /is 100, the newest block is 5/);
        expect(found, 'node.finalized', 'warning', /"finalized" is not answered/);
        expect(found, 'node.receipts', 'warning', /eth_getBlockReceipts is not answered/);
        expect(found, 'node.logs', 'problem', /./);
    });

    test('a port that another program has', async () => {
        const taken = createSocketServer((socket) => socket.destroy());
        const port = await listen(taken);
        const found = await ask({ ...settings, 'http.port': port }, { only: 'http' });
        await new Promise((done) => { taken.close(done); });
        expect(found, 'http.port', 'problem', /cannot be listened on: Address already in use/);
    });

    test('Redis that is not there', async () => {
        const found = await ask({ ...settings, 'redis.url': 'redis://:geheim@127.0.0.1:1/0' },
            { only: 'redis' });
        expect(found, 'redis.reachable', 'warning', /./);
        assert.equal(found.status, 0);
        assert.doesNotMatch(found.stdout, /geheim/);
    });

    test('a backup place that cannot be written, and one that has none yet', async () => {
        const file = join(folder(), 'file');
        writeFileSync(file, '');
        let found = await ask({ ...settings, 'backup.to': join(file, 'backups') });
        expect(found, 'backup.place', 'problem', /./);
        const empty = join(folder(), 'backups');
        found = await ask({ ...settings, 'backup.to': empty }, { only: 'backup' });
        expect(found, 'backup.place', 'ok', /^0 whole backups$/);
        expect(found, 'backup.age', 'warning', /none was made yet/);
        expect(found, 'backup.verified', 'warning', /none was proven yet/);
        assert.ok(!existsSync(empty), 'looking made the folder');
    });

    test('secrets in a file that others may read', async () => {
        const path = join(folder(), 'freehold.conf');
        writeFileSync(path, '[http]\noperator_token = open-sesame\n');
        chmodSync(path, 0o644);
        const args = Object.entries(settings).map(([key, value]) => `--${key}=${value}`);
        const end = await run(['doctor', '--only', 'config', '--config', path, ...args]);
        assert.equal(end.status, 1);
        assert.match(end.stdout, /problem +config\.mode +\S+ has secrets in it and mode 644/);
        assert.doesNotMatch(end.stdout + end.stderr, /open-sesame/);
        chmodSync(path, 0o600);
        const mended = await run(['doctor', '--only', 'config', '--config', path, ...args]);
        assert.equal(mended.status, 0, mended.stdout);
    });
});

describe('settings', () => {
    test('that cannot be read are the one problem', async () => {
        const path = join(folder(), 'freehold.conf');
        writeFileSync(path, '[http]\nprot = 8080\n');
        const end = await run(['doctor', '--json', '--config', path]);
        assert.equal(end.status, 1);
        const lines = objects(end.stdout);
        assert.deepEqual(lines.filter((l) => l.outcome === 'problem').map((l) => l.check),
            ['config.right']);
        assert.match(lines.find((l) => l.check === 'config.right').said, /http\.prot.*line 2|:2/);
    });

    test('that do not fit together are told with the rest', async () => {
        const found = await ask({ 'store.url': databaseOf(folder()).url, 'chain.id': 8453,
            'chain.rpc_urls': 'http://node.invalid:8545', 'wallets.dev_accounts': 2 });
        expect(found, 'config.right', 'problem', /keys that everybody knows/);
        expect(found, 'config.dev_accounts', 'warning', /anybody can empty/);
        expect(found, 'config.confirmations', 'warning', /is 0/);
        expect(found, 'config.operator_token', 'warning', /not set/);
        expect(found, 'config.one_node', 'warning', /one node/);
        expect(found, 'config.cleartext', 'warning', /node\.invalid/);
        expect(found, 'backup.scheduled', 'warning', /not set/);
        expect(found, 'contracts.code', 'skipped', /no node/);
    });

    test('wrong usage', async () => {
        for (const args of [['--only', 'nothing'], ['now'], ['--only'], ['--fix']]) {
            const end = await run(['doctor', ...args]);
            assert.equal(end.status, 2, args.join(' '));
            assert.equal(end.stdout, '');
            assert.match(end.stderr, /^freehold: .*\(usage\)\n$/);
        }
        const help = await run(['help', 'doctor']);
        assert.match(help.stdout, /--only GROUP/);
        assert.match((await run(['help'])).stdout, /^ +doctor +Check/m);
    });
});

describe('a database', () => {
    let dir;
    let database;
    let settings;

    before(async () => {
        const api = await Api.start();
        ({ dir, database } = api.daemon);
        await api.stop();
        settings = { 'store.url': database.url, 'devchain.dir': join(dir, 'devchain'),
            'http.port': 0 };
    });

    test('without a daemon is read, and nothing of it changes', async () => {
        const files = picture(dir);
        const found = await ask(settings);
        assert.deepEqual(picture(dir), files);
        const tables = contents(database); // which leaves an index of SQLite's
        await ask(settings);
        assert.deepEqual(contents(database), tables);
        onlyProblems(found);
        expect(found, 'database.migrations', 'ok', /./);
        expect(found, 'books.audit', 'ok', /rows/);
        expect(found, 'work.dead_jobs', 'ok', /^0$/);
        if (!ON_POSTGRES) {
            expect(found, 'database.owner', 'ok', /no process/);
            expect(found, 'database.log', 'ok', /./);
        }
    });

    test('that is not there yet is no problem, and is not made', async () => {
        const empty = folder();
        const url = databaseOf(empty).url;
        const found = await ask({ ...settings, 'store.url': url });
        onlyProblems(found);
        expect(found, 'database.reachable', 'ok', /the first start makes it/);
        expect(found, 'database.migrations', 'skipped', /no database yet/);
        assert.deepEqual(readdirSync(empty), []);
    });

    test('that is gone, or is something else', async () => {
        if (ON_POSTGRES) {
            const url = new URL(database.url);
            Object.assign(url, { port: 1, username: 'me', password: 'geheim' });
            const found = await ask({ ...settings, 'store.url': url.href });
            expect(found, 'database.reachable', 'problem', /cannot be reached/);
            onlyProblems(found, 'database.reachable');
            assert.doesNotMatch(found.stdout + found.stderr, /geheim/);
            return;
        }
        const path = join(folder(), 'other.db');
        writeFileSync(path, 'This is text, and long enough to be looked at. '.repeat(100));
        const pictured = picture(dirname(path));
        const found = await ask({ ...settings, 'store.url': `sqlite:${path}` });
        expect(found, 'database.reachable', 'problem', /./);
        assert.deepEqual(picture(dirname(path)), pictured);
    });

    test('that hangs does not hang the doctor', { skip: !ON_POSTGRES }, async () => {
        const mute = createSocketServer(() => {});
        const port = await listen(mute);
        const url = new URL(database.url);
        url.port = port;
        const found = await ask({ ...settings, 'store.url': url.href }, { only: 'database' });
        mute.close();
        expect(found, 'database.reachable', 'problem', /timeout|did not answer/);
    });

    test('whose migration was edited, or that a newer program made', async () => {
        const [{ checksum }] = rows(database,
            'SELECT checksum FROM schema_migrations WHERE version = 3');
        change(database, "UPDATE schema_migrations SET checksum = 'edited' WHERE version = 3");
        let found = await ask(settings);
        change(database,
            `UPDATE schema_migrations SET checksum = '${checksum}' WHERE version = 3`);
        expect(found, 'database.migrations', 'problem', /^Migration 3 .* was edited after/);
        expect(found, 'work.dead_jobs', 'skipped', /do not belong together/);
        onlyProblems(found, 'database.migrations');

        change(database, 'INSERT INTO schema_migrations (version, name, checksum, applied_at) '
            + `SELECT 9999, 'later', 'x', applied_at FROM schema_migrations WHERE version = 1`);
        found = await ask(settings, { only: 'database' });
        change(database, 'DELETE FROM schema_migrations WHERE version = 9999');
        expect(found, 'database.migrations', 'problem', /is at version 9999 .* use the newer/);
    });

    test('with dead jobs, requests that did not end, and a chain that stands', async () => {
        const now = pick(String(Date.now() * 1000), 'now()');
        const old = pick(String(Date.now() * 1000 - 2 * DAY), "now() - interval '2 days'");
        const text = pick("'{}'", "'{}'::jsonb");
        change(database, `INSERT INTO jobs (kind, payload, priority, state, attempts, lapses, created,
            scheduled, run_at, lease_token, finished, error) SELECT 'test.dead', ${text}, 0, 4, 1, 0,
            ${now}, ${now}, ${now}, 0, ${now}, 'no' FROM schema_migrations WHERE version < 3;
            INSERT INTO http_idempotency (key, route, principal, body_hash, state, boot, started_at)
            VALUES ('k', 'r', 'p', ${bytes(`0x${'00'.repeat(32)}`)}, 1, 'gone', ${old});
            UPDATE chain_cursors SET halted_why = 'deeper than we look'`);
        const found = await ask({ ...settings, 'jobs.dead_alert': 1 }, { only: 'work' });
        const calm = await ask({ ...settings, 'jobs.dead_alert': 2 }, { only: 'work' });
        change(database, `DELETE FROM jobs WHERE kind = 'test.dead';
            DELETE FROM http_idempotency; UPDATE chain_cursors SET halted_why = ''`);
        expect(found, 'work.dead_jobs', 'problem', /^2 jobs are dead, more than jobs\.dead_alert \(1\)$/);
        expect(found, 'work.idempotency', 'warning', /^1 requests .* did not end$/);
        expect(found, 'work.chain', 'problem', /halted: deeper than we look/);
        expect(calm, 'work.dead_jobs', 'ok', /^2$/);
    });

    test('whose last backup is old', async () => {
        const at = (days) => pick(String(Date.now() * 1000 - days * DAY),
            `now() - interval '${days} days'`);
        change(database, ['backup', 'verify'].map((kind) => `INSERT INTO backup_runs
            (kind, started_at, finished_at, place, good, row_count, byte_count)
            VALUES ('${kind}', ${at(10)}, ${at(9)}, 'here', ${pick('1', 'true')}, 1, 1);`).join(''));
        const found = await ask({ ...settings, 'backup.to': folder() }, { only: 'backup' });
        const patient = await ask({ ...settings, 'backup.to': folder(), 'backup.max_age': '20d' },
            { only: 'backup' });
        change(database, 'DELETE FROM backup_runs');
        expect(found, 'backup.age', 'problem', /^the last good one is 9 days old$/);
        expect(found, 'backup.verified', 'warning', /^the last proof is 9 days old$/);
        onlyProblems(found, 'backup.age');
        expect(patient, 'backup.age', 'ok', /9 days old/);
    });

    test('whose books or audit log somebody touched', async () => {
        const [{ seq }] = rows(database, 'SELECT seq FROM audit_head');
        assert.ok(seq > 0, 'there is nothing in the audit log');
        change(database, `UPDATE audit_head SET seq = ${seq} + 1`);
        let found = await ask(settings, { only: 'books' });
        change(database, `UPDATE audit_head SET seq = ${seq}`);
        expect(found, 'books.audit', 'problem', /./);
        onlyProblems(found, 'books.audit');

        const zero = pick(`'${'0'.repeat(78)}'`, '0');
        const one = pick(`'${'1'.padStart(78, '0')}'`, '1');
        change(database, `INSERT INTO ledger_accounts VALUES ('touched', 'a', 0, 0, ${zero}, ${zero},
            ${zero}, ${zero}, ${zero}, ${one}, 0)`);
        found = await ask(settings, { only: 'books' });
        expect(found, 'books.ledger', 'problem', /^1 of \d+ books do not balance, first touched$/);
        onlyProblems(found, 'books.ledger');
    });
});

const onServer = ON_POSTGRES ? describe : () => {};

onServer('a server', () => {
    test('that is set to lose or to refuse', async () => {
        const dir = folder();
        const database = databaseOf(dir);
        const name = new URL(database.url).pathname.slice(1);
        const settings = { 'store.url': database.url, 'http.port': 0 };
        assert.equal((await run(['migrate', 'up', `--store.url=${database.url}`])).status, 0);
        change(database, `ALTER DATABASE "${name}" SET synchronous_commit = off;
            ALTER DATABASE "${name}" CONNECTION LIMIT 12;
            CREATE TABLE large (n int) WITH (autovacuum_enabled = false);
            INSERT INTO large SELECT generate_series(1, 20000);
            INSERT INTO process_leases VALUES ('chain/1', 'gone', 1, now() - interval '3 hours');`);
        const deadline = Date.now() + 30_000 * SLOW;
        let found;
        do { // the server counts a little later
            assert.ok(Date.now() < deadline, 'the table is not counted');
            found = await ask(settings);
        } while (found.checks['database.statistics'].outcome === 'ok');
        expect(found, 'database.commit', 'warning', /is off/);
        expect(found, 'database.connections', 'warning', /^\d+ are free, a process wants up to 14$/);
        expect(found, 'database.statistics', 'warning', /the table large was never analysed/);
        expect(found, 'database.partitions', 'warning', /^\w+_p\d{6} is missing$/);
        expect(found, 'work.leases', 'warning', /the owner of chain\/1 is gone for 3 h/);
        expect(found, 'database.durable', 'ok', /on$/);
        onlyProblems(found);
        change(database, 'ANALYZE large');
        assert.equal((await ask(settings)).checks['database.statistics'].outcome, 'ok');
    });
});

const onFile = ON_POSTGRES ? () => {} : describe;

onFile('a file', () => {
    test('of a daemon that was killed is read as it lies', async () => {
        const api = await Api.start();
        const { dir, database, child, ended } = api.daemon;
        child.kill('SIGKILL');
        await ended;
        assert.deepEqual(await survivors([api.daemon.pid]), []);
        api.provider.destroy();
        const settings = { 'store.url': database.url, 'http.port': 0,
            'chain.rpc_urls': 'http://127.0.0.1:1' };
        assert.ok(statSync(`${database.path}-wal`).size > 0, 'there is no log to read');
        const files = picture(dirname(database.path)).filter((line) => !line.includes('devchain'));
        const found = await ask(settings, { only: 'database' });
        assert.deepEqual(picture(dirname(database.path))
            .filter((line) => !line.includes('devchain')), files);
        expect(found, 'database.log', 'warning', /ended without closing/);
        expect(found, 'database.migrations', 'ok', /^\d+ of \d+$/);
        expect(found, 'database.integrity', 'ok', /yes/);

        rmSync(`${database.path}-shm`);
        const blind = await ask(settings, { only: 'database' });
        expect(blind, 'database.reachable', 'problem', /was not read back yet/);
        assert.ok(!existsSync(`${database.path}-shm`), 'looking made an index');
        assert.ok(dir.length > 0);
    });

    test('that another process uses past the daemon', async () => {
        const api = await Api.start();
        const { database } = api.daemon;
        const other = spawn('sqlite3', [database.path], { stdio: ['pipe', 'pipe', 'inherit'] });
        const deadline = Date.now() + 20_000 * SLOW;
        let said = '';
        other.stdout.on('data', (text) => { said += text; });
        other.stdin.write('BEGIN; SELECT count(*) FROM jobs;\n');
        while (said === '') {
            assert.ok(Date.now() < deadline, 'sqlite3 says nothing');
            await sleep(20);
        }
        try {
            const found = await ask({ 'store.url': database.url, 'http.port': 0 },
                { only: 'database' });
            expect(found, 'database.owner', 'warning',
                new RegExp(`^process ${other.pid} has locks on it, beside its owner ${api.daemon.pid}$`));
        } finally {
            other.stdin.end();
            await api.stop();
        }
    });

    test('that others may read, in a folder that is gone at the next start', async (t) => {
        const shm = '/dev/shm';
        if (!existsSync(shm)
            || execFileSync('stat', ['-f', '-c', '%T', shm], { encoding: 'utf8' }).trim() !== 'tmpfs') {
            t.skip('no tmpfs');
            return;
        }
        const dir = mkdtempSync(join(shm, 'freehold-test-'));
        try {
            mkdirSync(join(dir, 'data'));
            const url = `sqlite:${join(dir, 'data', 'freehold.db')}`;
            assert.equal((await run(['migrate', 'up', `--store.url=${url}`])).status, 0);
            let found = await ask({ 'store.url': url, 'http.port': 0 });
            expect(found, 'files.filesystem', 'warning', /tmpfs: it is gone/);
            chmodSync(join(dir, 'data', 'freehold.db'), 0o644);
            found = await ask({ 'store.url': url, 'http.port': 0 }, { only: 'files' });
            expect(found, 'files.database_mode', 'problem', /has mode 644$/);
            onlyProblems(found, 'files.database_mode');
        } finally {
            rmSync(dir, { recursive: true, force: true });
        }
    });

    test('that never answers costs its own checks, and its time', async () => {
        const path = join(folder(), 'freehold.db');
        execFileSync('mkfifo', ['-m', '600', path]); // to open one waits for somebody who writes
        const settings = { 'store.url': `sqlite:${path}`, 'http.port': 0 };
        const found = await ask(settings);
        expect(found, 'database.reachable', 'problem', /^the database did not answer within 15 s$/);
        expect(found, 'books.ledger', 'skipped', /did not answer within 20 s/);
        expect(found, 'files.folder', 'ok', /./);
        expect(found, 'http.port', 'ok', /./);
        onlyProblems(found, 'database.reachable');
    });

    test('that would be made where nothing can be made', async () => {
        const file = join(folder(), 'file');
        writeFileSync(file, '');
        const found = await ask({ 'store.url': `sqlite:${join(file, 'below', 'x.db')}`,
            'http.port': 0 });
        expect(found, 'files.folder', 'problem', /./);
    });
});
