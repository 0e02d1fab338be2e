// A backlog of dead jobs costs the daemon disk, not memory. BACKLOG_MB (96) says how large it is.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Daemon, SLOW, change, databaseOf, folder, pick, rows } from '../support/program.mjs';

const MB = Number(process.env.BACKLOG_MB ?? 96);
const JOB_BYTES = 65536;
const JOBS = MB * 2 ** 20 / JOB_BYTES;
/*
 * A runner holds at most 2 * (claim_batch + threads) jobs (kernel/jobs/jobs.h), here 16, each with
 * its payload as text and as a tree. The rest is for what any daemon has: connections, pages, stacks.
 */
const SETTINGS = { 'jobs.claim_batch': 4, 'jobs.threads': 4 };
const GROWTH_MB = 48;

/** Memory that is the process's own: the files that it maps are the system's to take. Units: MiB. */
const memory = ({ pid }) => Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

/** Dead jobs of a kind that no handler knows: replayed they are tried, and die again. */
function put(database) {
    const numbers = pick(
        `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${JOBS})`,
        `WITH n (i) AS (SELECT generate_series(1, ${JOBS}))`);
    const payload = pick(`'{"text":"' || hex(randomblob(${JOB_BYTES / 2})) || '"}'`,
        `jsonb_build_object('text', (SELECT string_agg(md5(i::text || k::text), '')
            FROM generate_series(1, ${JOB_BYTES / 32}) AS k))`);
    const now = pick('(unixepoch() * 1000000)', 'now()');
    change(database, `${numbers}
        INSERT INTO jobs (kind, payload, priority, state, attempts, lapses, created, scheduled, run_at,
            lease_token, finished, error)
        SELECT 'test.large', ${payload}, 0, 4, 1, 0, ${now}, ${now}, ${now}, 0, ${now},
            'upstream: It was away.' FROM n`);
}

test(`${MB} MiB of dead jobs are listed, counted, replayed and tried in bounded memory`, {
    skip: SLOW > 1 && 'a sanitizer keeps what was given back',
}, async () => {
    const dir = folder();
    const before = await Daemon.start(SETTINGS, { dir });
    await before.stop();
    const database = databaseOf(dir);
    put(database);
    const daemon = await Daemon.start(SETTINGS, { dir });
    try {
        const began = memory(daemon);
        let most = began;
        const look = () => { most = Math.max(most, memory(daemon)); };
        for (let page = 0; page < 10; page++) {
            assert.equal((await daemon.request('GET', '/api/v1/jobs?state=dead&limit=100')).status, 200);
            look();
        }
        let answer = { more: true };
        let replayed = 0;
        while (answer.more) {
            answer = (await daemon.request('POST', '/api/v1/jobs/replay', { kind: 'test.large', limit: 500 })).data;
            replayed += answer.replayed;
            look();
        }
        assert.equal(replayed, JOBS);
        const left = () => Number(rows(database,
            "SELECT count(*) AS count FROM jobs WHERE kind = 'test.large' AND attempts = 0")[0].count);
        const deadline = Date.now() + 300000 * SLOW;
        while (left() > 0) {
            assert.ok(Date.now() < deadline, `${left()} jobs were never tried`);
            for (let i = 0; i < 10; i++) {
                look();
                await sleep(20);
            }
        }
        console.log(`# ${MB} MiB: ${began.toFixed(0)} MiB at the start, ${most.toFixed(0)} MiB at most`);
        assert.ok(most - began < GROWTH_MB, `${began} MiB became ${most} MiB`);
    } finally {
        await daemon.stop();
    }
});
