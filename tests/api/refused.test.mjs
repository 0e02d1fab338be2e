// An event that its handler refuses: recorded, in nobody's way, tried again five times, then a dead
// letter; and what a reorganisation makes of a retry. The handler is made to refuse by a row that is
// in its place.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assetBody, fresh, leaseBody, rows } from './support.mjs';
import { Site, V1 } from './reorg-site.mjs';
import { change, eventually, pick } from '../support/program.mjs';

const QUEUED = 1;
const DEAD = 4;

describe('a refused event', () => {
    let site;
    const read = (sql) => rows(site.api.daemon.database, sql);
    const jobs = () => read(`SELECT id, state, attempts, error FROM jobs
        WHERE kind = 'chain.event_retry' ORDER BY id`);
    /** Time passes: the next attempt is due. */
    const due = () => change(site.api.daemon.database, `UPDATE jobs SET run_at = ${pick('1',
        "'2001-01-01'")} WHERE kind = 'chain.event_retry' AND state = ${QUEUED}`);
    const event = (block) => read(`SELECT processed, error FROM blockchain_events
        WHERE event_type = 'LeaseOfferPosted' AND block_number = ${block}`)[0];

    before(async () => {
        site = await Site.open({ 'jobs.poll': '100ms', 'jobs.dead_alert': 0 });
        await site.api.post(`${V1}/assets`, assetBody('BASE'), 201);
        await site.api.until(`${V1}/assets/BASE`, (a) => a.status === 'active', 60);
    });
    after(() => site?.close());

    const offer = () => site.api.post(`${V1}/leases`,
        leaseBody('BASE', { leaseId: fresh('LEASE'), lesseeAddress: undefined }), 201);

    /** Puts a row where that of the next offer belongs, and returns how to take it away. */
    async function obstruct() {
        const lease = await offer();
        const { offer: first } = await site.api.until(`${V1}/leases/${lease.leaseId}`,
            (l) => l.offer?.status === 'active', 60);
        const next = BigInt(first.offerId) + 1n;
        const id = pick(`'${next.toString().padStart(78, '0')}'`, next);
        change(site.api.daemon.database, `INSERT INTO lease_offers SELECT chain_id, marketplace, ${id},
            lessor, onchain_asset_id, 'cancelled', 0, transaction_hash FROM lease_offers LIMIT 1`);
        return () => change(site.api.daemon.database, `DELETE FROM lease_offers WHERE offer_id = ${id}
            AND block_number = 0`);
    }

    test('blocks nothing, is tried again, and taken when it can be', async () => {
        const clear = await obstruct();
        const { leaseId } = await offer();
        const [{ block }] = await eventually('the event is refused', () => {
            const refused = read(`SELECT block_number AS block FROM blockchain_events
                WHERE processed = ${pick('0', 'FALSE')}`);
            return refused.length === 1 && refused;
        });
        assert.match(event(block).error, /^db_constraint/);
        const asset = await site.register();
        await site.api.until(`${V1}/assets/${asset.assetId}`, (a) => a.status === 'active', 60);
        assert.deepEqual(jobs().map((j) => [j.state, j.attempts]), [[QUEUED, 0]]);

        due();
        await eventually('it was tried', () => jobs()[0].attempts === 1 && jobs()[0].state === QUEUED);
        assert.match(jobs()[0].error, /LeaseOfferPosted event \d+ of block \d+: .*\(db_constraint\)/);
        assert.equal(event(block).processed, 0);

        clear();
        due();
        await eventually('it is taken', () => event(block).processed === 1);
        assert.equal(event(block).error, null);
        await site.api.until(`${V1}/leases/${leaseId}`, (l) => l.offer?.status === 'active', 60);
        assert.match(site.api.daemon.log, /"event":"chain\.event_taken"/);
        await site.equalsFreshIndex();
    });

    test('a fork above it takes the retry back, and it is tried once more', async () => {
        const clear = await obstruct();
        const { leaseId } = await offer();
        const [{ block }] = await eventually('the event is refused', () => {
            const refused = read(`SELECT block_number AS block FROM blockchain_events
                WHERE processed = ${pick('0', 'FALSE')}`);
            return refused.length === 1 && refused;
        });
        await site.host.rpc('anvil_mine', '0x6');
        await site.catchUp();
        clear();
        due();
        await eventually('it is taken', () => event(block).processed === 1);
        await site.reorg(3, { ready: () => site.catchUp() });
        await site.host.rpc('anvil_mine', '0x1');
        await site.catchUp();
        const [again] = await eventually('it is wanted again', () => {
            const queued = jobs().filter((j) => j.state === QUEUED);
            return queued.length === 1 && queued;
        });
        assert.equal(again.attempts, 0);
        assert.equal(event(block).processed, 0);
        assert.match(event(block).error, /^db_constraint/);
        due();
        await eventually('it is taken again', () => event(block).processed === 1);
        await site.api.until(`${V1}/leases/${leaseId}`, (l) => l.offer?.status === 'active', 60);
        await site.equalsFreshIndex();
    });

    test('five attempts later it is a dead letter, which can be replayed', async () => {
        const clear = await obstruct();
        const { leaseId } = await offer();
        const [job] = await eventually('it waits', () => {
            const queued = jobs().filter((j) => j.state === QUEUED);
            return queued.length === 1 && queued;
        });
        const now = () => jobs().find((j) => j.id === job.id);
        for (let attempt = 1; attempt <= 5; attempt++) {
            due();
            await eventually(`attempt ${attempt}`, () => now().attempts === attempt
                && [QUEUED, DEAD].includes(now().state));
        }
        assert.equal(now().state, DEAD);
        const { parts } = await (await fetch(`${site.api.daemon.url}/health`)).json();
        assert.equal(parts.jobs.status, 'degraded');
        clear();
        const reply = await fetch(`${site.api.daemon.url}/api/v1/jobs/${job.id}/replay`, { method: 'POST' });
        assert.equal(reply.status, 200, await reply.text());
        due();
        await site.api.until(`${V1}/leases/${leaseId}`, (l) => l.offer?.status === 'active', 60);
        await site.equalsFreshIndex();
    });
});
