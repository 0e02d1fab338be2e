// Webhooks: signed, at least once, in order; verified here with Node's own HMAC.

import assert from 'node:assert/strict';
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { Api, fresh, sleep, typeBody } from './support.mjs';
import { Daemon, ON_POSTGRES, SLOW, change, rows } from '../support/program.mjs';

const V1 = '/api/v1';

/** What receives: keeps what came, and answers as it is told. */
class Receiver {
    static async start() {
        const r = new Receiver();
        r.got = [];
        r.connections = 0;
        r.answer = () => [200, {}];
        r.server = createServer((req, res) => {
            let body = '';
            req.setEncoding('utf8').on('data', (chunk) => { body += chunk; });
            req.on('end', () => {
                const one = { headers: req.headers, body, json: JSON.parse(body) };
                const [status, headers] = r.answer(one, r.got);
                r.got.push({ ...one, status });
                res.writeHead(status, headers).end();
            });
        });
        r.server.on('connection', () => { r.connections++; });
        await new Promise((done) => { r.server.listen(0, '127.0.0.1', done); });
        r.url = `http://127.0.0.1:${r.server.address().port}/hook?key=1`;
        return r;
    }

    stop() {
        this.server.closeAllConnections();
        return new Promise((done) => { this.server.close(done); });
    }

    async until(what, condition) {
        const deadline = Date.now() + 30_000 * SLOW;
        while (!condition(this.got)) {
            assert.ok(Date.now() < deadline, `${what}: ${JSON.stringify(this.got.map((g) => g.json))}`);
            await sleep(20);
        }
    }
}

/** Checks a signature as a receiver has to; returns how many of its parts are by this secret. */
function signedBy(secret, { headers, body }) {
    const parts = headers['freehold-signature'].split(',').map((p) => p.split('='));
    const [[, seconds]] = parts.filter(([k]) => k === 't');
    assert.ok(Math.abs(Date.now() / 1000 - Number(seconds)) < 300);
    const mac = createHmac('sha256', secret).update(`${seconds}.${body}`).digest();
    return parts.filter(([k, v]) => k === 'v1' && timingSafeEqual(mac, Buffer.from(v, 'hex'))).length;
}

let api;
let receiver;
before(async () => {
    [api, receiver] = await Promise.all([
        Api.start({ 'webhooks.secret': 'of this all secrets are derived', 'webhooks.allow_private': true }),
        Receiver.start()]);
});
after(async () => {
    await api?.stop();
    await receiver?.stop();
});

const register = (url, events) => api.post(`${V1}/webhooks`, { url, events }, 201);
const deliveries = (id, query = '') => api.get(`${V1}/webhooks/${id}/deliveries${query}`);

async function mined() {
    await api.post(`${V1}/asset-types`, typeBody(fresh('type').replaceAll('-', '_')));
    const [{ transactionId }] = await api.get(`${V1}/transactions?limit=1`);
    await api.until(`${V1}/transactions/${transactionId}`, (t) => t.state === 'mined');
    return transactionId;
}

test('each state of a transaction is told, in order and signed', async () => {
    const all = await register(receiver.url, ['*']);
    assert.match(all.secret, /^whsec_[0-9a-f]{64}$/);
    const one = await register(receiver.url.replace('key=1', 'key=2'), ['transaction.mined', 'transaction.final']);
    assert.notEqual(one.secret, all.secret);
    const id = await mined();
    await receiver.until('four came', (got) => got.length === 4);
    const told = (secret) => receiver.got.filter((g) => signedBy(secret, g) === 1);
    assert.deepEqual(told(all.secret).map((g) => g.json.event),
        ['transaction.signed', 'transaction.sent', 'transaction.mined']);
    const [last] = told(one.secret);
    assert.equal(told(one.secret).length, 1);
    assert.equal(last.headers['freehold-delivery'], last.json.id);
    assert.equal(last.headers['freehold-event'], 'transaction.mined');
    assert.equal(last.json.subject, `transaction/${id}`);
    const { versions, ...shown } = await api.get(`${V1}/transactions/${id}`);
    assert.equal(versions.length, 1);
    assert.deepEqual({ ...last.json.data, updatedAt: '' }, { ...shown, updatedAt: '' });
    assert.deepEqual((await deliveries(one.endpointId)).map((d) => [d.state, d.attempts, d.status]),
        [['delivered', 1, 200]]);
    for (const e of [all, one]) {
        await api.send('DELETE', `${V1}/webhooks/${e.endpointId}`);
    }
    receiver.got = [];
});

test('what fails is told again with the same id, and what follows waits for it', async () => {
    const e = await register(receiver.url, ['transaction.signed', 'transaction.sent']);
    receiver.answer = (_, got) => [got.length < 2 ? 503 : 204, {}];
    await mined();
    await receiver.until('both are delivered', (got) => got.filter((g) => g.status === 204).length === 2);
    const [first, second, third, fourth] = receiver.got;
    assert.deepEqual(receiver.got.map((g) => g.json.event), ['transaction.signed', 'transaction.signed',
        'transaction.signed', 'transaction.sent']);
    assert.equal(new Set([first, second, third].map((g) => g.body)).size, 1);
    assert.equal(new Set([first, second, third].map((g) => g.headers['freehold-delivery'])).size, 1);
    assert.notEqual(fourth.json.id, first.json.id);
    // Each attempt is signed at its own time: a replay of the first is old when the last is young.
    assert.notEqual(first.headers['freehold-signature'], third.headers['freehold-signature']);
    // The receiver knows of its answer before we have written it down.
    const list = await api.until(`${V1}/webhooks/${e.endpointId}/deliveries?state=delivered`,
        (now) => now.length === 2);
    assert.deepEqual(list.map((d) => [d.event, d.attempts]), [['transaction.sent', 1], ['transaction.signed', 3]]);
    receiver.answer = () => [200, {}];
    await api.send('DELETE', `${V1}/webhooks/${e.endpointId}`);
    receiver.got = [];
});

test('a redirect is not followed', async () => {
    const e = await register(receiver.url, ['transaction.mined']);
    receiver.answer = () => [302, { location: 'http://169.254.169.254/latest/meta-data/' }];
    await mined();
    await receiver.until('it was tried', (got) => got.length > 0);
    await api.until(`${V1}/webhooks/${e.endpointId}/deliveries`, ([d]) => d.status === 302 && d.state === 'waiting');
    receiver.answer = () => [200, {}];
    await receiver.until('it is told', (got) => got.at(-1).status === 200);
    await api.send('DELETE', `${V1}/webhooks/${e.endpointId}`);
    receiver.got = [];
});

test('after a rotation both secrets sign, the old one for a day', async () => {
    const e = await register(receiver.url, ['transaction.final']);
    const next = await api.post(`${V1}/webhooks/${e.endpointId}/rotate`, {});
    assert.notEqual(next.secret, e.secret);
    assert.equal(next.secretVersion, 2);
    await api.post(`${V1}/webhooks/${e.endpointId}/test`, {});
    await receiver.until('the test came', (got) => got.length === 1);
    const [got] = receiver.got;
    assert.equal(got.json.event, 'webhook.test');
    assert.deepEqual([signedBy(e.secret, got), signedBy(next.secret, got)], [1, 1]);
    assert.equal(signedBy('whsec_other', got), 0);
    const shown = await api.get(`${V1}/webhooks/${e.endpointId}`);
    assert.equal(shown.secret, undefined);
    assert.equal((await api.get(`${V1}/webhooks`)).length, 1);
    await api.send('DELETE', `${V1}/webhooks/${e.endpointId}`);
    assert.equal((await api.send('GET', `${V1}/webhooks/${e.endpointId}`)).status, 404);
    const actions = rows(api.daemon.database, `SELECT action FROM audit_log
        WHERE subject = 'webhook/${e.endpointId}' ORDER BY created_at, id`).map((r) => r.action);
    assert.deepEqual(actions, ['webhooks.registered', 'webhooks.rotated', 'webhooks.deleted']);
    receiver.got = [];
});

test('the last attempt makes a dead letter, which can be replayed', { skip: !ON_POSTGRES && 'SQLite has one writing process' }, async () => {
    const e = await register(receiver.url, ['transaction.mined']);
    receiver.answer = () => [500, {}];
    await mined();
    await receiver.until('it was tried', (got) => got.length > 0);
    const deadline = Date.now() + 20_000 * SLOW;
    while ((await deliveries(e.endpointId))[0].state !== 'dead') {
        assert.ok(Date.now() < deadline);
        change(api.daemon.database, `UPDATE jobs SET attempts = 11, run_at = now()
            WHERE kind = 'webhooks.deliver' AND state = 1`);
        await sleep(300);
    }
    receiver.answer = () => [200, {}];
    const [job] = await api.get(`${V1}/jobs?state=dead&kind=webhooks.deliver`);
    await api.post(`${V1}/jobs/${job.id}/replay`, {});
    await api.until(`${V1}/webhooks/${e.endpointId}/deliveries`, ([d]) => d.state === 'delivered');
    await api.send('DELETE', `${V1}/webhooks/${e.endpointId}`);
    receiver.got = [];
});

test('what is no endpoint is refused', async () => {
    const refuse = (body, code, field) =>
        api.refuse('POST', `${V1}/webhooks`, { body }, 400, code, field);
    await refuse({ url: receiver.url }, 'missing_field', 'events');
    await refuse({ events: ['*'] }, 'missing_field', 'url');
    await refuse({ url: 'ftp://example.com', events: ['*'] }, 'invalid_field', 'url');
    await refuse({ url: `https://example.com/${'x'.repeat(1000)}`, events: ['*'] }, 'invalid_field', 'url');
    for (const events of [[], ['transaction.lost'], [7], 'transaction.mined', {}]) {
        await refuse({ url: receiver.url, events }, 'invalid_field', 'events');
    }
    await refuse({ url: receiver.url, events: ['*'], more: 1 }, 'unknown_field', 'more');
});

test('without a secret there are no endpoints, and without a token no access', async () => {
    const daemon = await Daemon.start({ 'http.operator_token': 'a-secret-for-operators' });
    const headers = { authorization: 'Bearer a-secret-for-operators', 'content-type': 'application/json' };
    const body = JSON.stringify({ url: 'https://example.com/', events: ['*'] });
    const url = `${daemon.url}${V1}/webhooks`;
    assert.equal((await fetch(url)).status, 401);
    assert.equal((await fetch(url, { method: 'POST', body, headers })).status, 409);
    await daemon.stop();
});

test('an address that is not public is not called', async () => {
    const closed = await Api.start({ 'webhooks.secret': 'another one' });
    try {
        const refused = await closed.send('POST', `${V1}/webhooks`,
            { body: { url: receiver.url, events: ['*'] } });
        assert.equal(refused.field, 'url'); // only https
        const before = receiver.connections;
        const e = await closed.post(`${V1}/webhooks`,
            { url: receiver.url.replace('http:', 'https:'), events: ['*'] }, 201);
        await closed.post(`${V1}/webhooks/${e.endpointId}/test`, {});
        const [d] = await closed.until(`${V1}/webhooks/${e.endpointId}/deliveries`, ([one]) => one.attempts > 0);
        assert.match(d.error, /not on the public internet/);
        assert.equal(receiver.connections, before);
    } finally {
        await closed.stop();
    }
});
