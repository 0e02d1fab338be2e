// Compares crypto and evm with ethers on random cases: ABI, RLP, EIP-712, transactions, addresses,
// signatures, keystore files, and damaged input of each.
//
//   node tests/diff/evm.mjs DRIVER [SEED [COUNT]]
//
// DRIVER is the built tests/diff/evm_driver.c. COUNT scales the run (default 12000 cases). Ends
// with "N passed, N failed" and exits 1 when one failed; the seed is printed, so that a run can be
// repeated (salts and ids of the keystore files alone are not from the seed).
//
// Damaged input: both must refuse it, or both accept it with the same meaning. Where only we refuse
// it (a dirty padding, a longer spelling), ethers must say so itself: what it read, written again,
// is not what it was given.
import { spawnSync } from 'node:child_process';
import { createCipheriv, pbkdf2Sync, scryptSync } from 'node:crypto';
import {
    AbiCoder, HDNodeWallet, ParamType, Signature, SigningKey, Transaction, TypedDataEncoder, Wallet,
    computeAddress, concat, decodeRlp, decryptKeystoreJsonSync, encodeRlp,
    encryptKeystoreJsonSync, getAddress, getBytes, getCreateAddress, hashMessage, hexlify, keccak256,
    recoverAddress, toBeHex, toUtf8Bytes,
} from 'ethers';

const [driver, seedText = '1', countText = '12000'] = process.argv.slice(2);
if (!driver) {
    console.error('usage: node evm.mjs DRIVER [SEED [COUNT]]');
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
const pick = (list) => list[below(list.length)];
const chance = (percent) => below(100) < percent;
const times = (count, make) => Array.from({ length: count }, (_, i) => make(i));

function randomBytes(count) {
    return Uint8Array.from({ length: count }, () => below(256));
}
const randomHex = (count) => hexlify(randomBytes(count));

// An integer of up to `bits` bits, often at an edge.
function randomUint(bits) {
    const max = (1n << BigInt(bits)) - 1n;
    switch (below(6)) {
    case 0: return 0n;
    case 1: return max;
    case 2: return 1n;
    case 3: return (1n << BigInt(below(bits))) - BigInt(below(2));
    default: {
        const size = 1 + below(bits);
        let value = 0n;
        for (let i = 0; i < 4; i++) {
            value = (value << 64n) | bits64();
        }
        return value & ((1n << BigInt(size)) - 1n);
    }
    }
}

function randomInt(bits) {
    const value = randomUint(bits - 1);
    return chance(50) ? value : -value - 1n;
}

const letters = ['a', 'Z', '0', ' ', '"', '\\', '\n', '\u0000', '\u00e9', '\u20ac', '\u{1f511}',
                 '\ufeff', '\u2028'];
const randomText = () => times(below(pick([4, 40, 100])), () => pick(letters)).join('');
const randomAddress = () => getAddress(randomHex(20));

// ---- cases ----

const cases = [];

// ask adds a question for the driver; check(answer) returns what is wrong with it, or null.
function ask(family, question, check) {
    cases.push({ family, question, check });
}

// attempt runs a function and gives what it returned or threw.
function attempt(make) {
    try {
        return { value: make() };
    } catch (error) {
        return { error };
    }
}

function same(actual, expected, what = '') {
    const a = JSON.stringify(actual), b = JSON.stringify(expected);
    return a === b ? null : `${what}ours ${a}, ethers ${b}`;
}

function expectMembers(expected) {
    return (answer) => {
        if (answer.error) {
            return `refused: ${answer.error} ${answer.field}: ${answer.text}`;
        }
        for (const [key, value] of Object.entries(expected)) {
            const wrong = same(answer[key], value, `${key}: `);
            if (wrong) {
                return wrong;
            }
        }
        return null;
    };
}

const expectRefusal = (answer) => (answer.error ? null : `accepted: ${JSON.stringify(answer)}`);

// ---- ABI ----

function randomType(depth) {
    const kind = below(depth > 0 ? 13 : 9);
    switch (kind) {
    case 0:
    case 1: return { kind: 'uint', bits: 8 * (1 + below(32)) };
    case 2: return { kind: 'int', bits: 8 * (1 + below(32)) };
    case 3: return { kind: 'bool' };
    case 4: return { kind: 'address' };
    case 5: return { kind: 'fixed', size: 1 + below(32) };
    case 6: return { kind: 'bytes' };
    case 7:
    case 8: return { kind: 'string' };
    case 9: return { kind: 'list', item: randomType(depth - 1) };
    case 10: return { kind: 'array', size: 1 + below(4), item: randomType(depth - 1) };
    default: return { kind: 'tuple', items: times(1 + below(5), () => randomType(depth - 1)) };
    }
}

function typeText(type, tuple = '') {
    switch (type.kind) {
    case 'uint':
    case 'int': return type.kind + type.bits;
    case 'fixed': return `bytes${type.size}`;
    case 'list': return `${typeText(type.item, tuple)}[]`;
    case 'array': return `${typeText(type.item, tuple)}[${type.size}]`;
    case 'tuple': return `${tuple}(${type.items.map((t) => typeText(t, tuple)).join(',')})`;
    default: return type.kind;
    }
}

// Values are what the driver reads and writes: integers as decimal text, bytes as hex.
function randomValue(type) {
    switch (type.kind) {
    case 'uint': return String(randomUint(type.bits));
    case 'int': return String(randomInt(type.bits));
    case 'bool': return chance(50);
    case 'address': return randomAddress();
    case 'fixed': return randomHex(type.size);
    case 'bytes': return randomHex(below(pick([2, 33, 70])));
    case 'string': return randomText();
    case 'list': return times(below(5), () => randomValue(type.item));
    case 'array': return times(type.size, () => randomValue(type.item));
    default: return type.items.map(randomValue);
    }
}

// plain turns what ethers decoded into the same form.
function plain(value) {
    if (typeof value === 'bigint' || typeof value === 'number') {
        return String(value);
    }
    return typeof value === 'object' && value !== null ? Array.from(value, plain) : value;
}

const coder = AbiCoder.defaultAbiCoder();
const ethersTypes = (type) => type.items.map((t) => ParamType.from(typeText(t, 'tuple')));

function decodeAll(type, data) {
    const result = coder.decode(ethersTypes(type), data);
    return plain(result.toArray(true));
}

function abiCase() {
    const type = { kind: 'tuple', items: times(below(6), () => randomType(4)) };
    const value = randomValue(type);
    const text = typeText(type);
    const data = coder.encode(ethersTypes(type), value);
    ask('abi encode', { op: 'abi_encode', type: text, value }, expectMembers({ data }));
    ask('abi decode', { op: 'abi_decode', type: text, data }, expectMembers({ value }));
    return { type, value, text, data };
}

function damage(data) {
    const bytes = getBytes(data).slice();
    if (bytes.length === 0) {
        return data;
    }
    switch (below(4)) {
    case 0: return hexlify(bytes.slice(0, below(bytes.length)));
    case 1: return hexlify(bytes.slice(0, bytes.length - 1 - below(Math.min(bytes.length, 40))));
    case 2: bytes[below(bytes.length)] ^= 1 << below(8); break;
    default: bytes[below(bytes.length)] = below(256); break;
    }
    return hexlify(bytes);
}

const isTextError = (error) => /invalid codepoint/i.test(error?.error?.message ?? error.message);

function damagedAbiCase({ type, text, data }) {
    const broken = damage(data);
    const theirs = attempt(() => decodeAll(type, broken));
    ask('abi damaged', { op: 'abi_decode', type: text, data: broken }, (answer) => {
        if (theirs.error) {
            // A contract may put any bytes into a string; ours come out as hex then.
            return answer.error || isTextError(theirs.error) ? null
                : `accepted ${broken}, ethers: ${theirs.error.message}`;
        }
        if (!answer.error) {
            return same(answer.value, theirs.value);
        }
        const again = coder.encode(ethersTypes(type), theirs.value);
        return again !== broken.slice(0, again.length) ? null
            : `refused canonical data: ${answer.field}: ${answer.text}`;
    });
}

// spoil changes one leaf so that it does not fit its type any more.
function spoil(type, value) {
    switch (type.kind) {
    case 'uint': return pick(['-1', String(1n << BigInt(type.bits)), '']);
    case 'int': return pick([String(1n << BigInt(type.bits - 1)),
                             String(-(1n << BigInt(type.bits - 1)) - 1n)]);
    case 'address': return pick([value.slice(0, -1), '0x', value.slice(2, -2)]);
    case 'fixed': return chance(50) ? value + '00' : value.slice(0, -2);
    case 'bytes': return value + '0';
    case 'array': return chance(50) ? [...value, value[0]] : value.slice(1);
    case 'tuple': {
        const i = below(type.items.length);
        const inner = spoil(type.items[i], value[i]);
        return inner === undefined ? undefined : value.with(i, inner);
    }
    case 'list':
        if (value.length > 0) {
            const inner = spoil(type.item, value[0]);
            return inner === undefined ? undefined : value.with(0, inner);
        }
        return undefined;
    default: return undefined;
    }
}

function unfitAbiCase({ type, text, value }) {
    const unfit = type.items.length > 0 ? spoil(type, value) : undefined;
    if (unfit === undefined) {
        return;
    }
    const theirs = attempt(() => coder.encode(ethersTypes(type), unfit));
    if (theirs.error) {
        ask('abi unfit', { op: 'abi_encode', type: text, value: unfit }, expectRefusal);
    }
}

// ---- RLP ----

function randomTree(depth) {
    if (depth === 0 || chance(50)) {
        return randomHex(below(pick([2, 3, 58, 300])));
    }
    return times(below(depth === 1 ? 60 : 5), () => randomTree(depth - 1));
}

function rlpCase() {
    const value = randomTree(4);
    const data = encodeRlp(value);
    ask('rlp encode', { op: 'rlp_encode', value }, expectMembers({ data }));
    ask('rlp decode', { op: 'rlp_decode', data }, expectMembers({ value }));
    const broken = damage(data);
    const theirs = attempt(() => decodeRlp(broken));
    ask('rlp damaged', { op: 'rlp_decode', data: broken }, (answer) => {
        if (theirs.error) {
            return answer.error ? null : `accepted ${broken}: ${theirs.error.message}`;
        }
        if (!answer.error) {
            return same(answer.value, theirs.value);
        }
        return encodeRlp(theirs.value) !== broken ? null : `refused canonical ${broken}`;
    });
}

// ---- EIP-712 ----

const atoms = () => pick([
    { kind: 'uint', bits: 8 * (1 + below(32)) }, { kind: 'int', bits: 8 * (1 + below(32)) },
    { kind: 'bool' }, { kind: 'address' }, { kind: 'fixed', size: 1 + below(32) },
    { kind: 'bytes' }, { kind: 'string' },
]);

const wrap = (type) => (chance(60) ? type
    : wrap(chance(50) ? { kind: 'list', item: type }
                      : { kind: 'array', size: 1 + below(3), item: type }));

// Type i refers to later types only, and every later type is referred to: one root, no circle.
function randomStructs() {
    const count = 1 + below(5);
    const names = times(count, (i) => pick(['T', 'Order', 'zeta', 'A_', 'Person']) + i);
    const structs = names.map((name) => ({ kind: 'struct', name, members: [] }));
    for (let i = 0; i < count; i++) {
        const members = times(1 + below(4), () => atoms());
        for (let later = i + 1; later < count; later++) {
            if (later === i + 1 || chance(25)) {
                members.splice(below(members.length + 1), 0, structs[later]);
            }
        }
        structs[i].members = members.map((type, n) => ({ name: `m${n}`, type: wrap(type) }));
    }
    return structs;
}

const typedText = (type) => {
    switch (type.kind) {
    case 'struct': return type.name;
    case 'list': return `${typedText(type.item)}[]`;
    case 'array': return `${typedText(type.item)}[${type.size}]`;
    default: return typeText(type);
    }
};

// Integers travel as decimal text, as hex text or, when small, as numbers.
function integerForm(text) {
    const value = BigInt(text);
    const small = value >= -(2n ** 53n - 1n) && value < 2n ** 53n;
    if (small && chance(40)) {
        return Number(value);
    }
    return value >= 0n && chance(30) ? `0x${value.toString(16)}` : text;
}

function typedValue(type) {
    switch (type.kind) {
    case 'struct':
        return Object.fromEntries(type.members.map((m) => [m.name, typedValue(m.type)]));
    case 'list': return times(below(4), () => typedValue(type.item));
    case 'array': return times(type.size, () => typedValue(type.item));
    case 'uint':
    case 'int': return integerForm(randomValue(type));
    default: return randomValue(type);
    }
}

function randomDomain() {
    const domain = {};
    const members = {
        name: () => randomText(), version: () => String(below(9)),
        chainId: () => integerForm(String(randomUint(pick([8, 53, 256])))),
        verifyingContract: () => randomAddress(), salt: () => randomHex(32),
    };
    for (const [key, make] of Object.entries(members)) {
        if (chance(70)) {
            domain[key] = make();
        }
    }
    return domain;
}

const domainTypes = { name: 'string', version: 'string', chainId: 'uint256',
                      verifyingContract: 'address', salt: 'bytes32' };

function typedCase() {
    const structs = randomStructs();
    const domain = randomDomain();
    const message = typedValue(structs[0]);
    const types = Object.fromEntries(structs.map(
        (s) => [s.name, s.members.map((m) => ({ name: m.name, type: typedText(m.type) }))]));
    const hash = TypedDataEncoder.hash(domain, types, message);
    const document = { types: { ...types }, primaryType: structs[0].name, domain, message };
    if (chance(70)) {
        document.types.EIP712Domain = Object.keys(domainTypes).filter((key) => key in domain)
            .map((name) => ({ name, type: domainTypes[name] }));
    }
    ask('typed data', { op: 'typed', document }, expectMembers({ hash }));
    const without = structuredClone(document);
    delete without.message[pick(structs[0].members).name];
    ask('typed unfit', { op: 'typed', document: without }, expectRefusal);
}

// ---- addresses and signatures ----

function randomCase(text) {
    return text.slice(0, 2) + times(40, (i) => {
        const c = text[2 + i];
        return chance(50) ? c.toLowerCase() : c.toUpperCase();
    }).join('');
}

function addressCase() {
    const right = randomAddress();
    const wrong = right.replace(/[a-fA-F]/, (c) => (c < 'a' ? c.toLowerCase() : c.toUpperCase()));
    const text = pick([right, right.toLowerCase(), `0x${right.slice(2).toUpperCase()}`,
                       randomCase(right), wrong, `${right}0`, right.slice(0, -1), right.slice(2)]);
    const theirs = attempt(() => {
        if (!text.startsWith('0x')) {
            throw new Error('ethers takes addresses without 0x too');
        }
        return getAddress(text);
    });
    ask('address', { op: 'address', address: text },
        theirs.error ? expectRefusal : expectMembers({ address: theirs.value }));
}

function createCase() {
    const from = randomAddress();
    const nonce = String(randomUint(64));
    ask('create', { op: 'create', from, nonce },
        expectMembers({ address: getCreateAddress({ from, nonce: BigInt(nonce) }) }));
}

function hashCase() {
    const data = randomHex(below(pick([10, 140, 600])));
    ask('keccak', { op: 'keccak', data }, expectMembers({ hash: keccak256(data) }));
    ask('personal', { op: 'personal', data }, expectMembers({ hash: hashMessage(getBytes(data)) }));
}

const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const randomKey = () => toBeHex(1n + (BigInt(randomHex(32)) % (order - 1n)), 32);

function signatureCase() {
    const key = randomKey();
    const digest = randomHex(32);
    const sig = new SigningKey(key).sign(digest);
    const address = computeAddress(key);
    ask('sign', { op: 'sign', key, digest }, expectMembers({ signature: sig.serialized, address }));
    ask('recover', { op: 'recover', digest, signature: sig.serialized }, expectMembers({ address }));
    let broken = damage(sig.serialized);
    if (chance(20)) {
        broken = concat([sig.r, toBeHex(order - BigInt(sig.s), 32), toBeHex(55 - sig.v)]);
    }
    const theirs = attempt(() => {
        // ethers also takes 64 bytes (EIP-2098) and other v; the contracts take neither
        if (broken.length !== 132 || !['1b', '1c'].includes(broken.slice(-2))) {
            throw new Error('not r, s and v');
        }
        return recoverAddress(digest, Signature.from(broken));
    });
    ask('recover damaged', { op: 'recover', digest, signature: broken },
        theirs.error ? expectRefusal : expectMembers({ address: theirs.value }));
}

// ---- transactions ----

function randomTransaction() {
    const type = chance(70) ? 2 : 0;
    const feeMax = randomUint(pick([40, 64, 256]));
    const tx = {
        type, chainId: pick([1n, 31337n, 84532n, 1n + randomUint(63)]),
        nonce: Number(randomUint(pick([8, 53]))), gasLimit: randomUint(64),
        to: chance(80) ? randomAddress() : null, value: randomUint(pick([8, 64, 256])),
        data: randomHex(below(pick([1, 40, 300]))),
    };
    if (type === 2) {
        Object.assign(tx, { maxFeePerGas: feeMax, maxPriorityFeePerGas: feeMax / BigInt(1 + below(9)) });
    } else {
        tx.gasPrice = feeMax;
    }
    return tx;
}

const fieldsOf = (tx) => ({
    type: String(tx.type), chainId: String(tx.chainId), nonce: String(tx.nonce),
    gas: String(tx.gasLimit), feeMax: String(tx.type === 2 ? tx.maxFeePerGas : tx.gasPrice),
    feePriority: String(tx.type === 2 ? tx.maxPriorityFeePerGas : 0), value: String(tx.value),
    to: tx.to, data: tx.data,
});

function transactionCase() {
    const tx = randomTransaction();
    const key = randomKey();
    const signed = Transaction.from(tx);
    signed.signature = new SigningKey(key).sign(signed.unsignedHash);
    const raw = signed.serialized;
    const fields = fieldsOf(signed);
    const question = { op: 'tx_sign', key, ...fields };
    if (fields.to === null) {
        delete question.to;
    }
    ask('tx sign', question, expectMembers({ raw, hash: signed.hash }));
    ask('tx decode', { op: 'tx_decode', raw },
        expectMembers({ ...fields, from: computeAddress(key), hash: signed.hash }));
    damagedTransactionCase(raw);
}

function damagedTransactionCase(raw) {
    const broken = damage(raw);
    const theirs = attempt(() => {
        const tx = Transaction.from(broken);
        return { tx, from: getAddress(tx.from), fields: fieldsOf(tx), again: tx.serialized };
    });
    ask('tx damaged', { op: 'tx_decode', raw: broken }, (answer) => {
        if (theirs.error) {
            return answer.error ? null : `accepted ${broken}: ${theirs.error.message}`;
        }
        const { tx, from, fields, again } = theirs.value;
        if (!answer.error) {
            return expectMembers({ ...fields, from })(answer);
        }
        const unsupported = ![0, 2].includes(tx.type) || tx.chainId === 0n ||
            (tx.accessList ?? []).length > 0 || tx.gasLimit >= 1n << 64n || tx.chainId >= 1n << 64n ||
            tx.maxPriorityFeePerGas > tx.maxFeePerGas;
        return unsupported || again !== broken ? null
            : `refused: ${answer.field}: ${answer.text}: ${broken}`;
    });
}

// ---- keystore files ----

const password = () => randomText() || 'x';
// ethers normalises passwords to NFKC; these letters are their own NFKC.
const plainPassword = () => times(1 + below(20), () => pick(['a', 'Z', '7', ' ', '\u00e9', '"'])).join('');

function theirKeystoreCase() {
    const key = randomKey();
    const secret = plainPassword();
    const address = computeAddress(key);
    const json = encryptKeystoreJsonSync({ address, privateKey: key }, secret,
                                         { scrypt: { N: 1 << (2 + below(9)), r: 1 + below(8), p: 1 + below(3) } });
    ask('keystore of ethers', { op: 'keystore_decode', json, password: secret },
        expectMembers({ key, address }));
    ask('keystore of ethers', { op: 'keystore_decode', json, password: `${secret}.` },
        (answer) => same(answer.error, 'keystore_password'));
}

function ourKeystoreCase() {
    const key = randomKey();
    const secret = plainPassword();
    ask('keystore of ours', { op: 'keystore_encode', key, password: secret, log2n: 2 + below(9) },
        (answer) => {
            if (answer.error) {
                return `refused: ${answer.text}`;
            }
            const account = decryptKeystoreJsonSync(answer.json, secret);
            return same([account.privateKey, account.address], [key, computeAddress(key)]);
        });
}

// A third writer, from node's own primitives, with shuffled keys, other case and both derivations.
function foreignKeystoreCase() {
    const key = randomKey();
    const secret = password();
    const salt = randomBytes(1 + below(64));
    const iv = randomBytes(16);
    const derivedLength = 32 + below(33);
    const pbkdf2 = chance(50);
    const n = 1 << (1 + below(9)), r = 1 + below(8), p = 1 + below(3), c = 1 + below(2000);
    const derived = pbkdf2 ? pbkdf2Sync(toUtf8Bytes(secret), salt, c, derivedLength, 'sha256')
        : scryptSync(toUtf8Bytes(secret), salt, derivedLength, { N: n, r, p });
    const cipher = createCipheriv('aes-128-ctr', derived.subarray(0, 16), iv);
    const text = Buffer.concat([cipher.update(getBytes(key)), cipher.final()]);
    const bare = (bytes) => {
        const hex = hexlify(bytes).slice(chance(70) ? 2 : 0);
        return hex.startsWith('0x') || chance(50) ? hex : hex.toUpperCase();
    };
    const shuffle = (object) => Object.fromEntries(
        Object.entries(object).map((entry) => [below(1000), entry]).sort((a, b) => a[0] - b[0])
            .map(([, [name, value]]) => [chance(70) ? name : name.toUpperCase(), value]));
    const params = pbkdf2 ? { c, prf: 'hmac-sha256' } : { n, r, p };
    const document = shuffle({
        version: 3, id: 'none', crypto: shuffle({
            cipher: 'aes-128-ctr', cipherparams: shuffle({ iv: bare(iv) }), ciphertext: bare(text),
            kdf: pbkdf2 ? 'pbkdf2' : 'scrypt',
            kdfparams: shuffle({ ...params, dklen: derivedLength, salt: bare(salt) }),
            mac: bare(getBytes(keccak256(concat([derived.subarray(16, 32), text])))),
        }),
    });
    ask('keystore of others',
        { op: 'keystore_decode', json: JSON.stringify(document), password: secret },
        expectMembers({ key, address: computeAddress(key) }));
}

const mnemonic = 'test test test test test test test test test test test junk';
function mnemonicCase() {
    const words = chance(50) ? mnemonic : Wallet.createRandom().mnemonic.phrase;
    const index = below(1000);
    const wallet = HDNodeWallet.fromPhrase(words, undefined, `m/44'/60'/0'/0/${index}`);
    ask('mnemonic', { op: 'mnemonic', mnemonic: words, index },
        expectMembers({ key: wallet.privateKey }));
}

// ---- the run ----

console.log(`evm: seed ${seedText}`);
const scale = Number(countText) / 12000;
const rounds = (count) => Math.max(1, Math.round(count * scale));
times(rounds(1500), () => {
    const abi = abiCase();
    damagedAbiCase(abi);
    unfitAbiCase(abi);
});
times(rounds(800), rlpCase);
times(rounds(800), typedCase);
times(rounds(500), addressCase);
times(rounds(200), createCase);
times(rounds(300), hashCase);
times(rounds(300), signatureCase);
times(rounds(500), transactionCase);
times(rounds(20), theirKeystoreCase);
times(rounds(20), ourKeystoreCase);
times(rounds(40), foreignKeystoreCase);
times(rounds(10), mnemonicCase);

const run = spawnSync(driver, {
    input: cases.map((c) => JSON.stringify(c.question)).join('\n') + '\n', maxBuffer: 1 << 29,
});
if (run.status !== 0) {
    console.error(`the driver failed: ${run.error ?? run.status ?? run.signal}\n${run.stderr ?? ''}`);
    process.exit(1);
}
const answers = run.stdout.toString('utf8').split('\n');
const families = new Map();
let failed = 0;
for (const [i, { family, question, check }] of cases.entries()) {
    const result = attempt(() => check(JSON.parse(answers[i])));
    const wrong = result.error ? String(result.error.stack) : result.value;
    families.set(family, (families.get(family) ?? 0) + 1);
    if (wrong !== null) {
        failed++;
        if (failed <= 5) {
            console.error(`case ${i} (${family}): ${wrong}\n  ${JSON.stringify(question).slice(0, 2000)}`);
        }
    }
}
for (const [family, count] of families) {
    console.log(`  ${family}: ${count}`);
}
console.log(`${cases.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
