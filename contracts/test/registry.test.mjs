// AssetRegistry and its tokens: roles, types, registration, metadata, holders.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ZeroAddress, id, keccak256, toBeHex } from 'ethers';
import { TOKEN, TYPE_ID, World, admin, alice, bob, carol, registrar, upgrader }
    from '../harness/world.mjs';

let world;
let registry;

before(async () => {
    world = await World.deploy();
    registry = world.registry;
});
after(() => world?.stop());

const ADMIN_ROLE = `0x${'0'.repeat(64)}`;
const refusedRole = (account, role) => `AccessControlUnauthorizedAccount(${account},${role})`;
const pairs = (...list) => list.map(([key, value]) => ({ key, value }));
const plain = (list) => list.map(({ key, value }) => [key, value]);

/** The registration arguments with some replaced. */
function registration(changes = {}) {
    const args = { assetType: TYPE_ID, name: 'Sat One', symbol: 'SAT1', supply: 100n * TOKEN, admin,
        upgrader, recipient: alice, metadata: [], ...changes };
    return Object.values(args);
}

describe('roles', () => {
    test('initialisation grants admin, upgrader and registrar, in this order, once', async () => {
        const granted = registry.receipt.logs.map((log) => registry.abi.parseLog(log))
            .filter((event) => event.name === 'RoleGranted').map(({ args }) => [args[0], args[1]]);
        assert.deepEqual(granted, [[ADMIN_ROLE, admin], [id('UPGRADER_ROLE'), upgrader],
            [id('REGISTRAR_ROLE'), registrar]]);
        assert.equal(registry.abi.parseLog(registry.receipt.logs.at(-1)).name, 'Initialized');
        assert.equal(await registry.refusal(admin, 'initialize', admin, admin, admin, admin),
            'InvalidInitialization()');
    });

    test('an implementation cannot be initialised', async () => {
        for (const contract of [registry, world.factory, world.market]) {
            const args = contract.abi.getFunction('initialize').inputs.map(() => admin);
            assert.equal(await contract.implementation.refusal(admin, 'initialize', ...args),
                'InvalidInitialization()');
        }
        assert.equal(await world.tokenImplementation.refusal(admin, 'initialize', '', '', 1, 1,
            admin, admin, admin, []), 'InvalidInitialization()');
    });

    test('each function refuses callers without its role', async () => {
        const refused = refusedRole(alice, ADMIN_ROLE);
        assert.equal(await registry.refusal(alice, 'createAssetType', 'X', TYPE_ID, [], []),
            refused);
        assert.equal(await registry.refusal(alice, 'setMetadata', TYPE_ID, []), refused);
        assert.equal(await registry.refusal(alice, 'removeMetadata', TYPE_ID, 'k'), refused);
        assert.equal(await registry.refusal(admin, 'registerAsset', ...registration()),
            refusedRole(admin, id('REGISTRAR_ROLE')));
    });
});

describe('types', () => {
    test('creation logs metadata first and the name as a hash', async () => {
        const type = id('RelaySchema');
        const keys = [id('relay_channels'), id('coverage_area_km2')];
        const { logs } = await registry.send(admin, 'createAssetType', 'Relay', type, keys,
            pairs(['a', '1'], ['b', '2']));
        assert.deepEqual(world.describe(logs), ['registry.MetadataUpdated',
            'registry.MetadataUpdated', 'registry.AssetTypeCreated']);
        assert.deepEqual(logs.at(-1).topics.slice(1), [id('Relay'), type]);
        const stored = await registry.get('getType', type);
        assert.equal(stored.name, 'Relay');
        assert.deepEqual([...stored.requiredLeaseKeys], keys);
        assert.deepEqual(plain(await registry.get('getAllMetadata', type)),
            [['a', '1'], ['b', '2']]);
    });

    test('a second creation replaces the first; an empty name closes the type', async () => {
        const type = id('ShortLived');
        await registry.send(admin, 'createAssetType', 'One', type, [id('k')], []);
        await registry.send(admin, 'createAssetType', 'Two', type, [], []);
        const stored = await registry.get('getType', type);
        assert.deepEqual([stored.name, stored.requiredLeaseKeys.length], ['Two', 0]);
        await registry.send(admin, 'createAssetType', '', type, [], []);
        assert.equal(await registry.refusal(registrar, 'registerAsset',
            ...registration({ assetType: type })), 'type !exists');
    });

    test('an unknown type is empty and cannot be registered', async () => {
        const type = id('nobody knows');
        const stored = await registry.get('getType', type);
        assert.deepEqual([stored.name, stored.requiredLeaseKeys.length], ['', 0]);
        assert.equal(await registry.refusal(registrar, 'registerAsset',
            ...registration({ assetType: type })), 'type !exists');
    });
});

describe('registration', () => {
    test('logs the token, then the asset', async () => {
        const before = await registry.get('assetId');
        const { logs } = await registry.send(registrar, 'registerAsset',
            ...registration({ metadata: pairs(['x', '1'], ['y', '2']) }));
        assert.deepEqual(world.describe(logs), ['token.RoleGranted', 'token.RoleGranted',
            'token.Transfer', 'token.MetadataUpdated', 'token.MetadataUpdated', 'token.Initialized',
            'registry.AssetRegistered']);

        const { assetId, assetType, tokenAddress } = registry.abi.parseLog(logs.at(-1)).args;
        assert.equal(assetId, before + 1n);
        assert.equal(assetType, TYPE_ID);
        const asset = await registry.get('getAsset', assetId);
        assert.deepEqual([...asset], [TYPE_ID, registrar, tokenAddress]);
        assert.equal(await registry.get('assetExists', assetId), true);
        assert.equal(await registry.get('assetExists', assetId + 1n), false);

        const token = world.chain.at('AssetERC20', tokenAddress);
        assert.equal(await token.get('name'), 'Sat One');
        assert.equal(await token.get('symbol'), 'SAT1');
        assert.equal(await token.get('decimals'), 18n);
        assert.equal(await token.get('totalSupply'), 100n * TOKEN);
        assert.equal(await token.get('balanceOf', alice), 100n * TOKEN);
        const domain = await token.get('eip712Domain');
        assert.deepEqual([domain.name, domain.version, domain.verifyingContract],
            ['Sat One', '1', tokenAddress]);
        const space = keccak256(toBeHex(assetId, 32));
        assert.deepEqual(plain(await token.get('getAllMetadata(bytes32)', space)),
            [['x', '1'], ['y', '2']]);
        assert.deepEqual(plain(await token.get('getAllMetadata()')), [['x', '1'], ['y', '2']]);
    });

    test('needs a recipient, even for no supply', async () => {
        for (const supply of [0n, 1n]) {
            assert.equal(await registry.refusal(registrar, 'registerAsset',
                ...registration({ supply, recipient: ZeroAddress })),
            `ERC20InvalidReceiver(${ZeroAddress})`);
        }
    });

    test('an unknown asset reads as zeros', async () => {
        assert.deepEqual([...await registry.get('getAsset', 10n ** 9n)],
            [ADMIN_ROLE, ZeroAddress, ZeroAddress]);
    });

    test('a token is a clone: initialised for good and never upgraded', async () => {
        const { token } = await world.asset({ [alice]: TOKEN });
        const code = await world.chain.rpc('eth_getCode', token.address, 'latest');
        const target = world.tokenImplementation.address.slice(2).toLowerCase();
        assert.equal(code, `0x363d3d373d3d3d363d73${target}5af43d82803e903d91602b57fd5bf3`);
        assert.equal(await token.refusal(registrar, 'initialize', '', '', 1, 1, bob, bob, bob, []),
            'InvalidInitialization()');
        assert.equal(await token.get('hasRole', id('UPGRADER_ROLE'), upgrader), true);
        assert.equal(await token.refusal(upgrader, 'upgradeToAndCall',
            world.tokenImplementation.address, '0x'), 'UUPSUnauthorizedCallContext()');
        assert.equal(await token.get('getUupsImplementation'), ZeroAddress);
    });
});

describe('metadata', () => {
    let token;
    const keys = async () => [...await token.get('getAllMetadataKeys()')];
    const set = (...list) => token.send(admin, 'setMetadata', pairs(...list));

    before(async () => {
        ({ token } = await world.asset({ [alice]: TOKEN }));
    });

    test('only the admin writes and removes', async () => {
        const refused = refusedRole(alice, ADMIN_ROLE);
        assert.equal(await token.refusal(alice, 'setMetadata', []), refused);
        assert.equal(await token.refusal(alice, 'removeMetadata', 'a'), refused);
    });

    test('keys enumerate in order of first writing; a rewrite keeps the place', async () => {
        await set(['a', '1'], ['b', '2'], ['c', '3'], ['d', '4']);
        await set(['b', 'two']);
        assert.deepEqual(plain(await token.get('getAllMetadata()')),
            [['a', '1'], ['b', 'two'], ['c', '3'], ['d', '4']]);
        assert.equal(await token.get('getMetadataCount()'), 4n);
    });

    test('the last key takes the place of a removed one', async () => {
        const { logs } = await token.send(admin, 'removeMetadata', 'b');
        assert.deepEqual(world.describe(logs), ['token.MetadataRemoved']);
        assert.deepEqual(await keys(), ['a', 'd', 'c']);
        await token.send(admin, 'removeMetadata', 'c');
        assert.deepEqual(await keys(), ['a', 'd']);
        assert.equal(await token.get('getMetadata(string)', 'b'), '');
        assert.equal(await token.refusal(admin, 'removeMetadata', 'b'), 'Key does not exist');
    });

    test('a key with an empty value is listed once, whatever is written to it', async () => {
        await set(['e', ''], ['e', '']);
        assert.deepEqual(await keys(), ['a', 'd', 'e']);
        assert.equal(await token.get('hasMetadata(string)', 'e'), false);
        assert.equal(await token.refusal(admin, 'removeMetadata', 'e'), 'Key does not exist');
        await set(['e', 'full'], ['e', ''], ['e', 'again']);
        assert.deepEqual(await keys(), ['a', 'd', 'e']);
        await token.send(admin, 'removeMetadata', 'e');
        assert.deepEqual(await keys(), ['a', 'd']);
        await set(['e', 'new']);
        assert.deepEqual(await keys(), ['a', 'd', 'e']);
        assert.equal(await token.get('hasMetadata(string)', 'e'), true);
    });

    test('namespaces do not mix', async () => {
        const other = await world.asset({ [alice]: TOKEN }, pairs(['a', 'other']));
        assert.equal(await other.token.get('getMetadata(string)', 'a'), 'other');
        assert.equal(await token.get('getMetadata(string)', 'a'), '1');
        assert.equal(await other.token.get('getMetadataCount(bytes32)', id('elsewhere')), 0n);
    });
});

describe('holders', () => {
    /** The holders as address -> balance. */
    async function holders(token) {
        const [accounts, balances] = await token.get('getHolders');
        return Object.fromEntries(accounts.map((account, i) => [account, balances[i]]));
    }

    test('a transfer of zero adds nobody, from holders or others', async () => {
        const { token } = await world.asset({ [alice]: TOKEN });
        await token.send(alice, 'transfer', bob, 0);
        await token.send(carol, 'transfer', bob, 0);
        await token.send(carol, 'transferFrom', alice, bob, 0);
        assert.deepEqual(await holders(token), { [alice]: TOKEN });
    });

    test('whoever sends the last unit leaves; a transfer to oneself changes nothing', async () => {
        const { token } = await world.asset({ [alice]: 60n, [bob]: 40n });
        await token.send(alice, 'transfer', alice, 60n);
        assert.deepEqual(await holders(token), { [alice]: 60n, [bob]: 40n });
        await token.send(alice, 'transfer', carol, 60n);
        assert.deepEqual(await holders(token), { [bob]: 40n, [carol]: 60n });
        await token.send(bob, 'transfer', carol, 40n);
        assert.deepEqual(await holders(token), { [carol]: 100n });
        await token.send(carol, 'transfer', alice, 1n);
        assert.deepEqual(await holders(token), { [carol]: 99n, [alice]: 1n });
        await token.send(carol, 'transfer', alice, 98n);
        assert.deepEqual(await holders(token), { [carol]: 1n, [alice]: 99n });
    });

    test('a token without supply has no holder', async () => {
        const { token } = await world.asset({ [alice]: 0n });
        assert.deepEqual(await holders(token), {});
    });
});
