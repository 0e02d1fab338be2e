// What bench/crypto.c measures, done with ethers and with viem on the same vectors.
//
//     node crypto.mjs ethers|viem LEASING.json MAIL.json MSEC
//
// Prints the same lines: {"op":…,"perSecond":…,"witness":…}. Everything that a careful program
// makes once (parsed types, type hashes, key objects) is made once here, too.
import { readFileSync } from 'node:fs';
import * as ethers from 'ethers';
import * as viem from 'viem';
import { privateKeyToAccount, sign } from 'viem/accounts';

const [library, leasingPath, mailPath, msec] = process.argv.slice(2);
const { lease } = JSON.parse(readFileSync(leasingPath));
const mail = JSON.parse(readFileSync(mailPath));
const privateKey = '0x' + '42'.repeat(32);
const bytes = Uint8Array.from({ length: 1024 }, (_, i) => i & 255);

const LEASE_FIELDS = [
    ['address', 'lessor'], ['address', 'lessee'], ['uint256', 'assetId'],
    ['address', 'paymentToken'], ['uint256', 'rentAmount'], ['uint256', 'rentPeriod'],
    ['uint256', 'securityDeposit'], ['uint64', 'startTime'], ['uint64', 'endTime'],
    ['bytes32', 'legalDocHash'], ['uint16', 'termsVersion'],
];
const TUPLE = `(uint64 deadline, bytes32 assetType, (${LEASE_FIELDS.map((f) => f.join(' ')).join(', ')}, `
    + '(string key, string value)[] metadata) lease)';

// The lease digest of the contracts: their type string for LeaseIntent does not append Lease's, so
// neither library's typed-data encoder can be used; programs build it from encode and keccak.
const INTENT_TYPE = 'LeaseIntent(uint64 deadline,bytes32 assetTypeSchemaHash,Lease lease)';
const LEASE_TYPE = `Lease(${LEASE_FIELDS.map((f) => f.join(' ')).join(',')})`;
const DOMAIN_TYPE =
    'EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)';
const LEASE_TYPES = ['bytes32', ...LEASE_FIELDS.map(([type]) => type)];
const INTENT_TYPES = ['bytes32', 'uint64', 'bytes32', 'bytes32'];
const DOMAIN_TYPES = ['bytes32', 'bytes32', 'bytes32', 'uint256', 'address'];

// Numbers as the libraries like them best.
const intent = {
    deadline: BigInt(lease.intent.deadline),
    assetType: lease.intent.assetType,
    lease: {
        ...lease.intent.lease,
        assetId: BigInt(lease.intent.lease.assetId),
        rentAmount: BigInt(lease.intent.lease.rentAmount),
        rentPeriod: BigInt(lease.intent.lease.rentPeriod),
        securityDeposit: BigInt(lease.intent.lease.securityDeposit),
        startTime: BigInt(lease.intent.lease.startTime),
        endTime: BigInt(lease.intent.lease.endTime),
    },
};

// encode(types, values) → hex and hash(hex) → hex are the library's; the rest is the same for both.
function leaseDigest(encode, hash, text) {
    const typeHash = { intent: hash(text(INTENT_TYPE)), lease: hash(text(LEASE_TYPE)) };
    const domain = [hash(text(DOMAIN_TYPE)), hash(text(lease.domain.name)), hash(text(lease.domain.version))];
    return () => {
        const separator = hash(encode(DOMAIN_TYPES,
            [...domain, BigInt(lease.domain.chainId), lease.domain.verifyingContract]));
        const inner = hash(encode(LEASE_TYPES,
            [typeHash.lease, ...LEASE_FIELDS.map(([, name]) => intent.lease[name])]));
        const outer = hash(encode(INTENT_TYPES,
            [typeHash.intent, intent.deadline, intent.assetType, inner]));
        return hash('0x1901' + separator.slice(2) + outer.slice(2));
    };
}

function ofEthers() {
    const coder = ethers.AbiCoder.defaultAbiCoder();
    const types = [ethers.ParamType.from('tuple' + TUPLE)];
    const encoded = coder.encode(types, [intent]);
    const key = new ethers.SigningKey(privateKey);
    const signature = key.sign(lease.digest).serialized;
    const mailTypes = { Person: mail.types.Person, Mail: mail.types.Mail };
    const flat = (names) => names.map((name) => ethers.ParamType.from(name));
    const parsed = new Map([LEASE_TYPES, INTENT_TYPES, DOMAIN_TYPES].map((t) => [t, flat(t)]));
    return {
        keccak_64: () => ethers.keccak256(bytes.subarray(0, 64)),
        keccak_1024: () => ethers.keccak256(bytes),
        abi_encode: () => coder.encode(types, [intent]),
        abi_decode: () => coder.decode(types, encoded)[0].lease.legalDocHash,
        lease_digest: leaseDigest((t, v) => coder.encode(parsed.get(t), v), ethers.keccak256,
            ethers.toUtf8Bytes),
        mail_digest: () => ethers.TypedDataEncoder.hash(mail.domain, mailTypes, mail.message),
        sign: () => key.sign(lease.digest).serialized,
        recover: () => ethers.recoverAddress(lease.digest, signature),
    };
}

async function ofViem() {
    const types = viem.parseAbiParameters(TUPLE);
    const encoded = viem.encodeAbiParameters(types, [intent]);
    const signature = await sign({ hash: lease.digest, privateKey, to: 'hex' });
    const parsed = new Map([LEASE_TYPES, INTENT_TYPES, DOMAIN_TYPES]
        .map((t) => [t, t.map((type) => ({ type }))]));
    const account = privateKeyToAccount(privateKey);
    return {
        keccak_64: () => viem.keccak256(bytes.subarray(0, 64)),
        keccak_1024: () => viem.keccak256(bytes),
        abi_encode: () => viem.encodeAbiParameters(types, [intent]),
        abi_decode: () => viem.decodeAbiParameters(types, encoded)[0].lease.legalDocHash,
        lease_digest: leaseDigest((t, v) => viem.encodeAbiParameters(parsed.get(t), v),
            viem.keccak256, viem.toBytes),
        mail_digest: () => viem.hashTypedData(mail),
        sign: () => account.sign({ hash: lease.digest }),
        recover: () => viem.recoverAddress({ hash: lease.digest, signature }),
    };
}

// Promises are awaited only where a library gives one, so that the others pay nothing for it.
async function perSecond(run, usec) {
    const start = process.hrtime.bigint();
    let count = 0;
    let passed = 0;
    const waits = run() instanceof Promise;
    while (passed < usec) {
        for (let i = 0; i < 32; i++) {
            if (waits) await run();
            else run();
        }
        count += 32;
        passed = Number(process.hrtime.bigint() - start) / 1000;
    }
    return Math.floor(count * 1e6 / passed);
}

const operations = library === 'ethers' ? ofEthers() : await ofViem();
for (const [op, run] of Object.entries(operations)) {
    const witness = ethers.keccak256(await run());
    await perSecond(run, Number(msec) * 500); // the compiler of Node warms up
    const rate = await perSecond(run, Number(msec) * 1000);
    console.log(JSON.stringify({ op, perSecond: rate, witness }));
}
