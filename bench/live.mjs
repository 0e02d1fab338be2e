// Measures how long an event needs from the node's announcement of its block to its committed row,
// with everything verified, and makes a Markdown section of it.
//
//     make bench-live                             print it
//     make bench-live RECORD=--record             write it to docs/performance.md too
//
// BENCH_BLOCKS (300) blocks a cell, one every BENCH_GAP (50) ms, on an anvil of its own that mines
// when it is told to: with one mint of a test coin (one Transfer) in each, with ten, with a hundred.
// Beside it stands what the node alone needs to tell the transactions of such a block, which are
// asked for to prove their hashes.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ContractFactory, HDNodeWallet, Interface, JsonRpcProvider, Mnemonic } from 'ethers';
import { databaseOf } from '../tests/support/database.mjs';
import { record } from './record.mjs';

const BLOCKS = Number(process.env.BENCH_BLOCKS ?? 300);
const GAP = Number(process.env.BENCH_GAP ?? 50);
const PHRASE = 'test test test test test test test test test test test junk';
const artifact = JSON.parse(readFileSync('contracts/artifacts/TestStablecoin.json', 'utf8'));
const onPostgres = process.env.TEST_DATABASE === 'postgres';

const say = (text) => process.stderr.write(`bench: ${text}\n`);
const dir = mkdtempSync(join(tmpdir(), 'freehold-bench-'));
const children = [];
/** Ends a child with what it has started: npm's anvil is a script that starts the program. */
function end(child) {
    try {
        process.kill(-child.pid, 'SIGKILL');
    } catch {
        // it has ended
    }
}
['SIGINT', 'SIGTERM'].forEach((signal) => process.on(signal, () => process.exit(1)));
process.on('exit', () => {
    children.forEach(end);
    rmSync(dir, { recursive: true, force: true });
});

function start(program, args, stdio) {
    const child = spawn(program, args, { stdio, detached: true });
    children.push(child);
    return child;
}

const freePort = () => new Promise((done) => {
    const listening = createServer().listen(0, '127.0.0.1', () => {
        const { port } = listening.address();
        listening.close(() => done(port));
    });
});

async function startChain() {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const child = start('node_modules/.bin/anvil', ['--silent', '--port', String(port),
        '--gas-limit', '1000000000', '--no-request-size-limit', '--cache-path', join(dir, 'anvil')], 'ignore');
    const provider = new JsonRpcProvider(url, 31337, { staticNetwork: true, cacheTimeout: -1 });
    for (let tries = 0; ; tries++) {
        try {
            await provider.getBlockNumber();
            break;
        } catch (error) {
            if (tries > 200) {
                throw error;
            }
            await sleep(50);
        }
    }
    const owner = HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(PHRASE)).connect(provider);
    const coin = await new ContractFactory(artifact.abi, artifact.bytecode, owner).deploy();
    await coin.waitForDeployment();
    await provider.send('evm_setAutomine', [false]);
    return { url, provider, from: owner.address, coin: await coin.getAddress(), child };
}

/** Makes a block with so many mints. */
async function mine(chain, events, salt) {
    const face = new Interface(artifact.abi);
    const calls = Array.from({ length: events }, (_, i) => ({
        jsonrpc: '2.0', id: i, method: 'eth_sendTransaction', params: [{
            from: chain.from, to: chain.coin, gas: '0x30d40', // 200,000
            data: face.encodeFunctionData('mint',
                [`0x${(salt * 1000 + i + 1).toString(16).padStart(40, '0')}`, 1]),
        }],
    }));
    const reply = await fetch(chain.url, { method: 'POST', body: JSON.stringify(calls),
        headers: { 'content-type': 'application/json' } });
    const failed = (await reply.json()).find(({ error }) => error);
    if (failed) {
        throw new Error(JSON.stringify(failed));
    }
    await chain.provider.send('evm_mine', []);
}

async function measure(events) {
    const chain = await startChain();
    const { url } = databaseOf(mkdtempSync(join(dir, 'cell-')));
    const child = start(`${process.env.B ?? 'build'}/bench/live`,
        [chain.url, chain.url.replace('http', 'ws'), url, chain.coin, String(BLOCKS)],
        ['ignore', 'pipe', 'inherit']);
    const lines = createInterface({ input: child.stdout });
    let said;
    const ready = new Promise((done, fail) => {
        lines.on('line', (line) => (line === 'ready' ? done() : (said = JSON.parse(line))));
        child.on('close', (status) => fail(new Error(`ended with ${status}`)));
    });
    const ended = new Promise((done) => { lines.on('close', done); });
    await ready;
    for (let i = 0; i < BLOCKS; i++) {
        await mine(chain, events, i + 1);
        await sleep(GAP);
    }
    await ended;
    const nodeUsec = await nodeTime(chain);
    chain.provider.destroy();
    end(chain.child);
    if (said === undefined) {
        throw new Error(`nothing was measured (${child.exitCode} ${child.signalCode})`);
    }
    return { ...said, nodeUsec };
}

/** The median time in which the node answers for the transactions of its last blocks. Units: usec. */
async function nodeTime(chain) {
    const took = [];
    const head = await chain.provider.getBlockNumber();
    for (let i = 0; i < 15; i++) {
        const begun = performance.now();
        await chain.provider.send('eth_getBlockByNumber', [`0x${(head - i).toString(16)}`, true]);
        took.push(performance.now() - begun);
    }
    return took.sort((a, b) => a - b)[7] * 1000;
}

const ms = (usec) => `${(usec / 1000).toFixed(1)} ms`;
const rows = [];
for (const events of [1, 10, 100]) {
    const said = await measure(events);
    say(JSON.stringify(said));
    rows.push(`| ${events} | ${said.blocks} | ${ms(said.p50Usec)} | ${ms(said.p90Usec)} | ${ms(said.p99Usec)} | ${
        ms(said.maxUsec)} | ${ms(said.nodeUsec)} |`);
}
await record(onPostgres ? 'live_postgres' : 'live', process.argv.includes('--record'), `## Live, on ${onPostgres
    ? 'PostgreSQL' : 'SQLite'}

From the node's announcement of a block (WebSocket) to the committed rows of its events, headers, receipts and transactions
verified; ${BLOCKS} blocks a row, one every ${GAP} ms, anvil on the same machine; ${new Date().toISOString().slice(0, 10)},
load of the machine at the end ${loadavg()[0].toFixed(1)}.

| events a block | blocks | p50 | p90 | p99 | longest | the node, for the transactions |
|---:|---:|---:|---:|---:|---:|---:|
${rows.join('\n')}
`);
process.exit(0);
