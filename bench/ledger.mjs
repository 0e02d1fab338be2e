// Measures the ledger's transfers a second on both databases beside a two-column balance table on
// the same ones, and makes a Markdown section of it.
//
//     make bench-ledger                             print it
//     make bench-ledger RECORD=--record             write it to docs/performance.md too
//
// BENCH_SECONDS (1) is the time of one cell, BENCH_ROUNDS (3) how often each is measured; rounds go
// over all cells in turn and medians are shown, because the machine may be shared.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { record } from './record.mjs';

const SECONDS = process.env.BENCH_SECONDS ?? '1';
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);
const WHO = { ledger: 'one call', calls: 'a call each', naive: 'two columns' };
const BATCHES = [1, 10, 100, 1000];

const server = process.env.TEST_POSTGRES_URL;
if (server === undefined) {
    throw new Error('run it by tools/with-postgres, or by make bench-ledger');
}
const dir = mkdtempSync(join(tmpdir(), 'freehold-bench-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));

function measure({ database, who, threads, batch, accounts }) {
    const url = database === 'postgres' ? server
        : `sqlite:${join(dir, who === 'naive' ? 'naive.db' : 'ledger.db')}`;
    const { status, stdout, stderr } = spawnSync('build/bench/ledger',
        [who, url, String(threads), String(batch), accounts, SECONDS], { encoding: 'utf8' });
    if (status !== 0) {
        throw new Error(`${who} on ${database}: ${stderr}`);
    }
    return JSON.parse(stdout);
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const whole = (n) => Math.round(n).toLocaleString('en-US');

const cells = [];
for (const database of ['sqlite', 'postgres']) {
    for (const accounts of ['spread', 'hot']) {
        for (const threads of [1, 8]) {
            for (const batch of BATCHES) {
                for (const who of Object.keys(WHO)) {
                    if (who !== 'calls' || (batch > 1 && batch < 1000 && threads === 1)) {
                        cells.push({ database, accounts, threads, batch, who, runs: [] });
                    }
                }
            }
        }
    }
}
const loadBefore = loadavg()[0];
const begun = Date.now();
for (let round = 0; round < ROUNDS; round++) {
    process.stderr.write(`bench: ledger, round ${round + 1} of ${ROUNDS}\n`);
    cells.forEach((cell) => cell.runs.push(measure(cell)));
}

const of = (cell, key) => median(cell.runs.map((run) => run[key]));
function row(cell, peer) {
    const rate = of(cell, 'perSecond');
    return [cell.database === 'sqlite' ? 'SQLite' : 'PostgreSQL', cell.accounts, cell.threads,
        cell.batch, WHO[cell.who], whole(rate), of(peer, 'perSecond') === 0 ? '-' : (rate / of(peer, 'perSecond')).toFixed(2),
        (of(cell, 'p50Usec') / 1000).toFixed(2), (of(cell, 'p99Usec') / 1000).toFixed(2),
        of(cell, 'cpuUsec').toFixed(1), of(cell, 'again')];
}
const rows = cells.map((cell) => row(cell, cells.find((peer) => peer.who === 'naive' &&
    ['database', 'accounts', 'threads', 'batch'].every((key) => peer[key] === cell[key]))));
const line = (list) => `| ${list.join(' | ')} |`;

await record('ledger', process.argv.includes('--record'), `## The ledger

Measured on ${new Date().toISOString().slice(0, 10)} by \`make bench-ledger\` in ${
    Math.round((Date.now() - begun) / 1000)} s, ${cpus().length} cores, load average ${
    loadBefore.toFixed(2)} before and ${loadavg()[0].toFixed(2)} after (the machine is shared);
${ROUNDS} round${ROUNDS === 1 ? '' : 's, medians,'} of ${SECONDS} s a cell. Every transaction is on the disk before the next one of its thread
begins; the books are audited after each cell. *one call*: the batch is linked in one call; *a call
each*: as many calls in one transaction; *two columns*: what it is measured against, two prepared
\`UPDATE\`s of a balance and an \`INSERT\` a transfer, in one transaction at READ COMMITTED, 64-bit
integers on SQLite, without idempotency, holds, origins, totals of both sides, entry numbers and undo.
*hot*: every transfer takes from one account; *spread*: any of 10,000. *CPU* is of the client for
PostgreSQL, of everything for SQLite. *again*: transactions that lost a race or met a deadlock and ran again.

${line(['database', 'accounts', 'threads', 'batch', 'how', 'transfers/s', 'of two columns', 'p50 ms', 'p99 ms',
    'CPU µs a transfer', 'again'])}
${line(['---', '---', '--:', '--:', '---', '--:', '--:', '--:', '--:', '--:', '--:'])}
${rows.map(line).join('\n')}
`);
