// The ABI against interface.json, which was written from the documentation of the deployed
// contracts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { id } from 'ethers';
import { spec, testInterface, testStructs, testTexts } from '../harness/abi.mjs';
import { artifact } from '../harness/chain.mjs';

testInterface((name) => artifact(name).abi);
testStructs((name) => artifact(name).abi);
testTexts((name) => artifact(name).deployedBytecode);

test('type strings and role names hash to the documented values', () => {
    const { domain, Lease, LeaseIntent, notAccepted } = spec.eip712;
    assert.equal(id(domain.type), domain.typehash);
    assert.equal(id(domain.name), domain.nameHash);
    assert.equal(id(domain.version), domain.versionHash);
    assert.equal(id(Lease.type), Lease.typehash);
    assert.equal(id(LeaseIntent.type), LeaseIntent.typehash);
    assert.equal(id(LeaseIntent.type + Lease.type), notAccepted[0]);
    for (const role of ['UPGRADER_ROLE', 'REGISTRAR_ROLE']) {
        assert.equal(id(role), spec.roles[role]);
    }
});

test('the code carries the documented hashes', () => {
    const code = (name) => artifact(name).deployedBytecode;
    const has = (name, hex, what) => assert.ok(code(name).includes(hex), `${name}: ${what}`);
    has('LeaseFactory', spec.eip712.Lease.typehash.slice(2), 'typehash of Lease');
    has('LeaseFactory', spec.eip712.LeaseIntent.typehash.slice(2), 'typehash of LeaseIntent');
    has('AssetRegistry', spec.roles.REGISTRAR_ROLE.slice(2), 'REGISTRAR_ROLE');
    for (const name of ['AssetRegistry', 'AssetERC20', 'LeaseFactory', 'Marketplace']) {
        has(name, spec.roles.UPGRADER_ROLE.slice(2), 'UPGRADER_ROLE');
    }
});

test('runtime code fits EIP-170 and ends without a metadata hash', () => {
    for (const name of [...Object.keys(spec.contracts), 'ERC1967Proxy']) {
        const { deployedBytecode, compiler } = artifact(name);
        assert.ok((deployedBytecode.length - 2) / 2 <= 24576, name);
        assert.match(compiler.version, /^0\.8\.30\+commit\.[0-9a-f]{8}$/);
        assert.ok(!deployedBytecode.includes('64736f6c63'), `${name} ends with "solc" metadata`);
    }
});
