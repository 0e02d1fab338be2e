// Makes a Markdown report of the lines that bench/run collected.
//
//     node report.mjs RESULTS.jsonl DATE LOAD_BEFORE LOAD_AFTER SECONDS
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';

const [path, date, loadBefore, loadAfter, seconds] = process.argv.slice(2);
const lines = readFileSync(path, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
const kind = (name) => lines.filter((line) => line.kind === name);

function median(values) {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const whole = (n) => Math.round(n).toLocaleString('en-US');
const msec = (usec) => (usec / 1000).toFixed(usec < 10000 ? 2 : 0);
const times = (ratio) => (ratio >= 10 ? whole(ratio) : ratio.toFixed(1)) + '×';
const version = (name) => JSON.parse(readFileSync(`bench/node_modules/${name}/package.json`)).version;

function table(head, rows) {
    const line = (cells) => `| ${cells.join(' | ')} |`;
    return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '--:'))), ...rows.map(line)].join('\n');
}

const OPERATIONS = {
    keccak_64: 'Keccak-256 of 64 bytes',
    keccak_1024: 'Keccak-256 of 1,024 bytes',
    abi_encode: 'ABI: encode a lease intent',
    abi_decode: 'ABI: decode a lease intent',
    lease_digest: 'digest of a lease intent',
    mail_digest: 'EIP-712 digest of the standard Mail',
    sign: 'sign a digest',
    recover: 'recover the signer',
};

function computing() {
    const rows = [];
    for (const [op, title] of Object.entries(OPERATIONS)) {
        const of = (who) => kind('crypto').filter((line) => line.op === op && line.who === who);
        if (new Set(kind('crypto').filter((l) => l.op === op).map((l) => l.witness)).size !== 1) {
            throw new Error(`${op}: the three do not agree on the result`);
        }
        const [ours, ethers, viem] =
            ['freehold', 'ethers', 'viem'].map((who) => median(of(who).map((l) => l.perSecond)));
        rows.push([title, whole(ours), whole(ethers), times(ours / ethers), whole(viem), times(ours / viem)]);
    }
    return table(['per second, one thread', 'Freehold', `ethers ${version('ethers')}`, 'ratio',
        `viem ${version('viem')}`, 'ratio'], rows);
}

function serving() {
    const rows = [];
    for (const connections of new Set(kind('http').map((line) => line.connections))) {
        for (const who of ['freehold', 'fastify']) {
            const of = kind('http').filter((l) => l.connections === connections && l.who === who);
            if (of.length === 0) {
                continue;
            }
            const of_ = (member) => median(of.map((line) => line[member]));
            rows.push([`${who === 'fastify' ? `Fastify ${version('fastify')}` : 'Freehold'}, ${whole(connections)} connections`,
                whole(of_('perSecond')), msec(of_('p50Usec')), msec(of_('p99Usec')),
                of_('cpuUsec').toFixed(1), whole(of.reduce((sum, l) => sum + l.errors, 0))]);
        }
    }
    return table(['GET of one asset', 'requests/s', 'p50 ms', 'p99 ms', 'CPU µs/request', 'errors'], rows);
}

function lifecycle() {
    const demos = kind('demo');
    const of = (member) => {
        const values = demos.map((line) => line[member]);
        return [median(values), Math.min(...values), Math.max(...values)].map((v) => v.toFixed(2));
    };
    return table(['`freehold demo complete`, seconds', 'median', 'least', 'most'],
        [['chain work', ...of('chainSeconds')], ['in all', ...of('totalSeconds')]]);
}

function peer() {
    const [about] = kind('peer');
    if (about.missing) {
        return `Fastify was left out of this run: ${about.missing}`;
    }
    return `Both answer the same ${about.bytes} bytes of body (compared before measuring) from the same row of the `
        + `same SQLite file; Fastify through ${about.sqlite}, without logging, with checksummed addresses computed `
        + 'once and remembered. The load generator is `wrk -t1` on the same machine, so that it takes a core away '
        + 'from whoever is measured: CPU time per request (user and system, from `/proc/PID/stat`) is the steadier '
        + 'figure.';
}

const rounds = Math.round(kind('crypto').length / (3 * Object.keys(OPERATIONS).length));
const passed = kind('demo').every((line) => line.passed === line.steps);
console.log(`# Performance

<!-- Written by \`bench/run --record\`; do not edit. -->

Measured on ${date} by \`make bench\` in ${seconds} s. ${cpus().length} cores, ${cpus()[0].model.trim()},
${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}; load average ${loadBefore} before and ${loadAfter} after. Medians of interleaved rounds;
the machine is shared, so that figures of two runs differ by tens of percent. Ratios are of one run.

## Computing

What every lease needs, ${rounds} rounds. Each program prints a hash of each result; the report is made only when all three agree.

${computing()}

## Serving

${peer()}

${serving()}

## The lifecycle

${kind('demo').length} runs, ${passed ? 'every step of each checked' : 'NOT ALL STEPS PASSED'}: a fresh chain, a fresh database, twelve steps, each compared with the
chain and the database. Chain work is the time from a request to its confirmed effect; the rest is starting and
stopping chain and daemon, and the checks.

${lifecycle()}`);
