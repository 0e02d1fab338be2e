// package.json and its lock file: what a fresh `npm ci` depends on, with the npm of Debian 12 (Node
// 18) as with newer ones.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const read = (name) => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');
const { devDependencies } = JSON.parse(read('package.json'));
const lockText = read('package-lock.json');
const { packages } = JSON.parse(lockText);

test('every direct dependency is pinned to the version that is locked', () => {
    for (const [name, version] of Object.entries(devDependencies)) {
        assert.match(version, /^\d+\.\d+\.\d+$/, name);
        assert.equal(packages[`node_modules/${name}`].version, version, name);
    }
});

test('the lock file names no registry', () => {
    assert.ok(!lockText.includes('"resolved"'));
});

test('every platform of anvil is locked, and none refuses Node 18', () => {
    // The packages hold one native binary each. They declare Node 20, for which older versions of
    // npm skip an optional package; and newer ones refuse a lock file that lacks a platform.
    const anvil = packages['node_modules/@foundry-rs/anvil'];
    for (const [name, version] of Object.entries(anvil.optionalDependencies)) {
        const locked = packages[`node_modules/${name}`];
        assert.equal(locked?.version, version, name);
        assert.equal(locked.engines, undefined, name);
    }
});
