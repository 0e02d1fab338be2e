// Backups in a bucket: signed so that another implementation agrees, whole or not there, through
// servers that are busy, drop connections and cut answers.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ON_POSTGRES } from '../support/database.mjs';
import { folder, objects, run } from '../support/program.mjs';
import { Bucket } from '../support/bucket.mjs';

// It makes its own databases, so that one run of the suite is enough.
describe('backups in a bucket', { skip: ON_POSTGRES }, () => {
    let bucket;
    let dir;
    let url;
    before(async () => {
        bucket = await Bucket.start();
        dir = folder();
        const path = join(dir, 'own.db');
        url = `--store.url=sqlite:${path}`;
        assert.equal((await run(['migrate', 'up', url])).status, 0);
        // Bytes that do not compress, so that one table is larger than a part of an upload.
        execFileSync('sqlite3', [path, `WITH RECURSIVE n(i) AS
            (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 300)
            INSERT INTO http_idempotency (key, route, principal, body_hash, state, boot, started_at,
                status, content_type, location, body)
            SELECT 'k' || i, 'r', 'p', randomblob(32), 2, 'b', i, 200, NULL, NULL, randomblob(65536)
            FROM n`]);
    });
    after(() => bucket?.stop());

    async function command(words, { env = bucket.env } = {}) {
        const ended = await run([...words, '--json', ...bucket.settings], { seconds: 120, env });
        return { status: ended.status, list: objects(ended.stdout), ...objects(ended.stdout).at(-1),
            text: ended.stdout + ended.stderr };
    }

    async function succeeds(...words) {
        const result = await command(words);
        assert.equal(result.status, 0, result.text);
        return result;
    }

    const place = 's3://bucket/nightly/a';
    const uploads = () => bucket.log.filter((line) => /^POST .*uploads=/.test(line)).length;

    test('are made in parts, listed, proven and restored', async () => {
        const { id, bytes } = await succeeds('backup', place, url);
        assert.ok(bytes > 19_000_000, `${bytes}`);
        assert.ok(uploads() === 1, bucket.log.join('\n'));
        const parts = bucket.log.filter((line) => /^PUT .*partNumber=/.test(line));
        assert.ok(parts.length >= 3 && parts.every((line) => line.endsWith(' 200')));
        // The manifest is the last thing that is written.
        const written = bucket.log.filter((line) => /^(PUT|POST) /.test(line));
        assert.match(written.at(-1), new RegExp(`^PUT /bucket/nightly/a/${id}/manifest.json 200$`));

        assert.deepEqual((await succeeds('backup', 'list', place)).list.map((one) => one.id), [id]);
        const proven = await succeeds('backup', 'verify', `${place}/${id}`);
        assert.equal(proven.checks.length, 6);
        const to = `sqlite:${join(dir, 'restored.db')}`;
        await succeeds('restore', place, `--to=${to}`);
        assert.equal((await run(['migrate', 'verify', `--store.url=${to}`])).status, 0);
    });

    test('come through servers that are busy and connections that break', async () => {
        let faults = 0;
        bucket.fault = (request, number) => {
            const kind = [undefined, 'busy', undefined, 'drop', undefined,
                request.method === 'GET' ? 'cut' : undefined][number % 6];
            faults += kind !== undefined;
            return kind;
        };
        try {
            const { id } = await succeeds('backup', 's3://bucket/rough', url);
            await succeeds('backup', 'verify', `s3://bucket/rough/${id}`);
        } finally {
            bucket.fault = () => undefined;
        }
        assert.ok(faults > 20, `${faults}`);
    });

    test('are not there when the server fails for good, and nothing else is', async () => {
        bucket.fault = (request) => (/manifest/.test(request.url) && request.method === 'PUT'
            ? 'busy' : undefined);
        const failed = await command(['backup', 's3://bucket/never', url]);
        bucket.fault = () => undefined;
        assert.equal(failed.status, 1);
        assert.equal(failed.code, 'upstream');
        assert.match(failed.error, /status 503 \(SlowDown\)/);
        assert.deepEqual((await succeeds('backup', 'list', 's3://bucket/never')).list, []);
        const left = await command(['restore', 's3://bucket/never', `--to=sqlite:${dir}/x.db`]);
        assert.equal(left.code, 'not_found');
    });

    test('are refused with the wrong secret, which is told to nobody', async () => {
        const env = { AWS_ACCESS_KEY_ID: 'GATEKEY', AWS_SECRET_ACCESS_KEY: 'hunter2' };
        const refused = await command(['backup', place, url], { env });
        assert.equal(refused.status, 1);
        assert.equal(refused.code, 'forbidden');
        assert.match(refused.error, /refuses the credentials/);
        assert.doesNotMatch(refused.text, /hunter2|GATEKEY/);
        const none = await command(['backup', place, url],
            { env: { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' } });
        assert.equal(none.code, 'config');
        assert.match(none.error, /credentials of the bucket are missing/);
        const lost = await command(['backup', 's3://elsewhere/x', url]);
        assert.notEqual(lost.status, 0);
    });
});
