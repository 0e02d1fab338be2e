// Runs the program under test, and looks at what is left of it.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ON_POSTGRES, databaseOf } from './database.mjs';
import { owned } from './children.mjs';
import { watch } from './openapi.mjs';

export { ON_POSTGRES, bytes, change, databaseOf, dump, pick, rows } from './database.mjs';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The program: $BIN, or what `make` builds. */
export const BIN = resolve(process.env.BIN ?? join(ROOT, 'build', 'freehold'));

/** Sanitizers slow the program down: limits of tests are multiplied by this. */
export const SLOW = /\bsan-/.test(BIN) ? 10 : 1;

const folders = [];
process.on('exit', () => folders.forEach((dir) => {
    try {
        rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    } catch (error) {
        console.error(`${dir} stays: ${error.message}`); // a chain that was killed may still write there
    }
}));

/**
 * Asks until the answer is truthy and returns it. Nothing in a test waits without an end: what never
 * comes is a failure that says what was awaited (a text, or a function that gives one).
 */
export async function eventually(what, condition, seconds = 60) {
    for (const end = Date.now() + seconds * SLOW * 1000; ; await sleep(20)) {
        const answer = await condition();
        if (answer) {
            return answer;
        }
        if (Date.now() > end) {
            throw new Error(`not within ${seconds * SLOW} s: ${typeof what === 'function' ? what() : what}`);
        }
    }
}

/** A folder of the test, removed with the process. */
export function folder() {
    const dir = mkdtempSync(join(tmpdir(), 'freehold-test-'));
    folders.push(dir);
    return dir;
}

/** The JSON objects that a program printed, one a line. */
export const objects = (text) => text.split('\n').filter((line) => line !== '')
    .map((line) => JSON.parse(line));

/** The arguments of a demo, whose database is the one that belongs to its folder. */
export function onDatabase(args) {
    if (!ON_POSTGRES || args[0] !== 'demo') {
        return args; // its own file is what it uses by itself
    }
    const dir = args.includes('--dir') ? args[args.indexOf('--dir') + 1] : folder();
    return [...args, `--store.url=${databaseOf(dir).url}`];
}

/**
 * Runs the program to its end and resolves to { status, signal, stdout, stderr, msec }. `started`
 * is called with the child as soon as it runs, `line` with each line that it prints.
 */
export async function run(args, { seconds = 60, started, line, env = {}, cwd = folder() } = {}) {
    const begun = Date.now();
    const child = owned(spawn(BIN, onDatabase(args),
        { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] }));
    const timer = setTimeout(() => child.kill('SIGKILL'), seconds * SLOW * 1000);
    const texts = { stdout: '', stderr: '' };
    for (const name of Object.keys(texts)) {
        child[name].setEncoding('utf8');
        child[name].on('data', (chunk) => { texts[name] += chunk; });
    }
    if (line) {
        createInterface({ input: child.stdout }).on('line', (text) => line(text, child));
    }
    started?.(child);
    const ended = await new Promise((done, fail) => {
        child.on('error', fail);
        child.on('close', (status, signal) => done({ status, signal }));
    });
    clearTimeout(timer);
    return { ...ended, ...texts, msec: Date.now() - begun };
}

/** A running `freehold serve`, which ends with this process at the latest. */
export class Daemon {
    /** Starts it with settings ({ 'chain.id': 1 }) and waits until it serves. */
    static async start(settings, { dir = folder(), seconds = 30 } = {}) {
        const daemon = new Daemon();
        daemon.dir = dir;
        daemon.database = databaseOf(dir);
        const all = { 'http.port': 0, 'store.url': daemon.database.url,
            'devchain.dir': join(dir, 'devchain'), ...settings };
        daemon.child = owned(spawn(BIN, ['serve', '--json', '--until-eof',
            ...Object.entries(all).map(([key, value]) => `--${key}=${value}`)],
        { cwd: dir, stdio: ['pipe', 'pipe', 'pipe'] }));
        daemon.ended = new Promise((done) => {
            daemon.child.on('close', (status, signal) => done({ status, signal }));
        });
        daemon.log = '';
        daemon.child.stderr.setEncoding('utf8').on('data', (text) => { daemon.log += text; });
        await daemon.#serving(seconds);
        return daemon;
    }

    #serving(seconds) {
        let reason;
        return new Promise((done, fail) => {
            const timer = setTimeout(() => fail(new Error('does not serve')),
                seconds * SLOW * 1000);
            createInterface({ input: this.child.stdout }).on('line', (text) => {
                const said = JSON.parse(text);
                reason ??= said.error;
                if (said.event === 'serving') {
                    clearTimeout(timer);
                    Object.assign(this, { url: said.url, rpc: said.rpc, pid: said.pid });
                    watch(this.url, BIN);
                    done();
                }
            });
            this.ended.then(() => {
                clearTimeout(timer);
                fail(new Error(reason ?? `ended:\n${this.log}`));
            });
        });
    }

    async request(method, path, body) {
        const reply = await fetch(this.url + path, {
            method,
            ...(body === undefined ? {}
                : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
        });
        return { status: reply.status, ...await reply.json() };
    }

    /** The data of a GET that must succeed. */
    async get(path) {
        const { data, success, ...rest } = await this.request('GET', path);
        if (!success) {
            throw new Error(`GET ${path}: ${JSON.stringify(rest)}`);
        }
        return data;
    }

    /** Waits until every block up to this one is applied. */
    async reach(block, seconds = 20) {
        const deadline = Date.now() + seconds * SLOW * 1000;
        while ((await this.get('/api/v1/blockchain/network')).blockNumber < block) {
            if (Date.now() > deadline) {
                throw new Error(`block ${block} is not applied:\n${this.log}`);
            }
            await sleep(20);
        }
    }

    /** Tells it to stop and waits for its end; one that does not end is killed, and that is a failure. */
    async stop(seconds = 60) {
        this.child.stdin.end();
        let late = false;
        const timer = setTimeout(() => {
            late = true;
            this.child.kill('SIGKILL');
        }, seconds * SLOW * 1000);
        const ended = await this.ended;
        clearTimeout(timer);
        if (late) {
            throw new Error(`did not stop:\n${this.log.split('\n').slice(-30).join('\n')}`);
        }
        return ended;
    }
}

/** Every process below one, as { pid, name }, parents first. */
export function descendants(root) {
    const found = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
        try {
            const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
            const [, program, rest] = /\((.*)\) \S (\d+)/s.exec(stat);
            return [{ pid: Number(name), name: program, parent: Number(rest) }];
        } catch {
            return []; // it ended meanwhile
        }
    });
    const below = (pid) => found.filter(({ parent }) => parent === pid)
        .flatMap((child) => [child, ...below(child.pid)]);
    return below(root).map(({ pid, name }) => ({ pid, name }));
}

/** Whether a process runs (one that nobody waited for has ended). */
export function alive(pid) {
    try {
        return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    } catch {
        return false;
    }
}

/** Waits until none of the processes runs, and returns those that still do after that time. */
export async function survivors(pids, seconds = 10) {
    const deadline = Date.now() + seconds * SLOW * 1000;
    while (pids.some(alive) && Date.now() < deadline) {
        await sleep(20);
    }
    return pids.filter(alive);
}
