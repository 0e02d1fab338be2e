// Measures the job queue beside BullMQ, pg-boss and graphile-worker, and while an old transaction
// holds back vacuum, and makes a Markdown section of it.
//
//     make bench-jobs                             print it
//     make bench-jobs RECORD=--record             write it to docs/performance.md too
//
// BENCH_JOBS (100000) jobs a cell for us, a fifth for the peers; BENCH_ROUNDS (3) rounds go over all
// cells in turn and medians are shown, because the machine may be shared; BENCH_HOLD_SECONDS (300) is
// how long the old transaction is held, 0 leaves that out. Beside wall time the CPU time of the
// server (its processes, from /proc) is told for us: it does not depend on who else is at work.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { record } from './record.mjs';

const JOBS = Number(process.env.BENCH_JOBS ?? 100000);
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);
const HOLD = Number(process.env.BENCH_HOLD_SECONDS ?? 300);
const LATENCIES = 500;

const server = process.env.TEST_POSTGRES_URL;
if (server === undefined) {
    throw new Error('run it by make bench-jobs');
}
const dir = mkdtempSync(join(tmpdir(), 'freehold-bench-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));

const say = (text) => process.stderr.write(`bench: ${text}\n`);
const sql = (...lines) => execFileSync('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', server,
    ...lines.flatMap((line) => ['-c', line])], { encoding: 'utf8' });

// ---- the servers --------------------------------------------------------------------------------

// A server with a cache that holds the table and with room for its log, as one that matters has.
sql('ALTER SYSTEM SET shared_buffers = \'512MB\'', 'ALTER SYSTEM SET max_wal_size = \'8GB\'');
execFileSync('tools/with-postgres', ['--do', 'restart']);

const freePort = () => new Promise((done) => {
    const listening = createServer().listen(0, '127.0.0.1', () => {
        const { port } = listening.address();
        listening.close(() => done(port));
    });
});

async function redis(appendfsync) {
    const port = await freePort();
    const child = spawn('redis-server', ['--port', port, '--bind', '127.0.0.1', '--save', '', '--dir',
        mkdtempSync(join(dir, 'redis-')), '--appendonly', 'yes', '--appendfsync', appendfsync],
    { stdio: 'ignore' });
    process.on('exit', () => child.kill());
    await sleep(1000);
    return { port, stop: () => child.kill() };
}

const stat = (pid) => readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ').map(Number);
const hertz = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** CPU time of the database server and of its processes, those that ended too. Units: microseconds. */
function serverCpu() {
    const main = Number(readFileSync(join(process.env.TEST_POSTGRES_FOLDER, 'data/postmaster.pid'), 'utf8')
        .split('\n')[0]);
    let ticks = 0;
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number)) {
        try {
            const fields = stat(pid);
            ticks += pid === main ? fields[11] + fields[12] + fields[13] + fields[14]
                : fields[1] === main ? fields[11] + fields[12] : 0;
        } catch {
            // it ended meanwhile; its parent has it
        }
    }
    return ticks * 1e6 / hertz;
}

// ---- cells --------------------------------------------------------------------------------------

function lines(command, args, env = {}) {
    const { status, signal, error, stdout, stderr } = spawnSync(command, args,
        { encoding: 'utf8', env: { ...process.env, DATABASE_URL: server, ...env }, timeout: 600000 });
    if (status !== 0) {
        throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? signal ?? status} ${stderr}`);
    }
    return stdout.split('\n').filter((line) => line.startsWith('{"kind"')).map((line) => JSON.parse(line));
}

function ours(url, ...args) {
    const before = serverCpu();
    const found = lines('build/bench/jobs', [url, ...args.map(String)]);
    const cpu = serverCpu() - before;
    return found.map((line) => ({ ...line, cpuUsec: cpu / Number(args[1]) }));
}

const peer = (who, what, n, env) => lines('node', ['bench/jobs-peer.mjs', who, what, String(n)], env);
const results = [];
const keep = (name, found) => found.forEach((line) => results.push({ ...line, name }));
const empty = () => sql('TRUNCATE jobs', 'VACUUM ANALYZE jobs');

function roundOfOurs() {
    const file = `sqlite:${join(dir, 'jobs.db')}`;
    keep('postgres-many', ours(server, 'many', JOBS));
    keep('postgres-drain', ours(server, 'drain', JOBS, 2, 500, 3600));
    empty();
    ours(server, 'many', JOBS);
    keep('postgres-drain-forget', ours(server, 'drain', JOBS, 2, 500, 0));
    empty();
    keep('postgres-single', ours(server, 'single', JOBS / 20));
    keep('postgres-single-drain', ours(server, 'drain', JOBS / 20, 1, 500, 0));
    keep('postgres-latency', ours(server, 'latency', LATENCIES));
    empty();
    keep('sqlite-many', lines('build/bench/jobs', [file, 'many', String(JOBS)]));
    keep('sqlite-drain', lines('build/bench/jobs', [file, 'drain', String(JOBS), '1', '500', '0']));
    keep('sqlite-single', lines('build/bench/jobs', [file, 'single', String(JOBS / 20)]));
    lines('build/bench/jobs', [file, 'drain', String(JOBS / 20), '1', '500', '0']);
}

async function roundOfPeers() {
    const few = JOBS / 5;
    for (const fsync of ['always', 'everysec']) {
        const r = await redis(fsync);
        for (const what of ['many', 'drain', 'latency']) {
            keep(`bullmq-${fsync}-${what}`,
                peer('bullmq', what, what === 'latency' ? LATENCIES : few, { REDIS_PORT: String(r.port) }));
        }
        r.stop();
    }
    for (const who of ['pg-boss', 'graphile-worker']) {
        for (const what of ['many', 'drain', 'latency']) {
            keep(`${who}-${what}`, peer(who, what, what === 'latency' ? LATENCIES : few));
        }
    }
}

const doneOf = (found) => found.reduce((sum, line) => sum + line.perSecond * 10, 0);

function steady(seconds) {
    const before = serverCpu();
    const found = lines('build/bench/jobs', [server, 'steady', String(seconds), '2', '500', '0']);
    return { found, cpuUsec: (serverCpu() - before) / doneOf(found) };
}

/**
 * As fast as it goes, first without, then with a transaction that holds its snapshot; the last third
 * of each is compared, when what was done since cannot be cleaned away.
 */
async function holding() {
    empty();
    const free = steady(60);
    empty();
    const holder = spawn('psql', ['-X', '-q', '-d', server, '-c',
        'BEGIN ISOLATION LEVEL REPEATABLE READ', '-c', 'SELECT count(*) FROM jobs', '-c',
        `SELECT pg_sleep(${HOLD + 60})`], { stdio: 'ignore' });
    await sleep(1000);
    const held = steady(HOLD);
    holder.kill();
    empty();
    return { free, held };
}

// ---- the section --------------------------------------------------------------------------------

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const whole = (n) => Math.round(n).toLocaleString('en-US');
const of = (name, member, what) => median(results
    .filter((line) => line.name === name && (what === undefined || line.what === what))
    .map((line) => line[member]));
const msec = (usec) => (usec / 1000).toFixed(1);
const version = (name) => JSON.parse(readFileSync(`bench/node_modules/${name}/package.json`)).version;

function table(head, rows) {
    const line = (cells) => `| ${cells.join(' | ')} |`;
    return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '--:'))), ...rows.map(line)].join('\n');
}

function peersTable() {
    const name = (who) => `${who} ${version(who)}`;
    const rows = [
        ['Freehold on PostgreSQL', 'postgres', 'postgres-drain-forget'],
        [`${name('bullmq')}, appendfsync always`, 'bullmq-always', 'bullmq-always-drain'],
        [`${name('bullmq')}, appendfsync everysec`, 'bullmq-everysec', 'bullmq-everysec-drain'],
        [name('graphile-worker'), 'graphile-worker', 'graphile-worker-drain'],
        [name('pg-boss'), 'pg-boss', 'pg-boss-drain'],
    ];
    return table(['', 'added a second, in bulk', 'done a second', 'wake-up p50 ms', 'p99 ms'],
        rows.map(([title, prefix, drain]) => [title, whole(of(`${prefix}-many`, 'perSecond')),
            whole(of(drain, 'perSecond')), msec(of(`${prefix}-latency`, 'p50Usec', 'latency')),
            msec(of(`${prefix}-latency`, 'p99Usec', 'latency'))]));
}

function oursTable() {
    const cell = (name, member = 'perSecond') => whole(of(name, member));
    const cpu = (name) => of(name, 'cpuUsec').toFixed(0);
    return table(['Freehold', 'a second', 'server CPU µs a job'], [
        ['PostgreSQL: enqueue, a thousand a transaction', cell('postgres-many'), cpu('postgres-many')],
        ['PostgreSQL: enqueue, one a transaction, four threads', cell('postgres-single'), cpu('postgres-single')],
        ['PostgreSQL: done, rows kept (`jobs.retention`)', cell('postgres-drain'), cpu('postgres-drain')],
        ['PostgreSQL: done, rows forgotten (`jobs.retention` 0s)', cell('postgres-drain-forget'),
            cpu('postgres-drain-forget')],
        ['SQLite: enqueue, a thousand a transaction', cell('sqlite-many'), ''],
        ['SQLite: enqueue, one a transaction, four threads', cell('sqlite-single'), ''],
        ['SQLite: done, rows forgotten', cell('sqlite-drain'), ''],
    ]);
}

function holdingText({ free, held }) {
    const mean = (found) => found.reduce((sum, line) => sum + line.perSecond, 0) / found.length;
    const third = (found) => found.slice(-Math.max(1, Math.floor(found.length / 3)));
    const without = mean(third(free.found));
    const last = mean(third(held.found));
    const done = doneOf(held.found);
    return `While a transaction holds its snapshot for ${HOLD} s (${whole(done)} jobs done meanwhile, none of `
        + `whose rows can be cleaned away): ${whole(mean(held.found.slice(0, 3)))} jobs a second enqueued and done at its `
        + `beginning, ${whole(last)} in its last third; without one ${whole(without)}. That is `
        + `${Math.abs((1 - last / without) * 100).toFixed(0)} % ${last < without ? 'less' : 'more'}. Server CPU for a job enqueued and `
        + `done: ${held.cpuUsec.toFixed(0)} µs, without one ${free.cpuUsec.toFixed(0)} µs.`;
}

const load = loadavg()[0];
for (let round = 1; round <= ROUNDS; round++) {
    say(`jobs, round ${round} of ${ROUNDS}`);
    roundOfOurs();
    await roundOfPeers();
}
say(HOLD > 0 ? `jobs, while a transaction is held for ${HOLD} s` : 'jobs: no transaction is held');
const held = HOLD > 0 ? holdingText(await holding()) : '';

await record('jobs', process.argv.includes('--record'), `## Jobs

\`make bench-jobs\` on ${new Date().toISOString().slice(0, 10)}: ${ROUNDS} rounds, medians. ${cpus().length} cores, ${cpus()[0].model.trim()}; load average ${load.toFixed(1)} before and
${loadavg()[0].toFixed(1)} after. All on one machine and in one run, PostgreSQL with fsync and a commit that waits for the disk. Jobs do nothing.
Two processes with four threads complete ours; each peer runs in one Node process, with its own batching, which is
how it is fastest. Wake-up is from when the call that adds a job has returned to the start of its handler in another
process. Peers that forget a job when it is done (BullMQ as configured, graphile-worker) compare with ours that does so.

${peersTable()}

${oursTable()}

${held}
`);
process.exit(0);
