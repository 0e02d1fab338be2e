// Documents in a bucket behind a gate that checks every signature by another implementation: stored in
// parts, fetched and compared, through servers that are busy or away, and found when they rot.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Bucket } from '../support/bucket.mjs';
import { Daemon, change, eventually, pick, rows } from '../support/program.mjs';

const V1 = '/api/v1/documents';
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

function pdf(size = 5000) {
    const head = Buffer.from('%PDF-1.7\n');
    const tail = Buffer.from('\n%%EOF\n');
    return Buffer.concat([head, randomBytes(size - head.length - tail.length), tail]);
}

describe('documents in a bucket', () => {
    let bucket;
    let daemon;
    before(async () => {
        bucket = await Bucket.start();
        Object.assign(process.env, bucket.env); // which the daemon has from here
        daemon = await Daemon.start({ 'documents.store': 's3://bucket/kept/here/', 'documents.s3_endpoint': bucket.endpoint,
            'documents.s3_path_style': true });
    });
    after(async () => {
        Object.keys(bucket.env).forEach((name) => { delete process.env[name]; });
        await daemon?.stop();
        await bucket?.stop();
    });

    async function upload(bytes) {
        const form = new FormData();
        form.append('document', new Blob([bytes], { type: 'application/pdf' }), 'a.pdf');
        const reply = await fetch(daemon.url + V1, { method: 'POST', body: form });
        return { status: reply.status, ...await reply.json() };
    }

    async function stored(bytes) {
        const answer = await upload(bytes);
        assert.equal(answer.status, 201, JSON.stringify(answer));
        return answer.data;
    }

    const content = ({ documentId }, headers = {}) => fetch(`${daemon.url}/documents/${documentId}`, { headers });
    const bytesOf = async (reply) => Buffer.from(await reply.arrayBuffer());
    const verified = async ({ documentId }) => (await daemon.request('POST', `${V1}/${documentId}/verify`)).data;
    const objects = () => readdirSync(join(bucket.dir, 'bucket'), { recursive: true })
        .filter((name) => name.endsWith('_object')).map((name) => name.replace(/\._S3rver_object$/, ''));
    const objectOf = ({ hash }) => join(bucket.dir, 'bucket', `kept/here/${hash.slice(2)}._S3rver_object`);

    async function swept() {
        const before_ = daemon.log.split('documents.swept').length;
        const now = pick('(unixepoch() * 1000000)', 'now()');
        change(daemon.database, `INSERT INTO jobs (kind, payload, priority, state, attempts, lapses, created, scheduled,
            run_at, lease_token) VALUES ('documents.sweep', '{}', 0, 1, 0, 0, ${now}, ${now}, ${now}, 0)`);
        await eventually('a sweep', () => daemon.log.split('documents.swept').length > before_);
    }

    test('small ones are one object, large ones come in parts, and both come back', async () => {
        for (const [size, parts] of [[5000, 0], [(5 << 20) - 1, 0], [5 << 20, 1], [12_000_000, 3]]) {
            bucket.log = [];
            const bytes = pdf(size);
            const data = await stored(bytes);
            assert.equal(data.hash, `0x${sha256(bytes)}`);
            assert.equal(bucket.log.filter((line) => /^PUT .*partNumber=.* 200$/.test(line)).length, parts, `${size}`);
            assert.ok(readFileSync(objectOf(data)).equals(bytes));
            assert.ok((await bytesOf(await content(data))).equals(bytes));
            const part = await content(data, { range: 'bytes=100-1099' });
            assert.equal(part.status, 206);
            assert.ok((await bytesOf(part)).equals(bytes.subarray(100, 1100)));
            assert.equal((await verified(data)).valid, true);
        }
        const { length } = objects();
        assert.equal((await upload(Buffer.from('%PDF-1.7'))).status, 415);
        assert.equal(objects().length, length);
    });

    test('a flipped byte is not served, reported, and mended by the same file', async () => {
        const bytes = pdf(3_000_000);
        const data = await stored(bytes);
        const flipped = Buffer.from(bytes);
        flipped[1_500_000] ^= 4;
        writeFileSync(objectOf(data), flipped);
        const refused = await content(data);
        assert.deepEqual([refused.status, (await refused.json()).code], [500, 'corrupt']);
        const found = await verified(data);
        assert.deepEqual([found.valid, found.state], [false, 'damaged']);
        assert.match(daemon.log, new RegExp(`documents.damaged.*${data.documentId}`));
        assert.deepEqual(rows(daemon.database, `SELECT action FROM audit_log WHERE subject = 'document/${data.documentId}'
            ORDER BY created_at, id`).map(({ action }) => action), ['documents.uploaded', 'documents.damaged']);
        assert.equal((await upload(bytes)).data.state, 'stored');
        assert.ok((await bytesOf(await content(data))).equals(bytes));
    });

    test('one that is gone is missing; one that nobody has is removed when it is old', async () => {
        const data = await stored(pdf());
        const kept = objects().length;
        const other = await stored(pdf());
        change(daemon.database, `DELETE FROM documents WHERE document_id = '${other.documentId}'`);
        const then = Date.now() / 1000 - 7200;
        utimesSync(objectOf(other), then, then);
        const { status } = await daemon.request('DELETE', `${V1}/${data.documentId}`);
        assert.equal(status, 200);
        assert.equal(objects().length, kept); // one went, the other is still there
        await swept();
        assert.equal(objects().length, kept - 1);
        assert.match(daemon.log, new RegExp(`documents.orphan_removed.*${other.hash}`));
        const lost = await stored(pdf());
        rmSync(objectOf(lost));
        assert.equal((await verified(lost)).state, 'missing');
    });

    test('a bucket that is busy, drops or cuts is asked again', async () => {
        const seen = new Set();
        bucket.fault = (request, number) => { // each request fails once, in one of three ways
            const key = `${request.method} ${request.url} ${request.headers.range ?? ''}`;
            if (seen.has(key)) {
                return undefined;
            }
            seen.add(key);
            return ['busy', 'drop', request.method === 'GET' ? 'cut' : 'busy'][number % 3];
        };
        const bytes = pdf(6_000_000);
        const data = await stored(bytes);
        assert.ok((await bytesOf(await content(data))).equals(bytes));
        bucket.fault = () => undefined;
        assert.ok(bucket.log.some((line) => line.endsWith('dropped')));
    });

    test('a bucket that is away, or does not let us in, is no fault of who asks, and leaves no row', async () => {
        const data = await stored(pdf());
        const count = rows(daemon.database, 'SELECT count(*) AS n FROM documents')[0].n;
        bucket.fault = () => 'busy';
        const away = await upload(pdf());
        assert.deepEqual([away.status, away.code], [502, 'upstream']);
        assert.deepEqual([(await content(data)).status, (await verified(data))], [502, undefined]);
        bucket.fault = (request) => { request.headers.authorization += '0'; return undefined; };
        const refused = await upload(pdf());
        assert.deepEqual([refused.status, refused.code], [502, 'upstream']);
        bucket.fault = () => undefined;
        assert.equal(rows(daemon.database, 'SELECT count(*) AS n FROM documents')[0].n, count);
        assert.equal((await verified(data)).valid, true);
        for (const secret of Object.values(bucket.env)) {
            assert.ok(!daemon.log.includes(secret) && !JSON.stringify([away, refused]).includes(secret));
        }
    });
});

test('a place that is none is said at the start', async () => {
    for (const place of ['bucket', 's3://', 'https://x', 's3:///prefix']) {
        await assert.rejects(Daemon.start({ 'documents.store': place }), /documents\.store/, place);
    }
});
