// The official stack that bench/x402.mjs measures beside: `facilitator` verifies and settles, `server`
// sells one answer through it. What they need is in the environment: BENCH_RPC, BENCH_CHAIN_ID,
// BENCH_KEY (of the facilitator's wallet), BENCH_ASSET, BENCH_PAY_TO, BENCH_AMOUNT, BENCH_FACILITATOR.
// Prints the port that it listens on.
import { createRequire } from 'node:module';

const load = createRequire(import.meta.url);
const express = load('express');
const { BENCH_RPC, BENCH_CHAIN_ID, BENCH_KEY, BENCH_ASSET, BENCH_PAY_TO, BENCH_AMOUNT,
    BENCH_FACILITATOR } = process.env;
const network = `eip155:${BENCH_CHAIN_ID}`;

async function facilitator(app) {
    const { x402Facilitator } = await import('@x402/core/facilitator');
    const { toFacilitatorEvmSigner } = await import('@x402/evm');
    const { ExactEvmScheme } = await import('@x402/evm/exact/facilitator');
    const { createWalletClient, defineChain, http, publicActions } = await import('viem');
    const { privateKeyToAccount } = await import('viem/accounts');
    const { createNonceManager, jsonRpc } = await import('viem/nonce');
    const chain = defineChain({ id: Number(BENCH_CHAIN_ID), name: 'bench',
        nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
        rpcUrls: { default: { http: [BENCH_RPC] } } });
    const account = privateKeyToAccount(BENCH_KEY,
        { nonceManager: createNonceManager({ source: jsonRpc() }) });
    const client = createWalletClient({ account, chain, transport: http(BENCH_RPC),
        pollingInterval: 20 }).extend(publicActions);
    const service = new x402Facilitator()
        .register(network, new ExactEvmScheme(toFacilitatorEvmSigner({ ...client, address: account.address })));
    app.use(express.json());
    const answer = (action) => async (request, reply) => {
        try {
            reply.json(await action(request.body ?? {}));
        } catch (error) {
            reply.status(500).json({ error: String(error) });
        }
    };
    app.post('/verify', answer((body) => service.verify(body.paymentPayload, body.paymentRequirements)));
    app.post('/settle', answer((body) => service.settle(body.paymentPayload, body.paymentRequirements)));
    app.get('/supported', answer(() => service.getSupported()));
}

async function server(app) {
    const { paymentMiddleware, x402ResourceServer } = await import('@x402/express');
    const { ExactEvmScheme } = await import('@x402/evm/exact/server');
    const { HTTPFacilitatorClient } = await import('@x402/core/server');
    const resources = new x402ResourceServer(new HTTPFacilitatorClient({ url: BENCH_FACILITATOR }))
        .register(network, new ExactEvmScheme());
    const price = { amount: BENCH_AMOUNT, asset: BENCH_ASSET, extra: { name: 'Mock USD', version: '1' } };
    app.use(paymentMiddleware({ 'POST /sold': { accepts: { scheme: 'exact', network,
        payTo: BENCH_PAY_TO, price, maxTimeoutSeconds: 3600 }, description: 'measured' } }, resources));
    app.post('/sold', (_, reply) => reply.json({ sold: true }));
}

const app = express();
await (process.argv[2] === 'facilitator' ? facilitator(app) : server(app));
const listening = app.listen(0, '127.0.0.1', () => console.log(listening.address().port));
