// What tests of a database that fails share: a load of requests that are asked again until they are
// acknowledged, what a refusal must look like, and the comparison with what is stored in the end.

import assert from 'node:assert/strict';
import { SLOW, fresh, leaseBody, rows, sleep } from './support.mjs';
import { eventually } from '../support/program.mjs';

const V1 = '/api/v1';
export const WORKERS = 8;

/** What the API may say while its database does not work. */
export function expectRefusal(answer, codes = ['db_unavailable', 'db_busy', 'overloaded']) {
    const about = JSON.stringify(answer);
    if (answer.status === 409) {
        // The first request with the key is not known to have ended yet.
        assert.equal(answer.code, 'in_progress', about);
    } else {
        assert.equal(answer.status, 503, about);
        assert.ok(codes.includes(answer.code), about);
    }
    assert.match(answer.headers.get('retry-after') ?? '', /^\d+$/, about);
    assert.match(answer.requestId, /^req_/, about);
    assert.ok(answer.error.length > 10, about);
}

/**
 * Asks for leases of an asset under ids and keys of their own until `going` says no. `seen` is
 * called with the object that the promise resolves to: `acknowledged` ids and `refused`, how often
 * each code was answered; who sets `over` in it ends the load though something is not acknowledged.
 */
export async function load(target, assetId, going, { codes, seen = () => {} } = {}) {
    const counts = { acknowledged: [], refused: {}, over: false };
    const body = leaseBody(assetId);
    seen(counts);
    const one = (leaseId) => eventually(
        () => `${leaseId} is acknowledged:\n${target.daemon.log.slice(-2000)}`, async () => {
            const answer = await target.send('POST', `${V1}/leases`,
                { body: { ...body, leaseId }, headers: { 'idempotency-key': leaseId } });
            if (answer.success) {
                counts.acknowledged.push(leaseId);
                return true;
            }
            expectRefusal(answer, codes);
            counts.refused[answer.code] = (counts.refused[answer.code] ?? 0) + 1;
            return counts.over;
        }, 120);
    await Promise.all(Array.from({ length: WORKERS }, async () => {
        while (going()) {
            await one(fresh('LOAD'));
        }
    }));
    return counts;
}

/** Every acknowledged lease is there, once, with one row of the audit log; and nothing else is. */
export function compare(database, acknowledged) {
    const stored = rows(database, "SELECT lease_id FROM leases WHERE lease_id LIKE 'LOAD-%'");
    assert.deepEqual(stored.map((row) => row.lease_id).sort(), [...acknowledged].sort());
    const audited = rows(database, `SELECT subject, count(*) AS count FROM audit_log
        WHERE action = 'leasing.lease_created' AND subject LIKE 'lease/LOAD-%' GROUP BY subject`);
    assert.deepEqual(audited.map((row) => row.count), acknowledged.map(() => 1));
}

export async function health(target) {
    const reply = await fetch(`${target.daemon.url}/health`);
    return { status: reply.status, ...(await reply.json()) };
}

export async function healthy(target) {
    const deadline = Date.now() + 30_000 * SLOW;
    while ((await health(target)).status !== 'healthy') {
        assert.ok(Date.now() < deadline, target.daemon.log.split('\n').slice(-20).join('\n'));
        await sleep(50);
    }
}
