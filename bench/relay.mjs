// Measures the relay beside ethers' NonceManager and viem's nonceManager, on one anvil that makes a
// block a second, and makes a Markdown section of it.
//
//     make bench-relay                            print it
//     make bench-relay RECORD=--record            write it to docs/performance.md too
//
// BENCH_TRANSACTIONS (2000) a cell, asked for by 64 at once: a mint of a test coin, so that what was
// mined is counted by what it did. Each cell has a chain and a database of its own. In the disturbed
// cells the node is behind a proxy that swallows ten of the sent transactions: it answers with their
// hash and forgets them. Peers keep nothing on a disk; what they have not mined after BENCH_PATIENCE
// (60) seconds without progress counts as stuck. Accepting is measured within the program and over
// HTTP: POST of an asset type, which is checked, stored, audited and relayed like all else;
// BENCH_RATE (2000) a second for BENCH_SECONDS (5), each counted from when it was due. BENCH_PARTS
// ("mined accepted") leaves one of the two out.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
    Contract, ContractFactory, HDNodeWallet, JsonRpcProvider, Mnemonic, NonceManager,
} from 'ethers';
import { createWalletClient, createPublicClient, http } from 'viem';
import { mnemonicToAccount } from 'viem/accounts';
import { foundry } from 'viem/chains';
import { createNonceManager, jsonRpc } from 'viem/nonce';
import { FaultProxy } from '../tests/support/fault-proxy.mjs';
import { record } from './record.mjs';

const COUNT = Number(process.env.BENCH_TRANSACTIONS ?? 2000);
const PATIENCE = Number(process.env.BENCH_PATIENCE ?? 60);
const ASKERS = 64;
const SWALLOWED = 10;
const RATE = Number(process.env.BENCH_RATE ?? 2000);
const HTTP_SECONDS = Number(process.env.BENCH_SECONDS ?? 5);
const PHRASE = 'test test test test test test test test test test test junk';
const HOLDER = '0xbe9c000000000000000000000000000000000000';
const ARTIFACT = 'contracts/artifacts/TestStablecoin.json';
const server = process.env.TEST_POSTGRES_URL;

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
    rmSync(dir, { recursive: true, force: true, maxRetries: 20 }); // some have just been ended
});

const freePort = () => new Promise((done) => {
    const listening = createServer().listen(0, '127.0.0.1', () => {
        const { port } = listening.address();
        listening.close(() => done(port));
    });
});

const artifact = JSON.parse(readFileSync(ARTIFACT, 'utf8'));
const face = ['function mint(address to, uint256 amount)', 'function balanceOf(address) view returns (uint256)'];

/** A chain of its own with the coin on it; blocks of a second with room for thousands of mints. */
class Chain {
    static async start() {
        const chain = new Chain();
        const port = await freePort();
        chain.url = `http://127.0.0.1:${port}`;
        chain.child = spawn('node_modules/.bin/anvil', ['--silent', '--port', String(port),
            '--gas-limit', '1000000000', '--cache-path', join(dir, 'anvil')], { stdio: 'ignore', detached: true });
        children.push(chain.child);
        chain.provider = new JsonRpcProvider(chain.url, 31337, { staticNetwork: true, cacheTimeout: -1 });
        for (let tries = 0; ; tries++) {
            try {
                await chain.provider.getBlockNumber();
                break;
            } catch (error) {
                if (tries > 200) {
                    throw error;
                }
                await sleep(50);
            }
        }
        const owner = HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(PHRASE), `m/44'/60'/0'/0/9`)
            .connect(chain.provider);
        const coin = await new ContractFactory(artifact.abi, artifact.bytecode, owner).deploy();
        await coin.waitForDeployment();
        chain.coin = await coin.getAddress();
        await chain.provider.send('evm_setAutomine', [false]);
        await chain.provider.send('evm_setIntervalMining', [1]);
        return chain;
    }

    async minted() {
        return Number(await new Contract(this.coin, face, this.provider).balanceOf(HOLDER));
    }

    stop() {
        this.provider.destroy();
        end(this.child);
    }
}

/** A proxy that swallows ten transactions, spread over all. */
async function disturbed(chain) {
    const proxy = await FaultProxy.start(chain.url, {}, 1);
    proxy.swallowEvery(Math.floor(COUNT / SWALLOWED), SWALLOWED);
    return proxy;
}

/** Asks `COUNT` times by 64 at once; an answer is what the peer calls accepted. */
async function askAll(send) {
    let next = 0;
    let failed = 0;
    await Promise.all(Array.from({ length: ASKERS }, async () => {
        while (next < COUNT) {
            const i = next++;
            try {
                await send(i);
            } catch {
                failed++;
            }
        }
    }));
    return failed;
}

/** Waits until all is minted, or nothing has come for long. */
async function mined(chain, begun) {
    let seen = 0;
    let since = Date.now();
    for (;;) {
        const now = await chain.minted();
        if (now > seen) {
            [seen, since] = [now, Date.now()];
        }
        if (seen >= COUNT || Date.now() - since > PATIENCE * 1000) {
            return { mined: seen, seconds: (since - begun) / 1000 };
        }
        await sleep(20);
    }
}

const peers = {
    'ethers NonceManager': async (chain, url, wallets) => {
        const provider = new JsonRpcProvider(url, 31337, { staticNetwork: true, cacheTimeout: -1 });
        const coins = Array.from({ length: wallets }, (_, i) => new Contract(chain.coin, face,
            new NonceManager(HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(PHRASE), `m/44'/60'/0'/0/${i}`)
                .connect(provider))));
        return { send: (i) => coins[i % wallets].mint(HOLDER, 1n), end: () => provider.destroy() };
    },
    'viem nonceManager': async (chain, url, wallets) => {
        const transport = http(url);
        // The manager that viem exports remembers the chains of earlier cells: each has its own.
        const nonceManager = createNonceManager({ source: jsonRpc() });
        const abi = [{ type: 'function', name: 'mint', stateMutability: 'nonpayable', outputs: [],
            inputs: [{ name: 'to', type: 'address' }, { name: 'amount', type: 'uint256' }] }];
        const clients = Array.from({ length: wallets }, (_, i) => createWalletClient({ chain: foundry,
            transport, account: mnemonicToAccount(PHRASE, { addressIndex: i, nonceManager }) }));
        await createPublicClient({ chain: foundry, transport }).getChainId();
        return { send: (i) => clients[i % wallets].writeContract({ address: chain.coin, abi,
            functionName: 'mint', args: [HOLDER, 1n] }), end: () => {} };
    },
};

async function runPeer(name, wallets, faults) {
    const chain = await Chain.start();
    const proxy = faults ? await disturbed(chain) : undefined;
    const peer = await peers[name](chain, proxy?.url ?? chain.url, wallets);
    const begun = Date.now();
    const failed = await askAll(peer.send);
    const result = await mined(chain, begun);
    peer.end();
    await proxy?.stop();
    chain.stop();
    return { ...result, failed };
}

let serial = 0;
/** The url of a new database. */
function makeDatabase(database) {
    const name = `bench_relay_${process.pid}_${++serial}`;
    if (database === 'SQLite') {
        return `sqlite:${join(dir, `${name}.db`)}`;
    }
    spawnSync('psql', ['-X', '-q', '-d', server, '-c', `CREATE DATABASE ${name}`]);
    return server.replace(/\/[^/]*$/, `/${name}`);
}

async function runOurs(database, wallets, faults, rate = 0) {
    const chain = await Chain.start();
    const proxy = faults ? await disturbed(chain) : undefined;
    const url = makeDatabase(database);
    const child = spawn(`${process.env.B ?? 'build'}/bench/relay`, [proxy?.url ?? chain.url, url, chain.coin,
        String(wallets), String(COUNT), String(rate)], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
    children.push(child);
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk) => { text += chunk; });
    const status = await new Promise((done) => { child.on('close', done); });
    const minted = await chain.minted();
    await proxy?.stop();
    chain.stop();
    if (text === '') {
        throw new Error(`the relay ended with ${status}`);
    }
    const said = JSON.parse(text);
    return { ...said, mined: minted, failed: 0 };
}

/** The program with a chain of its own; resolves to its url. */
async function serve(database) {
    const child = spawn(`${process.env.B ?? 'build'}/freehold`, ['serve', '--json', '--http.port=0',
        `--store.url=${makeDatabase(database)}`, `--devchain.dir=${join(dir, `chain${serial}`)}`],
    { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
    children.push(child);
    let text = '';
    const url = await new Promise((done, fail) => {
        child.on('close', (status) => fail(new Error(`freehold ended with ${status}`)));
        child.stdout.setEncoding('utf8').on('data', (chunk) => {
            text += chunk;
            const line = text.split('\n').find((l) => l.includes('"event":"serving"') && l.endsWith('}'));
            if (line !== undefined) {
                done(JSON.parse(line).url);
            }
        });
    });
    return { child, url };
}

const agent = new Agent({ keepAlive: true, maxSockets: ASKERS });
const post = (url, body) => new Promise((done, fail) => {
    const req = request(`${url}/api/v1/asset-types`, { method: 'POST', agent, headers: {
        'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } }, (res) => {
        res.resume();
        res.on('end', () => done(res.statusCode)).on('error', fail);
    });
    req.on('error', fail).end(body);
});

/** Asks at a rate by 64 connections; what is late counts from when it was due. */
async function acceptOverHttp(database) {
    const { child, url } = await serve(database);
    const body = (name) => JSON.stringify({ name, schema: { type: 'object' }, requiredLeaseKeys: [] });
    for (let i = 0; i < 50; i++) {
        await post(url, body(`warm_${i}`));
    }
    const count = RATE * HTTP_SECONDS;
    const taken = [];
    let next = 0;
    let refused = 0;
    const begun = performance.now() + 100;
    await Promise.all(Array.from({ length: ASKERS }, async () => {
        while (next < count) {
            const i = next++;
            const due = begun + i * 1000 / RATE;
            while (performance.now() < due) {
                await sleep(Math.max(0, due - performance.now()));
            }
            const status = await post(url, body(`type_${i}`));
            refused += status !== 201 && status !== 202 && status !== 200 ? 1 : 0;
            taken.push(performance.now() - due);
        }
    }));
    const seconds = (performance.now() - begun) / 1000;
    end(child);
    taken.sort((a, b) => a - b);
    const at = (part) => taken[Math.min(taken.length - 1, Math.floor(taken.length * part))];
    return { acceptP50Usec: at(0.5) * 1000, acceptP99Usec: at(0.99) * 1000,
        perSecond: count / seconds, refused };
}

const rowsOf = [];
async function cell(who, wallets, run) {
    say(`${who}, ${wallets} wallet${wallets > 1 ? 's' : ''}`);
    const calm = await run(false);
    const rough = wallets === 1 ? await run(true) : undefined;
    rowsOf.push({ who, wallets, calm, rough });
    say(JSON.stringify(rowsOf.at(-1)));
}

const parts = (process.env.BENCH_PARTS ?? 'mined accepted').split(' ');
for (const wallets of parts.includes('mined') ? [1, 4] : []) {
    for (const database of server ? ['SQLite', 'PostgreSQL'] : ['SQLite']) {
        await cell(`Freehold, ${database}`, wallets, (faults) => runOurs(database, wallets, faults));
    }
    for (const name of Object.keys(peers)) {
        await cell(name, wallets, (faults) => runPeer(name, wallets, faults));
    }
}
const paced = {};
for (const database of server ? ['SQLite', 'PostgreSQL'] : ['SQLite']) {
    say(`accepting on ${database}`);
    paced[database] = await runOurs(database, 1, false, RATE);
    paced[database].perSecond = COUNT / paced[database].acceptSeconds;
}
const served = {};
for (const database of server ? ['SQLite', 'PostgreSQL'] : ['SQLite']) {
    say(`accepting over HTTP on ${database}`);
    served[database] = await acceptOverHttp(database);
    say(JSON.stringify(served[database]));
}

const persec = (r) => (r.mined === 0 ? '0' : (r.mined / r.seconds).toFixed(0));
const rough = (r) => (r === undefined ? ['', '']
    : [`${r.mined} of ${COUNT}${r.failed > 0 ? `, ${r.failed} refused` : ''}`,
        r.mined < COUNT ? 'stuck' : '']);
const table = rowsOf.map(({ who, wallets, calm, rough: r }) => {
    const [of, stuck] = rough(r);
    const lost = r && r.mined >= COUNT ? `${(r.seconds - calm.seconds).toFixed(1)} s` : stuck;
    return `| ${who} | ${wallets} | ${calm.mined} | ${persec(calm)} | ${of} | ${lost} |`;
});
const acceptRow = (how) => ([database, r]) => `| ${database}, ${how} | ${r.perSecond.toFixed(0)} `
    + `| ${(r.acceptP50Usec / 1000).toFixed(2)} ms | ${(r.acceptP99Usec / 1000).toFixed(2)} ms |`;
const accept = [...Object.entries(paced).map(acceptRow('within the program')),
    ...Object.entries(served).map(acceptRow('over HTTP'))];
await record('relay', process.argv.includes('--record'), `## Relay

${COUNT} transactions (a mint of a test coin) asked for by ${ASKERS} at once, on an anvil that makes a block a second;
load of the machine at the end ${loadavg()[0].toFixed(1)}. "Mined a second" is from the first question to the last effect on
the chain. Disturbed: ten sent transactions are answered with their hash and forgotten.

| | wallets | mined | mined a second | disturbed: mined | time lost |
|---|---:|---:|---:|---:|---:|
${table.join('\n')}

Accepted durably, asked for at ${RATE} a second by ${ASKERS} at once: transactions by threads of the same program, and
asset types by another program over HTTP, while what was accepted is signed, sent and mined on the same machine:

| | accepted a second | p50 | p99 |
|---|---:|---:|---:|
${accept.join('\n')}
`);
process.exit(0);
