// The daemon is killed at random while clients ask for transactions, between it and the node a proxy
// that swallows, loses and refuses. Every intent must end mined once, and the wallet's nonces be a
// sequence without a hole.
//
// RELAY_TRANSACTIONS, RELAY_KILLS and RELAY_SEED make it longer, or repeat one.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Api, Daemon, SLOW, registrar, rows, sleep, typeBody } from './support.mjs';
import { FaultProxy } from '../support/fault-proxy.mjs';

const TRANSACTIONS = Number(process.env.RELAY_TRANSACTIONS ?? 120);
const KILLS = Number(process.env.RELAY_KILLS ?? 12);
const SEED = Number(process.env.RELAY_SEED ?? Math.floor(Math.random() * 2 ** 32));
const CLIENTS = 8;
const PAUSE = KILLS * 400 * CLIENTS / TRANSACTIONS;
const GONE = /fetch failed|terminated|socket|ECONN|aborted/i;

let host;
let proxy;
let api;
after(async () => {
    await api?.stop();
    await proxy?.stop();
    await host?.stop();
});

async function start(dir) {
    const c = host.contracts;
    const started = new Api(await Daemon.start({
        'chain.rpc_urls': proxy.url, 'wallets.dev_accounts': 1, 'chain.poll_interval': '50ms',
        'relay.stuck_after': '5s', 'leasing.stablecoin': c.stablecoin,
        'leasing.asset_registry': c.assetRegistry, 'leasing.lease_factory': c.leaseFactory,
        'leasing.marketplace': c.marketplace, 'leasing.registrar': registrar.address },
    dir === undefined ? {} : { dir }));
    started.contracts = c;
    return started;
}

/** Asks until there is an answer, as the client of anything does. */
async function persist(what, request) {
    const deadline = Date.now() + 120_000 * SLOW;
    for (;;) {
        try {
            const answer = await request(api);
            if (answer.status < 500) {
                return answer;
            }
        } catch (error) {
            if (!GONE.test(`${error.message} ${error.cause?.code}`)) {
                throw error;
            }
        }
        assert.ok(Date.now() < deadline, `${what}: no answer\n${api.daemon.log.slice(-3000)}`);
        await sleep(20);
    }
}

async function client(number) {
    for (let i = number; i < TRANSACTIONS; i += CLIENTS) {
        const body = typeBody(`killed_${i}`);
        const answer = await persist(body.name, (a) => a.send('POST', '/api/v1/asset-types', { body }));
        assert.ok([200, 201].includes(answer.status), JSON.stringify(answer));
        await sleep(Math.random() * 2 * PAUSE * SLOW); // so that the kills meet work
    }
}

/** Kills the process in the middle of whatever it does and starts it on the same data. */
async function killAndStart() {
    const { dir, child, ended } = api.daemon;
    child.kill('SIGKILL');
    await ended;
    api.provider.destroy();
    for (let tries = 0; ; tries++) {
        try {
            api = await start(dir);
            return;
        } catch (error) { // the node that it greets first may refuse
            assert.ok(tries < 20, error.message);
        }
    }
}

const intents = () => rows(api.daemon.database,
    "SELECT intent_id, state, nonce, transaction_hash AS hash, purpose, error FROM relay_intents");

async function settled() {
    const deadline = Date.now() + 120_000 * SLOW;
    for (;;) {
        const open = intents().filter((i) => i.state < 4);
        if (open.length === 0) {
            return;
        }
        assert.ok(Date.now() < deadline, `seed ${SEED}: ${open.length} stay, the first is `
            + `${JSON.stringify(open[0])}\n${api.daemon.log.slice(-3000)}`);
        await sleep(100);
    }
}

test(`killed ${KILLS} times during ${TRANSACTIONS} transactions of ${CLIENTS} clients`, async (t) => {
    t.diagnostic(`RELAY_SEED=${SEED}`);
    host = await Api.start();
    proxy = await FaultProxy.start(host.daemon.rpc, {}, SEED);
    const first = await host.provider.getTransactionCount(registrar.address);
    api = await start();
    proxy.rates = { swallow: 50, lose: 20, fail: 20, limit: 20 };
    let going = true;
    let kills = 0;
    const killer = (async () => {
        while (going || kills < KILLS) {
            await sleep(Math.random() * 400 * SLOW);
            if (kills < KILLS) {
                await killAndStart();
                kills++;
            }
        }
    })();
    try {
        await Promise.all(Array.from({ length: CLIENTS }, (_, i) => client(i)));
    } finally {
        going = false;
        await killer;
    }
    await settled();
    assert.equal(kills, KILLS);
    const all = intents();
    // A swallowed hole may have been filled by the relay: that is an intent of its own.
    const wanted = all.filter((i) => i.purpose !== 'relay.fill');
    assert.equal(wanted.length, TRANSACTIONS);
    assert.deepEqual(wanted.filter((i) => i.state !== 4), [], `seed ${SEED}`);
    const next = await host.provider.getTransactionCount(registrar.address);
    assert.equal(await host.provider.getTransactionCount(registrar.address, 'pending'), next);
    assert.deepEqual(all.map((i) => i.nonce).sort((a, b) => a - b),
        Array.from({ length: next - first }, (_, k) => first + k), `seed ${SEED}`);
    assert.equal(new Set(all.map((i) => i.hash)).size, all.length);
    for (const i of wanted) {
        const receipt = await host.provider.getTransactionReceipt(i.hash);
        assert.ok(receipt !== null && receipt.status === 1, `seed ${SEED}: ${i.intent_id}`);
    }
    t.diagnostic(`faults: ${JSON.stringify(proxy.done)}`);
    assert.doesNotMatch(api.daemon.log, /"level":"broken"/);
});
