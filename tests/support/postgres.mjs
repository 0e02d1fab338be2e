// A PostgreSQL server for tests that need one whatever the suite runs on.

import { spawn, execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { owned } from './children.mjs';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

let serial = 0;

export class Postgres {
    /** The server at TEST_POSTGRES_URL, or one that ends with this process at the latest. */
    static async start() {
        const server = new Postgres();
        if (process.env.TEST_POSTGRES_URL) {
            server.url = process.env.TEST_POSTGRES_URL;
            return server;
        }
        server.child = owned(spawn(join(ROOT, 'tools', 'with-postgres'),
            ['sh', '-c', 'echo "$TEST_POSTGRES_URL"; cat >/dev/null'],
            { stdio: ['pipe', 'pipe', 'inherit'] }),
        () => server.child.stdin.end()); // it stops the server then
        server.ended = new Promise((done) => { server.child.on('close', done); });
        server.url = await new Promise((done, fail) => {
            createInterface({ input: server.child.stdout }).once('line', done);
            server.ended.then(() => fail(new Error('no PostgreSQL')));
        });
        return server;
    }

    /** Rows of a statement, as text with '|' between columns. */
    run(sql, url = this.url) {
        return execFileSync('psql', ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', url, '-c', sql],
            { encoding: 'utf8', maxBuffer: 2 ** 28 }).trimEnd();
    }

    /** The URL of a new database. */
    database() {
        const name = `test_${process.pid}_${++serial}`;
        this.run(`CREATE DATABASE "${name}"`);
        return this.url.replace(/\/[^/]*$/, `/${name}`);
    }

    async stop() {
        this.child?.stdin.end();
        await this.ended;
    }
}
