// Random trading against a model of the rules: not a unit of stablecoin appears, disappears or
// moves to the wrong account. FREEHOLD_TEST_SEED=n repeats one run; without it three fixed seeds
// are played.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TOKEN, World, alice, bob, carol, dave, lessor } from '../harness/world.mjs';

const SEEDS = process.env.FREEHOLD_TEST_SEED ? [Number(process.env.FREEHOLD_TEST_SEED)] : [1, 2, 3];
const STEPS = 400;
const PEOPLE = [lessor, alice, bob, carol, dave];
const BIDDERS = [alice, bob, carol, dave];
const MINTED = 10n ** 12n;

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
    return { below, pick: (list) => list[below(list.length)], chance: (n) => below(n) === 0 };
}

/** The rules in their own words: who has what, in coin and in tokens. */
class Model {
    constructor(market, holdings) {
        this.market = market;
        this.coin = new Map(PEOPLE.map((who) => [who, MINTED]));
        this.tokens = new Map(Object.entries(holdings));
        this.claims = new Map();
        this.refunds = new Map();
        this.blocked = new Set();
        this.sales = [];
        this.offers = [];
    }

    static add(map, key, amount) {
        map.set(key, (map.get(key) ?? 0n) + amount);
    }

    pay(who, amount) {
        Model.add(this.blocked.has(who) ? this.refunds : this.coin, who, amount);
    }

    refundAll(bids) {
        for (const bid of bids.filter(({ active }) => active)) {
            bid.active = false;
            this.pay(bid.bidder, bid.funds);
        }
    }

    moveTokens(from, to, amount) {
        Model.add(this.tokens, from, -amount);
        Model.add(this.tokens, to, amount);
    }

    share(funds) {
        const holders = [...this.tokens]
            .filter(([who, held]) => held > 0n && who !== this.market);
        const supply = holders.reduce((sum, [, held]) => sum + held, 0n);
        let left = funds;
        for (const [who, held] of holders) {
            const part = (held * funds) / supply;
            Model.add(this.claims, who, part);
            left -= part;
        }
        const before = ([a, x], [b, y]) => x > y || (x === y && BigInt(a) < BigInt(b));
        const [largest] = holders.reduce((top, next) => (before(next, top) ? next : top));
        Model.add(this.claims, largest, left);
    }

    /** What the marketplace must hold. */
    escrow() {
        const sum = (values) => [...values].reduce((total, value) => total + value, 0n);
        const open = [...this.sales, ...this.offers].flatMap(({ bids }) => bids)
            .filter(({ active }) => active).map(({ funds }) => funds);
        return sum(open) + sum(this.claims.values()) + sum(this.refunds.values());
    }
}

/** The moves: each plays one on chain and in the model, or returns false when it has no chance. */
function moves({ world, model, rng, token, assetId }) {
    const { market, chain } = world;
    const free = (list) => list.filter((who) => !model.blocked.has(who));
    const open = (list) => list.filter(({ active }) => active);
    const bids = (list) => list.flatMap((item) => open(item.bids).map((bid) => ({ item, bid })));
    const someone = (list) => (list.length > 0 ? rng.pick(list) : undefined);

    return {
        async transferTokens() {
            const holders = [...model.tokens].filter(([who, held]) =>
                held > 0n && who !== market.address);
            const [from, held] = rng.pick(holders);
            const to = rng.chance(8) ? market.address : rng.pick(PEOPLE);
            // Somebody must be left to share revenue among.
            const all = rng.chance(4) && holders.length > 1;
            const amount = rng.chance(6) ? 0n : all ? held : BigInt(rng.below(1000)) * held / 1001n;
            await token.send(from, 'transfer', to, amount);
            model.moveTokens(from, to, amount);
            return true;
        },
        async block() {
            const who = rng.pick(BIDDERS);
            const value = !model.blocked.has(who);
            await world.coin.send(lessor, 'setBlocked', who, value);
            model.blocked[value ? 'add' : 'delete'](who);
            return true;
        },
        async postSale() {
            if (open(model.sales).length > 3) {
                return false;
            }
            const amount = BigInt(1 + rng.below(5_000)) * TOKEN / 1000n;
            await market.send(lessor, 'postSale', token.address, amount, rng.below(100));
            model.sales.push({ id: model.sales.length, amount, active: true, bids: [] });
            return true;
        },
        async bidSale() {
            const sale = someone(open(model.sales));
            const bidder = someone(free(BIDDERS));
            if (!sale || !bidder) {
                return false;
            }
            const amount = rng.chance(3) ? sale.amount
                : sale.amount * BigInt(1 + rng.below(99)) / 100n;
            const price = BigInt(rng.below(1_000_000));
            const funds = amount * price / TOKEN;
            if (amount === 0n) {
                assert.equal(await market.refusal(bidder, 'placeSaleBid', sale.id, 0, price),
                    'bad amount');
                return false;
            }
            await market.send(bidder, 'placeSaleBid', sale.id, amount, price);
            sale.bids.push({ index: sale.bids.length, bidder, amount, funds, active: true });
            Model.add(model.coin, bidder, -funds);
            return true;
        },
        async acceptSale() {
            const found = someone(bids(open(model.sales)));
            if (!found) {
                return false;
            }
            const { item: sale, bid } = found;
            if (bid.amount > sale.amount || (model.tokens.get(lessor) ?? 0n) < bid.amount) {
                assert.ok(await market.refusal(lessor, 'acceptSaleBid', sale.id, bid.index));
                return false;
            }
            await market.send(lessor, 'acceptSaleBid', sale.id, bid.index);
            bid.active = false;
            sale.amount -= bid.amount;
            sale.active = sale.amount > 0n;
            model.moveTokens(lessor, bid.bidder, bid.amount);
            Model.add(model.coin, lessor, bid.funds);
            model.refundAll(sale.bids);
            return true;
        },
        async cancelSale() {
            const sale = someone(open(model.sales));
            if (!sale || !rng.chance(6)) {
                return false;
            }
            await market.send(lessor, 'cancelSale', sale.id);
            sale.active = false;
            model.refundAll(sale.bids);
            return true;
        },
        async withdrawSale() {
            const found = someone(bids(model.sales));
            if (!found || model.blocked.has(found.bid.bidder) || !rng.chance(4)) {
                return false;
            }
            const { item, bid } = found;
            await market.send(bid.bidder, 'withdrawSaleBid', item.id, bid.index);
            bid.active = false;
            Model.add(model.coin, bid.bidder, bid.funds);
            return true;
        },
        async postOffer() {
            if (open(model.offers).length > 3) {
                return false;
            }
            const intent = await world.intent(assetId);
            const id = await world.offer(intent);
            model.offers.push({ id, intent, active: true, bids: [] });
            return true;
        },
        async bidOffer() {
            const offer = someone(open(model.offers));
            const bidder = someone(free(BIDDERS));
            if (!offer || !bidder) {
                return false;
            }
            const funds = BigInt(1 + rng.below(10_000_000));
            const terms = { ...offer.intent, lease: { ...offer.intent.lease, lessee: bidder } };
            await market.send(bidder, 'placeLeaseBid', offer.id, world.sign(terms, bidder), funds);
            offer.bids.push({ index: offer.bids.length, bidder, funds, active: true });
            Model.add(model.coin, bidder, -funds);
            return true;
        },
        async acceptOffer() {
            const found = someone(bids(open(model.offers)));
            if (!found) {
                return false;
            }
            const { item: offer, bid } = found;
            const signature = world.signFor(offer.intent, bid.bidder);
            if (await chain.now() >= offer.intent.deadline) {
                return false;
            }
            await market.send(lessor, 'acceptLeaseBid', offer.id, bid.index, signature);
            offer.active = false;
            bid.active = false;
            model.share(bid.funds);
            model.refundAll(offer.bids);
            return true;
        },
        async cancelOffer() {
            const offer = someone(open(model.offers));
            if (!offer || !rng.chance(6)) {
                return false;
            }
            await market.send(lessor, 'cancelLeaseOffer', offer.id);
            offer.active = false;
            model.refundAll(offer.bids);
            return true;
        },
        async withdrawOffer() {
            const found = someone(bids(model.offers));
            if (!found || model.blocked.has(found.bid.bidder)) {
                return false;
            }
            const { item: offer, bid } = found;
            const caller = rng.pick(PEOPLE);
            if (await chain.now() <= offer.intent.deadline) {
                assert.equal(await market.refusal(
                    caller, 'withdrawLeaseBid', offer.id, bid.index), 'bid binding');
                return false;
            }
            await market.send(caller, 'withdrawLeaseBid', offer.id, bid.index);
            bid.active = false;
            Model.add(model.coin, bid.bidder, bid.funds);
            return true;
        },
        async claim() {
            const who = rng.pick(PEOPLE);
            const claim = model.claims.get(who) ?? 0n;
            if (claim === 0n || model.blocked.has(who)) {
                assert.ok(await market.refusal(who, 'claimRevenue'));
                return false;
            }
            await market.send(who, 'claimRevenue');
            model.claims.set(who, 0n);
            Model.add(model.coin, who, claim);
            return true;
        },
        async claimRefund() {
            const who = rng.pick(BIDDERS);
            const refund = model.refunds.get(who) ?? 0n;
            if (refund === 0n || model.blocked.has(who)) {
                assert.ok(await market.refusal(lessor, 'claimRefund', who));
                return false;
            }
            await market.send(lessor, 'claimRefund', who);
            model.refunds.set(who, 0n);
            Model.add(model.coin, who, refund);
            return true;
        },
        async wait() {
            if (!rng.chance(2)) {
                return false;
            }
            await chain.mineAt(await chain.now() + 1 + rng.below(3000));
            return true;
        },
    };
}

async function compare({ world, model, token }) {
    const { market } = world;
    assert.equal(await world.balance(market.address), model.escrow());
    for (const who of PEOPLE) {
        assert.equal(await world.balance(who), model.coin.get(who), `coin of ${who}`);
        const claim = model.claims.get(who) ?? 0n;
        assert.equal(await market.get('claims', who), claim, `claim of ${who}`);
        assert.equal(await market.get('refunds', who), model.refunds.get(who) ?? 0n);
    }
    const [holders, balances] = await token.get('getHolders');
    const held = [...model.tokens].filter(([, amount]) => amount > 0n);
    assert.deepEqual(new Map(holders.map((who, i) => [who, balances[i]]).sort()),
        new Map(held.sort()));
    assert.equal(await world.coin.get('totalSupply'), MINTED * BigInt(PEOPLE.length));
}

/** Closes everything and pays everybody: the marketplace must end empty. */
async function settle({ world, model }) {
    const { market, coin } = world;
    for (const who of model.blocked) {
        await coin.send(lessor, 'setBlocked', who, false);
    }
    model.blocked.clear();
    for (const [list, fn] of [[model.sales, 'cancelSale'], [model.offers, 'cancelLeaseOffer']]) {
        for (const item of list.filter(({ active }) => active)) {
            await market.send(lessor, fn, item.id);
            item.active = false;
            model.refundAll(item.bids);
        }
    }
    for (const [map, fn] of [[model.claims, 'claimRevenue'], [model.refunds, 'claimRefund']]) {
        for (const [who, amount] of [...map].filter(([, value]) => value > 0n)) {
            await market.send(who, fn, ...(fn === 'claimRefund' ? [who] : []));
            map.set(who, 0n);
            Model.add(model.coin, who, amount);
        }
    }
    assert.equal(await world.balance(market.address), 0n);
}

for (const seed of SEEDS) {
    test(`${STEPS} random moves conserve every unit (seed ${seed})`, async (t) => {
        const world = await World.deploy({ coin: 'BlockingCoin' });
        t.after(() => world.stop());
        const holdings = { [lessor]: 70n * TOKEN, [alice]: 20n * TOKEN, [bob]: 10n * TOKEN };
        const { assetId, token } = await world.asset(holdings);
        await token.send(lessor, 'approve', world.market.address, 2n ** 255n);
        for (const who of PEOPLE) {
            await world.fund(who, MINTED);
        }
        const run = { world, token, assetId, rng: random(seed),
            model: new Model(world.market.address, holdings) };
        const all = Object.entries(moves(run));
        const played = new Map(all.map(([name]) => [name, 0]));
        for (let step = 1; step <= STEPS;) {
            const [name, move] = run.rng.pick(all);
            if (!await move()) {
                continue;
            }
            played.set(name, played.get(name) + 1);
            assert.equal(await world.balance(world.market.address), run.model.escrow(),
                `after step ${step}, ${name}`);
            if (step % 25 === 0) {
                await compare(run);
            }
            step++;
        }
        await settle(run);
        await compare(run);
        t.diagnostic([...played].map(([name, count]) => `${name} ${count}`).join(', '));
        if (!process.env.FREEHOLD_TEST_SEED) {
            assert.ok(Math.min(...played.values()) > 0, 'some move was never played');
        }
    });
}
