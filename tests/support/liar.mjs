// A proxy before a node that changes what it answers: the liars of tests/api/liars.test.mjs.

import { createServer } from 'node:http';
import { gzipSync } from 'node:zlib';
import { encodeRlp, keccak256, toBeHex } from 'ethers';

/** Each log of an answer, wherever it stands: of eth_getLogs, of a receipt, of a block's receipts. */
const holders = (method, result) => {
    if (method === 'eth_getLogs') {
        return [{ list: result, set: (logs) => { result.splice(0, result.length, ...logs); } }];
    }
    return [result].flat().filter((r) => Array.isArray(r?.logs))
        .map((r) => ({ list: r.logs, set: (logs) => { r.logs = logs; } }));
};

const LOGS = ['eth_getLogs', 'eth_getBlockReceipts', 'eth_getTransactionReceipt'];
const STUCK = 5;
const flip = (data) => data.slice(0, -1) + (data.endsWith('0') ? '1' : '0');

/** The lies: (liar, method, params, result) => result. */
export const lies = {
    /** One log in a hundred is not there; the first of them soon. */
    omit: (liar, method, params, result) => {
        for (const { list, set } of LOGS.includes(method) ? holders(method, result) : []) {
            set(list.filter(() => ++liar.seen % 100 !== 3));
        }
        return result;
    },
    /** One value in a hundred is another. */
    alter: (liar, method, params, result) => {
        for (const { list } of LOGS.includes(method) ? holders(method, result) : []) {
            for (const log of list) {
                if (++liar.seen % 100 === 3) {
                    log.data = log.data === '0x' ? '0x01' : flip(log.data);
                }
            }
        }
        return result;
    },
    /** Nothing, the first time that a range or block is asked for. */
    empty: (liar, method, params, result) => {
        const about = JSON.stringify(params);
        if (!['eth_getLogs', 'eth_getBlockReceipts'].includes(method) || liar.asked.has(about)) {
            return result;
        }
        liar.asked.add(about);
        return [];
    },
    /** Logs name another transaction than the one that made them. */
    rename: (liar, method, params, result) => {
        if (method === 'eth_getBlockReceipts') {
            for (const receipt of result ?? []) {
                receipt.transactionHash = flip(receipt.transactionHash);
                receipt.logs.forEach((log) => { log.transactionHash = receipt.transactionHash; });
            }
        }
        return result;
    },
    /** A number beyond 256 bits. */
    numbers: (liar, method, params, result) => (method === 'eth_getBlockReceipts'
        ? result.map((r) => ({ ...r, cumulativeGasUsed: `0x1${'0'.repeat(64)}` })) : result),
    /** More topics than a log can have. */
    topics: (liar, method, params, result) => {
        for (const { list } of LOGS.includes(method) ? holders(method, result) : []) {
            list.forEach((log) => { log.topics = Array(5).fill(log.topics[0] ?? `0x${'1'.repeat(64)}`); });
        }
        return result;
    },
    /** Each log twice. */
    twice: (liar, method, params, result) => {
        for (const { list, set } of LOGS.includes(method) ? holders(method, result) : []) {
            set(list.flatMap((log) => [log, log]));
        }
        return result;
    },
    /** Logs, and receipts of a block, the other way round. */
    shuffled: (liar, method, params, result) => {
        for (const { list } of LOGS.includes(method) ? holders(method, result) : []) {
            list.reverse();
        }
        return method === 'eth_getBlockReceipts' ? result.reverse() : result;
    },
    /** Logs that are said to be of a block that fell out. */
    removed: (liar, method, params, result) => {
        for (const { list } of LOGS.includes(method) ? holders(method, result) : []) {
            list.forEach((log) => { log.removed = true; });
        }
        return result;
    },
    /** Fifty blocks that nobody has. */
    ahead: (liar, method, params, result) => (method === 'eth_blockNumber'
        ? `0x${(Number(result) + 50).toString(16)}` : result),
    /** Well, but for days at its fifth block (see #question). */
    stuck: (liar, method, params, result) => {
        const beyond = method === 'eth_getBlockByNumber' && Number(params[0]) > STUCK;
        return method === 'eth_blockNumber' ? `0x${STUCK.toString(16)}` : beyond ? null : result;
    },
    /** Receipts of which the last is missing, and null. */
    nulls: (liar, method, params, result) => (method === 'eth_getBlockReceipts'
        ? [...result.slice(0, -1), null] : result),
    /** The truth. */
    none: (liar, method, params, result) => result,
};

// ---- another fork ----

const HEADER = ['parentHash', 'sha3Uncles', 'miner', 'stateRoot', 'transactionsRoot', 'receiptsRoot',
    'logsBloom', 'difficulty#', 'number#', 'gasLimit#', 'gasUsed#', 'timestamp#', 'extraData',
    'mixHash', 'nonce', 'baseFeePerGas#', 'withdrawalsRoot', 'blobGasUsed#', 'excessBlobGas#',
    'parentBeaconBlockRoot', 'requestsHash'];

function headerHash(block) {
    return keccak256(encodeRlp(HEADER.map((name) => [name.replace('#', ''), name.endsWith('#')])
        .filter(([name]) => block[name] !== undefined)
        .map(([name, number]) => {
            if (!number) {
                return block[name];
            }
            return BigInt(block[name]) === 0n ? '0x' : toBeHex(BigInt(block[name]));
        })));
}

/** The chain of a node with other blocks from a number on, which are right in all but that. */
class Fork {
    constructor(ask, from) {
        Object.assign(this, { ask, from, next: from, fakes: new Map(), reals: new Map() });
    }

    /** Makes all blocks that the node has by now. */
    async grow() {
        for (const head = Number(await this.ask('eth_blockNumber')); this.next <= head; this.next++) {
            const block = await this.ask('eth_getBlockByNumber', `0x${this.next.toString(16)}`, false);
            const { hash } = block;
            block.extraData = '0x66';
            block.parentHash = this.fakes.get(block.parentHash) ?? block.parentHash;
            this.fakes.set(hash, headerHash(block));
            this.reals.set(this.fakes.get(hash), hash);
        }
    }

    #rename(text, names) {
        return text.replace(/0x[0-9a-f]{64}(?![0-9a-f])/g, (hash) => names.get(hash) ?? hash);
    }

    question(body) {
        return this.#rename(body, this.reals);
    }

    answer(text) {
        const answer = JSON.parse(this.#rename(text, this.fakes));
        for (const { result } of [answer].flat()) {
            if (result?.parentHash && Number(result.number) >= this.from) {
                result.extraData = '0x66';
            }
        }
        return answer;
    }
}

export class Liar {
    /**
     * Serves what the node at `upstream` says, with one of the lies; `lie` may change any time. With
     * `forkFrom` it is on another fork from that block on.
     */
    static async start(upstream, lie, forkFrom) {
        const liar = new Liar();
        liar.fork = forkFrom && new Fork((...call) => liar.#ask(...call), forkFrom);
        Object.assign(liar, { upstream, lie, seen: 0, asked: new Set(), told: 0, requests: 0 });
        liar.server = createServer((request, reply) => {
            const chunks = [];
            request.on('data', (chunk) => chunks.push(chunk));
            request.on('end', () => liar.#answer(Buffer.concat(chunks).toString(), reply));
        });
        await new Promise((done) => { liar.server.listen(0, '127.0.0.1', done); });
        liar.url = `http://127.0.0.1:${liar.server.address().port}`;
        return liar;
    }

    /** Sends an answer as it is, or spoilt as a whole. */
    #send(reply, text) {
        reply.setHeader('content-type', 'application/json');
        switch (this.lie) {
        case 'huge': // 100 MB around the truth, as fast as they are taken
            reply.write('[');
            for (let i = 0; i < 100; i++) {
                reply.write(' '.repeat(1 << 20));
            }
            reply.end(text + ']');
            break;
        case 'gzip': // 200 MB once unpacked
            reply.setHeader('content-encoding', 'gzip').end(gzipSync(Buffer.alloc(200 << 20, ' ')));
            break;
        case 'silent':
            break;
        case 'html':
            reply.setHeader('content-type', 'text/html').end('<html>Service unavailable</html>');
            break;
        case 'cut':
            reply.end(text.slice(0, text.length / 2));
            break;
        case 'ids':
            reply.end(text.replaceAll(/"id":\d+/g, '"id":4711'));
            break;
        default:
            reply.end(text);
        }
    }

    async #post(body) {
        const reply = await fetch(this.upstream,
            { method: 'POST', headers: { 'content-type': 'application/json' }, body });
        return reply.text();
    }

    async #ask(method, ...params) {
        const said = await this.#post(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }));
        return JSON.parse(said).result;
    }

    #question(body) {
        const asked = this.lie === 'stuck' ? body.replaceAll('"latest"', `"0x${STUCK.toString(16)}"`) : body;
        return this.fork?.question(asked) ?? asked;
    }

    async #answer(body, reply) {
        this.requests++;
        try {
            await this.fork?.grow();
            const text = await this.#post(this.#question(body));
            const answer = this.fork?.answer(text) ?? JSON.parse(text);
            const asked = [JSON.parse(body)].flat();
            for (const one of [answer].flat()) {
                const { method, params } = asked.find(({ id }) => id === one.id);
                if (one.result !== undefined && one.result !== null) {
                    const before = JSON.stringify(one.result);
                    one.result = (lies[this.lie] ?? lies.none)(this, method, params, one.result);
                    this.told += JSON.stringify(one.result) === before ? 0 : 1;
                }
            }
            this.#send(reply, JSON.stringify(answer));
        } catch {
            reply.writeHead(502).end();
        }
    }

    stop() {
        this.server.closeAllConnections();
        return new Promise((done) => { this.server.close(done); });
    }
}
