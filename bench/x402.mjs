// Measures payments by x402 beside the official server and facilitator, on one anvil that mines at
// once, and makes a Markdown section of it.
//
//     make bench-x402                            print it
//     make bench-x402 RECORD=--record            write it to docs/performance.md too
//
// Every payment is signed before a cell begins, by viem, and is sent once. A cell lasts until its
// payments are used up or BENCH_SECONDS (5) are over; what is unpaid or only verified goes on for as
// long. CPU is user and system time of the processes named, from /proc/PID/stat, by what succeeded.
// The load generator runs on the same machine and takes a core away from whoever is measured.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Contract, HDNodeWallet, JsonRpcProvider, Mnemonic } from 'ethers';
import { mnemonicToAccount } from 'viem/accounts';
import { record } from './record.mjs';

const SECONDS = Number(process.env.BENCH_SECONDS ?? 5);
const ATONCE = (process.env.BENCH_ATONCE ?? '1 16 64').split(' ').map(Number);
const TICKS = 100; // of the clock of /proc, a second
const CHAIN_ID = 31337;
const PHRASE = 'test test test test test test test test test test test junk';
const PAY_TO = '0xbe9c000000000000000000000000000000000402';
const AMOUNT = '1000';
const DOMAIN = { name: 'Mock USD', version: '1' };

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

/** Starts a program and waits for a line that says where it listens. */
function start(command, args, env, said) {
    const child = spawn(command, args, { env: { ...process.env, ...env }, detached: true,
        stdio: ['ignore', 'pipe', process.env.BENCH_LOUD ? 'inherit' : 'ignore'] });
    children.push(child);
    let text = '';
    return new Promise((done, fail) => {
        child.on('close', (status) => fail(new Error(`${command} ${args[0]} ended with ${status}: ${text}`)));
        child.stdout.setEncoding('utf8').on('data', (chunk) => {
            text += chunk;
            const found = said(text);
            if (found !== undefined) {
                done({ child, said: found });
            }
        });
    });
}

/** CPU seconds that a process and its children have used. */
function cpu(child) {
    const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

// ---- the chain, ours and the payers ---------------------------------------------------------------

/** A process by its number, for its CPU time. */
const process_ = (pid) => ({ pid });

/** Ours with a chain of its own, which the peers use too. */
async function startOurs(database) {
    const { child, said } = await start(`${process.env.B ?? 'build'}/freehold`, ['serve', '--json', '--http.port=0',
        `--store.url=${makeDatabase(database)}`, `--devchain.dir=${join(dir, `chain-${database}`)}`,
        '--x402.enabled=true', `--x402.pay_to=${PAY_TO}`, `--x402.prices=listAssetTypes=${AMOUNT}`,
        '--http.connections_per_client_max=1000'], {},
    (text) => {
        const line = text.split('\n').find((l) => l.includes('"event":"serving"') && l.endsWith('}'));
        return line && JSON.parse(line);
    });
    const { data } = JSON.parse((await send(`${said.url}/api/v1/blockchain/contracts`, { method: 'GET' })).text);
    const anvil = readdirSync('/proc').find((pid) => /^\d+$/.test(pid) && isChildOf(pid, child.pid));
    const owner = HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(PHRASE), `m/44'/60'/0'/0/9`)
        .connect(new JsonRpcProvider(said.rpc, CHAIN_ID, { staticNetwork: true, cacheTimeout: -1 }));
    const coin = new Contract(data.stablecoin, ['function mint(address to, uint256 amount)'], owner);
    const payers = Array.from({ length: 8 }, (_, i) => mnemonicToAccount(PHRASE, { addressIndex: i + 100 }));
    for (const { address } of payers) {
        await (await coin.mint(address, 10n ** 15n)).wait();
    }
    owner.provider.destroy();
    return { child, anvil: process_(anvil), url: said.url, rpc: said.rpc, asset: data.stablecoin, payers };
}

function isChildOf(pid, parent) {
    try {
        return readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ')[1] === String(parent);
    } catch {
        return false; // it has ended
    }
}

const postgres = process.env.TEST_POSTGRES_URL;
let serial = 0;
/** The url of a new database. */
function makeDatabase(database) {
    const name = `bench_x402_${process.pid}_${++serial}`;
    if (database === 'SQLite') {
        return `sqlite:${join(dir, `${name}.db`)}`;
    }
    spawnSync('psql', ['-X', '-q', '-d', postgres, '-c', `CREATE DATABASE ${name}`]);
    return postgres.replace(/\/[^/]*$/, `/${name}`);
}

const TYPES = { TransferWithAuthorization: [
    { name: 'from', type: 'address' }, { name: 'to', type: 'address' }, { name: 'value', type: 'uint256' },
    { name: 'validAfter', type: 'uint256' }, { name: 'validBefore', type: 'uint256' },
    { name: 'nonce', type: 'bytes32' }] };

/** A payment for an offer, in version 2. */
async function pay(chain, offer, i, resource) {
    const account = chain.payers[i % chain.payers.length];
    const authorization = { from: account.address, to: offer.payTo, value: offer.amount, validAfter: '0',
        validBefore: String(Math.floor(Date.now() / 1000) + 3600), nonce: `0x${randomBytes(32).toString('hex')}` };
    const signature = await account.signTypedData({ types: TYPES, primaryType: 'TransferWithAuthorization',
        domain: { ...DOMAIN, chainId: CHAIN_ID, verifyingContract: offer.asset }, message: authorization });
    return { x402Version: 2, resource, accepted: offer, payload: { signature, authorization } };
}

const encoded = (payment) => Buffer.from(JSON.stringify(payment)).toString('base64');

// ---- load -----------------------------------------------------------------------------------------

const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const send = (url, { method = 'POST', headers = {}, body = '' }) => new Promise((done, fail) => {
    const req = request(url, { method, agent, headers: {
        ...headers, 'content-length': Buffer.byteLength(body) } }, (res) => {
        let text = '';
        res.setEncoding('utf8').on('data', (chunk) => { text += chunk; });
        res.on('end', () => done({ status: res.statusCode, headers: res.headers, text })).on('error', fail);
    });
    req.on('error', fail).end(body);
});

/** Sends what `next` gives by so many at once; `good` says what succeeded. */
async function load(atOnce, processes, next, good) {
    const before = processes.map(cpu);
    const took = [];
    const refused = {};
    const begun = performance.now();
    const until = begun + SECONDS * 1000;
    await Promise.all(Array.from({ length: atOnce }, async () => {
        for (let ask = next(); ask !== undefined && performance.now() < until; ask = next()) {
            const from = performance.now();
            const answer = await send(ask.url, ask);
            if (good(answer)) {
                took.push(performance.now() - from);
            } else {
                refused[answer.status] = (refused[answer.status] ?? 0) + 1;
            }
        }
    }));
    const seconds = (performance.now() - begun) / 1000;
    took.sort((a, b) => a - b);
    const cpuMs = processes.map((child, i) => (cpu(child) - before[i]) * 1000 / Math.max(1, took.length));
    return { perSecond: took.length / seconds, p50: took[Math.floor(took.length / 2)] ?? NaN, cpuMs,
        succeeded: took.length, refused };
}

// ---- the cells ------------------------------------------------------------------------------------

const rowsOf = [];
const json = { 'content-type': 'application/json' };

/** Cells of one stack: `processes` are its own, the chain's last. */
async function measure(who, chain, { url, method, verify, processes, most }) {
    const refused = await send(url, { method });
    const required = JSON.parse(Buffer.from(refused.headers['payment-required'], 'base64'));
    const offer = required.accepts[0];
    const all = [...processes, chain.anvil];
    const cell = async (what, atOnce, next, good) => {
        const r = await load(atOnce, all, next, good);
        rowsOf.push({ who, what, atOnce, ...r, own: r.cpuMs.slice(0, -1).reduce((a, b) => a + b, 0), chain: r.cpuMs.at(-1) });
        say(JSON.stringify(rowsOf.at(-1)));
    };
    for (const atOnce of ATONCE) {
        await cell('unpaid, answered 402', atOnce, () => ({ url, method }), (a) => a.status === 402);
    }
    const body = JSON.stringify({ x402Version: 2, paymentPayload: await pay(chain, offer, 0, required.resource),
        paymentRequirements: offer });
    for (const atOnce of ATONCE) {
        await cell('verify', atOnce, () => ({ url: verify, headers: json, body }),
            (a) => a.status === 200 && JSON.parse(a.text).isValid === true);
    }
    for (const atOnce of ATONCE) {
        say(`${who}: signing`);
        const payments = [];
        for (let i = 0; i < most; i++) {
            payments.push(encoded(await pay(chain, offer, i, required.resource)));
        }
        await cell('paid: verified, served, settled', atOnce, () => {
            const payment = payments.pop();
            return payment && { url, method, headers: { 'payment-signature': payment } };
        }, (a) => a.status === 200);
    }
}

const databases = postgres ? ['SQLite', 'PostgreSQL'] : ['SQLite'];
for (const database of databases) {
    const ours = await startOurs(database);
    await measure(`Freehold, ${database}`, ours, { url: `${ours.url}/api/v1/asset-types`, method: 'GET',
        verify: `${ours.url}/api/v1/x402/facilitator/verify`, processes: [ours.child], most: 1500 });
    if (database === databases.at(-1)) {
        const env = { BENCH_RPC: ours.rpc, BENCH_CHAIN_ID: String(CHAIN_ID), BENCH_ASSET: ours.asset,
            BENCH_PAY_TO: PAY_TO, BENCH_AMOUNT: AMOUNT,
            BENCH_KEY: HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(PHRASE), `m/44'/60'/0'/0/9`).privateKey };
        const port = (text) => /^\d+$/m.exec(text)?.[0];
        const facilitator = await start('node', ['bench/x402-peer.mjs', 'facilitator'], env, port);
        const at = `http://127.0.0.1:${facilitator.said}`;
        const server = await start('node', ['bench/x402-peer.mjs', 'server'], { ...env, BENCH_FACILITATOR: at }, port);
        await measure('official packages', ours, { url: `http://127.0.0.1:${server.said}/sold`, method: 'POST',
            verify: `${at}/verify`, processes: [facilitator.child, server.child], most: 300 });
    }
    end(ours.child);
}

const number = (n, digits) => (Number.isFinite(n) ? n.toFixed(digits) : '–');
const table = rowsOf.map((r) => `| ${r.what} | ${r.atOnce} | ${r.who} | ${number(r.perSecond, r.perSecond < 100 ? 1 : 0)} `
    + `| ${number(r.p50, 1)} | ${number(r.own, 2)} | ${number(r.chain, 2)} | ${JSON.stringify(r.refused).slice(1, -1) || '–'} |`)
    .sort();
await record('x402', process.argv.includes('--record'), `## Payments by x402

Measured on ${new Date().toISOString().slice(0, 10)} by \`make bench-x402\`, 2 cores, load average at the end ${loadavg()[0].toFixed(1)};
${SECONDS} s a cell, one anvil that mines each transaction at once, the load generator on the same machine. Official
packages: @x402/express, @x402/core and @x402/evm 2.27.0, a server and a facilitator. *CPU* is in milliseconds a success:
of the stack itself, and of the chain. Ours keeps each payment as a row before its handler runs, and looks at receipt
and Transfer event before it answers.

| what | at once | who | a second | p50 ms | CPU | CPU of the chain | other answers |
| --- | --: | --- | --: | --: | --: | --: | --- |
${table.join('\n')}
`);
process.exit(0);
