// The job queue as operators see and move it, over the API and from the command line.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { request } from 'node:http';
import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import {
    Daemon, ON_POSTGRES, SLOW, change, databaseOf, folder, objects, pick, rows, run,
} from '../support/program.mjs';

const TOKEN = 'a-secret-for-operators';
let open;
let guarded;

before(async () => {
    [open, guarded] = await Promise.all([
        prepared({}, [['test.delayed', 5, 1], ['test.dead', 7, 4], ['test.move', 1, 4]]),
        prepared({ 'http.operator_token': TOKEN, 'jobs.dead_alert': 3 },
            [['test.many', 25, 4], ['test.other', 5, 4]]),
    ]);
});
after(() => Promise.all([open?.stop(), guarded?.stop()]));

/** A daemon that finds jobs in its database: on SQLite nobody else may write while it runs. */
async function prepared(settings, jobs) {
    const dir = folder();
    await (await Daemon.start(settings, { dir })).stop();
    jobs.forEach(([kind, count, state]) => put({ database: databaseOf(dir) }, kind, count, state));
    return Daemon.start(settings, { dir });
}

/** Puts jobs of a kind that no handler knows into the table, dead or delayed. */
function put(daemon, kind, count, state) {
    const now = pick("(unixepoch() * 1000000)", 'now()');
    const later = pick(`${now} + 3600000000`, "now() + interval '1 h'");
    const ended = state === 4 ? now : 'NULL';
    const numbers = pick(
        `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`,
        `WITH n (i) AS (SELECT generate_series(1, ${count}))`);
    change(daemon.database, `${numbers}
        INSERT INTO jobs (kind, payload, priority, state, attempts, lapses, created, scheduled, run_at,
            lease_token, finished, error)
        SELECT '${kind}', ${pick("'{\"secret\":\"' || i || '\"}'", "jsonb_build_object('secret', i::text)")}, 0, ${state}, 1, 0, ${now}, ${now},
            ${state === 4 ? now : later}, 0, ${ended}, 'upstream: It was away.' FROM n`);
}

/** A request with headers of its own, which fetch would not all send. */
function call(daemon, method, path, headers = {}, body) {
    return new Promise((done, fail) => {
        const text = body === undefined ? '' : JSON.stringify(body);
        const req = request(daemon.url + path, { method, headers: {
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
            ...(method === 'POST' ? { 'content-length': Buffer.byteLength(text) } : {}), ...headers } },
        (res) => {
            let answer = '';
            res.setEncoding('utf8').on('data', (chunk) => { answer += chunk; });
            res.on('end', () => done({ status: res.statusCode, ...JSON.parse(answer) }));
        });
        req.on('error', fail);
        req.end(text);
    });
}

async function until(what, condition) {
    const deadline = Date.now() + 30000 * SLOW;
    while (!await condition()) {
        assert.ok(Date.now() < deadline, what);
        await sleep(50);
    }
}

test('queues and schedules are those of the systems that are replaced', async () => {
    const queues = new Map((await open.get('/api/v1/jobs/queues')).map((q) => [q.name, q]));
    // Seed 004, section 4.2, line by line.
    const table = [
        ['index-events', 5, 100, 'exponential', 1000, 3],
        ['yield-calculation', 1, 10, 'fixed', 5000, 3],
        ['notifications', 10, 50, 'exponential', 2000, 5],
        ['cleanup-sessions', 1, 1, 'fixed', 10000, 3],
        ['health-check', 1, 12, 'none', 0, 1],
    ];
    for (const [name, concurrency, rate, backoff, backoffMs, attempts] of table) {
        const q = queues.get(name);
        assert.deepEqual([q.concurrency, q.rate, q.rateWindowMs, q.backoff, q.backoffMs, q.attempts],
            [concurrency, rate, 60000, backoff, backoffMs, attempts], name);
    }
    const schedules = new Map((await open.get('/api/v1/jobs/schedules')).map((s) => [s.name, s]));
    const times = {
        UpdateYield: '*/60 * * * *', CheckExpiredCredentials: '0 */6 * * *',
        SyncPoolStats: '*/15 * * * *', CleanupSessions: '0 0 * * *', HealthCheck: '*/5 * * * *',
        RelayerBalance: '*/10 * * * *', DatabaseBackup: '0 3 * * *', BackupVerification: '0 5 * * 0',
        BookingAutoComplete: '*/30 * * * *', BookingReconcile: '0 */6 * * *',
        ChainReconcile: '0 */6 * * *',
    };
    for (const [name, cron] of Object.entries(times)) {
        assert.equal(schedules.get(name)?.cron, cron, name);
    }
    assert.equal(schedules.get('IndexEvents').everyMs, 30000);
    assert.equal(schedules.get('UpdateYield').waitsFor, 'gateway');
    assert.equal(schedules.get('UpdateYield').enabled, false);
    assert.ok(Date.parse(schedules.get('HealthCheck').nextAt) > Date.now() - 60000);
});

test('operator routes ask for the token', async () => {
    for (const [method, path] of [['GET', '/api/v1/jobs'], ['GET', '/api/v1/jobs/1'],
        ['GET', '/api/v1/jobs/queues'], ['GET', '/api/v1/jobs/schedules'],
        ['POST', '/api/v1/jobs/1/retry'], ['POST', '/api/v1/jobs/1/cancel'],
        ['POST', '/api/v1/jobs/1/replay'], ['POST', '/api/v1/jobs/replay']]) {
        for (const authorization of [undefined, '', 'Bearer', 'Bearer ', `Bearer ${TOKEN}x`,
            `Bearer ${TOKEN.slice(0, -1)}`, `Basic ${TOKEN}`, TOKEN]) {
            const answer = await call(guarded, method, path,
                authorization === undefined ? {} : { authorization }, method === 'POST' ? {} : undefined);
            assert.equal(answer.status, 401, `${method} ${path} ${authorization}`);
            assert.equal(answer.code, 'unauthenticated');
        }
    }
    const answer = await call(guarded, 'GET', '/api/v1/jobs', { authorization: `bearer ${TOKEN}` });
    assert.equal(answer.status, 200);
    assert.equal((await call(guarded, 'GET', '/api/v1/assets')).status, 200);
});

// From an address of the machine that is not the loopback one the program cannot tell that it is us.
const outside = Object.values(networkInterfaces()).flat()
    .find(({ family, internal }) => family === 'IPv4' && !internal);

test('without a token callers from elsewhere are refused', { skip: !outside && 'no network' }, async () => {
    const daemon = await Daemon.start({ 'http.host': '0.0.0.0' });
    const elsewhere = { url: `http://${outside.address}:${new URL(daemon.url).port}` };
    const refused = await call(elsewhere, 'GET', '/api/v1/jobs');
    assert.equal(refused.status, 403);
    assert.equal(refused.code, 'forbidden');
    assert.match(refused.error, /http\.operator_token/);
    assert.equal((await call(elsewhere, 'GET', '/api/v1/assets')).status, 200);
    const here = { url: `http://127.0.0.1:${new URL(daemon.url).port}` };
    assert.equal((await call(here, 'GET', '/api/v1/jobs')).status, 200);
    await daemon.stop();
});

test('jobs are listed without what they carry, and shown with it', async () => {
    const seen = [];
    let cursor = '';
    do {
        const page = await open.request('GET', `/api/v1/jobs?state=dead&kind=test.dead&limit=3${cursor}`);
        assert.equal(page.status, 200);
        seen.push(...page.data);
        cursor = page.nextCursor && `&cursor=${encodeURIComponent(page.nextCursor)}`;
    } while (cursor);
    assert.equal(seen.length, 7);
    assert.ok(seen.every((job) => job.payload === undefined && job.error === 'upstream: It was away.'));
    assert.deepEqual((await open.get(`/api/v1/jobs/${seen[0].id}`)).payload, { secret: '7' });
    for (const [query, field] of [['state=lost', 'state'], ['queue=none', 'queue'],
        ['kind=a&queue=leasing', 'queue'], ['offset=3', 'offset'], ['cursor=AAAA', 'cursor']]) {
        const refused = await open.request('GET', `/api/v1/jobs?${query}`);
        assert.equal(refused.status, 400, query);
        assert.equal(refused.field, field, query);
    }
    for (const id of ['0', '-1', 'x', '99999999999999999999', '123456789']) {
        assert.equal((await open.request('GET', `/api/v1/jobs/${id}`)).status, 404, id);
    }
});

test('jobs are run now, cancelled and replayed', async () => {
    const [dead] = await open.get('/api/v1/jobs?state=dead&kind=test.move');
    assert.equal((await open.request('POST', `/api/v1/jobs/${dead.id}/retry`)).status, 409);
    assert.equal((await open.request('POST', `/api/v1/jobs/${dead.id}/cancel`)).status, 409);
    // A worker may have taken it again before the answer was read.
    assert.ok((await open.request('POST', `/api/v1/jobs/${dead.id}/replay`)).data.attempts <= 1);
    // Nobody knows the kind, so it is tried once and then waits for a program that does.
    let before;
    await until('it is tried', async () => {
        before = await open.get(`/api/v1/jobs/${dead.id}`);
        return before.attempts === 1 && before.state === 'queued';
    });
    assert.match(before.error, /^locked: This process has no handler/);
    assert.equal((await open.request('POST', `/api/v1/jobs/${dead.id}/retry`)).status, 200);
    await until('it is tried again', async () =>
        (await open.get(`/api/v1/jobs/${dead.id}`)).attempts >= 2);
    await until('it is queued', async () =>
        (await open.get(`/api/v1/jobs/${dead.id}`)).state === 'queued');
    assert.equal((await open.request('POST', `/api/v1/jobs/${dead.id}/cancel`)).data.state, 'cancelled');
    const actions = rows(open.database,
        `SELECT action FROM audit_log WHERE subject = 'job/${dead.id}' ORDER BY created_at, id`)
        .map(({ action }) => action).sort();
    assert.deepEqual(actions, ['ops.job_cancelled', 'ops.job_replayed', 'ops.job_retried']);
});

test('dead jobs are replayed in portions, and too many degrade the health', async () => {
    const headers = { authorization: `Bearer ${TOKEN}` };
    assert.equal((await guarded.request('GET', '/health')).parts.jobs.status, 'degraded');
    const some = await call(guarded, 'POST', '/api/v1/jobs/replay', headers, { kind: 'test.many', limit: 10 });
    assert.deepEqual(some.data, { replayed: 10, more: true });
    const rest = await call(guarded, 'POST', '/api/v1/jobs/replay', headers, {});
    assert.deepEqual(rest.data, { replayed: 20, more: false });
    assert.equal((await guarded.request('GET', '/health')).parts.jobs.status, 'healthy');
    for (const body of [{ limit: 0 }, { limit: 10001 }, { limit: 'all' }, { kind: 1 }, { state: 'dead' }]) {
        const refused = await call(guarded, 'POST', '/api/v1/jobs/replay', headers, body);
        assert.equal(refused.status, 400, JSON.stringify(body));
    }
});

test('the command line shows the same', async () => {
    const at = `--store.url=${open.database.url}`;
    const schedules = objects((await run(['jobs', 'schedules', '--json', at])).stdout);
    assert.deepEqual(schedules.map(({ name }) => name),
        (await open.get('/api/v1/jobs/schedules')).map(({ name }) => name));
    const text = (await run(['jobs', 'schedules', at])).stdout;
    assert.match(text, /^SyncPoolStats +\*\/15 \* \* \* \* +gateway\.sync_pool_stats +disabled: waits for gateway$/m);
    const queues = (await run(['jobs', 'queues', at])).stdout;
    assert.match(queues, /^notifications .* at most 10 at once {2}50 in 60000 ms {2}5 attempts, back-off exponential$/m);
    const dead = objects((await run(['jobs', 'list', '--state=dead', '--kind=test.dead', '--limit=2',
        '--json', at])).stdout);
    assert.equal(dead.length, 2);
    const [shown] = objects((await run(['jobs', 'show', String(dead[0].id), at])).stdout);
    assert.deepEqual(shown.payload, { secret: '7' });
    for (const args of [['jobs', 'frobnicate'], ['jobs', 'show'], ['jobs', 'show', '0'],
        ['jobs', 'list', '--state=lost'], ['jobs', 'list', '--limit=0'], ['jobs', 'list', '--kind=a', '--queue=b'],
        ['jobs', 'replay'], ['jobs', 'cancel', 'x']]) {
        assert.equal((await run([...args, at])).status, ON_POSTGRES || !/replay|cancel/.test(args[1]) ? 2 : 1,
            args.join(' '));
    }
});

test('the command line moves jobs', { skip: !ON_POSTGRES && 'SQLite has one writing process' }, async () => {
    const at = `--store.url=${open.database.url}`;
    put(open, 'test.cli', 3, 4);
    const [replayed] = objects((await run(['jobs', 'replay', '--kind=test.cli', '--json', at])).stdout);
    assert.equal(replayed.changed, 3);
    // Nobody knows the kind: a worker takes the job, finds that out, and puts it off.
    const [job] = await open.get('/api/v1/jobs?kind=test.cli');
    assert.ok(['queued', 'running'].includes(job.state), job.state);
    await until('it can be run at once', async () =>
        (await run(['jobs', 'retry', String(job.id), at])).status === 0);
    await until('it can be cancelled', async () =>
        (await run(['jobs', 'cancel', String(job.id), at])).status === 0);
});
