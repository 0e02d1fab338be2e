// Compiles contracts/src to contracts/artifacts, one JSON file a contract.
//
//   node contracts/build.mjs           writes the artifacts
//   node contracts/build.mjs --check   writes nothing; exits 1 naming each file that is not fresh
//
// The output depends only on the sources, the pinned compiler and the pinned libraries: no metadata
// hash is appended to the bytecode, and keys keep the compiler's order.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const require = createRequire(import.meta.url);
const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = dirname(HERE);
const SRC = join(HERE, 'src');
const ARTIFACTS = join(HERE, 'artifacts');
const PROXY = '@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol';

const COMPILER = '0.8.30';
const RUNTIME_BYTES_MAX = 24576; // EIP-170

// The contracts that are deployed, hence published, with the optimizer's runs.
const PUBLISHED = {
    AssetERC20: { file: 'AssetERC20.sol', runs: 1_000_000 },
    AssetRegistry: { file: 'AssetRegistry.sol', runs: 1_000_000 },
    LeaseFactory: { file: 'LeaseFactory.sol', runs: 1_000_000 },
    Marketplace: { file: 'Marketplace.sol', runs: 1_000_000 },
    TestStablecoin: { file: 'TestStablecoin.sol', runs: 1_000_000 },
    ERC1967Proxy: { file: PROXY, runs: 1_000_000 },
};

function settings(runs) {
    return {
        evmVersion: 'cancun',
        viaIR: true,
        optimizer: { enabled: true, runs },
        metadata: { bytecodeHash: 'none', appendCBOR: false },
    };
}

/** Loads the compiler and insists on its version: another one would write other artifacts. */
function compiler() {
    const solc = require('solc');
    if (!solc.version().startsWith(`${COMPILER}+`)) {
        throw new Error(`solc ${solc.version()} is installed, ${COMPILER} is needed: run npm ci`);
    }
    return solc;
}

/** Reads an import: a library path from node_modules, anything else as given. */
function readImport(path) {
    const file = path.startsWith('@') ? join(ROOT, 'node_modules', path) : resolve(HERE, path);
    try {
        return { contents: readFileSync(file, 'utf8') };
    } catch {
        return { error: `${path}: no such file` };
    }
}

/**
 * Compiles source files (paths relative to contracts/, or library paths) and returns
 * file -> contract name -> compiler output. A warning in a file of ours is an error.
 */
export function compile(files, runs = 1_000_000) {
    const sources = {};
    for (const file of files) {
        const { contents, error } = readImport(file);
        if (error) {
            throw new Error(error);
        }
        sources[file] = { content: contents };
    }
    const output = ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object',
        'evm.deployedBytecode.immutableReferences', 'storageLayout'];
    const input = {
        language: 'Solidity',
        sources,
        settings: { ...settings(runs), outputSelection: { '*': { '*': output } } },
    };
    const solc = compiler();
    const result = JSON.parse(solc.compile(JSON.stringify(input), { import: readImport }));
    const found = (result.errors ?? []).filter(
        (e) => e.severity === 'error' || !e.sourceLocation?.file.startsWith('@'));
    if (found.length > 0) {
        throw new Error(found.map((e) => e.formattedMessage).join('\n'));
    }
    return result.contracts;
}

/** Storage positions without the compiler's node numbers, which change with unrelated edits. */
function layout({ storage, types }) {
    const plain = (type) => types[type].label;
    return storage.map(({ label, slot, offset, type }) => ({
        label, slot, offset, type: plain(type), bytes: types[type].numberOfBytes,
    }));
}

function artifact(name, source, runs, contract) {
    const deployed = contract.evm.deployedBytecode;
    return {
        contractName: name,
        sourceName: source,
        compiler: { version: compiler().version().replace(/\.Emscripten.*$/, ''),
            settings: settings(runs) },
        abi: contract.abi,
        bytecode: `0x${contract.evm.bytecode.object}`,
        deployedBytecode: `0x${deployed.object}`,
        immutableReferences: Object.values(deployed.immutableReferences ?? {}).flat(),
        storageLayout: layout(contract.storageLayout ?? { storage: [], types: {} }),
    };
}

/** Every artifact file that should exist, as path -> text. */
function build() {
    const byRuns = new Map();
    for (const [name, { file, runs }] of Object.entries(PUBLISHED)) {
        const source = file.startsWith('@') ? file : `src/${file}`;
        const group = byRuns.get(runs) ?? [];
        byRuns.set(runs, [...group, { name, source }]);
    }
    const files = new Map();
    for (const [runs, group] of byRuns) {
        const out = compile([...new Set(group.map((g) => g.source))], runs);
        for (const { name, source } of group) {
            const made = artifact(name, source, runs, out[source][name]);
            const size = (made.deployedBytecode.length - 2) / 2;
            if (size > RUNTIME_BYTES_MAX) {
                throw new Error(`${name}: ${size} bytes of code, EIP-170 allows ${RUNTIME_BYTES_MAX}`);
            }
            files.set(join(ARTIFACTS, `${name}.json`), `${JSON.stringify(made, null, 2)}\n`);
        }
    }
    return files;
}

function present() {
    return existsSync(ARTIFACTS) ? readdirSync(ARTIFACTS).map((f) => join(ARTIFACTS, f)) : [];
}

function check(files) {
    const stale = [...files].filter(([path, text]) =>
        !existsSync(path) || readFileSync(path, 'utf8') !== text).map(([path]) => path);
    const extra = present().filter((path) => !files.has(path));
    for (const path of [...stale, ...extra]) {
        const what = files.has(path) ? 'is stale: run node contracts/build.mjs' : 'is nobody\'s artifact';
        console.error(`${relative(ROOT, path)} ${what}`);
    }
    return stale.length + extra.length === 0;
}

function write(files) {
    mkdirSync(ARTIFACTS, { recursive: true });
    for (const path of present()) {
        if (!files.has(path)) {
            rmSync(path);
        }
    }
    for (const [path, text] of files) {
        writeFileSync(path, text);
        const { contractName, deployedBytecode } = JSON.parse(text);
        console.log(`${contractName}: ${(deployedBytecode.length - 2) / 2} bytes`);
    }
}

function main(argv) {
    const unknown = argv.filter((arg) => arg !== '--check');
    if (unknown.length > 0) {
        console.error(`unknown argument ${unknown[0]}; usage: node contracts/build.mjs [--check]`);
        return 2;
    }
    try {
        const files = build();
        if (argv.includes('--check')) {
            return check(files) ? 0 : 1;
        }
        write(files);
        return 0;
    } catch (error) {
        console.error(error.message);
        return 1;
    }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
    process.exitCode = main(process.argv.slice(2));
}
