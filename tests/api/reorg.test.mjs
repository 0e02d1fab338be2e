// Reorganisations seen by a whole daemon: deeper than it may undo by itself, while it is down, and
// again and again while it works. The measure is a second daemon that reads the chain afresh.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SLOW, rows, sleep } from './support.mjs';
import { Site, V1, health } from './reorg-site.mjs';
import { eventually, run } from '../support/program.mjs';

describe('a fork deeper than a daemon may undo by itself', () => {
    let site;
    before(async () => {
        site = await Site.open({ 'chain.max_reorg_depth': 3, 'chain.undo_depth': 64 });
    });
    after(() => site?.close());

    test('halts the chain and nothing else, until a human has looked', async () => {
        for (let i = 0; i < 6; i++) {
            await site.register();
        }
        await site.api.until(`${V1}/assets?status=active&limit=200`, (a) => a.length === 6);
        await site.catchUp();
        assert.equal((await health(site.api)).status, 200);
        const fork = await site.head() - 5;
        await site.reorg(5);
        await site.host.rpc('anvil_mine', '0x1');
        await site.api.until(`${V1}/blockchain/network`, (n) => n.halted);
        const { status, chain } = await health(site.api);
        assert.equal(status, 503);
        assert.match(chain.detail, /max_reorg_depth = 3 .* chain resume --from/);
        assert.equal((await site.api.get(`${V1}/assets?limit=200`)).length, 6);
        assert.equal((site.api.daemon.log.match(/chain\.halted/g) ?? []).length, 1);

        const dir = await site.stop();
        const resume = (block) => run(['chain', 'resume', '--from', `${block}`, '--json',
            `--store.url=${site.api.daemon.database.url}`], { cwd: dir });
        const refused = await resume(10_000);
        assert.notEqual(refused.status, 0);
        assert.match(refused.stdout + refused.stderr, /can resume from blocks/);
        assert.equal((await resume(fork + 1)).status, 0);
        await site.start({ dir });
        assert.equal((await health(site.api)).status, 200);
        await site.equalsFreshIndex();
        // What fell out was sent again.
        await site.api.until(`${V1}/assets?status=active&limit=200`, (a) => a.length === 6);
        await site.equalsFreshIndex();
    });
});

describe('forks while a daemon is down', () => {
    let site;
    before(async () => { site = await Site.open(); });
    after(() => site?.close());

    test('are found when it starts', async () => {
        for (let i = 0; i < 4; i++) {
            await site.register();
        }
        await site.api.until(`${V1}/assets?status=active&limit=200`, (a) => a.length === 4);
        await site.catchUp();
        const dir = await site.stop();
        await site.reorg(3);
        await site.start({ dir });
        await site.host.rpc('anvil_mine', '0x1');
        await site.api.until(`${V1}/assets?status=active&limit=200`, (a) => a.length === 4);
        await site.equalsFreshIndex();
        const [{ n }] = rows(site.api.daemon.database, 'SELECT COUNT(*) AS n FROM relay_intents '
            + 'WHERE state <> 4');
        assert.equal(n, 0);
    });
});

describe('forks again and again while assets are registered', () => {
    let site;
    before(async () => { site = await Site.open(); });
    after(() => site?.close());

    test('lose no asset and make none twice', async () => {
        const ROUNDS = 12;
        let expected = 0;
        for (let round = 0; round < ROUNDS; round++) {
            await Promise.all(Array.from({ length: 1 + round % 4 }, () => site.register()));
            expected += 1 + round % 4;
            await sleep(Math.random() * 120 * SLOW);
            const depth = 1 + Math.floor(Math.random() * 5);
            await site.reorg(depth);
            if (round % 3 === 0) {
                await site.host.rpc('anvil_mine', '0x1');
            }
        }
        await site.host.rpc('anvil_mine', '0x1');
        const assets = await site.api.until(`${V1}/assets?status=active&limit=200`,
            (a) => a.length === expected, 60);
        assert.equal(new Set(assets.map((a) => a.onChain.id)).size, expected);
        await site.equalsFreshIndex();
        // The chain is read by one thread and receipts by another.
        let intents;
        await eventually(() => `all are mined: ${JSON.stringify(intents)}`, () => {
            intents = rows(site.api.daemon.database, 'SELECT state, nonce FROM relay_intents');
            return intents.every((i) => i.state === 4);
        });
        assert.equal(new Set(intents.map((i) => i.nonce)).size, intents.length);
        assert.doesNotMatch(site.api.daemon.log, /"level":"broken"/);
    });
});
