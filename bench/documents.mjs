// Measures how much memory a daemon needs while large documents are uploaded to it at once, and how
// long they take, and makes a Markdown section of it.
//
//     make bench-documents                        print it
//     make bench-documents RECORD=--record        write it to docs/performance.md too
//
// BENCH_UPLOADS (8) uploads of BENCH_MIB (50) MiB each, by curl from files, in BENCH_ROUNDS (3) rounds of
// fresh files. Memory is what the daemon has resident (VmRSS), looked at every 5 ms.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ON_POSTGRES } from '../tests/support/database.mjs';
import { Daemon, folder } from '../tests/support/program.mjs';
import { record } from './record.mjs';

const UPLOADS = Number(process.env.BENCH_UPLOADS ?? 8);
const MIB = Number(process.env.BENCH_MIB ?? 50);
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);

const dir = folder();
const daemon = await Daemon.start({});
const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))[1]);
const mib = (kib) => `${(kib / 1024).toFixed(1)} MiB`;

function make(name, size) {
    const head = Buffer.from('%PDF-1.7\n');
    const tail = Buffer.from('\n%%EOF\n');
    const path = join(dir, name);
    writeFileSync(path, Buffer.concat([head, randomBytes(size - head.length - tail.length), tail]));
    return path;
}

async function upload(path) {
    const { stdout } = await promisify(execFile)('curl', ['-sS', '-o', join(dir, 'answer'), '-w', '%{http_code}',
        '-F', `document=@${path}`, `${daemon.url}/documents`]);
    if (stdout !== '201') {
        throw new Error(`${path}: ${stdout}`);
    }
}

await upload(make('first.pdf', 4096)); // what the first of all needs is not theirs
const rows = [];
for (let round = 0; round < ROUNDS; round++) {
    const paths = Array.from({ length: UPLOADS }, (_, i) => make(`${i}.pdf`, MIB << 20));
    const before = resident();
    let most = before;
    let going = true;
    const watching = (async () => {
        for (; going; await sleep(5)) {
            most = Math.max(most, resident());
        }
    })();
    const begun = performance.now();
    await Promise.all(paths.map(upload));
    const took = (performance.now() - begun) / 1000;
    going = false;
    await watching;
    rows.push(`| ${round + 1} | ${mib(before)} | ${mib(most)} | ${mib(most - before)} | ${took.toFixed(1)} s | ${
        Math.round(UPLOADS * MIB / took)} MiB/s |`);
}
await daemon.stop();
await record('documents', process.argv.includes('--record'), `## Documents

${UPLOADS} uploads of ${MIB} MiB at once, hashed, synced and committed before they are answered, on ${ON_POSTGRES
    ? 'PostgreSQL' : 'SQLite'}; what the daemon has
resident; ${new Date().toISOString().slice(0, 10)}, load of the machine at the end ${loadavg()[0].toFixed(1)}.

| round | before | most | more | time | together |
|---:|---:|---:|---:|---:|---:|
${rows.join('\n')}
`);
process.exit(0);
