// The keeper of payment channels: what was charged is claimed in batches and paid out, and what a
// payer who leaves owes is claimed before the withdrawal ends. Vouchers are written as rows, as the
// part that takes them does; the contract verifies them.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Chain } from '../../contracts/harness/chain.mjs';
import { Channels, authorizer, payer, receiver, second } from '../../contracts/harness/channels.mjs';
import { Daemon, bytes, change, databaseOf, eventually, folder, pick, rows }
    from '../support/program.mjs';

const V1 = '/api/v1';
const FAST = '1s';

let host; // keeps the chain while daemons come and go
let world;
let settings;

before(async () => {
    host = await Daemon.start({});
    const c = (await host.request('GET', `${V1}/blockchain/contracts`)).data;
    world = await Channels.on(new Chain(host.rpc, () => {}));
    settings = {
        'chain.rpc_urls': host.rpc, 'wallets.dev_accounts': 5, 'chain.poll_interval': '50ms',
        'relay.final_depth': 2, 'leasing.stablecoin': c.stablecoin,
        'leasing.asset_registry': c.assetRegistry, 'leasing.lease_factory': c.leaseFactory,
        'leasing.marketplace': c.marketplace, 'leasing.registrar': c.registrar,
        'channels.escrow': world.escrow.address, 'channels.authorizer': authorizer.address,
        'channels.watch_interval': '5min', 'channels.claim_interval': '1d',
        'channels.settle_interval': '30d',
    };
});
after(() => host?.stop());

const u256 = (value) => pick(`'${String(value).padStart(78, '0')}'`, String(value));
const NOW = pick('CAST(strftime(\'%s\', \'now\') AS INTEGER) * 1000000', 'now()');

/** A channel with a deposit, and the row of one in which `charged` was served. */
async function serve(database, deposit, charged, changes = {}) {
    const config = await world.open(deposit, changes);
    const signed = charged + 5n; // the last request cost less than its voucher allows
    const { signature } = await world.row(config, charged, { signed });
    const column = (name) => bytes(config[name]);
    change(database, `INSERT INTO x402_channels (chain_id, channel_id, escrow, payer,
        payer_authorizer, receiver, receiver_authorizer, token, withdraw_delay, salt, charged,
        signed_max, signature, balance, claimed, withdrawing, withdraw_requested_at, refund_nonce,
        synced_block, synced_at, served_at)
        VALUES (31337, ${bytes(world.id(config))}, ${bytes(world.escrow.address)},
        ${column('payer')}, ${column('payerAuthorizer')}, ${column('receiver')},
        ${column('receiverAuthorizer')}, ${column('token')}, ${config.withdrawDelay},
        ${column('salt')}, ${u256(charged)}, ${u256(signed)}, ${bytes(signature)},
        ${u256(deposit)}, ${u256(0)}, ${u256(0)}, 0, ${u256(0)}, 0, ${NOW}, ${NOW})`);
    return config;
}

/** An empty database with the tables of the program. */
async function installed() {
    const dir = folder();
    const daemon = await Daemon.start(settings, { dir });
    await daemon.stop();
    return { dir, database: databaseOf(dir) };
}

const claimed = async (config) => (await world.state(config))[1];
const mine = () => world.chain.rpc('evm_mine');

describe('all that was charged', () => {
    let daemon;
    after(() => daemon?.stop());

    test('is claimed in one transaction and paid out in one, and the rows say so', async () => {
        const { dir, database } = await installed();
        const configs = [];
        for (const charged of [100n, 250n, 999n]) {
            configs.push(await serve(database, 1000n, charged, { receiver: receiver.address }));
        }
        const foreign = await serve(database, 1000n, 50n, { receiverAuthorizer: second.address });
        const before = await world.balance(receiver.address);
        daemon = await Daemon.start({ ...settings, 'channels.claim_interval': FAST,
            'channels.settle_interval': FAST }, { dir });
        await eventually('claims', async () => await claimed(configs[2]) === 999n);
        assert.deepEqual(await Promise.all(configs.map(claimed)), [100n, 250n, 999n]);
        const intents = () => rows(database,
            'SELECT purpose, state FROM relay_intents');
        assert.equal(intents().filter(({ purpose }) => purpose === 'channels.claim').length, 1);
        await eventually('payment', async () => {
            await mine(); // what is mined becomes final
            return await world.balance(receiver.address) === before + 1349n;
        });
        await eventually('rows', async () => {
            await mine();
            return rows(database, `SELECT count(*) AS n FROM x402_channels
                WHERE claimed = charged AND claim_key IS NULL`)[0].n === 3;
        });
        // It stays at that: nothing is claimed or paid twice, and what is not ours is left alone.
        const settled = await world.escrow.get('receivers', receiver.address, world.coin.address);
        assert.deepEqual([...settled], [1349n, 1349n]);
        assert.equal(await claimed(foreign), 0n);
        assert.ok(intents().filter(({ purpose }) => purpose.startsWith('channels.')).length === 2);
    });
});

describe('a payer who leaves', () => {
    let daemon;
    after(() => daemon?.stop());

    test('is claimed from within the delay, while others wait', async () => {
        const { dir, database } = await installed();
        const staying = await serve(database, 1000n, 300n);
        const leaving = await serve(database, 1000n, 400n);
        daemon = await Daemon.start({ ...settings, 'channels.watch_interval': FAST }, { dir });
        await world.escrow.send(payer.address, 'initiateWithdraw', leaving, 1000n);
        await eventually('the claim', async () => await claimed(leaving) === 400n);
        assert.equal(await claimed(staying), 0n);
        const [row] = rows(database, `SELECT withdraw_requested_at AS at, withdrawing FROM
            x402_channels WHERE channel_id = ${bytes(world.id(leaving))}`);
        assert.ok(row.at > 0);
        assert.equal(row.withdrawing, '1000');
        // What is left is the payer's, and no more.
        await world.chain.rpc('evm_increaseTime', 901);
        await mine();
        const before = await world.balance(payer.address);
        await world.escrow.send(payer.address, 'finalizeWithdraw', leaving);
        assert.equal(await world.balance(payer.address), before + 600n);
    });
});

test('an escrow without a wallet that claims is refused at the start', async () => {
    await assert.rejects(Daemon.start({ ...settings, 'channels.authorizer': '' }),
        /channels\.authorizer must be an address/);
});
