// The ledger for operators: what `freehold ledger` and /api/v1/ledger show of a lifecycle that ran,
// against the rows and against the stablecoin's own log; and what `freehold audit ledger` says when
// somebody changed a row.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { getAddress } from 'ethers';
import { Daemon, change, databaseOf, folder, objects, pick, rows, run } from '../support/program.mjs';
import { Api } from './support.mjs';

const BOOK = 'stable/31337';
const V1 = '/api/v1/ledger';
const TRANSFER = '0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef';
const dir = folder();
const url = () => `--store.url=${databaseOf(dir).url}`;

const freehold = (...args) => run([...args, url()]);
const query = (o) => `?${new URLSearchParams(o)}`;

/** What a command prints with --json. */
async function told(...args) {
    const { status, stdout, stderr } = await freehold(...args, '--json');
    assert.equal(status, 0, stdout + stderr);
    return objects(stdout);
}

/** Every account by "book path" with its sums over origins, added up here. */
function accountsOf(database) {
    const all = new Map();
    for (const row of rows(database, 'SELECT * FROM ledger_accounts')) {
        const name = `${row.book} ${row.path}`;
        const sum = all.get(name) ?? { credits: 0n, debits: 0n, entries: 0 };
        sum.credits += BigInt(row.credits_posted);
        sum.debits += BigInt(row.debits_posted);
        sum.entries += row.entries;
        all.set(name, sum);
    }
    return all;
}

before(async () => {
    const { status, stdout } = await run(['demo', 'complete', '--json', '--dir', dir]);
    assert.equal(status, 0, stdout);
});

describe('freehold ledger', () => {
    test('shows each account with the sums of its rows', async () => {
        const shown = await told('ledger', 'accounts');
        const stored = accountsOf(databaseOf(dir));
        assert.ok(shown.length > 5);
        assert.equal(shown.length, stored.size);
        for (const account of shown) {
            const row = stored.get(`${account.book} ${account.account}`);
            assert.equal(BigInt(account.creditsPosted), row.credits);
            assert.equal(BigInt(account.debitsPosted), row.debits);
            assert.equal(account.entries, row.entries);
            const left = row.credits - row.debits;
            assert.equal(BigInt(account.available), left > 0n ? left : 0n);
            assert.deepEqual(await told('ledger', 'balance', account.book, account.account), [account]);
        }
    });

    test('lists the entries of an account, and goes on behind one', async () => {
        const { account, entries } = (await told('ledger', 'accounts', BOOK))
            .reduce((a, b) => (a.entries > b.entries ? a : b));
        const all = await told('ledger', 'entries', BOOK, account);
        assert.equal(all.length, entries);
        assert.ok(entries > 1, account);
        for (const entry of all) {
            assert.ok([entry.debit, entry.credit].includes(account));
            const [row] = rows(databaseOf(dir),
                `SELECT * FROM ledger_transfers WHERE id = '${entry.transferId}'`);
            assert.deepEqual([entry.amount, entry.kind, entry.cause, entry.state],
                [row.amount, row.kind, row.cause, 'posted']);
            assert.equal(Date.parse(entry.createdAt), Math.floor(row.created / 1000));
        }
        const rest = await told('ledger', 'entries', BOOK, account, '--after', all[0].transferId);
        assert.deepEqual(rest, all.slice(1));
        assert.deepEqual(await told('ledger', 'entries', BOOK, account, '--limit', '1'), [all[0]]);
    });

    test('pages and filters accounts', async () => {
        const all = await told('ledger', 'accounts', BOOK);
        const [first] = await told('ledger', 'accounts', BOOK, '--limit', '1');
        assert.deepEqual(first, all[0]);
        const rest = await told('ledger', 'accounts', BOOK, '--after', first.account);
        assert.deepEqual(rest, all.slice(1));
        const external = await told('ledger', 'accounts', '--prefix', 'external/');
        assert.deepEqual(external, all.filter(({ account }) => account.startsWith('external/')));
        assert.deepEqual(await told('ledger', 'accounts', 'no/book'), []);
        const text = await freehold('ledger', 'accounts', BOOK);
        assert.match(text.stdout, new RegExp(`^${BOOK}  ${first.account}$`, 'm'));
    });

    test('says what is wrong with the question', async () => {
        const cases = [
            [['ledger'], 2, /accounts \[BOOK\], balance BOOK ACCOUNT/],
            [['ledger', 'balance', BOOK], 2, /balance BOOK ACCOUNT/],
            [['ledger', 'accounts', '--limit', '0'], 2, /1 to 10000/],
            [['ledger', 'accounts', '--after', 'x'], 2, /needs the book/],
            [['ledger', 'balance', BOOK, 'nobody'], 1, /no account nobody/],
            [['ledger', 'entries', BOOK, 'nobody'], 1, /no account nobody/],
        ];
        for (const [args, status, sentence] of cases) {
            const result = await freehold(...args);
            assert.equal(result.status, status, args.join(' '));
            assert.match(result.stderr, sentence);
        }
    });
});

describe('/api/v1/ledger', () => {
    let api;
    before(async () => { api = await Api.start({}, { dir }); });
    after(async () => { await api?.stop(); });

    test('answers what the command shows', async () => {
        const shown = await told('ledger', 'accounts', BOOK);
        assert.deepEqual(await api.get(`${V1}/accounts${query({ book: BOOK })}`), shown);
        for (const account of shown) {
            const name = { book: BOOK, account: account.account };
            assert.deepEqual(await api.get(`${V1}/balance${query(name)}`), account);
            assert.deepEqual(await api.get(`${V1}/entries${query({ ...name, limit: 200 })}`),
                await told('ledger', 'entries', BOOK, account.account));
        }
    });

    test('gives pages by cursor', async () => {
        const pages = async (path, limit) => {
            const all = [];
            for (let cursor = {}; cursor;) {
                const { data, nextCursor, ...rest } = await api.send('GET',
                    `${path}${path.includes('?') ? '&' : '?'}${new URLSearchParams({ limit, ...cursor })}`);
                assert.equal(rest.status, 200, JSON.stringify(rest));
                assert.ok(data.length <= limit);
                all.push(...data);
                cursor = nextCursor ? { cursor: nextCursor } : undefined;
            }
            return all;
        };
        const accounts = await api.get(`${V1}/accounts`);
        assert.deepEqual(await pages(`${V1}/accounts`, 2), accounts);
        const most = accounts.reduce((a, b) => (a.entries > b.entries ? a : b));
        const entries = `${V1}/entries${query({ book: most.book, account: most.account })}`;
        assert.deepEqual(await pages(entries, 1), await api.get(entries));
    });

    test('refuses what it cannot answer', async () => {
        const cases = [
            [`${V1}/balance`, 400, 'missing_field', 'book'],
            [`${V1}/balance${query({ book: BOOK })}`, 400, 'missing_field', 'account'],
            [`${V1}/balance${query({ book: BOOK, account: 'nobody' })}`, 404, 'not_found', 'account'],
            [`${V1}/entries${query({ book: BOOK, account: 'nobody' })}`, 404, 'not_found', 'account'],
            [`${V1}/entries${query({ account: 'x' })}`, 400, 'missing_field', 'book'],
            [`${V1}/accounts?cursor=eHl6`, 400, 'invalid_field', 'cursor'],
            [`${V1}/accounts?limit=201`, 400, undefined, 'limit'],
            [`${V1}/accounts?bok=x`, 400, 'unknown_field'],
        ];
        for (const [path, status, code, field] of cases) {
            const answer = await api.send('GET', path);
            assert.equal(answer.status, status, path);
            assert.equal(answer.code, code ?? answer.code, path);
            assert.equal(answer.field, field ?? answer.field, path);
        }
    });

    test('has every movement of the marketplace\'s money once', async () => {
        const { stablecoin, marketplace } = api.contracts;
        const logs = await api.provider.getLogs(
            { address: stablecoin, topics: [TRANSFER], fromBlock: 0, toBlock: 'latest' });
        const address = (topic) => getAddress(`0x${topic.slice(26)}`);
        const moved = new Map(); // by the other party: [into the marketplace, out of it], in order
        let held = 0n;
        for (const { topics, data } of logs) {
            const [from, to] = [address(topics[1]), address(topics[2])];
            if (from === marketplace || to === marketplace) {
                const other = from === marketplace ? to : from;
                const list = moved.get(other) ?? [];
                list.push(to === marketplace ? -BigInt(data) : BigInt(data));
                moved.set(other, list);
                held -= list.at(-1);
            }
        }
        assert.ok(moved.size > 2);
        const accounts = await api.get(`${V1}/accounts${query({ book: BOOK, prefix: 'external/' })}`);
        assert.deepEqual(accounts.map(({ account }) => account).sort(),
            [...moved.keys()].map((who) => `external/${who}`).sort());
        for (const { account } of accounts) {
            const entries = await api.get(`${V1}/entries${query({ book: BOOK, account, limit: 200 })}`);
            assert.deepEqual(entries.map(({ debit, amount }) => debit === account ? -BigInt(amount)
                : BigInt(amount)), moved.get(account.slice('external/'.length)));
        }
        const inside = await api.get(`${V1}/accounts${query({ book: BOOK, prefix: 'leasing/' })}`);
        assert.equal(inside.reduce((sum, { available }) => sum + BigInt(available), 0n), held);
        assert.equal(await api.stableOf(marketplace), held);
    });
});

describe('freehold audit ledger', () => {
    const audit = async () => {
        const { status, stdout } = await freehold('audit', 'ledger', '--json');
        return { status, ...objects(stdout)[0] };
    };
    /** Changes one row as the owner of the database could, past the triggers. */
    const tamper = (sql) => change(databaseOf(dir), `
        INSERT INTO undo_log (chain_id, block_number, statement) VALUES (-1, 0, 'tampering');
        ${sql}; DELETE FROM undo_log WHERE chain_id = -1;`);

    test('proves the books with their sums, beside a daemon at work', async () => {
        const daemon = await Daemon.start({}, { dir });
        const proof = await audit();
        await daemon.stop();
        assert.equal(proof.status, 0);
        assert.equal(proof.success, true);
        assert.equal(proof.first, null);
        assert.equal(proof.entries, 2 * proof.transfers);
        const stored = [...accountsOf(databaseOf(dir))];
        assert.equal(proof.accounts, stored.length);
        for (const { book, creditsPosted, debitsPosted, ...rest } of proof.books) {
            const of = stored.filter(([name]) => name.startsWith(`${book} `));
            assert.equal(rest.accounts, of.length);
            assert.equal(BigInt(creditsPosted), of.reduce((sum, [, a]) => sum + a.credits, 0n));
            assert.equal(debitsPosted, creditsPosted);
        }
        assert.equal((await audit()).digest, proof.digest);
        const text = await freehold('audit', 'ledger');
        assert.match(text.stdout, /^Proven: \d+ books, /m);
        assert.ok(text.stdout.includes(proof.digest));
    });

    test('names the account that was changed', async () => {
        const { digest } = await audit();
        const [{ path, value }] = rows(databaseOf(dir), `SELECT path, credits_posted value
            FROM ledger_accounts WHERE credits_posted <> '${pick('0'.repeat(78), '0')}' LIMIT 1`);
        const to = (n) => pick(`'${String(n).padStart(78, '0')}'`, `${n}`);
        tamper(`UPDATE ledger_accounts SET credits_posted = ${to(BigInt(value) + 1n)} WHERE path = '${path}'`);
        const proof = await audit();
        assert.equal(proof.status, 1);
        assert.equal(proof.success, false);
        assert.deepEqual(proof.first,
            { finding: 'totalsWrong', book: BOOK, account: path, transfer: '' });
        assert.equal(proof.found.bookUnbalanced, 1);
        assert.notEqual(proof.digest, digest);
        const text = await freehold('audit', 'ledger');
        assert.equal(text.status, 1);
        assert.match(text.stdout, new RegExp(`^the first: account ${path} in book ${BOOK}$`, 'm'));
        assert.match(text.stderr, /is not what its transfers say/);
        tamper(`UPDATE ledger_accounts SET credits_posted = ${to(value)} WHERE path = '${path}'`);
        assert.equal((await audit()).digest, digest);
    });

    test('the database itself refuses such a change', () => {
        for (const sql of ['UPDATE ledger_transfers SET amount = posted',
            "UPDATE ledger_transfers SET cause = 'x'", 'DELETE FROM ledger_transfers',
            'UPDATE ledger_accounts SET flags = 0 WHERE flags = 1']) {
            assert.throws(() => change(databaseOf(dir), sql), sql);
        }
    });
});
