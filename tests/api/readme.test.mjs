// The README shows commands and answers. They are run here, in order, against a fresh daemon: what
// is printed must be what the README says.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BIN, Daemon, folder, run } from '../support/program.mjs';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const SHOWN_URL = 'http://127.0.0.1:8080';

/** The fenced blocks of a section: [{ language, text }], without the indentation of lists. */
function blocks(title) {
    const section = README.split(/^## /m).find((part) => part.startsWith(`${title}\n`));
    assert.ok(section, `the README has no section "${title}"`);
    return [...section.matchAll(/^( *)```(\w*)\n([\s\S]*?)^ *```$/gm)]
        .map(([, indent, language, text]) => ({
            language,
            text: text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
        }));
}

/** What differs from run to run: ids, and hashes of signed bytes. */
const masked = (text) => text
    .replaceAll(/\b(req|tx)_[0-9A-Z]{26}\b/g, '$1_…')
    .replaceAll(/("transactionHash": ?)"0x[0-9a-f]{64}"/g, '$1"…"')
    .trimEnd();

/** Runs lines of a shell in the root of the tree, as a reader would. */
function shell(text) {
    return execFileSync('bash', ['-e', '-o', 'pipefail', '-c', text],
        { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

test('the commands under "Try it" answer what the README shows', async () => {
    const daemon = await Daemon.start({});
    try {
        const all = blocks('Try it');
        let names = '';
        let shown = 0;
        for (let i = 0; i < all.length; i += 2) {
            const [command, answer] = [all[i], all[i + 1]];
            assert.deepEqual([command.language, answer?.language], ['sh', 'json'],
                'each block of commands is followed by its answers');
            const text = command.text.replaceAll(SHOWN_URL, daemon.url);
            assert.equal(masked(shell(names + text)), masked(answer.text), command.text);
            // A reader's shell remembers API=…; here each block has a shell of its own.
            names += text.split('\n').filter((line) => /^API=/.test(line)).join('\n') + '\n';
            shown++;
        }
        assert.equal(shown, 7);
    } finally {
        await daemon.stop();
    }
});

test('the configuration and the wallet under "On a real chain" fit together', async () => {
    const dir = folder();
    const [wallet, ini] = blocks('On a real chain');
    assert.equal(ini.language, 'ini');
    writeFileSync(join(dir, 'freehold.conf'), ini.text);
    const checked = await run(['config', '--check'], { cwd: dir });
    assert.equal(checked.stderr, '');
    assert.equal(checked.stdout, 'The configuration is right.\n');

    const lines = wallet.text.replaceAll('build/freehold', '"$BIN"');
    execFileSync('bash', ['-e', '-c', lines],
        { cwd: dir, env: { ...process.env, BIN } });
    const listed = await run(['wallet', 'list'], { cwd: dir });
    assert.equal(listed.status, 0, listed.stderr);
    assert.match(listed.stdout, /^0x[0-9a-fA-F]{40}  wallets\/UTC--/);
});
