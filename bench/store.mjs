// Measures the statement layer beside libpq and SQLite on the same databases, and makes a Markdown
// section of it.
//
//     make bench-store                             print it
//     make bench-store RECORD=--record             write it to docs/performance.md too
//
// BENCH_ROUNDS (3) is how often each cell is measured; rounds go over all cells in turn and medians
// are shown, because the machine may be shared. Each measurement has a database of its own.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { record } from './record.mjs';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);
const ROWS = Number(process.env.BENCH_ROWS ?? 100_000);
const WAYS = [
    ['load', '`rows: load`', { sqlite: 'prepared inserts', postgres: 'COPY' }, ROWS],
    ['set', '`rows: set`', { sqlite: 'prepared inserts', postgres: '`VALUES` of 500 rows' }, ROWS],
    ['each', 'rows without a line', { sqlite: 'prepared inserts', postgres: 'pipeline' }, ROWS],
    ['single', 'a statement a row', { sqlite: 'prepared inserts', postgres: 'prepared inserts' }, ROWS / 4],
    ['event', 'events (`rows: load`)', { sqlite: 'prepared inserts', postgres: 'COPY' }, ROWS],
    ['read', 'read by key, a snapshot each', { sqlite: 'prepared', postgres: 'prepared' }, ROWS / 4],
    ['commit', 'commits, one thread', { sqlite: 'one connection', postgres: 'one connection' }, 2000],
    ['commit8', 'commits, 8 threads', { sqlite: '8 connections', postgres: '8 connections' }, 8000],
];

const server = process.env.TEST_POSTGRES_URL;
if (server === undefined) {
    throw new Error('run it by tools/with-postgres, or by make bench-store');
}
const dir = mkdtempSync(join(tmpdir(), 'freehold-bench-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));

function run(program, args) {
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
    if (status !== 0) {
        throw new Error(`${program} ${args[0]} ${args[1]}: ${stderr}`);
    }
    return stdout;
}

let made = 0;
function measure({ database, way, how, count }) {
    const name = `bench_${++made}`;
    const file = join(dir, `${name}.db`);
    if (database === 'postgres') {
        run('psql', ['-qX', server, '-c', `CREATE DATABASE ${name}`]);
    }
    const url = database === 'postgres' ? server.replace(/\/[^/]*$/, `/${name}`) : `sqlite:${file}`;
    const answer = run('build/bench/store', [way, how, url, String(count)]).trim().split('\n').at(-1);
    if (database === 'postgres') {
        run('psql', ['-qX', server, '-c', `DROP DATABASE ${name} WITH (FORCE)`]);
    } else {
        ['', '-wal', '-shm', '.lock'].forEach((end) => rmSync(file + end, { force: true }));
    }
    return JSON.parse(answer);
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const whole = (n) => Math.round(n).toLocaleString('en-US');

const cells = ['sqlite', 'postgres'].flatMap((database) => WAYS.flatMap(([way, , , count]) =>
    ['raw', 'layer'].map((how) => ({ database, way, how, count, runs: [] }))));
const loadBefore = loadavg()[0];
const begun = Date.now();
for (let round = 0; round < ROUNDS; round++) {
    process.stderr.write(`bench: store, round ${round + 1} of ${ROUNDS}\n`);
    cells.forEach((cell) => cell.runs.push(measure(cell)));
}

const of = (database, way, how, figure) => median(cells
    .find((c) => c.database === database && c.way === way && c.how === how).runs.map((r) => r[figure]));
const rows = ['sqlite', 'postgres'].flatMap((database) => WAYS.map(([way, title, against]) => {
    const [raw, layer] = ['raw', 'layer'].map((how) => of(database, way, how, 'perSecond'));
    const [rawCpu, layerCpu] = ['raw', 'layer'].map((how) => of(database, way, how, 'cpuUsec'));
    return `| ${database === 'sqlite' ? 'SQLite' : 'PostgreSQL'} | ${title} | ${whole(layer)} | ` +
        `${against[database]} | ${whole(raw)} | ${(raw / layer).toFixed(2)} | ` +
        `${layerCpu.toFixed(1)} | ${rawCpu.toFixed(1)} |`;
}));

await record('store', process.argv.includes('--record'), `## The statement layer

Measured on ${new Date().toISOString().slice(0, 10)} by \`make bench-store\` in ${
    Math.round((Date.now() - begun) / 1000)} s, ${cpus().length} cores, load average ${
    loadBefore.toFixed(2)} before and ${loadavg()[0].toFixed(2)} after (the machine is shared);
medians of ${ROUNDS} interleaved rounds, ${whole(ROWS)} rows of about 190 bytes in one transaction on an empty table with a
number and a unique name; each round in a database of its own. *Beside it* is the same work on the
same database by libpq or SQLite directly: binary values, prepared, written for this table. The *ratio* is
its rate by ours: how many times slower the layer is. Events go into a partitioned table with five
indexes and a table of keys on PostgreSQL, into a table with six on SQLite. Every commit is on the
disk. *CPU* is of the client for PostgreSQL, of everything for SQLite.

| database | what | per second | beside it | per second | ratio | CPU µs | CPU µs beside |
| --- | --- | --: | --- | --: | --: | --: | --: |
${rows.join('\n')}
`);
