// Fifty clients register two hundred assets at once, and one wallet signs all of it: the place where
// relayers usually suffer from nonces. The chain is read block by block afterwards.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Api, assetBody, fresh, registrar, rows, typeBody } from './support.mjs';

const V1 = '/api/v1';
const COUNT = 200;
const CLIENTS = 50;

/** Runs `count` tasks on `clients` loops; resolves to the results in order. */
async function concurrently(count, clients, task) {
    const results = new Array(count);
    let next = 0;
    await Promise.all(Array.from({ length: clients }, async () => {
        for (let i = next++; i < count; i = next++) {
            results[i] = await task(i);
        }
    }));
    return results;
}

/** Every transaction of an account on the chain, by block. */
async function transactionsOf(api, account, from) {
    const head = await api.provider.getBlockNumber();
    const found = [];
    for (let number = from; number <= head; number++) {
        const block = await api.rpc('eth_getBlockByNumber', `0x${number.toString(16)}`, true);
        found.push(...block.transactions.filter((t) => t.from === account.toLowerCase()));
    }
    return found;
}

for (const wait of [0, 30]) {
    describe(`${COUNT} assets by ${CLIENTS} clients that ${wait ? 'wait for the chain' : 'do not wait'}`, () => {
        let api;
        let from;

        before(async () => {
            api = await Api.start();
            await api.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
            from = await api.provider.getBlockNumber() + 1;
        });
        after(() => api?.stop());

        test('are all answered, each with a transaction of its own', async () => {
            const bodies = Array.from({ length: COUNT }, () => assetBody(fresh('LOAD')));
            const path = wait ? `${V1}/assets?wait=${wait}` : `${V1}/assets`;
            const answers = await concurrently(COUNT, CLIENTS,
                (i) => api.send('POST', path, { body: bodies[i] }));
            assert.deepEqual([...new Set(answers.map((a) => a.status))], [201]);
            if (wait) {
                assert.deepEqual([...new Set(answers.map((a) => a.data.status))], ['confirmed']);
            }
            const assets = await Promise.all(bodies.map((body) =>
                api.until(`${V1}/assets/${body.metadata.assetId}`, (a) => a.status === 'active', 60)));
            assert.equal(new Set(assets.map((a) => a.onChain.id)).size, COUNT);

            const hashes = new Set(assets.map((a) => a.onChain.transactionHash));
            assert.equal(hashes.size, COUNT);
            const mined = await transactionsOf(api, registrar.address, from);
            assert.equal(mined.length, COUNT, 'nothing else was sent');
            assert.ok(mined.every((t) => hashes.has(t.hash)));
            const nonces = mined.map((t) => Number(t.nonce)).sort((a, b) => a - b);
            assert.deepEqual(nonces, Array.from({ length: COUNT }, (_, i) => nonces[0] + i));

            const intents = rows(api.daemon.database, 'SELECT state, transaction_hash FROM relay_intents '
                + "WHERE purpose = 'leasing.register_asset'");
            assert.equal(intents.length, COUNT);
            assert.ok(intents.every((i) => i.state === 4 && hashes.has(i.transaction_hash)));
            assert.doesNotMatch(api.daemon.log, /nonce too|nonce_moved|"level":"(error|broken)"/);
        });
    });
}
