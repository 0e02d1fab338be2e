// Wallets that run dry: they are warned of, health says so, and the treasury refills them.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Api, accounts, sleep } from './support.mjs';
import { Daemon, SLOW, change, databaseOf, folder, pick, rows } from '../support/program.mjs';

const ETHER = 10n ** 18n;
const [, poor, , , treasury] = accounts;
let host;
before(async () => {
    host = await Api.start();
});
after(() => host?.stop());

/** A daemon that finds the job that looks at balances in its queue, now and some seconds later. */
async function start(settings, balance) {
    const c = host.contracts;
    const dir = folder();
    const all = { 'chain.rpc_urls': host.daemon.rpc, 'wallets.dev_accounts': 5,
        'chain.poll_interval': '50ms', 'leasing.stablecoin': c.stablecoin,
        'leasing.asset_registry': c.assetRegistry, 'leasing.lease_factory': c.leaseFactory,
        'leasing.marketplace': c.marketplace, 'leasing.registrar': c.registrar,
        'ops.treasury': treasury.address, ...settings };
    await (await Daemon.start(all, { dir })).stop();
    await host.rpc('anvil_setBalance', poor.address, `0x${balance.toString(16)}`);
    for (const seconds of [0, 4]) {
        const now = pick('(unixepoch() * 1000000)', 'now()');
        const at = pick(`(unixepoch() + ${seconds}) * 1000000`, `now() + interval '${seconds} s'`);
        change(databaseOf(dir), `INSERT INTO jobs (kind, payload, priority, state, attempts, lapses,
            created, scheduled, run_at, lease_token)
            VALUES ('ops.relayer_balance', '{}', 0, 1, 0, 0, ${now}, ${now}, ${at}, 0)`);
    }
    return new Api(await Daemon.start(all, { dir }));
}

async function until(what, api, condition) {
    const deadline = Date.now() + 30_000 * SLOW;
    while (!await condition()) {
        assert.ok(Date.now() < deadline, `${what}\n${api.daemon.log}`);
        await sleep(50);
    }
}

const refills = (api) => rows(api.daemon.database,
    "SELECT wallet, to_address, state FROM relay_intents WHERE purpose = 'relay.refill'");

test('a wallet that is nearly empty is refilled once, and health says so meanwhile', async () => {
    const api = await start({}, ETHER / 20n);
    try {
        await until('it is refilled', api, async () =>
            await host.provider.getBalance(poor.address) === 2n * ETHER);
        assert.match(api.daemon.log, /ops\.relayer_balance_critical/);
        const relay = (await api.daemon.request('GET', '/health')).parts.relay;
        assert.deepEqual([relay.status, relay.walletsLow], ['degraded', 1]);
        await until('the next look finds it full', api, async () =>
            (await api.daemon.request('GET', '/health')).parts.relay.walletsLow === 0);
        assert.deepEqual(refills(api), [{ wallet: treasury.address.toLowerCase(),
            to_address: poor.address.toLowerCase(), state: 4 }]);
        const [action] = rows(api.daemon.database, `SELECT COUNT(*) AS n FROM audit_log
            WHERE action = 'relay.submitted'`);
        assert.equal(Number(action.n), 1);
    } finally {
        await api.stop();
    }
});

test('what is low is warned of; the limit of a day is kept', async () => {
    const api = await start({ 'ops.refill_day_max': '1ether' }, 3n * ETHER / 10n);
    try {
        /* Two jobs say so, in either order. */
        await until('the limit and the balance are said', api, () => /ops\.refill_limit/.test(api.daemon.log)
            && /ops\.relayer_balance_low/.test(api.daemon.log));
        assert.doesNotMatch(api.daemon.log, /ops\.relayer_balance_critical/);
        assert.deepEqual(refills(api), []);
        assert.equal(await host.provider.getBalance(poor.address), 3n * ETHER / 10n);
        const text = await (await fetch(`${api.daemon.url}/metrics`)).text();
        assert.match(text, /^freehold_ops_wallets_low 1$/m);
        assert.match(text, /^freehold_ops_wallets_critical 0$/m);
        assert.match(text, /^freehold_ops_wallet_least_gwei 300000000$/m);
    } finally {
        await api.stop();
    }
});

test('a pool that is no list of addresses is said at the start', async () => {
    await assert.rejects(Daemon.start({ 'wallets.pool': 'some' }), /wallets\.pool is a list/);
});
