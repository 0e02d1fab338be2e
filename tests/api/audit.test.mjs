// The audit log of a daemon at work: what it has of each request, that its chain of hashes is the
// one that the header of kernel/audit describes (computed here once more), and that the program
// finds what was done to it past the program.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { userInfo } from 'node:os';
import { after, before, describe, test } from 'node:test';
import {
    Api, assetBody, bidderA, fresh, leaseBody, lessor, rows, sign, sleep, strangers, typeBody,
} from './support.mjs';
import { change, databaseOf, eventually, folder, objects, pick, run } from '../support/program.mjs';

const V1 = '/api/v1';
const stranger = strangers.at(-1);
let api;
let database;

before(async () => {
    api = await Api.start({ 'audit.seal_after': '20ms' });
    database = api.daemon.database;
});
after(() => api?.stop());

/** A POST that must succeed; its answer with the id of its request. */
async function post(path, body, headers = {}) {
    const answer = await api.send('POST', V1 + path, { body, headers });
    assert.ok(answer.success, JSON.stringify(answer));
    return { ...answer, requestId: answer.headers.get('x-request-id') };
}

/** Rows of the log that belong to a request. */
const rowsOf = ({ requestId }) => rows(database, `SELECT actor_kind, actor, action, subject, outcome,
    details, transaction_id FROM audit_log WHERE request_id = '${requestId}' ORDER BY created_at, id`);

/** Waits until everything is sealed, and returns the rows in order. */
async function sealed() {
    return eventually('every row of the log is sealed', () => {
        const all = rows(database, 'SELECT * FROM audit_log ORDER BY seq');
        return all.every((row) => row.seq !== null) && all;
    });
}

const verify = (...args) => run(['audit', 'verify', '--json', `--store.url=${database.url}`, ...args]);

/** RFC 8785 of what has sorted ASCII keys already, and of `details`, which database.mjs sorted. */
function canonical(row) {
    const object = {
        action: row.action, actor: row.actor, actorKind: row.actor_kind, createdAt: row.created_at,
        details: JSON.parse(row.details), id: row.id, jobId: row.job_id, outcome: row.outcome,
        requestId: row.request_id, seq: row.seq, subject: row.subject,
        transactionId: row.transaction_id,
    };
    return JSON.stringify(object);
}

/** The chain, computed from the rows alone. */
function hashes(all) {
    let before = Buffer.alloc(32);
    return all.map((row) => {
        before = createHash('sha256').update(before).update(canonical(row)).digest();
        return `0x${before.toString('hex')}`;
    });
}

describe('what the log has', () => {
    let asset;
    let lease;

    test('each request that changes something, once, with its request and its transaction', async () => {
        const type = await post('/asset-types?wait=20', typeBody('satellite'));
        const [{ transaction_id: id, ...row }, ...more] = rowsOf(type);
        assert.deepEqual([row, more], [{ actor_kind: 2, actor: '', action: 'leasing.type_created',
            subject: 'asset-type/satellite', outcome: 1, details: '{}' }, []]);
        assert.equal((await api.get(`${V1}/transactions/${id}`)).purpose, 'leasing.create_type');
        // The same again changes nothing, and leaves nothing.
        assert.deepEqual(rowsOf(await post('/asset-types', typeBody('satellite'))), []);

        asset = await post('/assets?wait=20', assetBody(fresh('AUDIT')));
        assert.deepEqual(rowsOf(asset).map((row) => [row.action, row.subject, row.transaction_id]),
            [['leasing.asset_registered', `asset/${asset.data.assetId}`, asset.data.transactionId]]);
        lease = await post('/leases', leaseBody(asset.data.assetId));
        assert.deepEqual(rowsOf(lease).map((row) => row.action), ['leasing.lease_created']);
        const { digest } = await api.get(`${V1}/leases/${lease.data.leaseId}/digest`);
        const signed = await post(`/leases/${lease.data.leaseId}/sign`,
            { signerType: 'lessor', signature: sign(lessor, digest) });
        assert.deepEqual(rowsOf(signed), [{ actor_kind: 2, actor: '', action: 'leasing.lease_signed',
            subject: `lease/${lease.data.leaseId}`, outcome: 1, details: '{"by":"lessor"}',
            transaction_id: null }]);
        const last = await post(`/leases/${lease.data.leaseId}/sign?wait=20`,
            { signerType: 'lessee', signature: sign(bidderA, digest) });
        assert.equal(last.data.status, 'active');
        assert.equal(rowsOf(last).length, 1);
    });

    test('nothing of a request that was refused', async () => {
        const path = `${V1}/leases/${lease.data.leaseId}/sign`;
        const { requestId } = await api.refuse('POST', path,
            { body: { signerType: 'lessor', signature: `0x${'11'.repeat(65)}` } }, 409, 'conflict');
        assert.deepEqual(rowsOf({ requestId }), []);
    });

    test('nothing of an answer that is given again', async () => {
        const body = leaseBody(asset.data.assetId, { lesseeAddress: bidderA.address });
        const headers = { 'idempotency-key': fresh('key') };
        const first = await post('/leases', body, headers);
        const again = await post('/leases', body, headers);
        assert.equal(again.data.leaseId, first.data.leaseId);
        assert.deepEqual([rowsOf(first).length, rowsOf(again).length], [1, 0]);
    });

    test('each state of a transaction, in order', async () => {
        const id = asset.data.transactionId;
        await api.until(`${V1}/transactions/${id}`, (t) => t.state === 'mined');
        const states = rows(database, `SELECT action, details FROM audit_log
            WHERE subject = 'transaction/${id}' ORDER BY created_at, id`);
        assert.deepEqual(states.map((row) => row.action),
            ['relay.submitted', 'relay.signed', 'relay.sent', 'relay.mined']);
        const mined = JSON.parse(states[3].details);
        const receipt = await api.provider.getTransactionReceipt(mined.hash);
        assert.equal(receipt.blockNumber, mined.block);
        assert.equal(receipt.gasUsed, BigInt(mined.gasUsed));
        assert.equal(`${receipt.gasPrice}`, mined.gasPrice);
    });

    test('no event that the chain can tell again, but a reorganisation, and what it took back', async () => {
        const count = () => rows(database, 'SELECT count(*) AS count FROM audit_log')[0].count;
        const head = await api.provider.getBlockNumber();
        const before = count();
        await api.invoke(stranger, api.contracts.stablecoin,
            'mint(address to, uint256 amount)', bidderA.address, 1);
        assert.equal(count(), before);
        await api.rpc('anvil_reorg', 1, []);
        await api.rpc('anvil_mine', '0x2');
        await api.daemon.reach(head + 2);
        const found = () => rows(database, `SELECT actor_kind, actor, subject, details FROM audit_log
            WHERE action = 'chain.reorg_undone'`);
        await eventually('a row about the blocks undone', () => found().length > 0);
        const [{ details, ...row }] = found();
        assert.deepEqual(row, { actor_kind: 4, actor: '31337', subject: 'chain/31337' });
        assert.equal(JSON.parse(details).from, head + 1);
        assert.equal(JSON.parse(details).to, head);
        assert.ok(count() > before);
    });
});

describe('the chain of hashes', () => {
    test('is the one that is described, without gaps', async () => {
        const all = await sealed();
        assert.ok(all.length > 20);
        assert.deepEqual(all.map((row) => row.seq), all.map((_, i) => i + 1));
        assert.deepEqual(all.map((row) => row.hash), hashes(all));
    });

    test('is proven by the program, and leads to the head that it shows', async () => {
        const all = await sealed();
        const head = `${all.length}:${all.at(-1).hash}`;
        const health = await (await fetch(`${api.daemon.url}/health`)).json();
        assert.equal(health.parts.audit.head, head);
        assert.equal(health.parts.audit.status, 'healthy');
        const metrics = await (await fetch(`${api.daemon.url}/metrics`)).text();
        assert.match(metrics, new RegExp(`^freehold_audit_head ${all.length}$`, 'm'));

        const { status, stdout } = await verify('--head', head);
        assert.equal(status, 0, stdout);
        assert.deepEqual(JSON.parse(stdout), { success: true, rows: all.length, unsealed: 0, head,
            anchor: `0:0x${'00'.repeat(32)}`, first: null });
        const text = await run(['audit', 'verify', `--store.url=${database.url}`]);
        assert.equal(text.stdout,
            `Proven: ${all.length} rows after row 0, 0 not sealed yet\nhead ${head}\n`);
    });

    test('an unreadable head is said in a sentence', async () => {
        for (const head of ['7', '7:0x12', 'x:0x00', '']) {
            const { status, stdout } = await verify(`--head=${head}`);
            assert.equal(status, 2, head);
            assert.match(JSON.parse(stdout).error, /--head is a number and a hash/);
        }
    });
});

describe('past the program', () => {
    let kept;

    /** What the program says is wrong, beside a daemon at work. */
    async function found(...args) {
        const { status, stdout } = await verify(...args);
        assert.equal(status, 1, stdout);
        const [report, failure] = objects(stdout);
        assert.equal(report.success, false);
        assert.equal(failure.code, 'corrupt');
        return report.first;
    }

    test('a row is neither changed nor deleted', async () => {
        kept = (await sealed()).at(-1);
        for (const sql of ["UPDATE audit_log SET actor = 'x' WHERE seq = 5",
            'DELETE FROM audit_log WHERE seq = 5']) {
            assert.throws(() => change(database, sql));
        }
        assert.equal((await verify()).status, 0);
    });

    test('who takes the guard away and changes a row is found', async () => {
        const guard = (name) => `DROP TRIGGER ${name}${pick('', ' ON audit_log')};`;
        change(database, guard('audit_log_stay') + guard('audit_log_keep'));
        const [{ details, id }] = rows(database, 'SELECT details, id FROM audit_log WHERE seq = 5');
        change(database, `UPDATE audit_log SET details = '{"x":1}' WHERE seq = 5`);
        assert.deepEqual(await found(), { finding: 'changed', row: 5, id,
            sentence: `Row 5 (${id}) was changed: its hash does not follow from it and from the row `
                + 'before.' });
        change(database, `UPDATE audit_log SET details = '${details}' WHERE seq = 5`);
        assert.equal((await verify()).status, 0);
    });

    test('a row that is missing, and one in another place', async () => {
        change(database, 'UPDATE audit_log SET seq = 1000000 WHERE seq = 7');
        assert.equal((await found()).finding, 'missing');
        change(database, 'UPDATE audit_log SET seq = 7 WHERE seq = 9;'
            + 'UPDATE audit_log SET seq = 9 WHERE seq = 1000000');
        const first = await found();
        assert.deepEqual([first.finding, first.row], ['reordered', 7]);
        change(database, 'UPDATE audit_log SET seq = 1000000 WHERE seq = 7;'
            + 'UPDATE audit_log SET seq = 7 WHERE seq = 9;'
            + 'UPDATE audit_log SET seq = 9 WHERE seq = 1000000');
        assert.equal((await verify()).status, 0);
    });

    test('a tail that was cut off is found by a head that somebody kept', async () => {
        assert.equal((await api.stop()).status, 0);
        const all = rows(database, 'SELECT seq, hash FROM audit_log ORDER BY seq');
        const last = all.at(-1);
        const { hash } = all.at(-4);
        change(database, `DELETE FROM audit_log WHERE seq > ${last.seq - 3};`
            + `UPDATE audit_head SET seq = ${last.seq - 3}, hash = (SELECT hash FROM audit_log
               WHERE seq = ${last.seq - 3})`);
        assert.equal(JSON.parse((await verify()).stdout).head, `${last.seq - 3}:${hash}`);
        assert.equal((await verify('--head', `${kept.seq}:${kept.hash}`)).status,
            kept.seq > last.seq - 3 ? 1 : 0);
        const first = await found('--head', `${last.seq}:${last.hash}`);
        assert.deepEqual([first.finding, first.row], ['truncated', last.seq - 2]);
        api = undefined;
    });
});

test('what operators do at the command line is there with their name', async () => {
    const other = databaseOf(folder());
    const up = await run(['migrate', 'up', `--store.url=${other.url}`]);
    assert.equal(up.status, 0, up.stderr);
    const [{ details, ...row }] = rows(other,
        'SELECT actor_kind, actor, action, subject, details FROM audit_log');
    assert.deepEqual(row, { actor_kind: 3, actor: userInfo().username, action: 'store.migrated',
        subject: 'store/schema' });
    assert.equal(JSON.parse(details).from, 0);
    const { stdout } = await run(['audit', 'verify', '--json', `--store.url=${other.url}`]);
    assert.equal(JSON.parse(stdout).unsealed, 1);
});
