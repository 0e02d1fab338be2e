// The tests that an ABI offers an interface, used for every generation of the contracts.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Interface, id } from 'ethers';

/** The interface of the deployed contracts, written down from their documentation. */
export const spec = JSON.parse(
    readFileSync(new URL('../test/interface.json', import.meta.url), 'utf8'));

const parameters = (inputs) => inputs.map(({ type, indexed, name }) =>
    [type, ...(indexed ? ['indexed'] : []), name].join(' ')).join(', ');

/** The canonical form of an ABI parameter: structs become tuples. */
function canonical({ type, components }) {
    return components
        ? `(${components.map(canonical).join(',')})${type.slice('tuple'.length)}`
        : type;
}

/** "name(types)" of every entry of a kind ("function", "event", "error"). */
export function signatures(abi, kind) {
    return abi.filter(({ type }) => type === kind)
        .map(({ name, inputs }) => `${name}(${inputs.map(canonical).join(',')})`);
}

/** "name(types)" of an event as the interface writes it: "name(type [indexed] name, ...)". */
export function eventSignature(event) {
    const [, label, args] = /^(\w+)\((.*)\)$/.exec(event);
    const types = args === '' ? [] : args.split(', ').map((a) => a.split(' ')[0]);
    return `${label}(${types.join(',')})`;
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

/** Tests that the ABI of each contract of the interface offers all that the interface lists. */
export function testInterface(abiOf) {
    for (const [name, { functions, events, errors }] of Object.entries(spec.contracts)) {
        describe(name, () => {
            const abi = abiOf(name);
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
                    const signature = eventSignature(event);
                    assert.equal(id(signature), topic, event);
                    const made = entry('event', signature);
                    assert.ok(made, `${event} is missing`);
                    assert.equal(`${made.name}(${parameters(made.inputs)})`, event);
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
}

/** Tests that structs have the fields and order of the interface. */
export function testStructs(abiOf) {
    test('structs keep their fields and order', () => {
        const found = {};
        for (const name of Object.keys(spec.contracts)) {
            for (const item of abiOf(name)) {
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
            const { outputs } = abiOf('Marketplace').find((e) => e.name === getter);
            const members = outputs.map((o) => ({
                type: o.internalType.replace(/^struct /, ''), name: o.name,
            }));
            assert.deepEqual(members, spec.structs[name], name);
        }
        const { outputs } = abiOf('LeaseFactory').find((e) => e.name === 'leases');
        assert.deepEqual(outputs.map(({ type, name }) => ({ type, name })),
            spec.structs.Lease.filter(({ name }) => name !== 'metadata'));
    });
}

/** A text as the compiler may write it into code: plain, or without its lowest zero bits. */
function constants(text) {
    const plain = Buffer.from(text).toString('hex');
    let odd = BigInt(`0x${plain}`);
    while (odd % 2n === 0n) {
        odd /= 2n;
    }
    return [plain, odd.toString(16)];
}

/** Tests that a contract's code carries every text that the interface lists. */
export function testTexts(bytecodeOf) {
    test('the code carries every documented text', () => {
        for (const [name, texts] of Object.entries(spec.requireTexts)) {
            for (const text of texts) {
                assert.ok(constants(text).some((hex) => bytecodeOf(name).includes(hex)),
                    `${name}: "${text}"`);
            }
        }
    });
}
