// Redis beside the program: shared limits of requests, answers that can never change, and nothing
// lost while it is killed, paused or replaced.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Api, SLOW, assetBody, fresh, holder, sleep, typeBody } from './support.mjs';
import { Daemon, ON_POSTGRES, databaseOf, folder } from '../support/program.mjs';
import { owned } from '../support/children.mjs';

const V1 = '/api/v1';
const LIMIT = 40;

const freePort = () => new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
        const { port } = server.address();
        server.close(() => done(port));
    });
});

class Redis {
    static async start(port) {
        const redis = new Redis();
        redis.port = port ?? await freePort();
        redis.child = owned(spawn('redis-server', ['--port', `${redis.port}`, '--bind', '127.0.0.1',
            '--save', '', '--appendonly', 'no'], { cwd: folder(), stdio: 'ignore' }));
        redis.ended = new Promise((done) => redis.child.on('close', done));
        return redis;
    }

    get url() {
        return `redis://127.0.0.1:${this.port}`;
    }

    async kill() {
        this.child.kill('SIGKILL');
        await this.ended;
    }
}

const health = async (daemon) => {
    const reply = await fetch(`${daemon.url}/health`);
    return { code: reply.status, ...await reply.json() };
};

async function cacheIs(daemon, status) {
    for (const end = Date.now() + 60_000 * SLOW; ; await sleep(20)) {
        const now = await health(daemon);
        if (now.parts.cache.status === status) {
            return now;
        }
        assert.ok(Date.now() < end, JSON.stringify(now.parts.cache));
    }
}

async function metric(daemon, name) {
    const text = await (await fetch(`${daemon.url}/metrics`)).text();
    return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1]);
}

const ask = (daemon) => fetch(`${daemon.url}${V1}/assets?limit=1`);
const header = (reply, name) => Number(reply.headers.get(name));

describe('a process beside Redis', () => {
    let redis;
    let api;
    before(async () => {
        redis = await Redis.start();
        api = await Api.start({ 'redis.url': redis.url, 'chain.undo_depth': 4,
            'chain.max_reorg_depth': 2 });
        await cacheIs(api.daemon, 'healthy');
    });
    after(async () => {
        await api?.stop();
        await redis?.kill();
    });

    test('keeps answers that can never change, and no others', async () => {
        const id = fresh('SAT');
        await api.post(`${V1}/asset-types`, typeBody('satellite'));
        await api.until(`${V1}/asset-types`, (l) => l[0]?.status === 'active');
        await api.post(`${V1}/assets`, assetBody(id, { tokenRecipient: holder.address }));
        await api.until(`${V1}/assets/${id}`, (a) => a.status === 'active');
        const block = await api.provider.getBlockNumber();
        const path = `${V1}/assets/${id}/holders?block=${block}`;
        const hits = () => metric(api.daemon, 'freehold_cache_hits_total');
        const text = async () => (await fetch(api.daemon.url + path)).text();
        const young = await text();
        assert.equal(await text(), young);
        assert.equal(await hits(), 0); // it could still be undone
        await api.rpc('anvil_mine', '0x6');
        await api.daemon.reach(block + 6);
        assert.equal(await text(), young);
        assert.equal(await hits(), 0);
        assert.equal(await text(), young);
        assert.equal(await hits(), 1);
        // Now is not a block.
        await api.get(`${V1}/assets/${id}/holders`);
        await api.get(`${V1}/assets/${id}/holders`);
        assert.equal(await hits(), 1);
        const missing = `${V1}/assets/${fresh('NONE')}/holders?block=${block}`;
        for (let i = 0; i < 2; i++) {
            assert.equal((await fetch(api.daemon.url + missing)).status, 404);
        }
        assert.equal(await hits(), 1);
    });

    test('goes on while Redis is killed or paused, and says so', async () => {
        await redis.kill();
        assert.equal((await ask(api.daemon)).status, 200);
        const gone = await cacheIs(api.daemon, 'degraded');
        assert.deepEqual([gone.code, gone.status, gone.success], [200, 'degraded', true]);
        assert.match(gone.parts.cache.detail, /Redis at 127\.0\.0\.1/);
        redis = await Redis.start(redis.port);
        await cacheIs(api.daemon, 'healthy');
        redis.child.kill('SIGSTOP');
        for (let i = 0; i < 20; i++) {
            assert.equal((await ask(api.daemon)).status, 200);
        }
        redis.child.kill('SIGCONT');
        await cacheIs(api.daemon, 'healthy');
        assert.equal(api.daemon.log.match(/cache\.degraded/g).length
            - api.daemon.log.match(/cache\.recovered/g).length, 0);
    });
});

describe('a limit of requests', () => {
    let redis;
    const daemons = [];
    after(async () => {
        await Promise.all(daemons.map((daemon) => daemon.stop()));
        await redis?.kill();
    });

    /** Asks until it is refused; returns how many answers there were. */
    async function exhaust(asked) {
        for (let n = 0; ; n++) {
            const reply = await ask(asked[n % asked.length]);
            assert.equal(header(reply, 'x-ratelimit-limit'), LIMIT);
            if (reply.status === 429) {
                const said = await reply.json();
                assert.equal(said.code, 'rate_limited');
                assert.ok(header(reply, 'retry-after') >= 1 && header(reply, 'retry-after') <= 120);
                assert.equal(header(reply, 'x-ratelimit-remaining'), 0);
                assert.ok(header(reply, 'x-ratelimit-reset') >= header(reply, 'retry-after') - 2);
                return n;
            }
            assert.equal(reply.status, 200);
            assert.ok(n <= 3 * LIMIT, 'no limit');
        }
    }

    test('is told and kept, and does not touch health and metrics', async () => {
        const daemon = await Daemon.start({ 'http.rate_limit': LIMIT });
        daemons.push(daemon);
        const first = await ask(daemon);
        assert.equal(header(first, 'x-ratelimit-remaining'), LIMIT - 1);
        // A minute may begin anew while we ask.
        const n = await exhaust([daemon]);
        assert.ok(n >= LIMIT - 1 && n <= 2 * LIMIT, `${n} answers`);
        assert.equal((await health(daemon)).code, 200);
        assert.ok(await metric(daemon, 'freehold_http_requests_total\\{class="4xx"\\}') >= 1);
        const head = await fetch(`${daemon.url}/health`);
        assert.equal(head.headers.get('x-ratelimit-limit'), null);
    });

    test('is shared by processes, and each process has its own without Redis',
        { skip: !ON_POSTGRES }, async () => {
            redis = await Redis.start();
            const host = await Api.start(); // has the chain
            daemons.push(host);
            const { contracts } = host;
            const settings = {
                'store.url': databaseOf(folder()).url, 'chain.rpc_urls': host.daemon.rpc,
                'redis.url': redis.url, 'http.rate_limit': LIMIT, 'service.roles': 'api',
                'leasing.stablecoin': contracts.stablecoin,
                'leasing.asset_registry': contracts.assetRegistry,
                'leasing.lease_factory': contracts.leaseFactory,
                'leasing.marketplace': contracts.marketplace,
                'leasing.registrar': contracts.registrar,
            };
            const pair = [await Daemon.start(settings), await Daemon.start(settings)];
            daemons.push(...pair);
            await Promise.all(pair.map((daemon) => cacheIs(daemon, 'healthy')));
            const together = await exhaust(pair);
            assert.ok(together >= LIMIT && together < 2 * LIMIT, `${together} answers`);
            await redis.kill();
            const [one, other] = [await exhaust([pair[0]]), await exhaust([pair[1]])];
            assert.ok(one >= LIMIT - 1 && other >= LIMIT - 1, `${one} and ${other} answers`);
            assert.equal((await cacheIs(pair[0], 'degraded')).status, 'degraded');
        });
});
