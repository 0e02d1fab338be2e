// Relayed transactions as people and operators see and move them, on a chain whose blocks the test
// makes.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Api, fresh, registrar, sleep, typeBody } from './support.mjs';
import { Daemon, ON_POSTGRES, SLOW, eventually, objects, rows, run } from '../support/program.mjs';

const V1 = '/api/v1';
let api;

before(async () => {
    api = await Api.start({ 'relay.stuck_after': '1h' });
    await api.rpc('evm_setAutomine', false);
});
after(() => api?.stop());

const shown = (id) => api.get(`${V1}/transactions/${id}`);
const until = (id, wanted) => api.until(`${V1}/transactions/${id}`, wanted);
const move = (id, what) => api.send('POST', `${V1}/transactions/${id}/${what}`, { body: {} });

/** Asks for an asset type and waits until a node has the transaction. */
async function sent() {
    const name = fresh('type').replaceAll('-', '_');
    await api.post(`${V1}/asset-types`, typeBody(name));
    const [{ transactionId }] = await api.get(`${V1}/transactions?limit=1`);
    await until(transactionId, (t) => t.state === 'sent');
    return transactionId;
}

/** Makes blocks until the transaction is in one: a node drops what it replaces after a moment. */
async function mined(id, state) {
    const deadline = Date.now() + 20_000 * SLOW;
    for (;;) {
        await api.rpc('evm_mine');
        const t = await shown(id);
        if (t.state === state) {
            return t;
        }
        assert.ok(Date.now() < deadline, JSON.stringify(t));
        await sleep(50);
    }
}

/** Waits until a version was sent, and the node has let go of those that it replaces. */
async function replaced(id, versions) {
    const now = await until(id, (t) => t.versions.length === versions && t.state === 'sent');
    for (const { transactionHash } of now.versions.slice(1)) {
        await eventually(`the node lets go of ${transactionHash}`, async () =>
            await api.rpc('eth_getTransactionByHash', transactionHash) === null);
    }
    return now;
}

/** A replacement must offer a tenth more in both fields. */
function assertReplaces(after, before) {
    for (const field of ['maxFeePerGas', 'maxPriorityFeePerGas']) {
        assert.ok(BigInt(after[field]) * 10n > BigInt(before[field]) * 11n, field);
    }
}

test('a sent transaction is sped up: another version at its nonce', async () => {
    const id = await sent();
    const before = await shown(id);
    assert.equal(before.versions.length, 1);
    assert.equal(before.versions[0].transactionHash, before.transactionHash);
    assert.equal(before.priority, 'normal');
    assert.equal((await move(id, 'speed-up')).status, 200);
    const after = await until(id, (t) => t.versions.length === 2 && t.state === 'sent');
    assert.equal(after.nonce, before.nonce);
    assert.equal(after.priority, 'high');
    assertReplaces(after.versions[0], after.versions[1]);
    assert.deepEqual(after.versions[1], before.versions[0]);
    const end = await mined(id, 'mined');
    const receipt = await api.provider.getTransactionReceipt(end.transactionHash);
    assert.equal(receipt.status, 1);
    assert.ok(end.versions.some((v) => v.transactionHash === end.transactionHash));
    assert.equal((await move(id, 'speed-up')).code, 'conflict');
});

test('a sent transaction is cancelled: an empty one takes its nonce, the next goes on', async () => {
    const id = await sent();
    const next = await sent();
    const asked = await move(id, 'cancel');
    assert.equal(asked.status, 200);
    const filled = await replaced(id, 2);
    assert.deepEqual(filled.versions.map((v) => v.filler), [true, false]);
    assertReplaces(filled.versions[0], filled.versions[1]);
    const end = await mined(id, 'cancelled');
    assert.equal(end.code, 'cancelled');
    assert.equal(end.cancelling, false);
    const tx = await api.provider.getTransaction(end.transactionHash);
    assert.deepEqual([tx.to, tx.from, tx.data, tx.value, tx.nonce],
        [registrar.address, registrar.address, '0x', 0n, end.nonce]);
    await mined(next, 'mined');
    const actions = rows(api.daemon.database,
        `SELECT action FROM audit_log WHERE subject = 'transaction/${id}' ORDER BY created_at, id`)
        .map((row) => row.action);
    assert.deepEqual(actions, ['relay.submitted', 'relay.signed', 'relay.sent',
        'ops.transaction_cancelled', 'relay.signed', 'relay.sent', 'relay.cancelled']);
    assert.equal((await move(id, 'cancel')).status, 200); // it is what was asked for
    assert.equal((await move(next, 'cancel')).code, 'conflict');
    assert.equal((await move('tx_none', 'cancel')).code, 'not_found');
    assert.equal((await move('tx_none', 'speed-up')).code, 'not_found');
});

test('transactions are listed by state, purpose, wallet and any of their hashes', async () => {
    const list = (query) => api.get(`${V1}/transactions?${query}`);
    const [cancelled] = await list('state=cancelled');
    for (const v of (await shown(cancelled.transactionId)).versions) {
        const found = await list(`hash=${v.transactionHash}`);
        assert.deepEqual(found.map((t) => t.transactionId), [cancelled.transactionId]);
    }
    const open = await sent();
    assert.deepEqual((await list('open=true')).map((t) => t.transactionId), [open]);
    await mined(open, 'mined');
    assert.deepEqual(await list('open=true'), []);
    const types = await list('purpose=leasing.create_type&limit=200');
    assert.ok(types.length >= 4 && types.every((t) => t.purpose === 'leasing.create_type'));
    assert.equal((await list(`wallet=${registrar.address}&limit=200`)).length,
        (await list('limit=200')).length);
    assert.deepEqual(await list(`hash=0x${'77'.repeat(32)}`), []);
    for (const [query, field, code] of [['state=lost', 'state', 'invalid_field'],
        ['open=yes', 'open', 'invalid_field'], ['wallet=0x12', 'wallet', 'invalid_address'],
        ['hash=0x12', 'hash', 'invalid_hash'], ['offset=1', 'offset', 'invalid_field']]) {
        await api.refuse('GET', `${V1}/transactions?${query}`, {}, 400, code, field);
    }
});

test('changing them is for operators', async () => {
    const daemon = await Daemon.start({ 'http.operator_token': 'a-secret-for-operators' });
    for (const what of ['cancel', 'speed-up']) {
        const path = `${daemon.url}${V1}/transactions/tx_none/${what}`;
        assert.equal((await fetch(path, { method: 'POST' })).status, 401);
        const headers = { authorization: 'Bearer a-secret-for-operators' };
        assert.equal((await fetch(path, { method: 'POST', headers })).status, 404);
    }
    await daemon.stop();
});

test('the command line shows the same', async () => {
    const at = `--store.url=${api.daemon.database.url}`;
    const listed = objects((await run(['tx', 'list', '--json', '--limit=3', at])).stdout);
    const over = await api.get(`${V1}/transactions?limit=3`);
    assert.deepEqual(listed, over);
    const [one] = objects((await run(['tx', 'show', over[0].transactionId, at])).stdout);
    assert.deepEqual(one, await shown(over[0].transactionId));
    const line = (await run(['tx', '--state=cancelled', at])).stdout;
    assert.match(line, /^tx_\w+ {2}cancelled {2}leasing\.create_type .* nonce \d+, version 2 .*was cancelled$/m);
    const by = objects((await run(['tx', 'list', '--json', `--hash=${one.transactionHash}`,
        `--wallet=${registrar.address}`, '--purpose=leasing.create_type', at])).stdout);
    assert.deepEqual(by.map((t) => t.transactionId), [one.transactionId]);
    for (const args of [['frobnicate'], ['show'], ['list', '--state=lost'], ['list', '--limit=0'],
        ['list', '--wallet=x'], ['list', '--hash=x'], ['show', 'a', 'b']]) {
        assert.equal((await run(['tx', ...args, at])).status, 2, args.join(' '));
    }
    assert.equal((await run(['tx', 'show', 'tx_none', at])).status, 1);
});

test('the command line moves them', { skip: !ON_POSTGRES && 'SQLite has one writing process' }, async () => {
    const at = `--store.url=${api.daemon.database.url}`;
    const id = await sent();
    assert.equal((await run(['tx', 'speed-up', id, at])).status, 0);
    await until(id, (t) => t.versions.length === 2 && t.state === 'sent');
    const said = await run(['tx', 'cancel', id, at]);
    assert.match(said.stdout, new RegExp(`^${id} +cancelling `));
    await replaced(id, 3);
    assert.equal((await mined(id, 'cancelled')).versions[0].filler, true);
    assert.equal((await run(['tx', 'cancel', 'tx_none', at])).status, 1);
    const actions = rows(api.daemon.database,
        `SELECT action FROM audit_log WHERE subject = 'transaction/${id}'`).map((r) => r.action);
    assert.ok(actions.includes('tx.hurried') && actions.includes('tx.cancelled'));
});
