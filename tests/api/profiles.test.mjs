// The configurations of deploy/profiles: the program takes each of them, and they name the chains and
// endpoints that an independent list (viem) has under that name.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import * as chains from 'viem/chains';
import { run } from '../support/program.mjs';

const FOLDER = new URL('../../deploy/profiles/', import.meta.url).pathname;

/** Per profile: the chain of viem, blocks of confirmation (seed 004: 2 test networks, 12 others), USDC. */
const PROFILES = {
    'avalanche-fuji': [chains.avalancheFuji, '2', '0x5425890298aed601595a70AB815c96711a31Bc65'],
    avalanche: [chains.avalanche, '12', '0xB97EF9Ef8734C71904D8002F8b6Bc66Dd9c48a6E'],
    'base-sepolia': [chains.baseSepolia, '2', '0x036CbD53842c5426634e7929541eC2318f3dCF7e'],
    base: [chains.base, '12', '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913'],
    local: [chains.anvil, '0', ''],
    sapphire: [chains.sapphire, '12', ''],
};

test('every profile is one of those that are looked at here', () => {
    assert.deepEqual(readdirSync(FOLDER).sort(), Object.keys(PROFILES).map((n) => `${n}.conf`).sort());
});

for (const [name, [chain, confirmations, coin]] of Object.entries(PROFILES)) {
    test(`${name} is taken, and names ${chain.name}`, async () => {
        const file = ['--config', `${FOLDER}${name}.conf`];
        const checked = await run(['config', '--check', ...file]);
        assert.equal(checked.status, 0, checked.stderr);
        const { stdout } = await run(['config', '--show', ...file]);
        const sections = new Map();
        let section = '';
        for (const line of stdout.split('\n')) {
            section = /^\[(.*)\]$/.exec(line)?.[1] ?? section;
            const [, key, value] = /^(\w+) = (.*) ; /.exec(line) ?? [];
            sections.set(`${section}.${key}`, value);
        }
        const value = (key) => sections.get(key);
        assert.equal(value('chain.id'), String(chain.id));
        // What is shown of an endpoint ends with its host, because a path may be a key.
        const urls = /^rpc_urls = (.*)$/m.exec(readFileSync(`${FOLDER}${name}.conf`, 'utf8'))?.[1];
        assert.equal(urls, name === 'local' ? undefined : chain.rpcUrls.default.http[0]);
        assert.equal(value('chain.rpc_urls').startsWith('https://'), name !== 'local');
        assert.equal(value('chain.confirmations'), confirmations);
        assert.equal(value('chain.verify'), name === 'sapphire' ? 'trusted' : 'full');
        assert.equal(value('leasing.stablecoin'), coin);
    });
}
