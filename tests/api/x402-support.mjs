// What the tests of payments share: payments signed without our code, and what clients of the npm
// packages need. Amounts are units of the stablecoin.

import { randomBytes } from 'node:crypto';
import { HDNodeWallet, Mnemonic } from 'ethers';
import { x402Client } from '@x402/core/client';
import { registerExactEvmScheme } from '@x402/evm/exact/client';
import { wrapFetchWithPayment } from '@x402/fetch';
import { privateKeyToAccount } from 'viem/accounts';
import { rows } from '../support/program.mjs';

const MNEMONIC = Mnemonic.fromPhrase(
    'test test test test test test test test test test test junk');
/** Accounts far from those that the relay and other tests use. */
export const payer = (i) => HDNodeWallet.fromMnemonic(MNEMONIC, `m/44'/60'/0'/0/${100 + i}`);

export const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64');
export const decode = (text) => JSON.parse(Buffer.from(text, 'base64').toString());

const TYPES = {
    TransferWithAuthorization: [
        { name: 'from', type: 'address' }, { name: 'to', type: 'address' },
        { name: 'value', type: 'uint256' }, { name: 'validAfter', type: 'uint256' },
        { name: 'validBefore', type: 'uint256' }, { name: 'nonce', type: 'bytes32' },
    ],
};

/** The payload of scheme exact for an offer; `changes` are made before it is signed. */
export async function authorize(wallet, offer, changes = {}) {
    const now = Math.floor(Date.now() / 1000);
    const authorization = {
        from: wallet.address, to: offer.payTo, value: offer.amount ?? offer.maxAmountRequired,
        validAfter: '0', validBefore: String(now + offer.maxTimeoutSeconds),
        nonce: `0x${randomBytes(32).toString('hex')}`, ...changes,
    };
    const domain = { name: offer.extra.name, version: offer.extra.version,
        chainId: Number(offer.network.split(':')[1] ?? 84532), verifyingContract: offer.asset };
    return { authorization, signature: await wallet.signTypedData(domain, TYPES, authorization) };
}

/** The header of version 2. */
export async function header(wallet, challenge, changes = {}) {
    const accepted = challenge.accepts[0];
    return encode({ x402Version: 2, resource: challenge.resource, accepted,
        payload: await authorize(wallet, accepted, changes) });
}

/** Sends a request and says everything that matters. */
export async function ask(daemon, path, { method = 'GET', payment, v1, headers = {}, body } = {}) {
    const reply = await fetch(daemon.url + path, {
        method, body,
        headers: { ...(payment ? { 'payment-signature': payment } : {}),
            ...(v1 ? { 'x-payment': v1 } : {}), ...headers },
    });
    const text = await reply.text();
    const told = (name) => reply.headers.get(name) && decode(reply.headers.get(name));
    return {
        status: reply.status, headers: reply.headers, text, body: text.startsWith('{') ? JSON.parse(text) : undefined,
        required: told('payment-required'), response: told('payment-response'),
        responseV1: told('x-payment-response'),
    };
}

/** A fetch that pays, of the official packages. */
export function paying(wallet, { fetch: below = fetch } = {}) {
    const client = new x402Client();
    registerExactEvmScheme(client, { signer: privateKeyToAccount(wallet.privateKey) });
    client.setSpendControls(false);
    return wrapFetchWithPayment(below, client);
}

/** Payments as rows, oldest first. */
export const payments = (database) => rows(database, `SELECT state, reason, payer, transaction_hash
    AS hash, amount FROM x402_payments ORDER BY reserved_at, nonce`);

/** Transactions that were asked for to settle. */
export const settlements = (database) => rows(database,
    "SELECT state, transaction_hash AS hash FROM relay_intents WHERE purpose = 'x402.settle'");
