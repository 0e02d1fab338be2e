// A node's worse half: passes JSON-RPC on to a node and spoils a share of it, by a seed.
//
//   swallow  a sent transaction is answered with its hash and forgotten
//   lose     the request is passed on, and the connection closed unanswered
//   fail     HTTP 500, nothing is passed on
//   limit    HTTP 429 with Retry-After: 0
//
// Rates are parts of a thousand: of sent transactions for `swallow`, of requests for the others.

import { createServer, request } from 'node:http';
import { keccak256 } from 'ethers';

/** Numbers from 0 to 999 that follow from the seed (mulberry32). */
function dice(seed) {
    let state = seed >>> 0;
    return () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let t = Math.imul(state ^ (state >>> 15), state | 1);
        t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) % 1000;
    };
}

export class FaultProxy {
    static async start(target, rates, seed) {
        const proxy = new FaultProxy();
        proxy.target = new URL(target);
        proxy.rates = { swallow: 0, lose: 0, fail: 0, limit: 0, ...rates };
        proxy.dice = dice(seed);
        proxy.done = { swallow: 0, lose: 0, fail: 0, limit: 0 };
        proxy.server = createServer((req, res) => proxy.#serve(req, res));
        await new Promise((done) => { proxy.server.listen(0, '127.0.0.1', done); });
        proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
        return proxy;
    }

    stop() {
        this.server.closeAllConnections();
        return new Promise((done) => { this.server.close(done); });
    }

    /** Swallows each n-th sent transaction, so many times, whatever the rates are. */
    swallowEvery(n, times) {
        this.every = { n, left: times, seen: 0 };
    }

    #swallows() {
        if (!this.every) {
            return this.#happens('swallow');
        }
        const due = ++this.every.seen % this.every.n === 0 && this.every.left > 0;
        this.every.left -= due ? 1 : 0;
        this.done.swallow += due ? 1 : 0;
        return due;
    }

    #happens(fault) {
        const happens = this.dice() < this.rates[fault];
        this.done[fault] += happens ? 1 : 0;
        return happens;
    }

    #serve(req, res) {
        let text = '';
        req.setEncoding('utf8').on('data', (chunk) => { text += chunk; });
        req.on('end', () => {
            this.#answer(req, res, text).catch(() => res.destroy());
        });
        req.on('error', () => res.destroy());
    }

    async #answer(req, res, text) {
        if (this.#happens('fail')) {
            return res.writeHead(500).end('no');
        }
        if (this.#happens('limit')) {
            return res.writeHead(429, { 'retry-after': '0' }).end('slow down');
        }
        const asked = JSON.parse(text);
        const list = Array.isArray(asked) ? asked : [asked];
        const swallowed = list.filter((call) => call.method === 'eth_sendRawTransaction'
            && this.#swallows());
        const passed = list.filter((call) => !swallowed.includes(call));
        const answers = passed.length > 0 ? await this.#pass(passed) : [];
        if (this.#happens('lose')) {
            return req.socket.destroy();
        }
        const all = [...answers, ...swallowed.map(({ id, params }) =>
            ({ jsonrpc: '2.0', id, result: keccak256(params[0]) }))];
        const body = JSON.stringify(Array.isArray(asked) ? all : all[0]);
        return res.writeHead(200, { 'content-type': 'application/json' }).end(body);
    }

    #pass(calls) {
        return new Promise((done, fail) => {
            const text = JSON.stringify(calls);
            const req = request({ host: this.target.hostname, port: this.target.port, method: 'POST',
                headers: { 'content-type': 'application/json',
                    'content-length': Buffer.byteLength(text) } }, (res) => {
                let answer = '';
                res.setEncoding('utf8').on('data', (chunk) => { answer += chunk; });
                res.on('end', () => {
                    try {
                        done(JSON.parse(answer));
                    } catch (error) {
                        fail(error);
                    }
                });
                res.on('error', fail);
            });
            req.on('error', fail);
            req.end(text);
        });
    }
}
