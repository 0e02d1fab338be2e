// The policy of depths, under load: one block and three are undone by themselves, eight are undone
// and reported, thirteen halt the chain and nothing else, with the sentence that says what to do;
// what it says is done beside the daemon at work. The rows equal a fresh index each time.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assetBody, rows } from './support.mjs';
import { Site, V1, Wanted, health } from './reorg-site.mjs';
import { eventually, objects, run } from '../support/program.mjs';

describe('a daemon at work', () => {
    let site;
    const wanted = new Wanted();

    /** All that was asked for is on the chain, and the rows are what the chain says. */
    async function settle() {
        await wanted.settle(site);
        await site.equalsFreshIndex();
    }

    /** Forks the chain while work goes on. */
    async function forked(depth) {
        const before = await site.head();
        const stop = wanted.load(site, 'BASE');
        await eventually('blocks are mined meanwhile', async () => await site.head() >= before + 4);
        // So that the fork is as deep as that for the daemon too.
        await site.reorg(depth, { ready: () => site.catchUp() });
        await site.host.rpc('anvil_mine', '0x1');
        return stop;
    }

    const deepest = () => rows(site.api.daemon.database,
        'SELECT depth FROM chain_reorgs ORDER BY reorg_id DESC LIMIT 1')[0]?.depth ?? 0;

    /** Counts of reorganisations, in all and deep ones. */
    async function counts() {
        const text = await (await fetch(`${site.api.daemon.url}/metrics`)).text();
        return ['freehold_chain_reorgs_total', 'freehold_chain_reorgs_deep_total']
            .map((name) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)[1]));
    }

    before(async () => {
        site = await Site.open();
        await site.api.post(`${V1}/assets`, assetBody('BASE'), 201);
        await site.api.until(`${V1}/assets/BASE`, (a) => a.status === 'active', 60);
        await site.host.rpc('anvil_mine', '0x20');
        await site.catchUp();
    });
    after(() => site?.close());

    for (const [depth, deep] of [[1, 0], [3, 0], [8, 1]]) {
        test(`undoes ${depth} by itself${deep ? ', and says so loudly' : ''}`, async () => {
            const before = await counts();
            const stop = await forked(depth);
            await eventually('it is undone', async () => (await counts())[0] > before[0]);
            await stop();
            await settle();
            const now = await counts();
            assert.equal(now[1] - before[1], deep);
            const line = objects(site.api.daemon.log)
                .filter((l) => l.event === 'chain.reorg_undone').at(-1);
            assert.equal(line.level, deep ? 'error' : 'warn');
            assert.equal(deepest(), depth);
            assert.equal((await health(site.api)).status, 200);
        });
    }

    test('halts at thirteen, works on, and goes on where it is told', async () => {
        await site.host.rpc('anvil_mine', '0x8');
        await site.catchUp();
        const stop = await forked(13);
        const { halted, blockNumber } = await site.api.until(`${V1}/blockchain/network`,
            (n) => n.halted);
        assert.equal(halted, true);
        const { status, chain } = await health(site.api);
        assert.equal(status, 503);
        const [, fork, from] = new RegExp('the last common block is (\\d+), more than '
            + 'chain\\.max_reorg_depth = 12 blocks below; look at the chain, then run '
            + '`freehold chain resume --from (\\d+)`').exec(chain.detail);
        assert.equal(Number(from), Number(fork) + 1);
        assert.equal(blockNumber - Number(fork), 13);

        // The rest goes on: reads, writes, sending.
        const asset = await site.register();
        assert.equal((await site.api.get(`${V1}/assets/BASE`)).status, 'active');
        const mined = () => rows(site.api.daemon.database,
            'SELECT COUNT(*) AS n FROM relay_intents WHERE state = 4')[0].n;
        const before = mined();
        await eventually('the relay sends what is asked for meanwhile', () => mined() > before);
        await stop();

        const resume = (...words) => run(['chain', 'resume', ...words, '--json',
            `--store.url=${site.api.daemon.database.url}`], { cwd: site.api.daemon.dir });
        const refused = await resume('--from', '1000000');
        assert.match(refused.stdout, /can resume from blocks/);
        const done = await resume('--from', from);
        assert.equal(done.status, 0, done.stdout + done.stderr);
        wanted.assets.push(asset.assetId);
        await settle();
        assert.equal((await health(site.api)).status, 200);
        assert.doesNotMatch(site.api.daemon.log, /"level":"broken"/);
    });
});
