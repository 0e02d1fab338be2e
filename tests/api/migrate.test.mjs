// `freehold migrate`: up, down, status and verify; what is refused with a sentence; several at once.

import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ON_POSTGRES, change, databaseOf, folder, rows, run } from '../support/program.mjs';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const KNOWN = readdirSync(join(ROOT, 'src/app/migrations')).length;

async function migrate(database, ...words) {
    const { status, stdout, stderr } =
        await run(['migrate', ...words, '--json', `--store.url=${database.url}`]);
    return { status, ...JSON.parse(stdout.trim() || stderr.trim()) };
}

const is = (answer, applied) => assert.deepEqual(answer,
    { status: 0, success: true, applied, known: KNOWN });

function refused(answer, code, said) {
    assert.equal(answer.status, code === 'usage' ? 2 : 1, JSON.stringify(answer));
    assert.equal(answer.code, code);
    assert.match(answer.error, said);
}

test('up, down, to a version, to nothing and up again', async () => {
    const database = databaseOf(folder());
    is(await migrate(database, 'up', '--to=1'), 1);
    is(await migrate(database, 'status'), 1);
    is(await migrate(database, 'up'), KNOWN);
    is(await migrate(database, 'up'), KNOWN);
    is(await migrate(database, 'verify'), KNOWN);
    is(await migrate(database, 'down'), KNOWN - 1);
    is(await migrate(database, 'down', '--to=0'), 0);
    assert.equal(rows(database, 'SELECT version FROM schema_migrations').length, 0);
    is(await migrate(database, 'up'), KNOWN);
    is(await migrate(database, 'verify'), KNOWN);
    refused(await migrate(database, 'up', `--to=${KNOWN + 1}`), 'usage', /--to is a version/);
    refused(await migrate(database, 'sideways'), 'usage', /status, up, down or verify/);
});

test('an edited migration and a newer database are refused, and left alone', async () => {
    const database = databaseOf(folder());
    is(await migrate(database, 'up'), KNOWN);
    change(database, "UPDATE schema_migrations SET checksum = 'other' WHERE version = 3");
    for (const word of ['status', 'up', 'down', 'verify']) {
        refused(await migrate(database, word), 'db_version',
            /Migration 3 \(jobs\) was edited after it was applied/);
    }
    const served = await run(['serve', '--json', '--http.port=0', `--store.url=${database.url}`]);
    assert.equal(served.status, 1);
    assert.match(served.stdout + served.stderr, /was edited after it was applied/);

    const newer = databaseOf(folder());
    is(await migrate(newer, 'up'), KNOWN);
    change(newer, `INSERT INTO schema_migrations SELECT ${KNOWN + 1}, 'to_come', checksum, applied_at
        FROM schema_migrations WHERE version = 1`);
    for (const word of ['status', 'up', 'down']) {
        refused(await migrate(newer, word), 'db_version',
            new RegExp(`is at version ${KNOWN + 1} \\(to_come\\), this program knows up to ${KNOWN}`));
    }
});

test('of several at once, each migration is applied by one', async () => {
    const database = databaseOf(folder());
    const answers = await Promise.all(Array.from({ length: 6 }, () => migrate(database, 'up')));
    for (const answer of answers) {
        // A file has one owner; who comes while it works is told so. On a server they wait.
        if (ON_POSTGRES || answer.status === 0) {
            is(answer, KNOWN);
        } else {
            refused(answer, 'locked', /in use by process/);
        }
    }
    assert.ok(answers.some((answer) => answer.status === 0));
    is(await migrate(database, 'verify'), KNOWN);
    assert.deepEqual(rows(database, 'SELECT version FROM schema_migrations ORDER BY version')
        .map((row) => row.version), Array.from({ length: KNOWN }, (_, i) => i + 1));
});

test('a file that is damaged is refused with a sentence, and not written', {
    skip: ON_POSTGRES && 'of a file',
}, async () => {
    const database = databaseOf(folder());
    writeFileSync(database.path, Buffer.alloc(8192, 'not a database '));
    for (const words of [['migrate', 'up'], ['serve', '--http.port=0']]) {
        const { status, stdout, stderr } =
            await run([...words, '--json', `--store.url=${database.url}`]);
        assert.equal(status, 1);
        assert.match(stdout + stderr, /is damaged \(.*\): (stop the program and )?restore a backup/);
    }
});
