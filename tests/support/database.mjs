// The database under test: SQLite, or with TEST_DATABASE=postgres a database of its own for each
// data folder on the server that tools/with-postgres started. Rows are read past the program, by the
// databases' own command-line clients, and look the same from either:
//
//     bytes '0x…' · integers number · 256-bit integers decimal text · booleans 0 or 1 ·
//     times microseconds since 1970 · JSON its canonical text · NULL null

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';

const CHOSEN = process.env.TEST_DATABASE ?? 'sqlite';
const SERVER = process.env.TEST_POSTGRES_URL;
if (!['sqlite', 'postgres'].includes(CHOSEN)) {
    throw new Error(`TEST_DATABASE is sqlite or postgres, not ${CHOSEN}`);
}
if (CHOSEN === 'postgres' && SERVER === undefined) {
    throw new Error('TEST_DATABASE=postgres needs a server: tools/with-postgres COMMAND');
}

/** Whether the database under test is PostgreSQL. */
export const ON_POSTGRES = CHOSEN === 'postgres';

/** What fits the database under test. */
export const pick = (sqlite, postgres) => ON_POSTGRES ? postgres : sqlite;

const PSQL = ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-A', '-t', '-F', '\x1f', '-R', '\x1e',
    '-P', 'null=\x1a'];

function psql(url, text) {
    return execFileSync('psql', [...PSQL, '-d', url, '-f', '-'], {
        input: text, encoding: 'utf8', maxBuffer: 2 ** 28,
        env: { ...process.env, PGTZ: 'UTC', PGDATESTYLE: 'ISO', PGCLIENTENCODING: 'UTF8' },
        stdio: ['pipe', 'pipe', 'inherit'],
    });
}

// ---- databases ----------------------------------------------------------------------------------

const made = new Map(); // by folder

process.on('exit', () => {
    const drops = [...made.values()].map(({ name }) => `DROP DATABASE IF EXISTS "${name}" WITH (FORCE);`);
    if (drops.length > 0) {
        psql(SERVER, drops.join('\n'));
    }
});

/** The database that belongs to a data folder, as { url, … }; an empty one is made on the server. */
export function databaseOf(dir) {
    if (!ON_POSTGRES) {
        const path = join(dir, 'freehold.db');
        return { url: `sqlite:${path}`, path };
    }
    if (!made.has(dir)) {
        const name = `test_${randomBytes(6).toString('hex')}`;
        psql(SERVER, `CREATE DATABASE "${name}";`);
        made.set(dir, { name, url: SERVER.replace(/\/[^/]*$/, `/${name}`) });
    }
    return made.get(dir);
}

// ---- rows ---------------------------------------------------------------------------------------

/** Bytes as a literal of the database under test. */
export const bytes = (hex) => pick(`x'${hex.slice(2)}'`, `'\\x${hex.slice(2)}'::bytea`);

/** The same JSON value is the same text, whatever the order and spacing it is kept in. */
function canonical(value) {
    if (Array.isArray(value)) {
        return `[${value.map(canonical)}]`;
    }
    if (value === null || typeof value !== 'object') {
        return JSON.stringify(value);
    }
    return `{${Object.keys(value).sort()
        .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)}}`;
}

/** 78 digits are a 256-bit integer on SQLite, and text that is a JSON object or array is JSON. */
function sqliteText(text) {
    if (/^\d{78}$/.test(text)) {
        return text.replace(/^0+(?=\d)/, '');
    }
    if (/^[[{]/.test(text)) {
        try {
            return canonical(JSON.parse(text));
        } catch {
            return text;
        }
    }
    return text;
}

/** Reads what `sqlite3 -quote` prints: SQL literals between commas, a line a row. */
function sqliteRows(database, sql) {
    const text = execFileSync('sqlite3', ['-readonly', '-quote', '-header', '-cmd', '.timeout 5000',
        '-separator', '\x1f', '-newline', '\x1e', database.path, sql],
    { encoding: 'utf8', maxBuffer: 2 ** 28 });
    const value = (literal) => {
        if (literal === 'NULL') {
            return null;
        }
        const [, blob, quoted] = /^(?:X'([0-9a-f]*)'|'([^]*)')$/i.exec(literal) ?? [];
        if (blob !== undefined) {
            return `0x${blob.toLowerCase()}`;
        }
        return quoted === undefined ? Number(literal) : sqliteText(quoted.replaceAll("''", "'"));
    };
    const [names, ...lines] = text.split('\x1e').slice(0, -1).map((line) => line.split('\x1f'));
    const keys = names?.map((name) => name.slice(1, -1));
    return lines.map((line) => Object.fromEntries(line.map((v, i) => [keys[i], value(v)])));
}

/** Microseconds of "2026-01-01 00:00:00.123456+00". */
function microseconds(text) {
    const [, day, time, fraction = ''] = /^(\S+) ([^.+]+)(?:\.(\d+))?\+00$/.exec(text);
    return Date.parse(`${day}T${time}Z`) * 1000 + Number(fraction.padEnd(6, '0'));
}

const POSTGRES_TYPES = [
    [/^bytea$/, (text) => `0x${text.slice(2)}`],
    [/^(smallint|integer|bigint)$/, Number],
    [/^boolean$/, (text) => Number(text === 't')],
    [/^timestamp with time zone$/, microseconds],
    [/^jsonb?$/, (text) => canonical(JSON.parse(text))],
];

function postgresRows(database, sql) {
    const [columns, text] = psql(database.url, `${sql}\n\\gdesc\n\\echo \x1d\n${sql};\n`)
        .split('\x1d\n');
    const types = columns.trimEnd().split('\x1e').map((line) => {
        const [name, type] = line.split('\x1f');
        return [name, POSTGRES_TYPES.find(([pattern]) => pattern.test(type))?.[1]
            ?? ((value) => value)];
    });
    const lines = text === '' ? [] : text.replace(/\n$/, '').split('\x1e');
    return lines.map((line) => Object.fromEntries(line.split('\x1f')
        .map((v, i) => [types[i][0], v === '\x1a' ? null : types[i][1](v)])));
}

/** Rows of a database that may be in use, as objects. */
export function rows(database, sql) {
    return pick(sqliteRows, postgresRows)(database, sql);
}

/** Every row of a table as JSON, sorted. */
export function dump(database, table) {
    return rows(database, `SELECT * FROM ${table}`).map((row) => JSON.stringify(row)).sort();
}

/** Runs statements past the program, which need not be stopped. */
export function change(database, sql) {
    if (ON_POSTGRES) {
        psql(database.url, sql);
    } else {
        execFileSync('sqlite3', ['-bail', '-cmd', '.timeout 5000', database.path, sql]);
    }
}
