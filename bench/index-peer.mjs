// A plain loop as people write it: viem's getContractEvents over ranges of blocks, rows of 500 to
// PostgreSQL with one INSERT, the balances of their accounts with another, in one transaction.
//
//     node bench/index-peer.mjs NODE_URL POSTGRES_URL TOKEN LAST_BLOCK
//
// Nothing of what the node says is verified, and nothing can be undone. Prints one line of JSON.
import pg from 'pg';
import { concat, createPublicClient, http, keccak256, pad, toHex, zeroAddress } from 'viem';
import { foundry } from 'viem/chains';

const [url, database, address, last] = process.argv.slice(2);
const RANGE = 100n;
const ROWS = 500;

const abi = [{ type: 'event', name: 'Transfer', inputs: [
    { name: 'from', type: 'address', indexed: true }, { name: 'to', type: 'address', indexed: true },
    { name: 'value', type: 'uint256', indexed: false }] }];
const client = createPublicClient({ chain: foundry, transport: http(url) });
const db = new pg.Client({ connectionString: database });
await db.connect();
await db.query(`CREATE TABLE events (block_number bigint, log_index int, tx text, sender text, receiver text,
    value numeric(78,0), PRIMARY KEY (block_number, log_index))`);
await db.query('CREATE TABLE balances (account text PRIMARY KEY, balance numeric(78,0) NOT NULL)');
await db.query('CREATE TABLE cursor (block_number bigint)');
await db.query('INSERT INTO cursor VALUES (0)');

async function store(logs) {
    const change = new Map();
    const add = (account, value) => change.set(account, (change.get(account) ?? 0n) + value);
    const values = logs.flatMap(({ blockNumber, logIndex, transactionHash, args }) => {
        if (args.from !== zeroAddress) {
            add(args.from, -args.value);
        }
        add(args.to, args.value);
        return [blockNumber, logIndex, transactionHash, args.from, args.to, args.value];
    });
    const marks = logs.map((_, i) => `(${[1, 2, 3, 4, 5, 6].map((k) => `$${6 * i + k}`).join(',')})`);
    await db.query(`INSERT INTO events VALUES ${marks.join(',')}`, values);
    await db.query(`INSERT INTO balances SELECT * FROM unnest($1::text[], $2::numeric[])
        ON CONFLICT (account) DO UPDATE SET balance = balances.balance + excluded.balance`,
    [[...change.keys()], [...change.values()]]);
}

const begun = performance.now();
let events = 0;
for (let from = 0n; from <= BigInt(last); from += RANGE) {
    const to = from + RANGE - 1n < BigInt(last) ? from + RANGE - 1n : BigInt(last);
    const logs = await client.getContractEvents({ address, abi, eventName: 'Transfer', fromBlock: from, toBlock: to });
    await db.query('BEGIN');
    for (let i = 0; i < logs.length; i += ROWS) {
        await store(logs.slice(i, i + ROWS));
    }
    await db.query('UPDATE cursor SET block_number = $1', [to]);
    await db.query('COMMIT');
    events += logs.length;
}
const seconds = (performance.now() - begun) / 1000;
const { user, system } = process.cpuUsage();
const { rows } = await db.query('SELECT lower(account) AS account, balance FROM balances ORDER BY 1');
const digest = keccak256(concat(rows.flatMap((r) => [r.account, pad(toHex(BigInt(r.balance)))])));
await db.end();
console.log(JSON.stringify({ events, seconds, cpuSeconds: (user + system) / 1e6,
    rssKiB: process.resourceUsage().maxRSS, digest }));
