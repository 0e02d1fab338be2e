import { ponder } from "ponder:registry";
import { account, transferEvent } from "ponder:schema";
import { zeroAddress } from "viem";

ponder.on("Token:Transfer", async ({ event, context }) => {
    const { from, to, value } = event.args;
    if (from !== zeroAddress) {
        await context.db
            .insert(account)
            .values({ address: from, balance: -value })
            .onConflictDoUpdate((row) => ({ balance: row.balance - value }));
    }
    await context.db
        .insert(account)
        .values({ address: to, balance: value })
        .onConflictDoUpdate((row) => ({ balance: row.balance + value }));
    await context.db.insert(transferEvent).values({
        id: event.id,
        value,
        timestamp: Number(event.block.timestamp),
        from,
        to,
    });
});
