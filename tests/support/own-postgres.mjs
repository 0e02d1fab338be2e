// A PostgreSQL server of a test's own, for tests that stop it: tools/with-postgres with a command
// that waits for the end of its standard input.

import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { owned } from './children.mjs';

const TOOL = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'tools', 'with-postgres');

export class PostgresServer {
    static async start() {
        const server = new PostgresServer();
        server.child = owned(spawn(TOOL, ['sh', '-c',
            'echo "$TEST_POSTGRES_URL"; echo "$TEST_POSTGRES_FOLDER"; cat'],
        { stdio: ['pipe', 'pipe', 'inherit'] }),
        () => server.child.stdin.end()); // it stops the server then
        server.ended = new Promise((done) => server.child.on('close', done));
        const lines = createInterface({ input: server.child.stdout })[Symbol.asyncIterator]();
        server.url = (await lines.next()).value;
        server.folder = (await lines.next()).value;
        return server;
    }

    /**
     * Makes an empty database that belongs to a user with few rights: { name, user, url }, where
     * `user` is the url for that user and `url` the superuser's.
     */
    database({ connections = -1 } = {}) {
        const name = `fault_${randomBytes(6).toString('hex')}`;
        this.sql(`CREATE ROLE ${name} LOGIN PASSWORD '${name}' CONNECTION LIMIT ${connections};\n`
            + `CREATE DATABASE ${name} OWNER ${name};`);
        const url = new URL(this.url);
        url.pathname = `/${name}`;
        const user = Object.assign(new URL(url), { username: name, password: name });
        return { name, user: user.href, url: url.href };
    }

    /** Runs statements as the superuser; what they print. */
    sql(text, database = 'postgres') {
        const url = new URL(this.url);
        url.pathname = `/${database}`;
        return execFileSync('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', url.href,
            '-f', '-'], { input: text, encoding: 'utf8' }).trim();
    }

    /** stop | kill | start | restart */
    async do(action) {
        const child = owned(spawn(TOOL, ['--do', action], { stdio: ['ignore', 'inherit', 'inherit'],
            env: { ...process.env, TEST_POSTGRES_FOLDER: this.folder } }));
        const status = await new Promise((done) => child.on('close', done));
        if (status !== 0) {
            throw new Error(`with-postgres --do ${action}: ${status}`);
        }
    }

    /** A session that holds a lock until the server or this process ends. */
    holdLock(database, table) {
        const url = new URL(this.url);
        url.pathname = `/${database.name}`;
        const child = owned(spawn('psql', ['-X', '-q', '-d', url.href], { stdio: ['pipe', 'ignore', 'ignore'] }));
        child.stdin.on('error', () => {});
        child.stdin.write(`BEGIN;\nLOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE;\n`);
        return child;
    }

    async stop() {
        this.child.stdin.end();
        await this.ended;
    }
}
