// Registers an asset on the chain of a running Freehold and shows who holds it:
//
//     make run                                          (in one terminal)
//     cd sdk/typescript && npm install && npm run example
//
// FREEHOLD_URL and FREEHOLD_TOKEN name another one, and a key for it.

import { Freehold, FreeholdError } from '../src/index.js';

declare const process: { env: Record<string, string | undefined> };

const freehold = new Freehold({
    url: process.env['FREEHOLD_URL'] ?? 'http://127.0.0.1:8080',
    token: process.env['FREEHOLD_TOKEN'],
});
const name = `example-${Date.now().toString(36)}`;

const contracts = await freehold.getContracts();
console.log(`chain ${contracts.chainId}, asset registry ${contracts.assetRegistry}`);

// Every call that changes something runs once, however often the network makes us send it.
await freehold.createAssetType({
    wait: 20,
    body: {
        name: 'satellite',
        schema: { type: 'object', required: ['altitude_km'], properties: { altitude_km: { type: 'number' } } },
        requiredLeaseKeys: ['orbital_period_hours'],
    },
}).catch((error: unknown) => {
    if (!(error instanceof FreeholdError && error.code === 'already_exists')) {
        throw error; // the type may be there already, with another schema
    }
});

const { assetType } = await freehold.registerAsset({
    wait: 20,
    body: {
        metadata: {
            assetId: name, name: 'Example', description: 'An asset of the example', assetType: 'satellite',
            specifications: { altitude_km: 550, orbit: { type: 'leo', altitude_km: 550 } },
            documents: [], createdAt: new Date().toISOString(), updatedAt: new Date().toISOString(),
        },
        tokenName: 'Example', tokenSymbol: 'EX', totalSupply: '1000000000000000000',
    },
}).then(({ assetId }) => freehold.getAsset({ assetId }));
console.log(`registered ${name}, a ${assetType}`);

const { holders } = (await freehold.listHolders({ assetId: name })).data;
for (const { holderAddress, balance } of holders) {
    console.log(`${holderAddress} holds ${balance}`);
}

let count = 0;
for await (const asset of freehold.listAssets({ limit: 50 })) {
    count += asset.status === 'active' ? 1 : 0;
}
console.log(`${count} assets are active`);

try {
    await freehold.getAsset({ assetId: 'there-is-no-such-asset' });
} catch (error) {
    if (!(error instanceof FreeholdError)) {
        throw error;
    }
    console.log(`refused with ${error.status} ${error.code} (${error.requestId}): ${error.message}`);
}
