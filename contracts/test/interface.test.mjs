// The ABI against interface.json, which was written from the documentation of the deployed
// contracts.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Interface, id } from 'ethers';
import { artifact } from '../harness/chain.mjs';

const spec = JSON.parse(readFileSync(new URL('interface.json', import.meta.url), 'utf8'));

const parameters = (inputs) => inputs.map(({ type, indexed, name }) =>
    [type, ...(indexed ? ['indexed'] : []), name].join(' ')).join(', ');

/** The canonical form of an ABI parameter: structs become tuples. */
function canonical({ type, components }) {
    return components
        ? `(${components.map(canonical).join(',')})${type.slice('tuple'.length)}`
        : type;
}

/** Every struct that appears in an ABI, by name, as "type name" members. */
function structsOf(items, found = {}) {
    for (const { internalType, components } of items) {
        const name = /^struct (?:\w+\.)?(\w+)(\[\])*$/.exec(internalType ?? '')?.[1];
        if (name && components) {
            found[name] = components.map((c) => ({
                type: (c.internalType ?? c.type).replace(/^struct (?:\w+\.)?/, ''), name: c.name,
            }));
            structsOf(components, found);
        }
    }
    return found;
}

for (const [name, { functions, events, errors }] of Object.entries(spec.contracts)) {
    describe(name, () => {
        const { abi } = artifact(name);
        const contract = new Interface(abi);
        const entry = (type, sig) => abi.find((e) =>
            e.type === type && `${e.name}(${e.inputs.map(canonical).join(',')})` === sig);

        test(`offers the ${functions.length} functions`, () => {
            for (const { selector, signature, returns, stateMutability } of functions) {
                assert.equal(id(signature).slice(0, 10), selector, signature);
                assert.equal(contract.getFunction(selector)?.format('sighash'), signature);
                const made = entry('function', signature);
                if (returns) {
                    assert.deepEqual(made.outputs.map(canonical), returns, signature);
                    assert.equal(made.stateMutability, stateMutability, signature);
                }
            }
        });

        test(`logs the ${events.length} events`, () => {
            for (const { topic, event } of events) {
                const [, label, args] = /^(\w+)\((.*)\)$/.exec(event);
                const types = args === '' ? [] : args.split(', ').map((a) => a.split(' ')[0]);
                const signature = `${label}(${types.join(',')})`;
                assert.equal(id(signature), topic, event);
                const made = entry('event', signature);
                assert.ok(made, `${event} is missing`);
                assert.equal(parameters(made.inputs), args, event);
            }
        });

        test(`knows the ${errors.length} errors`, () => {
            for (const { selector, error } of errors) {
                assert.equal(id(error).slice(0, 10), selector, error);
                assert.ok(contract.getError(selector), `${error} is missing`);
            }
        });
    });
}

test('structs keep their fields and order', () => {
    const found = {};
    for (const name of Object.keys(spec.contracts)) {
        for (const item of artifact(name).abi) {
            structsOf([...(item.inputs ?? []), ...(item.outputs ?? [])], found);
        }
    }
    for (const name of ['Metadata', 'AssetType', 'Asset', 'LeaseIntent', 'Lease']) {
        assert.deepEqual(found[name], spec.structs[name], name);
    }
    // The other structs show only through getters, which return their members one by one.
    const getters = { Sale: 'sales', SaleBid: 'saleBids', LeaseOffer: 'leaseOffers',
        LeaseBid: 'leaseBids' };
    for (const [name, getter] of Object.entries(getters)) {
        const { outputs } = artifact('Marketplace').abi.find((e) => e.name === getter);
        const members = outputs.map((o) => ({
            type: o.internalType.replace(/^struct /, ''), name: o.name,
        }));
        assert.deepEqual(members, spec.structs[name], name);
    }
    const { outputs } = artifact('LeaseFactory').abi.find((e) => e.name === 'leases');
    assert.deepEqual(outputs.map(({ type, name }) => ({ type, name })),
        spec.structs.Lease.filter(({ name }) => name !== 'metadata'));
});

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

test('the code carries the documented hashes and every documented text', () => {
    const code = (name) => artifact(name).deployedBytecode;
    const has = (name, hex, what) => assert.ok(code(name).includes(hex), `${name}: ${what}`);
    has('LeaseFactory', spec.eip712.Lease.typehash.slice(2), 'typehash of Lease');
    has('LeaseFactory', spec.eip712.LeaseIntent.typehash.slice(2), 'typehash of LeaseIntent');
    has('AssetRegistry', spec.roles.REGISTRAR_ROLE.slice(2), 'REGISTRAR_ROLE');
    for (const name of ['AssetRegistry', 'AssetERC20', 'LeaseFactory', 'Marketplace']) {
        has(name, spec.roles.UPGRADER_ROLE.slice(2), 'UPGRADER_ROLE');
        for (const text of spec.requireTexts[name]) {
            has(name, Buffer.from(text).toString('hex'), `"${text}"`);
        }
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
