// The demo as a program: what it leaves behind, however it ends.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
    BIN, ON_POSTGRES, SLOW, alive, descendants, folder, objects, onDatabase, pick, run, survivors,
} from '../support/program.mjs';
import { owned } from '../support/children.mjs';

async function block(rpc) {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_blockNumber', params: [] });
    const headers = { 'content-type': 'application/json' };
    const reply = await (await fetch(rpc, { method: 'POST', headers, body })).json();
    return Number(reply.result);
}

/** Waits until a daemon and a chain run below a process. */
async function processesOf(child) {
    for (const end = Date.now() + 60_000 * SLOW; ; await sleep(2)) {
        const below = descendants(child.pid);
        if (below.some(({ name }) => name === 'anvil')) {
            return below;
        }
        assert.equal(child.exitCode, null, 'the demo ended before it was up');
        assert.ok(Date.now() < end, 'no chain below the demo');
    }
}

test('a plain demo leaves neither processes nor files', async () => {
    const tmp = folder();
    let below;
    const { status, stdout } = await run(['demo', 'complete', '--json'], {
        env: { TMPDIR: tmp },
        line: async (text, child) => { below ??= await processesOf(child); },
    });
    assert.equal(status, 0, stdout);
    assert.equal(objects(stdout).at(-1).passed, 12);
    assert.deepEqual(below.map(({ name }) => name), ['freehold', 'anvil']);
    assert.deepEqual(await survivors(below.map(({ pid }) => pid)), []);
    assert.deepEqual(readdirSync(tmp), []);
});

test('access by the second is paid for, and the balances add up to the unit', async () => {
    const { status, stdout } = await run(['demo', 'x402', '--json']);
    assert.equal(status, 0, stdout);
    const steps = objects(stdout);
    assert.deepEqual([steps.at(-1).steps, steps.at(-1).passed], [10, 10]);
    const { facts } = steps.find((s) => s.name === 'streamAccess');
    // 1,000,000,000 units an hour: 277,777.77… a second.
    const units = (text) => BigInt(Math.round(Number(/^[\d.]+/.exec(text)[0]) * 1e6));
    const paid = 1_000_000_000n * 15n / 3600n;
    assert.equal(units(facts.paid), paid);
    for (const [who, sign] of [['lessee', -1n], ['lessor', 1n]]) {
        const [now, before] = facts[who].split(', ').map(units);
        assert.equal(now - before, sign * paid, who);
    }
});

describe('--keep', () => {
    test('leaves daemon and chain running; ending the daemon ends both', async () => {
        const tmp = folder();
        const { status, stdout } = await run(
            ['demo', 'asset', '--keep', '--json'], { env: { TMPDIR: tmp } });
        assert.equal(status, 0, stdout);
        const { url, rpc, pid, dir, passed } = objects(stdout).at(-1);
        assert.equal(passed, 6);
        const chain = descendants(pid);
        assert.deepEqual(chain.map(({ name }) => name), ['anvil']);

        const health = await (await fetch(`${url}/health`)).json();
        assert.equal(health.status, 'healthy');
        const { data } = await (await fetch(`${url}/api/v1/assets`)).json();
        assert.equal(data.length, 1);
        assert.ok(await block(rpc) > 5);
        await sleep(700); // longer than the daemon looks away
        assert.ok(alive(pid));

        process.kill(pid, 'SIGTERM');
        assert.deepEqual(await survivors([pid, ...chain.map((child) => child.pid)]), []);
        assert.equal(existsSync(`${dir}/freehold.db`), !ON_POSTGRES);
    });

    test('tells people where, and how to end it', async () => {
        const { status, stdout } = await run(['demo', 'asset', '--keep'],
            { env: { TMPDIR: folder() } });
        assert.equal(status, 0, stdout);
        const [, url, rpc, pid] = new RegExp('^Kept running: API (http://127\\.0\\.0\\.1:\\d+), ' +
            'chain (http://127\\.0\\.0\\.1:\\d+), data /\\S+\\.\\nStop both with: kill (\\d+)$',
        'm').exec(stdout);
        assert.equal((await fetch(`${url}/health`)).status, 200);
        assert.ok(await block(rpc) > 5);
        const pids = [Number(pid), ...descendants(Number(pid)).map((child) => child.pid)];
        process.kill(Number(pid), 'SIGKILL');
        assert.deepEqual(await survivors(pids), []);
    });
});

test('--dir goes on with the chain and the books of the run before', async () => {
    const dir = folder();
    const transfers = async () => {
        const { status, stdout } = await run(['demo', 'complete', '--json', '--dir', dir]);
        assert.equal(status, 0, stdout);
        const steps = objects(stdout);
        assert.equal(steps.pop().passed, 12);
        return Number(/^(\d+) transfers/.exec(steps.at(-1).facts.ledger)[1]);
    };
    const first = await transfers();
    assert.equal(await transfers(), 2 * first);

    // While a kept daemon owns the folder, another demo keeps out, and leaves the log alone.
    const kept = await run(['demo', 'asset', '--keep', '--json', '--dir', dir]);
    const { pid } = objects(kept.stdout).at(-1);
    const log = join(dir, 'daemon.log');
    const size = statSync(log).size;
    const other = await run(['demo', 'asset', '--dir', dir]);
    assert.equal(other.status, 1);
    assert.match(other.stderr, pick(new RegExp(`in use by process ${pid}`),
        /another process runs the development chain|in use by another development chain/));
    assert.ok(statSync(log).size >= size);
    process.kill(pid, 'SIGTERM');
    assert.deepEqual(await survivors([pid, ...descendants(pid).map((child) => child.pid)]), []);
});

describe('a demo that is stopped', () => {
    /** Runs a demo and sends a signal after some of its lines; returns what happened. */
    async function stopped(signal, afterLines, ...more) {
        const tmp = folder();
        let below = [];
        let lines = 0;
        const result = await run(['demo', 'complete', '--json', ...more], {
            env: { TMPDIR: tmp },
            started: async (child) => {
                if (afterLines === 0) {
                    below = await processesOf(child);
                    child.kill(signal);
                }
            },
            line: (text, child) => {
                if (++lines === afterLines) {
                    below = descendants(child.pid);
                    child.kill(signal);
                }
            },
        });
        const left = await survivors(below.map(({ pid }) => pid));
        return { ...result, below, left, files: readdirSync(tmp) };
    }

    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL']) {
        for (const [when, lines] of [['while it starts', 0], ['between steps', 4]]) {
            for (const more of [[], ['--keep']]) {
                test(`by ${signal} ${when} ${more}`, async () => {
                    const { below, left, files, ...result } = await stopped(signal, lines, ...more);
                    assert.ok(below.length >= 2);
                    assert.deepEqual(left, []);
                    assert.equal(result.signal, signal);
                    if (signal !== 'SIGKILL') {
                        assert.deepEqual(files, []);
                        const { passed, steps } = objects(result.stdout).at(-1);
                        assert.ok(passed < steps);
                    }
                });
            }
        }
    }

    test('by the end of its daemon', async () => {
        let below;
        const { status, stdout, stderr } = await run(['demo', 'complete', '--json'], {
            line: (text, child) => {
                if (!below) {
                    below = descendants(child.pid);
                    process.kill(below[0].pid, 'SIGKILL');
                }
            },
            env: { TMPDIR: folder() },
        });
        assert.equal(status, 1);
        assert.deepEqual(await survivors(below.map(({ pid }) => pid)), []);
        assert.equal(objects(stdout).at(-1).success, false);
        assert.match(stderr, /the daemon was ended by signal 9; its log is \/\S+\/daemon\.log/);
    });

    test('by a reader that has seen enough', async () => {
        const tmp = folder();
        const child = owned(spawn(BIN, onDatabase(['demo', 'complete']),
            { env: { ...process.env, TMPDIR: tmp }, stdio: ['ignore', 'pipe', 'pipe'] }));
        let said = '';
        child.stderr.setEncoding('utf8').on('data', (text) => { said += text; });
        const below = await new Promise((done) => child.stdout.once('data', () => {
            const found = descendants(child.pid);
            child.stdout.destroy();
            done(found);
        }));
        const timer = setTimeout(() => child.kill('SIGKILL'), 30_000 * SLOW);
        const status = await new Promise((done) => child.on('exit', done));
        clearTimeout(timer);
        assert.equal(status, 1);
        assert.match(said, /standard output/);
        assert.deepEqual(await survivors(below.map(({ pid }) => pid)), []);
        assert.deepEqual(readdirSync(tmp), []);
    });
});

test('a demo without any standard stream runs to its end', async () => {
    const child = owned(spawn('/bin/sh', ['-c', 'exec "$0" "$@" <&- >&- 2>&-', BIN,
        ...onDatabase(['demo', 'asset'])],
        { stdio: 'ignore', env: { ...process.env, TMPDIR: folder() } }));
    assert.equal(await new Promise((done) => child.on('exit', done)), 0);
});

test('what is not a demo is said in one sentence', async () => {
    for (const args of [['demo', 'everything'], ['demo', '--keep=yes'], ['demo', '--fast']]) {
        const { status, stderr } = await run(args);
        assert.equal(status, 2, args.join(' '));
        assert.match(stderr, /^freehold: .+\n$/);
    }
});
