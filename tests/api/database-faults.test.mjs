// The database server goes away under a daemon at work: stopped, killed in the middle of a
// transaction, restarted, out of connections. What was acknowledged is there, once; what was not is
// answered with 503 and comes true when it is asked for again; the daemon goes on by itself.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { WORKERS, compare, expectRefusal, health, healthy, load } from './faults.mjs';
import { Api, Daemon, SLOW, assetBody, fresh, leaseBody, rows, sleep, typeBody } from './support.mjs';
import { ON_POSTGRES, eventually } from '../support/program.mjs';
import { PostgresServer } from '../support/own-postgres.mjs';

const V1 = '/api/v1';

/** Resident memory of a process. Units: bytes. */
const resident = (pid) =>
    1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

// A file has no server that could go away.
const onServer = ON_POSTGRES ? describe : () => {};

onServer('a server that goes away', () => {
    let server;
    let host; // runs the chain, on another database
    let settings;
    let assetId;
    let api;
    let database;

    before(async () => {
        server = await PostgresServer.start();
        host = await Api.start();
        const c = host.contracts;
        await host.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
        ({ assetId } = await host.post(`${V1}/assets?wait=20`, assetBody(fresh('FAULT'))));
        settings = {
            'chain.rpc_urls': host.daemon.rpc, 'wallets.dev_accounts': 5,
            'leasing.stablecoin': c.stablecoin, 'leasing.asset_registry': c.assetRegistry,
            'leasing.lease_factory': c.leaseFactory, 'leasing.marketplace': c.marketplace,
            'leasing.registrar': c.registrar, 'chain.poll_interval': '100ms',
        };
        ({ api, database } = await open());
    });
    after(async () => {
        await api?.stop();
        await host?.stop();
        await server?.stop();
    });

    async function open(options) {
        const own = server.database(options);
        // A server may still be closing the last connection of one step of the start when the next
        // step asks for its own: the daemon says so and ends, and is started again.
        let refused;
        const daemon = await eventually(() => `it starts: ${refused}`, () =>
            Daemon.start({ ...settings, 'store.url': own.user }).catch((error) => {
                assert.match(error.message, /too many connections for role/);
                refused = error;
            }));
        daemon.database = own;
        const opened = new Api(daemon);
        opened.contracts = host.contracts;
        // With few connections some requests are told to come again, from the first one on.
        const accepted = (answer) => answer.success || expectRefusal(answer);
        await eventually('the asset is applied', async () => {
            const answer = await opened.send('GET', `${V1}/assets`);
            return accepted(answer) && answer.data.some((a) => a.assetId === assetId);
        });
        await eventually('the type is applied', async () =>
            accepted(await opened.send('POST', `${V1}/asset-types`, { body: typeBody('satellite') })));
        return { api: opened, database: own };
    }

    test('stopped: 503 with Retry-After, health says so, and it goes on by itself', async () => {
        await server.do('stop');
        for (const [method, path] of [['GET', '/assets'], ['GET', '/leases'], ['POST', '/leases']]) {
            expectRefusal(await api.send(method, V1 + path,
                method === 'POST' ? { body: leaseBody(assetId) } : {}));
        }
        const reply = await fetch(`${api.daemon.url}/health`);
        const said = await reply.json();
        assert.equal(reply.status, 503);
        assert.equal(said.success, false);
        assert.equal(said.parts.database.status, 'unhealthy');
        assert.ok(!JSON.stringify(said).includes(`:${database.name}@`)); // its password
        assert.equal((await fetch(`${api.daemon.url}/metrics`)).status, 200);
        await server.do('start');
        await healthy(api);
        await api.post(`${V1}/leases`, leaseBody(assetId), 201);
    });

    test('killed in the middle of a transaction: nothing of it is there, and once when asked again', async () => {
        const lock = server.holdLock(database, 'leases');
        const waits = () => server.sql(`SELECT count(*) FROM pg_stat_activity
            WHERE datname = '${database.name}' AND wait_event_type = 'Lock'`);
        const held = () => server.sql(`SELECT count(*) FROM pg_locks
            WHERE mode = 'AccessExclusiveLock' AND granted
              AND relation = (SELECT oid FROM pg_class WHERE relname = 'leases')`, database.name);
        await eventually('the lock is held', () => held() !== '0');
        const leaseId = fresh('LOAD-HELD');
        const request = { body: leaseBody(assetId, { leaseId }), headers: { 'idempotency-key': leaseId } };
        const answer = api.send('POST', `${V1}/leases`, request);
        await eventually('the request waits for the lock', () => waits() !== '0');
        await server.do('kill');
        expectRefusal(await answer);
        lock.kill();
        await server.do('start');
        await healthy(api);
        assert.equal((await api.send('GET', `${V1}/leases/${leaseId}`)).status, 404);
        // The key is free at once: nobody runs under it any more.
        const again = await api.post(`${V1}/leases`, request.body, 201, request.headers);
        assert.equal(again.leaseId, leaseId);
        compare(database, [leaseId]);
    });

    test('stopped, killed and restarted under load: each acknowledged write is there, once', async () => {
        const kept = rows(database, "SELECT lease_id FROM leases WHERE lease_id LIKE 'LOAD-%'")
            .map((row) => row.lease_id);
        let going = true;
        const loading = load(api, assetId, () => going);
        await sleep(300);
        const before = resident(api.daemon.pid);
        try {
            for (const actions of [['stop', 'start'], ['kill', 'start'], ['restart'], ['restart'],
                ['kill', 'start']]) {
                for (const action of actions) {
                    await server.do(action);
                    await sleep(400);
                }
            }
            await healthy(api);
        } finally {
            going = false;
        }
        const { acknowledged, refused } = await loading;
        assert.ok(Object.keys(refused).length > 0);
        assert.ok(acknowledged.length > WORKERS);
        compare(database, [...kept, ...acknowledged]);
        const grown = resident(api.daemon.pid) - before;
        assert.ok(grown < 64 * 2 ** 20 * SLOW, `${grown} bytes more`);
        assert.doesNotMatch(api.daemon.log, /"level":"broken"/);
    });

    test('its rows are still a proven chain, and the chain of blocks goes on', async () => {
        const receipt = await host.fund(host.contracts.registrar, 1n);
        await api.daemon.reach(receipt.blockNumber);
        await eventually('health shows the head of all rows', async () => {
            const { parts } = await health(api);
            const [{ count }] = rows(database, 'SELECT count(*) AS count FROM audit_log');
            return parts.audit.head.startsWith(`${count}:`);
        });
    });

    test('a few connections only: those beyond wait or are told to, and all get through', async () => {
        const few = await open({ connections: 5 });
        try {
            let left = 120;
            const { acknowledged } = await load(few.api, assetId, () => left-- > 0);
            assert.equal(acknowledged.length, 120);
            compare(few.database, acknowledged);
            await healthy(few.api);
        } finally {
            await few.api.stop();
        }
    });
});
