// A proxy before a node's WebSocket that spoils what it announces: tests/api/ws.test.mjs.

import { createServer } from 'node:https';
import { WebSocket, WebSocketServer } from 'ws';

const heads = (message) => message.method === 'eth_subscription';

/**
 * What becomes of a message of the node: (proxy, message) => the messages that are sent instead. Each
 * proxy has a `held` of its own.
 */
export const faults = {
    none: (proxy, message) => [message],
    /** Every second head is not announced, nor are three in a row now and then. */
    missing: (proxy, message) => (heads(message) && ++proxy.seen % 7 > 3 ? [] : [message]),
    /** Every head comes three times. */
    duplicated: (proxy, message) => (heads(message) ? [message, message, message] : [message]),
    /** Heads come in pairs, the later one first, and an old one behind them. */
    disordered: (proxy, message) => {
        if (!heads(message)) {
            return [message];
        }
        proxy.held.push(message);
        return proxy.held.length % 2 === 0
            ? [message, ...proxy.held.slice(-2, -1), proxy.held[0]] : [];
    },
    /** Heads are said to be fifty blocks further than they are. */
    ahead: (proxy, message) => {
        if (heads(message)) {
            const { result } = message.params;
            result.number = `0x${(Number(result.number) + 50).toString(16)}`;
        }
        return [message];
    },
    /** Nothing is announced; pings are answered. */
    mute: (proxy, message) => (heads(message) ? [] : [message]),
    /** The node is one of another chain. */
    chain: (proxy, message) => (message.id !== undefined && /^0x7a69$/.test(message.result)
        ? [{ ...message, result: '0x1' }] : [message]),
    /** It refuses to subscribe, and says with which URL it was asked. */
    refuses: (proxy, message) => (message.id !== undefined && message.result?.length > 10
        ? [{ jsonrpc: '2.0', id: message.id,
            error: { code: -32601, message: `no subscriptions at ${proxy.path}` } }] : [message]),
    /** Heads without a number. */
    rubbish: (proxy, message) => {
        if (heads(message)) {
            delete message.params.result.number;
        }
        return [message];
    },
    /** A head of two megabytes. */
    huge: (proxy, message) => (heads(message) ? [{ ...message, pad: 'x'.repeat(2 << 20) }] : [message]),
};

export class WsProxy {
    /**
     * Passes on what the node at `upstream` (http://…) says, with a fault that may change any time; over
     * TLS with `tls` { key, cert }.
     */
    static async start(upstream, fault = 'none', path = '', tls = undefined) {
        const proxy = new WsProxy();
        Object.assign(proxy, { upstream: upstream.replace(/^http/, 'ws'), fault, path, seen: 0,
            held: [], connections: 0, announced: 0, pairs: new Set() });
        proxy.secure = tls && createServer(tls);
        proxy.server = new WebSocketServer({ perMessageDeflate: false,
            ...(tls ? { server: proxy.secure } : { port: 0, host: '127.0.0.1' }) });
        proxy.server.on('connection', (client) => proxy.#join(client));
        proxy.secure?.listen(0, '127.0.0.1');
        await new Promise((done) => { proxy.server.on('listening', done); });
        proxy.origin = `${tls ? 'wss' : 'ws'}://127.0.0.1:${proxy.server.address().port}`;
        proxy.url = proxy.origin + path;
        return proxy;
    }

    #join(client) {
        this.connections++;
        const node = new WebSocket(this.upstream, { perMessageDeflate: false });
        const pair = { client, node };
        const early = [];
        this.pairs.add(pair);
        client.on('message', (text) => {
            if (node.readyState === WebSocket.OPEN) {
                node.send(text.toString());
            } else {
                early.push(text.toString());
            }
        });
        node.on('open', () => early.forEach((text) => node.send(text)));
        node.on('message', (text) => {
            const message = JSON.parse(text.toString());
            for (const one of pair.deaf ? [] : faults[this.fault](this, message)) {
                this.announced += heads(one) ? 1 : 0;
                client.send(JSON.stringify(one));
            }
        });
        const leave = () => {
            this.pairs.delete(pair);
            node.terminate();
            client.terminate();
        };
        client.on('close', leave).on('error', leave);
        node.on('close', leave).on('error', leave);
    }

    /** Open connections stay open and say nothing any more, not even to a ping. */
    deafen() {
        for (const pair of this.pairs) {
            pair.deaf = true;
            pair.client._socket.pause();
        }
    }

    /** Open connections are reset. */
    kill() {
        this.pairs.forEach(({ client }) => client._socket.resetAndDestroy());
    }

    stop() {
        this.pairs.forEach(({ client, node }) => { client.terminate(); node.terminate(); });
        this.secure?.close();
        return new Promise((done) => { this.server.close(done); });
    }
}
