// Random channels against a model of the books: not a unit appears, disappears or goes to anybody
// but payer and receiver. FREEHOLD_TEST_SEED=n repeats one run; without it two fixed seeds are played.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Channels, DELAY, authorizer, other, payer, receiver, relayer, second }
    from '../harness/channels.mjs';

const SEEDS = process.env.FREEHOLD_TEST_SEED ? [Number(process.env.FREEHOLD_TEST_SEED)] : [1, 2];
const STEPS = 150;
const MINTED = 1_000_000n;

/** A small generator (mulberry32), so that a seed means the same everywhere. */
function random(seed) {
    let state = seed >>> 0;
    const next = () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let t = Math.imul(state ^ (state >>> 15), state | 1);
        t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
        return (t ^ (t >>> 14)) >>> 0;
    };
    const below = (n) => next() % n;
    return { below, pick: (list) => list[below(list.length)], amount: (n) => BigInt(below(n)) };
}

const least = (a, b) => (a < b ? a : b);

/** The rules in their own words. */
class Model {
    constructor(channels) {
        this.channels = channels.map((config) => ({ config, balance: 0n, claimed: 0n, pending: 0n,
            since: 0n, nonce: 0n }));
        this.paid = new Map([[receiver.address, 0n], [second.address, 0n]]);
        this.purse = MINTED;
    }

    deposit(c, amount) {
        if (amount === 0n) {
            return 'ZeroDeposit()';
        }
        c.balance += amount;
        this.purse -= amount;
        return undefined;
    }

    claim(c, total, signed) {
        if (total <= c.claimed) {
            return undefined;
        }
        if (total > signed) {
            return 'ClaimExceedsCeiling()';
        }
        if (total > c.balance) {
            return 'ClaimExceedsBalance()';
        }
        c.claimed = total;
        return undefined;
    }

    settle(to) {
        const booked = this.channels.filter(({ config }) => config.receiver === to)
            .reduce((sum, { claimed }) => sum + claimed, 0n);
        this.paid.set(to, booked);
    }

    back(c, amount) {
        c.balance -= amount;
        this.purse += amount;
    }

    refund(c, amount) {
        if (amount === 0n) {
            return 'ZeroRefund()';
        }
        c.nonce += 1n;
        const given = least(amount, c.balance - c.claimed);
        c.pending = given >= c.pending ? 0n : c.pending - given;
        this.back(c, given);
        return undefined;
    }

    initiate(c, amount, now) {
        if (amount === 0n) {
            return 'NothingToWithdraw()';
        }
        if (c.pending > 0n) {
            return 'WithdrawalAlreadyPending()';
        }
        if (amount > c.balance - c.claimed) {
            return 'WithdrawAmountExceedsAvailable()';
        }
        [c.pending, c.since] = [amount, now];
        return undefined;
    }

    finalize(c, now) {
        if (c.pending === 0n) {
            return 'WithdrawalNotPending()';
        }
        if (now < c.since + DELAY) {
            return 'WithdrawDelayNotElapsed()';
        }
        this.back(c, least(c.pending, c.balance - c.claimed));
        c.pending = 0n;
        return undefined;
    }
}

/** Does one step at both; a step that the model refuses must be refused for the same reason. */
async function step(world, model, rnd, number) {
    const c = rnd.pick(model.channels);
    const { config } = c;
    const call = async (from, refusal, fn, ...args) => {
        assert.equal(await world.escrow.refusal(from.address, fn, ...args), refusal, fn);
        if (refusal === undefined) {
            await world.escrow.send(from.address, fn, ...args);
        }
    };
    const now = BigInt(await world.chain.now());
    switch (rnd.below(8)) {
        case 0:
        case 1: {
            const amount = rnd.amount(1000);
            const data = await world.authorization(config, amount, { salt: BigInt(number) });
            return call(other, model.deposit(c, amount), 'deposit', config, amount,
                world.collector.address, data);
        }
        case 2:
        case 3: {
            const signed = rnd.amount(3000);
            const total = signed + rnd.amount(20) - least(signed, 10n);
            const args = await world.batch([await world.row(config, total, { signed })]);
            return call(other, model.claim(c, total, signed), 'claimWithSignature', ...args);
        }
        case 4:
            model.settle(config.receiver);
            return call(other, undefined, 'settle', config.receiver, config.token);
        case 5: {
            const amount = rnd.amount(400);
            const args = await world.refundCall(config, amount, c.nonce);
            return call(other, model.refund(c, amount), 'refundWithSignature', ...args);
        }
        case 6: {
            const amount = rnd.amount(800);
            const refusal = model.initiate(c, amount, now);
            await call(payer, refusal, 'initiateWithdraw', config, amount);
            c.since = refusal === undefined ? BigInt(await world.chain.now()) : c.since;
            return undefined;
        }
        default:
            await world.chain.mineAt(Number(now + rnd.amount(1200) + 1n));
            return call(payer, model.finalize(c, BigInt(await world.chain.now())),
                'finalizeWithdraw', config);
    }
}

for (const seed of SEEDS) {
    test(`${STEPS} random steps keep the books (FREEHOLD_TEST_SEED=${seed})`, async () => {
        const world = await Channels.deploy();
        try {
            const rnd = random(seed);
            await world.coin.send(relayer.address, 'mint', payer.address, MINTED);
            const configs = [receiver, receiver, second, second]
                .map(({ address }) => world.config({ receiver: address }));
            const model = new Model(configs);
            assert.equal(configs[0].receiverAuthorizer, authorizer.address);
            for (let i = 0; i < STEPS; i++) {
                await step(world, model, rnd, i);
                let held = 0n;
                for (const c of model.channels) {
                    assert.deepEqual(await world.state(c.config), [c.balance, c.claimed]);
                    held += c.balance;
                }
                for (const [who, paid] of model.paid) {
                    assert.equal(await world.balance(who), paid);
                    held -= paid;
                }
                assert.equal(await world.balance(payer.address), model.purse);
                assert.equal(await world.balance(world.escrow.address), held);
            }
        } finally {
            await world.stop();
        }
    });
}
