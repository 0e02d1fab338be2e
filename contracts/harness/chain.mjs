// A private anvil for one test file, and contracts on it.
//
// The node listens on a port that the system picks and dies with this process, however it ends: it
// runs under a shell that waits for its standard input to close, which even SIGKILL cannot prevent.

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { AbiCoder, HDNodeWallet, Interface, Mnemonic, concat, getAddress, toBeHex }
    from 'ethers';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const MNEMONIC = 'test test test test test test test test test test test junk';
const START_MSEC_MAX = 20_000;
const MINE_MSEC_MAX = 20_000;
const GAS = '0x1c9c380'; // 30 million, one block

/** The keys of anvil's accounts, which everybody knows. */
export const wallets = Array.from({ length: 10 }, (_, i) =>
    HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(MNEMONIC), `m/44'/60'/0'/0/${i}`));

/** The artifact of a contract of ours, or of a contract that only tests use. */
export function artifact(name) {
    const paths = ['artifacts', 'test/artifacts'].map(
        (dir) => join(ROOT, 'contracts', dir, `${name}.json`));
    return JSON.parse(readFileSync(paths.find((path) => existsSync(path)) ?? paths[0], 'utf8'));
}

function anvilPath() {
    const arch = { x64: 'amd64', arm64: 'arm64' }[process.arch] ?? process.arch;
    const name = `anvil-${process.platform}-${arch}`;
    const path = join(ROOT, 'node_modules', '@foundry-rs', name, 'bin', 'anvil');
    if (!existsSync(path)) {
        throw new Error(`${path} is missing: run npm ci`);
    }
    return path;
}

const UNDER_WATCH = '"$@" </dev/null & pid=$!; cat >/dev/null; kill -9 $pid; wait $pid 2>/dev/null';

/** Starts anvil and resolves to { url, stop } once it listens. */
async function startAnvil(args) {
    const id = args.includes('--chain-id') ? [] : ['--chain-id', '31337'];
    const command = [anvilPath(), '--host', '127.0.0.1', '--port', '0', '--hardfork', 'cancun',
        ...id, ...args];
    const child = spawn('/bin/sh', ['-c', UNDER_WATCH, 'sh', ...command],
        { stdio: ['pipe', 'pipe', 'pipe'] });
    const ended = new Promise((done) => child.on('close', done));
    const stop = () => {
        child.stdin.end();
        return ended;
    };
    const url = await new Promise((done, fail) => {
        let text = '';
        const timer = setTimeout(
            () => fail(new Error(`anvil did not start:\n${text}`)), START_MSEC_MAX);
        const read = (chunk) => {
            text += chunk;
            const found = /Listening on (127\.0\.0\.1:\d+)/.exec(text);
            if (found) {
                clearTimeout(timer);
                done(`http://${found[1]}`);
            }
        };
        child.stdout.on('data', read);
        child.stderr.on('data', read);
    }).catch(async (error) => {
        await stop();
        throw error;
    });
    return { url, stop };
}

class RpcError extends Error {
    constructor({ message, data }) {
        super(message);
        this.data = data;
    }
}

/** A running chain. Transactions are mined at once, one a block; anvil signs for its accounts. */
export class Chain {
    static async start(args = []) {
        const { url, stop } = await startAnvil(args);
        return new Chain(url, stop);
    }

    constructor(url, stop) {
        this.url = url;
        this.stop = stop;
        this.id = 0;
    }

    async rpc(method, ...params) {
        const body = JSON.stringify({ jsonrpc: '2.0', id: ++this.id, method, params });
        const headers = { 'content-type': 'application/json' };
        const reply = await (await fetch(this.url, { method: 'POST', headers, body })).json();
        if (reply.error) {
            throw new RpcError(reply.error);
        }
        return reply.result;
    }

    /** The timestamp of the newest block, in seconds. */
    async now() {
        return Number((await this.rpc('eth_getBlockByNumber', 'latest', false)).timestamp);
    }

    /** Mines a block of that time; transactions after it are at least one second later. */
    async mineAt(time) {
        await this.rpc('evm_setNextBlockTimestamp', time);
        await this.rpc('evm_mine');
    }

    /** Sends a transaction and returns its receipt, whether it succeeded or not. */
    async transact(from, to, data) {
        const hash = await this.rpc('eth_sendTransaction', { from, to, data, gas: GAS });
        const deadline = Date.now() + MINE_MSEC_MAX;
        for (;;) {
            const receipt = await this.rpc('eth_getTransactionReceipt', hash);
            if (receipt) {
                return receipt;
            }
            if (Date.now() > deadline) {
                throw new Error(`transaction ${hash} was not mined`);
            }
            await sleep(5);
        }
    }

    /** Deploys an artifact by name. */
    async deploy(name, args = [], from = wallets[0].address) {
        const { abi, bytecode } = artifact(name);
        const contract = new Interface(abi);
        const receipt = await this.transact(
            from, undefined, concat([bytecode, contract.encodeDeploy(args)]));
        if (receipt.status !== '0x1') {
            throw new Error(`deployment of ${name} failed`);
        }
        return new Contract(this, name, contract, receipt.contractAddress, receipt);
    }

    /** A contract at an address, seen through the ABI of an artifact. */
    at(name, address) {
        return new Contract(this, name, new Interface(artifact(name).abi), address);
    }

    /** Deploys an implementation and a proxy that is initialised in its constructor. */
    async deployProxy(name, args, from = wallets[0].address) {
        const implementation = await this.deploy(name, [], from);
        const data = implementation.abi.encodeFunctionData('initialize', args);
        const proxy = await this.deploy('ERC1967Proxy', [implementation.address, data], from);
        const contract = this.at(name, proxy.address);
        contract.receipt = proxy.receipt;
        contract.implementation = implementation;
        return contract;
    }
}

// An error passes through callers that do not declare it, so all contracts' errors are known at
// once.
const ERRORS = new Interface(
    ['AssetRegistry', 'AssetERC20', 'LeaseFactory', 'Marketplace', 'TestStablecoin',
        'BatchSettlement', 'DepositCollector']
        .flatMap((name) => artifact(name).abi).filter(({ type }) => type === 'error'));

/** What a revert said: the text of a require, or the name and arguments of an error. */
function reason(data) {
    if (!data || data === '0x') {
        return 'no data';
    }
    if (data.startsWith('0x08c379a0')) {
        return AbiCoder.defaultAbiCoder().decode(['string'], `0x${data.slice(10)}`)[0];
    }
    if (data.startsWith('0x4e487b71')) {
        return `panic ${toBeHex(BigInt(`0x${data.slice(10)}`))}`;
    }
    const error = ERRORS.parseError(data);
    return error ? `${error.name}(${error.args.join(',')})` : data;
}

export class Contract {
    constructor(chain, name, abi, address, receipt) {
        Object.assign(this, { chain, name, abi, address: getAddress(address), receipt });
    }

    /** Reads; a single result is unwrapped. */
    async get(fn, ...args) {
        const data = this.abi.encodeFunctionData(fn, args);
        const result = await this.chain.rpc('eth_call', { to: this.address, data }, 'latest');
        const values = this.abi.decodeFunctionResult(fn, result);
        return values.length === 1 ? values[0] : values;
    }

    /** Sends from an address and returns { logs, gas }; a revert throws with its reason. */
    async send(from, fn, ...args) {
        const data = this.abi.encodeFunctionData(fn, args);
        const receipt = await this.chain.transact(from, this.address, data);
        if (receipt.status !== '0x1') {
            throw new Error(`${this.name}.${fn}: ${await this.refusal(from, fn, ...args)}`);
        }
        return { logs: receipt.logs, gas: Number(receipt.gasUsed) };
    }

    /** Why a call from an address would revert; undefined when it would not. */
    async refusal(from, fn, ...args) {
        const data = this.abi.encodeFunctionData(fn, args);
        try {
            await this.chain.rpc('eth_call', { from, to: this.address, data, gas: GAS }, 'latest');
            return undefined;
        } catch (error) {
            if (error.data === undefined) {
                throw error;
            }
            return reason(error.data);
        }
    }
}
