// The matching engine's journal through the real program: damage is named, a torn tail is dropped
// with a word about it, and the rows that follow from it are those of the tape.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { databaseOf, folder, objects, rows, run } from '../support/program.mjs';

/** A flow of `count` orders and cancels around one price: the same for the same count. */
function flow(count) {
    let seed = 12345;
    const below = (n) => {
        seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
        return (seed >>> 8) % n;
    };
    const lines = ['# a flow'];
    for (let n = 1; n <= count; n++) {
        const side = below(2) === 0 ? 'B' : 'S';
        lines.push(n > 20 && below(4) === 0
            ? `${n},C,${n - 1 - below(15)},${side},-,-,0,0,0,0,0,-`
            : `${n},N,${n},${side},L,G,${100 + below(9)},${1 + below(30)},${below(2)},${1 + below(9)},0,-`);
    }
    return lines;
}

async function engine(...args) {
    const ended = await run(['engine', ...args, '--json'], { seconds: 120 });
    return { status: ended.status, ...objects(ended.stdout).at(-1), stderr: ended.stderr };
}

/** Runs a flow into a new journal; resolves to the paths and the answer. */
async function journalOf(lines) {
    const dir = folder();
    const at = (name) => join(dir, name);
    writeFileSync(at('flow'), `${lines.join('\n')}\n`);
    const answer = await engine('run', at('flow'), at('tape'), at('events'), '--journal', at('j'));
    assert.equal(answer.status, 0, JSON.stringify(answer));
    assert.equal(answer.commands, lines.length - 1);
    const file = readdirSync(at('j')).find((name) => name.startsWith('journal-'));
    return { journal: at('j'), file: join(at('j'), file), name: file, tape: at('tape'), answer };
}

/** Where records of a journal are in its file: the list of the program, found in the bytes. */
async function records(journal, file) {
    const ended = await run(['engine', 'dump', journal, '--json']);
    const bytes = readFileSync(file);
    let from = 0;
    return objects(ended.stdout).map(({ seq, op, bytes: hex }) => {
        const record = Buffer.from(hex, 'hex');
        let at = bytes.indexOf(record.subarray(8), from) - 8;
        while (!bytes.subarray(at, at + 6).equals(record.subarray(0, 6))) {
            at = bytes.indexOf(record.subarray(8), at + 9) - 8;
        }
        from = at + 8;
        return { seq, op, at };
    });
}

describe('the engine', () => {
    test('counts the commands of a flow, not those that set it up', async () => {
        const dir = folder();
        writeFileSync(join(dir, 'empty'), '# nothing\n');
        const answer = await engine('run', join(dir, 'empty'), join(dir, 'tape'), join(dir, 'events'));
        assert.equal(answer.status, 0);
        assert.equal(answer.commands, 0);
        assert.equal(readFileSync(join(dir, 'tape'), 'utf8'), '');
    });

    test('names the record whose bit was flipped, and changes nothing', async () => {
        const { journal, file, answer } = await journalOf(flow(600));
        const sound = await engine('verify', journal);
        assert.equal(sound.status, 0);
        assert.equal(sound.stateHash, answer.stateHash);
        const all = await records(journal, file);
        assert.equal(all.length, sound.records);
        for (const { seq, at } of [all[0], all[all.length >> 1], all.at(-300), all.at(-1)]) {
            const before = readFileSync(file);
            const damaged = Buffer.from(before);
            damaged[at + 9] ^= 0x10;
            writeFileSync(file, damaged);
            for (const command of ['verify', 'replay', 'dump']) {
                const refused = await engine(command, journal);
                assert.equal(refused.status, 1, command);
                assert.equal(refused.code, 'corrupt');
                assert.match(refused.error, new RegExp(`offset ${at}, record ${seq}: `));
            }
            assert.deepEqual(readFileSync(file), damaged);
            writeFileSync(file, before);
        }
        assert.equal((await engine('verify', journal)).stateHash, answer.stateHash);
    });

    test('drops a torn tail and says what it dropped', async () => {
        const lines = flow(600);
        const { journal, file, name, answer } = await journalOf(lines);
        const all = await records(journal, file);
        const bytes = readFileSync(file);
        bytes.fill(0, all.at(-1).at + 20); // the write ended in the middle of the last record
        writeFileSync(file, bytes);

        const passed = await engine('replay', journal); // looks, and leaves it
        assert.equal(passed.status, 0);
        assert.ok(passed.tornBytes > 0);
        assert.deepEqual(readFileSync(file), bytes);

        const words = await run(['engine', 'verify', journal]);
        assert.equal(words.status, 0, words.stderr);
        assert.match(words.stdout, new RegExp(`^${name}: the last write was torn at offset ` +
            `${passed.tornOffset}; ${passed.tornBytes} bytes of it were dropped\\. None of its ` +
            'commands was acknowledged\\.'));

        const mended = await engine('verify', journal);
        assert.equal(mended.status, 0);
        assert.equal(mended.tornBytes, 0);
        assert.equal(mended.records, passed.records);
        assert.ok(mended.records < all.length);
        // What is left is the venue of as many lines as are left of the flow.
        // How much the last write held is a matter of speed: accounts and pairs may be gone as well.
        const gone = all.slice(mended.records);
        const orders = gone.filter(({ op }) => op === 'new' || op === 'cancel').length;
        const left = await journalOf(lines.slice(0, lines.length - orders));
        assert.equal((await engine('verify', left.journal)).stateHash, left.answer.stateHash);
        if (orders === gone.length) {
            assert.equal(mended.stateHash, left.answer.stateHash);
        }
        assert.notEqual(mended.stateHash, answer.stateHash);
    });

    test('refuses a journal that is there already', async () => {
        const { journal, tape } = await journalOf(flow(10));
        const answer = await engine('run', '/dev/null', `${tape}2`, `${tape}3`, '--journal', journal);
        assert.equal(answer.status, 1);
        assert.equal(answer.code, 'already_exists');
    });

    test('writes the rows of a journal once, and the same rows anew', async () => {
        const { journal, tape } = await journalOf(flow(3000));
        const database = databaseOf(folder());
        const store = `--store.url=${database.url}`;
        assert.equal((await run(['migrate', 'up', store])).status, 0);
        const first = await engine('project', journal, store, '--batch=100');
        assert.equal(first.status, 0, JSON.stringify(first));
        assert.equal(first.from, 0);
        assert.ok(first.batches > 10);
        const again = await engine('project', journal, store);
        assert.equal(again.from, first.to);
        assert.equal(again.to, first.to);

        const trades = () => rows(database, 'SELECT maker_order, taker_order, price, qty ' +
            'FROM trading_trades ORDER BY id').map((row) => Object.values(row).join(','));
        const expected = readFileSync(tape, 'utf8').trimEnd().split('\n');
        assert.ok(expected.length > 300);
        assert.deepEqual(trades(), expected);

        const rebuilt = await engine('rebuild', journal, store);
        assert.equal(rebuilt.status, 0);
        assert.equal(rebuilt.from, 0);
        assert.equal(rebuilt.to, first.to);
        assert.deepEqual(trades(), expected);
        const audit = await engine('audit', store);
        assert.equal(audit.status, 0, JSON.stringify(audit));
        assert.equal(audit.trades, expected.length);
        assert.equal(audit.seq, first.to);
    });
});
