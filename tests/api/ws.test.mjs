// New blocks heard of over a WebSocket: what a daemon does when announcements are missing, doubled,
// disordered or false, when the connection ends or is dead without saying so, and when the node is
// another. Whatever is announced, the rows are those of a daemon that polls the node alone.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Api, Daemon, SLOW, assetBody, fresh, sleep, typeBody } from './support.mjs';
import { dump, eventually, folder, objects } from '../support/program.mjs';
import { WsProxy } from '../support/ws-proxy.mjs';

const V1 = '/api/v1';

/** Of what follows from the chain alone: each event, and what events of all kinds add up to. */
const PROJECTIONS = ['blockchain_events', 'chain_sources', 'token_balances', 'ledger_transfers'];

let host;
let settings;
let measure;

before(async () => {
    host = await Api.start();
    const c = host.contracts;
    settings = {
        'chain.rpc_urls': host.daemon.rpc, 'leasing.stablecoin': c.stablecoin,
        'leasing.asset_registry': c.assetRegistry, 'leasing.lease_factory': c.leaseFactory,
        'leasing.marketplace': c.marketplace,
    };
    await host.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
    measure = await Daemon.start({ ...settings, 'chain.poll_interval': '50ms' });
});
after(async () => {
    await measure?.stop();
    await host?.stop();
});

/** A daemon that listens to these, and polls so often. */
const follow = (urls, poll = '500ms') => Daemon.start({ ...settings, 'chain.ws_urls': urls,
    'chain.poll_interval': poll });

const stream = async (daemon) =>
    (await (await fetch(`${daemon.url}/health`)).json()).parts.chain.stream;

const subscribed = (daemon, url) => eventually(() => `subscribed to ${url}:\n${daemon.log}`,
    async () => {
        const said = await stream(daemon);
        return said.connected && said.url === url;
    });

async function metric(daemon, name) {
    const text = await (await fetch(`${daemon.url}/metrics`)).text();
    return Number(text.split('\n').find((line) => line.startsWith(`${name} `))?.split(' ')[1]);
}

/** Makes some blocks with events of ours and some without any, and waits until they are on the chain. */
async function happen(assets = 2) {
    for (let i = 0; i < assets; i++) {
        const id = fresh('WS');
        await host.post(`${V1}/assets`, assetBody(id), 201);
        await host.rpc('anvil_mine', '0x1');
        await host.until(`${V1}/assets/${id}`, (a) => a.status === 'active');
    }
    return host.provider.getBlockNumber();
}

async function sameRows(daemon) {
    const head = await host.provider.getBlockNumber();
    await daemon.reach(head, 60);
    await measure.reach(head, 60);
    for (const table of PROJECTIONS) {
        assert.deepEqual(dump(daemon.database, table), dump(measure.database, table), table);
    }
}

async function withProxy(fault, work, { poll, path } = {}) {
    const proxy = await WsProxy.start(host.daemon.rpc, fault, path);
    const daemon = await follow(proxy.url, poll);
    try {
        await work(daemon, proxy);
    } finally {
        await daemon.stop();
        await proxy.stop();
    }
}

test('blocks are applied when they are announced, without being polled for', () =>
    withProxy('none', async (daemon, proxy) => {
        await subscribed(daemon, proxy.origin);
        for (let i = 0; i < 3; i++) {
            await daemon.reach(await happen(1), 20); // it polls once a minute
        }
        const said = await stream(daemon);
        assert.equal(said.head, await host.provider.getBlockNumber());
        assert.ok(said.headAgeMsec >= 0);
        assert.equal(await metric(daemon, 'freehold_rpc_stream_connected'), 1);
        assert.ok(await metric(daemon, 'freehold_rpc_stream_heads_total') > 3);
        assert.ok(await metric(daemon, 'freehold_chain_live_duration_seconds_count') > 0);
        await sameRows(daemon); // which keeps the proxy, in this process, from answering for a while
    }, { poll: '60s' }));

describe('announcements that are', () => {
    for (const fault of ['missing', 'duplicated', 'disordered', 'ahead']) {
        test(`${fault} lose and change nothing`, () => withProxy(fault, async (daemon, proxy) => {
            await subscribed(daemon, proxy.origin);
            await happen(3);
            await sameRows(daemon);
            assert.ok(proxy.announced > 0);
            if (fault === 'duplicated') {
                assert.ok(await metric(daemon, 'freehold_rpc_stream_repeated_total') > 0);
            }
        }));
    }
});

describe('a connection that', () => {
    test('is dead without having ended is noticed, and what it missed is polled', () =>
        withProxy('none', async (daemon, proxy) => {
            await subscribed(daemon, proxy.origin);
            await happen(1);
            proxy.deafen();
            await happen(1);
            await sameRows(daemon); // polled, or heard over the next connection
            await eventually(() => `another connection:\n${daemon.log}`, () => proxy.connections === 2);
            await subscribed(daemon, proxy.origin);
            // Which of the two is noticed first depends on when the pool knew of a block.
            const left = (reason) => metric(daemon, `freehold_rpc_stream_failures_total{reason="${reason}"}`);
            assert.ok(await left('silent') + await left('missed') > 0);
            await happen(1);
            await sameRows(daemon);
        }));

    test('is reset is made again, as often as it is', () => withProxy('none', async (daemon, proxy) => {
        for (let i = 1; i <= 3; i++) {
            await eventually(() => `connection ${i}:\n${daemon.log}`, () => proxy.connections >= i);
            await subscribed(daemon, proxy.origin);
            proxy.kill();
            await happen(1);
        }
        await sameRows(daemon);
        assert.match(daemon.log, /rpc\.stream_failed/);
    }));

    test('announces nothing is left', () => withProxy('mute', async (daemon, proxy) => {
        await subscribed(daemon, proxy.origin);
        const name = 'freehold_rpc_stream_failures_total{reason="missed"}';
        await eventually(() => `left:\n${daemon.log}`, async () => {
            await happen(1);
            return await metric(daemon, name) > 0;
        });
        proxy.fault = 'none';
        await subscribed(daemon, proxy.origin);
        await sameRows(daemon);
    }));
});

describe('a node that', () => {
    const cases = [
        ['chain', 'wrong_chain', 'wrong_chain', 0],
        ['refuses', 'node_response', 'wrong_answer', 0],
        ['rubbish', 'node_response', 'wrong_answer', 1],
        ['huge', 'limit', 'wrong_answer', 1],
    ];
    for (const [fault, code, reason, blocks] of cases) {
        test(`is no good (${fault}) is left for the next one, and not quoted`, async () => {
            const bad = await WsProxy.start(host.daemon.rpc, fault, '/v3/0123456789secret');
            const good = await WsProxy.start(host.daemon.rpc);
            const daemon = await follow(`${bad.url},${good.url}`);
            try {
                if (blocks > 0) {
                    await subscribed(daemon, bad.origin);
                    await happen(blocks);
                }
                await subscribed(daemon, good.origin);
                await happen(1);
                await sameRows(daemon);
                const said = objects(daemon.log).find(({ event }) => event === 'rpc.stream_failed');
                assert.deepEqual([said.url, said.err], [bad.origin, code]);
                assert.ok(await metric(daemon,
                    `freehold_rpc_stream_failures_total{reason="${reason}"}`) > 0);
                assert.ok(!daemon.log.includes('0123456789secret'), daemon.log);
            } finally {
                await daemon.stop();
                await bad.stop();
                await good.stop();
            }
        });
    }

    test('has a certificate of its own making is not spoken to', async () => {
        const dir = folder();
        const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(dir, name));
        execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert,
            '-days', '2', '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'],
        { stdio: 'ignore' });
        const proxy = await WsProxy.start(host.daemon.rpc, 'none', '/v3/0123456789secret',
            { key: readFileSync(key), cert: readFileSync(cert) });
        const daemon = await follow(proxy.url);
        try {
            const said = await eventually(() => `refused:\n${daemon.log}`,
                () => objects(daemon.log).find(({ event }) => event === 'rpc.stream_failed'));
            assert.match(said.why, /certificate/);
            await happen(1);
            await sameRows(daemon);
            assert.equal(proxy.connections, 0);
            assert.ok(!daemon.log.includes('0123456789secret'), daemon.log);
        } finally {
            await daemon.stop();
            await proxy.stop();
        }
    });

    test('speaks no WebSocket, or nothing at all, costs no block', async () => {
        const silent = createServer((socket) => socket.on('error', () => {}));
        await new Promise((done) => { silent.listen(0, '127.0.0.1', done); });
        const urls = [host.daemon.url.replace(/^http/, 'ws'), `ws://127.0.0.1:${silent.address().port}`,
            'ws://127.0.0.1:1'];
        const daemon = await Daemon.start({ ...settings, 'chain.ws_urls': urls.join(),
            'chain.poll_interval': '200ms', 'chain.rpc_timeout': '1s' });
        try {
            await eventually(() => `each refused:\n${daemon.log}`, () => urls.every((url) =>
                objects(daemon.log).some((o) => o.event === 'rpc.stream_failed' && o.url === url)));
            await happen(1);
            await sameRows(daemon);
            assert.equal((await stream(daemon)).connected, false);
        } finally {
            await daemon.stop();
            silent.close();
        }
    });
});

test('a fork is undone when its blocks are announced', () => withProxy('none', async (daemon, proxy) => {
    await subscribed(daemon, proxy.origin);
    await daemon.reach(await happen(1), 20);
    await host.rpc('evm_setAutomine', false);
    await sleep(30 * SLOW); // a block that has begun to be mined has to end
    await host.rpc('anvil_reorg', 2, []);
    await host.rpc('evm_setAutomine', true);
    await happen(1);
    await host.until(`${V1}/assets?limit=200`, (a) => a.every(({ status }) => status === 'active'));
    await sameRows(daemon);
    assert.ok((await (await fetch(`${daemon.url}/health`)).json()).parts.chain.reorgs > 0);
}, { poll: '60s' }));

test('an endpoint that is none is refused by its place, without its URL', async () => {
    await assert.rejects(Daemon.start({ ...settings, 'chain.ws_urls': 'http://x.example/secretkey' }),
        (error) => /endpoint 1 of chain\.ws_urls does not start with ws/.test(error.message)
            && !error.message.includes('secretkey'));
});
