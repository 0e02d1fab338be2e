// Compiles contracts/src to contracts/artifacts, one JSON file a contract, and the contracts that
// only tests use, contracts/test/sol and contracts/test/deployed, to contracts/test/artifacts.
//
//   node contracts/build.mjs           writes the artifacts
//   node contracts/build.mjs --check   writes nothing; exits 1 naming each file that is not fresh
//
// The output depends only on the sources, the pinned compiler and the pinned libraries: no metadata
// hash is appended to the bytecode, and keys keep the compiler's order.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = dirname(HERE);
const ARTIFACTS = join(HERE, 'artifacts');
const TEST_SRC = ['test/sol', 'test/deployed'];
const TEST_ARTIFACTS = join(HERE, 'test', 'artifacts');

const COMPILER = '0.8.30';
const RUNTIME_BYTES_MAX = 24576; // EIP-170

// The contracts that are deployed, hence published. All fit EIP-170 at the full number of runs.
const PUBLISHED = {
    AssetERC20: 'src/AssetERC20.sol',
    AssetRegistry: 'src/AssetRegistry.sol',
    BatchSettlement: 'src/BatchSettlement.sol',
    DepositCollector: 'src/DepositCollector.sol',
    LeaseFactory: 'src/LeaseFactory.sol',
    Marketplace: 'src/Marketplace.sol',
    TestStablecoin: 'src/TestStablecoin.sol',
    ERC1967Proxy: '@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol',
};

const OPTIMIZER = { runs: 1_000_000 };

// The tests' own contracts get only the clean-up steps: seconds to compile, and below EIP-170.
const TEST_OPTIMIZER = { runs: 1, details: { yul: true, yulDetails: { optimizerSteps: 'dhfo:' } } };

function settings(optimizer) {
    return {
        evmVersion: 'cancun',
        viaIR: true,
        optimizer: { enabled: true, ...optimizer },
        metadata: { bytecodeHash: 'none', appendCBOR: false },
    };
}

const OUTPUT = ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object',
    'evm.deployedBytecode.immutableReferences', 'storageLayout'];

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
function compile(files, optimizer) {
    const sources = {};
    const outputSelection = {};
    for (const file of files) {
        const { contents, error } = readImport(file);
        if (error) {
            throw new Error(error);
        }
        sources[file] = { content: contents };
        outputSelection[file] = { '*': OUTPUT };
    }
    const input = {
        language: 'Solidity',
        sources,
        settings: { ...settings(optimizer), outputSelection },
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

function artifact(name, source, contract) {
    const deployed = contract.evm.deployedBytecode;
    return {
        contractName: name,
        sourceName: source,
        compiler: {
            version: compiler().version().replace(/\.Emscripten.*$/, ''),
            settings: settings(OPTIMIZER),
        },
        abi: contract.abi,
        bytecode: `0x${contract.evm.bytecode.object}`,
        deployedBytecode: `0x${deployed.object}`,
        immutableReferences: Object.values(deployed.immutableReferences ?? {}).flat(),
        storageLayout: layout(contract.storageLayout ?? { storage: [], types: {} }),
    };
}

/** The published artifacts, path -> text. */
function published() {
    const out = compile(Object.values(PUBLISHED), OPTIMIZER);
    const files = new Map();
    for (const [name, source] of Object.entries(PUBLISHED)) {
        const made = artifact(name, source, out[source][name]);
        const size = (made.deployedBytecode.length - 2) / 2;
        if (size > RUNTIME_BYTES_MAX) {
            throw new Error(`${name}: ${size} bytes of code, EIP-170 allows ${RUNTIME_BYTES_MAX}`);
        }
        files.set(join(ARTIFACTS, `${name}.json`), `${JSON.stringify(made, null, 2)}\n`);
    }
    return files;
}

/**
 * The artifacts of the tests' own contracts, path -> text; compiled apart, so that they cannot
 * touch the published ones.
 */
function testOnly() {
    const sources = TEST_SRC.flatMap(
        (dir) => readdirSync(join(HERE, dir)).sort().map((f) => `${dir}/${f}`));
    const out = compile(sources, TEST_OPTIMIZER);
    const files = new Map();
    for (const source of sources) {
        for (const [name, contract] of Object.entries(out[source])) {
            if (contract.evm.bytecode.object === '') {
                continue; // abstract: nothing to deploy
            }
            const made = {
                contractName: name,
                abi: contract.abi,
                bytecode: `0x${contract.evm.bytecode.object}`,
            };
            files.set(join(TEST_ARTIFACTS, `${name}.json`), `${JSON.stringify(made, null, 2)}\n`);
        }
    }
    return files;
}

function present() {
    return [ARTIFACTS, TEST_ARTIFACTS].filter((dir) => existsSync(dir))
        .flatMap((dir) => readdirSync(dir).map((f) => join(dir, f)));
}

function check(files) {
    const fresh = (path) => existsSync(path) && readFileSync(path, 'utf8') === files.get(path);
    const stale = [...files.keys()].filter((path) => !fresh(path));
    const extra = present().filter((path) => !files.has(path));
    for (const path of stale) {
        console.error(`${relative(ROOT, path)} is stale: run node contracts/build.mjs`);
    }
    for (const path of extra) {
        console.error(`${relative(ROOT, path)} has no source: run node contracts/build.mjs`);
    }
    return stale.length + extra.length === 0;
}

function write(files) {
    mkdirSync(ARTIFACTS, { recursive: true });
    mkdirSync(TEST_ARTIFACTS, { recursive: true });
    for (const path of present()) {
        if (!files.has(path)) {
            rmSync(path);
        }
    }
    for (const [path, text] of files) {
        writeFileSync(path, text);
        const { contractName, deployedBytecode } = JSON.parse(text);
        if (deployedBytecode) {
            console.log(`${contractName}: ${(deployedBytecode.length - 2) / 2} bytes`);
        }
    }
}

function main(argv) {
    const unknown = argv.filter((arg) => arg !== '--check');
    if (unknown.length > 0) {
        console.error(`unknown argument ${unknown[0]}; usage: node contracts/build.mjs [--check]`);
        return 2;
    }
    try {
        const files = new Map([...published(), ...testOnly()]);
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

process.exitCode = main(process.argv.slice(2));
