// Compares what a block's header commits to with ethers on random cases: transactions of every type
// as nodes give them, roots of lists of receipts, headers.
//
//   node tests/diff/proof.mjs DRIVER [SEED [COUNT]]
//
// DRIVER is the built tests/diff/proof_driver.c. Transactions are serialised by ethers. Roots are
// those of the trie below, which inserts item by item as the Yellow Paper describes it, with RLP
// and Keccak of ethers; the driver's builds it from sorted items. Ends with "N passed, N failed"
// and exits 1 when one failed; the seed is printed, so that a run can be repeated.
import { spawnSync } from 'node:child_process';
import {
    Transaction, Wallet, concat, encodeRlp, getBytes, hexlify, keccak256, toBeHex, toQuantity,
} from 'ethers';

const [driver, seedText = '1', countText = '1500'] = process.argv.slice(2);
if (!driver) {
    console.error('usage: node proof.mjs DRIVER [SEED [COUNT]]');
    process.exit(2);
}

// ---- chance: xorshift64*, so that a failure can be repeated ----

let state = (BigInt(seedText) * 0x9e3779b97f4a7c15n + 1n) & 0xffffffffffffffffn;
function bits64() {
    state ^= state >> 12n;
    state ^= (state << 25n) & 0xffffffffffffffffn;
    state ^= state >> 27n;
    return (state * 0x2545f4914f6cdd1dn) & 0xffffffffffffffffn;
}
const below = (bound) => Number((bits64() >> 8n) % BigInt(bound));
const times = (count, make) => Array.from({ length: count }, (_, i) => make(i));
const hex = (bytes) => hexlify(Uint8Array.from({ length: bytes }, () => below(256)));
const uint = (bits) => below(4) === 0 ? 0n : bits64() & ((1n << BigInt(1 + below(bits))) - 1n);
const item = (number) => (BigInt(number) === 0n ? '0x' : toBeHex(BigInt(number)));

const cases = [];
const ask = (op, value, expected) => cases.push({ op, value, expected });

// ---- transactions ----

const accessList = () => times(below(3), () => ({
    address: hex(20), storageKeys: times(below(3), () => hex(32)),
}));

/** A signed transaction of a type, and the object that a node answers with. */
function transactionCase(type) {
    const wallet = new Wallet(hex(32));
    const tx = Transaction.from({
        type, chainId: 1n + uint(40), nonce: Number(uint(30)), gasLimit: uint(50), value: uint(60),
        data: hex(below(3) === 0 ? 0 : below(100)),
        to: type < 3 && below(4) === 0 ? null : hex(20),
        ...(type < 2 ? { gasPrice: uint(60) } : { maxFeePerGas: uint(60), maxPriorityFeePerGas: 0n }),
        ...(type > 0 ? { accessList: accessList() } : {}),
        ...(type === 3 ? { maxFeePerBlobGas: uint(60), blobVersionedHashes:
            times(1 + below(3), () => `0x01${hex(31).slice(2)}`) } : {}),
    });
    if (type === 4) {
        tx.authorizationList = times(below(3), () => ({
            address: hex(20), nonce: uint(40), chainId: uint(40),
            signature: new Wallet(hex(32)).signingKey.sign(hex(32)),
        }));
    }
    tx.signature = wallet.signingKey.sign(tx.unsignedHash);
    const { signature } = tx;
    const object = {
        type: toQuantity(type), chainId: toQuantity(tx.chainId), nonce: toQuantity(tx.nonce),
        gas: toQuantity(tx.gasLimit), value: toQuantity(tx.value), input: tx.data, to: tx.to,
        from: tx.from, hash: tx.hash, r: toQuantity(signature.r), s: toQuantity(signature.s),
        v: toQuantity(type === 0 ? 35n + 2n * tx.chainId + BigInt(signature.yParity)
            : signature.yParity),
        ...(type < 2 ? { gasPrice: toQuantity(tx.gasPrice) } : {
            gasPrice: '0x1', maxFeePerGas: toQuantity(tx.maxFeePerGas),
            maxPriorityFeePerGas: toQuantity(tx.maxPriorityFeePerGas) }),
        ...(type > 0 ? { accessList: tx.accessList } : {}),
        ...(type > 0 && below(2) ? { yParity: toQuantity(signature.yParity) } : {}),
        ...(type === 3 ? { maxFeePerBlobGas: toQuantity(tx.maxFeePerBlobGas),
            blobVersionedHashes: tx.blobVersionedHashes } : {}),
        ...(type === 4 ? { authorizationList: tx.authorizationList.map((a) => ({
            chainId: toQuantity(a.chainId), address: a.address, nonce: toQuantity(a.nonce),
            yParity: toQuantity(a.signature.yParity), r: toQuantity(a.signature.r),
            s: toQuantity(a.signature.s) })) } : {}),
    };
    ask('transaction', object, { data: tx.serialized });
}

// ---- a trie that grows item by item ----

const nibblesOf = (key) => [...key.slice(2)].map((digit) => parseInt(digit, 16));
const NOTHING = { kind: 'nothing' };

function insert(node, path, value) {
    switch (node.kind) {
    case 'nothing':
        return { kind: 'leaf', path, value };
    case 'branch':
        if (path.length === 0) {
            return { ...node, value };
        }
        node.children[path[0]] = insert(node.children[path[0]], path.slice(1), value);
        return node;
    default: {
        let shared = 0;
        while (shared < path.length && shared < node.path.length
            && path[shared] === node.path[shared]) {
            shared++;
        }
        if (node.kind === 'extension' && shared === node.path.length) {
            return { ...node, child: insert(node.child, path.slice(shared), value) };
        }
        let branch = { kind: 'branch', children: Array(16).fill(NOTHING), value: '0x' };
        const rest = node.path.slice(shared);
        if (node.kind === 'leaf') {
            branch = insert(branch, rest, node.value);
        } else {
            branch.children[rest[0]] = rest.length === 1 ? node.child
                : { kind: 'extension', path: rest.slice(1), child: node.child };
        }
        branch = insert(branch, path.slice(shared), value);
        return shared === 0 ? branch : { kind: 'extension', path: path.slice(0, shared), child: branch };
    }
    }
}

function packed(path, ends) {
    const flag = (ends ? 2 : 0) + path.length % 2;
    const all = path.length % 2 ? [flag, ...path] : [flag, 0, ...path];
    return `0x${all.map((n) => n.toString(16)).join('')}`;
}

function structure(node) {
    switch (node.kind) {
    case 'nothing': return '0x';
    case 'leaf': return [packed(node.path, true), node.value];
    case 'extension': return [packed(node.path, false), standing(node.child)];
    default: return [...node.children.map(standing), node.value];
    }
}

/** How a node stands in its parent: itself when it is short, else its hash. */
function standing(node) {
    const whole = structure(node);
    const encoded = encodeRlp(whole);
    return getBytes(encoded).length < 32 ? whole : keccak256(encoded);
}

function rootOf(values) {
    const root = values.reduce((node, value, i) => insert(node, nibblesOf(encodeRlp(item(i))), value),
        NOTHING);
    return keccak256(encodeRlp(structure(root)));
}

// ---- receipts ----

function receiptCase() {
    const list = times(below(5) === 0 ? 120 + below(20) : below(12), () => {
        const type = [0, 0, 1, 2, 2, 3, 4, 0x7e][below(8)];
        const logs = times(below(4), () => ({
            address: hex(20), topics: times(below(5), () => hex(32)), data: hex(below(80)),
        }));
        return { type, logs, status: below(4) ? 1 : 0, root: below(10) ? null : hex(32),
            gas: uint(60), bloom: hex(256), version: below(3) ? 1 : 0, nonce: uint(40) };
    });
    const zeros = `0x${'00'.repeat(32)}`;
    const objects = list.map((r) => ({
        type: toQuantity(r.type), cumulativeGasUsed: toQuantity(r.gas), logsBloom: r.bloom,
        transactionHash: hex(32),
        ...(r.root ? { root: r.root } : { status: toQuantity(r.status) }),
        ...(r.type === 0x7e ? { depositNonce: toQuantity(r.nonce) } : {}),
        ...(r.type === 0x7e && r.version ? { depositReceiptVersion: '0x1' } : {}),
        logs: r.logs.map((l) => ({ ...l, blockNumber: '0x1', blockHash: zeros, logIndex: '0x0',
            transactionHash: zeros, transactionIndex: '0x0' })),
    }));
    const values = list.map((r) => {
        const body = encodeRlp([r.root ?? item(r.status), item(r.gas), r.bloom,
            r.logs.map((l) => [l.address, l.topics, l.data]),
            ...(r.type === 0x7e && r.version ? [item(r.nonce), '0x01'] : [])]);
        return r.type === 0 ? body : concat([toBeHex(r.type), body]);
    });
    ask('receipts', objects, { root: rootOf(values) });
}

// ---- headers ----

const COMMON = [['parentHash', 32], ['sha3Uncles', 32], ['miner', 20], ['stateRoot', 32],
    ['transactionsRoot', 32], ['receiptsRoot', 32], ['logsBloom', 256], ['difficulty'], ['number'],
    ['gasLimit'], ['gasUsed'], ['timestamp'], ['extraData', -1], ['mixHash', 32], ['nonce', 8]];
const ETHEREUM = [['baseFeePerGas'], ['withdrawalsRoot', 32], ['blobGasUsed'], ['excessBlobGas'],
    ['parentBeaconBlockRoot', 32], ['requestsHash', 32]];
const AVALANCHE = [['baseFeePerGas'], ['extDataGasUsed'], ['blockGasCost'], ['blobGasUsed'],
    ['excessBlobGas'], ['parentBeaconBlockRoot', 32], ['timestampMilliseconds'], ['minDelayExcess']];

function headerCase() {
    const avalanche = below(2) === 1;
    const forks = avalanche ? AVALANCHE : ETHEREUM;
    const fields = [...COMMON, ...(avalanche ? [['extDataHash', 32]] : []),
        ...forks.slice(0, below(forks.length + 1))];
    const object = {}, list = [];
    for (const [name, size] of fields) {
        const value = size === undefined ? uint(60) : hex(size < 0 ? below(40) : size);
        object[name] = size === undefined ? toQuantity(value) : value;
        list.push(size === undefined ? item(value) : value);
    }
    ask('header', object, { data: encodeRlp(list) });
}

// ---- the run ----

console.log(`proof: seed ${seedText}`);
const scale = Number(countText) / 1500;
const rounds = (count) => Math.max(1, Math.round(count * scale));
times(rounds(900), (i) => transactionCase(i % 5));
times(rounds(300), receiptCase);
times(rounds(300), headerCase);

const run = spawnSync(driver, {
    input: cases.map(({ op, value }) => JSON.stringify({ op, value })).join('\n') + '\n',
    maxBuffer: 1 << 29,
});
if (run.status !== 0) {
    console.error(`the driver failed: ${run.error ?? run.status ?? run.signal}\n${run.stderr ?? ''}`);
    process.exit(1);
}
const answers = run.stdout.toString('utf8').split('\n');
let failed = 0;
for (const [i, { op, value, expected }] of cases.entries()) {
    if (answers[i] === JSON.stringify(expected)) {
        continue;
    }
    failed++;
    if (failed <= 5) {
        console.error(`case ${i} (${op}): ours ${answers[i]?.slice(0, 600)}\n  theirs `
            + `${JSON.stringify(expected).slice(0, 600)}\n  ${JSON.stringify(value).slice(0, 2000)}`);
    }
}
console.log(`${cases.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
