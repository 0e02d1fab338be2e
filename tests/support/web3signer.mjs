// A remote signer with the HTTP API of Web3Signer, on ethers, which can be made to misbehave:
//   POST /api/v1/eth1/sign/{public key}   {"data": bytes} -> signature over their Keccak-256
//   GET  /api/v1/eth1/publicKeys
//   POST /                                JSON-RPC eth_accounts, eth_signTransaction
// `mood` changes the next answers: 'away' (503), 'other key', 'high s', 'garbage', 'dearer'.

import { createServer } from 'node:http';
import { SigningKey, Transaction, keccak256 } from 'ethers';

const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const hex = (n) => n.toString(16).padStart(64, '0');

export class Web3Signer {
    static async start(wallets, chainId) {
        const signer = new Web3Signer();
        signer.wallets = wallets;
        signer.chainId = chainId;
        signer.mood = '';
        signer.signed = 0;
        signer.server = createServer((req, res) => signer.#serve(req, res));
        await new Promise((done) => { signer.server.listen(0, '127.0.0.1', done); });
        signer.url = `http://127.0.0.1:${signer.server.address().port}`;
        return signer;
    }

    stop() {
        this.server.closeAllConnections();
        return new Promise((done) => { this.server.close(done); });
    }

    #serve(req, res) {
        let text = '';
        req.setEncoding('utf8').on('data', (chunk) => { text += chunk; });
        req.on('end', () => {
            const [status, body] = this.mood === 'away' ? [503, 'away']
                : this.mood === 'garbage' ? [200, '<html>'] : this.#answer(req, text);
            res.writeHead(status, { 'content-type': 'text/plain' });
            res.end(body);
        });
    }

    #answer(req, text) {
        if (req.method === 'GET' && req.url === '/api/v1/eth1/publicKeys') {
            return [200, JSON.stringify(this.wallets.map((w) => this.#publicKey(w)))];
        }
        const key = /^\/api\/v1\/eth1\/sign\/(0x[0-9a-f]{128})$/.exec(req.url)?.[1];
        if (req.method === 'POST' && key) {
            const wallet = this.wallets.find((w) => this.#publicKey(w) === key);
            return wallet ? [200, this.#sign(wallet, JSON.parse(text).data)] : [404, 'no key'];
        }
        if (req.method === 'POST' && req.url === '/') {
            const { id, method, params } = JSON.parse(text);
            return [200, JSON.stringify({ jsonrpc: '2.0', id, result: this.#call(method, params) })];
        }
        return [404, 'no such path'];
    }

    #publicKey(wallet) {
        return `0x${wallet.signingKey.publicKey.slice(4)}`;
    }

    #key(wallet) {
        return this.mood === 'other key' ? new SigningKey(`0x${'42'.repeat(32)}`) : wallet.signingKey;
    }

    #sign(wallet, data) {
        this.signed++;
        const { r, s, v } = this.#key(wallet).sign(keccak256(data));
        return this.mood === 'high s'
            ? `0x${r.slice(2)}${hex(N - BigInt(s))}${(55 - v).toString(16)}`
            : `0x${r.slice(2)}${s.slice(2)}${v.toString(16)}`;
    }

    #call(method, params) {
        if (method === 'eth_accounts') {
            return this.wallets.map((w) => w.address.toLowerCase());
        }
        this.signed++;
        const { from, gas, nonce, ...rest } = params[0];
        const wallet = this.wallets.find((w) => w.address.toLowerCase() === from);
        const tx = Transaction.from({ ...rest, type: rest.gasPrice ? 0 : 2, chainId: this.chainId,
            gasLimit: BigInt(gas), nonce: Number(nonce),
            ...(this.mood === 'dearer' ? { value: 1n } : {}) });
        tx.signature = this.#key(wallet).sign(tx.unsignedHash);
        return tx.serialized;
    }
}
