// The peer of `GET /api/v1/assets/{assetId}`: Fastify answers the same JSON from the same row of
// the same SQLite file.
//
//     node fastify.mjs DATABASE
//
// Listens on a free port of the loopback address and prints {"url":…,"pid":…,"sqlite":…}. It is as
// fast as ordinary code gets: one prepared statement, no log, no middleware, and checksummed
// addresses, the dearest part for a script, are computed once and remembered.
import Fastify from 'fastify';
import { getAddress } from 'ethers';

const QUERY = `
    SELECT a.asset_id, a.chain_id, a.name, a.description, a.asset_type, a.metadata, a.metadata_hash,
           a.token_name, a.token_symbol, a.total_supply, a.token_recipient, a.status, a.error,
           a.contract_address, a.onchain_id, a.token_address, a.block_number, a.transaction_hash,
           a.created_at, a.updated_at, a.intent_id, i.state AS tx_state,
           i.transaction_hash AS tx_hash, i.error_code AS tx_code, i.error AS tx_error
    FROM assets a LEFT JOIN relay_intents i ON i.intent_id = a.intent_id
    WHERE a.asset_id = ?`;
const STATES = ['', 'queued', 'signed', 'sent', 'mined', 'reverted', 'failed', 'replaced', 'cancelled'];

// better-sqlite3 is the usual choice and the fastest; Node's own module where it is not built.
async function open(path) {
    try {
        const { default: Database } = await import('better-sqlite3');
        const db = new Database(path, { readonly: true });
        return { name: 'better-sqlite3', get: db.prepare(QUERY) };
    } catch (error) {
        const { DatabaseSync } = await import('node:sqlite').catch(() => { throw error; });
        const db = new DatabaseSync(path, { readOnly: true });
        return { name: 'node:sqlite', get: db.prepare(QUERY) };
    }
}

const checksummed = new Map();
const hex = (bytes) => '0x' + Buffer.from(bytes).toString('hex');
const hash = (bytes) => (bytes === null ? null : hex(bytes));
const amount = (digits) => (digits === null ? null : BigInt(digits).toString());
const time = (usec) => new Date(Math.floor(usec / 1000)).toISOString();

function address(bytes) {
    if (bytes === null) {
        return null;
    }
    const text = hex(bytes);
    let sum = checksummed.get(text);
    if (sum === undefined) {
        sum = getAddress(text);
        checksummed.set(text, sum);
    }
    return sum;
}

function transaction(row) {
    if (row.tx_state === null) {
        return null;
    }
    return {
        transactionId: row.intent_id,
        state: STATES[row.tx_state],
        transactionHash: hash(row.tx_hash),
        ...(row.tx_code ? { error: row.tx_error, code: row.tx_code } : {}),
    };
}

function asset(row) {
    return {
        assetId: row.asset_id,
        chainId: row.chain_id,
        name: row.name,
        description: row.description,
        assetType: row.asset_type,
        status: row.status,
        error: row.error,
        metadata: JSON.parse(row.metadata),
        metadataHash: hash(row.metadata_hash),
        contractAddress: address(row.contract_address),
        token: {
            address: address(row.token_address),
            name: row.token_name,
            symbol: row.token_symbol,
            decimals: 18,
            totalSupply: amount(row.total_supply),
            recipient: address(row.token_recipient),
        },
        onChain: row.onchain_id === null ? null : {
            id: amount(row.onchain_id),
            tokenAddress: address(row.token_address),
            blockNumber: row.block_number,
            transactionHash: hash(row.transaction_hash),
        },
        createdAt: time(row.created_at),
        updatedAt: time(row.updated_at),
        transaction: transaction(row),
    };
}

const database = await open(process.argv[2]);
const server = Fastify({ logger: false });
server.get('/api/v1/assets/:assetId', (request, reply) => {
    const row = database.get.get(request.params.assetId);
    if (row === undefined) {
        return reply.code(404).send({ success: false, error: 'Asset not found', code: 'not_found' });
    }
    return { success: true, data: asset(row) };
});
const url = await server.listen({ host: '127.0.0.1', port: 0 });
console.log(JSON.stringify({ url, pid: process.pid, sqlite: database.name }));
process.on('SIGTERM', () => process.exit(0));
