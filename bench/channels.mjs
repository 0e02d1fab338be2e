// Measures what payment channels take (x402 batch-settlement) and makes a Markdown section of it.
//
//     make bench-channels                          print it
//     make bench-channels RECORD=--record          write it to docs/performance.md too
//
// BENCH_ROUNDS (3) is how often each cell is measured; rounds go over all cells in turn and medians
// are shown, because the machine may be shared. Each measurement has a database of its own.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { record } from './record.mjs';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);
const COUNT = Number(process.env.BENCH_VOUCHERS ?? 40_960);
const WAYS = [
    ['none', 'verify', 'read and verified', cpus().length, COUNT],
    ['sqlite', 'charge', 'and charged, durable', 16, COUNT / 2],
    ['sqlite', 'charge', 'and charged, durable', 256, COUNT],
    ['sqlite', 'many', 'and charged 64 at a time, durable', 4, COUNT],
    ['sqlite', 'take', 'reserved, then charged, both durable', 256, COUNT],
    ['postgres', 'charge', 'and charged, durable', 24, COUNT / 4],
    ['postgres', 'many', 'and charged 64 at a time, durable', 8, COUNT],
    ['postgres', 'take', 'reserved, then charged, both durable', 24, COUNT / 4],
];
const NAMES = { none: '–', sqlite: 'SQLite', postgres: 'PostgreSQL' };

const server = process.env.TEST_POSTGRES_URL;
if (server === undefined) {
    throw new Error('run it by tools/with-postgres, or by make bench-channels');
}
const dir = mkdtempSync(join(tmpdir(), 'freehold-bench-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));

function run(program, args) {
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
    if (status !== 0) {
        throw new Error(`${program} ${args[0]}: ${stderr}`);
    }
    return stdout;
}

let made = 0;
function measure([database, way, , threads, count]) {
    const name = `bench_${++made}`;
    const file = join(dir, `${name}.db`);
    if (database === 'postgres') {
        run('psql', ['-qX', server, '-c', `CREATE DATABASE ${name}`]);
    }
    const url = database === 'postgres' ? server.replace(/\/[^/]*$/, `/${name}`) : `sqlite:${file}`;
    const answer = run('build/bench/channels', [way, url, String(threads), String(count)]);
    if (database === 'postgres') {
        run('psql', ['-qX', server, '-c', `DROP DATABASE ${name} WITH (FORCE)`]);
    } else {
        ['', '-wal', '-shm', '.lock'].forEach((end) => rmSync(file + end, { force: true }));
    }
    return JSON.parse(answer);
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const whole = (n) => Math.round(n).toLocaleString('en-US');

const cells = WAYS.map((way) => ({ way, runs: [] }));
const loadBefore = loadavg()[0];
const begun = Date.now();
for (let round = 0; round < ROUNDS; round++) {
    process.stderr.write(`bench: channels, round ${round + 1} of ${ROUNDS}\n`);
    cells.forEach((cell) => cell.runs.push(measure(cell.way)));
}

const rows = cells.map(({ way: [database, , title, threads], runs }) => {
    const cpu = median(runs.map((r) => r.cpu_usec));
    const both = database === 'postgres' ? '–' : whole(cpus().length * 1e6 / cpu);
    return `| ${NAMES[database]} | ${title} | ${threads} | ${
        whole(median(runs.map((r) => r.per_second)))} | ${cpu.toFixed(1)} | ${both} |`;
});

await record('channels', process.argv.includes('--record'), `## Payment channels

Measured on ${new Date().toISOString().slice(0, 10)} by \`make bench-channels\` in ${
    Math.round((Date.now() - begun) / 1000)} s, ${cpus().length} cores, load average ${
    loadBefore.toFixed(2)} before and ${loadavg()[0].toFixed(2)} after (the machine is shared);
medians of ${ROUNDS} interleaved rounds, each in a database of its own. A voucher begins as the header that a client sends: base64,
JSON, the echoed offer, the channel's id, the signature; 1,024 channels, of which a thread has one at a
time. Every commit is on the disk. *CPU* is of everything for SQLite and of the client for PostgreSQL;
*by CPU* is what all cores would do with nobody else on them.

| database | vouchers | threads | per second | CPU µs | by CPU |
| --- | --- | --: | --: | --: | --: |
${rows.join('\n')}
`);
