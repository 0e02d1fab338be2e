// A proxy before a node that changes what it answers: the liars of tests/api/liars.test.mjs.

import { createServer } from 'node:http';

/** Each log of an answer, wherever it stands: of eth_getLogs, of a receipt, of a block's receipts. */
const holders = (method, result) => {
    if (method === 'eth_getLogs') {
        return [{ list: result, set: (logs) => { result.splice(0, result.length, ...logs); } }];
    }
    return [result].flat().filter((r) => Array.isArray(r?.logs))
        .map((r) => ({ list: r.logs, set: (logs) => { r.logs = logs; } }));
};

const LOGS = ['eth_getLogs', 'eth_getBlockReceipts', 'eth_getTransactionReceipt'];
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
    /** The truth. */
    none: (liar, method, params, result) => result,
};

export class Liar {
    /** Serves what the node at `upstream` says, with one of the lies; `lie` may change any time. */
    static async start(upstream, lie) {
        const liar = new Liar();
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

    async #answer(body, reply) {
        this.requests++;
        try {
            const answer = await (await fetch(this.upstream, {
                method: 'POST', headers: { 'content-type': 'application/json' }, body })).json();
            const asked = [JSON.parse(body)].flat();
            for (const one of [answer].flat()) {
                const { method, params } = asked.find(({ id }) => id === one.id);
                if (one.result !== undefined && one.result !== null) {
                    const before = JSON.stringify(one.result);
                    one.result = lies[this.lie](this, method, params, one.result);
                    this.told += JSON.stringify(one.result) === before ? 0 : 1;
                }
            }
            reply.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
        } catch {
            reply.writeHead(502).end();
        }
    }

    stop() {
        this.server.closeAllConnections();
        return new Promise((done) => { this.server.close(done); });
    }
}
